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
        connection.fail_after(user_timeout)?;
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
    /// When it had closed before, reset the connection, did not close in time, or closed without `close_notify` in
    /// TLS, which anyone on the way could fake: what it has not read is unknown.
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

/// What an error of the connection means; TLS may speak through it.
pub(super) fn ended_by(error: &io::Error, stage: Stage) -> TransportError {
    match kind_of(error) {
        FailureKind::Protocol => tls::in_plain_words("the receiver", error, stage),
        _ => TransportError::of_io(stage, "the connection to the receiver failed", error),
    }
}

/// Reads in one go before others get a turn.
const READS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tests::on_each_side;
    use crate::runtime::virtual_time::{Fault, World};
    use crate::transport::connect;
    use crate::transport::testbed::{Authority, endpoint, read_all, serve_once, serve_tls_once};
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::SocketAddr;
    use std::time::Duration;

    const PATIENT: Millis = Millis::from_secs(20);

    fn frames() -> Vec<Vec<u8>> {
        (0..20_000).map(|n| format!("29 <134>1 - h a - - - number {n:05}").into_bytes()).collect()
    }

    #[test]
    fn all_frames_arrive_and_a_good_end_is_known_as_one() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|mut socket| read_all(&mut socket).unwrap());
            let connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let mut syslog = SyslogConnection::new(connection, PATIENT).unwrap();
            let frames = frames();
            for batch in frames.chunks(3000) {
                let sent = syslog.write(&runtime, batch.iter().map(Vec::as_slice), PATIENT).await.unwrap();
                assert_eq!(sent, batch.concat().len() as u64);
            }
            syslog.finish(&runtime, PATIENT).await.unwrap();
            assert!(server.join().unwrap() == frames.concat());
        });
    }

    #[test]
    fn a_good_end_through_tls_says_goodbye() {
        on_each_side(|runtime| async move {
            let authority = Authority::new();
            let config = authority.server(&authority.issue("localhost", 2999), false, &rustls::version::TLS13);
            // Reading to the end fails in rustls when the end came without close_notify.
            let (address, server) = serve_tls_once(config, |mut stream| {
                let all = read_all(&mut stream).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
                all
            });
            let connection = connect(&runtime, &authority.endpoint(address)).await.unwrap();
            let mut syslog = SyslogConnection::new(connection, PATIENT).unwrap();
            let frames = frames();
            syslog.write(&runtime, frames.iter().map(Vec::as_slice), PATIENT).await.unwrap();
            syslog.finish(&runtime, PATIENT).await.unwrap();
            assert!(server.join().unwrap() == frames.concat());
        });
    }

    #[test]
    fn connectors_7_4_a_server_that_refuses_our_certificate_after_the_handshake_is_a_misconfiguration() {
        on_each_side(|runtime| async move {
            let authority = Authority::new();
            let config = authority.server(&authority.issue("localhost", 2999), true, &rustls::version::TLS13);
            let (address, server) = serve_tls_once(config, |mut stream| {
                assert!(stream.read(&mut [0; 1]).is_err(), "no certificate was shown");
                // Closing at once could turn the alert into a reset.
                let _ = read_all(&mut stream.sock);
            });
            let connection = connect(&runtime, &authority.endpoint(address)).await.unwrap();
            let mut syslog = SyslogConnection::new(connection, PATIENT).unwrap();
            let ended = syslog.closed().await;
            assert!(ended.is_misconfiguration() && ended.what.contains("set tls.cert_file"), "{ended:?}");
            drop(syslog);
            server.join().unwrap();
        });
    }

    #[test]
    fn an_end_through_tls_without_a_goodbye_could_be_anyones_and_does_not_count() {
        on_each_side(|runtime| async move {
            let authority = Authority::new();
            let config = authority.server(&authority.issue("localhost", 2999), false, &rustls::version::TLS13);
            let (address, server) = serve_tls_once(config, |mut stream| drop(read_all(&mut stream)));
            let connection = connect(&runtime, &authority.endpoint(address)).await.unwrap();
            let mut syslog = SyslogConnection::new(connection, PATIENT).unwrap();
            syslog.write(&runtime, [&b"frame"[..]].into_iter(), PATIENT).await.unwrap();
            let error = syslog.finish(&runtime, PATIENT).await.unwrap_err();
            assert_eq!(error.kind, FailureKind::Closed);
            assert!(error.what.contains("without a TLS close_notify"), "{error}");
            server.join().unwrap();
        });
    }

    #[test]
    fn lesson_38_a_receiver_that_closes_is_noticed_before_anything_is_written_to_it() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|mut socket| {
                socket.read_exact(&mut [0; 5]).unwrap();
            });
            let connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let mut syslog = SyslogConnection::new(connection, PATIENT).unwrap();
            syslog.write(&runtime, [&b"hello"[..]].into_iter(), PATIENT).await.unwrap();
            let ended = syslog.closed().await;
            assert_eq!(ended.kind, FailureKind::Closed, "{ended}");
            server.join().unwrap();
            let refused = syslog.write(&runtime, [&b"lost"[..]].into_iter(), PATIENT).await.unwrap_err();
            assert_eq!(refused, ended);
            assert!(syslog.finish(&runtime, PATIENT).await.is_err());
        });
    }

    #[test]
    fn connectors_7_4_a_receiver_that_takes_nothing_is_given_up() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|socket| {
                std::thread::sleep(Duration::from_millis(900));
                drop(socket);
            });
            let connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let mut syslog = SyslogConnection::new(connection, PATIENT).unwrap();
            let block = vec![b'x'; 32 << 20];
            let error = syslog.write(&runtime, block.chunks(1000), Millis(300)).await.unwrap_err();
            assert_eq!((error.stage, error.kind), (Stage::Write, FailureKind::TimedOut), "{error}");
            server.join().unwrap();
        });
    }

    /// Runs `client` against a receiver in a world, which `later` may disturb after one second.
    fn in_a_world<F: Future<Output = ()> + 'static>(
        seed: u64,
        client: impl FnOnce(Rc<dyn Runtime>, SyslogConnection) -> F + 'static,
        later: impl FnOnce(&World, SocketAddr),
    ) {
        let address: SocketAddr = "192.0.2.9:514".parse().unwrap();
        let world = World::new(seed);
        world.network().serve(address, |mut stream| {
            Box::pin(async move {
                let mut block = [0; 4096];
                while let Ok(1..) = futures_lite::AsyncReadExt::read(&mut stream, &mut block).await {}
            })
        });
        let (runtime, done) = (world.runtime("a"), Rc::new(Cell::new(false)));
        let ended = Rc::clone(&done);
        world.spawn(Box::pin(async move {
            let connection = connect(&runtime, &endpoint(address)).await.unwrap();
            client(Rc::clone(&runtime), SyslogConnection::new(connection, PATIENT).unwrap()).await;
            ended.set(true);
        }));
        world.run_until(Millis::from_secs(1));
        later(&world, address);
        world.run_until(Millis::from_secs(120));
        assert!(done.get(), "seed {seed}");
    }

    #[test]
    fn connectors_7_4_a_reset_is_seen_while_waiting() {
        for seed in 0..20 {
            in_a_world(
                seed,
                |runtime, mut syslog| async move {
                    let ended = syslog.closed().await;
                    assert_eq!((ended.kind, runtime.now()), (FailureKind::Closed, Millis::from_secs(1)));
                },
                |world, address| assert_eq!(world.network().cut(address), 1),
            );
        }
    }

    #[test]
    fn a_silent_receiver_does_not_count_as_a_good_end() {
        for seed in 0..20 {
            in_a_world(
                seed,
                |runtime, mut syslog| async move {
                    runtime.sleep(Millis::from_secs(2)).await;
                    syslog.write(&runtime, [&b"into the void"[..]].into_iter(), PATIENT).await.unwrap();
                    let error = syslog.finish(&runtime, Millis::from_secs(5)).await.unwrap_err();
                    assert_eq!((error.stage, error.kind), (Stage::Reply, FailureKind::TimedOut));
                },
                |world, address| world.network().set_fault(address, Fault::Silent),
            );
        }
    }
}
