use std::net::TcpStream;
use std::time::Duration;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::arrival::Arrivals;
use scaidrive_tests::certificates::{Authority, Identity};
use scaidrive_tests::generator::Workload;
use scaidrive_tests::oracle::compare;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::skip::skip;
use scaidrive_tests::syslog::{RELP_WINDOW, Rsyslog, RsyslogCounters, RsyslogMode};
use scaidrive_tests::tls;
use scaidrive_tests::wait::{holds_for, wait_until};
use tempfile::TempDir;

use super::{
    EVENTS, FAST_FLOW, ROUND, Restarts, SLOW_FLOW, assert_all_here_once_and_in_order, send_datagrams, send_relp,
    survives_restarts, workload, write_counted, write_in_rounds,
};

const COUNT: u32 = 200;
/// Of the two kinds that the promise is about, half of them by SIGTERM and half by SIGKILL.
const RESTARTS: u32 = 20;
/// Of their likes.
const FEW_RESTARTS: u32 = 4;

/// An rsyslogd, its files and the authority that its certificate comes from.
struct Setting {
    rsyslog: Rsyslog,
    mode: RsyslogMode,
    authority: Authority,
    client: Identity,
    _dir: TempDir,
}

impl Setting {
    /// The rsyslogd as a destination of an agent with all the certificates that it needs.
    fn destination(&self) -> Destination {
        let transport = transport(self.mode);
        let mut destination = Destination::syslog("rsyslog", transport, self.rsyslog.address());
        if transport.ends_with("tls") {
            let is_mutual = matches!(
                self.mode,
                RsyslogMode::GnuTlsMutual | RsyslogMode::OpenSslMutual | RsyslogMode::RelpTlsMutual
            );
            destination = if is_mutual {
                destination.trusting_as(self.authority.ca_file(), &self.client)
            } else {
                destination.trusting(self.authority.ca_file())
            };
        }
        destination.with("filter", ONLY_GENERATED)
    }
}

impl Restarts for Rsyslog {
    fn count(&self) -> u64 {
        Rsyslog::count(self)
    }

    fn stop(&mut self) {
        Rsyslog::stop(self);
    }

    fn kill(&mut self) {
        Rsyslog::kill(self);
    }

    fn come_up(&mut self) {
        Rsyslog::come_up(self);
    }

    fn arrivals(&self) -> Arrivals {
        Rsyslog::arrivals(self)
    }

    fn wait_distinct(&self, count: usize) {
        Rsyslog::wait_distinct(self, count, PATIENCE);
    }
}

/// As the agent's configuration has it.
fn transport(mode: RsyslogMode) -> &'static str {
    match mode {
        RsyslogMode::Plain => "tcp",
        RsyslogMode::Udp => "udp",
        RsyslogMode::Relp => "relp",
        RsyslogMode::RelpTls | RsyslogMode::RelpTlsMutual => "relp_tls",
        _ => "tls",
    }
}

/// An rsyslogd, or nothing where this machine has none; then the test `name` is skipped.
fn started(name: &str, mode: RsyslogMode) -> Option<Setting> {
    if let Some(reason) = Rsyslog::missing(mode) {
        skip(name, &reason);
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let identity = authority.issue(dir.path(), "rsyslog", &["localhost"]);
    let client = authority.issue_client(dir.path(), "client");
    let rsyslog = Rsyslog::start(dir.path(), mode, Some((&identity, authority.ca_file())));
    Some(Setting { rsyslog, mode, authority, client, _dir: dir })
}

/// Waits until rsyslogd's own counters say that `count` messages came and were written.
#[track_caller]
fn wait_counted(rsyslog: &Rsyslog, count: u64) {
    let expected = RsyslogCounters { submitted: count, processed: count, failed: 0 };
    wait_until(&format!("rsyslog counts {expected:?}"), PATIENCE, || rsyslog.counters() == expected);
}

fn arrives(name: &str, mode: RsyslogMode) {
    let Some(setting) = started(name, mode) else { return };
    let agent = Agent::with([setting.destination()]);
    let ledger = write(&agent, workload());
    setting.rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
    assert_all_here_once_and_in_order(&ledger, &setting.rsyslog.arrivals());
    wait_counted(&setting.rsyslog, EVENTS);
    agent.assert_books_balance();
}

#[test]
fn events_arrive_over_plain_tcp() {
    arrives("rsyslog::events_arrive_over_plain_tcp", RsyslogMode::Plain);
}

#[test]
fn events_arrive_over_tls_with_gnutls() {
    arrives("rsyslog::events_arrive_over_tls_with_gnutls", RsyslogMode::GnuTls);
}

#[test]
fn events_arrive_over_tls_with_openssl() {
    arrives("rsyslog::events_arrive_over_tls_with_openssl", RsyslogMode::OpenSsl);
}

#[test]
fn events_arrive_over_tls_with_gnutls_and_a_client_certificate() {
    let name = "rsyslog::events_arrive_over_tls_with_gnutls_and_a_client_certificate";
    arrives(name, RsyslogMode::GnuTlsMutual);
}

#[test]
fn events_arrive_over_tls_with_openssl_and_a_client_certificate() {
    let name = "rsyslog::events_arrive_over_tls_with_openssl_and_a_client_certificate";
    arrives(name, RsyslogMode::OpenSslMutual);
}

#[test]
fn events_arrive_over_relp() {
    arrives("rsyslog::events_arrive_over_relp", RsyslogMode::Relp);
}

#[test]
fn events_arrive_over_relp_with_tls() {
    arrives("rsyslog::events_arrive_over_relp_with_tls", RsyslogMode::RelpTls);
}

#[test]
fn events_arrive_over_relp_with_tls_and_a_client_certificate() {
    let name = "rsyslog::events_arrive_over_relp_with_tls_and_a_client_certificate";
    arrives(name, RsyslogMode::RelpTlsMutual);
}

#[test]
fn events_arrive_over_udp_when_it_can_follow() {
    let Some(setting) = started("rsyslog::events_arrive_over_udp_when_it_can_follow", RsyslogMode::Udp) else {
        return;
    };
    let agent = Agent::with([setting.destination()]);
    let ledger = write_in_rounds(&agent, || setting.rsyslog.arrivals().distinct());
    assert_all_here_once_and_in_order(&ledger, &setting.rsyslog.arrivals());
    wait_counted(&setting.rsyslog, ledger.acked.len() as u64);
    wait_until("what was sent counts as delivered, and no more", PATIENCE, || {
        agent.metric("destination_delivered_total", &[("destination", "rsyslog")]) == ledger.acked.len() as f64
    });
    agent.assert_books_balance();
}

#[test]
fn connectors_7_4_datagrams_to_nobody_are_held_until_somebody_listens() {
    let name = "rsyslog::connectors_7_4_datagrams_to_nobody_are_held_until_somebody_listens";
    let Some(mut setting) = started(name, RsyslogMode::Udp) else { return };
    setting.rsyslog.stop();
    let agent = Agent::with([setting.destination().with("batch", "{ max_events = 10 }")]);
    let ledger = write(&agent, Workload::new(1, 20, ROUND));
    wait_until("the agent has noticed", PATIENCE, || {
        ["retrying", "circuit_open"].contains(&agent.state_of("rsyslog").as_str())
    });
    holds_for("nothing counts as delivered", Duration::from_secs(1), || {
        agent.metric("destination_delivered_total", &[("destination", "rsyslog")]) == 0.0
    });
    setting.rsyslog.come_up();
    setting.rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
    compare(&ledger, &setting.rsyslog.arrivals()).assert_nothing_lost();
}

/// Without the certificate that is demanded nothing goes; with it nothing is missing.
fn wants_the_agents_certificate(name: &str, mode: RsyslogMode) {
    let Some(setting) = started(name, mode) else { return };
    let mut agent = Agent::with([setting.destination().trusting(setting.authority.ca_file())]);
    let ledger = write(&agent, Workload::new(1, 20, 200));
    // rsyslog sends no alert, it just closes after the handshake; with an alert the state would be `misconfigured`.
    wait_until("the agent has noticed", PATIENCE, || {
        ["retrying", "circuit_open", "misconfigured"].contains(&agent.state_of("rsyslog").as_str())
    });
    holds_for("nothing arrives", Duration::from_secs(2), || setting.rsyslog.arrivals().distinct() == 0);
    agent.stop();
    *agent.config.destination("rsyslog") = setting.destination();
    agent.start();
    setting.rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
    let report = compare(&ledger, &setting.rsyslog.arrivals());
    report.assert_nothing_lost();
    report.assert_contiguous();
}

#[test]
fn connectors_7_4_without_the_certificate_that_tls_demands_nothing_goes_and_nothing_is_lost() {
    let name = "rsyslog::connectors_7_4_without_the_certificate_that_tls_demands_nothing_goes_and_nothing_is_lost";
    wants_the_agents_certificate(name, RsyslogMode::OpenSslMutual);
}

#[test]
fn connectors_7_4_without_the_certificate_that_relp_demands_nothing_goes_and_nothing_is_lost() {
    let name = "rsyslog::connectors_7_4_without_the_certificate_that_relp_demands_nothing_goes_and_nothing_is_lost";
    wants_the_agents_certificate(name, RsyslogMode::RelpTlsMutual);
}

fn restarts_lose_nothing(name: &str, mode: RsyslogMode, restarts: u32) {
    let Some(mut setting) = started(name, mode) else { return };
    let agent = Agent::with([setting.destination()]);
    let is_relp = transport(mode).starts_with("relp");
    let pause = if is_relp { FAST_FLOW } else { SLOW_FLOW };
    let (report, at_last_start) = survives_restarts(name, &agent, &mut setting.rsyslog, restarts, pause);
    wait_counted(&setting.rsyslog, setting.rsyslog.count() - at_last_start);
    if is_relp {
        let again = report.duplicates.len();
        assert!(again <= RELP_WINDOW * restarts as usize, "{again} came again: more than was without an answer");
    }
    agent.assert_books_balance();
}

#[test]
fn twenty_restarts_in_the_middle_lose_nothing_over_plain_tcp() {
    let name = "rsyslog::twenty_restarts_in_the_middle_lose_nothing_over_plain_tcp";
    restarts_lose_nothing(name, RsyslogMode::Plain, RESTARTS);
}

#[test]
fn twenty_restarts_in_the_middle_lose_nothing_over_relp() {
    let name = "rsyslog::twenty_restarts_in_the_middle_lose_nothing_over_relp";
    restarts_lose_nothing(name, RsyslogMode::Relp, RESTARTS);
}

#[test]
fn restarts_in_the_middle_lose_nothing_over_tls_with_gnutls() {
    let name = "rsyslog::restarts_in_the_middle_lose_nothing_over_tls_with_gnutls";
    restarts_lose_nothing(name, RsyslogMode::GnuTls, FEW_RESTARTS);
}

#[test]
fn restarts_in_the_middle_lose_nothing_over_tls_with_openssl() {
    let name = "rsyslog::restarts_in_the_middle_lose_nothing_over_tls_with_openssl";
    restarts_lose_nothing(name, RsyslogMode::OpenSsl, FEW_RESTARTS);
}

#[test]
fn restarts_in_the_middle_lose_nothing_over_relp_with_tls() {
    let name = "rsyslog::restarts_in_the_middle_lose_nothing_over_relp_with_tls";
    restarts_lose_nothing(name, RsyslogMode::RelpTls, FEW_RESTARTS);
}

#[test]
fn by_itself_datagrams_are_taken_and_counted() {
    let Some(setting) = started("rsyslog::by_itself_datagrams_are_taken_and_counted", RsyslogMode::Udp) else {
        return;
    };
    send_datagrams(setting.rsyslog.address(), COUNT, || setting.rsyslog.arrivals().distinct());
    wait_counted(&setting.rsyslog, u64::from(COUNT));
}

#[test]
fn by_itself_relp_answers_for_each_message() {
    let Some(setting) = started("rsyslog::by_itself_relp_answers_for_each_message", RsyslogMode::Relp) else {
        return;
    };
    send_relp(TcpStream::connect(setting.rsyslog.address()).unwrap(), COUNT).unwrap();
    // No waiting: an answer means that the message is in the file.
    assert_eq!(setting.rsyslog.arrivals().distinct(), COUNT as usize);
    wait_counted(&setting.rsyslog, u64::from(COUNT));
}

#[test]
fn by_itself_relp_over_tls_answers_for_each_message() {
    let name = "rsyslog::by_itself_relp_over_tls_answers_for_each_message";
    let Some(setting) = started(name, RsyslogMode::RelpTls) else { return };
    send_relp(tls::connect(setting.rsyslog.address(), setting.authority.ca_file(), None).unwrap(), COUNT).unwrap();
    assert_eq!(setting.rsyslog.arrivals().distinct(), COUNT as usize);
}

#[test]
fn by_itself_relp_over_tls_asks_for_a_certificate() {
    let name = "rsyslog::by_itself_relp_over_tls_asks_for_a_certificate";
    let Some(setting) = started(name, RsyslogMode::RelpTlsMutual) else { return };
    let stranger = tls::connect(setting.rsyslog.address(), setting.authority.ca_file(), None)
        .and_then(|stream| send_relp(stream, COUNT));
    assert!(stranger.is_err(), "a client without a certificate was served");
    assert!(setting.rsyslog.arrivals().list.is_empty());
    send_relp(
        tls::connect(setting.rsyslog.address(), setting.authority.ca_file(), Some(&setting.client)).unwrap(),
        COUNT,
    )
    .unwrap();
    assert_eq!(setting.rsyslog.arrivals().distinct(), COUNT as usize);
}

fn asks_for_a_certificate(name: &str, mode: RsyslogMode) {
    let Some(setting) = started(name, mode) else { return };
    // The refusal may come during the handshake or after it.
    let _ = tls::connect(setting.rsyslog.address(), setting.authority.ca_file(), None)
        .and_then(|mut stream| write_counted(&mut stream, COUNT));
    holds_for("nothing is taken from a stranger", Duration::from_secs(1), || {
        setting.rsyslog.arrivals().list.is_empty()
    });
    let mut stream =
        tls::connect(setting.rsyslog.address(), setting.authority.ca_file(), Some(&setting.client)).unwrap();
    write_counted(&mut stream, COUNT).unwrap();
    setting.rsyslog.wait_distinct(COUNT as usize, PATIENCE);
    wait_counted(&setting.rsyslog, u64::from(COUNT));
}

#[test]
fn by_itself_tls_with_gnutls_asks_for_a_certificate() {
    asks_for_a_certificate("rsyslog::by_itself_tls_with_gnutls_asks_for_a_certificate", RsyslogMode::GnuTlsMutual);
}

#[test]
fn by_itself_tls_with_openssl_asks_for_a_certificate() {
    asks_for_a_certificate("rsyslog::by_itself_tls_with_openssl_asks_for_a_certificate", RsyslogMode::OpenSslMutual);
}
