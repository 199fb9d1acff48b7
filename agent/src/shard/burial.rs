//! What a destination refused for good, on its way into that destination's store.

use std::rc::Rc;
use std::sync::{Arc, PoisonError};

use scaidrive_codecs::own::{DeadLettersFull, OwnEvent};

use super::{Place, Shard};
use crate::deadletter::{Kept, Key, Letter};
use crate::delivery::outlet::Condemned;
use crate::runtime::{TaskName, offload_value};
use crate::time::Millis;

impl Shard {
    /// Puts an event that a destination refused for good into its store; it is settled when it is there.
    pub fn bury(self: &Rc<Self>, place: &Rc<Place>, condemned: Condemned) {
        self.runtime.spawn(TaskName::Upkeep, Box::pin(bury(Rc::clone(self), Rc::clone(place), condemned)));
    }

    /// A destination's dead-letter store has no room: said once an hour.
    fn tell_full_store(&self, place: &Place) {
        let now = self.runtime.now();
        if place.next_full_store.get().is_some_and(|moment| now < moment) {
            return;
        }
        place.next_full_store.set(Some(now.plus(FULL_STORE_EVERY)));
        let store = place.dead_letters.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::warn!(destination = %place.destination.name, "the dead-letter store is full; refused events count as overflow");
        self.tell(OwnEvent::DeadLettersFull(DeadLettersFull {
            destination: place.destination.name.clone(),
            events: store.len() as u64,
            bytes: store.bytes(),
            limit_bytes: store.max_bytes(),
        }));
    }
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
    let is_stored = loop {
        let (store, letter) = (Arc::clone(&place.dead_letters), letter.clone());
        let put = move || store.lock().unwrap_or_else(PoisonError::into_inner).put(&[letter]);
        match offload_value(&shard.runtime, put).await {
            Ok(Ok(kept)) => break kept == Kept::All,
            Ok(Err(problem)) => tracing::error!(destination = %place.destination.name, "{problem}"),
            Err(panicked) => tracing::error!(destination = %place.destination.name, "{panicked}"),
        }
        shard.runtime.sleep(BURY_AGAIN).await;
    };
    if !is_stored {
        shard.tell_full_store(&place);
    }
    place.outlet.borrow_mut().dead_lettered(&item, &why, is_stored, &mut shard.tenants.borrow_mut());
    shard.touch_and_ring(&place);
}

/// A dead letter that the disk refused is tried again after this.
const BURY_AGAIN: Millis = Millis(5_000);
/// How often a full dead-letter store is announced.
const FULL_STORE_EVERY: Millis = Millis::from_secs(3_600);
