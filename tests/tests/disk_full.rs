//! A disk that fills up, on a file system of its own.

use std::time::{Duration, Instant};

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{HttpWriter, Producer, Workload};
use scaidrive_tests::hec::Hec;
use scaidrive_tests::scenario::{PATIENCE, settle};
use scaidrive_tests::skip::skip;
use scaidrive_tests::small_disk::SmallDisk;
use scaidrive_tests::wait::wait_until;

/// An agent whose state lies on a small disk, with segments of 1 MiB and a budget beyond the disk.
fn agent_on(disk: &SmallDisk, hec: &Hec) -> Agent {
    let mut agent = Agent::new();
    agent.config.state_dir = disk.path().join("state");
    agent.config.set_buffer("segment_size", "\"1MiB\"").set_buffer("max_size", "\"1GiB\"");
    agent.config.set_buffer("min_free", "{ percent = 0, size = \"0B\" }");
    agent.add_hec("hec", hec).set("ordered", "true");
    agent
}

/// Waits until nothing has been acknowledged for two seconds.
fn wait_stuck(acked: impl Fn() -> u64) {
    let mut last = (0, Instant::now());
    wait_until("the producers are held back", PATIENCE, || {
        if acked() != last.0 {
            last = (acked(), Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(2)
    });
}

#[test]
fn a_full_disk_holds_producers_back_and_loses_nothing() {
    let name = "a_full_disk_holds_producers_back_and_loses_nothing";
    let disk = match SmallDisk::mount(48) {
        Ok(disk) => disk,
        Err(reason) => return skip(name, &reason),
    };
    let mut hec = Hec::plain();
    let mut agent = agent_on(&disk, &hec);
    let ingest = agent.config.open_http();
    agent.start();
    hec.go_down();
    let producer = Producer::start(&agent.config.socket, Workload::new(1, 20, 150_000));
    wait_until("events are taken", PATIENCE, || producer.acked() > 1_000);
    disk.fill(0);
    wait_stuck(|| producer.acked());
    assert!(!producer.is_done());
    assert!(agent.is_running(), "a full disk does not end the agent");
    let poster = HttpWriter::start(ingest, Workload::new(2, 20, 10_000));
    wait_stuck(|| poster.acked());

    // It can be stopped and started while the disk is full.
    agent.stop();
    agent.spawn();
    wait_until("it runs", PATIENCE, || agent.try_metrics().is_ok());
    assert!(agent.is_running());

    disk.make_room();
    hec.come_up();
    let mut ledger = producer.finish(PATIENCE * 3);
    assert_eq!(ledger.acked.len(), 150_000);
    let posted = poster.finish(PATIENCE);
    assert!(!ledger.waits.is_empty(), "a producer on the socket is told why it waits");
    assert!(!posted.waits.is_empty(), "a producer over HTTP is told why it waits; {} reconnects", posted.reconnects);
    ledger.merge(posted);
    settle(&ledger, &hec);
    agent.assert_books_balance();
}

#[test]
fn lesson_44_on_a_full_disk_it_starts_and_delivers_what_it_has() {
    let name = "lesson_44_on_a_full_disk_it_starts_and_delivers_what_it_has";
    let disk = match SmallDisk::mount(48) {
        Ok(disk) => disk,
        Err(reason) => return skip(name, &reason),
    };
    let mut hec = Hec::plain();
    let mut agent = agent_on(&disk, &hec);
    agent.start();
    hec.go_down();
    let ledger = scaidrive_tests::scenario::write(&agent, Workload::new(1, 20, 5_000));
    disk.fill(0);
    agent.kill();
    agent.spawn();
    hec.come_up();
    settle(&ledger, &hec);
    assert!(agent.is_running());
}
