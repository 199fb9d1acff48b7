//! Shapes and redaction on the wire: what a destination is not to have is nowhere in the bytes that it gets, in any shape,
//! while all that it is to have arrives.

use std::collections::HashSet;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use scaidrive_tests::agent_config::{Destination, quoted};
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::receiver::{Coding, Head, Notes, Receiver, Reply, Request, Route, Rules, Settings};
use scaidrive_tests::rng::count_from_env;
use scaidrive_tests::scenario::PATIENCE;
use scaidrive_tests::wait::wait_until;

/// Looks through the bytes of one place as they come.
#[derive(Default)]
struct Watch {
    /// The numbers of the events that are there.
    kept: HashSet<u64>,
    /// The first bytes that are not to be there, with some around them.
    leak: Option<String>,
    /// What a stream's next piece may go on with.
    tail: Vec<u8>,
}

impl Watch {
    /// Takes the next piece of a stream.
    fn feed(&mut self, piece: &[u8]) {
        let mut bytes = std::mem::take(&mut self.tail);
        bytes.extend_from_slice(piece);
        self.look(&bytes);
        self.tail = bytes.split_off(bytes.len().saturating_sub(TAIL));
    }

    fn look(&mut self, bytes: &[u8]) {
        for text in HIDDEN {
            if let Some(at) = memchr::memmem::find(bytes, text.as_bytes()) {
                let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 200)];
                self.leak.get_or_insert_with(|| format!("{text} in {}", String::from_utf8_lossy(around)));
            }
        }
        for at in memchr::memmem::find_iter(bytes, "kept-") {
            // The id ends here, or its number may go on in the next piece.
            let digits: Vec<u8> = bytes[at + 5..].iter().copied().take_while(u8::is_ascii_digit).collect();
            if at + 5 + digits.len() < bytes.len() {
                self.kept.extend(String::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok()));
            }
        }
    }
}

/// What may be nowhere.
const HIDDEN: [&str; 5] = ["PLANTED", "planted", "LANTED", "EXCLUDED", "svc_excluded"];
/// No piece of text that is looked for is longer.
const TAIL: usize = 64;

/// Takes whatever is posted, answers each path as its owner would, and looks through every byte of head and body.
struct Anything {
    watch: Mutex<Watch>,
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
        let head = &request.head;
        let mut bytes = format!("{} {} {:?}", head.path, head.query, head.headers).into_bytes();
        bytes.extend_from_slice(&request.body);
        self.watch.lock().unwrap().look(&bytes);
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

/// A place that takes byte streams and looks through them.
fn stream() -> (SocketAddr, Arc<Mutex<Watch>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (address, watch) = (listener.local_addr().unwrap(), Arc::<Mutex<Watch>>::default());
    let watching = Arc::clone(&watch);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let watch = Arc::clone(&watching);
            thread::spawn(move || {
                let (mut stream, mut buffer) = (stream, vec![0; 1 << 16]);
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    watch.lock().unwrap().feed(&buffer[..count]);
                }
            });
        }
    });
    (address, watch)
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
    let mut places: Vec<(String, Place)> = Vec::new();
    let probe = destinations("http://localhost:1", &secret).len();
    for nth in 0..probe {
        let receiver = Receiver::open(Anything { watch: Mutex::default() }, Settings::default());
        let destination = destinations(&receiver.url(), &secret).swap_remove(nth);
        places.push((destination.name.clone(), Place::Http(receiver)));
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
        let (address, watch) = stream();
        let name = format!("syslog-{shape}-{}-{}", extra.0, places.len());
        let destination = Destination::syslog(&name, "tcp", address).with("shape", &quoted(shape));
        places.push((name, Place::Stream(watch)));
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
    for (name, place) in &places {
        wait_until(&format!("every event that {name} is to have is there"), PATIENCE, || {
            let watch = place.watch();
            assert_eq!(watch.leak, None, "{name}");
            watch.kept.len() as u64 >= kept
        });
    }
    let shown = String::from_utf8(agent.command(&["status"]).stdout).unwrap();
    assert!(shown.contains("ip masked") && shown.contains("user_email hashed"), "{shown}");
    agent.assert_books_balance();
}

/// Where one destination's bytes go.
enum Place {
    Http(Receiver<Anything>),
    Stream(Arc<Mutex<Watch>>),
}

impl Place {
    fn watch(&self) -> MutexGuard<'_, Watch> {
        match self {
            Place::Http(receiver) => receiver.rules().watch.lock().unwrap(),
            Place::Stream(watch) => watch.lock().unwrap(),
        }
    }
}
