//! Any bytes as a segment file: opening and reading them must not panic, must come to an end, and must
//! never give a record that nobody wrote.
//!
//! The input is laid over a real log: four bytes say where, the rest is what. A last byte chooses
//! whether the input is the whole file instead.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use scaidrive_wal::sim::SimDisk;
use scaidrive_wal::{
    Budget, ByteCount, Keeper, Log, LogTime, NewRecord, Options, Position, Read, Seq, Syncer, WallTime,
};

const NAME: &str = "00000000000000000001.seg";
const RECORDS: u64 = 12;

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_last() else { return };
    let mut bytes = written();
    if mode & 1 == 1 {
        bytes = rest.to_vec();
    } else if let Some((at, patch)) = rest.split_first_chunk::<4>() {
        let at = u32::from_le_bytes(*at) as usize % bytes.len();
        let end = (at + patch.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&patch[..end - at]);
    }
    let disk = SimDisk::new(1);
    disk.put(NAME, &bytes);
    // The second opening meets what the first one made of it.
    for _ in 0..2 {
        let (mut log, _, mut keeper) = open(&disk);
        let mut position = Position::at(Seq::FIRST);
        loop {
            match log.read(&mut position, Seq::from_raw(u64::MAX)) {
                Read::Record(record) => {
                    assert_eq!(record.payload(), payload(record.seq().get()), "a false record");
                }
                Read::Wait => assert!(keeper.step(), "waits for nothing"),
                Read::End => break,
                Read::Damage { .. } | Read::Trimmed { .. } => {}
            }
        }
        drop(log);
        disk.kill();
    }
});

fn payload(number: u64) -> Vec<u8> {
    vec![number as u8; 100 * number as usize]
}

fn open(disk: &SimDisk) -> (Log, Syncer, Keeper) {
    let options = Options {
        segment_size: 32 << 10,
        min_free: ByteCount::new(0),
        min_free_percent: 0,
        ..Options::default()
    };
    let disk = Arc::new(disk.clone());
    let mut salt = || 0x5ca1_ab1e;
    let opened = Log::open(disk, options, Budget::new(9), WallTime::from_ms(0), &mut salt);
    let (mut log, _) = opened.expect("damaged content never keeps a log from opening");
    let (syncer, keeper) = log.helpers();
    (log, syncer, keeper)
}

/// A sound segment.
fn written() -> Vec<u8> {
    let disk = SimDisk::new(1);
    let (mut log, syncer, _) = open(&disk);
    for number in 1..=RECORDS {
        let payload = payload(number);
        let record = NewRecord {
            wall: WallTime::from_ms(0),
            tenant_hash: 0,
            flags: 0,
            index: &[],
            payload: &payload,
        };
        log.append(&record, LogTime::from_ms(0)).expect("there is room");
    }
    let job = syncer.begin().expect("records wait");
    let result = job.execute();
    syncer.finish(job, result);
    disk.contents(NAME).expect("the sync gave it its name")
}
