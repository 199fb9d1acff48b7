//! Where the numbers of an epoch stand in the log, so that a replay can count on from there.
//!
//! Always true: marks ascend; from the record of each on, judging again gives the same numbers.

use crate::stored::{Decode, Encode};
use crate::stream::settled::{Checkpoint, FIRST_N};

/// A record, and the number that the first event selected from there on has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Mark {
    /// The record.
    pub seq: u64,
    /// The number.
    pub n: u64,
    /// When it was made, in milliseconds since 1970: what lies before it was accepted earlier.
    pub wall_ms: i64,
}

/// The marks of one epoch, close enough that little of what the log holds lies before the first that can be used: by time
/// and by records, fewer over a long window and a long log; at most [`MARKS_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Marks(Vec<Mark>);

impl Marks {
    /// The marks of an epoch that begins at `checkpoint`, or goes on there without any that were kept.
    pub fn at(checkpoint: &Checkpoint, wall_ms: i64) -> Marks {
        Marks(vec![Mark { seq: checkpoint.next_seq, n: checkpoint.next_n, wall_ms }])
    }

    /// Where the settled prefix ends now. Returns whether that became a mark.
    pub fn passed(&mut self, checkpoint: &Checkpoint, wall_ms: i64) -> bool {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return false };
        let gap = (last.wall_ms.saturating_sub(first.wall_ms) / MARKS_WANTED).max(GAP_MIN_MS);
        // A wall clock that was set back makes a mark too: without it nothing would for as long.
        let is_time = wall_ms.abs_diff(last.wall_ms) >= gap.unsigned_abs();
        // A log that is filled in less than a minute would otherwise have none that can be used.
        let gap = ((last.seq - first.seq) / MARKS_WANTED.unsigned_abs()).max(GAP_MIN_RECORDS);
        let is_far = checkpoint.next_seq >= last.seq.saturating_add(gap);
        if !(is_time || is_far) || checkpoint.next_seq <= last.seq {
            return false;
        }
        if self.0.len() == MARKS_MAX {
            let mut at = 0;
            self.0.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
        self.0.push(Mark { seq: checkpoint.next_seq, n: checkpoint.next_n, wall_ms });
        true
    }

    /// The log begins at `first_seq` now: what is not needed to count from there on is forgotten.
    pub fn trimmed(&mut self, first_seq: u64) {
        let gone = self.0.partition_point(|mark| mark.seq <= first_seq).saturating_sub(1);
        self.0.drain(..gone);
    }

    /// Where the epoch began, if it began after `wall_ms` and the log, which begins at `first_seq`, has records before it.
    pub fn beginning_after(&self, first_seq: u64, wall_ms: i64) -> Option<u64> {
        let is_after = |mark: &&Mark| mark.n == FIRST_N && mark.seq > first_seq && mark.wall_ms > wall_ms;
        self.0.first().filter(is_after).map(|mark| mark.seq)
    }

    /// Where to count from so as to meet everything that was accepted since `wall_ms` and that the log, which begins at
    /// `first_seq`, still has: the last mark before that moment, or the oldest that can be used.
    pub fn before(&self, wall_ms: i64, first_seq: u64) -> Option<Mark> {
        let held = self.0.iter().filter(|mark| mark.seq >= first_seq);
        held.clone().rfind(|mark| mark.wall_ms <= wall_ms).or_else(|| held.clone().next()).copied()
    }
}

/// Marks of an epoch at most.
const MARKS_MAX: usize = 128;
/// A long window is covered by about as many, and so is a long log.
const MARKS_WANTED: i64 = 32;
/// Two marks are so far apart in time, or in records.
const GAP_MIN_MS: i64 = 60_000;
const GAP_MIN_RECORDS: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(next_seq: u64, next_n: u64) -> Checkpoint {
        Checkpoint { next_n, ..Checkpoint::first(next_seq) }
    }

    const MINUTE: i64 = 60_000;

    #[test]
    fn a_mark_is_made_once_a_minute_when_there_is_something_to_mark() {
        let mut marks = Marks::at(&checkpoint(10, 1), 0);
        assert!(!marks.passed(&checkpoint(11, 2), MINUTE - 1), "not yet");
        assert!(marks.passed(&checkpoint(12, 2), MINUTE));
        assert!(!marks.passed(&checkpoint(12, 2), 3 * MINUTE), "nothing has moved");
        assert!(marks.passed(&checkpoint(20, 5), MINUTE / 2 - MINUTE), "the wall clock was set back");
    }

    #[test]
    fn counting_begins_at_the_last_mark_before_the_moment_that_the_log_still_holds() {
        let mut marks = Marks::at(&checkpoint(10, 1), 0);
        for minute in 1..5 {
            marks.passed(&checkpoint(10 + minute as u64 * 10, minute as u64 * 3), minute * MINUTE);
        }
        let at = |wall_ms, first_seq| marks.before(wall_ms, first_seq).map(|mark| (mark.seq, mark.n));
        assert_eq!(at(2 * MINUTE + 5, 1), Some((30, 6)));
        assert_eq!(at(-5, 1), Some((10, 1)), "older than all: the oldest");
        assert_eq!(at(0, 25), Some((30, 6)), "the log has forgotten the older ones");
        assert_eq!(at(0, 99), None);
    }

    #[test]
    fn the_beginning_of_the_epoch_is_known_until_the_log_has_forgotten_it() {
        let mut marks = Marks::at(&checkpoint(10, 1), 0);
        marks.passed(&checkpoint(20, 4), MINUTE);
        marks.passed(&checkpoint(30, 9), 2 * MINUTE);
        assert_eq!(marks.beginning_after(5, -1), Some(10));
        assert_eq!(marks.beginning_after(5, 0), None, "nothing before it is asked for");
        assert_eq!(marks.beginning_after(10, -1), None, "nothing lies before it");
        marks.trimmed(25);
        assert_eq!(marks.beginning_after(5, -1), None);
        assert_eq!(marks.before(0, 25).map(|mark| mark.seq), Some(30));
    }

    #[test]
    fn a_log_that_is_filled_within_a_minute_can_be_counted_from_near_its_beginning() {
        const HELD: u64 = 50_000;
        let mut marks = Marks::at(&checkpoint(1, 1), 0);
        for seq in (1..1_000_000).step_by(100) {
            marks.passed(&checkpoint(seq, seq), 0);
            let first_seq = seq.saturating_sub(HELD).max(1);
            marks.trimmed(first_seq);
            assert!(marks.0.len() <= MARKS_MAX);
            let from = marks.before(i64::MIN, first_seq).map_or(u64::MAX, |mark| mark.seq);
            assert!(from <= first_seq + HELD / 8, "{from} in a log from {first_seq} to {seq}");
        }
    }

    #[test]
    fn marks_are_bounded_over_any_time_and_cover_all_of_it() {
        let mut marks = Marks::at(&checkpoint(1, 1), 0);
        for minute in 1..100_000 {
            marks.passed(&checkpoint(1 + minute as u64, 1 + minute as u64), minute * MINUTE);
            assert!(marks.0.len() <= MARKS_MAX);
        }
        assert!(marks.0.is_sorted_by_key(|mark| mark.seq));
        assert_eq!(marks.beginning_after(0, -1), Some(1));
        marks.trimmed(50_000);
        assert!(marks.0[0].seq <= 50_000 && marks.0[1].seq > 50_000);
    }
}
