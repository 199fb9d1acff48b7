//! The dead letters of destinations that are gone: how they are told of, and how they make room for others.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::StoreLine;
use crate::config::DestinationId;
use crate::control::destinations::moment;
use crate::control::untold::{Change, Place, Trace, Untold};
use crate::deadletter::gone::{GONE_MAX_BYTES, Gone};
use crate::deadletter::{DeadLetters, Key};
use crate::node::{DEAD_LETTERS, Hands, View};

/// A store of theirs.
pub(crate) fn line(gone: Gone) -> StoreLine {
    let Gone { name, since_ms, events, bytes, .. } = gone;
    StoreLine { destination: name, events, bytes, max_bytes: GONE_MAX_BYTES, gone_since_ms: Some(since_ms) }
}

/// Drops the letters of those that went first, as far as there is no room for them. Each is noted before, dropped and then
/// told, as what people change is. Returns whether there is room now; where the disk refuses something there may be none.
/// Blocks on the disk.
pub(in crate::control) fn make_room(view: &View, hands: &Hands, untold: &Untold) -> bool {
    let beyond = match view.stores.beyond_bound(&view.state_dir, &view.config()) {
        Ok(beyond) => beyond,
        Err(problem) => {
            tracing::warn!("what destinations that are gone have left can't be counted: {problem}");
            return false;
        }
    };
    let mut is_done = true;
    for gone in beyond {
        let keep = |drop: &dyn Fn() -> io::Result<()>| {
            let note = untold.note(dropped(&gone), trace(&view.state_dir, &gone))?;
            note.after(drop()).map(|((), happened)| happened)
        };
        match view.stores.drop_gone(&view.state_dir, &view.config(), &gone, keep) {
            Ok(Some(happened)) => {
                happened.tell(hands);
                tracing::warn!(
                    destination = %gone.name,
                    "{} dead letters of a destination that is gone were dropped: there is no room for more",
                    gone.events
                );
            }
            // It is back.
            Ok(None) => {}
            Err(problem) => {
                is_done = false;
                tracing::error!(
                    destination = %gone.name,
                    "dead letters of a destination that is gone can't be dropped: {problem}"
                );
            }
        }
    }
    is_done
}

/// What the audit trail says of it.
fn dropped(gone: &Gone) -> Change {
    Change {
        tenant: None,
        who: "the agent".to_owned(),
        via: "agent".to_owned(),
        what: "deadletter.drop".to_owned(),
        target: gone.name.clone(),
        before: json!({
            "dead_letters": gone.events, "bytes": gone.bytes, "gone_since": moment(gone.since_ms),
            "why": format!("destinations that are gone keep {GONE_MAX_BYTES} bytes together"),
        }),
        after: Value::Null,
        is_bound: false,
    }
}

/// What the disk shows of it: one letter stands for all, also should the destination be back by then with an empty store. Of
/// a file that can't be read nobody can tell whether it holds a letter, so any will do: it is gone when the file is.
fn trace(state_dir: &Path, gone: &Gone) -> Trace {
    let look = DeadLetters::look(&state_dir.join(DEAD_LETTERS), &gone.id).ok().flatten();
    let first = look.and_then(|look| look.store().keys().next().map(|(_, key)| key));
    let first = first.unwrap_or(Key { epoch: [0; 16], n: 0 });
    Trace::Dropped(Place::new(DestinationId::from_bytes(gone.id), &first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadletter::Letter;
    use crate::deadletter::gone::drop_letters;

    #[test]
    fn what_is_dropped_is_told_with_how_many_and_of_whom() {
        let gone = Gone { id: [1; 16], name: "left".to_owned(), since_ms: 0, events: 12, bytes: 4_096 };
        let told = dropped(&gone);
        assert_eq!((told.what.as_str(), told.target.as_str()), ("deadletter.drop", "left"));
        assert_eq!(told.before["dead_letters"], 12);
        assert_eq!(told.before["gone_since"], "1970-01-01T00:00:00.000Z");
        assert_eq!(line(gone).gone_since_ms, Some(0));
    }

    #[test]
    fn what_was_dropped_when_a_crash_came_is_told_and_what_was_not_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (at, untold) = (directory.path(), Untold::new(directory.path()));
        let stores = at.join(DEAD_LETTERS);
        let gone = |id| Gone { id, name: "left".to_owned(), since_ms: 0, events: 1, bytes: 4_096 };
        let (readable, other) = (gone([1; 16]), gone([2; 16]));
        let letter = Letter {
            id: 0,
            key: Key { epoch: [7; 16], n: 1 },
            shard: 0,
            raw: b"{}".to_vec(),
            reply: String::new(),
            reason: String::new(),
            wall_ms: 0,
            attempts: 1,
            edited_ms: None,
        };
        let open = || DeadLetters::open(&stores, &readable.id, GONE_MAX_BYTES, 7).unwrap().0;
        open().put(&[letter]).unwrap();
        std::fs::write(stores.join(format!("{}.dl", DestinationId::from_bytes(other.id))), [1; 5_000]).unwrap();

        let _ = untold.note(dropped(&readable), trace(at, &readable)).unwrap();
        assert_eq!(untold.found().len(), 0, "it is there");
        let _ = untold.note(dropped(&readable), trace(at, &readable)).unwrap();
        drop_letters(&stores, &readable.id).unwrap();
        drop(open());
        assert_eq!(untold.found().len(), 1, "although the destination is back");
        let _ = untold.note(dropped(&other), trace(at, &other)).unwrap();
        assert_eq!(untold.found().len(), 1, "nobody can read what is there");
        drop_letters(&stores, &other.id).unwrap();
        assert_eq!(untold.found().len(), 2);
    }
}
