use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::Workload;
use scaidrive_tests::scenario::{PATIENCE, write};
use scaidrive_tests::wait::wait_until;

use super::{Visit, first_token};

const EVENTS: u64 = 400;

#[test]
fn a_filter_is_tried_on_the_events_in_the_log_before_anything_is_saved() {
    let mut agent = Agent::new();
    agent.start();
    let Some(visit) = Visit::begin(&agent, "preview") else { return };
    write(&agent, Workload::new(1, 5, EVENTS));
    // What is told of the log is a moment old.
    wait_until("the events are told of", PATIENCE, || {
        agent.ask("/v1/status").1["log"]["events"].as_u64() > Some(EVENTS)
    });
    visit.log_in(&first_token(&agent));
    visit.visit("/new/splunk_hec");
    visit.fill("[name='filter.actions']", "file.*");
    visit.click_words("Preview the filter");
    visit.wait_words(&["would have sent", "Left out by: "]);
    let some = visit.text("[data-result] .lead");
    visit.fill("[name='filter.actions']", "nothing.*");
    visit.click_words("Preview the filter");
    visit.wait_words(&["would have sent 0 of"]);
    assert!(!some.contains("sent 0 of"), "{some}");
    visit.click_words("Some of the newest that would be left out");
    visit.wait_words(&["By actions:", "\"action\":"]);
    visit.visit("/");
    visit.wait_words(&["No destination is configured"]);
}
