//! Splunk's Common Information Model: what an event says in the model's words, as fields that are indexed beside it.
//!
//! The event itself stays as it is, so none of these has the name of one of its members: the model's `action` is
//! `cim_action` here, because the event has an `action` of its own. In `props.conf` one line makes it the model's:
//! `EVAL-action = coalesce(cim_action, action)`.
//!
//! Sources: Splunk's "Common Information Model Add-on Manual", models Data Access, Authentication and Change.

use super::table::{Member, Value, address, field, member, no_address, write_members};
use super::{PRODUCT, Seen};
use crate::catalogue::{CimModel, Outcome};
use crate::event::{Event, Field};
use crate::filter::Scratch;
use crate::format::Entry;

/// Appends the fields as members, each with a comma before it, to an object that has some already.
pub(crate) fn write_fields(event: &Event<'_>, entry: &Entry<'_>, out: &mut Vec<u8>, scratch: &mut Scratch) {
    let Scratch { text, other_text, .. } = scratch;
    let seen = Seen::new(event, entry, &super::Limits::NONE, None, text, other_text);
    write_members(FIELDS, &seen, out);
}

const FIELDS: &[Member] = &[
    member("vendor_product", Value::Word("ScaiLabs ScaiDrive")),
    member("app", Value::Word(PRODUCT)),
    member("dest", Value::Word(PRODUCT)),
    field("vendor_action", Field::Action),
    member("cim_action", Value::Chosen(|seen| seen.row.cim.action)),
    member("cim_model", Value::Chosen(model)),
    member("signature", Value::Chosen(|seen| seen.row.title)),
    member("status", Value::Chosen(status)),
    member("user", Value::FieldOf(|seen| seen.who())),
    member("src", Value::FieldOf(|seen| address(seen).or_else(|| no_address(seen)))),
    member("object", Value::Written(object)),
    field("object_path", Field::ResourcePath),
    field("object_id", Field::ResourceId),
    member("object_category", Value::Chosen(category)),
    field("http_user_agent", Field::UserAgent),
];

fn model(seen: &Seen<'_>) -> &'static str {
    match seen.row.cim.model {
        CimModel::DataAccess => "Data_Access",
        CimModel::Authentication => "Authentication",
        CimModel::Change => "Change",
        CimModel::Alerts => "Alerts",
        CimModel::None => "",
    }
}

fn status(seen: &Seen<'_>) -> &'static str {
    match seen.outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::Unknown => "",
    }
}

fn object<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    seen.file_name().or_else(|| seen.text(Field::ResourceId))
}

fn category(seen: &Seen<'_>) -> &'static str {
    match seen.row.cim.model {
        CimModel::DataAccess if super::is_folder(seen.row) => "folder",
        CimModel::DataAccess => "file",
        _ => "",
    }
}
