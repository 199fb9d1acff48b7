use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::hec::{Hec, TOKEN};
use scaidrive_tests::http::over_socket;
use serde_json::json;

use super::{Visit, first_token, wait_change};

#[test]
fn who_changed_what_of_whose_is_told_with_what_differs_and_for_one_destination_alone() {
    let hec = Hec::plain();
    let mut agent = Agent::with_hec(&hec);
    let made = json!({"name": "acme-splunk", "type": "splunk_hec", "url": hec.url(), "token": {"value": TOKEN},
        "tenants": ["tnt_acme"]});
    let made = over_socket(&agent.config.admin_socket, "POST", "/v1/destinations", made.to_string().as_bytes());
    assert_eq!(made.map(|reply| reply.status).ok(), Some(201));
    let Some(visit) = Visit::begin(&agent, "changes") else { return };
    visit.log_in(&first_token(&agent));
    wait_change(&agent, "destination.create", "acme-splunk");
    visit.visit("/changes");
    visit.wait_words(&["destination.create", "acme-splunk", "tnt_acme", "uid 0"]);
    visit.visit("/destinations/hec");
    visit.click_words("Test");
    visit.wait_words(&["Test of hec", "works"]);
    visit.visit("/destinations/acme-splunk");
    visit.click_words("Pause");
    visit.wait_words(&["Paused: nothing is sent"]);
    wait_change(&agent, "destination.test", "hec");
    wait_change(&agent, "destination.pause", "acme-splunk");
    visit.visit("/changes");
    visit.wait_words(&["destination.test", "ok: true", "destination.pause", "paused: false true", "token first-admin"]);
    visit.visit("/destinations/acme-splunk");
    visit.click_words("Who changed it");
    visit.wait_words(&["Changes of acme-splunk", "destination.pause", "destination.create"]);
    assert!(!visit.text("main").contains("destination.test"), "that was another one");
    assert!(!visit.text("body").contains(TOKEN));
    visit.click_words("All changes");
    visit.wait_words(&["destination.test"]);
    agent.stop();
}

#[test]
fn the_agents_health_is_told_and_told_anew() {
    let mut agent = Agent::new();
    agent.start();
    let Some(visit) = Visit::begin(&agent, "health") else { return };
    visit.log_in(&first_token(&agent));
    visit.click_words("Health");
    visit.wait_words(&["ready", "Events are taken.", "No line was refused.", "synced to the disk", "Shards"]);
    visit.run("window.neverLoadedAgain = true");
    let mut session = agent.session();
    session.send(b"this is no event\n").unwrap();
    visit.wait_words(&["Lines refused, which their producers were told"]);
    assert_eq!(visit.run("return window.neverLoadedAgain"), true, "the page was loaded again");
}
