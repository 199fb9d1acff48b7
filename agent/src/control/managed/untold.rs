//! Changes that are written and may not have been told: what makes a change that a crash cut off known at the next start.
//!
//! A note is a file in `untold/` in the state directory, mode 0600: the audit event of the change, and the files that it
//! writes. It is there before any of these files, and goes when the event is durable in the log. What the next start finds has
//! happened as far as its files are there; so much of it is told then. It may be told twice, but not go untold.
//!
//! Neither the event nor the files hold secrets.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use scaidrive_codecs::own::{ConfigChanged, OwnEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::store::{make_folder, remove};
use crate::config::managed;
use crate::node::{Hands, View, write_durably};

/// A change, as it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::control) struct Change {
    /// The tenant that it belongs to, where it belongs to one only.
    pub(super) tenant: Option<String>,
    pub(super) who: String,
    pub(super) via: String,
    pub(super) what: String,
    pub(super) target: String,
    pub(super) before: Value,
    pub(super) after: Value,
    /// By what they are named after, the files that it writes; `None` for one that goes.
    pub(super) files: BTreeMap<String, Option<String>>,
    /// Whether `before` and `after` are of several destinations, each under what its file is named after.
    pub(super) is_of_several: bool,
}

impl Change {
    /// Tells of it.
    pub(super) fn tell(self, hands: &Hands) {
        let Change { tenant, who, via, what, target, before, after, .. } = self;
        hands.tell_under(tenant, OwnEvent::ConfigChanged(ConfigChanged { who, via, what, target, before, after }));
    }

    /// As much of it as the files on the disk show, if any.
    fn happened_by(mut self, found: &BTreeMap<String, String>) -> Option<Change> {
        self.files.retain(|key, text| text.as_ref() == found.get(key));
        if self.is_of_several {
            for side in [&mut self.before, &mut self.after] {
                side.as_object_mut()?.retain(|key, _| self.files.contains_key(key));
            }
        }
        (!self.files.is_empty()).then_some(self)
    }
}

/// Notes a change before it is written. Durable on return. Blocks on the disk.
///
/// # Errors
/// When the disk refuses.
pub(super) fn note(state_dir: &Path, change: &Change, salt: u64) -> io::Result<PathBuf> {
    let folder = state_dir.join(FOLDER);
    make_folder(&folder)?;
    fs::File::open(state_dir)?.sync_all()?;
    let path = folder.join(format!("{salt:016x}.json"));
    write_durably(&folder, &path, &serde_json::to_vec(change)?)?;
    Ok(path)
}

/// Forgets a note: its change was told, or has not happened. Blocks on the disk.
pub(super) fn forget(note: &Path) {
    if let Err(problem) = remove(note) {
        tracing::warn!("a change is told again at the next start, because its note can't be removed: {problem}");
    }
}

/// The changes that an earlier life has noted and may not have told, as far as they have happened, with their notes. Blocks
/// on the disk.
pub(in crate::control) fn found(state_dir: &Path) -> Vec<(PathBuf, Option<Change>)> {
    let notes: Vec<PathBuf> =
        fs::read_dir(state_dir.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    // Where nobody can read which files there are, the next start is asked once more.
    let Ok(files) = managed::files(state_dir) else { return Vec::new() };
    let files: BTreeMap<String, String> = files.iter().map(|file| (file.key.clone(), file.text().to_owned())).collect();
    let read = |note: &PathBuf| {
        let bytes = fs::read(note).ok()?;
        serde_json::from_slice::<Change>(&bytes).ok()?.happened_by(&files)
    };
    notes.into_iter().map(|note| (note.clone(), read(&note))).collect()
}

/// Tells what an earlier life has not, and forgets it when it is durable.
pub(in crate::control) async fn tell_late(view: View, hands: Hands, found: Vec<(PathBuf, Option<Change>)>) {
    let mut notes = Vec::new();
    for (note, change) in found {
        notes.push(note);
        let Some(change) = change else { continue };
        let Change { who, what, target, .. } = &change;
        tracing::warn!("the agent ended before it told of a change: {what} of {target} by {who}; it is told now");
        change.tell(&hands);
    }
    forget_when_told(&view, notes).await;
}

/// Forgets the notes of changes that were told just now, as soon as that is durable. Where it is not for long, the next start
/// tells of them once more.
pub(super) async fn forget_when_told(view: &View, notes: Vec<PathBuf>) {
    let Some(first) = view.published.first().filter(|_| !notes.is_empty()) else { return };
    let turns = first.with(|report| report.turns);
    let mut end = None;
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let is_durable = first.with(|report| {
            if end.is_none() && report.turns >= turns + TURNS {
                end = Some(report.next_seq);
            }
            end.is_some_and(|end| report.durable_end >= end)
        });
        if is_durable {
            let _ = tokio::task::spawn_blocking(move || notes.iter().for_each(|note| forget(note))).await;
            return;
        }
    }
}

/// Where the notes are, in the state directory.
const FOLDER: &str = "untold";
/// So many turns after it was told a shard has appended an event: one may have been under way, and in the next it is taken.
const TURNS: u64 = 3;
/// How often is looked whether what was told is durable, and how often at most. A shard turns once a second at least.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(100);
const LOOKS_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Given;
    use crate::control::managed::Store;

    fn change(files: &[(&str, Option<&str>)]) -> Change {
        let sides = |value: &str| {
            files.iter().map(|(key, _)| ((*key).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>()
        };
        Change {
            tenant: None,
            who: "uid 0".to_owned(),
            via: "cli".to_owned(),
            what: "destination.set".to_owned(),
            target: "destinations".to_owned(),
            before: sides("old").into(),
            after: sides("new").into(),
            files: files.iter().map(|(key, text)| ((*key).to_owned(), text.map(str::to_owned))).collect(),
            is_of_several: true,
        }
    }

    fn commit(state_dir: &Path, files: &[(&str, Option<&str>)]) {
        let changes = change(files).files;
        Store::new(state_dir).commit(&changes, &Given::new()).unwrap();
    }

    #[test]
    fn a_change_that_a_crash_cut_off_is_found_as_far_as_it_has_happened() {
        let directory = tempfile::tempdir().unwrap();
        let whole = [("a", Some("a = 1")), ("b", Some("b = 1")), ("c", None)];
        commit(directory.path(), &[("c", Some("c = 1"))]);
        note(directory.path(), &change(&whole), 7).unwrap();
        let happened = || found(directory.path()).remove(0).1;
        assert_eq!(happened(), None, "cut off before anything was written");
        commit(directory.path(), &whole[..1]);
        let part = happened().unwrap();
        assert_eq!((&part.before, &part.after), (&json!({"a": "old"}), &json!({"a": "new"})), "cut off in the middle");
        commit(directory.path(), &whole[1..]);
        assert_eq!(happened(), Some(change(&whole)), "cut off before it was in force");
        let [(note, _)] = found(directory.path()).try_into().unwrap();
        forget(&note);
        assert_eq!(found(directory.path()), []);
    }

    #[test]
    fn a_note_that_can_not_be_read_tells_nothing_and_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(FOLDER)).unwrap();
        fs::write(directory.path().join(FOLDER).join("1.json"), "{ torn").unwrap();
        assert!(matches!(found(directory.path()).as_slice(), [(_, None)]));
    }
}
