//! Follows a log that is in use: its records one after another, as they become durable.
//!
//! Who follows says up to where the log is durable, and is shown nothing above that line. Always true: numbers ascend,
//! and none is shown twice. One that falls so far behind that its place is trimmed goes on at the oldest record there is;
//! what it missed shows as a step in the numbers.

use std::io;
use std::path::{Path, PathBuf};

use super::{FileView, OwnedRecord, owned, segments};
use crate::format::{HEADER_LEN, Kind, RecordHead, aligned, salted};
use crate::number::Seq;
use crate::scan::{Source, find_record, record_at};

/// See the module.
#[derive(Debug)]
pub struct Follow {
    directory: PathBuf,
    /// Nothing below this number is shown.
    next: Seq,
    /// First number of the segment it has come to.
    base: Option<Seq>,
    /// That segment, unless it can't be read.
    current: Option<Reading>,
}

/// A segment that is being read while somebody appends to it.
#[derive(Debug)]
struct Reading {
    file: FileView,
    salted: u32,
    at: usize,
    expected: Seq,
}

/// What lies at the place that was come to.
enum Here {
    /// A record to show.
    Event(OwnedRecord),
    /// One that is not shown: a mark of the log's own, or one from before the beginning.
    Other,
    /// A record that is not durable yet.
    NotYet,
    /// No record.
    Nothing,
}

impl Follow {
    /// Starts at number `next` of the log in `directory`.
    pub fn new(directory: &Path, next: Seq) -> Follow {
        Follow { directory: directory.to_owned(), next, base: None, current: None }
    }

    /// The number that is shown next at the earliest.
    pub fn position(&self) -> Seq {
        self.next
    }

    /// The next record below `end`, the first number that is not durable. `None` where there is none yet.
    ///
    /// # Errors
    /// When the directory or a file in it cannot be read.
    pub fn next(&mut self, end: Seq) -> io::Result<Option<OwnedRecord>> {
        while self.next < end {
            let next = self.next;
            match self.current.as_mut().map_or(Here::Nothing, |reading| reading.here(next, end)) {
                Here::Event(record) => {
                    self.next = record.seq.next();
                    return Ok(Some(record));
                }
                Here::Other => {
                    // A mark has a number too; whoever came to the end of the log would else look for it again and again.
                    let passed = self.current.as_ref().map_or(next, |reading| reading.expected);
                    self.next = next.max(passed);
                }
                Here::NotYet => return Ok(None),
                Here::Nothing if self.go_on()? => {}
                Here::Nothing => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Finds the place where reading goes on: behind damage, or in another segment. False where there is none yet.
    fn go_on(&mut self) -> io::Result<bool> {
        let segments = segments(&self.directory)?;
        let found = match self.base {
            None => segments.iter().rfind(|(_, base)| *base <= self.next).or(segments.first()),
            Some(here) => {
                let later = segments.iter().find(|(_, base)| *base > here);
                let is_complete = later.is_some_and(|(_, base)| *base <= self.next);
                if !is_complete && self.current.as_mut().is_some_and(|reading| reading.skip(later.map(|later| later.1)))
                {
                    return Ok(true);
                }
                later
            }
        };
        let Some((path, base)) = found else { return Ok(false) };
        self.current = Reading::start(path)?;
        if self.current.is_none() && segments.last().is_none_or(|(_, last)| last <= base) {
            // The newest one may get its header yet.
            return Ok(false);
        }
        self.base = Some(*base);
        self.next = self.next.max(*base);
        Ok(true)
    }
}

impl Reading {
    /// `None` for a file that is gone or has no header that we know.
    fn start(path: &Path) -> io::Result<Option<Reading>> {
        let Some(file) = FileView::open(path)? else { return Ok(None) };
        let header = file.header()?;
        Ok(header.ok().map(|header| Reading {
            file,
            salted: salted(header.salt),
            at: HEADER_LEN,
            expected: header.base,
        }))
    }

    fn here(&mut self, next: Seq, end: Seq) -> Here {
        let Some(head) = self.head() else { return Here::Nothing };
        if head.seq >= end {
            return Here::NotYet;
        }
        let start = self.at;
        self.at = start + aligned(head.len as usize);
        self.expected = head.seq.next();
        if head.kind != Kind::Event || head.seq < next {
            return Here::Other;
        }
        owned(&mut self.file, start, &head).map_or(Here::Other, Here::Event)
    }

    /// The record at this place. What is held of the file may be older than the record.
    fn head(&mut self) -> Option<RecordHead> {
        let look = |file: &mut FileView| record_at(file, self.salted, self.at, file.end(), self.expected);
        look(&mut self.file).or_else(|| {
            self.file.forget();
            look(&mut self.file)
        })
    }

    /// Goes on behind bytes that are no record, to one below `limit`. False where there is none.
    fn skip(&mut self, limit: Option<Seq>) -> bool {
        let end = self.file.end();
        let found = find_record(&mut self.file, self.salted, self.at, end, self.expected);
        let Some((start, _)) = found.filter(|(_, head)| limit.is_none_or(|limit| head.seq < limit)) else {
            return false;
        };
        self.at = start;
        true
    }
}
