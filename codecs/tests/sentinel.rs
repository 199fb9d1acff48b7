//! Rows for the Logs Ingestion API read back with `serde_json`, and every row of its table of replies.

mod common;
mod formats;
mod kinds;
mod requests;

use common::golden;
use formats::*;
use proptest::prelude::*;
use requests::*;
use scaidrive_codecs::sentinel::*;
use scaidrive_codecs::{Format, RefusedItem, Shape, Verdict};
use serde_json::{Map, Value, json};

const DCR: &str = "dcr-0123456789abcdef0123456789ABCDEF";

fn settings(dcr: &str, stream: &str) -> SentinelSettings {
    SentinelSettings { dcr: dcr.into(), stream: stream.into(), shape: Shape::Canonical }
}

fn sentinel() -> Sentinel {
    Sentinel::new(&settings(DCR, STREAM_NAME)).unwrap()
}

const STREAM_NAME: &str = scaidrive_codecs::sentinel::STREAM;

/// One event and its columns, written down a second time.
const COLUMNS: [(&str, &str); 13] = [
    ("EventId", "event_id"),
    ("AppTenantId", "tenant_id"),
    ("Category", "category"),
    ("Action", "action"),
    ("Severity", "severity"),
    ("UserId", "user_id"),
    ("UserEmail", "user_email"),
    ("ServiceAccount", "service_account"),
    ("ResourceId", "resource_id"),
    ("ResourcePath", "resource_path"),
    ("ClientIp", "ip"),
    ("UserAgent", "user_agent"),
    ("SessionId", "session_id"),
];

fn expected(event: &Map<String, Value>, n: u64) -> Value {
    let mut row = json!({
        "TimeGenerated": event["timestamp"], "EventTime": event["timestamp"],
        "SiemNode": NODE, "SiemStream": formats::STREAM, "SiemN": n,
    });
    let mut extra = event.clone();
    for (column, field) in COLUMNS.into_iter().chain([("Payload", "payload"), ("", "timestamp")]) {
        match extra.remove(field) {
            Some(value) if !value.is_null() && !column.is_empty() => row[column] = value,
            _ => {}
        }
    }
    if !extra.is_empty() {
        row["Extra"] = extra.into();
    }
    row
}

proptest! {
    #[test]
    fn a_body_reads_back_as_its_events(events in events()) {
        let raws: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        let raws: Vec<&str> = raws.iter().map(String::as_str).collect();
        let rows: Vec<Value> = serde_json::from_slice(&sent(&sentinel(), &raws).unwrap()).unwrap();
        let expected: Vec<Value> = events.iter().zip(FIRST_N..).map(|(event, n)| expected(event, n)).collect();
        prop_assert_eq!(rows, expected);
    }
}

#[test]
fn the_golden_body_has_not_changed() {
    let mut text = String::from_utf8(sent(&sentinel(), &[RAW, RAW]).unwrap()).unwrap();
    text.push('\n');
    text.push_str(&String::from_utf8(sent_own(&sentinel(), RAW)).unwrap());
    golden("sentinel.json", &(text + "\n"));
}

#[test]
fn the_generated_rule_has_not_changed() {
    golden("sentinel_rule.json", &data_collection_rule(&settings(DCR, STREAM_NAME)));
}

#[test]
fn a_row_of_asim_has_only_columns_that_its_rule_declares_with_these_types() {
    let settings = SentinelSettings { shape: Shape::Asim, ..settings(DCR, ASIM_STREAM) };
    let rule = data_collection_rule(&settings);
    golden("sentinel_asim_rule.json", &rule);
    let rule: Value = serde_json::from_str(&rule).unwrap();
    let declared = &rule["resources"][1]["properties"]["streamDeclarations"][ASIM_STREAM]["columns"];
    let format = Sentinel::new(&settings).unwrap();
    for kind in kinds::kinds() {
        let rows: Vec<Map<String, Value>> =
            serde_json::from_slice(&sent(&format, &[&kind.raw, &kind.raw]).unwrap()).unwrap();
        assert_eq!(rows.len(), 2);
        for (name, value) in &rows[0] {
            let column = declared.as_array().unwrap().iter().find(|column| column["name"] == name.as_str());
            let fits = match column.unwrap()["type"].as_str().unwrap() {
                "string" | "datetime" => value.is_string(),
                "int" => value.is_u64(),
                "dynamic" => value.is_object(),
                other => panic!("{other}"),
            };
            assert!(fits, "{}: {name} is {value}", kind.name);
        }
    }
    let large = RAW.replace(r#"{"x":[1, 2],"#, &format!(r#"{{"x":1,"long":"{}","#, "x".repeat(VALUE_MAX)));
    let rows: Value = serde_json::from_slice(&sent(&format, &[&large]).unwrap()).unwrap();
    assert_eq!(rows[0]["AdditionalFields"]["truncated"], true);
    assert_eq!(rows[0]["AdditionalFields"]["payload"], serde_json::json!({"x": 1}));
}

#[test]
fn the_rule_declares_what_the_rows_have_within_the_services_rules_for_names() {
    let rule: Value = serde_json::from_str(&data_collection_rule(&settings(DCR, "Custom-My-Stream"))).unwrap();
    let table = &rule["resources"][0]["properties"]["schema"];
    assert_eq!(table["name"], "My_Stream_CL");
    let properties = &rule["resources"][1]["properties"];
    assert_eq!(properties["dataFlows"][0]["outputStream"], "Custom-My_Stream_CL");
    let declared = properties["streamDeclarations"]["Custom-My-Stream"]["columns"].as_array().unwrap();
    let names: Vec<&str> = declared.iter().map(|column| column["name"].as_str().unwrap()).collect();
    let reserved = ["_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"];
    for name in &names {
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        assert!(is_word && name.len() <= 45 && name.starts_with(|c: char| c.is_ascii_alphabetic()), "{name}");
        assert!(!reserved.contains(name), "{name}");
    }
    let in_table: Vec<&str> =
        table["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(in_table, names);
    let rows: Vec<Map<String, Value>> = serde_json::from_slice(&sent(&sentinel(), &[RAW]).unwrap()).unwrap();
    for (name, value) in &rows[0] {
        let kind = declared.iter().find(|column| column["name"] == name.as_str()).unwrap()["type"].as_str().unwrap();
        let fits = match kind {
            "string" | "datetime" => value.is_string(),
            "long" => value.is_u64(),
            "dynamic" => value.is_object(),
            "boolean" => value.is_boolean(),
            _ => false,
        };
        assert!(fits, "{name} is no {kind}: {value}");
    }
}

#[test]
fn a_request_goes_to_rule_and_stream() {
    let format = sentinel();
    assert_eq!(format.request().method, "POST");
    let path = format!("/dataCollectionRules/{DCR}/streams/Custom-ScaiDriveAudit?api-version=2023-01-01");
    assert_eq!(format.request().path, path);
    assert_eq!(format.request().headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
}

#[test]
fn settings_are_checked() {
    for dcr in ["", "dcr-", "dcr-0123", "0123456789abcdef0123456789abcdef", "dcr-0123456789abcdef0123456789abcdeg"] {
        let refused = Sentinel::new(&settings(dcr, STREAM_NAME)).unwrap_err();
        assert_eq!(refused, SentinelError::Dcr { found: dcr.into() });
        assert!(refused.to_string().contains("32 hexadecimal digits"));
    }
    for stream in ["", "Custom-", "ScaiDrive_CL", "Custom-1", "Custom-a b", "Custom-a/b", &format!("Custom-a{:060}", 0)]
    {
        let refused = Sentinel::new(&settings(DCR, stream)).unwrap_err();
        assert_eq!(refused, SentinelError::Stream { found: stream.into() });
    }
}

fn event_with(members: &str) -> String {
    format!(
        r#"{{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info",{members}}}"#
    )
}

fn row_of(raw: &str) -> Value {
    let rows: Vec<Value> = serde_json::from_slice(&sent(&sentinel(), &[raw]).unwrap()).unwrap();
    rows.into_iter().next().unwrap()
}

#[test]
fn lesson_31_a_long_string_is_shortened_at_a_character_and_marked() {
    let fits = row_of(&event_with(&format!(r#""user_agent":"{}""#, "é".repeat(VALUE_MAX / 2))));
    assert_eq!((fits["UserAgent"].as_str().unwrap().len(), fits.get("Truncated")), (VALUE_MAX, None));
    // The text is within the limit, whatever its escapes cost.
    let escaped = row_of(&event_with(&format!(r#""user_agent":"{}""#, r"\u00e9".repeat(VALUE_MAX / 2))));
    assert_eq!((escaped["UserAgent"].as_str().unwrap().len(), escaped.get("Truncated")), (VALUE_MAX, None));
    let long = row_of(&event_with(&format!(r#""user_agent":"x{}""#, r"\u00e9".repeat(VALUE_MAX / 2))));
    assert_eq!(long["UserAgent"].as_str().unwrap(), format!("x{}", "é".repeat(VALUE_MAX / 2 - 1)));
    assert_eq!(long["Truncated"], true);
}

#[test]
fn lesson_31_a_long_payload_or_extra_becomes_an_object_with_its_beginning() {
    let text = "\\\"é\t".replace('\t', "\\t").repeat(VALUE_MAX / 4);
    for (member, column) in [("payload", "Payload"), ("other", "Extra")] {
        let raw = event_with(&format!(r#""{member}":{{"a":"{text}"}}"#));
        let row = row_of(&raw);
        assert_eq!(row["Truncated"], true);
        let beginning = row[column]["shortened"].as_str().unwrap();
        assert!(beginning.starts_with(if column == "Extra" { "{\"other\":{\"a\":\"" } else { "{\"a\":\"" }));
        assert!(raw.contains(beginning.trim_start_matches('{')));
        let length = serde_json::to_string(&row[column]).unwrap().len();
        assert!(length <= VALUE_MAX && length > VALUE_MAX - 8, "{length}");
    }
}

#[test]
fn lesson_25_a_record_over_the_limit_is_unfit_and_no_other_is() {
    let field = |name: &str, length: usize| format!(r#""{name}":"{}""#, r"\u0001".repeat(length));
    let raw = |last: usize| {
        let long = OPTIONAL[..3].iter().map(|name| field(name, 50_000)).collect::<Vec<_>>().join(",");
        event_with(&format!(r#"{long},"session_id":"{}""#, "x".repeat(last)))
    };
    let length = sent(&sentinel(), &[&raw(1)]).unwrap().len();
    let room = MAX_BYTES - length;
    assert!(room < VALUE_MAX * 2, "{room}");
    let more = |last: usize| raw(1).replace(r#""e""#, &format!(r#""{}""#, "y".repeat(last)));
    let (id, session) = (room / 2, room - room / 2);
    let fitting = more(1 + id).replace(r#""session_id":"x""#, &format!(r#""session_id":"x{}""#, "x".repeat(session)));
    assert_eq!(sent(&sentinel(), &[&fitting]).unwrap().len(), MAX_BYTES);
    let too_long = fitting.replace(r#""c""#, r#""cc""#);
    assert!(sent(&sentinel(), &[&too_long]).unwrap_err().why.contains("1000001"));
    assert!(sent(&sentinel(), &[RAW, &fitting]).is_ok());
    assert!(sent(&sentinel(), &[RAW, &too_long]).is_err());
}

#[test]
fn a_time_that_parsers_disagree_on_is_written_plainly() {
    let time = |text: &str| {
        let row = row_of(&RAW.replace("2026-05-12T14:23:01.4531234Z", text));
        assert_eq!(row["TimeGenerated"], row["EventTime"]);
        row["EventTime"].as_str().unwrap().to_owned()
    };
    for plain in ["2026-05-12T14:23:01Z", "2026-05-12T14:23:01.1234567Z"] {
        assert_eq!(time(plain), plain);
    }
    assert_eq!(time("2026-05-12t14:23:01Z"), "2026-05-12T14:23:01.000Z");
    assert_eq!(time("2026-05-12T16:23:01+02:00"), "2026-05-12T14:23:01.000Z");
    assert_eq!(time("2026-05-12T14:23:01.123456789Z"), "2026-05-12T14:23:01.123Z");
    assert_eq!(time("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00.000Z");
    assert_eq!(time(r"2026-05-12T14:23:01\u005a"), "2026-05-12T14:23:01.000Z");
}

#[test]
fn an_index_of_other_bytes_does_not_panic() {
    check_that_a_foreign_index_does_not_panic(&sentinel());
}

#[test]
fn the_payload_is_borrowed() {
    use scaidrive_codecs::{Body, Entry, Event, Scratch, Stamp, index};
    let found = index(RAW.as_bytes()).unwrap();
    let stamp = Stamp { node: "n", stream: "s", n: 1 };
    let entry = Entry { item: 0, stamp: Some(&stamp), now_ms: 0 };
    let mut body = Body::new();
    sentinel().encode(&Event::new(RAW.as_bytes(), &found), &entry, &mut body, &mut Scratch::default()).unwrap();
    let slices: Vec<&[u8]> = body.slices(|_| RAW.as_bytes()).collect();
    assert_eq!(slices.len(), 3);
    assert!(RAW.as_bytes().as_ptr_range().contains(&slices[1].as_ptr()));
}

fn verdict(status: u16, body: &str, events: usize) -> Verdict {
    sentinel().verdict(&reply(status, body), events, 0)
}

fn error(code: &str) -> String {
    format!(r#"{{"error":{{"code":"{code}","message":"M"}}}}"#)
}

#[test]
fn status_204_is_delivered() {
    assert_eq!(verdict(204, "", 10), Verdict::Delivered { slow_down: false });
}

#[test]
fn statuses_200_and_202_are_delivered_unless_a_page_says_so() {
    assert_eq!(verdict(200, "", 10), Verdict::Delivered { slow_down: false });
    assert_eq!(verdict(202, "{}", 10), Verdict::Delivered { slow_down: false });
    assert!(matches!(verdict(200, " <html>Sign in</html>", 10), Verdict::Misconfigured { .. }));
    let page = with_header(reply(200, "Sign in"), "Content-Type", "text/html; charset=utf-8");
    assert!(matches!(sentinel().verdict(&page, 10, 0), Verdict::Misconfigured { .. }));
    assert!(matches!(verdict(206, "", 10), Verdict::Misconfigured { .. }));
    assert!(matches!(verdict(302, "", 10), Verdict::Misconfigured { .. }));
}

#[test]
fn status_400_is_split_and_a_lone_event_refused() {
    let why = "HTTP 400, InvalidPayload: M".to_owned();
    assert_eq!(verdict(400, &error("InvalidPayload"), 10), Verdict::Split { offender: None, why: why.clone() });
    let alone = Verdict::refused(vec![RefusedItem { item: 0, reason: why }]);
    assert_eq!(verdict(400, &error("InvalidPayload"), 1), alone);
    assert!(matches!(verdict(400, "not JSON", 10), Verdict::Split { .. }));
}

#[test]
fn status_400_records_time_range_is_more_than_30_minutes_is_split_by_time_and_blames_no_event() {
    let body = error("RecordsTimeRangeIsMoreThan30Minutes");
    assert!(matches!(verdict(400, &body, 10), Verdict::Smaller { .. }));
    assert!(matches!(verdict(400, &body, 1), Verdict::Misconfigured { .. }));
}

#[test]
fn lesson_32_status_401_holds_for_credentials() {
    let why = "HTTP 401, InvalidToken: M".to_owned();
    assert_eq!(verdict(401, &error("InvalidToken"), 10), Verdict::HoldForCredentials { why });
}

#[test]
fn lesson_32_status_403_operation_failed_holds_and_says_that_the_role_takes_30_minutes() {
    let Verdict::HoldForCredentials { why } = verdict(403, &error("OperationFailed"), 10) else { panic!() };
    assert!(why.starts_with("HTTP 403, OperationFailed: M"));
    assert!(why.contains("Monitoring Metrics Publisher") && why.contains("30 minutes"), "{why}");
}

#[test]
fn status_404_is_misconfigured() {
    let Verdict::Misconfigured { why } = verdict(404, "", 10) else { panic!() };
    assert!(why.contains("immutable id"), "{why}");
}

#[test]
fn lesson_25_status_413_content_length_limit_exceeded_is_split() {
    assert!(matches!(verdict(413, &error("ContentLengthLimitExceeded"), 10), Verdict::Smaller { .. }));
    assert!(matches!(verdict(413, &error("ContentLengthLimitExceeded"), 1), Verdict::Judged { .. }));
}

#[test]
fn lesson_25_a_connection_that_breaks_inside_a_body_near_1_mb_is_a_split() {
    assert!(matches!(sentinel().interrupted(MAX_BYTES, 10), Some(Verdict::Smaller { .. })));
    assert!(matches!(sentinel().interrupted(900_000, 2), Some(Verdict::Smaller { .. })));
    assert_eq!(sentinel().interrupted(899_999, 10), None);
    assert_eq!(sentinel().interrupted(MAX_BYTES, 1), None);
}

#[test]
fn status_429_is_retried_more_slowly_after_the_time_named() {
    let busy = with_header(reply(429, &error("TooManyRequests")), "Retry-After", "7");
    let why = "HTTP 429, TooManyRequests: M".to_owned();
    let expected = Verdict::Retry { after_ms: Some(7_000), why, slow_down: true, new_connection: true };
    assert_eq!(sentinel().verdict(&busy, 10, 0), expected);
}

#[test]
fn statuses_500_502_503_and_504_are_retried() {
    for status in [500, 502, 503, 504] {
        assert!(matches!(verdict(status, "", 10), Verdict::Retry { .. }), "{status}");
    }
}

#[test]
fn no_reply_panics() {
    for body in ["\u{0}", "[1]", "{\"error\":5}", "{\"error\":{\"code\":7}}", "{\"Error\":null}", "\"error\""] {
        for status in [0, 199, 200, 400, 403, 500, 999] {
            verdict(status, body, 0);
        }
    }
}
