//! The loop that carries requests over one kept-alive HTTP connection. Nothing is decided here.

use std::iter::once;
use std::rc::Rc;

use scaidrive_codecs::http::{USER_AGENT, write_head};
use scaidrive_codecs::https::{COUNT_HEADER, IDEMPOTENCY_HEADER, idempotency_key};
use scaidrive_codecs::{Body, Format, RequestParts, Scratch, Verdict};
use scaidrive_wal::Record;

use super::carrier::{
    IDLE_MAX, Next, Sent, announcement_body, encode_if_needed, failed, leaves_doubt, misconfigured, next_job,
    overtaken, payload_of, settle, settle_own,
};
use super::encoder::outcome;
use super::gate::Hold;
use super::outlet::OutletJob;
use super::sender::{Item, Outcome};
use crate::config::{Compression, Kind};
use crate::credentials::cache::{Trouble, TroubleKind};
use crate::credentials::{Shown, Signable};
use crate::shard::{Place, Shard};
use crate::stream::tell::id_text;
use crate::transport::{self, Connection, FailureKind, TransportError};

/// Requests over one kept-alive connection.
pub(super) struct HttpCarrier<'a> {
    shard: &'a Rc<Shard>,
    place: &'a Rc<Place>,
    format: &'a dyn Format,
    connection: Option<Open>,
    head: Vec<u8>,
    zipped: Vec<u8>,
    scratch: Scratch,
    /// The reply said how the same events would be taken: that is tried at once.
    is_to_be_sent_again: bool,
    /// A refused token has been replaced once; if the next is refused too, that is the answer.
    has_shown_another_token: bool,
}

/// A connection, and to which of the destination's addresses.
struct Open {
    connection: Connection,
    target: usize,
}

/// A body on its way.
struct Outgoing<'b> {
    body: &'b Body,
    items: &'b [Item<Record>],
    /// The id of the announcement it is, if it is one.
    own: Option<[u8; 16]>,
    coding: Option<&'static str>,
}

impl<'a> HttpCarrier<'a> {
    pub(super) fn new(shard: &'a Rc<Shard>, place: &'a Rc<Place>, format: &'a dyn Format) -> HttpCarrier<'a> {
        HttpCarrier {
            shard,
            place,
            format,
            connection: None,
            head: Vec::new(),
            zipped: Vec::new(),
            scratch: Scratch::default(),
            is_to_be_sent_again: false,
            has_shown_another_token: false,
        }
    }

    pub(super) async fn run(&mut self) {
        loop {
            match next_job(self.shard, self.place, IDLE_MAX, std::future::pending()).await {
                Next::Again => {}
                Next::End => return,
                Next::Job(OutletJob::Events(mut job)) => {
                    let outcome = match encode_if_needed(self.shard, self.place, &mut job, &mut self.scratch) {
                        Ok(()) => self.send(&job.batch.body, &job.batch.items, None).await.outcome,
                        Err(misfit) => misfit,
                    };
                    settle(self.shard, self.place, job, outcome);
                }
                Next::Job(OutletJob::Own(job)) => {
                    let sent = match announcement_body(self.shard, self.place, &job, &mut self.scratch) {
                        Ok(Some(body)) => self.send(&body, &[], Some(job.id)).await,
                        Ok(None) => Sent::answered(overtaken()),
                        Err(why) => Sent::answered(misconfigured(why)),
                    };
                    settle_own(self.shard, self.place, &job, &sent);
                }
            }
        }
    }

    /// Sends one body and says what the reply means. Without items it is an event of the agent's own, called `own`.
    async fn send(&mut self, body: &Body, items: &[Item<Record>], own: Option<[u8; 16]>) -> Sent {
        let mut sent = self.send_once(body, items, own).await;
        // Twice at most: once without compression, once with another token.
        for _ in 0..2 {
            if !std::mem::take(&mut self.is_to_be_sent_again) {
                break;
            }
            sent = self.send_once(body, items, own).await;
        }
        self.is_to_be_sent_again = false;
        self.has_shown_another_token = false;
        sent
    }

    async fn send_once(&mut self, body: &Body, items: &[Item<Record>], own: Option<[u8; 16]>) -> Sent {
        let coding = self.compress(body, items);
        let batch = Outgoing { body, items, own, coding };
        // A connection that the peer closed while it was idle is found closed here, not in the middle of a request.
        self.connection = self.connection.take().and_then(|mut open| open.connection.is_reusable().then_some(open));
        let is_reused = self.connection.is_some();
        let mut ended = self.attempt(&batch).await;
        let mut may_have_arrived = matches!(&ended, Err(error) if error.outcome_unknown);
        if is_reused && matches!(&ended, Err(error) if error.is_stale_connection()) {
            ended = self.attempt(&batch).await;
            // Whatever the second try says, the first one may have arrived.
            may_have_arrived |= matches!(&ended, Err(error) if error.outcome_unknown);
        }
        let outcome = ended.unwrap_or_else(|error| self.interrupted(&error, &batch));
        may_have_arrived |= leaves_doubt(&outcome);
        Sent { outcome, may_have_arrived }
    }

    /// Fills `zipped` when requests are compressed, and says with what coding the body goes out.
    fn compress(&mut self, body: &Body, items: &[Item<Record>]) -> Option<&'static str> {
        self.zipped.clear();
        let compression = self.place.destination.compression;
        let pieces = whole(self.format, body, items);
        match compression {
            _ if self.place.route.wants_uncompressed() => return None,
            Compression::None => return None,
            Compression::Gzip => transport::gzip(pieces, GZIP_LEVEL, &mut self.zipped),
            Compression::Zstd => transport::zstd(pieces, ZSTD_LEVEL, &mut self.zipped),
        }
        Some(compression.name())
    }

    /// One request, on the connection that is open or on a new one.
    async fn attempt(&mut self, batch: &Outgoing<'_>) -> Result<Outcome, TransportError> {
        let mut open = match self.connection.take() {
            Some(open) => open,
            None => match self.connect().await? {
                Ok(open) => open,
                Err(outcome) => return Ok(outcome),
            },
        };
        let events = batch.items.len().max(1);
        let shown = match self.write_request_head(open.target, batch).await {
            Ok(shown) => shown,
            Err(outcome) => {
                // Nothing was sent on it.
                self.connection = Some(open);
                return Ok(outcome);
            }
        };
        let runtime = &self.shard.runtime;
        let timeout = self.place.destination.timeouts.request;
        let reply_max = REPLY_MAX + events * REPLY_EVENT_MAX;
        let exchanged = if batch.coding.is_some() {
            let zipped = once(self.zipped.as_slice());
            transport::exchange(runtime, &mut open.connection, &self.head, zipped, timeout, reply_max).await
        } else {
            let slices = whole(self.format, batch.body, batch.items);
            transport::exchange(runtime, &mut open.connection, &self.head, slices, timeout, reply_max).await
        };
        let targets = self.place.route.targets();
        let reply = exchanged.inspect_err(|_| targets.borrow_mut().failed(open.target, runtime.now()))?;
        let length = self.length(batch);
        let verdict = self.format.verdict_by_length(&reply, events, length, runtime.wall_ms());
        match &verdict {
            Verdict::Uncompressed { .. } if batch.coding.is_some() => {
                self.place.route.want_uncompressed();
                self.is_to_be_sent_again = true;
            }
            Verdict::HoldForCredentials { .. } if reply.status == 401 && !self.has_shown_another_token => {
                self.has_shown_another_token = self.place.route.credentials().refused(&shown);
                self.is_to_be_sent_again = self.has_shown_another_token;
            }
            _ => {}
        }
        match &verdict {
            Verdict::Retry { .. } => targets.borrow_mut().failed(open.target, runtime.now()),
            _ => targets.borrow_mut().worked(open.target),
        }
        if reply.keep_alive && !wants_another_connection(&verdict) {
            self.connection = Some(open);
        }
        Ok(outcome(verdict, reply.status, events))
    }

    /// A connection to the address whose turn it is, or to the next that answers.
    async fn connect(&mut self) -> Result<Result<Open, Outcome>, TransportError> {
        let (runtime, route) = (&self.shard.runtime, &self.place.route);
        let count = route.targets().borrow().count();
        let mut tried = 1;
        loop {
            let target = route.targets().borrow_mut().choose(runtime.now());
            let endpoint = match route.endpoint(runtime, target).await {
                Ok(endpoint) => endpoint,
                Err(why) => return Ok(Err(misconfigured(why))),
            };
            match transport::connect(runtime, &endpoint).await {
                Ok(connection) => return Ok(Ok(Open { connection, target })),
                Err(error) => {
                    route.targets().borrow_mut().failed(target, runtime.now());
                    if tried >= count {
                        return Err(error);
                    }
                    tried += 1;
                }
            }
        }
    }

    /// Writes the head of a request, and says what it shows; or how the request ends without having been sent.
    async fn write_request_head(&mut self, target: usize, batch: &Outgoing<'_>) -> Result<Shown, Outcome> {
        let RequestParts { method, path, headers } = self.format.request();
        let host = self.place.route.host_header(target);
        let mut headers = headers.clone();
        headers.extend(self.batch_headers(batch));
        let length = if batch.coding.is_some() { self.zipped.len() } else { self.length(batch) };
        let plain = |visit: &mut dyn FnMut(&[u8])| whole(self.format, batch.body, batch.items).for_each(visit);
        let zipped = |visit: &mut dyn FnMut(&[u8])| visit(&self.zipped);
        let sent: &dyn Fn(&mut dyn FnMut(&[u8])) = if batch.coding.is_some() { &zipped } else { &plain };
        let signable = Signable { method, host: &host, target: path, headers: &headers, length, plain: &plain, sent };
        let shown = self.place.route.credentials().show(&self.shard.runtime, &signable).await;
        let shown = shown.map_err(in_the_way)?;
        let own = once(("User-Agent", USER_AGENT));
        let others = headers.iter().chain(&shown.headers).map(|(name, value)| (name.as_str(), value.as_str()));
        let coding = batch.coding.map(|coding| ("Content-Encoding", coding));
        let path = shown.target.as_deref().unwrap_or(path);
        self.head.clear();
        write_head(&mut self.head, method, path, &host, own.chain(others).chain(coding), length as u64)
            .map_err(|problem| misconfigured(problem.to_string()))?;
        Ok(shown)
    }

    /// Headers that differ from batch to batch.
    fn batch_headers(&self, batch: &Outgoing<'_>) -> Vec<(String, String)> {
        let Kind::Https(https) = &self.place.destination.kind else { return Vec::new() };
        if !https.idempotency {
            return Vec::new();
        }
        let key = match batch.own {
            Some(id) => idempotency_key(&id_text(&id), []),
            None => {
                let outlet = self.place.outlet.borrow();
                idempotency_key(outlet.stream().text(), batch.items.iter().map(|item| item.n))
            }
        };
        let count = batch.items.len().max(1).to_string();
        vec![(IDEMPOTENCY_HEADER.to_owned(), key), (COUNT_HEADER.to_owned(), count)]
    }

    /// Bytes of a body before compression.
    fn length(&self, batch: &Outgoing<'_>) -> usize {
        self.format.frame().len() + batch.body.len()
    }

    /// What a failure means; some destinations say by cutting the connection that a request was too large.
    fn interrupted(&self, error: &TransportError, batch: &Outgoing<'_>) -> Outcome {
        let length = self.length(batch);
        let events = batch.items.len().max(1);
        let is_cut = matches!(error.kind, FailureKind::Closed | FailureKind::TimedOut) && error.is_in_exchange();
        match self.format.interrupted(length, events).filter(|_| is_cut) {
            Some(verdict) => outcome(verdict, 0, events),
            None => failed(error),
        }
    }
}

/// What it means that nothing could be shown.
fn in_the_way(trouble: Trouble) -> Outcome {
    let hold = match trouble.kind {
        TroubleKind::Unreachable => Hold::Unreachable,
        TroubleKind::Busy => Hold::Trouble,
        TroubleKind::Refused => Hold::Credentials,
        TroubleKind::Misconfigured => Hold::Misconfigured,
    };
    Outcome::Retry { hold, after: None, why: trouble.why }
}

/// A body with what stands round its events.
fn whole<'b>(
    format: &dyn Format,
    body: &'b Body,
    items: &'b [Item<Record>],
) -> impl Iterator<Item = &'b [u8]> + use<'b> {
    let frame = format.frame();
    once(frame.opening).chain(body.slices(payload_of(items))).chain(once(frame.closing))
}

/// Whether the next request should find another server, or a server in another mood.
fn wants_another_connection(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Retry { new_connection, .. } => *new_connection,
        Verdict::HoldForCredentials { .. } | Verdict::Misconfigured { .. } => true,
        Verdict::Delivered { .. } | Verdict::Judged { .. } | Verdict::Split { .. } | Verdict::Uncompressed { .. } => {
            false
        }
    }
}

/// Replies are kept up to this length in bytes, and so much more for each event they judge.
const REPLY_MAX: usize = 1 << 20;
const REPLY_EVENT_MAX: usize = 1 << 10;
/// Fast rather than small: audit events compress tenfold either way.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;
