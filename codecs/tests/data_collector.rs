//! Records for the retired Data Collector API read back with `serde_json`, and every row of its table of replies.

mod common;
mod formats;
mod requests;

use common::golden;
use formats::*;
use proptest::prelude::*;
use requests::*;
use scaidrive_codecs::data_collector::*;
use scaidrive_codecs::{Format, Verdict};
use serde_json::{Map, Value, json};

const WORKSPACE: &str = "11111111-2222-3333-4444-55555555555f";

fn settings() -> DataCollectorSettings {
    DataCollectorSettings { workspace: WORKSPACE.into(), log_type: "ScaiDriveAudit".into(), resource_id: None }
}

fn collector() -> DataCollector {
    DataCollector::new(&settings()).unwrap()
}

fn expected(event: &Map<String, Value>, n: u64) -> Value {
    let mut record = json!({"siem_node": NODE, "siem_stream": STREAM, "siem_n": n});
    let mut extra = event.clone();
    record["app_tenant_id"] = extra.remove("tenant_id").unwrap();
    let required = ["timestamp", "event_id", "category", "action", "severity"];
    for field in required.into_iter().chain(OPTIONAL).chain(["payload"]) {
        if let Some(value) = extra.remove(field).filter(|value| !value.is_null()) {
            record[field] = value;
        }
    }
    if !extra.is_empty() {
        record["extra"] = extra.into();
    }
    record
}

proptest! {
    #[test]
    fn a_body_reads_back_as_its_events(events in events()) {
        let raws: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        let raws: Vec<&str> = raws.iter().map(String::as_str).collect();
        let records: Vec<Value> = serde_json::from_slice(&sent(&collector(), &raws).unwrap()).unwrap();
        let expected: Vec<Value> = events.iter().zip(FIRST_N..).map(|(event, n)| expected(event, n)).collect();
        prop_assert_eq!(records, expected);
    }
}

#[test]
fn the_golden_body_has_not_changed() {
    let mut text = String::from_utf8(sent(&collector(), &[RAW, RAW]).unwrap()).unwrap();
    text.push('\n');
    text.push_str(&String::from_utf8(sent_own(&collector(), RAW)).unwrap());
    golden("data_collector.json", &(text + "\n"));
}

#[test]
fn an_index_of_other_bytes_does_not_panic() {
    check_that_a_foreign_index_does_not_panic(&collector());
}

#[test]
fn reserved_names_are_not_used_and_names_are_words() {
    let long = RAW.replace("\"x\":", &format!("\"w\":\"{}\",\"x\":", "w".repeat(VALUE_MAX)));
    let records: Vec<Map<String, Value>> = serde_json::from_slice(&sent(&collector(), &[&long]).unwrap()).unwrap();
    assert_eq!(records[0]["truncated"], true);
    assert!(records[0]["payload"]["shortened"].as_str().unwrap().starts_with("{\"w\":\"www"));
    for name in records[0].keys() {
        assert!(!["tenant", "TimeGenerated", "RawData"].contains(&name.as_str()));
        assert!(name.len() <= 45 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
    }
}

#[test]
fn a_request_names_record_type_and_time_and_holds_no_credential() {
    let with_resource = DataCollectorSettings { resource_id: Some("/subscriptions/s/x".into()), ..settings() };
    let format = DataCollector::new(&with_resource).unwrap();
    assert_eq!(format.request().path, "/api/logs?api-version=2016-04-01");
    let headers: Vec<String> =
        format.request().headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let expected = [
        "Content-Type: application/json",
        "Log-Type: ScaiDriveAudit",
        "time-generated-field: timestamp",
        "x-ms-AzureResourceId: /subscriptions/s/x",
    ];
    assert_eq!(headers, expected);
}

#[test]
fn settings_are_checked() {
    for workspace in ["", "w", "11111111-2222-3333-4444-55555555555", "11111111x2222-3333-4444-555555555555"] {
        let refused = DataCollector::new(&DataCollectorSettings { workspace: workspace.into(), ..settings() });
        assert_eq!(refused.unwrap_err(), DataCollectorError::Workspace { found: workspace.into() });
    }
    for log_type in ["", "a-b", "a b", "é", &"a".repeat(101)] {
        let refused = DataCollector::new(&DataCollectorSettings { log_type: log_type.into(), ..settings() });
        assert_eq!(refused.unwrap_err(), DataCollectorError::LogType { found: log_type.into() });
    }
    for id in ["", "subscriptions/s", "/subscriptions/a b", "/subscriptions/a\r\nX: y"] {
        let refused = DataCollector::new(&DataCollectorSettings { resource_id: Some(id.into()), ..settings() });
        assert_eq!(refused.unwrap_err(), DataCollectorError::ResourceId { found: id.into() });
    }
}

fn verdict(status: u16, code: &str, events: usize) -> Verdict {
    collector().verdict(&reply(status, &format!(r#"{{"Error":"{code}","Message":"M"}}"#)), events, 0)
}

#[test]
fn status_200_is_delivered_unless_a_page_says_so() {
    assert_eq!(collector().verdict(&reply(200, ""), 10, 0), Verdict::Delivered { slow_down: false });
    assert!(matches!(collector().verdict(&reply(200, "<html>"), 10, 0), Verdict::Misconfigured { .. }));
    assert!(matches!(collector().verdict(&reply(202, ""), 10, 0), Verdict::Misconfigured { .. }));
}

#[test]
fn status_400_inactive_customer_to_invalid_log_type_is_misconfigured() {
    let codes = [
        "InactiveCustomer",
        "InvalidCustomerId",
        "InvalidApiVersion",
        "MissingApiVersion",
        "MissingContentType",
        "UnsupportedContentType",
        "MissingLogType",
        "InvalidLogType",
    ];
    for code in codes {
        assert_eq!(verdict(400, code, 1), Verdict::Misconfigured { why: format!("HTTP 400, {code}: M") });
    }
}

#[test]
fn status_400_invalid_data_format_is_split() {
    let why = "HTTP 400, InvalidDataFormat: M".to_owned();
    assert_eq!(verdict(400, "InvalidDataFormat", 10), Verdict::Split { offender: None, why });
    assert!(matches!(verdict(400, "InvalidDataFormat", 1), Verdict::Judged { .. }));
}

#[test]
fn lesson_32_status_403_invalid_authorization_holds_and_says_when_the_clock_is_wrong() {
    let why = "HTTP 403, InvalidAuthorization: M".to_owned();
    assert_eq!(verdict(403, "InvalidAuthorization", 10), Verdict::HoldForCredentials { why: why.clone() });
    let dated = with_header(
        reply(403, r#"{"Error":"InvalidAuthorization","Message":"M"}"#),
        "Date",
        "Tue, 12 May 2026 14:23:01 GMT",
    );
    let now_ms = 1_778_595_781_000;
    assert_eq!(collector().verdict(&dated, 10, now_ms - 60_000), Verdict::HoldForCredentials { why });
    for skewed in [now_ms - 3_600_000, now_ms + 3_600_000] {
        let Verdict::HoldForCredentials { why } = collector().verdict(&dated, 10, skewed) else { panic!() };
        assert!(why.contains("differ by 60 minutes"), "{why}");
    }
}

#[test]
fn status_404_is_a_split_for_a_body_over_5_mb_and_else_misconfigured() {
    let by_length = |body_len, events| collector().verdict_by_length(&reply(404, ""), events, body_len, 0);
    assert!(matches!(by_length(5_000_001, 10), Verdict::Smaller { .. }));
    assert!(matches!(by_length(5_000_001, 1), Verdict::Misconfigured { .. }));
    assert!(matches!(by_length(5_000_000, 10), Verdict::Misconfigured { .. }));
    assert!(matches!(verdict(404, "", 10), Verdict::Misconfigured { .. }));
}

#[test]
fn status_429_is_retried_more_slowly() {
    assert!(matches!(verdict(429, "", 10), Verdict::Retry { slow_down: true, .. }));
}

#[test]
fn statuses_500_unspecified_error_and_503_service_unavailable_are_retried() {
    assert!(matches!(verdict(500, "UnspecifiedError", 10), Verdict::Retry { .. }));
    assert!(matches!(verdict(503, "ServiceUnavailable", 10), Verdict::Retry { .. }));
}
