//! The log as its shard sees it: append, read, trim.
//!
//! Owned by one thread, which never waits here: what may wait for the disk is the helpers' work, and a
//! method that needs it says "not yet".

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use crate::budget::parts;
use crate::disk::Disk;
use crate::format::{FOOTER_LEN, Footer, HEADER_LEN, Kind, RECORD_HEADER, RecordHead, aligned};
use crate::keeper::{self, Keeper};
use crate::map::Writer;
use crate::number::{ByteCount, LogTime, Seq, WallTime};
use crate::options::Options;
use crate::report::{AppendError, Failure, NewRecord, Room, SegmentInfo};
use crate::rescue::Rescue;
use crate::scan::Tally;
use crate::shared::{Mapped, Populate, Seal, SegmentState, Shared};
use crate::syncer::Syncer;

/// One shard's log.
#[derive(Debug)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    /// Oldest first; the last one is the active one if there is one.
    pub(crate) segments: VecDeque<Segment>,
    /// Number of the first of `segments`, counted since opening.
    pub(crate) first_ordinal: u64,
    /// Changes when segments are rearranged otherwise than at the ends.
    pub(crate) generation: u64,
    pub(crate) active: Option<Active>,
    pub(crate) next: Seq,
    pub(crate) last_append: LogTime,
    pub(crate) last_wall: WallTime,
    last_tidied: LogTime,
    /// The largest durable line that a record carries.
    pub(crate) witnessed: Seq,
    /// Bytes appended since opening.
    pub(crate) appended: u64,
    pub(crate) salts: Salts,
    pub(crate) rescue: Option<Rescue>,
    pub(crate) failure: Option<Failure>,
    /// No acknowledgement goes beyond this until the failure has been taken.
    pub(crate) ack_hold: Option<Seq>,
    /// Counts reads, to know which mapping was used last.
    pub(crate) reads: u64,
    pub(crate) cursors: crate::cursor::Bodies,
    /// A helper died, and the shard has said so.
    pub(crate) has_died: bool,
    helpers_given: bool,
}

/// One segment file, as the shard knows it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: Seq,
    /// First number after it; for the active segment see `Log::next`.
    pub(crate) end: Seq,
    pub(crate) name: String,
    pub(crate) len: u64,
    pub(crate) salted: u32,
    /// What is known of its records: the footer, without holes and index once they can be read again.
    pub(crate) footer: Arc<Footer>,
    pub(crate) holes: Vec<Range<Seq>>,
    pub(crate) is_open: bool,
    /// Its header can be read; without it, no record can.
    pub(crate) is_readable: bool,
    /// Its disk refused a sync: it is never written again.
    pub(crate) is_suspect: bool,
    pub(crate) state: Arc<SegmentState>,
    pub(crate) mapped: Option<Arc<Mapped>>,
    pub(crate) last_mapped: Weak<Mapped>,
    pub(crate) last_read: u64,
    /// Where it starts in what this opening appended.
    pub(crate) written_from: Option<u64>,
}

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) writer: Writer,
    /// Offset of the next record.
    pub(crate) at: usize,
    /// End of the room for records.
    pub(crate) limit: usize,
    pub(crate) salted: u32,
    pub(crate) tally: Tally,
    pub(crate) populate: Arc<Populate>,
}

impl Log {
    pub(crate) fn assemble(shared: Arc<Shared>, segments: VecDeque<Segment>, next: Seq, salts: Salts) -> Log {
        Log {
            shared,
            segments,
            first_ordinal: 0,
            generation: 0,
            active: None,
            next,
            last_append: LogTime::default(),
            last_wall: WallTime::default(),
            last_tidied: LogTime::default(),
            witnessed: next,
            appended: 0,
            salts,
            rescue: None,
            failure: None,
            ack_hold: None,
            reads: 0,
            cursors: crate::cursor::Bodies::new(),
            has_died: false,
            helpers_given: false,
        }
    }

    /// The helpers that wait for the disk in the shard's stead, to be run on a thread each.
    ///
    /// # Panics
    /// When called twice.
    pub fn helpers(&mut self) -> (Syncer, Keeper) {
        assert!(!self.helpers_given, "a log has one syncer and one keeper");
        self.helpers_given = true;
        (Syncer::new(self.shared.clone()), Keeper::new(self.shared.clone()))
    }

    /// Sets what the helpers call when something that the shard may wait for has changed. It is called
    /// from their threads, at most once until [`Log::rearm_waker`].
    pub fn set_waker(&mut self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.shared.waker.set(wake);
    }

    /// Lets the waker be called again. Call it at the start of a turn, before looking at the log.
    pub fn rearm_waker(&self) {
        self.shared.waker.rearm();
    }

    /// Appends a record and returns its number. Costs a checksum and a copy; waits for nothing.
    ///
    /// # Errors
    /// [`AppendError`]; the log is then as it was before.
    pub fn append(&mut self, record: &NewRecord<'_>, now: LogTime) -> Result<Seq, AppendError> {
        let head = RecordHead {
            checksum: 0,
            len: self.record_len(record.index.len(), record.payload.len())?,
            seq: self.next,
            durable_end: self.shared.durable_end(),
            log_time: now,
            wall: record.wall,
            tenant_hash: record.tenant_hash,
            index_len: record.index.len() as u32,
            flags: record.flags,
            kind: Kind::Event,
        };
        if self.shared.has_failed.load(Ordering::Acquire) {
            self.settle_failure()?;
        }
        self.put(head, record.index, record.payload)?;
        self.after_put(&head)?;
        Ok(head.seq)
    }

    fn record_len(&self, index: usize, payload: usize) -> Result<u32, AppendError> {
        let max = self.shared.options.room();
        let len = index
            .checked_add(payload)
            .and_then(|body| body.checked_add(RECORD_HEADER))
            .filter(|len| aligned(*len) <= max);
        len.map(|len| len as u32)
            .ok_or(AppendError::TooLarge { len: index.saturating_add(payload).saturating_add(RECORD_HEADER), max })
    }

    /// Longest index and payload together that a record can have, in bytes.
    pub fn max_body(&self) -> usize {
        self.shared.options.room() - RECORD_HEADER
    }

    /// Stores one record in the active segment, or in a new one if it does not fit.
    pub(crate) fn put(&mut self, mut head: RecordHead, index: &[u8], payload: &[u8]) -> Result<(), AppendError> {
        let size = aligned(head.len as usize);
        if self.active.as_ref().is_none_or(|active| active.at + size > active.limit) {
            self.roll(head.seq, head.durable_end, head.wall)?;
        }
        let Some(active) = &mut self.active else {
            return Err(AppendError::WaitForKeeper);
        };
        let end = active.at + size;
        let done = active.populate.done.load(Ordering::Acquire) as usize;
        let ahead = self.shared.options.populate_ahead as usize;
        if done < active.limit && done < end + ahead / 2 {
            // One wish at a time, so that the keeper is woken once for a stretch and makes it present in one go.
            let wished = active.populate.wanted.load(Ordering::Relaxed) as usize;
            if wished <= done || wished < end {
                let wanted = (end + ahead).min(active.limit + FOOTER_LEN) as u32;
                active.populate.wanted.store(wanted, Ordering::Release);
                self.shared.keeper_signal.raise();
            }
            if end > done {
                return Err(AppendError::WaitForKeeper);
            }
        }
        let bytes = head.encode(active.salted, index, payload);
        let writer = &mut active.writer;
        writer.store(active.at, &bytes);
        writer.store(active.at + RECORD_HEADER, index);
        writer.store(active.at + head.payload_at(), payload);
        let padding = size - head.len as usize;
        writer.store(active.at + head.len as usize, &[0; 8][..padding]);
        writer.publish(end);
        // The keeper touched these pages on another processor. The next record, most likely much like this one, finds their
        // lines here by the time its event is parsed.
        writer.fetch(end, size);
        active.tally.add(active.at, &head);
        active.at = end;
        self.appended += size as u64;
        Ok(())
    }

    /// Counts a stored record as appended, unless its page turned bad under it.
    fn after_put(&mut self, head: &RecordHead) -> Result<(), AppendError> {
        let is_bad = self.active.as_ref().is_some_and(|active| active.writer.region().is_bad());
        if is_bad {
            // The caller still owns this record; the segment is left behind as if it were not there.
            self.fail(io::Error::other("a page of the active segment cannot be written"));
            return Err(AppendError::WaitForKeeper);
        }
        self.next = head.seq.next();
        self.last_append = self.last_append.max(head.log_time);
        self.last_wall = head.wall;
        self.witnessed = self.witnessed.max(head.durable_end);
        self.shared.append_end.store(self.next.get(), Ordering::Release);
        Ok(())
    }

    /// Reports a failure that the shard itself noticed.
    pub(crate) fn fail(&mut self, cause: io::Error) {
        self.shared.lock_sync().failure.get_or_insert(cause);
        self.shared.has_failed.store(true, Ordering::Release);
    }

    /// First number that was not appended yet.
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    /// First number that is not known durable.
    pub fn durable_end(&self) -> Seq {
        self.shared.durable_end()
    }

    /// First number that must not be acknowledged, nor read: the durable end, or in the weaker modes
    /// the end of what was appended.
    pub fn ack_end(&self) -> Seq {
        let durable = self.shared.durable_end();
        let is_early = self.shared.options.is_weak()
            && self.shared.has_published.load(Ordering::Acquire)
            && !self.shared.has_failed.load(Ordering::Acquire);
        let end = if is_early { self.next } else { durable };
        self.ack_hold.map_or(end, |hold| end.min(hold))
    }

    /// Tells the syncer that something waits. At most one wake-up for each group.
    pub fn request_sync(&self) {
        self.shared.syncer_signal.raise();
    }

    /// Once a turn: notices failures, marks the durable line when appending pauses, closes a segment
    /// that is old enough.
    pub fn tick(&mut self, now: LogTime) {
        if self.shared.has_failed.load(Ordering::Acquire) {
            // Not yet settled means that a later turn goes on with it.
            let _ = self.settle_failure();
            return;
        }
        if now.since(self.last_tidied) >= TIDY_EVERY_MS {
            self.last_tidied = now;
            self.drop_known_footers();
            self.limit_mappings(usize::MAX);
        }
        let Some(active) = &self.active else { return };
        let footer = active.tally.footer();
        if footer.records == 0 {
            return;
        }
        let age = now.as_ms().saturating_sub(footer.first_log);
        let durable = self.shared.durable_end();
        let is_settled = durable == self.next;
        if is_settled && self.witnessed < self.next && now.since(self.last_append) >= MARK_AFTER_MS {
            self.append_own(Kind::Mark, now);
        } else if age >= self.shared.options.window_ms / 4 && !self.is_marked_soon() {
            self.close_active(true);
        }
    }

    /// A mark has been appended and waits for its sync, or is due in a moment.
    fn is_marked_soon(&self) -> bool {
        self.shared.durable_end() == self.next && self.witnessed.next() < self.next
    }

    /// Appends one of the log's own records; without room there is none.
    pub(crate) fn append_own(&mut self, kind: Kind, now: LogTime) {
        let head = self.own_head(kind, now);
        if self.put(head, &[], &[]).is_ok() && self.after_put(&head).is_ok() {
            // Nothing to say about the mark itself: it is its own witness once it is durable.
            self.witnessed = self.next;
            self.request_sync();
        }
    }

    /// A record without index and payload.
    pub(crate) fn own_head(&self, kind: Kind, now: LogTime) -> RecordHead {
        RecordHead {
            checksum: 0,
            len: RECORD_HEADER as u32,
            seq: self.next,
            durable_end: self.shared.durable_end(),
            log_time: now.max(self.last_append),
            wall: self.last_wall,
            tenant_hash: 0,
            index_len: 0,
            flags: 0,
            kind,
        }
    }

    /// Takes the outcome of a failure, once everything that could be saved was copied. Until then, and
    /// until it is taken, nothing beyond it is acknowledged.
    pub fn take_failure(&mut self) -> Option<Failure> {
        let failure = self.failure.take()?;
        self.ack_hold = None;
        Some(failure)
    }

    /// Whether a record can be appended now.
    pub fn has_room(&self) -> Room {
        if self.shared.has_failed.load(Ordering::Acquire) && self.rescue.is_none() {
            return match &self.shared.lock_sync().fatal {
                Some(why) => Room::NoSpare { why: why.as_str().into() },
                None => Room::WaitForKeeper,
            };
        }
        let has_room = |active: &Active| active.at + aligned(RECORD_HEADER + 1) <= active.limit;
        if self.active.as_ref().is_some_and(has_room) {
            return Room::Ready;
        }
        let keep = self.shared.lock_keep();
        match (&keep.spare, &keep.spare_error) {
            (Some(_), _) => Room::Ready,
            (None, Some(why)) if !keep.may_try_spare => Room::NoSpare { why: why.clone() },
            (None, _) => Room::WaitForKeeper,
        }
    }

    /// Why there is no spare segment, if one was tried and refused. While the active segment has room
    /// this is only a warning; giving back a segment with [`Log::trim`] makes a spare.
    pub fn no_spare(&self) -> Option<Arc<str>> {
        let keep = self.shared.lock_keep();
        match &keep.spare {
            Some(_) => None,
            None => keep.spare_error.clone(),
        }
    }

    /// Whether there is no spare because the budget is spent: a log, this or another, has to give a segment back.
    pub fn is_out_of_budget(&self) -> bool {
        self.no_spare().is_some_and(|why| *why == *keeper::BUDGET_SPENT)
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> impl Iterator<Item = SegmentInfo> + '_ {
        self.segments.iter().map(|segment| self.info(segment))
    }

    fn info(&self, segment: &Segment) -> SegmentInfo {
        let footer = match &self.active {
            Some(active) if segment.is_open => active.tally.footer(),
            _ => &segment.footer,
        };
        SegmentInfo {
            base: segment.base,
            end: if segment.is_open { self.next } else { segment.end },
            log_times: (LogTime::from_ms(footer.first_log), LogTime::from_ms(footer.last_log)),
            wall_times: (WallTime::from_ms(footer.first_wall), WallTime::from_ms(footer.last_wall)),
            bytes_on_disk: ByteCount::new(segment.file_len()),
            bytes_used: ByteCount::new(u64::from(footer.records_end).saturating_sub(HEADER_LEN as u64)),
            is_sealed: segment.state.is_sealed.load(Ordering::Acquire),
            is_active: segment.is_open,
            records: footer.records,
        }
    }

    /// Number of the oldest record that is still held, or of the next one.
    pub fn first_seq(&self) -> Seq {
        self.segments.front().map_or(self.next, |segment| segment.base)
    }

    /// Gives back whole segments of which every number is below `end`. The newest segment that has its
    /// name on the disk always stays: it remembers which numbers were used.
    pub fn trim(&mut self, end: Seq) {
        let end = end.min(self.shared.durable_end());
        let mut trims = Vec::new();
        while let [oldest, newer, ..] = self.segments.make_contiguous() {
            let is_needed = oldest.is_open || oldest.end > end || !newer.state.is_published.load(Ordering::Acquire);
            if is_needed {
                break;
            }
            if let Some(segment) = self.segments.pop_front() {
                self.first_ordinal += 1;
                trims.push(segment);
            }
        }
        if trims.is_empty() {
            return;
        }
        let mut keep = self.shared.lock_keep();
        for mut segment in trims {
            let waiting = |seal: &Seal| Arc::ptr_eq(&seal.state, &segment.state);
            if let Some(at) = keep.seals.iter().position(waiting) {
                keep.seals.remove(at);
            }
            let own = usize::from(segment.mapped.is_some());
            let is_pinned = segment.last_mapped.strong_count() > own;
            let len = segment.file_len();
            let must_unlink = is_pinned || segment.is_suspect;
            keep.discards.extend(segment.mapped.take());
            keep.trims.push_back(keeper::trim_job(segment.name, len, must_unlink));
        }
        drop(keep);
        self.shared.keeper_signal.raise();
    }

    /// A number from which on no record is older than `time`, and few before it are newer.
    pub fn seek_time(&self, time: LogTime) -> Seq {
        for segment in &self.segments {
            let footer = match &self.active {
                Some(active) if segment.is_open => active.tally.footer(),
                _ => &segment.footer,
            };
            if footer.records == 0 || footer.last_log < time.as_ms() {
                continue;
            }
            let after = footer.index.partition_point(|entry| entry.log_time < time.as_ms());
            let entry = after.checked_sub(1).map(|at| footer.index[at]);
            return entry.map_or(segment.base, |entry| Seq::from_raw(entry.seq));
        }
        self.next
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !self.shared.is_closing.load(Ordering::Acquire) {
            self.shared.is_dropped.store(true, Ordering::Release);
            self.shared.syncer_signal.raise();
            self.shared.keeper_signal.raise();
        }
    }
}

impl Segment {
    /// Length of its file, which is shorter than it was made once it was cut.
    pub(crate) fn file_len(&self) -> u64 {
        match self.state.cut_to.load(Ordering::Acquire) {
            0 => self.len,
            cut => u64::from(cut),
        }
    }
}

/// Salts for new segments, drawn when the log was opened so that chance comes from outside.
#[derive(Debug)]
pub(crate) struct Salts(pub(crate) u64);

impl Salts {
    pub(crate) fn next(&mut self) -> u64 {
        // SplitMix64: distinct for 2^64 segments, and far apart in every bit.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Parts of the budget that files of these lengths use.
pub(crate) fn parts_of(lens: impl Iterator<Item = u64>, options: &Options) -> u64 {
    lens.map(|len| parts(len, options.segment_size)).sum()
}

/// Appending pauses for this long before the durable line is marked.
const MARK_AFTER_MS: u64 = 1_000;
/// How often memory that closed segments no longer need is given back.
const TIDY_EVERY_MS: u64 = 100;

/// The directory behind a log, for the code that opens it.
pub(crate) type DynDisk = Arc<dyn Disk>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::mapped::MappedDisk;

    #[test]
    fn the_keeper_is_wished_for_once_a_stretch() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(MappedDisk::open(&dir.path().join("log")).unwrap());
        let none = ByteCount::new(0);
        let options = Options { populate_ahead: 1 << 16, min_free: none, min_free_percent: 0, ..Options::default() };
        let (mut log, _) = Log::open(disk, options, Budget::new(4), WallTime::default(), &mut || 7).unwrap();
        let (_, mut keeper) = log.helpers();
        while keeper.step() {}
        let record =
            NewRecord { wall: WallTime::default(), tenant_hash: 1, flags: 0, index: &[], payload: &[1; 1_000] };
        for _ in 0..3 {
            // The keeper sleeps until the log has used up what is present.
            let mut wishes = Vec::new();
            while log.append(&record, LogTime::default()).is_ok() {
                let active = log.active.as_ref().unwrap();
                wishes.push(active.populate.wanted.load(Ordering::Acquire));
            }
            let before = wishes[0];
            wishes.retain(|wish| *wish != before);
            wishes.dedup();
            assert_eq!(wishes.len(), 1, "{wishes:?}");
            while keeper.step() {}
        }
    }
}
