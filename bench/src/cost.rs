//! What does an event cost the agent, from the socket over the synced log to a HEC receiver?
//!
//! Method: one shard, one destination, no compression, 600-byte events of 500 tenants, `durability = "fsync"`, a log that
//! has used up its budget of 256 MiB. The agent's whole process time (all threads, user and system) over the events, and the wall time from the first write to
//! the last request. The naive loop of [`crate::naive`] is measured in the same run.
//!
//! Expected before measuring: parse 0.4 µs, two checksums 0.15, copy in and out of the kernel 0.3, encode and judge 0.2,
//! writing back the log's pages 0.4: about 1.5 µs.

use std::time::{Duration, Instant};

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;

use crate::sink::Sink;
use crate::workload::{EVENT_SIZE, write_all};
use crate::{naive, say};

pub(crate) fn run() {
    let mut agent_costs = Vec::new();
    let mut naive_costs = Vec::new();
    for _ in 0..ROUNDS {
        let (cost, rate) = round();
        let (naive, count) = naive::cost(EVENTS);
        let naive = naive.as_secs_f64() * 1e6 / count as f64;
        say(&format!(
            "cost: agent {cost:.2} us of processor time an event, {rate:.0} events/s; naive loop {naive:.2} us"
        ));
        agent_costs.push(cost);
        naive_costs.push(naive);
    }
    let (agent, naive) = (median(agent_costs), median(naive_costs));
    say(&format!(
        "cost: median of {ROUNDS} runs of {EVENTS} events of {EVENT_SIZE} bytes: {agent:.2} us, {:.1} times the naive loop",
        agent / naive
    ));
}

fn round() -> (f64, f64) {
    let sink = Sink::start();
    let mut agent = Agent::new();
    let token = agent.token_file();
    agent.config.set_buffer("max_size", "\"256MiB\"").set_buffer("segment_size", "\"32MiB\"");
    agent.config.add(Destination::hec("sink", &sink.url(), &token).with("compression", "\"none\""));
    agent.start();
    let socket = agent.config.socket.clone();
    write_all(&socket, WARM_UP);
    settle(&sink);
    let (cpu, began) = (agent.cpu_time(), Instant::now());
    let began_us = sink.began.elapsed().as_micros() as u64;
    let events = write_all(&socket, EVENTS);
    settle(&sink);
    let used = agent.cpu_time() - cpu;
    let last_us = sink.last_us.load(std::sync::atomic::Ordering::Acquire);
    let wall = Duration::from_micros(last_us.saturating_sub(began_us)).min(began.elapsed());
    agent.stop();
    (used.as_secs_f64() * 1e6 / events as f64, events as f64 / wall.as_secs_f64())
}

/// Waits until nothing has arrived for a while.
fn settle(sink: &Sink) {
    let mut last = u64::MAX;
    loop {
        let now = sink.bytes.load(std::sync::atomic::Ordering::Relaxed);
        if now == last {
            return;
        }
        last = now;
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const ROUNDS: usize = 3;
const EVENTS: usize = 400_000;
/// Events before the measurement: enough for the log to have used up its budget, as it has after its first half hour, so
/// that segments are reused from then on.
const WARM_UP: usize = 500_000;
