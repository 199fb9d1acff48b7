//! What the disk shows of a change that has happened.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{DestinationId, managed};
use crate::control::access::kept_tokens;
use crate::control::letters::epoch_text;
use crate::deadletter::{DeadLetters, Key, Letter};
use crate::node::{DEAD_LETTERS, Pause, Pauses};

/// See the module. By its name a member of the note; never one of those that the change has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::control) enum Trace {
    /// Files of the API's destinations, by what they are named after, each of which is a change of its own; `None` for one
    /// that goes.
    Files(BTreeMap<String, Option<String>>),
    /// How a destination rests.
    Rest {
        /// Its id, as it is kept.
        destination: String,
        /// `None` where it does not.
        pause: Option<Pause>,
    },
    /// A token.
    Token {
        name: String,
        /// When it was made, ms since 1970: another one may be called the same.
        created_ms: i64,
        /// Whether it is there.
        is_there: bool,
    },
    /// A dead letter that was edited.
    Edited {
        letter: Place,
        /// When, ms since 1970.
        edited_ms: i64,
    },
    /// A dead letter that is gone. Those that went with it went at once.
    Dropped(Place),
}

/// Where a dead letter lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::control) struct Place {
    destination: String,
    epoch: String,
    n: u64,
}

/// How much of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Whole,
    /// What was done to these.
    Part(Vec<String>),
    Nothing,
    /// Nobody can read it.
    Unclear,
}

impl Trace {
    pub(in crate::control) fn rest(destination: DestinationId, pause: Option<&Pause>) -> Trace {
        Trace::Rest { destination: destination.to_string(), pause: pause.cloned() }
    }

    /// What the disk shows below `state_dir`. Blocks on it.
    pub(super) fn shown(&self, state_dir: &Path) -> Shown {
        match self {
            Trace::Files(files) => shown_of_files(files, state_dir),
            Trace::Rest { destination, pause } => {
                let (Some(id), Some(kept)) = (id(destination), Pauses::kept(state_dir)) else { return Shown::Unclear };
                (kept.get(&id) == pause.as_ref()).into()
            }
            Trace::Token { name, created_ms, is_there } => {
                let has =
                    |tokens: Vec<(String, i64)>| tokens.iter().any(|(known, made)| (known, made) == (name, created_ms));
                kept_tokens(state_dir).map_or(Shown::Unclear, |tokens| (has(tokens) == *is_there).into())
            }
            Trace::Edited { letter, edited_ms } => letter
                .found(state_dir)
                .map_or(Shown::Unclear, |found| found.is_some_and(|found| found.edited_ms == Some(*edited_ms)).into()),
            Trace::Dropped(letter) => letter.found(state_dir).map_or(Shown::Unclear, |found| found.is_none().into()),
        }
    }
}

impl Place {
    pub(in crate::control) fn new(destination: DestinationId, key: &Key) -> Place {
        Place { destination: destination.to_string(), epoch: epoch_text(key), n: key.n }
    }

    /// The letter there, if there is one; `None` where nobody can read that.
    fn found(&self, state_dir: &Path) -> Option<Option<Letter>> {
        let destination = id(&self.destination)?;
        let Some(look) = DeadLetters::look(&state_dir.join(DEAD_LETTERS), &destination.bytes()).ok()? else {
            return Some(None);
        };
        let store = look.store();
        let is_it = |key: &Key| key.n == self.n && epoch_text(key) == self.epoch;
        let found = store.keys().find(|(_, key)| is_it(key));
        found.map_or(Some(None), |(id, _)| store.letter(id).ok())
    }
}

impl From<bool> for Shown {
    fn from(is_so: bool) -> Shown {
        if is_so { Shown::Whole } else { Shown::Nothing }
    }
}

fn shown_of_files(files: &BTreeMap<String, Option<String>>, state_dir: &Path) -> Shown {
    let Ok(found) = managed::files(state_dir) else { return Shown::Unclear };
    let text = |key: &str| found.iter().find(|file| file.key == key).map(managed::ManagedFile::text);
    let written = files.iter().filter(|(key, wished)| wished.as_deref() == text(key));
    let written: Vec<String> = written.map(|(key, _)| key.clone()).collect();
    match written.len() {
        0 => Shown::Nothing,
        all if all == files.len() => Shown::Whole,
        _ => Shown::Part(written),
    }
}

fn id(text: &str) -> Option<DestinationId> {
    u128::from_str_radix(text, 16).ok().map(|id| DestinationId::from_bytes(id.to_be_bytes()))
}
