//! What the shard's thread and its two helpers share.
//!
//! Appending touches only the atomics here. The queues are locked where a segment changes hands, which
//! is rare, and never while anything waits for the disk.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::budget::Share;
use crate::cursor::{CursorFile, CursorKey};
use crate::disk::Disk;
use crate::format::Footer;
use crate::map::{Region, Writer};
use crate::number::Seq;
use crate::options::Options;

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) share: Share,
    /// End of what was appended.
    pub(crate) append_end: AtomicU64,
    /// End of the durable prefix.
    pub(crate) durable_end: AtomicU64,
    /// A segment of this opening has its name on the disk.
    pub(crate) has_published: AtomicBool,
    /// The syncer reported a failure, or a helper died; the details are in the queue.
    pub(crate) has_failed: AtomicBool,
    /// The log was closed (`true`) or dropped; helpers end when they have done what is left.
    pub(crate) is_closing: AtomicBool,
    pub(crate) is_dropped: AtomicBool,
    pub(crate) cursors_written: AtomicU64,
    pub(crate) sync: Mutex<SyncQueue>,
    pub(crate) keep: Mutex<KeepQueue>,
    pub(crate) syncer_signal: Signal,
    pub(crate) keeper_signal: Signal,
    pub(crate) closed_signal: Signal,
    pub(crate) waker: Waker,
}

impl Shared {
    pub(crate) fn lock_sync(&self) -> MutexGuard<'_, SyncQueue> {
        self.sync.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_keep(&self) -> MutexGuard<'_, KeepQueue> {
        self.keep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn durable_end(&self) -> Seq {
        Seq::from_raw(self.durable_end.load(Ordering::Acquire))
    }

    pub(crate) fn append_end(&self) -> Seq {
        Seq::from_raw(self.append_end.load(Ordering::Acquire))
    }

    /// Ends the log for good: a helper died, so nothing can become durable any more.
    pub(crate) fn fail_for_good(&self, what: String) {
        self.lock_sync().fatal.get_or_insert(what);
        self.has_failed.store(true, Ordering::Release);
        self.waker.wake();
        self.closed_signal.raise();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("disk", &self.disk)
            .field("append_end", &self.append_end())
            .field("durable_end", &self.durable_end())
            .finish_non_exhaustive()
    }
}

/// What is known of a segment by all threads.
#[derive(Debug, Default)]
pub(crate) struct SegmentState {
    /// It has its own name, durably.
    pub(crate) is_published: AtomicBool,
    /// It has a durable footer.
    pub(crate) is_sealed: AtomicBool,
    /// Its file's length, once it was cut.
    pub(crate) cut_to: AtomicU32,
}

/// Segments with records that are not known durable, oldest first.
#[derive(Debug, Default)]
pub(crate) struct SyncQueue {
    pub(crate) files: VecDeque<SyncFile>,
    pub(crate) is_in_flight: bool,
    /// Files that a rescue made superfluous; removed after what replaces them is durable.
    pub(crate) superseded: Vec<String>,
    pub(crate) failure: Option<io::Error>,
    pub(crate) fatal: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct SyncFile {
    pub(crate) region: Arc<Region>,
    /// Bytes at its start that are durable.
    pub(crate) synced: usize,
    pub(crate) base: Seq,
    /// Set when the segment is closed.
    pub(crate) end: Option<Seq>,
    pub(crate) name: String,
    /// The name it still has, until it is published.
    pub(crate) spare_name: Option<String>,
    pub(crate) state: Arc<SegmentState>,
}

/// What the keeper has to do.
#[derive(Debug, Default)]
pub(crate) struct KeepQueue {
    pub(crate) populate: Option<Arc<Populate>>,
    pub(crate) requests: VecDeque<Request>,
    pub(crate) spare: Option<Spare>,
    /// Why there is no spare, if making one was tried.
    pub(crate) spare_error: Option<Arc<str>>,
    pub(crate) may_try_spare: bool,
    /// Files of trimmed segments, under spares' names.
    pub(crate) recycled: Vec<Recycled>,
    pub(crate) next_spare: u64,
    pub(crate) seals: VecDeque<Seal>,
    pub(crate) trims: VecDeque<Trim>,
    /// Mappings to be undone away from the shard's thread.
    pub(crate) discards: Vec<Arc<Mapped>>,
    pub(crate) cursors: BTreeMap<CursorKey, Option<Vec<u8>>>,
    /// Newer bodies that need not be durable.
    pub(crate) cursor_notes: BTreeMap<CursorKey, Vec<u8>>,
    pub(crate) cursor_ticket: u64,
    pub(crate) cursor_error: Option<Arc<str>>,
    pub(crate) may_try_cursors: bool,
    pub(crate) cursor_file: CursorFile,
}

/// A file that is ready to become a segment.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) region: Region,
    pub(crate) name: String,
    /// Bytes at its start whose pages are present.
    pub(crate) populated: usize,
}

/// The file of a trimmed segment.
#[derive(Debug)]
pub(crate) struct Recycled {
    pub(crate) name: String,
    /// The spare's name is on the disk.
    pub(crate) is_durable: bool,
}

/// How far the pages of the active segment are present, and how far they should be.
#[derive(Debug)]
pub(crate) struct Populate {
    pub(crate) region: Arc<Region>,
    pub(crate) done: AtomicU32,
    pub(crate) wanted: AtomicU32,
    /// Below this the pages were let go again.
    pub(crate) forgotten: AtomicU32,
}

/// A closed segment that waits for its footer.
#[derive(Debug)]
pub(crate) struct Seal {
    pub(crate) writer: Writer,
    pub(crate) footer: Arc<Footer>,
    pub(crate) salted: u32,
    pub(crate) cut: bool,
    pub(crate) state: Arc<SegmentState>,
}

/// A segment that is given back.
#[derive(Debug)]
pub(crate) struct Trim {
    pub(crate) name: String,
    pub(crate) len: u64,
    /// Some record still points into it, or its disk is not to be trusted: never written again.
    pub(crate) must_unlink: bool,
}

/// A mapped segment as readers hold it.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) region: Arc<Region>,
}

/// A reader's wish: these bytes of a segment in memory.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) mapped: Option<Arc<Mapped>>,
    pub(crate) salted: u32,
    pub(crate) from: From,
    pub(crate) window: usize,
    /// End of what may be touched.
    pub(crate) records_end: usize,
    pub(crate) grant: Arc<OnceLock<Grant>>,
}

/// Where a reader wants to start.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    Offset(usize),
    /// Wherever the footer's index says that this number is near.
    Seq(Seq),
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Grant {
    /// `None` when the file cannot be opened.
    pub(crate) mapped: Option<Arc<Mapped>>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Wakes one thread; waking it twice costs no more than waking it once.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    is_raised: AtomicBool,
    mutex: Mutex<()>,
    condvar: Condvar,
}

impl Signal {
    pub(crate) fn raise(&self) {
        if !self.is_raised.swap(true, Ordering::AcqRel) {
            // Taking the lock makes sure that a thread about to sleep sees the flag or hears us.
            drop(self.mutex.lock().unwrap_or_else(PoisonError::into_inner));
            self.condvar.notify_all();
        }
    }

    /// Waits for the signal and takes it down; at most `timeout`, if there is one.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |_: &mut ()| !self.is_raised.load(Ordering::Acquire);
        match timeout {
            None => drop(self.condvar.wait_while(guard, waits)),
            Some(timeout) => drop(self.condvar.wait_timeout_while(guard, timeout, waits)),
        }
        self.is_raised.store(false, Ordering::Release);
    }
}

/// Wakes the shard, at most once between two calls of `rearm`.
#[derive(Default)]
pub(crate) struct Waker {
    is_woken: AtomicBool,
    wake: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl Waker {
    pub(crate) fn set(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        // What happened before woke nobody.
        self.rearm();
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    pub(crate) fn rearm(&self) {
        self.is_woken.store(false, Ordering::SeqCst);
    }

    pub(crate) fn wake(&self) {
        if self.is_woken.swap(true, Ordering::SeqCst) {
            return;
        }
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(wake) = wake {
            wake();
        }
    }
}
