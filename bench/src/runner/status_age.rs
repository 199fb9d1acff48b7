//! How old the status is at its worst: an event is written, its arrival noted by the receiver, and the status asked for until
//! it counts the event as delivered. Nothing else happens meanwhile, which is when shards speak most seldom.

use std::thread;
use std::time::{Duration, Instant};

use super::paced::schedule;
use super::stage::write_paced;
use super::{Stage, Taken};
use crate::load::block::Block;
use crate::load::event::{Events, tenant_name};
use crate::load::visitor::{Line, Wanted};
use crate::measure::latency::{histogram, quantile_ms, record};
use crate::scenario::Metric;

pub(super) fn run(stage: &mut Stage, events: u32) -> Result<Taken, String> {
    stage.warm_up_briefly()?;
    let visitor = stage.visitor()?;
    let mut line = visitor.connect().map_err(|error| error.to_string())?;
    let mut ages = histogram();
    for nth in 0..events {
        // Neighbours speak at the same moment; these are moments that no turn of a shard is in step with.
        thread::sleep(Duration::from_millis(u64::from(nth % 7) * 83));
        record(&mut ages, age(stage, &mut line, nth * 37 % stage.scenario.tenants.count)?);
    }
    let mut taken = stage.taken();
    taken.figures = vec![(Metric::StatusAge, quantile_ms(&ages, 1.0))];
    taken.notes = vec![format!("half were seen within {:.0} ms", quantile_ms(&ages, 0.5))];
    Ok(taken)
}

/// From the arrival of one event of the tenant of this rank until its destination's status counts it.
fn age(stage: &mut Stage, line: &mut Line, rank: u32) -> Result<Duration, String> {
    let path = format!("/v1/destinations/bench-{rank}");
    let before = delivered(line, &path)?;
    let mut events = Events::new(stage.scenario.tenants, u64::from(rank));
    let mut block = Block::new(1, stage.input().framing, |out| events.write_of(&tenant_name(rank), out));
    let schedule = schedule(stage.take_marks(1), 1, 1);
    write_paced(stage.input(), &mut block, &schedule).map_err(|error| stage.explained(&error))?;
    let expected = stage.next_mark;
    stage.wait(expected)?;
    let arrived = stage.last_arrival().ok_or("nothing has arrived")?;
    while delivered(line, &path)? <= before {
        if arrived.elapsed() > SEEN_WITHIN {
            return Err(format!("{path} does not tell of an event"));
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(Instant::now().saturating_duration_since(arrived))
}

fn delivered(line: &mut Line, path: &str) -> Result<u64, String> {
    let reply = line.fetch(path, Wanted::Whole)?;
    let whole: serde_json::Value = serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?;
    whole["status"]["books"]["delivered"].as_u64().ok_or_else(|| format!("{path} says nothing of events"))
}

const LOOK_EVERY: Duration = Duration::from_millis(5);
const SEEN_WITHIN: Duration = Duration::from_secs(30);
