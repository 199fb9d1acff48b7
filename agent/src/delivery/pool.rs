//! How much memory the senders of one shard fill together, and the emptied buffers that they share.
//!
//! A sender whose destination answers may hold as much as is left free: one alone gets half of the pool, and of several
//! each gets the same part and leaves as much again for the next one (Choudhury and Hahne, "Dynamic queue length
//! thresholds for shared-memory packet switches", 1998). One whose destination has not answered yet, or stands in the
//! way, may hold [`SILENT_PART`] of that: a hundred that are down leave most of the pool to the one that is not. And
//! whatever those hold together, for the others it is never more than [`SILENT_MAX`]. What a sender has no room for stays
//! in the log, and is read again when there is.
//!
//! While much waits, open batches are *bare*: their events are encoded once to see that they fit, and again when they are
//! sent. A thousand batches that each wait for their slot then hold places in the log instead of bodies.
//!
//! Counted are bytes of memory, not of events: events lie in the log and are lent. An event counts for its place in a
//! list, a body for all that its buffers hold, from when it is made until its request has ended. Bodies that are made when
//! they are sent are made whatever is free, so that everything goes some time: by those, by one event for each sender, and
//! by the unused ends of lists, the pool may be overfilled; then nobody takes more until there is room again. What was sent
//! and is not settled yet (batches that wait for an acknowledgement, all that a pipe has sent once) is bounded by its
//! sender, and not counted here.
//!
//! Always true: [`Pool::filled`] is the sum of all shares; a share that is dropped is given back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use scaidrive_codecs::Body;

use super::sender::Item;

/// Memory that the senders of one shard may fill together, in bytes.
pub const POOL_BYTES: usize = 24 << 20;
/// What may be held for a destination that does not answer, as a part of what is free.
pub const SILENT_PART: usize = 64;
/// What all that is held for destinations that do not answer takes from those that do, at most, in bytes.
pub const SILENT_MAX: usize = POOL_BYTES / 2;
/// Above this open batches are bare, in bytes: a few destinations at full speed stay below it.
const BARE_ABOVE: usize = POOL_BYTES / 4;
/// Emptied buffers that are kept for reuse, in bytes.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// See the module. A clone is the same pool.
#[derive(Debug)]
pub struct Pool<T>(Rc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    filled: Cell<usize>,
    /// The part of it that is held for destinations that do not answer.
    silent: Cell<usize>,
    spare: RefCell<Spare<T>>,
    /// What an event of a bare batch is encoded into, to see how long it is.
    trial: RefCell<Body>,
}

/// Emptied buffers, kept so that sending allocates nothing after warm-up and an idle sender holds none.
#[derive(Debug)]
struct Spare<T> {
    items: Vec<Vec<Item<T>>>,
    bodies: Vec<Body>,
    bytes: usize,
}

/// One sender's part of a pool.
#[derive(Debug)]
pub struct Share<T> {
    pool: Pool<T>,
    bytes: usize,
    answers: bool,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        let spare = Spare { items: Vec::new(), bodies: Vec::new(), bytes: 0 };
        Pool(Rc::new(Inner {
            filled: Cell::new(0),
            silent: Cell::new(0),
            spare: RefCell::new(spare),
            trial: RefCell::default(),
        }))
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Pool(Rc::clone(&self.0))
    }
}

impl<T> Pool<T> {
    /// Bytes that are filled.
    pub fn filled(&self) -> usize {
        self.0.filled.get()
    }

    /// Whether so much waits that open batches are bare.
    pub fn wants_bare(&self) -> bool {
        self.filled() > BARE_ABOVE
    }

    /// How long a body is that `encode` writes, in bytes.
    ///
    /// # Errors
    /// What `encode` says.
    pub fn try_out<E>(&self, encode: impl FnOnce(&mut Body) -> Result<(), E>) -> Result<usize, E> {
        let mut trial = self.0.trial.borrow_mut();
        trial.clear();
        encode(&mut trial)?;
        Ok(trial.len())
    }

    /// An empty share, for a destination that has not answered yet.
    pub fn share(&self) -> Share<T> {
        Share { pool: self.clone(), bytes: 0, answers: false }
    }

    /// An empty buffer for the events of a batch.
    pub fn lend_items(&self) -> Vec<Item<T>> {
        let mut spare = self.0.spare.borrow_mut();
        let items = spare.items.pop().unwrap_or_default();
        spare.bytes -= bytes_of(&items);
        items
    }

    /// An empty buffer for a body.
    pub fn lend_body(&self) -> Body {
        let mut spare = self.0.spare.borrow_mut();
        let body = spare.bodies.pop().unwrap_or_default();
        spare.bytes -= body.capacity();
        body
    }

    /// Keeps a buffer for the next batch.
    pub fn keep_items(&self, mut items: Vec<Item<T>>) {
        items.clear();
        let (mut spare, bytes) = (self.0.spare.borrow_mut(), bytes_of(&items));
        if bytes > 0 && spare.bytes + bytes <= SPARE_BYTES_MAX {
            spare.bytes += bytes;
            spare.items.push(items);
        }
    }

    /// Keeps a buffer for the next batch.
    pub fn keep_body(&self, mut body: Body) {
        body.clear();
        let (mut spare, bytes) = (self.0.spare.borrow_mut(), body.capacity());
        if bytes > 0 && spare.bytes + bytes <= SPARE_BYTES_MAX {
            spare.bytes += bytes;
            spare.bodies.push(body);
        }
    }
}

impl<T> Share<T> {
    /// The pool it is a share of.
    pub fn pool(&self) -> &Pool<T> {
        &self.pool
    }

    /// What it counts, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether its destination answers.
    pub fn answers(&self) -> bool {
        self.answers
    }

    /// Its destination answers now, or does not.
    pub fn set_answers(&mut self, answers: bool) {
        let bytes = self.bytes;
        self.set(0);
        self.answers = answers;
        self.set(bytes);
    }

    /// So many bytes more are held.
    pub fn grow(&mut self, bytes: usize) {
        self.set(self.bytes + bytes);
    }

    /// So many bytes less are held.
    pub fn shrink(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes, "{bytes} of {}", self.bytes);
        self.set(self.bytes.saturating_sub(bytes));
    }

    /// Whether one more event may be held.
    pub fn has_room(&self) -> bool {
        let Inner { filled, silent, .. } = &*self.pool.0;
        let part = if self.answers {
            let taken = filled.get() - silent.get() + silent.get().min(SILENT_MAX);
            POOL_BYTES.saturating_sub(taken)
        } else {
            POOL_BYTES.saturating_sub(filled.get()) / SILENT_PART
        };
        self.bytes == 0 || self.bytes < part
    }

    fn set(&mut self, bytes: usize) {
        let Inner { filled, silent, .. } = &*self.pool.0;
        filled.set(filled.get() - self.bytes + bytes);
        if !self.answers {
            silent.set(silent.get() - self.bytes + bytes);
        }
        self.bytes = bytes;
    }
}

impl<T> Drop for Share<T> {
    fn drop(&mut self) {
        self.set(0);
    }
}

fn bytes_of<T>(items: &Vec<Item<T>>) -> usize {
    items.capacity() * size_of::<Item<T>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills every share, a kilobyte at a time, until none has room.
    fn fill(shares: &mut [Share<()>]) {
        while shares.iter().any(Share::has_room) {
            shares.iter_mut().filter(|share| share.has_room()).for_each(|share| share.grow(1024));
        }
    }

    fn shares(pool: &Pool<()>, count: usize, answer: bool) -> Vec<Share<()>> {
        let mut shares: Vec<_> = (0..count).map(|_| pool.share()).collect();
        shares.iter_mut().for_each(|share| share.set_answers(answer));
        shares
    }

    #[test]
    fn one_alone_gets_half_and_equals_get_equal_parts() {
        for count in [1, 2, 9] {
            let pool = Pool::default();
            let mut shares = shares(&pool, count, true);
            fill(&mut shares);
            let part = POOL_BYTES / (count + 1);
            assert!(shares.iter().all(|share| share.bytes().abs_diff(part) <= 1024), "{part}: {shares:?}");
        }
    }

    #[test]
    fn many_that_are_down_leave_most_to_the_one_that_is_not() {
        let pool = Pool::default();
        let mut down = shares(&pool, 49, false);
        fill(&mut down);
        assert!(pool.filled() < POOL_BYTES / 2, "{}", pool.filled());
        let mut healthy = shares(&pool, 1, true);
        fill(&mut healthy);
        assert!(healthy[0].bytes() > POOL_BYTES / 4, "{}", healthy[0].bytes());
    }

    #[test]
    fn whatever_is_held_for_those_that_do_not_answer_half_of_the_pool_is_for_those_that_do() {
        let pool = Pool::default();
        let mut down = shares(&pool, 3, false);
        down.iter_mut().for_each(|share| share.grow(POOL_BYTES));
        assert!(down.iter().all(|share| !share.has_room()));
        let mut healthy = shares(&pool, 3, true);
        fill(&mut healthy);
        let part = (POOL_BYTES - SILENT_MAX) / 4;
        assert!(healthy.iter().all(|share| share.bytes().abs_diff(part) <= 1024), "{part}: {healthy:?}");
        down[0].set_answers(true);
        assert!(!healthy[0].has_room(), "what is held for one that answers counts in full");
        down[0].set_answers(false);
        down.clear();
        assert!(healthy[0].has_room());
    }

    #[test]
    fn a_full_pool_leaves_room_for_one_event_each() {
        let pool = Pool::default();
        let mut greedy = shares(&pool, 2, true);
        greedy.iter_mut().for_each(|share| share.grow(POOL_BYTES / 2));
        for answers in [false, true] {
            let mut late = pool.share();
            late.set_answers(answers);
            assert!(late.has_room() && !greedy[0].has_room());
            late.grow(1);
            assert!(!late.has_room());
        }
    }

    #[test]
    fn what_is_dropped_is_given_back_whether_it_answers_or_not() {
        let pool: Pool<()> = Pool::default();
        for answer in [true, false] {
            let mut shares = shares(&pool, 1, answer);
            shares[0].grow(10 * POOL_BYTES);
            assert_eq!(pool.filled(), 10 * POOL_BYTES);
            shares[0].shrink(POOL_BYTES);
            assert_eq!(pool.filled(), 9 * POOL_BYTES);
            drop(shares);
            assert_eq!(pool.filled(), 0);
        }
    }

    #[test]
    fn spare_buffers_are_bounded_in_bytes() {
        let pool: Pool<()> = Pool::default();
        let body = || {
            let mut body = Body::new();
            body.push_glue(&vec![b'g'; 1 << 20]);
            body
        };
        (0..20).for_each(|_| pool.keep_body(body()));
        let kept = (0..20).filter(|_| pool.lend_body().capacity() > 0).count();
        assert!((1..=SPARE_BYTES_MAX >> 20).contains(&kept), "{kept}");
        pool.keep_body(body());
        assert!(pool.lend_body().capacity() > 0, "what was lent makes room for what comes back");
    }
}
