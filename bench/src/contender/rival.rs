//! What the rivals have in common: where they are installed, templates with slots, and what none of them is asked to do.
//!
//! A template in `bench/others` is the program's own configuration with slots: `{{name}}` stands for a value. Every slot
//! is filled or the rendering fails, so a template and its module cannot drift apart unnoticed.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use scaidrive_tests::ports::free_port;

use super::{Destination, Framing, Job};
use crate::scenario::{Kind, Wire};

/// The file that `bench/others/PROGRAM/install` leaves behind for its program.
///
/// # Errors
/// That it is not installed, and what to do.
pub(super) fn installed(program: &str, file: &str) -> Result<PathBuf, String> {
    let path = others().join(program).join(file);
    if path.is_file() { Ok(path) } else { Err(format!("{program} is not installed; run bench/others/install")) }
}

/// The program's binary on the path.
///
/// # Errors
/// That there is none.
pub(super) fn on_path(program: &str) -> Result<PathBuf, String> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.ok_or_else(|| format!("there is no {program} on the path"))
}

/// What `bench/others/lib.sh` calls the cache.
fn others() -> PathBuf {
    if let Some(others) = env::var_os("SCAIDRIVE_OTHERS_DIR") {
        return PathBuf::from(others);
    }
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    target.join("others")
}

/// The first line that a command prints.
///
/// # Errors
/// Why it can't be run.
pub(super) fn first_line(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().next().map(|line| line.trim().to_owned()).ok_or_else(|| format!("{command:?} says no version"))
}

/// The template with every slot filled.
///
/// # Errors
/// A slot without a value.
pub(super) fn fill(template: &str, values: &[(&str, impl AsRef<str>)]) -> Result<String, String> {
    let mut text = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (slot, behind) = after.split_once("}}").ok_or("a slot of a template has no end")?;
        let value = values.iter().find(|(name, _)| *name == slot);
        let (_, value) = value.ok_or_else(|| format!("the slot {slot} of a template has no value"))?;
        text.push_str(before);
        text.push_str(value.as_ref());
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

/// Fills a template for each destination, with its short name (`d0`, `d1`, …), host and port beside the other values.
///
/// # Errors
/// As [`fill`].
pub(super) fn fill_each(
    job: &Job<'_>,
    mut values: impl FnMut(&Destination) -> Result<(&'static str, Vec<(&'static str, String)>), String>,
) -> Result<Vec<String>, String> {
    let each = job.destinations.iter().enumerate().map(|(nth, destination)| {
        let (template, more) = values(destination)?;
        let own = [
            ("name", name(nth)),
            ("host", host(destination).to_owned()),
            ("port", destination.address.port().to_string()),
            ("scheme", if destination.wire.tls { "https" } else { "http" }.to_owned()),
        ];
        let all: Vec<(&str, &str)> = own.iter().chain(&more).map(|(slot, value)| (*slot, value.as_str())).collect();
        fill(template, &all)
    });
    each.collect()
}

/// A destination's name where only letters and digits are allowed.
pub(super) fn name(nth: usize) -> String {
    format!("d{nth}")
}

/// Certificates are for `localhost`; without one there is nothing to look up.
fn host(destination: &Destination) -> &'static str {
    if destination.wire.tls { "localhost" } else { "127.0.0.1" }
}

/// The authority's certificate, where there is one.
pub(super) fn ca_file(destination: &Destination) -> String {
    destination.ca_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
}

/// Why no configuration in `bench/others` does this job, for a program that can send over `wires`.
pub(super) fn beyond(program: &str, job: &Job<'_>, wires: &[Wire]) -> Option<String> {
    if job.destinations.iter().any(|destination| !destination.tenants.is_empty()) {
        return Some(format!("{program}: no destinations by tenant without parsing each event"));
    }
    let wire = job.destinations.iter().map(|destination| destination.wire).find(|wire| !wires.contains(wire))?;
    Some(format!("{program}: no {}", wire.words()))
}

/// The file in the job's folder, written.
///
/// # Errors
/// Why it can't be.
pub(super) fn write(job: &Job<'_>, file: &str, text: &str) -> Result<PathBuf, String> {
    let path = job.dir.join(file);
    fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// A free address for an input over TCP.
pub(super) fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// Whether somebody listens there.
pub(super) fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

/// Bytes of the job's disk buffer.
pub(super) fn buffer_bytes(job: &Job<'_>) -> u64 {
    job.setup.buffer_mib << 20
}

/// Whether a destination speaks syslog.
pub(super) fn is_syslog(job: &Job<'_>) -> bool {
    job.destinations.iter().any(|destination| destination.wire.kind == Kind::Syslog)
}

/// How events come in that pass as they are: what goes out as a syslog message has to come in as one.
pub(super) fn framing(job: &Job<'_>) -> Framing {
    if is_syslog(job) { Framing::Rfc5424Lines } else { Framing::Lines }
}

/// The one of three that fits the destination.
pub(super) const fn by_kind<T: Copy>(kind: Kind, hec: T, elastic: T, syslog: T) -> T {
    match kind {
        Kind::Hec => hec,
        Kind::Elastic => elastic,
        Kind::Syslog => syslog,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::contender::Contender;
    use crate::scenario::{Aim, Durability, Setup};

    /// Every path and variant that a program can do, with one destination and with two.
    pub(crate) fn for_every_job(contender: &dyn Contender, mut check: impl FnMut(&Job<'_>)) {
        let dir = tempfile::tempdir().unwrap();
        let ca_file = dir.path().join("ca.pem");
        scaidrive_tests::certificates::Authority::new(dir.path());
        let mut checked = 0;
        for wire in [Wire::HEC, Wire::ELASTIC, Wire::SYSLOG, Wire::HEC_TLS_GZIP] {
            for (durability, count, aim) in [
                (Durability::Fast, 1, Aim::Throughput),
                (Durability::Fast, 1, Aim::Latency),
                (Durability::Synced, 1, Aim::Latency),
                (Durability::Synced, 2, Aim::Throughput),
            ] {
                let destination = |nth: usize| Destination {
                    name: format!("a name / {nth}"),
                    wire,
                    address: ([127, 0, 0, 1], 9).into(),
                    ca_file: wire.tls.then(|| ca_file.clone()),
                    tenants: Vec::new(),
                };
                let job = Job {
                    dir: dir.path(),
                    durability,
                    setup: Setup::PLAIN,
                    aim,
                    destinations: (0..count).map(destination).collect(),
                    environment: Vec::new(),
                };
                if contender.cannot(&job).is_none() {
                    check(&job);
                    checked += 1;
                }
            }
        }
        assert!(checked > 0, "{} can do nothing", contender.name());
    }

    /// Asserts that the program accepts the file, by the exit code of a command that only checks.
    pub(crate) fn accepts(command: &mut Command, text: &str) {
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{command:?}: {}\n{text}", String::from_utf8_lossy(&said));
    }

    #[test]
    fn every_slot_is_filled_or_named() {
        let values = [("a", "1"), ("b", "{2}")];
        assert_eq!(fill("x {{a}} {{b}}{{a}} ${c}", &values).unwrap(), "x 1 {2}1 ${c}");
        assert!(fill("x {{c}}", &values).unwrap_err().contains("slot c"));
        assert!(fill("x {{a", &values).is_err());
    }

    #[test]
    fn a_destination_for_some_tenants_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let destination = Destination {
            name: String::new(),
            wire: Wire::HEC,
            address: ([127, 0, 0, 1], 9).into(),
            ca_file: None,
            tenants: vec!["tnt-00001".to_owned()],
        };
        let job = Job {
            dir: dir.path(),
            durability: Durability::Fast,
            setup: Setup::PLAIN,
            aim: Aim::Throughput,
            destinations: vec![destination],
            environment: Vec::new(),
        };
        assert!(beyond("x", &job, &[Wire::HEC]).unwrap().starts_with("x: no destinations by tenant"));
    }
}
