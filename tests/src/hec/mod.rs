//! A stand-in for Splunk's HTTP Event Collector that is as strict as the documentation allows, and that can fail on request.
//!
//! Always true: an event is recorded before the reply that confirms it is written, and never when the reply refuses it
//! (except a prefix before a bad event, as Splunk does). Every breach of a documented rule is a [`Violation`], whatever was answered.

mod body;
mod fault;
mod rules;
mod server;
mod store;
#[cfg(test)]
mod tests;

pub use fault::{Fault, Predicate, Reply};
pub use rules::{Rule, Violation};
pub use store::{Keep, RequestLog};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::arrival::{Arrival, Arrivals};
use crate::ports::free_port;
use crate::wait::wait_until;
use server::{Listening, Shared};
use store::Store;

/// The token that the receiver accepts.
pub const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

/// A receiver on loopback.
pub struct Hec {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Option<Listening>,
}

/// How a receiver is set up.
pub struct Settings {
    /// Serves TLS with this certificate; plain HTTP when absent.
    pub tls: Option<Arc<ServerConfig>>,
    /// What is kept of each event.
    pub keep: Keep,
    /// Longest request body taken, in bytes, after decompression; longer ones get a 413.
    pub max_content_length: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { tls: None, keep: Keep::Events, max_content_length: 2_000_000 }
    }
}

impl Hec {
    /// Starts a receiver on a free loopback port.
    pub fn start(settings: Settings) -> Hec {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let shared = Arc::new(Shared::new(settings));
        let listening = Listening::open(address, &shared).expect("the port was free a moment ago");
        Hec { shared, address, listening: Some(listening) }
    }

    /// A plain-HTTP receiver that keeps whole events.
    pub fn plain() -> Hec {
        Hec::start(Settings::default())
    }

    /// A plain-HTTP receiver that keeps which events came, not their bytes: for long runs.
    pub fn counting() -> Hec {
        Hec::start(Settings { keep: Keep::Keys, ..Settings::default() })
    }

    /// What goes into the destination's `url`.
    pub fn url(&self) -> String {
        let scheme = if self.shared.is_tls() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.address.port())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection and refuses new ones.
    pub fn go_down(&mut self) {
        self.listening = None;
    }

    /// Listens again after [`Hec::go_down`], on the same port.
    pub fn come_up(&mut self) {
        if self.listening.is_none() {
            let mut opened = None;
            wait_until("the receiver's port is free again", Duration::from_secs(10), || {
                opened = Listening::open(self.address, &self.shared).ok();
                opened.is_some()
            });
            self.listening = opened;
        }
    }

    /// From now on every request meets `fault`. Requests that hang are dropped.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.set_fault(fault, None);
    }

    /// The next `times` requests meet `fault`; then all is well.
    pub fn set_fault_times(&self, times: u32, fault: Fault) {
        self.shared.set_fault(fault, Some(times));
    }

    /// From now on only `token` is valid.
    pub fn set_token(&self, token: &str) {
        self.shared.set_token(token);
    }

    /// How many events were taken, repeated ones too.
    pub fn count(&self) -> usize {
        self.with(|store| store.arrivals.list.len())
    }

    /// How many generated events were taken, repeated ones too.
    pub fn generated(&self) -> usize {
        self.with(|store| store.generated)
    }

    /// A copy of everything that was taken.
    pub fn arrivals(&self) -> Arrivals {
        self.with(|store| store.arrivals.clone())
    }

    /// The newest event taken.
    pub fn last(&self) -> Option<Arrival> {
        self.with(|store| store.arrivals.list.last().cloned())
    }

    /// Every body, after decompression; only with [`Keep::Bodies`].
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.with(|store| store.bodies.clone())
    }

    /// Every request that was answered or dropped, oldest first.
    pub fn requests(&self) -> Vec<RequestLog> {
        self.with(|store| store.requests.clone())
    }

    /// How many requests came in.
    pub fn request_count(&self) -> u64 {
        self.with(|store| store.request_count)
    }

    /// How many connections were opened.
    pub fn connection_count(&self) -> u64 {
        self.with(|store| store.connections)
    }

    /// The largest number of requests that were in work at the same time.
    pub fn most_at_once(&self) -> u64 {
        self.with(|store| store.most_at_once)
    }

    /// Breaches of the documented protocol.
    pub fn violations(&self) -> Vec<Violation> {
        self.with(|store| store.violations.clone())
    }

    /// # Panics
    /// When the sender broke a documented rule.
    #[track_caller]
    pub fn assert_no_violations(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "the agent broke HEC's rules: {violations:#?}");
    }

    /// Forgets what was taken (not the violations).
    pub fn forget(&self) {
        self.with(|store| store.forget());
    }

    /// Waits until at least `count` different generated events were taken.
    #[track_caller]
    pub fn wait_distinct(&self, count: usize, within: Duration) {
        wait_until(
            &format!("{count} different events at the HEC receiver (it has {})", self.generated()),
            within,
            || self.generated() >= count && self.with(|store| store.arrivals.distinct()) >= count,
        );
    }

    fn with<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        look(&mut self.shared.store())
    }
}
