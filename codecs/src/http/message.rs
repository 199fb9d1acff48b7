//! What replies and requests have in common: where the head ends, how long the body is, and its bytes.

use super::{HEAD_MAX, HttpError};
use crate::chunked::Chunked;

/// The bytes of a head until its blank line.
#[derive(Debug, Default)]
pub(super) struct HeadBuffer {
    pub(super) bytes: Vec<u8>,
    /// Bytes of blank lines skipped before it.
    blank: usize,
}

impl HeadBuffer {
    /// Takes bytes up to the end of the head; says how many, and whether the end was among them.
    ///
    /// Blank lines before the head are skipped (RFC 9112, section 2.2), so the first blank line in it is its end.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<(usize, bool), HttpError> {
        let blank = match self.bytes.is_empty() {
            true => input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count(),
            false => 0,
        };
        self.blank += blank;
        if self.blank > BLANK_MAX {
            return Err(HttpError::Head { reason: "it begins with blank lines" });
        }
        let before = self.bytes.len();
        let room = HEAD_MAX - before;
        let fresh = &input[blank..];
        self.bytes.extend_from_slice(&fresh[..fresh.len().min(room)]);
        match end_of_head(&self.bytes, before.saturating_sub(3)) {
            Some(end) => {
                self.bytes.truncate(end);
                Ok((blank + end - before, true))
            }
            None if fresh.len() >= room => Err(HttpError::HeadTooLarge),
            None => Ok((input.len(), false)),
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.blank = 0;
    }
}

/// The place after the first blank line, looking from `from` on. Line feeds may stand without CR.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', &bytes[from..]).map(|nth| from + nth).find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// What the header fields say about the body (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Chunked { is_also_counted: bool },
    Counted(u64),
    Unknown,
}

impl Length {
    pub(super) fn of(headers: &[(String, String)]) -> Result<Length, HttpError> {
        let mut counted: Option<u64> = None;
        for value in values(headers, "content-length").flat_map(|value| value.split(',')) {
            let length =
                parse_length(value.trim()).ok_or(HttpError::Length { reason: "Content-Length is not a number" })?;
            if counted.is_some_and(|other| other != length) {
                return Err(HttpError::Length { reason: "Content-Length is given twice" });
            }
            counted = Some(length);
        }
        let mut codings = values(headers, "transfer-encoding").flat_map(|value| value.split(','));
        match (codings.next(), codings.next()) {
            (Some(only), None) if only.trim().eq_ignore_ascii_case("chunked") => {
                Ok(Length::Chunked { is_also_counted: counted.is_some() })
            }
            (Some(_), _) => Err(HttpError::Length { reason: "Transfer-Encoding is not just `chunked`" }),
            (None, _) => Ok(counted.map_or(Length::Unknown, Length::Counted)),
        }
    }
}

fn parse_length(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[derive(Debug)]
pub(super) enum Framing {
    Counted { left: u64 },
    Chunked(Chunked),
    UntilClose,
}

/// Reads a body and keeps its beginning.
#[derive(Debug)]
pub(super) struct BodyReader {
    pub(super) framing: Framing,
    pub(super) max: usize,
    pub(super) discarded: u64,
}

impl BodyReader {
    pub(super) fn take(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, HttpError> {
        let (max, discarded) = (self.max, &mut self.discarded);
        let mut keep = |data: &[u8]| {
            let kept = data.len().min(max - body.len());
            body.extend_from_slice(&data[..kept]);
            *discarded += (data.len() - kept) as u64;
        };
        match &mut self.framing {
            Framing::Counted { left } => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                keep(&input[..here]);
                *left -= here as u64;
                Ok(here)
            }
            Framing::Chunked(chunked) => Ok(chunked.push(input, keep)?),
            Framing::UntilClose => {
                keep(input);
                Ok(input.len())
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match &self.framing {
            Framing::Counted { left } => *left == 0,
            Framing::Chunked(chunked) => chunked.is_done(),
            Framing::UntilClose => false,
        }
    }
}

pub(super) fn stays_open(version: Option<u8>, headers: &[(String, String)]) -> bool {
    match version {
        Some(1) => !has_token(headers, "connection", "close"),
        _ => has_token(headers, "connection", "keep-alive"),
    }
}

pub(super) fn has_token(headers: &[(String, String)], name: &str, token: &str) -> bool {
    let mut tokens = values(headers, name).flat_map(|value| value.split(','));
    tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
}

pub(super) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    values(headers, name).next()
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Bytes of blank lines that may come before a head.
const BLANK_MAX: usize = 64;
