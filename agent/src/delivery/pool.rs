//! How much memory the senders of one shard fill together, and the emptied buffers that they share.
//!
//! A sender whose destination answers may hold as much as is left free: one alone gets half of the pool, and of several
//! each gets the same part and leaves as much again for the next one (Choudhury and Hahne, "Dynamic queue length
//! thresholds for shared-memory packet switches", 1998). One whose destination has not answered yet, or stands in the
//! way, may hold [`SILENT_PART`] of that: a hundred that are down leave most of the pool to the one that is not. What a
//! sender has no room for stays in the log, and is read again when there is.
//!
//! While much waits, open batches are *bare*: their events are encoded once to see that they fit, and again when they are
//! sent. A thousand batches that each wait for their slot then hold places in the log instead of bodies.
//!
//! Counted are bytes of memory, not of events: events lie in the log and are lent. What was sent and is not settled yet
//! (batches that wait for an acknowledgement, the trail of a pipe) is bounded by its sender, and not counted here.
//!
//! Always true: [`Pool::filled`] is the sum of all shares; a share that is dropped is given back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use scaidrive_codecs::Body;

use super::sender::Item;

/// Memory that the senders of one shard may fill together, in bytes. Each may exceed it by one event, so that nobody
/// waits for ever.
pub const POOL_BYTES: usize = 24 << 20;
/// What may be held for a destination that does not answer, as a part of what is free.
pub const SILENT_PART: usize = 64;
/// Above this open batches are bare, in bytes: a few destinations at full speed stay below it.
const BARE_ABOVE: usize = POOL_BYTES / 8;
/// What a share counts at most: what comes back from a broken pipe all at once must not stop everybody else.
const SHARE_MAX: usize = POOL_BYTES / 2;
/// Emptied buffers that are kept for reuse, in bytes.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// See the module. A clone is the same pool.
#[derive(Debug)]
pub struct Pool<T>(Rc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    filled: Cell<usize>,
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
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        let spare = Spare { items: Vec::new(), bodies: Vec::new(), bytes: 0 };
        Pool(Rc::new(Inner { filled: Cell::new(0), spare: RefCell::new(spare), trial: RefCell::default() }))
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

    /// An empty share.
    pub fn share(&self) -> Share<T> {
        Share { pool: self.clone(), bytes: 0 }
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

    /// So many bytes are held now.
    pub fn set(&mut self, bytes: usize) {
        let filled = &self.pool.0.filled;
        filled.set(filled.get() - self.bytes);
        self.bytes = bytes.min(SHARE_MAX);
        filled.set(filled.get() + self.bytes);
    }

    /// So many bytes more are held.
    pub fn grow(&mut self, bytes: usize) {
        self.set(self.bytes + bytes);
    }

    /// Whether one more event may be held; `answers` says that the destination does.
    pub fn has_room(&self, answers: bool) -> bool {
        let free = POOL_BYTES.saturating_sub(self.pool.filled());
        let part = if answers { free } else { free / SILENT_PART };
        self.bytes == 0 || (self.bytes < part && self.bytes < SHARE_MAX)
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
    fn fill(shares: &mut [Share<()>], answers: bool) {
        while shares.iter().any(|share| share.has_room(answers)) {
            for share in shares.iter_mut().filter(|share| share.has_room(answers)) {
                share.set(share.bytes() + 1024);
            }
        }
    }

    #[test]
    fn one_alone_gets_half_and_equals_get_equal_parts() {
        for count in [1, 2, 9] {
            let pool = Pool::default();
            let mut shares: Vec<Share<()>> = (0..count).map(|_| pool.share()).collect();
            fill(&mut shares, true);
            let part = POOL_BYTES / (count + 1);
            assert!(shares.iter().all(|share| share.bytes().abs_diff(part) <= 1024), "{part}: {shares:?}");
        }
    }

    #[test]
    fn many_that_are_down_leave_most_to_the_one_that_is_not() {
        let pool = Pool::default();
        let mut down: Vec<Share<()>> = (0..49).map(|_| pool.share()).collect();
        fill(&mut down, false);
        assert!(pool.filled() < POOL_BYTES / 2, "{}", pool.filled());
        let mut healthy = [pool.share()];
        fill(&mut healthy, true);
        assert!(healthy[0].bytes() > POOL_BYTES / 4, "{}", healthy[0].bytes());
    }

    #[test]
    fn a_full_pool_leaves_room_for_one_event_each() {
        let pool = Pool::default();
        let mut greedy: Vec<Share<()>> = (0..2).map(|_| pool.share()).collect();
        greedy.iter_mut().for_each(|share| share.set(POOL_BYTES));
        let mut late = pool.share();
        assert!(late.has_room(false) && !greedy[0].has_room(true));
        late.set(1);
        assert!(!late.has_room(true));
    }

    #[test]
    fn what_is_dropped_is_given_back_and_what_comes_back_at_once_counts_half_at_most() {
        let pool = Pool::default();
        let mut share: Share<()> = pool.share();
        share.set(10 * POOL_BYTES);
        assert_eq!(pool.filled(), POOL_BYTES / 2);
        drop(share);
        assert_eq!(pool.filled(), 0);
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
