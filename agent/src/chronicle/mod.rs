//! The chronicle: what the agent says of itself, kept apart from the log, for an audit trail that is no SIEM.
//!
//! The log forgets what is older than its window, and what is said through it is read by destinations alone. Whoever
//! must hear of a drop although the only SIEM is the one that is down reads here. Shards note each of the agent's own
//! events as it happens, and notices of losses too ([`crate::stream::announce::Announcer::overhear`]), which the log
//! does not hold. Statements are not noted: they are about what a SIEM has.
//!
//! The first loss of an episode is noted at once, what follows once a minute. After a `kill -9` or a power cut the counts of
//! that minute are missing here; the notices that the destination itself gets come from the cursor, and miss nothing.
//!
//! Always true:
//! - Noting never waits for the disk. A thread of the chronicle's own writes what has gathered, and syncs it.
//! - Nobody is shown what a power cut could take back, so a number is never given to two events.
//! - Numbers ascend. What is missing between two of them, or before the oldest, is said to be lost.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | who notes, who writes, who reads |
//! | `store.rs` | the two files |
//! | `topic.rs` | what an event is about |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

mod store;
mod topic;

pub use self::store::{Cursor, Kept, Newest, Page, Room};
use self::store::{Entry, Store};
pub use self::topic::Topic;

/// The chronicle, as everybody holds it. The default one keeps nothing.
#[derive(Clone, Default)]
pub struct Chronicle {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    /// Rings when something was noted, and at the end.
    bell: Condvar,
    store: Mutex<Option<Store>>,
    /// How many times something has become readable.
    readable: watch::Sender<u64>,
}

/// What was noted and is not written yet.
#[derive(Default)]
struct Inbox {
    lines: Vec<Vec<u8>>,
    bytes: usize,
    /// Events that found no room behind those.
    lost: u64,
    is_closing: bool,
}

impl Chronicle {
    /// Opens the chronicle in `state_dir`. One that is damaged is kept aside, and its new place is returned. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// When the files can't be read or made.
    pub fn open(state_dir: &Path, id: u64) -> io::Result<(Chronicle, Option<PathBuf>)> {
        let (store, aside) = Store::open(state_dir, id)?;
        let shared = Shared { store: Mutex::new(Some(store)), ..Shared::default() };
        Ok((Chronicle { shared: Arc::new(shared) }, aside))
    }

    /// Notes one event, a line of JSON without its end. Waits for nobody.
    pub fn note(&self, line: Vec<u8>) {
        let mut inbox = self.inbox();
        if inbox.lost > 0 || inbox.bytes + line.len() > INBOX_BYTES_MAX {
            // What comes after a gap would hide it.
            inbox.lost += 1;
            return;
        }
        inbox.bytes += line.len();
        inbox.lines.push(line);
        drop(inbox);
        self.shared.bell.notify_one();
    }

    /// Writes what is noted until [`Chronicle::close`], and then the rest. Blocks on the disk: for a thread of its own.
    pub fn write(&self) {
        let mut is_failing = false;
        while let Some(gathered) = self.gathered() {
            let written = self.store().as_mut().map_or(Ok(()), |store| store.append(&gathered));
            match written {
                Ok(()) => {
                    is_failing = false;
                    self.shared.readable.send_modify(|times| *times += 1);
                }
                Err(problem) => {
                    if !is_failing {
                        tracing::error!("the agent's own events can't be kept, and are tried again: {problem}");
                    }
                    is_failing = true;
                    if !self.give_back(gathered) {
                        return;
                    }
                }
            }
        }
    }

    /// Ends writing, once what was noted is written.
    pub fn close(&self) {
        self.inbox().is_closing = true;
        self.shared.bell.notify_all();
    }

    /// A page of what is behind `after`, or of all there is: at most `limit` events whose line `shows` says is to be seen.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// When the files can't be read.
    pub fn page(&self, after: Option<Cursor>, limit: usize, shows: impl Fn(&[u8]) -> bool) -> io::Result<Page> {
        self.store().as_ref().map_or_else(|| Ok(Page::default()), |store| store.page(after, limit, shows))
    }

    /// The newest events about `topic` before `before`, or of all there are: as many as have room, whose line `shows` says is
    /// to be seen. Others are not read. Blocks on the disk.
    ///
    /// # Errors
    /// When the files can't be read.
    pub fn newest(
        &self,
        topic: Topic,
        before: Option<Cursor>,
        room: Room,
        shows: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Newest> {
        let store = self.store();
        store.as_ref().map_or_else(|| Ok(Newest::default()), |store| store.newest(topic, before, room, shows))
    }

    /// Tells when there is more to read.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.readable.subscribe()
    }

    /// What has been noted, once a moment has passed in which more may come. `None` at the end.
    fn gathered(&self) -> Option<Vec<Entry>> {
        let bell = &self.shared.bell;
        let is_quiet = |inbox: &mut Inbox| inbox.lines.is_empty() && !inbox.is_closing;
        let inbox = bell.wait_while(self.inbox(), is_quiet).unwrap_or_else(PoisonError::into_inner);
        let waits = |inbox: &mut Inbox| !inbox.is_closing;
        let (mut inbox, _) = bell.wait_timeout_while(inbox, GATHER, waits).unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut inbox.lines);
        let lost_behind = std::mem::take(&mut inbox.lost);
        inbox.bytes = 0;
        let mut entries: Vec<Entry> = lines.into_iter().map(|line| Entry { lost_before: 0, line }).collect();
        if lost_behind > 0 {
            entries.push(Entry { lost_before: lost_behind, line: Vec::new() });
        }
        (!entries.is_empty()).then_some(entries)
    }

    /// Keeps for the next try what the disk refused, and waits for that. False when there will be none.
    fn give_back(&self, refused: Vec<Entry>) -> bool {
        let mut inbox = self.inbox();
        let later = std::mem::take(&mut inbox.lines);
        let (lines, gaps): (Vec<Entry>, Vec<Entry>) = refused.into_iter().partition(|entry| !entry.line.is_empty());
        let lost = gaps.iter().map(|gap| gap.lost_before).sum::<u64>();
        inbox.lines = lines.into_iter().map(|entry| entry.line).collect();
        if lost > 0 {
            inbox.lost += lost + later.len() as u64;
        } else {
            inbox.lines.extend(later);
        }
        inbox.bytes = inbox.lines.iter().map(Vec::len).sum();
        let waits = |inbox: &mut Inbox| !inbox.is_closing;
        let waited = self.shared.bell.wait_timeout_while(inbox, AGAIN, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_closing
    }

    // What is inside stays whole between two statements, so a panic elsewhere has not left half of it.
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.shared.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> MutexGuard<'_, Option<Store>> {
        self.shared.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of events that wait for the disk at most.
const INBOX_BYTES_MAX: usize = 1 << 20;
/// How long company is waited for: events come in crowds, and a sync covers any number of them.
const GATHER: Duration = Duration::from_millis(100);
/// How long until the disk is tried again.
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    fn lines(page: &Page) -> Vec<String> {
        page.events.iter().map(|kept| String::from_utf8(kept.line.clone()).unwrap()).collect()
    }

    fn line(text: &str) -> Vec<u8> {
        format!("\"{text}\"").into_bytes()
    }

    #[test]
    fn what_was_noted_is_readable_soon_and_after_the_end_and_over_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let (chronicle, _) = Chronicle::open(directory.path(), 1).unwrap();
        let writer = thread::spawn({
            let chronicle = chronicle.clone();
            move || chronicle.write()
        });
        chronicle.note(line("a"));
        let deadline = Instant::now() + Duration::from_secs(10);
        // Readers are told once it is written.
        while *chronicle.changes().borrow() == 0 {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(chronicle.page(None, 10, |_| true).unwrap().events.len(), 1);
        chronicle.note(line("b"));
        chronicle.close();
        writer.join().unwrap();
        let (chronicle, aside) = Chronicle::open(directory.path(), 2).unwrap();
        assert_eq!(
            (lines(&chronicle.page(None, 10, |_| true).unwrap()), aside),
            (vec!["\"a\"".into(), "\"b\"".into()], None)
        );
    }

    #[test]
    fn what_finds_no_room_is_counted_as_lost_and_nothing_is_noted_behind_the_gap_until_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (chronicle, _) = Chronicle::open(directory.path(), 1).unwrap();
        chronicle.note(line("a"));
        chronicle.note(vec![b'x'; INBOX_BYTES_MAX]);
        chronicle.note(line("b"));
        chronicle.close();
        chronicle.write();
        let page = chronicle.page(None, 10, |_| true).unwrap();
        assert_eq!(lines(&page), ["\"a\""]);
        let after = page.events[0].cursor;
        chronicle.note(line("c"));
        chronicle.write();
        let page = chronicle.page(Some(after), 10, |_| true).unwrap();
        assert!(page.is_lossy, "two were lost in between");
        assert_eq!(lines(&page), ["\"c\""]);
        assert!(!chronicle.page(Some(page.next), 10, |_| true).unwrap().is_lossy, "said once");
    }

    #[test]
    fn a_chronicle_without_files_takes_notes_and_shows_none() {
        let chronicle = Chronicle::default();
        chronicle.note(line("a"));
        assert!(chronicle.page(None, 10, |_| true).unwrap().events.is_empty());
    }
}
