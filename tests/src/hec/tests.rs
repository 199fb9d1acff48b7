//! The receiver against a plain client.

use std::io::Write;
use std::time::Duration;

use super::*;
use crate::http::{self, HttpReply};
use crate::receiver::http as framing;
use crate::wait::wait_until;

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
        framing::USER_AGENT,
        rules::AUTHORIZATION,
        framing::NOT_CHUNKED,
        framing::CONTENT_LENGTH,
        framing::CODING,
        rules::CHANNEL_IS_GUID,
        framing::USER_AGENT,
        rules::AUTHORIZATION,
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

const CHANNEL: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

fn acked() -> Hec {
    let hec = Hec::plain();
    hec.rules().use_acks(true);
    hec
}

fn on_channel(cookie: Option<&str>) -> Vec<(String, String)> {
    let mut all = headers(TOKEN);
    all.push(("X-Splunk-Request-Channel".to_owned(), CHANNEL.to_owned()));
    all.extend(cookie.map(|cookie| ("Cookie".to_owned(), cookie.to_owned())));
    all
}

fn ask(hec: &Hec, headers: &[(String, String)], query: &str) -> HttpReply {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http::post_once(hec.address(), ACK_PATH, &headers, query.as_bytes()).unwrap()
}

#[test]
fn ack_ids_count_on_their_channel_and_are_true_once() {
    let hec = acked();
    assert_eq!(
        post(&hec, &headers(TOKEN), event(0).as_bytes()).unwrap().text(),
        r#"{"text":"Data channel is missing","code":10}"#
    );
    assert_eq!(hec.violations()[0].rule, rules::CHANNEL);
    let send = |count| post(&hec, &on_channel(None), event(count).as_bytes()).unwrap().text();
    assert_eq!(send(0), r#"{"text":"Success","code":0,"ackId":0}"#);
    hec.rules().next_fates(&[Fate::Lost, Fate::Silent]);
    assert_eq!(
        (send(1), send(2)),
        (r#"{"text":"Success","code":0,"ackId":1}"#.to_owned(), r#"{"text":"Success","code":0,"ackId":2}"#.to_owned())
    );
    let keys: Vec<u32> = hec.arrivals().list.iter().filter_map(|arrival| Some(arrival.key?.count)).collect();
    assert_eq!(keys, [0, 2], "a lost batch is not there, a silent one is");
    let query = |text: &str| ask(&hec, &on_channel(None), text).text();
    hec.rules().hold_acks(true);
    assert_eq!(query(r#"{"acks":[0]}"#), r#"{"acks":{"0":false}}"#);
    hec.rules().hold_acks(false);
    assert_eq!(query(r#"{"acks":[0,1,2]}"#), r#"{"acks":{"0":true,"1":false,"2":false}}"#);
    assert_eq!(query(r#"{"acks":[0]}"#), r#"{"acks":{"0":false}}"#);
    assert_eq!(hec.violations().len(), 1);
    assert_eq!(query(r#"{"acks":[9]}"#), r#"{"acks":{"9":false}}"#);
    assert!(query("[0]").contains("\"code\":6"));
    assert!(hec.violations()[1..].iter().all(|violation| violation.rule == rules::ACK_QUERY));
    hec.rules().use_acks(false);
    assert_eq!(query(r#"{"acks":[0]}"#), r#"{"text":"ACK is disabled","code":14}"#);
}

#[test]
fn ids_are_answered_only_with_a_cookie_of_the_channel_and_each_reply_sets_another() {
    let hec = acked();
    hec.rules().demand_cookie();
    let first = post(&hec, &on_channel(None), event(0).as_bytes()).unwrap();
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let query = |cookie: Option<&str>| ask(&hec, &on_channel(cookie), r#"{"acks":[0]}"#).text();
    assert_eq!(query(None), r#"{"acks":{"0":false}}"#);
    assert_eq!(hec.violations()[0].rule, rules::COOKIE);
    assert_eq!(query(Some(&cookie)), r#"{"acks":{"0":true}}"#);
    let second = post(&hec, &on_channel(Some(&cookie)), event(1).as_bytes()).unwrap();
    let other = second.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(other, cookie);
    assert_eq!(ask(&hec, &on_channel(Some(&other)), r#"{"acks":[1]}"#).text(), r#"{"acks":{"1":true}}"#);
    hec.rules().expire_sessions();
    assert_eq!(query(Some(&cookie)), r#"{"acks":{"0":false}}"#);
    assert_eq!(hec.violations().len(), 1);
}

#[test]
fn a_fault_can_be_for_ack_queries_alone() {
    let hec = acked();
    hec.add_fault(Some(1), |request| request.head.path == ACK_PATH, Fault::Answer(reply(400, 14, "ACK is disabled")));
    assert_eq!(post(&hec, &on_channel(None), event(0).as_bytes()).unwrap().status, 200);
    let query = || ask(&hec, &on_channel(None), r#"{"acks":[0]}"#).status;
    assert_eq!((query(), query()), (400, 200));
}

#[test]
fn capacity_codes_and_indexes_are_answered_as_documented() {
    let hec = Hec::plain();
    let send = |body: &str| post(&hec, &headers(TOKEN), body.as_bytes()).unwrap();
    hec.rules().warn(Some(24));
    assert_eq!(send(&event(0)).text(), r#"{"text":"Queue is approaching its capacity limit","code":24}"#);
    hec.rules().warn(Some(25));
    assert_eq!(send(&event(1)).text(), r#"{"text":"ACK is approaching its capacity limit","code":25}"#);
    hec.set_fault_times(1, Fault::at_capacity(None));
    assert_eq!(send(&event(2)).text(), r#"{"text":"Queue is at capacity","code":26}"#);
    hec.set_fault_times(1, Fault::Answer(reply(429, 27, "ACK channel is at capacity")));
    assert_eq!(send(&event(2)).status, 429);
    hec.rules().allow_indexes(&["security"]);
    let with_index = |count, index: &str| event(count).replacen('{', &format!("{{\"index\":\"{index}\","), 1);
    assert_eq!(send(&with_index(2, "security")).status, 200);
    let refused = send(&(with_index(3, "security") + &with_index(4, "other")));
    assert_eq!(refused.text(), r#"{"text":"Incorrect index","code":7,"invalid-event-number":2}"#);
    assert_eq!(hec.count(), 3);
    hec.assert_no_violations();
}
