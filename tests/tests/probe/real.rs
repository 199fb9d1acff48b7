//! Receivers that no one here wrote, well and with something wrong with them: what they really say is what is judged.

use scaidrive_siem::probe::{Report, Stage, StageState};
use scaidrive_tests::agent_config::quoted;
use scaidrive_tests::certificates::Authority;
use scaidrive_tests::opensearch::OpenSearch;
use scaidrive_tests::skip::skip;
use scaidrive_tests::syslog::{Rsyslog, RsyslogMode};
use serde_json::{Value, json};

use crate::plant::path;
use crate::well::{lines, state, test};

/// An rsyslogd, and a destination over `transport` that trusts its certificate.
fn rsyslog_says(mode: RsyslogMode, transport: &str) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let identity = authority.issue(dir.path(), "server", &["localhost", "127.0.0.1"]);
    let rsyslog = Rsyslog::start(dir.path(), mode, Some((&identity, authority.ca_file())));
    let port = rsyslog.address().port().to_string();
    let mut all = lines(
        "syslog",
        &[
            ("transport", &quoted(transport)),
            ("host", "\"127.0.0.1\""),
            ("port", &port),
            ("timeouts", "{ connect = \"2s\", request = \"2s\" }"),
        ],
    );
    if transport.ends_with("tls") {
        all.push(format!("tls.ca_file = {}", path(authority.ca_file())));
        all.push("tls.server_name = \"localhost\"".to_owned());
    }
    test(&all)
}

/// Whether rsyslog can be had in all of these modes; if not, the test `name` is skipped.
fn has_rsyslog(name: &str, modes: &[RsyslogMode]) -> bool {
    match modes.iter().find_map(|mode| Rsyslog::missing(*mode)) {
        Some(reason) => {
            skip(name, &reason);
            false
        }
        None => true,
    }
}

#[test]
fn rsyslog_takes_the_event_over_each_transport() {
    let modes = [
        (RsyslogMode::Plain, "tcp"),
        (RsyslogMode::Udp, "udp"),
        (RsyslogMode::GnuTls, "tls"),
        (RsyslogMode::OpenSsl, "tls"),
        (RsyslogMode::Relp, "relp"),
        (RsyslogMode::RelpTls, "relp_tls"),
    ];
    if !has_rsyslog("rsyslog_takes_the_event_over_each_transport", &modes.map(|(mode, _)| mode)) {
        return;
    }
    for (mode, transport) in modes {
        let report = rsyslog_says(mode, transport);
        assert!(report.ok && state(&report, Stage::Accepted) == StageState::Ok, "{mode:?}: {report:#?}");
    }
}

#[test]
fn what_does_not_fit_an_rsyslog_is_named() {
    let cases = [
        (RsyslogMode::OpenSslMutual, "tls", &["client_certificate_required"][..]),
        (RsyslogMode::GnuTlsMutual, "tls", &["client_certificate_required"]),
        (RsyslogMode::Plain, "tls", &["tls_not_answered"]),
        (RsyslogMode::Plain, "relp", &["not_answered"]),
        (RsyslogMode::Relp, "tcp", &["receiver_closes_at_message"]),
        (RsyslogMode::Relp, "relp_tls", &["port_speaks_no_tls"]),
        (RsyslogMode::OpenSsl, "tcp", &["port_wants_tls", "receiver_closes_at_message"]),
        (RsyslogMode::GnuTls, "tcp", &["port_wants_tls", "receiver_closes_at_message"]),
        (RsyslogMode::RelpTls, "relp", &["port_wants_tls", "closed_without_answer"]),
    ];
    let name = "what_does_not_fit_an_rsyslog_is_named";
    if !has_rsyslog(name, &cases.map(|(mode, ..)| mode)) {
        return;
    }
    let mut wrong = Vec::new();
    for (mode, transport, expected) in cases {
        let report = rsyslog_says(mode, transport);
        let code = report.failure.as_ref().map_or("", |failure| failure.code);
        if !expected.contains(&code) {
            wrong.push(format!("{mode:?} over {transport}: {code}: {report:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn opensearch_takes_the_event_or_its_own_words_are_understood() {
    if let Some(reason) = OpenSearch::missing() {
        return skip("opensearch_takes_the_event_or_its_own_words_are_understood", &reason);
    }
    let dir = tempfile::tempdir().unwrap();
    let node = OpenSearch::start(dir.path());
    let timed = |more: Value| {
        let mut properties = json!({ "@timestamp": { "type": "date" } });
        properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        properties
    };
    let template = json!({ "index_patterns": ["stream-*"], "data_stream": {}, "template": {
        "settings": { "number_of_replicas": 0 },
        "mappings": { "dynamic": "false", "properties": timed(json!({ "event_id": { "type": "keyword" } })) },
    } });
    node.ask("PUT", "/_index_template/stream", &template);
    let index = |name: &str, settings: Value, mappings: Value| {
        node.ask("PUT", &format!("/{name}"), &json!({ "settings": settings, "mappings": mappings }));
    };
    index("strict", json!({}), json!({ "dynamic": "strict", "properties": timed(json!({})) }));
    index("typed", json!({}), json!({ "properties": timed(json!({ "payload": { "type": "long" } })) }));
    index("full", json!({ "index.mapping.total_fields.limit": 2 }), json!({ "properties": timed(json!({})) }));
    index("locked", json!({ "index.blocks.read_only_allow_delete": true }), json!({}));
    let say = |target: &str, op: &str| {
        let url = quoted(&node.url());
        test(&lines("elastic", &[("url", &url), ("target", &quoted(target)), ("op", &quoted(op))]))
    };
    for (target, op) in [("stream-a", "create"), ("plain", "index")] {
        let report = say(target, op);
        assert!(report.ok && state(&report, Stage::Found) == StageState::Ok, "{target}: {report:#?}");
        assert_eq!(state(&report, Stage::Authentication), StageState::Skipped, "nobody asked who we are");
    }
    node.ask("PUT", "/_cluster/settings", &json!({ "persistent": { "action.auto_create_index": "false" } }));
    for (target, op, expected) in [
        ("strict", "index", "mapping_strict"),
        ("typed", "index", "mapping_type_wrong"),
        ("full", "index", "mapping_full"),
        ("locked", "index", "index_read_only"),
        ("stream-a", "index", "target_is_data_stream"),
        ("missing", "index", "index_missing"),
    ] {
        let report = say(target, op);
        let code = report.failure.as_ref().map_or("", |failure| failure.code);
        assert_eq!(code, expected, "{target}: {report:#?}");
    }
}
