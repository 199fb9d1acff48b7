//! The agent is killed, stopped, restarted and robbed of its files.
//!
//! Killing a process proves nothing about power loss: the kernel still writes what the process left in its caches. That is what
//! the crash model of `wal` is for.

use std::fs::File;
use std::thread;
use std::time::Duration;

use scaidrive_tests::agent_process::{Agent, STOPPED_WITHIN};
use scaidrive_tests::generator::{Producer, Workload};
use scaidrive_tests::hec::{Fault, Hec};
use scaidrive_tests::oracle::{assert_statements_hold, compare, statements};
use scaidrive_tests::rng::{Rng, count_from_env, seed};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, settle, settle_within, write};
use scaidrive_tests::wait::wait_until;

#[test]
fn killed_at_random_it_loses_nothing_and_repeats_only_what_was_in_flight() {
    let rounds = count_from_env("SCAIDRIVE_KILLS", 10);
    let seed = seed(20_261_122);
    let mut rng = Rng::new(seed);
    let hec = Hec::counting();
    let mut agent = Agent::new();
    agent.config.shards = 2;
    agent.config.set_buffer("segment_size", "\"1MiB\"");
    agent.add_hec("hec", &hec).set("ordered", "true").set("filter", ONLY_GENERATED);
    agent.start();
    let flow = Workload { pause: Duration::from_millis(2), ..Workload::new(1, 100, u64::MAX) };
    let producer = Producer::start(&agent.config.socket, flow);
    let mut kills_at = Vec::new();
    for _ in 0..rounds {
        thread::sleep(Duration::from_millis(rng.below(300)));
        agent.kill();
        kills_at.push(hec.count());
        if rng.one_in(4) {
            // Now and then it is killed again while it still recovers.
            agent.spawn();
            thread::sleep(Duration::from_millis(rng.below(60)));
            agent.kill();
        }
        agent.start();
    }
    producer.stop();
    let ledger = producer.finish(PATIENCE);
    assert_eq!(ledger.unacked, [], "every event comes to its acknowledgement in the end");
    let report = settle_within(&ledger, &hec, PATIENCE * 2);
    report.assert_contiguous();
    for duplicate in &report.duplicates {
        assert!(duplicate.same_number, "SCAIDRIVE_SEED={seed}: {duplicate:?} came again under another number");
    }
    // An ordered sender has one request of at most 500 events in flight for each shard.
    let starts = kills_at.len() * 2;
    assert!(
        report.duplicates.len() <= starts * 2 * 500,
        "{} duplicates after {starts} starts",
        report.duplicates.len()
    );
    assert_statements_hold(&report, &statements(&hec.arrivals()));
    agent.assert_books_balance();
}

#[test]
fn told_to_stop_it_stops_in_time_whatever_the_receiver_does() {
    let mut hec = Hec::plain();
    for fault in [Fault::None, Fault::Hang, Fault::busy(Some(3_600)), Fault::bad_request()] {
        hec.set_fault(fault.clone());
        let mut agent = Agent::with_hec(&hec);
        let producer = Producer::start(&agent.config.socket, Workload::new(1, 20, 100_000));
        wait_until("events flow", PATIENCE, || producer.acked() > 1_000);
        let took = agent.stop();
        assert!(took < STOPPED_WITHIN, "{fault:?}: {took:?}");
        producer.stop();
        drop(producer);
    }
    hec.go_down();
    let mut agent = Agent::with_hec(&hec);
    agent.stop();
}

#[test]
fn stopped_under_load_and_started_again_it_loses_and_repeats_nothing() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("ordered", "true").set("filter", ONLY_GENERATED);
    agent.start();
    let flow = Workload { pause: Duration::from_millis(2), ..Workload::new(1, 20, 6_000) };
    let producer = Producer::start(&agent.config.socket, flow);
    for _ in 0..3 {
        let before = hec.generated();
        wait_until("events flow", PATIENCE, || hec.generated() > before + 300 || producer.is_done());
        agent.restart();
    }
    let ledger = producer.finish(PATIENCE);
    settle(&ledger, &hec).assert_exactly_once();
}

#[test]
fn lesson_40_started_again_while_the_receiver_is_down_it_keeps_what_it_owes() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("ordered", "true").set("filter", ONLY_GENERATED);
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 500));
    hec.wait_distinct(500, PATIENCE);
    hec.go_down();
    ledger.merge(write(&agent, Workload::new(2, 20, 1_000)));
    agent.restart();
    ledger.merge(write(&agent, Workload::new(3, 20, 1_000)));
    agent.kill();
    agent.start();
    hec.come_up();
    let report = settle(&ledger, &hec);
    report.assert_contiguous();
    report.assert_ordered();
}

#[test]
fn shards_may_come_and_go_between_restarts() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("ordered", "true").set("filter", ONLY_GENERATED);
    let mut ledger = scaidrive_tests::generator::Ledger::default();
    for (run, shards) in [(1, 1), (2, 2), (3, 1), (4, 3), (5, 1)] {
        agent.config.shards = shards;
        agent.start();
        hec.come_up();
        ledger.merge(write(&agent, Workload::new(run, 20, 1_000)));
        // What the old shards still owe is drained by the new ones.
        hec.go_down();
        ledger.merge(write(&agent, Workload::new(run + 100, 20, 500)));
        agent.stop();
    }
    hec.come_up();
    agent.start();
    let report = settle(&ledger, &hec);
    report.assert_contiguous();
    report.assert_ordered();
    agent.assert_books_balance();
}

#[test]
fn a_segment_cut_short_under_the_running_agent_costs_no_acknowledged_event() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let pid = agent.pid();
    let mut ledger = write(&agent, Workload::new(1, 20, 1_000));
    hec.wait_distinct(1_000, PATIENCE);
    for round in 0..3 {
        // Everything so far is delivered, so nothing acknowledged lies only here.
        for segment in agent.segments() {
            File::options().write(true).open(&segment).unwrap().set_len(4096).unwrap();
        }
        ledger.merge(write(&agent, Workload::new(10 + round, 20, 1_000)));
        hec.wait_distinct(1_000 * (round as usize + 2), PATIENCE);
    }
    assert!(agent.is_running() && agent.pid() == pid, "it goes on without a restart");
    compare(&ledger, &hec.arrivals()).assert_nothing_lost();
    hec.assert_no_violations();
    agent.restart();
    ledger.merge(write(&agent, Workload::new(20, 20, 1_000)));
    settle(&ledger, &hec);
}
