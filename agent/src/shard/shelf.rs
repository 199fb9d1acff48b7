//! The shard as somewhere to put events, for connections on its own thread.

use std::rc::Rc;

use scaidrive_codecs::Index;

use super::Shard;
use super::door::{Done, NoRoom, Shelf};
use crate::runtime::Pending;

/// The shard as somewhere to put events.
pub(super) struct ShardShelf(pub(super) Rc<Shard>);

impl Shelf for ShardShelf {
    fn append(&self, raw: &[u8], index: &Index, tenant_hash: u64) -> Result<(), NoRoom> {
        let shard = &self.0;
        if shard.is_stopping() {
            return Err(NoRoom);
        }
        let moment = shard.group_moment.get().unwrap_or_else(|| shard.moment());
        let mut log = shard.log.borrow_mut();
        let appended = shard.intake.borrow_mut().append(&mut log, moment, raw, index, tenant_hash, 0);
        // Without room the caller comes back later, at another time.
        shard.group_moment.set(appended.is_ok().then_some(moment));
        appended
    }

    fn end_group(&self, done: Done) {
        self.0.group_moment.set(None);
        let log = self.0.log.borrow();
        self.0.intake.borrow_mut().end_group(&log, done);
        if log.ack_end() >= log.next_seq() {
            // Acknowledged without a sync, so nothing else would ring.
            self.0.ring();
        }
    }

    fn room(&self) -> Pending<()> {
        // The log's keeper rings when it has made room, and a turn a second looks in any case.
        let room = Rc::clone(&self.0.room);
        let seen = room.seen();
        Box::pin(async move { room.changed(seen).await })
    }

    fn why_no_room(&self) -> Option<String> {
        self.0.intake.borrow().why_no_room().map(str::to_owned)
    }
}
