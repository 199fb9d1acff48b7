//! A request, read as RFC 9112 says, with its body's coding undone.

use std::io::{self, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

/// What stands before a body.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The method.
    pub method: String,
    /// The path of the target, as written.
    pub path: String,
    /// The query of the target, without the question mark, as written.
    pub query: String,
    /// Header names in lower case, with their values, in order.
    pub headers: Vec<(String, String)>,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
}

/// A whole request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its head.
    pub head: Head,
    /// Its body, its coding undone.
    pub body: Vec<u8>,
    /// Its number at this receiver, from 1.
    pub number: u64,
    /// Which connection it came on, from 1.
    pub connection: u64,
}

/// A coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Deflate,
    /// RFC 8878.
    Zstd,
}

const HEADERS_MAX: usize = 64;

impl Head {
    /// Reads a head that ends with an empty line.
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Head> {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut slots);
        request.parse(bytes).map_err(io::Error::other)?;
        let target = request.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let value = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap_or("not UTF-8").to_owned();
        let mut head = Head {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: request
                .headers
                .iter()
                .map(|header| (header.name.to_ascii_lowercase(), value(header.value)))
                .collect(),
            keep_alive: request.version == Some(1),
        };
        head.keep_alive &= !head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(head)
    }

    /// The first value of the header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of the header `name` (lower case).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of the query parameter `name`, percent-decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form_fields(self.query.as_bytes()).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The media type of the body in lower case, without parameters.
    pub fn media_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// The cookie `name`, if the client sent it.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.all("cookie").flat_map(|value| value.split(';'));
        pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

impl Coding {
    /// The coding called `name` in `Content-Encoding`.
    pub(super) fn parse(name: &str) -> Option<Coding> {
        match name {
            "gzip" => Some(Coding::Gzip),
            "deflate" => Some(Coding::Deflate),
            "zstd" => Some(Coding::Zstd),
            _ => None,
        }
    }

    /// Undoes the coding, up to `limit` bytes and one more.
    pub(super) fn undo(self, body: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        let end = limit as u64 + 1;
        let mut plain = Vec::with_capacity(body.len().saturating_mul(4).min(limit));
        match self {
            Coding::Gzip => MultiGzDecoder::new(body).take(end).read_to_end(&mut plain)?,
            Coding::Deflate => ZlibDecoder::new(body).take(end).read_to_end(&mut plain)?,
            Coding::Zstd => zstd::Decoder::with_buffer(body)?.take(end).read_to_end(&mut plain)?,
        };
        Ok(plain)
    }
}

/// The fields of a form or a query (WHATWG URL, `application/x-www-form-urlencoded`), decoded, in order.
pub fn form_fields(text: &[u8]) -> Vec<(String, String)> {
    let decode = |part: &[u8]| {
        let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decoded(&spaced)
    };
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            (decode(&pair[..equals]), decode(pair.get(equals + 1..).unwrap_or_default()))
        })
        .collect()
}

/// Undoes percent-encoding (RFC 3986 section 2.1); what is no escape stays.
pub fn percent_decoded(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| after.get(..2)).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match value {
            Some(value) => {
                out.push(value);
                rest = &after[2..];
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read() {
        let head = Head::parse(b"POST /a%20b?x=1%2C2&y=a+b HTTP/1.1\r\nHost: h\r\nCookie: a=1; b=2\r\nContent-Type: Application/JSON; charset=utf-8\r\nConnection: close\r\n\r\n").unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/a%20b"));
        assert_eq!((head.parameter("x").as_deref(), head.parameter("y").as_deref()), (Some("1,2"), Some("a b")));
        assert_eq!((head.cookie("b"), head.cookie("c")), (Some("2"), None));
        assert_eq!(head.media_type().as_deref(), Some("application/json"));
        assert!(!head.keep_alive);
        assert_eq!(percent_decoded(b"100%"), "100%");
    }

    #[test]
    fn codings_are_undone_up_to_the_limit() {
        let zstd = zstd::encode_all(&[b'a'; 1_000][..], 1).unwrap();
        assert_eq!(Coding::Zstd.undo(&zstd, 5_000).unwrap().len(), 1_000);
        assert_eq!(Coding::Zstd.undo(&zstd, 10).unwrap().len(), 11);
        assert!(Coding::Zstd.undo(&zstd[..zstd.len() - 1], 5_000).is_err());
        assert!(Coding::Gzip.undo(b"not gzip", 5_000).is_err());
        assert_eq!(Coding::parse("br"), None);
    }
}
