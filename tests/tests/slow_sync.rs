//! Nothing leaves before the disk has confirmed it: no acknowledgement, no HTTP reply, no delivery.

use std::thread;
use std::time::{Duration, Instant};

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{INGEST_PATH, Key, Producer, Workload, event_line};
use scaidrive_tests::hec::Hec;
use scaidrive_tests::http;
use scaidrive_tests::scenario::{PATIENCE, settle, write};
use scaidrive_tests::skip::skip;
use scaidrive_tests::slow_sync::SlowSync;
use scaidrive_tests::wait::{holds_for, wait_until};

const HELD: Duration = Duration::from_secs(1);

fn line(count: u32) -> Vec<u8> {
    let mut line = event_line(Key { run: 7, tenant: 1, count }, 600);
    line.push(b'\n');
    line
}

#[test]
fn while_a_sync_is_held_up_nothing_leaves() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    let ingest = agent.config.open_http();
    agent.add_hec("hec", &hec);
    let sync = match SlowSync::install(&mut agent, ".seg") {
        Ok(sync) => sync,
        Err(reason) => return skip("while_a_sync_is_held_up_nothing_leaves", &reason),
    };
    agent.start();
    let before = write(&agent, Workload::new(1, 5, 100));
    settle(&before, &hec);

    sync.hold();
    let mut session = agent.session();
    session.send(&line(0)).unwrap();
    sync.wait_held(PATIENCE);
    let sent = hec.generated();
    let poster = thread::spawn(move || {
        let reply = http::post_once(ingest, INGEST_PATH, &[], &line(1)).unwrap();
        (reply.status, Instant::now())
    });
    holds_for("nothing leaves while the sync is held", HELD, || {
        session.acked().0 == 0 && !poster.is_finished() && hec.generated() == sent
    });
    let released = Instant::now();
    sync.release();
    assert!(session.wait_acked(1, PATIENCE));
    assert!(session.acked().1.unwrap() >= released);
    let (status, replied) = poster.join().unwrap();
    assert_eq!(status, 200);
    assert!(replied >= released);
    hec.wait_distinct(102, PATIENCE);
    for arrival in hec.arrivals().list.iter().filter(|arrival| arrival.key.is_some_and(|key| key.run == 7)) {
        assert!(arrival.at >= released, "delivered before it was durable");
    }
}

#[test]
fn lesson_07_an_acknowledgement_means_what_the_durability_setting_says() {
    let name = "lesson_07_an_acknowledgement_means_what_the_durability_setting_says";
    for (durability, waits_for_sync) in [("fsync", true), ("interval", false), ("os", false)] {
        let mut agent = Agent::new();
        agent.config.set_buffer("durability", &format!("\"{durability}\""));
        let sync = match SlowSync::install(&mut agent, ".seg") {
            Ok(sync) => sync,
            Err(reason) => return skip(name, &reason),
        };
        agent.start();
        let mut session = agent.session();
        // A new log has a sync to wait for in every mode: the one that names its first segment.
        session.send(&line(0)).unwrap();
        assert!(session.wait_acked(1, PATIENCE), "{durability}");
        sync.hold();
        session.send(&line(1)).unwrap();
        if waits_for_sync {
            holds_for("no acknowledgement", HELD, || session.acked().0 == 1);
            sync.release();
        }
        assert!(session.wait_acked(2, PATIENCE), "{durability}");
    }
}

#[test]
fn a_failed_sync_is_never_an_acknowledgement_and_costs_nothing() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec);
    let sync = match SlowSync::install(&mut agent, ".seg") {
        Ok(sync) => sync,
        Err(reason) => return skip("a_failed_sync_is_never_an_acknowledgement_and_costs_nothing", &reason),
    };
    agent.start();
    let flow = Workload { pause: Duration::from_millis(2), ..Workload::new(1, 20, 10_000) };
    let producer = Producer::start(&agent.config.socket, flow);
    for _ in 0..3 {
        let before = producer.acked();
        wait_until("events flow", PATIENCE, || producer.acked() > before + 200 || producer.is_done());
        sync.fail_once(|| ());
    }
    assert!(agent.is_running());
    let ledger = producer.finish(PATIENCE);
    assert_eq!(ledger.acked.len(), 10_000);
    settle(&ledger, &hec);
    assert!(!hec.arrivals().own("siem.sync_failed").is_empty(), "a failed sync is announced");
    agent.restart();
    settle(&ledger, &hec);
    agent.assert_books_balance();
}
