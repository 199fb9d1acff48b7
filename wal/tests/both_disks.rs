//! The real disk and the simulated one pass the same tests.

mod common;

use std::sync::Arc;

use common::{Driven, seq, small};
use scaidrive_wal::sim::SimDisk;
use scaidrive_wal::{Disk, MappedDisk, Position, Read, Seq};

/// Runs a test on a fresh directory of either kind; the closure opens that directory again.
fn on_both(test: impl Fn(&dyn Fn() -> Arc<dyn Disk>)) {
    let sim = SimDisk::new(1);
    test(&|| {
        sim.kill();
        Arc::new(sim.clone())
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shard-0");
    test(&|| Arc::new(MappedDisk::open(&path).unwrap()));
}

#[test]
fn what_is_appended_and_synced_is_read_and_survives_a_restart() {
    on_both(|disk| {
        let (mut log, opened) = Driven::open(disk(), small());
        assert_eq!((opened.first, opened.next), (Seq::FIRST, Seq::FIRST));
        assert!(opened.has_spare && opened.was_clean);
        assert_eq!(log.append(b"one"), seq(1));
        assert_eq!(log.append(b"two"), seq(2));
        assert_eq!(log.log.ack_end(), seq(1));
        let mut position = Position::at(Seq::FIRST);
        assert!(matches!(log.read(&mut position), Read::End));
        assert!(log.sync());
        assert_eq!(log.log.ack_end(), seq(3));
        let (records, missing) = log.read_all(Seq::FIRST);
        assert_eq!(missing, []);
        let payloads: Vec<&[u8]> = records.iter().map(|record| record.payload()).collect();
        assert_eq!(payloads, [b"one", b"two"]);
        assert_eq!(records[0].index(), b"index");
        assert_eq!((records[0].tenant_hash(), records[0].flags()), (5, 1));
        drop((records, log));

        let (mut log, opened) = Driven::open(disk(), small());
        assert_eq!((opened.first, opened.next), (seq(1), seq(3)));
        assert!(!opened.was_clean);
        assert_eq!(opened.damage, []);
        assert_eq!(log.read_seqs(), [1, 2]);
        assert_eq!(log.append(b"three"), seq(3));
        log.sync();
        assert_eq!(log.read_seqs(), [1, 2, 3]);
    });
}

#[test]
fn many_segments_are_written_sealed_read_and_trimmed() {
    on_both(|disk| {
        let (mut log, _) = Driven::open(disk(), small());
        let payload = vec![b'x'; 1000];
        for at in 1..=100 {
            assert_eq!(log.append(&payload), seq(at));
            if at % 7 == 0 {
                log.sync();
                log.keep();
            }
        }
        log.sync();
        log.keep();
        let infos: Vec<_> = log.log.segments().collect();
        assert!(infos.len() > 4, "{infos:?}");
        assert!(infos[..infos.len() - 1].iter().all(|info| info.is_sealed), "{infos:#?}");
        assert_eq!(log.read_seqs(), (1..=100).collect::<Vec<_>>());

        let keep_from = infos[3].base;
        log.log.trim(keep_from);
        log.keep();
        assert_eq!(log.log.first_seq(), keep_from);
        let mut position = Position::at(Seq::FIRST);
        match log.read(&mut position) {
            Read::Trimmed { now_first } => assert_eq!(now_first, keep_from),
            other => panic!("{other:?}"),
        }
        drop(log);
        let (mut log, opened) = Driven::open(disk(), small());
        assert_eq!((opened.first, opened.next), (keep_from, seq(101)));
        assert_eq!(log.read_seqs(), (keep_from.get()..=100).collect::<Vec<_>>());
    });
}
