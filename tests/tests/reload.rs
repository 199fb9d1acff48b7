//! A changed configuration takes effect whole or not at all, without disturbing what did not change.

use std::time::Duration;

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Key, Producer, Workload};
use scaidrive_tests::hec::Hec;
use scaidrive_tests::oracle::{assert_statements_hold, compare, statements};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, settle, write, write_one};
use scaidrive_tests::wait::{holds_for, wait_until};

#[test]
fn lesson_35_a_reload_touches_only_what_changed_and_returns() {
    let (kept, changed, added) = (Hec::plain(), Hec::plain(), Hec::plain());
    let mut agent = Agent::new();
    agent.add_hec("kept", &kept).set("ordered", "true").set("filter", ONLY_GENERATED);
    agent.add_hec("changed", &changed).set("ordered", "true").set("filter", ONLY_GENERATED);
    agent.start();
    let flow = Workload { pause: Duration::from_millis(5), ..Workload::new(1, 20, 4_000) };
    let producer = Producer::start(&agent.config.socket, flow);
    wait_until("events flow", PATIENCE, || kept.generated() > 300 && changed.generated() > 300);
    let connections = kept.connection_count();

    agent.config.destination("changed").set("batch", "{ max_events = 10 }");
    agent.add_hec("added", &added).set("filter", ONLY_GENERATED);
    agent.reload();
    wait_until("the added destination gets events", PATIENCE, || added.generated() > 0);
    let ledger = producer.finish(PATIENCE);
    settle(&ledger, &kept).assert_exactly_once();
    settle(&ledger, &changed).assert_contiguous();
    assert_eq!(kept.connection_count(), connections, "an unchanged destination keeps its connections");

    agent.config.destinations.retain(|destination| destination.name != "changed");
    agent.reload();
    // A signal does not wait; the shards show when they work by the new settings.
    wait_until("the shards know nothing of the removed destination", PATIENCE, || {
        let labels = [("destination", "changed")];
        agent.metrics().sum("scaidrive_siem_destination_delivered_total", &labels).is_none()
    });
    let gone = changed.count();
    write(&agent, Workload::new(2, 20, 500));
    kept.wait_distinct(4_500, PATIENCE);
    let late: Vec<Key> = changed.arrivals().list[gone..].iter().filter_map(|arrival| arrival.key).collect();
    assert!(late.is_empty(), "a removed destination gets nothing more; it got {late:?}");
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_explained() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let other = Hec::plain();
    agent.add_hec("other", &other);
    agent.config.destination("hec").set("batch", "{ max_events = 0, max_sise = \"1KiB\" }");
    agent.reload();
    wait_until("it says what is wrong", PATIENCE, || {
        agent.said().contains("max_events") && agent.said().contains("max_sise")
    });
    let reloaded = agent.command(&["reload"]);
    let talk = String::from_utf8_lossy(&reloaded.stderr);
    assert_eq!(reloaded.status.code(), Some(78), "{talk}");
    assert!(talk.contains("the one in force stays") && talk.contains("max_sise"), "{talk}");
    let ledger = write(&agent, Workload::new(1, 20, 500));
    settle(&ledger, &hec).assert_exactly_once();
    assert_eq!(other.request_count(), 0, "not one part of a wrong configuration takes effect");
    let output = agent.command(&["check"]);
    assert!(!output.status.success());
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for wanted in ["max_events", "max_sise", "agent.toml"] {
        assert!(text.contains(wanted), "no {wanted:?} in {text}");
    }
}

#[test]
fn a_changed_filter_begins_a_new_stream_and_closes_the_old_one_with_a_true_statement() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", "{ actions = [\"file.*\"] }");
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 1_000));
    wait_until("the first filter's events are there", PATIENCE, || {
        agent.metric("destination_unread_events", &[]) == 0.0 && hec.count() > 100
    });
    agent.config.destination("hec").set("filter", ONLY_GENERATED);
    agent.reload();
    wait_until("the old stream is closed", PATIENCE, || {
        statements(&hec.arrivals()).iter().any(|statement| statement.is_final)
    });
    ledger.merge(write(&agent, Workload::new(2, 20, 1_000)));
    wait_until("the second filter's events are there", PATIENCE, || {
        hec.arrivals().list.iter().filter(|arrival| arrival.key.is_some_and(|key| key.run == 2)).count() >= 1_000
    });
    let arrivals = hec.arrivals();
    let report = compare(&ledger, &arrivals);
    assert_eq!(report.streams.len(), 2, "{:?}", report.streams.keys());
    report.assert_contiguous();
    assert!(report.duplicates.is_empty());
    assert_statements_hold(&report, &statements(&arrivals));
    let last = statements(&arrivals).into_iter().rfind(|statement| statement.is_final).unwrap();
    assert_eq!(last.range.end, report.streams[&last.stream].max + 1, "the last statement covers the whole stream");
}

#[test]
fn a_new_destination_may_be_added_while_another_hangs() {
    let (hung, added) = (Hec::plain(), Hec::plain());
    hung.set_fault(scaidrive_tests::hec::Fault::Hang);
    let mut agent = Agent::with_hec(&hung);
    write(&agent, Workload::new(1, 5, 100));
    wait_until("it hangs", PATIENCE, || hung.request_count() > 0);
    for round in 0..5 {
        agent.add_hec(&format!("added-{round}"), &added);
        agent.reload();
        let before = added.generated();
        wait_until("the reload took effect", PATIENCE, || {
            write_one(&agent, Key { run: 2, tenant: round, count: added.count() as u32 });
            added.generated() > before
        });
    }
    holds_for("it still runs", Duration::from_millis(200), || agent.is_ready());
    agent.stop();
}
