//! Runs cases: receivers, contender, warm-up, load, figures.

mod flood;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use scaidrive_tests::certificates::Authority;
use scaidrive_tests::tls;
use tempfile::TempDir;

use crate::contender::{self, Destination, Job, Running};
use crate::receiver::Receiver;
use crate::scenario::{Case, Load, Metric, Scenario};

/// Figures of one run of one case.
pub(crate) type Figures = Vec<(Metric, f64)>;

/// Runs one case once.
///
/// # Errors
/// What went wrong; the case has no figures then.
pub(crate) fn run_once(scenario: &Scenario, case: &Case, work: &Path) -> Result<Figures, String> {
    let stage = Stage::set(scenario, case, work)?;
    match case.load {
        Load::Flood(load) => flood::run(stage, load),
        _ => Err("not yet".to_owned()),
    }
}

/// A started contender between its input and its receivers.
pub(crate) struct Stage {
    scenario: Scenario,
    running: Running,
    receiver: Receiver,
    _dir: TempDir,
}

impl Stage {
    fn set(scenario: &Scenario, case: &Case, work: &Path) -> Result<Stage, String> {
        let contender = contender::find(case.contender).ok_or_else(|| format!("there is no {}", case.contender))?;
        let dir = tempfile::tempdir_in(work).map_err(|error| error.to_string())?;
        let receiver = start_receiver(scenario, dir.path()).map_err(|error| error.to_string())?;
        let destination = Destination {
            name: "bench".to_owned(),
            wire: scenario.wire,
            address: receiver.address,
            ca_file: scenario.wire.tls.then(|| dir.path().join("ca.pem")),
            tenants: Vec::new(),
        };
        let job = Job {
            dir: dir.path(),
            durability: case.durability,
            setup: case.setup,
            destinations: vec![destination],
            environment: Vec::new(),
        };
        if let Some(reason) = contender.cannot(&job) {
            return Err(reason);
        }
        let running = contender.start(&job)?;
        Ok(Stage { scenario: *scenario, running, receiver, _dir: dir })
    }
}

fn start_receiver(scenario: &Scenario, dir: &Path) -> io::Result<Receiver> {
    let server = scenario.wire.tls.then(|| Authority::new(dir).issue(dir, "localhost", &["localhost"]).server);
    Receiver::start(([127, 0, 0, 1], 0).into(), scenario.wire, server)
}
