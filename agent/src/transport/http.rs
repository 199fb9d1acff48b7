//! One HTTP/1.1 exchange: a request goes out, its reply comes in.
//!
//! The reply is watched for while the request is still being written, because a server that refuses early (401, 413)
//! answers and closes without reading on; that answer must not be lost to the broken pipe it causes. Redirects are
//! replies like any other.

use std::io;
use std::iter;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::AsyncRead;
use futures_lite::future::poll_fn;
use scaidrive_codecs::http::{HttpError, Progress, Reply, ReplyReader};

use crate::runtime::Runtime;
use crate::time::Millis;
use crate::transport::connect::within;
use crate::transport::gather::Gather;
use crate::transport::{Connection, FailureKind, Stage, TransportError, kind_of, tls};

/// Sends `head` and `slices`, whose length the head has stated, and reads the reply to its end.
///
/// At most `max_reply_body` bytes of the reply's body are kept. `timeout` is for all of it. The connection may be used
/// for another request only after `Ok` with `keep_alive`; a reply that came before the request was all sent never says
/// so.
///
/// # Errors
/// At the stage `Write` when not all was sent, else at `Reply` with `outcome_unknown`.
pub async fn exchange<'a>(
    runtime: &Rc<dyn Runtime>,
    connection: &mut Connection,
    head: &'a [u8],
    slices: impl Iterator<Item = &'a [u8]>,
    timeout: Millis,
    max_reply_body: usize,
) -> Result<Reply, TransportError> {
    let mut exchange = Exchange {
        gather: Gather::new(iter::once(head).chain(slices)),
        write_error: None,
        reader: ReplyReader::new(max_reply_body),
        block: vec![0; READ_BLOCK].into_boxed_slice(),
    };
    let deadline = runtime.now().plus(timeout);
    let work = async { Ok(poll_fn(|cx| exchange.poll(connection, cx)).await) };
    let outcome = within(runtime, deadline, work, || ()).await;
    match outcome {
        Ok(outcome) => outcome,
        Err(()) => Err(exchange.too_late(timeout)),
    }
}

struct Exchange<'a, S> {
    gather: Gather<'a, S>,
    /// Set when nothing more can be written; a reply may still be there to read.
    write_error: Option<io::Error>,
    reader: ReplyReader,
    block: Box<[u8]>,
}

impl<'a, S: Iterator<Item = &'a [u8]>> Exchange<'a, S> {
    fn poll(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<Reply, TransportError>> {
        if !self.gather.is_done()
            && self.write_error.is_none()
            && let Poll::Ready(Err(error)) = self.gather.poll_all(connection, cx)
        {
            if kind_of(&error) == FailureKind::BadMapping {
                return Poll::Ready(Err(self.failed(Some(error))));
            }
            self.write_error = Some(error);
        }
        loop {
            return match Pin::new(&mut *connection).poll_read(cx, &mut self.block) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(self.failed(Some(error)))),
                Poll::Ready(Ok(0)) => Poll::Ready(self.closed()),
                Poll::Ready(Ok(size)) => match self.reader.push(&self.block[..size]) {
                    Ok(Progress::More) => continue,
                    Ok(Progress::Done { message, .. }) => Poll::Ready(Ok(self.accept(message))),
                    Err(error) => Poll::Ready(Err(self.nonsense(&error))),
                },
            };
        }
    }

    fn accept(&self, mut reply: Reply) -> Reply {
        reply.keep_alive &= self.gather.is_done();
        reply
    }

    fn closed(&mut self) -> Result<Reply, TransportError> {
        match self.reader.closed() {
            Ok(reply) => Ok(self.accept(reply)),
            Err(_) if self.write_error.is_some() => Err(self.failed(None)),
            Err(error) => Err(TransportError { kind: FailureKind::Closed, ..self.nonsense(&error) }),
        }
    }

    /// The write's own error says more than what reading met after it.
    fn failed(&mut self, read_error: Option<io::Error>) -> TransportError {
        let error = self.write_error.take().or(read_error).unwrap_or_else(|| io::ErrorKind::ConnectionReset.into());
        let doing = match self.stage() {
            Stage::Write => "sending the request failed",
            _ => "waiting for the reply failed",
        };
        let error = match kind_of(&error) {
            FailureKind::Protocol => tls::in_plain_words("the server", &error, self.stage()),
            _ => TransportError::of_io(self.stage(), doing, &error),
        };
        TransportError { outcome_unknown: self.gather.is_done(), ..error }
    }

    fn nonsense(&self, error: &HttpError) -> TransportError {
        let what = match self.stage() {
            Stage::Write => format!("the request could not be sent whole: {error}"),
            _ => format!("no usable reply: {error}"),
        };
        TransportError { outcome_unknown: self.gather.is_done(), ..TransportError::new(self.stage(), FailureKind::Protocol, what) }
    }

    fn too_late(&self, timeout: Millis) -> TransportError {
        let what = match self.stage() {
            Stage::Write => format!("the request was not taken within {timeout} ({} bytes were)", self.gather.sent()),
            _ => format!("no reply within {timeout}"),
        };
        TransportError { outcome_unknown: self.gather.is_done(), ..TransportError::new(self.stage(), FailureKind::TimedOut, what) }
    }

    fn stage(&self) -> Stage {
        if self.gather.is_done() { Stage::Reply } else { Stage::Write }
    }
}

/// Bytes of a reply read at once.
const READ_BLOCK: usize = 8 * 1024;
