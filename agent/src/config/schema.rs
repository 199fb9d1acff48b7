//! The JSON Schema of `agent.toml`, for editors: written from the table of keys that the parser reads by.

use serde_json::{Map, Value, json};

use super::keys::{Alphabet, DESTINATION, Default, Key, ROOT, SECRET, Shape};
use super::kind::{KINDS, Row};

/// The JSON Schema (draft 2020-12) of `agent.toml`. The files in `destinations.d` obey it too: they hold the key
/// `destination` alone.
///
/// It says what a key takes. Rules between keys (a budget of four segments a shard, say) are the parser's.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = table(ROOT.iter());
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Configuration of scaidrive-siem");
    schema
}

fn table<'k>(keys: impl Iterator<Item = &'k Key>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys {
        properties.insert(key.name.to_owned(), property(key));
        if matches!(key.default, Default::Required) {
            required.push(key.name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn property(key: &Key) -> Value {
    let mut value = shape(&key.shape);
    value["description"] = json!(key.about);
    match key.default {
        Default::Required | Default::Absent => {}
        Default::Text(text) => value["default"] = json!(text),
        Default::Count(number) => value["default"] = json!(number),
        Default::Flag(flag) => value["default"] = json!(flag),
        Default::Texts(texts) => value["default"] = json!(texts),
    }
    value
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text { alphabet, max } => {
            let pattern = match alphabet {
                Alphabet::Any => r"^[^\u0000-\u001f\u007f-\u009f]+$",
                Alphabet::Lines => r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]+$",
                Alphabet::Name => "^[A-Za-z0-9_][A-Za-z0-9._-]*$",
                Alphabet::Label => "^[A-Za-z0-9._:-]+$",
            };
            json!({ "type": "string", "maxLength": max, "pattern": pattern })
        }
        Shape::Choice { now, .. } => json!({ "enum": now }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::AutoOrCount { min, max } => {
            json!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": min, "maximum": max }] })
        }
        Shape::Size { .. } => patterned("^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$", shape),
        Shape::Span { .. } => patterned("^[0-9]+ ?(ms|s|m|h|d)$", shape),
        Shape::Mode => patterned("^0[0-7]{3}$", shape),
        Shape::Address => patterned("^.+:[0-9]{1,5}$", shape),
        Shape::Host => patterned("^[^/]+$", shape),
        Shape::Url => patterned("^https?://[^@?#]+$", shape),
        Shape::Path => json!({ "type": "string", "minLength": 1 }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
        Shape::Uids => json!({ "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": u32::MAX } }),
        Shape::Statuses => json!({ "type": "array", "items": { "type": "integer", "minimum": 100, "maximum": 599 } }),
        Shape::Tables(keys) => json!({ "type": "array", "items": table(keys.iter()) }),
        Shape::Secret => secret(),
        Shape::Table(keys) => table(keys.iter()),
        Shape::Destinations => json!({ "type": "array", "items": { "oneOf": destinations() } }),
    }
}

/// A text with a pattern; bounds that a pattern can't say go into a comment.
fn patterned(pattern: &str, shape: &Shape) -> Value {
    json!({ "type": "string", "pattern": pattern, "$comment": shape.allowed() })
}

fn secret() -> Value {
    let mut value = table(SECRET.iter());
    value["minProperties"] = json!(1);
    value["maxProperties"] = json!(1);
    value
}

/// One schema for each type of destination: the common keys, with the type fixed, and its own.
fn destinations() -> Vec<Value> {
    let one = |row: &Row| {
        let mut value = table(DESTINATION.iter().chain(row.keys.iter()));
        value["properties"]["type"] = json!({ "const": row.name });
        value["title"] = json!(row.name);
        value
    };
    KINDS.iter().map(one).collect()
}
