//! Dead letters on a shard that are sent once more: read from the store in pages, and dropped there when they were taken.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, PoisonError};

use super::{Place, Shard};
use crate::config::DestinationId;
use crate::deadletter::{Key, Letter, Tried};
use crate::delivery::outlet::Sending;
use crate::runtime::{TaskName, offload_value};
use crate::stream::name::StreamName;
use crate::time::Millis;

impl Shard {
    /// Sends a destination these dead letters again, each under its own number. Those that wait for it already, or are under
    /// way, go once.
    pub(super) fn resend(self: &Rc<Self>, destination: DestinationId, mut letters: Vec<Key>) {
        letters.retain(|key| self.resending.borrow_mut().insert((destination, *key)));
        let shard = Rc::clone(self);
        self.runtime.spawn(
            TaskName::Upkeep,
            Box::pin(async move {
                let mut letters = letters.into();
                resend(&shard, destination, &mut letters).await;
                shard.may_be_wished_again(destination, letters);
            }),
        );
    }

    fn may_be_wished_again(&self, destination: DestinationId, letters: impl IntoIterator<Item = Key>) {
        let mut resending = self.resending.borrow_mut();
        for key in letters {
            resending.remove(&(destination, key));
        }
    }

    /// The name of the stream that a letter's number belongs to.
    fn stream_of(&self, place: &Place, letter: &Letter) -> StreamName {
        let prefix = StreamName::prefix(&self.identity.agent_id, place.destination.id, letter.shard);
        StreamName::new(self.identity.node.as_str().into(), prefix, letter.key.epoch)
    }
}

/// Takes from `letters` what has been tried, or is not in the store any more.
async fn resend(shard: &Rc<Shard>, destination: DestinationId, letters: &mut VecDeque<Key>) {
    while !letters.is_empty() && !shard.is_stopping() {
        // Other settings bring another place; what its predecessor had not tried yet goes there.
        let Some(place) = shard.live(destination) else { return };
        let keys: Vec<Key> = letters.drain(..letters.len().min(PAGE)).collect();
        let (page, later) = read(shard, &place, keys.clone()).await;
        later.into_iter().rev().for_each(|key| letters.push_front(key));
        let sending = |letter: Letter| Sending::new(shard.stream_of(&place, &letter), letter);
        let sendings: Vec<Rc<Sending>> = page.into_iter().map(sending).collect();
        place.outlet.borrow_mut().send_letters(&sendings);
        shard.touch_and_ring(&place);
        while sendings.iter().any(|sending| sending.fate().is_none()) && !place.is_closed.get() && !shard.is_stopping()
        {
            shard.runtime.sleep(LOOK_EVERY).await;
        }
        let mut tried = Vec::new();
        for sending in sendings.iter().rev() {
            match sending.fate() {
                Some(fate) => {
                    let Letter { key, edited_ms, .. } = sending.letter;
                    tried.push(Tried { key, edited_ms, fate });
                }
                None => letters.push_front(sending.letter.key),
            }
        }
        keep(shard, &place, tried).await;
        let again: HashSet<Key> = letters.iter().take(keys.len()).copied().collect();
        shard.may_be_wished_again(destination, keys.into_iter().filter(|key| !again.contains(key)));
    }
}

/// The first letters with these keys, as far as the store still has them and can read them, and the keys of those that
/// would be too much at once.
async fn read(shard: &Rc<Shard>, place: &Rc<Place>, keys: Vec<Key>) -> (Vec<Letter>, Vec<Key>) {
    let (store, name) = (Arc::clone(&place.dead_letters), place.destination.name.clone());
    let scope = place.destination.scope.clone();
    let find = move || {
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut letters, mut bytes, mut outside, mut keys) = (Vec::new(), 0, 0_u64, keys.into_iter());
        while bytes < PAGE_BYTES
            && let Some(key) = keys.next()
        {
            match store.find(&key) {
                // The destination may have been narrowed since, or be another one of the same id.
                Ok(Some(letter)) if letter.tenant().is_none_or(|tenant| !scope.includes(&tenant)) => outside += 1,
                Ok(Some(letter)) => {
                    bytes += letter.raw.len();
                    letters.push(letter);
                }
                Ok(None) => {}
                Err(problem) => tracing::error!(destination = %name, "a dead letter can't be sent again: {problem}"),
            }
        }
        if outside > 0 {
            tracing::warn!(destination = %name, "dead letters of tenants outside its scope stay where they are: {outside}");
        }
        (letters, keys.collect())
    };
    offload_value(&shard.runtime, find).await.unwrap_or_default()
}

/// What was taken is dropped from the store; what was refused again stays, with the newest reply.
async fn keep(shard: &Rc<Shard>, place: &Rc<Place>, tried: Vec<Tried>) {
    let (store, name) = (Arc::clone(&place.dead_letters), place.destination.name.clone());
    let wall_ms = shard.runtime.wall_ms();
    let settle = move || {
        let settled = store.lock().unwrap_or_else(PoisonError::into_inner).tried(&tried, wall_ms);
        if let Err(problem) = settled {
            // They stay as they were: at worst they are sent once more, under the same numbers.
            tracing::error!(destination = %name, "what became of dead letters can't be kept: {problem}");
        }
    };
    let _ = offload_value(&shard.runtime, settle).await;
}

/// Letters of a page, and about how many bytes of events: what is held in memory at once, and what the store is rewritten for.
const PAGE: usize = 512;
const PAGE_BYTES: usize = 8 << 20;
/// How often is looked whether a page is through.
const LOOK_EVERY: Millis = Millis(20);
