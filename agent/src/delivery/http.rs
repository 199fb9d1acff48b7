//! The loop that carries requests over one kept-alive HTTP connection. Nothing is decided here.

use std::iter::once;
use std::rc::Rc;

use scaidrive_codecs::http::{USER_AGENT, write_head};
use scaidrive_codecs::{Body, Format, RequestParts, Scratch, Verdict};
use scaidrive_wal::Record;

use super::carrier::{
    IDLE_MAX, Next, Sent, announcement_body, encode_if_needed, failed, leaves_doubt, misconfigured, next_job,
    overtaken, payload_of, settle, settle_own,
};
use super::encoder::outcome;
use super::outlet::OutletJob;
use super::sender::{Item, Outcome};
use crate::config::Compression;
use crate::shard::{Place, Shard};
use crate::transport::{self, Connection, FailureKind, TransportError};

/// Requests over one kept-alive connection.
pub(super) struct HttpCarrier<'a> {
    shard: &'a Rc<Shard>,
    place: &'a Rc<Place>,
    format: &'a dyn Format,
    connection: Option<Connection>,
    head: Vec<u8>,
    zipped: Vec<u8>,
    scratch: Scratch,
    /// The reply said how the same events would be taken: that is tried at once.
    is_to_be_sent_again: bool,
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
        }
    }

    pub(super) async fn run(&mut self) {
        loop {
            match next_job(self.shard, self.place, IDLE_MAX, std::future::pending()).await {
                Next::Again => {}
                Next::End => return,
                Next::Job(OutletJob::Events(mut job)) => {
                    let outcome = match encode_if_needed(self.shard, self.place, &mut job, &mut self.scratch) {
                        Ok(()) => self.send(&job.batch.body, &job.batch.items).await.outcome,
                        Err(misfit) => misfit,
                    };
                    settle(self.shard, self.place, job, outcome);
                }
                Next::Job(OutletJob::Own(job)) => {
                    let sent = match announcement_body(self.shard, self.place, &job, &mut self.scratch) {
                        Ok(Some(body)) => self.send(&body, &[]).await,
                        Ok(None) => Sent::answered(overtaken()),
                        Err(why) => Sent::answered(misconfigured(why)),
                    };
                    settle_own(self.shard, self.place, &job, &sent);
                }
            }
        }
    }

    /// Sends one body and says what the reply means. Without items it is an event of the agent's own.
    async fn send(&mut self, body: &Body, items: &[Item<Record>]) -> Sent {
        let mut sent = self.send_once(body, items).await;
        if std::mem::take(&mut self.is_to_be_sent_again) {
            sent = self.send_once(body, items).await;
        }
        sent
    }

    async fn send_once(&mut self, body: &Body, items: &[Item<Record>]) -> Sent {
        let coding = self.compress(body, items);
        if let Err(why) = self.write_request_head(coding, self.length(body, coding)) {
            return Sent::answered(misconfigured(why));
        }
        // A connection that the peer closed while it was idle is found closed here, not in the middle of a request.
        self.connection =
            self.connection.take().and_then(|mut connection| connection.is_reusable().then_some(connection));
        let is_reused = self.connection.is_some();
        let mut ended = self.exchange(body, items, coding).await;
        let mut may_have_arrived = matches!(&ended, Err(error) if error.outcome_unknown);
        if is_reused && matches!(&ended, Err(error) if error.is_stale_connection()) {
            ended = self.exchange(body, items, coding).await;
            // Whatever the second try says, the first one may have arrived.
            may_have_arrived |= matches!(&ended, Err(error) if error.outcome_unknown);
        }
        let outcome = ended.unwrap_or_else(|error| self.interrupted(&error, body, items));
        may_have_arrived |= leaves_doubt(&outcome);
        Sent { outcome, may_have_arrived }
    }

    /// Fills `zipped` when requests are compressed, and says with what coding the body goes out.
    fn compress(&mut self, body: &Body, items: &[Item<Record>]) -> Option<&'static str> {
        self.zipped.clear();
        match self.place.destination.compression {
            _ if self.place.route.wants_uncompressed() => None,
            Compression::None => None,
            Compression::Gzip => {
                transport::gzip(whole(self.format, body, items), GZIP_LEVEL, &mut self.zipped);
                Some("gzip")
            }
        }
    }

    fn length(&self, body: &Body, coding: Option<&str>) -> usize {
        match coding {
            Some(_) => self.zipped.len(),
            None => self.format.frame().len() + body.len(),
        }
    }

    fn write_request_head(&mut self, coding: Option<&str>, length: usize) -> Result<(), String> {
        let RequestParts { method, path, headers } = self.format.request();
        let credentials = self.place.route.credential_headers();
        let own = once(("User-Agent", USER_AGENT));
        let of_format = headers.iter().chain(&credentials).map(|(name, value)| (name.as_str(), value.as_str()));
        let coding = coding.map(|coding| ("Content-Encoding", coding));
        let all = own.chain(of_format).chain(coding);
        self.head.clear();
        let host = self.place.route.host_header();
        write_head(&mut self.head, method, path, host, all, length as u64).map_err(|problem| problem.to_string())
    }

    async fn exchange(
        &mut self,
        body: &Body,
        items: &[Item<Record>],
        coding: Option<&str>,
    ) -> Result<Outcome, TransportError> {
        let endpoint = match self.place.route.endpoint() {
            Ok(endpoint) => endpoint,
            Err(why) => return Ok(misconfigured(why)),
        };
        let runtime = &self.shard.runtime;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => transport::connect(runtime, &endpoint).await?,
        };
        let timeout = endpoint.request_timeout;
        let events = items.len().max(1);
        let reply_max = REPLY_MAX + events * REPLY_EVENT_MAX;
        let reply = if coding.is_some() {
            let zipped = once(self.zipped.as_slice());
            transport::exchange(runtime, &mut connection, &self.head, zipped, timeout, reply_max).await?
        } else {
            let slices = whole(self.format, body, items);
            transport::exchange(runtime, &mut connection, &self.head, slices, timeout, reply_max).await?
        };
        let length = self.format.frame().len() + body.len();
        let verdict = self.format.verdict_by_length(&reply, events, length, runtime.wall_ms());
        if coding.is_some() && matches!(verdict, Verdict::Uncompressed { .. }) {
            self.place.route.want_uncompressed();
            self.is_to_be_sent_again = true;
        }
        if reply.keep_alive && !wants_another_connection(&verdict) {
            self.connection = Some(connection);
        }
        Ok(outcome(verdict, reply.status, events))
    }

    /// What a failure means; some destinations say by cutting the connection that a request was too large.
    fn interrupted(&self, error: &TransportError, body: &Body, items: &[Item<Record>]) -> Outcome {
        let length = self.format.frame().len() + body.len();
        let events = items.len().max(1);
        let is_cut = matches!(error.kind, FailureKind::Closed | FailureKind::TimedOut) && error.is_in_exchange();
        match self.format.interrupted(length, events).filter(|_| is_cut) {
            Some(verdict) => outcome(verdict, 0, events),
            None => failed(error),
        }
    }
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
