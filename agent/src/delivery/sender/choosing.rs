//! What to send now.

use super::{AT_HAND, Batch, Item, Job, LEARNED_SIZE_MIN, PARKED_MAX, Purpose, REFUSALS_MAX, Sender, Suspect};
use crate::delivery::gate::{Hold, Pass};
use crate::delivery::isolation::Next;
use crate::delivery::pace::Pace;
use crate::time::Millis;

/// What to do now.
#[derive(Debug)]
pub enum ToDo<T> {
    /// Send this.
    Send(Job<T>),
    /// Nothing before this moment, unless something happens.
    WaitUntil(Millis),
    /// Nothing until something happens.
    Wait,
}

impl<T> Sender<T> {
    /// Until when the open batch may wait for company, if there is one.
    pub fn lingers_until(&self) -> Option<Millis> {
        (!self.open.items.is_empty()).then(|| self.opened_at.plus(self.limits.linger))
    }

    /// Whether the open batch has just begun: it holds one event.
    pub fn has_begun(&self) -> bool {
        self.open.items.len() == 1
    }

    /// Whether a request could go at `now` beside those under way: a batch is full, goes again, or has waited for company
    /// long enough, or nothing at all is under way.
    pub fn has_more(&self, now: Millis) -> bool {
        let has_lingered = self.lingers_until().is_some_and(|until| now >= until);
        let is_idle = self.under_way == 0 && self.held_events > 0;
        is_idle || has_lingered || !self.ready.is_empty() || !self.again.is_empty()
    }

    /// What to do at `now`. A batch that is not full takes a slot of `pace`.
    pub fn next(&mut self, now: Millis, pace: &mut Pace) -> ToDo<T> {
        self.is_gathering = false;
        pace.give_back(std::mem::take(&mut self.slots_unused));
        match self.gate.pass(now) {
            Pass::AwaitProbe => return ToDo::Wait,
            Pass::NotBefore(until) => return ToDo::WaitUntil(until),
            Pass::AsProbe(hold) => return self.next_probe(hold),
            Pass::Free => {}
        }
        if self.search.is_some() {
            if let Some(job) = self.next_test() {
                return ToDo::Send(job);
            }
            if self.search.is_some() {
                return ToDo::Wait;
            }
        }
        // In log order nothing goes while something before it may have to go again.
        let out = if self.limits.is_ordered { self.under_way + self.parked } else { self.under_way };
        if out >= self.lane.width() || self.parked >= PARKED_MAX {
            return ToDo::Wait;
        }
        self.next_ordinary(now, pace)
    }

    fn send(&mut self, purpose: Purpose, mut batch: Batch<T>) -> Job<T> {
        if !batch.is_encoded && batch.body.capacity() == 0 {
            batch.body = self.pool().lend_body();
        }
        self.under_way += 1;
        self.sent += 1;
        let body_memory = batch.body_memory();
        self.share.grow(body_memory);
        Job { batch, purpose, number: self.sent, body_memory, is_probe: false, is_parked: false }
    }

    fn next_ordinary(&mut self, now: Millis, pace: &mut Pace) -> ToDo<T> {
        if let Some((purpose, mut batch)) = self.take_again() {
            self.cut(&mut batch);
            return ToDo::Send(self.send(purpose, batch));
        }
        if self.ready.is_empty()
            && let Some(lingers_until) = self.lingers_until()
        {
            let is_company_due = self.under_way > 0 && !self.limits.is_pipe;
            let goes_at = if now >= lingers_until {
                now
            } else if is_company_due {
                lingers_until
            } else {
                lingers_until.min(*self.slot.get_or_insert_with(|| pace.slot(now)))
            };
            if now < goes_at {
                self.is_gathering = true;
                return ToDo::WaitUntil(goes_at);
            }
            self.close_open();
        }
        if let Some(mut batch) = self.take_ready() {
            self.cut(&mut batch);
            return ToDo::Send(self.send(Purpose::Ordinary, batch));
        }
        self.next_suspect(now)
    }

    /// The place of the first suspect that waits for evidence; the others only wait to be taken by `condemned`.
    fn untried(&self) -> Option<usize> {
        self.suspects.iter().position(|suspect| suspect.since > AT_HAND)
    }

    /// A lone refused event that nothing has cleared or condemned is tried again after a while.
    fn next_suspect(&mut self, now: Millis) -> ToDo<T> {
        let Some(at) = self.untried() else { return ToDo::Wait };
        if self.under_way > 0 {
            return ToDo::Wait;
        }
        if now < self.suspects[at].again_at {
            return ToDo::WaitUntil(self.suspects[at].again_at);
        }
        let suspect = self.suspects.remove(at);
        ToDo::Send(self.send(Purpose::Ordinary, Batch::of(vec![suspect.item])))
    }

    /// Cuts a batch to the present bounds; what is cut off is next. Returns whether there was any.
    pub(super) fn cut(&mut self, batch: &mut Batch<T>) -> bool {
        let by_size = if batch.is_encoded && batch.body.len() > self.max_size() && batch.items.len() > 1 {
            batch.items.len() * self.max_size() / batch.body.len()
        } else {
            usize::MAX
        };
        let bound = self.burst.min(by_size).max(1);
        let is_cut = batch.items.len() > bound;
        if is_cut {
            let later = batch.items.split_off(bound);
            batch.is_encoded = false;
            self.requeue(Purpose::Ordinary, Batch::of(later));
        }
        is_cut
    }

    fn next_probe(&mut self, hold: Hold) -> ToDo<T> {
        if hold.probes_with_one_event() {
            self.abandon_search();
        } else if let Some(job) = self.next_test() {
            return ToDo::Send(self.as_probe(job));
        }
        let taken = self.take_again().or_else(|| {
            if self.ready.is_empty() && !self.open.items.is_empty() {
                self.close_open();
            }
            self.take_ready().map(|batch| (Purpose::Ordinary, batch))
        });
        let Some((purpose, mut batch)) = taken.or_else(|| {
            let at = self.untried()?;
            Some((Purpose::Ordinary, Batch::of(vec![self.suspects.remove(at).item])))
        }) else {
            return ToDo::Wait;
        };
        if hold.probes_with_one_event() && batch.items.len() > 1 {
            // A different event each time: the first one may be the only one at fault.
            let turn = if hold == Hold::Misconfigured { self.probe_turn } else { 0 };
            self.probe_turn += 1;
            // Where order counts, each gets three tries before a later one is tried: the settings may be mended meanwhile.
            let turn = if self.limits.is_ordered { turn / 3 } else { turn };
            let turn = turn % batch.items.len().min(REFUSALS_MAX as usize);
            let probe = batch.items.remove(turn);
            self.requeue(Purpose::Ordinary, Batch::of(std::mem::take(&mut batch.items)));
            batch = Batch::of(vec![probe]);
        } else {
            self.probe_turn = self.probe_turn.wrapping_add(1);
            self.cut(&mut batch);
        }
        let job = self.send(purpose, batch);
        ToDo::Send(self.as_probe(job))
    }

    fn as_probe(&mut self, job: Job<T>) -> Job<T> {
        self.gate.probe_sent();
        Job { is_probe: true, ..job }
    }

    fn next_test(&mut self) -> Option<Job<T>> {
        let search = self.search.as_mut()?;
        if search.is_testing {
            return None;
        }
        match search.isolation.next_step() {
            Next::Test(items) => {
                search.is_testing = true;
                Some(self.send(Purpose::Test, Batch::of(items)))
            }
            Next::Over { poison, put_by, has_accepted, was_alone } => {
                let search = self.search.take()?;
                if let Some(item) = self.at_fault(poison, search.too_large, was_alone) {
                    // With an acceptance in the search the evidence is there already; the next one will apply it.
                    let since = self.suspected_since(has_accepted);
                    let is_doubtful = !has_accepted && self.refused_in_a_row > search.refusals;
                    let (why, again_at) = (search.why, Millis::ZERO);
                    self.suspects.push(Suspect { item, why, since, is_doubtful, again_at });
                }
                if !put_by.is_empty() {
                    let purpose = if has_accepted { Purpose::Ordinary } else { Purpose::PutBy };
                    self.requeue(purpose, Batch::of(put_by));
                }
                None
            }
        }
    }

    /// Whether what a search has found is at fault. A batch that was `too_large`, in bytes, is so for all its events together:
    /// then only one is that was too large alone, and any other goes again, in smaller company.
    fn at_fault(&mut self, found: Option<Item<T>>, too_large: Option<usize>, was_alone: bool) -> Option<Item<T>> {
        let Some(size) = too_large.filter(|_| found.is_none() || !was_alone) else { return found };
        self.learned_size = (size / 2).max(LEARNED_SIZE_MIN);
        // Beside others it would have them refused again; alone it shows whether it fits.
        self.requeue(Purpose::Ordinary, Batch::of(found.into_iter().collect()));
        None
    }
}
