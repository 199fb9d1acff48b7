//! What stands before an event's number: node and stream, spelt as a destination wants them. They are the same from event
//! to event, so a body remembers them as they were last spelt and copies them.
//!
//! What is always true: what is remembered depends on spelling, node and stream alone, so that it is right in any body.

use crate::body::Stamp;
use crate::json::write_number;
use crate::{elastic, hec, members, shape, syslog};

/// How node and stream are spelt, up to the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// `"siem":{"node":"…","stream":"…","n":`
    Member,
    /// `{"node":"…","stream":"…","n":`
    Object,
    /// `{"siem_node":"…","siem_stream":"…"}`, which stands apart from the number.
    Labels,
    /// `,"siem_node":"…","siem_stream":"…","siem_n":`
    IndexedFields,
    /// `"_id":"STREAM:`
    DocumentId,
    /// ` node="…" stream="…" n="`
    Params,
}

impl Spelling {
    fn write(self, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
        match self {
            Spelling::Member => members::write_lead(stamp, out),
            Spelling::Object => members::write_lead_of_object(stamp, out),
            Spelling::Labels => shape::write_labels(stamp, out),
            Spelling::IndexedFields => hec::write_lead(stamp, out),
            Spelling::DocumentId => elastic::write_lead(stamp, out),
            Spelling::Params => syslog::write_lead(stamp, out),
        }
    }
}

/// What was spelt last, for each spelling that was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leads(Vec<Lead>);

#[derive(Clone, Debug)]
struct Lead {
    spelling: Spelling,
    node: String,
    stream: String,
    text: Vec<u8>,
}

impl Leads {
    /// Appends a stamp up to its number, and the number.
    pub(crate) fn write(&mut self, spelling: Spelling, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text(spelling, stamp));
        write_number(stamp.n, out);
    }

    /// A stamp up to its number.
    pub(crate) fn text(&mut self, spelling: Spelling, stamp: &Stamp<'_>) -> &[u8] {
        let nth = self.0.iter().position(|lead| lead.spelling == spelling).unwrap_or_else(|| {
            self.0.push(Lead { spelling, node: String::new(), stream: String::new(), text: Vec::new() });
            self.0.len() - 1
        });
        let lead = &mut self.0[nth];
        if lead.text.is_empty() || lead.stream != stamp.stream || lead.node != stamp.node {
            lead.spell(stamp);
        }
        &lead.text
    }
}

impl Lead {
    fn spell(&mut self, stamp: &Stamp<'_>) {
        self.node.clear();
        self.node.push_str(stamp.node);
        self.stream.clear();
        self.stream.push_str(stamp.stream);
        self.text.clear();
        self.spelling.write(stamp, &mut self.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    const ALL: [Spelling; 6] = [
        Spelling::Member,
        Spelling::Object,
        Spelling::Labels,
        Spelling::IndexedFields,
        Spelling::DocumentId,
        Spelling::Params,
    ];

    proptest! {
        #[test]
        fn what_is_remembered_is_what_would_be_written(
            steps in prop::collection::vec((select(&ALL[..]), select(vec!["", "a", "b\"]"]), "[ab]?\\PC?", 0u64..3), 0..20),
        ) {
            let mut leads = Leads::default();
            for (spelling, node, stream, n) in steps {
                let stamp = Stamp { node, stream: &stream, n };
                let (mut out, mut naive) = (b"before".to_vec(), b"before".to_vec());
                leads.write(spelling, &stamp, &mut out);
                spelling.write(&stamp, &mut naive);
                write_number(n, &mut naive);
                prop_assert_eq!(out, naive);
            }
        }
    }
}
