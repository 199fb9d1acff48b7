//! The OpenTelemetry Collector: a sending queue on disk for each destination, as `bench/others/otelcol` configures it.

use std::net::SocketAddr;
use std::process::Command;

use super::{Contender, Destination, Framing, Input, Job, Process, Running, Socket, rival};
use crate::scenario::{Aim, Durability, Kind, Wire};

/// The collector that `bench/others/otelcol/install` builds.
pub(crate) struct Otelcol;

impl Contender for Otelcol {
    fn name(&self) -> &'static str {
        "otelcol"
    }

    fn version(&self) -> Result<String, String> {
        rival::first_line(Command::new(rival::installed(self.name(), BINARY)?).arg("--version"))
    }

    fn cannot(&self, job: &Job<'_>) -> Option<String> {
        let is_elastic = job.destinations.iter().any(|destination| destination.wire.kind == Kind::Elastic);
        if is_elastic {
            return Some("otelcol: no exporter for Elastic to be had as a Go module at this release".to_owned());
        }
        rival::beyond(self.name(), job, &[Wire::HEC, Wire::HEC_TLS_GZIP, Wire::SYSLOG])
    }

    fn start(&self, job: &Job<'_>) -> Result<Running, String> {
        let address = rival::free_address();
        let text = configured(job, address)?;
        let file = rival::write(job, "otelcol.yaml", &text)?;
        let mut command = Command::new(rival::installed(self.name(), BINARY)?);
        command.arg("--config").arg(file).args(gates(job)).env("GOGC", GOGC).envs(job.environment.iter().cloned());
        let process = Process::start(job.dir, &mut command, || rival::listens(address))?;
        let input = Input { socket: Socket::Tcp(address), framing: Framing::Lines, acks: false };
        let files = vec![("otelcol.yaml".to_owned(), text), ("environment".to_owned(), format!("GOGC={GOGC}\n"))];
        Ok(Running { process, input, files, admin: None })
    }
}

fn configured(job: &Job<'_>, input: SocketAddr) -> Result<String, String> {
    let requests = (job.setup.buffer_mib * REQUESTS_PER_MIB).to_string();
    let queue = rival::fill(QUEUE, &[("requests", &requests)])?;
    let exporters = rival::fill_each(job, |destination| {
        let template =
            rival::by_kind(destination.wire.kind, Ok(HEC), Err("there is no exporter for Elastic"), Ok(SYSLOG))?;
        let is_plain = (!destination.wire.gzip).to_string();
        Ok((template, vec![("queue", queue.clone()), ("is_plain", is_plain), ("tls", tls(destination))]))
    })?;
    let is_syslog = rival::is_syslog(job);
    let exporter = if is_syslog { "syslog" } else { "splunk_hec" };
    let names: Vec<String> = (0..exporters.len()).map(|nth| format!("{exporter}/{}", rival::name(nth))).collect();
    let values = [
        ("input", input.to_string()),
        ("operators", if is_syslog { AS_MESSAGE } else { "[]" }.to_owned()),
        ("exporters", exporters.concat()),
        ("dir", job.dir.join("queue").display().to_string()),
        ("fsync", (job.durability == Durability::Synced).to_string()),
        ("names", names.join(", ")),
        ("timeout", timeout(job).to_owned()),
    ];
    rival::fill(FRAME, &values)
}

/// How long a batch waits for company.
fn timeout(job: &Job<'_>) -> &'static str {
    match (job.aim, job.durability) {
        (Aim::Throughput, _) => "20ms",
        (Aim::Latency, Durability::Fast) => "0s",
        // With a sync for each batch, single events would queue up for the disk.
        (Aim::Latency, Durability::Synced) => "5ms",
    }
}

/// Its receiver collects events for up to 0.1 s before anything else sees them, unless this gate is open.
fn gates(job: &Job<'_>) -> Option<&'static str> {
    (job.aim == Aim::Latency).then_some("--feature-gates=stanza.synchronousLogEmitter")
}

fn tls(destination: &Destination) -> String {
    if !destination.wire.tls {
        return "{ insecure: true }".to_owned();
    }
    format!("{{ ca_file: {} }}", rival::ca_file(destination))
}

const BINARY: &str = "otelcol";
/// The collector's garbage is collected less often, for more memory: a fifth of its processor time.
const GOGC: &str = "400";
/// A queue on disk is bounded in requests only; they are small when events come slowly.
const REQUESTS_PER_MIB: u64 = 4;
/// The syslog exporter's message is an attribute.
const AS_MESSAGE: &str = "[{ type: move, from: body, to: attributes.message }]";
const FRAME: &str = include_str!("../../others/otelcol/otelcol.yaml");
const QUEUE: &str = include_str!("../../others/otelcol/queue.yaml");
const HEC: &str = include_str!("../../others/otelcol/hec.yaml");
const SYSLOG: &str = include_str!("../../others/otelcol/syslog.yaml");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::rival::tests::{accepts, for_every_job};

    #[test]
    fn otelcol_is_configured_whole_on_every_path_and_accepts_it() {
        let binary = rival::installed("otelcol", BINARY);
        if let Err(reason) = &binary {
            scaidrive_tests::skip::skip("otelcol accepts its configuration", reason);
        }
        for_every_job(&Otelcol, |job| {
            let text = configured(job, ([127, 0, 0, 1], 9).into()).unwrap();
            assert!(!text.contains("{{"), "{text}");
            let file = rival::write(job, "otelcol.yaml", &text).unwrap();
            if let Ok(binary) = &binary {
                accepts(Command::new(binary).arg("validate").arg("--config").arg(&file).args(gates(job)), &text);
            }
        });
    }

    #[test]
    fn otelcol_collects_nothing_for_long_where_latency_is_measured() {
        for_every_job(&Otelcol, |job| {
            let text = configured(job, ([127, 0, 0, 1], 9).into()).unwrap();
            assert_eq!(text.contains("timeout: 20ms"), job.aim == Aim::Throughput, "{text}");
            assert_eq!(gates(job).is_some(), job.aim == Aim::Latency);
        });
    }

    #[test]
    fn otelcol_syncs_its_storage_where_syncs_are_asked_for() {
        for_every_job(&Otelcol, |job| {
            let text = configured(job, ([127, 0, 0, 1], 9).into()).unwrap();
            assert_eq!(text.contains("fsync: true"), job.durability == Durability::Synced, "{text}");
        });
    }
}
