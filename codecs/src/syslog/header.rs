//! What stands before a message's content: PRI, time, and the parts that no event changes, which are prepared once.

use std::net::IpAddr;

use super::{SyslogSettings, SyslogSettingsError};
use crate::event::{Event, Field};
use crate::plain::{is_above, is_below, unmarked_length};
use crate::time::{is_utc_millis, write_bsd, write_rfc3339};

/// Which standard a message's header follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// RFC 5424, section 6.2.
    Rfc5424,
    /// RFC 3164, section 4.1, for receivers that know nothing newer.
    ///
    /// The time has neither year nor zone and is meant to be local. It is written at a fixed offset: which zone the
    /// receiver assumes, and when its clocks change, only the operator knows.
    Rfc3164 {
        /// Minutes east of UTC, less than a day.
        utc_offset: i16,
    },
}

/// A header with everything that no event changes.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    header: Header,
    /// PRI for each severity, and in RFC 5424 VERSION and a space.
    beginnings: [Vec<u8>; SEVERITIES],
    /// HOSTNAME, APP-NAME and PROCID, or HOSTNAME and TAG with its colon; each with a space before and after.
    origin: Vec<u8>,
}

impl Prepared {
    pub(super) fn new(settings: &SyslogSettings) -> Result<Prepared, SyslogSettingsError> {
        if settings.facility > 23 {
            return Err(SyslogSettingsError::Facility { facility: settings.facility });
        }
        let mut origin = vec![b' '];
        match settings.header {
            Header::Rfc5424 => {
                write_name(&settings.hostname, HOSTNAME_MAX, &mut origin);
                origin.push(b' ');
                write_name(&settings.app_name, APP_NAME_MAX, &mut origin);
                origin.push(b' ');
                write_name(&settings.procid, PROCID_MAX, &mut origin);
                origin.push(b' ');
            }
            Header::Rfc3164 { utc_offset } => {
                if utc_offset.unsigned_abs() >= DAY_MINUTES {
                    return Err(SyslogSettingsError::UtcOffset { minutes: utc_offset });
                }
                if settings.bom {
                    return Err(SyslogSettingsError::Bom);
                }
                let tag = tag_of(&settings.app_name).ok_or(SyslogSettingsError::Tag)?;
                write_name(without_domain(&settings.hostname), HOSTNAME_MAX, &mut origin);
                origin.push(b' ');
                if !settings.shape.is_text() {
                    origin.extend_from_slice(tag.as_bytes());
                    origin.extend_from_slice(b": ");
                }
            }
        }
        let version = if let Header::Rfc5424 = settings.header { "1 " } else { "" };
        let beginnings = std::array::from_fn(|severity| {
            let pri = usize::from(settings.facility) * SEVERITIES + severity;
            format!("<{pri}>{version}").into_bytes()
        });
        Ok(Prepared { header: settings.header, beginnings, origin })
    }

    pub(super) fn is_rfc3164(&self) -> bool {
        matches!(self.header, Header::Rfc3164 { .. })
    }

    /// Writes the header and the space behind it.
    pub(super) fn write(&self, event: &Event<'_>, text: &mut String, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.beginnings[usize::from(event.severity().syslog())]);
        match self.header {
            Header::Rfc5424 => {
                write_time(event, out);
                out.extend_from_slice(&self.origin);
                write_msgid(event, text, out);
                out.push(b' ');
            }
            Header::Rfc3164 { utc_offset } => {
                write_bsd(event.timestamp_ms().saturating_add(i64::from(utc_offset) * 60_000), out);
                out.extend_from_slice(&self.origin);
            }
        }
    }
}

/// The TAG that stands for an APP-NAME: its letters and digits, at most 32 (RFC 3164, section 4.1.3). `None` when it
/// has none of them.
pub fn tag_of(app_name: &str) -> Option<String> {
    let tag: String = app_name.chars().filter(char::is_ascii_alphanumeric).take(TAG_MAX).collect();
    (!tag.is_empty()).then_some(tag)
}

/// "The Domain Name MUST NOT be included in the HOSTNAME field" (RFC 3164, section 4.1.2); an address stays whole.
fn without_domain(hostname: &str) -> &str {
    if hostname.parse::<IpAddr>().is_ok() {
        return hostname;
    }
    hostname.split_once('.').map_or(hostname, |(host, _)| host)
}

/// Writes the event's time in UTC with milliseconds, which is how most events have it already.
fn write_time(event: &Event<'_>, out: &mut Vec<u8>) {
    match event.bytes(Field::Timestamp) {
        Some(written) if is_utc_millis(written) => out.extend_from_slice(written),
        _ => write_rfc3339(event.timestamp_ms(), out),
    }
}

/// Writes the event's action, which usually is a name already.
fn write_msgid(event: &Event<'_>, text: &mut String, out: &mut Vec<u8>) {
    match event.bytes(Field::Action) {
        Some(written) if is_name(written, MSGID_MAX) && !event.index.has_escapes(Field::Action) => {
            out.extend_from_slice(written);
        }
        _ => write_name(event.text(Field::Action, text).unwrap_or_default(), MSGID_MAX, out),
    }
}

/// Whether [`write_name`] would leave a text as it is.
fn is_name(text: &[u8], limit: usize) -> bool {
    let is_not_graphic = |block| is_below(block, b'!') | is_above(block, b'~');
    (1..=limit).contains(&text.len()) && unmarked_length(text, is_not_graphic) == text.len()
}

/// Writes a header part: printable ASCII, anything else as `_`, at most `limit` characters, `-` for nothing.
fn write_name(text: &str, limit: usize, out: &mut Vec<u8>) {
    if text.is_empty() {
        out.push(b'-');
    }
    let printable = |c: char| if c.is_ascii_graphic() { c as u8 } else { b'_' };
    out.extend(text.chars().take(limit).map(printable));
}

/// RFC 5424, section 6.2.1.
const SEVERITIES: usize = 8;
const HOSTNAME_MAX: usize = 255;
const APP_NAME_MAX: usize = 48;
const PROCID_MAX: usize = 128;
const MSGID_MAX: usize = 32;
const TAG_MAX: usize = 32;
const DAY_MINUTES: u16 = 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_is_what_would_be_written_as_it_is(text in "[!-~]{0,40}|[ -~é\u{7f}\n]{0,40}|\\PC{0,9}") {
            let mut written = Vec::new();
            write_name(&text, MSGID_MAX, &mut written);
            prop_assert_eq!(is_name(text.as_bytes(), MSGID_MAX), written == text.as_bytes());
        }
    }
}
