//! Destinations made over the API: they come, change and go while others run, they outlive a restart, and nobody is told
//! their secrets.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::Workload;
use scaidrive_tests::hec::{Fault, Hec, TOKEN, reply};
use scaidrive_tests::http::{HttpReply, request_on_socket};
use scaidrive_tests::receiver::Request;
use scaidrive_tests::scenario::{PATIENCE, write};
use scaidrive_tests::wait::wait_until;
use serde_json::{Value, json};

/// A secret that stands nowhere but where it belongs.
const PLANTED: &str = "planted-4c1f6d0e-secret";

fn ask(agent: &Agent, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> HttpReply {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    request_on_socket(&agent.config.admin_socket, method, path, headers, &body).expect("the agent answers")
}

#[track_caller]
fn done(reply: &HttpReply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

const ANY: &[(&str, &str)] = &[("If-Match", "*")];

fn hec(name: &str, hec: &Hec, token: &str) -> Value {
    json!({"name": name, "type": "splunk_hec", "url": hec.url(), "token": {"value": token}})
}

/// What may be asked of a destination named `planted`, and of the agent that has it.
const ASKED: [&str; 19] = [
    "/v1/destinations",
    "/v1/destinations/planted",
    "/v1/destinations/planted/settings",
    "/v1/destinations/planted/history",
    "/v1/destinations/planted/episodes",
    "/v1/status",
    "/v1/history",
    "/v1/deadletters",
    "/v1/agent-events",
    "/v1/tokens",
    "/metrics",
    "/status",
    "/",
    "/destinations/planted",
    "/destinations/planted/edit",
    "/events",
    "/deadletters",
    "/changes",
    "/health",
];

/// Destinations of the test below, and how many of them have something to send.
const MANY: usize = 200;
const BUSY: usize = 6;
/// The one that is changed, one of those.
const CHANGED: &str = "s3";

/// What the agent tells of every destination, by its name: the streams it has, and what it has delivered.
fn told(agent: &Agent) -> BTreeMap<String, (Value, u64)> {
    let (_, status) = agent.ask("/v1/status");
    let one = |known: &Value| {
        let delivered = known["books"]["delivered"].as_u64().unwrap_or_default();
        (known["name"].as_str().unwrap_or_default().to_owned(), (known["streams"].clone(), delivered))
    };
    status["destinations"].as_array().into_iter().flatten().map(one).collect()
}

#[test]
fn one_of_two_hundred_is_changed_and_the_others_keep_their_connections_and_their_counters() {
    let receiver = Hec::counting();
    let mut agent = Agent::new();
    agent.start();
    let one = |number: usize| {
        let name = format!("s{number}");
        if number >= BUSY {
            // For a tenant that nothing happens to.
            return json!({"name": name, "type": "https", "url": receiver.url(), "tenants": ["tnt-idle"]});
        }
        let mut settings = hec(&name, &receiver, TOKEN);
        // One connection each, however quick the machine.
        settings["in_flight"] = json!(1);
        settings
    };
    let set = json!({"destinations": (0..MANY).map(one).collect::<Vec<_>>()});
    let dry = done(&ask(&agent, "PUT", "/v1/destinations?dry_run=true", &[], &set), 200);
    assert_eq!(dry["created"].as_array().map(Vec::len), Some(MANY));
    let made = ask(&agent, "PUT", "/v1/destinations", &[], &set);
    assert_eq!(done(&made, 200), dry, "a dry run says what comes of it, and does nothing");
    let again = ask(&agent, "PUT", "/v1/destinations", &[("If-Match", made.header("etag").unwrap())], &set);
    assert_eq!(done(&again, 200), json!({"created": [], "changed": [], "deleted": [], "warnings": []}));
    write(&agent, Workload::new(1, 5, 100));
    // What the agent says of itself goes to them too.
    let have_since = |before: &BTreeMap<String, (Value, u64)>| {
        let told = told(&agent);
        let mut busy = (0..BUSY).map(|number| format!("s{number}")).filter(|name| name != CHANGED);
        told.len() == MANY && busy.all(|name| told[&name].1 >= before.get(&name).map_or(0, |known| known.1) + 100)
    };
    let delivered = |name: &str| told(&agent)[name].1;
    let have_events = || have_since(&BTreeMap::new()) && delivered(CHANGED) >= 100;
    wait_until("those for all tenants have their events", PATIENCE, have_events);
    let (connections, before) = (receiver.connection_count(), told(&agent));

    let path = format!("/v1/destinations/{CHANGED}");
    let shown = ask(&agent, "GET", &path, &[], &Value::Null);
    let tag = shown.header("etag").unwrap().to_owned();
    let mut settings = done(&shown, 200)["settings_json"].clone();
    settings["batch"] = json!({"linger": "10ms"});
    let unseen = ask(&agent, "PUT", &path, &[], &settings);
    assert_eq!(unseen.status, 428);
    let changed = ask(&agent, "PUT", &path, &[("If-Match", &tag)], &settings);
    assert_eq!(done(&changed, 200)["changed"], json!([CHANGED]));
    let stale = ask(&agent, "PUT", &path, &[("If-Match", &tag)], &settings);
    assert_eq!(stale.status, 412);
    settings["batch"]["linger"] = json!("10 parsecs");
    let refused = done(&ask(&agent, "PUT", &path, ANY, &settings), 422);
    assert_eq!(
        (&refused["errors"][0]["key"], &refused["errors"][0]["destination"]),
        (&json!("batch.linger"), &json!(CHANGED))
    );

    write(&agent, Workload::new(2, 5, 100));
    wait_until("they have the new ones too", PATIENCE, || have_since(&before));
    let after = told(&agent);
    wait_until("the changed one goes on", PATIENCE, || delivered(CHANGED) >= 100);
    for (name, (streams, delivered)) in before.iter().filter(|(name, _)| *name != CHANGED) {
        let (now, since) = &after[name];
        assert_eq!(streams, now, "{name} has other streams");
        let is_busy = name[1..].parse().is_ok_and(|number: usize| number < BUSY);
        assert!(if is_busy { *since >= delivered + 100 } else { since == delivered }, "{name}: {delivered}, {since}");
    }
    let opened = receiver.connection_count() - connections;
    assert!(opened <= 1, "{opened} connections were opened because one destination was changed");
    agent.assert_books_balance();
}

#[test]
fn a_destination_is_made_tested_changed_and_deleted_and_outlives_a_restart() {
    let (receiver, other) = (Hec::plain(), Hec::plain());
    let mut agent = Agent::with_hec(&other);
    let tested = done(&ask(&agent, "POST", "/v1/destinations/test", &[], &hec("new", &receiver, TOKEN)), 200);
    assert_eq!(tested["ok"], true, "{tested}");
    let wrong = done(&ask(&agent, "POST", "/v1/destinations/test", &[], &hec("new", &receiver, PLANTED)), 200);
    assert_eq!((&wrong["ok"], &wrong["failure"]["stage"]), (&json!(false), &json!("authentication")), "{wrong}");
    done(&ask(&agent, "POST", "/v1/destinations/check", &[], &hec("new", &receiver, TOKEN)), 200);
    let unknown = ask(&agent, "GET", "/v1/destinations/new", &[], &Value::Null);
    assert_eq!(unknown.status, 404, "neither a test nor a check makes anything");

    let made = ask(&agent, "POST", "/v1/destinations", &[], &hec("new", &receiver, TOKEN));
    done(&made, 201);
    assert_eq!(made.header("location"), Some("/v1/destinations/new"));
    done(&ask(&agent, "POST", "/v1/destinations", &[], &hec("new", &receiver, TOKEN)), 422);
    done(&ask(&agent, "PUT", "/v1/destinations/hec", ANY, &hec("hec", &receiver, TOKEN)), 409);
    let ledger = write(&agent, Workload::new(1, 5, 200));
    receiver.wait_distinct(ledger.acked.len(), PATIENCE);
    agent.restart();
    let saved = done(&ask(&agent, "POST", "/v1/destinations/new/test", &[], &Value::Null), 200);
    assert_eq!(saved["ok"], true, "{saved}");

    // Renamed without its secret: it is the same destination, and goes on with the secret it has.
    let renamed = json!({"name": "renamed", "type": "splunk_hec", "url": receiver.url()});
    done(&ask(&agent, "PUT", "/v1/destinations/new", ANY, &renamed), 200);
    let ledger = write(&agent, Workload::new(2, 5, 200));
    receiver.wait_distinct(200 + ledger.acked.len(), PATIENCE);
    assert_eq!(
        done(&ask(&agent, "GET", "/v1/destinations/renamed/settings", &[], &Value::Null), 200)["secrets"],
        json!(["token"])
    );
    done(&ask(&agent, "DELETE", "/v1/destinations/renamed", ANY, &Value::Null), 200);
    assert_eq!(ask(&agent, "GET", "/v1/destinations/renamed", &[], &Value::Null).status, 404);
    assert_eq!(files_below(&agent.config.state_dir.join("secrets")), 0, "secrets go with their destination");
    let trail = |what: &str| has_event(&other, what);
    wait_until("the audit trail has all of it", PATIENCE, || {
        ["destination.create", "destination.change", "destination.delete", "destination.test"]
            .iter()
            .all(|what| trail(what))
    });
    agent.assert_books_balance();
}

#[test]
fn a_hand_edit_waits_for_a_reload_that_is_told_and_a_change_that_a_crash_cut_off_is_told_once_at_the_next_start() {
    let (receiver, other) = (Hec::plain(), Hec::plain());
    let mut agent = Agent::with_hec(&other);
    for name in ["a", "b"] {
        done(&ask(&agent, "POST", "/v1/destinations", &[], &hec(name, &receiver, TOKEN)), 201);
    }
    let file = agent.config.state_dir.join("destinations/a.toml");
    let text = fs::read_to_string(&file).unwrap();
    let edited = text.replace("name = \"a\"\n", "name = \"a\"\nordered = true\n");
    assert_ne!(text, edited);
    fs::write(&file, &edited).unwrap();

    let get = |agent: &Agent, path: &str| done(&ask(agent, "GET", path, &[], &Value::Null), 200);
    let mut settings = hec("b", &receiver, TOKEN);
    settings["ordered"] = json!(true);
    let changed = done(&ask(&agent, "PUT", "/v1/destinations/b", ANY, &settings), 200);
    assert_eq!(changed["changed"], json!(["b"]));
    assert_eq!(get(&agent, "/v1/destinations/b")["settings"]["ordered"], "true");
    assert_eq!(get(&agent, "/v1/destinations/a")["settings"]["ordered"], "false", "that is nobody's change yet");
    let waits = get(&agent, "/v1/status")["agent"]["needs_reload"].to_string();
    assert!(waits.contains("edited by hand") && waits.ends_with(": a\""), "{waits}");
    let reloaded = done(&ask(&agent, "POST", "/v1/reload", &[], &Value::Null), 200);
    assert!(reloaded["changes"].to_string().contains("ordered from false to true"), "{reloaded}");
    assert_eq!(get(&agent, "/v1/destinations/a")["settings"]["ordered"], "true");
    assert_eq!(get(&agent, "/v1/status")["agent"]["needs_reload"], Value::Null);
    wait_until("the reload is told", PATIENCE, || has_event(&other, "config.reload"));
    let notes = agent.config.state_dir.join("untold");
    wait_until("what was told needs no note", PATIENCE, || files_below(&notes) == 0);

    // As it lies on the disk when the agent ends between the write of a change and its reload.
    agent.stop();
    let note = json!({
        "tenant": null, "who": "uid 4711", "via": "api", "what": "destination.change", "target": "a",
        "before": {"ordered": "false"}, "after": {"ordered": "true"}, "files": {"a": edited}, "is_of_several": false,
    });
    fs::write(notes.join("1.json"), note.to_string()).unwrap();
    agent.start();
    wait_until("it is told", PATIENCE, || has_event(&other, "uid 4711"));
    wait_until("and forgotten", PATIENCE, || files_below(&notes) == 0);
    agent.restart();
    write(&agent, Workload::new(1, 1, 1));
    wait_until("the agent delivers again", PATIENCE, || {
        other.arrivals().list.iter().any(|arrival| arrival.key.is_some())
    });
    let told = other.arrivals().list.iter().filter(|arrival| holds(arrival.raw.as_deref(), "uid 4711")).count();
    assert_eq!(told, 1);
}

#[test]
fn what_somebody_did_while_the_log_had_no_room_is_told_at_the_next_start_although_the_agent_was_killed() {
    let (receiver, other) = (Hec::plain(), Hec::plain());
    let mut agent = Agent::new();
    agent.add_hec("hec", &other);
    // No disk has that free, so the first segment is not made, and events of the agent's own wait in its memory.
    agent.config.set_buffer("min_free", "{ percent = 90, size = \"1TiB\" }");
    agent.spawn();
    let socket = agent.config.admin_socket.clone();
    wait_until("it answers", PATIENCE, || {
        request_on_socket(&socket, "GET", "/v1/destinations/hec", &[], &[]).is_ok_and(|reply| reply.status == 200)
    });
    let token = json!({"name": "t", "role": "viewer"});
    let wishes = [
        ("POST", "/v1/destinations/hec/pause", Value::Null, 200, "destination.pause"),
        ("POST", "/v1/destinations/hec/drain", Value::Null, 200, "destination.drain"),
        ("POST", "/v1/destinations/hec/resume", Value::Null, 200, "destination.resume"),
        ("POST", "/v1/tokens", token, 201, "token.create"),
        ("DELETE", "/v1/tokens/t", Value::Null, 200, "token.revoke"),
        ("POST", "/v1/destinations", hec("new", &receiver, TOKEN), 201, "destination.create"),
    ];
    for (method, path, body, status, _) in &wishes {
        done(&ask(&agent, method, path, &[], body), *status);
    }
    let notes = agent.config.state_dir.join("untold");
    assert_eq!(files_below(&notes), wishes.len());
    agent.kill();
    agent.config.set_buffer("min_free", "{ percent = 0 }");
    agent.start();
    let told = |what: &str| {
        let list = other.arrivals().list;
        list.iter().filter(|arrival| holds(arrival.raw.as_deref(), what)).count()
    };
    wait_until("all of it is told", PATIENCE, || wishes.iter().all(|(.., what)| told(what) > 0));
    wait_until("and forgotten", PATIENCE, || files_below(&notes) == 0);
    for (.., what) in &wishes {
        assert_eq!(told(what), 1, "{what}");
    }
}

#[test]
fn another_state_directory_waits_for_a_restart_and_what_is_made_until_then_lies_in_the_one_in_use() {
    let receiver = Hec::plain();
    let mut agent = Agent::new();
    agent.start();
    done(&ask(&agent, "POST", "/v1/destinations", &[], &hec("before", &receiver, TOKEN)), 201);
    let (in_use, other) = (agent.config.state_dir.clone(), agent.dir().join("other"));
    agent.config.state_dir.clone_from(&other);
    assert!(agent.command(&["reload"]).status.success());
    let again = done(&ask(&agent, "POST", "/v1/reload", &[], &Value::Null), 200);
    assert_eq!(again["changes"], json!([]), "{again}");
    assert!(again["needs_restart"].to_string().contains("agent.state_dir from "), "it still waits: {again}");
    let checked = done(&ask(&agent, "POST", "/v1/check", &[], &Value::Null), 200);
    assert_eq!((&checked["changes"], &checked["needs_restart"]), (&again["changes"], &again["needs_restart"]));
    done(&ask(&agent, "POST", "/v1/destinations", &[], &hec("after", &receiver, TOKEN)), 201);
    done(&ask(&agent, "POST", "/v1/destinations/before/pause", &[], &Value::Null), 200);
    assert_eq!((files_below(&in_use.join("destinations")), other.exists()), (2, false));
    agent.config.state_dir = in_use;
    agent.restart();
    assert_eq!(agent.state_of("before"), "paused");
    let ledger = write(&agent, Workload::new(1, 5, 100));
    receiver.wait_distinct(ledger.acked.len(), PATIENCE);
}

#[test]
fn no_secret_of_the_api_is_ever_written_or_answered() {
    let receiver = Hec::plain();
    let mut agent = Agent::with_hec(&receiver);
    let mut answers = Vec::new();
    let mut said = |reply: HttpReply| answers.push(format!("{:?} {}", reply.headers, reply.text()));
    // A receiver that repeats what it was sent, and one that refuses it.
    let is_planted =
        |request: &Request| request.head.header("authorization").is_some_and(|shown| shown.contains(PLANTED));
    receiver.add_fault(None, is_planted, Fault::Answer(reply(403, 4, PLANTED)));
    said(ask(&agent, "POST", "/v1/destinations/test", &[], &hec("planted", &receiver, PLANTED)));
    said(ask(&agent, "POST", "/v1/destinations", &[], &hec("planted", &receiver, PLANTED)));
    let mut bad = hec("planted", &receiver, PLANTED);
    bad["token"] = json!(PLANTED);
    said(ask(&agent, "PUT", "/v1/destinations/planted", ANY, &bad));
    bad["token"] = json!({"value": PLANTED, "file": PLANTED});
    said(ask(&agent, "PUT", "/v1/destinations/planted", ANY, &bad));
    bad["token"] = json!({"value": format!("two\n{PLANTED}")});
    said(ask(&agent, "PUT", "/v1/destinations/planted", ANY, &bad));
    write(&agent, Workload::new(1, 5, 100));
    wait_until("the wrong token is noticed", PATIENCE, || agent.state_of("planted") == "auth_hold");
    for path in ASKED {
        let reply = ask(&agent, "GET", path, &[], &Value::Null);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        said(reply);
    }
    said(ask(&agent, "POST", "/v1/check", &[], &Value::Null));
    said(ask(&agent, "POST", "/v1/destinations/planted/test", &[], &Value::Null));
    let mut second = hec("planted", &receiver, &format!("{PLANTED}-2"));
    second["batch"] = json!({"max_events": 7});
    said(ask(&agent, "PUT", "/v1/destinations/planted", ANY, &second));
    agent.restart();
    said(ask(&agent, "DELETE", "/v1/destinations/planted", ANY, &Value::Null));
    let told = |what: &str| has_event(&receiver, what);
    wait_until("the trail is complete", Duration::from_secs(30), || told("destination.delete"));
    let everything = answers.join("\n");
    assert!(
        everything.contains("planted") && !everything.contains(PLANTED),
        "an answer holds the secret: {everything}"
    );
    assert!(!told(PLANTED), "an event holds the secret");
    agent.stop();
    for path in all_files(agent.dir()) {
        let bytes = fs::read(&path).unwrap_or_default();
        let found = bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        assert!(!found, "{} holds the secret", path.display());
    }
}

/// Whether an event of the agent's own holds this text.
fn has_event(hec: &Hec, text: &str) -> bool {
    hec.arrivals().list.iter().any(|arrival| holds(arrival.raw.as_deref(), text))
}

fn holds(raw: Option<&[u8]>, text: &str) -> bool {
    raw.is_some_and(|raw| raw.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn all_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => all_files(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

fn files_below(folder: &Path) -> usize {
    all_files(folder).len()
}
