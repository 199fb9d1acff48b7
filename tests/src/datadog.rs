//! A stand-in for Datadog's logs intake, version 2.
//!
//! What the real intake cuts or drops after a 202 (a log over 1 MB, one older than 18 hours) is a violation here, and a cut log is not recorded.

use serde_json::Value;

use crate::receiver::{
    Batch, Coding, Credentials, Depth, Head, Notes, Receiver, Reply, Request, Route, Rule, Rules, SHARED, Settings,
    elements, parse, read_value,
};

/// The API key that is accepted.
pub const API_KEY: &str = "0123456789abcdef0123456789abcdef";

/// An intake on loopback.
pub type Datadog = Receiver<Intake>;

/// The rules of the intake.
#[derive(Debug)]
pub struct Intake {
    keys: Credentials,
}

const SEND: &str = "Datadog, API reference: Logs, Send logs (v2)";

/// How it is addressed.
pub const TARGET: Rule = Rule::new("POST /api/v2/logs", SEND);
/// The key is in a header.
pub const API_KEY_HEADER: Rule = Rule::new("one DD-API-KEY, and none in the query", SEND);
/// JSON.
pub const CONTENT_TYPE: Rule = Rule::new("Content-Type: application/json", SEND);
/// One log or an array of them.
pub const LOGS: Rule = Rule::new("a JSON object or an array of objects", SEND);
/// 5 MB.
pub const BODY_SIZE: Rule = Rule::new("at most 5 MB of uncompressed content", SEND);
/// 1000.
pub const ENTRIES: Rule = Rule::new("at most 1000 entries in an array", SEND);
/// 1 MB.
pub const LOG_SIZE: Rule = Rule::new("a log of at most 1 MB; longer ones are truncated after a 202", SEND);
/// The only required attribute.
pub const MESSAGE: Rule = Rule::new("a message that is text", "Datadog, API reference: HTTPLogItem");
/// What is text.
pub const RESERVED_TYPES: Rule =
    Rule::new("ddsource, ddtags, hostname, service and status are text", "Datadog, API reference: HTTPLogItem");
/// Tags.
pub const TAGS: Rule =
    Rule::new("at most 100 tags, each key:value", "Datadog, Log collection: attributes and tags limits");
/// 18 hours.
pub const AGE: Rule =
    Rule::new("a timestamp of at most 18 hours ago", "Datadog, Log collection: custom log forwarding, limits");
/// How many attributes.
pub const ATTRIBUTES: Rule = Rule::new(
    "fewer than 256 attributes, keys under 50 characters, fewer than 20 levels",
    "Datadog, Log collection: attributes limits",
);

const BODY_MAX: usize = 5_000_000;
const ENTRIES_MAX: usize = 1_000;
const LOG_MAX: usize = 1_000_000;
const ATTRIBUTES_MAX: usize = 256;
const ATTRIBUTE_KEY_MAX: usize = 50;
const LEVELS_MAX: usize = 20;
const TAGS_MAX: usize = 100;
const AGE_MAX: std::time::Duration = std::time::Duration::from_secs(18 * 3_600);
const TEXTS: &[&str] = &["ddsource", "ddtags", "hostname", "service", "status"];
const DATES: &[&str] = &["timestamp", "@timestamp", "date"];

impl Datadog {
    /// Starts an intake that knows [`API_KEY`].
    pub fn start(settings: Settings) -> Datadog {
        Receiver::open(Intake { keys: Credentials::of(API_KEY) }, settings)
    }
}

impl Intake {
    /// The API keys.
    pub fn keys(&self) -> &Credentials {
        &self.keys
    }
}

fn refusal(status: u16, title: &str) -> Reply {
    let body = format!(
        "{{\"errors\":[{{\"status\":\"{status}\",\"title\":\"{title}\",\"detail\":\"The request was refused.\"}}]}}"
    );
    Reply::json(status, body)
}

fn check_log(log: &Value, notes: &mut Notes) {
    if !log["message"].is_string() {
        notes.breach(MESSAGE, log["message"].to_string());
    }
    for name in TEXTS {
        if log.get(*name).is_some_and(|value| !value.is_string()) {
            notes.breach(RESERVED_TYPES, format!("{name}: {}", log[*name]));
        }
    }
    let tags: Vec<&str> = log["ddtags"].as_str().unwrap_or_default().split(',').filter(|tag| !tag.is_empty()).collect();
    if tags.len() > TAGS_MAX || tags.iter().any(|tag| !tag.contains(':')) {
        notes.breach(TAGS, log["ddtags"].to_string());
    }
    for name in DATES {
        if let Some(time) = log[*name].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok())
            && jiff::Timestamp::now().duration_since(time).unsigned_abs() > AGE_MAX
        {
            notes.breach(AGE, format!("{name}: {time}"));
        }
    }
    let mut count = 0;
    let mut longest = 0;
    let levels = measure(log, &mut count, &mut longest);
    if count >= ATTRIBUTES_MAX || longest >= ATTRIBUTE_KEY_MAX || levels >= LEVELS_MAX {
        notes.breach(ATTRIBUTES, format!("{count} attributes, a key of {longest} characters, {levels} levels"));
    }
}

/// Counts leaves and the longest key; returns how deep objects lie in each other.
fn measure(value: &Value, count: &mut usize, longest: &mut usize) -> usize {
    let Some(members) = value.as_object() else {
        *count += 1;
        return 0;
    };
    let mut deepest = 0;
    for (name, value) in members {
        *longest = (*longest).max(name.chars().count());
        deepest = deepest.max(measure(value, count, longest));
    }
    deepest + 1
}

impl Rules for Intake {
    fn name(&self) -> &'static str {
        "Datadog"
    }

    fn codings(&self) -> &'static [Coding] {
        &[Coding::Gzip, Coding::Deflate, Coding::Zstd]
    }

    fn body_limit(&self) -> Option<(usize, Rule)> {
        Some((BODY_MAX, BODY_SIZE))
    }

    fn answer(&self, status: u16) -> Reply {
        let title = match status {
            200..=299 => return Reply::json(202, "{}"),
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            408 => "Request Timeout",
            413 => "Payload Too Large",
            429 => "Too Many Requests",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        refusal(status, title)
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        let keys: Vec<&str> = head.all("dd-api-key").collect();
        if keys.len() != 1 || head.parameter("dd-api-key").is_some() {
            notes.breach(API_KEY_HEADER, format!("{} of them", keys.len()));
            return Err(self.answer(401));
        }
        if !self.keys.accepts(keys[0]) {
            return Err(self.answer(403));
        }
        if head.method == "GET" && head.path == "/api/v1/validate" {
            return Err(Reply::json(200, "{\"valid\":true}"));
        }
        if head.method != "POST" || head.path != "/api/v2/logs" {
            notes.breach(TARGET, format!("{} {}", head.method, head.path));
            return Err(self.answer(404));
        }
        if head.media_type().as_deref() != Some("application/json") {
            notes.breach(CONTENT_TYPE, format!("{:?}", head.header("content-type")));
            return Err(self.answer(415));
        }
        Ok(Route::Events)
    }

    fn read<'a>(&self, request: &'a Request, depth: Depth, notes: &mut Notes) -> Batch<'a> {
        let is_single = request.body.trim_ascii_start().starts_with(b"{");
        let logs = if is_single { Ok(vec![&request.body[..]]) } else { elements(&request.body) };
        let logs = match logs {
            Ok(logs) => logs,
            Err(error) => {
                notes.breach(LOGS, error.to_string());
                return Batch::refused(self.answer(400));
            }
        };
        if logs.len() > ENTRIES_MAX {
            notes.breach(ENTRIES, format!("{} entries", logs.len()));
            return Batch::refused(self.answer(413));
        }
        let mut items = Vec::with_capacity(logs.len());
        for raw in logs {
            if raw.len() > LOG_MAX {
                notes.breach(LOG_SIZE, format!("{} bytes", raw.len()));
                continue;
            }
            match parse(raw) {
                Ok(log) if log.is_object() => {
                    if depth == Depth::Full {
                        check_log(&log, notes);
                    }
                    items.push(read_value(raw, &log, &SHARED, notes));
                }
                other => {
                    notes.breach(LOGS, other.map_or_else(|error| error.to_string(), |_| "no object".to_owned()));
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
    use crate::http::{get, post_once};
    use crate::receiver::{Fault, RetryAfter};

    const LOG: &str = r#"{"message":"m","ddsource":"scaidrive","ddtags":"env:prod","siem":{"node":"a","stream":"s","n":1},"evt":{"id":"gen-00000001-00002-00000003"},"scaidrive":{"tenant_id":"tnt-00002"}}"#;
    const HEADERS: &[(&str, &str)] =
        &[("User-Agent", "test"), ("DD-API-KEY", API_KEY), ("Content-Type", "application/json")];

    fn broken(headers: &[(&str, &str)], body: &str) -> (u16, Option<Rule>) {
        let receiver = Datadog::start(Settings::default());
        let reply = post_once(receiver.address(), "/api/v2/logs", headers, body.as_bytes()).unwrap();
        (reply.status, receiver.violations().first().map(|violation| violation.rule))
    }

    #[test]
    fn logs_are_taken_alone_in_arrays_and_in_each_coding() {
        let receiver = Datadog::start(Settings::default());
        let send = |headers: &[(&str, &str)], body: &[u8]| {
            post_once(receiver.address(), "/api/v2/logs", headers, body).unwrap()
        };
        assert_eq!(send(HEADERS, LOG.as_bytes()).text(), "{}");
        let array = format!("[{LOG},{LOG}]");
        let coded = [HEADERS, &[("Content-Encoding", "zstd")]].concat();
        assert_eq!(send(&coded, &zstd::encode_all(array.as_bytes(), 1).unwrap()).status, 202);
        receiver.set_fault_times(1, Fault::Status { status: 429, retry_after: Some(RetryAfter::Seconds(3)) });
        let reply = send(HEADERS, LOG.as_bytes());
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("3")));
        receiver.rules().keys().only("another");
        assert_eq!(send(HEADERS, LOG.as_bytes()).status, 403);
        assert_eq!((receiver.count(), receiver.arrivals().distinct()), (3, 1));
        receiver.assert_no_violations();
    }

    #[test]
    fn each_broken_rule_is_named() {
        let with = |member: &str| LOG.replacen('{', &format!("{{{member},"), 1);
        assert_eq!(broken(&HEADERS[..2], LOG), (415, Some(CONTENT_TYPE)));
        assert_eq!(broken(&[HEADERS[0], HEADERS[2]], LOG), (401, Some(API_KEY_HEADER)));
        assert_eq!(broken(HEADERS, "[1]"), (400, Some(LOGS)));
        assert_eq!(broken(HEADERS, &format!("{LOG}{LOG}")), (400, Some(LOGS)));
        assert_eq!(broken(HEADERS, &format!("[{}]", vec!["{}"; 1_001].join(","))), (413, Some(ENTRIES)));
        assert_eq!(broken(HEADERS, &with(&format!("\"x\":\"{}\"", "y".repeat(BODY_MAX)))), (413, Some(BODY_SIZE)));
        assert_eq!(broken(HEADERS, &with(&format!("\"x\":\"{}\"", "y".repeat(LOG_MAX)))), (202, Some(LOG_SIZE)));
        assert_eq!(broken(HEADERS, &LOG.replace("\"message\":\"m\",", "")), (202, Some(MESSAGE)));
        assert_eq!(broken(HEADERS, &with("\"status\":6")), (202, Some(RESERVED_TYPES)));
        assert_eq!(broken(HEADERS, &LOG.replace("env:prod", "prod")), (202, Some(TAGS)));
        assert_eq!(broken(HEADERS, &with("\"timestamp\":\"2020-01-01T00:00:00Z\"")), (202, Some(AGE)));
        assert_eq!(broken(HEADERS, &with(&format!("\"{}\":1", "k".repeat(50)))), (202, Some(ATTRIBUTES)));
        assert_eq!(broken(HEADERS, LOG), (202, None));
        let receiver = Datadog::start(Settings::default());
        assert_eq!(get(receiver.address(), "/api/v1/validate").unwrap().status, 401);
    }
}
