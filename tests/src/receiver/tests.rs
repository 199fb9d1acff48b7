//! The engine's faults, on the simplest receiver.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::certificates::Authority;
use crate::generator::{Key, event_line};
use crate::http::{HttpReply, connect, post, post_once};
use crate::sumo::{CODE, Sumo};

fn line(count: u32) -> Vec<u8> {
    let mut event = event_line(Key { run: 1, tenant: 2, count }, 500);
    let stamp = format!("\"siem\":{{\"node\":\"a\",\"stream\":\"s\",\"n\":{}}},", count + 1);
    event.splice(1..1, stamp.into_bytes());
    event.push(b'\n');
    event
}

fn path() -> String {
    format!("/receiver/v1/http/{CODE}")
}

fn send(receiver: &Sumo, body: &[u8]) -> std::io::Result<HttpReply> {
    post_once(receiver.address(), &path(), &[("User-Agent", "test")], body)
}

#[test]
fn a_connection_serves_many_requests_in_every_coding() {
    let receiver = Sumo::start(Settings { keep: Keep::Bodies, ..Settings::default() });
    let mut stream = connect(receiver.address()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&line(1)).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&line(2)).unwrap();
    let bodies = [("identity", line(0)), ("gzip", gzip.finish().unwrap()), ("deflate", zlib.finish().unwrap())];
    for (coding, body) in bodies {
        let headers = [("User-Agent", "test"), ("Content-Encoding", coding)];
        assert_eq!(post(&mut stream, receiver.address(), &path(), &headers, &body).unwrap().status, 200);
    }
    assert_eq!(receiver.connection_count(), 1);
    assert_eq!(receiver.bodies(), [line(0), line(1), line(2)]);
    receiver.assert_no_violations();
    let headers = [("User-Agent", "test"), ("Content-Encoding", "gzip")];
    assert_eq!(post(&mut stream, receiver.address(), &path(), &headers, b"no gzip").unwrap().status, 400);
    assert_eq!(receiver.violations()[0].rule, http::CODED_BODY);
}

#[test]
fn tls_is_served_with_the_given_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let identity = authority.issue(dir.path(), "server", &["localhost"]);
    let receiver = Sumo::start(Settings { tls: Some(identity.server), ..Settings::default() });
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(authority.ca_file()).unwrap();
    roots.add(rustls_pki_types::pem::PemObject::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(receiver.address()).unwrap());
    let body = line(0);
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: h\r\nUser-Agent: t\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        path(),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"HTTP/1.1 200");
    assert!(receiver.url().starts_with("https://"));
    assert_eq!(receiver.count(), 1);
}

#[test]
fn statuses_carry_retry_after_in_both_forms() {
    let receiver = Sumo::start(Settings::default());
    for (wait, expected) in [(RetryAfter::Seconds(7), "7"), (RetryAfter::Date(Duration::from_secs(60)), "GMT")] {
        receiver.set_fault_times(1, Fault::Status { status: 429, retry_after: Some(wait) });
        let reply = send(&receiver, &line(0)).unwrap();
        assert_eq!(reply.status, 429);
        assert!(reply.header("retry-after").unwrap().ends_with(expected));
    }
    for status in [401, 403, 413, 500, 503] {
        receiver.set_fault_times(1, Fault::Status { status, retry_after: None });
        assert_eq!(send(&receiver, &line(0)).unwrap().status, status);
    }
    assert_eq!(receiver.count(), 0);
    assert_eq!(send(&receiver, &line(0)).unwrap().status, 200);
    receiver.assert_no_violations();
}

#[test]
fn connections_end_in_the_body_and_after_it() {
    let receiver = Sumo::start(Settings::default());
    let body = line(0).repeat(200);
    receiver.set_fault_times(1, Fault::CutBody { after: 1_000 });
    assert!(send(&receiver, &body).is_err());
    receiver.set_fault_times(1, Fault::CloseAfterBody { takes: false });
    assert!(send(&receiver, &line(0)).is_err());
    assert_eq!(receiver.count(), 0);
    receiver.set_fault_times(1, Fault::CloseAfterBody { takes: true });
    assert!(send(&receiver, &line(0)).is_err());
    receiver.set_fault_times(1, Fault::CutReply { takes: true });
    assert!(send(&receiver, &line(1)).is_err());
    assert_eq!(receiver.count(), 2);
    receiver.assert_no_violations();
}

#[test]
fn a_slow_reply_comes_after_the_events_were_taken() {
    let receiver = Sumo::start(Settings::default());
    receiver.set_fault_times(1, Fault::SlowReply(Duration::from_millis(400)));
    std::thread::scope(|scope| {
        let start = Instant::now();
        let slow = scope.spawn(|| send(&receiver, &line(0)).unwrap().status);
        crate::wait::wait_until("it is taken", Duration::from_secs(5), || receiver.count() == 1);
        assert!(!slow.is_finished());
        assert_eq!(slow.join().unwrap(), 200);
        assert!(start.elapsed() >= Duration::from_millis(400));
    });
}

#[test]
fn the_first_fault_that_applies_is_met_as_often_as_it_should() {
    let receiver = Sumo::start(Settings::default());
    receiver.set_fault_times(1, Fault::internal_error());
    let has_second = |request: &Request| memchr::memmem::find(&request.body, b"-00000001\"").is_some();
    receiver.add_fault(Some(1), has_second, Fault::busy(None));
    receiver.add_fault(None, |_| true, Fault::poison("-00000002\""));
    let status = |count| send(&receiver, &line(count)).unwrap().status;
    assert_eq!([status(1), status(0), status(1), status(1), status(2)], [500, 200, 503, 200, 400]);
    receiver.set_fault(Fault::None);
    assert_eq!(status(2), 200);
    receiver.set_fault_times(1, Fault::TakeAndAnswer(Reply::text(502, "a proxy")));
    assert_eq!(status(3), 502);
    assert_eq!((receiver.count(), receiver.generated(), receiver.arrivals().distinct()), (4, 4, 4));
}

#[test]
fn a_request_says_what_of_it_was_not_taken() {
    let receiver = Sumo::start(Settings::default());
    receiver.set_fault(Fault::poison("-00000002\""));
    let batch = [line(1), line(2), line(3)].concat();
    assert_eq!([send(&receiver, &batch).unwrap().status, send(&receiver, &line(3)).unwrap().status], [400, 200]);
    receiver.set_fault_times(1, Fault::CloseAfterBody { takes: false });
    assert!(send(&receiver, &line(1)).is_err());
    wait_until("all requests are noted", Duration::from_secs(10), || receiver.at_once() == 0);
    let mut left: Vec<(u64, Vec<u32>)> = receiver
        .requests()
        .into_iter()
        .map(|request| (request.number, request.left.iter().map(|key| key.count).collect()))
        .collect();
    // A request is noted after its answer was written.
    left.sort_unstable();
    assert_eq!(left, [(1, vec![1, 2, 3]), (2, vec![]), (3, vec![1])]);
    assert_eq!((receiver.met(), receiver.distinct(), receiver.arrivals().list[0].request), (1, 1, 2));
}

#[test]
fn while_the_receiver_holds_requests_back_they_wait_and_then_meet_what_is_there() {
    let (receiver, rules) = Sumo::start(Settings::default()).any();
    receiver.hold(true);
    let headers = [("User-Agent", "test")];
    let status = || post_once(receiver.address(), &path(), &headers, &line(0)).unwrap().status;
    std::thread::scope(|scope| {
        let held = scope.spawn(status);
        wait_until("the request is there", Duration::from_secs(10), || receiver.at_once() == 1);
        receiver.set_fault(Fault::internal_error());
        assert!(!held.is_finished());
        receiver.hold(false);
        assert_eq!(held.join().unwrap(), 500);
    });
    assert_eq!((receiver.count(), receiver.met()), (0, 1));
    rules.codes().revoke(CODE);
    assert_eq!(status(), 401, "apart from the receiver the rules are still its own");
}

#[test]
fn the_administrators_limit_is_no_violation_and_the_client_gets_its_answer() {
    let receiver = Sumo::start(Settings { max_content_length: 1_000, ..Settings::default() });
    assert_eq!(send(&receiver, &line(0).repeat(5_000)).unwrap().status, 413);
    let compressed = zstd::encode_all(&[b'x'; 10][..], 1).unwrap();
    let headers = [("User-Agent", "test"), ("Content-Encoding", "zstd")];
    receiver.assert_no_violations();
    assert_eq!(post_once(receiver.address(), &path(), &headers, &compressed).unwrap().status, 415);
    assert_eq!(receiver.violations()[0].rule, http::CODING);
    // A request is noted after its answer was written.
    wait_until("both requests are noted", Duration::from_secs(10), || receiver.requests().len() == 2);
    assert_eq!(receiver.count(), 0);
}
