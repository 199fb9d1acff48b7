//! The ways in which the receiver can fail.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What happens to requests.
#[derive(Clone, Debug, Default)]
pub enum Fault {
    /// Nothing: the documented behaviour.
    #[default]
    None,
    /// The request is read and never answered; dropped when the fault ends.
    Hang,
    /// Every request gets this answer and nothing is taken.
    Answer(Reply),
    /// A request with an event for which the predicate is true is refused with code 6.
    RefuseEvents {
        /// Sees the bytes of the event.
        when: Predicate,
        /// The answer carries `invalid-event-number`.
        names_event: bool,
        /// The events before it are taken, as Splunk does.
        keeps_prefix: bool,
    },
    /// The connection is closed instead of a reply; the events are taken or not.
    CloseAfterBody {
        /// Whether the events are taken.
        takes: bool,
    },
    /// Half of the reply, then the end; the events are taken or not.
    CutReply {
        /// Whether the events are taken.
        takes: bool,
    },
    /// All is well, after this time.
    SlowReply(Duration),
}

/// An answer as documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Splunk's code in the body.
    pub code: u16,
    /// Splunk's text in the body.
    pub text: &'static str,
    /// Seconds for a `Retry-After` header.
    pub retry_after: Option<u32>,
    /// `invalid-event-number` in the body, from 0.
    pub invalid_event: Option<usize>,
}

/// A question about an event's bytes.
#[derive(Clone)]
pub struct Predicate(Arc<Question>);

type Question = dyn Fn(&[u8]) -> bool + Send + Sync;

impl Predicate {
    /// Asks `question` about each event.
    pub fn new(question: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Predicate {
        Predicate(Arc::new(question))
    }

    /// True for events that contain `text`.
    pub fn contains(text: &str) -> Predicate {
        let finder = memchr::memmem::Finder::new(text.as_bytes()).into_owned();
        Predicate::new(move |event| finder.find(event).is_some())
    }

    pub(super) fn holds(&self, event: &[u8]) -> bool {
        (self.0)(event)
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predicate")
    }
}

impl Fault {
    /// 503 code 9 to everything.
    pub fn busy(retry_after: Option<u32>) -> Fault {
        Fault::Answer(Reply { retry_after, ..Reply::new(503, 9, "Server is busy") })
    }

    /// 429 code 26 to everything.
    pub fn at_capacity(retry_after: Option<u32>) -> Fault {
        Fault::Answer(Reply { retry_after, ..Reply::new(429, 26, "Queue is at capacity") })
    }

    /// 500 code 8 to everything.
    pub fn internal_error() -> Fault {
        Fault::Answer(Reply::new(500, 8, "Internal server error"))
    }

    /// 400 code 6 to everything, with no event named.
    pub fn bad_request() -> Fault {
        Fault::Answer(Reply::new(400, 6, "Invalid data format"))
    }

    /// Refuses each request with an event that contains `text`: the one poison event of a batch.
    pub fn poison(text: &str) -> Fault {
        Fault::RefuseEvents { when: Predicate::contains(text), names_event: false, keeps_prefix: false }
    }
}

impl Reply {
    /// An answer without `Retry-After`.
    pub const fn new(status: u16, code: u16, text: &'static str) -> Reply {
        Reply { status, code, text, retry_after: None, invalid_event: None }
    }

    /// The whole reply as bytes.
    pub(super) fn to_bytes(self, keep_alive: bool) -> Vec<u8> {
        let mut body = format!("{{\"text\":\"{}\",\"code\":{}", self.text, self.code);
        if let Some(number) = self.invalid_event {
            body.push_str(&format!(",\"invalid-event-number\":{number}"));
        }
        body.push('}');
        let mut head =
            format!("HTTP/1.1 {} {}\r\nContent-Type: application/json\r\n", self.status, reason(self.status));
        if let Some(seconds) = self.retry_after {
            head.push_str(&format!("Retry-After: {seconds}\r\n"));
        }
        if !keep_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
