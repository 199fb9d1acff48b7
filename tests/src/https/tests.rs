//! The receiver and its authorization server against a plain client.

use std::time::Duration;

use serde_json::Value;

use super::oauth::{CLIENT, CLIENT_SECRET, GRANT_TYPE};
use super::*;
use crate::http::{HttpReply, post_once};
use crate::receiver::Fault;

fn event(count: u32) -> String {
    let key = crate::generator::Key { run: 1, tenant: 2, count };
    let stamp = format!("\"siem\":{{\"node\":\"a\",\"stream\":\"s\",\"n\":{}}}", count + 1);
    format!("{{{stamp},\"event_id\":\"{}\",\"tenant_id\":\"{}\"}}", key.event_id(), key.tenant_id())
}

fn send(receiver: &Https, headers: &[(&str, &str)], body: &str) -> HttpReply {
    let mut all = vec![("User-Agent", "t"), ("Content-Type", "application/json"), ("Idempotency-Key", "k")];
    for (name, value) in headers {
        all.retain(|(key, _)| key != name);
        all.push((name, value));
    }
    all.retain(|(_, value)| !value.is_empty());
    post_once(receiver.address(), "/events", &all, body.as_bytes()).unwrap()
}

fn start(shape: Shape, proof: Proof) -> Https {
    Https::start(Contract::new(shape, proof), Settings::default())
}

fn rules_of<R: Rules>(receiver: &Receiver<R>) -> Vec<Rule> {
    receiver.violations().into_iter().map(|violation| violation.rule).collect()
}

#[test]
fn each_shape_is_taken_and_no_other() {
    let (one, two) = (event(0), event(1));
    let ndjson = ("Content-Type", "application/x-ndjson");
    let json = ("Content-Type", "application/json");
    let cases = [
        (Shape::Array, json, format!("[{one},{two}]"), one.clone()),
        (Shape::Lines, ndjson, format!("{one}\n{two}\n"), format!("{one}\n{two}")),
        (Shape::Wrapped("events".to_owned()), json, format!("{{\"events\":[{one},{two}]}}"), format!("[{one}]")),
    ];
    for (shape, content_type, good, bad) in cases {
        let receiver = start(shape, Proof::None);
        let count = ("X-ScaiDrive-Batch-Count", "2");
        assert_eq!(send(&receiver, &[content_type, count], &good).status, 200);
        assert_eq!(receiver.count(), 2);
        receiver.assert_no_violations();
        assert_eq!(send(&receiver, &[content_type, ("Idempotency-Key", "l")], &bad).status, 400);
        assert_eq!(rules_of(&receiver), [SHAPE]);
    }
    let receiver = start(Shape::Single, Proof::None);
    assert_eq!((send(&receiver, &[], &one).status, receiver.count()), (200, 1));
    let wrong = [("X-ScaiDrive-Batch-Count", "3"), ("Idempotency-Key", "l")];
    assert_eq!(send(&receiver, &wrong, &two).status, 200);
    assert_eq!(send(&receiver, &[("Content-Type", "text/plain")], &one).status, 415);
    assert_eq!(post_once(receiver.address(), "/x", &[("User-Agent", "t")], b"").unwrap().status, 404);
    assert_eq!(rules_of(&receiver), [COUNT, CONTENT_TYPE, TARGET]);
}

#[test]
fn a_batch_that_comes_again_under_its_key_is_not_taken_again() {
    let receiver = start(Shape::Single, Proof::None);
    receiver.set_fault_times(1, Fault::internal_error());
    assert_eq!(send(&receiver, &[], &event(0)).status, 500);
    assert_eq!((send(&receiver, &[], &event(0)).status, send(&receiver, &[], &event(0)).status), (200, 200));
    assert_eq!(receiver.count(), 1);
    receiver.assert_no_violations();
    assert_eq!(send(&receiver, &[], &event(1)).status, 422);
    assert_eq!(send(&receiver, &[("Idempotency-Key", "l")], &event(0)).status, 200);
    assert_eq!(send(&receiver, &[("Idempotency-Key", "")], &event(0)).status, 400);
    assert_eq!(rules_of(&receiver), [KEY, KEY, KEY]);
}

#[test]
fn signatures_are_checked_with_every_valid_secret() {
    let secrets = Arc::new(Credentials::of("one"));
    let receiver = start(Shape::Single, Proof::Signature(Arc::clone(&secrets)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signed = |secret: &str, time: u64| {
        let v1 = |secret: &str| signature(secret, &time.to_string(), event(0).as_bytes());
        format!("t={time},v1={},v1={}", v1("another"), v1(secret))
    };
    let status = |header: &str| send(&receiver, &[("X-ScaiDrive-Signature", header)], &event(0)).status;
    assert_eq!(status(&signed("one", now)), 200);
    secrets.only("two");
    assert_eq!((status(&signed("one", now)), status(&signed("two", now))), (401, 200));
    receiver.assert_no_violations();
    assert_eq!((status(&signed("three", now)), status(&signed("two", now - 400)), status("")), (401, 401, 401));
    assert_eq!(rules_of(&receiver), [SIGNATURE, SIGNATURE, SIGNATURE]);
}

#[test]
fn every_kind_of_proof_is_checked() {
    let known = || Arc::new(Credentials::of("user:secret"));
    let basic = format!("Basic {}", STANDARD.encode("user:secret"));
    let cases = [
        (Proof::Bearer(known()), ("Authorization", "Bearer user:secret")),
        (Proof::Basic(known()), ("Authorization", basic.as_str())),
        (Proof::Header("x-key", known()), ("X-Key", "user:secret")),
    ];
    for (proof, header) in cases {
        let receiver = start(Shape::Single, proof);
        assert_eq!(send(&receiver, &[header], &event(0)).status, 200);
        receiver.assert_no_violations();
        assert_eq!(send(&receiver, &[], &event(0)).status, 401);
        assert_eq!(rules_of(&receiver), [AUTHORIZATION]);
    }
}

#[test]
fn oauth_gives_tokens_that_the_receiver_takes_until_they_end() {
    let tokens = Arc::new(Credentials::default());
    let server = OAuth::start(&tokens, Some("siem.write"), None, Settings::default());
    let receiver = start(Shape::Single, Proof::Bearer(Arc::clone(&tokens)));
    let ask = |headers: &[(&str, &str)], form: &str| {
        let mut all = vec![("User-Agent", "t"), ("Content-Type", "application/x-www-form-urlencoded")];
        all.extend(headers);
        post_once(server.address(), "/token", &all, form.as_bytes()).unwrap()
    };
    let basic = format!("Basic {}", STANDARD.encode("scaidrive+siem:p%40ss%3Aw%25rd%26%3D"));
    let by_basic = ("Authorization", basic.as_str());
    let grant = "grant_type=client_credentials&scope=siem.write";
    let in_body = format!("{grant}&client_id=scaidrive%20siem&client_secret=p%40ss%3Aw%25rd%26%3D");
    assert_eq!(ask(&[], &in_body).status, 200);
    server.rules().issuer().set_life(Duration::from_millis(300));
    let reply: Value = serde_json::from_slice(&ask(&[by_basic], grant).body).unwrap();
    let token = format!("Bearer {}", reply["access_token"].as_str().unwrap());
    assert_eq!(send(&receiver, &[("Authorization", &token)], &event(0)).status, 200);
    server.rules().secrets().revoke(CLIENT_SECRET);
    assert_eq!(ask(&[], &in_body).status, 401);
    server.rules().secrets().add(CLIENT_SECRET);
    assert_eq!(ask(&[by_basic], "grant_type=client_credentials").status, 400);
    server.assert_no_violations();
    receiver.assert_no_violations();
    crate::wait::wait_until("the token ends", Duration::from_secs(5), || {
        send(&receiver, &[("Authorization", &token)], &event(0)).status == 401
    });
    assert_eq!(rules_of(&receiver), [TOKEN]);
    assert_eq!((ask(&[by_basic], &in_body).status, ask(&[by_basic], "grant_type=password").status), (400, 400));
    assert_eq!(post_once(server.address(), "/token", &[("User-Agent", "t")], b"").unwrap().status, 400);
    assert_eq!(post_once(server.address(), "/x", &[("User-Agent", "t")], b"").unwrap().status, 404);
    assert_eq!(rules_of(&server), [CLIENT, GRANT_TYPE, oauth::CONTENT_TYPE, oauth::TARGET]);
}
