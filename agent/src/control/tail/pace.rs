//! How many events a person is shown: so many a second, and a count of the others.

use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The second that is counted.
    second: u64,
    shown: u32,
    skipped: u64,
}

impl Pace {
    /// Whether one more may be shown in this second. One that may not counts as skipped.
    pub(super) fn has_room(&mut self) -> bool {
        let has_room = self.shown < SHOWN_PER_SECOND;
        if has_room {
            self.shown += 1;
        } else {
            self.skipped += 1;
        }
        has_room
    }

    /// So many could not be shown.
    pub(super) fn skip(&mut self, events: u64) {
        self.skipped += events;
    }

    /// The time since watching began. Returns how many were skipped in the second that is over, once.
    pub(super) fn window(&mut self, elapsed: Duration) -> u64 {
        if elapsed.as_secs() == self.second {
            return 0;
        }
        self.second = elapsed.as_secs();
        self.shown = 0;
        std::mem::take(&mut self.skipped)
    }
}

/// More than that nobody can read.
const SHOWN_PER_SECOND: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_are_shown_and_the_others_counted_once() {
        let mut pace = Pace::default();
        let shown = (0..1_000).filter(|_| pace.has_room()).count() as u32;
        assert_eq!(shown, SHOWN_PER_SECOND);
        assert_eq!(pace.window(Duration::from_millis(900)), 0);
        assert!(!pace.has_room());
        pace.skip(4);
        assert_eq!(pace.window(Duration::from_millis(1_100)), 1_000 - u64::from(SHOWN_PER_SECOND) + 5);
        assert!(pace.has_room());
        assert_eq!(pace.window(Duration::from_millis(2_000)), 0);
    }
}
