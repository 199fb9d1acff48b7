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
use super::parse_secret::secret;
use super::settings::{Setting, list, some};
use super::url::{HttpUrl, is_loopback};
use super::walk::Section;
use super::{Destination, Surroundings};
use crate::time::Millis;

mod datadog;
mod elastic;
mod https;
mod sentinel;
mod splunk_hec;
mod sumo_logic;
mod syslog;

pub use datadog::Datadog;
pub use elastic::Elastic;
pub use https::Https;
pub use sentinel::{Sentinel, SentinelApi};
pub use splunk_hec::{HecAck, SplunkHec};
pub use sumo_logic::SumoLogic;
pub use syslog::{Syslog, SyslogTransport};

/// What kind of SIEM a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Splunk's HTTP Event Collector.
    SplunkHec(SplunkHec),
    /// Microsoft Sentinel.
    Sentinel(Sentinel),
    /// Elasticsearch or OpenSearch.
    Elastic(Elastic),
    /// Datadog's logs intake.
    Datadog(Datadog),
    /// Sumo Logic's HTTP source.
    SumoLogic(SumoLogic),
    /// Any receiver that takes events by HTTPS.
    Https(Https),
    /// Syslog, or RELP.
    Syslog(Syslog),
}

impl Kind {
    /// The word for it in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Kind::SplunkHec(_) => "splunk_hec",
            Kind::Sentinel(_) => "sentinel",
            Kind::Elastic(_) => "elastic",
            Kind::Datadog(_) => "datadog",
            Kind::SumoLogic(_) => "sumo_logic",
            Kind::Https(_) => "https",
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
            Kind::Sentinel(sentinel) => std::slice::from_ref(&sentinel.url),
            Kind::Elastic(elastic) => &elastic.urls,
            Kind::Datadog(datadog) => std::slice::from_ref(&datadog.url),
            Kind::SumoLogic(sumo) => std::slice::from_ref(&sumo.url),
            Kind::Https(https) => std::slice::from_ref(&https.url),
            Kind::Syslog(_) => &[],
        }
    }

    /// Whether it may be sent compressed bodies.
    pub(super) fn reads_compressed(&self) -> bool {
        !matches!(self, Kind::Sentinel(sentinel) if matches!(sentinel.api, SentinelApi::DataCollector(_)))
    }

    /// Every key that only this kind has, with its value.
    pub(super) fn settings(&self, destination: &Destination) -> Vec<Setting> {
        let mut settings = match self {
            Kind::SplunkHec(hec) => hec.settings(destination),
            Kind::Sentinel(sentinel) => sentinel.settings(destination),
            Kind::Elastic(elastic) => elastic.settings(destination),
            Kind::Datadog(datadog) => datadog.settings(destination),
            Kind::SumoLogic(sumo) => sumo.settings(destination),
            Kind::Https(https) => https.settings(destination),
            Kind::Syslog(syslog) => return syslog.settings(),
        };
        settings.extend([
            some("compression", destination.compression.name()),
            some("in_flight", destination.in_flight_max),
        ]);
        let proxy = destination.proxy.as_ref();
        settings.extend([
            ("proxy.url", proxy.map(|proxy| proxy.url.to_string())),
            ("proxy.user", proxy.and_then(|proxy| proxy.login.as_ref()).map(|(user, _)| user.clone())),
            destination.secret_setting("proxy.password"),
            ("proxy.no_proxy", proxy.map(|proxy| list(&proxy.no_proxy))),
        ]);
        settings
    }
}

/// A kind of destination as the parser knows it.
pub(crate) struct Row {
    /// The word for it.
    pub(crate) name: &'static str,
    /// Its keys beside the common ones.
    pub(crate) keys: &'static [Key],
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
    /// Events in a request at most, where the kind knows a bound of its own.
    pub(super) events_max: Option<usize>,
    /// How long an answer may take where nothing is written about it, if that differs from the usual.
    pub(super) usual_request_timeout: Option<Millis>,
}

/// The kinds this version delivers to.
pub(crate) const KINDS: &[Row] =
    &[splunk_hec::ROW, sentinel::ROW, elastic::ROW, datadog::ROW, sumo_logic::ROW, https::ROW, syslog::ROW];

/// The keys of a kind beside those that every destination has; `None` for a name that no kind has.
pub(crate) fn keys_of(kind: &str) -> Option<(&'static str, &'static [Key])> {
    KINDS.iter().find(|row| row.name == kind).map(|row| (row.name, row.keys))
}

/// Their names, in the same order.
pub(super) const NAMES: &[&str] = &["splunk_hec", "sentinel", "elastic", "datadog", "sumo_logic", "https", "syslog"];

/// The address of somebody who is shown secrets, so it is encrypted unless it is on this machine.
fn encrypted_url(section: &Section<'_>, name: &str) -> Option<HttpUrl> {
    let url = section.url(name)?;
    if !url.tls && !url.is_loopback() {
        let what = format!("`{name}` is not encrypted, and a secret is sent there");
        section.problems().error(section.place(name), what, format!("write https:// in {name}"));
        return None;
    }
    Some(url)
}

impl Reading<'_> {
    /// An address, with a word about one that is not encrypted.
    fn url(&self, name: &str) -> Option<HttpUrl> {
        let url = self.section.url(name)?;
        self.check_encryption(url.tls, &url.host, name, &format!("write https:// in {name}"))?;
        Some(url)
    }

    /// What an event is made into.
    fn shape(&self) -> Option<scaidrive_codecs::Shape> {
        scaidrive_codecs::Shape::named(self.section.word("shape")?)
    }

    /// A user and a password.
    fn basic(&self) -> Option<Auth> {
        let section = self.section;
        let (user, password) =
            (section.optional("user", Section::text), secret(section, "password", self.surroundings));
        let Some(user) = user? else {
            let what = "`password` is set without `user`";
            section.problems().error(section.place("password"), what, "add user");
            return None;
        };
        if user.contains(':') {
            // What stands behind it may be the password.
            let what = "`user` has a colon, which would end the user's name";
            section.problems().error(section.place("user"), what, "write the name alone, and password beside it");
            return None;
        }
        Some(Auth::Basic { user, password: password? })
    }

    /// Which of these keys is written; two of them are a problem.
    fn one_of(&self, keys: &[&'static str]) -> Option<Option<&'static str>> {
        let mut written = keys.iter().copied().filter(|key| self.section.has(key));
        let (first, second) = (written.next(), written.next());
        if let (Some(first), Some(second)) = (first, second) {
            let what = format!("`{second}` stands beside {first}");
            self.section.problems().error(self.section.place(second), what, "take one of them out");
            return None;
        }
        Some(first)
    }

    /// Reports keys that have no meaning beside what `key` is.
    fn refuse_beside(&self, key: &str, value: &str, keys: &[&str]) -> Option<()> {
        let mut is_fine = Some(());
        for other in keys.iter().filter(|other| self.section.has(other)) {
            let what = format!("`{other}` has no meaning with {key} = {value}");
            self.section.problems().error(self.section.place(other), what, "take it out");
            is_fine = None;
        }
        is_fine
    }

    /// A key that must be there because of another one, which the table of keys can't say.
    fn required<T>(&self, name: &str, read: impl FnOnce(&Self, &str) -> Option<T>) -> Option<T> {
        if self.section.has(name) {
            return read(self, name);
        }
        self.section.problems().error(self.section.place(name), format!("`{name}` is missing"), format!("add {name}"));
        None
    }

    /// A text, or what the environment says.
    fn text_or_variable(&self, name: &str, variable: &str) -> Option<String> {
        match self.section.optional(name, Section::text)? {
            Some(text) => Some(text),
            None => match (self.surroundings.lookup)(variable).filter(|text| !text.is_empty()) {
                Some(text) => Some(text),
                None => self.required(name, |_, _| None),
            },
        }
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
