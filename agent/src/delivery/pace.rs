//! How often a shard sends small requests.
//!
//! A request costs as much as many events. One destination's events gather while its request is under way; but of a
//! thousand destinations with a trickle each, every event would go alone. So a shard hands out *slots* for batches that
//! go before they are full, at an even rate. A batch waits for its slot, and what comes meanwhile goes with it. One that
//! is full needs none and gives back the one that it had, and none waits longer than its linger. Nor for more than a
//! second, however many ask: one destination that asks too often does not make the others wait for ever longer.

use crate::time::Millis;

/// Hands out slots in the order in which they are asked for.
#[derive(Debug, Default)]
pub struct Pace {
    /// The first slot that nobody has; slots are counted from the beginning of the clock.
    next: u64,
}

impl Pace {
    /// The moment of the next free slot: now, unless many were asked for lately.
    pub fn slot(&mut self, now: Millis) -> Millis {
        let present = now.0 * SLOTS_PER_MS;
        let slot = self.next.max(present.saturating_sub(SAVED_MAX));
        self.next = (slot + 1).min(present + AHEAD_MAX);
        now.max(Millis(slot / SLOTS_PER_MS))
    }

    /// Takes back slots that nobody needs any more.
    pub fn give_back(&mut self, slots: u64) {
        self.next = self.next.saturating_sub(slots);
    }
}

/// Small requests in a millisecond, in the long run: some tenth of a core.
const SLOTS_PER_MS: u64 = 2;
/// Unused slots that are kept for a burst.
const SAVED_MAX: u64 = 200;
/// Slots that somebody has, at most: those of a second.
const AHEAD_MAX: u64 = 1_000 * SLOTS_PER_MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_small_requests_go_at_once_and_many_at_an_even_rate() {
        let mut pace = Pace::default();
        for second in 1..10 {
            for ms in 0..1000 {
                let now = Millis(second * 1000 + ms);
                assert_eq!(pace.slot(now), now, "one a millisecond");
            }
        }
        let now = Millis::from_secs(20);
        let slots: Vec<Millis> = (0..1_200).map(|_| pace.slot(now)).collect();
        assert!(slots.is_sorted());
        assert_eq!(slots.iter().filter(|slot| **slot == now).count() as u64, SAVED_MAX + SLOTS_PER_MS);
        assert_eq!(slots[1_199], now.plus(Millis(499)));
        assert_eq!(pace.slot(Millis::from_secs(30)), Millis::from_secs(30), "what was saved is there again");
    }

    #[test]
    fn nobody_waits_more_than_a_second_however_many_ask() {
        let mut pace = Pace::default();
        let now = Millis::from_secs(20);
        for _ in 0..100_000 {
            assert!(pace.slot(now) <= now.plus(Millis(1_000)));
        }
        assert_eq!(pace.slot(Millis::from_secs(22)), Millis::from_secs(22), "and a second later all is as before");
    }

    #[test]
    fn what_is_given_back_is_handed_out_again() {
        let mut pace = Pace::default();
        let now = Millis::from_secs(20);
        let slots: Vec<Millis> = (0..500).map(|_| pace.slot(now)).collect();
        pace.give_back(100);
        assert_eq!(pace.slot(now), slots[400]);
    }
}
