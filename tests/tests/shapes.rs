//! Shapes and redaction on the wire: what a destination is not to have is nowhere in the bytes that it gets, in any shape,
//! while all that it is to have arrives.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use scaidrive_tests::agent_config::{Destination, quoted};
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::receiver::{Coding, Head, Notes, Receiver, Reply, Request, Route, Rules, Settings};
use scaidrive_tests::rng::count_from_env;
use scaidrive_tests::scenario::PATIENCE;
use scaidrive_tests::wait::wait_until;

/// Takes whatever is posted, answers each path as its owner would, and keeps every byte of head and body.
struct Anything {
    bytes: Mutex<Vec<u8>>,
}

impl Rules for Anything {
    fn name(&self) -> &'static str {
        "anything"
    }

    fn codings(&self) -> &'static [Coding] {
        &[Coding::Gzip, Coding::Zstd]
    }

    fn answer(&self, status: u16) -> Reply {
        Reply::empty(status)
    }

    fn open(&self, _: &Head, _: &mut Notes) -> Result<Route, Reply> {
        Ok(Route::Query)
    }

    fn query(&self, request: &Request, _: &mut Notes) -> Reply {
        let mut bytes = self.bytes.lock().unwrap();
        for text in [&request.head.path, &request.head.query] {
            bytes.extend_from_slice(text.as_bytes());
        }
        for (name, value) in &request.head.headers {
            bytes.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
        bytes.extend_from_slice(&request.body);
        match request.head.path.as_str() {
            path if path.ends_with("/_bulk") => {
                let lines = request.body.iter().filter(|byte| **byte == b'\n').count();
                let items = vec![r#"{"create":{"status":201}}"#; lines / 2];
                Reply::json(200, format!(r#"{{"errors":false,"items":[{}]}}"#, items.join(",")))
            }
            path if path.starts_with("/services/collector") => Reply::json(200, r#"{"text":"Success","code":0}"#),
            "/api/v2/logs" => Reply::json(202, "{}"),
            _ => Reply::empty(200),
        }
    }
}

/// A place that takes a byte stream and keeps it.
fn stream() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (address, kept) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let keeper = Arc::clone(&kept);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let keeper = Arc::clone(&keeper);
            thread::spawn(move || {
                let (mut stream, mut buffer) = (stream, vec![0; 1 << 16]);
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    keeper.lock().unwrap().extend_from_slice(&buffer[..count]);
                }
            });
        }
    });
    (address, kept)
}

/// Each value that is hidden holds `PLANTED`, and each event that the filter leaves out holds `EXCLUDED`.
fn event(count: u64) -> String {
    let is_excluded = count.is_multiple_of(10);
    let (user, mark) = if is_excluded { ("svc_excluded", "EXCLUDED") } else { ("svc_ci", "kept") };
    let action =
        ["file.download", "auth.login_failed", "link.create", "user.create", "workflow.done"][count as usize % 5];
    // The same values, written in another way.
    let planted = if count.is_multiple_of(3) { "\\u0050LANTED" } else { "PLANTED" };
    format!(
        r#"{{"event_id":"{mark}-{count}","timestamp":"2026-05-12T14:23:01.453Z","device":{{"owner":"{planted}1"}},"tenant_id":"t","category":"X","action":"{action}","severity":"info","user_id":"{planted}2","user_email":"{planted}3-{count}@example.com","service_account":"{user}","resource_path":"/{planted}4/{count}/{planted}4.pdf","ip":"{planted}5","user_agent":"{planted}6 {}","session_id":"{planted}7","payload":{{"mark":"{mark}","reason":"{planted}8","scope":"{planted}9","p\u0061ss":"{planted}a","list":[{{"name":"{planted}b"}},[{{"name":"{planted}c"}}]]}}}}"#,
        "x".repeat(count as usize % 40),
    )
}

const REDACT: &str = r#"{ drop = ["session_id", "user_agent", "payload.scope"], mask = ["ip", "device.owner", "payload.pass", "payload.list.name"], hash = ["user_id", "user_email", "resource_path", "payload.reason"], key = KEY }"#;

/// Every type over HTTP in every shape that it takes, and with all that could repeat a value.
fn destinations(url: &str, secret: &str) -> Vec<Destination> {
    let destination = |kind: &str, shape: &str, lines: &[(&str, &str)]| {
        let mut destination = Destination { name: format!("{kind}-{shape}"), lines: Vec::new() };
        destination.set("type", &quoted(kind)).set("shape", &quoted(shape)).set("url", &quoted(url));
        lines.iter().for_each(|(key, value)| {
            destination.set(key, value);
        });
        destination
    };
    let mut all = Vec::new();
    for shape in ["canonical", "ecs", "ocsf", "cef"] {
        let rule = r#"[{ index = "other", filter = { excluded_users = ["PLANTED*"] } }]"#;
        all.push(destination("splunk_hec", shape, &[("token", secret), ("cim_fields", "true"), ("indexes", rule)]));
    }
    for shape in ["canonical", "ecs", "ocsf"] {
        all.push(destination("elastic", shape, &[("api_key", secret)]));
    }
    for shape in ["canonical", "ecs", "ocsf", "cef", "leef"] {
        all.push(destination("sumo_logic", shape, &[("token", secret)]));
    }
    for shape in ["canonical", "ecs", "ocsf", "asim", "cef", "leef"] {
        let compression = if shape == "asim" { "\"zstd\"" } else { "\"gzip\"" };
        all.push(destination("https", shape, &[("body", "\"ndjson\""), ("compression", compression)]));
    }
    let template = r#"'{"e":${event},"u":${user_email},"p":"${payload.pass} ${payload.list}","m":${payload.mark}}'"#;
    all.push(destination("https", "template", &[("template", template)]));
    all.push(destination("datadog", "canonical", &[("api_key", secret)]));
    all
}

#[test]
fn a_value_that_is_excluded_or_redacted_is_nowhere_on_the_wire_in_any_shape() {
    let events = count_from_env("SCAIDRIVE_PLANTED_EVENTS", 5_000) as u64;
    let kept = events - events.div_ceil(10);
    let mut agent = Agent::new();
    agent.config.shards = 2;
    let secret = agent.put_secret("secret", "00000000-0000-0000-0000-000000000000");
    let redact = REDACT.replace("KEY", &secret);
    let filter = r#"{ excluded_users = ["svc_excluded"], actions = ["*.*"] }"#;
    let mut places: Vec<(String, Box<dyn Fn() -> Vec<u8>>)> = Vec::new();
    let probe = destinations("http://localhost:1", &secret).len();
    for nth in 0..probe {
        let rules = Anything { bytes: Mutex::default() };
        let receiver = Receiver::open(rules, Settings::default());
        let destination = destinations(&receiver.url(), &secret).swap_remove(nth);
        places.push((destination.name.clone(), Box::new(move || receiver.rules().bytes.lock().unwrap().clone())));
        agent.config.add(destination.with("redact", &redact).with("filter", filter));
    }
    for (shape, extra) in [
        ("canonical", ("msg", "\"json\"")),
        ("canonical", ("msg", "\"structured\"")),
        ("canonical", ("header", "\"rfc3164\"")),
        ("ecs", ("max_len", "\"1KiB\"")),
        ("ocsf", ("facility", "\"audit\"")),
        ("asim", ("facility", "\"audit\"")),
        ("cef", ("header", "\"rfc3164\"")),
        ("cef", ("max_len", "\"800B\"")),
        ("leef", ("facility", "\"audit\"")),
    ] {
        let (address, bytes) = stream();
        let name = format!("syslog-{shape}-{}-{}", extra.0, places.len());
        let destination = Destination::syslog(&name, "tcp", address).with("shape", &quoted(shape));
        places.push((name, Box::new(move || bytes.lock().unwrap().clone())));
        agent.config.add(destination.with(extra.0, extra.1).with("redact", &redact).with("filter", filter));
    }
    agent.start();
    let mut session = agent.session();
    let lines: Vec<String> = (0..events).map(event).collect();
    for chunk in lines.chunks(500) {
        session.send((chunk.join("\n") + "\n").as_bytes()).unwrap();
    }
    assert!(session.wait_acked(events, PATIENCE));
    assert_eq!(session.refused(), []);
    for (name, bytes) in &places {
        let count = |bytes: &[u8], text: &str| memchr::memmem::find_iter(bytes, text).count() as u64;
        wait_until(&format!("every event that {name} is to have is there"), PATIENCE, || distinct(&bytes()) >= kept);
        let bytes = bytes();
        let shown = String::from_utf8_lossy(&bytes);
        let place = |text: &str| {
            shown.find(text).map(|at| shown.chars().skip(at.saturating_sub(200)).take(600).collect::<String>())
        };
        for text in ["PLANTED", "planted", "LANTED", "EXCLUDED", "svc_excluded", "0000-0000-0000-000000000000\n{"] {
            assert_eq!(count(&bytes, text), 0, "{name}: {text} in {:?}", place(text));
        }
    }
    let shown = String::from_utf8(agent.command(&["status"]).stdout).unwrap();
    assert!(shown.contains("ip masked") && shown.contains("user_email hashed"), "{shown}");
    agent.assert_books_balance();
}

/// How many different events that may go out are in these bytes.
fn distinct(bytes: &[u8]) -> u64 {
    let mut seen: Vec<u64> = memchr::memmem::find_iter(bytes, "kept-")
        .filter_map(|at| {
            let digits = bytes[at + 5..].iter().take_while(|byte| byte.is_ascii_digit());
            String::from_utf8(digits.copied().collect()).ok()?.parse().ok()
        })
        .collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() as u64
}
