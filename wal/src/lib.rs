//! The memory-mapped segment log of the ScaiDrive SIEM agent.
//!
//! A [`Log`] is one shard's directory of segment files. Its shard appends, reads and trims; a [`Syncer`]
//! makes what was appended durable, and a [`Keeper`] does everything else that may wait for the disk.
//! This crate knows bytes, sequence numbers and time. It knows nothing of events, JSON or networks.
//!
//! What is always true:
//! - What [`Log::ack_end`] has passed survives a power cut (with [`Durability::Fsync`]).
//! - A record that is read is, bit by bit, the one that was appended under its number.
//! - What was promised and cannot be read is reported, and nothing else is.
//! - A log opens whatever its files hold, and needs no free space for it.
//! - A position only moves forward.
//!
//! Where to start reading: `format` has the bytes, `recovery` the rules that were chosen by simulation,
//! `log` what a shard does, `syncer` and `keeper` what the helpers do, `map` the unsafe code.

mod budget;
mod closing;
mod cursor;
mod cursors;
mod disk;
mod format;
pub mod inspect;
mod keeper;
mod lock;
mod log;
mod map;
mod mapped;
mod number;
mod options;
mod read;
mod reading;
mod recovery;
mod report;
mod rescue;
mod rolling;
mod scan;
mod shared;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod syncer;

pub use budget::Budget;
pub use closing::Closing;
pub use cursor::{CURSOR_BODY_MAX, CURSORS_MAX, CursorError, CursorKey, CursorTicket};
pub use disk::{Access, Disk, FileInfo, PlainFile, RegionFile, Space};
pub use format::VERSION as FORMAT_VERSION;
pub use keeper::Keeper;
pub use lock::{DirectoryLock, LockError};
pub use log::Log;
pub use map::{Region, install_sigbus_handler};
pub use mapped::MappedDisk;
pub use number::{ByteCount, LogTime, Seq, WallTime};
pub use options::{Durability, Options, SEGMENT_SIZE_MIN};
pub use read::{Position, Read, Record};
pub use recovery::DAMAGE_MAX;
pub use report::{AppendError, Damage, Failure, NewRecord, OpenError, Opened, Room, SegmentInfo};
pub use syncer::{SyncJob, Syncer};
