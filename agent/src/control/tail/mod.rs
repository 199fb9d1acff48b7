//! Live tail: events shown to people as they become durable.
//!
//! The log is followed from outside, from its files, by one thread that lives while somebody watches and reads each event
//! once for all who do. Shards do not know of it: a hook in their turns would be a look for each event, for nobody in
//! most of their lives. What is shown is durable, and is for looking at: who can't keep up is told how much was left out.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | who watches, and the thread that reads for them |
//! | `wish.rs` | which events somebody wants to see |
//! | `pace.rs` | how many they are shown |

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_codecs::time::write_rfc3339;
use scaidrive_codecs::{Event, Index};
use scaidrive_wal::Seq;
use scaidrive_wal::inspect::{Follow, OwnedRecord};
use tokio::sync::mpsc;

use self::pace::Pace;
use self::wish::Eyes;
use super::watched_logs;
use crate::node::View;

mod pace;
mod wish;

pub(super) use self::wish::{NoWish, Wish};

/// What somebody who watches is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// An event.
    Event {
        /// Its log and its number in it; `None` for somebody who is bound to tenants, because numbers count the events of all.
        id: Option<String>,
        /// Both, when it was received, and the event itself, as JSON on one line.
        line: String,
    },
    /// So many events that they wanted to see were left out here.
    Skipped(u64),
    /// So many records, whatever they were, were not looked at; as many as whoever is bound to tenants need not know.
    Unread(Option<u64>),
}

/// The events of all logs, for those who watch.
#[derive(Clone)]
pub(super) struct Tail {
    view: View,
    watched: Arc<Mutex<Watched>>,
}

#[derive(Default)]
struct Watched {
    viewers: Vec<Viewer>,
    is_read: bool,
}

struct Viewer {
    eyes: Eyes,
    pace: Pace,
    to: mpsc::Sender<Shown>,
}

impl Tail {
    /// Of the logs that `view` shows.
    pub(super) fn new(view: View) -> Tail {
        Tail { view, watched: Arc::default() }
    }

    /// Shows what `wish` is about from now on, until the receiver is dropped. `None` when [`VIEWERS_MAX`] watch already.
    pub(super) fn watch(&self, wish: Wish) -> Option<mpsc::Receiver<Shown>> {
        let (to, from) = mpsc::channel(SHOWN_WAITING_MAX);
        let mut watched = self.lock();
        watched.viewers.retain(|viewer| !viewer.to.is_closed());
        if watched.viewers.len() >= VIEWERS_MAX {
            return None;
        }
        if !watched.is_read {
            let tail = self.clone();
            // Where it begins is settled before anybody is told that they watch.
            let logs = tail.logs();
            thread::Builder::new().name("tail".to_owned()).spawn(move || tail.read(logs)).ok()?;
            watched.is_read = true;
        }
        watched.viewers.push(Viewer { eyes: Eyes::new(wish), pace: Pace::default(), to });
        Some(from)
    }

    /// Each log, followed from where it is durable.
    fn logs(&self) -> Vec<Follow> {
        watched_logs(&self.view).iter().map(|(directory, end)| Follow::new(directory, *end)).collect()
    }

    fn read(&self, mut logs: Vec<Follow>) {
        let started = Instant::now();
        loop {
            let ends = watched_logs(&self.view);
            for (log, (follow, (directory, end))) in logs.iter_mut().zip(&ends).enumerate() {
                self.read_log(log, follow, directory, *end);
            }
            if !self.go_on(started.elapsed()) {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Those who watch no more leave. False when nobody is left.
    fn go_on(&self, elapsed: Duration) -> bool {
        let mut watched = self.lock();
        for viewer in &mut watched.viewers {
            let skipped = viewer.pace.window(elapsed);
            if skipped > 0 && viewer.to.try_send(Shown::Skipped(skipped)).is_err() {
                viewer.pace.skip(skipped);
            }
        }
        watched.viewers.retain(|viewer| !viewer.to.is_closed());
        watched.is_read = !watched.viewers.is_empty();
        watched.is_read
    }

    /// Shows what one log has got since the last look. Where that is more than there is time for, the rest is left out.
    fn read_log(&self, log: usize, follow: &mut Follow, directory: &Path, end: Seq) {
        let deadline = Instant::now() + LOOK_MAX;
        loop {
            match follow.next(end) {
                Ok(Some(record)) => self.show(log, &record),
                Ok(None) => return,
                Err(problem) => {
                    tracing::warn!("{} can't be read for those who watch it: {problem}", directory.display());
                    return;
                }
            }
            if Instant::now() >= deadline {
                let unread = end.get().saturating_sub(follow.position().get());
                *follow = Follow::new(directory, end);
                return self.tell_unread(unread);
            }
        }
    }

    fn show(&self, log: usize, record: &OwnedRecord) {
        let Ok(index) = Index::decode(&record.index) else { return };
        let event = Event::new(&record.payload, &index);
        let (mut named, mut nameless) = (None, None);
        for viewer in &mut self.lock().viewers {
            if !viewer.eyes.want(&event) || !viewer.pace.has_room() {
                continue;
            }
            let shown = match viewer.eyes.sees_all() {
                true => named.get_or_insert_with(|| shown(Some(log), record)),
                false => nameless.get_or_insert_with(|| shown(None, record)),
            };
            if viewer.to.try_send(shown.clone()).is_err() {
                viewer.pace.skip(1);
            }
        }
    }

    fn tell_unread(&self, records: u64) {
        for viewer in &self.lock().viewers {
            // Who has no room for it has been told of worse.
            let _ = viewer.to.try_send(Shown::Unread(viewer.eyes.sees_all().then_some(records)));
        }
    }

    // Nothing in here panics half-way.
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event as `log export --meta` writes it; where its log is not to be named, without its number too.
fn shown(log: Option<usize>, record: &OwnedRecord) -> Shown {
    let seq = record.seq.get();
    let mut received = Vec::new();
    write_rfc3339(record.wall.as_ms(), &mut received);
    // What was stored was validated: JSON on one line.
    let (received, event) = (String::from_utf8_lossy(&received), String::from_utf8_lossy(&record.payload));
    let place = log.map(|log| format!("\"log\":\"{log:02}\",\"seq\":{seq},")).unwrap_or_default();
    let line = format!("{{{place}\"received\":\"{received}\",\"event\":{event}}}");
    Shown::Event { id: log.map(|log| format!("{log:02}:{seq}")), line }
}

/// How many may watch at once.
pub(super) const VIEWERS_MAX: usize = 8;
/// What waits for somebody's connection.
const SHOWN_WAITING_MAX: usize = 512;
/// How often the logs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a look at one log may take: what it leaves to others is more than it takes.
const LOOK_MAX: Duration = Duration::from_millis(60);

#[cfg(test)]
mod tests {
    use super::*;
    use scaidrive_wal::{LogTime, WallTime};

    #[test]
    fn an_event_is_shown_as_it_is_exported_and_under_its_own_name() {
        let record = OwnedRecord {
            seq: Seq::from_raw(17),
            wall: WallTime::from_ms(0),
            log_time: LogTime::from_ms(0),
            tenant_hash: 0,
            flags: 0,
            index: Vec::new(),
            payload: b"{\"a\":1}".to_vec(),
        };
        let line = r#"{"log":"01","seq":17,"received":"1970-01-01T00:00:00.000Z","event":{"a":1}}"#.to_owned();
        assert_eq!(shown(Some(1), &record), Shown::Event { id: Some("01:17".to_owned()), line });
        let line = r#"{"received":"1970-01-01T00:00:00.000Z","event":{"a":1}}"#.to_owned();
        assert_eq!(shown(None, &record), Shown::Event { id: None, line }, "numbers tell of others' events");
    }
}
