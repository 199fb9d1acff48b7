//! What the two ways into a Log Analytics workspace have in common: an event as one flat record, and error bodies.
//!
//! A record has the columns of its table, in order, and of those only the ones that have a value. Values are JSON text as
//! written. What exceeds the service's limit for one value is shortened here, where the record can say so, and not there,
//! where it would be cut in silence: a string at a character boundary; an object by one that holds the beginning of its
//! text, `{"shortened":"…"}`.

use serde_json::Value;

use crate::body::Body;
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::{BORROW_MIN, Entry, Frame, Unfit};
use crate::http::Reply;
use crate::json::{meaning_prefix, write_number, write_string};
use crate::members::{unknown_members, write_timestamp};
use crate::verdict::shown;

/// The columns of one destination's records, and its limits.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: &'static [Column],
    /// Bytes of one value.
    pub(crate) value_max: usize,
    /// Bytes of a body with one record.
    pub(crate) body_max: usize,
}

/// One column: what it is called there, and what goes in.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
}

/// What a column is filled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The event's timestamp, in a form that every parser of ISO 8601 reads.
    Time,
    /// A field as it came.
    Field(Field),
    /// The node of the stamp.
    Node,
    /// The stream of the stamp.
    Stream,
    /// The number of the stamp.
    Number,
    /// An object of the members that are no fields.
    Extra,
    /// `true`, where another value was shortened.
    Shortened,
}

impl Table {
    /// Appends one event as a record.
    pub(crate) fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        let mark = body.mark();
        if entry.item > 0 {
            body.push_glue(b",");
        }
        let before = body.len();
        let mut record = Record { event, entry, value_max: self.value_max, separator: b"{", is_shortened: false };
        for column in self.columns {
            record.column(column, body, scratch);
        }
        body.push_glue(b"}");
        let length = body.len() - before + Frame::ARRAY.len();
        if length <= self.body_max {
            return Ok(());
        }
        body.rewind(mark);
        Err(Unfit {
            why: format!("the event alone makes a body of {length} bytes; at most {} are taken", self.body_max),
        })
    }
}

/// One record while it is written.
struct Record<'a> {
    event: &'a Event<'a>,
    entry: &'a Entry<'a>,
    value_max: usize,
    /// What stands before the next column.
    separator: &'static [u8],
    is_shortened: bool,
}

impl Record<'_> {
    fn column(&mut self, column: &Column, body: &mut Body, scratch: &mut Scratch) {
        match column.source {
            Source::Time => {
                self.key(column.name, body);
                body.write_glue(|glue| write_timestamp(self.event, is_plain_time, glue));
            }
            Source::Field(Field::Payload) => self.payload(column.name, body, &mut scratch.text),
            Source::Field(field) => self.text(column.name, field, body),
            Source::Node => self.stamp(column.name, body, |stamp, glue| write_string(stamp.node, glue)),
            Source::Stream => self.stamp(column.name, body, |stamp, glue| write_string(stamp.stream, glue)),
            Source::Number => self.stamp(column.name, body, |stamp, glue| write_number(stamp.n, glue)),
            Source::Extra => self.extra(column.name, body, &mut scratch.bytes),
            Source::Shortened if self.is_shortened => {
                self.key(column.name, body);
                body.push_glue(b"true");
            }
            Source::Shortened => {}
        }
    }

    fn key(&mut self, name: &str, body: &mut Body) {
        for part in [self.separator, b"\"", name.as_bytes(), b"\":"] {
            body.push_glue(part);
        }
        self.separator = b",";
    }

    fn text(&mut self, name: &str, field: Field, body: &mut Body) {
        let (Some(written), Some(span)) = (self.event.field(field), self.event.index.span(field)) else { return };
        let kept = meaning_prefix(written, self.value_max);
        self.is_shortened |= kept.len() < written.len();
        self.key(name, body);
        body.push_glue(b"\"");
        if kept.len() < BORROW_MIN {
            body.push_glue(kept.as_bytes());
        } else {
            let start = span.start as usize;
            self.entry.lend(self.event, start..start + kept.len(), body);
        }
        body.push_glue(b"\"");
    }

    fn payload(&mut self, name: &str, body: &mut Body, text: &mut String) {
        let Some(span) = self.event.index.span(Field::Payload) else { return };
        let range = span.start as usize..span.end as usize;
        if range.end > self.event.raw.len() {
            return;
        }
        self.key(name, body);
        if self.event.shown_len(range.clone()) <= self.value_max {
            self.entry.lend(self.event, range, body);
        } else {
            self.is_shortened = true;
            let written = self.event.text(Field::Payload, text).unwrap_or_default();
            body.write_glue(|glue| write_shortened(written, self.value_max, glue));
        }
    }

    fn stamp(&mut self, name: &str, body: &mut Body, write: impl FnOnce(&crate::body::Stamp<'_>, &mut Vec<u8>)) {
        if let Some(stamp) = self.entry.stamp {
            self.key(name, body);
            body.write_glue(|glue| write(stamp, glue));
        }
    }

    /// Put together in `buffer`, which is used again from event to event; most events have nothing of the kind.
    fn extra(&mut self, name: &str, body: &mut Body, buffer: &mut Vec<u8>) {
        buffer.clear();
        for member in unknown_members(self.event) {
            buffer.push(if buffer.is_empty() { b'{' } else { b',' });
            self.event.copy(member.whole, buffer);
        }
        if buffer.is_empty() {
            return;
        }
        buffer.push(b'}');
        self.key(name, body);
        if buffer.len() <= self.value_max {
            body.push_glue(buffer);
        } else {
            self.is_shortened = true;
            let text = std::str::from_utf8(buffer).unwrap_or_default();
            body.write_glue(|glue| write_shortened(text, self.value_max, glue));
        }
    }
}

/// Whether every parser reads it: capital `T` and `Z`, at most seven digits of a second, no leap second.
fn is_plain_time(written: &[u8]) -> bool {
    let is_known_length =
        (b"2026-05-12T14:23:01Z".len()..=b"2026-05-12T14:23:01.1234567Z".len()).contains(&written.len());
    is_known_length
        && written[10] == b'T'
        && written.ends_with(b"Z")
        && &written[17..19] != b"60"
        && !written.contains(&b'\\')
}

/// Appends an object of at most `limit` bytes that holds the beginning of `text`.
fn write_shortened(text: &str, limit: usize, out: &mut Vec<u8>) {
    const BEFORE: &[u8] = b"{\"shortened\":";
    const AROUND: usize = BEFORE.len() + b"\"\"}".len();
    let (mut end, mut size) = (0, AROUND);
    for (at, character) in text.char_indices() {
        size += match character {
            '"' | '\\' => 2,
            '\0'..'\u{20}' => 6,
            other => other.len_utf8(),
        };
        if size > limit {
            break;
        }
        end = at + character.len_utf8();
    }
    out.extend_from_slice(BEFORE);
    write_string(&text[..end], out);
    out.push(b'}');
}

/// What the body of an error says: `{"error":{"code":…,"message":…}}`, or `{"Error":…,"Message":…}` of the older service.
#[derive(Default)]
pub(crate) struct AzureError {
    pub(crate) code: Option<String>,
    message: Option<String>,
}

impl AzureError {
    pub(crate) fn of(reply: &Reply) -> AzureError {
        let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else { return AzureError::default() };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let error = if body["error"].is_object() { &body["error"] } else { &body };
        AzureError {
            code: ["code", "Error", "error"].into_iter().find_map(|key| text(&error[key])),
            message: ["message", "Message"].into_iter().find_map(|key| text(&error[key])),
        }
    }

    /// The reply in plain words.
    pub(crate) fn words(&self, reply: &Reply) -> String {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => format!("HTTP {}, {}: {}", reply.status, shown(code), shown(message)),
            (Some(code), None) => format!("HTTP {}, {}", reply.status, shown(code)),
            _ => format!("HTTP {}: {}", reply.status, shown(&String::from_utf8_lossy(&reply.body))),
        }
    }
}

/// Whether this is a page for people, of a proxy or portal that says 200 to everything.
pub(crate) fn is_page(reply: &Reply) -> bool {
    reply.header("content-type").is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
        || reply.body.trim_ascii_start().starts_with(b"<")
}
