//! The members of an event and of the objects in it, as ranges of its bytes, and the members of ours that are spliced
//! between them.
//!
//! Nothing here parses an event again: the index says where each known value lies, and its key stands right before it,
//! because a known key is never written with escapes. Everything else is walked over without being checked again, so
//! bytes that were never validated give nonsense, but never a panic and never a walk without an end: each step goes
//! forward.

use std::ops::Range;

use crate::body::{Body, Stamp};
use crate::event::{Event, Field};
use crate::format::Unfit;
use crate::index::{Index, after_string};
use crate::json::{inside, unescaped, write_number, write_string};
use crate::time::{is_utc_millis, write_rfc3339};

/// One member of an object.
pub(crate) struct Member<'a> {
    /// The key as written, without its quotes.
    pub(crate) key: &'a [u8],
    /// From the key's opening quote to the end of the value.
    pub(crate) whole: Range<usize>,
    /// The value.
    pub(crate) value: Range<usize>,
}

/// Walks the members of `object`, which begins with `{`. Ranges count from its first byte.
pub(crate) fn members(object: &[u8]) -> Members<'_> {
    Members { object, index: None, at: 0 }
}

/// The members of an event that are no [`Field`]s. Values of fields are stepped over by the index, unread.
pub(crate) fn unknown_members<'a>(event: &Event<'a>) -> impl Iterator<Item = Member<'a>> {
    let all = Members { object: event.raw, index: Some(event.index), at: 0 };
    all.filter(|member| Field::from_name(member.key).is_none())
}

/// Whether an event without any white space has no members but fields. Only where it says so it is so: white space and
/// members that are `null` make it say no.
pub(crate) fn has_only_fields(event: &Event<'_>) -> bool {
    let mut accounted = 1;
    for (field, around) in Field::ALL.into_iter().zip(AROUND) {
        if let Some(span) = event.index.span(field) {
            accounted += around + (span.end - span.start) as usize;
        }
    }
    accounted == event.raw.len()
}

/// Bytes that each field's member has beside its value: the key, its quotes and colon, the quotes of a string, and a comma
/// or the last brace.
const AROUND: [usize; Field::COUNT] = {
    let mut around = [6; Field::COUNT];
    around[Field::Payload as usize] = 4;
    let mut nth = 0;
    while nth < Field::COUNT {
        around[nth] += Field::ALL[nth].name().len();
        nth += 1;
    }
    around
};

/// Finds the value at a path of keys, from object to object. Of equal keys the last counts, as in most parsers.
pub(crate) fn lookup<'a>(object: &[u8], path: impl IntoIterator<Item = &'a str>) -> Option<Range<usize>> {
    let mut found = 0..object.len();
    for key in path {
        let inner = &object[found.clone()];
        if inner.first() != Some(&b'{') {
            return None;
        }
        let value = members(inner).filter(|member| is_key(member.key, key)).last()?.value;
        found = found.start + value.start..found.start + value.end;
    }
    Some(found)
}

pub(crate) struct Members<'a> {
    object: &'a [u8],
    index: Option<&'a Index>,
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let object = self.object;
        let open = self.at + memchr::memchr(b'"', &object[self.at..])?;
        let after_key = after_string(object, open + 1);
        let is_between = |byte: &&u8| matches!(byte, b' ' | b'\t' | b':');
        let start = after_key + object[after_key..].iter().take_while(is_between).count();
        let key = object.get(open + 1..after_key - 1).unwrap_or_default();
        let end = self.field_end(key, start).unwrap_or_else(|| value_end(object, start));
        self.at = end;
        Some(Member { key, whole: open..end, value: start..end })
    }
}

impl Members<'_> {
    /// Where the value that begins at `start` ends, if the index knows.
    fn field_end(&self, key: &[u8], start: usize) -> Option<usize> {
        let index = self.index?;
        let field = Field::from_name(key)?;
        let span = index.span(field)?;
        let end = span.end as usize + usize::from(field != Field::Payload);
        (span.start as usize >= start && end <= self.object.len()).then_some(end.max(start))
    }
}

/// How much of an event's payload goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// All of it.
    Whole,
    /// Only this many bytes, which end behind a member; a closing brace makes an object of them again.
    Leading(usize),
}

/// Ranges of whole members, in order, at least one member each; commas go between them.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    spans: [(usize, usize); Field::COUNT + 1],
    next: usize,
    count: usize,
}

impl Iterator for Ranges {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let (start, end) = *self.spans[..self.count].get(self.next)?;
        self.next += 1;
        Some(start..end)
    }
}

/// The event's members without those fields for which `is_left_out` holds. A field that is `null` is never left out.
pub(crate) fn others(event: &Event<'_>, is_left_out: impl Fn(Field) -> bool) -> Ranges {
    let mut holes = [(0, 0); Field::COUNT];
    let mut count = 0;
    for field in Field::ALL.into_iter().filter(|field| is_left_out(*field)) {
        if let Some(hole) = member(event, field) {
            holes[count] = (hole.start, hole.end);
            count += 1;
        }
    }
    holes[..count].sort_unstable();
    let mut found = Ranges { spans: [(0, 0); Field::COUNT + 1], next: 0, count: 0 };
    let mut start = 1;
    for (hole_start, hole_end) in holes[..count].iter().copied().chain([(event.close() as usize, 0)]) {
        if let Some(between) = trimmed(event.raw, start..hole_start) {
            found.spans[found.count] = (between.start, between.end);
            found.count += 1;
        }
        start = hole_end;
    }
    found
}

/// Where the payload lies, braces included.
pub(crate) fn payload(event: &Event<'_>) -> Option<Range<usize>> {
    let span = event.index.span(Field::Payload)?;
    Some(span.start as usize..span.end as usize)
}

/// Encodes one event by `write`, and once more with less of its payload where that took more than `max` bytes.
///
/// The second time there are `marker` bytes that say so. On an error `body` is as it was.
pub(crate) fn write_fitting(
    event: &Event<'_>,
    max: usize,
    marker: usize,
    body: &mut Body,
    write: impl Fn(Payload, &mut Body),
) -> Result<(), Unfit> {
    let mark = body.mark();
    let before = body.len();
    write(Payload::Whole, body);
    let whole = body.len() - before;
    if whole <= max {
        return Ok(());
    }
    body.rewind(mark);
    if let Some(payload) = payload(event) {
        let room = event.shown_len(payload.clone()).saturating_sub(whole - max + marker);
        write(Payload::Leading(leading_members(event, payload, room)), body);
        if body.len() - before <= max {
            return Ok(());
        }
        body.rewind(mark);
    }
    Err(Unfit {
        why: format!("the event takes {whole} bytes, and even without its payload more than the {max} allowed"),
    })
}

/// Appends `"siem":{…}`, the numbers that prove completeness.
pub(crate) fn write_siem(stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    write_lead(stamp, out);
    write_number(stamp.n, out);
    out.push(b'}');
}

/// What [`write_siem`] writes before the number.
pub(crate) fn write_lead(stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"siem\":");
    write_lead_of_object(stamp, out);
}

/// The same without its key.
pub(crate) fn write_lead_of_object(stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"node\":");
    write_string(stamp.node, out);
    out.extend_from_slice(b",\"stream\":");
    write_string(stamp.stream, out);
    out.extend_from_slice(b",\"n\":");
}

/// Appends the event's time as a JSON string: as written where the receiver reads it so, else the same instant in its
/// plainest form, to the millisecond.
pub(crate) fn write_timestamp(event: &Event<'_>, is_read: fn(&[u8]) -> bool, out: &mut Vec<u8>) {
    match event.quoted(Field::Timestamp).filter(|quoted| is_read(inside(quoted))) {
        Some(quoted) => out.extend_from_slice(quoted),
        None => {
            out.push(b'"');
            write_rfc3339(event.timestamp_ms(), out);
            out.push(b'"');
        }
    }
}

/// Whether strict readers of ISO 8601 take it: they know no lower case letters, no leap seconds and at most nine
/// fractional digits. `written` is a valid RFC 3339 time, possibly with JSON escapes, which are never strict.
pub(crate) fn is_strict(written: &[u8]) -> bool {
    if is_utc_millis(written) {
        return true;
    }
    let fraction = written.get(20..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    written.get(10) == Some(&b'T')
        && written.get(17..19).is_some_and(|seconds| seconds != b"60")
        && !written.iter().any(|byte| matches!(byte, b'z' | b'\\'))
        && fraction <= 9
}

/// Where the field's member lies, key and value, without commas.
fn member(event: &Event<'_>, field: Field) -> Option<Range<usize>> {
    let span = event.index.span(field)?;
    let quotes = usize::from(field != Field::Payload);
    let (start, end) = ((span.start as usize).checked_sub(quotes)?, span.end as usize + quotes);
    let before = event.raw.get(..start)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let key = before.strip_suffix(b"\"")?.strip_suffix(field.name().as_bytes())?.strip_suffix(b"\"")?;
    (end < event.raw.len()).then_some(key.len()..end)
}

/// The range without the commas and white space at its ends, if anything is left.
fn trimmed(raw: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let between = raw.get(range.clone())?;
    let is_content = |byte: &u8| !matches!(byte, b',' | b' ' | b'\t');
    let first = between.iter().position(is_content)?;
    let last = between.iter().rposition(is_content)?;
    Some(range.start + first..range.start + last + 1)
}

/// How many bytes of an object in the event hold its opening brace and as many of its first members as go out in `room`
/// bytes together with a closing brace.
pub(crate) fn leading_members(event: &Event<'_>, object: Range<usize>, room: usize) -> usize {
    let (mut kept, mut shown) = (1, 1);
    for member in members(event.raw.get(object.clone()).unwrap_or_default()) {
        shown += event.shown_len(object.start + kept..object.start + member.whole.end);
        if shown >= room {
            break;
        }
        kept = member.whole.end;
    }
    kept
}

/// Walks the elements of `array`, which begins with `[`. Ranges count from its first byte.
pub(crate) fn elements(array: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 1;
    std::iter::from_fn(move || {
        at += array.get(at..)?.iter().take_while(|byte| matches!(byte, b',' | b' ' | b'\t')).count();
        if matches!(array.get(at), None | Some(b']')) {
            return None;
        }
        let start = at;
        at = value_end(array, start).max(start + 1);
        Some(start..at)
    })
}

/// Whether a key as written, without its quotes, spells `key`.
pub(crate) fn is_key(written: &[u8], key: &str) -> bool {
    if !written.contains(&b'\\') {
        return written == key.as_bytes();
    }
    std::str::from_utf8(written).is_ok_and(|written| unescaped(written).eq(key.chars()))
}

fn value_end(object: &[u8], start: usize) -> usize {
    match object.get(start) {
        Some(b'"') => after_string(object, start + 1),
        Some(b'{' | b'[') => container_end(object, start),
        _ => {
            let is_scalar = |byte: &&u8| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t');
            start + object[start..].iter().take_while(is_scalar).count()
        }
    }
}

fn container_end(object: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0usize);
    while let Some(byte) = object.get(at) {
        at += 1;
        match byte {
            b'"' => at = after_string(object, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::index;
    use proptest::prelude::*;
    use serde_json::Value;

    const REQUIRED: &str = r#""event_id":"e\"","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info""#;
    const RAW: &str = "{\t\"timestamp\" : \"2026-05-12T14:23:01.453Z\" , \"x\":[1, 2],\"event_id\":\"e\",\"tenant_id\":\"t\",\"user_id\":null,\"category\":\"timestamp\",\"action\":\"a\",\"y\" : {} ,\"severity\":\"low\",\"payload\":{\"timestamp\":1} }";

    fn left(is_left_out: impl Fn(Field) -> bool) -> Vec<&'static str> {
        let found = index(RAW.as_bytes()).unwrap();
        others(&Event::new(RAW.as_bytes(), &found), is_left_out).map(|range| &RAW[range]).collect()
    }

    #[test]
    fn what_is_left_out_leaves_whole_members() {
        assert_eq!(left(|_| true), [r#""x":[1, 2]"#, r#""user_id":null"#, r#""y" : {}"#]);
        assert_eq!(left(|_| false), [RAW[1..RAW.len() - 1].trim()]);
        let without_time = left(|field| field == Field::Timestamp);
        assert_eq!(without_time.len(), 1);
        assert!(without_time[0].starts_with(r#""x":"#) && without_time[0].ends_with(r#"{"timestamp":1}"#));
    }

    #[test]
    fn an_index_of_other_bytes_does_not_panic() {
        let found = index(RAW.as_bytes()).unwrap();
        for end in 0..RAW.len() {
            others(&Event::new(&RAW.as_bytes()[..end], &found), |_| true).for_each(drop);
            others(&Event::new(&RAW.as_bytes()[RAW.len() - end..], &found), |_| true).for_each(drop);
        }
    }

    #[test]
    fn leading_members_are_an_object_again() {
        let object = r#"{"a":"},\"","b":[1,2,{"c":3}],"d":{"e":1,"f":2},"g":4}"#;
        let leading = |object: &str, room| {
            let raw = format!(r#"{{{REQUIRED},"payload":{object}}}"#);
            let found = index(raw.as_bytes()).unwrap();
            let event = Event::new(raw.as_bytes(), &found);
            leading_members(&event, payload(&event).unwrap(), room)
        };
        let mut seen = Vec::new();
        for room in 0..object.len() {
            let kept = format!("{}}}", &object[..leading(object, room)]);
            assert!(kept.len() <= room.max(2), "{kept} {room}");
            seen.push(serde_json::from_str::<serde_json::Value>(&kept).unwrap().as_object().unwrap().len());
        }
        assert!(seen.is_sorted());
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3]);
        assert_eq!(leading("{}", 1), 1);
    }

    #[test]
    fn only_times_that_strict_readers_know_go_out_as_written() {
        for strict in ["2026-05-12T14:23:01Z", "2026-05-12T14:23:01.123456789+02:00", "2026-05-12T14:23:01-00:30"] {
            assert!(is_strict(strict.as_bytes()), "{strict}");
        }
        for loose in [
            "2026-05-12t14:23:01Z",
            "2026-05-12T14:23:01z",
            "2016-12-31T23:59:60Z",
            "2026-05-12T14:23:01.1234567890Z",
            r"\u0032026-05-12T14:23:01Z",
        ] {
            assert!(!is_strict(loose.as_bytes()), "{loose}");
        }
    }

    #[test]
    fn unknown_members_are_found_around_known_ones() {
        let raw = format!(
            r#"{{ "x" : [1, "]"] ,{REQUIRED},"user_id":null,"payload":{{"event_id":1,"y":2}},"z":{{"a":"}}"}},"w":-1.5e3 ,"v":"\\" }}"#
        );
        let found = index(raw.as_bytes()).unwrap();
        let event = Event::new(raw.as_bytes(), &found);
        let texts: Vec<&str> = unknown_members(&event).map(|member| &raw[member.whole]).collect();
        assert_eq!(texts, [r#""x" : [1, "]"]"#, r#""z":{"a":"}"}"#, r#""w":-1.5e3"#, r#""v":"\\""#]);
    }

    #[test]
    fn a_path_leads_from_object_to_object() {
        let object = br#"{"a":{"b.c":1,"\u0062":[{"d":1}],"e":null},"f":"{","a":{"b":true}}"#;
        let text = |path: &[&str]| lookup(object, path.iter().copied()).map(|range| &object[range]);
        assert_eq!(text(&["a", "b"]), Some(&b"true"[..]));
        assert_eq!(text(&["f"]), Some(&b"\"{\""[..]));
        assert_eq!(text(&["f", "x"]), None);
        assert_eq!(text(&["g"]), None);
        assert_eq!(lookup(br#"{"a":{"\u0062":[7]}}"#, ["a", "b"]), Some(15..18));
    }

    proptest! {
        #[test]
        fn members_agree_with_serde_json(pairs in prop::collection::btree_map(any::<String>(), value(), 0..6)) {
            let object = serde_json::to_vec(&pairs).unwrap();
            let mut found = Vec::new();
            for member in members(&object) {
                let quoted = [b"\"", member.key, b"\""].concat();
                let key: String = serde_json::from_slice(&quoted).unwrap();
                let value: Value = serde_json::from_slice(&object[member.value.clone()]).unwrap();
                prop_assert_eq!(lookup(&object, [key.as_str()]), Some(member.value));
                found.push((key, value));
            }
            prop_assert_eq!(found, pairs.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_panic(bytes in "[\\{\\}\\[\\]\",:\\\\a1 ]{0,40}") {
            for member in members(bytes.as_bytes()) {
                prop_assert!(member.whole.end <= bytes.len());
            }
            lookup(bytes.as_bytes(), ["a", "1"]);
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }
}
