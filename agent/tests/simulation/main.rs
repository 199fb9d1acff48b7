//! Seeded simulation: real shards, delivery and log on virtual time, through crashes, outages and lying receivers, with
//! the books checked at every step.
//!
//! `SCAIDRIVE_SEEDS` sets how many seeds are run, `SCAIDRIVE_SEED` runs one alone and says what it is made of.
//!
//! | file | what it is |
//! |---|---|
//! | `scenario.rs` | a run from a seed: set up, suffer, settle |
//! | `agent.rs` | the agent under test on its simulated machine |
//! | `producer.rs`, `receiver.rs` | the world around it |
//! | `sample.rs` | events and destinations, and what each wants |
//! | `operators.rs` | what operators ask for at an awkward moment |
//! | `oracle.rs` | what must be true |

// A seed that fails says what it is made of.
#![allow(clippy::print_stderr)]
#![allow(missing_docs, unreachable_pub)]

mod agent;
mod chance;
mod operators;
mod oracle;
mod producer;
mod receiver;
mod sample;
mod scenario;

use std::panic::{AssertUnwindSafe, catch_unwind};

use scaidrive_siem::runtime::virtual_time::World;
use scaidrive_siem::time::Millis;

use crate::agent::{Machine, Setup};
use crate::chance::Dice;
use crate::sample::Spec;
use crate::scenario::Ran;

/// Runs a seed, and says how to run it alone if it fails.
fn run(seed: u64) -> Ran {
    let ran = catch_unwind(AssertUnwindSafe(|| scenario::run(seed)));
    match ran {
        Ok(Ok(ran)) => ran,
        Ok(Err(broken)) => {
            panic!(
                "seed {seed}: {broken}\nrun it alone: SCAIDRIVE_SEED={seed} cargo test -p scaidrive-siem --features sim --test simulation"
            )
        }
        Err(_) => panic!(
            "seed {seed} panicked\nrun it alone: SCAIDRIVE_SEED={seed} cargo test -p scaidrive-siem --features sim --test simulation"
        ),
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SCAIDRIVE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SCAIDRIVE_SEEDS").unwrap_or(SEEDS_DEFAULT),
    }
}

#[test]
fn every_promise_is_kept_through_crashes_outages_and_lying_receivers() {
    let mut failed = Vec::new();
    let mut acked = 0;
    for seed in seeds() {
        match catch_unwind(|| run(seed)) {
            Ok(ran) => acked += ran.acked,
            Err(_) => failed.push(seed),
        }
    }
    assert!(failed.is_empty(), "failing seeds: {failed:?}");
    assert!(acked > 0, "nothing was acknowledged, so nothing was tested");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(1), run(1));
}

#[test]
fn a_counter_that_is_falsified_shows_as_a_published_difference() {
    let world = World::new(7);
    let dice = Dice::new(7);
    let setup = Setup { shards: 1, window: Millis(60_000), segments: 16, dead_letter_bytes: 4_000, sync_ms: 2 };
    let spec = Spec::any(0, &dice);
    let machine = Machine::new(setup, 7, &dice);
    machine.start(&world, &[spec]);
    let life = machine.life().expect("it was started");
    let published = || life.published[0].report().destinations[0].books.difference();
    world.run_until(Millis(2_000));
    assert_eq!(published(), 0);
    life.shards[0].places()[0].outlet.borrow_mut().books_mut().delivered += 1;
    world.run_until(Millis(4_000));
    assert_eq!(published(), 1);
    assert!(oracle::check_books(&life).is_err(), "the simulation looks at every step");
}

#[test]
fn an_outlet_that_waits_where_a_segment_ended_is_taken_along() {
    // The reader was moved to the next segment and told to wait in one step, past the place where the outlet waited.
    run(1047);
}

#[test]
fn a_producer_that_met_the_end_of_the_room_does_not_keep_the_shard_busy() {
    run(15);
}

#[test]
fn a_destination_replaced_during_the_stop_does_not_keep_the_shard_busy() {
    run(12);
}

#[test]
fn an_event_refused_with_a_full_dead_letter_store_does_not_stop_the_others() {
    run(52);
    run(128);
}

#[test]
fn requests_of_a_removed_destination_end_without_harm() {
    run(80);
}

/// A development build runs these in well under half a minute.
const SEEDS_DEFAULT: u64 = 30;
