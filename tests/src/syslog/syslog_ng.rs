//! The real syslog-ng, as Debian packages it, as a receiver (`tests/receivers/syslog-ng`): TCP, UDP and TLS at once.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::{Message, STREAM_ELEMENT, number_text, record};
use crate::arrival::Arrivals;
use crate::certificates::Identity;
use crate::daemon::Daemon;
use crate::install::{install, script};
use crate::ports::{free_port, is_udp_open};
use crate::wait::wait_until;

const RECEIVER: &str = "syslog-ng";
const START_WITHIN: Duration = Duration::from_secs(20);
const OUTPUT: &str = "syslog-ng.jsonl";
const MESSAGE_MAX: usize = 262_144;
/// How a line of the output begins; quotes inside a message are escaped, so it stands nowhere else.
const LINE_START: &str = "{\"raw\":\"";

/// What it listens with when it uses TLS.
pub struct SyslogNgTls<'a> {
    /// Its certificate.
    pub identity: &'a Identity,
    /// Where given, clients must show a certificate from the authority in this file.
    pub client_ca: Option<&'a Path>,
}

/// What syslog-ng has counted since its last start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyslogNgCounters {
    /// Messages that its sources took.
    pub received: u64,
    /// Messages that it wrote to the output file.
    pub written: u64,
    /// Messages that it dropped.
    pub dropped: u64,
}

/// A running syslog-ng.
pub struct SyslogNg {
    tcp: SocketAddr,
    udp: SocketAddr,
    tls: SocketAddr,
    dir: PathBuf,
    daemon: Daemon,
}

/// One line of the output file, as the template below writes it.
#[derive(Deserialize)]
struct OutputLine {
    raw: String,
    /// The number in the stream, as syslog-ng's own parser found it; empty where there was none.
    n: String,
}

impl SyslogNg {
    /// Unpacks it where needed and says why it cannot be used on this machine; `None` when it can.
    pub fn missing() -> Option<String> {
        install(RECEIVER).err()
    }

    /// Starts syslog-ng on free loopback ports, with its files in `dir`. Without `tls` nothing listens with TLS.
    ///
    /// # Panics
    /// When it does not listen in time; the text holds what it said.
    #[track_caller]
    pub fn start(dir: &Path, tls: Option<SyslogNgTls<'_>>) -> SyslogNg {
        let [tcp, udp, tls_address] = [(); 3].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let mut sources = vec![source("udp", udp, ""), source("tcp", tcp, "")];
        sources.extend(tls.map(|tls| source("tls", tls_address, &tls_options(&tls))));
        fs::write(dir.join("syslog-ng.conf"), configuration(dir, &sources)).expect("the test's folder can be written");
        let daemon = Daemon::new("syslog-ng", dir.join("syslog-ng.out"), START_WITHIN);
        let mut syslog_ng = SyslogNg { tcp, udp, tls: tls_address, dir: dir.to_owned(), daemon };
        syslog_ng.come_up();
        syslog_ng
    }

    /// Starts it again after [`SyslogNg::stop`] or [`SyslogNg::kill`], with the same configuration and output.
    #[track_caller]
    pub fn come_up(&mut self) {
        let mut command = Command::new(script(RECEIVER, "start"));
        command.args(["--foreground", "--no-caps", "--stderr"]);
        for (option, file) in [
            ("--cfgfile", "syslog-ng.conf"),
            ("--persist-file", "syslog-ng.persist"),
            ("--pidfile", "syslog-ng.pid"),
            ("--control", "syslog-ng.ctl"),
        ] {
            command.arg(option).arg(self.dir.join(file));
        }
        let (tcp, udp) = (self.tcp, self.udp);
        self.daemon.start(&mut command, || is_udp_open(udp.port()) && TcpStream::connect(tcp).is_ok());
    }

    /// Ends it in order (SIGTERM).
    #[track_caller]
    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    /// Kills it hard (SIGKILL); what it had in memory is gone.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Its process.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Where it listens for TCP, with octet counting.
    pub fn tcp(&self) -> SocketAddr {
        self.tcp
    }

    /// Where it listens for UDP.
    pub fn udp(&self) -> SocketAddr {
        self.udp
    }

    /// Where it listens for TLS, with octet counting.
    pub fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// What it has counted since its last start (`syslog-ng-ctl stats`).
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn counters(&self) -> SyslogNgCounters {
        let mut command = Command::new(script(RECEIVER, "start"));
        let run = command.args(["ctl", "stats", "--control"]).arg(self.dir.join("syslog-ng.ctl")).output();
        let run = run.expect("syslog-ng-ctl can be started");
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "syslog-ng-ctl: {}", String::from_utf8_lossy(&run.stderr));
        read_counters(&text).unwrap_or_else(|| panic!("syslog-ng's counters lack what we look for:\n{text}"))
    }

    /// Everything it has written so far. Messages are read again by our own strict reader, from the bytes that syslog-ng
    /// received.
    ///
    /// # Panics
    /// When a message breaks RFC 5424, or syslog-ng read another number in it than we do.
    pub fn arrivals(&self) -> Arrivals {
        let text = fs::read_to_string(self.output()).unwrap_or_default();
        let mut arrivals = Arrivals::default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            // What a killed syslog-ng left half written stands before the first line of the next one.
            let start = line.rfind(LINE_START).unwrap_or(0);
            let Ok(output) = serde_json::from_str::<OutputLine>(&line[start..]) else { continue };
            let message =
                Message::parse(output.raw.as_bytes()).unwrap_or_else(|error| panic!("{error}: {}", output.raw));
            let ours = number_text(&message).unwrap_or_default();
            assert_eq!(output.n, ours, "syslog-ng reads another number in {}", output.raw);
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
        wait_until(&format!("{count} different events in syslog-ng's output"), within, || {
            let bytes = fs::metadata(self.output()).map_or(0, |metadata| metadata.len());
            let has_grown = bytes != seen_bytes;
            seen_bytes = bytes;
            has_grown && self.arrivals().distinct() >= count
        });
    }

    fn output(&self) -> PathBuf {
        self.dir.join(OUTPUT)
    }
}

fn source(transport: &str, address: SocketAddr, options: &str) -> String {
    format!(
        "  syslog(transport(\"{transport}\") ip(\"{}\") port({}) max-connections(200) flags(store-raw-message) {options});\n",
        address.ip(),
        address.port()
    )
}

fn tls_options(tls: &SyslogNgTls<'_>) -> String {
    let verify = match tls.client_ca {
        Some(file) => format!("ca-file(\"{}\") peer-verify(required-trusted)", file.display()),
        None => "peer-verify(optional-untrusted)".to_owned(),
    };
    format!(
        "tls(cert-file(\"{}\") key-file(\"{}\") {verify})",
        tls.identity.certificate_file.display(),
        tls.identity.key_file.display()
    )
}

fn configuration(dir: &Path, sources: &[String]) -> String {
    format!(
        r#"@version: 3.35
options {{ log-msg-size({MESSAGE_MAX}); use-dns(no); dns-cache(no); keep-hostname(yes); stats-freq(0); stats-level(1); flush-lines(1); }};
source in {{
{}}};
destination out {{
  file("{}/{OUTPUT}" template("$(format-json --leave-initial-dot raw=\"${{RAWMSG}}\" n=\"${{.SDATA.{STREAM_ELEMENT}.n}}\")\n"));
}};
log {{ source(in); destination(out); flags(flow-control); }};
"#,
        sources.concat(),
        dir.display()
    )
}

/// Reads what `syslog-ng-ctl stats` prints: `SourceName;SourceId;SourceInstance;State;Type;Number`.
fn read_counters(text: &str) -> Option<SyslogNgCounters> {
    let number = |name: &str, instance: &str, kind: &str| {
        text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(';').collect();
            let [source, _, this_instance, _, this_kind, number] = fields[..] else { return None };
            let is_it = source == name && this_instance.ends_with(instance) && this_kind == kind;
            is_it.then(|| number.parse().ok())?
        })
    };
    Some(SyslogNgCounters {
        received: number("center", "received", "processed")?,
        written: number("dst.file", OUTPUT, "written")?,
        dropped: number("dst.file", OUTPUT, "dropped")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_what_is_printed() {
        let text = "SourceName;SourceId;SourceInstance;State;Type;Number\n\
                    center;;queued;a;processed;4\n\
                    center;;received;a;processed;5\n\
                    dst.file;out#0;/tmp/syslog-ng.jsonl;a;written;3\n\
                    dst.file;out#0;/tmp/syslog-ng.jsonl;a;dropped;1\n";
        assert_eq!(read_counters(text), Some(SyslogNgCounters { received: 5, written: 3, dropped: 1 }));
        assert_eq!(read_counters("SourceName\n"), None);
    }
}
