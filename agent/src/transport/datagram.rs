//! Syslog over UDP (RFC 5426): one message, one datagram, and no answer ever.
//!
//! A datagram is *sent* when the local kernel took it; no more can be known, and no more is claimed. A send practically
//! never blocks, so this is a plain non-blocking socket that no runtime watches: should the kernel's buffer be full, a
//! short sleep stands between two tries. The simulation has no datagrams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;

use crate::runtime::Runtime;
use crate::time::Millis;
use crate::transport::connect::look_up;
use crate::transport::{Endpoint, FailureKind, Stage, TransportError, kind_of};

/// A socket whose datagrams go to one receiver.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    peer: String,
}

/// Why a datagram was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatagramError {
    /// It is longer than the way there allows (`EMSGSIZE`).
    TooLong {
        /// In plain words.
        why: String,
    },
    /// Anything else.
    Failed(TransportError),
}

impl DatagramSocket {
    /// A socket to the first address of `endpoint`. Nothing is sent, so this says nothing about the receiver.
    ///
    /// # Errors
    /// When the name has no address, or the kernel has no socket or no route.
    pub async fn open(runtime: &Rc<dyn Runtime>, endpoint: &Endpoint) -> Result<DatagramSocket, TransportError> {
        let addresses = look_up(runtime, endpoint, runtime.now().plus(endpoint.connect_timeout)).await?;
        let mut last = None;
        for address in addresses {
            match connected(address) {
                Ok(socket) => return Ok(DatagramSocket { socket, peer: format!("{endpoint} ({address})") }),
                Err(error) => last = Some((address, error)),
            }
        }
        Err(match last {
            Some((address, error)) => {
                TransportError::of_io(Stage::Connect, &format!("cannot send to {endpoint} ({address})"), &error)
            }
            None => {
                let what = format!("{} has no address", endpoint.host);
                TransportError::new(Stage::Resolve, FailureKind::Unreachable, what)
            }
        })
    }

    /// Sends one datagram. When the kernel has no room for `timeout` it is given up.
    ///
    /// # Errors
    /// See [`DatagramError`]. After the kind `Unreachable` nobody listened when something was sent before (ICMP); this
    /// datagram has not been sent then.
    pub async fn send(&self, runtime: &Rc<dyn Runtime>, datagram: &[u8], timeout: Millis) -> Result<(), DatagramError> {
        let deadline = runtime.now().plus(timeout);
        loop {
            let error = match self.socket.send(datagram) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock if runtime.now() < deadline => runtime.sleep(FULL_WAIT).await,
                _ if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    let why = format!(
                        "a datagram of {} bytes is too long for the way to {}; set max_len lower",
                        datagram.len(),
                        self.peer
                    );
                    return Err(DatagramError::TooLong { why });
                }
                _ => return Err(DatagramError::Failed(self.failed(&error))),
            }
        }
    }

    /// What the kernel has learned since the last send: that nobody listens at the other end, or that there is no way.
    /// What was sent since then is probably lost.
    pub fn refusal(&self) -> Option<TransportError> {
        let error = self.socket.take_error().ok().flatten()?;
        Some(self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> TransportError {
        let what = match (error.kind(), kind_of(error)) {
            (io::ErrorKind::WouldBlock, _) => {
                let what = format!("no room to send to {}", self.peer);
                return TransportError::new(Stage::Write, FailureKind::TimedOut, what);
            }
            (io::ErrorKind::ConnectionRefused, _) => {
                format!("nobody listens at {}: what was sent last is lost", self.peer)
            }
            _ => format!("cannot send to {}: {error}", self.peer),
        };
        TransportError::new(Stage::Write, kind_of(error), what)
    }
}

fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Between two tries while the kernel's buffer is full.
const FULL_WAIT: Millis = Millis(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tests::on_each_side;
    use crate::transport::testbed::endpoint;

    const PATIENT: Millis = Millis::from_secs(20);

    #[test]
    fn each_message_is_one_datagram() {
        on_each_side(|runtime| async move {
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            let socket = DatagramSocket::open(&runtime, &endpoint(receiver.local_addr().unwrap())).await.unwrap();
            for message in [&b"one"[..], b"", b"three"] {
                socket.send(&runtime, message, PATIENT).await.unwrap();
                let mut got = [0; 100];
                let size = receiver.recv(&mut got).unwrap();
                assert_eq!(&got[..size], message);
            }
            assert_eq!(socket.refusal(), None);
        });
    }

    #[test]
    fn connectors_7_4_a_refused_datagram_is_known_after_it_was_sent() {
        on_each_side(|runtime| async move {
            let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let socket = DatagramSocket::open(&runtime, &endpoint(free)).await.unwrap();
            socket.send(&runtime, b"lost", PATIENT).await.unwrap();
            runtime.sleep(Millis(50)).await;
            let refusal = socket.refusal().unwrap();
            assert_eq!((refusal.stage, refusal.kind), (Stage::Write, FailureKind::Unreachable), "{refusal}");
            assert!(refusal.what.contains("nobody listens"), "{refusal}");
            // It is said once; the next datagram may find a receiver.
            assert_eq!(socket.refusal(), None);
        });
    }

    #[test]
    fn connectors_7_4_a_datagram_that_no_network_takes_is_named_with_its_length() {
        on_each_side(|runtime| async move {
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            let socket = DatagramSocket::open(&runtime, &endpoint(receiver.local_addr().unwrap())).await.unwrap();
            let Err(DatagramError::TooLong { why }) = socket.send(&runtime, &[b'x'; 65_508], PATIENT).await else {
                panic!("65,508 bytes do not fit into a datagram")
            };
            assert!(why.contains("65508 bytes") && why.contains("max_len"), "{why}");
            socket.send(&runtime, b"short", PATIENT).await.unwrap();
        });
    }

    #[test]
    fn a_name_without_an_address_is_named() {
        on_each_side(|runtime| async move {
            let nowhere = Endpoint { host: "no such host.invalid".into(), ..endpoint("127.0.0.1:1".parse().unwrap()) };
            let error = DatagramSocket::open(&runtime, &nowhere).await.err().unwrap();
            assert_eq!((error.stage, error.kind), (Stage::Resolve, FailureKind::Unreachable));
        });
    }
}
