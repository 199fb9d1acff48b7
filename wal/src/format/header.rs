//! The first page of a segment.

use super::{checksum, u32_at, u64_at};
use crate::number::{Seq, WallTime};

/// Bytes that the header takes: one page, so that rewriting it touches no record.
pub(crate) const HEADER_LEN: usize = 4096;

/// The format that this code writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// What stands in a segment's header; the table in the module above says where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) shard: u32,
    pub(crate) base: Seq,
    pub(crate) durable_end: Seq,
    pub(crate) created: WallTime,
    pub(crate) salt: u64,
    pub(crate) segment_size: u32,
    /// Readers were allowed past the durable line (a weaker durability mode).
    pub(crate) readers_may_pass: bool,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Written by a newer version of this program.
    Newer { version: u32 },
    /// Not a header, or one that was damaged.
    Invalid,
}

impl Header {
    /// The header's bytes; the rest of its page is zero.
    pub(crate) fn encode(&self) -> [u8; ENCODED] {
        let mut bytes = [0; ENCODED];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.shard.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.get().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.durable_end.get().to_le_bytes());
        bytes[32..40].copy_from_slice(&self.created.as_ms().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.segment_size.to_le_bytes());
        bytes[52..56].copy_from_slice(&u32::from(self.readers_may_pass).to_le_bytes());
        let sum = checksum(0, &[&bytes[..CHECKED]]);
        bytes[CHECKED..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a header from the first bytes of a file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, HeaderError> {
        if bytes.len() < ENCODED || bytes[0..8] != MAGIC {
            return Err(HeaderError::Invalid);
        }
        let version = u32_at(bytes, 8);
        // A newer header may be laid out otherwise, so its checksum cannot be asked for.
        if version > VERSION {
            return Err(HeaderError::Newer { version });
        }
        let sound = u32_at(bytes, CHECKED) == checksum(0, &[&bytes[..CHECKED]]);
        match Seq::new(u64_at(bytes, 16)) {
            Some(base) if sound && version > 0 => Ok(Header {
                shard: u32_at(bytes, 12),
                base,
                durable_end: Seq::from_raw(u64_at(bytes, 24)),
                created: WallTime::from_ms(u64_at(bytes, 32) as i64),
                salt: u64_at(bytes, 40),
                segment_size: u32_at(bytes, 48),
                readers_may_pass: u32_at(bytes, 52) & 1 == 1,
            }),
            _ => Err(HeaderError::Invalid),
        }
    }
}

const MAGIC: [u8; 8] = *b"SCDRVLOG";
const CHECKED: usize = 56;
const ENCODED: usize = CHECKED + size_of::<u32>();
// A header lies in one disk sector, so a power cut leaves the old one or the new one.
const _: () = assert!(ENCODED <= 512);

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            shard: 3,
            base: Seq::from_raw(77),
            durable_end: Seq::from_raw(70),
            created: WallTime::from_ms(-5),
            salt: 0x0123_4567_89ab_cdef,
            segment_size: 1 << 20,
            readers_may_pass: true,
        }
    }

    #[test]
    fn a_header_reads_back_as_written() {
        assert_eq!(Header::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        for bit in 0..ENCODED * 8 {
            let mut bytes = sample().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bytes).is_err(), "bit {bit}");
        }
        assert!(Header::decode(&[]).is_err());
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = sample().encode();
        bytes[8..12].copy_from_slice(&9u32.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Newer { version: 9 }));
    }
}
