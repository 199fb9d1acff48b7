//! Sumo Logic's HTTP source: one event on each line, and what its replies mean.
//!
//! A line is the event as it came, with its `timestamp` moved to the front and the numbers that prove completeness
//! behind it. The timestamp comes first because Sumo Logic takes the first date it finds in the text of a message.
//!
//! ```json
//! {"timestamp":"2026-05-12T14:23:01.453Z","siem":{"node":"…","stream":"…","n":7},REST}
//! ```
//!
//! `REST` is borrowed from the log: the event's other members, before and after the one that was moved.
//!
//! In another [`Shape`] a line is what that makes of the event. A message above 64 KB is sliced into several, which are no JSON any more. A line longer than [`MAX_EVENT_BYTES`]
//! therefore keeps only those first members of its payload that fit, and says `"truncated":true`.
//!
//! The URL of a source is its secret unless a token goes with the request: nothing here shows its path, neither in debug
//! output nor in a verdict.
//!
//! Sources: "HTTP Logs and Metrics Source", "Upload Logs to an HTTP Source" and "Troubleshooting HTTP Sources" in Sumo
//! Logic's documentation.

use std::fmt;

use crate::body::Body;
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::{Entry, Format, RequestParts, Unfit};
use crate::http::Reply;
use crate::members::{Payload, others, payload, write_fitting, write_siem};
use crate::shape::{Limits, Shape};
use crate::verdict::{Verdict, shown};

/// Bytes of one request, before compression: what Sumo Logic calls the largest batch.
pub const MAX_BYTES: usize = 1_000_000;
/// Bytes of one line; messages are sliced above 64 KB.
pub const MAX_EVENT_BYTES: usize = 60 << 10;

/// Where events go and how they are labelled in Sumo Logic.
#[derive(Clone, PartialEq, Eq)]
pub struct SumoSettings {
    /// The path of the source's URL. Secret.
    pub path: String,
    /// `_sourceName`; without one the source's own, and so for the other two.
    pub name: Option<String>,
    /// `_sourceHost`.
    pub host: Option<String>,
    /// `_sourceCategory`; the shipped content is written for `scaidrive/audit`.
    pub category: Option<String>,
    /// Fields of every message. What the account's schema does not know, Sumo Logic drops.
    pub fields: Vec<(String, String)>,
    /// What a line is.
    pub shape: Shape,
}

/// A label that cannot stand in a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// Empty, or with characters that are not printable ASCII.
    #[error("{label} is {found:?}; only printable ASCII characters are allowed, and at least one")]
    NotPrintable {
        /// Which setting.
        label: &'static str,
        /// Its value.
        found: String,
    },
    /// A field with a character that separates fields or their parts.
    #[error("the field {key:?} has {value:?}; a key is not empty, and neither part may have `,` nor the key `=`")]
    Field {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
}

/// An encoder and judge for one Sumo Logic destination.
#[derive(Clone)]
pub struct Sumo {
    request: RequestParts,
    shape: Shape,
}

impl Sumo {
    /// Prepares an encoder.
    ///
    /// # Errors
    /// When a label cannot stand in a header; see [`LabelError`].
    pub fn new(settings: &SumoSettings) -> Result<Sumo, LabelError> {
        let mut headers = vec![(String::from("Content-Type"), String::from("application/json"))];
        let labels = [
            ("X-Sumo-Name", "name", &settings.name),
            ("X-Sumo-Host", "host", &settings.host),
            ("X-Sumo-Category", "category", &settings.category),
        ];
        for (header, label, value) in labels {
            if let Some(value) = value {
                headers.push((header.to_owned(), printable(label, value)?));
            }
        }
        if !settings.fields.is_empty() {
            headers.push((String::from("X-Sumo-Fields"), fields(&settings.fields)?));
        }
        let request = RequestParts { method: String::from("POST"), path: settings.path.clone(), headers };
        Ok(Sumo { request, shape: settings.shape })
    }

    /// What a reply says, unless that could repeat the secret path.
    fn words(&self, reply: &Reply) -> String {
        let body = String::from_utf8_lossy(&reply.body);
        let code = self.request.path.rsplit('/').next().unwrap_or_default();
        if body.contains("/receiver/") || (!code.is_empty() && body.contains(code)) {
            return format!("HTTP {} (its text repeats the source's address, which is secret)", reply.status);
        }
        format!("HTTP {}: {}", reply.status, shown(&body))
    }
}

impl Format for Sumo {
    fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        if self.shape != Shape::Canonical {
            let line = |limits: &Limits, body: &mut Body| {
                self.shape.write(event, entry, limits, body, scratch);
                body.push_glue(b"\n");
            };
            return Ok(Shape::write_fitting(event, MAX_EVENT_BYTES, body, line)?);
        }
        write_fitting(event, MAX_EVENT_BYTES, TRUNCATED.len(), body, |how, body| write(event, entry, how, body))
    }

    fn request(&self) -> &RequestParts {
        &self.request
    }

    fn verdict(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        let why = self.words(reply);
        match reply.status {
            // A source answers with nothing; a page comes from something else that answers for it.
            200 if !reply.body.trim_ascii().starts_with(b"<") => Verdict::Delivered { slow_down: false },
            ..300 => Verdict::Misconfigured { why: format!("not an answer of an HTTP source: {why}") },
            300..400 => Verdict::Misconfigured {
                why: format!("HTTP {}: this source lives elsewhere, at {}", reply.status, elsewhere(reply)),
            },
            404 => Verdict::Misconfigured { why: format!("{why}; the URL names no source") },
            // It took longer than 30 s to arrive. A part may be there already; less takes less time.
            408 if events > 1 => Verdict::Smaller { why },
            _ => Verdict::of_status(reply, events, now_ms, why),
        }
    }
}

impl fmt::Debug for Sumo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sumo").field("path", &SECRET).field("headers", &self.request.headers).finish()
    }
}

impl fmt::Debug for SumoSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SumoSettings { path: _, name, host, category, fields, shape } = self;
        f.debug_struct("SumoSettings")
            .field("path", &SECRET)
            .field("name", name)
            .field("host", host)
            .field("category", category)
            .field("fields", fields)
            .field("shape", shape)
            .finish()
    }
}

fn write(event: &Event<'_>, entry: &Entry<'_>, how: Payload, body: &mut Body) {
    body.write_glue(|glue| {
        glue.extend_from_slice(b"{\"timestamp\":\"");
        glue.extend_from_slice(event.bytes(Field::Timestamp).unwrap_or_default());
        glue.push(b'"');
        if let Some(stamp) = entry.stamp {
            glue.push(b',');
            write_siem(stamp, glue);
        }
    });
    match how {
        Payload::Whole => lend_others(event, entry, &[Field::Timestamp], body),
        Payload::Leading(kept) => {
            body.push_glue(TRUNCATED);
            lend_others(event, entry, &[Field::Timestamp, Field::Payload], body);
            if let Some(range) = payload(event) {
                body.push_glue(b",\"payload\":");
                entry.lend(event, range.start..range.start + kept, body);
                body.push_glue(b"}");
            }
        }
    }
    body.push_glue(b"}\n");
}

fn lend_others(event: &Event<'_>, entry: &Entry<'_>, left_out: &[Field], body: &mut Body) {
    for range in others(event, |field| left_out.contains(&field)) {
        body.push_glue(b",");
        entry.lend(event, range, body);
    }
}

fn fields(fields: &[(String, String)]) -> Result<String, LabelError> {
    let mut joined = String::new();
    for (key, value) in fields {
        if key.is_empty() || key.contains([',', '=']) || value.contains(',') {
            return Err(LabelError::Field { key: key.clone(), value: value.clone() });
        }
        let comma = if joined.is_empty() { "" } else { "," };
        joined.push_str(&format!("{comma}{key}={value}"));
    }
    printable("fields", &joined)
}

fn printable(label: &'static str, value: &str) -> Result<String, LabelError> {
    let is_printable = !value.trim().is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    is_printable.then(|| value.to_owned()).ok_or_else(|| LabelError::NotPrintable { label, found: value.to_owned() })
}

/// Scheme and host of where a redirect leads. Its path would be the secret.
fn elsewhere(reply: &Reply) -> String {
    let Some(location) = reply.header("location") else { return String::from("a place the reply does not name") };
    let Some((scheme, rest)) = location.split_once("://") else { return String::from("another path of the same host") };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    shown(&format!("{scheme}://{host}"))
}

const TRUNCATED: &[u8] = b",\"truncated\":true";
const SECRET: &str = "***";
