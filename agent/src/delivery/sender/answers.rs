//! What the answers mean for the events, and for what may be sent from now on.

use super::{
    AT_HAND, BULK_SHARE, Batch, Item, Job, Limits, Purpose, REFUSALS_MAX, SUSPECT_WAIT, Search, Sender, Suspect,
    bytes_of,
};
use crate::delivery::gate::Hold;
use crate::delivery::isolation::Isolation;
use crate::time::{Entropy, Millis};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The destination took responsibility for every event.
    Accepted {
        /// It asks for fewer requests.
        slow_down: bool,
    },
    /// It refuses the batch as a whole; `offender` is a hint at the position.
    Refused {
        /// Position of the event that the reply named.
        offender: Option<usize>,
        /// In the destination's words.
        why: String,
    },
    /// Part of it refuses what is meant for that part, and the others come to grief with it.
    Apart {
        /// For each event which part it is for: equal numbers for the same.
        groups: Vec<usize>,
        /// In the destination's words.
        why: String,
    },
    /// The request is too large for it.
    TooLarge {
        /// In the destination's words.
        why: String,
    },
    /// It took the batch but for these events, by position, each with its reason.
    AcceptedBut {
        /// Positions in the batch and reasons.
        refused: Vec<(usize, String)>,
        /// Positions to be sent again, later.
        again: Vec<usize>,
        /// It asks for fewer requests.
        slow_down: bool,
        /// What people should know.
        note: Option<String>,
    },
    /// Try again later.
    Retry {
        /// What stands in the way.
        hold: Hold,
        /// The destination's own wish.
        after: Option<Millis>,
        /// In plain words.
        why: String,
    },
}

/// How a request was refused.
enum Refusal {
    Whole { offender: Option<usize> },
    TooLarge,
    Apart { groups: Vec<usize> },
}

/// What became of events.
#[derive(Debug)]
pub enum Effect<T> {
    /// The destination has them.
    Delivered(Vec<Item<T>>),
    /// The destination will never take this one; to be kept with the reason.
    DeadLetter(Item<T>, String),
}

impl<T> Sender<T> {
    /// How the request with one event alone ended.
    pub fn lone_settled(&mut self, outcome: &Outcome, was_probe: bool, now: Millis, entropy: &mut dyn Entropy) {
        let was_closed = self.gate.closed().is_some();
        match outcome {
            Outcome::Accepted { .. } => self.reached(),
            Outcome::Retry { hold, after, why } => self.gate.close(*hold, why.clone(), was_probe, *after, now, entropy),
            Outcome::Refused { why, .. } | Outcome::TooLarge { why } | Outcome::Apart { why, .. } => {
                self.gate.close(Hold::Misconfigured, why.clone(), was_probe, None, now, entropy);
            }
            Outcome::AcceptedBut { .. } => self.gate.probe_returned(),
        }
        self.gate_moved(was_closed);
    }

    /// A request was accepted, and whether its events were really taken is said later: then it is settled. Until then the
    /// next requests go.
    pub fn park(&mut self, job: &mut Job<T>, slow_down: bool) {
        assert!(!job.is_parked, "a request is accepted once");
        self.is_gathering = false;
        job.is_parked = true;
        self.under_way -= 1;
        self.parked += 1;
        self.parked_bytes += bytes_of(&job.batch);
        self.share.shrink(std::mem::take(&mut job.body_memory) + job.batch.items.len() * Item::<T>::MEMORY);
        self.answered_well(slow_down);
        if job.purpose == Purpose::Test {
            // The search need not wait: what is unacknowledged in the end was at least not refused.
            job.purpose = Purpose::Ordinary;
            self.test_accepted();
        }
    }

    /// The destination is there, though it has not answered for any event: what a pipe without answers knows.
    pub fn reached(&mut self) {
        let was_closed = self.gate.closed().is_some();
        self.gate.open();
        self.has_answered = true;
        self.gate_moved(was_closed);
    }

    /// A batch that was written to a pipe is kept without its body, which is made again should it have to go again.
    pub fn keep_without_body(&mut self, job: &mut Job<T>) {
        self.share.shrink(std::mem::take(&mut job.body_memory));
        // It has been written, so the way is free; what breaks later is another matter.
        job.is_probe = false;
        job.batch.is_encoded = false;
        self.pool().keep_body(std::mem::take(&mut job.batch.body));
    }

    /// Whoever carries this has made its body, or tried: from now on it counts. False when it is longer than a request may
    /// be: then what was cut off is next, and the rest wants a body of its own.
    pub fn encoded(&mut self, job: &mut Job<T>) -> bool {
        self.share.shrink(job.body_memory);
        job.body_memory = job.batch.body_memory();
        self.share.grow(job.body_memory);
        // A search has to hear of all that it tests.
        let may_cut = job.batch.is_encoded && job.purpose != Purpose::Test;
        !(may_cut && self.cut(&mut job.batch))
    }

    /// How a request ended. What became of its events is added to `effects`.
    pub fn settle(
        &mut self,
        job: Job<T>,
        outcome: Outcome,
        now: Millis,
        entropy: &mut dyn Entropy,
        effects: &mut Vec<Effect<T>>,
    ) {
        self.is_gathering = false;
        if job.is_parked {
            self.parked -= 1;
            self.parked_bytes -= bytes_of(&job.batch);
            self.share.grow(job.batch.items.len() * Item::<T>::MEMORY);
        } else {
            self.under_way -= 1;
            self.share.shrink(job.body_memory);
        }
        let was_closed = self.gate.closed().is_some();
        self.hear(job, outcome, now, entropy, effects);
        self.gate_moved(was_closed);
    }

    fn hear(
        &mut self,
        job: Job<T>,
        outcome: Outcome,
        now: Millis,
        entropy: &mut dyn Entropy,
        effects: &mut Vec<Effect<T>>,
    ) {
        match outcome {
            // How it was answered was heard when it was parked; this is no news of how the destination is now.
            Outcome::Retry { .. } if job.is_parked => self.put_back(job),
            Outcome::Accepted { slow_down } => self.on_accepted(job, slow_down, effects),
            Outcome::Refused { offender, why } => {
                self.on_refused(job, &Refusal::Whole { offender }, why, now, entropy, effects);
            }
            Outcome::TooLarge { why } => self.on_refused(job, &Refusal::TooLarge, why, now, entropy, effects),
            Outcome::Apart { groups, why } => {
                self.on_refused(job, &Refusal::Apart { groups }, why, now, entropy, effects);
            }
            Outcome::AcceptedBut { refused, again, slow_down, note: _ } => {
                self.on_accepted_but(job, refused, &again, slow_down, now, effects);
                if !again.is_empty() {
                    // Sending them again at once would only be refused again.
                    let cause = format!("{} events of a request could not be taken now", again.len());
                    self.gate.close(Hold::Throttled, cause, true, None, now, entropy);
                }
            }
            Outcome::Retry { hold, after, why } => {
                self.lane.narrow();
                self.gate.close(hold, why, job.is_probe, after, now, entropy);
                self.put_back(job);
            }
        }
    }

    /// Suspects that were found with evidence at hand, as effects. Call after [`Sender::next`].
    pub fn condemned(&mut self, effects: &mut Vec<Effect<T>>) {
        if !self.suspects.is_empty() {
            self.condemn(AT_HAND, effects);
        }
    }

    /// A request of this number was accepted: what was refused before it is a dead letter, or goes once more where its refusal
    /// may have had nothing to do with it.
    fn condemn(&mut self, accepted: u64, effects: &mut Vec<Effect<T>>) {
        let condemned: Vec<_> = self.suspects.extract_if(.., |suspect| suspect.since <= accepted).collect();
        for Suspect { item, why, is_doubtful, .. } in condemned {
            if is_doubtful {
                self.requeue(Purpose::Retrial, Batch::of(vec![item]));
            } else {
                self.leaves(&item);
                effects.push(Effect::DeadLetter(item, why));
            }
        }
    }

    fn on_accepted(&mut self, job: Job<T>, slow_down: bool, effects: &mut Vec<Effect<T>>) {
        if !job.is_parked {
            self.answered_well(slow_down);
        }
        if job.purpose == Purpose::Test {
            self.test_accepted();
        }
        self.condemn(job.number, effects);
        self.delivered(job.batch, effects);
    }

    /// A request was accepted: the way is free.
    fn answered_well(&mut self, slow_down: bool) {
        self.reached();
        self.refused_in_a_row = 0;
        self.burst = self.burst.saturating_mul(2);
        if slow_down {
            self.lane.narrow();
        } else {
            self.lane.widen();
        }
    }

    fn test_accepted(&mut self) {
        if let Some(search) = &mut self.search {
            search.is_testing = false;
            search.isolation.accepted();
        }
    }

    fn delivered(&mut self, batch: Batch<T>, effects: &mut Vec<Effect<T>>) {
        let Batch { items, body, .. } = batch;
        for item in &items {
            self.leaves(item);
        }
        self.pool().keep_body(body);
        effects.push(Effect::Delivered(items));
    }

    fn on_refused(
        &mut self,
        job: Job<T>,
        refusal: &Refusal,
        why: String,
        now: Millis,
        entropy: &mut dyn Entropy,
        effects: &mut Vec<Effect<T>>,
    ) {
        if self.is_beyond_events() {
            self.put_back(job);
            return self.misconfigured(why, now, entropy);
        }
        match refusal {
            Refusal::Whole { offender } => self.on_refused_whole(job, *offender, false, why, now),
            Refusal::TooLarge => self.on_refused_whole(job, None, true, why, now),
            Refusal::Apart { groups } => self.on_apart(job, groups, &why, now),
        }
        self.condemn(AT_HAND, effects);
    }

    fn on_refused_whole(&mut self, job: Job<T>, offender: Option<usize>, is_too_large: bool, why: String, now: Millis) {
        // More than one thing is refused: perhaps everything is, for a while.
        self.suspects
            .iter_mut()
            .filter(|suspect| suspect.since > AT_HAND)
            .for_each(|suspect| suspect.is_doubtful = true);
        if job.purpose == Purpose::Test {
            match &mut self.search {
                Some(search) => {
                    search.is_testing = false;
                    search.why = why;
                    search.refusals += 1;
                    if is_too_large {
                        search.too_large.get_or_insert(job.batch.body.len());
                    }
                    search.isolation.refused(job.batch.items);
                }
                None => self.requeue(Purpose::Ordinary, job.batch),
            }
        } else if job.batch.items.len() == 1 {
            let is_doubtful = self.refused_in_a_row > 1;
            self.suspect(job.purpose, job.batch.items, &why, is_doubtful, now);
        } else if job.purpose == Purpose::PutBy {
            // Both sides of a split were refused: one at a time shows soonest whether anything is accepted at all.
            self.burst = 1;
            self.requeue(Purpose::Ordinary, job.batch);
        } else if self.search.is_some() {
            self.requeue(job.purpose, job.batch);
        } else {
            let too_large = is_too_large.then_some(job.batch.body.len());
            let offender = if is_too_large { bulk_of(&job.batch.items) } else { offender };
            let isolation = Isolation::new(job.batch.items, offender);
            self.search = Some(Search { isolation, is_testing: false, why, refusals: 1, too_large });
        }
    }

    /// Counts a refusal. True when so many have come, with nothing accepted between, that the fault is not the events'.
    fn is_beyond_events(&mut self) -> bool {
        self.refused_in_a_row += 1;
        let was_misconfigured = self.gate.closed().is_some_and(|closed| closed.hold == Hold::Misconfigured);
        let is_beyond = was_misconfigured || self.refused_in_a_row >= REFUSALS_MAX;
        if !is_beyond {
            // Anything but silence or overload lets traffic flow again.
            self.gate.open();
        }
        is_beyond
    }

    /// These were refused with nothing but their like beside them, and wait for evidence. What is refused a second time, with
    /// something accepted between, has it against it already.
    fn suspect(&mut self, purpose: Purpose, items: Vec<Item<T>>, why: &str, is_doubtful: bool, now: Millis) {
        let is_retrial = purpose == Purpose::Retrial;
        let (since, again_at) = (self.suspected_since(is_retrial), now.plus(SUSPECT_WAIT));
        let is_doubtful = is_doubtful && !is_retrial;
        let suspect = |item| Suspect { item, why: why.to_owned(), since, is_doubtful, again_at };
        self.suspects.extend(items.into_iter().map(suspect));
    }

    /// Each group goes by itself; where there is one only, it is the one that is refused.
    fn on_apart(&mut self, job: Job<T>, groups: &[usize], why: &str, now: Millis) {
        if job.purpose == Purpose::Test {
            self.abandon_search();
        }
        let mut apart: Vec<Vec<Item<T>>> = Vec::new();
        for (item, group) in job.batch.items.into_iter().zip(groups) {
            if apart.len() <= *group {
                apart.resize_with(group + 1, Vec::new);
            }
            apart[*group].push(item);
        }
        if let [_] = apart.as_slice() {
            // The reply says which part it refuses: that leaves no doubt.
            apart.into_iter().for_each(|items| self.suspect(job.purpose, items, why, false, now));
        } else {
            apart.into_iter().for_each(|items| self.requeue(Purpose::Ordinary, Batch::of(items)));
        }
    }

    fn on_accepted_but(
        &mut self,
        job: Job<T>,
        refused: Vec<(usize, String)>,
        again: &[usize],
        slow_down: bool,
        now: Millis,
        effects: &mut Vec<Effect<T>>,
    ) {
        let taken = job.batch.items.len() - refused.len() - again.len();
        if taken > 0 {
            self.reached();
            self.refused_in_a_row = 0;
            self.condemn(job.number, effects);
        } else {
            self.gate.probe_returned();
        }
        if slow_down || !again.is_empty() {
            self.lane.narrow();
        } else if taken > 0 {
            self.lane.widen();
        }
        if job.purpose == Purpose::Test {
            self.abandon_search();
        }
        let (mut delivered, mut later) = (Vec::with_capacity(taken), Vec::new());
        let mut refused = refused.into_iter().peekable();
        for (position, item) in job.batch.items.into_iter().enumerate() {
            if let Some((_, why)) = refused.next_if(|(at, _)| *at == position) {
                // The rest of the same request was taken: that is the evidence.
                let since = self.suspected_since(taken > 0);
                self.suspects.push(Suspect { item, why, since, is_doubtful: false, again_at: now.plus(SUSPECT_WAIT) });
            } else if again.contains(&position) {
                later.push(item);
            } else {
                delivered.push(item);
            }
        }
        if !later.is_empty() {
            self.requeue(Purpose::Ordinary, Batch::of(later));
        }
        self.delivered(Batch::of(delivered), effects);
        self.condemn(AT_HAND, effects);
    }

    /// The fault is not the events': everything goes back, and one event at a time probes until one is accepted.
    fn misconfigured(&mut self, why: String, now: Millis, entropy: &mut dyn Entropy) {
        self.abandon_search();
        if !self.suspects.is_empty() {
            let mut items: Vec<_> = self.suspects.drain(..).map(|suspect| suspect.item).collect();
            items.extend(std::iter::from_fn(|| self.take_again()).flat_map(|(_, batch)| batch.items));
            items.sort_by_key(|item| item.n);
            for piece in pieces(items, &self.limits) {
                self.requeue(Purpose::Ordinary, Batch::of(piece));
            }
        }
        self.burst = 1;
        self.refused_in_a_row = 0;
        self.gate.close(Hold::Misconfigured, why, true, None, now, entropy);
    }

    pub(super) fn abandon_search(&mut self) {
        let Some(search) = self.search.take() else { return };
        let items = search.isolation.into_items();
        if !items.is_empty() {
            self.requeue(Purpose::Ordinary, Batch::of(items));
        }
    }

    /// What a request carried is next again.
    fn put_back(&mut self, job: Job<T>) {
        match (&mut self.search, job.purpose) {
            (Some(search), Purpose::Test) => {
                search.is_testing = false;
                search.isolation.untested(job.batch.items);
            }
            (_, purpose) => {
                let purpose = if purpose == Purpose::Test { Purpose::Ordinary } else { purpose };
                self.requeue(purpose, job.batch);
            }
        }
    }
}

/// The event that takes so much of a batch that it may well be too large by itself.
fn bulk_of<T>(items: &[Item<T>]) -> Option<usize> {
    let all: u64 = items.iter().map(|item| u64::from(item.size)).sum();
    let (position, largest) = items.iter().enumerate().max_by_key(|(_, item)| item.size)?;
    (u64::from(largest.size) > all / BULK_SHARE).then_some(position)
}

/// Batches of what was in several, none larger than a request may be. How long they will be as encoded is not known yet; no
/// format makes twice as much of an event of ordinary size.
fn pieces<T>(items: Vec<Item<T>>, limits: &Limits) -> Vec<Vec<Item<T>>> {
    let mut pieces: Vec<Vec<Item<T>>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = item.size as usize;
        match pieces.last_mut() {
            Some(piece) if piece.len() < limits.max_events && bytes + size <= limits.max_size / 2 => piece.push(item),
            _ => {
                pieces.push(vec![item]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_that_are_put_together_anew_are_bounded_by_count_and_by_size() {
        let limits = |max_events, max_size| Limits {
            max_events,
            max_size,
            linger: Millis(1_000),
            in_flight: 1,
            is_ordered: false,
            is_pipe: false,
            queue_bytes: 1 << 20,
        };
        let items = |sizes: &[u32]| {
            let numbered = (1..).zip(sizes);
            numbered.map(|(n, size)| Item { n, seq: n, logged_at: 0, size: *size, load: () }).collect::<Vec<_>>()
        };
        let lens = |items, limits| pieces(items, &limits).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lens(items(&[10; 7]), limits(3, 1_000)), [3, 3, 1]);
        assert_eq!(
            lens(items(&[40, 40, 40, 300, 40]), limits(100, 200)),
            [2, 1, 1, 1],
            "one that is larger goes alone"
        );
    }
}
