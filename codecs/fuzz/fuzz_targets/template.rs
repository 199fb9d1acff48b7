//! No template panics, and what compiles as JSON renders one JSON value on one line, whatever is missing in the event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scaidrive_codecs::template::{Template, TemplateKind};
use scaidrive_codecs::{Body, Entry, Event, Stamp, index};
use serde_json::Value;

const RAWS: [&str; 2] = [
    r#"{"event_id":"e\"1","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"\u0001a","severity":"low"}"#,
    r#"{"event_id":"","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"é","severity":"low","user_id":"\ud83d\ude00","payload":{"x":{"y":-1.5e3},"a":"\\","b":["\"",{}],"n":null}}"#,
];

fuzz_target!(|source: &str| {
    for kind in [TemplateKind::Json, TemplateKind::Line, TemplateKind::Text] {
        match Template::compile(source, kind) {
            Ok(template) => RAWS.iter().for_each(|raw| check(&template, kind, raw)),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

fn check(template: &Template, kind: TemplateKind, raw: &str) {
    let found = index(raw.as_bytes()).unwrap();
    let event = Event::new(raw.as_bytes(), &found);
    let stamp = Stamp { node: "n\"\n", stream: "s", n: 1 };
    for stamp in [Some(&stamp), None] {
        let mut body = Body::new();
        template.render(&event, &Entry { item: 0, stamp, now_ms: 0 }, &mut body);
        let bytes: Vec<u8> = body.slices(|_| raw.as_bytes()).flatten().copied().collect();
        assert_eq!(bytes.len(), body.len());
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(kind == TemplateKind::Text || !text.contains(['\n', '\r']));
        assert!(kind != TemplateKind::Json || serde_json::from_str::<Value>(text).is_ok(), "{text}");
    }
}
