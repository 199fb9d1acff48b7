//! Syslog over TCP and TLS: messages over one connection, in log order.

use std::collections::VecDeque;
use std::rc::Rc;

use scaidrive_codecs::Scratch;
use scaidrive_wal::Record;

use super::{
    FINISH_MAX, IDLE_MAX, Next, Sent, encode_if_needed, failed, lone_body, misconfigured, next_job, payload_of,
    poll_now, read_on, settle, settle_late, settle_lone,
};
use crate::alarm::Alarm;
use crate::delivery::outlet::{LoneJob, OutletJob};
use crate::delivery::sender::{Job, Outcome};
use crate::shard::{Place, Shard};
use crate::time::Millis;
use crate::transport::{self, SyslogConnection};

/// Messages over one connection, in log order. Nothing answers, so what was written stays in a trail for a while and
/// goes again when the connection is closed by anyone but us.
pub(super) struct PipeCarrier<'a> {
    shard: &'a Rc<Shard>,
    place: &'a Rc<Place>,
    alarm: Alarm,
    connection: Option<SyslogConnection>,
    trail: VecDeque<Written>,
    trail_bytes: usize,
    /// The peer has shown that it does not confirm the end of a connection, so only time settles what was written.
    never_confirms: bool,
    scratch: Scratch,
}

/// Something that was written.
struct Written {
    what: OutletJob,
    bytes: usize,
    at: Millis,
}

impl<'a> PipeCarrier<'a> {
    pub(super) fn new(shard: &'a Rc<Shard>, place: &'a Rc<Place>) -> PipeCarrier<'a> {
        PipeCarrier {
            shard,
            place,
            alarm: Alarm::new(&shard.runtime),
            connection: None,
            trail: VecDeque::new(),
            trail_bytes: 0,
            never_confirms: false,
            scratch: Scratch::default(),
        }
    }

    pub(super) async fn run(&mut self) {
        loop {
            self.settle_old();
            if self.shard.is_stopping() || self.place.is_closed.get() {
                self.finish().await;
                return;
            }
            let patience = if self.trail.is_empty() { IDLE_MAX } else { TRAIL_LOOK };
            let closed = closed(&mut self.connection);
            match next_job(self.shard, self.place, &mut self.alarm, patience, closed).await {
                Next::Job(OutletJob::Events(job)) => self.send_events(job).await,
                Next::Job(OutletJob::Lone(job)) => self.send_lone(job).await,
                Next::End if self.trail.is_empty() => {
                    self.finish().await;
                    return;
                }
                Next::Again | Next::End => {
                    self.notice_close();
                    self.hear_at_once().await;
                }
            }
        }
    }

    /// A replay that has written everything, or whoever sent dead letters again, need not wait for time to settle it: a
    /// connection that ends in good order shows that the peer has read all of it.
    async fn hear_at_once(&mut self) {
        let is_awaited = !self.never_confirms && self.place.outlet.borrow().waits_for_the_last_word();
        if is_awaited && !self.trail.is_empty() && self.connection.is_some() {
            self.never_confirms = !self.finish().await;
        }
    }

    async fn send_events(&mut self, mut job: Job<Record>) {
        if let Err(misfit) = encode_if_needed(self.shard, self.place, &mut job, &mut self.scratch) {
            return settle(self.shard, self.place, job, misfit);
        }
        let bytes = job.batch.body.len();
        match self.write(job.batch.body.slices(payload_of(&job.batch.items))).await {
            Ok(()) => {
                self.place.outlet.borrow_mut().batch_written(&mut job, self.shard.runtime.wall_ms());
                read_on(self.shard, self.place);
                self.leave_in_trail(OutletJob::Events(job), bytes);
            }
            Err(outcome) => {
                self.resend(&outcome);
                settle(self.shard, self.place, job, outcome);
            }
        }
    }

    fn leave_in_trail(&mut self, what: OutletJob, bytes: usize) {
        self.trail_bytes += bytes;
        self.trail.push_back(Written { what, bytes, at: self.shard.runtime.now() });
    }

    async fn send_lone(&mut self, job: LoneJob) {
        let sent = match lone_body(self.shard, self.place, &job, &mut self.scratch) {
            Ok(body) => match self.write(body.slices(|_| &[])).await {
                Ok(()) => {
                    self.place.outlet.borrow_mut().lone_written(&job, self.shard.runtime.wall_ms());
                    return self.leave_in_trail(OutletJob::Lone(job), body.len());
                }
                Err(outcome) => {
                    self.resend(&outcome);
                    // Some of it may be in the peer's hands.
                    Sent { outcome, may_have_arrived: true }
                }
            },
            Err(sent) => sent,
        };
        settle_lone(self.shard, self.place, &job, sent);
    }

    async fn write<'s>(&mut self, slices: impl Iterator<Item = &'s [u8]>) -> Result<(), Outcome> {
        if let Some(outcome) = self.notice_close() {
            // What went before goes again, and what was to be written now comes after it.
            return Err(outcome);
        }
        let runtime = &self.shard.runtime;
        let endpoint = self.place.route.endpoint(runtime, 0).await.map_err(misconfigured)?;
        if self.connection.is_none() {
            let connected = Box::pin(transport::connect(runtime, &endpoint)).await;
            let connection =
                connected.and_then(|connection| SyslogConnection::new(connection, endpoint.request_timeout));
            self.connection = Some(connection.map_err(|error| failed(&error))?);
        }
        let Some(connection) = &mut self.connection else { return Err(misconfigured(String::from("no connection"))) };
        let written = connection.write(runtime, slices, endpoint.request_timeout).await;
        written.map(drop).map_err(|error| {
            self.connection = None;
            failed(&error)
        })
    }

    /// The peer closed: what it may not have read goes again. Returns why, if there is anything of that kind.
    fn notice_close(&mut self) -> Option<Outcome> {
        let connection = self.connection.as_mut()?;
        // The poll looks at the socket once; it neither waits nor wakes.
        let ended = poll_now(connection.closed())?;
        self.connection = None;
        let (outcome, goes_again) = (failed(&ended), !self.trail.is_empty());
        self.resend(&outcome);
        goes_again.then_some(outcome)
    }

    fn resend(&mut self, outcome: &Outcome) {
        self.trail_bytes = 0;
        for written in self.trail.drain(..) {
            settle_late(self.shard, self.place, written.what, outcome.clone());
        }
    }

    /// What was written long enough ago, with enough written after it, is taken as read; and so is what has more after it
    /// than two kernels as they are usually set up hold between them, because then the peer's program has taken it.
    fn settle_old(&mut self) {
        let now = self.shard.runtime.now();
        while let Some(oldest) = self.trail.front() {
            let age = now.since(oldest.at);
            let followed_by = self.trail_bytes - oldest.bytes;
            let is_old = age >= TRAIL_AGE && (followed_by >= TRAIL_BYTES || age >= self.shard.trail_age_max());
            if !is_old && followed_by < TRAIL_BYTES_MAX {
                return;
            }
            let Some(written) = self.trail.pop_front() else { return };
            self.trail_bytes -= written.bytes;
            settle_late(self.shard, self.place, written.what, Outcome::Accepted { slow_down: false });
        }
    }

    /// Ends in good order: our end is closed, and when the peer closes its own it has read everything. Returns whether it
    /// has.
    async fn finish(&mut self) -> bool {
        let Some(connection) = self.connection.take() else { return false };
        let outcome = match connection.finish(&self.shard.runtime, FINISH_MAX).await {
            Ok(()) => Outcome::Accepted { slow_down: false },
            Err(error) => failed(&error),
        };
        self.resend(&outcome);
        matches!(outcome, Outcome::Accepted { .. })
    }
}

/// Resolves when the peer closes the connection.
async fn closed(connection: &mut Option<SyslogConnection>) {
    match connection {
        Some(connection) => drop(connection.closed().await),
        None => std::future::pending().await,
    }
}

/// How long and how much written is kept, as long as the peer may not have read it.
const TRAIL_AGE: Millis = Millis::from_secs(5);
const TRAIL_BYTES: usize = 8 << 20;
/// However short a time ago it was: otherwise this and the time above would bound the rate.
const TRAIL_BYTES_MAX: usize = 64 << 20;
/// How often the trail is looked at.
const TRAIL_LOOK: Millis = Millis::from_secs(1);
