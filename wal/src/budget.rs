//! How many segments all logs of one agent may hold together.
//!
//! Always true: two segments are kept for each log, so a log at rest never loses its active segment and
//! its spare to a busy one. A segment that was cut short counts for what it holds, in steps of 1/1024.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One count of segments, shared by the logs of all shards. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<Mutex<Inner>>,
    max: Arc<AtomicU64>,
}

impl Budget {
    /// A budget of `max_segments` whole segments for all logs together.
    pub fn new(max_segments: u64) -> Budget {
        Budget { inner: Arc::default(), max: Arc::new(AtomicU64::new(max_segments.saturating_mul(PARTS))) }
    }

    /// Segments in use by all logs, rounded up; spares count.
    pub fn used(&self) -> u64 {
        self.lock().held.values().sum::<u64>().div_ceil(PARTS)
    }

    /// Segments allowed in all.
    pub fn max(&self) -> u64 {
        self.max_parts() / PARTS
    }

    /// Allows `max_segments` in all from now on. Logs that hold more give back as their events may go.
    pub fn resize(&self, max_segments: u64) {
        self.max.store(max_segments.saturating_mul(PARTS), Ordering::Relaxed);
    }

    fn max_parts(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// Whether at least `percent` of the budget is in use.
    pub fn is_at(&self, percent: u8) -> bool {
        let used: u128 = self.lock().held.values().map(|parts| u128::from(*parts)).sum();
        used * 100 >= u128::from(self.max_parts()) * u128::from(percent)
    }

    /// A log's own share, which starts at `held` parts whatever the budget says: what is there is there.
    pub(crate) fn join(&self, held: u64) -> Share {
        let mut inner = self.lock();
        inner.next_id += 1;
        let id = inner.next_id;
        inner.held.insert(id, held);
        Share { budget: self.clone(), id }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Plain counts: whoever panicked while holding the lock left nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one log holds of the budget; given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    id: u64,
}

impl Share {
    /// Takes one whole segment if the budget has one for this log.
    pub(crate) fn take_segment(&self) -> bool {
        let mut inner = self.budget.lock();
        let own = inner.held.get(&self.id).copied().unwrap_or(0);
        let kept = |parts: u64| parts.max(KEPT_PER_LOG * PARTS);
        let others: u64 = inner.held.iter().filter(|(id, _)| **id != self.id).map(|(_, parts)| kept(*parts)).sum();
        let wanted = own + PARTS;
        let allowed = wanted <= KEPT_PER_LOG * PARTS || others + kept(wanted) <= self.budget.max_parts();
        if allowed {
            inner.held.insert(self.id, wanted);
        }
        allowed
    }

    /// Gives `parts` back.
    pub(crate) fn give(&self, parts: u64) {
        let mut inner = self.budget.lock();
        if let Some(held) = inner.held.get_mut(&self.id) {
            *held = held.saturating_sub(parts);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.lock().held.remove(&self.id);
    }
}

/// How many parts of a segment of `segment_size` bytes a file of `len` bytes uses.
pub(crate) fn parts(len: u64, segment_size: u32) -> u64 {
    (len * PARTS).div_ceil(u64::from(segment_size.max(1)))
}

#[derive(Debug, Default)]
struct Inner {
    held: BTreeMap<u64, u64>,
    next_id: u64,
}

/// Parts in one segment.
const PARTS: u64 = 1024;
/// Segments kept for each log, whatever the others hold: the active one and the spare.
const KEPT_PER_LOG: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_segments_are_kept_for_each_log() {
        let budget = Budget::new(6);
        let (busy, quiet) = (budget.join(0), budget.join(0));
        let taken = (0..10).filter(|_| busy.take_segment()).count();
        assert_eq!(taken, 4);
        assert_eq!((0..10).filter(|_| quiet.take_segment()).count(), 2);
        assert_eq!((budget.used(), budget.max()), (6, 6));
        assert!(budget.is_at(100));
        busy.give(PARTS);
        assert!(!quiet.take_segment() || budget.used() <= 6);
        drop(busy);
        assert!(!budget.is_at(90));
    }

    #[test]
    fn a_segment_cut_short_counts_for_what_it_holds() {
        assert_eq!(parts(64 << 20, 64 << 20), PARTS);
        assert_eq!(parts(1, 64 << 20), 1);
        assert_eq!(parts(32 << 20, 64 << 20), PARTS / 2);
    }
}
