//! An outage and its end: what was written meanwhile is delivered from a cold cache.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::flood::memory_figures;
use super::paced::schedule;
use super::stage::{Unusual, drop_page_cache, write_paced};
use super::{Lab, NoFigures, Stage, Taken};
use crate::load::block::Block;
use crate::load::writer::blocks;
use crate::measure::latency::quantile_ms;
use crate::measure::{cpu, memory};
use crate::receiver::Tally;
use crate::scenario::{Case, Metric, Scenario};

pub(super) fn run(scenario: &Scenario, case: &Case, lab: &Lab, events: u64, live: u32) -> Result<Taken, NoFigures> {
    let unusual = Unusual { is_first_down: true, has_second: live > 0, ..Unusual::default() };
    let mut stage = Stage::set_unusually(scenario, case, lab, unusual)?;
    stage.stop_reading_numbers();
    let watch = memory::Watch::start(stage.pid());
    let mut flood = stage.producers(events, 256, 1);
    flood.run(stage.input()).map_err(|error| stage.explained(&error))?;
    stage.wait(events)?;
    let mut remarks = Vec::new();
    if !drop_page_cache() {
        remarks.push("the page cache was not dropped: that takes root".to_owned());
    }
    let mut block = blocks(scenario.tenants, 1, stage.input().framing).remove(0);
    let before = if live > 0 { live_p99(&mut stage, &mut block, live, LIVE)? } else { 0.0 };
    let (pid, cpu) = (stage.pid(), cpu::used(stage.pid()).map_err(|error| error.to_string())?);
    let backlog = stage.next_mark;
    stage.raise_first()?;
    let began = stage.wait_for_first()?;
    let level = watch_for(Arc::clone(&stage.receivers[0].tally), backlog);
    // At the rate that is asked for it takes so long; a slower one is still under way when this ends.
    let during = Duration::from_secs_f64((events as f64 / 500_000.0).max(1.0));
    let live_during = if live > 0 { live_p99(&mut stage, &mut block, live, during)? } else { 0.0 };
    let lost = stage.lost(stage.next_mark);
    let last = level.join().expect("the watch does not panic").unwrap_or_else(|| stage.receivers[0].tally.last());
    let used = cpu::used(pid).map_err(|_| "the contender is gone".to_owned())? - cpu;
    let seen = watch.end(pid);
    let arrived = stage.receivers[0].tally.distinct();
    let mut taken = stage.taken();
    taken.figures = vec![
        (
            Metric::EventsPerSecond,
            arrived.min(backlog) as f64 / last.saturating_duration_since(began).as_secs_f64().max(1e-3),
        ),
        (Metric::CpuPerEvent, used.as_secs_f64() * 1e6 / arrived.max(1) as f64),
        (Metric::Lost, lost as f64),
        (Metric::Repeated, stage.repeated() as f64),
    ];
    if live > 0 {
        taken.figures.push((Metric::LiveP99Before, before));
        taken.figures.push((Metric::LiveP99During, live_during));
    }
    taken.figures.extend(memory_figures(&seen));
    taken.remarks = remarks;
    Ok(taken)
}

/// Watches from beside until `events` have arrived, and tells when that was. What is written meanwhile would hide it.
fn watch_for(tally: Arc<Tally>, events: u64) -> JoinHandle<Option<Instant>> {
    thread::spawn(move || {
        let (mut seen, mut quiet) = (0, Instant::now());
        loop {
            let now = tally.distinct();
            if now >= events {
                return Some(Instant::now());
            }
            if now != seen {
                (seen, quiet) = (now, Instant::now());
            }
            if quiet.elapsed() > QUIET {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
    })
}

/// Latency at the second destination, which is the last receiver, over `time`.
fn live_p99(stage: &mut Stage, block: &mut Block, rate: u32, time: Duration) -> Result<f64, String> {
    let events = (f64::from(rate) * time.as_secs_f64()) as u64;
    let schedule = schedule(stage.take_marks(events), events, rate);
    let tally = Arc::clone(&stage.receivers[stage.receivers.len() - 1].tally);
    tally.expect(Some(schedule));
    write_paced(stage.input(), block, &schedule).map_err(|error| stage.explained(&error))?;
    let expected = stage.next_mark;
    let live = &stage.receivers[stage.receivers.len() - 1];
    live.wait(expected, Duration::from_secs(5));
    Ok(quantile_ms(&tally.latency(), 0.99))
}

/// How long the second destination is timed before the first comes back.
const LIVE: Duration = Duration::from_secs(4);
/// Nothing more comes when nothing has for this long.
const QUIET: Duration = Duration::from_secs(10);
