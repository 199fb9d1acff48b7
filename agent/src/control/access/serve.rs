//! Serving the address: a connection is spoken to as long as it says what it wants, and says it in time.
//!
//! A request's head has [`HEAD_MAX`] from when it could begin, so a connection that is kept open and unused ends with it too;
//! its body has a time of its own where it is read. A connection on which nothing moves at all ends by its [`Seated`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::seats::Seats;
use super::tls::TlsDoor;
#[cfg(doc)]
use crate::ingest::http::seats::Seated;

/// Who is at the other end of a connection to the address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves whoever takes a seat, behind TLS if there is a door for it, for as long as the runtime turns.
pub(in crate::control) async fn serve(mut seats: Seats, tls: Option<TlsDoor>, router: Router) {
    let tls = tls.map(Arc::new);
    loop {
        let (seated, peer) = seats.accept().await;
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            match tls {
                None => talk(seated, peer, router, HEAD_MAX).await,
                Some(tls) => {
                    if let Some(stream) = tls.open(seated).await {
                        talk(stream, peer, router, HEAD_MAX).await;
                    }
                }
            }
        });
    }
}

async fn talk<S>(stream: S, peer: SocketAddr, router: Router, head_max: Duration)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(Peer(peer)));
        router.clone().call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_max);
    // Whatever goes wrong on a connection ends it, and whoever is there knows.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// How long the head of a request may take.
const HEAD_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn talks(head_max: Duration) -> tokio::io::DuplexStream {
        let (ours, theirs) = duplex(1 << 12);
        let router =
            Router::new().route("/", get(|ConnectInfo(Peer(peer)): ConnectInfo<Peer>| async move { peer.to_string() }));
        tokio::spawn(talk(theirs, "192.0.2.1:7".parse().unwrap(), router, head_max));
        ours
    }

    #[tokio::test]
    async fn who_asks_is_answered_and_known_by_the_address() {
        let mut stream = talks(LONG);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("192.0.2.1:7"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_that_comes_byte_by_byte_is_not_waited_for_and_nor_is_one_that_never_begins() {
        let (mut slow, mut silent) = (talks(Duration::from_millis(100)), talks(Duration::from_millis(100)));
        let trickles = async {
            while slow.write_all(b"G").await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LONG, trickles).await.expect("the connection ends, however much of it moves");
        assert_eq!(timeout(LONG, silent.read(&mut [0])).await.unwrap().unwrap(), 0);
    }
}
