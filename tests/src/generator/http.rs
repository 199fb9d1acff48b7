//! A producer on the HTTP ingest: posts batches and keeps what the replies say.

use std::collections::{HashSet, VecDeque};
use std::io::BufReader;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Key, Ledger, Refusal, Sequence, Workload, write_event};
use crate::http::{HttpReply, connect, post};

/// A producer at work on its own thread.
pub struct HttpWriter {
    worker: JoinHandle<Ledger>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    acked: AtomicU64,
    give_up: AtomicBool,
}

/// Where events are posted to.
pub const INGEST_PATH: &str = "/v1/events";

const BATCH: usize = 500;
const RETRY_EVERY: Duration = Duration::from_millis(50);

impl HttpWriter {
    /// Starts posting the workload to the agent's HTTP ingest at `address`, one batch after the other.
    pub fn start(address: SocketAddr, workload: Workload) -> HttpWriter {
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        HttpWriter { worker: thread::spawn(move || post_all(address, &workload, &state)), shared }
    }

    /// How many events were acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.shared.acked.load(Ordering::Relaxed)
    }

    /// Waits for the acknowledgement of everything and returns the ledger. After `within` the rest is left unacknowledged.
    ///
    /// # Panics
    /// When the producer's thread did, because a reply made no sense.
    pub fn finish(self, within: Duration) -> Ledger {
        let deadline = Instant::now() + within;
        while !self.worker.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        self.shared.give_up.store(true, Ordering::Relaxed);
        self.worker.join().expect("the agent's replies make sense")
    }
}

fn post_all(address: SocketAddr, workload: &Workload, shared: &Shared) -> Ledger {
    let mut sequence = Sequence::new(workload.run, workload.tenants, workload.seed);
    let mut left = workload.events;
    let mut ledger = Ledger::default();
    let mut batch: VecDeque<Key> = VecDeque::new();
    let mut connection: Option<BufReader<TcpStream>> = None;
    let mut written = HashSet::new();
    while !shared.give_up.load(Ordering::Relaxed) {
        if batch.is_empty() {
            let size = left.min(BATCH as u64);
            if size == 0 {
                return ledger;
            }
            left -= size;
            batch.extend((0..size).map(|_| sequence.next_key()));
        }
        let mut body = Vec::with_capacity(batch.len() * (workload.size + 16));
        for key in &batch {
            write_event(*key, workload.size, &mut body);
        }
        let Some(stream) = reuse_or_connect(&mut connection, address) else {
            thread::sleep(RETRY_EVERY);
            continue;
        };
        for key in &batch {
            if !written.insert(*key) {
                *ledger.resent.entry(*key).or_insert(1) += 1;
            }
        }
        match post(stream, address, INGEST_PATH, &[("Content-Type", "application/x-ndjson")], &body) {
            Ok(reply) if reply.status == 200 => {
                settle(&mut batch, &reply, &mut ledger);
                shared.acked.store(ledger.acked.len() as u64, Ordering::Relaxed);
            }
            Ok(reply) => {
                assert!(matches!(reply.status, 429 | 503), "an unexpected reply: {reply:?}");
                ledger.waits.push(String::from_utf8_lossy(&reply.body).into_owned());
                let pause = reply
                    .header("retry-after")
                    .and_then(|text| text.parse().ok())
                    .map_or(RETRY_EVERY, Duration::from_secs);
                // A test has less time than a real producer; the agent has to bear an impatient one.
                thread::sleep(pause.min(Duration::from_secs(1)));
            }
            Err(_) => {
                connection = None;
                ledger.reconnects += 1;
                thread::sleep(RETRY_EVERY);
            }
        }
    }
    ledger.unacked.extend(batch.into_iter().filter(|key| written.contains(key)));
    ledger
}

/// The lines that a 200 from the HTTP ingest refused.
///
/// # Panics
/// When the body is not the documented JSON.
pub fn refused_lines(reply: &HttpReply) -> Vec<Refusal> {
    #[derive(serde::Deserialize)]
    struct Accepted {
        #[serde(default)]
        refused: Vec<Refusal>,
    }
    let accepted: Accepted = serde_json::from_slice(&reply.body).unwrap_or_else(|error| {
        panic!("not a reply to an ingest request ({error}): {}", String::from_utf8_lossy(&reply.body))
    });
    accepted.refused
}

fn settle(batch: &mut VecDeque<Key>, reply: &HttpReply, ledger: &mut Ledger) {
    let refused = refused_lines(reply);
    for (index, key) in batch.drain(..).enumerate() {
        match refused.iter().find(|refusal| refusal.line == index as u64 + 1) {
            Some(refusal) => ledger.refused.push((key, refusal.reason.clone())),
            None => ledger.acked.push(key),
        }
    }
}

fn reuse_or_connect(
    connection: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
) -> Option<&mut BufReader<TcpStream>> {
    if connection.is_none() {
        *connection = connect(address).ok();
    }
    connection.as_mut()
}
