//! Waiting for something to become true, with a deadline instead of a guess.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `look` returns something and returns it.
///
/// # Panics
/// When `within` is over; the text names `what` did not happen.
#[track_caller]
pub fn wait_for<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    match try_wait_for(within, &mut look) {
        Some(found) => found,
        None => panic!("not within {} s: {what}", within.as_secs_f64()),
    }
}

/// Waits until `look` returns something; `None` when `within` is over.
pub fn try_wait_for<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Waits until `is_so` is true.
///
/// # Panics
/// When `within` is over; the text names `what` did not happen.
#[track_caller]
pub fn wait_until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    wait_for(what, within, || is_so().then_some(()));
}

/// Watches for the whole of `time` that `is_so` stays true.
///
/// # Panics
/// As soon as it does not; the text names `what` was broken and when.
#[track_caller]
pub fn holds_for(what: &str, time: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(is_so(), "broken after {:.3} s: {what}", start.elapsed().as_secs_f64());
        thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_true_is_returned() {
        let mut looks = 0;
        let found = wait_for("three looks", Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, 3);
    }

    #[test]
    fn what_never_becomes_true_ends_at_the_deadline() {
        assert_eq!(try_wait_for(Duration::from_millis(20), || None::<()>), None);
    }

    #[test]
    #[should_panic(expected = "broken after")]
    fn a_broken_condition_is_noticed_while_watching() {
        let start = Instant::now();
        holds_for("young", Duration::from_secs(5), || start.elapsed() < Duration::from_millis(20));
    }
}
