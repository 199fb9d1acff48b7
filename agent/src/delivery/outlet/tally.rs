//! Plain counts of one outlet beside its books.

use hdrhistogram::Histogram;

use crate::delivery::gate::Hold;
use crate::delivery::sender::Outcome;

/// Plain counts of one outlet, published by the shard.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests by how they ended.
    pub accepted_requests: u64,
    /// Replies that refused something.
    pub refused_requests: u64,
    /// Requests without a useful answer.
    pub failed_requests: u64,
    /// Replies that asked for less.
    pub slow_downs: u64,
    /// Replies that took everything and yet said something that people should know.
    pub notes: u64,
    /// Bytes of event payload accepted.
    pub delivered_bytes: u64,
    /// Wall time of the last acceptance, ms since 1970.
    pub last_success_ms: Option<i64>,
    /// Wall time of the last statement that was accepted, ms since 1970.
    pub last_statement_ms: Option<i64>,
    /// Wall time and words of the last failure.
    pub last_failure: Option<(i64, String)>,
    /// Accepted here to accepted there, in milliseconds, an hour at most, since the start.
    pub latency_ms: Histogram<u32>,
}

impl Default for Tally {
    fn default() -> Tally {
        // To two digits, and as large as the longest time makes it: 2 KiB up to a second, 8 KiB up to an hour.
        let mut latency_ms = Histogram::new_with_bounds(1, 2, 2).expect("the bounds are in order");
        latency_ms.auto(true);
        Tally {
            accepted_requests: 0,
            refused_requests: 0,
            failed_requests: 0,
            slow_downs: 0,
            notes: 0,
            delivered_bytes: 0,
            last_success_ms: None,
            last_statement_ms: None,
            last_failure: None,
            latency_ms,
        }
    }
}

impl Tally {
    /// Counts an event that took `ms` milliseconds.
    pub(super) fn arrived(&mut self, ms: u64) {
        // Below an hour the histogram can always grow.
        let _ = self.latency_ms.record(ms.min(LATENCY_MAX_MS));
    }

    /// Counts how a request ended.
    pub(super) fn note(&mut self, outcome: &Outcome, wall_ms: i64) {
        match outcome {
            Outcome::Accepted { slow_down } => {
                self.accepted_requests += 1;
                self.slow_downs += u64::from(*slow_down);
                self.last_success_ms = Some(wall_ms);
            }
            Outcome::Refused { why, .. } | Outcome::TooLarge { why } | Outcome::Apart { why, .. } => {
                self.refused_requests += 1;
                self.last_failure = Some((wall_ms, why.clone()));
            }
            Outcome::AcceptedBut { refused, again, slow_down, note } => {
                if refused.is_empty() && again.is_empty() {
                    self.accepted_requests += 1;
                    self.last_success_ms = Some(wall_ms);
                } else {
                    self.refused_requests += 1;
                }
                self.slow_downs += u64::from(*slow_down);
                self.notes += u64::from(note.is_some());
                if let Some(said) = refused.first().map(|(_, why)| why).or(note.as_ref()) {
                    self.last_failure = Some((wall_ms, said.clone()));
                }
            }
            Outcome::Retry { why, hold, .. } => {
                self.failed_requests += 1;
                self.slow_downs += u64::from(*hold == Hold::Throttled);
                self.last_failure = Some((wall_ms, why.clone()));
            }
        }
    }
}

/// Times are told apart up to an hour.
const LATENCY_MAX_MS: u64 = 3_600_000;
