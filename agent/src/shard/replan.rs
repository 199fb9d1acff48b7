//! How a shard goes over to another plan: destinations come, change and go while events flow.

use std::rc::Rc;
use std::sync::Arc;

use scaidrive_wal::CursorKey;

use super::{Chance, Place, Plan, Planned, Shard};
use crate::delivery::encoder::Encoder;
use crate::delivery::outlet::{Drain, Outlet, Reading, Start};
use crate::delivery::route::Route;
use crate::runtime::TaskName;
use crate::time::Millis;

impl Shard {
    /// Works by another plan from now on. Unchanged destinations keep their connections and their place.
    pub fn replan(self: &Rc<Self>, plan: Arc<Plan>) {
        let (replays, old): (Vec<_>, Vec<_>) = self.places().into_iter().partition(|place| place.is_replay());
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
                        self.runtime.spawn(TaskName::Upkeep, Box::pin(replace(Rc::clone(self), Rc::clone(place))));
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
                self.runtime.spawn(TaskName::Upkeep, Box::pin(retire(Rc::clone(self), Rc::clone(place))));
            }
        }
        for replay in replays {
            // With other settings its numbers would be others.
            let goes_on =
                plan.destinations.iter().any(|planned| Arc::ptr_eq(&planned.destination, &replay.destination));
            if goes_on {
                places.push(replay);
            } else {
                tracing::warn!(destination = %replay.destination.name, "its replay ends, because its settings change");
                replay.close();
            }
        }
        *self.plan.borrow_mut() = plan;
        self.set_places(places);
        self.ring();
    }

    pub(super) fn place(&self, planned: &Planned, must_begin_anew: bool) -> Option<Rc<Place>> {
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
            pool: &self.pool,
        };
        let mut outlet = Outlet::open(Arc::clone(&planned.destination), encoder, &start, &mut Chance(&*self.runtime));
        let id = planned.destination.id;
        outlet.set_flow(self.flow(id), self.bound(id));
        Some(place_for(planned, outlet))
    }

    pub(super) fn set_places(&self, places: Vec<Rc<Place>>) {
        for place in &places {
            let mut outlet = place.outlet.borrow_mut();
            if self.note_passed(&mut outlet) {
                outlet.reading = Reading::Waiting;
            }
        }
        let waits = (0u32..).zip(&places).map(|(at, place)| {
            let outlet = place.outlet.borrow();
            (at, outlet.reading, outlet.next_seq())
        });
        self.passes.borrow_mut().places_changed(waits);
        self.places.borrow().iter().for_each(|place| place.has_cursor.set(false));
        for place in &places {
            place.has_cursor.set(true);
            self.touch(place);
        }
        *self.places.borrow_mut() = places;
    }

    /// The new settings go on from where the old ones have settled everything.
    fn swap(self: &Rc<Self>, old: &Rc<Place>) {
        let plan = Arc::clone(&self.plan.borrow());
        let is_here = self.places.borrow().iter().any(|place| Rc::ptr_eq(place, old));
        let planned = plan.destinations.iter().find(|planned| planned.destination.id == old.destination.id);
        // Removed meanwhile, and perhaps there again as a new one.
        let Some(planned) = planned.filter(|_| is_here) else { return };
        let body = {
            let mut outlet = old.outlet.borrow_mut();
            outlet.advance(self.frontier.must_go.get(), self.runtime.now(), &mut Chance(&*self.runtime));
            outlet.cursor_body_now()
        };
        self.overhear(old, true);
        old.close();
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
    shard.overhear(&place, true);
    say_last_words(&shard, &place).await;
}

/// Lets a stream that was closed say so, and closes its place.
pub(super) async fn say_last_words(shard: &Rc<Shard>, place: &Rc<Place>) {
    let deadline = shard.runtime.now().plus(LAST_WORDS_MAX);
    while place.outlet.borrow().announcer().front().is_some() && shard.runtime.now() < deadline {
        shard.tend(place);
        shard.runtime.sleep(Millis(50)).await;
    }
    place.close();
}

/// A place for an outlet of a planned destination.
pub(super) fn place_for(planned: &Planned, outlet: Outlet) -> Rc<Place> {
    let route = Rc::new(Route::new(Arc::clone(&planned.destination), Arc::clone(&planned.credentials)));
    Place::new(outlet, route, Arc::clone(&planned.dead_letters), planned.allowance.clone())
}

async fn wait_until_quiet(shard: &Shard, place: &Place) {
    place.outlet.borrow_mut().rest(true);
    let deadline = shard.runtime.now().plus(REPLACE_MAX);
    while place.outlet.borrow().is_busy() && shard.runtime.now() < deadline {
        shard.runtime.sleep(Millis(50)).await;
    }
}

/// How long a changed destination's requests may take before it is replaced.
const REPLACE_MAX: Millis = Millis(30_000);
/// How long a removed destination may take to accept its last statement.
const LAST_WORDS_MAX: Millis = Millis(10_000);
