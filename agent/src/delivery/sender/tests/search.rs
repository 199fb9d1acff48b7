//! What is refused: a poison event is found among others, and nothing else is condemned.

use std::collections::BTreeSet;

use super::{LIMITS, World, accept, encode_late, refuse, refuse_parts, refuse_poison};
use crate::delivery::gate::Hold;
use crate::delivery::pool::{POOL_BYTES, Pool};
use crate::delivery::sender::{Item, Job, Limits, Outcome, Sender, ToDo};
use crate::time::Millis;

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
