//! What a receiver took, in the order in which it took it.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::Value;

use crate::generator::Key;

/// One event at a receiver.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When the receiver had all of it.
    pub at: Instant,
    /// Number of the request (or connection, for syslog) it came in, from 1.
    pub request: u64,
    /// Which generated event it is; `None` for the agent's own events and for anything foreign.
    pub key: Option<Key>,
    /// Index of its stream in [`Arrivals::streams`]; `None` for events out of band.
    pub stream: Option<u32>,
    /// Its number in the stream.
    pub n: Option<u64>,
    /// The event's own bytes. Kept for the agent's own events always, for others where the receiver was told to.
    pub raw: Option<Box<[u8]>>,
}

/// Everything a receiver took.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// In order of arrival.
    pub list: Vec<Arrival>,
    /// The streams' names, as on the wire.
    pub streams: Vec<String>,
    by_name: HashMap<String, u32>,
}

impl Arrivals {
    /// The index of the stream called `name`.
    pub fn stream(&mut self, name: &str) -> u32 {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = u32::try_from(self.streams.len()).expect("a test has fewer than 2^32 streams");
        self.streams.push(name.to_owned());
        self.by_name.insert(name.to_owned(), index);
        index
    }

    /// The agent's own events with their place in the order of arrival, parsed, oldest first.
    pub fn own_events(&self) -> impl Iterator<Item = (usize, Value)> {
        self.list.iter().enumerate().filter(|(_, arrival)| arrival.key.is_none()).filter_map(|(place, arrival)| {
            let event: Value = serde_json::from_slice(arrival.raw.as_deref()?).ok()?;
            let is_own = event["action"].as_str().is_some_and(|action| action.starts_with("siem."));
            is_own.then_some((place, event))
        })
    }

    /// The agent's own events with the action `action`.
    pub fn own(&self, action: &str) -> Vec<(usize, Value)> {
        self.own_events().filter(|(_, event)| event["action"] == action).collect()
    }

    /// Adds what a receiver's own files say: an event with the id `event_id`, the name of its stream and its number.
    /// `raw` is the event as the receiver holds it. Nothing is known of when and how it came.
    pub fn push_stored(&mut self, event_id: Option<&str>, stream: Option<&str>, n: Option<u64>, raw: &[u8]) {
        let key = event_id.and_then(Key::parse);
        let stream = stream.map(|name| self.stream(name));
        self.list.push(Arrival { at: Instant::now(), request: 0, key, stream, n, raw: Some(raw.into()) });
    }

    /// How many different generated events are here.
    pub fn distinct(&self) -> usize {
        let mut keys: Vec<Key> = self.list.iter().filter_map(|arrival| arrival.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.len()
    }
}

/// Looks a field up in one of the agent's own events: at the top or in its payload.
pub fn own_field<'a>(event: &'a Value, name: &str) -> &'a Value {
    match event.get(name) {
        Some(found) => found,
        None => &event["payload"][name],
    }
}
