//! Where events go: what a destination's settings become.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::auth::Auth;
use super::kind::Kind;
use super::{Admin, Authorities, Fingerprint, HttpUrl, Ingest, Secret};
use crate::time::Millis;
use crate::transport::{Allowed, Targets};
use scaidrive_codecs::{Filter, FilterSpec, Redaction, RedactionSpec, Scope};

/// One configured place that events go to.
#[derive(Clone, Debug)]
pub struct Destination {
    /// What its cursors and streams are kept under; survives a new name.
    pub id: DestinationId,
    /// What people call it: 1 to 64 letters, digits, `.`, `_` and `-`; unique.
    pub name: String,
    /// What kind of SIEM it is, with what only that kind has.
    pub kind: Kind,
    /// How it lets us in, all of these together.
    pub auth: Vec<Auth>,
    /// Whose events it gets, as written.
    pub tenants: Vec<String>,
    /// The same, compiled.
    pub scope: Scope,
    /// Which of their events it gets, as written.
    pub filter_spec: FilterSpec,
    /// The same, compiled.
    pub filter: Filter,
    /// How many events travel together.
    pub batch: BatchSettings,
    /// How requests are compressed; never for syslog.
    pub compression: Compression,
    /// Whether events arrive strictly in the order of the log; always so for syslog.
    pub ordered: bool,
    /// Requests under way at the same time, for each shard; 1 when ordered.
    pub in_flight_max: usize,
    /// How it is recognised, and this agent by it.
    pub tls: TlsSettings,
    /// Which addresses it may be at.
    pub targets: Arc<Targets>,
    /// Whether producers wait for it with [`super::OnFull::Block`].
    pub required: bool,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// The HTTP proxy on the way; never for syslog.
    pub proxy: Option<ProxySettings>,
    /// How much it may get from this node.
    pub rate_limit: Option<RateLimit>,
    /// What it does not get of the events it gets.
    pub redact: RedactSettings,
}

/// What a destination does not get of the events it gets.
#[derive(Clone, Debug)]
pub struct RedactSettings {
    /// As written.
    pub spec: RedactionSpec,
    /// What values are hashed with.
    pub key: Option<Secret>,
    /// Both, compiled.
    pub redaction: Redaction,
}

impl RedactSettings {
    /// What becomes of which value, for people: `ip masked`.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        let RedactionSpec { drop, mask, hash } = &self.spec;
        let words =
            |paths: &[String], word: &str| paths.iter().map(|path| format!("{path} {word}")).collect::<Vec<_>>();
        [words(drop, "dropped"), words(mask, "masked"), words(hash, "hashed")].concat()
    }
}

/// An HTTP proxy on the way to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// Where it is.
    pub url: HttpUrl,
    /// Who we are to it, and what shows that.
    pub login: Option<(String, Secret)>,
    /// Hosts that are reached without it, subdomains included.
    pub no_proxy: Vec<String>,
}

impl ProxySettings {
    /// Whether the way to `host` leads through it.
    #[must_use]
    pub fn leads_to(&self, host: &str) -> bool {
        let is_excepted = |entry: &String| {
            let bare = entry.trim_start_matches("*.").trim_start_matches('.');
            bare == "*" || host.eq_ignore_ascii_case(bare) || ends_in_domain(host, bare)
        };
        !self.no_proxy.iter().any(is_excepted)
    }
}

fn ends_in_domain(host: &str, domain: &str) -> bool {
    let at = host.len().checked_sub(domain.len() + 1);
    at.and_then(|at| Some((host.as_bytes().get(at)?, host.get(at + 1..)?)))
        .is_some_and(|(dot, end)| *dot == b'.' && end.eq_ignore_ascii_case(domain))
}

/// How much a destination may get from this node. All bounds are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Events a second.
    pub events: Option<u64>,
    /// Bytes of events a second.
    pub bytes: Option<u64>,
    /// Bytes of events a day.
    pub bytes_per_day: Option<u64>,
    /// From this share of the day's bytes on, somebody is told.
    pub warn_at_percent: u8,
}

impl Destination {
    /// The same within the bounds that all destinations of an agent have.
    pub(super) fn within(mut self, bounds: &Targets) -> Destination {
        self.targets = Arc::new(Targets { public_only: self.targets.public_only, ..bounds.clone() });
        self
    }
    /// Everything secret about it, with the key that names it.
    pub fn secrets(&self) -> Vec<(&'static str, &Secret)> {
        let proxy = self.proxy.iter().flat_map(|proxy| &proxy.login).map(|(_, password)| ("proxy.password", password));
        let redaction = self.redact.key.iter().map(|key| ("redact.key", key));
        self.auth.iter().flat_map(Auth::secrets).chain(proxy).chain(redaction).collect()
    }
}

/// What no destination of an agent connects to unless `allowed` says so: the agent itself.
pub(super) fn bounds(admin: Option<&Admin>, ingest: Option<&Ingest>, allowed: Vec<Allowed>) -> Targets {
    let http = ingest.and_then(|ingest| ingest.http.as_ref()).map(|http| http.listen);
    let own = admin.map(|admin| admin.listen).into_iter().chain(http).filter(|at| at.port() != 0).collect();
    Targets { public_only: false, own, allowed }
}

/// What a destination's cursors and streams are kept under: 16 bytes made from its `id`, or from its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId([u8; 16]);

impl DestinationId {
    /// The id that stands for a text: its 128-bit FNV-1a hash, big-endian. Stored on disk, so it never changes.
    #[must_use]
    pub fn from_text(text: &str) -> DestinationId {
        let mix = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(FNV_PRIME);
        DestinationId(text.bytes().fold(FNV_BASIS, mix).to_be_bytes())
    }

    /// An id as it was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> DestinationId {
        DestinationId(bytes)
    }

    /// What is stored.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many events travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// Events in one request or write.
    pub max_events: usize,
    /// Bytes of one request or write before compression.
    pub max_size: usize,
    /// How long an event waits for company while requests are under way.
    pub linger: Millis,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

impl Compression {
    /// The one that is called so, if any.
    pub(super) fn named(name: &str) -> Option<Compression> {
        [Compression::None, Compression::Gzip, Compression::Zstd].into_iter().find(|one| one.name() == name)
    }

    /// The word for it in the configuration, and in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}

/// How long a destination may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To resolve, connect and agree on TLS.
    pub connect: Millis,
    /// For the reply to a request, or for a blocked write.
    pub request: Millis,
}

/// How a destination is recognised, and this agent by it. Every file named here was readable and had PEM in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificates of the authorities to trust; the system's when `None`.
    pub ca_file: Option<PathBuf>,
    /// The same themselves; never beside `ca_file`.
    pub ca: Option<Authorities>,
    /// When there are any, its certificate must have one of these. Authorities, name and dates then count only where
    /// `ca_file` or `ca` is set.
    pub fingerprints: Vec<Fingerprint>,
    /// No older version is spoken.
    pub min_version: TlsVersion,
    /// The name its certificate must have; its host name when `None`.
    pub server_name: Option<String>,
    /// The certificate to show, with its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// FNV-1a, 128 bits: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
const FNV_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_leads_everywhere_but_to_the_hosts_that_are_excepted_and_their_subdomains() {
        let url = HttpUrl::parse("http://proxy.example.com:3128").unwrap();
        let no_proxy = ["internal.example.com", ".corp", "*.lab", "192.0.2.7"].map(str::to_owned).into();
        let proxy = ProxySettings { url, login: None, no_proxy };
        for host in ["siem.example.com", "notinternal.example.com", "corp.example.com", "192.0.2.77"] {
            assert!(proxy.leads_to(host), "{host}");
        }
        for host in ["internal.example.com", "a.Internal.example.com", "x.corp", "corp", "y.lab", "192.0.2.7"] {
            assert!(!proxy.leads_to(host), "{host}");
        }
        assert!(!ProxySettings { no_proxy: vec!["*".to_owned()], ..proxy }.leads_to("anything"));
    }

    #[test]
    fn an_id_is_the_published_hash_of_its_text() {
        // The empty text and "foobar" are in the draft's table of test values.
        assert_eq!(DestinationId::from_text("").to_string(), "6c62272e07bb014262b821756295c58d");
        assert_eq!(DestinationId::from_text("foobar").to_string(), "343e1662793c64bf6f0d3597ba446f18");
        assert_ne!(DestinationId::from_text("splunk-a"), DestinationId::from_text("splunk-b"));
    }
}
