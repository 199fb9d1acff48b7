//! The loop that carries requests over one kept-alive HTTP connection. Nothing is decided here.

use std::iter::once;
use std::rc::Rc;

use scaidrive_codecs::hec::{ACK_PATH, CHANNEL_HEADER, EVENT_PATH, Unanswered, ack_query, acknowledged};
use scaidrive_codecs::http::{Reply, USER_AGENT, restate_length, write_head};
use scaidrive_codecs::https::{COUNT_HEADER, IDEMPOTENCY_HEADER, idempotency_key};
use scaidrive_codecs::{Body, Event, Format, Index, RequestParts, Scratch, Verdict};
use scaidrive_wal::Record;

use super::acks::Pending;
use super::carrier::{
    IDLE_MAX, Next, Sent, encode_if_needed, failed, leaves_doubt, lone_body, misconfigured, next_job, payload_of,
    read_on, settle, settle_late, settle_lone,
};
use super::encoder::outcome;
use super::gate::Hold;
use super::outlet::OutletJob;
use super::sender::{Item, Outcome};
use crate::alarm::Alarm;
use crate::config::{Compression, HecAck, Kind};
use crate::credentials::cache::{Trouble, TroubleKind};
use crate::credentials::{Shown, Signable};
use crate::runtime::Runtime;
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
    head: Vec<u8>,
    /// What that head depends on beside its body's length, if it may be used again.
    head_of: Option<HeadOf>,
    /// What that head shows.
    shown: Shown,
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

/// What one carrier has with a destination that acknowledges later: a channel of its own, and cookies that lead to the
/// same indexer again.
struct AckSession {
    channel: String,
    cookies: Vec<(String, String)>,
    pending: Pending<OutletJob>,
    /// A token without acknowledgement is a wrong setting.
    is_demanded: bool,
    /// The token has shown that it has acknowledgement.
    is_confirmed: bool,
}

/// What heads have in common that differ in the length of their bodies only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeadOf {
    target: usize,
    coding: Option<&'static str>,
    /// See [`Credentials::lasting`](crate::credentials::Credentials::lasting).
    secrets: u64,
}

/// A request before its head is written.
struct Whole<'w> {
    headers: Vec<(String, String)>,
    length: usize,
    coding: Option<&'static str>,
    plain: &'w dyn Fn(&mut dyn FnMut(&[u8])),
    sent: &'w dyn Fn(&mut dyn FnMut(&[u8])),
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
            head: Vec::new(),
            head_of: None,
            shown: Shown::default(),
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
            let now = self.shard.runtime.now();
            let until_question = self.acks.as_ref().and_then(|acks| acks.pending.patience(now));
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

    fn park(&mut self, id: u64, mut job: OutletJob, slow_down: bool) {
        self.place.outlet.borrow_mut().parked(&mut job, slow_down);
        read_on(self.shard, self.place);
        let Some(acks) = &mut self.acks else { return };
        if acks.pending.is_from_another(id) {
            // On a channel of its own no old answer can be taken for a new one.
            let mut lost = acks.pending.give_up();
            lost.push(job);
            acks.channel = guid(self.shard.runtime.entropy(), self.shard.runtime.entropy());
            self.head_of = None;
            return self.send_again(lost, "another indexer answers, which knows nothing of what waited");
        }
        acks.pending.push(id, job, self.shard.runtime.now());
    }

    /// Asks what was acknowledged when it is time, and sends again what has waited too long.
    async fn look_after_acks(&mut self) {
        let runtime = &self.shard.runtime;
        let Some(acks) = &mut self.acks else { return };
        let is_ending = self.shard.is_stopping() || self.place.is_closed.get();
        if acks.pending.patience(runtime.now()).is_some_and(|wait| is_ending || wait == Millis::ZERO) {
            let body = ack_query(acks.pending.question());
            let answer = Box::pin(self.ask_for_acks(&body)).await;
            let (now, Some(acks)) = (self.shard.runtime.now(), &mut self.acks) else { return };
            let ids = answer.unwrap_or_else(|unanswered| {
                // The next question may be answered; until then nothing is known.
                tracing::debug!(destination = %self.place.destination.name, "no acknowledgements: {}", unanswered.why);
                Vec::new()
            });
            for job in acks.pending.answered(&ids, now) {
                settle_late(self.shard, self.place, job, Outcome::Accepted { slow_down: false });
            }
        }
        let now = self.shard.runtime.now();
        let overdue = self.acks.as_mut().map(|acks| acks.pending.overdue(now)).unwrap_or_default();
        if !overdue.is_empty() {
            self.send_again(overdue, "it was accepted and not acknowledged within 5 minutes");
        }
        if is_ending {
            self.give_back("it was not acknowledged before the agent ended");
        }
    }

    /// Where acknowledgement is demanded, the token shows that it has it before an event goes out: one that has none would
    /// store every probe.
    ///
    /// # Errors
    /// How whatever was to be sent ends, unsent.
    async fn confirm_acks(&mut self) -> Result<(), Sent> {
        if self.acks.as_ref().is_none_or(|acks| !acks.is_demanded || acks.is_confirmed) {
            return Ok(());
        }
        match Box::pin(self.ask_for_acks(&ack_query(once(0)))).await {
            Err(Unanswered { is_disabled: true, why }) => {
                Err(Sent::answered(misconfigured(format!("{NO_ACKNOWLEDGEMENT}: {why}"))))
            }
            // What else is in the way is met again by the event, and judged there.
            Err(_) => Ok(()),
            Ok(_) => {
                self.acks.iter_mut().for_each(|acks| acks.is_confirmed = true);
                Ok(())
            }
        }
    }

    async fn ask_for_acks(&mut self, body: &str) -> Result<Vec<u64>, Unanswered> {
        let unasked = |why: String| Unanswered { is_disabled: false, why };
        let kept = self.connection.take().and_then(|mut open| open.connection.is_reusable().then_some(open));
        let mut open = match kept {
            Some(open) => open,
            None => match self.connect().await {
                Ok(Ok(open)) => open,
                Ok(Err(outcome)) => return Err(unasked(format!("{outcome:?}"))),
                Err(error) => return Err(unasked(error.to_string())),
            },
        };
        let target = self.format.request().path.replace(EVENT_PATH, ACK_PATH);
        let request = RequestParts { path: target, ..self.format.request().clone() };
        let visit = |visit: &mut dyn FnMut(&[u8])| visit(body.as_bytes());
        let headers = [request.headers.clone(), self.session_headers()].concat();
        let whole = Whole { headers, length: body.len(), coding: None, plain: &visit, sent: &visit };
        let written = self.write_head(open.target, &request, &whole).await;
        written.map_err(|outcome| unasked(format!("{outcome:?}")))?;
        let runtime = &self.shard.runtime;
        let timeout = self.place.destination.timeouts.request;
        let slices = once(body.as_bytes());
        let exchanges = &self.shard.exchanges;
        let reply = exchanges.exchange(runtime, &mut open.connection, &self.head, slices, timeout, REPLY_MAX).await;
        let reply = reply.map_err(|error| unasked(error.to_string()))?;
        if reply.keep_alive {
            self.connection = Some(open);
        }
        self.note_cookies(&reply);
        acknowledged(&reply)
    }

    /// Cookies lead to the indexer that knows the numbers. Balancers change them all the time and still lead there; when
    /// they don't, the numbers show it.
    fn note_cookies(&mut self, reply: &Reply) {
        if self.acks.as_mut().is_some_and(|acks| acks.note_cookies(reply)) {
            self.head_of = None;
        }
    }

    /// What the destination must know about this carrier.
    fn session_headers(&self) -> Vec<(String, String)> {
        self.acks.as_ref().map(AckSession::headers).unwrap_or_default()
    }

    fn send_again(&self, jobs: Vec<OutletJob>, why: &str) {
        for job in jobs {
            let outcome = Outcome::Retry { hold: Hold::Trouble, after: None, why: why.to_owned() };
            settle_late(self.shard, self.place, job, outcome);
        }
    }

    /// Nobody will ask for what is still waiting.
    fn give_back(&mut self, why: &str) {
        let waiting = self.acks.as_mut().map(|acks| acks.pending.give_up()).unwrap_or_default();
        self.send_again(waiting, why);
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
        let mut verdict = self.format.verdict_by_length(&reply, events, length, runtime.wall_ms());
        self.note_cookies(&reply);
        if let (Some(acks), Verdict::Delivered { .. }) = (&self.acks, &verdict) {
            self.ack_id = self.format.acknowledgement(&reply);
            if acks.is_demanded && self.ack_id.is_none() {
                verdict = Verdict::Misconfigured { why: NO_ACKNOWLEDGEMENT.to_owned() };
            }
        }
        match &verdict {
            Verdict::Uncompressed { .. } if batch.coding.is_some() => {
                self.place.route.want_uncompressed();
                self.is_to_be_sent_again = true;
            }
            Verdict::HoldForCredentials { .. }
                if may_be_a_token_that_ended(reply.status) && !self.has_shown_another_token =>
            {
                self.has_shown_another_token = self.place.route.credentials().refused(&self.shown);
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
        self.shard.exchanges.recycle(reply);
        let outcome = match verdict {
            Verdict::Apart { why } if !batch.items.is_empty() => {
                Outcome::Apart { groups: self.groups(batch.items), why }
            }
            verdict => outcome(verdict, events),
        };
        Ok(hidden(outcome, &self.shown))
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

    /// Writes the head of a request; most differ from the one before in the length of the body only.
    ///
    /// # Errors
    /// How the request ends without having been sent.
    async fn write_request_head(&mut self, target: usize, batch: &Outgoing<'_>) -> Result<(), Outcome> {
        let head_of = self.head_of(target, batch).await;
        if head_of.is_some() && head_of == self.head_of {
            let length = if batch.coding.is_some() { self.zipped.len() } else { self.length(batch) };
            restate_length(&mut self.head, length as u64);
            return Ok(());
        }
        Box::pin(self.write_new_head(target, batch)).await?;
        self.head_of = head_of;
        Ok(())
    }

    /// What the head of a batch depends on, if nothing in it belongs to this batch alone.
    async fn head_of(&self, target: usize, batch: &Outgoing<'_>) -> Option<HeadOf> {
        let secrets = self.place.route.credentials().lasting(&self.shard.runtime).await?;
        (!self.names_each_batch()).then_some(HeadOf { target, coding: batch.coding, secrets })
    }

    async fn write_new_head(&mut self, target: usize, batch: &Outgoing<'_>) -> Result<(), Outcome> {
        let request = self.format.request();
        let headers = [request.headers.clone(), self.batch_headers(batch), self.session_headers()].concat();
        let zipped = std::mem::take(&mut self.zipped);
        let length = if batch.coding.is_some() { zipped.len() } else { self.length(batch) };
        let format = self.format;
        let plain = |visit: &mut dyn FnMut(&[u8])| whole(format, batch.body, batch.items).for_each(visit);
        let compressed = |visit: &mut dyn FnMut(&[u8])| visit(&zipped);
        let sent: &dyn Fn(&mut dyn FnMut(&[u8])) = if batch.coding.is_some() { &compressed } else { &plain };
        let written = self
            .write_head(target, request, &Whole { headers, length, coding: batch.coding, plain: &plain, sent })
            .await;
        self.zipped = zipped;
        written
    }

    async fn write_head(&mut self, target: usize, request: &RequestParts, whole: &Whole<'_>) -> Result<(), Outcome> {
        self.head_of = None;
        let RequestParts { method, path, .. } = request;
        let host = self.place.route.host_header(target);
        let Whole { headers, length, coding, plain, sent } = whole;
        let signable =
            Signable { method, host: &host, target: path, headers, length: *length, plain: *plain, sent: *sent };
        let shown = self.place.route.credentials().show(&self.shard.runtime, &signable).await;
        let shown = shown.map_err(in_the_way)?;
        let own = once(("User-Agent", USER_AGENT));
        let others = headers.iter().chain(&shown.headers).map(|(name, value)| (name.as_str(), value.as_str()));
        let coding = coding.map(|coding| ("Content-Encoding", coding));
        let path = shown.target.as_deref().unwrap_or(path);
        self.head.clear();
        write_head(&mut self.head, method, path, &host, own.chain(others).chain(coding), *length as u64)
            .map_err(|problem| misconfigured(problem.to_string()))?;
        self.shown = shown;
        Ok(())
    }

    /// Whether each request carries a key of its own.
    fn names_each_batch(&self) -> bool {
        matches!(&self.place.destination.kind, Kind::Https(https) if https.idempotency)
    }

    /// Headers that differ from batch to batch.
    fn batch_headers(&self, batch: &Outgoing<'_>) -> Vec<(String, String)> {
        if !self.names_each_batch() {
            return Vec::new();
        }
        let count = (COUNT_HEADER.to_owned(), batch.items.len().max(1).to_string());
        let key = if batch.items.is_empty() {
            own_key(batch.body)
        } else {
            let outlet = self.place.outlet.borrow();
            idempotency_key(outlet.stream().text(), batch.items.iter().map(|item| item.n))
        };
        vec![(IDEMPOTENCY_HEADER.to_owned(), key), count]
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

impl AckSession {
    fn new(kind: &Kind, runtime: &dyn Runtime) -> Option<AckSession> {
        let Kind::SplunkHec(hec) = kind else { return None };
        (hec.ack != HecAck::Off).then(|| AckSession {
            channel: guid(runtime.entropy(), runtime.entropy()),
            cookies: Vec::new(),
            pending: Pending::default(),
            is_demanded: hec.ack == HecAck::On,
            is_confirmed: false,
        })
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![(CHANNEL_HEADER.to_owned(), self.channel.clone())];
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            headers.push(("Cookie".to_owned(), pairs.join("; ")));
        }
        headers
    }

    /// Keeps the cookies of a reply (RFC 6265, section 5.2, without their attributes). Returns whether one is new.
    fn note_cookies(&mut self, reply: &Reply) -> bool {
        let mut is_new = false;
        for (_, value) in reply.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let pair = value.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
                continue;
            };
            let is_sendable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
            if name.is_empty() || !is_sendable(name) || !is_sendable(value) {
                continue;
            }
            match self.cookies.iter().position(|(known, _)| known == name) {
                Some(at) if self.cookies[at].1 == value => {}
                Some(at) => {
                    self.cookies[at].1 = value.to_owned();
                    is_new = true;
                }
                None if self.cookies.len() < COOKIES_MAX => {
                    self.cookies.push((name.to_owned(), value.to_owned()));
                    is_new = true;
                }
                None => {}
            }
        }
        is_new
    }
}

const NO_ACKNOWLEDGEMENT: &str = "the token has no indexer acknowledgement, which ack = \"on\" demands";

/// A random GUID (RFC 9562, section 5.4).
pub(crate) fn guid(high: u64, low: u64) -> String {
    let bits = (u128::from(high) << 64) | u128::from(low);
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{bits:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// What it means that nothing could be shown.
fn in_the_way(trouble: Trouble) -> Outcome {
    let hold = match trouble.kind {
        TroubleKind::Unreachable => Hold::Unreachable,
        TroubleKind::Busy => Hold::Trouble,
        TroubleKind::Refused => Hold::Credentials,
        TroubleKind::Misconfigured => Hold::Misconfigured,
    };
    Outcome::Retry { hold, after: trouble.after, why: trouble.why }
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

/// What an announcement is called. Its time is that of the try, and receivers refuse another body under the same key, so
/// the key follows the body.
fn own_key(body: &Body) -> String {
    let bytes: Vec<u8> = body.slices(payload_of(&[])).collect::<Vec<_>>().concat();
    idempotency_key(&String::from_utf8_lossy(&bytes), [])
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

/// Cookies that are kept; a balancer sets one or two.
const COOKIES_MAX: usize = 16;
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
    fn a_channel_is_a_guid_of_the_random_kind() {
        assert_eq!(guid(0, 0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(guid(u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn tokens_are_replaced_where_they_may_have_ended() {
        let replaced: Vec<u16> = (400..600).filter(|status| may_be_a_token_that_ended(*status)).collect();
        assert_eq!(replaced, [401, 403]);
    }

    #[test]
    fn an_announcement_with_another_body_has_another_key() {
        let key = |text: &[u8]| {
            let mut body = Body::new();
            body.push_glue(text);
            own_key(&body)
        };
        assert_eq!(key(b"{\"timestamp\":1}"), key(b"{\"timestamp\":1}"));
        assert_ne!(key(b"{\"timestamp\":1}"), key(b"{\"timestamp\":2}"));
    }

    #[test]
    fn lesson_21_cookies_are_kept_and_the_newest_of_each_name_is_sent() {
        let mut session = AckSession {
            channel: "c".into(),
            cookies: Vec::new(),
            pending: Pending::default(),
            is_demanded: false,
            is_confirmed: false,
        };
        let reply = |value: &str| Reply { headers: vec![("set-cookie".into(), value.into())], ..Reply::default() };
        for value in ["AWSALB=one; Path=/; Secure", "AWSALB=one", "other = x"] {
            session.note_cookies(&reply(value));
        }
        assert_eq!(session.headers()[1], ("Cookie".to_owned(), "AWSALB=one; other=x".to_owned()));
        assert!(session.note_cookies(&reply("AWSALB=two")), "the next head says so");
        for value in ["AWSALB=two", "bad=a\tb", "nothing"] {
            assert!(!session.note_cookies(&reply(value)));
        }
        assert_eq!(session.headers()[1], ("Cookie".to_owned(), "AWSALB=two; other=x".to_owned()));
    }
}
