//! Validating an event and noting where its fields lie, in one pass and without allocation.
//!
//! What is always true of an accepted event: it is one JSON object (RFC 8259) on one line, from its first byte to its
//! last; it is valid UTF-8; no top-level key stands twice; no known key is written with escapes; there is no top-level
//! `siem`, which is ours to add. So whoever parses it sees the same fields that the index names, whether that parser
//! takes the first or the last of two equal keys.
//!
//! Accepted is exactly what `serde_json` accepts, less what the rules above, [`DEPTH_MAX`], [`UNKNOWN_KEYS_MAX`] and
//! [`EVENT_BYTES_MAX`] refuse. Numbers that do not fit a double (`1e999`) are refused by both.

use crate::event::Field;
use crate::json::unescaped;
use crate::severity::Severity;
use crate::time::parse_rfc3339;

mod marks;
mod names;
mod scan;

pub(crate) use scan::{Scanner, Text, after_string};

/// Objects and arrays may be nested this deep; the event itself is level 1.
pub const DEPTH_MAX: usize = 64;
/// An event may have this many top-level keys that are not [`Field`]s.
pub const UNKNOWN_KEYS_MAX: usize = 256;
/// The longest event in bytes, whatever the agent's own limit says.
pub const EVENT_BYTES_MAX: usize = 16 << 20;

/// Where the fields of one event lie in its bytes, and what filters and headers need most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub(crate) spans: [Span; Field::COUNT],
    /// One bit for each [`Field`]: the field is there.
    pub(crate) present: u16,
    /// One bit for each [`Field`]: the string has escapes.
    pub(crate) escaped: u16,
    pub(crate) severity: Severity,
    pub(crate) timestamp_ms: i64,
}

/// A range of bytes of the event: a string without its quotes, or an object with its braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// Why an event was not taken. The text is for people; [`Refusal::code`] is for counting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Longer than [`EVENT_BYTES_MAX`].
    #[error("the event has {bytes} bytes; at most {EVENT_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("the event is not valid UTF-8 (byte {at})")]
    NotUtf8 {
        /// The first bad byte, from 0.
        at: usize,
    },
    /// The first byte does not open an object.
    #[error("the event is not a JSON object")]
    NotAnObject,
    /// Not JSON.
    #[error("the event is not valid JSON: byte {at} is not {expected}")]
    Syntax {
        /// Where, from 0.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// A number that no double can hold.
    #[error("the number at byte {at} is out of range")]
    NumberRange {
        /// Where it begins, from 0.
        at: usize,
    },
    /// A line break between two tokens; see [`unbreak_lines`].
    #[error("the event is not on one line (byte {at} is a line break)")]
    LineBreak {
        /// Where, from 0.
        at: usize,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("the event is nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    /// More unknown top-level keys than [`UNKNOWN_KEYS_MAX`].
    #[error("the event has more than {UNKNOWN_KEYS_MAX} keys of its own")]
    TooManyKeys,
    /// A top-level key that stands twice.
    #[error("the key `{key}` stands twice")]
    RepeatedKey {
        /// Its beginning, without escapes.
        key: String,
    },
    /// A known key, or `siem`, written with escapes.
    #[error("the key `{key}` is written with escapes")]
    EscapedKey {
        /// What it spells.
        key: &'static str,
    },
    /// A top-level `siem`.
    #[error("the key `siem` is reserved for the agent")]
    ReservedKey,
    /// A required field is not there.
    #[error("the field `{}` is missing", field.name())]
    Missing {
        /// Which one.
        field: Field,
    },
    /// A known field of another type.
    #[error("the field `{}` is not {}", field.name(), if *field == Field::Payload { "an object" } else { "a string" })]
    WrongType {
        /// Which one.
        field: Field,
    },
    /// A `timestamp` that is not RFC 3339.
    #[error("the field `timestamp` is not an RFC 3339 time such as 2026-05-12T14:23:01.453Z")]
    BadTimestamp,
}

/// Validates one event and finds its fields.
///
/// `raw` is one JSON object with nothing around it, not even white space, and without line breaks between tokens
/// (see [`unbreak_lines`]).
///
/// # Errors
/// The first [`Refusal`] met. Syntax is judged before what is missing.
pub fn index(raw: &[u8]) -> Result<Index, Refusal> {
    if raw.len() > EVENT_BYTES_MAX {
        return Err(Refusal::TooLong { bytes: raw.len() });
    }
    is_utf8(raw)?;
    if raw.first() != Some(&b'{') {
        return Err(Refusal::NotAnObject);
    }
    let (mut found, mut others) = (Found::default(), UnknownKeys::default());
    let mut scanner = Scanner::new(raw);
    let mut has_more = scanner.opens(b'}');
    let mut is_usual = true;
    while has_more {
        if is_usual {
            scanner = found.usual_members(scanner);
            // Who writes the first member in another way most likely writes all of them so.
            is_usual = found.present != 0;
        }
        let key = scanner.key()?;
        match found.field(raw, key) {
            Some(field) => found.value(&mut scanner, field)?,
            None => {
                others.insert(raw, key)?;
                scanner.value(1)?;
            }
        }
        has_more = scanner.goes_on(b'}', "`,` or `}`")?;
    }
    scanner.end()?;
    found.finish(raw)
}

fn is_utf8(raw: &[u8]) -> Result<(), Refusal> {
    simdutf8::compat::from_utf8(raw).map(|_| ()).map_err(|error| Refusal::NotUtf8 { at: error.valid_up_to() })
}

/// Makes one line of an event: line breaks between tokens become spaces.
///
/// Line breaks inside strings are not JSON and stay, so that [`index()`] refuses them.
pub fn unbreak_lines(raw: &mut [u8]) {
    let Some(mut at) = memchr::memchr2(b'\n', b'\r', raw) else { return };
    // Strings before the first line break decide whether it lies in one, so the walk starts at the beginning.
    let first = at;
    at = 0;
    while let Some(step) = memchr::memchr3(b'"', b'\n', b'\r', &raw[at..]) {
        at += step;
        if raw[at] == b'"' {
            at = scan::after_string(raw, at + 1);
        } else {
            debug_assert!(at >= first);
            raw[at] = b' ';
        }
    }
}

impl Index {
    /// Where the field lies, if it is there.
    pub fn span(&self, field: Field) -> Option<Span> {
        (self.present & bit(field) != 0).then(|| self.spans[field as usize])
    }

    /// Whether the field is a string with escapes in it.
    pub fn has_escapes(&self, field: Field) -> bool {
        self.escaped & bit(field) != 0
    }

    /// Forgets the escapes of a field's text, which another one replaces, or the whole field.
    pub(crate) fn hide(&mut self, field: Field, is_gone: bool) {
        self.escaped &= !bit(field);
        if is_gone {
            self.present &= !bit(field);
        }
    }

    /// How grave the event is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// When it happened, in epoch milliseconds.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }
}

impl Refusal {
    /// A stable short name for counters.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::TooLong { .. } => "too_long",
            Refusal::NotUtf8 { .. } => "not_utf8",
            Refusal::NotAnObject => "not_an_object",
            Refusal::Syntax { .. } => "syntax",
            Refusal::NumberRange { .. } => "number_range",
            Refusal::LineBreak { .. } => "line_break",
            Refusal::TooDeep => "too_deep",
            Refusal::TooManyKeys => "too_many_keys",
            Refusal::RepeatedKey { .. } => "repeated_key",
            Refusal::EscapedKey { .. } => "escaped_key",
            Refusal::ReservedKey => "reserved_key",
            Refusal::Missing { .. } => "missing_field",
            Refusal::WrongType { .. } => "wrong_type",
            Refusal::BadTimestamp => "bad_timestamp",
        }
    }
}

/// What the scan has met so far.
#[derive(Default)]
struct Found {
    spans: [Span; Field::COUNT],
    /// Fields that are there with a value.
    present: u16,
    /// Fields whose key was met, `null` included.
    met: u16,
    escaped: u16,
}

impl Found {
    /// Takes known members of the usual kind, up to the first that is otherwise. Alone in a function, with a scanner of its
    /// own, this loop has what it needs in registers.
    #[inline(never)]
    fn usual_members<'a>(&mut self, start: Scanner<'a>) -> Scanner<'a> {
        let mut scanner = start;
        if scanner.next_token() != Some(b'"') {
            return scanner;
        }
        while let Some((key, value, behind)) = scanner.usual_member() {
            let Some(field) = self.field(scanner.raw(), key) else { break };
            if field == Field::Payload {
                break;
            }
            self.put(field, value.span());
            scanner = behind;
        }
        scanner
    }

    /// The field of a key, unless it was met before.
    #[inline(always)]
    fn field(&self, raw: &[u8], key: Text) -> Option<Field> {
        let field = if key.has_escapes { None } else { names::field(raw, key.start, key.end) };
        field.filter(|field| self.met & bit(*field) == 0)
    }

    /// Walks the value of a field.
    fn value(&mut self, scanner: &mut Scanner<'_>, field: Field) -> Result<(), Refusal> {
        let span = if scanner.peek() == Some(b'"') && field != Field::Payload {
            let text = scanner.string()?;
            self.escaped |= if text.has_escapes { bit(field) } else { 0 };
            text.span()
        } else {
            let start = scanner.position();
            let first = scanner.peek();
            // Bad syntax is reported as such before a wrong type is.
            scanner.value(1)?;
            match first {
                Some(b'n') if !field.is_required() => {
                    self.met |= bit(field);
                    return Ok(());
                }
                Some(b'{') if field == Field::Payload => Span { start: start as u32, end: scanner.position() as u32 },
                _ => return Err(Refusal::WrongType { field }),
            }
        };
        self.put(field, span);
        Ok(())
    }

    #[inline(always)]
    fn put(&mut self, field: Field, span: Span) {
        self.met |= bit(field);
        self.present |= bit(field);
        self.spans[field as usize] = span;
    }

    #[inline(always)]
    fn finish(&self, raw: &[u8]) -> Result<Index, Refusal> {
        let missing = Field::ALL.into_iter().find(|field| field.is_required() && self.present & bit(*field) == 0);
        if let Some(field) = missing {
            return Err(Refusal::Missing { field });
        }
        let timestamp_ms = self.short_text(raw, Field::Timestamp, parse_rfc3339);
        let severity = self.short_text(raw, Field::Severity, |word| Some(Severity::from_bytes(word)));
        Ok(Index {
            spans: self.spans,
            present: self.present,
            escaped: self.escaped,
            severity: severity.unwrap_or(Severity::Unknown),
            timestamp_ms: timestamp_ms.ok_or(Refusal::BadTimestamp)?,
        })
    }

    /// Reads a field that is short if it means anything. Its escapes are undone on the stack; what does not fit is
    /// nothing that `read` knows.
    fn short_text<T>(&self, raw: &[u8], field: Field, read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let span = self.spans[field as usize];
        let written = &raw[span.start as usize..span.end as usize];
        if self.escaped & bit(field) == 0 {
            return read(written);
        }
        let mut buffer = [0u8; SHORT_TEXT_MAX];
        let mut used = 0;
        for character in unescaped(std::str::from_utf8(written).ok()?) {
            let room = buffer.get_mut(used..used + character.len_utf8())?;
            used += character.encode_utf8(room).len();
        }
        read(&buffer[..used])
    }
}

/// The top-level keys that are no [`Field`]s. Most events have none, so the table is only made for the first one.
///
/// Each key is compared with those before it by hash, and by text where the hashes agree: bounded work, and no
/// chosen collision can make two different keys look equal.
#[derive(Default)]
struct UnknownKeys {
    count: usize,
    hashes: Option<[u32; UNKNOWN_KEYS_MAX]>,
    keys: Option<[Span; UNKNOWN_KEYS_MAX]>,
}

impl UnknownKeys {
    /// Takes a key that is no field's, or not for the first time.
    #[inline(never)]
    fn insert(&mut self, raw: &[u8], key: Text) -> Result<(), Refusal> {
        if key.has_escapes {
            refuse_known(key.written(raw))?;
        } else if let Some(field) = Field::from_name(key.bytes(raw)) {
            return Err(Refusal::RepeatedKey { key: field.name().to_owned() });
        } else if key.bytes(raw) == RESERVED.as_bytes() {
            return Err(Refusal::ReservedKey);
        }
        let written = key.written(raw);
        let hash = key_hash(written);
        let hashes = self.hashes.get_or_insert([0; UNKNOWN_KEYS_MAX]);
        let keys = self.keys.get_or_insert([Span::default(); UNKNOWN_KEYS_MAX]);
        for (nth, other) in hashes[..self.count].iter().enumerate() {
            if *other == hash && unescaped(keys[nth].written(raw)).eq(unescaped(written)) {
                return Err(Refusal::RepeatedKey { key: unescaped(written).take(KEY_SHOWN_MAX).collect() });
            }
        }
        if self.count == UNKNOWN_KEYS_MAX {
            return Err(Refusal::TooManyKeys);
        }
        hashes[self.count] = hash;
        keys[self.count] = key.span();
        self.count += 1;
        Ok(())
    }
}

impl Span {
    /// The text of a span that the scanner has made.
    fn written(self, raw: &[u8]) -> &str {
        std::str::from_utf8(&raw[self.start as usize..self.end as usize]).unwrap_or_default()
    }
}

fn refuse_known(written: &str) -> Result<(), Refusal> {
    let names = Field::ALL.iter().map(|field| field.name()).chain([RESERVED]);
    match names.into_iter().find(|name| unescaped(written).eq(name.chars())) {
        Some(key) => Err(Refusal::EscapedKey { key }),
        None => Ok(()),
    }
}

fn key_hash(written: &str) -> u32 {
    unescaped(written).fold(0x811c_9dc5, |hash, character| (hash ^ character as u32).wrapping_mul(0x0100_0193))
}

fn bit(field: Field) -> u16 {
    1 << field as u16
}

const RESERVED: &str = "siem";
/// No timestamp or severity word that means anything is longer.
const SHORT_TEXT_MAX: usize = 64;
const KEY_SHOWN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: &str = r#""event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info""#;

    fn refusal(members: &str) -> Option<&'static str> {
        index(format!("{{{REQUIRED}{members}}}").as_bytes()).err().map(|refusal| refusal.code())
    }

    #[test]
    fn an_event_may_have_more_than_it_must() {
        let accepted = [
            "",
            r#","x":[1,-2.5e3,true,false,null,{"action":1,"action":2}]"#,
            r#","user_id":null,"payload":null"#,
            r#","payload":{"siem":1}"#,
            " \t,\t\"\\u0073iemens\" : {} ",
            r#","":"","ıp":"😀","sieM":1"#,
            r#","n":1e308,"z":0e999,"t":1e-999"#,
        ];
        for members in accepted {
            assert_eq!(refusal(members), None, "{members}");
        }
    }

    #[test]
    fn what_a_parser_could_read_in_two_ways_is_refused() {
        let refused = [
            (r#","action":"b""#, "repeated_key"),
            (r#","user_id":null,"user_id":"u""#, "repeated_key"),
            (r#","x":1,"x":1"#, "repeated_key"),
            (r#","x":1,"\u0078":1"#, "repeated_key"),
            (r#","\u0061ction":"b""#, "escaped_key"),
            (r#","resource\u005fpath":"/tmp/x""#, "escaped_key"),
            (r#","\u0073iem":{}"#, "escaped_key"),
            (r#","siem":{}"#, "reserved_key"),
            (",\"x\":\n1", "line_break"),
            (",\r\"x\":1", "line_break"),
        ];
        for (members, code) in refused {
            assert_eq!(refusal(members), Some(code), "{members}");
        }
    }

    #[test]
    fn a_field_of_the_wrong_type_or_a_bad_time_is_refused() {
        let refused = [
            (r#","user_id":1"#, "wrong_type"),
            (r#","ip":["::1"]"#, "wrong_type"),
            (r#","payload":"{}""#, "wrong_type"),
            (r#","payload":[]"#, "wrong_type"),
            (r#","payload":[}"#, "syntax"),
            (r#","x":1e999"#, "number_range"),
        ];
        for (members, code) in refused {
            assert_eq!(refusal(members), Some(code), "{members}");
        }
        for field in Field::ALL.into_iter().filter(|field| field.is_required()) {
            let gone = format!("{{{REQUIRED}}}").replace(field.name(), "other");
            assert_eq!(index(gone.as_bytes()), Err(Refusal::Missing { field }));
            let null = format!("{{\"{}\":null}}", field.name());
            assert_eq!(index(null.as_bytes()), Err(Refusal::WrongType { field }));
        }
        let bad = format!("{{{REQUIRED}}}").replace("2026", "20266");
        assert_eq!(index(bad.as_bytes()), Err(Refusal::BadTimestamp));
        let long = format!("{{{REQUIRED}}}").replace("2026", &"\\u0032".repeat(SHORT_TEXT_MAX + 1));
        assert_eq!(index(long.as_bytes()), Err(Refusal::BadTimestamp));
    }

    #[test]
    fn a_time_and_a_severity_may_be_written_with_escapes() {
        let raw = format!("{{{REQUIRED}}}").replace("01Z", r"01\u002b02:00").replace("info", r"h\u0069gh");
        let index = index(raw.as_bytes()).unwrap();
        assert_eq!(index.timestamp_ms(), 1_778_588_581_000);
        assert_eq!(index.severity(), Severity::Error);
    }

    #[test]
    fn every_bound_is_exact() {
        let nested = |levels: usize| format!(",\"x\":{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(refusal(&nested(DEPTH_MAX - 1)), None);
        assert_eq!(refusal(&nested(DEPTH_MAX)), Some("too_deep"));
        let keys = |count: usize| (0..count).map(|nth| format!(",\"k{nth}\":{nth}")).collect::<String>();
        assert_eq!(refusal(&keys(UNKNOWN_KEYS_MAX)), None);
        assert_eq!(refusal(&keys(UNKNOWN_KEYS_MAX + 1)), Some("too_many_keys"));
        let long = vec![b'{'; EVENT_BYTES_MAX + 1];
        assert_eq!(index(&long), Err(Refusal::TooLong { bytes: EVENT_BYTES_MAX + 1 }));
    }

    #[test]
    fn bytes_around_the_object_are_refused() {
        for raw in ["", " ", "[]", "{", "null", "\"{}\""] {
            assert!(index(raw.as_bytes()).is_err(), "{raw}");
        }
        let event = format!("{{{REQUIRED}}}");
        assert!(index(event.as_bytes()).is_ok());
        assert_eq!(index(format!(" {event}").as_bytes()), Err(Refusal::NotAnObject));
        for after in [" ", "x", "{}", "}"] {
            assert!(matches!(index(format!("{event}{after}").as_bytes()), Err(Refusal::Syntax { .. })), "{after}");
        }
        let closed = Refusal::Syntax { at: 2, expected: "the end of the event" };
        assert_eq!(index(br#"{}"event_id":"e","action":"a""#), Err(closed));
        assert_eq!(index(b"{\"event_id\":\"\xff\"}"), Err(Refusal::NotUtf8 { at: 13 }));
        let long = "é".repeat(200);
        let spoilt = [b"{\"event_id\":\"", long.as_bytes(), b"\xc3\"}"].concat();
        assert_eq!(index(&spoilt), Err(Refusal::NotUtf8 { at: 13 + long.len() }));
    }

    #[test]
    fn a_refusal_says_in_plain_words_what_is_wrong() {
        let words = |members: &str| index(format!("{{{REQUIRED}{members}}}").as_bytes()).unwrap_err().to_string();
        assert_eq!(words(r#","action":"b""#), "the key `action` stands twice");
        assert_eq!(words(r#","\u0061ction":"b""#), "the key `action` is written with escapes");
        assert_eq!(words(r#","payload":1"#), "the field `payload` is not an object");
        assert_eq!(words(r#","x":tru"#), "the event is not valid JSON: byte 117 is not `true`, `false` or `null`");
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces_and_others_stay() {
        let mut raw = b"{\r\n\"a\\\"\n\":\n1,\"b\\\\\"\n:\"\n\"}\n".to_vec();
        unbreak_lines(&mut raw);
        assert_eq!(raw, b"{  \"a\\\"\n\": 1,\"b\\\\\" :\"\n\"} ");
        for unfinished in [&b"\n\"abc"[..], b"\n\"abc\\", b"\n\"abc\\\"", b""] {
            unbreak_lines(&mut unfinished.to_vec());
        }
    }

    #[test]
    fn an_event_over_several_lines_is_taken_once_it_is_one() {
        let value: serde_json::Value =
            serde_json::from_str(&format!("{{{REQUIRED},\"payload\":{{\"a\":[1,2]}}}}")).unwrap();
        let mut raw = serde_json::to_vec_pretty(&value).unwrap();
        assert!(matches!(index(&raw), Err(Refusal::LineBreak { at: 1 })));
        unbreak_lines(&mut raw);
        assert!(index(&raw).is_ok());
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&raw).unwrap(), value);
    }
}
