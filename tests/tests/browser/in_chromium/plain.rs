use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::Workload;
use scaidrive_tests::hec::Hec;
use scaidrive_tests::scenario::{ONLY_GENERATED, write};

use super::{Visit, first_token};

#[test]
fn without_scripts_everything_is_there_and_works() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    write(&agent, Workload::new(1, 5, 300));
    let Some(visit) = Visit::begin_without_scripts(&agent, "no scripts") else { return };
    visit.log_in(&first_token(&agent));
    visit.wait_words(&["1 destination", "This page shows the state of"]);
    visit.click_words("hec");
    visit.wait_words(&["Books", "balances"]);
    visit.click_words("Pause");
    visit.wait_words(&["Paused: nothing is sent until it is resumed"]);
    visit.click_words("Resume");
    visit.wait_words(&["Resumed"]);
    visit.click_words("Test");
    visit.wait_words(&["works", "Find the test event"]);
    visit.click_words("Back to hec");
    visit.click_words("Send again …");
    visit.click_words("Send again");
    visit.wait_words(&["The replay has begun"]);
    visit.click_words("Log out");
    assert_eq!(visit.path(), "/login");
}
