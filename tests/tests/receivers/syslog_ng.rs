use std::time::Duration;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::arrival::Arrivals;
use scaidrive_tests::certificates::{Authority, Identity};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::skip::skip;
use scaidrive_tests::syslog::{SyslogNg, SyslogNgCounters, SyslogNgTls};
use scaidrive_tests::tls;
use scaidrive_tests::wait::{holds_for, wait_until};
use tempfile::TempDir;

use super::{
    EVENTS, Restarts, SLOW_FLOW, assert_all_here_once_and_in_order, send_datagrams, survives_restarts, workload,
    write_counted, write_in_rounds,
};

const COUNT: u32 = 200;
const RESTARTS: u32 = 4;

/// A syslog-ng with TLS, its files and the authority that its certificate comes from.
struct Setting {
    syslog_ng: SyslogNg,
    authority: Authority,
    client: Identity,
    _dir: TempDir,
}

impl Setting {
    /// Its listener for `transport` as a destination of an agent, which shows a certificate if it must.
    fn destination(&self, transport: &str, is_mutual: bool) -> Destination {
        let address = match transport {
            "tcp" => self.syslog_ng.tcp(),
            "udp" => self.syslog_ng.udp(),
            _ => self.syslog_ng.tls(),
        };
        let destination = Destination::syslog("syslog-ng", transport, address).with("filter", ONLY_GENERATED);
        match (transport, is_mutual) {
            ("tls", true) => destination.trusting_as(self.authority.ca_file(), &self.client),
            ("tls", false) => destination.trusting(self.authority.ca_file()),
            _ => destination,
        }
    }
}

impl Restarts for SyslogNg {
    fn count(&self) -> u64 {
        SyslogNg::count(self)
    }

    fn stop(&mut self) {
        SyslogNg::stop(self);
    }

    fn kill(&mut self) {
        SyslogNg::kill(self);
    }

    fn come_up(&mut self) {
        SyslogNg::come_up(self);
    }

    fn arrivals(&self) -> Arrivals {
        SyslogNg::arrivals(self)
    }

    fn wait_distinct(&self, count: usize) {
        SyslogNg::wait_distinct(self, count, PATIENCE);
    }
}

/// A syslog-ng, or nothing where this machine cannot have one; then the test `name` is skipped.
fn started(name: &str, is_mutual: bool) -> Option<Setting> {
    if let Some(reason) = SyslogNg::missing() {
        skip(name, &reason);
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let identity = authority.issue(dir.path(), "syslog-ng", &["localhost"]);
    let client = authority.issue_client(dir.path(), "client");
    let client_ca = is_mutual.then(|| authority.ca_file());
    let syslog_ng = SyslogNg::start(dir.path(), Some(SyslogNgTls { identity: &identity, client_ca }));
    Some(Setting { syslog_ng, authority, client, _dir: dir })
}

/// Waits until syslog-ng's own counters say that `count` messages came and were written.
#[track_caller]
fn wait_counted(syslog_ng: &SyslogNg, count: u64) {
    let expected = SyslogNgCounters { received: count, written: count, dropped: 0 };
    wait_until(&format!("syslog-ng counts {expected:?}, not {:?}", syslog_ng.counters()), PATIENCE, || {
        syslog_ng.counters() == expected
    });
}

fn arrives(name: &str, transport: &str, is_mutual: bool) {
    let Some(setting) = started(name, is_mutual) else { return };
    let agent = Agent::with([setting.destination(transport, is_mutual)]);
    let ledger = write(&agent, workload());
    setting.syslog_ng.wait_distinct(ledger.acked.len(), PATIENCE);
    assert_all_here_once_and_in_order(&ledger, &setting.syslog_ng.arrivals());
    wait_counted(&setting.syslog_ng, EVENTS);
    agent.assert_books_balance();
}

#[test]
fn events_arrive_over_tcp() {
    arrives("syslog_ng::events_arrive_over_tcp", "tcp", false);
}

#[test]
fn events_arrive_over_tls() {
    arrives("syslog_ng::events_arrive_over_tls", "tls", false);
}

#[test]
fn events_arrive_over_tls_with_a_client_certificate() {
    arrives("syslog_ng::events_arrive_over_tls_with_a_client_certificate", "tls", true);
}

#[test]
fn events_arrive_over_udp_when_it_can_follow() {
    let Some(setting) = started("syslog_ng::events_arrive_over_udp_when_it_can_follow", false) else {
        return;
    };
    let agent = Agent::with([setting.destination("udp", false)]);
    let ledger = write_in_rounds(&agent, || setting.syslog_ng.arrivals().distinct());
    assert_all_here_once_and_in_order(&ledger, &setting.syslog_ng.arrivals());
    wait_counted(&setting.syslog_ng, ledger.acked.len() as u64);
    agent.assert_books_balance();
}

fn restarts_lose_nothing(name: &str, transport: &str) {
    let Some(mut setting) = started(name, false) else { return };
    let agent = Agent::with([setting.destination(transport, false)]);
    let (_, at_last_start) = survives_restarts(name, &agent, &mut setting.syslog_ng, RESTARTS, SLOW_FLOW);
    wait_counted(&setting.syslog_ng, setting.syslog_ng.count() - at_last_start);
    agent.assert_books_balance();
}

#[test]
fn restarts_in_the_middle_lose_nothing_over_tcp() {
    restarts_lose_nothing("syslog_ng::restarts_in_the_middle_lose_nothing_over_tcp", "tcp");
}

#[test]
fn restarts_in_the_middle_lose_nothing_over_tls() {
    restarts_lose_nothing("syslog_ng::restarts_in_the_middle_lose_nothing_over_tls", "tls");
}

#[test]
fn by_itself_datagrams_are_taken_and_counted() {
    let Some(setting) = started("syslog_ng::by_itself_datagrams_are_taken_and_counted", false) else {
        return;
    };
    send_datagrams(setting.syslog_ng.udp(), COUNT, || setting.syslog_ng.arrivals().distinct());
    wait_counted(&setting.syslog_ng, u64::from(COUNT));
}

#[test]
fn by_itself_tls_asks_for_a_certificate() {
    let name = "syslog_ng::by_itself_tls_asks_for_a_certificate";
    let Some(setting) = started(name, true) else { return };
    // The refusal may come during the handshake or after it.
    let _ = tls::connect(setting.syslog_ng.tls(), setting.authority.ca_file(), None)
        .and_then(|mut stream| write_counted(&mut stream, COUNT));
    holds_for("nothing is taken from a stranger", Duration::from_secs(1), || {
        setting.syslog_ng.arrivals().list.is_empty()
    });
    let mut stream = tls::connect(setting.syslog_ng.tls(), setting.authority.ca_file(), Some(&setting.client)).unwrap();
    write_counted(&mut stream, COUNT).unwrap();
    setting.syslog_ng.wait_distinct(COUNT as usize, PATIENCE);
    wait_counted(&setting.syslog_ng, u64::from(COUNT));
}
