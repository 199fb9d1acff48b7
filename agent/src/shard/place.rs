//! An outlet on its shard, with the carriers that work for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::config::Destination;
use crate::deadletter::DeadLetters;
use crate::delivery::outlet::Outlet;
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
    /// Not before this moment is a full dead-letter store announced again.
    pub next_full_store: Cell<Option<Millis>>,
}

impl Place {
    /// A place without carriers.
    pub fn new(outlet: Outlet, route: Rc<Route>, dead_letters: Arc<Mutex<DeadLetters>>) -> Rc<Place> {
        Rc::new(Place {
            destination: Arc::clone(&outlet.destination),
            outlet: RefCell::new(outlet),
            route,
            dead_letters,
            carriers: Cell::new(0),
            idle: Cell::new(0),
            is_closed: Cell::new(false),
            is_touched: Cell::new(false),
            next_full_store: Cell::new(None),
        })
    }

    /// Wakes a carrier, or says that one more is needed.
    pub fn wants_carrier(&self) -> bool {
        let outlet = self.outlet.borrow();
        // One that rests has nothing to do for a new carrier, which would only end and ask for the next.
        if outlet.is_resting() || (outlet.is_empty() && outlet.announcer().front().is_none()) {
            return false;
        }
        outlet.wake.notify();
        self.idle.get() == 0 && self.carriers.get() < outlet.carriers_max().min(CARRIERS_MAX)
    }
}

/// Connections to one destination from one shard.
const CARRIERS_MAX: u32 = 16;
