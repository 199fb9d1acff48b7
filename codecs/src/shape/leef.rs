//! The Log Event Extended Format 2.0, which QRadar reads.
//!
//! `LEEF:2.0|vendor|product|version|event id|x09|`, then `key=value` with tabs between. The format has no escapes at all,
//! so what would end a value or a line is exchanged: control characters become spaces, and `|` in the header an underscore.
//! A tab between keys can therefore never stand in a value.
//!
//! The payload and members that no field knows are JSON text in keys of their own. What is cut says so in `truncated`.
//!
//! Source: "QRadar DSM Configuration Guide", chapters "LEEF event components" and "Predefined LEEF event attributes".

use super::glue::Glue;
use super::text::{Dialect, Exchange, Key, Value, outcome, reason, utf8_prefix, write_exchanged, write_keys};
use super::{Address, MAPPING_VERSION, PRODUCT, Seen, VENDOR};
use crate::event::Field;
use crate::time::write_leef;

/// Appends an event. `buffer` is used for values with escapes.
pub(super) fn write(seen: &Seen<'_>, buffer: &mut String, out: &mut Vec<u8>) {
    HEADER.write(out);
    let action = seen.event.meaning(Field::Action, buffer).unwrap_or_default();
    const EXCHANGED: [Exchange; 1] = [(b'|', b"_")];
    write_exchanged(utf8_prefix(action, EVENT_ID_MAX), [b'|'], &EXCHANGED, out);
    out.extend_from_slice(b"|x09|");
    write_keys::<Leef>(ATTRIBUTES, seen, buffer, out);
}

static HEADER: Glue = Glue::new(["LEEF:2.0|", VENDOR, "|", PRODUCT, "|", MAPPING_VERSION, "|"]);

const fn key(key: &str, max: usize, value: Value) -> Key {
    Key::new("\t", key, max, value)
}

struct Leef;

impl Dialect for Leef {
    #[inline]
    fn write(text: &[u8], out: &mut Vec<u8>) {
        write_exchanged(text, [], &[], out);
    }
}

/// The predefined attributes, then our own, which QRadar has to be told about.
const ATTRIBUTES: &[Key] = &[
    key("devTime", 0, Value::Time(write_leef)),
    key("devTimeFormat", 0, Value::Chosen(|_| "MMM dd yyyy HH:mm:ss.SSS z")),
    key("cat", 0, Value::Field(Field::Category)),
    key("sev", 0, Value::Number(|seen| Some(u64::from(seen.event.severity().leef())))),
    key("src", 0, Value::FieldOf(|seen| seen.address_if(&[Address::V4, Address::V6]))),
    key("usrName", 255, Value::FieldOf(|seen| seen.who())),
    key("accountName", 255, Value::Field(Field::ServiceAccount)),
    key("resource", 0, Value::Field(Field::ResourcePath)),
    key("eventId", 0, Value::Field(Field::EventId)),
    key("tenantId", 0, Value::Field(Field::TenantId)),
    key("userId", 0, Value::Field(Field::UserId)),
    key("serviceAccount", 0, Value::Field(Field::ServiceAccount)),
    key("fileId", 0, Value::Field(Field::ResourceId)),
    key("sessionId", 0, Value::Field(Field::SessionId)),
    key("userAgent", 0, Value::Field(Field::UserAgent)),
    key("srcText", 0, Value::FieldOf(|seen| seen.address_if(&[Address::Other]))),
    key("outcome", 0, Value::Chosen(outcome)),
    key("reason", 0, Value::Written(reason)),
    key("action", 0, Value::FieldOf(action_changed_in_header)),
    key("siemNode", 0, Value::Other(|seen| seen.stamp().map(|stamp| stamp.node))),
    key("siemStream", 0, Value::Other(|seen| seen.stamp().map(|stamp| stamp.stream))),
    key("siemN", 0, Value::Number(|seen| Some(seen.stamp()?.n))),
    key("payload", 0, Value::Payload),
    key("unmapped", 0, Value::Unmapped),
    key("truncated", 0, Value::Cut),
];

/// The action, where the header may not have it as it is: there it is cut, and a `|` exchanged. An escape may stand for one.
fn action_changed_in_header(seen: &Seen<'_>) -> Option<Field> {
    let is_changed =
        |written: &[u8]| written.len() > EVENT_ID_MAX || written.iter().any(|byte| matches!(byte, b'|' | b'\\'));
    seen.text(Field::Action).filter(|written| is_changed(written)).map(|_| Field::Action)
}

/// Bytes of an event id.
const EVENT_ID_MAX: usize = 255;
