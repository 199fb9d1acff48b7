//! The live tail, which a script fills, and the changes that somebody made.

use std::collections::BTreeSet;

use maud::{Markup, html};
use scaidrive_codecs::time::parse_rfc3339;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::frame::{Frame, Place};
use super::words::{time_or, time_told};

/// What events are to be shown: the parameters of the tail with their values.
pub(in crate::control::page) type Wish = Vec<(&'static str, String)>;

/// What may be wished, with what it is called.
pub(in crate::control::page) const WISHES: [(&str, &str); 5] = [
    ("category", "Category"),
    ("severity", "Severity"),
    ("action", "Action, * for any part"),
    ("tenant", "Tenant"),
    ("user", "User"),
];

/// The live tail.
pub(in crate::control::page) fn tail(frame: &Frame, wish: &Wish) -> Markup {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(wish);
    let value = |name: &str| wish.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let middle = html! {
        p { "Events as producers hand them in, whatever a destination's filter says. An empty field means any." }
        form.finder.wishes role="search" method="get" action=(frame.link("/events")) {
            @for (name, label) in WISHES {
                label { (label) input type="search" name=(name) value=[value(name)] autocomplete="off"; }
            }
            button type="submit" { "Show these" }
        }
        div.actions {
            button #tail-pause type="button" hidden { "Pause" }
            p { span #tail-state role="status" {} " " span #tail-waiting {} }
        }
        noscript { p {
            "Events as they come need a script. Without one, " code { "scaidrive-siem tail" } " shows them, and the preview in a "
            "destination's form shows those that are in the log."
        } }
        ol #tail.tail aria-label="Events, the newest first" data-from=(frame.link(&format!("/v1/tail?{}", query.finish()))) { }
    };
    frame.page(Place::Events, "Events", &middle)
}

/// A change that somebody made, as far as its event says.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::control::page) struct Change {
    timestamp: String,
    #[serde(default)]
    tenant_id: String,
    payload: Made,
}

impl Change {
    /// Whether it is one of `name`, alone or among others: a set that is put whole and a reload tell of each destination
    /// in a member of its own, and one that was given another name had this one before.
    pub(in crate::control::page) fn is_of(&self, name: &str) -> bool {
        let Made { what, target, before, after, .. } = &self.payload;
        let (whole, head) = (format!("destination \"{name}\""), format!("destination \"{name}\" "));
        let is_called = |value: &Value| value.get("name").and_then(Value::as_str) == Some(name);
        let is_member = |(key, value): (&String, &Value)| *key == whole || key.starts_with(&head) || is_called(value);
        let tells = |side: &Value| is_called(side) || side.as_object().is_some_and(|all| all.iter().any(is_member));
        let is_of_destinations = what.starts_with("destination.") || what == "config.reload";
        target == name || is_of_destinations && (tells(before) || tells(after))
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Made {
    who: String,
    via: String,
    what: String,
    target: String,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
}

/// The changes, the newest first; those of one thing alone where `of` names it.
pub(in crate::control::page) fn changes(frame: &Frame, changes: &[Change], of: Option<&str>) -> Markup {
    let middle = html! {
        p { "Who did what, as the audit trail has it; every destination gets the same as events of the action " code { "siem.config_changed" } "." }
        @if of.is_some() { p { a href=(frame.link("/changes")) { "All changes" } } }
        @if let (true, Some(of)) = (changes.is_empty(), of) { p { "No change of " (of) " is kept." } }
        @else if changes.is_empty() {
            p { "Nobody has changed anything yet. Whatever is made, changed, tested or sent again is listed here." }
        } @else { table.cards role="table" {
            caption { "The last changes, the newest first" }
            thead role="rowgroup" { tr role="row" {
                @for head in ["What", "Of", "Who", "When", "Tenant", "Before and after"] {
                    th scope="col" role="columnheader" { (head) }
                }
            } }
            tbody role="rowgroup" { @for change in changes { (row(change)) } }
        } }
    };
    let title = of.map_or_else(|| "Changes".to_owned(), |of| format!("Changes of {of}"));
    frame.page(Place::Changes, &title, &middle)
}

fn row(change: &Change) -> Markup {
    let Made { who, via, what, target, before, after } = &change.payload;
    let differences = differences(before, after);
    html! {
        tr role="row" {
            th scope="row" role="rowheader" { (what) }
            td role="cell" data-label="Of" { (target) }
            td role="cell" data-label="Who" { (who) " (" (via) ")" }
            td role="cell" data-label="When" { (time_or(parse_rfc3339(change.timestamp.as_bytes()), &change.timestamp)) }
            td role="cell" data-label="Tenant" { (change.tenant_id) }
            td role="cell" data-label="Before, after" {
                @match differences.len() {
                    0 => { "no difference" },
                    ..=OPEN_MAX => { (told(&differences)) },
                    more => { details { summary { (more) " values" } (told(&differences)) } },
                }
            }
        }
    }
}

/// A value that is not as it was: its name, before and after.
type Difference = (String, String, String);

fn told(differences: &[Difference]) -> Markup {
    html! { @for (name, before, after) in differences {
        span.line {
            @if !name.is_empty() { code { (name) } ": " }
            @if !before.is_empty() { del { (value(before)) } " " }
            @if !after.is_empty() { ins { (value(after)) } }
        }
    } }
}

/// A value; a moment in the reader's zone.
fn value(text: &str) -> Markup {
    html! { @if parse_rfc3339(text.as_bytes()).is_some() { (time_told(text)) } @else { (text) } }
}

/// What differs between two objects, and any other two values as a whole. What is absent is empty.
fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let none = Map::new();
    let (Some(old), Some(new)) = (members(before, &none), members(after, &none)) else {
        return vec![(String::new(), text(before), text(after))];
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |of: &Map<String, Value>, name: &str| of.get(name).map(text).unwrap_or_default();
    let pairs = names.into_iter().map(|name| (name.clone(), value(old, name), value(new, name)));
    pairs.filter(|(_, old, new)| old != new).collect()
}

/// An object's members; nothing has `none`.
fn members<'v>(value: &'v Value, none: &'v Map<String, Value>) -> Option<&'v Map<String, Value>> {
    if value.is_null() { Some(none) } else { value.as_object() }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Differences that are shown without asking.
const OPEN_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::access::Role;
    use crate::control::page::view::tests::{assert_strict, frame};

    #[test]
    fn the_tail_is_asked_for_what_is_wished_and_no_wish_is_markup() {
        let page = tail(&frame(Role::Viewer), &vec![("action", "file.* & \"<b>\"".to_owned())]);
        assert_strict(&page);
        let text = page.into_string();
        assert!(text.contains("data-from=\"/v1/tail?action=file.*+%26+%22%3Cb%3E%22\""), "{text}");
        assert!(text.contains("value=\"file.* &amp; &quot;&lt;b&gt;&quot;\""), "{text}");
    }

    #[test]
    fn a_change_says_who_what_before_and_after_as_text() {
        let change: Change = serde_json::from_value(json!({
            "timestamp": "2026-11-26T09:40:00.000Z",
            "tenant_id": "acme",
            "payload": {"who": "<i>uid 0", "via": "cli", "what": "destination.pause", "target": "a", "before": null,
                "after": {"x": "<script>"}},
        }))
        .unwrap();
        let page = changes(&frame(Role::Viewer), &[change], Some("a"));
        assert_strict(&page);
        let text = page.into_string();
        assert!(
            text.contains("&lt;i&gt;uid 0") && text.contains("&lt;script&gt;") && text.contains("destination.pause")
        );
        assert!(text.contains("<h1>Changes of a</h1>") && text.contains(">acme</td>"), "{text}");
        assert!(changes(&frame(Role::Viewer), &[], None).into_string().contains("Nobody has changed anything yet"));
        let none = changes(&frame(Role::Viewer), &[], Some("<b>")).into_string();
        assert!(none.contains("No change of &lt;b&gt; is kept.") && !none.contains("Nobody"), "{none}");
    }

    #[test]
    fn a_change_among_others_is_one_of_each_that_it_touches_under_either_name() {
        let of = |name: &str, what: &str, target: &str, before: Value, after: Value| {
            let payload =
                json!({"who": "x", "via": "api", "what": what, "target": target, "before": before, "after": after});
            let change: Change = serde_json::from_value(json!({"timestamp": "", "payload": payload})).unwrap();
            change.is_of(name)
        };
        let one = |name: &str| json!({"name": name, "url": "b"});
        let set =
            |name| of(name, "destination.set", "destinations", json!({"id-a": one("a")}), json!({"id-a": one("c")}));
        assert!(set("a") && set("c") && set("destinations") && !set("b") && !set("id-a"));
        let renamed = |name| of(name, "destination.change", "c", one("a"), one("c"));
        assert!(renamed("a") && renamed("c") && !renamed("b"));
        let reload = |name| {
            let before = json!({"destination \"a\" url": "x", "log.level": "info"});
            let after = json!({"destination \"a\" url": "y", "log.level": "warn", "destination \"new\"": one("new")});
            of(name, "config.reload", "agent.toml", before, after)
        };
        assert!(reload("a") && reload("new") && reload("agent.toml"));
        assert!(!reload("url") && !reload("log.level") && !reload("ne"));
        let token = |name| of(name, "token.create", "ci", Value::Null, json!({"name": "a"}));
        assert!(token("ci") && !token("a"), "a token of the same name is another thing");
    }

    #[test]
    fn of_two_objects_only_what_differs_is_told_and_of_other_values_all() {
        let told = |before, after| differences(&before, &after);
        let line = |name: &str, before: &str, after: &str| (name.to_owned(), before.to_owned(), after.to_owned());
        assert_eq!(told(json!({"a": "1", "b": true, "c": null}), json!({"a": "2", "b": true})), [line("a", "1", "2")]);
        assert_eq!(told(Value::Null, json!({"ok": true, "code": null})), [line("ok", "", "true")]);
        assert_eq!(told(json!([1]), json!("x")), [line("", "[1]", "x")]);
        assert_eq!(told(Value::Null, Value::Null), []);
    }
}
