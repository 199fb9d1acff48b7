//! The dead letters as the admin API tells of them; `change.rs` has what an operator does to them, `gone.rs` those whose
//! destination is gone.

use std::path::Path;
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::config::{Config, Destination};
use crate::deadletter::{DeadLetters, Key, Letter, StoreError};
use crate::node::{Stores, identity};

pub mod change;
pub mod gone;

/// One store.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StoreLine {
    /// The destination's name.
    pub destination: String,
    /// Events in it.
    pub events: u64,
    /// Bytes it takes.
    pub bytes: u64,
    /// Bytes it may take; where the destination is gone, all of those that are may take so many together.
    pub max_bytes: u64,
    /// Since when the destination is gone, ms since 1970.
    #[serde(default)]
    pub gone_since_ms: Option<i64>,
}

/// A page of one store, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LetterPage {
    /// The letters, without their events.
    pub letters: Vec<LetterLine>,
    /// What to ask for next, if there is more.
    pub next_after: Option<u64>,
    /// Letters in the whole store.
    pub events: u64,
    /// The id of the newest one.
    pub newest: u64,
}

/// One letter of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LetterLine {
    /// The destination's name.
    pub destination: String,
    /// The stream, as the event's stamp names it.
    pub stream: String,
    /// The event's number in it.
    pub n: u64,
    /// When it was refused, ms since 1970.
    pub refused_at_ms: i64,
    /// Why.
    pub reason: String,
    /// How often it was sent.
    pub attempts: u32,
    /// Bytes of the event.
    pub bytes: u64,
    /// When an operator last put other bytes in its place, ms since 1970.
    #[serde(default)]
    pub edited_ms: Option<i64>,
}

/// One letter with everything.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LetterWhole {
    /// As in a list.
    #[serde(flatten)]
    pub line: LetterLine,
    /// What the destination answered.
    pub reply: String,
    /// The event: as received, or as an operator has edited it.
    #[schema(value_type = Value)]
    pub event: Box<RawValue>,
}

/// What names a letter's stream beside its epoch.
pub(crate) struct StreamPrefix<'a> {
    agent_id: String,
    destination: &'a Destination,
}

impl<'a> StreamPrefix<'a> {
    /// Of an agent that runs or ran under this id.
    pub(crate) fn new(agent_id: &str, destination: &'a Destination) -> StreamPrefix<'a> {
        StreamPrefix { agent_id: agent_id.to_owned(), destination }
    }

    /// A letter as in a list.
    pub(crate) fn line(&self, letter: &Letter) -> LetterLine {
        LetterLine {
            destination: self.destination.name.clone(),
            stream: self.stream(letter.shard, &letter.key),
            n: letter.key.n,
            refused_at_ms: letter.wall_ms,
            reason: letter.reason.clone(),
            attempts: letter.attempts,
            bytes: letter.raw.len() as u64,
            edited_ms: letter.edited_ms,
        }
    }

    /// The name of a letter's stream.
    pub(crate) fn stream(&self, shard: u16, key: &Key) -> String {
        let id = self.destination.id.to_string();
        format!("{}.{id:.8}.{shard}.{}", self.agent_id, epoch_text(key))
    }

    /// A page of the store.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) fn page(&self, store: &DeadLetters, after: u64, limit: usize) -> Result<LetterPage, StoreError> {
        let page = store.page(after, limit)?;
        let letters = page.letters.iter().map(|letter| self.line(letter)).collect();
        Ok(LetterPage { letters, next_after: page.next_after, events: store.len() as u64, newest: store.newest() })
    }

    /// The letter of event `n` of `stream`, which may be given by its last part alone.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) fn letter(&self, store: &DeadLetters, stream: &str, n: u64) -> Result<Option<Letter>, StoreError> {
        let epoch = change::epoch_of(stream);
        let found = store.keys().find(|(_, key)| key.n == n && epoch_text(key) == epoch);
        found.map_or(Ok(None), |(id, _)| store.letter(id))
    }

    /// The same with everything that is known of it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) fn whole(&self, store: &DeadLetters, stream: &str, n: u64) -> Result<Option<LetterWhole>, StoreError> {
        let Some(letter) = self.letter(store, stream, n)? else { return Ok(None) };
        let line = self.line(&letter);
        // What was stored was validated before; should it not be JSON all the same, its text is shown.
        let text = String::from_utf8_lossy(&letter.raw).into_owned();
        let event = RawValue::from_string(text.clone()).or_else(|_| serde_json::value::to_raw_value(&text));
        Ok(event.ok().map(|event| LetterWhole { line, reply: letter.reply, event }))
    }
}

/// Every store of the configured destinations.
pub(crate) fn stores(config: &Config, open: &Stores) -> Vec<StoreLine> {
    let line = |destination: &std::sync::Arc<Destination>| {
        let store = open.find(destination.id)?;
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        Some(store_line(destination, &store))
    };
    config.destinations.iter().filter_map(line).collect()
}

/// One store.
pub(crate) fn store_line(destination: &Destination, store: &DeadLetters) -> StoreLine {
    StoreLine {
        destination: destination.name.clone(),
        events: store.len() as u64,
        bytes: store.bytes(),
        max_bytes: store.max_bytes(),
        gone_since_ms: None,
    }
}

/// The id of the agent that `state_dir` belongs to; a question mark where it can't be told.
pub(crate) fn agent_id_of(state_dir: &Path) -> String {
    identity::known(state_dir).unwrap_or_else(|| "?".to_owned())
}

/// As in a stream's name: the first half of the epoch.
pub(super) fn epoch_text(key: &Key) -> String {
    format!("{:016x}", u128::from_be_bytes(key.epoch) >> 64)
}
