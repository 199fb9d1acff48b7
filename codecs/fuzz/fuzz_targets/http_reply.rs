//! A reply or a request reads the same in any division of its bytes, within every bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scaidrive_codecs::Format;
use scaidrive_codecs::hec::{Hec, HecSettings};
use scaidrive_codecs::http::{HEADERS_MAX, HttpError, Progress, Reply, ReplyReader, Request, RequestReader};

const BODY_MAX: usize = 100;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, wire) = (usize::from(input.0).max(1), input.1);
    let whole = replies(wire, wire.len().max(1));
    let parts = replies(wire, step);
    assert_eq!(whole.1.is_some(), parts.1.is_some());
    assert_eq!(whole.0.len(), parts.0.len());
    for (mut one, mut other) in whole.0.into_iter().zip(parts.0) {
        // What was pushed along with the end of a reply decides this, so it may differ.
        (one.keep_alive, other.keep_alive) = (false, false);
        assert_eq!(one, other);
        assert!(one.status >= 200 && one.body.len() <= BODY_MAX && one.headers.len() <= HEADERS_MAX);
        one.retry_after(0);
        let labels = HecSettings { path: String::from("/"), host: String::new(), source: String::new(), sourcetype: String::new(), index: None, indexes: Vec::new(), shape: scaidrive_codecs::Shape::Canonical, cim_fields: false };
        Hec::new(&labels).unwrap().verdict(&one, 3, 0);
    }
    assert_eq!(requests(wire, wire.len().max(1)), requests(wire, step));
});

fn replies(wire: &[u8], step: usize) -> (Vec<Reply>, Option<HttpError>) {
    let (mut reader, mut found, mut at) = (ReplyReader::new(BODY_MAX), Vec::new(), 0);
    while at < wire.len() {
        let end = (at + step).min(wire.len());
        match reader.push(&wire[at..end]) {
            Ok(Progress::More) => at = end,
            Ok(Progress::Done { message, used }) => {
                found.push(message);
                at += used;
            }
            Err(error) => return (found, Some(error)),
        }
    }
    found.extend(reader.closed().ok());
    (found, None)
}

fn requests(wire: &[u8], step: usize) -> (Vec<Request>, bool) {
    let (mut reader, mut found, mut at) = (RequestReader::new(BODY_MAX), Vec::new(), 0);
    while at < wire.len() {
        let end = (at + step).min(wire.len());
        match reader.push(&wire[at..end]) {
            Ok(Progress::More) => at = end,
            Ok(Progress::Done { message, used }) => {
                found.push(message);
                at += used;
            }
            Err(_) => return (found, true),
        }
    }
    (found, false)
}
