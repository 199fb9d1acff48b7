//! The last hour: how each destination and the agent went, for charts, and the last changes of state.
//!
//! A sample is taken each [`SAMPLE_EVERY_MS`] and kept for an hour; all series have the same moments, and a destination
//! that is known for a shorter time has the last of them. Latencies of a sample are those of its span: what lies between
//! two distributions that were published, to one digit, so that a thousand destinations cost the control plane's
//! thread little.
//!
//! It is in memory and gone with the process. Of a destination it takes at most about 9 KiB ([`SAMPLES_MAX`] samples of
//! 12 bytes, one distribution, [`CHANGES_MAX`] changes), and as much again where each change said something else;
//! beyond [`DESTINATIONS_MAX`] destinations nothing is kept. No clock and no I/O: it is shown what the shards published.

mod number;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::number::Number;
use crate::control::picture::{DestinationPicture, Picture};
use crate::delivery::cause::{Cause, Reason};
use crate::time::Millis;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History {
    moments: VecDeque<Moment>,
    /// The same number of them.
    agent: VecDeque<AgentSample>,
    appended: Counts,
    /// When the last sample was taken, or what the first one begins with.
    taken_at: Option<Millis>,
    destinations: HashMap<String, Past>,
    looks: u64,
}

/// When a sample was taken.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Milliseconds since 1970.
    wall_ms: i64,
    /// How long it is after the one before.
    span_ms: u32,
}

/// The agent in one span.
#[derive(Clone, Copy, Debug)]
struct AgentSample {
    appended: Counts,
    log_bytes: u64,
    oldest_age: Millis,
}

/// Events and their bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    events: u64,
    bytes: u64,
}

/// What is kept of one destination.
#[derive(Debug)]
struct Past {
    samples: VecDeque<Sample>,
    /// Counted by the last sample; none before the first.
    before: Option<Before>,
    state: &'static str,
    changes: VecDeque<Change>,
    /// The look that saw it last.
    look: u64,
}

#[derive(Debug)]
struct Before {
    delivered: Counts,
    latency_ms: Option<Histogram<u32>>,
}

/// A destination in one span, in few bytes.
#[derive(Clone, Copy, Debug)]
struct Sample {
    delivered_events: Number,
    delivered_bytes: Number,
    lag_ms: Number,
    backlog_events: Number,
    /// None where nothing was delivered.
    p50_ms: Number,
    p99_ms: Number,
}

/// A change of state.
#[derive(Clone, Debug)]
struct Change {
    at_ms: i64,
    from: &'static str,
    to: &'static str,
    reason: Reason,
    /// Shared by all changes that said the same.
    said: Option<Arc<str>>,
}

/// The last hour of the agent; arrays of the same length, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentHistory {
    /// A sample is taken this often.
    pub sample_every_ms: u64,
    /// When each was taken, ms since 1970.
    pub at_ms: Vec<i64>,
    /// Events appended to the log a second, the agent's own included.
    pub intake_events_per_second: Vec<f64>,
    /// Their bytes.
    pub intake_bytes_per_second: Vec<f64>,
    /// Bytes of the log's segment files.
    pub log_bytes: Vec<u64>,
    /// Age of the oldest record that the log holds.
    pub oldest_age_ms: Vec<u64>,
}

/// The last hour of one destination; arrays of the same length but for `states`, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DestinationHistory {
    /// Its name.
    pub destination: String,
    /// A sample is taken this often.
    pub sample_every_ms: u64,
    /// When each was taken, ms since 1970.
    pub at_ms: Vec<i64>,
    /// Events accepted there a second.
    pub delivered_events_per_second: Vec<f64>,
    /// Their bytes as received.
    pub delivered_bytes_per_second: Vec<f64>,
    /// Age of the oldest event that is not settled.
    pub lag_ms: Vec<u64>,
    /// Events in hand, and records that its reader has not judged.
    pub backlog_events: Vec<u64>,
    /// From accepted here to accepted there, of what was accepted since the sample before: half took at most this long.
    /// `null` where nothing was.
    pub latency_p50_ms: Vec<Option<u64>>,
    /// 99 of 100 took at most this long.
    pub latency_p99_ms: Vec<Option<u64>>,
    /// The last changes of its state, the oldest first.
    pub states: Vec<StateChange>,
}

/// A change of a destination's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateChange {
    /// When it was seen, ms since 1970.
    pub at_ms: i64,
    /// The state before.
    pub from: String,
    /// The state since then.
    pub to: String,
    /// Why, as one of few words.
    pub code: String,
    /// Why: what was said, if anything was.
    pub cause: String,
}

impl History {
    /// Whether the next look takes a sample, and wants to see distributions of latencies.
    pub(super) fn is_due(&self, now: Millis) -> bool {
        self.taken_at.is_none_or(|at| now.since(at).0 >= SAMPLE_EVERY_MS)
    }

    /// Looks at what the shards say at `now`; `wall_ms` is for people. Nothing is noted before all of them have spoken:
    /// what a cursor remembers would pass for delivered at once.
    pub(super) fn look(&mut self, picture: Picture, now: Millis, wall_ms: i64) {
        if !picture.is_whole() {
            return;
        }
        self.looks += 1;
        let is_due = self.is_due(now);
        let is_first = self.taken_at.is_none();
        if is_due {
            self.sample_agent(&picture, now, wall_ms, is_first);
        }
        for destination in picture.destinations {
            let is_full = self.destinations.len() >= DESTINATIONS_MAX;
            if is_full && !self.destinations.contains_key(&destination.name) {
                continue;
            }
            let past = self.destinations.entry(destination.name.clone()).or_default();
            past.look = self.looks;
            past.note_state(&destination, wall_ms);
            if is_due {
                past.sample(destination);
            }
        }
        // What is gone from the configuration is forgotten.
        self.destinations.retain(|_, past| past.look == self.looks);
    }

    fn sample_agent(&mut self, picture: &Picture, now: Millis, wall_ms: i64, is_first: bool) {
        let span = self.taken_at.replace(now).map_or(0, |before| now.since(before).0);
        let events = picture.shards.iter().map(|shard| shard.appended_events).sum();
        let bytes = picture.shards.iter().map(|shard| shard.appended_bytes).sum();
        let counts = Counts { events, bytes };
        let appended = counts.since(std::mem::replace(&mut self.appended, counts));
        if is_first {
            return;
        }
        let span_ms = u32::try_from(span).unwrap_or(u32::MAX);
        keep(&mut self.moments, Moment { wall_ms, span_ms }, SAMPLES_MAX);
        let (log_bytes, oldest_age) = (picture.log_bytes(), picture.oldest_age());
        keep(&mut self.agent, AgentSample { appended, log_bytes, oldest_age }, SAMPLES_MAX);
    }

    /// The agent's last hour.
    pub(super) fn agent(&self) -> AgentHistory {
        let per_second = |of: fn(&Counts) -> u64| {
            let spans = self.moments.iter().map(|moment| moment.span_ms);
            self.agent.iter().zip(spans).map(|(sample, span)| rate(of(&sample.appended), span)).collect()
        };
        AgentHistory {
            sample_every_ms: SAMPLE_EVERY_MS,
            at_ms: self.moments.iter().map(|moment| moment.wall_ms).collect(),
            intake_events_per_second: per_second(|counts| counts.events),
            intake_bytes_per_second: per_second(|counts| counts.bytes),
            log_bytes: self.agent.iter().map(|sample| sample.log_bytes).collect(),
            oldest_age_ms: self.agent.iter().map(|sample| sample.oldest_age.0).collect(),
        }
    }

    /// A destination's last hour; empty while nothing is known of it, and of one too many.
    pub(super) fn destination(&self, name: &str) -> DestinationHistory {
        let nothing = Past::default();
        let past = self.destinations.get(name).unwrap_or(&nothing);
        let moments = self.moments.range(self.moments.len().saturating_sub(past.samples.len())..);
        let per_second = |of: fn(&Sample) -> Number| {
            let spans = moments.clone().map(|moment| moment.span_ms);
            past.samples.iter().zip(spans).map(|(sample, span)| rate(of(sample).value().unwrap_or(0), span)).collect()
        };
        let numbers = |of: fn(&Sample) -> Number| past.samples.iter().map(of);
        let plain = |of| numbers(of).map(|number| number.value().unwrap_or(0)).collect();
        let known = |of| numbers(of).map(Number::value).collect();
        DestinationHistory {
            destination: name.to_owned(),
            sample_every_ms: SAMPLE_EVERY_MS,
            at_ms: moments.clone().map(|moment| moment.wall_ms).collect(),
            delivered_events_per_second: per_second(|sample| sample.delivered_events),
            delivered_bytes_per_second: per_second(|sample| sample.delivered_bytes),
            lag_ms: plain(|sample| sample.lag_ms),
            backlog_events: plain(|sample| sample.backlog_events),
            latency_p50_ms: known(|sample| sample.p50_ms),
            latency_p99_ms: known(|sample| sample.p99_ms),
            states: past.changes.iter().map(Change::shown).collect(),
        }
    }
}

impl Default for Past {
    fn default() -> Self {
        Past { samples: VecDeque::new(), before: None, state: FIRST_STATE, changes: VecDeque::new(), look: 0 }
    }
}

impl Past {
    fn note_state(&mut self, destination: &DestinationPicture, wall_ms: i64) {
        let from = std::mem::replace(&mut self.state, destination.state);
        if from == destination.state {
            return;
        }
        let Cause { reason, said } = &destination.cause;
        let said = said.as_deref().map(|said| self.shared(cut(said)));
        keep(
            &mut self.changes,
            Change { at_ms: wall_ms, from, to: destination.state, reason: *reason, said },
            CHANGES_MAX,
        );
    }

    /// One that flaps says the same again and again.
    fn shared(&self, said: &str) -> Arc<str> {
        let known = self.changes.iter().filter_map(|change| change.said.as_ref());
        known.rev().find(|known| ***known == *said).map_or_else(|| said.into(), Arc::clone)
    }

    /// Takes a sample of what was delivered since the last one; the first time there is nothing to compare with.
    fn sample(&mut self, destination: DestinationPicture) {
        let delivered = Counts { events: destination.books.delivered, bytes: destination.delivered_bytes };
        let now = Before { delivered, latency_ms: destination.latency_ms };
        if let Some(before) = &self.before {
            let Counts { events, bytes } = delivered.since(before.delivered);
            let span = now.latency_ms.as_ref().and_then(|all| latest(all, before.latency_ms.as_ref()));
            let quantile = |of| span.as_ref().map_or(Number::NONE, |span| Number::of(span.value_at_quantile(of)));
            let sample = Sample {
                delivered_events: Number::of(events),
                delivered_bytes: Number::of(bytes),
                lag_ms: Number::of(destination.lag.0),
                backlog_events: Number::of(destination.books.in_hand.saturating_add(destination.unread)),
                p50_ms: quantile(0.5),
                p99_ms: quantile(0.99),
            };
            keep(&mut self.samples, sample, SAMPLES_MAX);
        }
        self.before = Some(now);
    }
}

impl Counts {
    /// What came since; nothing where counting began anew.
    fn since(self, before: Counts) -> Counts {
        let (events, bytes) = (self.events.saturating_sub(before.events), self.bytes.saturating_sub(before.bytes));
        Counts { events, bytes }
    }
}

impl Change {
    fn shown(&self) -> StateChange {
        StateChange {
            at_ms: self.at_ms,
            from: self.from.to_owned(),
            to: self.to.to_owned(),
            code: self.reason.code().to_owned(),
            cause: self.said.as_deref().unwrap_or(self.reason.words()).to_owned(),
        }
    }
}

/// What was recorded since `before`; none where nothing was. Where counting began anew, that is all there is.
fn latest(all: &Histogram<u32>, before: Option<&Histogram<u32>>) -> Option<Histogram<u32>> {
    let mut span = all.clone();
    if let Some(before) = before.filter(|before| !before.is_empty())
        && span.subtract(before).is_err()
    {
        span = all.clone();
    }
    (!span.is_empty()).then_some(span)
}

/// Adds to what is kept, and lets the oldest go.
fn keep<T>(kept: &mut VecDeque<T>, item: T, max: usize) {
    if kept.len() >= max {
        kept.pop_front();
    }
    if kept.len() == kept.capacity() {
        // Doubling would leave up to half of it unused.
        kept.reserve_exact(GROWN_BY.min(max - kept.len()));
    }
    kept.push_back(item);
}

/// So many in a span, as a second's, to two places.
fn rate(count: u64, span_ms: u32) -> f64 {
    (count as f64 * 100_000.0 / f64::from(span_ms.max(1))).round() / 100.0
}

fn cut(said: &str) -> &str {
    &said[..said.floor_char_boundary(SAID_MAX)]
}

/// What a destination is before it has said anything.
const FIRST_STATE: &str = "active";
/// Time between two samples.
const SAMPLE_EVERY_MS: u64 = 10_000;
/// An hour of them.
const SAMPLES_MAX: usize = 360;
/// Changes of state that are kept of a destination.
const CHANGES_MAX: usize = 50;
/// Bytes that are kept of what was said at a change.
const SAID_MAX: usize = 160;
/// Destinations of which anything is kept.
const DESTINATIONS_MAX: usize = 2_000;
/// Room is made for so many at a time.
const GROWN_BY: usize = 60;
const _: () = assert!(size_of::<Sample>() == 12);
const _: () = assert!(size_of::<Sample>() * SAMPLES_MAX + size_of::<Change>() * CHANGES_MAX <= 8 << 10);

#[cfg(test)]
mod tests;
