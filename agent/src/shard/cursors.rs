//! A shard's cursors on their way to the disk.

use std::rc::Rc;

use scaidrive_wal::{CursorKey, CursorTicket};

use super::{Place, Shard};
use crate::delivery::outlet::Outlet;
use crate::time::Millis;

/// Cursor bodies on their way to the disk.
#[derive(Default)]
pub(super) struct CursorQueue {
    pub(super) under_way: Vec<(CursorTicket, Vec<Rc<Place>>)>,
}

impl Shard {
    /// Cursors: what the disk has is heard, what is due is written and synced, and what else changed is noted.
    pub(super) fn write_cursors(&self, now: Millis) {
        self.hear_of_cursors();
        let is_time = now >= self.next_cursors.get();
        if is_time {
            self.next_cursors.set(now.plus(CURSORS_EVERY));
        }
        let mut whose = Vec::new();
        let due = self.cursor_bodies(|place, outlet| {
            let body = outlet.cursor_body(is_time)?;
            whose.push(Rc::clone(place));
            Some(body)
        });
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
        let notes = self.cursor_bodies(|_, outlet| outlet.cursor_note());
        if !notes.is_empty() {
            log.note_cursors(&borrowed(&notes));
        }
    }

    fn hear_of_cursors(&self) {
        let log = self.log.borrow();
        let written = log.cursors_written();
        let is_durable = log.cursor_error().is_none();
        for (_, places) in self.cursors.borrow_mut().under_way.extract_if(.., |(ticket, _)| *ticket <= written) {
            for place in places {
                place.outlet.borrow_mut().cursor_written(is_durable);
            }
        }
    }

    fn cursor_bodies(
        &self,
        mut body_of: impl FnMut(&Rc<Place>, &mut Outlet) -> Option<Vec<u8>>,
    ) -> Vec<(CursorKey, Vec<u8>)> {
        let places = self.places.borrow();
        let body = |place: &Rc<Place>| {
            let mut outlet = place.outlet.borrow_mut();
            Some((outlet.key(), body_of(place, &mut outlet)?))
        };
        places.iter().filter_map(body).collect()
    }
}

fn borrowed(bodies: &[(CursorKey, Vec<u8>)]) -> Vec<(CursorKey, &[u8])> {
    bodies.iter().map(|(key, body)| (*key, body.as_slice())).collect()
}

/// Cursors are written this often, whatever the number of destinations.
const CURSORS_EVERY: Millis = Millis(1_000);
