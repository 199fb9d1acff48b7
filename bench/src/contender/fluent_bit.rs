//! Fluent Bit: chunks on disk, as `bench/others/fluent-bit` configures it.

use std::net::SocketAddr;
use std::process::Command;

use super::{Contender, Destination, Framing, Input, Job, Process, Running, Socket, rival};
use crate::scenario::{Aim, Durability, Wire};

/// The `fluent-bit` on the path.
pub(crate) struct FluentBit;

impl Contender for FluentBit {
    fn name(&self) -> &'static str {
        "fluent-bit"
    }

    fn version(&self) -> Result<String, String> {
        rival::first_line(Command::new(rival::on_path(self.name())?).arg("--version"))
    }

    fn cannot(&self, job: &Job<'_>) -> Option<String> {
        rival::beyond(self.name(), job, &[Wire::HEC, Wire::HEC_TLS_GZIP, Wire::ELASTIC, Wire::SYSLOG])
    }

    fn start(&self, job: &Job<'_>) -> Result<Running, String> {
        let address = rival::free_address();
        let text = configured(job, address)?;
        let file = rival::write(job, "fluent-bit.conf", &text)?;
        let mut command = Command::new(rival::on_path(self.name())?);
        command.arg("--config").arg(file).envs(job.environment.iter().cloned());
        let process = Process::start(job.dir, &mut command, || rival::listens(address))?;
        let input = Input { socket: Socket::Tcp(address), framing: Framing::Lines, acks: false };
        Ok(Running { process, input, files: vec![("fluent-bit.conf".to_owned(), text)], admin: None })
    }
}

fn configured(job: &Job<'_>, input: SocketAddr) -> Result<String, String> {
    let buffer_mib = job.setup.buffer_mib.to_string();
    let outputs = rival::fill_each(job, |destination| {
        let template = rival::by_kind(destination.wire.kind, HEC, ELASTIC, SYSLOG);
        let compression = if destination.wire.gzip { "compress                  gzip" } else { "" }.to_owned();
        let security = ("security", security(destination));
        Ok((template, vec![("buffer_mib", buffer_mib.clone()), ("compression", compression), security]))
    })?;
    let values = [
        ("dir", job.dir.join("chunks").display().to_string()),
        ("sync", if job.durability == Durability::Synced { "full" } else { "normal" }.to_owned()),
        ("flush", flush(job).to_owned()),
        ("input_port", input.port().to_string()),
        ("outputs", outputs.join("\n")),
    ];
    rival::fill(FRAME, &values)
}

/// Seconds between two looks at what has come.
fn flush(job: &Job<'_>) -> &'static str {
    match job.aim {
        Aim::Throughput => "0.2",
        Aim::Latency => "0.01",
    }
}

fn security(destination: &Destination) -> String {
    if !destination.wire.tls {
        return String::new();
    }
    let ca_file = rival::ca_file(destination);
    format!("tls                       on\n    tls.verify                on\n    tls.ca_file               {ca_file}")
}

const FRAME: &str = include_str!("../../others/fluent-bit/fluent-bit.conf");
const HEC: &str = include_str!("../../others/fluent-bit/hec.conf");
const ELASTIC: &str = include_str!("../../others/fluent-bit/elastic.conf");
const SYSLOG: &str = include_str!("../../others/fluent-bit/syslog.conf");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::rival::tests::{accepts, for_every_job};

    #[test]
    fn fluent_bit_looks_more_often_where_latency_is_measured() {
        for_every_job(&FluentBit, |job| {
            let text = configured(job, ([127, 0, 0, 1], 9).into()).unwrap();
            let is_often = text.lines().any(|line| line.split_whitespace().eq(["flush", "0.01"]));
            assert_eq!(is_often, job.aim == Aim::Latency, "{text}");
        });
    }

    #[test]
    fn fluent_bit_is_configured_whole_on_every_path_and_accepts_it() {
        let binary = rival::on_path("fluent-bit");
        for_every_job(&FluentBit, |job| {
            let text = configured(job, ([127, 0, 0, 1], 9).into()).unwrap();
            assert!(!text.contains("{{"), "{text}");
            let file = rival::write(job, "fluent-bit.conf", &text).unwrap();
            if let Ok(binary) = &binary {
                accepts(Command::new(binary).args(["--dry-run", "--config"]).arg(&file), &text);
            }
        });
    }
}
