//! Statements: what a stream vouches for, so that a reader of the SIEM can prove completeness.
//!
//! A statement names a range of numbers that are all settled and how many of them notices explain:
//! `end - from = distinct(n) + explained` holds in the SIEM for the range of each statement by itself, where a number that a
//! notice names is explained and not counted again when it arrives after all (a dead letter sent again, a replay).
//!
//! Always true:
//! - The ranges of a stream's statements follow each other: each begins where the last accepted one ended.
//! - Only the settled prefix is stated: delivered, or passed over and named in a notice. Nothing in flight, ever.
//! - A statement keeps its content and id until it is accepted.
//! - The state takes at most [`STATEMENTS_BYTES_MAX`] bytes in a cursor.
//!
//! Rhythm: five minutes after the first number that no statement covers, so every five minutes while numbers are
//! settled and once after the last; with nothing to state, every hour, as a sign of life. The last statement of a closed
//! epoch, and what a restart found unstated, are due at once.

use std::collections::VecDeque;

use crate::stored::{Decode, Encode};
use crate::stream::books::Books;
use crate::stream::notice::new_id;
use crate::stream::settled::{Checkpoint, FIRST_N};
use crate::time::{Entropy, Millis};

/// One statement about one epoch of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Statement {
    /// Random; what tells a repeated statement from a new one.
    pub id: [u8; 16],
    /// The epoch whose numbers are stated.
    pub epoch: [u8; 16],
    /// The first number stated.
    pub from: u64,
    /// The end of the range; `from` when nothing was settled since the statement before.
    pub end: u64,
    /// How many numbers of the range the destination did not get, as notices tell.
    pub explained: u64,
    /// The epoch before this one.
    pub previous: Previous,
    /// The epoch is closed, or its destination is deleted: no number from `end` on counts.
    pub is_final: bool,
    /// Events written off when the destination was deleted: in hand, or held and not read.
    pub abandoned: u64,
}

impl Statement {
    /// Id of the epoch before, if there was one that is known.
    pub fn previous_epoch(&self) -> Option<[u8; 16]> {
        match self.previous {
            Previous::Epoch { epoch, .. } => Some(epoch),
            Previous::None | Previous::Lost => None,
        }
    }

    /// Last settled number of the epoch before, 0 if none was; `None` when it is not known.
    pub fn previous_last(&self) -> Option<u64> {
        match self.previous {
            Previous::Epoch { last, .. } => last,
            Previous::None | Previous::Lost => None,
        }
    }
}

/// What is known of the epoch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Previous {
    /// This is the stream's first epoch.
    None,
    /// No valid cursor was found: there may have been epochs.
    Lost,
    /// It is this one.
    Epoch {
        /// Its id.
        epoch: [u8; 16],
        /// Its last settled number, 0 if none was; `None` when that is not known.
        last: Option<u64>,
    },
}

/// The statements of one stream: what has been stated, and what waits to be accepted.
#[derive(Debug)]
pub struct Statements {
    state: StatementState,
    /// The settled prefix, as last told.
    settled: Settlements,
    /// When numbers that no statement covers should be stated, if there are any.
    state_at: Option<Millis>,
    last_made: Millis,
}

/// What of the statements lives in the cursor.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StatementState {
    epoch: [u8; 16],
    previous: Previous,
    /// Covered by statements made: accepted ones and those that wait.
    stated: Settlements,
    waiting: VecDeque<Statement>,
}

/// A settled prefix: its end, and how many numbers of it were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Settlements {
    end: u64,
    lost: u64,
}

impl Settlements {
    const NONE: Settlements = Settlements { end: FIRST_N, lost: 0 };

    fn of(checkpoint: &Checkpoint) -> Settlements {
        let Books { dead_lettered, overflowed, .. } = checkpoint.books;
        Settlements { end: checkpoint.next_n, lost: dead_lettered + overflowed }
    }
}

impl Statements {
    /// A stream that begins.
    pub fn new(epoch: [u8; 16], previous: Previous, now: Millis) -> Statements {
        Statements {
            state: StatementState { epoch, previous, stated: Settlements::NONE, waiting: VecDeque::new() },
            settled: Settlements::NONE,
            state_at: None,
            last_made: now,
        }
    }

    /// Goes on from what a cursor held; `checkpoint` is the same cursor's.
    pub fn restore(mut state: StatementState, checkpoint: &Checkpoint, now: Millis) -> Statements {
        let settled = Settlements::of(checkpoint);
        // A state from another cursor than the checkpoint would state numbers twice or count below zero.
        if state.stated.end > settled.end || state.stated.lost > settled.lost {
            state.stated = settled;
        }
        // At once, so that an agent that restarts every few minutes still states.
        let state_at = (settled.end > state.stated.end).then_some(now);
        Statements { state, settled, state_at, last_made: now }
    }

    /// What the cursor must hold.
    pub fn state(&self) -> StatementState {
        self.state.clone()
    }

    /// The cursor may stand at `checkpoint`: what lies before it is settled.
    pub fn settled(&mut self, checkpoint: &Checkpoint, now: Millis) {
        self.settled = Settlements::of(checkpoint);
        if self.settled.end > self.state.stated.end && self.state_at.is_none() {
            self.state_at = Some(now.plus(STATE_AFTER));
        }
    }

    /// Whether a statement should be made. It may be, once notices name every number that was lost.
    pub fn is_due(&self, now: Millis) -> bool {
        let has_news = self.state_at.is_some_and(|due| now >= due);
        self.state.waiting.is_empty() && (has_news || now.since(self.last_made) >= SIGN_OF_LIFE)
    }

    /// What is settled is due now, while a number before `n` is not stated.
    pub fn hurry(&mut self, n: u64, now: Millis) {
        if let Some(due) = &mut self.state_at
            && self.state.stated.end < n
        {
            *due = now.min(*due);
        }
    }

    /// Whether every number before `n`, and every earlier epoch, was stated and accepted.
    pub fn have_said(&self, n: u64) -> bool {
        let is_later = |statement: &Statement| statement.epoch == self.state.epoch && statement.from >= n;
        self.state.stated.end >= n && self.state.waiting.iter().all(is_later)
    }

    /// The end of the present epoch's numbers that the destination has accepted statements of: all from the first one on.
    pub fn accepted_end(&self) -> u64 {
        let waits = self.state.waiting.iter().find(|statement| statement.epoch == self.state.epoch);
        waits.map_or(self.state.stated.end, |statement| statement.from)
    }

    /// Makes the statement over all that is settled and not stated. It must be in a durable cursor before it is sent.
    pub fn make(&mut self, now: Millis, entropy: &mut dyn Entropy) {
        let statement = self.statement(entropy);
        self.keep(statement, now);
    }

    /// The statement to send until it is accepted.
    pub fn front(&self) -> Option<&Statement> {
        self.state.waiting.front()
    }

    /// All statements that wait, in the order of sending.
    pub fn waiting(&self) -> impl Iterator<Item = &Statement> {
        self.state.waiting.iter()
    }

    /// The destination accepted the statement with this id. False when it is not the front one.
    pub fn accepted(&mut self, id: [u8; 16]) -> bool {
        let is_front = self.front().is_some_and(|statement| statement.id == id);
        if is_front {
            self.state.waiting.pop_front();
        }
        is_front
    }

    /// The stream ends: its last statement is made. `abandoned` is what a deletion writes off.
    pub fn close(&mut self, abandoned: u64, now: Millis, entropy: &mut dyn Entropy) {
        let mut statement = self.statement(entropy);
        statement.is_final = true;
        statement.abandoned = abandoned;
        self.keep(statement, now);
    }

    /// Numbers begin at 1 again under another epoch; the old one is closed. `given_end` is the number that the old
    /// epoch's next event would have got. An epoch that gave no number leaves no trace, however often one begins.
    pub fn begin_epoch(&mut self, epoch: [u8; 16], given_end: u64, now: Millis, entropy: &mut dyn Entropy) {
        if given_end > FIRST_N {
            self.close(0, now, entropy);
            let last = Some(self.settled.end - FIRST_N);
            self.state.previous = Previous::Epoch { epoch: self.state.epoch, last };
        }
        self.state.epoch = epoch;
        self.state.stated = Settlements::NONE;
        self.settled = Settlements::NONE;
        self.state_at = None;
    }

    fn statement(&self, entropy: &mut dyn Entropy) -> Statement {
        Statement {
            id: new_id(entropy),
            epoch: self.state.epoch,
            from: self.state.stated.end,
            end: self.settled.end,
            explained: self.settled.lost - self.state.stated.lost,
            previous: self.state.previous,
            is_final: false,
            abandoned: 0,
        }
    }

    fn keep(&mut self, statement: Statement, now: Millis) {
        self.state.stated = self.settled;
        self.state_at = None;
        self.last_made = now;
        self.state.waiting.push_back(statement);
        if self.state.waiting.len() > WAITING_MAX {
            // The front one may be on its way. Of the epoch of the one after it the next epoch's statements still name
            // the last number, and its notices are kept: less is proven, nothing is silent.
            self.state.waiting.remove(1);
        }
    }
}

/// How long after a number is settled it is stated.
pub const STATE_AFTER: Millis = Millis::from_secs(5 * 60);
/// How often a stream without news says that it has none.
pub const SIGN_OF_LIFE: Millis = Millis::from_secs(60 * 60);
/// How many statements wait at most: one of the running epoch, the others of closed ones.
pub const WAITING_MAX: usize = 8;
/// What the statements of a stream take in a cursor at most, in bytes.
pub const STATEMENTS_BYTES_MAX: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(u64);

    impl Entropy for Count {
        fn next_u64(&mut self) -> u64 {
            self.0 += 1;
            self.0
        }
    }

    fn at(next_n: u64, overflowed: u64) -> Checkpoint {
        let books = Books { overflowed, ..Books::default() };
        Checkpoint { next_n, books, ..Checkpoint::first(1) }
    }

    fn minutes(count: u64) -> Millis {
        Millis::from_secs(count * 60)
    }

    #[test]
    fn five_minutes_after_the_first_unstated_number_a_statement_is_due_and_then_each_hour() {
        let mut statements = Statements::new([1; 16], Previous::None, Millis::ZERO);
        assert!(!statements.is_due(minutes(59)));
        statements.settled(&at(4, 1), minutes(20));
        statements.settled(&at(9, 1), minutes(24));
        assert!(!statements.is_due(Millis(minutes(25).0 - 1)));
        assert!(statements.is_due(minutes(25)));
        statements.make(minutes(25), &mut Count(0));
        assert!(!statements.is_due(minutes(500)), "one waits");
        let made = statements.front().unwrap().clone();
        assert_eq!((made.from, made.end, made.explained), (1, 9, 1));
        assert_eq!(statements.accepted_end(), 1, "it waits");
        assert!(statements.accepted(made.id));
        assert_eq!(statements.accepted_end(), 9);
        assert!(!statements.is_due(minutes(84)));
        assert!(statements.is_due(minutes(85)), "the sign of life");
        statements.make(minutes(85), &mut Count(9));
        let made = statements.front().unwrap();
        assert_eq!((made.from, made.end, made.explained), (9, 9, 0));
    }

    #[test]
    fn a_statement_keeps_its_content_while_more_is_settled_and_across_a_restart() {
        let mut statements = Statements::new([1; 16], Previous::Lost, Millis::ZERO);
        statements.settled(&at(4, 0), minutes(0));
        statements.make(minutes(5), &mut Count(0));
        let made = statements.front().unwrap().clone();
        statements.settled(&at(8, 2), minutes(6));
        assert_eq!(statements.front(), Some(&made));
        let mut statements = Statements::restore(statements.state(), &at(8, 2), minutes(1));
        assert_eq!(statements.front(), Some(&made));
        assert!(!statements.accepted([0; 16]));
        assert!(statements.accepted(made.id));
        assert!(statements.is_due(minutes(1)), "at once after a restart");
        statements.make(minutes(6), &mut Count(5));
        let next = statements.front().unwrap();
        assert_eq!((next.from, next.end, next.explained), (4, 8, 2));
    }

    #[test]
    fn a_closed_epoch_ends_with_a_final_statement_and_the_next_names_it() {
        let mut statements = Statements::new([1; 16], Previous::None, Millis::ZERO);
        statements.settled(&at(4, 0), minutes(0));
        statements.make(minutes(5), &mut Count(0));
        statements.settled(&at(6, 1), minutes(6));
        statements.begin_epoch([2; 16], 9, minutes(7), &mut Count(10));
        statements.settled(&at(3, 0), minutes(8));
        let first = statements.front().unwrap().clone();
        assert_eq!((first.from, first.end, first.is_final), (1, 4, false));
        statements.accepted(first.id);
        let last = statements.front().unwrap().clone();
        assert_eq!((last.from, last.end, last.explained, last.is_final), (4, 6, 1, true));
        assert_eq!(last.epoch, [1; 16]);
        statements.accepted(last.id);
        statements.make(minutes(13), &mut Count(20));
        let next = statements.front().unwrap();
        assert_eq!((next.epoch, next.from, next.end), ([2; 16], 1, 3));
        assert_eq!((next.previous_epoch(), next.previous_last()), (Some([1; 16]), Some(5)));
    }

    #[test]
    fn an_epoch_that_gave_no_number_leaves_no_trace() {
        let mut statements = Statements::new([1; 16], Previous::Lost, Millis::ZERO);
        statements.begin_epoch([2; 16], 1, minutes(0), &mut Count(0));
        assert_eq!(statements.front(), None);
        assert_eq!(statements.state().previous, Previous::Lost);
    }

    #[test]
    fn a_state_that_does_not_fit_its_checkpoint_states_nothing_twice() {
        let mut statements = Statements::new([1; 16], Previous::None, Millis::ZERO);
        statements.settled(&at(9, 4), minutes(0));
        statements.make(minutes(5), &mut Count(0));
        let id = statements.front().unwrap().id;
        let mut statements = Statements::restore(statements.state(), &at(6, 1), minutes(0));
        statements.accepted(id);
        assert!(!statements.is_due(minutes(30)));
        statements.settled(&at(7, 2), minutes(31));
        statements.make(minutes(36), &mut Count(9));
        let next = statements.front().unwrap();
        assert_eq!((next.from, next.end, next.explained), (6, 7, 1));
    }

    #[test]
    fn a_deletion_states_what_it_abandons() {
        let mut statements = Statements::new([1; 16], Previous::None, Millis::ZERO);
        statements.close(70, minutes(1), &mut Count(0));
        let last = statements.front().unwrap();
        assert_eq!((last.from, last.end, last.is_final, last.abandoned), (1, 1, true, 70));
    }

    #[test]
    fn any_number_of_epochs_during_an_outage_keeps_to_the_bound() {
        let mut statements = Statements::new([255; 16], Previous::None, Millis::ZERO);
        let mut entropy = Count(u64::MAX / 2);
        for _ in 0..50 {
            statements.settled(&at(u64::MAX - 1, u64::MAX / 2), minutes(0));
            statements.make(minutes(1), &mut entropy);
            let front = statements.front().unwrap().id;
            statements.begin_epoch([255; 16], u64::MAX, minutes(2), &mut entropy);
            assert_eq!(statements.front().unwrap().id, front);
        }
        let mut bytes = Vec::new();
        crate::stored::encode(&statements.state(), &mut bytes).unwrap();
        assert!(bytes.len() <= STATEMENTS_BYTES_MAX, "{} bytes", bytes.len());
    }
}
