//! `top`, answers in JSON, and the OpenAPI document, on an agent that runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{Place, assert_mistake, data, event, letter, talk};

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", talk(output));
    serde_json::from_str(&data(output)).unwrap_or_else(|problem| panic!("{problem}: {}", data(output)))
}

#[test]
fn whatever_changes_something_answers_in_json() {
    let place = Place::new();
    place.bury(&(1..=3).map(|n| letter(n, "bad ip")).collect::<Vec<_>>());
    let agent = place.start();
    let stream = "abababababababab";
    let paused = json(&place.run(&["destination", "pause", "splunk", "--json"]));
    assert_eq!((&paused["destination"], &paused["is_changed"]), (&"splunk".into(), &true.into()));
    let resumed = json(&place.run(&["destination", "resume", "splunk", "--json"]));
    assert_eq!((&resumed["before"], &resumed["after"]), (&paused["after"], &Value::Null));
    let replayed = json(&place.run(&["destination", "replay", "splunk", "--from", "10m", "--json"]));
    assert!(replayed["replay"]["from_ms"].is_i64(), "{replayed}");
    let edit = ["deadletter", "edit", "splunk", stream, "1", "--file", "-", "--json"];
    let edited = json(&place.run_with_input(&edit, &event(1, "t1")));
    assert!(edited["n"] == 1 && edited["edited_ms"].is_i64(), "{edited}");
    let resent = json(&place.run(&["deadletter", "replay", "splunk", "--all", "--json"]));
    assert_eq!((&resent["letters"], &resent["pause"]), (&3.into(), &Value::Null));
    for letters in [3, 0] {
        let dropped = json(&place.run(&["deadletter", "drop", "splunk", "--all", "--yes", "--json"]));
        assert_eq!((&dropped["destination"], &dropped["letters"]), (&"splunk".into(), &letters.into()));
    }
    assert_eq!(agent.stop().0, Some(0));
}

#[test]
fn top_prints_one_table_where_there_is_no_terminal_and_documents_until_it_is_stopped() {
    let place = Place::new();
    assert_mistake(&place.run(&["top"]), 69, "no agent answers", "admin.socket");
    let mut agent = place.start();
    for args in [&["top"][..], &["top", "--once"]] {
        let table = data(&place.run(args));
        assert!(table.starts_with("n1 (") && table.contains("\nDESTINATION  STATE"), "{table}");
        assert!(table.lines().any(|line| line.starts_with("splunk ")), "{table}");
    }
    assert_eq!(json(&place.run(&["top", "--once", "--json"]))["agent"]["node"], "n1");

    let mut top = place.command(&["top", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(top.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let first = next();
    assert!(next()["agent"]["uptime_ms"].as_u64() > first["agent"]["uptime_ms"].as_u64());
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    let mut said = BufReader::new(top.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("no agent answers"));
    let again = place.start();
    let pid = u64::from(again.child.id());
    while next()["agent"]["pid"].as_u64() != Some(pid) {}
    top.kill().unwrap();
    top.wait().unwrap();
    assert_eq!(again.stop().0, Some(0));
}

/// A command on a terminal of its own, which `script` makes; what is written goes in as keys.
struct OnTerminal {
    child: Child,
}

impl OnTerminal {
    fn start(place: &Place, args: &str) -> OnTerminal {
        let (program, config) = (env!("CARGO_BIN_EXE_scaidrive-siem"), place.text("agent.toml"));
        let line = format!("stty cols 120 rows 30; exec {program} {args} --config {config}");
        let child = Command::new("script")
            .args(["-qfec", &line, &place.text("typescript")])
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        OnTerminal { child: child.expect("util-linux, which has `script`, is on every Linux") }
    }

    fn press(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the terminal has been sent `words`.
    #[track_caller]
    fn wait_for(&self, place: &Place, words: &str) {
        let deadline = Instant::now() + Duration::from_secs(15);
        let shown = || {
            let mut text = Vec::new();
            let _ = std::fs::File::open(place.path("typescript")).map(|mut file| file.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        };
        while !shown().contains(words) {
            assert!(Instant::now() < deadline, "the terminal never showed {words:?}: {:?}", shown());
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn top_on_a_terminal_shows_an_agent_that_goes_away_and_gives_the_terminal_back() {
    let place = Place::new();
    let mut agent = place.start();
    let mut top = OnTerminal::start(&place, "top");
    top.wait_for(&place, "\x1b[?1049h");
    top.wait_for(&place, "splunk");
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    top.wait_for(&place, "no agent answers on ");
    top.press("q");
    top.wait_for(&place, "\x1b[?1049l");
    assert!(top.child.wait().unwrap().success());
}

#[test]
fn the_openapi_document_is_had_at_the_address() {
    let place = Place::new();
    let agent = place.start();
    let reply = place.get("/openapi.json").unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{head}");
    let document: Value = serde_json::from_str(body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/destinations"]["get"].is_object());
    assert_eq!(agent.stop().0, Some(0));
}
