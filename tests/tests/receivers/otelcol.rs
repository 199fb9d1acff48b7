use std::net::TcpStream;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::certificates::Authority;
use scaidrive_tests::generator::{Key, Workload, event_line};
use scaidrive_tests::http;
use scaidrive_tests::oracle::compare;
use scaidrive_tests::otelcol::{Otelcol, OtelcolPort, OtelcolTls};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::skip::skip;
use scaidrive_tests::tls;
use scaidrive_tests::wait::{holds_for, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{EVENTS, send_datagrams, workload, write_counted};

/// A collector with TLS, its files and the authority that its certificate comes from.
struct Setting {
    collector: Otelcol,
    authority: Authority,
    dir: TempDir,
}

/// A collector, or nothing where this machine cannot have one; then the test `name` is skipped.
fn started(name: &str, is_mutual: bool) -> Option<Setting> {
    if let Some(reason) = Otelcol::missing() {
        skip(name, &reason);
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let identity = authority.issue(dir.path(), "otelcol", &["localhost"]);
    let client_ca = is_mutual.then(|| authority.ca_file());
    let collector = Otelcol::start(dir.path(), Some(OtelcolTls { identity: &identity, client_ca }));
    Some(Setting { collector, authority, dir })
}

fn hec(setting: &Setting, port: OtelcolPort, agent: &Agent) -> Destination {
    Destination::hec("otelcol", &setting.collector.url(port), &agent.token_file())
        .with("ordered", "true")
        .with("filter", ONLY_GENERATED)
}

fn arrives(name: &str, port: OtelcolPort) {
    let Some(setting) = started(name, false) else { return };
    let collector = &setting.collector;
    let mut agent = Agent::new();
    let address = collector.address(port);
    let destination = match port {
        OtelcolPort::Hec | OtelcolPort::HecAck => hec(&setting, port, &agent),
        OtelcolPort::HecTls => hec(&setting, port, &agent).trusting(setting.authority.ca_file()),
        OtelcolPort::SyslogTcp => Destination::syslog("otelcol", "tcp", address).with("filter", ONLY_GENERATED),
        OtelcolPort::SyslogUdp => Destination::syslog("otelcol", "udp", address).with("filter", ONLY_GENERATED),
        OtelcolPort::SyslogTls => Destination::syslog("otelcol", "tls", address)
            .with("filter", ONLY_GENERATED)
            .trusting(setting.authority.ca_file()),
    };
    agent.config.add(destination);
    agent.start();
    let ledger = write(&agent, workload());
    collector.wait_distinct(ledger.acked.len(), PATIENCE);
    let report = compare(&ledger, &collector.arrivals());
    report.assert_exactly_once();
    // The collector's syslog receivers gather messages in batches and hand a full one and an old one on at the same time
    // (`BatchingLogEmitter`), so there the file says nothing about the order in which they came.
    if matches!(port, OtelcolPort::Hec | OtelcolPort::HecAck | OtelcolPort::HecTls) {
        report.assert_ordered();
    }
    assert_eq!(collector.accepted(port), EVENTS, "the collector's own count");
}

#[test]
fn events_arrive_over_hec() {
    arrives("otelcol::events_arrive_over_hec", OtelcolPort::Hec);
}

#[test]
fn events_arrive_over_hec_with_tls() {
    arrives("otelcol::events_arrive_over_hec_with_tls", OtelcolPort::HecTls);
}

#[test]
fn events_arrive_over_hec_where_acknowledgements_are_to_be_had() {
    arrives("otelcol::events_arrive_over_hec_where_acknowledgements_are_to_be_had", OtelcolPort::HecAck);
}

#[test]
fn events_arrive_over_syslog_tcp() {
    arrives("otelcol::events_arrive_over_syslog_tcp", OtelcolPort::SyslogTcp);
}

#[test]
fn events_arrive_over_syslog_tls() {
    arrives("otelcol::events_arrive_over_syslog_tls", OtelcolPort::SyslogTls);
}

#[test]
fn a_restart_in_the_middle_loses_nothing_over_hec() {
    let name = "otelcol::a_restart_in_the_middle_loses_nothing_over_hec";
    let Some(mut setting) = started(name, false) else { return };
    let mut agent = Agent::new();
    let destination = hec(&setting, OtelcolPort::Hec, &agent);
    agent.config.add(destination);
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 2_000));
    setting.collector.wait_distinct(1, PATIENCE);
    setting.collector.stop();
    ledger.merge(write(&agent, Workload::new(2, 20, 2_000)));
    setting.collector.come_up();
    setting.collector.wait_distinct(ledger.acked.len(), PATIENCE);
    let report = compare(&ledger, &setting.collector.arrivals());
    report.assert_nothing_lost();
    report.assert_contiguous();
}

#[test]
fn by_itself_hec_acknowledges_what_comes_on_a_channel() {
    let Some(setting) = started("otelcol::by_itself_hec_acknowledges_what_comes_on_a_channel", false) else { return };
    let address = setting.collector.address(OtelcolPort::HecAck);
    let headers = [
        ("Authorization", "Splunk any"),
        ("X-Splunk-Request-Channel", "8a6b3a3c-5c2f-4f0e-9b61-1de2b3c4d5e6"),
        ("Connection", "close"),
    ];
    let post = |path: &str, body: &Value| -> Value {
        let reply = http::post_once(address, path, &headers, body.to_string().as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    };
    let event: Value = serde_json::from_slice(&event_line(Key { run: 1, tenant: 1, count: 1 }, 600)).unwrap();
    let fields = json!({ "siem_node": "a", "siem_stream": "s", "siem_n": 1 });
    let answer = post("/services/collector/event", &json!({ "time": 1.5, "event": event, "fields": fields }));
    let id = answer["ackId"].as_u64().unwrap_or_else(|| panic!("no ackId: {answer}"));
    let acks = post("/services/collector/ack", &json!({ "acks": [id, id + 1_000] }));
    assert_eq!(acks["acks"][id.to_string()], true, "{acks}");
    assert_eq!(acks["acks"][(id + 1_000).to_string()], false, "nothing was sent under that number: {acks}");
    setting.collector.wait_distinct(1, PATIENCE);
    assert_eq!(setting.collector.arrivals().list[0].n, Some(1));
}

#[test]
fn by_itself_datagrams_are_taken_and_counted() {
    let Some(setting) = started("otelcol::by_itself_datagrams_are_taken_and_counted", false) else { return };
    let collector = &setting.collector;
    send_datagrams(collector.address(OtelcolPort::SyslogUdp), 200, || collector.arrivals().distinct());
    assert_eq!(collector.accepted(OtelcolPort::SyslogUdp), 200);
}

#[test]
fn by_itself_syslog_over_tls_asks_for_a_certificate() {
    let Some(setting) = started("otelcol::by_itself_syslog_over_tls_asks_for_a_certificate", true) else { return };
    let address = setting.collector.address(OtelcolPort::SyslogTls);
    let ca_file = setting.authority.ca_file();
    // The refusal may come during the handshake or after it.
    let _ = tls::connect(address, ca_file, None).and_then(|mut stream| write_counted(&mut stream, 10));
    holds_for("nothing is taken from a stranger", std::time::Duration::from_secs(1), || {
        setting.collector.arrivals().list.is_empty()
    });
    let client = setting.authority.issue_client(setting.dir.path(), "client");
    let mut stream = tls::connect(address, ca_file, Some(&client)).unwrap();
    write_counted(&mut stream, 10).unwrap();
    setting.collector.wait_distinct(10, PATIENCE);
}

#[test]
fn by_itself_syslog_over_tcp_survives_stops_and_kills() {
    let Some(mut setting) = started("otelcol::by_itself_syslog_over_tcp_survives_stops_and_kills", false) else {
        return;
    };
    let collector = &mut setting.collector;
    for round in 1..=3 {
        let mut stream = TcpStream::connect(collector.address(OtelcolPort::SyslogTcp)).unwrap();
        write_counted(&mut stream, 50).unwrap();
        wait_until("the messages are written", PATIENCE, || collector.arrivals().list.len() == round * 50);
        assert_eq!(collector.accepted(OtelcolPort::SyslogTcp), 50, "its counters begin anew");
        if round == 1 {
            collector.stop();
        } else {
            collector.kill();
        }
        collector.come_up();
    }
}
