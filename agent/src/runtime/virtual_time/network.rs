//! The simulated network: names, services, and byte streams that behave as TCP does when it hurts.
//!
//! A stream keeps order, takes time, holds a bounded number of bytes, reads and writes short, and ends in one of three
//! ways: FIN (the bytes before it arrive first), reset (both ends see it, what had arrived can still be read), or never.
//! Bytes that reach an end that was dropped are answered by a reset, as a kernel does; that is how a syslog sender loses
//! what it wrote after its peer's FIN (lesson 38).

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};

use crate::runtime::virtual_time::{Action, Sim};
use crate::runtime::{Pending, Stream, Task};
use crate::time::Millis;

/// How the network is, for connections made from now on.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The least and the most time a piece of a stream takes.
    pub latency: (Millis, Millis),
    /// Bytes a direction holds between writer and reader before writes wait.
    pub buffer: usize,
    /// How often, in a hundred, a read or a write is cut short.
    pub short: u64,
}

impl Default for Weather {
    fn default() -> Self {
        Weather { latency: (Millis(0), Millis(5)), buffer: 64 * 1024, short: 20 }
    }
}

/// What is wrong with an address. It holds for its connections, old and new, until another is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// New connections are refused.
    Refused,
    /// New connections get no answer; on old ones nothing arrives, and writes wait once the buffer is full.
    Silent,
    /// What is sent towards it is taken and never arrives, as behind a half-closed balancer. It can still be connected to.
    Swallows,
}

/// A handle on a world's network.
#[derive(Clone)]
pub struct Network {
    sim: Rc<Sim>,
}

/// Gives the task that serves one accepted connection.
type Service = Rc<dyn Fn(Box<dyn Stream>) -> Task>;

#[derive(Default)]
pub(super) struct Wires {
    weather: Weather,
    names: BTreeMap<String, Vec<IpAddr>>,
    services: BTreeMap<SocketAddr, Service>,
    faults: BTreeMap<SocketAddr, Fault>,
    connections: Vec<Weak<RefCell<Connection>>>,
}

impl Network {
    pub(super) fn of(sim: &Rc<Sim>) -> Network {
        Network { sim: Rc::clone(sim) }
    }

    /// Changes latency and buffers.
    pub fn set_weather(&self, weather: Weather) {
        self.sim.wires.borrow_mut().weather = weather;
    }

    /// Makes `host` resolve to these addresses; to none means that it does not resolve.
    pub fn set_name(&self, host: &str, addresses: &[IpAddr]) {
        self.sim.wires.borrow_mut().names.insert(host.to_owned(), addresses.to_vec());
    }

    /// Accepts connections at `address`; `service` makes the task for each.
    pub fn serve(&self, address: SocketAddr, service: impl Fn(Box<dyn Stream>) -> Task + 'static) {
        self.sim.wires.borrow_mut().services.insert(address, Rc::new(service));
    }

    /// Refuses new connections at `address`; old ones stay.
    pub fn stop_serving(&self, address: SocketAddr) {
        let gone = self.sim.wires.borrow_mut().services.remove(&address);
        drop(gone);
    }

    /// Breaks or mends an address.
    pub fn set_fault(&self, address: SocketAddr, fault: Fault) {
        self.sim.wires.borrow_mut().faults.insert(address, fault);
        for connection in self.connections_to(address) {
            connection.borrow_mut().fault_changed(&self.sim, &connection, fault);
        }
    }

    /// Resets every connection to `address`, now and at both ends. Returns how many there were.
    pub fn cut(&self, address: SocketAddr) -> usize {
        let connections = self.connections_to(address);
        for connection in &connections {
            let wakers = connection.borrow_mut().reset_both(self.sim.now.get());
            wakers.into_iter().for_each(Waker::wake);
        }
        connections.len()
    }

    /// Connections to `address` that neither end has dropped.
    pub fn connection_count(&self, address: SocketAddr) -> usize {
        self.connections_to(address).len()
    }

    /// Two connected ends, such as a producer's and the one the agent accepted on its Unix socket.
    pub fn pair(&self) -> (Box<dyn Stream>, Box<dyn Stream>) {
        let (near, far) = Connection::open(&self.sim, None);
        (Box::new(near), Box::new(far))
    }

    fn connections_to(&self, address: SocketAddr) -> Vec<Rc<RefCell<Connection>>> {
        let mut wires = self.sim.wires.borrow_mut();
        wires.connections.retain(|connection| connection.strong_count() > 0);
        let alive = wires.connections.iter().filter_map(Weak::upgrade);
        alive.filter(|connection| connection.borrow().is_at(address)).collect()
    }
}

pub(super) fn resolve(sim: &Rc<Sim>, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Box::pin(async move { Ok(vec![SocketAddr::new(address, port)]) });
    }
    let host = host.to_owned();
    let sim = Rc::clone(sim);
    Box::pin(async move {
        sim.sleep(sim.latency()).await;
        let found = sim.wires.borrow().names.get(&host).cloned().unwrap_or_default();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    })
}

pub(super) fn connect(sim: &Rc<Sim>, address: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>> {
    let sim = Rc::clone(sim);
    Box::pin(async move {
        sim.sleep(sim.latency()).await;
        let (fault, service) = {
            let wires = sim.wires.borrow();
            (wires.fault(address), wires.services.get(&address).cloned())
        };
        let service = match (fault, service) {
            (Fault::Silent, _) => return std::future::pending().await,
            (Fault::Refused, _) | (_, None) => return Err(io::ErrorKind::ConnectionRefused.into()),
            (_, Some(service)) => service,
        };
        let (near, far) = Connection::open(&sim, Some(address));
        let serve = service(Box::new(far));
        sim.spawn(Rc::default(), serve);
        sim.sleep(sim.latency()).await;
        Ok(Box::new(near) as Box<dyn Stream>)
    })
}

impl Wires {
    fn fault(&self, address: SocketAddr) -> Fault {
        self.faults.get(&address).copied().unwrap_or_default()
    }
}

impl Sim {
    fn latency(&self) -> Millis {
        let (least, most) = self.wires.borrow().weather.latency;
        least.plus(Millis(self.chance.below(most.since(least).0 + 1)))
    }
}

/// Both directions of one connection. Side 0 connected, side 1 was connected to.
struct Connection {
    address: Option<SocketAddr>,
    fault: Fault,
    buffer: usize,
    short: u64,
    /// What each side has sent.
    ways: [Way; 2],
    /// From when on each side sees a reset.
    reset_from: [Option<Millis>; 2],
    is_dropped: [bool; 2],
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Pieces under way with the time they arrive; an empty piece is the FIN.
    coming: VecDeque<(Millis, Vec<u8>)>,
    arrived: VecDeque<u8>,
    held: usize,
    fin_sent: bool,
    fin_arrived: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Connection {
    fn open(sim: &Rc<Sim>, address: Option<SocketAddr>) -> (End, End) {
        let mut wires = sim.wires.borrow_mut();
        let weather = wires.weather;
        let connection = Rc::new(RefCell::new(Connection {
            address,
            fault: address.map(|address| wires.fault(address)).unwrap_or_default(),
            buffer: weather.buffer.max(1),
            short: weather.short,
            ways: Default::default(),
            reset_from: [None; 2],
            is_dropped: [false; 2],
        }));
        wires.connections.retain(|connection| connection.strong_count() > 0);
        wires.connections.push(Rc::downgrade(&connection));
        let end = |side| End { sim: Rc::clone(sim), connection: Rc::clone(&connection), side };
        (end(0), end(1))
    }

    fn is_at(&self, address: SocketAddr) -> bool {
        self.address == Some(address) && self.is_dropped == [false; 2] && self.reset_from == [None; 2]
    }

    fn is_reset(&self, side: usize, now: Millis) -> bool {
        self.reset_from[side].is_some_and(|from| from <= now)
    }

    /// Puts a piece on its way from `side`; an empty one is the FIN.
    fn send(&mut self, sim: &Rc<Sim>, this: &Rc<RefCell<Connection>>, side: usize, piece: Vec<u8>) {
        if side == 0 && self.fault == Fault::Swallows {
            return;
        }
        let way = &mut self.ways[side];
        way.held += piece.len();
        let after = way.coming.back().map_or(Millis::ZERO, |(arrives, _)| *arrives);
        let arrives = sim.now.get().plus(sim.latency()).max(after);
        way.coming.push_back((arrives, piece));
        if self.fault != Fault::Silent {
            arrive_at(sim, this, side, arrives);
        }
    }

    /// Takes in what has arrived by now from `side` and says whom to wake.
    fn arrive(&mut self, sim: &Rc<Sim>, this: &Rc<RefCell<Connection>>, side: usize) -> Option<Waker> {
        if self.fault == Fault::Silent {
            return None;
        }
        let now = sim.now.get();
        let way = &mut self.ways[side];
        let mut came = false;
        while way.coming.front().is_some_and(|(arrives, _)| *arrives <= now) {
            came = true;
            match way.coming.pop_front() {
                Some((_, piece)) if piece.is_empty() => way.fin_arrived = true,
                Some((_, piece)) => way.arrived.extend(piece),
                None => {}
            }
        }
        if self.is_dropped[1 - side] && !self.ways[side].arrived.is_empty() {
            // Nobody is there to read it: the kernel answers with a reset.
            self.reset_side(sim, this, side);
        }
        if came { self.ways[side].reader.take() } else { None }
    }

    /// Lets `side` see a reset when the news has travelled.
    fn reset_side(&mut self, sim: &Rc<Sim>, this: &Rc<RefCell<Connection>>, side: usize) {
        if self.reset_from[side].is_some() || self.is_dropped[side] || self.fault == Fault::Silent {
            return;
        }
        let from = sim.now.get().plus(sim.latency());
        self.reset_from[side] = Some(from);
        let this = Rc::downgrade(this);
        let wake = move |_: &Rc<Sim>| {
            let Some(connection) = this.upgrade() else {
                return;
            };
            let wakers = connection.borrow_mut().wakers_of(side);
            wakers.into_iter().for_each(Waker::wake);
        };
        sim.at(from, Action::Run(Box::new(wake)));
    }

    fn reset_both(&mut self, now: Millis) -> Vec<Waker> {
        self.reset_from = [Some(now); 2];
        for way in &mut self.ways {
            way.coming.clear();
        }
        let mut wakers = self.wakers_of(0);
        wakers.extend(self.wakers_of(1));
        wakers
    }

    fn wakers_of(&mut self, side: usize) -> Vec<Waker> {
        let wakers = [self.ways[side].writer.take(), self.ways[1 - side].reader.take()];
        wakers.into_iter().flatten().collect()
    }

    fn fault_changed(&mut self, sim: &Rc<Sim>, this: &Rc<RefCell<Connection>>, fault: Fault) {
        let was_silent = self.fault == Fault::Silent;
        self.fault = fault;
        if was_silent && fault != Fault::Silent {
            let now = sim.now.get();
            for side in [0, 1] {
                let moments: Vec<Millis> =
                    self.ways[side].coming.iter().map(|(arrives, _)| (*arrives).max(now)).collect();
                moments.into_iter().for_each(|arrives| arrive_at(sim, this, side, arrives));
            }
        }
    }
}

fn arrive_at(sim: &Rc<Sim>, this: &Rc<RefCell<Connection>>, side: usize, arrives: Millis) {
    let this = Rc::downgrade(this);
    let arrive = move |sim: &Rc<Sim>| {
        let Some(connection) = this.upgrade() else {
            return;
        };
        let waker = connection.borrow_mut().arrive(sim, &connection, side);
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    sim.at(arrives, Action::Run(Box::new(arrive)));
}

/// One end of a connection.
struct End {
    sim: Rc<Sim>,
    connection: Rc<RefCell<Connection>>,
    side: usize,
}

impl Stream for End {
    fn raw_fd(&self) -> Option<RawFd> {
        None
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut connection = self.connection.borrow_mut();
        let (now, short) = (self.sim.now.get(), connection.short);
        let is_reset = connection.is_reset(self.side, now);
        let way = &mut connection.ways[1 - self.side];
        if !way.arrived.is_empty() && !buf.is_empty() {
            let size = self.sim.cut_short(way.arrived.len().min(buf.len()), short);
            for (to, from) in buf.iter_mut().zip(way.arrived.drain(..size)) {
                *to = from;
            }
            way.held -= size;
            let writer = way.writer.take();
            drop(connection);
            if let Some(writer) = writer {
                writer.wake();
            }
            return Poll::Ready(Ok(size));
        }
        if buf.is_empty() || way.fin_arrived {
            return Poll::Ready(Ok(0));
        }
        if is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        way.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut connection = self.connection.borrow_mut();
        if connection.is_reset(self.side, self.sim.now.get()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let (room, short) = (connection.buffer, connection.short);
        let way = &mut connection.ways[self.side];
        if way.fin_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = room.saturating_sub(way.held);
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if room == 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let size = self.sim.cut_short(room.min(buf.len()), short);
        connection.send(&self.sim, &self.connection, self.side, buf[..size].to_vec());
        Poll::Ready(Ok(size))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish(&mut self.connection.borrow_mut());
        Poll::Ready(Ok(()))
    }
}

impl End {
    fn finish(&self, connection: &mut Connection) {
        let way = &mut connection.ways[self.side];
        if !way.fin_sent && connection.reset_from[self.side].is_none() {
            connection.ways[self.side].fin_sent = true;
            connection.send(&self.sim, &self.connection, self.side, Vec::new());
        }
    }
}

impl Drop for End {
    /// As a kernel closes a socket: with unread bytes a reset, else a FIN.
    fn drop(&mut self) {
        let mut connection = self.connection.borrow_mut();
        connection.is_dropped[self.side] = true;
        if connection.ways[1 - self.side].arrived.is_empty() {
            self.finish(&mut connection);
        } else {
            connection.reset_side(&self.sim, &self.connection, 1 - self.side);
        }
        // Their tasks are gone or going; they must not be kept alive from here.
        let gone = connection.wakers_of(self.side);
        drop(connection);
        drop(gone);
    }
}

impl Sim {
    fn cut_short(&self, size: usize, short: u64) -> usize {
        if size > 1 && self.chance.happens(short) { 1 + self.chance.below(size as u64 - 1) as usize } else { size }
    }
}
