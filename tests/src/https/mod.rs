//! A stand-in for the receiver behind a generic HTTPS destination, as strict as the contract that we publish for it.

pub mod oauth;

pub use oauth::OAuth;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use serde_json::value::RawValue;

use crate::receiver::{
    Batch, Coding, Credentials, Depth, Head, Item, Notes, Receiver, Refusals, Reply, Request, Route, Rule, Rules,
    SHARED, Settings, Settled, Standing, elements, read_json,
};

/// A receiver on loopback.
pub type Https = Receiver<Contract>;

/// How a body is made of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A JSON array.
    Array,
    /// One line each.
    Lines,
    /// One event in each request.
    Single,
    /// An object with the array under this name.
    Wrapped(String),
}

/// How the sender proves who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// It need not.
    None,
    /// `Authorization: Bearer`; with OAuth 2.0, shared with the [`OAuth`] endpoint.
    Bearer(Arc<Credentials>),
    /// `Authorization: Basic`; the secrets are `user:password`.
    Basic(Arc<Credentials>),
    /// A header of the administrator's choice, in lower case, and its values.
    Header(&'static str, Arc<Credentials>),
    /// `X-ScaiDrive-Signature` over time and body; the secrets are the keys.
    Signature(Arc<Credentials>),
}

/// What the receiver demands.
#[derive(Debug)]
pub struct Contract {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// The body's shape.
    pub shape: Shape,
    /// The sender's proof.
    pub proof: Proof,
    /// An `Idempotency-Key` is demanded, and a batch that comes again under the same key is answered and not taken again.
    pub wants_key: bool,
    /// The success status.
    pub success: u16,
    seen: Mutex<Seen>,
}

/// Batches that came, and what became of them.
#[derive(Debug, Default)]
struct Seen {
    bodies: HashMap<String, Vec<u8>>,
    keys: HashMap<Vec<u8>, String>,
    taken: HashSet<String>,
}

const CONTRACT: &str = "this project's published contract for generic HTTPS receivers";

/// How it is addressed.
pub const TARGET: Rule = Rule::new("the configured method and path", CONTRACT);
/// What the body is.
pub const CONTENT_TYPE: Rule =
    Rule::new("application/json, or application/x-ndjson for lines", "RFC 9110 section 8.3; NDJSON specification 1.0");
/// As configured.
pub const SHAPE: Rule = Rule::new("the configured shape", CONTRACT);
/// The proof's form.
pub const AUTHORIZATION: Rule = Rule::new("the configured kind of proof", "RFC 6750 section 2.1; RFC 7617 section 2");
/// A token that is still good.
pub const TOKEN: Rule =
    Rule::new("a token that was issued and has not passed its announced end", "RFC 6749 section 5.1: expires_in");
/// The signature.
pub const SIGNATURE: Rule = Rule::new(
    "X-ScaiDrive-Signature: t=<unix>,v1=<hex HMAC-SHA256 of t.body over the uncompressed body>, t within 300 s of now",
    CONTRACT,
);
/// Stable across retries.
pub const KEY: Rule = Rule::new(
    "an Idempotency-Key: the same for the same batch, another for another",
    "IETF draft-ietf-httpapi-idempotency-key-header; our contract: stable across retries",
);
/// How many.
pub const COUNT: Rule = Rule::new("X-ScaiDrive-Batch-Count, where it is sent, is the number of events", CONTRACT);

const SKEW_MAX: u64 = 300;

impl Https {
    /// Starts a receiver with this contract.
    pub fn start(contract: Contract, settings: Settings) -> Https {
        Receiver::open(contract, settings)
    }
}

impl Contract {
    /// `POST /events` in this shape with this proof, answered with 200.
    pub fn new(shape: Shape, proof: Proof) -> Contract {
        Contract {
            method: "POST",
            path: "/events",
            shape,
            proof,
            wants_key: true,
            success: 200,
            seen: Mutex::default(),
        }
    }

    fn check_proof(&self, head: &Head, notes: &mut Notes) -> Result<(), Reply> {
        let authorization = |scheme: &str| head.header("authorization").and_then(|value| value.strip_prefix(scheme));
        let (given, known) = match &self.proof {
            Proof::None | Proof::Signature(_) => return Ok(()),
            Proof::Bearer(known) => (authorization("Bearer ").map(str::to_owned), known),
            Proof::Basic(known) => {
                let pair = authorization("Basic ").and_then(|text| STANDARD.decode(text).ok());
                (pair.and_then(|pair| String::from_utf8(pair).ok()), known)
            }
            Proof::Header(name, known) => (head.header(name).map(str::to_owned), known),
        };
        let Some(given) = given else {
            notes.breach(AUTHORIZATION, "none or another kind");
            return Err(self.answer(401));
        };
        match known.standing(&given) {
            Standing::Valid => Ok(()),
            Standing::Expired => {
                notes.breach(TOKEN, "expired");
                Err(self.answer(401))
            }
            Standing::NotYet | Standing::Revoked | Standing::Unknown => Err(self.answer(401)),
        }
    }

    fn check_signature(&self, known: &Credentials, request: &Request, notes: &mut Notes) -> Result<(), Reply> {
        let header = request.head.header("x-scaidrive-signature").unwrap_or_default();
        let parts: Vec<(&str, &str)> = header.split(',').filter_map(|part| part.trim().split_once('=')).collect();
        let time = parts.iter().find(|(name, _)| *name == "t").map(|(_, value)| *value).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
        let is_fresh = time.parse::<u64>().is_ok_and(|time| time.abs_diff(now) <= SKEW_MAX);
        let fits = |secret: &str| {
            let expected = signature(secret, time, &request.body);
            parts.iter().any(|(name, value)| *name == "v1" && *value == expected)
        };
        match known.standing_of_any(fits) {
            Standing::Valid if is_fresh => Ok(()),
            // A correct signature with a secret that was replaced.
            Standing::Revoked | Standing::NotYet if is_fresh => Err(self.answer(401)),
            _ => {
                notes.breach(SIGNATURE, header);
                Err(self.answer(401))
            }
        }
    }

    /// The same key must come with the same body and the other way round.
    fn check_key(&self, request: &Request, notes: &mut Notes) -> Result<(), Reply> {
        let Some(key) = request.head.header("idempotency-key").filter(|key| !key.is_empty()) else {
            notes.breach(KEY, "none");
            return Err(self.answer(400));
        };
        let hash = digest::digest(&digest::SHA256, &request.body).as_ref().to_vec();
        let mut seen = self.seen.lock().expect("no holder panics");
        if seen.bodies.get(key).is_some_and(|body| *body != hash) {
            notes.breach(KEY, format!("{key} for another body"));
            return Err(self.answer(422));
        }
        if let Some(other) = seen.keys.get(&hash).filter(|other| *other != key) {
            notes.breach(KEY, format!("{key} for a body that came under {other}"));
        }
        seen.bodies.insert(key.to_owned(), hash.clone());
        seen.keys.entry(hash).or_insert_with(|| key.to_owned());
        Ok(())
    }

    fn events<'a>(&self, body: &'a [u8]) -> Result<Vec<&'a [u8]>, String> {
        match &self.shape {
            Shape::Array => elements(body).map_err(|error| error.to_string()),
            Shape::Single => Ok(vec![body]),
            Shape::Lines => match body.strip_suffix(b"\n") {
                Some(body) => Ok(body.split(|byte| *byte == b'\n').collect()),
                None => Err("a last line without end".to_owned()),
            },
            Shape::Wrapped(name) => {
                let wrapped: HashMap<String, &RawValue> =
                    serde_json::from_slice(body).map_err(|error| error.to_string())?;
                match wrapped.get(name) {
                    Some(array) if wrapped.len() == 1 => {
                        elements(array.get().as_bytes()).map_err(|error| error.to_string())
                    }
                    _ => Err(format!("not just {name}")),
                }
            }
        }
    }
}

/// The signature of a body in hexadecimal.
fn signature(secret: &str, time: &str, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    context.update(time.as_bytes());
    context.update(b".");
    context.update(body);
    context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Rules for Contract {
    fn name(&self) -> &'static str {
        "HTTPS"
    }

    fn codings(&self) -> &'static [Coding] {
        &[Coding::Gzip, Coding::Zstd]
    }

    fn answer(&self, status: u16) -> Reply {
        match status {
            200..=299 => Reply::empty(self.success),
            other => Reply::text(other, "refused"),
        }
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        if head.method != self.method || head.path != self.path {
            notes.breach(TARGET, format!("{} {}", head.method, head.path));
            return Err(self.answer(404));
        }
        self.check_proof(head, notes)?;
        let expected = if self.shape == Shape::Lines { "application/x-ndjson" } else { "application/json" };
        if head.media_type().as_deref() != Some(expected) {
            notes.breach(CONTENT_TYPE, format!("{:?}", head.header("content-type")));
            return Err(self.answer(415));
        }
        Ok(Route::Events)
    }

    fn read<'a>(&self, request: &'a Request, _: Depth, notes: &mut Notes) -> Batch<'a> {
        if let Proof::Signature(known) = &self.proof
            && let Err(reply) = self.check_signature(known, request, notes)
        {
            return Batch::refused(reply);
        }
        if self.wants_key
            && let Err(reply) = self.check_key(request, notes)
        {
            return Batch::refused(reply);
        }
        let events = match self.events(&request.body) {
            Ok(events) => events,
            Err(error) => {
                notes.breach(SHAPE, error);
                return Batch::refused(self.answer(400));
            }
        };
        if let Some(count) = request.head.header("x-scaidrive-batch-count")
            && count != events.len().to_string()
        {
            notes.breach(COUNT, format!("{count} for {}", events.len()));
        }
        let mut items = Vec::with_capacity(events.len());
        for event in events {
            match read_json(event, &SHARED, notes) {
                Some(item) => items.push(item),
                None => return Batch::refused(self.answer(400)),
            }
        }
        Batch { items, stop: None }
    }

    fn settle(&self, request: &Request, items: &[Item<'_>], refusals: &Refusals<'_>) -> Settled {
        let mut settled = Settled::whole(items, refusals, || self.answer(200), |status| self.answer(status));
        let is_taken = settled.taken.iter().all(|taken| *taken);
        if let Some(key) = request.head.header("idempotency-key").filter(|_| self.wants_key && is_taken) {
            let mut seen = self.seen.lock().expect("no holder panics");
            if !seen.taken.insert(key.to_owned()) {
                settled.taken.fill(false);
            }
        }
        settled
    }
}

#[cfg(test)]
mod tests;
