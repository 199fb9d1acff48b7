//! A plain blocking HTTP/1.1 client for loopback: one request, one reply.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A reply, read to its end.
#[derive(Debug)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body: as long as `Content-Length` says, in chunks, or up to the end of the connection.
    pub body: Vec<u8>,
}

/// Longer than any wait the agent may impose; a reply that takes longer is a finding.
const REPLY_WITHIN: Duration = Duration::from_secs(60);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

impl HttpReply {
    /// The value of the header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Opens a connection for [`post`].
///
/// # Errors
/// When nobody listens there.
pub fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_WITHIN)?;
    stream.set_read_timeout(Some(REPLY_WITHIN))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// Fetches `path` on a connection of its own.
///
/// # Errors
/// When the server cannot be reached or closes inside the reply.
pub fn get(address: SocketAddr, path: &str) -> io::Result<HttpReply> {
    let mut stream = connect(address)?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes())?;
    read_reply(&mut stream)
}

/// Fetches `path` from whoever listens on the Unix socket `socket`.
///
/// # Errors
/// When nobody does, or closes inside the reply.
pub fn get_from_socket(socket: &Path, path: &str) -> io::Result<HttpReply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(REPLY_WITHIN))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    read_reply(&mut BufReader::new(stream))
}

/// Posts `body` on a connection of its own.
///
/// # Errors
/// When the server cannot be reached or closes inside the reply.
pub fn post_once(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<HttpReply> {
    post(&mut connect(address)?, address, path, headers, body)
}

/// Sends a request with any `method` and a `body`, which may be empty, on a connection of its own.
///
/// # Errors
/// When the server cannot be reached or closes inside the reply.
pub fn request_once(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<HttpReply> {
    exchange(&mut connect(address)?, &address.to_string(), method, path, headers, body)
}

/// Sends a request with any `method` and a `body` to the Unix socket at `socket`, on a connection of its own.
///
/// # Errors
/// When the server cannot be reached or closes inside the reply.
pub fn request_on_socket(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<HttpReply> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(REPLY_WITHIN))?;
    exchange(&mut BufReader::new(stream), "localhost", method, path, headers, body)
}

/// Sends a request with any `method` and a `body`, which may be empty, over a Unix socket, on a connection of its own.
///
/// # Errors
/// When the server cannot be reached or closes inside the reply.
pub fn over_socket(socket: &Path, method: &str, target: &str, body: &[u8]) -> io::Result<HttpReply> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(REPLY_WITHIN))?;
    let mut stream = BufReader::new(stream);
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes())?;
    stream.get_mut().write_all(body)?;
    read_reply(&mut stream)
}

/// Posts `body` on an open connection and reads the reply. A `Host` among `headers` replaces the plain one.
///
/// # Errors
/// When the connection fails before a whole reply.
pub fn post(
    stream: &mut BufReader<TcpStream>,
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<HttpReply> {
    exchange(stream, &address.to_string(), "POST", path, headers, body)
}

fn exchange<S: Read + Write>(
    stream: &mut BufReader<S>,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<HttpReply> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.get_mut().write_all(head.as_bytes())?;
    // An early refusal may close the sending side; the reply is still there to be read.
    let sent = stream.get_mut().write_all(body);
    match read_reply(stream) {
        Err(error) => Err(sent.err().unwrap_or(error)),
        reply => reply,
    }
}

/// Reads one reply.
///
/// # Errors
/// When the connection ends inside it.
pub fn read_reply(stream: &mut impl BufRead) -> io::Result<HttpReply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut slots);
    parsed.parse(&head).map_err(io::Error::other)?;
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let status = parsed.code.unwrap_or(0);
    let length =
        headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse::<usize>().ok());
    let mut body = Vec::new();
    match length {
        // RFC 9112 section 6.3: these have no body, whatever their head says.
        _ if matches!(parsed.code, Some(204 | 304)) => {}
        Some(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body)?;
        }
        None if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") => {
            read_chunks(stream, &mut body)?;
        }
        None => {
            stream.read_to_end(&mut body)?;
        }
    }
    Ok(HttpReply { status, headers, body })
}

/// Reads a body in chunks (RFC 9112, section 7.1), without trailers: our servers send none.
fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut size = String::new();
        stream.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim_end(), 16).map_err(io::Error::other)?;
        let start = body.len();
        // The line break behind each chunk, and behind the empty one at the end.
        body.resize(start + size + 2, 0);
        stream.read_exact(&mut body[start..])?;
        body.truncate(start + size);
        if size == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_in_chunks_is_put_together() {
        let mut text: &[u8] =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(read_reply(&mut text).unwrap().body, b"ab\r\n0123456789");
    }
}
