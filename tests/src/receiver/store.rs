//! What the receiver remembers.

use std::time::{Duration, Instant};

use super::item::Item;
use super::rule::Violation;
use crate::arrival::{Arrival, Arrivals};
use crate::generator::Key;

/// What is kept of what comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Which events came, in some 80 bytes each; the agent's own events whole.
    Keys,
    /// The bytes of each event.
    Events,
    /// The bytes of each event and of each body, also of those that were refused.
    Bodies,
}

/// One request.
#[derive(Clone, Debug)]
pub struct RequestLog {
    /// Its number at this receiver, from 1; what arrived with it says the same.
    pub number: u64,
    /// The path of its target.
    pub path: String,
    /// When its head was complete.
    pub at: Instant,
    /// When it was answered or dropped.
    pub ended: Instant,
    /// The status answered; 0 when there was no whole reply.
    pub status: u16,
    /// How many events it carried, up to the first bad one.
    pub events: usize,
    /// How many of those were generated ones.
    pub generated: usize,
    /// Which of those were not taken.
    pub left: Vec<Key>,
    /// Length of the body after decompression, in bytes.
    pub body_bytes: usize,
    /// Length of the body on the wire, in bytes.
    pub wire_bytes: usize,
    /// Which connection it came on, from 1.
    pub connection: u64,
}

#[derive(Default)]
pub(super) struct Store {
    pub(super) arrivals: Arrivals,
    pub(super) generated: usize,
    pub(super) requests: Vec<RequestLog>,
    pub(super) request_count: u64,
    pub(super) connections: u64,
    pub(super) at_once: u64,
    pub(super) most_at_once: u64,
    pub(super) violations: Vec<Violation>,
    pub(super) bodies: Vec<Vec<u8>>,
}

/// Beyond this, requests are only counted.
const REQUESTS_KEPT: usize = 100_000;
/// Beyond this, one more says nothing new.
const VIOLATIONS_KEPT: usize = 100;
const ARRIVALS_RESERVED: usize = 1 << 16;

impl Store {
    pub(super) fn new() -> Store {
        let mut store = Store::default();
        store.arrivals.list.reserve(ARRIVALS_RESERVED);
        store
    }

    /// Records the items for which `taken` says so.
    pub(super) fn take(&mut self, items: &[Item<'_>], taken: &[bool], request: u64, keep: Keep) {
        let at = Instant::now();
        for (item, _) in items.iter().zip(taken).filter(|(_, taken)| **taken) {
            let is_kept = keep != Keep::Keys || item.key.is_none();
            let stream = item.stream.as_deref().map(|name| self.arrivals.stream(name));
            self.generated += usize::from(item.key.is_some());
            self.arrivals.list.push(Arrival {
                at,
                request,
                key: item.key,
                stream,
                n: item.n,
                raw: is_kept.then(|| item.event.as_ref().into()),
            });
        }
    }

    pub(super) fn log(&mut self, entry: RequestLog) {
        if self.requests.len() < REQUESTS_KEPT {
            self.requests.push(entry);
        }
    }

    pub(super) fn violated(&mut self, violations: impl IntoIterator<Item = Violation>) {
        let room = VIOLATIONS_KEPT - self.violations.len();
        self.violations.extend(violations.into_iter().take(room));
    }

    pub(super) fn forget(&mut self) {
        self.arrivals = Arrivals::default();
        self.generated = 0;
        self.requests.clear();
        self.request_count = 0;
        self.most_at_once = self.at_once;
        self.bodies.clear();
    }
}

/// How long the receiver waits for the rest of a request before it gives the connection up.
pub(super) const REQUEST_WITHIN: Duration = Duration::from_secs(60);
