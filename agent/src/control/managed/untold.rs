//! Changes that are written and may not have been told: what makes a change that a crash cut off known at the next start.
//!
//! A note is a file in `untold/` in the state directory, mode 0600: the audit event of the change, and the files that it
//! writes. It is there before any of these files, and goes when the shard says that the event is durable in the log. What the
//! next start finds has happened as far as its files are there, or a later note is of the same files; so much of it is told
//! then. It may be told twice, but not go untold. The log counts: the chronicle is written by a thread of its own, and an event
//! that is in the log may be missing there after a crash.
//!
//! Neither the event nor the files hold secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use scaidrive_codecs::own::{ConfigChanged, OwnEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use super::store::{make_folder, remove};
use crate::config::managed;
use crate::node::{Hands, write_durably};
use crate::shard::door::Outcome;

/// Hears what became of an event in the log.
pub(super) type Durable = oneshot::Receiver<Outcome>;

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
    /// Tells of it, and says when that is durable.
    pub(super) fn tell(self, hands: &Hands) -> Durable {
        let (done, durable) = oneshot::channel();
        let Change { tenant, who, via, what, target, before, after, .. } = self;
        let event = OwnEvent::ConfigChanged(ConfigChanged { who, via, what, target, before, after });
        // Who waited for it may be gone.
        hands.tell_durably(tenant, event, Box::new(move |outcome| drop(done.send(outcome))));
        durable
    }

    /// As much of it as has happened, if any: what the files on the disk show, and what a `later` change has changed again.
    fn happened_by(mut self, found: &BTreeMap<String, String>, later: &BTreeSet<String>) -> Option<Change> {
        self.files.retain(|key, text| later.contains(key) || text.as_ref() == found.get(key));
        if self.is_of_several {
            for side in [&mut self.before, &mut self.after] {
                side.as_object_mut()?.retain(|key, _| self.files.contains_key(key));
            }
        }
        (!self.files.is_empty()).then_some(self)
    }
}

/// Notes a change before it is written, behind all that are noted. Durable on return. Blocks on the disk.
///
/// # Errors
/// When the disk refuses.
pub(super) fn note(state_dir: &Path, change: &Change) -> io::Result<PathBuf> {
    let folder = state_dir.join(FOLDER);
    make_folder(&folder)?;
    fs::File::open(state_dir)?.sync_all()?;
    let last = notes(state_dir).last_key_value().map_or(0, |(number, _)| *number);
    let path = folder.join(format!("{:016x}.json", last.saturating_add(1)));
    write_durably(&folder, &path, &serde_json::to_vec(change)?)?;
    Ok(path)
}

/// The notes by their numbers.
fn notes(state_dir: &Path) -> BTreeMap<u64, PathBuf> {
    let paths = fs::read_dir(state_dir.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
    let number = |path: &Path| u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok();
    paths.filter_map(|path| Some((number(&path)?, path))).collect()
}

/// Forgets a note: its change was told, or has not happened. Durable on return, as far as the disk allows. Blocks on it.
pub(super) fn forget(note: &Path) {
    let synced = || note.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all());
    if let Err(problem) = remove(note).and_then(|()| synced()) {
        tracing::warn!("a change is told again at the next start, because its note can't be removed: {problem}");
    }
}

/// The changes that an earlier life has noted and may not have told, in their order and as far as they have happened, with
/// their notes. What has not happened is forgotten. Blocks on the disk.
pub(in crate::control) fn found(state_dir: &Path) -> Vec<(PathBuf, Change)> {
    // Where nobody can read which files there are, the next start is asked once more.
    let Ok(files) = managed::files(state_dir) else { return Vec::new() };
    let files: BTreeMap<String, String> = files.iter().map(|file| (file.key.clone(), file.text().to_owned())).collect();
    let read = |note: &Path| serde_json::from_slice::<Change>(&fs::read(note).ok()?).ok();
    // Nobody makes a change before the one before is in force, so what has another one behind it has happened.
    let (mut happened, mut later) = (Vec::new(), BTreeSet::new());
    for note in notes(state_dir).into_values().rev() {
        let Some(change) = read(&note) else {
            forget(&note);
            continue;
        };
        let keys: Vec<String> = change.files.keys().cloned().collect();
        match change.happened_by(&files, &later) {
            Some(change) => happened.push((note, change)),
            None => forget(&note),
        }
        later.extend(keys);
    }
    happened.reverse();
    happened
}

/// Tells what an earlier life has not, and forgets it when it is durable.
pub(in crate::control) async fn tell_late(hands: Hands, found: Vec<(PathBuf, Change)>) {
    let tell = |(note, change): (PathBuf, Change)| {
        let Change { who, what, target, .. } = &change;
        tracing::warn!("the agent ended before it told of a change: {what} of {target} by {who}; it is told now");
        (change.tell(&hands), note)
    };
    let told: Vec<_> = found.into_iter().map(tell).collect();
    for (durable, note) in told {
        forget_when_durable(durable, note).await;
    }
}

/// Forgets the note of a change that was told, when the event is durable in the log, however long that takes. Where it does
/// not get there, because the disk fails or the agent ends before, the next start tells it once more.
pub(super) async fn forget_when_durable(durable: Durable, note: PathBuf) {
    if durable.await == Ok(Outcome::Durable) {
        let _ = tokio::task::spawn_blocking(move || forget(&note)).await;
    } else {
        tracing::warn!("a change may not have got into the log, so the next start tells it again: {}", note.display());
    }
}

/// Where the notes are, in the state directory.
const FOLDER: &str = "untold";
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::config::Given;
    use crate::control::managed::Store;
    use crate::node::Pauses;
    use crate::shard::door::Done;
    use crate::shard::{Command, Mail, Mailbox};

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
        let happened = || found(directory.path()).into_iter().map(|(_, change)| change).next();
        note(directory.path(), &change(&whole)).unwrap();
        assert_eq!(happened(), None, "cut off before anything was written");
        assert!(notes(directory.path()).is_empty(), "and nobody asks again");
        note(directory.path(), &change(&whole)).unwrap();
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
        assert_eq!(found(directory.path()), []);
        assert!(notes(directory.path()).is_empty());
    }

    #[test]
    fn a_change_of_the_same_file_does_not_hide_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = [[("a", Some("a = 1"))], [("a", Some("a = 2"))]];
        let mut noted = Vec::new();
        for files in [&first, &second] {
            noted.push((note(directory.path(), &change(files)).unwrap(), change(files)));
            commit(directory.path(), files);
        }
        assert_eq!(found(directory.path()), noted, "in their order");
    }

    /// A shard that has a change told, and what it has to say of it.
    fn telling(directory: &Path) -> (PathBuf, Durable, Done) {
        let mailbox = Arc::new(Mailbox::default());
        let hands = Hands::new(vec![Arc::clone(&mailbox)], Arc::new(Pauses::open(directory, &[])));
        let noted = note(directory, &change(&[("a", None)])).unwrap();
        let durable = change(&[("a", None)]).tell(&hands);
        let mut mail = Mail::default();
        mailbox.take(&mut mail);
        match mail.commands.pop() {
            Some(Command::TellDurably(None, OwnEvent::ConfigChanged(_), done)) => (noted, durable, done),
            _ => panic!("nothing is told"),
        }
    }

    #[tokio::test]
    async fn a_note_stays_until_the_event_is_durable_however_long_that_takes() {
        let directory = tempfile::tempdir().unwrap();
        let (noted, durable, done) = telling(directory.path());
        let forgets = tokio::spawn(forget_when_durable(durable, noted.clone()));
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert!(noted.exists() && !forgets.is_finished(), "a log without room has not taken it");
        done(Outcome::Durable);
        forgets.await.unwrap();
        assert!(!noted.exists());
    }

    #[tokio::test]
    async fn a_note_stays_for_the_next_start_where_the_event_does_not_get_into_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let (noted, durable, done) = telling(directory.path());
        done(Outcome::Failed { why: "the disk did not keep it".to_owned() });
        forget_when_durable(durable, noted.clone()).await;
        let (_, durable, done) = telling(directory.path());
        drop(done);
        forget_when_durable(durable, noted.clone()).await;
        assert!(noted.exists());
    }
}
