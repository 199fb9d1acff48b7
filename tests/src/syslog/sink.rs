//! Our own syslog receiver over TCP or TLS: strict, and with a program that can stop reading or vanish.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Message, record};
use crate::arrival::Arrivals;
use crate::ports::free_port;
use crate::wait::wait_until;

/// How messages are told apart on the connection (RFC 6587, section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `MSG-LEN SP SYSLOG-MSG`.
    OctetCounting,
    /// Each message ends in a line feed.
    LineFeed,
}

/// A syslog receiver on loopback.
pub struct Sink {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
    tls: Option<Arc<ServerConfig>>,
}

struct Shared {
    framing: Framing,
    keep: bool,
    store: Mutex<Store>,
    stalled: AtomicBool,
    closing: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicU64,
}

#[derive(Default)]
struct Store {
    arrivals: Arrivals,
    errors: Vec<String>,
    partial_messages: u64,
    clean_ends: u64,
}

const COUNT_DIGITS_MAX: usize = 7;
const MESSAGE_MAX: usize = 1 << 20;
const ERRORS_KEPT: usize = 100;

impl Sink {
    /// Starts a receiver on a free port. `keep` keeps the bytes of every event.
    pub fn start(framing: Framing, tls: Option<Arc<ServerConfig>>, keep: bool) -> Sink {
        let shared = Arc::new(Shared {
            framing,
            keep,
            store: Mutex::new(Store::default()),
            stalled: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
            connections: AtomicU64::new(0),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut sink = Sink { shared, address, acceptor: None, tls };
        sink.come_up();
        sink
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens again after [`Sink::go_down`], on the same port.
    pub fn come_up(&mut self) {
        if self.acceptor.is_some() {
            return;
        }
        self.shared.closing.store(false, Ordering::Relaxed);
        let mut listener = None;
        wait_until("the sink's port is free again", Duration::from_secs(10), || {
            listener = TcpListener::bind(self.address).ok();
            listener.is_some()
        });
        let (listener, shared, tls) =
            (listener.expect("the wait above ended"), Arc::clone(&self.shared), self.tls.clone());
        self.acceptor = Some(thread::spawn(move || accept(&listener, &shared, tls.as_ref())));
    }

    /// Closes every connection, with what is unread, and refuses new ones.
    pub fn go_down(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.hang_up();
    }

    /// Closes every connection, with what is unread, and goes on listening.
    pub fn hang_up(&self) {
        for stream in self.shared.open.lock().expect("no holder panics").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// While true, nothing is read: the peer's kernel still takes what fits into the socket buffers.
    pub fn set_stalled(&self, stalled: bool) {
        self.shared.stalled.store(stalled, Ordering::Relaxed);
    }

    /// A copy of everything that was taken.
    pub fn arrivals(&self) -> Arrivals {
        self.shared.store().arrivals.clone()
    }

    /// How many messages were taken.
    pub fn count(&self) -> usize {
        self.shared.store().arrivals.list.len()
    }

    /// How many connections were opened.
    pub fn connection_count(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How many connections ended between two messages, by the sender (over TLS: with `close_notify`).
    pub fn clean_ends(&self) -> u64 {
        self.shared.store().clean_ends
    }

    /// Waits until at least `count` different generated events were taken.
    #[track_caller]
    pub fn wait_distinct(&self, count: usize, within: Duration) {
        wait_until(&format!("{count} different events at the syslog sink"), within, || {
            self.count() >= count && self.shared.store().arrivals.distinct() >= count
        });
    }

    /// # Panics
    /// When the sender broke the framing or the grammar.
    #[track_caller]
    pub fn assert_no_errors(&self) {
        let store = self.shared.store();
        assert!(store.errors.is_empty(), "the agent broke RFC 5424 or its framing: {:#?}", store.errors);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.go_down();
    }
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no holder panics")
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, tls: Option<&Arc<ServerConfig>>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.closing.load(Ordering::Relaxed) {
            return;
        }
        let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        if let Ok(handle) = stream.try_clone() {
            shared.open.lock().expect("no holder panics").push(handle);
        }
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        thread::spawn(move || {
            let end = match tls {
                None => serve(stream, &shared, number),
                Some(config) => {
                    let session = ServerConnection::new(config).expect("the configuration was accepted before");
                    serve(StreamOwned::new(session, stream), &shared, number)
                }
            };
            if let Ok(leftover) = end {
                let mut store = shared.store();
                store.clean_ends += u64::from(leftover == 0);
                store.partial_messages += u64::from(leftover > 0);
            }
        });
    }
}

/// Reads messages to the end of the connection; returns how many bytes of an unfinished one were left.
fn serve(mut stream: impl Read, shared: &Shared, number: u64) -> io::Result<usize> {
    let mut buffer: Vec<u8> = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        while shared.stalled.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Ok(buffer.len());
        }
        buffer.extend_from_slice(&chunk[..length]);
        let mut used = 0;
        let mut store = shared.store();
        loop {
            match split(&buffer[used..], shared.framing) {
                Ok(Some((start, end, next))) => {
                    match Message::parse(&buffer[used + start..used + end]) {
                        Ok(message) => record(&mut store.arrivals, &message, number, shared.keep),
                        Err(error) => store.complain(format!(
                            "{error}: {}",
                            String::from_utf8_lossy(&buffer[used + start..used + end])
                        )),
                    }
                    used += next;
                }
                Ok(None) => break,
                Err(error) => {
                    store.complain(error);
                    return Err(io::Error::other("framing"));
                }
            }
        }
        drop(store);
        buffer.drain(..used);
    }
}

impl Store {
    fn complain(&mut self, error: String) {
        if self.errors.len() < ERRORS_KEPT {
            self.errors.push(error);
        }
    }
}

/// Finds the first message: its start and end, and where the next frame begins. `None` while it is not whole.
fn split(bytes: &[u8], framing: Framing) -> Result<Option<(usize, usize, usize)>, String> {
    match framing {
        Framing::LineFeed => Ok(memchr::memchr(b'\n', bytes).map(|end| (0, end, end + 1))),
        Framing::OctetCounting => {
            let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let wrong = || format!("no octet count: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
            if bytes.first() == Some(&b'0') || digits > COUNT_DIGITS_MAX {
                return Err(wrong());
            }
            match bytes.get(digits) {
                None => Ok(None),
                Some(b' ') if digits > 0 => {
                    let count: usize = String::from_utf8_lossy(&bytes[..digits]).parse().map_err(|_| wrong())?;
                    let (start, end) = (digits + 1, digits + 1 + count);
                    if count > MESSAGE_MAX {
                        Err(wrong())
                    } else {
                        Ok((bytes.len() >= end).then_some((start, end, end)))
                    }
                }
                Some(_) => Err(wrong()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn counted_and_line_framed_messages_are_taken_in_any_split() {
        let text =
            r#"<134>1 - h a - m [siem@32473 node="n" stream="s" n="1"] {"event_id":"gen-00000001-00002-00000003"}"#;
        for framing in [Framing::OctetCounting, Framing::LineFeed] {
            let sink = Sink::start(framing, None, true);
            let mut stream = TcpStream::connect(sink.address()).unwrap();
            let frame = match framing {
                Framing::OctetCounting => format!("{} {text}", text.len()),
                Framing::LineFeed => format!("{text}\n"),
            };
            for byte in frame.repeat(3).as_bytes() {
                stream.write_all(&[*byte]).unwrap();
            }
            wait_until("three messages", Duration::from_secs(10), || sink.count() == 3);
            sink.assert_no_errors();
            assert_eq!(sink.arrivals().distinct(), 1);
            assert_eq!(sink.arrivals().list[0].n, Some(1));
        }
    }

    #[test]
    fn a_wrong_count_is_an_error() {
        for frame in ["x", "0 ", " 12", "99999999 "] {
            assert!(split(frame.as_bytes(), Framing::OctetCounting).is_err(), "{frame}");
        }
        assert_eq!(split(b"12", Framing::OctetCounting), Ok(None));
    }
}
