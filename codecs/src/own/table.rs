//! The table itself: one row and one example for each of the agent's own events.

use serde_json::json;

use super::*;
use crate::loss::{NumberRanges, TenantLosses};
use crate::severity::Severity;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnEventRow {
    /// The event's `action`.
    pub action: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// Its category.
    pub category: &'static str,
    /// The members of its `payload` and what each means, in order.
    pub fields: &'static [(&'static str, &'static str)],
    /// What it says, in one sentence.
    pub summary: &'static str,
}

/// Every own event there is.
pub fn table() -> &'static [OwnEventRow] {
    &TABLE
}

static TABLE: [OwnEventRow; 14] = [
    BUFFER_OVERFLOW,
    STREAM_STATEMENT,
    EVENTS_REFUSED,
    LOG_DAMAGED,
    SYNC_FAILED,
    INTAKE_CHANGED,
    DESTINATION_STATE,
    CONFIG_CHANGED,
    IDENTITY_CHANGED,
    AGENT_STARTED,
    AGENT_STOPPED,
    FORMAT_SET_ASIDE,
    DEAD_LETTERS_FULL,
    TEST,
];

type Fields = &'static [(&'static str, &'static str)];

const fn row(action: &'static str, severity: Severity, summary: &'static str, fields: Fields) -> OwnEventRow {
    OwnEventRow { action, severity, category: CATEGORY, fields, summary }
}

pub(super) const BUFFER_OVERFLOW: OwnEventRow = row(
    "siem.buffer_overflow",
    Severity::Error,
    "Events were passed over for this destination: they were older than the window, or the disk budget needed their room.",
    &[
        ("node", "label of the node"),
        ("destination", "name of the destination that misses them"),
        ("stream", "stream whose numbers are meant"),
        ("shard", "shard of the log"),
        ("episode", "the same in every notice of one overflow"),
        ("notice", "number of this notice in its episode, from 1"),
        ("final", "true in the last notice of an episode"),
        ("dropped_count", "events passed over since the last accepted notice; the sum over all notices is the loss"),
        ("dropped_bytes", "their bytes as they came"),
        ("ranges", "their numbers: from_n to to_n, both included, at most 100 ranges"),
        ("merged", "true if ranges cover more than was passed over, because there were more than 100"),
        ("first_timestamp", "time of the first of them"),
        ("last_timestamp", "time of the last of them"),
        ("first_event_id", "event_id of the first of them"),
        ("last_event_id", "event_id of the last of them"),
        ("tenants", "tenant_id and dropped for the 100 tenants with most loss"),
        ("other_tenants_dropped", "events of all other tenants"),
    ],
);

pub(super) const STREAM_STATEMENT: OwnEventRow = row(
    "siem.stream_statement",
    Severity::Info,
    "Every number from `from` up to but not including `end` of this stream is settled; `end - from - explained` different numbers must be here.",
    &[
        ("node", "label of the node"),
        ("destination", "name of the destination"),
        ("stream", "stream whose numbers are meant"),
        ("shard", "shard of the log"),
        ("from", "first number stated"),
        ("end", "the number after the last one stated"),
        ("explained", "numbers in the range that notices explain"),
        ("previous_stream", "the stream before this one, null if there was none"),
        ("previous_last", "its last settled number, \"unknown\" if its cursor was lost, null if there was none"),
        ("final", "true if the stream ends here"),
        ("abandoned", "events written off with a deleted destination, in hand and unread"),
    ],
);

pub(super) const EVENTS_REFUSED: OwnEventRow = row(
    "siem.events_refused",
    Severity::Error,
    "The destination refused events for good; they are in its dead-letter store.",
    &[
        ("node", "label of the node"),
        ("destination", "name of the destination"),
        ("stream", "stream whose numbers are meant"),
        ("shard", "shard of the log"),
        ("refused_count", "events refused since the last accepted notice"),
        ("ranges", "their numbers: from_n to to_n, both included, at most 100 ranges"),
        ("merged", "true if ranges cover more than was refused, because there were more than 100"),
        ("reason", "the destination's words about the first of them"),
        ("tenants", "tenant_id and dropped for the 100 tenants with most loss"),
        ("other_tenants_dropped", "events of all other tenants"),
    ],
);

pub(super) const LOG_DAMAGED: OwnEventRow = row(
    "siem.log_damaged",
    Severity::Critical,
    "Records that were durable can't be read any more.",
    &[
        ("node", "label of the node"),
        ("shard", "shard of the log"),
        ("segment", "name of the segment file"),
        ("bytes", "bytes that are not valid records"),
        ("from_seq", "first record number that may be lost"),
        ("end_seq", "first record number after the damage that is there, null if none is"),
        ("found_while", "opening, reading or verify"),
    ],
);

pub(super) const SYNC_FAILED: OwnEventRow = row(
    "siem.sync_failed",
    Severity::Critical,
    "The disk did not confirm what was written; nothing unconfirmed was acknowledged.",
    &[
        ("node", "label of the node"),
        ("shard", "shard of the log"),
        ("segment", "name of the segment file"),
        ("error", "the system's words"),
        ("rewritten", "events written again in another segment"),
        ("given_back", "events given back to their producers"),
    ],
);

pub(super) const INTAKE_CHANGED: OwnEventRow = row(
    "siem.intake_changed",
    Severity::Warning,
    "A shard stopped taking events, or takes them again.",
    &[
        ("node", "label of the node"),
        ("shard", "shard of the log"),
        ("accepting", "whether it takes events now"),
        ("cause", "why, in plain words"),
    ],
);

pub(super) const DESTINATION_STATE: OwnEventRow = row(
    "siem.destination_state",
    Severity::Notice,
    "A destination is in another state.",
    &[
        ("node", "label of the node"),
        ("destination", "name of the destination"),
        ("from", "state before"),
        ("to", "state now"),
        ("code", "why, as a word that stays as it is: credentials_refused, unreachable and others"),
        ("cause", "why, in the agent's own words; what the destination said is in the agent's status and log"),
    ],
);

pub(super) const CONFIG_CHANGED: OwnEventRow = row(
    "siem.config_changed",
    Severity::Notice,
    "Someone changed settings or did something that needs rights.",
    &[
        ("node", "label of the node"),
        ("who", "a token's name, a user of the machine, or a signal"),
        ("via", "api, page, cli or file; agent where it did so by itself"),
        ("what", "what was done"),
        ("target", "to what"),
        ("before", "how it was, without secrets, null if it was not there"),
        ("after", "how it is, without secrets, null if it is gone"),
    ],
);

pub(super) const IDENTITY_CHANGED: OwnEventRow = row(
    "siem.identity_changed",
    Severity::Warning,
    "The state directory came from another machine: the agent has a new id and every stream a new epoch.",
    &[
        ("node", "label of the node"),
        ("previous_agent_id", "agent id the directory had"),
        ("agent_id", "agent id from now on"),
        ("cause", "how that was found, in plain words"),
    ],
);

pub(super) const AGENT_STARTED: OwnEventRow = row(
    "siem.agent_started",
    Severity::Info,
    "The agent runs.",
    &[
        ("node", "label of the node"),
        ("agent_id", "id of the agent"),
        ("version", "its version"),
        ("runtime", "io_uring or epoll"),
        ("shards", "how many shards"),
        ("durability", "fsync, interval or os"),
        ("clean", "whether the run before ended in good order, null if there was none"),
        ("recovered_events", "events found in the log"),
    ],
);

pub(super) const AGENT_STOPPED: OwnEventRow = row(
    "siem.agent_stopped",
    Severity::Notice,
    "The agent stops in good order.",
    &[("node", "label of the node"), ("agent_id", "id of the agent"), ("cause", "a signal, or an order")],
);

pub(super) const FORMAT_SET_ASIDE: OwnEventRow = row(
    "siem.format_set_aside",
    Severity::Warning,
    "A file of a newer version was set aside unread; a version that knows it takes it up again.",
    &[
        ("node", "label of the node"),
        ("file", "name of the file"),
        ("moved_to", "where it lies now, inside the state directory"),
        ("found_format", "format number found"),
        ("known_format", "newest format number this version knows"),
        ("bytes", "size of the file"),
    ],
);

pub(super) const DEAD_LETTERS_FULL: OwnEventRow = row(
    "siem.dead_letters_full",
    Severity::Error,
    "The store of refused events is full: what this destination refuses from now on counts as overflow.",
    &[
        ("node", "label of the node"),
        ("destination", "name of the destination"),
        ("events", "events in the store"),
        ("bytes", "bytes in the store"),
        ("limit_bytes", "bytes it may have"),
    ],
);

pub(super) const TEST: OwnEventRow = row(
    "siem.test",
    Severity::Info,
    "Someone tested the destination; no user did anything.",
    &[
        ("node", "label of the node"),
        ("destination", "name of the destination"),
        ("who", "who asked for the test"),
        ("note", "what the reader should know"),
    ],
);

/// One event of each row, in the order of the table.
pub fn examples() -> Vec<OwnEvent> {
    let stream = "a1b2c3d4.splunk-prod.0.9f8e7d6c".to_owned();
    let destination = "splunk-prod".to_owned();
    let segment = "00000000000000004097.seg".to_owned();
    let agent_id = "a1b2c3d4e5f60718".to_owned();
    let mut ranges = NumberRanges::new();
    ranges.push(1041..1441);
    ranges.push(1502..1514);
    let losses = TenantLosses::most([("tnt_1", 400), ("tnt_2", 12)]);
    vec![
        OwnEvent::BufferOverflow(BufferOverflow {
            destination: destination.clone(),
            stream: stream.clone(),
            shard: 0,
            episode: "ep_5d41402abc4b2a76".into(),
            notice: 1,
            is_final: false,
            dropped_count: 412,
            dropped_bytes: 251_320,
            ranges: ranges.clone(),
            merged: false,
            first_timestamp: "2026-05-12T13:50:00.000Z".into(),
            last_timestamp: "2026-05-12T13:53:00.125Z".into(),
            first_event_id: "evt_01HE8AAAAAAAAAAAAAAAAAAAAA".into(),
            last_event_id: "evt_01HE8ZZZZZZZZZZZZZZZZZZZZZ".into(),
            losses: losses.clone(),
        }),
        OwnEvent::StreamStatement(StreamStatement {
            destination: destination.clone(),
            stream: stream.clone(),
            shard: 0,
            from: 1001,
            end: 2001,
            explained: 412,
            previous_stream: Some("a1b2c3d4.splunk-prod.0.01234567".into()),
            previous_last: PreviousLast::Settled(88_123),
            is_final: false,
            abandoned: 0,
        }),
        OwnEvent::EventsRefused(EventsRefused {
            destination: destination.clone(),
            stream,
            shard: 0,
            refused_count: 412,
            ranges,
            merged: false,
            reason: "HTTP 400, code 6: Invalid data format".into(),
            losses,
        }),
        OwnEvent::LogDamaged(LogDamaged {
            shard: 0,
            segment: segment.clone(),
            bytes: 8192,
            from_seq: 5120,
            end_seq: Some(5131),
            found_while: "opening".into(),
        }),
        OwnEvent::SyncFailed(SyncFailed {
            shard: 0,
            segment: segment.clone(),
            error: "Input/output error (os error 5)".into(),
            rewritten: 37,
            given_back: 2,
        }),
        OwnEvent::IntakeChanged(IntakeChanged {
            shard: 0,
            accepting: false,
            cause: "the disk is full and no spare segment is left".into(),
        }),
        OwnEvent::DestinationState(DestinationState {
            destination: destination.clone(),
            from: "active".into(),
            to: "auth_hold".into(),
            code: "credentials_refused".into(),
            cause: "it refuses the credentials".into(),
        }),
        OwnEvent::ConfigChanged(ConfigChanged {
            who: "token:ops".into(),
            via: "api".into(),
            what: "destination.update".into(),
            target: destination.clone(),
            before: json!({"filter": {"severities": ["warning"]}}),
            after: json!({"filter": {"severities": ["warning", "critical"]}}),
        }),
        OwnEvent::IdentityChanged(IdentityChanged {
            previous_agent_id: "0f1e2d3c4b5a6978".into(),
            agent_id: agent_id.clone(),
            cause: "the machine id differs from the one in the state directory".into(),
        }),
        OwnEvent::AgentStarted(AgentStarted {
            agent_id: agent_id.clone(),
            version: "0.1.0".into(),
            runtime: "io_uring".into(),
            shards: 2,
            durability: "fsync".into(),
            clean: Some(true),
            recovered_events: 1033,
        }),
        OwnEvent::AgentStopped(AgentStopped { agent_id, cause: "SIGTERM".into() }),
        OwnEvent::FormatSetAside(FormatSetAside {
            file: segment,
            moved_to: "newer/shard-0".into(),
            found_format: 2,
            known_format: 1,
            bytes: 67_108_864,
        }),
        OwnEvent::DeadLettersFull(DeadLettersFull {
            destination: destination.clone(),
            events: 98_211,
            bytes: 67_108_860,
            limit_bytes: 67_108_864,
        }),
        OwnEvent::Test(Test {
            destination,
            who: "token:ops".into(),
            note: "A test of the connection. No user did anything.".into(),
        }),
    ]
}
