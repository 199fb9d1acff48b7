//! The kinds of destination. Each has a file of its own: its keys, how they are read, and what may be shown.
//!
//! | part of a kind's file | what it is |
//! |---|---|
//! | `KEYS` | its keys beside the common ones, for the parser and the JSON Schema |
//! | `parse` | from a table to its settings and its ways of being let in; all problems at once |
//! | `settings` | the same as key and value, for people and for finding out what changed |

use std::fmt;

use super::auth::Auth;
use super::keys::Key;
use super::settings::Setting;
use super::url::{HttpUrl, is_loopback};
use super::walk::Section;
use super::{Destination, Surroundings};

mod splunk_hec;
mod syslog;

pub use splunk_hec::{HecAck, SplunkHec};
pub use syslog::{Syslog, SyslogTransport};

/// What kind of SIEM a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Splunk's HTTP Event Collector.
    SplunkHec(SplunkHec),
    /// Syslog (RFC 5424).
    Syslog(Syslog),
}

impl Kind {
    /// The word for it in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Kind::SplunkHec(_) => "splunk_hec",
            Kind::Syslog(_) => "syslog",
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Kind::Syslog(syslog) => syslog.address(),
            _ => self.urls().iter().map(HttpUrl::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    /// Where its requests go; none where it is not HTTP. All of them take the same requests.
    #[must_use]
    pub fn urls(&self) -> &[HttpUrl] {
        match self {
            Kind::SplunkHec(hec) => std::slice::from_ref(&hec.url),
            Kind::Syslog(_) => &[],
        }
    }

    /// Every key that only this kind has, with its value.
    pub(super) fn settings(&self, destination: &Destination) -> Vec<Setting> {
        match self {
            Kind::SplunkHec(hec) => hec.settings(destination),
            Kind::Syslog(syslog) => syslog.settings(),
        }
    }
}

/// A kind of destination as the parser knows it.
pub(super) struct Row {
    /// The word for it.
    pub(super) name: &'static str,
    /// Its keys beside the common ones.
    pub(super) keys: &'static [Key],
    /// Whether it can't be but in the order of the log.
    pub(super) is_always_ordered: bool,
    /// Reads them, and reports all that is wrong with them.
    pub(super) parse: fn(&Reading<'_>) -> Option<Parsed>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What a kind reads itself from.
pub(super) struct Reading<'a> {
    /// The destination's table.
    pub(super) section: &'a Section<'a>,
    /// The label of this node.
    pub(super) node: &'a str,
    /// The machine.
    pub(super) surroundings: &'a Surroundings,
}

/// What a kind has read.
pub(super) struct Parsed {
    /// Its settings.
    pub(super) kind: Kind,
    /// How it lets us in, all of them together.
    pub(super) auth: Vec<Auth>,
}

/// The kinds this version delivers to.
pub(super) const KINDS: &[Row] = &[splunk_hec::ROW, syslog::ROW];

/// Their names, in the same order.
pub(super) const NAMES: &[&str] = &["splunk_hec", "syslog"];

/// The kinds that other versions deliver to.
pub(super) const NAMES_LATER: &[&str] = &["sentinel", "elastic", "datadog", "sumo_logic", "https"];

impl Reading<'_> {
    /// An address, with a word about one that is not encrypted.
    fn url(&self, name: &str) -> Option<HttpUrl> {
        let url = self.section.url(name)?;
        self.check_encryption(url.tls, &url.host, name, &format!("write https:// in {name}"))?;
        Some(url)
    }

    /// Settings for TLS where there is none are a mistake somebody believes in; plain text off this machine is a risk.
    fn check_encryption(&self, encrypted: bool, host: &str, key: &str, advice: &str) -> Option<()> {
        let section = self.section;
        if encrypted {
            return Some(());
        }
        if section.has("tls") {
            let what = "`tls` is set, and the connection is not encrypted";
            section.problems().error(section.place("tls"), what, format!("{advice}, or take tls out"));
            return None;
        }
        if !is_loopback(host) {
            let what = format!("events cross the network unencrypted to {host}");
            section.problems().warn(section.place(key), what, advice);
        }
        Some(())
    }
}
