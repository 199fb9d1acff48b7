//! The dead letters of destinations that are gone: how they are told of, and how they make room for others.

use std::sync::mpsc;
use std::time::Duration;

use scaidrive_codecs::own::{ConfigChanged, OwnEvent};
use serde_json::{Value, json};

use super::StoreLine;
use crate::control::destinations::moment;
use crate::deadletter::gone::{GONE_MAX_BYTES, Gone};
use crate::node::{Hands, View};
use crate::shard::door::Outcome;

/// A store of theirs.
pub(crate) fn line(gone: Gone) -> StoreLine {
    let Gone { name, since_ms, events, bytes, .. } = gone;
    StoreLine { destination: name, events, bytes, max_bytes: GONE_MAX_BYTES, gone_since_ms: Some(since_ms) }
}

/// Drops the letters of those that went first, as far as there is no room for them. That is durable in the audit trail
/// before it is done: should the agent end in between, it is told twice. Blocks on the disk and on a shard.
pub(in crate::control) fn make_room(view: &View, hands: &Hands) {
    let beyond = match view.stores.beyond_bound(&view.state_dir) {
        Ok(beyond) => beyond,
        Err(problem) => {
            tracing::warn!("what destinations that are gone have left can't be counted: {problem}");
            return;
        }
    };
    for gone in beyond {
        let (done, durable) = mpsc::channel();
        // Who waited for it may have given up.
        hands.tell_durably(None, dropped(&gone), Box::new(move |outcome| drop(done.send(outcome))));
        if durable.recv_timeout(TOLD_WITHIN) != Ok(Outcome::Durable) {
            tracing::warn!("dead letters of destinations that are gone stay, because the log does not take the event");
            return;
        }
        match view.stores.drop_gone(&view.state_dir, &gone) {
            Ok(()) => tracing::warn!(
                destination = %gone.name,
                "{} dead letters of a destination that is gone were dropped: there is no room for more",
                gone.events
            ),
            Err(problem) => tracing::error!(
                destination = %gone.name,
                "dead letters of a destination that is gone can't be dropped: {problem}"
            ),
        }
    }
}

/// What the audit trail says of it.
fn dropped(gone: &Gone) -> OwnEvent {
    OwnEvent::ConfigChanged(ConfigChanged {
        who: "the agent".to_owned(),
        via: "agent".to_owned(),
        what: "deadletter.drop".to_owned(),
        target: gone.name.clone(),
        before: json!({
            "dead_letters": gone.events, "bytes": gone.bytes, "gone_since": moment(gone.since_ms),
            "why": format!("destinations that are gone keep {GONE_MAX_BYTES} bytes together"),
        }),
        after: Value::Null,
    })
}

/// How long the log may take to take such an event.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_told_with_how_many_and_of_whom() {
        let gone = Gone { id: [1; 16], name: "left".to_owned(), since_ms: 0, events: 12, bytes: 4_096 };
        let OwnEvent::ConfigChanged(told) = dropped(&gone) else { panic!("it is a change") };
        assert_eq!((told.what.as_str(), told.target.as_str()), ("deadletter.drop", "left"));
        assert_eq!(told.before["dead_letters"], 12);
        assert_eq!(told.before["gone_since"], "1970-01-01T00:00:00.000Z");
        assert_eq!(line(gone).gone_since_ms, Some(0));
    }
}
