//! How much of the log's window a destination has used, and when it will be full at this rate.
//!
//! The log holds what a destination has not settled until it is older than the window, or until the disk budget needs its
//! room; what comes first counts. The lag of the oldest such event grows by a second each second while nothing is
//! delivered, by less while delivery is slower than intake, and falls while it catches up. What lies behind that event is
//! taken to be spread evenly over the log's age.
//!
//! No clock and no I/O.

use super::minute::LastMinute;
use crate::time::Millis;

/// How the lag of one destination went, over the last minute or since it was last level.
#[derive(Debug, Default)]
pub(super) struct Trend {
    lags: LastMinute<Millis>,
}

/// What bounds how long the log can hold events, at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) window: Millis,
    /// Bytes that the log may take.
    pub(super) max_bytes: u64,
    /// Bytes that it takes.
    pub(super) log_bytes: u64,
    /// Age of the oldest record in it.
    pub(super) oldest_age: Millis,
    /// Bytes that are added to it in a second.
    pub(super) bytes_per_second: f64,
}

/// How much room a destination has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headroom {
    /// The age of its oldest event that is not settled; at most the window.
    pub(super) used: Millis,
    /// How long that event can stay if nothing is delivered.
    pub(super) left: Millis,
    /// Where it is going.
    pub(super) course: Course,
}

/// Where a destination's lag is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Next to nothing waits.
    Level,
    /// Not known yet: it has been looked at for too short a time.
    Unknown,
    /// Much waits, and no more than a minute ago.
    Steady,
    /// More and more waits: so long until the oldest is given up.
    Filling { full_in: Millis },
    /// Less and less waits: so long until next to nothing does.
    Draining { level_in: Millis },
}

impl Trend {
    /// Notes the lag of a moment.
    pub(super) fn note(&mut self, at: Millis, lag: Millis) {
        // What was before an outage says nothing about how fast it fills.
        if lag < LEVEL {
            self.lags.clear();
        }
        self.lags.note(at, lag);
    }

    /// Seconds by which the lag has grown in each second.
    pub(super) fn growth(&self) -> Option<f64> {
        let (first, last, seconds) = self.lags.ends()?;
        let grown = (last.0 as f64 - first.0 as f64) / 1000.0;
        (seconds >= JUDGED_AFTER_S).then_some(grown / seconds)
    }
}

impl Headroom {
    /// What there is for a destination with this lag, which grows by so many seconds in a second.
    pub(super) fn of(lag: Millis, growth: Option<f64>, room: &Room) -> Headroom {
        let used = lag.min(room.window);
        let unsettled = room.bytes_behind(lag);
        let by_window = room.window.since(lag);
        let by_budget = room.lasts(unsettled, room.bytes_per_second);
        let left = by_budget.map_or(by_window, |budget| budget.min(by_window));
        let course = match growth {
            _ if lag < LEVEL => Course::Level,
            None => Course::Unknown,
            Some(growth) => room.course(lag, growth, unsettled),
        };
        Headroom { used, left, course }
    }

    /// How long the log can hold events here.
    pub(super) fn whole(&self) -> Millis {
        self.used.plus(self.left)
    }
}

impl Room {
    /// Bytes of the log that are younger than `age`.
    fn bytes_behind(&self, age: Millis) -> f64 {
        self.log_bytes as f64 * (age.0 as f64 / self.oldest_age.0.max(1) as f64).min(1.0)
    }

    /// For how long there is room when `used` bytes are and each second takes so many more; none where it takes none.
    fn lasts(&self, used: f64, bytes_per_second: f64) -> Option<Millis> {
        let free = (self.max_bytes as f64 - used).max(0.0);
        (bytes_per_second >= 1.0).then(|| Millis((free / bytes_per_second * 1000.0) as u64))
    }

    fn course(&self, lag: Millis, growth: f64, unsettled: f64) -> Course {
        // The oldest event moves through the log by what the lag does not grow.
        let settled_per_second = (1.0 - growth) * self.log_bytes as f64 * 1000.0 / self.oldest_age.0.max(1) as f64;
        let by_budget = self.lasts(unsettled, self.bytes_per_second - settled_per_second);
        let by_window = (growth > STEADY).then(|| seconds(self.window.since(lag), growth));
        let full_in = by_window.into_iter().chain(by_budget).min().filter(|full_in| *full_in <= FAR);
        match full_in {
            Some(full_in) => Course::Filling { full_in },
            None if growth < -STEADY => Course::Draining { level_in: seconds(lag, -growth) },
            None => Course::Steady,
        }
    }
}

/// How long a span lasts that passes at `rate` seconds a second.
fn seconds(span: Millis, rate: f64) -> Millis {
    Millis((span.0 as f64 / rate) as u64)
}

/// A destination that lags by less is level: requests take their time, and so do batches.
const LEVEL: Millis = Millis::from_secs(10);
/// What was looked at for a shorter time goes nowhere yet, in seconds.
const JUDGED_AFTER_S: f64 = 5.0;
/// A lag that changes by less, in seconds a second, is steady.
const STEADY: f64 = 0.02;
/// What is further away is not foreseen.
const FAR: Millis = Millis::from_secs(24 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    /// A log of half an hour that is far from its budget.
    fn roomy() -> Room {
        Room {
            window: Millis(30 * MINUTE),
            max_bytes: 8 << 30,
            log_bytes: 1 << 20,
            oldest_age: Millis(30 * MINUTE),
            bytes_per_second: 600.0,
        }
    }

    /// A log that holds 100 MB of 10 minutes and may hold 400 MB.
    fn tight(bytes_per_second: f64) -> Room {
        Room {
            max_bytes: 400_000_000,
            log_bytes: 100_000_000,
            oldest_age: Millis(10 * MINUTE),
            bytes_per_second,
            ..roomy()
        }
    }

    fn course(lag: u64, growth: f64, room: &Room) -> Course {
        Headroom::of(Millis(lag), Some(growth), room).course
    }

    fn growth_of(lag_of: impl Fn(u64) -> u64, seconds: u64) -> Option<f64> {
        let mut trend = Trend::default();
        (0..=seconds).for_each(|second| trend.note(Millis::from_secs(second), Millis(lag_of(second))));
        trend.growth()
    }

    #[test]
    fn what_gets_nothing_is_full_when_its_oldest_event_is_as_old_as_the_window() {
        let room = Headroom::of(Millis(12 * MINUTE), Some(1.0), &roomy());
        assert_eq!(
            (room.used, room.left, room.whole()),
            (Millis(12 * MINUTE), Millis(18 * MINUTE), Millis(30 * MINUTE))
        );
        assert_eq!(room.course, Course::Filling { full_in: Millis(18 * MINUTE) });
    }

    #[test]
    fn what_gets_less_than_comes_in_is_full_later() {
        assert_eq!(course(12 * MINUTE, 0.5, &roomy()), Course::Filling { full_in: Millis(36 * MINUTE) });
    }

    #[test]
    fn what_catches_up_is_level_in_the_end_and_what_keeps_pace_is_never_full() {
        assert_eq!(course(12 * MINUTE, -2.0, &roomy()), Course::Draining { level_in: Millis(6 * MINUTE) });
        for growth in [0.0, 0.01, -0.01] {
            assert_eq!(course(12 * MINUTE, growth, &roomy()), Course::Steady);
        }
    }

    #[test]
    fn a_few_seconds_are_no_lag_and_nothing_is_foretold_before_it_was_seen() {
        assert_eq!(course(9_999, 1.0, &roomy()), Course::Level);
        assert_eq!(Headroom::of(Millis(MINUTE), None, &roomy()).course, Course::Unknown);
    }

    #[test]
    fn past_the_window_there_is_no_room_rather_than_a_negative_one() {
        let room = Headroom::of(Millis(31 * MINUTE), Some(1.0), &roomy());
        assert_eq!((room.used, room.left), (Millis(30 * MINUTE), Millis::ZERO));
        assert_eq!(room.course, Course::Filling { full_in: Millis::ZERO });
    }

    #[test]
    fn the_budget_ends_the_room_when_it_is_used_up_before_the_window() {
        // 60 of 400 MB wait; 1 MB more in each second.
        let room = Headroom::of(Millis(6 * MINUTE), Some(1.0), &tight(1_000_000.0));
        assert_eq!((room.left, room.whole()), (Millis(340_000), Millis(700_000)));
        assert_eq!(room.course, Course::Filling { full_in: Millis(340_000) });
    }

    #[test]
    fn a_lag_that_falls_can_still_fill_the_budget_while_more_comes_in_than_goes_out() {
        // Old events were few, new ones are many: it moves by two seconds a second, through 333 kB of the 2 MB that come.
        let Course::Filling { full_in } = course(6 * MINUTE, -1.0, &tight(2_000_000.0)) else { panic!("not filling") };
        assert!((203_999..=204_001).contains(&full_in.0), "{full_in}");
        assert_eq!(course(6 * MINUTE, -1.0, &tight(200_000.0)), Course::Draining { level_in: Millis(6 * MINUTE) });
    }

    #[test]
    fn an_idle_agent_has_the_whole_window() {
        let idle = Room { log_bytes: 0, oldest_age: Millis::ZERO, bytes_per_second: 0.0, ..roomy() };
        let room = Headroom::of(Millis::ZERO, Some(0.0), &idle);
        assert_eq!((room.left, room.course), (Millis(30 * MINUTE), Course::Level));
    }

    #[test]
    fn growth_is_that_of_the_last_minute() {
        assert_eq!(growth_of(|second| 20_000 + second * 1000, 100), Some(1.0));
        assert_eq!(growth_of(|second| 20_000 + second * 250, 100), Some(0.25));
        assert_eq!(growth_of(|second| 200_000 - second * 500, 100), Some(-0.5));
        assert_eq!(growth_of(|_| 20_000, 3), None, "three seconds say nothing");
    }

    #[test]
    fn an_outage_is_judged_from_its_beginning_and_not_by_the_quiet_before_it() {
        let grown = growth_of(|second| if second < 100 { 500 } else { (second - 99) * 1000 }, 115);
        assert_eq!(grown, Some(1.0));
    }
}
