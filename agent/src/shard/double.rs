//! Stand-ins for shards, for tests of what comes in.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use scaidrive_codecs::Index;

use super::door::{Batch, Done, Doors, Inbox, Job, LocalDoor, NoRoom, Outcome, ShardId, Shelf, WhenFull};
use crate::runtime::{Pending, Runtime};

/// A log in memory that syncs when the test says so.
#[derive(Default)]
pub(crate) struct TestShelf {
    inside: RefCell<Inside>,
}

#[derive(Default)]
struct Inside {
    events: Vec<Vec<u8>>,
    groups: VecDeque<(usize, Done)>,
    /// Events that still fit; no limit when `None`.
    room: Option<usize>,
    syncs_itself: bool,
    since_end: usize,
    waiting: Vec<Waker>,
}

impl TestShelf {
    /// A shelf that syncs each group at once.
    pub(crate) fn synced() -> Rc<TestShelf> {
        let shelf = TestShelf::default();
        shelf.inside.borrow_mut().syncs_itself = true;
        Rc::new(shelf)
    }

    /// From now on so many events fit.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        let mut inside = self.inside.borrow_mut();
        inside.room = room;
        inside.waiting.drain(..).for_each(Waker::wake);
    }

    /// All events appended.
    pub(crate) fn events(&self) -> Vec<Vec<u8>> {
        self.inside.borrow().events.clone()
    }

    /// How many groups wait for their sync.
    pub(crate) fn open_groups(&self) -> usize {
        self.inside.borrow().groups.len()
    }

    /// The oldest open group ends so.
    pub(crate) fn end_oldest(&self, outcome: Outcome) {
        let group = self.inside.borrow_mut().groups.pop_front();
        let (_, done) = group.expect("the test knows that a group is open");
        done(outcome);
    }

    /// All open groups become durable.
    pub(crate) fn sync(&self) {
        while self.open_groups() > 0 {
            self.end_oldest(Outcome::Durable);
        }
    }

    /// The door to this shelf, shard `here` of `doors`.
    pub(crate) fn door(self: &Rc<Self>, doors: &Doors, here: u16, runtime: &Rc<dyn Runtime>) -> LocalDoor {
        LocalDoor::new(doors.clone(), ShardId(here), runtime.clone(), self.clone())
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
        let count = std::mem::take(&mut inside.since_end);
        assert!(count > 0, "no group is empty");
        if inside.syncs_itself {
            drop(inside);
            done(Outcome::Durable);
        } else {
            inside.groups.push_back((count, done));
        }
    }

    fn room(&self) -> Pending<()> {
        // The shelf outlives what waits for it in every test; a weak link would only hide a mistake.
        let shelf: *const TestShelf = self;
        let _ = shelf;
        unreachable!("replaced below")
    }

    fn why_no_room(&self) -> Option<String> {
        (self.inside.borrow().room == Some(0)).then(|| "the test's disk is full".to_owned())
    }
}

/// An inbox that keeps what is delivered until the test looks.
#[derive(Default)]
pub(crate) struct TestInbox {
    inside: Mutex<InboxInside>,
}
