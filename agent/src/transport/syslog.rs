//! Syslog over TCP and TLS, from the sender's side (RFC 6587, RFC 5425): frames go out, nothing comes back.
//!
//! All a sender can learn is that the connection ended, so the read side is watched whenever anything is awaited here:
//! what is written after the receiver's FIN is lost without an error (lesson 38). What the receiver sends is dropped.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future::{self, poll_fn};

use crate::runtime::Runtime;
use crate::sys;
use crate::time::Millis;
use crate::transport::connect::within;
use crate::transport::gather::Gather;
use crate::transport::{Connection, FailureKind, Stage, TransportError, kind_of, tls};

/// A connection that frames are written to.
pub struct SyslogConnection {
    connection: Connection,
    /// What ended it, once something has.
    ended: Option<TransportError>,
}

impl SyslogConnection {
    /// Takes over a fresh connection. When the peer's kernel acknowledges nothing for `user_timeout` it is given up.
    ///
    /// # Errors
    /// When the socket option cannot be set.
    pub fn new(connection: Connection, user_timeout: Millis) -> Result<SyslogConnection, TransportError> {
        if let Some(socket) = connection.raw_fd() {
            sys::set_user_timeout(socket, user_timeout)
                .map_err(|error| TransportError::of_io(Stage::Connect, "cannot set TCP_USER_TIMEOUT", &error))?;
        }
        Ok(SyslogConnection { connection, ended: None })
    }

    /// Writes whole frames. Returns how many bytes that were; the kernel has them, no more is known.
    ///
    /// # Errors
    /// When the receiver closed or reset the connection, or took nothing for `stall_timeout`. Some of the bytes may
    /// have gone out; the connection is of no more use.
    pub async fn write<'a>(
        &mut self,
        runtime: &Rc<dyn Runtime>,
        slices: impl Iterator<Item = &'a [u8]>,
        stall_timeout: Millis,
    ) -> Result<u64, TransportError> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let mut gather = Gather::new(slices);
        let outcome = self.write_all(runtime, &mut gather, stall_timeout).await;
        match outcome {
            Ok(()) => Ok(gather.sent()),
            Err(error) => {
                self.ended = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn write_all<'a, S: Iterator<Item = &'a [u8]>>(
        &mut self,
        runtime: &Rc<dyn Runtime>,
        gather: &mut Gather<'a, S>,
        stall_timeout: Millis,
    ) -> Result<(), TransportError> {
        loop {
            let before = gather.sent();
            let work = poll_fn(|cx| {
                // First the read side: after a FIN nothing may be written any more.
                if let Poll::Ready(ended) = poll_ended(&mut self.connection, cx) {
                    return Poll::Ready(Err(ended));
                }
                let written = ready!(gather.poll_all(&mut self.connection, cx));
                Poll::Ready(written.map_err(|error| ended_by(&error, Stage::Write)))
            });
            let deadline = runtime.now().plus(stall_timeout);
            let late = || {
                let what = format!("the receiver takes nothing: a write was blocked for {stall_timeout}");
                TransportError::new(Stage::Write, FailureKind::TimedOut, what)
            };
            match within(runtime, deadline, work, late).await {
                // Slow is not stalled: what moved within the time gets another such time.
                Err(error) if error.kind == FailureKind::TimedOut && gather.sent() > before => {}
                outcome => return outcome,
            }
        }
    }

    /// Resolves when the receiver closes or resets the connection. Await it whenever there is nothing to write.
    pub async fn closed(&mut self) -> TransportError {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let ended = poll_fn(|cx| poll_ended(&mut self.connection, cx)).await;
        self.ended.insert(ended).clone()
    }

    /// Ends the connection in good order: our direction is closed (with `close_notify` in TLS), then the receiver's FIN
    /// is awaited for at most `wait`. `Ok` means that the receiver closed after reading all there was.
    ///
    /// # Errors
    /// When it had closed before, reset the connection, or did not close in time: what it has not read is unknown.
    pub async fn finish(mut self, runtime: &Rc<dyn Runtime>, wait: Millis) -> Result<(), TransportError> {
        let already = future::poll_once(self.closed()).await;
        if let Some(ended) = already {
            return Err(ended);
        }
        let connection = &mut self.connection;
        let goodbye = async {
            poll_fn(|cx| Pin::new(&mut *connection).poll_close(cx))
                .await
                .map_err(|error| ended_by(&error, Stage::Write))?;
            poll_fn(|cx| poll_fin(connection, cx)).await.map_err(|error| ended_by(&error, Stage::Reply))
        };
        let late = || {
            let what = format!("the receiver did not close its side within {wait}");
            TransportError::new(Stage::Reply, FailureKind::TimedOut, what)
        };
        within(runtime, runtime.now().plus(wait), goodbye, late).await
    }
}

/// Ready when the receiver has ended the connection.
fn poll_ended(connection: &mut Connection, cx: &mut Context<'_>) -> Poll<TransportError> {
    Poll::Ready(match ready!(poll_fin(connection, cx)) {
        Ok(()) => TransportError::new(Stage::Write, FailureKind::Closed, "the receiver closed the connection"),
        Err(error) => ended_by(&error, Stage::Write),
    })
}

/// Ready with `Ok` at the receiver's FIN. What it says before is read and dropped, a bounded part at a time.
fn poll_fin(connection: &mut Connection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut dropped = [0; 512];
    for _ in 0..READS_MAX {
        if ready!(Pin::new(&mut *connection).poll_read(cx, &mut dropped))? == 0 {
            return Poll::Ready(Ok(()));
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

fn ended_by(error: &io::Error, stage: Stage) -> TransportError {
    match kind_of(error) {
        FailureKind::Protocol => tls::in_plain_words("the receiver", error, stage),
        _ => TransportError::of_io(stage, "the connection to the receiver failed", error),
    }
}

/// Reads in one go before others get a turn.
const READS_MAX: usize = 16;
