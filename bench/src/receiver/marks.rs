//! The search for marks in bytes that come in pieces.

use memchr::memmem::Finder;

use crate::load::event::{MARK, MARK_DIGITS};

/// A search that goes on from piece to piece.
pub(crate) struct Marks {
    finder: Finder<'static>,
    /// The end of the last piece, in which a mark may have begun.
    tail: Vec<u8>,
}

/// Bytes of a mark with what stands before it.
const LENGTH: usize = MARK.len() + MARK_DIGITS;

impl Marks {
    pub(crate) fn new() -> Marks {
        Marks { finder: Finder::new(MARK), tail: Vec::with_capacity(2 * LENGTH) }
    }

    /// Calls `found` with each mark that ends in `piece`.
    pub(crate) fn feed(&mut self, piece: &[u8], mut found: impl FnMut(u64)) {
        if !self.tail.is_empty() {
            let kept = self.tail.len();
            self.tail.extend_from_slice(&piece[..piece.len().min(LENGTH - 1)]);
            // What begins in the piece itself is found below.
            let tail = std::mem::take(&mut self.tail);
            self.search(&tail, |at, mark| {
                if at < kept {
                    found(mark);
                }
            });
            self.tail = tail;
        }
        self.search(piece, |_, mark| found(mark));
        self.keep_end_of(piece);
    }

    fn search(&self, bytes: &[u8], mut found: impl FnMut(usize, u64)) {
        for at in self.finder.find_iter(bytes) {
            if let Some(mark) = bytes.get(at + MARK.len()..at + LENGTH).and_then(number) {
                found(at, mark);
            }
        }
    }

    /// Keeps the last bytes, fewer than a mark has.
    fn keep_end_of(&mut self, piece: &[u8]) {
        if piece.len() >= LENGTH - 1 {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - (LENGTH - 1)..]);
        } else {
            // The tail holds the piece already if there was one.
            if self.tail.is_empty() {
                self.tail.extend_from_slice(piece);
            }
            let excess = self.tail.len().saturating_sub(LENGTH - 1);
            self.tail.drain(..excess);
        }
    }
}

/// The value of the digits that [`crate::load::event::stamp`] writes.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::Framing;
    use crate::load::block::Block;
    use crate::load::event::Events;
    use crate::scenario::Tenants;

    #[test]
    fn marks_are_found_once_however_the_bytes_are_cut() {
        let mut block = Block::of(&mut Events::new(Tenants::ZIPF, 1), 20, Framing::Lines);
        let bytes = block.stamped(0, 20, 1_000, 1).to_vec();
        for size in [1, 2, 5, 6, 7, 20, 21, 22, 23, 100, 601, bytes.len()] {
            let (mut marks, mut seen) = (Marks::new(), Vec::new());
            bytes.chunks(size).for_each(|piece| marks.feed(piece, |mark| seen.push(mark)));
            assert_eq!(seen, (1_000..1_020).collect::<Vec<u64>>(), "pieces of {size}");
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_is_none() {
        let mut marks = Marks::new();
        marks.feed(b"bench~000000000000zzzz bench~12", |mark| panic!("{mark}"));
        marks.feed(b"bench~", |mark| panic!("{mark}"));
    }
}
