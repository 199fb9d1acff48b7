//! Makes appended records durable, in groups.
//!
//! One sync at a time: a new one starts as soon as the last one ended and something waits. A segment
//! gets its name here, between the sync of its bytes and the sync of the directory, and all three come
//! before `durable_end` moves over any of its records. So a named segment always has a sound header,
//! and an acknowledged record always lies in a named segment.
//!
//! A failed sync is believed and never repeated: nothing is synced any more until the shard has copied
//! what it can read back into a new segment.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::number::Seq;
use crate::options::Durability;
use crate::shared::{Shared, SyncFile, SyncQueue};

/// The thread that syncs, or its single steps.
#[derive(Debug)]
pub struct Syncer {
    shared: Arc<Shared>,
}

/// One sync under way.
#[derive(Debug)]
pub struct SyncJob {
    shared: Arc<Shared>,
    /// With the end of the bytes that are to be durable then.
    files: Vec<(SyncFile, usize)>,
    superseded: Vec<String>,
    end: Seq,
}

impl Syncer {
    pub(crate) fn new(shared: Arc<Shared>) -> Syncer {
        Syncer { shared }
    }

    /// Takes what waits for a sync, or `None` if nothing does or the last sync failed.
    pub fn begin(&self) -> Option<SyncJob> {
        begin(&self.shared)
    }

    /// Publishes the outcome of a job.
    pub fn finish(&self, job: SyncJob, result: io::Result<()>) {
        finish(&self.shared, &job, result);
    }

    /// Syncs until the log is dropped, or closed and synced. Parks when nothing waits.
    pub fn run(self) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work())) {
            let text = panic_text(&*panic);
            self.shared.fail_for_good(format!("the log's syncer panicked: {text}"));
        }
    }

    fn work(&self) {
        let shared = &self.shared;
        while !shared.is_dropped.load(Ordering::Acquire) {
            if let Some(job) = self.begin() {
                let group = job.end().get().saturating_sub(shared.durable_end().get());
                let result = job.execute();
                let failed = result.is_err();
                self.finish(job, result);
                if failed {
                    shared.syncer_signal.wait(Some(AFTER_FAILURE));
                } else {
                    self.pace(group);
                }
            } else if shared.is_closing.load(Ordering::Acquire) {
                break;
            } else {
                shared.syncer_signal.wait(None);
            }
        }
        shared.closed_signal.raise();
    }

    /// Waits between two syncs where the durability mode says so, or where the last one had so much to do that the
    /// next is worth gathering for; closing ends the wait.
    fn pace(&self, group: u64) {
        let mut left = match self.shared.options.durability {
            Durability::Interval { every_ms } => every_ms,
            Durability::Fsync if group >= BUSY_GROUP => GATHER_MS,
            Durability::Fsync | Durability::Os => return,
        };
        let ends = || self.shared.is_closing.load(Ordering::Acquire) || self.shared.is_dropped.load(Ordering::Acquire);
        while left > 0 && !ends() {
            let step = left.min(PACE_STEP_MS);
            std::thread::sleep(Duration::from_millis(step));
            left -= step;
        }
    }
}

/// A sync that covered so many records is followed by a pause of [`GATHER_MS`]: each sync write-protects the pages it
/// wrote and costs the writer a fault on each, so under load fewer and larger groups are cheaper for everyone.
const BUSY_GROUP: u64 = 100;
const GATHER_MS: u64 = 5;

impl SyncJob {
    /// First sequence number that this job does not make durable.
    pub fn end(&self) -> Seq {
        self.end
    }

    /// Waits for the disk. The one place where an appended record becomes durable.
    ///
    /// # Errors
    /// What the disk said; nothing is known then of the records that the job was to cover.
    pub fn execute(&self) -> io::Result<()> {
        let disk = &self.shared.disk;
        for (file, end) in &self.files {
            file.region.sync_range(file.synced, *end)?;
        }
        let unnamed = self.files.iter().filter_map(|(file, _)| Some((file, file.spare_name.as_ref()?)));
        let mut names_changed = false;
        for (file, spare_name) in unnamed {
            disk.rename(spare_name, &file.name)?;
            names_changed = true;
        }
        // What replaces a file may have its very name.
        let is_replaced = |name: &&String| self.files.iter().any(|(file, _)| file.name == **name);
        for name in self.superseded.iter().filter(|name| !is_replaced(name)) {
            match disk.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => names_changed = true,
            }
        }
        if names_changed {
            disk.sync_directory()?;
        }
        Ok(())
    }
}

pub(crate) fn begin(shared: &Arc<Shared>) -> Option<SyncJob> {
    let mut queue = shared.lock_sync();
    if queue.is_in_flight || shared.has_failed.load(Ordering::Acquire) {
        return None;
    }
    let end = sync_end(shared, &queue);
    if end <= shared.durable_end() {
        return None;
    }
    // Looked at after `append_end`, so the frontier lies behind all records below it.
    let with_frontier = |file: &SyncFile| (file.clone(), file.region.frontier());
    let files: Vec<_> = queue.files.iter().filter(|file| file.base < end).map(with_frontier).collect();
    queue.is_in_flight = true;
    Some(SyncJob { shared: shared.clone(), files, superseded: std::mem::take(&mut queue.superseded), end })
}

/// How far a sync that starts now should reach.
fn sync_end(shared: &Shared, queue: &SyncQueue) -> Seq {
    let end = shared.append_end();
    let is_lazy = shared.options.durability == Durability::Os && !shared.is_closing.load(Ordering::Acquire);
    // A segment without its name would not be found after a crash of this process.
    if !is_lazy || queue.files.iter().any(|file| file.spare_name.is_some()) {
        return end;
    }
    let closed = queue.files.iter().filter_map(|file| file.end).max();
    closed.unwrap_or(Seq::FIRST)
}

pub(crate) fn finish(shared: &Arc<Shared>, job: &SyncJob, result: io::Result<()>) {
    let mut queue = shared.lock_sync();
    queue.is_in_flight = false;
    match result {
        // The region may have turned bad, or a helper died, since the job began.
        Ok(()) if !shared.has_failed.load(Ordering::Acquire) => {
            publish(shared, &mut queue, job);
        }
        Ok(()) => {}
        Err(error) => {
            queue.failure.get_or_insert(error);
            queue.superseded.extend_from_slice(&job.superseded);
            shared.has_failed.store(true, Ordering::Release);
        }
    }
    drop(queue);
    shared.waker.wake();
    shared.closed_signal.raise();
}

fn publish(shared: &Shared, queue: &mut SyncQueue, job: &SyncJob) {
    for (synced, end) in &job.files {
        synced.state.is_published.store(true, Ordering::Release);
        if let Some(file) = queue.files.iter_mut().find(|file| Arc::ptr_eq(&file.region, &synced.region)) {
            file.spare_name = None;
            file.synced = *end;
        }
    }
    let is_done = |file: &SyncFile| file.end.is_some_and(|end| end <= job.end);
    let mut closed = false;
    while queue.files.front().is_some_and(is_done) {
        queue.files.pop_front();
        closed = true;
    }
    shared.durable_end.store(job.end.get(), Ordering::Release);
    shared.has_published.store(true, Ordering::Release);
    if closed {
        shared.keeper_signal.raise();
    }
}

/// What a panic said, if it said it in words.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("no reason given")
}

/// A disk that fails is not asked more often than this.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Longest sleep that closing may have to wait for.
const PACE_STEP_MS: u64 = 50;
