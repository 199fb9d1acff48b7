//! A stand-in for a SIEM: takes Splunk HEC requests on loopback and counts what is in them. It can go away and come
//! back at the same address, like the real one.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_codecs::hec::EVENT_PATH;
use scaidrive_codecs::http::{Progress, Request, RequestReader};

use super::tally::{Arrival, Tally};

/// The receiver, on threads of its own.
pub(super) struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<thread::JoinHandle<()>>,
}

struct Shared {
    token: String,
    started: Instant,
    is_up: AtomicBool,
    is_over: AtomicBool,
    requests: AtomicU64,
    tally: Mutex<Tally>,
}

impl Receiver {
    /// Starts on a free port. Requests must show `token`.
    pub(super) fn start(token: String, started: Instant) -> io::Result<Receiver> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            token,
            started,
            is_up: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            tally: Mutex::default(),
        });
        let theirs = Arc::clone(&shared);
        let acceptor = thread::Builder::new()
            .name("demo-receiver".to_owned())
            .spawn(move || accept(&theirs, address, Some(listener)))?;
        Ok(Receiver { shared, address, acceptor: Some(acceptor) })
    }

    /// Where it listens, also while it is away.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Goes away: connections are closed, also in the middle of a request, and new ones are refused.
    pub(super) fn stop(&self) {
        self.shared.is_up.store(false, Ordering::Relaxed);
    }

    /// Comes back.
    pub(super) fn resume(&self) {
        self.shared.is_up.store(true, Ordering::Relaxed);
    }

    /// Whether it is there.
    pub(super) fn is_up(&self) -> bool {
        self.shared.is_up.load(Ordering::Relaxed)
    }

    /// Requests answered so far.
    pub(super) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// What arrived so far.
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of the receiver has told its story already.
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn is_here(&self) -> bool {
        self.is_up.load(Ordering::Relaxed) && !self.is_over.load(Ordering::Relaxed)
    }
}

fn accept(shared: &Arc<Shared>, address: SocketAddr, mut listener: Option<TcpListener>) {
    let mut connections: Vec<thread::JoinHandle<()>> = Vec::new();
    while !shared.is_over.load(Ordering::Relaxed) {
        connections.retain(|connection| !connection.is_finished());
        if !shared.is_here() {
            listener = None;
        } else if listener.is_none() {
            // The port may take a moment to be free again; the next turn tries again.
            listener = TcpListener::bind(address).ok();
        }
        let accepted = listener.as_ref().map(|listener| {
            listener.set_nonblocking(true)?;
            listener.accept()
        });
        match accepted {
            Some(Ok((stream, _))) if connections.len() < CONNECTIONS_MAX => {
                let theirs = Arc::clone(shared);
                // A connection that fails is the agent's to repeat.
                connections.extend(thread::Builder::new().spawn(move || drop(serve(&theirs, stream))));
            }
            Some(Ok(_)) => {}
            _ => thread::sleep(TICK),
        }
    }
    for connection in connections {
        let _ = connection.join();
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_nodelay(true)?;
    let mut reader = RequestReader::new(BODY_MAX);
    let mut bytes = vec![0; 64 << 10];
    while shared.is_here() {
        let count = match stream.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error),
        };
        let mut at = 0;
        while at < count {
            match reader.push(&bytes[at..count]).map_err(io::Error::other)? {
                Progress::More => break,
                Progress::Done { message, used } => {
                    at += used;
                    if !shared.is_here() {
                        return Ok(());
                    }
                    let (status, body) = answer(shared, &message);
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}");
                    // In one piece: formatted straight into the socket it would leave in many.
                    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
                }
            }
        }
    }
    Ok(())
}

/// Counts what is in a request. The status line's end and the body follow Splunk's manual.
fn answer(shared: &Shared, request: &Request) -> (&'static str, &'static str) {
    let shown = request.header("authorization").and_then(|value| value.strip_prefix("Splunk "));
    if shown != Some(&shared.token) {
        return ("403 Forbidden", r#"{"text":"Invalid token","code":4}"#);
    }
    if request.method == "GET" {
        return ("200 OK", r#"{"text":"HEC is healthy","code":17}"#);
    }
    if request.path != EVENT_PATH {
        return ("404 Not Found", r#"{"text":"The requested URL was not found on this server.","code":404}"#);
    }
    let arrivals: Result<Vec<Arrival>, _> = serde_json::Deserializer::from_slice(&request.body).into_iter().collect();
    let Ok(arrivals) = arrivals else {
        return ("400 Bad Request", r#"{"text":"Invalid data format","code":6}"#);
    };
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let at_ms = u64::try_from(shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut tally = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
    arrivals.into_iter().for_each(|arrival| tally.count(arrival, at_ms));
    ("200 OK", r#"{"text":"Success","code":0}"#)
}

/// The agent opens a handful for each of its shards.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request body; the agent's batches are far smaller.
const BODY_MAX: usize = 8 << 20;
/// How soon threads notice that the receiver is to go.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"event":{"event_id":"demo-00000001"},"fields":{"siem_stream":"s","siem_n":1}}"#;

    fn ask(receiver: &Receiver, token: &str, body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(receiver.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "POST {EVENT_PATH} HTTP/1.1\r\nHost: h\r\nAuthorization: Splunk {token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut reply = vec![0; 1024];
        let count = stream.read(&mut reply)?;
        Ok(String::from_utf8_lossy(&reply[..count]).into_owned())
    }

    #[test]
    fn it_counts_what_it_accepts_and_nothing_else() {
        let receiver = Receiver::start("t".to_owned(), Instant::now()).unwrap();
        assert!(ask(&receiver, "t", &format!("{EVENT}{EVENT}")).unwrap().contains("200 OK"));
        assert!(ask(&receiver, "wrong", EVENT).unwrap().contains("403"));
        assert!(ask(&receiver, "t", "{\"event\":").unwrap().contains("400"));
        let tally = receiver.tally();
        assert_eq!((tally.events.len(), tally.delivered_again, receiver.requests()), (1, 1, 1));
    }

    #[test]
    fn it_goes_away_and_comes_back_at_the_same_address() {
        let receiver = Receiver::start("t".to_owned(), Instant::now()).unwrap();
        let wait = |wanted: bool| {
            let until = Instant::now() + Duration::from_secs(20);
            while ask(&receiver, "t", EVENT).is_ok_and(|reply| reply.contains("200 OK")) != wanted {
                assert!(Instant::now() < until, "still not {wanted}");
                thread::sleep(TICK);
            }
        };
        wait(true);
        receiver.stop();
        wait(false);
        receiver.resume();
        wait(true);
    }
}
