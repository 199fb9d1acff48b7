//! What waits or is under way holds its part of the pool, and leaves the others theirs.

use super::{LIMITS, PIPE, World, accept};
use crate::delivery::gate::Hold;
use crate::delivery::pool::{POOL_BYTES, Pool, SILENT_MAX};
use crate::delivery::sender::{Item, Limits, Outcome, Sender, ToDo};
use crate::time::Millis;

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
