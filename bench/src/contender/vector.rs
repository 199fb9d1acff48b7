//! Vector: a disk buffer for each destination, as `bench/others/vector` configures it.

use std::net::SocketAddr;
use std::process::Command;

use super::{Contender, Destination, Input, Job, Process, Running, Socket, rival};
use crate::scenario::{Aim, Durability, Wire};

/// The `vector` on the path.
pub(crate) struct Vector;

impl Contender for Vector {
    fn name(&self) -> &'static str {
        "vector"
    }

    fn version(&self) -> Result<String, String> {
        rival::first_line(Command::new(rival::on_path(self.name())?).arg("--version"))
    }

    fn cannot(&self, job: &Job<'_>) -> Option<String> {
        if job.durability == Durability::Synced {
            return Some("vector: no syncs but those that it makes twice a second anyway".to_owned());
        }
        rival::beyond(self.name(), job, &[Wire::HEC, Wire::HEC_TLS_GZIP, Wire::ELASTIC, Wire::SYSLOG])
    }

    fn start(&self, job: &Job<'_>) -> Result<Running, String> {
        let address = rival::free_address();
        let text = configured(job, address)?;
        let file = rival::write(job, "vector.yaml", &text)?;
        let mut command = Command::new(rival::on_path(self.name())?);
        command.arg("--quiet").arg("--config").arg(file).envs(job.environment.iter().cloned());
        let process = Process::start(job.dir, &mut command, || rival::listens(address))?;
        let input = Input { socket: Socket::Tcp(address), framing: rival::framing(job), acks: false };
        Ok(Running { process, input, files: vec![("vector.yaml".to_owned(), text)], admin: None })
    }
}

fn configured(job: &Job<'_>, input: SocketAddr) -> Result<String, String> {
    let bytes = rival::buffer_bytes(job).max(BUFFER_MIN).to_string();
    let buffer = rival::fill(BUFFER, &[("buffer_bytes", &bytes)])?;
    let sinks = rival::fill_each(job, |destination| {
        let template = rival::by_kind(destination.wire.kind, HEC, ELASTIC, SYSLOG);
        let compression = if destination.wire.gzip { "gzip" } else { "none" }.to_owned();
        let timeout = ("timeout", timeout(job).to_owned());
        Ok((
            template,
            vec![("buffer", buffer.clone()), ("compression", compression), ("tls", tls(destination)), timeout],
        ))
    })?;
    let (dir, input) = (job.dir.display().to_string(), input.to_string());
    rival::fill(FRAME, &[("dir", &dir), ("input", &input), ("sinks", &sinks.concat())])
}

/// Seconds that a batch waits for company.
fn timeout(job: &Job<'_>) -> &'static str {
    match job.aim {
        Aim::Throughput => "0.1",
        Aim::Latency => "0.001",
    }
}

fn tls(destination: &Destination) -> String {
    if destination.wire.tls { format!("{{ ca_file: {} }}", rival::ca_file(destination)) } else { "{}".to_owned() }
}

/// The smallest disk buffer that Vector accepts, in bytes.
const BUFFER_MIN: u64 = 268_435_488;
const FRAME: &str = include_str!("../../others/vector/vector.yaml");
const BUFFER: &str = include_str!("../../others/vector/buffer.yaml");
const HEC: &str = include_str!("../../others/vector/hec.yaml");
const ELASTIC: &str = include_str!("../../others/vector/elastic.yaml");
const SYSLOG: &str = include_str!("../../others/vector/syslog.yaml");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::rival::tests::{accepts, for_every_job};

    #[test]
    fn a_batch_of_vector_waits_less_where_latency_is_measured() {
        for_every_job(&Vector, |job| {
            let text = configured(job, ([127, 0, 0, 1], 9).into()).unwrap();
            let has_timeout = text.contains("timeout_secs:");
            assert_eq!(text.contains("timeout_secs: 0.001"), has_timeout && job.aim == Aim::Latency, "{text}");
        });
    }

    #[test]
    fn vector_is_configured_whole_on_every_path_and_accepts_it() {
        let binary = rival::on_path("vector");
        for_every_job(&Vector, |job| {
            let text = configured(job, ([127, 0, 0, 1], 9).into()).unwrap();
            assert!(!text.contains("{{"), "{text}");
            let file = rival::write(job, "vector.yaml", &text).unwrap();
            if let Ok(binary) = &binary {
                accepts(Command::new(binary).args(["validate", "--no-environment"]).arg(&file), &text);
            }
        });
    }
}
