//! Who held a shard's loop, and for how long.
//!
//! A shard's tasks share one thread, so while one of them is polled all others wait. Every poll is timed by the clock's
//! reading at its end alone: it began where the one before it ended, or where the reactor gave the thread back to the
//! list of tasks. So a poll costs one reading, and a run of the list one more.
//!
//! Always true: only a poll of at least [`STALL_MIN`] is counted, so a loop that is idle or quick has nothing to report;
//! time is the wall's, so a thread that the system did not let run counts as held too; virtual time has no stalls.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

/// What a task of a shard works at: the few names by which stalls are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskName {
    /// The shard's turns: what other threads left, passes over the log, settling, retention.
    Turn,
    /// A producer's connection: reading, indexing, appending, acknowledging.
    Ingest,
    /// A carrier: encoding, compressing, encrypting, sending, reading replies.
    Delivery,
    /// What is rare: dead letters, changes of plan, the ends of streams.
    Upkeep,
}

impl TaskName {
    /// Every name, in the order of [`Stalls::each`].
    pub const ALL: [TaskName; 4] = [TaskName::Turn, TaskName::Ingest, TaskName::Delivery, TaskName::Upkeep];

    /// The name for people and labels.
    pub fn text(self) -> &'static str {
        match self {
            TaskName::Turn => "turn",
            TaskName::Ingest => "ingest",
            TaskName::Delivery => "delivery",
            TaskName::Upkeep => "upkeep",
        }
    }
}

/// The stalls of one shard since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    by_name: [Held; TaskName::ALL.len()],
}

/// The stalls by tasks of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many took up to each of [`STALL_BOUNDS`] and longer than the one before it; the last: longer than all.
    pub counts: [u64; STALL_BOUNDS.len() + 1],
    /// How long they took together.
    pub sum: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Stalls {
    /// What the tasks of each name did.
    pub fn each(&self) -> impl Iterator<Item = (TaskName, &Held)> {
        TaskName::ALL.into_iter().zip(&self.by_name)
    }

    /// The longest of all, and whose it was.
    pub fn longest(&self) -> Option<(TaskName, Duration)> {
        let longest = self.each().map(|(name, held)| (name, held.longest)).max_by_key(|(_, longest)| *longest);
        longest.filter(|(_, longest)| !longest.is_zero())
    }

    /// Adds one that took `lasting`.
    pub(crate) fn add(&mut self, name: TaskName, lasting: Duration) {
        let held = &mut self.by_name[name as usize];
        held.counts[STALL_BOUNDS.partition_point(|bound| *bound < lasting)] += 1;
        held.sum += lasting;
        held.longest = held.longest.max(lasting);
    }
}

impl Held {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many took no longer than each of [`STALL_BOUNDS`], then all, as a scraper wants them.
    pub fn cumulative(&self) -> [u64; STALL_BOUNDS.len() + 1] {
        let mut sum = 0;
        self.counts.map(|count| {
            sum += count;
            sum
        })
    }
}

/// Times the polls of one shard's tasks. Clones are the same watch.
#[derive(Clone)]
pub(super) struct LoopWatch(Rc<Inside>);

struct Inside {
    /// When the poll under way began.
    began: Cell<Instant>,
    stalls: Cell<Stalls>,
    voice: Cell<Voice>,
}

impl LoopWatch {
    pub(super) fn new() -> LoopWatch {
        let began = Cell::new(Instant::now());
        LoopWatch(Rc::new(Inside { began, stalls: Cell::default(), voice: Cell::default() }))
    }

    /// What was seen so far.
    pub(super) fn stalls(&self) -> Stalls {
        self.0.stalls.get()
    }

    /// Runs `list`, the future that polls the tasks. What passes between two polls of it is the reactor's work, or sleep.
    pub(super) async fn over<T>(&self, list: impl Future<Output = T>) -> T {
        let mut list = pin!(list);
        poll_fn(|cx| {
            self.0.began.set(Instant::now());
            list.as_mut().poll(cx)
        })
        .await
    }

    /// Runs `task` on the list and times each poll of it.
    pub(super) async fn timed<T>(&self, name: TaskName, task: impl Future<Output = T>) -> T {
        let mut task = pin!(task);
        poll_fn(|cx| {
            let outcome = task.as_mut().poll(cx);
            self.poll_ended(name);
            outcome
        })
        .await
    }

    fn poll_ended(&self, name: TaskName) {
        let now = Instant::now();
        let lasting = now.saturating_duration_since(self.0.began.replace(now));
        if lasting >= STALL_MIN {
            self.note(name, lasting, now);
        }
    }

    #[cold]
    fn note(&self, name: TaskName, lasting: Duration, now: Instant) {
        let mut stalls = self.0.stalls.get();
        stalls.add(name, lasting);
        self.0.stalls.set(stalls);
        let mut voice = self.0.voice.get();
        let told = (lasting >= STALL_TOLD).then(|| voice.raise(now)).flatten();
        self.0.voice.set(voice);
        if let Some(untold) = told {
            let (here, ms) = (thread::current(), lasting.as_millis() as u64);
            let (thread, task) = (here.name().unwrap_or_default(), name.text());
            tracing::warn!(thread, task, ms, untold, "a task held its shard's loop, and all others waited");
        }
    }
}

/// Speaks once in [`TOLD_EVERY`].
#[derive(Clone, Copy, Default)]
struct Voice {
    next: Option<Instant>,
    untold: u64,
}

impl Voice {
    /// How many could not be told since the last word, if this one may be.
    fn raise(&mut self, now: Instant) -> Option<u64> {
        if self.next.is_some_and(|next| now < next) {
            self.untold += 1;
            return None;
        }
        self.next = Some(now + TOLD_EVERY);
        Some(mem::take(&mut self.untold))
    }
}

/// A poll that took less is none: it is what a turn with much to do may take.
const STALL_MIN: Duration = Duration::from_micros(500);
/// What stalls are told apart by: the promised most, a disk's sync, what people notice, what is logged, what is broken.
pub const STALL_BOUNDS: [Duration; 5] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    STALL_TOLD,
    Duration::from_secs(1),
];
/// A stall this long is logged.
pub const STALL_TOLD: Duration = Duration::from_millis(250);
/// How often a shard logs one; those between are counted in the next word.
const TOLD_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_under_its_tasks_name_and_in_the_first_bound_that_holds_it() {
        let mut stalls = Stalls::default();
        assert_eq!(stalls.longest(), None);
        for ms in [1, 2, 3, 250, 251, 5_000] {
            stalls.add(TaskName::Delivery, Duration::from_millis(ms));
        }
        stalls.add(TaskName::Turn, Duration::from_secs(3));
        let of = |wanted| *stalls.each().find(|(name, _)| *name == wanted).unwrap().1;
        let delivery = of(TaskName::Delivery);
        assert_eq!(delivery.counts, [2, 1, 0, 1, 1, 1]);
        assert_eq!(delivery.cumulative(), [2, 3, 3, 4, 5, 6]);
        assert_eq!(delivery.sum, Duration::from_millis(5_507));
        assert_eq!(of(TaskName::Turn).counts, [0, 0, 0, 0, 0, 1]);
        assert_eq!(of(TaskName::Ingest), Held::default());
        assert_eq!(stalls.longest(), Some((TaskName::Delivery, Duration::from_secs(5))));
    }

    #[test]
    fn stalls_are_told_once_a_minute_and_those_between_are_counted() {
        let (start, mut voice) = (Instant::now(), Voice::default());
        let told: Vec<Option<u64>> =
            [0, 1, 59, 60, 61, 200].map(|s| voice.raise(start + Duration::from_secs(s))).into();
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
