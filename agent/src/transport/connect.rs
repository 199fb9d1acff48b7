//! From a name to a connection: look-up, TCP, TLS, all within one time limit.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};
use futures_lite::future;

use crate::runtime::{Runtime, Stream};
use crate::sys;
use crate::time::Millis;
use crate::transport::proxy::{Proxy, tunnel};
use crate::transport::race::connect_to_any;
use crate::transport::targets::{Targets, is_allowed, is_here};
use crate::transport::tls::{self, TlsClient, TlsStream};
use crate::transport::{FailureKind, Stage, TransportError};

/// Where to connect to and how long it may take.
#[derive(Clone)]
pub struct Endpoint {
    /// A name or an address; an IPv6 address with or without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How to speak TLS; plain when `None`.
    pub tls: Option<Arc<TlsClient>>,
    /// The HTTP proxy on the way, if there is one.
    pub proxy: Option<Arc<Proxy>>,
    /// Which addresses may be connected to.
    pub targets: Arc<Targets>,
    /// For look-up, connection and TLS together.
    pub connect_timeout: Millis,
    /// For a whole exchange, or for a blocked write.
    pub request_timeout: Millis,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A connection to an endpoint.
pub enum Connection {
    /// Bytes as they are.
    Plain(Box<dyn Stream>),
    /// Bytes through TLS.
    Tls(Box<TlsStream>),
}

/// Connects to `endpoint`, through its proxy if it has one. The name is looked up each time; of several addresses the
/// one that is connected first is used.
///
/// # Errors
/// At the stages `Resolve`, `Connect`, `Proxy` and `Tls`; the text names host, address and cause. For several addresses
/// it is the last one's error.
pub async fn connect(runtime: &Rc<dyn Runtime>, endpoint: &Endpoint) -> Result<Connection, TransportError> {
    connect_in_steps(runtime, endpoint, &mut |_| {}).await
}

/// The same, and `over` is told of each step that is behind.
///
/// # Errors
/// As [`connect`].
pub async fn connect_in_steps(
    runtime: &Rc<dyn Runtime>,
    endpoint: &Endpoint,
    over: &mut dyn FnMut(Stage),
) -> Result<Connection, TransportError> {
    let deadline = runtime.now().plus(endpoint.connect_timeout);
    let stream = match &endpoint.proxy {
        None => connect_plainly(runtime, endpoint, deadline, over).await?,
        Some(proxy) => {
            // A name is the proxy's to look up; an address is known here.
            if let Ok(ip) = endpoint.host.trim_matches(['[', ']']).parse() {
                permitted(endpoint, vec![SocketAddr::new(ip, endpoint.port)])?;
            }
            let first =
                Endpoint { host: proxy.host.clone(), port: proxy.port, tls: None, proxy: None, ..endpoint.clone() };
            let stream = connect_plainly(runtime, &first, deadline, over).await?;
            let stream = tunnel(runtime, stream, proxy, endpoint, deadline).await?;
            over(Stage::Proxy);
            stream
        }
    };
    let Some(client) = &endpoint.tls else { return Ok(Connection::Plain(stream)) };
    let late = || {
        TransportError::new(
            Stage::Tls,
            FailureKind::TimedOut,
            format!("{endpoint} did not finish the TLS handshake in time"),
        )
    };
    let stream = within(runtime, deadline, tls::shake_hands(client, &endpoint.host, stream), late).await?;
    over(Stage::Tls);
    Ok(Connection::Tls(Box::new(stream)))
}

async fn connect_plainly(
    runtime: &Rc<dyn Runtime>,
    endpoint: &Endpoint,
    deadline: Millis,
    over: &mut dyn FnMut(Stage),
) -> Result<Box<dyn Stream>, TransportError> {
    let addresses = look_up(runtime, endpoint, deadline).await?;
    over(Stage::Resolve);
    let stream = connect_to_any(runtime, endpoint, &addresses, deadline).await?;
    over(Stage::Connect);
    Ok(stream)
}

/// The addresses of `endpoint`, if they are known by `deadline`.
pub(super) async fn look_up(
    runtime: &Rc<dyn Runtime>,
    endpoint: &Endpoint,
    deadline: Millis,
) -> Result<Vec<SocketAddr>, TransportError> {
    let found = async {
        runtime.resolve(&endpoint.host, endpoint.port).await.map_err(|error| {
            let what = format!("cannot find the address of {}: {error}", endpoint.host);
            TransportError::new(Stage::Resolve, FailureKind::Unreachable, what)
        })
    };
    let late = || {
        let what = format!("no answer to the look-up of {}", endpoint.host);
        TransportError::new(Stage::Resolve, FailureKind::TimedOut, what)
    };
    permitted(endpoint, within(runtime, deadline, found, late).await?)
}

/// Those of the addresses that may be connected to.
fn permitted(endpoint: &Endpoint, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, TransportError> {
    let mut barred = None;
    addresses.retain(|address| {
        let outcome = is_allowed(address.ip(), address.port(), &endpoint.targets, is_here);
        let is_allowed = outcome.is_ok();
        barred = barred.or(outcome.err().map(|why| (*address, why)));
        is_allowed
    });
    match barred {
        Some((address, why)) if addresses.is_empty() => {
            // Where a name leads inside a network is nothing for those who may not go there.
            let at = if endpoint.targets.public_only { String::new() } else { format!(" ({address})") };
            let what = format!("{endpoint}{at} may not be connected to: {why}");
            Err(TransportError::new(Stage::Connect, FailureKind::Refused, what))
        }
        _ => Ok(addresses),
    }
}

/// The outcome of `work`, or `late()` when it is not there by `deadline`.
pub(super) async fn within<T, E>(
    runtime: &Rc<dyn Runtime>,
    deadline: Millis,
    work: impl Future<Output = Result<T, E>>,
    late: impl FnOnce() -> E,
) -> Result<T, E> {
    let timer = async {
        runtime.sleep(deadline.since(runtime.now())).await;
        None
    };
    // The work first: what is done in time counts although the timer is due too.
    match future::or(async { Some(work.await) }, timer).await {
        Some(outcome) => outcome,
        None => Err(late()),
    }
}

impl Connection {
    /// The socket under it, for options; none in the simulation.
    pub fn raw_fd(&self) -> Option<RawFd> {
        match self {
            Connection::Plain(stream) => stream.raw_fd(),
            Connection::Tls(stream) => tls::carrier(stream).raw_fd(),
        }
    }

    /// When the peer's kernel acknowledges nothing of what was written for `silence`, the connection fails.
    ///
    /// # Errors
    /// When the socket option cannot be set.
    pub(super) fn fail_after(&self, silence: Millis) -> Result<(), TransportError> {
        let Some(socket) = self.raw_fd() else { return Ok(()) };
        sys::set_user_timeout(socket, silence)
            .map_err(|error| TransportError::of_io(Stage::Connect, "cannot set TCP_USER_TIMEOUT", &error))
    }

    /// Whether a connection that waits for its next request is still fit for one: the other side has neither closed it
    /// nor said anything. Closing may be under way unseen, so a request can fail all the same.
    pub fn is_reusable(&mut self) -> bool {
        let mut byte = [0; 1];
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(self).poll_read(&mut context, &mut byte).is_pending()
    }

    /// The version of TLS that was agreed on, if there is any.
    pub fn tls_version(&self) -> Option<&'static str> {
        match self {
            Connection::Plain(_) => None,
            Connection::Tls(stream) => tls::version(stream),
        }
    }

    /// The certificates the other side showed, its own first, in DER; empty without TLS.
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        match self {
            Connection::Plain(_) => Vec::new(),
            Connection::Tls(stream) => tls::peer_certificates(stream),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Connection::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Connection::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Connection::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_close(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tests::on_each_side;
    use crate::runtime::virtual_time::{Fault, World};
    use crate::transport::testbed::{endpoint, read_all, serve_once};
    use futures_lite::AsyncWriteExt;
    use std::cell::RefCell;
    use std::net::{IpAddr, TcpListener};

    #[test]
    fn a_connection_is_made_and_its_end_is_noticed_before_it_is_used_again() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|mut socket| read_all(&mut socket).unwrap());
            let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
            assert!(connection.is_reusable());
            connection.write_all(b"hello").await.unwrap();
            assert!(connection.is_reusable());
            connection.close().await.unwrap();
            assert_eq!(server.join().unwrap(), b"hello");
            runtime.sleep(Millis(50)).await;
            assert!(!connection.is_reusable(), "the server has closed it");
        });
    }

    #[test]
    fn what_fails_is_named_with_its_stage() {
        on_each_side(|runtime| async move {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let error = connect(&runtime, &endpoint(free)).await.err().unwrap();
            assert_eq!((error.stage, error.kind), (Stage::Connect, FailureKind::Unreachable));
            assert!(error.to_string().contains(&free.to_string()), "{error}");

            let nowhere = Endpoint { host: "no such host.invalid".into(), ..endpoint(free) };
            let error = connect(&runtime, &nowhere).await.err().unwrap();
            assert_eq!((error.stage, error.kind), (Stage::Resolve, FailureKind::Unreachable));
            assert!(error.to_string().contains("no such host.invalid"), "{error}");
        });
    }

    /// Connects in a world of its own; returns the outcome and when it was there.
    fn in_a_world(prepare: impl Fn(&World)) -> (Result<(), TransportError>, Millis) {
        let world = World::new(11);
        prepare(&world);
        let runtime = world.runtime("a");
        let outcome = Rc::new(RefCell::new(None));
        let given = Rc::clone(&outcome);
        world.spawn(Box::pin(async move {
            let endpoint = Endpoint { host: "siem".into(), ..endpoint(first()) };
            let connected = connect(&runtime, &endpoint).await.map(drop);
            *given.borrow_mut() = Some((connected, runtime.now()));
        }));
        world.run_until(Millis::from_secs(60));
        outcome.take().unwrap()
    }

    fn first() -> SocketAddr {
        "192.0.2.1:514".parse().unwrap()
    }

    fn second() -> SocketAddr {
        "192.0.2.2:514".parse().unwrap()
    }

    #[test]
    fn a_name_that_leads_elsewhere_tomorrow_leads_nowhere_that_is_not_allowed() {
        let (public, metadata) = ("8.8.8.8:514".parse().unwrap(), IpAddr::from([169, 254, 169, 254]));
        for (addresses, is_there) in [
            (vec![SocketAddr::ip(&public)], true),
            (vec![metadata], false),
            (vec![IpAddr::from([10, 0, 0, 1]), SocketAddr::ip(&public)], true),
            (vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1])], false),
        ] {
            let world = World::new(11);
            world.network().set_name("siem", &addresses);
            world.network().serve(public, |stream| Box::pin(async move { drop(stream) }));
            let (runtime, outcome) = (world.runtime("a"), Rc::new(RefCell::new(None)));
            let given = Rc::clone(&outcome);
            world.spawn(Box::pin(async move {
                let targets = Arc::new(Targets { public_only: true, ..Targets::default() });
                let endpoint = Endpoint { host: "siem".into(), targets, ..endpoint(public) };
                *given.borrow_mut() = Some(connect(&runtime, &endpoint).await.map(drop));
            }));
            world.run_until(Millis::from_secs(60));
            let outcome: Result<(), TransportError> = outcome.take().unwrap();
            assert_eq!(outcome.is_ok(), is_there, "{addresses:?}: {outcome:?}");
            if let Err(error) = outcome {
                assert_eq!((error.stage, error.kind), (Stage::Connect, FailureKind::Refused));
                assert!(error.is_misconfiguration() && error.what.contains("not in the internet"), "{error}");
            }
        }
    }

    #[test]
    fn the_next_address_is_tried_when_one_is_silent() {
        let (outcome, when) = in_a_world(|world| {
            world.network().set_name("siem", &[first().ip(), second().ip()]);
            world.network().set_fault(first(), Fault::Silent);
            world.network().serve(second(), |stream| Box::pin(async move { drop(stream) }));
        });
        assert_eq!(outcome, Ok(()));
        assert!(when >= Millis(250) && when < Millis(500), "the second starts a quarter of a second later: {when}");
    }

    #[test]
    fn an_address_that_refuses_costs_no_time_and_a_slow_one_may_still_win() {
        let (outcome, when) = in_a_world(|world| {
            world.network().set_name("siem", &[first().ip(), second().ip()]);
            world.network().set_fault(first(), Fault::Refused);
            world.network().serve(second(), |stream| Box::pin(async move { drop(stream) }));
        });
        assert_eq!(outcome, Ok(()));
        assert!(when < Millis(250), "{when}");
    }

    #[test]
    fn silence_ends_with_the_time_limit() {
        let (outcome, when) = in_a_world(|world| {
            world.network().set_name("siem", &[first().ip()]);
            world.network().set_fault(first(), Fault::Silent);
        });
        let error = outcome.unwrap_err();
        assert_eq!((error.stage, error.kind), (Stage::Connect, FailureKind::TimedOut));
        assert_eq!(when, Millis::from_secs(10));
    }
}
