//! The Open Cybersecurity Schema Framework 1.8.0: one class for each kind of event, and in it what that class demands.
//!
//! What a class demands and the event has not is written as unknown rather than left out, because validators refuse the
//! event otherwise. What the schema has no place for goes under `unmapped`.
//!
//! Sources: the classes, objects and dictionary of OCSF 1.8.0. `class_uid = category_uid * 1000 + class`,
//! `type_uid = class_uid * 100 + activity_id`, `time` in epoch milliseconds.

use super::table::{
    JsonShape, Member, Value, address, field, fixed, member, no_address, write_members, write_numbers, write_written,
};
use super::{Seen, extension, is_folder};
use crate::body::Body;
use crate::catalogue::{Fact, OcsfClass, Outcome};
use crate::event::Field;
use crate::json::write_number;

/// Appends an event to an object that is open.
pub(super) fn write(seen: &Seen<'_>, body: &mut Body) {
    body.write_glue(|glue| {
        write_members(SHAPE.members, seen, glue);
        write_members(class_members(seen.row.ocsf.class), seen, glue);
    });
    SHAPE.write_root(seen, body);
}

const SHAPE: JsonShape = JsonShape { members: MEMBERS, root: "unmapped", root_members: OWN };

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
    member("status_detail", Value::Json(write_reason)),
    member("time", Value::Json(write_time)),
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
            member("is_truncated", Value::Json(|seen, out| write_true(seen.is_cut(), out))),
        ]),
    ),
];

const ACTOR: Member = member(
    "actor",
    Value::Object(&[
        member("user", Value::Object(USER)),
        member("session", Value::Object(&[field("uid", Field::SessionId)])),
    ]),
);

/// Who did it: a person, or the account that acts alone.
const USER: &[Member] = &[
    member("uid", Value::Written(|seen| seen.text(Field::UserId).or_else(|| account(seen)))),
    member("name", Value::Json(write_name)),
    member("email_addr", Value::Written(email)),
    member("type_id", Value::Number(|seen| Some(user_type(seen)))),
];

const ENDPOINT: Member = member(
    "src_endpoint",
    Value::Object(&[
        member("ip", Value::Written(address)),
        member(
            "name",
            Value::Json(|seen, out| {
                if address(seen).is_none() {
                    write_written(Some(no_address(seen).unwrap_or(UNKNOWN)), out);
                }
            }),
        ),
    ]),
);

const REQUEST: Member = member("http_request", Value::Object(&[field("user_agent", Field::UserAgent)]));

const FILE_HOSTING: &[Member] = &[
    ACTOR,
    ENDPOINT,
    REQUEST,
    member(
        "file",
        Value::Object(&[
            member("name", Value::Json(|seen, out| write_written(Some(file_name(seen)), out))),
            field("path", Field::ResourcePath),
            member("ext", Value::Written(|seen| extension(path_name(seen)?))),
            field("uid", Field::ResourceId),
            member("type_id", Value::Number(|seen| Some(file_type(seen)))),
        ]),
    ),
];

const AUTHENTICATION: &[Member] = &[
    member("user", Value::Object(USER)),
    member("session", Value::Object(&[field("uid", Field::SessionId)])),
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
            member("uid", Value::Written(|seen| seen.text(Field::ResourceId).or_else(|| seen.text(Field::UserId)))),
            member(
                "name",
                Value::Json(|seen, out| {
                    let name = seen.text(Field::ResourcePath).or_else(|| seen.who());
                    if seen.text(Field::ResourceId).is_none() {
                        write_written(Some(name.unwrap_or(UNKNOWN)), out);
                    }
                }),
            ),
        ]),
    ),
];

const GROUP_MANAGEMENT: &[Member] = &[ACTOR, ENDPOINT, REQUEST, member("group", Value::Object(THING))];
const ENTITY_MANAGEMENT: &[Member] = &[ACTOR, ENDPOINT, REQUEST, member("entity", Value::Object(THING))];

const THING: &[Member] = &[
    field("uid", Field::ResourceId),
    member(
        "name",
        Value::Json(|seen, out| {
            let name = seen.text(Field::ResourcePath);
            if name.is_some() || seen.text(Field::ResourceId).is_none() {
                write_written(Some(name.unwrap_or(UNKNOWN)), out);
            }
        }),
    ),
];

/// What the schema has no place for, in this class or in any.
const OWN: &[Member] = &[
    field("category", Field::Category),
    field("service_account", Field::ServiceAccount),
    member("user_id", Value::Written(|seen| unless(has_endpoint(seen), seen.text(Field::UserId)))),
    member(
        "user_email",
        Value::Written(|seen| unless(has_endpoint(seen) && email(seen).is_some(), seen.text(Field::UserEmail))),
    ),
    member("session_id", Value::Written(|seen| unless(has_endpoint(seen), seen.text(Field::SessionId)))),
    member("ip", Value::Written(|seen| if has_endpoint(seen) { no_address(seen) } else { seen.text(Field::Ip) })),
    member("user_agent", Value::Written(|seen| unless(has_endpoint(seen), seen.text(Field::UserAgent)))),
    member("resource_id", Value::Written(|seen| unless(has_object(seen), seen.text(Field::ResourceId)))),
    member("resource_path", Value::Written(|seen| unless(has_path(seen), seen.text(Field::ResourcePath)))),
    member("siem", Value::Json(write_numbers)),
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
    has_object(seen) && (seen.row.ocsf.class != OcsfClass::AccountChange || seen.text(Field::ResourceId).is_none())
}

fn unless<T>(is_elsewhere: bool, value: Option<T>) -> Option<T> {
    if is_elsewhere { None } else { value }
}

/// The e-mail address, where it is one that the schema's type `email_t` takes: ASCII, and a domain with a dot.
fn email<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    let written = seen.text(Field::UserEmail)?;
    let (local, domain) = written.split_at(memchr::memchr(b'@', written)?);
    let (host, rest) = domain[1..].split_at(memchr::memchr(b'.', &domain[1..])?);
    let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+,-./=?^_`{|}~".contains(byte);
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let is_rest = |byte: &u8| is_host(byte) || *byte == b'.';
    let fits = !local.is_empty() && !host.is_empty() && rest.len() > 1;
    let is_plain = local.iter().all(is_local) && host.iter().all(is_host) && rest.iter().all(is_rest);
    (fits && is_plain).then_some(written)
}

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

fn write_reason(seen: &Seen<'_>, out: &mut Vec<u8>) {
    let reason = seen.fact(Fact::Reason).filter(|json| json.starts_with(b"\""));
    out.extend_from_slice(reason.unwrap_or_default());
}

fn write_true(is_so: bool, out: &mut Vec<u8>) {
    if is_so {
        out.extend_from_slice(b"true");
    }
}

/// The account, where no person is named.
fn account<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    unless(seen.person().is_some(), seen.text(Field::ServiceAccount))
}

fn write_name(seen: &Seen<'_>, out: &mut Vec<u8>) {
    let name = seen.text(Field::UserEmail).or_else(|| account(seen));
    if name.is_some() || seen.person().is_none() {
        write_written(Some(name.unwrap_or(UNKNOWN)), out);
    }
}

fn user_type(seen: &Seen<'_>) -> u64 {
    match (seen.person(), seen.text(Field::ServiceAccount)) {
        (Some(_), _) => 1,
        (None, Some(_)) => 4,
        (None, None) => 0,
    }
}

fn path_name<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    seen.file_name()
}

fn file_name<'a>(seen: &Seen<'a>) -> &'a [u8] {
    path_name(seen).or_else(|| seen.object()).unwrap_or(UNKNOWN)
}

/// A link or a share may be one to a file or to a folder.
fn file_type(seen: &Seen<'_>) -> u64 {
    match seen.row.name {
        name if name.starts_with("file.") => 1,
        _ if is_folder(seen.row) => 2,
        _ => 0,
    }
}

const UNKNOWN: &[u8] = b"Unknown";
const OTHER: u16 = 99;
