//! Receivers that cost little, so that they are not what is measured.
//!
//! Each is a few threads of this process: one accepts, one serves each connection with large reads. What arrives is
//! searched for marks ([`marks`], one vectorised search) and not parsed: an event is counted when its mark is new, and its
//! arrival is the moment at which the read that brought its mark returned. Request heads are read with `httparse`;
//! bodies may be chunked or gzipped. Gzipped bodies are kept and looked into when nothing arrives any more, so that their
//! inflation takes no time from the run; their latency is not measured.
//!
//! Stream numbers ([`numbers`]) are read in the warm-up of every run, where each from 1 up must be there, until
//! [`Tally::stop_reading_numbers`]. During the measurement only marks are counted, which finds every lost and every
//! repeated event as well, for all contenders alike.
//!
//! | file | holds |
//! |---|---|
//! | [`marks`] | the search for marks in a stream of bytes |
//! | [`numbers`] | the agent's stream numbers, and whether any is missing |
//! | [`tally`] | what arrived: different events, repeats, when, how late |
//! | [`http`] | HEC and Elastic bulk: heads, bodies, replies |

mod http;
pub(crate) mod marks;
pub(crate) mod numbers;
pub(crate) mod tally;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) use tally::Tally;

use crate::scenario::{Kind, Wire};

/// A receiver on a loopback port. It listens until it is dropped; a connection ends with its client.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    pub(crate) tally: Arc<Tally>,
    is_over: Arc<AtomicBool>,
}

impl Receiver {
    /// Starts one on `address` (port 0 for any). `tls` is needed where the wire has TLS.
    ///
    /// # Errors
    /// When the port can't be had.
    pub(crate) fn start(address: SocketAddr, wire: Wire, tls: Option<Arc<ServerConfig>>) -> std::io::Result<Receiver> {
        Receiver::listen(address, move |stream, tally| serve(stream, wire, tls.clone(), tally))
    }

    /// Starts one on any port that takes requests and refuses half of all events, as Splunk does what it can't read.
    /// A client takes one that refuses all for a fault of its own settings.
    ///
    /// # Errors
    /// When no port can be had.
    pub(crate) fn refusing_half() -> std::io::Result<Receiver> {
        Receiver::listen((Ipv4Addr::LOCALHOST, 0).into(), |stream, tally| {
            let _ = stream.set_nodelay(true);
            http::refuse_half(stream, tally);
        })
    }

    fn listen(
        address: SocketAddr,
        serve: impl Fn(TcpStream, &Tally) + Clone + Send + 'static,
    ) -> std::io::Result<Receiver> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let tally = Arc::new(Tally::default());
        let is_over = Arc::new(AtomicBool::new(false));
        let (shared, told) = (Arc::clone(&tally), Arc::clone(&is_over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else {
                    // No descriptor is free, most likely; to ask again at once would take a processor from the contender.
                    thread::sleep(ACCEPT_AGAIN_AFTER);
                    continue;
                };
                let (tally, serve) = (Arc::clone(&shared), serve.clone());
                thread::spawn(move || serve(stream, &tally));
            }
        });
        Ok(Receiver { address, tally, is_over })
    }

    /// Waits until `events` different events have arrived, or nothing has for `patience`. Says whether they have.
    pub(crate) fn wait(&self, events: u64, patience: Duration) -> bool {
        let mut quiet = Instant::now();
        let mut bytes = 0;
        while self.tally.distinct() < events {
            let now = self.tally.bytes();
            if now != bytes {
                (bytes, quiet) = (now, Instant::now());
            } else if quiet.elapsed() > LOOK_INTO_AFTER && self.tally.look_into_kept() {
                continue;
            } else if quiet.elapsed() > patience {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
        true
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // The listening thread looks when somebody connects.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, wire: Wire, tls: Option<Arc<ServerConfig>>, tally: &Tally) {
    let _ = stream.set_nodelay(true);
    match tls {
        Some(config) => {
            if let Ok(session) = ServerConnection::new(config) {
                serve_stream(StreamOwned::new(session, stream), wire, tally);
            }
        }
        None => serve_stream(stream, wire, tally),
    }
}

fn serve_stream(stream: impl Read + std::io::Write, wire: Wire, tally: &Tally) {
    match wire.kind {
        Kind::Hec | Kind::Elastic => http::serve(stream, wire.kind, tally),
        Kind::Syslog => count(stream, tally),
    }
}

/// Counts whatever comes, without an answer.
fn count(mut stream: impl Read, tally: &Tally) {
    let mut buffer = vec![0; READ];
    let mut arrival = tally.arrival();
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            return;
        }
        arrival.take(&buffer[..read]);
    }
}

/// Bytes of one read at most.
pub(crate) const READ: usize = 1 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Kept bodies are looked into when nothing has come for this long.
const LOOK_INTO_AFTER: Duration = Duration::from_millis(300);
/// Between two attempts to take a connection when that failed.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(20);
