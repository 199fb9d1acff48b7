//! syslog-ng: a reliable disk buffer for each destination, as `bench/others/syslog-ng` configures it.
//!
//! Its disk buffer has no setting for syncs, so both variants are the same: `reliable(yes)` writes each message before the
//! source goes on, and with it syslog-ng also was no slower than with `reliable(no)`.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use super::{Contender, Destination, Input, Job, Process, Running, Socket, rival};
use crate::scenario::Wire;

/// Debian's syslog-ng, unpacked.
pub(crate) struct SyslogNg;

impl Contender for SyslogNg {
    fn name(&self) -> &'static str {
        "syslog-ng"
    }

    fn version(&self) -> Result<String, String> {
        rival::first_line(Command::new(rival::installed(self.name(), BINARY)?).arg("--version"))
    }

    fn cannot(&self, job: &Job<'_>) -> Option<String> {
        let is_zipped = job.destinations.iter().any(|destination| destination.wire.gzip);
        if is_zipped {
            return Some("syslog-ng: no compression of HTTP bodies before release 4".to_owned());
        }
        rival::beyond(self.name(), job, &[Wire::HEC, Wire::ELASTIC, Wire::SYSLOG])
    }

    fn start(&self, job: &Job<'_>) -> Result<Running, String> {
        let socket = job.dir.join("syslog-ng.sock");
        let text = configured(job, &socket)?;
        let file = rival::write(job, "syslog-ng.conf", &text)?;
        let mut command = Command::new(rival::installed(self.name(), BINARY)?);
        command.args(["--foreground", "--no-caps", "--cfgfile"]).arg(file);
        command.arg("--persist-file").arg(job.dir.join("syslog-ng.persist"));
        command.arg("--control").arg(job.dir.join("syslog-ng.ctl"));
        command.arg("--pidfile").arg(job.dir.join("syslog-ng.pid"));
        command.envs(job.environment.iter().cloned());
        let process = Process::start(job.dir, &mut command, || UnixStream::connect(&socket).is_ok())?;
        let input = Input { socket: Socket::Unix(socket), framing: rival::framing(job), acks: false };
        Ok(Running { process, input, files: vec![("syslog-ng.conf".to_owned(), text)], admin: None })
    }
}

fn configured(job: &Job<'_>, socket: &Path) -> Result<String, String> {
    let (dir, socket) = (job.dir.display().to_string(), socket.display().to_string());
    let buffer_bytes = rival::buffer_bytes(job).to_string();
    let buffer = rival::fill(DISK_BUFFER, &[("dir", &dir), ("buffer_bytes", &buffer_bytes)])?;
    let destinations = rival::fill_each(job, |destination| {
        let template = rival::by_kind(destination.wire.kind, HEC, ELASTIC, SYSLOG);
        Ok((template, vec![("disk_buffer", buffer.trim_end().to_owned()), ("security", security(destination))]))
    })?;
    rival::fill(FRAME, &[("socket", &socket), ("destinations", &destinations.join("\n"))])
}

fn security(destination: &Destination) -> String {
    if !destination.wire.tls {
        return String::new();
    }
    format!("tls(ca-file(\"{}\") peer-verify(yes))", rival::ca_file(destination))
}

const BINARY: &str = "syslog-ng";
const FRAME: &str = include_str!("../../others/syslog-ng/syslog-ng.conf");
const DISK_BUFFER: &str = include_str!("../../others/syslog-ng/disk-buffer.conf");
const HEC: &str = include_str!("../../others/syslog-ng/hec.conf");
const ELASTIC: &str = include_str!("../../others/syslog-ng/elastic.conf");
const SYSLOG: &str = include_str!("../../others/syslog-ng/syslog.conf");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::rival::tests::{accepts, for_every_job};

    #[test]
    fn syslog_ng_is_configured_whole_on_every_path_and_accepts_it() {
        let binary = rival::installed("syslog-ng", BINARY);
        if let Err(reason) = &binary {
            scaidrive_tests::skip::skip("syslog-ng accepts its configuration", reason);
        }
        for_every_job(&SyslogNg, |job| {
            let text = configured(job, &job.dir.join("in.sock")).unwrap();
            assert!(!text.contains("{{"), "{text}");
            let file = rival::write(job, "syslog-ng.conf", &text).unwrap();
            if let Ok(binary) = &binary {
                let mut command = Command::new(binary);
                command.args(["--syntax-only", "--no-caps", "--cfgfile"]).arg(&file);
                command.arg("--persist-file").arg(job.dir.join("persist"));
                accepts(&mut command, &text);
            }
        });
    }
}
