//! Looks at a log's files from outside: for the command line, beside a running agent or without one.
//!
//! Reads files only, a window at a time; never maps, never writes, never waits for anyone. What it shows
//! above the durable line of a running log may not be durable yet.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::format::{
    FOOTER_LEN, FileKind, Footer, HEADER_LEN, Header, HeaderError, Kind, RECORD_HEADER, RecordHead, aligned, file_kind,
    salted,
};
use crate::number::{ByteCount, LogTime, Seq, WallTime};
use crate::scan::{Scanned, Source, find_record, scan, without_holes};

mod follow;

pub use self::follow::Follow;

/// What is in one segment file.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub len: ByteCount,
    /// What its header says.
    pub state: SegmentState,
}

/// What kind of segment a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Closed, with a sound footer.
    Sealed(SegmentSummary),
    /// Without a footer: being written, or left by a crash.
    Open(SegmentSummary),
    /// Written by a newer version.
    Newer {
        /// The version of its format.
        version: u32,
    },
    /// A spare, which holds nothing that was promised.
    Spare,
    /// Without a sound header; nothing in it can be read.
    Unreadable,
}

/// What is known of a readable segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Shard that wrote it.
    pub shard: u32,
    /// Its first number.
    pub base: Seq,
    /// First number after it; `None` while that is not known without reading it.
    pub end: Option<Seq>,
    /// Records in it, if known.
    pub records: Option<u64>,
    /// Log times of its first and last record, if known.
    pub log_times: Option<(LogTime, LogTime)>,
    /// When it was made.
    pub created: WallTime,
}

/// A record with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Its number.
    pub seq: Seq,
    /// When it was appended, by the machine's clock.
    pub wall: WallTime,
    /// When it was appended, by the log clock.
    pub log_time: LogTime,
    /// The tenant's hash as the caller gave it.
    pub tenant_hash: u64,
    /// Flags as the caller gave them.
    pub flags: u16,
    /// The index as the caller gave it.
    pub index: Vec<u8>,
    /// The payload as the caller gave it.
    pub payload: Vec<u8>,
}

/// What [`verify`] found in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments read.
    pub segments: u64,
    /// Sound records, the log's own marks included.
    pub records: u64,
    /// Problems reported.
    pub problems: u64,
}

/// Something wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: ProblemKind,
}

/// What can be wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// These records cannot be read.
    Missing(Range<Seq>),
    /// The header cannot be read.
    Unreadable,
    /// The footer's counts or digest do not agree with the records.
    FooterDisagrees,
}

/// Lists the segments of the log in `directory`, oldest first, spares last.
///
/// # Errors
/// When the directory or a file in it cannot be read.
pub fn inspect(directory: &Path) -> io::Result<Vec<SegmentReport>> {
    let mut reports = Vec::new();
    for (path, kind) in files(directory)? {
        let Some(file) = FileView::open(&path)? else { continue };
        let state = match (kind, file.header()?) {
            (FileKind::Spare(_), _) => SegmentState::Spare,
            (_, Err(HeaderError::Newer { version })) => SegmentState::Newer { version },
            (_, Err(HeaderError::Invalid)) => SegmentState::Unreadable,
            (_, Ok(header)) => summarize(&header, file.footer(salted(header.salt))?),
        };
        reports.push(SegmentReport { path, len: ByteCount::new(file.len as u64), state });
    }
    Ok(reports)
}

fn summarize(header: &Header, footer: Option<Footer>) -> SegmentState {
    let known = footer.as_ref();
    let times = |footer: &Footer| (LogTime::from_ms(footer.first_log), LogTime::from_ms(footer.last_log));
    let summary = SegmentSummary {
        shard: header.shard,
        base: header.base,
        end: known.map(|footer| Seq::from_raw(footer.end)),
        records: known.map(|footer| footer.records),
        log_times: known.map(times),
        created: header.created,
    };
    match footer {
        Some(_) => SegmentState::Sealed(summary),
        None => SegmentState::Open(summary),
    }
}

/// Reads every record of the log in `directory` and compares it with its checksum, and each sealed
/// segment with its footer. In an open segment nothing can be missing: the end of its records is only
/// known to who writes it.
///
/// # Errors
/// When the directory or a file in it cannot be read.
pub fn verify(directory: &Path, mut on_problem: impl FnMut(Problem)) -> io::Result<VerifyReport> {
    let mut report = VerifyReport::default();
    for (path, kind) in files(directory)? {
        if matches!(kind, FileKind::Spare(_)) {
            continue;
        }
        let Some(mut file) = FileView::open(&path)? else { continue };
        let mut tell = |what| {
            report.problems += 1;
            on_problem(Problem { path: path.clone(), what });
        };
        match file.header()? {
            Err(HeaderError::Newer { .. }) => continue,
            Err(HeaderError::Invalid) => tell(ProblemKind::Unreadable),
            Ok(header) => {
                let salted = salted(header.salt);
                let footer = file.footer(salted)?;
                let found = scan(&mut file, salted, header.base, None, |_, _| {});
                compare(&found, footer.as_ref(), tell);
                report.records += found.tally.footer().records;
            }
        }
        report.segments += 1;
    }
    Ok(report)
}

/// Compares what a walk found with what the footer says.
fn compare(found: &Scanned, footer: Option<&Footer>, mut tell: impl FnMut(ProblemKind)) {
    let Some(footer) = footer else { return };
    let holes = crate::recovery::holes(footer);
    let end = Seq::from_raw(footer.end);
    let at_end = (found.end < end).then_some(found.end..end);
    let gaps = found.gaps.iter().map(|gap| gap.seqs.clone()).chain(at_end);
    let mut is_missing = false;
    for missing in gaps.filter_map(|gap| without_holes(gap, &holes)) {
        is_missing = true;
        tell(ProblemKind::Missing(missing));
    }
    let seen = found.tally.footer();
    if !is_missing && (seen.records, seen.digest) != (footer.records, footer.digest) {
        tell(ProblemKind::FooterDisagrees);
    }
}

/// Every sound record of a log, in order; what cannot be read is passed over. [`verify`] names it.
#[derive(Debug)]
pub struct Export {
    paths: std::vec::IntoIter<(PathBuf, Option<Seq>)>,
    current: Option<Walk>,
}

/// A segment that is being exported.
#[derive(Debug)]
struct Walk {
    file: FileView,
    salted: u32,
    at: usize,
    expected: Seq,
    stop: Option<Seq>,
}

impl Export {
    /// Starts at the oldest record of the log in `directory`.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn open(directory: &Path) -> io::Result<Export> {
        let segments = segments(directory)?;
        let stops: Vec<Option<Seq>> = segments.iter().skip(1).map(|(_, base)| Some(*base)).collect();
        let stops = stops.into_iter().chain([None]);
        let paths: Vec<_> = segments.into_iter().map(|(path, _)| path).zip(stops).collect();
        Ok(Export { paths: paths.into_iter(), current: None })
    }

    /// The records of the segment file at `path` alone, up to the number `stop`.
    pub fn segment(path: PathBuf, stop: Seq) -> Export {
        Export { paths: vec![(path, Some(stop))].into_iter(), current: None }
    }
}

impl Iterator for Export {
    type Item = io::Result<OwnedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.current.as_mut().and_then(Walk::next_event) {
                return Some(Ok(record));
            }
            let (path, stop) = self.paths.next()?;
            match Walk::start(&path, stop) {
                Ok(walk) => self.current = walk,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Walk {
    /// `None` for a file that is gone or has no header that we know.
    fn start(path: &Path, stop: Option<Seq>) -> io::Result<Option<Walk>> {
        let Some(file) = FileView::open(path)? else { return Ok(None) };
        let header = file.header()?;
        Ok(header.ok().map(|header| Walk {
            file,
            salted: salted(header.salt),
            at: HEADER_LEN,
            expected: header.base,
            stop,
        }))
    }

    fn next_event(&mut self) -> Option<OwnedRecord> {
        loop {
            if self.stop.is_some_and(|stop| self.expected >= stop) {
                // Behind the last record of an open segment there is nothing to look for.
                return None;
            }
            let limit = self.file.end();
            let (start, head) = find_record(&mut self.file, self.salted, self.at, limit, self.expected)?;
            if self.stop.is_some_and(|stop| head.seq >= stop) {
                return None;
            }
            self.at = start + aligned(head.len as usize);
            self.expected = head.seq.next();
            if head.kind != Kind::Event {
                continue;
            }
            return owned(&mut self.file, start, &head);
        }
    }
}

/// The record at `start` with its bytes.
fn owned(file: &mut FileView, start: usize, head: &RecordHead) -> Option<OwnedRecord> {
    let body = file.bytes(start + RECORD_HEADER, start + head.len as usize)?;
    let (index, payload) = body.split_at_checked(head.index_len as usize)?;
    Some(OwnedRecord {
        seq: head.seq,
        wall: head.wall,
        log_time: head.log_time,
        tenant_hash: head.tenant_hash,
        flags: head.flags,
        index: index.to_vec(),
        payload: payload.to_vec(),
    })
}

/// A file, a window of which is in memory.
#[derive(Debug)]
struct FileView {
    file: File,
    len: usize,
    window: Vec<u8>,
    window_at: usize,
}

impl FileView {
    /// `None` when the file went away since it was listed.
    fn open(path: &Path) -> io::Result<Option<FileView>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        Ok(Some(FileView { file, len, window: Vec::new(), window_at: 0 }))
    }

    /// Reads anew what is asked for next: somebody may have written since.
    fn forget(&mut self) {
        self.window.clear();
        // A segment that is closed early is cut to its length.
        if let Ok(found) = self.file.metadata() {
            self.len = usize::try_from(found.len()).unwrap_or(usize::MAX);
        }
    }

    fn header(&self) -> io::Result<Result<Header, HeaderError>> {
        let mut bytes = vec![0; self.len.min(64)];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(Header::decode(&bytes))
    }

    fn footer(&self, salted: u32) -> io::Result<Option<Footer>> {
        let Some(at) = self.len.checked_sub(FOOTER_LEN) else {
            return Ok(None);
        };
        let mut area = vec![0; FOOTER_LEN];
        self.file.read_exact_at(&mut area, at as u64)?;
        Ok(Footer::decode(salted, &area))
    }
}

impl Source for FileView {
    fn end(&self) -> usize {
        self.len
    }

    fn bytes(&mut self, start: usize, end: usize) -> Option<&[u8]> {
        if start > end || end > self.len {
            return None;
        }
        let held = self.window_at..self.window_at + self.window.len();
        if start < held.start || end > held.end {
            let len = WINDOW.max(end - start).min(self.len - start);
            self.window.resize(len, 0);
            self.window_at = start;
            if self.file.read_exact_at(&mut self.window, start as u64).is_err() {
                // Cut under our hands, or unreadable: no bytes, so no record.
                self.window.clear();
                return None;
            }
        }
        self.window.get(start - self.window_at..end - self.window_at)
    }
}

/// The segment files of the log in `directory`, oldest first, each with the first number in it.
///
/// # Errors
/// When the directory cannot be read.
pub fn segments(directory: &Path) -> io::Result<Vec<(PathBuf, Seq)>> {
    let base = |(path, kind)| match kind {
        FileKind::Segment(base) => Some((path, base)),
        _ => None,
    };
    Ok(files(directory)?.into_iter().filter_map(base).collect())
}

/// The log's files with their kinds, segments first and in order.
fn files(directory: &Path) -> io::Result<Vec<(PathBuf, FileKind)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_name().to_str().map_or(FileKind::Other, file_kind);
        if matches!(kind, FileKind::Segment(_) | FileKind::Spare(_)) {
            files.push((entry.path(), kind));
        }
    }
    files.sort_by_key(|(_, kind)| *kind);
    Ok(files)
}

/// Bytes of a file held in memory at a time, unless one record is longer.
const WINDOW: usize = 1 << 20;
