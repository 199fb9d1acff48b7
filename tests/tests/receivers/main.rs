//! The agent against receivers that no one here wrote, and those receivers by themselves.
//!
//! One file per receiver, one test per check: `tests/receivers/run` installs the receivers, runs these tests and prints
//! them as a table with a row for each. The tests named `by_itself_…` use no agent: they show that a receiver, as it is
//! set up here, keeps, refuses and counts in the way on which the other tests rely.

mod opensearch;
mod otelcol;
mod rsyslog;
mod syslog_ng;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, UdpSocket};

use scaidrive_tests::arrival::Arrivals;
use scaidrive_tests::generator::{Key, Ledger, Workload, event_line};
use scaidrive_tests::oracle::compare;
use scaidrive_tests::scenario::PATIENCE;
use scaidrive_tests::wait::wait_until;

const EVENTS: u64 = 5_000;
const DATAGRAMS_AT_ONCE: u32 = 20;

fn workload() -> Workload {
    Workload::new(1, 50, EVENTS)
}

#[track_caller]
fn assert_all_here_once_and_in_order(ledger: &Ledger, arrivals: &Arrivals) {
    let report = compare(ledger, arrivals);
    report.assert_exactly_once();
    report.assert_ordered();
}

/// A generated event as a syslog message (RFC 5424), with `n` as its number in a stream.
fn message(n: u32) -> String {
    let event = event_line(Key { run: 1, tenant: 1, count: n }, 600);
    let event = String::from_utf8(event).expect("events are JSON");
    format!("<134>1 2026-05-12T14:23:01.453Z host agent - test [siem@32473 node=\"a\" stream=\"s\" n=\"{n}\"] {event}")
}

/// Writes the messages `1..=count`, each behind its length (RFC 6587, section 3.4.1).
fn write_counted(stream: &mut impl Write, count: u32) -> std::io::Result<()> {
    for n in 1..=count {
        let message = message(n);
        write!(stream, "{} {message}", message.len())?;
    }
    stream.flush()
}

/// Sends the messages `1..=count`, each as a datagram. Waits every so often until as many `have_arrived`, because a kernel
/// drops what a busy receiver has not read.
#[track_caller]
fn send_datagrams(address: SocketAddr, count: u32, have_arrived: impl Fn() -> usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    for n in 1..=count {
        socket.send_to(message(n).as_bytes(), address).expect("loopback takes a datagram");
        if n % DATAGRAMS_AT_ONCE == 0 || n == count {
            wait_until(&format!("{n} datagrams have arrived"), PATIENCE, || have_arrived() == n as usize);
        }
    }
}

/// Sends the messages `1..=count` over RELP (the librelp protocol specification, version 1) and waits for each answer.
///
/// # Errors
/// When the connection ends early or an answer is not 200.
fn send_relp(stream: impl Read + Write, count: u32) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let offer = "relp_version=1\nrelp_software=receiver tests\ncommands=syslog";
    exchange_relp(&mut stream, 1, "open", offer)?;
    for n in 1..=count {
        exchange_relp(&mut stream, n + 1, "syslog", &message(n))?;
    }
    stream.get_mut().write_all(format!("{} close 0\n", count + 2).as_bytes())?;
    stream.get_mut().flush()
}

fn exchange_relp(
    stream: &mut BufReader<impl Read + Write>,
    transaction: u32,
    command: &str,
    data: &str,
) -> std::io::Result<()> {
    stream.get_mut().write_all(format!("{transaction} {command} {} {data}\n", data.len()).as_bytes())?;
    stream.get_mut().flush()?;
    // TXNR SP "rsp" SP DATALEN SP DATA LF
    let mut header = [Vec::new(), Vec::new(), Vec::new()];
    for field in &mut header {
        stream.read_until(b' ', field)?;
        field.pop();
    }
    let [answered, _, length] = header.map(|field| String::from_utf8_lossy(&field).into_owned());
    let length: usize = length.parse().map_err(std::io::Error::other)?;
    let mut answer = vec![0; length + 1];
    stream.read_exact(&mut answer)?;
    if answered == transaction.to_string() && answer.starts_with(b"200 ") {
        return Ok(());
    }
    Err(std::io::Error::other(format!("{command}: {}", String::from_utf8_lossy(&answer))))
}
