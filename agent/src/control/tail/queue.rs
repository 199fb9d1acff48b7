//! What waits for somebody's connection: bounded by number and by bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::Shown;

/// The end that things are put in at.
pub(super) struct Giver {
    to: mpsc::Sender<Shown>,
    bytes: Arc<AtomicUsize>,
}

/// The end that they come out at. Who drops it watches no more.
pub(in crate::control) struct Waiting {
    from: mpsc::Receiver<Shown>,
    bytes: Arc<AtomicUsize>,
}

/// Both ends.
pub(super) fn queue() -> (Giver, Waiting) {
    let (to, from) = mpsc::channel(NUMBER_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Giver { to, bytes: Arc::clone(&bytes) }, Waiting { from, bytes })
}

impl Giver {
    /// Puts something in; false where there is no room for it. An event that is larger than all the room has it to itself.
    pub(super) fn give(&self, shown: Shown) -> bool {
        let bytes = bytes_of(&shown);
        let waiting = self.bytes.load(Ordering::Relaxed);
        if bytes > 0 && waiting > 0 && waiting + bytes > BYTES_MAX {
            return false;
        }
        // Counted before whoever takes it out can take it off.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_given = self.to.try_send(shown).is_ok();
        if !is_given {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_given
    }

    /// Whether nobody watches any more.
    pub(super) fn is_left(&self) -> bool {
        self.to.is_closed()
    }
}

impl Waiting {
    /// Waits for the next one; `None` when there will be no more.
    pub(in crate::control) async fn next(&mut self) -> Option<Shown> {
        let shown = self.from.recv().await?;
        self.bytes.fetch_sub(bytes_of(&shown), Ordering::Relaxed);
        Some(shown)
    }
}

/// Counts take no room worth the name, so that who has none is told so.
fn bytes_of(shown: &Shown) -> usize {
    match shown {
        Shown::Event { line, .. } => line.len(),
        Shown::Skipped(_) | Shown::Unread(_) => 0,
    }
}

/// Events and counts that wait.
const NUMBER_MAX: usize = 512;
/// Bytes of events that wait.
const BYTES_MAX: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bytes: usize) -> Shown {
        Shown::Event { id: None, line: "x".repeat(bytes) }
    }

    #[tokio::test]
    async fn large_events_wait_within_their_bytes_and_a_count_of_what_was_left_out_finds_room() {
        let (give, mut waiting) = queue();
        let large = 100 << 10;
        let given = (0..NUMBER_MAX).filter(|_| give.give(event(large))).count();
        assert_eq!(given, BYTES_MAX / large);
        assert!(give.give(Shown::Skipped(7)) && !give.give(event(large)));
        assert_eq!(waiting.next().await, Some(event(large)));
        assert!(give.give(event(large)), "what is taken out makes room");
        for _ in 1..given {
            assert_eq!(waiting.next().await, Some(event(large)));
        }
        assert_eq!(waiting.next().await, Some(Shown::Skipped(7)));
        drop(give);
        assert_eq!((waiting.next().await, waiting.next().await), (Some(event(large)), None));
    }

    #[tokio::test]
    async fn small_events_wait_within_their_number_and_one_that_is_too_large_waits_alone() {
        let (give, mut waiting) = queue();
        assert!(give.give(event(2 * BYTES_MAX)) && !give.give(event(1)));
        assert!(waiting.next().await.is_some());
        assert_eq!((0..2 * NUMBER_MAX).filter(|_| give.give(event(1))).count(), NUMBER_MAX);
        assert!(!give.is_left());
        drop(waiting);
        assert!(give.is_left());
    }
}
