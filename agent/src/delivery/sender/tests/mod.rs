//! What a sender promises, against destinations that accept, refuse, stall and recover.

mod order;
mod pool;
mod search;

use std::collections::BTreeSet;

use scaidrive_codecs::Body;

use crate::delivery::pace::Pace;
use crate::delivery::pool::Pool;
use crate::delivery::sender::{Effect, Item, Job, Limits, Outcome, Sender, ToDo};
use crate::time::{Entropy, Millis};

struct Prng(u64);

impl Entropy for Prng {
    fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Prng {
    fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit
    }
}

const LIMITS: Limits = Limits {
    max_events: 500,
    max_size: 1 << 20,
    linger: Millis(1_000),
    in_flight: 4,
    is_ordered: false,
    is_pipe: false,
    queue_bytes: 1 << 20,
};

const PIPE: Limits = Limits { is_pipe: true, is_ordered: true, in_flight: 1 << 20, queue_bytes: 1 << 30, ..LIMITS };

struct World {
    sender: Sender<()>,
    prng: Prng,
    now: Millis,
    offered: u64,
    delivered: Vec<u64>,
    dead: Vec<u64>,
    requests: u32,
}

impl World {
    fn new(limits: Limits, seed: u64) -> World {
        World {
            sender: Sender::new(limits, &Pool::default()),
            prng: Prng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            now: Millis::ZERO,
            offered: 0,
            delivered: Vec::new(),
            dead: Vec::new(),
            requests: 0,
        }
    }

    fn offer(&mut self, count: u64) {
        (0..count).for_each(|_| self.offer_one(10));
    }

    fn offer_one(&mut self, size: u32) {
        self.offered += 1;
        let n = self.offered;
        let item = Item { n, seq: n, logged_at: self.now.0, size, load: () };
        let encode = |_: &Item<()>, _: u32, body: &mut Body| {
            body.push_glue(b"0123456789");
            Ok(())
        };
        assert!(self.sender.offer(item, self.now, 0, encode).is_ok());
    }

    fn settle(&mut self, job: Job<()>, outcome: Outcome) {
        let mut effects = Vec::new();
        self.sender.settle(job, outcome, self.now, &mut self.prng, &mut effects);
        self.sender.condemned(&mut effects);
        self.apply(effects);
    }

    fn apply(&mut self, effects: Vec<Effect<()>>) {
        for effect in effects {
            match effect {
                Effect::Delivered(items) => self.delivered.extend(items.iter().map(|item| item.n)),
                Effect::DeadLetter(item, _) => self.dead.push(item.n),
            }
        }
    }

    /// What to do, with no other destination in the way.
    fn next(&mut self) -> ToDo<()> {
        self.sender.next(self.now, &mut Pace::default())
    }

    fn next_moment(&mut self) -> Option<Millis> {
        match self.next() {
            ToDo::WaitUntil(moment) => Some(moment),
            ToDo::Send(_) | ToDo::Wait => None,
        }
    }

    /// Sends one request after the other until there is nothing to do for `patience`.
    fn run(&mut self, patience: Millis, answer: &mut dyn FnMut(&Job<()>, &mut Prng) -> Outcome) {
        let end = self.now.plus(patience);
        while self.now < end {
            let todo = self.next();
            let mut effects = Vec::new();
            self.sender.condemned(&mut effects);
            self.apply(effects);
            match todo {
                ToDo::Send(job) => {
                    self.requests += 1;
                    assert!(job.batch.items.len() <= 500);
                    let outcome = answer(&job, &mut self.prng);
                    self.settle(job, outcome);
                }
                ToDo::WaitUntil(until) => self.now = until.max(self.now.plus(Millis(1))),
                ToDo::Wait => {
                    assert_eq!(self.sender.held_events(), 0, "events in hand, nothing under way, and nothing to do");
                    return;
                }
            }
        }
    }

    fn assert_all_accounted_for(&self) {
        let settled: BTreeSet<u64> = self.delivered.iter().chain(&self.dead).copied().collect();
        assert_eq!(settled.len(), self.delivered.len() + self.dead.len(), "an event was settled twice");
        assert_eq!(settled.len() + self.sender.held_events(), self.offered as usize);
    }
}

fn accept() -> Outcome {
    Outcome::Accepted { slow_down: false }
}

fn refuse() -> Outcome {
    Outcome::Refused { offender: None, why: "Invalid data format".into() }
}

fn refuse_poison(job: &Job<()>, is_poison: impl Fn(u64) -> bool) -> Outcome {
    if job.batch.items.iter().any(|item| is_poison(item.n)) { refuse() } else { accept() }
}

/// Refuses whole batches that hold an event for a part which refuses its own; events go to the three parts in turn.
fn refuse_parts(job: &Job<()>, is_refusing: impl Fn(u64) -> bool) -> Outcome {
    let part = |item: &Item<()>| item.n % 3;
    if !job.batch.items.iter().map(part).any(is_refusing) {
        return accept();
    }
    // Numbered as they come, the first 0.
    let mut seen: Vec<u64> = Vec::new();
    let groups = job.batch.items.iter().map(part).map(|part| {
        seen.iter().position(|known| *known == part).unwrap_or_else(|| {
            seen.push(part);
            seen.len() - 1
        })
    });
    Outcome::Apart { groups: groups.collect(), why: "Incorrect index".into() }
}

/// The body of a batch that goes without one, as a carrier makes it.
fn encode_late(sender: &mut Sender<()>, job: &mut Job<()>) {
    job.batch.body.clear();
    job.batch.items.iter().for_each(|_| job.batch.body.push_glue(b"0123456789"));
    job.batch.is_encoded = true;
    assert_eq!(sender.encoded(job), job.batch.is_encoded);
}
