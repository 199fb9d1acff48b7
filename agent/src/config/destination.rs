//! Where events go: what a destination's settings become.

use std::fmt;
use std::path::PathBuf;

use super::{Fingerprint, HttpUrl, Secret};
use crate::time::Millis;
use scaidrive_codecs::syslog::{Framing, Header, Msg};
use scaidrive_codecs::{Filter, FilterSpec, Scope};

/// One configured place that events go to.
#[derive(Clone, Debug)]
pub struct Destination {
    /// What its cursors and streams are kept under; survives a new name.
    pub id: DestinationId,
    /// What people call it: 1 to 64 letters, digits, `.`, `_` and `-`; unique.
    pub name: String,
    /// What kind of SIEM it is, with what only that kind has.
    pub kind: Kind,
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
    /// Whether producers wait for it with [`super::OnFull::Block`].
    pub required: bool,
    /// How long it may take.
    pub timeouts: Timeouts,
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

/// What kind of SIEM a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Splunk's HTTP Event Collector.
    SplunkHec(SplunkHec),
    /// Syslog, or RELP.
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
            Kind::SplunkHec(hec) => hec.url.to_string(),
            Kind::Syslog(syslog) => format!("{}://{}:{}", syslog.transport.name(), syslog.host, syslog.port),
        }
    }
}

/// Splunk's HTTP Event Collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplunkHec {
    /// Its address; the path is what comes before `/services/collector`.
    pub url: HttpUrl,
    /// Its token.
    pub token: Secret,
    /// Whether indexer acknowledgement is used.
    pub ack: HecAck,
    /// Splunk's host field; the node's label unless something else is written.
    pub host: String,
    /// Splunk's source field.
    pub source: String,
    /// Splunk's sourcetype.
    pub sourcetype: String,
    /// Index to write to; the token's own when `None`.
    pub index: Option<String>,
}

/// Whether Splunk's indexer acknowledgement is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HecAck {
    /// If the token has it.
    Auto,
    /// Never asked for.
    Off,
}

/// Syslog: RFC 5424 or RFC 3164 messages over UDP, TCP, TLS or RELP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// What carries the messages.
    pub transport: SyslogTransport,
    /// Who receives them: a host name or an IP address.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// How messages are told apart: octet counting or line feeds. Counting where the transport has frames of its own.
    pub framing: Framing,
    /// Which standard the header follows.
    pub header: Header,
    /// Facility, 0 to 23.
    pub facility: u8,
    /// Where the event goes.
    pub msg: Msg,
    /// The HOSTNAME field; the node's label unless something else is written.
    pub hostname: String,
    /// The APP-NAME field, 1 to 48 bytes.
    pub app_name: String,
    /// Longest message, in bytes without the frame; 480 at least, and no more than the transport carries.
    pub max_len: usize,
    /// Whether the message starts with a byte order mark.
    pub bom: bool,
}

/// What carries syslog messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyslogTransport {
    /// TCP (RFC 6587).
    Tcp,
    /// TLS (RFC 5425).
    Tls,
    /// UDP (RFC 5426): delivered means no more than handed to this machine's kernel.
    Udp,
    /// RELP over TCP: delivered means answered by the receiver.
    Relp,
    /// RELP over TLS from the first byte.
    RelpTls,
}

impl SyslogTransport {
    /// All of them, in the order in which the configuration lists them.
    pub const ALL: [SyslogTransport; 5] = [
        SyslogTransport::Tcp,
        SyslogTransport::Tls,
        SyslogTransport::Udp,
        SyslogTransport::Relp,
        SyslogTransport::RelpTls,
    ];

    /// The word for it in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SyslogTransport::Tcp => "tcp",
            SyslogTransport::Tls => "tls",
            SyslogTransport::Udp => "udp",
            SyslogTransport::Relp => "relp",
            SyslogTransport::RelpTls => "relp_tls",
        }
    }

    /// Whether nobody on the way can read what it carries.
    #[must_use]
    pub fn is_encrypted(self) -> bool {
        matches!(self, SyslogTransport::Tls | SyslogTransport::RelpTls)
    }

    /// Whether it is a byte stream without answers: what was written may be lost with the connection.
    #[must_use]
    pub fn is_pipe(self) -> bool {
        matches!(self, SyslogTransport::Tcp | SyslogTransport::Tls)
    }

    /// The port where none is written: 514 and 6514 are assigned, 20514 is librelp's own default.
    #[must_use]
    pub fn usual_port(self) -> u16 {
        match self {
            SyslogTransport::Tcp | SyslogTransport::Udp => 514,
            SyslogTransport::Tls => 6514,
            SyslogTransport::Relp | SyslogTransport::RelpTls => 20514,
        }
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
    /// When there are any, its certificate must have one of these. Authorities, name and dates then count only where
    /// `ca_file` is set.
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
    fn an_id_is_the_published_hash_of_its_text() {
        // The empty text and "foobar" are in the draft's table of test values.
        assert_eq!(DestinationId::from_text("").to_string(), "6c62272e07bb014262b821756295c58d");
        assert_eq!(DestinationId::from_text("foobar").to_string(), "343e1662793c64bf6f0d3597ba446f18");
        assert_ne!(DestinationId::from_text("splunk-a"), DestinationId::from_text("splunk-b"));
    }
}
