//! What a destination refused for good, on its way into that destination's store.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use scaidrive_codecs::own::{DeadLettersFull, OwnEvent};

use super::{Place, Shard};
use crate::deadletter::{DeadLetters, Kept, Key, Letter, StoreError};
use crate::delivery::outlet::Condemned;
use crate::runtime::{TaskName, offload_value};
use crate::time::Millis;

impl Shard {
    /// Puts an event that a destination refused for good into its store; it is settled when it is there.
    pub fn bury(self: &Rc<Self>, place: &Rc<Place>, condemned: Condemned) {
        self.runtime.spawn(TaskName::Upkeep, Box::pin(bury(Rc::clone(self), Rc::clone(place), condemned)));
    }

    /// A destination's dead-letter store has no room: said once an hour. It was looked at by whoever found it so: others
    /// may hold it for as long as the disk takes, and nothing of that is waited for here.
    fn tell_full_store(&self, place: &Place, full: Full) {
        let now = self.runtime.now();
        if place.next_full_store.get().is_some_and(|moment| now < moment) {
            return;
        }
        place.next_full_store.set(Some(now.plus(FULL_STORE_EVERY)));
        tracing::warn!(destination = %place.destination.name, "the dead-letter store is full; refused events count as overflow");
        let Full { events, bytes, limit_bytes } = full;
        let destination = place.destination.name.clone();
        self.tell(OwnEvent::DeadLettersFull(DeadLettersFull { destination, events, bytes, limit_bytes }));
    }
}

/// A store that has no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Full {
    events: u64,
    bytes: u64,
    limit_bytes: u64,
}

/// Puts a letter into a store; what comes back says that there is no room for it. Blocks on the disk.
fn put(store: &Mutex<DeadLetters>, letter: Letter) -> Result<Option<Full>, StoreError> {
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let is_kept = store.put(&[letter])? == Kept::All;
    let full = || Full { events: store.len() as u64, bytes: store.bytes(), limit_bytes: store.max_bytes() };
    Ok((!is_kept).then(full))
}

/// Keeps at it until the store has the event or is full: a disk that refuses is no reason to lose it.
async fn bury(shard: Rc<Shard>, place: Rc<Place>, condemned: Condemned) {
    let Condemned { item, why } = condemned;
    let epoch = place.outlet.borrow().stream().epoch();
    let letter = Letter {
        id: 0,
        key: Key { epoch, n: item.n },
        shard: shard.id.0,
        raw: item.load.payload().to_vec(),
        reply: why.clone(),
        reason: why.clone(),
        wall_ms: shard.runtime.wall_ms(),
        attempts: 1,
        edited_ms: None,
    };
    let full = loop {
        let (store, letter) = (Arc::clone(&place.dead_letters), letter.clone());
        match offload_value(&shard.runtime, move || put(&store, letter)).await {
            Ok(Ok(full)) => break full,
            Ok(Err(problem)) => tracing::error!(destination = %place.destination.name, "{problem}"),
            Err(panicked) => tracing::error!(destination = %place.destination.name, "{panicked}"),
        }
        shard.runtime.sleep(BURY_AGAIN).await;
    };
    if let Some(full) = full {
        shard.tell_full_store(&place, full);
    }
    place.outlet.borrow_mut().dead_lettered(&item, &why, full.is_none(), &mut shard.tenants.borrow_mut());
    shard.touch_and_ring(&place);
}

/// A dead letter that the disk refused is tried again after this.
const BURY_AGAIN: Millis = Millis(5_000);
/// How often a full dead-letter store is announced.
const FULL_STORE_EVERY: Millis = Millis::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_puts_a_letter_into_a_full_store_brings_what_is_told_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = DeadLetters::open(directory.path(), &[1; 16], 300, 7).unwrap();
        let store = Mutex::new(store);
        let letter = |n| Letter {
            id: 0,
            key: Key { epoch: [1; 16], n },
            shard: 0,
            raw: vec![b'x'; 150],
            reply: String::new(),
            reason: String::new(),
            wall_ms: 0,
            attempts: 1,
            edited_ms: None,
        };
        assert_eq!(put(&store, letter(1)).unwrap(), None);
        let bytes = store.lock().unwrap().bytes();
        assert_eq!(put(&store, letter(2)).unwrap(), Some(Full { events: 1, bytes, limit_bytes: 300 }));
    }
}
