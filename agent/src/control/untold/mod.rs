//! What somebody changes and may not have been told: what makes a change that a crash cut off known at the next start.
//!
//! | file | what it holds |
//! |---|---|
//! | `trace.rs` | what the disk shows of a change that has happened |
//!
//! A note is a file in `untold/` in the state directory, mode 0600: the audit event of a change, and the trace that it leaves
//! on the disk. It is there before anything is changed. When the change is made the trace goes, so that nothing that comes
//! later can hide it; the note goes when the shard says that the event is durable in the log. What the next start finds
//! without a trace has happened; with one, as far as the disk shows it. That is told then. It may be told twice, but not go
//! untold. Where an event does not get into the log it is told again in this life. The log counts: the chronicle is written by
//! a thread of its own, and an event that is in the log may be missing there after a crash.
//!
//! What is asked of shards, and is over with the agent, leaves no trace: it is noted and then asked.
//!
//! Neither events nor traces hold secrets.

mod trace;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use ring::digest::{SHA256, digest};
use scaidrive_codecs::own::{ConfigChanged, OwnEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use self::trace::Shown;
pub(super) use self::trace::{Place, Trace};
use super::access::{Person, Reach};
use super::http::Problem;
use super::managed::{make_folder, remove};
use crate::config::Destination;
use crate::node::{Hands, write_durably};
use crate::shard::door::Outcome;

/// Hears what became of an event in the log.
type Durable = oneshot::Receiver<Outcome>;

/// What somebody changes, as it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    /// The tenant that it belongs to, where it belongs to one only.
    pub(super) tenant: Option<String>,
    pub(super) who: String,
    pub(super) via: String,
    pub(super) what: String,
    pub(super) target: String,
    pub(super) before: Value,
    pub(super) after: Value,
    /// Whether whoever makes it is bound to tenants: their notes leave places for those of the others.
    #[serde(skip)]
    pub(super) is_bound: bool,
}

impl Change {
    /// Of `target` by `person`, filed under the agent's own tenant.
    pub(super) fn by(person: &Person, what: &str, target: &str, before: Value, after: Value) -> Change {
        let (who, via) = (person.who.clone(), person.via.name().to_owned());
        let (what, target, is_bound) = (what.to_owned(), target.to_owned(), person.reach != Reach::All);
        Change { tenant: None, who, via, what, target, before, after, is_bound }
    }

    /// Filed under the only tenant of a destination, if it has one: as whoever changes it saw it.
    pub(super) fn about(self, destination: &Destination) -> Change {
        Change { tenant: destination.scope.only_tenant().map(str::to_owned), ..self }
    }

    /// As it is told.
    pub(super) fn event(&self) -> OwnEvent {
        let Change { who, via, what, target, before, after, .. } = self.clone().short();
        OwnEvent::ConfigChanged(ConfigChanged { who, via, what, target, before, after })
    }

    /// As short as an event has to be: of more than [`EVENT_BYTES_MAX`] what it was of and sums of the rest, for each of
    /// several things where there is room for that.
    fn short(mut self) -> Change {
        let is_long =
            |(before, after): (&Value, &Value)| before.to_string().len() + after.to_string().len() > EVENT_BYTES_MAX;
        if is_long((&self.before, &self.after)) {
            let each = (summed_each(&self.before), summed_each(&self.after));
            let is_too_long = is_long((&each.0, &each.1));
            (self.before, self.after) = if is_too_long { (summed(&self.before), summed(&self.after)) } else { each };
        }
        self
    }

    /// What was done to these of several things.
    fn part(mut self, keys: &[String]) -> Change {
        for side in [&mut self.before, &mut self.after].into_iter().filter_map(Value::as_object_mut) {
            side.retain(|key, _| keys.contains(key));
        }
        self
    }
}

/// A sum of each of several things, or of the only one.
fn summed_each(side: &Value) -> Value {
    match side.as_object() {
        Some(things) if things.values().all(|thing| thing.is_object() || thing.is_null()) => {
            things.iter().map(|(key, thing)| (key.clone(), summed(thing))).collect::<Map<_, _>>().into()
        }
        _ => summed(side),
    }
}

/// A sum of what there is, with what tells whose it is.
fn summed(thing: &Value) -> Value {
    if thing.is_null() {
        return Value::Null;
    }
    let text = thing.to_string();
    let sum = digest(&SHA256, text.as_bytes());
    let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let told = ["name", "tenants"].into_iter().filter_map(|key| Some((key, thing.get(key)?.as_str()?)));
    let told = told.filter(|(_, text)| text.len() <= TOLD_BYTES_MAX);
    let mut summed: Map<String, Value> = told.map(|(key, text)| (key.to_owned(), json!(text))).collect();
    summed.insert("bytes".to_owned(), json!(text.len()));
    summed.insert("sha256".to_owned(), json!(sum));
    summed.into()
}

/// A note's content. A trace that this version does not know is none: rather twice than not at all.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    change: Change,
    #[serde(flatten)]
    trace: Option<Trace>,
}

/// The notes of an agent.
#[derive(Clone, Debug)]
pub(super) struct Untold {
    state_dir: PathBuf,
    /// Held while a note gets its number.
    numbering: Arc<Mutex<()>>,
}

/// A change that is noted and may happen.
#[must_use]
#[derive(Debug)]
pub(super) struct Note {
    state_dir: PathBuf,
    path: PathBuf,
    change: Change,
    trace: Trace,
}

/// A change that is noted and has happened, or is asked for right after this.
#[must_use]
#[derive(Debug)]
pub(super) struct Happened {
    note: PathBuf,
    change: Change,
}

impl Untold {
    pub(super) fn new(state_dir: &Path) -> Untold {
        Untold { state_dir: state_dir.to_owned(), numbering: Arc::default() }
    }

    /// Notes what is about to be changed, behind all that is noted. Durable on return. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses, or too much waits to be told.
    pub(super) fn note(&self, change: Change, trace: Trace) -> io::Result<Note> {
        let (path, stored) = self.keep(Stored { change, trace: Some(trace.clone()) })?;
        Ok(Note { state_dir: self.state_dir.clone(), path, change: stored.change, trace })
    }

    /// Notes what is about to be asked of the shards. Durable on return. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Untold::note`].
    pub(super) fn note_asked(&self, change: Change) -> io::Result<Happened> {
        let (note, stored) = self.keep(Stored { change, trace: None })?;
        Ok(Happened { note, change: stored.change })
    }

    fn keep(&self, stored: Stored) -> io::Result<(PathBuf, Stored)> {
        let folder = self.state_dir.join(FOLDER);
        make_folder(&folder)?;
        fs::File::open(&self.state_dir)?.sync_all()?;
        let _turn = self.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = self.notes();
        let part = if stored.change.is_bound { 2 } else { 1 };
        let bytes: u64 = notes.values().filter_map(|path| fs::metadata(path).ok()).map(|known| known.len()).sum();
        if notes.len() >= NOTES_MAX / part || bytes >= NOTES_BYTES_MAX / part as u64 {
            let waiting = notes.len();
            return Err(io::Error::other(format!("{waiting} changes wait already until the log has room for them")));
        }
        let last = notes.last_key_value().map_or(0, |(number, _)| *number);
        let path = folder.join(format!("{:016x}.json", last.saturating_add(1)));
        write(&path, &stored)?;
        Ok((path, stored))
    }

    /// The notes by their numbers.
    fn notes(&self) -> BTreeMap<u64, PathBuf> {
        let paths = fs::read_dir(self.state_dir.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_note = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        let number = |path: &Path| u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok();
        paths.filter(is_note).filter_map(|path| Some((number(&path)?, path))).collect()
    }

    /// What an earlier life has noted and may not have told, in its order and as far as it has happened; what has not is
    /// forgotten. To be asked before anybody can change anything. Blocks on the disk.
    pub(super) fn found(&self) -> Vec<Happened> {
        self.notes().into_values().filter_map(|path| self.judged(path)).collect()
    }

    fn judged(&self, path: PathBuf) -> Option<Happened> {
        // What the disk does not give today the next start is asked for once more.
        let bytes = fs::read(&path).ok()?;
        let Ok(Stored { change, trace }) = serde_json::from_slice(&bytes) else {
            forget(&path);
            return None;
        };
        let Some(trace) = trace else { return Some(Happened { note: path, change }) };
        let shown = trace.shown(&self.state_dir);
        let note = Note { state_dir: self.state_dir.clone(), path, change, trace };
        match shown {
            Shown::Whole => Some(note.happened()),
            Shown::Part(keys) => {
                let change = note.change.clone().part(&keys);
                Some(Note { change, ..note }.happened())
            }
            Shown::Nothing => {
                forget(&note.path);
                None
            }
            // The next start is asked once more.
            Shown::Unclear => None,
        }
    }
}

impl Note {
    /// By what became of the change. Blocks on the disk.
    ///
    /// # Errors
    /// The change's own.
    pub(super) fn after<T, E>(self, outcome: Result<T, E>) -> Result<(T, Happened), E> {
        match outcome {
            Ok(done) => Ok((done, self.happened())),
            Err(problem) => {
                self.undone();
                Err(problem)
            }
        }
    }

    /// The change is made, whatever becomes later of what it was about. Durable on return, as far as the disk allows. Blocks
    /// on it.
    pub(super) fn happened(self) -> Happened {
        let Note { path, change, .. } = self;
        let stored = Stored { change, trace: None };
        if let Err(problem) = write(&path, &stored) {
            tracing::warn!(
                "the next start has to find out whether a change was made, if it must tell of it: {problem}"
            );
        }
        Happened { note: path, change: stored.change }
    }

    /// The change was refused. Where the disk shows something of it all the same, the next start looks again. Blocks on the
    /// disk.
    pub(super) fn undone(self) {
        if self.trace.shown(&self.state_dir) == Shown::Nothing {
            forget(&self.path);
        }
    }
}

impl Happened {
    /// Tells of it, and forgets it when that is durable in the log, however long that takes. Where it does not get there it
    /// is told again; where the agent ends before, the next start tells it once more.
    pub(super) fn tell(self, hands: &Hands) {
        // It may wait for long, and a set of destinations is large.
        let happened = Happened { note: self.note, change: self.change.short() };
        let durable = happened.told(hands);
        tokio::spawn(happened.forget_when_durable(durable, hands.clone(), TELL_AGAIN_AFTER));
    }

    /// The same, of an earlier life.
    pub(super) fn tell_late(self, hands: &Hands) {
        let Change { who, what, target, .. } = &self.change;
        tracing::warn!("the agent ended before it told of a change: {what} of {target} by {who}; it is told now");
        self.tell(hands);
    }

    fn told(&self, hands: &Hands) -> Durable {
        let (done, durable) = oneshot::channel();
        // Who waited for it may be gone.
        let done = Box::new(move |outcome| drop(done.send(outcome)));
        hands.tell_durably(self.change.tenant.clone(), self.change.event(), done);
        durable
    }

    async fn forget_when_durable(self, mut durable: Durable, hands: Hands, again_after: Duration) {
        let mut has_warned = false;
        loop {
            match durable.await {
                Ok(Outcome::Durable) => break,
                // It would be the same event once more.
                Ok(Outcome::Refused { why, .. }) => {
                    tracing::error!("the next start tells of a change again, because {why}: {}", self.note.display());
                    return;
                }
                Ok(Outcome::Failed { .. }) | Err(_) => {}
            }
            if !has_warned {
                tracing::warn!("a change may not have got into the log, so it is told again: {}", self.note.display());
                has_warned = true;
            }
            tokio::time::sleep(again_after).await;
            durable = self.told(&hands);
        }
        let note = self.note;
        let _ = tokio::task::spawn_blocking(move || forget(&note)).await;
    }
}

fn write(note: &Path, stored: &Stored) -> io::Result<()> {
    write_durably(note.parent().unwrap_or(Path::new("")), note, &serde_json::to_vec(stored)?)
}

/// Forgets a note: its change was told, or has not happened. Durable on return, as far as the disk allows. Blocks on it.
fn forget(note: &Path) {
    let synced = || note.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all());
    if let Err(problem) = remove(note).and_then(|()| synced()) {
        tracing::warn!("a change is told again at the next start, because its note can't be removed: {problem}");
    }
}

/// What can't be noted is not done.
pub(super) fn not_noted(problem: &io::Error) -> Problem {
    let detail = format!("nothing is changed, because it can't be noted for the audit trail: {problem}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        .advise("see that the agent may write to agent.state_dir and that the disk works and has room")
}

/// Where the notes are, in the state directory.
const FOLDER: &str = "untold";
/// Changes that may wait to be told: as many as a shard holds for a log without room. Half of them where whoever makes one
/// more is bound to tenants.
const NOTES_MAX: usize = 4_096;
/// Bytes of notes, but for the last one's; half of them in the same way.
const NOTES_BYTES_MAX: u64 = 64 << 20;
/// Bytes of how things were and are, in an event.
const EVENT_BYTES_MAX: usize = 256 << 10;
/// Bytes of each thing that is told beside a sum.
const TOLD_BYTES_MAX: usize = 2 << 10;
/// When a change is told again that did not get into the log.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
