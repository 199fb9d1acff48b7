//! The live tail, which a script fills, and the changes that somebody made.

use std::collections::BTreeSet;

use maud::{Markup, html};
use scaidrive_codecs::time::parse_rfc3339;
use serde_json::{Map, Value};

use super::frame::{Frame, Place};
use super::words::{time_or, time_told};
use crate::control::agent_events::AgentEvent;
use crate::control::changes::{Change, Changes, Made};

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

/// A page of the changes; of one thing alone where `of` names it. `is_first` is whether it begins with the newest.
pub(in crate::control::page) fn changes(frame: &Frame, page: &Changes, of: Option<&str>, is_first: bool) -> Markup {
    let read = |event: &AgentEvent| serde_json::from_str::<Change>(event.event.get()).ok();
    let changes: Vec<Change> = page.changes.iter().filter_map(read).collect();
    let at = |before: Option<&str>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(of.map(|of| ("of", of)).into_iter().chain(before.map(|before| ("before", before))));
        let query = query.finish();
        frame.link(&if query.is_empty() { "/changes".to_owned() } else { format!("/changes?{query}") })
    };
    let middle = html! {
        p { "Who did what, as the audit trail has it; every destination gets the same as events of the action " code { "siem.config_changed" } "." }
        @if let Some(tenants) = &page.only_tenants { p {
            "Shown are the changes of your tenants alone (" (tenants.join(", ")) "). Whatever was changed for others, or for all, is not shown here."
        } }
        @if of.is_some() { p { a href=(frame.link("/changes")) { "All changes" } } }
        @if !changes.is_empty() { (table(&changes, is_first)) }
        @else if !is_first { p { "Nothing older is kept." } }
        @else if let Some(of) = of { p { "No change of " (of) " is kept." } }
        @else if page.only_tenants.is_some() { p { "No change of your tenants is kept." } }
        @else if page.is_lossy { p { "No change is kept." } }
        @else { p { "Nobody has changed anything yet. Whatever is made, changed, tested or sent again is listed here." } }
        @if page.is_lossy && page.next.is_none() { p {
            "There may have been others: the agent keeps the newest few MiB of what it tells of itself, and some of what it told is not here any more."
        } }
        @if !is_first || page.next.is_some() { nav.pages aria-label="Pages of changes" {
            @if !is_first { a href=(at(None)) { "Newest changes" } " " }
            @if let Some(next) = &page.next { a href=(at(Some(next))) rel="next" { "Older changes" } }
        } }
    };
    let title = of.map_or_else(|| "Changes".to_owned(), |of| format!("Changes of {of}"));
    frame.page(Place::Changes, &title, &middle)
}

fn table(changes: &[Change], is_first: bool) -> Markup {
    html! { table.cards role="table" {
        caption { @if is_first { "The last changes, the newest first" } @else { "Older changes, the newest first" } }
        thead role="rowgroup" { tr role="row" {
            @for head in ["What", "Of", "Who", "When", "Tenant", "Before and after"] {
                th scope="col" role="columnheader" { (head) }
            }
        } }
        tbody role="rowgroup" { @for change in changes { (row(change)) } }
    } }
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
        let change = json!({
            "timestamp": "2026-11-26T09:40:00.000Z",
            "tenant_id": "acme",
            "payload": {"who": "<i>uid 0", "via": "cli", "what": "destination.pause", "target": "a", "before": null,
                "after": {"x": "<script>"}},
        });
        let page = changes(&frame(Role::Viewer), &of(&[change]), Some("a"), true);
        assert_strict(&page);
        let text = page.into_string();
        assert!(
            text.contains("&lt;i&gt;uid 0") && text.contains("&lt;script&gt;") && text.contains("destination.pause")
        );
        assert!(text.contains("<h1>Changes of a</h1>") && text.contains(">acme</td>"), "{text}");
        assert!(!text.contains("Older changes") && !text.contains("your tenants"), "{text}");
        assert!(
            changes(&frame(Role::Viewer), &of(&[]), None, true)
                .into_string()
                .contains("Nobody has changed anything yet")
        );
        let none = changes(&frame(Role::Viewer), &of(&[]), Some("<b>"), true).into_string();
        assert!(none.contains("No change of &lt;b&gt; is kept.") && !none.contains("Nobody"), "{none}");
    }

    #[test]
    fn nobody_is_told_that_nothing_was_changed_where_changes_may_be_lost() {
        let text = |page: &Changes| {
            let page = changes(&frame(Role::Viewer), page, None, true);
            assert_strict(&page);
            page.into_string()
        };
        let lossy = text(&Changes { is_lossy: true, ..of(&[]) });
        assert!(lossy.contains("No change is kept.") && lossy.contains("may have been others"), "{lossy}");
        assert!(!lossy.contains("Nobody") && !text(&of(&[])).contains("may have been others"), "{lossy}");
        let goes_on = text(&Changes { is_lossy: true, next: Some("00ff-7".to_owned()), ..of(&[]) });
        assert!(!goes_on.contains("may have been others"), "that is for the last page: {goes_on}");
    }

    /// A page of these changes and no other.
    fn of(changes: &[Value]) -> Changes {
        let event = |change: &Value| AgentEvent {
            cursor: String::new(),
            event: serde_json::value::to_raw_value(change).unwrap(),
        };
        Changes { changes: changes.iter().map(event).collect(), next: None, only_tenants: None, is_lossy: false }
    }

    #[test]
    fn pages_of_changes_lead_to_older_ones_and_back_to_the_newest_of_the_same_thing() {
        let page = Changes { next: Some("00ff-7".to_owned()), ..of(&[]) };
        let text = |of, is_first| changes(&frame(Role::Viewer), &page, of, is_first).into_string();
        assert!(text(None, true).contains("href=\"/changes?before=00ff-7\"") && !text(None, true).contains("Newest"));
        let inside = text(Some("a&b"), false);
        assert!(inside.contains("href=\"/changes?of=a%26b&amp;before=00ff-7\""), "{inside}");
        assert!(inside.contains("href=\"/changes?of=a%26b\"") && inside.contains("Nothing older"), "{inside}");
    }

    #[test]
    fn who_is_bound_to_tenants_is_told_that_they_see_the_changes_of_those_alone() {
        let page = Changes { only_tenants: Some(vec!["acme".to_owned(), "<globex>".to_owned()]), ..of(&[]) };
        for name in [None, Some("a")] {
            let text = changes(&frame(Role::Viewer), &page, name, true).into_string();
            assert!(text.contains("the changes of your tenants alone (acme, &lt;globex&gt;)"), "{text}");
            assert!(!text.contains("Nobody has changed anything"), "that is not known: {text}");
        }
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
