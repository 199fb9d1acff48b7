//! How events come in: a Unix socket of JSON lines, and HTTP.
//!
//! Each line is framed, validated and indexed once, given to the shard that owns its tenant, and acknowledged when it is
//! durable there. What is refused is answered, counted and kept in the quarantine file. No text of an event is ever logged.
//!
//! | file | what it does | thread |
//! |---|---|---|
//! | [`server`] | accepts on the Unix socket, serves HTTP | its own, with a small tokio runtime |
//! | [`connection`], [`desk`] | one producer's socket, from bytes to acks | the shard the connection was given to |
//! | [`lines`], [`ledger`], [`acks`] | framing, what is settled, what is told; no I/O | |
//! | [`http`] | `POST /v1/events` | the server's |
//! | [`quarantine`], [`stats`], [`stop`] | what was refused, what was counted, when to stop | any |
//!
//! The server hands an accepted socket to a shard and is out of the way; events of a socket whose tenant lives on that
//! shard go straight from the read buffer into the log.

pub mod acks;
pub mod connection;
mod desk;
#[cfg(test)]
pub(crate) mod double;
pub mod http;
pub mod ledger;
pub mod lines;
pub mod quarantine;
pub mod server;
pub mod stats;
pub mod stop;
pub mod unix;

use std::path::PathBuf;
use std::sync::Arc;

pub use crate::ingest::http::{HttpSettings, Token};
pub use crate::ingest::ledger::Window;
pub use crate::ingest::quarantine::Quarantine;
pub use crate::ingest::server::{IngestThread, StartError, start};
pub use crate::ingest::stats::IngestStats;
pub use crate::ingest::stop::Stop;
pub use crate::ingest::unix::UnixSettings;
use scaidrive_codecs::{Index, Refusal, index, unbreak_lines};

/// What intake is configured to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The socket, if there is one.
    pub unix: Option<UnixSettings>,
    /// HTTP, if it is on.
    pub http: Option<HttpSettings>,
    /// The longest event, in bytes.
    pub max_event_size: usize,
    /// How much of a connection may be unacknowledged.
    pub window: Window,
    /// The quarantine file.
    pub quarantine: PathBuf,
}

/// What everything that takes events in shares.
#[derive(Debug)]
pub struct Intake {
    /// The longest event, in bytes.
    pub max_event_size: usize,
    /// How much of a connection may be unacknowledged.
    pub window: Window,
    /// Where refused lines go.
    pub quarantine: Arc<Quarantine>,
    /// Says when to stop.
    pub stop: Stop,
    /// The counts of each shard's connections; only that shard's thread writes them.
    pub shards: Box<[IngestStats]>,
    /// The counts of the server's thread: HTTP, and sockets turned away.
    pub server: IngestStats,
}

impl Intake {
    /// What intake for so many shards shares.
    pub fn new(settings: &Settings, shards: usize) -> Arc<Intake> {
        Arc::new(Intake {
            max_event_size: settings.max_event_size,
            window: settings.window,
            quarantine: Quarantine::new(settings.quarantine.clone()),
            stop: Stop::default(),
            shards: (0..shards).map(|_| IngestStats::default()).collect(),
            server: IngestStats::default(),
        })
    }

    /// Every thread's counts.
    pub fn stats(&self) -> impl Iterator<Item = &IngestStats> {
        self.shards.iter().chain(std::iter::once(&self.server))
    }
}

/// Validates and indexes a line; line breaks between its tokens become spaces where they lie.
pub(crate) fn index_line(raw: &mut [u8]) -> Result<Index, Refusal> {
    match index(raw) {
        // Rare, so that the usual line is walked once.
        Err(Refusal::LineBreak { .. }) => {
            unbreak_lines(raw);
            index(raw)
        }
        judged => judged,
    }
}

/// A reason short enough to keep and send, whatever it quotes.
fn short(mut reason: String) -> String {
    let mut end = REASON_MAX.min(reason.len());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}

/// Longest reason told for one line, in bytes.
const REASON_MAX: usize = 200;

/// The reason given for a line over the size limit.
fn too_long(bytes: u64, max: usize) -> String {
    format!("the event has {bytes} bytes; ingest.max_event_size allows {max}")
}
