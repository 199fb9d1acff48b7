//! TLS on the address: a handshake before anything else is said.
//!
//! It has [`HANDSHAKE_MAX`] and holds a seat from its first byte, so connections that say nothing are bounded in number and
//! time. Who speaks plain HTTP is told so in plain HTTP. The certificate is read again when its files
//! change; one that can't be used is told of, and the one in use stays.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::ServerTls;
use crate::ingest::http::seats::Seated;
use crate::transport::{TlsError, TlsServer};
use crate::watch_files::WatchedFiles;

/// What whoever has a seat must get through.
pub(in crate::control) struct TlsDoor {
    acceptor: Shared,
}

impl TlsDoor {
    /// Reads the certificate and its key. Blocks on the disk.
    ///
    /// # Errors
    /// When the files can't be used.
    pub(in crate::control) fn new(files: ServerTls) -> Result<TlsDoor, TlsError> {
        // Looked at before they are read: a change in between is then seen the next time.
        let watched = WatchedFiles::new([files.cert_file.clone(), files.key_file.clone()]);
        let server = TlsServer::new(&files.cert_file, &files.key_file)?;
        let acceptor = Arc::new(Mutex::new(TlsAcceptor::from(server.config())));
        tokio::spawn(renew(Arc::clone(&acceptor), files, watched));
        Ok(TlsDoor { acceptor })
    }

    /// What is said behind the handshake, if they agree in time.
    pub(super) async fn open<K: Send + Unpin>(&self, seated: Seated<K>) -> Option<TlsStream<Seated<K>>> {
        self.open_within(seated, HANDSHAKE_MAX).await
    }

    async fn open_within<K: Send + Unpin>(
        &self,
        seated: Seated<K>,
        patience: Duration,
    ) -> Option<TlsStream<Seated<K>>> {
        let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone();
        timeout(patience, shake_hands(seated, acceptor)).await.ok()?.ok()
    }
}

type Shared = Arc<Mutex<TlsAcceptor>>;

async fn shake_hands<K: Send + Unpin>(
    mut seated: Seated<K>,
    acceptor: TlsAcceptor,
) -> io::Result<TlsStream<Seated<K>>> {
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
        let door = TlsDoor::new(ServerTls { cert_file: certificate, key_file: key }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(door.open_within(Seated::new(stream, ()), Duration::from_millis(20)).await.is_none());
        });
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    }
}
