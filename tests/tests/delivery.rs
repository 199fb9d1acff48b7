//! What is acknowledged arrives, once, in order, and nothing else does.

use std::time::Duration;

use scaidrive_tests::agent_config::{Destination, quoted_list};
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::certificates::Authority;
use scaidrive_tests::generator::{HttpWriter, INGEST_PATH, Key, Workload, event_line, refused_lines};
use scaidrive_tests::hec::{Hec, Keep, Settings};
use scaidrive_tests::http;
use scaidrive_tests::oracle::compare;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, ordered, settle, write, write_one};
use scaidrive_tests::syslog::{Framing, Sink};
use scaidrive_tests::wait::holds_for;

const EVENTS: u64 = 5_000;

#[test]
fn events_written_to_the_socket_arrive_exactly_once_and_in_order() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    ordered(&mut agent, "hec", &hec);
    agent.start();
    let ledger = write(&agent, Workload::new(1, 50, EVENTS));
    let report = settle(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
    assert_eq!(report.streams.len(), 1, "one destination, one shard, one epoch: {:?}", report.streams.keys());
    agent.assert_books_balance();
}

#[test]
fn the_bytes_that_arrive_are_the_bytes_that_were_written() {
    let hec = Hec::plain();
    let agent = Agent::with_hec(&hec);
    let ledger = write(&agent, Workload::new(1, 50, 500));
    settle(&ledger, &hec);
    for arrival in hec.arrivals().list {
        if let Some(key) = arrival.key {
            assert_eq!(arrival.raw.as_deref(), Some(&event_line(key, 600)[..]), "{key:?}");
        }
    }
}

#[test]
fn several_shards_number_their_streams_apart_and_lose_nothing() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.shards = 3;
    ordered(&mut agent, "hec", &hec);
    agent.start();
    let ledger = write(&agent, Workload::new(1, 50, EVENTS));
    let report = settle(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
    assert_eq!(report.streams.len(), 3);
}

#[test]
fn events_arrive_over_tls_and_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let identity = authority.issue(dir.path(), "hec", &["localhost"]);
    let hec = Hec::start(Settings { tls: Some(identity.server), ..Settings::default() });
    let mut agent = Agent::new();
    let ca_file = authority.ca_file().display().to_string();
    agent
        .add_hec("hec", &hec)
        .set("compression", "\"gzip\"")
        .set("tls", &format!("{{ ca_file = \"{ca_file}\" }}"))
        .set("filter", ONLY_GENERATED);
    agent.start();
    let ledger = write(&agent, Workload::new(1, 50, EVENTS));
    settle(&ledger, &hec).assert_exactly_once();
    assert!(hec.requests().iter().any(|request| request.wire_bytes < request.body_bytes / 2), "nothing was compressed");
}

#[test]
fn a_receiver_with_a_certificate_from_nowhere_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Authority::new(dir.path()).issue(dir.path(), "hec", &["localhost"]);
    let hec = Hec::start(Settings { tls: Some(identity.server), ..Settings::default() });
    let agent = Agent::with_hec(&hec);
    write(&agent, Workload::new(1, 5, 100));
    holds_for("nothing is sent to a stranger", Duration::from_secs(2), || hec.request_count() == 0);
}

#[test]
fn events_posted_over_http_arrive_exactly_once_and_in_order() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.shards = 2;
    let ingest = agent.config.open_http();
    ordered(&mut agent, "hec", &hec);
    agent.start();
    let ledger = HttpWriter::start(ingest, Workload::new(1, 50, EVENTS)).finish(PATIENCE);
    assert_eq!(ledger.acked.len() as u64, EVENTS);
    let report = settle(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
}

#[test]
fn an_array_over_http_is_taken_apart_and_bad_events_are_named() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    let ingest = agent.config.open_http();
    agent.add_hec("hec", &hec);
    agent.start();
    let good = |count| String::from_utf8(event_line(Key { run: 1, tenant: 1, count }, 600)).unwrap();
    let spread = good(1).replace(",\"tenant_id\"", ",\n\r\n  \"tenant_id\"");
    let body = format!("[{},\n{spread} , {{\"event_id\":\"x\"}},{}]", good(0), good(2));
    let json = [("Content-Type", "application/json")];
    let reply = http::post_once(ingest, INGEST_PATH, &json, body.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let refused = refused_lines(&reply);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].line, 3);
    hec.wait_distinct(3, PATIENCE);
    hec.assert_no_violations();
    let arrivals = hec.arrivals();
    let second = arrivals.list.iter().find(|arrival| arrival.key.is_some_and(|key| key.count == 1)).unwrap();
    assert!(!second.raw.as_deref().unwrap().contains(&b'\n'), "a stored event is one line");
}

#[test]
fn http_from_a_web_page_is_refused() {
    let mut agent = Agent::new();
    let ingest = agent.config.open_http();
    agent.start();
    let line = event_line(Key { run: 1, tenant: 1, count: 0 }, 600);
    let host = format!("evil.example:{}", ingest.port());
    for headers in [("Origin", "https://evil.example"), ("Host", host.as_str())] {
        let reply = http::post_once(ingest, INGEST_PATH, &[headers], &line).unwrap();
        assert!((400..500).contains(&reply.status), "{headers:?}: {}", reply.status);
    }
}

#[test]
fn a_strict_syslog_receiver_finds_no_fault_with_either_framing_or_shape() {
    for (framing, name) in [(Framing::OctetCounting, "octet_counting"), (Framing::LineFeed, "line_feed")] {
        for shape in ["json", "structured"] {
            let sink = Sink::start(framing, None, true);
            let destination = Destination::syslog("sink", "tcp", sink.address())
                .with("framing", &format!("\"{name}\""))
                .with("msg", &format!("\"{shape}\""))
                .with("filter", ONLY_GENERATED);
            let agent = Agent::with([destination]);
            let ledger = write(&agent, Workload::new(1, 20, 500));
            sink.wait_distinct(ledger.acked.len(), PATIENCE);
            sink.assert_no_errors();
            compare(&ledger, &sink.arrivals()).assert_exactly_once();
        }
    }
}

#[test]
fn a_syslog_connection_is_ended_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let identity = authority.issue(dir.path(), "sink", &["localhost"]);
    let sink = Sink::start(Framing::OctetCounting, Some(identity.server), true);
    let mut agent = Agent::with([Destination::syslog("sink", "tls", sink.address()).trusting(authority.ca_file())]);
    let ledger = write(&agent, Workload::new(1, 20, 500));
    sink.wait_distinct(ledger.acked.len(), PATIENCE);
    agent.stop();
    scaidrive_tests::wait::wait_until("the sink sees the end", PATIENCE, || sink.clean_ends() >= 1);
    sink.assert_no_errors();
}

#[test]
fn a_destination_gets_the_tenants_in_its_scope_and_no_one_elses() {
    let (all, two) = (Hec::plain(), Hec::start(Settings { keep: Keep::Bodies, ..Settings::default() }));
    let mut agent = Agent::new();
    agent.add_hec("all", &all).set("filter", ONLY_GENERATED);
    agent.add_hec("two", &two).set("tenants", &quoted_list(&["tnt-00001", "tnt-00002"])).set("filter", ONLY_GENERATED);
    agent.start();
    let ledger = write(&agent, Workload::new(1, 10, 2_000));
    settle(&ledger, &all).assert_exactly_once();
    let mine = ledger.acked.iter().filter(|key| matches!(key.tenant, 1 | 2)).count();
    two.wait_distinct(mine, PATIENCE);
    compare(&ledger, &two.arrivals()).assert_contiguous();
    assert_eq!(two.generated(), mine);
    for body in two.bodies() {
        let text = String::from_utf8_lossy(&body);
        for foreign in [0, 3, 4, 5, 6, 7, 8, 9] {
            assert!(!text.contains(&format!("tnt-{foreign:05}")), "another tenant's bytes on the wire");
        }
    }
}

#[test]
fn odd_events_are_refused_with_a_reason_or_arrive_as_they_came() {
    let hec = Hec::plain();
    let agent = Agent::with_hec(&hec);
    let good = |count| String::from_utf8(event_line(Key { run: 1, tenant: 1, count }, 600)).unwrap();
    // Each line with whether it is an event.
    let lines: Vec<(String, bool)> = vec![
        (good(0), true),
        (good(1).replacen("\"severity\"", "\"action\":\"file.again\",\"severity\"", 1), false),
        (good(2).replacen("\"tenant_id\"", "\"tenant\\u005fid\"", 1), false),
        (good(3).replacen("\"payload\"", "\"siem\":{\"n\":1},\"payload\"", 1), false),
        (good(4).replacen("\"severity\":\"", "\"severity\":\"unheard-of-", 1), true),
        (good(5).replacen("\"payload\"", "\"novel\":[1,{\"x\":null}],\"payload\"", 1), true),
        (good(6).replacen("\"user_id\":\"", "\"user_id\":\"\\u00e4\\n\\\"", 1), true),
        ("[]".to_owned(), false),
        ("null".to_owned(), false),
        ("{".to_owned(), false),
        (String::new(), false),
        (format!("{} {}", good(7), good(8)), false),
        ("x".repeat(300 * 1024), false),
        (good(9), true),
    ];
    let mut session = agent.session();
    for (line, _) in &lines {
        session.send(line.as_bytes()).unwrap();
        session.send(b"\n").unwrap();
    }
    assert!(session.wait_acked(lines.len() as u64, PATIENCE));
    let events = lines.iter().filter(|(_, is_event)| *is_event).count();
    hec.wait_distinct(events, PATIENCE);
    hec.assert_no_violations();
    let refused: Vec<u64> = session.refused().iter().map(|refusal| refusal.line).collect();
    let blank = lines.iter().position(|(line, _)| line.is_empty()).unwrap();
    let expected: Vec<u64> =
        (0..lines.len()).filter(|index| !lines[*index].1 && *index != blank).map(|index| index as u64 + 1).collect();
    assert_eq!(refused, expected);
    assert!(session.refused().iter().all(|refusal| !refusal.reason.is_empty()));
    let arrived: Vec<Vec<u8>> =
        hec.arrivals().list.iter().filter(|a| a.key.is_some()).map(|a| a.raw.as_deref().unwrap().to_vec()).collect();
    let written: Vec<Vec<u8>> =
        lines.iter().filter(|(_, is_event)| *is_event).map(|(line, _)| line.clone().into_bytes()).collect();
    let (mut arrived, mut written) = (arrived, written);
    arrived.sort();
    written.sort();
    assert_eq!(arrived, written, "what arrives is what was written");
}

#[test]
fn a_producer_that_never_reads_its_acknowledgements_is_not_held_up() {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    let hec = Hec::plain();
    let agent = Agent::with_hec(&hec);
    let mut deaf = UnixStream::connect(&agent.config.socket).unwrap();
    deaf.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut line = Vec::new();
    for count in 0..20_000 {
        line.clear();
        scaidrive_tests::generator::write_event(Key { run: 1, tenant: 1, count }, 600, &mut line);
        deaf.write_all(&line).expect("the agent reads on");
    }
    hec.wait_distinct(20_000, PATIENCE);
}

#[test]
fn a_second_agent_on_the_same_state_is_turned_away() {
    let mut agent = Agent::new();
    agent.start();
    let output = agent.command(&["run"]);
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for line in ["error: ", "where: ", "do: "] {
        assert!(text.lines().any(|l| l.starts_with(line)), "no {line:?} in {text}");
    }
    assert!(agent.is_running());
    write_one(&agent, Key { run: 1, tenant: 1, count: 0 });
}
