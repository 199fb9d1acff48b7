//! "Something changed; look again": the one way tasks of a shard wait for each other, and threads for a shard.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

/// Wakes tasks on the same thread. A change that comes before the wait is not lost: the waiter names the state it saw.
#[derive(Debug, Default)]
pub struct Notify {
    changes: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Notify {
    /// What to hand to [`Notify::changed`].
    pub fn seen(&self) -> u64 {
        self.changes.get()
    }

    /// Something changed: everybody who waits looks again.
    pub fn notify(&self) {
        self.changes.set(self.changes.get() + 1);
        let mut woken = self.waiting.take();
        woken.drain(..).for_each(Waker::wake);
        // The emptied list is kept, so that waiting again allocates nothing.
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            *waiting = woken;
        }
    }

    /// Resolves once something changed after `seen`.
    pub async fn changed(&self, seen: u64) {
        poll_fn(|context| {
            if self.changes.get() != seen {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Wakes one task from any thread. The flag keeps a burst of calls from costing more than one wake-up.
#[derive(Debug, Default)]
pub struct CrossNotify {
    is_set: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl CrossNotify {
    /// Something changed.
    pub fn notify(&self) {
        if self.is_set.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Ok(mut waiting) = self.waiting.lock()
            && let Some(waker) = waiting.take()
        {
            waker.wake();
        }
    }

    /// Resolves once something changed since the last time this resolved. For one waiter.
    pub async fn changed(&self) {
        poll_fn(|context| {
            if self.is_set.swap(false, Ordering::AcqRel) {
                return Poll::Ready(());
            }
            if let Ok(mut waiting) = self.waiting.lock() {
                *waiting = Some(context.waker().clone());
            }
            // Set between the look and the registration: look once more, or it would be lost.
            if self.is_set.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_change_before_the_wait_is_not_lost() {
        let notify = Notify::default();
        let seen = notify.seen();
        assert!(block_on(poll_once(notify.changed(seen))).is_none());
        notify.notify();
        assert!(block_on(poll_once(notify.changed(seen))).is_some());
    }

    #[test]
    fn a_change_on_another_thread_wakes_the_waiter() {
        let notify = Arc::new(CrossNotify::default());
        let other = Arc::clone(&notify);
        let thread = std::thread::spawn(move || other.notify());
        block_on(notify.changed());
        assert!(thread.join().is_ok());
        assert!(block_on(poll_once(notify.changed())).is_none(), "one change resolves one wait");
    }
}
