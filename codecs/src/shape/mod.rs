//! Shapes: one event in the words of a schema, apart from what carries it.
//!
//! | shape | what an event becomes | whose words |
//! |-------|-----------------------|-------------|
//! | [`Shape::Canonical`] | what it was, borrowed from the log | ours |
//! | [`Shape::Ecs`] | a JSON object | the Elastic Common Schema 9.4 |
//! | [`Shape::Ocsf`] | a JSON object | the Open Cybersecurity Schema Framework 1.8.0 |
//! | [`Shape::Asim`] | a flat JSON object | Microsoft's Advanced Security Information Model |
//! | [`Shape::Cef`] | a line of text | the Common Event Format, version 0 |
//! | [`Shape::Leef`] | a line of text | the Log Event Extended Format 2.0 |
//!
//! Each has a file with one table: which place of the schema is filled from what. The meaning of an action comes from the
//! [`crate::catalogue`]. What every shape promises: each field of the event is somewhere in it under its own name or the
//! schema's, `event_id` and `service_account` above all; so are members that no field knows, and the numbers that prove
//! completeness; the payload is whole, or its first members are there and a marker says that the rest is not. Nothing is
//! parsed into a tree and nothing is allocated: values go over as they are written, or with their escapes exchanged.

use std::net::IpAddr;
use std::ops::Range;

use crate::body::{Body, Stamp};
use crate::catalogue::{Action, Fact, Outcome, meaning};
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::{Entry, Unfit};
use crate::json::{escaped_prefix, write_escaped};
use crate::members::{self, leading_members, lookup, unknown_members, write_siem};

mod asim;
mod cef;
mod cim;
mod ecs;
mod leef;
mod ocsf;
mod table;
mod text;

pub(crate) use asim::COLUMNS as ASIM_COLUMNS;
pub(crate) use cim::write_fields as write_cim_fields;

/// Who makes the product that events are about; never changes, because receivers tell events apart by it.
pub const VENDOR: &str = "ScaiLabs";
/// The product that events are about.
pub const PRODUCT: &str = "ScaiDrive";
/// The version of these mappings, where a format wants one of its device. It changes when a field goes elsewhere.
pub const MAPPING_VERSION: &str = "1.0";

/// One event in the words of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Shape {
    /// As it came.
    #[default]
    Canonical,
    /// Elastic Common Schema.
    Ecs,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
    /// Advanced Security Information Model.
    Asim,
    /// Common Event Format.
    Cef,
    /// Log Event Extended Format.
    Leef,
}

/// How much of an event's long values goes out, in bytes of what the event shows of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the payload; less than it has means as many of its first members as fit.
    pub payload: usize,
    /// Of `user_agent`.
    pub user_agent: usize,
    /// Of `resource_path`.
    pub resource_path: usize,
    /// Whether the event says that it is cut, whatever the others are.
    pub is_marked: bool,
}

impl Limits {
    /// Everything goes out.
    pub const NONE: Limits =
        Limits { payload: usize::MAX, user_agent: usize::MAX, resource_path: usize::MAX, is_marked: false };
}

impl Shape {
    /// Every shape.
    pub const ALL: [Shape; 6] = [Shape::Canonical, Shape::Ecs, Shape::Ocsf, Shape::Asim, Shape::Cef, Shape::Leef];

    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Canonical => "canonical",
            Shape::Ecs => "ecs",
            Shape::Ocsf => "ocsf",
            Shape::Asim => "asim",
            Shape::Cef => "cef",
            Shape::Leef => "leef",
        }
    }

    /// The shape with this name.
    pub fn named(name: &str) -> Option<Shape> {
        Shape::ALL.into_iter().find(|shape| shape.name() == name)
    }

    /// Where an event's id stands in it: a key, or keys with dots between them. Who looks for an event asks for that.
    pub fn id_path(self) -> &'static str {
        match self {
            Shape::Canonical => Field::EventId.name(),
            Shape::Ecs => "event.id",
            Shape::Ocsf => "metadata.uid",
            Shape::Asim => "EventOriginalUid",
            Shape::Cef => "externalId",
            Shape::Leef => "eventId",
        }
    }

    /// Whether an event is a line of text in it, and not a JSON object.
    pub fn is_text(self) -> bool {
        matches!(self, Shape::Cef | Shape::Leef)
    }

    /// Appends an event: a JSON object, or a line of text without its end. Neither holds a line break.
    pub fn write(self, event: &Event<'_>, entry: &Entry<'_>, limits: &Limits, body: &mut Body, scratch: &mut Scratch) {
        if self == Shape::Canonical {
            return push_canonical(event, entry, body);
        }
        if !self.is_text() {
            body.push_glue(b"{");
        }
        self.write_on(event, entry, limits, body, scratch);
    }

    /// Appends an event without the brace that opens its object, which may have members already. Not for
    /// [`Shape::Canonical`], which is whole or nothing.
    pub(crate) fn write_on(
        self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        limits: &Limits,
        body: &mut Body,
        scratch: &mut Scratch,
    ) {
        let Scratch { text, other_text, .. } = scratch;
        let seen = Seen::new(event, entry, limits, text, other_text);
        match self {
            Shape::Canonical => {}
            Shape::Ecs => ecs::SHAPE.write(&seen, body),
            Shape::Ocsf => ocsf::write(&seen, body),
            Shape::Asim => asim::SHAPE.write(&seen, body),
            Shape::Cef => body.write_glue(|glue| cef::write(&seen, text, glue)),
            Shape::Leef => body.write_glue(|glue| leef::write(&seen, text, glue)),
        }
    }

    /// Appends an event as one JSON value: text as a string.
    pub fn write_json(
        self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        limits: &Limits,
        body: &mut Body,
        scratch: &mut Scratch,
    ) {
        if !self.is_text() {
            return self.write(event, entry, limits, body, scratch);
        }
        let mut line = std::mem::take(&mut scratch.message);
        line.clear();
        self.write(event, entry, limits, &mut line, scratch);
        body.push_glue(b"\"");
        for slice in line.slices(|_| event.raw) {
            let text = std::str::from_utf8(slice).unwrap_or_default();
            body.write_glue(|glue| write_escaped(text, glue));
        }
        body.push_glue(b"\"");
        scratch.message = line;
    }

    /// Appends an event in at most `max` bytes by `write`, with less of its payload, then of `user_agent` and then of
    /// `resource_path` where that is needed.
    ///
    /// # Errors
    /// When the rest alone takes more; `body` is then as it was.
    pub(crate) fn write_fitting(
        event: &Event<'_>,
        max: usize,
        body: &mut Body,
        mut write: impl FnMut(&Limits, &mut Body),
    ) -> Result<(), TooMuch> {
        let (mark, before) = (body.mark(), body.len());
        // Writes anew, and says by how many bytes that is too long.
        let mut over = |limits: &Limits| {
            body.rewind(mark);
            write(limits, body);
            (body.len() - before).saturating_sub(max)
        };
        let mut limits = Limits::NONE;
        let mut rest = over(&limits);
        if rest == 0 {
            return Ok(());
        }
        limits.is_marked = true;
        let payload = members::payload(event).map_or(0, |payload| event.shown_len(payload));
        // Escapes may take more than what they stand for.
        for limit in [payload.saturating_sub(rest + MARKER_ROOM), 0] {
            limits.payload = limit;
            rest = over(&limits);
            if rest == 0 {
                return Ok(());
            }
        }
        for (field, limit_of) in LONG_VALUES {
            let whole = event.bytes(field).map_or(0, <[u8]>::len);
            let guess = whole.saturating_sub(rest);
            *limit_of(&mut limits) = guess;
            if guess > 0 && over(&limits) == 0 {
                return Ok(());
            }
            *limit_of(&mut limits) = 0;
            rest = over(&limits);
            if rest > 0 {
                continue;
            }
            // Escapes took less room than what they stand for, or the value has several places: look for what fits.
            let (mut fits, mut too_long) = (0_usize, if guess == 0 { whole } else { guess });
            for _ in 0..HALVINGS {
                let middle = fits.midpoint(too_long);
                *limit_of(&mut limits) = middle;
                *(if over(&limits) == 0 { &mut fits } else { &mut too_long }) = middle;
            }
            *limit_of(&mut limits) = fits;
            over(&limits);
            return Ok(());
        }
        body.rewind(mark);
        Err(TooMuch { bytes: max + rest, max })
    }
}

/// An event that takes too much room even when it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMuch {
    /// What it takes then.
    pub(crate) bytes: usize,
    /// What is allowed.
    pub(crate) max: usize,
}

impl From<TooMuch> for Unfit {
    fn from(TooMuch { bytes, max }: TooMuch) -> Unfit {
        Unfit { why: format!("the event takes {bytes} bytes even when it is cut; at most {max} are allowed") }
    }
}

/// The event as it came, with its number spliced in as the first member.
fn push_canonical(event: &Event<'_>, entry: &Entry<'_>, body: &mut Body) {
    let length = event.raw.len();
    let Some(stamp) = entry.stamp else { return entry.lend(event, 0..length, body) };
    body.write_glue(|glue| {
        glue.push(b'{');
        write_siem(stamp, glue);
        glue.push(b',');
    });
    entry.lend(event, 1.min(length)..length, body);
}

/// One event and what was found out about it once for all places of a table.
pub(crate) struct Seen<'a> {
    pub(crate) event: &'a Event<'a>,
    pub(crate) entry: &'a Entry<'a>,
    pub(crate) row: &'static Action,
    pub(crate) outcome: Outcome,
    pub(crate) address: Address,
    /// The two parts of `resource_path` as written; see [`split_path`].
    folder: &'a [u8],
    name: &'a [u8],
    limits: &'a Limits,
    /// How much of the payload goes out, and whether anything does not.
    payload: Option<Kept>,
    is_cut: bool,
}

/// What the field `ip` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    None,
    V4,
    V6,
    /// Something else, which places for addresses refuse.
    Other,
}

/// A beginning of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// From its opening brace.
    pub(crate) range: Range<usize>,
    /// Whether a closing brace has to follow.
    pub(crate) is_cut: bool,
}

impl Kept {
    /// How many bytes of it go out, the closing brace included.
    fn shown_len(&self, event: &Event<'_>) -> usize {
        event.shown_len(self.range.clone()) + usize::from(self.is_cut)
    }
}

impl<'a> Seen<'a> {
    fn new(
        event: &'a Event<'a>,
        entry: &'a Entry<'a>,
        limits: &'a Limits,
        text: &mut String,
        other: &mut String,
    ) -> Seen<'a> {
        let action = event.text(Field::Action, text).unwrap_or_default();
        let row = meaning(action, event.text(Field::Category, other).unwrap_or_default());
        let outcome = row.outcome_of(action);
        let address = match event.text(Field::Ip, text) {
            None | Some("") => Address::None,
            Some(written) => match written.parse() {
                Ok(IpAddr::V4(_)) => Address::V4,
                Ok(IpAddr::V6(_)) => Address::V6,
                Err(_) => Address::Other,
            },
        };
        let payload = kept_payload(event, limits.payload);
        let is_longer = |field, limit| event.bytes(field).is_some_and(|written| written.len() > limit);
        let is_cut = limits.is_marked
            || payload.as_ref().is_some_and(|kept| kept.is_cut)
            || is_longer(Field::UserAgent, limits.user_agent)
            || is_longer(Field::ResourcePath, limits.resource_path);
        let mut seen = Seen { event, entry, row, outcome, address, folder: b"", name: b"", limits, payload, is_cut };
        if let Some(path) = seen.text(Field::ResourcePath) {
            (seen.folder, seen.name) = split_path(path);
        }
        seen
    }

    /// The last part of `resource_path`.
    pub(crate) fn file_name(&self) -> Option<&'a [u8]> {
        Some(self.name).filter(|name| !name.is_empty())
    }

    pub(crate) fn stamp(&self) -> Option<&'a Stamp<'a>> {
        self.entry.stamp
    }

    /// A text as written, within its limit; nothing if it is empty.
    pub(crate) fn text(&self, field: Field) -> Option<&'a [u8]> {
        let written = self.event.bytes(field).filter(|written| !written.is_empty())?;
        let limit = match field {
            Field::UserAgent => self.limits.user_agent,
            Field::ResourcePath => self.limits.resource_path,
            _ => return Some(written),
        };
        if written.len() <= limit {
            return Some(written);
        }
        Some(escaped_prefix(std::str::from_utf8(written).ok()?, limit).as_bytes()).filter(|kept| !kept.is_empty())
    }

    /// Who did it: a person where one is named, else a service account.
    pub(crate) fn who(&self) -> Option<&'a [u8]> {
        self.person().or_else(|| self.text(Field::ServiceAccount))
    }

    pub(crate) fn person(&self) -> Option<&'a [u8]> {
        self.text(Field::UserEmail).or_else(|| self.text(Field::UserId))
    }

    /// What was acted on, at its shortest.
    pub(crate) fn object(&self) -> Option<&'a [u8]> {
        self.text(Field::ResourcePath).or_else(|| self.text(Field::ResourceId))
    }

    /// The value of a member of the payload, as JSON, if this kind of event has that fact.
    pub(crate) fn fact(&self, fact: Fact) -> Option<&'a [u8]> {
        if !self.row.facts.contains(&fact) {
            return None;
        }
        let span = self.event.index.span(Field::Payload)?;
        let value = lookup(self.event.bytes(Field::Payload)?, [fact.key()])?;
        let (start, end) = (span.start as usize + value.start, span.start as usize + value.end);
        let mut pieces = self.event.pieces(start..end);
        let only = pieces.next()?.bytes(self.event.raw);
        (pieces.next().is_none() && only != b"null").then_some(only)
    }

    /// How much of the payload goes out.
    pub(crate) fn payload(&self) -> Option<&Kept> {
        self.payload.as_ref()
    }

    /// How much of the payload goes out where no more than `max` bytes of it can; 0 for no limit.
    pub(crate) fn payload_within(&self, max: usize) -> Option<Kept> {
        match &self.payload {
            Some(kept) if max > 0 && kept.shown_len(self.event) > max => {
                kept_payload(self.event, max.min(self.limits.payload))
            }
            kept => kept.clone(),
        }
    }

    /// The members that no field knows.
    pub(crate) fn unmapped(&self) -> impl Iterator<Item = Range<usize>> {
        unknown_members(self.event).map(|member| member.whole)
    }

    /// Whether something of the event does not go out, and the event says so.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// The beginning of the payload that fits into `limit` bytes.
fn kept_payload(event: &Event<'_>, limit: usize) -> Option<Kept> {
    let whole = members::payload(event).filter(|whole| event.raw.get(whole.clone()).is_some())?;
    if event.shown_len(whole.clone()) <= limit {
        return Some(Kept { range: whole, is_cut: false });
    }
    let start = whole.start;
    Some(Kept { range: start..start + leading_members(event, whole, limit), is_cut: true })
}

/// Whether an action is about a folder.
pub(crate) fn is_folder(row: &Action) -> bool {
    row.name.starts_with("folder.")
}

/// A path as written, cut at its last slash: folder and name. Escaped slashes (`\/`) count.
pub(crate) fn split_path(written: &[u8]) -> (&[u8], &[u8]) {
    let Some(slash) = memchr::memrchr(b'/', written) else { return (b"", written) };
    let escapes = written[..slash].iter().rev().take_while(|byte| **byte == b'\\').count();
    (&written[..slash - escapes % 2], &written[slash + 1..])
}

/// A name's ending as written, without its dot.
pub(crate) fn extension(name: &[u8]) -> Option<&[u8]> {
    let dot = memchr::memrchr(b'.', name).filter(|dot| *dot > 0)?;
    name.get(dot + 1..).filter(|ending| !ending.is_empty())
}

/// What is left free for the marker of a cut event.
const MARKER_ROOM: usize = 64;
/// How near to the most that fits a long value is cut, where its length does not tell: to 1/256.
const HALVINGS: u32 = 8;
/// What is cut behind the payload, in turn.
const LONG_VALUES: [(Field, fn(&mut Limits) -> &mut usize); 2] =
    [(Field::UserAgent, |limits| &mut limits.user_agent), (Field::ResourcePath, |limits| &mut limits.resource_path)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_at_its_last_slash_however_that_is_written() {
        let split = |path: &'static str| {
            let (folder, name) = split_path(path.as_bytes());
            (std::str::from_utf8(folder).unwrap(), std::str::from_utf8(name).unwrap())
        };
        assert_eq!(split("/a/b.pdf"), ("/a", "b.pdf"));
        assert_eq!(split("b.pdf"), ("", "b.pdf"));
        assert_eq!(split(r"\/a\/b"), (r"\/a", "b"));
        assert_eq!(split(r"/a\\/b"), (r"/a\\", "b"));
        assert_eq!(split(r"/a\\\/b"), (r"/a\\", "b"));
        assert_eq!(split("/a/"), ("/a", ""));
    }

    #[test]
    fn an_ending_is_what_follows_a_dot_that_is_not_the_first_character() {
        let ending = |name: &'static str| extension(name.as_bytes()).map(|ending| std::str::from_utf8(ending).unwrap());
        assert_eq!(ending("v2.tar.gz"), Some("gz"));
        assert_eq!(ending(".profile"), None);
        assert_eq!(ending("a."), None);
        assert_eq!(ending("a"), None);
    }

    #[test]
    fn a_shape_is_found_by_its_name() {
        for shape in Shape::ALL {
            assert_eq!(Shape::named(shape.name()), Some(shape));
        }
        assert_eq!(Shape::named("xml"), None);
    }
}
