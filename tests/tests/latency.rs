//! Single events, one at a time: each is on its way at once. Only promises in seconds are asserted; figures are for `bench`.

use std::thread;
use std::time::{Duration, Instant};

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::Key;
use scaidrive_tests::hec::{Fault, Hec};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write_one};
use scaidrive_tests::wait::wait_until;

const PROMISED: Duration = Duration::from_secs(2);

#[test]
fn at_one_event_a_second_each_arrives_within_the_promised_time() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let mut times = Vec::new();
    for count in 0..8 {
        let key = Key { run: 1, tenant: 1, count };
        let start = Instant::now();
        write_one(&agent, key);
        wait_until("it arrives", PATIENCE, || hec.last().is_some_and(|arrival| arrival.key == Some(key)));
        times.push(hec.last().unwrap().at - start);
        thread::sleep(Duration::from_secs(1).saturating_sub(start.elapsed()));
    }
    assert!(times.iter().all(|time| *time < PROMISED), "{times:?}");
}

#[test]
fn lesson_20_a_lone_event_does_not_wait_for_the_next_one() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED).set("batch", "{ linger = \"1s\" }");
    agent.start();
    // Some requests that go well, so that more than one may be under way.
    for count in 10..15 {
        write_one(&agent, Key { run: 1, tenant: 1, count });
        wait_until("it arrives", PATIENCE, || hec.generated() as u32 == count - 9);
    }
    // Behind a request under way an event waits for company, but no longer than it lingers.
    hec.set_fault_times(1, Fault::SlowReply(Duration::from_secs(10)));
    write_one(&agent, Key { run: 1, tenant: 1, count: 0 });
    wait_until("a request is under way", PATIENCE, || hec.generated() == 6);
    let start = Instant::now();
    write_one(&agent, Key { run: 1, tenant: 1, count: 1 });
    wait_until("the second event arrives", PATIENCE, || hec.generated() == 7);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn an_idle_agent_sleeps() {
    let hec = Hec::plain();
    let agent = Agent::with_hec(&hec);
    write_one(&agent, Key { run: 1, tenant: 1, count: 0 });
    hec.wait_distinct(1, PATIENCE);
    thread::sleep(Duration::from_secs(2));
    let before = agent.cpu_time();
    thread::sleep(Duration::from_secs(10));
    let used = agent.cpu_time() - before;
    assert!(used < Duration::from_secs(1), "an idle agent used {used:?} in ten seconds");
}
