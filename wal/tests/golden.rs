//! The on-disk format, byte by byte: what is written today is what the golden files hold, and a log of
//! golden files opens.
//!
//! `SCAIDRIVE_BLESS=1` writes the files anew. A change of the format needs a new version number and new
//! files beside the old ones, which must still open.

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use common::{Driven, seq, small};
use scaidrive_wal::sim::SimDisk;
use scaidrive_wal::{CursorKey, Disk, LogTime};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A small log of two segments, closed in order, with one cursor.
fn sample() -> SimDisk {
    let disk = SimDisk::new(1);
    let (mut log, _) = Driven::open(Arc::new(disk.clone()), small());
    log.now = LogTime::from_ms(1_000);
    log.append(br#"{"event_id":"1"}"#);
    log.append(b"");
    log.sync();
    log.now = log.now.plus(small().window_ms / 4);
    log.log.tick(log.now);
    log.log.tick(log.now);
    log.sync();
    log.log.tick(log.now);
    log.sync();
    log.keep();
    log.append(br#"{"event_id":"2"}"#);
    log.log.write_cursors(&[(CursorKey(*b"0123456789abcdef"), b"cursor body")]).unwrap();
    log.keep();
    log.sync();
    let now = log.now;
    let Driven { log, syncer, .. } = log;
    let closing = log.close(now);
    let job = syncer.begin().unwrap();
    let result = job.execute();
    syncer.finish(job, result);
    assert!(closing.is_done());
    disk
}

fn files(disk: &SimDisk) -> Vec<String> {
    let files = disk.list().unwrap().into_iter().map(|file| file.name);
    files.filter(|name| !name.starts_with("spare")).collect()
}

/// Without the zeros at its end, which are many.
fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used);
    bytes
}

#[test]
fn what_is_written_today_is_what_the_golden_files_hold() {
    let disk = sample();
    let names = files(&disk);
    assert_eq!(names, ["00000000000000000001.seg", "00000000000000000004.seg", "cursors"]);
    for name in names {
        let bytes = trimmed(disk.contents(&name).unwrap());
        let path = golden(&format!("{name}.v1.bin"));
        if std::env::var("SCAIDRIVE_BLESS").is_ok() {
            std::fs::write(&path, &bytes).unwrap();
        }
        let expected = std::fs::read(&path).unwrap();
        let differs = expected.iter().zip(&bytes).position(|(a, b)| a != b);
        assert_eq!((bytes.len(), differs), (expected.len(), None), "{name}");
    }
}

#[test]
fn golden_files_open() {
    let disk = SimDisk::new(1);
    let written = sample();
    for name in files(&written) {
        let mut bytes = std::fs::read(golden(&format!("{name}.v1.bin"))).unwrap();
        bytes.resize(written.contents(&name).unwrap().len(), 0);
        disk.put(&name, &bytes);
    }
    let (mut log, opened) = Driven::open(Arc::new(disk), small());
    assert!(opened.was_clean);
    assert_eq!((opened.first, opened.damage.len()), (seq(1), 0));
    let (records, missing) = log.read_all(seq(1));
    assert_eq!(missing, []);
    let payloads: Vec<&[u8]> = records.iter().map(|record| record.payload()).collect();
    assert_eq!(payloads, [&br#"{"event_id":"1"}"#[..], b"", br#"{"event_id":"2"}"#]);
    let cursors: Vec<_> = log.log.cursors().map(|(key, body)| (key, body.to_vec())).collect();
    assert_eq!(cursors, [(CursorKey(*b"0123456789abcdef"), b"cursor body".to_vec())]);
}

#[test]
fn a_header_and_a_record_lie_where_the_table_says() {
    let disk = sample();
    let bytes = disk.contents("00000000000000000001.seg").unwrap();
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(&bytes[..8], b"SCDRVLOG");
    assert_eq!((u32_at(8), u64_at(16), u64_at(24), u32_at(48)), (1, 1, 1, 32 << 10));
    let salt = &bytes[40..48];
    let at = 4096;
    let len = u32_at(at + 4) as usize;
    assert_eq!(len, 56 + 5 + 16);
    assert_eq!((u64_at(at + 8), u64_at(at + 16), u64_at(at + 24)), (1, 1, 1_000));
    assert_eq!(&bytes[at + 56..at + 61], b"index");
    let mut sum = crc32fast::Hasher::new();
    sum.update(salt);
    sum.update(&bytes[at + 4..at + len]);
    assert_eq!(u32_at(at), sum.finalize());
    let footer = bytes.len() - 8192;
    assert_eq!(&bytes[footer..footer + 8], b"SCDRVEND");
}
