//! How events get into a shard.
//!
//! There are two ways. On the shard's own thread [`LocalDoor`] appends straight from the caller's buffer. From any other
//! thread a [`Batch`] is delivered and appended in one go by its owner. Either way a group's `done` is called exactly once,
//! when the group's fate is known; a dropped `done` counts as not kept.

use std::rc::Rc;
use std::sync::Arc;

use scaidrive_codecs::Index;

use crate::runtime::{Pending, Runtime};

/// Number of a shard, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The number as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The way into every shard, for any thread.
#[derive(Clone)]
pub struct Doors {
    inboxes: Arc<[Arc<dyn Inbox>]>,
}

/// What one shard takes from other threads.
pub trait Inbox: Send + Sync {
    /// Takes events in.
    fn deliver(&self, batch: Batch);
    /// Runs `job` on the shard's thread.
    fn hand_over(&self, job: Job);
}

/// Work for a shard's own thread.
pub type Job = Box<dyn FnOnce(&LocalDoor) + Send>;

/// Called once when a group's fate is known, on any thread; must not block.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

/// What became of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every event of it is durable.
    Durable,
    /// Not kept; the producer still owns every event of the group.
    Failed {
        /// In plain words.
        why: String,
    },
    /// There was no room; nothing of the group was taken.
    Refused {
        /// In plain words.
        why: String,
        /// When to try again, in seconds.
        retry_after_s: u32,
    },
}

/// What to do with a batch for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Hold it, and what comes after it, until there is room: the producer is held back by its window.
    Wait,
    /// Say [`Outcome::Refused`] at once: the producer is told to come back.
    Refuse,
}

/// Events for one shard that become durable together.
pub struct Batch {
    /// The events, in order.
    pub events: Packed,
    /// What to do when there is no room.
    pub when_full: WhenFull,
    /// Whom to tell.
    pub done: Done,
}

/// Events on their way to another thread: one run of bytes, and where each event lies in it.
#[derive(Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    end: usize,
    index: Index,
    tenant_hash: u64,
}

/// The log has no room; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// The way into the shard on whose thread the caller runs.
#[derive(Clone)]
pub struct LocalDoor {
    doors: Doors,
    here: ShardId,
    runtime: Rc<dyn Runtime>,
    shelf: Rc<dyn Shelf>,
}

/// Where a shard puts events.
pub trait Shelf {
    /// See [`LocalDoor::append`].
    fn append(&self, raw: &[u8], index: &Index, tenant_hash: u64) -> Result<(), NoRoom>;
    /// See [`LocalDoor::end_group`].
    fn end_group(&self, done: Done);
    /// See [`LocalDoor::room`].
    fn room(&self) -> Pending<()>;
    /// See [`LocalDoor::why_no_room`].
    fn why_no_room(&self) -> Option<String>;
}

impl Doors {
    /// The way into these shards, in order.
    pub fn new(inboxes: Vec<Arc<dyn Inbox>>) -> Doors {
        Doors { inboxes: inboxes.into() }
    }

    /// The shard that keeps the tenant's events.
    pub fn owner(&self, tenant_hash: u64) -> ShardId {
        ShardId(((u128::from(tenant_hash) * self.inboxes.len() as u128) >> 64) as u16)
    }

    /// Gives events to a shard; they are appended in order.
    pub fn deliver(&self, to: ShardId, batch: Batch) {
        self.inboxes[to.index()].deliver(batch);
    }

    /// Runs `job` on a shard's thread. A shard that is gone drops it.
    pub fn hand_over(&self, to: ShardId, job: Job) {
        self.inboxes[to.index()].hand_over(job);
    }

    /// How many shards there are; at least one.
    pub fn shards(&self) -> usize {
        self.inboxes.len()
    }
}

impl Packed {
    /// Adds a copy of an event.
    pub fn push(&mut self, raw: &[u8], index: &Index, tenant_hash: u64) {
        self.bytes.extend_from_slice(raw);
        self.items.push(Item { end: self.bytes.len(), index: index.clone(), tenant_hash });
    }

    /// How many events.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many bytes of events.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The events in order: bytes, index, hash of the tenant.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Index, u64)> {
        let starts = std::iter::once(0).chain(self.items.iter().map(|item| item.end));
        starts.zip(&self.items).map(|(start, item)| (&self.bytes[start..item.end], &item.index, item.tenant_hash))
    }
}

impl LocalDoor {
    /// The way into shard `here`, for its own thread.
    pub fn new(doors: Doors, here: ShardId, runtime: Rc<dyn Runtime>, shelf: Rc<dyn Shelf>) -> LocalDoor {
        LocalDoor { doors, here, runtime, shelf }
    }

    /// The way into all shards.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// The shard this door leads to.
    pub fn here(&self) -> ShardId {
        self.here
    }

    /// What the shard runs on.
    pub fn runtime(&self) -> &Rc<dyn Runtime> {
        &self.runtime
    }

    /// Appends one event, copied from `raw` into the log.
    ///
    /// Between the first append of a group and its [`LocalDoor::end_group`] the caller must not wait for anything:
    /// the group is everything appended on this thread since the last end.
    ///
    /// # Errors
    /// [`NoRoom`]: nothing was taken; end the group, wait for [`LocalDoor::room`] and try again.
    pub fn append(&self, raw: &[u8], index: &Index, tenant_hash: u64) -> Result<(), NoRoom> {
        self.shelf.append(raw, index, tenant_hash)
    }

    /// Ends the group of all events appended since the last end; `done` hears what became of it.
    pub fn end_group(&self, done: Done) {
        self.shelf.end_group(done);
    }

    /// Resolves when [`LocalDoor::append`] may succeed again.
    pub fn room(&self) -> Pending<()> {
        self.shelf.room()
    }

    /// Why there is no room, in plain words; `None` when there is.
    pub fn why_no_room(&self) -> Option<String> {
        self.shelf.why_no_room()
    }
}
