//! Recovery is a decision table; here is a test for each of its rows, and for the lessons behind it.

mod common;

use std::sync::Arc;

use common::{Driven, seq, small};
use scaidrive_wal::sim::{Fate, SimDisk};
use scaidrive_wal::{AppendError, Budget, CursorKey, Disk, Opened, Position, Read, Room, Seq};

const HEADER: usize = 4096;
/// Bytes of a record of `small_record` in the log.
const RECORD: usize = 168;
const FIRST: &str = "00000000000000000001.seg";

fn open(disk: &SimDisk) -> (Driven, Opened) {
    disk.kill();
    Driven::open(Arc::new(disk.clone()), small())
}

/// A record that takes `RECORD` bytes.
fn small_record(log: &mut Driven) -> Seq {
    log.append(&[b'x'; 100])
}

/// A log of `count` durable records in one open segment, killed; the last carries the line before it.
fn written(count: u64) -> SimDisk {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    for _ in 0..count {
        small_record(&mut log);
        log.sync();
    }
    disk
}

fn names(disk: &SimDisk) -> Vec<String> {
    let files = disk.list().unwrap();
    files.into_iter().map(|file| file.name).filter(|name| name.ends_with(".seg")).collect()
}

#[test]
fn a_spare_without_records_stays_a_spare() {
    let disk = SimDisk::new(1);
    drop(open(&disk));
    let (log, opened) = open(&disk);
    assert!(opened.has_spare && opened.was_clean);
    assert_eq!(log.log.segments().count(), 0);
    assert_eq!(names(&disk), ["spare-1.seg"]);
}

#[test]
fn a_segment_whose_renaming_was_lost_is_taken_in() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    // The process dies before the syncer gave the file its name.
    let (mut log, opened) = open(&disk);
    assert_eq!(opened.next, seq(2));
    assert_eq!(log.read_seqs(), [1]);
    assert!(names(&disk).contains(&FIRST.to_owned()));
}

#[test]
fn a_recycled_file_with_an_old_header_is_not_taken_for_a_segment() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk);
    for _ in 0..400 {
        small_record(&mut log);
        log.sync();
        log.keep();
    }
    let end = log.log.ack_end();
    log.log.trim(end);
    log.keep();
    let first = log.log.first_seq();
    drop(log);
    let (log, opened) = open(&disk);
    assert_eq!((opened.first, opened.next), (first, seq(401)));
    assert_eq!(opened.damage, []);
    assert!(log.log.segments().all(|info| info.base >= first));
}

#[test]
fn a_segment_of_a_newer_format_is_set_aside_and_its_numbers_are_not_used() {
    let disk = written(3);
    let mut bytes = disk.contents(FIRST).unwrap();
    bytes[8] = 2;
    disk.kill();
    disk.remove(FIRST).unwrap();
    disk.put(FIRST, &bytes);
    let (mut log, opened) = open(&disk);
    assert_eq!(opened.set_aside, [format!("newer/{FIRST}")]);
    assert_eq!(opened.damage, []);
    assert!(opened.next > seq(4), "{:?}", opened.next);
    assert!(small_record(&mut log) >= opened.next);
    log.sync();
    // A version that knows the format takes it up again.
    let aside = format!("newer/{FIRST}");
    let mut bytes = disk.contents(&aside).unwrap();
    bytes[8] = 1;
    disk.remove(&aside).unwrap();
    disk.put(&aside, &bytes);
    let (mut log, opened) = open(&disk);
    assert_eq!(opened.set_aside, Vec::<String>::new());
    assert_eq!(log.read_seqs()[..3], [1, 2, 3]);
}

#[test]
fn a_segment_without_a_sound_header_is_damage_as_a_whole_and_stays_until_trimmed() {
    let disk = written(3);
    disk.damage(FIRST, 16, 0xff);
    let (mut log, opened) = open(&disk);
    assert_eq!(opened.damage.len(), 1);
    assert_eq!(opened.damage[0].seqs.start, seq(1));
    assert!(opened.damage[0].seqs.end > seq(3));
    // No number that the segment may have held is used again.
    assert!(opened.next >= opened.damage[0].seqs.end);
    let mut position = Position::at(Seq::FIRST);
    assert!(matches!(log.read(&mut position), Read::Damage { missing } if missing == opened.damage[0].seqs));
    small_record(&mut log);
    log.sync();
    let end = log.log.ack_end();
    log.log.trim(end);
    log.keep();
    assert!(!names(&disk).contains(&FIRST.to_owned()));
}

#[test]
fn a_sealed_segment_is_trusted_by_its_footer_and_its_damage_is_met_by_the_reader() {
    let disk = written(5);
    drop(open(&disk));
    disk.damage(FIRST, HEADER + RECORD + 80, 1);
    let (mut log, opened) = open(&disk);
    // Opening does not read sealed segments.
    assert_eq!(opened.damage, []);
    assert_eq!(opened.next, seq(6));
    let (records, missing) = log.read_all(Seq::FIRST);
    assert_eq!(missing, [seq(2)..seq(3)]);
    assert_eq!(records.len(), 4);
}

#[test]
fn a_lost_cut_of_a_sealed_segment_is_made_again_without_a_false_alarm() {
    let disk = SimDisk::new(5);
    let (mut log, _) = open(&disk);
    for _ in 0..3 {
        small_record(&mut log);
    }
    log.sync();
    drop(log);
    let whole = disk.contents(FIRST).unwrap().len();
    drop(open(&disk));
    let mut bytes = disk.contents(FIRST).unwrap();
    assert!(bytes.len() < whole);
    bytes.resize(whole, 0);
    disk.remove(FIRST).unwrap();
    disk.put(FIRST, &bytes);
    let (mut log, opened) = open(&disk);
    assert_eq!((opened.damage.len(), opened.next), (0, seq(4)));
    assert_eq!(log.read_seqs(), [1, 2, 3]);
    assert!(disk.contents(FIRST).unwrap().len() < whole);
}

#[test]
fn bad_bytes_below_the_line_are_damage_reported_and_met_by_every_reader() {
    let disk = written(5);
    disk.damage(FIRST, HEADER + 2 * RECORD + 80, 1);
    let (mut log, opened) = open(&disk);
    assert_eq!(opened.damage.len(), 1);
    assert_eq!(opened.damage[0].seqs, seq(3)..seq(4));
    assert_eq!(opened.damage[0].segment, FIRST);
    let at = (HEADER + 2 * RECORD) as u64;
    assert_eq!(opened.damage[0].bytes, at..at + RECORD as u64);
    for _ in 0..2 {
        let (records, missing) = log.read_all(Seq::FIRST);
        assert_eq!((records.len(), missing), (4, vec![seq(3)..seq(4)]));
    }
}

/// Five records, of which the first `durable` were synced; the disk then lost the one numbered `torn`.
fn torn(durable: u64, torn: u64) -> SimDisk {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    for at in 1..=5 {
        small_record(&mut log);
        if at <= durable {
            log.sync();
        }
    }
    // One more sync without a witness: the last record was written before it.
    drop(log);
    let at = HEADER + (torn as usize - 1) * RECORD;
    let name = names(&disk).into_iter().next().unwrap();
    for byte in 0..RECORD {
        let old = disk.contents(&name).unwrap()[at + byte];
        disk.damage(&name, at + byte, old);
    }
    disk
}

#[test]
fn bad_bytes_above_the_line_are_a_tail_and_good_records_behind_them_are_kept() {
    // Records 1 and 2 are durable, the line is 3, and record 4 never reached the disk.
    let disk = torn(2, 4);
    let (mut log, opened) = open(&disk);
    assert_eq!((opened.damage.len(), opened.durable_line), (0, seq(3)));
    assert_eq!(opened.next, seq(6));
    assert_eq!(log.read_seqs(), [1, 2, 3, 5]);
    // The line has since moved over the hole, and it is still no news.
    small_record(&mut log);
    log.sync();
    drop(log);
    let (mut log, opened) = open(&disk);
    assert_eq!(opened.damage, []);
    assert_eq!(log.read_seqs(), [1, 2, 3, 5, 6]);
}

#[test]
fn bad_bytes_across_the_line_are_damage_up_to_it_and_a_hole_above() {
    let disk = torn(2, 2);
    let name = names(&disk).into_iter().next().unwrap();
    for byte in 0..RECORD {
        let at = HEADER + 2 * RECORD + byte;
        let old = disk.contents(&name).unwrap()[at];
        disk.damage(&name, at, old);
    }
    // Numbers 2 and 3 are gone; the line, 3, stands in record 4.
    let (mut log, opened) = open(&disk);
    assert_eq!(opened.durable_line, seq(3));
    assert_eq!(opened.damage.len(), 1);
    assert_eq!(opened.damage[0].seqs, seq(2)..seq(3));
    let (records, missing) = log.read_all(Seq::FIRST);
    assert_eq!((records.len(), missing), (3, vec![seq(2)..seq(3)]));
}

#[test]
fn nothing_up_to_the_line_at_the_end_of_a_segment_is_damage() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    for _ in 0..3 {
        small_record(&mut log);
    }
    log.sync();
    // The next segment's header vouches for all three.
    log.append(&[b'y'; 20_200]);
    log.sync();
    drop(log);
    for byte in 0..RECORD {
        let at = HEADER + 2 * RECORD + byte;
        let old = disk.contents(FIRST).unwrap()[at];
        disk.damage(FIRST, at, old);
    }
    let (mut log, opened) = open(&disk);
    assert_eq!(opened.damage.len(), 1);
    assert_eq!(opened.damage[0].seqs, seq(3)..seq(4));
    let (records, missing) = log.read_all(Seq::FIRST);
    assert_eq!((records.len(), missing), (3, vec![seq(3)..seq(4)]));
}

#[test]
fn what_was_not_acknowledged_is_read_back_and_kept_under_its_number() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    log.sync();
    for _ in 0..3 {
        small_record(&mut log);
    }
    fail_sync(&disk, &mut log);
    log.keep();
    log.log.tick(log.now);
    let failure = log.log.take_failure().unwrap();
    assert_eq!(failure.rescued, seq(2)..seq(5));
    assert_eq!(failure.lost, []);
    log.sync();
    assert_eq!(log.log.ack_end(), seq(5));
    assert_eq!(log.read_seqs(), [1, 2, 3, 4]);
    let (mut log, opened) = open(&disk);
    assert_eq!((opened.damage.len(), opened.next), (0, seq(5)));
    assert_eq!(log.read_seqs(), [1, 2, 3, 4]);
}

fn fail_sync(disk: &SimDisk, log: &mut Driven) {
    disk.fail_next_syncs(1);
    log.sync();
    disk.fail_next_syncs(0);
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_is_never_repeated() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    fail_sync(&disk, &mut log);
    assert_eq!(log.log.ack_end(), seq(1));
    // Asking again would succeed, and prove nothing.
    assert!(log.syncer.begin().is_none());
    log.keep();
    log.log.tick(log.now);
    assert_eq!(log.log.ack_end(), seq(1));
    log.sync();
    // Not before the shard has heard of it.
    assert_eq!(log.log.ack_end(), seq(1));
    assert!(log.log.take_failure().is_some());
    assert_eq!(log.log.ack_end(), seq(2));
    assert_eq!(log.read_seqs(), [1]);
}

#[test]
fn nothing_is_acknowledged_before_the_disk_has_answered() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    let job = log.syncer.begin().unwrap();
    assert_eq!(log.log.ack_end(), seq(1));
    let result = job.execute();
    assert_eq!(log.log.ack_end(), seq(1));
    log.syncer.finish(job, result);
    assert_eq!(log.log.ack_end(), seq(2));
}

#[test]
fn an_acknowledged_record_survives_a_power_cut_that_leaves_everything_unsynced_old() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    log.sync();
    drop(log);
    disk.power_cut_with(&[]);
    let (mut log, _) = Driven::open(Arc::new(disk.clone()), small());
    assert_eq!(log.read_seqs(), [1]);
}

#[test]
fn each_group_is_synced_from_its_first_byte_to_its_last() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    // Groups that end inside a page, that begin inside one, that fill several, and that meet a segment's end.
    for (group, len) in (0..).zip([100, 3_000, 9_000, 4_096, 1, 5_000].into_iter().cycle().take(40)) {
        log.append(&vec![b'x'; len]);
        log.append(&[b'y'; 50]);
        log.sync();
        let cut = disk.fork();
        cut.power_cut_with(&[]);
        let (mut again, opened) = Driven::open(Arc::new(cut), small());
        assert_eq!(opened.damage, [], "group {group}");
        assert_eq!(again.read_seqs().last(), Some(&(2 * (group + 1))), "group {group}");
        log.keep();
    }
}

#[test]
fn lesson_06_the_directory_is_synced_before_a_record_is_acknowledged() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    let before = disk.syncs().1;
    small_record(&mut log);
    log.sync();
    assert!(disk.syncs().1 > before, "a new name needs a directory sync");
    drop(log);
    disk.power_cut_with(&[]);
    assert_eq!(names(&disk).first().map(String::as_str), Some(FIRST));
}

#[test]
fn appending_never_goes_on_in_a_segment_that_was_there() {
    let disk = written(2);
    let before = disk.contents(FIRST).unwrap();
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    log.sync();
    let bases: Vec<Seq> = log.log.segments().map(|info| info.base).collect();
    assert_eq!(bases, [seq(1), seq(3)]);
    let after = disk.contents(FIRST).unwrap();
    let records = HEADER..HEADER + 2 * RECORD;
    assert_eq!(after[records.clone()], before[records.clone()]);
    assert!(after.len() < before.len());
}

#[test]
fn opening_stores_again_what_only_the_cache_holds() {
    // Seeds differ in which pages a failed sync leaves behind.
    for seed in 1..=20 {
        let disk = SimDisk::new(seed);
        let (mut log, _) = open(&disk);
        for _ in 0..60 {
            small_record(&mut log);
        }
        fail_sync(&disk, &mut log);
        drop(log);
        // The cache shows all of it, and the pages count as clean.
        let (mut log, opened) = open(&disk);
        let promised = opened.next;
        assert_eq!(log.log.ack_end(), promised);
        let held = log.read_seqs();
        drop(log);
        disk.power_cut_with(&[]);
        let (mut log, opened) = open(&disk);
        assert_eq!(opened.damage, [], "seed {seed}");
        assert_eq!(log.read_seqs(), held, "seed {seed}");
    }
}

#[test]
fn a_footer_is_durable_before_its_segment_counts_as_sealed() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    log.sync();
    log.append(&[b'y'; 20_300]);
    log.sync();
    log.keep();
    assert!(log.log.segments().next().unwrap().is_sealed);
    drop(log);
    disk.power_cut_with(&[]);
    let bytes = disk.contents(FIRST).unwrap();
    assert_eq!(&bytes[bytes.len() - 8192..][..8], b"SCDRVEND");
}

#[test]
fn a_segment_is_sealed_only_after_its_records_are_durable() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    log.append(&[b'y'; 20_300]);
    log.keep();
    assert!(log.log.segments().all(|info| !info.is_sealed));
    log.sync();
    log.keep();
    assert!(log.log.segments().next().unwrap().is_sealed);
}

#[test]
fn numbers_go_on_after_a_reopening_even_behind_a_tail() {
    let disk = torn(2, 4);
    let (mut log, _) = open(&disk);
    assert_eq!(small_record(&mut log), seq(6));
}

#[test]
fn nothing_is_trimmed_before_it_is_durable_and_its_successor_has_its_name() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    log.sync();
    log.append(&[b'y'; 20_300]);
    // The successor is still called a spare.
    log.log.trim(seq(100));
    assert_eq!(log.log.first_seq(), seq(1));
    log.sync();
    log.log.trim(seq(1));
    assert_eq!(log.log.first_seq(), seq(1));
    log.log.trim(seq(100));
    assert_eq!(log.log.first_seq(), seq(2));
    log.keep();
    drop(log);
    disk.power_cut_with(&[]);
    let (_, opened) = open(&disk);
    assert_eq!(opened.next, seq(3));
}

#[test]
fn a_recycled_file_is_offered_only_under_a_durable_name() {
    let disk = SimDisk::new(3);
    let budget = Budget::new(2);
    let (mut log, _) = Driven::open_with(Arc::new(disk.clone()), small(), budget, 9);
    small_record(&mut log);
    log.sync();
    log.append(&[b'y'; 20_300]);
    log.sync();
    log.keep();
    // The budget allows two segments: the third is the first one again.
    log.log.trim(seq(2));
    log.keep();
    assert_eq!(log.append(&[b'z'; 20_300]), seq(3));
    drop(log);
    // Names stay as they were synced, and every stored page is on the disk.
    let fates = vec![Fate::New; disk.unsynced()];
    let names_only = disk.fork();
    disk.power_cut_with(&fates);
    names_only.write_back_all();
    names_only.power_cut_with(&[]);
    for disk in [disk, names_only] {
        let (mut log, opened) = open(&disk);
        assert_eq!(opened.damage, []);
        let (records, missing) = log.read_all(Seq::FIRST);
        assert_eq!(missing, []);
        assert!(records.iter().any(|record| record.seq() == seq(2)));
    }
}

#[test]
fn a_crash_loop_does_not_eat_the_disk() {
    let disk = written(2);
    for _ in 0..50 {
        drop(open(&disk));
        disk.power_cut();
    }
    assert!(names(&disk).len() <= 2, "{:?}", names(&disk));
    let total: usize = names(&disk).iter().map(|name| disk.contents(name).unwrap().len()).sum();
    assert!(total < 2 * 32 * 1024);
}

#[test]
fn lesson_44_a_full_disk_opens_delivers_trims_and_takes_in_again_when_there_is_room() {
    let disk = written(5);
    for name in names(&disk) {
        if name.starts_with("spare") {
            disk.remove(&name).unwrap();
        }
    }
    disk.fill(true);
    let (mut log, opened) = open(&disk);
    assert!(!opened.has_spare && opened.no_spare.is_some());
    assert_eq!(log.read_seqs(), [1, 2, 3, 4, 5]);
    assert!(matches!(log.try_append(b"no"), Err(AppendError::NoSpare { .. })));
    assert!(matches!(log.log.has_room(), Room::NoSpare { .. }));
    disk.fill(false);
    log.keeper.retry();
    log.keep();
    assert_eq!(log.log.has_room(), Room::Ready);
    assert_eq!(log.append(b"yes"), seq(6));
}

#[test]
fn lesson_42_no_pointer_file_is_needed_to_find_every_record() {
    let disk = written(4);
    disk.put("cursors", b"rubbish that was never a cursor file");
    let (mut log, opened) = open(&disk);
    assert_eq!(opened.damage, []);
    assert_eq!(log.read_seqs(), [1, 2, 3, 4]);
    assert_eq!(log.log.cursors().count(), 0);
    log.log.write_cursors(&[(CursorKey([1; 16]), b"body")]).unwrap();
    log.keep();
    let (log, _) = open(&disk);
    assert_eq!(log.log.cursors().count(), 1);
}

#[test]
fn a_cursor_is_known_written_only_after_its_sync() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    let ticket = log.log.write_cursors(&[(CursorKey([1; 16]), b"first")]).unwrap();
    disk.fail_next_syncs(1);
    log.keep();
    assert!(log.log.cursors_written() < ticket);
    assert!(log.log.cursor_error().is_some());
    log.keeper.retry();
    log.keep();
    assert!(log.log.cursors_written() >= ticket);
    drop(log);
    disk.power_cut_with(&[]);
    let (log, _) = open(&disk);
    let found: Vec<_> = log.log.cursors().map(|(_, body)| body.to_vec()).collect();
    assert_eq!(found, [b"first".to_vec()]);
}

#[test]
fn a_removed_cursor_stays_removed() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    for key in 1..=3 {
        log.log.write_cursors(&[(CursorKey([key; 16]), b"x")]).unwrap();
        log.keep();
    }
    log.log.remove_cursor(CursorKey([2; 16]));
    log.keep();
    drop(log);
    disk.power_cut_with(&[]);
    let (mut log, _) = open(&disk);
    let keys: Vec<u8> = log.log.cursors().map(|(key, _)| key.0[0]).collect();
    assert_eq!(keys, [1, 3]);
    log.log.write_cursors(&[(CursorKey([9; 16]), b"y")]).unwrap();
    log.keep();
    let (log, _) = open(&disk);
    assert_eq!(log.log.cursors().count(), 3);
}

#[test]
fn a_cursor_needs_no_room_on_a_full_disk() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    disk.fill(true);
    let ticket = log.log.write_cursors(&[(CursorKey([1; 16]), b"jump")]).unwrap();
    log.keep();
    assert!(log.log.cursors_written() >= ticket, "{:?}", log.log.cursor_error());
}

#[test]
fn a_log_closed_in_order_says_so() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    let now = log.now;
    let Driven { log, syncer, .. } = log;
    let closing = log.close(now);
    let job = syncer.begin().unwrap();
    let result = job.execute();
    syncer.finish(job, result);
    assert!(closing.is_done());
    let (log, opened) = open(&disk);
    assert!(opened.was_clean);
    assert_eq!(opened.damage, []);
    drop(log);
    let (mut log, opened) = open(&disk);
    assert!(opened.was_clean);
    small_record(&mut log);
    drop(log);
    assert!(!open(&disk).1.was_clean);
}

#[test]
fn after_a_second_without_appends_the_last_record_has_a_witness() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    log.sync();
    log.now = log.now.plus(1_001);
    for _ in 0..5 {
        log.log.tick(log.now);
        log.sync();
    }
    assert_eq!(log.log.next_seq(), seq(3), "one mark, and no mark about the mark");
    drop(log);
    disk.damage(FIRST, HEADER + 80, 1);
    let (_, opened) = open(&disk);
    assert_eq!(opened.damage.len(), 1);
    assert_eq!(opened.damage[0].seqs, seq(1)..seq(2));
}

#[test]
fn a_recycled_file_gets_a_new_salt_and_its_old_records_are_gone() {
    let disk = SimDisk::new(3);
    let (mut log, _) = Driven::open_with(Arc::new(disk.clone()), small(), Budget::new(2), 9);
    for _ in 0..100 {
        small_record(&mut log);
    }
    log.sync();
    log.append(&[b'y'; 20_300]);
    log.sync();
    log.keep();
    log.log.trim(seq(101));
    log.keep();
    // One record in a file that still holds a hundred others behind it.
    log.append(&[b'z'; 20_300]);
    log.sync();
    let salts: Vec<Vec<u8>> = names(&disk).iter().map(|name| disk.contents(name).unwrap()[40..48].to_vec()).collect();
    assert_eq!(salts.len(), 2);
    assert_ne!(salts[0], salts[1]);
}

#[test]
fn a_torn_record_in_a_spare_is_not_made_whole_by_the_next_one() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    log.append(&[b'a'; 12_000]);
    drop(log);
    // The power cut keeps the header and all of the record but its middle.
    let mut fates = vec![Fate::New; disk.unsynced()];
    fates[2] = Fate::Old;
    disk.power_cut_with(&fates);
    // The directory entry was durable before, in the life that made the spare.
    let (mut log, opened) = Driven::open(Arc::new(disk.clone()), small());
    assert_eq!(opened.next, seq(1));
    let mut next = vec![b'a'; 12_000];
    next[0] = b'b';
    log.append(&next);
    drop(log);
    // Now only that middle gets to the disk.
    let mut fates = vec![Fate::Old; disk.unsynced()];
    fates[2] = Fate::New;
    disk.power_cut_with(&fates);
    let (mut log, _) = Driven::open(Arc::new(disk.clone()), small());
    assert_eq!(log.read_seqs(), Vec::<u64>::new());
}

#[test]
fn the_newest_segment_with_a_name_remembers_which_numbers_were_used() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    small_record(&mut log);
    log.sync();
    log.append(&[b'y'; 20_300]);
    // With a spare at hand, a file that is given back is removed.
    log.keep();
    log.log.trim(seq(100));
    log.keep();
    drop(log);
    disk.power_cut_with(&[]);
    let (_, opened) = Driven::open(Arc::new(disk.clone()), small());
    assert_eq!(opened.next, seq(2));
}

#[test]
fn a_torn_cursor_write_leaves_the_last_durable_body() {
    for seed in 1..=40 {
        let disk = SimDisk::new(seed);
        let (mut log, _) = open(&disk);
        let bodies = [[1; 8_000], [2; 8_000]];
        let key = CursorKey([1; 16]);
        log.log.write_cursors(&[(key, &bodies[0])]).unwrap();
        log.keep();
        log.log.write_cursors(&[(key, &bodies[1])]).unwrap();
        // Some of its pages get to the disk.
        disk.fail_next_syncs(1);
        log.keep();
        drop(log);
        disk.power_cut();
        let (log, _) = open(&disk);
        let (_, body) = log.log.cursors().next().expect("one of the two is there");
        assert!(bodies.iter().any(|written| written == body), "seed {seed}");
    }
}

#[test]
fn opening_on_a_disk_that_refuses_a_sync_saves_what_it_holds() {
    for refused in 1..=3 {
        let disk = written(4);
        disk.kill();
        disk.fail_next_syncs(refused);
        let (mut log, opened) = Driven::open(Arc::new(disk.clone()), small());
        disk.fail_next_syncs(0);
        assert_eq!((opened.damage.len(), opened.next), (0, seq(5)));
        for _ in 0..5 {
            log.keep();
            log.log.tick(log.now);
        }
        let failure = log.log.take_failure().expect("the sync failed");
        assert_eq!(failure.lost, []);
        assert_eq!(failure.rescued.end, seq(5));
        log.sync();
        assert_eq!(log.log.ack_end(), seq(5));
        assert_eq!(log.read_seqs(), [1, 2, 3, 4]);
        drop(log);
        disk.power_cut_with(&[]);
        let (mut log, opened) = Driven::open(Arc::new(disk.clone()), small());
        assert_eq!(opened.damage, []);
        assert_eq!(log.read_seqs(), [1, 2, 3, 4]);
    }
}

#[test]
fn what_is_not_durable_can_be_saved_however_many_segments_were_read_since() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk);
    for _ in 0..20 {
        log.append(&[b'a'; 20_000]);
        log.sync();
        log.keep();
    }
    let (mut log, _) = open(&disk);
    for _ in 0..3 {
        log.append(&[b'b'; 20_000]);
        log.keep();
    }
    assert_eq!(log.read_seqs().len(), 20);
    fail_sync(&disk, &mut log);
    for _ in 0..10 {
        log.keep();
        log.log.tick(log.now);
    }
    let failure = log.log.take_failure().expect("the sync failed");
    assert_eq!((failure.lost, failure.rescued), (vec![], seq(21)..seq(24)));
    log.sync();
    assert_eq!(log.read_seqs().len(), 23);
}
