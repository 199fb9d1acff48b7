//! The word to stop taking events in, said once and heard on every thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Says and hears the word. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_requested: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next_key: u64,
    wakers: BTreeMap<u64, Waker>,
}

/// Resolves when stopping was asked for. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Stopped {
    shared: Arc<Shared>,
    /// Our place among the waiting, and the waker left there.
    registered: Option<(u64, Waker)>,
}

impl Stop {
    /// Asks everyone to stop. Asking again changes nothing.
    pub fn request(&self) {
        self.shared.is_requested.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut self.shared.waiting().wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    /// Whether stopping was asked for.
    pub fn is_requested(&self) -> bool {
        self.shared.is_requested.load(Ordering::SeqCst)
    }

    /// Waits for the word.
    pub fn wait(&self) -> Stopped {
        Stopped { shared: self.shared.clone(), registered: None }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.is_requested.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        // A task asks on each of its turns; only a new waker is worth the lock.
        if self.registered.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let shared = self.shared.clone();
        let mut waiting = shared.waiting();
        let key = match &self.registered {
            Some((key, _)) => *key,
            None => {
                waiting.next_key += 1;
                waiting.next_key
            }
        };
        waiting.wakers.insert(key, cx.waker().clone());
        self.registered = Some((key, cx.waker().clone()));
        // The word may have been said between the first look and the lock.
        if shared.is_requested.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some((key, _)) = &self.registered {
            self.shared.waiting().wakers.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use std::thread;

    #[test]
    fn everyone_who_waits_hears_the_word_also_those_who_come_late() {
        let stop = Stop::default();
        let waiting: Vec<_> = (0..4).map(|_| stop.wait()).map(|wait| thread::spawn(move || block_on(wait))).collect();
        stop.request();
        stop.request();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        block_on(stop.wait());
        assert!(stop.is_requested());
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_behind() {
        let stop = Stop::default();
        let mut wait = stop.wait();
        assert!(block_on(poll_once(&mut wait)).is_none());
        assert_eq!(stop.shared.waiting().wakers.len(), 1);
        drop(wait);
        assert_eq!(stop.shared.waiting().wakers.len(), 0);
    }
}
