//! What a sender promises, against destinations that accept, refuse, stall and recover.

use std::collections::BTreeSet;

use scaidrive_codecs::Body;

use super::{Batch, Effect, Item, Job, Limits, Outcome, Sender, ToDo};
use crate::delivery::gate::Hold;
use crate::delivery::pace::Pace;
use crate::delivery::pool::{POOL_BYTES, Pool, SILENT_MAX};
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

#[test]
fn lesson_26_a_poison_event_in_a_batch_of_500_costs_one_dead_letter_and_at_most_ten_extra_requests() {
    for poison in 1..=500 {
        let mut world = World::new(LIMITS, 1);
        world.offer(500);
        world.run(Millis::from_secs(10), &mut |job, _| refuse_poison(job, |n| n == poison));
        // The event at fault may wait for evidence when nothing else was accepted since; here something always is.
        assert_eq!(world.dead, [poison]);
        assert_eq!(world.delivered.len(), 499);
        assert!(world.requests <= 11, "{} requests", world.requests);
        world.assert_all_accounted_for();
    }
}

#[test]
fn a_batch_that_is_too_large_condemns_no_event_of_it() {
    for max in 1..9 {
        let mut world = World::new(LIMITS, 3);
        world.offer(500);
        let too_large = || Outcome::TooLarge { why: "413".into() };
        let answer = |job: &Job<()>| if job.batch.items.len() > max { too_large() } else { accept() };
        world.run(Millis::from_secs(60), &mut |job, _| answer(job));
        assert_eq!((world.dead.len(), world.delivered.len()), (0, 500), "at most {max} events in a request");
    }
}

#[test]
fn an_event_that_is_too_large_by_itself_is_found_by_its_size_or_else_by_halves() {
    for (size, bound) in [(5_000, 3), (20, 11)] {
        for large in 1..=500 {
            let mut world = World::new(Limits { is_ordered: true, ..LIMITS }, 5);
            world.offer(large - 1);
            world.offer_one(size);
            world.offer(500 - large);
            world.run(Millis::from_secs(20), &mut |job, _| {
                let has_it = job.batch.items.iter().any(|item| item.n == large);
                if has_it { Outcome::TooLarge { why: "413".into() } } else { accept() }
            });
            world.offer(1);
            world.run(Millis::from_secs(20), &mut |_, _| accept());
            assert_eq!((world.dead.as_slice(), world.delivered.len()), (&[large][..], 500));
            assert!(world.delivered.is_sorted(), "log order is kept");
            // Beside the batch itself and the event after it.
            assert!(world.requests - 2 <= bound, "{} requests for event {large} of {size} bytes", world.requests);
        }
    }
}

#[test]
fn a_limit_met_while_a_poison_event_is_searched_condemns_nobody_else() {
    for poison in 1..=500 {
        let mut world = World::new(LIMITS, 4);
        world.offer(500);
        let mut requests = 0;
        world.run(Millis::from_secs(120), &mut |job, _| {
            requests += 1;
            match job.batch.items.len() {
                2.. if (2..6).contains(&requests) => Outcome::TooLarge { why: "413".into() },
                _ => refuse_poison(job, |n| n == poison),
            }
        });
        assert_eq!((world.dead.as_slice(), world.delivered.len()), (&[poison][..], 499));
    }
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

#[test]
fn lesson_23_a_part_that_refuses_its_events_costs_one_request_for_each_part_and_no_event_of_another() {
    let mut world = World::new(LIMITS, 13);
    world.offer(300);
    world.run(Millis::from_secs(10), &mut |job, _| refuse_parts(job, |part| part == 1));
    assert_eq!(world.requests, 4, "all together, then each part");
    assert_eq!(world.delivered.len(), 200);
    // Evidence against the last part comes with the next acceptance.
    world.offer(1);
    world.run(Millis::from_secs(10), &mut |job, _| refuse_parts(job, |part| part == 1));
    world.offer(2);
    world.run(Millis::from_secs(10), &mut |job, _| refuse_parts(job, |part| part == 1));
    world.assert_all_accounted_for();
    assert!(world.dead.len() >= 100 && world.dead.iter().all(|n| n % 3 == 1), "{:?}", world.dead);
    assert_eq!(world.delivered.iter().filter(|n| **n % 3 == 1).count(), 0);
}

#[test]
fn parts_that_all_refuse_cost_no_dead_letter_and_are_called_misconfigured() {
    let mut world = World::new(LIMITS, 14);
    for _ in 0..20 {
        world.offer(10);
        world.run(Millis::from_secs(600), &mut |job, _| refuse_parts(job, |_| true));
    }
    assert!(world.dead.is_empty() && world.delivered.is_empty());
    assert_eq!(world.sender.closed().map(|closed| closed.hold), Some(Hold::Misconfigured));
    world.run(Millis::from_secs(600), &mut |_, _| accept());
    assert_eq!((world.delivered.len(), world.dead.len()), (200, 0), "all of it arrives once the receiver is mended");
}

#[test]
fn a_receiver_that_refuses_everything_costs_no_dead_letter_and_is_called_misconfigured() {
    for (events, rounds) in [(500, 1), (1, 60), (3, 20)] {
        let mut world = World::new(LIMITS, 2);
        for _ in 0..rounds {
            world.offer(events);
            world.run(Millis::from_secs(600), &mut |_, _| refuse());
        }
        assert!(world.dead.is_empty());
        assert_eq!(world.sender.closed().map(|closed| closed.hold), Some(Hold::Misconfigured));
        world.run(Millis::from_secs(600), &mut |_, _| accept());
        assert_eq!(world.delivered.len() as u64, world.offered, "and all of it arrives once the receiver is mended");
        assert!(world.dead.is_empty());
    }
}

#[test]
fn a_lone_poison_event_is_dead_lettered_only_after_a_later_event_was_accepted() {
    let mut world = World::new(LIMITS, 3);
    world.offer(1);
    world.run(Millis::from_secs(5), &mut |job, _| refuse_poison(job, |n| n == 1));
    assert!(world.dead.is_empty());
    world.offer(1);
    world.run(Millis::from_secs(5), &mut |job, _| refuse_poison(job, |n| n == 1));
    assert_eq!((world.dead.as_slice(), world.delivered.as_slice()), (&[1][..], &[2][..]));
}

#[test]
fn many_poison_events_never_stop_the_others() {
    for seed in 1..=40 {
        let mut world = World::new(LIMITS, seed);
        let one_in = 2 + seed % 60;
        for _ in 0..10 {
            world.offer(100);
            world.run(Millis::from_secs(3_600), &mut |job, _| refuse_poison(job, |n| n % one_in == 0));
        }
        world.offer(1);
        world.run(Millis::from_secs(36_000), &mut |job, _| refuse_poison(job, |n| n % one_in == 0));
        world.assert_all_accounted_for();
        assert!(world.dead.iter().all(|n| n % one_in == 0), "seed {seed}: only poison is dead-lettered");
        let good = (1..=world.offered).filter(|n| n % one_in != 0).count();
        assert_eq!(world.delivered.len(), good, "seed {seed}");
    }
}

#[test]
fn lesson_32_refused_credentials_drop_nothing_and_one_probe_at_a_time_finds_the_new_ones() {
    let mut world = World::new(LIMITS, 4);
    world.offer(2_000);
    let mut refused = 0;
    world.run(Millis::from_secs(600), &mut |job, _| {
        refused += 1;
        assert!(refused == 1 || job.batch.items.len() == 1, "a probe carries one event");
        Outcome::Retry { hold: Hold::Credentials, after: None, why: "Invalid token".into() }
    });
    assert!(world.delivered.is_empty() && world.dead.is_empty());
    assert!(refused < 60, "{refused} probes in ten minutes");
    world.run(Millis::from_secs(600), &mut |_, _| accept());
    assert_eq!(world.delivered.len(), 2_000);
}

#[test]
fn with_one_request_at_a_time_log_order_is_kept_through_any_trouble_but_a_misconfiguration() {
    for seed in 1..=200 {
        let mut world = World::new(Limits { in_flight: 1, is_ordered: true, max_events: 7, ..LIMITS }, seed);
        // Refusals that have nothing to do with the events are the one thing that may change the order: a later event is
        // then tried, to learn whether the settings or the events are at fault.
        let mut spurious = 8;
        for _ in 0..20 {
            world.offer(5);
            world.run(Millis::from_secs(2), &mut |job, prng| match prng.below(6) {
                0 => Outcome::Retry { hold: Hold::Unreachable, after: None, why: "down".into() },
                1 => Outcome::Retry { hold: Hold::Throttled, after: Some(Millis(700)), why: "busy".into() },
                2 if job.batch.items.len() > 3 && spurious > 0 => {
                    spurious -= 1;
                    Outcome::TooLarge { why: "413".into() }
                }
                _ => refuse_poison(job, |n| n % 31 == 0),
            });
        }
        world.run(Millis::from_secs(3_600), &mut |job, _| refuse_poison(job, |n| n % 31 == 0));
        world.assert_all_accounted_for();
        assert!(world.delivered.is_sorted(), "seed {seed}: {:?}", world.delivered);
    }
}

#[test]
fn every_event_is_settled_exactly_once_whatever_the_destination_answers_and_whatever_is_given_up() {
    for seed in 1..=300 {
        let is_pipe = seed % 4 == 0;
        let limits = Limits { max_events: 1 + (seed as usize % 40), is_pipe, is_ordered: is_pipe, ..LIMITS };
        let mut world = World::new(limits.clone(), seed);
        let mut given_up = BTreeSet::new();
        let mut jobs: Vec<Job<()>> = Vec::new();
        for _ in 0..400 {
            match world.prng.below(10) {
                0..=2 => {
                    let count = world.prng.below(9);
                    world.offer(count);
                }
                3..=5 => {
                    if let ToDo::Send(mut job) = world.next() {
                        while !job.batch.is_encoded {
                            encode_late(&mut world.sender, &mut job);
                        }
                        match world.prng.below(3) {
                            0 if limits.is_pipe => world.sender.keep_without_body(&mut job),
                            0 => world.sender.park(&mut job, false),
                            _ => {}
                        }
                        jobs.push(job);
                    }
                }
                6..=7 if !jobs.is_empty() => {
                    let at = world.prng.below(jobs.len() as u64) as usize;
                    let job = jobs.remove(at);
                    let outcome = match random_outcome(&job, &mut world.prng) {
                        outcome @ (Outcome::Accepted { .. } | Outcome::Retry { .. }) => outcome,
                        // A late answer says nothing else.
                        _ if job.is_parked => accept(),
                        outcome => outcome,
                    };
                    world.settle(job, outcome);
                }
                8 => world.now = world.now.plus(Millis(world.prng.below(5_000))),
                _ => {
                    let bound = world.offered.saturating_sub(world.prng.below(60));
                    let mut lost = Vec::new();
                    world.sender.give_up(|item| item.n < bound, &mut lost);
                    for item in lost {
                        assert!(given_up.insert(item.n), "seed {seed}: event {} given up twice", item.n);
                    }
                }
            }
            let settled = world.delivered.len() + world.dead.len() + given_up.len();
            assert_eq!(settled + world.sender.held_events(), world.offered as usize, "seed {seed}");
            assert_eq!(world.sender.memory(), memory_of(&world.sender, &jobs), "seed {seed}");
        }
        let all: BTreeSet<u64> = world.delivered.iter().chain(&world.dead).chain(&given_up).copied().collect();
        assert_eq!(all.len(), world.delivered.len() + world.dead.len() + given_up.len(), "seed {seed}");
    }
}

/// The body of a batch that goes without one, as a carrier makes it.
fn encode_late(sender: &mut Sender<()>, job: &mut Job<()>) {
    job.batch.body.clear();
    job.batch.items.iter().for_each(|_| job.batch.body.push_glue(b"0123456789"));
    job.batch.is_encoded = true;
    assert_eq!(sender.encoded(job), job.batch.is_encoded);
}

/// What a sender should count in the pool while these requests are not settled, counted one by one.
fn memory_of(sender: &Sender<()>, jobs: &[Job<()>]) -> usize {
    let unsent = sender.ready.iter().chain([&sender.open]);
    let waiting: Vec<_> = unsent.clone().chain(sender.again.iter().map(|(_, batch)| batch)).collect();
    let under_way: Vec<_> = jobs.iter().filter(|job| !job.is_parked).collect();
    let events = if sender.limits.is_pipe {
        unsent.map(|batch| batch.items.len()).sum()
    } else {
        let searched = sender.search.as_ref().map_or(0, |search| search.isolation.held().count());
        let sent: usize = under_way.iter().map(|job| job.batch.items.len()).sum();
        waiting.iter().map(|batch| batch.items.len()).sum::<usize>() + sent + sender.suspects.len() + searched
    };
    let bodies = waiting.into_iter().chain(under_way.into_iter().map(|job| &job.batch)).map(Batch::body_memory);
    events * Item::<()>::MEMORY + bodies.sum::<usize>()
}

fn random_outcome(job: &Job<()>, prng: &mut Prng) -> Outcome {
    let len = job.batch.items.len();
    match prng.below(9) {
        0..=2 => Outcome::Accepted { slow_down: prng.below(5) == 0 },
        3 => Outcome::Refused { offender: Some(prng.below(len as u64 + 2) as usize), why: "no".into() },
        4 => Outcome::TooLarge { why: "413".into() },
        5 => {
            let refused: Vec<_> =
                (0..len).filter(|_| prng.below(4) == 0).map(|at| (at, "mapping".to_owned())).collect();
            let again = (0..len).filter(|at| !refused.iter().any(|(bad, _)| bad == at) && prng.below(4) == 0).collect();
            Outcome::AcceptedBut { refused, again, slow_down: prng.below(5) == 0, note: None }
        }
        6 => Outcome::Retry { hold: Hold::Trouble, after: None, why: "503".into() },
        7 => refuse_parts(job, |_| true),
        _ => Outcome::Retry { hold: Hold::Credentials, after: None, why: "401".into() },
    }
}

#[test]
fn lesson_10_requests_under_way_and_bytes_in_hand_stay_bounded_under_a_storm_of_429() {
    let mut world = World::new(LIMITS, 5);
    let mut jobs = Vec::new();
    for _ in 0..10_000 {
        if world.sender.has_room() {
            world.offer(100);
        }
        if let ToDo::Send(job) = world.next() {
            jobs.push(job);
        }
        assert!(world.sender.under_way() <= 4);
        assert!(world.sender.held_bytes() <= LIMITS.queue_bytes + 1_000);
        if jobs.len() >= 2 {
            let job = jobs.remove(0);
            world.settle(job, Outcome::Retry { hold: Hold::Throttled, after: None, why: "429".into() });
        }
        world.now = world.now.plus(Millis(50));
    }
    assert_eq!(world.sender.lane_width(), 1, "a storm of 429 lowers concurrency");
}

#[test]
fn lesson_20_a_lone_event_is_sent_at_once_when_nothing_is_under_way() {
    let mut world = World::new(LIMITS, 6);
    world.offer(1);
    assert!(matches!(world.next(), ToDo::Send(job) if job.batch.items.len() == 1));
}

#[test]
fn lesson_31_the_size_limit_is_that_of_the_encoded_body() {
    let mut world = World::new(Limits { max_size: 95, ..LIMITS }, 7);
    world.offer(100);
    world.run(Millis::from_secs(5), &mut |job, _| {
        assert!(job.batch.body.len() <= 95);
        assert_eq!(job.batch.body.len(), job.batch.items.len() * 10);
        accept()
    });
    assert_eq!(world.delivered.len(), 100);
}

#[test]
fn lesson_27_items_that_could_not_be_taken_now_wait_before_they_go_again_alone() {
    let mut world = World::new(LIMITS, 8);
    world.offer(10);
    let ToDo::Send(job) = world.next() else { panic!("a batch is sent at once") };
    assert_eq!(job.batch.items.len(), 10);
    let outcome = Outcome::AcceptedBut { refused: Vec::new(), again: vec![2, 5], slow_down: true, note: None };
    world.settle(job, outcome);
    assert_eq!((world.delivered.len(), world.sender.lane_width()), (8, 1));
    let ToDo::WaitUntil(moment) = world.next() else { panic!("the same would happen again at once") };
    assert!(moment.since(world.now) >= Millis(500));
    world.now = moment;
    let ToDo::Send(job) = world.next() else { panic!("now they go again") };
    assert_eq!(job.batch.items.iter().map(|item| item.n).collect::<Vec<_>>(), [3, 6]);
}

/// A batch that was accepted, and whose acknowledgement comes later.
fn parked(world: &mut World) -> Job<()> {
    let ToDo::Send(mut job) = world.next() else { panic!("there is something to send") };
    world.sender.park(&mut job, false);
    job
}

#[test]
fn what_waits_for_an_acknowledgement_takes_no_room_from_what_comes_next() {
    let mut world = World::new(Limits { queue_bytes: 50, ..LIMITS }, 9);
    world.offer(5);
    assert!(!world.sender.has_room());
    let job = parked(&mut world);
    assert!(world.sender.has_room());
    world.offer(5);
    assert!(!world.sender.has_room());
    world.settle(job, accept());
    assert_eq!(world.delivered, [1, 2, 3, 4, 5]);
    world.run(Millis::from_secs(5), &mut |_, _| accept());
    world.assert_all_accounted_for();
}

#[test]
fn in_log_order_nothing_goes_before_the_acknowledgement_of_what_went_before() {
    let mut world = World::new(Limits { is_ordered: true, in_flight: 1, ..LIMITS }, 10);
    world.offer(1);
    let job = parked(&mut world);
    world.offer(1);
    assert!(matches!(world.next(), ToDo::Wait));
    let lost = Outcome::Retry { hold: Hold::Trouble, after: None, why: String::from("never acknowledged") };
    world.settle(job, lost);
    world.run(Millis::from_secs(5), &mut |_, _| accept());
    assert_eq!(world.delivered, [1, 2]);
}

#[test]
fn a_search_goes_on_while_its_tests_wait_for_their_acknowledgements() {
    let mut world = World::new(LIMITS, 11);
    world.offer(8);
    let mut waiting = Vec::new();
    for _ in 0..40 {
        match world.next() {
            ToDo::Send(job) if job.batch.items.iter().any(|item| item.n == 3) => world.settle(job, refuse()),
            ToDo::Send(mut job) => {
                world.sender.park(&mut job, false);
                waiting.push(job);
            }
            _ => break,
        }
    }
    waiting.into_iter().for_each(|job| world.settle(job, accept()));
    world.run(Millis::from_secs(60), &mut |job, _| refuse_poison(job, |n| n == 3));
    assert_eq!(world.dead, [3]);
    world.assert_all_accounted_for();
}

#[test]
fn a_late_acknowledgement_does_not_open_what_was_closed_since() {
    let mut world = World::new(LIMITS, 12);
    world.offer(1);
    let job = parked(&mut world);
    world.offer(1);
    let ToDo::Send(next) = world.next() else { panic!("the next goes") };
    let after = Some(Millis::from_secs(600));
    world.settle(next, Outcome::Retry { hold: Hold::Throttled, after, why: String::from("429") });
    world.settle(job, accept());
    let ToDo::WaitUntil(moment) = world.next() else { panic!("it asked to be left alone") };
    assert!(moment.since(world.now) >= Millis::from_secs(500));
}

#[test]
fn lesson_14_after_any_number_of_refusals_and_with_any_order_of_replies_everything_arrives() {
    for refusals in 0..45 {
        for seed in 1..=40 {
            let mut world = World::new(LIMITS, seed * 100 + refusals);
            world.offer(500);
            world.run(Millis::from_secs(10), &mut |_, _| accept());
            let (mut under_way, mut answered, mut written) = (Vec::new(), 0, 500);
            let end = world.now.plus(Millis::from_secs(3_600));
            while world.sender.held_events() > 0 || written < 2_000 {
                assert!(world.now < end, "{refusals} refusals, seed {seed}: {} held", world.sender.held_events());
                if written < 2_000 && world.prng.below(4) == 0 {
                    let some = 1 + world.prng.below(100).min(1_999 - written);
                    world.offer(some);
                    written += some;
                }
                let todo = world.next();
                let mut effects = Vec::new();
                world.sender.condemned(&mut effects);
                world.apply(effects);
                let until = match todo {
                    ToDo::Send(job) => {
                        under_way.push(job);
                        continue;
                    }
                    ToDo::WaitUntil(until) => Some(until),
                    ToDo::Wait => None,
                };
                if !under_way.is_empty() {
                    let at = world.prng.below(under_way.len() as u64) as usize;
                    answered += 1;
                    let outcome = if answered <= refusals { refuse() } else { accept() };
                    world.settle(under_way.swap_remove(at), outcome);
                } else if let Some(until) = until {
                    world.now = until.max(world.now.plus(Millis(1)));
                } else {
                    let held = world.sender.held_events();
                    assert!(
                        held == 0,
                        "{refusals} refusals, seed {seed}: {held} held, nothing under way, nothing to do"
                    );
                }
            }
            world.assert_all_accounted_for();
            // One event may look like poison to the last: refused in each request it was in, and the rest accepted without it.
            assert!(world.dead.len() <= 1, "{refusals} refusals, seed {seed}: dead letters {:?}", world.dead);
        }
    }
}

#[test]
fn a_real_poison_event_among_things_that_were_refused_for_a_while_costs_one_request_more() {
    let mut world = World::new(LIMITS, 15);
    world.offer(4);
    let mut answered = 0;
    world.run(Millis::from_secs(10), &mut |job, _| {
        answered += 1;
        if answered <= 6 { refuse() } else { refuse_poison(job, |n| n == 2) }
    });
    world.offer(1);
    world.run(Millis::from_secs(60), &mut |job, _| refuse_poison(job, |n| n == 2));
    assert_eq!((world.dead.as_slice(), world.delivered.len()), (&[2][..], 4));
    world.assert_all_accounted_for();
}

#[test]
fn a_batch_that_is_not_full_waits_for_its_slot_and_takes_along_what_comes_meanwhile() {
    let mut world = World::new(LIMITS, 12);
    let mut pace = Pace::default();
    while pace.slot(world.now) == world.now {}
    world.offer(1);
    let ToDo::WaitUntil(slot) = world.sender.next(world.now, &mut pace) else { panic!("no slot is free") };
    assert!(slot > world.now && slot < world.now.plus(LIMITS.linger));
    assert!(world.sender.is_gathering());
    world.offer(3);
    assert!(world.sender.is_gathering(), "whoever waits need not hear of one more");
    world.now = slot;
    let ToDo::Send(job) = world.sender.next(world.now, &mut pace) else { panic!("its slot has come") };
    assert_eq!(job.batch.items.len(), 4);
    assert!(!world.sender.is_gathering());
    world.settle(job, accept());
    world.offer(501);
    assert!(!world.sender.is_gathering());
    let ToDo::Send(job) = world.sender.next(world.now, &mut pace) else { panic!("a full batch needs no slot") };
    assert_eq!(job.batch.items.len(), 500);
}

#[test]
fn no_batch_waits_for_a_slot_longer_than_for_company() {
    let limits = Limits { linger: Millis(100), ..LIMITS };
    let mut world = World::new(limits.clone(), 13);
    let mut pace = Pace::default();
    while pace.slot(world.now) < world.now.plus(Millis(500)) {}
    world.offer(1);
    let ToDo::WaitUntil(moment) = world.sender.next(world.now, &mut pace) else { panic!("no slot is free") };
    assert_eq!(moment, world.now.plus(limits.linger));
    world.now = moment;
    assert!(matches!(world.sender.next(world.now, &mut pace), ToDo::Send(_)));
}

#[test]
fn a_batch_that_fills_before_its_slot_leaves_the_slot_to_others() {
    let mut world = World::new(LIMITS, 16);
    let mut pace = Pace::default();
    while pace.slot(world.now) < world.now.plus(Millis(500)) {}
    world.offer(1);
    for _ in 0..300 {
        let ToDo::WaitUntil(slot) = world.sender.next(world.now, &mut pace) else { panic!("one event waits") };
        assert!(slot < world.now.plus(Millis(510)), "{slot}");
        world.offer(500);
        let ToDo::Send(job) = world.sender.next(world.now, &mut pace) else { panic!("a full batch needs no slot") };
        world.settle(job, accept());
    }
}

/// Offers events of `glue` encoded bytes to each sender in turn for as long as it has room; answers requests by `answer`.
fn feed(worlds: &mut [World], rounds: u32, mut answer: impl FnMut(usize) -> Option<Outcome>) {
    for _ in 0..rounds {
        for (at, world) in worlds.iter_mut().enumerate() {
            if world.sender.has_room() {
                world.offer_one(600);
            }
            while let ToDo::Send(job) = world.next() {
                match answer(at) {
                    Some(outcome) => world.settle(job, outcome),
                    None => std::mem::forget(job),
                }
            }
        }
        worlds.iter_mut().for_each(|world| world.now = world.now.plus(Millis(1)));
    }
}

/// As many senders as one shard may have, which share a pool.
fn shard_of(count: u64, limits: &Limits) -> Vec<World> {
    let pool = Pool::default();
    let sharing = |seed| World { sender: Sender::new(limits.clone(), &pool), ..World::new(limits.clone(), seed) };
    (1..=count).map(sharing).collect()
}

#[test]
fn fifty_destinations_that_are_down_hold_no_more_than_their_part_of_the_pool_and_leave_the_healthy_one_its_queue() {
    // What all could hold by themselves would be more than the pool.
    let limits = Limits { queue_bytes: 3 << 20, ..LIMITS };
    let mut worlds = shard_of(51, &limits);
    let down = || Some(Outcome::Retry { hold: Hold::Unreachable, after: None, why: String::from("refused") });
    // Half of them refuse, half never answer, and the last one is well.
    feed(&mut worlds, 6_000, |at| match at {
        50 => Some(accept()),
        at if at % 2 == 0 => down(),
        _ => None,
    });
    let held: usize = worlds[..50].iter().map(|world| world.sender.memory()).sum();
    let pool = worlds[0].sender.pool().clone();
    assert!(worlds[..50].iter().all(|world| !world.sender.has_room()), "they are as full as they may be");
    assert!(held <= POOL_BYTES / 2, "{held}");
    assert_eq!(worlds[50].delivered.len(), 6_000, "it was never held up");
    assert!(pool.filled() <= POOL_BYTES);
    // Alone it would get half; beside fifty that are down it gets its whole queue all the same.
    while worlds[50].sender.has_room() {
        worlds[50].offer_one(600);
    }
    assert!(worlds[50].sender.held_bytes() >= limits.queue_bytes, "{}", worlds[50].sender.held_bytes());
    drop(worlds);
    assert_eq!(pool.filled(), 0);
}

#[test]
fn a_destination_that_is_down_keeps_no_encoded_bodies_and_gets_everything_when_it_is_back() {
    let mut world = World::new(LIMITS, 31);
    world.offer(2_000);
    let encoded = world.sender.memory();
    let ToDo::Send(job) = world.next() else { panic!("a batch goes at once") };
    world.settle(job, Outcome::Retry { hold: Hold::Unreachable, after: None, why: String::from("refused") });
    assert!(world.sender.memory() < encoded);
    world.offer(100);
    assert_eq!(world.sender.memory(), 2_100 * Item::<()>::MEMORY, "the batch that is still open keeps none either");
    world.run(Millis::from_secs(60), &mut |_, _| accept());
    world.assert_all_accounted_for();
    assert_eq!((world.delivered.len(), world.sender.memory()), (2_100, 0));
}

#[test]
fn what_a_pipe_has_written_waits_in_its_trail_and_takes_nothing_from_the_pool() {
    let mut world = World::new(PIPE, 32);
    let mut written = Vec::new();
    for _ in 0..100 {
        world.offer(500);
        while let ToDo::Send(mut job) = world.next() {
            world.sender.keep_without_body(&mut job);
            world.sender.reached();
            written.push(job);
        }
    }
    assert_eq!((world.sender.memory(), world.sender.held_events()), (0, 50_000));
    assert!(written.iter().all(|job| job.batch.body.capacity() == 0 && !job.batch.is_encoded));
    let broken = || Outcome::Retry { hold: Hold::Unreachable, after: None, why: String::from("reset") };
    written.into_iter().for_each(|job| world.settle(job, broken()));
    assert_eq!(world.sender.memory(), 0, "nor when it goes again");
    let mut sent = Vec::new();
    world.now = world.now.plus(Millis::from_secs(5));
    while let ToDo::Send(job) = world.next() {
        sent.extend(job.batch.items.iter().map(|item| item.n));
        world.settle(job, accept());
    }
    assert_eq!(sent, (1..=50_000).collect::<Vec<_>>());
}

#[test]
fn however_much_was_written_when_a_pipe_breaks_the_first_probe_goes_as_soon_as_after_one_failure() {
    let mut world = World::new(PIPE, 33);
    let mut written = Vec::new();
    for _ in 0..20 {
        world.offer(500);
        let ToDo::Send(mut job) = world.next() else { panic!("a pipe waits for nothing") };
        world.sender.keep_without_body(&mut job);
        world.sender.reached();
        written.push(job);
    }
    let broken = || Outcome::Retry { hold: Hold::Misconfigured, after: None, why: String::from("alert") };
    written.into_iter().for_each(|job| world.settle(job, broken()));
    assert_eq!(world.next_moment(), Some(Millis(2_000)));
    world.now = Millis(2_000);
    let ToDo::Send(probe) = world.next() else { panic!("the probe goes") };
    world.settle(probe, broken());
    assert_eq!(world.sender.closed().map(|closed| closed.failures), Some(1), "a probe that fails lengthens the wait");
}

#[test]
fn beside_any_number_of_broken_pipes_with_full_trails_a_healthy_destination_fills_whole_batches() {
    for (count, batches) in [(1, 500), (3, 300), (40, 10)] {
        let mut worlds = shard_of(count + 1, &PIPE);
        let healthy = worlds.len() - 1;
        worlds[healthy].sender = Sender::new(LIMITS, worlds[0].sender.pool());
        for pipe in &mut worlds[..healthy] {
            let mut trail = Vec::new();
            for _ in 0..batches {
                pipe.offer(500);
                let ToDo::Send(mut job) = pipe.next() else { panic!("a pipe waits for nothing") };
                pipe.sender.keep_without_body(&mut job);
                pipe.sender.reached();
                trail.push(job);
            }
            let broken = || Outcome::Retry { hold: Hold::Unreachable, after: None, why: String::from("reset") };
            trail.into_iter().for_each(|job| pipe.settle(job, broken()));
            while pipe.sender.has_room() {
                pipe.offer_one(600);
            }
        }
        let world = &mut worlds[healthy];
        world.offer(1);
        world.run(Millis::from_secs(1), &mut |_, _| accept());
        for _ in 0..10 {
            while world.sender.has_room() && world.sender.held_events() < 501 {
                world.offer_one(600);
            }
            let ToDo::Send(job) = world.next() else { panic!("a full batch goes") };
            assert_eq!(job.batch.items.len(), LIMITS.max_events, "beside {count}");
            world.settle(job, accept());
        }
    }
}

#[test]
fn bodies_of_requests_that_never_end_are_counted_and_leave_a_healthy_destination_whole_batches() {
    let mut worlds = shard_of(31, &LIMITS);
    let hung = |world: &mut World| {
        world.offer(1);
        let ToDo::Send(mut job) = world.next() else { panic!("one event goes at once") };
        job.batch.body.push_glue(&vec![b'g'; 1 << 20]);
        world.sender.encoded(&mut job);
        job
    };
    let _under_way: Vec<_> = worlds[..30].iter_mut().map(hung).collect();
    assert!(worlds[0].sender.pool().filled() > POOL_BYTES);
    let world = &mut worlds[30];
    world.offer(1);
    world.run(Millis::from_secs(1), &mut |_, _| accept());
    while world.sender.has_room() {
        world.offer_one(600);
    }
    assert!(world.sender.memory() >= (POOL_BYTES - SILENT_MAX) / 4 || world.sender.held_bytes() >= LIMITS.queue_bytes);
    assert!(world.sender.held_events() > LIMITS.max_events);
}

#[test]
fn a_full_pipe_has_room_again_as_soon_as_it_has_sent_and_though_nothing_is_settled() {
    let mut world = World::new(PIPE, 37);
    while world.sender.has_room() {
        world.offer(1);
    }
    let ToDo::Send(mut job) = world.next() else { panic!("a pipe waits for nothing") };
    assert!(world.sender.has_room(), "what was sent is no more in the way");
    world.sender.keep_without_body(&mut job);
    world.sender.reached();
    assert!(world.sender.has_room());
}

#[test]
fn after_a_413_what_goes_without_a_body_is_cut_when_it_gets_one() {
    let pool = Pool::default();
    let mut crowd = pool.share();
    crowd.grow(POOL_BYTES / 2);
    let mut world = World { sender: Sender::new(LIMITS, &pool), ..World::new(LIMITS, 38) };
    world.offer(2_000);
    // Four batches of 5,000 bytes wait; no request above 4,096 is taken.
    let (mut refused, mut sent_too_large) = (0, 0);
    while world.sender.held_events() > 0 {
        let ToDo::Send(mut job) = world.next() else { panic!("there is something to send") };
        while !job.batch.is_encoded {
            encode_late(&mut world.sender, &mut job);
        }
        assert_eq!(job.batch.body.len(), 10 * job.batch.items.len(), "the body belongs to the events");
        let is_too_large = job.batch.body.len() > 4_096;
        sent_too_large += u32::from(is_too_large && world.sender.learned_size < LIMITS.max_size);
        refused += u32::from(is_too_large);
        let outcome = if is_too_large { Outcome::TooLarge { why: "413".into() } } else { accept() };
        world.settle(job, outcome);
    }
    assert_eq!((refused, sent_too_large), (1, 0), "it is learned once");
    assert_eq!(world.delivered.iter().copied().collect::<BTreeSet<_>>().len(), 2_000);
    world.assert_all_accounted_for();
}

#[test]
fn a_destination_that_one_event_alone_found_down_keeps_no_bodies() {
    let mut world = World::new(LIMITS, 36);
    world.offer(1_200);
    let down = Outcome::Retry { hold: Hold::Unreachable, after: None, why: String::from("refused") };
    world.sender.lone_settled(&down, false, world.now, &mut world.prng);
    assert_eq!(world.sender.memory(), 1_200 * Item::<()>::MEMORY);
    world.run(Millis::from_secs(60), &mut |_, _| accept());
    assert_eq!((world.delivered.len(), world.sender.memory()), (1_200, 0));
}

#[test]
fn one_more_carrier_is_of_use_only_for_what_could_go_beside_what_is_under_way() {
    let mut world = World::new(LIMITS, 33);
    assert!(!world.sender.has_more(world.now));
    world.offer(1);
    assert!(world.sender.has_more(world.now), "nothing is under way");
    let ToDo::Send(job) = world.next() else { panic!("it goes at once") };
    assert!(!world.sender.has_more(world.now));
    world.offer(1);
    assert!(!world.sender.has_more(world.now), "it waits for company");
    assert_eq!(world.sender.lingers_until(), Some(world.now.plus(LIMITS.linger)));
    assert!(world.sender.has_more(world.now.plus(LIMITS.linger)), "it has waited long enough");
    world.offer(500);
    assert!(world.sender.has_more(world.now), "a batch is full");
    world.settle(job, accept());
    world.run(Millis::from_secs(5), &mut |_, _| accept());
    assert!(!world.sender.has_more(world.now));
}

#[test]
fn while_much_waits_batches_are_bare_and_no_longer_than_others() {
    let limits = Limits { max_size: 100, queue_bytes: 1 << 30, ..LIMITS };
    let pool = Pool::default();
    let mut crowd = pool.share();
    let mut world = World { sender: Sender::new(limits.clone(), &pool), ..World::new(limits, 34) };
    world.offer(1);
    crowd.grow(POOL_BYTES / 2);
    assert!(world.sender.memory() > Item::<()>::MEMORY, "it has begun with a body");
    // From now on it has none, and neither have those that follow.
    world.offer(104);
    assert_eq!(world.sender.memory(), 105 * Item::<()>::MEMORY);
    let mut sizes = Vec::new();
    world.run(Millis::from_secs(5), &mut |job, _| {
        sizes.push((job.batch.is_encoded, job.batch.items.len()));
        accept()
    });
    // Room is left in each for what a format may write between events.
    let full = std::iter::repeat_n((false, 8), 13);
    assert_eq!(sizes, full.chain([(false, 1)]).collect::<Vec<_>>());
    assert_eq!(world.delivered, (1..=105).collect::<Vec<_>>());
}

#[test]
fn an_event_that_does_not_fit_its_format_is_found_at_once_in_a_bare_batch_too() {
    let pool = Pool::default();
    let mut crowd = pool.share();
    crowd.grow(POOL_BYTES / 2);
    let mut world = World { sender: Sender::new(LIMITS, &pool), ..World::new(LIMITS, 35) };
    world.offer(3);
    let misfit = Item { n: 4, seq: 4, logged_at: 0, size: 10, load: () };
    let refused = world.sender.offer(misfit, world.now, 0, |_, _, _| Err(String::from("too long")));
    assert!(matches!(refused, Err((Item { n: 4, .. }, why)) if why == "too long"));
    assert_eq!((world.sender.held_events(), world.sender.memory()), (3, 3 * Item::<()>::MEMORY));
}
