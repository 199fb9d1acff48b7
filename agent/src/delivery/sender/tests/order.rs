//! Order, pace and the one promise above all: every event is settled exactly once.

use std::collections::BTreeSet;

use super::{LIMITS, Prng, World, accept, encode_late, refuse_parts, refuse_poison};
use crate::delivery::gate::Hold;
use crate::delivery::pace::Pace;
use crate::delivery::sender::{Batch, Item, Job, Limits, Outcome, Sender, ToDo};
use crate::time::Millis;

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
