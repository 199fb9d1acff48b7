//! No task holds a shard's thread so long that its neighbours notice: `loop_stall_seconds` names the one that did.

use std::net::TcpListener;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Key, Producer, Workload};
use scaidrive_tests::hec::Hec;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, settle, write, write_one};
use scaidrive_tests::stalls;
use scaidrive_tests::wait::wait_until;

/// An address at which nobody listens.
fn nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    format!("http://{free}")
}

#[test]
fn under_load_with_a_dead_neighbour_no_task_holds_the_loop() {
    let (plain, zipped) = (Hec::plain(), Hec::plain());
    let mut agent = Agent::new();
    agent.config.shards = 2;
    agent.add_hec("plain", &plain).set("filter", ONLY_GENERATED).set("compression", "\"none\"");
    agent.add_hec("zipped", &zipped).set("filter", ONLY_GENERATED).set("compression", "\"gzip\"");
    let token = agent.token_file();
    agent.config.add(Destination::hec("dead", &nobody(), &token));
    agent.start();
    let [first, others @ ..] =
        [1, 2, 3].map(|run| Producer::start(&agent.config.socket, Workload::new(run, 200, 10_000)));
    let mut ledger = first.finish(PATIENCE);
    others.into_iter().for_each(|producer| ledger.merge(producer.finish(PATIENCE)));
    settle(&ledger, &plain);
    settle(&ledger, &zipped);
    stalls::assert_none(&agent);
}

#[test]
fn a_hundred_destinations_that_come_change_and_go_hold_no_loop() {
    const MANY: usize = 100;
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.shards = 2;
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let ledger = write(&agent, Workload::new(1, 50, 5_000));
    settle(&ledger, &hec);
    let known = |agent: &Agent| agent.metrics().select("scaidrive_siem_destination_unread_events", &[]).count();
    let token = agent.token_file();
    let url = nobody();
    for number in 0..MANY {
        agent.config.add(Destination::hec(&format!("d{number}"), &url, &token));
    }
    agent.reload();
    wait_until("all destinations are there", PATIENCE, || known(&agent) == MANY + 1);
    write_one(&agent, Key { run: 2, tenant: 1, count: 0 });
    agent.config.destinations.truncate(1);
    agent.reload();
    wait_until("all but one are gone", PATIENCE, || known(&agent) == 1);
    stalls::assert_none(&agent);
}
