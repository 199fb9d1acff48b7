//! How long to wait before trying again: exponential, spread by chance so that agents do not march in step.

use crate::time::{Entropy, Millis};

/// The bounds of one kind of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The shortest wait.
    pub floor: Millis,
    /// The longest wait.
    pub ceiling: Millis,
}

impl Backoff {
    /// The wait before try number `attempt` (the first is 0): anywhere between the floor and `floor × 2^attempt`,
    /// capped at the ceiling ("full jitter", with a floor so that a dead peer is never hammered).
    pub fn wait(&self, attempt: u32, entropy: &mut dyn Entropy) -> Millis {
        let doubled = self.floor.0.saturating_mul(1 << attempt.min(20));
        let step = doubled.clamp(self.floor.0, self.ceiling.0);
        Millis(self.floor.0 + entropy.next_u64() % (step - self.floor.0 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u64);
    impl Entropy for Counting {
        fn next_u64(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.0 >> 11
        }
    }

    #[test]
    fn a_wait_lies_between_the_floor_and_the_doubled_step_and_never_above_the_ceiling() {
        let backoff = Backoff { floor: Millis(100), ceiling: Millis(1500) };
        let mut entropy = Counting(7);
        for attempt in 0..64 {
            for _ in 0..50 {
                let wait = backoff.wait(attempt, &mut entropy).0;
                assert!((100..=1500).contains(&wait));
                assert!(wait <= 100u64.saturating_mul(1 << attempt.min(20)));
            }
        }
    }
}
