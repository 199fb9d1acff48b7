//! Microsoft Sentinel through the retired HTTP Data Collector API: events as flat objects, and what its replies mean.
//!
//! Only for workspaces that still use it. Microsoft ended its support on 14 September 2026 and may switch it off any day.
//!
//! A body is a JSON array, and each event one object: `timestamp`, `event_id`, `app_tenant_id`, the other fields under
//! their own names, `siem_node`, `siem_stream`, `siem_n`, then `payload` and `extra` (the members that are no fields) as
//! objects, which the service stores as JSON text, and `truncated` where a value over [`VALUE_MAX`] was shortened. What has
//! no value is left out. `tenant`, `TimeGenerated` and `RawData` are reserved and not used. The service appends a letter
//! for the type it sees (`action_s`, `siem_n_d`); an id that looks like a GUID lands in another column (`event_id_g`).
//!
//! Sources: Microsoft's "Send log data to Azure Monitor by using the HTTP Data Collector API" and "Migrate from the HTTP
//! Data Collector API". Signing is in [`crate::signature`].

use crate::azure::{AzureError, Column, Source, Table, is_page};
use crate::body::Body;
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::{Entry, Format, Frame, RequestParts, Unfit};
use crate::http::Reply;
use crate::time::parse_http_date;
use crate::verdict::Verdict;

/// Bytes of a body. No compression is documented.
pub const MAX_BYTES: usize = 30_000_000;
/// Bytes of one value; the service cuts longer ones without a word.
pub const VALUE_MAX: usize = 32 << 10;
/// The resource that is signed.
pub const RESOURCE: &str = "/api/logs";
/// A 404 for a body longer than this may mean the body, not the address.
const SUSPICIOUS_BYTES: usize = 5_000_000;
/// Signatures are checked against the service's clock; beyond this the clock is likely at fault.
const CLOCK_SKEW_MAX_MS: u64 = 15 * 60_000;

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCollectorSettings {
    /// The workspace's id, a GUID.
    pub workspace: String,
    /// The record type; `_CL` is appended to it. Letters, digits and `_`, at most 100.
    pub log_type: String,
    /// The Azure resource that the records are about, if one is to be named.
    pub resource_id: Option<String>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataCollectorError {
    /// Not a GUID.
    #[error("`{found}` is not a workspace id: a GUID such as 11111111-2222-3333-4444-555555555555")]
    Workspace {
        /// As found.
        found: String,
    },
    /// Not a record type.
    #[error("`{found}` is not a log type: 1 to {LOG_TYPE_MAX} letters, digits or `_`")]
    LogType {
        /// As found.
        found: String,
    },
    /// Not a resource id.
    #[error("`{found}` is not an Azure resource id: it begins with `/subscriptions/` and has no spaces")]
    ResourceId {
        /// As found.
        found: String,
    },
}

/// An encoder and judge for one workspace and record type.
#[derive(Clone, Debug)]
pub struct DataCollector {
    request: RequestParts,
}

impl DataCollector {
    /// Prepares an encoder.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &DataCollectorSettings) -> Result<DataCollector, DataCollectorError> {
        let DataCollectorSettings { workspace, log_type, resource_id } = settings;
        if !is_guid(workspace) {
            return Err(DataCollectorError::Workspace { found: workspace.clone() });
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !(1..=LOG_TYPE_MAX).contains(&log_type.len()) || !log_type.bytes().all(is_allowed) {
            return Err(DataCollectorError::LogType { found: log_type.clone() });
        }
        let mut headers = vec![
            (String::from("Content-Type"), String::from("application/json")),
            (String::from("Log-Type"), log_type.clone()),
            (String::from("time-generated-field"), String::from(TIME)),
        ];
        if let Some(id) = resource_id {
            if !id.starts_with("/subscriptions/") || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(DataCollectorError::ResourceId { found: id.clone() });
            }
            headers.push((String::from("x-ms-AzureResourceId"), id.clone()));
        }
        let path = format!("{RESOURCE}?api-version={API_VERSION}");
        Ok(DataCollector { request: RequestParts { method: String::from("POST"), path, headers } })
    }
}

impl Format for DataCollector {
    fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        TABLE.encode(event, entry, body, scratch)
    }

    fn frame(&self) -> Frame {
        Frame::ARRAY
    }

    fn request(&self) -> &RequestParts {
        &self.request
    }

    fn verdict(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        self.verdict_by_length(reply, events, 0, now_ms)
    }

    /// A wrong address and a body too large both give 404.
    fn verdict_by_length(&self, reply: &Reply, events: usize, body_len: usize, now_ms: i64) -> Verdict {
        let error = AzureError::of(reply);
        let why = error.words(reply);
        match (reply.status, error.code.as_deref()) {
            (200, _) if !is_page(reply) => Verdict::Delivered { slow_down: false },
            (400, Some(code)) if SETTINGS_CODES.contains(&code) => Verdict::Misconfigured { why },
            (401 | 403, _) => Verdict::HoldForCredentials { why: with_clock(why, reply, now_ms) },
            (404, _) if body_len > SUSPICIOUS_BYTES && events > 1 => {
                Verdict::Smaller { why: format!("{why} (or the body of {body_len} bytes is too large)") }
            }
            (404, _) => Verdict::Misconfigured { why },
            (status, _) if status < 300 => {
                Verdict::Misconfigured { why: format!("not an answer of the Data Collector API: {why}") }
            }
            _ => Verdict::of_status(reply, events, now_ms, why),
        }
    }
}

/// A signature holds the time, so a refused one may be the clock's fault: say so if the reply's own date shows it.
fn with_clock(why: String, reply: &Reply, now_ms: i64) -> String {
    let skew = reply.header("date").and_then(parse_http_date).map(|date| date.abs_diff(now_ms));
    match skew.filter(|skew| *skew > CLOCK_SKEW_MAX_MS) {
        Some(skew) => format!("{why} (this machine's clock and the service's differ by {} minutes)", skew / 60_000),
        None => why,
    }
}

fn is_guid(text: &str) -> bool {
    let is_right = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_right)
}

const TABLE: Table = Table {
    columns: &[
        Column { name: TIME, source: Source::Time },
        Column { name: "event_id", source: Source::Field(Field::EventId) },
        Column { name: "app_tenant_id", source: Source::Field(Field::TenantId) },
        Column { name: "category", source: Source::Field(Field::Category) },
        Column { name: "action", source: Source::Field(Field::Action) },
        Column { name: "severity", source: Source::Field(Field::Severity) },
        Column { name: "user_id", source: Source::Field(Field::UserId) },
        Column { name: "user_email", source: Source::Field(Field::UserEmail) },
        Column { name: "service_account", source: Source::Field(Field::ServiceAccount) },
        Column { name: "resource_id", source: Source::Field(Field::ResourceId) },
        Column { name: "resource_path", source: Source::Field(Field::ResourcePath) },
        Column { name: "ip", source: Source::Field(Field::Ip) },
        Column { name: "user_agent", source: Source::Field(Field::UserAgent) },
        Column { name: "session_id", source: Source::Field(Field::SessionId) },
        Column { name: "siem_node", source: Source::Node },
        Column { name: "siem_stream", source: Source::Stream },
        Column { name: "siem_n", source: Source::Number },
        Column { name: "payload", source: Source::Field(Field::Payload) },
        Column { name: "extra", source: Source::Extra },
        Column { name: "truncated", source: Source::Shortened },
    ],
    value_max: VALUE_MAX,
    body_max: MAX_BYTES,
};

const TIME: &str = "timestamp";
const API_VERSION: &str = "2016-04-01";
const LOG_TYPE_MAX: usize = 100;
/// Codes of status 400 that no event is to blame for.
const SETTINGS_CODES: [&str; 8] = [
    "InactiveCustomer",
    "InvalidCustomerId",
    "InvalidApiVersion",
    "MissingApiVersion",
    "MissingContentType",
    "UnsupportedContentType",
    "MissingLogType",
    "InvalidLogType",
];
