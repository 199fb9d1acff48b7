//! What the configuration means for the log and for intake, in their own terms.

use std::fs;
use std::io;
use std::path::Path;

use scaidrive_wal::{self as wal, ByteCount};

use crate::config::{Buffer, Durability, Ingest};
use crate::ingest::{self, HttpSettings, Token, UnixSettings, Window};

impl Buffer {
    /// How a shard's log is kept.
    pub(super) fn options(&self, shard: usize) -> wal::Options {
        wal::Options {
            shard: shard as u32,
            segment_size: u32::try_from(self.segment_size).unwrap_or(u32::MAX),
            window_ms: self.window.0,
            durability: match self.durability {
                Durability::Fsync => wal::Durability::Fsync,
                Durability::Interval(every) => wal::Durability::Interval { every_ms: every.0 },
                Durability::Os => wal::Durability::Os,
            },
            min_free: ByteCount::new(self.min_free_bytes),
            min_free_percent: self.min_free_percent,
            populate_ahead: POPULATE_AHEAD,
            ..wal::Options::default()
        }
    }

    /// How many segments all logs together may have.
    pub(super) fn segments(&self) -> u64 {
        self.max_size / self.segment_size
    }
}

impl Durability {
    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Durability::Fsync => "fsync",
            Durability::Interval(_) => "interval",
            Durability::Os => "os",
        }
    }
}

impl Ingest {
    /// How events are taken in.
    ///
    /// # Errors
    /// When the socket's group does not exist.
    pub(super) fn settings(&self, state_dir: &Path) -> io::Result<ingest::Settings> {
        let unix = match &self.unix {
            Some(unix) => Some(UnixSettings {
                path: unix.path.clone(),
                mode: unix.mode,
                gid: unix.group.as_deref().map(group).transpose()?,
                allow_uids: unix.allow_uids.clone(),
            }),
            None => None,
        };
        let http = self.http.as_ref().map(|http| HttpSettings {
            listen: http.listen,
            token: http.token.as_ref().map(|secret| Token::new(secret.reveal())),
            hosts: http.hosts.clone(),
        });
        Ok(ingest::Settings {
            unix,
            http,
            max_event_size: self.max_event_size,
            window: Window { bytes: self.window_bytes as u64, lines: self.window_lines as u64 },
            quarantine: state_dir.join("quarantine"),
        })
    }
}

/// The number of a group, by name (group(5)) or as digits.
fn group(name: &str) -> io::Result<u32> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let groups = fs::read_to_string("/etc/group")?;
    let number = |line: &str| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("there is no group {name} in /etc/group"));
    groups.lines().find_map(number).ok_or_else(unknown)
}

/// Bytes of the log made present ahead of the writer. Each sync writes back, and write-protects, whatever is present and
/// dirty, so what is not needed soon is better left alone: under load the log moves about as far between two syncs.
const POPULATE_AHEAD: u32 = 2 << 20;
