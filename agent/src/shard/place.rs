//! An outlet on its shard, with the carriers that work for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::report::ReplayReport;
use crate::config::Destination;
use crate::deadletter::DeadLetters;
use crate::delivery::allowance::Allowance;
use crate::delivery::outlet::{Lone, LoneJob, Outlet, OutletJob};
use crate::delivery::route::Route;
use crate::time::Millis;

/// A destination on one shard.
pub struct Place {
    /// What is configured.
    pub destination: Arc<Destination>,
    /// What it selects and holds.
    pub outlet: RefCell<Outlet>,
    /// The way to it.
    pub route: Rc<Route>,
    /// How much it may get; shared with the other shards.
    pub allowance: Option<Arc<Mutex<Allowance>>>,
    /// Where what it refuses is kept; shared with the other shards.
    pub dead_letters: Arc<Mutex<DeadLetters>>,
    /// Tasks that carry for it.
    pub carriers: Cell<u32>,
    /// Those of them that wait for work.
    pub idle: Cell<u32>,
    /// The outlet was replaced: carriers end when what they carry is settled.
    pub is_closed: Cell<bool>,
    /// Something happened since the last turn that the turn must look at.
    pub is_touched: Cell<bool>,
    /// Whether its cursor is kept: it is one of the shard's places.
    pub has_cursor: Cell<bool>,
    /// How its last replay went, in a live stream that has had one; those that run add to it.
    pub replayed: RefCell<Option<ReplayReport>>,
    /// Not before this moment is a full dead-letter store announced again.
    pub next_full_store: Cell<Option<Millis>>,
}

impl Place {
    /// A place without carriers.
    pub fn new(
        outlet: Outlet,
        route: Rc<Route>,
        dead_letters: Arc<Mutex<DeadLetters>>,
        allowance: Option<Arc<Mutex<Allowance>>>,
    ) -> Rc<Place> {
        Rc::new(Place {
            destination: Arc::clone(&outlet.destination),
            outlet: RefCell::new(outlet),
            route,
            allowance,
            dead_letters,
            carriers: Cell::new(0),
            idle: Cell::new(0),
            is_closed: Cell::new(false),
            is_touched: Cell::new(false),
            has_cursor: Cell::new(false),
            replayed: RefCell::new(None),
            next_full_store: Cell::new(None),
        })
    }

    /// Whether it is a replay and not the live stream.
    pub fn is_replay(&self) -> bool {
        self.outlet.borrow().is_replay()
    }

    /// Carriers end when what they carry is settled.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.outlet.borrow().wake.notify();
    }

    /// For how long nothing may be sent, because what it may get is used up.
    pub fn halt(&self, now: Millis, wall_ms: i64) -> Option<Millis> {
        let allowance = self.allowance.as_ref()?;
        let halt = allowance.lock().unwrap_or_else(PoisonError::into_inner).halt(now, wall_ms);
        let wait = halt.as_ref().map(|halt| halt.wait);
        self.outlet.borrow_mut().set_halted(halt.map(|halt| halt.why));
        wait
    }

    /// Something is sent: what it may get becomes less.
    pub fn spend(&self, job: &OutletJob, now: Millis, wall_ms: i64) {
        let Some(allowance) = &self.allowance else { return };
        let (events, bytes) = match job {
            OutletJob::Events(job) => {
                (job.batch.items.len() as u64, job.batch.items.iter().map(|item| u64::from(item.size)).sum())
            }
            OutletJob::Lone(LoneJob { what: Lone::Letter(sending), .. }) => (1, sending.letter.raw.len() as u64),
            OutletJob::Lone(LoneJob { what: Lone::Own(_), .. }) => (1, 0),
        };
        let said = allowance.lock().unwrap_or_else(PoisonError::into_inner).spend(events, bytes, now, wall_ms);
        if let Some(words) = said {
            tracing::warn!(destination = %self.destination.name, "{words}");
            self.outlet.borrow_mut().set_notice(words);
        }
    }

    /// Wakes a carrier, or says that one more is needed.
    pub fn wants_carrier(&self, now: Millis) -> bool {
        let outlet = self.outlet.borrow();
        // One that rests has nothing to do for a new carrier, which would only end and ask for the next.
        let has_work = !outlet.is_empty() || outlet.has_lone();
        if outlet.is_at_rest() || !has_work || self.is_attended(&outlet, now) {
            return false;
        }
        outlet.wake.notify();
        self.idle.get() == 0 && self.carriers.get() < outlet.carriers_max().min(CARRIERS_MAX)
    }

    /// When one more carrier is wanted although nothing happens: all are busy, and a batch may wait for company until then.
    pub fn wants_look_at(&self) -> Option<Millis> {
        let outlet = self.outlet.borrow();
        let may_help = self.idle.get() == 0 && self.carriers.get() < outlet.carriers_max().min(CARRIERS_MAX);
        outlet.sender().lingers_until().filter(|_| may_help && !outlet.is_at_rest())
    }

    /// Whether what waits in `outlet`, this place's own, is seen to: a carrier waits for the batch that is being put
    /// together, or all are busy and look again when they are done, and one more would find nothing to send until then.
    pub fn is_attended(&self, outlet: &Outlet, now: Millis) -> bool {
        if self.idle.get() > 0 {
            return outlet.sender().is_gathering() && !outlet.has_lone();
        }
        self.carriers.get() > 0 && !outlet.has_more(now)
    }
}

/// Connections to one destination from one shard.
const CARRIERS_MAX: u32 = 16;
