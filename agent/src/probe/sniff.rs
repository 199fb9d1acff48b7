//! Who is at the other end, by the first bytes that come back: most protocols say what they are.

/// A protocol that is known by how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// HTTP/1 (RFC 9112, section 4).
    Http,
    /// HTTP/2: a SETTINGS frame (RFC 9113, section 3.4).
    Http2,
    /// TLS: a record of an alert or a handshake (RFC 8446, section 5.1).
    Tls,
    /// SSH (RFC 4253, section 4.2).
    Ssh,
    /// SMTP (RFC 5321, section 4.2).
    Smtp,
    /// FTP (RFC 959, section 4.2).
    Ftp,
    /// Redis: an error, the one answer to what is no command of it.
    Redis,
    /// MySQL and MariaDB: the first packet of the server, protocol version 10.
    MySql,
    /// RELP: an answer, by its number and command.
    Relp,
    /// The port by which nodes of Elasticsearch speak to each other says so in words.
    ElasticNode,
}

impl Speech {
    /// Who begins so, if anybody is known to.
    pub(super) fn of(first: &[u8]) -> Option<Speech> {
        let text = String::from_utf8_lossy(&first[..first.len().min(TEXT_MAX)]);
        match first {
            _ if first.starts_with(b"HTTP/1.") || first.starts_with(b"HTTP/0.9") => Some(Speech::Http),
            [0x14..=0x17, 3, 0..=4, ..] => Some(Speech::Tls),
            [0, _, _, 4, 0 | 1, 0, 0, 0, 0, ..] => Some(Speech::Http2),
            [_, _, _, 0, 10, b'0'..=b'9', ..] => Some(Speech::MySql),
            _ if first.starts_with(b"SSH-") => Some(Speech::Ssh),
            _ if text.starts_with("This is not an HTTP port") => Some(Speech::ElasticNode),
            _ if text.starts_with("-ERR ") || text.starts_with("-NOAUTH ") || text.starts_with("-DENIED ") => {
                Some(Speech::Redis)
            }
            _ if text.starts_with("220") => Some(if is_mail(&text) { Speech::Smtp } else { Speech::Ftp }),
            _ if text.starts_with("554 ") || text.starts_with("421 ") => Some(Speech::Smtp),
            _ if is_relp(&text) => Some(Speech::Relp),
            _ => None,
        }
    }
}

/// Both greet with 220; a mail server names ESMTP or SMTP.
fn is_mail(greeting: &str) -> bool {
    let greeting = greeting.to_ascii_uppercase();
    greeting.contains("SMTP") || greeting.contains("POSTFIX") || greeting.contains("EXIM") || greeting.contains("MAIL")
}

fn is_relp(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < text.len() && (rest.starts_with(" rsp ") || rest.starts_with(" serverclose "))
}

/// A greeting is a line.
const TEXT_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_known_by_their_first_bytes() {
        for (first, speech) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Speech::Http),
            (b"\x15\x03\x03\x00\x02\x02\x46", Speech::Tls),
            (b"\x16\x03\x01\x02\x00", Speech::Tls),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", Speech::Http2),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Speech::Ssh),
            (b"220 mx.example.com ESMTP Postfix\r\n", Speech::Smtp),
            (b"220 (vsFTPd 3.0.5)\r\n", Speech::Ftp),
            (b"-ERR unknown command `POST`\r\n", Speech::Redis),
            (b"\x4a\x00\x00\x00\x0a8.0.36\x00", Speech::MySql),
            (b"1 rsp 6 200 OK\n", Speech::Relp),
            (b"0 serverclose 0\n", Speech::Relp),
            (b"This is not an HTTP port", Speech::ElasticNode),
        ] {
            assert_eq!(Speech::of(first), Some(speech), "{first:?}");
        }
        for first in [&b""[..], b"\x00", b"hello", b"1 ", b"12", b"\xff\xfe\xfd", b"{\"text\":\"Success\"}"] {
            assert_eq!(Speech::of(first), None, "{first:?}");
        }
    }
}
