//! As fast as the contender takes it.

use std::time::{Duration, Instant};

use super::{Figures, Stage};
use crate::load::writer::{self, blocks};
use crate::measure::{cpu, disk};
use crate::scenario::Metric;
use crate::scenario::case::Flood;

pub(super) fn run(stage: Stage, load: Flood) -> Result<Figures, String> {
    let (input, tally) = (&stage.running.input, &stage.receiver.tally);
    let pid = stage.running.process.pid();
    let blocks = blocks(stage.scenario.tenants, load.producers, input.framing);
    let mut writers = writer::Flood { first: 0, events: load.warm_up, per_write: load.per_write as usize, blocks };
    tally.check_numbers(true);
    writers.run(input).map_err(|error| error.to_string())?;
    if !stage.receiver.wait(load.warm_up, PATIENCE) {
        return Err(format!("{} of {} events of the warm-up arrived", tally.distinct(), load.warm_up));
    }
    tally.numbers()?;
    tally.check_numbers(false);
    let used = || cpu::used(pid).map_err(|error| error.to_string());
    let (cpu, written, began) = (used()?, disk::written(pid), Instant::now());
    writers.events = load.events;
    writers.run(input).map_err(|error| error.to_string())?;
    let has_all = stage.receiver.wait(load.warm_up + load.events, PATIENCE);
    let cpu = used()? - cpu;
    let wall = tally.last().saturating_duration_since(began);
    let lost = load.warm_up + load.events - tally.distinct();
    if !has_all && lost == load.events {
        return Err("no event arrived".to_owned());
    }
    let events = (load.events - lost) as f64;
    let mut figures = vec![
        (Metric::CpuPerEvent, cpu.as_secs_f64() * 1e6 / events),
        (Metric::EventsPerSecond, events / wall.as_secs_f64()),
        (Metric::Lost, lost as f64),
    ];
    if let (Some(before), Some(after)) = (written, disk::written(pid)) {
        figures.push((Metric::DiskPerEvent, after.saturating_sub(before) as f64 / events));
    }
    stage.running.process.stop();
    Ok(figures)
}

/// How long nothing may arrive before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
