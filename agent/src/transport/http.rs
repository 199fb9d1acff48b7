//! One HTTP/1.1 exchange: a request goes out, its reply comes in.
//!
//! The reply is watched for while the request is still being written, because a server that refuses early (401, 413)
//! answers and closes without reading on; that answer must not be lost to the broken pipe it causes. Redirects are
//! replies like any other.

use std::cell::RefCell;
use std::io;
use std::iter;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::AsyncRead;
use futures_lite::future::{or, poll_fn};
use scaidrive_codecs::http::{HttpError, Progress, Reply, ReplyReader};

use crate::alarm::Alarm;
use crate::runtime::Runtime;
use crate::time::Millis;
use crate::transport::gather::{Gather, Window};
use crate::transport::{Connection, FailureKind, Stage, TransportError, kind_of, tls};

/// What exchanges on one thread use one after another, so that one more allocates nothing: as many of each as were under
/// way at once, within bounds. A connection that waits holds nothing of it.
#[derive(Default)]
pub struct Exchanges {
    tools: RefCell<Vec<Tools>>,
    replies: RefCell<Vec<Reply>>,
}

/// What one exchange uses.
struct Tools {
    alarm: Alarm,
    reader: ReplyReader,
    window: Window,
}

/// One exchange by itself; see [`Exchanges::exchange`].
///
/// # Errors
/// As there.
pub async fn exchange<'a>(
    runtime: &Rc<dyn Runtime>,
    connection: &mut Connection,
    head: &'a [u8],
    slices: impl Iterator<Item = &'a [u8]>,
    timeout: Millis,
    max_reply_body: usize,
) -> Result<Reply, TransportError> {
    Exchanges::default().exchange(runtime, connection, head, slices, timeout, max_reply_body).await
}

impl Exchanges {
    /// Sends `head` and `slices`, whose length the head has stated, and reads the reply to its end.
    ///
    /// At most `max_reply_body` bytes of the reply's body are kept. `timeout` is for all of it. The connection may be used
    /// for another request only after `Ok` with `keep_alive`; a reply that came before the request was all sent never says
    /// so.
    ///
    /// # Errors
    /// At the stage `Write` when not all was sent, else at `Reply` with `outcome_unknown`.
    pub async fn exchange<'a>(
        &self,
        runtime: &Rc<dyn Runtime>,
        connection: &mut Connection,
        head: &'a [u8],
        slices: impl Iterator<Item = &'a [u8]>,
        timeout: Millis,
        max_reply_body: usize,
    ) -> Result<Reply, TransportError> {
        let Tools { mut alarm, mut reader, window } = self.tools(runtime);
        reader.begin(max_reply_body, self.replies.borrow_mut().pop().unwrap_or_default());
        let gather = Gather::with_window(iter::once(head).chain(slices), window);
        let mut exchange = Exchange { gather, write_error: None, reader };
        let deadline = runtime.now().plus(timeout);
        let work = async { Some(poll_fn(|cx| exchange.poll(connection, cx)).await) };
        let late = async {
            alarm.at(deadline).await;
            None
        };
        // The work first: what is done in time counts although the alarm rings too.
        let outcome = or(work, late).await.unwrap_or_else(|| Err(exchange.too_late(timeout)));
        let Exchange { gather, reader, .. } = exchange;
        let mut tools = self.tools.borrow_mut();
        if tools.len() < SPARE_MAX {
            tools.push(Tools { alarm, reader, window: gather.into_window() });
        }
        outcome
    }

    /// Takes back a reply that nobody needs any more.
    pub fn recycle(&self, reply: Reply) {
        let mut replies = self.replies.borrow_mut();
        if replies.len() < SPARE_MAX && reply.body.capacity() <= SPARE_BODY_MAX {
            replies.push(reply);
        }
    }

    fn tools(&self, runtime: &Rc<dyn Runtime>) -> Tools {
        let spare = self.tools.borrow_mut().pop();
        spare.unwrap_or_else(|| Tools { alarm: Alarm::new(runtime), reader: ReplyReader::new(0), window: Vec::new() })
    }
}

/// One exchange under way.
struct Exchange<'a, S> {
    gather: Gather<'a, S>,
    /// Set when nothing more can be written; a reply may still be there to read.
    write_error: Option<io::Error>,
    reader: ReplyReader,
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
        let mut block = [0; READ_BLOCK];
        loop {
            return match Pin::new(&mut *connection).poll_read(cx, &mut block) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(self.failed(Some(error)))),
                Poll::Ready(Ok(0)) => Poll::Ready(self.closed()),
                Poll::Ready(Ok(size)) => match self.reader.push(&block[..size]) {
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
        TransportError {
            outcome_unknown: self.gather.is_done(),
            ..TransportError::new(self.stage(), FailureKind::Protocol, what)
        }
    }

    fn too_late(&self, timeout: Millis) -> TransportError {
        let what = match self.stage() {
            Stage::Write => format!("the request was not taken within {timeout} ({} bytes were)", self.gather.sent()),
            _ => format!("no reply within {timeout}"),
        };
        TransportError {
            outcome_unknown: self.gather.is_done(),
            ..TransportError::new(self.stage(), FailureKind::TimedOut, what)
        }
    }

    fn stage(&self) -> Stage {
        if self.gather.is_done() { Stage::Reply } else { Stage::Write }
    }
}

/// Bytes of a reply read at once, on the stack.
const READ_BLOCK: usize = 4 * 1024;
/// Exchanges whose tools are kept, and replies.
const SPARE_MAX: usize = 8;
/// Replies are kept with a body of so many bytes at most.
const SPARE_BODY_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;
    use crate::runtime::tests::on_each_side;
    use crate::runtime::virtual_time::{Fault, World};
    use crate::transport::connect;
    use crate::transport::testbed::{Authority, endpoint, serve_once, serve_tls_once};
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use scaidrive_codecs::http::{RequestReader, write_head};
    use std::cell::{Cell, RefCell};
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::time::Duration;

    fn head(length: usize) -> Vec<u8> {
        let mut head = Vec::new();
        write_head(&mut head, "POST", "/services/collector/event", "localhost", [("X-Test", "1")], length as u64)
            .unwrap();
        head
    }

    async fn ask(
        runtime: &Rc<dyn Runtime>,
        connection: &mut Connection,
        body: &[u8],
        timeout: Millis,
    ) -> Result<Reply, TransportError> {
        exchange(runtime, connection, &head(body.len()), body.chunks(700), timeout, 4096).await
    }

    const PATIENT: Millis = Millis::from_secs(20);

    fn read_request(stream: &mut impl Read) -> Vec<u8> {
        let mut reader = RequestReader::new(64 << 20);
        let mut block = vec![0; 64 << 10];
        loop {
            let size = stream.read(&mut block).unwrap();
            assert!(size > 0, "the client closed in the middle of its request");
            if let Progress::Done { message, .. } = reader.push(&block[..size]).unwrap() {
                return message.body;
            }
        }
    }

    #[test]
    fn requests_follow_each_other_on_one_connection() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|mut socket| {
                for reply in [
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
                ] {
                    assert_eq!(read_request(&mut socket).len(), 2_000_000);
                    socket.write_all(reply.as_bytes()).unwrap();
                }
            });
            let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let body = vec![b'e'; 2_000_000];
            for (status, text, keep_alive) in [(200, "ok", true), (503, "abc", true), (200, "until the end", false)] {
                let reply = ask(&runtime, &mut connection, &body, PATIENT).await.unwrap();
                assert_eq!((reply.status, &reply.body[..], reply.keep_alive), (status, text.as_bytes(), keep_alive));
            }
            server.join().unwrap();
        });
    }

    #[test]
    fn an_early_refusal_is_read_although_the_body_is_not_taken() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|mut socket| {
                socket.read_exact(&mut [0; 100]).unwrap();
                socket.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").unwrap();
                socket.shutdown(Shutdown::Write).unwrap();
                // Held open, or the unread body would turn the answer into a reset.
                std::thread::sleep(Duration::from_millis(300));
            });
            let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let reply = ask(&runtime, &mut connection, &vec![b'e'; 32 << 20], PATIENT).await.unwrap();
            assert_eq!((reply.status, reply.keep_alive), (413, false));
            server.join().unwrap();
        });
    }

    #[test]
    fn a_connection_closed_without_a_reply_leaves_the_outcome_unknown() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|mut socket| drop(read_request(&mut socket)));
            let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let error = ask(&runtime, &mut connection, b"{}", PATIENT).await.unwrap_err();
            assert_eq!((error.stage, error.kind), (Stage::Reply, FailureKind::Closed));
            assert!(error.outcome_unknown && error.is_stale_connection(), "{error:?}");
            server.join().unwrap();
        });
    }

    #[test]
    fn a_connection_closed_in_the_middle_of_the_request_has_a_known_outcome() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|mut socket| socket.read_exact(&mut [0; 100]).unwrap());
            let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let error = ask(&runtime, &mut connection, &vec![b'e'; 32 << 20], PATIENT).await.unwrap_err();
            assert_eq!((error.stage, error.kind, error.outcome_unknown), (Stage::Write, FailureKind::Closed, false));
            server.join().unwrap();
        });
    }

    #[test]
    fn a_server_that_does_not_answer_or_does_not_read_is_given_up() {
        fn hold(socket: TcpStream) {
            std::thread::sleep(Duration::from_millis(700));
            drop(socket);
        }
        on_each_side(|runtime| async move {
            for (size, stage, unknown) in [(2, Stage::Reply, true), (32 << 20, Stage::Write, false)] {
                let (address, server) = serve_once(hold);
                let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
                let error = ask(&runtime, &mut connection, &vec![b'e'; size], Millis(300)).await.unwrap_err();
                assert_eq!((error.stage, error.kind, error.outcome_unknown), (stage, FailureKind::TimedOut, unknown));
                server.join().unwrap();
            }
        });
    }

    #[test]
    fn what_is_not_http_is_an_error_with_the_outcome_unknown() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|mut socket| {
                read_request(&mut socket);
                socket.write_all(b"220 mail.example.com ESMTP\r\n\r\n").unwrap();
            });
            let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let error = ask(&runtime, &mut connection, b"{}", PATIENT).await.unwrap_err();
            assert_eq!((error.stage, error.kind, error.outcome_unknown), (Stage::Reply, FailureKind::Protocol, true));
            server.join().unwrap();
        });
    }

    #[test]
    fn an_exchange_goes_through_tls() {
        on_each_side(|runtime| async move {
            let authority = Authority::new();
            let config = authority.server(&authority.issue("localhost", 2999), false, &rustls::version::TLS13);
            let (address, server) = serve_tls_once(config, |mut stream| {
                for _ in 0..2 {
                    assert_eq!(read_request(&mut stream).len(), 5_000_000);
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                }
            });
            let mut connection = connect(&runtime, &authority.endpoint(address)).await.unwrap();
            for _ in 0..2 {
                assert!(connection.is_reusable());
                let reply = ask(&runtime, &mut connection, &vec![b'e'; 5_000_000], PATIENT).await.unwrap();
                assert_eq!((reply.status, reply.keep_alive), (200, true));
            }
            server.join().unwrap();
        });
    }

    /// A server in a world, which counts the requests it has got whole.
    async fn count_requests(mut stream: Box<dyn Stream>, whole: Rc<Cell<u32>>) {
        let mut reader = RequestReader::new(1 << 20);
        let mut block = vec![0; 4096];
        while let Ok(size @ 1..) = stream.read(&mut block).await {
            let mut rest = &block[..size];
            while let Ok(Progress::Done { used, .. }) = reader.push(rest) {
                rest = &rest[used..];
                whole.set(whole.get() + 1);
                let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                if stream.write_all(reply).await.is_err() {
                    return;
                }
            }
        }
    }

    #[test]
    fn a_request_that_failed_with_a_known_outcome_was_never_got_whole() {
        let (mut known, mut unknown, mut answered) = (0, 0, 0);
        for seed in 0..300 {
            let address = "192.0.2.80:8088".parse().unwrap();
            let world = World::new(seed);
            let whole = Rc::new(Cell::new(0));
            let counted = Rc::clone(&whole);
            world.network().serve(address, move |stream| Box::pin(count_requests(stream, Rc::clone(&counted))));
            let (runtime, outcome) = (world.runtime("a"), Rc::new(RefCell::new(None)));
            let given = Rc::clone(&outcome);
            world.spawn(Box::pin(async move {
                let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
                let got = ask(&runtime, &mut connection, &vec![b'e'; 300_000], PATIENT).await;
                *given.borrow_mut() = Some(got);
            }));
            world.run_until(Millis(15 + world.roll(60)));
            match world.roll(3) {
                0 => world.network().set_fault(address, Fault::Silent),
                1 => world.network().set_fault(address, Fault::Swallows),
                _ => {
                    world.network().cut(address);
                }
            }
            world.run_until(Millis::from_secs(60));
            match outcome.take().expect("an exchange always ends") {
                Ok(reply) => {
                    answered += 1;
                    assert_eq!((reply.status, whole.get()), (200, 1), "seed {seed}");
                }
                Err(error) if error.outcome_unknown => unknown += 1,
                Err(error) => {
                    known += 1;
                    assert_eq!((whole.get(), error.stage), (0, Stage::Write), "seed {seed}: {error}");
                }
            }
        }
        assert!(known > 20 && unknown > 20 && answered > 20, "{known} {unknown} {answered}");
    }
}
