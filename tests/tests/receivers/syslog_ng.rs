use std::time::Duration;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::certificates::Authority;
use scaidrive_tests::generator::Workload;
use scaidrive_tests::oracle::compare;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::skip::skip;
use scaidrive_tests::syslog::{SyslogNg, SyslogNgCounters, SyslogNgTls};
use scaidrive_tests::tls;
use scaidrive_tests::wait::{holds_for, wait_until};
use tempfile::TempDir;

use super::{EVENTS, assert_all_here_once_and_in_order, send_datagrams, workload, write_counted};

const COUNT: u32 = 200;

/// A syslog-ng with TLS, its files and the authority that its certificate comes from.
struct Setting {
    syslog_ng: SyslogNg,
    authority: Authority,
    dir: TempDir,
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
    let client_ca = is_mutual.then(|| authority.ca_file());
    let syslog_ng = SyslogNg::start(dir.path(), Some(SyslogNgTls { identity: &identity, client_ca }));
    Some(Setting { syslog_ng, authority, dir })
}

/// Waits until syslog-ng's own counters say that `count` messages came and were written.
#[track_caller]
fn wait_counted(syslog_ng: &SyslogNg, count: u64) {
    let expected = SyslogNgCounters { received: count, written: count, dropped: 0 };
    wait_until(&format!("syslog-ng counts {expected:?}, not {:?}", syslog_ng.counters()), PATIENCE, || {
        syslog_ng.counters() == expected
    });
}

#[test]
fn events_arrive_over_tcp() {
    let Some(setting) = started("syslog_ng::events_arrive_over_tcp", false) else { return };
    let destination = Destination::syslog("syslog-ng", "tcp", setting.syslog_ng.tcp());
    let agent = Agent::with([destination.with("filter", ONLY_GENERATED)]);
    let ledger = write(&agent, workload());
    setting.syslog_ng.wait_distinct(ledger.acked.len(), PATIENCE);
    assert_all_here_once_and_in_order(&ledger, &setting.syslog_ng.arrivals());
    wait_counted(&setting.syslog_ng, EVENTS);
}

#[test]
fn events_arrive_over_tls() {
    let Some(setting) = started("syslog_ng::events_arrive_over_tls", false) else {
        return;
    };
    let destination =
        Destination::syslog("syslog-ng", "tls", setting.syslog_ng.tls()).trusting(setting.authority.ca_file());
    let agent = Agent::with([destination.with("filter", ONLY_GENERATED)]);
    let ledger = write(&agent, workload());
    setting.syslog_ng.wait_distinct(ledger.acked.len(), PATIENCE);
    assert_all_here_once_and_in_order(&ledger, &setting.syslog_ng.arrivals());
    wait_counted(&setting.syslog_ng, EVENTS);
}

#[test]
fn restarts_in_the_middle_lose_nothing_over_tcp() {
    let name = "syslog_ng::restarts_in_the_middle_lose_nothing_over_tcp";
    let Some(mut setting) = started(name, false) else { return };
    let destination = Destination::syslog("syslog-ng", "tcp", setting.syslog_ng.tcp());
    let agent = Agent::with([destination.with("filter", ONLY_GENERATED)]);
    let mut ledger = write(&agent, Workload::new(1, 20, 500));
    for round in 2..=5 {
        ledger.merge(write(&agent, Workload::new(round, 20, 500)));
        if round % 2 == 0 {
            setting.syslog_ng.stop();
        } else {
            setting.syslog_ng.kill();
        }
        setting.syslog_ng.come_up();
    }
    setting.syslog_ng.wait_distinct(ledger.acked.len(), PATIENCE);
    // What was in flight comes again; nothing is missing and no number is given twice.
    let report = compare(&ledger, &setting.syslog_ng.arrivals());
    report.assert_nothing_lost();
    report.assert_contiguous();
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
    let client = setting.authority.issue_client(setting.dir.path(), "client");
    let mut stream = tls::connect(setting.syslog_ng.tls(), setting.authority.ca_file(), Some(&client)).unwrap();
    write_counted(&mut stream, COUNT).unwrap();
    setting.syslog_ng.wait_distinct(COUNT as usize, PATIENCE);
    wait_counted(&setting.syslog_ng, u64::from(COUNT));
}
