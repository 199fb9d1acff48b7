//! rsyslog: a disk queue for each destination, as `bench/others/rsyslog` configures it.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use super::{Contender, Destination, Input, Job, Process, Running, Socket, rival};
use crate::scenario::{Durability, Wire};

/// Debian's `rsyslogd`.
pub(crate) struct Rsyslog;

impl Contender for Rsyslog {
    fn name(&self) -> &'static str {
        "rsyslog"
    }

    fn version(&self) -> Result<String, String> {
        rival::installed(self.name(), OMHTTP)?;
        let line = rival::first_line(Command::new(BINARY).arg("-v"))?;
        Ok(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    fn cannot(&self, job: &Job<'_>) -> Option<String> {
        rival::beyond(self.name(), job, &[Wire::HEC, Wire::HEC_TLS_GZIP, Wire::ELASTIC, Wire::SYSLOG])
    }

    fn start(&self, job: &Job<'_>) -> Result<Running, String> {
        let socket = job.dir.join("rsyslog.sock");
        let text = configured(job, &socket, &rival::installed(self.name(), OMHTTP)?)?;
        let file = rival::write(job, "rsyslog.conf", &text)?;
        let mut command = Command::new(BINARY);
        command.arg("-n").arg("-f").arg(file).arg("-i").arg(job.dir.join("rsyslog.pid"));
        command.envs(job.environment.iter().cloned());
        let process = Process::start(job.dir, &mut command, || UnixStream::connect(&socket).is_ok())?;
        let input = Input { socket: Socket::Unix(socket), framing: rival::framing(job), acks: false };
        Ok(Running { process, input, files: vec![("rsyslog.conf".to_owned(), text)], admin: None })
    }
}

fn configured(job: &Job<'_>, socket: &Path, omhttp: &Path) -> Result<String, String> {
    let actions = rival::fill_each(job, |destination| {
        let template = rival::by_kind(destination.wire.kind, HEC, ELASTIC, SYSLOG);
        Ok((template, vec![("security", security(destination)), ("compression", compression(destination))]))
    })?;
    let is_synced = job.durability == Durability::Synced;
    let queues: Result<Vec<String>, String> = (0..)
        .zip(&actions)
        .map(|(nth, action)| {
            let name = rival::name(nth);
            let buffer_mib = job.setup.buffer_mib.to_string();
            let values = [
                ("name", name.as_str()),
                ("buffer_mib", &buffer_mib),
                ("sync", if is_synced { "on" } else { "off" }),
                // How often the queue's own index is written: with each event, or when a file is full.
                ("checkpoint", if is_synced { "1" } else { "0" }),
                ("action", action.trim_end()),
            ];
            rival::fill(QUEUE, &values)
        })
        .collect();
    let (first, fan_out) = entrance(actions.len());
    let (dir, socket, omhttp) = (shown(job.dir), shown(socket), shown(omhttp));
    let values = [
        ("dir", dir.as_str()),
        ("socket", &socket),
        ("omhttp", &omhttp),
        ("destinations", &queues?.join("\n")),
        ("fan_out", &fan_out),
        ("first", &first),
    ];
    rival::fill(FRAME, &values)
}

/// The ruleset that the input belongs to, and its text: with one destination that one's queue, else all queues in turn.
fn entrance(destinations: usize) -> (String, String) {
    if destinations == 1 {
        return (rival::name(0), String::new());
    }
    let calls: Vec<String> = (0..destinations).map(|nth| format!("call {}", rival::name(nth))).collect();
    ("all".to_owned(), format!("ruleset(name=\"all\" queue.type=\"Direct\") {{ {} }}", calls.join(" ")))
}

fn security(destination: &Destination) -> String {
    if !destination.wire.tls {
        return "usehttps=\"off\"".to_owned();
    }
    format!("usehttps=\"on\" tls.cacert=\"{}\"", rival::ca_file(destination))
}

fn compression(destination: &Destination) -> String {
    if destination.wire.gzip { "compress=\"on\" compress.level=\"1\"" } else { "compress=\"off\"" }.to_owned()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

const BINARY: &str = "/usr/sbin/rsyslogd";
const OMHTTP: &str = "omhttp.so";
const FRAME: &str = include_str!("../../others/rsyslog/rsyslog.conf");
const QUEUE: &str = include_str!("../../others/rsyslog/queue.conf");
const HEC: &str = include_str!("../../others/rsyslog/hec.conf");
const ELASTIC: &str = include_str!("../../others/rsyslog/elastic.conf");
const SYSLOG: &str = include_str!("../../others/rsyslog/syslog.conf");

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::contender::rival::tests::{accepts, for_every_job};

    #[test]
    fn rsyslog_is_configured_whole_on_every_path_and_accepts_it() {
        let omhttp = rival::installed("rsyslog", OMHTTP);
        if let Err(reason) = &omhttp {
            scaidrive_tests::skip::skip("rsyslog accepts its configuration", reason);
        }
        let module = omhttp.clone().unwrap_or_else(|_| PathBuf::from(OMHTTP));
        for_every_job(&Rsyslog, |job| {
            let text = configured(job, &job.dir.join("in.sock"), &module).unwrap();
            assert!(!text.contains("{{"), "{text}");
            let file = rival::write(job, "rsyslog.conf", &text).unwrap();
            if omhttp.is_ok() {
                accepts(Command::new(BINARY).arg("-N1").arg("-f").arg(&file), &text);
            }
        });
    }

    #[test]
    fn rsyslog_syncs_each_event_where_syncs_are_asked_for() {
        for_every_job(&Rsyslog, |job| {
            let text = configured(job, Path::new("in.sock"), Path::new(OMHTTP)).unwrap();
            let is_synced = text.contains("queue.syncQueueFiles=\"on\"");
            assert_eq!(is_synced, job.durability == Durability::Synced, "{text}");
        });
    }
}
