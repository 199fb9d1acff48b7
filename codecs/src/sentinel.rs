//! Microsoft Sentinel through the Logs Ingestion API: events as rows of a table, and what its replies mean.
//!
//! A body is a JSON array, and each event one object with the columns below, in this order, less those that have no value.
//! The same table makes the data collection rule, so that rule and rows cannot differ.
//!
//! | column | type | from |
//! |--------|------|------|
//! | `TimeGenerated`, `EventTime` | datetime | `timestamp`. The service replaces a `TimeGenerated` older than two days or more than a day ahead by the time of receipt; `EventTime` stays |
//! | `EventId` … `SessionId` | string | the fields as they came; `TenantId` is taken by the workspace, so ours is `AppTenantId` |
//! | `SiemNode`, `SiemStream`, `SiemN` | string, string, long | the number in the stream; not there in notices and statements |
//! | `Payload` | dynamic | `payload`, borrowed from the log |
//! | `Extra` | dynamic | an object of the event's other members; not there if it has none |
//! | `Truncated` | boolean | `true` where a value over [`VALUE_MAX`] was shortened; not there otherwise |
//!
//! With [`Shape::Asim`] a row has the columns of Microsoft's information model instead, and so has the rule.
//!
//! The service takes a body whole or not at all, names no row in its errors, has no acknowledgement to ask for and
//! removes no duplicates; searches count distinct numbers. Sources: Microsoft's "Logs Ingestion API in Azure Monitor",
//! "Azure Monitor service limits", "Standard columns in Azure Monitor Logs", "Structure of a data collection rule".

use serde_json::{Value, json};

use crate::azure::{AzureError, Column, Source, Table, is_page};
use crate::body::Body;
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::{Entry, Format, Frame, RequestParts, Unfit};
use crate::http::Reply;
use crate::shape::{ASIM_COLUMNS, Limits, Shape};
use crate::verdict::Verdict;

/// Bytes of a body before compression. The service names 1,048,576 for compressed and uncompressed data alike.
pub const MAX_BYTES: usize = 1_000_000;
/// Bytes of one value; the service cuts longer ones without a word.
pub const VALUE_MAX: usize = 64 << 10;
/// The stream, and with it the table `ScaiDriveAudit_CL`, that the shipped content is written for.
pub const STREAM: &str = "Custom-ScaiDriveAudit";
/// The same for rows with the columns of ASIM; the table is `ScaiDriveAsim_CL`.
pub const ASIM_STREAM: &str = "Custom-ScaiDriveAsim";
/// From this length on, a connection that breaks inside a body says what status 413 would.
const NEAR_MAX_BYTES: usize = 900_000;

/// Where rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelSettings {
    /// The immutable id of the data collection rule: `dcr-` and 32 hexadecimal digits.
    pub dcr: String,
    /// The stream that the rule declares; [`STREAM`], or [`ASIM_STREAM`], unless there is a reason.
    pub stream: String,
    /// Which columns rows have: those of the table above, or those of ASIM.
    pub shape: Shape,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SentinelError {
    /// Not an immutable id.
    #[error(
        "`{found}` is not the immutable id of a data collection rule: `dcr-` and 32 hexadecimal digits, as its JSON view in the portal shows it"
    )]
    Dcr {
        /// As found.
        found: String,
    },
    /// Not a custom stream.
    #[error(
        "`{found}` is not a stream: `Custom-`, then a letter, then at most {STREAM_NAME_MAX} letters, digits, `_` or `-` in all"
    )]
    Stream {
        /// As found.
        found: String,
    },
}

/// An encoder and judge for one rule and stream.
#[derive(Clone, Debug)]
pub struct Sentinel {
    request: RequestParts,
    shape: Shape,
}

impl Sentinel {
    /// Prepares an encoder.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &SentinelSettings) -> Result<Sentinel, SentinelError> {
        let SentinelSettings { dcr, stream, shape } = settings;
        let digits = dcr.strip_prefix("dcr-").filter(|digits| digits.len() == 32);
        if !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(SentinelError::Dcr { found: dcr.clone() });
        }
        if !stream.strip_prefix(CUSTOM).is_some_and(is_stream_name) {
            return Err(SentinelError::Stream { found: stream.clone() });
        }
        let request = RequestParts {
            method: String::from("POST"),
            path: format!("/dataCollectionRules/{dcr}/streams/{stream}?api-version={API_VERSION}"),
            headers: vec![(String::from("Content-Type"), String::from("application/json"))],
        };
        Ok(Sentinel { request, shape: *shape })
    }
}

impl Format for Sentinel {
    fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        if self.shape == Shape::Canonical {
            return TABLE.encode(event, entry, body, scratch);
        }
        let mark = body.mark();
        if entry.item > 0 {
            body.push_glue(b",");
        }
        // So no value of it exceeds what the service takes, the object of the rest least of all.
        let row = |limits: &Limits, body: &mut Body| self.shape.write(event, entry, limits, body, scratch);
        Shape::write_fitting(event, VALUE_MAX, body, row).map_err(|too_much| {
            body.rewind(mark);
            Unfit::from(too_much)
        })
    }

    fn frame(&self) -> Frame {
        Frame::ARRAY
    }

    fn request(&self) -> &RequestParts {
        &self.request
    }

    fn verdict(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        let error = AzureError::of(reply);
        let why = error.words(reply);
        match reply.status {
            200 | 202 | 204 if !is_page(reply) => Verdict::Delivered { slow_down: false },
            // Each half spans less time; a lone row spans none, so then no row is to blame.
            400 if error.code.as_deref() == Some(TIME_RANGE) => match events {
                0 | 1 => Verdict::Misconfigured { why },
                _ => Verdict::Smaller { why },
            },
            403 => Verdict::HoldForCredentials { why: format!("{why} ({ROLE_HINT})") },
            404 => Verdict::Misconfigured { why: format!("{why} ({ADDRESS_HINT})") },
            status if status < 300 => {
                Verdict::Misconfigured { why: format!("not an answer of the Logs Ingestion API: {why}") }
            }
            _ => Verdict::of_status(reply, events, now_ms, why),
        }
    }

    /// The service is known to break the connection over a body that is too large, instead of answering 413. A lone row
    /// is within the documented limit, so for that one it is an ordinary break.
    fn interrupted(&self, body_len: usize, events: usize) -> Option<Verdict> {
        let why = || format!("the connection broke while a body of {body_len} bytes was sent, which is near the limit");
        (body_len >= NEAR_MAX_BYTES && events > 1).then(|| Verdict::Smaller { why: why() })
    }
}

/// An ARM template that makes the table and the data collection rule for these settings, to be deployed in the
/// workspace's resource group and region. Its outputs are the ingestion endpoint and the immutable id, so
/// [`SentinelSettings::dcr`] plays no part.
///
/// "Structure of a data collection rule" and the template references of `Microsoft.Insights/dataCollectionRules` and
/// `Microsoft.OperationalInsights/workspaces/tables`.
pub fn data_collection_rule(settings: &SentinelSettings) -> String {
    let table = table_name(&settings.stream);
    let workspace = "resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspaceName'))";
    let rule = "resourceId('Microsoft.Insights/dataCollectionRules', parameters('ruleName'))";
    let template = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-08-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            "workspaceName": {"type": "string", "metadata": {"description": "The Log Analytics workspace that Sentinel runs on"}},
            "ruleName": {"type": "string", "defaultValue": "scaidrive-audit"},
            "location": {"type": "string", "defaultValue": "[resourceGroup().location]", "metadata": {"description": "The workspace's region"}}
        },
        "resources": [
            {
                "type": "Microsoft.OperationalInsights/workspaces/tables",
                "apiVersion": "2022-10-01",
                "name": format!("[concat(parameters('workspaceName'), '/{table}')]"),
                "properties": {"schema": {"name": table, "columns": columns(settings.shape, "dateTime")}}
            },
            {
                "type": "Microsoft.Insights/dataCollectionRules",
                "apiVersion": RULE_API_VERSION,
                "name": "[parameters('ruleName')]",
                "location": "[parameters('location')]",
                "kind": "Direct",
                "dependsOn": [format!("[resourceId('Microsoft.OperationalInsights/workspaces/tables', parameters('workspaceName'), '{table}')]")],
                "properties": {
                    "streamDeclarations": {&settings.stream: {"columns": columns(settings.shape, "datetime")}},
                    "destinations": {"logAnalytics": [{"workspaceResourceId": format!("[{workspace}]"), "name": "workspace"}]},
                    "dataFlows": [{
                        "streams": [&settings.stream],
                        "destinations": ["workspace"],
                        "transformKql": "source",
                        "outputStream": format!("{CUSTOM}{table}")
                    }]
                }
            }
        ],
        "outputs": {
            "endpoint": {"type": "string", "value": format!("[reference({rule}, '{RULE_API_VERSION}').endpoints.logsIngestion]")},
            "immutableId": {"type": "string", "value": format!("[reference({rule}, '{RULE_API_VERSION}').immutableId]")}
        }
    });
    format!("{template:#}\n")
}

/// Names and types. Rules and tables spell the type of a time differently.
fn columns(shape: Shape, time: &str) -> Value {
    if shape != Shape::Canonical {
        let kind = |kind: &'static str| if kind == "datetime" { time.to_owned() } else { kind.to_owned() };
        return ASIM_COLUMNS.iter().map(|(name, of)| json!({"name": name, "type": kind(of)})).collect();
    }
    let kind = |source| match source {
        Source::Time => time,
        Source::Number => "long",
        Source::Field(Field::Payload) | Source::Extra => "dynamic",
        Source::Shortened => "boolean",
        Source::Field(_) | Source::Node | Source::Stream => "string",
    };
    TABLE.columns.iter().map(|column| json!({"name": column.name, "type": kind(column.source)})).collect()
}

/// The table of a stream. Tables have a suffix, and no `-` in their names.
pub fn table_name(stream: &str) -> String {
    let name = stream.strip_prefix(CUSTOM).unwrap_or(stream).replace('-', "_");
    if name.ends_with("_CL") { name } else { name + "_CL" }
}

fn is_stream_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    name.len() <= STREAM_NAME_MAX && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(is_allowed)
}

const TABLE: Table = Table {
    columns: &[
        Column { name: "TimeGenerated", source: Source::Time },
        Column { name: "EventTime", source: Source::Time },
        Column { name: "EventId", source: Source::Field(Field::EventId) },
        Column { name: "AppTenantId", source: Source::Field(Field::TenantId) },
        Column { name: "Category", source: Source::Field(Field::Category) },
        Column { name: "Action", source: Source::Field(Field::Action) },
        Column { name: "Severity", source: Source::Field(Field::Severity) },
        Column { name: "UserId", source: Source::Field(Field::UserId) },
        Column { name: "UserEmail", source: Source::Field(Field::UserEmail) },
        Column { name: "ServiceAccount", source: Source::Field(Field::ServiceAccount) },
        Column { name: "ResourceId", source: Source::Field(Field::ResourceId) },
        Column { name: "ResourcePath", source: Source::Field(Field::ResourcePath) },
        Column { name: "ClientIp", source: Source::Field(Field::Ip) },
        Column { name: "UserAgent", source: Source::Field(Field::UserAgent) },
        Column { name: "SessionId", source: Source::Field(Field::SessionId) },
        Column { name: "SiemNode", source: Source::Node },
        Column { name: "SiemStream", source: Source::Stream },
        Column { name: "SiemN", source: Source::Number },
        Column { name: "Payload", source: Source::Field(Field::Payload) },
        Column { name: "Extra", source: Source::Extra },
        Column { name: "Truncated", source: Source::Shortened },
    ],
    value_max: VALUE_MAX,
    body_max: MAX_BYTES,
};

const API_VERSION: &str = "2023-01-01";
const RULE_API_VERSION: &str = "2023-03-11";
const CUSTOM: &str = "Custom-";
const STREAM_NAME_MAX: usize = 60;
const TIME_RANGE: &str = "RecordsTimeRangeIsMoreThan30Minutes";
const ROLE_HINT: &str =
    "the identity needs the role Monitoring Metrics Publisher on the rule, which may take 30 minutes to have effect";
const ADDRESS_HINT: &str = "check the endpoint, the rule's immutable id and the stream's name";
