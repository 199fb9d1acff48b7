//! What an agent says about its destinations: causes, outlook, head-room, the last hour; and to whom it says it.

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Key, Workload};
use scaidrive_tests::hec::{Fault, Hec, reply};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, settle, write, write_one};
use scaidrive_tests::wait::{wait_for, wait_until};
use serde_json::Value;

/// What the refusal of a sick destination repeats of what it was sent.
const PLANTED: &str = "alice@example.com may not write here";

/// An agent with one destination for events and one for what the agent says itself.
fn with_an_auditor(hec: &Hec, auditor: &Hec) -> Agent {
    let mut agent = Agent::new();
    agent.add_hec("hec", hec).set("filter", ONLY_GENERATED);
    agent.add_hec("auditor", auditor).set("filter", "{ actions = [\"siem.*\"] }");
    agent.start();
    agent
}

fn status_of(agent: &Agent, name: &str) -> Value {
    let (status, whole) = agent.ask(&format!("/v1/destinations/{name}"));
    assert_eq!(status, 200, "{whole}");
    whole["status"].clone()
}

/// The array `key` of a history, as numbers.
fn numbers(history: &Value, key: &str) -> Vec<f64> {
    history[key].as_array().into_iter().flatten().map(|number| number.as_f64().unwrap_or(-1.0)).collect()
}

#[test]
fn what_a_destination_says_is_in_its_status_and_reaches_no_other_destination() {
    let (hec, auditor) = (Hec::plain(), Hec::plain());
    let agent = with_an_auditor(&hec, &auditor);
    settle(&write(&agent, Workload::new(1, 5, 50)), &hec);
    hec.set_fault(Fault::Answer(reply(403, 4, PLANTED)));
    write_one(&agent, Key { run: 2, tenant: 0, count: 0 });
    agent.wait_state("hec", "auth_hold", PATIENCE);

    let told = wait_for("the auditor hears of it", PATIENCE, || {
        let states = auditor.arrivals().own("siem.destination_state");
        states.into_iter().find(|(_, event)| event["payload"]["to"] == "auth_hold").map(|(_, event)| event)
    });
    let payload = &told["payload"];
    assert_eq!(
        (&payload["destination"], &payload["code"], &payload["cause"]),
        (&"hec".into(), &"credentials_refused".into(), &"it refuses the credentials".into())
    );
    let repeats = |raw: &[u8]| String::from_utf8_lossy(raw).contains("alice");
    let heard = auditor.arrivals();
    assert!(heard.list.iter().filter_map(|arrival| arrival.raw.as_deref()).all(|raw| !repeats(raw)));
    let kept = agent.command(&["log", "export"]).stdout;
    assert!(!kept.is_empty() && !repeats(&kept), "nor is it in the log, from which others get events");

    let status = status_of(&agent, "hec");
    assert!(status["cause"].as_str().is_some_and(|cause| cause.contains(PLANTED)), "{status}");
    assert_eq!(status["code"], "credentials_refused");
    assert!(status["next"].as_str().is_some_and(|next| next.contains("nothing is dropped")), "{status}");
    assert!(status["remedy"].as_str().is_some_and(|remedy| remedy.contains("destination test hec")), "{status}");
    assert!(agent.said().contains(PLANTED), "the agent's own log has it");
}

#[test]
fn a_destination_that_gets_nothing_says_how_much_of_the_window_is_used_and_when_it_is_full() {
    let (mut hec, auditor) = (Hec::plain(), Hec::plain());
    let agent = with_an_auditor(&hec, &auditor);
    hec.go_down();
    write_one(&agent, Key { run: 1, tenant: 0, count: 0 });
    let status = wait_for("it is seen to fill", PATIENCE, || {
        let status = status_of(&agent, "hec");
        (status["trend"] == "filling").then_some(status)
    });
    let number = |key: &str| status[key].as_u64().unwrap_or_else(|| panic!("no {key} in {status}"));
    assert_eq!(number("window_ms"), 30 * 60_000);
    assert_eq!(number("window_used_ms") + number("headroom_ms"), number("window_ms"));
    // It gets nothing, so the lag grows with the clock, as far as a few seconds show it.
    assert!(number("full_in_ms").abs_diff(number("headroom_ms")) < 15 * 60_000, "{status}");
    let text = agent.command(&["status"]).stdout;
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("s of 30 m used; full in ") && text.contains("do:   "), "{text}");

    hec.come_up();
    wait_until("it is level again", PATIENCE, || status_of(&agent, "hec")["trend"] == "level");
    assert_eq!(status_of(&agent, "hec")["full_in_ms"], Value::Null);
}

#[test]
fn the_last_hour_shows_what_came_in_what_went_out_and_each_change_of_state() {
    let (mut hec, auditor) = (Hec::plain(), Hec::plain());
    let agent = with_an_auditor(&hec, &auditor);
    settle(&write(&agent, Workload::new(1, 5, 200)), &hec);
    hec.go_down();
    write_one(&agent, Key { run: 2, tenant: 0, count: 0 });
    // A look each second makes the history; what comes and goes between two of them is not in it.
    wait_until("it is noticed", PATIENCE, || agent.ask("/v1/destinations/hec/history").1["states"][0].is_object());
    hec.come_up();
    hec.wait_distinct(201, PATIENCE);
    let is_there = |history: &Value| {
        let delivered = numbers(history, "delivered_events_per_second");
        let is_active =
            history["states"].as_array().and_then(|states| states.last()).is_some_and(|last| last["to"] == "active");
        delivered.iter().any(|rate| *rate > 0.0) && delivered.len() > 1 && is_active
    };
    let history = wait_for("two samples are taken", PATIENCE, || {
        let (status, history) = agent.ask("/v1/destinations/hec/history");
        (status == 200 && is_there(&history)).then_some(history)
    });
    let samples = numbers(&history, "at_ms").len();
    for key in ["delivered_events_per_second", "delivered_bytes_per_second", "lag_ms", "backlog_events"] {
        let values = numbers(&history, key);
        assert!(values.len() == samples && values.iter().all(|value| *value >= 0.0), "{key}: {history}");
    }
    let latencies =
        |key: &str| history[key].as_array().map_or(0, |values| values.iter().filter(|ms| ms.is_u64()).count());
    assert!((1..=samples).contains(&latencies("latency_p50_ms")), "{history}");
    assert_eq!(latencies("latency_p50_ms"), latencies("latency_p99_ms"));
    let states = history["states"].as_array().expect("changes are listed");
    assert_eq!(
        (&states[0]["from"], &states[states.len() - 1]["to"]),
        (&"active".into(), &"active".into()),
        "{history}"
    );
    assert_eq!(states[0]["code"], "unreachable");

    let (status, whole) = agent.ask("/v1/history");
    assert_eq!((status, numbers(&whole, "at_ms").len() >= samples), (200, true), "{whole}");
    assert!(numbers(&whole, "intake_events_per_second").iter().any(|rate| *rate > 0.0), "{whole}");
    assert!(numbers(&whole, "log_bytes").iter().all(|bytes| *bytes > 0.0), "{whole}");
    assert_eq!(agent.ask("/v1/destinations/hek/history").0, 404);
}

#[test]
fn a_statement_that_was_accepted_is_noticed() {
    let (hec, auditor) = (Hec::plain(), Hec::plain());
    let mut agent = with_an_auditor(&hec, &auditor);
    settle(&write(&agent, Workload::new(1, 5, 50)), &hec);
    assert_eq!(status_of(&agent, "hec")["last_statement_ms"], Value::Null, "the first one is due in five minutes");
    // Another filter ends the epoch, and with it goes its last statement.
    agent.config.destination("hec").set("filter", "{ actions = [\"file.*\"] }");
    agent.reload();
    let status = wait_for("the last statement of the epoch is accepted", PATIENCE, || {
        let status = status_of(&agent, "hec");
        status["last_statement_ms"].is_u64().then_some(status)
    });
    assert!(status["last_success_ms"].as_u64() >= status["last_statement_ms"].as_u64(), "{status}");
    let shown = agent.command(&["destination", "show", "hec"]).stdout;
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        shown.contains("heard     accepted something ") && shown.contains("a statement of its numbers "),
        "{shown}"
    );
}
