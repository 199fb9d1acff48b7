//! The bulk API of Elasticsearch and OpenSearch: two lines for each event, and an answer that judges them one by one.
//!
//! One event becomes an action and a document, each on a line of its own that ends in a line feed:
//!
//! ```json
//! {"create":{"_id":"a1.siem.0.9f:7"}}
//! {"@timestamp":"2026-05-12T14:23:01.453Z","siem":{"node":"…","stream":"…","n":7},REST
//! ```
//!
//! In another [`Shape`] the document is what that makes of the event. `REST` is the event from behind its opening brace, borrowed from the log. An event that brings a top-level
//! `@timestamp` itself is refused by the receiver, because the key then stands twice.
//!
//! With the id made of stream and number a retry writes the same document: the second attempt meets a version conflict
//! (409), which only the first one can have caused. This holds within one backing index.
//!
//! The HTTP status covers only the request: a 200 can carry failures, so each item is read, always. Sources: "Bulk API"
//! and "Data streams" in Elasticsearch's reference, "Bulk" and "Data streams" in OpenSearch's documentation.

use std::borrow::Cow;

use crate::body::{Body, Stamp};
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::{Entry, Format, RequestParts, Unfit};
use crate::http::Reply;
use crate::json::{unescaped, write_escaped};
use crate::lead::{Leads, Spelling};
use crate::members::{is_strict, write_timestamp};
use crate::shape::{Limits, Shape};
use crate::verdict::{RefusedItem, Verdict, shown};

mod taken;
mod template;

pub use template::{Flavor, index_template};

/// Bytes of a body at most, before compression: this fits the smaller domains of Amazon OpenSearch, which take 10 MiB.
pub const MAX_BYTES: usize = 8 << 20;
/// Bytes of an `_id`, the same for both servers.
pub const ID_BYTES_MAX: usize = 512;
/// Bytes of the name of an index or data stream.
pub const TARGET_BYTES_MAX: usize = 255;

/// Where documents go and how they are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticSettings {
    /// The path of the server's URL, without a slash at its end; empty for most.
    pub base: String,
    /// The data stream or index; see [`TargetError`] for what a name may be.
    pub target: String,
    /// How documents are written.
    pub op: Op,
    /// What documents are called.
    pub id: DocumentId,
    /// What documents are: canonical, or in the words of a schema whose objects are JSON.
    pub shape: Shape,
}

/// How documents are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Op {
    /// Only if there is none of this id. All that a data stream takes.
    #[default]
    Create,
    /// Over what may be there. For plain indexes only.
    Index,
}

/// What documents are called. An event of the agent's own has no number; unless there are no ids, its id is its
/// `event_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DocumentId {
    /// Stream and number, so that each number is there once: what proofs of completeness count.
    #[default]
    StreamAndNumber,
    /// The event's `event_id`. Two events with the same one become one document, and the numbers get a hole.
    EventId,
    /// The server makes one up; a retry may then store an event twice. For servers that refuse ids of others.
    None,
}

/// A name that no data stream or index can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No name.
    #[error("the name is empty")]
    Empty,
    /// Longer than [`TARGET_BYTES_MAX`].
    #[error("the name has {bytes} bytes; at most {TARGET_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// `.` or `..`.
    #[error("the name is only dots")]
    OnlyDots,
    /// Begins with `-`, `_`, `+`, or, for a data stream, `.ds-`.
    #[error("the name begins with `{start}`")]
    Start {
        /// With what.
        start: &'static str,
    },
    /// A character that no name may have.
    #[error(
        "the name has the character {found:?}; letters must be lower case, and \\ / * ? \" < > | , # : and spaces are not allowed"
    )]
    Character {
        /// It.
        found: char,
    },
    /// A data stream called `logs-…` that is not of the form that the built-in template expects.
    #[error(
        "a data stream that begins with `logs-` is called logs-DATASET-NAMESPACE, each part 1 to {SCHEME_PART_MAX} bytes without `-`, such as logs-scaidrive.audit-default"
    )]
    Scheme,
}

/// An encoder and judge for one Elasticsearch or OpenSearch destination.
#[derive(Clone, Debug)]
pub struct Elastic {
    op: Op,
    id: DocumentId,
    shape: Shape,
    request: RequestParts,
}

impl Elastic {
    /// Prepares an encoder.
    ///
    /// # Errors
    /// When the target is no valid name; see [`TargetError`].
    pub fn new(settings: &ElasticSettings) -> Result<Elastic, TargetError> {
        check_target(&settings.target, settings.op)?;
        let target = percent_encoded(&settings.target);
        let request = RequestParts {
            method: String::from("POST"),
            path: format!("{}/{target}/_bulk?{BULK_QUERY}", settings.base),
            headers: vec![(String::from("Content-Type"), String::from("application/x-ndjson"))],
        };
        Ok(Elastic { op: settings.op, id: settings.id, shape: settings.shape, request })
    }

    /// Appends the action line.
    fn write_action(&self, event: &Event<'_>, stamp: Option<&Stamp<'_>>, glue: &mut Vec<u8>, leads: &mut Leads) {
        glue.extend_from_slice(match self.op {
            Op::Create => b"{\"create\":{",
            Op::Index => b"{\"index\":{",
        });
        match (self.id, stamp) {
            (DocumentId::None, _) => {}
            (DocumentId::StreamAndNumber, Some(stamp)) => {
                leads.write(Spelling::DocumentId, stamp, glue);
                glue.push(b'"');
            }
            (DocumentId::StreamAndNumber | DocumentId::EventId, _) => {
                glue.extend_from_slice(b"\"_id\":\"");
                glue.extend_from_slice(event.bytes(Field::EventId).unwrap_or_default());
                glue.push(b'"');
            }
        }
        glue.extend_from_slice(b"}}\n");
    }

    /// Appends the action and a document that is not canonical. A data stream wants `@timestamp`, whatever the schema.
    fn write_document(&self, event: &Event<'_>, entry: &Entry<'_>, body: &mut Body, scratch: &mut Scratch) {
        body.write_stamped(|glue, leads| {
            self.write_action(event, entry.stamp, glue, leads);
            glue.push(b'{');
            if self.shape != Shape::Ecs {
                glue.extend_from_slice(b"\"@timestamp\":");
                write_timestamp(event, is_strict, glue);
            }
        });
        self.shape.write_on(event, entry, &Limits::NONE, body, scratch);
        body.push_glue(b"\n");
    }

    /// Bytes of the id as the server counts them: without escapes.
    fn id_bytes(&self, event: &Event<'_>, stamp: Option<&Stamp<'_>>) -> Option<usize> {
        match (self.id, stamp) {
            (DocumentId::None, _) => None,
            (DocumentId::StreamAndNumber, Some(stamp)) => {
                Some(stamp.stream.len() + 2 + stamp.n.checked_ilog10().unwrap_or(0) as usize)
            }
            (DocumentId::StreamAndNumber | DocumentId::EventId, _) => {
                let written = event.field(Field::EventId).unwrap_or_default();
                Some(unescaped(written).map(char::len_utf8).sum())
            }
        }
    }

    fn judge_items(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        let retry = |why| retry(reply, now_ms, why, false);
        if reply.is_cut {
            let why = String::from("the answer is longer than was read, so not every event has one");
            // The same events would get the same long answer for ever. What was taken already meets its id.
            return if events > 1 { Verdict::Smaller { why } } else { retry(why) };
        }
        if taken::are_plainly_taken(&reply.body, events) {
            return Verdict::Delivered { slow_down: false };
        }
        self.judge_each(reply, events, now_ms)
    }

    /// Makes a value of each item and judges it.
    fn judge_each(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        let retry = |why| retry(reply, now_ms, why, false);
        let items = match serde_json::from_slice(&reply.body) {
            Ok(Answer { items: Some(items) }) if items.len() == events => items,
            Ok(Answer { items: Some(items) }) => {
                return retry(format!("the answer judges {} events of {events}", items.len()));
            }
            Err(problem) if problem.is_eof() && reply.body.starts_with(b"{") => {
                return retry(String::from("the answer breaks off, so not every event has one"));
            }
            Ok(Answer { items: None }) | Err(_) => {
                return Verdict::Misconfigured {
                    why: format!("not an answer of the bulk API: {}", plain_words(reply)),
                };
            }
        };
        let mut tally = Tally::default();
        for (nth, Item::Done(outcome)) in items.iter().enumerate() {
            match self.fate(outcome) {
                Fate::Taken => {}
                Fate::SetAside => tally.set_aside += 1,
                Fate::Again { slow_down } => tally.again(nth, slow_down, outcome),
                Fate::Refused => tally.refused.push(RefusedItem { item: nth, reason: outcome.words() }),
                Fate::HoldForCredentials => return Verdict::HoldForCredentials { why: outcome.words() },
                Fate::Misconfigured { advice } => {
                    return Verdict::Misconfigured { why: format!("{}{advice}", outcome.words()) };
                }
            }
        }
        tally.verdict(reply, events, now_ms)
    }

    /// What became of one document.
    fn fate(&self, outcome: &Outcome<'_>) -> Fate {
        let (kind, reason) = outcome.cause();
        match outcome.status {
            200..=299 if outcome.failure_store.as_ref().is_some_and(|store| store.0 == "used") => Fate::SetAside,
            200..=299 => Fate::Taken,
            401 | 403 if kind == CLUSTER_BLOCK => Fate::Again { slow_down: true },
            401 | 403 => Fate::HoldForCredentials,
            404 if kind == "index_not_found_exception" => Fate::Misconfigured { advice: "" },
            409 if kind == "version_conflict_engine_exception" && self.is_conflict_a_repeat() => Fate::Taken,
            // Any other conflict is between writers, and over when it is tried again.
            409 => Fate::Again { slow_down: false },
            429 => Fate::Again { slow_down: true },
            400 if reason.contains("Document ID is not supported") => {
                Fate::Misconfigured { advice: "; this server refuses ids of others: set id = \"none\"" }
            }
            400 if reason.contains("only write ops with an op_type of create are allowed in data streams") => {
                Fate::Misconfigured { advice: "; the target is a data stream: set op = \"create\"" }
            }
            400..=499 => Fate::Refused,
            _ => Fate::Again { slow_down: false },
        }
    }

    fn is_conflict_a_repeat(&self) -> bool {
        self.op == Op::Create && self.id != DocumentId::None
    }
}

impl Format for Elastic {
    fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        match self.id_bytes(event, entry.stamp) {
            // The server answers an empty id with 400 for the whole request.
            Some(0) => return Err(Unfit { why: String::from("the event_id is empty and cannot be a document's id") }),
            Some(bytes) if bytes > ID_BYTES_MAX => {
                return Err(Unfit {
                    why: format!("the document's id has {bytes} bytes; at most {ID_BYTES_MAX} are allowed"),
                });
            }
            _ => {}
        }
        if self.shape != Shape::Canonical {
            self.write_document(event, entry, body, scratch);
            return Ok(());
        }
        body.write_stamped(|glue, leads| {
            self.write_action(event, entry.stamp, glue, leads);
            glue.extend_from_slice(b"{\"@timestamp\":");
            write_timestamp(event, is_strict, glue);
            glue.push(b',');
            if let Some(stamp) = entry.stamp {
                leads.write(Spelling::Member, stamp, glue);
                glue.extend_from_slice(b"},");
            }
        });
        entry.lend(event, 1..event.raw.len(), body);
        body.push_glue(b"\n");
        Ok(())
    }

    fn request(&self) -> &RequestParts {
        &self.request
    }

    fn verdict(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        if (200..300).contains(&reply.status) {
            return self.judge_items(reply, events, now_ms);
        }
        let failure: Failure<'_> = serde_json::from_slice(&reply.body).unwrap_or_default();
        let kind = failure.error.kind();
        let why = match kind {
            "" => plain_words(reply),
            kind => format!("HTTP {}: {}", reply.status, shown(&format!("{kind}: {}", failure.error.reason()))),
        };
        match reply.status {
            403 | 429 if kind == CLUSTER_BLOCK => retry(reply, now_ms, why, true),
            // The path and the media type go with every event, so no event is to blame.
            404..=406 => Verdict::Misconfigured { why },
            _ => Verdict::of_status(reply, events, now_ms, why),
        }
    }

    /// Some servers close the connection on a body that is too large for them before they have said so.
    fn interrupted(&self, body_len: usize, events: usize) -> Option<Verdict> {
        let why = || format!("the connection broke while a body of {body_len} bytes was sent; it may be too large");
        (body_len > MAX_BYTES && events > 1).then(|| Verdict::Smaller { why: why() })
    }
}

/// What stands before the number in a document's id.
pub(crate) fn write_lead(stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"_id\":\"");
    write_escaped(stamp.stream, out);
    out.push(b':');
}

/// What became of one document.
enum Fate {
    Taken,
    /// Stored, but not where it belongs: in the stream's failure store.
    SetAside,
    Again {
        slow_down: bool,
    },
    Refused,
    HoldForCredentials,
    Misconfigured {
        advice: &'static str,
    },
}

/// What became of the documents of one request.
#[derive(Default)]
struct Tally {
    refused: Vec<RefusedItem>,
    again: Vec<usize>,
    slow_down: bool,
    why_again: Option<String>,
    set_aside: usize,
}

impl Tally {
    fn again(&mut self, nth: usize, slow_down: bool, outcome: &Outcome<'_>) {
        self.again.push(nth);
        self.slow_down |= slow_down;
        self.why_again.get_or_insert_with(|| outcome.words());
    }

    fn verdict(self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        let Tally { refused, again, slow_down, why_again, set_aside } = self;
        let note_aside =
            (set_aside > 0).then(|| format!("{set_aside} of {events} went to the failure store, not to the stream"));
        let note = match (note_aside, why_again) {
            // Nothing was taken and nothing refused: the request as a whole came at a bad time.
            (None, Some(why)) if again.len() == events => return retry(reply, now_ms, why, slow_down),
            (None, None) if refused.is_empty() => return Verdict::Delivered { slow_down: false },
            (aside, Some(why)) => {
                let later = format!("{} of {events} could not be stored now: {why}", again.len());
                Some(aside.map_or(later.clone(), |aside| format!("{aside}; {later}")))
            }
            (aside, None) => aside,
        };
        Verdict::Judged { refused, again, slow_down, note }
    }
}

/// The answer to a bulk request.
#[derive(serde::Deserialize)]
struct Answer<'a> {
    #[serde(default, borrow)]
    items: Option<Vec<Item<'a>>>,
}

/// An object with one key, the operation.
#[derive(serde::Deserialize)]
enum Item<'a> {
    #[serde(rename = "create", alias = "index", borrow)]
    Done(Outcome<'a>),
}

/// Boxed is what few have: there are as many of these as events in a request.
#[derive(serde::Deserialize)]
struct Outcome<'a> {
    status: u16,
    #[serde(default, borrow)]
    error: Option<Box<Cause<'a>>>,
    #[serde(default, borrow)]
    failure_store: Option<Box<Words<'a>>>,
}

/// The answer to a request that failed as a whole.
#[derive(Default, serde::Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    error: Cause<'a>,
}

#[derive(Default, serde::Deserialize)]
struct Cause<'a> {
    #[serde(default, rename = "type", borrow)]
    kind: Option<Words<'a>>,
    #[serde(default, borrow)]
    reason: Option<Words<'a>>,
}

/// Text that is borrowed from the reply unless it has escapes; serde borrows it only in a type of its own.
#[derive(serde::Deserialize)]
struct Words<'a>(#[serde(borrow)] Cow<'a, str>);

impl Cause<'_> {
    fn kind(&self) -> &str {
        self.kind.as_ref().map_or("", |words| &words.0)
    }

    fn reason(&self) -> &str {
        self.reason.as_ref().map_or("", |words| &words.0)
    }
}

impl Outcome<'_> {
    fn cause(&self) -> (&str, &str) {
        self.error.as_ref().map_or(("", ""), |cause| (cause.kind(), cause.reason()))
    }

    fn words(&self) -> String {
        match self.cause() {
            ("", "") => format!("status {}", self.status),
            (kind, reason) => format!("status {}: {}", self.status, shown(&format!("{kind}: {reason}"))),
        }
    }
}

fn retry(reply: &Reply, now_ms: i64, why: String, slow_down: bool) -> Verdict {
    Verdict::Retry { after_ms: reply.retry_after(now_ms), why, slow_down, new_connection: false }
}

fn plain_words(reply: &Reply) -> String {
    format!("HTTP {}: {}", reply.status, shown(&String::from_utf8_lossy(&reply.body)))
}

/// The naming rules of both servers ("Create index API" and "Create data stream API", path parameters), and those of the
/// data stream naming scheme for names that the built-in template would match.
fn check_target(target: &str, op: Op) -> Result<(), TargetError> {
    if target.is_empty() {
        return Err(TargetError::Empty);
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(TargetError::TooLong { bytes: target.len() });
    }
    if target == "." || target == ".." {
        return Err(TargetError::OnlyDots);
    }
    let starts: &[&str] = if op == Op::Create { &["-", "_", "+", ".ds-"] } else { &["-", "_", "+"] };
    if let Some(start) = starts.iter().find(|start| target.starts_with(**start)) {
        return Err(TargetError::Start { start });
    }
    let is_bad = |c: &char| c.is_uppercase() || c.is_control() || c.is_whitespace() || r#"\/*?"<>|,#:"#.contains(*c);
    if let Some(found) = target.chars().find(is_bad) {
        return Err(TargetError::Character { found });
    }
    match target.strip_prefix("logs-") {
        Some(rest) if op == Op::Create && !is_dataset_and_namespace(rest) => Err(TargetError::Scheme),
        _ => Ok(()),
    }
}

fn is_dataset_and_namespace(rest: &str) -> bool {
    let is_part = |part: &str| (1..=SCHEME_PART_MAX).contains(&part.len()) && !part.contains('-');
    rest.split_once('-').is_some_and(|(dataset, namespace)| is_part(dataset) && is_part(namespace))
}

/// `text` with every byte that is not unreserved (RFC 3986, section 2.3) percent-encoded: what a signature over the path
/// is calculated from, so that both are the same.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `filter_path=took,errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.failure_store`,
/// with `*` and `,` percent-encoded as a signature demands.
const BULK_QUERY: &str = "filter_path=took%2Cerrors%2Citems.%2A.status%2Citems.%2A.error.type%2Citems.%2A.error.reason%2Citems.%2A.failure_store";
/// Bytes of a dataset or a namespace in a data stream's name.
const SCHEME_PART_MAX: usize = 100;
const CLUSTER_BLOCK: &str = "cluster_block_exception";
