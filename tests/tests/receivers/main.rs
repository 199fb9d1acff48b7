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
use std::time::Duration;

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::arrival::Arrivals;
use scaidrive_tests::generator::{Key, Ledger, Producer, Workload, event_line};
use scaidrive_tests::oracle::{Report, compare};
use scaidrive_tests::scenario::{PATIENCE, write};
use scaidrive_tests::wait::wait_until;

const EVENTS: u64 = 5_000;
const DATAGRAMS_AT_ONCE: u32 = 20;
/// Rounds of datagrams from the agent, and events in each.
const ROUNDS: u32 = 10;
const ROUND: u64 = 50;
/// Between each 64 events that are written while a receiver is restarted: plain syslog sends much of it again each time.
const SLOW_FLOW: Duration = Duration::from_millis(250);
/// The same for RELP, which does not.
const FAST_FLOW: Duration = Duration::from_millis(20);

fn workload() -> Workload {
    Workload::new(1, 50, EVENTS)
}

#[track_caller]
fn assert_all_here_once_and_in_order(ledger: &Ledger, arrivals: &Arrivals) {
    let report = compare(ledger, arrivals);
    report.assert_exactly_once();
    report.assert_ordered();
}

/// Writes [`ROUNDS`] rounds to an agent with a destination over UDP, each when the one before `has_arrived`: what overflows
/// a receiver's socket is lost without a word, and a round is far below that.
#[track_caller]
fn write_in_rounds(agent: &Agent, have_arrived: impl Fn() -> usize) -> Ledger {
    let mut ledger = Ledger::default();
    for run in 1..=ROUNDS {
        ledger.merge(write(agent, Workload::new(run, 20, ROUND)));
        wait_until("the round arrives", PATIENCE, || have_arrived() == ledger.acked.len());
    }
    ledger
}

/// A receiver that is ended and started again.
trait Restarts {
    /// How many messages it has written since its first start.
    fn count(&self) -> u64;
    /// Ends it in order.
    fn stop(&mut self);
    /// Ends it by SIGKILL.
    fn kill(&mut self);
    fn come_up(&mut self);
    fn arrivals(&self) -> Arrivals;
    fn wait_distinct(&self, count: usize);
}

/// Writes to the agent, with a `pause` after each 64 events, while its receiver is restarted so many times, every other time
/// by SIGKILL. Everything is there in the end and has one number; what came again is reported. Returns that, and how many
/// messages the receiver had written when it was started last.
///
/// Nothing waits in the receivers as they are set up here, so *taken in* is *written to the file*. What may be lost with
/// a receiver is what its kernel has acknowledged and its program has not read, and in a kill also what it has read and not
/// written. Plain syslog sends all of that again, because its cursor trails by far more than either; over RELP it has no
/// answer and goes again.
#[track_caller]
fn survives_restarts(
    name: &str,
    agent: &Agent,
    receiver: &mut impl Restarts,
    restarts: u32,
    pause: Duration,
) -> (Report, u64) {
    let workload = Workload { pause, ..Workload::new(1, 50, u64::MAX) };
    let producer = Producer::start(&agent.config.socket, workload);
    let mut at_last_start = 0;
    for round in 0..=restarts {
        wait_until("more messages are written", PATIENCE, || receiver.count() > at_last_start + ROUND);
        match round {
            _ if round == restarts => break,
            even if even % 2 == 0 => receiver.stop(),
            _ => receiver.kill(),
        }
        at_last_start = receiver.count();
        receiver.come_up();
    }
    producer.stop();
    let ledger = producer.finish(PATIENCE);
    receiver.wait_distinct(ledger.acked.len());
    let report = compare(&ledger, &receiver.arrivals());
    let (events, again) = (ledger.acked.len(), report.duplicates.len());
    // Straight to the descriptor: the harness captures what the print macros write.
    let line = format!("{name}: {restarts} restarts, {events} events, none lost, {again} came again\n");
    report.assert_nothing_lost();
    report.assert_contiguous();
    report.assert_ordered();
    assert!(report.duplicates.iter().all(|duplicate| duplicate.same_number), "an event came with two numbers");
    let _ = std::io::stderr().write_all(line.as_bytes());
    (report, at_last_start)
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
