//! Events in many spellings, and request bodies made of them: what the tests of HTTP formats have in common.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use scaidrive_codecs::own::{Envelope, examples};
use scaidrive_codecs::{Body, Entry, Event, Format, Scratch, Stamp, Unfit, index};
use serde_json::{Value, json};

/// Ten seconds after [`RAW`].
pub(crate) const NOW_MS: i64 = 1_778_595_791_453;
pub(crate) const STAMP: Stamp<'static> = Stamp { node: "node-7", stream: "a1.siem.0.9f", n: 42 };
pub(crate) const RAW: &str = r#"{"event_id":"evt_\"1","timestamp":"2026-05-12T14:23:01.453Z","tenant_id":"tnt_é","category":"AUTHENTICATION","action":"auth.login_failed","severity":"medium","user_id":"usr_1","user_email":"alice@example.com","resource_path":"/a\/b","ip":"203.0.113.42","user_agent":"ScaiDrive-Desktop/1.4.2 (macOS)","session_id":null,"extra":[1, 2],"payload":{"x":[1, 2]}}"#;
pub(crate) const MINIMAL: &str = r#"{"event_id":"e","timestamp":"2026-05-12T14:23:01.453Z","tenant_id":"t","category":"C","action":"a","severity":"odd"}"#;

/// The whole body of a request with these events. A stamp's number is for the first; without one the events are our own.
pub(crate) fn request_body(
    format: &dyn Format,
    raws: &[impl AsRef<str>],
    stamp: Option<Stamp<'_>>,
    now_ms: i64,
) -> Result<Vec<u8>, Unfit> {
    let mut body = Body::new();
    for (item, raw) in raws.iter().enumerate() {
        let raw = raw.as_ref().as_bytes();
        let found = index(raw).unwrap();
        let stamp = stamp.map(|stamp| Stamp { n: stamp.n + item as u64, ..stamp });
        let entry = Entry { item: item as u32, stamp: stamp.as_ref(), now_ms };
        let before = (body.len(), body.pieces());
        if let Err(unfit) = format.encode(&Event::new(raw, &found), &entry, &mut body, &mut Scratch::default()) {
            assert_eq!((body.len(), body.pieces()), before, "a body is as it was after an error");
            return Err(unfit);
        }
    }
    let bytes: Vec<u8> = body.slices(|item| raws[item as usize].as_ref().as_bytes()).flatten().copied().collect();
    assert_eq!(bytes.len(), body.len());
    let frame = format.frame();
    Ok([frame.opening, &bytes, frame.closing].concat())
}

/// One body each for one event with a number and the same as one of our own.
pub(crate) fn golden_bodies(format: &dyn Format) -> String {
    let mut text = String::new();
    for raws in [[RAW, MINIMAL], [MINIMAL, RAW]] {
        for stamp in [Some(STAMP), None] {
            text += &String::from_utf8(request_body(format, &raws, stamp, NOW_MS).unwrap()).unwrap();
            text.push('\n');
        }
    }
    text
}

/// Every event that the agent itself can say.
pub(crate) fn own_events() -> Vec<String> {
    let envelope = Envelope { event_id: "evt_own", timestamp_ms: NOW_MS, tenant_id: "_agent", node: "node-7" };
    examples().iter().map(|own| String::from_utf8(own.to_json(&envelope)).unwrap()).collect()
}

/// How many bytes of the event's own text go out of the log and not out of the body's glue.
pub(crate) fn borrowed(format: &dyn Format, raw: &str) -> usize {
    let found = index(raw.as_bytes()).unwrap();
    let entry = Entry { item: 0, stamp: Some(&STAMP), now_ms: NOW_MS };
    let mut body = Body::new();
    format.encode(&Event::new(raw.as_bytes(), &found), &entry, &mut body, &mut Scratch::default()).unwrap();
    let inside = raw.as_bytes().as_ptr_range();
    body.slices(|_| raw.as_bytes()).filter(|slice| inside.contains(&slice.as_ptr())).map(<[u8]>::len).sum()
}

/// [`RAW`] with a payload of `members` members of `bytes` bytes each.
pub(crate) fn raw_with_payload(members: usize, bytes: usize) -> String {
    let payload: Vec<String> = (0..members).map(|nth| format!("\"k{nth}\":\"{}\"", "x".repeat(bytes))).collect();
    RAW.replace(r#"{"x":[1, 2]}"#, &format!("{{{}}}", payload.join(",")))
}

/// Accepted events: members in any order and spacing, some missing, some `null`, some that nobody knows.
pub(crate) fn raw_event() -> impl Strategy<Value = String> {
    let required = (any::<[String; 3]>(), "[a-z]{1,5}[._](made|failed|Denied)?", severity(), TIMES);
    let optional = vec(option_of_option(), OPTIONAL.len());
    let payload = prop::option::of(btree_map(any::<String>(), json_value(), 0..4));
    let unknown = btree_map("x[a-zé\"]{1,5}", json_value(), 0..4);
    let members = (required, optional, payload, unknown).prop_map(|(required, optional, payload, unknown)| {
        let ([event_id, tenant, category], action, severity, ms) = required;
        let mut time = Vec::new();
        scaidrive_codecs::time::write_rfc3339(ms, &mut time);
        let mut members: Vec<(String, Value)> = vec![
            ("event_id".into(), json!(format!("e{event_id}"))),
            ("timestamp".into(), json!(String::from_utf8(time).unwrap())),
            ("tenant_id".into(), json!(tenant)),
            ("category".into(), json!(category)),
            ("action".into(), json!(action)),
            ("severity".into(), json!(severity)),
        ];
        let given = OPTIONAL.iter().zip(optional).filter_map(|(key, value)| Some((key.to_string(), json!(value?))));
        members.extend(given);
        members.extend(payload.map(|payload| ("payload".into(), json!(payload))));
        members.extend(unknown);
        members
    });
    (members.prop_shuffle(), vec(0usize..3, 8)).prop_map(|(members, spaces)| {
        let space = |nth: usize| ["", " ", "\t "][spaces[nth % spaces.len()]];
        let written: Vec<String> = members
            .iter()
            .enumerate()
            .map(|(nth, (key, value))| {
                let key = serde_json::to_string(key).unwrap();
                format!("{}{key}{}:{}{value}{}", space(nth), space(nth + 1), space(nth + 2), space(nth + 3))
            })
            .collect();
        format!("{{{}}}", written.join(","))
    })
}

/// The value of a line in which no top-level key stands twice.
pub(crate) fn value_without_repeats(line: &[u8]) -> Value {
    let text = std::str::from_utf8(line).unwrap();
    // The agent's own rules refuse a repeated key, and its own key: so ours gets another name for the question.
    let renamed = text.replacen("\"siem\":", "\"ours\":", 1);
    if let Err(refusal @ scaidrive_codecs::Refusal::RepeatedKey { .. }) = index(renamed.as_bytes()) {
        panic!("{refusal}: {text}");
    }
    serde_json::from_str(text).unwrap()
}

fn option_of_option() -> impl Strategy<Value = Option<Option<String>>> {
    prop::option::of(prop::option::of(any::<String>()))
}

fn severity() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["debug", "info", "low", "Medium", "high", "critical", "odd"])
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

const OPTIONAL: [&str; 8] =
    ["user_id", "user_email", "service_account", "resource_id", "resource_path", "ip", "user_agent", "session_id"];
/// The years 0001 to 9986.
const TIMES: std::ops::Range<i64> = -62_135_596_800_000..253_000_000_000_000;
