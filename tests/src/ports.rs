//! Loopback ports for servers that come and go during a test.

use std::fs;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range from which kernels take ports for outgoing connections (32768 and up), so that a port stays free
/// for its server while that is down.
const FIRST: u32 = 11_000;
const COUNT: u32 = 21_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A TCP port on 127.0.0.1 that nobody listens on and that this process has not handed out before.
///
/// # Panics
/// When the whole range is taken.
pub fn free_port() -> u16 {
    for _ in 0..COUNT {
        // Processes start at different places, so tests that run at the same time seldom meet.
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let candidate = FIRST + (process::id().wrapping_mul(7_919).wrapping_add(step)) % COUNT;
        let port = u16::try_from(candidate).expect("the range ends below 65536");
        if !is_listened_on(port) {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// True when somebody listens on the TCP `port` of any address. Asks the kernel: a socket to try with would be held open by
/// whatever another test's thread starts at that moment.
fn is_listened_on(port: u16) -> bool {
    let local = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().any(|list| {
        fs::read_to_string(list).unwrap_or_default().lines().any(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (here, state) = (fields.next(), fields.nth(1));
            here.is_some_and(|here| here.ends_with(&local)) && state == Some(LISTENS)
        })
    })
}

/// As the kernel's list has the state of a socket that listens.
const LISTENS: &str = "0A";

/// True when a program receives datagrams on `port` of 127.0.0.1. Asks the kernel, because a datagram gets no answer.
pub fn is_udp_open(port: u16) -> bool {
    udp_socket(port).is_some()
}

/// How many datagrams the kernel has dropped at the socket on `port` of 127.0.0.1, because it had no room for them.
///
/// # Panics
/// When there is no such socket.
pub fn udp_drops(port: u16) -> u64 {
    let line = udp_socket(port).expect("the caller holds the socket");
    let drops = line.split_ascii_whitespace().last().and_then(|drops| drops.parse().ok());
    drops.expect("the line ends with the number of drops")
}

/// The line of the socket on `port` of 127.0.0.1 in the kernel's list.
fn udp_socket(port: u16) -> Option<String> {
    let sockets = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    // The address is written as the machine holds it, so little-endian machines show it reversed.
    let local = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let mut lines = sockets.lines();
    lines.find(|line| line.split_ascii_whitespace().nth(1) == Some(local.as_str())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_port_that_somebody_listens_on_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(is_listened_on(listener.local_addr().unwrap().port()));
        assert!(!is_listened_on(0));
    }

    #[test]
    fn an_open_datagram_port_is_seen() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(is_udp_open(port));
    }
}
