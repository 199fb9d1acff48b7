//! A stand-in for the bulk interface of Elasticsearch and OpenSearch, small: it is here to fail on request; the real
//! OpenSearch is tested elsewhere.
//!
//! Each item has its own status. `create` with an identifier that is there already answers 409 and is no second arrival.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Mutex;

use serde_json::Value;

use crate::receiver::{
    Batch, Coding, Credentials, Depth, Head, Item, Notes, Receiver, Refusals, Reply, Request, Route, Rule, Rules,
    SHARED, Settings, Settled, parse, read_value,
};

/// The data stream that takes events.
pub const TARGET_NAME: &str = "logs-scaidrive.audit-default";
/// An `Authorization` that is accepted.
pub const AUTHORIZATION_VALUE: &str = "ApiKey aWQ6c2VjcmV0";

/// A cluster on loopback.
pub type Elastic = Receiver<Bulk>;

/// What the target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A data stream, which only `create` may write to.
    DataStream,
    /// An index.
    Index,
}

/// The rules of the bulk interface.
#[derive(Debug)]
pub struct Bulk {
    authorizations: Credentials,
    target: Target,
    stored: Mutex<HashSet<String>>,
}

const BULK: &str = "Elasticsearch and OpenSearch, Bulk API";

/// How it is addressed.
pub const TARGET: Rule = Rule::new("POST /{target}/_bulk", BULK);
/// Who writes.
pub const AUTHORIZATION: Rule =
    Rule::new("an Authorization", "Elasticsearch, Token-based authentication services; OpenSearch, API keys");
/// Lines.
pub const CONTENT_TYPE: Rule = Rule::new("Content-Type: application/x-ndjson", BULK);
/// Ended lines.
pub const LAST_NEWLINE: Rule = Rule::new("the last line ends with a newline", BULK);
/// Two lines each.
pub const LINES: Rule = Rule::new("an action line and a document line for each event", BULK);
/// A data stream appends.
pub const CREATE_ONLY: Rule =
    Rule::new("only create writes to a data stream", "Elasticsearch, Use a data stream: add documents");
/// 512 bytes.
pub const ID_SIZE: Rule =
    Rule::new("an _id of at most 512 bytes", "OpenSearch 2.9, Bulk API: _id; Elasticsearch, _id field");
/// When.
pub const TIMESTAMP: Rule =
    Rule::new("an @timestamp that is a date", "Elasticsearch, Data streams: @timestamp is required");
/// One document.
pub const DOCUMENT: Rule = Rule::new("a JSON object in which no name is there twice", BULK);
/// No refresh.
pub const NO_REFRESH: Rule = Rule::new("no refresh parameter", "our own rule; Elasticsearch, Tune for indexing speed");
/// 100 MB.
pub const BODY_SIZE: Rule =
    Rule::new("a body of at most 100 MB", "Elasticsearch, HTTP settings: http.max_content_length");

const REFRESH: &str = "_refresh";
const SEARCH: &str = "_search";
const BODY_MAX: usize = 100 * 1024 * 1024;
const ID_MAX: usize = 512;

impl Elastic {
    /// Starts a cluster that knows [`AUTHORIZATION_VALUE`].
    pub fn start(target: Target, settings: Settings) -> Elastic {
        let authorizations = Credentials::of(AUTHORIZATION_VALUE);
        Receiver::open(Bulk { authorizations, target, stored: Mutex::default() }, settings)
    }
}

/// One operation of a bulk body.
struct Operation<'a> {
    op: String,
    id: Option<String>,
    document: &'a [u8],
    /// Why it fails by itself.
    flaw: Option<(Rule, &'static str, String)>,
}

impl Bulk {
    /// The `Authorization` values that are accepted.
    pub fn authorizations(&self) -> &Credentials {
        &self.authorizations
    }

    /// How many documents there are under an identifier.
    pub fn document_count(&self) -> usize {
        self.stored.lock().expect("no holder panics").len()
    }

    /// Splits a body; what makes the whole of it unreadable is an error.
    fn operations<'a>(&self, body: &'a [u8]) -> Result<Vec<Operation<'a>>, (Rule, String)> {
        let Some(body) = body.strip_suffix(b"\n") else { return Err((LAST_NEWLINE, "none".to_owned())) };
        let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
        let mut operations = Vec::with_capacity(lines.len() / 2);
        for pair in lines.chunks(2) {
            let [action, document] = pair else { return Err((LINES, "an action without a document".to_owned())) };
            let action = parse(action).map_err(|error| (LINES, error.to_string()))?;
            let (op, parameters) = match action.as_object().map(|members| members.iter().collect::<Vec<_>>()).as_deref()
            {
                Some([(op, parameters)]) if matches!(op.as_str(), "create" | "index") => {
                    ((*op).clone(), (*parameters).clone())
                }
                _ => return Err((LINES, action.to_string())),
            };
            let id = parameters["_id"].as_str().map(str::to_owned);
            if id.as_ref().is_some_and(|id| id.len() > ID_MAX || id.is_empty()) {
                return Err((ID_SIZE, format!("{:?} bytes", id.map(|id| id.len()))));
            }
            let flaw = self.flaw(&op, document);
            operations.push(Operation { op, id, document, flaw });
        }
        Ok(operations)
    }

    fn flaw(&self, op: &str, document: &[u8]) -> Option<(Rule, &'static str, String)> {
        let parsed = match parse(document) {
            Ok(parsed) if parsed.is_object() => parsed,
            Ok(_) => return Some((DOCUMENT, "document_parsing_exception", "no object".to_owned())),
            Err(error) => return Some((DOCUMENT, "document_parsing_exception", error.to_string())),
        };
        if self.target == Target::Index {
            return None;
        }
        if op != "create" {
            let reason = "only write ops with an op_type of create are allowed in data streams";
            return Some((CREATE_ONLY, "illegal_argument_exception", reason.to_owned()));
        }
        let time = parsed["@timestamp"].as_str().map(str::parse::<jiff::Timestamp>);
        if !matches!(time, Some(Ok(_))) {
            let reason =
                format!("data stream timestamp field [@timestamp] is missing or no date: {}", parsed["@timestamp"]);
            return Some((TIMESTAMP, "document_parsing_exception", reason));
        }
        None
    }

    /// The status of one operation, with the error's type and reason.
    fn store(&self, operation: &Operation<'_>, refused: Option<u16>) -> (u16, Option<(&'static str, String)>) {
        if let Some((_, kind, reason)) = &operation.flaw {
            return (400, Some((kind, reason.clone())));
        }
        if let Some(status) = refused.filter(|status| *status != FAILURE_STORE) {
            return (status, Some((item_error(status), "refused on request of the test".to_owned())));
        }
        let Some(id) = &operation.id else { return (201, None) };
        if refused == Some(FAILURE_STORE) {
            return (201, None);
        }
        let is_new = self.stored.lock().expect("no holder panics").insert(id.clone());
        match (is_new, operation.op.as_str()) {
            (true, _) => (201, None),
            (false, "index") => (200, None),
            (false, _) => {
                let reason = format!("[{id}]: version conflict, document already exists (current version [1])");
                (409, Some(("version_conflict_engine_exception", reason)))
            }
        }
    }
}

/// Under this status a refused item is stored, but in the failure store.
const FAILURE_STORE: u16 = 201;

fn item_error(status: u16) -> &'static str {
    match status {
        400 => "document_parsing_exception",
        401 | 403 => "security_exception",
        404 => "index_not_found_exception",
        429 => "es_rejected_execution_exception",
        _ => "unavailable_shards_exception",
    }
}

fn refusal(status: u16, kind: &str, reason: &str) -> Reply {
    let error = serde_json::json!({ "error": { "type": kind, "reason": reason }, "status": status });
    Reply::json(status, error.to_string())
}

impl Rules for Bulk {
    fn name(&self) -> &'static str {
        "elastic"
    }

    fn codings(&self) -> &'static [Coding] {
        &[Coding::Gzip]
    }

    fn body_limit(&self) -> Option<(usize, Rule)> {
        Some((BODY_MAX, BODY_SIZE))
    }

    fn answer(&self, status: u16) -> Reply {
        let kind = match status {
            401 | 403 => "security_exception",
            404 => "index_not_found_exception",
            413 => return Reply::empty(413),
            429 => "circuit_breaking_exception",
            502 | 504 => return Reply::text(status, "upstream"),
            503 => "master_not_discovered_exception",
            500 => "exception",
            _ => "illegal_argument_exception",
        };
        refusal(status, kind, "refused")
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        match head.header("authorization") {
            None => {
                notes.breach(AUTHORIZATION, "none");
                return Err(self.answer(401));
            }
            Some(given) if !self.authorizations.accepts(given) => return Err(self.answer(401)),
            Some(_) => {}
        }
        if head.method == "GET" && head.path == "/" {
            let body = r#"{"version":{"number":"2.19.0","distribution":"opensearch"},"tagline":"a stand-in"}"#;
            return Err(Reply::json(200, body));
        }
        let is_question = [REFRESH, SEARCH].iter().any(|what| head.path == format!("/{TARGET_NAME}/{what}"));
        if head.method == "POST" && is_question {
            return Ok(Route::Query);
        }
        if head.method != "POST" || head.path != format!("/{TARGET_NAME}/_bulk") {
            notes.breach(TARGET, format!("{} {}", head.method, head.path));
            return Err(self.answer(404));
        }
        if head.media_type().as_deref() != Some("application/x-ndjson") {
            notes.breach(CONTENT_TYPE, format!("{:?}", head.header("content-type")));
            return Err(self.answer(406));
        }
        if head.parameter("refresh").is_some() {
            notes.breach(NO_REFRESH, &head.query);
        }
        Ok(Route::Events)
    }

    /// Finds documents by their identifiers, which is all that is asked here.
    fn query(&self, request: &Request, _: &mut Notes) -> Reply {
        if request.head.path.ends_with(REFRESH) {
            return Reply::json(200, r#"{"_shards":{"total":1,"successful":1,"failed":0}}"#);
        }
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let stored = self.stored.lock().expect("no holder panics");
        let found = stored.iter().filter(|id| text.contains(&format!("[\"{id}\"]")));
        let hits: Vec<Value> = found.map(|id| serde_json::json!({ "_id": id })).collect();
        Reply::json(200, serde_json::json!({ "hits": { "hits": hits } }).to_string())
    }

    fn read<'a>(&self, request: &'a Request, _: Depth, notes: &mut Notes) -> Batch<'a> {
        let operations = match self.operations(&request.body) {
            Ok(operations) => operations,
            Err((rule, found)) => {
                notes.breach(rule, &found);
                return Batch::refused(refusal(400, "illegal_argument_exception", &found));
            }
        };
        let mut items = Vec::with_capacity(operations.len());
        for operation in operations {
            if let Some((rule, _, found)) = &operation.flaw {
                notes.breach(*rule, found);
            }
            let id = operation.id.map(Cow::Owned);
            let bare =
                Item { event: Cow::Borrowed(operation.document), document: None, key: None, stream: None, n: None };
            let item = match parse(operation.document) {
                Ok(document @ Value::Object(_)) => read_value(operation.document, &document, &SHARED, notes),
                _ => bare,
            };
            items.push(Item { document: id, ..item });
        }
        Batch { items, stop: None }
    }

    fn settle(&self, request: &Request, items: &[Item<'_>], refusals: &Refusals<'_>) -> Settled {
        let operations = self.operations(&request.body).expect("only what could be read is settled");
        let mut answers = Vec::with_capacity(items.len());
        let mut taken = Vec::with_capacity(items.len());
        let mut has_errors = false;
        for (operation, item) in operations.iter().zip(items) {
            let refused = refusals.holds(item).then_some(refusals.status);
            let (status, error) = self.store(operation, refused);
            has_errors |= error.is_some();
            taken.push(status == 201 && refused.is_none());
            let mut answer = serde_json::json!({ "_id": operation.id, "status": status });
            if let Some((kind, reason)) = error {
                answer["error"] = serde_json::json!({ "type": kind, "reason": reason });
            } else if refused.is_some() {
                answer["failure_store"] = "used".into();
            }
            answers.push(serde_json::json!({ operation.op.clone(): answer }));
        }
        let body = serde_json::json!({ "took": 1, "errors": has_errors, "items": answers });
        Settled { reply: Reply::json(200, body.to_string()), taken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::post_once;
    use crate::receiver::{Fault, Predicate};

    const HEADERS: &[(&str, &str)] =
        &[("User-Agent", "test"), ("Authorization", AUTHORIZATION_VALUE), ("Content-Type", "application/x-ndjson")];

    fn pair(count: u32) -> String {
        let key = crate::generator::Key { run: 1, tenant: 2, count };
        format!(
            "{{\"create\":{{\"_id\":\"s-{count}\"}}}}\n{{\"siem\":{{\"node\":\"a\",\"stream\":\"s\",\"n\":{}}},\"@timestamp\":\"2026-05-12T14:23:01Z\",\"event_id\":\"{}\",\"tenant_id\":\"{}\"}}\n",
            count + 1,
            key.event_id(),
            key.tenant_id()
        )
    }

    fn send(receiver: &Elastic, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let path = format!("/{TARGET_NAME}/_bulk?filter_path=took,errors,items.*.status");
        let reply = post_once(receiver.address(), &path, headers, body.as_bytes()).unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
    }

    fn statuses(reply: &Value) -> Vec<u64> {
        let items = reply["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn a_document_that_is_there_answers_409_and_arrives_once() {
        let receiver = Elastic::start(Target::DataStream, Settings::default());
        let (status, reply) = send(&receiver, HEADERS, &(pair(0) + &pair(1)));
        assert_eq!((status, reply["errors"].as_bool(), statuses(&reply)), (200, Some(false), vec![201, 201]));
        let (_, reply) = send(&receiver, HEADERS, &(pair(1) + &pair(2)));
        assert_eq!((reply["errors"].as_bool(), statuses(&reply)), (Some(true), vec![409, 201]));
        assert_eq!((receiver.count(), receiver.rules().document_count()), (3, 3));
        receiver.assert_no_violations();
    }

    #[test]
    fn items_are_refused_one_by_one() {
        let receiver = Elastic::start(Target::DataStream, Settings::default());
        let batch = pair(0) + &pair(1) + &pair(2);
        let refuse = |status| Fault::RefuseItems { when: Predicate::contains("-00000001\""), status };
        receiver.set_fault_times(1, Fault::poison("-00000001\""));
        assert_eq!(statuses(&send(&receiver, HEADERS, &batch).1), [201, 400, 201]);
        receiver.set_fault_times(1, refuse(429));
        let (_, reply) = send(&receiver, HEADERS, &batch);
        assert_eq!(statuses(&reply), [409, 429, 409]);
        assert_eq!(reply["items"][1]["create"]["error"]["type"], "es_rejected_execution_exception");
        receiver.set_fault_times(1, refuse(201));
        assert_eq!(send(&receiver, HEADERS, &batch).1["items"][1]["create"]["failure_store"], "used");
        assert_eq!(receiver.count(), 2);
        assert_eq!(statuses(&send(&receiver, HEADERS, &batch).1), [409, 201, 409]);
        assert_eq!(receiver.count(), 3);
        receiver.assert_no_violations();
    }

    #[test]
    fn each_broken_rule_is_named() {
        let broken = |headers: &[(&str, &str)], body: &str| {
            let receiver = Elastic::start(Target::DataStream, Settings::default());
            let (status, reply) = send(&receiver, headers, body);
            let items = reply["items"].as_array().map(|_| statuses(&reply)).unwrap_or_default();
            (status, items, receiver.violations().first().map(|violation| violation.rule))
        };
        let good = pair(0);
        assert_eq!(broken(&HEADERS[..2], &good), (406, vec![], Some(CONTENT_TYPE)));
        assert_eq!(broken(&[HEADERS[0], HEADERS[2]], &good), (401, vec![], Some(AUTHORIZATION)));
        assert_eq!(broken(HEADERS, good.trim_end()), (400, vec![], Some(LAST_NEWLINE)));
        assert_eq!(broken(HEADERS, &format!("{good}{{\"create\":{{}}}}\n")), (400, vec![], Some(LINES)));
        assert_eq!(broken(HEADERS, &good.replace("s-0", &"x".repeat(513))), (400, vec![], Some(ID_SIZE)));
        assert_eq!(broken(HEADERS, &good.replace("create", "index")), (200, vec![400], Some(CREATE_ONLY)));
        assert_eq!(broken(HEADERS, &good.replace("@timestamp", "time")), (200, vec![400], Some(TIMESTAMP)));
        assert_eq!(broken(HEADERS, "{\"create\":{}}\n{\n"), (200, vec![400], Some(DOCUMENT)));
        assert_eq!(broken(HEADERS, &good), (200, vec![201], None));
    }
}
