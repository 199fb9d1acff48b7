use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Key, event_line};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE};

use super::{Visit, first_token, refusing, wait_change};

const EVENTS: u32 = 40;
const REFUSED: u32 = 3;
const BAD: &str = "\"bad\":true";

#[test]
fn dead_letters_are_shown_with_the_reply_edited_sent_again_and_dropped_after_a_question() {
    let hec = refusing(BAD);
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let Some(visit) = Visit::begin(&agent, "dead letters") else { return };
    visit.log_in(&first_token(&agent));
    let mut session = agent.session();
    // Among others that are taken: a destination that refuses everything has wrong settings rather than dead letters.
    for count in 0..EVENTS {
        let mut line = String::from_utf8(event_line(Key { run: 1, tenant: 0, count }, 600)).unwrap();
        if count < REFUSED {
            line = line.replace("\"payload\":{", &format!("\"payload\":{{{BAD},"));
        }
        session.send(format!("{line}\n").as_bytes()).unwrap();
    }
    assert!(session.wait_acked(EVENTS.into(), PATIENCE));
    visit.click_words("hec");
    visit.wait_words(&["3 dead letters"]);
    visit.click_words("3 dead letters");
    visit.wait_words(&["3 dead letters of hec"]);

    // The first is shown with the reply, mended and sent again.
    visit.click("tbody a");
    visit.wait_words(&["What hec answered", "\"bad\": true", "The event"]);
    visit.click_words("Edit it");
    let event = visit.run("return document.getElementById('event').value");
    let event = event.as_str().expect("the event is in the form");
    visit.fill("#event", "{\"mine\":");
    visit.click_words("Keep the edited event");
    visit.wait_words(&["it is no event"]);
    assert_eq!(visit.run("return document.getElementById('event').value"), "{\"mine\":", "nothing typed is lost");
    visit.fill("#event", &event.replace("\"bad\":true,", ""));
    visit.click_words("Keep the edited event");
    visit.wait_words(&["The edited event is kept"]);
    visit.click_words("Send it again");
    visit.wait_words(&["They are sent again"]);
    hec.wait_distinct((EVENTS - REFUSED + 1) as usize, PATIENCE);
    wait_change(&agent, "deadletter.replay", "hec");
    visit.visit("/changes?of=hec");
    visit.wait_words(&["deadletter.edit", "deadletter.replay"]);

    // The others are dropped, and only after a question.
    visit.visit("/deadletters/hec");
    visit.wait_words(&["2 dead letters of hec"]);
    visit.click("tbody input");
    visit.click_words("Drop the ticked ones …");
    visit.wait_words(&["Drop 1 dead letter of hec?", "can't be undone"]);
    visit.click_words("Cancel");
    visit.wait_words(&["2 dead letters of hec"]);
    visit.click_words("Drop all 2 …");
    visit.click_words("Drop all dead letters for good");
    visit.wait_words(&["They are gone for good"]);
    visit.visit("/deadletters");
    visit.wait_words(&["There are none"]);
    agent.assert_books_balance();
}
