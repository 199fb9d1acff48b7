//! As fast as the contender takes it.

use std::time::Instant;

use super::stage::Unusual;
use super::{Lab, NoFigures, Stage, Taken};
use crate::measure::allocations::Counter;
use crate::measure::syscalls::Counting;
use crate::measure::{cpu, disk, memory};
use crate::scenario::case::Flood;
use crate::scenario::{Case, Metric, Scenario};

/// Time, memory and disk.
pub(super) fn run(stage: &mut Stage, load: Flood) -> Result<Taken, String> {
    let mut warm_up = stage.producers(load.warm_up, load.per_write, load.producers);
    stage.warm_up(&mut warm_up)?;
    let mut producers = stage.producers(load.events, load.per_write, load.producers);
    let pid = stage.pid();
    let watch = memory::Watch::start(pid);
    let bodies_before = stage.body_bytes();
    let (cpu_before, disk_before, began) =
        (cpu::used(pid).map_err(|error| error.to_string())?, disk::written(pid), Instant::now());
    producers.run(stage.input()).map_err(|error| stage.explained(&error))?;
    let lost = stage.lost(load.warm_up + load.events);
    let cpu = cpu::used(pid).map_err(|_| "the contender is gone".to_owned())? - cpu_before;
    let written = disk::written(pid);
    let seen = watch.end(pid);
    let arrived = load.events.saturating_sub(lost);
    if arrived == 0 {
        return Err(format!("no event arrived; {}", stage.running.process.said()));
    }
    let wall = stage.last_arrival().map_or(began.elapsed(), |last| last.saturating_duration_since(began));
    let mut taken = stage.taken();
    taken.figures = vec![
        (Metric::CpuPerEvent, cpu.as_secs_f64() * 1e6 / arrived as f64),
        (Metric::EventsPerSecond, arrived as f64 / wall.as_secs_f64()),
        (Metric::BodyPerEvent, (stage.body_bytes() - bodies_before) as f64 / arrived as f64),
        (Metric::Lost, lost as f64),
        (Metric::Repeated, stage.repeated() as f64),
    ];
    taken.figures.extend(memory_figures(&seen));
    if let (Some(before), Some(after)) = (disk_before, written) {
        taken.figures.push((Metric::DiskPerEvent, after.saturating_sub(before) as f64 / arrived as f64));
    }
    Ok(taken)
}

/// What a watch saw, as figures.
pub(super) fn memory_figures(seen: &memory::Seen) -> [(Metric, f64); 3] {
    [
        (Metric::Memory, mib((seen.anonymous_peak + seen.own_pages) as f64)),
        (Metric::MemoryGrowth, mib(seen.growth as f64)),
        (Metric::MappedLog, mib(seen.mapped_log as f64)),
    ]
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// System calls and allocations.
pub(super) fn count(scenario: &Scenario, case: &Case, lab: &Lab, load: Flood) -> Result<Taken, NoFigures> {
    let dir = lab.folder()?;
    let counter = Counter::new(dir.path());
    let environment = counter.as_ref().map(Counter::environment).unwrap_or_default();
    let mut stage = Stage::set_unusually(scenario, case, lab, Unusual { environment, ..Unusual::default() })?;
    let mut warm_up = stage.producers(load.warm_up, load.per_write, load.producers);
    stage.warm_up(&mut warm_up)?;
    let mut producers = stage.producers(load.events, load.per_write, load.producers);
    let counting = Counting::start(stage.pid(), dir.path());
    let allocations = || counter.as_ref().ok().and_then(Counter::count);
    let before = allocations();
    producers.run(stage.input()).map_err(|error| stage.explained(&error))?;
    let lost = stage.lost(load.warm_up + load.events);
    let after = allocations();
    let mut taken = stage.taken();
    let arrived = load.events.saturating_sub(lost).max(1) as f64;
    match counting.map(Counting::end) {
        Ok(Some(calls)) => taken.figures.push((Metric::Syscalls, calls as f64 * 1_000.0 / arrived)),
        Ok(None) => taken.remarks.push("perf did not count system calls".to_owned()),
        Err(reason) => taken.remarks.push(format!("system calls were not counted: {reason}")),
    }
    match (before, after, &counter) {
        (Some(before), Some(after), _) if before >= OF_LIBC => {
            taken.figures.push((Metric::Allocations, (after - before) as f64 / arrived))
        }
        (_, _, Err(reason)) => taken.remarks.push(format!("allocations were not counted: {reason}")),
        _ => taken.remarks.push("allocations can't be counted in a program that brings its own allocator".to_owned()),
    }
    Ok(taken)
}

/// A program that allocates through libc has called it so often by the end of its warm-up; one that only starts through it,
/// as a Go program with C in it does, has not.
const OF_LIBC: u64 = 1_000;
