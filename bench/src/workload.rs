//! Events for the scenarios: made once, written again and again, so that making them costs the run nothing.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use scaidrive_tests::generator::{Sequence, write_event};

/// Bytes of an event.
pub(crate) const EVENT_SIZE: usize = 600;
const TENANTS: u32 = 500;
/// Events in a block: written with one call.
const BLOCK: usize = 400;

/// A block of different events, one a line.
pub(crate) fn block() -> (Vec<u8>, usize) {
    let mut sequence = Sequence::new(1, TENANTS, 7);
    let mut bytes = Vec::new();
    for _ in 0..BLOCK {
        write_event(sequence.next_key(), EVENT_SIZE, &mut bytes);
        if bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
    }
    (bytes, BLOCK)
}

/// Writes at least `events` events to the agent's socket and waits until all are acknowledged. Returns how many.
pub(crate) fn write_all(socket: &Path, events: usize) -> usize {
    let stream = UnixStream::connect(socket).expect("the agent listens");
    let (block, in_block) = block();
    let blocks = events.div_ceil(in_block);
    let total = blocks * in_block;
    let acks = BufReader::new(stream.try_clone().expect("a descriptor can be copied"));
    let reader = thread::spawn(move || {
        for line in acks.lines() {
            let line = line.expect("the agent stays");
            let ack: serde_json::Value = serde_json::from_str(&line).expect("acks are JSON");
            assert!(ack.get("refused").is_none(), "refused: {line}");
            if ack["acked"].as_u64() >= Some(total as u64) {
                return;
            }
        }
        panic!("the agent closed the connection before it acknowledged everything");
    });
    let mut stream = stream;
    for _ in 0..blocks {
        stream.write_all(&block).expect("the agent reads");
    }
    reader.join().expect("everything was acknowledged");
    total
}
