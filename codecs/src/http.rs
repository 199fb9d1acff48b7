//! HTTP/1.1 (RFC 9112): heads out, replies in, and requests in. The one place with httparse.
//!
//! Replies come in as they arrive, in any division. Heads are bounded by [`HEAD_MAX`], bodies are kept up to the
//! reader's limit and read on to their end, so that the connection can be used again. What makes the end of a message
//! doubtful is an error or ends the connection, never a guess.

use crate::chunked::{ChunkError, Chunked};
use crate::json::write_number;
use crate::time::parse_http_date;

mod message;

use message::{BodyReader, Framing, HeadBuffer, Length, find, has_token, stays_open};

/// What this program calls itself to servers.
pub const USER_AGENT: &str = concat!("scaidrive-siem/", env!("CARGO_PKG_VERSION"));
/// Bytes of one message head.
pub const HEAD_MAX: usize = 64 << 10;
/// Header fields of one message.
pub const HEADERS_MAX: usize = 128;
/// Bytes beyond the kept part of a body that are read only to reach its end; then the connection is given up.
pub const DISCARD_MAX: u64 = 16 << 20;

/// A request head that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Not a token.
    #[error("`{method}` is not an HTTP method")]
    Method {
        /// As found.
        method: String,
    },
    /// Does not begin with `/`, or holds a space or something that is not ASCII.
    #[error("`{path}` is not a request path")]
    Path {
        /// As found.
        path: String,
    },
    /// Empty, or holds a space or something that is not ASCII.
    #[error("`{host}` is not a host")]
    Host {
        /// As found.
        host: String,
    },
    /// A header name that is not a token, or one that this function writes itself.
    #[error("`{name}` cannot be set as a header")]
    Name {
        /// As found.
        name: String,
    },
    /// A header value with a line break or something else that is not printable ASCII. The value may be a secret, so
    /// it is not repeated here.
    #[error("the value of header `{name}` holds a character that is not allowed")]
    Value {
        /// The header's name.
        name: String,
    },
}

/// Why bytes are not the message expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The head is longer than [`HEAD_MAX`] or has more than [`HEADERS_MAX`] fields.
    #[error("the message head is too large")]
    HeadTooLarge,
    /// The head is not HTTP/1.
    #[error("the message head is not HTTP/1: {reason}")]
    Head {
        /// What is wrong.
        reason: &'static str,
    },
    /// The body's length is stated in a way that cannot be trusted.
    #[error("the body's length is doubtful: {reason}")]
    Length {
        /// What is wrong.
        reason: &'static str,
    },
    /// The chunked body is malformed.
    #[error("the body cannot be read")]
    Chunk {
        /// What is wrong.
        #[from]
        source: ChunkError,
    },
    /// A request body longer than the reader's limit.
    #[error("the body is longer than {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// Closed before anything of the message came.
    #[error("the connection was closed without an answer")]
    ClosedBefore,
    /// Closed inside the message.
    #[error("the connection was closed in the middle of the answer")]
    ClosedInside,
}

/// What a reader knows after taking bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<M> {
    /// All bytes were taken and the message goes on.
    More,
    /// The message is complete.
    Done {
        /// It.
        message: M,
        /// How many of the bytes last pushed belong to it.
        used: usize,
    },
}

/// The reply to one request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reply {
    /// Status code, 200 to 599 and beyond; never 1xx.
    pub status: u16,
    /// Header fields in order, at most [`HEADERS_MAX`]; bytes that are not UTF-8 replaced.
    pub headers: Vec<(String, String)>,
    /// The body, up to the reader's limit.
    pub body: Vec<u8>,
    /// Whether the body was longer than was kept.
    pub is_cut: bool,
    /// Whether another request may follow on the same connection.
    pub keep_alive: bool,
}

/// One request, as a server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Request {
    /// The method, as written.
    pub method: String,
    /// The request target, as written.
    pub path: String,
    /// Header fields in order, at most [`HEADERS_MAX`]; bytes that are not UTF-8 replaced.
    pub headers: Vec<(String, String)>,
    /// The whole body, still in its content coding.
    pub body: Vec<u8>,
    /// Whether another request may follow on the same connection.
    pub keep_alive: bool,
}

/// Appends a request head. `path` is the whole request target, `content_length` the bytes of the body that follows.
///
/// # Errors
/// When a part could break out of its line; `out` is then as it was.
pub fn write_head<'a>(
    out: &mut Vec<u8>,
    method: &str,
    path: &str,
    host: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    content_length: u64,
) -> Result<(), HeadError> {
    let before = out.len();
    let written = try_write_head(out, method, path, host, headers, content_length);
    if written.is_err() {
        out.truncate(before);
    }
    written
}

fn try_write_head<'a>(
    out: &mut Vec<u8>,
    method: &str,
    path: &str,
    host: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    content_length: u64,
) -> Result<(), HeadError> {
    if !is_token(method) {
        return Err(HeadError::Method { method: method.to_owned() });
    }
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HeadError::Path { path: path.to_owned() });
    }
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HeadError::Host { host: host.to_owned() });
    }
    for part in [method, " ", path, " HTTP/1.1\r\nHost: ", host, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in headers {
        if !is_token(name) || WRITTEN_HERE.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(HeadError::Name { name: name.to_owned() });
        }
        if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t') {
            return Err(HeadError::Value { name: name.to_owned() });
        }
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    write_length(out, content_length);
    Ok(())
}

/// States another length in a head that [`write_head`] has written and nothing was added to.
///
/// # Panics
/// When `head` is no such head.
pub fn restate_length(head: &mut Vec<u8>, content_length: u64) {
    // Written last, and no value holds a line break, so the last one is ours.
    let start = memchr::memmem::rfind(head, LENGTH_FIELD).expect("a head that states its length");
    head.truncate(start);
    write_length(head, content_length);
}

fn write_length(out: &mut Vec<u8>, content_length: u64) {
    out.extend_from_slice(LENGTH_FIELD);
    write_number(content_length, out);
    out.extend_from_slice(b"\r\n\r\n");
}

/// Reads replies from one connection, one after another.
#[derive(Debug)]
pub struct ReplyReader {
    max_body: usize,
    is_head_request: bool,
    head: HeadBuffer,
    body: Option<(Reply, BodyReader)>,
    /// An old reply, whose memory the next one takes.
    spare: Reply,
}

impl ReplyReader {
    /// A reader that keeps at most `max_body` bytes of a body.
    pub fn new(max_body: usize) -> ReplyReader {
        let (head, spare) = (HeadBuffer::default(), Reply::default());
        ReplyReader { max_body, is_head_request: false, head, body: None, spare }
    }

    /// Stands before the first reply of a connection again and keeps at most `max_body` bytes of its body. The reply takes
    /// the memory of `spare`, which is an old one.
    pub fn begin(&mut self, max_body: usize, spare: Reply) {
        self.max_body = max_body;
        self.head.clear();
        self.body = None;
        self.spare = spare;
    }

    /// A reader for the replies to `HEAD` requests, which have no body whatever they say.
    pub fn for_head_requests() -> ReplyReader {
        ReplyReader { is_head_request: true, ..ReplyReader::new(0) }
    }

    /// Takes bytes as they arrive. After `Done` the reader stands before the next reply.
    ///
    /// Bytes after the reply were not asked for: the reply then says that the connection must not be used again.
    ///
    /// # Errors
    /// See [`HttpError`]; the connection cannot be followed any further.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Progress<Reply>, HttpError> {
        let mut at = 0;
        while self.body.is_none() {
            let (taken, is_complete) = self.head.take(&bytes[at..])?;
            at += taken;
            if !is_complete {
                return Ok(Progress::More);
            }
            let started = self.start_body()?;
            self.head.clear();
            self.body = started;
        }
        self.push_body(bytes, at)
    }

    /// Says that the peer has closed its side.
    ///
    /// # Errors
    /// When the reply is not complete, unless its body ends where the connection does.
    pub fn closed(&mut self) -> Result<Reply, HttpError> {
        match self.body.take() {
            Some((reply, BodyReader { framing: Framing::UntilClose, .. })) => Ok(Reply { keep_alive: false, ..reply }),
            Some(_) => Err(HttpError::ClosedInside),
            None if self.head.bytes.is_empty() => Err(HttpError::ClosedBefore),
            None => Err(HttpError::ClosedInside),
        }
    }

    /// Whether anything of a reply has arrived that is not complete.
    pub fn is_inside(&self) -> bool {
        self.body.is_some() || !self.head.bytes.is_empty()
    }

    /// `None` for an interim reply (1xx), after which the real one follows.
    fn start_body(&mut self) -> Result<Option<(Reply, BodyReader)>, HttpError> {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut fields);
        complete(parsed.parse(&self.head.bytes))?;
        let status = parsed.code.unwrap_or_default();
        if status == 101 {
            return Err(HttpError::Head { reason: "the server wants to change the protocol" });
        }
        if status < 200 {
            return Ok(None);
        }
        let Reply { mut headers, mut body, .. } = std::mem::take(&mut self.spare);
        body.clear();
        copy_fields(parsed.headers, &mut headers);
        let length = Length::of(&headers)?;
        let framing = match length {
            _ if self.is_head_request || matches!(status, 204 | 304) => Framing::Counted { left: 0 },
            Length::Chunked { .. } => Framing::Chunked(Chunked::new()),
            Length::Counted(left) => Framing::Counted { left },
            Length::Unknown => Framing::UntilClose,
        };
        // A reply that states its length in two ways may have been read in two ways before it came here.
        let is_plain = !matches!(length, Length::Chunked { is_also_counted: true });
        let keep_alive = is_plain && stays_open(parsed.version, &headers);
        let reply = Reply { status, headers, body, keep_alive, is_cut: false };
        Ok(Some((reply, BodyReader { framing, max: self.max_body, discarded: 0 })))
    }

    fn push_body(&mut self, bytes: &[u8], start: usize) -> Result<Progress<Reply>, HttpError> {
        let Some((reply, reader)) = &mut self.body else { return Ok(Progress::More) };
        let used = start + reader.take(&bytes[start..], &mut reply.body)?;
        let is_given_up = reader.discarded > DISCARD_MAX;
        if !reader.is_done() && !is_given_up {
            return Ok(Progress::More);
        }
        reply.is_cut = reader.discarded > 0;
        reply.keep_alive &= !is_given_up && used == bytes.len();
        let message = std::mem::take(reply);
        self.body = None;
        Ok(Progress::Done { message, used })
    }
}

/// Reads requests from one connection, one after another: the server's side.
#[derive(Debug)]
pub struct RequestReader {
    max_body: usize,
    head: HeadBuffer,
    body: Option<(Request, BodyReader)>,
    wants_continue: bool,
}

impl RequestReader {
    /// A reader that takes bodies of at most `max_body` bytes.
    pub fn new(max_body: usize) -> RequestReader {
        RequestReader { max_body, head: HeadBuffer::default(), body: None, wants_continue: false }
    }

    /// Takes bytes as they arrive. After `Done` the reader stands before the next request, and the bytes not used
    /// must be pushed again.
    ///
    /// # Errors
    /// See [`HttpError`]; answer if you like, then close the connection.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Progress<Request>, HttpError> {
        let mut at = 0;
        if self.body.is_none() {
            let (taken, is_complete) = self.head.take(bytes)?;
            at = taken;
            if !is_complete {
                return Ok(Progress::More);
            }
            self.body = Some(self.start_body()?);
            self.head.clear();
        }
        let Some((request, reader)) = &mut self.body else { return Ok(Progress::More) };
        let used = at + reader.take(&bytes[at..], &mut request.body)?;
        if reader.discarded > 0 {
            return Err(HttpError::BodyTooLarge { limit: self.max_body });
        }
        if !reader.is_done() {
            return Ok(Progress::More);
        }
        let message = std::mem::take(request);
        self.body = None;
        self.wants_continue = false;
        Ok(Progress::Done { message, used })
    }

    /// Whether the client waits for `100 Continue` before it sends the body. True once for each request.
    pub fn wants_continue(&mut self) -> bool {
        std::mem::take(&mut self.wants_continue)
    }

    /// Whether anything of a request has arrived that is not complete.
    pub fn is_inside(&self) -> bool {
        self.body.is_some() || !self.head.bytes.is_empty()
    }

    fn start_body(&mut self) -> Result<(Request, BodyReader), HttpError> {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut fields);
        complete(parsed.parse(&self.head.bytes))?;
        let headers = owned(parsed.headers);
        let framing = match Length::of(&headers)? {
            Length::Chunked { is_also_counted: true } => {
                return Err(HttpError::Length { reason: "it is both counted and chunked" });
            }
            Length::Chunked { .. } => Framing::Chunked(Chunked::new()),
            Length::Counted(left) if left > self.max_body as u64 => {
                return Err(HttpError::BodyTooLarge { limit: self.max_body });
            }
            Length::Counted(left) => Framing::Counted { left },
            Length::Unknown => Framing::Counted { left: 0 },
        };
        self.wants_continue = has_token(&headers, "expect", "100-continue");
        let keep_alive = stays_open(parsed.version, &headers);
        let method = parsed.method.unwrap_or_default().to_owned();
        let path = parsed.path.unwrap_or_default().to_owned();
        let request = Request { method, path, headers, keep_alive, ..Request::default() };
        Ok((request, BodyReader { framing, max: self.max_body, discarded: 0 }))
    }
}

impl Reply {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// How long the server asks to be left alone, in milliseconds, held between one second and one hour.
    ///
    /// `Retry-After` in both forms (RFC 9110, section 10.2.3). `now_ms` is the wall clock in epoch milliseconds, for
    /// the form that names a date; a date in the past means one second.
    pub fn retry_after(&self, now_ms: i64) -> Option<u64> {
        let value = self.header("retry-after")?.trim();
        let is_seconds = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let wait_ms = if is_seconds {
            value.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1000)
        } else {
            u64::try_from(parse_http_date(value)?.saturating_sub(now_ms)).unwrap_or(0)
        };
        Some(wait_ms.clamp(RETRY_AFTER_MIN_MS, RETRY_AFTER_MAX_MS))
    }
}

impl Request {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn complete(parsed: httparse::Result<usize>) -> Result<(), HttpError> {
    match parsed {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Ok(httparse::Status::Partial) => Err(HttpError::Head { reason: "it ends too early" }),
        Err(httparse::Error::TooManyHeaders) => Err(HttpError::HeadTooLarge),
        Err(httparse::Error::HeaderName) => Err(HttpError::Head { reason: "a header name is malformed" }),
        Err(httparse::Error::HeaderValue) => Err(HttpError::Head { reason: "a header value is malformed" }),
        Err(httparse::Error::Version) => Err(HttpError::Head { reason: "the version is not HTTP/1.0 or HTTP/1.1" }),
        Err(_) => Err(HttpError::Head { reason: "its first line is malformed" }),
    }
}

fn owned(fields: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    copy_fields(fields, &mut headers);
    headers
}

/// Puts `fields` in the place of what `headers` hold, and into its memory.
fn copy_fields(fields: &[httparse::Header<'_>], headers: &mut Vec<(String, String)>) {
    headers.resize_with(fields.len(), Default::default);
    for (field, (name, value)) in fields.iter().zip(headers) {
        name.clear();
        name.push_str(field.name);
        value.clear();
        value.push_str(&String::from_utf8_lossy(field.value));
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Headers that state where the message ends or begins; a second one could contradict the first.
const WRITTEN_HERE: [&str; 3] = ["host", "content-length", "transfer-encoding"];
/// How the field begins that a head ends with.
const LENGTH_FIELD: &[u8] = b"Content-Length: ";
const RETRY_AFTER_MIN_MS: u64 = 1_000;
const RETRY_AFTER_MAX_MS: u64 = 3_600_000;
