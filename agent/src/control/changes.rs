//! Who changed what: pages of the chronicle, the newest change first.
//!
//! A page costs what it shows: the chronicle knows where its changes lie, and goes backwards from where the last page ended.
//! Who is bound to tenants is told of changes of theirs, and that there may be others.

use std::io;

use memchr::memmem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::access::Reach;
use super::agent_events::{AgentEvent, is_shown};
use crate::chronicle::{Chronicle, Cursor, Kept, Room, Topic};

/// A page of changes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// The newest first: events of the action `siem.config_changed`.
    pub changes: Vec<AgentEvent>,
    /// What to ask for next as `before`; `null` where nothing older is kept.
    pub next: Option<String>,
    /// The tenants whose changes these are, for whoever is bound to tenants: changes of others are not told. `null` for
    /// whoever sees all.
    pub only_tenants: Option<Vec<String>>,
    /// There may have been changes that are not kept: the agent keeps the newest few MiB of what it tells of itself.
    #[serde(default)]
    pub is_lossy: bool,
}

/// Which changes are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Those of this alone.
    pub(super) of: Option<String>,
    /// Those before this place.
    pub(super) before: Option<Cursor>,
    /// How many at most.
    pub(super) limit: usize,
}

/// A change that somebody made, as far as its event says.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Change {
    pub(super) timestamp: String,
    #[serde(default)]
    pub(super) tenant_id: String,
    pub(super) payload: Made,
}

/// What was done.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Made {
    pub(super) who: String,
    pub(super) via: String,
    pub(super) what: String,
    pub(super) target: String,
    #[serde(default)]
    pub(super) before: Value,
    #[serde(default)]
    pub(super) after: Value,
}

/// A page of the changes within `reach`. Blocks on the disk.
///
/// # Errors
/// When the chronicle can't be read.
pub(super) fn page(chronicle: &Chronicle, wish: &Wish, reach: &Reach) -> io::Result<Changes> {
    let room = Room { events: wish.limit, bytes: BYTES_MAX };
    let is_wanted = |line: &[u8]| is_within(line, reach) && wish.of.as_deref().is_none_or(|of| is_of(line, of));
    let newest = chronicle.newest(Topic::Change, wish.before, room, is_wanted)?;
    let next = newest.events.last().filter(|_| newest.has_more).map(|kept| kept.cursor.to_string());
    let only_tenants = match reach {
        Reach::All => None,
        Reach::Tenants(own) => Some(own.iter().cloned().collect()),
    };
    let changes = newest.events.iter().filter_map(told).collect();
    Ok(Changes { changes, next, only_tenants, is_lossy: newest.is_lossy })
}

fn told(kept: &Kept) -> Option<AgentEvent> {
    Some(AgentEvent { cursor: kept.cursor.to_string(), event: serde_json::from_slice(&kept.line).ok()? })
}

/// Whether a change is one of a tenant within `reach`. Most that are not don't name it at all, and need not be read.
fn is_within(line: &[u8], reach: &Reach) -> bool {
    let may_be = match reach {
        Reach::All => return true,
        Reach::Tenants(own) => own.iter().any(|tenant| holds(line, tenant)),
    };
    may_be && is_shown(line, reach)
}

fn is_of(line: &[u8], name: &str) -> bool {
    holds(line, name) && serde_json::from_slice::<Change>(line).is_ok_and(|change| change.is_of(name))
}

/// Whether a text stands anywhere in a line of JSON.
fn holds(line: &[u8], text: &str) -> bool {
    // As the line writes it.
    let written = serde_json::to_string(text).unwrap_or_default();
    let inside = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    memmem::find(line, inside.as_bytes()).is_some()
}

impl Change {
    /// Whether it is one of `name`, alone or among others: a set that is put whole and a reload tell of each destination
    /// in a member of its own, and one that was given another name had this one before.
    fn is_of(&self, name: &str) -> bool {
        let Made { what, target, before, after, .. } = &self.payload;
        let (whole, head) = (format!("destination \"{name}\""), format!("destination \"{name}\" "));
        let is_called = |value: &Value| value.get("name").and_then(Value::as_str) == Some(name);
        let is_member = |(key, value): (&String, &Value)| *key == whole || key.starts_with(&head) || is_called(value);
        let tells = |side: &Value| is_called(side) || side.as_object().is_some_and(|all| all.iter().any(is_member));
        let is_of_destinations = what.starts_with("destination.") || what == "config.reload";
        target == name || is_of_destinations && (tells(before) || tells(after))
    }
}

/// Bytes of changes on a page at most, the first one apart: a set of destinations that was put whole is a long one.
const BYTES_MAX: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(n: u32, tenant: &str, target: &str) -> Value {
        json!({"action": "siem.config_changed", "n": n, "timestamp": "", "tenant_id": tenant,
            "payload": {"who": "x", "via": "api", "what": "destination.pause", "target": target}})
    }

    /// A chronicle of these changes with something else after each.
    fn chronicle(directory: &std::path::Path, changes: &[Value]) -> Chronicle {
        let (chronicle, _) = Chronicle::open(directory, 1).unwrap();
        for change in changes {
            chronicle.note(change.to_string().into_bytes());
            chronicle.note(br#"{"action":"siem.agent_started","tenant_id":"acme","payload":{"target":"a"}}"#.to_vec());
        }
        chronicle.close();
        chronicle.write();
        chronicle
    }

    /// Everything that pages of `limit` hold, and how many pages these are.
    fn all(chronicle: &Chronicle, of: Option<&str>, limit: usize, reach: &Reach) -> (Vec<u64>, usize) {
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut wish = Wish { of: of.map(str::to_owned), before: None, limit };
        loop {
            let page = page(chronicle, &wish, reach).unwrap();
            let numbers = page.changes.iter().map(|one| serde_json::from_str::<Value>(one.event.get()).unwrap());
            seen.extend(numbers.filter_map(|event| event["n"].as_u64()));
            pages += 1;
            let Some(next) = page.next else { return (seen, pages) };
            wish.before = Some(next.parse().unwrap());
        }
    }

    #[test]
    fn pages_hold_every_change_once_the_newest_first_and_those_of_one_thing_alone() {
        let directory = tempfile::tempdir().unwrap();
        let changes: Vec<Value> = (0..9).map(|n| line(n, "_agent", if n % 3 == 0 { "a" } else { "a \"b\"" })).collect();
        let chronicle = chronicle(directory.path(), &changes);
        assert_eq!(all(&chronicle, None, 4, &Reach::All), ((0..9).rev().collect(), 3));
        assert_eq!(all(&chronicle, Some("a"), 2, &Reach::All), (vec![6, 3, 0], 2));
        assert_eq!(all(&chronicle, Some("a \"b\""), 9, &Reach::All).0, [8, 7, 5, 4, 2, 1]);
        assert_eq!(all(&chronicle, Some("b"), 9, &Reach::All), (vec![], 1));
    }

    #[test]
    fn who_is_bound_to_tenants_gets_their_changes_and_is_told_that_these_are_theirs_alone() {
        let directory = tempfile::tempdir().unwrap();
        let tenants = ["_agent", "acme", "other", "acme"];
        let changes: Vec<Value> = (0..4).map(|n| line(n, tenants[n as usize], "acme")).collect();
        let chronicle = chronicle(directory.path(), &changes);
        let acme = Reach::Tenants(["acme".to_owned()].into());
        assert_eq!(all(&chronicle, None, 1, &acme), (vec![3, 1], 2));
        assert_eq!(all(&chronicle, Some("acme"), 9, &acme), (vec![3, 1], 1));
        let told = |reach: &Reach| {
            let page = page(&chronicle, &Wish { limit: 1, ..Wish::default() }, reach).unwrap();
            serde_json::to_value(page).unwrap()["only_tenants"].clone()
        };
        assert_eq!((told(&acme), told(&Reach::All)), (json!(["acme"]), Value::Null));
        let nobody = Reach::Tenants(["nobody".to_owned()].into());
        assert_eq!(all(&chronicle, None, 9, &nobody), (vec![], 1), "nothing tells how many others there are");
    }

    #[test]
    fn a_page_of_long_changes_ends_early() {
        let directory = tempfile::tempdir().unwrap();
        let long = |n| line(n, "_agent", &"x".repeat(BYTES_MAX / 2));
        let chronicle = chronicle(directory.path(), &[long(0), long(1), long(2)]);
        assert_eq!(all(&chronicle, None, 50, &Reach::All), (vec![2, 1, 0], 3));
    }

    #[test]
    fn a_change_among_others_is_one_of_each_that_it_touches_under_either_name() {
        let of = |name: &str, what: &str, target: &str, before: Value, after: Value| {
            let payload =
                json!({"who": "x", "via": "api", "what": what, "target": target, "before": before, "after": after});
            is_of(json!({"timestamp": "", "payload": payload}).to_string().as_bytes(), name)
        };
        let one = |name: &str| json!({"name": name, "url": "b"});
        let set =
            |name| of(name, "destination.set", "destinations", json!({"id-a": one("a")}), json!({"id-a": one("c")}));
        assert!(set("a") && set("c") && set("destinations") && !set("b") && !set("id-a"));
        let renamed = |name| of(name, "destination.change", "c", one("a"), one("c"));
        assert!(renamed("a") && renamed("c") && !renamed("b"));
        let reload = |name| {
            let before = json!({"destination \"a\" url": "x", "log.level": "info"});
            let after = json!({"destination \"a\" url": "y", "log.level": "warn", "destination \"new\"": one("new")});
            of(name, "config.reload", "agent.toml", before, after)
        };
        assert!(reload("a") && reload("new") && reload("agent.toml"));
        assert!(!reload("url") && !reload("log.level") && !reload("ne"));
        let token = |name| of(name, "token.create", "ci", Value::Null, json!({"name": "a"}));
        assert!(token("ci") && !token("a"), "a token of the same name is another thing");
    }
}
