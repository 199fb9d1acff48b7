//! The loops round the transports: take a job, send it, bring back how it ended. Nothing is decided here. The loop
//! for HTTP is in [`super::http`].

mod datagram;
mod pipe;
mod relp;

use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_lite::future::or;
use scaidrive_codecs::own::Envelope;
use scaidrive_codecs::{Body, Entry, Event, Scratch};
use scaidrive_wal::Record;

use self::datagram::DatagramCarrier;
use self::pipe::PipeCarrier;
use self::relp::RelpCarrier;
use super::encoder::{Encoder, Misfit};
use super::gate::Hold;
use super::http::HttpCarrier;
use super::outlet::{Lone, LoneJob, OutletJob, Sending, Wish};
use super::sender::{Item, Job, Outcome};
use crate::alarm::Alarm;
use crate::config::{Kind, SyslogTransport};
use crate::shard::{Chance, Place, Shard};
use crate::stream::tell::{Names, id_text};
use crate::time::Millis;
use crate::transport::{FailureKind, TransportError};

/// Carries for a place until it is closed, or has had nothing to do for a while.
pub async fn carry(shard: Rc<Shard>, place: Rc<Place>) {
    let encoder = Rc::clone(&place.outlet.borrow().encoder);
    if let Encoder::Http(format) = &*encoder {
        HttpCarrier::new(&shard, &place, &**format).run().await;
    } else if let Kind::Syslog(syslog) = &place.destination.kind {
        match syslog.transport {
            SyslogTransport::Tcp | SyslogTransport::Tls => PipeCarrier::new(&shard, &place).run().await,
            SyslogTransport::Udp => DatagramCarrier::new(&shard, &place).run().await,
            SyslogTransport::Relp | SyslogTransport::RelpTls => RelpCarrier::new(&shard, &place).run().await,
        }
    }
    place.carriers.set(place.carriers.get() - 1);
    // Work that came while this one was ending needs another.
    shard.touch_and_ring(&place);
}

/// What a carrier wakes up for.
pub(super) enum Next {
    Job(OutletJob),
    /// Time passed, or something changed: look again.
    Again,
    /// Nothing came for a while, or the place is closed.
    End,
}

/// Waits for a job, `patience` at most. `also` wakes it too, and `alarm` is what it waits by.
pub(super) async fn next_job(
    shard: &Rc<Shard>,
    place: &Rc<Place>,
    alarm: &mut Alarm,
    patience: Millis,
    also: impl Future<Output = ()>,
) -> Next {
    if place.is_closed.get() {
        return Next::End;
    }
    let now = shard.runtime.now();
    let wake = Rc::clone(&place.outlet.borrow().wake);
    let seen = wake.seen();
    let mut condemned = Vec::new();
    let halt = place.halt(now, shard.runtime.wall_ms());
    let wish = if let Some(halt) = halt {
        Wish::WaitUntil(now.plus(halt))
    } else {
        let (mut tenants, mut pace) = (shard.tenants().borrow_mut(), shard.pace.borrow_mut());
        place.outlet.borrow_mut().wish(now, &mut Chance(&*shard.runtime), &mut condemned, &mut tenants, &mut pace)
    };
    if place.outlet.borrow().wants_cursor_now() {
        shard.touch_and_ring(place);
    }
    for event in condemned {
        shard.bury(place, event);
    }
    let wait = match wish {
        Wish::Send(job) => {
            place.spend(&job, now, shard.runtime.wall_ms());
            read_on(shard, place);
            return Next::Job(job);
        }
        Wish::WaitUntil(moment) => moment.since(now).max(Millis(1)),
        Wish::Wait => patience,
    };
    place.idle.set(place.idle.get() + 1);
    let event = async {
        or(wake.changed(seen), also).await;
        false
    };
    let timer = async {
        alarm.at(now.plus(wait.min(patience))).await;
        true
    };
    let timed_out = or(event, timer).await;
    place.idle.set(place.idle.get() - 1);
    if timed_out && wait >= patience { Next::End } else { Next::Again }
}

/// What was sent may leave room for what waits in the log: then the shard reads on, and does not wait for an answer.
pub(super) fn read_on(shard: &Rc<Shard>, place: &Rc<Place>) {
    if place.outlet.borrow().waits_though_it_has_room() {
        shard.touch_and_ring(place);
    }
}

pub(super) fn settle(shard: &Rc<Shard>, place: &Rc<Place>, job: Job<Record>, outcome: Outcome) {
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

pub(super) fn settle_lone(shard: &Rc<Shard>, place: &Rc<Place>, job: &LoneJob, sent: Sent) {
    let Sent { outcome, may_have_arrived } = sent;
    let (now, wall_ms) = (shard.runtime.now(), shard.runtime.wall_ms());
    if outcome_wants_fresh_secret(&outcome) {
        place.route.refresh();
    }
    let mut chance = Chance(&*shard.runtime);
    place.outlet.borrow_mut().lone_settled(job, outcome, may_have_arrived, now, wall_ms, &mut chance);
    shard.touch_and_ring(place);
}

/// How something that was taken for now ended after all.
pub(super) fn settle_late(shard: &Rc<Shard>, place: &Rc<Place>, job: OutletJob, outcome: Outcome) {
    match job {
        OutletJob::Events(job) => settle(shard, place, job, outcome),
        OutletJob::Lone(job) => settle_lone(shard, place, &job, Sent { outcome, may_have_arrived: true }),
    }
}

/// Whether what is known of credentials or certificates should be read again before the next try.
fn outcome_wants_fresh_secret(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { hold: Hold::Credentials | Hold::Misconfigured, .. })
}

/// Sees to it that a batch has a body that belongs to it. What turns out too long is cut, and the rest goes next.
///
/// # Errors
/// How the job ends when one of its events does not fit the format any more: as if the destination had refused it, so
/// that the others are sent without it.
pub(super) fn encode_if_needed(
    shard: &Shard,
    place: &Place,
    job: &mut Job<Record>,
    scratch: &mut Scratch,
) -> Result<(), Outcome> {
    let (mut outlet, wall_ms) = (place.outlet.borrow_mut(), shard.runtime.wall_ms());
    // Also when the wall clock was set back: an encoding from the future is no better.
    let is_stale = outlet.encoder.encoded_for().is_some_and(|life| wall_ms.abs_diff(job.batch.encoded_ms) > life.0);
    if job.batch.is_encoded && !is_stale {
        return Ok(());
    }
    loop {
        let encoded = outlet.encoder.encode_again(&mut job.batch, outlet.stream(), wall_ms, scratch);
        let fits = outlet.encoded(job);
        encoded.map_err(|Misfit { position, why }| Outcome::Refused { offender: Some(position), why })?;
        if fits {
            return Ok(());
        }
    }
}

/// The body of a request with one event alone, which borrows nothing from an event.
///
/// # Errors
/// How the job ends when there is none: an announcement that was overtaken, or something that does not fit the format.
pub(super) fn lone_body(shard: &Shard, place: &Place, job: &LoneJob, scratch: &mut Scratch) -> Result<Body, Sent> {
    match &job.what {
        Lone::Own(id) => match announcement_body(shard, place, *id, scratch) {
            Ok(Some(body)) => Ok(body),
            Ok(None) => Err(Sent::answered(overtaken())),
            Err(why) => Err(Sent::answered(misconfigured(why))),
        },
        Lone::Letter(sending) => letter_body(shard, place, sending, scratch)
            .map_err(|why| Sent::answered(Outcome::Refused { offender: None, why })),
    }
}

fn letter_body(shard: &Shard, place: &Place, sending: &Sending, scratch: &mut Scratch) -> Result<Body, String> {
    let Sending { letter, stream, .. } = sending;
    let index = scaidrive_codecs::index(&letter.raw).map_err(|refusal| refusal.to_string())?;
    let stamp = stream.stamp(letter.key.n);
    let entry = Entry { item: 0, stamp: Some(&stamp), now_ms: shard.runtime.wall_ms() };
    let mut lent = Body::new();
    place.outlet.borrow().encoder.encode(&Event::new(&letter.raw, &index), &entry, &mut lent, scratch)?;
    let mut body = Body::new();
    lent.slices(|_| &letter.raw).for_each(|slice| body.push_glue(slice));
    Ok(body)
}

/// The bytes of an announcement, or `None` when it has been overtaken.
fn announcement_body(
    shard: &Shard,
    place: &Place,
    id: [u8; 16],
    scratch: &mut Scratch,
) -> Result<Option<Body>, String> {
    let outlet = place.outlet.borrow();
    let Some(announcement) = outlet.announcement(id) else { return Ok(None) };
    let stream = outlet.stream();
    let names =
        Names { destination: &place.destination.name, shard: shard.id().0, stream: &|epoch| stream.of_epoch(*epoch) };
    let tenant = place.destination.scope.only_tenant().unwrap_or(&shard.identity.tenant);
    let envelope = Envelope {
        event_id: &id_text(&id),
        timestamp_ms: shard.runtime.wall_ms(),
        tenant_id: tenant,
        node: &shard.identity.node,
    };
    let mut refused = String::new();
    for (ranges, tenants) in NOTICE_SIZES {
        let raw = announcement.shortened(ranges, tenants).as_announcement().to_own(&names).to_json(&envelope);
        let index = scaidrive_codecs::index(&raw).map_err(|refusal| refusal.to_string())?;
        let mut body = Body::new();
        let entry = Entry { item: 0, stamp: None, now_ms: envelope.timestamp_ms };
        match outlet.encoder.encode(&Event::new(&raw, &index), &entry, &mut body, scratch) {
            Ok(()) => return Ok(Some(body)),
            // A format with short messages gets a shorter notice: the counts stay exact.
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

pub(super) fn payload_of<'a>(items: &'a [Item<Record>]) -> impl Fn(u32) -> &'a [u8] {
    |item| items[item as usize].load.payload()
}

/// Whether an answer may have come although the destination took what was sent: from a gateway that did not wait for
/// it, or from something that does not speak as a collector does.
pub(super) fn leaves_doubt(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { hold: Hold::Trouble | Hold::Misconfigured, .. })
}

/// An announcement that is not the one to send any more.
fn overtaken() -> Outcome {
    Outcome::AcceptedBut { refused: Vec::new(), again: Vec::new(), slow_down: false, note: None }
}

pub(super) fn misconfigured(why: String) -> Outcome {
    Outcome::Retry { hold: Hold::Misconfigured, after: None, why }
}

/// How sending ended.
pub(super) struct Sent {
    pub(super) outcome: Outcome,
    /// It was sent, and no answer says what became of it.
    pub(super) may_have_arrived: bool,
}

impl Sent {
    /// The destination answered, or nothing was sent.
    pub(super) fn answered(outcome: Outcome) -> Sent {
        Sent { outcome, may_have_arrived: false }
    }
}

/// What a failure to reach the destination means.
pub(super) fn failed(error: &TransportError) -> Outcome {
    let hold = match error.kind {
        FailureKind::Untrusted | FailureKind::Refused => Hold::Misconfigured,
        FailureKind::Credentials => Hold::Credentials,
        // Somebody is there and does not speak as it should; asking more often would not help.
        FailureKind::Protocol => Hold::Trouble,
        _ => Hold::Unreachable,
    };
    Outcome::Retry { hold, after: None, why: error.to_string() }
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
pub(super) const IDLE_MAX: Millis = Millis::from_secs(60);
/// How long a peer may take to confirm the end of a connection.
const FINISH_MAX: Millis = Millis(1_500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Stage;

    #[test]
    fn connectors_7_4_what_stands_in_the_way_is_tried_again_and_what_is_set_wrong_is_held() {
        use FailureKind::{Closed, Credentials, Local, Protocol, Refused, TimedOut, Unreachable, Untrusted};
        for (row, stage, kind, expected) in [
            ("DNS failure", Stage::Resolve, Unreachable, Hold::Unreachable),
            ("connect refused", Stage::Connect, Unreachable, Hold::Unreachable),
            ("connect timeout", Stage::Connect, TimedOut, Hold::Unreachable),
            ("write error, reset", Stage::Write, Closed, Hold::Unreachable),
            ("EOF seen on read", Stage::Reply, Closed, Hold::Unreachable),
            ("write blocked", Stage::Write, TimedOut, Hold::Unreachable),
            ("TLS alert", Stage::Tls, Untrusted, Hold::Misconfigured),
            ("500 on open", Stage::Reply, Refused, Hold::Misconfigured),
            ("the proxy wants credentials", Stage::Proxy, Credentials, Hold::Credentials),
            ("another protocol", Stage::Reply, Protocol, Hold::Trouble),
            ("no descriptors left", Stage::Connect, Local, Hold::Unreachable),
        ] {
            let error = TransportError { stage, kind, outcome_unknown: false, what: row.to_owned(), tls: None };
            let Outcome::Retry { hold, after: None, why } = failed(&error) else { panic!("{row} is tried again") };
            assert_eq!(hold, expected, "{row}");
            assert!(why.contains(row), "{why}");
        }
    }
}
