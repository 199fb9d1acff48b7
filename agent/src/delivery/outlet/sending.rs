//! What a destination is sent next, and what its answers mean: the sender's batches and the stream's own announcements, in
//! the order in which they may go.

use std::rc::Rc;

use scaidrive_wal::Record;

use super::letters::{Sending, as_if_alone, fate_of};
use super::{Condemned, Drain, Outlet, Reading, WallClock};
use crate::config::Kind;
use crate::delivery::gate::{Hold, Pass};
use crate::delivery::pace::Pace;
use crate::delivery::sender::{Effect, Job, Outcome, ToDo};
use crate::stream::announce::Announcement;
use crate::stream::books::TenantBooks;
use crate::time::{Entropy, Millis};

/// What a carrier is to send.
#[derive(Debug)]
pub enum OutletJob {
    /// A batch of events.
    Events(Job<Record>),
    /// One event alone, beside the batches.
    Lone(LoneJob),
}

/// One event on its way alone.
#[derive(Debug)]
pub struct LoneJob {
    /// Which.
    pub what: Lone,
    /// Whether the destination's gate was closed and this is the probe.
    pub was_probe: bool,
    /// It was accepted, and its acknowledgement comes later.
    pub is_parked: bool,
}

/// What goes alone.
#[derive(Clone, Debug)]
pub enum Lone {
    /// The announcement with this id: a notice or a statement.
    Own([u8; 16]),
    /// A dead letter that is sent again.
    Letter(Rc<Sending>),
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
        pace: &mut Pace,
    ) -> Wish {
        self.sender.asked();
        if self.is_at_rest() {
            return Wish::Wait;
        }
        self.announce(now, entropy);
        let mut until = self.own.waits(now);
        if until.is_none()
            && !self.own.is_under_way()
            && let Some(announcement) = self.announcer.front_beyond(self.own.written())
        {
            let id = announcement.id();
            match self.sender.may_send_lone(now) {
                Pass::Free => return self.send_lone(Lone::Own(id), false),
                Pass::AsProbe(_) => return self.send_lone(Lone::Own(id), true),
                Pass::NotBefore(moment) => until = Some(moment),
                Pass::AwaitProbe => {}
            }
        }
        if self.announcer.holds_back(self.own.written()) || self.is_giving_up() {
            if let Pass::NotBefore(moment) = self.sender.may_send_lone(now) {
                until = until.max(Some(moment));
            }
            return until.map_or(Wish::Wait, Wish::WaitUntil);
        }
        if self.letters.have_their_turn()
            && let Some(wish) = self.send_letter(now)
        {
            return wish;
        }
        let todo = self.sender.next(now, pace);
        let mut effects = std::mem::take(&mut self.effects);
        self.sender.condemned(&mut effects);
        self.apply(effects, None, condemned, tenants);
        match todo {
            ToDo::Send(job) => {
                self.letters.batch_went();
                Wish::Send(OutletJob::Events(job))
            }
            ToDo::WaitUntil(moment) => {
                let until = until.map_or(moment, |other| other.min(moment));
                self.send_letter(now).unwrap_or(Wish::WaitUntil(until))
            }
            ToDo::Wait => self.send_letter(now).unwrap_or(until.map_or(Wish::Wait, Wish::WaitUntil)),
        }
    }

    /// The next dead letter that is to be sent again, when it may go.
    fn send_letter(&mut self, now: Millis) -> Option<Wish> {
        let letter = Rc::clone(self.letters.front()?);
        match self.sender.may_send_lone(now) {
            Pass::Free => Some(self.send_lone(Lone::Letter(letter), false)),
            // What was refused once shows nothing about settings that are at fault.
            Pass::AsProbe(hold) if hold != Hold::Misconfigured => Some(self.send_lone(Lone::Letter(letter), true)),
            Pass::NotBefore(moment) => Some(Wish::WaitUntil(moment)),
            Pass::AsProbe(_) | Pass::AwaitProbe => None,
        }
    }

    /// The announcement with this id, if it is still the one to send.
    pub fn announcement(&self, id: [u8; 16]) -> Option<Announcement<'_>> {
        self.announcer.front_beyond(self.own.written()).filter(|announcement| announcement.id() == id)
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
        let mut effects = std::mem::take(&mut self.effects);
        self.sender.settle(job, outcome, now, entropy, &mut effects);
        self.apply(effects, Some(wall_ms), condemned, tenants);
        self.wake.notify();
    }

    /// A request was accepted, and its acknowledgement comes later.
    pub fn parked(&mut self, job: &mut OutletJob, slow_down: bool) {
        match job {
            OutletJob::Events(job) => self.sender.park(job, slow_down),
            OutletJob::Lone(job) => {
                job.is_parked = true;
                self.lone_left(job);
                self.sender.reached();
            }
        }
        self.wake.notify();
    }

    /// A batch has its body now, which was made late. False when it was too long: the batch is shorter now, and wants
    /// another one.
    pub fn encoded(&mut self, job: &mut Job<Record>) -> bool {
        self.sender.encoded(job)
    }

    /// A batch was written to a pipe that does not answer; it is settled later.
    pub fn batch_written(&mut self, job: &mut Job<Record>, wall_ms: i64) {
        self.sender.keep_without_body(job);
        self.written(wall_ms);
    }

    fn written(&mut self, wall_ms: i64) {
        self.tally.accepted_requests += 1;
        self.tally.last_success_ms = Some(wall_ms);
        self.sender.reached();
    }

    /// One event alone was written to a pipe that does not answer; it is settled later.
    pub fn lone_written(&mut self, job: &LoneJob, wall_ms: i64) {
        if let Lone::Own(id) = job.what {
            self.own.wrote(id);
            self.is_telling = false;
        }
        self.lone_left(job);
        self.written(wall_ms);
        self.wake.notify();
    }

    /// The next one may go, though how this one ends is heard later.
    fn lone_left(&mut self, job: &LoneJob) {
        match &job.what {
            Lone::Own(id) => self.own.left(*id),
            Lone::Letter(_) => self.letters.left(),
        }
    }

    /// How a request with one event alone ended. `may_have_arrived` says that it was sent and no answer came.
    pub fn lone_settled(
        &mut self,
        job: &LoneJob,
        outcome: Outcome,
        may_have_arrived: bool,
        now: Millis,
        wall_ms: i64,
        entropy: &mut dyn Entropy,
    ) {
        let outcome = match job.what {
            Lone::Own(_) => outcome,
            Lone::Letter(_) => as_if_alone(outcome),
        };
        self.tally.note(&outcome, wall_ms);
        match &job.what {
            Lone::Own(id) => {
                if self.announcer.is_statement(*id) && matches!(outcome, Outcome::Accepted { .. }) {
                    self.tally.last_statement_ms = Some(wall_ms);
                }
                self.own_settled(*id, &outcome, may_have_arrived, now);
            }
            Lone::Letter(sending) => self.letters.heard(sending, fate_of(&outcome)),
        }
        // How it was answered was heard when it was parked; an acknowledgement is no news of how the destination is now.
        let is_refused = matches!(outcome, Outcome::Refused { .. } | Outcome::TooLarge { .. } | Outcome::Apart { .. });
        match &job.what {
            _ if job.is_parked => {}
            // What was refused once may be refused again; that there is an answer shows that the way is free.
            Lone::Letter(_) if is_refused => self.sender.reached(),
            // A notice may quote the very words for which an event was refused. That is no reason to hold back events.
            Lone::Own(_) if is_refused && !job.was_probe => {}
            _ => self.sender.lone_settled(&outcome, job.was_probe, now, entropy),
        }
        self.wake.notify();
    }

    fn own_settled(&mut self, id: [u8; 16], outcome: &Outcome, may_have_arrived: bool, now: Millis) {
        let is_unseen = self.own.settled(id, outcome, may_have_arrived, now);
        self.is_telling = false;
        self.cursor.is_dirty |= match outcome {
            Outcome::Accepted { .. } => self.announcer.accepted(id),
            _ => is_unseen && self.announcer.recall(id),
        };
    }

    /// Whether everything was sent and somebody waits to hear that it has arrived: a replay at its end, whoever sent dead
    /// letters again or wished it drained.
    pub fn waits_for_the_last_word(&self) -> bool {
        let has_sent_all = self.sender.oldest_waiting().is_none() && self.letters.have_all_left();
        let is_at_its_end = self.reading == Reading::Draining(Drain::Replayed) || self.is_at_its_point();
        (is_at_its_end || self.letters.is_busy()) && has_sent_all
    }

    /// Whether an announcement or a dead letter waits to be sent.
    pub fn has_lone(&self) -> bool {
        self.has_letters() || self.announcer.front().is_some()
    }

    /// Whether one more carrier would find something to send at `now` while all others are busy.
    pub fn has_more(&self, now: Millis) -> bool {
        let has_lone = self.has_letters() || (self.announcer.front().is_some() && !self.own.is_under_way());
        has_lone || self.sender.has_more(now)
    }

    /// How many carriers may work for it at once.
    pub fn carriers_max(&self) -> u32 {
        if matches!(self.destination.kind, Kind::Syslog(_)) { 1 } else { self.sender.lane_width() }
    }

    /// Makes what is due to be said, when it could be sent now: a notice tells everything that was lost until then.
    pub(super) fn announce(&mut self, now: Millis, entropy: &mut dyn Entropy) {
        // A notice that is not sent would only keep more from being given up, and so told.
        let may_send = !self.is_at_rest()
            && self.own.waits(now).is_none()
            && matches!(self.sender.may_send_lone(now), Pass::Free | Pass::AsProbe(_));
        if may_send && !self.is_mute() && self.has_walked && self.announcer.make_due(now, entropy) {
            self.is_telling = true;
            self.cursor.is_dirty = true;
            self.cursor.is_urgent = true;
            if self.is_replay() {
                // It has no cursor, and nobody goes on with its epoch after a restart: there is nothing to wait for.
                self.announcer.durable(self.announcer.revision());
            }
        }
    }

    /// Whether the cursor has yet to pass what was given up.
    fn is_giving_up(&self) -> bool {
        self.settled.checkpoint().next_n < self.given_up_end
    }

    fn send_lone(&mut self, what: Lone, was_probe: bool) -> Wish {
        match what {
            Lone::Own(_) => self.own.go(),
            Lone::Letter(_) => self.letters.go(),
        }
        if was_probe {
            self.sender.lone_sent();
        }
        Wish::Send(OutletJob::Lone(LoneJob { what, was_probe, is_parked: false }))
    }

    fn apply(
        &mut self,
        mut effects: Vec<Effect<Record>>,
        wall_ms: Option<i64>,
        condemned: &mut Vec<Condemned>,
        tenants: &mut TenantBooks,
    ) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Delivered(items) => {
                    for item in &items {
                        self.delivered(item, wall_ms, tenants);
                    }
                    self.sender.pool().keep_items(items);
                }
                Effect::DeadLetter(item, why) => condemned.push(Condemned { item, why }),
            }
        }
        self.effects = effects;
    }
}
