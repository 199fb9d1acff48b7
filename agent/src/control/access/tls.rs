//! TLS on the address: the same seats, with a handshake before anybody sits.
//!
//! A handshake has [`HANDSHAKE_MAX`] and holds a seat from its first byte, so connections that say nothing are bounded
//! in number and time. Who speaks plain HTTP is told so in plain HTTP. The certificate is read again when its files
//! change; one that can't be used is told of, and the one in use stays.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::ServerTls;
use crate::ingest::http::seats::{Seated, Seats};
use crate::transport::{TlsError, TlsServer};
use crate::watch_files::WatchedFiles;

/// Who is at the other end of a connection to the address.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Peer(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Seats>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Seats>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsSeats>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsSeats>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

/// A listener whose connections have agreed on TLS.
pub(in crate::control) struct TlsSeats {
    agreed: mpsc::Receiver<(TlsStream<Seated>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsSeats {
    /// Reads the certificate and its key, and begins to shake hands with whoever takes a seat. Blocks on the disk.
    ///
    /// # Errors
    /// When the files can't be used.
    pub(in crate::control) fn new(seats: Seats, address: SocketAddr, files: ServerTls) -> Result<TlsSeats, TlsError> {
        // Looked at before they are read: a change in between is then seen the next time.
        let watched = WatchedFiles::new([files.cert_file.clone(), files.key_file.clone()]);
        let server = TlsServer::new(&files.cert_file, &files.key_file)?;
        let acceptor = Arc::new(Mutex::new(TlsAcceptor::from(server.config())));
        let (agree, agreed) = mpsc::channel(AGREED_MAX);
        tokio::spawn(renew(Arc::clone(&acceptor), files, watched));
        tokio::spawn(welcome(seats, acceptor, agree, HANDSHAKE_MAX));
        Ok(TlsSeats { agreed, address })
    }
}

impl Listener for TlsSeats {
    type Io = TlsStream<Seated>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TlsStream<Seated>, SocketAddr) {
        match self.agreed.recv().await {
            Some(agreed) => agreed,
            // The welcoming task never ends while the runtime turns.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

type Shared = Arc<Mutex<TlsAcceptor>>;

/// Shakes hands with everybody who takes a seat, each within `patience`; the seats bound how many that are.
async fn welcome(
    mut seats: Seats,
    acceptor: Shared,
    agree: mpsc::Sender<(TlsStream<Seated>, SocketAddr)>,
    patience: Duration,
) {
    loop {
        let (seated, peer) = seats.accept().await;
        let acceptor = acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let agree = agree.clone();
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = timeout(patience, shake_hands(seated, acceptor)).await {
                // The other end is there for as long as the address is.
                let _ = agree.send((stream, peer)).await;
            }
        });
    }
}

async fn shake_hands(mut seated: Seated, acceptor: TlsAcceptor) -> io::Result<TlsStream<Seated>> {
    if seated.first_byte().await?.is_some_and(|byte| byte != HANDSHAKE) {
        // What is unread when a connection closes would reset it, and the answer would be lost.
        let mut unread = [0; PLAIN_HEAD_MAX];
        let _ = seated.read(&mut unread).await?;
        seated.write_all(PLAIN_ANSWER).await?;
        seated.shutdown().await?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    acceptor.accept(seated).await
}

/// Takes another certificate over when the files have changed.
async fn renew(acceptor: Shared, files: ServerTls, mut watched: WatchedFiles) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let files = files.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let read = watched.have_changed().then(|| TlsServer::new(&files.cert_file, &files.key_file));
            (watched, read)
        });
        let Ok((again, read)) = looked.await else { return };
        watched = again;
        match read {
            None => {}
            Some(Ok(server)) => {
                *acceptor.lock().unwrap_or_else(PoisonError::into_inner) = TlsAcceptor::from(server.config());
                tracing::info!("the address shows the certificate that was read again");
            }
            Some(Err(problem)) => tracing::error!(
                "the certificate of the address can't be used, and the one before it stays: {}: {}; {}",
                problem.place,
                problem.what,
                problem.advice
            ),
        }
    }
}

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections that have agreed and wait to be served; the others wait for them.
const AGREED_MAX: usize = 16;
/// How often the certificate's files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How a TLS connection begins (RFC 8446, section 5.1: a record of the type handshake).
const HANDSHAKE: u8 = 22;
/// Bytes of a plain request that are read before it is answered.
const PLAIN_HEAD_MAX: usize = 4 << 10;
const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 38\r\nConnection: close\r\n\r\nThis address speaks TLS: use https://\n";

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_answer_in_plain_http_is_as_long_as_it_says() {
        let text = String::from_utf8(PLAIN_ANSWER.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{text}");
    }

    #[tokio::test]
    async fn who_says_nothing_loses_the_seat() {
        let directory = tempfile::tempdir().unwrap();
        let [certificate, key] = ["server.pem", "server.key"].map(|name| directory.path().join(name));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let server = TlsServer::new(&certificate, &key).unwrap();
        let acceptor = Arc::new(Mutex::new(TlsAcceptor::from(server.config())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (agree, _agreed) = mpsc::channel(1);
        tokio::spawn(welcome(Seats::new(listener), acceptor, agree, Duration::from_millis(20)));
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    }
}
