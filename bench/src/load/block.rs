//! Events made once and framed for an input, so that writing them costs the run a stamp and a system call.

use super::event::{Events, Places, stamp};
use crate::contender::Framing;

/// Framed events, one after the other.
pub(crate) struct Block {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

struct Frame {
    /// Where it ends among the bytes.
    end: usize,
    /// Where its mark goes, from the start of all bytes.
    places: Places,
}

impl Block {
    /// `count` of the events that `write` appends, framed.
    pub(crate) fn new(count: usize, framing: Framing, mut write: impl FnMut(&mut Vec<u8>) -> Places) -> Block {
        let mut block = Block { bytes: Vec::new(), frames: Vec::with_capacity(count) };
        let mut event = Vec::new();
        for _ in 0..count {
            event.clear();
            let places = write(&mut event);
            let start = block.bytes.len();
            push_header(framing, event.len(), &mut block.bytes);
            let at = block.bytes.len();
            debug_assert!(at >= start);
            block.bytes.extend_from_slice(&event);
            if framing != Framing::Rfc5424Counted {
                block.bytes.push(b'\n');
            }
            let places = Places { id: at + places.id, mark: at + places.mark };
            block.frames.push(Frame { end: block.bytes.len(), places });
        }
        block
    }

    /// Events of `events`, of any tenant.
    pub(crate) fn of(events: &mut Events, count: usize, framing: Framing) -> Block {
        Block::new(count, framing, |out| events.write(out))
    }

    /// How many events it holds.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The bytes of `count` events from the `from`-th on, the first marked `mark` and each further one `step` more.
    pub(crate) fn stamped(&mut self, from: usize, count: usize, mark: u64, step: u64) -> &[u8] {
        let start = from.checked_sub(1).map_or(0, |before| self.frames[before].end);
        for (nth, frame) in self.frames[from..from + count].iter().enumerate() {
            let mark = mark + step * nth as u64;
            stamp(mark, &mut self.bytes[frame.places.id..]);
            stamp(mark, &mut self.bytes[frame.places.mark..]);
        }
        &self.bytes[start..self.frames[from + count - 1].end]
    }
}

fn push_header(framing: Framing, event: usize, out: &mut Vec<u8>) {
    match framing {
        Framing::Lines => {}
        Framing::Rfc5424Lines => out.extend_from_slice(RFC5424),
        Framing::Rfc5424Counted => {
            out.extend_from_slice(format!("{} ", RFC5424.len() + event).as_bytes());
            out.extend_from_slice(RFC5424);
        }
    }
}

const RFC5424: &[u8] = b"<134>1 2026-05-12T14:23:01.453Z scaidrive01 scaidrive - audit - ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Tenants;

    fn block(framing: Framing) -> Block {
        Block::of(&mut Events::new(Tenants::ZIPF, 9), 10, framing)
    }

    #[test]
    fn lines_are_events_with_their_marks() {
        let mut block = block(Framing::Lines);
        let text = String::from_utf8(block.stamped(3, 4, 100, 2).to_vec()).unwrap();
        let marks: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["payload"]["mark"].to_string())
            .collect();
        let expected: Vec<String> = [100, 102, 104, 106].map(|mark| format!("\"bench~{mark:016x}\"")).into();
        assert_eq!(marks, expected);
    }

    #[test]
    fn counted_frames_say_their_length() {
        let mut block = block(Framing::Rfc5424Counted);
        let bytes = block.stamped(0, 10, 0, 1).to_vec();
        let (mut rest, mut frames) = (&bytes[..], 0);
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').unwrap();
            let count: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
            let frame = &rest[space + 1..space + 1 + count];
            assert!(frame.starts_with(b"<134>1 ") && frame.ends_with(b"}}"));
            rest = &rest[space + 1 + count..];
            frames += 1;
        }
        assert_eq!(frames, 10);
    }
}
