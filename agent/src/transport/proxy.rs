//! Through an HTTP proxy: `CONNECT`, then the connection is as if it had been made directly (RFC 9110, section 9.3.6).

use std::fmt;
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use scaidrive_codecs::http::{Progress, Reply, ReplyReader, USER_AGENT};

use crate::runtime::{Runtime, Stream};
use crate::time::Millis;
use crate::transport::connect::within;
use crate::transport::{Endpoint, FailureKind, Stage, TransportError};

/// A proxy, and what lets us through. `Debug` and `Display` show where it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// A name or an address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The value of `Proxy-Authorization`, if it wants one.
    pub authorization: Option<String>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Asks the proxy at the other end of `stream` for a way to `endpoint`.
///
/// # Errors
/// At the stage `Proxy`: what the proxy answered, or that it did not.
pub(super) async fn tunnel(
    runtime: &Rc<dyn Runtime>,
    mut stream: Box<dyn Stream>,
    proxy: &Proxy,
    endpoint: &Endpoint,
    deadline: Millis,
) -> Result<Box<dyn Stream>, TransportError> {
    let host = if endpoint.host.contains(':') && !endpoint.host.starts_with('[') {
        format!("[{}]", endpoint.host)
    } else {
        endpoint.host.clone()
    };
    let target = format!("{host}:{}", endpoint.port);
    let authorization =
        proxy.authorization.as_ref().map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"));
    let head =
        format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n{authorization}\r\n");
    let what = format!("the proxy {proxy} did not lead to {target}");
    let asked = async {
        let failed = |error| TransportError::of_io(Stage::Proxy, &what, &error);
        stream.write_all(head.as_bytes()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        read_reply(&mut stream, &what).await
    };
    let late = || TransportError::new(Stage::Proxy, FailureKind::TimedOut, format!("{what}: no answer in time"));
    let reply = within(runtime, deadline, asked, late).await?;
    let kind = match reply.status {
        200..300 => return Ok(stream),
        407 => FailureKind::Credentials,
        403 | 405 => FailureKind::Refused,
        _ => FailureKind::Unreachable,
    };
    Err(TransportError::new(Stage::Proxy, kind, format!("{what}: it answers HTTP {}", reply.status)))
}

/// The reply to a `CONNECT` has no body, whatever it says; what follows its head is the tunnel.
async fn read_reply(stream: &mut Box<dyn Stream>, what: &str) -> Result<Reply, TransportError> {
    let mut reader = ReplyReader::for_head_requests();
    let mut block = [0; 1024];
    loop {
        let size = stream.read(&mut block).await.map_err(|error| TransportError::of_io(Stage::Proxy, what, &error))?;
        if size == 0 {
            return Err(TransportError::new(Stage::Proxy, FailureKind::Closed, format!("{what}: it closed")));
        }
        match reader.push(&block[..size]) {
            Ok(Progress::More) => {}
            // A destination that speaks before it is spoken to is none that this agent knows.
            Ok(Progress::Done { message, used }) if used == size || message.status >= 300 => return Ok(message),
            Ok(Progress::Done { .. }) => {
                let what = format!("{what}: something speaks through it unasked");
                return Err(TransportError::new(Stage::Proxy, FailureKind::Protocol, what));
            }
            Err(error) => {
                return Err(TransportError::new(Stage::Proxy, FailureKind::Protocol, format!("{what}: {error}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tests::on_each_side;
    use crate::transport::connect;
    use crate::transport::testbed::{endpoint, read_all, serve_once};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::Arc;

    fn read_head(socket: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn a_tunnel_is_asked_for_with_credentials_and_then_carries_bytes() {
        on_each_side(|runtime| async move {
            let (address, proxy) = serve_once(|mut socket| {
                let head = read_head(&mut socket);
                socket.write_all(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n").unwrap();
                (head, read_all(&mut socket).unwrap())
            });
            let through = Proxy {
                host: address.ip().to_string(),
                port: address.port(),
                authorization: Some("Basic dTpw".into()),
            };
            assert!(!format!("{through:?} {through}").contains("dTpw"));
            let behind = Endpoint {
                host: "siem.example.com".into(),
                port: 8088,
                proxy: Some(Arc::new(through)),
                ..endpoint(address)
            };
            let mut connection = connect(&runtime, &behind).await.unwrap();
            connection.write_all(b"hello").await.unwrap();
            connection.close().await.unwrap();
            let (head, said) = proxy.join().unwrap();
            assert!(
                head.starts_with("CONNECT siem.example.com:8088 HTTP/1.1\r\nHost: siem.example.com:8088\r\n"),
                "{head}"
            );
            assert!(head.contains("\r\nProxy-Authorization: Basic dTpw\r\n"), "{head}");
            assert_eq!(said, b"hello");
        });
    }

    #[test]
    fn what_a_proxy_answers_is_told_apart() {
        on_each_side(|runtime| async move {
            for (status, kind) in
                [(407, FailureKind::Credentials), (403, FailureKind::Refused), (502, FailureKind::Unreachable)]
            {
                let (address, proxy) = serve_once(move |mut socket| {
                    read_head(&mut socket);
                    write!(socket, "HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno").unwrap();
                });
                let through = Proxy { host: address.ip().to_string(), port: address.port(), authorization: None };
                let behind = Endpoint { proxy: Some(Arc::new(through)), ..endpoint(address) };
                let error = connect(&runtime, &behind).await.err().unwrap();
                assert_eq!((error.stage, error.kind), (Stage::Proxy, kind), "{error}");
                assert!(error.to_string().contains(&status.to_string()), "{error}");
                proxy.join().unwrap();
            }
        });
    }
}
