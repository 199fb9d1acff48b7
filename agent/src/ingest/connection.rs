//! One producer's socket, on the shard it was given to.
//!
//! A connection lives in turns. In each it hears which groups are settled, takes at most one slice of lines, writes what
//! the socket takes of its acks, and gives way to the other connections of the shard. It holds one read buffer and one
//! ack line, whatever the producer does.
//!
//! It ends when the producer has sent all (what was read is settled and told first), when the agent stops (nothing more
//! is read; what is in the log is told), or when a group was not kept (the producer is told and still owns it). None of
//! these waits longer than its constant below.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_io::AsyncRead;

pub use crate::ingest::desk::Peer;

use crate::ingest::Intake;
use crate::ingest::acks::{State, Teller};
use crate::ingest::desk::{Desk, Judged};
use crate::ingest::ledger::GroupId;
use crate::ingest::lines::Lines;
use crate::ingest::stop::Stopped;
use crate::runtime::{Pending, Stream};
use crate::shard::door::{Done, LocalDoor, Outcome};
use crate::time::Millis;

/// Most lines taken in one turn.
pub const SLICE_LINES: usize = 1024;

/// How long a producer that has sent all may take to get its last acks.
pub const FINISH_MAX: Millis = Millis::from_secs(30);

/// How long a connection may take to end once the agent stops.
pub const STOP_MAX: Millis = Millis::from_secs(2);

/// How long to try to tell a producer why its connection is closed.
pub const FAREWELL_MAX: Millis = Millis::from_secs(1);

/// Serves one connection to its end.
pub async fn serve(door: LocalDoor, stream: Box<dyn Stream>, peer: Peer, intake: Arc<Intake>) {
    let mut connection = Connection::new(door, stream, peer, intake);
    std::future::poll_fn(|cx| connection.turn(cx)).await;
}

struct Connection {
    desk: Desk,
    stream: Box<dyn Stream>,
    lines: Lines,
    teller: Teller,
    mailbox: Arc<Mailbox>,
    /// The mailbox's letters while they are read; kept for its memory.
    letters: Vec<(GroupId, Outcome)>,
    phase: Phase,
    /// When the phase ends at the latest; none while it is open.
    deadline: Option<Pending<()>>,
    /// The log has no room: why, when that is worth telling, and when to try again.
    no_room: Option<(Option<String>, Pending<()>)>,
    stopped: Stopped,
    is_stopping: bool,
}

enum Phase {
    /// Lines are taken.
    Open,
    /// Nothing more is taken; what was is to be settled and told.
    Finishing,
    /// The producer is told why the connection ends.
    Failing { why: String },
    /// Nobody is left to tell; the books want to know what became of the rest.
    Gone,
}

/// How taking a slice ended.
enum SliceEnd {
    /// No whole line is left in the buffer.
    Dry,
    /// Enough for one turn.
    Enough,
    /// More must be acknowledged first.
    Window,
    /// The log has no room.
    NoRoom,
}

impl Connection {
    fn new(door: LocalDoor, stream: Box<dyn Stream>, peer: Peer, intake: Arc<Intake>) -> Connection {
        let desk = Desk::new(door, intake.clone(), peer);
        desk.stats().opened.add(1);
        Connection {
            desk,
            stream,
            lines: Lines::new(intake.max_event_size),
            teller: Teller::default(),
            mailbox: Arc::default(),
            letters: Vec::new(),
            phase: Phase::Open,
            deadline: None,
            no_room: None,
            stopped: intake.stop.wait(),
            is_stopping: false,
        }
    }

    /// One turn; ready when the connection is over.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.hear(cx);
        self.hear_stop(cx);
        let again = matches!(self.phase, Phase::Open) && self.take_in(cx);
        let all_told = self.tell(cx);
        if self.is_over(all_told, cx) {
            return Poll::Ready(());
        }
        if again {
            // The other tasks of the shard come first.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Learns what became of groups.
    fn hear(&mut self, cx: &Context<'_>) {
        self.mailbox.collect(&mut self.letters, cx.waker());
        let mut letters = std::mem::take(&mut self.letters);
        for (group, outcome) in letters.drain(..) {
            let why = match outcome {
                Outcome::Durable => {
                    let held = self.desk.ledger.settle(group);
                    self.desk.stats().accepted.add(held.events);
                    self.desk.stats().accepted_bytes.add(held.bytes);
                    continue;
                }
                Outcome::Failed { why } => why,
                Outcome::Refused { why, retry_after_s } => format!("{why}; connect again in {retry_after_s} s"),
            };
            let held = self.desk.ledger.fail(group);
            self.desk.stats().failed.add(held.events);
            if matches!(self.phase, Phase::Open | Phase::Finishing) {
                self.enter(Phase::Failing { why }, FAREWELL_MAX);
            }
        }
        self.letters = letters;
    }

    /// Once the agent stops, its deadline holds whatever else happens.
    fn hear_stop(&mut self, cx: &mut Context<'_>) {
        if self.is_stopping || Pin::new(&mut self.stopped).poll(cx).is_pending() {
            return;
        }
        if matches!(self.phase, Phase::Open) {
            self.enter(Phase::Finishing, STOP_MAX);
        } else {
            self.deadline = Some(self.desk.door.runtime().sleep(STOP_MAX));
        }
        self.is_stopping = true;
    }

    /// Takes at most one slice of lines, from the buffer or with one read. Whether there may be more at once.
    fn take_in(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some((_, room)) = &mut self.no_room {
            if room.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.no_room = None;
        }
        let mut end = self.take_slice();
        if matches!(end, SliceEnd::Dry) {
            match Pin::new(&mut self.stream).poll_read(cx, self.lines.space()) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => {
                    self.finish_reading();
                    return false;
                }
                Poll::Ready(Ok(count)) => self.lines.fill(count),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return true,
                Poll::Ready(Err(_)) => {
                    self.enter(Phase::Gone, FINISH_MAX);
                    return false;
                }
            }
            end = self.take_slice();
        }
        match end {
            SliceEnd::Dry | SliceEnd::Enough => true,
            SliceEnd::Window => false,
            SliceEnd::NoRoom => {
                self.no_room = Some((self.desk.door.why_no_room(), self.desk.door.room()));
                // The next turn asks for room; this one still tells the producer that it waits.
                true
            }
        }
    }

    fn take_slice(&mut self) -> SliceEnd {
        let mut end = SliceEnd::Enough;
        for _ in 0..SLICE_LINES {
            if !self.desk.ledger.has_room(0) {
                end = SliceEnd::Window;
                break;
            }
            let Some(line) = self.lines.next_line() else {
                end = SliceEnd::Dry;
                break;
            };
            end = match self.desk.judge(line) {
                Judged::Done => continue,
                Judged::Window => SliceEnd::Window,
                Judged::NoRoom => SliceEnd::NoRoom,
            };
            self.lines.put_back();
            break;
        }
        let mailbox = &self.mailbox;
        self.desk.end_slice(|group| mailbox.done(group));
        end
    }

    fn finish_reading(&mut self) {
        if let Some(rest) = self.lines.finish() {
            self.desk.judge(rest);
        }
        self.enter(Phase::Finishing, FINISH_MAX);
    }

    /// Writes what is new. Whether all is told and written.
    fn tell(&mut self, cx: &mut Context<'_>) -> bool {
        let state = match &self.phase {
            Phase::Gone => return true,
            Phase::Failing { why } => State { waiting: None, error: Some(why) },
            Phase::Open => State { waiting: self.no_room.as_ref().and_then(|(why, _)| why.as_deref()), error: None },
            Phase::Finishing => State::default(),
        };
        match self.teller.poll_tell(&mut self.stream, &mut self.desk.ledger, state, cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
            Poll::Ready(Err(_)) => {
                if !matches!(self.phase, Phase::Failing { .. }) {
                    self.enter(Phase::Gone, FINISH_MAX);
                }
                true
            }
        }
    }

    fn is_over(&mut self, all_told: bool, cx: &mut Context<'_>) -> bool {
        let is_done = match self.phase {
            Phase::Open => false,
            Phase::Finishing => all_told && self.desk.ledger.is_settled(),
            Phase::Failing { .. } => all_told,
            Phase::Gone => self.desk.ledger.is_settled(),
        };
        is_done || self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
    }

    fn enter(&mut self, phase: Phase, at_most: Millis) {
        self.phase = phase;
        self.no_room = None;
        if !self.is_stopping {
            self.deadline = Some(self.desk.door.runtime().sleep(at_most));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let stats = self.desk.stats();
        stats.abandoned.add(self.desk.ledger.unsettled().events);
        stats.closed.add(1);
    }
}

/// Where the fates of a connection's groups arrive, from any thread. It never holds more letters than groups are open.
#[derive(Default)]
struct Mailbox {
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    letters: Vec<(GroupId, Outcome)>,
    /// Taken by the first letter, so that a connection is woken once for all that settle together.
    waker: Option<Waker>,
}

impl Mailbox {
    /// What a shard calls when it knows the fate of `group`.
    fn done(self: &Arc<Self>, group: GroupId) -> Done {
        let mut promise = Promise { mailbox: self.clone(), group, is_kept: false };
        Box::new(move |outcome| promise.keep(outcome))
    }

    fn post(&self, group: GroupId, outcome: Outcome) {
        let mut inside = self.inside();
        inside.letters.push((group, outcome));
        let waker = inside.waker.take();
        drop(inside);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Swaps the letters out into `letters`, which is empty, and leaves `waker` for the next one.
    fn collect(&self, letters: &mut Vec<(GroupId, Outcome)>, waker: &Waker) {
        let mut inside = self.inside();
        std::mem::swap(&mut inside.letters, letters);
        match &mut inside.waker {
            Some(left) => left.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A `done` that is dropped instead of called means that its shard is gone.
struct Promise {
    mailbox: Arc<Mailbox>,
    group: GroupId,
    is_kept: bool,
}

impl Promise {
    fn keep(&mut self, outcome: Outcome) {
        self.is_kept = true;
        self.mailbox.post(self.group, outcome);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.is_kept {
            self.mailbox.post(self.group, Outcome::Failed { why: "the shard has ended".to_owned() });
        }
    }
}

#[cfg(test)]
mod tests;
