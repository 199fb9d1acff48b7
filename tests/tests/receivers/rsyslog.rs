use std::net::TcpStream;
use std::time::Duration;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::certificates::Authority;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::skip::skip;
use scaidrive_tests::syslog::{Rsyslog, RsyslogCounters, RsyslogMode};
use scaidrive_tests::tls;
use scaidrive_tests::wait::{holds_for, wait_until};
use tempfile::TempDir;

use super::{EVENTS, assert_all_here_once_and_in_order, send_datagrams, send_relp, workload, write_counted};

const COUNT: u32 = 200;

/// An rsyslogd, its files and the authority that its certificate comes from.
struct Setting {
    rsyslog: Rsyslog,
    authority: Authority,
    dir: TempDir,
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
    let rsyslog = Rsyslog::start(dir.path(), mode, Some((&identity, authority.ca_file())));
    Some(Setting { rsyslog, authority, dir })
}

/// Waits until rsyslogd's own counters say that `count` messages came and were written.
#[track_caller]
fn wait_counted(rsyslog: &Rsyslog, count: u64) {
    let expected = RsyslogCounters { submitted: count, processed: count, failed: 0 };
    wait_until(&format!("rsyslog counts {expected:?}"), PATIENCE, || rsyslog.counters() == expected);
}

fn arrives(name: &str, mode: RsyslogMode) {
    let Some(setting) = started(name, mode) else { return };
    let destination = match mode {
        RsyslogMode::Plain => Destination::syslog("rsyslog", "tcp", setting.rsyslog.address()),
        _ => Destination::syslog("rsyslog", "tls", setting.rsyslog.address()).trusting(setting.authority.ca_file()),
    };
    let agent = Agent::with([destination.with("filter", ONLY_GENERATED)]);
    let ledger = write(&agent, workload());
    setting.rsyslog.wait_distinct(ledger.acked.len(), PATIENCE);
    assert_all_here_once_and_in_order(&ledger, &setting.rsyslog.arrivals());
    wait_counted(&setting.rsyslog, EVENTS);
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
    let client = setting.authority.issue_client(setting.dir.path(), "client");
    send_relp(tls::connect(setting.rsyslog.address(), setting.authority.ca_file(), Some(&client)).unwrap(), COUNT)
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
    let client = setting.authority.issue_client(setting.dir.path(), "client");
    let mut stream = tls::connect(setting.rsyslog.address(), setting.authority.ca_file(), Some(&client)).unwrap();
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
