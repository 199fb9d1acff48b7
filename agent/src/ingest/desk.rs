//! What happens to one line of a connection: judged, counted, and given to the shard that owns it.

use std::fmt;
use std::sync::Arc;

use scaidrive_codecs::{Event, Severity};

use crate::ingest::ledger::{GroupId, Ledger};
use crate::ingest::lines::{HEAD_MAX, Line};
use crate::ingest::quarantine::{Drain, Entry};
use crate::ingest::stats::{CUT_OFF, IngestStats, TOO_LONG};
use crate::ingest::{Intake, index_line, short, too_long};
use crate::runtime::TaskName;
use crate::shard::door::{Batch, Done, LocalDoor, Packed, WhenFull};

/// Who is at the other end of a socket, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// Process id, where it is visible.
    pub pid: Option<i32>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "uid {}, process {pid}", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

/// Takes the lines of one connection, a slice at a time.
pub(super) struct Desk {
    pub(super) door: LocalDoor,
    pub(super) intake: Arc<Intake>,
    pub(super) ledger: Ledger,
    peer: Peer,
    /// The groups of the slice being taken, by shard; all `None` between slices.
    groups: Vec<Option<Group>>,
}

struct Group {
    id: GroupId,
    /// Empty for the shard we are on, whose events are in its log already.
    packed: Packed,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It has its place in the ledger.
    Done,
    /// It must come again when more is acknowledged.
    Window,
    /// It must come again when the log has room.
    NoRoom,
}

impl Desk {
    pub(super) fn new(door: LocalDoor, intake: Arc<Intake>, peer: Peer) -> Desk {
        let shards = door.doors().shards();
        let ledger = Ledger::new(intake.window);
        Desk { door, intake, ledger, peer, groups: std::iter::repeat_with(|| None).take(shards).collect() }
    }

    pub(super) fn stats(&self) -> &IngestStats {
        &self.intake.shards[self.door.here().index()]
    }

    /// Takes one line. Every slice of lines must end with [`Desk::end_slice`], and nothing may be waited for in between.
    pub(super) fn judge(&mut self, line: Line<'_>) -> Judged {
        match line {
            Line::Blank => {
                self.ledger.blank();
                self.stats().blank.add(1);
            }
            Line::TooLong { head, bytes } => {
                self.refuse(too_long(bytes, self.intake.max_event_size), TOO_LONG, head, bytes);
            }
            Line::CutOff(rest) => {
                let reason = "the connection ended before this line did".to_owned();
                self.refuse(reason, CUT_OFF, rest, rest.len() as u64);
            }
            Line::Text(raw) => return self.judge_text(raw),
        }
        self.stats().lines.add(1);
        Judged::Done
    }

    fn judge_text(&mut self, raw: &mut [u8]) -> Judged {
        if !self.ledger.has_room(raw.len()) {
            return Judged::Window;
        }
        let index = match index_line(raw) {
            Ok(index) => index,
            Err(refusal) => {
                self.refuse(short(refusal.to_string()), refusal.code(), raw, raw.len() as u64);
                self.stats().lines.add(1);
                return Judged::Done;
            }
        };
        let tenant_hash = Event::new(raw, &index).tenant_hash();
        let owner = self.door.doors().owner(tenant_hash);
        if owner == self.door.here() && self.door.append(raw, &index, tenant_hash).is_err() {
            return Judged::NoRoom;
        }
        let ledger = &mut self.ledger;
        let group = self.groups[owner.index()]
            .get_or_insert_with(|| Group { id: ledger.open_group(), packed: Packed::default() });
        ledger.take(group.id, raw.len());
        if owner != self.door.here() {
            group.packed.push(raw, &index, tenant_hash);
        }
        if index.severity() == Severity::Unknown {
            self.stats().unknown_severity.add(1);
        }
        self.stats().lines.add(1);
        Judged::Done
    }

    /// Ends the groups of a slice; `done` makes what hears of a group's fate.
    pub(super) fn end_slice(&mut self, done: impl Fn(GroupId) -> Done) {
        for (shard, group) in self.groups.iter_mut().enumerate() {
            let Some(Group { id, packed }) = group.take() else { continue };
            if shard == self.door.here().index() {
                self.door.end_group(done(id));
                continue;
            }
            let to = crate::shard::door::ShardId(shard as u16);
            self.door.doors().deliver(to, Batch { events: packed, when_full: WhenFull::Wait, done: done(id) });
        }
    }

    fn refuse(&mut self, reason: String, code: &'static str, line: &[u8], bytes: u64) {
        self.stats().refuse(code);
        let entry = || Entry {
            wall_ms: self.door.runtime().wall_ms(),
            peer: self.peer.to_string(),
            code,
            reason: reason.clone(),
            bytes,
            head: line[..line.len().min(HEAD_MAX)].to_vec(),
        };
        if let Some(drain) = self.intake.quarantine.put(entry) {
            self.drain_elsewhere(drain);
        }
        self.ledger.refuse(reason, code);
    }

    fn drain_elsewhere(&self, drain: Drain) {
        let runtime = self.door.runtime().clone();
        self.door.runtime().spawn(
            TaskName::Ingest,
            Box::pin(async move {
                // A job that panicked or was not taken leaves its lines to the next one.
                let _ = runtime.offload(Box::new(|| drain.run())).await;
            }),
        );
    }
}
