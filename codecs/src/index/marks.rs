//! Where the bytes lie at which a JSON string ends or needs a closer look: quotes, backslashes and control characters.
//!
//! An event's bytes are looked at 64 at a time, each block once, whatever lies in it: one bit a byte says which ones are
//! marked. After that the end of a string is the next bit, and the many short strings of an event cost no loop each.

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
///
/// Written so that a compiler makes vector instructions of it: no branch, no byte that depends on another.
#[inline(always)]
fn marks(block: &[u8; BLOCK]) -> (u64, bool) {
    let mut is_marked = [0u8; BLOCK];
    let mut all = 0;
    for (mark, byte) in is_marked.iter_mut().zip(block) {
        *mark = u8::from(*byte == b'"') | u8::from(*byte == b'\\') | u8::from(*byte < b' ');
        all |= byte;
    }
    let (words, _) = is_marked.as_chunks::<8>();
    let bits = words.iter().rev().fold(0, |bits, word| bits << 8 | gathered(u64::from_le_bytes(*word)));
    (bits, all < 0x80)
}

/// The lowest bits of the eight bytes of `word`, side by side.
fn gathered(word: u64) -> u64 {
    // Byte n's bit stands at 8n and is carried to 56 + n; all other products stay below or fall out.
    word.wrapping_mul(0x0102_0408_1020_4080) >> 56
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
