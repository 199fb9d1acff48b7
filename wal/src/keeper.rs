//! Does for the shard everything that may wait for the disk or fault in pages, besides the syncs: makes
//! pages present in front of the writer and of readers, keeps one spare segment, writes cursors, seals
//! closed segments and gives trimmed ones back.
//!
//! What must hold: a footer is stored only after all records of its segment are durable, so a footer
//! never vouches for a record that a power cut can take. A recycled file is offered as a spare only
//! after the directory was synced with its spare's name, so nothing that was promised hides behind a
//! name that the disk still takes for a segment.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::budget::parts;
use crate::cursor;
use crate::disk::Access;
use crate::format::{FOOTER_LEN, Footer, HEADER_LEN, aligned, spare_name};
use crate::number::{ByteCount, Seq};
use crate::reading::RECENT_BYTES;
use crate::scan::offset_towards;
use crate::shared::{From, Grant, Mapped, Recycled, Request, Seal, Shared, Spare, Trim};
use crate::syncer::panic_text;

/// The thread that keeps the log's files, or its single steps.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>) -> Keeper {
        Keeper { shared }
    }

    /// Does one piece of work, the most urgent first. `false` when there is none.
    pub fn step(&mut self) -> bool {
        step(&self.shared)
    }

    /// Lets the next steps try again what the disk refused: a spare, the cursors.
    pub fn retry(&mut self) {
        let mut keep = self.shared.lock_keep();
        keep.may_try_spare = true;
        keep.may_try_cursors = true;
    }

    /// Works until the log is dropped, or closed and nothing is left to do. Parks when idle; wakes by
    /// itself only while the disk refuses something.
    pub fn run(mut self) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work())) {
            let text = panic_text(&*panic);
            self.shared.fail_for_good(format!("the log's keeper panicked: {text}"));
        }
    }

    fn work(&mut self) {
        while !self.shared.is_dropped.load(Ordering::Acquire) {
            if self.step() {
                continue;
            }
            if self.shared.is_closing.load(Ordering::Acquire) {
                break;
            }
            let timeout = self.is_refused().then_some(RETRY_AFTER);
            self.shared.keeper_signal.wait(timeout);
            if timeout.is_some() {
                self.retry();
            }
        }
    }

    fn is_refused(&self) -> bool {
        let keep = self.shared.lock_keep();
        keep.spare.is_none() || keep.cursor_error.is_some()
    }
}

/// One piece of work, the most urgent first.
pub(crate) fn step(shared: &Arc<Shared>) -> bool {
    populate(shared)
        || serve_reader(shared)
        || trim(shared)
        || make_spare(shared)
        || write_cursors(shared)
        || note_cursors(shared)
        || seal(shared)
        || discard(shared)
}

/// Makes the next pages in front of the writer present.
fn populate(shared: &Shared) -> bool {
    let Some(populate) = shared.lock_keep().populate.clone() else {
        return false;
    };
    let done = populate.done.load(Ordering::Relaxed);
    let wanted = populate.wanted.load(Ordering::Acquire);
    let wanted = wanted.min(populate.region.len() as u32);
    if done >= wanted {
        return false;
    }
    let next = wanted.min(done.saturating_add(POPULATE_STEP)).next_multiple_of(4096);
    populate.region.populate_write(done as usize, next as usize);
    populate.done.store(next, Ordering::Release);
    let behind = wanted.saturating_sub(shared.options.populate_ahead).saturating_sub(2 * RECENT_BYTES as u32);
    let forgotten = populate.forgotten.swap(behind, Ordering::Relaxed);
    populate.region.forget(forgotten as usize, behind as usize);
    shared.waker.wake();
    true
}

/// Makes pages present that a reader asked for.
fn serve_reader(shared: &Shared) -> bool {
    let Some(request) = shared.lock_keep().requests.pop_front() else {
        return false;
    };
    let grant = grant(shared, &request);
    // The reader may have gone elsewhere; then nobody looks at the answer.
    let _ = request.grant.set(grant);
    shared.waker.wake();
    true
}

fn grant(shared: &Shared, request: &Request) -> Grant {
    let start = match request.from {
        From::Offset(offset) => offset,
        From::Seq(seq) => offset_by_footer(shared, request, seq),
    };
    let mapped = request.mapped.clone().or_else(|| {
        let region = shared.disk.open(&request.name, Access::Read).ok()?;
        Some(Arc::new(Mapped { region: Arc::new(region) }))
    });
    let end = start.saturating_add(request.window).min(request.records_end);
    if let Some(mapped) = &mapped {
        mapped.region.populate_read(start, end);
    }
    Grant { mapped, start, end }
}

fn offset_by_footer(shared: &Shared, request: &Request, seq: Seq) -> usize {
    match read_footer(shared, &request.name, request.salted) {
        Ok(Some(footer)) => offset_towards(&footer.index, seq).0,
        // Without an index the walk starts at the first record.
        Ok(None) | Err(_) => HEADER_LEN,
    }
}

/// Reads a segment's footer from the end of its file, if there is a sound one.
pub(crate) fn read_footer(shared: &Shared, name: &str, salted: u32) -> io::Result<Option<Footer>> {
    let file = shared.disk.open_file(name, false)?;
    let Some(at) = file.len()?.checked_sub(FOOTER_LEN as u64) else {
        return Ok(None);
    };
    let mut area = vec![0; FOOTER_LEN];
    file.read_at(at, &mut area)?;
    Ok(Footer::decode(salted, &area))
}

/// Gives one trimmed segment back: renamed to a spare, or unlinked.
fn trim(shared: &Shared) -> bool {
    let Some(trim) = shared.lock_keep().trims.pop_front() else {
        return false;
    };
    let is_whole = trim.len == u64::from(shared.options.segment_size);
    let (recycled, name) = {
        let mut keep = shared.lock_keep();
        keep.next_spare += 1;
        let has_one = keep.spare.is_some() || !keep.recycled.is_empty();
        (is_whole && !trim.must_unlink && !has_one, spare_name(keep.next_spare))
    };
    let outcome = if recycled { shared.disk.rename(&trim.name, &name) } else { shared.disk.remove(&trim.name) };
    // One change of names at a time: a power cut must not bring back an older segment than the oldest.
    let is_durable = shared.disk.sync_directory().is_ok();
    let mut keep = shared.lock_keep();
    match outcome {
        Ok(()) if recycled => keep.recycled.push(Recycled { name, is_durable }),
        Ok(()) => {
            shared.share.give(parts(trim.len, shared.options.segment_size));
        }
        // What cannot be given back now is an old segment again at the next opening.
        Err(error) => keep.spare_error = Some(error.to_string().into()),
    }
    keep.may_try_spare = true;
    true
}

/// Makes sure that there is a spare; at most one attempt until something changes.
pub(crate) fn make_spare(shared: &Shared) -> bool {
    let recycled = {
        let mut keep = shared.lock_keep();
        if keep.spare.is_some() || !keep.may_try_spare {
            return false;
        }
        keep.may_try_spare = false;
        keep.recycled.pop()
    };
    let made = match &recycled {
        Some(file) => reuse(shared, file),
        None => allocate(shared),
    };
    let mut keep = shared.lock_keep();
    match made {
        Ok(spare) => {
            keep.spare = Some(spare);
            keep.spare_error = None;
        }
        Err(why) => {
            keep.recycled.extend(recycled);
            keep.spare_error = Some(why.into());
        }
    }
    drop(keep);
    shared.waker.wake();
    true
}

fn reuse(shared: &Shared, file: &Recycled) -> Result<Spare, String> {
    let name = &file.name;
    let told = |error: io::Error| format!("cannot reuse {name}: {error}");
    // Until a sync says so, the disk may still take the file for the segment that it was.
    if !file.is_durable {
        shared.disk.sync_directory().map_err(told)?;
    }
    let region = shared.disk.open(name, Access::Write).map_err(told)?;
    Ok(ready(shared, region, name))
}

/// Why there is no spare when it is not the disk's fault.
pub(crate) const BUDGET_SPENT: &str = "the buffer holds as many segments as its size allows";

fn allocate(shared: &Shared) -> Result<Spare, String> {
    let options = &shared.options;
    let space = shared.disk.space().map_err(|error| format!("cannot ask for free space: {error}"))?;
    let floor = options.min_free.get().max(space.total / 100 * u64::from(options.min_free_percent));
    let left = space.free.checked_sub(u64::from(options.segment_size));
    if left.is_none_or(|left| left < floor) {
        return Err(format!(
            "{} are free on the file system, and {} must stay free beside a segment of {}",
            ByteCount::new(space.free),
            ByteCount::new(floor),
            ByteCount::new(options.segment_size.into()),
        ));
    }
    if !shared.share.take_segment() {
        return Err(BUDGET_SPENT.to_owned());
    }
    let name = {
        let mut keep = shared.lock_keep();
        keep.next_spare += 1;
        spare_name(keep.next_spare)
    };
    match shared.disk.create(&name, options.segment_size) {
        Ok(region) => Ok(ready(shared, region, &name)),
        Err(error) => {
            shared.share.give(parts(options.segment_size.into(), options.segment_size));
            Err(format!("cannot make a new segment: {error}"))
        }
    }
}

/// Makes the first pages of a spare present, so that the shard can go on in it at once.
pub(crate) fn ready(shared: &Shared, region: crate::map::Region, name: &str) -> Spare {
    let populated = region.len().min(shared.options.populate_ahead.min(POPULATE_STEP) as usize);
    region.populate_write(0, populated);
    Spare { region, name: name.to_owned(), populated }
}

/// Seals the oldest closed segment whose records are all durable.
fn seal(shared: &Shared) -> bool {
    let mut seal = {
        let mut keep = shared.lock_keep();
        match keep.seals.front() {
            Some(seal) if seal.footer.end <= shared.durable_end().get() => {}
            _ => return false,
        }
        match keep.seals.pop_front() {
            Some(seal) => seal,
            None => return false,
        }
    };
    // A segment without a footer is scanned at the next opening; nothing else depends on it.
    let whole = seal.writer.region().len() as u64;
    if let Ok(len) = write_footer(&mut seal) {
        seal.state.is_sealed.store(true, Ordering::Release);
        let size = shared.options.segment_size;
        let freed = parts(whole, size) - parts(len as u64, size);
        shared.share.give(freed);
    }
    // Freed budget, or room on the disk.
    shared.lock_keep().may_try_spare = true;
    shared.waker.wake();
    true
}

/// Writes and syncs the footer, and cuts the file behind it if asked to. Returns the file's length.
fn write_footer(seal: &mut Seal) -> io::Result<usize> {
    let len = seal.writer.region().len();
    let records_end = seal.footer.records_end as usize;
    let cut = aligned(records_end);
    let at = if seal.cut { cut } else { len - FOOTER_LEN };
    seal.writer.store(at, &seal.footer.encode(seal.salted));
    seal.writer.region().sync()?;
    if !seal.cut || at + FOOTER_LEN == len {
        return Ok(len);
    }
    seal.writer.truncate(at + FOOTER_LEN)?;
    seal.writer.region().sync()?;
    let cut_to = at + FOOTER_LEN;
    seal.state.cut_to.store(cut_to as u32, Ordering::Release);
    Ok(cut_to)
}

/// Writes cursors that need not be durable. What the disk refuses is left to the next durable write.
fn note_cursors(shared: &Shared) -> bool {
    let mut keep = shared.lock_keep();
    // A cursor that waits to be made durable is written first: of two bodies the newer must be written later.
    if keep.cursor_notes.is_empty() || (!keep.cursors.is_empty() && keep.cursor_error.is_none()) {
        return false;
    }
    let notes = std::mem::take(&mut keep.cursor_notes);
    let mut file = std::mem::take(&mut keep.cursor_file);
    drop(keep);
    let _ = file.note(&notes);
    shared.lock_keep().cursor_file = file;
    true
}

/// Writes the cursors that changed, and makes them durable with one sync.
fn write_cursors(shared: &Shared) -> bool {
    let (mut file, changed, ticket) = {
        let mut keep = shared.lock_keep();
        if keep.cursors.is_empty() || !keep.may_try_cursors {
            return false;
        }
        keep.may_try_cursors = false;
        (std::mem::take(&mut keep.cursor_file), std::mem::take(&mut keep.cursors), keep.cursor_ticket)
    };
    let mut outcome = file.write(&*shared.disk, &changed);
    let is_full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
    if outcome.as_ref().is_err_and(is_full) && give_up_spare(shared) {
        outcome = file.write(&*shared.disk, &changed);
    }
    let mut keep = shared.lock_keep();
    keep.cursor_file = file;
    match outcome {
        Ok(()) => {
            keep.cursor_error = None;
            shared.cursors_written.store(ticket, Ordering::Release);
        }
        Err(error) => {
            keep.cursor_error = Some(error.to_string().into());
            // What changed since then is newer than what failed.
            for (key, body) in changed {
                keep.cursors.entry(key).or_insert(body);
            }
        }
    }
    drop(keep);
    shared.waker.wake();
    true
}

/// On a full disk a cursor matters more than the spare: without it nothing can be trimmed.
fn give_up_spare(shared: &Shared) -> bool {
    let mut keep = shared.lock_keep();
    let Some(spare) = keep.spare.take() else {
        return false;
    };
    keep.may_try_spare = true;
    drop(keep);
    let len = spare.region.len() as u64;
    drop(spare.region);
    if shared.disk.remove(&spare.name).is_err() {
        return false;
    }
    shared.share.give(parts(len, shared.options.segment_size));
    true
}

/// Undoes mappings that nobody reads any more.
fn discard(shared: &Shared) -> bool {
    let discards = std::mem::take(&mut shared.lock_keep().discards);
    !discards.is_empty()
}

/// A trimmed segment, by what is known of its file.
pub(crate) fn trim_job(name: String, len: u64, must_unlink: bool) -> Trim {
    Trim { name, len, must_unlink }
}

/// Most bytes populated in one step, so that a reader does not wait long behind the writer.
const POPULATE_STEP: u32 = 4 << 20;
/// How long to wait before asking a disk again that refused.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const _: () = assert!(cursor::CURSOR_BODY_MAX < 1 << 16);
