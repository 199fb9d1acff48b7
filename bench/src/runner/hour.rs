//! An hour of the control plane's clock, which its thread lives in half a minute: what memory it takes to keep what the last
//! hour was like. The history can't be switched off, so the memory before the hour is what it is compared with, and what
//! grows with one destination is taken off.

use std::thread;
use std::time::{Duration, Instant};

use super::paced::schedule;
use super::stage::{Unusual, write_paced};
use super::{Lab, NoFigures, Stage, Taken};
use crate::load::visitor::Wanted;
use crate::load::writer::blocks;
use crate::measure::clock::Clock;
use crate::measure::memory;
use crate::scenario::{Case, Metric, Scenario};

pub(super) fn run(scenario: &Scenario, case: &Case, lab: &Lab) -> Result<Taken, NoFigures> {
    let dir = lab.folder()?;
    let clock = Clock::new(dir.path())?;
    let environment = clock.environment();
    let mut stage = Stage::set_unusually(scenario, case, lab, Unusual { environment, ..Unusual::default() })?;
    // Every destination has delivered something, and has a distribution of latencies, before memory is looked at.
    stage.warm_up_briefly()?;
    thread::sleep(SETTLE);
    let before = anonymous(&stage)?;
    clock.hasten(TIMES).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let hour = Duration::from_secs(HOUR.as_secs() / TIMES);
    let events = u64::from(RATE) * hour.as_secs();
    let schedule = schedule(stage.take_marks(events), events, RATE);
    let mut block = blocks(scenario.tenants, 1, stage.input().framing).remove(0);
    write_paced(stage.input(), &mut block, &schedule).map_err(|error| stage.explained(&error))?;
    thread::sleep((hour + SETTLE).saturating_sub(began.elapsed()));
    let after = anonymous(&stage)?;
    // Whoever logged in before the hour has been away for too long.
    let mut line = stage.visitor()?.connect().map_err(|error| error.to_string())?;
    let reply = line.fetch("/v1/history", Wanted::Whole)?;
    let history: serde_json::Value = serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?;
    let samples = history["at_ms"].as_array().map_or(0, Vec::len);
    if samples < SAMPLES {
        return Err(format!("{samples} samples of {SAMPLES} were taken: the control plane did not keep up").into());
    }
    let mut taken = stage.taken();
    taken.figures = vec![(Metric::HourGrowth, (after as f64 - before as f64) / f64::from(1 << 20))];
    Ok(taken)
}

fn anonymous(stage: &Stage) -> Result<u64, String> {
    memory::anonymous(stage.pid()).ok_or_else(|| "the contender is gone".to_owned())
}

/// An hour and ten minutes: a sample is taken at the first look after its time, so an hour's worth takes a little longer.
const HOUR: Duration = Duration::from_secs(4_200);
/// How fast the clock runs: a sample each 83 ms.
const TIMES: u64 = 120;
/// As many samples as are kept.
const SAMPLES: usize = 360;
const RATE: u32 = 1_000;
const SETTLE: Duration = Duration::from_secs(2);
