//! Decides what goes to one destination next, and what its answers mean for the events.
//!
//! A sender is told what happened (an event was selected, a request ended, time passed) and answers with what to do
//! (send this, wait until then). It does no I/O and never waits itself; [`super::carrier`] is the loop round it.
//!
//! Always true:
//! - every event offered is in exactly one place: the open batch, a waiting batch, a request, a search for poison,
//!   or among the suspects; and it leaves through exactly one [`Effect`] or [`Sender::give_up`];
//! - nothing is dead-lettered before the destination has accepted something that was sent *after* it refused that
//!   event: a receiver that refuses everything costs no dead letter;
//! - what is sent again is sent before anything newer.

use std::collections::VecDeque;

use scaidrive_codecs::Body;

use super::gate::{Closed, Gate, Hold, Pass};
use super::isolation::{Isolation, Next};
use super::lane::Lane;
use crate::time::{Entropy, Millis};

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
}

/// A batch on its way out. Comes back with [`Sender::settle`].
#[derive(Debug)]
pub struct Job<T> {
    /// What to send.
    pub batch: Batch<T>,
    purpose: Purpose,
    number: u64,
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
}

/// What to do now.
#[derive(Debug)]
pub enum ToDo<T> {
    /// Send this.
    Send(Job<T>),
    /// Nothing before this moment, unless something happens.
    WaitUntil(Millis),
    /// Nothing until something happens.
    Wait,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The destination took responsibility for every event.
    Accepted {
        /// It asks for fewer requests.
        slow_down: bool,
    },
    /// It refuses the batch as a whole; `offender` is a hint at the position.
    Refused {
        /// Position of the event that the reply named.
        offender: Option<usize>,
        /// In the destination's words.
        why: String,
    },
    /// The request is too large for it.
    TooLarge {
        /// In the destination's words.
        why: String,
    },
    /// It took the batch but for these events, by position, each with its reason.
    AcceptedBut {
        /// Positions in the batch and reasons.
        refused: Vec<(usize, String)>,
        /// Positions to be sent again, later.
        again: Vec<usize>,
        /// It asks for fewer requests.
        slow_down: bool,
        /// What people should know.
        note: Option<String>,
    },
    /// Try again later.
    Retry {
        /// What stands in the way.
        hold: Hold,
        /// The destination's own wish.
        after: Option<Millis>,
        /// In plain words.
        why: String,
    },
}

/// What became of events.
#[derive(Debug)]
pub enum Effect<T> {
    /// The destination has them.
    Delivered(Vec<Item<T>>),
    /// The destination will never take this one; to be kept with the reason.
    DeadLetter(Item<T>, String),
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
    opened_at: Millis,
    ready: VecDeque<Batch<T>>,
    again: VecDeque<(Purpose, Batch<T>)>,
    search: Option<Search<T>>,
    suspects: Vec<Suspect<T>>,
    gate: Gate,
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
    /// Emptied buffers, kept so that sending allocates nothing after warm-up.
    spare_items: Vec<Vec<Item<T>>>,
    spare_bodies: Vec<Body>,
}

#[derive(Debug)]
struct Search<T> {
    isolation: Isolation<Item<T>>,
    is_testing: bool,
    why: String,
    too_large: Option<usize>,
}

#[derive(Debug)]
struct Suspect<T> {
    item: Item<T>,
    why: String,
    /// An acceptance counts as evidence against it when it was sent at or after this number.
    since: u64,
    /// Not sent again before this moment, if nothing else brings evidence.
    again_at: Millis,
}

/// Batches that may wait for their acknowledgement before no more are sent.
const PARKED_MAX: u32 = 1_024;
/// Their event bytes, beside what a sender holds otherwise.
const PARKED_BYTES_MAX: usize = 64 << 20;
/// Refusals in a row, with nothing accepted between, after which the events are no longer suspected.
const REFUSALS_MAX: u32 = 20;
/// How long a lone refused event waits for evidence before it is tried again.
const SUSPECT_WAIT: Millis = Millis(30_000);
/// Emptied buffers kept for reuse.
const SPARES_MAX: usize = 8;
/// An event with more than one part in so many of a batch's bytes is the first to be tried alone.
const BULK_SHARE: u64 = 8;
/// A destination that refuses a request as too large is still sent requests of this size.
const LEARNED_SIZE_MIN: usize = 4 * 1024;

impl<T> Sender<T> {
    /// A sender with nothing in hand.
    pub fn new(limits: Limits) -> Sender<T> {
        Sender {
            learned_size: limits.max_size,
            burst: usize::MAX,
            lane: if limits.is_pipe { Lane::fixed(limits.in_flight) } else { Lane::new(limits.in_flight) },
            limits,
            open: Batch::default(),
            opened_at: Millis::ZERO,
            ready: VecDeque::new(),
            again: VecDeque::new(),
            search: None,
            suspects: Vec::new(),
            gate: Gate::default(),
            under_way: 0,
            parked: 0,
            parked_bytes: 0,
            sent: 0,
            refused_in_a_row: 0,
            probe_turn: 0,
            held_bytes: 0,
            held_events: 0,
            spare_items: Vec::new(),
            spare_bodies: Vec::new(),
        }
    }

    /// Whether another event may be offered.
    pub fn has_room(&self) -> bool {
        self.held_bytes - self.parked_bytes < self.limits.queue_bytes && self.parked_bytes < PARKED_BYTES_MAX
    }

    /// Events in hand: waiting, under way or suspected.
    pub fn held_events(&self) -> usize {
        self.held_events
    }

    /// Their bytes as received.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
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

    /// Whether an event of the agent's own may be sent beside the batches now.
    pub fn may_send_own(&self, now: Millis) -> Pass {
        self.gate.pass(now)
    }

    /// An event of the agent's own left as the probe.
    pub fn own_sent(&mut self) {
        self.gate.probe_sent();
    }

    /// How the request with an event of the agent's own ended.
    pub fn own_settled(&mut self, outcome: &Outcome, was_probe: bool, now: Millis, entropy: &mut dyn Entropy) {
        match outcome {
            Outcome::Accepted { .. } => self.gate.open(),
            Outcome::Retry { hold, after, why } => self.gate.close(*hold, why.clone(), was_probe, *after, now, entropy),
            Outcome::Refused { why, .. } | Outcome::TooLarge { why } => {
                self.gate.close(Hold::Misconfigured, why.clone(), was_probe, None, now, entropy);
            }
            Outcome::AcceptedBut { .. } => self.gate.probe_returned(),
        }
    }

    /// A request was accepted, and whether its events were really taken is said later: then it is settled. Until then the
    /// next requests go.
    pub fn park(&mut self, job: &mut Job<T>, slow_down: bool) {
        assert!(!job.is_parked, "a request is accepted once");
        job.is_parked = true;
        self.under_way -= 1;
        self.parked += 1;
        self.parked_bytes += bytes_of(&job.batch);
        self.answered_well(slow_down);
        if job.purpose == Purpose::Test {
            // The search need not wait: what is unacknowledged in the end was at least not refused.
            job.purpose = Purpose::Ordinary;
            self.test_accepted();
        }
    }

    /// Batches that wait for their acknowledgement.
    pub fn parked(&self) -> u32 {
        self.parked
    }

    /// The destination is there, though it has not answered for any event: what a pipe without answers knows.
    pub fn reached(&mut self) {
        self.gate.open();
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
            self.close_open();
        }
        let mark = self.open.body.mark();
        if let Err(why) = encode(&item, self.open.items.len() as u32, &mut self.open.body) {
            return Err((item, why));
        }
        if self.open.body.len() > self.max_size() && !self.open.items.is_empty() {
            self.open.body.rewind(mark);
            self.close_open();
            if let Err(why) = encode(&item, 0, &mut self.open.body) {
                return Err((item, why));
            }
        }
        self.held_bytes += item.size as usize;
        self.held_events += 1;
        if self.open.items.is_empty() {
            self.opened_at = now;
            self.open.encoded_ms = wall_ms;
        }
        self.open.items.push(item);
        Ok(())
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: Millis) -> ToDo<T> {
        match self.gate.pass(now) {
            Pass::AwaitProbe => return ToDo::Wait,
            Pass::NotBefore(until) => return ToDo::WaitUntil(until),
            Pass::AsProbe(hold) => return self.next_probe(hold),
            Pass::Free => {}
        }
        if self.search.is_some() {
            if let Some(job) = self.next_test() {
                return ToDo::Send(job);
            }
            if self.search.is_some() {
                return ToDo::Wait;
            }
        }
        // In log order nothing goes while something before it may have to go again.
        let out = if self.limits.is_ordered { self.under_way + self.parked } else { self.under_way };
        if out >= self.lane.width() || self.parked >= PARKED_MAX {
            return ToDo::Wait;
        }
        self.next_ordinary(now)
    }

    /// How a request ended. What became of its events is added to `effects`.
    pub fn settle(
        &mut self,
        job: Job<T>,
        outcome: Outcome,
        now: Millis,
        entropy: &mut dyn Entropy,
        effects: &mut Vec<Effect<T>>,
    ) {
        if job.is_parked {
            self.parked -= 1;
            self.parked_bytes -= bytes_of(&job.batch);
        } else {
            self.under_way -= 1;
        }
        match outcome {
            // How it was answered was heard when it was parked; this is no news of how the destination is now.
            Outcome::Retry { .. } if job.is_parked => self.put_back(job),
            Outcome::Accepted { slow_down } => self.on_accepted(job, slow_down, effects),
            Outcome::Refused { offender, why } => self.on_refused(job, offender, why, false, now, entropy, effects),
            Outcome::TooLarge { why } => self.on_refused(job, None, why, true, now, entropy, effects),
            Outcome::AcceptedBut { refused, again, slow_down, note: _ } => {
                self.on_accepted_but(job, refused, &again, slow_down, now, effects);
                if !again.is_empty() {
                    // Sending them again at once would only be refused again.
                    let cause = format!("{} events of a request could not be taken now", again.len());
                    self.gate.close(Hold::Throttled, cause, true, None, now, entropy);
                }
            }
            Outcome::Retry { hold, after, why } => {
                self.lane.narrow();
                self.gate.close(hold, why, true, after, now, entropy);
                self.put_back(job);
            }
        }
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
            take_lost(batch, &is_lost, given_up);
        }
        for batch in &mut self.ready {
            take_lost(batch, &is_lost, given_up);
        }
        take_lost(&mut self.open, &is_lost, given_up);
        if given_up.len() == before {
            return;
        }
        self.again.retain(|(_, batch)| !batch.items.is_empty());
        self.ready.retain(|batch| !batch.items.is_empty());
        if self.open.items.is_empty() {
            self.open.body.clear();
            self.open.is_encoded = true;
        } else if !self.open.is_encoded {
            // What is added next must find a body that belongs to the items: this batch is complete as it is.
            self.close_open();
        }
        given_up[before..].sort_by_key(|item| item.n);
        for item in &given_up[before..] {
            self.held_bytes -= item.size as usize;
            self.held_events -= 1;
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

    /// Keeps a buffer that came with [`Effect::Delivered`] for reuse.
    pub fn recycle(&mut self, mut items: Vec<Item<T>>) {
        items.clear();
        if self.spare_items.len() < SPARES_MAX {
            self.spare_items.push(items);
        }
    }

    fn max_size(&self) -> usize {
        self.learned_size.min(self.limits.max_size)
    }

    fn close_open(&mut self) {
        let items = self.spare_items.pop().unwrap_or_default();
        let body = self.spare_bodies.pop().unwrap_or_default();
        let fresh = Batch { items, body, encoded_ms: 0, is_encoded: true };
        self.ready.push_back(std::mem::replace(&mut self.open, fresh));
    }

    fn send(&mut self, purpose: Purpose, batch: Batch<T>) -> Job<T> {
        self.under_way += 1;
        self.sent += 1;
        Job { batch, purpose, number: self.sent, is_parked: false }
    }

    fn next_ordinary(&mut self, now: Millis) -> ToDo<T> {
        if let Some((purpose, batch)) = self.again.pop_front() {
            let (purpose, batch) = self.bounded(purpose, batch);
            return ToDo::Send(self.send(purpose, batch));
        }
        if self.ready.is_empty() && !self.open.items.is_empty() {
            let lingers_until = self.opened_at.plus(self.limits.linger);
            if self.under_way > 0 && !self.limits.is_pipe && now < lingers_until {
                return ToDo::WaitUntil(lingers_until);
            }
            self.close_open();
        }
        if let Some(batch) = self.ready.pop_front() {
            let (purpose, batch) = self.bounded(Purpose::Ordinary, batch);
            return ToDo::Send(self.send(purpose, batch));
        }
        self.next_suspect(now)
    }

    /// A lone refused event that nothing has cleared or condemned is tried again after a while.
    fn next_suspect(&mut self, now: Millis) -> ToDo<T> {
        // Those with evidence against them (since 0) only wait to be taken by `condemned`.
        let Some(at) = self.suspects.iter().position(|suspect| suspect.since > 0) else { return ToDo::Wait };
        if self.under_way > 0 {
            return ToDo::Wait;
        }
        if now < self.suspects[at].again_at {
            return ToDo::WaitUntil(self.suspects[at].again_at);
        }
        let suspect = self.suspects.remove(at);
        ToDo::Send(self.send(Purpose::Ordinary, Batch::of(vec![suspect.item])))
    }

    /// Cuts a batch to the present bounds; what is cut off is next.
    fn bounded(&mut self, purpose: Purpose, mut batch: Batch<T>) -> (Purpose, Batch<T>) {
        let by_size = if batch.is_encoded && batch.body.len() > self.max_size() && batch.items.len() > 1 {
            batch.items.len() * self.max_size() / batch.body.len()
        } else {
            usize::MAX
        };
        let bound = self.burst.min(by_size).max(1);
        if batch.items.len() > bound {
            let later = batch.items.split_off(bound);
            batch.is_encoded = false;
            self.requeue(Purpose::Ordinary, Batch::of(later));
        }
        (purpose, batch)
    }

    fn next_probe(&mut self, hold: Hold) -> ToDo<T> {
        if hold.probes_with_one_event() {
            self.abandon_search();
        } else if let Some(job) = self.next_test() {
            self.gate.probe_sent();
            return ToDo::Send(job);
        }
        let taken = self.again.pop_front().or_else(|| {
            if self.ready.is_empty() && !self.open.items.is_empty() {
                self.close_open();
            }
            self.ready.pop_front().map(|batch| (Purpose::Ordinary, batch))
        });
        let Some((purpose, mut batch)) = taken.or_else(|| {
            let at = self.suspects.iter().position(|suspect| suspect.since > 0)?;
            Some((Purpose::Ordinary, Batch::of(vec![self.suspects.remove(at).item])))
        }) else {
            return ToDo::Wait;
        };
        if hold.probes_with_one_event() && batch.items.len() > 1 {
            // A different event each time: the first one may be the only one at fault.
            let turn = if hold == Hold::Misconfigured { self.probe_turn } else { 0 };
            self.probe_turn += 1;
            // Where order counts, each gets three tries before a later one is tried: the settings may be mended meanwhile.
            let turn = if self.limits.is_ordered { turn / 3 } else { turn };
            let turn = turn % batch.items.len().min(REFUSALS_MAX as usize);
            let probe = batch.items.remove(turn);
            self.requeue(Purpose::Ordinary, Batch::of(std::mem::take(&mut batch.items)));
            batch = Batch::of(vec![probe]);
        } else {
            self.probe_turn = self.probe_turn.wrapping_add(1);
            (_, batch) = self.bounded(purpose, batch);
        }
        self.gate.probe_sent();
        let purpose = if batch.items.len() > 1 { purpose } else { Purpose::Ordinary };
        ToDo::Send(self.send(purpose, batch))
    }

    fn next_test(&mut self) -> Option<Job<T>> {
        let search = self.search.as_mut()?;
        if search.is_testing {
            return None;
        }
        match search.isolation.next_step() {
            Next::Test(items) => {
                search.is_testing = true;
                Some(self.send(Purpose::Test, Batch::of(items)))
            }
            Next::Over { poison, put_by, has_accepted, was_alone } => {
                let search = self.search.take()?;
                // A batch is too large for all its events together: only one that was too large alone is at fault.
                let poison = match (poison, search.too_large) {
                    (poison @ Some(_), Some(_)) if was_alone => poison,
                    (spared, Some(size)) => {
                        self.learned_size = (size / 2).max(LEARNED_SIZE_MIN);
                        // Beside others it would have them refused again; alone it shows whether it fits.
                        self.requeue(Purpose::Ordinary, Batch::of(spared.into_iter().collect()));
                        None
                    }
                    (poison, None) => poison,
                };
                if let Some(item) = poison {
                    // With an acceptance in the search the evidence is there already; the next one will apply it.
                    let since = if has_accepted { 0 } else { self.sent + 1 };
                    self.suspects.push(Suspect { item, why: search.why, since, again_at: Millis::ZERO });
                }
                if !put_by.is_empty() {
                    let purpose = if has_accepted { Purpose::Ordinary } else { Purpose::PutBy };
                    self.requeue(purpose, Batch::of(put_by));
                }
                None
            }
        }
    }

    /// Suspects that were found with evidence at hand, as effects. Call after [`Sender::next`].
    pub fn condemned(&mut self, effects: &mut Vec<Effect<T>>) {
        self.condemn(0, effects);
    }

    fn condemn(&mut self, accepted: u64, effects: &mut Vec<Effect<T>>) {
        let mut index = 0;
        while index < self.suspects.len() {
            if self.suspects[index].since <= accepted {
                let Suspect { item, why, .. } = self.suspects.remove(index);
                self.held_bytes -= item.size as usize;
                self.held_events -= 1;
                effects.push(Effect::DeadLetter(item, why));
            } else {
                index += 1;
            }
        }
    }

    fn on_accepted(&mut self, job: Job<T>, slow_down: bool, effects: &mut Vec<Effect<T>>) {
        if !job.is_parked {
            self.answered_well(slow_down);
        }
        if job.purpose == Purpose::Test {
            self.test_accepted();
        }
        self.condemn(job.number, effects);
        self.delivered(job.batch, effects);
    }

    /// A request was accepted: the way is free.
    fn answered_well(&mut self, slow_down: bool) {
        self.gate.open();
        self.refused_in_a_row = 0;
        self.burst = self.burst.saturating_mul(2);
        if slow_down {
            self.lane.narrow();
        } else {
            self.lane.widen();
        }
    }

    fn test_accepted(&mut self) {
        if let Some(search) = &mut self.search {
            search.is_testing = false;
            search.isolation.accepted();
        }
    }

    fn delivered(&mut self, batch: Batch<T>, effects: &mut Vec<Effect<T>>) {
        let Batch { items, mut body, .. } = batch;
        for item in &items {
            self.held_bytes -= item.size as usize;
            self.held_events -= 1;
        }
        body.clear();
        if self.spare_bodies.len() < SPARES_MAX {
            self.spare_bodies.push(body);
        }
        effects.push(Effect::Delivered(items));
    }

    #[allow(clippy::too_many_arguments)]
    fn on_refused(
        &mut self,
        job: Job<T>,
        offender: Option<usize>,
        why: String,
        is_too_large: bool,
        now: Millis,
        entropy: &mut dyn Entropy,
        effects: &mut Vec<Effect<T>>,
    ) {
        self.refused_in_a_row += 1;
        let was_misconfigured = self.gate.closed().is_some_and(|closed| closed.hold == Hold::Misconfigured);
        if was_misconfigured || self.refused_in_a_row >= REFUSALS_MAX {
            self.put_back(job);
            return self.misconfigured(why, now, entropy);
        }
        // Anything but silence or overload lets traffic flow again.
        self.gate.open();
        if job.purpose == Purpose::Test {
            match &mut self.search {
                Some(search) => {
                    search.is_testing = false;
                    search.why = why;
                    if is_too_large {
                        search.too_large.get_or_insert(job.batch.body.len());
                    }
                    search.isolation.refused(job.batch.items);
                }
                None => self.requeue(Purpose::Ordinary, job.batch),
            }
        } else if job.batch.items.len() == 1 {
            let since = self.sent + 1;
            let again_at = now.plus(SUSPECT_WAIT);
            self.suspects.extend(job.batch.items.into_iter().map(|item| Suspect {
                item,
                why: why.clone(),
                since,
                again_at,
            }));
        } else if job.purpose == Purpose::PutBy {
            // Both sides of a split were refused: one at a time shows soonest whether anything is accepted at all.
            self.burst = 1;
            self.requeue(Purpose::Ordinary, job.batch);
        } else if self.search.is_some() {
            self.requeue(job.purpose, job.batch);
        } else {
            let too_large = is_too_large.then_some(job.batch.body.len());
            let offender = if is_too_large { bulk_of(&job.batch.items) } else { offender };
            let isolation = Isolation::new(job.batch.items, offender);
            self.search = Some(Search { isolation, is_testing: false, why, too_large });
        }
        self.condemn(0, effects);
    }

    fn on_accepted_but(
        &mut self,
        job: Job<T>,
        refused: Vec<(usize, String)>,
        again: &[usize],
        slow_down: bool,
        now: Millis,
        effects: &mut Vec<Effect<T>>,
    ) {
        let taken = job.batch.items.len() - refused.len() - again.len();
        if taken > 0 {
            self.gate.open();
            self.refused_in_a_row = 0;
            self.condemn(job.number, effects);
        } else {
            self.gate.probe_returned();
        }
        if slow_down || !again.is_empty() {
            self.lane.narrow();
        } else if taken > 0 {
            self.lane.widen();
        }
        if job.purpose == Purpose::Test {
            self.abandon_search();
        }
        let (mut delivered, mut later) = (Vec::with_capacity(taken), Vec::new());
        let mut refused = refused.into_iter().peekable();
        for (position, item) in job.batch.items.into_iter().enumerate() {
            if let Some((_, why)) = refused.next_if(|(at, _)| *at == position) {
                // The rest of the same request was taken: that is the evidence.
                let since = if taken > 0 { 0 } else { self.sent + 1 };
                self.suspects.push(Suspect { item, why, since, again_at: now.plus(SUSPECT_WAIT) });
            } else if again.contains(&position) {
                later.push(item);
            } else {
                delivered.push(item);
            }
        }
        if !later.is_empty() {
            self.requeue(Purpose::Ordinary, Batch::of(later));
        }
        self.delivered(Batch::of(delivered), effects);
        self.condemn(0, effects);
    }

    /// The fault is not the events': everything goes back, and one event at a time probes until one is accepted.
    fn misconfigured(&mut self, why: String, now: Millis, entropy: &mut dyn Entropy) {
        self.abandon_search();
        if !self.suspects.is_empty() {
            let mut items: Vec<_> = self.suspects.drain(..).map(|suspect| suspect.item).collect();
            items.extend(self.again.drain(..).flat_map(|(_, batch)| batch.items));
            items.sort_by_key(|item| item.n);
            for piece in chunks(items, self.limits.max_events).into_iter() {
                self.requeue(Purpose::Ordinary, Batch::of(piece));
            }
        }
        self.burst = 1;
        self.refused_in_a_row = 0;
        self.gate.close(Hold::Misconfigured, why, true, None, now, entropy);
    }

    fn abandon_search(&mut self) {
        let Some(search) = self.search.take() else { return };
        let items = search.isolation.into_items();
        if !items.is_empty() {
            self.requeue(Purpose::Ordinary, Batch::of(items));
        }
    }

    /// Puts a batch among those that are sent before anything newer, in log order.
    fn requeue(&mut self, purpose: Purpose, batch: Batch<T>) {
        let Some(first) = batch.items.first().map(|item| item.n) else { return };
        let at = self.again.partition_point(|(_, other)| other.items.first().is_some_and(|item| item.n < first));
        self.again.insert(at, (purpose, batch));
    }

    /// What a request carried is next again.
    fn put_back(&mut self, job: Job<T>) {
        match (&mut self.search, job.purpose) {
            (Some(search), Purpose::Test) => {
                search.is_testing = false;
                search.isolation.untested(job.batch.items);
            }
            (_, purpose) => {
                let purpose = if purpose == Purpose::Test { Purpose::Ordinary } else { purpose };
                self.requeue(purpose, job.batch);
            }
        }
    }
}

fn take_lost<T>(batch: &mut Batch<T>, is_lost: &impl Fn(&Item<T>) -> bool, given_up: &mut Vec<Item<T>>) {
    if batch.items.iter().any(is_lost) {
        batch.is_encoded = false;
        given_up.extend(batch.items.extract_if(.., |item| is_lost(item)));
    }
}

fn bytes_of<T>(batch: &Batch<T>) -> usize {
    batch.items.iter().map(|item| item.size as usize).sum()
}

/// The event that takes so much of a batch that it may well be too large by itself.
fn bulk_of<T>(items: &[Item<T>]) -> Option<usize> {
    let all: u64 = items.iter().map(|item| u64::from(item.size)).sum();
    let (position, largest) = items.iter().enumerate().max_by_key(|(_, item)| item.size)?;
    (u64::from(largest.size) > all / BULK_SHARE).then_some(position)
}

fn chunks<T>(items: Vec<T>, size: usize) -> Vec<Vec<T>> {
    let mut pieces: Vec<Vec<T>> = Vec::new();
    for item in items {
        match pieces.last_mut() {
            Some(piece) if piece.len() < size => piece.push(item),
            _ => pieces.push(vec![item]),
        }
    }
    pieces
}
