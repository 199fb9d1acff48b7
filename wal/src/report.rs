//! What goes into the log's calls and comes out of them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::number::{ByteCount, LogTime, Seq, WallTime};

/// What to append.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// The machine's clock, for people.
    pub wall: WallTime,
    /// The tenant's hash, for readers that look for one tenant.
    pub tenant_hash: u64,
    /// Whatever the caller wants to know without reading the body.
    pub flags: u16,
    /// The caller's index of the payload.
    pub index: &'a [u8],
    /// The event.
    pub payload: &'a [u8],
}

/// Why a record was not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The keeper has not made room yet. The shard is woken when it has.
    #[error("the log is making room")]
    WaitForKeeper,
    /// The active segment is full and there is no spare.
    #[error("the log has no spare segment: {why}")]
    NoSpare {
        /// Why there is none.
        why: Arc<str>,
    },
    /// The record is longer than a segment holds.
    #[error("a record of {len} bytes does not fit into a segment, which holds {max}")]
    TooLarge {
        /// Bytes of the record with its header.
        len: usize,
        /// Most bytes of a record with its header.
        max: usize,
    },
    /// The log failed for good; [`Log::take_failure`](crate::Log::take_failure) says why.
    #[error("the log has failed")]
    Failed,
}

/// Whether a record can be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// Yes.
    Ready,
    /// Not yet; the shard is woken when it can.
    WaitForKeeper,
    /// No, and somebody has to do something: trim, or make room on the disk.
    NoSpare {
        /// Why there is no spare segment.
        why: Arc<str>,
    },
}

/// What a failed sync, or a page that could not be written, came to.
#[derive(Debug)]
pub struct Failure {
    /// Everything from here on was unacknowledged. What is not `lost` was copied into a new segment
    /// under its old number and is acknowledged when that is durable.
    pub rescued: Range<Seq>,
    /// What could not be read back. Its producers still own it.
    pub lost: Vec<Range<Seq>>,
    /// What the disk said.
    pub cause: io::Error,
}

/// Why a log cannot be opened. Damaged content is never a reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be read or written.
    #[error("cannot use the log's directory: {what}")]
    Directory {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// What opening found.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Number of the oldest record held, or of the next one if none is.
    pub first: Seq,
    /// Number of the next record.
    pub next: Seq,
    /// The durable line: everything below was durable before.
    pub durable_line: Seq,
    /// The largest log time of any record.
    pub log_time: LogTime,
    /// The log was closed in order.
    pub was_clean: bool,
    /// What was promised and cannot be read, at most [`crate::DAMAGE_MAX`] entries.
    pub damage: Vec<Damage>,
    /// Files of a newer format, by their names in `newer/`.
    pub set_aside: Vec<String>,
    /// Records can be taken at once.
    pub has_spare: bool,
    /// Why not, if so.
    pub no_spare: Option<Arc<str>>,
}

/// Records that were promised and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Their numbers.
    pub seqs: Range<Seq>,
    /// The file.
    pub segment: String,
    /// Where in the file.
    pub bytes: Range<u64>,
}

/// What is known of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its first number.
    pub base: Seq,
    /// First number after it.
    pub end: Seq,
    /// Log times of its first and last record.
    pub log_times: (LogTime, LogTime),
    /// Wall times of its first and last record.
    pub wall_times: (WallTime, WallTime),
    /// Length of its file.
    pub bytes_on_disk: ByteCount,
    /// Bytes of its records.
    pub bytes_used: ByteCount,
    /// Closed with a durable footer.
    pub is_sealed: bool,
    /// Still appended to.
    pub is_active: bool,
    /// Records in it, the log's own marks included.
    pub records: u64,
}
