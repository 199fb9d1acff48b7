//! Whether a destination may be sent to now: open, or closed until a moment at which one probe may pass.
//!
//! A gate closes at the first failure and opens at the first acceptance. Failures of requests that were under way
//! when it closed do not count again: only a probe's failure makes the next wait longer. A time that the destination
//! named is kept whatever else is heard: what was under way by then may be accepted or fail in another way.

use super::backoff::Backoff;
use crate::time::{Entropy, Millis};

/// Why a gate is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nothing answers: no name, no connection, no reply. Probing costs the destination nothing, so it stays frequent.
    Unreachable,
    /// It answers that it can't now (5xx).
    Trouble,
    /// It asks for fewer requests (429, or `Retry-After`).
    Throttled,
    /// It refuses our credentials. Nothing is dropped; the secret is read again before each probe.
    Credentials,
    /// It refuses everything: the fault is in the settings, not in the events.
    Misconfigured,
}

impl Hold {
    const fn backoff(self) -> Backoff {
        match self {
            // A receiver that comes back is noticed within two seconds, however long it was away.
            Hold::Unreachable => Backoff { floor: Millis(100), ceiling: Millis(1_500) },
            Hold::Trouble | Hold::Throttled => Backoff { floor: Millis(500), ceiling: Millis(30_000) },
            Hold::Credentials | Hold::Misconfigured => Backoff { floor: Millis(2_000), ceiling: Millis(60_000) },
        }
    }

    /// Whether a probe should carry a single event, because what is in doubt is not the size of the batch.
    pub fn probes_with_one_event(self) -> bool {
        matches!(self, Hold::Credentials | Hold::Misconfigured)
    }
}

/// A closed gate.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Why.
    pub hold: Hold,
    /// Since when.
    pub since: Millis,
    /// When the next probe may pass.
    pub until: Millis,
    /// Probes that failed since it closed.
    pub failures: u32,
    /// In plain words, for people.
    pub cause: String,
    is_probing: bool,
    /// The destination itself named `until`.
    is_named: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    closed: Option<Closed>,
}

/// What a gate says to somebody who wants to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Go.
    Free,
    /// One may go, as the probe.
    AsProbe(Hold),
    /// Not before this moment.
    NotBefore(Millis),
    /// A probe is under way; wait for what it says.
    AwaitProbe,
}

impl Gate {
    /// The closed state, if it is closed.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Whether something may be sent at `now`.
    pub fn pass(&self, now: Millis) -> Pass {
        match &self.closed {
            None => Pass::Free,
            Some(closed) if closed.is_probing => Pass::AwaitProbe,
            Some(closed) if now < closed.until => Pass::NotBefore(closed.until),
            Some(closed) => Pass::AsProbe(closed.hold),
        }
    }

    /// A probe has been sent.
    pub fn probe_sent(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.is_probing = true;
        }
    }

    /// The probe never left, or its outcome says nothing; the next one may go at once.
    pub fn probe_returned(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.is_probing = false;
        }
    }

    /// The destination accepted something. While it has named a time, only what the probe brings back counts.
    pub fn open(&mut self) {
        if self.closed.as_ref().is_none_or(|closed| closed.is_probing || !closed.is_named) {
            self.closed = None;
        }
    }

    /// Something failed. `was_probe` says whether it was the probe; `after` is the destination's own wish.
    pub fn close(
        &mut self,
        hold: Hold,
        cause: String,
        was_probe: bool,
        after: Option<Millis>,
        now: Millis,
        entropy: &mut dyn Entropy,
    ) {
        let (since, failures) = match &self.closed {
            Some(closed) if !was_probe && closed.hold == hold && after.is_none() => return,
            Some(closed) if closed.hold == hold => (closed.since, closed.failures.saturating_add(1)),
            _ => (now, 0),
        };
        let wait = hold.backoff().wait(failures, entropy);
        // A destination that names its own time has spoken; our doubling only bounds it from below.
        let until = now.plus(after.map_or(wait, |asked| asked.max(hold.backoff().floor)));
        let named =
            self.closed.as_ref().filter(|closed| closed.is_named && closed.until > now).map(|closed| closed.until);
        let is_named = after.is_some() || named.is_some();
        let until = named.map_or(until, |named| named.max(until));
        self.closed = Some(Closed { hold, since, until, failures, cause, is_probing: false, is_named });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zero;
    impl Entropy for Zero {
        fn next_u64(&mut self) -> u64 {
            0
        }
    }

    fn close(gate: &mut Gate, hold: Hold, was_probe: bool, now: u64) {
        gate.close(hold, "down".into(), was_probe, None, Millis(now), &mut Zero);
    }

    #[test]
    fn a_closed_gate_lets_one_probe_pass_and_opens_when_it_is_accepted() {
        let mut gate = Gate::default();
        assert_eq!(gate.pass(Millis(0)), Pass::Free);
        close(&mut gate, Hold::Trouble, false, 0);
        assert_eq!(gate.pass(Millis(499)), Pass::NotBefore(Millis(500)));
        assert_eq!(gate.pass(Millis(500)), Pass::AsProbe(Hold::Trouble));
        gate.probe_sent();
        assert_eq!(gate.pass(Millis(500)), Pass::AwaitProbe);
        gate.open();
        assert_eq!(gate.pass(Millis(501)), Pass::Free);
    }

    #[test]
    fn failures_that_were_already_under_way_do_not_lengthen_the_wait() {
        let mut gate = Gate::default();
        for _ in 0..10 {
            close(&mut gate, Hold::Trouble, false, 0);
        }
        assert_eq!(gate.closed().map(|closed| closed.failures), Some(0));
        close(&mut gate, Hold::Trouble, true, 1000);
        assert_eq!(gate.closed().map(|closed| closed.failures), Some(1));
    }

    #[test]
    fn the_destinations_own_wish_is_honoured() {
        let mut gate = Gate::default();
        gate.close(Hold::Throttled, "429".into(), false, Some(Millis(7_000)), Millis(0), &mut Zero);
        assert_eq!(gate.pass(Millis(6_999)), Pass::NotBefore(Millis(7_000)));
    }

    #[test]
    fn a_named_time_is_kept_whatever_becomes_of_requests_that_were_under_way() {
        let mut gate = Gate::default();
        gate.close(Hold::Throttled, "429".into(), true, Some(Millis(7_000)), Millis(0), &mut Zero);
        gate.open();
        assert_eq!(gate.pass(Millis(100)), Pass::NotBefore(Millis(7_000)), "one was accepted");
        close(&mut gate, Hold::Throttled, true, 200);
        close(&mut gate, Hold::Unreachable, true, 300);
        assert_eq!(gate.pass(Millis(400)), Pass::NotBefore(Millis(7_000)), "two failed without a time");
        assert_eq!(gate.pass(Millis(7_000)), Pass::AsProbe(Hold::Unreachable));
        gate.probe_sent();
        gate.open();
        assert_eq!(gate.pass(Millis(7_001)), Pass::Free);
    }

    #[test]
    fn lesson_13_an_unreachable_destination_is_probed_within_two_seconds_however_long_it_was_away() {
        struct Max;
        impl Entropy for Max {
            fn next_u64(&mut self) -> u64 {
                1_400
            }
        }
        let mut gate = Gate::default();
        let mut now = Millis(0);
        gate.close(Hold::Unreachable, "refused".into(), false, None, now, &mut Max);
        while now < Millis::from_secs(30 * 60) {
            let Some(closed) = gate.closed() else { unreachable!("nothing opened it") };
            assert!(closed.until.since(now) < Millis::from_secs(2));
            now = closed.until;
            gate.probe_sent();
            gate.close(Hold::Unreachable, "refused".into(), true, None, now, &mut Max);
        }
    }
}
