//! One destination on one shard: what it selects, what it holds, what it says, and how far it has come.
//!
//! An outlet joins the pure parts: filter, numbers ([`Settled`]), books, announcements and the sender. It does no I/O;
//! the shard's passes feed it, carriers take its jobs and bring back outcomes.
//!
//! | file | what it decides |
//! |---|---|
//! | `judging.rs` | what becomes of an event: selected or not, delivered, given up, lost |
//! | `sending.rs` | what goes next, and what an answer means for events and announcements |
//! | `own.rs` | how far its announcements have come on their way |
//! | `letters.rs` | dead letters that are sent again |
//! | `flow.rs` | what an operator lets through: pauses and draining |
//! | `replay.rs` | what an outlet is that reads again what was settled before |
//! | `cursor.rs` | what the cursor file holds, and when it is written |
//! | `tally.rs` | plain counts beside the books |
//!
//! Always true, at the end of every call: the books balance; each number is settled once.

mod cursor;
mod flow;
mod judging;
mod letters;
mod own;
mod replay;
mod sending;
mod tally;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use scaidrive_codecs::Filter;
use scaidrive_wal::{CursorKey, Record, Seq};

pub use self::flow::{DrainReport, Flow};
pub use self::judging::FLAG_OWN;
pub use self::letters::Sending;
pub use self::replay::Stretch;
pub use self::sending::{Lone, LoneJob, OutletJob, Wish};
pub use self::tally::Tally;

use self::cursor::{CursorBody, CursorWrites};
use self::letters::Letters;
use self::own::Own;
use self::replay::Replay;
use super::cause::{Cause, Reason};
use super::encoder::Encoder;
use super::gate::{Closed, Hold};
use super::pool::Pool;
use super::sender::{Effect, Item, Limits, Sender};
use crate::config::{Destination, Kind};
use crate::notify::Notify;
use crate::stored;
use crate::stream::announce::Announcer;
use crate::stream::books::Books;
use crate::stream::marks::Marks;
use crate::stream::name::StreamName;
use crate::stream::notice::{Damage, Found, GapNotice, Loss};
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
    /// Kept empty, for its memory.
    effects: Vec<Effect<Record>>,
    /// First number above all that was given up. Until the cursor has passed there, the gap is not announced, so nothing
    /// above it may go; what is below it and waits is given up too.
    given_up_end: u64,
    /// Records that are missing from the log; told when the epoch behind them begins.
    missing: Vec<Damage>,
    own: Own,
    /// A notice has been made and has not been tried yet. Until then nothing more is given up, so that it tells all.
    is_telling: bool,
    /// Numbers delivered before a restart, ahead of the cursor it found: they are not sent again.
    ahead: Vec<Range<u64>>,
    /// Its reader has passed everything that must go, so that a notice made now tells all of it.
    has_walked: bool,
    /// Nothing new is sent because the place is about to end.
    is_resting: bool,
    /// What an operator lets through.
    flow: Flow,
    /// The first record that it does not take, while there is one.
    bound: Option<Seq>,
    /// The first number from behind the bound, once its reader has come there.
    point_n: Option<u64>,
    letters: Letters,
    /// Where the numbers of the present epoch stand in the log.
    marks: Marks,
    /// Present in a replay; absent in the live stream.
    replay: Option<Replay>,
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
    /// Nothing: a replay has come to its end.
    Replayed,
}

/// An event that goes to the dead-letter store. Comes back with [`Outlet::dead_lettered`].
#[derive(Debug)]
pub struct Condemned {
    /// The event.
    pub item: Item<Record>,
    /// The destination's words.
    pub why: String,
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
    /// What the shard's senders fill together.
    pub pool: &'a Pool<Record>,
}

impl Outlet {
    /// Opens a destination's place on a shard from its cursor, or at the oldest record where there is none.
    pub fn open(
        destination: Arc<Destination>,
        encoder: Rc<Encoder>,
        start: &Start<'_>,
        entropy: &mut dyn Entropy,
    ) -> Outlet {
        let fingerprint = fingerprint(&destination);
        let body = start.cursor.and_then(|bytes| stored::decode::<CursorBody>(bytes).ok());
        let found = body.is_some();
        let prefix = StreamName::prefix(start.agent, destination.id, start.shard);
        let held = start.oldest.get()..=start.next.get();
        let (checkpoint, announcer, epoch, kept, anew) = match body {
            Some(body) => {
                let is_other = body.fingerprint != fingerprint || start.must_begin_anew;
                let anew = is_other || !held.contains(&body.checkpoint.next_seq);
                let announcer = Announcer::restore(body.announcements, &body.checkpoint, start.now);
                (body.checkpoint, announcer, body.epoch, Some((body.ahead, body.marks)), anew)
            }
            None => {
                let epoch = new_epoch(entropy);
                let previous = if start.cursor.is_some() { Previous::Lost } else { Previous::None };
                let announcer = Announcer::new(epoch, previous, start.now);
                (Checkpoint::first(start.oldest.get()), announcer, epoch, None, false)
            }
        };
        let stream = StreamName::new(start.node.into(), prefix, epoch);
        let sender = Sender::new(limits(&destination, encoder.frame_len()), start.pool);
        let clock = WallClock { wall_ms: start.wall_ms, at: start.now };
        let mut outlet = Outlet::at(destination, encoder, stream, checkpoint, announcer, sender, clock);
        if let Some((ahead, marks)) = kept {
            outlet.cursor.durable_seq = checkpoint.next_seq;
            (outlet.ahead, outlet.marks) = (ahead, marks);
        }
        if anew {
            let next_seq = checkpoint.next_seq.clamp(*held.start(), *held.end());
            outlet.begin_epoch(next_seq, start.now, entropy);
        }
        outlet.cursor.is_dirty = true;
        outlet.cursor.is_urgent = anew || !found;
        outlet
    }

    /// An outlet that goes on from `checkpoint`, with nothing in hand and no durable cursor.
    fn at(
        destination: Arc<Destination>,
        encoder: Rc<Encoder>,
        stream: StreamName,
        checkpoint: Checkpoint,
        announcer: Announcer,
        sender: Sender<Record>,
        clock: WallClock,
    ) -> Outlet {
        Outlet {
            key: CursorKey(destination.id.bytes()),
            stream,
            filter: destination.filter.clone(),
            fingerprint: fingerprint(&destination),
            sender,
            effects: Vec::new(),
            destination,
            encoder,
            reading: Reading::Waiting,
            wake: Rc::new(Notify::default()),
            tally: Tally::default(),
            settled: Settled::at(checkpoint),
            books: checkpoint.books,
            announcer,
            given_up_end: 0,
            missing: Vec::new(),
            own: Own::default(),
            is_telling: false,
            ahead: Vec::new(),
            has_walked: false,
            is_resting: false,
            flow: Flow::Free,
            bound: None,
            point_n: None,
            letters: Letters::default(),
            marks: Marks::at(&checkpoint, clock.wall_ms),
            replay: None,
            cursor: CursorWrites::default(),
            clock,
            halted: None,
            notice: None,
        }
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

    /// What others are told of its losses: see [`Announcer::overhear`].
    pub fn overhear(&mut self, is_last: bool, now: Millis, entropy: &mut dyn Entropy) -> Vec<GapNotice> {
        match is_last {
            // What a replay does not bring is no loss of the stream's.
            _ if self.is_replay() => Vec::new(),
            true => self.announcer.overhear_the_rest(now, entropy),
            // A notice tells all that is given up together.
            false if self.has_walked => self.announcer.overhear(now, entropy),
            false => Vec::new(),
        }
    }

    /// Stops sending because the place is about to end; what is under way goes on.
    pub fn rest(&mut self, rests: bool) {
        self.is_resting = rests;
        self.wake.notify();
    }

    /// Whether nothing new is sent, by somebody's wish.
    pub fn is_at_rest(&self) -> bool {
        self.is_resting || self.flow.is_shut()
    }

    /// Whether requests are under way.
    pub fn is_busy(&self) -> bool {
        self.sender.under_way() + self.sender.parked() > 0 || self.own.is_busy() || self.letters.is_busy()
    }

    /// The settled prefix moves; what is due to be said is made. Call once a turn. `must_go` is the first record that
    /// need not be given up.
    pub fn advance(&mut self, must_go: Seq, now: Millis, entropy: &mut dyn Entropy) {
        let is_mute = self.is_mute();
        let announcer = &mut self.announcer;
        let before = self.settled.checkpoint();
        let mut is_jump = false;
        let checkpoint = self.settled.advance(|n, lost, loss| {
            if lost == Lost::Overflowed {
                is_jump = true;
            }
            if !is_mute {
                // Numbers ascend here by construction: `advance` hands them out in order.
                let _ = announcer.pass_over(lost, n, &loss, now);
            }
        });
        if !is_mute {
            self.announcer.settled(&checkpoint, now);
        }
        self.marks.passed(&checkpoint, self.clock.wall_ms(now));
        self.has_walked = self.settled.next_seq() >= must_go.get();
        self.cursor.is_dirty |= checkpoint != before;
        self.cursor.is_urgent |= is_jump;
        self.hurry_at_the_point(now);
        self.announce(now, entropy);
        self.end_replay();
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

    /// Records with these seqs are missing where it reads: another epoch begins behind them. A replay that gives numbers of
    /// its own goes on, because nobody has any to compare them with.
    pub fn damaged(&mut self, seqs: Range<u64>) {
        match (self.is_replay(), self.is_mute()) {
            (true, false) => return,
            (true, true) => self.stop_replay(&seqs),
            (false, _) => self.misses(seqs),
        }
        self.drain_for(Drain::NewEpoch);
    }

    fn misses(&mut self, seqs: Range<u64>) {
        let is_full = self.missing.len() >= MISSING_MAX;
        match self.missing.last_mut() {
            Some(last) if is_full => last.seqs.end = seqs.end,
            _ => self.missing.push(Damage { segment: String::new(), bytes: 0, seqs, found: Found::Reading }),
        }
    }

    /// It takes nothing more until what it holds is settled.
    pub fn drain_for(&mut self, drain: Drain) {
        self.reading = Reading::Draining(if self.is_replay() { Drain::Replayed } else { drain });
    }

    /// The log begins at `first_seq` now.
    pub fn trimmed(&mut self, first_seq: Seq) {
        self.marks.trimmed(first_seq.get());
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
    /// statement says so. Only announcements go out from now on, also where somebody has paused it.
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
        self.letters.leave_the_rest();
        // What is still in requests is written off too: its outcome changes nothing any more.
        self.settled = Settled::at(self.settled.checkpoint());
        self.reading = Reading::Draining(Drain::Replaced);
        self.set_flow(Flow::Free, None);
        self.rest(false);
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

    /// What it is to people, and why.
    pub fn state(&self) -> (&'static str, Cause) {
        if let Some(closed) = self.sender.closed() {
            let reason = Reason::from(closed.hold);
            return (state_while(closed), reason.saying(closed.cause.clone()));
        }
        match (&self.halted, self.own.refusal()) {
            _ if matches!(self.flow, Flow::Paused | Flow::Held(_)) => ("paused", Reason::Paused.into()),
            _ if self.flow.is_shut() => ("paused", Reason::Drained.into()),
            _ if self.is_resting => ("draining", Reason::Ending.into()),
            (Some(why), _) => ("throttled", Reason::LimitUsedUp.saying(why)),
            _ if matches!(self.flow, Flow::Until(_)) => ("draining", Reason::Draining.into()),
            (None, Some(why)) => {
                let reason = Reason::RefusesAnnouncements;
                ("active_with_errors", reason.saying(format!("{}: {why}", reason.words())))
            }
            (None, None) if self.sender.has_suspects() => ("active_with_errors", Reason::RefusesSome.into()),
            (None, None) => {
                let near = self.notice.as_ref().map(|words| Reason::NearLimit.saying(words));
                ("active", near.unwrap_or(Reason::Accepts.into()))
            }
        }
    }

    fn begin_epoch(&mut self, next_seq: u64, now: Millis, entropy: &mut dyn Entropy) {
        let epoch = new_epoch(entropy);
        self.announcer.begin_epoch(epoch, self.settled.next_n(), now, entropy);
        self.stream = self.stream.in_epoch(epoch);
        for damage in std::mem::take(&mut self.missing) {
            self.announcer.damaged(&damage, entropy);
        }
        let beginning = Checkpoint::first(next_seq);
        self.settled = Settled::at(beginning);
        self.marks = Marks::at(&beginning, self.clock.wall_ms(now));
        self.ahead.clear();
        self.given_up_end = 0;
        self.point_n = None;
        self.books = Books::default();
        self.cursor.is_dirty = true;
        self.cursor.is_urgent = true;
    }
}

/// What a destination is to people while its gate is closed.
fn state_while(closed: &Closed) -> &'static str {
    match closed.hold {
        Hold::Credentials => "auth_hold",
        Hold::Misconfigured => "misconfigured",
        Hold::Throttled => "throttled",
        Hold::Unreachable | Hold::Trouble if closed.failures >= CIRCUIT_FAILURES => "circuit_open",
        Hold::Unreachable | Hold::Trouble => "retrying",
    }
}

/// What the numbers of a stream depend on, and what its events hold.
fn fingerprint(destination: &Destination) -> u64 {
    let redaction = destination.redact.redaction.fingerprint();
    destination.filter.fingerprint() ^ destination.scope.fingerprint().rotate_left(1) ^ redaction.rotate_left(2)
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

fn new_epoch(entropy: &mut dyn Entropy) -> [u8; 16] {
    let (high, low) = (entropy.next_u64(), entropy.next_u64());
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}

/// What was written to a pipe and may not have been read: batches, and bytes of events.
const PIPE_BATCHES_MAX: u32 = 1 << 20;
const PIPE_BYTES_MAX: usize = 128 << 20;
/// Failures in a row after which the circuit is called open.
const CIRCUIT_FAILURES: u32 = 5;
/// Stretches of damage told one by one.
const MISSING_MAX: usize = 100;
