//! The Open Cybersecurity Schema Framework 1.8.0: one class for each kind of event, and in it what that class demands.
//!
//! What a class demands and the event has not is written as unknown rather than left out, because validators refuse the
//! event otherwise. What the schema has no place for goes under `unmapped`.
//!
//! Sources: the classes, objects and dictionary of OCSF 1.8.0. `class_uid = category_uid * 1000 + class`,
//! `type_uid = class_uid * 100 + activity_id`, `time` in epoch milliseconds.

use super::table::{
    JsonShape, Member, UNKNOWN, Value, address, field, fixed, member, no_address, within, write_members, write_numbers,
};
use super::{Seen, extension, is_folder};
use crate::body::Body;
use crate::catalogue::{Fact, OcsfClass, Outcome};
use crate::event::Field;
use crate::json::{inside, write_number};

/// Appends an event to an object that is open.
pub(super) fn write(seen: &Seen<'_>, body: &mut Body) {
    body.write_glue(|glue| {
        write_members(SHAPE.members, seen, glue);
        write_members(class_members(seen.row.ocsf.class), seen, glue);
    });
    SHAPE.write_root(seen, body);
}

const SHAPE: JsonShape = JsonShape::new(MEMBERS, "unmapped", OWN);

/// What every class has.
const MEMBERS: &[Member] = &[
    member("class_uid", Value::Number(|seen| Some(u64::from(seen.row.ocsf.class.uid())))),
    member("category_uid", Value::Number(|seen| Some(u64::from(seen.row.ocsf.class.category_uid())))),
    member("activity_id", Value::Number(|seen| Some(u64::from(seen.row.ocsf.activity)))),
    member("activity_name", Value::Chosen(other_activity)),
    member("type_uid", Value::Number(type_uid)),
    member("severity_id", Value::Number(|seen| Some(u64::from(seen.event.severity().ocsf())))),
    field("severity", Field::Severity),
    member("status_id", Value::Number(|seen| Some(status(seen)))),
    member("status_detail", Value::Json(reason)),
    member("time", Value::Composed(write_time)),
    member("message", Value::Chosen(|seen| seen.row.title)),
    member(
        "metadata",
        Value::Object(&[
            fixed(r#""version":"1.8.0""#),
            field("uid", Field::EventId),
            field("tenant_uid", Field::TenantId),
            fixed(r#""product":{"name":"ScaiDrive","vendor_name":"ScaiLabs"}"#),
            field("event_code", Field::Action),
            field("original_time", Field::Timestamp),
            member("sequence", Value::Number(|seen| Some(seen.stamp()?.n))),
            member("is_truncated", Value::Json(|seen| seen.is_cut().then_some(&b"true"[..]))),
        ]),
    ),
];

const ACTOR: Member = member(
    "actor",
    Value::Object(&[member("user", Value::Object(USER)), within("session", field("uid", Field::SessionId))]),
);

/// Who did it: a person, or the account that acts alone.
const USER: &[Member] = &[
    member("uid", Value::FieldOf(|seen| seen.filled(Field::UserId).or_else(|| account(seen)))),
    member("name", Value::Json(user_name)),
    member("email_addr", Value::FieldOf(email)),
    member("type_id", Value::Number(|seen| Some(user_type(seen)))),
];

const ENDPOINT: Member = member(
    "src_endpoint",
    Value::Object(&[
        member("ip", Value::FieldOf(address)),
        member(
            "name",
            Value::Json(|seen| {
                unless(address(seen).is_some(), Some(seen.json_of(no_address(seen)).unwrap_or(UNKNOWN)))
            }),
        ),
    ]),
);

const REQUEST: Member = within("http_request", field("user_agent", Field::UserAgent));

const FILE_HOSTING: &[Member] = &[
    ACTOR,
    ENDPOINT,
    REQUEST,
    member(
        "file",
        Value::Object(&[
            member("name", Value::Written(file_name)),
            field("path", Field::ResourcePath),
            member("ext", Value::Written(|seen| extension(seen.file_name()?))),
            field("uid", Field::ResourceId),
            member("type_id", Value::Number(|seen| Some(file_type(seen)))),
        ]),
    ),
];

const AUTHENTICATION: &[Member] = &[
    member("user", Value::Object(USER)),
    within("session", field("uid", Field::SessionId)),
    ENDPOINT,
    REQUEST,
    fixed(r#""service":{"name":"ScaiDrive"}"#),
];

/// Whose account it is stands in `resource_id`, where it is not one's own.
const ACCOUNT_CHANGE: &[Member] = &[
    ACTOR,
    ENDPOINT,
    REQUEST,
    member(
        "user",
        Value::Object(&[
            member("uid", Value::FieldOf(|seen| seen.filled(Field::ResourceId).or_else(|| seen.filled(Field::UserId)))),
            member(
                "name",
                Value::Json(|seen| {
                    let name = seen.filled(Field::ResourcePath).or_else(|| seen.who());
                    unless(has_id(seen), Some(seen.json_of(name).unwrap_or(UNKNOWN)))
                }),
            ),
        ]),
    ),
];

const GROUP_MANAGEMENT: &[Member] = &[ACTOR, ENDPOINT, REQUEST, member("group", Value::Object(THING))];
const ENTITY_MANAGEMENT: &[Member] = &[ACTOR, ENDPOINT, REQUEST, member("entity", Value::Object(THING))];

const THING: &[Member] = &[
    field("uid", Field::ResourceId),
    member("name", Value::Json(|seen| seen.json(Field::ResourcePath).or_else(|| unless(has_id(seen), Some(UNKNOWN))))),
];

/// What the schema has no place for, in this class or in any.
const OWN: &[Member] = &[
    field("category", Field::Category),
    field("service_account", Field::ServiceAccount),
    member("user_id", Value::FieldOf(|seen| unless(has_endpoint(seen), Some(Field::UserId)))),
    member(
        "user_email",
        Value::FieldOf(|seen| unless(has_endpoint(seen) && email(seen).is_some(), Some(Field::UserEmail))),
    ),
    member("session_id", Value::FieldOf(|seen| unless(has_endpoint(seen), Some(Field::SessionId)))),
    member("ip", Value::FieldOf(|seen| if has_endpoint(seen) { no_address(seen) } else { Some(Field::Ip) })),
    member("user_agent", Value::FieldOf(|seen| unless(has_endpoint(seen), Some(Field::UserAgent)))),
    member("resource_id", Value::FieldOf(|seen| unless(has_object(seen), Some(Field::ResourceId)))),
    member("resource_path", Value::FieldOf(|seen| unless(has_path(seen), Some(Field::ResourcePath)))),
    member("siem", Value::Composed(write_numbers)),
];

fn class_members(class: OcsfClass) -> &'static [Member] {
    match class {
        OcsfClass::FileHosting => FILE_HOSTING,
        OcsfClass::Authentication => AUTHENTICATION,
        OcsfClass::AccountChange => ACCOUNT_CHANGE,
        OcsfClass::GroupManagement => GROUP_MANAGEMENT,
        OcsfClass::EntityManagement => ENTITY_MANAGEMENT,
        // Neither has an actor of its own.
        OcsfClass::BaseEvent | OcsfClass::ApplicationError => &[],
    }
}

fn has_endpoint(seen: &Seen<'_>) -> bool {
    !matches!(seen.row.ocsf.class, OcsfClass::BaseEvent | OcsfClass::ApplicationError)
}

fn has_object(seen: &Seen<'_>) -> bool {
    has_endpoint(seen) && seen.row.ocsf.class != OcsfClass::Authentication
}

/// A changed account has its path nowhere but in its name, and only where it has no id.
fn has_path(seen: &Seen<'_>) -> bool {
    has_object(seen) && (seen.row.ocsf.class != OcsfClass::AccountChange || !has_id(seen))
}

fn has_id(seen: &Seen<'_>) -> bool {
    seen.filled(Field::ResourceId).is_some()
}

fn unless<T>(is_elsewhere: bool, value: Option<T>) -> Option<T> {
    if is_elsewhere { None } else { value }
}

/// The e-mail address, where it is one that the schema's type `email_t` takes: ASCII, and a domain with a dot.
fn email(seen: &Seen<'_>) -> Option<Field> {
    seen.text(Field::UserEmail).is_some_and(is_email).then_some(Field::UserEmail)
}

fn is_email(written: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'@', written) else { return false };
    let (local, domain) = (&written[..at], &written[at + 1..]);
    let Some(dot) = memchr::memchr(b'.', domain) else { return false };
    let are = |text: &[u8], kind: u8| text.iter().all(|byte| IN_EMAIL[usize::from(*byte)] >= kind);
    at > 0 && dot > 0 && dot + 1 < domain.len() && are(local, LOCAL) && are(domain, DOMAIN)
}

/// Where in an e-mail address a byte may stand: nowhere, before the `@` only, or behind it as well.
static IN_EMAIL: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => DOMAIN,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b',' | b'/' | b'=' | b'?' | b'^'..=b'`' | b'{'..=b'~' => LOCAL,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};
const LOCAL: u8 = 1;
const DOMAIN: u8 = 2;

fn type_uid(seen: &Seen<'_>) -> Option<u64> {
    Some(u64::from(seen.row.ocsf.class.uid()) * 100 + u64::from(seen.row.ocsf.activity))
}

/// An activity without a number of its own is named.
fn other_activity(seen: &Seen<'_>) -> &'static str {
    if seen.row.ocsf.activity == OTHER { seen.row.title } else { "" }
}

fn status(seen: &Seen<'_>) -> u64 {
    match seen.outcome {
        Outcome::Unknown => 0,
        Outcome::Success => 1,
        Outcome::Failure => 2,
    }
}

fn write_time(seen: &Seen<'_>, out: &mut Vec<u8>) {
    let time = seen.event.timestamp_ms();
    if time < 0 {
        out.push(b'-');
    }
    write_number(time.unsigned_abs(), out);
}

fn reason<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    seen.fact(Fact::Reason).filter(|json| json.starts_with(b"\""))
}

/// The account, where no person is named.
fn account(seen: &Seen<'_>) -> Option<Field> {
    unless(seen.person().is_some(), seen.filled(Field::ServiceAccount))
}

fn user_name<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    match seen.filled(Field::UserEmail).or_else(|| account(seen)) {
        None if seen.person().is_some() => None,
        name => Some(seen.json_of(name).unwrap_or(UNKNOWN)),
    }
}

fn user_type(seen: &Seen<'_>) -> u64 {
    match (seen.person(), seen.filled(Field::ServiceAccount)) {
        (Some(_), _) => 1,
        (None, Some(_)) => 4,
        (None, None) => 0,
    }
}

fn file_name<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    Some(seen.file_name().unwrap_or_else(|| inside(seen.json_of(seen.object()).unwrap_or(UNKNOWN))))
}

/// A link or a share may be one to a file or to a folder.
fn file_type(seen: &Seen<'_>) -> u64 {
    match seen.row.name {
        name if name.starts_with("file.") => 1,
        _ if is_folder(seen.row) => 2,
        _ => 0,
    }
}

const OTHER: u16 = 99;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_email_address_is_a_name_at_a_domain_with_a_dot(text in "[a-zA-Z0-9!#$%&'*+,./=?^_`{|}~é \"@-]{0,4}@?[a-z0-9.-]{0,4}[.]?[a-z_]{0,2}") {
            let naive = text.split_once('@').is_some_and(|(local, domain)| {
                let is_local = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+,-./=?^_`{|}~".contains(c);
                let is_domain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
                let has_dot = domain.split_once('.').is_some_and(|(host, rest)| !host.is_empty() && !rest.is_empty());
                !local.is_empty() && local.chars().all(is_local) && has_dot && domain.chars().all(is_domain)
            });
            prop_assert_eq!(is_email(text.as_bytes()), naive);
        }
    }
}
