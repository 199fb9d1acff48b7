//! Closing a log in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::format::Kind;
use crate::log::Log;
use crate::number::{LogTime, Seq};
use crate::shared::Shared;

impl Log {
    /// Tells the helpers to finish: what was appended is synced, cursors are written, and their threads
    /// end. Nothing can be appended any more. [`Closing`] waits for the sync.
    pub fn close(mut self, now: LogTime) -> Closing {
        self.begin_close(now)
    }

    /// As [`Log::close`], for an owner that still wants to look at the log while it closes.
    pub fn begin_close(&mut self, now: LogTime) -> Closing {
        self.tick(now);
        if self.active.as_ref().is_some_and(|active| active.tally.footer().records > 0) {
            self.append_own(Kind::Closing, now);
        }
        self.shared.is_closing.store(true, Ordering::Release);
        self.shared.syncer_signal.raise();
        self.shared.keeper_signal.raise();
        Closing { shared: self.shared.clone(), end: self.next }
    }
}

/// A log that is being closed.
#[derive(Debug)]
pub struct Closing {
    shared: Arc<Shared>,
    end: Seq,
}

impl Closing {
    /// First number after everything that was appended.
    pub fn end(&self) -> Seq {
        self.end
    }

    /// Whether everything that was appended is durable.
    pub fn is_done(&self) -> bool {
        self.shared.durable_end() >= self.end
    }

    /// Whether the last sync failed, so that waiting is in vain.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed.load(Ordering::Acquire)
    }

    /// Waits until everything is durable, the disk refused, or `patience` is over. Returns
    /// [`Closing::is_done`]. Needs a running syncer.
    pub fn wait(&self, patience: Duration) -> bool {
        // Small steps: another waiter may have taken the signal down.
        let step = Duration::from_millis(20);
        let mut left = patience;
        while !self.is_done() && !self.has_failed() && !left.is_zero() {
            self.shared.closed_signal.wait(Some(step.min(left)));
            left = left.saturating_sub(step);
        }
        self.is_done()
    }
}
