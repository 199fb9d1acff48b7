//! Replays on a shard: places beside the live ones, which read again what those have settled.

use std::rc::Rc;
use std::sync::Arc;

use super::replan::{place_for, say_last_words};
use super::{Chance, Place, ReplayReport, Shard};
use crate::config::DestinationId;
use crate::delivery::outlet::Outlet;
use crate::runtime::TaskName;

impl Shard {
    /// Sends a destination again what the log still holds of the time since `from_wall_ms`. One replay at a time: while one
    /// runs, another is not begun.
    pub(super) fn replay(self: &Rc<Self>, destination: DestinationId, from_wall_ms: i64) {
        let Some(live) = self.live(destination) else { return };
        let mut places = self.places();
        if places.iter().any(|place| place.is_replay() && place.destination.id == destination) {
            tracing::warn!(destination = %live.destination.name, "a replay is under way; another is not begun");
            return;
        }
        let plan = Arc::clone(&self.plan.borrow());
        let Some(planned) =
            plan.destinations.iter().find(|planned| Arc::ptr_eq(&planned.destination, &live.destination))
        else {
            tracing::warn!(destination = %live.destination.name, "its settings are being replaced; no replay is begun");
            return;
        };
        let (now, wall_ms) = (self.runtime.now(), self.runtime.wall_ms());
        let stretches = live.outlet.borrow().stretches(from_wall_ms, self.log.borrow().first_seq());
        for stretch in &stretches {
            let outlet = live.outlet.borrow();
            let outlet = Outlet::replay(&outlet, *stretch, from_wall_ms, now, wall_ms, &mut Chance(&*self.runtime));
            places.push(place_for(planned, outlet));
        }
        let is_over = stretches.is_empty();
        *live.replayed.borrow_mut() =
            Some(ReplayReport { from_wall_ms, begun_wall_ms: wall_ms, is_over, ..ReplayReport::default() });
        self.set_places(places);
        self.ring();
    }

    /// Replays that have nothing more to do leave what they did with their live stream.
    pub(super) fn end_replays(self: &Rc<Self>, ended: &[Rc<Place>]) {
        if ended.is_empty() {
            return;
        }
        let mut places = self.places();
        places.retain(|place| !ended.iter().any(|ended| Rc::ptr_eq(place, ended)));
        for replay in ended {
            let destination = replay.destination.id;
            let was_last = !places.iter().any(|place| place.is_replay() && place.destination.id == destination);
            if let Some(live) = self.live(destination)
                && let Some(report) = &mut *live.replayed.borrow_mut()
            {
                report.add(&replay.outlet.borrow());
                report.is_over = was_last;
            }
            self.dismiss(replay);
        }
        self.set_places(places);
    }

    /// An epoch of its own ends with a statement that says so; numbers of the live epoch are told about by the live stream.
    fn dismiss(self: &Rc<Self>, replay: &Rc<Place>) {
        if replay.outlet.borrow().is_mute() {
            return replay.close();
        }
        let now = self.runtime.now();
        replay.outlet.borrow_mut().abandon(0, now, &mut Chance(&*self.runtime));
        let (shard, replay) = (Rc::clone(self), Rc::clone(replay));
        self.runtime.spawn(TaskName::Upkeep, Box::pin(async move { say_last_words(&shard, &replay).await }));
    }
}
