//! What an operator lets through to a destination: everything, nothing, or what stood in the log when it was to be drained.
//!
//! A destination that drains takes no record from its point on, finishes what it has, says what it still has to say, and then
//! stands as if it were paused: what comes after the point waits in the log for it.

use scaidrive_wal::Seq;

use super::Outlet;
use crate::time::Millis;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// Everything.
    #[default]
    Free,
    /// What stands before this record.
    Until(Seq),
    /// Nothing: it has everything before this record, as was wished.
    Drained(Seq),
    /// Nothing.
    Paused,
}

impl Flow {
    /// Whether nothing may be sent.
    pub fn is_shut(self) -> bool {
        matches!(self, Flow::Drained(_) | Flow::Paused)
    }
}

/// How far one shard's part of a destination has drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// The first record that is to wait.
    pub until: Seq,
    /// Records before it that are not judged yet.
    pub unread: u64,
    /// Everything before it is settled and told.
    pub is_over: bool,
}

impl Outlet {
    /// Lets this through from now on; what is under way goes on.
    pub fn set_flow(&mut self, flow: Flow) {
        self.flow = flow;
        self.wake.notify();
    }

    /// Whether a record has to wait although there may be room: the stream drains, and the record stands behind its point.
    /// What a replay reads again was settled before.
    pub(super) fn waits_behind_the_point(&self, seq: Seq) -> bool {
        matches!(self.flow, Flow::Until(point) if seq >= point) && !self.is_replay()
    }

    /// Whether it drains and has read everything before its point.
    pub(super) fn is_at_its_point(&self) -> bool {
        self.waits_behind_the_point(self.next_seq())
    }

    /// Everything before the point is settled: it is stated now, and not in five minutes.
    pub(super) fn hurry_at_the_point(&mut self, now: Millis) {
        if self.is_at_its_point() && self.settled.is_empty() {
            self.announcer.hurry(now);
        }
    }

    /// The point of a stream that has nothing more to do before it. Words that the destination refuses keep nobody waiting.
    pub fn has_drained(&self) -> Option<Seq> {
        let Flow::Until(point) = self.flow else { return None };
        let has_said_all = self.announcer.has_said_all() || self.own_refused.is_some();
        let is_done = self.is_at_its_point() && self.settled.is_empty() && !self.is_busy() && !self.has_letters();
        (is_done && has_said_all).then_some(point)
    }

    /// How far it has drained, when its reader is at `at`.
    pub fn drain_report(&self, at: Seq) -> Option<DrainReport> {
        let (until, is_over) = match self.flow {
            Flow::Until(point) => (point, false),
            Flow::Drained(point) => (point, true),
            Flow::Free | Flow::Paused => return None,
        };
        Some(DrainReport { until, unread: until.get().saturating_sub(at.get()), is_over })
    }
}
