//! Destinations that are well, or nearly: every stage says so, the event arrives once and is marked, and what is near is
//! warned about.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scaidrive_siem::probe::{Report, Stage, StageState, unsaved};
use scaidrive_tests::agent_config::quoted;
use scaidrive_tests::arrival::Arrivals;
use scaidrive_tests::data_collector::{DataCollector, KEY, WORKSPACE};
use scaidrive_tests::datadog::{API_KEY, Datadog};
use scaidrive_tests::elastic::{AUTHORIZATION_VALUE, Elastic, Target};
use scaidrive_tests::hec::Hec;
use scaidrive_tests::https::{Contract, Https, Proof, Shape};
use scaidrive_tests::receiver::{Credentials, Receiver, Reply, Rules, Settings};
use scaidrive_tests::sentinel::entra::{CLIENT, SECRET, TENANT};
use scaidrive_tests::sentinel::{ColumnType, Entra, RULE_ID, Sentinel};
use scaidrive_tests::sumo::Sumo;
use scaidrive_tests::syslog::{DatagramSink, Framing, Sink};
use scaidrive_tests::wait::wait_until;
use tempfile::TempDir;

use crate::chains::Chains;
use crate::deceit::probe_deceived;
use crate::here;
use crate::plant::{Deceit, path};
use crate::stand::{Answers, Stand};

/// A secret in a file, as the configuration names it.
fn secret(dir: &TempDir, text: &str) -> String {
    let file = dir.path().join("secret");
    fs::write(&file, text).unwrap();
    format!("{{ file = {} }}", path(&file))
}

/// Tests the destination of these lines on a machine whose clock is so far off.
fn test_at(lines: &[String], clock_ms: i64) -> Report {
    let text = format!("[[destination]]\nname = \"well\"\n{}\n", lines.join("\n"));
    let nowhere = Path::new("/nonexistent/agent.toml");
    let question = unsaved(text, Path::new("/nonexistent/new.toml"), None, nowhere, "the test", &here());
    probe_deceived(question.unwrap(), Deceit { clock_ms, ..Deceit::default() })
}

pub(crate) fn test(lines: &[String]) -> Report {
    test_at(lines, 0)
}

pub(crate) fn lines(kind: &str, lines: &[(&str, &str)]) -> Vec<String> {
    let pairs = lines.iter().map(|(key, value)| format!("{key} = {value}"));
    std::iter::once(format!("type = \"{kind}\"")).chain(pairs).collect()
}

pub(crate) fn state(report: &Report, stage: Stage) -> StageState {
    report.stages.iter().find(|known| known.stage == stage).unwrap().state
}

/// Everything went well, and one marked event is there, with the id that the report names and without a number.
#[track_caller]
fn assert_well(report: &Report, arrivals: &Arrivals) {
    assert!(report.ok && report.failure.is_none(), "{report:#?}");
    assert_eq!(state(report, Stage::Accepted), StageState::Ok);
    let tests = arrivals.own("siem.test");
    let [(_, event)] = tests.as_slice() else { panic!("one test was to arrive: {tests:?}") };
    let told = report.event.as_ref().unwrap();
    assert_eq!(event["event_id"], told.event_id.as_str());
    assert!(told.event_id.starts_with("evt_test_") && told.query.contains(&told.event_id), "{told:?}");
    assert_eq!((&event["payload"]["who"], &event["payload"]["destination"]), (&"the test".into(), &"well".into()));
    assert!(arrivals.list.iter().all(|arrival| arrival.n.is_none() && arrival.stream.is_none()));
}

#[track_caller]
fn assert_arrived<R: Rules>(report: &Report, receiver: &Receiver<R>) {
    assert_well(report, &receiver.arrivals());
    receiver.assert_no_violations();
}

#[test]
fn splunk_takes_the_event_and_acknowledges_it_where_the_token_can() {
    let dir = tempfile::tempdir().unwrap();
    for uses_acks in [false, true] {
        let hec = Hec::plain();
        hec.rules().use_acks(uses_acks);
        let token = secret(&dir, scaidrive_tests::hec::TOKEN);
        let report = test(&lines("splunk_hec", &[("url", &quoted(&hec.url())), ("token", &token)]));
        assert_arrived(&report, &hec);
        let found = if uses_acks { StageState::Ok } else { StageState::Skipped };
        assert_eq!(state(&report, Stage::Found), found, "{report:#?}");
    }
}

#[test]
fn elastic_takes_the_event_and_a_search_finds_it() {
    let (dir, elastic) = (tempfile::tempdir().unwrap(), Elastic::start(Target::DataStream, Settings::default()));
    let key = secret(&dir, AUTHORIZATION_VALUE.strip_prefix("ApiKey ").unwrap());
    let report = test(&lines("elastic", &[("url", &quoted(&elastic.url())), ("api_key", &key)]));
    assert_arrived(&report, &elastic);
    assert_eq!(state(&report, Stage::Found), StageState::Ok, "{report:#?}");
}

#[test]
fn sentinel_takes_the_event_with_a_token_and_with_a_signature() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Arc::new(Credentials::default());
    let sentinel = Sentinel::start(&tokens, Settings::default());
    for (name, column) in
        [("EventTime", ColumnType::Datetime), ("Extra", ColumnType::Dynamic), ("Truncated", ColumnType::Boolean)]
    {
        sentinel.rules().declare(name, column);
    }
    let entra = Entra::start(&tokens, Settings::default());
    let report = test(&lines(
        "sentinel",
        &[
            ("url", &quoted(&sentinel.url())),
            ("rule", &quoted(RULE_ID)),
            ("tenant_id", &quoted(TENANT)),
            ("client_id", &quoted(CLIENT)),
            ("client_secret", &secret(&dir, SECRET)),
            ("authority", &quoted(&entra.url())),
        ],
    ));
    assert!(report.ok, "{report:#?}");
    assert_eq!((sentinel.count(), state(&report, Stage::Authentication)), (1, StageState::Ok));
    sentinel.assert_no_violations();

    let workspace = DataCollector::start(Settings::default());
    let report = test(&lines(
        "sentinel",
        &[
            ("api", "\"data_collector\""),
            ("url", &quoted(&workspace.url())),
            ("workspace_id", &quoted(WORKSPACE)),
            ("workspace_key", &secret(&dir, KEY)),
        ],
    ));
    assert!(report.ok, "{report:#?}");
    assert_eq!(workspace.count(), 1);
    workspace.assert_no_violations();
}

#[test]
fn datadog_sumo_logic_and_any_receiver_take_the_event() {
    let dir = tempfile::tempdir().unwrap();
    let datadog = Datadog::start(Settings::default());
    let report = test(&lines("datadog", &[("url", &quoted(&datadog.url())), ("api_key", &secret(&dir, API_KEY))]));
    assert!(report.ok && datadog.count() == 1, "{report:#?}");
    datadog.assert_no_violations();

    let sumo = Sumo::start(Settings::default());
    let report = test(&lines("sumo_logic", &[("secret_url", &secret(&dir, &sumo.source_url()))]));
    assert_arrived(&report, &sumo);

    let proof = Proof::Bearer(Arc::new(Credentials::of("bearer-token")));
    let https = Https::start(Contract::new(Shape::Array, proof), Settings::default());
    let url = quoted(&format!("{}/events", https.url()));
    let report = test(&lines("https", &[("url", &url), ("bearer_token", &secret(&dir, "bearer-token"))]));
    assert_arrived(&report, &https);
}

/// The lines of a syslog destination on this port.
fn syslog(transport: &str, port: u16) -> Vec<String> {
    lines("syslog", &[("transport", &quoted(transport)), ("host", "\"127.0.0.1\""), ("port", &port.to_string())])
}

#[test]
fn syslog_over_each_transport_takes_the_event_and_says_how_sure_that_is() {
    for (transport, framing) in [("tcp", Framing::OctetCounting), ("relp", Framing::Relp)] {
        let sink = Sink::start(framing, None, true);
        let report = test(&syslog(transport, sink.address().port()));
        wait_until("the message is there", Duration::from_secs(5), || sink.count() == 1);
        assert_well(&report, &sink.arrivals());
        assert!(report.warnings.is_empty(), "both confirm it: {report:#?}");
        sink.assert_no_errors();
    }
    let sink = DatagramSink::start();
    let report = test(&syslog("udp", sink.address().port()));
    wait_until("the datagram is there", Duration::from_secs(5), || sink.count() == 1);
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.warnings[0].code, "not_confirmed", "{report:#?}");
}

#[test]
fn a_certificate_that_ends_soon_and_a_clock_that_is_off_are_warned_about() {
    let dir = tempfile::tempdir().unwrap();
    let chains = Chains::new(dir.path());
    let stand = |days| Stand::open(Some(chains.ending_in(days)), Answers::Dated { status: 200, body: "{}" });
    let https = |stand: &Stand| {
        let url = quoted(&format!("https://localhost:{}/in", stand.port()));
        lines("https", &[("url", &url), ("tls.ca_file", &path(&chains.ca_file))])
    };
    let near = stand(12);
    let report = test_at(&https(&near), 4 * 60_000);
    assert!(report.ok, "{report:#?}");
    let codes: Vec<&str> = report.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["certificate_expires_soon", "clock_differs"], "{report:#?}");
    assert!(report.warnings[0].what.contains("in 11 days") || report.warnings[0].what.contains("in 12 days"));
    // What the other side says is cut to whole seconds, and old by as long as its answer was on its way.
    let what = &report.warnings[1].what;
    assert!(
        ["3 min 59 s", "4 min "].iter().any(|ahead| what.contains(ahead)) && what.contains(" s ahead of "),
        "{what}"
    );
    let far = stand(300);
    let report = test(&https(&far));
    assert!(report.ok && report.warnings.is_empty(), "{report:#?}");
    let tls = report.stages.iter().find(|known| known.stage == Stage::Tls).unwrap();
    assert!(tls.note.as_ref().unwrap().starts_with("TLS 1.3, certificate for localhost from Trusted root, until "));
}

#[test]
fn what_the_receiver_repeats_of_a_secret_stays_out_of_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let https = Https::start(Contract::new(Shape::Array, Proof::None), Settings::default());
    let echo = Reply::text(403, "no access for Bearer s3cret-that-is-repeated here");
    https.set_fault(scaidrive_tests::receiver::Fault::Answer(echo));
    let url = quoted(&format!("{}/events", https.url()));
    let report = test(&lines("https", &[("url", &url), ("bearer_token", &secret(&dir, "s3cret-that-is-repeated"))]));
    let failure = report.failure.clone().unwrap();
    assert_eq!(failure.code, "forbidden");
    assert!(failure.said.unwrap().contains("no access for Bearer ***"), "{report:#?}");
    assert!(!serde_json::to_string(&report).unwrap().contains("s3cret"), "{report:#?}");
}

#[test]
fn a_receiver_that_takes_no_compressed_bodies_is_asked_again_without_and_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let https = Https::start(Contract::new(Shape::Array, Proof::None), Settings::default());
    https.set_fault_times(1, scaidrive_tests::receiver::Fault::Status { status: 415, retry_after: None });
    let url = quoted(&format!("{}/events", https.url()));
    let report = test(&lines("https", &[("url", &url), ("bearer_token", &secret(&dir, "x"))]));
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.warnings[0].code, "compression_refused");
    assert_eq!(https.count(), 1);
}
