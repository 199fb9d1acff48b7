//! What every test of an HTTP format needs: events in, a whole body out, and replies.

use scaidrive_codecs::http::Reply;
use scaidrive_codecs::{Body, Entry, Event, Format, Scratch, Stamp, Unfit, index};

use crate::formats::{FIRST_N, NODE, RAW, STREAM};

/// A whole body, frame included, with numbered events. Checks its length.
pub(crate) fn sent(format: &dyn Format, raws: &[&str]) -> Result<Vec<u8>, Unfit> {
    let (mut body, mut scratch) = (Body::new(), Scratch::default());
    for (item, raw) in raws.iter().enumerate() {
        let found = index(raw.as_bytes()).unwrap();
        let stamp = Stamp { node: NODE, stream: STREAM, n: FIRST_N + item as u64 };
        let entry = Entry { item: item as u32, stamp: Some(&stamp), now_ms: 0 };
        let before = body.clone();
        if let Err(unfit) = format.encode(&Event::new(raw.as_bytes(), &found), &entry, &mut body, &mut scratch) {
            assert_eq!(joined(&body, raws), joined(&before, raws), "a body must be as it was after an error");
            return Err(unfit);
        }
    }
    Ok(framed(format, joined(&body, raws)))
}

/// A whole body with one event of the agent's own. Nothing of it is borrowed.
pub(crate) fn sent_own(format: &dyn Format, raw: &str) -> Vec<u8> {
    let (mut body, mut scratch) = (Body::new(), Scratch::default());
    let found = index(raw.as_bytes()).unwrap();
    let entry = Entry { item: 0, stamp: None, now_ms: 0 };
    format.encode(&Event::new(raw.as_bytes(), &found), &entry, &mut body, &mut scratch).unwrap();
    framed(format, joined(&body, &[]))
}

fn joined(body: &Body, raws: &[&str]) -> Vec<u8> {
    let bytes: Vec<u8> = body.slices(|item| raws[item as usize].as_bytes()).flatten().copied().collect();
    assert_eq!(bytes.len(), body.len());
    bytes
}

fn framed(format: &dyn Format, middle: Vec<u8>) -> Vec<u8> {
    let frame = format.frame();
    let whole = [frame.opening, &middle, frame.closing].concat();
    assert_eq!(whole.len(), middle.len() + frame.len());
    whole
}

pub(crate) fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() }
}

pub(crate) fn with_header(mut reply: Reply, name: &str, value: &str) -> Reply {
    reply.headers.push((name.to_owned(), value.to_owned()));
    reply
}

/// An index that belongs to other bytes gives nonsense, and no panic.
pub(crate) fn check_that_a_foreign_index_does_not_panic(format: &dyn Format) {
    let found = index(RAW.as_bytes()).unwrap();
    let stamp = Stamp { node: NODE, stream: STREAM, n: FIRST_N };
    for end in 0..RAW.len() {
        let raws = [&RAW.as_bytes()[..end], &RAW.as_bytes()[RAW.len() - end..]];
        for raw in raws {
            for stamp in [Some(&stamp), None] {
                let mut body = Body::new();
                let entry = Entry { item: 0, stamp, now_ms: 0 };
                let _ = format.encode(&Event::new(raw, &found), &entry, &mut body, &mut Scratch::default());
                assert_eq!(body.slices(|_| raw).map(<[u8]>::len).sum::<usize>(), body.len());
            }
        }
    }
}
