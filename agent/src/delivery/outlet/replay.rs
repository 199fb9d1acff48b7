//! A replay: an outlet that reads again what was settled before, for a destination that lost it or was given another filter.
//!
//! It has its own reader, books and sender, and leaves the live stream's cursor alone. Where the live stream's epoch has
//! numbers, a replay gives the same ones, so it fills holes and adds nothing to them. What lies before that epoch is an
//! epoch of its own, with its own statements. A replay is forgotten when the agent ends.

use std::ops::Range;
use std::rc::Rc;

use scaidrive_wal::{Record, Seq};

use super::{Drain, Outlet, Reading, WallClock, limits, new_epoch};
use crate::delivery::sender::Sender;
use crate::stream::announce::Announcer;
use crate::stream::settled::{Checkpoint, Settled};
use crate::stream::statement::Previous;
use crate::time::{Entropy, Millis};

/// A part of the log that is sent again under one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where counting begins.
    from: Checkpoint,
    /// The first record that is not sent again.
    end: u64,
    /// The numbers are those of the live stream's epoch.
    is_of_live_epoch: bool,
}

/// What makes an outlet a replay.
#[derive(Debug)]
pub(super) struct Replay {
    stretch: Stretch,
    /// What was accepted earlier is counted and not sent.
    from_wall_ms: i64,
    /// The first event to be sent was met.
    has_begun: bool,
    /// Why it ended before its end.
    stopped: Option<String>,
}

impl Outlet {
    /// What has to be read so that everything accepted since `from_wall_ms` (ms since 1970) goes again, as far as the log,
    /// which begins at `first_seq`, still has it and this stream has settled it.
    pub fn stretches(&self, from_wall_ms: i64, first_seq: Seq) -> Vec<Stretch> {
        let first_seq = first_seq.get();
        let settled_end = self.settled.checkpoint().next_seq;
        let mut stretches = Vec::new();
        if let Some(beginning) = self.marks.beginning_after(first_seq, from_wall_ms) {
            let from = Checkpoint::first(first_seq);
            stretches.push(Stretch { from, end: beginning, is_of_live_epoch: false });
        }
        if let Some(mark) = self.marks.before(from_wall_ms, first_seq)
            && mark.seq < settled_end
        {
            let from = Checkpoint { next_n: mark.n, ..Checkpoint::first(mark.seq) };
            stretches.push(Stretch { from, end: settled_end, is_of_live_epoch: true });
        }
        stretches
    }

    /// An outlet that sends a stretch of `live`'s log again.
    pub fn replay(
        live: &Outlet,
        stretch: Stretch,
        from_wall_ms: i64,
        now: Millis,
        wall_ms: i64,
        entropy: &mut dyn Entropy,
    ) -> Outlet {
        let epoch = if stretch.is_of_live_epoch { live.stream.epoch() } else { new_epoch(entropy) };
        let stream = live.stream.in_epoch(epoch);
        let announcer = Announcer::new(epoch, Previous::None, now);
        let (destination, encoder) = (live.destination.clone(), Rc::clone(&live.encoder));
        let sender = Sender::new(limits(&destination, encoder.frame_len()), live.sender.pool());
        let clock = WallClock { wall_ms, at: now };
        let mut outlet = Outlet::at(destination, encoder, stream, stretch.from, announcer, sender, clock);
        outlet.flow = live.flow;
        outlet.replay = Some(Replay { stretch, from_wall_ms, has_begun: false, stopped: None });
        outlet
    }

    /// Whether it is a replay and not the live stream.
    pub fn is_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// Whether it announces nothing: the live stream tells about the same numbers.
    pub fn is_mute(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| replay.stretch.is_of_live_epoch)
    }

    /// Whether it is a replay that has nothing more to do. One that has last words waits with them for a pause's end.
    pub fn has_replayed(&self) -> bool {
        let may_end = self.is_mute() || !self.flow.is_shut();
        self.reading == Reading::Draining(Drain::Replayed) && self.settled.is_empty() && !self.is_busy() && may_end
    }

    /// Why a replay ended before its end.
    pub fn stopped(&self) -> Option<&str> {
        self.replay.as_ref()?.stopped.as_deref()
    }

    /// Records that a replay has yet to read. One that has met its end has none, though the last ones before it were not in
    /// its scope, and so never shown to it.
    pub fn left_to_replay(&self) -> u64 {
        let reads = |_: &&Replay| !matches!(self.reading, Reading::Draining(_));
        let end = self.replay.as_ref().filter(reads).map_or(0, |replay| replay.stretch.end);
        end.saturating_sub(self.settled.next_seq())
    }

    /// A replay ends where the live stream had come to when it was asked for; one that has said its last words does not end
    /// again.
    pub(super) fn end_replay(&mut self) {
        let is_reading = !matches!(self.reading, Reading::Draining(_));
        let is_over = |replay: &Replay| is_reading && self.settled.next_seq() >= replay.stretch.end;
        if self.replay.as_ref().is_some_and(is_over) {
            self.drain_for(Drain::Replayed);
        }
    }

    /// A replay can't count over a hole that was none before.
    pub(super) fn stop_replay(&mut self, missing: &Range<u64>) {
        if let Some(replay) = &mut self.replay {
            let (first, last) = (missing.start, missing.end.saturating_sub(1));
            replay.stopped = Some(format!("records {first} to {last} of the log are damaged"));
        }
    }

    /// Whether a replay has passed over a record that is not to be sent: one behind its end, or one that is too early and
    /// only counts.
    pub(super) fn passes_over(&mut self, record: &Record, is_selected: bool) -> bool {
        let Some(replay) = &mut self.replay else { return false };
        let seq = record.seq().get();
        if seq >= replay.stretch.end {
            self.drain_for(Drain::Replayed);
            return true;
        }
        replay.has_begun |= record.wall().as_ms() >= replay.from_wall_ms;
        if replay.has_begun {
            return false;
        }
        let counts = is_selected && replay.stretch.is_of_live_epoch;
        let next_n = self.settled.next_n() + u64::from(counts);
        self.settled = Settled::at(Checkpoint { next_n, ..Checkpoint::first(seq + 1) });
        true
    }
}
