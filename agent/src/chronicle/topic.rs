//! What one of the agent's own events is about, as far as somebody reads that alone.

use memchr::memmem;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Somebody changed something, or did what needs rights.
    Change,
    /// Events were given up for a destination.
    Drop,
    /// Anything else.
    Other,
}

impl Topic {
    /// That of an event. Its action stands before its payload ([`scaidrive_codecs::own`]), and quotes within texts are escaped,
    /// so the first one that is found is its own.
    pub(super) fn of(line: &[u8]) -> Topic {
        let behind = memmem::find(line, ACTION).map(|at| &line[at + ACTION.len()..]).unwrap_or_default();
        match behind.split(|byte| *byte == b'"').next() {
            Some(b"siem.config_changed") => Topic::Change,
            Some(b"siem.buffer_overflow") => Topic::Drop,
            _ => Topic::Other,
        }
    }
}

/// What stands before an action.
const ACTION: &[u8] = br#""action":""#;

#[cfg(test)]
mod tests {
    use scaidrive_codecs::own::{Envelope, OwnEvent, examples};

    use super::*;

    #[test]
    fn each_event_is_known_by_its_action_whatever_else_it_holds() {
        let envelope =
            Envelope { event_id: "\"action\":\"siem.config_changed\"", timestamp_ms: 0, tenant_id: "t", node: "n" };
        for event in examples() {
            let expected = match event {
                OwnEvent::ConfigChanged(_) => Topic::Change,
                OwnEvent::BufferOverflow(_) => Topic::Drop,
                _ => Topic::Other,
            };
            assert_eq!(Topic::of(&event.to_json(&envelope)), expected, "{event:?}");
        }
        for line in [&b""[..], b"{}", b"\"action\":\"", br#"{"action":"siem.config_changed_too"}"#] {
            assert_eq!(Topic::of(line), Topic::Other);
        }
    }
}
