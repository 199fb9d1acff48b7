//! The usual answer to a bulk request, recognised without making values of it: every document was taken.
//!
//! It is one walk over the text. With the `filter_path` that is asked for, one item is like the other, byte for byte, and
//! such copies are stepped over. Whatever is not plainly so, a document that failed above all, is left to the parser that
//! makes a value of each item. What is taken here is taken there: the scanner refuses more than `serde_json` does, and a
//! key with escapes, or one that matters and stands twice, ends the walk.

use crate::index::{Refusal, Scanner, Text};

/// Whether `body` is an answer that plainly says of each of `events` documents that it was taken.
pub(super) fn are_plainly_taken(body: &[u8], events: usize) -> bool {
    count(body).is_ok_and(|taken| taken == events)
}

/// The number of documents, all of them taken.
fn count(body: &[u8]) -> Result<usize, Refusal> {
    let mut scanner = Scanner::new(body);
    let mut taken = None;
    object(&mut scanner, |scanner, key| match plain(scanner, key)? {
        b"items" => {
            expect(taken.is_none(), scanner)?;
            taken = Some(items(scanner)?);
            Ok(())
        }
        _ => scanner.value(1),
    })?;
    scanner.end()?;
    // Keys have to be UTF-8.
    expect(body.is_ascii() && taken.is_some(), &scanner)?;
    Ok(taken.unwrap_or_default())
}

fn items(scanner: &mut Scanner<'_>) -> Result<usize, Refusal> {
    expect(scanner.peek() == Some(b'['), scanner)?;
    let raw = scanner.raw();
    let (mut taken, mut last) = (0, None);
    scanner.array(|scanner| {
        taken += 1;
        if last.is_some_and(|last| scanner.skip_copy(last)) {
            return Ok(());
        }
        let start = scanner.position();
        item(scanner)?;
        last = Some(&raw[start..scanner.position()]);
        Ok(())
    })?;
    Ok(taken)
}

/// Walks an object with one key, the operation.
fn item(scanner: &mut Scanner<'_>) -> Result<(), Refusal> {
    let mut operations = 0;
    object(scanner, |scanner, key| {
        let is_operation = matches!(plain(scanner, key)?, b"create" | b"index");
        operations += 1;
        expect(is_operation && operations == 1, scanner)?;
        outcome(scanner)
    })?;
    expect(operations == 1, scanner)
}

/// Walks what became of one document. An error, or a failure store, needs a closer look.
fn outcome(scanner: &mut Scanner<'_>) -> Result<(), Refusal> {
    let mut statuses = 0;
    object(scanner, |scanner, key| match plain(scanner, key)? {
        b"status" => {
            statuses += 1;
            success(scanner)
        }
        b"error" | b"failure_store" => expect(false, scanner),
        _ => scanner.value(1),
    })?;
    expect(statuses == 1, scanner)
}

/// Walks a status from 200 to 299.
fn success(scanner: &mut Scanner<'_>) -> Result<(), Refusal> {
    let start = scanner.position();
    scanner.value(1)?;
    let status = &scanner.raw()[start..scanner.position()];
    expect(matches!(status, [b'2', b'0'..=b'9', b'0'..=b'9']), scanner)
}

#[inline]
fn object<'a>(
    scanner: &mut Scanner<'a>,
    member: impl FnMut(&mut Scanner<'a>, Text) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    expect(scanner.peek() == Some(b'{'), scanner)?;
    scanner.object(member)
}

/// A key without escapes.
fn plain<'a>(scanner: &Scanner<'a>, key: Text) -> Result<&'a [u8], Refusal> {
    expect(!key.has_escapes, scanner)?;
    Ok(key.bytes(scanner.raw()))
}

/// Ends the walk unless it is the usual answer so far.
fn expect(is_usual: bool, scanner: &Scanner<'_>) -> Result<(), Refusal> {
    if is_usual { Ok(()) } else { Err(scanner.expected("of the usual answer")) }
}

#[cfg(test)]
mod tests {
    use super::super::{DocumentId, Elastic, ElasticSettings, Op};
    use super::*;
    use crate::http::Reply;
    use crate::shape::Shape;
    use crate::verdict::Verdict;
    use proptest::prelude::*;
    use proptest::sample::select;

    const WHOLE: &str = r#"{"create":{"_index":".ds-logs-a-b-1","_id":"a \"1\"","_version":1,"result":"created","_shards":{"total":2,"successful":1,"failed":0},"_seq_no":7,"status":201}}"#;
    const SHORT: &str = r#"{"create":{"status":201}}"#;

    fn answer(items: &[&str]) -> String {
        format!(r#"{{"errors":false,"took":3,"items":[{}]}}"#, items.join(","))
    }

    /// What the parser that makes values says.
    fn are_taken(body: &[u8], events: usize) -> bool {
        let (base, target) = (String::new(), String::from("audit"));
        let (op, id, shape) = (Op::Create, DocumentId::StreamAndNumber, Shape::Canonical);
        let settings = ElasticSettings { base, target, op, id, shape };
        let reply = Reply { status: 200, body: body.to_vec(), ..Reply::default() };
        let verdict = Elastic::new(&settings).unwrap().judge_each(&reply, events, 0);
        verdict == Verdict::Delivered { slow_down: false }
    }

    #[test]
    fn the_usual_answers_are_recognised_and_only_whole() {
        let other = r#"{ "index" : { "status" : 200 } }"#;
        for items in [&[SHORT; 4][..], &[WHOLE; 3], &[SHORT, WHOLE, other, other, WHOLE], &[SHORT], &[]] {
            let body = answer(items);
            assert!(are_plainly_taken(body.as_bytes(), items.len()), "{body}");
            assert!(!are_plainly_taken(body.as_bytes(), items.len() + 1), "{body}");
            for end in 0..body.len() {
                assert!(!are_plainly_taken(&body.as_bytes()[..end], items.len()), "{}", &body[..end]);
            }
        }
    }

    #[test]
    fn whatever_is_unusual_is_left_to_the_parser() {
        for item in UNUSUAL {
            for items in [&[SHORT, item][..], &[item, SHORT], &[item, item]] {
                assert!(!are_plainly_taken(answer(items).as_bytes(), 2), "{item}");
            }
        }
        for body in [
            r#"[[{"create":{"status":201}}]]"#,
            r#"{"items":{"create":{"status":201}}}"#,
            r#"{"items":[{"create":{"status":201}}],"items":[{"create":{"status":201}}]}"#,
            r#"{"items":[{"create":{"status":201}}],"\u0069tems":[]}"#,
            r#"{"items":[{"create":{"status":201}}]}}"#,
            r#"{"items":[{"create":{"status":201}},]}"#,
            "{\"items\":[{\"create\":{\"status\":201}}],\"\u{e9}\":1}",
        ] {
            assert!(!are_plainly_taken(body.as_bytes(), 1), "{body}");
        }
    }

    const UNUSUAL: [&str; 18] = [
        r#"{"create":{"status":400}}"#,
        r#"{"create":{"status":429,"error":{"type":"t","reason":"r"}}}"#,
        r#"{"create":{"status":201,"error":null}}"#,
        r#"{"create":{"status":201,"failure_store":"used"}}"#,
        r#"{"create":{"status":201,"status":201}}"#,
        r#"{"create":{"status":201,"status":400}}"#,
        r#"{"create":{"status":201,"st\u0061tus":400}}"#,
        r#"{"create":{"status":201,"\u0065rror":{"type":"t"}}}"#,
        r#"{"create":{"status":201},"create":{"status":400}}"#,
        r#"{"create":{"status":201},"index":{"status":201}}"#,
        r#"{"delete":{"status":200}}"#,
        r#"{"create":{"status":"201"}}"#,
        r#"{"create":{"status":2e2}}"#,
        r#"{"create":{"status":2010}}"#,
        r#"{"create":{"error":{"status":201}}}"#,
        r#"{"create":[201]}"#,
        r#"{}"#,
        "null",
    ];

    /// Answers of usual and unusual parts, some of them damaged afterwards.
    fn answers() -> impl Strategy<Value = (Vec<u8>, usize)> {
        let usual = select(vec![SHORT, WHOLE, r#"{"index":{"_id":"x","status":200}}"#]);
        let item = prop_oneof![9 => usual, 1 => select(UNUSUAL.to_vec())];
        let opening = select(vec![r#"{"took":3,"errors":false,"#, "{", r#"{"items":[],"#, r#"{"x":{"items":[1]},"#]);
        let closing = select(vec!["}", "}", "} ", "}x", "", r#","items":[]}"#, r#","took":"\ud83d"}"#]);
        let damage = prop::option::of((any::<prop::sample::Index>(), select(b"\"\\{}[],:2 e\xff\n".to_vec())));
        let parts = (opening, prop::collection::vec(item, 0..6), closing, damage, 0usize..9);
        parts.prop_map(|(opening, items, closing, damage, events)| {
            let mut body = format!(r#"{opening}"items":[{}]{closing}"#, items.join(",")).into_bytes();
            if let Some((place, byte)) = damage {
                let place = place.index(body.len());
                body[place] = byte;
            }
            (body, if events < 6 { items.len() } else { events - 6 })
        })
    }

    proptest! {
        #[test]
        fn what_is_taken_here_is_taken_by_the_parser((body, events) in answers()) {
            let is_taken = are_plainly_taken(&body, events);
            prop_assert!(!is_taken || are_taken(&body, events), "{}", String::from_utf8_lossy(&body));
        }

        #[test]
        fn no_bytes_panic(bytes in "[\\{\\}\\[\\]\",:\\\\a12 ]{0,40}", events in 0usize..3) {
            let body = format!(r#"{{"items":[{bytes}]}}"#);
            let is_taken = are_plainly_taken(body.as_bytes(), events);
            prop_assert!(!is_taken || are_taken(body.as_bytes(), events), "{body}");
        }
    }
}
