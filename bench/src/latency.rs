//! How long does a lone event take from the write on the socket to its arrival?
//!
//! Method: one event at a time, a pause between, `durability = "fsync"`, receiver on loopback. The promise is a median
//! under 20 ms. Expected: one sync (0.5 to 5 ms on a virtual disk) and three wake-ups (0.1 ms each).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Sequence, event_line};
use scaidrive_tests::hec::Hec;

use crate::say;
use crate::workload::EVENT_SIZE;

pub(crate) fn run() {
    let hec = Hec::counting();
    let mut agent = Agent::with_hec(&hec);
    let mut stream = UnixStream::connect(&agent.config.socket).expect("the agent listens");
    let mut acks = BufReader::new(stream.try_clone().expect("a descriptor can be copied"));
    let mut sequence = Sequence::new(1, 5, 3);
    let (mut arrivals, mut acknowledged) = (Vec::new(), Vec::new());
    for _ in 0..EVENTS {
        std::thread::sleep(PAUSE);
        let before = hec.generated();
        let began = Instant::now();
        let mut line = event_line(sequence.next_key(), EVENT_SIZE);
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        stream.write_all(&line).expect("the agent reads");
        let mut ack = String::new();
        acks.read_line(&mut ack).expect("the agent acknowledges");
        acknowledged.push(began.elapsed());
        while hec.generated() == before {
            assert!(began.elapsed() < Duration::from_secs(10), "an event did not arrive within ten seconds");
            std::thread::sleep(Duration::from_micros(50));
        }
        arrivals.push(began.elapsed());
    }
    agent.stop();
    report("write to acknowledgement", acknowledged);
    report("write to arrival", arrivals);
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |at: usize| times[at].as_secs_f64() * 1e3;
    say(&format!(
        "latency: {what}: median {:.2} ms, 90 % under {:.2} ms, most {:.2} ms, of {EVENTS} lone events",
        ms(times.len() / 2),
        ms(times.len() * 9 / 10),
        ms(times.len() - 1)
    ));
}

const EVENTS: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);
