//! Stand-ins for shards, for tests of what comes in.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use scaidrive_codecs::Index;

use crate::runtime::{Pending, Runtime};
use crate::shard::door::{Batch, Done, Doors, Inbox, Job, LocalDoor, NoRoom, Outcome, ShardId, Shelf, WhenFull};

/// A log in memory that syncs when the test says so, or at once.
#[derive(Clone, Default)]
pub(crate) struct TestShelf {
    inside: Rc<RefCell<Inside>>,
}

#[derive(Default)]
struct Inside {
    events: Vec<Vec<u8>>,
    groups: VecDeque<Done>,
    since_end: usize,
    /// Events that still fit; no limit when `None`.
    room: Option<usize>,
    waiting: Vec<Waker>,
    is_silent: bool,
    syncs_at_once: bool,
}

impl TestShelf {
    /// A shelf that syncs each group at once.
    pub(crate) fn synced() -> TestShelf {
        let shelf = TestShelf::default();
        shelf.inside.borrow_mut().syncs_at_once = true;
        shelf
    }

    /// From now on so many events fit.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        let mut inside = self.inside.borrow_mut();
        inside.room = room;
        inside.waiting.drain(..).for_each(Waker::wake);
    }

    /// From now on it does not say why there is no room.
    pub(crate) fn be_silent(&self) {
        self.inside.borrow_mut().is_silent = true;
    }

    /// All events appended, in order.
    pub(crate) fn events(&self) -> Vec<Vec<u8>> {
        self.inside.borrow().events.clone()
    }

    /// How many groups wait for their sync.
    pub(crate) fn open_groups(&self) -> usize {
        self.inside.borrow().groups.len()
    }

    /// The oldest open group ends so.
    pub(crate) fn end_oldest(&self, outcome: Outcome) {
        let done = self.inside.borrow_mut().groups.pop_front();
        done.expect("the test knows that a group is open")(outcome);
    }

    /// All open groups become durable.
    pub(crate) fn sync(&self) {
        while self.open_groups() > 0 {
            self.end_oldest(Outcome::Durable);
        }
    }

    /// The door to this shelf, as shard `here` of `doors`.
    pub(crate) fn door(&self, doors: &Doors, here: u16, runtime: &Rc<dyn Runtime>) -> LocalDoor {
        LocalDoor::new(doors.clone(), ShardId(here), runtime.clone(), Rc::new(self.clone()))
    }
}

impl Shelf for TestShelf {
    fn append(&self, raw: &[u8], _: &Index, _: u64) -> Result<(), NoRoom> {
        let mut inside = self.inside.borrow_mut();
        if let Some(room) = &mut inside.room {
            *room = room.checked_sub(1).ok_or(NoRoom)?;
        }
        inside.events.push(raw.to_vec());
        inside.since_end += 1;
        Ok(())
    }

    fn end_group(&self, done: Done) {
        let mut inside = self.inside.borrow_mut();
        assert!(inside.since_end > 0, "no group is empty");
        inside.since_end = 0;
        if inside.syncs_at_once {
            drop(inside);
            done(Outcome::Durable);
        } else {
            inside.groups.push_back(done);
        }
    }

    fn room(&self) -> Pending<()> {
        let inside = self.inside.clone();
        Box::pin(poll_fn(move |cx| {
            let mut inside = inside.borrow_mut();
            if inside.room != Some(0) {
                return Poll::Ready(());
            }
            inside.waiting.push(cx.waker().clone());
            Poll::Pending
        }))
    }

    fn why_no_room(&self) -> Option<String> {
        let inside = self.inside.borrow();
        (inside.room == Some(0) && !inside.is_silent).then(|| "the test's disk is full".to_owned())
    }
}

/// An inbox that keeps what it is given until somebody takes it.
#[derive(Default)]
pub(crate) struct TestInbox {
    mail: Mutex<(VecDeque<Batch>, VecDeque<Job>, Option<Waker>)>,
    /// What to say to batches that may be refused, when there is no room.
    pub(crate) refusing: Mutex<Option<Outcome>>,
    /// All events taken, in order.
    pub(crate) events: Mutex<Vec<Vec<u8>>>,
}

impl TestInbox {
    /// That many inboxes, and the doors to them.
    pub(crate) fn doors(shards: usize) -> (Vec<Arc<TestInbox>>, Doors) {
        let inboxes: Vec<Arc<TestInbox>> = (0..shards).map(|_| Arc::default()).collect();
        let doors = Doors::new(inboxes.iter().map(|inbox| inbox.clone() as Arc<dyn Inbox>).collect());
        (inboxes, doors)
    }

    /// The next batch, if one waits.
    pub(crate) fn next_batch(&self) -> Option<Batch> {
        self.mail.lock().unwrap().0.pop_front()
    }

    /// Runs as the shard's main task: takes batches and jobs, for ever. Events count as durable at once.
    pub(crate) async fn run(self: Arc<Self>, door: LocalDoor) {
        poll_fn(|cx| {
            let (batches, jobs) = {
                let mut mail = self.mail.lock().unwrap();
                mail.2 = Some(cx.waker().clone());
                (std::mem::take(&mut mail.0), std::mem::take(&mut mail.1))
            };
            jobs.into_iter().for_each(|job| job(&door));
            batches.into_iter().for_each(|batch| self.settle(batch));
            Poll::<()>::Pending
        })
        .await;
    }

    fn settle(&self, batch: Batch) {
        let outcome = match (&*self.refusing.lock().unwrap(), batch.when_full) {
            (Some(outcome), WhenFull::Refuse) => outcome.clone(),
            _ => Outcome::Durable,
        };
        if outcome == Outcome::Durable {
            self.events.lock().unwrap().extend(batch.events.iter().map(|(raw, ..)| raw.to_vec()));
        }
        (batch.done)(outcome);
    }

    fn ring(&self) {
        let waker = self.mail.lock().unwrap().2.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Inbox for TestInbox {
    fn deliver(&self, batch: Batch) {
        self.mail.lock().unwrap().0.push_back(batch);
        self.ring();
    }

    fn hand_over(&self, job: Job) {
        self.mail.lock().unwrap().1.push_back(job);
        self.ring();
    }
}
