//! What several views show in the same way: the state of a destination, how much of the log's window it has used up,
//! lists of what and how much.

use maud::{Markup, html};

use super::words::{part_of, span, time};
use crate::cli::status::progress;
use crate::control::states::badness;
use crate::control::status::{DestinationStatus, ReplayStatus};

/// How a state is shown: the word for it, and how much it wants to be seen.
pub(in crate::control::page) fn badge(state: &str) -> Markup {
    html! { span class={ "badge " (weight(state)) } { (state.replace('_', " ")) } }
}

/// The class of a state.
fn weight(state: &str) -> &'static str {
    match state {
        "active" => "good",
        "paused" | "draining" => "calm",
        "active_with_errors" | "throttled" | "retrying" => "warn",
        _ => "bad",
    }
}

/// Whether somebody should look: it is worse than active, and nobody wished it so.
pub(in crate::control::page) fn wants_attention(status: &DestinationStatus) -> bool {
    let is_worse = badness(&status.state) > badness("active");
    // What keeps one from draining is nobody's wish.
    let is_wished = status.pause.is_some() && badness(&status.state) <= badness("draining");
    (is_worse && !is_wished) || status.books.difference > 0
}

/// How much of the time that the log holds events this destination has used up.
pub(in crate::control::page) fn headroom(status: &DestinationStatus, window_ms: u64) -> Markup {
    let hold_ms = status.lag_ms.saturating_add(status.headroom_ms);
    let used_ms = status.lag_ms.min(hold_ms);
    html! {
        meter min="0" max=(hold_ms.max(1)) high=(hold_ms / 2) value=(used_ms) aria-label={ "window used by " (status.name) } {}
        " " (part_of(used_ms, hold_ms)) " used"
        @if hold_ms < window_ms { "; the budget lasts no longer at this rate" }
        @if wants_attention(status) && used_ms > 0 && status.headroom_ms == 0 { "; what is older is given up" }
        @else if let Some(full_in_ms) = status.full_in_ms { "; at this rate full in " (span(full_in_ms)) }
        @else if wants_attention(status) && used_ms > 0 {
            "; if nothing is accepted, full in " (span(status.headroom_ms))
        }
    }
}

/// Events that a destination has not settled, with a guess at their bytes by those it has accepted.
pub(in crate::control::page) fn waiting(status: &DestinationStatus) -> (u64, Option<u64>) {
    let events = status.unread.saturating_add(status.books.in_hand);
    let each = status.delivered_bytes.checked_div(status.books.delivered);
    (events, each.map(|each| each.saturating_mul(events)).filter(|_| events > 0))
}

/// A replay and how far it has come.
pub(in crate::control::page) fn replay(replay: &ReplayStatus) -> Markup {
    html! { "Begun " (time(replay.begun_ms)) ": " (progress(replay)) }
}

/// Pairs of what and how it is.
pub(in crate::control::page) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts { @for (what, how) in facts { div { dt { (what) } dd { (how) } } } }
    }
}

/// A text as a fact.
pub(in crate::control::page) fn fact(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::page::view::tests::status;

    #[test]
    fn a_state_is_told_by_its_word_and_not_by_colour_alone() {
        assert_eq!(badge("circuit_open").into_string(), "<span class=\"badge bad\">circuit open</span>");
        assert_eq!(badge("active").into_string(), "<span class=\"badge good\">active</span>");
        assert_eq!(badge("unheard_of").into_string(), "<span class=\"badge bad\">unheard of</span>");
    }

    #[test]
    fn headroom_says_what_is_used_and_when_the_window_is_full() {
        let mut status = status("splunk", "retrying");
        (status.lag_ms, status.headroom_ms) = (12 * 60_000, 18 * 60_000);
        let text = headroom(&status, 30 * 60_000).into_string();
        assert!(text.contains("12 of 30 min used; if nothing is accepted, full in 18 m"), "{text}");
        status.full_in_ms = Some(41 * 60_000);
        let text = headroom(&status, 30 * 60_000).into_string();
        assert!(text.contains("12 of 30 min used; at this rate full in 41 m"), "{text}");
        (status.lag_ms, status.headroom_ms) = (30 * 60_000, 0);
        assert!(headroom(&status, 30 * 60_000).into_string().contains("; what is older is given up"));
        (status.state, status.full_in_ms) = ("active".to_owned(), None);
        let text = headroom(&status, 60 * 60_000).into_string();
        assert!(text.ends_with("30 of 30 min used; the budget lasts no longer at this rate"), "{text}");
    }

    #[test]
    fn what_waits_is_weighed_by_what_was_accepted() {
        let mut status = status("splunk", "active");
        (status.unread, status.books.in_hand) = (90, 10);
        assert_eq!(waiting(&status), (100, None));
        (status.books.delivered, status.delivered_bytes) = (10, 6_000);
        assert_eq!(waiting(&status), (100, Some(60_000)));
    }

    #[test]
    fn a_pause_that_somebody_wished_wants_no_attention_and_books_that_are_out_do() {
        let mut paused = status("a", "paused");
        paused.pause = Some(crate::node::Pause { who: "uid 0".to_owned(), since_ms: 0, drain: None });
        assert!(!wants_attention(&paused) && !wants_attention(&status("a", "active")));
        assert!(wants_attention(&status("a", "retrying")));
        let stuck = DestinationStatus { state: "auth_hold".to_owned(), ..paused.clone() };
        assert!(wants_attention(&stuck), "it drains, and can't");
        paused.books.difference = 1;
        assert!(wants_attention(&paused));
    }
}
