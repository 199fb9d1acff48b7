//! The Elastic Common Schema: a document with the fields that Elastic's own rules and dashboards ask for.
//!
//! What the schema has no place for goes under `scaidrive`, a root of our own, as it asks of vendors. A place of type `ip`
//! refuses the whole document for what is no address, so such a text goes to `scaidrive.ip`.
//!
//! Sources: "ECS field reference" and "ECS categorization fields", 9.4.

use super::table::{JsonShape, Member, Value, address, field, fixed, member, no_address, within};
use super::{Seen, extension};
use crate::body::Stamp;
use crate::catalogue::{Fact, Outcome};
use crate::event::Field;
use crate::json::write_string;

pub(super) const SHAPE: JsonShape = JsonShape::new(MEMBERS, "scaidrive", OWN);

const MEMBERS: &[Member] = &[
    member("@timestamp", Value::Time),
    fixed(r#""ecs":{"version":"9.4.0"}"#),
    member("message", Value::Chosen(|seen| seen.row.title)),
    member(
        "event",
        Value::Object(&[
            field("id", Field::EventId),
            member("category", Value::Words(|seen| seen.row.ecs.category)),
            member("type", Value::Words(|seen| seen.row.ecs.kind)),
            field("action", Field::Action),
            member("outcome", Value::Chosen(outcome)),
            member("reason", Value::Json(|seen| text_fact(seen, Fact::Reason))),
            member("severity", Value::Number(|seen| Some(u64::from(seen.event.severity().syslog())))),
            member("sequence", Value::Number(|seen| Some(seen.stamp()?.n))),
            fixed(r#""kind":"event","module":"scaidrive","dataset":"scaidrive.audit""#),
        ]),
    ),
    within("log", member("level", Value::Chosen(|seen| seen.event.severity().as_str()))),
    within("organization", field("id", Field::TenantId)),
    member(
        "user",
        Value::Object(&[
            field("id", Field::UserId),
            field("email", Field::UserEmail),
            member("name", Value::FieldOf(|seen| seen.who())),
        ]),
    ),
    within("source", member("ip", Value::FieldOf(address))),
    within("client", member("ip", Value::FieldOf(address))),
    member(
        "file",
        Value::Object(&[
            field("path", Field::ResourcePath),
            member("name", Value::Written(name)),
            member("directory", Value::Written(folder)),
            member("extension", Value::Written(|seen| extension(name(seen)?))),
        ]),
    ),
    within("user_agent", field("original", Field::UserAgent)),
    member(
        "related",
        Value::Object(&[
            member(
                "user",
                Value::Composed(|seen, out| write_list([seen.person(), Some(Field::ServiceAccount)], seen, out)),
            ),
            member("ip", Value::Composed(|seen, out| write_list([address(seen)], seen, out))),
        ]),
    ),
    fixed(r#""observer":{"vendor":"ScaiLabs","product":"ScaiDrive"}"#),
    member("labels", Value::Json(|seen| seen.lead)),
];

/// The last two are of the payload: as a flattened field it can be searched, but not added up.
const OWN: &[Member] = &[
    field("category", Field::Category),
    field("severity", Field::Severity),
    field("service_account", Field::ServiceAccount),
    field("resource_id", Field::ResourceId),
    field("session_id", Field::SessionId),
    member("ip", Value::FieldOf(no_address)),
    member("link_scope", Value::Json(|seen| text_fact(seen, Fact::Scope))),
    member("destination", Value::Json(|seen| text_fact(seen, Fact::Destination))),
    member("dropped_count", Value::Json(|seen| number_fact(seen, Fact::DroppedCount))),
];

fn outcome(seen: &Seen<'_>) -> &'static str {
    match seen.outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::Unknown => "unknown",
    }
}

fn name<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    seen.file_name()
}

fn folder<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    Some(seen.folder).filter(|folder| !folder.is_empty())
}

/// A member of the payload whose place is mapped as text; one of another type could cost the document.
fn text_fact<'a>(seen: &Seen<'a>, fact: Fact) -> Option<&'a [u8]> {
    seen.fact(fact).filter(|json| json.starts_with(b"\""))
}

/// The same for a whole number.
fn number_fact<'a>(seen: &Seen<'a>, fact: Fact) -> Option<&'a [u8]> {
    let is_whole = |json: &&[u8]| json.len() < 19 && json.iter().all(u8::is_ascii_digit);
    seen.fact(fact).filter(is_whole)
}

fn write_list<const COUNT: usize>(fields: [Option<Field>; COUNT], seen: &Seen<'_>, out: &mut Vec<u8>) {
    let mut opening = b'[';
    for text in fields.into_iter().flatten().filter_map(|field| seen.json(field)) {
        out.push(opening);
        out.extend_from_slice(text);
        opening = b',';
    }
    if opening == b',' {
        out.push(b']');
    }
}

/// Appends the labels: an object of texts, which is all that the schema lets them be.
pub(crate) fn write_labels(stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"siem_node\":");
    write_string(stamp.node, out);
    out.extend_from_slice(b",\"siem_stream\":");
    write_string(stamp.stream, out);
    out.push(b'}');
}
