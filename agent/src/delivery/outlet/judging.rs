//! What becomes of an event here: selected and numbered or not, taken in hand, delivered, or lost to the destination.

use scaidrive_codecs::{Body, Entry, Event, Field, Index, Scratch};
use scaidrive_wal::{Record, Seq};

use super::{Condemned, Outlet, Reading};
use crate::delivery::sender::Item;
use crate::stream::books::{Settlement, TenantBooks};
use crate::stream::notice::Loss;
use crate::stream::settled::Lost;
use crate::time::Millis;

impl Outlet {
    /// Whether it takes record `seq` from a pass; `must_go` says that it is to be given up, which needs no room.
    pub fn may_read(&self, seq: Seq, must_go: bool) -> bool {
        (self.sender.has_room() && !self.waits_behind_the_point(seq)) || (must_go && self.may_give_up())
    }

    /// Whether it stays behind at its own place although it could be taken along.
    pub fn waits_though_it_has_room(&self) -> bool {
        self.reading == Reading::Waiting && self.may_read(self.next_seq(), false)
    }

    /// Whether events may be given up now: not while a notice is about to go. One that has to wait as long as somebody
    /// wishes, or for another day, is no reason to keep the log; the next notice tells what is given up meanwhile.
    pub fn may_give_up(&self) -> bool {
        !self.is_telling || self.is_at_rest() || self.halted.is_some()
    }

    /// Judges one event of its scope. `is_given_up` says that the event is too old, or must make room: if it is
    /// selected it gets its number and is passed over.
    ///
    /// Returns an event that the format can't carry.
    pub fn judge(
        &mut self,
        record: &Record,
        event: &Event<'_>,
        is_given_up: bool,
        now: Millis,
        scratch: &mut Scratch,
        tenants: &mut TenantBooks,
    ) -> Option<Condemned> {
        let seq = record.seq().get();
        let is_selected = !self.is_about_itself(record, event) && self.filter.selects(event, scratch);
        if self.passes_over(record, is_selected) {
            return None;
        }
        self.note_point(record.seq());
        self.books.judged += 1;
        self.cursor.is_dirty = true;
        if !self.is_replay() {
            tenants.judged(record.tenant_hash(), event.field(Field::TenantId).unwrap_or_default(), is_selected);
        }
        if !is_selected {
            self.books.filtered += 1;
            self.settled.filtered(seq);
            return None;
        }
        let n = self.settled.selected(seq);
        self.books.selected += 1;
        self.books.in_hand += 1;
        let size = record.payload().len() as u32;
        let item = Item { n, seq, logged_at: record.log_time().as_ms(), size, load: record.clone() };
        if self.was_delivered(n) {
            self.delivered(&item, None, tenants);
            return None;
        }
        if is_given_up {
            self.given_up_end = item.n + 1;
            self.pass_over(&item, Lost::Overflowed, "", tenants);
            return None;
        }
        let (encoder, stream, now_ms) = (&self.encoder, &self.stream, self.clock.wall_ms(now));
        let encode = |item: &Item<Record>, position: u32, body: &mut Body| {
            let stamp = stream.stamp(item.n);
            encoder.encode(event, &Entry { item: position, stamp: Some(&stamp), now_ms }, body, scratch)
        };
        match self.sender.offer(item, now, now_ms, encode) {
            Ok(()) => None,
            Err((item, why)) => Some(Condemned { item, why }),
        }
    }

    /// Everything before `seq` has been seen by the pass it reads with.
    pub fn passed_to(&mut self, seq: Seq) {
        if seq.get() > self.settled.next_seq() {
            self.settled.pass_to(seq.get());
            self.cursor.is_dirty = true;
        }
    }

    /// A condemned event is in the dead-letter store, or the store is full.
    pub fn dead_lettered(&mut self, item: &Item<Record>, why: &str, is_stored: bool, tenants: &mut TenantBooks) {
        let lost = if is_stored { Lost::DeadLettered } else { Lost::Overflowed };
        self.pass_over(item, lost, why, tenants);
        self.wake.notify();
    }

    /// Gives up what waits here and must go: what is older than `logged_before` (log time, ms) or lies before `seq_end`.
    /// Returns whether there was any.
    pub fn give_up(&mut self, logged_before: u64, seq_end: u64, tenants: &mut TenantBooks) -> bool {
        let is_lost = |item: &Item<Record>| item.logged_at < logged_before || item.seq < seq_end;
        if !self.may_give_up() || !self.sender.oldest_waiting().is_some_and(is_lost) {
            return false;
        }
        let mut given_up = Vec::new();
        self.sender.give_up(is_lost, &mut given_up);
        for item in &given_up {
            self.given_up_end = self.given_up_end.max(item.n + 1);
            self.pass_over(item, Lost::Overflowed, "", tenants);
        }
        !given_up.is_empty()
    }

    /// Whether this number was delivered before a restart, ahead of the cursor that the restart found.
    fn was_delivered(&mut self, n: u64) -> bool {
        // Numbers come in ascending order, so what lies behind is over.
        while self.ahead.first().is_some_and(|range| range.end <= n) {
            self.ahead.remove(0);
        }
        self.ahead.first().is_some_and(|range| range.contains(&n))
    }

    pub(super) fn delivered(&mut self, item: &Item<Record>, wall_ms: Option<i64>, tenants: &mut TenantBooks) {
        if self.settled.delivered(item.n).is_err() {
            return;
        }
        self.books.delivered += 1;
        self.books.in_hand -= 1;
        self.cursor.is_dirty = true;
        self.cursor.is_noteworthy = true;
        self.settle_for_tenant(item, Settlement::Delivered, tenants);
        self.tally.delivered_bytes += u64::from(item.size);
        if let Some(wall_ms) = wall_ms {
            self.tally.arrived(u64::try_from(wall_ms - item.load.wall().as_ms()).unwrap_or(0));
        }
    }

    fn pass_over(&mut self, item: &Item<Record>, lost: Lost, why: &str, tenants: &mut TenantBooks) {
        if self.settled.lost(item.n, lost, loss(&item.load, why)).is_err() {
            return;
        }
        self.books.in_hand -= 1;
        match lost {
            Lost::DeadLettered => self.books.dead_lettered += 1,
            Lost::Overflowed => self.books.overflowed += 1,
        }
        self.settle_for_tenant(item, lost.into(), tenants);
        self.cursor.is_dirty = true;
    }

    /// What a replay does is no news of the tenant's events: they were settled before.
    fn settle_for_tenant(&self, item: &Item<Record>, settlement: Settlement, tenants: &mut TenantBooks) {
        if !self.is_replay() {
            tenants.settled(item.load.tenant_hash(), settlement);
        }
    }

    /// A stream never selects from the log what is told about the stream itself: it is told that out of band.
    fn is_about_itself(&self, record: &Record, event: &Event<'_>) -> bool {
        record.flags() & FLAG_OWN != 0
            && event.field(Field::Action).is_some_and(|action| OUT_OF_BAND.contains(&action))
            && own_destination(event).is_some_and(|name| name == self.destination.name)
    }
}

fn loss(record: &Record, why: &str) -> Loss {
    let index = Index::decode(record.index()).ok();
    let event = index.as_ref().map(|index| Event::new(record.payload(), index));
    let text = |field| event.as_ref().and_then(|event| event.field(field)).unwrap_or_default();
    Loss {
        tenant: text(Field::TenantId).into(),
        event_id: text(Field::EventId).into(),
        bytes: record.payload().len() as u32,
        wall_ms: record.wall().as_ms(),
        reason: why.into(),
    }
}

/// The destination that an event of the agent's own is about.
fn own_destination(event: &Event<'_>) -> Option<String> {
    let payload: serde_json::Value = serde_json::from_str(event.field(Field::Payload)?).ok()?;
    Some(payload.get("destination")?.as_str()?.to_owned())
}

/// Record flag: an event of the agent's own.
pub const FLAG_OWN: u16 = 1;
/// Own events that a stream tells its destination itself.
const OUT_OF_BAND: [&str; 3] = ["siem.buffer_overflow", "siem.stream_statement", "siem.events_refused"];
