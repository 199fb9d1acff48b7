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
    /// Cursors: what the disk has is heard, what is due is written and synced, and what else changed is noted. Only those
    /// that were `settled` in this turn can have changed, or have become free to be written again.
    pub(super) fn write_cursors(&self, now: Millis, settled: &[Rc<Place>]) {
        let mut changed = self.hear_of_cursors();
        let is_time = now >= self.next_cursors.get();
        if is_time {
            self.next_cursors.set(now.plus(CURSORS_EVERY));
            changed = self.places();
        } else {
            changed.extend_from_slice(settled);
        }
        changed.retain(|place| place.has_cursor.get());
        let mut whose = Vec::new();
        let due = bodies_of(&changed, |place, outlet| {
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
        let notes = bodies_of(&changed, |_, outlet| outlet.cursor_note());
        if !notes.is_empty() {
            log.note_cursors(&borrowed(&notes));
        }
    }

    /// Returns those whose cursors are not under way any more.
    fn hear_of_cursors(&self) -> Vec<Rc<Place>> {
        let mut heard = Vec::new();
        let log = self.log.borrow();
        let written = log.cursors_written();
        let is_durable = log.cursor_error().is_none();
        for (_, places) in self.cursors.borrow_mut().under_way.extract_if(.., |(ticket, _)| *ticket <= written) {
            for place in places {
                place.outlet.borrow_mut().cursor_written(is_durable);
                heard.push(place);
            }
        }
        heard
    }
}

fn bodies_of(
    places: &[Rc<Place>],
    mut body_of: impl FnMut(&Rc<Place>, &mut Outlet) -> Option<Vec<u8>>,
) -> Vec<(CursorKey, Vec<u8>)> {
    let body = |place: &Rc<Place>| {
        let mut outlet = place.outlet.borrow_mut();
        Some((outlet.key(), body_of(place, &mut outlet)?))
    };
    places.iter().filter_map(body).collect()
}

fn borrowed(bodies: &[(CursorKey, Vec<u8>)]) -> Vec<(CursorKey, &[u8])> {
    bodies.iter().map(|(key, body)| (*key, body.as_slice())).collect()
}

/// Cursors are written this often, whatever the number of destinations.
const CURSORS_EVERY: Millis = Millis(1_000);
