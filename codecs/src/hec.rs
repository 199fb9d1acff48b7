//! Splunk's HTTP Event Collector: events as concatenated JSON objects, and what its replies mean.
//!
//! One event becomes one object, with no white space of ours and nothing between two objects:
//!
//! ```json
//! {"time":1778595781.453,"host":"…","source":"…","sourcetype":"scaidrive:audit","index":"…","event":RAW,
//!  "fields":{"event_id":"…","tenant_id":"…","siem_node":"…","siem_stream":"…","siem_n":7}}
//! ```
//!
//! `RAW` is borrowed from the log; in another [`Shape`] it is what that makes of the event, a text as a string. `event_id` and `tenant_id` are copied as written: they are JSON text already. The
//! members of `fields` become indexed fields, so they are few and flat.
//!
//! Rules may send some events to an index of their own ([`IndexRule`]). Splunk refuses a whole request for one index that
//! the token may not write to (code 7), so the indexes of such a request are then sent apart from each other.
//!
//! Reply codes: "HTTP Event Collector REST API endpoints" and "Troubleshoot HTTP Event Collector" in Splunk's manuals;
//! 23 to 27 exist in recent releases only. A code counts only together with a fitting HTTP status: success is status
//! 2xx *and* a success code, so that a proxy's friendly page never moves a cursor.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::body::{Body, Stamp};
use crate::event::{Event, Field};
use crate::filter::{Filter, FilterError, FilterSpec, Scratch};
use crate::format::{Entry, Format, RequestParts, Unfit};
use crate::http::Reply;
use crate::json::write_string;
use crate::lead::Spelling;
use crate::scope::{Scope, ScopeError};
use crate::shape::{Limits, Shape, write_cim_fields};
use crate::time::write_epoch_seconds;
use crate::verdict::{Verdict, shown};

/// The path that takes events.
pub const EVENT_PATH: &str = "/services/collector/event";
/// What comes in place of [`EVENT_PATH`] to ask what was indexed.
pub const ACK_PATH: &str = "/services/collector/ack";
/// The header that names the channel, a GUID; acknowledgements are numbered for each channel.
pub const CHANNEL_HEADER: &str = "X-Splunk-Request-Channel";
/// The sourcetype the shipped Splunk content is written for.
pub const SOURCETYPE: &str = "scaidrive:audit";

/// How events are labelled in Splunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HecSettings {
    /// The request target; [`EVENT_PATH`] unless the admin's URL has a path before it.
    pub path: String,
    /// Splunk's `host`.
    pub host: String,
    /// Splunk's `source`.
    pub source: String,
    /// Splunk's `sourcetype`; [`SOURCETYPE`] unless there is a reason.
    pub sourcetype: String,
    /// The index to write to; without one the token's default.
    pub index: Option<String>,
    /// Which events go to another index: the first rule that fits names it.
    pub indexes: Vec<IndexRule>,
    /// What `event` is.
    pub shape: Shape,
    /// Whether `fields` has also what the event says in the words of Splunk's Common Information Model.
    pub cim_fields: bool,
}

/// Events that go to an index of their own. What the agent says about the stream itself, out of band, obeys no rule: it
/// must arrive even where a rule names a wrong index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRule {
    /// The index.
    pub index: String,
    /// The tenants whose events go there, as [`Scope::compile`] reads them.
    pub tenants: Vec<String>,
    /// Which of their events.
    pub filter: FilterSpec,
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexRuleError {
    /// Its tenants are no scope.
    #[error("the tenants of the rule for index `{index}` can't be used")]
    Tenants {
        /// The rule's index.
        index: String,
        /// What is wrong with them.
        source: ScopeError,
    },
    /// Its filter can't be compiled.
    #[error("the filter of the rule for index `{index}` can't be used")]
    Filter {
        /// The rule's index.
        index: String,
        /// What is wrong with its first bad entry.
        source: FilterError,
    },
}

/// An encoder and judge for one HEC destination.
#[derive(Clone, Debug)]
pub struct Hec {
    request: RequestParts,
    rules: Vec<Rule>,
    /// For the events that no rule fits.
    usual: Labels,
    shape: Shape,
    cim_fields: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    scope: Scope,
    filter: Filter,
    labels: Labels,
}

/// What stands beside an event.
#[derive(Clone, Debug)]
struct Labels {
    /// Empty for the token's default.
    index: String,
    /// From behind the time to before the event: the same for every event of this index.
    text: Vec<u8>,
}

impl Hec {
    /// Prepares an encoder.
    ///
    /// # Errors
    /// The first rule that cannot be used.
    pub fn new(settings: &HecSettings) -> Result<Hec, IndexRuleError> {
        let request = RequestParts {
            method: String::from("POST"),
            path: settings.path.clone(),
            headers: vec![(String::from("Content-Type"), String::from("application/json"))],
        };
        let rules = settings.indexes.iter().map(|rule| Rule::new(rule, settings)).collect::<Result<_, _>>()?;
        let usual = Labels::new(settings, settings.index.as_deref());
        Ok(Hec { request, rules, usual, shape: settings.shape, cim_fields: settings.cim_fields })
    }

    fn labels(&self, event: &Event<'_>, scratch: &mut Scratch) -> &Labels {
        self.rules.iter().find(|rule| rule.fits(event, scratch)).map_or(&self.usual, |rule| &rule.labels)
    }

    fn before(&self, event: &Event<'_>, labels: &Labels, body: &mut Body) {
        body.write_glue(|glue| {
            glue.extend_from_slice(b"{\"time\":");
            write_epoch_seconds(event.timestamp_ms(), glue);
            glue.extend_from_slice(&labels.text);
        });
    }

    fn after(&self, event: &Event<'_>, entry: &Entry<'_>, body: &mut Body, scratch: &mut Scratch) {
        body.write_stamped(|glue, leads| {
            glue.extend_from_slice(b",\"fields\":{\"event_id\":\"");
            glue.extend_from_slice(event.bytes(Field::EventId).unwrap_or_default());
            glue.extend_from_slice(b"\",\"tenant_id\":\"");
            glue.extend_from_slice(event.bytes(Field::TenantId).unwrap_or_default());
            glue.push(b'"');
            if let Some(stamp) = entry.stamp {
                leads.write(Spelling::IndexedFields, stamp, glue);
            }
            if self.cim_fields {
                write_cim_fields(event, entry, glue, scratch);
            }
            glue.extend_from_slice(b"}}");
        });
    }
}

impl Rule {
    fn new(rule: &IndexRule, settings: &HecSettings) -> Result<Rule, IndexRuleError> {
        let index = || rule.index.clone();
        let scope = Scope::compile(&rule.tenants);
        let scope = scope.map_err(|source| IndexRuleError::Tenants { index: index(), source })?;
        let filter = Filter::compile(&rule.filter)
            .map_err(|mut problems| IndexRuleError::Filter { index: index(), source: problems.swap_remove(0) })?;
        Ok(Rule { scope, filter, labels: Labels::new(settings, Some(&rule.index)) })
    }

    fn fits(&self, event: &Event<'_>, scratch: &mut Scratch) -> bool {
        let tenant = event.text(Field::TenantId, &mut scratch.text);
        tenant.is_some_and(|tenant| self.scope.includes(tenant)) && self.filter.selects(event, scratch)
    }
}

impl Labels {
    fn new(settings: &HecSettings, index: Option<&str>) -> Labels {
        let mut text = Vec::new();
        let always = [("host", &settings.host), ("source", &settings.source), ("sourcetype", &settings.sourcetype)];
        let always = always.map(|(key, value)| (key, value.as_str()));
        for (key, value) in always.into_iter().chain(index.map(|index| ("index", index))) {
            text.push(b',');
            write_string(key, &mut text);
            text.push(b':');
            write_string(value, &mut text);
        }
        text.extend_from_slice(b",\"event\":");
        Labels { index: index.unwrap_or_default().to_owned(), text }
    }
}

/// What stands between the tenant and the number.
pub(crate) fn write_lead(stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"siem_node\":");
    write_string(stamp.node, out);
    out.extend_from_slice(b",\"siem_stream\":");
    write_string(stamp.stream, out);
    out.extend_from_slice(b",\"siem_n\":");
}

impl Format for Hec {
    fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        let labels = if entry.stamp.is_some() { self.labels(event, scratch) } else { &self.usual };
        self.before(event, labels, body);
        match self.shape {
            // The numbers are among the fields, so the event is not touched at all.
            Shape::Canonical => entry.lend(event, 0..event.raw.len(), body),
            shape => shape.write_json(event, entry, &Limits::NONE, body, scratch),
        }
        self.after(event, entry, body, scratch);
        Ok(())
    }

    fn request(&self) -> &RequestParts {
        &self.request
    }

    fn acknowledgement(&self, reply: &Reply) -> Option<u64> {
        Answer::of(reply).ack_id
    }

    /// The index, empty for the token's default.
    fn group(&self, event: &Event<'_>, scratch: &mut Scratch) -> &str {
        &self.labels(event, scratch).index
    }

    /// Splunk indexes a batch up to its first bad event and drops the rest, so a split batch is partly there twice;
    /// searches count distinct numbers.
    fn verdict(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        let answer = Answer::of(reply);
        let is_success = (200..300).contains(&reply.status);
        if is_success && answer.code == Some(0) {
            return Verdict::Delivered { slow_down: false };
        }
        let why = answer.words(reply);
        match answer.code {
            Some(24 | 25) if is_success => Verdict::Delivered { slow_down: true },
            // Nothing was asked, so nothing was refused.
            Some(5) if events == 0 => Verdict::Delivered { slow_down: false },
            Some(1..=4 | 21 | 22) => Verdict::HoldForCredentials { why },
            Some(5 | 6 | 12 | 13 | 15) => Verdict::split_or_refuse(events, answer.offender, why),
            Some(7) if !self.rules.is_empty() => Verdict::Apart { why },
            // The same index, channel and header go with every event, so no event is to blame.
            Some(7 | 10 | 11 | 14 | 16 | 17) => Verdict::Misconfigured { why },
            Some(8) => {
                Verdict::Retry { after_ms: reply.retry_after(now_ms), why, slow_down: false, new_connection: false }
            }
            Some(9 | 18..=20 | 26 | 27) => {
                Verdict::Retry { after_ms: reply.retry_after(now_ms), why, slow_down: true, new_connection: true }
            }
            Some(23) => {
                Verdict::Retry { after_ms: reply.retry_after(now_ms), why, slow_down: false, new_connection: true }
            }
            None if is_success && is_bare_ok(&reply.body) => Verdict::Delivered { slow_down: false },
            _ if reply.status < 300 => {
                Verdict::Misconfigured { why: format!("not an answer of an event collector: {why}") }
            }
            _ => Verdict::of_status(reply, events, now_ms, why),
        }
    }
}

/// What the JSON body of a reply says.
#[derive(Default, serde::Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    code: Option<u32>,
    #[serde(default, borrow)]
    text: Option<Text<'a>>,
    #[serde(default, rename = "invalid-event-number")]
    offender: Option<usize>,
    #[serde(default, rename = "ackId")]
    ack_id: Option<u64>,
}

/// Words that are borrowed from the reply where nothing in them is escaped.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The body of a question for what was indexed ("About HTTP Event Collector Indexer Acknowledgment").
pub fn ack_query(ids: impl IntoIterator<Item = u64>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    format!("{{\"acks\":[{}]}}", ids.join(","))
}

/// Why a question about acknowledgements has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The token has no indexer acknowledgement (code 14), so there is none to wait for.
    pub is_disabled: bool,
    /// In the collector's words.
    pub why: String,
}

/// The numbers that the answer to [`ack_query`] says are indexed. `false` means not yet, unknown or lost alike.
///
/// # Errors
/// What the answer says, when it is none. It is never a delivery.
pub fn acknowledged(reply: &Reply) -> Result<Vec<u64>, Unanswered> {
    #[derive(serde::Deserialize)]
    struct Acks {
        acks: BTreeMap<String, bool>,
    }
    let unanswered = || {
        let answer = Answer::of(reply);
        Unanswered { is_disabled: answer.code == Some(ACK_DISABLED), why: answer.words(reply) }
    };
    if !(200..300).contains(&reply.status) {
        return Err(unanswered());
    }
    let answer: Acks = serde_json::from_slice(&reply.body).map_err(|_| unanswered())?;
    Ok(answer.acks.into_iter().filter(|(_, is_indexed)| *is_indexed).filter_map(|(id, _)| id.parse().ok()).collect())
}

impl<'a> Answer<'a> {
    fn of(reply: &'a Reply) -> Answer<'a> {
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }

    fn words(&self, reply: &Reply) -> String {
        match (&self.text, self.code) {
            (Some(Text(text)), Some(code)) => format!("HTTP {}, code {code}: {}", reply.status, shown(text)),
            (None, Some(code)) => format!("HTTP {}, code {code}", reply.status),
            _ => format!("HTTP {}: {}", reply.status, shown(&String::from_utf8_lossy(&reply.body))),
        }
    }
}

/// "ACK is disabled" (Splunk, "Possible error codes" of HEC).
const ACK_DISABLED: u32 = 14;

/// Some programs that stand in for HEC answer with the bare word.
fn is_bare_ok(body: &[u8]) -> bool {
    let word = body.trim_ascii();
    let word = word.strip_prefix(b"\"").and_then(|word| word.strip_suffix(b"\"")).unwrap_or(word);
    word.eq_ignore_ascii_case(b"ok") || word.eq_ignore_ascii_case(b"success")
}
