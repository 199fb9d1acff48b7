//! Where an event's identity and numbers stand in a JSON document.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::item::Item;
use super::rule::{Notes, Rule};
use crate::generator::Key;

/// JSON pointers (RFC 6901) to what the oracle needs, each with its alternatives.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The event's identifier.
    pub event_id: &'static [&'static str],
    /// Its tenant.
    pub tenant: &'static [&'static str],
    /// What happened.
    pub action: &'static [&'static str],
    /// What an event of the agent's own says.
    pub payload: &'static [&'static str],
    /// The agent's node.
    pub node: &'static [&'static str],
    /// The stream.
    pub stream: &'static [&'static str],
    /// The number in the stream.
    pub n: &'static [&'static str],
}

/// Where canonical JSON, ECS, OCSF and Datadog's attributes put them.
pub const SHARED: Places = Places {
    event_id: &["/event_id", "/event/id", "/evt/id", "/metadata/uid"],
    tenant: &["/tenant_id", "/organization/id", "/scaidrive/tenant_id", "/metadata/tenant_uid"],
    action: &["/action", "/event/action", "/evt/name", "/metadata/event_code"],
    payload: &["/payload", "/scaidrive/payload", "/unmapped/payload"],
    node: &["/siem/node", "/labels/siem_node", "/unmapped/siem/node"],
    stream: &["/siem/stream", "/labels/siem_stream", "/unmapped/siem/stream"],
    n: &["/siem/n", "/event/sequence", "/metadata/sequence", "/unmapped/siem/n"],
};

/// Each event says which one it is.
pub const IDENTITY: Rule =
    Rule::new("event id and tenant where the format puts them, and the right ones", "this project's design, section 6");
/// Each numbered event says all of its number.
pub const STAMP: Rule =
    Rule::new("node, stream and n together, n a number from 1", "this project's design, section 6: on the wire");
/// Each name once.
pub const JSON: Rule = Rule::new("JSON in UTF-8 in which no object has a name twice", "RFC 8259 sections 4 and 8.1");

/// Reads one event; `None` when it is no JSON object.
pub fn read_json<'a>(raw: &'a [u8], places: &Places, notes: &mut Notes) -> Option<Item<'a>> {
    match parse(raw) {
        Ok(value @ Value::Object(_)) => Some(read_value(raw, &value, places, notes)),
        Ok(_) => {
            notes.breach(JSON, "an event that is no object");
            None
        }
        Err(error) => {
            notes.breach(JSON, error.to_string());
            None
        }
    }
}

/// Reads one event that is parsed already.
pub fn read_value<'a>(raw: &'a [u8], value: &Value, places: &Places, notes: &mut Notes) -> Item<'a> {
    let find = |pointers: &[&str]| pointers.iter().find_map(|pointer| value.pointer(pointer));
    let text = |pointers: &[&str]| find(pointers).and_then(Value::as_str);
    let (event_id, tenant) = (text(places.event_id), text(places.tenant));
    let key = event_id.and_then(Key::parse);
    if event_id.is_none() || tenant.is_none() || key.is_some_and(|key| Some(key.tenant_id().as_str()) != tenant) {
        notes.breach(IDENTITY, format!("event_id {event_id:?}, tenant {tenant:?}"));
    }
    let (node, stream) = (text(places.node), text(places.stream));
    let n = find(places.n).and_then(Value::as_u64);
    let is_whole = node.is_some() && stream.is_some() && n.is_some_and(|n| n > 0);
    let is_absent = node.is_none() && stream.is_none() && find(places.n).is_none();
    // Statements and notices of the agent have no number; what a producer wrote has one.
    if !(is_whole || (is_absent && key.is_none())) {
        notes.breach(STAMP, format!("node {node:?}, stream {stream:?}, n {:?}", find(places.n)));
    }
    // Where the payload is text, the format had no room for an object.
    let is_canonical = value.get("action").is_some() && !value["payload"].is_string();
    let event = if key.is_none() && !is_canonical {
        Cow::Owned(original(event_id, tenant, text(places.action), find(places.payload)))
    } else {
        Cow::Borrowed(raw)
    };
    Item { event, document: None, key, stream: stream.map(|stream| Cow::Owned(stream.to_owned())), n }
}

/// An event of the agent's own under its original names.
fn original(event_id: Option<&str>, tenant: Option<&str>, action: Option<&str>, payload: Option<&Value>) -> Vec<u8> {
    let payload = match payload {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(other) => other.clone(),
        None => Value::Null,
    };
    let event = serde_json::json!({ "event_id": event_id, "tenant_id": tenant, "action": action, "payload": payload });
    event.to_string().into_bytes()
}

/// The elements of a JSON array, each as written.
///
/// # Errors
/// When `body` is no JSON array.
pub fn elements(body: &[u8]) -> serde_json::Result<Vec<&[u8]>> {
    let raw: Vec<&RawValue> = serde_json::from_slice(body)?;
    Ok(raw.into_iter().map(|element| element.get().as_bytes()).collect())
}

/// The lines of a body, without their line feeds and without empty ones.
pub fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// Parses JSON and refuses an object with a name twice.
///
/// # Errors
/// At both.
pub fn parse(bytes: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice::<Unique>(bytes).map(|unique| unique.0)
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Unique, E> {
        Ok(Unique(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Unique, E> {
        Ok(Unique(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Unique, E> {
        Ok(Unique(Value::from(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Unique, E> {
        Ok(Unique(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Unique, E> {
        Ok(Unique(Value::String(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unique, A::Error> {
        let mut items = Vec::new();
        while let Some(Unique(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Unique(Value::Array(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
            if members.contains_key(&name) {
                return Err(serde::de::Error::custom(format_args!("the name {name:?} twice")));
            }
            members.insert(name, value);
        }
        Ok(Unique(Value::Object(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { run: 1, tenant: 2, count: 3 };

    fn broken(text: &str) -> Vec<Rule> {
        let mut notes = Notes::default();
        let _ = read_json(text.as_bytes(), &SHARED, &mut notes);
        notes.0.into_iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn canonical_ecs_and_datadog_events_name_themselves() {
        let (id, tenant) = (KEY.event_id(), KEY.tenant_id());
        let stamp = r#""siem":{"node":"a","stream":"s","n":7}"#;
        for text in [
            format!(r#"{{{stamp},"event_id":"{id}","tenant_id":"{tenant}"}}"#),
            format!(r#"{{{stamp},"evt":{{"id":"{id}"}},"scaidrive":{{"tenant_id":"{tenant}"}}}}"#),
            format!(
                r#"{{"labels":{{"siem_node":"a","siem_stream":"s"}},"event":{{"id":"{id}","sequence":7}},"organization":{{"id":"{tenant}"}}}}"#
            ),
        ] {
            let mut notes = Notes::default();
            let item = read_json(text.as_bytes(), &SHARED, &mut notes).unwrap();
            assert_eq!((item.key, item.stream.as_deref(), item.n), (Some(KEY), Some("s"), Some(7)), "{text}");
            assert!(notes.0.is_empty(), "{notes:?}");
        }
    }

    #[test]
    fn own_events_come_back_under_their_original_names() {
        let mut notes = Notes::default();
        let text =
            r#"{"evt":{"id":"e","name":"siem.stream_statement"},"scaidrive":{"tenant_id":"t","payload":{"end":3}}}"#;
        let item = read_json(text.as_bytes(), &SHARED, &mut notes).unwrap();
        let event: Value = serde_json::from_slice(&item.event).unwrap();
        assert_eq!(
            (&event["action"], &event["payload"]["end"]),
            (&Value::from("siem.stream_statement"), &Value::from(3))
        );
        assert!(notes.0.is_empty(), "{notes:?}");
    }

    #[test]
    fn what_is_missing_wrong_or_repeated_is_a_violation() {
        let (id, tenant) = (KEY.event_id(), KEY.tenant_id());
        let stamp = r#""siem":{"node":"a","stream":"s","n":7}"#;
        assert_eq!(broken(&format!(r#"{{{stamp},"event_id":"{id}","tenant_id":"other"}}"#)), [IDENTITY]);
        assert_eq!(broken(&format!(r#"{{{stamp},"tenant_id":"{tenant}"}}"#)), [IDENTITY]);
        assert_eq!(broken(&format!(r#"{{"event_id":"{id}","tenant_id":"{tenant}"}}"#)), [STAMP]);
        let half = r#""siem":{"node":"a","stream":"s","n":"7"}"#;
        assert_eq!(broken(&format!(r#"{{{half},"event_id":"{id}","tenant_id":"{tenant}"}}"#)), [STAMP]);
        assert_eq!(broken(&format!(r#"{{{stamp},{stamp},"event_id":"{id}","tenant_id":"{tenant}"}}"#)), [JSON]);
        assert_eq!(broken("[]"), [JSON]);
    }
}
