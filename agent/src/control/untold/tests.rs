//! Crashes at every moment of a change: it is told when it has happened, as far as it has, and forgotten when it has not.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::config::{Config, DestinationId, Given, Surroundings};
use crate::control::access::{Access, Reach, Role, TokenLine, TokenWish, Via};
use crate::control::managed::Store;
use crate::deadletter::{DeadLetters, Key, Letter, MAX_BYTES_DEFAULT};
use crate::node::{DEAD_LETTERS, Drain, Pause, Pauses, Rested};
use crate::shard::door::Done;
use crate::shard::{Command, Mail, Mailbox};

fn change(what: &str) -> Change {
    let person = Person { who: "uid 0".to_owned(), via: Via::Cli, role: Role::Admin, reach: Reach::All };
    Change::by(&person, what, "it", Value::Null, json!({"is": "new"}))
}

/// Of several files, each with what it was and is.
fn set(files: &[(&str, Option<&str>)]) -> (Change, Trace) {
    let sides = |value: &str| -> Value {
        files.iter().map(|(key, _)| ((*key).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into()
    };
    let trace = Trace::Files(texts(files));
    (Change { before: sides("old"), after: sides("new"), ..change("destination.set") }, trace)
}

fn texts(files: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    files.iter().map(|(key, text)| ((*key).to_owned(), text.map(str::to_owned))).collect()
}

fn commit(state_dir: &Path, files: &[(&str, Option<&str>)]) {
    Store::new(state_dir).commit(&texts(files), &Given::new()).unwrap();
}

/// What the next start tells.
fn told(untold: &Untold) -> Vec<Change> {
    untold.found().into_iter().map(|happened| happened.change).collect()
}

/// The agent ends at each moment of a change: before `write`, and right after it.
#[track_caller]
fn cut_off(state_dir: &Path, what: &str, trace: &Trace, write: impl FnOnce()) {
    let untold = Untold::new(state_dir);
    let _ = untold.note(change(what), trace.clone()).unwrap();
    assert_eq!(told(&untold), [], "{what} has not happened");
    assert!(untold.notes().is_empty(), "and nobody asks again");
    let _ = untold.note(change(what), trace.clone()).unwrap();
    write();
    assert_eq!(told(&untold), [change(what)]);
    assert_eq!(told(&untold), [change(what)], "until it is durable in the log");
    for note in untold.notes().into_values() {
        forget(&note);
    }
}

#[test]
fn a_set_that_a_crash_cut_off_is_told_as_far_as_it_has_happened() {
    let directory = tempfile::tempdir().unwrap();
    let (state_dir, untold) = (directory.path(), Untold::new(directory.path()));
    let whole = [("a", Some("a = 1")), ("b", Some("b = 1")), ("c", None)];
    commit(state_dir, &[("c", Some("c = 1"))]);
    let (change, trace) = set(&whole);
    cut_off(state_dir, "destination.set", &trace, || commit(state_dir, &whole));
    commit(state_dir, &[("a", None), ("b", None), ("c", Some("c = 1"))]);
    let _ = untold.note(change, trace).unwrap();
    commit(state_dir, &whole[..1]);
    let [part] = told(&untold).try_into().unwrap();
    assert_eq!((&part.before, &part.after), (&json!({"a": "old"}), &json!({"a": "new"})), "cut off in the middle");
    // Somebody else wishes the rest, and the agent ends again before the log has either.
    let (rest, trace) = set(&whole[1..]);
    let note = untold.note(rest.clone(), trace).unwrap();
    commit(state_dir, &whole[1..]);
    let _ = note.happened();
    assert_eq!(told(&untold), [part, rest], "each is told of what it has done");
}

#[test]
fn a_pause_a_drain_and_their_end_that_a_crash_cut_off_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let id = DestinationId::from_text("a");
    let pauses = Pauses::open(directory.path(), &[id]);
    let pause = |drain| Some(Pause { who: "uid 0".to_owned(), since_ms: 7, drain });
    let drains = pause(Some(Drain { points: vec![9, 1], ended_ms: None }));
    for (what, wished) in
        [("destination.pause", pause(None)), ("destination.drain", drains), ("destination.resume", None)]
    {
        let keep = |rested: &Rested, write: &dyn Fn() -> io::Result<()>| {
            let trace = Trace::rest(id, rested.after.as_ref());
            cut_off(directory.path(), what, &trace, || write().unwrap());
            Ok(())
        };
        pauses.change(id, |_| Ok::<_, io::Error>(wished), keep, |_| {}).unwrap();
    }
}

#[test]
fn what_comes_later_hides_no_change_that_was_made_and_not_told() {
    let directory = tempfile::tempdir().unwrap();
    let untold = Untold::new(directory.path());
    let id = DestinationId::from_text("a");
    let pauses = Pauses::open(directory.path(), &[id]);
    let rest = |wished: Option<Pause>, what: &str| {
        let keep = |rested: &Rested, write: &dyn Fn() -> io::Result<()>| {
            let note = untold.note(change(what), Trace::rest(id, rested.after.as_ref()))?;
            note.after(write()).map(|((), _)| ())
        };
        pauses.change(id, |_| Ok::<_, io::Error>(wished), keep, |_| {}).unwrap();
    };
    rest(Some(Pause { who: "uid 0".to_owned(), since_ms: 7, drain: None }), "destination.pause");
    rest(None, "destination.resume");
    assert_eq!(told(&untold), [change("destination.pause"), change("destination.resume")], "in their order");
}

#[test]
fn a_token_that_is_made_or_revoked_when_a_crash_comes_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    fs::write(&path, format!("[agent]\nstate_dir = {:?}\n", directory.path().display().to_string())).unwrap();
    let here = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None };
    let access = Access::open(&Config::load(&path, &here).unwrap().0).unwrap();
    let keep = |what: &'static str, is_there: bool| {
        let state_dir = directory.path();
        move |line: &TokenLine, write: &dyn Fn() -> io::Result<()>| {
            let trace = Trace::Token { name: line.name.clone(), created_ms: line.created_ms, is_there };
            cut_off(state_dir, what, &trace, || write().unwrap());
            Ok(())
        }
    };
    let wish = TokenWish { name: "t".to_owned(), role: Role::Viewer, tenants: None, expires_ms: None };
    access.create_token(wish, "uid 0", keep("token.create", true)).unwrap();
    assert!(access.revoke_token("t", keep("token.revoke", false)).unwrap().is_some());
}

#[test]
fn a_dead_letter_that_is_edited_or_dropped_when_a_crash_comes_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let id = DestinationId::from_text("a");
    let open = || DeadLetters::open(&directory.path().join(DEAD_LETTERS), &id.bytes(), MAX_BYTES_DEFAULT, 7).unwrap().0;
    let mut store = open();
    let letter = |n| Letter {
        id: 0,
        key: Key { epoch: [0xaa; 16], n },
        shard: 0,
        raw: b"{}".to_vec(),
        reply: String::new(),
        reason: String::new(),
        wall_ms: 0,
        attempts: 1,
        edited_ms: None,
    };
    store.put(&[letter(1), letter(2)]).unwrap();
    let first = Place::new(id, &letter(1).key);
    let trace = Trace::Edited { letter: first.clone(), edited_ms: 7 };
    cut_off(directory.path(), "deadletter.edit", &trace, || drop(store.edit(1, b"{ }".to_vec(), 7).unwrap()));
    cut_off(directory.path(), "deadletter.drop", &Trace::Dropped(first), || {
        assert_eq!(store.drop_letters(&[1, 2].into()).unwrap(), 2);
    });
    let gone = Trace::Edited { letter: Place::new(id, &letter(1).key), edited_ms: 7 };
    assert_eq!(gone.shown(directory.path()), Shown::Nothing);
}

#[test]
fn what_is_asked_of_shards_is_told_when_a_crash_comes_after_the_note() {
    let directory = tempfile::tempdir().unwrap();
    let untold = Untold::new(directory.path());
    let _ = untold.note_asked(change("destination.replay")).unwrap();
    assert_eq!(told(&untold), [change("destination.replay")]);
}

#[test]
fn a_change_that_was_refused_is_not_told_but_for_what_the_disk_shows_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (state_dir, untold) = (directory.path(), Untold::new(directory.path()));
    let files = [("a", Some("a = 1")), ("b", Some("b = 1"))];
    let note = || {
        let (change, trace) = set(&files);
        untold.note(change, trace).unwrap()
    };
    let refused = || Err::<(), _>(io::Error::other("the disk refuses"));
    assert!(note().after(refused()).is_err());
    assert!(untold.notes().is_empty());
    let note = note();
    commit(state_dir, &files[..1]);
    assert!(note.after(refused()).is_err());
    assert_eq!(told(&untold).len(), 1, "what could not be put back is in force at the next start");
}

#[test]
fn a_note_that_can_not_be_read_tells_nothing_and_is_forgotten_and_a_trace_that_nobody_knows_tells() {
    let directory = tempfile::tempdir().unwrap();
    let untold = Untold::new(directory.path());
    fs::create_dir(directory.path().join(FOLDER)).unwrap();
    let write = |text: &str| fs::write(directory.path().join(FOLDER).join("1.json"), text).unwrap();
    write("{ torn");
    assert_eq!(told(&untold), []);
    assert!(untold.notes().is_empty());
    let mut note = serde_json::to_value(change("new")).unwrap();
    note["moved"] = json!({"of": "a newer version"});
    write(&note.to_string());
    assert_eq!(told(&untold), [change("new")]);
}

#[test]
fn there_are_no_more_notes_than_a_shard_holds_events_for() {
    let directory = tempfile::tempdir().unwrap();
    let untold = Untold::new(directory.path());
    let _ = untold.note_asked(change("first")).unwrap();
    for number in 2..=NOTES_MAX {
        fs::write(directory.path().join(FOLDER).join(format!("{number:016x}.json")), "").unwrap();
    }
    assert!(untold.note_asked(change("one more")).is_err());
}

#[test]
fn those_who_are_bound_to_tenants_leave_places_for_the_others_and_long_notes_take_more() {
    let directory = tempfile::tempdir().unwrap();
    let untold = Untold::new(directory.path());
    let bound = || Change { is_bound: true, ..change("bound") };
    let _ = untold.note_asked(bound()).unwrap();
    for number in 2..=NOTES_MAX / 2 {
        fs::write(directory.path().join(FOLDER).join(format!("{number:016x}.json")), "").unwrap();
    }
    assert!(untold.note_asked(bound()).is_err());
    let _ = untold.note_asked(change("free")).unwrap();
    let long = fs::File::create(directory.path().join(FOLDER).join(format!("{:016x}.json", 2))).unwrap();
    long.set_len(NOTES_BYTES_MAX).unwrap();
    assert!(untold.note_asked(change("no bytes")).is_err());
}

#[test]
fn a_long_change_is_told_with_sums_of_each_thing_and_of_all_where_those_are_too_many() {
    let one = |bytes: usize| json!({"name": "a", "tenants": "[\"acme\"]", "filter": "x".repeat(bytes)});
    let told = |before: Value, after: Value| {
        let told = Change { before, after, ..change("destination.set") }.short();
        assert!(told.before.to_string().len() + told.after.to_string().len() <= EVENT_BYTES_MAX);
        assert_eq!(told.clone().short(), told);
        (told.before, told.after)
    };
    assert_eq!(told(Value::Null, one(9)), (Value::Null, one(9)));
    let sum = summed(&one(EVENT_BYTES_MAX));
    assert_eq!((&sum["name"], &sum["tenants"], &sum["filter"]), (&json!("a"), &json!("[\"acme\"]"), &Value::Null));
    assert_eq!(sum["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(told(one(9), one(EVENT_BYTES_MAX)), (summed(&one(9)), sum.clone()));
    let set = json!({"a": one(EVENT_BYTES_MAX), "b": null});
    assert_eq!(told(json!({"a": null, "b": null}), set).1, json!({"a": sum, "b": null}));
    let many: Map<_, _> = (0..4_096).map(|number| (number.to_string(), one(64))).collect();
    let many = Value::from(many);
    assert_eq!(told(Value::Null, many.clone()), (Value::Null, summed(&many)));
}

/// A change that was noted and is told, and the shard that hears it.
fn telling(directory: &Path) -> (Happened, Hands, Arc<Mailbox>) {
    let mailbox = Arc::new(Mailbox::default());
    let hands = Hands::new(vec![Arc::clone(&mailbox)], Arc::new(Pauses::open(directory, &[])));
    let happened = Untold::new(directory).note_asked(change("it")).unwrap();
    (happened, hands, mailbox)
}

/// What the shard has to say of it, if it was told since this was asked last.
fn heard(mailbox: &Mailbox) -> Option<Done> {
    let mut mail = Mail::default();
    mailbox.take(&mut mail);
    match mail.commands.pop()? {
        Command::TellDurably(None, OwnEvent::ConfigChanged(_), done) => Some(done),
        _ => panic!("something else is asked"),
    }
}

#[tokio::test]
async fn a_note_stays_until_the_event_is_durable_however_long_that_takes() {
    let directory = tempfile::tempdir().unwrap();
    let (happened, hands, mailbox) = telling(directory.path());
    let (noted, durable) = (happened.note.clone(), happened.told(&hands));
    let done = heard(&mailbox).unwrap();
    let forgets = tokio::spawn(happened.forget_when_durable(durable, hands, TELL_AGAIN_AFTER));
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    assert!(noted.exists() && !forgets.is_finished(), "a log without room has not taken it");
    done(Outcome::Durable);
    forgets.await.unwrap();
    assert!(!noted.exists());
}

#[tokio::test]
async fn a_change_is_told_again_where_the_event_does_not_get_into_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let (happened, hands, mailbox) = telling(directory.path());
    let (noted, durable) = (happened.note.clone(), happened.told(&hands));
    let mut done = heard(&mailbox);
    let forgets = tokio::spawn(happened.forget_when_durable(durable, hands, Duration::from_millis(1)));
    done.take().unwrap()(Outcome::Failed { why: "the disk did not keep it".to_owned() });
    for has_room in [false, true] {
        while done.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            done = heard(&mailbox);
        }
        assert!(noted.exists(), "it is not in the log");
        // Where there is no room the shard drops it.
        if let Some(done) = done.take().filter(|_| has_room) {
            done(Outcome::Durable);
        }
    }
    forgets.await.unwrap();
    assert!(!noted.exists());
}

#[tokio::test]
async fn a_note_stays_for_the_next_start_where_no_log_can_have_the_event() {
    let directory = tempfile::tempdir().unwrap();
    let (happened, hands, mailbox) = telling(directory.path());
    let (noted, durable) = (happened.note.clone(), happened.told(&hands));
    heard(&mailbox).unwrap()(Outcome::Refused { why: "it is longer than a segment".to_owned(), retry_after_s: 0 });
    happened.forget_when_durable(durable, hands, TELL_AGAIN_AFTER).await;
    assert!(noted.exists() && heard(&mailbox).is_none());
}
