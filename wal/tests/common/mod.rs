//! What the tests of this crate share: a log driven by hand, on any disk.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::sync::Arc;

use scaidrive_wal::{
    AppendError, Budget, ByteCount, Disk, Keeper, Log, LogTime, NewRecord, Opened, Options, Position, Read, Record,
    Seq, Syncer, WallTime,
};

pub fn seq(raw: u64) -> Seq {
    Seq::new(raw).unwrap()
}

/// Small segments, so that a few records fill one.
pub fn small() -> Options {
    Options { segment_size: 32 << 10, min_free: ByteCount::new(0), min_free_percent: 0, ..Options::default() }
}

/// A log with its helpers, all on this thread.
#[derive(Debug)]
pub struct Driven {
    pub log: Log,
    pub syncer: Syncer,
    pub keeper: Keeper,
    pub now: LogTime,
}

impl Driven {
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> (Driven, Opened) {
        Driven::open_with(disk, options, Budget::new(1 << 20), 7)
    }

    pub fn open_with(disk: Arc<dyn Disk>, options: Options, budget: Budget, salt: u64) -> (Driven, Opened) {
        let mut salt = move || salt;
        let (mut log, opened) = Log::open(disk, options, budget, WallTime::from_ms(0), &mut salt).unwrap();
        let (syncer, keeper) = log.helpers();
        let driven = Driven { log, syncer, keeper, now: opened.log_time };
        (driven, opened)
    }

    pub fn try_append(&mut self, payload: &[u8]) -> Result<Seq, AppendError> {
        let record = NewRecord {
            wall: WallTime::from_ms(self.now.as_ms() as i64),
            tenant_hash: 5,
            flags: 1,
            index: b"index",
            payload,
        };
        self.log.append(&record, self.now)
    }

    /// Appends, letting the keeper make room where needed.
    pub fn append(&mut self, payload: &[u8]) -> Seq {
        for _ in 0..10 {
            match self.try_append(payload) {
                Ok(seq) => return seq,
                Err(AppendError::WaitForKeeper) => {
                    self.keep();
                    self.log.tick(self.now);
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the keeper makes no room");
    }

    pub fn keep(&mut self) {
        for _ in 0..10_000 {
            if !self.keeper.step() {
                return;
            }
        }
        panic!("the keeper does not come to rest");
    }

    /// One group: begins, waits, publishes. Whether there was something to sync.
    pub fn sync(&mut self) -> bool {
        let Some(job) = self.syncer.begin() else {
            return false;
        };
        let result = job.execute();
        self.syncer.finish(job, result);
        true
    }

    /// Reads one thing, letting the keeper bring it into memory.
    pub fn read(&mut self, position: &mut Position) -> Read {
        for _ in 0..10_000 {
            match self.log.read(position, seq(u64::MAX)) {
                Read::Wait => assert!(self.keeper.step(), "waits for nothing at {position:?}"),
                read => return read,
            }
        }
        panic!("the reader does not come to rest");
    }

    /// Everything from `from` on, and what was missing.
    pub fn read_all(&mut self, from: Seq) -> (Vec<Record>, Vec<std::ops::Range<Seq>>) {
        let mut position = Position::at(from);
        let (mut records, mut missing) = (Vec::new(), Vec::new());
        loop {
            let before = position.seq();
            match self.read(&mut position) {
                Read::Record(record) => records.push(record),
                Read::Damage { missing: range } => missing.push(range),
                Read::Trimmed { .. } => {}
                Read::End => return (records, missing),
                Read::Wait => unreachable!(),
            }
            assert!(position.seq() > before, "a reader stands still at {before}");
        }
    }

    pub fn read_seqs(&mut self) -> Vec<u64> {
        let (records, missing) = self.read_all(Seq::FIRST);
        assert_eq!(missing, []);
        records.iter().map(|record| record.seq().get()).collect()
    }
}
