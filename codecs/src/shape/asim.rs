//! Microsoft's Advanced Security Information Model: one flat row with the columns of the schema that the action belongs to.
//!
//! Every row is one of four schemas, named in `EventSchema`; a column that its schema does not have is not in it. What no
//! column is for goes into `AdditionalFields`. The columns of all four together make one table, [`COLUMNS`], which a data
//! collection rule can take in and a parser function can read.
//!
//! Sources: Microsoft's "ASIM common schema fields" and the schema references of File Event 0.2.2, Authentication 0.1.4,
//! User Management 0.1.2 and Audit Event 0.1.2.

use super::table::{JsonShape, Member, UNKNOWN, Value, address, field, member, no_address, write_numbers};
use super::{PRODUCT, Seen, VENDOR};
use crate::catalogue::{AsimSchema, Fact, Outcome};
use crate::event::Field;
use crate::json::write_string;

pub(super) const SHAPE: JsonShape = JsonShape::new(MEMBERS, "AdditionalFields", OWN);

/// Every column with its type in a table, in the order of a row.
pub(crate) const COLUMNS: &[(&str, &str)] = &[
    ("TimeGenerated", "datetime"),
    ("EventStartTime", "datetime"),
    ("EventEndTime", "datetime"),
    ("EventCount", "int"),
    ("EventSchema", "string"),
    ("EventSchemaVersion", "string"),
    ("EventType", "string"),
    ("EventResult", "string"),
    ("EventResultDetails", "string"),
    ("EventOriginalResultDetails", "string"),
    ("EventMessage", "string"),
    ("EventSeverity", "string"),
    ("EventOriginalSeverity", "string"),
    ("EventOriginalUid", "string"),
    ("EventOriginalType", "string"),
    ("EventVendor", "string"),
    ("EventProduct", "string"),
    ("Dvc", "string"),
    ("ActorUsername", "string"),
    ("ActorUsernameType", "string"),
    ("ActorUserType", "string"),
    ("ActorSessionId", "string"),
    ("TargetUsername", "string"),
    ("TargetUsernameType", "string"),
    ("TargetUserType", "string"),
    ("TargetSessionId", "string"),
    ("GroupName", "string"),
    ("TargetFilePath", "string"),
    ("TargetFilePathType", "string"),
    ("TargetFileName", "string"),
    ("Operation", "string"),
    ("Object", "string"),
    ("ObjectType", "string"),
    ("SrcIpAddr", "string"),
    ("HttpUserAgent", "string"),
    ("TargetAppName", "string"),
    ("TargetAppType", "string"),
    ("AdditionalFields", "dynamic"),
];

const MEMBERS: &[Member] = &[
    member("TimeGenerated", Value::Time),
    member("EventStartTime", Value::Time),
    member("EventEndTime", Value::Time),
    member("EventCount", Value::Number(|_| Some(1))),
    member("EventSchema", Value::Chosen(|seen| seen.row.asim.schema.name())),
    member("EventSchemaVersion", Value::Chosen(|seen| seen.row.asim.schema.version())),
    member("EventType", Value::Chosen(|seen| seen.row.asim.event_type)),
    member("EventResult", Value::Chosen(result)),
    member("EventResultDetails", Value::Chosen(|seen| if reason(seen).is_some() { "Other" } else { "" })),
    member("EventOriginalResultDetails", Value::Json(reason)),
    member("EventMessage", Value::Chosen(|seen| seen.row.title)),
    member("EventSeverity", Value::Chosen(|seen| seen.event.severity().asim())),
    field("EventOriginalSeverity", Field::Severity),
    field("EventOriginalUid", Field::EventId),
    field("EventOriginalType", Field::Action),
    member("EventVendor", Value::Word(VENDOR)),
    member("EventProduct", Value::Word(PRODUCT)),
    member("Dvc", Value::Composed(|seen, out| write_string(seen.stamp().map_or(PRODUCT, |stamp| stamp.node), out))),
    member(
        "ActorUsername",
        Value::Json(|seen| unless_sign_in(seen, Some(seen.json_of(seen.who()).unwrap_or(UNKNOWN)))),
    ),
    member("ActorUsernameType", Value::Chosen(|seen| if is_sign_in(seen) { "" } else { name_type(seen) })),
    member("ActorUserType", Value::Chosen(|seen| if is_sign_in(seen) { "" } else { user_type(seen) })),
    member("ActorSessionId", Value::FieldOf(|seen| unless_sign_in(seen, Some(Field::SessionId)))),
    member("TargetUsername", Value::Json(target_user)),
    member("TargetUsernameType", Value::Chosen(target_name_type)),
    member("TargetUserType", Value::Chosen(|seen| if is_sign_in(seen) { user_type(seen) } else { "" })),
    member("TargetSessionId", Value::FieldOf(|seen| only(is_sign_in(seen), Some(Field::SessionId)))),
    member("GroupName", Value::FieldOf(|seen| only(is_group(seen), seen.object()))),
    member(
        "TargetFilePath",
        Value::Json(|seen| only(is_file(seen), Some(seen.json_of(seen.object()).unwrap_or(UNKNOWN)))),
    ),
    member("TargetFilePathType", Value::Chosen(|seen| if is_file(seen) { "Unix" } else { "" })),
    member("TargetFileName", Value::Written(|seen| only(is_file(seen), seen.file_name()))),
    member("Operation", Value::FieldOf(|seen| only(is_audit(seen), Some(Field::Action)))),
    member(
        "Object",
        Value::Written(|seen| only(is_audit(seen), Some(seen.text_of(seen.object()).unwrap_or(PRODUCT.as_bytes())))),
    ),
    member("ObjectType", Value::Chosen(|seen| if is_audit(seen) { "Cloud Resource" } else { "" })),
    member("SrcIpAddr", Value::FieldOf(address)),
    field("HttpUserAgent", Field::UserAgent),
    member("TargetAppName", Value::Word(PRODUCT)),
    member("TargetAppType", Value::Word("SaaS application")),
];

/// Ids have no column: those of ASIM want one of a few kinds of id, and ours is none of them.
const OWN: &[Member] = &[
    field("tenant_id", Field::TenantId),
    field("category", Field::Category),
    field("user_id", Field::UserId),
    field("user_email", Field::UserEmail),
    field("service_account", Field::ServiceAccount),
    field("resource_id", Field::ResourceId),
    member("resource_path", Value::FieldOf(|seen| only(has_no_path(seen), Some(Field::ResourcePath)))),
    member("ip", Value::FieldOf(no_address)),
    member("siem", Value::Composed(write_numbers)),
];

fn schema(seen: &Seen<'_>) -> AsimSchema {
    seen.row.asim.schema
}

fn is_sign_in(seen: &Seen<'_>) -> bool {
    schema(seen) == AsimSchema::Authentication
}

fn is_file(seen: &Seen<'_>) -> bool {
    schema(seen) == AsimSchema::FileEvent
}

fn is_audit(seen: &Seen<'_>) -> bool {
    schema(seen) == AsimSchema::AuditEvent
}

fn is_group(seen: &Seen<'_>) -> bool {
    schema(seen) == AsimSchema::UserManagement && seen.row.asim.event_type.contains("Group")
}

fn is_account(seen: &Seen<'_>) -> bool {
    schema(seen) == AsimSchema::UserManagement && !is_group(seen)
}

/// Whether no column has `resource_path`.
fn has_no_path(seen: &Seen<'_>) -> bool {
    is_sign_in(seen)
}

fn only<T>(is_so: bool, value: Option<T>) -> Option<T> {
    if is_so { value } else { None }
}

fn unless_sign_in<T>(seen: &Seen<'_>, value: Option<T>) -> Option<T> {
    only(!is_sign_in(seen), value)
}

fn result(seen: &Seen<'_>) -> &'static str {
    match seen.outcome {
        Outcome::Success => "Success",
        Outcome::Failure => "Failure",
        Outcome::Unknown => "NA",
    }
}

fn reason<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    seen.fact(Fact::Reason).filter(|json| json.starts_with(b"\""))
}

fn target_user<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    if is_sign_in(seen) {
        return Some(seen.json_of(seen.who()).unwrap_or(UNKNOWN));
    }
    only(is_account(seen), seen.json_of(seen.object()))
}

fn target_name_type(seen: &Seen<'_>) -> &'static str {
    match target_user(seen) {
        Some(_) if is_sign_in(seen) => name_type(seen),
        Some(_) => "Simple",
        None => "",
    }
}

/// An address is a principal's name; what stands in place of a hidden one is not.
fn name_type(seen: &Seen<'_>) -> &'static str {
    if seen.text(Field::UserEmail).is_some_and(|email| email.contains(&b'@')) { "UPN" } else { "Simple" }
}

fn user_type(seen: &Seen<'_>) -> &'static str {
    match (seen.person(), seen.filled(Field::ServiceAccount)) {
        (Some(_), _) => "Regular",
        (None, Some(_)) => "Service",
        (None, None) => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_table_in_its_order() {
        let keys = MEMBERS.iter().map(Member::key).chain([SHAPE.root()]);
        assert!(COLUMNS.iter().map(|(name, _)| *name).eq(keys));
    }
}
