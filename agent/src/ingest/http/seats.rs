//! The HTTP connections: so many at most, and none that lies idle for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Most HTTP connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 128;

/// A connection on which nothing moved for so long is closed. Longer than any reply takes.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// How long to wait before accepting again after an error.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listener with a bounded number of seats.
pub(super) struct Seats {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender(pub(super) SocketAddr);

impl Seats {
    pub(super) fn new(listener: TcpListener) -> Seats {
        Seats { listener, free: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for Seats {
    type Io = Seated;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Seated, SocketAddr) {
        let seat = self.free.clone().acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return (Seated::new(stream, seat), address),
                // Out of descriptors, or the peer was gone already.
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Seats>> for Sender {
    fn connect_info(stream: IncomingStream<'_, Seats>) -> Sender {
        Sender(*stream.remote_addr())
    }
}

/// A connection that holds a seat and watches the time.
pub(crate) struct Seated<K = Option<OwnedSemaphorePermit>> {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    _seat: K,
}

impl<K> Seated<K> {
    pub(crate) fn new(stream: TcpStream, seat: K) -> Seated<K> {
        // Replies are small and wait for nothing; without it they may.
        let _ = stream.set_nodelay(true);
        Seated { stream, idle: Box::pin(tokio::time::sleep(IDLE_MAX)), _seat: seat }
    }

    /// The first byte that is to be read, which stays unread; `None` when there will be none.
    pub(crate) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        Ok((self.stream.peek(&mut first).await? > 0).then_some(first[0]))
    }

    /// What moved resets the clock; what waits looks at it.
    fn watch<T>(&mut self, moved: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
            return moved;
        }
        match self.idle.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<K: Unpin> AsyncRead for Seated<K> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(cx, into);
        self.watch(moved, cx)
    }
}

impl<K: Unpin> AsyncWrite for Seated<K> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(moved, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
