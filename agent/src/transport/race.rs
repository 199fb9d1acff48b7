//! Connecting to a name with several addresses: attempts start one after another, a quarter of a second apart or as soon
//! as one has failed, and the first that is connected is used (RFC 8305, "Happy Eyeballs", sections 4 and 5).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_lite::future::poll_fn;

use crate::runtime::{Pending, Runtime, Stream};
use crate::time::Millis;
use crate::transport::connect::within;
use crate::transport::{Endpoint, FailureKind, Stage, TransportError};

/// A stream to whichever address is connected first.
///
/// # Errors
/// When none is by `deadline`, or all have failed: then the last one's error.
pub(super) async fn connect_to_any(
    runtime: &Rc<dyn Runtime>,
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    deadline: Millis,
) -> Result<Box<dyn Stream>, TransportError> {
    let mut waiting: VecDeque<SocketAddr> = in_turn(addresses);
    let count = waiting.len();
    let attempt = |address: SocketAddr| -> Attempt<'_> {
        Box::pin(async move {
            let what = attempted(endpoint, address);
            runtime.connect(address).await.map_err(|error| TransportError::of_io(Stage::Connect, &what, &error))
        })
    };
    let mut running: Vec<Attempt<'_>> = Vec::new();
    let mut timer: Option<Pending<()>> = None;
    let mut last =
        TransportError::new(Stage::Resolve, FailureKind::Unreachable, format!("{} has no address", endpoint.host));
    let race = poll_fn(|cx| {
        loop {
            let mut is_due = running.is_empty();
            let mut at = 0;
            while at < running.len() {
                match running[at].as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        last = error;
                        drop(running.swap_remove(at));
                        is_due = true;
                    }
                    Poll::Pending => at += 1,
                }
            }
            is_due |= timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
            match if is_due { waiting.pop_front() } else { None } {
                Some(address) => {
                    running.push(attempt(address));
                    timer = (!waiting.is_empty()).then(|| runtime.sleep(STAGGER));
                }
                None if running.is_empty() => return Poll::Ready(Err(last.clone())),
                None => {
                    if is_due {
                        timer = None;
                    }
                    return Poll::Pending;
                }
            }
        }
    });
    let patience = deadline.since(runtime.now());
    let late = || {
        let which = if count == 1 { String::new() } else { format!(" from any of its {count} addresses") };
        let what = format!("cannot connect to {endpoint}: no answer{which} within {patience}");
        TransportError::new(Stage::Connect, FailureKind::TimedOut, what)
    };
    within(runtime, deadline, race, late).await
}

type Attempt<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, TransportError>> + 'a>>;

/// The addresses in the order they are tried: as they were given, but the families in turn, so that a family that does
/// not work here costs one step only.
fn in_turn(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let is_first_family =
        |address: &&SocketAddr| addresses.first().is_some_and(|first| first.is_ipv4() == address.is_ipv4());
    let (first, second): (Vec<&SocketAddr>, Vec<&SocketAddr>) = addresses.iter().partition(is_first_family);
    let longest = first.len().max(second.len());
    let pairs = (0..longest).flat_map(|at| [first.get(at), second.get(at)]);
    pairs.flatten().map(|address| **address).take(ADDRESSES_MAX).collect()
}

/// What failed: the endpoint, with the address that its name leads to.
fn attempted(endpoint: &Endpoint, address: SocketAddr) -> String {
    let host = endpoint.host.trim_matches(['[', ']']);
    if host.parse() == Ok(address.ip()) {
        format!("cannot connect to {address}")
    } else {
        format!("cannot connect to {endpoint} ({address})")
    }
}

/// Between two attempts (RFC 8305, section 5: 250 ms is recommended).
const STAGGER: Millis = Millis(250);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::testbed::endpoint;

    #[test]
    fn an_endpoint_is_named_with_its_address_and_an_address_once() {
        for (host, address, expected) in [
            ("siem.example", "192.0.2.1:1", "cannot connect to siem.example:1 (192.0.2.1:1)"),
            ("192.0.2.1", "192.0.2.1:1", "cannot connect to 192.0.2.1:1"),
            ("2001:db8::1", "[2001:db8::1]:1", "cannot connect to [2001:db8::1]:1"),
            ("[2001:db8::1]", "[2001:db8::1]:1", "cannot connect to [2001:db8::1]:1"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            let endpoint = Endpoint { host: host.into(), ..endpoint(address) };
            assert_eq!(attempted(&endpoint, address), expected);
        }
    }

    #[test]
    fn families_take_turns_beginning_with_that_of_the_first_address() {
        let all: Vec<SocketAddr> =
            ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(|text| text.parse().unwrap()).into();
        let order: Vec<String> = in_turn(&all).iter().map(|address| address.ip().to_string()).collect();
        assert_eq!(order, ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]);
        assert_eq!(in_turn(&[]), []);
    }
}
