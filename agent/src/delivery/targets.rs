//! Which of several addresses of one destination is used next: in turn, without those that failed a while ago.
//!
//! An address that fails is left alone for a while that doubles. When all were left alone, the one whose time is over
//! first is used: somebody must find out that they are back.

use crate::time::Millis;

/// See the module.
#[derive(Clone, Debug)]
pub struct Targets {
    next: usize,
    each: Vec<Target>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Target {
    failures: u32,
    not_before: Millis,
}

impl Targets {
    /// So many addresses, at least one.
    pub fn new(count: usize) -> Targets {
        Targets { next: 0, each: vec![Target::default(); count.max(1)] }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.each.len()
    }

    /// The one to use at `now`.
    pub fn choose(&mut self, now: Millis) -> usize {
        let count = self.each.len();
        let in_turn = (0..count).map(|step| (self.next + step) % count);
        let ready = in_turn.clone().find(|at| self.each[*at].not_before <= now);
        let chosen = ready.or_else(|| in_turn.min_by_key(|at| self.each[*at].not_before)).unwrap_or(0);
        self.next = (chosen + 1) % count;
        chosen
    }

    /// The one at `at` answered.
    pub fn worked(&mut self, at: usize) {
        self.each[at] = Target::default();
    }

    /// The one at `at` did not answer, or could not do what it was asked.
    pub fn failed(&mut self, at: usize, now: Millis) {
        let target = &mut self.each[at];
        let wait = (COOL_DOWN.0 << target.failures.min(COOL_DOWN_DOUBLINGS)).min(COOL_DOWN_MAX.0);
        target.failures += 1;
        target.not_before = now.plus(Millis(wait));
    }
}

const COOL_DOWN: Millis = Millis::from_secs(2);
const COOL_DOWN_DOUBLINGS: u32 = 5;
const COOL_DOWN_MAX: Millis = Millis::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_used_in_turn_and_one_that_failed_is_left_out_for_a_while() {
        let mut targets = Targets::new(3);
        let turn = |targets: &mut Targets, now| (0..3).map(|_| targets.choose(Millis(now))).collect::<Vec<_>>();
        assert_eq!(turn(&mut targets, 0), [0, 1, 2]);
        targets.failed(1, Millis(0));
        assert_eq!(turn(&mut targets, 1_999), [0, 2, 0]);
        assert_eq!(turn(&mut targets, 2_000), [1, 2, 0]);
        targets.failed(1, Millis(2_000));
        assert_eq!(turn(&mut targets, 5_999), [2, 0, 2], "twice as long after the second time");
        targets.worked(1);
        assert_eq!(turn(&mut targets, 6_000), [0, 1, 2]);
    }

    #[test]
    fn when_all_have_failed_the_one_whose_time_is_over_first_is_used() {
        let mut targets = Targets::new(2);
        targets.failed(0, Millis(10));
        targets.failed(1, Millis(0));
        assert_eq!(targets.choose(Millis(20)), 1);
        let mut only = Targets::new(1);
        for _ in 0..40 {
            only.failed(0, Millis(0));
            assert_eq!(only.choose(Millis(0)), 0);
        }
        assert_eq!(only.choose(Millis(60_000)), 0);
    }
}
