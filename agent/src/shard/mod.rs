//! A shard: one thread with a log of its own, and everything that happens on it.
//!
//! The shard works in *turns*. A turn takes what other threads left, tells producers what is durable, reads a bounded
//! slice of the log with each pass, settles what came back, writes cursors, gives space back, and publishes the books;
//! then it sleeps until something rings. Tasks beside it take events in ([`crate::ingest`]) and carry them out
//! ([`crate::delivery::carrier`]); all of them run on this one thread and share nothing with other shards.
//!
//! What it does not do: parse events, decide what a reply means, or speak to a network.

mod burial;
mod cursors;
pub mod door;
mod ending;
mod flows;
mod inbox;
mod intake;
mod pass;
mod place;
mod replan;
mod replay;
mod report;
mod resend;
mod retention;
mod shelf;
mod telling;
mod tenants;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_lite::future::{or, yield_now};
use scaidrive_codecs::own::{LogDamaged, OwnEvent, SyncFailed};
use scaidrive_wal::{Log, LogTime, Opened, Record, Room, Seq, WallTime};

pub use inbox::{Command, Mail, Mailbox};
pub use place::Place;
pub use report::{DestinationReport, Published, ReplayReport, ShardReport};
pub use retention::Holdings;

use self::cursors::CursorQueue;
use self::door::{Done, Doors, LocalDoor, ShardId, Shelf};
use self::flows::Flows;
use self::intake::{Intake, Moment};
use self::pass::Passes;
use self::retention::Frontier;
use self::shelf::ShardShelf;
use crate::alarm::Alarm;
use crate::chronicle::Chronicle;
use crate::config::{Destination, DestinationId, OnFull};
use crate::credentials::Credentials;
use crate::deadletter::{DeadLetters, Key};
use crate::delivery::allowance::Allowance;
use crate::delivery::carrier;
use crate::delivery::outlet::Reading;
use crate::delivery::pace::Pace;
use crate::delivery::pool::Pool;
use crate::notify::Notify;
use crate::runtime::{Runtime, TaskName};
use crate::stream::books::TenantBooks;
use crate::time::{Entropy, Millis};
use crate::transport::{Exchanges, Gzip};

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
    /// Where is kept what the agent says of itself.
    pub chronicle: Chronicle,
    /// Numbers can't go on: the machine's identity changed.
    pub must_begin_anew: bool,
}

/// See the module.
pub struct Shard {
    /// What it runs on.
    pub runtime: Rc<dyn Runtime>,
    /// Who the agent is.
    pub identity: Identity,
    /// How often it sends small requests.
    pub pace: RefCell<Pace>,
    /// What its senders fill together.
    pub pool: Pool<Record>,
    /// What its exchanges use one after another.
    pub exchanges: Exchanges,
    /// Compresses bodies, one at a time.
    pub gzip: RefCell<Gzip>,
    id: ShardId,
    mailbox: Arc<Mailbox>,
    doors: Doors,
    log: RefCell<Log>,
    log_clock: (LogTime, Millis),
    intake: RefCell<Intake>,
    passes: RefCell<Passes>,
    places: RefCell<Vec<Rc<Place>>>,
    touched: RefCell<Vec<Rc<Place>>>,
    flows: Flows,
    /// Dead letters that are to be sent again and have not been tried yet.
    resending: RefCell<HashSet<(DestinationId, Key)>>,
    tenants: Rc<RefCell<TenantBooks>>,
    plan: RefCell<Arc<Plan>>,
    published: Arc<Published>,
    holdings: Arc<Holdings>,
    chronicle: Chronicle,
    cursors: RefCell<CursorQueue>,
    /// Rings when there may be room in the log again.
    room: Rc<Notify>,
    /// A helper of the log has done something since the last turn.
    log_moved: Arc<AtomicBool>,
    /// Damage that opening found and told.
    told_damage: Vec<Range<Seq>>,
    is_accepting: Cell<bool>,
    now: Cell<Millis>,
    /// The time at which the group that is being put together is appended: a slice of lines, a fraction of a turn.
    group_moment: Cell<Option<Moment>>,
    frontier: Frontier,
    stop: Cell<Stop>,
    next_housekeeping: Cell<Millis>,
    /// When a batch that waits for company must be looked at, if any.
    next_look: Cell<Option<Millis>>,
    next_cursors: Cell<Millis>,
    next_publish: Cell<Millis>,
    /// Whether turns have passed since the last snapshot.
    has_untold: Cell<bool>,
    turns: Cell<u64>,
    unreadable: Cell<u64>,
    /// Own events that wait for room in the log.
    own_waiting: RefCell<Vec<(Vec<u8>, Option<Done>)>>,
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
        let Parts { id, identity, mut log, opened, mailbox, doors, plan, published, holdings, .. } = parts;
        let (chronicle, must_begin_anew) = (parts.chronicle, parts.must_begin_anew);
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
            pace: RefCell::default(),
            pool: Pool::default(),
            exchanges: Exchanges::default(),
            gzip: RefCell::default(),
            id,
            mailbox,
            doors,
            passes: RefCell::new(Passes::new(log.next_seq())),
            log: RefCell::new(log),
            log_clock: (opened.log_time, now),
            intake: RefCell::new(Intake::default()),
            places: RefCell::new(Vec::new()),
            touched: RefCell::new(Vec::new()),
            flows: Flows::default(),
            resending: RefCell::default(),
            tenants: Rc::new(RefCell::new(TenantBooks::default())),
            plan: RefCell::new(Arc::clone(&plan)),
            published,
            holdings,
            chronicle,
            cursors: RefCell::new(CursorQueue::default()),
            room: Rc::new(Notify::default()),
            log_moved,
            told_damage: opened.damage.iter().map(|damage| damage.seqs.clone()).collect(),
            is_accepting: Cell::new(true),
            now: Cell::new(now),
            group_moment: Cell::new(None),
            frontier: Frontier::new(now),
            stop: Cell::new(Stop::No),
            next_housekeeping: Cell::new(now),
            next_look: Cell::new(None),
            next_cursors: Cell::new(now),
            next_publish: Cell::new(now),
            has_untold: Cell::new(false),
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
        let mut alarm = Alarm::new(&self.runtime);
        loop {
            self.mailbox.take(&mut mail);
            for job in mail.jobs.drain(..) {
                job(&door);
            }
            for command in mail.commands.drain(..) {
                match command {
                    Command::Replan(plan) => self.replan(plan),
                    Command::Tell(event) => self.tell(event),
                    Command::TellUnder(scope, event) => self.tell_under(scope.as_ref(), &event),
                    Command::TellDurably(tenant, event, done) => self.tell_durably(tenant.as_deref(), &event, done),
                    Command::Replay { destination, from_wall_ms } => self.replay(destination, from_wall_ms),
                    Command::Resend { destination, letters } => self.resend(destination, letters),
                    Command::Flow { destination, flow } => self.set_flow(destination, flow),
                    Command::Drain { destination, answer } => self.begin_drain(destination, answer),
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
                or(bell.changed(), alarm.at(self.next_turn())).await;
            }
        }
    }

    /// When the next turn begins, if nothing rings before. What nobody was told of yet does not wait for a whole
    /// [`TURN_MAX`]: people look at it.
    fn next_turn(&self) -> Millis {
        let told = self.has_untold.get().then(|| self.next_publish.get());
        let latest = self.runtime.now().plus(TURN_MAX);
        [self.next_look.get(), told].into_iter().flatten().fold(latest, Millis::min)
    }

    /// The way into this shard for tasks on its own thread.
    pub fn door(self: &Rc<Self>) -> LocalDoor {
        let shelf: Rc<dyn Shelf> = Rc::new(ShardShelf(Rc::clone(self)));
        LocalDoor::new(self.doors.clone(), self.id, Rc::clone(&self.runtime), shelf)
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

    /// The live stream of a destination.
    fn live(&self, destination: DestinationId) -> Option<Rc<Place>> {
        let places = self.places.borrow();
        places.iter().find(|place| place.destination.id == destination && !place.is_replay()).cloned()
    }

    /// Whether producers wait for this place rather than it losing events.
    fn holds_producers(&self, place: &Place) -> bool {
        place.destination.required && self.plan.borrow().on_full == OnFull::Block && !place.is_replay()
    }

    /// One turn. Returns whether there is more to do at once.
    fn turn(self: &Rc<Self>) -> bool {
        let now = self.runtime.now();
        self.now.set(now);
        self.tenants.borrow_mut().begin_turn();
        self.log.borrow().rearm_waker();
        self.take_in();
        self.tell_points();
        let is_time = now >= self.next_housekeeping.get();
        if is_time {
            self.next_housekeeping.set(now.plus(HOUSEKEEPING));
            self.keep_house();
            self.tell_intake();
        }
        self.make_room();
        let has_more = self.read_passes();
        self.look_at_lingering(now);
        let settled = self.settle_places(is_time);
        self.write_cursors(now, &settled);
        self.keep_for_touched(settled);
        self.publish(is_time);
        has_more
    }

    /// Touches the places with a batch that has waited for company long enough while all their carriers were busy.
    fn look_at_lingering(&self, now: Millis) {
        if self.next_look.get().is_none_or(|look| now < look) {
            return;
        }
        self.next_look.set(None);
        for place in self.places.borrow().iter() {
            match place.wants_look_at() {
                Some(until) if until <= now => self.touch(place),
                Some(until) => self.look_by(until),
                None => {}
            }
        }
    }

    /// Places are looked at by this moment, though nothing rings.
    fn look_by(&self, moment: Millis) {
        self.next_look.set(Some(self.next_look.get().map_or(moment, |look| look.min(moment))));
    }

    fn take_in(&self) {
        self.group_moment.set(None);
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

    /// Lets what happened since the last turn take effect: cursors move, announcements are made, carriers wake. Returns
    /// the places that it looked at.
    fn settle_places(self: &Rc<Self>, all: bool) -> Vec<Rc<Place>> {
        let mut list = self.touched.take();
        if all {
            list.drain(..).for_each(|place| place.is_touched.set(false));
            list.extend_from_slice(&self.places.borrow());
        }
        let (mut replayed, mut drained) = (Vec::new(), Vec::new());
        for place in &list {
            place.is_touched.set(false);
            if place.is_closed.get() {
                continue;
            }
            let mut outlet = place.outlet.borrow_mut();
            self.note_passed(&mut outlet);
            let was_draining = matches!(outlet.reading, Reading::Draining(_));
            outlet.advance(self.frontier.must_go.get(), self.now.get(), &mut Chance(&*self.runtime));
            if was_draining
                && outlet.reading == Reading::Waiting
                && let Some(at) = self.places.borrow().iter().position(|other| Rc::ptr_eq(other, place))
            {
                self.waits_again(at as u32, outlet.next_seq());
                self.ring();
            }
            if outlet.has_replayed() {
                replayed.push(Rc::clone(place));
            }
            drained.extend(outlet.has_drained().map(|point| (Rc::clone(place), point)));
            drop(outlet);
            if all {
                self.overhear(place, false);
            }
            self.tend(place);
        }
        self.end_replays(&replayed);
        drained.into_iter().for_each(|(place, point)| self.end_drain(&place, point));
        list
    }

    /// Keeps an emptied list for what is touched from now on, so that turns allocate nothing.
    fn keep_for_touched(&self, mut list: Vec<Rc<Place>>) {
        list.clear();
        let mut touched = self.touched.borrow_mut();
        if touched.is_empty() {
            *touched = list;
        }
    }

    /// Sees to it that somebody carries for a place that has something to send.
    fn tend(self: &Rc<Self>, place: &Rc<Place>) {
        if place.wants_carrier(self.now.get()) && !place.is_closed.get() && !self.is_stopping() {
            place.carriers.set(place.carriers.get() + 1);
            self.runtime.spawn(TaskName::Delivery, Box::pin(carrier::carry(Rc::clone(self), Rc::clone(place))));
        } else if let Some(until) = place.wants_look_at().filter(|until| *until > self.now.get()) {
            self.look_by(until);
        }
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

    fn moment(&self) -> Moment {
        Moment { log: self.log_now(), wall: WallTime::from_ms(self.runtime.wall_ms()) }
    }
}

/// A shard looks round this often even when nothing rings.
const TURN_MAX: Millis = Millis(1_000);
/// Ages, retention and every place are looked at this often.
const HOUSEKEEPING: Millis = Millis(1_000);
