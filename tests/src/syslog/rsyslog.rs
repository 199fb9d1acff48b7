//! The real rsyslog, as Debian packages it, as a receiver.

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::{Message, record};
use crate::arrival::Arrivals;
use crate::certificates::Identity;
use crate::daemon::Daemon;
use crate::ports::{free_port, is_udp_open};
use crate::wait::wait_until;

/// What it listens with. The modes called mutual want a certificate of the client, from the authority that issued the
/// server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsyslogMode {
    /// Plain TCP.
    Plain,
    /// UDP.
    Udp,
    /// TLS with the GnuTLS driver.
    GnuTls,
    /// TLS with the GnuTLS driver, mutual.
    GnuTlsMutual,
    /// TLS with the OpenSSL driver.
    OpenSsl,
    /// TLS with the OpenSSL driver, mutual.
    OpenSslMutual,
    /// RELP over plain TCP.
    Relp,
    /// RELP over TLS with OpenSSL.
    RelpTls,
    /// RELP over TLS with GnuTLS, mutual.
    RelpTlsMutual,
}

/// What rsyslogd has counted since its last start; its own figures are up to a second old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RsyslogCounters {
    /// Messages that its input took.
    pub submitted: u64,
    /// Messages that it gave to the output file.
    pub processed: u64,
    /// Messages that could not be written.
    pub failed: u64,
}

/// A running rsyslogd.
pub struct Rsyslog {
    address: SocketAddr,
    mode: RsyslogMode,
    dir: PathBuf,
    daemon: Daemon,
}

const PLACES: &[&str] = &["/usr/sbin/rsyslogd", "/usr/local/sbin/rsyslogd"];
const MODULE_PLACES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/rsyslog",
    "/usr/lib/aarch64-linux-gnu/rsyslog",
    "/usr/lib/rsyslog",
    "/usr/lib64/rsyslog",
];
const START_WITHIN: Duration = Duration::from_secs(20);
const MESSAGE_MAX: &str = "256k";

/// How a line of the output begins; quotes inside a message are escaped, so it stands nowhere else.
const LINE_START: &str = "{\"raw\":\"";
/// The name of the action that writes the output.
const ACTION: &str = "out";

/// One line of the output file, as the template below writes it.
#[derive(Deserialize)]
struct OutputLine {
    raw: String,
}

/// One line of `impstats`: one object that counts.
#[derive(Deserialize)]
struct StatsLine {
    name: String,
    origin: String,
    #[serde(default)]
    submitted: u64,
    #[serde(default)]
    processed: u64,
    #[serde(default)]
    failed: u64,
}

impl RsyslogMode {
    /// The module that listens.
    fn input(self) -> &'static str {
        match self {
            RsyslogMode::Udp => "imudp",
            RsyslogMode::Relp | RsyslogMode::RelpTls | RsyslogMode::RelpTlsMutual => "imrelp",
            _ => "imtcp",
        }
    }

    /// The driver of plain TLS.
    fn driver(self) -> Option<&'static str> {
        match self {
            RsyslogMode::GnuTls | RsyslogMode::GnuTlsMutual => Some("gtls"),
            RsyslogMode::OpenSsl | RsyslogMode::OpenSslMutual => Some("ossl"),
            _ => None,
        }
    }

    fn is_mutual(self) -> bool {
        matches!(self, RsyslogMode::GnuTlsMutual | RsyslogMode::OpenSslMutual | RsyslogMode::RelpTlsMutual)
    }

    /// A file of rsyslog's modules that this takes, and the Debian package it is in.
    fn needed_module(self) -> (&'static str, &'static str) {
        match (self.input(), self.driver()) {
            ("imrelp", _) => ("imrelp.so", "rsyslog-relp"),
            (_, Some("gtls")) => ("lmnsd_gtls.so", "rsyslog-gnutls"),
            (_, Some(_)) => ("lmnsd_ossl.so", "rsyslog-openssl"),
            _ => ("impstats.so", "rsyslog"),
        }
    }
}

impl Rsyslog {
    /// Says why rsyslog cannot be used in `mode` on this machine; `None` when it can.
    pub fn missing(mode: RsyslogMode) -> Option<String> {
        if binary().is_none() {
            return Some("rsyslogd is not installed (Debian package: rsyslog)".to_owned());
        }
        let (module, package) = mode.needed_module();
        let is_there = MODULE_PLACES.iter().any(|place| Path::new(place).join(module).exists());
        (!is_there).then(|| format!("rsyslog's {module} is not installed (Debian package: {package})"))
    }

    /// Starts rsyslogd on a free loopback port, with its files in `dir`. `identity` is needed for TLS, with the file of the
    /// authority that issued it.
    ///
    /// # Panics
    /// When it does not listen in time; the text holds what it said.
    pub fn start(dir: &Path, mode: RsyslogMode, identity: Option<(&Identity, &Path)>) -> Rsyslog {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        fs::write(dir.join("rsyslog.conf"), configuration(dir, mode, identity, address.port()))
            .expect("the test's folder can be written");
        let daemon = Daemon::new("rsyslogd", dir.join("rsyslog.out"), START_WITHIN);
        let mut rsyslog = Rsyslog { address, mode, dir: dir.to_owned(), daemon };
        rsyslog.come_up();
        rsyslog
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it again after [`Rsyslog::stop`] or [`Rsyslog::kill`], with the same configuration and output.
    pub fn come_up(&mut self) {
        if self.daemon.pid().is_some() {
            return;
        }
        // Counters begin anew with each start, and so does their file.
        let _ = fs::remove_file(self.stats());
        let mut command = Command::new(binary().expect("the caller asked `missing` before"));
        command.arg("-n").arg("-f").arg(self.dir.join("rsyslog.conf")).arg("-i").arg(self.dir.join("rsyslog.pid"));
        let (address, mode) = (self.address, self.mode);
        self.daemon.start(&mut command, || match mode {
            RsyslogMode::Udp => is_udp_open(address.port()),
            _ => TcpStream::connect(address).is_ok(),
        });
    }

    /// Ends it in order (SIGTERM).
    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    /// Kills it hard; what it had in memory is gone.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// What it has counted since its last start (`impstats`).
    pub fn counters(&self) -> RsyslogCounters {
        let text = fs::read_to_string(self.stats()).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        // `DATE: {…}`; lines of other objects have other members.
        let objects = whole.filter_map(|line| Some(&line[line.find('{')?..]));
        let lines = objects.filter_map(|object| serde_json::from_str::<StatsLine>(object).ok());
        // The newest line of each object counts.
        let newest: HashMap<(String, String), StatsLine> =
            lines.map(|line| ((line.origin.clone(), line.name.clone()), line)).collect();
        let action = newest.values().find(|line| line.name == ACTION);
        RsyslogCounters {
            submitted: newest.values().filter(|line| line.origin == self.mode.input()).map(|line| line.submitted).sum(),
            processed: action.map_or(0, |line| line.processed),
            failed: action.map_or(0, |line| line.failed),
        }
    }

    /// Everything it has written so far. Messages are read again by our own strict reader, from the bytes rsyslog received.
    ///
    /// # Panics
    /// When a message breaks RFC 5424.
    pub fn arrivals(&self) -> Arrivals {
        let text = fs::read_to_string(self.output()).unwrap_or_default();
        let mut arrivals = Arrivals::default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            // What a killed rsyslogd left half written stands before the first line of the next one.
            let start = line.rfind(LINE_START).unwrap_or(0);
            let Ok(output) = serde_json::from_str::<OutputLine>(&line[start..]) else { continue };
            let message =
                Message::parse(output.raw.as_bytes()).unwrap_or_else(|error| panic!("{error}: {}", output.raw));
            record(&mut arrivals, &message, 0, true);
        }
        arrivals
    }

    /// How many messages it has written so far.
    pub fn count(&self) -> u64 {
        let text = fs::read(self.output()).unwrap_or_default();
        memchr::memchr_iter(b'\n', &text).count() as u64
    }

    /// Waits until at least `count` different generated events are in its output.
    #[track_caller]
    pub fn wait_distinct(&self, count: usize, within: Duration) {
        let mut seen_bytes = 0;
        wait_until(&format!("{count} different events in rsyslog's output (says: {})", self.said()), within, || {
            let bytes = fs::metadata(self.output()).map_or(0, |metadata| metadata.len());
            let has_grown = bytes != seen_bytes;
            seen_bytes = bytes;
            has_grown && self.arrivals().distinct() >= count
        });
    }

    fn output(&self) -> PathBuf {
        self.dir.join("rsyslog.jsonl")
    }

    fn stats(&self) -> PathBuf {
        self.dir.join("rsyslog.stats")
    }

    fn said(&self) -> String {
        self.daemon.said()
    }
}

fn binary() -> Option<&'static str> {
    PLACES.iter().copied().find(|place| Path::new(place).exists())
}

fn configuration(dir: &Path, mode: RsyslogMode, identity: Option<(&Identity, &Path)>, port: u16) -> String {
    let dir_text = dir.display();
    let mut global = format!("workDirectory=\"{dir_text}\" maxMessageSize=\"{MESSAGE_MAX}\"");
    let input = mode.input();
    let mut module = format!("load=\"{input}\"");
    let mut listener = format!("type=\"{input}\" port=\"{port}\" address=\"127.0.0.1\" ruleset=\"take\"");
    let files = || {
        let (identity, ca_file) = identity.expect("TLS needs a certificate");
        (ca_file.display(), identity.certificate_file.display(), identity.key_file.display())
    };
    if input == "imtcp" {
        module.push_str(" maxSessions=\"200\"");
    }
    if let Some(driver) = mode.driver() {
        let (ca, certificate, key) = files();
        global.push_str(&format!(
            " defaultNetstreamDriver=\"{driver}\" defaultNetstreamDriverCAFile=\"{ca}\" defaultNetstreamDriverCertFile=\"{certificate}\" defaultNetstreamDriverKeyFile=\"{key}\""
        ));
        let auth = if mode.is_mutual() { "x509/certvalid" } else { "anon" };
        module.push_str(&format!(
            " streamDriver.name=\"{driver}\" streamDriver.mode=\"1\" streamDriver.authMode=\"{auth}\""
        ));
    }
    if matches!(mode, RsyslogMode::RelpTls | RsyslogMode::RelpTlsMutual) {
        let (ca, certificate, key) = files();
        listener
            .push_str(&format!(" tls=\"on\" tls.caCert=\"{ca}\" tls.myCert=\"{certificate}\" tls.myPrivKey=\"{key}\""));
        if mode.is_mutual() {
            listener.push_str(" tls.authMode=\"certvalid\"");
        } else {
            // With GnuTLS librelp 1.11 refuses every client that shows no certificate, whatever it is told.
            module.push_str(" tls.tlslib=\"openssl\"");
        }
    }
    // Nothing waits in rsyslogd: with a direct queue and a file that is written at once, a message is in the file before
    // the next ones are read, and in RELP before it is answered.
    format!(
        r#"global({global})
module(load="impstats" interval="1" format="json" resetCounters="off" log.syslog="off" log.file="{dir_text}/rsyslog.stats")
module({module})
template(name="out" type="list") {{
  constant(value="{{\"raw\":\"")
  property(name="rawmsg" format="json")
  constant(value="\"}}\n")
}}
ruleset(name="take" queue.type="Direct") {{
  action(name="{ACTION}" type="omfile" file="{dir_text}/rsyslog.jsonl" template="out" asyncWriting="off" flushOnTXEnd="on")
}}
input({listener})
"#
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::certificates::Authority;
    use crate::skip::skip;
    use crate::tls;

    const TEXT: &str = r#"<134>1 2026-05-12T14:23:01.453Z h a - m [siem@32473 node="n" stream="s" n="1"] {"event_id":"gen-00000001-00002-00000003","x":"a\"b\\cäöü"}"#;

    #[test]
    fn rsyslog_takes_what_we_write_and_survives_restarts() {
        if let Some(reason) = Rsyslog::missing(RsyslogMode::Plain) {
            return skip("rsyslog_takes_what_we_write_and_survives_restarts", &reason);
        }
        let dir = tempfile::tempdir().unwrap();
        let mut rsyslog = Rsyslog::start(dir.path(), RsyslogMode::Plain, None);
        for round in 1..=3 {
            let mut stream = TcpStream::connect(rsyslog.address()).unwrap();
            write!(stream, "{} {TEXT}", TEXT.len()).unwrap();
            wait_until("one more message", Duration::from_secs(10), || rsyslog.arrivals().list.len() == round);
            if round == 1 {
                rsyslog.stop();
            } else {
                rsyslog.kill();
            }
            rsyslog.come_up();
        }
        let arrivals = rsyslog.arrivals();
        let event: serde_json::Value = serde_json::from_slice(arrivals.list[0].raw.as_deref().unwrap()).unwrap();
        assert_eq!(event["x"], "a\"b\\cäöü");
    }

    #[test]
    fn rsyslog_listens_with_tls() {
        for mode in [RsyslogMode::GnuTls, RsyslogMode::OpenSsl] {
            if let Some(reason) = Rsyslog::missing(mode) {
                skip("rsyslog_listens_with_tls", &reason);
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            let authority = Authority::new(dir.path());
            let identity = authority.issue(dir.path(), "rsyslog", &["localhost", "127.0.0.1"]);
            let rsyslog = Rsyslog::start(dir.path(), mode, Some((&identity, authority.ca_file())));
            let mut stream = tls::connect(rsyslog.address(), authority.ca_file(), None).unwrap();
            write!(stream, "{} {TEXT}", TEXT.len()).unwrap();
            stream.flush().unwrap();
            rsyslog.wait_distinct(1, Duration::from_secs(10));
        }
    }
}
