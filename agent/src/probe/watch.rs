//! A runtime that looks on: everything goes the way it goes without it, and what a test has to tell of that is kept.
//!
//! Events take the same way: the transports get this runtime in place of the shard's and do not know.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};

use crate::runtime::{Overlay, Pending, Runtime, Stream};

/// What was seen of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// What the name led to.
    pub(super) addresses: Vec<SocketAddr>,
    /// Where the connection was made.
    pub(super) connected: Option<SocketAddr>,
    /// What the system said where none was made.
    pub(super) refusal: Option<io::ErrorKind>,
    /// What the resolver said where there was no address.
    pub(super) look_up: Option<String>,
    /// The first bytes that came back, as they were on the wire.
    pub(super) first: Vec<u8>,
}

/// See the module.
pub(super) struct Watch {
    inner: Rc<dyn Runtime>,
    seen: Rc<RefCell<Seen>>,
}

impl Watch {
    /// Looks on at `inner`.
    pub(super) fn new(inner: &Rc<dyn Runtime>) -> Rc<Watch> {
        Rc::new(Watch { inner: Rc::clone(inner), seen: Rc::default() })
    }

    /// What was seen since it was last forgotten.
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// The bytes that came back so far were somebody else's: a proxy's.
    pub(super) fn forget_bytes(&self) {
        self.seen.borrow_mut().first.clear();
    }
}

impl Overlay for Watch {
    fn under(&self) -> &dyn Runtime {
        &*self.inner
    }

    fn resolve(&self, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
        let (found, seen) = (self.inner.resolve(host, port), Rc::clone(&self.seen));
        Box::pin(async move {
            let found = found.await;
            let mut seen = seen.borrow_mut();
            match &found {
                Ok(addresses) => seen.addresses.clone_from(addresses),
                Err(error) => seen.look_up = Some(error.to_string()),
            }
            found
        })
    }

    fn connect(&self, address: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>> {
        let (connected, seen) = (self.inner.connect(address), Rc::clone(&self.seen));
        Box::pin(async move {
            match connected.await {
                Ok(inner) => {
                    {
                        let mut seen = seen.borrow_mut();
                        seen.connected = Some(address);
                        seen.first.clear();
                    }
                    Ok(Box::new(Heard { inner, seen }) as Box<dyn Stream>)
                }
                Err(error) => {
                    seen.borrow_mut().refusal = Some(error.kind());
                    Err(error)
                }
            }
        })
    }
}

/// A stream whose first bytes are kept.
struct Heard {
    inner: Box<dyn Stream>,
    seen: Rc<RefCell<Seen>>,
}

impl Stream for Heard {
    fn raw_fd(&self) -> Option<RawFd> {
        self.inner.raw_fd()
    }
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let size = ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let mut seen = self.seen.borrow_mut();
        let room = FIRST_MAX - seen.first.len();
        seen.first.extend_from_slice(&buf[..size.min(room)]);
        Poll::Ready(Ok(size))
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// So much of what comes back is kept, in bytes: a greeting, or the first line of an answer.
const FIRST_MAX: usize = 512;
