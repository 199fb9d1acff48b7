//! An event: its bytes as they came, and the index that says where its fields lie.
//!
//! | field | JSON type | must be there |
//! |-------|-----------|---------------|
//! | `event_id`, `tenant_id`, `category`, `action`, `severity` | string | yes |
//! | `timestamp` | string, RFC 3339 | yes |
//! | `user_id`, `user_email`, `service_account`, `resource_id`, `resource_path`, `ip`, `user_agent`, `session_id` | string | no |
//! | `payload` | object | no |
//!
//! A field that may be missing may also be `null`, which means the same. Every other key is kept as it came.

use std::ops::Range;

use crate::hash::Hasher;
use crate::index::Index;
use crate::json;
use crate::redact::{Edits, Piece};
use crate::severity::Severity;

/// The fields that an index knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Field {
    EventId,
    Timestamp,
    TenantId,
    Category,
    Action,
    Severity,
    UserId,
    UserEmail,
    ServiceAccount,
    ResourceId,
    ResourcePath,
    Ip,
    UserAgent,
    SessionId,
    Payload,
}

/// One event, borrowed. Cheap to copy; parses nothing again.
///
/// An index that belongs to other bytes gives wrong or missing fields, never a panic.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The whole JSON object as it came, on one line.
    pub raw: &'a [u8],
    /// Where its fields lie.
    pub index: &'a Index,
    /// What stands in place of some of its values; see [`crate::redact`]. `raw` still has the values themselves.
    pub(crate) edits: Option<&'a Edits>,
}

impl Field {
    /// How many fields there are.
    pub const COUNT: usize = 15;

    /// Every field, in the order of the table above.
    pub const ALL: [Field; Field::COUNT] = [
        Field::EventId,
        Field::Timestamp,
        Field::TenantId,
        Field::Category,
        Field::Action,
        Field::Severity,
        Field::UserId,
        Field::UserEmail,
        Field::ServiceAccount,
        Field::ResourceId,
        Field::ResourcePath,
        Field::Ip,
        Field::UserAgent,
        Field::SessionId,
        Field::Payload,
    ];

    /// The key as it stands in the event.
    pub const fn name(self) -> &'static str {
        match self {
            Field::EventId => "event_id",
            Field::Timestamp => "timestamp",
            Field::TenantId => "tenant_id",
            Field::Category => "category",
            Field::Action => "action",
            Field::Severity => "severity",
            Field::UserId => "user_id",
            Field::UserEmail => "user_email",
            Field::ServiceAccount => "service_account",
            Field::ResourceId => "resource_id",
            Field::ResourcePath => "resource_path",
            Field::Ip => "ip",
            Field::UserAgent => "user_agent",
            Field::SessionId => "session_id",
            Field::Payload => "payload",
        }
    }

    /// The field with this key.
    pub fn from_name(name: &[u8]) -> Option<Field> {
        let field = match name {
            b"event_id" => Field::EventId,
            b"timestamp" => Field::Timestamp,
            b"tenant_id" => Field::TenantId,
            b"category" => Field::Category,
            b"action" => Field::Action,
            b"severity" => Field::Severity,
            b"user_id" => Field::UserId,
            b"user_email" => Field::UserEmail,
            b"service_account" => Field::ServiceAccount,
            b"resource_id" => Field::ResourceId,
            b"resource_path" => Field::ResourcePath,
            b"ip" => Field::Ip,
            b"user_agent" => Field::UserAgent,
            b"session_id" => Field::SessionId,
            b"payload" => Field::Payload,
            _ => return None,
        };
        Some(field)
    }

    /// Whether an event without this field is refused.
    pub fn is_required(self) -> bool {
        (self as usize) <= Field::Severity as usize
    }
}

impl<'a> Event<'a> {
    /// Puts an event together from its bytes and the index that [`crate::index()`] made of them.
    pub fn new(raw: &'a [u8], index: &'a Index) -> Event<'a> {
        Event { raw, index, edits: None }
    }

    /// The field as written: a string without its quotes and still escaped, the payload with its braces.
    pub fn bytes(&self, field: Field) -> Option<&'a [u8]> {
        let span = self.index.span(field)?;
        let instead = self.edits.and_then(|edits| edits.string((span.start as usize).checked_sub(1)?));
        instead.map(json::inside).or_else(|| self.raw.get(span.start as usize..span.end as usize))
    }

    /// The field as [`Event::bytes`] has it, with its quotes. Not for the payload, which has none.
    pub(crate) fn quoted(&self, field: Field) -> Option<&'a [u8]> {
        let span = self.index.span(field)?;
        let start = (span.start as usize).checked_sub(1)?;
        let instead = self.edits.and_then(|edits| edits.string(start));
        instead.or_else(|| self.raw.get(start..span.end as usize + 1))
    }

    /// A range of the event's bytes as they may go out: its own, and what stands in place of some.
    pub(crate) fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Piece<'a>> {
        Edits::pieces(self.edits, range)
    }

    /// Appends a range of the event's bytes as they may go out.
    pub(crate) fn copy(&self, range: Range<usize>, out: &mut Vec<u8>) {
        if self.edits.is_none() {
            return out.extend_from_slice(self.raw.get(range).unwrap_or_default());
        }
        for piece in self.pieces(range) {
            out.extend_from_slice(piece.bytes(self.raw));
        }
    }

    /// The whole event as it may go out, as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.raw.len());
        self.copy(0..self.raw.len(), &mut json);
        json
    }

    /// What stands in place of the value that begins at `at`, as JSON; `null` where that lies within a value that is gone.
    pub(crate) fn instead(&self, at: usize) -> Option<&'a [u8]> {
        self.edits?.at(at)
    }

    /// How many bytes [`Event::copy`] appends.
    pub(crate) fn shown_len(&self, range: Range<usize>) -> usize {
        match self.edits {
            None => range.len(),
            Some(_) => self.pieces(range).map(|piece| piece.len()).sum(),
        }
    }

    /// The field as written, like [`Event::bytes`].
    pub fn field(&self, field: Field) -> Option<&'a str> {
        std::str::from_utf8(self.bytes(field)?).ok()
    }

    /// What the field says, without escapes. `scratch` is used (and cleared) only if there are any.
    ///
    /// For [`Field::Payload`] this is its JSON text as written.
    pub fn text<'s>(&self, field: Field, scratch: &'s mut String) -> Option<&'s str>
    where
        'a: 's,
    {
        if field == Field::Payload && self.edits.is_some() {
            return self.edited_payload(scratch);
        }
        let written = self.field(field)?;
        if !self.index.has_escapes(field) {
            return Some(written);
        }
        scratch.clear();
        json::unescape_into(written, scratch);
        Some(scratch)
    }

    /// What [`Event::text`] gives, as bytes, for those who compare or copy it only: it is not validated once more, so with an
    /// index of other bytes these are any.
    pub(crate) fn meaning<'s>(&self, field: Field, scratch: &'s mut String) -> Option<&'s [u8]>
    where
        'a: 's,
    {
        if self.index.has_escapes(field) {
            return self.text(field, scratch).map(str::as_bytes);
        }
        self.bytes(field)
    }

    fn edited_payload<'s>(&self, scratch: &'s mut String) -> Option<&'s str> {
        let span = self.index.span(Field::Payload)?;
        scratch.clear();
        for piece in self.pieces(span.start as usize..span.end as usize) {
            scratch.push_str(std::str::from_utf8(piece.bytes(self.raw)).ok()?);
        }
        Some(scratch)
    }

    /// How grave it is.
    pub fn severity(&self) -> Severity {
        self.index.severity()
    }

    /// When it happened, in epoch milliseconds.
    pub fn timestamp_ms(&self) -> i64 {
        self.index.timestamp_ms()
    }

    /// [`tenant_hash`] of its tenant, without allocation.
    pub fn tenant_hash(&self) -> u64 {
        let written = self.field(Field::TenantId).unwrap_or_default();
        if !self.index.has_escapes(Field::TenantId) {
            return tenant_hash(written);
        }
        let mut hasher = Hasher::new();
        for character in json::unescaped(written) {
            hasher.write(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        hasher.finish()
    }

    /// Where the closing brace stands: members can be spliced in before it, each with a comma in front.
    pub fn close(&self) -> u32 {
        self.raw.len().saturating_sub(1) as u32
    }
}

/// The hash that chooses a tenant's shard and is stored in every record: FNV-1a (64 bit) of the unescaped id, then the
/// finalising mix of MurmurHash3. It never changes. Different tenants may share a hash; confirm on the id.
pub fn tenant_hash(tenant: &str) -> u64 {
    let mut hasher = Hasher::new();
    hasher.write(tenant.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::index;

    const RAW: &str = r#"{"event_id":"e\u00e9","timestamp":"2026-05-12T14:23:01.453Z","tenant_id":"t\u006e1","category":"C","action":"a","severity":"low","user_id":null,"ip":"","payload":{ }}"#;

    #[test]
    fn fields_come_as_written_and_texts_without_escapes() {
        let index = index(RAW.as_bytes()).unwrap();
        let event = Event::new(RAW.as_bytes(), &index);
        let mut scratch = String::from("left over");
        assert_eq!(event.field(Field::EventId), Some(r"e\u00e9"));
        assert_eq!(event.text(Field::EventId, &mut scratch), Some("eé"));
        assert_eq!(event.text(Field::Category, &mut scratch), Some("C"));
        assert_eq!(event.field(Field::Payload), Some("{ }"));
        assert_eq!(event.field(Field::Ip), Some(""));
        assert_eq!(event.field(Field::UserId), None);
        assert_eq!(event.field(Field::SessionId), None);
        assert_eq!(event.severity(), Severity::Notice);
        assert_eq!(event.timestamp_ms(), 1_778_595_781_453);
        assert_eq!(event.raw[event.close() as usize], b'}');
    }

    #[test]
    fn the_tenant_hash_is_of_the_unescaped_id_and_never_changes() {
        let index = index(RAW.as_bytes()).unwrap();
        assert_eq!(Event::new(RAW.as_bytes(), &index).tenant_hash(), tenant_hash("tn1"));
        // Stored on disk: these numbers are part of the format.
        assert_eq!(tenant_hash(""), TENANT_HASH_OF_NOTHING);
        assert_eq!(tenant_hash("tnt_1"), TENANT_HASH_OF_TNT_1);
    }

    #[test]
    fn tenants_with_similar_names_spread_evenly_over_shards() {
        for shards in 2..=4u64 {
            let mut counts = vec![0; shards as usize];
            for number in 0..4000 {
                counts[(tenant_hash(&format!("tnt_{number}")) % shards) as usize] += 1;
            }
            let fair = 4000 / shards;
            assert!(counts.iter().all(|count| count * 10 > fair * 9 && count * 10 < fair * 11), "{counts:?}");
        }
    }

    #[test]
    fn an_index_of_other_bytes_gives_nothing_and_does_not_panic() {
        let index = index(RAW.as_bytes()).unwrap();
        for end in 0..RAW.len() {
            let event = Event::new(&RAW.as_bytes()[..end], &index);
            for field in Field::ALL {
                event.text(field, &mut String::new());
            }
            event.tenant_hash();
        }
    }

    #[test]
    fn every_field_is_found_by_its_name() {
        for (nth, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(Field::from_name(field.name().as_bytes()), Some(field));
            assert_eq!(field as usize, nth);
        }
    }

    const TENANT_HASH_OF_NOTHING: u64 = 0xefd01f60ba992926;
    const TENANT_HASH_OF_TNT_1: u64 = 0x48cd17cc682b6fd7;
}
