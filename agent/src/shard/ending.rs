//! How a shard ends: intake first, then what is under way, and at last what must be on the disk.

use futures_lite::future::or;

use super::{Chance, Shard, Stop};
use crate::time::Millis;

impl Shard {
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

    pub(super) fn has_ended(&self) -> bool {
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
    pub(super) async fn close(&self) {
        self.settle_for_the_last_time();
        let deadline = self.runtime.now().plus(CLOSE_MAX);
        while self.runtime.now() < deadline {
            self.log.borrow().rearm_waker();
            self.next_cursors.set(Millis::ZERO);
            self.write_cursors(self.runtime.now(), &[]);
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
            self.note_passed(&mut outlet);
            outlet.advance(self.frontier.must_go.get(), self.runtime.now(), &mut Chance(&*self.runtime));
            drop(outlet);
            self.overhear(place, true);
        }
    }
}

/// How long the last sync and the last cursors may take when the agent stops.
const CLOSE_MAX: Millis = Millis(1_500);
