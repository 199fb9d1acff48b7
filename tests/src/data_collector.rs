//! A stand-in for the retired HTTP Data Collector API of Azure Monitor: one workspace, two keys.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;

use crate::receiver::{
    Batch, Coding, Credentials, Depth, Head, JSON, Notes, Places, Receiver, Reply, Request, Route, Rule, Rules,
    Settings, Standing, elements, parse, read_value,
};

/// The workspace.
pub const WORKSPACE: &str = "00000000-0000-0000-0000-00000000dddd";
/// Its first key.
pub const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A workspace on loopback.
pub type DataCollector = Receiver<Workspace>;

/// The rules of the Data Collector API.
#[derive(Debug)]
pub struct Workspace {
    keys: Credentials,
}

const API: &str = "Microsoft, Azure Monitor HTTP Data Collector API: create a request";

/// How it is addressed.
pub const TARGET: Rule = Rule::new("POST /api/logs", API);
/// The version is in the query.
pub const API_VERSION: Rule = Rule::new("api-version=2016-04-01", API);
/// The signature.
pub const SIGNATURE: Rule = Rule::new(
    "Authorization: SharedKey <workspace>:<HMAC-SHA256 over method, length in bytes, type, date and path>",
    "Microsoft, HTTP Data Collector API: authorization",
);
/// The date that is signed.
pub const DATE: Rule = Rule::new(
    "x-ms-date in RFC 1123 form, within 15 minutes of now",
    "Microsoft, HTTP Data Collector API: authorization",
);
/// JSON.
pub const CONTENT_TYPE: Rule = Rule::new("Content-Type: application/json, without parameters", API);
/// The table.
pub const LOG_TYPE: Rule = Rule::new(
    "Log-Type of at most 100 letters, digits and underscores",
    "Microsoft, HTTP Data Collector API: request headers",
);
/// An array of records.
pub const ARRAY: Rule = Rule::new("a JSON array of objects", "Microsoft, HTTP Data Collector API: request body");
/// 30 MB.
pub const BODY_SIZE: Rule = Rule::new("a body of at most 30 MB", "Microsoft, HTTP Data Collector API: data limits");
/// 32 KB.
pub const FIELD_SIZE: Rule =
    Rule::new("a value of at most 32 KB; longer ones are cut", "Microsoft, HTTP Data Collector API: data limits");
/// Names that belong to the service.
pub const RESERVED: Rule = Rule::new(
    "no property called tenant, TimeGenerated or RawData",
    "Microsoft, HTTP Data Collector API: reserved properties",
);
/// What a property may be called.
pub const PROPERTY_NAME: Rule = Rule::new(
    "a property name of at most 45 letters, digits and underscores",
    "Microsoft, HTTP Data Collector API: data limits",
);
/// The record's own time, where it is announced.
pub const TIME_FIELD: Rule = Rule::new(
    "the field that time-generated-field names, in ISO 8601",
    "Microsoft, HTTP Data Collector API: request headers",
);

const BODY_MAX: usize = 30_000_000;
const FIELD_MAX: usize = 32 * 1024;
const NAME_MAX: usize = 45;
const LOG_TYPE_MAX: usize = 100;
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);
const RESERVED_NAMES: &[&str] = &["tenant", "TimeGenerated", "RawData"];
const PLACES: Places = Places {
    event_id: &["/event_id"],
    tenant: &["/app_tenant_id"],
    action: &["/action"],
    payload: &["/payload"],
    node: &["/siem_node"],
    stream: &["/siem_stream"],
    n: &["/siem_n"],
};

impl DataCollector {
    /// Starts a workspace that knows [`KEY`].
    pub fn start(settings: Settings) -> DataCollector {
        Receiver::open(Workspace { keys: Credentials::of(KEY) }, settings)
    }
}

impl Workspace {
    /// The workspace's keys, in Base64.
    pub fn keys(&self) -> &Credentials {
        &self.keys
    }

    fn check_signature(&self, head: &Head, date: &str, notes: &mut Notes) -> Result<(), Reply> {
        let given = head.header("authorization").unwrap_or_default();
        let length = head.header("content-length").unwrap_or_default();
        let content_type = head.header("content-type").unwrap_or_default();
        let text = format!("POST\n{length}\n{content_type}\nx-ms-date:{date}\n/api/logs");
        let fits = |key: &str| given == format!("SharedKey {WORKSPACE}:{}", sign(key, &text));
        match self.keys.standing_of_any(fits) {
            Standing::Valid => Ok(()),
            // A correct signature with a key that was replaced.
            Standing::Revoked | Standing::NotYet | Standing::Expired => Err(self.answer(403)),
            Standing::Unknown => {
                notes.breach(SIGNATURE, given);
                Err(self.answer(403))
            }
        }
    }
}

/// Signs `text` with a key in Base64.
fn sign(key: &str, text: &str) -> String {
    let key = STANDARD.decode(key).expect("the test's keys are Base64");
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes()))
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply::json(status, format!("{{\"Error\":\"{code}\",\"Message\":\"The request was refused.\"}}"))
}

fn is_fresh(date: &str) -> bool {
    let Ok(time) = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", date) else { return false };
    let Ok(then) = time.to_zoned(jiff::tz::TimeZone::UTC) else { return false };
    then.timestamp().duration_since(jiff::Timestamp::now()).unsigned_abs() <= SKEW_MAX
}

fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn check_record(record: &Value, time_field: Option<&str>, notes: &mut Notes) {
    let Some(members) = record.as_object() else { return };
    for (name, value) in members {
        if RESERVED_NAMES.contains(&name.as_str()) {
            notes.breach(RESERVED, name);
        }
        if !is_name(name, NAME_MAX) {
            notes.breach(PROPERTY_NAME, name);
        }
        let length = value.as_str().map_or_else(|| value.to_string().len(), str::len);
        if length > FIELD_MAX {
            notes.breach(FIELD_SIZE, format!("{name}: {length} bytes"));
        }
    }
    if let Some(field) = time_field
        && record[field].as_str().is_none_or(|time| time.parse::<jiff::Timestamp>().is_err())
    {
        notes.breach(TIME_FIELD, format!("{field}: {}", record[field]));
    }
}

impl Rules for Workspace {
    fn name(&self) -> &'static str {
        "Data Collector"
    }

    fn codings(&self) -> &'static [Coding] {
        &[]
    }

    fn body_limit(&self) -> Option<(usize, Rule)> {
        Some((BODY_MAX, BODY_SIZE))
    }

    fn answer(&self, status: u16) -> Reply {
        match status {
            200..=299 => Reply::empty(200),
            400 => refusal(400, "InvalidDataFormat"),
            403 => refusal(403, "InvalidAuthorization"),
            // Too large a body is answered as a wrong address.
            404 | 413 => Reply::empty(404),
            503 => refusal(503, "ServiceUnavailable"),
            500 => refusal(500, "UnspecifiedError"),
            other => Reply::empty(other),
        }
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        if head.method != "POST" || head.path != "/api/logs" {
            notes.breach(TARGET, format!("{} {}", head.method, head.path));
            return Err(self.answer(404));
        }
        if head.parameter("api-version").as_deref() != Some("2016-04-01") {
            notes.breach(API_VERSION, &head.query);
            return Err(refusal(400, "InvalidApiVersion"));
        }
        if head.header("content-type") != Some("application/json") {
            notes.breach(CONTENT_TYPE, format!("{:?}", head.header("content-type")));
            return Err(refusal(400, "UnsupportedContentType"));
        }
        let log_type = head.header("log-type").unwrap_or_default();
        if !is_name(log_type, LOG_TYPE_MAX) {
            notes.breach(LOG_TYPE, log_type);
            return Err(refusal(400, if log_type.is_empty() { "MissingLogType" } else { "InvalidLogType" }));
        }
        let date = head.header("x-ms-date").unwrap_or_default();
        if !is_fresh(date) {
            notes.breach(DATE, date);
            return Err(self.answer(403));
        }
        self.check_signature(head, date, notes)?;
        Ok(Route::Events)
    }

    fn read<'a>(&self, request: &'a Request, depth: Depth, notes: &mut Notes) -> Batch<'a> {
        let records = match elements(&request.body) {
            Ok(records) => records,
            Err(error) => {
                notes.breach(ARRAY, error.to_string());
                return Batch::refused(self.answer(400));
            }
        };
        let mut items = Vec::with_capacity(records.len());
        for raw in records {
            match parse(raw) {
                Ok(record) if record.is_object() => {
                    if depth == Depth::Full {
                        check_record(&record, request.head.header("time-generated-field"), notes);
                    }
                    items.push(read_value(raw, &record, &PLACES, notes));
                }
                other => {
                    notes.breach(JSON, other.map_or_else(|error| error.to_string(), |_| "no object".to_owned()));
                    return Batch::refused(self.answer(400));
                }
            }
        }
        Batch { items, stop: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::post_once;
    use crate::receiver::Fault;

    const ROW: &str = r#"{"event_id":"gen-00000001-00002-00000003","app_tenant_id":"tnt-00002","siem_node":"a","siem_stream":"s","siem_n":1}"#;

    fn send(receiver: &DataCollector, key: &str, changed: &[(&str, &str)], body: &str) -> u16 {
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let text = format!("POST\n{}\napplication/json\nx-ms-date:{date}\n/api/logs", body.len());
        let authorization = format!("SharedKey {WORKSPACE}:{}", sign(key, &text));
        let mut headers = vec![
            ("User-Agent", "test"),
            ("Authorization", &authorization),
            ("Content-Type", "application/json"),
            ("Log-Type", "ScaiDriveAudit"),
            ("x-ms-date", &date),
        ];
        for (name, value) in changed {
            headers.retain(|(key, _)| key != name);
            headers.push((name, value));
        }
        let target = "/api/logs?api-version=2016-04-01";
        post_once(receiver.address(), target, &headers, body.as_bytes()).unwrap().status
    }

    #[test]
    fn the_published_vector_is_what_we_sign() {
        let text = "POST\n22\napplication/json\nx-ms-date:Tue, 12 May 2026 14:23:01 GMT\n/api/logs";
        assert_eq!(sign(KEY, text), "AhMPB1d223bqwoP/q6xHQaX/CmTzxqUgXb6CKkVUIRk=");
    }

    #[test]
    fn signed_records_are_taken_with_either_valid_key() {
        let receiver = DataCollector::start(Settings::default());
        let second = "c2Vjb25kIGtleQ==";
        assert_eq!(send(&receiver, KEY, &[], &format!("[{ROW}]")), 200);
        receiver.rules().keys().only(second);
        assert_eq!(send(&receiver, KEY, &[], &format!("[{ROW}]")), 403);
        assert_eq!(send(&receiver, second, &[], &format!("[{ROW},{ROW}]")), 200);
        receiver.set_fault_times(1, Fault::poison("00000003"));
        assert_eq!(send(&receiver, second, &[], &format!("[{ROW}]")), 400);
        assert_eq!((receiver.count(), receiver.arrivals().distinct()), (3, 1));
        receiver.assert_no_violations();
    }

    #[test]
    fn each_broken_rule_is_named() {
        let broken = |changed: &[(&str, &str)], body: &str| {
            let receiver = DataCollector::start(Settings::default());
            let status = send(&receiver, KEY, changed, body);
            (status, receiver.violations().first().map(|violation| violation.rule))
        };
        let rows = format!("[{ROW}]");
        let with = |name: &str, value: &str| format!("[{}]", ROW.replacen('{', &format!("{{\"{name}\":{value},"), 1));
        assert_eq!(broken(&[("Content-Type", "application/json; charset=utf-8")], &rows), (400, Some(CONTENT_TYPE)));
        assert_eq!(broken(&[("Log-Type", "Scai-Drive")], &rows), (400, Some(LOG_TYPE)));
        assert_eq!(broken(&[("x-ms-date", "Tue, 12 May 2020 14:23:01 GMT")], &rows), (403, Some(DATE)));
        assert_eq!(broken(&[("Authorization", "SharedKey x:y")], &rows), (403, Some(SIGNATURE)));
        assert_eq!(broken(&[], ROW), (400, Some(ARRAY)));
        assert_eq!(broken(&[], "[1]"), (400, Some(JSON)));
        assert_eq!(broken(&[], &with("tenant", "1")), (200, Some(RESERVED)));
        assert_eq!(broken(&[], &with("a.b", "1")), (200, Some(PROPERTY_NAME)));
        assert_eq!(broken(&[], &with("a", &format!("\"{}\"", "x".repeat(FIELD_MAX + 1)))), (200, Some(FIELD_SIZE)));
        assert_eq!(broken(&[("time-generated-field", "when")], &rows), (200, Some(TIME_FIELD)));
        assert_eq!(broken(&[("Content-Encoding", "gzip")], &rows).1, Some(crate::receiver::http::CODING));
        assert_eq!(broken(&[], &rows), (200, None));
    }
}
