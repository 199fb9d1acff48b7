//! The built binary from outside: what a person at a terminal, a service manager and a scraper see of it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{Place, Running, assert_mistake, data, event, letter, talk};

mod destinations;
mod place;
mod watching;

#[test]
fn without_an_agent_every_command_says_what_where_and_what_to_do() {
    let place = Place::new();
    assert_mistake(&place.run(&["status"]), 69, "no agent answers", "admin.socket in ");
    assert_mistake(&place.run(&["status", "--json"]), 69, "there is no such socket", "admin.socket");
    let emit = ["emit", "--tenant", "t", "--category", "C", "--action", "a"];
    assert_mistake(&place.run(&emit), 69, "no agent takes events", "ingest.unix.path");
    assert_mistake(&place.run(&["log", "inspect"]), 74, "cannot read the log", "state");
    assert_mistake(&place.run(&["log", "verify", "/no/such"]), 74, "cannot read the log", "/no/such");
    let list = place.run(&["deadletter", "list"]);
    assert_eq!((list.status.code(), data(&list)), (Some(0), String::new()));
    assert!(talk(&list).contains("no agent answers; reading the files") && talk(&list).contains("no dead letters"));
    // What an agent left that was killed: a socket nobody listens on.
    drop(std::os::unix::net::UnixListener::bind(place.path("admin.sock")).unwrap());
    assert_mistake(&place.run(&["status"]), 69, "nobody listens", "admin.socket");
}

#[test]
fn wrong_command_lines_and_files_are_refused_in_three_lines() {
    let place = Place::new();
    assert_mistake(&place.run(&["statsu"]), 64, "there is no command `statsu`", "the command line");
    assert_mistake(&place.run(&["status", "--jsn"]), 64, "`--jsn` is not known here", "the command line");
    assert_mistake(&place.run(&["emit", "--action", "a"]), 64, "--tenant", "the command line");
    let payload = ["emit", "--tenant", "t", "--category", "C", "--action", "a", "--payload", "[1]"];
    assert_mistake(&place.run(&payload), 64, "--payload is not a JSON object", "the command line");
    assert_mistake(&place.run(&["emit", "/no/such/file"]), 74, "cannot read the events", "/no/such/file");
    assert_mistake(&place.run(&["deadletter", "list", "elastic"]), 64, "no destination \"elastic\"", "agent.toml");
    fs::create_dir_all(place.path("state/log/00")).unwrap();
    let since = place.run(&["log", "export", "--since", "monday"]);
    assert_mistake(&since, 64, "--since is \"monday\"", "the command line");
    let schema = place.run(&["schema"]);
    assert_eq!(schema.status.code(), Some(0));
    assert!(serde_json::from_str::<Value>(&data(&schema)).unwrap()["properties"]["buffer"].is_object());
    assert_eq!(talk(&schema), "");

    place.configure("lingre = \"1s\"");
    for command in [&["check"][..], &["run"], &["deadletter", "list"], &["log", "inspect"]] {
        let output = place.run(command);
        let talk = talk(&output);
        assert_eq!(output.status.code(), Some(78), "{command:?}: {talk}");
        assert!(talk.contains("error: `lingre` is not a key") && talk.contains("line 19\n"), "{command:?}: {talk}");
        assert!(talk.ends_with("can't be used: 1 problem\n"), "{command:?}: {talk}");
    }
    // Who only looks for a socket is told of the problem and served all the same.
    let status = place.run(&["status"]);
    assert_mistake(&status, 69, "no agent answers", "admin.socket");
    assert!(talk(&status).starts_with("warning: "), "{}", talk(&status));
    fs::remove_file(place.path("agent.toml")).unwrap();
    for command in [&["check"][..], &["run"], &["status"]] {
        assert_eq!(place.run(command).status.code(), Some(78), "{command:?}");
    }
}

#[test]
fn events_are_emitted_until_durable_and_found_in_the_log_and_in_the_status() {
    let place = Place::new();
    let agent = place.start();
    let lines = format!("{}\n\nnot json\n{}\n{}", event(1, "t1"), event(2, "t2"), event(3, "t1"));
    let emitted = place.run_with_input(&["emit"], &lines);
    assert_eq!(emitted.status.code(), Some(1), "{}", talk(&emitted));
    assert_eq!(data(&emitted), "3 acknowledged as durable, 1 refused\n");
    assert!(talk(&emitted).starts_with("line 3: "), "{}", talk(&emitted));
    let args = ["emit", "--json", "--tenant", "t3", "--category", "C", "--action", "x.y", "--payload", "{\"k\":[1]}"];
    let told: Value = serde_json::from_str(&data(&place.run(&args))).unwrap();
    assert_eq!((&told["durable"], &told["refused"], &told["error"]), (&1.into(), &0.into(), &Value::Null));

    let status = place.status();
    assert_eq!(status["intake"]["is_ready"], true);
    let refused: u64 = status["intake"]["refused"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!((&status["intake"]["accepted"], refused), (&4.into(), 1));
    assert_eq!(status["destinations"][0]["books"]["difference"], 0);
    agent.wait_for("(was active): cannot connect");
    let shown = data(&place.run(&["status"]));
    for words in ["n1 (", "runtime  epoll: ", "takes events; 4 accepted", "splunk_hec", "balance", "Connection refused"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }

    // Beside the running agent, and once it has stopped.
    let exported = |args: &[&str]| {
        let output = place.run(&[&["log", "export"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
        data(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mine = ["--tenant", "t1", "--tenant", "t3"];
    assert_eq!(exported(&mine).len(), 3);
    let (code, _) = agent.stop();
    assert_eq!(code, Some(0));
    assert_eq!(exported(&mine)[..2], [event(1, "t1"), event(3, "t1")]);
    let first: Value = serde_json::from_str(&exported(&["--meta", "--tenant", "t2"])[0]).unwrap();
    assert_eq!((&first["event"]["event_id"], &first["log"]), (&"e2".into(), &"00".into()));
    let seq = first["seq"].as_u64().unwrap();
    let exact = ["--from", &seq.to_string(), "--to", &(seq + 1).to_string()];
    assert_eq!(exported(&exact), [event(2, "t2")]);
    assert_eq!(exported(&["--since", "2100-01-01T00:00:00Z"]).len(), 0);

    // The next start closes the segment with a footer, against which it can be verified.
    assert_eq!(place.start().stop().0, Some(0));
    let inspected: Value = serde_json::from_str(&data(&place.run(&["log", "inspect", "--json"]))).unwrap();
    assert_eq!(inspected[0]["segments"][0]["state"], "sealed");
    assert!(data(&place.run(&["log", "inspect"])).contains("00000000000000000001.seg  sealed"));
    let verified = place.run(&["log", "verify"]);
    assert_eq!((verified.status.code(), talk(&verified).contains("all sound")), (Some(0), true), "{}", talk(&verified));
    damage(&place.path("state/log/00/00000000000000000001.seg"), b"\"e2\"");
    let verified = place.run(&["log", "verify"]);
    assert_eq!(verified.status.code(), Some(1), "{}", talk(&verified));
    assert!(data(&verified).contains(&format!("records {seq} to {seq} can't be read")), "{}", data(&verified));
}

/// Changes one byte where `words` first stand.
fn damage(file: &std::path::Path, words: &[u8]) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.windows(words.len()).position(|window| window == words).unwrap();
    bytes[at + 1] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn dead_letters_are_listed_and_shown_from_the_files_and_from_the_agent() {
    let place = Place::new();
    let id = place.bury(&(1..=700).map(|n| letter(n, "invalid data")).collect::<Vec<_>>());
    let check = |prefix: &str| {
        let stream = format!("{prefix}.{}.0.abababababababab", &id[..8]);
        let list = place.run(&["deadletter", "list", "--limit", "2"]);
        assert_eq!(list.status.code(), Some(0), "{}", talk(&list));
        let rows: Vec<String> = data(&list).lines().map(str::to_owned).collect();
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert!(
            rows[2].starts_with("1970-01-01T00:11:40.000Z  splunk       ") && rows[2].contains(&stream),
            "{rows:?}"
        );
        assert!(talk(&list).contains("698 older ones are not shown") && talk(&list).contains("splunk: 700 kept"));
        let json: Value = serde_json::from_str(&data(&place.run(&["deadletter", "list", "splunk", "--json"]))).unwrap();
        assert_eq!((&json["total"], json["letters"].as_array().unwrap().len()), (&700.into(), 100));
        let show = place.run(&["deadletter", "show", "splunk", &stream, "3"]);
        assert_eq!(data(&show), event(3, "t1") + "\n");
        let said = talk(&show);
        assert!(said.contains("sent 2 times") && said.contains("HTTP 400: Invalid data format [2J\n"), "{said:?}");
        let show = place.run(&["deadletter", "show", "splunk", &stream, "3", "--json"]);
        let json: Value = serde_json::from_str(&data(&show)).unwrap();
        assert_eq!((&json["event"]["event_id"], &json["n"]), (&"e3".into(), &3.into()));
        let missing = place.run(&["deadletter", "show", "splunk", &stream, "701"]);
        assert_mistake(&missing, 64, "has no dead letter for event 701", "");
    };
    check("?");
    let agent = place.start();
    let id = place.status()["agent"]["id"].as_str().unwrap().to_owned();
    check(&id);
    assert_eq!(agent.stop().0, Some(0));
    check(&id);
}

#[test]
fn lesson_47_sigterm_stops_within_five_seconds_while_a_destination_is_down() {
    let place = Place::new();
    let agent = place.start();
    let emitted = place.run_with_input(&["emit"], &(event(1, "t1") + "\n"));
    assert_eq!(emitted.status.code(), Some(0), "{}", talk(&emitted));
    agent.wait_for("(was active): cannot connect");
    let (code, took) = agent.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!place.path("admin.sock").exists() && !place.path("ingest.sock").exists(), "the sockets are gone");
    let log = data(&place.run(&["log", "export"]));
    for action in ["siem.agent_started", "siem.destination_state", "siem.agent_stopped"] {
        assert!(log.contains(action), "{action}: {log}");
    }
    // Killed hard, it leaves sockets behind; the next one starts all the same.
    let mut killed = place.start();
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    assert!(place.path("admin.sock").exists());
    assert_eq!(place.start().stop().0, Some(0));
}

#[test]
fn lesson_35_a_reload_is_whole_or_not_at_all_and_says_so() {
    let place = Place::new();
    let agent = place.start();
    place.configure("linger = 3");
    agent.signal("HUP");
    agent.wait_for("the configuration was not taken over; the one in force stays as it is");
    assert!(agent.said().contains("`linger` is not a key that is known here"), "{}", agent.said());
    assert_eq!(place.status()["destinations"].as_array().unwrap().len(), 1);

    place.configure(
        "ordered = true\n[[destination]]\nname = \"second\"\ntype = \"splunk_hec\"\nurl = \"http://127.0.0.1:9\"\n\
         token = { file = \"token\" }\n",
    );
    agent.signal("HUP");
    agent.wait_for("destination \"second\" added");
    assert!(
        agent.said().contains("destination \"splunk\" changed: in_flight from 4 to 1; ordered from false to true"),
        "{}",
        agent.said()
    );
    let deadline = Instant::now() + Duration::from_secs(10);
    while place.status()["destinations"].as_array().unwrap().len() != 2 {
        assert!(Instant::now() < deadline, "{}", place.status());
        sleep(Duration::from_millis(50));
    }
    let config = fs::read_to_string(place.path("agent.toml")).unwrap();
    fs::write(place.path("agent.toml"), config.replace("node = \"n1\"", "node = \"n2\"")).unwrap();
    agent.signal("HUP");
    agent.wait_for("takes effect with the next start of the agent: agent.node from n1 to n2");
    assert!(data(&place.run(&["status"])).contains("note     takes effect with the next start"));
    assert_eq!(agent.stop().0, Some(0));
    let log = data(&place.run(&["log", "export"]));
    let changes: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["action"] == "siem.config_changed")
        .collect();
    assert_eq!(changes.len(), 2, "{log}");
    assert_eq!(changes[0]["payload"]["who"], "signal SIGHUP");
    assert_eq!(changes[0]["payload"]["after"]["destination \"splunk\" ordered"], "true");
    assert!(!log.contains("hush"));
}

#[test]
fn the_admin_address_serves_machines_and_refuses_web_pages() {
    let place = Place::new();
    let agent = place.start();
    for (path, words) in [
        ("/livez", "ok"),
        ("/readyz", "ok"),
        ("/metrics", "scaidrive_siem_books_difference{destination=\"splunk\""),
        ("/status", "\"runtime\""),
    ] {
        let reply = place.get(path).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200") && reply.contains(words), "{path}: {reply}");
    }
    let foreign = place.request("GET /status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
    let post = "POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let post = place.request(post).unwrap();
    assert!(post.starts_with("HTTP/1.1 405") && post.contains("allow: GET, HEAD"), "{post}");
    // What changes or shows events is for who shows a token, or for the socket, which is the agent's user's.
    for path in ["/v1/deadletters", "/v1/reload", "/nothing"] {
        assert!(place.get(path).unwrap().starts_with("HTTP/1.1 401"), "{path}");
    }
    let socket = fs::metadata(place.path("admin.sock")).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    assert_eq!(agent.stop().0, Some(0));
}

#[test]
fn a_second_agent_on_the_same_state_directory_is_refused() {
    let place = Place::new();
    let agent = place.start();
    let second = place.run(&["run"]);
    let pid = format!("held by another agent (process {})", agent.child.id());
    assert_mistake(&second, 69, &pid, "agent.state_dir in ");
    assert_eq!(agent.stop().0, Some(0));
}

#[test]
fn a_taken_admin_address_is_said_and_the_agent_stops_in_order() {
    let place = Place::new();
    let _taken = TcpListener::bind(("127.0.0.1", place.admin)).unwrap();
    let output = place.run(&["run"]);
    assert_mistake(&output, 69, "cannot listen on 127.0.0.1:", "admin.listen in ");
}

#[test]
fn the_service_manager_hears_of_start_reload_and_stop() {
    let place = Place::new();
    let manager = std::os::unix::net::UnixDatagram::bind(place.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let heard = || {
        let mut bytes = [0; 300];
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let child = place
        .command(&["run"])
        .env("NOTIFY_SOCKET", place.path("notify"))
        .env("WATCHDOG_USEC", "2000000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let agent = Running { child, log: place.path("none") };
    assert!(heard().starts_with("READY=1"));
    assert_eq!(heard(), "WATCHDOG=1");
    agent.signal("HUP");
    let next = || std::iter::repeat_with(heard).find(|words| words != "WATCHDOG=1").unwrap();
    assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(next().starts_with("READY=1"));
    assert_eq!(agent.stop().0, Some(0));
    assert_eq!(next(), "STOPPING=1");
}
