//! How often a line of code may speak.

use std::collections::HashMap;

use crate::time::Millis;

/// Counts lines by the code they come from. Bounded by the number of such places in the program.
pub(super) struct Limiter<K> {
    windows: HashMap<K, Counted>,
    held_back: bool,
}

#[derive(Clone, Copy)]
struct Counted {
    start: Millis,
    lines: u64,
}

impl<K> Default for Limiter<K> {
    fn default() -> Limiter<K> {
        Limiter { windows: HashMap::new(), held_back: false }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Limiter<K> {
    /// Whether one more line from `site` may be written at `now`. Settle first: a window that is over starts anew.
    pub(super) fn admits(&mut self, site: K, now: Millis) -> bool {
        let window = self.windows.entry(site).or_insert(Counted { start: now, lines: 0 });
        if now.since(window.start) >= WINDOW {
            *window = Counted { start: now, lines: 0 };
        }
        window.lines += 1;
        self.held_back |= window.lines > LINES_PER_WINDOW;
        window.lines <= LINES_PER_WINDOW
    }

    /// The windows that are over with lines held back, each with how many, once.
    pub(super) fn settle(&mut self, now: Millis) -> Vec<(K, u64)> {
        if !self.held_back {
            return Vec::new();
        }
        let mut over = Vec::new();
        self.held_back = false;
        for (site, window) in &mut self.windows {
            let count = window.lines.saturating_sub(LINES_PER_WINDOW);
            if count > 0 && now.since(window.start) >= WINDOW {
                over.push((site.clone(), count));
                *window = Counted { start: now, lines: 0 };
            }
            self.held_back |= window.lines > LINES_PER_WINDOW;
        }
        over
    }
}

/// Lines from one line of code within one [`WINDOW`].
pub const LINES_PER_WINDOW: u64 = 20;
/// How long lines are counted before the count starts over.
pub const WINDOW: Millis = Millis::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_written_or_counted_as_held_back() {
        let mut limiter = Limiter::default();
        let (mut written, mut held_back) = (0, 0);
        for ms in 0..200_000_u64 {
            let now = Millis(ms);
            held_back += limiter.settle(now).iter().map(|(_, count)| count).sum::<u64>();
            if ms % 7 == 0 {
                written += u64::from(limiter.admits(ms % 3, now));
            }
        }
        held_back += limiter.settle(Millis(1_000_000)).iter().map(|(_, count)| count).sum::<u64>();
        assert_eq!(written + held_back, 200_000_u64.div_ceil(7));
        assert!(held_back > written, "{held_back} held back, {written} written");
    }
}
