//! A fixed rate: latency from the intended moment to the arrival.

use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use scaidrive_tests::http;
use scaidrive_tests::metrics::Metrics;

use super::flood::memory_figures;
use super::hammer::Hammer;
use super::stage::write_paced;
use super::{Stage, Taken, stalls};
use crate::contender::Input;
use crate::load::block::Block;
use crate::load::event::{Events, tenant_name};
use crate::load::writer::{Schedule, blocks};
use crate::measure::latency::quantile_ms;
use crate::measure::{cpu, memory};
use crate::scenario::case::Paced;
use crate::scenario::{Destinations, Metric};

pub(super) fn run(stage: &mut Stage, load: Paced) -> Result<Taken, String> {
    let has_loudest_apart = stage.case.setup.destinations == Destinations::LoudestApart;
    if has_loudest_apart {
        // A warm-up by all tenants would not arrive as a whole.
        stage.stop_reading_numbers();
    } else {
        stage.warm_up_briefly()?;
    }
    let pid = stage.pid();
    let events = u64::from(load.rate) * u64::from(load.seconds);
    let schedule = schedule(stage.take_marks(events), events, load.rate);
    let mut block = quiet_block(stage, has_loudest_apart);
    stage.receivers[0].tally.expect(Some(schedule));
    let expected = if has_loudest_apart { events } else { stage.next_mark };
    let hammer = load.is_hammered.then(|| Hammer::start(stage.dir()));
    let loud = loud(stage, load);
    let watch = memory::Watch::start(pid);
    let before = cpu::used(pid).map_err(|error| error.to_string())?;
    let late = write_paced(stage.input(), &mut block, &schedule).map_err(|error| stage.explained(&error))?;
    if let Some(loud) = loud {
        loud.join().expect("the loud producer does not panic").map_err(|error| stage.explained(&error))?;
    }
    let lost = stage.lost(expected);
    let used = cpu::used(pid).map_err(|_| "the contender is gone".to_owned())? - before;
    let seen = watch.end(pid);
    drop(hammer);
    let latency = stage.receivers[0].tally.latency();
    let mut taken = stage.taken();
    taken.figures = latency_figures(&latency);
    taken.figures.push((Metric::HeldBackP99, quantile_ms(&late, 0.99)));
    taken.figures.push((Metric::CpuPerEvent, used.as_secs_f64() * 1e6 / events as f64));
    taken.figures.extend(memory_figures(&seen));
    taken.figures.push((Metric::Lost, lost as f64));
    taken.figures.push((Metric::Repeated, stage.repeated() as f64));
    if load.is_hammered {
        match stage.running.admin.and_then(|admin| http::get(admin, "/metrics").ok()) {
            Some(reply) => match stalls::read(&Metrics::parse(&reply.text())) {
                Some(stalls) => {
                    taken.figures.push((Metric::LoopStall, stalls.longest_ms));
                    taken.notes.push(stalls.words);
                }
                None => taken.remarks.push("this build of the agent does not measure loop stalls".to_owned()),
            },
            None => taken.remarks.push("there are no metrics to read loop stalls from".to_owned()),
        }
    }
    taken.latency = Some(latency);
    Ok(taken)
}

/// A schedule that begins in a moment.
pub(super) fn schedule(first: u64, events: u64, rate: u32) -> Schedule {
    let start = Instant::now() + Duration::from_millis(100);
    Schedule { first, events, start, interval: Duration::from_nanos(1_000_000_000 / u64::from(rate.max(1))) }
}

pub(super) fn latency_figures(latency: &Histogram<u64>) -> Vec<(Metric, f64)> {
    vec![
        (Metric::LatencyP50, quantile_ms(latency, 0.5)),
        (Metric::LatencyP99, quantile_ms(latency, 0.99)),
        (Metric::LatencyP999, quantile_ms(latency, 0.999)),
        (Metric::LatencyMax, quantile_ms(latency, 1.0)),
    ]
}

/// Events of all tenants; of all but the loudest where that one has a destination of its own.
fn quiet_block(stage: &Stage, has_loudest_apart: bool) -> Block {
    let (tenants, framing) = (stage.scenario.tenants, stage.input().framing);
    if !has_loudest_apart {
        return blocks(tenants, 1, framing).remove(0);
    }
    let mut events = Events::new(tenants, 11);
    let mut rank = 0;
    Block::new(BLOCK, framing, |out| {
        rank = rank % tenants.count + 1;
        events.write_of(&tenant_name(rank), out)
    })
}

type Loud = thread::JoinHandle<std::io::Result<Histogram<u64>>>;

/// The loudest tenant's producer, at work.
fn loud(stage: &mut Stage, load: Paced) -> Option<Loud> {
    (load.loudest > 0).then(|| {
        let events = u64::from(load.loudest) * u64::from(load.seconds);
        let schedule = schedule(stage.take_marks(events), events, load.loudest);
        let input: Input = stage.input().clone();
        let mut of_one = Events::new(stage.scenario.tenants, 12);
        let mut block = Block::new(BLOCK, input.framing, |out| of_one.write_of(&tenant_name(0), out));
        thread::spawn(move || write_paced(&input, &mut block, &schedule))
    })
}

const BLOCK: usize = 2_000;
