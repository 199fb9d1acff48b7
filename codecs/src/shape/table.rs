//! A JSON shape as a table: objects, and in them what each member is filled from.
//!
//! The last object of a shape is its own root, where everything goes that the schema has no place for: what no field knows,
//! and the payload, borrowed from the log where it is long. A member that has nothing to say is left out, and an object
//! without members is too.

use super::glue::Glue;
use super::{Address, Seen};
use crate::body::Body;
use crate::event::Field;
use crate::format::BORROW_MIN;
use crate::json::write_number;
use crate::members::{has_only_fields, is_strict, others, write_timestamp};

/// A JSON shape.
pub(super) struct JsonShape {
    /// What comes first.
    pub(super) members: &'static [Member],
    /// The key of the last member, an object, and its brace.
    root: Glue,
    /// What comes first in it.
    pub(super) root_members: &'static [Member],
}

/// A key, and what is behind it.
pub(crate) struct Member {
    /// The key with all that stands around it, up to the first byte that depends on the event.
    opening: Glue,
    value: Value,
    /// Whether it stands in an object of its own, which then ends behind it.
    is_within: bool,
}

/// What a member is filled from.
pub(super) enum Value {
    /// Members of an object.
    Object(&'static [Member]),
    /// A field, as written.
    Field(Field),
    /// The field that a closure chooses.
    FieldOf(fn(&Seen<'_>) -> Option<Field>),
    /// Some text as written in the event, without quotes.
    Written(for<'a> fn(&Seen<'a>) -> Option<&'a [u8]>),
    /// A fixed word, as a string.
    Word(&'static str),
    /// A word that depends on the event; empty for nothing.
    Chosen(fn(&Seen<'_>) -> &'static str),
    /// Words that depend on the event, as an array.
    Words(fn(&Seen<'_>) -> &'static [&'static str]),
    /// JSON text.
    Json(for<'a> fn(&Seen<'a>) -> Option<&'a [u8]>),
    /// JSON text that is put together; writes nothing for nothing.
    Composed(fn(&Seen<'_>, &mut Vec<u8>)),
    /// A number.
    Number(fn(&Seen<'_>) -> Option<u64>),
    /// Members that are the same in every event, as they stand in the object.
    Fixed(&'static str),
    /// The event's time, as a string that strict readers take.
    Time,
}

pub(super) const fn member(key: &str, value: Value) -> Member {
    let behind_key = match value {
        Value::Object(_) => "\":{",
        Value::Written(_) | Value::Word(_) | Value::Chosen(_) => "\":\"",
        Value::Words(_) => "\":[\"",
        _ => "\":",
    };
    Member { opening: Glue::new([",\"", key, behind_key]), value, is_within: false }
}

/// An object with one member.
pub(super) const fn within(key: &str, inner: Member) -> Member {
    let opening = Glue::new([",\"", key, "\":{"]).followed_by(&inner.opening);
    Member { opening, value: inner.value, is_within: true }
}

pub(super) const fn field(key: &str, field: Field) -> Member {
    member(key, Value::Field(field))
}

pub(super) const fn fixed(members: &'static str) -> Member {
    Member { opening: Glue::new([","]), value: Value::Fixed(members), is_within: false }
}

impl JsonShape {
    pub(super) const fn new(members: &'static [Member], root: &str, root_members: &'static [Member]) -> JsonShape {
        JsonShape { members, root: Glue::new([",\"", root, "\":{"]), root_members }
    }

    #[cfg(test)]
    pub(super) fn root(&self) -> &str {
        self.root.key()
    }

    /// Appends an event to an object that is open.
    pub(super) fn write(&self, seen: &Seen<'_>, body: &mut Body) {
        body.write_glue(|glue| write_members(self.members, seen, glue));
        self.write_root(seen, body);
    }

    /// Goes on behind the members: the root, what no field knows, the payload, and the closing braces.
    pub(super) fn write_root(&self, seen: &Seen<'_>, body: &mut Body) {
        body.write_glue(|glue| {
            self.root.write_key(glue);
            write_members(self.root_members, seen, glue);
            if seen.is_cut() {
                TRUNCATED.write_key(glue);
            }
        });
        if !has_only_fields(seen.event) {
            lend_unknown(seen, body);
        }
        lend_payload(seen, body);
    }
}

fn lend_unknown(seen: &Seen<'_>, body: &mut Body) {
    let mut ranges = others(seen.event, |_| true);
    let Some(first) = ranges.next() else { return };
    body.write_glue(|glue| UNMAPPED.write_key(glue));
    seen.entry.lend(seen.event, first, body);
    for range in ranges {
        body.push_glue(b",");
        seen.entry.lend(seen.event, range, body);
    }
    body.push_glue(b"}");
}

/// Appends the payload, and the braces that close the root and the event.
fn lend_payload(seen: &Seen<'_>, body: &mut Body) {
    let Some(kept) = seen.payload() else { return body.push_glue(b"}}") };
    let closing: &[u8] = if kept.is_cut { b"}}}" } else { b"}}" };
    if kept.range.len() < BORROW_MIN {
        body.write_glue(|glue| {
            PAYLOAD.write_key(glue);
            seen.event.copy(kept.range.clone(), glue);
            glue.extend_from_slice(closing);
        });
    } else {
        body.write_glue(|glue| PAYLOAD.write_key(glue));
        seen.entry.lend(seen.event, kept.range.clone(), body);
        body.push_glue(closing);
    }
}

/// Appends those members that have something to say, with commas between them.
pub(super) fn write_members(members: &[Member], seen: &Seen<'_>, out: &mut Vec<u8>) {
    for member in members {
        member.write(seen, out);
    }
}

impl Member {
    #[cfg(test)]
    pub(super) fn key(&self) -> &str {
        self.opening.key()
    }

    #[inline(always)]
    fn write(&self, seen: &Seen<'_>, out: &mut Vec<u8>) {
        let before = out.len();
        match &self.value {
            Value::Field(field) => self.write_json(seen.json(*field), out),
            Value::FieldOf(choose) => self.write_json(seen.json_of(choose(seen)), out),
            Value::Json(find) => self.write_json(find(seen), out),
            Value::Fixed(members) => self.write_json(Some(members.as_bytes()), out),
            Value::Time => match seen.time {
                Some(time) => self.write_json(Some(time), out),
                None => self.write_composed(write_time, seen, out),
            },
            Value::Written(find) => self.write_text(find(seen).unwrap_or_default(), out),
            Value::Word(word) => self.write_text(word.as_bytes(), out),
            Value::Chosen(choose) => self.write_text(choose(seen).as_bytes(), out),
            Value::Words(choose) => self.write_words(choose(seen), out),
            Value::Number(find) => self.write_number(find(seen), out),
            Value::Composed(write) => self.write_composed(*write, seen, out),
            Value::Object(members) => self.write_object(members, seen, out),
        }
        if self.is_within && out.len() > before {
            out.push(b'}');
        }
    }

    #[inline]
    fn write_json(&self, json: Option<&[u8]>, out: &mut Vec<u8>) {
        if let Some(json) = json {
            self.opening.write_key(out);
            out.extend_from_slice(json);
        }
    }

    #[inline(always)]
    fn write_text(&self, text: &[u8], out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.opening.write_key(out);
            out.extend_from_slice(text);
            out.push(b'"');
        }
    }

    fn write_number(&self, number: Option<u64>, out: &mut Vec<u8>) {
        if let Some(number) = number {
            self.opening.write_key(out);
            write_number(number, out);
        }
    }

    fn write_words(&self, words: &[&str], out: &mut Vec<u8>) {
        let [first, others @ ..] = words else { return };
        self.opening.write_key(out);
        out.extend_from_slice(first.as_bytes());
        for word in others {
            out.extend_from_slice(b"\",\"");
            out.extend_from_slice(word.as_bytes());
        }
        out.extend_from_slice(b"\"]");
    }

    #[inline(never)]
    fn write_object(&self, members: &[Member], seen: &Seen<'_>, out: &mut Vec<u8>) {
        let before = out.len();
        self.opening.write_key(out);
        let start = out.len();
        write_members(members, seen, out);
        if out.len() == start {
            out.truncate(before);
        } else {
            out.push(b'}');
        }
    }

    #[inline(never)]
    fn write_composed(&self, write: fn(&Seen<'_>, &mut Vec<u8>), seen: &Seen<'_>, out: &mut Vec<u8>) {
        let before = out.len();
        self.opening.write_key(out);
        let start = out.len();
        write(seen, out);
        if out.len() == start {
            out.truncate(before);
        }
    }
}

fn write_time(seen: &Seen<'_>, out: &mut Vec<u8>) {
    write_timestamp(seen.event, is_strict, out);
}

/// The numbers that prove completeness, as they stand in a canonical event.
pub(super) fn write_numbers(seen: &Seen<'_>, out: &mut Vec<u8>) {
    if let (Some(stamp), Some(lead)) = (seen.stamp(), seen.lead) {
        out.extend_from_slice(lead);
        write_number(stamp.n, out);
        out.push(b'}');
    }
}

/// The address, if it is one.
pub(super) fn address(seen: &Seen<'_>) -> Option<Field> {
    seen.address_if(&[Address::V4, Address::V6])
}

/// What stands in the place of an address and is none.
pub(super) fn no_address(seen: &Seen<'_>) -> Option<Field> {
    seen.address_if(&[Address::Other])
}

/// What schemas want where something must be named and is not.
pub(super) const UNKNOWN: &[u8] = b"\"Unknown\"";
static TRUNCATED: Glue = Glue::new([",\"truncated\":true"]);
static UNMAPPED: Glue = Glue::new([",\"unmapped\":{"]);
static PAYLOAD: Glue = Glue::new([",\"payload\":"]);
