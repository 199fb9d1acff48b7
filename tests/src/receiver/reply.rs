//! A reply as bytes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a receiver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers beside those that frame the body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// The two forms of `Retry-After` (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds from now.
    Seconds(u32),
    /// A date this long from now.
    Date(Duration),
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: impl Into<String>) -> Reply {
        Reply { status, headers: vec![("Content-Type".to_owned(), "application/json".to_owned())], body: body.into() }
    }

    /// An answer in plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Reply {
        Reply { status, headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())], body: body.into() }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: String::new() }
    }

    /// The same with one more header.
    pub fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a `Retry-After`, where there is one.
    pub fn retry_after(self, wait: Option<RetryAfter>) -> Reply {
        match wait {
            None => self,
            Some(wait) => self.with("Retry-After", &wait.text()),
        }
    }

    /// The whole reply as bytes.
    pub(super) fn to_bytes(&self, keep_alive: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !keep_alive {
            head.push_str("Connection: close\r\n");
        }
        // RFC 9110 section 8.6: a 204 has no Content-Length.
        if self.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.push_str(&self.body);
        head.into_bytes()
    }
}

impl RetryAfter {
    fn text(self) -> String {
        match self {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Date(from_now) => http_date(SystemTime::now() + from_now),
        }
    }
}

/// The preferred date format (RFC 9110 section 5.6.7), cut to whole seconds.
fn http_date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
    let stamp = jiff::Timestamp::from_second(i64::try_from(seconds).expect("this century")).expect("this century");
    stamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        500 => "Internal Server Error",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_written() {
        assert_eq!(RetryAfter::Seconds(7).text(), "7");
        assert_eq!(http_date(UNIX_EPOCH + Duration::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_204_has_no_length_and_the_others_have_one() {
        assert_eq!(Reply::empty(204).to_bytes(true), b"HTTP/1.1 204 No Content\r\n\r\n");
        let closing = Reply::text(413, "no").to_bytes(false);
        let expected = "HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(String::from_utf8(closing).unwrap(), expected);
    }
}
