//! The application: it writes events, keeps what was acknowledged, and can say so afterwards.

mod events;
mod http;
mod session;
mod socket;

pub use events::{Key, Sequence, TENANT_PREFIX, event_line, write_event};
pub use http::{HttpWriter, INGEST_PATH, refused_lines};
pub use session::{Refusal, Session};
pub use socket::{Producer, Workload};

use std::collections::HashMap;

/// What became of a producer's events, from its own point of view.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Acknowledged and not refused, in the order in which they were written first.
    pub acked: Vec<Key>,
    /// Written at least once without an acknowledgement: they may or may not arrive.
    pub unacked: Vec<Key>,
    /// Refused by the agent, with its reason.
    pub refused: Vec<(Key, String)>,
    /// How often an event was written, where that is more than once.
    pub resent: HashMap<Key, u32>,
    /// What the agent said while it let the producer wait.
    pub waits: Vec<String>,
    /// Why the agent closed connections, where it said so.
    pub errors: Vec<String>,
    /// Connections after the first.
    pub reconnects: u32,
}

impl Ledger {
    /// How often `key` was written.
    pub fn sends(&self, key: Key) -> u32 {
        self.resent.get(&key).copied().unwrap_or(1)
    }

    /// Adds another producer's ledger to this one.
    pub fn merge(&mut self, other: Ledger) {
        self.acked.extend(other.acked);
        self.unacked.extend(other.unacked);
        self.refused.extend(other.refused);
        for (key, sends) in other.resent {
            *self.resent.entry(key).or_insert(0) += sends;
        }
        self.waits.extend(other.waits);
        self.errors.extend(other.errors);
        self.reconnects += other.reconnects;
    }
}
