//! A stand-in for Microsoft Sentinel's Logs Ingestion API: one data collection rule with one stream.
//!
//! A call is taken whole or not at all (204); columns that the stream does not declare are dropped silently by the real
//! service, so here they are a violation. Tokens come from [`Entra`] or [`Imds`], which share them with the receiver.

pub mod assertion;
pub mod entra;
pub mod imds;

pub use entra::Entra;
pub use imds::Imds;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::receiver::{
    Batch, Coding, Credentials, Depth, Head, Item, JSON, Notes, Places, Receiver, Reply, Request, Route, Rule, Rules,
    Settings, Standing, elements, parse, read_value,
};

/// The rule's immutable id.
pub const RULE_ID: &str = "dcr-00000000000000000000000000000001";
/// The stream it declares.
pub const STREAM: &str = "Custom-ScaiDriveAudit";
/// What a token for the public cloud is for.
pub const RESOURCE: &str = "https://monitor.azure.com";

/// A Sentinel on loopback.
pub type Sentinel = Receiver<LogsIngestion>;

/// The type of a column (Microsoft, "Logs Ingestion API": stream declarations).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    String,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Real,
    /// True or false.
    Boolean,
    /// Any JSON.
    Dynamic,
    /// ISO 8601.
    Datetime,
}

/// The rules of the Logs Ingestion API.
#[derive(Debug)]
pub struct LogsIngestion {
    tokens: Arc<Credentials>,
    columns: Mutex<BTreeMap<String, ColumnType>>,
    has_role: AtomicBool,
}

const OVERVIEW: &str = "Microsoft, Logs Ingestion API in Azure Monitor";

/// How a call is addressed.
pub const TARGET: Rule =
    Rule::new("POST /dataCollectionRules/{id}/streams/{name} of a rule and stream that exist", OVERVIEW);
/// The version is in the query.
pub const API_VERSION: Rule = Rule::new("api-version=2023-01-01", OVERVIEW);
/// A bearer token.
pub const AUTHORIZATION: Rule = Rule::new("Authorization: Bearer <token>", OVERVIEW);
/// A token that is still good.
pub const TOKEN: Rule = Rule::new(
    "a token that was issued for this resource and has not passed its announced end",
    "Microsoft identity platform: client credentials flow, expires_in",
);
/// JSON.
pub const CONTENT_TYPE: Rule = Rule::new("Content-Type: application/json", OVERVIEW);
/// An array, even of one.
pub const ARRAY: Rule = Rule::new("a JSON array of objects", "Microsoft, Logs Ingestion API: body");
/// 1 MB.
pub const BODY_SIZE: Rule = Rule::new(
    "a body of at most 1,048,576 bytes, uncompressed too",
    "Microsoft, Azure Monitor service limits: Logs Ingestion API",
);
/// 64 KB.
pub const FIELD_SIZE: Rule = Rule::new(
    "a value of at most 64 KB; longer ones are cut silently",
    "Microsoft, Azure Monitor service limits: Logs Ingestion API",
);
/// Only what is declared is stored.
pub const DECLARED: Rule = Rule::new(
    "only columns that the stream declares",
    "Microsoft, Structure of a data collection rule: streamDeclarations",
);
/// Types are not coerced.
pub const COLUMN_TYPE: Rule =
    Rule::new("values of the column's type", "Microsoft, Structure of a data collection rule: streamDeclarations");
/// Names that belong to the service.
pub const RESERVED: Rule =
    Rule::new("no reserved column name", "Microsoft, Create a custom table: reserved columns; log standard columns");
/// What a column may be called.
pub const COLUMN_NAME: Rule = Rule::new(
    "a column name of at most 45 letters, digits and underscores, beginning with a letter",
    "Microsoft, Create a custom table: column names",
);
/// When it happened.
pub const TIME_GENERATED: Rule =
    Rule::new("a TimeGenerated in each record", "Microsoft, Standard columns in Azure Monitor Logs");

const BODY_MAX: usize = 1_048_576;
const FIELD_MAX: usize = 64 * 1024;
const NAME_MAX: usize = 45;
const RESERVED_NAMES: &[&str] = &["_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"];
const PLACES: Places = Places {
    event_id: &["/EventId"],
    tenant: &["/AppTenantId"],
    action: &["/Action"],
    payload: &["/Payload"],
    node: &["/SiemNode"],
    stream: &["/SiemStream"],
    n: &["/SiemN"],
};
const STRINGS: &[&str] = &[
    "EventId",
    "AppTenantId",
    "Category",
    "Action",
    "Severity",
    "UserId",
    "UserEmail",
    "ServiceAccount",
    "ResourceId",
    "ResourcePath",
    "ClientIp",
    "UserAgent",
    "SessionId",
    "SiemNode",
    "SiemStream",
];

impl Sentinel {
    /// Starts a receiver that accepts `tokens`.
    pub fn start(tokens: &Arc<Credentials>, settings: Settings) -> Sentinel {
        let mut columns: BTreeMap<String, ColumnType> =
            STRINGS.iter().map(|name| ((*name).to_owned(), ColumnType::String)).collect();
        columns.insert("TimeGenerated".to_owned(), ColumnType::Datetime);
        columns.insert("Payload".to_owned(), ColumnType::Dynamic);
        columns.insert("SiemN".to_owned(), ColumnType::Long);
        let rules =
            LogsIngestion { tokens: Arc::clone(tokens), columns: Mutex::new(columns), has_role: AtomicBool::new(true) };
        Receiver::open(rules, settings)
    }
}

impl LogsIngestion {
    /// The tokens that are accepted.
    pub fn tokens(&self) -> &Credentials {
        &self.tokens
    }

    /// Declares one more column of the stream, or another type for one.
    pub fn declare(&self, name: &str, column: ColumnType) {
        self.columns.lock().expect("no holder panics").insert(name.to_owned(), column);
    }

    /// Declares exactly these columns.
    pub fn declare_only(&self, columns: &[(&str, ColumnType)]) {
        let columns = columns.iter().map(|(name, column)| ((*name).to_owned(), *column)).collect();
        *self.columns.lock().expect("no holder panics") = columns;
    }

    /// Whether the identity has the role Monitoring Metrics Publisher on the rule; without it the answer is 403.
    pub fn grant_role(&self, granted: bool) {
        self.has_role.store(granted, Ordering::Relaxed);
    }

    fn check_record(&self, record: &Value, notes: &mut Notes) {
        let Some(members) = record.as_object() else { return };
        let columns = self.columns.lock().expect("no holder panics");
        if !members.contains_key("TimeGenerated") {
            notes.breach(TIME_GENERATED, "none");
        }
        for (name, value) in members {
            if RESERVED_NAMES.contains(&name.as_str()) {
                notes.breach(RESERVED, name);
            }
            if !is_column_name(name) {
                notes.breach(COLUMN_NAME, name);
            }
            match columns.get(name) {
                None => notes.breach(DECLARED, name),
                Some(column) if !column.takes(value) => notes.breach(COLUMN_TYPE, format!("{name}: {value}")),
                Some(_) => {}
            }
            let length = value.as_str().map_or_else(|| value.to_string().len(), str::len);
            if length > FIELD_MAX {
                notes.breach(FIELD_SIZE, format!("{name}: {length} bytes"));
            }
        }
    }
}

impl Rules for LogsIngestion {
    fn name(&self) -> &'static str {
        "Sentinel"
    }

    fn codings(&self) -> &'static [Coding] {
        &[Coding::Gzip]
    }

    fn body_limit(&self) -> Option<(usize, Rule)> {
        Some((BODY_MAX, BODY_SIZE))
    }

    fn answer(&self, status: u16) -> Reply {
        let (code, message) = match status {
            200..=299 => return Reply::empty(204),
            400 => ("InvalidRequest", "The request body is not valid."),
            401 => ("InvalidToken", "The token is missing, expired or not for this audience."),
            403 => (
                "OperationFailed",
                "The authentication token provided does not have access to ingest data for the data collection rule.",
            ),
            404 => ("NotFound", "Data collection rule or stream not found."),
            413 => ("ContentLengthLimitExceeded", "Maximum allowed content length: 1048576 bytes (1 MB)."),
            429 => ("TooManyRequests", "The rule's limit is reached."),
            503 => ("ServiceUnavailable", "The service is unavailable."),
            _ => ("InternalError", "Something went wrong."),
        };
        Reply::json(status, format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}}}"))
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        if head.method != "POST" || head.path != format!("/dataCollectionRules/{RULE_ID}/streams/{STREAM}") {
            notes.breach(TARGET, format!("{} {}", head.method, head.path));
            return Err(self.answer(404));
        }
        if head.parameter("api-version").as_deref() != Some("2023-01-01") {
            notes.breach(API_VERSION, &head.query);
            return Err(self.answer(400));
        }
        let Some(token) = head.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) else {
            notes.breach(AUTHORIZATION, "none or another scheme");
            return Err(self.answer(401));
        };
        match self.tokens.standing(token) {
            Standing::Valid => {}
            // Nobody told the client.
            Standing::Revoked => return Err(self.answer(401)),
            standing => {
                notes.breach(TOKEN, format!("{standing:?}"));
                return Err(self.answer(401));
            }
        }
        if !self.has_role.load(Ordering::Relaxed) {
            return Err(self.answer(403));
        }
        if head.media_type().as_deref() != Some("application/json") {
            notes.breach(CONTENT_TYPE, format!("{:?}", head.header("content-type")));
            return Err(self.answer(400));
        }
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
        let mut items: Vec<Item<'a>> = Vec::with_capacity(records.len());
        for raw in records {
            match parse(raw) {
                Ok(record) if record.is_object() => {
                    if depth == Depth::Full {
                        self.check_record(&record, notes);
                    }
                    items.push(read_value(raw, &record, &PLACES, notes));
                }
                other => {
                    let found = other.map_or_else(|error| error.to_string(), |_| "no object".to_owned());
                    notes.breach(JSON, found);
                    return Batch::refused(self.answer(400));
                }
            }
        }
        Batch { items, stop: None }
    }
}

impl ColumnType {
    fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Null) | (ColumnType::Dynamic, _) => true,
            (ColumnType::String, value) => value.is_string(),
            (ColumnType::Int, value) => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            (ColumnType::Long, value) => value.is_i64(),
            (ColumnType::Real, value) => value.is_number(),
            (ColumnType::Boolean, value) => value.is_boolean(),
            (ColumnType::Datetime, value) => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        }
    }
}

fn is_column_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
