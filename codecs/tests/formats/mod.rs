//! Events for tests of formats, and the numbers they get.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The label and stream of every stamp here; the first event has this number.
pub(crate) const NODE: &str = "node-7";
pub(crate) const STREAM: &str = "a1.\"dest\".0.9f";
pub(crate) const FIRST_N: u64 = 42;

pub(crate) static RAW: &str = r#"{"event_id":"evt_\"1","timestamp":"2026-05-12T14:23:01.4531234Z","tenant_id":"tnt_é","category":"FILE_ACCESS","action":"file.download","severity":"info","user_email":"a@example.com","payload":{"x":[1, 2],"y":{"z":"é\n"}},"other":true,"more":{"a":"}"}}"#;

/// Events of every kind that ingest takes, with any text in any field.
pub(crate) fn events() -> impl Strategy<Value = Vec<Map<String, Value>>> {
    prop::collection::vec(event(), 1..4)
}

fn event() -> impl Strategy<Value = Map<String, Value>> {
    let required = any::<[String; 5]>();
    let optional = prop::collection::vec(any::<Option<String>>(), 8);
    let payload = prop::option::of(prop::collection::btree_map("[a-c]|é|\"", leaf(), 0..4));
    let extra = prop::collection::btree_map("x[a-e\"\\\\é]{0,3}", leaf(), 0..4);
    (required, optional, payload, extra).prop_map(|(required, optional, payload, extra)| {
        let mut event = Map::new();
        event.insert("timestamp".into(), json!("2026-05-12T14:23:01.453Z"));
        for (key, value) in ["event_id", "tenant_id", "category", "action", "severity"].into_iter().zip(required) {
            event.insert(key.into(), json!(value));
        }
        for (key, value) in OPTIONAL.into_iter().zip(optional) {
            event.insert(key.into(), json!(value));
        }
        if let Some(payload) = payload {
            event.insert("payload".into(), json!(payload));
        }
        event.extend(extra);
        event
    })
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
        prop::collection::btree_map("[a-c]", any::<String>(), 0..3).prop_map(|pairs| json!(pairs)),
    ]
}

pub(crate) const OPTIONAL: [&str; 8] =
    ["user_id", "user_email", "service_account", "resource_id", "resource_path", "ip", "user_agent", "session_id"];
