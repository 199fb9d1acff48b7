//! The least a program has to do with an event: read it from a socket, parse it with serde_json
//! (whole, but without building anything), checksum it, copy it
//! into a mapping, write it out. One thread, no durability, no filters, no numbers, no retries.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use memmap2::MmapMut;
use serde_json::value::RawValue;

use crate::workload;

/// Processor time the naive loop needs for `events` events, and how many there were.
pub(crate) fn cost(events: usize) -> (Duration, usize) {
    let (mut near, far) = UnixStream::pair().expect("sockets can be made");
    let (mut out, mut drain) = UnixStream::pair().expect("sockets can be made");
    let (block, in_block) = workload::block();
    let blocks = events.div_ceil(in_block);
    let writer = thread::spawn(move || {
        for _ in 0..blocks {
            near.write_all(&block).expect("the loop reads");
        }
    });
    let drainer = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while drain.read(&mut buffer).expect("the loop writes") > 0 {}
    });
    let worker = thread::spawn(move || {
        let before = thread_time();
        let count = pass_on(far, &mut out);
        (thread_time() - before, count)
    });
    let result = worker.join().expect("the loop does not panic");
    writer.join().expect("the writer does not panic");
    drainer.join().expect("the drainer does not panic");
    result
}

fn pass_on(mut input: UnixStream, out: &mut UnixStream) -> usize {
    let file = tempfile::tempfile().expect("a file can be made");
    file.set_len(MAPPING as u64).expect("the file can grow");
    // SAFETY: nobody else has the file.
    let mut mapping = unsafe { MmapMut::map_mut(&file) }.expect("the file can be mapped");
    let (mut buffer, mut held, mut at, mut count) = (vec![0; 1 << 18], 0, 0, 0);
    let mut sum = 0u32;
    loop {
        let read = input.read(&mut buffer[held..]).expect("the writer writes");
        if read == 0 {
            std::hint::black_box(sum);
            return count;
        }
        held += read;
        let mut start = 0;
        while let Some(length) = buffer[start..held].iter().position(|byte| *byte == b'\n') {
            let line = &buffer[start..start + length];
            let event: &RawValue = serde_json::from_slice(line).expect("events are JSON");
            std::hint::black_box(event);
            sum ^= crc32fast::hash(line);
            if at + line.len() > MAPPING {
                at = 0;
            }
            mapping[at..at + line.len()].copy_from_slice(line);
            at += line.len();
            count += 1;
            start += length + 1;
        }
        out.write_all(&buffer[..start]).expect("the drainer reads");
        buffer.copy_within(start..held, 0);
        held -= start;
    }
}

fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local of the right type, and the call keeps nothing.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Bytes of the mapping, written round and round.
const MAPPING: usize = 64 << 20;
