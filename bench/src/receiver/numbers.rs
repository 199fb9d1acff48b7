//! The numbers that the agent gives events in their streams: from 1 without a hole.
//!
//! | wire | how stream and number stand there |
//! |---|---|
//! | HEC | `"siem_stream":"NAME","siem_n":42` |
//! | Elastic | `"stream":"NAME","n":42` |
//! | syslog | `stream="NAME" n="42"` |

use std::collections::HashMap;

use memchr::memmem;

/// The numbers seen in each stream.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    streams: HashMap<Vec<u8>, Vec<u64>>,
    /// What may have been cut off at the end of the last piece.
    tail: Vec<u8>,
}

impl Numbers {
    /// Takes the next piece of one connection's bytes.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        let mut bytes = std::mem::take(&mut self.tail);
        bytes.extend_from_slice(piece);
        let mut done = 0;
        while let Some(found) = memmem::find(&bytes[done..], KEY) {
            let at = done + found;
            match read(&bytes[at + KEY.len()..]) {
                Reading::Number { stream, n } => {
                    self.streams.entry(stream.to_vec()).or_default().push(n);
                    done = at + KEY.len();
                }
                Reading::Other => done = at + KEY.len(),
                Reading::Cut => {
                    self.tail = bytes.split_off(at);
                    return;
                }
            }
        }
        let keep = bytes.len().saturating_sub(KEY.len() - 1).max(done);
        self.tail = bytes.split_off(keep);
    }

    /// What was read so far; what is cut off stays.
    pub(crate) fn take(&mut self) -> Numbers {
        Numbers { streams: std::mem::take(&mut self.streams), tail: Vec::new() }
    }

    /// Adds what another connection brought.
    pub(crate) fn merge(&mut self, other: Numbers) {
        for (stream, numbers) in other.streams {
            self.streams.entry(stream).or_default().extend(numbers);
        }
    }

    /// How many different numbers there are, over all streams.
    ///
    /// # Errors
    /// The first stream and number that are missing.
    pub(crate) fn check(&mut self) -> Result<u64, String> {
        let mut all = 0;
        for (stream, numbers) in &mut self.streams {
            numbers.sort_unstable();
            numbers.dedup();
            let hole = numbers.iter().zip(1_u64..).find(|(n, expected)| *n != expected);
            if let Some((_, missing)) = hole {
                return Err(format!("number {missing} of stream {} is missing", String::from_utf8_lossy(stream)));
            }
            all += numbers.len() as u64;
        }
        Ok(all)
    }
}

enum Reading<'a> {
    Number {
        stream: &'a [u8],
        n: u64,
    },
    /// Something else that is called so, such as a member of one of the agent's own events.
    Other,
    /// The rest has not come yet.
    Cut,
}

/// Reads what stands behind [`KEY`].
fn read(bytes: &[u8]) -> Reading<'_> {
    let Some(open) = bytes.get(..2) else { return Reading::Cut };
    let start = match open {
        b"\":" => 3,
        b"=\"" => 2,
        _ => return Reading::Other,
    };
    let Some(rest) = bytes.get(start..) else { return Reading::Cut };
    let Some(length) = memchr::memchr(b'"', &rest[..rest.len().min(NAME_MAX)]) else {
        return if rest.len() < NAME_MAX { Reading::Cut } else { Reading::Other };
    };
    let (stream, after) = (&rest[..length], &rest[length..]);
    for before in [&b"\",\"siem_n\":"[..], b"\",\"n\":", b"\" n=\""] {
        if let Some(digits) = after.strip_prefix(before) {
            let end = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if end == digits.len() {
                return Reading::Cut;
            }
            let n = std::str::from_utf8(&digits[..end]).ok().and_then(|digits| digits.parse().ok());
            return n.map_or(Reading::Other, |n| Reading::Number { stream, n });
        }
    }
    if after.len() < BEFORE_MAX { Reading::Cut } else { Reading::Other }
}

const KEY: &[u8] = b"stream";
/// Bytes of a stream's name at most.
const NAME_MAX: usize = 256;
/// Bytes of the longest thing between a name and its number.
const BEFORE_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    const WIRES: [&str; 3] = [
        r#"{"event":{"x":1},"fields":{"siem_stream":"a.b.0.9f","siem_n":N}}"#,
        r#"{"@timestamp":"t","siem":{"node":"n","stream":"a.b.0.9f","n":N},"event_id":"e"}"#,
        r#"<134>1 t h s - a [siem@32473 node="n" stream="a.b.0.9f" n="N"] {"event_id":"e"}"#,
    ];

    fn body(wire: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
        numbers.into_iter().map(|n| wire.replace('N', &n.to_string()) + "\n").collect::<String>().into_bytes()
    }

    #[test]
    fn numbers_of_every_wire_are_read_however_the_bytes_are_cut() {
        for wire in WIRES {
            let bytes = body(wire, 1..=30);
            for size in [1, 3, 7, 50, bytes.len()] {
                let mut numbers = Numbers::default();
                bytes.chunks(size).for_each(|piece| numbers.feed(piece));
                assert_eq!(numbers.check(), Ok(30), "{wire} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_hole_is_named_and_a_repeat_is_none() {
        let mut numbers = Numbers::default();
        numbers.feed(&body(WIRES[0], [1, 2, 2, 4]));
        assert!(numbers.check().unwrap_err().contains("number 3 of stream a.b.0.9f"));
    }

    #[test]
    fn statements_about_streams_are_no_numbers() {
        let mut numbers = Numbers::default();
        numbers
            .feed(br#"{"action":"siem.stream_statement","payload":{"stream":"a.b.0.9f","shard":0,"from":1,"end":7}} "#);
        assert_eq!(numbers.check(), Ok(0));
    }
}
