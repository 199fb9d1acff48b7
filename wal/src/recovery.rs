//! Opening: from whatever the disk holds to a log that goes on.
//!
//! First the durable line is drawn: the largest durable end in any valid record, header or footer.
//! Then each file is judged.
//!
//! | what is found                                            | what it means and what is done                |
//! |-----------------------------------------------------------|-----------------------------------------------|
//! | name of a spare, no record, or a base not above the rest  | a spare                                       |
//! | name of a spare, records, a base above every segment's    | a segment whose renaming was lost: renamed    |
//! | header of a newer version                                 | moved to `newer/`; its numbers are not used   |
//! | `newer/`, header of a version that we know                | moved back                                    |
//! | no sound header, or one with another base than the name   | all of it is damage; it stays until trimmed   |
//! | sound footer at the end of the file                       | sealed: trusted, checked when read            |
//! | sound footer right after the last record                  | sealed, and the cut of the file was lost: cut |
//! | no sound footer                                           | scanned, stored again, sealed                 |
//! | number at or above the next segment's base                | given up after a failed sync: ignored         |
//!
//! In a scanned segment, between two sound records or after the last:
//!
//! | bytes    | numbers missing | where          | meaning                                              |
//! |----------|-----------------|----------------|------------------------------------------------------|
//! | bad      | some            | below the line | damage: reported, and met by every reader            |
//! | bad      | some            | above the line | tail that a power cut took: a hole, no news          |
//! | bad      | some            | across         | damage up to the line, a hole above it               |
//! | bad      | none            | anywhere       | nothing is missing                                   |
//! | adjacent | some            | anywhere       | given up in order after a failed sync: no news       |
//! | none     | up to the line  | at the end     | damage                                               |
//!
//! Good records above the line are kept, even behind bad ones: they may have been acknowledged. The page
//! cache may hold what the disk does not, so every scanned segment is stored again from the line on,
//! byte for byte, and synced, before a footer vouches for it. Appending goes on in a new segment under
//! a new salt, never in one that was there.

mod survey;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};

use crate::budget::Budget;
use crate::cursor::{Bodies, CursorFile, CursorKey};
use crate::disk::{Access, Disk, FileInfo};
use crate::format::{FOOTER_LEN, Footer, HEADER_LEN, Header, RECORD_HEADER, aligned, salted};
use crate::keeper;
use crate::log::{DynDisk, Log, Salts, Segment, parts_of};
use crate::map::Region;
use crate::number::{LogTime, Seq, WallTime, width};
use crate::options::Options;
use crate::report::{Damage, OpenError, Opened};
use crate::scan::{Scanned, offset_towards, scan, split_at_line};
use crate::shared::{KeepQueue, Recycled, SegmentState, Shared, SyncQueue};

impl Log {
    /// Opens the log in `disk`, or starts one. Repairs what a crash left, in bounded memory and without
    /// free space; reads only segments without a footer. `wall` is for people, `entropy` makes the
    /// salts of new segments.
    ///
    /// # Errors
    /// Only when the directory cannot be read or written; damaged content is reported in [`Opened`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        budget: Budget,
        wall: WallTime,
        entropy: &mut dyn FnMut() -> u64,
    ) -> Result<(Log, Opened), OpenError> {
        let options = options.bounded();
        let mut opening = Opening::new(disk, options);
        opening.survey()?;
        opening.draw_line()?;
        opening.settle();
        opening.into_log(&budget, wall, Salts(entropy()))
    }
}

/// A file that may be a segment, while the log is being opened.
struct Found {
    name: String,
    base: Seq,
    len: u64,
    /// `None` when there is no sound one.
    header: Option<Header>,
    footer: Option<Footer>,
    /// What a scan found; only without a footer at the end.
    scanned: Option<(Region, Scanned)>,
    holes: Vec<Range<Seq>>,
    /// It has a durable footer.
    is_sealed: bool,
    /// It was set aside for a while: only its own records say what was promised then.
    was_aside: bool,
}

impl Found {
    /// The durable line that this segment is judged by.
    fn line(&self, line: Seq) -> Seq {
        match &self.scanned {
            Some((_, scanned)) if self.was_aside => scanned.line.unwrap_or(self.base),
            _ => line,
        }
    }
}

struct Opening {
    disk: DynDisk,
    options: Options,
    found: Vec<Found>,
    spares: Vec<FileInfo>,
    next_spare: u64,
    set_aside: Vec<String>,
    taken_back: Vec<String>,
    /// Numbers that a segment set aside may use.
    reserved: Seq,
    line: Seq,
    next: Seq,
    damage: Vec<Damage>,
    failure: Option<io::Error>,
}

impl Opening {
    fn new(disk: DynDisk, options: Options) -> Opening {
        Opening {
            disk,
            options,
            found: Vec::new(),
            spares: Vec::new(),
            next_spare: 0,
            set_aside: Vec::new(),
            taken_back: Vec::new(),
            reserved: Seq::FIRST,
            line: Seq::FIRST,
            next: Seq::FIRST,
            damage: Vec::new(),
            failure: None,
        }
    }

    /// Reads footers, scans what has none, and draws the durable line.
    fn draw_line(&mut self) -> Result<(), OpenError> {
        for at in 0..self.found.len() {
            let stop = self.found.get(at + 1).map(|next| next.base);
            let found = &mut self.found[at];
            let Some(header) = found.header else { continue };
            self.line = self.line.max(header.durable_end);
            let salted = salted(header.salt);
            found.footer = read_footer(&*self.disk, &found.name, salted);
            if let Some(footer) = &found.footer {
                found.holes = holes(footer);
                let end = Seq::from_raw(footer.end);
                self.line = self.line.max(stop.map_or(end, |stop| stop.min(end)));
                continue;
            }
            let opened = self.disk.open(&found.name, Access::Write);
            // A file that is too short to be mapped holds no record: damage, like one without a header.
            let Ok(region) = opened else {
                found.header = None;
                continue;
            };
            let scanned = scan(&mut &region, salted, found.base, stop, |_, _| {});
            self.line = self.line.max(scanned.line.unwrap_or(Seq::FIRST));
            found.scanned = Some((region, scanned));
        }
        Ok(())
    }

    /// Judges what is missing and closes every segment that was open.
    fn settle(&mut self) {
        self.next = self.reserved.max(self.line);
        for at in 0..self.found.len() {
            let stop = self.found.get(at + 1).map(|next| next.base);
            let end = match &self.found[at] {
                Found { header: None, base, len, .. } => {
                    let most = base.plus(len / RECORD_HEADER as u64 + 1);
                    stop.unwrap_or(most)
                }
                Found { scanned: None, footer: Some(footer), .. } => Seq::from_raw(footer.end),
                _ => self.judge_scanned(at, stop),
            };
            let end = stop.map_or(end, |stop| stop.min(end));
            let found = &mut self.found[at];
            if found.header.is_none() {
                let whole = Damage { seqs: found.base..end, segment: found.name.clone(), bytes: 0..found.len };
                add_damage(&mut self.damage, whole);
                found.footer = Some(Footer { end: end.get(), ..Footer::default() });
            }
            self.next = self.next.max(end);
        }
        for at in 0..self.found.len() {
            if let Err(error) = self.seal(at) {
                self.failure.get_or_insert(error);
            }
        }
    }

    /// Tells damage from tail in a scanned segment. Returns where it ends.
    fn judge_scanned(&mut self, at: usize, stop: Option<Seq>) -> Seq {
        let found = &mut self.found[at];
        let line = found.line(self.line);
        let Some((_, scanned)) = &mut found.scanned else { return found.base };
        let promised = stop.map_or(line, |stop| stop.min(line));
        let end = scanned.end.max(promised);
        let last = scanned.tally.footer().records_end as usize;
        let at_end = (end > scanned.end).then_some((scanned.end..end, last..last));
        let gaps = scanned.gaps.iter().map(|gap| (gap.seqs.clone(), gap.bytes.clone()));
        for (seqs, bytes) in gaps.chain(at_end) {
            let (damaged, hole) = split_at_line(&seqs, line);
            if width(&damaged) > 0 {
                let damage =
                    Damage { seqs: damaged, segment: found.name.clone(), bytes: bytes.start as u64..bytes.end as u64 };
                add_damage(&mut self.damage, damage);
            }
            if width(&hole) > 0 {
                found.holes.push(hole);
            }
        }
        end
    }

    /// Makes a scanned segment durable as it was found, and closes it for good.
    fn seal(&mut self, at: usize) -> io::Result<()> {
        let stop = self.found.get(at + 1).map(|next| next.base);
        let found = &mut self.found[at];
        let line = found.line(self.line);
        let (Some(header), Some((mut region, scanned))) = (found.header, found.scanned.take()) else {
            found.is_sealed = found.header.is_some();
            return Ok(());
        };
        let salted = salted(header.salt);
        let records_end = scanned.tally.footer().records_end as usize;
        let promised = stop.map_or(line, |stop| stop.min(line));
        let end = scanned.end.max(promised);
        let from = offset_towards(&scanned.tally.footer().index, line).0;
        let footer_at = aligned(records_end);
        let room = region.len().saturating_sub(FOOTER_LEN);
        let lost_cut = (footer_at <= room)
            .then(|| Footer::decode(salted, region.bytes(footer_at, footer_at + FOOTER_LEN)))
            .flatten()
            .filter(|footer| footer.records_end as usize == records_end);
        let footer = lost_cut.unwrap_or_else(|| {
            let mut footer = scanned.tally.into_footer(end);
            for hole in &found.holes {
                footer.add_hole(hole.start.get(), hole.end.get());
            }
            footer
        });
        found.holes = holes(&footer);
        found.footer = Some(footer.clone());
        if region.is_bad() {
            return Err(io::Error::other("a page of a segment cannot be read"));
        }
        region.store_again(0, HEADER_LEN);
        region.store_again(from, records_end);
        region.sync()?;
        // Records that reach into the reserve cannot be; a forged file may claim so.
        if footer_at > room {
            return Ok(());
        }
        region.store(footer_at, &footer.encode(salted));
        region.sync()?;
        let len = footer_at + FOOTER_LEN;
        if len < region.len() {
            region.truncate(len)?;
            region.sync()?;
        }
        found.len = len as u64;
        found.is_sealed = true;
        Ok(())
    }

    fn was_clean(&self) -> bool {
        self.found.last().is_none_or(|last| last.footer.as_ref().is_some_and(|footer| footer.is_clean))
    }

    /// Whether readers may have passed the durable line.
    fn was_weak(&self) -> bool {
        self.found.last().is_some_and(|last| last.header.is_none_or(|header| header.readers_may_pass))
    }

    fn into_log(self, budget: &Budget, wall: WallTime, salts: Salts) -> Result<(Log, Opened), OpenError> {
        let was_clean = self.was_clean();
        let failed = self.failure.is_some();
        // Readers may have seen numbers that the power cut took; those must not come back.
        let next = if !was_clean && self.was_weak() { self.next.plus(WEAK_JUMP) } else { self.next };
        let log_time = self.found.iter().filter_map(|found| found.footer.as_ref()).map(|footer| footer.last_log).max();
        let (mut cursor_file, cursors, aside) = open_cursors(&*self.disk)?;
        let unsettled = cursor_file.settle().err();
        let durable_end = if failed { self.line.min(next) } else { next };
        let first = self.found.first().map_or(next, |found| found.base);
        let lens = self.found.iter().map(|found| found.len);
        let held = parts_of(lens, &self.options);
        let shared = Arc::new(Shared {
            share: budget.join(held),
            append_end: AtomicU64::new(next.get()),
            durable_end: AtomicU64::new(durable_end.get()),
            has_published: AtomicBool::new(false),
            has_failed: AtomicBool::new(failed),
            is_closing: AtomicBool::new(false),
            is_dropped: AtomicBool::new(false),
            cursors_written: AtomicU64::new(0),
            sync: Mutex::new(SyncQueue { failure: self.failure, ..SyncQueue::default() }),
            keep: Mutex::new(keep_queue(self.next_spare, cursor_file, &cursors, unsettled)),
            syncer_signal: Default::default(),
            keeper_signal: Default::default(),
            closed_signal: Default::default(),
            waker: Default::default(),
            disk: self.disk,
            options: self.options,
        });
        keep_one_spare(&shared, self.spares);
        let segments: VecDeque<Segment> = self.found.into_iter().map(segment).collect();
        let mut log = Log::assemble(shared.clone(), segments, next, salts);
        log.last_append = LogTime::from_ms(log_time.unwrap_or(0));
        log.last_wall = wall;
        log.witnessed = durable_end;
        log.cursors = cursors;
        let keep = shared.lock_keep();
        let opened = Opened {
            first,
            next,
            durable_line: self.line,
            log_time: log.last_append,
            was_clean,
            damage: self.damage,
            set_aside: self.set_aside.into_iter().chain(aside).collect(),
            has_spare: keep.spare.is_some(),
            no_spare: keep.spare_error.clone(),
        };
        drop(keep);
        Ok((log, opened))
    }
}

/// What the keeper begins with. Cursors that could not be made durable at once it goes on trying.
fn keep_queue(next_spare: u64, cursor_file: CursorFile, cursors: &Bodies, unsettled: Option<io::Error>) -> KeepQueue {
    let again = |(key, body): (&CursorKey, &Vec<u8>)| (*key, Some(body.clone()));
    KeepQueue {
        next_spare,
        may_try_spare: true,
        cursors: if unsettled.is_some() { cursors.iter().map(again).collect() } else { BTreeMap::new() },
        cursor_ticket: u64::from(unsettled.is_some()),
        may_try_cursors: unsettled.is_some(),
        cursor_error: unsettled.map(|error| error.to_string().into()),
        cursor_file,
        ..KeepQueue::default()
    }
}

/// Keeps the first whole spare, or makes one; further ones are of no use.
fn keep_one_spare(shared: &Arc<Shared>, spares: Vec<FileInfo>) {
    for file in spares {
        let is_whole = file.len == u64::from(shared.options.segment_size);
        let mut keep = shared.lock_keep();
        if is_whole && keep.recycled.is_empty() && shared.share.take_segment() {
            keep.recycled.push(Recycled { name: file.name, is_durable: true });
            continue;
        }
        drop(keep);
        // One that cannot be removed is found again at the next opening.
        let _ = shared.disk.remove(&file.name);
    }
    keeper::make_spare(shared);
}

fn segment(found: Found) -> Segment {
    let footer = found.footer.unwrap_or_default();
    let end = Seq::from_raw(footer.end);
    // Footers of the past are read again when needed, so that opening takes little memory.
    let slim = Footer { index: Vec::new(), holes: Vec::new(), ..footer };
    Segment {
        base: found.base,
        end,
        name: found.name,
        len: found.len,
        salted: found.header.map_or(0, |header| salted(header.salt)),
        footer: Arc::new(slim),
        holes: found.holes,
        is_open: false,
        is_readable: found.header.is_some(),
        is_suspect: found.header.is_none(),
        state: Arc::new(SegmentState {
            is_published: AtomicBool::new(true),
            is_sealed: AtomicBool::new(found.is_sealed),
            cut_to: AtomicU32::new(0),
        }),
        mapped: None,
        last_mapped: std::sync::Weak::new(),
        last_read: 0,
        written_from: None,
    }
}

type OpenedCursors = (CursorFile, Bodies, Option<String>);

fn open_cursors(disk: &dyn Disk) -> Result<OpenedCursors, OpenError> {
    attempt("reading the cursors", || CursorFile::open(disk))
}

pub(crate) fn holes(footer: &Footer) -> Vec<Range<Seq>> {
    let hole = |hole: &(u64, u64)| Seq::from_raw(hole.0)..Seq::from_raw(hole.1);
    footer.holes.iter().map(hole).collect()
}

fn add_damage(damage: &mut Vec<Damage>, one: Damage) {
    let is_full = damage.len() == DAMAGE_MAX;
    match damage.last_mut() {
        Some(last) if is_full => {
            last.seqs.end = one.seqs.end;
            last.segment = one.segment;
            last.bytes = one.bytes;
        }
        _ => damage.push(one),
    }
}

fn read_footer(disk: &dyn Disk, name: &str, salted: u32) -> Option<Footer> {
    let file = disk.open_file(name, false).ok()?;
    let at = file.len().ok()?.checked_sub(FOOTER_LEN as u64)?;
    let mut area = vec![0; FOOTER_LEN];
    let read = file.read_at(at, &mut area).ok()?;
    Footer::decode(salted, &area[..read])
}

/// Runs a step that needs the directory itself.
fn attempt<T>(what: &str, step: impl FnOnce() -> io::Result<T>) -> Result<T, OpenError> {
    step().map_err(|source| OpenError::Directory { what: what.to_owned(), source })
}

/// Most damage that is told apart at opening; further ranges are merged into the last.
pub const DAMAGE_MAX: usize = 100;
/// Numbers skipped after a crash in a mode in which readers may pass the durable line: more than can
/// have been appended without a sync.
const WEAK_JUMP: u64 = 1 << 32;
