//! Syslog messages: RFC 5424 or RFC 3164, framed for TCP and TLS (RFC 6587, RFC 5425) or bare for datagrams (RFC 5426).
//!
//! RFC 5424: `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG`. TIMESTAMP is the event's, in UTC with
//! milliseconds; MSGID is its action.
//!
//! | [`Msg`] | structured data | MSG |
//! |---------|-----------------|-----|
//! | `Json` | `[siem@N …]` or `-` | the event as it came, borrowed from the log |
//! | `StructuredData` | `[audit@N …]` with every known field, then `[siem@N …]` | a sentence: action and user |
//!
//! RFC 3164: `<PRI>Mmm dd hh:mm:ss HOSTNAME TAG: CONTENT`. There is no structured data, so the same elements stand at the
//! beginning of the content; in JSON they are its first member, `"siem":{…}`, spliced behind the opening brace.
//!
//! In another [`Shape`] than canonical MSG is what that makes of the event, and there is no structured data. A header of RFC
//! 3164 then has no TAG before CEF or LEEF: their receivers look for the word behind the host.
//!
//! `siem` carries `node`, `stream` and `n`. A message over the limit loses its `payload` first, then the end of
//! `user_agent`, then of `resource_path`, and says `truncated="true"` in its first element. Nothing is cut inside an
//! element, a character or an escape. What still does not fit is [`TooLong`]. A message never holds a line feed.

use wide::u8x16;

use crate::body::{Body, Stamp};
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::Entry;
use crate::json::{write_number, write_string};
use crate::lead::{Leads, Spelling};
use crate::plain::{is, is_below, unmarked_length};
use crate::shape::Shape;

mod header;
mod shorten;

pub use header::{Header, tag_of};

use header::Prepared;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Msg {
    /// The event's JSON in MSG.
    Json,
    /// The known fields as structured data, and a sentence in MSG.
    StructuredData,
}

/// How messages are told apart on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Its length, a space, the message (RFC 6587, section 3.4.1).
    OctetCounting,
    /// The message, a line feed (RFC 6587, section 3.4.2).
    LineFeed,
    /// Nothing: one message is one datagram.
    Datagram,
}

/// How messages look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogSettings {
    /// Which standard the header follows.
    pub header: Header,
    /// 0 to 23.
    pub facility: u8,
    /// At most 255 characters; others than printable ASCII become `_`. Empty means unknown.
    pub hostname: String,
    /// At most 48 characters, likewise; in RFC 3164 the TAG is made of it, see [`tag_of`].
    pub app_name: String,
    /// At most 128 characters, likewise; not in RFC 3164.
    pub procid: String,
    /// What a message carries.
    pub msg: Msg,
    /// How messages are told apart.
    pub framing: Framing,
    /// Whether MSG begins with a byte order mark, as the RFC wants for UTF-8 and many receivers do not.
    pub bom: bool,
    /// The longest message in bytes, framing not counted; at least [`MAX_LEN_MIN`].
    pub max_len: usize,
    /// The enterprise number in the names of our structured data, not 0.
    pub enterprise_id: u32,
    /// What the event is made into. Another one than canonical stands alone in MSG, its numbers included, whatever `msg`
    /// says.
    pub shape: Shape,
}

/// A setting that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyslogSettingsError {
    /// There are 24 facilities.
    #[error("{facility} is not a syslog facility (0 to 23)")]
    Facility {
        /// As found.
        facility: u8,
    },
    /// Every receiver takes [`MAX_LEN_MIN`] bytes.
    #[error("messages of {max_len} bytes are too short; at least {MAX_LEN_MIN} are needed")]
    MaxLen {
        /// As found.
        max_len: usize,
    },
    /// 0 is reserved.
    #[error("0 is not an enterprise number")]
    EnterpriseId,
    /// A byte order mark belongs to RFC 5424.
    #[error("messages with the header of RFC 3164 have no byte order mark")]
    Bom,
    /// A TAG is made of letters and digits.
    #[error("the name of the application has neither a letter nor a digit for the TAG of RFC 3164")]
    Tag,
    /// A day has 1440 minutes.
    #[error("{minutes} minutes from UTC are a day or more")]
    UtcOffset {
        /// As found.
        minutes: i16,
    },
}

/// An event that cannot be shortened enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message would have {bytes} bytes; at most {limit} are allowed")]
pub struct TooLong {
    /// Its length after shortening.
    pub bytes: usize,
    /// The limit.
    pub limit: usize,
}

/// An encoder for one syslog destination.
#[derive(Clone, Debug)]
pub struct Syslog {
    header: Prepared,
    msg: Msg,
    framing: Framing,
    bom: bool,
    max_len: usize,
    /// `[siem@N` and `[audit@N`.
    siem_id: Vec<u8>,
    audit_id: Vec<u8>,
    shape: Shape,
}

impl Syslog {
    /// Prepares an encoder.
    ///
    /// # Errors
    /// See [`SyslogSettingsError`].
    pub fn new(settings: &SyslogSettings) -> Result<Syslog, SyslogSettingsError> {
        let header = Prepared::new(settings)?;
        if settings.max_len < MAX_LEN_MIN {
            return Err(SyslogSettingsError::MaxLen { max_len: settings.max_len });
        }
        if settings.enterprise_id == 0 {
            return Err(SyslogSettingsError::EnterpriseId);
        }
        Ok(Syslog {
            header,
            msg: settings.msg,
            framing: settings.framing,
            bom: settings.bom,
            max_len: settings.max_len,
            siem_id: format!("[siem@{}", settings.enterprise_id).into_bytes(),
            audit_id: format!("[audit@{}", settings.enterprise_id).into_bytes(),
            shape: settings.shape,
        })
    }

    /// Appends one numbered event from the log. In JSON mode its bytes are borrowed as item number `item`.
    ///
    /// # Errors
    /// [`TooLong`]; `body` is then as it was.
    pub fn encode(
        &self,
        event: &Event<'_>,
        stamp: &Stamp<'_>,
        item: u32,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), TooLong> {
        self.write(event, &Entry { item, stamp: Some(stamp), now_ms: 0 }, body, scratch)
    }

    /// Appends an event of the agent's own that has no number and lies in no log. Its bytes are copied.
    ///
    /// # Errors
    /// [`TooLong`]; `body` is then as it was.
    pub fn encode_own(&self, event: &Event<'_>, body: &mut Body, scratch: &mut Scratch) -> Result<(), TooLong> {
        self.write(event, &Entry { item: 0, stamp: None, now_ms: 0 }, body, scratch)
    }
}

/// What one message leaves out of its event.
#[derive(Clone, Copy, Debug)]
struct Shortened {
    truncated: bool,
    payload: bool,
    user_agent: usize,
    resource_path: usize,
}

const WHOLE: Shortened =
    Shortened { truncated: false, payload: true, user_agent: usize::MAX, resource_path: usize::MAX };

impl Syslog {
    /// Composes the message, leaving out more each time it is too long.
    fn write(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), TooLong> {
        if self.shape != Shape::Canonical {
            return self.write_shaped(event, entry, body, scratch);
        }
        let mut shortened = WHOLE;
        let mut step = 0;
        loop {
            let length = self.compose(event, entry.stamp, &shortened, body.leads(), scratch);
            if length <= self.max_len {
                self.begin_frame(length, &scratch.bytes, body);
                if self.msg == Msg::Json {
                    let skipped = u32::from(self.is_spliced(entry.stamp, shortened.truncated));
                    lend_kept(event, entry, &shortened, skipped, body);
                }
                self.end_frame(body);
                return Ok(());
            }
            let over = length - self.max_len;
            match step {
                // Saying so takes room as well, so it comes before anything is measured against the limit.
                0 => shortened.truncated = true,
                1 => shortened.payload = false,
                2 => shortened.user_agent = self.room_less(event, Field::UserAgent, over, scratch),
                3 => shortened.resource_path = self.room_less(event, Field::ResourcePath, over, scratch),
                _ => return Err(TooLong { bytes: length, limit: self.max_len }),
            }
            step += 1;
        }
    }

    /// Composes a message in another shape, which knows itself how to leave something out.
    fn write_shaped(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), TooLong> {
        let mut message = std::mem::take(&mut scratch.message);
        message.clear();
        message.write_glue(|glue| {
            self.header.write(event, &mut scratch.text, glue);
            if !self.header.is_rfc3164() {
                glue.push(b'-');
                self.before_text(glue);
            }
        });
        let room = self.max_len.saturating_sub(message.len());
        let bytes_before = message.len();
        let fitted = Shape::write_fitting(event, room, &mut message, |limits, message| {
            self.shape.write(event, entry, limits, message, scratch);
        });
        let result = match fitted {
            Ok(()) => {
                self.begin_frame(message.len(), b"", body);
                body.append(&message);
                self.end_frame(body);
                Ok(())
            }
            Err(shortest) => Err(TooLong { bytes: bytes_before + shortest.bytes, limit: self.max_len }),
        };
        scratch.message = message;
        result
    }

    /// Appends what tells a message of `length` bytes apart from the one before, and its `beginning`.
    fn begin_frame(&self, length: usize, beginning: &[u8], body: &mut Body) {
        body.write_glue(|glue| {
            if self.framing == Framing::OctetCounting {
                write_number(length as u64, glue);
                glue.push(b' ');
            }
            glue.extend_from_slice(beginning);
        });
    }

    /// Appends what tells a message apart from the next one.
    fn end_frame(&self, body: &mut Body) {
        if self.framing == Framing::LineFeed {
            body.push_glue(b"\n");
        }
    }

    /// Writes everything that is not borrowed into `scratch.bytes`; says how long the whole message is.
    fn compose(
        &self,
        event: &Event<'_>,
        stamp: Option<&Stamp<'_>>,
        shortened: &Shortened,
        leads: &mut Leads,
        scratch: &mut Scratch,
    ) -> usize {
        let Scratch { text, bytes: out, .. } = scratch;
        out.clear();
        self.header.write(event, text, out);
        match self.msg {
            Msg::Json if self.header.is_rfc3164() => {
                let is_spliced = self.is_spliced(stamp, shortened.truncated);
                if is_spliced {
                    write_member(stamp, shortened.truncated, out);
                }
                out.len() + shorten::length(event, shortened) - usize::from(is_spliced)
            }
            Msg::Json => {
                match (stamp, shortened.truncated) {
                    (None, false) => out.push(b'-'),
                    (_, truncated) => self.write_siem(stamp, truncated, leads, out),
                }
                self.before_text(out);
                out.len() + shorten::length(event, shortened)
            }
            Msg::StructuredData => {
                self.write_audit(event, shortened, text, out);
                if stamp.is_some() {
                    self.write_siem(stamp, false, leads, out);
                }
                self.before_text(out);
                write_sentence(event, text, out);
                out.len()
            }
        }
    }

    /// Whether something stands between the event's opening brace and its first member. The brace is then ours.
    fn is_spliced(&self, stamp: Option<&Stamp<'_>>, truncated: bool) -> bool {
        self.msg == Msg::Json && self.header.is_rfc3164() && (stamp.is_some() || truncated)
    }

    fn write_siem(&self, stamp: Option<&Stamp<'_>>, truncated: bool, leads: &mut Leads, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.siem_id);
        if let Some(stamp) = stamp {
            leads.write(Spelling::Params, stamp, out);
            out.push(b'"');
        }
        if truncated {
            out.extend_from_slice(TRUNCATED);
        }
        out.push(b']');
    }

    fn write_audit(&self, event: &Event<'_>, shortened: &Shortened, text: &mut String, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.audit_id);
        for field in Field::ALL {
            let limit = match field {
                // The header has it.
                Field::Timestamp => continue,
                Field::Payload if !shortened.payload => continue,
                Field::UserAgent => shortened.user_agent,
                Field::ResourcePath => shortened.resource_path,
                _ => usize::MAX,
            };
            if let Some(value) = event.text(field, text) {
                write_param(field.name(), param_prefix(value, limit), out);
            }
        }
        if shortened.truncated {
            out.extend_from_slice(TRUNCATED);
        }
        out.push(b']');
    }

    fn before_text(&self, out: &mut Vec<u8>) {
        out.push(b' ');
        if self.bom {
            out.extend_from_slice(&BOM);
        }
    }

    /// The bytes left for a field's value, as written in the message, when the message is too long by `over`.
    fn room_less(&self, event: &Event<'_>, field: Field, over: usize, scratch: &mut Scratch) -> usize {
        let written = match self.msg {
            Msg::Json => event.bytes(field).map_or(0, <[u8]>::len),
            Msg::StructuredData => {
                event.text(field, &mut scratch.text).map_or(0, |text| text.chars().map(param_char_len).sum())
            }
        };
        written.saturating_sub(over)
    }
}

/// Lends what is kept of the event, but for its first `skipped` bytes.
fn lend_kept(event: &Event<'_>, entry: &Entry<'_>, shortened: &Shortened, skipped: u32, body: &mut Body) {
    for kept in shorten::kept(event, shortened) {
        let start = kept.start.max(skipped).min(kept.end);
        entry.lend(event, start as usize..kept.end as usize, body);
    }
}

/// Writes the opening brace and the member `"siem"`, with its comma: an event has at least six members of its own.
fn write_member(stamp: Option<&Stamp<'_>>, truncated: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"siem\":{");
    if let Some(stamp) = stamp {
        out.extend_from_slice(b"\"node\":");
        write_string(stamp.node, out);
        out.extend_from_slice(b",\"stream\":");
        write_string(stamp.stream, out);
        out.extend_from_slice(b",\"n\":");
        write_number(stamp.n, out);
    }
    match (stamp, truncated) {
        (Some(_), true) => out.extend_from_slice(b",\"truncated\":true"),
        (None, true) => out.extend_from_slice(b"\"truncated\":true"),
        (_, false) => {}
    }
    out.extend_from_slice(b"},");
}

/// Writes the parameters of `siem` up to the value of `n`.
pub(crate) fn write_lead(stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    write_param("node", stamp.node, out);
    write_param("stream", stamp.stream, out);
    out.extend_from_slice(b" n=\"");
}

/// Writes ` name="value"` (RFC 5424, section 6.3.3). Control characters become spaces.
fn write_param(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    write_text(value, |byte| matches!(byte, b'"' | b'\\' | b']'), out);
    out.push(b'"');
}

/// Writes text with control characters as spaces and a backslash before each byte that `is_escaped`, which is one that
/// stands out in structured data.
fn write_text(text: &str, is_escaped: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(unmarked_length(rest, is_special));
        out.extend_from_slice(plain);
        rest = match special {
            [] => return,
            [C1_LEAD, 0x80..=0x9f, after @ ..] => {
                out.push(b' ');
                after
            }
            [byte, after @ ..] => {
                match byte {
                    control if control.is_ascii_control() => out.push(b' '),
                    escaped if is_escaped(*escaped) => out.extend_from_slice(&[b'\\', *escaped]),
                    plain => out.push(*plain),
                }
                after
            }
        };
    }
}

/// Marks the bytes that structured data cannot hold as they are, and those that may begin such a character.
fn is_special(block: u8x16) -> u8x16 {
    let escaped = is(block, b'"') | is(block, b'\\') | is(block, b']');
    escaped | is_below(block, b' ') | is(block, DELETE) | is(block, C1_LEAD)
}

/// The longest beginning of `value` that takes at most `limit` bytes inside a parameter.
fn param_prefix(value: &str, limit: usize) -> &str {
    if limit == usize::MAX {
        return value;
    }
    let mut used = 0;
    let fits = |(_, character): &(usize, char)| {
        used += param_char_len(*character);
        used > limit
    };
    let end = value.char_indices().find(fits).map_or(value.len(), |(at, _)| at);
    &value[..end]
}

fn param_char_len(character: char) -> usize {
    match character {
        '"' | '\\' | ']' => 2,
        control if control.is_control() => 1,
        other => other.len_utf8(),
    }
}

/// `file.download by alice@example.com`
fn write_sentence(event: &Event<'_>, text: &mut String, out: &mut Vec<u8>) {
    let action = event.text(Field::Action, text).unwrap_or_default();
    write_text(action, |_| false, out);
    let who = [Field::UserEmail, Field::UserId, Field::ServiceAccount];
    if let Some(field) = who.into_iter().find(|field| event.bytes(*field).is_some_and(|name| !name.is_empty())) {
        out.extend_from_slice(b" by ");
        let name = event.text(field, text).unwrap_or_default();
        write_text(name, |_| false, out);
    }
}

/// The enterprise number of the RFCs' examples (RFC 5612), until there is one of our own.
pub const ENTERPRISE_ID_DEFAULT: u32 = 32473;
/// The longest message unless set otherwise, in bytes; what rsyslog takes by default.
pub const MAX_LEN_DEFAULT: usize = 8192;
/// Every receiver takes messages of this length (RFC 5424, section 6.1).
pub const MAX_LEN_MIN: usize = 480;
/// The longest datagram unless set otherwise, in bytes: what an Ethernet takes in one piece (RFC 5426, section 3.2).
pub const DATAGRAM_LEN_DEFAULT: usize = 1400;
/// The shortest limit for datagrams: every receiver takes that much (RFC 5426, section 3.2, for IPv4).
pub const DATAGRAM_LEN_MIN: usize = MAX_LEN_MIN;
/// No datagram is longer: 65,535 bytes of IPv4 packet without its header and that of UDP.
pub const DATAGRAM_LEN_MAX: usize = 65_507;
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
const DELETE: u8 = 0x7f;
/// In UTF-8 the control characters U+0080 to U+009F are this byte and one of 0x80 to 0x9f.
const C1_LEAD: u8 = 0xc2;
const TRUNCATED: &[u8] = b" truncated=\"true\"";
