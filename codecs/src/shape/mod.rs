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
use crate::catalogue::{Action, Fact, Outcome, fallback, known};
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::{Entry, Unfit};
use crate::json::{escaped_prefix, inside, unescape_into, write_escaped};
use crate::lead::Spelling;
use crate::members::{self, is_strict, leading_members, lookup, unknown_members, write_siem};

mod asim;
mod cef;
mod cim;
mod ecs;
mod glue;
mod leef;
mod ocsf;
mod table;
mod text;

pub(crate) use asim::COLUMNS as ASIM_COLUMNS;
pub(crate) use cim::write_fields as write_cim_fields;
pub(crate) use ecs::write_labels;

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
        // Out of the body meanwhile, because the event borrows what they spell.
        let mut leads = std::mem::take(body.leads());
        let lead = self.spelling().zip(entry.stamp).map(|(spelling, stamp)| leads.text(spelling, stamp));
        let seen = Seen::new(event, entry, limits, lead, text, other_text);
        match self {
            Shape::Canonical => {}
            Shape::Ecs => ecs::SHAPE.write(&seen, body),
            Shape::Ocsf => ocsf::write(&seen, body),
            Shape::Asim => asim::SHAPE.write(&seen, body),
            Shape::Cef => body.write_glue(|glue| cef::write(&seen, text, glue)),
            Shape::Leef => body.write_glue(|glue| leef::write(&seen, text, glue)),
        }
        *body.leads() = leads;
    }

    /// How node and stream stand in it, where they stand together.
    fn spelling(self) -> Option<Spelling> {
        match self {
            Shape::Ecs => Some(Spelling::Labels),
            Shape::Ocsf | Shape::Asim => Some(Spelling::Object),
            Shape::Canonical | Shape::Cef | Shape::Leef => None,
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
            let most = longest_fitting(if guess == 0 { whole } else { guess }, |limit| {
                *limit_of(&mut limits) = limit;
                over(&limits) == 0
            });
            *limit_of(&mut limits) = most;
            over(&limits);
            return Ok(());
        }
        body.rewind(mark);
        Err(TooMuch { bytes: max + rest, max })
    }
}

/// The longest limit below `too_long` that fits, or one that is not much shorter; 0 is known to fit.
fn longest_fitting(mut too_long: usize, mut fits: impl FnMut(usize) -> bool) -> usize {
    let mut longest = 0_usize;
    for _ in 0..HALVINGS {
        let middle = longest.midpoint(too_long);
        *(if fits(middle) { &mut longest } else { &mut too_long }) = middle;
    }
    longest
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
    /// Each text as it goes out, with its quotes; nothing for one that says nothing.
    texts: [&'a [u8]; Field::COUNT],
    /// The event's time with its quotes, if strict readers take it as it is written.
    time: Option<&'a [u8]>,
    /// The two parts of `resource_path` as written; see [`split_path`].
    folder: &'a [u8],
    name: &'a [u8],
    limits: &'a Limits,
    /// Node and stream as the shape spells them, if the event has a number.
    lead: Option<&'a [u8]>,
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

impl Address {
    fn of(text: &[u8]) -> Address {
        if text.is_empty() {
            return Address::None;
        }
        if is_plain_v4(text) {
            return Address::V4;
        }
        match std::str::from_utf8(text).unwrap_or_default().parse() {
            Ok(IpAddr::V4(_)) => Address::V4,
            Ok(IpAddr::V6(_)) => Address::V6,
            Err(_) => Address::Other,
        }
    }
}

impl<'a> Seen<'a> {
    /// `text` is room for what fields say, `other` for long values that are cut.
    fn new(
        event: &'a Event<'a>,
        entry: &'a Entry<'a>,
        limits: &'a Limits,
        lead: Option<&'a [u8]>,
        text: &mut String,
        other: &'a mut String,
    ) -> Seen<'a> {
        let mut texts = texts(event);
        let action = meaning(event, &texts, Field::Action, text);
        let row = known(action).unwrap_or_else(|| fallback(action, meaning(event, &texts, Field::Category, other)));
        let outcome = row.outcome_of(action);
        let address = Address::of(meaning(event, &texts, Field::Ip, text));
        let payload = kept_payload(event, limits.payload);
        let is_text_cut = limits.cut(&mut texts, other);
        let is_cut = limits.is_marked || is_text_cut || payload.as_ref().is_some_and(|kept| kept.is_cut);
        let (folder, name) = split_path(inside(texts[Field::ResourcePath as usize]));
        let time = Some(texts[Field::Timestamp as usize]).filter(|time| is_strict(inside(time)));
        Seen { event, entry, row, outcome, address, texts, time, folder, name, limits, lead, payload, is_cut }
    }

    /// The last part of `resource_path`.
    pub(crate) fn file_name(&self) -> Option<&'a [u8]> {
        Some(self.name).filter(|name| !name.is_empty())
    }

    pub(crate) fn stamp(&self) -> Option<&'a Stamp<'a>> {
        self.entry.stamp
    }

    /// A text as a JSON string, within its limit; nothing if it is empty.
    #[inline]
    pub(crate) fn json(&self, field: Field) -> Option<&'a [u8]> {
        Some(self.texts[field as usize]).filter(|string| !string.is_empty())
    }

    /// The same for a field that was chosen.
    #[inline]
    pub(crate) fn json_of(&self, field: Option<Field>) -> Option<&'a [u8]> {
        field.and_then(|field| self.json(field))
    }

    /// A text as written, without quotes.
    pub(crate) fn text(&self, field: Field) -> Option<&'a [u8]> {
        self.json(field).map(inside)
    }

    /// The same for a field that was chosen.
    pub(crate) fn text_of(&self, field: Option<Field>) -> Option<&'a [u8]> {
        field.and_then(|field| self.text(field))
    }

    /// The field, if it has a text that is not empty.
    pub(crate) fn filled(&self, field: Field) -> Option<Field> {
        self.json(field).map(|_| field)
    }

    /// Who did it: a person where one is named, else a service account.
    pub(crate) fn who(&self) -> Option<Field> {
        self.person().or_else(|| self.filled(Field::ServiceAccount))
    }

    pub(crate) fn person(&self) -> Option<Field> {
        self.filled(Field::UserEmail).or_else(|| self.filled(Field::UserId))
    }

    /// What was acted on, at its shortest.
    pub(crate) fn object(&self) -> Option<Field> {
        self.filled(Field::ResourcePath).or_else(|| self.filled(Field::ResourceId))
    }

    /// The address, if it is one of these kinds.
    pub(crate) fn address_if(&self, kinds: &[Address]) -> Option<Field> {
        kinds.contains(&self.address).then_some(Field::Ip)
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

/// Each text of the event with its quotes, but for empty ones.
fn texts<'a>(event: &Event<'a>) -> [&'a [u8]; Field::COUNT] {
    let mut texts = [&b""[..]; Field::COUNT];
    for (text, field) in texts.iter_mut().zip(&Field::ALL[..Field::Payload as usize]) {
        if let Some(quoted) = event.quoted(*field)
            && quoted.len() > EMPTY.len()
        {
            *text = quoted;
        }
    }
    texts
}

/// What a text says; `room` is for one with escapes.
fn meaning<'s>(event: &Event<'_>, texts: &[&'s [u8]; Field::COUNT], field: Field, room: &'s mut String) -> &'s [u8] {
    let written = inside(texts[field as usize]);
    if !event.index.has_escapes(field) {
        return written;
    }
    room.clear();
    unescape_into(std::str::from_utf8(written).unwrap_or_default(), room);
    room.as_bytes()
}

impl Limits {
    /// Puts beginnings in place of texts that are longer than they may be, and says whether there were any. `room` keeps
    /// them.
    fn cut<'a>(&self, texts: &mut [&'a [u8]; Field::COUNT], room: &'a mut String) -> bool {
        let limits = [(Field::UserAgent, self.user_agent), (Field::ResourcePath, self.resource_path)];
        if limits.iter().all(|(field, limit)| inside(texts[*field as usize]).len() <= *limit) {
            return false;
        }
        room.clear();
        let ends = limits.map(|(field, limit)| {
            let written = std::str::from_utf8(inside(texts[field as usize])).unwrap_or_default();
            room.extend(["\"", escaped_prefix(written, limit), "\""]);
            room.len()
        });
        let (agent, path) = room.as_bytes().split_at(ends[0]);
        for (field, cut) in [(Field::UserAgent, agent), (Field::ResourcePath, path)] {
            texts[field as usize] = if cut == EMPTY { b"" } else { cut };
        }
        true
    }
}

/// Whether it is an address of IPv4 as most are written, which is quicker to tell than what the library parses.
fn is_plain_v4(text: &[u8]) -> bool {
    let (mut dots, mut number) = (0, None);
    for byte in text {
        number = match (byte, number) {
            (b'.', Some(0..=255)) => {
                dots += 1;
                None
            }
            (b'0'..=b'9', None) => Some(u32::from(byte - b'0')),
            (b'0'..=b'9', Some(before @ 1..=255)) => Some(before * 10 + u32::from(byte - b'0')),
            _ => return false,
        };
    }
    dots == 3 && matches!(number, Some(0..=255))
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

/// A string that says nothing.
const EMPTY: &[u8] = b"\"\"";
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_address_is_what_the_library_takes_for_one(text in "[0-9]{0,3}([.][0-9]{0,3}){3}|[0-9.]{0,16}|[0-9a-f:.]{0,20}") {
            let expected = match text.parse() {
                Ok(IpAddr::V4(_)) => Address::V4,
                Ok(IpAddr::V6(_)) => Address::V6,
                Err(_) if text.is_empty() => Address::None,
                Err(_) => Address::Other,
            };
            prop_assert_eq!(Address::of(text.as_bytes()), expected);
        }
    }

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
