//! The loops round the transports: take a job, send it, bring back how it ended. Nothing is decided here.

mod datagram;
mod pipe;
mod relp;

use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_lite::future::or;
use scaidrive_codecs::own::Envelope;
use scaidrive_codecs::{Body, Event, Scratch};
use scaidrive_wal::Record;

use self::datagram::DatagramCarrier;
use self::pipe::PipeCarrier;
use self::relp::RelpCarrier;
use super::encoder::Encoder;
use super::gate::Hold;
use super::outlet::{OutletJob, OwnJob, Wish};
use super::sender::{Item, Job, Outcome};
use crate::config::{Compression, Kind, SyslogTransport};
use crate::shard::{Chance, Place, Shard};
use crate::stream::tell::{Names, id_text};
use crate::time::Millis;
use crate::transport::{self, Connection, FailureKind, TransportError};

/// Carries for a place until it is closed, or has had nothing to do for a while.
pub async fn carry(shard: Rc<Shard>, place: Rc<Place>) {
    match &place.destination.kind {
        Kind::SplunkHec(_) => HttpCarrier::new(&shard, &place).run().await,
        Kind::Syslog(syslog) => match syslog.transport {
            SyslogTransport::Tcp | SyslogTransport::Tls => PipeCarrier::new(&shard, &place).run().await,
            SyslogTransport::Udp => DatagramCarrier::new(&shard, &place).run().await,
            SyslogTransport::Relp | SyslogTransport::RelpTls => RelpCarrier::new(&shard, &place).run().await,
        },
    }
    place.carriers.set(place.carriers.get() - 1);
    // Work that came while this one was ending needs another.
    shard.touch_and_ring(&place);
}

/// What a carrier wakes up for.
enum Next {
    Job(OutletJob),
    /// Time passed, or something changed: look again.
    Again,
    /// Nothing came for a while, or the place is closed.
    End,
}

/// Waits for a job, `patience` at most. `also` wakes it too.
async fn next_job(shard: &Rc<Shard>, place: &Rc<Place>, patience: Millis, also: impl Future<Output = ()>) -> Next {
    if place.is_closed.get() {
        return Next::End;
    }
    let now = shard.runtime.now();
    let wake = Rc::clone(&place.outlet.borrow().wake);
    let seen = wake.seen();
    let mut condemned = Vec::new();
    let wish = {
        let mut tenants = shard.tenants().borrow_mut();
        place.outlet.borrow_mut().wish(now, &mut Chance(&*shard.runtime), &mut condemned, &mut tenants)
    };
    if place.outlet.borrow().wants_cursor_now() {
        shard.touch_and_ring(place);
    }
    for event in condemned {
        shard.bury(place, event);
    }
    let wait = match wish {
        Wish::Send(job) => return Next::Job(job),
        Wish::WaitUntil(moment) => moment.since(now).max(Millis(1)),
        Wish::Wait => patience,
    };
    place.idle.set(place.idle.get() + 1);
    let is_over = Rc::clone(&shard.runtime);
    let event = async {
        or(wake.changed(seen), also).await;
        false
    };
    let timer = async {
        is_over.sleep(wait.min(patience)).await;
        true
    };
    let timed_out = or(event, timer).await;
    place.idle.set(place.idle.get() - 1);
    if timed_out && wait >= patience { Next::End } else { Next::Again }
}

fn settle(shard: &Rc<Shard>, place: &Rc<Place>, job: Job<Record>, outcome: Outcome) {
    let mut condemned = Vec::new();
    let (now, wall_ms) = (shard.runtime.now(), shard.runtime.wall_ms());
    if outcome_wants_fresh_secret(&outcome) {
        place.route.refresh();
    }
    place.outlet.borrow_mut().settle(
        job,
        outcome,
        now,
        wall_ms,
        &mut Chance(&*shard.runtime),
        &mut condemned,
        &mut shard.tenants().borrow_mut(),
    );
    for event in condemned {
        shard.bury(place, event);
    }
    shard.touch_and_ring(place);
}

fn settle_own(shard: &Rc<Shard>, place: &Rc<Place>, job: &OwnJob, sent: &Sent) {
    let Sent { outcome, may_have_arrived } = sent;
    let (now, wall_ms) = (shard.runtime.now(), shard.runtime.wall_ms());
    if outcome_wants_fresh_secret(outcome) {
        place.route.refresh();
    }
    place.outlet.borrow_mut().own_settled(job, outcome, *may_have_arrived, now, wall_ms, &mut Chance(&*shard.runtime));
    shard.touch_and_ring(place);
}

/// Whether what is known of credentials or certificates should be read again before the next try.
fn outcome_wants_fresh_secret(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { hold: Hold::Credentials | Hold::Misconfigured, .. })
}

/// The bytes of an announcement, or `None` when it has been overtaken.
fn announcement_body(
    shard: &Shard,
    place: &Place,
    job: &OwnJob,
    scratch: &mut Scratch,
) -> Result<Option<Body>, String> {
    let outlet = place.outlet.borrow();
    let Some(announcement) = outlet.announcement(job.id) else { return Ok(None) };
    let stream = outlet.stream();
    let names =
        Names { destination: &place.destination.name, shard: shard.id().0, stream: &|epoch| stream.of_epoch(*epoch) };
    let tenant = place.destination.scope.only_tenant().unwrap_or(&shard.identity.tenant);
    let envelope = Envelope {
        event_id: &id_text(&job.id),
        timestamp_ms: shard.runtime.wall_ms(),
        tenant_id: tenant,
        node: &shard.identity.node,
    };
    let mut refused = String::new();
    for (ranges, tenants) in NOTICE_SIZES {
        let raw = announcement.shortened(ranges, tenants).as_announcement().to_own(&names).to_json(&envelope);
        let index = scaidrive_codecs::index(&raw).map_err(|refusal| refusal.to_string())?;
        let mut body = Body::new();
        match outlet.encoder.encode_own(&Event::new(&raw, &index), &mut body, scratch) {
            Ok(()) => return Ok(Some(body)),
            // A format with short messages gets a shorter notice: the counts stay exact.
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

fn payload_of<'a>(items: &'a [Item<Record>]) -> impl Fn(u32) -> &'a [u8] {
    |item| items[item as usize].load.payload()
}

/// Whether an answer may have come although the destination took what was sent: from a gateway that did not wait for
/// it, or from something that does not speak as a collector does.
fn leaves_doubt(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { hold: Hold::Trouble | Hold::Misconfigured, .. })
}

/// An announcement that is not the one to send any more.
fn overtaken() -> Outcome {
    Outcome::AcceptedBut { refused: Vec::new(), again: Vec::new() }
}

fn misconfigured(why: String) -> Outcome {
    Outcome::Retry { hold: Hold::Misconfigured, after: None, why }
}

/// How sending ended.
struct Sent {
    outcome: Outcome,
    /// It was sent, and no answer says what became of it.
    may_have_arrived: bool,
}

impl Sent {
    /// The destination answered, or nothing was sent.
    fn answered(outcome: Outcome) -> Sent {
        Sent { outcome, may_have_arrived: false }
    }
}

/// What a failure to reach the destination means.
fn failed(error: &TransportError) -> Outcome {
    let hold = match error.kind {
        FailureKind::Untrusted | FailureKind::Refused => Hold::Misconfigured,
        // Somebody is there and does not speak as it should; asking more often would not help.
        FailureKind::Protocol => Hold::Trouble,
        _ => Hold::Unreachable,
    };
    Outcome::Retry { hold, after: None, why: error.to_string() }
}

/// Requests over one kept-alive connection.
struct HttpCarrier<'a> {
    shard: &'a Rc<Shard>,
    place: &'a Rc<Place>,
    encoder: Rc<Encoder>,
    connection: Option<Connection>,
    head: Vec<u8>,
    zipped: Vec<u8>,
    scratch: Scratch,
}

impl<'a> HttpCarrier<'a> {
    fn new(shard: &'a Rc<Shard>, place: &'a Rc<Place>) -> HttpCarrier<'a> {
        HttpCarrier {
            shard,
            place,
            encoder: Rc::clone(&place.outlet.borrow().encoder),
            connection: None,
            head: Vec::new(),
            zipped: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    async fn run(&mut self) {
        loop {
            match next_job(self.shard, self.place, IDLE_MAX, std::future::pending()).await {
                Next::Again => {}
                Next::End => return,
                Next::Job(OutletJob::Events(mut job)) => {
                    if !job.batch.is_encoded {
                        let outlet = self.place.outlet.borrow();
                        self.encoder.encode_again(&mut job.batch, outlet.stream(), &mut self.scratch);
                    }
                    let sent = self.send(&job.batch.body, &job.batch.items).await;
                    settle(self.shard, self.place, job, sent.outcome);
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
        let is_gzip = self.place.destination.compression == Compression::Gzip;
        self.zipped.clear();
        if is_gzip {
            transport::gzip(body.slices(payload_of(items)), GZIP_LEVEL, &mut self.zipped);
        }
        let len = if is_gzip { self.zipped.len() } else { body.len() };
        self.head.clear();
        let head = &mut self.head;
        let built = self.place.route.with_token(|token| self.encoder.request_head(token, is_gzip, len, head));
        if let Err(why) = built {
            return Sent::answered(misconfigured(why));
        }
        // A connection that the peer closed while it was idle is found closed here, not in the middle of a request.
        self.connection =
            self.connection.take().and_then(|mut connection| connection.is_reusable().then_some(connection));
        let is_reused = self.connection.is_some();
        let mut ended = self.exchange(body, items, is_gzip).await;
        let mut may_have_arrived = matches!(&ended, Err(error) if error.outcome_unknown);
        if is_reused && matches!(&ended, Err(error) if error.is_stale_connection()) {
            ended = self.exchange(body, items, is_gzip).await;
            // Whatever the second try says, the first one may have arrived.
            may_have_arrived |= matches!(&ended, Err(error) if error.outcome_unknown);
        }
        let outcome = ended.unwrap_or_else(|error| failed(&error));
        may_have_arrived |= leaves_doubt(&outcome);
        Sent { outcome, may_have_arrived }
    }

    async fn exchange(
        &mut self,
        body: &Body,
        items: &[Item<Record>],
        is_gzip: bool,
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
        let reply = if is_gzip {
            let zipped = std::iter::once(self.zipped.as_slice());
            transport::exchange(runtime, &mut connection, &self.head, zipped, timeout, REPLY_MAX).await?
        } else {
            let slices = body.slices(payload_of(items));
            transport::exchange(runtime, &mut connection, &self.head, slices, timeout, REPLY_MAX).await?
        };
        let outcome = self.encoder.outcome(&reply, items.len().max(1), runtime.wall_ms());
        let wants_another = matches!(outcome, Outcome::Retry { .. });
        if reply.keep_alive && !wants_another {
            self.connection = Some(connection);
        }
        Ok(outcome)
    }
}

/// What a future has ready now.
fn poll_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Ranges and tenants that a notice names at most, from all it has to what fits anywhere.
const NOTICE_SIZES: [(usize, usize); 4] = [(usize::MAX, usize::MAX), (20, 20), (5, 5), (1, 0)];
/// A carrier without work ends after this, and closes its connection.
const IDLE_MAX: Millis = Millis::from_secs(60);
/// Replies are kept up to this length, in bytes.
const REPLY_MAX: usize = 1 << 20;
/// Fast rather than small: audit events compress tenfold either way.
const GZIP_LEVEL: u32 = 1;
/// How long a peer may take to confirm the end of a connection.
const FINISH_MAX: Millis = Millis(1_500);
