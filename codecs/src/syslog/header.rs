//! What stands before a message's content: PRI, time, and the parts that no event changes, which are prepared once.

use std::net::IpAddr;

use super::{SyslogSettings, SyslogSettingsError};
use crate::event::{Event, Field};
use crate::json::write_number;
use crate::time::{write_bsd, write_rfc3339};

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
    facility: u8,
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
        Ok(Prepared { header: settings.header, facility: settings.facility, origin })
    }

    pub(super) fn is_rfc3164(&self) -> bool {
        matches!(self.header, Header::Rfc3164 { .. })
    }

    /// Writes the header and the space behind it.
    pub(super) fn write(&self, event: &Event<'_>, text: &mut String, out: &mut Vec<u8>) {
        out.push(b'<');
        write_number(u64::from(self.facility) * 8 + u64::from(event.severity().syslog()), out);
        out.push(b'>');
        match self.header {
            Header::Rfc5424 => {
                out.extend_from_slice(b"1 ");
                write_rfc3339(event.timestamp_ms(), out);
                out.extend_from_slice(&self.origin);
                write_name(event.text(Field::Action, text).unwrap_or_default(), MSGID_MAX, out);
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

/// Writes a header part: printable ASCII, anything else as `_`, at most `limit` characters, `-` for nothing.
fn write_name(text: &str, limit: usize, out: &mut Vec<u8>) {
    if text.is_empty() {
        out.push(b'-');
    }
    let printable = |c: char| if c.is_ascii_graphic() { c as u8 } else { b'_' };
    out.extend(text.chars().take(limit).map(printable));
}

const HOSTNAME_MAX: usize = 255;
const APP_NAME_MAX: usize = 48;
const PROCID_MAX: usize = 128;
const MSGID_MAX: usize = 32;
const TAG_MAX: usize = 32;
const DAY_MINUTES: u16 = 24 * 60;
