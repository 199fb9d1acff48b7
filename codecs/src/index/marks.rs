//! Where the bytes lie at which a JSON string ends or needs a closer look: quotes, backslashes and control characters.
//!
//! An event's bytes are looked at 64 at a time, each block once, whatever lies in it: one bit a byte says which ones are
//! marked. After that the end of a string is the next bit, and the many short strings of an event cost no loop each.

use wide::u8x16;

/// The marks of an event, walked from its beginning to its end.
pub(super) struct Marks<'a> {
    raw: &'a [u8],
    /// The first byte of the block that `bits` are of.
    start: usize,
    /// One bit for each byte of the block, the lowest for its first.
    bits: u64,
    is_ascii: bool,
}

impl<'a> Marks<'a> {
    pub(super) fn new(raw: &'a [u8]) -> Marks<'a> {
        let mut marks = Marks { raw, start: 0, bits: 0, is_ascii: true };
        marks.look_at(0);
        marks
    }

    /// The first marked byte at `from` or after it, or the end of the event. `from` never goes back.
    #[inline(always)]
    pub(super) fn next(&mut self, from: usize) -> usize {
        if from - self.start >= BLOCK {
            self.look_at(from - from % BLOCK);
        }
        let mut bits = self.bits & (u64::MAX << (from % BLOCK));
        while bits == 0 {
            self.look_at(self.start + BLOCK);
            bits = self.bits;
        }
        self.start + bits.trailing_zeros() as usize
    }

    /// Whether all bytes that were walked over are ASCII. Blocks in which nobody looked for a mark do not count.
    pub(super) fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    /// Goes to the block at `start`. The end of the event is marked, so there always is a next mark.
    #[inline(always)]
    fn look_at(&mut self, start: usize) {
        let rest = self.raw.get(start..).unwrap_or_default();
        let (marks, is_ascii) = match rest.first_chunk() {
            Some(block) => marks(block),
            None => marks_of_last(rest),
        };
        self.start = start;
        self.bits = marks;
        self.is_ascii &= is_ascii;
    }
}

/// The marks of the bytes after the last whole block, and one at their end.
#[inline(never)]
fn marks_of_last(rest: &[u8]) -> (u64, bool) {
    // Zero is a control character.
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    marks(&block)
}

/// One bit for each marked byte, the lowest for the first, and whether all bytes are ASCII.
#[inline(always)]
fn marks(block: &[u8; BLOCK]) -> (u64, bool) {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(b' '));
    let (mut bits, mut all) = (0, u8x16::ZERO);
    let (quarters, _) = block.as_chunks();
    for quarter in quarters.iter().rev() {
        let bytes = u8x16::new(*quarter);
        let marked = bytes.simd_eq(quote) | bytes.simd_eq(backslash) | bytes.simd_lt(control);
        bits = bits << 16 | u64::from(marked.to_bitmask());
        all |= bytes;
    }
    (bits, all.to_bitmask() == 0)
}

/// Bytes looked at together: one bit each fills a word.
const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![6 => b' '..=b'~', 1 => Just(b'"'), 1 => Just(b'\\'), 1 => any::<u8>()];
        prop::collection::vec(byte, 0..300)
    }

    proptest! {
        #[test]
        fn every_mark_is_found_and_nothing_else(raw in any_bytes(), skips in prop::collection::vec(1usize..90, 1..9)) {
            let mut marks = Marks::new(&raw);
            let mut from = 0;
            for skip in skips.iter().cycle() {
                let is_mark = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
                let expected = raw[from..].iter().position(is_mark).map_or(raw.len(), |step| from + step);
                prop_assert_eq!(marks.next(from), expected);
                from = expected + skip;
                if from > raw.len() {
                    break;
                }
            }
        }

        #[test]
        fn a_walk_over_everything_knows_whether_it_is_ascii(raw in any_bytes()) {
            let mut marks = Marks::new(&raw);
            let mut from = 0;
            while from < raw.len() {
                from = marks.next(from) + 1;
            }
            prop_assert_eq!(marks.is_ascii(), raw.is_ascii());
        }
    }
}
