//! HEC and Elastic bulk over HTTP/1.1: heads, bodies by length or in chunks, and replies.

use std::io::{Read, Write};

use super::{READ, Tally};
use crate::scenario::Kind;

/// Serves one connection until it ends or makes no sense.
pub(super) fn serve(stream: impl Read + Write, kind: Kind, tally: &Tally) {
    converse(stream, Replies::new(kind), tally);
}

/// The same, but of requests with one event every other is refused, and all with more: a client that splits them finds half
/// of all events refused.
pub(super) fn refuse_half(stream: impl Read + Write, tally: &Tally) {
    converse(stream, Replies { refuses_next: Some(true), ..Replies::new(Kind::Hec) }, tally);
}

fn converse(stream: impl Read + Write, mut replies: Replies, tally: &Tally) {
    let mut connection = Connection { stream, buffer: vec![0; READ], start: 0, end: 0 };
    while let Some(head) = connection.head() {
        if head.expects_continue && connection.stream.write_all(CONTINUE).is_err() {
            return;
        }
        let mut body = Body { arrival: tally.arrival(), gzip: head.is_gzip.then(Vec::new), lines: 0 };
        if connection.body(&head.length, |piece| body.take(piece)).is_none() {
            return;
        }
        let lines = body.lines;
        if let Some(body) = body.gzip {
            tally.keep(body);
        }
        if connection.stream.write_all(replies.reply(&head, lines)).is_err() {
            return;
        }
    }
}

/// What of a request's head matters here.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    length: Length,
    is_gzip: bool,
    expects_continue: bool,
    /// The client asks for little in the reply (Elasticsearch's `filter_path`).
    wants_little: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunks,
}

impl Head {
    /// Reads a head at the start of `bytes` and returns its length too; `None` when it is not complete.
    fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, httparse::Error> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(bytes)? else { return Ok(None) };
        let wants_little = request.path.is_some_and(|path| path.contains("filter_path="));
        let value = |name: &str| {
            let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            header.and_then(|header| std::str::from_utf8(header.value).ok()).unwrap_or_default()
        };
        let is_chunked = value("transfer-encoding").eq_ignore_ascii_case("chunked");
        let bytes = value("content-length").parse().unwrap_or(0);
        let head = Head {
            length: if is_chunked { Length::Chunks } else { Length::Bytes(bytes) },
            is_gzip: value("content-encoding").eq_ignore_ascii_case("gzip"),
            expects_continue: value("expect").eq_ignore_ascii_case("100-continue"),
            wants_little,
        };
        Ok(Some((head, length)))
    }
}

/// Where the pieces of one body go.
struct Body<'a> {
    arrival: super::tally::Arrival<'a>,
    gzip: Option<Vec<u8>>,
    lines: usize,
}

impl Body<'_> {
    fn take(&mut self, piece: &[u8]) {
        match &mut self.gzip {
            Some(body) => body.extend_from_slice(piece),
            None => {
                self.arrival.take(piece);
                self.lines += memchr::memchr_iter(b'\n', piece).count();
            }
        }
    }
}

struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    /// What was read and not yet used is `buffer[start..end]`.
    start: usize,
    end: usize,
}

impl<S: Read> Connection<S> {
    /// The next request's head; `None` at the end.
    fn head(&mut self) -> Option<Head> {
        loop {
            if let Some((head, length)) = Head::parse(&self.buffer[self.start..self.end]).ok()? {
                self.start += length;
                return Some(head);
            }
            self.read_more()?;
        }
    }

    fn body(&mut self, length: &Length, mut take: impl FnMut(&[u8])) -> Option<()> {
        match *length {
            Length::Bytes(bytes) => self.pieces(bytes, &mut take),
            Length::Chunks => loop {
                let size = self.chunk_size()?;
                self.pieces(size, &mut take)?;
                // The line feed behind the chunk, or the empty line behind the last one: no trailers are expected.
                self.pieces(2, &mut |_| ())?;
                if size == 0 {
                    return Some(());
                }
            },
        }
    }

    /// Hands on the next `left` bytes as they come.
    fn pieces(&mut self, mut left: usize, take: &mut impl FnMut(&[u8])) -> Option<()> {
        while left > 0 {
            if self.start == self.end {
                self.read_more()?;
            }
            let count = left.min(self.end - self.start);
            take(&self.buffer[self.start..self.start + count]);
            self.start += count;
            left -= count;
        }
        Some(())
    }

    fn chunk_size(&mut self) -> Option<usize> {
        loop {
            let held = &self.buffer[self.start..self.end];
            if let httparse::Status::Complete((length, size)) = httparse::parse_chunk_size(held).ok()? {
                self.start += length;
                return usize::try_from(size).ok();
            }
            self.read_more()?;
        }
    }

    /// Reads at least one more byte.
    fn read_more(&mut self) -> Option<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) | Err(_) => None,
            Ok(read) => {
                self.end += read;
                Some(())
            }
        }
    }
}

/// Replies, made once for each number of events.
struct Replies {
    kind: Kind,
    /// Whether the next event that comes alone is refused; none is where there is nothing.
    refuses_next: Option<bool>,
    made: Vec<u8>,
    made_for: Option<(usize, bool)>,
}

impl Replies {
    fn new(kind: Kind) -> Replies {
        Replies { kind, refuses_next: None, made: Vec::new(), made_for: None }
    }

    /// The reply to a request whose body has `lines` lines.
    fn reply(&mut self, head: &Head, lines: usize) -> &[u8] {
        if let Some(refuses) = self.refuses_next {
            if matches!(head.length, Length::Bytes(bytes) if bytes < TWO_EVENTS) {
                self.refuses_next = Some(!refuses);
                return if refuses { HEC_REFUSAL } else { HEC_REPLY };
            }
            return HEC_REFUSAL;
        }
        if self.kind == Kind::Hec {
            return HEC_REPLY;
        }
        // An action line and a document line each.
        let events = lines / 2;
        if self.made_for != Some((events, head.wants_little)) {
            self.made = bulk_reply(events, head.wants_little);
            self.made_for = Some((events, head.wants_little));
        }
        &self.made
    }
}

/// What Elasticsearch answers when it has created `events` documents; only what `filter_path` lets through when the client
/// wants little. Identifiers are not the request's own: no client looks at those of created documents.
fn bulk_reply(events: usize, wants_little: bool) -> Vec<u8> {
    let item = if wants_little { ITEM_LITTLE } else { ITEM };
    let items = vec![item; events].join(",");
    let body = format!("{{\"took\":1,\"errors\":false,\"items\":[{items}]}}");
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length:";
    format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const HEC_REPLY: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{\"text\":\"Success\",\"code\":0}";
const HEC_REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n{\"text\":\"Invalid data format\",\"code\":6}";
const ITEM: &str = r#"{"create":{"_index":".ds-logs-scaidrive.audit-default-2026.05.12-000001","_id":"AZ0000000000000000000","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":1,"_primary_term":1,"status":201}}"#;
const ITEM_LITTLE: &str = r#"{"create":{"_id":"AZ0000000000000000000","status":201}}"#;
/// Two events for HEC are never shorter (see `load/event.rs`), and one is seldom longer.
const TWO_EVENTS: usize = 1_200;
const HEADERS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A connection that brings `input` in pieces of `size` and keeps what is written to it.
    struct Wire<'a> {
        input: &'a [u8],
        size: usize,
        written: &'a mut Vec<u8>,
    }

    impl Read for Wire<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.size.min(self.input.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.input[..count]);
            self.input = &self.input[count..];
            Ok(count)
        }
    }

    impl Write for Wire<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn served(kind: Kind, input: &[u8], size: usize) -> (u64, String) {
        let (tally, mut written) = (Tally::default(), Vec::new());
        serve(Wire { input, size, written: &mut written }, kind, &tally);
        (tally.distinct(), String::from_utf8(written).unwrap())
    }

    #[test]
    fn bodies_by_length_and_in_chunks_are_counted_and_answered_however_they_are_cut() {
        let event = "bench~0000000000000001\nbench~0000000000000002\n";
        let (front, back) = event.split_at(30);
        let length = event.len();
        let input = format!(
            "POST /services/collector HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{event}\
             POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{front}\r\n{:x}\r\n{back}\r\n0\r\n\r\n\
             POST / HTTP/1.1\r\nContent-Length: 22\r\n\r\nbench~0000000000000003",
            front.len(),
            back.len(),
        );
        for size in [1, 2, 3, 17, 100, input.len()] {
            let (distinct, said) = served(Kind::Hec, input.as_bytes(), size);
            assert_eq!((distinct, said.matches("200 OK").count()), (3, 3), "in pieces of {size}");
        }
    }

    #[test]
    fn elastic_is_answered_item_by_item_and_briefly_if_asked() {
        let body = "{\"create\":{}}\n{}\n{\"create\":{}}\n{}\n";
        for (path, is_brief) in [("/_bulk", false), ("/_bulk?filter_path=items.*.status", true)] {
            let input = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let (_, said) = served(Kind::Elastic, input.as_bytes(), 1_000);
            let reply: serde_json::Value = serde_json::from_str(said.split_once("\r\n\r\n").unwrap().1).unwrap();
            let items = reply["items"].as_array().unwrap();
            assert_eq!((items.len(), reply["errors"].as_bool()), (2, Some(false)));
            assert_eq!(items[0]["create"].get("_version").is_none(), is_brief);
        }
    }

    #[test]
    fn every_other_event_that_comes_alone_is_refused_and_all_that_come_together() {
        let request =
            |length: usize| format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length));
        let input: String = [2_000, 800, 800, 2_000, 800].map(request).concat();
        let (tally, mut written) = (Tally::default(), Vec::new());
        refuse_half(Wire { input: input.as_bytes(), size: 1_000, written: &mut written }, &tally);
        let said = String::from_utf8(written).unwrap();
        let answers: Vec<&str> = said.split("HTTP/1.1 ").skip(1).map(|reply| &reply[..3]).collect();
        assert_eq!(answers, ["400", "400", "200", "400", "400"]);
    }

    #[test]
    fn a_client_that_asks_first_is_told_to_go_on() {
        let input = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx";
        let (_, said) = served(Kind::Hec, input, 1_000);
        assert!(said.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), "{said}");
    }
}
