//! Destinations that are made, changed and deleted over the API.
//!
//! | file | what it holds |
//! |---|---|
//! | `plan.rs` | from a wish to what has to be written, or why not; pure but for reading secrets' files |
//! | `store.rs` | the files: written durably, and put back when the agent refuses them |
//! | `tell.rs` | what is answered |
//!
//! Always true: one change at a time; a change is refused whole, by the rules and in the words of the file parser; it is
//! durable before it is in force; destinations that it does not name are not touched, not even read by their shards. A set of
//! several is not one write: a power cut in the middle leaves some of it, each destination whole, and the same set again
//! completes it. A change is noted before it is written (`untold/`), so a crash leaves none untold.

mod plan;
mod store;
pub mod tell;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::Value;
use tokio::sync::oneshot;

pub(super) use self::plan::{Plan, Refusal, Wish, made_by, name_of, plan};
use self::store::Undo;
pub(super) use self::store::{Store, make_folder, remove, tag_of_all, tag_of_one};
use self::tell::{Changed, Error};
use crate::config::managed::{self, ManagedFile};
use crate::config::{Config, Surroundings};
use crate::control::access::Person;
use crate::control::destinations::settings_told;
use crate::control::http::{Order, Panel, Part, Problem};
use crate::control::untold::{Change, Note, Trace, Untold};

/// What all changes share.
pub(super) struct Managed {
    /// The machine that destinations are read on.
    pub(super) surroundings: Surroundings,
    /// Held by a change until it is in force.
    turn: tokio::sync::Mutex<()>,
}

impl Managed {
    pub(super) fn new(surroundings: Surroundings) -> Managed {
        Managed { surroundings, turn: tokio::sync::Mutex::default() }
    }

    /// Whether a change is on its way.
    pub(super) fn is_changing(&self) -> bool {
        self.turn.try_lock().is_err()
    }
}

/// What must be so before a change is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Nothing.
    None,
    /// What is there has one of these tags (RFC 9110, section 13.1.1).
    Tags(Vec<String>),
}

/// Carries a wish out, or with `is_dry` only says what would come of it. Goes on although whoever asked is gone, so that
/// nothing stays half done.
pub(super) async fn carry_out(
    panel: Arc<Panel>,
    person: Person,
    wish: Wish,
    condition: Condition,
    is_dry: bool,
) -> Result<Changed, Problem> {
    let work = async move {
        let _turn = panel.managed.turn.lock().await;
        let planned = planned(&panel, &person, wish, condition).await?;
        if is_dry || planned.plan.changes.is_empty() {
            return Ok(told(&panel.view.config(), &planned.plan, planned.tag_after));
        }
        apply(&panel, &person, planned).await
    };
    tokio::spawn(work).await.unwrap_or_else(|_| Err(failed()))
}

/// A plan, and the tag that its subject will have.
struct Planned {
    plan: Plan,
    tag_after: Option<String>,
}

async fn planned(panel: &Arc<Panel>, person: &Person, wish: Wish, condition: Condition) -> Result<Planned, Problem> {
    let (panel, person) = (Arc::clone(panel), person.clone());
    blocking(move || {
        let config = panel.view.config();
        let files = managed::files(&config.agent.state_dir).map_err(|found| not_known(&found))?;
        let plan = plan(&config, &files, &person, &wish, &panel.managed.surroundings)?;
        check(&condition, &wish, &plan, &files)?;
        let tag_after = tag_after(&wish, &plan, &files);
        Ok(Planned { plan, tag_after })
    })
    .await
}

/// Whether what is there is what somebody has seen.
fn check(condition: &Condition, wish: &Wish, plan: &Plan, files: &[ManagedFile]) -> Result<(), Problem> {
    let Condition::Tags(tags) = condition else { return Ok(()) };
    let now = match wish {
        Wish::Set(_) => Some(tag_of_all(&texts(files))),
        _ => files.iter().find(|file| Some(&file.key) == plan.subject.as_ref()).map(|file| tag_of_one(file.text())),
    };
    let fits = |tag: &String| tag == "*" || now.as_ref() == Some(tag);
    if tags.iter().any(fits) {
        return Ok(());
    }
    let detail = "somebody has changed it since you read it".to_owned();
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, detail);
    Err(problem.advise("read it again, make your change there, and send it with the new ETag in If-Match"))
}

fn tag_after(wish: &Wish, plan: &Plan, files: &[ManagedFile]) -> Option<String> {
    let mut after = texts(files);
    for (key, text) in &plan.changes {
        match text {
            Some(text) => after.insert(key, text),
            None => after.remove(key.as_str()),
        };
    }
    match wish {
        Wish::Set(_) => Some(tag_of_all(&after)),
        _ => after.get(plan.subject.as_deref()?).map(|text| tag_of_one(text)),
    }
}

fn texts(files: &[ManagedFile]) -> BTreeMap<&str, &str> {
    files.iter().map(|file| (file.key.as_str(), file.text())).collect()
}

async fn apply(panel: &Arc<Panel>, person: &Person, planned: Planned) -> Result<Changed, Problem> {
    let Planned { plan, tag_after } = planned;
    let before = panel.view.config();
    let store = Store::new(&before.agent.state_dir);
    let change = change(person, &plan, &before);
    let plan = Arc::new(plan);
    let (undo, note) = {
        let (store, plan, untold) = (store.clone(), Arc::clone(&plan), panel.untold.clone());
        blocking(move || written(&store, &plan, &untold, change).map_err(|problem| not_kept(&problem))).await?
    };
    if let Err(problem) = bring_into_force(panel, person, &plan).await {
        let restored = blocking(move || {
            let restored = store.restore(undo).map_err(|problem| not_kept(&problem));
            note.undone();
            restored
        });
        return Err(restored.await.err().unwrap_or(problem));
    }
    let changed = told(&before, &plan, tag_after);
    let (hands, running) = (panel.hands.clone(), panel.view.config());
    let _ = blocking(move || {
        note.happened().tell(&hands);
        // What is left over takes room and nothing else; the next change tries again.
        store.sweep(&running);
        Ok(())
    })
    .await;
    Ok(changed)
}

/// Writes a change, noted before. Blocks on the disk.
fn written(store: &Store, plan: &Plan, untold: &Untold, change: Change) -> io::Result<(Undo, Note)> {
    let note = untold.note(change, Trace::Files(plan.changes.clone()))?;
    match store.commit(&plan.changes, &plan.given) {
        Ok(undo) => Ok((undo, note)),
        Err(problem) => {
            note.undone();
            Err(problem)
        }
    }
}

async fn bring_into_force(panel: &Panel, person: &Person, plan: &Plan) -> Result<(), Problem> {
    let (reply, answer) = oneshot::channel();
    let stops = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping".to_owned());
    let part = Part::Managed { written: plan.changes.keys().cloned().collect() };
    panel.orders.send(Order { person: person.clone(), part, reply }).await.map_err(|_| stops())?;
    let reloaded = answer.await.map_err(|_| stops())?;
    if reloaded.is_done {
        return Ok(());
    }
    let detail = format!("the agent can't work by it, so all is as it was: {}", reloaded.problems.join("; "));
    Err(Problem::new(StatusCode::CONFLICT, detail).advise("put right what it names, and try again"))
}

/// What came of a plan, compared with what was in force.
fn told(before: &Config, plan: &Plan, tag: Option<String>) -> Changed {
    let mut changed = Changed { tag, ..Changed::default() };
    for (key, text) in &plan.changes {
        let id = crate::config::DestinationId::from_text(key);
        let old = before.destinations.iter().find(|known| known.id == id).map(|known| known.name.clone());
        let new = plan.config.destinations.iter().find(|known| known.id == id).map(|known| known.name.clone());
        let (list, name) = match (text, plan.existed.contains(key)) {
            (None, _) => (&mut changed.deleted, old),
            (Some(_), true) => (&mut changed.changed, new),
            (Some(_), false) => (&mut changed.created, new),
        };
        list.push(name.unwrap_or_else(|| key.clone()));
    }
    changed.warnings = plan.warnings.iter().map(Error::of).collect();
    changed
}

/// A plan as the audit trail tells it.
fn change(person: &Person, plan: &Plan, before: &Config) -> Change {
    let after = &plan.config;
    let of = |config: &Config, key: &String| {
        let id = crate::config::DestinationId::from_text(key);
        config.destinations.iter().find(|known| known.id == id).cloned()
    };
    let sides = plan.changes.keys().map(|key| {
        let (old, new) = (of(before, key), of(after, key));
        let (old_told, new_told) = settings_told(old.as_deref(), new.as_deref());
        (key, (old.map(|old| old.name.clone()), old_told), (new.map(|new| new.name.clone()), new_told))
    });
    let all: Vec<_> = sides.collect();
    let is_of_several = plan.is_set || all.len() != 1;
    let (what, target, before_it, after_it) = match all.as_slice() {
        [(key, (old_name, old), (new_name, new))] if !is_of_several => {
            let what = match (plan.existed.contains(*key), new_name) {
                (false, _) => "destination.create",
                (true, Some(_)) => "destination.change",
                (true, None) => "destination.delete",
            };
            let name = new_name.as_ref().or(old_name.as_ref()).unwrap_or(key);
            (what, name.as_str(), old.clone(), new.clone())
        }
        all => {
            let side = |pick: fn(&(&String, (Option<String>, Value), (Option<String>, Value))) -> Value| -> Value {
                all.iter().map(|one| (one.0.clone(), pick(one))).collect::<serde_json::Map<_, _>>().into()
            };
            ("destination.set", "destinations", side(|one| one.1.1.clone()), side(|one| one.2.1.clone()))
        }
    };
    let tenant = only_tenant(before, after, plan.changes.keys());
    Change { tenant, ..Change::by(person, what, target, before_it, after_it) }
}

/// The tenant that a change belongs to: the only one of all that it touches, as they were and as they are.
fn only_tenant<'k>(before: &Config, after: &Config, keys: impl Iterator<Item = &'k String>) -> Option<String> {
    let ids: Vec<_> = keys.map(|key| crate::config::DestinationId::from_text(key)).collect();
    let known = before.destinations.iter().chain(&after.destinations);
    let mut tenants = known.filter(|known| ids.contains(&known.id)).map(|known| known.scope.only_tenant());
    let first = tenants.next()??;
    tenants.all(|other| other == Some(first)).then(|| first.to_owned())
}

fn not_kept(problem: &io::Error) -> Problem {
    let detail = format!("nothing is changed, because it can't be kept over a restart: {problem}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        .advise("see that the agent may write to agent.state_dir and that the disk works and has room")
}

/// The folder of the API's destinations can't be read.
pub(super) fn not_known(found: &[crate::config::Problem]) -> Problem {
    let what = found.first().map_or("", |first| first.what.as_str());
    let detail = format!("nobody can tell which destinations there are: {what}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        .advise("see that the agent may read `destinations` in agent.state_dir and that the disk works")
}

fn failed() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the change failed; see the agent's log".to_owned())
}

/// Runs what waits for the disk beside the control plane's thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(failed()))
}

#[cfg(test)]
mod tests;
