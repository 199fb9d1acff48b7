//! A reader that starts anywhere reads what a reader from the start reads, in windows of any size.

mod common;

use std::sync::Arc;

use common::{Driven, seq, small};
use proptest::prelude::*;
use scaidrive_wal::sim::SimDisk;
use scaidrive_wal::{Options, Position, Read, Seq};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_position_sees_the_same_records(
        sizes in prop::collection::vec(0usize..9_000, 1..40),
        from in 0usize..40,
        damaged in prop::option::of((0usize..40, 0usize..56)),
        is_reopened: bool,
    ) {
        let disk = SimDisk::new(1);
        let (mut log, _) = Driven::open(Arc::new(disk.clone()), small());
        for size in &sizes {
            log.append(&vec![*size as u8; *size]);
            log.sync();
        }
        log.keep();
        let count = sizes.len() as u64;
        if is_reopened {
            drop(log);
            disk.kill();
            // Sealed now; damage is met by readers only.
            drop(Driven::open(Arc::new(disk.clone()), small()));
            if let Some((victim, byte)) = damaged {
                damage(&disk, victim % sizes.len(), byte);
            }
            disk.kill();
            log = Driven::open(Arc::new(disk.clone()), Options { read_ahead: 1, ..small() }).0;
        }
        let (all, missing) = log.read_all(Seq::FIRST);
        let seqs: Vec<u64> = all.iter().map(|record| record.seq().get()).collect();
        let holes: Vec<u64> = missing.iter().flat_map(|range| range.start.get()..range.end.get()).collect();
        let mut both = [seqs.clone(), holes.clone()].concat();
        both.sort_unstable();
        prop_assert_eq!(both, (1..=count).collect::<Vec<_>>());
        prop_assert_eq!(holes.len(), usize::from(is_reopened && damaged.is_some()));
        for record in &all {
            let size = sizes[record.seq().get() as usize - 1];
            prop_assert_eq!(record.payload(), vec![size as u8; size]);
        }
        let from = (from as u64 % count) + 1;
        let (rest, _) = log.read_all(seq(from));
        let rest: Vec<u64> = rest.iter().map(|record| record.seq().get()).collect();
        prop_assert_eq!(rest, seqs.iter().copied().filter(|number| *number >= from).collect::<Vec<_>>());
        let (mut position, mut again) = (Position::at(Seq::FIRST), Vec::new());
        while let read @ (Read::Record(_) | Read::Damage { .. }) = log.read(&mut position) {
            let Read::Record(record) = read else { continue };
            position.return_to(&record);
            prop_assert_eq!(position.seq(), record.seq());
            let Read::Record(same) = log.read(&mut position) else { panic!("{record:?} is not there again") };
            prop_assert_eq!(same.payload(), record.payload());
            again.push(same.seq().get());
        }
        prop_assert_eq!(again, seqs);
    }
}

/// Flips a bit in the header of the record `number - 1`.
fn damage(disk: &SimDisk, number: usize, byte: usize) {
    let mut left = number;
    for file in scaidrive_wal::Disk::list(disk).unwrap() {
        if !file.name.starts_with('0') {
            continue;
        }
        let bytes = disk.contents(&file.name).unwrap();
        let mut at = 4096;
        while at + 56 <= bytes.len() {
            let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
            if len < 56 || &bytes[at..at + 8] == b"SCDRVEND" {
                break;
            }
            if left == 0 {
                disk.damage(&file.name, at + byte, 0x10);
                return;
            }
            left -= 1;
            at += len.next_multiple_of(8);
        }
    }
    panic!("no such record");
}
