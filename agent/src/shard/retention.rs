//! What is kept, what is given back, and what must be given up for it.
//!
//! Retention is by time: what is younger than the window stays, delivered or not, while there is room. Without room the
//! oldest delivered history goes first. Only when the *budget* is used up and the oldest segment is still needed do the
//! streams behind it give its events up; a full *disk* never costs an acknowledged event: producers are told instead.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use scaidrive_wal::{Budget, LogTime, SegmentInfo, Seq};

use super::Shard;
use super::door::ShardId;
use crate::time::Millis;

/// How much of the agent's budget each shard's log holds, so that the largest gives way first.
#[derive(Debug)]
pub struct Holdings {
    budget: Budget,
    shards: Vec<Holding>,
}

#[derive(Debug, Default)]
struct Holding {
    segments: AtomicU32,
    wants_one: AtomicBool,
}

impl Holdings {
    /// Nothing held by any of `shards` shards.
    pub fn new(budget: Budget, shards: usize) -> Holdings {
        Holdings { budget, shards: (0..shards).map(|_| Holding::default()).collect() }
    }

    /// The agent's budget.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    fn report(&self, shard: ShardId, segments: usize, wants_one: bool) {
        let holding = &self.shards[shard.index()];
        holding.segments.store(segments as u32, Ordering::Relaxed);
        holding.wants_one.store(wants_one, Ordering::Relaxed);
    }

    /// Whether some shard lacks a segment and this one holds most.
    fn must_give_way(&self, shard: ShardId) -> bool {
        let held = |at: usize| (self.shards[at].segments.load(Ordering::Relaxed), at);
        let is_wanted = self.shards.iter().any(|holding| holding.wants_one.load(Ordering::Relaxed));
        is_wanted && (0..self.shards.len()).map(held).max().is_some_and(|(_, at)| at == shard.index())
    }
}

/// Up to where a shard's events are given up.
pub(super) struct Frontier {
    /// Log time before which events are too old, in milliseconds.
    pub(super) logged_before: Cell<u64>,
    /// Records before this one make room.
    pub(super) squeezed_before: Cell<Seq>,
    /// Records before this one are walked even by an outlet that is full.
    pub(super) must_go: Cell<Seq>,
    next_squeeze: Cell<Millis>,
}

impl Frontier {
    /// Nothing is given up yet.
    pub(super) fn new(now: Millis) -> Frontier {
        Frontier {
            logged_before: Cell::new(0),
            squeezed_before: Cell::new(Seq::FIRST),
            must_go: Cell::new(Seq::FIRST),
            next_squeeze: Cell::new(now),
        }
    }
}

impl Shard {
    /// Ages: what is too old is given up, and segments of which nothing is young enough are given back.
    pub(super) fn keep_house(&self) {
        let window = self.plan.borrow().window;
        let logged_before = self.log_now().as_ms().saturating_sub(window.0);
        self.frontier.logged_before.set(logged_before);
        let too_old = self.log.borrow().seek_time(LogTime::from_ms(logged_before));
        self.frontier.must_go.set(too_old.max(self.frontier.squeezed_before.get()));
        self.give_up();
        let needed = self.needed_from();
        let mut log = self.log.borrow_mut();
        let is_done_with =
            |info: &SegmentInfo| !info.is_active && info.end <= needed && info.log_times.1.as_ms() < logged_before;
        let end = log.segments().take_while(is_done_with).map(|info| info.end).last();
        if let Some(end) = end {
            log.trim(end);
        }
        let first_seq = log.first_seq();
        self.places.borrow().iter().for_each(|place| place.outlet.borrow_mut().trimmed(first_seq));
    }

    /// Room: when a segment is wanted and there is none, the oldest goes.
    pub(super) fn make_room(&self) {
        let (has_no_spare, is_out_of_budget, held) = {
            let log = self.log.borrow();
            (log.no_spare().is_some(), log.is_out_of_budget(), log.segments().count())
        };
        self.holdings.report(self.id, held, is_out_of_budget);
        let must_give_way = self.holdings.must_give_way(self.id);
        // A full disk is answered with delivered history only.
        let gives_way = must_give_way || (has_no_spare && !is_out_of_budget);
        let now = self.now.get();
        if !gives_way || now < self.frontier.next_squeeze.get() {
            return;
        }
        let Some(oldest) = self.log.borrow().segments().next().filter(|info| !info.is_active) else { return };
        if oldest.end <= self.needed_from() {
            self.log.borrow_mut().trim(oldest.end);
            // The keeper turns it into a spare; until it has, there is nothing more to learn.
            self.frontier.next_squeeze.set(now.plus(SQUEEZE_EVERY));
        } else if must_give_way && self.frontier.squeezed_before.get() < oldest.end {
            self.frontier.squeezed_before.set(oldest.end);
            self.frontier.must_go.set(self.frontier.must_go.get().max(oldest.end));
            self.give_up();
            self.ring();
        }
    }

    /// Lets every outlet give up what waits in its hands and must go.
    fn give_up(&self) {
        let (logged_before, squeezed) = (self.frontier.logged_before.get(), self.frontier.squeezed_before.get());
        let places = self.places.borrow().clone();
        for place in places {
            if self.holds_producers(&place) {
                continue;
            }
            let mut tenants = self.tenants.borrow_mut();
            if place.outlet.borrow_mut().give_up(logged_before, squeezed.get(), &mut tenants) {
                self.touch(&place);
            }
        }
    }

    /// The oldest record that some durable cursor still needs.
    fn needed_from(&self) -> Seq {
        let places = self.places.borrow();
        let oldest = places.iter().map(|place| place.outlet.borrow().durable_seq()).min();
        oldest.map_or_else(|| self.log.borrow().next_seq(), Seq::from_raw)
    }
}

/// Segments are given back for room at most this often.
const SQUEEZE_EVERY: Millis = Millis(20);
