//! How a log is to be kept.

use crate::format::{FOOTER_LEN, HEADER_LEN};
use crate::number::ByteCount;

/// How a log is to be kept; see [`Options::default`] for what is usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of the shard, written into each segment for people.
    pub shard: u32,
    /// Bytes in a new segment file; raised to [`SEGMENT_SIZE_MIN`].
    pub segment_size: u32,
    /// How long records are kept, in ms. A segment is sealed a quarter of this after its first record.
    pub window_ms: u64,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// No new segment is made with less than this free on the file system.
    pub min_free: ByteCount,
    /// Nor with less than this part of the file system free, in percent.
    pub min_free_percent: u8,
    /// Bytes in front of the writer whose pages are made present in advance.
    pub populate_ahead: u32,
    /// Bytes made present for a reader at a time.
    pub read_ahead: u32,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The record is on the disk.
    Fsync,
    /// The record is in the page cache, and on the disk within about `every_ms`.
    Interval {
        /// Milliseconds between two syncs.
        every_ms: u64,
    },
    /// The record is in the page cache; it is synced when its segment is full and at closing.
    Os,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            shard: 0,
            segment_size: 64 << 20,
            window_ms: 30 * 60 * 1000,
            durability: Durability::Fsync,
            min_free: ByteCount::mib(256),
            min_free_percent: 5,
            populate_ahead: 16 << 20,
            read_ahead: 1 << 20,
        }
    }
}

impl Options {
    /// The same with every number inside its bounds.
    pub(crate) fn bounded(mut self) -> Options {
        self.segment_size = self.segment_size.clamp(SEGMENT_SIZE_MIN, 1 << 31).next_multiple_of(4096);
        self.populate_ahead = self.populate_ahead.max(1 << 16);
        self.read_ahead = self.read_ahead.max(4096);
        self
    }

    /// Bytes of a segment that records may take.
    pub(crate) fn room(&self) -> usize {
        self.segment_size as usize - HEADER_LEN - FOOTER_LEN
    }

    pub(crate) fn is_weak(&self) -> bool {
        self.durability != Durability::Fsync
    }
}

/// Smallest segment: header, footer and a few pages of records.
pub const SEGMENT_SIZE_MIN: u32 = 32 << 10;
