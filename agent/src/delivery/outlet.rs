//! One destination on one shard: what it selects, what it holds, what it says, and how far it has come.
//!
//! An outlet joins the pure parts: filter, numbers ([`Settled`]), books, announcements and the sender. It does no I/O;
//! the shard's passes feed it, carriers take its jobs and bring back outcomes.
//!
//! Always true, at the end of every call: the books balance; each number is settled once.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use hdrhistogram::Histogram;
use scaidrive_codecs::{Body, Entry, Event, Field, Filter, Index, Scratch};
use scaidrive_wal::{CursorKey, Record, Seq};

use super::encoder::Encoder;
use super::gate::{Hold, Pass};
use super::sender::{Effect, Item, Job, Limits, Outcome, Sender, ToDo};
use crate::config::{Destination, Kind};
use crate::notify::Notify;
use crate::stored::{self, Decode, Encode};
use crate::stream::announce::{Announcement, Announcer, AnnouncerState, Revision};
use crate::stream::books::{Books, TenantBooks};
use crate::stream::name::StreamName;
use crate::stream::notice::{Damage, Found, Loss};
use crate::stream::settled::{Checkpoint, Lost, Settled};
use crate::stream::statement::Previous;
use crate::time::{Entropy, Millis};

/// A destination's presence on one shard.
#[derive(Debug)]
pub struct Outlet {
    /// The configured place.
    pub destination: Arc<Destination>,
    /// How its bytes look.
    pub encoder: Rc<Encoder>,
    /// Where it reads.
    pub reading: Reading,
    /// Rings when a carrier should look for work.
    pub wake: Rc<Notify>,
    /// What it counts beside the books.
    pub tally: Tally,
    key: CursorKey,
    /// This shard's own: clones share no buffers, so shards don't wait for each other.
    filter: Filter,
    stream: StreamName,
    fingerprint: u64,
    settled: Settled<Loss>,
    books: Books,
    announcer: Announcer,
    sender: Sender<Record>,
    /// First number above all that was given up. Until the cursor has passed there, the gap is not announced, so nothing
    /// above it may go; what is below it and waits is given up too.
    given_up_end: u64,
    /// Records that are missing from the log; told when the epoch behind them begins.
    missing: Vec<Damage>,
    own_under_way: bool,
    /// Announcements in a pipe without answers: written, and settled by time as everything there. What is written after
    /// them arrives after them, so they hold nothing back any more.
    own_written: Vec<[u8; 16]>,
    /// An announcement that may have arrived although no answer said so: it must stay as it is.
    own_in_doubt: Option<[u8; 16]>,
    /// A notice has been made and has not been tried yet. Until then nothing more is given up, so that it tells all.
    is_telling: bool,
    /// Numbers delivered before a restart, ahead of the cursor it found: they are not sent again.
    ahead: Vec<Range<u64>>,
    /// Its reader has passed everything that must go, so that a notice made now tells all of it.
    has_walked: bool,
    is_resting: bool,
    cursor: CursorWrites,
    clock: WallClock,
    /// Why nothing may be sent although the destination would take it.
    halted: Option<String>,
    /// What people should know although all is well, since it was said.
    notice: Option<String>,
}

/// What the wall clock shows, going on from when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct WallClock {
    wall_ms: i64,
    at: Millis,
}

impl WallClock {
    fn wall_ms(&self, now: Millis) -> i64 {
        self.wall_ms.saturating_add_unsigned(now.since(self.at).0)
    }
}

/// Where an outlet reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// With the pass at the log's end.
    AtTail,
    /// With the catch-up pass.
    CatchingUp,
    /// Waits at its own place for the catch-up pass.
    Waiting,
    /// Takes nothing more until what it holds is settled: another epoch, or the end, comes then.
    Draining(Drain),
}

/// What comes when an outlet has drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Another epoch.
    NewEpoch,
    /// The settings are replaced.
    Replaced,
}

/// Plain counts of one outlet, published by the shard.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests by how they ended.
    pub accepted_requests: u64,
    /// Replies that refused something.
    pub refused_requests: u64,
    /// Requests without a useful answer.
    pub failed_requests: u64,
    /// Replies that asked for less.
    pub slow_downs: u64,
    /// Replies that took everything and yet said something that people should know.
    pub notes: u64,
    /// Bytes of event payload accepted.
    pub delivered_bytes: u64,
    /// Wall time of the last acceptance, ms since 1970.
    pub last_success_ms: Option<i64>,
    /// Wall time and words of the last failure.
    pub last_failure: Option<(i64, String)>,
    /// Accepted here to accepted there, in milliseconds, since the start.
    pub latency_ms: Histogram<u32>,
}

impl Default for Tally {
    fn default() -> Tally {
        // From a millisecond to an hour, to two digits: 24 KiB for each destination and shard.
        let latency_ms = Histogram::new_with_bounds(1, 3_600_000, 2).expect("the bounds are in order");
        Tally {
            accepted_requests: 0,
            refused_requests: 0,
            failed_requests: 0,
            slow_downs: 0,
            notes: 0,
            delivered_bytes: 0,
            last_success_ms: None,
            last_failure: None,
            latency_ms,
        }
    }
}

/// What a carrier is to send.
#[derive(Debug)]
pub enum OutletJob {
    /// A batch of events.
    Events(Job<Record>),
    /// One of the agent's own, alone.
    Own(OwnJob),
}

/// A notice or a statement on its way.
#[derive(Debug)]
pub struct OwnJob {
    /// The announcement.
    pub id: [u8; 16],
    /// Whether the destination's gate was closed and this is the probe.
    pub was_probe: bool,
    /// It was accepted, and its acknowledgement comes later.
    pub is_parked: bool,
}

/// What an outlet wants.
#[derive(Debug)]
pub enum Wish {
    /// Send this.
    Send(OutletJob),
    /// Ask again at this moment.
    WaitUntil(Millis),
    /// Ask again when something happened.
    Wait,
}

/// An event that goes to the dead-letter store. Comes back with [`Outlet::dead_lettered`].
#[derive(Debug)]
pub struct Condemned {
    /// The event.
    pub item: Item<Record>,
    /// The destination's words.
    pub why: String,
}

/// What the cursor file holds of an outlet.
#[derive(Debug, Encode, Decode)]
struct CursorBody {
    name: String,
    epoch: [u8; 16],
    fingerprint: u64,
    checkpoint: Checkpoint,
    /// Delivered already, though something before it was not settled.
    ahead: Vec<Range<u64>>,
    announcements: AnnouncerState,
}

#[derive(Debug, Default)]
struct CursorWrites {
    /// Something changed since the last body was taken.
    is_dirty: bool,
    /// It must be written at once.
    is_urgent: bool,
    /// Events were settled since a body was last handed out, durable or not.
    is_noteworthy: bool,
    /// What the cursor on the disk says.
    durable_seq: u64,
    on_its_way: Option<(u64, Revision)>,
}

/// Where an outlet starts.
pub struct Start<'a> {
    /// The label of the node.
    pub node: &'a str,
    /// The agent's id, as text.
    pub agent: &'a str,
    /// The shard's number.
    pub shard: u16,
    /// What the cursor file holds for it.
    pub cursor: Option<&'a [u8]>,
    /// The oldest record that is held: where an outlet without a cursor begins.
    pub oldest: Seq,
    /// The record that will be appended next: a cursor beyond it belongs to a log that is gone.
    pub next: Seq,
    /// Why the numbers can't go on even with a good cursor.
    pub must_begin_anew: bool,
    /// Now.
    pub now: Millis,
    /// The same, in milliseconds since 1970.
    pub wall_ms: i64,
}

impl Outlet {
    /// Opens a destination's place on a shard from its cursor, or at the oldest record where there is none.
    pub fn open(
        destination: Arc<Destination>,
        encoder: Rc<Encoder>,
        start: &Start<'_>,
        entropy: &mut dyn Entropy,
    ) -> Outlet {
        let fingerprint = destination.filter.fingerprint() ^ destination.scope.fingerprint().rotate_left(1);
        let body = start.cursor.and_then(|bytes| stored::decode::<CursorBody>(bytes).ok());
        let found = body.is_some();
        let prefix: Rc<str> = format!("{}.{:.8}.{}", start.agent, destination.id.to_string(), start.shard).into();
        let held = start.oldest.get()..=start.next.get();
        let (checkpoint, announcer, epoch, ahead, anew) = match body {
            Some(body) => {
                let is_other = body.fingerprint != fingerprint || start.must_begin_anew;
                let anew = is_other || !held.contains(&body.checkpoint.next_seq);
                let announcer = Announcer::restore(body.announcements, &body.checkpoint, start.now);
                (body.checkpoint, announcer, body.epoch, body.ahead, anew)
            }
            None => {
                let epoch = new_epoch(entropy);
                let previous = if start.cursor.is_some() { Previous::Lost } else { Previous::None };
                let announcer = Announcer::new(epoch, previous, start.now);
                (Checkpoint::first(start.oldest.get()), announcer, epoch, Vec::new(), false)
            }
        };
        let limits = limits(&destination, encoder.frame_len());
        let mut outlet = Outlet {
            key: CursorKey(destination.id.bytes()),
            stream: StreamName::new(start.node.into(), prefix, epoch),
            filter: destination.filter.clone(),
            destination,
            encoder,
            reading: Reading::Waiting,
            wake: Rc::new(Notify::default()),
            tally: Tally::default(),
            fingerprint,
            settled: Settled::at(checkpoint),
            books: checkpoint.books,
            announcer,
            sender: Sender::new(limits),
            given_up_end: 0,
            missing: Vec::new(),
            own_under_way: false,
            own_written: Vec::new(),
            own_in_doubt: None,
            is_telling: false,
            ahead,
            has_walked: false,
            is_resting: false,
            cursor: CursorWrites {
                durable_seq: if found { checkpoint.next_seq } else { 0 },
                ..CursorWrites::default()
            },
            clock: WallClock { wall_ms: start.wall_ms, at: start.now },
            halted: None,
            notice: None,
        };
        if anew {
            let next_seq = checkpoint.next_seq.clamp(*held.start(), *held.end());
            outlet.begin_epoch(next_seq, start.now, entropy);
        }
        outlet.cursor.is_dirty = true;
        outlet.cursor.is_urgent = anew || !found;
        outlet
    }

    /// Under which its cursor is kept.
    pub fn key(&self) -> CursorKey {
        self.key
    }

    /// The stream, as it is named on the wire.
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// The books.
    pub fn books(&self) -> Books {
        self.books
    }

    /// The books, for a test that falsifies one.
    #[cfg(any(test, feature = "sim"))]
    pub fn books_mut(&mut self) -> &mut Books {
        &mut self.books
    }

    /// The first record it has not judged, for one that waits at its own place.
    pub fn next_seq(&self) -> Seq {
        Seq::from_raw(self.settled.next_seq())
    }

    /// The sender, to look at.
    pub fn sender(&self) -> &Sender<Record> {
        &self.sender
    }

    /// The announcements, to look at.
    pub fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// Whether it takes more from a pass; `must_go` says that what comes next is to be given up, which needs no room.
    pub fn may_read(&self, must_go: bool) -> bool {
        self.sender.has_room() || (must_go && self.may_give_up())
    }

    /// Whether events may be given up now.
    pub fn may_give_up(&self) -> bool {
        !self.is_telling
    }

    /// Stops sending (a pause, or the agent ends); what is under way goes on.
    pub fn rest(&mut self, rests: bool) {
        self.is_resting = rests;
        self.wake.notify();
    }

    /// Whether nothing is sent, by somebody's wish.
    pub fn is_resting(&self) -> bool {
        self.is_resting
    }

    /// Whether requests are under way.
    pub fn is_busy(&self) -> bool {
        self.sender.under_way() + self.sender.parked() > 0 || self.own_under_way || !self.own_written.is_empty()
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
        self.books.judged += 1;
        self.cursor.is_dirty = true;
        let is_selected = !self.is_about_itself(record, event) && self.filter.selects(event, scratch);
        tenants.judged(record.tenant_hash(), event.field(Field::TenantId).unwrap_or_default(), is_selected);
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

    /// What is to be sent now.
    pub fn wish(
        &mut self,
        now: Millis,
        entropy: &mut dyn Entropy,
        condemned: &mut Vec<Condemned>,
        tenants: &mut TenantBooks,
    ) -> Wish {
        if self.is_resting {
            return Wish::Wait;
        }
        self.announce(now, entropy);
        let mut until = None;
        if !self.own_under_way
            && let Some(announcement) = self.announcer.front_beyond(&self.own_written)
        {
            let id = announcement.id();
            match self.sender.may_send_own(now) {
                Pass::Free => return self.send_own(id, false),
                Pass::AsProbe(_) => return self.send_own(id, true),
                Pass::NotBefore(moment) => until = Some(moment),
                Pass::AwaitProbe => {}
            }
        }
        if self.announcer.holds_back(&self.own_written) || self.is_giving_up() {
            if let Pass::NotBefore(moment) = self.sender.may_send_own(now) {
                until = Some(moment);
            }
            return until.map_or(Wish::Wait, Wish::WaitUntil);
        }
        let todo = self.sender.next(now);
        let mut effects = Vec::new();
        self.sender.condemned(&mut effects);
        self.apply(effects, None, condemned, tenants);
        match todo {
            ToDo::Send(job) => {
                for item in &job.batch.items {
                    // The mark is for people who look; the sender knows where each event is.
                    let _ = self.settled.in_flight(item.n);
                }
                Wish::Send(OutletJob::Events(job))
            }
            ToDo::WaitUntil(moment) => Wish::WaitUntil(until.map_or(moment, |other| other.min(moment))),
            ToDo::Wait => until.map_or(Wish::Wait, Wish::WaitUntil),
        }
    }

    /// The announcement with this id, if it is still the one to send.
    pub fn announcement(&self, id: [u8; 16]) -> Option<Announcement<'_>> {
        self.announcer.front_beyond(&self.own_written).filter(|announcement| announcement.id() == id)
    }

    /// How a request with events ended.
    #[allow(clippy::too_many_arguments)]
    pub fn settle(
        &mut self,
        job: Job<Record>,
        outcome: Outcome,
        now: Millis,
        wall_ms: i64,
        entropy: &mut dyn Entropy,
        condemned: &mut Vec<Condemned>,
        tenants: &mut TenantBooks,
    ) {
        self.clock = WallClock { wall_ms, at: now };
        self.note(&outcome, wall_ms);
        let mut effects = Vec::new();
        self.sender.settle(job, outcome, now, entropy, &mut effects);
        self.apply(effects, Some(wall_ms), condemned, tenants);
        self.wake.notify();
    }

    /// A request was accepted, and its acknowledgement comes later.
    pub fn parked(&mut self, job: &mut OutletJob, slow_down: bool) {
        match job {
            OutletJob::Events(job) => self.sender.park(job, slow_down),
            OutletJob::Own(job) => {
                job.is_parked = true;
                self.sender.reached();
            }
        }
        self.wake.notify();
    }

    /// A batch was written to a pipe that does not answer; it is settled later.
    pub fn written(&mut self, wall_ms: i64) {
        self.tally.accepted_requests += 1;
        self.tally.last_success_ms = Some(wall_ms);
        self.sender.reached();
    }

    /// An announcement was written to a pipe that does not answer; it is settled later.
    pub fn own_written(&mut self, id: [u8; 16], wall_ms: i64) {
        self.own_under_way = false;
        self.own_written.push(id);
        self.own_in_doubt = Some(id);
        self.is_telling = false;
        self.written(wall_ms);
        self.wake.notify();
    }

    /// How many carriers may work for it at once.
    pub fn carriers_max(&self) -> u32 {
        if matches!(self.destination.kind, Kind::Syslog(_)) { 1 } else { self.sender.lane_width() }
    }

    /// How a request with an announcement ended. `may_have_arrived` says that it was sent and no answer came.
    pub fn own_settled(
        &mut self,
        job: &OwnJob,
        outcome: &Outcome,
        may_have_arrived: bool,
        now: Millis,
        wall_ms: i64,
        entropy: &mut dyn Entropy,
    ) {
        match self.own_written.iter().position(|id| *id == job.id) {
            Some(at) => drop(self.own_written.remove(at)),
            None => self.own_under_way = false,
        }
        self.is_telling = false;
        if may_have_arrived {
            self.own_in_doubt = Some(job.id);
        }
        self.note(outcome, wall_ms);
        // How it was answered was heard when it was parked; an acknowledgement is no news of how the destination is now.
        if !job.is_parked {
            self.sender.own_settled(outcome, job.was_probe, now, entropy);
        }
        self.cursor.is_dirty |= match outcome {
            Outcome::Accepted { .. } => self.announcer.accepted(job.id),
            // However this try ended, an earlier one may have arrived.
            _ => self.own_in_doubt != Some(job.id) && self.announcer.recall(job.id),
        };
        self.wake.notify();
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
        if self.is_telling || !self.sender.oldest_waiting().is_some_and(is_lost) {
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

    /// The settled prefix moves; what is due to be said is made. Call once a turn. `must_go` is the first record that
    /// need not be given up.
    pub fn advance(&mut self, must_go: Seq, now: Millis, entropy: &mut dyn Entropy) {
        let announcer = &mut self.announcer;
        let before = self.settled.checkpoint();
        let mut is_jump = false;
        let checkpoint = self.settled.advance(|n, lost, loss| {
            if lost == Lost::Overflowed {
                is_jump = true;
            }
            // Numbers ascend here by construction: `advance` hands them out in order.
            let _ = announcer.pass_over(lost, n, &loss, now);
        });
        self.announcer.settled(&checkpoint, now);
        self.has_walked = self.settled.next_seq() >= must_go.get();
        self.cursor.is_dirty |= checkpoint != before;
        self.cursor.is_urgent |= is_jump;
        self.announce(now, entropy);
        // Damage begins another epoch even for one that is about to be replaced; its successor starts behind it.
        if let Reading::Draining(drain) = self.reading
            && self.settled.is_empty()
            && (drain == Drain::NewEpoch || !self.missing.is_empty())
        {
            self.begin_epoch(self.settled.next_seq(), now, entropy);
            if drain == Drain::NewEpoch {
                self.reading = Reading::Waiting;
            }
        }
    }

    /// Makes what is due to be said, when it could be sent now: a notice tells everything that was lost until then.
    fn announce(&mut self, now: Millis, entropy: &mut dyn Entropy) {
        let may_send = matches!(self.sender.may_send_own(now), Pass::Free | Pass::AsProbe(_));
        if may_send && self.has_walked && self.announcer.make_due(now, entropy) {
            self.is_telling = true;
            self.cursor.is_dirty = true;
            self.cursor.is_urgent = true;
        }
    }

    /// Records with these seqs are missing where it reads.
    pub fn damaged(&mut self, seqs: Range<u64>) {
        let is_full = self.missing.len() >= MISSING_MAX;
        match self.missing.last_mut() {
            Some(last) if is_full => last.seqs.end = seqs.end,
            _ => self.missing.push(Damage { segment: String::new(), bytes: 0, seqs, found: Found::Reading }),
        }
    }

    /// It takes nothing more until what it holds is settled.
    pub fn drain_for(&mut self, drain: Drain) {
        self.reading = Reading::Draining(drain);
    }

    /// Log time of the oldest event that waits, in milliseconds.
    pub fn oldest_logged_at(&self) -> Option<u64> {
        self.sender.oldest_waiting().map(|item| item.logged_at)
    }

    /// Whether nothing is in its hands.
    pub fn is_empty(&self) -> bool {
        self.settled.is_empty()
    }

    /// The destination is gone: what is in hand, and the `unread` records behind it, are written off, and the last
    /// statement says so. Only announcements go out from now on.
    pub fn abandon(&mut self, unread: u64, now: Millis, entropy: &mut dyn Entropy) {
        let mut in_hand = Vec::new();
        self.sender.give_up(|_| true, &mut in_hand);
        self.books.abandoned += self.books.in_hand;
        let abandoned = self.books.in_hand + unread;
        self.books.in_hand = 0;
        self.announcer.close(abandoned, now, entropy);
        // Its cursor is removed with it, so nothing has to be durable before it is said.
        self.announcer.durable(self.announcer.revision());
        self.given_up_end = 0;
        // What is still in requests is written off too: its outcome changes nothing any more.
        self.settled = Settled::at(self.settled.checkpoint());
        self.reading = Reading::Draining(Drain::Replaced);
        self.rest(false);
    }

    /// Takes the cursor body to write, when one is due: always when `is_time`, at once for a jump.
    pub fn cursor_body(&mut self, is_time: bool) -> Option<Vec<u8>> {
        let is_due = self.cursor.is_dirty && (is_time || self.cursor.is_urgent) && self.cursor.on_its_way.is_none();
        if is_due { self.cursor_body_now() } else { None }
    }

    /// Takes the cursor body as of now.
    pub fn cursor_body_now(&mut self) -> Option<Vec<u8>> {
        let body = self.body()?;
        self.cursor.is_dirty = false;
        self.cursor.is_urgent = false;
        self.cursor.on_its_way = Some((self.settled.checkpoint().next_seq, self.announcer.revision()));
        Some(body)
    }

    fn body(&mut self) -> Option<Vec<u8>> {
        let checkpoint = self.settled.checkpoint();
        let body = CursorBody {
            name: self.destination.name.clone(),
            epoch: self.stream.epoch(),
            fingerprint: self.fingerprint,
            checkpoint,
            ahead: self.settled.delivered_ahead(AHEAD_MAX),
            announcements: self.announcer.state(),
        };
        let mut bytes = Vec::new();
        stored::encode(&body, &mut bytes).ok()?;
        self.cursor.is_noteworthy = false;
        Some(bytes)
    }

    /// A body to be written without a sync, when events were settled since the last one: a killed agent then sends
    /// again only what was not answered.
    pub fn cursor_note(&mut self) -> Option<Vec<u8>> {
        if self.cursor.is_noteworthy && self.cursor.durable_seq > 0 { self.body() } else { None }
    }

    /// The body taken last is on the disk, or could not be written.
    pub fn cursor_written(&mut self, is_durable: bool) {
        let Some((seq, revision)) = self.cursor.on_its_way.take() else { return };
        if is_durable {
            self.cursor.durable_seq = seq;
            self.announcer.durable(revision);
            self.wake.notify();
        } else {
            self.cursor.is_dirty = true;
            self.is_telling = false;
        }
    }

    /// Where the durable cursor stands: nothing before it is needed any more.
    pub fn durable_seq(&self) -> u64 {
        self.cursor.durable_seq
    }

    /// Until its first cursor is written, records from `seq` on are needed.
    pub fn protect_from(&mut self, seq: u64) {
        self.cursor.durable_seq = self.cursor.durable_seq.min(seq);
        self.cursor.is_urgent = true;
    }

    /// A change that can't wait for the next regular cursor write.
    pub fn wants_cursor_now(&self) -> bool {
        self.cursor.is_dirty && self.cursor.is_urgent && self.cursor.on_its_way.is_none()
    }

    /// Why nothing may be sent although the destination would take it; `None` when it may.
    pub fn set_halted(&mut self, why: Option<String>) {
        if why.is_none() && self.halted.is_some() {
            self.notice = None;
        }
        self.halted = why;
    }

    /// What people should know although all is well.
    pub fn set_notice(&mut self, words: String) {
        self.notice = Some(words);
    }

    /// What it is to people.
    pub fn state(&self) -> (&'static str, Option<String>) {
        let Some(closed) = self.sender.closed() else {
            let state = if self.sender.has_suspects() { "active_with_errors" } else { "active" };
            return match (&self.halted, self.is_resting) {
                (_, true) => ("paused", None),
                (Some(why), false) => ("throttled", Some(why.clone())),
                (None, false) => (state, self.notice.clone()),
            };
        };
        let state = match closed.hold {
            Hold::Credentials => "auth_hold",
            Hold::Misconfigured => "misconfigured",
            Hold::Throttled => "throttled",
            Hold::Unreachable | Hold::Trouble if closed.failures >= CIRCUIT_FAILURES => "circuit_open",
            Hold::Unreachable | Hold::Trouble => "retrying",
        };
        (state, Some(closed.cause.clone()))
    }

    fn begin_epoch(&mut self, next_seq: u64, now: Millis, entropy: &mut dyn Entropy) {
        let epoch = new_epoch(entropy);
        self.announcer.begin_epoch(epoch, self.settled.next_n(), now, entropy);
        self.stream = self.stream.in_epoch(epoch);
        for damage in std::mem::take(&mut self.missing) {
            self.announcer.damaged(&damage, entropy);
        }
        self.settled = Settled::at(Checkpoint::first(next_seq));
        self.ahead.clear();
        self.given_up_end = 0;
        self.books = Books::default();
        self.cursor.is_dirty = true;
        self.cursor.is_urgent = true;
    }

    /// Whether the cursor has yet to pass what was given up.
    fn is_giving_up(&self) -> bool {
        self.settled.checkpoint().next_n < self.given_up_end
    }

    fn send_own(&mut self, id: [u8; 16], was_probe: bool) -> Wish {
        self.own_under_way = true;
        if was_probe {
            self.sender.own_sent();
        }
        Wish::Send(OutletJob::Own(OwnJob { id, was_probe, is_parked: false }))
    }

    fn apply(
        &mut self,
        effects: Vec<Effect<Record>>,
        wall_ms: Option<i64>,
        condemned: &mut Vec<Condemned>,
        tenants: &mut TenantBooks,
    ) {
        for effect in effects {
            match effect {
                Effect::Delivered(items) => {
                    for item in &items {
                        self.delivered(item, wall_ms, tenants);
                    }
                    self.sender.recycle(items);
                }
                Effect::DeadLetter(item, why) => condemned.push(Condemned { item, why }),
            }
        }
    }

    /// Whether this number was delivered before a restart, ahead of the cursor that the restart found.
    fn was_delivered(&mut self, n: u64) -> bool {
        // Numbers come in ascending order, so what lies behind is over.
        while self.ahead.first().is_some_and(|range| range.end <= n) {
            self.ahead.remove(0);
        }
        self.ahead.first().is_some_and(|range| range.contains(&n))
    }

    fn delivered(&mut self, item: &Item<Record>, wall_ms: Option<i64>, tenants: &mut TenantBooks) {
        if self.settled.delivered(item.n).is_err() {
            return;
        }
        self.books.delivered += 1;
        self.books.in_hand -= 1;
        self.cursor.is_dirty = true;
        self.cursor.is_noteworthy = true;
        tenants.settled(item.load.tenant_hash(), crate::stream::books::Settlement::Delivered);
        self.tally.delivered_bytes += u64::from(item.size);
        if let Some(wall_ms) = wall_ms {
            self.tally.latency_ms.saturating_record(u64::try_from(wall_ms - item.load.wall().as_ms()).unwrap_or(0));
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
        tenants.settled(item.load.tenant_hash(), lost.into());
        self.cursor.is_dirty = true;
    }

    fn note(&mut self, outcome: &Outcome, wall_ms: i64) {
        match outcome {
            Outcome::Accepted { slow_down } => {
                self.tally.accepted_requests += 1;
                self.tally.slow_downs += u64::from(*slow_down);
                self.tally.last_success_ms = Some(wall_ms);
            }
            Outcome::Refused { why, .. } | Outcome::TooLarge { why } | Outcome::Apart { why, .. } => {
                self.tally.refused_requests += 1;
                self.tally.last_failure = Some((wall_ms, why.clone()));
            }
            Outcome::AcceptedBut { refused, again, slow_down, note } => {
                if refused.is_empty() && again.is_empty() {
                    self.tally.accepted_requests += 1;
                    self.tally.last_success_ms = Some(wall_ms);
                } else {
                    self.tally.refused_requests += 1;
                }
                self.tally.slow_downs += u64::from(*slow_down);
                self.tally.notes += u64::from(note.is_some());
                if let Some(said) = refused.first().map(|(_, why)| why).or(note.as_ref()) {
                    self.tally.last_failure = Some((wall_ms, said.clone()));
                }
            }
            Outcome::Retry { why, hold, .. } => {
                self.tally.failed_requests += 1;
                self.tally.slow_downs += u64::from(*hold == Hold::Throttled);
                self.tally.last_failure = Some((wall_ms, why.clone()));
            }
        }
    }

    /// A stream never selects from the log what is told about the stream itself: it is told that out of band.
    fn is_about_itself(&self, record: &Record, event: &Event<'_>) -> bool {
        record.flags() & FLAG_OWN != 0
            && event.field(Field::Action).is_some_and(|action| OUT_OF_BAND.contains(&action))
            && own_destination(event).is_some_and(|name| name == self.destination.name)
    }
}

fn limits(destination: &Destination, frame_len: usize) -> Limits {
    let is_pipe = matches!(&destination.kind, Kind::Syslog(syslog) if syslog.transport.is_pipe());
    let in_flight = match (is_pipe, destination.ordered) {
        (true, _) => PIPE_BATCHES_MAX,
        (false, true) => 1,
        (false, false) => destination.in_flight_max as u32,
    };
    let usual_queue = destination.batch.max_size * (in_flight as usize + 2);
    Limits {
        max_events: destination.batch.max_events,
        max_size: destination.batch.max_size.saturating_sub(frame_len),
        linger: destination.batch.linger,
        in_flight,
        is_ordered: is_pipe || destination.ordered,
        is_pipe,
        queue_bytes: if is_pipe { PIPE_BYTES_MAX } else { usual_queue },
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

fn new_epoch(entropy: &mut dyn Entropy) -> [u8; 16] {
    let (high, low) = (entropy.next_u64(), entropy.next_u64());
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}

/// Record flag: an event of the agent's own.
pub const FLAG_OWN: u16 = 1;
/// Own events that a stream tells its destination itself.
const OUT_OF_BAND: [&str; 3] = ["siem.buffer_overflow", "siem.stream_statement", "siem.events_refused"];
/// What was written to a pipe and may not have been read: batches, and bytes of events.
const PIPE_BATCHES_MAX: u32 = 1 << 20;
const PIPE_BYTES_MAX: usize = 128 << 20;
/// Failures in a row after which the circuit is called open.
const CIRCUIT_FAILURES: u32 = 5;
/// Ranges of numbers delivered ahead of the cursor that it remembers.
const AHEAD_MAX: usize = 64;
/// Stretches of damage told one by one.
const MISSING_MAX: usize = 100;
