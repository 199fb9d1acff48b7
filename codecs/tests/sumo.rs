//! Sumo Logic requests read back with `serde_json`, and every row of the table of replies.

mod common;
mod events;

use common::golden;
use events::*;
use proptest::prelude::*;
use scaidrive_codecs::http::Reply;
use scaidrive_codecs::sumo::*;
use scaidrive_codecs::{Format, RefusedItem, Stamp, Verdict};
use serde_json::{Value, json};

const CODE: &str = "ZaVnC4dhaV0secretcode==";

fn settings() -> SumoSettings {
    SumoSettings {
        path: format!("/receiver/v1/http/{CODE}"),
        name: Some("audit".into()),
        host: None,
        category: Some("scaidrive/audit".into()),
        fields: vec![("env".into(), "prod".into()), ("site".into(), "a b".into())],
        shape: scaidrive_codecs::Shape::Canonical,
    }
}

fn sumo() -> Sumo {
    Sumo::new(&settings()).unwrap()
}

#[test]
fn the_golden_bodies_have_not_changed() {
    golden("sumo.ndjson", &golden_bodies(&sumo()));
}

#[test]
fn labels_are_headers() {
    let encoder = sumo();
    let headers: Vec<(&str, &str)> =
        encoder.request().headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("Content-Type", "application/json"),
        ("X-Sumo-Name", "audit"),
        ("X-Sumo-Category", "scaidrive/audit"),
        ("X-Sumo-Fields", "env=prod,site=a b"),
    ];
    assert_eq!(headers, expected);
    let bare = SumoSettings { name: None, category: None, fields: vec![], ..settings() };
    assert_eq!(Sumo::new(&bare).unwrap().request().headers.len(), 1);
}

#[test]
fn labels_that_cannot_stand_in_a_header_are_refused() {
    for bad in ["", " ", "a\r\nX: y", "é"] {
        let expected = LabelError::NotPrintable { label: "category", found: bad.into() };
        assert_eq!(Sumo::new(&SumoSettings { category: Some(bad.into()), ..settings() }).unwrap_err(), expected);
    }
    for (key, value) in [("", "v"), ("a=b", "v"), ("a,b", "v"), ("a", "v,w")] {
        let fields = vec![(key.to_owned(), value.to_owned())];
        let expected = LabelError::Field { key: key.into(), value: value.into() };
        assert_eq!(Sumo::new(&SumoSettings { fields, ..settings() }).unwrap_err(), expected);
    }
}

#[test]
fn the_path_is_secret() {
    assert!(!format!("{:?} {:?}", sumo(), settings()).contains(CODE));
    let page = format!("The requested URL /receiver/v1/http/{CODE} was not found");
    for status in [200, 301, 400, 404, 408, 500] {
        for text in [&page, CODE] {
            let mut found = reply(status, &format!("<p>{text}"));
            found
                .headers
                .push(("Location".into(), format!("https://user@endpoint9.example.com/receiver/v1/http/{CODE}")));
            let told = format!("{:?}", sumo().verdict(&found, 2, 0));
            assert!(!told.contains("secretcode") && !told.contains("user@"), "{told}");
        }
    }
}

#[test]
fn the_event_is_borrowed_before_and_after_its_timestamp() {
    let moved = r#""timestamp":"2026-05-12T14:23:01.453Z","#.len();
    // Neither the braces nor the comma before the member that was moved.
    assert_eq!(borrowed(&sumo(), RAW), RAW.len() - moved - 3);
}

#[test]
fn lesson_31_a_line_above_60_kib_keeps_the_members_of_its_payload_that_fit() {
    let body = request_body(&sumo(), &[&raw_with_payload(10, 10_000)], Some(STAMP), NOW_MS).unwrap();
    assert!(body.len() <= MAX_EVENT_BYTES);
    let line = value_without_repeats(body.trim_ascii_end());
    assert_eq!(line["truncated"], true);
    assert_eq!(line["payload"].as_object().unwrap().len(), 6);
    assert_eq!((&line["extra"], &line["event_id"]), (&json!([1, 2]), &json!("evt_\"1")));
    let one = request_body(&sumo(), &[&raw_with_payload(1, 100_000)], Some(STAMP), NOW_MS).unwrap();
    assert_eq!(value_without_repeats(one.trim_ascii_end())["payload"], json!({}));
}

#[test]
fn a_line_of_exactly_60_kib_is_whole_and_one_byte_more_is_not() {
    let empty = request_body(&sumo(), &[raw_with_payload(1, 0)], Some(STAMP), NOW_MS).unwrap().len();
    let truncated = |bytes| {
        let body = request_body(&sumo(), &[raw_with_payload(1, bytes)], Some(STAMP), NOW_MS).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap().get("truncated").cloned()
    };
    assert_eq!(truncated(MAX_EVENT_BYTES - empty), None);
    assert_eq!(truncated(MAX_EVENT_BYTES - empty + 1), Some(json!(true)));
}

#[test]
fn a_line_that_is_too_long_without_its_payload_is_unfit() {
    let large = RAW.replace("usr_1", &"x".repeat(MAX_EVENT_BYTES));
    let unfit = request_body(&sumo(), &[MINIMAL, &large], Some(STAMP), NOW_MS).unwrap_err();
    assert!(unfit.why.contains("61440"), "{unfit}");
    let without = MINIMAL.replace("odd", &"x".repeat(MAX_EVENT_BYTES));
    assert!(request_body(&sumo(), &[MINIMAL, &without], Some(STAMP), NOW_MS).is_err());
}

#[test]
fn every_own_event_is_a_line_without_a_number() {
    for raw in own_events() {
        let body = request_body(&sumo(), &[&raw], None, NOW_MS).unwrap();
        assert_eq!(value_without_repeats(body.trim_ascii_end()), serde_json::from_str::<Value>(&raw).unwrap());
    }
}

proptest! {
    #[test]
    fn a_body_reads_back_as_its_events_with_the_timestamp_first(
        raws in prop::collection::vec(raw_event(), 1..4), node: String, stream: String, first in 1u64..u64::MAX - 9, is_own: bool,
    ) {
        let stamp = (!is_own).then_some(Stamp { node: &node, stream: &stream, n: first });
        let text = String::from_utf8(request_body(&sumo(), &raws, stamp, NOW_MS).unwrap()).unwrap();
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap().split('\n').collect();
        prop_assert_eq!(lines.len(), raws.len());
        for (nth, (line, raw)) in lines.iter().zip(&raws).enumerate() {
            let mut event: Value = serde_json::from_str(raw).unwrap();
            let start = format!(r#"{{"timestamp":{},"#, event["timestamp"]);
            prop_assert!(line.starts_with(&start), "{}", line);
            if !is_own {
                event["siem"] = json!({"node": node, "stream": stream, "n": first + nth as u64});
            }
            prop_assert_eq!(value_without_repeats(line.as_bytes()), event);
        }
    }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() }
}

fn verdict(status: u16, body: &str, events: usize) -> Verdict {
    sumo().verdict(&reply(status, body), events, 0)
}

#[test]
fn status_200_is_delivered() {
    assert_eq!(verdict(200, "", 3), Verdict::Delivered { slow_down: false });
}

#[test]
fn a_friendly_page_is_no_success() {
    assert!(matches!(verdict(200, "\n<html>Welcome</html>", 3), Verdict::Misconfigured { .. }));
    assert!(matches!(verdict(204, "", 3), Verdict::Misconfigured { .. }));
}

#[test]
fn status_401_holds_for_credentials() {
    assert_eq!(verdict(401, "no", 3), Verdict::HoldForCredentials { why: "HTTP 401: no".into() });
}

#[test]
fn status_404_is_misconfigured() {
    let why = "HTTP 404: no; the URL names no source".to_owned();
    assert_eq!(verdict(404, "no", 3), Verdict::Misconfigured { why });
}

#[test]
fn status_408_is_split_and_a_lone_event_sent_again() {
    assert_eq!(verdict(408, "slow", 3), Verdict::Smaller { why: "HTTP 408: slow".into() });
    assert!(matches!(verdict(408, "slow", 1), Verdict::Retry { .. }));
}

#[test]
fn status_413_is_split_and_a_lone_event_refused() {
    assert_eq!(verdict(413, "big", 3), Verdict::Smaller { why: "HTTP 413: big".into() });
    let refused = vec![RefusedItem { item: 0, reason: "HTTP 413: big".into() }];
    assert_eq!(verdict(413, "big", 1), Verdict::refused(refused));
}

#[test]
fn status_429_is_retried_later_and_more_slowly() {
    let mut busy = reply(429, "");
    busy.headers.push(("Retry-After".into(), "30".into()));
    assert!(matches!(sumo().verdict(&busy, 3, 0), Verdict::Retry { after_ms: Some(30_000), slow_down: true, .. }));
}

#[test]
fn statuses_301_302_307_and_308_are_misconfigured_and_name_the_other_deployment() {
    for status in [301, 302, 307, 308] {
        let mut found = reply(status, "");
        assert!(matches!(sumo().verdict(&found, 3, 0), Verdict::Misconfigured { .. }));
        found.headers.push((
            "Location".into(),
            format!("https://endpoint9.collection.eu.sumologic.com/receiver/v1/http/{CODE}"),
        ));
        let why =
            format!("HTTP {status}: this source lives elsewhere, at https://endpoint9.collection.eu.sumologic.com");
        assert_eq!(sumo().verdict(&found, 3, 0), Verdict::Misconfigured { why });
        found.headers[0].1 = "/else".into();
        assert!(
            matches!(sumo().verdict(&found, 3, 0), Verdict::Misconfigured { why } if why.ends_with("another path of the same host"))
        );
    }
}

#[test]
fn statuses_500_502_503_and_504_are_retried() {
    for status in [500, 502, 503, 504] {
        assert!(matches!(verdict(status, "<html>", 3), Verdict::Retry { .. }), "{status}");
    }
}
