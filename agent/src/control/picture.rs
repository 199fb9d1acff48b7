//! All shards together at one moment: what they published, added up for each destination.

use std::collections::{HashMap, HashSet};

use hdrhistogram::Histogram;

use super::states::badness;
use crate::delivery::cause::{Cause, Reason};
use crate::delivery::outlet::DrainReport;
use crate::node::{Drain, Pause, View};
use crate::runtime::Stalls;
use crate::shard::{DestinationReport, ReplayReport, ShardReport};
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
    pub(super) stalls: Stalls,
}

/// One destination, over all shards.
#[derive(Debug)]
pub(super) struct DestinationPicture {
    pub(super) name: String,
    pub(super) kind: &'static str,
    /// The worst state of any shard, and its cause.
    pub(super) state: &'static str,
    pub(super) cause: Cause,
    /// Who has paused it, and since when.
    pub(super) pause: Option<Pause>,
    pub(super) streams: Vec<String>,
    pub(super) books: Books,
    /// Sum of what the books of each stream and of its replay are out by, so that two errors can't cancel each other.
    pub(super) difference: u64,
    pub(super) unread: u64,
    pub(super) lag: Millis,
    pub(super) accepted_requests: u64,
    pub(super) refused_requests: u64,
    pub(super) failed_requests: u64,
    pub(super) slow_downs: u64,
    pub(super) notes: u64,
    pub(super) delivered_bytes: u64,
    pub(super) under_way: u64,
    pub(super) last_success_ms: Option<i64>,
    pub(super) last_statement_ms: Option<i64>,
    pub(super) last_failure: Option<(i64, String)>,
    /// The replay that runs, or the last one.
    pub(super) replay: Option<ReplayReport>,
    /// How far each shard says that it has drained.
    pub(super) drains: Vec<(usize, DrainReport)>,
    /// How far it has drained, where that is wished.
    pub(super) drain: Option<DrainPicture>,
    /// `None` where nothing was asked for or known.
    pub(super) latency_ms: Option<Histogram<u32>>,
}

/// How far a destination has drained, over all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DrainPicture {
    /// Records before its points that are not judged yet.
    pub(super) unread: u64,
    /// It has everything before them.
    pub(super) is_over: bool,
}

/// How much a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail<'a> {
    /// Everything.
    Full,
    /// Everything, latencies to one digit: they take a tenth of the room.
    Rough,
    /// Everything of the destination of this name.
    Of(&'a str),
    /// Without the distributions of latencies, which are most of what there is to copy.
    Plain,
}

impl Picture {
    /// What the shards have published, as of `now`.
    pub(super) fn take(view: &View, now: Millis, detail: Detail<'_>) -> Picture {
        let mut picture = Picture::default();
        for (number, published) in view.published.iter().enumerate() {
            published.with(|report| picture.add(number, number < view.active_shards, report, now, detail));
        }
        let config = view.config();
        let order: HashMap<&str, usize> =
            config.destinations.iter().enumerate().map(|(at, known)| (known.name.as_str(), at)).collect();
        if picture.is_whole() {
            let found: HashSet<String> = picture.destinations.iter().map(|known| known.name.clone()).collect();
            let missing = config.destinations.iter().filter(|known| !found.contains(&known.name));
            picture.destinations.extend(missing.map(|known| DestinationPicture::without_a_place(known)));
        }
        for known in &mut picture.destinations {
            let configured = order.get(known.name.as_str()).map(|at| &config.destinations[*at]);
            if let Some(pause) = configured.and_then(|configured| view.pauses.of(configured.id)) {
                known.set_paused(pause, picture.shards.len());
            }
        }
        picture.destinations.sort_by_key(|known| order.get(known.name.as_str()).copied().unwrap_or(usize::MAX));
        picture
    }

    /// Adds one shard's report.
    pub(super) fn add(
        &mut self,
        number: usize,
        is_active: bool,
        report: &ShardReport,
        now: Millis,
        detail: Detail<'_>,
    ) {
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
            stalls: report.stalls,
        });
        for (at, destination) in report.destinations.iter().enumerate() {
            let is_it = |known: &DestinationPicture| known.name == destination.name;
            // Shards have them in the same order, but for a moment after a reload.
            let at = if self.destinations.get(at).is_some_and(is_it) {
                Some(at)
            } else {
                self.destinations.iter().position(is_it)
            };
            let known = match at {
                Some(at) => {
                    self.destinations[at].add(destination);
                    at
                }
                None => {
                    self.destinations.push(DestinationPicture::of(destination));
                    self.destinations.len() - 1
                }
            };
            self.destinations[known].drains.extend(destination.drain.map(|drain| (number, drain)));
            self.destinations[known].add_latency(&destination.latency_ms, detail);
        }
    }

    /// Whether every shard has said how it is.
    pub(super) fn is_whole(&self) -> bool {
        self.shards.iter().all(|shard| shard.turns > 0)
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

    /// Age of the oldest record in any log.
    pub(super) fn oldest_age(&self) -> Millis {
        self.shards.iter().map(|shard| shard.oldest_age).max().unwrap_or(Millis::ZERO)
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
            pause: None,
            streams: vec![report.stream.clone()],
            books: report.books,
            difference: difference(report),
            unread: report.unread,
            lag: report.lag,
            accepted_requests: report.accepted_requests,
            refused_requests: report.refused_requests,
            failed_requests: report.failed_requests,
            slow_downs: report.slow_downs,
            notes: report.notes,
            delivered_bytes: report.delivered_bytes,
            under_way: u64::from(report.under_way),
            last_success_ms: report.last_success_ms,
            last_statement_ms: report.last_statement_ms,
            last_failure: report.last_failure.clone(),
            replay: report.replay.clone(),
            drains: Vec::new(),
            drain: None,
            latency_ms: None,
        }
    }

    /// A configured destination that no shard could make anything of.
    fn without_a_place(destination: &crate::config::Destination) -> DestinationPicture {
        DestinationPicture {
            name: destination.name.clone(),
            kind: destination.kind.name(),
            state: "misconfigured",
            cause: Reason::NotSetUp.into(),
            pause: None,
            streams: Vec::new(),
            books: Books::default(),
            difference: 0,
            unread: 0,
            lag: Millis::ZERO,
            accepted_requests: 0,
            refused_requests: 0,
            failed_requests: 0,
            slow_downs: 0,
            notes: 0,
            delivered_bytes: 0,
            under_way: 0,
            last_success_ms: None,
            last_statement_ms: None,
            last_failure: None,
            replay: None,
            drains: Vec::new(),
            drain: None,
            latency_ms: None,
        }
    }

    /// What an operator has paused is paused to people, whatever its last request came to. What drains is known for that
    /// unless something keeps it from draining.
    fn set_paused(&mut self, pause: Pause, shards: usize) {
        let who = &pause.who;
        self.drain = pause.drain.as_ref().map(|drain| self.drained(drain, shards));
        (self.state, self.cause) = match self.drain {
            None => ("paused", Reason::Paused.saying(format!("{who} has paused it"))),
            Some(DrainPicture { is_over: true, .. }) => {
                let words = "it has all that was in the log then, and what came later waits";
                ("paused", Reason::Drained.saying(format!("{who} has drained it: {words}")))
            }
            Some(_) if badness(self.state) > badness("draining") => {
                (self.state, self.cause.reason.saying(format!("{}; {who} drains it", self.cause.in_words())))
            }
            Some(DrainPicture { unread, .. }) => {
                let words = format!("{} events in hand and {unread} records to be read are left", self.books.in_hand);
                ("draining", Reason::Draining.saying(format!("{who} drains it: {words}")))
            }
        };
        self.pause = Some(pause);
    }

    /// How far it has drained. What a shard has said of an earlier wish counts for nothing.
    fn drained(&self, drain: &Drain, shards: usize) -> DrainPicture {
        let part = |shard: usize| {
            let is_of_this =
                |(number, report): &&(usize, DrainReport)| *number == shard && report.until == drain.point(shard);
            self.drains.iter().find(is_of_this).map(|(_, report)| report)
        };
        let are_all_over = (0..shards).all(|shard| part(shard).is_some_and(|report| report.is_over));
        let unread = (0..shards).filter_map(part).map(|report| report.unread).sum();
        DrainPicture { unread, is_over: drain.ended_ms.is_some() || are_all_over }
    }

    /// The points of a destination that has everything before them, while that is not noted on the disk.
    pub(super) fn has_just_drained(&self) -> Option<&[u64]> {
        let drain = self.pause.as_ref()?.drain.as_ref()?;
        let is_news = drain.ended_ms.is_none() && self.drain.is_some_and(|drain| drain.is_over);
        is_news.then_some(drain.points.as_slice())
    }

    fn add(&mut self, report: &DestinationReport) {
        if badness(report.state) > badness(self.state) {
            self.state = report.state;
            self.cause.clone_from(&report.cause);
        }
        self.streams.push(report.stream.clone());
        self.books.add(&report.books);
        self.difference = self.difference.saturating_add(difference(report));
        self.unread += report.unread;
        self.lag = self.lag.max(report.lag);
        self.accepted_requests += report.accepted_requests;
        self.refused_requests += report.refused_requests;
        self.failed_requests += report.failed_requests;
        self.slow_downs += report.slow_downs;
        self.notes += report.notes;
        self.delivered_bytes += report.delivered_bytes;
        self.under_way += u64::from(report.under_way);
        self.last_success_ms = self.last_success_ms.max(report.last_success_ms);
        self.last_statement_ms = self.last_statement_ms.max(report.last_statement_ms);
        let at = |failure: &Option<(i64, String)>| failure.as_ref().map(|(at, _)| *at);
        if at(&report.last_failure) > at(&self.last_failure) {
            self.last_failure.clone_from(&report.last_failure);
        }
        self.add_replay(report.replay.as_ref());
    }

    fn add_replay(&mut self, more: Option<&ReplayReport>) {
        match (&mut self.replay, more) {
            (Some(sum), Some(more)) => {
                sum.begun_wall_ms = sum.begun_wall_ms.min(more.begun_wall_ms);
                sum.books.add(&more.books);
                sum.unread += more.unread;
                sum.is_over &= more.is_over;
                sum.stopped = sum.stopped.take().or_else(|| more.stopped.clone());
            }
            (sum @ None, Some(more)) => *sum = Some(more.clone()),
            (_, None) => {}
        }
    }

    pub(super) fn add_latency(&mut self, more: &Histogram<u32>, detail: Detail<'_>) {
        let known = match (detail, self.latency_ms.take()) {
            (Detail::Plain, _) => return,
            (Detail::Of(name), _) if name != self.name => return,
            (Detail::Full | Detail::Of(_), None) => Some(more.clone()),
            (Detail::Rough, None) => Histogram::new(ROUGH_DIGITS).ok().map(|rough| sum(rough, more)),
            (_, Some(known)) => Some(sum(known, more)),
        };
        self.latency_ms = known;
    }
}

/// Two distributions together. The first grows as it must, so nothing is out of its bounds.
fn sum(mut known: Histogram<u32>, more: &Histogram<u32>) -> Histogram<u32> {
    let _ = known.add(more);
    known
}

/// By how much the books of a stream and of its replay are out.
fn difference(report: &DestinationReport) -> u64 {
    let replay = report.replay.as_ref().map_or(0, |replay| replay.books.difference());
    report.books.difference().saturating_add(replay)
}

/// For how long a shard has not finished a turn, beyond the time it may sleep.
fn stalled(report: &ShardReport, now: Millis) -> Millis {
    if report.turns == 0 { Millis::ZERO } else { now.since(report.at.plus(SLEEP_MAX)) }
}

/// What a chart of latencies needs.
const ROUGH_DIGITS: u8 = 1;
/// A shard looks round once a second; a little more is no stall.
const SLEEP_MAX: Millis = Millis(1_500);
/// A shard that has not moved for so long is stuck.
pub(super) const STALL_MAX: Millis = Millis::from_secs(20);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::delivery::outlet::Tally;

    /// A shard's word on a destination that has accepted so many events.
    pub(in crate::control) fn report(name: &str, state: &'static str, delivered: u64) -> DestinationReport {
        let mut latency_ms = Tally::default().latency_ms;
        latency_ms.record_n(5, delivered as u32).unwrap();
        DestinationReport {
            name: name.to_owned(),
            kind: "splunk_hec",
            stream: format!("stream-of-{name}"),
            state,
            cause: Reason::Unreachable.saying(format!("{name} is {state}")),
            books: Books { judged: delivered, selected: delivered, delivered, ..Books::default() },
            unread: 1,
            lag: Millis(delivered),
            accepted_requests: 1,
            refused_requests: 2,
            failed_requests: 3,
            slow_downs: 4,
            notes: 5,
            delivered_bytes: 10,
            under_way: 1,
            last_success_ms: Some(delivered as i64),
            last_statement_ms: Some(delivered as i64 + 1),
            stated_end: delivered + 1,
            is_overflowing: false,
            notices_waiting: 0,
            last_failure: Some((delivered as i64, format!("at {delivered}"))),
            latency_ms,
            replay: None,
            drain: None,
        }
    }

    fn shard(destinations: Vec<DestinationReport>) -> ShardReport {
        ShardReport { turns: 1, destinations, ..ShardReport::default() }
    }

    #[test]
    fn shards_add_up_and_the_worst_state_is_the_destinations() {
        let mut picture = Picture::default();
        let first = shard(vec![report("a", "active", 4), report("b", "auth_hold", 1)]);
        // The other shard has them in another order, as it may for a moment after a reload.
        let mut second = shard(vec![report("b", "active", 2), report("a", "retrying", 3)]);
        second.destinations[0].books.delivered = 0;
        picture.add(0, true, &first, Millis::ZERO, Detail::Full);
        picture.add(1, true, &second, Millis::ZERO, Detail::Full);
        let [a, b] = picture.destinations.as_slice() else { panic!("{picture:?}") };
        assert_eq!((a.state, a.cause.in_words()), ("retrying", "a is retrying"));
        assert_eq!((b.state, b.cause.in_words()), ("auth_hold", "b is auth_hold"));
        assert_eq!((a.books.delivered, a.difference, a.unread, a.lag), (7, 0, 2, Millis(4)));
        assert_eq!((b.difference, b.failed_requests, b.slow_downs, b.notes, b.streams.len()), (2, 6, 8, 10, 2));
        assert_eq!((a.last_success_ms, a.last_statement_ms), (Some(4), Some(5)));
        assert_eq!(a.last_failure.clone(), Some((4, "at 4".to_owned())));
        assert_eq!(a.latency_ms.as_ref().map(Histogram::len), Some(7));
    }

    #[test]
    fn rough_latencies_of_all_shards_are_together_and_near_the_true_ones() {
        let mut picture = Picture::default();
        let mut slow = shard(vec![report("a", "active", 3)]);
        slow.destinations[0].latency_ms.record_n(2_345, 97).unwrap();
        picture.add(0, true, &shard(vec![report("a", "active", 4)]), Millis::ZERO, Detail::Rough);
        picture.add(1, true, &slow, Millis::ZERO, Detail::Rough);
        let rough = picture.destinations[0].latency_ms.as_ref().unwrap();
        assert_eq!((rough.len(), rough.value_at_quantile(0.01)), (104, 5));
        assert!((2_345..2_500).contains(&rough.value_at_quantile(0.5)), "{}", rough.value_at_quantile(0.5));
        assert!(rough.distinct_values() * 4 < slow.destinations[0].latency_ms.distinct_values());
        let mut plain = Picture::default();
        plain.add(0, true, &slow, Millis::ZERO, Detail::Plain);
        assert!(plain.destinations[0].latency_ms.is_none());
    }

    #[test]
    fn a_replay_runs_until_every_shard_is_through_with_its_part() {
        let mut picture = Picture::default();
        let part = |delivered, is_over, stopped: Option<&str>| {
            let mut report = report("a", "active", 1);
            let books = Books { judged: delivered, selected: delivered, delivered, ..Books::default() };
            let stopped = stopped.map(str::to_owned);
            report.replay =
                Some(ReplayReport { from_wall_ms: 7, begun_wall_ms: 9, books, unread: 5, is_over, stopped });
            shard(vec![report])
        };
        let mut out = part(3, true, Some("damaged"));
        out.destinations[0].replay.as_mut().unwrap().books.delivered -= 1;
        let shards = [shard(vec![report("a", "active", 1)]), part(2, false, None), out];
        (0..).zip(&shards).for_each(|(at, shard)| picture.add(at, true, shard, Millis::ZERO, Detail::Plain));
        let replay = picture.destinations[0].replay.clone().unwrap();
        assert_eq!((replay.from_wall_ms, replay.begun_wall_ms, replay.books.delivered, replay.unread), (7, 9, 4, 10));
        assert_eq!((replay.is_over, replay.stopped.as_deref()), (false, Some("damaged")));
        assert_eq!(picture.destinations[0].difference, 1, "the books of replays must balance too");
    }

    #[test]
    fn what_an_operator_has_paused_is_paused_even_while_it_cannot_be_reached() {
        let mut picture = Picture::default();
        picture.add(0, true, &shard(vec![report("a", "circuit_open", 4)]), Millis::ZERO, Detail::Plain);
        picture.destinations[0].set_paused(Pause { who: "uid 0".to_owned(), since_ms: 7, drain: None }, 1);
        let a = &picture.destinations[0];
        assert_eq!((a.state, a.cause.in_words()), ("paused", "uid 0 has paused it"));
        assert_eq!(a.last_failure.clone(), Some((4, "at 4".to_owned())), "what went wrong before is still told");
    }

    #[test]
    fn what_drains_stands_when_every_shard_has_said_so_of_this_very_wish_and_trouble_on_the_way_shows() {
        let of = |states: [&'static str; 2], reports: [(u64, u64, bool); 2], ended_ms| {
            let mut picture = Picture::default();
            for (number, (state, (until, unread, is_over))) in states.into_iter().zip(reports).enumerate() {
                let mut report = report("a", state, 4);
                report.drain = Some(DrainReport { until: scaidrive_wal::Seq::from_raw(until), unread, is_over });
                picture.add(number, true, &shard(vec![report]), Millis::ZERO, Detail::Plain);
            }
            let drain = Some(Drain { points: vec![9, 5], ended_ms });
            picture.destinations[0].set_paused(Pause { who: "uid 0".to_owned(), since_ms: 7, drain }, 2);
            picture.destinations.remove(0)
        };
        let half = of(["paused", "draining"], [(9, 0, true), (5, 3, false)], None);
        assert_eq!((half.state, half.cause.reason), ("draining", Reason::Draining));
        assert!(half.cause.in_words().contains("uid 0 drains it: 0 events in hand and 3 records"), "{:?}", half.cause);
        assert_eq!(half.has_just_drained(), None);
        let stale = of(["paused", "paused"], [(9, 0, true), (4, 0, true)], None);
        assert_eq!(stale.state, "draining", "that was an earlier wish");
        let stuck = of(["paused", "auth_hold"], [(9, 0, true), (5, 3, false)], None);
        assert_eq!((stuck.state, stuck.cause.in_words()), ("auth_hold", "a is auth_hold; uid 0 drains it"));
        let over = of(["paused", "circuit_open"], [(9, 0, true), (5, 0, true)], None);
        assert_eq!(
            (over.state, over.cause.reason, over.has_just_drained()),
            ("paused", Reason::Drained, Some(&[9, 5][..]))
        );
        let noted = of(["active", "active"], [(1, 0, false), (1, 0, false)], Some(8));
        assert_eq!((noted.state, noted.has_just_drained()), ("paused", None), "also before the shards have spoken");
    }

    #[test]
    fn what_keeps_events_out_is_named_and_a_drained_log_keeps_nothing_out() {
        let mut picture = Picture::default();
        let full = ShardReport { turns: 1, why_no_room: Some("the disk is full".to_owned()), ..ShardReport::default() };
        picture.add(0, true, &full, Millis::ZERO, Detail::Plain);
        picture.add(1, true, &ShardReport::default(), Millis::ZERO, Detail::Plain);
        picture.add(2, false, &full, Millis::ZERO, Detail::Plain);
        assert_eq!(picture.obstacles(), ["shard 0: the disk is full", "shard 1 has not started yet"]);
        assert!(picture.stuck().is_empty());
        let mut late = Picture::default();
        late.add(0, true, &shard(Vec::new()), Millis::from_secs(60), Detail::Plain);
        assert_eq!(late.stuck(), ["shard 0 has not moved for 58.5 s"]);
        assert_eq!(late.obstacles(), late.stuck());
    }
}
