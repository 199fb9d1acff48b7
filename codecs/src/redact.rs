//! What a destination does not get of an event, though it gets the event: values that are dropped, masked, or replaced by
//! a keyed hash.
//!
//! | way | a value becomes |
//! |-----|-----------------|
//! | drop | `null`, which says the same as a member that is not there |
//! | mask | `"***"` |
//! | hash | `"h_"` and 32 hexadecimal digits: HMAC-SHA256 of what it says, cut to 128 bits |
//!
//! A path names a field (`user_email`), a member of the payload at any depth (`payload.a.b`), or a member that no
//! [`Field`] knows (`device.owner`). Arrays on the way are entered, and of members with the same key each is meant, however
//! the key is written. A dot in a key counts as a step, as it does for receivers that flatten objects: `payload.a.b` names
//! `b` in `{"a":{"b":1}}` and `a.b` in `{"a.b":1}`, and what lies within it, like `{"a.b.c":1}`, goes with it. What an event
//! is told apart by (`event_id`, `tenant_id`, …) cannot be redacted.
//!
//! What is always true: one JSON value stands in place of another, so an event stays an event, whoever takes ranges out of
//! it, and the index of what is left agrees with it. No text is changed but the redacted values; all else stays borrowed.
//! Everything that reads an event for sending asks the [`Event`], which knows its edits, so a value that is redacted is
//! found nowhere: in no shape, header, template, label, or list of related things.
//!
//! The same text has the same hash wherever it stands, so that a person can be followed without being known. Text with
//! an `@` counts in lower case, as addresses do. `null` and empty text say nothing and stay.

use std::ops::Range;

use ring::hmac;
use zeroize::Zeroize;

use crate::body::Body;
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::{Entry, Format, Frame, RequestParts, Unfit};
use crate::hash::Hasher;
use crate::http::Reply;
use crate::index::Index;
use crate::json::{unescape_into, write_string};
use crate::members::{elements, has_only_fields, members, unknown_members};
use crate::plain::{is, is_above, is_below, unmarked_length};
use crate::verdict::Verdict;

/// What stands for a masked value.
pub const MASK: &str = "***";
/// What a hash begins with.
pub const HASH_PREFIX: &str = "h_";
/// The shortest key in bytes.
pub const KEY_BYTES_MIN: usize = 16;
/// Paths in all three lists together.
pub const PATHS_MAX: usize = 64;
/// Goes up when the same specification would leave other events than before: streams then start a new epoch.
pub const REDACTION_CODE_VERSION: u32 = 1;

/// What to redact, as it stands in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedactionSpec {
    /// Paths of values that are dropped.
    pub drop: Vec<String>,
    /// Paths of values that are masked.
    pub mask: Vec<String>,
    /// Paths of values that are replaced by their hash.
    pub hash: Vec<String>,
}

/// One entry that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct RedactionError {
    /// The list's name in the configuration, `key` for the key.
    pub list: &'static str,
    /// The entry as found.
    pub found: String,
    /// What is wrong, in plain words. Never holds the key.
    pub problem: String,
}

/// What is redacted, compiled. Applying it allocates nothing after the first few events.
#[derive(Clone)]
pub struct Redaction {
    fields: Vec<(Field, Way)>,
    /// What no field is, from the event down: members of the payload, and members that no field knows.
    branches: Vec<Branch>,
    key: Option<hmac::Key>,
    fingerprint: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Drop,
    Mask,
    Hash,
}

/// A step of a path, with those that go on from it.
#[derive(Clone, Debug)]
struct Branch {
    key: String,
    /// What becomes of the value, where a path ends here; then nothing goes on from it.
    way: Option<Way>,
    below: Vec<Branch>,
}

/// A format that never sees what is redacted, and so cannot send it: not in a body, and not by where an event goes.
///
/// What the agent says about a stream itself, out of band, is whole: it holds nothing of anybody's, and proofs need it.
#[derive(Debug)]
pub struct Redacted {
    inner: Box<dyn Format>,
    redaction: Redaction,
}

impl Redacted {
    /// The format behind the redaction; the format itself where nothing is redacted.
    pub fn wrap(inner: Box<dyn Format>, redaction: &Redaction) -> Box<dyn Format> {
        if redaction.is_empty() { inner } else { Box::new(Redacted { inner, redaction: redaction.clone() }) }
    }
}

impl Format for Redacted {
    fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        match entry.stamp {
            Some(_) => {
                self.redaction.hiding(event, scratch, |event, scratch| self.inner.encode(event, entry, body, scratch))
            }
            None => self.inner.encode(event, entry, body, scratch),
        }
    }

    fn frame(&self) -> Frame {
        self.inner.frame()
    }

    fn request(&self) -> &RequestParts {
        self.inner.request()
    }

    fn group(&self, event: &Event<'_>, scratch: &mut Scratch) -> &str {
        self.redaction.hiding(event, scratch, |event, scratch| self.inner.group(event, scratch))
    }

    fn verdict(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        self.inner.verdict(reply, events, now_ms)
    }

    fn verdict_by_length(&self, reply: &Reply, events: usize, body_len: usize, now_ms: i64) -> Verdict {
        self.inner.verdict_by_length(reply, events, body_len, now_ms)
    }

    fn interrupted(&self, body_len: usize, events: usize) -> Option<Verdict> {
        self.inner.interrupted(body_len, events)
    }

    fn acknowledgement(&self, reply: &Reply) -> Option<u64> {
        self.inner.acknowledgement(reply)
    }

    fn encoded_for(&self) -> Option<u64> {
        self.inner.encoded_for()
    }
}

/// What stands in place of some values of one event. Used again from event to event.
#[derive(Clone, Default)]
pub struct Edits {
    /// Sorted, and none within another.
    list: Vec<Edit>,
    text: Vec<u8>,
    index: Option<Index>,
    /// For keys with escapes, and for values with escapes while they are hashed.
    unescaped: String,
}

/// Shows nothing of the event.
impl std::fmt::Debug for Edits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edits").field("list", &self.list).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
struct Edit {
    start: usize,
    end: usize,
    text_start: usize,
    text_end: usize,
}

/// A piece of an event as it may go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A range of its own bytes.
    Own(Range<usize>),
    /// What stands in place of a value.
    Instead(&'a [u8]),
}

impl<'a> Piece<'a> {
    /// Its bytes; `raw` are the event's.
    pub(crate) fn bytes(&self, raw: &'a [u8]) -> &'a [u8] {
        match self {
            Piece::Own(range) => raw.get(range.clone()).unwrap_or_default(),
            Piece::Instead(text) => text,
        }
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Piece::Own(range) => range.len(),
            Piece::Instead(text) => text.len(),
        }
    }
}

impl RedactionSpec {
    /// Whether nothing is redacted.
    pub fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, paths, _)| paths.is_empty())
    }

    fn lists(&self) -> [(&'static str, &Vec<String>, Way); 3] {
        [("drop", &self.drop, Way::Drop), ("mask", &self.mask, Way::Mask), ("hash", &self.hash, Way::Hash)]
    }
}

impl Redaction {
    /// Compiles it. `key` is for the hashes: without it nobody can try names until one fits.
    ///
    /// # Errors
    /// Every entry that cannot be used, not only the first.
    pub fn compile(spec: &RedactionSpec, key: Option<&[u8]>) -> Result<Redaction, Vec<RedactionError>> {
        let mut redaction = Redaction { fields: Vec::new(), branches: Vec::new(), key: None, fingerprint: 0 };
        let mut problems = Vec::new();
        for (list, paths, way) in spec.lists() {
            for path in paths {
                if let Err(problem) = redaction.add(path, way) {
                    problems.push(RedactionError { list, found: path.clone(), problem });
                }
            }
        }
        let count: usize = spec.lists().iter().map(|(_, paths, _)| paths.len()).sum();
        if count > PATHS_MAX {
            let problem = format!("{count} paths are too many; at most {PATHS_MAX} are allowed");
            problems.push(RedactionError { list: "drop", found: String::new(), problem });
        }
        let key_problem = |problem: String| RedactionError { list: "key", found: String::new(), problem };
        match key {
            None if !spec.hash.is_empty() => {
                problems.push(key_problem(String::from("`hash` names values, and there is no key to hash them with")));
            }
            Some(key) if key.len() < KEY_BYTES_MIN => problems.push(key_problem(format!(
                "the key has {} bytes; at least {KEY_BYTES_MIN} are needed, or it can be guessed",
                key.len()
            ))),
            _ => {}
        }
        redaction.key = key.map(|key| hmac::Key::new(hmac::HMAC_SHA256, key));
        redaction.fingerprint = fingerprint(spec);
        if problems.is_empty() { Ok(redaction) } else { Err(problems) }
    }

    /// A hash of what is redacted and how, and of how this version does it ([`REDACTION_CODE_VERSION`]); 0 for nothing.
    /// Neither the order of the paths nor the key has a part in it.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Whether nothing is redacted.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.branches.is_empty()
    }

    /// The event without what is redacted. `edits` holds what stands in its place, for as long as the event is used.
    pub fn apply<'e>(&self, event: &Event<'e>, edits: &'e mut Edits) -> Event<'e> {
        edits.list.clear();
        edits.text.clear();
        let mut index = event.index.clone();
        for (field, way) in &self.fields {
            let Some(span) = event.index.span(*field) else { continue };
            // A string's quotes are part of its value.
            let quotes = usize::from(*field != Field::Payload);
            let range = (span.start as usize).saturating_sub(quotes)..span.end as usize + quotes;
            if self.replace(event.raw, range, *way, edits) {
                // What became `null` is gone for all who read the index, or they would find the text beneath.
                let is_gone = *way == Way::Drop || (*way == Way::Hash && self.key.is_none());
                index.hide(*field, is_gone);
            }
        }
        if !self.branches.is_empty() {
            self.follow_branches(event, edits);
        }
        if edits.list.is_empty() {
            return *event;
        }
        edits.list.sort_unstable_by_key(|edit| edit.start);
        let edits: &'e Edits = {
            edits.index = Some(index);
            edits
        };
        match &edits.index {
            Some(index) => Event { raw: event.raw, index, edits: Some(edits) },
            None => *event,
        }
    }

    /// What `use_it` makes of the event without what is redacted.
    pub fn hiding<T>(
        &self,
        event: &Event<'_>,
        scratch: &mut Scratch,
        use_it: impl FnOnce(&Event<'_>, &mut Scratch) -> T,
    ) -> T {
        // Out of the scratch space meanwhile, because the event borrows them.
        let mut edits = std::mem::take(&mut scratch.edits);
        let result = use_it(&self.apply(event, &mut edits), scratch);
        scratch.edits = edits;
        result
    }

    fn add(&mut self, path: &str, way: Way) -> Result<(), String> {
        let keys: Vec<&str> = path.split('.').collect();
        if keys.iter().any(|key| key.is_empty()) {
            return Err(format!("`{path}` is not a path: write names with dots between them"));
        }
        let field = Field::from_name(keys[0].as_bytes());
        match field {
            Some(field) if field.is_required() => {
                Err(format!("`{path}` can't be redacted: events are told apart, ordered and chosen by it"))
            }
            Some(Field::Payload) if keys.len() > 1 => grow(&mut self.branches, &keys, way, path),
            Some(Field::Payload) if way != Way::Drop => {
                Err(String::from("the payload as a whole can only be dropped; name its members, like payload.a"))
            }
            // As a branch too, for members like `payload.a`, which lie within it for receivers that flatten objects.
            Some(Field::Payload) => {
                grow(&mut self.branches, &keys, way, path).map(|()| self.fields.push((Field::Payload, way)))
            }
            Some(_) if keys.len() > 1 => Err(format!("`{}` is a text and has no members", keys[0])),
            Some(field) if self.fields.iter().any(|(known, _)| *known == field) => {
                Err(format!("`{path}` is named twice"))
            }
            Some(field) => {
                self.fields.push((field, way));
                Ok(())
            }
            None if keys[0] == "siem" => Err(String::from("`siem` is the agent's own, and proves completeness")),
            None => grow(&mut self.branches, &keys, way, path),
        }
    }

    /// Looks for the branches in the payload, and among the members that no field knows.
    fn follow_branches(&self, event: &Event<'_>, edits: &mut Edits) {
        let payload = named(&self.branches, Field::Payload.name()).filter(|branch| branch.way.is_none());
        if let (Some(branch), Some(span)) = (payload, event.index.span(Field::Payload)) {
            self.walk(event.raw, span.start as usize..span.end as usize, &branch.below, edits);
        }
        if !has_only_fields(event) {
            for member in unknown_members(event) {
                self.step(event.raw, member.key, member.value, &self.branches, edits);
            }
        }
    }

    /// Looks for the branches in a value.
    fn walk(&self, raw: &[u8], value: Range<usize>, branches: &[Branch], edits: &mut Edits) {
        let Some(inner) = raw.get(value.clone()) else { return };
        match inner.first() {
            Some(b'{') => {
                for member in members(inner) {
                    let found = value.start + member.value.start..value.start + member.value.end;
                    self.step(raw, member.key, found, branches, edits);
                }
            }
            Some(b'[') => {
                for element in elements(inner) {
                    let found = value.start + element.start..value.start + element.end;
                    self.walk(raw, found, branches, edits);
                }
            }
            _ => {}
        }
    }

    /// Goes on with a member, if a branch has its key.
    fn step(&self, raw: &[u8], key: &[u8], value: Range<usize>, branches: &[Branch], edits: &mut Edits) {
        let Ok(mut key) = std::str::from_utf8(key) else { return };
        if key.contains('\\') {
            edits.unescaped.clear();
            unescape_into(key, &mut edits.unescaped);
            key = &edits.unescaped;
        }
        let Some(branch) = named(branches, key) else { return };
        match branch.way {
            Some(way) => {
                self.replace(raw, value, way, edits);
            }
            None => self.walk(raw, value, &branch.below, edits),
        }
    }

    /// Puts something in a value's place; not if there is nothing to hide.
    fn replace(&self, raw: &[u8], value: Range<usize>, way: Way, edits: &mut Edits) -> bool {
        let Some(written) = raw.get(value.clone()).filter(|written| !matches!(*written, b"" | b"null" | b"\"\""))
        else {
            return false;
        };
        let text_start = edits.text.len();
        match (way, &self.key) {
            (Way::Mask, _) => write_string(MASK, &mut edits.text),
            (Way::Hash, Some(key)) => write_hash(key, written, &mut edits.unescaped, &mut edits.text),
            (Way::Drop, _) | (Way::Hash, None) => edits.text.extend_from_slice(b"null"),
        }
        let text_end = edits.text.len();
        edits.list.push(Edit { start: value.start, end: value.end, text_start, text_end });
        true
    }
}

/// Shows nothing of the key.
impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Redaction { fields, branches, key: _, fingerprint: _ } = self;
        f.debug_struct("Redaction").field("fields", fields).field("branches", branches).finish_non_exhaustive()
    }
}

impl Edits {
    /// The string in place of the one whose opening quote stands at `at`, if it is another one. It has no escapes.
    #[inline(never)]
    pub(crate) fn string(&self, at: usize) -> Option<&[u8]> {
        let edit = self.list.iter().find(|edit| edit.start == at)?;
        Some(self.text_of(edit)).filter(|text| text.starts_with(b"\""))
    }

    /// What stands in place of the value that begins at `at`, or `null` if that lies within one that has another in its
    /// place.
    pub(crate) fn at(&self, at: usize) -> Option<&[u8]> {
        let edit = self.list.iter().find(|edit| (edit.start..edit.end).contains(&at))?;
        Some(if edit.start == at { self.text_of(edit) } else { b"null" })
    }

    /// Cuts a range of an event's bytes at the edits in it. An edit belongs to the range that holds its first byte.
    pub(crate) fn pieces(edits: Option<&Edits>, range: Range<usize>) -> impl Iterator<Item = Piece<'_>> {
        let mut at = range.start;
        let list = edits.map_or(&[][..], |edits| &edits.list[..]);
        let mut ahead = list[list.partition_point(|edit| edit.end <= at)..].iter().peekable();
        std::iter::from_fn(move || {
            while at < range.end {
                match ahead.peek() {
                    Some(edit) if edit.end <= at => {
                        ahead.next();
                    }
                    Some(edit) if edit.start < at => at = edit.end,
                    Some(edit) if edit.start == at => {
                        at = edit.end;
                        return Some(Piece::Instead(edits.map_or(&[][..], |edits| edits.text_of(edit))));
                    }
                    next => {
                        let end = next.map_or(range.end, |edit| edit.start.min(range.end));
                        let own = at..end;
                        at = end;
                        return Some(Piece::Own(own));
                    }
                }
            }
            None
        })
    }

    fn text_of(&self, edit: &Edit) -> &[u8] {
        &self.text[edit.text_start..edit.text_end]
    }
}

/// Adds a path to the branches.
fn grow(branches: &mut Vec<Branch>, keys: &[&str], way: Way, path: &str) -> Result<(), String> {
    let [key, rest @ ..] = keys else { return Ok(()) };
    let found = branches.iter().position(|branch| branch.key == *key);
    let at = found.unwrap_or_else(|| {
        branches.push(Branch { key: (*key).to_owned(), way: None, below: Vec::new() });
        branches.len() - 1
    });
    let branch = &mut branches[at];
    match (rest.is_empty(), branch.way) {
        (true, Some(_)) => Err(format!("`{path}` is named twice")),
        (false, Some(_)) => Err(format!("`{path}` lies within a value that is named as well")),
        (true, None) if !branch.below.is_empty() => Err(format!("`{path}` is named beside members of it")),
        (true, None) => {
            branch.way = Some(way);
            Ok(())
        }
        (false, None) => grow(&mut branch.below, rest, way, path),
    }
}

/// The branch that a key leads to, each part of it between dots being a step. Where a path ends on the way, the key lies
/// within what that path names.
fn named<'b>(branches: &'b [Branch], key: &str) -> Option<&'b Branch> {
    let (mut found, mut below) = (None, branches);
    for part in key.split('.') {
        let branch = below.iter().find(|branch| branch.key == part)?;
        if branch.way.is_some() {
            return Some(branch);
        }
        (found, below) = (Some(branch), &branch.below);
    }
    found
}

fn fingerprint(spec: &RedactionSpec) -> u64 {
    if spec.is_empty() {
        return 0;
    }
    let mut hasher = Hasher::new();
    hasher.write(&REDACTION_CODE_VERSION.to_le_bytes());
    for (list, paths, _) in spec.lists() {
        hasher.write_list(list, paths);
    }
    hasher.finish()
}

/// Appends the hash of a JSON value as a JSON string. Strings are hashed by what they say, all else as written. `text` is
/// room for what a string says.
fn write_hash(key: &hmac::Key, written: &[u8], text: &mut String, out: &mut Vec<u8>) {
    let tag = match written.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        Some(inside) if counts_as_written(inside) => hmac::sign(key, inside),
        Some(inside) => {
            text.clear();
            unescape_into(std::str::from_utf8(inside).unwrap_or_default(), text);
            if text.contains('@') {
                text.make_ascii_lowercase();
            }
            let tag = hmac::sign(key, text.as_bytes());
            wipe(text);
            tag
        }
        None => hmac::sign(key, written),
    };
    let mut digits = [[0; 2]; HASH_BYTES];
    for (pair, byte) in digits.iter_mut().zip(tag.as_ref()) {
        *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
    out.push(b'"');
    out.extend_from_slice(HASH_PREFIX.as_bytes());
    out.extend_from_slice(digits.as_flattened());
    out.push(b'"');
}

/// Wipes what a text says and leaves it empty. Wiped as a `String` it would lose what it has room for as well, which after
/// one long value takes its time with each that comes later.
fn wipe(text: &mut String) {
    text.as_mut_str().zeroize();
    text.clear();
}

/// Whether a text has neither escapes nor letters that may count in lower case.
fn counts_as_written(inside: &[u8]) -> bool {
    let is_other = |block| is(block, b'\\') | is_above(block, b'A' - 1) & is_below(block, b'Z' + 1);
    unmarked_length(inside, is_other) == inside.len()
}

const HEX: [u8; 16] = *b"0123456789abcdef";
/// 128 bits: no two people share one.
const HASH_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_is_hashed_stays_nowhere_in_plain() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"k");
        let (mut text, mut out) = (String::new(), Vec::new());
        write_hash(&key, br#""Alice\u0040example.com""#, &mut text, &mut out);
        let mut expected = Vec::new();
        write_hash(&key, br#""alice@example.com""#, &mut String::new(), &mut expected);
        assert_eq!((text.as_str(), out), ("", expected), "it is hashed as what it stands for");
        assert!(text.capacity() > 0, "its memory is used again");
    }

    #[test]
    fn one_long_value_does_not_slow_those_behind_it() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"k");
        let (mut text, mut out) = (String::new(), Vec::new());
        let long = format!("\"\\u0040{}\"", "x".repeat(16 << 20));
        write_hash(&key, long.as_bytes(), &mut text, &mut out);
        assert!(text.is_empty() && text.capacity() >= 16 << 20);
        let started = Instant::now();
        for _ in 0..4_000 {
            out.clear();
            write_hash(&key, br#""Alice\u0040example.com""#, &mut text, &mut out);
        }
        assert!(started.elapsed() < Duration::from_secs(4), "the room is wiped each time: {:?}", started.elapsed());
    }

    #[test]
    fn what_is_redacted_is_not_shown_by_debug() {
        let edits = Edits { text: b"hush".to_vec(), unescaped: "hush".to_owned(), ..Edits::default() };
        assert!(!format!("{edits:?}").contains("hush"));
    }
}
