//! How much a destination may get: events and bytes a second, bytes a day. One for each destination and node, shared by
//! its shards.
//!
//! Rates are token buckets that hold one second's worth. A request goes when there is anything in the bucket, whatever
//! its size, and what it takes too much is waited for afterwards, so that no request is ever too large to go. The day is
//! the calendar's, in UTC, as licences count it. What was sent on it is kept by the node ([`Spent`]) and counts on after a
//! restart and under another limit.

use serde::{Deserialize, Serialize};

use crate::config::RateLimit;
use crate::time::Millis;

/// See the module.
#[derive(Debug)]
pub struct Allowance {
    limit: RateLimit,
    events: Bucket,
    bytes: Bucket,
    day: i64,
    day_bytes: u64,
    has_warned: bool,
}

/// What is left of one rate, in thousandths; below zero when a request took more than was there.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: i128,
    at: Millis,
}

/// What was sent on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Days since 1970, in UTC.
    pub day: i64,
    /// Bytes of events.
    pub bytes: u64,
}

/// Why nothing may be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// For how long.
    pub wait: Millis,
    /// In plain words.
    pub why: String,
}

impl Allowance {
    /// Nothing spent yet.
    pub fn new(limit: RateLimit, now: Millis) -> Allowance {
        let full = |rate: Option<u64>| Bucket { left: i128::from(rate.unwrap_or(0)) * 1000, at: now };
        Allowance {
            events: full(limit.events),
            bytes: full(limit.bytes),
            day: i64::MIN,
            day_bytes: 0,
            has_warned: false,
            limit,
        }
    }

    /// Whether this is its limit.
    pub fn is_of(&self, limit: RateLimit) -> bool {
        self.limit == limit
    }

    /// Goes on from what was sent before: by a process that has ended, or under another limit.
    pub fn go_on_from(&mut self, Spent { day, bytes }: Spent) {
        (self.day, self.day_bytes) = (day, bytes);
    }

    /// What was sent on the last day on which something was.
    pub fn spent(&self) -> Option<Spent> {
        (self.day_bytes > 0).then_some(Spent { day: self.day, bytes: self.day_bytes })
    }

    /// Whether a day has a limit.
    pub fn limits_the_day(&self) -> bool {
        self.limit.bytes_per_day.is_some()
    }

    /// Whether something must wait, at `now`, when the wall clock shows `wall_ms`.
    pub fn halt(&mut self, now: Millis, wall_ms: i64) -> Option<Halt> {
        self.begin_day(wall_ms);
        let events = self.limit.events.and_then(|rate| self.events.wait(rate, now));
        let bytes = self.limit.bytes.and_then(|rate| self.bytes.wait(rate, now));
        let rate = events.max(bytes).map(|wait| Halt { wait, why: String::from("its rate limit is used up") });
        let day = self.limit.bytes_per_day.filter(|limit| self.day_bytes >= *limit).map(|limit| {
            let end_ms = (self.day + 1).saturating_mul(DAY_MS);
            let wait = Millis(u64::try_from(end_ms - wall_ms).unwrap_or(0).max(1));
            Halt {
                wait,
                why: format!("its limit of {limit} bytes a day is used up; the next day begins at midnight UTC"),
            }
        });
        day.or(rate)
    }

    /// A request with so much was sent. Returns what somebody should be told, once a day.
    pub fn spend(&mut self, events: u64, bytes: u64, now: Millis, wall_ms: i64) -> Option<String> {
        self.begin_day(wall_ms);
        if let Some(rate) = self.limit.events {
            self.events.take(rate, events, now);
        }
        if let Some(rate) = self.limit.bytes {
            self.bytes.take(rate, bytes, now);
        }
        self.day_bytes = self.day_bytes.saturating_add(bytes);
        let limit = self.limit.bytes_per_day?;
        let is_near = u128::from(self.day_bytes) * 100 >= u128::from(limit) * u128::from(self.limit.warn_at_percent);
        if !is_near || self.has_warned {
            return None;
        }
        self.has_warned = true;
        Some(format!("{} of the {limit} bytes it may get today are used", self.day_bytes))
    }

    fn begin_day(&mut self, wall_ms: i64) {
        let day = wall_ms.div_euclid(DAY_MS);
        // A clock that is set back does not give the day's allowance again.
        if day > self.day {
            (self.day, self.day_bytes, self.has_warned) = (day, 0, false);
        } else if self.day - day > 1 {
            // It was far ahead, and nobody waits for that day to end. What was sent still counts.
            self.day = day;
        }
    }
}

impl Bucket {
    fn refill(&mut self, rate: u64, now: Millis) {
        let gained = i128::from(now.since(self.at).0) * i128::from(rate);
        self.left = (self.left + gained).min(i128::from(rate) * 1000);
        self.at = self.at.max(now);
    }

    fn wait(&mut self, rate: u64, now: Millis) -> Option<Millis> {
        self.refill(rate, now);
        (self.left <= 0).then(|| Millis(u64::try_from(-self.left / i128::from(rate.max(1)) + 1).unwrap_or(u64::MAX)))
    }

    fn take(&mut self, rate: u64, amount: u64, now: Millis) {
        self.refill(rate, now);
        self.left -= i128::from(amount) * 1000;
    }
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: RateLimit = RateLimit { events: None, bytes: None, bytes_per_day: None, warn_at_percent: 80 };

    #[test]
    fn without_a_limit_nothing_ever_waits() {
        let mut allowance = Allowance::new(NO_LIMIT, Millis(0));
        assert_eq!(allowance.spend(u64::MAX, u64::MAX, Millis(0), 0), None);
        assert_eq!(allowance.halt(Millis(0), 0), None);
    }

    #[test]
    fn over_any_time_no_more_goes_than_the_rate_and_one_request() {
        let limit = RateLimit { events: Some(100), bytes: Some(10_000), ..NO_LIMIT };
        let mut allowance = Allowance::new(limit, Millis(0));
        let (mut now, mut events) = (Millis(0), 0);
        while now < Millis::from_secs(60) {
            match allowance.halt(now, 0) {
                Some(halt) => {
                    assert!(halt.wait > Millis(0));
                    now = now.plus(halt.wait);
                }
                None => {
                    allowance.spend(70, 1_000, now, 0);
                    events += 70;
                }
            }
        }
        assert!((6_000..=6_000 + 100 + 70).contains(&events), "{events} events in a minute at 100 a second");
    }

    #[test]
    fn the_day_ends_at_midnight_and_is_warned_of_once() {
        let limit = RateLimit { bytes_per_day: Some(1_000), ..NO_LIMIT };
        let mut allowance = Allowance::new(limit, Millis(0));
        let wall = 3 * DAY_MS + 1_000;
        assert_eq!(allowance.spend(1, 799, Millis(0), wall), None);
        assert_eq!(
            allowance.spend(1, 1, Millis(0), wall).as_deref(),
            Some("800 of the 1000 bytes it may get today are used")
        );
        assert_eq!(allowance.halt(Millis(0), wall), None);
        assert_eq!(allowance.spend(1, 500, Millis(0), wall), None, "said once");
        assert_eq!(allowance.halt(Millis(0), wall).map(|halt| halt.wait), Some(Millis((DAY_MS - 1_000) as u64)));
        assert!(allowance.halt(Millis(0), wall - DAY_MS).is_some(), "a clock set back gives nothing again");
        assert_eq!(allowance.halt(Millis(0), 4 * DAY_MS), None);
    }

    #[test]
    fn a_clock_that_was_far_ahead_costs_no_more_than_the_day_on_which_it_is_right_again() {
        let limit = RateLimit { bytes_per_day: Some(1_000), ..NO_LIMIT };
        let mut allowance = Allowance::new(limit, Millis(0));
        allowance.spend(1, 1_000, Millis(0), 900 * DAY_MS);
        let halt = allowance.halt(Millis(0), 3 * DAY_MS + 1).unwrap();
        assert_eq!(halt.wait, Millis((DAY_MS - 1) as u64), "until midnight, and nothing again before");
        assert_eq!(allowance.halt(Millis(0), 4 * DAY_MS), None);
    }

    #[test]
    fn what_was_sent_before_a_restart_counts_on_that_day_and_on_no_other() {
        let limit = RateLimit { bytes_per_day: Some(1_000), ..NO_LIMIT };
        let mut before = Allowance::new(limit, Millis(0));
        assert_eq!(before.spent(), None);
        before.spend(1, 900, Millis(0), 3 * DAY_MS);
        let spent = before.spent().unwrap();
        assert_eq!(spent, Spent { day: 3, bytes: 900 });
        let after = |wall_ms: i64| {
            let mut after = Allowance::new(limit, Millis(0));
            after.go_on_from(spent);
            assert_eq!(after.halt(Millis(0), wall_ms), None, "a tenth is left");
            after.spend(1, 100, Millis(0), wall_ms);
            after.halt(Millis(0), wall_ms)
        };
        assert!(after(4 * DAY_MS - 1).is_some());
        assert!(after(2 * DAY_MS).is_some(), "a clock set back gives nothing again");
        assert_eq!(after(4 * DAY_MS), None);
        let mut raised = Allowance::new(RateLimit { bytes_per_day: Some(2_000), ..NO_LIMIT }, Millis(0));
        raised.go_on_from(spent);
        raised.spend(1, 1_100, Millis(0), 3 * DAY_MS);
        assert!(raised.halt(Millis(0), 3 * DAY_MS).is_some());
    }

    #[test]
    fn it_is_kept_for_the_same_limit_only() {
        let limit = RateLimit { bytes_per_day: Some(1_000), ..NO_LIMIT };
        let allowance = Allowance::new(limit, Millis(0));
        assert!(allowance.is_of(limit));
        assert!(!allowance.is_of(NO_LIMIT));
    }
}
