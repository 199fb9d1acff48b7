//! What each own event has to say: one struct for each, whose fields are the members of the event's `payload`.

use serde::{Serialize, Serializer};

use crate::loss::{NumberRanges, TenantLosses};

/// Events that a stream passed over: too old for the window, or squeezed out by the budget.
///
/// The counts are those of *this* notice: what was passed over since the last notice of the episode that the
/// destination accepted. So a sum over all notices is the loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BufferOverflow {
    /// The destination's name.
    pub destination: String,
    /// The stream.
    pub stream: String,
    /// The shard.
    pub shard: u16,
    /// The episode: the same for every notice of one overflow.
    pub episode: String,
    /// The notice's number in its episode, from 1.
    pub notice: u32,
    /// Whether the episode is over.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Events passed over.
    pub dropped_count: u64,
    /// Their bytes as they came.
    pub dropped_bytes: u64,
    /// Their numbers in the stream.
    pub ranges: NumberRanges,
    /// Whether `ranges` cover more numbers than were passed over, because there were too many ranges.
    pub merged: bool,
    /// Time of the first of them, RFC 3339.
    pub first_timestamp: String,
    /// Time of the last of them.
    pub last_timestamp: String,
    /// `event_id` of the first.
    pub first_event_id: String,
    /// `event_id` of the last.
    pub last_event_id: String,
    /// The tenants they belonged to.
    #[serde(flatten)]
    pub losses: TenantLosses,
}

/// What is settled in a stream: delivered, dead-lettered or passed over. Every number of `from..end` is.
///
/// The stream is complete in this range when the SIEM holds `end - from - explained` different numbers of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamStatement {
    /// The destination's name.
    pub destination: String,
    /// The stream.
    pub stream: String,
    /// The shard.
    pub shard: u16,
    /// The first number stated.
    pub from: u64,
    /// The number after the last one stated.
    pub end: u64,
    /// How many of these numbers are not in the SIEM because a notice says why.
    pub explained: u64,
    /// The stream before this one, if there was one.
    pub previous_stream: Option<String>,
    /// How far that one had settled.
    pub previous_last: PreviousLast,
    /// Whether the stream ends here.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Events written off when the destination was deleted: selected or not yet judged.
    pub abandoned: u64,
}

/// The last settled number of the epoch before.
///
/// In JSON a number, `"unknown"`, or `null` where there was no epoch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousLast {
    /// There was no epoch before.
    NoEpoch,
    /// Its cursor was lost.
    Unknown,
    /// This number; 0 if none was settled.
    Settled(u64),
}

/// Events that a destination refused for good. They are in its dead-letter store, as far as it reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventsRefused {
    /// The destination's name.
    pub destination: String,
    /// The stream.
    pub stream: String,
    /// The shard.
    pub shard: u16,
    /// How many.
    pub refused_count: u64,
    /// Their numbers in the stream.
    pub ranges: NumberRanges,
    /// Whether `ranges` cover more numbers than were refused, because there were too many ranges.
    pub merged: bool,
    /// The destination's words about the first of them.
    pub reason: String,
    /// The tenants they belonged to.
    #[serde(flatten)]
    pub losses: TenantLosses,
}

/// Records that were durable and can't be read any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogDamaged {
    /// The shard.
    pub shard: u16,
    /// The segment file's name.
    pub segment: String,
    /// Bytes that are not valid records.
    pub bytes: u64,
    /// The first record number that may be lost.
    pub from_seq: u64,
    /// The first record number after the damage that is there, if one is.
    pub end_seq: Option<u64>,
    /// When it was found: `opening`, `reading` or `verify`.
    pub found_while: String,
}

/// A sync of the log failed. Events that could be read back were written again elsewhere; the others were never
/// acknowledged and still belong to their producers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncFailed {
    /// The shard.
    pub shard: u16,
    /// The segment file's name.
    pub segment: String,
    /// The system's words.
    pub error: String,
    /// Events written again in another segment.
    pub rewritten: u64,
    /// Events given back to their producers.
    pub given_back: u64,
}

/// A shard stopped taking events, or takes them again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IntakeChanged {
    /// The shard.
    pub shard: u16,
    /// Whether it takes events now.
    pub accepting: bool,
    /// Why, in plain words.
    pub cause: String,
}

/// A destination's state changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationState {
    /// The destination's name.
    pub destination: String,
    /// The state before.
    pub from: String,
    /// The state now.
    pub to: String,
    /// Why, as one of few words.
    pub code: String,
    /// Why, in the agent's own words: this event goes to others than the destination, whose words may repeat events.
    pub cause: String,
}

/// Someone changed settings, or did something that needs rights: pause, replay, dropping dead letters.
///
/// `before` and `after` never hold secrets; the caller has taken them out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfigChanged {
    /// Who: a token's name, a user of this machine, or the signal that asked for it.
    pub who: String,
    /// By which way: `api`, `page`, `cli` or `file`.
    pub via: String,
    /// What was done, `destination.update` for example.
    pub what: String,
    /// To what: a destination's name, say.
    pub target: String,
    /// How it was, `null` if it was not there.
    pub before: serde_json::Value,
    /// How it is, `null` if it is gone.
    pub after: serde_json::Value,
}

/// The state directory was copied from another machine: the agent has a new id and all streams begin new epochs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityChanged {
    /// The agent id that the directory had.
    pub previous_agent_id: String,
    /// The agent id from now on.
    pub agent_id: String,
    /// How that was found, in plain words.
    pub cause: String,
}

/// The agent runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentStarted {
    /// Its id.
    pub agent_id: String,
    /// Its version.
    pub version: String,
    /// What its data plane runs on: `io_uring` or `epoll`.
    pub runtime: String,
    /// How many shards.
    pub shards: u16,
    /// When acknowledgements are sent: `fsync`, `interval` or `os`.
    pub durability: String,
    /// Whether the run before ended in good order; `null` if there was none.
    pub clean: Option<bool>,
    /// Events found in the log.
    pub recovered_events: u64,
}

/// The agent stops in good order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentStopped {
    /// Its id.
    pub agent_id: String,
    /// Why: a signal, or an order.
    pub cause: String,
}

/// A file written by a newer version was set aside unread; a version that knows it will take it up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FormatSetAside {
    /// The file's name.
    pub file: String,
    /// Where it lies now, inside the state directory.
    pub moved_to: String,
    /// The format number found.
    pub found_format: u32,
    /// The newest format number this version knows.
    pub known_format: u32,
    /// Its size.
    pub bytes: u64,
}

/// A destination's dead-letter store is full: what it refuses from now on counts as overflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLettersFull {
    /// The destination's name.
    pub destination: String,
    /// Events in the store.
    pub events: u64,
    /// Bytes in the store.
    pub bytes: u64,
    /// Bytes it may have.
    pub limit_bytes: u64,
}

/// A test that someone asked for. It is in no log and has no number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Test {
    /// The destination's name.
    pub destination: String,
    /// Who asked.
    pub who: String,
    /// What the reader of the SIEM should know.
    pub note: String,
}

impl Serialize for PreviousLast {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PreviousLast::NoEpoch => serializer.serialize_none(),
            PreviousLast::Unknown => serializer.serialize_str("unknown"),
            PreviousLast::Settled(last) => serializer.serialize_u64(*last),
        }
    }
}
