//! Cursors as the shard sees them: handed to the keeper, known durable by ticket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::cursor::{CURSOR_BODY_MAX, CURSORS_MAX, CursorError, CursorKey, CursorTicket};
use crate::log::Log;

impl Log {
    /// The cursors that were found valid at opening.
    pub fn cursors(&self) -> impl Iterator<Item = (CursorKey, &[u8])> {
        self.cursors.iter().map(|(key, body)| (*key, body.as_slice()))
    }

    /// Hands changed cursors to the keeper, which writes all that wait and makes them durable with one
    /// sync. A cursor that still waits is replaced. What the disk refuses is tried again until it is
    /// durable; see [`Log::cursor_error`].
    ///
    /// # Errors
    /// [`CursorError`]; none of `changed` is taken then.
    pub fn write_cursors(&mut self, changed: &[(CursorKey, &[u8])]) -> Result<CursorTicket, CursorError> {
        let too_large = changed.iter().find(|(_, body)| body.len() > CURSOR_BODY_MAX);
        if let Some((_, body)) = too_large {
            return Err(CursorError::TooLarge { len: body.len() });
        }
        let mut keep = self.shared.lock_keep();
        let is_new = |key: &CursorKey| !keep.cursors.contains_key(key) && !keep.cursor_file.contains(key);
        let new = changed.iter().filter(|(key, _)| is_new(key)).count();
        if keep.cursors.len().max(keep.cursor_file.len()) + new > CURSORS_MAX {
            return Err(CursorError::TooMany);
        }
        for (key, body) in changed {
            keep.cursors.insert(*key, Some(body.to_vec()));
            keep.cursor_notes.remove(key);
        }
        keep.cursor_ticket += 1;
        keep.may_try_cursors = true;
        let ticket = CursorTicket(keep.cursor_ticket);
        drop(keep);
        self.shared.keeper_signal.raise();
        Ok(ticket)
    }

    /// Hands over newer bodies of cursors that were written before. They outlive the process, so that a killed agent
    /// repeats little, but only [`Log::write_cursors`] makes a cursor durable. Bodies that are too large are left out.
    pub fn note_cursors<'b>(&mut self, changed: impl IntoIterator<Item = (CursorKey, &'b [u8])>) {
        let mut keep = self.shared.lock_keep();
        for (key, body) in changed.into_iter().filter(|(_, body)| body.len() <= CURSOR_BODY_MAX) {
            let note = keep.cursor_notes.entry(key).or_default();
            note.clear();
            note.extend_from_slice(body);
        }
        drop(keep);
        self.shared.keeper_signal.raise();
    }

    /// Removes a cursor. After a crash before the keeper got to it, it is there again.
    pub fn remove_cursor(&mut self, key: CursorKey) {
        self.cursors.remove(&key);
        let mut keep = self.shared.lock_keep();
        keep.cursors.insert(key, None);
        keep.cursor_notes.remove(&key);
        keep.cursor_ticket += 1;
        keep.may_try_cursors = true;
        drop(keep);
        self.shared.keeper_signal.raise();
    }

    /// Everything up to this ticket is durable.
    pub fn cursors_written(&self) -> CursorTicket {
        CursorTicket(self.shared.cursors_written.load(Ordering::Acquire))
    }

    /// Why cursors are not durable, while the disk refuses them.
    pub fn cursor_error(&self) -> Option<Arc<str>> {
        self.shared.lock_keep().cursor_error.clone()
    }
}
