//! What an operator asks of a running agent is done, and costs no event: pauses, replays, dead letters sent again.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::arrival::{Arrival, Arrivals};
use scaidrive_tests::browser::Browser;
use scaidrive_tests::generator::{Key, Workload, event_line};
use scaidrive_tests::hec::{Fault, Hec, Predicate};
use scaidrive_tests::http::get_from_socket;
use scaidrive_tests::oracle::{Report, assert_statements_hold, compare, statements};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, ordered, settle, write, write_one};
use scaidrive_tests::skip::skip;
use scaidrive_tests::syslog::{Framing, Rsyslog, RsyslogMode, Sink};
use scaidrive_tests::wait::{holds_for, wait_for, wait_until};
use serde_json::{Value, json};

/// Runs one of the binary's commands that has to do its work, and returns what it says as data.
#[track_caller]
fn run(agent: &Agent, arguments: &[&str]) -> String {
    let output = agent.command(arguments);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {talk}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A destination with its settings and its status.
#[track_caller]
fn show(agent: &Agent, name: &str) -> Value {
    serde_json::from_str(&run(agent, &["destination", "show", name, "--json"])).expect("the agent answers in JSON")
}

/// Waits until the agent knows that a stream has delivered so many events, and that there are no others: from then on a
/// replay has all of them.
#[track_caller]
fn wait_delivered(agent: &Agent, name: &str, events: usize) {
    let labels = [("destination", name)];
    wait_until(&format!("{name} has settled {events} events"), PATIENCE, || {
        let metrics = agent.metrics();
        let metric = |name: &str| metrics.sum(&format!("scaidrive_siem_destination_{name}"), &labels);
        metric("delivered_total") == Some(events as f64) && metric("unread_events") == Some(0.0)
    });
}

/// Waits until a replay is over. Returns what the status says of it.
#[track_caller]
fn wait_replayed(agent: &Agent, name: &str) -> Value {
    wait_for("the replay is over", PATIENCE, || {
        let replay = show(agent, name)["status"]["replay"].clone();
        (replay["state"] == "over").then_some(replay)
    })
}

/// The dead letters of all destinations.
#[track_caller]
fn letters(agent: &Agent) -> Vec<Value> {
    let list: Value = serde_json::from_str(&run(agent, &["deadletter", "list", "--json"])).expect("JSON is listed");
    list["letters"].as_array().cloned().unwrap_or_default()
}

/// Waits until so many dead letters fit.
#[track_caller]
fn wait_letters(agent: &Agent, count: usize, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    wait_for(&format!("{count} dead letters"), PATIENCE, || {
        let letters = letters(agent);
        (letters.len() == count && letters.iter().all(&fits)).then_some(letters)
    })
}

/// Every generated event of a run, with each stream and number that it arrived under, in order.
fn numbers(arrivals: &Arrivals, run: u32) -> HashMap<Key, Vec<(&str, u64)>> {
    let mut numbers: HashMap<Key, Vec<(&str, u64)>> = HashMap::new();
    let of_run = |arrival: &&Arrival| arrival.key.is_some_and(|key| key.run == run);
    for arrival in arrivals.list.iter().filter(of_run) {
        let (Some(key), Some(stream), Some(n)) = (arrival.key, arrival.stream, arrival.n) else { continue };
        numbers.entry(key).or_default().push((&arrivals.streams[stream as usize], n));
    }
    numbers
}

/// # Panics
/// When an event of the run did not come exactly `times` times, each time under the same stream and number.
#[track_caller]
fn assert_came(arrivals: &Arrivals, run: u32, events: usize, times: usize) {
    let numbers = numbers(arrivals, run);
    assert_eq!(numbers.len(), events, "different events of run {run}");
    for (key, came) in numbers {
        assert_eq!(came.len(), times, "{key:?} came as {came:?}");
        assert!(came.iter().all(|number| *number == came[0]), "{key:?} has other numbers: {came:?}");
    }
}

#[test]
fn a_pause_sends_nothing_over_a_reload_and_a_restart_and_its_end_delivers_everything_once() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    ordered(&mut agent, "hec", &hec);
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 500));
    wait_delivered(&agent, "hec", 500);
    run(&agent, &["destination", "pause", "hec"]);
    wait_until("what was under way has ended", PATIENCE, || agent.metric("destination_requests_under_way", &[]) == 0.0);
    let before = hec.request_count();
    let rests = |what: &str| holds_for(what, Duration::from_secs(2), || hec.request_count() == before);

    ledger.merge(write(&agent, Workload::new(2, 20, 1_000)));
    rests("nothing is sent while it is paused");
    agent.config.destination("hec").set("batch", "{ max_events = 50 }");
    agent.reload();
    wait_until("the reload has taken effect", PATIENCE, || agent.said().contains("batch.max_events"));
    ledger.merge(write(&agent, Workload::new(3, 20, 500)));
    rests("nothing is sent after a reload");
    agent.restart();
    assert_eq!(agent.state_of("hec"), "paused");
    ledger.merge(write(&agent, Workload::new(4, 20, 500)));
    rests("nothing is sent after a restart");

    run(&agent, &["destination", "resume", "hec"]);
    let report = settle(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
    assert_eq!(report.streams.len(), 1, "the numbers go on: {:?}", report.streams.keys());
    let later = hec.requests().split_off(before as usize);
    assert!(later.iter().all(|request| request.events <= 50), "what was reloaded meanwhile is in force: {later:?}");
    wait_until("it is active", PATIENCE, || agent.state_of("hec") == "active");
    agent.assert_books_balance();
}

#[test]
fn a_drained_destination_has_what_came_before_and_nothing_after_over_restarts_and_goes_on_without_a_gap() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.shards = 2;
    ordered(&mut agent, "hec", &hec);
    agent.config.destination("hec").set("batch", "{ max_events = 50 }");
    hec.set_fault(Fault::Status { status: 503, retry_after: None });
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 1_000));
    let said = run(&agent, &["destination", "drain", "hec"]);
    assert!(said.starts_with("hec drains: it is sent what is in the log now"), "{said}");
    ledger.merge(write(&agent, Workload::new(2, 20, 500)));
    // In the middle, with nothing sent yet: the point is kept.
    agent.restart();
    ledger.merge(write(&agent, Workload::new(3, 20, 500)));
    let status = |agent: &Agent| show(agent, "hec")["status"].clone();
    let before = status(&agent);
    assert_eq!((&before["drain"]["is_over"], &before["pause"]["drain"]["ended_ms"]), (&false.into(), &Value::Null));

    hec.set_fault(Fault::SlowReply(Duration::from_millis(300)));
    let drains =
        wait_for("it drains", PATIENCE, || Some(status(&agent)).filter(|status| status["state"] == "draining"));
    assert_eq!(drains["code"], "draining", "{drains}");
    let is_noted = |status: &Value| status["code"] == "drained" && status["pause"]["drain"]["ended_ms"].is_number();
    let drained = wait_for("it has drained", PATIENCE, || Some(status(&agent)).filter(is_noted));
    assert_eq!((&drained["state"], &drained["drain"]["is_over"]), (&"paused".into(), &true.into()));
    let arrivals = hec.arrivals();
    assert_came(&arrivals, 1, 1_000, 1);
    for later in [2, 3] {
        assert!(numbers(&arrivals, later).is_empty(), "what came after the wish waits");
    }
    let stated: u64 = statements(&arrivals).iter().map(|said| said.range.end - said.range.start).sum();
    assert_eq!(stated, 1_000, "its numbers are stated without waiting for the time of that");

    let requests = hec.request_count();
    assert!(run(&agent, &["destination", "drain", "hec"]).starts_with("hec has drained already"));
    agent.restart();
    assert_eq!(agent.state_of("hec"), "paused");
    holds_for("nothing is sent", Duration::from_secs(1), || hec.request_count() == requests);
    hec.set_fault(Fault::None);
    run(&agent, &["destination", "resume", "hec"]);
    let report = settle(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
    report.assert_contiguous();
    assert_eq!(report.streams.len(), 2, "the numbers go on: {:?}", report.streams.keys());
    wait_until("it is active", PATIENCE, || agent.state_of("hec") == "active");
    agent.assert_books_balance();
}

#[test]
fn a_replay_sends_everything_once_more_under_its_numbers_while_live_events_arrive_once() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.shards = 2;
    ordered(&mut agent, "hec", &hec);
    agent.config.destination("hec").set("batch", "{ max_events = 50 }");
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 2_000));
    settle(&ledger, &hec).assert_exactly_once();
    wait_delivered(&agent, "hec", 2_000);

    // Twenty requests a shard: the replay takes a while, and what is written meanwhile does not wait for its end.
    hec.set_fault(Fault::SlowReply(Duration::from_millis(100)));
    let said = run(&agent, &["destination", "replay", "hec", "--from", "1h"]);
    assert!(said.starts_with("hec is sent again what was accepted since 20") && said.contains(": running; "), "{said}");
    let again = agent.command(&["destination", "replay", "hec"]);
    assert_eq!(again.status.code(), Some(1), "{}", String::from_utf8_lossy(&again.stderr));
    assert!(String::from_utf8_lossy(&again.stderr).contains("(409): a replay of \"hec\" runs"));
    ledger.merge(write(&agent, Workload::new(2, 20, 100)));
    let is_live = |arrival: &Arrival| arrival.key.is_some_and(|key| key.run == 2);
    hec.wait_distinct(2_100, PATIENCE);
    assert_eq!(agent.metric("destination_replay_running", &[]), 1.0, "live events did not wait for the replay");
    let replay = wait_replayed(&agent, "hec");
    assert_eq!((&replay["delivered"], &replay["unread"], &replay["cause"]), (&2_000.into(), &0.into(), &Value::Null));
    wait_delivered(&agent, "hec", 2_100);

    let arrivals = hec.arrivals();
    assert_came(&arrivals, 1, 2_000, 2);
    assert_came(&arrivals, 2, 100, 1);
    assert!(!arrivals.list.last().is_some_and(is_live), "the replay goes on behind the live events");
    let report = compare(&ledger, &arrivals);
    report.assert_nothing_lost();
    report.assert_contiguous();
    assert_eq!((report.streams.len(), report.duplicates.len()), (2, 2_000));
    assert_statements_hold(&report, &statements(&arrivals));
    wait_until("all is counted", PATIENCE, || agent.metric("destination_replayed_total", &[]) == 2_000.0);
    assert_eq!(agent.metric("destination_delivered_total", &[]), 2_100.0, "what was replayed is not counted twice");
    agent.assert_books_balance();

    run(&agent, &["destination", "replay", "hec"]);
    assert_eq!(wait_replayed(&agent, "hec")["delivered"], 2_100, "without a time it is all that the log holds");
}

#[test]
fn a_replay_that_has_met_its_end_has_nothing_left_to_read() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    ordered(&mut agent, "hec", &hec);
    // Few events fit into its hands, so it meets the end late: with records of others before it, and new ones behind.
    agent.config.destination("hec").set("tenants", "[\"tnt-00000\"]").set("batch", "{ max_size = \"16KiB\" }");
    agent.start();
    write(&agent, Workload::new(1, 1, 300));
    // Where its hands are just full at the end nothing shows, so it has three tries.
    for round in 2..5 {
        let before = 300 + 90 * (round as usize - 2);
        hec.set_fault(Fault::None);
        (0..5).for_each(|count| write_one(&agent, Key { run: 1, tenant: round, count }));
        wait_delivered(&agent, "hec", before);
        hec.set_fault(Fault::SlowReply(Duration::from_millis(100)));
        run(&agent, &["destination", "replay", "hec"]);
        write(&agent, Workload::new(round, 1, 90));
        let replay = wait_replayed(&agent, "hec");
        assert_eq!((&replay["delivered"], &replay["unread"]), (&before.into(), &0.into()));
    }
}

#[test]
fn a_replay_of_a_paused_destination_waits_for_the_end_of_the_pause() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    ordered(&mut agent, "hec", &hec);
    agent.start();
    write(&agent, Workload::new(1, 20, 500));
    wait_delivered(&agent, "hec", 500);
    run(&agent, &["destination", "pause", "hec"]);
    let before = hec.request_count();
    let output = agent.command(&["destination", "replay", "hec"]);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && talk.contains("the replay waits until"), "{talk}");
    holds_for("nothing is sent", Duration::from_secs(1), || hec.request_count() == before);
    run(&agent, &["destination", "resume", "hec"]);
    assert_eq!(wait_replayed(&agent, "hec")["delivered"], 500);
    assert_came(&hec.arrivals(), 1, 500, 2);
}

#[test]
fn what_was_asked_for_is_told_although_whoever_asked_hangs_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    silent.set_nonblocking(true).expect("a socket need not wait");
    let wished = json!({
        "name": "silent", "type": "splunk_hec", "token": {"value": "a-token"},
        "url": format!("http://{}", silent.local_addr().expect("it is bound")),
        "timeouts": {"connect": "2s", "request": "2s"},
    })
    .to_string();
    let hec = Hec::plain();
    let mut agent = Agent::new();
    ordered(&mut agent, "hec", &hec);
    agent.start();
    let told = |what: &str| {
        let reply =
            get_from_socket(&agent.config.admin_socket, "/v1/agent-events?limit=1000").expect("the agent answers");
        let page: Value = serde_json::from_slice(&reply.body).expect("it is JSON");
        let events = page["events"].as_array().cloned().unwrap_or_default();
        events.into_iter().map(|event| event["event"].clone()).find(|event| event.to_string().contains(what))
    };
    let mut asks = UnixStream::connect(&agent.config.admin_socket).expect("the agent listens");
    let head =
        format!("POST /v1/destinations/test HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", wished.len());
    asks.write_all((head + &wished).as_bytes()).expect("it reads");
    let _held = wait_for("the test connects", PATIENCE, || silent.accept().ok());
    drop(asks);
    let tested = wait_for("the test is told", PATIENCE, || told("destination.test"));
    assert_eq!(tested["payload"]["after"]["ok"], false, "{tested}");

    run(&agent, &["destination", "replay", "hec"]);
    let replayed = wait_for("the replay is told", PATIENCE, || told("destination.replay"));
    assert_eq!(replayed["payload"]["after"]["replay"], "asked for", "{replayed}");
}

#[test]
fn a_replay_from_before_a_change_of_filter_gives_the_older_part_an_epoch_that_ends_with_a_true_statement() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", "{ actions = [\"file.*\"] }");
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 1_000));
    let is_of_files = |key: &&Key| String::from_utf8_lossy(&event_line(**key, 600)).contains("\"action\":\"file.");
    wait_delivered(&agent, "hec", ledger.acked.iter().filter(is_of_files).count());
    agent.config.destination("hec").set("filter", ONLY_GENERATED);
    agent.reload();
    let is_final =
        |arrivals: &Arrivals| statements(arrivals).into_iter().filter(|statement| statement.is_final).count();
    wait_until("the old stream is closed", PATIENCE, || is_final(&hec.arrivals()) == 1);
    ledger.merge(write(&agent, Workload::new(2, 20, 500)));
    wait_delivered(&agent, "hec", 500);
    let live = hec.arrivals().streams.clone();
    assert_eq!(live.len(), 2, "{live:?}");

    run(&agent, &["destination", "replay", "hec", "--from", "1h"]);
    assert_eq!(wait_replayed(&agent, "hec")["delivered"], 1_500);
    wait_until("the epoch of the replay is closed", PATIENCE, || is_final(&hec.arrivals()) == 2);
    let arrivals = hec.arrivals();
    assert_came(&arrivals, 2, 500, 2);
    let [own] = arrivals.streams[2..].as_ref() else { panic!("{:?}", arrivals.streams) };
    let older = numbers(&arrivals, 1).into_values().filter(|came| came.iter().any(|(stream, _)| stream == own)).count();
    assert_eq!(older, 1_000, "the older part goes by the new filter");
    let report = compare(&ledger, &arrivals);
    report.assert_nothing_lost();
    report.assert_contiguous();
    let said = statements(&arrivals);
    assert_statements_hold(&report, &said);
    let last = said.iter().rfind(|statement| statement.is_final && statement.stream == *own).unwrap();
    assert_eq!((last.range.end, report.streams[own].max), (1_001, 1_000), "it covers the whole epoch");
    agent.assert_books_balance();
}

/// An agent with two events that its destination has refused, `bad` as long as it says nothing of being mended.
fn with_two_refused(hec: &Hec, bad: [Key; 2]) -> Agent {
    hec.set_fault(refusing(&bad));
    let mut agent = Agent::new();
    ordered(&mut agent, "hec", hec);
    agent.start();
    write(&agent, Workload::new(1, 1, 200));
    hec.wait_distinct(198, PATIENCE);
    let found = wait_letters(&agent, 2, |letter| letter["attempts"] == 1);
    assert!(found.iter().all(|letter| letter["reason"].as_str().unwrap().contains("Invalid data format")), "{found:?}");
    agent
}

fn refusing(bad: &[Key]) -> Fault {
    let ids: Vec<String> = bad.iter().map(|key| key.event_id()).collect();
    let is_bad = move |event: &[u8]| {
        let text = String::from_utf8_lossy(event);
        ids.iter().any(|id| text.contains(id)) && !text.contains(MENDED)
    };
    Fault::RefuseEvents { when: Predicate::new(is_bad), names_event: false, keeps_prefix: false }
}

const MENDED: &str = "\"mended\":true";

#[track_caller]
fn whole(hec: &Hec) -> Report {
    let keys = (0..200).map(|count| Key { run: 1, tenant: 0, count }).collect();
    let ledger = scaidrive_tests::generator::Ledger { acked: keys, ..Default::default() };
    compare(&ledger, &hec.arrivals())
}

#[test]
fn dead_letters_sent_again_arrive_under_their_own_numbers_and_those_refused_again_stay_with_the_newest_reply() {
    let hec = Hec::plain();
    let bad = [Key { run: 1, tenant: 0, count: 50 }, Key { run: 1, tenant: 0, count: 120 }];
    let mut agent = with_two_refused(&hec, bad);
    let missing: Vec<u64> = whole(&hec).streams.values().next().unwrap().holes().into_iter().flatten().collect();
    assert_eq!(missing.len(), 2);

    hec.set_fault(refusing(&bad[1..]));
    let said = run(&agent, &["deadletter", "replay", "hec", "--all"]);
    assert_eq!(said, "2 events that hec refused go again, each under its own number\n");
    let left = wait_letters(&agent, 1, |letter| letter["attempts"] == 2);
    let stream = left[0]["stream"].as_str().unwrap().to_owned();
    let n = left[0]["n"].to_string();
    assert_eq!(n, missing[1].to_string());
    let arrivals = hec.arrivals();
    assert_eq!(numbers(&arrivals, 1)[&bad[0]], [(stream.as_str(), missing[0])]);

    // The other one is mended by hand.
    let line = String::from_utf8(event_line(bad[1], 600)).unwrap();
    let file = agent.dir().join("mended.json");
    fs::write(&file, line.replace("\"payload\":{", &format!("\"payload\":{{{MENDED},"))).unwrap();
    run(&agent, &["deadletter", "edit", "hec", &stream, &n, "--file", file.to_str().unwrap()]);
    let said = run(&agent, &["deadletter", "replay", "hec", &stream, &n]);
    assert_eq!(said, "1 event that hec refused goes again, under its own number\n");
    wait_letters(&agent, 0, |_| true);
    assert_eq!(numbers(&hec.arrivals(), 1)[&bad[1]], [(stream.as_str(), missing[1])]);
    let report = whole(&hec);
    report.assert_nothing_lost();
    report.assert_contiguous();
    assert_eq!(report.duplicates, [], "nothing else went again");
    hec.assert_no_violations();
    let nothing = agent.command(&["deadletter", "replay", "hec", "--all"]);
    assert_eq!(String::from_utf8_lossy(&nothing.stderr), "hec has no dead letters\n");

    // What the notices named stays explained.
    agent.config.destination("hec").set("filter", "{ actions = [\"file.*\"] }");
    agent.reload();
    wait_until("the stream is closed", PATIENCE, || statements(&hec.arrivals()).iter().any(|said| said.is_final));
    let said = statements(&hec.arrivals());
    assert_eq!(said.iter().map(|statement| statement.explained).sum::<u64>(), 2);
    assert_statements_hold(&whole(&hec), &said);
    agent.assert_books_balance();
}

#[test]
fn dead_letters_of_a_paused_destination_wait_and_those_that_were_not_sent_yet_outlive_a_restart() {
    let hec = Hec::plain();
    let bad = [Key { run: 1, tenant: 0, count: 3 }, Key { run: 1, tenant: 0, count: 199 }];
    let mut agent = with_two_refused(&hec, bad);
    hec.set_fault(Fault::None);
    run(&agent, &["destination", "pause", "hec"]);
    let output = agent.command(&["deadletter", "replay", "hec", "--all"]);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && talk.contains("has paused it: they wait until"), "{talk}");
    let before = hec.request_count();
    holds_for("nothing is sent", Duration::from_secs(1), || hec.request_count() == before);
    agent.restart();
    assert_eq!(letters(&agent).len(), 2, "what was asked for is forgotten, the letters are not");
    run(&agent, &["deadletter", "replay", "hec", "--all"]);
    run(&agent, &["destination", "resume", "hec"]);
    wait_letters(&agent, 0, |_| true);
    let report = whole(&hec);
    report.assert_nothing_lost();
    report.assert_contiguous();
    assert_eq!(report.duplicates, []);
}

#[test]
fn a_replay_over_plain_syslog_arrives_under_the_same_numbers() {
    let sink = Sink::start(Framing::OctetCounting, None, true);
    let destination = Destination::syslog("sink", "tcp", sink.address()).with("filter", ONLY_GENERATED);
    let mut agent = Agent::with([destination]);
    let ledger = write(&agent, Workload::new(1, 20, 500));
    sink.wait_distinct(500, PATIENCE);
    // Nothing answers: what was written counts as read when the connection has ended in good order.
    agent.restart();
    assert_came(&sink.arrivals(), 1, 500, 1);
    run(&agent, &["destination", "replay", "sink", "--from", "1h"]);
    assert_eq!(wait_replayed(&agent, "sink")["delivered"], 500, "the replay's own connection ends in good order too");
    assert_came(&sink.arrivals(), 1, 500, 2);
    compare(&ledger, &sink.arrivals()).assert_contiguous();
    sink.assert_no_errors();
    agent.assert_books_balance();
}

#[test]
fn a_replay_over_relp_arrives_under_the_same_numbers() {
    let name = "a_replay_over_relp_arrives_under_the_same_numbers";
    if let Some(reason) = Rsyslog::missing(RsyslogMode::Relp) {
        return skip(name, &reason);
    }
    let dir = tempfile::tempdir().unwrap();
    let rsyslog = Rsyslog::start(dir.path(), RsyslogMode::Relp, None);
    let destination = Destination::syslog("rsyslog", "relp", rsyslog.address()).with("filter", ONLY_GENERATED);
    let agent = Agent::with([destination]);
    let ledger = write(&agent, Workload::new(1, 20, 500));
    rsyslog.wait_distinct(500, PATIENCE);
    wait_delivered(&agent, "rsyslog", 500);
    run(&agent, &["destination", "replay", "rsyslog", "--from", "1h"]);
    assert_eq!(wait_replayed(&agent, "rsyslog")["delivered"], 500);
    wait_until("each came again", PATIENCE, || rsyslog.arrivals().list.len() >= 1_000);
    assert_came(&rsyslog.arrivals(), 1, 500, 2);
    compare(&ledger, &rsyslog.arrivals()).assert_contiguous();
    agent.assert_books_balance();
}

/// Waits for the next day, in UTC, where this one ends within a minute: a test of a day's limit would see it begin anew.
fn stay_within_a_day() {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let left = 86_400 - since_1970 % 86_400;
    if left < 60 {
        thread::sleep(Duration::from_secs(left + 1));
    }
}

#[test]
fn what_a_destination_may_get_in_a_day_it_gets_once_however_often_the_agent_ends() {
    stay_within_a_day();
    let hec = Hec::plain();
    let mut agent = Agent::new();
    let destination = agent.add_hec("hec", &hec);
    destination.set("filter", ONLY_GENERATED).set("batch", "{ max_events = 5 }").set("in_flight", "1");
    destination.set("rate_limit", "{ bytes_per_day = \"1MiB\" }");
    agent.start();
    let ledger = write(&agent, Workload { size: 12_000, ..Workload::new(1, 5, 200) });
    let is_used_up = |agent: &Agent| show(agent, "hec").to_string().contains("bytes a day is used up");
    wait_until("the day's bytes are used up", PATIENCE, || is_used_up(&agent));
    let got = hec.generated();
    assert!((60..130).contains(&got), "{got} events of 12 kB in 1 MiB");
    let gets_no_more = || holds_for("it gets no more", Duration::from_secs(2), || hec.generated() == got);
    agent.restart();
    wait_until("they are after an end in good order", PATIENCE, || is_used_up(&agent));
    gets_no_more();
    agent.kill();
    agent.start();
    wait_until("they are after a crash", PATIENCE, || is_used_up(&agent));
    gets_no_more();
    agent.config.destination("hec").set("rate_limit", "{ bytes_per_day = \"1GiB\" }");
    agent.reload();
    settle(&ledger, &hec);
}

/// What destinations that are gone have left: their names and how many letters.
#[track_caller]
fn left_behind(agent: &Agent) -> Vec<(String, u64)> {
    let list: Value = serde_json::from_str(&run(agent, &["deadletter", "list", "--json"])).expect("JSON is listed");
    let of = |store: &Value| Some((store["destination"].as_str()?.to_owned(), store["events"].as_u64()?));
    list["gone"].as_array().into_iter().flatten().filter_map(of).collect()
}

#[test]
fn dead_letters_outlive_their_destination_and_what_makes_room_in_the_end_is_told() {
    let hec = Hec::plain();
    let bad = [Key { run: 1, tenant: 0, count: 3 }, Key { run: 1, tenant: 0, count: 199 }];
    let mut agent = with_two_refused(&hec, bad);
    let configured = std::mem::take(&mut agent.config.destinations);
    agent.reload();
    let two = [("hec".to_owned(), 2)];
    wait_until("they are told of as left behind", PATIENCE, || left_behind(&agent) == two);
    assert_eq!(letters(&agent), Vec::<Value>::new());
    let page = Browser::at(&agent.config.admin_socket).open("/deadletters");
    assert!(page.contains("hec <span class=\"badge calm\">gone") && !page.contains("/deadletters/hec"), "{page}");
    // It has a new stream, in which it would refuse the two once more.
    hec.set_fault(Fault::None);
    agent.config.destinations = configured;
    agent.reload();
    wait_until("it is back", PATIENCE, || agent.ask("/v1/destinations/hec").0 == 200);
    wait_letters(&agent, 2, |_| true);
    assert_eq!(left_behind(&agent), []);
    agent.config.destinations.clear();
    agent.reload();
    wait_until("they are again", PATIENCE, || left_behind(&agent) == two);
    agent.stop();
    assert_eq!(left_behind(&agent), two, "without an agent too");

    // As if another destination had left more than there is room for.
    let other = agent.config.state_dir.join("deadletters").join(format!("{:032x}.dl", 7));
    fs::File::create(&other).and_then(|file| file.set_len(300 << 20)).expect("a file with a hole takes no room");
    agent.start();
    wait_until("there is room again", PATIENCE, || left_behind(&agent).is_empty());
    assert_eq!(fs::read_dir(other.parent().expect("a folder")).expect("it is there").count(), 0);
    // What is kept for an audit trail is written a moment later.
    let told = wait_for("both are told", PATIENCE, || {
        let (_, said) = agent.ask("/v1/agent-events?limit=1000");
        let dropped = |event: &&Value| event["event"]["payload"]["what"] == "deadletter.drop";
        let dropped = said["events"].as_array().into_iter().flatten().filter(dropped);
        let told: Vec<_> = dropped.map(|event| event["event"]["payload"].clone()).collect();
        (told.len() >= 2).then_some(told)
    });
    assert_eq!((&told[0]["target"], &told[0]["before"]["dead_letters"]), (&"hec".into(), &2.into()), "{told:?}");
    assert_eq!((told.len(), &told[1]["before"]["bytes"]), (2, &(300_u64 << 20).into()), "{told:?}");
}
