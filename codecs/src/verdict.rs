//! What a reply means for its batch: values, so that the sender decides what happens next and tests can compare.

use crate::http::Reply;

/// What one reply means for the batch it answers. Events are counted from 0 in the order they were encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The destination has taken responsibility for every event.
    Delivered {
        /// It did, but asks for less.
        slow_down: bool,
    },
    /// The destination judged the events one by one. What is in neither list, it has taken.
    Judged {
        /// What it will never take, in order.
        refused: Vec<RefusedItem>,
        /// Positions of what it could not take now, in order.
        again: Vec<usize>,
        /// It asks for less.
        slow_down: bool,
        /// What people should know and the lists do not say, in plain words.
        note: Option<String>,
    },
    /// Send the same bytes again later.
    Retry {
        /// No sooner than this, if the destination named a time.
        after_ms: Option<u64>,
        /// In plain words.
        why: String,
        /// Fewer requests at a time would help.
        slow_down: bool,
        /// Close this connection first: another one may reach another server.
        new_connection: bool,
    },
    /// Something in the batch is not acceptable: send it in smaller parts.
    Split {
        /// The event that the reply seems to name. Only a hint: its base is not to be relied on.
        offender: Option<usize>,
        /// In plain words.
        why: String,
    },
    /// The batch is too much at once, in bytes, in time or for one answer: send it in smaller parts. No event is to blame.
    Smaller {
        /// In plain words.
        why: String,
    },
    /// One part of the destination refuses the events meant for it, whatever is in them, and the others come to grief with
    /// them: send those of each group ([`crate::Format::group`]) apart. To events of one group it means that they are all
    /// refused.
    Apart {
        /// In plain words.
        why: String,
    },
    /// The destination does not read compressed bodies: send the same bytes uncompressed and remember that. To a body
    /// that was not compressed this means the same as [`Verdict::Misconfigured`].
    Uncompressed {
        /// In plain words.
        why: String,
    },
    /// The credentials were refused: hold everything, read the secret again, probe. Never a loss.
    HoldForCredentials {
        /// In plain words.
        why: String,
    },
    /// The settings are wrong, not the events: hold everything, probe slowly.
    Misconfigured {
        /// In plain words.
        why: String,
    },
}

/// One event that the destination will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedItem {
    /// Its place in the batch, from 0.
    pub item: usize,
    /// The destination's words, shortened.
    pub reason: String,
}

impl Verdict {
    /// The destination will never take these events, and has taken all others.
    pub fn refused(refused: Vec<RefusedItem>) -> Verdict {
        Verdict::Judged { refused, again: Vec::new(), slow_down: false, note: None }
    }

    /// The events of this batch cannot all be taken: split it, or, where one stands alone, refuse that one.
    pub fn split_or_refuse(events: usize, offender: Option<usize>, why: String) -> Verdict {
        if events == 1 {
            return Verdict::refused(vec![RefusedItem { item: 0, reason: why }]);
        }
        Verdict::Split { offender: offender.filter(|nth| *nth < events), why }
    }

    /// The batch is too much at once: split it, or, where one event stands alone, refuse that one.
    pub fn smaller_or_refuse(events: usize, why: String) -> Verdict {
        if events == 1 { Verdict::split_or_refuse(events, None, why) } else { Verdict::Smaller { why } }
    }

    /// What an HTTP status means where nothing more is known than the status (RFC 9110, section 15).
    ///
    /// Only 400, 413 and 422 are ever blamed on the events. A status below 300 is not judged here: success is what
    /// each destination says it is. `events` is the size of the batch, `why` the words to report.
    pub fn of_status(reply: &Reply, events: usize, now_ms: i64, why: String) -> Verdict {
        let retry = |slow_down, new_connection, why| Verdict::Retry {
            after_ms: reply.retry_after(now_ms),
            why,
            slow_down,
            new_connection,
        };
        match reply.status {
            400 | 422 => Verdict::split_or_refuse(events, None, why),
            413 => Verdict::smaller_or_refuse(events, why),
            401 | 403 | 407 => Verdict::HoldForCredentials { why },
            // Not followed: the request carries credentials, and events must not end up wherever somebody points.
            300..400 => Verdict::Misconfigured { why: format!("{why} (it redirects to {})", redirect_target(reply)) },
            // A restarting cluster answers 404 for a while, so this is for the circuit to judge.
            404 | 408 | 425 => retry(false, false, why),
            // What answered is busy or gone; behind a balancer another connection may find another server.
            429 | 502 | 503 => retry(true, true, why),
            500.. => retry(false, false, why),
            _ => Verdict::Misconfigured { why },
        }
    }
}

/// Where a redirect leads: scheme, host and path. A query may hold a secret.
pub(crate) fn redirect_target(reply: &Reply) -> String {
    let location = reply.header("location").unwrap_or("a place it does not name");
    shown(location.split(['?', '#']).next().unwrap_or_default())
}

/// Makes text from outside fit to be shown: one line, no control characters, at most [`SHOWN_MAX`] characters.
pub fn shown(text: &str) -> String {
    let mut line: String = text.trim().chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().chars().nth(SHOWN_MAX).is_some() {
        line.push('…');
    }
    line
}

/// No more of a foreign text is kept in a verdict.
pub const SHOWN_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_event_is_refused_and_a_batch_is_split() {
        let alone = Verdict::split_or_refuse(1, Some(0), "bad".into());
        let refused = vec![RefusedItem { item: 0, reason: "bad".into() }];
        assert_eq!(alone, Verdict::refused(refused));
        let batch = Verdict::split_or_refuse(3, Some(3), "bad".into());
        assert_eq!(batch, Verdict::Split { offender: None, why: "bad".into() });
    }

    #[test]
    fn too_large_a_batch_blames_no_event() {
        let reply = Reply { status: 413, ..Reply::default() };
        let verdict = |events| Verdict::of_status(&reply, events, 0, "big".into());
        assert_eq!(verdict(3), Verdict::Smaller { why: "big".into() });
        assert_eq!(verdict(1), Verdict::refused(vec![RefusedItem { item: 0, reason: "big".into() }]));
    }

    #[test]
    fn a_redirect_is_a_wrong_setting_and_says_where_it_leads() {
        let headers = vec![("Location".to_owned(), "https://other.example.com/x?token=secret".to_owned())];
        let reply = Reply { status: 307, headers, ..Reply::default() };
        let Verdict::Misconfigured { why } = Verdict::of_status(&reply, 3, 0, "HTTP 307".into()) else { panic!() };
        assert_eq!(why, "HTTP 307 (it redirects to https://other.example.com/x)");
    }

    #[test]
    fn foreign_text_is_shown_on_one_short_line() {
        assert_eq!(shown(" a\r\nb\u{1b}[0m "), "a  b [0m");
        assert_eq!(shown(&"x".repeat(SHOWN_MAX)).chars().count(), SHOWN_MAX);
        assert_eq!(shown(&"é".repeat(SHOWN_MAX + 1)).chars().count(), SHOWN_MAX + 1);
    }
}
