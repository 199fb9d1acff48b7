//! Which parts of an event's JSON a message keeps. Parts are ranges of the event's bytes, so nothing is copied, and
//! what they make together is still one JSON object.

use std::ops::Range;

use super::Shortened;
use crate::event::{Event, Field};
use crate::json::escaped_prefix;

/// The ranges kept, rising; some may be empty.
pub(super) fn kept(event: &Event<'_>, shortened: &Shortened) -> [Range<u32>; 4] {
    let end = event.raw.len() as u32;
    if !shortened.truncated {
        return [0..end, end..end, end..end, end..end];
    }
    let mut cuts = [
        if shortened.payload { None } else { payload_member(event) },
        tail(event, Field::UserAgent, shortened.user_agent),
        tail(event, Field::ResourcePath, shortened.resource_path),
    ]
    .map(|cut| cut.unwrap_or(end..end));
    cuts.sort_unstable_by_key(|cut| cut.start);
    let mut at = 0;
    let before = cuts.map(|cut| {
        let kept = at..cut.start.max(at);
        at = cut.end.max(at);
        kept
    });
    let [first, second, third] = before;
    [first, second, third, at..end.max(at)]
}

/// How many bytes are kept.
pub(super) fn length(event: &Event<'_>, shortened: &Shortened) -> usize {
    if !shortened.truncated && event.edits.is_none() {
        return event.raw.len();
    }
    kept(event, shortened).into_iter().map(|range| event.shown_len(range.start as usize..range.end as usize)).sum()
}

/// What of a string lies beyond `limit` bytes.
fn tail(event: &Event<'_>, field: Field, limit: usize) -> Option<Range<u32>> {
    let written = event.field(field).filter(|written| written.len() > limit)?;
    let span = event.index.span(field)?;
    Some(span.start + escaped_prefix(written, limit).len() as u32..span.end)
}

/// The whole member `"payload":{…}` with the comma before it, or after it if it is the first member.
///
/// Looks outward from the value. In an accepted event the key is written plainly and stands right before it.
fn payload_member(event: &Event<'_>) -> Option<Range<u32>> {
    event.bytes(Field::Payload)?;
    let span = event.index.span(Field::Payload)?;
    let (before, value_and_after) = event.raw.split_at_checked(span.start as usize)?;
    let after = value_and_after.get((span.end - span.start) as usize..)?;
    let before =
        before.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"payload\"")?.trim_ascii_end();
    if let Some(others) = before.strip_suffix(b",") {
        return Some(others.len() as u32..span.end);
    }
    let others = after.trim_ascii_start().strip_prefix(b",")?;
    Some(before.len() as u32..(event.raw.len() - others.len()) as u32)
}
