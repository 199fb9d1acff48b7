use std::time::{Duration, Instant};

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Producer, Workload};
use scaidrive_tests::hec::{Hec, TOKEN};
use scaidrive_tests::scenario::PATIENCE;
use scaidrive_tests::wait::wait_until;

use super::{Visit, first_token};

/// The promise: from a fresh start to a test event that the receiver holds, through the page.
const FIRST_EVENT_WITHIN: Duration = Duration::from_secs(60);

/// What stands beside `name` among a destination's facts.
fn fact(visit: &Visit, name: &str) -> String {
    let script = format!(
        "return [...document.querySelectorAll('dt')].find(term => term.textContent === '{name}')
             ?.nextElementSibling.textContent ?? ''"
    );
    visit.run(&script).as_str().unwrap_or_default().to_owned()
}

/// Fills in what a Splunk destination must have.
fn fill_in(visit: &Visit, hec: &Hec, token: &str) {
    visit.fill("[name='name']", "splunk-prod");
    visit.fill("[name='url']", &hec.url());
    visit.fill("[name='token']", token);
}

#[test]
fn a_destination_is_made_tested_watched_changed_rested_sent_again_and_deleted_by_clicks_alone() {
    let hec = Hec::plain();
    let start = Instant::now();
    let mut agent = Agent::new();
    agent.start();
    let Some(visit) = Visit::begin(&agent, "the whole life") else { return };
    visit.log_in(&first_token(&agent));
    visit.click_words("New destination …");
    visit.click("a[href='/new/splunk_hec']");
    fill_in(&visit, &hec, "not-the-token");
    visit.click_words("Test");
    visit.wait_words(&["fails", "At the stage authentication: ", "What to do: "]);
    visit.fill("[name='token']", TOKEN);
    visit.click_words("Test");
    visit.wait_words(&["works", "Find the test event", "resolve", "authentication", "accepted"]);
    wait_until("the test event is in the receiver", PATIENCE, || !hec.arrivals().own("siem.test").is_empty());
    let took = start.elapsed();
    assert!(took < FIRST_EVENT_WITHIN, "the first test event came after {} s", took.as_secs());

    visit.click_words("Save");
    visit.wait_words(&["It is made and in force", "active"]);
    let flow = Workload { pause: Duration::from_millis(100), ..Workload::new(1, 5, u64::MAX) };
    let producer = Producer::start(&agent.config.socket, flow);
    visit.run("window.neverLoadedAgain = true");
    wait_until("the rate is seen", PATIENCE, || {
        let rate = fact(&visit, "Rate over 60 s");
        rate.contains("events/s") && !rate.starts_with("0 ")
    });
    visit.wait_words(&[
        "Events accepted a second. At most ",
        "Age of the oldest waiting event. At most ",
        "Events that wait. At most ",
    ]);
    assert!(visit.count("#rate-live svg[role=img] polyline") > 2, "the last hour is drawn");
    assert_eq!(visit.run("return window.neverLoadedAgain"), true, "the page was loaded again");

    visit.click_words("Change …");
    visit.fill("[name='filter.actions']", "file.*\nuser.*\nlink.*\nrole.*\nmalware.*");
    visit.click_words("Save");
    visit.wait_words(&["The change is in force", "malware.*"]);
    visit.click_words("Pause");
    visit.wait_words(&["paused", "Resume"]);
    visit.click_words("Resume");
    visit.wait_words(&["active", "Pause"]);
    producer.stop();
    let ledger = producer.finish(PATIENCE);
    hec.wait_distinct(ledger.acked.len(), PATIENCE);
    visit.click_words("Send again …");
    visit.click_words("Send again");
    visit.wait_words(&["The replay has begun", "over; "]);

    visit.click_words("Delete …");
    visit.wait_words(&["Delete splunk-prod?", "can't be undone"]);
    visit.click_words("Delete splunk-prod");
    visit.wait_words(&["It is deleted", "New destination …"]);
}
