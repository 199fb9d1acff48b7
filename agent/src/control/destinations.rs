//! Destinations as the admin API tells of them, and the audit events of what an operator does to them.

use std::sync::Arc;

use scaidrive_codecs::own::OwnEvent;
use scaidrive_codecs::time::write_rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::config::{Config, Destination, nearest};
use crate::control::access::{Person, Reach};
use crate::control::http::Panel;
use crate::control::managed::tell::Editable;
use crate::control::proof::Proof;
use crate::control::status::{DestinationStatus, ReplayStatus};
use crate::control::untold::Change;
use crate::control::whole;
use crate::node::Pause;

/// One destination with everything.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DestinationWhole {
    /// Every key with its value, as people write them; where a secret is kept in place of the secret.
    #[schema(value_type = std::collections::BTreeMap<String, Option<String>>)]
    pub settings: Map<String, Value>,
    /// Where it is configured, and what to send to change it.
    #[serde(flatten)]
    pub editable: Editable,
    /// How it is.
    pub status: DestinationStatus,
    /// What proves that nothing is missing there.
    #[serde(default)]
    pub proof: Proof,
}

/// What became of a pause, of draining, or of their end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Paused {
    /// The destination's name.
    pub destination: String,
    /// Whether it was otherwise before.
    pub is_changed: bool,
    /// Who had paused or drained it until now.
    pub before: Option<Pause>,
    /// Who has paused or drains it.
    pub after: Option<Pause>,
    /// How long events stay in the log for it.
    pub window_ms: u64,
    /// Whether producers wait for it rather than it losing events.
    pub holds_producers: bool,
}

/// What is to be sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayWish {
    /// What was accepted since then, ms since 1970; without it all that the log holds.
    #[serde(default, deserialize_with = "whole::optional")]
    #[schema(example = 1_778_594_400_000_i64)]
    pub from_ms: Option<i64>,
}

/// What became of the wish for a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replayed {
    /// The destination's name.
    pub destination: String,
    /// When the oldest event that the log holds was accepted; `null` where it holds none.
    pub oldest_ms: Option<i64>,
    /// How far it has come.
    pub replay: ReplayStatus,
    /// Who has paused the destination, if somebody has: then the replay waits.
    pub pause: Option<Pause>,
}

/// What came of a test, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    /// Whether the settings are those in the configuration's files.
    pub is_saved: bool,
    /// Whether all went well.
    pub ok: bool,
    /// Which stage failed.
    pub stage: Option<String>,
    /// By which cause.
    pub code: Option<String>,
    /// The event that was sent, if that was reached.
    pub event_id: Option<String>,
}

/// A name that no destination has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// What was asked for.
    pub(crate) what: String,
    /// What may have been meant.
    pub(crate) advice: String,
}

/// The configured destination of this name, among those that `person` may see.
///
/// # Errors
/// When none of them has it.
pub(in crate::control) fn find_for(person: &Person, config: &Config, name: &str) -> Result<Arc<Destination>, Unknown> {
    find_among(config.destinations.iter().filter(|known| person.sees(known)), name)
}

/// The configured destination of this name.
///
/// # Errors
/// When none has it.
pub(crate) fn find(config: &Config, name: &str) -> Result<Arc<Destination>, Unknown> {
    find_among(config.destinations.iter(), name)
}

fn find_among<'a>(
    known: impl Iterator<Item = &'a Arc<Destination>> + Clone,
    name: &str,
) -> Result<Arc<Destination>, Unknown> {
    known.clone().find(|known| known.name == name).cloned().ok_or_else(|| {
        let known: Vec<&str> = known.map(|known| known.name.as_str()).collect();
        Unknown { what: format!("there is no destination \"{name}\""), advice: meant(name, &known) }
    })
}

fn meant(name: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("did you mean \"{near}\"?");
    }
    let named = known.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    match known.len().saturating_sub(NAMED_MAX) {
        _ if known.is_empty() => "configure one first; there are none".to_owned(),
        0 => format!("name one of {named}"),
        more => format!("name one of {named} and {more} more"),
    }
}

/// A destination's settings, absent ones as `null`.
pub(super) fn settings(destination: &Destination) -> Map<String, Value> {
    valued(destination.settings())
}

/// The same as `person` may know it: who is bound to tenants is not told what files the machine has.
pub(super) fn settings_for(person: &Person, destination: &Destination) -> Map<String, Value> {
    match person.reach {
        Reach::All => settings(destination),
        Reach::Tenants(_) => valued(destination.settings_without_places()),
    }
}

/// A destination before and after a change as the audit trail has it, which who is bound to tenants reads too: not what files
/// the machine has, but that it keeps another secret, or another file, than before.
pub(super) fn settings_told(before: Option<&Destination>, after: Option<&Destination>) -> (Value, Value) {
    let told = |found: Option<&Destination>| found.map(|found| valued(found.settings_without_places()));
    let (old_told, mut new_told) = (told(before), told(after));
    if let (Some(before), Some(after), Some(old_told), Some(new_told)) = (before, after, &old_told, &mut new_told) {
        let (old, new) = (settings(before), settings(after));
        for (key, value) in new_told {
            if old.get(key) != new.get(key) && old_told.get(key) == Some(&*value) {
                *value = json!(ANOTHER);
            }
        }
    }
    (old_told.into(), new_told.into())
}

fn valued(settings: Vec<(&'static str, Option<String>)>) -> Map<String, Value> {
    settings.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect()
}

/// Tells what was done to a destination, filed under its only tenant if it has one, and for those who may see all it has: as
/// whoever did it saw it, whatever the shards know of the name by the time that they hear of it.
pub(super) fn tell_about(panel: &Panel, destination: &Destination, event: OwnEvent) {
    panel.hands.tell_under(Some(destination.scope.clone()), event);
}

/// Somebody tested a destination, which need not be in the configuration that is in use. It changes nothing, so it is told
/// without a note; see `untold/` for what does.
pub(super) fn tested_event(person: &Person, name: &str, tested: &Tested) -> OwnEvent {
    Change::by(person, "destination.test", name, Value::Null, json!(tested)).event()
}

/// A pause in an audit event.
pub(super) fn pause_value(pause: Option<&Pause>) -> Value {
    match pause {
        None => json!({"paused": false}),
        Some(Pause { who, since_ms, drain: None }) => json!({"paused": true, "by": who, "since": moment(*since_ms)}),
        Some(Pause { who, since_ms, drain: Some(drain) }) => json!({
            "paused": drain.ended_ms.is_some(), "drains": true, "by": who, "since": moment(*since_ms), "points": drain.points,
        }),
    }
}

/// A replay in an audit event. Without a moment it is of all that the log holds.
pub(super) fn replay_value(state: &str, from_ms: Option<i64>) -> Value {
    json!({"replay": state, "from": from_ms.map(moment)})
}

/// A moment as the audit trail writes it (RFC 3339, UTC).
pub(super) fn moment(epoch_ms: i64) -> String {
    let mut text = Vec::new();
    write_rfc3339(epoch_ms, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// What stands in place of the place of a secret or a file that is not the one from before.
const ANOTHER: &str = "kept on the machine, another one than before";
/// Names that are listed where none is near.
const NAMED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::access::{Role, Via};
    use crate::node::Drain;

    #[test]
    fn a_name_that_is_nearly_right_is_suggested_and_else_those_there_are() {
        assert_eq!(meant("splnk", &["elastic", "splunk"]), "did you mean \"splunk\"?");
        assert_eq!(meant("x", &["elastic", "splunk"]), "name one of elastic, splunk");
        assert_eq!(meant("x", &[]), "configure one first; there are none");
        let many: Vec<String> = (0..20).map(|number| format!("siem-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(meant("nothing-like-it", &many).ends_with("siem-7 and 12 more"));
    }

    #[test]
    fn who_is_bound_to_tenants_is_not_told_where_the_machine_keeps_what() {
        let destination = crate::control::tests::hec("splunk");
        let told = |reach: Reach| {
            let person = Person { who: "a".to_owned(), via: Via::Api, role: Role::Admin, reach };
            settings_for(&person, &destination)
        };
        let (all, bound) = (told(Reach::All), told(Reach::Tenants(["acme".to_owned()].into())));
        assert_eq!(
            (&all["token"], &bound["token"]),
            (&json!("environment variable TOKEN"), &json!("kept on the machine"))
        );
        assert_eq!((&bound["url"], &bound["tls.ca_file"]), (&all["url"], &Value::Null), "the rest is as it is");
        let differ = all.iter().filter(|(key, value)| bound[*key] != **value).count();
        assert_eq!(differ, 1, "{bound:?}");
    }

    #[test]
    fn the_audit_trail_says_that_a_secret_is_another_one_and_not_where_either_lies() {
        let old = crate::control::tests::hec("splunk");
        let (none, made) = settings_told(None, Some(&old));
        assert_eq!(
            (none, &made["token"], &made["name"]),
            (Value::Null, &json!("kept on the machine"), &json!("splunk"))
        );
        let same = settings_told(Some(&old), Some(&old));
        assert_eq!(same.0, same.1);
        let mut other = (*old).clone();
        other.tls.ca_file = Some("/etc/one.pem".into());
        let mut another = other.clone();
        another.tls.ca_file = Some("/etc/other.pem".into());
        let (_, first) = settings_told(Some(&old), Some(&other));
        assert_eq!(first["tls.ca_file"], "kept on the machine");
        let (before, after) = settings_told(Some(&other), Some(&another));
        assert_eq!((&before["tls.ca_file"], &after["tls.ca_file"]), (&json!("kept on the machine"), &json!(ANOTHER)));
        assert_eq!((&after["token"], settings_told(Some(&old), None).1), (&json!("kept on the machine"), Value::Null));
    }

    #[test]
    fn a_test_in_the_audit_trail_says_who_and_what_came_of_it() {
        let person = Person { who: "uid 0".to_owned(), via: Via::Cli, role: Role::Admin, reach: Reach::All };
        let tested = Tested {
            is_saved: false,
            ok: false,
            stage: Some("tls".to_owned()),
            code: Some("certificate_expired".to_owned()),
            event_id: None,
        };
        let OwnEvent::ConfigChanged(event) = tested_event(&person, "new", &tested) else { panic!() };
        assert_eq!(
            (event.who.as_str(), event.what.as_str(), event.target.as_str()),
            ("uid 0", "destination.test", "new")
        );
        assert_eq!((&event.after["code"], &event.after["is_saved"]), (&json!("certificate_expired"), &json!(false)));
    }

    #[test]
    fn an_audit_event_says_who_paused_and_since_when_or_from_when_is_sent_again() {
        let pause = Pause { who: "uid 0".to_owned(), since_ms: 0, drain: None };
        assert_eq!(
            pause_value(Some(&pause)),
            json!({"paused": true, "by": "uid 0", "since": "1970-01-01T00:00:00.000Z"})
        );
        assert_eq!(pause_value(None), json!({"paused": false}));
        let drains = Pause { drain: Some(Drain { points: vec![7], ended_ms: None }), ..pause };
        let value = pause_value(Some(&drains));
        assert_eq!((&value["paused"], &value["drains"], &value["points"]), (&json!(false), &json!(true), &json!([7])));
        assert_eq!(replay_value("running", Some(0)), json!({"replay": "running", "from": "1970-01-01T00:00:00.000Z"}));
        assert_eq!(replay_value("running", None), json!({"replay": "running", "from": null}));
    }
}
