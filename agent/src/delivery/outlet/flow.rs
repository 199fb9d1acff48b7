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
    /// Nothing yet: what stands before this record goes when the wish for that is written down.
    Held(Seq),
    /// Nothing: it has everything before this record, as was wished.
    Drained(Seq),
    /// Nothing.
    Paused,
}

impl Flow {
    /// Whether nothing may be sent.
    pub fn is_shut(self) -> bool {
        matches!(self, Flow::Held(_) | Flow::Drained(_) | Flow::Paused)
    }

    /// The first record that is to wait, where there is one that may not even be read.
    pub fn point(self) -> Option<Seq> {
        match self {
            Flow::Until(point) | Flow::Held(point) => Some(point),
            Flow::Free | Flow::Drained(_) | Flow::Paused => None,
        }
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
    /// Lets this through from now on; what is under way goes on. `bound` is the first record that it does not take, which
    /// stands before the flow's point where the log has lost what stood there.
    pub fn set_flow(&mut self, flow: Flow, bound: Option<Seq>) {
        if (self.flow, self.bound) != (flow, bound) {
            self.point_n = None;
        }
        (self.flow, self.bound) = (flow, bound);
        self.wake.notify();
    }

    /// Whether a record has to wait although there may be room: the stream drains, and the record stands behind its point.
    /// What a replay reads again was settled before.
    pub(super) fn waits_behind_the_point(&self, seq: Seq) -> bool {
        self.bound.is_some_and(|bound| seq >= bound) && !self.is_replay()
    }

    /// Whether it drains and has read everything before its point.
    pub(super) fn is_at_its_point(&self) -> bool {
        self.waits_behind_the_point(self.next_seq())
    }

    /// Notes where its numbers stand when it is shown, or has come to, a record behind the point. What is given up there
    /// gets numbers too.
    pub(super) fn note_point(&mut self, seq: Seq) {
        if self.point_n.is_none() && self.waits_behind_the_point(seq) {
            self.point_n = Some(self.settled.next_n());
        }
    }

    /// Everything before the point is settled: it is stated now, and not in five minutes.
    pub(super) fn hurry_at_the_point(&mut self, now: Millis) {
        self.note_point(self.next_seq());
        if let Some(n) = self.settled_to_the_point() {
            self.announcer.hurry(n, now);
        }
    }

    /// The first number from behind the point, when every one before it is settled.
    fn settled_to_the_point(&self) -> Option<u64> {
        self.point_n.filter(|n| self.settled.checkpoint().next_n >= *n)
    }

    /// The point of a stream that has nothing more to do before it. Words that the destination refuses keep nobody waiting,
    /// nor do those about what is given up behind the point.
    pub fn has_drained(&self) -> Option<Seq> {
        let Flow::Until(point) = self.flow else { return None };
        let n = self.settled_to_the_point()?;
        let has_said_all = self.announcer.has_said(n) || self.own.refusal().is_some();
        let has_events = self.sender.under_way() + self.sender.parked() > 0;
        let has_letters = self.has_letters() || self.letters.is_busy();
        (has_said_all && !has_events && !has_letters).then_some(point)
    }

    /// How far it has drained, when its reader is at `at`.
    pub fn drain_report(&self, at: Seq) -> Option<DrainReport> {
        let (until, is_over) = match self.flow {
            Flow::Until(point) => (point, false),
            Flow::Drained(point) => (point, true),
            Flow::Free | Flow::Held(_) | Flow::Paused => return None,
        };
        let unread = self.bound.map_or(0, |bound| bound.get().saturating_sub(at.get()));
        Some(DrainReport { until, unread, is_over })
    }
}
