//! Bulk requests read back with `serde_json`, and every row of the tables of replies.

mod common;
mod events;
mod kinds;

use common::golden;
use events::*;
use proptest::prelude::*;
use scaidrive_codecs::elastic::*;
use scaidrive_codecs::http::Reply;
use scaidrive_codecs::{Format, RefusedItem, Shape, Stamp, Verdict};
use serde_json::{Value, json};

fn settings(op: Op, id: DocumentId) -> ElasticSettings {
    ElasticSettings {
        base: String::new(),
        target: "logs-scaidrive.audit-default".into(),
        op,
        id,
        shape: Shape::Canonical,
    }
}

fn elastic(op: Op, id: DocumentId) -> Elastic {
    Elastic::new(&settings(op, id)).unwrap()
}

fn standard() -> Elastic {
    elastic(Op::Create, DocumentId::StreamAndNumber)
}

#[test]
fn the_golden_bodies_have_not_changed() {
    golden("elastic.ndjson", &golden_bodies(&standard()));
}

#[test]
fn the_golden_templates_have_not_changed_and_map_every_field() {
    for (name, op, flavor) in [
        ("elastic/elasticsearch.json", Op::Create, Flavor::Elasticsearch),
        ("elastic/opensearch.json", Op::Create, Flavor::OpenSearch),
        ("elastic/index.json", Op::Index, Flavor::OpenSearch),
    ] {
        let text = index_template(&settings(op, DocumentId::EventId), flavor);
        golden(name, &text);
        let template: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(template["index_patterns"], json!(["logs-scaidrive.audit-default"]));
        assert_eq!(template.get("data_stream").is_some(), op == Op::Create);
        let mapped = template["template"]["mappings"]["properties"].as_object().unwrap();
        let fields = scaidrive_codecs::Field::ALL.map(scaidrive_codecs::Field::name);
        assert!(fields.iter().chain(&["@timestamp", "siem"]).all(|field| mapped.contains_key(*field)));
        assert_eq!(mapped.len(), fields.len() + 2);
    }
}

#[test]
fn the_template_of_a_shape_maps_every_field_that_its_golden_events_have() {
    for (shape, name) in [(Shape::Ecs, "ecs"), (Shape::Ocsf, "ocsf")] {
        for (flavor, file) in [(Flavor::Elasticsearch, "elasticsearch"), (Flavor::OpenSearch, "opensearch")] {
            let settings = ElasticSettings { shape, ..settings(Op::Create, DocumentId::StreamAndNumber) };
            let text = index_template(&settings, flavor);
            golden(&format!("elastic/{name}_{file}.json"), &text);
            let template: Value = serde_json::from_str(&text).unwrap();
            for kind in kinds::kinds() {
                let format = Elastic::new(&settings).unwrap();
                let body = request_body(&format, &[&kind.raw], Some(STAMP), NOW_MS).unwrap();
                let document = String::from_utf8(body).unwrap().lines().nth(1).unwrap().to_owned();
                let document = value_without_repeats(document.as_bytes());
                check_that_it_is_mapped(&document, &template["template"]["mappings"], kind.name);
            }
        }
    }
}

/// Each member is mapped, down to where one field takes a whole object.
fn check_that_it_is_mapped(value: &Value, mapping: &Value, path: &str) {
    for (key, inner) in value.as_object().unwrap() {
        let mapped = &mapping["properties"][key];
        assert!(mapped.is_object(), "{path}.{key}");
        if inner.is_object() && !["flattened", "flat_object"].contains(&mapped["type"].as_str().unwrap_or_default()) {
            check_that_it_is_mapped(inner, mapped, &format!("{path}.{key}"));
        }
    }
}

#[test]
fn the_request_names_the_target_and_asks_for_what_verdicts_need() {
    let encoder = Elastic::new(&ElasticSettings {
        base: "/es".into(),
        target: "über+audit".into(),
        ..settings(Op::Index, DocumentId::None)
    });
    let encoder = encoder.unwrap();
    let request = encoder.request();
    assert_eq!(request.method, "POST");
    let (path, query) = request.path.split_once('?').unwrap();
    assert_eq!(path, "/es/%C3%BCber%2Baudit/_bulk");
    assert_eq!(
        query.replace("%2C", ",").replace("%2A", "*"),
        "filter_path=took,errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.failure_store"
    );
    assert!(!query.contains(['*', ',']));
    assert_eq!(request.headers, [("Content-Type".to_owned(), "application/x-ndjson".to_owned())]);
}

#[test]
fn targets_obey_the_naming_rules() {
    let check = |target: &str, op| {
        Elastic::new(&ElasticSettings { target: target.into(), ..settings(op, DocumentId::None) }).map(drop)
    };
    for good in ["logs-scaidrive.audit-default", "audit", "a-b_c.d+e", ".hidden", &"x".repeat(255)] {
        assert_eq!(check(good, Op::Create), Ok(()), "{good}");
    }
    assert_eq!(check("", Op::Create), Err(TargetError::Empty));
    assert_eq!(check(&"é".repeat(128), Op::Create), Err(TargetError::TooLong { bytes: 256 }));
    assert_eq!(check(".", Op::Index), Err(TargetError::OnlyDots));
    assert_eq!(check("..", Op::Index), Err(TargetError::OnlyDots));
    for start in ["-", "_", "+"] {
        assert_eq!(check(&format!("{start}a"), Op::Index), Err(TargetError::Start { start }));
    }
    assert_eq!(check(".ds-a", Op::Create), Err(TargetError::Start { start: ".ds-" }));
    assert_eq!(check(".ds-a", Op::Index), Ok(()));
    for found in r#"\/*?"<>| ,#:AÉ"#.chars().chain(['\n', '\u{0}', '\u{a0}']) {
        assert_eq!(check(&format!("a{found}"), Op::Index), Err(TargetError::Character { found }), "{found:?}");
    }
    let long = "x".repeat(101);
    for scheme in
        ["logs-", "logs-a", "logs-a-", "logs--a", "logs-a-b-c", &format!("logs-{long}-a"), &format!("logs-a-{long}")]
    {
        assert_eq!(check(scheme, Op::Create), Err(TargetError::Scheme), "{scheme}");
        assert_eq!(check(scheme, Op::Index), Ok(()), "{scheme}");
    }
}

#[test]
fn the_event_is_borrowed_from_behind_its_brace() {
    assert_eq!(borrowed(&standard(), RAW), RAW.len() - 1);
}

#[test]
fn lesson_48_ids_are_stable_and_own_events_have_one_of_their_own() {
    let id_of = |id, stamp| {
        let body = request_body(&elastic(Op::Create, id), &[RAW], stamp, NOW_MS).unwrap();
        let action: Value = serde_json::from_slice(body.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        action["create"]["_id"].clone()
    };
    assert_eq!(id_of(DocumentId::StreamAndNumber, Some(STAMP)), json!("a1.siem.0.9f:42"));
    assert_eq!(id_of(DocumentId::StreamAndNumber, None), json!("evt_\"1"));
    assert_eq!(id_of(DocumentId::EventId, Some(STAMP)), json!("evt_\"1"));
    assert_eq!(id_of(DocumentId::None, Some(STAMP)), Value::Null);
    assert_eq!(id_of(DocumentId::None, None), Value::Null);
}

#[test]
fn an_id_that_no_server_takes_makes_an_event_unfit() {
    let with_id = |id: &str| MINIMAL.replace(r#""e""#, &format!("\"{id}\""));
    let by_event = elastic(Op::Create, DocumentId::EventId);
    let try_id = |id: &str| request_body(&by_event, &[RAW, &with_id(id)], Some(STAMP), NOW_MS).map(drop);
    assert_eq!(try_id(&"\\u00e9".repeat(256)), Ok(()));
    assert_eq!(
        try_id(&"\\u00e9".repeat(257)).unwrap_err().why,
        "the document's id has 514 bytes; at most 512 are allowed"
    );
    assert_eq!(try_id("").unwrap_err().why, "the event_id is empty and cannot be a document's id");
    // Neither matters where the id is not made of it.
    assert!(request_body(&standard(), &[with_id("")], Some(STAMP), NOW_MS).is_ok());
    assert!(request_body(&elastic(Op::Create, DocumentId::None), &[with_id("")], None, NOW_MS).is_ok());
    let stream = "s".repeat(509);
    let at = |n| request_body(&standard(), &[RAW], Some(Stamp { stream: &stream, n, ..STAMP }), NOW_MS).map(drop);
    assert_eq!(at(99), Ok(()));
    assert!(at(100).is_err());
}

#[test]
fn a_time_that_strict_readers_do_not_know_is_made_strict_in_at_timestamp_only() {
    let raw = MINIMAL.replace("2026-05-12T14:23:01.453Z", "2016-12-31t23:59:60z");
    let body = request_body(&standard(), &[&raw], Some(STAMP), NOW_MS).unwrap();
    let document: Value = serde_json::from_slice(body.split(|byte| *byte == b'\n').nth(1).unwrap()).unwrap();
    assert_eq!(document["@timestamp"], "2017-01-01T00:00:00.000Z");
    assert_eq!(document["timestamp"], "2016-12-31t23:59:60z");
}

#[test]
fn every_own_event_is_a_document_without_a_number() {
    for raw in own_events() {
        let body = request_body(&standard(), &[&raw], None, NOW_MS).unwrap();
        let mut document = value_without_repeats(body.split(|byte| *byte == b'\n').nth(1).unwrap());
        let time = document.as_object_mut().unwrap().remove("@timestamp").unwrap();
        assert_eq!(time, document["timestamp"]);
        assert_eq!(document, serde_json::from_str::<Value>(&raw).unwrap());
    }
}

proptest! {
    #[test]
    fn a_body_reads_back_as_its_actions_and_documents(
        raws in prop::collection::vec(raw_event(), 1..4), node: String, stream in "\\PC{0,20}[\\n\"\\\\]?", first in 1u64..u64::MAX - 9,
        op in prop::sample::select(vec![Op::Create, Op::Index]),
        id in prop::sample::select(vec![DocumentId::StreamAndNumber, DocumentId::EventId, DocumentId::None]),
    ) {
        let stamp = Stamp { node: &node, stream: &stream, n: first };
        let Ok(body) = request_body(&elastic(op, id), &raws, Some(stamp), NOW_MS) else {
            prop_assert!(id == DocumentId::EventId);
            return Ok(());
        };
        let text = String::from_utf8(body).unwrap();
        prop_assert!(text.ends_with('\n'));
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap().split('\n').collect();
        prop_assert_eq!(lines.len(), 2 * raws.len());
        for (nth, (pair, raw)) in lines.chunks(2).zip(&raws).enumerate() {
            let event: Value = serde_json::from_str(raw).unwrap();
            let name = match id {
                DocumentId::StreamAndNumber => json!({"_id": format!("{stream}:{}", first + nth as u64)}),
                DocumentId::EventId => json!({"_id": event["event_id"]}),
                DocumentId::None => json!({}),
            };
            let action = if op == Op::Create { "create" } else { "index" };
            let read: Value = serde_json::from_str(pair[0]).unwrap();
            prop_assert_eq!(read, json!({ action: name }));
            let mut document = event.clone();
            document["@timestamp"] = event["timestamp"].clone();
            document["siem"] = json!({"node": node, "stream": stream, "n": first + nth as u64});
            prop_assert_eq!(value_without_repeats(pair[1].as_bytes()), document);
        }
    }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() }
}

fn verdict(status: u16, body: &str, events: usize) -> Verdict {
    standard().verdict(&reply(status, body), events, 0)
}

fn taken() -> Value {
    json!({"create": {"_id": "s:1", "status": 201}})
}

fn failed(status: u16, kind: &str, reason: &str) -> Value {
    json!({"create": {"_id": "s:2", "status": status, "error": {"type": kind, "reason": reason}}})
}

fn judged_by(encoder: &Elastic, items: &[Value]) -> Verdict {
    let body = json!({"took": 3, "errors": true, "items": items}).to_string();
    encoder.verdict(&reply(200, &body), items.len(), 0)
}

/// The verdict on a failed item between two that were taken.
fn amid(item: Value) -> Verdict {
    judged_by(&standard(), &[taken(), item, taken()])
}

const DELIVERED: Verdict = Verdict::Delivered { slow_down: false };

fn assert_again(status: u16, kind: &str, slow: bool) {
    let why = format!("status {status}: {kind}: R");
    let note = Some(format!("1 of 3 could not be stored now: {why}"));
    let expected = Verdict::Judged { refused: vec![], again: vec![1], slow_down: slow, note };
    assert_eq!(amid(failed(status, kind, "R")), expected);
    // Where it meets all of them, the request came at a bad time.
    let all = Verdict::Retry { after_ms: None, why, slow_down: slow, new_connection: false };
    assert_eq!(judged_by(&standard(), &[failed(status, kind, "R"), failed(status, kind, "R")]), all);
}

fn assert_refused(status: u16, kind: &str) {
    let reason = format!("status {status}: {kind}: R");
    let expected = Verdict::refused(vec![RefusedItem { item: 1, reason: reason.clone() }]);
    assert_eq!(amid(failed(status, kind, "R")), expected);
    let both = vec![RefusedItem { item: 0, reason: reason.clone() }, RefusedItem { item: 1, reason }];
    assert_eq!(judged_by(&standard(), &[failed(status, kind, "R"), failed(status, kind, "R")]), Verdict::refused(both));
}

#[test]
fn request_200_without_errors_is_delivered() {
    let body = json!({"took": 3, "errors": false, "items": [taken(), taken()]}).to_string();
    assert_eq!(verdict(200, &body, 2), DELIVERED);
}

#[test]
fn request_200_with_errors_is_read_item_by_item_whatever_errors_says() {
    let body = json!({"took": 3, "errors": false, "items": [taken(), failed(400, "mapper_parsing_exception", "R")]});
    assert!(matches!(verdict(200, &body.to_string(), 2), Verdict::Judged { refused, .. } if refused[0].item == 1));
}

#[test]
fn request_400_is_split_and_a_lone_event_refused() {
    let body = r#"{"error":{"root_cause":[],"type":"illegal_argument_exception","reason":"The bulk request must be terminated by a newline [\\n]"},"status":400}"#;
    let why = "HTTP 400: illegal_argument_exception: The bulk request must be terminated by a newline [\\n]".to_owned();
    assert_eq!(verdict(400, body, 2), Verdict::Split { offender: None, why: why.clone() });
    assert_eq!(verdict(400, body, 1), Verdict::refused(vec![RefusedItem { item: 0, reason: why }]));
}

#[test]
fn requests_401_and_403_hold_for_credentials() {
    let body = r#"{"error":{"type":"security_exception","reason":"missing authentication credentials"},"status":401}"#;
    let why = "HTTP 401: security_exception: missing authentication credentials".to_owned();
    assert_eq!(verdict(401, body, 2), Verdict::HoldForCredentials { why });
    let signature = r#"{"message":"The request signature we calculated does not match"}"#;
    let why = format!("HTTP 403: {signature}");
    assert_eq!(verdict(403, signature, 2), Verdict::HoldForCredentials { why });
}

#[test]
fn request_403_or_429_cluster_block_is_retried_slowly() {
    let body = r#"{"error":{"type":"cluster_block_exception","reason":"blocked"},"status":403}"#;
    for status in [403, 429] {
        let why = format!("HTTP {status}: cluster_block_exception: blocked");
        let expected = Verdict::Retry { after_ms: None, why, slow_down: true, new_connection: false };
        assert_eq!(verdict(status, body, 2), expected);
    }
}

#[test]
fn request_404_is_misconfigured() {
    let body = r#"{"error":{"type":"index_not_found_exception","reason":"no such index [x]"},"status":404}"#;
    let why = "HTTP 404: index_not_found_exception: no such index [x]".to_owned();
    assert_eq!(verdict(404, body, 2), Verdict::Misconfigured { why });
}

#[test]
fn requests_405_and_406_are_misconfigured() {
    for status in [405, 406] {
        let body = r#"{"error":"Incorrect HTTP method for uri","status":405}"#;
        assert_eq!(verdict(status, body, 2), Verdict::Misconfigured { why: format!("HTTP {status}: {body}") });
    }
}

#[test]
fn request_413_is_split_and_so_is_a_large_body_that_breaks_off() {
    let why = "HTTP 413: Request size exceeded 10485760 bytes".to_owned();
    assert_eq!(verdict(413, "Request size exceeded 10485760 bytes", 2), Verdict::Smaller { why });
    assert!(matches!(standard().interrupted(MAX_BYTES + 1, 2), Some(Verdict::Smaller { .. })));
    assert_eq!(standard().interrupted(MAX_BYTES, 2), None);
    assert_eq!(standard().interrupted(MAX_BYTES + 1, 1), None, "a broken connection proves nothing against one event");
}

#[test]
fn request_429_is_retried_later_and_more_slowly() {
    for kind in
        ["circuit_breaking_exception", "es_rejected_execution_exception", "opensearch_rejected_execution_exception"]
    {
        let body = json!({"error": {"type": kind, "reason": "busy"}, "status": 429}).to_string();
        let mut busy = reply(429, &body);
        busy.headers.push(("Retry-After".into(), "7".into()));
        let found = standard().verdict(&busy, 2, 0);
        assert!(matches!(found, Verdict::Retry { after_ms: Some(7000), slow_down: true, .. }), "{found:?}");
    }
}

#[test]
fn requests_500_502_503_and_504_are_retried() {
    for status in [500, 502, 503, 504] {
        assert!(matches!(verdict(status, "<html>", 2), Verdict::Retry { .. }), "{status}");
    }
}

#[test]
fn item_200_or_201_is_taken() {
    assert_eq!(amid(json!({"create": {"status": 200, "failure_store": "not_applicable_or_unknown"}})), DELIVERED);
    assert_eq!(amid(json!({"index": {"status": 201, "_id": "x"}})), DELIVERED);
}

#[test]
fn item_201_in_the_failure_store_is_taken_and_told() {
    let note = Some("1 of 3 went to the failure store, not to the stream".to_owned());
    let expected = Verdict::Judged { refused: vec![], again: vec![], slow_down: false, note };
    assert_eq!(amid(json!({"create": {"status": 201, "failure_store": "used"}})), expected);
    let aside = json!({"create": {"status": 201, "failure_store": "used"}});
    let busy = failed(429, "es_rejected_execution_exception", "R");
    let Verdict::Judged { again, note, .. } = judged_by(&standard(), &[aside, busy]) else { panic!() };
    assert_eq!(again, [1]);
    assert_eq!(
        note.unwrap(),
        "1 of 2 went to the failure store, not to the stream; 1 of 2 could not be stored now: status 429: es_rejected_execution_exception: R"
    );
}

#[test]
fn item_409_is_a_repeat_where_we_create_with_our_own_id() {
    let conflict =
        || failed(409, "version_conflict_engine_exception", "[s:2]: version conflict, document already exists");
    assert_eq!(amid(conflict()), DELIVERED);
    assert_eq!(judged_by(&elastic(Op::Create, DocumentId::EventId), &[conflict()]), DELIVERED);
    for other in [elastic(Op::Create, DocumentId::None), elastic(Op::Index, DocumentId::StreamAndNumber)] {
        let found = judged_by(&other, &[taken(), conflict()]);
        assert!(
            matches!(&found, Verdict::Judged { refused, again, .. } if refused.is_empty() && *again == [1]),
            "{found:?}"
        );
    }
    assert!(matches!(amid(failed(409, "other_conflict", "R")), Verdict::Judged { again, .. } if again == [1]));
}

#[test]
fn lesson_27_item_429_is_sent_again_and_slows_down() {
    assert_again(429, "es_rejected_execution_exception", true);
    assert_again(429, "opensearch_rejected_execution_exception", true);
}

#[test]
fn item_429_or_403_cluster_block_of_a_full_disk_is_sent_again_slowly() {
    assert_again(429, "cluster_block_exception", true);
    assert_again(403, "cluster_block_exception", true);
}

#[test]
fn item_400_is_refused_with_type_and_reason() {
    for kind in [
        "mapper_parsing_exception",
        "document_parsing_exception",
        "strict_dynamic_mapping_exception",
        "illegal_argument_exception",
    ] {
        assert_refused(400, kind);
    }
}

#[test]
fn lesson_28_exactly_the_failed_items_are_refused() {
    let bad = |nth: usize| nth % 7 == 3;
    let items: Vec<Value> =
        (0..1000).map(|nth| if bad(nth) { failed(400, "document_parsing_exception", "R") } else { taken() }).collect();
    let Verdict::Judged { refused, again, .. } = judged_by(&standard(), &items) else { panic!() };
    assert_eq!(
        refused.iter().map(|item| item.item).collect::<Vec<_>>(),
        (0..1000).filter(|nth| bad(*nth)).collect::<Vec<_>>()
    );
    assert!(again.is_empty());
}

#[test]
fn lesson_29_a_refused_item_keeps_the_servers_own_reason() {
    let item =
        failed(400, "document_parsing_exception", "failed to parse field [ip] of type [ip] in document: 'no\naddress'");
    let Verdict::Judged { refused, .. } = amid(item) else { panic!() };
    assert_eq!(
        refused[0].reason,
        "status 400: document_parsing_exception: failed to parse field [ip] of type [ip] in document: 'no address'"
    );
}

#[test]
fn item_401_or_403_security_exception_holds_for_credentials() {
    for status in [401, 403] {
        let why = format!("status {status}: security_exception: R");
        assert_eq!(amid(failed(status, "security_exception", "R")), Verdict::HoldForCredentials { why });
    }
}

#[test]
fn item_404_index_not_found_is_misconfigured() {
    let why = "status 404: index_not_found_exception: R".to_owned();
    assert_eq!(amid(failed(404, "index_not_found_exception", "R")), Verdict::Misconfigured { why });
    assert_refused(404, "document_missing_exception");
}

#[test]
fn item_5xx_is_sent_again() {
    assert_again(503, "unavailable_shards_exception", false);
    assert_again(500, "node_closed_exception", false);
    assert_again(504, "process_cluster_event_timeout_exception", false);
}

#[test]
fn an_item_that_may_not_have_our_id_is_misconfigured_with_the_advice() {
    let item =
        failed(400, "illegal_argument_exception", "Document ID is not supported in create/index operation request");
    let Verdict::Misconfigured { why } = amid(item) else { panic!() };
    assert!(why.ends_with("set id = \"none\""), "{why}");
}

#[test]
fn an_item_that_must_be_created_is_misconfigured_with_the_advice() {
    let item = failed(
        400,
        "illegal_argument_exception",
        "only write ops with an op_type of create are allowed in data streams",
    );
    let Verdict::Misconfigured { why } = judged_by(&elastic(Op::Index, DocumentId::EventId), &[item]) else { panic!() };
    assert!(why.ends_with("set op = \"create\""), "{why}");
}

#[test]
fn an_answer_for_another_number_of_events_is_no_answer() {
    let body = json!({"errors": false, "items": [taken(), taken()]}).to_string();
    for events in [1, 3] {
        let why = format!("the answer judges 2 events of {events}");
        let expected = Verdict::Retry { after_ms: None, why, slow_down: false, new_connection: false };
        assert_eq!(verdict(200, &body, events), expected);
    }
}

#[test]
fn an_answer_that_was_cut_or_breaks_off_is_no_answer() {
    let body = json!({"errors": false, "items": [taken(), taken()]}).to_string();
    let cut = Reply { is_cut: true, ..reply(200, &body) };
    assert!(matches!(standard().verdict(&cut, 2, 0), Verdict::Smaller { .. }), "the same events get the same answer");
    assert!(matches!(standard().verdict(&cut, 1, 0), Verdict::Retry { .. }));
    for end in 1..body.len() {
        assert!(matches!(verdict(200, &body[..end], 2), Verdict::Retry { .. }), "{end}");
    }
}

#[test]
fn a_friendly_page_is_no_success() {
    for body in [
        "<html>Welcome</html>",
        "",
        "{}",
        "[]",
        "\"ok\"",
        r#"{"tagline":"You Know, for Search"}"#,
        r#"{"items":[{"delete":{"status":200}}]}"#,
        r#"{"items":[{"create":{}}]}"#,
    ] {
        assert!(matches!(verdict(200, body, 1), Verdict::Misconfigured { .. }), "{body}");
    }
}

#[test]
fn redirects_and_statuses_nobody_knows_are_judged_by_status() {
    assert!(matches!(verdict(302, "", 2), Verdict::Misconfigured { .. }));
    assert!(matches!(verdict(407, "", 2), Verdict::HoldForCredentials { .. }));
    assert!(matches!(verdict(408, "", 2), Verdict::Retry { .. }));
    assert!(matches!(verdict(599, "", 2), Verdict::Retry { .. }));
}

#[test]
fn no_reply_panics() {
    let odd = [
        "\u{0}",
        "[1]",
        r#"{"items":5}"#,
        r#"{"items":[null]}"#,
        r#"{"items":[{"create":{"status":0}}]}"#,
        r#"{"error":{"type":null,"reason":null}}"#,
        r#"{"error":5}"#,
        r#"{"items":[{"create":{"status":400,"error":{"type":"t","reason":null}}}]}"#,
        r#"{"items":[{"create":{"status":65535}}]}"#,
    ];
    for body in odd {
        for status in [0, 199, 200, 400, 500, 999] {
            for events in [0, 1, 2] {
                verdict(status, body, events);
            }
        }
    }
    let nameless = verdict(200, r#"{"items":[{"create":{"status":400,"error":{"type":"t","reason":null}}}]}"#, 1);
    assert_eq!(nameless, Verdict::refused(vec![RefusedItem { item: 0, reason: "status 400: t:".into() }]));
}
