//! What the page shows: from values to markup, without I/O, so that each view can be tested as a function.
//!
//! `maud` escapes whatever is not markup already. There are no styles and no scripts in what is made here, so that the
//! strictest content security policy holds; charts carry their colours in presentation attributes.
//!
//! | file | what it shows |
//! |---|---|
//! | `frame.rs` | what is around every page; forms |
//! | `words.rs`, `parts.rs` | numbers, moments; what several views share |
//! | `list.rs`, `detail.rs` | all destinations, and one |
//! | `form.rs` | a destination's settings, to be written |
//! | `tested.rs` | what a test found |
//! | `preview.rs` | what a filter would have sent |
//! | `letters.rs` | dead letters |
//! | `events.rs` | the live tail, and changes |
//! | `chart.rs` | the last hour |
//! | `health.rs` | the agent itself |
//! | `problem.rs` | what did not work |

pub(super) mod chart;
pub(super) mod detail;
pub(super) mod events;
pub(super) mod form;
pub(super) mod frame;
pub(super) mod health;
pub(super) mod letters;
pub(super) mod list;
pub(super) mod parts;
pub(super) mod preview;
pub(super) mod problem;
pub(super) mod tested;
pub(super) mod words;

#[cfg(test)]
pub(super) mod tests {
    use maud::Markup;

    use super::frame::Frame;
    use crate::control::access::{Person, Reach, Role, Via};
    use crate::control::status::{BooksStatus, DestinationStatus, LagTrend, LatencyStatus, RequestsStatus};

    /// A destination with nothing counted.
    pub(in crate::control::page) fn status(name: &str, state: &str) -> DestinationStatus {
        DestinationStatus {
            name: name.to_owned(),
            kind: "splunk_hec".to_owned(),
            state: state.to_owned(),
            code: "active".to_owned(),
            cause: "it accepts events".to_owned(),
            since_ms: Some(0),
            next: "nothing is to be done".to_owned(),
            remedy: None,
            pause: None,
            drain: None,
            redacted: Vec::new(),
            lag_ms: 0,
            window_ms: 1_800_000,
            window_used_ms: 0,
            headroom_ms: 1_800_000,
            trend: LagTrend::Level,
            full_in_ms: None,
            level_in_ms: None,
            unread: 0,
            books: BooksStatus {
                judged: 0,
                filtered: 0,
                selected: 0,
                delivered: 0,
                dead_lettered: 0,
                overflowed: 0,
                in_hand: 0,
                abandoned: 0,
                difference: 0,
            },
            requests: RequestsStatus { accepted: 0, refused: 0, failed: 0, slow_downs: 0, notes: 0, under_way: 0 },
            delivered_bytes: 0,
            events_per_second: 0.0,
            last_success_ms: None,
            last_statement_ms: None,
            last_failure: None,
            replay: None,
            latency: LatencyStatus::default(),
            dead_letters: None,
            streams: Vec::new(),
        }
    }

    /// What is around a page that somebody of this role sees.
    pub(in crate::control::page) fn frame(role: Role) -> Frame {
        Frame {
            person: Person { who: "uid 0".to_owned(), via: Via::Cli, role, reach: Reach::All },
            csrf: Some("c5rf".to_owned()),
            may_leave: false,
            base: String::new(),
            node: "node-7".to_owned(),
            note: None,
            is_fragment: false,
            now_ms: 0,
        }
    }

    /// # Panics
    /// When the markup holds what a strict content security policy refuses.
    #[track_caller]
    pub(in crate::control::page) fn assert_strict(markup: &Markup) {
        // Whatever is text has no angle bracket left, and values have no quote.
        for tag in markup.0.split('<').filter_map(|piece| piece.split('>').next()) {
            let names: String = tag.split('"').step_by(2).collect();
            let refused = names.split_whitespace().find(|word| word.starts_with("style") || word.starts_with("on"));
            assert!(refused.is_none() && !tag.contains("javascript:"), "<{tag}>");
        }
        assert!(!markup.0.contains("<script>"), "a script of its own: {}", markup.0);
    }
}
