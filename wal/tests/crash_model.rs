//! The crash model: the shipped log on a simulated disk, any order of operations, a power cut after
//! each, every unsynced page and name old, new or torn.
//!
//! What must hold after every opening: every acknowledged record is there, bit by bit; nothing is there
//! that was not appended; nobody is told of damage, because there is none; no number that anyone has
//! seen ever means something else; each cursor has its last durable body or a later one.
//!
//! `SCAIDRIVE_SEEDS` sets the number of random seeds, `SCAIDRIVE_SEED` runs one, `SCAIDRIVE_DEPTH` the
//! length of the sequences of which all are tried.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use common::{Driven, seq, small};
use scaidrive_wal::sim::{Fate, SimDisk};
use scaidrive_wal::{AppendError, CursorKey, Durability, Log, Options, Position, Read, Seq, SyncJob};

/// Everything that can happen between two power cuts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    AppendSmall,
    AppendOverEnd,
    SyncBegins,
    SyncEnds,
    SyncFails,
    Roll,
    Checkpoint,
    Trim,
    DiskFull,
    Reopen,
    ReopenStale,
    CrashLoop,
}

const OPS: [Op; 12] = [
    Op::AppendSmall,
    Op::AppendOverEnd,
    Op::SyncBegins,
    Op::SyncEnds,
    Op::SyncFails,
    Op::Roll,
    Op::Checkpoint,
    Op::Trim,
    Op::DiskFull,
    Op::Reopen,
    Op::ReopenStale,
    Op::CrashLoop,
];

const KEY: CursorKey = CursorKey([7; 16]);

/// What the outside world knows, and therefore may hold against the log.
#[derive(Clone, Default)]
struct Oracle {
    /// Payload by number, as appended and not known lost.
    given: BTreeMap<u64, Vec<u8>>,
    /// Payload by number, as anyone ever read it.
    seen: BTreeMap<u64, Vec<u8>>,
    /// Everything below was acknowledged.
    acked: u64,
    /// Everything below was given back.
    trimmed: u64,
    /// The largest number known to be used.
    highest: u64,
    /// Bodies of the cursor that may be found: the durable one first.
    bodies: Vec<u64>,
    tag: u64,
}

struct World {
    disk: SimDisk,
    options: Options,
    driven: Option<Driven>,
    job: Option<SyncJob>,
    is_full: bool,
    oracle: Oracle,
    salt: u64,
    prng: u64,
}

type Outcome = Result<(), String>;

impl World {
    fn new(seed: u64, options: Options) -> World {
        let mut world = World {
            disk: SimDisk::new(seed),
            options,
            driven: None,
            job: None,
            is_full: false,
            oracle: Oracle { bodies: vec![0], ..Oracle::default() },
            salt: seed,
            prng: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        };
        world.open().unwrap();
        world
    }

    /// A world in the same state whose log is not open.
    fn fork(&self) -> World {
        World {
            disk: self.disk.fork(),
            options: self.options.clone(),
            driven: None,
            job: None,
            is_full: self.is_full,
            oracle: self.oracle.clone(),
            salt: self.salt,
            prng: self.prng,
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.prng ^= self.prng << 13;
        self.prng ^= self.prng >> 7;
        self.prng ^= self.prng << 17;
        (self.prng >> 11) % limit
    }

    fn log(&mut self) -> &mut Driven {
        self.driven.as_mut().expect("the log is open")
    }

    /// Opens the log and holds it to its promises.
    fn open(&mut self) -> Outcome {
        self.driven = None;
        self.job = None;
        self.salt += 1;
        let disk = Arc::new(self.disk.clone());
        let budget = scaidrive_wal::Budget::new(1000);
        let (mut driven, opened) = Driven::open_with(disk, self.options.clone(), budget, self.salt);
        if !opened.damage.is_empty() {
            return Err(format!("false alarm: {:?}", opened.damage));
        }
        // A failed sync while opening is settled like any other.
        driven.keep();
        driven.log.tick(driven.now);
        if let Some(failure) = driven.log.take_failure() {
            self.note_lost(&failure.lost)?;
            driven.sync();
        }
        let cursor = driven.log.cursors().find(|(key, _)| *key == KEY);
        let body = cursor.map_or(0, |(_, body)| cursor_number(body));
        if !self.oracle.bodies.contains(&body) {
            return Err(format!("cursor {body} is none of {:?}", self.oracle.bodies));
        }
        self.oracle.bodies = vec![body];
        let next = driven.log.next_seq().get();
        self.driven = Some(driven);
        self.check_records(true)?;
        if next <= self.oracle.highest {
            return Err(format!("number {next} is used again"));
        }
        Ok(())
    }

    fn note_lost(&mut self, lost: &[std::ops::Range<Seq>]) -> Outcome {
        for range in lost {
            if range.start.get() < self.oracle.acked {
                return Err(format!("acknowledged records are given up: {range:?}"));
            }
            let numbers: Vec<u64> =
                self.oracle.given.range(range.start.get()..range.end.get()).map(|(number, _)| *number).collect();
            for number in numbers {
                self.oracle.given.remove(&number);
            }
        }
        Ok(())
    }

    /// Reads everything. What is not there was lost by a crash, if it `may_lose` something.
    fn check_records(&mut self, may_lose: bool) -> Outcome {
        let driven = self.driven.as_mut().expect("the log is open");
        let end = driven.log.ack_end().get();
        let mut found = BTreeMap::new();
        let mut position = Position::at(Seq::FIRST);
        loop {
            match driven.read(&mut position) {
                Read::Record(record) => {
                    found.insert(record.seq().get(), record.payload().to_vec());
                }
                Read::End => break,
                Read::Trimmed { .. } => {}
                other => return Err(format!("reading: {other:?}")),
            }
        }
        let oracle = &mut self.oracle;
        for (number, payload) in &found {
            if oracle.given.get(number) != Some(payload) {
                return Err(format!("record {number} is not what was appended"));
            }
            if oracle.seen.get(number).is_some_and(|seen| seen != payload) {
                return Err(format!("record {number} has changed since it was read"));
            }
        }
        let acked = oracle.given.range(oracle.trimmed..oracle.acked.max(oracle.trimmed));
        if let Some((number, _)) = acked.clone().find(|(number, _)| !found.contains_key(*number)) {
            return Err(format!("acknowledged record {number} is lost"));
        }
        oracle.seen.extend(found.clone());
        oracle.highest = oracle.highest.max(found.keys().last().copied().unwrap_or(0));
        if may_lose {
            let trimmed = oracle.trimmed;
            oracle.given.retain(|number, _| *number < trimmed || found.contains_key(number));
        }
        oracle.acked = oracle.acked.max(end);
        Ok(())
    }

    fn append(&mut self, len: usize) -> Outcome {
        self.oracle.tag += 1;
        let mut payload = vec![b'.'; len];
        payload[..8].copy_from_slice(&self.oracle.tag.to_le_bytes());
        for _ in 0..40 {
            match self.log().try_append(&payload) {
                Ok(number) => {
                    let number = number.get();
                    if number <= self.oracle.highest.max(self.oracle.acked.saturating_sub(1)) {
                        return Err(format!("number {number} is given twice"));
                    }
                    self.oracle.given.insert(number, payload);
                    self.note_acks();
                    return Ok(());
                }
                Err(AppendError::WaitForKeeper) => self.log().keep(),
                // Without a spare there is no intake; that is all it may come to.
                Err(AppendError::NoSpare { .. }) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
        // A sync that is under way keeps a rescue waiting.
        if self.job.is_some() { Ok(()) } else { Err("an append waits for ever".to_owned()) }
    }

    fn note_acks(&mut self) {
        let end = self.log().log.ack_end().get();
        self.oracle.acked = self.oracle.acked.max(end);
    }

    fn settle(&mut self) -> Outcome {
        for _ in 0..40 {
            let driven = self.log();
            driven.log.tick(driven.now);
            if let Some(failure) = driven.log.take_failure() {
                self.note_lost(&failure.lost)?;
                return Ok(());
            }
            self.log().keep();
        }
        Ok(())
    }

    fn sync_ends(&mut self, fails: bool) -> Outcome {
        if fails {
            self.disk.fail_next_syncs(1);
        }
        if let Some(job) = self.job.take() {
            let result = job.execute();
            self.log().syncer.finish(job, result);
        }
        self.disk.fail_next_syncs(0);
        if fails {
            self.settle()?;
        }
        self.note_acks();
        Ok(())
    }

    fn run(&mut self, op: Op) -> Outcome {
        match op {
            Op::AppendSmall => self.append(100)?,
            Op::AppendOverEnd => self.append(20_000)?,
            Op::SyncBegins => {
                if self.job.is_none() {
                    self.job = self.log().syncer.begin();
                }
            }
            Op::SyncEnds | Op::SyncFails => {
                if self.job.is_none() {
                    self.job = self.log().syncer.begin();
                }
                self.sync_ends(op == Op::SyncFails)?;
            }
            Op::Roll => {
                let quarter = self.options.window_ms / 4 + 1;
                let driven = self.log();
                driven.now = driven.now.plus(quarter);
                // The first turn may only mark the durable line.
                driven.log.tick(driven.now);
                driven.log.tick(driven.now);
                driven.keep();
            }
            Op::Checkpoint => {
                self.oracle.tag += 1;
                let body = self.oracle.tag;
                self.log().log.write_cursors(&[(KEY, &cursor_body(body))]).unwrap();
                self.oracle.bodies.push(body);
                self.log().keep();
                if self.log().log.cursor_error().is_none() {
                    self.oracle.bodies = vec![body];
                }
            }
            Op::Trim => {
                let end = self.log().log.ack_end();
                self.log().log.trim(end);
                self.oracle.trimmed = self.oracle.trimmed.max(self.log().log.first_seq().get());
                self.log().keep();
            }
            Op::DiskFull => {
                self.is_full = !self.is_full;
                self.disk.fill(self.is_full);
                self.log().keeper.retry();
            }
            Op::Reopen => {
                self.disk.kill();
                self.open()?;
            }
            Op::ReopenStale => {
                self.disk.fail_next_syncs(1);
                if self.job.is_none() {
                    self.job = self.log().syncer.begin();
                }
                if let Some(job) = self.job.take() {
                    let result = job.execute();
                    self.log().syncer.finish(job, result);
                }
                self.disk.fail_next_syncs(0);
                self.disk.kill();
                self.open()?;
            }
            Op::CrashLoop => {
                for _ in 0..3 {
                    self.disk.power_cut();
                    self.open()?;
                }
                self.check_files()?;
            }
        }
        Ok(())
    }

    /// Shows where a replayed seed is.
    #[allow(clippy::print_stderr)] // For people who replay a seed.
    fn trace(&mut self, choice: u64) {
        if std::env::var("SCAIDRIVE_SEED").is_err() {
            return;
        }
        let segments = self.log().log.segments();
        let segments: Vec<_> = segments.map(|info| (info.base, info.end, info.is_sealed)).collect();
        let files = scaidrive_wal::Disk::list(&self.disk).unwrap();
        let files: Vec<_> = files.iter().map(|file| (file.name.trim_start_matches('0'), file.len)).collect();
        eprintln!("{choice} acked {} files {files:?} segments {segments:?}", self.oracle.acked);
    }

    /// A crash loop must not eat the disk: openings without records leave no files behind.
    fn check_files(&mut self) -> Outcome {
        let files = scaidrive_wal::Disk::list(&self.disk).unwrap();
        let segments = self.log().log.segments().count();
        let extra = files.len().saturating_sub(segments);
        if extra > 2 { Err(format!("{extra} files besides the segments: {files:?}")) } else { Ok(()) }
    }

    /// After the power cut: opens, checks, goes on, and is cut again.
    fn aftermath(&mut self) -> Outcome {
        self.open()?;
        self.append(100)?;
        self.job = self.log().syncer.begin();
        self.sync_ends(false)?;
        self.disk.power_cut_with(&[]);
        self.open()
    }

    /// Every way a power cut may end, or a sample if there are too many.
    fn cut(&mut self) -> Outcome {
        let things = self.disk.unsynced();
        let ways = 3usize.checked_pow(things as u32).filter(|ways| *ways <= CUTS_MAX);
        for way in 0..ways.unwrap_or(CUTS_MAX) {
            let mut world = self.fork();
            let mut rest = way;
            let fates: Vec<Fate> = (0..things)
                .map(|thing| {
                    let choice = match ways {
                        Some(_) => rest % 3,
                        // The plain cases first: all old, all new, all torn.
                        None if way < 3 => way,
                        None => world.below(3) as usize,
                    };
                    rest /= 3;
                    let _ = thing;
                    [Fate::Old, Fate::New, Fate::Torn][choice]
                })
                .collect();
            world.disk.power_cut_with(&fates);
            world.aftermath().map_err(|broken| format!("{broken}; fates {fates:?}"))?;
        }
        Ok(())
    }
}

/// A body of several sectors, so that it can tear.
fn cursor_body(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(200)
}

fn cursor_number(body: &[u8]) -> u64 {
    let number = u64::from_le_bytes(body[..8].try_into().unwrap());
    assert_eq!(body, cursor_body(number), "a torn cursor is believed");
    number
}

const CUTS_MAX: usize = 27;

fn number_from(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn every_short_sequence_of_operations_keeps_the_promises() {
    let depth = number_from("SCAIDRIVE_DEPTH", 3) as u32;
    let started = Instant::now();
    let mut count = 0u64;
    for len in 1..=depth {
        for index in 0..OPS.len().pow(len) {
            let mut rest = index;
            let ops: Vec<Op> = (0..len)
                .map(|_| {
                    let op = OPS[rest % OPS.len()];
                    rest /= OPS.len();
                    op
                })
                .collect();
            let mut world = World::new(index as u64 + 1, small());
            let outcome = ops.iter().try_for_each(|op| world.run(*op)).and_then(|()| world.cut());
            if let Err(broken) = outcome {
                panic!("{ops:?}: {broken}");
            }
            count += 1;
        }
    }
    println_count("sequences", count, started);
}

/// One random history of `steps` operations.
fn random_history(seed: u64, steps: usize, options: Options) -> Outcome {
    let mut world = World::new(seed, options);
    for _ in 0..steps {
        let choice = world.below(40);
        world.trace(choice);
        match choice {
            0..=11 => world.run(Op::AppendSmall)?,
            12..=14 => {
                let len = 8 + world.below(6_000) as usize;
                world.append(len)?;
            }
            15 => world.run(Op::AppendOverEnd)?,
            16..=17 => world.run(Op::SyncBegins)?,
            18..=22 => world.run(Op::SyncEnds)?,
            23 => world.run(Op::SyncFails)?,
            24 => world.run(Op::Roll)?,
            25 => world.run(Op::Checkpoint)?,
            26 => {
                world.disk.fail_next_syncs(1);
                world.run(Op::Checkpoint)?;
                world.disk.fail_next_syncs(0);
                world.log().keeper.retry();
            }
            27 => world.run(Op::Trim)?,
            28 => world.run(Op::DiskFull)?,
            29 => world.run(Op::Reopen)?,
            30 => world.run(Op::ReopenStale)?,
            31 => world.run(Op::CrashLoop)?,
            32..=33 => world.disk.write_back(),
            34 => {
                let driven = world.log();
                driven.now = driven.now.plus(1_001);
                driven.log.tick(driven.now);
            }
            35 => world.check_records(false)?,
            36 => {
                let end = world.log().log.ack_end();
                world.log().log.trim(end);
                world.oracle.trimmed = world.oracle.trimmed.max(world.log().log.first_seq().get());
            }
            37 => {
                world.log().keeper.step();
            }
            38 => {
                world.disk.fail_next_directory_syncs(1);
                world.run(Op::SyncEnds)?;
                world.disk.fail_next_directory_syncs(0);
                world.settle()?;
            }
            _ => {
                world.disk.power_cut();
                world.open()?;
            }
        }
    }
    world.disk.power_cut();
    world.aftermath()
}

fn random_histories(name: &str, default: u64, options: &Options) {
    let started = Instant::now();
    if let Ok(seed) = std::env::var("SCAIDRIVE_SEED") {
        random_history(seed.parse().expect("a number"), 60, options.clone()).unwrap();
        return;
    }
    let seeds = number_from("SCAIDRIVE_SEEDS", default);
    for seed in 1..=seeds {
        if let Err(broken) = random_history(seed, 60, options.clone()) {
            panic!("SCAIDRIVE_SEED={seed}: {broken}");
        }
    }
    println_count(name, seeds, started);
}

#[test]
fn random_histories_keep_the_promises() {
    random_histories("seeds", 1_500, &small());
}

#[test]
fn random_histories_in_a_weaker_mode_keep_what_is_durable_and_reuse_no_number() {
    let options = Options { durability: Durability::Interval { every_ms: 100 }, ..small() };
    let started = Instant::now();
    let seeds = number_from("SCAIDRIVE_SEEDS", 500);
    let first = number_from("SCAIDRIVE_SEED", 1);
    for seed in first..first.max(seeds) + 1 {
        if let Err(broken) = weak_history(seed, options.clone()) {
            panic!("seed {seed}: {broken}");
        }
    }
    println_count("seeds", seeds, started);
}

/// In the weaker modes readers pass the durable line: a killed process loses nothing that was
/// acknowledged, a power cut nothing that was durable, and no number that was read comes back changed.
fn weak_history(seed: u64, options: Options) -> Outcome {
    let mut world = World::new(seed, options);
    let mut durable = 0;
    for _ in 0..40 {
        let choice = world.below(10);
        world.trace(choice);
        match choice {
            0..=4 => world.run(Op::AppendSmall)?,
            5 => world.run(Op::AppendOverEnd)?,
            6 => world.run(Op::SyncEnds)?,
            7 => world.disk.write_back(),
            8 => world.run(Op::Reopen)?,
            _ => {
                world.check_records(false)?;
                world.disk.power_cut();
                world.oracle.acked = durable;
                world.open()?;
            }
        }
        durable = world.log().log.durable_end().get();
        world.check_records(false)?;
    }
    Ok(())
}

#[test]
fn opening_may_be_cut_short_at_any_sync() {
    for seed in 1..=100 {
        for syncs in 0..4 {
            let mut world = World::new(seed, small());
            for _ in 0..20 {
                world.append(300).unwrap();
            }
            world.run(Op::SyncFails).unwrap();
            world.run(Op::SyncEnds).unwrap();
            for _ in 0..20 {
                world.append(300).unwrap();
            }
            world.run(Op::SyncBegins).unwrap();
            let job = world.job.take().unwrap();
            world.disk.fail_next_syncs(1);
            assert!(job.execute().is_err());
            world.disk.fail_next_syncs(0);
            world.disk.kill();
            // Opening gets this far; nobody has seen anything of it.
            world.disk.stop_after_syncs(Some(syncs));
            world.driven = None;
            let _ = Log::open(
                Arc::new(world.disk.clone()),
                small(),
                scaidrive_wal::Budget::new(9),
                scaidrive_wal::WallTime::from_ms(0),
                &mut || seed,
            );
            world.disk.stop_after_syncs(None);
            world.disk.power_cut();
            if let Err(broken) = world.open() {
                panic!("seed {seed}, {syncs} syncs: {broken}");
            }
        }
    }
}

#[test]
fn damage_at_rest_is_reported_and_costs_nothing_else() {
    for seed in 1..=300 {
        let mut world = World::new(seed, small());
        for _ in 0..30 {
            world.append(200).unwrap();
            if world.below(3) == 0 {
                world.run(Op::SyncEnds).unwrap();
            }
            if world.below(12) == 0 {
                world.run(Op::Roll).unwrap();
            }
            if world.below(12) == 0 {
                world.run(Op::Reopen).unwrap();
            }
        }
        world.run(Op::SyncEnds).unwrap();
        // The mark makes the line a witness of all of it.
        world.run(Op::Roll).unwrap();
        world.run(Op::SyncEnds).unwrap();
        let acked: Vec<u64> = world.oracle.given.keys().copied().collect();
        let pick = world.below(acked.len() as u64) as usize;
        let victim = acked[pick];
        let (segment, offset) = find_payload(&world.disk, &world.oracle.given[&victim]);
        let byte = offset - 50 + world.below(200) as usize;
        world.disk.kill();
        world.disk.damage(&segment, byte, 0x40);
        let disk = Arc::new(world.disk.clone());
        world.driven = None;
        let (mut log, opened) = Driven::open(disk, small());
        let (records, missing) = log.read_all(Seq::FIRST);
        let found: Vec<u64> = records.iter().map(|record| record.seq().get()).collect();
        let expected: Vec<u64> = acked.iter().copied().filter(|n| *n != victim).collect();
        assert_eq!(found, expected, "seed {seed}");
        let victim = seq(victim)..seq(victim + 1);
        assert_eq!(missing, std::slice::from_ref(&victim), "seed {seed}");
        for damage in &opened.damage {
            assert_eq!(damage.seqs, victim, "seed {seed}");
            assert_eq!(damage.segment, segment, "seed {seed}");
        }
    }
}

fn find_payload(disk: &SimDisk, payload: &[u8]) -> (String, usize) {
    for file in scaidrive_wal::Disk::list(disk).unwrap() {
        let bytes = disk.contents(&file.name).unwrap();
        let at = bytes.windows(payload.len()).position(|window| window == payload);
        if let Some(at) = at {
            return (file.name, at);
        }
    }
    panic!("the payload is nowhere");
}

#[allow(clippy::print_stdout)] // The figures are what the run is for.
fn println_count(what: &str, count: u64, started: Instant) {
    println!("{count} {what} in {:.1} s", started.elapsed().as_secs_f64());
}
