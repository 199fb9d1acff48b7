use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use scaidrive_tests::agent_config::{Destination, quoted};
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Key, Ledger, Producer, Workload, event_line};
use scaidrive_tests::opensearch::{Counters, OpenSearch};
use scaidrive_tests::oracle::compare;
use scaidrive_tests::rng::{Rng, seed};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::skip::skip;
use scaidrive_tests::wait::wait_until;
use serde_json::{Value, json};

use super::workload;

const STREAM: &str = "audit-test";

/// The node, or nothing where this machine cannot have one; then the test `name` is skipped.
fn started(name: &str, start: impl FnOnce() -> OpenSearch) -> Option<OpenSearch> {
    if let Some(reason) = OpenSearch::missing() {
        skip(name, &reason);
        return None;
    }
    let node = start();
    let properties = json!({
        "@timestamp": { "type": "date" },
        "event_id": { "type": "keyword" },
        "payload": { "type": "flat_object" },
        "siem": { "dynamic": true, "type": "object" },
    });
    let template = json!({
        "index_patterns": ["audit-*"],
        "data_stream": {},
        "template": {
            "settings": { "number_of_replicas": 0 },
            "mappings": { "dynamic": "false", "properties": properties },
        },
    });
    node.ask("PUT", "/_index_template/audit", &template);
    Some(node)
}

/// A destination, called as its data stream or index, that gets the generated events.
fn destination(node: &OpenSearch, target: &str) -> Destination {
    Destination { name: target.to_owned(), lines: Vec::new() }
        .with("type", "\"elastic\"")
        .with("url", &quoted(&node.url()))
        .with("target", &quoted(target))
        .with("filter", ONLY_GENERATED)
}

/// A producer of some hundred events a second, for as long as it is let.
fn flow(agent: &Agent) -> Producer {
    let workload = Workload { pause: Duration::from_millis(150), ..Workload::new(1, 20, u64::MAX) };
    Producer::start(&agent.config.socket, workload)
}

/// Ends the node, in order or not, and has it come up again.
fn restart(node: &mut OpenSearch, is_orderly: bool) {
    if is_orderly {
        node.stop();
    } else {
        node.kill();
    }
    node.come_up();
}

fn key(n: u32) -> Key {
    Key { run: 1, tenant: 1, count: n }
}

/// Lines of the bulk API that create the documents `s:N` from generated events.
fn creates(numbers: Range<u32>) -> Vec<u8> {
    let mut lines = Vec::new();
    for n in numbers {
        let stamp = format!(
            "{{\"create\":{{\"_id\":\"s:{n}\"}}}}\n{{\"@timestamp\":\"2026-05-12T14:23:01.453Z\",\"siem\":{{\"node\":\"a\",\"stream\":\"s\",\"n\":{n}}},"
        );
        lines.extend_from_slice(stamp.as_bytes());
        lines.extend_from_slice(&event_line(key(n), 600)[1..]);
        lines.push(b'\n');
    }
    lines
}

/// Posts lines and returns the status of each item; a request that is refused whole has no items but its own status.
fn statuses(node: &OpenSearch, lines: &[u8]) -> Vec<u64> {
    let reply = node.bulk(STREAM, lines).expect("the node answers");
    let answer: Value = serde_json::from_slice(&reply.body).expect("the node answers with JSON");
    match answer["items"].as_array() {
        Some(items) => {
            items.iter().map(|item| item["create"]["status"].as_u64().expect("an item has a status")).collect()
        }
        None => vec![u64::from(reply.status)],
    }
}

#[track_caller]
fn assert_holds_exactly(node: &OpenSearch, numbers: Range<u32>) {
    let documents = node.documents(STREAM);
    let ids: BTreeSet<&str> = documents.iter().map(|document| document.id.as_str()).collect();
    assert_eq!(ids.len(), documents.len(), "an id is there twice");
    assert_eq!(ids, numbers.clone().map(|n| format!("s:{n}")).collect::<Vec<_>>().iter().map(String::as_str).collect());
    let ledger = Ledger { acked: numbers.map(key).collect(), ..Ledger::default() };
    compare(&ledger, &node.arrivals(STREAM)).assert_exactly_once();
}

#[test]
fn events_arrive_in_a_data_stream_once_each_under_its_stream_and_number() {
    let dir = tempfile::tempdir().unwrap();
    let name = "opensearch::events_arrive_in_a_data_stream_once_each_under_its_stream_and_number";
    let Some(node) = started(name, || OpenSearch::start(dir.path())) else { return };
    let agent = Agent::with([destination(&node, STREAM)]);
    let ledger = write(&agent, workload());
    node.wait_distinct(STREAM, ledger.acked.len(), PATIENCE);
    compare(&ledger, &node.arrivals(STREAM)).assert_exactly_once();
    for document in node.documents(STREAM) {
        assert_eq!(document.id, document.stream_and_number());
    }
    let counted = node.counters(STREAM);
    assert_eq!((counted.documents, counted.failed), (ledger.acked.len() as u64, 0), "{counted:?}");
}

/// The starter content's questions, put to what the agent has sent under the template that it prints.
#[test]
fn the_starter_queries_find_the_one_number_that_is_missing_and_what_else_they_ask_for() {
    const TARGET: &str = "logs-scaidrive.audit-default";
    const FAILURES: u64 = 20;
    let dir = tempfile::tempdir().unwrap();
    let name = "opensearch::the_starter_queries_find_the_one_number_that_is_missing_and_what_else_they_ask_for";
    let Some(node) = started(name, || OpenSearch::start(dir.path())) else { return };
    let target = Destination { name: "siem".to_owned(), lines: Vec::new() };
    let agent = Agent::with([target.with("type", "\"elastic\"").with("url", &quoted(&node.url()))]);
    let template = agent.command(&["destination", "template", "siem", "--flavor", "opensearch"]).stdout;
    node.ask("PUT", &format!("/_index_template/{TARGET}"), &serde_json::from_slice(&template).unwrap());
    let mut lines = starter_event("link-0", "SHARING", "link.create");
    for n in 0..FAILURES {
        lines += &starter_event(&format!("sign-in-{n}"), "AUTHENTICATION", "auth.login_failed");
    }
    let events = dir.path().join("events.ndjson");
    std::fs::write(&events, lines).unwrap();
    assert!(agent.command(&["emit", events.to_str().unwrap()]).status.success());
    let search = |query: &Value| node.ask("POST", &format!("/{TARGET}/_search"), query);
    let of_ours = |events: &Value| events["hits"]["total"]["value"] == FAILURES + 1;
    wait_until("all events are there", PATIENCE, || {
        node.request("POST", &format!("/{TARGET}/_refresh"), &Value::Null).is_ok_and(|reply| reply.status == 200)
            && of_ours(&search(&json!({ "query": { "term": { "tenant_id": "acme" } } })))
    });

    let missing = starter_json("missing_numbers.json");
    let incomplete = || search(&missing)["aggregations"]["streams"]["buckets"].clone();
    assert_eq!(incomplete(), json!([]));
    let documents = node.documents(TARGET);
    let inner = documents.iter().find(|document| {
        let source: Value = serde_json::from_slice(&document.source).unwrap();
        source["event_id"] == format!("sign-in-{}", FAILURES / 2)
    });
    let inner = inner.expect("each event is there");
    let stream = inner.stream_and_number().rsplit_once(':').unwrap().0.to_owned();
    node.ask("DELETE", &format!("/{}/_doc/{}?refresh=true", inner.index, inner.id), &Value::Null);
    let found = incomplete();
    assert_eq!((found[0]["key"].as_str(), found[0]["missing"]["value"].as_f64()), (Some(stream.as_str()), Some(1.0)));
    assert_eq!(found.as_array().unwrap().len(), 1);

    let monitored = |name: &str| {
        let monitor = starter_json(&format!("monitors/{name}.json"));
        assert_eq!(monitor["inputs"][0]["search"]["indices"], json!(["logs-scaidrive.audit-*"]));
        search(&monitor["inputs"][0]["search"]["query"])
    };
    assert_eq!(monitored("missing_numbers")["aggregations"]["streams"]["buckets"], found);
    assert_eq!(monitored("losses")["hits"]["total"]["value"], 0);
    assert_eq!(monitored("silent_agents")["hits"]["total"]["value"], 0);
    // One short of what it asks for, since one of the twenty is deleted.
    let users = |found: &Value| found["aggregations"]["users"]["buckets"].clone();
    assert_eq!(users(&monitored("failed_sign_ins")), json!([]));
    let mut fewer = starter_json("monitors/failed_sign_ins.json")["inputs"][0]["search"]["query"].clone();
    fewer["aggs"]["users"]["terms"]["min_doc_count"] = json!(FAILURES - 1);
    assert_eq!(users(&search(&fewer)), json!([{ "key": "alice@example.com", "doc_count": FAILURES - 1 }]));

    // What the dashboard's own language makes of `payload.scope : "external"`.
    let scope = search(&json!({ "query": { "match_phrase": { "payload.scope": "external" } } }));
    assert_eq!(scope["hits"]["total"]["value"], 1);
    let mut aggregated = 0;
    for object in starter_text("dashboard.ndjson").lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let Some(state) = object["attributes"]["visState"].as_str() else { continue };
        for part in serde_json::from_str::<Value>(state).unwrap()["aggs"].as_array().unwrap() {
            if let (Some(field), Some(kind)) = (part["params"]["field"].as_str(), part["type"].as_str()) {
                let answer = search(&json!({ "size": 0, "aggs": { "a": { kind: { "field": field } } } }));
                assert!(answer["aggregations"]["a"].is_object(), "{kind} of {field}: {answer}");
                aggregated += 1;
            }
        }
    }
    assert!(aggregated > 10);
}

/// A line with one event of now.
fn starter_event(id: &str, category: &str, action: &str) -> String {
    let event = json!({
        "event_id": id, "timestamp": jiff::Timestamp::now().to_string(), "tenant_id": "acme", "category": category,
        "action": action, "severity": "info", "user_email": "alice@example.com", "ip": "203.0.113.42",
        "payload": { "scope": if action == "link.create" { "external" } else { "none" } },
    });
    format!("{event}\n")
}

fn starter_text(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/content/opensearch");
    std::fs::read_to_string(root.join(path)).unwrap()
}

fn starter_json(path: &str) -> Value {
    serde_json::from_str(&starter_text(path)).unwrap()
}

/// Under its number each record of the log is one document, and under its own id each event, however often it was written.
#[test]
fn it_holds_one_document_for_each_acknowledged_event_after_20_kills_of_the_agent_and_3_restarts() {
    const KILLS: u32 = 20;
    const RESTARTS: u32 = 3;
    const BY_EVENT: &str = "audit-by-event";
    let dir = tempfile::tempdir().unwrap();
    let name =
        "opensearch::it_holds_one_document_for_each_acknowledged_event_after_20_kills_of_the_agent_and_3_restarts";
    let Some(mut node) = started(name, || OpenSearch::start(dir.path())) else { return };
    let mut rng = Rng::new(seed(20_261_125));
    let mut agent = Agent::new();
    agent.config.shards = 2;
    agent.config.set_buffer("segment_size", "\"1MiB\"");
    agent.config.add(destination(&node, STREAM));
    agent.config.add(destination(&node, BY_EVENT).with("document_id", "\"event_id\""));
    agent.start();
    let producer = flow(&agent);
    // Before the first restart, and beside each.
    for round in 0..=RESTARTS {
        thread::scope(|scope| {
            if round > 0 {
                scope.spawn(|| restart(&mut node, round == 2));
            }
            for _ in 0..KILLS / (RESTARTS + 1) {
                let before = producer.acked();
                thread::sleep(Duration::from_millis(rng.below(2_000)));
                wait_until("events flow again", PATIENCE, || producer.acked() > before);
                agent.kill();
                agent.start();
            }
        });
    }
    producer.stop();
    let ledger = producer.finish(PATIENCE);
    assert_eq!(ledger.unacked, [], "every event comes to its acknowledgement in the end");
    assert!(ledger.reconnects >= KILLS, "{} reconnects", ledger.reconnects);
    for target in [STREAM, BY_EVENT] {
        node.wait_distinct(target, ledger.acked.len(), PATIENCE * 2);
    }
    compare(&ledger, &node.arrivals(STREAM)).assert_exactly_once();
    let documents = node.documents(BY_EVENT).into_iter().map(|document| document.id);
    let (mut held, own): (Vec<String>, Vec<String>) = documents.partition(|id| Key::parse(id).is_some());
    let mut acked: Vec<String> = ledger.acked.iter().map(|key| key.event_id()).collect();
    held.sort_unstable();
    acked.sort_unstable();
    assert!(held == acked, "{} documents for {} acknowledged events", held.len(), acked.len());
    assert_eq!(own.len(), node.arrivals(BY_EVENT).own_events().count(), "what else is there the agent says itself");
    agent.assert_books_balance();
}

#[test]
fn restarts_in_the_middle_lose_and_repeat_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let name = "opensearch::restarts_in_the_middle_lose_and_repeat_nothing";
    let Some(mut node) = started(name, || OpenSearch::start(dir.path())) else { return };
    let agent = Agent::with([destination(&node, STREAM)]);
    let producer = flow(&agent);
    for is_orderly in [true, false] {
        let before = producer.acked();
        wait_until("events flow", PATIENCE, || producer.acked() > before + 500);
        restart(&mut node, is_orderly);
    }
    producer.stop();
    let ledger = producer.finish(PATIENCE);
    node.wait_distinct(STREAM, ledger.acked.len(), PATIENCE);
    compare(&ledger, &node.arrivals(STREAM)).assert_exactly_once();
    agent.assert_books_balance();
}

#[test]
fn an_event_that_breaks_a_strict_mapping_becomes_a_dead_letter_with_opensearchs_own_reason() {
    let dir = tempfile::tempdir().unwrap();
    let name = "opensearch::an_event_that_breaks_a_strict_mapping_becomes_a_dead_letter_with_opensearchs_own_reason";
    let Some(node) = started(name, || OpenSearch::start(dir.path())) else { return };
    let mut properties = json!({
        "@timestamp": { "type": "date" },
        "payload": { "type": "flat_object" },
        "siem": { "dynamic": true, "type": "object" },
    });
    for field in [
        "event_id",
        "timestamp",
        "tenant_id",
        "category",
        "action",
        "severity",
        "user_id",
        "user_email",
        "resource_id",
        "resource_path",
        "ip",
        "user_agent",
        "session_id",
    ] {
        properties[field] = json!({ "type": "keyword" });
    }
    node.ask("PUT", "/strict", &json!({ "mappings": { "dynamic": "strict", "properties": properties } }));
    let agent = Agent::with([destination(&node, "strict")]);
    let mut ledger = write(&agent, Workload::new(1, 1, 200));
    let mut session = agent.session();
    let mut line = event_line(Key { run: 2, tenant: 0, count: 0 }, 600);
    line.pop();
    line.extend_from_slice(b",\"surprise\":1}\n");
    session.send(&line).unwrap();
    assert!(session.wait_acked(1, PATIENCE), "the agent takes members that it does not know");
    ledger.merge(write(&agent, Workload::new(3, 1, 200)));
    wait_until("it is a dead letter", PATIENCE, || agent.metric("destination_deadlettered_total", &[]) == 1.0);
    node.wait_distinct("strict", ledger.acked.len(), PATIENCE);
    let report = compare(&ledger, &node.arrivals("strict"));
    report.assert_nothing_lost();
    assert!(report.duplicates.is_empty(), "{:?}", report.duplicates);
    let list = agent.command(&["deadletter", "list", "--json"]);
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    for word in ["strict_dynamic_mapping_exception", "dynamic introduction of [surprise]"] {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    agent.assert_books_balance();
}

#[test]
fn a_queue_that_is_too_small_for_all_at_once_loses_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let name = "opensearch::a_queue_that_is_too_small_for_all_at_once_loses_and_repeats_nothing";
    let Some(node) = started(name, || OpenSearch::start_with_small_queue(dir.path())) else { return };
    let targets: Vec<String> = (0..6).map(|number| format!("audit-{number}")).collect();
    let mut agent = Agent::new();
    agent.config.shards = 2;
    for target in &targets {
        let batch = "{ max_events = 50 }";
        agent.config.add(destination(&node, target).with("batch", batch).with("in_flight", "16"));
    }
    agent.start();
    let ledger = write(&agent, workload());
    for target in &targets {
        node.wait_distinct(target, ledger.acked.len(), PATIENCE * 2);
        compare(&ledger, &node.arrivals(target)).assert_exactly_once();
    }
    assert!(node.rejected_writes() > 0, "the queue was never full");
    assert_eq!(agent.metric("destination_deadlettered_total", &[]), 0.0);
    agent.assert_books_balance();
}

#[test]
fn by_itself_a_data_stream_takes_each_id_once() {
    let dir = tempfile::tempdir().unwrap();
    let Some(node) =
        started("opensearch::by_itself_a_data_stream_takes_each_id_once", || OpenSearch::start(dir.path()))
    else {
        return;
    };
    assert_eq!(node.arrivals(STREAM).list.len(), 0, "nothing was written yet");
    let lines = creates(1..3_001);
    assert!(statuses(&node, &lines).iter().all(|status| *status == 201));
    assert!(statuses(&node, &lines).iter().all(|status| *status == 409), "the second time each id is there");
    assert_holds_exactly(&node, 1..3_001);
    let counted = node.counters(STREAM);
    assert_eq!((counted.documents, counted.written), (3_000, 3_000), "{counted:?}");
}

#[test]
fn by_itself_an_item_that_breaks_a_strict_mapping_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let name = "opensearch::by_itself_an_item_that_breaks_a_strict_mapping_is_refused_alone";
    let Some(node) = started(name, || OpenSearch::start(dir.path())) else { return };
    let properties = json!({
        "event_id": { "type": "keyword" },
        "size": { "type": "long" },
        "payload": { "type": "flat_object" },
    });
    node.ask("PUT", "/strict", &json!({ "mappings": { "dynamic": "strict", "properties": properties } }));
    let lines = concat!(
        "{\"create\":{\"_id\":\"1\"}}\n{\"event_id\":\"a\",\"payload\":{\"x\":{\"y\":[1,\"2\"]}}}\n",
        "{\"create\":{\"_id\":\"2\"}}\n{\"event_id\":\"b\",\"surprise\":1}\n",
        "{\"create\":{\"_id\":\"3\"}}\n{\"event_id\":\"c\",\"size\":\"large\"}\n",
        "{\"create\":{\"_id\":\"4\"}}\n{\"event_id\":\"d\",\"size\":4}\n",
    );
    let reply = node.bulk("strict", lines.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(answer["errors"], true);
    let verdict = |item: &Value| {
        let kind = item["create"]["error"]["type"].as_str().unwrap_or_default();
        (item["create"]["status"].as_u64().unwrap_or_default(), kind.to_owned())
    };
    let verdicts: Vec<(u64, String)> = answer["items"].as_array().unwrap().iter().map(verdict).collect();
    let expected = [(201, ""), (400, "strict_dynamic_mapping_exception"), (400, "mapper_parsing_exception"), (201, "")];
    assert_eq!(verdicts, expected.map(|(status, kind)| (status, kind.to_owned())), "{answer}");
    let ids: Vec<String> = node.documents("strict").into_iter().map(|document| document.id).collect();
    assert_eq!(ids, ["1", "4"]);
}

#[test]
fn by_itself_a_small_queue_answers_429_and_trying_again_gets_everything_in() {
    const WRITERS: u32 = 12;
    const EACH: u32 = 20;
    const BATCH: u32 = 25;
    let dir = tempfile::tempdir().unwrap();
    let name = "opensearch::by_itself_a_small_queue_answers_429_and_trying_again_gets_everything_in";
    let Some(node) = started(name, || OpenSearch::start_with_small_queue(dir.path())) else { return };
    let refusals = AtomicU32::new(0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (node, refusals) = (&node, &refusals);
            scope.spawn(move || {
                for batch in 0..EACH {
                    let first = (writer * EACH + batch) * BATCH + 1;
                    let lines = creates(first..first + BATCH);
                    // 409 is what this batch's own earlier try wrote before the queue was full.
                    while !statuses(node, &lines).iter().all(|status| matches!(status, 201 | 409)) {
                        refusals.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(10));
                    }
                }
            });
        }
    });
    assert!(refusals.into_inner() > 0, "the queue was never full");
    assert!(node.rejected_writes() > 0, "the node's own counter says that the queue was never full");
    assert_holds_exactly(&node, 1..WRITERS * EACH * BATCH + 1);
}

#[test]
fn by_itself_what_was_answered_for_survives_stops_and_kills() {
    let dir = tempfile::tempdir().unwrap();
    let name = "opensearch::by_itself_what_was_answered_for_survives_stops_and_kills";
    let Some(mut node) = started(name, || OpenSearch::start(dir.path())) else { return };
    for round in 0..3 {
        let end = (round + 1) * 100 + 1;
        let lines = creates(end - 100..end);
        assert!(statuses(&node, &lines).iter().all(|status| *status == 201), "round {round}");
        restart(&mut node, round == 1);
        assert_holds_exactly(&node, 1..end);
        assert!(statuses(&node, &lines).iter().all(|status| *status == 409), "round {round}");
        let Counters { documents, .. } = node.counters(STREAM);
        assert_eq!(documents, u64::from(end - 1));
    }
}
