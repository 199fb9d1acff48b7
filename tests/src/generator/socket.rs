//! A producer on the ingest socket: keeps within a window, reads acknowledgements, connects again after every loss and
//! writes again what was not acknowledged.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Key, Ledger, Sequence, Session, write_event};

/// What a producer writes.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Tells the producers of one test apart.
    pub run: u32,
    /// How many tenants the events belong to.
    pub tenants: u32,
    /// How many different events are written.
    pub events: u64,
    /// About how many bytes an event has.
    pub size: usize,
    /// Seed of the order of tenants.
    pub seed: u64,
    /// A pause after each 64 lines; zero for as fast as the agent takes them.
    pub pause: Duration,
}

/// A producer at work on its own thread.
pub struct Producer {
    worker: JoinHandle<Ledger>,
    shared: Arc<Shared>,
}

/// Lines written with one call.
const CHUNK: usize = 64;

/// Unacknowledged lines at most: half of what the agent allows, so that it is us who decide to wait.
const WINDOW_LINES: usize = 4_096;
const PATIENCE: Duration = Duration::from_millis(50);
const RECONNECT_EVERY: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Shared {
    acked: AtomicU64,
    written: AtomicU64,
    stop: AtomicBool,
    give_up: AtomicBool,
}

impl Workload {
    /// `events` events of 600 bytes, over `tenants` tenants.
    pub fn new(run: u32, tenants: u32, events: u64) -> Workload {
        Workload { run, tenants, events, size: 600, seed: 1, pause: Duration::ZERO }
    }
}

impl Producer {
    /// Starts writing to the socket at `path`, whether or not somebody listens there yet.
    pub fn start(path: &Path, workload: Workload) -> Producer {
        let shared = Arc::new(Shared::default());
        let writer = Writer::new(path.to_owned(), workload, Arc::clone(&shared));
        Producer { worker: thread::spawn(move || writer.run()), shared }
    }

    /// How many events were acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.shared.acked.load(Ordering::Relaxed)
    }

    /// How many lines were written so far, the repeated ones too.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// True when every event is settled.
    pub fn is_done(&self) -> bool {
        self.worker.is_finished()
    }

    /// Ends the supply of new events; what was written is still brought to its acknowledgement.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the acknowledgement of everything and returns the ledger. After `within` the rest is left unacknowledged.
    ///
    /// # Panics
    /// When the producer's thread did, because the agent broke the protocol.
    pub fn finish(self, within: Duration) -> Ledger {
        let deadline = Instant::now() + within;
        while !self.worker.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        self.shared.give_up.store(true, Ordering::Relaxed);
        self.worker.join().expect("the agent keeps to the acknowledgement protocol")
    }
}

struct Writer {
    path: PathBuf,
    workload: Workload,
    shared: Arc<Shared>,
    sequence: Sequence,
    produced: u64,
    /// To be written again, before anything new.
    again: VecDeque<Key>,
    /// Written on this connection and not settled, in line order.
    in_flight: VecDeque<Key>,
    /// Refusals on this connection whose lines are not settled yet.
    named: HashMap<u64, String>,
    acked: Vec<Key>,
    ever_written: HashSet<Key>,
    ledger: Ledger,
}

impl Writer {
    fn new(path: PathBuf, workload: Workload, shared: Arc<Shared>) -> Writer {
        let sequence = Sequence::new(workload.run, workload.tenants, workload.seed);
        Writer {
            path,
            workload,
            shared,
            sequence,
            produced: 0,
            again: VecDeque::new(),
            in_flight: VecDeque::new(),
            named: HashMap::new(),
            acked: Vec::new(),
            ever_written: HashSet::new(),
            ledger: Ledger::default(),
        }
    }

    fn run(mut self) -> Ledger {
        let mut connections = 0_u32;
        while !self.is_settled() && !self.gives_up() {
            if let Ok(session) = Session::connect(&self.path) {
                connections += 1;
                self.converse(session);
                self.requeue();
            } else {
                thread::sleep(RECONNECT_EVERY);
            }
        }
        self.ledger.reconnects = connections.saturating_sub(1);
        self.ledger.unacked = self.again.iter().copied().filter(|key| self.ever_written.contains(key)).collect();
        self.ledger.acked = self.acked;
        self.ledger
    }

    /// One connection, until everything is settled or it is lost.
    fn converse(&mut self, mut session: Session) {
        let mut settled = 0_u64;
        self.named.clear();
        while !session.is_closed() && !self.gives_up() {
            settled = self.settle(&session, settled);
            if self.is_settled() {
                break;
            }
            let chunk = self.next_chunk();
            if chunk.is_empty() {
                let _ = session.wait_acked(settled + 1, PATIENCE);
                continue;
            }
            if !self.write(&mut session, &chunk) {
                break;
            }
            thread::sleep(self.workload.pause);
        }
        self.settle(&session, settled);
        self.ledger.waits.extend(session.waits());
        self.ledger.errors.extend(session.error());
    }

    /// Takes the acknowledgements that came; returns how many lines of this connection are settled.
    fn settle(&mut self, session: &Session, settled: u64) -> u64 {
        let (now_settled, _) = session.acked();
        // A line may be named before the acknowledgement comes to it.
        self.named.extend(session.take_refused().into_iter().map(|refusal| (refusal.line, refusal.reason)));
        for line in settled + 1..=now_settled {
            let key = self.in_flight.pop_front().expect("the agent acknowledges no more lines than were written");
            match self.named.remove(&line) {
                Some(reason) => self.ledger.refused.push((key, reason)),
                None => self.acked.push(key),
            }
        }
        self.shared.acked.store(self.acked.len() as u64, Ordering::Relaxed);
        now_settled
    }

    fn next_chunk(&mut self) -> Vec<Key> {
        let room = WINDOW_LINES.saturating_sub(self.in_flight.len()).min(CHUNK);
        let mut chunk = Vec::with_capacity(room);
        while chunk.len() < room {
            let Some(key) = self.again.pop_front().or_else(|| self.produce()) else { break };
            chunk.push(key);
        }
        chunk
    }

    fn produce(&mut self) -> Option<Key> {
        let has_more = self.produced < self.workload.events && !self.shared.stop.load(Ordering::Relaxed);
        has_more.then(|| {
            self.produced += 1;
            self.sequence.next_key()
        })
    }

    /// Writes a chunk; false when the connection is lost. Its events count as written from the first byte on.
    fn write(&mut self, session: &mut Session, chunk: &[Key]) -> bool {
        let mut bytes = Vec::with_capacity(chunk.len() * (self.workload.size + 16));
        for key in chunk {
            write_event(*key, self.workload.size, &mut bytes);
            self.in_flight.push_back(*key);
            if !self.ever_written.insert(*key) {
                *self.ledger.resent.entry(*key).or_insert(1) += 1;
            }
        }
        self.shared.written.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match session.send_some(rest, PATIENCE) {
                Ok(written) => rest = &rest[written..],
                Err(_) => return false,
            }
            if self.gives_up() {
                return false;
            }
        }
        true
    }

    fn requeue(&mut self) {
        while let Some(key) = self.in_flight.pop_back() {
            self.again.push_front(key);
        }
    }

    fn is_settled(&self) -> bool {
        let supply_ended = self.produced >= self.workload.events || self.shared.stop.load(Ordering::Relaxed);
        supply_ended && self.again.is_empty() && self.in_flight.is_empty()
    }

    fn gives_up(&self) -> bool {
        self.shared.give_up.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::wait::wait_until;

    /// Acknowledges every line; refuses line 3 of each connection; hangs up after `lines` lines, the last half unacknowledged.
    fn serve(stream: UnixStream, lines: usize) {
        let mut answers = stream.try_clone().unwrap();
        for (index, _) in BufReader::new(stream).lines().map_while(Result::ok).enumerate().take(lines) {
            let line = index + 1;
            if line == 3 {
                let _ = writeln!(answers, "{{\"acked\":3,\"refused\":[{{\"line\":3,\"reason\":\"no\"}}]}}");
            } else if line <= lines / 2 {
                let _ = writeln!(answers, "{{\"acked\":{line}}}");
            }
        }
        // A hang-up with lines unread takes the answers that are on their way with it; some must get through.
        thread::sleep(Duration::from_millis(50));
        let _ = answers.shutdown(std::net::Shutdown::Both);
    }

    #[test]
    fn a_producer_brings_every_event_to_its_end_through_lost_connections() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ingest.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let producer = Producer::start(&path, Workload::new(1, 3, 1_000));
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), 500);
            }
        });
        wait_until("the producer is done", Duration::from_secs(20), || producer.is_done());
        let ledger = producer.finish(Duration::from_secs(1));
        // A hang-up may swallow acknowledgements on their way; so there may be more connections than four.
        assert!(ledger.reconnects >= 3, "{}", ledger.reconnects);
        assert!(!ledger.resent.is_empty() && !ledger.refused.is_empty());
        assert_eq!((ledger.acked.len() + ledger.refused.len(), ledger.unacked.len()), (1_000, 0));
        let distinct: HashSet<Key> = ledger.acked.iter().copied().collect();
        assert_eq!(distinct.len(), ledger.acked.len());
    }

    #[test]
    fn a_producer_without_acknowledgements_stops_at_its_window() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ingest.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let producer = Producer::start(&path, Workload::new(1, 3, 1_000_000));
        let (stream, _) = listener.accept().unwrap();
        let lines = thread::spawn(move || BufReader::new(stream).lines().map_while(Result::ok).count());
        wait_until("the window is full", Duration::from_secs(10), || producer.written() == WINDOW_LINES as u64);
        let ledger = producer.finish(Duration::ZERO);
        assert_eq!((ledger.acked.len(), ledger.unacked.len()), (0, WINDOW_LINES));
        assert_eq!(lines.join().unwrap(), WINDOW_LINES);
    }
}
