//! How events reach this shard's log, and how their producers hear that they are durable.
//!
//! Always true: a group's `done` is called exactly once; it hears `Durable` only when every record of the group lies
//! below the log's acknowledgement end.

use std::collections::VecDeque;

use scaidrive_codecs::Index;
use scaidrive_wal::{AppendError, Failure, Log, LogTime, NewRecord, Seq, WallTime};

use super::door::{Batch, Done, NoRoom, Outcome, WhenFull};

/// What waits for the disk.
#[derive(Default)]
pub(super) struct Intake {
    /// First record of the group that is being appended.
    group_start: Option<Seq>,
    waiting: VecDeque<Group>,
    /// Batches from other threads for which there was no room, oldest first.
    pub(super) batches: VecDeque<Batch>,
    /// How much of the first batch is in the log already.
    begun: Option<Begun>,
    index: Vec<u8>,
    /// Events appended since the shard began.
    pub(super) appended_events: u64,
    /// Their bytes.
    pub(super) appended_bytes: u64,
    why_no_room: Option<String>,
}

/// A batch that met the end of the room half-way.
struct Begun {
    start: Seq,
    events: usize,
}

struct Group {
    start: Seq,
    end: Seq,
    done: Done,
}

/// The time an event is appended at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Log clock.
    pub(super) log: LogTime,
    /// Wall clock.
    pub(super) wall: WallTime,
}

impl Intake {
    /// Appends one event to the group that is being put together.
    pub(super) fn append(
        &mut self,
        log: &mut Log,
        moment: Moment,
        raw: &[u8],
        index: &Index,
        tenant_hash: u64,
        flags: u16,
    ) -> Result<(), NoRoom> {
        self.index.clear();
        index.encode(&mut self.index);
        let record = NewRecord { wall: moment.wall, tenant_hash, flags, index: &self.index, payload: raw };
        match log.append(&record, moment.log) {
            Ok(seq) => {
                self.group_start.get_or_insert(seq);
                self.appended_events += 1;
                self.appended_bytes += raw.len() as u64;
                self.why_no_room = None;
                Ok(())
            }
            Err(problem) => {
                // A moment's wait for the keeper is not worth telling; a full disk is.
                self.why_no_room = (!matches!(problem, AppendError::WaitForKeeper)).then(|| problem.to_string());
                Err(NoRoom)
            }
        }
    }

    /// Ends the group.
    pub(super) fn end_group(&mut self, log: &Log, done: Done) {
        let start = self.group_start.take();
        self.wait_for_disk(log, start, done);
    }

    /// Appends what other threads delivered, as far as there is room.
    ///
    /// Called between groups: what connections on this thread append is always ended by then.
    pub(super) fn append_batches(&mut self, log: &mut Log, moment: Moment) {
        while let Some(batch) = self.batches.pop_front() {
            let begun = self.begun.take();
            let done_before = begun.as_ref().map_or(0, |begun| begun.events);
            let mut appended = 0;
            let mut is_whole = true;
            for (raw, index, tenant_hash) in batch.events.iter().skip(done_before) {
                if self.append(log, moment, raw, index, tenant_hash, 0).is_err() {
                    is_whole = false;
                    break;
                }
                appended += 1;
            }
            // The group is the whole batch, though it may take several turns and others come between.
            let start = begun.map(|begun| begun.start).or(self.group_start.take());
            self.group_start = None;
            if is_whole {
                self.wait_for_disk(log, start, batch.done);
                continue;
            }
            self.begun = start.map(|start| Begun { start, events: done_before + appended });
            self.batches.push_front(batch);
            self.refuse_those_who_ask();
            return;
        }
    }

    /// There is no room: those who would rather hear so than wait do.
    fn refuse_those_who_ask(&mut self) {
        let Some(why) = self.why_no_room.clone() else { return };
        let is_begun = self.begun.is_some();
        let mut position = 0;
        self.batches.retain_mut(|batch| {
            position += 1;
            let stays = batch.when_full == WhenFull::Wait || (is_begun && position == 1);
            if !stays {
                let done = std::mem::replace(&mut batch.done, Box::new(|_| {}));
                done(Outcome::Refused { why: why.clone(), retry_after_s: RETRY_AFTER_S });
            }
            stays
        });
    }

    fn wait_for_disk(&mut self, log: &Log, start: Option<Seq>, done: Done) {
        match start {
            Some(start) => {
                self.waiting.push_back(Group { start, end: log.next_seq(), done });
                log.request_sync();
            }
            None => done(Outcome::Durable),
        }
    }

    /// Tells the producers whose groups are durable.
    pub(super) fn acknowledge(&mut self, log: &Log) {
        let end = log.ack_end();
        while let Some(group) = self.waiting.pop_front_if(|group| group.end <= end) {
            (group.done)(Outcome::Durable);
        }
    }

    /// A sync failed: the groups with lost records go back to their producers.
    pub(super) fn fail(&mut self, failure: &Failure) {
        let is_hit = |group: &Group| failure.lost.iter().any(|lost| lost.start < group.end && group.start < lost.end);
        let (hit, whole): (VecDeque<_>, VecDeque<_>) = self.waiting.drain(..).partition(is_hit);
        self.waiting = whole;
        for group in hit {
            (group.done)(Outcome::Failed { why: format!("the disk did not keep it: {}", failure.cause) });
        }
    }

    /// The agent stops: what has not been appended is refused.
    pub(super) fn refuse_batches(&mut self) {
        self.begun = None;
        let refused = |done: Done| {
            done(Outcome::Refused { why: String::from("the agent stops"), retry_after_s: RETRY_AFTER_S });
        };
        self.batches.drain(..).for_each(|batch| refused(batch.done));
    }

    /// The agent stops: who still waits is told that its events are not promised.
    pub(super) fn give_back(&mut self) {
        let why = || String::from("the agent stopped before the disk had it");
        for group in self.waiting.drain(..) {
            (group.done)(Outcome::Failed { why: why() });
        }
        for batch in self.batches.drain(..) {
            (batch.done)(Outcome::Failed { why: why() });
        }
    }

    /// Whether somebody waits for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Why the last append failed, if none has succeeded since.
    pub(super) fn why_no_room(&self) -> Option<&str> {
        self.why_no_room.as_deref()
    }
}

/// When a refused producer should come back.
const RETRY_AFTER_S: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::door::Packed;
    use scaidrive_wal::{Budget, ByteCount, MappedDisk, Options, Syncer};
    use std::sync::{Arc, Mutex};

    const RAW: &[u8] = br#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info"}"#;
    const MOMENT: Moment = Moment { log: LogTime::from_ms(0), wall: WallTime::from_ms(0) };

    /// Fates in the order in which they were told.
    type Told = Arc<Mutex<Vec<(&'static str, Outcome)>>>;

    fn tells(told: &Told, who: &'static str) -> Done {
        let told = Arc::clone(told);
        Box::new(move |outcome| told.lock().unwrap().push((who, outcome)))
    }

    fn log(path: &std::path::Path) -> (Log, Syncer) {
        let options =
            Options { segment_size: 64 << 10, min_free: ByteCount::new(0), min_free_percent: 0, ..Options::default() };
        let disk = Arc::new(MappedDisk::open(path).unwrap());
        let (mut log, _) = Log::open(disk, options, Budget::new(16), WallTime::from_ms(0), &mut || 7).unwrap();
        let (syncer, _) = log.helpers();
        (log, syncer)
    }

    #[test]
    fn a_group_hears_that_it_is_durable_when_the_sync_that_covers_all_of_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, syncer) = log(&dir.path().join("log"));
        let mut intake = Intake::default();
        let told = Told::default();
        let index = scaidrive_codecs::index(RAW).unwrap();
        intake.append(&mut log, MOMENT, RAW, &index, 1, 0).unwrap();
        intake.end_group(&log, tells(&told, "first"));
        let job = syncer.begin().expect("the first group waits for a sync");
        // Appended while the sync is under way, on the socket and from another thread: not covered by it.
        intake.append(&mut log, MOMENT, RAW, &index, 1, 0).unwrap();
        intake.end_group(&log, tells(&told, "second"));
        let mut events = Packed::default();
        events.push(RAW, &index, 1);
        intake.batches.push_back(Batch { events, when_full: WhenFull::Wait, done: tells(&told, "third") });
        intake.append_batches(&mut log, MOMENT);
        intake.acknowledge(&log);
        assert_eq!(*told.lock().unwrap(), []);
        let synced = job.execute();
        intake.acknowledge(&log);
        assert_eq!(*told.lock().unwrap(), []);
        syncer.finish(job, synced);
        intake.acknowledge(&log);
        assert_eq!(*told.lock().unwrap(), [("first", Outcome::Durable)]);
        let job = syncer.begin().expect("the others wait for a sync");
        let synced = job.execute();
        syncer.finish(job, synced);
        intake.acknowledge(&log);
        let all = [("first", Outcome::Durable), ("second", Outcome::Durable), ("third", Outcome::Durable)];
        assert_eq!(*told.lock().unwrap(), all);
        assert!(!intake.is_waiting());
    }
}
