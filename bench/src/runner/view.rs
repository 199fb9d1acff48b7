//! One page, asked for again and again while events come in, at an agent that has something to show: destinations that are
//! down, dead letters, changes.

use std::thread;
use std::time::{Duration, Instant};

use scaidrive_tests::http;

use super::paced::schedule;
use super::stage::write_paced;
use super::{Stage, Taken};
use crate::load::visitor::{Visitor, Wanted};
use crate::load::writer::blocks;
use crate::measure::latency::{histogram, quantile_ms, record};
use crate::scenario::Metric;
use crate::scenario::case::{VIEWED_RATE, View};

pub(super) fn run(stage: &mut Stage, view: View) -> Result<Taken, String> {
    let visitor = stage.visitor()?;
    furnish(stage)?;
    let events = u64::from(VIEWED_RATE) * u64::from(view.times) * BETWEEN.as_millis() as u64 / 1_000;
    let schedule = schedule(stage.take_marks(events), events, VIEWED_RATE);
    let (input, mut block) =
        (stage.input().clone(), blocks(stage.scenario.tenants, 1, stage.input().framing).remove(0));
    let producer = thread::spawn(move || write_paced(&input, &mut block, &schedule));
    let times = look(&visitor, view);
    producer.join().expect("a producer does not panic").map_err(|error| stage.explained(&error))?;
    let (times, size) = times?;
    let mut taken = stage.taken();
    taken.figures = vec![(Metric::PageP50, quantile_ms(&times, 0.5)), (Metric::PageP99, quantile_ms(&times, 0.99))];
    taken.figures.push((Metric::PageSize, kilobytes(size)));
    if !view.is_live {
        let first = |wanted| visitor.first_view(view.path, wanted).map(kilobytes);
        taken.figures.push((Metric::FirstView, first(Wanted::Whole)?));
        taken.figures.push((Metric::FirstViewPlain, first(Wanted::Plain)?));
    }
    taken.latency = Some(times);
    Ok(taken)
}

/// Times of all replies, and the size of the last one's body.
fn look(visitor: &Visitor, view: View) -> Result<(hdrhistogram::Histogram<u64>, u64), String> {
    let wanted = if view.is_live { Wanted::Middle } else { Wanted::Whole };
    let mut line = visitor.connect().map_err(|error| error.to_string())?;
    let (mut times, mut size) = (histogram(), 0);
    let start = Instant::now();
    for nth in 0..view.times {
        thread::sleep((start + BETWEEN * nth).saturating_duration_since(Instant::now()));
        let began = Instant::now();
        let reply = line.fetch(view.path, wanted)?;
        record(&mut times, began.elapsed());
        size = reply.body.len() as u64;
    }
    Ok((times, size))
}

/// Gives the pages something to show.
fn furnish(stage: &mut Stage) -> Result<(), String> {
    stage.stop_reading_numbers();
    let mut events = stage.producers(EVENTS, 256, 1);
    events.run(stage.input()).map_err(|error| stage.explained(&error))?;
    let admin = stage.running.admin.ok_or("this contender has no page")?;
    let token = std::fs::read_to_string(stage.dir().join("state/admin-token")).map_err(|error| error.to_string())?;
    let bearer = format!("Bearer {}", token.trim());
    let ask = |method: &str, path: &str| {
        let reply = http::request_once(admin, method, path, &[("Authorization", &bearer)], b"");
        reply.map_err(|error| format!("{method} {path}: {error}"))
    };
    for nth in 0..CHANGES {
        let wish = if nth % 2 == 0 { "pause" } else { "resume" };
        let path = format!("/v1/destinations/bench-{}/{wish}", nth / 2);
        let reply = ask("POST", &path)?;
        if reply.status != 200 {
            return Err(format!("{path} is answered with {}", reply.status));
        }
    }
    let letters = || {
        let reply = ask("GET", &format!("/v1/deadletters/{REFUSING}?limit=1000")).ok()?;
        let page: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
        (page["letters"].as_array()?.len() >= LETTERS).then_some(())
    };
    let deadline = Instant::now() + FURNISHED_WITHIN;
    while letters().is_none() {
        if Instant::now() > deadline {
            return Err(format!("{REFUSING} has not {LETTERS} dead letters in time"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn kilobytes(bytes: u64) -> f64 {
    bytes as f64 / 1e3
}

/// Between the beginnings of two requests, at least.
const BETWEEN: Duration = Duration::from_millis(10);
/// 150 for each of 200 tenants.
const EVENTS: u64 = 30_000;
/// As many as the page shows.
const CHANGES: u32 = 200;
/// A destination that refuses half of all events.
const REFUSING: &str = "bench-7";
/// As many as a page of a store shows.
const LETTERS: usize = 50;
const FURNISHED_WITHIN: Duration = Duration::from_secs(30);
