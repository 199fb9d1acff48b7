//! The live tail, which a script fills, and the changes that somebody made.

use maud::{Markup, html};
use scaidrive_codecs::time::parse_rfc3339;
use serde::Deserialize;
use serde_json::Value;

use super::frame::{Frame, Place};
use super::words::time_or;

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
        form.finder role="search" method="get" action=(frame.link("/events")) {
            @for (name, label) in WISHES {
                label for={ "w-" (name) } { (label) }
                input id={ "w-" (name) } type="search" name=(name) value=[value(name)] autocomplete="off";
            }
            button type="submit" { "Show these" }
        }
        p #tail-state role="status" { }
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
    payload: Made,
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

/// The changes, the newest first.
pub(in crate::control::page) fn changes(frame: &Frame, changes: &[Change]) -> Markup {
    let middle = html! {
        p { "Who did what, as the audit trail has it; every destination gets the same as events of the action " code { "siem.config_changed" } "." }
        @if changes.is_empty() { p { "Nobody has changed anything yet." } }
        @else { div.wide tabindex="0" role="region" aria-label="Changes" { table {
            caption { "The last changes" }
            thead { tr {
                th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Of" }
                th scope="col" { "Before and after" }
            } }
            tbody { @for change in changes { (row(change)) } }
        } } }
    };
    frame.page(Place::Changes, "Changes", &middle)
}

fn row(change: &Change) -> Markup {
    let Made { who, via, what, target, before, after } = &change.payload;
    html! {
        tr {
            td { (time_or(parse_rfc3339(change.timestamp.as_bytes()), &change.timestamp)) }
            th scope="row" { (who) " " small { (via) } }
            td { (what) }
            td { (target) }
            td { details {
                summary { "Show" }
                p { "Before" }
                pre tabindex="0" { code { (format!("{before:#}")) } }
                p { "After" }
                pre tabindex="0" { code { (format!("{after:#}")) } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
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
        let change: Change = serde_json::from_value(serde_json::json!({
            "timestamp": "2026-11-26T09:40:00.000Z",
            "payload": {"who": "<i>uid 0", "via": "cli", "what": "destination.pause", "target": "a", "before": null,
                "after": {"x": "<script>"}},
        }))
        .unwrap();
        let page = changes(&frame(Role::Viewer), &[change]);
        assert_strict(&page);
        let text = page.into_string();
        assert!(
            text.contains("&lt;i&gt;uid 0") && text.contains("&lt;script&gt;") && text.contains("destination.pause")
        );
        assert!(changes(&frame(Role::Viewer), &[]).into_string().contains("Nobody has changed anything yet"));
    }
}
