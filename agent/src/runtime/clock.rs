//! The machine's clocks and its random numbers, for the real sides.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::Millis;

/// Milliseconds since the process first asked; the same on every thread.
pub(crate) fn now() -> Millis {
    let passed = STARTED.get_or_init(Instant::now).elapsed().as_millis();
    Millis(u64::try_from(passed).unwrap_or(u64::MAX))
}

/// Milliseconds since 1970; negative when the machine's clock says so.
pub(crate) fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// 64 bits from the kernel's generator.
pub(crate) fn entropy() -> u64 {
    // A kernel that has booted far enough to run us always answers; the standard library's hash keys are random too.
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(Instant::now()))
}

/// A process starts once, so its clock has one zero: the only global of the data plane.
static STARTED: OnceLock<Instant> = OnceLock::new();
