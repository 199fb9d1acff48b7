//! The seed's choices, apart from the world's own.

use std::cell::Cell;
use std::rc::Rc;

/// A seeded sequence of numbers (SplitMix64). Clones share it.
#[derive(Clone)]
pub struct Dice(Rc<Cell<u64>>);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(Rc::new(Cell::new(mix(seed ^ 0x5ca1_d21e))))
    }

    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        mix(state)
    }

    /// A number in `from..end`; `from` when the range is empty.
    pub fn within(&self, from: u64, end: u64) -> u64 {
        from + if end > from { self.next() % (end - from) } else { 0 }
    }

    /// True `percent` times in a hundred.
    pub fn happens(&self, percent: u64) -> bool {
        self.within(0, 100) < percent
    }

    /// One of `items`.
    pub fn pick<T: Copy>(&self, items: &[T]) -> T {
        items[self.within(0, items.len() as u64) as usize]
    }
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
