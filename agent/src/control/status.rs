//! `/status`: the whole agent as one JSON document; the command line shows the same to people.
//!
//! Times that end in `_ms` are milliseconds: since 1970 for moments (`since_ms`, `at_ms`), else spans.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::{Config, Destination, Misconfigured};
use crate::control::headroom::{Course, Headroom, Room};
use crate::control::managed::tell::Error;
use crate::control::picture::{DestinationPicture, Detail, Picture};
use crate::control::states::outlook;
use crate::control::watch::{Rate, Watch};
use crate::node::{Pause, View};
use crate::runtime::{Held, TaskName};
use crate::shard::ReplayReport;
use crate::stream::books::Books;
use crate::time::Millis;

/// The agent at one moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Who it is.
    pub agent: AgentStatus,
    /// What the shards run on.
    pub runtime: RuntimeStatus,
    /// How events come in.
    pub intake: IntakeStatus,
    /// All logs together.
    pub log: LogStatus,
    /// Each shard.
    pub shards: Vec<ShardStatus>,
    /// Each destination, over all shards.
    pub destinations: Vec<DestinationStatus>,
    /// Destinations of the API that can't be used as they lie on the disk, with why.
    #[serde(default)]
    pub misconfigured: Vec<Error>,
}

/// Who the agent is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentStatus {
    /// Its id.
    pub id: String,
    /// The label of the node.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// How long it has run.
    pub uptime_ms: u64,
    /// The configuration in force.
    pub config: String,
    /// Settings that differ from it until the next start, in words.
    pub needs_restart: Option<String>,
    /// Destinations of the API whose files were edited by hand, in words; that takes effect with a reload.
    #[serde(default)]
    pub needs_reload: Option<String>,
}

/// What the shards run on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuntimeStatus {
    /// `io_uring` or `epoll`.
    pub backend: String,
    /// Why this one.
    pub why: String,
}

/// How events come in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IntakeStatus {
    /// Whether events can be taken.
    pub is_ready: bool,
    /// Why not.
    pub obstacles: Vec<String>,
    /// Producers on the socket.
    pub connections: u64,
    /// Events that are durable.
    pub accepted: u64,
    /// Their bytes.
    pub accepted_bytes: u64,
    /// Lines refused, by reason; reasons that never occurred are left out.
    pub refused: BTreeMap<String, u64>,
    /// Events given back to their producers.
    pub failed: u64,
    /// Events a second, over the last minute.
    pub events_per_second: f64,
}

/// All logs together.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogStatus {
    /// Records held.
    pub events: u64,
    /// Bytes of the segment files.
    pub bytes: u64,
    /// The budget for them.
    pub max_bytes: u64,
    /// Age of the oldest record.
    pub oldest_age_ms: u64,
    /// How long events stay.
    pub window_ms: u64,
    /// What an acknowledgement means: `fsync`, `interval` or `os`.
    pub durability: String,
}

/// One shard.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShardStatus {
    /// Its number.
    pub shard: usize,
    /// Whether it takes events; one that does not only drains an old log.
    pub is_active: bool,
    /// For how long its loop has stood still.
    pub stalled_ms: u64,
    /// The tasks that have held its loop.
    #[serde(default)]
    pub stalls: Vec<StallStatus>,
    /// First record held.
    pub first_seq: u64,
    /// First number not yet durable.
    pub durable_end: u64,
    /// First number not yet given.
    pub next_seq: u64,
    /// Segment files.
    pub segments: u64,
    /// Records whose index could not be read.
    pub unreadable: u64,
}

/// The tasks of one name on one shard that have held its loop, each time for 0.5 ms or more, since the agent started.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StallStatus {
    /// What they work at: `turn`, `ingest`, `delivery` or `upkeep`.
    pub task: String,
    /// How often.
    pub count: u64,
    /// For how long together.
    pub sum_ms: u64,
    /// The longest.
    pub longest_ms: u64,
}

/// One destination, over all shards.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DestinationStatus {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The worst state of any shard.
    pub state: String,
    /// Why, as one of few words.
    #[serde(default)]
    pub code: String,
    /// Why: what was said, if anything was.
    pub cause: String,
    /// Since when.
    pub since_ms: Option<i64>,
    /// What happens next by itself.
    #[serde(default)]
    pub next: String,
    /// What to do; `null` where there is nothing to do.
    #[serde(default)]
    pub remedy: Option<String>,
    /// Who has paused or drains it, if somebody has or does.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// What is left until it has drained, where somebody drains it.
    #[serde(default)]
    pub drain: Option<DrainStatus>,
    /// What it does not get of the events it gets: `ip masked`, for example.
    #[serde(default)]
    pub redacted: Vec<String>,
    /// Age of the oldest event that is not settled.
    pub lag_ms: u64,
    /// How long the log can hold an event here: for the window, or for what the budget lasts at the present rate.
    #[serde(default)]
    pub window_ms: u64,
    /// How much of that the oldest event that is not settled has used.
    #[serde(default)]
    pub window_used_ms: u64,
    /// What is left of it: when nothing is delivered, that event is given up then.
    pub headroom_ms: u64,
    /// Where the lag is going.
    #[serde(default)]
    pub trend: LagTrend,
    /// When the window is full at the rate of the last minute; `null` where it does not fill.
    #[serde(default)]
    pub full_in_ms: Option<u64>,
    /// When next to nothing waits any more at that rate; `null` where it does not drain.
    #[serde(default)]
    pub level_in_ms: Option<u64>,
    /// Records that its reader has not judged yet.
    pub unread: u64,
    /// Where the events it was to get are.
    pub books: BooksStatus,
    /// Requests by how they ended.
    pub requests: RequestsStatus,
    /// Bytes of events accepted.
    pub delivered_bytes: u64,
    /// Events accepted a second, over the last minute.
    #[serde(default)]
    pub events_per_second: f64,
    /// When it last accepted something, be it a statement, which goes out each hour at least: longer silence means something.
    pub last_success_ms: Option<i64>,
    /// When it last accepted a statement about its numbers.
    #[serde(default)]
    pub last_statement_ms: Option<i64>,
    /// What last went wrong, and when.
    pub last_failure: Option<FailureStatus>,
    /// The replay that runs, or the last one since the agent started or its settings changed.
    #[serde(default)]
    pub replay: Option<ReplayStatus>,
    /// From accepted here to accepted there.
    pub latency: LatencyStatus,
    /// What it will never take; `null` while the store is busy.
    pub dead_letters: Option<DeadLettersStatus>,
    /// Its streams, as events name them.
    pub streams: Vec<String>,
}

/// Where a destination's lag is going, judged by the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LagTrend {
    /// Next to nothing waits.
    #[default]
    Level,
    /// It lags, and it is not known yet where to.
    Unknown,
    /// It lags and keeps pace.
    Steady,
    /// It lags more and more.
    Filling,
    /// It lags less and less.
    Draining,
}

/// Counts of events: `judged = filtered + selected`, and `selected` is the sum of all that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BooksStatus {
    /// In scope and looked at.
    pub judged: u64,
    /// Not wanted by the filter.
    pub filtered: u64,
    /// Wanted.
    pub selected: u64,
    /// Accepted there.
    pub delivered: u64,
    /// Refused there and kept.
    pub dead_lettered: u64,
    /// Given up.
    pub overflowed: u64,
    /// Waiting or under way.
    pub in_hand: u64,
    /// Written off.
    pub abandoned: u64,
    /// By how much it does not add up; must be 0.
    pub difference: u64,
}

/// Requests by how they ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequestsStatus {
    /// Accepted.
    pub accepted: u64,
    /// Answered with a refusal.
    pub refused: u64,
    /// Without a useful answer.
    pub failed: u64,
    /// Answers that asked for less, whatever else they said.
    #[serde(default)]
    pub slow_downs: u64,
    /// Answers that said something people should know, as `last_failure` shows it.
    #[serde(default)]
    pub notes: u64,
    /// Under way now.
    pub under_way: u64,
}

/// Something that went wrong.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailureStatus {
    /// When.
    pub at_ms: i64,
    /// In plain words.
    pub what: String,
}

/// What a destination is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayStatus {
    /// What was accepted since then; `null` for all that the log holds.
    pub from_ms: Option<i64>,
    /// When it began.
    pub begun_ms: i64,
    /// `running`, `over`, or `stopped` before its end.
    pub state: String,
    /// Why it stopped, on one shard at least.
    pub cause: Option<String>,
    /// Events accepted there again.
    pub delivered: u64,
    /// Events refused there, now or already before.
    pub dead_lettered: u64,
    /// Events given up.
    pub overflowed: u64,
    /// Events waiting or under way.
    pub in_hand: u64,
    /// Records that it has not come to.
    pub unread: u64,
}

/// How far a destination has drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrainStatus {
    /// Events waiting or under way.
    pub in_hand: u64,
    /// Records before its point that are not judged yet; some may not be for it.
    pub unread: u64,
    /// About how many bytes all of them are, if they are like those delivered so far; `null` where none was.
    pub bytes: Option<u64>,
    /// It has everything before its point, and stands.
    pub is_over: bool,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct LatencyStatus {
    /// How many.
    pub count: u64,
    /// Half took at most this long.
    pub p50_ms: u64,
    /// 99 of 100 took at most this long.
    pub p99_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

/// A store of dead letters.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeadLettersStatus {
    /// Events in it.
    pub events: u64,
    /// Bytes it takes.
    pub bytes: u64,
    /// Bytes it may take.
    pub max_bytes: u64,
}

/// Takes the status of the agent behind `view`.
pub(super) fn take(view: &View, watch: &Watch, needs_restart: Option<String>, now: Millis) -> Status {
    let picture = Picture::take(view, now, Detail::Full);
    let config = view.config();
    let rate = watch.rate();
    let max_bytes = view.budget.max().saturating_mul(config.buffer.segment_size);
    let destinations = all_destinations(view, watch, &picture);
    Status {
        agent: AgentStatus {
            id: view.agent_id.clone(),
            node: config.agent.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: now.0,
            config: config.file.display().to_string(),
            needs_restart,
            needs_reload: None,
        },
        runtime: RuntimeStatus { backend: view.choice.backend.to_string(), why: view.choice.why.clone() },
        intake: intake_status(view, &picture, rate),
        log: LogStatus {
            events: picture.log_events(),
            bytes: picture.log_bytes(),
            max_bytes,
            oldest_age_ms: picture.oldest_age().0,
            window_ms: config.buffer.window.0,
            durability: config.buffer.durability.name().to_owned(),
        },
        destinations,
        misconfigured: misconfigured(&config),
        shards: picture.shards.iter().map(shard_status).collect(),
    }
}

/// What is wrong with destinations that can't be used.
fn misconfigured(config: &Config) -> Vec<Error> {
    let of = |known: &Misconfigured| -> Vec<Error> {
        let named = |problem| Error { destination: Some(known.key.clone()), ..Error::of(problem) };
        known.problems.iter().map(named).collect()
    };
    config.misconfigured.iter().flat_map(of).collect()
}

/// Takes the status of the destinations alone.
pub(super) fn destinations(view: &View, watch: &Watch, now: Millis, detail: Detail<'_>) -> Vec<DestinationStatus> {
    all_destinations(view, watch, &Picture::take(view, now, detail))
}

fn all_destinations(view: &View, watch: &Watch, picture: &Picture) -> Vec<DestinationStatus> {
    let config = view.config();
    let known: HashMap<&str, &Destination> =
        config.destinations.iter().map(|known| (known.name.as_str(), &**known)).collect();
    let room = room(view, picture, watch.rate());
    let status = |destination: &DestinationPicture| {
        let known = known.get(destination.name.as_str());
        let dead_letters = known.and_then(|known| view.stores.find(known.id)).and_then(|store| {
            // The shard may hold it while it waits for the disk; nobody waits for that here.
            let store = store.try_lock().ok()?;
            Some(DeadLettersStatus { events: store.len() as u64, bytes: store.bytes(), max_bytes: store.max_bytes() })
        });
        let redacted = known.map(|known| known.redact.in_words()).unwrap_or_default();
        destination_status(destination, watch, &room, dead_letters, redacted)
    };
    picture.destinations.iter().map(status).collect()
}

/// What bounds how long the log can hold events that come in at `rate`.
pub(super) fn room(view: &View, picture: &Picture, rate: Rate) -> Room {
    let config = view.config();
    Room {
        window: config.buffer.window,
        max_bytes: view.budget.max().saturating_mul(config.buffer.segment_size),
        log_bytes: picture.log_bytes(),
        oldest_age: picture.oldest_age(),
        bytes_per_second: rate.on_disk(),
    }
}

fn intake_status(view: &View, picture: &Picture, rate: Rate) -> IntakeStatus {
    let mut refused = BTreeMap::new();
    for (reason, count) in view.intake.stats().flat_map(|stats| stats.refused()).filter(|(_, count)| *count > 0) {
        *refused.entry(reason.to_owned()).or_insert(0) += count;
    }
    let sum = |of: fn(&crate::ingest::IngestStats) -> u64| view.intake.stats().map(of).sum();
    let obstacles = picture.obstacles();
    IntakeStatus {
        is_ready: obstacles.is_empty(),
        obstacles,
        connections: sum(|stats| stats.open_connections()),
        accepted: sum(|stats| stats.accepted.get()),
        accepted_bytes: sum(|stats| stats.accepted_bytes.get()),
        refused,
        failed: sum(|stats| stats.failed.get()),
        events_per_second: rate.events_per_second,
    }
}

fn shard_status(shard: &crate::control::picture::ShardPicture) -> ShardStatus {
    ShardStatus {
        shard: shard.number,
        is_active: shard.is_active,
        stalled_ms: shard.stalled.0,
        stalls: shard.stalls.each().filter_map(|(task, held)| StallStatus::of(task, held)).collect(),
        first_seq: shard.first_seq,
        durable_end: shard.durable_end,
        next_seq: shard.next_seq,
        segments: shard.segments,
        unreadable: shard.unreadable,
    }
}

fn destination_status(
    destination: &DestinationPicture,
    watch: &Watch,
    room: &Room,
    dead_letters: Option<DeadLettersStatus>,
    redacted: Vec<String>,
) -> DestinationStatus {
    let headroom = Headroom::of(destination.lag, watch.lag_growth(&destination.name), room);
    let (trend, full_in, level_in) = foreseen(headroom.course);
    let (next, remedy) = outlook(destination.state, &destination.name);
    DestinationStatus {
        name: destination.name.clone(),
        kind: destination.kind.to_owned(),
        state: destination.state.to_owned(),
        code: destination.cause.reason.code().to_owned(),
        cause: destination.cause.in_words().to_owned(),
        since_ms: paused_since(destination).or(watch.since_ms(&destination.name)),
        next: next.to_owned(),
        remedy,
        pause: destination.pause.clone(),
        drain: DrainStatus::of(destination),
        redacted,
        lag_ms: destination.lag.0,
        window_ms: headroom.whole().0,
        window_used_ms: headroom.used.0,
        headroom_ms: headroom.left.0,
        trend,
        full_in_ms: full_in.map(|span| span.0),
        level_in_ms: level_in.map(|span| span.0),
        unread: destination.unread,
        books: BooksStatus::of(&destination.books, destination.difference),
        requests: RequestsStatus {
            accepted: destination.accepted_requests,
            refused: destination.refused_requests,
            failed: destination.failed_requests,
            slow_downs: destination.slow_downs,
            notes: destination.notes,
            under_way: destination.under_way,
        },
        delivered_bytes: destination.delivered_bytes,
        events_per_second: watch.delivery_rate(&destination.name).events_per_second,
        last_success_ms: destination.last_success_ms,
        last_statement_ms: destination.last_statement_ms,
        last_failure: destination.last_failure.clone().map(|(at_ms, what)| FailureStatus { at_ms, what }),
        replay: destination.replay.as_ref().map(ReplayStatus::of),
        latency: destination.latency_ms.as_ref().map(LatencyStatus::of).unwrap_or_default(),
        dead_letters,
        streams: destination.streams.clone(),
    }
}

/// Since when it is paused, or drains. When something else is the matter, or it is not noted yet that it has drained, whoever
/// watches knows since when.
fn paused_since(destination: &DestinationPicture) -> Option<i64> {
    let pause = destination.pause.as_ref()?;
    match (destination.state, &pause.drain) {
        ("paused", Some(drain)) => drain.ended_ms,
        ("paused" | "draining", _) => Some(pause.since_ms),
        _ => None,
    }
}

impl DrainStatus {
    fn of(destination: &DestinationPicture) -> Option<DrainStatus> {
        let drain = destination.drain?;
        // What comes after the point is no part of it.
        let in_hand = if drain.is_over { 0 } else { destination.books.in_hand };
        let each = destination.delivered_bytes.checked_div(destination.books.delivered);
        let bytes = each.map(|each| each.saturating_mul(in_hand.saturating_add(drain.unread)));
        Some(DrainStatus { in_hand, unread: drain.unread, bytes, is_over: drain.is_over })
    }
}

/// Where the lag is going, when the window is full, and when it is level again.
fn foreseen(course: Course) -> (LagTrend, Option<Millis>, Option<Millis>) {
    match course {
        Course::Level => (LagTrend::Level, None, None),
        Course::Unknown => (LagTrend::Unknown, None, None),
        Course::Steady => (LagTrend::Steady, None, None),
        Course::Filling { full_in } => (LagTrend::Filling, Some(full_in), None),
        Course::Draining { level_in } => (LagTrend::Draining, None, Some(level_in)),
    }
}

impl StallStatus {
    /// None where no task of that name has held the loop.
    fn of(task: TaskName, held: &Held) -> Option<StallStatus> {
        let ms = |span: Duration| span.as_millis() as u64;
        let count = held.count();
        let (sum_ms, longest_ms) = (ms(held.sum), ms(held.longest));
        (count > 0).then(|| StallStatus { task: task.text().to_owned(), count, sum_ms, longest_ms })
    }
}

impl ReplayStatus {
    fn of(replay: &ReplayReport) -> ReplayStatus {
        let state = match (replay.is_over, &replay.stopped) {
            (false, _) => RUNNING,
            (true, Some(_)) => "stopped",
            (true, None) => OVER,
        };
        ReplayStatus {
            from_ms: (replay.from_wall_ms != FROM_THE_OLDEST).then_some(replay.from_wall_ms),
            begun_ms: replay.begun_wall_ms,
            state: state.to_owned(),
            cause: replay.stopped.clone(),
            delivered: replay.books.delivered,
            dead_lettered: replay.books.dead_lettered,
            overflowed: replay.books.overflowed,
            in_hand: replay.books.in_hand,
            unread: replay.unread,
        }
    }

    /// Whether another one would have to wait.
    pub(crate) fn is_running(&self) -> bool {
        self.state == RUNNING
    }

    /// Whether it has ended without an event.
    pub(crate) fn has_nothing(&self) -> bool {
        self.state == OVER && self.delivered + self.dead_lettered + self.overflowed == 0
    }
}

impl LatencyStatus {
    fn of(latency: &Histogram<u32>) -> LatencyStatus {
        LatencyStatus {
            count: latency.len(),
            p50_ms: latency.value_at_quantile(0.5),
            p99_ms: latency.value_at_quantile(0.99),
            max_ms: latency.max(),
        }
    }
}

impl BooksStatus {
    fn of(books: &Books, difference: u64) -> BooksStatus {
        BooksStatus {
            judged: books.judged,
            filtered: books.filtered,
            selected: books.selected,
            delivered: books.delivered,
            dead_lettered: books.dead_lettered,
            overflowed: books.overflowed,
            in_hand: books.in_hand,
            abandoned: books.abandoned,
            difference,
        }
    }
}

const RUNNING: &str = "running";
const OVER: &str = "over";
/// The moment since which everything was accepted, even where the clock was wrong.
pub(super) const FROM_THE_OLDEST: i64 = i64::MIN;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_runs_is_over_or_has_stopped_with_a_cause() {
        let of = |is_over, stopped: Option<&str>| {
            let stopped = stopped.map(str::to_owned);
            ReplayStatus::of(&ReplayReport { from_wall_ms: 7, is_over, stopped, ..ReplayReport::default() })
        };
        let states = [of(false, None), of(false, Some("torn")), of(true, None), of(true, Some("torn"))];
        assert_eq!(states.clone().map(|replay| replay.state), ["running", "running", "over", "stopped"]);
        assert_eq!((states[3].from_ms, states[3].cause.as_deref()), (Some(7), Some("torn")));
        let whole = ReplayReport { from_wall_ms: FROM_THE_OLDEST, ..ReplayReport::default() };
        assert_eq!(ReplayStatus::of(&whole).from_ms, None);
    }

    fn status_of(lags: impl Iterator<Item = Millis>) -> DestinationStatus {
        let room = Room {
            window: Millis::from_secs(1_800),
            max_bytes: 1 << 30,
            log_bytes: 1 << 20,
            oldest_age: Millis::from_secs(1_800),
            bytes_per_second: 0.0,
        };
        let (mut watch, mut picture) = (Watch::default(), Picture::default());
        picture.destinations.push(crate::control::tests::destination("a", "retrying", Some("refused")));
        for (second, lag) in (0..).zip(lags) {
            picture.destinations[0].lag = lag;
            watch.look(&picture, Millis::from_secs(second), 0);
        }
        destination_status(&picture.destinations[0], &watch, &room, None, Vec::new())
    }

    #[test]
    fn a_destination_past_its_window_has_no_headroom_rather_than_a_negative_one() {
        let status = status_of([Millis::from_secs(9_999)].into_iter());
        assert_eq!((status.window_ms, status.window_used_ms, status.headroom_ms), (1_800_000, 1_800_000, 0));
        assert_eq!((status.trend, status.cause.as_str()), (LagTrend::Unknown, "refused"));
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<DestinationStatus>(&text).unwrap().kind, "splunk_hec");
    }

    #[test]
    fn a_destination_that_gets_nothing_says_when_it_is_full_and_one_that_catches_up_when_it_is_level() {
        let filling = status_of((0..31).map(|second| Millis::from_secs(570 + second)));
        assert_eq!((filling.window_used_ms, filling.window_ms), (600_000, 1_800_000));
        assert_eq!(
            (filling.trend, filling.full_in_ms, filling.level_in_ms),
            (LagTrend::Filling, Some(1_200_000), None)
        );
        let draining = status_of((0..31).map(|second| Millis::from_secs(660 - 2 * second)));
        assert_eq!(
            (draining.trend, draining.full_in_ms, draining.level_in_ms),
            (LagTrend::Draining, None, Some(300_000))
        );
    }
}
