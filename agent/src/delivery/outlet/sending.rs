//! What a destination is sent next, and what its answers mean: the sender's batches and the stream's own announcements, in
//! the order in which they may go.

use scaidrive_wal::Record;

use super::{Condemned, Outlet, WallClock};
use crate::config::Kind;
use crate::delivery::gate::Pass;
use crate::delivery::sender::{Effect, Job, Outcome, ToDo};
use crate::stream::announce::Announcement;
use crate::stream::books::TenantBooks;
use crate::time::{Entropy, Millis};

/// What a carrier is to send.
#[derive(Debug)]
pub enum OutletJob {
    /// A batch of events.
    Events(Job<Record>),
    /// One of the agent's own, alone.
    Own(OwnJob),
}

/// A notice or a statement on its way.
#[derive(Debug)]
pub struct OwnJob {
    /// The announcement.
    pub id: [u8; 16],
    /// Whether the destination's gate was closed and this is the probe.
    pub was_probe: bool,
    /// It was accepted, and its acknowledgement comes later.
    pub is_parked: bool,
}

/// What an outlet wants.
#[derive(Debug)]
pub enum Wish {
    /// Send this.
    Send(OutletJob),
    /// Ask again at this moment.
    WaitUntil(Millis),
    /// Ask again when something happened.
    Wait,
}

impl Outlet {
    /// What is to be sent now.
    pub fn wish(
        &mut self,
        now: Millis,
        entropy: &mut dyn Entropy,
        condemned: &mut Vec<Condemned>,
        tenants: &mut TenantBooks,
    ) -> Wish {
        if self.is_resting {
            return Wish::Wait;
        }
        self.announce(now, entropy);
        let mut until = None;
        if !self.own_under_way
            && let Some(announcement) = self.announcer.front_beyond(&self.own_written)
        {
            let id = announcement.id();
            match self.sender.may_send_own(now) {
                Pass::Free => return self.send_own(id, false),
                Pass::AsProbe(_) => return self.send_own(id, true),
                Pass::NotBefore(moment) => until = Some(moment),
                Pass::AwaitProbe => {}
            }
        }
        if self.announcer.holds_back(&self.own_written) || self.is_giving_up() {
            if let Pass::NotBefore(moment) = self.sender.may_send_own(now) {
                until = Some(moment);
            }
            return until.map_or(Wish::Wait, Wish::WaitUntil);
        }
        let todo = self.sender.next(now);
        let mut effects = Vec::new();
        self.sender.condemned(&mut effects);
        self.apply(effects, None, condemned, tenants);
        match todo {
            ToDo::Send(job) => {
                for item in &job.batch.items {
                    // The mark is for people who look; the sender knows where each event is.
                    let _ = self.settled.in_flight(item.n);
                }
                Wish::Send(OutletJob::Events(job))
            }
            ToDo::WaitUntil(moment) => Wish::WaitUntil(until.map_or(moment, |other| other.min(moment))),
            ToDo::Wait => until.map_or(Wish::Wait, Wish::WaitUntil),
        }
    }

    /// The announcement with this id, if it is still the one to send.
    pub fn announcement(&self, id: [u8; 16]) -> Option<Announcement<'_>> {
        self.announcer.front_beyond(&self.own_written).filter(|announcement| announcement.id() == id)
    }

    /// How a request with events ended.
    #[allow(clippy::too_many_arguments)]
    pub fn settle(
        &mut self,
        job: Job<Record>,
        outcome: Outcome,
        now: Millis,
        wall_ms: i64,
        entropy: &mut dyn Entropy,
        condemned: &mut Vec<Condemned>,
        tenants: &mut TenantBooks,
    ) {
        self.clock = WallClock { wall_ms, at: now };
        self.tally.note(&outcome, wall_ms);
        let mut effects = Vec::new();
        self.sender.settle(job, outcome, now, entropy, &mut effects);
        self.apply(effects, Some(wall_ms), condemned, tenants);
        self.wake.notify();
    }

    /// A request was accepted, and its acknowledgement comes later.
    pub fn parked(&mut self, job: &mut OutletJob, slow_down: bool) {
        match job {
            OutletJob::Events(job) => self.sender.park(job, slow_down),
            OutletJob::Own(job) => {
                job.is_parked = true;
                self.sender.reached();
            }
        }
        self.wake.notify();
    }

    /// A batch was written to a pipe that does not answer; it is settled later.
    pub fn written(&mut self, wall_ms: i64) {
        self.tally.accepted_requests += 1;
        self.tally.last_success_ms = Some(wall_ms);
        self.sender.reached();
    }

    /// An announcement was written to a pipe that does not answer; it is settled later.
    pub fn own_written(&mut self, id: [u8; 16], wall_ms: i64) {
        self.own_under_way = false;
        self.own_written.push(id);
        self.own_in_doubt = Some(id);
        self.is_telling = false;
        self.written(wall_ms);
        self.wake.notify();
    }

    /// How a request with an announcement ended. `may_have_arrived` says that it was sent and no answer came.
    pub fn own_settled(
        &mut self,
        job: &OwnJob,
        outcome: &Outcome,
        may_have_arrived: bool,
        now: Millis,
        wall_ms: i64,
        entropy: &mut dyn Entropy,
    ) {
        match self.own_written.iter().position(|id| *id == job.id) {
            Some(at) => drop(self.own_written.remove(at)),
            None => self.own_under_way = false,
        }
        self.is_telling = false;
        if may_have_arrived {
            self.own_in_doubt = Some(job.id);
        }
        self.tally.note(outcome, wall_ms);
        // How it was answered was heard when it was parked; an acknowledgement is no news of how the destination is now.
        if !job.is_parked {
            self.sender.own_settled(outcome, job.was_probe, now, entropy);
        }
        self.cursor.is_dirty |= match outcome {
            Outcome::Accepted { .. } => self.announcer.accepted(job.id),
            // However this try ended, an earlier one may have arrived.
            _ => self.own_in_doubt != Some(job.id) && self.announcer.recall(job.id),
        };
        self.wake.notify();
    }

    /// How many carriers may work for it at once.
    pub fn carriers_max(&self) -> u32 {
        if matches!(self.destination.kind, Kind::Syslog(_)) { 1 } else { self.sender.lane_width() }
    }

    /// Makes what is due to be said, when it could be sent now: a notice tells everything that was lost until then.
    pub(super) fn announce(&mut self, now: Millis, entropy: &mut dyn Entropy) {
        let may_send = matches!(self.sender.may_send_own(now), Pass::Free | Pass::AsProbe(_));
        if may_send && self.has_walked && self.announcer.make_due(now, entropy) {
            self.is_telling = true;
            self.cursor.is_dirty = true;
            self.cursor.is_urgent = true;
        }
    }

    /// Whether the cursor has yet to pass what was given up.
    fn is_giving_up(&self) -> bool {
        self.settled.checkpoint().next_n < self.given_up_end
    }

    fn send_own(&mut self, id: [u8; 16], was_probe: bool) -> Wish {
        self.own_under_way = true;
        if was_probe {
            self.sender.own_sent();
        }
        Wish::Send(OutletJob::Own(OwnJob { id, was_probe, is_parked: false }))
    }

    fn apply(
        &mut self,
        effects: Vec<Effect<Record>>,
        wall_ms: Option<i64>,
        condemned: &mut Vec<Condemned>,
        tenants: &mut TenantBooks,
    ) {
        for effect in effects {
            match effect {
                Effect::Delivered(items) => {
                    for item in &items {
                        self.delivered(item, wall_ms, tenants);
                    }
                    self.sender.recycle(items);
                }
                Effect::DeadLetter(item, why) => condemned.push(Condemned { item, why }),
            }
        }
    }
}
