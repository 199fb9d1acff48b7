//! The chronicle's files: two, each at most [`FILE_MAX`] long. When the newer one is full it takes the older one's place.
//!
//! Both are text. The first line says what the file is, the chronicle's id, and the number of the file's first event;
//! each other line is one event, or a gap:
//!
//! ```text
//! scaidrive-siem chronicle 1 00c0ffee00c0ffee 1
//! 5f1d3a70 0 {"event_id":"siem_…","action":"siem.agent_started",…}
//! 0b7e11c2 17
//! ```
//!
//! First the CRC-32 of the line's number (8 bytes, little-endian) and of all that follows the first space; then how many
//! events were lost just before; then the event as JSON. A gap has none, and takes a number of its own.
//!
//! What each line is about ([`Topic`]) and where it lies is kept in memory, so that a reader of one thing reads no other.
//!
//! What a power cut leaves of the last lines is cut off when the files are opened; nobody has been shown them. Files that
//! are damaged elsewhere are kept aside as `….damaged`, and another chronicle begins, under another id: whoever comes
//! with a cursor of the old one is told that something is missing.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crc32fast::Hasher;

use super::topic::Topic;
use crate::node::write_durably;

/// A place in the chronicle: behind the event with this number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    chronicle: u64,
    number: u64,
}

/// An event that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The place behind it.
    pub cursor: Cursor,
    /// The event as JSON.
    pub line: Vec<u8>,
}

/// A stretch of the chronicle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Events, oldest first.
    pub events: Vec<Kept>,
    /// Where to go on.
    pub next: Cursor,
    /// The place before the oldest event that is kept.
    pub oldest: Cursor,
    /// Events between the cursor that was given and `next` are missing.
    pub is_lossy: bool,
    /// There may be more.
    pub has_more: bool,
}

/// The newest events about something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// Events, newest first.
    pub events: Vec<Kept>,
    /// There are older ones.
    pub has_more: bool,
    /// There may have been others that are not kept: old ones gave way, some found no room, or files were damaged.
    pub is_lossy: bool,
}

/// How much is wanted at most: the first event in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many events.
    pub events: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

/// What is to be kept: an event, or where its line is empty a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Events that were lost just before.
    pub(super) lost_before: u64,
    /// The event as JSON.
    pub(super) line: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    id: u64,
    older: Option<Part>,
    newer: Part,
    /// Whether files from before are kept aside, damaged.
    is_after_damage: bool,
}

/// One of the files.
#[derive(Debug)]
struct Part {
    file: File,
    /// Number of its first line.
    first: u64,
    /// Where each line begins, and where the last one ends.
    bounds: Vec<u64>,
    /// What each line is about.
    topics: Vec<Topic>,
    /// Whether events were lost before one of them.
    has_gaps: bool,
}

/// Lines that were read in one go.
struct Stretch<'p> {
    part: &'p Part,
    numbers: Range<u64>,
    bytes: Vec<u8>,
}

/// A line as it lies in a file.
struct Line<'b> {
    lost_before: u64,
    event: &'b [u8],
}

/// Why files were not taken up.
enum Unusable {
    /// They are no chronicle, or not a whole one.
    Damaged,
    /// The disk.
    Disk(io::Error),
}

impl Store {
    /// Opens the files in `directory`, or begins anew under `fresh_id`. Returns also where damaged ones are kept.
    pub(super) fn open(directory: &Path, fresh_id: u64) -> io::Result<(Store, Option<PathBuf>)> {
        match Store::take_up(directory) {
            Ok(Some(store)) => return Ok((store, None)),
            Ok(None) => {}
            Err(Unusable::Disk(problem)) => return Err(problem),
            Err(Unusable::Damaged) => {
                set_aside(directory, OLDER)?;
                set_aside(directory, NEWER)?;
                return Ok((Store::begin(directory, fresh_id)?, Some(aside(directory, NEWER))));
            }
        }
        Ok((Store::begin(directory, fresh_id)?, None))
    }

    fn begin(directory: &Path, id: u64) -> io::Result<Store> {
        let newer = Part::create(directory, id, 1)?;
        Ok(Store::of(directory, id, None, newer))
    }

    fn of(directory: &Path, id: u64, older: Option<Part>, newer: Part) -> Store {
        let is_after_damage = [OLDER, NEWER].iter().any(|name| aside(directory, name).exists());
        Store { directory: directory.to_owned(), id, older, newer, is_after_damage }
    }

    fn take_up(directory: &Path) -> Result<Option<Store>, Unusable> {
        let older = Part::open(&directory.join(OLDER), IsLast::No)?;
        let newer = Part::open(&directory.join(NEWER), IsLast::Yes)?;
        let (id, older, newer) = match (older, newer) {
            (None, None) => return Ok(None),
            (None, Some((id, newer))) => (id, None, newer),
            // The power went between the two steps of a change of files.
            (Some((id, older)), None) => {
                let newer = Part::create(directory, id, older.end()).map_err(Unusable::Disk)?;
                (id, Some(older), newer)
            }
            (Some((id, older)), Some((same, newer))) if id == same && older.end() == newer.first => {
                (id, Some(older), newer)
            }
            _ => return Err(Unusable::Damaged),
        };
        Ok(Some(Store::of(directory, id, older, newer)))
    }

    /// Adds entries and syncs them. When this fails none of them is kept.
    pub(super) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let bytes: usize = entries.iter().map(|entry| entry.line.len() + LINE_EXTRA_MAX).sum();
        if self.newer.bounds.len() > 1 && self.newer.len() + bytes as u64 > FILE_MAX {
            self.turn_over()?;
        }
        self.newer.append(entries)
    }

    fn turn_over(&mut self) -> io::Result<()> {
        let path = self.directory.join(NEWER);
        // An earlier try may have moved ours, and made a fresh one that it could not open.
        let is_ours = match fs::metadata(&path) {
            Ok(found) => found.ino() == self.newer.file.metadata()?.ino(),
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => false,
            Err(problem) => return Err(problem),
        };
        if is_ours {
            fs::rename(&path, self.directory.join(OLDER))?;
        }
        let fresh = Part::create(&self.directory, self.id, self.newer.end())?;
        self.older = Some(std::mem::replace(&mut self.newer, fresh));
        Ok(())
    }

    /// See [`super::Chronicle::page`]. Looks at [`LOOKED_AT_MAX`] lines at most.
    pub(super) fn page(&self, after: Option<Cursor>, limit: usize, shows: impl Fn(&[u8]) -> bool) -> io::Result<Page> {
        let oldest = self.older.as_ref().map_or(self.newer.first, |older| older.first);
        let end = self.newer.end();
        let known = after.filter(|cursor| cursor.chronicle == self.id && cursor.number < end);
        let is_behind = known.is_some_and(|cursor| cursor.number + 1 < oldest);
        let from = known.map_or(oldest, |cursor| (cursor.number + 1).max(oldest));
        let at = |number| Cursor { chronicle: self.id, number };
        let mut page = Page {
            events: Vec::new(),
            next: at(from - 1),
            oldest: at(oldest - 1),
            is_lossy: is_behind || (after.is_some() && known.is_none()),
            has_more: false,
        };
        let until = end.min(from.saturating_add(LOOKED_AT_MAX));
        for part in self.older.iter().chain([&self.newer]) {
            let mut numbers = part.holding(from..until);
            while !numbers.is_empty() && page.events.len() < limit {
                let stretch = part.read(part.first_of(&numbers))?;
                numbers.start = stretch.numbers.end;
                for number in stretch.numbers.clone() {
                    if page.events.len() == limit {
                        break;
                    }
                    let line = stretch.line(number)?;
                    page.next = at(number);
                    page.is_lossy |= line.lost_before > 0 && after.is_some();
                    if !line.event.is_empty() && shows(line.event) {
                        page.events.push(Kept { cursor: at(number), line: line.event.to_vec() });
                    }
                }
            }
        }
        page.has_more = page.next.number + 1 < end;
        Ok(page)
    }

    /// See [`super::Chronicle::newest`].
    pub(super) fn newest(
        &self,
        topic: Topic,
        before: Option<Cursor>,
        room: Room,
        shows: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Newest> {
        // Whoever comes from another chronicle begins anew.
        let before = before.filter(|cursor| cursor.chronicle == self.id).map(|cursor| cursor.number);
        let mut newest = Newest { is_lossy: self.is_lossy(), ..Newest::default() };
        let mut bytes = 0;
        for part in [&self.newer].into_iter().chain(&self.older) {
            let mut numbers = part.holding(0..before.unwrap_or(u64::MAX));
            while !numbers.is_empty() {
                let last = part.last_of(&numbers);
                numbers.end = last.start;
                if !last.clone().any(|number| part.topic(number) == topic) {
                    continue;
                }
                let stretch = part.read(last)?;
                for number in stretch.numbers.clone().rev().filter(|number| part.topic(*number) == topic) {
                    let line = stretch.line(number)?.event;
                    if !shows(line) {
                        continue;
                    }
                    bytes += line.len();
                    let is_full = newest.events.len() >= room.events || bytes > room.bytes;
                    if is_full && !newest.events.is_empty() {
                        newest.has_more = true;
                        return Ok(newest);
                    }
                    let cursor = Cursor { chronicle: self.id, number };
                    newest.events.push(Kept { cursor, line: line.to_vec() });
                }
            }
        }
        Ok(newest)
    }

    /// Whether there was ever anything that is not kept.
    fn is_lossy(&self) -> bool {
        let mut parts = self.older.iter().chain([&self.newer]);
        let has_begun_here = parts.clone().next().is_some_and(|oldest| oldest.first == 1);
        self.is_after_damage || !has_begun_here || parts.any(|part| part.has_gaps)
    }
}

/// Whether a file is the one that is written to, whose last lines a power cut may have taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IsLast {
    Yes,
    No,
}

impl Part {
    fn create(directory: &Path, id: u64, first: u64) -> io::Result<Part> {
        let path = directory.join(NEWER);
        let head = format!("{HEAD} {id:016x} {first}\n");
        write_durably(directory, &path, head.as_bytes())?;
        let bounds = vec![head.len() as u64];
        Ok(Part { file: open_file(&path)?, first, bounds, topics: Vec::new(), has_gaps: false })
    }

    /// The file with the id of its chronicle; `None` where there is none.
    fn open(path: &Path, is_last: IsLast) -> Result<Option<(u64, Part)>, Unusable> {
        let mut file = match open_file(path) {
            Ok(file) => file,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(problem) => return Err(Unusable::Disk(problem)),
        };
        let mut bytes = Vec::new();
        file.by_ref().take(READ_MAX).read_to_end(&mut bytes).map_err(Unusable::Disk)?;
        let (id, first, head_len) = head(&bytes).ok_or(Unusable::Damaged)?;
        let (mut bounds, mut topics, mut has_gaps) = (vec![head_len as u64], Vec::new(), false);
        let mut at = head_len;
        while let Some((line, len)) = next_line(&bytes[at..], first + topics.len() as u64) {
            topics.push(Topic::of(line.event));
            has_gaps |= line.lost_before > 0;
            at += len;
            bounds.push(at as u64);
        }
        let tail = &bytes[at..];
        if !tail.is_empty() {
            let number = first + topics.len() as u64;
            if is_last == IsLast::No || holds_a_line(tail, number) {
                return Err(Unusable::Damaged);
            }
            file.set_len(at as u64).map_err(Unusable::Disk)?;
        }
        // What a process that was killed had not synced is shown from now on.
        file.sync_all().map_err(Unusable::Disk)?;
        Ok(Some((id, Part { file, first, bounds, topics, has_gaps })))
    }

    fn len(&self) -> u64 {
        self.bounds.last().copied().unwrap_or_default()
    }

    /// The number that its next line gets.
    fn end(&self) -> u64 {
        self.first + self.topics.len() as u64
    }

    fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let len = self.len();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (number, entry) in (self.end()..).zip(entries) {
            write_line(number, entry, &mut bytes);
            ends.push(len + bytes.len() as u64);
        }
        let written = self.file.write_all_at(&bytes, len).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Nothing of it may be taken up one day: its numbers go to others.
            let _ = self.file.set_len(len);
            return written;
        }
        self.bounds.append(&mut ends);
        self.topics.extend(entries.iter().map(|entry| Topic::of(&entry.line)));
        self.has_gaps |= entries.iter().any(|entry| entry.lost_before > 0);
        Ok(())
    }

    /// Those of the lines `numbers` that are here.
    fn holding(&self, numbers: Range<u64>) -> Range<u64> {
        numbers.start.max(self.first)..numbers.end.min(self.end())
    }

    /// As many of the first of `numbers`, which are here, as are read in one go.
    fn first_of(&self, numbers: &Range<u64>) -> Range<u64> {
        let reach = self.bound(numbers.start) + STRETCH;
        let end = self.first + self.bounds.partition_point(|bound| *bound <= reach) as u64 - 1;
        numbers.start..end.clamp(numbers.start + 1, numbers.end)
    }

    /// As many of the last of them.
    fn last_of(&self, numbers: &Range<u64>) -> Range<u64> {
        let reach = self.bound(numbers.end).saturating_sub(STRETCH);
        let start = self.first + self.bounds.partition_point(|bound| *bound < reach) as u64;
        start.clamp(numbers.start, numbers.end - 1)..numbers.end
    }

    /// Where a line that is here begins, or where the last one ends.
    fn bound(&self, number: u64) -> u64 {
        self.bounds[(number - self.first) as usize]
    }

    fn topic(&self, number: u64) -> Topic {
        self.topics[(number - self.first) as usize]
    }

    /// Reads lines that are here.
    fn read(&self, numbers: Range<u64>) -> io::Result<Stretch<'_>> {
        let start = self.bound(numbers.start);
        let mut bytes = vec![0; (self.bound(numbers.end) - start) as usize];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(Stretch { part: self, numbers, bytes })
    }
}

impl Stretch<'_> {
    /// One of its lines.
    fn line(&self, number: u64) -> io::Result<Line<'_>> {
        let at = |number| (self.part.bound(number) - self.part.bound(self.numbers.start)) as usize;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the agent's own events are damaged");
        let (line, _) = next_line(&self.bytes[at(number)..at(number + 1)], number).ok_or_else(damaged)?;
        Ok(line)
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).mode(0o600).open(path)
}

/// Where a damaged file is kept.
fn aside(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.damaged"))
}

fn set_aside(directory: &Path, name: &str) -> io::Result<()> {
    match fs::rename(directory.join(name), aside(directory, name)) {
        Err(problem) if problem.kind() != io::ErrorKind::NotFound => Err(problem),
        _ => Ok(()),
    }
}

/// The chronicle's id, the number of the first line, and the length of the head.
fn head(bytes: &[u8]) -> Option<(u64, u64, usize)> {
    let len = bytes.iter().take(HEAD_MAX).position(|byte| *byte == b'\n')? + 1;
    let words = std::str::from_utf8(&bytes[..len - 1]).ok()?.strip_prefix(HEAD)?.strip_prefix(' ')?;
    let (id, first) = words.split_once(' ')?;
    let first = first.parse().ok().filter(|first| *first > 0)?;
    Some((u64::from_str_radix(id, 16).ok()?, first, len))
}

/// The line at the start of `bytes`, if it is sound and has this number, and its length with its end.
fn next_line(bytes: &[u8], number: u64) -> Option<(Line<'_>, usize)> {
    let len = memchr::memchr(b'\n', bytes)?;
    let (sum, rest) = bytes[..len].split_at_checked(SUM_LEN)?;
    let rest = rest.strip_prefix(b" ")?;
    if u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()? != checksum(number, rest) {
        return None;
    }
    let mut parts = rest.splitn(2, |byte| *byte == b' ');
    let lost_before = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    Some((Line { lost_before, event: parts.next().unwrap_or_default() }, len + 1))
}

/// Whether a sound line stands anywhere in `tail`, whose first line would have this number.
fn holds_a_line(tail: &[u8], number: u64) -> bool {
    let starts = memchr::memchr_iter(b'\n', tail).map(|end| end + 1);
    starts.zip(number + 1..).any(|(start, number)| next_line(&tail[start..], number).is_some())
}

fn write_line(number: u64, entry: &Entry, out: &mut Vec<u8>) {
    let mut rest = entry.lost_before.to_string().into_bytes();
    if !entry.line.is_empty() {
        rest.push(b' ');
        rest.extend_from_slice(&entry.line);
    }
    out.extend_from_slice(format!("{:08x} ", checksum(number, &rest)).as_bytes());
    out.extend_from_slice(&rest);
    out.push(b'\n');
}

fn checksum(number: u64, rest: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(rest);
    hasher.finalize()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.chronicle, self.number)
    }
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no place in the agent's own events")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Cursor, NoCursor> {
        let (chronicle, number) = text.split_once('-').filter(|(id, _)| id.len() == 16).ok_or(NoCursor)?;
        let chronicle = u64::from_str_radix(chronicle, 16).map_err(|_| NoCursor)?;
        // One more must be countable.
        let number = number.parse().ok().filter(|number| *number < u64::MAX).ok_or(NoCursor)?;
        Ok(Cursor { chronicle, number })
    }
}

const NEWER: &str = "agent-events.log";
const OLDER: &str = "agent-events.older.log";
const HEAD: &str = "scaidrive-siem chronicle 1";
/// A head is no longer.
const HEAD_MAX: usize = 96;
/// Hexadecimal digits of a checksum.
const SUM_LEN: usize = 8;
/// What a line takes beside its event: the checksum, a count, two spaces and the end.
const LINE_EXTRA_MAX: usize = 32;
/// A file that is longer is not written to any more; one crowd of events may go beyond.
const FILE_MAX: u64 = 2 << 20;
/// No file of ours is longer.
const READ_MAX: u64 = 4 << 20;
/// Bytes that are read in one go, unless a line is longer.
const STRETCH: u64 = 64 << 10;
/// Lines looked at for one page.
const LOOKED_AT_MAX: u64 = 2_000;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entry(text: &str) -> Entry {
        Entry { lost_before: 0, line: format!("\"{text}\"").into_bytes() }
    }

    fn texts(page: &Page) -> Vec<String> {
        page.events.iter().map(|kept| String::from_utf8_lossy(&kept.line).trim_matches('"').to_owned()).collect()
    }

    fn all(store: &Store) -> Vec<String> {
        texts(&store.page(None, usize::MAX, |_| true).unwrap())
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended_and_pass_over_what_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(directory.path(), 7).unwrap();
        store.append(&["a", "b", "c"].map(entry)).unwrap();
        store.append(&["d", "e"].map(entry)).unwrap();
        let first = store.page(None, 2, |_| true).unwrap();
        assert_eq!((texts(&first), first.has_more, first.is_lossy), (vec!["a".into(), "b".into()], true, false));
        let text = first.next.to_string();
        let second = store.page(Some(text.parse().unwrap()), 2, |line| line != b"\"c\"").unwrap();
        assert_eq!((texts(&second), second.has_more), (vec!["d".into(), "e".into()], false));
        let third = store.page(Some(second.next), 2, |_| true).unwrap();
        assert_eq!((texts(&third), third.next), (Vec::new(), second.next));
        for wrong in ["", "x", "7-1", "0000000000000007-", "0000000000000007-18446744073709551615"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(NoCursor), "{wrong}");
        }
        let mode = fs::metadata(directory.path().join(NEWER)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn old_events_give_way_and_whoever_has_not_seen_them_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(directory.path(), 7).unwrap();
        store.append(&[entry("first")]).unwrap();
        let at_first = store.page(None, 10, |_| true).unwrap().next;
        let long = "x".repeat(100_000);
        for _ in 0..50 {
            store.append(&[entry(&long)]).unwrap();
        }
        store.append(&[entry("last")]).unwrap();
        let bytes: u64 =
            [NEWER, OLDER].iter().map(|name| fs::metadata(directory.path().join(name)).unwrap().len()).sum();
        assert!(bytes <= 2 * FILE_MAX, "{bytes}");
        let (again, _) = Store::open(directory.path(), 8).unwrap();
        for store in [&store, &again] {
            let page = store.page(Some(at_first), 1_000, |_| true).unwrap();
            assert!(page.is_lossy && page.oldest.number > at_first.number);
            assert_eq!(texts(&page).last().map(String::as_str), Some("last"));
            assert!(!store.page(Some(page.oldest), 1_000, |_| true).unwrap().is_lossy);
        }
    }

    /// An event about a change, longer than its name by `more`.
    fn change(name: &str, more: usize) -> Entry {
        let padding = "x".repeat(more);
        let line = format!("{{\"action\":\"siem.config_changed\",\"name\":\"{name}\",\"more\":\"{padding}\"}}");
        Entry { lost_before: 0, line: line.into_bytes() }
    }

    fn names(newest: &Newest) -> Vec<String> {
        let name = |kept: &Kept| Some(String::from_utf8_lossy(&kept.line).split('"').nth(7)?.to_owned());
        newest.events.iter().filter_map(name).collect()
    }

    #[test]
    fn what_is_about_one_thing_is_read_backwards_page_by_page_over_both_files_and_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(directory.path(), 7).unwrap();
        for at in 0..60 {
            store.append(&[change(&at.to_string(), 40_000), entry(&"y".repeat(20_000))]).unwrap();
        }
        store.append(&[Entry { lost_before: 3, line: Vec::new() }, change("last", 0)]).unwrap();
        assert!(store.older.is_some(), "it fills more than a file");
        let (again, _) = Store::open(directory.path(), 8).unwrap();
        for store in [&store, &again] {
            let (mut seen, mut before) = (Vec::new(), None);
            loop {
                let room = Room { events: 7, bytes: usize::MAX };
                let newest = store.newest(Topic::Change, before, room, |_| true).unwrap();
                assert!(newest.events.len() == 7 || !newest.has_more);
                seen.extend(names(&newest));
                before = newest.events.last().map(|kept| kept.cursor);
                if !newest.has_more {
                    break;
                }
            }
            let expected = ["last".to_owned()].into_iter().chain((0..60).rev().map(|at| at.to_string()));
            assert_eq!(seen, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_backwards_ends_with_its_room_and_knows_whether_anything_older_is_to_be_shown() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(directory.path(), 7).unwrap();
        store.append(&[change("a", 0), change("b", 500), change("c", 500), entry("d")]).unwrap();
        let ask = |events, bytes, before, but: &str| {
            let but = format!("\"{but}\"");
            let shows = |line: &[u8]| !String::from_utf8_lossy(line).contains(&but);
            let newest = store.newest(Topic::Change, before, Room { events, bytes }, shows).unwrap();
            (names(&newest), newest.has_more)
        };
        let told = |all: &[&str], has_more| (all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), has_more);
        assert_eq!(ask(9, 9_999, None, "none"), told(&["c", "b", "a"], false));
        assert_eq!(ask(2, 9_999, None, "none"), told(&["c", "b"], true));
        assert_eq!(ask(2, 9_999, None, "a"), told(&["c", "b"], false), "nobody is led to an empty page");
        assert_eq!(ask(9, 100, None, "none"), told(&["c"], true), "the first is shown however long it is");
        assert_eq!(ask(9, 9_999, None, "c"), told(&["b", "a"], false));
        assert_eq!(ask(9, 9_999, Some(Cursor { chronicle: 7, number: 2 }), "none"), told(&["a"], false));
        assert_eq!(ask(9, 9_999, Some(Cursor { chronicle: 7, number: 1 }), "none"), told(&[], false));
        for other in [Cursor { chronicle: 7, number: 99 }, Cursor { chronicle: 6, number: 2 }] {
            assert_eq!(ask(9, 9_999, Some(other), "none").0.len(), 3);
        }
        let drops = store.newest(Topic::Drop, None, Room { events: 9, bytes: 9_999 }, |_| true).unwrap();
        assert_eq!(drops, Newest::default());
    }

    #[test]
    fn whether_anything_was_ever_let_go_is_known_also_after_a_restart() {
        let is_lossy = |store: &Store| {
            let newest = store.newest(Topic::Change, None, Room { events: 1, bytes: 1 }, |_| true).unwrap();
            newest.is_lossy
        };
        let again = |directory: &Path| Store::open(directory, 8).unwrap().0;
        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(directory.path(), 7).unwrap();
        store.append(&[entry("a")]).unwrap();
        assert!(!is_lossy(&store) && !is_lossy(&again(directory.path())));
        store.append(&[Entry { lost_before: 1, line: Vec::new() }]).unwrap();
        assert!(is_lossy(&store) && is_lossy(&again(directory.path())), "some found no room");

        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(directory.path(), 7).unwrap();
        for _ in 0..50 {
            store.append(&[entry(&"x".repeat(100_000))]).unwrap();
        }
        assert!(is_lossy(&store) && is_lossy(&again(directory.path())), "the oldest gave way");

        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(NEWER), "no chronicle").unwrap();
        let (store, aside) = Store::open(directory.path(), 7).unwrap();
        assert!(aside.is_some() && is_lossy(&store) && is_lossy(&again(directory.path())), "what was there is unread");
    }

    #[test]
    fn what_a_power_cut_left_of_the_last_lines_is_cut_off_and_the_number_given_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NEWER);
        let (mut store, _) = Store::open(directory.path(), 7).unwrap();
        store.append(&["a", "b"].map(entry)).unwrap();
        let whole = fs::read(&path).unwrap();
        for torn in [&whole[..whole.len() - 1], &whole[..whole.len() - 7], &[&whole[..], &[0; 50]].concat()] {
            fs::write(&path, torn).unwrap();
            let (mut store, aside) = Store::open(directory.path(), 8).unwrap();
            assert_eq!(aside, None);
            store.append(&[entry("c")]).unwrap();
            let (store, _) = Store::open(directory.path(), 9).unwrap();
            assert_eq!(all(&store).last().map(String::as_str), Some("c"));
            assert!(all(&store).starts_with(&["a".to_owned()]));
        }
    }

    #[test]
    fn damage_elsewhere_begins_another_chronicle_and_keeps_the_damaged_one_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NEWER);
        let (mut store, _) = Store::open(directory.path(), 7).unwrap();
        store.append(&["a", "b", "c"].map(entry)).unwrap();
        let cursor = store.page(None, 2, |_| true).unwrap().next;
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(3).position(|part| part == b"\"b\"").unwrap();
        bytes[at + 1] = b'B';
        fs::write(&path, &bytes).unwrap();
        let (mut store, aside) = Store::open(directory.path(), 8).unwrap();
        assert_eq!(fs::read(aside.unwrap()).unwrap(), bytes);
        assert_eq!(all(&store), [""; 0]);
        store.append(&[entry("new")]).unwrap();
        let page = store.page(Some(cursor), 10, |_| true).unwrap();
        assert_eq!((texts(&page), page.is_lossy), (vec!["new".to_owned()], true));
    }

    #[test]
    fn a_change_of_files_that_was_cut_short_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(directory.path(), 7).unwrap();
        store.append(&["a", "b"].map(entry)).unwrap();
        fs::rename(directory.path().join(NEWER), directory.path().join(OLDER)).unwrap();
        let (mut store, aside) = Store::open(directory.path(), 8).unwrap();
        store.append(&[entry("c")]).unwrap();
        assert_eq!((all(&store), aside), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], None));
    }
}
