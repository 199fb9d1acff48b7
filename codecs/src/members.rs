//! An event's members as ranges of its bytes, and the members of ours that are spliced between them.
//!
//! Nothing here parses an event again: the index says where each known value lies, and its key stands right before it,
//! because a known key is never written with escapes.

use std::ops::Range;

use crate::body::{Body, Stamp};
use crate::event::{Event, Field};
use crate::format::Unfit;
use crate::index::after_string;
use crate::json::{write_number, write_string};
use crate::time::write_rfc3339;

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
    if let Some(payload) = event.bytes(Field::Payload) {
        let room = payload.len().saturating_sub(whole - max + marker);
        write(Payload::Leading(leading_members(payload, room)), body);
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
    out.extend_from_slice(b"\"siem\":{\"node\":");
    write_string(stamp.node, out);
    out.extend_from_slice(b",\"stream\":");
    write_string(stamp.stream, out);
    out.extend_from_slice(b",\"n\":");
    write_number(stamp.n, out);
    out.push(b'}');
}

/// Appends the event's time as a JSON string: as written where strict readers of ISO 8601 take it, else made strict.
///
/// Strict readers know no lower case letters, no leap seconds and at most nine fractional digits.
pub(crate) fn write_timestamp(event: &Event<'_>, out: &mut Vec<u8>) {
    out.push(b'"');
    let written = event.bytes(Field::Timestamp).unwrap_or_default();
    if is_strict(written) {
        out.extend_from_slice(written);
    } else {
        write_rfc3339(event.timestamp_ms(), out);
    }
    out.push(b'"');
}

/// `written` is a valid RFC 3339 time, possibly with JSON escapes, which are never strict.
fn is_strict(written: &[u8]) -> bool {
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

/// How many bytes of `object` hold its opening brace and as many of its first members as fit into `room` bytes together
/// with a closing brace.
fn leading_members(object: &[u8], room: usize) -> usize {
    let (mut at, mut depth, mut end) = (0, 0, 1);
    while at < object.len().min(room) {
        match object[at] {
            b'"' => {
                at = after_string(object, at + 1);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 1 => end = at,
            _ => {}
        }
        at += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::index;

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
        let mut seen = Vec::new();
        for room in 0..object.len() {
            let kept = format!("{}}}", &object[..leading_members(object.as_bytes(), room)]);
            assert!(kept.len() <= room.max(2), "{kept} {room}");
            seen.push(serde_json::from_str::<serde_json::Value>(&kept).unwrap().as_object().unwrap().len());
        }
        assert!(seen.is_sorted());
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3]);
        assert_eq!(leading_members(b"{}", 1), 1);
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
}
