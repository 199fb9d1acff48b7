//! What one append and one read cost, in nanoseconds, with 700-byte records on a real disk.
//!
//! Expected before measuring: a checksum and a copy of 770 bytes at some 10 GB/s each, and a few dozen
//! nanoseconds around them: 200 ns for an append, 100 ns for a read.
//! `cargo run --release -p scaidrive-wal --example append_cost [directory]`
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use scaidrive_wal::{
    AppendError, Budget, Log, LogTime, MappedDisk, NewRecord, OpenError, Options, Position, Read, Seq, WallTime,
};

const RECORDS: u64 = 200_000;

fn main() -> Result<(), OpenError> {
    let given = std::env::args().nth(1).map(std::path::PathBuf::from);
    let path = given.unwrap_or_else(|| std::env::temp_dir().join("append-cost"));
    let disk = Arc::new(MappedDisk::open(&path)?);
    let mut salt = || 42;
    let budget = Budget::new(64);
    let (mut log, _) = Log::open(disk, Options::default(), budget, WallTime::default(), &mut salt)?;
    let (syncer, mut keeper) = log.helpers();
    let index = [1; 60];
    let payload = [2; 700];
    let record = NewRecord { wall: WallTime::default(), tenant_hash: 1, flags: 0, index: &index, payload: &payload };
    let first = log.next_seq();
    let mut appending = Vec::new();
    let mut appended = 0;
    while appended < RECORDS {
        // The helpers' work is done between the bursts, so that only the appends are counted.
        while keeper.step() {}
        let started = Instant::now();
        let mut burst = 0;
        while burst < 1_000 {
            match log.append(&record, LogTime::default()) {
                Ok(_) => burst += 1,
                Err(AppendError::WaitForKeeper) => break,
                Err(error) => panic!("{error}"),
            }
        }
        appending.extend(per_call(started.elapsed(), burst));
        appended += burst;
    }
    if let Some(job) = syncer.begin() {
        let result = job.execute();
        syncer.finish(job, result);
    }
    let mut position = Position::at(first);
    let (mut reading, mut read, mut bytes) = (Vec::new(), 0, 0);
    loop {
        while keeper.step() {}
        let started = Instant::now();
        let (before, mut outcome) = (read, Read::End);
        for _ in 0..1_000 {
            outcome = log.read(&mut position, Seq::from_raw(u64::MAX));
            let Read::Record(record) = &outcome else { break };
            bytes += record.payload().len();
            read += 1;
        }
        reading.extend(per_call(started.elapsed(), read - before));
        if matches!(outcome, Read::End) {
            break;
        }
    }
    println!("{} ns for an append", median(appending));
    println!("{} ns for a read ({read} records, {bytes} bytes)", median(reading));
    Ok(())
}

/// Nanoseconds of one of `calls` calls; nothing for a burst that was cut short.
fn per_call(all: Duration, calls: u64) -> Option<u128> {
    (calls == 1_000).then_some(all.as_nanos() / 1_000)
}

/// The middle one: a machine that does other things at the same time spoils some bursts.
fn median(mut bursts: Vec<u128>) -> u128 {
    bursts.sort_unstable();
    bursts.get(bursts.len() / 2).copied().unwrap_or(0)
}
