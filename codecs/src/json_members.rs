//! The members of a JSON object that was validated before: where they lie, without parsing them.
//!
//! Nothing is checked again, so bytes that were never validated give nonsense, but never a panic and never a walk
//! without an end: each step goes forward.

use std::ops::Range;

use crate::event::{Event, Field};
use crate::index::{Index, after_string};
use crate::json::unescaped;

/// One member of an object.
pub(crate) struct Member<'a> {
    /// The key as written, without its quotes.
    pub(crate) key: &'a [u8],
    /// From the key's opening quote to the end of the value.
    pub(crate) whole: Range<usize>,
    /// The value.
    pub(crate) value: Range<usize>,
}

/// Walks the members of `object`, which begins with `{`. Ranges count from its first byte.
pub(crate) fn members(object: &[u8]) -> Members<'_> {
    Members { object, index: None, at: 0 }
}

/// The members of an event that are no [`Field`]s. Values of fields are stepped over by the index, unread.
pub(crate) fn unknown_members<'a>(event: &Event<'a>) -> impl Iterator<Item = Member<'a>> {
    let all = Members { object: event.raw, index: Some(event.index), at: 0 };
    all.filter(|member| Field::from_name(member.key).is_none())
}

/// Finds the value at a path of keys, from object to object. Of equal keys the last counts, as in most parsers.
pub(crate) fn lookup<'a>(object: &[u8], path: impl IntoIterator<Item = &'a str>) -> Option<Range<usize>> {
    let mut found = 0..object.len();
    for key in path {
        let inner = &object[found.clone()];
        if inner.first() != Some(&b'{') {
            return None;
        }
        let value = members(inner).filter(|member| is_key(member.key, key)).last()?.value;
        found = found.start + value.start..found.start + value.end;
    }
    Some(found)
}

pub(crate) struct Members<'a> {
    object: &'a [u8],
    index: Option<&'a Index>,
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let object = self.object;
        let open = self.at + memchr::memchr(b'"', &object[self.at..])?;
        let after_key = after_string(object, open + 1);
        let is_between = |byte: &&u8| matches!(byte, b' ' | b'\t' | b':');
        let start = after_key + object[after_key..].iter().take_while(is_between).count();
        let key = object.get(open + 1..after_key - 1).unwrap_or_default();
        let end = self.field_end(key, start).unwrap_or_else(|| value_end(object, start));
        self.at = end;
        Some(Member { key, whole: open..end, value: start..end })
    }
}

impl Members<'_> {
    /// Where the value that begins at `start` ends, if the index knows.
    fn field_end(&self, key: &[u8], start: usize) -> Option<usize> {
        let field = Field::from_name(key)?;
        let span = self.index?.span(field)?;
        let end = span.end as usize + usize::from(field != Field::Payload);
        (span.start as usize >= start && end <= self.object.len()).then_some(end.max(start))
    }
}

fn is_key(written: &[u8], key: &str) -> bool {
    if !written.contains(&b'\\') {
        return written == key.as_bytes();
    }
    std::str::from_utf8(written).is_ok_and(|written| unescaped(written).eq(key.chars()))
}

fn value_end(object: &[u8], start: usize) -> usize {
    match object.get(start) {
        Some(b'"') => after_string(object, start + 1),
        Some(b'{' | b'[') => container_end(object, start),
        _ => {
            let is_scalar = |byte: &&u8| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t');
            start + object[start..].iter().take_while(is_scalar).count()
        }
    }
}

fn container_end(object: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0usize);
    while let Some(byte) = object.get(at) {
        at += 1;
        match byte {
            b'"' => at = after_string(object, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::index;
    use proptest::prelude::*;
    use serde_json::Value;

    const REQUIRED: &str = r#""event_id":"e\"","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info""#;

    #[test]
    fn unknown_members_are_found_around_known_ones() {
        let raw = format!(
            r#"{{ "x" : [1, "]"] ,{REQUIRED},"user_id":null,"payload":{{"event_id":1,"y":2}},"z":{{"a":"}}"}},"w":-1.5e3 ,"v":"\\" }}"#
        );
        let found = index(raw.as_bytes()).unwrap();
        let event = Event::new(raw.as_bytes(), &found);
        let texts: Vec<&str> = unknown_members(&event).map(|member| &raw[member.whole]).collect();
        assert_eq!(texts, [r#""x" : [1, "]"]"#, r#""z":{"a":"}"}"#, r#""w":-1.5e3"#, r#""v":"\\""#]);
    }

    #[test]
    fn a_path_leads_from_object_to_object() {
        let object = br#"{"a":{"b.c":1,"\u0062":[{"d":1}],"e":null},"f":"{","a":{"b":true}}"#;
        let text = |path: &[&str]| lookup(object, path.iter().copied()).map(|range| &object[range]);
        assert_eq!(text(&["a", "b"]), Some(&b"true"[..]));
        assert_eq!(text(&["f"]), Some(&b"\"{\""[..]));
        assert_eq!(text(&["f", "x"]), None);
        assert_eq!(text(&["g"]), None);
        assert_eq!(lookup(br#"{"a":{"\u0062":[7]}}"#, ["a", "b"]), Some(15..18));
    }

    proptest! {
        #[test]
        fn members_agree_with_serde_json(pairs in prop::collection::btree_map(any::<String>(), value(), 0..6)) {
            let object = serde_json::to_vec(&pairs).unwrap();
            let mut found = Vec::new();
            for member in members(&object) {
                let quoted = [b"\"", member.key, b"\""].concat();
                let key: String = serde_json::from_slice(&quoted).unwrap();
                let value: Value = serde_json::from_slice(&object[member.value.clone()]).unwrap();
                prop_assert_eq!(lookup(&object, [key.as_str()]), Some(member.value));
                found.push((key, value));
            }
            prop_assert_eq!(found, pairs.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_panic(bytes in "[\\{\\}\\[\\]\",:\\\\a1 ]{0,40}") {
            for member in members(bytes.as_bytes()) {
                prop_assert!(member.whole.end <= bytes.len());
            }
            lookup(bytes.as_bytes(), ["a", "1"]);
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }
}
