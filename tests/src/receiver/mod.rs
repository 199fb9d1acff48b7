//! The engine of the HTTP stand-ins: what every closed receiver has in common, without knowing any of them.
//!
//! A stand-in is a [`Receiver`] over its [`Rules`]. The engine listens (plain or TLS), reads HTTP/1.1 with keep-alive,
//! undoes gzip, deflate and zstd, injects faults, and records what was taken; the rules say what is demanded of a request, where an
//! event's identity and numbers stand in it, and what is answered.
//!
//! Always true: an event is recorded before the reply that confirms it is written, and never when the reply refuses it
//! (except a prefix before a bad event, where the receiver does that). Every breach of a documented rule is a
//! [`Violation`] that names its source, whatever was answered. That a credential is not accepted is no breach where an
//! administrator chose it; it is one where the client made it itself (a signature) or knows its end (an issued token).
//!
//! | fault | what it plays |
//! |---|---|
//! | [`Fault::Answer`], [`Fault::Status`] | any status with any body, `Retry-After` in either form |
//! | [`Fault::RefuseEvents`] | poison events, refused as that receiver would: each by itself or the whole batch |
//! | [`Fault::RefuseItems`] | a status for some items of a reply that judges each by itself |
//! | [`Fault::SlowReply`], [`Fault::Hang`] | an answer beyond the client's patience |
//! | [`Fault::CutBody`], [`Fault::CloseAfterBody`], [`Fault::CutReply`] | a connection that ends at the worst moment |
//! | [`Receiver::hold`] | a pause, so that what follows it is sent in full batches |
//! | [`Credentials`] | a credential that ends at a moment, another that begins |

mod credentials;
mod fault;
mod item;
mod places;
mod reply;
mod request;
mod rule;
mod server;
mod store;
#[cfg(test)]
mod tests;

pub use credentials::{Credentials, Issuer, Standing};
pub use fault::{Fault, Predicate};
pub use item::{Batch, Depth, Item, Refusals, Settled, Stop};
pub use places::{IDENTITY, JSON, Places, SHARED, STAMP, elements, lines, parse, read_json, read_value};
pub use reply::{Reply, RetryAfter};
pub use request::{Coding, Head, Request, form_fields, percent_decoded};
pub use rule::{Notes, Rule, Violation, http};
pub use store::{Keep, RequestLog};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::arrival::{Arrival, Arrivals};
use crate::ports::free_port;
use crate::wait::{try_wait_for, wait_until};
use server::{Listening, Shared};
use store::Store;

/// What one destination demands and answers.
pub trait Rules: Send + Sync + 'static {
    /// What it is called in messages.
    fn name(&self) -> &'static str;

    /// The codings of a body that are documented.
    fn codings(&self) -> &'static [Coding];

    /// The requests that faults are for unless they say otherwise.
    fn main_route(&self) -> Route {
        Route::Events
    }

    /// The documented end of a body's size, in bytes after decompression, and where that stands. Beyond it the answer is 413.
    fn body_limit(&self) -> Option<(usize, Rule)> {
        None
    }

    /// Its answer with this status, in its own words.
    fn answer(&self, status: u16) -> Reply;

    /// Judges a request by its head alone.
    ///
    /// # Errors
    /// The reply, where the head already decides; the body is read and thrown away then.
    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply>;

    /// Answers a request that carries no events; only after [`Route::Query`].
    fn query(&self, request: &Request, notes: &mut Notes) -> Reply {
        let _ = (request, notes);
        self.answer(404)
    }

    /// Reads the events, as far as this receiver would; only after [`Route::Events`].
    fn read<'a>(&self, request: &'a Request, depth: Depth, notes: &mut Notes) -> Batch<'a> {
        let _ = (request, depth, notes);
        Batch::default()
    }

    /// Takes a batch that could be read. What `refusals` names is refused in this receiver's way.
    fn settle(&self, request: &Request, items: &[Item<'_>], refusals: &Refusals<'_>) -> Settled {
        let _ = request;
        Settled::whole(items, refusals, || self.answer(200), |status| self.answer(status))
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It carries events.
    Events,
    /// It asks something.
    Query,
}

/// A stand-in on loopback.
pub struct Receiver<R: ?Sized> {
    rules: Arc<R>,
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
    /// Longest request body taken, in bytes, after decompression; longer ones get a 413. This is the administrator's
    /// limit: to exceed it breaks no documented rule.
    pub max_content_length: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { tls: None, keep: Keep::Events, max_content_length: BODY_MAX }
    }
}

/// Above every documented limit.
const BODY_MAX: usize = 128 * 1024 * 1024;

impl<R: Rules> Receiver<R> {
    /// Starts a receiver with `rules` on a free loopback port.
    pub fn open(rules: R, settings: Settings) -> Receiver<R> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let rules = Arc::new(rules);
        let shared = Arc::new(Shared::new(Arc::clone(&rules) as Arc<dyn Rules>, settings));
        let listening = Listening::open(address, &shared).expect("the port was free a moment ago");
        Receiver { rules, shared, address, listening: Some(listening) }
    }

    /// The same as a receiver of any kind, and apart from it its rules.
    pub fn any(self) -> (Receiver<dyn Rules>, Arc<R>) {
        let Receiver { rules, shared, address, listening } = self;
        let any = Arc::clone(&rules) as Arc<dyn Rules>;
        (Receiver { rules: any, shared, address, listening }, rules)
    }
}

impl<R: Rules + ?Sized> Receiver<R> {
    /// Its rules, with what can be turned on them.
    pub fn rules(&self) -> &R {
        &self.rules
    }

    /// Scheme, host and port, without a path.
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

    /// Listens again after [`Receiver::go_down`], on the same port.
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

    /// From now on every request with events (at a token endpoint: for a token) meets `fault`, and no other one set before. Requests that hang are dropped.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.set_fault(fault, None);
    }

    /// The next `times` of those requests meet `fault`; then all is well.
    pub fn set_fault_times(&self, times: u32, fault: Fault) {
        self.shared.set_fault(fault, Some(times));
    }

    /// Beside the faults set before: requests of any kind for which `when` is true meet `fault`, at most `times` of them. The first
    /// fault that applies is met. For [`Fault::CutBody`] the request is seen without its body.
    pub fn add_fault(&self, times: Option<u32>, when: impl Fn(&Request) -> bool + Send + Sync + 'static, fault: Fault) {
        self.shared.add_fault(fault, times, Some(Arc::new(when)));
    }

    /// How many requests met a fault since [`Receiver::set_fault`] or [`Receiver::set_fault_times`].
    pub fn met(&self) -> u64 {
        self.shared.met()
    }

    /// While `held`, requests wait before they are looked at: what comes meanwhile piles up at the client.
    pub fn hold(&self, held: bool) {
        self.shared.hold(held);
    }

    /// How many events were taken, repeated ones too.
    pub fn count(&self) -> usize {
        self.with(|store| store.arrivals.list.len())
    }

    /// How many generated events were taken, repeated ones too.
    pub fn generated(&self) -> usize {
        self.with(|store| store.generated)
    }

    /// How many different generated events were taken.
    pub fn distinct(&self) -> usize {
        self.with(|store| store.arrivals.distinct())
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

    /// How many requests came in, of any kind.
    pub fn request_count(&self) -> u64 {
        self.with(|store| store.request_count)
    }

    /// How many connections were opened.
    pub fn connection_count(&self) -> u64 {
        self.with(|store| store.connections)
    }

    /// How many requests are in work.
    pub fn at_once(&self) -> u64 {
        self.with(|store| store.at_once)
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
        assert!(violations.is_empty(), "the agent broke the rules of {}: {violations:#?}", self.rules.name());
    }

    /// Forgets what was taken (not the violations).
    pub fn forget(&self) {
        self.with(|store| store.forget());
    }

    /// Waits until at least `count` different generated events were taken.
    #[track_caller]
    pub fn wait_distinct(&self, count: usize, within: Duration) {
        let are_here = || (self.generated() >= count && self.distinct() >= count).then_some(());
        let (name, seconds) = (self.rules.name(), within.as_secs_f64());
        assert!(
            try_wait_for(within, are_here).is_some(),
            "not within {seconds} s: {count} different events at the {name} receiver; it has {}",
            self.distinct()
        );
    }

    fn with<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        look(&mut self.shared.store())
    }
}
