//! What a destination has accepted and not yet acknowledged: when to ask, and what becomes of it.
//!
//! It is asked soon after the first, then less often, every 10 seconds in the end. What is not acknowledged within 5
//! minutes is sent again: there is no other sign that it was lost (Splunk, "About HTTP Event Collector Indexer
//! Acknowledgment"). A question that fails answers nothing.

use crate::time::Millis;

/// See the module. `T` is what was accepted.
#[derive(Debug)]
pub struct Pending<T> {
    waiting: Vec<Waiting<T>>,
    next_question: Millis,
    step: Millis,
}

#[derive(Debug)]
struct Waiting<T> {
    id: u64,
    since: Millis,
    what: T,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Pending { waiting: Vec::new(), next_question: Millis::ZERO, step: FIRST_STEP }
    }
}

impl<T> Pending<T> {
    /// `what` was accepted under this number.
    pub fn push(&mut self, id: u64, what: T, now: Millis) {
        if self.waiting.is_empty() {
            self.step = FIRST_STEP;
            self.next_question = now.plus(FIRST_STEP);
        }
        self.waiting.push(Waiting { id, since: now, what });
    }

    /// Whether a new number shows that whoever gives them out has begun anew: they only grow. Then nobody knows any more
    /// what waits here, and its numbers will stand for something else.
    pub fn is_from_another(&self, id: u64) -> bool {
        self.waiting.iter().any(|waiting| waiting.id >= id)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// For how long nothing is to be asked; `None` when nothing waits.
    pub fn patience(&self, now: Millis) -> Option<Millis> {
        (!self.waiting.is_empty()).then(|| self.next_question.since(now))
    }

    /// The numbers to ask for, the oldest first, a bounded number of them.
    pub fn question(&self) -> impl Iterator<Item = u64> {
        self.waiting.iter().take(ASKED_MAX).map(|waiting| waiting.id)
    }

    /// They were asked for, and these are true. Returns what belongs to them.
    pub fn answered(&mut self, ids: &[u64], now: Millis) -> Vec<T> {
        self.step = Millis((self.step.0 * 2).min(LAST_STEP.0));
        self.next_question = now.plus(self.step);
        self.waiting.extract_if(.., |waiting| ids.contains(&waiting.id)).map(|waiting| waiting.what).collect()
    }

    /// What has waited too long.
    pub fn overdue(&mut self, now: Millis) -> Vec<T> {
        self.waiting.extract_if(.., |waiting| now.since(waiting.since) >= LOST_AFTER).map(|one| one.what).collect()
    }

    /// Everything: whoever was to acknowledge it is gone.
    pub fn give_up(&mut self) -> Vec<T> {
        self.waiting.drain(..).map(|waiting| waiting.what).collect()
    }
}

const FIRST_STEP: Millis = Millis(500);
const LAST_STEP: Millis = Millis::from_secs(10);
const LOST_AFTER: Millis = Millis::from_secs(300);
/// Numbers in one question.
const ASKED_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_soon_first_and_every_ten_seconds_in_the_end() {
        let mut pending = Pending::default();
        assert_eq!(pending.patience(Millis(0)), None);
        pending.push(0, "a", Millis(0));
        let (mut now, mut waits) = (Millis(0), Vec::new());
        for _ in 0..7 {
            let wait = pending.patience(now).unwrap();
            waits.push(wait.0);
            now = now.plus(wait);
            assert!(pending.answered(&[], now).is_empty());
        }
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    }

    #[test]
    fn a_number_that_does_not_grow_comes_from_somebody_else() {
        let mut pending = Pending::default();
        assert!(!pending.is_from_another(0));
        pending.push(4, "a", Millis(0));
        assert!(!pending.is_from_another(5));
        assert!(pending.is_from_another(4) && pending.is_from_another(0));
    }

    #[test]
    fn what_is_acknowledged_is_given_back_once_and_the_rest_after_five_minutes() {
        let mut pending = Pending::default();
        pending.push(0, "a", Millis(0));
        pending.push(1, "b", Millis(0));
        pending.push(2, "c", Millis(1_000));
        assert_eq!(pending.question().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(pending.answered(&[1, 9], Millis(500)), ["b"]);
        assert!(pending.answered(&[1], Millis(1_000)).is_empty());
        assert!(pending.overdue(Millis(299_999)).is_empty());
        assert_eq!(pending.overdue(Millis(300_000)), ["a"]);
        assert_eq!(pending.give_up(), ["c"]);
        assert!(pending.is_empty());
    }
}
