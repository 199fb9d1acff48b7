//! Datadog's logs intake, version 2: an array of logs, and what its replies mean.
//!
//! One event becomes one log whose attributes have Datadog's standard names, so that they are facets without set-up:
//!
//! | log | event |
//! |-----|-------|
//! | `ddsource`, `service`, `hostname`, `ddtags` | settings; the tags end in `tenant:` and the tenant, and `late:true` |
//! | `message` | action, who did it, and the path, for people |
//! | `status` | the severity in Datadog's words |
//! | `timestamp` | `timestamp`, unless it is too old |
//! | `evt.name`, `evt.id`, `evt.category`, `evt.outcome` | `action`, `event_id`, `category`; `failure` where the action says so |
//! | `usr.id`, `usr.email`, `network.client.ip`, `http.useragent` | `user_id`, `user_email`, `ip`, `user_agent` |
//! | `siem` | the numbers that prove completeness |
//! | `scaidrive.*` | everything else, the payload last; keys that no [`Field`] knows under `scaidrive.unmapped` |
//!
//! Values are JSON text already and copied as written; the payload and unknown members are borrowed from the log.
//!
//! The intake does not index a log as of its own time when that lies more than 18 hours back. A log older than
//! [`LATE_AFTER_MS`] therefore goes without `timestamp`, so that the intake's clock counts, keeps its own in
//! `scaidrive.event_time`, and is tagged `late:true`. So an encoding stays right for [`ENCODED_FOR_MS`] only.
//!
//! The intake cuts a log above 1 MB and answers as if nothing had happened; here its payload keeps as many of its first
//! members as fit, and `scaidrive.truncated` says so.
//!
//! Sources: "Send logs" of the Logs API v2, "Log Collection" (limits) and "Standard Attributes" in Datadog's
//! documentation.

use std::borrow::Cow;

use crate::body::Body;
use crate::catalogue::is_failure;
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::{Entry, Format, Frame, RequestParts, Unfit};
use crate::http::Reply;
use crate::json::{unescaped, write_string};
use crate::members::{Payload, is_strict, others, payload, write_fitting, write_siem, write_timestamp};
use crate::verdict::{Verdict, shown};

/// The path that takes logs.
pub const LOGS_PATH: &str = "/api/v2/logs";
/// Logs in one request.
pub const MAX_EVENTS: usize = 1000;
/// Bytes of one request, before compression.
pub const MAX_BYTES: usize = 5_000_000;
/// Bytes of one log.
pub const MAX_EVENT_BYTES: usize = 1_000_000;
/// An event older than this goes without its `timestamp`: half an hour less than the intake's 18 hours.
pub const LATE_AFTER_MS: i64 = 63_000_000;
/// How long an encoding stays right: of the half hour, 10 minutes are left for the way and for clocks that differ.
pub const ENCODED_FOR_MS: u64 = 1_200_000;
/// The sites that have an intake.
pub const SITES: [&str; 9] = [
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "datadoghq.eu",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "uk1.datadoghq.com",
    "ddog-gov.com",
    "us2.ddog-gov.com",
];

/// How events are labelled in Datadog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatadogSettings {
    /// `ddsource`, which chooses the pipeline.
    pub source: String,
    /// `service`.
    pub service: String,
    /// `hostname`.
    pub hostname: String,
    /// Tags of every log, such as `env:prod`; the tenant's comes by itself.
    pub tags: Vec<String>,
}

/// Tags that Datadog would not keep as they are ("Getting Started with Tags", "Define Tags").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// More than a log may have.
    #[error("{count} tags are too many; at most {CONFIGURED_TAGS_MAX} can be set")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Too long, not beginning with a letter, or with a character that separates tags or is replaced.
    #[error(
        "the tag {tag:?} is not usable: it begins with a lower case letter and goes on with lower case letters, digits, and _ - : . / up to {TAG_CHARS_MAX} characters"
    )]
    Malformed {
        /// It.
        tag: String,
    },
}

/// An encoder and judge for one Datadog destination.
#[derive(Clone, Debug)]
pub struct Datadog {
    /// From the opening brace to the configured tags: the same for every log.
    labels: Vec<u8>,
    /// Whether any tags are configured.
    has_tags: bool,
    request: RequestParts,
}

/// The host that takes logs for a site.
///
/// # Errors
/// The sites there are, in words, when this is none of them.
pub fn intake_host(site: &str) -> Result<String, String> {
    if SITES.contains(&site) {
        return Ok(format!("http-intake.logs.{site}"));
    }
    Err(format!("`{}` is not a Datadog site; the sites are {}", shown(site), SITES.join(", ")))
}

impl Datadog {
    /// Prepares an encoder.
    ///
    /// # Errors
    /// When the tags are not usable; see [`TagError`].
    pub fn new(settings: &DatadogSettings) -> Result<Datadog, TagError> {
        if settings.tags.len() > CONFIGURED_TAGS_MAX {
            return Err(TagError::TooMany { count: settings.tags.len() });
        }
        if let Some(tag) = settings.tags.iter().find(|tag| !is_tag(tag)) {
            return Err(TagError::Malformed { tag: tag.clone() });
        }
        let mut labels = Vec::from(b"{");
        let tags = settings.tags.join(",");
        let texts = [
            ("ddsource", &settings.source),
            ("service", &settings.service),
            ("hostname", &settings.hostname),
            ("ddtags", &tags),
        ];
        for (nth, (key, value)) in texts.into_iter().enumerate() {
            if nth > 0 {
                labels.push(b',');
            }
            write_string(key, &mut labels);
            labels.push(b':');
            write_string(value, &mut labels);
        }
        let closing_quote = labels.pop();
        debug_assert_eq!(closing_quote, Some(b'"'));
        let request = RequestParts {
            method: String::from("POST"),
            path: String::from(LOGS_PATH),
            headers: vec![(String::from("Content-Type"), String::from("application/json"))],
        };
        Ok(Datadog { labels, has_tags: !tags.is_empty(), request })
    }

    fn write(&self, event: &Event<'_>, entry: &Entry<'_>, how: Payload, body: &mut Body) {
        let is_late = entry.now_ms.saturating_sub(event.timestamp_ms()) > LATE_AFTER_MS;
        body.write_glue(|glue| {
            if entry.item > 0 {
                glue.push(b',');
            }
            glue.extend_from_slice(&self.labels);
            self.write_tags(event, is_late, glue);
            write_message(event, glue);
            glue.extend_from_slice(b",\"status\":\"");
            glue.extend_from_slice(event.severity().datadog().as_bytes());
            glue.push(b'"');
            if !is_late {
                glue.extend_from_slice(b",\"timestamp\":");
                write_timestamp(event, is_strict, glue);
            }
            write_attributes(event, glue);
            if let Some(stamp) = entry.stamp {
                glue.push(b',');
                write_siem(stamp, glue);
            }
            write_own_root(event, is_late, how, glue);
        });
        lend_rest(event, entry, how, body);
    }

    /// Goes on inside the string `ddtags` and ends it.
    fn write_tags(&self, event: &Event<'_>, is_late: bool, glue: &mut Vec<u8>) {
        let mut is_first = !self.has_tags;
        let mut separate = |glue: &mut Vec<u8>| {
            if !std::mem::take(&mut is_first) {
                glue.push(b',');
            }
        };
        let tenant = event.field(Field::TenantId).unwrap_or_default();
        if !tenant.is_empty() {
            separate(glue);
            glue.extend_from_slice(TENANT_TAG.as_bytes());
            // What else a tag may not have, Datadog replaces in this way too; it cannot end the tag or the string.
            for character in unescaped(tenant).take(TAG_CHARS_MAX - TENANT_TAG.len()) {
                let kept = if is_tag_character(character) { character } else { '_' };
                glue.extend_from_slice(kept.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if is_late {
            separate(glue);
            glue.extend_from_slice(b"late:true");
        }
        glue.push(b'"');
    }
}

impl Format for Datadog {
    fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        _scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        // The comma before a log counts as part of it, which does no harm.
        write_fitting(event, MAX_EVENT_BYTES, TRUNCATED.len(), body, |how, body| self.write(event, entry, how, body))
    }

    fn frame(&self) -> Frame {
        Frame::ARRAY
    }

    fn request(&self) -> &RequestParts {
        &self.request
    }

    fn verdict(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        let why = words(reply);
        match reply.status {
            202 => Verdict::Delivered { slow_down: false },
            // The first version of the intake, and programs that stand in for it, answer so; a proxy's page is longer.
            200 if matches!(reply.body.trim_ascii(), b"" | b"{}") => Verdict::Delivered { slow_down: false },
            ..300 => Verdict::Misconfigured { why: format!("not an answer of a logs intake: {why}") },
            403 => Verdict::HoldForCredentials { why: format!("{why}; a key is valid on its own site only") },
            _ => Verdict::of_status(reply, events, now_ms, why),
        }
    }

    fn encoded_for(&self) -> Option<u64> {
        Some(ENCODED_FOR_MS)
    }
}

/// Action, who did it, and the path. Pieces of JSON strings side by side are a JSON string.
fn write_message(event: &Event<'_>, glue: &mut Vec<u8>) {
    let said = |field| event.bytes(field).filter(|written| !written.is_empty());
    let who = said(Field::UserEmail).or_else(|| said(Field::UserId)).or_else(|| said(Field::ServiceAccount));
    glue.extend_from_slice(b",\"message\":\"");
    glue.extend_from_slice(event.bytes(Field::Action).unwrap_or_default());
    for piece in [who, said(Field::ResourcePath)].into_iter().flatten() {
        glue.push(b' ');
        glue.extend_from_slice(piece);
    }
    glue.push(b'"');
}

fn write_attributes(event: &Event<'_>, glue: &mut Vec<u8>) {
    glue.extend_from_slice(b",\"evt\":{");
    write_fields(event, &[("name", Field::Action), ("id", Field::EventId), ("category", Field::Category)], glue);
    if is_failure(event.bytes(Field::Action).unwrap_or_default()) {
        glue.extend_from_slice(b",\"outcome\":\"failure\"");
    }
    glue.push(b'}');
    write_group(event, b",\"usr\":{", &[("id", Field::UserId), ("email", Field::UserEmail)], b"}", glue);
    write_group(event, b",\"network\":{\"client\":{", &[("ip", Field::Ip)], b"}}", glue);
    write_group(event, b",\"http\":{", &[("useragent", Field::UserAgent)], b"}", glue);
}

/// Opens `scaidrive` and writes what is copied; [`lend_rest`] goes on.
fn write_own_root(event: &Event<'_>, is_late: bool, how: Payload, glue: &mut Vec<u8>) {
    let fields = [
        ("tenant_id", Field::TenantId),
        ("severity", Field::Severity),
        ("service_account", Field::ServiceAccount),
        ("resource_id", Field::ResourceId),
        ("resource_path", Field::ResourcePath),
        ("session_id", Field::SessionId),
    ];
    glue.extend_from_slice(b",\"scaidrive\":{");
    write_fields(event, &fields, glue);
    if is_late {
        glue.push(b',');
        write_fields(event, &[("event_time", Field::Timestamp)], glue);
    }
    if how != Payload::Whole {
        glue.extend_from_slice(TRUNCATED);
    }
}

/// Lends what no field knows and the payload, and ends `scaidrive` and the log.
fn lend_rest(event: &Event<'_>, entry: &Entry<'_>, how: Payload, body: &mut Body) {
    let mut before: &[u8] = UNMAPPED;
    for range in others(event, |_| true) {
        body.push_glue(before);
        entry.lend(event, range, body);
        before = b",";
    }
    if before != UNMAPPED {
        body.push_glue(b"}");
    }
    if let Some(range) = payload(event) {
        body.push_glue(b",\"payload\":");
        match how {
            Payload::Whole => entry.lend(event, range, body),
            Payload::Leading(kept) => {
                entry.lend(event, range.start..range.start + kept, body);
                body.push_glue(b"}");
            }
        }
    }
    body.push_glue(b"}}");
}

/// Those of the fields that the event has, with commas between them.
fn write_fields(event: &Event<'_>, fields: &[(&str, Field)], glue: &mut Vec<u8>) {
    let mut is_first = true;
    for (key, field) in fields {
        let Some(written) = event.bytes(*field) else { continue };
        if !std::mem::take(&mut is_first) {
            glue.push(b',');
        }
        write_string(key, glue);
        glue.extend_from_slice(b":\"");
        glue.extend_from_slice(written);
        glue.push(b'"');
    }
}

/// The fields between `opening` and `closing`, or nothing when the event has none of them.
fn write_group(event: &Event<'_>, opening: &[u8], fields: &[(&str, Field)], closing: &[u8], glue: &mut Vec<u8>) {
    if fields.iter().any(|(_, field)| event.bytes(*field).is_some()) {
        glue.extend_from_slice(opening);
        write_fields(event, fields, glue);
        glue.extend_from_slice(closing);
    }
}

fn is_tag(tag: &str) -> bool {
    tag.starts_with(char::is_alphabetic)
        && !tag.ends_with(':')
        && tag.chars().count() <= TAG_CHARS_MAX
        && tag.chars().all(|character| is_tag_character(character) && !character.is_uppercase())
}

fn is_tag_character(character: char) -> bool {
    character.is_alphanumeric() || "_-:./".contains(character)
}

/// The errors of a reply, or what it says instead.
fn words(reply: &Reply) -> String {
    let answer: Answer<'_> = serde_json::from_slice(&reply.body).unwrap_or_default();
    let said = match answer.errors.first() {
        Some(Problem::Told { title, detail }) => format!("{title} {detail}"),
        Some(Problem::Words(words)) => words.to_string(),
        None => String::from_utf8_lossy(&reply.body).into_owned(),
    };
    format!("HTTP {}: {}", reply.status, shown(&said))
}

#[derive(Default, serde::Deserialize)]
struct Answer<'a> {
    #[serde(default, borrow)]
    errors: Vec<Problem<'a>>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Problem<'a> {
    Told {
        #[serde(default, borrow)]
        title: Cow<'a, str>,
        #[serde(default, borrow)]
        detail: Cow<'a, str>,
    },
    Words(#[serde(borrow)] Cow<'a, str>),
}

const TENANT_TAG: &str = "tenant:";
const TRUNCATED: &[u8] = b",\"truncated\":true";
const UNMAPPED: &[u8] = b",\"unmapped\":{";
/// Characters of one tag.
const TAG_CHARS_MAX: usize = 200;
/// A log may have 100 tags, and two are ours.
const CONFIGURED_TAGS_MAX: usize = 98;
