//! How the log reads at a position.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use crate::format::{HEADER_LEN, Kind, RECORD_HEADER, RecordHead, aligned};
use crate::log::{Log, Segment};
use crate::number::Seq;
use crate::read::{Place, Position, Read, Record};
use crate::scan::{offset_towards, without_holes};
use crate::shared::{From, Request};

/// What one step of a read came to.
enum Step {
    Done(Read),
    /// The position moved; go on from there.
    Moved,
}

impl Log {
    /// Reads the record at `position` if its number is below `end`, and moves the position after it.
    /// Never goes back, and with nothing found missing never stands still: whatever the bytes are,
    /// repeated calls get to the end. Never reads what may not be acknowledged.
    pub fn read(&mut self, position: &mut Position, end: Seq) -> Read {
        let limit = end.min(self.ack_end());
        self.reads += 1;
        loop {
            if position.seq >= limit {
                return Read::End;
            }
            match self.step(position, limit) {
                Step::Done(read) => return read,
                Step::Moved => {}
            }
        }
    }

    fn step(&mut self, position: &mut Position, limit: Seq) -> Step {
        let first = self.first_seq();
        if position.seq < first {
            *position = Position::at(first);
            return Step::Done(Read::Trimmed { now_first: first });
        }
        let is_current = |place: &Place| place.generation == self.generation && place.ordinal >= self.first_ordinal;
        let Some(place) = position.place.as_mut().filter(|place| is_current(place)) else {
            return self.find_place(position);
        };
        let index = (place.ordinal - self.first_ordinal) as usize;
        let Some(segment) = self.segments.get(index) else {
            position.place = None;
            return Step::Moved;
        };
        let records_end = self.records_end(segment);
        if place.offset >= records_end {
            return self.leave_segment(position, index, limit);
        }
        let head_end = place.offset + RECORD_HEADER;
        if !self.make_resident(position, index, head_end.min(records_end)) {
            return Step::Done(Read::Wait);
        }
        self.read_at(position, index, limit)
    }

    /// Reads at a place whose header is in memory.
    fn read_at(&mut self, position: &mut Position, index: usize, limit: Seq) -> Step {
        let segment = &self.segments[index];
        let records_end = self.records_end(segment);
        let (Some(place), Some(mapped)) = (&mut position.place, &segment.mapped) else {
            position.place = None;
            return Step::Moved;
        };
        let region = &mapped.region;
        let at = place.offset;
        let head = (at + RECORD_HEADER <= records_end)
            .then(|| RecordHead::decode(region.bytes(at, at + RECORD_HEADER)))
            .flatten()
            .filter(|head| head.len as usize <= records_end - at);
        let Some(head) = head else {
            return self.look_further(position, index);
        };
        let end = at + head.len as usize;
        let is_resident = end <= place.granted.end || is_recent(self, segment, at);
        if !is_resident && !self.make_resident(position, index, end) {
            return Step::Done(Read::Wait);
        }
        let segment = &self.segments[index];
        let (Some(place), Some(mapped)) = (&mut position.place, &segment.mapped) else {
            position.place = None;
            return Step::Moved;
        };
        if !head.is_sound(segment.salted, mapped.region.bytes(at, end)) {
            return self.look_further(position, index);
        }
        if head.seq >= segment.end && !segment.is_open {
            // Given up after a failed sync; the next segment has what became of it.
            place.offset = records_end;
            return Step::Moved;
        }
        if std::mem::take(&mut place.is_lost) {
            let missing = position.seq..head.seq.min(limit).max(position.seq);
            position.seq = missing.end;
            return damage(missing, &segment.holes);
        }
        if head.seq >= limit {
            // Numbers that were given up in order are no news.
            position.seq = limit;
            return Step::Done(Read::End);
        }
        place.offset = at + aligned(head.len as usize);
        if head.seq < position.seq {
            // On the way from an entry of the index to the position.
            return Step::Moved;
        }
        position.seq = head.seq.next();
        if head.kind != Kind::Event {
            return Step::Moved;
        }
        Step::Done(Read::Record(Record::new(mapped.clone(), at, &head)))
    }

    /// The bytes at the place are no record: goes to the next place where one may start, as far as the
    /// bytes in memory tell.
    fn look_further(&mut self, position: &mut Position, index: usize) -> Step {
        let segment = &self.segments[index];
        let records_end = self.records_end(segment);
        let (Some(place), Some(mapped)) = (&mut position.place, &segment.mapped) else {
            position.place = None;
            return Step::Moved;
        };
        let known = match is_recent(self, segment, place.offset) {
            true => records_end,
            false => place.granted.end.min(records_end),
        };
        let may_start = |at: &usize| {
            let head = RecordHead::decode(mapped.region.bytes(*at, at + RECORD_HEADER));
            head.is_some_and(|head| head.len as usize <= records_end - at)
        };
        let next = place.offset + 8;
        // A header that does not fit below `known` is looked at when more is in memory.
        let fits = (known + 1).saturating_sub(RECORD_HEADER);
        let untested = if known == records_end { records_end } else { next.max(aligned(fits)) };
        place.offset = (next..fits).step_by(8).find(may_start).unwrap_or(untested);
        place.is_lost = true;
        Step::Moved
    }

    /// The place is at the end of a segment: what it should still have had is missing.
    fn leave_segment(&mut self, position: &mut Position, index: usize, limit: Seq) -> Step {
        let segment = &self.segments[index];
        if segment.is_open {
            let is_lost = |place: &mut Place| std::mem::take(&mut place.is_lost);
            let is_lost = position.place.as_mut().is_some_and(is_lost);
            let missing = position.seq..limit;
            position.seq = limit;
            // Without bad bytes the numbers were given up after a failed sync.
            return if is_lost { damage(missing, &[]) } else { Step::Moved };
        }
        position.place = None;
        let missing = position.seq..segment.end.max(position.seq);
        position.seq = missing.end;
        damage(missing, &segment.holes)
    }

    /// Finds the segment of a position.
    fn find_place(&mut self, position: &mut Position) -> Step {
        let after = self.segments.partition_point(|segment| segment.base <= position.seq);
        let Some(index) = after.checked_sub(1) else {
            return Step::Done(Read::End);
        };
        let segment = &self.segments[index];
        if !segment.is_open && position.seq >= segment.end {
            // Numbers between two segments were never used, or trimmed.
            let Some(next) = self.segments.get(index + 1) else {
                return Step::Done(Read::End);
            };
            position.seq = next.base;
            return Step::Moved;
        }
        if !segment.is_readable {
            let missing = position.seq..segment.end;
            position.seq = segment.end;
            return Step::Done(Read::Damage { missing });
        }
        let index_entries = match &self.active {
            Some(active) if segment.is_open => &active.tally.footer().index,
            _ => &segment.footer.index,
        };
        let offset = match position.seq == segment.base {
            true => HEADER_LEN,
            false => offset_towards(index_entries, position.seq).0,
        };
        let is_unknown =
            offset == HEADER_LEN && position.seq != segment.base && segment.state.is_sealed.load(Ordering::Acquire);
        position.place = Some(Place {
            ordinal: self.first_ordinal + index as u64,
            generation: self.generation,
            offset,
            is_lost: false,
            granted: 0..0,
            pending: None,
        });
        if is_unknown {
            // The footer knows where to start, and the keeper can read it.
            let from = From::Seq(position.seq);
            if !self.ask(position, index, from, 0) {
                position.place = None;
            }
            return Step::Done(Read::Wait);
        }
        Step::Moved
    }

    /// Whether the bytes from the place to `end` are in memory; asks for them if not, and for the next
    /// window when half of this one is used.
    fn make_resident(&mut self, position: &mut Position, index: usize, end: usize) -> bool {
        self.collect_grant(position, index);
        let segment = &self.segments[index];
        let Some(place) = &position.place else { return false };
        if segment.mapped.is_some() && is_recent(self, segment, place.offset) {
            self.segments[index].last_read = self.reads;
            return true;
        }
        let has = segment.mapped.is_some() && place.granted.start <= place.offset && end <= place.granted.end;
        let half = (place.granted.start + place.granted.end) / 2;
        let records_end = self.records_end(segment);
        let is_low = place.offset >= half && place.granted.end < records_end;
        if place.pending.is_none() && (!has || is_low) {
            let from = From::Offset(if has { place.granted.end } else { place.offset });
            let size = if has { 0 } else { end.saturating_sub(place.offset) };
            self.ask(position, index, from, size);
        }
        self.segments[index].last_read = self.reads;
        has
    }

    /// Takes the keeper's answer if there is one.
    fn collect_grant(&mut self, position: &mut Position, index: usize) {
        let Some(place) = &mut position.place else { return };
        let Some(grant) = place.pending.as_ref().and_then(|pending| pending.get()) else {
            return;
        };
        let segment = &mut self.segments[index];
        match &grant.mapped {
            Some(mapped) if segment.mapped.is_none() => {
                segment.mapped = Some(mapped.clone());
                segment.last_mapped = Arc::downgrade(mapped);
            }
            Some(_) => {}
            None => segment.is_readable = false,
        }
        if place.granted.end == grant.start && place.granted.start <= place.offset {
            place.granted.end = grant.end;
            // The window slides: what lies behind the place need not stay in memory.
            place.granted.start = place.offset;
        } else {
            place.granted = grant.start..grant.end;
        }
        if place.offset < grant.start && place.granted.start == grant.start {
            place.offset = grant.start;
        }
        place.pending = None;
        if !segment.is_readable {
            position.place = None;
        }
        self.limit_mappings(index);
    }

    /// Queues a request, unless the keeper has too many; the reader asks again then.
    fn ask(&mut self, position: &mut Position, index: usize, from: From, size: usize) -> bool {
        let segment = &mut self.segments[index];
        if segment.mapped.is_none() {
            // Somebody may still hold it.
            segment.mapped = segment.last_mapped.upgrade();
        }
        let segment = &self.segments[index];
        let grant = Arc::new(OnceLock::new());
        let request = Request {
            name: segment.name.clone(),
            mapped: segment.mapped.clone(),
            salted: segment.salted,
            from,
            window: size.saturating_add(self.shared.options.read_ahead as usize),
            records_end: self.records_end(segment),
            grant: grant.clone(),
        };
        let mut keep = self.shared.lock_keep();
        if keep.requests.len() >= REQUESTS_MAX {
            return false;
        }
        keep.requests.push_back(request);
        drop(keep);
        self.shared.keeper_signal.raise();
        if let Some(place) = &mut position.place {
            place.pending = Some(grant);
        }
        true
    }

    /// End of what may be read in a segment.
    fn records_end(&self, segment: &Segment) -> usize {
        match &self.active {
            Some(active) if segment.is_open => active.at,
            _ => segment.footer.records_end as usize,
        }
    }

    /// Lets go of the mapping that was read longest ago, when there are too many.
    pub(crate) fn limit_mappings(&mut self, keep: usize) {
        let durable = self.shared.durable_end();
        // What is not durable may have no name yet to be opened by, and a failed sync needs it.
        let is_idle = |(at, segment): &(usize, &Segment)| {
            segment.mapped.is_some() && !segment.is_open && segment.end <= durable && *at != keep
        };
        let idle = || self.segments.iter().enumerate().filter(is_idle);
        if idle().count() <= MAPPED_MAX {
            return;
        }
        let oldest = idle().min_by_key(|(_, segment)| segment.last_read);
        if let Some((at, _)) = oldest {
            let mapped = self.segments[at].mapped.take();
            self.shared.lock_keep().discards.extend(mapped);
            self.shared.keeper_signal.raise();
        }
    }
}

/// Whether this opening wrote the bytes at `offset` a short while ago, so that they are in memory.
fn is_recent(log: &Log, segment: &Segment, offset: usize) -> bool {
    segment.written_from.is_some_and(|start| {
        let written = start + (offset.saturating_sub(HEADER_LEN)) as u64;
        log.appended - written.min(log.appended) <= RECENT_BYTES
    })
}

/// What a reader is told about missing numbers: nothing, if nobody was ever promised them.
fn damage(missing: Range<Seq>, holes: &[Range<Seq>]) -> Step {
    match without_holes(missing, holes) {
        Some(missing) => Step::Done(Read::Damage { missing }),
        None => Step::Moved,
    }
}

/// Most requests that wait for the keeper.
const REQUESTS_MAX: usize = 64;
/// Most closed segments that stay mapped for readers.
const MAPPED_MAX: usize = 2;
/// What was appended last and is taken to be in memory still.
pub(crate) const RECENT_BYTES: u64 = 16 << 20;
