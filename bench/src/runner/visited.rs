//! Floods while pages are open and while none is, in pairs, A B B A, at one agent: what a page costs the data plane is less
//! than two starts of the same agent differ by.
//!
//! The data plane is the threads that an event passes through: shards, syncers and keepers, and the kernel's workers of their
//! rings. All others answer pages, read the log for whoever watches it, and write the agent's own events.

use std::time::{Duration, Instant};

use super::{Stage, Taken};
use crate::load::visitor::{Open, Visitor};
use crate::measure::statistics::summary;
use crate::measure::{cpu, threads};
use crate::scenario::Metric;
use crate::scenario::case::Visited;

pub(super) fn run(stage: &mut Stage, load: Visited) -> Result<Taken, String> {
    let mut warm_up = stage.producers(load.warm_up, PER_WRITE, 1);
    stage.warm_up(&mut warm_up)?;
    let visitor = stage.visitor()?;
    let mut pairs = Vec::new();
    let mut lost = 0;
    for nth in 0..load.pairs {
        // Both are taken first equally often.
        let mut pair = [Used::default(); 2];
        for is_open in [nth % 2 == 1, nth % 2 == 0] {
            pair[usize::from(is_open)] = flood(stage, load, is_open.then_some(&visitor), &mut lost)?;
        }
        pairs.push(pair);
    }
    let mut taken = stage.taken();
    let events = load.events as f64;
    let median = |of: fn(&[Used; 2]) -> f64| {
        summary(&pairs.iter().map(of).collect::<Vec<f64>>()).map_or(0.0, |summary| summary.median)
    };
    taken.figures = vec![
        (Metric::DataPlaneAlone, median(|[alone, _]| alone.data_plane) * 1e6 / events),
        (Metric::DataPlaneVisited, median(|[_, visited]| visited.data_plane) * 1e6 / events),
        (Metric::DataPlaneRise, median(|[alone, visited]| rise(alone.data_plane, visited.data_plane))),
        (Metric::AgentRise, median(|[alone, visited]| rise(alone.agent, visited.agent))),
        (Metric::PagesShare, median(|[_, visited]| (visited.agent - visited.data_plane) * 100.0 / visited.wall)),
        (Metric::CpuPerEvent, median(|[_, visited]| visited.agent) * 1e6 / events),
        (Metric::Lost, lost as f64),
        (Metric::Repeated, stage.repeated() as f64),
    ];
    let rises = pairs.iter().map(|[alone, visited]| format!("{:+.1}", rise(alone.data_plane, visited.data_plane)));
    taken.notes =
        vec![format!("the data plane's rise pair by pair, in per cent: {}", rises.collect::<Vec<_>>().join(", "))];
    Ok(taken)
}

/// Seconds of processors, and of the clock, that one flood took.
#[derive(Clone, Copy, Default)]
struct Used {
    data_plane: f64,
    agent: f64,
    wall: f64,
}

fn flood(stage: &mut Stage, load: Visited, visitor: Option<&Visitor>, lost: &mut u64) -> Result<Used, String> {
    let open = visitor.map(|visitor| Open::all(visitor, load.pages)).transpose()?;
    let mut producers = stage.producers(load.events, PER_WRITE, 1);
    let (before, began) = (used(stage)?, Instant::now());
    producers.run(stage.input()).map_err(|error| stage.explained(&error))?;
    let expected = stage.next_mark;
    *lost = (*lost).max(stage.lost(expected));
    let (after, wall) = (used(stage)?, began.elapsed());
    open.map_or(Ok(()), Open::close)?;
    let [data_plane, agent] = [after[0] - before[0], after[1] - before[1]].map(|time| time.as_secs_f64());
    Ok(Used { data_plane, agent, wall: wall.as_secs_f64() })
}

/// The data plane's time so far, and the whole agent's.
fn used(stage: &Stage) -> Result<[Duration; 2], String> {
    let pid = stage.pid();
    let data_plane =
        threads::used(pid, is_of_the_data_plane).map_err(|error| format!("threads can't be timed: {error}"))?;
    let agent = cpu::used(pid).map_err(|_| "the contender is gone".to_owned())?;
    Ok([data_plane, agent])
}

/// By the names that `agent/src/node/` and the kernel (`iou-wrk-…`) give to threads.
fn is_of_the_data_plane(thread: &str) -> bool {
    ["shard-", "sync-", "keep-", "iou-"].iter().any(|start| thread.starts_with(start))
}

/// How much more, in per cent.
fn rise(before: f64, after: f64) -> f64 {
    (after / before - 1.0) * 100.0
}

const PER_WRITE: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_and_their_helpers_are_the_data_plane_and_the_control_plane_is_not() {
        assert!(["shard-0", "sync-11", "keep-0", "iou-wrk-4711"].iter().all(|thread| is_of_the_data_plane(thread)));
        assert!(["scaidrive-siem", "control", "tail", "chronicle"].iter().all(|thread| !is_of_the_data_plane(thread)));
    }

    #[test]
    fn a_rise_is_in_per_cent() {
        assert!((rise(2.0, 2.1) - 5.0).abs() < 1e-9 && rise(2.0, 1.0) < 0.0);
    }
}
