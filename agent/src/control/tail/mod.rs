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
//! | `queue.rs` | what waits for their connection |

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_codecs::time::write_rfc3339;
use scaidrive_codecs::{Event, Index};
use scaidrive_wal::Seq;
use scaidrive_wal::inspect::{Follow, OwnedRecord};

use self::pace::Pace;
use self::queue::{Giver, queue};
use self::wish::Eyes;
use super::watched_logs;
use crate::node::View;

mod pace;
mod queue;
mod wish;

pub(super) use self::queue::Waiting;
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
    /// Records that were not looked at, and that they have not been told of yet.
    unread: u64,
    to: Giver,
}

impl Viewer {
    /// Tells what was left out, as far as there is room for that; the rest later.
    fn tell_left_out(&mut self, elapsed: Duration) {
        let skipped = self.pace.window(elapsed);
        if skipped > 0 && !self.to.give(Shown::Skipped(skipped)) {
            self.pace.skip(skipped);
        }
        let unread = Shown::Unread(self.eyes.sees_all().then_some(self.unread));
        if self.unread > 0 && self.to.give(unread) {
            self.unread = 0;
        }
    }
}

impl Tail {
    /// Of the logs that `view` shows.
    pub(super) fn new(view: View) -> Tail {
        Tail { view, watched: Arc::default() }
    }

    /// Shows what `wish` is about from now on, until the other end is dropped.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn watch(&self, wish: Wish) -> io::Result<Waiting> {
        let (to, waiting) = queue();
        let mut watched = self.lock();
        if !watched.is_read {
            let tail = self.clone();
            // Where it begins is settled before anybody is told that they watch.
            let logs = watched_logs(&self.view);
            let mut places: Vec<Option<Follow>> = logs.iter().map(|_| None).collect();
            for (place, (directory, end)) in places.iter_mut().zip(&logs) {
                follow(place, directory, *end);
            }
            thread::Builder::new().name("tail".to_owned()).spawn(move || tail.read(places))?;
            watched.is_read = true;
        }
        watched.viewers.push(Viewer { eyes: Eyes::new(wish), pace: Pace::default(), unread: 0, to });
        Ok(waiting)
    }

    fn read(&self, mut places: Vec<Option<Follow>>) {
        let started = Instant::now();
        loop {
            let logs = watched_logs(&self.view);
            for (log, (place, (directory, end))) in places.iter_mut().zip(&logs).enumerate() {
                if let Some((follow, end)) = follow(place, directory, *end) {
                    self.read_log(log, follow, directory, end);
                }
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
        watched.viewers.retain(|viewer| !viewer.to.is_left());
        watched.viewers.iter_mut().for_each(|viewer| viewer.tell_left_out(elapsed));
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
                self.lock().viewers.iter_mut().for_each(|viewer| viewer.unread += unread);
                return;
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
            if !viewer.to.give(shown.clone()) {
                viewer.pace.skip(1);
            }
        }
    }

    // Nothing in here panics half-way.
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where reading a log has come to, and where it ends. It begins at the end that its shard says first: what was durable
/// before is not what anybody waits for.
fn follow<'p>(place: &'p mut Option<Follow>, directory: &Path, end: Option<Seq>) -> Option<(&'p mut Follow, Seq)> {
    let end = end?;
    Some((place.get_or_insert_with(|| Follow::new(directory, end)), end))
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

/// How often the logs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a look at one log may take: what it leaves to others is more than it takes.
const LOOK_MAX: Duration = Duration::from_millis(60);

/// For tests: a count at once, and the next one after each pause.
#[cfg(test)]
pub(super) fn shown_for_ever(pause: Duration) -> Waiting {
    let (to, waiting) = queue();
    tokio::spawn(async move {
        while !to.is_left() {
            to.give(Shown::Skipped(1));
            tokio::time::sleep(pause).await;
        }
    });
    waiting
}

#[cfg(test)]
mod tests {
    use scaidrive_wal::{LogTime, WallTime};

    use super::*;
    use crate::control::access::Reach;

    #[test]
    fn a_log_whose_shard_has_said_nothing_yet_is_followed_from_the_end_that_it_says_first() {
        let (directory, at) = (Path::new("nowhere"), |seq| Some(Seq::from_raw(seq)));
        let mut place = None;
        let mut position =
            |end| follow(&mut place, directory, end).map(|(follow, end)| (follow.position().get(), end.get()));
        assert_eq!(position(None), None, "not from the oldest event on");
        assert_eq!(position(at(500)), Some((500, 500)));
        assert_eq!(position(at(510)), Some((500, 510)));
    }

    fn viewer(reach: Reach) -> (Viewer, Waiting) {
        let (to, waiting) = queue();
        let wish = Wish::read(&[], reach).unwrap();
        (Viewer { eyes: Eyes::new(wish), pace: Pace::default(), unread: 0, to }, waiting)
    }

    #[tokio::test]
    async fn what_is_left_out_is_told_as_soon_as_there_is_room_for_it() {
        let (mut viewer, mut waiting) = viewer(Reach::All);
        let line = "x".repeat(1 << 10);
        let event = || Shown::Event { id: None, line: line.clone() };
        let mut given = 0;
        while viewer.to.give(event()) {
            given += 1;
        }
        viewer.pace.skip(3);
        viewer.unread = 40;
        viewer.tell_left_out(Duration::from_secs(1));
        assert_eq!(viewer.unread, 40, "there is no room, and nothing is forgotten");
        for _ in 0..given {
            assert_eq!(waiting.next().await, Some(event()));
        }
        viewer.tell_left_out(Duration::from_secs(2));
        assert_eq!(waiting.next().await, Some(Shown::Skipped(3)));
        assert_eq!(waiting.next().await, Some(Shown::Unread(Some(40))));
    }

    #[tokio::test]
    async fn whoever_is_bound_to_tenants_is_not_told_how_much_others_do() {
        let (mut viewer, mut waiting) = viewer(Reach::Tenants(["a".to_owned()].into()));
        viewer.unread = 40;
        viewer.tell_left_out(Duration::ZERO);
        assert_eq!(waiting.next().await, Some(Shown::Unread(None)));
    }

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
