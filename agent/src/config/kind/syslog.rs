//! Syslog (RFC 5424).

use scaidrive_codecs::syslog::{Framing, Msg};

use super::super::keys::{Alphabet, BATCH, Default, Key, Shape, choice, key, name, size};
use super::super::settings::{Setting, some};
use super::super::text::{MIB, size_text};
use super::super::walk::Section;
use super::{Kind, Parsed, Reading, Row};

/// Syslog (RFC 5424) over TCP or TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// What carries the messages.
    pub transport: SyslogTransport,
    /// Who receives them: a host name or an IP address.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// How messages are told apart: octet counting or line feeds.
    pub framing: Framing,
    /// Facility, 0 to 23.
    pub facility: u8,
    /// Where the event goes.
    pub msg: Msg,
    /// The HOSTNAME field; the node's label unless something else is written.
    pub hostname: String,
    /// The APP-NAME field, 1 to 48 bytes.
    pub app_name: String,
    /// Longest message, in bytes without the frame; 480 at least.
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
}

impl SyslogTransport {
    /// The word for it in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SyslogTransport::Tcp => "tcp",
            SyslogTransport::Tls => "tls",
        }
    }
}

pub(super) const ROW: Row = Row { name: "syslog", keys: KEYS, is_always_ordered: true, parse };

const KEYS: &[Key] = &[
    key(
        "transport",
        Shape::Choice { now: &["tcp", "tls"], later: &["udp", "relp"] },
        Default::Text("tls"),
        "What carries the messages.",
    ),
    key("host", Shape::Host, Default::Required, "Who receives them."),
    key(
        "port",
        Shape::Count { min: 1, max: 65535 },
        Default::Absent,
        "On which port; 6514 with tls and 514 with tcp when absent.",
    ),
    key(
        "framing",
        choice(&["octet_counting", "line_feed"]),
        Default::Text("octet_counting"),
        "How messages are told apart (RFC 6587); line_feed for appliances that know nothing else.",
    ),
    key("facility", choice(FACILITIES), Default::Text("local0"), "The facility of every message."),
    key(
        "msg",
        Shape::Choice { now: &["json", "structured"], later: &["cef", "leef"] },
        Default::Text("json"),
        "Where the event goes: as JSON in the message, or as structured data.",
    ),
    key(
        "hostname",
        Shape::Text { alphabet: Alphabet::Label, max: 255 },
        Default::Absent,
        "The HOSTNAME field; agent.node when absent.",
    ),
    key("app_name", name(48), Default::Text("scaidrive"), "The APP-NAME field."),
    key("max_len", size(480, MIB), Default::Text("8KiB"), "The longest message; longer ones lose their payload first."),
    key(
        "bom",
        Shape::Flag,
        Default::Flag(false),
        "Whether the message starts with a byte order mark, as strict receivers want.",
    ),
    key("batch", Shape::Table(BATCH), Default::Absent, "How many events travel together."),
];

fn parse(reading: &Reading<'_>) -> Option<Parsed> {
    let section = reading.section;
    let transport = section.choice("transport").map(|position| [SyslogTransport::Tcp, SyslogTransport::Tls][position]);
    let host = section.host("host");
    let port = section.optional("port", Section::count);
    let framing = section.choice("framing");
    let facility = section.choice("facility");
    let msg = section.choice("msg");
    let hostname = section.optional("hostname", Section::text);
    let app_name = section.text("app_name");
    let max_len = section.size("max_len");
    let bom = section.flag("bom");
    let (transport, host) = (transport?, host?);
    reading.check_encryption(transport == SyslogTransport::Tls, &host, "transport", "write transport = \"tls\"")?;
    let usual_port = match transport {
        SyslogTransport::Tcp => 514,
        SyslogTransport::Tls => 6514,
    };
    let syslog = Syslog {
        transport,
        host,
        port: port?.map_or(usual_port, |port| port as u16),
        framing: [Framing::OctetCounting, Framing::LineFeed][framing?],
        facility: facility? as u8,
        msg: [Msg::Json, Msg::StructuredData][msg?],
        hostname: hostname?.unwrap_or_else(|| reading.node.to_owned()),
        app_name: app_name?,
        max_len: max_len? as usize,
        bom: bom?,
    };
    Some(Parsed { events_max: None, kind: Kind::Syslog(syslog), auth: Vec::new() })
}

impl Syslog {
    pub(super) fn address(&self) -> String {
        format!("{}://{}:{}", self.transport.name(), self.host, self.port)
    }

    pub(super) fn settings(&self) -> Vec<Setting> {
        let framing = match self.framing {
            Framing::OctetCounting => "octet_counting",
            Framing::LineFeed => "line_feed",
            Framing::Datagram => "datagram",
        };
        let msg = match self.msg {
            Msg::Json => "json",
            Msg::StructuredData => "structured",
        };
        vec![
            some("transport", self.transport.name()),
            some("host", &self.host),
            some("port", self.port),
            some("framing", framing),
            ("facility", FACILITIES.get(usize::from(self.facility)).map(|name| (*name).to_owned())),
            some("msg", msg),
            some("hostname", &self.hostname),
            some("app_name", &self.app_name),
            some("max_len", size_text(self.max_len as u64)),
            some("bom", self.bom),
        ]
    }
}

/// Names of the facilities in the order of their numbers (RFC 5424, table 1), as syslog daemons write them.
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
