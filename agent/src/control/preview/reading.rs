//! The events that a preview is made of: from the log's files, the newest segments first, beside whoever writes them.
//!
//! A segment that there was no time for is left out whole, so that what was looked at is the time since some moment.

use std::cmp::Reverse;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scaidrive_wal::Seq;
use scaidrive_wal::inspect::{Export, segments};

use super::{Judge, Preview, Tally};
use crate::cli::words::{size, span};
use crate::config::Selection;
use crate::control::access::Reach;

/// How much of the log is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes of events.
    pub(super) bytes: u64,
    /// How long it may take.
    pub(super) time: Duration,
}

/// A segment file with the first number that is not to be read, and how many newer ones its log has.
struct Stretch {
    path: PathBuf,
    stop: Seq,
    newer: usize,
}

/// Tries `selection` on `logs`, each a directory with the end of what is durable in it. Blocks on the disk.
///
/// # Errors
/// When a log can't be read.
pub(super) fn read(
    logs: &[(PathBuf, Seq)],
    selection: &Selection,
    reach: &Reach,
    bounds: Bounds,
    now_ms: i64,
) -> io::Result<Preview> {
    let mut stretches = Vec::new();
    for (directory, durable_end) in logs {
        stretches.extend(of_log(directory, *durable_end)?);
    }
    stretches.sort_by_key(|stretch| Reverse(stretch.newer));
    let deadline = Instant::now() + bounds.time;
    let mut judge = Judge::new(selection, reach);
    let (mut whole, mut bytes, mut cut) = (Tally::default(), 0, None);
    let mut is_first = true;
    while let Some(stretch) = stretches.pop() {
        if bytes >= bounds.bytes {
            cut = Some(format!("only the newest {} of events were looked at", size(bytes)));
            break;
        }
        let mut tally = Tally::default();
        for record in Export::segment(stretch.path, stretch.stop) {
            let record = record?;
            bytes += record.payload.len() as u64;
            judge.judge(record, &mut tally);
            if Instant::now() >= deadline {
                cut = Some(format!(
                    "there was time for some of the events only: {}",
                    span(bounds.time.as_millis() as u64)
                ));
                break;
            }
        }
        // Half a segment is the older half.
        if cut.is_none() || is_first {
            whole.add_earlier(tally);
        }
        is_first = false;
        if cut.is_some() {
            break;
        }
    }
    Ok(whole.told(selection, now_ms, cut))
}

fn of_log(directory: &Path, durable_end: Seq) -> io::Result<Vec<Stretch>> {
    let segments = match segments(directory) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        segments => segments?,
    };
    let stops = segments.iter().skip(1).map(|(_, base)| (*base).min(durable_end)).chain([durable_end]);
    let newer = (0..segments.len()).rev();
    let stretches = segments.iter().zip(stops).zip(newer);
    Ok(stretches.map(|(((path, _), stop), newer)| Stretch { path: path.clone(), stop, newer }).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use scaidrive_wal::{Budget, ByteCount, Log, LogTime, MappedDisk, NewRecord, Options, WallTime};
    use serde_json::json;

    use super::super::tests::record;
    use super::*;

    /// A log with so many events, all durable.
    fn log(directory: &Path, events: u64) -> Seq {
        let options =
            Options { segment_size: 32 << 10, min_free: ByteCount::new(0), min_free_percent: 0, ..Options::default() };
        let disk = Arc::new(MappedDisk::open(directory).unwrap());
        let (mut log, opened) = Log::open(disk, options, Budget::new(64), WallTime::from_ms(0), &mut || 7).unwrap();
        let (syncer, mut keeper) = log.helpers();
        for seq in 1..=events {
            let event = record(seq, seq as i64, "a", "S", "error");
            let new =
                NewRecord { wall: event.wall, tenant_hash: 0, flags: 0, index: &event.index, payload: &event.payload };
            while log.append(&new, opened.log_time).is_err() {
                while keeper.step() {}
                log.tick(LogTime::from_ms(0));
            }
            while keeper.step() {}
        }
        let job = syncer.begin();
        if let Some(job) = job {
            let synced = job.execute();
            syncer.finish(job, synced);
        }
        log.next_seq()
    }

    fn tried(logs: &[(PathBuf, Seq)], bytes: u64, time: Duration) -> Preview {
        let selection = Selection::read(&json!({})).unwrap();
        read(logs, &selection, &Reach::All, Bounds { bytes, time }, 1_000_000).unwrap()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn every_durable_event_of_every_log_is_looked_at_once_and_none_behind() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("00"), directory.path().join("01"));
        let end = log(&one, 500);
        log(&other, 20);
        let logs = [(one, end), (other, Seq::from_raw(11)), (directory.path().join("02"), Seq::from_raw(9))];
        let preview = tried(&logs, u64::MAX, MINUTE);
        assert_eq!((preview.seen, preview.selected, preview.first_ms), (510, 510, Some(1)));
        assert_eq!(preview.cut, None);
    }

    #[test]
    fn a_long_log_is_cut_at_its_old_end_and_that_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let end = log(directory.path(), 500);
        let logs = [(directory.path().to_owned(), end)];
        let preview = tried(&logs, 10_000, MINUTE);
        assert!(preview.seen > 50 && preview.seen < 400, "{}", preview.seen);
        assert_eq!((preview.last_ms, preview.cut.is_some()), (Some(500), true));
        assert_eq!(preview.first_ms, Some(501 - preview.seen as i64), "nothing is missing in between");
        let hurried = tried(&logs, u64::MAX, Duration::ZERO);
        assert!(hurried.cut.is_some() && hurried.seen == 1, "{}", hurried.seen);
    }
}
