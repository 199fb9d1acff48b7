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
    let mut appending = Duration::ZERO;
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
        appending += started.elapsed();
        appended += burst;
    }
    if let Some(job) = syncer.begin() {
        let result = job.execute();
        syncer.finish(job, result);
    }
    let mut position = Position::at(first);
    let (mut reading, mut read, mut bytes) = (Duration::ZERO, 0, 0);
    loop {
        while keeper.step() {}
        let started = Instant::now();
        let mut outcome = Read::End;
        for _ in 0..1_000 {
            outcome = log.read(&mut position, Seq::from_raw(u64::MAX));
            let Read::Record(record) = &outcome else { break };
            bytes += record.payload().len();
            read += 1;
        }
        reading += started.elapsed();
        if matches!(outcome, Read::End) {
            break;
        }
    }
    println!("{:.0} ns for an append", appending.as_nanos() as f64 / appended as f64);
    println!("{:.0} ns for a read ({read} records, {bytes} bytes)", reading.as_nanos() as f64 / read as f64);
    Ok(())
}
