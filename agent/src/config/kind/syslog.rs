//! Syslog (RFC 5424, RFC 3164) and RELP. What one transport has and another has not is decided here.

use scaidrive_codecs::relp::DATA_MAX;
use scaidrive_codecs::syslog::{DATAGRAM_LEN_DEFAULT, DATAGRAM_LEN_MAX, Framing, Header, MAX_LEN_DEFAULT, Msg, tag_of};

use super::super::keys::{Alphabet, BATCH, Default, Key, Shape, choice, key, name, shape, size, text};
use super::super::problems::shown;
use super::super::settings::{Setting, some};
use super::super::text::{MIB, size_text};
use super::super::walk::Section;
use super::{Kind, Parsed, Reading, Row};
use crate::time::Millis;

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
    /// Where a canonical event goes.
    pub msg: Msg,
    /// What an event is.
    pub shape: scaidrive_codecs::Shape,
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

pub(super) const ROW: Row = Row { name: "syslog", keys: KEYS, is_always_ordered: true, parse };

const KEYS: &[Key] = &[
    key(
        "transport",
        choice(&["tcp", "tls", "udp", "relp", "relp_tls"]),
        Default::Text("tls"),
        "What carries the messages. Only RELP is answered; with udp delivered means sent and nothing more.",
    ),
    key("host", Shape::Host, Default::Required, "Who receives them."),
    key(
        "port",
        Shape::Count { min: 1, max: 65535 },
        Default::Absent,
        "On which port; 514 with tcp and udp, 6514 with tls and 20514 with RELP when absent.",
    ),
    key(
        "framing",
        choice(&["octet_counting", "line_feed"]),
        Default::Text("octet_counting"),
        "How messages are told apart with tcp and tls (RFC 6587); line_feed for appliances that know nothing else.",
    ),
    key(
        "header",
        choice(&["rfc5424", "rfc3164"]),
        Default::Text("rfc5424"),
        "Which standard the header follows; rfc3164 for receivers that know nothing newer.",
    ),
    key(
        "utc_offset",
        text(6),
        Default::Text("+00:00"),
        "Where the receiver's clock is: the time in a header of RFC 3164 has no zone and is written at this offset.",
    ),
    key("facility", choice(FACILITIES), Default::Text("local0"), "The facility of every message."),
    key(
        "msg",
        choice(&["json", "structured"]),
        Default::Text("json"),
        "Where a canonical event goes: as JSON in the message, or as structured data.",
    ),
    shape(&["canonical", "ecs", "ocsf", "asim", "cef", "leef"]),
    key(
        "hostname",
        Shape::Text { alphabet: Alphabet::Label, max: 255 },
        Default::Absent,
        "The HOSTNAME field; agent.node when absent.",
    ),
    key("app_name", name(48), Default::Text("scaidrive"), "The APP-NAME field."),
    key(
        "max_len",
        size(480, MIB),
        Default::Absent,
        "The longest message; longer ones lose their payload first. 8KiB when absent, 1400B with udp.",
    ),
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
    let transport = section.choice("transport").map(|position| SyslogTransport::ALL[position]);
    let host = section.host("host");
    let port = section.optional("port", Section::count);
    let framing = section.choice("framing").map(|position| [Framing::OctetCounting, Framing::LineFeed][position]);
    let app_name = section.text("app_name");
    let bom = section.flag("bom");
    let header = header(section, app_name.as_deref(), bom);
    let facility = section.choice("facility");
    let (shape, msg) = (reading.shape(), msg(section));
    let hostname = section.optional("hostname", Section::text);
    let max_len = section.optional("max_len", Section::size);
    let (transport, host) = (transport?, host?);
    let advice = match transport {
        SyslogTransport::Relp | SyslogTransport::RelpTls => "write transport = \"relp_tls\"",
        _ => "write transport = \"tls\"",
    };
    let encryption = reading.check_encryption(transport.is_encrypted(), &host, "transport", advice);
    let framing = framing_of(section, transport, framing?);
    let max_len = length_of(section, transport, max_len?);
    encryption?;
    let syslog = Syslog {
        transport,
        host,
        port: port?.map_or(transport.usual_port(), |port| port as u16),
        framing: framing?,
        header: header?,
        facility: facility? as u8,
        msg: msg?,
        shape: shape?,
        hostname: hostname?.unwrap_or_else(|| reading.node.to_owned()),
        app_name: app_name?,
        max_len: max_len?,
        bom: bom?,
    };
    let usual_request_timeout = usual_request_timeout(&syslog);
    Some(Parsed { events_max: None, usual_request_timeout, kind: Kind::Syslog(syslog), auth: Vec::new() })
}

/// What is no shape of the event but where it stands.
fn msg(section: &Section<'_>) -> Option<Msg> {
    let written = section.written_text("msg");
    let problem = |what: String, advice: String| {
        section.problems().error(section.place("msg"), what, advice);
        None
    };
    if let Some(shape) = written.as_deref().and_then(scaidrive_codecs::Shape::named) {
        let name = shape.name();
        return problem(format!("`msg` is \"{name}\", which is a shape"), format!("write shape = \"{name}\""));
    }
    let msg = [Msg::Json, Msg::StructuredData][section.choice("msg")?];
    if written.is_some() && section.written_text("shape").is_some_and(|shape| shape != "canonical") {
        return problem(
            "`msg` is set beside a shape, which stands alone".to_owned(),
            "take one of them out".to_owned(),
        );
    }
    Some(msg)
}

/// How long an answer may take, where nothing is written about it.
fn usual_request_timeout(syslog: &Syslog) -> Option<Millis> {
    let is_relp = matches!(syslog.transport, SyslogTransport::Relp | SyslogTransport::RelpTls);
    is_relp.then_some(RELP_TIMEOUT)
}

fn header(section: &Section<'_>, app_name: Option<&str>, bom: Option<bool>) -> Option<Header> {
    let is_old = section.choice("header")? == 1;
    let offset = section.text("utc_offset")?;
    let Some(utc_offset) = minutes(&offset) else {
        let what = format!("`utc_offset` is {}, which is not an offset from UTC", shown(&offset));
        let advice = "write a sign, hours and minutes, like \"+02:00\" or \"-05:30\"";
        section.problems().error(section.place("utc_offset"), what, advice);
        return None;
    };
    if !is_old {
        if section.has("utc_offset") {
            let what = "`utc_offset` is set, and the header of RFC 5424 has a time in UTC";
            section.problems().error(section.place("utc_offset"), what, "take it out, or write header = \"rfc3164\"");
            return None;
        }
        return Some(Header::Rfc5424);
    }
    if bom == Some(true) {
        let what = "`bom` is true, and messages with the header of RFC 3164 have no byte order mark";
        section.problems().error(section.place("bom"), what, "take it out, or write header = \"rfc5424\"");
        return None;
    }
    if app_name.is_some_and(|name| tag_of(name).is_none()) {
        let what = "`app_name` has neither a letter nor a digit for the TAG of RFC 3164";
        section.problems().error(section.place("app_name"), what, "write a name with a letter or a digit in it");
        return None;
    }
    Some(Header::Rfc3164 { utc_offset })
}

/// `+hh:mm` or `-hh:mm` as minutes east of UTC.
fn minutes(text: &str) -> Option<i16> {
    let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = text.as_bytes() else { return None };
    let digits = [h1, h2, m1, m2].map(|digit| digit.is_ascii_digit().then(|| i16::from(digit - b'0')));
    let [h1, h2, m1, m2] = digits;
    let (hours, minutes) = (h1? * 10 + h2?, m1? * 10 + m2?);
    let magnitude = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
    Some(if *sign == b'-' { -magnitude } else { magnitude })
}

/// UDP and RELP have frames of their own. Inside the agent their messages are counted, and cut apart when they are sent.
fn framing_of(section: &Section<'_>, transport: SyslogTransport, framing: Framing) -> Option<Framing> {
    if matches!(transport, SyslogTransport::Tcp | SyslogTransport::Tls) {
        return Some(framing);
    }
    if section.has("framing") {
        let what = format!("`framing` is set, and {} has a framing of its own", transport.name());
        section.problems().error(section.place("framing"), what, "take it out");
        return None;
    }
    Some(Framing::OctetCounting)
}

/// The longest message: what is written, within what the transport carries.
fn length_of(section: &Section<'_>, transport: SyslogTransport, written: Option<u64>) -> Option<usize> {
    let (usual, most, why) = match transport {
        SyslogTransport::Tcp | SyslogTransport::Tls => (MAX_LEN_DEFAULT, MIB as usize, "a message"),
        SyslogTransport::Udp => (DATAGRAM_LEN_DEFAULT, DATAGRAM_LEN_MAX, "a datagram"),
        SyslogTransport::Relp | SyslogTransport::RelpTls => (MAX_LEN_DEFAULT, DATA_MAX, "a RELP frame"),
    };
    let Some(written) = written else { return Some(usual) };
    if written as usize > most {
        let found = size_text(written);
        let what = format!("`max_len` is {found}, and {why} carries no more than {}", size_text(most as u64));
        let advice = format!("write at most \"{}\"", size_text(most as u64));
        section.problems().error(section.place("max_len"), what, advice);
        return None;
    }
    Some(written as usize)
}

/// What librelp waits for an answer.
const RELP_TIMEOUT: Millis = Millis::from_secs(90);

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
        let (header, offset) = match self.header {
            Header::Rfc5424 => ("rfc5424", None),
            Header::Rfc3164 { utc_offset } => ("rfc3164", Some(offset_text(utc_offset))),
        };
        vec![
            some("transport", self.transport.name()),
            some("host", &self.host),
            some("port", self.port),
            some("framing", framing),
            some("header", header),
            ("utc_offset", offset),
            ("facility", FACILITIES.get(usize::from(self.facility)).map(|name| (*name).to_owned())),
            some("msg", msg),
            some("shape", self.shape.name()),
            some("hostname", &self.hostname),
            some("app_name", &self.app_name),
            some("max_len", size_text(self.max_len as u64)),
            some("bom", self.bom),
        ]
    }
}

/// Minutes east of UTC as they are written.
fn offset_text(minutes: i16) -> String {
    let (sign, magnitude) = (if minutes < 0 { '-' } else { '+' }, minutes.unsigned_abs());
    format!("{sign}{:02}:{:02}", magnitude / 60, magnitude % 60)
}

/// Names of the facilities in the order of their numbers (RFC 5424, table 1), as syslog daemons write them.
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_a_sign_hours_and_minutes() {
        for (text, expected) in [("+00:00", 0), ("-00:00", 0), ("+02:00", 120), ("-05:30", -330), ("+23:59", 1439)] {
            assert_eq!(minutes(text), Some(expected), "{text}");
        }
        for wrong in ["", "Z", "02:00", "+2:00", "+02:0", "+24:00", "+02:60", "+0a:00", "+02-00", "+002:00"] {
            assert_eq!(minutes(wrong), None, "{wrong}");
        }
    }
}
