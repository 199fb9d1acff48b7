//! The settled prefix of a stream: what decides how far its cursor may move.
//!
//! Selected events stand in log order and are settled in any order. The cursor stands at the first number that is not
//! settled, never beyond, so that judging again from a cursor written at any moment gives every later event the same
//! number. What was lost (dead-lettered, overflowed) is handed out when the cursor passes it, in the order of numbers:
//! what the cursor's notices tell and where the cursor stands can't contradict each other after a restart.
//!
//! Every operation on one event is constant time, apart from a lost one's detail (logarithmic in the number of details
//! held). The queue has no bound of its own: the sender takes no more in hand than its limits in bytes allow.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::stored::{Decode, Encode};
use crate::stream::books::{Books, Settlement};

/// The events of a stream that its cursor has not passed. `L` is what is kept of a lost one until the cursor passes it.
#[derive(Debug)]
pub struct Settled<L> {
    items: VecDeque<Item>,
    lost: BTreeMap<u64, L>,
    /// Events filtered since the last selected one.
    filtered_after: u64,
    /// The next seq to judge once everything in the queue is settled.
    judged_end: u64,
    /// Items that are not settled, counted as they come and go.
    in_hand: u64,
    checkpoint: Checkpoint,
}

/// A place from which judging can begin again with the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Checkpoint {
    /// The first seq of the shard's log that the stream must judge (again).
    pub next_seq: u64,
    /// The number that the next selected event gets; every smaller number is settled.
    pub next_n: u64,
    /// The books over what lies before `next_seq`; nothing of it is in hand.
    pub books: Books,
}

impl Checkpoint {
    /// Where a stream begins whose first event to judge is `next_seq`.
    pub fn first(next_seq: u64) -> Checkpoint {
        Checkpoint { next_seq, next_n: FIRST_N, books: Books::default() }
    }
}

/// Which way an event was lost to the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Refused, and in the dead-letter store.
    DeadLettered,
    /// Given up.
    Overflowed,
}

impl From<Lost> for Settlement {
    fn from(lost: Lost) -> Settlement {
        match lost {
            Lost::DeadLettered => Settlement::DeadLettered,
            Lost::Overflowed => Settlement::Overflowed,
        }
    }
}

/// Why a number could not be marked. A number is settled once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// The cursor has passed it, or it is settled and waits for the cursor.
    #[error("number {n} is settled already")]
    AlreadySettled {
        /// The number.
        n: u64,
    },
    /// No event has it yet.
    #[error("number {n} has not been given to an event")]
    NotGiven {
        /// The number.
        n: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Item {
    seq: u64,
    /// Events filtered between the item before this one and this one, until the checkpoint has counted them.
    filtered_before: u64,
    /// Nothing while it is in hand.
    settled: Option<Settlement>,
}

impl<L> Settled<L> {
    /// Begins at `checkpoint`, with nothing in hand.
    pub fn at(checkpoint: Checkpoint) -> Settled<L> {
        Settled {
            items: VecDeque::new(),
            lost: BTreeMap::new(),
            filtered_after: 0,
            judged_end: checkpoint.next_seq,
            in_hand: 0,
            checkpoint,
        }
    }

    /// The event at `seq` was judged and not selected.
    pub fn filtered(&mut self, seq: u64) {
        self.pass_to(seq + 1);
        self.filtered_after += 1;
    }

    /// The event at `seq` was judged and selected. Returns its number.
    pub fn selected(&mut self, seq: u64) -> u64 {
        let n = self.next_n();
        self.pass_to(seq + 1);
        let filtered_before = std::mem::take(&mut self.filtered_after);
        self.items.push_back(Item { seq, filtered_before, settled: None });
        self.in_hand += 1;
        n
    }

    /// Everything before `next_seq` has been seen: judged, outside the destination's scope, or a hole in the log.
    pub fn pass_to(&mut self, next_seq: u64) {
        debug_assert!(next_seq >= self.judged_end, "seq {next_seq} after {}", self.judged_end);
        self.judged_end = next_seq;
    }

    /// The destination accepted the event.
    ///
    /// # Errors
    /// When the number is settled already or was never given; nothing is changed.
    pub fn delivered(&mut self, n: u64) -> Result<(), MarkError> {
        self.unsettled(n)?.settled = Some(Settlement::Delivered);
        self.in_hand -= 1;
        Ok(())
    }

    /// The destination will not get the event. `detail` comes back from [`Settled::advance`] when the cursor passes it.
    ///
    /// # Errors
    /// As [`Settled::delivered`].
    pub fn lost(&mut self, n: u64, lost: Lost, detail: L) -> Result<(), MarkError> {
        self.unsettled(n)?.settled = Some(lost.into());
        self.in_hand -= 1;
        self.lost.insert(n, detail);
        Ok(())
    }

    /// Moves over what is settled, handing out what was lost in the order of numbers, and returns where the cursor
    /// may stand now.
    pub fn advance(&mut self, mut on_lost: impl FnMut(u64, Lost, L)) -> Checkpoint {
        while let Some(front) = self.items.front_mut() {
            // What was filtered before the front needs no verdict, so the cursor moves up to the front itself.
            let filtered = std::mem::take(&mut front.filtered_before);
            self.checkpoint.books.judged += filtered;
            self.checkpoint.books.filtered += filtered;
            self.checkpoint.next_seq = front.seq;
            let Some(settlement) = front.settled else {
                return self.checkpoint;
            };
            let n = self.checkpoint.next_n;
            self.checkpoint.next_n = n + 1;
            self.checkpoint.books.judged += 1;
            self.checkpoint.books.selected += 1;
            self.checkpoint.books.count(settlement);
            self.items.pop_front();
            if let Some((lost, detail)) = self.take_lost(n, settlement) {
                on_lost(n, lost, detail);
            }
        }
        let filtered = std::mem::take(&mut self.filtered_after);
        self.checkpoint.books.judged += filtered;
        self.checkpoint.books.filtered += filtered;
        self.checkpoint.next_seq = self.judged_end;
        self.checkpoint
    }

    /// Where the cursor may stand, as of the last [`Settled::advance`].
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    /// The number that the next selected event gets.
    pub fn next_n(&self) -> u64 {
        self.checkpoint.next_n + self.items.len() as u64
    }

    /// The next seq to judge.
    pub fn next_seq(&self) -> u64 {
        self.judged_end
    }

    /// Events selected and not settled.
    pub fn in_hand(&self) -> u64 {
        self.in_hand
    }

    /// Events in the queue: in hand, or settled behind one that is.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the cursor has passed every selected event.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Numbers delivered behind one that is not settled, as half-open ranges; at most `max` of them, the smallest first.
    pub fn delivered_ahead(&self, max: usize) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (n, item) in (self.checkpoint.next_n..).zip(&self.items) {
            if item.settled != Some(Settlement::Delivered) {
                continue;
            }
            let is_full = ranges.len() == max;
            match ranges.last_mut() {
                Some(last) if last.end == n => last.end = n + 1,
                _ if is_full => break,
                _ => ranges.push(n..n + 1),
            }
        }
        ranges
    }

    /// The seq of event `n`, for tests; `None` when the cursor has passed it or no event has the number.
    #[cfg(test)]
    pub(crate) fn seq(&self, n: u64) -> Option<u64> {
        let at = n.checked_sub(self.checkpoint.next_n)?;
        self.items.get(usize::try_from(at).ok()?).map(|item| item.seq)
    }

    fn unsettled(&mut self, n: u64) -> Result<&mut Item, MarkError> {
        let Some(at) = n.checked_sub(self.checkpoint.next_n) else {
            return Err(MarkError::AlreadySettled { n });
        };
        let item = usize::try_from(at).ok().and_then(|at| self.items.get_mut(at)).ok_or(MarkError::NotGiven { n })?;
        if item.settled.is_some() { Err(MarkError::AlreadySettled { n }) } else { Ok(item) }
    }

    fn take_lost(&mut self, n: u64, settlement: Settlement) -> Option<(Lost, L)> {
        let lost = match settlement {
            Settlement::Delivered => return None,
            Settlement::DeadLettered => Lost::DeadLettered,
            Settlement::Overflowed => Lost::Overflowed,
        };
        self.lost.remove(&n).map(|detail| (lost, detail))
    }
}

/// The first number of a stream.
pub const FIRST_N: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::btree_map::Entry;

    /// The log of the tests: what a judge says about each seq, the same at every reading.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Seen {
        OutOfScope,
        Filtered,
        Selected,
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Judge,
        Settle { pick: usize, way: u8 },
        Advance,
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Judge),
            6 => (any::<usize>(), 0u8..3).prop_map(|(pick, way)| Step::Settle { pick, way }),
            2 => Just(Step::Advance),
            1 => Just(Step::Restart),
        ]
    }

    fn seen() -> impl Strategy<Value = Seen> {
        prop_oneof![1 => Just(Seen::OutOfScope), 1 => Just(Seen::Filtered), 3 => Just(Seen::Selected)]
    }

    /// The number that each seq of `log` has, told by counting from the start.
    fn number_of(log: &[Seen], seq: u64) -> u64 {
        log[..seq as usize - 1].iter().filter(|seen| **seen == Seen::Selected).count() as u64 + FIRST_N
    }

    /// Books over `log[..next_seq - 1]`, counted from the start; `ways` says how each number was settled.
    fn naive_books(log: &[Seen], next_seq: u64, ways: &BTreeMap<u64, Settlement>) -> Books {
        let mut books = Books::default();
        let mut n = FIRST_N;
        for seen in &log[..next_seq as usize - 1] {
            match seen {
                Seen::OutOfScope => {}
                Seen::Filtered => {
                    books.judged += 1;
                    books.filtered += 1;
                }
                Seen::Selected => {
                    books.judged += 1;
                    books.selected += 1;
                    books.count(ways[&n]);
                    n += 1;
                }
            }
        }
        books
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn any_order_of_settling_and_any_restart_gives_the_numbers_of_a_naive_count(
            log in prop::collection::vec(seen(), 1..60),
            steps in prop::collection::vec(step(), 1..300),
        ) {
            let mut settled: Settled<u64> = Settled::at(Checkpoint::first(1));
            // How each number that has not been forgotten by a restart was settled, and what was handed out as lost.
            let mut ways: BTreeMap<u64, Settlement> = BTreeMap::new();
            let mut handed_out: Vec<(u64, Lost)> = Vec::new();
            for step in steps {
                let passed = settled.checkpoint().next_n;
                let given = passed + settled.len() as u64;
                let picked = |pick: usize| passed + pick as u64 % (given - passed).max(1);
                match step {
                    Step::Judge => {
                        let seq = settled.next_seq();
                        match log.get(seq as usize - 1) {
                            None => {}
                            Some(Seen::OutOfScope) => settled.pass_to(seq + 1),
                            Some(Seen::Filtered) => settled.filtered(seq),
                            Some(Seen::Selected) => {
                                prop_assert_eq!(settled.selected(seq), number_of(&log, seq));
                            }
                        }
                    }
                    Step::Settle { pick, way } => {
                        let n = picked(pick);
                        let (result, settlement) = match way {
                            0 => (settled.delivered(n), Settlement::Delivered),
                            1 => (settled.lost(n, Lost::DeadLettered, n), Settlement::DeadLettered),
                            _ => (settled.lost(n, Lost::Overflowed, n), Settlement::Overflowed),
                        };
                        let expected = match ways.entry(n) {
                            _ if n >= given => Err(MarkError::NotGiven { n }),
                            Entry::Occupied(_) => Err(MarkError::AlreadySettled { n }),
                            Entry::Vacant(vacant) => {
                                vacant.insert(settlement);
                                Ok(())
                            }
                        };
                        prop_assert_eq!(result, expected);
                    }
                    Step::Advance => {
                        let checkpoint = settled.advance(|n, lost, detail| {
                            assert_eq!(n, detail);
                            handed_out.push((n, lost));
                        });
                        // The settled prefix, told by looking at every number from the first.
                        let end = (FIRST_N..).find(|n| !ways.contains_key(n)).unwrap();
                        prop_assert_eq!(checkpoint.next_n, end);
                        prop_assert_eq!(number_of(&log, checkpoint.next_seq), end);
                        prop_assert_eq!(checkpoint.books, naive_books(&log, checkpoint.next_seq, &ways));
                        prop_assert_eq!(checkpoint.books.difference(), 0);
                        let lost: Vec<(u64, Lost)> = ways.range(..end).filter_map(|(n, way)| match way {
                            Settlement::Delivered => None,
                            Settlement::DeadLettered => Some((*n, Lost::DeadLettered)),
                            Settlement::Overflowed => Some((*n, Lost::Overflowed)),
                        }).collect();
                        prop_assert_eq!(&handed_out, &lost);
                        // With nothing unsettled in the way the cursor is level with the reader.
                        if settled.is_empty() {
                            prop_assert_eq!(checkpoint.next_seq, settled.next_seq());
                        }
                    }
                    Step::Restart => {
                        let checkpoint = settled.checkpoint();
                        ways.retain(|n, _| *n < checkpoint.next_n);
                        settled = Settled::at(checkpoint);
                    }
                }
                let unsettled = settled.next_n() - FIRST_N - ways.len() as u64;
                prop_assert_eq!(settled.in_hand(), unsettled);
            }
        }
    }

    #[test]
    fn the_cursor_stands_at_the_first_event_in_hand_and_not_before_what_was_filtered() {
        let mut settled: Settled<()> = Settled::at(Checkpoint::first(1));
        settled.filtered(1);
        settled.filtered(2);
        let first = settled.selected(5);
        let second = settled.selected(6);
        settled.delivered(second).unwrap();
        let checkpoint = settled.advance(|_, _, ()| {});
        assert_eq!((checkpoint.next_seq, checkpoint.next_n, checkpoint.books.filtered), (5, 1, 2));
        settled.delivered(first).unwrap();
        let checkpoint = settled.advance(|_, _, ()| {});
        assert_eq!((checkpoint.next_seq, checkpoint.next_n, checkpoint.books.delivered), (7, 3, 2));
    }

    #[test]
    fn with_nothing_in_hand_the_cursor_moves_with_the_pass() {
        let mut settled: Settled<()> = Settled::at(Checkpoint::first(1));
        settled.pass_to(1_000_000);
        assert_eq!(settled.advance(|_, _, ()| {}).next_seq, 1_000_000);
    }

    #[test]
    fn a_number_is_settled_once() {
        let mut settled: Settled<&str> = Settled::at(Checkpoint::first(1));
        let n = settled.selected(1);
        settled.lost(n, Lost::Overflowed, "gone").unwrap();
        assert_eq!(settled.delivered(n), Err(MarkError::AlreadySettled { n }));
        settled.advance(|_, _, _| {});
        assert_eq!(settled.delivered(n + 1), Err(MarkError::NotGiven { n: n + 1 }));
        assert_eq!(settled.in_hand(), 0);
    }

    #[test]
    fn lesson_16_what_is_lost_is_told_from_numbers_and_only_once_the_cursor_passes_it() {
        let mut settled: Settled<&str> = Settled::at(Checkpoint::first(1));
        let numbers: Vec<u64> = (1..=4).map(|seq| settled.selected(seq)).collect();
        settled.lost(numbers[2], Lost::DeadLettered, "refused").unwrap();
        settled.lost(numbers[1], Lost::Overflowed, "old").unwrap();
        let mut told = Vec::new();
        settled.advance(|n, lost, detail| told.push((n, lost, detail)));
        assert!(told.is_empty(), "number 1 is in hand");
        settled.delivered(numbers[0]).unwrap();
        settled.advance(|n, lost, detail| told.push((n, lost, detail)));
        assert_eq!(told, [(2, Lost::Overflowed, "old"), (3, Lost::DeadLettered, "refused")]);
    }
}
