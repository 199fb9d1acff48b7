//! Generic HTTPS: every body shape read back with `serde_json`, settings, and every row of its table of replies.

mod common;
mod formats;
mod requests;

use common::golden;
use formats::*;
use proptest::prelude::*;
use requests::*;
use scaidrive_codecs::https::*;
use scaidrive_codecs::template::TemplateError;
use scaidrive_codecs::{Format, RefusedItem, Verdict};
use serde_json::{Value, json};

fn settings(form: BodyForm) -> HttpsSettings {
    HttpsSettings {
        method: Method::Post,
        path: "/in?x=1".into(),
        headers: Vec::new(),
        form,
        shape: scaidrive_codecs::Shape::Canonical,
        content_type: None,
        template: None,
        success: Vec::new(),
        conflict_is_success: false,
    }
}

fn https(form: BodyForm) -> Https {
    Https::new(&settings(form)).unwrap()
}

fn wrapped() -> BodyForm {
    BodyForm::Wrapped { key: "my \"events\"".into() }
}

proptest! {
    #[test]
    fn every_shape_reads_back_as_its_events_with_their_numbers(events in events()) {
        let raws: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        let raws: Vec<&str> = raws.iter().map(String::as_str).collect();
        let expected: Vec<Value> = events.iter().zip(FIRST_N..).map(|(event, n)| {
            let mut event = event.clone();
            event.insert("siem".into(), json!({"node": NODE, "stream": STREAM, "n": n}));
            Value::Object(event)
        }).collect();
        let array: Value = serde_json::from_slice(&sent(&https(BodyForm::Array), &raws).unwrap()).unwrap();
        prop_assert_eq!(&array, &json!(expected));
        let whole: Value = serde_json::from_slice(&sent(&https(wrapped()), &raws).unwrap()).unwrap();
        prop_assert_eq!(whole, json!({"my \"events\"": expected}));
        let lines = String::from_utf8(sent(&https(BodyForm::Ndjson), &raws).unwrap()).unwrap();
        prop_assert!(lines.ends_with('\n'));
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(&lines, &expected);
        let single: Value = serde_json::from_slice(&sent(&https(BodyForm::Single), &raws[..1]).unwrap()).unwrap();
        prop_assert_eq!(&single, &expected[0]);
    }
}

#[test]
fn the_golden_bodies_have_not_changed() {
    let mut text = String::new();
    for shape in [BodyForm::Array, BodyForm::Ndjson, wrapped()] {
        text.push_str(&String::from_utf8(sent(&https(shape.clone()), &[RAW, RAW]).unwrap()).unwrap());
        text.push('\n');
        text.push_str(&String::from_utf8(sent_own(&https(shape), RAW)).unwrap());
        text.push('\n');
    }
    let template = Some(r#"{"what":"${action} by ${user_email}","x":${payload.x},"n":${siem.n}}"#.to_owned());
    let format = Https::new(&HttpsSettings { template, ..settings(BodyForm::Ndjson) }).unwrap();
    text.push_str(&String::from_utf8(sent(&format, &[RAW, RAW]).unwrap()).unwrap());
    golden("https.txt", &text);
}

#[test]
fn an_index_of_other_bytes_does_not_panic() {
    check_that_a_foreign_index_does_not_panic(&https(BodyForm::Single));
    let source = "${event} ${payload} ${payload.y.z} ${event_id} ${siem.n}".to_owned();
    for (content_type, text) in [("text/plain", source.clone()), ("text/json", format!("\"{source}\""))] {
        let content_type = Some(content_type.to_owned());
        let template = Some(text);
        let format = Https::new(&HttpsSettings { content_type, template, ..settings(BodyForm::Single) }).unwrap();
        check_that_a_foreign_index_does_not_panic(&format);
    }
}

#[test]
fn an_own_event_is_sent_as_it_is() {
    assert_eq!(sent_own(&https(BodyForm::Single), RAW), RAW.as_bytes());
}

#[test]
fn only_a_single_shape_bounds_the_events_of_a_request() {
    assert_eq!(https(BodyForm::Single).events_max(), Some(1));
    assert_eq!(https(BodyForm::Array).events_max(), None);
}

#[test]
fn a_request_has_the_method_path_and_headers_of_the_settings() {
    for (method, name) in [(Method::Post, "POST"), (Method::Put, "PUT"), (Method::Patch, "PATCH")] {
        let headers = vec![("X-Source".to_owned(), "scaidrive".to_owned())];
        let format = Https::new(&HttpsSettings { method, headers, ..settings(BodyForm::Ndjson) }).unwrap();
        assert_eq!((format.request().method.as_str(), format.request().path.as_str()), (name, "/in?x=1"));
        let expected = [("Content-Type", "application/x-ndjson"), ("X-Source", "scaidrive")];
        assert_eq!(format.request().headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

fn error(change: impl FnOnce(&mut HttpsSettings)) -> HttpsError {
    let mut changed = settings(BodyForm::Array);
    change(&mut changed);
    Https::new(&changed).unwrap_err()
}

#[test]
fn settings_are_checked() {
    for path in ["", "in", "/a b", "/é", "/a\r\nX: y"] {
        assert!(matches!(error(|settings| settings.path = path.into()), HttpsError::Head { .. }), "{path}");
    }
    for (name, value) in [("", "x"), ("a b", "x"), ("X", "a\r\nY: b"), ("Host", "x"), ("content-length", "1")] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        assert!(matches!(error(|settings| settings.headers = headers), HttpsError::Head { .. }), "{name}");
    }
    for name in ["authorization", "Content-Type", "Content-Encoding", "User-Agent", IDEMPOTENCY_HEADER, COUNT_HEADER] {
        let refused = error(|settings| settings.headers = vec![(name.to_owned(), "s3cr3t".to_owned())]);
        assert!(matches!(refused, HttpsError::Header { .. }) && !refused.to_string().contains("s3cr3t"), "{name}");
    }
    assert_eq!(error(|settings| settings.success = vec![200, 302]), HttpsError::Success { found: 302 });
    let refused = error(|settings| settings.content_type = Some("text/plain".into()));
    assert_eq!(refused, HttpsError::ContentType { found: "text/plain".into() });
    let refused = error(|settings| settings.template = Some("${nothing}".into()));
    assert!(matches!(refused, HttpsError::Template(TemplateError::Unknown { .. })));
}

#[test]
fn the_content_type_decides_what_a_template_must_be() {
    let template = |shape, content_type: &str, text: &str| {
        let content_type = Some(content_type.to_owned());
        Https::new(&HttpsSettings { content_type, template: Some(text.to_owned()), ..settings(shape) })
    };
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json"] {
        assert!(template(BodyForm::Single, kind, "not JSON").is_err(), "{kind}");
        assert!(template(BodyForm::Single, kind, "[${action}]").is_ok(), "{kind}");
    }
    let lines = template(BodyForm::Ndjson, "text/plain", "${action} ${siem.n}\n").unwrap();
    assert_eq!(sent(&lines, &[RAW, RAW]).unwrap(), b"file.download 42\nfile.download 43\n");
    assert!(template(BodyForm::Ndjson, "text/plain", "two\nlines").is_err());
    let text = template(BodyForm::Single, "text/plain", "two\nlines").unwrap();
    assert_eq!(sent(&text, &[RAW]).unwrap(), b"two\nlines");
}

#[test]
fn an_idempotency_key_is_the_same_for_the_same_events_only() {
    let key = |stream: &str, numbers: &[u64]| idempotency_key(stream, numbers.iter().copied());
    assert_eq!(key("s", &[1, 2, 4]), key("s", &[1, 2, 4]));
    let keys = [key("s", &[1, 2, 4]), key("s", &[1, 3, 4]), key("s", &[1, 2]), key("t", &[1, 2]), key("s", &[])];
    for (nth, one) in keys.iter().enumerate() {
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(keys[nth + 1..].iter().all(|other| other != one));
    }
}

fn verdict(status: u16, events: usize) -> Verdict {
    https(BodyForm::Array).verdict(&reply(status, "B"), events, 0)
}

fn misconfigured(status: u16) {
    assert_eq!(verdict(status, 1), Verdict::Misconfigured { why: format!("HTTP {status}: B") });
}

#[test]
fn every_2xx_is_delivered_unless_the_settings_name_others() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(verdict(status, 10), Verdict::Delivered { slow_down: false });
    }
    let strict = Https::new(&HttpsSettings { success: vec![202], ..settings(BodyForm::Array) }).unwrap();
    assert_eq!(strict.verdict(&reply(202, ""), 10, 0), Verdict::Delivered { slow_down: false });
    assert!(matches!(strict.verdict(&reply(200, ""), 10, 0), Verdict::Misconfigured { .. }));
}

#[test]
fn statuses_301_302_303_307_and_308_are_misconfigured_and_show_the_location() {
    for status in [301, 302, 303, 307, 308] {
        let moved = with_header(reply(status, ""), "Location", "https://other.example/in?code=secret");
        let Verdict::Misconfigured { why } = https(BodyForm::Array).verdict(&moved, 10, 0) else { panic!("{status}") };
        assert!(why.contains("redirected to https://other.example/in;"), "without its query: {why}");
        assert!(matches!(verdict(status, 10), Verdict::Misconfigured { .. }));
    }
}

#[test]
fn statuses_400_and_422_are_split_and_a_lone_event_refused() {
    for status in [400, 422] {
        let why = format!("HTTP {status}: B");
        assert_eq!(verdict(status, 10), Verdict::Split { offender: None, why: why.clone() });
        assert_eq!(verdict(status, 1), Verdict::refused(vec![RefusedItem { item: 0, reason: why }]));
    }
}

#[test]
fn lesson_32_statuses_401_and_403_hold_for_credentials() {
    for status in [401, 403] {
        assert_eq!(verdict(status, 1), Verdict::HoldForCredentials { why: format!("HTTP {status}: B") });
    }
}

#[test]
fn statuses_404_405_and_406_are_misconfigured() {
    for status in [404, 405, 406] {
        misconfigured(status);
    }
}

#[test]
fn status_415_asks_for_an_uncompressed_body() {
    assert_eq!(verdict(415, 10), Verdict::Uncompressed { why: "HTTP 415: B".into() });
}

#[test]
fn statuses_408_and_425_are_retried() {
    for status in [408, 425] {
        assert!(matches!(verdict(status, 10), Verdict::Retry { slow_down: false, .. }), "{status}");
    }
}

#[test]
fn status_409_is_delivered_if_the_receiver_documents_it_as_duplicate_and_else_refused() {
    assert!(matches!(verdict(409, 10), Verdict::Split { .. }));
    assert!(matches!(verdict(409, 1), Verdict::Judged { .. }));
    let knows = Https::new(&HttpsSettings { conflict_is_success: true, ..settings(BodyForm::Array) }).unwrap();
    assert_eq!(knows.verdict(&reply(409, ""), 10, 0), Verdict::Delivered { slow_down: false });
}

#[test]
fn statuses_410_and_411_are_misconfigured() {
    misconfigured(410);
    misconfigured(411);
}

#[test]
fn status_413_is_split() {
    assert!(matches!(verdict(413, 10), Verdict::Smaller { .. }));
}

#[test]
fn status_429_is_retried_more_slowly_after_the_time_named() {
    let busy = with_header(reply(429, ""), "Retry-After", "7");
    let found = https(BodyForm::Array).verdict(&busy, 10, 0);
    assert!(matches!(found, Verdict::Retry { after_ms: Some(7_000), slow_down: true, .. }));
}

#[test]
fn status_431_is_misconfigured() {
    misconfigured(431);
}

#[test]
fn statuses_500_502_503_504_507_and_520_to_530_are_retried_after_the_time_named() {
    for status in [500, 502, 503, 504, 507].into_iter().chain(520..=530) {
        let down = with_header(reply(status, ""), "Retry-After", "7");
        let found = https(BodyForm::Array).verdict(&down, 10, 0);
        assert!(matches!(found, Verdict::Retry { after_ms: Some(7_000), .. }), "{status}");
    }
}

#[test]
fn statuses_501_and_505_are_misconfigured() {
    misconfigured(501);
    misconfigured(505);
}
