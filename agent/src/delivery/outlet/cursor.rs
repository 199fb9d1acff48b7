//! What the cursor file holds of an outlet, and when it has to be written.

use std::ops::Range;

use super::Outlet;
use crate::stored::{self, Decode, Encode};
use crate::stream::announce::{AnnouncerState, Revision};
use crate::stream::marks::Marks;
use crate::stream::settled::Checkpoint;

/// What the cursor file holds of an outlet. To be written it borrows what is long.
#[derive(Debug, Encode, Decode)]
pub(super) struct CursorBody<Name = String, Stood = Marks> {
    pub(super) name: Name,
    pub(super) epoch: [u8; 16],
    pub(super) fingerprint: u64,
    pub(super) checkpoint: Checkpoint,
    /// Delivered already, though something before it was not settled.
    pub(super) ahead: Vec<Range<u64>>,
    pub(super) announcements: AnnouncerState,
    /// Where its numbers stand in the log.
    pub(super) marks: Stood,
}

#[derive(Debug, Default)]
pub(super) struct CursorWrites {
    /// Something changed since the last body was taken.
    pub(super) is_dirty: bool,
    /// It must be written at once.
    pub(super) is_urgent: bool,
    /// Events were settled since a body was last handed out, durable or not.
    pub(super) is_noteworthy: bool,
    /// What the cursor on the disk says.
    pub(super) durable_seq: u64,
    pub(super) on_its_way: Option<(u64, Revision)>,
}

impl Outlet {
    /// Takes the cursor body to write, when one is due: always when `is_time`, at once for a jump.
    pub fn cursor_body(&mut self, is_time: bool) -> Option<Vec<u8>> {
        let is_due = self.cursor.is_dirty && (is_time || self.cursor.is_urgent) && self.cursor.on_its_way.is_none();
        if is_due { self.cursor_body_now() } else { None }
    }

    /// Takes the cursor body as of now.
    pub fn cursor_body_now(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if !self.write_body(&mut body) {
            return None;
        }
        self.cursor.is_dirty = false;
        self.cursor.is_urgent = false;
        self.cursor.on_its_way = Some((self.settled.checkpoint().next_seq, self.announcer.revision()));
        Some(body)
    }

    fn write_body(&mut self, out: &mut Vec<u8>) -> bool {
        // A replay leaves the stream's cursor alone.
        if self.is_replay() {
            return false;
        }
        let body = CursorBody {
            name: self.destination.name.as_str(),
            epoch: self.stream.epoch(),
            fingerprint: self.fingerprint,
            checkpoint: self.settled.checkpoint(),
            ahead: self.settled.delivered_ahead(AHEAD_MAX),
            announcements: self.announcer.state(),
            marks: &self.marks,
        };
        let is_written = stored::encode(&body, out).is_ok();
        self.cursor.is_noteworthy &= !is_written;
        is_written
    }

    /// Appends a body to be written without a sync to `out`, when events were settled since the last one: a killed agent
    /// then sends again only what was not answered. Returns whether it has.
    pub fn write_cursor_note(&mut self, out: &mut Vec<u8>) -> bool {
        self.cursor.is_noteworthy && self.cursor.durable_seq > 0 && self.write_body(out)
    }

    /// The body taken last is on the disk, or could not be written.
    pub fn cursor_written(&mut self, is_durable: bool) {
        let Some((seq, revision)) = self.cursor.on_its_way.take() else { return };
        if is_durable {
            self.cursor.durable_seq = seq;
            self.announcer.durable(revision);
            self.wake.notify();
        } else {
            self.cursor.is_dirty = true;
            self.is_telling = false;
        }
    }

    /// Where the durable cursor stands: nothing before it is needed any more.
    pub fn durable_seq(&self) -> u64 {
        // A replay is forgotten with the process, so it needs only what it has yet to count.
        if self.is_replay() { self.settled.next_seq() } else { self.cursor.durable_seq }
    }

    /// Until its first cursor is written, records from `seq` on are needed.
    pub fn protect_from(&mut self, seq: u64) {
        self.cursor.durable_seq = self.cursor.durable_seq.min(seq);
        self.cursor.is_urgent = true;
    }

    /// A change that can't wait for the next regular cursor write.
    pub fn wants_cursor_now(&self) -> bool {
        !self.is_replay() && self.cursor.is_dirty && self.cursor.is_urgent && self.cursor.on_its_way.is_none()
    }
}

/// Ranges of numbers delivered ahead of the cursor that it remembers.
const AHEAD_MAX: usize = 64;
