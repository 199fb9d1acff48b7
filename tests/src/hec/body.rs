//! A request's body, read as Splunk reads it: object by object, stopping at the first bad one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{reply, reply_naming, rules};
use crate::generator::Key;
use crate::receiver::{Depth, Item, Reply, Rule};

/// Where reading stopped.
pub(super) struct Stop {
    pub(super) reply: Reply,
    /// The events before it are indexed.
    pub(super) keeps_prefix: bool,
    /// What the sender did wrong; an index that the administrator does not allow is not its fault.
    pub(super) broken: Option<(Rule, String)>,
}

/// What is wrong with one event.
struct Bad {
    status: u16,
    code: u16,
    text: &'static str,
    broken: Option<(Rule, String)>,
}

const INVALID: &str = "Invalid data format";
const EVENT_SIZE_MAX: usize = 5 * 1024 * 1024;
/// The year 5138. What is larger was written in milliseconds.
const SECONDS_MAX: f64 = 1e11;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    host: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sourcetype: Option<Cow<'a, str>>,
    #[serde(borrow)]
    index: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    fields: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Fields<'a> {
    #[serde(borrow)]
    event_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tenant_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    siem_stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    siem_n: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct EventHead<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    tenant_id: Cow<'a, str>,
}

/// Reads the events up to the first bad one. In full depth, also compares what stands beside an event with what stands
/// in it. An index outside `indexes` fails the whole request.
pub(super) fn read_items<'a>(
    body: &'a [u8],
    depth: Depth,
    indexes: Option<&[String]>,
) -> (Vec<Item<'a>>, Option<Stop>) {
    let mut items = Vec::new();
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return (items, Some(bad(400, 5, "No data", rules::NOT_EMPTY, "an empty body").whole())),
        Some(b'[') => return (items, Some(bad(400, 6, INVALID, rules::CONCATENATED, "an array").whole())),
        Some(_) => {}
    }
    for envelope in serde_json::Deserializer::from_slice(body).into_iter::<Envelope<'_>>() {
        let item = match envelope {
            Ok(envelope) if !is_allowed(envelope.index.as_deref(), indexes) => {
                // The number that the index check reports begins at 1, unlike the others.
                let reply = reply_naming(400, 7, "Incorrect index", items.len() + 1);
                return (items, Some(Stop { reply, keeps_prefix: false, broken: None }));
            }
            Ok(envelope) => read_item(&envelope, depth == Depth::Full),
            Err(error) => Err(bad(400, 6, INVALID, rules::ENVELOPE, error.to_string())),
        };
        match item {
            Ok(item) => items.push(item),
            Err(bad) => {
                let reply = reply_naming(bad.status, bad.code, bad.text, items.len());
                return (items, Some(Stop { reply, keeps_prefix: true, broken: bad.broken }));
            }
        }
    }
    (items, None)
}

fn is_allowed(index: Option<&str>, indexes: Option<&[String]>) -> bool {
    match (index, indexes) {
        (Some(index), Some(indexes)) => indexes.iter().any(|allowed| allowed == index),
        _ => true,
    }
}

fn read_item<'a>(envelope: &Envelope<'a>, deep: bool) -> Result<Item<'a>, Bad> {
    let event = match envelope.event.map(RawValue::get) {
        None | Some("null") => return Err(bad(400, 12, "Event field is required", rules::EVENT_PRESENT, "none")),
        Some("\"\"") => return Err(bad(400, 13, "Event field cannot be blank", rules::EVENT_NOT_BLANK, "\"\"")),
        Some(text) if text.len() > EVENT_SIZE_MAX => {
            return Err(bad(400, 6, INVALID, rules::EVENT_SIZE, format!("{} bytes", text.len())));
        }
        Some(text) => text,
    };
    check_time(envelope.time)?;
    let metadata = [&envelope.host, &envelope.source, &envelope.sourcetype, &envelope.index];
    if metadata.iter().any(|value| value.as_deref() == Some("")) {
        return Err(bad(400, 6, INVALID, rules::ENVELOPE, "empty metadata"));
    }
    let fields = read_fields(envelope.fields, deep)?;
    if deep {
        check_fields_match(event, &fields)?;
    }
    let n = fields.siem_n.map(|number| read_number(number.get()));
    Ok(Item {
        event: Cow::Borrowed(event.as_bytes()),
        document: None,
        key: fields.event_id.as_deref().and_then(Key::parse),
        stream: fields.siem_stream,
        n: n.transpose()?,
    })
}

fn check_time(time: Option<&RawValue>) -> Result<(), Bad> {
    let Some(time) = time else {
        return Err(bad(400, 6, INVALID, rules::TIME, "none"));
    };
    let seconds: Option<f64> = time.get().trim_matches('"').parse().ok();
    match seconds {
        Some(seconds) if seconds > 0.0 && seconds < SECONDS_MAX => Ok(()),
        _ => Err(bad(400, 6, INVALID, rules::TIME, time.get())),
    }
}

fn read_fields<'a>(fields: Option<&'a RawValue>, deep: bool) -> Result<Fields<'a>, Bad> {
    let Some(fields) = fields else { return Ok(Fields::default()) };
    let not_flat = |found: String| bad(400, 15, "Error in handling indexed fields", rules::FLAT_FIELDS, found);
    if deep {
        let map: BTreeMap<String, Value> =
            serde_json::from_str(fields.get()).map_err(|error| not_flat(error.to_string()))?;
        if let Some((name, value)) = map.iter().find(|(_, value)| !is_flat(value)) {
            return Err(not_flat(format!("{name}: {value}")));
        }
    }
    serde_json::from_str(fields.get()).map_err(|error| not_flat(error.to_string()))
}

fn is_flat(value: &Value) -> bool {
    match value {
        Value::String(_) | Value::Number(_) => true,
        Value::Array(values) => values.iter().all(|value| value.is_string() || value.is_number()),
        Value::Null | Value::Bool(_) | Value::Object(_) => false,
    }
}

fn check_fields_match(event: &str, fields: &Fields<'_>) -> Result<(), Bad> {
    let mismatch = |found: String| bad(400, 6, INVALID, rules::FIELDS_MATCH, found);
    let head: EventHead<'_> = serde_json::from_str(event).map_err(|error| mismatch(error.to_string()))?;
    if fields.event_id.as_ref() != Some(&head.event_id) {
        return Err(mismatch(format!("event_id {:?} beside {:?}", fields.event_id, head.event_id)));
    }
    if fields.tenant_id.as_ref() != Some(&head.tenant_id) {
        return Err(mismatch(format!("tenant_id {:?} beside {:?}", fields.tenant_id, head.tenant_id)));
    }
    if fields.siem_n.is_some() != fields.siem_stream.is_some() && fields.siem_n.is_some() {
        return Err(mismatch("siem_n without siem_stream".to_owned()));
    }
    Ok(())
}

fn read_number(text: &str) -> Result<u64, Bad> {
    text.trim_matches('"').parse().map_err(|_| bad(400, 6, INVALID, rules::FIELDS_MATCH, format!("siem_n is {text}")))
}

fn bad(status: u16, code: u16, text: &'static str, rule: Rule, found: impl Into<String>) -> Bad {
    Bad { status, code, text, broken: Some((rule, found.into())) }
}

impl Bad {
    /// The body as a whole is bad.
    fn whole(self) -> Stop {
        Stop { reply: reply(self.status, self.code, self.text), keeps_prefix: false, broken: self.broken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule_of(body: &str) -> Option<Rule> {
        read_items(body.as_bytes(), Depth::Full, None).1.and_then(|stop| stop.broken).map(|(rule, _)| rule)
    }

    const GOOD: &str = r#"{"time":1778595781.453,"host":"h","source":"s","sourcetype":"scaidrive:audit","event":{"event_id":"gen-00000001-00002-00000003","tenant_id":"t"},"fields":{"event_id":"gen-00000001-00002-00000003","tenant_id":"t","siem_node":"n","siem_stream":"abc","siem_n":7}}"#;

    #[test]
    fn a_correct_body_is_read() {
        let body = format!("{GOOD}{GOOD}\n{GOOD}");
        let (items, stop) = read_items(body.as_bytes(), Depth::Full, None);
        assert!(stop.is_none());
        assert_eq!(items.len(), 3);
        assert_eq!(items[0].key, Some(Key { run: 1, tenant: 2, count: 3 }));
        assert_eq!((items[0].stream.as_deref(), items[0].n), (Some("abc"), Some(7)));
        assert_eq!(items[0].event.as_ref(), br#"{"event_id":"gen-00000001-00002-00000003","tenant_id":"t"}"#);
    }

    #[test]
    fn each_broken_rule_is_named() {
        let cases: &[(&str, &str, Rule)] = &[
            ("", "", rules::NOT_EMPTY),
            ("{\"time\"", "[{\"time\"", rules::CONCATENATED),
            ("\"host\":\"h\"", "\"hots\":\"h\"", rules::ENVELOPE),
            ("\"host\":\"h\"", "\"host\":\"h\",\"host\":\"h\"", rules::ENVELOPE),
            ("\"host\":\"h\"", "\"host\":\"\"", rules::ENVELOPE),
            ("1778595781.453", "1778595781453", rules::TIME),
            ("1778595781.453", "\"yesterday\"", rules::TIME),
            ("\"siem_node\":\"n\"", "\"siem_node\":{\"n\":1}", rules::FLAT_FIELDS),
            ("\"tenant_id\":\"t\",\"siem_node\"", "\"tenant_id\":\"u\",\"siem_node\"", rules::FIELDS_MATCH),
            ("\"siem_n\":7", "\"siem_n\":\"x\"", rules::FIELDS_MATCH),
        ];
        for (from, to, rule) in cases {
            let body = if from.is_empty() { String::new() } else { GOOD.replacen(from, to, 1) };
            assert_eq!(rule_of(&body), Some(*rule), "{body}");
        }
        assert_eq!(rule_of(r#"{"time":1}"#), Some(rules::EVENT_PRESENT));
        assert_eq!(rule_of(r#"{"time":1,"event":""}"#), Some(rules::EVENT_NOT_BLANK));
        assert_eq!(rule_of(r#"{"event":{}}"#), Some(rules::TIME));
        assert_eq!(rule_of(GOOD), None);
    }

    #[test]
    fn a_bad_event_keeps_those_before_it_and_is_numbered_from_zero() {
        let body = format!("{GOOD}{GOOD}{{\"time\":1}}{GOOD}");
        let (items, stop) = read_items(body.as_bytes(), Depth::Full, None);
        assert_eq!(items.len(), 2);
        let stop = stop.unwrap();
        assert!(stop.keeps_prefix && stop.reply.body.contains("\"invalid-event-number\":2"), "{}", stop.reply.body);
    }
}
