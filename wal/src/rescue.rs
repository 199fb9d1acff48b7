//! What happens after a failed sync: every record that was not acknowledged is read back, and what
//! passes its checksum is copied into a new segment under its old number.
//!
//! The failed segment keeps what was durable before, and is never written again. Its other records are
//! not believed any more, whatever the cache shows: the new segment begins where the durable prefix
//! ends, and a segment ends where the next one's base begins.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk::Access;
use crate::format::{Kind, RECORD_HEADER, RecordHead};
use crate::log::{Log, Segment};
use crate::map::Region;
use crate::number::Seq;
use crate::report::{AppendError, Failure};
use crate::scan::{find_record, offset_towards};
use crate::shared::Mapped;

/// A rescue under way: it may have to wait for a spare, or for pages.
#[derive(Debug)]
pub(crate) struct Rescue {
    cause: io::Error,
    /// Everything that was not durable.
    range: Range<Seq>,
    /// Next number to copy.
    at: Seq,
    lost: Vec<Range<Seq>>,
    sources: VecDeque<Lost>,
}

/// A segment whose undurable records are copied.
#[derive(Debug)]
struct Lost {
    region: Option<Arc<Region>>,
    salted: u32,
    offset: usize,
    limit: usize,
    end: Seq,
}

impl Log {
    /// Goes on with what a failure needs. `Ok` when everything is settled and appending can go on.
    pub(crate) fn settle_failure(&mut self) -> Result<(), AppendError> {
        if self.rescue.is_none() {
            self.begin_rescue()?;
        }
        while let Some((source, at, head)) = self.next_to_rescue() {
            let (index, payload) =
                source.bytes(at + RECORD_HEADER, at + head.len as usize).split_at(head.index_len as usize);
            let copy = RecordHead { durable_end: self.shared.durable_end(), ..head };
            self.put_rescued(copy, index, payload)?;
            let Some(rescue) = &mut self.rescue else { break };
            rescue.lose(head.seq);
            rescue.at = head.seq.next();
        }
        self.witness_loss()?;
        self.finish_rescue();
        Ok(())
    }

    fn put_rescued(&mut self, head: RecordHead, index: &[u8], payload: &[u8]) -> Result<(), AppendError> {
        let next = self.next;
        if self.active.is_some() {
            // A segment that the rescue fills up ends with what is in it so far.
            self.next = head.seq;
        }
        let outcome = self.put(head, index, payload);
        self.next = next;
        outcome
    }

    /// Where the last numbers are lost, a mark remembers that they were used.
    fn witness_loss(&mut self) -> Result<(), AppendError> {
        let is_lost = |rescue: &Rescue| rescue.at < rescue.range.end;
        if !self.rescue.as_ref().is_some_and(is_lost) {
            return Ok(());
        }
        let mark = self.own_head(Kind::Mark, self.last_append);
        self.put(mark, &[], &[])?;
        self.next = mark.seq.next();
        Ok(())
    }

    fn begin_rescue(&mut self) -> Result<(), AppendError> {
        let shared = self.shared.clone();
        let mut queue = shared.lock_sync();
        if queue.fatal.is_some() {
            let first = !std::mem::replace(&mut self.has_died, true);
            if first {
                let what = queue.fatal.clone().unwrap_or_default();
                self.ack_hold = Some(shared.durable_end());
                self.failure = Some(Failure {
                    rescued: shared.durable_end()..shared.durable_end(),
                    lost: Vec::new(),
                    cause: io::Error::other(what),
                });
            }
            return Err(AppendError::Failed);
        }
        if queue.is_in_flight {
            // The syncer still renames files of this group.
            return Err(AppendError::WaitForKeeper);
        }
        let durable = shared.durable_end();
        self.leave_active(durable);
        let cause = queue.failure.take().unwrap_or_else(|| io::Error::other("the sync failed"));
        // The failed group may or may not have renamed a file: whichever name it has must go.
        let spare_names: Vec<(Seq, String)> =
            queue.files.drain(..).filter_map(|file| Some((file.base, file.spare_name?))).collect();
        let from = self.segments.partition_point(|segment| segment.base < durable);
        let undurable = self.segments.split_off(from);
        queue.superseded.extend(undurable.iter().map(|segment| segment.name.clone()));
        let is_undurable = |base: &Seq| undurable.iter().any(|segment| segment.base == *base);
        let spares = spare_names.into_iter().filter(|(base, _)| is_undurable(base));
        queue.superseded.extend(spares.map(|(_, name)| name));
        let freed = crate::log::parts_of(undurable.iter().map(Segment::file_len), &shared.options);
        drop(queue);
        shared.share.give(freed);
        let mut sources = VecDeque::new();
        if let Some(last) = self.segments.back_mut().filter(|last| last.end > durable) {
            sources.push_back(source(&shared, last, durable));
            last.end = durable;
            last.is_suspect = true;
        }
        sources.extend(undurable.iter().map(|segment| source(&shared, segment, durable)));
        shared.lock_keep().discards.extend(undurable.into_iter().filter_map(|segment| segment.mapped));
        self.generation += 1;
        self.ack_hold = Some(self.ack_hold.map_or(durable, |hold| hold.min(durable)));
        self.rescue = Some(Rescue { cause, range: durable..self.next, at: durable, lost: Vec::new(), sources });
        Ok(())
    }

    /// Stops appending where the failure found us; what waits for a footer must not get one.
    fn leave_active(&mut self, durable: Seq) {
        if let (Some(active), Some(segment)) = (self.active.take(), self.segments.back_mut())
            && segment.is_open
        {
            segment.is_open = false;
            segment.end = self.next;
            segment.footer = Arc::new(active.tally.into_footer(self.next));
        }
        let mut keep = self.shared.lock_keep();
        keep.populate = None;
        keep.seals.retain(|seal| seal.footer.end <= durable.get());
    }

    /// The next sound record among those that were not durable.
    fn next_to_rescue(&mut self) -> Option<(Arc<Region>, usize, RecordHead)> {
        let rescue = self.rescue.as_mut()?;
        while let Some(source) = rescue.sources.front_mut() {
            let found = source.region.as_ref().and_then(|region| {
                find_record(&mut &**region, source.salted, source.offset, source.limit, rescue.at)
                    .filter(|(_, head)| head.seq < source.end.min(rescue.range.end))
                    .map(|(at, head)| (region.clone(), at, head))
            });
            if let Some((region, at, head)) = found {
                source.offset = at;
                return Some((region, at, head));
            }
            rescue.sources.pop_front();
        }
        None
    }

    fn finish_rescue(&mut self) {
        let Some(mut rescue) = self.rescue.take() else { return };
        rescue.lose(rescue.range.end);
        let mut failure = Failure { rescued: rescue.range, lost: rescue.lost, cause: rescue.cause };
        // One that nobody has taken yet is part of this one.
        if let Some(earlier) = self.failure.take() {
            failure.rescued.start = failure.rescued.start.min(earlier.rescued.start);
            failure.lost.splice(0..0, earlier.lost);
        }
        self.failure = Some(failure);
        self.shared.append_end.store(self.next.get(), Ordering::Release);
        self.shared.has_failed.store(false, Ordering::Release);
        self.request_sync();
        self.shared.waker.wake();
    }
}

impl Rescue {
    /// Everything from where we are up to `seq` is lost.
    fn lose(&mut self, seq: Seq) {
        if self.at < seq {
            self.lost.push(self.at..seq);
        }
    }
}

fn source(shared: &crate::shared::Shared, segment: &Segment, durable: Seq) -> Lost {
    let mapped = segment.mapped.clone().or_else(|| {
        let region = Arc::new(shared.disk.open(&segment.name, Access::Read).ok()?);
        Some(Arc::new(Mapped { region }))
    });
    let region = mapped.map(|mapped| mapped.region.clone());
    let limit = region.as_ref().map_or(0, |region| region.frontier().min(segment.footer.records_end as usize));
    Lost {
        region,
        salted: segment.salted,
        offset: offset_towards(&segment.footer.index, durable).0,
        limit,
        end: segment.end,
    }
}
