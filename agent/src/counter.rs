//! A number that counts up on one thread and may be read on any.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A count that only one thread changes; everyone may read it.
///
/// With one writer a plain load and store is enough, so counting costs an add. It only grows, so a sum or a difference of
/// two readings is never negative.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `amount` more.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_adds_up() {
        let counter = Counter::default();
        counter.add(2);
        counter.add(3);
        assert_eq!(counter.get(), 5);
    }
}
