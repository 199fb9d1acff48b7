//! A request's body, read as Splunk reads it: object by object, stopping at the first bad one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::fault::Reply;
use super::rules::{Rule, Violation};
use crate::generator::Key;

/// One event of a body.
pub(super) struct Item<'a> {
    /// The bytes of `event`.
    pub(super) event: &'a [u8],
    pub(super) key: Option<Key>,
    pub(super) stream: Option<Cow<'a, str>>,
    pub(super) n: Option<u64>,
}

/// Where reading stopped.
pub(super) struct BadItem {
    pub(super) reply: Reply,
    pub(super) violation: Violation,
}

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

/// Undoes gzip, up to `limit` bytes and one more.
pub(super) fn gunzip(body: &[u8], limit: usize) -> Result<Vec<u8>, BadItem> {
    let mut plain = Vec::with_capacity(body.len().saturating_mul(4).min(limit));
    match MultiGzDecoder::new(body).take(limit as u64 + 1).read_to_end(&mut plain) {
        Ok(_) => Ok(plain),
        Err(error) => Err(bad(400, 6, "Invalid data format", Rule::GzipBody.broken(error.to_string()))),
    }
}

/// Reads the events up to the first bad one. With `deep`, also compares what stands beside an event with what stands in it.
pub(super) fn read_items(body: &[u8], deep: bool) -> (Vec<Item<'_>>, Option<BadItem>) {
    let mut items = Vec::new();
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return (items, Some(bad(400, 5, "No data", Rule::NotEmpty.broken("an empty body")))),
        Some(b'[') => return (items, Some(bad(400, 6, "Invalid data format", Rule::Concatenated.broken("an array")))),
        Some(_) => {}
    }
    for envelope in serde_json::Deserializer::from_slice(body).into_iter::<Envelope<'_>>() {
        let item = match envelope {
            Ok(envelope) => read_item(&envelope, deep),
            Err(error) => Err(bad(400, 6, "Invalid data format", Rule::Envelope.broken(error.to_string()))),
        };
        match item {
            Ok(item) => items.push(item),
            Err(mut stop) => {
                stop.reply.invalid_event = Some(items.len());
                return (items, Some(stop));
            }
        }
    }
    (items, None)
}

fn read_item<'a>(envelope: &Envelope<'a>, deep: bool) -> Result<Item<'a>, BadItem> {
    let event = match envelope.event.map(RawValue::get) {
        None | Some("null") => return Err(bad(400, 12, "Event field is required", Rule::EventPresent.broken("none"))),
        Some("\"\"") => return Err(bad(400, 13, "Event field cannot be blank", Rule::EventNotBlank.broken("\"\""))),
        Some(text) if text.len() > EVENT_SIZE_MAX => {
            return Err(bad(400, 6, "Invalid data format", Rule::EventSize.broken(format!("{} bytes", text.len()))));
        }
        Some(text) => text,
    };
    check_time(envelope.time)?;
    let metadata = [&envelope.host, &envelope.source, &envelope.sourcetype, &envelope.index];
    if metadata.iter().any(|value| value.as_deref() == Some("")) {
        return Err(bad(400, 6, "Invalid data format", Rule::Envelope.broken("empty metadata")));
    }
    let fields = read_fields(envelope.fields, deep)?;
    if deep {
        check_fields_match(event, &fields)?;
    }
    let n = fields.siem_n.map(|number| read_number(number.get()));
    Ok(Item {
        event: event.as_bytes(),
        key: fields.event_id.as_deref().and_then(Key::parse),
        stream: fields.siem_stream,
        n: n.transpose()?,
    })
}

fn check_time(time: Option<&RawValue>) -> Result<(), BadItem> {
    let Some(time) = time else {
        return Err(bad(400, 6, "Invalid data format", Rule::TimeInSeconds.broken("none")));
    };
    let seconds: Option<f64> = time.get().trim_matches('"').parse().ok();
    match seconds {
        Some(seconds) if seconds > 0.0 && seconds < SECONDS_MAX => Ok(()),
        _ => Err(bad(400, 6, "Invalid data format", Rule::TimeInSeconds.broken(time.get()))),
    }
}

fn read_fields<'a>(fields: Option<&'a RawValue>, deep: bool) -> Result<Fields<'a>, BadItem> {
    let Some(fields) = fields else { return Ok(Fields::default()) };
    let not_flat = |found: String| bad(400, 15, "Error in handling indexed fields", Rule::FlatFields.broken(found));
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

fn check_fields_match(event: &str, fields: &Fields<'_>) -> Result<(), BadItem> {
    let mismatch = |found: String| bad(400, 6, "Invalid data format", Rule::FieldsMatchEvent.broken(found));
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

fn read_number(text: &str) -> Result<u64, BadItem> {
    text.trim_matches('"')
        .parse()
        .map_err(|_| bad(400, 6, "Invalid data format", Rule::FieldsMatchEvent.broken(format!("siem_n is {text}"))))
}

fn bad(status: u16, code: u16, text: &'static str, violation: Violation) -> BadItem {
    BadItem { reply: Reply::new(status, code, text), violation }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule_of(body: &str) -> Option<Rule> {
        read_items(body.as_bytes(), true).1.map(|stop| stop.violation.rule)
    }

    const GOOD: &str = r#"{"time":1778595781.453,"host":"h","source":"s","sourcetype":"scaidrive:audit","event":{"event_id":"gen-00000001-00002-00000003","tenant_id":"t"},"fields":{"event_id":"gen-00000001-00002-00000003","tenant_id":"t","siem_node":"n","siem_stream":"abc","siem_n":7}}"#;

    #[test]
    fn a_correct_body_is_read() {
        let body = format!("{GOOD}{GOOD}\n{GOOD}");
        let (items, stop) = read_items(body.as_bytes(), true);
        assert!(stop.is_none());
        assert_eq!(items.len(), 3);
        assert_eq!(items[0].key, Some(Key { run: 1, tenant: 2, count: 3 }));
        assert_eq!((items[0].stream.as_deref(), items[0].n), (Some("abc"), Some(7)));
        assert_eq!(items[0].event, br#"{"event_id":"gen-00000001-00002-00000003","tenant_id":"t"}"#);
    }

    #[test]
    fn each_broken_rule_is_named() {
        let cases: &[(&str, &str, Rule)] = &[
            ("", "", Rule::NotEmpty),
            ("{\"time\"", "[{\"time\"", Rule::Concatenated),
            ("\"host\":\"h\"", "\"hots\":\"h\"", Rule::Envelope),
            ("\"host\":\"h\"", "\"host\":\"h\",\"host\":\"h\"", Rule::Envelope),
            ("\"host\":\"h\"", "\"host\":\"\"", Rule::Envelope),
            ("1778595781.453", "1778595781453", Rule::TimeInSeconds),
            ("1778595781.453", "\"yesterday\"", Rule::TimeInSeconds),
            ("\"siem_node\":\"n\"", "\"siem_node\":{\"n\":1}", Rule::FlatFields),
            ("\"tenant_id\":\"t\",\"siem_node\"", "\"tenant_id\":\"u\",\"siem_node\"", Rule::FieldsMatchEvent),
            ("\"siem_n\":7", "\"siem_n\":\"x\"", Rule::FieldsMatchEvent),
        ];
        for (from, to, rule) in cases {
            let body = if from.is_empty() { String::new() } else { GOOD.replacen(from, to, 1) };
            assert_eq!(rule_of(&body), Some(*rule), "{body}");
        }
        assert_eq!(rule_of(r#"{"time":1}"#), Some(Rule::EventPresent));
        assert_eq!(rule_of(r#"{"time":1,"event":""}"#), Some(Rule::EventNotBlank));
        assert_eq!(rule_of(r#"{"event":{}}"#), Some(Rule::TimeInSeconds));
        assert_eq!(rule_of(GOOD), None);
    }

    #[test]
    fn a_bad_event_keeps_those_before_it_and_is_numbered_from_zero() {
        let body = format!("{GOOD}{GOOD}{{\"time\":1}}{GOOD}");
        let (items, stop) = read_items(body.as_bytes(), true);
        assert_eq!(items.len(), 2);
        assert_eq!(stop.unwrap().reply.invalid_event, Some(2));
    }
}
