//! The whole way in: real sockets, the real accepting thread, shards that keep events in memory.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::*;
use crate::ingest::double::{TestInbox, TestShelf};
use crate::ingest::{Token, Window};
use crate::runtime::{Backend, Runtime, RuntimeSetting, choose};
use crate::shard::door::Outcome;

/// An agent's way in, with two shards on the portable runtime.
struct House {
    dir: tempfile::TempDir,
    inboxes: Vec<Arc<TestInbox>>,
    doors: Doors,
    settings: Settings,
}

impl House {
    fn new() -> House {
        House::on(Backend::Epoll)
    }

    fn on(backend: Backend) -> House {
        let dir = tempfile::tempdir().unwrap();
        let (inboxes, doors) = TestInbox::doors(2);
        for (here, inbox) in inboxes.iter().cloned().enumerate() {
            let doors = doors.clone();
            // The shard's thread ends with the test's process.
            crate::runtime::start(backend, format!("shard-{here}"), move |runtime: Rc<dyn Runtime>| {
                let shelf = TestShelf::synced();
                Box::pin(async move { inbox.run(shelf.door(&doors, here as u16, &runtime)).await })
            })
            .unwrap();
        }
        let unix = UnixSettings { path: dir.path().join("ingest.sock"), mode: 0o660, gid: None, allow_uids: vec![] };
        let listen = "127.0.0.1:0".parse().unwrap();
        let settings = Settings {
            unix: Some(unix),
            http: Some(HttpSettings { listen, token: None, hosts: vec![] }),
            max_event_size: 4096,
            window: Window::default(),
            quarantine: dir.path().join("quarantine.jsonl"),
        };
        House { dir, inboxes, doors, settings }
    }

    fn open(&self) -> Result<IngestThread, StartError> {
        start(&self.settings, self.doors.clone(), Intake::new(&self.settings, 2))
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("ingest.sock")
    }
}

fn event(tenant: usize, id: usize) -> String {
    format!(
        "{{\"event_id\":\"e{id}\",\"timestamp\":\"2026-05-12T14:23:01Z\",\"tenant_id\":\"t{tenant}\",\
         \"category\":\"FILE\",\"action\":\"file.read\",\"severity\":\"info\"}}"
    )
}

/// Sends `count` events and reads acks until all are acknowledged.
fn produce(socket: PathBuf, count: usize) -> Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    let mut acks = BufReader::new(stream.try_clone().unwrap());
    let sending = thread::spawn(move || {
        for id in 0..count {
            writeln!(stream, "{}", event(id % 7, id)).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let mut last = Value::Null;
    let mut line = String::new();
    while acks.read_line(&mut line).unwrap() > 0 {
        last = serde_json::from_str(&line).unwrap();
        line.clear();
    }
    sending.join().unwrap();
    last
}

/// One request; the status and the body.
fn request(address: SocketAddr, head: &str, body: &[u8]) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // A refusal may come, and the connection close, before all of it is sent.
    let _ = stream.write_all(body);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    let reply = String::from_utf8(reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn post(address: SocketAddr, headers: &str, body: impl AsRef<[u8]>) -> (u16, String, Value) {
    request(address, &format!("POST /v1/events HTTP/1.1\r\nHost: localhost{headers}"), body.as_ref())
}

#[test]
fn producers_on_the_socket_are_spread_over_shards_and_all_acknowledged() {
    many_producers(&House::new());
}

#[test]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn producers_are_served_on_io_uring_too() {
    match choose(RuntimeSetting::IoUring) {
        Ok(choice) => many_producers(&House::on(choice.backend)),
        Err(refused) => println!("skipped: {refused}"),
    }
}

fn many_producers(house: &House) {
    let ingest = house.open().unwrap();
    let mode = fs::metadata(house.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let producers: Vec<_> = (0..4).map(|_| house.socket()).map(|path| thread::spawn(|| produce(path, 3000))).collect();
    for producer in producers {
        assert_eq!(producer.join().unwrap(), json!({"acked":3000}));
    }
    let opened: Vec<u64> = ingest.intake().shards.iter().map(|stats| stats.opened.get()).collect();
    assert_eq!(opened, [2, 2]);
    let accepted: u64 = ingest.intake().stats().map(|stats| stats.accepted.get()).sum();
    assert_eq!(accepted, 12_000);
    ingest.stop().unwrap();
    assert!(!house.socket().exists());
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let house = House::new();
    drop(UnixListener::bind(house.socket()).unwrap());
    drop(UnixListener::bind(house.dir.path().join("ingest.sock~")).unwrap());
    let ingest = house.open().unwrap();
    assert_eq!(produce(house.socket(), 1), json!({"acked":1}));
    assert!(matches!(house.open(), Err(StartError::Socket(SocketError::Busy { .. }))));
    assert_eq!(produce(house.socket(), 1), json!({"acked":1}));
    ingest.stop().unwrap();

    fs::write(house.socket(), "precious").unwrap();
    assert!(matches!(house.open(), Err(StartError::Socket(SocketError::NotASocket { .. }))));
    assert_eq!(fs::read(house.socket()).unwrap(), b"precious");
}

#[test]
fn the_socket_gets_its_group_and_a_folder_that_is_not_there_is_named() {
    let mut house = House::new();
    let gid = fs::metadata(house.dir.path()).unwrap().gid();
    house.settings.unix.as_mut().unwrap().gid = Some(gid);
    let ingest = house.open().unwrap();
    assert_eq!(fs::metadata(house.socket()).unwrap().gid(), gid);
    ingest.stop().unwrap();

    house.settings.unix.as_mut().unwrap().path = house.dir.path().join("missing/ingest.sock");
    let error = house.open().unwrap_err();
    assert!(matches!(error, StartError::Socket(SocketError::Io { step: "make", .. })));
    assert_eq!(error.setting(), "ingest.unix");
}

#[test]
fn only_allowed_users_may_connect() {
    let mut house = House::new();
    house.settings.unix.as_mut().unwrap().allow_uids = vec![4_000_000_000];
    let ingest = house.open().unwrap();
    let mut told = String::new();
    UnixStream::connect(house.socket()).unwrap().read_to_string(&mut told).unwrap();
    assert!(told.contains("is not in ingest.unix.allow_uids"), "{told}");
    assert_eq!(ingest.intake().server.turned_away.get(), 1);
    ingest.stop().unwrap();
}

#[test]
fn lesson_47_stopping_ends_idle_connections_within_seconds() {
    let house = House::new();
    let ingest = house.open().unwrap();
    let mut idle = UnixStream::connect(house.socket()).unwrap();
    writeln!(idle, "{}", event(1, 1)).unwrap();
    let mut acks = BufReader::new(idle.try_clone().unwrap());
    let mut line = String::new();
    acks.read_line(&mut line).unwrap();
    assert_eq!(line, "{\"acked\":1}\n");
    let half = TcpStream::connect(ingest.http().unwrap()).unwrap();
    let began = Instant::now();
    ingest.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(acks.read_line(&mut line).unwrap(), 0);
    drop(half);
}

#[test]
fn http_takes_lines_and_arrays_plain_and_packed() {
    let house = House::new();
    let ingest = house.open().unwrap();
    let address = ingest.http().unwrap();
    let lines = format!("{}\n\nnot json\n{}", event(1, 1), event(2, 2));
    let (status, _, body) = post(address, "\r\nContent-Type: application/x-ndjson", &lines);
    assert_eq!((status, &body["accepted"]), (200, &json!(2)));
    assert_eq!(body["refused"][0]["line"], 3);
    assert_eq!(body["refused"][0]["code"], "not_an_object");

    let pretty = format!("[\n{},\n  17, {} ]\n", event(1, 3).replace(',', ",\r\n  "), event(2, 4));
    let (status, _, body) = post(address, "", &pretty);
    assert_eq!((status, &body["accepted"], &body["refused"][0]["line"]), (200, &json!(2), &json!(2)));

    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(event(3, 5).as_bytes()).unwrap();
    let (status, _, body) = post(address, "\r\nContent-Encoding: gzip", packed.finish().unwrap());
    assert_eq!((status, body), (200, json!({"accepted":1,"refused":[]})));

    let kept: Vec<Vec<u8>> = house.inboxes.iter().flat_map(|inbox| inbox.events.lock().unwrap().clone()).collect();
    assert_eq!(kept.len(), 5);
    assert!(kept.iter().all(|event| !event.contains(&b'\n') && !event.contains(&b'\r')));
    let stats = &ingest.intake().server;
    assert_eq!((stats.lines.get(), stats.blank.get(), stats.refused_total(), stats.in_hand()), (8, 1, 2, 0));
    ingest.stop().unwrap();
}

#[test]
fn http_refuses_what_it_must_with_problem_replies() {
    let mut house = House::new();
    house.settings.http.as_mut().unwrap().token = Some(Token::new("s3cret"));
    let ingest = house.open().unwrap();
    let address = ingest.http().unwrap();
    let auth = "\r\nAuthorization: Bearer s3cret";
    let get = |target: &str, host: &str| request(address, &format!("{target} HTTP/1.1\r\nHost: {host}{auth}"), b"");
    let line = event(1, 1);
    assert_eq!(post(address, auth, &line).0, 200);
    let cases = [
        (401, post(address, "", &line)),
        (401, post(address, "\r\nAuthorization: Bearer wrong!", &line)),
        (403, post(address, &format!("{auth}\r\nOrigin: http://localhost"), &line)),
        (403, get("POST /v1/events", "evil.example")),
        (404, get("POST /v1/other", "localhost")),
        (405, get("GET /v1/events", "localhost")),
        (400, post(address, auth, "[{]")),
        (415, post(address, &format!("{auth}\r\nContent-Encoding: br"), &line)),
        (413, post(address, auth, vec![b'\n'; 70_000])),
        (413, post(address, auth, vec![b' '; (16 << 20) + 1])),
    ];
    for (expected, (status, head, body)) in cases {
        assert_eq!(status, expected, "{head}");
        assert!(head.contains("application/problem+json"), "{head}");
        assert_eq!(body["status"], expected);
    }
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5000));
    let (status, _, body) = post(address, auth, &long);
    assert_eq!((status, &body["refused"][0]["code"]), (200, &json!("too_long")));
    ingest.stop().unwrap();
}

#[test]
fn http_says_when_to_come_again_and_when_events_were_not_kept() {
    let house = House::new();
    let ingest = house.open().unwrap();
    let address = ingest.http().unwrap();
    let lines: String = (0..10).map(|tenant| event(tenant, tenant) + "\n").collect();
    let full = Outcome::Refused { why: "the disk is full".to_owned(), retry_after_s: 7 };
    *house.inboxes[0].refusing.lock().unwrap() = Some(full);
    let (status, head, body) = post(address, "", &lines);
    assert_eq!(status, 429);
    assert!(head.contains("retry-after: 7"), "{head}");
    assert_eq!(body["detail"], "the disk is full");
    let accepted = body["accepted"].as_u64().unwrap();
    assert_eq!(accepted as usize, house.inboxes[1].events.lock().unwrap().len());

    *house.inboxes[0].refusing.lock().unwrap() = Some(Outcome::Failed { why: "the sync failed".to_owned() });
    let (status, _, body) = post(address, "", &lines);
    assert_eq!((status, &body["detail"]), (503, &json!("the sync failed")));
    let stats = &ingest.intake().server;
    assert_eq!(stats.accepted.get() + stats.failed.get(), 20);
    assert_eq!(stats.in_hand(), 0);
    ingest.stop().unwrap();
}

#[test]
fn http_that_others_can_reach_needs_a_token() {
    let mut house = House::new();
    house.settings.http.as_mut().unwrap().listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(house.open(), Err(StartError::NeedsToken { .. })));
}
