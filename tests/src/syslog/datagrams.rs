//! Our own syslog receiver of datagrams (RFC 5426): strict, able to stop reading and to go away, and aware of all that it
//! was sent: what it read, and what its kernel dropped because it did not read in time.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::taken::Taken;
use crate::arrival::Arrivals;
use crate::ports::{free_port, udp_drops};
use crate::wait::wait_for;

/// A receiver of datagrams on loopback.
pub struct DatagramSink {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Gives the socket back when it ends.
    reader: Option<JoinHandle<UdpSocket>>,
    /// What the kernel dropped at the sockets before this one.
    dropped_before: u64,
}

#[derive(Default)]
struct Shared {
    taken: Mutex<Taken>,
    stalled: AtomicBool,
    closing: AtomicBool,
}

/// What the kernel holds until it is read, where it allows so much; it doubles this for its own needs.
const RECEIVE_BUFFER: usize = 2 << 20;
const DATAGRAM_MAX: usize = 65_535;
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl DatagramSink {
    /// Starts a receiver on a free port.
    pub fn start() -> DatagramSink {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut sink = DatagramSink { shared: Arc::default(), address, reader: None, dropped_before: 0 };
        sink.come_up();
        sink
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens again after [`DatagramSink::go_down`], on the same port.
    pub fn come_up(&mut self) {
        if self.reader.is_some() {
            return;
        }
        self.shared.closing.store(false, Ordering::Relaxed);
        let socket =
            wait_for("the sink's port is free again", Duration::from_secs(10), || UdpSocket::bind(self.address).ok());
        SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER).expect("the kernel bounds what is asked for");
        socket.set_read_timeout(Some(LOOK_EVERY)).expect("the time is not zero");
        let shared = Arc::clone(&self.shared);
        self.reader = Some(thread::spawn(move || read(socket, &shared)));
    }

    /// Reads what is there, and then nobody listens any more. What comes in that moment is lost, and not counted.
    pub fn go_down(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        let Some(reader) = self.reader.take() else { return };
        let socket = reader.join().expect("the reader does not panic");
        self.dropped_before += udp_drops(self.address.port());
        drop(socket);
    }

    /// While true, nothing is read.
    pub fn set_stalled(&self, stalled: bool) {
        self.shared.stalled.store(stalled, Ordering::Relaxed);
    }

    /// A copy of everything that was taken.
    pub fn arrivals(&self) -> Arrivals {
        self.shared.taken().arrivals.clone()
    }

    /// How many different generated events were taken.
    pub fn distinct(&self) -> usize {
        self.shared.taken().seen.len()
    }

    /// How many different generated events came shortened, and said so.
    pub fn shortened(&self) -> usize {
        self.shared.taken().shortened.len()
    }

    /// How many datagrams with a generated event were read.
    pub fn generated(&self) -> u64 {
        self.shared.taken().arrivals.list.iter().filter(|arrival| arrival.key.is_some()).count() as u64
    }

    /// How many datagrams were read.
    pub fn count(&self) -> u64 {
        self.shared.taken().arrivals.list.len() as u64
    }

    /// How many datagrams came and were dropped by the kernel, because there was no room for them.
    pub fn dropped(&self) -> u64 {
        self.dropped_before + if self.reader.is_some() { udp_drops(self.address.port()) } else { 0 }
    }

    /// Where the sender broke the grammar.
    pub fn errors(&self) -> Vec<String> {
        self.shared.taken().errors.clone()
    }
}

impl Drop for DatagramSink {
    fn drop(&mut self) {
        self.set_stalled(false);
        self.go_down();
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("no holder panics")
    }
}

fn read(socket: UdpSocket, shared: &Shared) -> UdpSocket {
    let mut datagram = vec![0; DATAGRAM_MAX];
    loop {
        if shared.stalled.load(Ordering::Relaxed) {
            thread::sleep(LOOK_EVERY);
            continue;
        }
        match socket.recv(&mut datagram) {
            Ok(length) => take(&datagram[..length], shared),
            // Nothing is left.
            Err(_) if shared.closing.load(Ordering::Relaxed) => return socket,
            Err(_) => {}
        }
    }
}

fn take(datagram: &[u8], shared: &Shared) {
    let mut taken = shared.taken();
    if datagram.ends_with(b"\n") {
        taken.complain("a datagram ends with a line feed".to_owned());
    }
    taken.take(datagram, 0, false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::wait_until;

    const WITHIN: Duration = Duration::from_secs(10);
    /// More than there is room for.
    const TOO_MANY: u32 = 10_000;

    fn send(sink: &DatagramSink, counts: std::ops::Range<u32>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for count in counts {
            let id = format!("gen-00000001-00002-{count:08}");
            let text = format!("<134>1 - h a - m - {{\"event_id\":\"{id}\",\"x\":\"{}\"}}", "x".repeat(500));
            socket.send_to(text.as_bytes(), sink.address()).unwrap();
        }
    }

    #[test]
    fn what_a_stalled_receiver_has_no_room_for_is_counted() {
        let sink = DatagramSink::start();
        sink.set_stalled(true);
        send(&sink, 0..TOO_MANY);
        sink.set_stalled(false);
        wait_until("every datagram is read or dropped", WITHIN, || {
            sink.count() + sink.dropped() == u64::from(TOO_MANY)
        });
        assert!(sink.dropped() > 0);
        assert_eq!((sink.distinct() as u64, sink.errors()), (sink.count(), Vec::new()));
    }

    #[test]
    fn a_receiver_that_comes_back_remembers_what_was_dropped() {
        let mut sink = DatagramSink::start();
        sink.set_stalled(true);
        send(&sink, 0..TOO_MANY);
        sink.set_stalled(false);
        sink.go_down();
        let (count, dropped) = (sink.count(), sink.dropped());
        assert_eq!(count + dropped, u64::from(TOO_MANY));
        send(&sink, 0..10);
        sink.come_up();
        send(&sink, 0..10);
        wait_until("the ten after it came up", WITHIN, || sink.count() == count + 10);
        assert_eq!(sink.dropped(), dropped);
    }
}
