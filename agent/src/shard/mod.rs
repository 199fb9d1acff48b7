//! A shard: one thread with a log of its own, and everything that happens on it.
//!
//! The shard works in *turns*. A turn takes what other threads left, tells producers what is durable, reads a bounded
//! slice of the log with each pass, settles what came back, writes cursors, gives space back, and publishes the books;
//! then it sleeps until something rings. Tasks beside it take events in ([`crate::ingest`]) and carry them out
//! ([`crate::delivery::carrier`]); all of them run on this one thread and share nothing with other shards.
//!
//! What it does not do: parse events, decide what a reply means, or speak to a network.

pub mod door;
mod inbox;
mod intake;
mod pass;
mod place;
mod report;
mod retention;
mod tenants;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_lite::future::{or, yield_now};
use scaidrive_codecs::Index;
use scaidrive_codecs::own::{DeadLettersFull, Envelope, IntakeChanged, LogDamaged, OwnEvent, SyncFailed};
use scaidrive_wal::{CursorKey, CursorTicket, Log, LogTime, Opened, Room, Seq, WallTime};

pub use inbox::{Command, Mailbox};
pub use place::Place;
pub use report::{DestinationReport, Published, ShardReport};
pub use retention::Holdings;

use self::door::{Done, Doors, LocalDoor, NoRoom, ShardId, Shelf};
use self::inbox::Mail;
use self::intake::{Intake, Moment};
use self::pass::Passes;
use crate::config::{Destination, OnFull};
use crate::credentials::Credentials;
use crate::deadletter::{DeadLetters, Kept, Key, Letter};
use crate::delivery::allowance::Allowance;
use crate::delivery::carrier;
use crate::delivery::encoder::Encoder;
use crate::delivery::outlet::{Condemned, Drain, FLAG_OWN, Outlet, Reading, Start};
use crate::delivery::route::Route;
use crate::notify::Notify;
use crate::runtime::{Pending, Runtime, offload_value};
use crate::stream::books::TenantBooks;
use crate::time::{Entropy, Millis};

/// Who this agent is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The label of the node.
    pub node: String,
    /// The agent's id.
    pub agent_id: String,
    /// The tenant of the agent's own events.
    pub tenant: String,
}

/// What of the configuration a shard works by; a reload brings another one.
pub struct Plan {
    /// Where events go, with the way there and the store for what is refused.
    pub destinations: Vec<Planned>,
    /// How long events stay.
    pub window: Millis,
    /// What gives way when the log is full.
    pub on_full: OnFull,
}

/// One destination of a plan.
#[derive(Clone)]
pub struct Planned {
    /// What is configured.
    pub destination: Arc<Destination>,
    /// Its dead letters.
    pub dead_letters: Arc<Mutex<DeadLetters>>,
    /// What lets us in.
    pub credentials: Arc<Credentials>,
    /// How much it may get, where that is limited.
    pub allowance: Option<Arc<Mutex<Allowance>>>,
}

/// What a shard is made of.
pub struct Parts {
    /// Its number.
    pub id: ShardId,
    /// Who the agent is.
    pub identity: Identity,
    /// Its log, just opened.
    pub log: Log,
    /// What opening found.
    pub opened: Opened,
    /// Its inbox, which the doors lead to.
    pub mailbox: Arc<Mailbox>,
    /// The way into all shards.
    pub doors: Doors,
    /// What it works by.
    pub plan: Arc<Plan>,
    /// Where it publishes.
    pub published: Arc<Published>,
    /// How much of the budget each shard holds.
    pub holdings: Arc<Holdings>,
    /// Numbers can't go on: the machine's identity changed.
    pub must_begin_anew: bool,
}

/// See the module.
pub struct Shard {
    /// What it runs on.
    pub runtime: Rc<dyn Runtime>,
    /// Who the agent is.
    pub identity: Identity,
    id: ShardId,
    mailbox: Arc<Mailbox>,
    doors: Doors,
    log: RefCell<Log>,
    log_clock: (LogTime, Millis),
    intake: RefCell<Intake>,
    passes: RefCell<Passes>,
    places: RefCell<Vec<Rc<Place>>>,
    touched: RefCell<Vec<Rc<Place>>>,
    tenants: Rc<RefCell<TenantBooks>>,
    plan: RefCell<Arc<Plan>>,
    published: Arc<Published>,
    holdings: Arc<Holdings>,
    cursors: RefCell<CursorQueue>,
    /// Rings when there may be room in the log again.
    room: Rc<Notify>,
    /// A helper of the log has done something since the last turn.
    log_moved: Arc<AtomicBool>,
    /// Damage that opening found and told.
    told_damage: Vec<Range<Seq>>,
    is_accepting: Cell<bool>,
    now: Cell<Millis>,
    /// Log time before which events are too old, in milliseconds.
    logged_before: Cell<u64>,
    /// Records before this one make room.
    squeezed_before: Cell<Seq>,
    /// Records before this one are walked even by an outlet that is full.
    must_go: Cell<Seq>,
    stop: Cell<Stop>,
    next_housekeeping: Cell<Millis>,
    next_cursors: Cell<Millis>,
    next_squeeze: Cell<Millis>,
    next_publish: Cell<Millis>,
    turns: Cell<u64>,
    unreadable: Cell<u64>,
    own_waiting: RefCell<Vec<OwnEvent>>,
}

/// Cursor bodies on their way to the disk.
#[derive(Default)]
struct CursorQueue {
    under_way: Vec<(CursorTicket, Vec<Rc<Place>>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// Intake is over; what is under way may end until then.
    Until(Millis),
}

/// The runtime's chance, for those who ask for it as [`Entropy`].
pub struct Chance<'a>(pub &'a dyn Runtime);

impl Entropy for Chance<'_> {
    fn next_u64(&mut self) -> u64 {
        self.0.entropy()
    }
}

impl Shard {
    /// Puts a shard together. Nothing runs yet.
    pub fn new(runtime: Rc<dyn Runtime>, parts: Parts) -> Rc<Shard> {
        let Parts { id, identity, mut log, opened, mailbox, doors, plan, published, holdings, must_begin_anew } = parts;
        let now = runtime.now();
        let bell = Arc::clone(mailbox.bell());
        let log_moved = Arc::new(AtomicBool::new(true));
        let moved = Arc::clone(&log_moved);
        log.set_waker(Arc::new(move || {
            moved.store(true, Ordering::Release);
            bell.notify();
        }));
        let shard = Rc::new(Shard {
            identity,
            id,
            mailbox,
            doors,
            passes: RefCell::new(Passes::new(log.next_seq())),
            log: RefCell::new(log),
            log_clock: (opened.log_time, now),
            intake: RefCell::new(Intake::default()),
            places: RefCell::new(Vec::new()),
            touched: RefCell::new(Vec::new()),
            tenants: Rc::new(RefCell::new(TenantBooks::default())),
            plan: RefCell::new(Arc::clone(&plan)),
            published,
            holdings,
            cursors: RefCell::new(CursorQueue::default()),
            room: Rc::new(Notify::default()),
            log_moved,
            told_damage: opened.damage.iter().map(|damage| damage.seqs.clone()).collect(),
            is_accepting: Cell::new(true),
            now: Cell::new(now),
            logged_before: Cell::new(0),
            squeezed_before: Cell::new(Seq::FIRST),
            must_go: Cell::new(Seq::FIRST),
            stop: Cell::new(Stop::No),
            next_housekeeping: Cell::new(now),
            next_cursors: Cell::new(now),
            next_squeeze: Cell::new(now),
            next_publish: Cell::new(now),
            turns: Cell::new(0),
            unreadable: Cell::new(0),
            own_waiting: RefCell::new(Vec::new()),
            runtime,
        });
        let places = plan.destinations.iter().filter_map(|planned| shard.place(planned, must_begin_anew)).collect();
        shard.set_places(places);
        for damage in &opened.damage {
            shard.tell(OwnEvent::LogDamaged(LogDamaged {
                shard: id.0,
                segment: damage.segment.clone(),
                bytes: damage.bytes.end - damage.bytes.start,
                from_seq: damage.seqs.start.get(),
                end_seq: Some(damage.seqs.end.get()),
                found_while: String::from("opening"),
            }));
        }
        shard
    }

    /// Runs until it is stopped.
    pub async fn run(self: Rc<Self>) {
        let bell = Arc::clone(self.mailbox.bell());
        let door = self.door();
        let mut mail = Mail::default();
        loop {
            self.mailbox.take(&mut mail);
            for job in mail.jobs.drain(..) {
                job(&door);
            }
            for command in mail.commands.drain(..) {
                match command {
                    Command::Replan(plan) => self.replan(plan),
                    Command::Tell(event) => self.tell(event),
                    Command::Stop { grace } => self.begin_stop(grace),
                }
            }
            self.intake.borrow_mut().batches.append(&mut mail.batches);
            let has_more = self.turn();
            if self.has_ended() {
                self.close().await;
                return;
            }
            if has_more {
                yield_now().await;
            } else {
                or(bell.changed(), self.runtime.sleep(TURN_MAX)).await;
            }
        }
    }

    /// The way into this shard for tasks on its own thread.
    pub fn door(self: &Rc<Self>) -> LocalDoor {
        let shelf: Rc<dyn Shelf> = Rc::new(ShardShelf(Rc::clone(self)));
        LocalDoor::new(self.doors.clone(), self.id, Rc::clone(&self.runtime), shelf)
    }

    /// Ends intake now, and the shard once what is under way has ended, `grace` from now at the latest.
    pub fn begin_stop(&self, grace: Millis) {
        self.stop.set(Stop::Until(self.runtime.now().plus(grace)));
        for place in self.places.borrow().iter() {
            place.outlet.borrow_mut().rest(true);
        }
        self.ring();
    }

    /// Whether intake is over.
    pub fn is_stopping(&self) -> bool {
        self.stop.get() != Stop::No
    }

    /// Works by another plan from now on. Unchanged destinations keep their connections and their place.
    pub fn replan(self: &Rc<Self>, plan: Arc<Plan>) {
        let old = self.places.take();
        let mut places = Vec::new();
        for planned in &plan.destinations {
            let same = old.iter().find(|place| place.destination.id == planned.destination.id);
            match same {
                Some(place) if Arc::ptr_eq(&place.destination, &planned.destination) => places.push(Rc::clone(place)),
                Some(place) => {
                    // One that is being replaced already will be replaced by what the newest plan says.
                    let is_new = place.outlet.borrow().reading != Reading::Draining(Drain::Replaced);
                    if is_new {
                        place.outlet.borrow_mut().drain_for(Drain::Replaced);
                        self.runtime.spawn(Box::pin(replace(Rc::clone(self), Rc::clone(place))));
                    }
                    places.push(Rc::clone(place));
                }
                None => places.extend(self.place(planned, false)),
            }
        }
        for place in &old {
            if !plan.destinations.iter().any(|planned| planned.destination.id == place.destination.id) {
                // Now, because the same destination may be there again before its last words are said.
                self.log.borrow_mut().remove_cursor(place.outlet.borrow().key());
                self.runtime.spawn(Box::pin(retire(Rc::clone(self), Rc::clone(place))));
            }
        }
        *self.plan.borrow_mut() = plan;
        self.set_places(places);
        self.ring();
    }

    /// Something changed that a turn must look at.
    pub fn touch(&self, place: &Rc<Place>) {
        if !place.is_touched.replace(true) {
            self.touched.borrow_mut().push(Rc::clone(place));
        }
    }

    /// As [`Shard::touch`], from outside a turn.
    pub fn touch_and_ring(&self, place: &Rc<Place>) {
        self.touch(place);
        self.ring();
    }

    /// Asks for a turn.
    pub fn ring(&self) {
        self.mailbox.bell().notify();
    }

    /// The books of the tenants, for those who settle events.
    pub fn tenants(&self) -> &Rc<RefCell<TenantBooks>> {
        &self.tenants
    }

    /// The places, to look at.
    pub fn places(&self) -> Vec<Rc<Place>> {
        self.places.borrow().clone()
    }

    /// The log, to look at.
    pub fn log(&self) -> &RefCell<Log> {
        &self.log
    }

    /// The log clock.
    pub fn log_now(&self) -> LogTime {
        let (base, started) = self.log_clock;
        base.plus(self.runtime.now().since(started).0)
    }

    /// Puts an event that a destination refused for good into its store; it is settled when it is there.
    pub fn bury(self: &Rc<Self>, place: &Rc<Place>, condemned: Condemned) {
        self.runtime.spawn(Box::pin(bury(Rc::clone(self), Rc::clone(place), condemned)));
    }

    /// Says something about the agent itself, as an event in this shard's log.
    pub fn tell(&self, event: OwnEvent) {
        let mut waiting = self.own_waiting.borrow_mut();
        if waiting.len() < OWN_WAITING_MAX {
            waiting.push(event);
        }
    }

    /// Whether producers wait for this destination rather than it losing events.
    fn holds_producers(&self, destination: &Destination) -> bool {
        destination.required && self.plan.borrow().on_full == OnFull::Block
    }

    /// One turn. Returns whether there is more to do at once.
    fn turn(self: &Rc<Self>) -> bool {
        let now = self.runtime.now();
        self.now.set(now);
        self.tenants.borrow_mut().begin_turn();
        self.log.borrow().rearm_waker();
        self.take_in();
        let is_time = now >= self.next_housekeeping.get();
        if is_time {
            self.next_housekeeping.set(now.plus(HOUSEKEEPING));
            self.keep_house();
            self.tell_intake();
        }
        self.make_room();
        let has_more = self.read_passes();
        self.settle_places(is_time);
        self.write_cursors(now);
        self.publish(is_time);
        has_more
    }

    fn take_in(&self) {
        let moment = self.moment();
        let mut log = self.log.borrow_mut();
        let mut intake = self.intake.borrow_mut();
        log.tick(moment.log);
        if let Some(failure) = log.take_failure() {
            intake.fail(&failure);
            let given_back = failure.lost.iter().map(|lost| lost.end.get() - lost.start.get()).sum();
            tracing::error!(shard = self.id.0, "a sync failed: {}", failure.cause);
            self.tell(OwnEvent::SyncFailed(SyncFailed {
                shard: self.id.0,
                segment: String::new(),
                error: failure.cause.to_string(),
                rewritten: failure.rescued.end.get() - failure.rescued.start.get() - given_back,
                given_back,
            }));
        }
        self.append_own(&mut log, &mut intake, moment);
        if self.is_stopping() {
            intake.refuse_batches();
        } else {
            intake.append_batches(&mut log, moment);
        }
        intake.acknowledge(&log);
        // Room for some record is not room for the one that met the end: it is tried again when something moved, or it
        // and the turns it asks for would wake each other for ever.
        let has_moved = self.log_moved.swap(false, Ordering::AcqRel) || self.now.get() >= self.next_housekeeping.get();
        if has_moved && log.has_room() == Room::Ready {
            self.room.notify();
        }
    }

    /// Says when producers have to wait because there is no room, and when they need not any more.
    fn tell_intake(&self) {
        let why = self.intake.borrow().why_no_room().map(str::to_owned);
        if self.is_accepting.replace(why.is_none()) == why.is_none() {
            return;
        }
        match &why {
            Some(why) => tracing::error!(shard = self.id.0, "no events are taken: {why}"),
            None => tracing::info!(shard = self.id.0, "events are taken again"),
        }
        self.tell(OwnEvent::IntakeChanged(IntakeChanged {
            shard: self.id.0,
            accepting: why.is_none(),
            cause: why.unwrap_or_else(|| String::from("there is room again")),
        }));
    }

    fn append_own(&self, log: &mut Log, intake: &mut Intake, moment: Moment) {
        let events = self.own_waiting.take();
        for event in events {
            let id = format!("siem_{:016x}{:016x}", self.runtime.entropy(), self.runtime.entropy());
            let envelope = Envelope {
                event_id: &id,
                timestamp_ms: moment.wall.as_ms(),
                tenant_id: &self.identity.tenant,
                node: &self.identity.node,
            };
            let raw = event.to_json(&envelope);
            let Ok(index) = scaidrive_codecs::index(&raw) else { continue };
            let hash = scaidrive_codecs::tenant_hash(&self.identity.tenant);
            if self.append_one(log, intake, moment, &raw, &index, hash).is_err() {
                self.tell(event);
            }
        }
    }

    fn append_one(
        &self,
        log: &mut Log,
        intake: &mut Intake,
        moment: Moment,
        raw: &[u8],
        index: &Index,
        hash: u64,
    ) -> Result<(), NoRoom> {
        intake.append(log, moment, raw, index, hash, FLAG_OWN)?;
        intake.end_group(log, Box::new(|_| {}));
        Ok(())
    }

    /// Lets what happened since the last turn take effect: cursors move, announcements are made, carriers wake.
    fn settle_places(self: &Rc<Self>, all: bool) {
        let touched = self.touched.take();
        let places = self.places.borrow().clone();
        let list = if all { &places } else { &touched };
        for place in list {
            place.is_touched.set(false);
            if place.is_closed.get() {
                continue;
            }
            let mut outlet = place.outlet.borrow_mut();
            if let Some(seq) = self.passes.borrow().position(outlet.reading) {
                outlet.passed_to(seq);
            }
            let was_draining = matches!(outlet.reading, Reading::Draining(_));
            outlet.advance(self.must_go.get(), self.now.get(), &mut Chance(&*self.runtime));
            if was_draining
                && outlet.reading == Reading::Waiting
                && let Some(at) = places.iter().position(|other| Rc::ptr_eq(other, place))
            {
                self.waits_again(at as u32, outlet.next_seq());
                self.ring();
            }
            drop(outlet);
            self.tend(place);
        }
        if all {
            for place in &touched {
                place.is_touched.set(false);
            }
        }
    }

    /// Sees to it that somebody carries for a place that has something to send.
    fn tend(self: &Rc<Self>, place: &Rc<Place>) {
        if place.wants_carrier() && !place.is_closed.get() && !self.is_stopping() {
            place.carriers.set(place.carriers.get() + 1);
            self.runtime.spawn(Box::pin(carrier::carry(Rc::clone(self), Rc::clone(place))));
        }
    }

    /// Cursors: what the disk has is heard, what is due is written and synced, and what else changed is noted.
    fn write_cursors(&self, now: Millis) {
        self.hear_of_cursors();
        let is_time = now >= self.next_cursors.get();
        if is_time {
            self.next_cursors.set(now.plus(CURSORS_EVERY));
        }
        let mut whose = Vec::new();
        let due = self.cursor_bodies(|place, outlet| {
            let body = outlet.cursor_body(is_time)?;
            whose.push(Rc::clone(place));
            Some(body)
        });
        let mut log = self.log.borrow_mut();
        if !due.is_empty() {
            match log.write_cursors(&borrowed(&due)) {
                Ok(ticket) => self.cursors.borrow_mut().under_way.push((ticket, whose)),
                Err(problem) => {
                    tracing::error!(shard = self.id.0, "cursors can't be written: {problem}");
                    whose.iter().for_each(|place| place.outlet.borrow_mut().cursor_written(false));
                }
            }
        }
        let notes = self.cursor_bodies(|_, outlet| outlet.cursor_note());
        if !notes.is_empty() {
            log.note_cursors(&borrowed(&notes));
        }
    }

    fn hear_of_cursors(&self) {
        let log = self.log.borrow();
        let written = log.cursors_written();
        let is_durable = log.cursor_error().is_none();
        for (_, places) in self.cursors.borrow_mut().under_way.extract_if(.., |(ticket, _)| *ticket <= written) {
            for place in places {
                place.outlet.borrow_mut().cursor_written(is_durable);
            }
        }
    }

    fn cursor_bodies(
        &self,
        mut body_of: impl FnMut(&Rc<Place>, &mut Outlet) -> Option<Vec<u8>>,
    ) -> Vec<(CursorKey, Vec<u8>)> {
        let places = self.places.borrow();
        let body = |place: &Rc<Place>| {
            let mut outlet = place.outlet.borrow_mut();
            Some((outlet.key(), body_of(place, &mut outlet)?))
        };
        places.iter().filter_map(body).collect()
    }

    fn place(&self, planned: &Planned, must_begin_anew: bool) -> Option<Rc<Place>> {
        let key = CursorKey(planned.destination.id.bytes());
        let cursor = self.log.borrow().cursors().find(|(found, _)| *found == key).map(|(_, body)| body.to_vec());
        self.place_from(planned, cursor.as_deref(), must_begin_anew)
    }

    fn place_from(&self, planned: &Planned, cursor: Option<&[u8]>, must_begin_anew: bool) -> Option<Rc<Place>> {
        let encoder = match Encoder::new(&planned.destination) {
            Ok(encoder) => Rc::new(encoder),
            Err(problem) => {
                tracing::error!(destination = %planned.destination.name, "not delivered to: {problem}");
                return None;
            }
        };
        let start = Start {
            node: &self.identity.node,
            agent: &self.identity.agent_id,
            shard: self.id.0,
            cursor,
            oldest: self.log.borrow().first_seq(),
            next: self.log.borrow().next_seq(),
            must_begin_anew,
            now: self.runtime.now(),
            wall_ms: self.runtime.wall_ms(),
        };
        let outlet = Outlet::open(Arc::clone(&planned.destination), encoder, &start, &mut Chance(&*self.runtime));
        let route = Rc::new(Route::new(Arc::clone(&planned.destination), Arc::clone(&planned.credentials)));
        Some(Place::new(outlet, route, Arc::clone(&planned.dead_letters), planned.allowance.clone()))
    }

    fn set_places(&self, places: Vec<Rc<Place>>) {
        for place in &places {
            let mut outlet = place.outlet.borrow_mut();
            if let Some(seq) = self.passes.borrow().position(outlet.reading) {
                outlet.passed_to(seq);
                outlet.reading = Reading::Waiting;
            }
        }
        let waits = (0u32..).zip(&places).map(|(at, place)| {
            let outlet = place.outlet.borrow();
            (at, outlet.reading, outlet.next_seq())
        });
        self.passes.borrow_mut().places_changed(waits);
        *self.places.borrow_mut() = places;
    }

    fn tell_damage(&self, missing: &Range<Seq>) {
        if self.told_damage.iter().any(|told| told.start < missing.end && missing.start < told.end) {
            return;
        }
        tracing::error!(
            shard = self.id.0,
            "records {} to {} of the log are damaged",
            missing.start.get(),
            missing.end.get()
        );
        self.tell(OwnEvent::LogDamaged(LogDamaged {
            shard: self.id.0,
            segment: String::new(),
            bytes: 0,
            from_seq: missing.start.get(),
            end_seq: Some(missing.end.get()),
            found_while: String::from("reading"),
        }));
    }

    /// A destination's dead-letter store has no room: said once an hour.
    fn tell_full_store(&self, place: &Place) {
        let now = self.runtime.now();
        if place.next_full_store.get().is_some_and(|moment| now < moment) {
            return;
        }
        place.next_full_store.set(Some(now.plus(FULL_STORE_EVERY)));
        let store = place.dead_letters.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::warn!(destination = %place.destination.name, "the dead-letter store is full; refused events count as overflow");
        self.tell(OwnEvent::DeadLettersFull(DeadLettersFull {
            destination: place.destination.name.clone(),
            events: store.len() as u64,
            bytes: store.bytes(),
            limit_bytes: store.max_bytes(),
        }));
    }

    /// How long what was written to a peer that never answers is kept at most: half the window, so that it never ages
    /// out of it.
    pub fn trail_age_max(&self) -> Millis {
        Millis(self.plan.borrow().window.0 / 2)
    }

    /// Its number.
    pub fn id(&self) -> ShardId {
        self.id
    }

    fn has_ended(&self) -> bool {
        match self.stop.get() {
            Stop::No => false,
            Stop::Until(moment) => {
                let is_quiet = !self.intake.borrow().is_waiting()
                    && !self.places.borrow().iter().any(|place| place.outlet.borrow().is_busy());
                is_quiet || self.runtime.now() >= moment
            }
        }
    }

    /// The last words: what is settled is in the cursors, and what is appended is on the disk.
    async fn close(&self) {
        self.settle_for_the_last_time();
        let deadline = self.runtime.now().plus(CLOSE_MAX);
        while self.runtime.now() < deadline {
            self.log.borrow().rearm_waker();
            self.next_cursors.set(Millis::ZERO);
            self.write_cursors(self.runtime.now());
            if self.cursors.borrow().under_way.is_empty() {
                break;
            }
            self.look_again().await;
        }
        let closing = self.log.borrow_mut().begin_close(self.log_now());
        while self.runtime.now() < deadline && !closing.is_done() && !closing.has_failed() {
            self.log.borrow().rearm_waker();
            self.look_again().await;
        }
        self.intake.borrow_mut().acknowledge(&self.log.borrow());
        self.intake.borrow_mut().give_back();
        self.publish(true);
    }

    /// Waits for a helper of the log, but not for long.
    async fn look_again(&self) {
        or(self.mailbox.bell().changed(), self.runtime.sleep(Millis(20))).await;
    }

    fn settle_for_the_last_time(&self) {
        for place in self.places.borrow().iter() {
            let mut outlet = place.outlet.borrow_mut();
            if let Some(seq) = self.passes.borrow().position(outlet.reading) {
                outlet.passed_to(seq);
            }
            outlet.advance(self.must_go.get(), self.runtime.now(), &mut Chance(&*self.runtime));
        }
    }

    fn moment(&self) -> Moment {
        Moment { log: self.log_now(), wall: WallTime::from_ms(self.runtime.wall_ms()) }
    }
}

fn borrowed(bodies: &[(CursorKey, Vec<u8>)]) -> Vec<(CursorKey, &[u8])> {
    bodies.iter().map(|(key, body)| (*key, body.as_slice())).collect()
}

/// Keeps at it until the store has the event or is full: a disk that refuses is no reason to lose it.
async fn bury(shard: Rc<Shard>, place: Rc<Place>, condemned: Condemned) {
    let Condemned { item, why } = condemned;
    let epoch = place.outlet.borrow().stream().epoch();
    let letter = Letter {
        id: 0,
        key: Key { epoch, n: item.n },
        shard: shard.id.0,
        raw: item.load.payload().to_vec(),
        reply: why.clone(),
        reason: why.clone(),
        wall_ms: shard.runtime.wall_ms(),
        attempts: 1,
    };
    let is_stored = loop {
        let (store, letter) = (Arc::clone(&place.dead_letters), letter.clone());
        let put = move || store.lock().unwrap_or_else(PoisonError::into_inner).put(&[letter]);
        match offload_value(&shard.runtime, put).await {
            Ok(Ok(kept)) => break kept == Kept::All,
            Ok(Err(problem)) => tracing::error!(destination = %place.destination.name, "{problem}"),
            Err(panicked) => tracing::error!(destination = %place.destination.name, "{panicked}"),
        }
        shard.runtime.sleep(BURY_AGAIN).await;
    };
    if !is_stored {
        shard.tell_full_store(&place);
    }
    place.outlet.borrow_mut().dead_lettered(&item, &why, is_stored, &mut shard.tenants.borrow_mut());
    shard.touch_and_ring(&place);
}

/// Puts a changed destination in the place of the old one, when what was under way has ended or its time is over.
async fn replace(shard: Rc<Shard>, old: Rc<Place>) {
    wait_until_quiet(&shard, &old).await;
    shard.swap(&old);
}

/// Lets a removed destination's requests end, writes off what it did not get, and tells it so in its last statement.
async fn retire(shard: Rc<Shard>, place: Rc<Place>) {
    wait_until_quiet(&shard, &place).await;
    let now = shard.runtime.now();
    let unread = {
        let outlet = place.outlet.borrow();
        shard.log.borrow().next_seq().get().saturating_sub(outlet.next_seq().get())
    };
    place.outlet.borrow_mut().abandon(unread, now, &mut Chance(&*shard.runtime));
    let deadline = now.plus(LAST_WORDS_MAX);
    while place.outlet.borrow().announcer().front().is_some() && shard.runtime.now() < deadline {
        shard.tend(&place);
        shard.runtime.sleep(Millis(50)).await;
    }
    place.is_closed.set(true);
    place.outlet.borrow().wake.notify();
}

async fn wait_until_quiet(shard: &Shard, place: &Place) {
    place.outlet.borrow_mut().rest(true);
    let deadline = shard.runtime.now().plus(REPLACE_MAX);
    while place.outlet.borrow().is_busy() && shard.runtime.now() < deadline {
        shard.runtime.sleep(Millis(50)).await;
    }
}

impl Shard {
    /// The new settings go on from where the old ones have settled everything.
    fn swap(self: &Rc<Self>, old: &Rc<Place>) {
        let plan = Arc::clone(&self.plan.borrow());
        let is_here = self.places.borrow().iter().any(|place| Rc::ptr_eq(place, old));
        let planned = plan.destinations.iter().find(|planned| planned.destination.id == old.destination.id);
        // Removed meanwhile, and perhaps there again as a new one.
        let Some(planned) = planned.filter(|_| is_here) else { return };
        let body = {
            let mut outlet = old.outlet.borrow_mut();
            outlet.advance(self.must_go.get(), self.runtime.now(), &mut Chance(&*self.runtime));
            outlet.cursor_body_now()
        };
        old.is_closed.set(true);
        old.outlet.borrow().wake.notify();
        let place = self.place_from(planned, body.as_deref(), false);
        if let Some(place) = &place {
            // What the new outlet starts from is not on the disk yet; until it is, the old cursor protects the log.
            place.outlet.borrow_mut().protect_from(old.outlet.borrow().durable_seq());
        }
        let places: Vec<_> = self
            .places
            .borrow()
            .iter()
            .filter_map(|other| if Rc::ptr_eq(other, old) { place.clone() } else { Some(Rc::clone(other)) })
            .collect();
        self.set_places(places);
        self.ring();
    }
}

/// The shard as somewhere to put events.
struct ShardShelf(Rc<Shard>);

impl Shelf for ShardShelf {
    fn append(&self, raw: &[u8], index: &Index, tenant_hash: u64) -> Result<(), NoRoom> {
        let shard = &self.0;
        if shard.is_stopping() {
            return Err(NoRoom);
        }
        let mut log = shard.log.borrow_mut();
        shard.intake.borrow_mut().append(&mut log, shard.moment(), raw, index, tenant_hash, 0)
    }

    fn end_group(&self, done: Done) {
        let log = self.0.log.borrow();
        self.0.intake.borrow_mut().end_group(&log, done);
        if log.ack_end() >= log.next_seq() {
            // Acknowledged without a sync, so nothing else would ring.
            self.0.ring();
        }
    }

    fn room(&self) -> Pending<()> {
        // The log's keeper rings when it has made room, and a turn a second looks in any case.
        let room = Rc::clone(&self.0.room);
        let seen = room.seen();
        Box::pin(async move { room.changed(seen).await })
    }

    fn why_no_room(&self) -> Option<String> {
        self.0.intake.borrow().why_no_room().map(str::to_owned)
    }
}

/// A shard looks round this often even when nothing rings.
const TURN_MAX: Millis = Millis(1_000);
/// Ages, retention and every place are looked at this often.
const HOUSEKEEPING: Millis = Millis(1_000);
/// Cursors are written this often, whatever the number of destinations.
const CURSORS_EVERY: Millis = Millis(1_000);
/// How long the last sync and the last cursors may take when the agent stops.
const CLOSE_MAX: Millis = Millis(1_500);
/// How long a changed destination's requests may take before it is replaced.
const REPLACE_MAX: Millis = Millis(30_000);
/// How long a removed destination may take to accept its last statement.
const LAST_WORDS_MAX: Millis = Millis(10_000);
/// A dead letter that the disk refused is tried again after this.
const BURY_AGAIN: Millis = Millis(5_000);
/// How often a full dead-letter store is announced.
const FULL_STORE_EVERY: Millis = Millis::from_secs(3_600);
/// Own events that wait for room in the log.
const OWN_WAITING_MAX: usize = 256;
