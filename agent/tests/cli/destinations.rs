//! What an operator does to destinations and their dead letters.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{Place, assert_mistake, data, event, letter, talk};

/// What the audit trail says of admin actions, in order.
fn trail(place: &Place) -> Vec<Value> {
    let log = data(&place.run(&["log", "export"]));
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["action"] == "siem.config_changed").map(|event| event["payload"].clone()).collect()
}

/// The destination's status, once `is_it` holds.
#[track_caller]
fn shown(place: &Place, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let shown = place.run(&["destination", "show", name, "--json"]);
        let whole: Value = serde_json::from_str(&data(&shown)).unwrap_or_default();
        if is_it(&whole["status"]) {
            return whole;
        }
        assert!(Instant::now() < deadline, "never so: {whole} {}", talk(&shown));
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn without_an_agent_only_templates_are_to_be_had() {
    let place = Place::new();
    for args in [
        &["destination", "list"][..],
        &["destination", "show", "splunk"],
        &["destination", "pause", "splunk"],
        &["destination", "drain", "splunk"],
        &["destination", "resume", "splunk"],
        &["destination", "replay", "splunk", "--from", "10m"],
        &["deadletter", "replay", "splunk", "--all"],
        &["deadletter", "drop", "splunk", "--all", "--yes"],
        &["deadletter", "edit", "splunk", "s", "1", "--file", "/dev/null"],
    ] {
        assert_mistake(&place.run(args), 69, "no agent answers", "admin.socket in ");
    }
    let template = place.run(&["destination", "template", "splunk"]);
    assert_eq!((template.status.code(), data(&template).as_str()), (Some(0), ""));
    assert!(talk(&template).starts_with("nothing has to be set up for splunk: "), "{}", talk(&template));
    place.configure(
        "[[destination]]\nname = \"elastic\"\ntype = \"elastic\"\nurl = \"http://127.0.0.1:9\"\n\
         api_key = { file = \"token\" }\n",
    );
    let template = place.run(&["destination", "template", "elastic"]);
    assert!(serde_json::from_str::<Value>(&data(&template)).unwrap()["index_patterns"].is_array());
    let unknown = place.run(&["destination", "template", "elastik"]);
    assert_mistake(&unknown, 64, "there is no destination \"elastik\"", "agent.toml");
    assert!(talk(&unknown).ends_with("do:    did you mean \"elastic\"?\n"), "{}", talk(&unknown));
}

#[test]
fn a_test_needs_no_agent_and_says_which_stage_fails_and_what_to_do() {
    let place = Place::new();
    let failed = place.run(&["destination", "test", "splunk"]);
    assert_eq!(failed.status.code(), Some(1), "{}", talk(&failed));
    let text = data(&failed);
    assert!(text.starts_with("splunk (splunk_hec, http://127.0.0.1:9) fails at connect, after "), "{text}");
    for words in [
        "  resolve         ok ",
        "  connect         failed ",
        "nobody listens at 127.0.0.1:9",
        "(connection_refused)\ndo      ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let report: Value = serde_json::from_str(&data(&place.run(&["destination", "test", "splunk", "--json"]))).unwrap();
    assert_eq!((&report["ok"], &report["failure"]["code"]), (&false.into(), &"connection_refused".into()));
    assert_eq!(report["stages"].as_array().unwrap().len(), 10);
    let unknown = place.run(&["destination", "test", "splnk"]);
    assert_mistake(&unknown, 64, "there is no destination \"splnk\"", "agent.toml");

    fs::remove_file(place.path("token")).unwrap();
    let unusable = place.run(&["destination", "test", "splunk"]);
    assert_eq!(unusable.status.code(), Some(78), "{}", talk(&unusable));
    assert!(data(&unusable).contains("the file that token names is not there (secret_missing)"), "{}", data(&unusable));
}

#[test]
fn settings_that_are_in_no_configuration_can_be_tested_from_a_file_and_from_standard_input() {
    let place = Place::new();
    let new =
        "[[destination]]\nname = \"new\"\ntype = \"syslog\"\ntransport = \"tcp\"\nhost = \"127.0.0.1\"\nport = 9\n";
    fs::write(place.path("new.toml"), new).unwrap();
    let file = place.text("new.toml");
    let failed = place.run(&["destination", "test", "--file", &file, "--json"]);
    let report: Value = serde_json::from_str(&data(&failed)).unwrap();
    assert_eq!((failed.status.code(), &report["failure"]["code"]), (Some(1), &"connection_refused".into()));
    let failed = place.run_with_input(&["destination", "test", "--file", "-"], new);
    assert!(data(&failed).starts_with("new (syslog, tcp://127.0.0.1:9) fails at connect"), "{}", data(&failed));
    let empty = place.run_with_input(&["destination", "test", "--file", "-"], "");
    assert_mistake(&empty, 64, "there is no destination in it", "-");
}

#[test]
fn a_running_agent_notes_a_test_in_the_audit_trail() {
    let place = Place::new();
    let agent = place.start();
    assert_eq!(place.run(&["destination", "test", "splunk"]).status.code(), Some(1));
    let deadline = Instant::now() + Duration::from_secs(15);
    let noted = loop {
        let noted = trail(&place).into_iter().find(|event| event["what"] == "destination.test");
        if let Some(noted) = noted {
            break noted;
        }
        assert!(Instant::now() < deadline, "the audit trail says nothing");
        sleep(Duration::from_millis(50));
    };
    assert_eq!((&noted["target"], &noted["after"]["code"]), (&"splunk".into(), &"connection_refused".into()));
    assert!(noted["who"].as_str().unwrap().starts_with("uid "), "{noted}");
    assert_eq!(agent.stop().0, Some(0));
}

#[test]
fn destinations_are_listed_and_shown_without_their_secrets() {
    let place = Place::new();
    let agent = place.start();
    agent.wait_for("(was active): cannot connect");
    let list = place.run(&["destination", "list"]);
    let lines: Vec<String> = data(&list).lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("DESTINATION  TYPE") && lines[0].ends_with("LAST SUCCESS"), "{lines:?}");
    assert!(lines[1].starts_with("splunk       splunk_hec  ") && lines[1].ends_with("none yet"), "{lines:?}");
    let json: Value = serde_json::from_str(&data(&place.run(&["destination", "list", "--json"]))).unwrap();
    assert_eq!((&json[0]["name"], &json[0]["pause"]), (&"splunk".into(), &Value::Null));

    let whole = shown(&place, "splunk", |status| status["streams"][0].is_string());
    assert_eq!(
        (&whole["settings"]["type"], &whole["settings"]["url"]),
        (&"splunk_hec".into(), &"http://127.0.0.1:9".into())
    );
    let show = data(&place.run(&["destination", "show", "splunk"]));
    for words in ["cannot connect", "books     ", "letters   0 kept", "streams   ", "token                    file "] {
        assert!(show.contains(words), "{words}: {show}");
    }
    assert!(!show.contains("hush") && !whole.to_string().contains("hush"));
    for wish in ["show", "pause", "drain", "resume", "replay"] {
        let unknown = place.run(&["destination", wish, "splnk"]);
        assert_mistake(&unknown, 64, "there is no destination \"splnk\"", "admin.sock");
        assert!(talk(&unknown).ends_with("do:    did you mean \"splunk\"?\n"), "{}", talk(&unknown));
    }
    assert_eq!(agent.stop().0, Some(0));
}

#[test]
fn a_pause_outlives_a_kill_until_it_is_ended_and_the_audit_trail_says_who_did_both() {
    let place = Place::new();
    let mut agent = place.start();
    let paused = place.run(&["destination", "pause", "splunk"]);
    assert_eq!(paused.status.code(), Some(0), "{}", talk(&paused));
    assert!(data(&paused).starts_with("splunk is paused, also over restarts"), "{}", data(&paused));
    assert!(talk(&paused).contains("wait in the log for 30 m (buffer.window)"), "{}", talk(&paused));
    let before = shown(&place, "splunk", |status| status["state"] == "paused")["status"]["pause"].clone();
    assert!(before["who"].as_str().unwrap().starts_with("uid "), "{before}");
    let mode = fs::metadata(place.path("state/paused.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The event is in the log a moment after the answer.
    let deadline = Instant::now() + Duration::from_secs(15);
    while trail(&place).is_empty() {
        assert!(Instant::now() < deadline, "the audit trail says nothing");
        sleep(Duration::from_millis(50));
    }
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();

    let agent = place.start();
    let after = shown(&place, "splunk", |status| status["state"] == "paused");
    assert_eq!((&after["status"]["pause"], &after["status"]["since_ms"]), (&before, &before["since_ms"]));
    let again = place.run(&["destination", "pause", "splunk"]);
    assert!(data(&again).starts_with("splunk is paused already: by uid "), "{}", data(&again));
    let status = data(&place.run(&["status"]));
    assert!(
        status.contains("has paused it") && status.contains("`scaidrive-siem destination resume splunk`"),
        "{status}"
    );
    let resumed = place.run(&["destination", "resume", "splunk"]);
    assert!(data(&resumed).starts_with("splunk goes on; uid "), "{}", data(&resumed));
    shown(&place, "splunk", |status| status["state"] != "paused" && status["pause"].is_null());
    assert_eq!(data(&place.run(&["destination", "resume", "splunk"])), "splunk was not paused\n");

    // It takes nothing, so it can't drain.
    let drains = place.run(&["destination", "drain", "splunk"]);
    assert!(data(&drains).starts_with("splunk drains: it is sent what is in the log now"), "{}", data(&drains));
    assert!(talk(&drains).starts_with("later events wait in the log for 30 m"), "{}", talk(&drains));
    let whole = shown(&place, "splunk", |status| status["drain"]["is_over"] == false);
    assert!(whole["status"]["cause"].as_str().unwrap().contains(" drains it"), "{whole}");
    assert!(data(&place.run(&["destination", "drain", "splunk"])).starts_with("splunk drains already: by uid "));
    assert!(data(&place.run(&["destination", "pause", "splunk"])).starts_with("splunk is paused, also over restarts"));
    assert_eq!(agent.stop().0, Some(0));

    let trail = trail(&place);
    let said: Vec<_> = trail.iter().map(|said| (said["what"].as_str().unwrap(), said["target"].as_str())).collect();
    let wishes = ["pause", "resume", "drain", "pause"].map(|wish| format!("destination.{wish}"));
    let expected: Vec<_> = wishes.iter().map(|what| (what.as_str(), Some("splunk"))).collect();
    assert_eq!(said, expected, "{trail:?}");
    assert_eq!((&trail[2]["after"]["drains"], &trail[3]["before"]["drains"]), (&true.into(), &true.into()));
    assert_eq!((&trail[0]["who"], &trail[0]["via"]), (&before["who"], &"cli".into()));
    assert_eq!((&trail[0]["before"]["paused"], &trail[0]["after"]["paused"]), (&false.into(), &true.into()));
    assert_eq!((&trail[1]["before"]["by"], &trail[1]["after"]["paused"]), (&before["who"], &false.into()));
}

#[test]
fn a_damaged_note_of_what_is_paused_keeps_no_agent_from_starting() {
    let place = Place::new();
    fs::create_dir(place.path("state")).unwrap();
    fs::write(place.path("state/paused.json"), "{ torn").unwrap();
    let agent = place.start();
    agent.wait_for("can't be read, so no destination is paused");
    assert_eq!(fs::read_to_string(place.path("state/paused.json.damaged")).unwrap(), "{ torn");
    assert_eq!(place.run(&["destination", "pause", "splunk"]).status.code(), Some(0));
    assert_eq!(agent.stop().0, Some(0));
}

#[test]
fn a_pause_is_kept_over_reloads_and_forgotten_with_its_destination() {
    let place = Place::new();
    let second = "[[destination]]\nname = \"second\"\ntype = \"splunk_hec\"\nurl = \"http://127.0.0.1:9\"\n\
                  token = { file = \"token\" }\n";
    place.configure(second);
    let agent = place.start();
    for name in ["splunk", "second"] {
        assert_eq!(place.run(&["destination", "pause", name]).status.code(), Some(0));
    }
    place.configure("ordered = true");
    agent.signal("HUP");
    agent.wait_for("destination \"second\" removed");
    agent.wait_for("ordered from false to true");
    shown(&place, "splunk", |status| status["state"] == "paused");
    place.configure(second);
    agent.signal("HUP");
    agent.wait_for("destination \"second\" added");
    shown(&place, "second", |status| status["pause"].is_null() && status["streams"][0].is_string());
    assert_eq!(agent.stop().0, Some(0));
}

#[test]
fn a_dead_letter_is_edited_into_a_valid_event_that_is_still_the_same() {
    let place = Place::new();
    place.bury(&[letter(1, "bad ip"), letter(2, "bad ip")]);
    let agent = place.start();
    let stream = "abababababababab";
    let edit = |event: &str| place.run_with_input(&["deadletter", "edit", "splunk", stream, "2", "--file", "-"], event);
    assert_mistake(&edit("{}"), 1, "it is no event: ", "admin.sock");
    assert_mistake(&edit(&event(3, "t1")), 1, "its event_id is \"e3\", and the letter's is \"e2\"", "admin.sock");
    assert_mistake(&edit(&event(2, "t2")), 1, "its tenant_id is \"t2\", and the letter's is \"t1\"", "admin.sock");
    let missing = place.run(&["deadletter", "edit", "splunk", stream, "9", "--file", "/dev/null"]);
    assert_mistake(&missing, 64, "has no dead letter for event 9", "admin.sock");

    let better = event(2, "t1").replace("\"info\"", "\"notice\"");
    let edited = edit(&format!("{better}\n"));
    assert_eq!(edited.status.code(), Some(0), "{}", talk(&edited));
    assert!(data(&edited).starts_with("event 2 of stream ") && data(&edited).ends_with("its number as before\n"));
    let show = place.run(&["deadletter", "show", "splunk", stream, "2"]);
    assert_eq!(data(&show), format!("{better}\n"));
    assert!(talk(&show).contains("edited       20"), "{}", talk(&show));
    let list = data(&place.run(&["deadletter", "list"]));
    assert_eq!(list.lines().map(|line| line.contains("  yes  ")).collect::<Vec<_>>(), [false, false, true], "{list}");
    assert_eq!(agent.stop().0, Some(0));
    assert_eq!(data(&place.run(&["deadletter", "show", "splunk", stream, "2"])), format!("{better}\n"));

    let trail = trail(&place);
    let [said] = trail.as_slice() else { panic!("{trail:?}") };
    assert_eq!((&said["what"], &said["before"]["event_id"]), (&"deadletter.edit".into(), &"e2".into()));
    assert_eq!((&said["before"]["n"], &said["after"]["n"]), (&2.into(), &2.into()));
    assert_ne!(said["before"]["sha256"], said["after"]["sha256"]);
    assert!(!said.to_string().contains("file.download"), "what the event says is not for this trail: {said}");
}

#[test]
fn a_replay_begins_at_a_moment_that_was_and_the_audit_trail_says_who_asked_for_it() {
    let place = Place::new();
    let agent = place.start();
    let replay = |from: &str| place.run(&["destination", "replay", "splunk", "--from", from]);
    for from in ["monday", "10", "2026-05-12"] {
        assert_mistake(
            &replay(from),
            64,
            &format!("--from is \"{from}\", which is neither a time nor a span"),
            "command line",
        );
    }
    assert_mistake(&replay("2999-01-01T00:00:00Z"), 64, "a moment that has not come yet", "admin.sock");

    // Nothing was ever delivered to it.
    let replayed = replay("2026-05-12T14:00:00Z");
    assert_eq!(replayed.status.code(), Some(0), "{}", talk(&replayed));
    let nothing = "splunk has settled nothing yet of what was accepted since 2026-05-12T14:00:00.000Z, so nothing is sent again\n";
    assert_eq!((data(&replayed).as_str(), talk(&replayed).as_str()), (nothing, ""));
    let shown = shown(&place, "splunk", |status| status["replay"]["state"] == "over");
    assert_eq!(shown["status"]["replay"]["from_ms"], 1_778_594_400_000_i64);
    for command in [&["destination", "show", "splunk"][..], &["status"]] {
        let text = data(&place.run(command));
        assert!(text.contains("what was accepted since 2026-05-12T14:00:00.000Z: over; 0 accepted"), "{text}");
    }
    assert_eq!(place.run(&["destination", "replay", "splunk"]).status.code(), Some(0), "the last one is over");
    assert_eq!(agent.stop().0, Some(0));

    let trail = trail(&place);
    let [since, whole] = trail.as_slice() else { panic!("{trail:?}") };
    assert_eq!((&since["what"], &since["target"]), (&"destination.replay".into(), &"splunk".into()));
    assert!(since["who"].as_str().unwrap().starts_with("uid "), "{since}");
    assert_eq!((&since["before"], &since["after"]["from"]), (&Value::Null, &"2026-05-12T14:00:00.000Z".into()));
    assert_eq!((&whole["before"]["replay"], &whole["after"]["from"]), (&"over".into(), &Value::Null));
}

#[test]
fn dead_letters_are_sent_again_by_name_or_all_and_stay_until_they_are_taken() {
    let place = Place::new();
    place.bury(&(1..=5).map(|n| letter(n, "bad ip")).collect::<Vec<_>>());
    let agent = place.start();
    let stream = "abababababababab";
    let missing = place.run(&["deadletter", "replay", "splunk", stream, "2", "9"]);
    assert_mistake(&missing, 64, "has no dead letter for event 9", "admin.sock");
    let unknown = place.run(&["deadletter", "replay", "splnk", "--all"]);
    assert_mistake(&unknown, 64, "there is no destination \"splnk\"", "admin.sock");
    assert!(talk(&unknown).ends_with("do:    did you mean \"splunk\"?\n"), "{}", talk(&unknown));
    assert_mistake(&place.run(&["deadletter", "replay", "splunk"]), 64, "something is missing", "the command line");

    let resent = place.run(&["deadletter", "replay", "splunk", stream, "2", "4", "2"]);
    assert_eq!(
        data(&resent),
        "2 events that splunk refused go again, each under its own number\n",
        "{}",
        talk(&resent)
    );
    assert!(talk(&resent).contains("`scaidrive-siem deadletter list splunk` shows what is left"), "{}", talk(&resent));
    let all = place.run(&["deadletter", "replay", "splunk", "--all"]);
    assert!(data(&all).starts_with("5 events "), "{}", data(&all));
    assert_eq!(agent.stop().0, Some(0));
    let list = place.run(&["deadletter", "list", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&data(&list)).unwrap()["total"], 5, "nobody has taken them");

    let trail = trail(&place);
    let [named, all] = trail.as_slice() else { panic!("{trail:?}") };
    let ranges = |said: &Value| said["after"]["streams"][0]["ranges"].to_string();
    assert_eq!((&named["what"], &named["before"]), (&"deadletter.replay".into(), &Value::Null));
    assert_eq!(ranges(named), r#"[{"from_n":2,"to_n":2},{"from_n":4,"to_n":4}]"#);
    assert_eq!((&all["after"]["dead_letters"], ranges(all).as_str()), (&5.into(), r#"[{"from_n":1,"to_n":5}]"#));
}

#[test]
fn dead_letters_are_dropped_for_good_only_by_somebody_who_says_so() {
    let place = Place::new();
    place.bury(&(1..=5).map(|n| letter(n, "bad ip")).collect::<Vec<_>>());
    let agent = place.start();
    let stream = "abababababababab";
    let unasked = place.run(&["deadletter", "drop", "splunk", "--all"]);
    assert_mistake(&unasked, 64, "nobody can be asked: 5 events that splunk refused will be lost for good", "terminal");
    assert!(talk(&unasked).contains("add --yes"), "{}", talk(&unasked));
    let missing = place.run(&["deadletter", "drop", "splunk", stream, "2", "9", "--yes"]);
    assert_mistake(&missing, 64, "has no dead letter for event 9", "admin.sock");
    let unknown = place.run(&["deadletter", "drop", "splnk", "--all", "--yes"]);
    assert_mistake(&unknown, 64, "there is no destination \"splnk\"", "admin.sock");
    let count = || {
        let list = place.run(&["deadletter", "list", "--json"]);
        serde_json::from_str::<Value>(&data(&list)).unwrap()["total"].clone()
    };
    assert_eq!(count(), 5, "nothing is dropped when one of them is not there");

    let dropped = place.run(&["deadletter", "drop", "splunk", stream, "2", "4", "2", "--yes"]);
    assert_eq!(data(&dropped), "2 events of splunk dropped for good\n", "{}", talk(&dropped));
    assert_eq!(count(), 3);
    let dropped = place.run(&["deadletter", "drop", "splunk", "--all", "--yes"]);
    assert_eq!(data(&dropped), "3 events of splunk dropped for good\n", "{}", talk(&dropped));
    let nothing = place.run(&["deadletter", "drop", "splunk", "--all", "--yes"]);
    assert_eq!((nothing.status.code(), talk(&nothing).as_str()), (Some(0), "splunk has no dead letters\n"));
    assert_eq!(agent.stop().0, Some(0));
    assert_eq!(count(), 0);

    let trail = trail(&place);
    let [named, all] = trail.as_slice() else { panic!("{trail:?}") };
    let ranges = |said: &Value| said["before"]["streams"][0]["ranges"].to_string();
    assert_eq!((&named["what"], &named["after"]), (&"deadletter.drop".into(), &Value::Null));
    assert_eq!(ranges(named), r#"[{"from_n":2,"to_n":2},{"from_n":4,"to_n":4}]"#);
    assert_eq!((&all["before"]["dead_letters"], ranges(all).matches("from_n").count()), (&3.into(), 3));
}
