//! What intake counts.
//!
//! Each thread that takes events in has a struct of its own and alone writes it. Once a connection or request is over,
//! `lines = blank + refused + accepted + failed + abandoned`: each line ends in exactly one of them.

use crate::counter::Counter;

/// Reasons for refusing a line, as labels. What is not in this list counts as the last one.
pub const REFUSAL_CODES: [&str; 17] = [
    "too_long",
    "not_utf8",
    "not_an_object",
    "syntax",
    "number_range",
    "line_break",
    "too_deep",
    "too_many_keys",
    "repeated_key",
    "escaped_key",
    "reserved_key",
    "missing_field",
    "wrong_type",
    "bad_timestamp",
    "cut_off",
    "bad_index",
    "other",
];

/// The label of a line over the size limit.
pub const TOO_LONG: &str = "too_long";

/// The label of a last line that its connection ended in.
pub const CUT_OFF: &str = "cut_off";

/// The counts of one thread.
#[derive(Debug, Default)]
pub struct IngestStats {
    /// Lines read from sockets, and lines or array elements of HTTP requests.
    pub lines: Counter,
    /// Lines with nothing in them.
    pub blank: Counter,
    /// Events that are durable.
    pub accepted: Counter,
    /// Bytes of those events.
    pub accepted_bytes: Counter,
    /// Events that were not kept and still belong to their producer, which was told so.
    pub failed: Counter,
    /// Events of connections and requests that ended before the events' fate was known.
    pub abandoned: Counter,
    /// Events with a severity that is none of ours; they are accepted.
    pub unknown_severity: Counter,
    /// Connections that began.
    pub opened: Counter,
    /// Connections that ended.
    pub closed: Counter,
    /// Connections turned away: not an allowed user, or too many.
    pub turned_away: Counter,
    /// HTTP requests answered.
    pub requests: Counter,
    refused: [Counter; REFUSAL_CODES.len()],
}

impl IngestStats {
    /// Counts a line refused for the reason with this label.
    pub fn refuse(&self, code: &str) {
        let last = REFUSAL_CODES.len() - 1;
        let at = REFUSAL_CODES.iter().position(|known| *known == code).unwrap_or(last);
        self.refused[at].add(1);
    }

    /// Lines refused, by label.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REFUSAL_CODES.iter().zip(&self.refused).map(|(code, counter)| (*code, counter.get()))
    }

    /// Lines refused.
    pub fn refused_total(&self) -> u64 {
        self.refused().map(|(_, count)| count).sum()
    }

    /// Connections that are open. Never negative, also while they come and go: what has closed is read first.
    pub fn open_connections(&self) -> u64 {
        let closed = self.closed.get();
        self.opened.get().saturating_sub(closed)
    }

    /// Lines that have not ended in any other count yet.
    pub fn in_hand(&self) -> u64 {
        let ended =
            self.blank.get() + self.refused_total() + self.accepted.get() + self.failed.get() + self.abandoned.get();
        self.lines.get().saturating_sub(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_label_and_unknown_labels_are_not_lost() {
        let stats = IngestStats::default();
        stats.refuse("syntax");
        stats.refuse("syntax");
        stats.refuse("a label from the future");
        let counts: Vec<_> = stats.refused().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [("syntax", 2), ("other", 1)]);
        assert_eq!(stats.refused_total(), 3);
    }

    #[test]
    fn lesson_17_gauges_are_never_negative() {
        let stats = IngestStats::default();
        stats.closed.add(1);
        stats.blank.add(3);
        assert_eq!((stats.open_connections(), stats.in_hand()), (0, 0));
    }
}
