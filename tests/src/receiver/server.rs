//! The receiver's connections: one thread each, blocking.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::fault::{Fault, Plan, RequestQuestion};
use super::item::{Batch, Depth, Refusals};
use super::reply::Reply;
use super::request::{Coding, Head, Request};
use super::rule::{Notes, http};
use super::store::{Keep, REQUEST_WITHIN, RequestLog, Store};
use super::{Route, Rules, Settings};
use crate::generator::Key;

/// What connections share.
pub(super) struct Shared {
    rules: Arc<dyn Rules>,
    store: Mutex<Store>,
    plans: Mutex<Plans>,
    plans_changed: Condvar,
    keep: Keep,
    max_content_length: usize,
    tls: Option<Arc<ServerConfig>>,
}

#[derive(Default)]
struct Plans {
    list: Vec<Plan>,
    generation: u64,
    /// Requests that met a fault since the list was begun anew.
    met: u64,
    /// While true, no request is looked at.
    is_held: bool,
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

/// A connection as a client sees it.
trait Wire: Read + Write {
    /// Says in the connection's own way that no more comes.
    fn farewell(&mut self);
}

impl Wire for TcpStream {
    fn farewell(&mut self) {}
}

impl Wire for StreamOwned<ServerConnection, TcpStream> {
    fn farewell(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}

const HEAD_MAX: usize = 64 * 1024;
/// How long a client may go on sending a body that was refused.
const LINGER: Duration = Duration::from_secs(2);

impl Shared {
    pub(super) fn new(rules: Arc<dyn Rules>, settings: Settings) -> Shared {
        Shared {
            rules,
            store: Mutex::new(Store::new()),
            plans: Mutex::new(Plans::default()),
            plans_changed: Condvar::new(),
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

    pub(super) fn set_fault(&self, fault: Fault, left: Option<u32>) {
        self.change_plans(|plans| {
            plans.list = vec![Plan { fault, left, when: None }];
            plans.generation += 1;
            plans.met = 0;
        });
    }

    pub(super) fn add_fault(&self, fault: Fault, left: Option<u32>, when: Option<RequestQuestion>) {
        self.change_plans(|plans| {
            plans.list.push(Plan { fault, left, when });
            plans.generation += 1;
        });
    }

    pub(super) fn hold(&self, held: bool) {
        self.change_plans(|plans| plans.is_held = held);
    }

    pub(super) fn met(&self) -> u64 {
        self.plans.lock().expect("no holder panics").met
    }

    fn change_plans(&self, change: impl FnOnce(&mut Plans)) {
        change(&mut self.plans.lock().expect("no holder panics"));
        self.plans_changed.notify_all();
    }

    /// The fault that this request meets, if `fits` it; it counts as met then.
    fn next_fault(&self, request: &Request, route: Route, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut plans = self.plans.lock().expect("no holder panics");
        let plan = plans.list.iter_mut().find(|plan| match &plan.when {
            _ if plan.left == Some(0) || matches!(plan.fault, Fault::None) => false,
            None => route == self.rules.main_route(),
            Some(when) => when(request),
        })?;
        if !fits(&plan.fault) {
            return None;
        }
        plan.left = plan.left.map(|left| left - 1);
        let fault = plan.fault.clone();
        plans.met += 1;
        Some(fault)
    }

    /// Waits until another fault is set or the port closes.
    fn hang(&self, doors: &Doors) {
        let generation = self.plans.lock().expect("no holder panics").generation;
        self.wait_while(doors, |plans| plans.generation == generation);
    }

    fn wait_while(&self, doors: &Doors, is_so: impl Fn(&Plans) -> bool) {
        let mut plans = self.plans.lock().expect("no holder panics");
        while is_so(&plans) && !doors.closing.load(Ordering::Relaxed) {
            plans = self.plans_changed.wait_timeout(plans, Duration::from_millis(20)).expect("no holder panics").0;
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
    let handle = stream.try_clone()?;
    let wire: Box<dyn Wire> = match &shared.tls {
        None => Box::new(stream),
        Some(config) => {
            let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(session, stream))
        }
    };
    let mut peer = Peer { wire, handle, buffer: Vec::new(), connection };
    while serve_one(&mut peer, shared, doors)? {}
    Ok(())
}

/// One connection.
struct Peer {
    wire: Box<dyn Wire>,
    handle: TcpStream,
    /// What was read past the last request.
    buffer: Vec<u8>,
    connection: u64,
}

/// What became of a request.
#[derive(Default)]
struct Outcome {
    status: u16,
    events: usize,
    generated: usize,
    left: Vec<Key>,
    body_bytes: usize,
    wire_bytes: usize,
    goes_on: bool,
}

/// Serves one request. False when the connection is to be closed.
fn serve_one(peer: &mut Peer, shared: &Shared, doors: &Doors) -> io::Result<bool> {
    let Some(head_length) = peer.read_head()? else { return Ok(false) };
    let at = Instant::now();
    let head = Head::parse(&peer.buffer[..head_length])?;
    peer.buffer.drain(..head_length);
    let number = {
        let mut store = shared.store();
        store.request_count += 1;
        store.at_once += 1;
        store.most_at_once = store.most_at_once.max(store.at_once);
        store.request_count
    };
    let path = head.path.clone();
    let request = Request { head, body: Vec::new(), number, connection: peer.connection };
    let mut notes = Notes::default();
    // A client that goes away ends its request as one that was dropped.
    let outcome = exchange(peer, shared, doors, request, &mut notes).unwrap_or_default();
    let mut store = shared.store();
    store.violated(notes.0);
    store.at_once -= 1;
    store.log(RequestLog {
        number,
        path,
        at,
        ended: Instant::now(),
        status: outcome.status,
        events: outcome.events,
        generated: outcome.generated,
        left: outcome.left,
        body_bytes: outcome.body_bytes,
        wire_bytes: outcome.wire_bytes,
        connection: peer.connection,
    });
    Ok(outcome.goes_on)
}

fn exchange(
    peer: &mut Peer,
    shared: &Shared,
    doors: &Doors,
    mut request: Request,
    notes: &mut Notes,
) -> io::Result<Outcome> {
    let rules = &*shared.rules;
    shared.wait_while(doors, |plans| plans.is_held);
    let Some(wire_bytes) = check_framing(&request.head, notes) else {
        return peer.refuse_unread(shared, notes, &rules.answer(411), 0);
    };
    let opened = rules.open(&request.head, notes);
    let route = *opened.as_ref().unwrap_or(&Route::Query);
    let cuts = |fault: &Fault| matches!(fault, Fault::CutBody { .. });
    if let Some(Fault::CutBody { after }) = shared.next_fault(&request, route, cuts) {
        peer.read_body(after.min(wire_bytes / 2))?;
        // What is not read makes the kernel reset the connection.
        return Ok(Outcome { wire_bytes, ..Outcome::default() });
    }
    if is_too_large(wire_bytes, shared, notes) {
        return peer.refuse_unread(shared, notes, &rules.answer(413), wire_bytes);
    }
    let raw = peer.read_body(wire_bytes)?;
    let keep_alive = request.head.keep_alive;
    let decoded = match opened {
        Err(reply) => Err(reply),
        Ok(_) => decode(raw, &request.head, shared, notes),
    };
    let mut outcome = match decoded {
        Err(reply) => {
            let mut outcome = Outcome::default();
            peer.end(shared, notes, &reply, keep_alive, &mut outcome);
            outcome
        }
        Ok(body) => {
            request.body = body;
            judge(peer, shared, doors, &request, route, notes)
        }
    };
    outcome.wire_bytes = wire_bytes;
    outcome.body_bytes = request.body.len();
    Ok(outcome)
}

/// What HTTP and this project demand of every request; the body's length, if it has a usable one.
fn check_framing(head: &Head, notes: &mut Notes) -> Option<usize> {
    let hosts = head.all("host").count();
    if hosts != 1 {
        notes.breach(http::HOST, format!("{hosts} of them"));
    }
    if head.header("user-agent").is_none_or(str::is_empty) {
        notes.breach(http::USER_AGENT, "none");
    }
    if let Some(coding) = head.header("transfer-encoding") {
        notes.breach(http::NOT_CHUNKED, coding);
        return None;
    }
    let lengths: Vec<&str> = head.all("content-length").collect();
    match lengths[..] {
        [] if head.method == "GET" || head.method == "HEAD" => Some(0),
        [text] if text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() < 16 => text.parse().ok(),
        _ => {
            notes.breach(http::CONTENT_LENGTH, format!("{lengths:?}"));
            None
        }
    }
}

fn is_too_large(length: usize, shared: &Shared, notes: &mut Notes) -> bool {
    match shared.rules.body_limit() {
        Some((limit, rule)) if length > limit => {
            notes.breach(rule, format!("{length} bytes"));
            true
        }
        _ => length > shared.max_content_length,
    }
}

/// Undoes a body's coding.
fn decode(raw: Vec<u8>, head: &Head, shared: &Shared, notes: &mut Notes) -> Result<Vec<u8>, Reply> {
    let rules = &*shared.rules;
    let limit = rules.body_limit().map_or(shared.max_content_length, |(limit, _)| limit.min(shared.max_content_length));
    let body = match head.header("content-encoding") {
        None | Some("identity") => raw,
        Some(name) => match Coding::parse(name).filter(|coding| rules.codings().contains(coding)) {
            Some(coding) => coding.undo(&raw, limit).map_err(|error| {
                notes.breach(http::CODED_BODY, error.to_string());
                rules.answer(400)
            })?,
            None => {
                notes.breach(http::CODING, name);
                return Err(rules.answer(415));
            }
        },
    };
    if is_too_large(body.len(), shared, notes) {
        return Err(rules.answer(413));
    }
    Ok(body)
}

/// Reads a request's events, lets the fault have its way, records what is taken, answers.
fn judge(
    peer: &mut Peer,
    shared: &Shared,
    doors: &Doors,
    request: &Request,
    route: Route,
    notes: &mut Notes,
) -> Outcome {
    let rules = &*shared.rules;
    let mut batch = Batch::default();
    if route == Route::Events {
        if shared.keep == Keep::Bodies {
            shared.store().bodies.push(request.body.clone());
        }
        let depth = if shared.keep == Keep::Keys { Depth::Shallow } else { Depth::Full };
        batch = rules.read(request, depth, notes);
    }
    let Batch { items, stop } = batch;
    let mut left: Vec<Key> = items.iter().filter_map(|item| item.key).collect();
    let mut outcome = Outcome { events: items.len(), generated: left.len(), ..Outcome::default() };
    let mut take = |taken: &[bool]| {
        left = items.iter().zip(taken).filter(|(_, taken)| !**taken).filter_map(|(item, _)| item.key).collect();
        shared.store().take(&items, taken, request.number, shared.keep);
    };
    let mut process = |refusals: &Refusals<'_>| match route {
        Route::Query => rules.query(request, notes),
        Route::Events => {
            let settled = rules.settle(request, &items, refusals);
            take(&settled.taken);
            settled.reply
        }
    };
    let reply = match stop {
        Some(stop) => {
            take(&vec![stop.keeps_prefix; items.len()]);
            Some(stop.reply)
        }
        None => match shared.next_fault(request, route, |_| true).unwrap_or_default() {
            Fault::None => Some(process(&Refusals::NONE)),
            Fault::Answer(reply) => Some(reply),
            Fault::Status { status, retry_after } => Some(rules.answer(status).retry_after(retry_after)),
            Fault::TakeAndAnswer(reply) => {
                process(&Refusals::NONE);
                Some(reply)
            }
            Fault::RefuseEvents { when, names_event, keeps_prefix } => {
                Some(process(&Refusals { when: Some(&when), names_event, keeps_prefix, ..Refusals::NONE }))
            }
            Fault::RefuseItems { when, status } => {
                Some(process(&Refusals { when: Some(&when), status, ..Refusals::NONE }))
            }
            Fault::SlowReply(time) => {
                let reply = process(&Refusals::NONE);
                thread::sleep(time);
                Some(reply)
            }
            Fault::Hang => {
                shared.hang(doors);
                None
            }
            Fault::CutBody { .. } => None,
            Fault::CloseAfterBody { takes } => {
                if takes {
                    process(&Refusals::NONE);
                }
                None
            }
            Fault::CutReply { takes } => {
                let reply = if takes { process(&Refusals::NONE) } else { Reply::empty(200) };
                peer.write_half(&reply);
                None
            }
        },
    };
    outcome.left = left;
    if let Some(reply) = reply {
        peer.end(shared, notes, &reply, request.head.keep_alive, &mut outcome);
    }
    outcome
}

impl Peer {
    /// Reads until the buffer begins with a whole head; its length, or `None` at the end of the connection.
    fn read_head(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(end + 4));
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(io::Error::other("a head without end"));
            }
            let mut chunk = [0; 16 * 1024];
            match self.wire.read(&mut chunk)? {
                0 => return Ok(None),
                length => self.buffer.extend_from_slice(&chunk[..length]),
            }
        }
    }

    fn read_body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut body = std::mem::take(&mut self.buffer);
        if body.len() >= length {
            self.buffer = body.split_off(length);
            return Ok(body);
        }
        let have = body.len();
        body.resize(length, 0);
        self.wire.read_exact(&mut body[have..])?;
        Ok(body)
    }

    /// Answers; what was noted so far is known before the client can see the answer.
    fn reply(&mut self, shared: &Shared, notes: &mut Notes, reply: &Reply, keep_alive: bool) -> io::Result<()> {
        shared.store().violated(notes.0.drain(..));
        self.wire.write_all(&reply.to_bytes(keep_alive))?;
        self.wire.flush()
    }

    /// Answers, and notes how that ended: a client that is gone got no whole reply.
    fn end(&mut self, shared: &Shared, notes: &mut Notes, reply: &Reply, keep_alive: bool, outcome: &mut Outcome) {
        if self.reply(shared, notes, reply, keep_alive).is_ok() {
            outcome.status = reply.status;
            outcome.goes_on = keep_alive;
        }
    }

    /// Writes the first half of a reply; whether it gets there makes no difference.
    fn write_half(&mut self, reply: &Reply) {
        let whole = reply.to_bytes(true);
        let _ = self.wire.write_all(&whole[..whole.len() / 2]).and_then(|()| self.wire.flush());
    }

    /// Answers a request whose body will not be looked at, and ends the connection without cutting the answer off.
    fn refuse_unread(
        &mut self,
        shared: &Shared,
        notes: &mut Notes,
        reply: &Reply,
        wire_bytes: usize,
    ) -> io::Result<Outcome> {
        self.reply(shared, notes, reply, false)?;
        self.wire.farewell();
        self.handle.shutdown(Shutdown::Write)?;
        self.handle.set_read_timeout(Some(LINGER))?;
        let rest = wire_bytes.saturating_sub(self.buffer.len()) as u64;
        let _ = io::copy(&mut (&mut self.wire).take(rest), &mut io::sink());
        Ok(Outcome { status: reply.status, wire_bytes, ..Outcome::default() })
    }
}
