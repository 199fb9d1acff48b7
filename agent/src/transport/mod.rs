//! The connections that senders use: a byte stream to an [`Endpoint`], plain or TLS, and what is said on it.
//!
//! Nothing here decides what happens next. Errors say at which stage something failed, whether the other side may have
//! taken what was sent, and whose fault it looks like; the sender draws the conclusions. Nothing is retried here.

mod connect;
mod datagram;
mod gather;
mod gzip;
mod http;
mod proxy;
mod race;
mod relp;
mod syslog;
mod targets;
mod tls;
mod zstd;

#[cfg(test)]
mod testbed;

use std::fmt;
use std::io;

pub use connect::{Connection, Endpoint, connect, connect_in_steps};
pub use datagram::{DatagramError, DatagramSocket};
pub use gather::{WriteError, write_slices};
pub use gzip::Gzip;
pub use http::{Exchanges, exchange};
pub use proxy::Proxy;
pub use relp::{Answers, RelpConnection};
pub use syslog::SyslogConnection;
pub use targets::{Allowed, Barred, Targets, is_allowed, is_here, known_address};
pub(crate) use tls::can_be_trusted;
pub use tls::{TlsClient, TlsError, TlsFault, TlsServer, Witness};
pub use zstd::zstd;

/// Why a connection could not be made or used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// What was going on.
    pub stage: Stage,
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// Whether the other side may have taken the request although no answer came: true only when all of it was sent.
    pub outcome_unknown: bool,
    /// In plain words, with the address and the cause.
    pub what: String,
    /// What TLS said, where TLS is behind it.
    pub tls: Option<TlsFault>,
}

/// What a transport was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking the name up.
    Resolve,
    /// Making the TCP connection.
    Connect,
    /// Asking a proxy for the way.
    Proxy,
    /// Agreeing on TLS.
    Tls,
    /// Sending.
    Write,
    /// Waiting for the answer, or for the other side to close.
    Reply,
}

/// The kinds of failure that call for different answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No address, no route, refused: nobody is there now.
    Unreachable,
    /// It took longer than allowed.
    TimedOut,
    /// The other side closed or reset the connection.
    Closed,
    /// One of the two does not trust the other's certificate, or they cannot agree on TLS. Waiting does not help.
    Untrusted,
    /// A proxy on the way wants other credentials.
    Credentials,
    /// The other side will not do what it is there for: something is set wrong, here or there. Waiting does not help.
    Refused,
    /// The answer makes no sense.
    Protocol,
    /// A page of the log behind the bytes to be sent is gone.
    BadMapping,
    /// Something else of this machine, such as no descriptors left.
    Local,
}

impl TransportError {
    fn new(stage: Stage, kind: FailureKind, what: impl Into<String>) -> TransportError {
        TransportError { stage, kind, outcome_unknown: false, what: what.into(), tls: None }
    }

    fn of_io(stage: Stage, what: &str, error: &io::Error) -> TransportError {
        let cause = match error.kind() {
            // Only TLS reports this: whoever cut the connection was not the other side's TLS.
            io::ErrorKind::UnexpectedEof => "it was cut without a TLS close_notify".to_owned(),
            _ => error.to_string(),
        };
        TransportError::new(stage, kind_of(error), format!("{what}: {cause}"))
    }

    /// Whether only a change of configuration, here or there, can help.
    pub fn is_misconfiguration(&self) -> bool {
        matches!(self.kind, FailureKind::Untrusted | FailureKind::Refused)
    }

    /// Whether the connection was there and the request was on its way.
    pub fn is_in_exchange(&self) -> bool {
        matches!(self.stage, Stage::Write | Stage::Reply)
    }

    /// Whether a connection that had been used before was found closed: worth one try at once on a new one.
    pub fn is_stale_connection(&self) -> bool {
        self.kind == FailureKind::Closed && self.is_in_exchange()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for TransportError {}

fn kind_of(error: &io::Error) -> FailureKind {
    if error.raw_os_error() == Some(libc::EFAULT) {
        return FailureKind::BadMapping;
    }
    match error.kind() {
        io::ErrorKind::TimedOut => FailureKind::TimedOut,
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::NotFound => FailureKind::Unreachable,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::WriteZero => FailureKind::Closed,
        io::ErrorKind::InvalidData => FailureKind::Protocol,
        _ => FailureKind::Local,
    }
}
