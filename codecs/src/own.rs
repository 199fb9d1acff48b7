//! The agent's own events: one table of what the agent says about itself, and the JSON of each.
//!
//! Every own event is an ordinary event that [`crate::index()`] accepts, with category [`CATEGORY`] and an action that
//! begins with `siem.`; what it has to say is in its `payload`, where `node` comes first. [`table`] names every action
//! with its severity and fields, [`examples`] has one event of each, and `tests/golden/own/` their exact bytes.
//!
//! Numbers of a stream are written in two ways. Where people read ranges of missing events (`ranges` of an overflow or
//! of refused events) both ends belong to the range: `{"from_n":3,"to_n":7}` is five events. Where a query calculates
//! (`from` and `end` of a statement) the range is half-open, so that `end - from` is the count.

use serde::Serialize;

mod kinds;
mod table;

pub use kinds::*;
pub use table::{OwnEventRow, examples, table};

/// Category of every own event: each says something about whether the audit trail can be trusted.
pub const CATEGORY: &str = "SECURITY";

/// Something the agent says about itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OwnEvent {
    /// Events were passed over for a destination.
    BufferOverflow(BufferOverflow),
    /// Which numbers of a stream are settled.
    StreamStatement(StreamStatement),
    /// A destination will never take these events.
    EventsRefused(EventsRefused),
    /// Records on disk can't be read.
    LogDamaged(LogDamaged),
    /// The disk did not keep what was written.
    SyncFailed(SyncFailed),
    /// A shard stopped or resumed taking events.
    IntakeChanged(IntakeChanged),
    /// A destination is in another state.
    DestinationState(DestinationState),
    /// Someone changed the settings or did something that needs rights.
    ConfigChanged(ConfigChanged),
    /// The state directory belongs to another machine.
    IdentityChanged(IdentityChanged),
    /// The agent runs.
    AgentStarted(AgentStarted),
    /// The agent stops in good order.
    AgentStopped(AgentStopped),
    /// A file of a newer version was left alone.
    FormatSetAside(FormatSetAside),
    /// The store of refused events is full.
    DeadLettersFull(DeadLettersFull),
    /// Someone pressed *Test*.
    Test(Test),
}

/// What an own event has in common with every event.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Unique; made by the caller, because chance comes from outside.
    pub event_id: &'a str,
    /// When, in epoch milliseconds.
    pub timestamp_ms: i64,
    /// The destination's tenant where its scope is exactly one, else the agent's own.
    pub tenant_id: &'a str,
    /// The label of the node.
    pub node: &'a str,
}

impl OwnEvent {
    /// The event as one line of JSON, without a line break.
    pub fn to_json(&self, envelope: &Envelope<'_>) -> Vec<u8> {
        match self {
            OwnEvent::BufferOverflow(payload) => self.line(envelope, payload),
            OwnEvent::StreamStatement(payload) => self.line(envelope, payload),
            OwnEvent::EventsRefused(payload) => self.line(envelope, payload),
            OwnEvent::LogDamaged(payload) => self.line(envelope, payload),
            OwnEvent::SyncFailed(payload) => self.line(envelope, payload),
            OwnEvent::IntakeChanged(payload) => self.line(envelope, payload),
            OwnEvent::DestinationState(payload) => self.line(envelope, payload),
            OwnEvent::ConfigChanged(payload) => self.line(envelope, payload),
            OwnEvent::IdentityChanged(payload) => self.line(envelope, payload),
            OwnEvent::AgentStarted(payload) => self.line(envelope, payload),
            OwnEvent::AgentStopped(payload) => self.line(envelope, payload),
            OwnEvent::FormatSetAside(payload) => self.line(envelope, payload),
            OwnEvent::DeadLettersFull(payload) => self.line(envelope, payload),
            OwnEvent::Test(payload) => self.line(envelope, payload),
        }
    }

    /// Its row of the table.
    pub fn row(&self) -> &'static OwnEventRow {
        match self {
            OwnEvent::BufferOverflow(_) => &table::BUFFER_OVERFLOW,
            OwnEvent::StreamStatement(_) => &table::STREAM_STATEMENT,
            OwnEvent::EventsRefused(_) => &table::EVENTS_REFUSED,
            OwnEvent::LogDamaged(_) => &table::LOG_DAMAGED,
            OwnEvent::SyncFailed(_) => &table::SYNC_FAILED,
            OwnEvent::IntakeChanged(_) => &table::INTAKE_CHANGED,
            OwnEvent::DestinationState(_) => &table::DESTINATION_STATE,
            OwnEvent::ConfigChanged(_) => &table::CONFIG_CHANGED,
            OwnEvent::IdentityChanged(_) => &table::IDENTITY_CHANGED,
            OwnEvent::AgentStarted(_) => &table::AGENT_STARTED,
            OwnEvent::AgentStopped(_) => &table::AGENT_STOPPED,
            OwnEvent::FormatSetAside(_) => &table::FORMAT_SET_ASIDE,
            OwnEvent::DeadLettersFull(_) => &table::DEAD_LETTERS_FULL,
            OwnEvent::Test(_) => &table::TEST,
        }
    }

    /// The action, `siem.buffer_overflow` for example.
    pub fn action(&self) -> &'static str {
        self.row().action
    }

    /// The name of the destination that it is about, if it is about one.
    pub fn destination(&self) -> Option<&str> {
        match self {
            OwnEvent::BufferOverflow(told) => Some(&told.destination),
            OwnEvent::StreamStatement(told) => Some(&told.destination),
            OwnEvent::EventsRefused(told) => Some(&told.destination),
            OwnEvent::DestinationState(told) => Some(&told.destination),
            OwnEvent::DeadLettersFull(told) => Some(&told.destination),
            OwnEvent::Test(told) => Some(&told.destination),
            OwnEvent::ConfigChanged(told) => {
                let subject = told.what.split_once('.').map(|(subject, _)| subject);
                matches!(subject, Some("destination" | "deadletter")).then_some(&told.target)
            }
            OwnEvent::LogDamaged(_)
            | OwnEvent::SyncFailed(_)
            | OwnEvent::IntakeChanged(_)
            | OwnEvent::IdentityChanged(_)
            | OwnEvent::AgentStarted(_)
            | OwnEvent::AgentStopped(_)
            | OwnEvent::FormatSetAside(_) => None,
        }
    }

    fn line(&self, envelope: &Envelope<'_>, payload: &impl Serialize) -> Vec<u8> {
        let mut timestamp = Vec::new();
        crate::time::write_rfc3339(envelope.timestamp_ms, &mut timestamp);
        let row = self.row();
        let line = Line {
            event_id: envelope.event_id,
            timestamp: &String::from_utf8_lossy(&timestamp),
            tenant_id: envelope.tenant_id,
            category: row.category,
            action: row.action,
            severity: row.severity.as_str(),
            payload: WithNode { node: envelope.node, payload },
        };
        serde_json::to_vec(&line).expect("a payload has text keys only and nothing in it fails to serialise")
    }
}

#[derive(Serialize)]
struct Line<'a, P> {
    event_id: &'a str,
    timestamp: &'a str,
    tenant_id: &'a str,
    category: &'a str,
    action: &'a str,
    severity: &'a str,
    payload: WithNode<'a, P>,
}

#[derive(Serialize)]
struct WithNode<'a, P> {
    node: &'a str,
    #[serde(flatten)]
    payload: &'a P,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_about_a_destination_names_it_and_others_name_none() {
        let machines = ["siem.log_damaged", "siem.sync_failed", "siem.intake_changed", "siem.identity_changed"];
        let agents = ["siem.agent_started", "siem.agent_stopped", "siem.format_set_aside"];
        for event in examples() {
            let is_agents = machines.contains(&event.action()) || agents.contains(&event.action());
            assert_eq!(event.destination(), (!is_agents).then_some("splunk-prod"), "{}", event.action());
        }
    }

    #[test]
    fn a_change_of_the_configuration_as_a_whole_is_about_no_destination() {
        let change = |what: &str| {
            OwnEvent::ConfigChanged(ConfigChanged {
                who: String::new(),
                via: String::new(),
                what: what.to_owned(),
                target: "a".to_owned(),
                before: serde_json::Value::Null,
                after: serde_json::Value::Null,
            })
        };
        assert_eq!(change("deadletter.drop").destination(), Some("a"));
        assert_eq!(change("config.reload").destination(), None);
    }
}
