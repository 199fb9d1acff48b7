//! Whatever the index accepts, `serde_json` accepts and reads the same; whatever is encoded from it can be read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scaidrive_codecs::event::{Event, Field};
use scaidrive_codecs::hec::{Hec, HecSettings};
use scaidrive_codecs::syslog::{Framing, Header, Msg, Syslog, SyslogSettings};
use scaidrive_codecs::{Body, Entry, Format, Index, Refusal, Scratch, Stamp, index, unbreak_lines};
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let mut raw = input.trim_ascii().to_vec();
    unbreak_lines(&mut raw);
    let value: Option<Value> = serde_json::from_slice(&raw).ok();
    match index(&raw) {
        Err(Refusal::Syntax { .. } | Refusal::NumberRange { .. } | Refusal::NotUtf8 { .. }) => {
            assert!(value.is_none_or(|value| !value.is_object()));
        }
        Err(_) => {}
        Ok(found) => check(&raw, &found, &value.expect("serde_json accepts what the index accepts")),
    }
});

fn check(raw: &[u8], found: &Index, value: &Value) {
    let event = Event::new(raw, found);
    let mut text = String::new();
    for field in Field::ALL {
        match (&value[field.name()], event.text(field, &mut text)) {
            (Value::String(expected), Some(text)) => assert_eq!(expected, text),
            (expected @ Value::Object(_), Some(text)) => {
                assert_eq!(*expected, serde_json::from_str::<Value>(text).unwrap())
            }
            (expected, None) => assert!(expected.is_null()),
            (expected, Some(text)) => panic!("{expected} is not {text}"),
        }
    }
    let mut stored = Vec::new();
    found.encode(&mut stored);
    assert_eq!(Index::decode(&stored).unwrap(), *found);
    let stamp = Stamp { node: "n", stream: "s", n: 1 };
    let labels = HecSettings { path: String::from("/"), host: "h".into(), source: "s".into(), sourcetype: "t".into(), index: None, indexes: Vec::new(), shape: scaidrive_codecs::Shape::Canonical, cim_fields: false };
    let (mut body, mut scratch) = (Body::new(), Scratch::default());
    let entry = Entry { item: 0, stamp: Some(&stamp), now_ms: 0 };
    Hec::new(&labels).unwrap().encode(&event, &entry, &mut body, &mut scratch).unwrap();
    let sent: Value = serde_json::from_slice(&joined(&body, raw)).unwrap();
    assert_eq!(sent["event"], *value);
    assert_eq!(sent["fields"]["event_id"], value["event_id"]);
    let headers = [Header::Rfc5424, Header::Rfc3164 { utc_offset: 60 }];
    for (msg, header) in [Msg::Json, Msg::StructuredData].into_iter().flat_map(|msg| headers.map(|header| (msg, header))) {
        let settings = SyslogSettings {
            header,
            facility: 16,
            hostname: String::new(),
            app_name: "a".into(),
            procid: String::new(),
            msg,
            framing: Framing::Datagram,
            bom: false,
            max_len: 480,
            enterprise_id: 32473, shape: scaidrive_codecs::Shape::Canonical };
        body.clear();
        if Syslog::new(&settings).unwrap().encode(&event, &stamp, 0, &mut body, &mut scratch).is_ok() {
            let message = joined(&body, raw);
            assert!(message.len() <= 480 && !message.contains(&b'\n'));
            assert!(std::str::from_utf8(&message).is_ok());
        }
    }
}

fn joined(body: &Body, raw: &[u8]) -> Vec<u8> {
    let bytes: Vec<u8> = body.slices(|_| raw).flatten().copied().collect();
    assert_eq!(bytes.len(), body.len());
    bytes
}
