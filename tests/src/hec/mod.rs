//! A stand-in for Splunk's HTTP Event Collector that is as strict as the documentation allows, with indexer
//! acknowledgement, and that can fail on request.

mod ack;
mod body;
pub mod rules;
#[cfg(test)]
mod tests;

pub use crate::receiver::{Fault, Keep, Predicate, RequestLog, RetryAfter, Rule, Settings, Violation};
pub use ack::Fate;

use std::sync::{Mutex, MutexGuard};

use serde::Deserialize;

use crate::receiver::{
    Batch, Coding, Credentials, Depth, Head, Item, Notes, Receiver, Refusals, Reply, Request, Route, Rules, Settled,
    Stop,
};
use ack::Acks;
use body::read_items;

/// The token that the receiver accepts.
pub const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

/// A collector on loopback.
pub type Hec = Receiver<Splunk>;

/// Splunk's rules, and what an administrator can turn on them.
#[derive(Debug)]
pub struct Splunk {
    tokens: Credentials,
    turned: Mutex<Turned>,
}

#[derive(Debug, Default)]
struct Turned {
    uses_acks: bool,
    acks: Acks,
    indexes: Option<Vec<String>>,
    warning: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AckQuery {
    acks: Vec<u64>,
}

/// What older releases take, in bytes.
const CONTENT_MAX: usize = 2_000_000;
const PATHS: &[&str] = &["/services/collector/event", "/services/collector", "/services/collector/event/1.0"];
const HEALTH_PATHS: &[&str] = &["/services/collector/health", "/services/collector/health/1.0"];
/// Where it is asked what was indexed.
pub const ACK_PATH: &str = "/services/collector/ack";
const CHANNEL_HEADER: &str = "x-splunk-request-channel";

/// Splunk's answer with a code and a text (Splunk, "Troubleshoot HTTP Event Collector": possible error codes).
pub fn reply(status: u16, code: u16, text: &str) -> Reply {
    Reply::json(status, format!("{{\"text\":\"{text}\",\"code\":{code}}}"))
}

/// The same for a batch of which event number `number` is bad.
pub fn reply_naming(status: u16, code: u16, text: &str, number: usize) -> Reply {
    Reply::json(status, format!("{{\"text\":\"{text}\",\"code\":{code},\"invalid-event-number\":{number}}}"))
}

impl Hec {
    /// Starts a receiver on a free loopback port.
    pub fn start(settings: Settings) -> Hec {
        let max_content_length = settings.max_content_length.min(CONTENT_MAX);
        Receiver::open(Splunk::new(), Settings { max_content_length, ..settings })
    }

    /// A plain-HTTP receiver that keeps whole events.
    pub fn plain() -> Hec {
        Hec::start(Settings::default())
    }

    /// A plain-HTTP receiver that keeps which events came, not their bytes: for long runs.
    pub fn counting() -> Hec {
        Hec::start(Settings { keep: Keep::Keys, ..Settings::default() })
    }

    /// From now on only `token` is valid.
    pub fn set_token(&self, token: &str) {
        self.rules().tokens.only(token);
    }
}

impl Splunk {
    fn new() -> Splunk {
        Splunk { tokens: Credentials::of(TOKEN), turned: Mutex::default() }
    }

    /// The tokens.
    pub fn tokens(&self) -> &Credentials {
        &self.tokens
    }

    /// Switches the tokens' `useACK` on or off.
    pub fn use_acks(&self, on: bool) {
        self.turned().uses_acks = on;
    }

    /// While `held`, no ack id becomes true.
    pub fn hold_acks(&self, held: bool) {
        self.turned().acks.held = held;
    }

    /// What becomes of the next batches that are answered with an ack id, one each.
    pub fn next_fates(&self, fates: &[Fate]) {
        self.turned().acks.meet(fates.iter().copied());
    }

    /// A balancer stands before several indexers: a channel's ids are answered only with the cookie that its first
    /// reply set.
    pub fn demand_cookie(&self) {
        self.turned().acks.demands_cookie = true;
    }

    /// The balancer forgets its sessions: ids given out so far stay `false`, and channels get new cookies.
    pub fn expire_sessions(&self) {
        self.turned().acks.expire_sessions();
    }

    /// The indexes that the tokens may write to; one outside them fails the whole request with code 7.
    pub fn allow_indexes(&self, indexes: &[&str]) {
        self.turned().indexes = Some(indexes.iter().map(|index| (*index).to_owned()).collect());
    }

    /// Answers success with this code: 24 (queue) or 25 (acks) when capacity runs short, else 0.
    pub fn warn(&self, code: Option<u16>) {
        self.turned().warning = code;
    }

    fn turned(&self) -> MutexGuard<'_, Turned> {
        self.turned.lock().expect("no holder panics")
    }

    /// 401 and 403 by themselves are the administrator's fault; only the form is the sender's.
    fn check_authorization(&self, head: &Head, notes: &mut Notes) -> Result<(), Reply> {
        let Some(value) = head.header("authorization") else {
            notes.breach(rules::AUTHORIZATION, "none");
            return Err(reply(401, 2, "Token is required"));
        };
        let Some(given) = value.strip_prefix("Splunk ") else {
            notes.breach(rules::AUTHORIZATION, "another scheme");
            return Err(reply(401, 3, "Invalid authorization"));
        };
        if self.tokens.accepts(given) { Ok(()) } else { Err(self.answer(403)) }
    }

    /// A channel is in the header or, for an ack query, in the target.
    fn check_channel(&self, head: &Head, notes: &mut Notes) -> Result<(), Reply> {
        match channel(head) {
            Some(channel) if !is_guid(&channel) => {
                notes.breach(rules::CHANNEL_IS_GUID, channel);
                Err(reply(400, 11, "Invalid data channel"))
            }
            None if self.turned().uses_acks => {
                notes.breach(rules::CHANNEL, "none");
                Err(reply(400, 10, "Data channel is missing"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the request reaches the indexer that its channel lives on.
    fn has_cookie(&self, head: &Head, notes: &mut Notes) -> bool {
        let turned = self.turned();
        let Some(expected) = channel(head).and_then(|channel| turned.acks.cookie(&channel).map(str::to_owned)) else {
            return true;
        };
        let found = head.cookie(ack::COOKIE);
        if turned.acks.demands_cookie && !found.is_some_and(|found| found.starts_with(&expected)) {
            notes.breach(rules::COOKIE, format!("{found:?}"));
            return false;
        }
        true
    }
}

impl Rules for Splunk {
    fn name(&self) -> &'static str {
        "HEC"
    }

    fn codings(&self) -> &'static [Coding] {
        &[Coding::Gzip]
    }

    fn answer(&self, status: u16) -> Reply {
        let (code, text) = match status {
            400 => (6, "Invalid data format"),
            401 => (2, "Token is required"),
            403 => (4, "Invalid token"),
            404 => (404, "The requested URL was not found on this server."),
            405 => (405, "Method not allowed"),
            411 => (6, "Length required"),
            // Not in the table of codes.
            413 => return Reply::text(413, "Request entity too large"),
            415 => (6, "Unsupported coding"),
            429 => (26, "Queue is at capacity"),
            503 => (9, "Server is busy"),
            _ => (8, "Internal server error"),
        };
        reply(status, code, text)
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        self.check_authorization(head, notes)?;
        let path = head.path.as_str();
        if head.method == "GET" && HEALTH_PATHS.contains(&path) {
            return Err(reply(200, 17, "HEC is healthy"));
        }
        if !PATHS.contains(&path) && path != ACK_PATH {
            notes.breach(rules::PATH, path);
            return Err(self.answer(404));
        }
        if head.method != "POST" {
            notes.breach(rules::METHOD, &head.method);
            return Err(self.answer(405));
        }
        if path == ACK_PATH && !self.turned().uses_acks {
            return Err(reply(400, 14, "ACK is disabled"));
        }
        self.check_channel(head, notes)?;
        Ok(if path == ACK_PATH { Route::Query } else { Route::Events })
    }

    fn query(&self, request: &Request, notes: &mut Notes) -> Reply {
        let Ok(query) = serde_json::from_slice::<AckQuery>(&request.body) else {
            notes.breach(rules::ACK_QUERY, String::from_utf8_lossy(&request.body));
            return self.answer(400);
        };
        let is_home = self.has_cookie(&request.head, notes);
        let channel = channel(&request.head).unwrap_or_default();
        let mut turned = self.turned();
        let mut answers = Vec::with_capacity(query.acks.len());
        for id in query.acks {
            // A session that ended took its ids along; that is not the client's fault.
            if turned.acks.cookie(&channel).is_some() && !turned.acks.knows(&channel, id) && is_home {
                notes.breach(rules::ACK_QUERY, format!("id {id} was not given out"));
            }
            let is_indexed = is_home && turned.acks.read(&channel, id);
            answers.push(format!("\"{id}\":{is_indexed}"));
        }
        with_cookie(Reply::json(200, format!("{{\"acks\":{{{}}}}}", answers.join(","))), &mut turned.acks, &channel)
    }

    fn read<'a>(&self, request: &'a Request, depth: Depth, notes: &mut Notes) -> Batch<'a> {
        self.has_cookie(&request.head, notes);
        let indexes = self.turned().indexes.clone();
        let (items, stop) = read_items(&request.body, depth, indexes.as_deref());
        let Some(stop) = stop else { return Batch { items, stop: None } };
        if let Some((rule, found)) = stop.broken {
            notes.breach(rule, found);
        }
        Batch { items, stop: Some(Stop { reply: stop.reply, keeps_prefix: stop.keeps_prefix }) }
    }

    fn settle(&self, request: &Request, items: &[Item<'_>], refusals: &Refusals<'_>) -> Settled {
        if let Some(bad) = refusals.first(items) {
            let reply = match (refusals.status, refusals.names_event) {
                (400, true) => reply_naming(400, 6, "Invalid data format", bad),
                (status, _) => self.answer(status),
            };
            let taken = (0..items.len()).map(|place| refusals.keeps_prefix && place < bad).collect();
            return Settled { reply, taken };
        }
        let mut turned = self.turned();
        let (code, text) = match turned.warning {
            None => (0, "Success"),
            Some(25) => (25, "ACK is approaching its capacity limit"),
            Some(code) => (code, "Queue is approaching its capacity limit"),
        };
        let taken = vec![true; items.len()];
        let (true, Some(channel)) = (turned.uses_acks, channel(&request.head)) else {
            return Settled { reply: reply(200, code, text), taken };
        };
        let (id, fate) = turned.acks.issue(&channel);
        let answer = Reply::json(200, format!("{{\"text\":\"{text}\",\"code\":{code},\"ackId\":{id}}}"));
        let answer = with_cookie(answer, &mut turned.acks, &channel);
        Settled { reply: answer, taken: vec![fate != Some(Fate::Lost); items.len()] }
    }
}

/// The balancer's cookie, written anew in every reply as Amazon's does: it leads to the same indexer all the same.
fn with_cookie(reply: Reply, acks: &mut ack::Acks, channel: &str) -> Reply {
    match acks.next_cookie(channel) {
        Some(cookie) => reply.with("Set-Cookie", &format!("{}={cookie}; Path=/", ack::COOKIE)),
        None => reply,
    }
}

fn channel(head: &Head) -> Option<String> {
    head.header(CHANNEL_HEADER).map(str::to_owned).or_else(|| head.parameter("channel"))
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
