//! The receiver's connections: one thread each, blocking.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::body::{Item, gunzip, read_items};
use super::fault::{Fault, Reply};
use super::rules::{Head, check_head};
use super::store::{Keep, REQUEST_WITHIN, RequestLog, Store};
use super::{Settings, TOKEN};

/// What connections share.
pub(super) struct Shared {
    store: Mutex<Store>,
    fault: Mutex<CurrentFault>,
    fault_changed: Condvar,
    token: Mutex<String>,
    keep: Keep,
    max_content_length: usize,
    tls: Option<Arc<ServerConfig>>,
}

struct CurrentFault {
    fault: Fault,
    left: Option<u32>,
    generation: u64,
}

/// An open port with its connections; dropping it closes all of them.
pub(super) struct Listening {
    address: SocketAddr,
    doors: Arc<Doors>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Doors {
    closing: AtomicBool,
    open: Mutex<HashMap<u64, TcpStream>>,
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

const HEAD_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;

impl Shared {
    pub(super) fn new(settings: Settings) -> Shared {
        Shared {
            store: Mutex::new(Store::new()),
            fault: Mutex::new(CurrentFault { fault: Fault::None, left: None, generation: 0 }),
            fault_changed: Condvar::new(),
            token: Mutex::new(TOKEN.to_owned()),
            keep: settings.keep,
            max_content_length: settings.max_content_length,
            tls: settings.tls,
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no holder panics")
    }

    pub(super) fn set_token(&self, token: &str) {
        *self.token.lock().expect("no holder panics") = token.to_owned();
    }

    pub(super) fn set_fault(&self, fault: Fault, left: Option<u32>) {
        let mut current = self.fault.lock().expect("no holder panics");
        current.fault = fault;
        current.left = left;
        current.generation += 1;
        self.fault_changed.notify_all();
    }

    fn next_fault(&self) -> Fault {
        let mut current = self.fault.lock().expect("no holder panics");
        let Some(left) = current.left else { return current.fault.clone() };
        if left == 0 {
            current.fault = Fault::None;
            current.left = None;
            return Fault::None;
        }
        current.left = Some(left - 1);
        current.fault.clone()
    }

    /// Waits until another fault is set or the port closes.
    fn hang(&self, doors: &Doors) {
        let mut current = self.fault.lock().expect("no holder panics");
        let generation = current.generation;
        while current.generation == generation && !doors.closing.load(Ordering::Relaxed) {
            current = self.fault_changed.wait_timeout(current, Duration::from_millis(20)).expect("no holder panics").0;
        }
    }
}

impl Listening {
    pub(super) fn open(address: SocketAddr, shared: &Arc<Shared>) -> io::Result<Listening> {
        let listener = TcpListener::bind(address)?;
        let doors = Arc::new(Doors::default());
        let (shared, acceptor_doors) = (Arc::clone(shared), Arc::clone(&doors));
        let acceptor = thread::spawn(move || accept(&listener, &shared, &acceptor_doors));
        Ok(Listening { address, doors, acceptor: Some(acceptor) })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.doors.closing.store(true, Ordering::Relaxed);
        // Wakes the thread out of `accept`.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in self.doors.open.lock().expect("no holder panics").values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, doors: &Arc<Doors>) {
    while let Ok((stream, _)) = listener.accept() {
        if doors.closing.load(Ordering::Relaxed) {
            return;
        }
        let number = {
            let mut store = shared.store();
            store.connections += 1;
            store.connections
        };
        if let Ok(handle) = stream.try_clone() {
            doors.open.lock().expect("no holder panics").insert(number, handle);
        }
        let (shared, doors) = (Arc::clone(shared), Arc::clone(doors));
        thread::spawn(move || {
            let _ = serve(stream, &shared, &doors, number);
            if let Some(stream) = doors.open.lock().expect("no holder panics").remove(&number) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }
}

fn serve(stream: TcpStream, shared: &Shared, doors: &Doors, connection: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A connection may idle as long as it likes; `Listening::drop` ends it.
    let patience = if shared.is_tls() { REQUEST_WITHIN } else { Duration::from_secs(3_600) };
    stream.set_read_timeout(Some(patience))?;
    let mut stream: Box<dyn ReadWrite> = match &shared.tls {
        None => Box::new(stream),
        Some(config) => {
            let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(session, stream))
        }
    };
    let mut buffer = Vec::new();
    while serve_one(&mut *stream, &mut buffer, shared, doors, connection)? {}
    Ok(())
}

/// Serves one request; `buffer` holds what was read past the last one. False when the connection is to be closed.
fn serve_one(
    stream: &mut dyn ReadWrite,
    buffer: &mut Vec<u8>,
    shared: &Shared,
    doors: &Doors,
    connection: u64,
) -> io::Result<bool> {
    let Some(head_length) = read_head(stream, buffer)? else { return Ok(false) };
    let at = Instant::now();
    let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut slots);
    request.parse(&buffer[..head_length]).map_err(io::Error::other)?;
    let token = shared.token.lock().expect("no holder panics").clone();
    let mut violations = Vec::new();
    let head = check_head(&request, &token, &mut violations);
    let number = {
        let mut store = shared.store();
        store.request_count += 1;
        store.at_once += 1;
        store.most_at_once = store.most_at_once.max(store.at_once);
        store.violated(violations);
        store.request_count
    };
    buffer.drain(..head_length);
    let outcome = match head {
        Ok(head) => exchange(stream, buffer, shared, doors, &head, number),
        Err(rejection) => {
            shared.store().violated(rejection.violation);
            // The body was not read, so the connection cannot go on.
            let sent = stream.write_all(&rejection.reply.to_bytes(false));
            sent.map(|()| Outcome { status: rejection.reply.status, goes_on: false, ..Outcome::default() })
        }
    };
    let mut store = shared.store();
    store.at_once -= 1;
    let outcome = outcome?;
    store.log(RequestLog {
        at,
        status: outcome.status,
        events: outcome.events,
        generated: outcome.generated,
        body_bytes: outcome.body_bytes,
        wire_bytes: outcome.wire_bytes,
        connection,
    });
    Ok(outcome.goes_on)
}

#[derive(Default)]
struct Outcome {
    status: u16,
    events: usize,
    generated: usize,
    body_bytes: usize,
    wire_bytes: usize,
    goes_on: bool,
}

fn exchange(
    stream: &mut dyn ReadWrite,
    buffer: &mut Vec<u8>,
    shared: &Shared,
    doors: &Doors,
    head: &Head,
    number: u64,
) -> io::Result<Outcome> {
    let wire_bytes = head.content_length;
    if wire_bytes > shared.max_content_length {
        stream.write_all(&TOO_LARGE.to_bytes(false))?;
        return Ok(Outcome { status: TOO_LARGE.status, wire_bytes, ..Outcome::default() });
    }
    let mut raw = std::mem::take(buffer);
    read_body(stream, &mut raw, wire_bytes)?;
    *buffer = raw.split_off(wire_bytes);
    let body = match head.is_gzip.then(|| gunzip(&raw, shared.max_content_length)) {
        None => Ok(raw),
        Some(unzipped) => unzipped,
    };
    let body = match body {
        Ok(body) => body,
        Err(stop) => {
            shared.store().violated([stop.violation]);
            stream.write_all(&stop.reply.to_bytes(head.keep_alive))?;
            return Ok(Outcome {
                status: stop.reply.status,
                wire_bytes,
                goes_on: head.keep_alive,
                ..Outcome::default()
            });
        }
    };
    let mut outcome = answer(stream, shared, doors, head, &body, number)?;
    outcome.wire_bytes = wire_bytes;
    outcome.body_bytes = body.len();
    Ok(outcome)
}

/// Judges a body, records what is taken, answers.
fn answer(
    stream: &mut dyn ReadWrite,
    shared: &Shared,
    doors: &Doors,
    head: &Head,
    body: &[u8],
    number: u64,
) -> io::Result<Outcome> {
    if shared.keep == Keep::Bodies {
        shared.store().bodies.push(body.to_vec());
    }
    let (items, stop) = read_items(body, shared.keep != Keep::Keys);
    let mut outcome = Outcome {
        events: items.len(),
        generated: items.iter().filter(|item| item.key.is_some()).count(),
        goes_on: head.keep_alive,
        ..Outcome::default()
    };
    let take = |items: &[Item<'_>]| shared.store().take(items, number, shared.keep);
    let fault = shared.next_fault();

    let reply = if body.len() > shared.max_content_length {
        TOO_LARGE
    } else if let Some(stop) = stop {
        shared.store().violated([stop.violation]);
        take(&items);
        stop.reply
    } else {
        match fault {
            Fault::Answer(reply) => reply,
            Fault::Hang => {
                shared.hang(doors);
                return Ok(Outcome { goes_on: false, ..outcome });
            }
            Fault::CloseAfterBody { takes } => {
                take(if takes { &items } else { &[] });
                return Ok(Outcome { goes_on: false, ..outcome });
            }
            Fault::CutReply { takes } => {
                take(if takes { &items } else { &[] });
                let whole = SUCCESS.to_bytes(true);
                stream.write_all(&whole[..whole.len() / 2])?;
                stream.flush()?;
                return Ok(Outcome { goes_on: false, ..outcome });
            }
            Fault::RefuseEvents { when, names_event, keeps_prefix } => {
                match items.iter().position(|item| when.holds(item.event)) {
                    Some(bad) => {
                        take(if keeps_prefix { &items[..bad] } else { &[] });
                        Reply { invalid_event: names_event.then_some(bad), ..INVALID }
                    }
                    None => {
                        take(&items);
                        SUCCESS
                    }
                }
            }
            Fault::SlowReply(time) => {
                take(&items);
                thread::sleep(time);
                SUCCESS
            }
            Fault::None => {
                take(&items);
                SUCCESS
            }
        }
    };
    stream.write_all(&reply.to_bytes(head.keep_alive))?;
    stream.flush()?;
    outcome.status = reply.status;
    Ok(outcome)
}

const SUCCESS: Reply = Reply::new(200, 0, "Success");
const INVALID: Reply = Reply::new(400, 6, "Invalid data format");
const TOO_LARGE: Reply = Reply::new(413, 6, "Request entity too large");

/// Reads until `buffer` begins with a whole head; its length, or `None` at the end of the connection.
fn read_head(stream: &mut dyn ReadWrite, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            return Ok(Some(end + 4));
        }
        if buffer.len() > HEAD_MAX {
            return Err(io::Error::other("a head without end"));
        }
        let mut chunk = [0; 16 * 1024];
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            length => buffer.extend_from_slice(&chunk[..length]),
        }
    }
}

fn read_body(stream: &mut dyn ReadWrite, body: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let have = body.len();
    if have < length {
        body.resize(length, 0);
        stream.read_exact(&mut body[have..])?;
    }
    Ok(())
}
