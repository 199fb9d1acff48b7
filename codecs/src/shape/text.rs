//! What the two text formats have in common: a header, then keys with values, from a table.

use super::{Address, Seen};
use crate::catalogue::{Fact, Outcome};
use crate::event::Field;
use crate::json::{unescaped, write_number};
use crate::members::has_only_fields;

/// A key of a text format, and what it is filled from.
pub(super) struct Key {
    pub(super) key: &'static str,
    /// Another key that says what this one means, and its value.
    pub(super) label: Option<(&'static str, &'static str)>,
    /// Bytes that a value may have; 0 for no limit.
    pub(super) max: usize,
    pub(super) value: Value,
}

/// What a key is filled from.
pub(super) enum Value {
    /// A field.
    Field(Field),
    /// Some text, as written in the event.
    Written(for<'a> fn(&Seen<'a>) -> Option<&'a [u8]>),
    /// A word that depends on the event; empty for nothing.
    Chosen(fn(&Seen<'_>) -> &'static str),
    /// A text that is not the event's.
    Other(for<'a> fn(&Seen<'a>) -> Option<&'a str>),
    /// A number.
    Number(fn(&Seen<'_>) -> Option<u64>),
    /// The event's time, in whatever way the format has.
    Time(fn(i64, &mut Vec<u8>)),
    /// The payload's JSON.
    Payload,
    /// An object of the members that no field knows.
    Unmapped,
    /// What was cut, if anything: the word is the same for all.
    Cut,
}

pub(super) const fn key(key: &'static str, max: usize, value: Value) -> Key {
    Key { key, label: None, max, value }
}

pub(super) const fn labelled(
    key: &'static str,
    label: &'static str,
    says: &'static str,
    max: usize,
    value: Value,
) -> Key {
    Key { key, label: Some((label, says)), max, value }
}

/// Appends text that is not escaped as the format wants it.
pub(super) type WriteText = fn(&str, &mut Vec<u8>);

/// How the values of a format are written.
pub(super) struct Dialect {
    /// Between two keys.
    pub(super) separator: u8,
    /// Appends a value.
    pub(super) write: WriteText,
}

impl Dialect {
    /// Appends those keys of the table that have something to say. `buffer` is used for values with escapes.
    pub(super) fn write_keys(&self, keys: &[Key], seen: &Seen<'_>, buffer: &mut String, out: &mut Vec<u8>) {
        let mut is_cut = seen.is_cut();
        let mut is_first = true;
        for Key { key, label, max, value } in keys {
            let before = out.len();
            if !is_first {
                out.push(self.separator);
            }
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            let start = out.len();
            is_cut |= self.write_value(value, *max, is_cut, seen, buffer, out);
            if out.len() == start {
                out.truncate(before);
                continue;
            }
            is_first = false;
            if let Some((label, says)) = label {
                out.push(self.separator);
                out.extend_from_slice(label.as_bytes());
                out.push(b'=');
                out.extend_from_slice(says.as_bytes());
            }
        }
    }

    /// Appends a value, and says whether it was cut.
    fn write_value(
        &self,
        value: &Value,
        max: usize,
        is_cut: bool,
        seen: &Seen<'_>,
        buffer: &mut String,
        out: &mut Vec<u8>,
    ) -> bool {
        match value {
            Value::Field(field) => self.write_written(seen.text(*field), max, buffer, out),
            Value::Written(find) => self.write_written(find(seen), max, buffer, out),
            Value::Chosen(choose) => {
                out.extend_from_slice(choose(seen).as_bytes());
                false
            }
            Value::Other(find) => self.write_text(find(seen).unwrap_or_default(), max, out),
            Value::Number(find) => {
                if let Some(number) = find(seen) {
                    write_number(number, out);
                }
                false
            }
            Value::Time(write) => {
                write(seen.event.timestamp_ms(), out);
                false
            }
            Value::Payload => self.write_payload(seen, max, buffer, out),
            Value::Unmapped => self.write_unmapped(seen, max, buffer, out),
            Value::Cut => {
                if is_cut {
                    out.extend_from_slice(b"true");
                }
                false
            }
        }
    }

    /// Appends what a JSON string says.
    fn write_written(&self, written: Option<&[u8]>, max: usize, buffer: &mut String, out: &mut Vec<u8>) -> bool {
        let Some(written) = written else { return false };
        let text = std::str::from_utf8(written).unwrap_or_default();
        if memchr::memchr(b'\\', written).is_none() {
            return self.write_text(text, max, out);
        }
        buffer.clear();
        buffer.extend(unescaped(text));
        self.write_text(buffer, max, out)
    }

    fn write_text(&self, text: &str, max: usize, out: &mut Vec<u8>) -> bool {
        let kept = if max == 0 { text } else { &text[..text.floor_char_boundary(max)] };
        (self.write)(kept, out);
        kept.len() < text.len()
    }

    /// Appends the payload: whole, or its first members.
    fn write_payload(&self, seen: &Seen<'_>, max: usize, buffer: &mut String, out: &mut Vec<u8>) -> bool {
        let Some(kept) = seen.payload_within(max) else { return false };
        buffer.clear();
        for piece in seen.event.pieces(kept.range.clone()) {
            buffer.push_str(std::str::from_utf8(piece.bytes(seen.event.raw)).unwrap_or_default());
        }
        if kept.is_cut {
            buffer.push('}');
        }
        (self.write)(buffer, out);
        kept.is_cut
    }

    fn write_unmapped(&self, seen: &Seen<'_>, max: usize, buffer: &mut String, out: &mut Vec<u8>) -> bool {
        if has_only_fields(seen.event) {
            return false;
        }
        buffer.clear();
        let mut is_cut = false;
        for range in seen.unmapped() {
            let length: usize = seen.event.shown_len(range.clone());
            if max > 0 && buffer.len() + length + 2 > max {
                is_cut = true;
                continue;
            }
            buffer.push(if buffer.is_empty() { '{' } else { ',' });
            for piece in seen.event.pieces(range) {
                buffer.push_str(std::str::from_utf8(piece.bytes(seen.event.raw)).unwrap_or_default());
            }
        }
        if !buffer.is_empty() {
            buffer.push('}');
            (self.write)(buffer, out);
        }
        is_cut
    }
}

/// Appends text with some bytes exchanged. Every other control character becomes a space, so that no value ends a line or
/// speaks to a terminal; spaces at the ends go, because receivers lose them.
pub(super) fn write_exchanged(text: &str, exchanged: &[(u8, &[u8])], out: &mut Vec<u8>) {
    let mut rest = text.trim_matches(' ').as_bytes();
    let is_special =
        |byte: &u8| byte.is_ascii_control() || *byte == C1_LEAD || exchanged.iter().any(|(special, _)| special == byte);
    while let Some(plain) = rest.iter().position(is_special) {
        out.extend_from_slice(&rest[..plain]);
        rest = match &rest[plain..] {
            [C1_LEAD, 0x80..=0x9f, after @ ..] => {
                out.push(b' ');
                after
            }
            [byte, after @ ..] => {
                match exchanged.iter().find(|(special, _)| special == byte) {
                    Some((_, instead)) => out.extend_from_slice(instead),
                    None if byte.is_ascii_control() => out.push(b' '),
                    None => out.push(*byte),
                }
                after
            }
            [] => &[],
        };
    }
    out.extend_from_slice(rest);
}

/// `success` or `failure`, where that is known.
pub(super) fn outcome(seen: &Seen<'_>) -> &'static str {
    match seen.outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::Unknown => "",
    }
}

/// Why it failed, if that is a text.
pub(super) fn reason<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    seen.fact(Fact::Reason)?.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// The field `ip` if it holds one of these.
pub(super) fn ip_if<'a>(seen: &Seen<'a>, kinds: &[Address]) -> Option<&'a [u8]> {
    kinds.contains(&seen.address).then(|| seen.text(Field::Ip)).flatten()
}

/// In UTF-8 the control characters U+0080 to U+009F are this byte and one of 0x80 to 0x9f.
const C1_LEAD: u8 = 0xc2;
