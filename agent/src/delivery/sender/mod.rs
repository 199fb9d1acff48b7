//! Decides what goes to one destination next, and what its answers mean for the events.
//!
//! A sender is told what happened (an event was selected, a request ended, time passed) and answers with what to do
//! (send this, wait until then). It does no I/O and never waits itself; [`super::carrier`] is the loop round it.
//!
//! Always true:
//! - every event offered is in exactly one place: the open batch, a waiting batch, a request, a search for poison,
//!   or among the suspects; and it leaves through exactly one [`Effect`] or [`Sender::give_up`];
//! - nothing is dead-lettered before the destination has accepted something that was sent *after* it refused that
//!   event: a receiver that refuses everything costs no dead letter, nor does mending it: what was not the only thing
//!   refused goes once more before it is condemned. (Once, or many bad events would excuse each other for ever: one
//!   that accepts something and then refuses everything again does cost dead letters.)
//! - what is sent again is sent before anything newer.

mod answers;
mod choosing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use scaidrive_codecs::Body;

pub use self::answers::{Effect, Outcome};
pub use self::choosing::ToDo;

use super::gate::{Closed, Gate, Pass};
use super::isolation::Isolation;
use super::lane::Lane;
use super::pool::{Pool, Share};
use crate::time::Millis;

/// What bounds one sender.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Events in a request.
    pub max_events: usize,
    /// Bytes in a request body, as encoded, before compression. One larger event goes alone.
    pub max_size: usize,
    /// How long a waiting batch may wait for company while other requests are under way.
    pub linger: Millis,
    /// Requests under way at once.
    pub in_flight: u32,
    /// Log order is kept: one request at a time, or one pipe without answers.
    pub is_ordered: bool,
    /// Nothing answers: what was sent is settled by time, and the next batch never waits for it.
    pub is_pipe: bool,
    /// Event bytes a sender may hold before it takes no more; those that wait for an acknowledgement are counted apart.
    pub queue_bytes: usize,
}

/// One event in a sender's hands.
#[derive(Clone, Debug)]
pub struct Item<T> {
    /// Its number in the stream.
    pub n: u64,
    /// Its sequence number in the log.
    pub seq: u64,
    /// Log time, in milliseconds: what the window is measured from.
    pub logged_at: u64,
    /// Length as received, in bytes.
    pub size: u32,
    /// The event itself.
    pub load: T,
}

impl<T> Item<T> {
    /// Bytes of memory that an event takes in a sender's hands, its place among those that are not settled included.
    const MEMORY: usize = size_of::<Item<T>>() + SETTLED_ITEM_SIZE;
}

/// Events sent together, and their encoded form.
#[derive(Debug)]
pub struct Batch<T> {
    /// In log order.
    pub items: Vec<Item<T>>,
    /// What goes out. Belongs to `items` only while `is_encoded`.
    pub body: Body,
    /// When the first event of the body was encoded, in milliseconds since 1970, as whoever encoded it says.
    pub encoded_ms: i64,
    /// False after the batch was put together anew; then whoever sends it encodes it first.
    pub is_encoded: bool,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Batch { items: Vec::new(), body: Body::new(), encoded_ms: 0, is_encoded: true }
    }
}

impl<T> Batch<T> {
    fn of(items: Vec<Item<T>>) -> Batch<T> {
        Batch { items, body: Body::new(), encoded_ms: 0, is_encoded: false }
    }

    /// Bytes of memory that its body holds.
    fn body_memory(&self) -> usize {
        self.body.capacity()
    }
}

/// A batch on its way out. Comes back with [`Sender::settle`].
#[derive(Debug)]
pub struct Job<T> {
    /// What to send.
    pub batch: Batch<T>,
    purpose: Purpose,
    number: u64,
    /// What its body counts in the pool while it is under way, in bytes.
    body_memory: usize,
    /// It went though the gate was closed, to see whether it may open.
    is_probe: bool,
    /// Accepted for now: it counts no more as a request, and is settled when it is acknowledged.
    is_parked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Ordinary,
    /// Part of a search for the poison event.
    Test,
    /// Everything that a search without any acceptance put by.
    PutBy,
    /// An event that was refused alone while other things were refused too, once more after something was accepted.
    Retrial,
}

/// See the module.
#[derive(Debug)]
pub struct Sender<T> {
    limits: Limits,
    /// What the destination has shown it takes, in bytes; at most `limits.max_size`.
    learned_size: usize,
    /// Events in a request while trust is being rebuilt after a misconfiguration.
    burst: usize,
    open: Batch<T>,
    /// How long the open batch is as encoded, in bytes, whether it has a body or not.
    open_len: usize,
    opened_at: Millis,
    /// When the open batch may go although it is not full; it has not asked yet while there is none.
    slot: Option<Millis>,
    /// Slots of batches that were full before those came.
    slots_unused: u64,
    /// Whoever asked last was told to wait for the open batch, and nothing but that batch has changed since.
    is_gathering: bool,
    ready: VecDeque<Batch<T>>,
    again: VecDeque<(Purpose, Batch<T>)>,
    search: Option<Search<T>>,
    suspects: Vec<Suspect<T>>,
    gate: Gate,
    /// The destination has accepted something since the start.
    has_answered: bool,
    lane: Lane,
    under_way: u32,
    /// Batches that were accepted and wait for their acknowledgement.
    parked: u32,
    /// Event bytes of the batches that wait for their acknowledgement.
    parked_bytes: usize,
    /// Requests sent so far; orders sends and replies.
    sent: u64,
    refused_in_a_row: u32,
    probe_turn: usize,
    held_bytes: usize,
    held_events: usize,
    /// Counts each event in hand as [`Item::MEMORY`], but for those that wait for an acknowledgement and those that a pipe
    /// has sent once, and every body that waits or is under way.
    share: Share<T>,
}

#[derive(Debug)]
struct Search<T> {
    isolation: Isolation<Item<T>>,
    is_testing: bool,
    why: String,
    /// Requests refused so far, the first included.
    refusals: u32,
    too_large: Option<usize>,
}

#[derive(Debug)]
struct Suspect<T> {
    item: Item<T>,
    why: String,
    /// An acceptance counts as evidence against it when it was sent at or after this number; [`AT_HAND`] when there is some.
    since: u64,
    /// It was not the only thing refused: what was in the way then may have had nothing to do with it.
    is_doubtful: bool,
    /// Not sent again before this moment, if nothing else brings evidence.
    again_at: Millis,
}

/// Requests are numbered from 1, so whoever is suspected since then has evidence against it already.
const AT_HAND: u64 = 0;
/// Batches that may wait for their acknowledgement before no more are sent.
const PARKED_MAX: u32 = 1_024;
/// Their event bytes, beside what a sender holds otherwise.
const PARKED_BYTES_MAX: usize = 64 << 20;
/// Refusals in a row, with nothing accepted between, after which the events are no longer suspected.
const REFUSALS_MAX: u32 = 20;
/// How long a lone refused event waits for evidence before it is tried again.
const SUSPECT_WAIT: Millis = Millis(30_000);
/// Bytes that a format writes between two events at most.
const SEPARATOR_MAX: usize = 2;
/// What an event takes among those of its stream that are not settled, in bytes.
const SETTLED_ITEM_SIZE: usize = 24;
/// An event with more than one part in so many of a batch's bytes is the first to be tried alone.
const BULK_SHARE: u64 = 8;
/// A destination that refuses a request as too large is still sent requests of this size.
const LEARNED_SIZE_MIN: usize = 4 * 1024;

impl<T> Sender<T> {
    /// A sender with nothing in hand, and with a share of `pool`.
    pub fn new(limits: Limits, pool: &Pool<T>) -> Sender<T> {
        Sender {
            learned_size: limits.max_size,
            burst: usize::MAX,
            lane: if limits.is_pipe { Lane::fixed(limits.in_flight) } else { Lane::new(limits.in_flight) },
            limits,
            open: Batch::default(),
            open_len: 0,
            opened_at: Millis::ZERO,
            slot: None,
            slots_unused: 0,
            is_gathering: false,
            ready: VecDeque::new(),
            again: VecDeque::new(),
            search: None,
            suspects: Vec::new(),
            gate: Gate::default(),
            has_answered: false,
            under_way: 0,
            parked: 0,
            parked_bytes: 0,
            sent: 0,
            refused_in_a_row: 0,
            probe_turn: 0,
            held_bytes: 0,
            held_events: 0,
            share: pool.share(),
        }
    }

    /// Whether another event may be offered.
    pub fn has_room(&self) -> bool {
        self.held_bytes - self.parked_bytes < self.limits.queue_bytes
            && self.parked_bytes < PARKED_BYTES_MAX
            && self.share.has_room()
    }

    /// The pool that it has a share of.
    pub fn pool(&self) -> &Pool<T> {
        self.share.pool()
    }

    /// What it counts in the pool, in bytes.
    pub fn memory(&self) -> usize {
        self.share.bytes()
    }

    /// Events in hand: waiting, under way or suspected.
    pub fn held_events(&self) -> usize {
        self.held_events
    }

    /// Their bytes as received.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Somebody asks anew: what whoever asked last was told is over.
    pub fn asked(&mut self) {
        self.is_gathering = false;
    }

    /// Whether somebody waits for the open batch, so that one more event in it is no news to them.
    pub fn is_gathering(&self) -> bool {
        self.is_gathering
    }

    /// Requests under way.
    pub fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Requests that may be under way.
    pub fn lane_width(&self) -> u32 {
        self.lane.width()
    }

    /// Why nothing is sent at present, if so.
    pub fn closed(&self) -> Option<&Closed> {
        self.gate.closed()
    }

    /// Whether events were refused alone and wait for evidence.
    pub fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Whether one event alone may be sent beside the batches now.
    pub fn may_send_lone(&self, now: Millis) -> Pass {
        self.gate.pass(now)
    }

    /// One event alone left as the probe.
    pub fn lone_sent(&mut self) {
        self.gate.probe_sent();
    }

    /// Batches that wait for their acknowledgement.
    pub fn parked(&self) -> u32 {
        self.parked
    }

    /// Takes one selected event. `encode` writes it into the body as the item of the given position, as of `wall_ms`.
    ///
    /// # Errors
    /// The event and the reason, when it can't be encoded at all; nothing was taken then.
    pub fn offer(
        &mut self,
        item: Item<T>,
        now: Millis,
        wall_ms: i64,
        mut encode: impl FnMut(&Item<T>, u32, &mut Body) -> Result<(), String>,
    ) -> Result<(), (Item<T>, String)> {
        if self.open.items.len() >= self.limits.max_events {
            self.close_full();
        }
        let encoded = match self.encode_into_open(&item, &mut encode) {
            Ok(false) => {
                self.close_full();
                self.encode_into_open(&item, &mut encode).map(drop)
            }
            other => other.map(drop),
        };
        if let Err(why) = encoded {
            if self.open.items.is_empty() {
                // A body without events would count, and be in the way of the next one.
                strip(&mut self.open, &mut self.share);
            }
            return Err((item, why));
        }
        self.held_bytes += item.size as usize;
        self.held_events += 1;
        if self.open.items.is_empty() {
            self.opened_at = now;
            self.open.encoded_ms = wall_ms;
        }
        self.open.items.push(item);
        self.share.grow(Item::<T>::MEMORY);
        Ok(())
    }

    /// Encodes an event as the next one of the open batch, which is bare while much waits or nothing goes. False when it has
    /// to go into the next batch.
    fn encode_into_open(
        &mut self,
        item: &Item<T>,
        encode: &mut impl FnMut(&Item<T>, u32, &mut Body) -> Result<(), String>,
    ) -> Result<bool, String> {
        let is_first = self.open.items.is_empty();
        if is_first {
            self.begin_open();
        } else if self.open.is_encoded && self.wants_bare() {
            strip(&mut self.open, &mut self.share);
        }
        let position = self.open.items.len() as u32;
        let mark = self.open.body.mark();
        let len = if self.open.is_encoded {
            let before = self.open.body_memory();
            let encoded = encode(item, position, &mut self.open.body);
            self.share.grow(self.open.body_memory() - before);
            encoded?;
            self.open.body.len()
        } else {
            // Some formats leave out what stands between events when the body is empty, as it is here; room is left for it.
            let alone = self.share.pool().try_out(|body| encode(item, position, body))?;
            self.open_len + alone + SEPARATOR_MAX
        };
        let fits = is_first || len <= self.max_size();
        if fits {
            self.open_len = len;
        } else {
            self.open.body.rewind(mark);
        }
        Ok(fits)
    }

    /// Gives up every event that is not in a request and for which `is_lost` holds, oldest first.
    pub fn give_up(&mut self, is_lost: impl Fn(&Item<T>) -> bool, given_up: &mut Vec<Item<T>>) {
        let before = given_up.len();
        if self.search.as_ref().is_some_and(|search| search.isolation.held().any(&is_lost)) {
            self.abandon_search();
        }
        let mut index = 0;
        while index < self.suspects.len() {
            if is_lost(&self.suspects[index].item) {
                given_up.push(self.suspects.remove(index).item);
            } else {
                index += 1;
            }
        }
        for (_, batch) in &mut self.again {
            take_lost(batch, &mut self.share, &is_lost, given_up);
        }
        let sent = given_up.len();
        for batch in self.ready.iter_mut().chain([&mut self.open]) {
            take_lost(batch, &mut self.share, &is_lost, given_up);
        }
        if self.limits.is_pipe {
            self.share.shrink((given_up.len() - sent) * Item::<T>::MEMORY);
        }
        self.again.retain(|(_, batch)| !batch.items.is_empty());
        self.ready.retain(|batch| !batch.items.is_empty());
        given_up[before..].sort_by_key(|item| item.n);
        for item in &given_up[before..] {
            self.leaves(item);
        }
    }

    /// An event leaves its hands.
    fn leaves(&mut self, item: &Item<T>) {
        self.held_bytes -= item.size as usize;
        self.held_events -= 1;
        if !self.limits.is_pipe {
            self.share.shrink(Item::<T>::MEMORY);
        }
    }

    /// The smallest number in hand that is not in a request.
    pub fn oldest_waiting(&self) -> Option<&Item<T>> {
        let waiting = self.again.iter().map(|(_, batch)| batch).chain(&self.ready).chain([&self.open]);
        let batches = waiting.flat_map(|batch| batch.items.first());
        let suspects = self.suspects.iter().map(|suspect| &suspect.item);
        let search = self.search.iter().flat_map(|search| search.isolation.held());
        batches.chain(suspects).chain(search).min_by_key(|item| item.n)
    }

    /// Whether the open batch is bare: much waits, or it would wait with its body for nobody knows how long.
    fn wants_bare(&self) -> bool {
        self.gate.closed().is_some() || self.share.pool().wants_bare()
    }

    /// The gate may have opened or closed. While nothing goes, what waits keeps no bodies: they are made again when it is
    /// sent.
    fn gate_moved(&mut self, was_closed: bool) {
        let is_closed = self.gate.closed().is_some();
        self.share.set_answers(self.has_answered && !is_closed);
        if is_closed && !was_closed {
            let again = self.again.iter_mut().map(|(_, batch)| batch);
            again.chain(&mut self.ready).chain([&mut self.open]).for_each(|batch| strip(batch, &mut self.share));
        }
    }

    /// A batch that begins takes the buffers of one that has ended; but those may be large, so one whose destination does
    /// not answer takes none.
    fn begin_open(&mut self) {
        self.open.is_encoded = !self.wants_bare();
        self.open_len = 0;
        if !self.share.answers() {
            return;
        }
        if self.open.items.capacity() == 0 {
            self.open.items = self.share.pool().lend_items();
        }
        if self.open.is_encoded && self.open.body.capacity() == 0 {
            self.open.body = self.share.pool().lend_body();
            self.share.grow(self.open.body_memory());
        }
    }

    fn max_size(&self) -> usize {
        self.learned_size.min(self.limits.max_size)
    }

    /// A full batch needs no slot.
    fn close_full(&mut self) {
        self.slots_unused += u64::from(self.slot.is_some());
        self.close_open();
    }

    fn close_open(&mut self) {
        self.slot = None;
        self.is_gathering = false;
        self.ready.push_back(std::mem::take(&mut self.open));
    }

    /// Since when an event is suspected that is refused now.
    fn suspected_since(&self, has_evidence: bool) -> u64 {
        if has_evidence { AT_HAND } else { self.sent + 1 }
    }

    /// Puts a batch among those that are sent before anything newer, in log order.
    fn requeue(&mut self, purpose: Purpose, mut batch: Batch<T>) {
        self.share.grow(batch.body_memory());
        let Some(first) = batch.items.first().map(|item| item.n) else { return strip(&mut batch, &mut self.share) };
        if self.gate.closed().is_some() {
            strip(&mut batch, &mut self.share);
        }
        let at = self.again.partition_point(|(_, other)| other.items.first().is_some_and(|item| item.n < first));
        self.again.insert(at, (purpose, batch));
    }

    /// The first of what goes again.
    fn take_again(&mut self) -> Option<(Purpose, Batch<T>)> {
        let (purpose, batch) = self.again.pop_front()?;
        self.share.shrink(batch.body_memory());
        Some((purpose, batch))
    }

    /// The first of what was not sent yet.
    fn take_ready(&mut self) -> Option<Batch<T>> {
        let batch = self.ready.pop_front()?;
        self.share.shrink(batch.body_memory());
        if self.limits.is_pipe {
            // From now on it is under way, in the trail, or goes again: all of that is bounded by the trail's bound.
            self.share.shrink(batch.items.len() * Item::<T>::MEMORY);
        }
        Some(batch)
    }
}

/// A batch gives its body up; it is made again when the batch is sent.
fn strip<T>(batch: &mut Batch<T>, share: &mut Share<T>) {
    batch.is_encoded = false;
    share.shrink(batch.body_memory());
    share.pool().keep_body(std::mem::take(&mut batch.body));
}

fn take_lost<T>(
    batch: &mut Batch<T>,
    share: &mut Share<T>,
    is_lost: &impl Fn(&Item<T>) -> bool,
    given_up: &mut Vec<Item<T>>,
) {
    if batch.items.iter().any(is_lost) {
        strip(batch, share);
        given_up.extend(batch.items.extract_if(.., |item| is_lost(item)));
    }
}

fn bytes_of<T>(batch: &Batch<T>) -> usize {
    batch.items.iter().map(|item| item.size as usize).sum()
}
