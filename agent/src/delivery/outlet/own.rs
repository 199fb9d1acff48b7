//! How far a stream's own announcements have come on their way, one at a time and beside the batches.

use crate::delivery::sender::Outcome;
use crate::time::Millis;

/// Names an announcement: a notice or a statement.
type Id = [u8; 16];

/// After an announcement was refused, events have the way to themselves for so long, their probes above all.
const AGAIN: Millis = Millis::from_secs(60);

/// Where the announcements are that have gone.
#[derive(Debug, Default)]
pub(super) struct Own {
    is_under_way: bool,
    /// Those in a pipe without answers: written, and settled by time as everything there. What is written after them
    /// arrives after them, so they hold nothing back any more.
    written: Vec<Id>,
    /// One that may have arrived although no answer said so: it must stay as it is.
    in_doubt: Option<Id>,
    /// One was refused, in these words: events have the way to themselves until then.
    refused: Option<(Millis, String)>,
}

impl Own {
    /// Whether the next one has to wait for the one before.
    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Whether any is waited for.
    pub(super) fn is_busy(&self) -> bool {
        self.is_under_way || !self.written.is_empty()
    }

    /// Those that a pipe has been given and that are not settled.
    pub(super) fn written(&self) -> &[Id] {
        &self.written
    }

    /// Until when none goes, because one was refused.
    pub(super) fn waits(&self, now: Millis) -> Option<Millis> {
        self.refused.as_ref().map(|(until, _)| *until).filter(|until| now < *until)
    }

    /// The words with which the last one was refused.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refused.as_ref().map(|(_, why)| why.as_str())
    }

    /// One goes.
    pub(super) fn go(&mut self) {
        self.is_under_way = true;
    }

    /// A pipe without answers has this one.
    pub(super) fn wrote(&mut self, id: Id) {
        self.written.push(id);
        self.in_doubt = Some(id);
    }

    /// Its request is done, and how it ended is heard later. Until it is acknowledged no other may overtake it, but in a
    /// pipe.
    pub(super) fn left(&mut self, id: Id) {
        if self.written.contains(&id) {
            self.is_under_way = false;
        }
    }

    /// How one ended. `may_have_arrived` says that it was sent and no answer came. True when this one has surely not
    /// arrived, by an earlier try either.
    pub(super) fn settled(&mut self, id: Id, outcome: &Outcome, may_have_arrived: bool, now: Millis) -> bool {
        match self.written.iter().position(|written| *written == id) {
            Some(at) => drop(self.written.remove(at)),
            None => self.is_under_way = false,
        }
        if may_have_arrived {
            self.in_doubt = Some(id);
        }
        self.refused = match outcome {
            Outcome::Refused { why, .. } | Outcome::TooLarge { why } | Outcome::Apart { why, .. } => {
                Some((now.plus(AGAIN), why.clone()))
            }
            Outcome::Accepted { .. } => None,
            Outcome::AcceptedBut { .. } | Outcome::Retry { .. } => self.refused.take(),
        };
        self.in_doubt != Some(id)
    }
}
