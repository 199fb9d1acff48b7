//! What the control plane remembers between two looks at the shards, and what it finds worth saying.
//!
//! No I/O and no clock: it is shown what the shards published, and answers with news. A destination whose state comes
//! and goes is told about at most once in [`TOLD_EVERY`], or each notice would be one more event that makes it flap.

use std::collections::HashMap;

use crate::control::headroom::Trend;
use crate::control::minute::LastMinute;
use crate::control::picture::Picture;
use crate::delivery::cause::Cause;
use crate::time::Millis;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watch {
    destinations: HashMap<String, Seen>,
    stalls: HashMap<usize, Stall>,
    /// What comes in.
    intake: Meter,
    looks: u64,
}

/// Something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A destination is in another state than was last told.
    State { destination: String, from: &'static str, to: &'static str, cause: Cause },
    /// A shard has not finished a turn for a while.
    Stalled { shard: usize, lasting: Millis },
    /// It goes on.
    Resumed { shard: usize, after: Millis },
}

#[derive(Debug)]
struct Seen {
    state: &'static str,
    since_ms: i64,
    told: &'static str,
    told_at: Option<Millis>,
    /// What it accepts.
    delivered: Meter,
    /// How its lag goes.
    trend: Trend,
    /// The look that saw it last.
    look: u64,
}

#[derive(Debug, Default)]
struct Stall {
    longest: Millis,
    is_told: bool,
}

/// Two counts that grow, over the last minute.
#[derive(Debug, Default)]
struct Meter {
    counts: LastMinute<Counts>,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    events: u64,
    bytes: u64,
}

/// How fast events come in, or go out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) events_per_second: f64,
    pub(super) bytes_per_second: f64,
}

impl Rate {
    /// Bytes of the log that events at this rate take in a second.
    pub(super) fn on_disk(self) -> f64 {
        self.bytes_per_second + self.events_per_second * BESIDE_AN_EVENT
    }
}

impl Watch {
    /// Looks at what the shards say at `now`; `wall_ms` is for people.
    pub(super) fn look(&mut self, picture: &Picture, now: Millis, wall_ms: i64) -> Vec<News> {
        let mut news = Vec::new();
        self.looks += 1;
        for destination in &picture.destinations {
            let seen = self.destinations.entry(destination.name.clone()).or_insert(Seen {
                state: FIRST_STATE,
                since_ms: wall_ms,
                told: FIRST_STATE,
                told_at: None,
                delivered: Meter::default(),
                trend: Trend::default(),
                look: 0,
            });
            seen.look = self.looks;
            let (events, bytes) = (destination.books.delivered, destination.delivered_bytes);
            // Until all shards have spoken, what a cursor remembers would pass for delivered at once.
            if picture.is_whole() {
                seen.delivered.counts.note(now, Counts { events, bytes });
            }
            seen.trend.note(now, destination.lag);
            if seen.state != destination.state {
                seen.state = destination.state;
                seen.since_ms = wall_ms;
            }
            let may_tell = seen.told_at.is_none_or(|at| now >= at.plus(TOLD_EVERY));
            if seen.told != seen.state && may_tell {
                news.push(News::State {
                    destination: destination.name.clone(),
                    from: seen.told,
                    to: seen.state,
                    cause: destination.cause.clone(),
                });
                seen.told = seen.state;
                seen.told_at = Some(now);
            }
        }
        // What is gone from the configuration is forgotten.
        self.destinations.retain(|_, seen| seen.look == self.looks);
        for shard in &picture.shards {
            news.extend(self.stalls.entry(shard.number).or_default().look(shard.number, shard.stalled));
        }
        let sum = |of: fn(&crate::control::picture::ShardPicture) -> u64| picture.shards.iter().map(of).sum();
        let (events, bytes) = (sum(|shard| shard.appended_events), sum(|shard| shard.appended_bytes));
        self.intake.counts.note(now, Counts { events, bytes });
        news
    }

    /// When a destination's state began, ms since 1970.
    pub(super) fn since_ms(&self, destination: &str) -> Option<i64> {
        self.destinations.get(destination).map(|seen| seen.since_ms)
    }

    /// How fast events came in over the last minute.
    pub(super) fn rate(&self) -> Rate {
        self.intake.rate()
    }

    /// How fast a destination accepted events over the last minute.
    pub(super) fn delivery_rate(&self, destination: &str) -> Rate {
        self.destinations.get(destination).map(|seen| seen.delivered.rate()).unwrap_or_default()
    }

    /// Seconds by which a destination's lag grew in each second of the last minute, or since it was level.
    pub(super) fn lag_growth(&self, destination: &str) -> Option<f64> {
        self.destinations.get(destination)?.trend.growth()
    }
}

impl Meter {
    fn rate(&self) -> Rate {
        let Some((first, last, seconds)) = self.counts.ends() else { return Rate::default() };
        let per_second = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
        Rate {
            events_per_second: per_second(first.events, last.events),
            bytes_per_second: per_second(first.bytes, last.bytes),
        }
    }
}

impl Stall {
    fn look(&mut self, shard: usize, stalled: Millis) -> Option<News> {
        if stalled >= STALL_TOLD {
            self.longest = stalled;
            return (!std::mem::replace(&mut self.is_told, true)).then_some(News::Stalled { shard, lasting: stalled });
        }
        std::mem::take(&mut self.is_told).then(|| News::Resumed { shard, after: std::mem::take(&mut self.longest) })
    }
}

/// What a destination is before it has said anything.
const FIRST_STATE: &str = "active";
/// A change of a destination's state is told at most this often; what comes and goes between is told as one change.
const TOLD_EVERY: Millis = Millis::from_secs(10);
/// Bytes that the log holds with a usual event: its header and its index (tried: 130 with events of 615 bytes).
const BESIDE_AN_EVENT: f64 = 128.0;
/// A shard that has not moved for this long is worth a warning.
const STALL_TOLD: Millis = Millis::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::cause::Reason;
    use crate::shard::ShardReport;

    fn picture(state: &'static str, said: Option<&str>, report: ShardReport, now: Millis) -> Picture {
        let mut picture = Picture::default();
        picture.add(0, true, &report, now, crate::control::picture::Detail::Plain);
        picture.destinations.push(super::super::tests::destination("splunk", state, said));
        picture
    }

    fn look(watch: &mut Watch, state: &'static str, seconds: u64) -> Vec<News> {
        let now = Millis::from_secs(seconds);
        let report = ShardReport { turns: 1, at: now, ..ShardReport::default() };
        watch.look(&picture(state, Some("no route"), report, now), now, seconds as i64 * 1000)
    }

    fn change(from: &'static str, to: &'static str) -> Vec<News> {
        vec![News::State { destination: "splunk".to_owned(), from, to, cause: Reason::Unreachable.saying("no route") }]
    }

    #[test]
    fn a_change_of_state_is_told_once_with_its_cause_and_since_when() {
        let mut watch = Watch::default();
        assert_eq!(look(&mut watch, "active", 0), []);
        assert_eq!(look(&mut watch, "retrying", 1), change("active", "retrying"));
        assert_eq!(look(&mut watch, "retrying", 30), []);
        assert_eq!(watch.since_ms("splunk"), Some(1000));
    }

    #[test]
    fn a_flapping_destination_is_told_about_at_most_once_in_ten_seconds() {
        let mut watch = Watch::default();
        let mut told = 0;
        for second in 0..100 {
            told += look(&mut watch, if second % 2 == 0 { "throttled" } else { "active" }, second).len();
        }
        assert!((2..=10).contains(&told), "{told}");
        look(&mut watch, "active", 200);
        assert_eq!(look(&mut watch, "throttled", 300), change("active", "throttled"));
    }

    #[test]
    fn a_stalled_shard_is_told_once_and_its_end_too() {
        let mut watch = Watch::default();
        let mut at = |report_at: u64, now: u64| {
            let now = Millis::from_secs(now);
            let report = ShardReport { turns: 1, at: Millis::from_secs(report_at), ..ShardReport::default() };
            let news = watch.look(&picture("active", None, report, now), now, 0);
            news.into_iter().map(|news| format!("{news:?}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(at(10, 11), "");
        assert_eq!(at(10, 14), "Stalled { shard: 0, lasting: Millis(2500) }");
        assert_eq!(at(10, 20), "");
        assert_eq!(at(21, 21), "Resumed { shard: 0, after: Millis(8500) }");
        assert_eq!(at(22, 22), "");
    }

    #[test]
    fn the_rate_is_that_of_the_last_minute() {
        let mut watch = Watch::default();
        for second in 0..200_u64 {
            let now = Millis::from_secs(second);
            let report = ShardReport {
                turns: 1,
                at: now,
                appended_events: second * 5,
                appended_bytes: second * 500,
                ..ShardReport::default()
            };
            watch.look(&picture("active", None, report, now), now, 0);
        }
        assert_eq!(watch.rate(), Rate { events_per_second: 5.0, bytes_per_second: 500.0 });
        assert_eq!(Watch::default().rate(), Rate::default());
    }

    #[test]
    fn each_destination_has_the_rate_at_which_it_accepts_events() {
        let mut watch = Watch::default();
        for second in 0..100_u64 {
            // What was delivered before a restart shows when the shard has opened its log.
            let report = ShardReport { turns: second.min(1), ..ShardReport::default() };
            let mut shown = picture("active", None, report, Millis::ZERO);
            // Nothing in the first half.
            shown.destinations[0].books.delivered = second.min(1) * 1_000_000 + second.saturating_sub(49) * 8;
            watch.look(&shown, Millis::from_secs(second), 0);
            if second == 2 {
                assert_eq!(watch.delivery_rate("splunk"), Rate::default());
            }
        }
        let rate = watch.delivery_rate("splunk").events_per_second;
        assert!((6.0..8.0).contains(&rate), "{rate}");
        assert_eq!(watch.delivery_rate("nobody"), Rate::default());
    }

    #[test]
    fn the_lag_of_each_destination_is_watched() {
        let mut watch = Watch::default();
        for second in 0..30_u64 {
            let mut shown = picture("retrying", None, ShardReport::default(), Millis::ZERO);
            shown.destinations[0].lag = Millis(60_000 + second * 500);
            watch.look(&shown, Millis::from_secs(second), 0);
        }
        assert_eq!(watch.lag_growth("splunk"), Some(0.5));
        assert_eq!(watch.lag_growth("nobody"), None);
    }

    #[test]
    fn a_destination_that_is_gone_is_forgotten() {
        let mut watch = Watch::default();
        look(&mut watch, "retrying", 1);
        watch.look(&Picture::default(), Millis::from_secs(2), 0);
        assert_eq!(watch.since_ms("splunk"), None);
    }
}
