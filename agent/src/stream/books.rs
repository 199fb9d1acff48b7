//! The books of a stream, and of its tenants.
//!
//! Always true at the end of a turn, over the events the stream's reader has judged:
//! `judged = filtered + selected` and `selected = delivered + dead_lettered + overflowed + in_hand + abandoned`.
//! No term is derived from another: each is counted by the code where it happens, so that a path that forgets to count
//! shows as a [`Books::difference`] other than 0.

use crate::stored::{Decode, Encode};
use crate::stream::notice::cut_to;
use crate::tenant_map::TenantMap;

/// What became of the events that one stream has judged since its epoch began. Counts of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Books {
    /// In the destination's scope, and seen by its filter.
    pub judged: u64,
    /// Not selected by the filter.
    pub filtered: u64,
    /// Selected by the filter, and so given a number.
    pub selected: u64,
    /// Accepted by the destination.
    pub delivered: u64,
    /// Refused by the destination and kept in its dead-letter store.
    pub dead_lettered: u64,
    /// Given up: older than the window, squeezed out by the budget, or refused with a full dead-letter store.
    pub overflowed: u64,
    /// Selected and not settled: waiting, or in a request.
    pub in_hand: u64,
    /// In hand when the destination was deleted, and written off then.
    pub abandoned: u64,
}

impl Books {
    /// By how many events the books do not balance; must be 0.
    ///
    /// The two equations' differences are added, so that they can't cancel each other; held at `u64::MAX`.
    pub fn difference(&self) -> u64 {
        let judged = term(self.judged) - term(self.filtered) - term(self.selected);
        let selected = term(self.selected)
            - term(self.delivered)
            - term(self.dead_lettered)
            - term(self.overflowed)
            - term(self.in_hand)
            - term(self.abandoned);
        u64::try_from(judged.abs() + selected.abs()).unwrap_or(u64::MAX)
    }

    /// How many selected numbers are settled, whichever way.
    pub fn settled(&self) -> u64 {
        self.delivered + self.dead_lettered + self.overflowed
    }

    /// Adds the terms of `other` to these: the books of several streams as one.
    pub fn add(&mut self, other: &Books) {
        self.judged += other.judged;
        self.filtered += other.filtered;
        self.selected += other.selected;
        self.delivered += other.delivered;
        self.dead_lettered += other.dead_lettered;
        self.overflowed += other.overflowed;
        self.in_hand += other.in_hand;
        self.abandoned += other.abandoned;
    }
}

/// Seven terms of 64 bits can't overflow 128.
fn term(count: u64) -> i128 {
    i128::from(count)
}

/// Which way a number was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Settlement {
    /// The destination accepted the event.
    Delivered,
    /// The destination refused it and it lies in the dead-letter store.
    DeadLettered,
    /// It was given up.
    Overflowed,
}

impl Books {
    /// Counts one number as settled in its own term. `in_hand` is counted by whoever holds the event.
    pub fn count(&mut self, settlement: Settlement) {
        match settlement {
            Settlement::Delivered => self.delivered += 1,
            Settlement::DeadLettered => self.dead_lettered += 1,
            Settlement::Overflowed => self.overflowed += 1,
        }
    }
}

/// The same terms for each of the most recent tenants, since the agent started.
///
/// Holds at most [`TENANTS_MAX`]; beyond that those not seen for longest make room, unless they have events in hand.
#[derive(Debug, Default)]
pub struct TenantBooks {
    tenants: TenantMap<TenantEntry>,
    turn: u64,
    untracked: u64,
}

#[derive(Debug)]
struct TenantEntry {
    name: Box<str>,
    books: Books,
    last_turn: u64,
}

impl TenantBooks {
    /// The shard begins a turn; tenants seen in the same turn are equally recent.
    pub fn begin_turn(&mut self) {
        self.turn += 1;
    }

    /// An event of this tenant was judged. `hash` is the tenant's hash, `name` its id.
    pub fn judged(&mut self, hash: u64, name: &str, selected: bool) {
        let Some(books) = self.entry(hash, name) else {
            self.untracked += 1;
            return;
        };
        books.judged += 1;
        if selected {
            books.selected += 1;
            books.in_hand += 1;
        } else {
            books.filtered += 1;
        }
    }

    /// An event of this tenant, selected earlier, was settled.
    pub fn settled(&mut self, hash: u64, settlement: Settlement) {
        // Nothing in hand: the event was judged while there was no room for its tenant, so no term knows of it.
        let Some(entry) = self.tenants.get_mut(&hash).filter(|entry| entry.books.in_hand > 0) else {
            return;
        };
        entry.last_turn = self.turn;
        entry.books.in_hand -= 1;
        entry.books.count(settlement);
    }

    /// Each tenant's id (cut to [`TENANT_NAME_MAX`] bytes) and books, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Books)> {
        self.tenants.values().map(|entry| (&*entry.name, &entry.books))
    }

    /// How many tenants are held.
    pub fn len(&self) -> usize {
        self.tenants.len()
    }

    /// Whether no tenant has been seen.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    /// Events judged while every tenant held had events in hand, and so in no tenant's books.
    pub fn untracked(&self) -> u64 {
        self.untracked
    }

    fn entry(&mut self, hash: u64, name: &str) -> Option<&mut Books> {
        if self.tenants.len() >= TENANTS_MAX && !self.tenants.contains_key(&hash) {
            self.make_room();
            if self.tenants.len() >= TENANTS_MAX {
                return None;
            }
        }
        let turn = self.turn;
        let entry = self.tenants.entry(hash).or_insert_with(|| TenantEntry {
            name: cut_to(name, TENANT_NAME_MAX).into(),
            books: Books::default(),
            last_turn: turn,
        });
        entry.last_turn = turn;
        Some(&mut entry.books)
    }

    /// Forgets the eighth seen longest ago, so that a flood of new tenants pays for a scan once in a thousand.
    fn make_room(&mut self) {
        let mut idle: Vec<(u64, u64)> = self
            .tenants
            .iter()
            .filter(|(_, entry)| entry.books.in_hand == 0)
            .map(|(hash, entry)| (entry.last_turn, *hash))
            .collect();
        let going = idle.len().min(TENANTS_MAX / 8);
        if going < idle.len() {
            idle.select_nth_unstable(going);
        }
        for (_, hash) in &idle[..going] {
            self.tenants.remove(hash);
        }
    }
}

/// How many tenants have books of their own.
pub const TENANTS_MAX: usize = 10_000;
/// The longest tenant id that is kept, in bytes.
pub const TENANT_NAME_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced() -> Books {
        Books {
            judged: 10,
            filtered: 3,
            selected: 7,
            delivered: 2,
            dead_lettered: 1,
            overflowed: 1,
            in_hand: 2,
            abandoned: 1,
        }
    }

    #[test]
    fn balanced_books_differ_by_nothing() {
        assert_eq!(Books::default().difference(), 0);
        assert_eq!(balanced().difference(), 0);
    }

    #[test]
    fn one_event_that_is_counted_wrong_in_any_term_shows() {
        let falsify: [fn(&mut Books); 8] = [
            |books| books.judged += 1,
            |books| books.filtered += 1,
            |books| books.selected += 1,
            |books| books.delivered += 1,
            |books| books.dead_lettered += 1,
            |books| books.overflowed -= 1,
            |books| books.in_hand -= 1,
            |books| books.abandoned += 1,
        ];
        for (at, change) in falsify.iter().enumerate() {
            let mut books = balanced();
            change(&mut books);
            assert_ne!(books.difference(), 0, "term {at}");
        }
    }

    #[test]
    fn two_errors_of_opposite_sign_do_not_cancel() {
        let books = Books { judged: 11, selected: 7, filtered: 3, in_hand: 6, overflowed: 2, ..Books::default() };
        assert_eq!(books.difference(), 2);
    }

    #[test]
    fn lesson_17_the_difference_of_absurd_books_is_large_and_never_wraps() {
        let books = Books { filtered: u64::MAX, selected: u64::MAX, ..Books::default() };
        assert_eq!(books.difference(), u64::MAX);
    }

    #[test]
    fn the_tenants_seen_longest_ago_make_room_for_new_ones() {
        let mut tenants = TenantBooks::default();
        for hash in 0..TENANTS_MAX as u64 {
            tenants.begin_turn();
            tenants.judged(hash, &format!("t{hash}"), false);
        }
        tenants.begin_turn();
        tenants.judged(0, "t0", false);
        tenants.judged(u64::MAX, "new", false);
        assert!(tenants.len() <= TENANTS_MAX);
        let names: Vec<&str> = tenants.iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"new"));
        assert!(names.contains(&"t0"), "seen in this turn");
        assert!(!names.contains(&"t1"), "seen longest ago");
        assert!(names.contains(&"t9999"));
    }

    #[test]
    fn a_tenant_with_events_in_hand_keeps_its_books() {
        let mut tenants = TenantBooks::default();
        for hash in 0..TENANTS_MAX as u64 {
            tenants.judged(hash, "held", true);
        }
        tenants.judged(u64::MAX, "late", true);
        assert_eq!((tenants.len(), tenants.untracked()), (TENANTS_MAX, 1));
        tenants.settled(u64::MAX, Settlement::Delivered);
        for hash in 0..TENANTS_MAX as u64 {
            tenants.settled(hash, Settlement::Delivered);
        }
        assert!(tenants.iter().all(|(_, books)| books.difference() == 0 && books.delivered == 1));
        tenants.judged(u64::MAX, "late", true);
        assert!(tenants.iter().any(|(name, books)| name == "late" && books.in_hand == 1));
    }

    #[test]
    fn a_tenants_books_balance_whatever_happens_to_its_events() {
        let mut tenants = TenantBooks::default();
        for selected in [true, false, true, true, true] {
            tenants.judged(9, "t", selected);
        }
        for settlement in [Settlement::Delivered, Settlement::DeadLettered, Settlement::Overflowed] {
            tenants.settled(9, settlement);
        }
        let books = *tenants.iter().next().unwrap().1;
        assert_eq!(books.difference(), 0);
        assert_eq!((books.judged, books.filtered, books.settled(), books.in_hand), (5, 1, 3, 1));
    }
}
