use std::time::Duration;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Producer, Workload};
use scaidrive_tests::hec::Hec;
use scaidrive_tests::ports::free_port;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};

use super::{Visit, first_token};

#[test]
fn a_test_that_fails_names_its_stage_the_cause_and_what_to_do() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    agent.config.add(Destination::hec("closed", &nobody, &agent.token_file()));
    agent.add_hec("token", &hec);
    hec.set_token("another one");
    agent.start();
    let Some(visit) = Visit::begin(&agent, "failing test") else { return };
    visit.log_in(&first_token(&agent));
    for (destination, stage) in [("closed", "connect"), ("token", "authentication")] {
        visit.visit(&format!("/destinations/{destination}"));
        visit.click_words("Test");
        visit.wait_words(&["fails", &format!("At the stage {stage}: "), "What to do: "]);
    }
    // What was mended is tested again from where the failure stood.
    hec.set_token(scaidrive_tests::hec::TOKEN);
    visit.click_words("Test again");
    visit.wait_words(&["works", "The test event was sent", "evt_test_"]);
}

#[test]
fn a_receiver_that_goes_and_comes_back_is_seen_so_by_whoever_just_looks() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let Some(visit) = Visit::begin(&agent, "down and up") else { return };
    visit.log_in(&first_token(&agent));
    let flow = Workload { pause: Duration::from_millis(100), ..Workload::new(1, 5, u64::MAX) };
    let producer = Producer::start(&agent.config.socket, flow);
    visit.run("window.neverLoadedAgain = true");
    visit.wait_words(&["active", "none needs attention", "events/s"]);
    hec.go_down();
    visit.wait_words(&["1 needs attention", "Connection refused"]);
    hec.come_up();
    visit.wait_words(&["active", "none needs attention"]);
    assert_eq!(visit.run("return window.neverLoadedAgain"), true, "the page was loaded again");
    producer.stop();
    let ledger = producer.finish(PATIENCE);
    hec.wait_distinct(ledger.acked.len(), PATIENCE);
    // The agent itself goes: the page says so and keeps what it knew; it comes back: the page goes on.
    agent.stop();
    visit.wait_words(&["Connection lost, showing the state of", "active"]);
    agent.start();
    // Sessions end with the agent, so the page leads to the door.
    visit.wait_words(&["Log in"]);
}

#[test]
fn what_the_log_could_not_hold_longer_is_told_where_the_destination_is() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.set_buffer("segment_size", "\"1MiB\"").set_buffer("max_size", "\"8MiB\"");
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    hec.go_down();
    agent.start();
    let Some(visit) = Visit::begin(&agent, "overflow") else { return };
    write(&agent, Workload::new(1, 20, 20_000));
    visit.log_in(&first_token(&agent));
    visit.visit("/destinations/hec");
    let given_up = "//tr[contains(., 'given up, because the log could not hold them longer')]";
    let count = format!(
        "return document.evaluate(\"{given_up}/td\", document, null, XPathResult.STRING_TYPE, null).stringValue"
    );
    let told = visit.run(&count);
    assert!(told.as_str().is_some_and(|told| !told.is_empty() && told != "0"), "{told}");
    visit.wait_words(&["balances", "Events passed over", "Episodes, the newest first", "overflows now"]);
    assert!(visit.count("#overflow-live tbody tr") > 0);
    visit.wait_words(&["What happens next: ", "What to do: Test finds out"]);
    hec.come_up();
    agent.wait_state("hec", "active", PATIENCE);
    visit.wait_words(&["active"]);
}
