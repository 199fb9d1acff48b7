//! Syslog to the real rsyslog over UDP, RELP and TLS with client certificates.

use std::path::Path;
use std::thread;
use std::time::Duration;

use scaidrive_tests::agent_config::{Destination, quoted};
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::certificates::{Authority, Identity};
use scaidrive_tests::generator::{Producer, Workload};
use scaidrive_tests::oracle::compare;
use scaidrive_tests::ports::free_port;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::skip::skip;
use scaidrive_tests::syslog::{Rsyslog, RsyslogMode};
use scaidrive_tests::wait::{holds_for, wait_until};

const EVENTS: u64 = 3_000;
/// Datagrams that any socket's buffer holds, however late they are read.
const ROUND: u64 = 50;

fn destination(transport: &str, rsyslog: &Rsyslog) -> Destination {
    Destination::syslog("rsyslog", transport, rsyslog.address()).with("filter", ONLY_GENERATED)
}

/// Trusts the authority in `ca_file`, and shows `client` if there is one.
fn tls(ca_file: &Path, client: Option<&Identity>) -> String {
    let quoted = |path: &Path| quoted(&path.display().to_string());
    let shown = client.map_or_else(String::new, |client| {
        format!(", cert_file = {}, key_file = {}", quoted(&client.certificate_file), quoted(&client.key_file))
    });
    format!("{{ ca_file = {}{shown} }}", quoted(ca_file))
}

/// Everything arrives exactly once and in order over `transport`; with TLS wherever `mode` has it.
fn arrives(name: &str, transport: &str, mode: RsyslogMode) {
    if let Some(reason) = Rsyslog::missing(mode) {
        return skip(name, &reason);
    }
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let (server, client) =
        (authority.issue(dir.path(), "rsyslog", &["localhost"]), authority.issue_client(dir.path(), "agent"));
    let rsyslog = Rsyslog::start(dir.path(), mode, Some((&server, authority.ca_file())));
    let mut destination = destination(transport, &rsyslog);
    if transport.ends_with("tls") {
        let is_mutual =
            matches!(mode, RsyslogMode::GnuTlsMutual | RsyslogMode::OpenSslMutual | RsyslogMode::RelpTlsMutual);
        destination.set("tls", &tls(authority.ca_file(), is_mutual.then_some(&client)));
    }
    let agent = Agent::with([destination]);
    let ledger = write(&agent, Workload::new(1, 50, EVENTS));
    rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
    let report = compare(&ledger, &rsyslog.arrivals());
    report.assert_exactly_once();
    report.assert_ordered();
    agent.assert_books_balance();
}

#[test]
fn events_arrive_at_rsyslog_over_relp() {
    arrives("events_arrive_at_rsyslog_over_relp", "relp", RsyslogMode::Relp);
}

#[test]
fn events_arrive_at_rsyslog_over_relp_with_tls() {
    arrives("events_arrive_at_rsyslog_over_relp_with_tls", "relp_tls", RsyslogMode::RelpTls);
}

#[test]
fn events_arrive_at_rsyslog_over_relp_with_client_certificates() {
    arrives("events_arrive_at_rsyslog_over_relp_with_client_certificates", "relp_tls", RsyslogMode::RelpTlsMutual);
}

#[test]
fn events_arrive_at_rsyslog_over_tls_with_client_certificates() {
    for mode in [RsyslogMode::GnuTlsMutual, RsyslogMode::OpenSslMutual] {
        arrives("events_arrive_at_rsyslog_over_tls_with_client_certificates", "tls", mode);
    }
}

#[test]
fn connectors_7_4_without_the_client_certificate_that_is_demanded_nothing_goes_and_nothing_is_lost() {
    let name = "connectors_7_4_without_the_client_certificate_that_is_demanded_nothing_goes_and_nothing_is_lost";
    for (transport, mode) in [("tls", RsyslogMode::OpenSslMutual), ("relp_tls", RsyslogMode::RelpTlsMutual)] {
        if let Some(reason) = Rsyslog::missing(mode) {
            skip(name, &reason);
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path());
        let server = authority.issue(dir.path(), "rsyslog", &["localhost"]);
        let client = authority.issue_client(dir.path(), "agent");
        let rsyslog = Rsyslog::start(dir.path(), mode, Some((&server, authority.ca_file())));
        let mut agent = Agent::with([destination(transport, &rsyslog).with("tls", &tls(authority.ca_file(), None))]);
        let ledger = write(&agent, Workload::new(1, 20, 200));
        // rsyslog sends no alert, it just closes after the handshake; with an alert the state would be `misconfigured`.
        wait_until("the agent has noticed", PATIENCE, || {
            ["retrying", "circuit_open", "misconfigured"].contains(&agent.state_of("rsyslog").as_str())
        });
        holds_for("nothing arrives", Duration::from_secs(2), || rsyslog.arrivals().distinct() == 0);
        agent.stop();
        agent.config.destination("rsyslog").set("tls", &tls(authority.ca_file(), Some(&client)));
        agent.start();
        rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
        let report = compare(&ledger, &rsyslog.arrivals());
        report.assert_nothing_lost();
        report.assert_contiguous();
    }
}

#[test]
fn events_arrive_at_rsyslog_over_udp_when_it_can_follow() {
    let name = "events_arrive_at_rsyslog_over_udp_when_it_can_follow";
    if let Some(reason) = Rsyslog::missing(RsyslogMode::Udp) {
        return skip(name, &reason);
    }
    let dir = tempfile::tempdir().unwrap();
    let rsyslog = Rsyslog::start(dir.path(), RsyslogMode::Udp, None);
    let agent = Agent::with([destination("udp", &rsyslog)]);
    // What overflows the receiver's socket buffer is lost without a word, so each round is far below that.
    let mut ledger = write(&agent, Workload::new(1, 20, ROUND));
    rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
    for run in 2..8 {
        ledger.merge(write(&agent, Workload::new(run, 20, ROUND)));
        rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
    }
    let report = compare(&ledger, &rsyslog.arrivals());
    report.assert_exactly_once();
    report.assert_ordered();
    agent.assert_books_balance();
}

#[test]
fn connectors_7_4_datagrams_to_nobody_are_held_until_somebody_listens() {
    let name = "connectors_7_4_datagrams_to_nobody_are_held_until_somebody_listens";
    if let Some(reason) = Rsyslog::missing(RsyslogMode::Udp) {
        return skip(name, &reason);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut rsyslog = Rsyslog::start(dir.path(), RsyslogMode::Udp, None);
    rsyslog.stop();
    let agent = Agent::with([destination("udp", &rsyslog).with("batch", "{ max_events = 10 }")]);
    let ledger = write(&agent, Workload::new(1, 20, ROUND));
    wait_until("the agent has noticed", PATIENCE, || {
        ["retrying", "circuit_open"].contains(&agent.state_of("rsyslog").as_str())
    });
    holds_for("nothing counts as delivered", Duration::from_secs(1), || {
        agent.metric("destination_delivered_total", &[("destination", "rsyslog")]) == 0.0
    });
    rsyslog.come_up();
    rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
    compare(&ledger, &rsyslog.arrivals()).assert_nothing_lost();
}

#[test]
fn relp_through_stops_and_kills_of_rsyslog_loses_nothing() {
    let name = "relp_through_stops_and_kills_of_rsyslog_loses_nothing";
    if let Some(reason) = Rsyslog::missing(RsyslogMode::Relp) {
        return skip(name, &reason);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut rsyslog = Rsyslog::start(dir.path(), RsyslogMode::Relp, None);
    let agent = Agent::with([destination("relp", &rsyslog)]);
    let workload = Workload { pause: Duration::from_millis(5), ..Workload::new(1, 20, EVENTS) };
    let producer = Producer::start(&agent.config.socket, workload);
    for round in 0..4 {
        let seen = rsyslog.arrivals().list.len();
        wait_until("more events at rsyslog", PATIENCE, || {
            rsyslog.arrivals().list.len() > seen + 200 || producer.is_done()
        });
        if round % 2 == 0 {
            rsyslog.stop();
        } else {
            rsyslog.kill();
        }
        rsyslog.come_up();
    }
    let ledger = producer.finish(PATIENCE);
    rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
    let report = compare(&ledger, &rsyslog.arrivals());
    report.assert_nothing_lost();
    report.assert_contiguous();
    agent.assert_books_balance();
}

#[test]
fn connectors_8_2_something_that_is_no_relp_server_gets_nothing_and_is_named() {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let listener = std::net::TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = std::io::Write::write_all(&mut stream, b"220 mail.example.com ESMTP\r\n");
        }
    });
    let agent = Agent::with([Destination::syslog("siem", "relp", address).with("filter", ONLY_GENERATED)]);
    write(&agent, Workload::new(1, 5, 50));
    wait_until("the agent has noticed", PATIENCE, || {
        ["retrying", "circuit_open"].contains(&agent.state_of("siem").as_str())
    });
    let shown = String::from_utf8(agent.command(&["status"]).stdout).unwrap();
    assert!(shown.contains("does not speak RELP"), "{shown}");
    agent.assert_books_balance();
}
