//! What operators let through to each destination, and where drains end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc;

use scaidrive_wal::Seq;

use super::door::ShardId;
use super::{Place, Shard};
use crate::config::DestinationId;
use crate::delivery::outlet::Flow;

/// The wishes of a shard's operators.
#[derive(Default)]
pub(super) struct Flows {
    /// Where that is not everything.
    wished: RefCell<HashMap<DestinationId, Flow>>,
    /// Points that were taken in an earlier life and stand beyond the log as it was found.
    lost: RefCell<HashMap<DestinationId, LostPoint>>,
    /// Points that nobody is told before everything before them is durable.
    untold: RefCell<Vec<UntoldPoint>>,
}

/// Where a drain ends whose point the log has lost.
struct LostPoint {
    /// As it was wished.
    point: Seq,
    /// Where the log ended when it was found.
    end: Seq,
}

/// A point that somebody waits to be told.
struct UntoldPoint {
    point: Seq,
    answer: mpsc::Sender<(ShardId, Seq)>,
}

impl Flows {
    fn of(&self, id: DestinationId) -> Flow {
        self.wished.borrow().get(&id).copied().unwrap_or_default()
    }

    /// `found_end` is where the log ends that was found, as long as nothing was appended to it. A point that comes by then
    /// was taken in an earlier life; if the log ends before it, what is appended from now on stands behind it all the same.
    fn set(&self, id: DestinationId, flow: Flow, found_end: Option<Seq>) {
        let mut wished = self.wished.borrow_mut();
        match flow {
            Flow::Free => wished.remove(&id),
            flow => wished.insert(id, flow),
        };
        let mut lost = self.lost.borrow_mut();
        match (flow, found_end) {
            (Flow::Until(point), Some(end)) if point > end => drop(lost.insert(id, LostPoint { point, end })),
            (Flow::Until(point) | Flow::Drained(point), _) if lost.get(&id).is_some_and(|it| it.point == point) => {}
            _ => drop(lost.remove(&id)),
        }
    }

    /// The first record that a destination does not take.
    fn bound(&self, id: DestinationId) -> Option<Seq> {
        let point = self.of(id).point()?;
        Some(self.lost.borrow().get(&id).filter(|lost| lost.point == point).map_or(point, |lost| lost.end))
    }
}

impl Shard {
    /// A destination gets what is in the log and no more; one that rests gets it when the wish is written down.
    pub(super) fn begin_drain(self: &Rc<Self>, id: DestinationId, answer: mpsc::Sender<(ShardId, Seq)>) {
        let point = self.log.borrow().next_seq();
        let flow = if self.flow(id).is_shut() { Flow::Held(point) } else { Flow::Until(point) };
        self.set_flow(id, flow);
        self.log.borrow().request_sync();
        self.flows.untold.borrow_mut().push(UntoldPoint { point, answer });
    }

    /// Says where drains end, once a restart would find everything before. What acknowledgements may promise is enough.
    pub(super) fn tell_points(&self) {
        let end = self.log.borrow().ack_end();
        for told in self.flows.untold.borrow_mut().extract_if(.., |untold| untold.point <= end) {
            // Who asked may have lost patience.
            let _ = told.answer.send((self.id, told.point));
        }
    }

    /// Lets this through to a destination, its replay included.
    pub(super) fn set_flow(self: &Rc<Self>, id: DestinationId, flow: Flow) {
        // It stands, and reads on; what it has in hand by now is from behind its point.
        if matches!((flow, self.flow(id)), (Flow::Until(point), Flow::Drained(same)) if point == same) {
            return;
        }
        let found_end = (self.turns.get() == 0).then(|| self.log.borrow().next_seq());
        self.flows.set(id, flow, found_end);
        let bound = self.bound(id);
        for place in self.places().iter().filter(|place| place.destination.id == id) {
            place.outlet.borrow_mut().set_flow(flow, bound);
            self.touch_and_ring(place);
        }
    }

    /// What an operator lets through to a destination.
    pub(super) fn flow(&self, id: DestinationId) -> Flow {
        self.flows.of(id)
    }

    /// The first record that a destination does not take, by its operator's wish.
    pub(super) fn bound(&self, id: DestinationId) -> Option<Seq> {
        self.flows.bound(id)
    }

    /// A destination that has drained stands from now on; one that is sent something again first gets the rest of that.
    /// What a place that is gone has come to says nothing of the one that may be there by now.
    pub(super) fn end_drain(self: &Rc<Self>, place: &Rc<Place>, point: Seq) {
        let id = place.destination.id;
        let is_live = self.live(id).is_some_and(|live| Rc::ptr_eq(&live, place));
        if !is_live || self.flow(id) != Flow::Until(point) {
            return;
        }
        let is_replayed = self.places.borrow().iter().any(|place| place.destination.id == id && place.is_replay());
        let is_resent = self.resending.borrow().iter().any(|(destination, _)| *destination == id);
        if !is_replayed && !is_resent {
            self.set_flow(id, Flow::Drained(point));
        }
    }
}
