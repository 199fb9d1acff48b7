//! What an operator does to dead letters: which are meant, whether an edit may be, and what the audit trail says of it.
//!
//! An edited event must be an event that intake would take, and it must still be the same one: `event_id` and
//! `tenant_id` stay as they are. Its number in the stream was given to that event and stays with it, so another event
//! under it would pass for the one that was lost; and the destination's scope let that tenant's event through, not
//! another's. All else may be what was refused, and may change.

use std::collections::{BTreeMap, HashMap, HashSet};

use ring::digest::{SHA256, digest};
use scaidrive_codecs::loss::NumberRanges;
use scaidrive_codecs::{Event, Field, Index};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{StreamPrefix, epoch_text};
use crate::control::access::Reach;
use crate::control::whole;
use crate::deadletter::{DeadLetters, Key, Letter, StoreError};
use crate::ingest::index_line;
use crate::node::Pause;

/// Which letters of a store are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// Every one up to this id: what was there when somebody looked, and nothing that came later.
    UpTo(#[serde(deserialize_with = "whole::count")] u64),
    /// These.
    Letters(Vec<LetterName>),
}

/// What a letter is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LetterName {
    /// The stream, or its last part.
    pub stream: String,
    /// The event's number in it.
    #[serde(deserialize_with = "whole::count")]
    pub n: u64,
}

/// What became of letters that were dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dropped {
    /// The destination's name.
    pub destination: String,
    /// How many.
    pub letters: u64,
}

/// What became of letters that are to be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resent {
    /// The destination's name.
    pub destination: String,
    /// How many.
    pub letters: u64,
    /// Who has paused the destination, if somebody has: then they wait.
    pub pause: Option<Pause>,
}

/// Why an event can't take another's place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    /// Intake would not take it.
    #[error("it is no event: {0}")]
    Invalid(String),
    /// It is another event.
    #[error("its {field} is \"{found}\", and the letter's is \"{kept}\"")]
    Other {
        /// Which member.
        field: &'static str,
        /// As it would be.
        found: String,
        /// As it is.
        kept: String,
    },
    /// What is kept is no event, so nothing says which one it is.
    #[error("the event that is kept can't be read")]
    Unreadable,
}

impl Chosen {
    /// The ids of these letters.
    ///
    /// # Errors
    /// The first one that is not in the store.
    pub(crate) fn ids(&self, store: &DeadLetters) -> Result<HashSet<u64>, LetterName> {
        let letters = match self {
            Chosen::UpTo(last) => return Ok(store.keys().map(|(id, _)| id).filter(|id| id <= last).collect()),
            Chosen::Letters(letters) => letters,
        };
        let name = |letter: &LetterName| (epoch_of(&letter.stream).to_owned(), letter.n);
        let mut wanted: HashSet<(String, u64)> = letters.iter().map(name).collect();
        let found = store.keys().filter(|(_, key)| wanted.remove(&(epoch_text(key), key.n)));
        let ids = found.map(|(id, _)| id).collect();
        match letters.iter().find(|letter| wanted.contains(&name(letter))) {
            Some(missing) => Err(missing.clone()),
            None => Ok(ids),
        }
    }
}

/// A letter with `raw` in the place of its event. Nothing is changed yet.
///
/// # Errors
/// When it is no event, or another one.
pub(crate) fn edited(letter: &Letter, raw: &[u8], max_event_size: usize, wall_ms: i64) -> Result<Letter, EditError> {
    let raw = judged(&letter.raw, raw, max_event_size)?;
    Ok(Letter { raw, edited_ms: Some(wall_ms), ..letter.clone() })
}

/// The event to keep in place of `old`.
fn judged(old: &[u8], new: &[u8], max_event_size: usize) -> Result<Vec<u8>, EditError> {
    let mut new = new.trim_ascii().to_vec();
    if new.len() > max_event_size {
        let words = format!("it has {} bytes; ingest.max_event_size allows {max_event_size}", new.len());
        return Err(EditError::Invalid(words));
    }
    let index = index_line(&mut new).map_err(|refusal| EditError::Invalid(refusal.to_string()))?;
    let kept = scaidrive_codecs::index(old).map_err(|_| EditError::Unreadable)?;
    for (field, name) in [(Field::EventId, "event_id"), (Field::TenantId, "tenant_id")] {
        let (found, kept) = (text(&new, &index, field), text(old, &kept, field));
        if found != kept {
            return Err(EditError::Other { field: name, found, kept });
        }
    }
    Ok(new)
}

/// A field's meaning, whatever its escapes.
fn text(raw: &[u8], index: &Index, field: Field) -> String {
    let mut scratch = String::new();
    Event::new(raw, index).text(field, &mut scratch).unwrap_or_default().to_owned()
}

/// Whether every letter of a store is of a tenant within `reach`; one that can't be read is nobody's. Reads nothing.
pub(in crate::control) fn within(store: &DeadLetters, reach: &Reach) -> bool {
    *reach == Reach::All || store.tenants().all(|tenant| tenant.is_some_and(|tenant| reach.includes(tenant)))
}

/// What the audit trail says of an event that was edited: which bytes it has, but not the bytes.
pub(crate) fn letter_value(stream: &str, letter: &Letter) -> Value {
    let event_id = scaidrive_codecs::index(&letter.raw).map(|index| text(&letter.raw, &index, Field::EventId));
    let digest: String = digest(&SHA256, &letter.raw).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "stream": stream, "n": letter.key.n, "event_id": event_id.ok(), "bytes": letter.raw.len(), "sha256": digest,
    })
}

/// What the audit trail says of many letters: how many, and their numbers in each stream.
///
/// # Errors
/// When the store can't be read.
pub(crate) fn letters_value(
    prefix: &StreamPrefix<'_>,
    store: &DeadLetters,
    ids: &HashSet<u64>,
) -> Result<Value, StoreError> {
    let mut streams: BTreeMap<[u8; 16], (u64, NumberRanges)> = BTreeMap::new();
    for (id, key) in store.keys().filter(|(id, _)| ids.contains(id)) {
        let (_, numbers) = streams.entry(key.epoch).or_insert_with(|| (id, NumberRanges::new()));
        numbers.push(key.n..key.n.saturating_add(1));
    }
    let mut named = Vec::new();
    for (id, numbers) in streams.values().take(STREAMS_NAMED_MAX) {
        // One letter of a stream knows the shard, which is part of its name.
        let stream = store.letter(*id)?.map(|letter| prefix.stream(letter.shard, &letter.key));
        named.push(json!({"stream": stream, "ranges": numbers, "merged": numbers.is_merged()}));
    }
    let more = streams.len().saturating_sub(STREAMS_NAMED_MAX);
    Ok(json!({"dead_letters": ids.len(), "streams": named, "other_streams": more}))
}

/// What these letters are found by, oldest first, for each shard that has buried some.
///
/// # Errors
/// When the store can't be read.
pub(crate) fn by_shard(store: &DeadLetters, ids: &HashSet<u64>) -> Result<BTreeMap<u16, Vec<Key>>, StoreError> {
    let mut shards: HashMap<[u8; 16], u16> = HashMap::new();
    let mut letters: BTreeMap<u16, Vec<Key>> = BTreeMap::new();
    for (id, key) in store.keys().filter(|(id, _)| ids.contains(id)) {
        let shard = match shards.get(&key.epoch) {
            Some(shard) => *shard,
            // One letter of a stream knows the shard of all.
            None => {
                let Some(letter) = store.letter(id)? else { continue };
                *shards.entry(key.epoch).or_insert(letter.shard)
            }
        };
        letters.entry(shard).or_default().push(key);
    }
    Ok(letters)
}

/// A stream's last part, which names its epoch.
pub(super) fn epoch_of(stream: &str) -> &str {
    stream.rsplit('.').next().unwrap_or_default()
}

/// Streams that an audit event names.
const STREAMS_NAMED_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DestinationId;
    use crate::deadletter::MAX_BYTES_DEFAULT;

    fn event(id: &str, tenant: &str, more: &str) -> String {
        format!(
            "{{\"event_id\":\"{id}\",\"timestamp\":\"2026-03-14T09:26:53Z\",\"tenant_id\":\"{tenant}\",\
             \"category\":\"C\",\"action\":\"a\",\"severity\":\"info\"{more}}}"
        )
    }

    fn letter(epoch: u8, n: u64) -> Letter {
        Letter {
            id: 0,
            key: Key { epoch: [epoch; 16], n },
            shard: 2,
            raw: event("e", "t", "").into_bytes(),
            reply: String::new(),
            reason: String::new(),
            wall_ms: 0,
            attempts: 1,
            edited_ms: None,
        }
    }

    fn store(directory: &tempfile::TempDir) -> DeadLetters {
        let id = DestinationId::from_text("splunk").bytes();
        let (mut store, _) = DeadLetters::open(directory.path(), &id, MAX_BYTES_DEFAULT, 7).unwrap();
        store.put(&[letter(0xaa, 1), letter(0xaa, 2), letter(0xbb, 2), letter(0xaa, 5)]).unwrap();
        store
    }

    fn name(stream: &str, n: u64) -> LetterName {
        LetterName { stream: stream.to_owned(), n }
    }

    #[test]
    fn an_edited_event_is_valid_and_still_the_same_event() {
        let old = event("e\\u0031", "t", "");
        let judged = |new: &str| judged(old.as_bytes(), new.as_bytes(), 400).map_err(|problem| problem.to_string());
        let new = event("e1", "t", ",\n\"ip\":\"10.0.0.1\"");
        assert_eq!(judged(&format!(" {new}\n")), Ok(new.replace('\n', " ").into_bytes()), "escapes change nothing");
        let refused = |new: &str| judged(new).unwrap_err();
        assert_eq!(refused(&event("e2", "t", "")), "its event_id is \"e2\", and the letter's is \"e1\"");
        assert_eq!(refused(&event("e1", "u", "")), "its tenant_id is \"u\", and the letter's is \"t\"");
        assert!(refused("[]").starts_with("it is no event: "));
        assert!(
            refused(&event("e1", "t", ",\"siem\":{}")).starts_with("it is no event: "),
            "its number is ours to write"
        );
        assert!(refused(&event("e1", "t", &" ".repeat(400))).contains("ingest.max_event_size allows 400"));
    }

    #[test]
    fn letters_are_chosen_by_name_or_as_all_that_were_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        let letters = |names: Vec<LetterName>| Chosen::Letters(names).ids(&store);
        let (whole, last) = ("agent.5a.2.aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb");
        assert_eq!(letters(vec![name(whole, 1), name(last, 2), name(last, 2)]), Ok(HashSet::from([1, 3])));
        assert_eq!(letters(vec![name(whole, 1), name(last, 1)]), Err(name(last, 1)));
        assert_eq!(letters(Vec::new()), Ok(HashSet::new()));
        assert_eq!(Chosen::UpTo(2).ids(&store), Ok(HashSet::from([1, 2])));
        let text = serde_json::to_string(&Chosen::Letters(vec![name("s", 1)])).unwrap();
        assert_eq!(text, r#"{"letters":[{"stream":"s","n":1}]}"#);
        assert_eq!(serde_json::to_string(&Chosen::UpTo(7)).unwrap(), r#"{"up_to":7}"#);
    }

    #[test]
    fn a_store_is_within_reach_while_it_holds_no_letter_of_another_tenant_and_none_that_cant_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = store(&directory);
        let reach = |tenant: &str| Reach::Tenants([tenant.to_owned()].into());
        assert!(within(&store, &reach("t")) && within(&store, &Reach::All));
        assert!(!within(&store, &reach("acme")));
        store.put(&[Letter { raw: b"{".to_vec(), ..letter(0xcc, 1) }]).unwrap();
        assert!(!within(&store, &reach("t")) && within(&store, &Reach::All));
    }

    #[test]
    fn letters_to_be_sent_again_are_grouped_by_the_shard_that_buried_them() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = store(&directory);
        store.put(&[Letter { shard: 0, ..letter(0xcc, 1) }, letter(0xaa, 9)]).unwrap();
        let key = |epoch, n| Key { epoch: [epoch; 16], n };
        let letters = by_shard(&store, &HashSet::from([1, 3, 5, 6, 99])).unwrap();
        assert_eq!(
            letters,
            BTreeMap::from([(0, vec![key(0xcc, 1)]), (2, vec![key(0xaa, 1), key(0xbb, 2), key(0xaa, 9)])])
        );
        assert_eq!(by_shard(&store, &HashSet::new()).unwrap(), BTreeMap::new());
    }

    #[test]
    fn the_audit_trail_names_the_numbers_and_the_bytes_by_their_hash_alone() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        let destination = crate::control::tests::hec("splunk");
        let prefix = StreamPrefix::new("agent", &destination);
        let value = letters_value(&prefix, &store, &HashSet::from([1, 2, 3, 4])).unwrap();
        let id = &destination.id.to_string()[..8];
        assert_eq!(
            value,
            json!({"dead_letters": 4, "other_streams": 0, "streams": [
                {"stream": format!("agent.{id}.2.aaaaaaaaaaaaaaaa"), "merged": false,
                    "ranges": [{"from_n": 1, "to_n": 2}, {"from_n": 5, "to_n": 5}]},
                {"stream": format!("agent.{id}.2.bbbbbbbbbbbbbbbb"), "merged": false, "ranges": [{"from_n": 2, "to_n": 2}]},
            ]})
        );
        let value = letter_value("s", &letter(0xaa, 7));
        assert_eq!(
            (&value["event_id"], &value["n"], value["sha256"].as_str().unwrap().len()),
            (&"e".into(), &7.into(), 64)
        );
        assert!(!value.to_string().contains("severity"));
    }
}
