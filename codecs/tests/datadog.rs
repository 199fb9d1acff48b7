//! Datadog requests read back with `serde_json`, and every row of the table of replies.

mod common;
mod events;

use common::golden;
use events::*;
use proptest::prelude::*;
use scaidrive_codecs::datadog::*;
use scaidrive_codecs::http::Reply;
use scaidrive_codecs::time::parse_rfc3339;
use scaidrive_codecs::{Format, RefusedItem, Severity, Stamp, Verdict};
use serde_json::{Map, Value, json};

fn settings(tags: &[&str]) -> DatadogSettings {
    DatadogSettings {
        source: "scaidrive".into(),
        service: "scaidrive".into(),
        hostname: "scaidrive01".into(),
        tags: tags.iter().map(|tag| tag.to_string()).collect(),
    }
}

fn datadog() -> Datadog {
    Datadog::new(&settings(&["env:prod", "team:audit"])).unwrap()
}

fn logs(raws: &[&str], now_ms: i64) -> Vec<Value> {
    serde_json::from_slice(&request_body(&datadog(), raws, Some(STAMP), now_ms).unwrap()).unwrap()
}

#[test]
fn the_golden_bodies_have_not_changed() {
    golden("datadog.json", &golden_bodies(&datadog()));
}

#[test]
fn the_request_goes_to_the_sites_intake() {
    assert_eq!(datadog().request().path, "/api/v2/logs");
    assert_eq!(datadog().request().headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
    for site in SITES {
        assert_eq!(intake_host(site), Ok(format!("http-intake.logs.{site}")));
    }
    let told = intake_host("datadoghq.example").unwrap_err();
    assert!(SITES.iter().all(|site| told.contains(site)), "{told}");
}

#[test]
fn tags_that_datadog_would_change_are_refused() {
    for good in ["env:prod", "a", "k:v:w", "path:/a/b-c_d.e", "größe:1"] {
        assert!(Datadog::new(&settings(&[good])).is_ok(), "{good}");
    }
    let long = "a".repeat(201);
    for bad in ["", "1a", ":v", "env:", "a,b", "Env:prod", "a b", "a\"b", "a\nb", &long] {
        assert_eq!(Datadog::new(&settings(&[bad])).unwrap_err(), TagError::Malformed { tag: bad.into() });
    }
    assert!(Datadog::new(&settings(&["a"; 98])).is_ok());
    assert_eq!(Datadog::new(&settings(&["a"; 99])).unwrap_err(), TagError::TooMany { count: 99 });
}

#[test]
fn a_tenant_cannot_add_a_tag() {
    let tags = |tenant: &str, configured: &[&str]| {
        let raw = MINIMAL.replace(r#""tenant_id":"t""#, &format!(r#""tenant_id":"{tenant}""#));
        let body = request_body(&Datadog::new(&settings(configured)).unwrap(), &[raw], Some(STAMP), NOW_MS).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()[0]["ddtags"].as_str().unwrap().to_owned()
    };
    assert_eq!(tags("tnt_1", &["env:prod"]), "env:prod,tenant:tnt_1");
    assert_eq!(tags(r#"a,env:dev\",\n é"#, &[]), "tenant:a_env:dev____é");
    assert_eq!(tags("", &["env:prod"]), "env:prod");
    assert_eq!(tags("", &[]), "");
    assert_eq!(tags(&"x".repeat(300), &[]).len(), 200);
}

#[test]
fn severities_become_datadogs_words() {
    for (word, status) in [
        ("debug", "debug"),
        ("info", "info"),
        ("notice", "notice"),
        ("low", "notice"),
        ("warning", "warn"),
        ("medium", "warn"),
        ("error", "error"),
        ("high", "error"),
        ("critical", "critical"),
        ("odd", "notice"),
    ] {
        let raw = MINIMAL.replace("odd", word);
        let log = &logs(&[&raw], NOW_MS)[0];
        assert_eq!((log["status"].as_str(), log["scaidrive"]["severity"].as_str()), (Some(status), Some(word)));
    }
}

#[test]
fn an_outcome_is_only_claimed_where_the_action_names_a_failure() {
    for (action, outcome) in [
        ("auth.login_failed", json!("failure")),
        ("link.access.denied", json!("failure")),
        ("upload.Blocked", json!("failure")),
        ("auth.login", Value::Null),
        ("file.download", Value::Null),
        ("failed.retry", Value::Null),
        ("", Value::Null),
    ] {
        let raw = MINIMAL.replace(r#""action":"a""#, &format!(r#""action":"{action}""#));
        assert_eq!(logs(&[&raw], NOW_MS)[0]["evt"]["outcome"], outcome, "{action}");
    }
}

#[test]
fn payload_and_unknown_members_are_borrowed() {
    assert_eq!(borrowed(&datadog(), RAW), r#""session_id":null,"extra":[1, 2]"#.len() + r#"{"x":[1, 2]}"#.len());
}

#[test]
fn the_18_hour_rule_takes_the_timestamp_off_what_is_older_than_17_and_a_half_hours() {
    let happened = parse_rfc3339(b"2026-05-12T14:23:01.453Z").unwrap();
    let fresh = &logs(&[MINIMAL], happened + LATE_AFTER_MS)[0];
    assert_eq!(fresh["timestamp"], "2026-05-12T14:23:01.453Z");
    assert_eq!(fresh["scaidrive"].get("event_time"), None);
    assert_eq!(fresh["ddtags"], "env:prod,team:audit,tenant:t");
    let late = &logs(&[MINIMAL], happened + LATE_AFTER_MS + 1)[0];
    assert_eq!(late.get("timestamp"), None);
    assert_eq!(late["scaidrive"]["event_time"], "2026-05-12T14:23:01.453Z");
    assert_eq!(late["ddtags"], "env:prod,team:audit,tenant:t,late:true");
}

#[test]
fn an_encoding_is_made_anew_before_the_18_hours_are_over() {
    assert_eq!(datadog().encoded_for(), Some(ENCODED_FOR_MS));
    let intake_limit_ms = 18 * 3_600_000;
    assert!(LATE_AFTER_MS + (ENCODED_FOR_MS as i64) < intake_limit_ms);
}

#[test]
fn lesson_31_a_log_above_1_mb_keeps_the_members_of_its_payload_that_fit() {
    let large = raw_with_payload(12, 100_000);
    let body = request_body(&datadog(), &[MINIMAL, &large], Some(STAMP), NOW_MS).unwrap();
    let read: Vec<Value> = serde_json::from_slice(&body).unwrap();
    assert_eq!(read[0]["scaidrive"].get("truncated"), None);
    assert_eq!(read[1]["scaidrive"]["truncated"], true);
    let kept = read[1]["scaidrive"]["payload"].as_object().unwrap();
    assert_eq!(kept.len(), 9);
    assert!((0..9).all(|nth| kept.contains_key(&format!("k{nth}"))));
    let log_bytes = body.len() - request_body(&datadog(), &[MINIMAL], Some(STAMP), NOW_MS).unwrap().len();
    assert!(log_bytes <= MAX_EVENT_BYTES && log_bytes > MAX_EVENT_BYTES - 100_100);
}

#[test]
fn a_log_of_exactly_1_mb_is_whole_and_one_byte_more_is_not() {
    let empty = request_body(&datadog(), &[raw_with_payload(1, 0)], Some(STAMP), NOW_MS).unwrap().len() - 2;
    let truncated = |bytes| {
        let body = request_body(&datadog(), &[raw_with_payload(1, bytes)], Some(STAMP), NOW_MS).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()[0]["scaidrive"].get("truncated").cloned()
    };
    assert_eq!(truncated(MAX_EVENT_BYTES - empty), None);
    assert_eq!(truncated(MAX_EVENT_BYTES - empty + 1), Some(json!(true)));
}

#[test]
fn a_log_that_is_too_long_without_its_payload_is_unfit() {
    let large = MINIMAL.replace("odd", &"x".repeat(MAX_EVENT_BYTES));
    assert!(request_body(&datadog(), &[RAW, &large], Some(STAMP), NOW_MS).unwrap_err().why.contains("1000000"));
    let with_payload = RAW.replace("usr_1", &"x".repeat(MAX_EVENT_BYTES));
    assert!(request_body(&datadog(), &[RAW, &with_payload], Some(STAMP), NOW_MS).is_err());
}

#[test]
fn every_own_event_is_a_log_without_a_number() {
    for raw in own_events() {
        let event: Value = serde_json::from_str(&raw).unwrap();
        let body = request_body(&datadog(), &[&raw], None, NOW_MS).unwrap();
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read[0].get("siem"), None);
        assert_eq!(read[0]["scaidrive"]["payload"], event["payload"]);
        assert_eq!(read[0]["evt"]["name"], event["action"]);
    }
}

/// What a log should say, put together without any of the encoder's means.
fn model(event: &Value, stamp: &Stamp<'_>, now_ms: i64) -> Value {
    let event = event.as_object().unwrap();
    let text = |key: &str| event.get(key).and_then(Value::as_str);
    let is_known = |key: &str, value: &Value| {
        !value.is_null() && scaidrive_codecs::Field::ALL.iter().any(|field| field.name() == key)
    };
    let group = |pairs: &[(&str, &str)]| -> Map<String, Value> {
        pairs.iter().filter_map(|(to, from)| Some((to.to_string(), json!(text(from)?)))).collect()
    };
    let is_late = now_ms - parse_rfc3339(text("timestamp").unwrap().as_bytes()).unwrap() > 63_000_000;
    let mut tags = vec!["env:prod".to_owned(), "team:audit".to_owned()];
    let tenant: String = text("tenant_id")
        .unwrap()
        .chars()
        .take(193)
        .map(|c| if c.is_alphanumeric() || "_-:./".contains(c) { c } else { '_' })
        .collect();
    if !tenant.is_empty() {
        tags.push(format!("tenant:{tenant}"));
    }
    if is_late {
        tags.push("late:true".into());
    }
    let who =
        ["user_email", "user_id", "service_account"].iter().filter_map(|key| text(key)).find(|said| !said.is_empty());
    let message: Vec<&str> =
        [text("action"), who, text("resource_path").filter(|path| !path.is_empty())].into_iter().flatten().collect();
    let mut evt = group(&[("name", "action"), ("id", "event_id"), ("category", "category")]);
    let action = text("action").unwrap().to_lowercase();
    if action.ends_with("failed") || action.ends_with("denied") {
        evt.insert("outcome".into(), json!("failure"));
    }
    let mut root = group(&[
        ("tenant_id", "tenant_id"),
        ("severity", "severity"),
        ("service_account", "service_account"),
        ("resource_id", "resource_id"),
        ("resource_path", "resource_path"),
        ("session_id", "session_id"),
    ]);
    if let Some(payload) = event.get("payload").filter(|payload| !payload.is_null()) {
        root.insert("payload".into(), payload.clone());
    }
    let unmapped: Map<String, Value> = event
        .iter()
        .filter(|(key, value)| !is_known(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !unmapped.is_empty() {
        root.insert("unmapped".into(), json!(unmapped));
    }
    let mut log = json!({
        "ddsource": "scaidrive", "service": "scaidrive", "hostname": "scaidrive01", "ddtags": tags.join(","), "message": message.join(" "),
        "status": Severity::from_text(text("severity").unwrap()).datadog(), "evt": evt,
        "siem": {"node": stamp.node, "stream": stamp.stream, "n": stamp.n},
    });
    if is_late {
        root.insert("event_time".into(), event["timestamp"].clone());
    } else {
        log["timestamp"] = event["timestamp"].clone();
    }
    log["scaidrive"] = json!(root);
    for (key, group, wraps) in [
        ("usr", group(&[("id", "user_id"), ("email", "user_email")]), false),
        ("network", group(&[("ip", "ip")]), true),
        ("http", group(&[("useragent", "user_agent")]), false),
    ] {
        if !group.is_empty() {
            log[key] = if wraps { json!({ "client": group }) } else { json!(group) };
        }
    }
    log
}

proptest! {
    #[test]
    fn a_body_reads_back_as_its_logs(
        raws in prop::collection::vec(raw_event(), 1..4), node: String, stream: String, first in 1u64..u64::MAX - 9, now_ms in 0i64..4_000_000_000_000,
    ) {
        let stamp = Stamp { node: &node, stream: &stream, n: first };
        let body = request_body(&datadog(), &raws, Some(stamp), now_ms).unwrap();
        let read: Vec<Value> = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(read.len(), raws.len());
        for (nth, (log, raw)) in read.iter().zip(&raws).enumerate() {
            let event: Value = serde_json::from_str(raw).unwrap();
            prop_assert_eq!(log, &model(&event, &Stamp { n: first + nth as u64, ..stamp }, now_ms));
        }
        let alone = request_body(&datadog(), &raws[..1], Some(stamp), now_ms).unwrap();
        value_without_repeats(&alone[1..alone.len() - 1]);
    }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() }
}

fn verdict(status: u16, body: &str, events: usize) -> Verdict {
    datadog().verdict(&reply(status, body), events, 0)
}

const FORBIDDEN: &str = r#"{"errors":[{"status":"403","title":"Forbidden","detail":"API key is invalid"}]}"#;

#[test]
fn status_202_is_delivered() {
    assert_eq!(verdict(202, "{}", 3), Verdict::Delivered { slow_down: false });
    assert_eq!(verdict(202, "", 3), Verdict::Delivered { slow_down: false });
    assert_eq!(verdict(200, "{}", 3), Verdict::Delivered { slow_down: false });
    assert_eq!(verdict(200, "", 3), Verdict::Delivered { slow_down: false });
}

#[test]
fn a_friendly_page_is_no_success() {
    for status in [200, 201, 204] {
        assert!(matches!(verdict(status, "<html>Welcome</html>", 3), Verdict::Misconfigured { .. }), "{status}");
    }
}

#[test]
fn status_400_is_split_and_a_lone_log_refused() {
    let body = r#"{"errors":[{"status":"400","title":"Bad Request","detail":"Invalid JSON"}]}"#;
    let why = "HTTP 400: Bad Request Invalid JSON".to_owned();
    assert_eq!(verdict(400, body, 3), Verdict::Split { offender: None, why: why.clone() });
    assert_eq!(verdict(400, body, 1), Verdict::refused(vec![RefusedItem { item: 0, reason: why }]));
}

#[test]
fn status_401_holds_for_credentials() {
    let body = r#"{"errors":["Unauthorized"]}"#;
    assert_eq!(verdict(401, body, 3), Verdict::HoldForCredentials { why: "HTTP 401: Unauthorized".into() });
}

#[test]
fn status_403_holds_for_credentials_and_speaks_of_the_site() {
    let why = "HTTP 403: Forbidden API key is invalid; a key is valid on its own site only".to_owned();
    assert_eq!(verdict(403, FORBIDDEN, 1), Verdict::HoldForCredentials { why });
}

#[test]
fn status_408_is_retried() {
    assert!(matches!(verdict(408, "", 3), Verdict::Retry { .. }));
}

#[test]
fn status_413_is_split() {
    assert_eq!(verdict(413, "", 3), Verdict::Smaller { why: "HTTP 413: ".into() });
}

#[test]
fn status_429_is_retried_later_and_more_slowly() {
    let mut busy = reply(429, "{}");
    busy.headers.push(("Retry-After".into(), "9".into()));
    assert!(matches!(datadog().verdict(&busy, 3, 0), Verdict::Retry { after_ms: Some(9000), slow_down: true, .. }));
}

#[test]
fn statuses_500_502_503_and_504_are_retried() {
    for status in [500, 502, 503, 504] {
        assert!(matches!(verdict(status, "<html>", 3), Verdict::Retry { .. }), "{status}");
    }
}

#[test]
fn no_reply_panics() {
    for body in
        ["\u{0}", "[1]", "{\"errors\":[]}", "{\"errors\":[5]}", "{\"errors\":[{\"title\":null}]}", "{\"errors\":5}"]
    {
        for status in [0, 199, 200, 302, 400, 500, 999] {
            verdict(status, body, 0);
        }
    }
}
