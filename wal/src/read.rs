//! Reading: positions, and what a read may find.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::format::{RECORD_HEADER, RecordHead};
use crate::number::{LogTime, Seq, WallTime};
use crate::shared::{Grant, Mapped};

/// Where a reader is. Only ever moves forward, unless it is told to return.
#[derive(Clone, Debug)]
pub struct Position {
    pub(crate) seq: Seq,
    pub(crate) place: Option<Place>,
}

/// The same, in terms of files.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Counts segments since the log was opened.
    pub(crate) ordinal: u64,
    /// Changes when segments are rearranged, which makes ordinals mean something else.
    pub(crate) generation: u64,
    pub(crate) offset: usize,
    /// The bytes from `offset` on are no record; the next one is being looked for.
    pub(crate) is_lost: bool,
    /// Bytes that the keeper made present.
    pub(crate) granted: Range<usize>,
    pub(crate) pending: Option<Arc<OnceLock<Grant>>>,
}

impl Position {
    /// In front of the record `seq`.
    pub fn at(seq: Seq) -> Position {
        Position { seq, place: None }
    }

    /// Goes back to stand in front of `record`, which it has just given.
    pub fn return_to(&mut self, record: &Record) {
        self.seq = record.seq();
        if let Some(place) = &mut self.place {
            place.offset = record.at as usize;
        }
    }

    /// The next record that this position will give, if it exists.
    pub fn seq(&self) -> Seq {
        self.seq
    }
}

/// What was found at a position.
#[derive(Debug)]
pub enum Read {
    /// A record; the position is now after it.
    Record(Record),
    /// Nothing below the limit; ask again when there is more.
    End,
    /// The bytes are not in memory yet. The shard is woken when they are.
    Wait,
    /// These numbers were promised and cannot be read; the position is now after them.
    Damage {
        /// The numbers.
        missing: Range<Seq>,
    },
    /// The record was trimmed; the position is now at the oldest one held.
    Trimmed {
        /// Number of the oldest record held.
        now_first: Seq,
    },
}

/// A record whose checksum was found right when it was read. Keeps its segment from being rewritten.
///
/// Whoever delivers has thousands of them in hand, so it holds no more of the header than is asked for.
#[derive(Clone)]
pub struct Record {
    mapped: Arc<Mapped>,
    seq: Seq,
    log_time: LogTime,
    wall: WallTime,
    tenant_hash: u64,
    /// Where it begins in its segment, and its length without padding.
    at: u32,
    len: u32,
    index_len: u32,
    flags: u16,
}

impl Record {
    pub(crate) fn new(mapped: Arc<Mapped>, at: usize, head: &RecordHead) -> Record {
        let RecordHead { seq, log_time, wall, tenant_hash, len, index_len, flags, .. } = *head;
        Record { mapped, seq, log_time, wall, tenant_hash, at: at as u32, len, index_len, flags }
    }

    /// Its number.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// When it was appended, by the log clock.
    pub fn log_time(&self) -> LogTime {
        self.log_time
    }

    /// When it was appended, by the machine's clock.
    pub fn wall(&self) -> WallTime {
        self.wall
    }

    /// The tenant's hash as the caller gave it.
    pub fn tenant_hash(&self) -> u64 {
        self.tenant_hash
    }

    /// Flags as the caller gave them.
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// The index as the caller gave it.
    pub fn index(&self) -> &[u8] {
        let start = self.at as usize + RECORD_HEADER;
        self.mapped.region.bytes(start, start + self.index_len as usize)
    }

    /// The payload as the caller gave it, straight from the mapping.
    pub fn payload(&self) -> &[u8] {
        let at = self.at as usize;
        self.mapped.region.bytes(at + RECORD_HEADER + self.index_len as usize, at + self.len as usize)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without index and payload: they are somebody's data.
        f.debug_struct("Record").field("seq", &self.seq).field("len", &self.len).finish_non_exhaustive()
    }
}
