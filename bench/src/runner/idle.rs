//! Nothing to do.

use std::thread;
use std::time::Duration;

use super::flood::memory_figures;
use super::{Stage, Taken};
use crate::measure::{cpu, memory};
use crate::scenario::Metric;

pub(super) fn run(stage: &mut Stage, seconds: u32) -> Result<Taken, String> {
    let mut few = stage.producers(FEW, 64, 1);
    stage.warm_up(&mut few)?;
    thread::sleep(SETTLE);
    let pid = stage.pid();
    let watch = memory::Watch::start(pid);
    let before = cpu::used(pid).map_err(|error| error.to_string())?;
    thread::sleep(Duration::from_secs(u64::from(seconds)));
    let used = cpu::used(pid).map_err(|_| "the contender is gone".to_owned())? - before;
    let seen = watch.end(pid);
    let mut taken = stage.taken();
    taken.figures = vec![(Metric::CpuShare, used.as_secs_f64() * 100.0 / f64::from(seconds.max(1)))];
    taken.figures.extend(memory_figures(&seen));
    Ok(taken)
}

const FEW: u64 = 1_000;
const SETTLE: Duration = Duration::from_secs(2);
