//! What only the real disk can show: real mappings, real signals, real threads.

mod common;

use std::fs::OpenOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Driven, seq, small};
use scaidrive_wal::inspect::{Export, Follow, segments};
use scaidrive_wal::{
    AppendError, Budget, Durability, Log, LogTime, MappedDisk, NewRecord, Options, Position, Read, Seq, WallTime,
    install_sigbus_handler,
};

fn open(path: &std::path::Path, options: Options) -> Driven {
    Driven::open(Arc::new(MappedDisk::open(path).unwrap()), options).0
}

#[test]
fn a_pinned_segment_is_never_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(MappedDisk::open(dir.path()).unwrap());
    // Two segments and no more: a file that is given back is the next spare.
    let (mut log, _) = Driven::open_with(disk, small(), Budget::new(2), 3);
    log.append(&[b'a'; 20_000]);
    log.append(&[b'b'; 20_000]);
    log.sync();
    log.keep();
    let (mut records, _) = log.read_all(Seq::FIRST);
    let pinned = records.remove(0);
    drop(records);
    assert_eq!(pinned.seq(), seq(1));
    log.log.trim(seq(2));
    log.keep();
    for _ in 0..6 {
        log.append(&[b'c'; 20_000]);
        log.sync();
        log.keep();
        let end = log.log.ack_end();
        log.log.trim(end);
        log.keep();
    }
    assert!(pinned.payload().iter().all(|byte| *byte == b'a'));
}

#[test]
fn an_unpinned_segment_is_recycled_instead_of_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(MappedDisk::open(dir.path()).unwrap());
    let (mut log, _) = Driven::open_with(disk, small(), Budget::new(2), 3);
    for at in 1..=10 {
        assert_eq!(log.append(&[b'a'; 20_000]), seq(at));
        log.sync();
        log.keep();
        log.log.trim(log.log.ack_end());
        log.keep();
    }
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(files <= 2, "{files}");
}

#[test]
fn a_file_cut_short_under_the_mapping_costs_records_and_not_the_process() {
    install_sigbus_handler();
    install_sigbus_handler();
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), small());
    for _ in 0..3 {
        log.append(&[b'a'; 3_000]);
    }
    log.sync();
    let acked = log.log.ack_end();
    log.append(&[b'b'; 3_000]);
    // Somebody cuts the file behind the header and the first record.
    let path = dir.path().join("00000000000000000001.seg");
    OpenOptions::new().write(true).open(&path).unwrap().set_len(8192).unwrap();
    assert!(matches!(log.try_append(&[b'c'; 3_000]), Err(AppendError::WaitForKeeper)));
    for _ in 0..10 {
        log.keep();
        log.log.tick(log.now);
    }
    let failure = log.log.take_failure().expect("the page turned bad");
    assert_eq!(failure.rescued, acked..seq(5));
    assert_eq!(failure.lost, [acked..seq(5)]);
    // The number of what was lost is not used again, and the log goes on.
    let number = log.append(&[b'd'; 3_000]);
    assert!(number >= seq(5));
    assert!(log.sync());
    assert!(log.log.ack_end() > number);
    let (records, missing) = log.read_all(Seq::FIRST);
    assert_eq!(records.last().map(|record| record.seq()), Some(number));
    assert!(missing.iter().all(|range| range.end <= acked), "{missing:?}");
    drop(records);
    drop(log);
    let (mut log, _) = Driven::open(Arc::new(MappedDisk::open(dir.path()).unwrap()), small());
    let (records, _) = log.read_all(Seq::FIRST);
    assert_eq!(records.last().map(|record| record.seq()), Some(number));
}

#[test]
fn a_sealed_segment_cut_short_is_damage_for_its_readers() {
    install_sigbus_handler();
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), small());
    log.append(&[b'a'; 10_000]);
    log.append(&[b'a'; 9_000]);
    log.append(&[b'b'; 20_000]);
    log.sync();
    log.keep();
    let path = dir.path().join("00000000000000000001.seg");
    OpenOptions::new().write(true).open(&path).unwrap().set_len(8192).unwrap();
    let (records, missing) = log.read_all(Seq::FIRST);
    let found: Vec<Seq> = records.iter().map(|record| record.seq()).collect();
    assert_eq!(found, [seq(3)]);
    assert_eq!(missing, [seq(1)..seq(3)]);
}

/// Runs a log with real threads until `count` records are acknowledged and read.
fn threaded(options: Options, count: u64) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(MappedDisk::open(dir.path()).unwrap());
    let mut entropy = || 11;
    let (mut log, _) =
        Log::open(disk.clone(), options.clone(), Budget::new(100), WallTime::from_ms(0), &mut entropy).unwrap();
    let (syncer, keeper) = log.helpers();
    let wakes = Arc::new(AtomicUsize::new(0));
    let shard = std::thread::current();
    let counted = wakes.clone();
    log.set_waker(Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        shard.unpark();
    }));
    let threads = [std::thread::spawn(move || syncer.run()), std::thread::spawn(move || keeper.run())];
    let started = Instant::now();
    let mut position = Position::at(Seq::FIRST);
    let (mut appended, mut read) = (0, 0);
    let payload = [b'p'; 700];
    while read < count {
        assert!(started.elapsed() < Duration::from_secs(60), "appended {appended}, read {read}");
        log.rearm_waker();
        let now = LogTime::from_ms(started.elapsed().as_millis() as u64);
        log.tick(now);
        let mut progressed = false;
        for _ in 0..50 {
            if appended == count {
                break;
            }
            let record =
                NewRecord { wall: WallTime::from_ms(0), tenant_hash: 0, flags: 0, index: &[], payload: &payload };
            match log.append(&record, now) {
                Ok(_) => appended += 1,
                Err(AppendError::WaitForKeeper) => break,
                Err(error) => panic!("{error}"),
            }
            progressed = true;
        }
        log.request_sync();
        while let Read::Record(record) = log.read(&mut position, Seq::from_raw(u64::MAX)) {
            assert_eq!(record.payload(), payload);
            read += 1;
            progressed = true;
        }
        if !progressed {
            std::thread::park_timeout(Duration::from_secs(1));
        }
    }
    assert!(wakes.load(Ordering::Relaxed) > 0);
    let closing = log.close(LogTime::from_ms(0));
    assert!(closing.wait(Duration::from_secs(5)));
    for thread in threads {
        thread.join().unwrap();
    }
    let (mut log, opened) = Driven::open(disk, options);
    assert!(opened.was_clean);
    assert_eq!(log.read_seqs().len() as u64, count);
}

#[test]
fn threads_append_sync_read_and_close() {
    let options = Options { segment_size: 1 << 20, ..small() };
    threaded(options, 20_000);
}

#[test]
fn threads_in_the_weaker_modes_do_the_same() {
    for durability in [Durability::Interval { every_ms: 20 }, Durability::Os] {
        let options = Options { segment_size: 1 << 20, durability, ..small() };
        threaded(options, 5_000);
    }
}

#[test]
fn lesson_47_closing_with_work_waiting_takes_seconds_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), small());
    for _ in 0..20 {
        log.append(&[b'a'; 500]);
    }
    let Driven { log, syncer, keeper, now } = log;
    let started = Instant::now();
    let threads = [std::thread::spawn(move || syncer.run()), std::thread::spawn(move || keeper.run())];
    assert!(log.close(now).wait(Duration::from_secs(5)));
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn dropping_a_log_ends_its_helpers() {
    let dir = tempfile::tempdir().unwrap();
    let Driven { log, syncer, keeper, .. } = open(dir.path(), small());
    let threads = [std::thread::spawn(move || syncer.run()), std::thread::spawn(move || keeper.run())];
    drop(log);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn lesson_08_opening_reads_only_what_has_no_footer() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_size: 1 << 20, ..small() };
    let mut log = open(dir.path(), options.clone());
    for _ in 0..2_000 {
        log.append(&[b'a'; 10_000]);
    }
    log.sync();
    log.keep();
    drop(log);
    let started = Instant::now();
    let mut log = open(dir.path(), options);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(log.read_seqs().len(), 2_000);
}

#[test]
fn what_was_exported_is_what_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), small());
    for at in 0..100u8 {
        log.append(&vec![at; 1000 + usize::from(at)]);
        log.sync();
    }
    log.keep();
    let problems = std::cell::RefCell::new(Vec::new());
    let report = scaidrive_wal::inspect::verify(dir.path(), |problem| problems.borrow_mut().push(problem)).unwrap();
    assert_eq!((report.records, problems.borrow().len()), (100, 0));
    let export = scaidrive_wal::inspect::Export::open(dir.path()).unwrap();
    let records: Vec<_> = export.map(Result::unwrap).collect();
    assert_eq!(records.len(), 100);
    for (at, record) in records.iter().enumerate() {
        assert_eq!(record.seq, seq(at as u64 + 1));
        assert_eq!(record.index, b"index");
        assert_eq!(record.payload, vec![at as u8; 1000 + at]);
    }
    let reports = scaidrive_wal::inspect::inspect(dir.path()).unwrap();
    assert!(reports.len() > 3);
    // One flipped bit in a sealed segment is one missing record.
    let path = &reports[1].path;
    let mut bytes = std::fs::read(path).unwrap();
    bytes[4096 + 100] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let report = scaidrive_wal::inspect::verify(dir.path(), |problem| problems.borrow_mut().push(problem)).unwrap();
    assert_eq!((report.records, report.problems), (99, 1));
}

#[test]
fn who_follows_a_log_sees_each_durable_record_once_over_segments_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut follow = Follow::new(dir.path(), seq(31));
    let mut seen = Vec::new();
    let mut written = 0;
    for _ in 0..3 {
        let mut log = open(dir.path(), small());
        for _ in 0..40 {
            written = log.append(&[7; 1500]).get();
            let end = log.log.durable_end();
            while let Some(record) = follow.next(end).unwrap() {
                assert!(record.seq < end && record.payload == [7; 1500]);
                seen.push(record.seq.get());
            }
            log.sync();
            log.keep();
        }
        // What is appended last is durable, and in the middle of a segment that goes on.
        let end = log.log.durable_end();
        assert!(end.get() > written);
        while let Some(record) = follow.next(end).unwrap() {
            seen.push(record.seq.get());
        }
    }
    let mut log = open(dir.path(), small());
    let all: Vec<u64> = log.read_seqs().into_iter().filter(|seq| *seq >= 31).collect();
    assert_eq!(seen, all);
}

#[test]
fn who_follows_a_log_goes_on_behind_damage_and_what_was_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), small());
    for _ in 0..100 {
        log.append(&[7; 1500]);
        log.sync();
        log.keep();
    }
    let end = log.log.durable_end();
    let mut follow = Follow::new(dir.path(), seq(5));
    assert_eq!(follow.next(end).unwrap().map(|record| record.seq), Some(seq(5)));
    let reports = scaidrive_wal::inspect::inspect(dir.path()).unwrap();
    let mut bytes = std::fs::read(&reports[1].path).unwrap();
    bytes[HEADER + 7 * 1600] ^= 1;
    std::fs::write(&reports[1].path, bytes).unwrap();
    let mut rest = Vec::new();
    while let Some(record) = follow.next(end).unwrap() {
        rest.push(record.seq.get());
    }
    assert_eq!(rest.len(), 94, "one of those from 6 to 100 is damaged: {rest:?}");
    let mut behind = Follow::new(dir.path(), seq(1));
    log.log.trim(seq(60));
    log.keep();
    let first = behind.next(end).unwrap().expect("newer ones are there").seq;
    assert!(first > seq(20) && first <= seq(60), "{first}");
    let of_one = Export::segment(segments(dir.path()).unwrap()[0].0.clone(), seq(60));
    assert!(of_one.map(Result::unwrap).all(|record| record.seq < seq(60)));
}

#[test]
fn a_helper_that_panics_fails_the_log_and_not_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let Driven { mut log, syncer, keeper, now } = open(dir.path(), small());
    log.set_waker(Arc::new(|| panic!("the shard is not there")));
    let record = NewRecord { wall: WallTime::from_ms(0), tenant_hash: 0, flags: 0, index: &[], payload: b"x" };
    log.append(&record, now).unwrap();
    let thread = std::thread::spawn(move || syncer.run());
    log.request_sync();
    thread.join().expect("the panic stays in the helper");
    assert!(matches!(log.append(&record, now), Err(AppendError::Failed)));
    let failure = log.take_failure().unwrap();
    assert!(failure.cause.to_string().contains("the shard is not there"), "{}", failure.cause);
    // Said once, failed for good, and closing does not hang.
    assert!(log.take_failure().is_none());
    assert!(matches!(log.append(&record, now), Err(AppendError::Failed)));
    let started = Instant::now();
    log.close(now).wait(Duration::from_secs(5));
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(keeper);
}

/// Where records begin in a segment file.
const HEADER: usize = 4096;
