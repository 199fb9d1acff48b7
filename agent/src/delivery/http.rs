//! The loop that carries requests over one kept-alive HTTP connection. Nothing is decided here.
//!
//! | file | what it holds |
//! |---|---|
//! | this one | the loop, and one exchange: connection, compression, what a reply leads to |
//! | `http/head.rs` | the head of a request |
//! | `http/acks.rs` | destinations where acceptance is not delivery yet |

mod acks;
mod head;

use std::iter::once;
use std::rc::Rc;

use scaidrive_codecs::{Body, Event, Format, Index, Scratch, Verdict};
use scaidrive_wal::Record;

use self::acks::AckSession;
pub(crate) use self::acks::guid;
use self::head::HeadOf;
use super::carrier::{
    IDLE_MAX, Next, Sent, encode_if_needed, failed, leaves_doubt, lone_body, misconfigured, next_job, payload_of,
    settle, settle_lone,
};
use super::encoder::outcome;
use super::outlet::OutletJob;
use super::sender::{Item, Outcome};
use crate::alarm::Alarm;
use crate::config::Compression;
use crate::credentials::Shown;
use crate::heap::Wiped;
use crate::shard::{Place, Shard};
use crate::time::Millis;
use crate::transport::{self, Connection, FailureKind, TransportError};

/// Requests over one kept-alive connection.
pub(super) struct HttpCarrier<'a> {
    shard: &'a Rc<Shard>,
    place: &'a Rc<Place>,
    format: &'a dyn Format,
    alarm: Alarm,
    connection: Option<Open>,
    /// The head of the last request.
    head: Wiped<Vec<u8>>,
    /// What that head depends on beside its body's length, if it may be used again.
    head_of: Option<HeadOf>,
    /// What that head shows.
    shown: Wiped<Shown>,
    zipped: Vec<u8>,
    scratch: Scratch,
    /// The reply said how the same events would be taken: that is tried at once.
    is_to_be_sent_again: bool,
    /// A refused token has been replaced once; if the next is refused too, that is the answer.
    has_shown_another_token: bool,
    /// Where acceptance is not delivery yet.
    acks: Option<AckSession>,
    /// Under which number the last request was accepted.
    ack_id: Option<u64>,
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
    coding: Option<&'static str>,
}

impl<'a> HttpCarrier<'a> {
    pub(super) fn new(shard: &'a Rc<Shard>, place: &'a Rc<Place>, format: &'a dyn Format) -> HttpCarrier<'a> {
        HttpCarrier {
            shard,
            place,
            format,
            alarm: Alarm::new(&shard.runtime),
            connection: None,
            head: Wiped::default(),
            head_of: None,
            shown: Wiped::default(),
            zipped: Vec::new(),
            scratch: Scratch::default(),
            is_to_be_sent_again: false,
            has_shown_another_token: false,
            acks: AckSession::new(&place.destination.kind, &*shard.runtime),
            ack_id: None,
        }
    }

    pub(super) async fn run(&mut self) {
        loop {
            self.look_after_acks().await;
            let until_question = self.until_question();
            let patience = until_question.map_or(IDLE_MAX, |wait| wait.clamp(Millis(1), IDLE_MAX));
            match next_job(self.shard, self.place, &mut self.alarm, patience, std::future::pending()).await {
                Next::Again => {}
                Next::End if until_question.is_some() && !self.place.is_closed.get() => {}
                Next::End => return self.give_back("the destination is closed here"),
                Next::Job(OutletJob::Events(mut job)) => {
                    let outcome = match encode_if_needed(self.shard, self.place, &mut job, &mut self.scratch) {
                        Ok(()) => self.send(&job.batch.body, &job.batch.items).await.outcome,
                        Err(misfit) => misfit,
                    };
                    match (self.ack_id.take(), &outcome) {
                        (Some(id), Outcome::Accepted { slow_down }) => {
                            self.park(id, OutletJob::Events(job), *slow_down);
                        }
                        _ => settle(self.shard, self.place, job, outcome),
                    }
                }
                Next::Job(OutletJob::Lone(job)) => {
                    let sent = match lone_body(self.shard, self.place, &job, &mut self.scratch) {
                        Ok(body) => self.send(&body, &[]).await,
                        Err(sent) => sent,
                    };
                    match (self.ack_id.take(), &sent.outcome) {
                        (Some(id), Outcome::Accepted { .. }) => self.park(id, OutletJob::Lone(job), false),
                        _ => settle_lone(self.shard, self.place, &job, sent),
                    }
                }
            }
        }
    }

    /// Sends one body and says what the reply means. Without items it is an event of the agent's own.
    async fn send(&mut self, body: &Body, items: &[Item<Record>]) -> Sent {
        if let Err(sent) = self.confirm_acks().await {
            return sent;
        }
        let mut sent = self.send_once(body, items).await;
        // Twice at most: once without compression, once with another token.
        for _ in 0..2 {
            if !std::mem::take(&mut self.is_to_be_sent_again) {
                break;
            }
            sent = self.send_once(body, items).await;
        }
        self.is_to_be_sent_again = false;
        self.has_shown_another_token = false;
        sent
    }

    async fn send_once(&mut self, body: &Body, items: &[Item<Record>]) -> Sent {
        let coding = self.compress(body, items);
        let batch = Outgoing { body, items, coding };
        // A connection that the peer closed while it was idle is found closed here, not in the middle of a request.
        self.connection = self.take_connection();
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
            Compression::Gzip => self.shard.gzip.borrow_mut().pack(pieces, GZIP_LEVEL, &mut self.zipped),
            Compression::Zstd => transport::zstd(pieces, ZSTD_LEVEL, &mut self.zipped),
        }
        Some(compression.name())
    }

    /// One request, on the connection that is open or on a new one.
    async fn attempt(&mut self, batch: &Outgoing<'_>) -> Result<Outcome, TransportError> {
        // What is seldom done is boxed, here and below: a thousand carriers wait, and each is as large as all it may do.
        let mut open = match self.connection.take() {
            Some(open) => open,
            None => match Box::pin(self.connect()).await? {
                Ok(open) => open,
                Err(outcome) => return Ok(outcome),
            },
        };
        let events = batch.items.len().max(1);
        if let Err(outcome) = self.write_request_head(open.target, batch).await {
            // Nothing was sent on it.
            self.connection = Some(open);
            return Ok(outcome);
        }
        let runtime = &self.shard.runtime;
        let timeout = self.place.destination.timeouts.request;
        let reply_max = REPLY_MAX + events * REPLY_EVENT_MAX;
        let exchanges = &self.shard.exchanges;
        let exchanged = if batch.coding.is_some() {
            let zipped = once(self.zipped.as_slice());
            exchanges.exchange(runtime, &mut open.connection, &self.head, zipped, timeout, reply_max).await
        } else {
            let slices = whole(self.format, batch.body, batch.items);
            exchanges.exchange(runtime, &mut open.connection, &self.head, slices, timeout, reply_max).await
        };
        let targets = self.place.route.targets();
        let reply = exchanged.inspect_err(|_| targets.borrow_mut().failed(open.target, runtime.now()))?;
        let length = self.length(batch);
        let verdict = self.format.verdict_by_length(&reply, events, length, runtime.wall_ms());
        let verdict = self.heard(&reply, verdict);
        self.is_to_be_sent_again = self.can_do_better(&verdict, reply.status, batch);
        match &verdict {
            Verdict::Retry { .. } => targets.borrow_mut().failed(open.target, runtime.now()),
            _ => targets.borrow_mut().worked(open.target),
        }
        if reply.keep_alive && !wants_another_connection(&verdict) {
            self.connection = Some(open);
        }
        self.shard.exchanges.recycle(reply);
        let outcome = match verdict {
            Verdict::Apart { why } if !batch.items.is_empty() => {
                Outcome::Apart { groups: self.groups(batch.items), why }
            }
            verdict => outcome(verdict, events),
        };
        Ok(hidden(outcome, &self.shown))
    }

    /// Whether the same body may be taken at once, now that compression or the token is another.
    fn can_do_better(&mut self, verdict: &Verdict, status: u16, batch: &Outgoing<'_>) -> bool {
        match verdict {
            Verdict::Uncompressed { .. } if batch.coding.is_some() => {
                self.place.route.want_uncompressed();
                true
            }
            Verdict::HoldForCredentials { .. }
                if may_be_a_token_that_ended(status) && !self.has_shown_another_token =>
            {
                self.has_shown_another_token = self.place.route.credentials().refused(&self.shown);
                self.has_shown_another_token
            }
            _ => false,
        }
    }

    /// Which events go to the same part of the destination: a number for each.
    fn groups(&mut self, items: &[Item<Record>]) -> Vec<usize> {
        let mut names: Vec<&str> = Vec::new();
        let mut groups = Vec::with_capacity(items.len());
        for item in items {
            // It was decoded when it was encoded.
            let index = Index::decode(item.load.index()).expect("an index that was decoded before");
            let name = self.format.group(&Event::new(item.load.payload(), &index), &mut self.scratch);
            groups.push(names.iter().position(|known| *known == name).unwrap_or(names.len()));
            if groups.last() == Some(&names.len()) {
                names.push(name);
            }
        }
        groups
    }

    /// The connection that is open, unless the peer has closed it meanwhile.
    fn take_connection(&mut self) -> Option<Open> {
        self.connection.take().and_then(|mut open| open.connection.is_reusable().then_some(open))
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
            Some(verdict) => outcome(verdict, events),
            None => failed(error),
        }
    }
}

/// The same without anything secret that the request has shown: some receivers and gateways repeat it in their replies.
fn hidden(mut outcome: Outcome, shown: &Shown) -> Outcome {
    match &mut outcome {
        Outcome::Accepted { .. } => {}
        Outcome::AcceptedBut { refused, note, .. } => {
            refused.iter_mut().for_each(|(_, why)| shown.hide_in(why));
            note.iter_mut().for_each(|note| shown.hide_in(note));
        }
        Outcome::Retry { why, .. }
        | Outcome::Refused { why, .. }
        | Outcome::TooLarge { why }
        | Outcome::Apart { why, .. } => shown.hide_in(why),
    }
    outcome
}

/// Whether another token may do. AWS says 403 to keys that have ended, and so do gateways to tokens.
fn may_be_a_token_that_ended(status: u16) -> bool {
    matches!(status, 401 | 403)
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
        Verdict::Delivered { .. }
        | Verdict::Judged { .. }
        | Verdict::Split { .. }
        | Verdict::Smaller { .. }
        | Verdict::Apart { .. }
        | Verdict::Uncompressed { .. } => false,
    }
}

/// Replies are kept up to this length in bytes, and so much more for each event they judge.
const REPLY_MAX: usize = 1 << 20;
const REPLY_EVENT_MAX: usize = 1 << 10;
/// Fast rather than small: audit events compress tenfold either way.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_replaced_where_they_may_have_ended() {
        let replaced: Vec<u16> = (400..600).filter(|status| may_be_a_token_that_ended(*status)).collect();
        assert_eq!(replaced, [401, 403]);
    }
}
