//! The log alone, while another writer hammers the disk: how long one append takes.
//!
//! Syncer and keeper run in threads of their own, as in the agent. An append that has to wait for the keeper is timed from
//! its first attempt.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_wal::{AppendError, Budget, Log, LogTime, MappedDisk, NewRecord, Options, WallTime};

use super::hammer::Hammer;
use super::{Lab, Taken};
use crate::load::event::Events;
use crate::measure::latency::{histogram, quantile_ms, record};
use crate::scenario::{Metric, Tenants};

pub(super) fn run(lab: &Lab, rate: u32, seconds: u32) -> Result<Taken, String> {
    let dir = lab.folder()?;
    let disk = Arc::new(MappedDisk::open(&dir.path().join("log")).map_err(|error| error.to_string())?);
    let options = Options { min_free_percent: 0, ..Options::default() };
    let opened = Log::open(disk, options, Budget::new(64), WallTime::default(), &mut || 42);
    let (mut log, _) = opened.map_err(|error| error.to_string())?;
    let (syncer, keeper) = log.helpers();
    let helpers = [thread::spawn(move || syncer.run()), thread::spawn(move || keeper.run())];
    let mut events = Events::new(Tenants::ZIPF, 1);
    let payloads: Vec<Vec<u8>> = (0..1_000)
        .map(|_| {
            let mut event = Vec::new();
            events.write(&mut event);
            event
        })
        .collect();
    let _hammer = Hammer::start(dir.path());
    let (start, mut times) = (Instant::now(), histogram());
    let interval = Duration::from_nanos(1_000_000_000 / u64::from(rate.max(1)));
    let all = rate * seconds;
    for nth in 0..all {
        let due = start + interval * nth;
        // A shard's turn takes what has come; sleeping between single events would time the timer.
        if Instant::now() < due {
            thread::sleep(TURN);
        }
        let began = Instant::now();
        append(&mut log, &payloads[nth as usize % payloads.len()], start)?;
        record(&mut times, began.elapsed());
    }
    // The helpers end with the log.
    drop(log);
    helpers.into_iter().for_each(|helper| drop(helper.join()));
    let figures = vec![(Metric::AppendP9999, quantile_ms(&times, 0.9999) * 1e3)];
    Ok(Taken { figures, latency: Some(times), command: "the log, inside the harness".to_owned(), ..Taken::default() })
}

fn append(log: &mut Log, payload: &[u8], start: Instant) -> Result<(), String> {
    let index = [1; 60];
    let record = NewRecord { wall: WallTime::default(), tenant_hash: 1, flags: 0, index: &index, payload };
    let now = LogTime::from_ms(start.elapsed().as_millis() as u64);
    loop {
        match log.append(&record, now) {
            Ok(_) => return Ok(()),
            Err(AppendError::WaitForKeeper) => thread::sleep(Duration::from_micros(20)),
            Err(error) => return Err(error.to_string()),
        }
    }
}

const TURN: Duration = Duration::from_millis(1);
