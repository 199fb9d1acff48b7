//! What an HTTP destination's format can be asked: events in, request out; reply in, verdict out.
//!
//! A request body is the frame's opening, the events as [`Format::encode`] wrote them one after another, and the frame's
//! closing. Separators belong to the events: whoever is not the first begins with one.
//!
//! Credentials are not the format's business; whoever sends adds their headers.

use std::fmt;
use std::ops::Range;

use crate::body::{Body, Stamp};
use crate::event::Event;
use crate::filter::Scratch;
use crate::http::Reply;
use crate::redact::Piece;
use crate::verdict::Verdict;

/// The format of one HTTP destination, with its settings.
pub trait Format: fmt::Debug + Send + Sync {
    /// Appends one event to a body.
    ///
    /// # Errors
    /// [`Unfit`] when the destination could never take this event; `body` is then as it was.
    fn encode(&self, event: &Event<'_>, entry: &Entry<'_>, body: &mut Body, scratch: &mut Scratch)
    -> Result<(), Unfit>;

    /// What stands before and after the events of a body.
    fn frame(&self) -> Frame {
        Frame { opening: b"", closing: b"" }
    }

    /// How a request with events begins.
    fn request(&self) -> &RequestParts;

    /// Which part of the destination a stamped event goes to, by its name, where it has parts that may refuse what others
    /// take ([`Verdict::Apart`]); usually all go to the same.
    fn group(&self, event: &Event<'_>, scratch: &mut Scratch) -> &str {
        let _ = (event, scratch);
        ""
    }

    /// What a reply to a request with `events` events means. `now_ms` is the wall clock, for `Retry-After` dates.
    fn verdict(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict;

    /// Like [`Format::verdict`], knowing also how long the body was before compression: some destinations give one answer
    /// to two faults, and the length tells them apart. Whoever sends asks this one.
    fn verdict_by_length(&self, reply: &Reply, events: usize, body_len: usize, now_ms: i64) -> Verdict {
        let _ = body_len;
        self.verdict(reply, events, now_ms)
    }

    /// What it means that the connection broke while `body_len` bytes were sent, where this destination says something by
    /// that; usually nothing.
    fn interrupted(&self, body_len: usize, events: usize) -> Option<Verdict> {
        let _ = (body_len, events);
        None
    }

    /// Under which number the destination will say later that it has really taken what this reply accepts; where it does
    /// so, acceptance alone is no delivery. Usually nothing: a reply is final.
    fn acknowledgement(&self, reply: &Reply) -> Option<u64> {
        let _ = reply;
        None
    }

    /// How long an encoding stays right, in milliseconds, where the body depends on the time it was made at; usually for
    /// ever. A body that is older when it is to be sent is encoded again.
    fn encoded_for(&self) -> Option<u64> {
        None
    }
}

/// How an event stands in a body.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its place, from 0; the number under which its bytes are lent.
    pub item: u32,
    /// Its number in the stream. An event of the agent's own, a notice or a statement, has none and lies in no log, so
    /// its bytes are copied.
    pub stamp: Option<&'a Stamp<'a>>,
    /// The wall clock, in epoch milliseconds.
    pub now_ms: i64,
}

impl Entry<'_> {
    /// Appends a range of the event's own bytes: borrowed when it lies in the log, copied otherwise. What is redacted in it
    /// does not go out; what stands in its place is copied, and with it what is short beside it.
    ///
    /// # Panics
    /// When the range lies outside the event.
    pub fn lend(&self, event: &Event<'_>, range: Range<usize>, body: &mut Body) {
        let bytes = &event.raw[range.clone()];
        match (event.edits, self.stamp) {
            (None, Some(_)) => body.push_item(self.item, range.start as u32, range.end as u32),
            (None, None) => body.push_glue(bytes),
            (Some(_), _) => self.lend_pieces(event, range, body),
        }
    }

    fn lend_pieces(&self, event: &Event<'_>, range: Range<usize>, body: &mut Body) {
        for piece in event.pieces(range) {
            match (piece, self.stamp) {
                (Piece::Own(range), Some(_)) if range.len() >= BORROW_MIN => {
                    body.push_item(self.item, range.start as u32, range.end as u32);
                }
                (piece, _) => body.push_glue(piece.bytes(event.raw)),
            }
        }
    }
}

/// A piece shorter than this is cheaper to copy than to send as a slice of its own.
pub(crate) const BORROW_MIN: usize = 512;

/// What stands around the events of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Before the first.
    pub opening: &'static [u8],
    /// After the last.
    pub closing: &'static [u8],
}

impl Frame {
    /// The brackets of a JSON array.
    pub const ARRAY: Frame = Frame { opening: b"[", closing: b"]" };

    /// Bytes of both.
    pub const fn len(&self) -> usize {
        self.opening.len() + self.closing.len()
    }

    /// Whether there is nothing around the events.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is the same in every request with events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestParts {
    /// The method.
    pub method: String,
    /// The request target: path and query.
    pub path: String,
    /// Headers; without `Host`, `User-Agent`, the body's length and coding, and credentials.
    pub headers: Vec<(String, String)>,
}

/// An event that a destination could never take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unfit {
    /// In plain words.
    pub why: String,
}
