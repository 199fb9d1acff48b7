//! Receivers: an HTTP event collector and a syslog server that obey, refuse, stall and lie as the seed says, and
//! remember everything that reached them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use scaidrive_codecs::framing::split_counted;
use scaidrive_codecs::http::{Progress, Request, RequestReader};
use scaidrive_siem::runtime::virtual_time::World;
use scaidrive_siem::runtime::{Runtime, Stream};
use scaidrive_siem::time::Millis;
use serde_json::Value;

use crate::chance::Dice;
use crate::sample::Spec;

/// How a collector behaves at present.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Takes everything but poison.
    Obliging,
    /// As that, but slowly.
    Slow(Millis),
    /// Says 503.
    Busy,
    /// Says 429 and when to come back.
    Throttling { after_s: u64 },
    /// Says 400 to everything.
    RefusesAll,
    /// Says 401.
    Unauthorized,
    /// Says 413 to more than this many bytes.
    TooLarge(usize),
    /// Takes everything, then closes without a reply.
    LosesReplies,
    /// Takes everything behind a gateway that has waited long enough and says 504.
    TakesAndSays504,
    /// Never answers.
    Hangs,
    /// Closes as soon as something comes.
    Closes,
}

/// A receiver and what it holds.
pub struct Siem {
    pub name: String,
    pub address: SocketAddr,
    pub mode: Cell<Mode>,
    /// Every setting that was in force so far: what none of them selects may not come here.
    pub specs: RefCell<Vec<Spec>>,
    /// A reply or a connection was lost at some time, so it may hold more than the agent knows.
    pub is_inexact: Cell<bool>,
    /// It refused what was no poison at some time.
    pub was_refusing: Cell<bool>,
    /// It was no destination for a while, so it misses events.
    pub was_removed: Cell<bool>,
    /// Whether its replies name the poison event, and what the first event's number is.
    names_poison: Option<usize>,
    /// It keeps what stood before the poison in the same request.
    keeps_before_poison: bool,
    /// While it drains, the events that producers had sent when it was to: no others may come here.
    pub drains: RefCell<Option<BTreeSet<String>>>,
    pub held: RefCell<Held>,
    /// What was found wrong as it arrived.
    pub broken: RefCell<Option<String>>,
    pub is_ordered: Cell<bool>,
    dice: Dice,
    runtime: Rc<dyn Runtime>,
}

/// What a SIEM holds.
#[derive(Default)]
pub struct Held {
    /// Events by stream and number.
    pub streams: BTreeMap<String, BTreeMap<u64, String>>,
    /// Ids of all events, and how often each arrived.
    pub ids: BTreeMap<String, u64>,
    /// Notices and statements by id.
    pub told: BTreeMap<String, Value>,
    /// Events in requests that were refused although they are no poison.
    pub refused_unjustly: BTreeSet<String>,
    pub last_arrival: Millis,
}

impl Siem {
    pub fn new(spec: &Spec, world: &World, dice: &Dice) -> Rc<Siem> {
        let siem = Rc::new(Siem {
            name: spec.name.clone(),
            address: SocketAddr::from(([127, 0, 0, 1], spec.port)),
            mode: Cell::new(Mode::Obliging),
            specs: RefCell::new(vec![spec.clone()]),
            is_inexact: Cell::new(false),
            was_refusing: Cell::new(false),
            was_removed: Cell::new(false),
            names_poison: if dice.happens(60) { Some(dice.within(0, 2) as usize) } else { None },
            keeps_before_poison: dice.happens(50),
            drains: RefCell::default(),
            held: RefCell::default(),
            broken: RefCell::default(),
            is_ordered: Cell::new(spec.is_ordered || spec.is_syslog),
            dice: dice.clone(),
            runtime: world.runtime(&spec.name),
        });
        let (served, is_syslog) = (Rc::clone(&siem), spec.is_syslog);
        world.network().serve(siem.address, move |stream| {
            let siem = Rc::clone(&served);
            if is_syslog {
                Box::pin(async move { siem.listen(stream).await })
            } else {
                Box::pin(async move { siem.collect(stream).await })
            }
        });
        siem
    }

    /// Whether it speaks syslog.
    pub fn is_syslog(&self) -> bool {
        self.specs.borrow()[0].is_syslog
    }

    /// Other settings are in force from now on.
    pub fn expect(&self, spec: &Spec) {
        self.specs.borrow_mut().push(spec.clone());
    }

    async fn collect(self: Rc<Siem>, mut stream: Box<dyn Stream>) {
        let mut reader = RequestReader::new(1 << 20);
        let mut block = vec![0; 16 << 10];
        loop {
            let Ok(size) = stream.read(&mut block).await else { return };
            if size == 0 || self.mode.get() == Mode::Closes {
                return;
            }
            let mut rest = &block[..size];
            while !rest.is_empty() {
                match reader.push(rest) {
                    Ok(Progress::More) => break,
                    Ok(Progress::Done { message, used }) => {
                        rest = &rest[used..];
                        let Some(reply) = self.answer(&message).await else { return };
                        if stream.write_all(&reply).await.is_err() || stream.flush().await.is_err() {
                            return;
                        }
                    }
                    Err(problem) => return self.complain(format!("a request is malformed: {problem}")),
                }
            }
        }
    }

    /// What is answered; `None` closes the connection.
    async fn answer(&self, request: &Request) -> Option<Vec<u8>> {
        let events = self.open(request);
        for event in &events {
            self.inspect(&event["event"]);
        }
        match self.mode.get() {
            Mode::Obliging => Some(self.take(&events)),
            Mode::Slow(wait) => {
                self.runtime.sleep(wait).await;
                Some(self.take(&events))
            }
            Mode::Busy => Some(reply(503, "", "{\"text\":\"Server is busy\",\"code\":9}")),
            Mode::Throttling { after_s } => Some(reply(429, &format!("Retry-After: {after_s}\r\n"), "slow down")),
            Mode::RefusesAll => {
                self.refuse_unjustly(&events);
                Some(reply(400, "", "{\"text\":\"Invalid data format\",\"code\":6}"))
            }
            Mode::Unauthorized => Some(reply(401, "", "{\"text\":\"Invalid token\",\"code\":3}")),
            Mode::TooLarge(max) if request.body.len() > max && events.len() > 1 => Some(reply(413, "", "too large")),
            Mode::TooLarge(_) => Some(self.take(&events)),
            Mode::LosesReplies => {
                self.take(&events);
                None
            }
            Mode::TakesAndSays504 => {
                self.take(&events);
                Some(reply(504, "", "<html>Gateway Timeout</html>"))
            }
            Mode::Hangs => {
                std::future::pending::<()>().await;
                None
            }
            Mode::Closes => None,
        }
    }

    fn open(&self, request: &Request) -> Vec<Value> {
        let coding = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
        let mut body = Vec::new();
        if coding.is_some_and(|(_, value)| value == "gzip") {
            let read = flate2::read::GzDecoder::new(request.body.as_slice()).read_to_end(&mut body);
            if let Err(problem) = read {
                self.complain(format!("a body can't be unzipped: {problem}"));
            }
        } else {
            body.clone_from(&request.body);
        }
        let events: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(&body).into_iter().collect();
        events.unwrap_or_else(|problem| {
            self.complain(format!("a body is not JSON: {problem}"));
            Vec::new()
        })
    }

    /// Indexes events up to the first poison one, and says so as Splunk does.
    fn take(&self, events: &[Value]) -> Vec<u8> {
        let poison = events.iter().position(|event| event["event"]["action"] == "poison");
        let taken = match poison {
            None => events,
            Some(at) if self.keeps_before_poison => {
                self.is_inexact.set(true);
                &events[..at]
            }
            Some(_) => &[],
        };
        for event in taken {
            let fields = &event["fields"];
            let stamp = fields["siem_stream"].as_str().zip(fields["siem_n"].as_u64());
            self.index(&event["event"], stamp);
        }
        match (poison, self.names_poison) {
            (None, _) => reply(200, "", "{\"text\":\"Success\",\"code\":0}"),
            (Some(at), Some(base)) => {
                let number = at + base;
                let body = format!("{{\"text\":\"Invalid data format\",\"code\":6,\"invalid-event-number\":{number}}}");
                reply(400, "", &body)
            }
            (Some(_), None) => reply(400, "", "{\"text\":\"Invalid data format\",\"code\":6}"),
        }
    }

    fn refuse_unjustly(&self, events: &[Value]) {
        self.was_refusing.set(true);
        let ids = events.iter().filter_map(|event| event["event"]["event_id"].as_str().map(str::to_owned));
        self.held.borrow_mut().refused_unjustly.extend(ids);
    }

    async fn listen(self: Rc<Siem>, mut stream: Box<dyn Stream>) {
        let mut bytes = Vec::new();
        let mut block = vec![0; 16 << 10];
        loop {
            match self.mode.get() {
                Mode::Closes => return,
                Mode::Slow(wait) => self.runtime.sleep(wait).await,
                _ => {}
            }
            let Ok(size) = stream.read(&mut block).await else { return };
            if size == 0 {
                return;
            }
            bytes.extend_from_slice(&block[..size]);
            loop {
                let rest = match split_counted(&bytes, 1 << 20) {
                    Ok(None) => break,
                    Ok(Some((message, rest))) => {
                        self.log(message);
                        rest.len()
                    }
                    Err(problem) => return self.complain(format!("a frame is malformed: {problem}")),
                };
                bytes.drain(..bytes.len() - rest);
            }
        }
    }

    fn log(&self, message: &[u8]) {
        let text = String::from_utf8_lossy(message);
        let Some(begin) = text.find("{\"event_id\"").or_else(|| text.find(" {").map(|at| at + 1)) else {
            return self.complain(format!("a message without an event: {text}"));
        };
        let event: Value = match serde_json::from_str(&text[begin..]) {
            Ok(event) => event,
            Err(problem) => return self.complain(format!("a message's event is not JSON: {problem}: {text}")),
        };
        self.inspect(&event);
        let data = &text[..begin];
        let value = |key: &str| {
            let at = data.find(&format!(" {key}=\""))? + key.len() + 3;
            data[at..].split('"').next()
        };
        let stamp = value("stream").zip(value("n").and_then(|n| n.parse().ok()));
        self.index(&event, stamp);
    }

    /// Whatever becomes of it, no byte may come here that is not meant for it.
    fn inspect(&self, event: &Value) {
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        let specs = self.specs.borrow();
        let in_scope = specs.iter().any(|spec| spec.in_scope(text("tenant_id")));
        if !in_scope {
            return self.complain(format!("an event of tenant {} arrived", text("tenant_id")));
        }
        if text("tenant_id") == "_agent" || text("event_id").starts_with("siem_") || text("category") == "SECURITY" {
            return;
        }
        let is_wanted = specs.iter().any(|spec| match spec.wants {
            crate::sample::Wants::All => true,
            crate::sample::Wants::Category(category) => text("category") == category,
            crate::sample::Wants::Severity(severity) => text("severity") == severity,
            crate::sample::Wants::NotUser(user) => text("user_id") != user,
        });
        if !is_wanted {
            self.complain(format!("an excluded event arrived: {}", text("event_id")));
        }
    }

    fn index(&self, event: &Value, stamp: Option<(&str, u64)>) {
        let id = event["event_id"].as_str().unwrap_or_default().to_owned();
        let mut held = self.held.borrow_mut();
        held.last_arrival = self.runtime.now();
        let Some((stream, n)) = stamp else {
            // The same message, however often it comes.
            let before = held.told.entry(id.clone()).or_insert_with(|| event.clone());
            if before["payload"] != event["payload"] {
                let problem = format!("announcement {id} changed: {} and then {}", before["payload"], event["payload"]);
                drop(held);
                self.complain(problem);
            }
            return;
        };
        *held.ids.entry(id.clone()).or_default() += 1;
        let is_beyond = self.drains.borrow().as_ref().is_some_and(|sent| id.starts_with("e-") && !sent.contains(&id));
        if is_beyond {
            self.complain(format!("{id} arrived, which came after it was to drain"));
        }
        let numbers = held.streams.entry(stream.to_owned()).or_default();
        let highest = numbers.last_key_value().map_or(0, |(n, _)| *n);
        let is_late = n < highest && !numbers.contains_key(&n);
        let before = numbers.entry(n).or_insert_with(|| id.clone()).clone();
        drop(held);
        if before != id {
            self.complain(format!("number {n} of {stream} was {before} and is {id}"));
        }
        // After a misconfiguration one event at a time probes, and not always the first one.
        if is_late && self.is_ordered.get() && !self.was_refusing.get() {
            self.complain(format!("number {n} of {stream} arrived after {highest}"));
        }
    }

    fn complain(&self, problem: String) {
        self.broken.borrow_mut().get_or_insert(format!("{} at {}: {problem}", self.name, self.runtime.now()));
    }

    /// A seeded mood, and how long it lasts.
    pub fn change_mood(&self, world: &World, is_honest: bool) -> Millis {
        use scaidrive_siem::runtime::virtual_time::Fault;
        let dice = &self.dice;
        let is_syslog = self.is_syslog();
        let network = world.network();
        network.set_fault(self.address, Fault::None);
        let honest = [
            Mode::Busy,
            Mode::Throttling { after_s: dice.within(1, 5) },
            Mode::RefusesAll,
            Mode::Unauthorized,
            Mode::TooLarge(dice.within(300, 3_000) as usize),
            Mode::Slow(Millis(dice.within(20, 800))),
        ];
        let lying = [Mode::LosesReplies, Mode::TakesAndSays504, Mode::Hangs, Mode::Closes, Mode::Slow(Millis(4_000))];
        // Nothing answers for syslog: a server that does not read for longer than the trail is kept loses by design.
        let syslog = [Mode::Obliging, Mode::Closes, Mode::Slow(Millis(dice.within(5, 100)))];
        let mode = match dice.within(0, 10) {
            _ if is_syslog && is_honest => Mode::Obliging,
            _ if is_syslog => dice.pick(&syslog),
            0..=3 => Mode::Obliging,
            4..=7 => dice.pick(&honest),
            _ if is_honest => dice.pick(&honest),
            _ => dice.pick(&lying),
        };
        self.mode.set(mode);
        self.is_inexact.set(self.is_inexact.get() || lying.contains(&mode));
        if !is_honest && dice.happens(20) {
            self.is_inexact.set(true);
            match dice.within(0, 4) {
                0 => network.set_fault(self.address, Fault::Refused),
                1 if !is_syslog => network.set_fault(self.address, Fault::Silent),
                2 if !is_syslog => network.set_fault(self.address, Fault::Swallows),
                _ => drop(network.cut(self.address)),
            }
        }
        Millis(if dice.happens(20) { dice.within(5_000, 25_000) } else { dice.within(200, 5_000) })
    }

    /// What it was told, for people.
    pub fn dump(&self) {
        let held = self.held.borrow();
        for (id, event) in &held.told {
            eprintln!("{} {} {id} {}", self.name, event["timestamp"], event["payload"]);
        }
        for (stream, numbers) in &held.streams {
            eprintln!("{} {stream}: {:?}", self.name, numbers.keys().collect::<Vec<_>>());
        }
    }

    /// From now on it takes everything.
    pub fn mend(&self, world: &World) {
        world.network().set_fault(self.address, scaidrive_siem::runtime::virtual_time::Fault::None);
        self.mode.set(Mode::Obliging);
    }
}

fn reply(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Said\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
