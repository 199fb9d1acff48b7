//! One event through an admin's template: text with placeholders, compiled and checked once, then rendered per event.
//!
//! | placeholder | what it stands for |
//! |-------------|--------------------|
//! | `${event_id}`, `${timestamp}` and every other [`Field`] | the field |
//! | `${payload.a.b}` | the member `b` of the member `a` of the payload; only objects are entered, and a key with a dot or a brace can't be named |
//! | `${siem.node}`, `${siem.stream}`, `${siem.n}` | the number in the stream; missing in notices and statements |
//! | `${event}` | the whole event as it came |
//!
//! A `$` without a brace after it is itself, and `$${` stands for `${`. What a placeholder becomes depends on where it is:
//!
//! | where | a string | another JSON value | missing or `null` |
//! |-------|----------|--------------------|-------------------|
//! | in a JSON template, between the quotes of a string | its text, escaped for JSON, without quotes | its JSON text, escaped | nothing |
//! | in a JSON template, anywhere else | a JSON string with its quotes | its JSON text | `null` |
//! | in a text template | its text, control characters as spaces | its JSON text, the same | nothing |
//!
//! What is always true: what a JSON template renders is one JSON value on one line, whatever the event. That is checked
//! when it is compiled, by rendering a sample with an `x` for each placeholder in a string and `null` for every other one:
//! if `null` fits, so does any value, and if an `x`, which belongs to no escape, fits, so does any escaped text. A place
//! where only a string fits, such as a key, therefore needs quotes in the template.

use crate::body::Body;
use crate::event::{Event, Field};
use crate::format::Entry;
use crate::index::unbreak_lines;
use crate::json::{unescaped, write_escaped, write_number, write_string};
use crate::members::lookup;

/// The longest template in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 64 << 10;
/// Placeholders in one template.
pub const PLACEHOLDERS_MAX: usize = 256;

/// What a template makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKind {
    /// One JSON value on one line.
    Json,
    /// One line of text.
    Line,
    /// Text.
    Text,
}

/// A template that can be rendered.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

/// Why a template can't be used. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Longer than [`TEMPLATE_BYTES_MAX`].
    #[error("the template has {bytes} bytes; at most {TEMPLATE_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More placeholders than [`PLACEHOLDERS_MAX`].
    #[error("the template has more than {PLACEHOLDERS_MAX} placeholders")]
    TooMany,
    /// A placeholder without its closing brace.
    #[error("the placeholder `{placeholder}` at {at} has no closing `}}`; write `$${{` for a plain `${{`")]
    Unclosed {
        /// Its beginning.
        placeholder: String,
        /// Where it begins.
        at: Position,
    },
    /// A placeholder that stands for nothing.
    #[error("`{placeholder}` at {at} is not a placeholder; allowed are {}", allowed())]
    Unknown {
        /// As found, with `${` and `}`.
        placeholder: String,
        /// Where it begins.
        at: Position,
    },
    /// A placeholder that breaks the JSON around it.
    #[error(
        "`{placeholder}` at {at} does not fit into the JSON around it ({problem}); it stands for any JSON value or `null`, and between quotes for the inside of a string, so it can't be part of a number, a key without quotes, or an escape"
    )]
    Misplaced {
        /// With `${` and `}`.
        placeholder: String,
        /// Where it begins.
        at: Position,
        /// The parser's words.
        problem: String,
    },
    /// A template that is not JSON.
    #[error("the template is not valid JSON at {at}: {problem}; allowed is one JSON value with placeholders in it")]
    NotJson {
        /// Where the parser stopped.
        at: Position,
        /// The parser's words.
        problem: String,
    },
    /// A line break in what must be one line.
    #[error("the template has a line break at {at}; here each event is one line")]
    LineBreak {
        /// Where.
        at: Position,
    },
}

/// A place in a template as people count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

#[derive(Clone, Debug)]
struct Part {
    /// Where it begins in the template.
    at: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Literal(Vec<u8>),
    Placeholder { source: Source, place: Place },
}

impl What {
    fn is_placeholder(&self) -> bool {
        matches!(self, What::Placeholder { .. })
    }
}

#[derive(Clone, Debug)]
enum Source {
    Field(Field),
    Payload(Vec<String>),
    Node,
    Stream,
    Number,
    Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    InString,
    AsValue,
    InText,
}

/// What a placeholder stands for in one event.
enum Found<'a> {
    Missing,
    /// The inside of a JSON string, a range of the event.
    Escaped(std::ops::Range<usize>),
    /// Any other JSON value, a range of the event.
    Json(std::ops::Range<usize>),
    /// The inside of a JSON string without escapes, which stands in place of a value.
    Redacted(&'a [u8]),
    Text(&'a str),
    Number(u64),
}

impl Template {
    /// Compiles and checks a template. Line breaks between the tokens of a JSON template become spaces; those at the end
    /// of a [`TemplateKind::Line`] are dropped.
    ///
    /// # Errors
    /// The first [`TemplateError`] met.
    pub fn compile(source: &str, kind: TemplateKind) -> Result<Template, TemplateError> {
        if source.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong { bytes: source.len() });
        }
        let parts = match kind {
            TemplateKind::Json => {
                let mut line = source.as_bytes().to_vec();
                unbreak_lines(&mut line);
                // Bytes of line breaks became other single bytes, so this is the text it was.
                split(std::str::from_utf8(&line).unwrap_or_default(), source, true)?
            }
            TemplateKind::Line => split(source.trim_end_matches(['\r', '\n']), source, false)?,
            TemplateKind::Text => split(source, source, false)?,
        };
        let template = Template { parts };
        match kind {
            TemplateKind::Json => template.check_json(source)?,
            TemplateKind::Line => template.check_line(source)?,
            TemplateKind::Text => {}
        }
        Ok(template)
    }

    /// Appends one event as the template says.
    pub fn render(&self, event: &Event<'_>, entry: &Entry<'_>, body: &mut Body) {
        for part in &self.parts {
            match &part.what {
                What::Literal(bytes) => body.push_glue(bytes),
                What::Placeholder { source, place } => write(&find(source, event, entry), *place, event, entry, body),
            }
        }
    }

    fn check_json(&self, source: &str) -> Result<(), TemplateError> {
        let mut sample = Vec::new();
        let mut starts = Vec::new();
        for part in &self.parts {
            starts.push(sample.len());
            match &part.what {
                What::Literal(bytes) => sample.extend_from_slice(bytes),
                What::Placeholder { place: Place::InString, .. } => sample.push(b'x'),
                What::Placeholder { .. } => sample.extend_from_slice(b"null"),
            }
        }
        let Err(error) = serde_json::from_slice::<serde_json::Value>(&sample) else { return Ok(()) };
        // The sample is one line unless a string holds a line break, and there the parser stops at the first.
        let stopped = error.column().saturating_sub(1);
        let nth = starts.partition_point(|start| *start <= stopped).saturating_sub(1);
        let problem = error.to_string();
        let problem = problem.split(" at line ").next().unwrap_or_default().to_owned();
        let Some(part) = self.parts.get(nth) else {
            return Err(TemplateError::NotJson { at: position(source, 0), problem });
        };
        let within = stopped.saturating_sub(starts[nth]);
        // What follows a placeholder at once is wrong because of it, as in `${siem.n}0`.
        let before = nth.checked_sub(1).filter(|_| within == 0).map(|before| &self.parts[before]);
        let misplaced = [Some(part), before].into_iter().flatten().find(|part| part.what.is_placeholder());
        Err(match misplaced {
            Some(part) => {
                let placeholder = placeholder_at(source, part.at);
                TemplateError::Misplaced { placeholder, at: position(source, part.at), problem }
            }
            None => TemplateError::NotJson { at: position(source, part.at + within), problem },
        })
    }

    fn check_line(&self, source: &str) -> Result<(), TemplateError> {
        for part in &self.parts {
            let What::Literal(bytes) = &part.what else { continue };
            if let Some(nth) = memchr::memchr2(b'\r', b'\n', bytes) {
                return Err(TemplateError::LineBreak { at: position(source, part.at + nth) });
            }
        }
        Ok(())
    }
}

/// Cuts `text` into literals and placeholders. `source` is the template as written, for positions.
fn split(text: &str, source: &str, is_json: bool) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut quotes = Quotes::default();
    let (mut at, mut placeholders) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if let Some(after) = rest.strip_prefix("${") {
            let (source_of, length) = placeholder(after, at, source)?;
            let place = match quotes.is_inside {
                _ if !is_json => Place::InText,
                true => Place::InString,
                false => Place::AsValue,
            };
            parts.push(Part { at, what: What::Placeholder { source: source_of, place } });
            placeholders += 1;
            if placeholders > PLACEHOLDERS_MAX {
                return Err(TemplateError::TooMany);
            }
            at += length;
            continue;
        }
        // `$${` stands for `${`: its first byte is left out, and the other two are no placeholder.
        let (start, length) = if rest.starts_with("$${") { (at + 1, 2) } else { (at, literal_length(rest)) };
        let bytes = &text.as_bytes()[start..start + length];
        quotes.walk(bytes);
        parts.push(Part { at: start, what: What::Literal(bytes.to_vec()) });
        at = start + length;
    }
    Ok(parts)
}

/// Reads a placeholder from behind its `${`, which stands `at` bytes into the template, and gives its whole length.
fn placeholder(after: &str, at: usize, source: &str) -> Result<(Source, usize), TemplateError> {
    let name_ends = after.find(['}', '"', '\n', '$']).filter(|end| after[*end..].starts_with('}'));
    let Some(end) = name_ends else {
        return Err(TemplateError::Unclosed { placeholder: placeholder_at(source, at), at: position(source, at) });
    };
    let found = source_named(&after[..end])
        .ok_or_else(|| TemplateError::Unknown { placeholder: placeholder_at(source, at), at: position(source, at) })?;
    Ok((found, "${".len() + end + "}".len()))
}

fn source_named(name: &str) -> Option<Source> {
    if let Some(path) = name.strip_prefix("payload.") {
        let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
        return keys.iter().all(|key| !key.is_empty()).then_some(Source::Payload(keys));
    }
    match name {
        "siem.node" => Some(Source::Node),
        "siem.stream" => Some(Source::Stream),
        "siem.n" => Some(Source::Number),
        "event" => Some(Source::Event),
        _ => Field::from_name(name.as_bytes()).map(Source::Field),
    }
}

/// The names for an error's text, in full, because the reader does not have this file.
fn allowed() -> String {
    let fields = Field::ALL.iter().map(|field| format!("${{{}}}", field.name()));
    let others = ["${payload.KEY.KEY}", "${siem.node}", "${siem.stream}", "${siem.n}", "${event}"].map(str::to_owned);
    fields.chain(others).collect::<Vec<_>>().join(", ")
}

/// Bytes up to the next `$` that could begin something, at least one character.
fn literal_length(rest: &str) -> usize {
    let first = rest.chars().next().map_or(0, char::len_utf8);
    rest[first..].find('$').map_or(rest.len(), |step| first + step)
}

/// Whether a walk through JSON text is inside a string.
#[derive(Default)]
struct Quotes {
    is_inside: bool,
    is_escaped: bool,
}

impl Quotes {
    fn walk(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_inside => self.is_escaped = true,
                b'"' => self.is_inside = !self.is_inside,
                _ => {}
            }
        }
    }
}

fn find<'a>(source: &Source, event: &Event<'a>, entry: &Entry<'a>) -> Found<'a> {
    let stamp = entry.stamp;
    match source {
        Source::Event => Found::Json(0..event.raw.len()),
        Source::Node => stamp.map_or(Found::Missing, |stamp| Found::Text(stamp.node)),
        Source::Stream => stamp.map_or(Found::Missing, |stamp| Found::Text(stamp.stream)),
        Source::Number => stamp.map_or(Found::Missing, |stamp| Found::Number(stamp.n)),
        Source::Field(field) => match (event.index.span(*field), event.bytes(*field)) {
            (Some(span), Some(_)) if *field == Field::Payload => Found::Json(span.start as usize..span.end as usize),
            (Some(span), Some(_)) => match event.instead((span.start as usize).saturating_sub(1)) {
                None => Found::Escaped(span.start as usize..span.end as usize),
                Some(other) => redacted(other),
            },
            _ => Found::Missing,
        },
        Source::Payload(path) => in_payload(path, event).unwrap_or(Found::Missing),
    }
}

fn in_payload<'a>(path: &[String], event: &Event<'a>) -> Option<Found<'a>> {
    let payload = event.bytes(Field::Payload)?;
    let start = event.index.span(Field::Payload)?.start as usize;
    let value = lookup(payload, path.iter().map(String::as_str))?;
    let (from, to) = (start + value.start, start + value.end);
    match &payload[value] {
        b"null" => None,
        _ if let Some(other) = event.instead(from) => Some(redacted(other)),
        [b'"', .., b'"'] => Some(Found::Escaped(from + 1..to - 1)),
        _ => Some(Found::Json(from..to)),
    }
}

/// What stands in the place of a value: nothing, or a string.
fn redacted(other: &[u8]) -> Found<'_> {
    match other {
        [b'"', inside @ .., b'"'] => Found::Redacted(inside),
        _ => Found::Missing,
    }
}

fn write(found: &Found<'_>, place: Place, event: &Event<'_>, entry: &Entry<'_>, body: &mut Body) {
    match (found, place) {
        (Found::Missing, Place::AsValue) => body.push_glue(b"null"),
        (Found::Missing, _) => {}
        (Found::Number(number), _) => body.write_glue(|glue| write_number(*number, glue)),
        (Found::Text(text), Place::AsValue) => body.write_glue(|glue| write_string(text, glue)),
        (Found::Text(text), Place::InString) => body.write_glue(|glue| write_escaped(text, glue)),
        (Found::Text(text), Place::InText) => body.write_glue(|glue| write_plain(text.chars(), glue)),
        (Found::Json(range), Place::AsValue) | (Found::Escaped(range), Place::InString) => {
            entry.lend(event, range.clone(), body);
        }
        (Found::Escaped(range), Place::AsValue) => {
            body.push_glue(b"\"");
            entry.lend(event, range.clone(), body);
            body.push_glue(b"\"");
        }
        (Found::Redacted(text), Place::AsValue) => [b"\"", *text, b"\""].iter().for_each(|part| body.push_glue(part)),
        (Found::Redacted(text), _) => body.push_glue(text),
        (Found::Json(range), Place::InString) => {
            body.write_glue(|glue| pieces(event, range).for_each(|text| write_escaped(text, glue)));
        }
        (Found::Escaped(range), Place::InText) => {
            body.write_glue(|glue| write_plain(unescaped(written(event, range)), glue));
        }
        (Found::Json(range), Place::InText) => {
            body.write_glue(|glue| pieces(event, range).for_each(|text| write_plain(text.chars(), glue)));
        }
    }
}

fn written<'a>(event: &Event<'a>, range: &std::ops::Range<usize>) -> &'a str {
    std::str::from_utf8(&event.raw[range.clone()]).unwrap_or_default()
}

/// JSON text as it may go out.
fn pieces<'a>(event: &Event<'a>, range: &std::ops::Range<usize>) -> impl Iterator<Item = &'a str> {
    event.pieces(range.clone()).map(|piece| std::str::from_utf8(piece.bytes(event.raw)).unwrap_or_default())
}

/// A value in plain text can neither end its line nor speak to a terminal.
fn write_plain(text: impl Iterator<Item = char>, out: &mut Vec<u8>) {
    for character in text {
        let shown = if character.is_control() { ' ' } else { character };
        out.extend_from_slice(shown.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// A placeholder as written, shortened.
fn placeholder_at(source: &str, at: usize) -> String {
    let rest = source.get(at..).unwrap_or_default();
    let end = rest.find(['}', '\n']).map_or(rest.len(), |end| end + usize::from(rest[end..].starts_with('}')));
    rest[..end].chars().take(SHOWN_MAX).collect()
}

fn position(source: &str, at: usize) -> Position {
    let before = source.get(..at).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

const SHOWN_MAX: usize = 60;
