//! All shards together at one moment: what they published, added up for each destination.

use hdrhistogram::Histogram;

use crate::node::View;
use crate::shard::{DestinationReport, ShardReport};
use crate::stream::books::Books;
use crate::time::Millis;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) shards: Vec<ShardPicture>,
    /// In the order of the configuration, then those that are on their way out.
    pub(super) destinations: Vec<DestinationPicture>,
}

/// One shard.
#[derive(Debug, Default)]
pub(super) struct ShardPicture {
    pub(super) number: usize,
    /// Whether it takes events; one that does not only drains an old log.
    pub(super) is_active: bool,
    /// For how long it has not finished a turn, beyond the second it may sleep.
    pub(super) stalled: Millis,
    pub(super) turns: u64,
    pub(super) appended_events: u64,
    pub(super) appended_bytes: u64,
    pub(super) first_seq: u64,
    pub(super) next_seq: u64,
    pub(super) durable_end: u64,
    pub(super) segments: u64,
    pub(super) log_bytes: u64,
    pub(super) oldest_age: Millis,
    pub(super) why_no_room: Option<String>,
    pub(super) unreadable: u64,
}

/// One destination, over all shards.
#[derive(Debug)]
pub(super) struct DestinationPicture {
    pub(super) name: String,
    pub(super) kind: &'static str,
    /// The worst state of any shard, and its cause.
    pub(super) state: &'static str,
    pub(super) cause: Option<String>,
    pub(super) streams: Vec<String>,
    pub(super) books: Books,
    /// Sum of what each stream's books are out by, so that two errors can't cancel each other.
    pub(super) difference: u64,
    pub(super) unread: u64,
    pub(super) lag: Millis,
    pub(super) accepted_requests: u64,
    pub(super) refused_requests: u64,
    pub(super) failed_requests: u64,
    pub(super) delivered_bytes: u64,
    pub(super) under_way: u64,
    pub(super) last_success_ms: Option<i64>,
    pub(super) last_failure: Option<(i64, String)>,
    pub(super) latency_ms: Histogram<u32>,
}

impl Picture {
    /// What the shards have published, as of `now`.
    pub(super) fn take(view: &View, now: Millis) -> Picture {
        let mut picture = Picture::default();
        for (number, published) in view.published.iter().enumerate() {
            published.with(|report| picture.add(number, number < view.active_shards, report, now));
        }
        let config = view.config();
        let place = |name: &str| config.destinations.iter().position(|known| known.name == name).unwrap_or(usize::MAX);
        picture.destinations.sort_by_key(|destination| place(&destination.name));
        if picture.shards.iter().all(|shard| shard.turns > 0) {
            for destination in &config.destinations {
                if picture.destinations.iter().all(|known| known.name != destination.name) {
                    picture.destinations.push(DestinationPicture::without_a_place(destination));
                }
            }
        }
        picture
    }

    /// Adds one shard's report.
    pub(super) fn add(&mut self, number: usize, is_active: bool, report: &ShardReport, now: Millis) {
        self.shards.push(ShardPicture {
            number,
            is_active,
            stalled: stalled(report, now),
            turns: report.turns,
            appended_events: report.appended_events,
            appended_bytes: report.appended_bytes,
            first_seq: report.first_seq,
            next_seq: report.next_seq,
            durable_end: report.durable_end,
            segments: report.segments,
            log_bytes: report.log_bytes,
            oldest_age: report.oldest_age,
            why_no_room: report.why_no_room.clone(),
            unreadable: report.unreadable,
        });
        for destination in &report.destinations {
            match self.destinations.iter_mut().find(|known| known.name == destination.name) {
                Some(known) => known.add(destination),
                None => self.destinations.push(DestinationPicture::of(destination)),
            }
        }
    }

    /// Why events can't be taken now, each reason with its shard; empty when they can.
    pub(super) fn obstacles(&self) -> Vec<String> {
        let mut obstacles = Vec::new();
        for shard in self.shards.iter().filter(|shard| shard.is_active) {
            let number = shard.number;
            if shard.turns == 0 {
                obstacles.push(format!("shard {number} has not started yet"));
            } else if let Some(why) = &shard.why_no_room {
                obstacles.push(format!("shard {number}: {why}"));
            } else if shard.stalled > STALL_MAX {
                obstacles.push(format!("shard {number} has not moved for {}", shard.stalled));
            }
        }
        obstacles
    }

    /// The shards that have not moved for longer than anything healthy takes.
    pub(super) fn stuck(&self) -> Vec<String> {
        let stuck = self.shards.iter().filter(|shard| shard.stalled > STALL_MAX);
        stuck.map(|shard| format!("shard {} has not moved for {}", shard.number, shard.stalled)).collect()
    }

    /// Records held by all logs.
    pub(super) fn log_events(&self) -> u64 {
        self.shards.iter().map(|shard| shard.next_seq.saturating_sub(shard.first_seq)).sum()
    }

    /// Bytes of all segment files.
    pub(super) fn log_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.log_bytes).sum()
    }
}

impl DestinationPicture {
    fn of(report: &DestinationReport) -> DestinationPicture {
        DestinationPicture {
            name: report.name.clone(),
            kind: report.kind,
            state: report.state,
            cause: report.cause.clone(),
            streams: vec![report.stream.clone()],
            books: report.books,
            difference: report.books.difference(),
            unread: report.unread,
            lag: report.lag,
            accepted_requests: report.accepted_requests,
            refused_requests: report.refused_requests,
            failed_requests: report.failed_requests,
            delivered_bytes: report.delivered_bytes,
            under_way: u64::from(report.under_way),
            last_success_ms: report.last_success_ms,
            last_failure: report.last_failure.clone(),
            latency_ms: report.latency_ms.clone(),
        }
    }

    /// A configured destination that no shard could make anything of.
    fn without_a_place(destination: &crate::config::Destination) -> DestinationPicture {
        DestinationPicture {
            name: destination.name.clone(),
            kind: destination.kind.name(),
            state: "misconfigured",
            cause: Some("it could not be set up; the agent's own log says why".to_owned()),
            streams: Vec::new(),
            books: Books::default(),
            difference: 0,
            unread: 0,
            lag: Millis::ZERO,
            accepted_requests: 0,
            refused_requests: 0,
            failed_requests: 0,
            delivered_bytes: 0,
            under_way: 0,
            last_success_ms: None,
            last_failure: None,
            latency_ms: crate::delivery::outlet::Tally::default().latency_ms,
        }
    }

    fn add(&mut self, report: &DestinationReport) {
        if badness(report.state) > badness(self.state) {
            self.state = report.state;
            self.cause.clone_from(&report.cause);
        }
        self.streams.push(report.stream.clone());
        self.books.add(&report.books);
        self.difference = self.difference.saturating_add(report.books.difference());
        self.unread += report.unread;
        self.lag = self.lag.max(report.lag);
        self.accepted_requests += report.accepted_requests;
        self.refused_requests += report.refused_requests;
        self.failed_requests += report.failed_requests;
        self.delivered_bytes += report.delivered_bytes;
        self.under_way += u64::from(report.under_way);
        self.last_success_ms = self.last_success_ms.max(report.last_success_ms);
        let at = |failure: &Option<(i64, String)>| failure.as_ref().map(|(at, _)| *at);
        if at(&report.last_failure) > at(&self.last_failure) {
            self.last_failure.clone_from(&report.last_failure);
        }
        // Both have the same bounds, so nothing is out of them.
        let _ = self.latency_ms.add(&report.latency_ms);
    }
}

/// How bad a state is: what is said of a destination is the worst that any shard says.
pub(super) fn badness(state: &str) -> usize {
    STATES.iter().position(|known| *known == state).unwrap_or(STATES.len())
}

/// For how long a shard has not finished a turn, beyond the time it may sleep.
fn stalled(report: &ShardReport, now: Millis) -> Millis {
    if report.turns == 0 { Millis::ZERO } else { now.since(report.at.plus(SLEEP_MAX)) }
}

/// Every state a destination can be in, the best first.
pub(super) const STATES: [&str; 9] = [
    "active",
    "active_with_errors",
    "paused",
    "draining",
    "throttled",
    "retrying",
    "circuit_open",
    "auth_hold",
    "misconfigured",
];
/// A shard looks round once a second; a little more is no stall.
const SLEEP_MAX: Millis = Millis(1_500);
/// A shard that has not moved for so long is stuck.
pub(super) const STALL_MAX: Millis = Millis::from_secs(20);
