//! The Common Event Format, version 0: a line that ArcSight, Sentinel's `CommonSecurityLog`, QRadar and most others read.
//!
//! `CEF:0|vendor|product|version|class id|name|severity|extension`, the extension being `key=value` with spaces between.
//! In the header `|` and `\` are escaped; in values `=`, `\`, and line breaks as `\n` and `\r`; keys never. What receivers
//! lose or cannot keep is exchanged before: spaces at the ends of a value go, other control characters become spaces.
//!
//! `src` is for IPv4 only; an IPv6 address goes to `c6a2`, and what is no address to `shost`. A value that is longer than
//! its key takes is cut at a character, the payload between two members, and `flexString1` then says `true`. An `event_id`
//! is never cut: receivers that keep 40 characters of it do that themselves.
//!
//! Source: "ArcSight Common Event Format (CEF) Implementation Standard", version 27.

use super::glue::Glue;
use super::text::{Dialect, Exchange, Key, Value, outcome, reason, utf8_prefix, write_exchanged, write_keys};
use super::{Address, MAPPING_VERSION, PRODUCT, Seen, VENDOR};
use crate::event::Field;
use crate::json::write_number;

/// Appends an event. `buffer` is used for values with escapes.
pub(super) fn write(seen: &Seen<'_>, buffer: &mut String, out: &mut Vec<u8>) {
    HEADER.write(out);
    let action = seen.event.meaning(Field::Action, buffer).unwrap_or_default();
    write_header(utf8_prefix(action, CLASS_ID_MAX), out);
    out.push(b'|');
    out.extend_from_slice(seen.row.title.as_bytes());
    out.push(b'|');
    write_number(u64::from(seen.event.severity().cef()), out);
    out.push(b'|');
    write_keys::<Cef>(EXTENSION, seen, buffer, out);
}

static HEADER: Glue = Glue::new(["CEF:0|", VENDOR, "|", PRODUCT, "|", MAPPING_VERSION, "|"]);

const fn key(key: &str, max: usize, value: Value) -> Key {
    Key::new(" ", key, max, value)
}

const fn labelled(key: &str, label: &str, says: &str, max: usize, value: Value) -> Key {
    Key::new(" ", key, max, value).labelled(" ", label, says)
}

/// The keys in their order, with the bytes that each takes.
const EXTENSION: &[Key] = &[
    key("rt", 0, Value::Time(write_time)),
    key("externalId", 0, Value::Field(Field::EventId)),
    key("cat", 1023, Value::Field(Field::Category)),
    key("act", 63, Value::Field(Field::Action)),
    key("outcome", 0, Value::Chosen(outcome)),
    key("reason", 1023, Value::Written(reason)),
    key("suid", 1023, Value::Field(Field::UserId)),
    key("suser", 1023, Value::FieldOf(user)),
    key("src", 0, Value::FieldOf(|seen| seen.address_if(&[Address::V4]))),
    labelled("c6a2", "c6a2Label", "Source IPv6 Address", 0, Value::FieldOf(|seen| seen.address_if(&[Address::V6]))),
    key("shost", 1023, Value::FieldOf(|seen| seen.address_if(&[Address::Other]))),
    key("filePath", 1023, Value::Field(Field::ResourcePath)),
    key("fname", 1023, Value::Written(file_name)),
    key("fileId", 1023, Value::Field(Field::ResourceId)),
    key("requestClientApplication", 1023, Value::Field(Field::UserAgent)),
    labelled("cs1", "cs1Label", "tenantId", 4000, Value::Field(Field::TenantId)),
    labelled("cs2", "cs2Label", "serviceAccount", 4000, Value::Field(Field::ServiceAccount)),
    labelled("cs3", "cs3Label", "sessionId", 4000, Value::Field(Field::SessionId)),
    key("dvchost", 100, Value::Other(|seen| seen.stamp().map(|stamp| stamp.node))),
    labelled("cs5", "cs5Label", "siemStream", 4000, Value::Other(|seen| seen.stamp().map(|stamp| stamp.stream))),
    labelled("cn1", "cn1Label", "siemN", 0, Value::Number(|seen| Some(seen.stamp()?.n))),
    labelled("cs4", "cs4Label", "payload", 4000, Value::Payload),
    labelled("cs6", "cs6Label", "unmapped", 4000, Value::Unmapped),
    labelled("flexString1", "flexString1Label", "truncated", 0, Value::Cut),
];

/// The person by address; an account that acts alone.
fn user(seen: &Seen<'_>) -> Option<Field> {
    let account = || if seen.person().is_some() { None } else { Some(Field::ServiceAccount) };
    seen.filled(Field::UserEmail).or_else(account)
}

fn file_name<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    seen.file_name()
}

fn write_time(epoch_ms: i64, out: &mut Vec<u8>) {
    if epoch_ms < 0 {
        out.push(b'-');
    }
    write_number(epoch_ms.unsigned_abs(), out);
}

fn write_header(text: &[u8], out: &mut Vec<u8>) {
    const EXCHANGED: [Exchange; 2] = [(b'|', b"\\|"), (b'\\', b"\\\\")];
    write_exchanged(text, [b'|', b'\\'], &EXCHANGED, out);
}

struct Cef;

impl Dialect for Cef {
    #[inline]
    fn write(text: &[u8], out: &mut Vec<u8>) {
        const EXCHANGED: [Exchange; 4] = [(b'=', b"\\="), (b'\\', b"\\\\"), (b'\n', b"\\n"), (b'\r', b"\\r")];
        write_exchanged(text, [b'=', b'\\'], &EXCHANGED, out);
    }
}

/// Bytes of a class id.
const CLASS_ID_MAX: usize = 1023;
