//! What the two text formats have in common: a header, then keys with values, from a table.

use wide::u8x16;

use super::Seen;
use super::glue::Glue;
use crate::catalogue::{Fact, Outcome};
use crate::event::Field;
use crate::json::{unescape_into, write_number};
use crate::members::has_only_fields;
use crate::plain::{is, is_below, unmarked_length};

/// A key of a text format, and what it is filled from.
pub(super) struct Key {
    /// The key, with what parts it from the one before.
    opening: Glue,
    /// Another key that says what this one means, and its value.
    label: Option<Glue>,
    /// Bytes that a value may have; 0 for no limit.
    max: usize,
    value: Value,
}

/// What a key is filled from.
pub(super) enum Value {
    /// A field.
    Field(Field),
    /// The field that a closure chooses.
    FieldOf(fn(&Seen<'_>) -> Option<Field>),
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

impl Key {
    /// `separator` is one character.
    pub(super) const fn new(separator: &str, key: &str, max: usize, value: Value) -> Key {
        Key { opening: Glue::new([separator, key, "="]), label: None, max, value }
    }

    /// With another key that says what it means.
    pub(super) const fn labelled(mut self, separator: &str, label: &str, says: &str) -> Key {
        self.label = Some(Glue::new([separator, label, "=", says]));
        self
    }
}

/// How the values of a format are written.
pub(super) trait Dialect {
    /// Appends UTF-8 without escapes as the format wants it.
    fn write(text: &[u8], out: &mut Vec<u8>);
}

/// Appends those keys of the table that have something to say. `buffer` is used for values with escapes.
pub(super) fn write_keys<D: Dialect>(keys: &[Key], seen: &Seen<'_>, buffer: &mut String, out: &mut Vec<u8>) {
    let mut is_cut = seen.is_cut();
    let mut is_first = true;
    for Key { opening, label, max, value } in keys {
        let before = out.len();
        opening.write_but(is_first, out);
        let start = out.len();
        is_cut |= write_value::<D>(value, *max, is_cut, seen, buffer, out);
        if out.len() == start {
            out.truncate(before);
            continue;
        }
        is_first = false;
        if let Some(label) = label {
            label.write(out);
        }
    }
}

/// Appends a value, and says whether it was cut; `was_cut` says whether one before it was.
#[inline]
fn write_value<D: Dialect>(
    value: &Value,
    max: usize,
    was_cut: bool,
    seen: &Seen<'_>,
    buffer: &mut String,
    out: &mut Vec<u8>,
) -> bool {
    let (text, is_cut) = match value {
        Value::Field(field) => within(max, meaning(Some(*field), seen, buffer)),
        Value::FieldOf(choose) => within(max, meaning(choose(seen), seen, buffer)),
        Value::Written(find) => match find(seen).unwrap_or_default() {
            written if written.contains(&b'\\') => within(max, unescaped_into(written, buffer)),
            written => within(max, written),
        },
        Value::Other(find) => within(max, find(seen).unwrap_or_default().as_bytes()),
        Value::Payload => payload(seen, max, buffer),
        Value::Unmapped if has_only_fields(seen.event) => return false,
        Value::Unmapped => unmapped(seen, max, buffer),
        Value::Chosen(choose) => {
            out.extend_from_slice(choose(seen).as_bytes());
            return false;
        }
        Value::Number(find) => {
            if let Some(number) = find(seen) {
                write_number(number, out);
            }
            return false;
        }
        Value::Time(write) => {
            write(seen.event.timestamp_ms(), out);
            return false;
        }
        Value::Cut => {
            if was_cut {
                out.extend_from_slice(b"true");
            }
            return false;
        }
    };
    D::write(text, out);
    is_cut
}

/// As much of a text as `max` bytes hold, and whether that is not all; 0 for no limit.
fn within(max: usize, text: &[u8]) -> (&[u8], bool) {
    let kept = if max == 0 { text } else { utf8_prefix(text, max) };
    (kept, kept.len() < text.len())
}

/// What a field says; nothing if there is none.
fn meaning<'b>(field: Option<Field>, seen: &Seen<'b>, buffer: &'b mut String) -> &'b [u8] {
    let Some(field) = field else { return b"" };
    let written = seen.text(field).unwrap_or_default();
    if seen.event.index.has_escapes(field) { unescaped_into(written, buffer) } else { written }
}

#[inline(never)]
fn unescaped_into<'b>(written: &[u8], buffer: &'b mut String) -> &'b [u8] {
    buffer.clear();
    unescape_into(std::str::from_utf8(written).unwrap_or_default(), buffer);
    buffer.as_bytes()
}

/// The payload, whole or its first members, and whether that is not all.
fn payload<'b>(seen: &Seen<'b>, max: usize, buffer: &'b mut String) -> (&'b [u8], bool) {
    let Some(kept) = seen.payload_within(max) else { return (b"", false) };
    if let (false, None) = (kept.is_cut, seen.event.edits) {
        return (seen.event.raw.get(kept.range).unwrap_or_default(), false);
    }
    buffer.clear();
    for piece in seen.event.pieces(kept.range.clone()) {
        buffer.push_str(std::str::from_utf8(piece.bytes(seen.event.raw)).unwrap_or_default());
    }
    if kept.is_cut {
        buffer.push('}');
    }
    (buffer.as_bytes(), kept.is_cut)
}

/// An object of those members that no field knows, if there are any, and whether it lacks some.
#[inline(never)]
fn unmapped<'b>(seen: &Seen<'b>, max: usize, buffer: &'b mut String) -> (&'b [u8], bool) {
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
    }
    (buffer.as_bytes(), is_cut)
}

/// A byte, and what stands for it.
pub(super) type Exchange = (u8, &'static [u8]);

/// The longest beginning of `text` of at most `max` bytes that ends where a character does.
pub(super) fn utf8_prefix(text: &[u8], max: usize) -> &[u8] {
    if text.len() <= max {
        return text;
    }
    let is_inside = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let end = (0..=max.min(text.len())).rev().find(|at| !is_inside(at)).unwrap_or(0);
    &text[..end]
}

/// Appends UTF-8 with some ASCII bytes exchanged, of which `specials` are those that are no control characters. Every
/// other control character becomes a space, so that no value ends a line or speaks to a terminal; spaces at the ends go,
/// because receivers lose them.
#[inline(always)]
pub(super) fn write_exchanged<const COUNT: usize>(
    text: &[u8],
    specials: [u8; COUNT],
    exchanged: &[Exchange],
    out: &mut Vec<u8>,
) {
    let text = trimmed(text);
    let (plain, rest) = text.split_at(plain_length(text, specials));
    out.extend_from_slice(plain);
    if !rest.is_empty() {
        exchange(rest, specials, exchanged, out);
    }
}

/// Goes on at a byte that needs a second look.
#[inline(never)]
fn exchange<const COUNT: usize>(mut rest: &[u8], specials: [u8; COUNT], exchanged: &[Exchange], out: &mut Vec<u8>) {
    while let [byte, behind @ ..] = rest {
        rest = behind;
        if let (C1_LEAD, [0x80..=0x9f, behind @ ..]) = (*byte, behind) {
            out.push(b' ');
            rest = behind;
        } else {
            match exchanged.iter().find(|(special, _)| special == byte) {
                Some((_, instead)) => out.extend_from_slice(instead),
                None if byte.is_ascii_control() => out.push(b' '),
                None => out.push(*byte),
            }
        }
        let (plain, behind) = rest.split_at(plain_length(rest, specials));
        out.extend_from_slice(plain);
        rest = behind;
    }
}

/// How many bytes at the start need no second look: none of `specials`, no control character, not [`C1_LEAD`].
fn plain_length<const COUNT: usize>(bytes: &[u8], specials: [u8; COUNT]) -> usize {
    unmarked_length(bytes, |block: u8x16| {
        let controls = is_below(block, b' ') | is(block, DELETE) | is(block, C1_LEAD);
        specials.into_iter().fold(controls, |marks, special| marks | is(block, special))
    })
}

fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
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

/// In UTF-8 the control characters U+0080 to U+009F are this byte and one of 0x80 to 0x9f.
const C1_LEAD: u8 = 0xc2;
const DELETE: u8 = 0x7f;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exchanging_is_what_it_is_character_by_character(text in "([a-z ]{0,9}|[=\\\\\n]|\\PC|\\p{Cc}){0,12}") {
            let mut found = Vec::new();
            let exchanged: [Exchange; 3] = [(b'=', b"\\="), (b'\\', b"\\\\"), (b'\n', b"\\n")];
            write_exchanged(text.as_bytes(), [b'=', b'\\'], &exchanged, &mut found);
            let naive: String = text
                .trim_matches(' ')
                .chars()
                .map(|c| match c {
                    '=' => "\\=".to_owned(),
                    '\\' => "\\\\".to_owned(),
                    '\n' => "\\n".to_owned(),
                    c if c.is_control() => " ".to_owned(),
                    c => c.to_string(),
                })
                .collect();
            prop_assert_eq!(String::from_utf8(found).unwrap(), naive);
        }

        #[test]
        fn a_prefix_ends_where_a_character_does(text in any::<String>(), max in 0usize..40) {
            prop_assert_eq!(utf8_prefix(text.as_bytes(), max), &text.as_bytes()[..text.floor_char_boundary(max)]);
        }
    }
}
