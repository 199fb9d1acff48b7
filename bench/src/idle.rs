//! What does an agent cost that has nothing to do?
//!
//! Method: one shard, one destination, left alone for twenty seconds after a few events. Promises: under 0.2 % of a core
//! and under 24 MiB of anonymous memory; the mapped log is printed beside it. Expected: one turn a second, 20 µs each.

use std::time::Duration;

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::hec::Hec;

use crate::say;
use crate::workload::write_all;

pub(crate) fn run() {
    let hec = Hec::counting();
    let mut agent = Agent::with_hec(&hec);
    write_all(&agent.config.socket.clone(), 10_000);
    std::thread::sleep(Duration::from_secs(3));
    let before = agent.cpu_time();
    std::thread::sleep(IDLE);
    let used = agent.cpu_time() - before;
    let memory = agent.memory();
    agent.stop();
    say(&format!("idle: {:.3} % of a core over {} s", used.as_secs_f64() * 100.0 / IDLE.as_secs_f64(), IDLE.as_secs()));
    say(&format!("idle: {memory:?}"));
}

const IDLE: Duration = Duration::from_secs(20);
