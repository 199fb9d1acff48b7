//! Where the bytes lie at which a JSON string ends or needs a closer look: quotes, backslashes and control characters.
//!
//! A text's bytes are looked at 64 at a time, each block once, whatever lies in it: one bit a byte says which ones are
//! marked. After that the end of a string is the next bit, and the many short strings of an event cost no loop each.

use wide::u8x16;

use crate::plain::{is, is_below};

/// The marks of one block of a text. The text itself comes with each question.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    /// The first byte of the block that `bits` are of.
    start: usize,
    /// One bit for each byte of the block, the lowest for its first.
    bits: u64,
}

impl Marks {
    /// The marks of the first block.
    pub(super) fn new(raw: &[u8]) -> Marks {
        Marks { start: 0, bits: marks_at(raw, 0) }
    }

    /// The first marked byte at `from` or after it, or the end of the text.
    #[inline(always)]
    pub(super) fn next(&mut self, raw: &[u8], mut from: usize) -> usize {
        loop {
            let within = from.wrapping_sub(self.start);
            if within < BLOCK {
                let bits = self.bits >> within;
                if bits != 0 {
                    return from + bits.trailing_zeros() as usize;
                }
                from = self.start + BLOCK;
            }
            self.start = from - from % BLOCK;
            self.bits = marks_at(raw, self.start);
        }
    }
}

/// The marks of the block at `start`. The end of the text is marked, so there always is a next mark.
#[inline(always)]
fn marks_at(raw: &[u8], start: usize) -> u64 {
    match raw.get(start..).unwrap_or_default().first_chunk() {
        Some(block) => marks(block),
        None => marks_of_last(raw, raw.len().saturating_sub(start)),
    }
}

/// The marks of the last bytes, fewer than a block, and one at their end.
#[inline(never)]
fn marks_of_last(raw: &[u8], count: usize) -> u64 {
    let found = match raw.last_chunk() {
        // Reaches back into what was looked at.
        Some(block) => marks(block).checked_shr((BLOCK - count) as u32).unwrap_or(0),
        None => {
            let mut block = [b' '; BLOCK];
            block[..count].copy_from_slice(&raw[raw.len() - count..]);
            marks(&block)
        }
    };
    found | 1 << count
}

/// One bit for each marked byte, the lowest for the first.
#[inline(always)]
fn marks(block: &[u8; BLOCK]) -> u64 {
    // A quote is a space with one bit more. With that bit turned over it stands where the space stood, right behind the
    // control characters, which stay among themselves.
    let turned = u8x16::splat(b'"' ^ b' ');
    let mut bits = 0;
    for quarter in block.as_chunks().0.iter().rev() {
        let bytes = u8x16::new(*quarter);
        let marked = is_below(bytes ^ turned, b' ' + 1) | is(bytes, b'\\');
        bits = bits << 16 | u64::from(marked.to_bitmask());
    }
    bits
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

    fn is_mark(byte: &u8) -> bool {
        matches!(byte, b'"' | b'\\' | 0..=0x1f)
    }

    proptest! {
        #[test]
        fn every_mark_is_found_and_nothing_else(raw in any_bytes(), skips in prop::collection::vec(1usize..90, 1..9)) {
            let mut marks = Marks::new(&raw);
            let mut from = 0;
            for skip in skips.iter().cycle() {
                let expected = raw[from..].iter().position(is_mark).map_or(raw.len(), |step| from + step);
                prop_assert_eq!(marks.next(&raw, from), expected);
                from = expected + skip;
                if from > raw.len() {
                    break;
                }
            }
        }
    }

    #[test]
    fn every_byte_is_marked_or_not_wherever_it_stands() {
        for (byte, at) in (0..=u8::MAX).flat_map(|byte| (0..2 * BLOCK + 3).map(move |at| (byte, at))) {
            let mut raw = [b'a'; 2 * BLOCK + 3];
            raw[at] = byte;
            let expected = if is_mark(&byte) { at } else { raw.len() };
            assert_eq!(Marks::new(&raw).next(&raw, 0), expected, "{byte:#x} at {at}");
        }
    }
}
