use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::chromium::{ENTER, TAB};
use scaidrive_tests::hec::{Hec, TOKEN};
use scaidrive_tests::scenario::PATIENCE;
use scaidrive_tests::wait::wait_until;

use super::{Visit, first_token};

/// More stops than any page has.
const STOPS_MAX: usize = 120;

/// Presses Tab until what has the focus is the element that the selector names, or says these words.
#[track_caller]
fn tab_to(visit: &Visit, wanted: &str) {
    let script = format!(
        "const here = document.activeElement, wanted = {wanted:?};
         return /^[[#]/.test(wanted) ? here.matches(wanted) : here.textContent.trim() === wanted"
    );
    for _ in 0..STOPS_MAX {
        if visit.run(&script) == true {
            return;
        }
        visit.press(&TAB.to_string());
    }
    panic!("Tab does not lead to {wanted} on {}", visit.url());
}

/// Whether what has the focus shows it.
fn shows_focus(visit: &Visit) -> bool {
    visit.run("return getComputedStyle(document.activeElement).outlineStyle !== 'none'") == true
}

#[test]
fn whoever_has_a_keyboard_alone_makes_tests_and_watches_a_destination() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.start();
    let Some(visit) = Visit::begin(&agent, "keyboard") else { return };
    visit.visit("/login");
    tab_to(&visit, "#token");
    visit.press(&format!("{}{ENTER}", first_token(&agent)));
    visit.wait_words(&["No destination is configured"]);
    visit.press(&TAB.to_string());
    assert_eq!(visit.run("return document.activeElement.textContent"), "Skip to the content", "it comes first");
    visit.press(&ENTER.to_string());
    tab_to(&visit, "New destination …");
    assert!(shows_focus(&visit));
    visit.press(&ENTER.to_string());
    visit.wait_words(&["Which SIEM is to get the events?"]);
    tab_to(&visit, "[href='/new/splunk_hec']");
    visit.press(&ENTER.to_string());
    visit.wait_words(&["New destination: Splunk"]);
    for (field, text) in [("[name=name]", "splunk-prod"), ("[name=url]", &hec.url()), ("[name=token]", TOKEN)] {
        tab_to(&visit, field);
        assert!(shows_focus(&visit), "{field}");
        visit.press(text);
    }
    tab_to(&visit, "Test");
    visit.press(&ENTER.to_string());
    visit.wait_words(&["works", "Find the test event"]);
    wait_until("the reader is led to what was found", PATIENCE, || {
        visit.run("return document.activeElement.id") == "result"
    });
    tab_to(&visit, "Save");
    visit.press(&ENTER.to_string());
    visit.wait_words(&["It is made and in force", "splunk-prod"]);
    assert!(visit.path().starts_with("/destinations/splunk-prod"));
    tab_to(&visit, "Pause");
    visit.press(&ENTER.to_string());
    visit.wait_words(&["Paused: nothing is sent until it is resumed"]);
}
