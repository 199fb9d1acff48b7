//! The admin socket: the same bounds as on the address, and the kernel says who calls.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ingest::unix::Socket;

/// A listener on the socket with a bounded number of seats.
pub(super) struct AdminSocket {
    socket: Socket,
    free: Arc<Semaphore>,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// The user.
    pub(super) uid: u32,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)
    }
}

impl AdminSocket {
    pub(super) fn new(socket: Socket) -> AdminSocket {
        AdminSocket { socket, free: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for AdminSocket {
    type Io = Seated;
    type Addr = Caller;

    async fn accept(&mut self) -> (Seated, Caller) {
        let seat = self.free.clone().acquire_owned().await.ok();
        loop {
            match self.socket.next().await {
                Ok(stream) => {
                    let uid = stream.peer_cred().map_or(u32::MAX, |peer| peer.uid());
                    return (Seated { stream, _seat: seat }, Caller { uid });
                }
                // Out of descriptors, most likely.
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Ok(Caller { uid: crate::sys::effective_uid() })
    }
}

impl Connected<IncomingStream<'_, AdminSocket>> for Caller {
    fn connect_info(stream: IncomingStream<'_, AdminSocket>) -> Caller {
        *stream.remote_addr()
    }
}

/// A connection that holds a seat.
pub(super) struct Seated {
    stream: UnixStream,
    _seat: Option<OwnedSemaphorePermit>,
}

impl tokio::io::AsyncRead for Seated {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl tokio::io::AsyncWrite for Seated {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Most callers at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 32;
/// How long to wait before accepting again after an error.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
