//! A ScaiDrive node that never tires: writes made-up audit events to the agent's socket and keeps each until it is
//! acknowledged.
//!
//! This is all that a producer has to do: write a line, read acks, and after a lost connection write again what was
//! not acknowledged. Never more than [`WINDOW`] events are without an ack.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_codecs::time::write_rfc3339;
use serde::Deserialize;

use super::tally::{Numbers, event_id};
use crate::runtime::clock;

/// The generator, on a thread of its own.
pub(super) struct Generator {
    shared: Arc<Shared>,
    worker: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Events a second.
    rate: AtomicU64,
    /// No new events from now on.
    is_ending: AtomicBool,
    /// No more work at all.
    is_over: AtomicBool,
    made: AtomicU64,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    acknowledged: Numbers,
    refused: Option<String>,
}

impl Generator {
    /// Starts writing to `socket`, whether or not somebody listens there yet.
    pub(super) fn start(socket: PathBuf, rate: u32, started: Instant) -> io::Result<Generator> {
        let shared = Arc::new(Shared::default());
        shared.rate.store(rate.into(), Ordering::Relaxed);
        let mut writer = Writer { shared: Arc::clone(&shared), started, waiting: VecDeque::new(), owed: 0.0 };
        let worker = thread::Builder::new().name("demo-generator".to_owned()).spawn(move || writer.run(&socket))?;
        Ok(Generator { shared, worker: Some(worker) })
    }

    /// Events a second.
    pub(super) fn rate(&self) -> u64 {
        self.shared.rate.load(Ordering::Relaxed)
    }

    /// Sets the events a second, within 1 and 10,000; returns what it is now.
    pub(super) fn set_rate(&self, rate: u64) -> u64 {
        let rate = rate.clamp(1, RATE_MAX);
        self.shared.rate.store(rate, Ordering::Relaxed);
        rate
    }

    /// Different events made so far.
    pub(super) fn made(&self) -> u64 {
        self.shared.made.load(Ordering::Relaxed)
    }

    /// The numbers of the events that the agent has acknowledged.
    pub(super) fn acknowledged(&self) -> Numbers {
        self.shared.progress().acknowledged.clone()
    }

    /// How many there are of them.
    pub(super) fn acknowledged_count(&self) -> u64 {
        self.shared.progress().acknowledged.len()
    }

    /// Why the agent refused an event, if it ever did.
    pub(super) fn refused(&self) -> Option<String> {
        self.shared.progress().refused.clone()
    }

    /// Makes no new events; those without an ack are still brought to their end.
    pub(super) fn end(&self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            // A panic of the generator has told its story already.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

struct Writer {
    shared: Arc<Shared>,
    started: Instant,
    /// Events without an ack, oldest first: number and line.
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// Events that the rate allows and that are not made yet.
    owed: f64,
}

/// One line that the agent says.
#[derive(Deserialize)]
struct Told {
    acked: u64,
    #[serde(default)]
    refused: Vec<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    reason: String,
}

impl Writer {
    fn run(&mut self, socket: &PathBuf) {
        while !self.shared.is_over() {
            if let Ok(stream) = UnixStream::connect(socket) {
                // Whatever ended the connection, the answer is the same: connect and write again.
                let _ = self.converse(stream);
            }
            thread::sleep(TICK);
        }
    }

    /// One connection. What is waiting is written again first.
    fn converse(&mut self, mut stream: UnixStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let mut unwritten: Vec<u8> = self.waiting.iter().flat_map(|(_, line)| line).copied().collect();
        let mut heard = Vec::new();
        let mut settled = 0;
        let mut last = Instant::now();
        while !self.shared.is_over() {
            self.make(last.elapsed(), &mut unwritten);
            last = Instant::now();
            let written = write_some(&mut stream, &mut unwritten);
            // What was acknowledged before the connection broke needs no second writing.
            self.hear(&mut stream, &mut heard, &mut settled)?;
            written?;
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn make(&mut self, passed: Duration, unwritten: &mut Vec<u8>) {
        if self.shared.is_ending.load(Ordering::Relaxed) {
            return;
        }
        let rate = self.shared.rate.load(Ordering::Relaxed) as f64;
        // While the agent is away nothing is owed beyond a second: a node writes what happens, not what it missed.
        self.owed = (self.owed + rate * passed.as_secs_f64()).min(rate.max(1.0));
        while self.owed >= 1.0 && self.waiting.len() < WINDOW {
            self.owed -= 1.0;
            let number = self.shared.made.fetch_add(1, Ordering::Relaxed) + 1;
            let sent_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let line = event(number, clock::wall_ms(), sent_ms);
            unwritten.extend_from_slice(&line);
            self.waiting.push_back((number, line));
        }
    }

    fn hear(&mut self, stream: &mut UnixStream, heard: &mut Vec<u8>, settled: &mut u64) -> io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => heard.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            while let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = heard.drain(..=end).collect();
                self.settle(&serde_json::from_slice(&line)?, settled);
            }
            if heard.len() > TOLD_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// The first `told.acked` lines of this connection are settled.
    fn settle(&mut self, told: &Told, settled: &mut u64) {
        let mut progress = self.shared.progress();
        if let Some(refusal) = told.refused.first() {
            progress.refused = Some(refusal.reason.clone());
        }
        while *settled < told.acked {
            *settled += 1;
            if let Some((number, _)) = self.waiting.pop_front() {
                progress.acknowledged.insert(number);
            }
        }
    }
}

fn write_some(stream: &mut UnixStream, unwritten: &mut Vec<u8>) -> io::Result<()> {
    while !unwritten.is_empty() {
        match stream.write(unwritten) {
            Ok(count) => {
                unwritten.drain(..count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A made-up event with its line break. The same number gives the same deed.
fn event(number: u64, wall_ms: i64, sent_ms: u64) -> Vec<u8> {
    let pick = |from: &[&'static str], salt: u64| {
        let mixed = (number ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        from[mixed as usize % from.len()]
    };
    let mut time = Vec::with_capacity(24);
    write_rfc3339(wall_ms, &mut time);
    let (category, action, severity) = DEEDS[(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % DEEDS.len()];
    let (tenant, user, place) = (pick(&TENANTS, 1), pick(&USERS, 2), pick(&PLACES, 3));
    let mut line = format!(
        r#"{{"event_id":"{}","timestamp":"{}","tenant_id":"{tenant}","category":"{category}","action":"{action}","severity":"{severity}","user_email":"{user}@{tenant}.example","resource_path":"{place}","ip":"192.0.2.{}","user_agent":"ScaiDrive/4.2 (demo)","payload":{{"number":{number},"sent_ms":{sent_ms}}}}}"#,
        event_id(number),
        String::from_utf8_lossy(&time),
        1 + number % 250,
    )
    .into_bytes();
    line.push(b'\n');
    line
}

/// Events without an ack at most: half of what the agent allows a connection.
const WINDOW: usize = 4_096;
const RATE_MAX: u64 = 10_000;
const TICK: Duration = Duration::from_millis(5);
/// Bytes of one answer of the agent; it names at most 100 refusals.
const TOLD_MAX: usize = 1 << 20;

const DEEDS: [(&str, &str, &str); 6] = [
    ("AUTHENTICATION", "login", "info"),
    ("AUTHENTICATION", "login_failed", "warning"),
    ("FILE", "file.download", "info"),
    ("FILE", "file.delete", "warning"),
    ("SHARING", "link.create_external", "warning"),
    ("SECURITY", "mfa.disabled", "critical"),
];
const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
const USERS: [&str; 5] = ["ana", "bram", "chloe", "dmitri", "emeka"];
const PLACES: [&str; 4] = ["/finance/2026/budget.xlsx", "/legal/contract-17.pdf", "/design/logo.svg", "/hr/offer.docx"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_made_up_event_is_one_that_the_agent_takes() {
        for number in [1, 2, 3, 250, 99_999_999] {
            let line = event(number, 1_778_595_781_453, 17);
            let (last, text) = line.split_last().unwrap();
            assert_eq!(*last, b'\n');
            let found: serde_json::Value = serde_json::from_slice(text).unwrap();
            for field in ["event_id", "timestamp", "tenant_id", "category", "action", "severity"] {
                assert!(found[field].is_string(), "{field}: {found}");
            }
            assert_eq!((&found["payload"]["number"], &found["payload"]["sent_ms"]), (&number.into(), &17.into()));
        }
    }

    #[test]
    fn what_was_not_acknowledged_is_written_again_on_the_next_connection() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let generator = Generator::start(socket, 200, Instant::now()).unwrap();
        let id = |line: String| serde_json::from_str::<serde_json::Value>(&line).unwrap()["event_id"].clone();
        let (first, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(first.try_clone().unwrap()).lines();
        let seen: Vec<_> = (0..5).map(|_| id(lines.next().unwrap().unwrap())).collect();
        (&first).write_all(b"{\"acked\":2}\n").unwrap();
        while generator.acknowledged_count() < 2 {
            thread::sleep(TICK);
        }
        first.shutdown(std::net::Shutdown::Both).unwrap();
        let (second, _) = listener.accept().unwrap();
        generator.end();
        let mut lines = BufReader::new(second.try_clone().unwrap()).lines();
        let again: Vec<_> = (0..3).map(|_| id(lines.next().unwrap().unwrap())).collect();
        assert_eq!(again, seen[2..], "from the first event without an ack on");
        assert_eq!(generator.acknowledged().span(), 1..3);
    }
}
