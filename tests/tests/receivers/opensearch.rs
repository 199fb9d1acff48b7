use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use scaidrive_tests::generator::{Key, Ledger, event_line};
use scaidrive_tests::opensearch::{Counters, OpenSearch};
use scaidrive_tests::oracle::compare;
use scaidrive_tests::skip::skip;
use serde_json::{Value, json};

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
    let pools = node.ask("GET", "/_nodes/stats/thread_pool", &Value::Null);
    let rejected: u64 = pools["nodes"]
        .as_object()
        .unwrap()
        .values()
        .map(|node| node["thread_pool"]["write"]["rejected"].as_u64().unwrap())
        .sum();
    assert!(rejected > 0, "the node's own counter says that the queue was never full");
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
        if round == 1 {
            node.stop();
        } else {
            node.kill();
        }
        node.come_up();
        assert_holds_exactly(&node, 1..end);
        assert!(statuses(&node, &lines).iter().all(|status| *status == 409), "round {round}");
        let Counters { documents, .. } = node.counters(STREAM);
        assert_eq!(documents, u64::from(end - 1));
    }
}
