//! HEC requests read back with `serde_json`, and every row of Splunk's table of reply codes.

mod common;

use common::golden;
use proptest::prelude::*;
use scaidrive_codecs::hec::*;
use scaidrive_codecs::http::Reply;
use scaidrive_codecs::own::{Envelope, examples};
use scaidrive_codecs::{Body, Entry, Event, FilterSpec, Format, RefusedItem, Scratch, Stamp, Verdict, index};
use serde_json::{Value, json};

fn hec(index: Option<&str>) -> Hec {
    with_rules(index, Vec::new()).unwrap()
}

fn with_rules(index: Option<&str>, indexes: Vec<IndexRule>) -> Result<Hec, IndexRuleError> {
    Hec::new(&HecSettings {
        path: EVENT_PATH.into(),
        host: "scaidrive".into(),
        source: "scaidrive:audit".into(),
        sourcetype: SOURCETYPE.into(),
        index: index.map(str::to_owned),
        indexes,
        shape: scaidrive_codecs::Shape::Canonical,
        cim_fields: false,
    })
}

/// A rule for these tenants and categories.
fn rule(index: &str, tenants: &[&str], categories: &[&str]) -> IndexRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let filter = FilterSpec { categories: owned(categories), ..FilterSpec::default() };
    IndexRule { index: index.to_owned(), tenants: owned(tenants), filter }
}

const STAMP: Stamp<'static> = Stamp { node: "node-7", stream: "a1.splunk.0.9f", n: 42 };
static RAW: &str = r#"{"event_id":"evt_\"1","timestamp":"2026-05-12T14:23:01.453Z","tenant_id":"tnt_é","category":"C","action":"a","severity":"low","payload":{"x":[1, 2]}}"#;

fn encode(hec: &Hec, event: &Event<'_>, stamp: Option<&Stamp<'_>>, item: u32, body: &mut Body) {
    hec.encode(event, &Entry { item, stamp, now_ms: 0 }, body, &mut Scratch::default()).unwrap();
}

fn joined(body: &Body, raws: &[&str]) -> Vec<u8> {
    let bytes: Vec<u8> = body.slices(|item| raws[item as usize].as_bytes()).flatten().copied().collect();
    assert_eq!(bytes.len(), body.len());
    bytes
}

#[test]
fn the_golden_body_has_not_changed() {
    let found = index(RAW.as_bytes()).unwrap();
    let event = Event::new(RAW.as_bytes(), &found);
    let mut body = Body::new();
    encode(&hec(Some("security")), &event, Some(&STAMP), 0, &mut body);
    encode(&hec(None), &event, None, 1, &mut body);
    let ruled = with_rules(Some("security"), vec![rule("acme", &["tnt_é"], &["C"])]).unwrap();
    encode(&ruled, &event, Some(&STAMP), 2, &mut body);
    golden("hec.json", &(String::from_utf8(joined(&body, &[RAW; 3])).unwrap() + "\n"));
}

#[test]
fn the_event_is_borrowed() {
    let found = index(RAW.as_bytes()).unwrap();
    let mut body = Body::new();
    encode(&hec(None), &Event::new(RAW.as_bytes(), &found), Some(&STAMP), 0, &mut body);
    let slices: Vec<&[u8]> = body.slices(|_| RAW.as_bytes()).collect();
    assert_eq!(slices.len(), 3);
    assert!(std::ptr::eq(slices[1], RAW.as_bytes()));
}

#[test]
fn own_events_are_copied_and_have_no_number() {
    let envelope =
        Envelope { event_id: "evt_own", timestamp_ms: 1_778_595_781_453, tenant_id: "_agent", node: "node-7" };
    for own in examples() {
        let raw = own.to_json(&envelope);
        let found = index(&raw).unwrap();
        let mut body = Body::new();
        encode(&hec(None), &Event::new(&raw, &found), None, 0, &mut body);
        let value: Value = serde_json::from_slice(&joined(&body, &[])).unwrap();
        assert_eq!(value["event"], serde_json::from_slice::<Value>(&raw).unwrap());
        assert_eq!(value["fields"], json!({"event_id": "evt_own", "tenant_id": "_agent"}));
    }
}

proptest! {
    #[test]
    fn a_body_reads_back_as_its_events(
        events in prop::collection::vec((any::<String>(), any::<String>(), -62_135_596_800_000i64..253_000_000_000_000), 1..5),
        node: String, stream: String, first in 0u64..u64::MAX - 9, labels in any::<[String; 3]>(), index_name in any::<Option<String>>(),
    ) {
        let mut time = Vec::new();
        let raws: Vec<String> = events.iter().map(|(id, tenant, ms)| {
            time.clear();
            scaidrive_codecs::time::write_rfc3339(*ms, &mut time);
            json!({"event_id": id, "tenant_id": tenant, "timestamp": std::str::from_utf8(&time).unwrap(), "category": "C", "action": "a", "severity": "info"}).to_string()
        }).collect();
        let [host, source, sourcetype] = labels;
        let encoder = Hec::new(&HecSettings { path: EVENT_PATH.into(), host: host.clone(), source: source.clone(), sourcetype: sourcetype.clone(), index: index_name.clone(), indexes: Vec::new(), shape: scaidrive_codecs::Shape::Canonical, cim_fields: false }).unwrap();
        let mut body = Body::new();
        for (item, raw) in raws.iter().enumerate() {
            let found = index(raw.as_bytes()).unwrap();
            let stamp = Stamp { node: &node, stream: &stream, n: first + item as u64 };
            encode(&encoder, &Event::new(raw.as_bytes(), &found), Some(&stamp), item as u32, &mut body);
        }
        let raw_refs: Vec<&str> = raws.iter().map(String::as_str).collect();
        let wire = joined(&body, &raw_refs);
        let values: Vec<Value> = serde_json::Deserializer::from_slice(&wire).into_iter::<Value>().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(values.len(), events.len());
        for (nth, value) in values.iter().enumerate() {
            let (id, tenant, ms) = &events[nth];
            let mut expected = json!({
                "time": value["time"], "host": host, "source": source, "sourcetype": sourcetype,
                "event": serde_json::from_str::<Value>(&raws[nth]).unwrap(),
                "fields": {"event_id": id, "tenant_id": tenant, "siem_node": node, "siem_stream": stream, "siem_n": first + nth as u64},
            });
            if let Some(name) = &index_name {
                expected["index"] = json!(name);
            }
            prop_assert_eq!(value, &expected);
            prop_assert_eq!((value["time"].as_f64().unwrap() * 1000.0).round() as i64, *ms);
        }
    }
}

/// The index beside an event of this tenant and category.
fn index_of(hec: &Hec, tenant: &str, category: &str, stamp: Option<&Stamp<'_>>) -> Value {
    let raw = json!({
        "event_id": "e", "timestamp": "2026-05-12T14:23:01Z", "tenant_id": tenant, "category": category, "action": "a",
        "severity": "low",
    });
    let raw = raw.to_string();
    let found = index(raw.as_bytes()).unwrap();
    let event = Event::new(raw.as_bytes(), &found);
    let mut body = Body::new();
    encode(hec, &event, stamp, 0, &mut body);
    let mut value: Value = serde_json::from_slice(&joined(&body, &[&raw])).unwrap();
    if stamp.is_some() {
        let group = hec.group(&event, &mut Scratch::default());
        assert_eq!(group, value["index"].as_str().unwrap_or_default(), "a group is an index");
    }
    value["index"].take()
}

#[test]
fn the_first_rule_that_fits_names_the_index_and_the_rest_go_to_the_usual_one() {
    let rules = || vec![rule("acme", &["tnt_acme"], &["*"]), rule("security", &["*"], &["SECURITY", "AUTH*"])];
    let ruled = with_rules(Some("main"), rules()).unwrap();
    for (tenant, category, expected) in [
        ("tnt_acme", "SECURITY", "acme"),
        ("tnt_acme", "FILE_ACCESS", "acme"),
        ("tnt_other", "SECURITY", "security"),
        ("tnt_other", "AUTHENTICATION", "security"),
        ("tnt_other", "FILE_ACCESS", "main"),
    ] {
        assert_eq!(index_of(&ruled, tenant, category, Some(&STAMP)), expected, "{tenant} {category}");
    }
    let without = with_rules(None, rules()).unwrap();
    assert_eq!(index_of(&without, "tnt_other", "FILE_ACCESS", Some(&STAMP)), Value::Null, "the token's own");
}

#[test]
fn what_the_agent_says_out_of_band_obeys_no_rule() {
    let ruled = with_rules(Some("main"), vec![rule("security", &["*"], &["SECURITY"])]).unwrap();
    assert_eq!(index_of(&ruled, "_agent", "SECURITY", Some(&STAMP)), "security");
    assert_eq!(index_of(&ruled, "_agent", "SECURITY", None), "main");
}

#[test]
fn a_rule_that_cannot_be_used_is_named_by_its_index() {
    let guess = with_rules(None, vec![rule("acme", &["tnt_*"], &[])]).unwrap_err();
    assert_eq!(guess.to_string(), "the tenants of the rule for index `acme` can't be used");
    let empty = with_rules(None, vec![rule("main", &["*"], &[]), rule("acme", &["*"], &[""])]).unwrap_err();
    assert_eq!(empty.to_string(), "the filter of the rule for index `acme` can't be used");
}

#[test]
fn a_request_says_what_splunk_wants_to_know_and_no_secret() {
    let hec = hec(None);
    let request = hec.request();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/services/collector/event"));
    assert_eq!(request.headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
    assert!(hec.frame().is_empty());
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() }
}

fn verdict(status: u16, body: &str, events: usize) -> Verdict {
    hec(None).verdict(&reply(status, body), events, 0)
}

fn code(status: u16, code: u32) -> Verdict {
    verdict(status, &format!(r#"{{"text":"T","code":{code}}}"#), 10)
}

fn words(status: u16, code: u32) -> String {
    format!("HTTP {status}, code {code}: T")
}

fn retry(status: u16, number: u32, slow_down: bool, new_connection: bool) {
    assert_eq!(
        code(status, number),
        Verdict::Retry { after_ms: None, why: words(status, number), slow_down, new_connection },
        "code {number}"
    );
}

fn hold(status: u16, number: u32) {
    assert_eq!(code(status, number), Verdict::HoldForCredentials { why: words(status, number) }, "code {number}");
}

fn misconfigured(status: u16, number: u32) {
    assert_eq!(code(status, number), Verdict::Misconfigured { why: words(status, number) }, "code {number}");
}

fn split(status: u16, number: u32) {
    assert_eq!(code(status, number), Verdict::Split { offender: None, why: words(status, number) }, "code {number}");
    let alone = verdict(status, &format!(r#"{{"text":"T","code":{number}}}"#), 1);
    let items = vec![RefusedItem { item: 0, reason: words(status, number) }];
    assert_eq!(alone, Verdict::refused(items), "code {number}");
}

#[test]
fn code_0_is_delivered() {
    assert_eq!(code(200, 0), Verdict::Delivered { slow_down: false });
    let with_ack = verdict(200, r#"{"text":"Success","code":0,"ackId":7}"#, 10);
    assert_eq!(with_ack, Verdict::Delivered { slow_down: false });
}

#[test]
fn lesson_32_codes_1_to_4_hold_for_credentials() {
    hold(403, 1);
    hold(401, 2);
    hold(401, 3);
    hold(403, 4);
}

#[test]
fn code_5_no_data_is_delivered_for_an_empty_body_and_else_split() {
    assert_eq!(verdict(400, r#"{"text":"No data","code":5}"#, 0), Verdict::Delivered { slow_down: false });
    split(400, 5);
}

#[test]
fn code_6_invalid_data_format_is_split() {
    split(400, 6);
}

#[test]
fn code_7_incorrect_index_is_misconfigured_where_all_events_go_to_the_same() {
    misconfigured(400, 7);
}

#[test]
fn lesson_23_code_7_incorrect_index_sends_indexes_apart_where_there_are_several() {
    let ruled = with_rules(Some("main"), vec![rule("security", &["*"], &["SECURITY"])]).unwrap();
    let refused = reply(400, r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#);
    let why = String::from("HTTP 400, code 7: Incorrect index");
    assert_eq!(ruled.verdict(&refused, 10, 0), Verdict::Apart { why });
}

#[test]
fn code_8_internal_error_is_retried() {
    retry(500, 8, false, false);
}

#[test]
fn code_9_server_busy_is_retried_more_slowly_on_another_connection() {
    retry(503, 9, true, true);
}

#[test]
fn codes_10_and_11_about_the_channel_are_misconfigured() {
    misconfigured(400, 10);
    misconfigured(400, 11);
}

#[test]
fn codes_12_and_13_about_the_event_field_are_split() {
    split(400, 12);
    split(400, 13);
}

#[test]
fn code_14_ack_disabled_is_misconfigured() {
    misconfigured(400, 14);
}

#[test]
fn code_15_indexed_fields_is_split() {
    split(400, 15);
}

#[test]
fn code_16_query_string_authorization_is_misconfigured() {
    misconfigured(400, 16);
}

#[test]
fn code_17_healthy_is_no_answer_to_events() {
    misconfigured(200, 17);
}

#[test]
fn codes_18_to_20_unhealthy_are_retried_more_slowly_on_another_connection() {
    retry(503, 18, true, true);
    retry(503, 19, true, true);
    retry(503, 20, true, true);
}

#[test]
fn codes_21_and_22_of_the_health_path_hold_for_credentials() {
    hold(400, 21);
    hold(400, 22);
}

#[test]
fn code_23_shutting_down_is_retried_on_another_connection() {
    retry(503, 23, false, true);
}

#[test]
fn lesson_24_codes_24_and_25_near_capacity_are_delivered_and_slow_down() {
    assert_eq!(code(200, 24), Verdict::Delivered { slow_down: true });
    assert_eq!(code(200, 25), Verdict::Delivered { slow_down: true });
}

#[test]
fn lesson_10_codes_26_and_27_at_capacity_are_retried_more_slowly() {
    retry(429, 26, true, true);
    retry(429, 27, true, true);
}

#[test]
fn status_404_is_retried_because_a_rolling_restart_answers_so() {
    assert!(matches!(verdict(404, "", 10), Verdict::Retry { slow_down: false, new_connection: false, .. }));
}

#[test]
fn lesson_24_status_413_is_split() {
    assert_eq!(verdict(413, "too large", 10), Verdict::Smaller { why: "HTTP 413: too large".into() });
    assert!(matches!(verdict(413, "too large", 1), Verdict::Judged { .. }));
}

#[test]
fn statuses_408_502_and_504_of_a_balancer_are_retried() {
    for status in [408, 502, 504] {
        assert!(matches!(verdict(status, "<html>", 10), Verdict::Retry { .. }), "{status}");
    }
}

#[test]
fn an_unknown_code_or_none_is_judged_by_its_status() {
    assert!(matches!(code(400, 99), Verdict::Split { .. }));
    assert!(matches!(code(401, 99), Verdict::HoldForCredentials { .. }));
    assert!(matches!(code(403, 99), Verdict::HoldForCredentials { .. }));
    assert!(matches!(code(429, 99), Verdict::Retry { slow_down: true, .. }));
    assert!(matches!(code(500, 99), Verdict::Retry { .. }));
    assert!(matches!(code(405, 99), Verdict::Misconfigured { .. }));
    assert!(matches!(verdict(302, "", 10), Verdict::Misconfigured { .. }));
    assert!(matches!(verdict(407, "", 10), Verdict::HoldForCredentials { .. }));
    assert!(matches!(code(599, 0), Verdict::Retry { .. }));
}

#[test]
fn a_friendly_page_is_no_success() {
    for body in ["<html>Welcome</html>", "", "{}", r#"{"text":"Success"}"#, r#"{"code":0"#, r#"{"code":99}"#] {
        assert!(matches!(verdict(200, body, 10), Verdict::Misconfigured { .. }), "{body}");
    }
    for body in ["OK", "\"OK\"", " ok\n"] {
        assert_eq!(verdict(200, body, 10), Verdict::Delivered { slow_down: false }, "{body}");
    }
}

#[test]
fn an_invalid_event_number_is_only_a_hint() {
    let body = |nth: i64| format!(r#"{{"text":"Invalid data format","code":6,"invalid-event-number":{nth}}}"#);
    let why = "HTTP 400, code 6: Invalid data format".to_owned();
    assert_eq!(verdict(400, &body(3), 10), Verdict::Split { offender: Some(3), why: why.clone() });
    assert_eq!(verdict(400, &body(10), 10), Verdict::Split { offender: None, why: why.clone() });
    // Whatever the number says, code 9 is a busy server and no fault of an event.
    let busy = r#"{"text":"Server is busy","code":9,"invalid-event-number":1}"#;
    assert!(matches!(verdict(503, busy, 10), Verdict::Retry { .. }));
}

#[test]
fn retry_after_is_passed_on() {
    let mut busy = reply(503, r#"{"text":"Server is busy","code":9}"#);
    busy.headers.push(("Retry-After".into(), "7".into()));
    assert!(matches!(hec(None).verdict(&busy, 10, 0), Verdict::Retry { after_ms: Some(7000), .. }));
    busy.body.clear();
    assert!(matches!(hec(None).verdict(&busy, 10, 0), Verdict::Retry { after_ms: Some(7000), .. }));
}

#[test]
fn no_reply_panics() {
    for body in [
        "\u{0}",
        "[1]",
        "{\"code\":-1}",
        "{\"code\":\"0\"}",
        "{\"code\":0.0}",
        "{\"invalid-event-number\":-1,\"code\":6}",
        "{\"text\":5}",
    ] {
        for status in [0, 199, 200, 400, 500, 999] {
            verdict(status, body, 0);
        }
    }
}

#[test]
fn lesson_22_an_acknowledgement_is_asked_for_by_number_and_only_true_counts() {
    assert_eq!(ack_query([0, 7]), r#"{"acks":[0,7]}"#);
    let answer = reply(200, r#"{"acks":{"0":true,"1":false,"7":true}}"#);
    assert_eq!(acknowledged(&answer), Ok(vec![0, 7]));
    for (status, body) in [(200, "{}"), (200, "<html>"), (400, r#"{"text":"ACK is disabled","code":14}"#), (503, "")] {
        assert!(acknowledged(&reply(status, body)).is_err(), "{status} {body}");
    }
    assert!(acknowledged(&reply(400, r#"{"acks":{"0":true}}"#)).is_err(), "a refusal acknowledges nothing");
    let is_disabled = |answer: &Reply| acknowledged(answer).is_err_and(|unanswered| unanswered.is_disabled);
    assert!(is_disabled(&reply(400, r#"{"text":"ACK is disabled","code":14}"#)));
    assert!(!is_disabled(&reply(503, r#"{"text":"Server is busy","code":9}"#)), "another question may be answered");
    let accepted = reply(200, r#"{"text":"Success","code":0,"ackId":7}"#);
    assert_eq!(hec(None).acknowledgement(&accepted), Some(7));
    assert_eq!(hec(None).acknowledgement(&reply(200, r#"{"text":"Success","code":0}"#)), None);
}
