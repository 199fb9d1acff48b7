//! A shard's cursors on their way to the disk.

use std::ops::Range;
use std::rc::Rc;

use scaidrive_wal::{CursorKey, CursorTicket};

use super::{Place, Shard};
use crate::time::Millis;

/// Cursor bodies on their way to the disk.
#[derive(Default)]
pub(super) struct CursorQueue {
    pub(super) under_way: Vec<(CursorTicket, Vec<Rc<Place>>)>,
    /// Kept empty, for its memory.
    changed: Vec<Rc<Place>>,
    notes: Notes,
}

/// Bodies that are written without a sync, one behind the other.
#[derive(Default)]
struct Notes {
    bytes: Vec<u8>,
    whose: Vec<(CursorKey, Range<usize>)>,
}

impl Shard {
    /// Cursors: what the disk has is heard, what is due is written and synced, and what else changed is noted. Only those
    /// that were `settled` in this turn can have changed, or have become free to be written again.
    pub(super) fn write_cursors(&self, now: Millis, settled: &[Rc<Place>]) {
        let mut changed = std::mem::take(&mut self.cursors.borrow_mut().changed);
        self.hear_of_cursors(&mut changed);
        let is_time = now >= self.next_cursors.get();
        if is_time {
            self.next_cursors.set(now.plus(CURSORS_EVERY));
            changed.clear();
            changed.extend_from_slice(&self.places.borrow());
        } else {
            changed.extend_from_slice(settled);
        }
        changed.retain(|place| place.has_cursor.get());
        self.write_due(&changed, is_time);
        self.note(&changed);
        changed.clear();
        self.cursors.borrow_mut().changed = changed;
    }

    /// Hands over what has to be durable soon.
    fn write_due(&self, changed: &[Rc<Place>], is_time: bool) {
        let (mut due, mut whose) = (Vec::new(), Vec::new());
        for place in changed {
            let mut outlet = place.outlet.borrow_mut();
            if let Some(body) = outlet.cursor_body(is_time) {
                due.push((outlet.key(), body));
                whose.push(Rc::clone(place));
            }
        }
        let mut log = self.log.borrow_mut();
        if !due.is_empty() {
            match log.write_cursors(&borrowed(&due)) {
                Ok(ticket) => self.cursors.borrow_mut().under_way.push((ticket, whose)),
                Err(problem) => {
                    tracing::error!(shard = self.id.0, "cursors can't be written: {problem}");
                    whose.iter().for_each(|place| place.outlet.borrow_mut().cursor_written(false));
                }
            }
        }
    }

    /// Hands over what need not be durable.
    fn note(&self, changed: &[Rc<Place>]) {
        let mut cursors = self.cursors.borrow_mut();
        let Notes { bytes, whose } = &mut cursors.notes;
        for place in changed {
            let mut outlet = place.outlet.borrow_mut();
            let start = bytes.len();
            if outlet.write_cursor_note(bytes) {
                whose.push((outlet.key(), start..bytes.len()));
            }
        }
        if !whose.is_empty() {
            let notes = whose.drain(..).map(|(key, range)| (key, &bytes[range]));
            self.log.borrow_mut().note_cursors(notes);
            bytes.clear();
        }
    }

    /// Adds those whose cursors are not under way any more to `heard`.
    fn hear_of_cursors(&self, heard: &mut Vec<Rc<Place>>) {
        let log = self.log.borrow();
        let written = log.cursors_written();
        let is_durable = log.cursor_error().is_none();
        for (_, places) in self.cursors.borrow_mut().under_way.extract_if(.., |(ticket, _)| *ticket <= written) {
            for place in places {
                place.outlet.borrow_mut().cursor_written(is_durable);
                heard.push(place);
            }
        }
    }
}

fn borrowed(bodies: &[(CursorKey, Vec<u8>)]) -> Vec<(CursorKey, &[u8])> {
    bodies.iter().map(|(key, body)| (*key, body.as_slice())).collect()
}

/// Cursors are written this often, whatever the number of destinations.
const CURSORS_EVERY: Millis = Millis(1_000);
