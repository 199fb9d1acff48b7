//! Where the events lie in a request body: lines, or the elements of a JSON array. Nothing is copied or written anew.

use std::ops::Range;

use memchr::{memchr_iter, memchr2};

/// Most lines or elements of one request.
pub(super) const LINES_MAX: usize = 65_536;

/// How the events of a body are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// One event a line; the last line needs no line feed.
    Lines,
    /// One JSON array of events.
    Array,
}

/// Why a body could not be taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unframed {
    /// More than [`LINES_MAX`] events.
    TooMany,
    /// Not an array of values.
    Broken {
        /// Where, from 0.
        at: usize,
        /// What is wrong.
        why: &'static str,
    },
}

impl Framing {
    /// Lines when the sender says so; otherwise what the first byte says.
    pub(super) fn of(content_type: Option<&str>, body: &[u8]) -> Framing {
        let kind = content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        let says_lines = LINE_TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind));
        match body.trim_ascii_start().first() {
            Some(b'[') if !says_lines => Framing::Array,
            _ => Framing::Lines,
        }
    }

    /// The events of `body`, in order; blank lines too. An element is only bounded here, not validated.
    pub(super) fn split(self, body: &[u8]) -> Result<Vec<Range<usize>>, Unframed> {
        match self {
            Framing::Lines => split_lines(body),
            Framing::Array => Elements { body, at: 0 }.split(),
        }
    }
}

fn split_lines(body: &[u8]) -> Result<Vec<Range<usize>>, Unframed> {
    let mut frames = Vec::new();
    let mut start = 0;
    for end in memchr_iter(b'\n', body) {
        push(&mut frames, start..end)?;
        start = end + 1;
    }
    if start < body.len() {
        push(&mut frames, start..body.len())?;
    }
    Ok(frames)
}

fn push(frames: &mut Vec<Range<usize>>, frame: Range<usize>) -> Result<(), Unframed> {
    if frames.len() >= LINES_MAX {
        return Err(Unframed::TooMany);
    }
    frames.push(frame);
    Ok(())
}

/// Walks an array.
struct Elements<'a> {
    body: &'a [u8],
    at: usize,
}

impl Elements<'_> {
    fn split(mut self) -> Result<Vec<Range<usize>>, Unframed> {
        let mut frames = Vec::new();
        self.skip_space();
        self.at += 1;
        self.skip_space();
        if self.body.get(self.at) == Some(&b']') {
            return self.end(frames);
        }
        loop {
            let frame = self.element()?;
            push(&mut frames, frame)?;
            let separator = self.body.get(self.at);
            if separator == Some(&b']') {
                return self.end(frames);
            }
            self.at += 1;
        }
    }

    /// The bounds of the next element; stops at the `,` or `]` behind it.
    fn element(&mut self) -> Result<Range<usize>, Unframed> {
        self.skip_space();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.body.get(self.at) {
                None => return self.broken("the array does not end"),
                Some(b'"') => self.skip_string()?,
                Some(b'{' | b'[') => depth += 1,
                Some(b',' | b']') if depth == 0 => break,
                Some(b'}') if depth == 0 => return self.broken("a brace closes that was not opened"),
                Some(b'}' | b']') => depth -= 1,
                Some(_) => {}
            }
            self.at += 1;
        }
        let end = start + self.body[start..self.at].trim_ascii_end().len();
        if start == end { self.broken("an element is missing") } else { Ok(start..end) }
    }

    /// From a string's opening quote to its closing one.
    fn skip_string(&mut self) -> Result<(), Unframed> {
        self.at += 1;
        while let Some(step) = self.body.get(self.at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            self.at += step;
            if self.body[self.at] == b'"' {
                return Ok(());
            }
            self.at += 2;
        }
        self.at = self.body.len();
        self.broken("a string does not end")
    }

    fn end(mut self, frames: Vec<Range<usize>>) -> Result<Vec<Range<usize>>, Unframed> {
        self.at += 1;
        self.skip_space();
        if self.at < self.body.len() { self.broken("something follows the array") } else { Ok(frames) }
    }

    fn skip_space(&mut self) {
        while self.body.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn broken<T>(&self, why: &'static str) -> Result<T, Unframed> {
        Err(Unframed::Broken { at: self.at, why })
    }
}

const LINE_TYPES: [&str; 4] =
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-json-stream"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::value::RawValue;

    fn texts(body: &str, framing: Framing) -> Result<Vec<&str>, Unframed> {
        Ok(framing.split(body.as_bytes())?.into_iter().map(|frame| &body[frame]).collect())
    }

    #[test]
    fn the_first_byte_decides_unless_the_sender_says_lines() {
        assert_eq!(Framing::of(Some("application/json"), b" \n["), Framing::Array);
        assert_eq!(Framing::of(None, b"[{}]"), Framing::Array);
        assert_eq!(Framing::of(Some("application/json"), b"{}\n{}"), Framing::Lines);
        assert_eq!(Framing::of(Some("Application/X-NDJSON; charset=utf-8"), b"[{}]"), Framing::Lines);
        assert_eq!(Framing::of(None, b""), Framing::Lines);
    }

    #[test]
    fn lines_count_blank_ones_too_and_the_last_needs_no_line_feed() {
        assert_eq!(texts("{}\n\n{\"a\":1}", Framing::Lines), Ok(vec!["{}", "", "{\"a\":1}"]));
        assert_eq!(texts("{}\n", Framing::Lines), Ok(vec!["{}"]));
        assert_eq!(texts("", Framing::Lines), Ok(vec![]));
    }

    #[test]
    fn elements_come_as_they_were_written() {
        let body = " [ {\"a\": [1, {\"b\":\"],}\\\"\"}]} ,\n2,\"x\" ] \n";
        assert_eq!(texts(body, Framing::Array), Ok(vec!["{\"a\": [1, {\"b\":\"],}\\\"\"}]}", "2", "\"x\""]));
        assert_eq!(texts("[]", Framing::Array), Ok(vec![]));
    }

    #[test]
    fn a_broken_array_is_named_with_its_place() {
        for (body, at) in
            [("[1,]", 3), ("[,1]", 1), ("[1", 2), ("[\"a", 3), ("[\"a\\", 4), ("[1] x", 4), ("[1}]", 2), ("[", 1)]
        {
            match texts(body, Framing::Array) {
                Err(Unframed::Broken { at: found, .. }) => assert_eq!(found, at, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_number_of_lines_is_bounded() {
        assert_eq!(texts(&"\n".repeat(LINES_MAX + 1), Framing::Lines), Err(Unframed::TooMany));
        let many = format!("[{}1]", "1,".repeat(LINES_MAX));
        assert_eq!(texts(&many, Framing::Array), Err(Unframed::TooMany));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i32>().prop_map(Value::from), "[ -~é\\\\\"\\[\\]{},]{0,8}".prop_map(Value::from)];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z\"\\]}]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn elements_agree_with_a_json_parser(values in proptest::collection::vec(json(), 0..6), pretty: bool) {
            let body = Value::from(values);
            let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
            let expected: Vec<Box<RawValue>> = serde_json::from_str(&text).unwrap();
            let expected: Vec<&str> = expected.iter().map(|value| value.get()).collect();
            prop_assert_eq!(texts(&text, Framing::Array).unwrap(), expected);
        }

        #[test]
        fn no_bytes_cause_a_panic(body in proptest::collection::vec(prop_oneof![Just(b'['), Just(b']'), Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b','), any::<u8>()], 0..60)) {
            let body = [b"[".as_slice(), &body].concat();
            if let Ok(frames) = Framing::Array.split(&body) {
                prop_assert!(frames.iter().all(|frame| frame.start < frame.end && frame.end < body.len()));
            }
        }
    }
}
