use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Key, Workload};
use scaidrive_tests::scenario::{write, write_one};

use super::{Visit, first_token};

/// An agent, and a browser that watches its events.
fn watching(agent: &Agent, test: &str, path: &str) -> Option<Visit> {
    let visit = Visit::begin(agent, test)?;
    visit.visit(path);
    visit.log_in_here(&first_token(agent));
    visit.wait_words(&["Watching: "]);
    Some(visit)
}

#[test]
fn events_appear_as_they_come_those_alone_that_are_wished_and_each_opens_to_the_whole_of_it() {
    let mut agent = Agent::new();
    agent.start();
    let Some(visit) = watching(&agent, "tail", "/events?action=user.*") else { return };
    assert_eq!(visit.path(), "/events?action=user.*", "the login has led back");
    write(&agent, Workload::new(1, 5, 50));
    visit.wait_words(&["user."]);
    assert!(!visit.text("#tail").contains("file."), "{}", visit.text("#tail"));
    visit.click("#tail summary");
    visit.wait_words(&["\"event_id\": \"gen-"]);
}

#[test]
fn a_tail_is_paused_by_the_keyboard_says_how_many_came_since_and_shows_them_then() {
    let mut agent = Agent::new();
    agent.start();
    let Some(visit) = watching(&agent, "paused tail", "/events?tenant=tnt-00000") else { return };
    let event = |count| write_one(&agent, Key { run: 1, tenant: 0, count });
    event(0);
    visit.wait_words(&["tnt-00000"]);
    visit.run("document.getElementById('tail-pause').focus()");
    visit.press(" ");
    visit.wait_words(&["Paused.", "Go on"]);
    (1..4).for_each(event);
    visit.wait_words(&["3 arrived since."]);
    assert_eq!(visit.count("#tail li"), 1, "nothing moves");
    visit.press(" ");
    visit.wait_words(&["Watching: ", "Pause"]);
    assert_eq!(visit.count("#tail li"), 4);
    assert!(!visit.text("main").contains("arrived since"));
}

#[test]
fn a_tail_tells_of_an_agent_that_is_gone_and_after_the_next_login_goes_on_where_it_was() {
    let mut agent = Agent::new();
    agent.start();
    let Some(visit) = watching(&agent, "tail again", "/events?severity=info") else { return };
    agent.stop();
    visit.wait_words(&["Connection lost"]);
    agent.start();
    // Sessions end with the agent.
    visit.wait_words(&["Log in"]);
    visit.log_in_here(&first_token(&agent));
    visit.wait_words(&["Watching: "]);
    assert_eq!(visit.path(), "/events?severity=info");
    write(&agent, Workload::new(1, 5, 50));
    visit.wait_words(&["info · tnt-"]);
}

#[test]
fn a_tail_without_room_says_so_begins_when_there_is_some_and_after_a_gap_says_that_events_may_be_missing() {
    let mut agent = Agent::new();
    agent.start();
    let others: Vec<TcpStream> = (0..SHARE).map(|_| watcher(&agent)).collect();
    let Some(visit) = Visit::begin(&agent, "full tail") else { return };
    visit.visit("/events");
    visit.log_in_here(&first_token(&agent));
    visit.wait_words(&["you have as many live tails as you may have at once: 4; trying again."]);
    visit.run(
        "const Source = EventSource;
         window.EventSource = class extends Source { constructor(from) { super(from); window.source = this; } };",
    );
    drop(others);
    visit.wait_words(&["Watching: "]);
    assert_eq!(visit.count("#tail li"), 0, "nothing is missing yet");
    // As a browser opens it again by itself.
    visit.run("source.dispatchEvent(new Event('open'))");
    visit.wait_words(&["Some events may be missing here."]);
}

/// The same person, who watches from elsewhere.
fn watcher(agent: &Agent) -> TcpStream {
    let (address, token) = (agent.config.admin, first_token(agent));
    let mut stream = TcpStream::connect(address).expect("the agent listens");
    let head = format!("GET /v1/tail HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("the system knows timeouts");
    stream.write_all(head.as_bytes()).expect("the agent reads");
    let mut lines = BufReader::new(&stream).lines();
    assert!(lines.any(|line| line.expect("an answer in time").starts_with(": watching")), "no stream");
    stream
}

/// How many live tails one person may have.
const SHARE: usize = 4;
