//! The receiver against a plain client.

use std::io::Write;
use std::time::Duration;

use super::*;
use crate::http::{self, HttpReply};

fn event(count: u32) -> String {
    let id = crate::generator::Key { run: 1, tenant: 2, count }.event_id();
    format!(
        r#"{{"time":1778595781.453,"event":{{"event_id":"{id}","tenant_id":"t"}},"fields":{{"event_id":"{id}","tenant_id":"t","siem_stream":"s","siem_n":{}}}}}"#,
        count + 1
    )
}

fn headers(token: &str) -> Vec<(String, String)> {
    vec![("Authorization".to_owned(), format!("Splunk {token}")), ("User-Agent".to_owned(), "test".to_owned())]
}

fn post(hec: &Hec, headers: &[(String, String)], body: &[u8]) -> std::io::Result<HttpReply> {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http::post_once(hec.address(), "/services/collector/event", &headers, body)
}

#[test]
fn correct_events_are_taken_plain_and_compressed() {
    let hec = Hec::plain();
    let body = event(0) + &event(1);
    assert_eq!(post(&hec, &headers(TOKEN), body.as_bytes()).unwrap().status, 200);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(event(2).as_bytes()).unwrap();
    let mut compressed = headers(TOKEN);
    compressed.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
    assert_eq!(post(&hec, &compressed, &gzip.finish().unwrap()).unwrap().text(), r#"{"text":"Success","code":0}"#);
    assert_eq!((hec.count(), hec.arrivals().distinct(), hec.request_count()), (3, 3, 2));
    hec.assert_no_violations();
}

#[test]
fn breaches_in_the_head_are_named_and_answered() {
    let hec = Hec::plain();
    let send = |headers: &[(String, String)]| post(&hec, headers, event(0).as_bytes()).unwrap();
    let without = |name: &str| headers(TOKEN).into_iter().filter(|(key, _)| key != name).collect::<Vec<_>>();
    let with = |name: &str, value: &str| {
        let mut all = headers(TOKEN);
        all.push((name.to_owned(), value.to_owned()));
        all
    };
    assert_eq!(send(&without("User-Agent")).status, 200);
    assert_eq!(send(&without("Authorization")).status, 401);
    assert_eq!(send(&headers("wrong")).status, 403);
    assert_eq!(send(&with("Transfer-Encoding", "chunked")).status, 411);
    assert_eq!(send(&with("Content-Length", "1")).status, 411);
    assert_eq!(send(&with("Content-Encoding", "zstd")).status, 415);
    assert_eq!(send(&with("X-Splunk-Request-Channel", "1")).status, 400);
    assert_eq!(http::get(hec.address(), "/elsewhere").unwrap().status, 401);
    let rules: Vec<Rule> = hec.violations().into_iter().map(|violation| violation.rule).collect();
    let expected = [
        Rule::UserAgent,
        Rule::AuthorizationForm,
        Rule::NotChunked,
        Rule::ContentLength,
        Rule::ContentEncoding,
        Rule::ChannelIsGuid,
        Rule::UserAgent,
        Rule::AuthorizationForm,
    ];
    assert_eq!(rules, expected);
    assert_eq!(hec.count(), 1);
}

#[test]
fn faults_apply_as_often_as_asked() {
    let hec = Hec::plain();
    let send = |count: u32| post(&hec, &headers(TOKEN), event(count).as_bytes());
    hec.set_fault_times(1, Fault::busy(Some(7)));
    let reply = send(0).unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("7")));
    assert_eq!((send(0).unwrap().status, hec.count()), (200, 1));

    hec.set_fault_times(1, Fault::CloseAfterBody { takes: true });
    assert!(send(1).is_err());
    hec.set_fault_times(1, Fault::CutReply { takes: false });
    assert!(send(2).is_err());
    assert_eq!(hec.count(), 2);

    hec.set_fault(Fault::poison("00000004"));
    let batch = event(3) + &event(4) + &event(5);
    let refused = post(&hec, &headers(TOKEN), batch.as_bytes()).unwrap();
    assert_eq!((refused.status, hec.count()), (400, 2));
    hec.set_fault(Fault::RefuseEvents { when: Predicate::contains("00000004"), names_event: true, keeps_prefix: true });
    let refused = post(&hec, &headers(TOKEN), batch.as_bytes()).unwrap();
    assert!(refused.text().contains("\"invalid-event-number\":1"), "{}", refused.text());
    assert_eq!(hec.count(), 3);
}

#[test]
fn a_receiver_goes_down_hangs_and_comes_up_again() {
    let mut hec = Hec::plain();
    let address = hec.address();
    hec.go_down();
    assert!(http::connect(address).is_err());
    hec.come_up();
    hec.set_fault(Fault::Hang);
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| post(&hec, &headers(TOKEN), event(0).as_bytes()));
        wait_until("the request is there", Duration::from_secs(10), || hec.request_count() == 1);
        assert!(!hanging.is_finished());
        hec.set_fault(Fault::None);
        assert!(hanging.join().unwrap().is_err());
    });
    assert_eq!(hec.count(), 0);
    assert_eq!(post(&hec, &headers(TOKEN), event(0).as_bytes()).unwrap().status, 200);
}

#[test]
fn the_tokens_change_and_large_bodies_are_refused() {
    let hec = Hec::start(Settings { max_content_length: 300, ..Settings::default() });
    hec.set_token("other");
    assert_eq!(post(&hec, &headers("other"), event(0).as_bytes()).unwrap().status, 200);
    assert_eq!(post(&hec, &headers("other"), event(0).repeat(2).as_bytes()).unwrap().status, 413);
    assert_eq!(post(&hec, &headers(TOKEN), event(0).as_bytes()).unwrap().status, 403);
    hec.assert_no_violations();
}
