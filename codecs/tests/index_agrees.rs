//! What the index accepts is exactly what `serde_json` accepts, less our own rules; and what it finds is what
//! `serde_json` finds. Over generated documents and over mutations of them.

use std::collections::HashSet;
use std::fmt;

use proptest::prelude::*;
use scaidrive_codecs::event::{Event, Field};
use scaidrive_codecs::index::{DEPTH_MAX, UNKNOWN_KEYS_MAX};
use scaidrive_codecs::time::parse_rfc3339;
use scaidrive_codecs::{Severity, index};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The top-level members in order, doubles kept, and each key as it is written.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Members, A::Error> {
                Err(de::Error::custom("not an object"))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The rules in the plainest words there are. Says what the index must find, or that it must refuse.
fn naive(raw: &[u8]) -> Option<Vec<(Field, String)>> {
    if raw.first() != Some(&b'{') || raw.last() != Some(&b'}') {
        return None;
    }
    serde_json::from_slice::<Value>(raw).ok()?;
    let Members(members) = serde_json::from_slice(raw).ok()?;
    // Valid JSON has no raw line break inside a string, so any that is there stands between tokens.
    if raw.iter().any(|byte| matches!(byte, b'\n' | b'\r')) || depth_of(raw) > DEPTH_MAX {
        return None;
    }
    let keys: HashSet<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    let unknown = keys.iter().filter(|key| Field::from_name(key.as_bytes()).is_none()).count();
    if keys.len() < members.len() || keys.contains("siem") || unknown > UNKNOWN_KEYS_MAX {
        return None;
    }
    let mut found = Vec::new();
    for field in Field::ALL {
        let value = members.iter().find(|(key, _)| key == field.name()).map(|(_, value)| value);
        match value {
            None | Some(Value::Null) if !field.is_required() => continue,
            Some(Value::String(text)) if field != Field::Payload => found.push((field, text.clone())),
            Some(object @ Value::Object(_)) if field == Field::Payload => found.push((field, object.to_string())),
            _ => return None,
        }
        // A known key must be written as it is, once, in quotes, somewhere in the text.
        let plain = format!("\"{}\"", field.name());
        let count = top_level_keys(raw).into_iter().filter(|key| *key == plain.as_bytes()).count();
        if count != 1 {
            return None;
        }
    }
    let written_with_escapes = |key: &&[u8]| {
        key.contains(&b'\\')
            && serde_json::from_slice::<String>(key).is_ok_and(|key| Field::from_name(key.as_bytes()).is_some())
    };
    if top_level_keys(raw).iter().any(written_with_escapes) {
        return None;
    }
    let timestamp = &found.iter().find(|(field, _)| *field == Field::Timestamp)?.1;
    parse_rfc3339(timestamp.as_bytes())?;
    Some(found)
}

fn depth_of(raw: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0, 0);
    for byte in outside_strings(raw) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn outside_strings(raw: &[u8]) -> Vec<u8> {
    let (mut out, mut inside, mut escaped) = (Vec::new(), false, false);
    for byte in raw {
        match (inside, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (true, false, b'"') => inside = false,
            (false, _, b'"') => inside = true,
            (false, _, other) => out.push(*other),
            _ => {}
        }
    }
    out
}

/// The top-level keys of valid JSON, as written, with their quotes.
fn top_level_keys(raw: &[u8]) -> Vec<&[u8]> {
    let (mut keys, mut depth, mut at, mut expects_key) = (Vec::new(), 0, 0, false);
    while at < raw.len() {
        match raw[at] {
            b'"' => {
                let mut end = at + 1;
                while raw[end] != b'"' {
                    end += if raw[end] == b'\\' { 2 } else { 1 };
                }
                if depth == 1 && expects_key {
                    keys.push(&raw[at..=end]);
                    expects_key = false;
                }
                at = end;
            }
            b'{' | b'[' => {
                depth += 1;
                expects_key = depth == 1;
            }
            b'}' | b']' => depth -= 1,
            b',' if depth == 1 => expects_key = true,
            _ => {}
        }
        at += 1;
    }
    keys
}

fn check(raw: &[u8]) -> Result<(), TestCaseError> {
    let shown = String::from_utf8_lossy(raw).into_owned();
    let (found, expected) = (index(raw), naive(raw));
    prop_assert_eq!(found.is_ok(), expected.is_some(), "{}: {:?}", shown, found);
    let (Ok(found), Some(expected)) = (found, expected) else { return Ok(()) };
    let event = Event::new(raw, &found);
    let mut scratch = String::new();
    for field in Field::ALL {
        let text = event.text(field, &mut scratch).map(|text| match field {
            Field::Payload => serde_json::from_str::<Value>(text).unwrap().to_string(),
            _ => text.to_owned(),
        });
        let naive = expected.iter().find(|(known, _)| *known == field).map(|(_, text)| text.clone());
        prop_assert_eq!(text, naive, "{:?} of {}", field, shown);
    }
    let text = |field| &expected.iter().find(|(known, _)| *known == field).unwrap().1;
    prop_assert_eq!(event.timestamp_ms(), parse_rfc3339(text(Field::Timestamp).as_bytes()).unwrap());
    prop_assert_eq!(event.severity(), Severity::from_text(text(Field::Severity)));
    prop_assert_eq!(event.tenant_hash(), scaidrive_codecs::tenant_hash(text(Field::TenantId)));
    let mut stored = Vec::new();
    found.encode(&mut stored);
    prop_assert_eq!(scaidrive_codecs::Index::decode(&stored).unwrap(), found);
    Ok(())
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
        1 => "-?[0-9]{300,330}",
        1 => "[-+0-9.eE]{1,6}",
    ]
}

fn string() -> impl Strategy<Value = String> {
    let inside = prop_oneof![
        6 => "[a-z_/*@. é😀]{0,12}",
        2 => r#"([a-z]|\\["\\/bfnrt]|\\u00[0-7][0-9a-fA-F]|\\ud83d\\ude0[0-9]){0,6}"#,
        1 => r#"\\u[0-9a-g]{3,4}|\\[a-z]|[\x00-\x1f\x7f]|\\ud83d|\\"#,
    ];
    inside.prop_map(|inside| format!("\"{inside}\""))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => string(), 2 => number(), 1 => "true|false|null|nul|tru", 1 => Just("{}".to_owned())];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec((string(), inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members.into_iter().map(|(key, value)| format!("{key} : {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = prop_oneof![6 => prop::sample::select(&Field::ALL[6..]), 1 => prop::sample::select(&Field::ALL[..])]
        .prop_map(|field| field.name().to_owned());
    let escaped = (prop::sample::select(&Field::ALL[..]), any::<prop::sample::Index>()).prop_map(|(field, at)| {
        let (name, at) = (field.name(), at.index(field.name().len()));
        format!("{}\\u{:04x}{}", &name[..at], name.as_bytes()[at], &name[at + 1..])
    });
    prop_oneof![12 => known, 1 => escaped, 6 => "[a-c]{1,2}|\\\\u006[12]", 1 => "siem|s\\\\u0069em|sie|Siem"]
        .prop_map(|name| format!("\"{name}\""))
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![60 => Just(String::new()), 12 => "[ \t]{1,2}", 1 => "[\n\r]"]
}

/// Documents that are events more often than not, and go wrong in every way there is a rule for.
fn document() -> impl Strategy<Value = String> {
    let required = Field::ALL[..6].iter().map(|field| {
        let good = match field {
            Field::Timestamp => {
                prop_oneof![Just("\"2026-05-12T14:23:01.453Z\""), Just(r#""2026-05-12T14:23:01\u002b02:00""#)].boxed()
            }
            Field::Severity => {
                prop_oneof![Just("\"info\""), Just("\"HIGH\""), Just(r#""w\u0061rning""#), Just("\"odd\"")].boxed()
            }
            _ => prop_oneof![Just("\"x\""), Just(r#""\u00e9\n""#), Just("\"\"")].boxed(),
        };
        let value = prop_oneof![60 => good.prop_map(str::to_owned), 1 => value()];
        (prop::bool::weighted(0.98), value)
            .prop_map(move |(is_there, value)| is_there.then(|| (format!("\"{}\"", field.name()), value)))
    });
    let required: Vec<_> = required.collect();
    let extra = prop::collection::vec(
        (key(), prop_oneof![6 => string(), 2 => value(), 1 => Just("{}".into()), 1 => Just("null".into())]),
        0..4,
    );
    (required, extra, prop::collection::vec(space(), 8), any::<prop::sample::Index>()).prop_map(
        |(required, extra, spaces, rotation)| {
            let mut members: Vec<(String, String)> = required.into_iter().flatten().chain(extra).collect();
            let middle = rotation.index(members.len().max(1));
            members.rotate_left(middle);
            let mut text = String::from("{");
            for (nth, (key, value)) in members.iter().enumerate() {
                let space = |step: usize| &spaces[(nth * 3 + step) % spaces.len()];
                let comma = if nth > 0 { "," } else { "" };
                text += &format!("{comma}{}{key}{}:{}{value}", space(0), space(1), space(2));
            }
            text + "}"
        },
    )
}

#[derive(Clone, Debug)]
enum Mutation {
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    Replace(prop::sample::Index, u8),
    Repeat(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    let byte = || prop_oneof![3 => prop::sample::select(&b"\"\\{}[],:0-eE.u \n\t\x00\x1fn"[..]), 1 => any::<u8>()];
    prop_oneof![
        at().prop_map(Mutation::Remove),
        (at(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        (at(), byte()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (at(), 1usize..12).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        at().prop_map(Mutation::Cut),
    ]
}

fn mutated(mut raw: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        if raw.is_empty() {
            break;
        }
        match mutation {
            Mutation::Remove(at) => drop(raw.remove(at.index(raw.len()))),
            Mutation::Insert(at, byte) => raw.insert(at.index(raw.len()), *byte),
            Mutation::Replace(at, byte) => {
                let at = at.index(raw.len());
                raw[at] = *byte;
            }
            Mutation::Repeat(at, length) => {
                let start = at.index(raw.len());
                let end = (start + length).min(raw.len());
                let part = raw[start..end].to_vec();
                raw.splice(start..start, part);
            }
            Mutation::Cut(at) => raw.truncate(at.index(raw.len())),
        }
    }
    raw
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn generated_documents_are_judged_as_serde_json_and_the_rules_judge_them(document in document()) {
        check(document.as_bytes())?;
    }

    #[test]
    fn mutated_documents_are_judged_as_serde_json_and_the_rules_judge_them(
        document in document(), mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        check(&mutated(document.into_bytes(), &mutations))?;
    }

    #[test]
    fn any_value_as_a_member_is_judged_as_serde_json_judges_it(value in value()) {
        let event = r#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info","x":"#;
        check(format!("{event}{value}}}").as_bytes())?;
    }
}

#[test]
fn every_odd_number_and_word_is_judged_alike() {
    let event = r#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info","x":"#;
    let values = [
        "0",
        "-0",
        "00",
        "01",
        "-01",
        "007.5",
        "0.0",
        "1.",
        ".5",
        "1.e5",
        "1e5",
        "1E+5",
        "1e",
        "1e+",
        "-",
        "+1",
        "--1",
        "0x1",
        "1_0",
        "1e308",
        "1.8e308",
        "-1e309",
        "0e999",
        "1e-999",
        "18446744073709551616",
        "Infinity",
        "NaN",
        "True",
        "tru",
        "truee",
        "nulll",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{1:1}",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\ud800\"",
        "\"\u{7f}\"",
        "'a'",
        "",
    ];
    for value in values {
        check(format!("{event}{value}}}").as_bytes()).unwrap();
        check(format!("{event}[{value} ]}}").as_bytes()).unwrap();
    }
    assert!(index(format!("{event}0}}").as_bytes()).is_ok() && index(format!("{event}01}}").as_bytes()).is_err());
}

#[test]
fn the_generator_makes_both_kinds_of_documents() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let documents: Vec<String> =
        (0..1000).map(|_| proptest::strategy::ValueTree::current(&document().new_tree(&mut runner).unwrap())).collect();
    let accepted = documents.iter().filter(|document| index(document.as_bytes()).is_ok()).count();
    assert!((200..900).contains(&accepted), "{accepted} of 1000 were accepted");
}

#[test]
fn depth_and_key_bounds_are_judged_alike() {
    for levels in [DEPTH_MAX - 2, DEPTH_MAX - 1, DEPTH_MAX, 127, 128] {
        let event = r#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info","x":"#;
        check(format!("{event}{}{}}}", "[".repeat(levels), "]".repeat(levels)).as_bytes()).unwrap();
        check(format!("{event}{}1{}}}", "{\"k\":".repeat(levels), "}".repeat(levels)).as_bytes()).unwrap();
    }
}
