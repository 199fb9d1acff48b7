//! A JSON shape as a table: objects, and in them what each member is filled from.
//!
//! The last object of a shape is its own root, where everything goes that the schema has no place for: what no field knows,
//! and the payload, borrowed from the log where it is long. A member that has nothing to say is left out, and an object
//! without members is too.

use super::{Address, Seen};
use crate::body::Body;
use crate::event::Field;
use crate::format::BORROW_MIN;
use crate::json::{write_number, write_string};
use crate::members::{has_only_fields, others, write_timestamp};

/// A JSON shape.
pub(super) struct JsonShape {
    /// What comes first.
    pub(super) members: &'static [Member],
    /// The key of the last member, an object.
    pub(super) root: &'static str,
    /// What comes first in it.
    pub(super) root_members: &'static [Member],
}

/// A key, and what is behind it.
pub(crate) struct Member {
    pub(super) key: &'static str,
    pub(super) value: Value,
}

/// What a member is filled from.
pub(super) enum Value {
    /// Members of an object.
    Object(&'static [Member]),
    /// A field, as written.
    Field(Field),
    /// Some text as written in the event.
    Written(for<'a> fn(&Seen<'a>) -> Option<&'a [u8]>),
    /// A fixed word, as a string.
    Word(&'static str),
    /// A word that depends on the event; empty for nothing.
    Chosen(fn(&Seen<'_>) -> &'static str),
    /// JSON text of its own; writes nothing for nothing.
    Json(fn(&Seen<'_>, &mut Vec<u8>)),
    /// A number.
    Number(fn(&Seen<'_>) -> Option<u64>),
    /// Members that are the same in every event, as they stand in the object.
    Fixed(&'static str),
    /// The event's time, as a string.
    Time(fn(&[u8]) -> bool),
}

pub(super) const fn member(key: &'static str, value: Value) -> Member {
    Member { key, value }
}

pub(super) const fn field(key: &'static str, field: Field) -> Member {
    Member { key, value: Value::Field(field) }
}

pub(super) const fn fixed(members: &'static str) -> Member {
    Member { key: "", value: Value::Fixed(members) }
}

impl JsonShape {
    /// Appends an event to an object that is open.
    pub(super) fn write(&self, seen: &Seen<'_>, body: &mut Body) {
        body.write_glue(|glue| write_members(self.members, seen, glue));
        self.write_root(seen, body);
    }

    /// Goes on behind the members: the root, what no field knows, the payload, and the closing braces.
    pub(super) fn write_root(&self, seen: &Seen<'_>, body: &mut Body) {
        body.write_glue(|glue| {
            write_key(self.root, glue);
            glue.push(b'{');
            write_members(self.root_members, seen, glue);
            if seen.is_cut() {
                write_key("truncated", glue);
                glue.extend_from_slice(b"true");
            }
        });
        self.lend_unknown(seen, body);
        lend_payload(seen, body);
        body.push_glue(b"}}");
    }

    fn lend_unknown(&self, seen: &Seen<'_>, body: &mut Body) {
        if has_only_fields(seen.event) {
            return;
        }
        let mut ranges = others(seen.event, |_| true);
        let Some(first) = ranges.next() else { return };
        body.write_glue(|glue| {
            write_key("unmapped", glue);
            glue.push(b'{');
        });
        seen.entry.lend(seen.event, first, body);
        for range in ranges {
            body.push_glue(b",");
            seen.entry.lend(seen.event, range, body);
        }
        body.push_glue(b"}");
    }
}

fn lend_payload(seen: &Seen<'_>, body: &mut Body) {
    let Some(kept) = seen.payload() else { return };
    body.write_glue(|glue| write_key("payload", glue));
    if kept.range.len() < BORROW_MIN {
        body.write_glue(|glue| seen.event.copy(kept.range.clone(), glue));
    } else {
        seen.entry.lend(seen.event, kept.range.clone(), body);
    }
    if kept.is_cut {
        body.push_glue(b"}");
    }
}

/// Appends those members that have something to say, with commas between them.
pub(super) fn write_members(members: &[Member], seen: &Seen<'_>, out: &mut Vec<u8>) {
    for Member { key, value } in members {
        if let Value::Fixed(text) = value {
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            out.extend_from_slice(text.as_bytes());
            continue;
        }
        let before = out.len();
        write_key(key, out);
        let start = out.len();
        write_value(value, seen, out);
        if out.len() == start {
            out.truncate(before);
        }
    }
}

fn write_value(value: &Value, seen: &Seen<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            out.push(b'{');
            let start = out.len();
            write_members(members, seen, out);
            if out.len() == start {
                out.pop();
            } else {
                out.push(b'}');
            }
        }
        Value::Field(field) => write_written(seen.text(*field), out),
        Value::Written(find) => write_written(find(seen), out),
        Value::Word(word) => write_word(word, out),
        Value::Chosen(choose) => write_word(choose(seen), out),
        Value::Json(write) => write(seen, out),
        Value::Number(find) => {
            if let Some(number) = find(seen) {
                write_number(number, out);
            }
        }
        Value::Fixed(_) => {}
        Value::Time(is_read) => write_timestamp(seen.event, *is_read, out),
    }
}

/// Appends a key with what stands before and behind it.
pub(super) fn write_key(key: &str, out: &mut Vec<u8>) {
    if out.last() == Some(&b'{') {
        out.push(b'"');
    } else {
        out.extend_from_slice(b",\"");
    }
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends text that is JSON already, in quotes.
pub(super) fn write_written(written: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(written) = written {
        out.push(b'"');
        out.extend_from_slice(written);
        out.push(b'"');
    }
}

/// Appends a word of ours, which needs no escapes, in quotes; nothing for an empty one.
pub(super) fn write_word(word: &str, out: &mut Vec<u8>) {
    if !word.is_empty() {
        write_written(Some(word.as_bytes()), out);
    }
}

/// Appends words of ours as an array.
pub(super) fn write_words(words: &[&str], out: &mut Vec<u8>) {
    for (nth, word) in words.iter().enumerate() {
        out.push(if nth == 0 { b'[' } else { b',' });
        write_word(word, out);
    }
    if !words.is_empty() {
        out.push(b']');
    }
}

/// The numbers that prove completeness, as they stand in a canonical event.
pub(super) fn write_numbers(seen: &Seen<'_>, out: &mut Vec<u8>) {
    let Some(stamp) = seen.stamp() else { return };
    out.push(b'{');
    write_key("node", out);
    write_string(stamp.node, out);
    write_key("stream", out);
    write_string(stamp.stream, out);
    write_key("n", out);
    write_number(stamp.n, out);
    out.push(b'}');
}

/// The address, if it is one.
pub(super) fn address<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    matches!(seen.address, Address::V4 | Address::V6).then(|| seen.text(Field::Ip)).flatten()
}

/// What stands in the place of an address and is none.
pub(super) fn no_address<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    (seen.address == Address::Other).then(|| seen.text(Field::Ip)).flatten()
}
