//! What the stand-in saw of one share of events.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use scaidrive_tests::arrival::Arrivals;
use scaidrive_tests::generator::Key;
use scaidrive_tests::receiver::RequestLog;

/// See the module.
pub(super) struct Seen {
    /// The requests, in the order in which they came.
    pub(super) requests: Vec<RequestLog>,
    /// What was taken.
    pub(super) arrivals: Arrivals,
    /// How many arrivals were not the first of their event.
    pub(super) duplicates: usize,
    /// Requests, also for tokens, that were refused for their credential.
    pub(super) refused_credentials: usize,
    /// From the first event written to the last one settled.
    pub(super) took: Duration,
}

impl Seen {
    /// How many requests would not have been without the fault: they carried an event again, or came to nothing before
    /// any event of theirs was read.
    pub(super) fn more(&self) -> usize {
        let mut carried: HashMap<u64, Vec<Key>> = HashMap::new();
        for arrival in &self.arrivals.list {
            carried.entry(arrival.request).or_default().extend(arrival.key);
        }
        let mut known: HashSet<Key> = HashSet::new();
        let mut more = 0;
        for request in &self.requests {
            let taken = carried.remove(&request.number).unwrap_or_default();
            let is_unread = request.events == 0 && !(200..300).contains(&request.status);
            let is_repeat = taken.iter().chain(&request.left).filter(|key| !known.insert(**key)).count() > 0;
            more += usize::from(is_unread || is_repeat);
        }
        more
    }

    /// How many events the first request had that carried `key` in vain.
    pub(super) fn batch_of(&self, key: Key) -> Option<usize> {
        self.requests.iter().find(|request| request.left.contains(&key)).map(|request| request.events)
    }

    /// An event as it arrived.
    pub(super) fn bytes_of(&self, key: Key) -> Option<&[u8]> {
        self.arrivals.list.iter().find(|arrival| arrival.key == Some(key))?.raw.as_deref()
    }
}
