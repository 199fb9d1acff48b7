//! Looking through text for the few bytes that cannot stay as they are, sixteen at a time.

use wide::u8x16;

/// How many bytes at the start of `bytes` are not marked. `marked` looks at sixteen bytes and sets all bits of those that
/// are. It is shown zeros as well, which stand behind the end.
#[inline]
pub(crate) fn unmarked_length(bytes: &[u8], marked: impl Fn(u8x16) -> u8x16) -> usize {
    let marks = |block: [u8; BLOCK]| marked(u8x16::new(block)).to_bitmask();
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    for (nth, block) in blocks.iter().enumerate() {
        let found = marks(*block);
        if found != 0 {
            return nth * BLOCK + found.trailing_zeros() as usize;
        }
    }
    let found = match bytes.last_chunk::<BLOCK>() {
        // Reaches back into what was looked at.
        Some(last) => marks(*last) >> (BLOCK - tail.len()),
        None => marks(padded(tail)),
    };
    blocks.len() * BLOCK + (found.trailing_zeros() as usize).min(tail.len())
}

/// Marks the bytes that are `byte`.
#[inline(always)]
pub(crate) fn is(block: u8x16, byte: u8) -> u8x16 {
    block.simd_eq(u8x16::splat(byte))
}

/// Marks the bytes below `byte`, which is not 0.
#[inline(always)]
pub(crate) fn is_below(block: u8x16, byte: u8) -> u8x16 {
    block.min(u8x16::splat(byte - 1)).simd_eq(block)
}

/// Marks the bytes above `byte`, which is not 255.
#[inline(always)]
pub(crate) fn is_above(block: u8x16, byte: u8) -> u8x16 {
    block.max(u8x16::splat(byte + 1)).simd_eq(block)
}

/// Fewer bytes than a block, and zeros behind them. Put together of two halves that overlap, because a copy of any length
/// takes longer.
#[inline]
fn padded(short: &[u8]) -> [u8; BLOCK] {
    let number = match (short.first_chunk(), short.last_chunk()) {
        (Some(first), Some(last)) => {
            u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << (8 * (short.len() - 8))
        }
        _ => u128::from(padded_half(short)),
    };
    number.to_le_bytes()
}

/// The same for fewer than eight bytes, as a number.
#[inline]
fn padded_half(short: &[u8]) -> u64 {
    match (short.first_chunk(), short.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (short.len() - 4))
        }
        _ => short.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// Bytes that are looked at together.
const BLOCK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_length_ends_before_the_first_marked_byte(
            bytes in prop::collection::vec(prop_oneof![9 => b'a'..=b'z', 1 => any::<u8>()], 0..70),
        ) {
            let naive = bytes.iter().position(|byte| matches!(byte, b'"' | 0..0x20 | 0xc2)).unwrap_or(bytes.len());
            let found = unmarked_length(&bytes, |block| is(block, b'"') | is_below(block, b' ') | is(block, 0xc2));
            prop_assert_eq!(found, naive);
        }

        #[test]
        fn what_is_padded_is_followed_by_zeros(bytes in prop::collection::vec(any::<u8>(), 0..BLOCK)) {
            let mut naive = bytes.clone();
            naive.resize(BLOCK, 0);
            prop_assert_eq!(&padded(&bytes)[..], naive);
        }
    }
}
