//! Our own syslog receiver over connections, plain or TLS: strict, and with a program that fails when it is told to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;
use socket2::SockRef;

use super::frames::{Framing, split_counted, split_line};
use super::relp::{self, Command, Session};
use super::taken::Taken;
use super::wire::Wire;
use crate::arrival::Arrivals;
use crate::ports::free_port;
use crate::wait::wait_until;

/// A syslog receiver on loopback.
pub struct Sink {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
    tls: Option<Arc<ServerConfig>>,
}

/// What a receiver does to a connection instead of going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFault {
    /// It closes its direction (FIN; in TLS `close_notify` first) and throws away what still comes.
    Fin,
    /// It resets the connection (RST) when it has a part of a frame.
    Reset,
    /// It reads nothing any more, on any connection, as after [`Sink::set_stalled`].
    Stall,
    /// It sends a fatal TLS alert, and throws away what still comes.
    TlsAlert,
    /// It ends the RELP session with `serverclose`, and throws away what still comes.
    ServerClose,
}

struct Shared {
    framing: Framing,
    keep: bool,
    store: Mutex<Store>,
    stalled: AtomicBool,
    closing: AtomicBool,
    /// Whoever serves a connection holds it, so that it ends when that is over.
    open: Mutex<Vec<Weak<TcpStream>>>,
    connections: AtomicU64,
}

#[derive(Default)]
struct Store {
    taken: Taken,
    armed: Option<Armed>,
    refusing: Option<Refusing>,
    refusals: u64,
    clean_ends: u64,
}

/// A fault that is to come.
struct Armed {
    fault: SinkFault,
    /// Messages that are taken first.
    after: u64,
}

/// Which messages are refused (RELP), and with which words.
struct Refusing {
    text: String,
    words: String,
}

/// What one look at the bytes at hand came to.
#[derive(Default)]
struct Turn {
    used: usize,
    answers: Vec<u8>,
    then: Option<Then>,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Fail(SinkFault),
    /// The sender has closed the session.
    Close,
}

const READ_MAX: usize = 64 * 1024;
/// What the kernel holds of a connection that nobody reads; left to itself it takes many megabytes.
const RECEIVE_BUFFER: usize = 128 * 1024;

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
        // Accepted connections inherit it.
        SockRef::from(&listener).set_recv_buffer_size(RECEIVE_BUFFER).expect("the kernel bounds what is asked for");
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
            let _ = stream.upgrade().map(|stream| stream.shutdown(Shutdown::Both));
        }
    }

    /// While true, nothing is read: the peer's kernel still takes what fits into the socket buffers.
    pub fn set_stalled(&self, stalled: bool) {
        self.shared.stalled.store(stalled, Ordering::Relaxed);
    }

    /// After `messages` more messages the connection that brought the last of them meets `fault`, once.
    pub fn fail_after(&self, messages: u64, fault: SinkFault) {
        self.shared.store().armed = Some(Armed { fault, after: messages.max(1) });
    }

    /// True when no fault is still to come.
    pub fn has_failed(&self) -> bool {
        self.shared.store().armed.is_none()
    }

    /// Answers each message that contains `text` with 500 and `words` (RELP), from now on.
    pub fn refuse(&self, text: &str, words: &str) {
        self.shared.store().refusing = Some(Refusing { text: text.to_owned(), words: words.to_owned() });
    }

    /// How many answers refused a message.
    pub fn refusals(&self) -> u64 {
        self.shared.store().refusals
    }

    /// A copy of everything that was taken.
    pub fn arrivals(&self) -> Arrivals {
        self.shared.store().taken.arrivals.clone()
    }

    /// How many messages were taken.
    pub fn count(&self) -> usize {
        self.shared.store().taken.arrivals.list.len()
    }

    /// How many different generated events were taken.
    pub fn distinct(&self) -> usize {
        self.shared.store().taken.seen.len()
    }

    /// How many different generated events came shortened, and said so.
    pub fn shortened(&self) -> usize {
        self.shared.store().taken.shortened.len()
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
        wait_until(&format!("{count} different events at the syslog sink"), within, || self.distinct() >= count);
    }

    /// Where the sender broke the grammar or the framing.
    pub fn errors(&self) -> Vec<String> {
        self.shared.store().taken.errors.clone()
    }

    /// # Panics
    /// When the sender broke the framing or the grammar.
    #[track_caller]
    pub fn assert_no_errors(&self) {
        let errors = self.errors();
        assert!(errors.is_empty(), "the agent broke RFC 5424 or its framing: {errors:#?}");
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.set_stalled(false);
        self.go_down();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, tls: Option<&Arc<ServerConfig>>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.closing.load(Ordering::Relaxed) {
            return;
        }
        let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let stream = Arc::new(stream);
        shared.open.lock().expect("no holder panics").push(Arc::downgrade(&stream));
        let (shared, wire) = (Arc::clone(shared), Wire::new(stream, tls));
        thread::spawn(move || serve(wire, &shared, number));
    }
}

/// Reads messages until the connection ends, whoever ends it.
fn serve(mut wire: Wire, shared: &Shared, number: u64) -> io::Result<()> {
    let (mut buffer, mut chunk, mut session) = (Vec::new(), vec![0; READ_MAX], Session::new());
    loop {
        shared.wait_while_stalled();
        let turn = shared.take(&buffer, &mut session, number)?;
        buffer.drain(..turn.used);
        wire.write_all(&turn.answers)?;
        match turn.then {
            Some(Then::Fail(SinkFault::Stall)) => continue,
            Some(then) => {
                end(wire, then, buffer.is_empty());
                return Ok(());
            }
            None => {}
        }
        let length = wire.read(&mut chunk)?;
        if length == 0 {
            shared.store().clean_ends += u64::from(buffer.is_empty());
            wire.finish();
            return Ok(());
        }
        buffer.extend_from_slice(&chunk[..length]);
    }
}

/// Ends a connection from our side. `is_between` says that no part of another frame is at hand.
fn end(mut wire: Wire, then: Then, is_between: bool) {
    match then {
        Then::Fail(SinkFault::Reset) => {
            if is_between {
                let _ = wire.read(&mut [0; 16]);
            }
            wire.reset();
        }
        Then::Fail(SinkFault::TlsAlert) => wire.alert(),
        Then::Fail(SinkFault::ServerClose) => {
            let _ = wire.write_all(relp::SERVER_CLOSE);
            wire.finish();
        }
        Then::Fail(SinkFault::Fin | SinkFault::Stall) | Then::Close => wire.finish(),
    }
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no holder panics")
    }

    fn wait_while_stalled(&self) {
        while self.stalled.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes the whole frames at the front of `bytes`, up to one that ends the connection.
    ///
    /// # Errors
    /// When the sender broke the framing; what follows can't be told apart any more.
    fn take(&self, bytes: &[u8], session: &mut Session, number: u64) -> io::Result<Turn> {
        let mut store = self.store();
        let mut turn = Turn::default();
        while turn.then.is_none() {
            match self.take_frame(&mut store, &bytes[turn.used..], session, number, &mut turn) {
                Ok(Some(length)) => turn.used += length,
                Ok(None) => break,
                Err(error) => {
                    store.taken.complain(error);
                    return Err(io::Error::other("framing"));
                }
            }
        }
        if let Some(Then::Fail(SinkFault::Stall)) = turn.then {
            self.stalled.store(true, Ordering::Relaxed);
        }
        Ok(turn)
    }

    /// Takes the frame at the front of `bytes` and returns its length; `None` while it is not whole.
    fn take_frame(
        &self,
        store: &mut Store,
        bytes: &[u8],
        session: &mut Session,
        number: u64,
        turn: &mut Turn,
    ) -> Result<Option<usize>, String> {
        let found = match self.framing {
            Framing::OctetCounting => split_counted(bytes)?,
            Framing::LineFeed => split_line(bytes),
            Framing::Relp => {
                let Some((txnr, command, length)) = session.take(bytes)? else { return Ok(None) };
                self.obey(store, txnr, &command, number, turn);
                return Ok(Some(length));
            }
        };
        let Some((message, length)) = found else { return Ok(None) };
        turn.then = store.take(message, number, self.keep);
        Ok(Some(length))
    }

    /// Does what a RELP client says, and answers.
    fn obey(&self, store: &mut Store, txnr: u32, command: &Command<'_>, number: u64, turn: &mut Turn) {
        match command {
            Command::Open => relp::answer(txnr, relp::WELCOME, &mut turn.answers),
            Command::Close => {
                relp::answer(txnr, "", &mut turn.answers);
                turn.then = Some(Then::Close);
            }
            Command::Syslog(message) => match store.refusal_of(message) {
                Some(refusal) => relp::answer(txnr, &refusal, &mut turn.answers),
                None => {
                    turn.then = store.take(message, number, self.keep);
                    relp::answer(txnr, "200 OK", &mut turn.answers);
                }
            },
        }
    }
}

impl Store {
    /// Takes one message; returns the fault that comes after it.
    fn take(&mut self, message: &[u8], number: u64, keep: bool) -> Option<Then> {
        self.taken.take(message, number, keep);
        let armed = self.armed.as_mut()?;
        armed.after -= 1;
        let due = self.armed.take_if(|armed| armed.after == 0)?;
        Some(Then::Fail(due.fault))
    }

    /// The answer that refuses `message`, if it is one of those.
    fn refusal_of(&mut self, message: &[u8]) -> Option<String> {
        let refusing = self.refusing.as_ref()?;
        memchr::memmem::find(message, refusing.text.as_bytes())?;
        self.refusals += 1;
        Some(format!("500 {}", refusing.words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Authority;
    use crate::tls;

    const WITHIN: Duration = Duration::from_secs(10);

    fn text(count: u32) -> String {
        format!(
            r#"<134>1 - h a - m [siem@32473 node="n" stream="s" n="{count}"] {{"event_id":"gen-00000001-00002-{count:08}"}}"#
        )
    }

    fn counted(counts: std::ops::Range<u32>) -> String {
        counts.map(text).map(|text| format!("{} {text}", text.len())).collect()
    }

    #[test]
    fn counted_and_line_framed_messages_are_taken_in_any_split() {
        for framing in [Framing::OctetCounting, Framing::LineFeed] {
            let sink = Sink::start(framing, None, true);
            let mut stream = TcpStream::connect(sink.address()).unwrap();
            let frame = match framing {
                Framing::LineFeed => format!("{}\n", text(3)),
                _ => counted(3..4),
            };
            for byte in frame.repeat(3).as_bytes() {
                stream.write_all(&[*byte]).unwrap();
            }
            wait_until("three messages", WITHIN, || sink.count() == 3);
            sink.assert_no_errors();
            assert_eq!((sink.arrivals().distinct(), sink.distinct()), (1, 1));
            assert_eq!(sink.arrivals().list[0].n, Some(3));
        }
    }

    /// What is left to read for a sender whose three messages met `fault` after two.
    fn left_after(fault: SinkFault) -> (io::Result<Vec<u8>>, usize) {
        let sink = Sink::start(Framing::OctetCounting, None, false);
        sink.fail_after(2, fault);
        let mut stream = TcpStream::connect(sink.address()).unwrap();
        stream.write_all(counted(0..3).as_bytes()).unwrap();
        wait_until("the fault", WITHIN, || sink.has_failed());
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let mut left = Vec::new();
        (stream.read_to_end(&mut left).map(|_| left), sink.count())
    }

    #[test]
    fn a_fin_comes_after_the_messages_asked_for_and_takes_no_more() {
        let (left, count) = left_after(SinkFault::Fin);
        assert_eq!((left.unwrap(), count), (Vec::new(), 2));
    }

    #[test]
    fn a_reset_is_a_reset() {
        let (left, count) = left_after(SinkFault::Reset);
        assert_eq!((left.unwrap_err().kind(), count), (io::ErrorKind::ConnectionReset, 2));
    }

    #[test]
    fn a_stalled_sink_goes_on_where_it_stopped() {
        let sink = Sink::start(Framing::OctetCounting, None, false);
        sink.fail_after(2, SinkFault::Stall);
        let mut stream = TcpStream::connect(sink.address()).unwrap();
        stream.write_all(counted(0..5).as_bytes()).unwrap();
        wait_until("the fault", WITHIN, || sink.has_failed());
        crate::wait::holds_for("nothing is taken", Duration::from_millis(200), || sink.count() == 2);
        sink.set_stalled(false);
        wait_until("the rest", WITHIN, || sink.count() == 5);
    }

    #[test]
    fn a_fatal_alert_reaches_the_sender() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path());
        let identity = authority.issue(dir.path(), "sink", &["localhost"]);
        let sink = Sink::start(Framing::OctetCounting, Some(identity.server), false);
        sink.fail_after(2, SinkFault::TlsAlert);
        let mut stream = tls::connect(sink.address(), authority.ca_file(), None).unwrap();
        stream.write_all(counted(0..3).as_bytes()).unwrap();
        let error = stream.read(&mut [0; 16]).unwrap_err();
        assert!(error.to_string().contains("fatal alert"), "{error}");
        assert_eq!(sink.count(), 2);
    }

    #[test]
    fn relp_is_answered_refused_and_closed() {
        let sink = Sink::start(Framing::Relp, None, false);
        sink.refuse("00000001\"", "no");
        sink.fail_after(2, SinkFault::ServerClose);
        let mut stream = TcpStream::connect(sink.address()).unwrap();
        stream.write_all(b"1 open 30 relp_version=0\ncommands=syslog\n").unwrap();
        for count in 0..3 {
            let text = text(count);
            stream.write_all(format!("{} syslog {} {text}\n", count + 2, text.len()).as_bytes()).unwrap();
        }
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        let answers = said.split_once("commands=syslog\n").unwrap().1;
        assert_eq!(answers, "2 rsp 6 200 OK\n3 rsp 6 500 no\n4 rsp 6 200 OK\n0 serverclose 0\n");
        assert_eq!((sink.count(), sink.refusals()), (2, 1));
        sink.assert_no_errors();
    }
}
