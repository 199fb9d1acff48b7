//! What a number was over the last minute, by a few samples.

use std::collections::VecDeque;

use crate::time::Millis;

/// Values of the last [`SPAN`], the oldest first. The newest is always there; before it one for each [`SAMPLE_EVERY`],
/// however often somebody looks.
#[derive(Debug)]
pub(super) struct LastMinute<T> {
    samples: VecDeque<(Millis, T)>,
}

impl<T> Default for LastMinute<T> {
    fn default() -> Self {
        LastMinute { samples: VecDeque::new() }
    }
}

impl<T: Copy> LastMinute<T> {
    /// Notes the value of a moment.
    pub(super) fn note(&mut self, at: Millis, value: T) {
        let is_close = match self.samples.make_contiguous() {
            [.., before, newest] => newest.0.since(before.0) < SAMPLE_EVERY,
            _ => false,
        };
        if is_close {
            self.samples.pop_back();
        }
        self.samples.push_back((at, value));
        while self.samples.front().is_some_and(|first| at.since(first.0) > SPAN) {
            self.samples.pop_front();
        }
    }

    /// Forgets what was before.
    pub(super) fn clear(&mut self) {
        self.samples.clear();
    }

    /// The first value, the last one, and the seconds between them; none while there are no two moments.
    pub(super) fn ends(&self) -> Option<(T, T, f64)> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let seconds = last.0.since(first.0).0 as f64 / 1000.0;
        (seconds > 0.0).then_some((first.1, last.1, seconds))
    }
}

/// How far back it goes.
const SPAN: Millis = Millis::from_secs(60);
/// Samples lie this far apart.
const SAMPLE_EVERY: Millis = Millis::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_kept_in_a_few_samples_and_the_newest_is_among_them() {
        let mut minute = LastMinute::default();
        for second in 0..200_u64 {
            minute.note(Millis::from_secs(second), second);
        }
        let (first, last, seconds) = minute.ends().unwrap();
        assert_eq!((last, last - first), (199, seconds as u64));
        assert!((55..=60).contains(&(last - first)), "{first} to {last}");
        let kept = minute.samples.len();
        assert!((12..=14).contains(&kept), "one in five seconds for a minute, not {kept}");
    }

    #[test]
    fn one_moment_has_no_ends() {
        let mut minute = LastMinute::default();
        assert_eq!(minute.ends(), None);
        minute.note(Millis::from_secs(3), 1);
        minute.note(Millis::from_secs(3), 2);
        assert_eq!(minute.ends(), None);
    }
}
