//! What a shard publishes for everyone to read: one consistent snapshot, taken at the end of a turn.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use super::{Place, Shard};
use crate::delivery::cause::Cause;
use crate::delivery::outlet::{DrainReport, Outlet};
use crate::runtime::Stalls;
use crate::stream::books::Books;
use crate::time::Millis;

/// A shard's snapshot, and where it is read.
#[derive(Debug, Default)]
pub struct Published {
    report: Mutex<Arc<ShardReport>>,
}

impl Published {
    /// The latest snapshot.
    pub fn report(&self) -> ShardReport {
        self.with(ShardReport::clone)
    }

    /// Looks at the latest snapshot without copying it. The shard goes on meanwhile, and puts another in its place.
    pub fn with<R>(&self, look: impl FnOnce(&ShardReport) -> R) -> R {
        let report = Arc::clone(&self.lock());
        look(&report)
    }

    fn replace(&self, report: ShardReport) {
        let report = Arc::new(report);
        let old = std::mem::replace(&mut *self.lock(), report);
        // Nobody waits while its memory is given back.
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<ShardReport>> {
        // The snapshot is replaced as a whole, so a panic elsewhere can't have left half of one.
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One shard, as of the end of one of its turns.
#[derive(Clone, Debug, Default)]
pub struct ShardReport {
    /// Turns so far; a shard that lives makes at least one a second.
    pub turns: u64,
    /// When, since the process started.
    pub at: Millis,
    /// Events appended since the start, the agent's own included.
    pub appended_events: u64,
    /// Their bytes.
    pub appended_bytes: u64,
    /// Records held, and the numbers that bound them.
    pub first_seq: u64,
    /// First number not appended.
    pub next_seq: u64,
    /// First number not durable.
    pub durable_end: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of their files.
    pub log_bytes: u64,
    /// Age of the oldest record, by the log clock.
    pub oldest_age: Millis,
    /// When it was accepted, ms since 1970.
    pub oldest_wall_ms: Option<i64>,
    /// Why nothing can be taken in, if so.
    pub why_no_room: Option<String>,
    /// Records whose index could not be read.
    pub unreadable: u64,
    /// Which of its tasks have held its loop, and for how long.
    pub stalls: Stalls,
    /// Each destination.
    pub destinations: Vec<DestinationReport>,
}

/// One destination on one shard.
#[derive(Clone, Debug)]
pub struct DestinationReport {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: &'static str,
    /// The stream's name.
    pub stream: String,
    /// What it is to people.
    pub state: &'static str,
    /// Why.
    pub cause: Cause,
    /// The books.
    pub books: Books,
    /// Records behind its reader.
    pub unread: u64,
    /// Age of the oldest event it has not settled, by the log clock.
    pub lag: Millis,
    /// Requests accepted.
    pub accepted_requests: u64,
    /// Requests refused.
    pub refused_requests: u64,
    /// Requests without a useful answer.
    pub failed_requests: u64,
    /// Replies that asked for less.
    pub slow_downs: u64,
    /// Replies that said something people should know.
    pub notes: u64,
    /// Bytes of events accepted.
    pub delivered_bytes: u64,
    /// Requests under way.
    pub under_way: u32,
    /// Wall time of the last acceptance, ms since 1970.
    pub last_success_ms: Option<i64>,
    /// Wall time of the last statement that was accepted, ms since 1970.
    pub last_statement_ms: Option<i64>,
    /// The end of the numbers that statements vouch for which it has accepted, from the epoch's first one on.
    pub stated_end: u64,
    /// Wall time and words of the last failure.
    pub last_failure: Option<(i64, String)>,
    /// Accepted here to accepted there, in milliseconds, since the start.
    pub latency_ms: Histogram<u32>,
    /// Whether events are being passed over, or have been within the last minute.
    pub is_overflowing: bool,
    /// Notices of losses that it has yet to accept.
    pub notices_waiting: u32,
    /// The replay that runs, or the last one.
    pub replay: Option<ReplayReport>,
    /// How far it has drained, where an operator wishes it.
    pub drain: Option<DrainReport>,
}

/// A replay on one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// What was accepted since then goes again; ms since 1970.
    pub from_wall_ms: i64,
    /// When it began, ms since 1970.
    pub begun_wall_ms: i64,
    /// What became of it so far; the books of replays are no part of the stream's.
    pub books: Books,
    /// Records to be read yet.
    pub unread: u64,
    /// Nothing more is to be done.
    pub is_over: bool,
    /// Why it ended before its end, if it did.
    pub stopped: Option<String>,
}

impl ReplayReport {
    /// Adds what another part of the same replay has done.
    pub fn add(&mut self, outlet: &Outlet) {
        self.books.add(&outlet.books());
        self.unread += outlet.left_to_replay();
        self.stopped = self.stopped.take().or_else(|| outlet.stopped().map(str::to_owned));
    }
}

impl Shard {
    /// Publishes the books and the rest, at most every [`PUBLISH_EVERY`] unless `at_once`; what is not told now is told then.
    pub(super) fn publish(&self, at_once: bool) {
        let now = self.runtime.now();
        self.turns.set(self.turns.get() + 1);
        let is_untold = !at_once && now < self.next_publish.get();
        self.has_untold.set(is_untold);
        if is_untold {
            return;
        }
        let places = Millis(self.places.borrow().len() as u64);
        self.next_publish.set(now.plus(PUBLISH_EVERY.max(places)));
        self.published.replace(self.snapshot(now));
    }

    fn snapshot(&self, now: Millis) -> ShardReport {
        let log = self.log.borrow();
        let intake = self.intake.borrow();
        let log_now = self.log_now();
        let oldest = log.segments().next().map_or(log_now, |info| info.log_times.0);
        let passes = self.passes.borrow();
        let places = self.places.borrow();
        let live = places.iter().filter(|place| !place.is_replay());
        let destinations = live.map(|place| {
            let outlet = place.outlet.borrow();
            let at = passes.position(outlet.reading).unwrap_or_else(|| outlet.next_seq());
            let (state, cause) = outlet.state();
            DestinationReport {
                name: place.destination.name.clone(),
                kind: place.destination.kind.name(),
                stream: outlet.stream().text().to_owned(),
                state,
                cause,
                books: outlet.books(),
                unread: log.next_seq().get().saturating_sub(at.get()),
                lag: Millis(outlet.oldest_logged_at().map_or(0, |logged| log_now.as_ms().saturating_sub(logged))),
                accepted_requests: outlet.tally.accepted_requests,
                refused_requests: outlet.tally.refused_requests,
                failed_requests: outlet.tally.failed_requests,
                slow_downs: outlet.tally.slow_downs,
                notes: outlet.tally.notes,
                delivered_bytes: outlet.tally.delivered_bytes,
                under_way: outlet.sender().under_way(),
                last_success_ms: outlet.tally.last_success_ms,
                last_statement_ms: outlet.tally.last_statement_ms,
                stated_end: outlet.announcer().stated_end(),
                last_failure: outlet.tally.last_failure.clone(),
                latency_ms: outlet.tally.latency_ms.clone(),
                is_overflowing: outlet.announcer().is_overflowing(),
                notices_waiting: outlet.announcer().notices_waiting() as u32,
                replay: replay(place, &places),
                drain: outlet.drain_report(at),
            }
        });
        ShardReport {
            turns: self.turns.get(),
            at: now,
            appended_events: intake.appended_events,
            appended_bytes: intake.appended_bytes,
            first_seq: log.first_seq().get(),
            next_seq: log.next_seq().get(),
            durable_end: log.durable_end().get(),
            segments: log.segments().count() as u64,
            log_bytes: log.segments().map(|info| info.bytes_on_disk.get()).sum(),
            oldest_age: Millis(log_now.since(oldest)),
            oldest_wall_ms: log.segments().next().map(|info| info.wall_times.0.as_ms()),
            why_no_room: intake.why_no_room().map(str::to_owned),
            unreadable: self.unreadable.get(),
            stalls: self.runtime.stalls(),
            destinations: destinations.collect(),
        }
    }
}

/// The last replay of a place, with what is still under way.
fn replay(live: &Place, places: &[Rc<Place>]) -> Option<ReplayReport> {
    let mut report = live.replayed.borrow().clone()?;
    let parts = places.iter().filter(|place| place.is_replay() && place.destination.id == live.destination.id);
    parts.for_each(|place| report.add(&place.outlet.borrow()));
    Some(report)
}

/// Between two snapshots there is at least this long, and a millisecond for each destination.
const PUBLISH_EVERY: Millis = Millis(200);
