//! From the keys of a syslog destination to its settings. What one transport has and another has not is decided here.

use scaidrive_codecs::relp::DATA_MAX;
use scaidrive_codecs::syslog::{DATAGRAM_LEN_DEFAULT, DATAGRAM_LEN_MAX, Framing, Header, MAX_LEN_DEFAULT, Msg, tag_of};

use super::destination::{Syslog, SyslogTransport};
use super::parse_destination::check_encryption;
use super::text::{MIB, size_text};
use super::walk::Section;
use crate::time::Millis;

/// Reads the keys that only syslog has. `node` is the label of this node.
pub(super) fn syslog(section: &Section<'_>, node: &str) -> Option<Syslog> {
    let transport = section.choice("transport").map(|position| SyslogTransport::ALL[position]);
    let host = section.host("host");
    let port = section.optional("port", Section::count);
    let framing = section.choice("framing").map(|position| [Framing::OctetCounting, Framing::LineFeed][position]);
    let app_name = section.text("app_name");
    let bom = section.flag("bom");
    let header = header(section, app_name.as_deref(), bom);
    let facility = section.choice("facility");
    let msg = section.choice("msg");
    let hostname = section.optional("hostname", Section::text);
    let max_len = section.optional("max_len", Section::size);
    let (transport, host) = (transport?, host?);
    let advice = match transport {
        SyslogTransport::Relp | SyslogTransport::RelpTls => "write transport = \"relp_tls\"",
        _ => "write transport = \"tls\"",
    };
    let encryption = check_encryption(section, transport.is_encrypted(), &host, "transport", advice);
    let framing = framing_of(section, transport, framing?);
    let max_len = length_of(section, transport, max_len?);
    encryption?;
    Some(Syslog {
        transport,
        host,
        port: port?.map_or(transport.usual_port(), |port| port as u16),
        framing: framing?,
        header: header?,
        facility: facility? as u8,
        msg: [Msg::Json, Msg::StructuredData][msg?],
        hostname: hostname?.unwrap_or_else(|| node.to_owned()),
        app_name: app_name?,
        max_len: max_len?,
        bom: bom?,
    })
}

/// How long an answer may take, where nothing is written about it.
pub(super) fn usual_request_timeout(syslog: &Syslog) -> Option<Millis> {
    let is_relp = matches!(syslog.transport, SyslogTransport::Relp | SyslogTransport::RelpTls);
    is_relp.then_some(RELP_TIMEOUT)
}

fn header(section: &Section<'_>, app_name: Option<&str>, bom: Option<bool>) -> Option<Header> {
    let is_old = section.choice("header")? == 1;
    let offset = section.text("utc_offset")?;
    let Some(utc_offset) = minutes(&offset) else {
        let what = format!("`utc_offset` is \"{offset}\", which is not an offset from UTC");
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
