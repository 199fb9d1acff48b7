//! The ways in which a receiver can fail.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::reply::{Reply, RetryAfter};
use super::request::Request;

/// What happens to requests.
#[derive(Clone, Debug, Default)]
pub enum Fault {
    /// Nothing: the documented behaviour.
    #[default]
    None,
    /// The request is read and never answered; dropped when the fault ends.
    Hang,
    /// The request gets this answer and nothing is taken.
    Answer(Reply),
    /// The request gets this status in the receiver's own words and nothing is taken.
    Status {
        /// HTTP status.
        status: u16,
        /// With this header.
        retry_after: Option<RetryAfter>,
    },
    /// Everything is taken and this is answered.
    TakeAndAnswer(Reply),
    /// A request with an event for which the predicate is true is refused: that event where the receiver judges events
    /// one by one, else the batch.
    RefuseEvents {
        /// Sees the bytes of the event.
        when: Predicate,
        /// The answer says which event it was, where the format can.
        names_event: bool,
        /// The events before it are taken, where the receiver does that.
        keeps_prefix: bool,
    },
    /// The same with a status of its own for each event, such as a 429 for some of them.
    RefuseItems {
        /// Sees the bytes of the event.
        when: Predicate,
        /// The event's status; the request's where the receiver judges it as a whole.
        status: u16,
    },
    /// The connection is reset when this many bytes of the body have come; nothing is taken.
    CutBody {
        /// Bytes read, at most half of the body.
        after: usize,
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

/// One fault and for whom it is.
pub(super) struct Plan {
    pub(super) fault: Fault,
    pub(super) left: Option<u32>,
    pub(super) when: Option<RequestQuestion>,
}

pub(super) type RequestQuestion = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

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
    /// 503 to everything, for `retry_after` seconds if the answer says so.
    pub fn busy(retry_after: Option<u32>) -> Fault {
        Fault::Status { status: 503, retry_after: retry_after.map(RetryAfter::Seconds) }
    }

    /// 429 to everything.
    pub fn at_capacity(retry_after: Option<u32>) -> Fault {
        Fault::Status { status: 429, retry_after: retry_after.map(RetryAfter::Seconds) }
    }

    /// 500 to everything.
    pub fn internal_error() -> Fault {
        Fault::Status { status: 500, retry_after: None }
    }

    /// 400 to everything, with no event named.
    pub fn bad_request() -> Fault {
        Fault::Status { status: 400, retry_after: None }
    }

    /// Refuses each event that contains `text`: the one poison event of a batch.
    pub fn poison(text: &str) -> Fault {
        Fault::RefuseEvents { when: Predicate::contains(text), names_event: false, keeps_prefix: false }
    }
}
