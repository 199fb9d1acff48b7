//! What can be read of a running agent: a filter tried on its log, its events as they come, and what it says of itself.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_tests::agent_process::{Agent, binary};
use scaidrive_tests::generator::{Key, Workload};
use scaidrive_tests::hec::Hec;
use scaidrive_tests::http::{HttpReply, over_socket};
use scaidrive_tests::oracle::compare;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, wait_idle, write, write_one};
use scaidrive_tests::wait::{wait_for, wait_until};
use serde_json::{Value, json};

#[track_caller]
fn ask(agent: &Agent, method: &str, target: &str, body: &Value) -> HttpReply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    over_socket(&agent.config.admin_socket, method, target, body.as_bytes()).expect("the agent answers")
}

#[track_caller]
fn get(agent: &Agent, target: &str) -> Value {
    let reply = ask(agent, "GET", target, &Value::Null);
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).expect("the agent answers in JSON")
}

#[track_caller]
fn preview(agent: &Agent, tried: Value) -> Value {
    let reply = ask(agent, "POST", "/v1/preview", &tried);
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).expect("the agent answers in JSON")
}

#[test]
fn a_filter_that_is_tried_on_the_log_would_have_sent_what_the_same_filter_sends() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.shards = 2;
    agent.config.set_buffer("max_size", "\"1GiB\"");
    let filter = "{ actions = [\"file.*\"], severities = [\"info\", \"notice\"] }";
    agent.add_hec("hec", &hec).set("filter", filter);
    agent.start();
    let ledger = write(&agent, Workload::new(1, 20, 3_000));
    wait_idle(&agent, "hec");
    let delivered = |agent: &Agent| agent.metric("destination_delivered_total", &[("destination", "hec")]);
    wait_until("all that was selected is delivered", PATIENCE, || {
        agent.metric("destination_in_hand_events", &[("destination", "hec")]) == 0.0
    });
    // It reads what the shards have published of the log, which they do once a second at least.
    let all = ledger.acked.len() as u64;
    wait_until("a preview sees all events", PATIENCE, || {
        preview(&agent, json!({"destination": "hec"}))["judged"].as_u64() >= Some(all)
    });
    let saved = preview(&agent, json!({"destination": "hec"}));
    let written = preview(&agent, json!({"filter": {"actions": ["file.*"], "severities": ["info", "notice"]}}));
    assert_eq!(saved["selected"].as_f64(), Some(delivered(&agent)), "{saved}");
    assert_eq!(saved["selected"], written["selected"]);
    let selected = saved["selected"].as_u64().unwrap();
    assert!(selected > 0 && selected < 3_000, "{saved}");
    assert!(saved["summary"].as_str().unwrap().starts_with("would have sent "), "{saved}");
    assert_eq!(preview(&agent, json!({"filter": {"actions": ["file.*"]}, "tenants": ["nobody"]}))["judged"], 0);

    let refused = ask(&agent, "POST", "/v1/preview", &json!({"filter": {"severities": ["loud"]}}));
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("filter.severities") && refused.text().contains("is not a severity"));
    let told = agent.command(&["destination", "preview", "hec"]);
    assert!(String::from_utf8_lossy(&told.stdout).starts_with("would have sent "), "{told:?}");
    agent.assert_books_balance();
}

#[test]
fn who_watches_sees_events_as_they_come_once_each_until_the_agent_ends() {
    let hec = Hec::plain();
    let mut agent = Agent::with_hec(&hec);
    let tenant = Key { run: 1, tenant: 3, count: 0 }.tenant_id();
    let mut child = Command::new(binary())
        .args(["tail", "--once", "--json", "--tenant", &tenant, "--config"])
        .arg(agent.dir().join("agent.toml"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the agent's binary can be started");
    let (to, lines) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(to.send(line))));
    let begun = Instant::now();
    let mut seen: Vec<Value> = Vec::new();
    for count in 0.. {
        write_one(&agent, Key { run: 1, tenant: 3, count });
        write_one(&agent, Key { run: 1, tenant: 4, count });
        thread::sleep(Duration::from_millis(50));
        seen.extend(lines.try_iter().map(|line| serde_json::from_str(&line).expect("it writes JSON")));
        if seen.len() >= 20 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "only {} events were shown", seen.len());
    }
    assert!(seen.iter().all(|line| line["event"]["tenant_id"] == tenant.as_str()), "{seen:?}");
    let numbers: Vec<u64> = seen.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let ids: Vec<&str> = seen.iter().map(|line| line["event"]["event_id"].as_str().unwrap()).collect();
    let keys: Vec<Key> = ids.iter().filter_map(|id| Key::parse(id)).collect();
    assert!(keys.windows(2).all(|pair| pair[1].count == pair[0].count + 1), "none is missing in between: {keys:?}");

    let refused = ask(&agent, "GET", "/v1/tail?colour=red", &Value::Null);
    assert_eq!(refused.status, 400, "{}", refused.text());
    agent.stop();
    assert!(wait_for("the command ends with the agent", PATIENCE, || child.try_wait().unwrap()).success());
}

/// Reads the agent's own events behind `after` until there are no more.
#[track_caller]
fn own_events(agent: &Agent, after: &mut String) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let after_text = if after.is_empty() { String::new() } else { format!("after={after}&") };
        let page = get(agent, &format!("/v1/agent-events?{after_text}limit=7"));
        assert_eq!(page["lost"], false, "{page}");
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        *after = page["next"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            return events;
        }
    }
}

fn of_action<'a>(events: &'a [Value], action: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"]["action"] == action).collect()
}

#[test]
fn a_drop_is_read_by_an_audit_trail_while_the_only_siem_is_down_and_nothing_twice_over_restarts() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.set_buffer("segment_size", "\"1MiB\"").set_buffer("max_size", "\"8MiB\"");
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED).set("ordered", "true");
    hec.go_down();
    agent.start();
    let mut after = String::new();
    let mut all = own_events(&agent, &mut after);
    wait_until("that the agent runs is told", PATIENCE, || {
        all.extend(own_events(&agent, &mut after));
        !of_action(&all, "siem.agent_started").is_empty()
    });

    // Who waits is answered when something happens, within two seconds.
    let paused = agent.command(&["destination", "pause", "hec"]);
    assert!(paused.status.success(), "{paused:?}");
    let asked = Instant::now();
    wait_until("that it was paused is told", PATIENCE, || {
        let page = get(&agent, &format!("/v1/agent-events?after={after}&wait=10s"));
        after = page["next"].as_str().unwrap().to_owned();
        all.extend(page["events"].as_array().unwrap().iter().cloned());
        !of_action(&all, "siem.config_changed").is_empty()
    });
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(agent.command(&["destination", "resume", "hec"]).status.success());

    // More than twice the budget.
    let ledger = write(&agent, Workload::new(1, 20, 30_000));
    wait_until("the drop is told", PATIENCE, || {
        all.extend(own_events(&agent, &mut after));
        !of_action(&all, "siem.buffer_overflow").is_empty()
    });
    let told = get(&agent, "/v1/destinations/hec/episodes");
    let episode = &told["episodes"][0];
    assert_eq!((&told["is_overflowing"], &episode["is_running"]), (&json!(true), &json!(true)), "{told}");
    assert!(episode["dropped_count"].as_u64().unwrap() > 0 && !episode["ranges"].as_array().unwrap().is_empty());

    agent.kill();
    agent.start();
    wait_until("that it runs again is told", PATIENCE, || {
        all.extend(own_events(&agent, &mut after));
        of_action(&all, "siem.agent_started").len() == 2
    });
    hec.come_up();
    let newest = *ledger.acked.last().unwrap();
    wait_until("the newest event arrives", PATIENCE, || {
        hec.arrivals().list.iter().any(|arrival| arrival.key == Some(newest))
    });
    agent.restart();
    all.extend(own_events(&agent, &mut after));
    assert_eq!(of_action(&all, "siem.agent_stopped").len(), 1, "the last words are kept too");
    let notices = of_action(&all, "siem.buffer_overflow");
    let dropped: u64 = notices.iter().filter_map(|notice| notice["event"]["payload"]["dropped_count"].as_u64()).sum();
    let missing = compare(&ledger, &hec.arrivals()).missing.len() as u64;
    assert!(dropped > 0 && dropped <= missing, "{dropped} of {missing}: a kill may hide what was dropped just before");
    let cursors: HashSet<&str> = all.iter().map(|event| event["cursor"].as_str().unwrap()).collect();
    let ids: HashSet<&str> = all.iter().map(|event| event["event"]["event_id"].as_str().unwrap()).collect();
    assert_eq!((cursors.len(), ids.len()), (all.len(), all.len()), "no event came twice");

    let other = ask(&agent, "GET", "/v1/agent-events?after=x", &Value::Null);
    assert_eq!(other.status, 400, "{}", other.text());
}
