//! What a stand-in took, and what it found wrong with it.

use std::collections::HashSet;

use super::{Message, record};
use crate::arrival::Arrivals;
use crate::generator::Key;

/// Everything that one of our own receivers took.
#[derive(Default)]
pub(super) struct Taken {
    /// In order of arrival.
    pub(super) arrivals: Arrivals,
    /// Breaches of the grammar or the framing, at most [`ERRORS_KEPT`].
    pub(super) errors: Vec<String>,
    /// The different generated events among the arrivals.
    pub(super) seen: HashSet<Key>,
    /// Those of them that say that something was left out of them.
    pub(super) shortened: HashSet<Key>,
}

const ERRORS_KEPT: usize = 100;

impl Taken {
    /// Takes one message that came on connection `number`. `keep` keeps the event's bytes.
    pub(super) fn take(&mut self, bytes: &[u8], number: u64, keep: bool) {
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(error) => return self.complain(format!("{error}: {}", String::from_utf8_lossy(bytes))),
        };
        record(&mut self.arrivals, &message, number, keep);
        if let Some(key) = self.arrivals.list.last().and_then(|arrival| arrival.key) {
            self.seen.insert(key);
            if message.param("truncated") == Some("true") {
                self.shortened.insert(key);
            }
        }
    }

    /// Notes a breach.
    pub(super) fn complain(&mut self, error: String) {
        if self.errors.len() < ERRORS_KEPT {
            self.errors.push(error);
        }
    }
}
