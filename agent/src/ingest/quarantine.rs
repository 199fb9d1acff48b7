//! The lines that were refused, kept for people to look at.
//!
//! One file of JSON lines, mode 0600: when, who sent it, why it was refused, how long it was, and its first
//! [`HEAD_MAX`] bytes. It is an aid, not a promise: it is not synced, the oldest half goes when it is full, and what
//! comes faster than it can be written is only counted. A torn last line is cut off; a file damaged otherwise is begun
//! again. Nothing here blocks the thread that refuses: [`Quarantine::put`] queues, and the [`Drain`] it may return is to
//! be run where blocking is allowed.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ingest::acks::{push, push_string};
use crate::ingest::lines::HEAD_MAX;

/// Most bytes of the file.
pub const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Most refused lines that wait to be written: about a MiB.
pub const QUEUE_MAX: usize = 256;

/// Where refused lines go.
#[derive(Debug)]
pub struct Quarantine {
    queue: Mutex<Queue>,
    file: Mutex<Store>,
}

/// A line that was refused.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When, in epoch milliseconds.
    pub wall_ms: i64,
    /// Who sent it.
    pub peer: String,
    /// Why, as a label.
    pub code: &'static str,
    /// Why, in plain words.
    pub reason: String,
    /// How long the line was.
    pub bytes: u64,
    /// How it begins.
    pub head: Vec<u8>,
}

/// What the quarantine counted since the agent started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuarantineCounts {
    /// Lines written to the file.
    pub kept: u64,
    /// Lines that came faster than they could be written, or that the disk did not take.
    pub dropped: u64,
    /// Times the file was damaged and begun again.
    pub begun_again: u64,
}

/// Work that writes what is queued; to be run where blocking is allowed. Dropping it unrun leaves the queue to the next.
#[derive(Debug)]
pub struct Drain {
    quarantine: Arc<Quarantine>,
    /// Another one may exist already.
    is_over: bool,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// A [`Drain`] exists.
    is_draining: bool,
    counts: QuarantineCounts,
}

#[derive(Debug)]
struct Store {
    path: PathBuf,
    max: u64,
    open: Option<(File, u64)>,
}

impl Quarantine {
    /// A quarantine whose file is `path`; it is opened when there is something to write.
    pub fn new(path: PathBuf) -> Arc<Quarantine> {
        Quarantine::with_max(path, FILE_MAX)
    }

    fn with_max(path: PathBuf, max: u64) -> Arc<Quarantine> {
        Arc::new(Quarantine { queue: Mutex::default(), file: Mutex::new(Store { path, max, open: None }) })
    }

    /// Queues a refused line, or only counts it when the queue is full. The work returned must be run off this thread.
    pub fn put(self: &Arc<Self>, make: impl FnOnce() -> Entry) -> Option<Drain> {
        let mut queue = self.queue();
        if queue.entries.len() >= QUEUE_MAX {
            queue.counts.dropped += 1;
            return None;
        }
        queue.entries.push_back(make());
        if queue.is_draining {
            return None;
        }
        queue.is_draining = true;
        Some(Drain { quarantine: self.clone(), is_over: false })
    }

    /// What was counted so far.
    pub fn counts(&self) -> QuarantineCounts {
        self.queue().counts
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drain {
    /// Writes until the queue is empty. Blocks.
    pub fn run(mut self) {
        let quarantine = self.quarantine.clone();
        let mut store = quarantine.file.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut queue = quarantine.queue();
            let entries = std::mem::take(&mut queue.entries);
            if entries.is_empty() {
                // Under the same lock that `put` takes, so that no entry is left without a drain.
                queue.is_draining = false;
                self.is_over = true;
                return;
            }
            drop(queue);
            let mut text = Vec::new();
            for entry in &entries {
                push_entry(&mut text, entry);
            }
            let mut begun_again = 0;
            let written = store.append(&text, &mut begun_again);
            let mut queue = quarantine.queue();
            queue.counts.begun_again += begun_again;
            match written {
                Ok(()) => queue.counts.kept += entries.len() as u64,
                Err(error) => {
                    queue.counts.dropped += entries.len() as u64;
                    tracing::warn!(%error, lines = entries.len(), "refused lines cannot be written to the quarantine file");
                }
            }
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if !self.is_over {
            self.quarantine.queue().is_draining = false;
        }
    }
}

impl Store {
    /// After an error the file is closed; opening it again cuts a torn line off.
    fn append(&mut self, text: &[u8], begun_again: &mut u64) -> io::Result<()> {
        let (mut file, mut size) = match self.open.take() {
            Some(open) => open,
            None => open(&self.path, self.max, begun_again)?,
        };
        if size > 0 && size + text.len() as u64 > self.max {
            (file, size) = keep_newest_half(&self.path, self.max / 2)?;
        }
        file.write_all(text)?;
        self.open = Some((file, size + text.len() as u64));
        Ok(())
    }
}

/// Opens the file for appending, whole lines only.
fn open(path: &Path, max: u64, begun_again: &mut u64) -> io::Result<(File, u64)> {
    let mut file = options().read(true).append(true).create(true).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    let size = file.metadata()?.len();
    let whole = if size > max { None } else { whole_lines(&mut file, size)? };
    if whole.is_none() {
        *begun_again += 1;
    }
    let whole = whole.unwrap_or(0);
    if whole < size {
        file.set_len(whole)?;
    }
    Ok((file, whole))
}

/// How many bytes of whole lines the file begins with; `None` when one of them is not ours.
fn whole_lines(file: &mut File, size: u64) -> io::Result<Option<u64>> {
    let mut text = Vec::with_capacity(size as usize);
    file.take(size).read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let is_ours = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    let are_ours = text[..whole].split_inclusive(|byte| *byte == b'\n').all(is_ours);
    // A first write that was torn leaves the beginning of an entry; anything else is not ours.
    let is_torn = whole > 0 || text.is_empty() || text.starts_with(b"{\"time\":");
    Ok((are_ours && is_torn).then_some(whole as u64))
}

/// Puts a file with the last whole lines of at most `keep` bytes in its place.
fn keep_newest_half(path: &Path, keep: u64) -> io::Result<(File, u64)> {
    let text = fs::read(path)?;
    let from = text.len().saturating_sub(keep as usize);
    // A line that begins exactly at `from` is whole.
    let search = from.saturating_sub(1);
    let begin = match text[search..].iter().position(|byte| *byte == b'\n') {
        _ if from == 0 => 0,
        Some(at) => search + at + 1,
        None => text.len(),
    };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = options().write(true).create(true).truncate(true).open(&new)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(&text[begin..])?;
    fs::rename(&new, path)?;
    Ok((file, (text.len() - begin) as u64))
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.mode(0o600);
    options
}

fn push_entry(out: &mut Vec<u8>, entry: &Entry) {
    out.extend_from_slice(b"{\"time\":\"");
    scaidrive_codecs::time::write_rfc3339(entry.wall_ms, out);
    out.extend_from_slice(b"\",\"peer\":");
    push_string(out, &entry.peer);
    push(out, format_args!(",\"code\":\"{}\",\"reason\":", entry.code));
    push_string(out, &entry.reason);
    push(out, format_args!(",\"bytes\":{},\"line\":", entry.bytes));
    let head = &entry.head[..entry.head.len().min(HEAD_MAX)];
    push_string(out, &String::from_utf8_lossy(head));
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn entry(head: &str) -> Entry {
        Entry {
            wall_ms: 1_778_595_781_453,
            peer: "uid 1000".to_owned(),
            code: "syntax",
            reason: "not JSON".to_owned(),
            bytes: head.len() as u64,
            head: head.as_bytes().to_vec(),
        }
    }

    fn put(quarantine: &Arc<Quarantine>, head: &str) {
        if let Some(drain) = quarantine.put(|| entry(head)) {
            drain.run();
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_refused_line_is_kept_with_when_who_and_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quarantine.jsonl");
        let quarantine = Quarantine::new(path.clone());
        put(&quarantine, "{\"a\":\u{1}");
        put(&quarantine, &"x".repeat(HEAD_MAX * 2));
        let lines = lines(&path);
        assert_eq!(lines[0]["time"], "2026-05-12T14:23:01.453Z");
        assert_eq!(lines[0]["peer"], "uid 1000");
        assert_eq!(lines[0]["line"], "{\"a\":\u{1}");
        assert_eq!(lines[1]["line"].as_str().unwrap().len(), HEAD_MAX);
        assert_eq!(lines[1]["bytes"], HEAD_MAX * 2);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_oldest_half_goes_when_the_file_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quarantine.jsonl");
        let quarantine = Quarantine::with_max(path.clone(), 4000);
        for number in 0..200 {
            put(&quarantine, &format!("line {number}"));
            assert!(fs::metadata(&path).unwrap().len() <= 4000);
        }
        let kept = lines(&path);
        assert!(kept.len() > 10);
        assert_eq!(kept.last().unwrap()["line"], "line 199");
        assert_eq!(quarantine.counts(), QuarantineCounts { kept: 200, ..QuarantineCounts::default() });
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn lesson_41_a_damaged_file_is_begun_again_and_a_torn_line_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quarantine.jsonl");
        put(&Quarantine::new(path.clone()), "first");
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"time\":\"20");
        fs::write(&path, &text).unwrap();
        let quarantine = Quarantine::new(path.clone());
        put(&quarantine, "second");
        assert_eq!(lines(&path).len(), 2);
        assert_eq!(quarantine.counts().begun_again, 0);

        for damage in [b"\0\0\0\0\0".as_slice(), b"\xff\n{\"time\":1}\n", b"garbage\n"] {
            fs::write(&path, damage).unwrap();
            let quarantine = Quarantine::new(path.clone());
            put(&quarantine, "third");
            assert_eq!(lines(&path).len(), 1);
            assert_eq!(quarantine.counts(), QuarantineCounts { kept: 1, dropped: 0, begun_again: 1 });
        }
    }

    #[test]
    fn what_comes_too_fast_is_counted_and_a_drain_that_never_ran_is_made_up_for() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(dir.path().join("quarantine.jsonl"));
        let drain = quarantine.put(|| entry("0")).unwrap();
        for _ in 1..QUEUE_MAX + 5 {
            assert!(quarantine.put(|| entry("x")).is_none());
        }
        assert_eq!(quarantine.counts().dropped, 5);
        drain.run();
        assert_eq!(quarantine.counts().kept, QUEUE_MAX as u64);
        drop(quarantine.put(|| entry("dropped unrun")).unwrap());
        quarantine.put(|| entry("next")).unwrap().run();
        assert_eq!(quarantine.counts().kept, QUEUE_MAX as u64 + 2);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_counted_and_refuses_nothing() {
        let quarantine = Quarantine::new(PathBuf::from("/nonexistent-folder/quarantine.jsonl"));
        put(&quarantine, "lost");
        assert_eq!(quarantine.counts().dropped, 1);
    }
}
