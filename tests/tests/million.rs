//! Long runs: `SCAIDRIVE_EVENTS` events (20,000 unless told otherwise, 1,000,000 for the promise) of about 600 bytes over 500
//! tenants. Two streams of the same name never share a number, nothing acknowledged is missing, nothing comes twice.

use std::fs::File;
use std::thread;
use std::time::Duration;

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{HttpWriter, Ledger, Producer, Workload};
use scaidrive_tests::hec::Hec;
use scaidrive_tests::oracle::{Report, assert_statements_hold, compare, statements};
use scaidrive_tests::rng::{Rng, count_from_env, seed};
use scaidrive_tests::scenario::{PATIENCE, ordered};
use scaidrive_tests::wait::wait_until;

const TENANTS: u32 = 500;

fn events() -> u64 {
    count_from_env("SCAIDRIVE_EVENTS", 20_000)
}

/// A minute, and a minute more for each 20,000 events: a debug build on a busy machine takes a tenth of that.
fn patience() -> Duration {
    PATIENCE + PATIENCE * (events() / 20_000) as u32
}

fn workload() -> Workload {
    Workload::new(1, TENANTS, events())
}

fn agent_for(hec: &Hec) -> Agent {
    let mut agent = Agent::new();
    agent.config.shards = 2;
    // Room for everything, with half as much again for record headers and indexes.
    let budget_mebibytes = 256 + events() * 900 / (1 << 20);
    agent.config.set_buffer("max_size", &format!("\"{budget_mebibytes}MiB\""));
    agent.config.set_buffer("segment_size", "\"16MiB\"");
    ordered(&mut agent, "hec", hec);
    agent
}

#[track_caller]
fn finish(ledger: &Ledger, hec: &Hec) -> Report {
    assert_eq!(ledger.acked.len() as u64, events());
    hec.wait_distinct(ledger.acked.len(), patience());
    let arrivals = hec.arrivals();
    let report = compare(ledger, &arrivals);
    report.assert_nothing_lost();
    report.assert_contiguous();
    assert_statements_hold(&report, &statements(&arrivals));
    hec.assert_no_violations();
    report
}

#[test]
fn written_to_the_socket_they_arrive_exactly_once_and_in_order() {
    let hec = Hec::counting();
    let mut agent = agent_for(&hec);
    agent.start();
    let ledger = Producer::start(&agent.config.socket, workload()).finish(patience());
    let report = finish(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
    agent.assert_books_balance();
}

#[test]
fn posted_over_http_they_arrive_exactly_once_and_in_order() {
    let hec = Hec::counting();
    let mut agent = agent_for(&hec);
    let ingest = agent.config.open_http();
    agent.start();
    let ledger = HttpWriter::start(ingest, workload()).finish(patience());
    let report = finish(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
    agent.assert_books_balance();
}

#[test]
fn with_the_receiver_down_in_the_middle_they_arrive_in_order() {
    let mut hec = Hec::counting();
    let mut agent = agent_for(&hec);
    agent.start();
    let producer = Producer::start(&agent.config.socket, workload());
    wait_until("a third is delivered", patience(), || hec.generated() as u64 > events() / 3);
    hec.go_down();
    // A minute for a million events, and the same share for fewer.
    thread::sleep(Duration::from_secs(60) * events().min(1_000_000) as u32 / 1_000_000);
    hec.come_up();
    let ledger = producer.finish(patience());
    let report = finish(&ledger, &hec);
    report.assert_ordered();
    // A request cut off by the outage may have been taken: those events come again, under the same numbers.
    assert!(report.duplicates.iter().all(|duplicate| duplicate.same_number));
    assert!(report.duplicates.len() <= 2 * 500, "{} duplicates", report.duplicates.len());
    agent.assert_books_balance();
}

#[test]
fn with_producers_held_back_by_a_small_budget_they_arrive_exactly_once() {
    let hec = Hec::counting();
    let mut agent = agent_for(&hec);
    agent.config.set_buffer("on_full", "\"block\"");
    agent.config.set_buffer("segment_size", "\"1MiB\"").set_buffer("max_size", "\"8MiB\"");
    agent.config.destination("hec").set("required", "true");
    agent.start();
    let ledger = Producer::start(&agent.config.socket, workload()).finish(patience());
    let report = finish(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
    agent.assert_books_balance();
}

#[test]
fn with_one_shard_then_two_then_one_they_arrive_exactly_once() {
    let hec = Hec::counting();
    let mut agent = agent_for(&hec);
    agent.config.shards = 1;
    agent.start();
    let producer = Producer::start(&agent.config.socket, workload());
    for (shards, share) in [(2, 3), (1, 2)] {
        wait_until("its share is taken", patience(), || producer.acked() > events() / share || producer.is_done());
        agent.stop();
        agent.config.shards = shards;
        agent.start();
    }
    let ledger = producer.finish(patience());
    finish(&ledger, &hec).assert_exactly_once();
    agent.assert_books_balance();
}

#[test]
fn with_a_segment_cut_short_in_the_middle_nothing_acknowledged_is_missing() {
    let hec = Hec::counting();
    let mut agent = agent_for(&hec);
    agent.start();
    let half = Workload { events: events() / 2, ..workload() };
    let mut ledger = Producer::start(&agent.config.socket, half).finish(patience());
    hec.wait_distinct(ledger.acked.len(), patience());
    // Everything so far is delivered; what the cut destroys is wanted by nobody.
    for segment in agent.segments() {
        File::options().write(true).open(&segment).unwrap().set_len(4096).unwrap();
    }
    let rest = Workload { run: 2, events: events() - ledger.acked.len() as u64, ..workload() };
    ledger.merge(Producer::start(&agent.config.socket, rest).finish(patience()));
    finish(&ledger, &hec);
    assert!(agent.is_running());
}

#[test]
fn with_twenty_hard_kills_only_the_last_unanswered_batches_come_twice() {
    let seed = seed(20_261_122);
    let mut rng = Rng::new(seed);
    let hec = Hec::counting();
    let mut agent = agent_for(&hec);
    agent.start();
    let producer = Producer::start(&agent.config.socket, workload());
    let mut kills = 0;
    for share in 1..=20 {
        let target = events() * share / 21 + rng.below(events() / 21);
        wait_until("its share is taken", patience(), || {
            producer.acked() >= target.min(events() - 1) || producer.is_done()
        });
        agent.kill();
        agent.start();
        kills += 1;
    }
    let ledger = producer.finish(patience());
    let report = finish(&ledger, &hec);
    for duplicate in &report.duplicates {
        assert!(duplicate.same_number, "SCAIDRIVE_SEED={seed}: {duplicate:?}");
    }
    // One unanswered request of at most 500 events for each of two shards and each kill.
    let allowed = kills * 2 * 500;
    assert!(report.duplicates.len() <= allowed, "SCAIDRIVE_SEED={seed}: {} duplicates", report.duplicates.len());
    agent.assert_books_balance();
}
