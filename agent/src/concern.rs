//! Whom an event of the agent's own concerns, for those who read the chronicle and may see some tenants only.
//!
//! An event is filed under one tenant (`tenant_id`): the only one of the destination that it is about, or the agent's own.
//! Of a destination that has several tenants nobody could tell any more who they were, so its events name them beside that:
//! `"of_tenants":["acme","globex"]`, the last member. Only the chronicle has it; what goes to a SIEM is as it was.
//!
//! Always true: who reads an event by its `of_tenants` may see every tenant that is named there, and so the destination.

use scaidrive_codecs::own::{ConfigChanged, OwnEvent};
use serde::Deserialize;
use serde_json::Value;

/// Adds the tenants to an event, a line of JSON. One tenant files it already, and more than [`NAMED_MAX`] are not named.
pub fn name(mut line: Vec<u8>, tenants: &[String]) -> Vec<u8> {
    if (2..=NAMED_MAX).contains(&tenants.len())
        && let Ok(named) = serde_json::to_vec(tenants)
        && line.pop_if(|last| *last == b'}').is_some()
    {
        line.extend_from_slice(b",\"of_tenants\":");
        line.extend_from_slice(&named);
        line.push(b'}');
    }
    line
}

/// Whom an event says that it concerns.
#[derive(Debug, Deserialize)]
pub struct Concern {
    /// The tenant that it is filed under.
    pub tenant_id: String,
    /// The tenants of its destination, where those are several.
    #[serde(default)]
    pub of_tenants: Vec<String>,
}

/// The tenants of all destinations that a change says were or are set up otherwise; none where it says nothing of that.
pub fn set_up_for(event: &OwnEvent) -> Vec<String> {
    let OwnEvent::ConfigChanged(ConfigChanged { what, before, after, .. }) = event else { return Vec::new() };
    if !what.starts_with("destination.") {
        return Vec::new();
    }
    // A set that is put whole tells of each destination in a member of its own.
    let members = |side| Value::as_object(side).into_iter().flat_map(|members| members.values());
    let sides = [before, after].into_iter().flat_map(|side| std::iter::once(side).chain(members(side)));
    let mut tenants: Vec<String> = sides.flat_map(tenants_of).collect();
    tenants.sort_unstable();
    tenants.dedup();
    tenants
}

/// The tenants among a destination's settings, as the audit trail tells them: a list as text.
fn tenants_of(settings: &Value) -> Vec<String> {
    let list = settings.get("tenants").and_then(Value::as_str);
    list.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default()
}

/// An event is short, and the chronicle has room for few: a destination of more tenants is one for operators.
const NAMED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn several_tenants_are_named_and_one_or_too_many_are_not() {
        let line = || br#"{"tenant_id":"_agent","payload":{}}"#.to_vec();
        let named = name(line(), &of(&["acme", "glo\"bex"]));
        let read: Concern = serde_json::from_slice(&named).unwrap();
        assert_eq!((read.tenant_id.as_str(), read.of_tenants), ("_agent", of(&["acme", "glo\"bex"])));
        assert!(serde_json::from_slice::<Value>(&named).is_ok());
        let many: Vec<String> = (0..=NAMED_MAX).map(|number| number.to_string()).collect();
        for tenants in [&[][..], &of(&["acme"]), &many] {
            assert_eq!(name(line(), tenants), line());
            assert!(serde_json::from_slice::<Concern>(&line()).unwrap().of_tenants.is_empty());
        }
    }

    #[test]
    fn a_change_concerns_the_tenants_before_and_after_and_of_each_destination_of_a_set() {
        let change = |what: &str, before: Value, after: Value| {
            set_up_for(&OwnEvent::ConfigChanged(ConfigChanged {
                who: "x".to_owned(),
                via: "api".to_owned(),
                what: what.to_owned(),
                target: "a".to_owned(),
                before,
                after,
            }))
        };
        let one = |tenants: &str| json!({"name": "a", "tenants": tenants});
        let moved = change("destination.change", one("[\"acme\"]"), one("[\"globex\", \"acme\"]"));
        assert_eq!(moved, of(&["acme", "globex"]));
        assert_eq!(change("destination.delete", one("[\"acme\"]"), Value::Null), of(&["acme"]));
        let set = change("destination.set", json!({"k": one("[\"acme\"]")}), json!({"k": null, "l": one("[\"*\"]")}));
        assert_eq!(set, of(&["*", "acme"]));
        assert_eq!(change("destination.pause", json!({"paused": false}), json!({"paused": true})), of(&[]));
        assert_eq!(change("token.create", Value::Null, one("[\"acme\", \"globex\"]")), of(&[]), "it is no destination");
    }
}
