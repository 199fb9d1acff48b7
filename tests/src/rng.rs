//! Chance by seed: a failing test prints its seed and replays.

use std::env;
use std::io::{self, Write};

/// A small seeded generator (SplitMix64, by Steele, Lea and Flood).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that gives the same numbers for the same `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `0..end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64().checked_rem(end).unwrap_or(0)
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The seed of this run: the environment variable `SCAIDRIVE_SEED`, else `default`. It is printed, so that any failure
/// can be run again.
pub fn seed(default: u64) -> u64 {
    let seed = count_from_env("SCAIDRIVE_SEED", default);
    let _ = writeln!(io::stderr(), "SCAIDRIVE_SEED={seed}");
    seed
}

/// A count from the environment variable `name`, else `default`.
///
/// # Panics
/// When the variable is set and is not a number: a typing mistake must not make a long test a short one.
pub fn count_from_env(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

/// Scatters the bits of `value`: a different result for each value, the same one each time.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
