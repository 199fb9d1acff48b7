//! Walks through a segment's bytes from record to record, and past what is none.
//!
//! One walk for everyone: recovery, readers that meet damage, and the offline tools. Where bytes are
//! not a sound record, the walk looks for the next one at every eighth byte; only a checksum under
//! the segment's salt, and a number not below the expected one, make it believe a record.

use std::ops::Range;

use crate::format::{Footer, HEADER_LEN, INDEX_MAX, IndexEntry, Kind, RECORD_HEADER, RecordHead, aligned, checksum};
use crate::map::Region;
use crate::number::{Seq, width};

/// Where a walk gets its bytes from.
pub(crate) trait Source {
    /// End of the bytes.
    fn end(&self) -> usize;

    /// The bytes `start..end`, or `None` when they cannot be had.
    fn bytes(&mut self, start: usize, end: usize) -> Option<&[u8]>;
}

impl Source for &Region {
    fn end(&self) -> usize {
        self.frontier()
    }

    fn bytes(&mut self, start: usize, end: usize) -> Option<&[u8]> {
        (start <= end && end <= self.frontier()).then(|| Region::bytes(self, start, end))
    }
}

/// The sound record at `at`, whole below `limit`, with a number not below `expected`.
pub(crate) fn record_at(
    source: &mut impl Source,
    salted: u32,
    at: usize,
    limit: usize,
    expected: Seq,
) -> Option<RecordHead> {
    if at + RECORD_HEADER > limit {
        return None;
    }
    let head = RecordHead::decode(source.bytes(at, at + RECORD_HEADER)?)?;
    let end = at + head.len as usize;
    if head.seq < expected || end > limit {
        return None;
    }
    head.is_sound(salted, source.bytes(at, end)?).then_some(head)
}

/// The first sound record at `from` or after it, and where it is.
pub(crate) fn find_record(
    source: &mut impl Source,
    salted: u32,
    from: usize,
    limit: usize,
    expected: Seq,
) -> Option<(usize, RecordHead)> {
    (from..limit).step_by(8).find_map(|at| record_at(source, salted, at, limit, expected).map(|head| (at, head)))
}

/// Numbers that are missing because the bytes between two records are no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) seqs: Range<Seq>,
    pub(crate) bytes: Range<usize>,
}

/// What a walk through a whole segment found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) tally: Tally,
    /// First number after the last sound record, or the base.
    pub(crate) end: Seq,
    /// The largest durable line that a record carries.
    pub(crate) line: Option<Seq>,
    pub(crate) gaps: Vec<Gap>,
}

/// Walks through all records of a segment that starts with `base`, up to the number `stop`.
pub(crate) fn scan(
    source: &mut impl Source,
    salted: u32,
    base: Seq,
    stop: Option<Seq>,
    mut on_record: impl FnMut(usize, &RecordHead),
) -> Scanned {
    let limit = source.end();
    let mut found = Scanned { tally: Tally::new(limit), end: base, line: None, gaps: Vec::new() };
    let mut at = HEADER_LEN;
    while let Some((start, head)) = find_record(source, salted, at, limit, found.end) {
        if stop.is_some_and(|stop| head.seq >= stop) {
            break;
        }
        // A number may be missing without bad bytes: it was given up in order, and announced then.
        if start > at && head.seq > found.end {
            found.add_gap(Gap { seqs: found.end..head.seq, bytes: at..start });
        }
        on_record(start, &head);
        found.line = found.line.max(Some(head.durable_end));
        found.end = head.seq.next();
        at = start + aligned(head.len as usize);
        found.tally.add(start, &head);
    }
    found
}

impl Scanned {
    fn add_gap(&mut self, gap: Gap) {
        let is_full = self.gaps.len() == GAPS_MAX;
        match self.gaps.last_mut() {
            Some(last) if is_full => {
                last.seqs.end = gap.seqs.end;
                last.bytes.end = gap.bytes.end;
            }
            _ => self.gaps.push(gap),
        }
    }
}

/// What missing numbers mean, given the durable line: a promise broken by damage, or a tail that a
/// power cut took before anyone was promised it. Either part may be empty.
pub(crate) fn split_at_line(missing: &Range<Seq>, line: Seq) -> (Range<Seq>, Range<Seq>) {
    let middle = line.clamp(missing.start, missing.end);
    (missing.start..middle, middle..missing.end)
}

/// What is left of `missing` when what lies in `holes` is no news: from the first number that is news
/// to the last.
pub(crate) fn without_holes(mut missing: Range<Seq>, holes: &[Range<Seq>]) -> Option<Range<Seq>> {
    for hole in holes {
        if hole.start <= missing.start && missing.start < hole.end {
            missing.start = hole.end;
        }
    }
    for hole in holes.iter().rev() {
        if hole.start < missing.end && missing.end <= hole.end {
            missing.end = hole.start;
        }
    }
    (width(&missing) > 0).then_some(missing)
}

/// Adds up what a footer says, record by record. Allocates nothing after `new`.
#[derive(Debug)]
pub(crate) struct Tally {
    footer: Footer,
    /// Bytes between two entries of the sparse index.
    stride: usize,
}

impl Tally {
    pub(crate) fn new(segment_len: usize) -> Tally {
        let footer =
            Footer { records_end: HEADER_LEN as u32, index: Vec::with_capacity(INDEX_MAX), ..Footer::default() };
        Tally { footer, stride: segment_len.div_ceil(INDEX_MAX - 1).max(4096) }
    }

    pub(crate) fn add(&mut self, at: usize, head: &RecordHead) {
        let footer = &mut self.footer;
        if footer.records == 0 {
            footer.first_log = head.log_time.as_ms();
            footer.first_wall = head.wall.as_ms();
        }
        footer.records += 1;
        footer.records_end = (at + aligned(head.len as usize)) as u32;
        footer.last_log = footer.last_log.max(head.log_time.as_ms());
        footer.last_wall = head.wall.as_ms();
        footer.digest = checksum(footer.digest, &[&head.checksum.to_le_bytes()]);
        footer.is_clean = head.kind == Kind::Closing;
        footer.end = head.seq.next().get();
        let due = footer.index.last().is_none_or(|last| at - last.offset as usize >= self.stride);
        if due && footer.index.len() < INDEX_MAX {
            footer.index.push(IndexEntry { offset: at as u32, seq: head.seq.get(), log_time: head.log_time.as_ms() });
        }
    }

    /// What was added up so far.
    pub(crate) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The footer of a segment that ends before `end`.
    pub(crate) fn into_footer(mut self, end: Seq) -> Footer {
        self.footer.end = end.get();
        self.footer
    }
}

/// Where to start walking towards `seq`.
pub(crate) fn offset_towards(index: &[IndexEntry], seq: Seq) -> (usize, Option<Seq>) {
    let after = index.partition_point(|entry| entry.seq <= seq.get());
    match after.checked_sub(1).map(|at| index[at]) {
        Some(entry) => (entry.offset as usize, Some(Seq::from_raw(entry.seq))),
        None => (HEADER_LEN, None),
    }
}

/// Most gaps told apart in one segment; further ones are merged into the last.
const GAPS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range<Seq> {
        Seq::from_raw(start)..Seq::from_raw(end)
    }

    #[test]
    fn what_is_missing_below_the_line_is_damage_and_above_it_the_tail() {
        let line = Seq::from_raw(10);
        assert_eq!(split_at_line(&range(3, 7), line), (range(3, 7), range(7, 7)));
        assert_eq!(split_at_line(&range(8, 12), line), (range(8, 10), range(10, 12)));
        assert_eq!(split_at_line(&range(10, 12), line), (range(10, 10), range(10, 12)));
        assert_eq!(split_at_line(&range(13, 15), line), (range(13, 13), range(13, 15)));
    }

    #[test]
    fn a_hole_that_was_never_promised_is_no_news() {
        let holes = [range(5, 8), range(10, 12)];
        assert_eq!(without_holes(range(5, 8), &holes), None);
        assert_eq!(without_holes(range(4, 8), &holes), Some(range(4, 5)));
        assert_eq!(without_holes(range(6, 13), &holes), Some(range(8, 13)));
        assert_eq!(without_holes(range(20, 21), &holes), Some(range(20, 21)));
    }
}
