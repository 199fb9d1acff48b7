//! Who is measured: programs that take events in at one end and bring them to receivers at the other.
//!
//! A [`Contender`] knows a program: whether it is here, what it can't do, and how it is configured and started for a
//! [`Job`]. What it starts is a [`Running`]: a process, the input that events are written to, and the configuration as it
//! was used. Adding one is a module with these four functions and a line in [`all`].
//!
//! | module | program |
//! |---|---|
//! | [`agent`] | this project's |
//! | [`naive`] | the least that a program has to do with an event; the floor |
//! | [`rsyslog`], [`syslog_ng`], [`otelcol`] | what people run today, installed by `bench/others/install` |
//! | [`vector`], [`fluent_bit`] | the same, where a binary is on the path |
//! | [`rival`] | none: what those five share |
//!
//! All contenders run on the same processors ([`crate::machine::pin`]), as children of this process, and die with it.

mod agent;
mod fluent_bit;
mod naive;
mod otelcol;
pub(crate) mod process;
mod rival;
mod rsyslog;
mod syslog_ng;
mod vector;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) use process::Process;

use crate::scenario::{Aim, Durability, Setup, Wire};

/// A program that can be measured.
pub(crate) trait Contender: Sync {
    /// Its name in scenarios and figures.
    fn name(&self) -> &'static str;

    /// The version, in the program's own words.
    ///
    /// # Errors
    /// Why it is not here, and what to do about it. Its cases are then skipped by name.
    fn version(&self) -> Result<String, String>;

    /// Why it cannot do this job at all, though it is here; `None` when it can.
    fn cannot(&self, job: &Job<'_>) -> Option<String>;

    /// Starts it with its files in the job's folder, and returns when its input takes events.
    ///
    /// # Errors
    /// What went wrong, with what the program said.
    fn start(&self, job: &Job<'_>) -> Result<Running, String>;
}

/// What a contender is started for.
#[derive(Clone, Debug)]
pub(crate) struct Job<'a> {
    /// A folder for all its files, on the disk that is measured. Not empty when it is started again in the same place.
    pub(crate) dir: &'a Path,
    pub(crate) durability: Durability,
    /// Runtime, shards and the size of the disk buffer. Its `destinations` are spelt out below.
    pub(crate) setup: Setup,
    /// What is measured, for programs that make batches by a clock.
    pub(crate) aim: Aim,
    pub(crate) destinations: Vec<Destination>,
    /// Variables for its environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
}

/// One place that events go to.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) name: String,
    pub(crate) wire: Wire,
    pub(crate) address: SocketAddr,
    /// The authority that signed the receiver's certificate (for `localhost`), where the wire has TLS.
    pub(crate) ca_file: Option<PathBuf>,
    /// The tenants whose events go there; everybody's when empty.
    pub(crate) tenants: Vec<String>,
}

/// A started contender. Dropping it kills the process.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) input: Input,
    /// Its configuration, as it was used: a name and the text.
    pub(crate) files: Vec<(String, String)>,
    /// Where its metrics can be scraped (Prometheus text at `/metrics`, readiness at `/readyz`).
    pub(crate) admin: Option<SocketAddr>,
}

/// Where and how events are written to a contender.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) socket: Socket,
    pub(crate) framing: Framing,
    /// Whether it answers with lines of `{"acked":N}`, which are then read.
    pub(crate) acks: bool,
}

/// A local stream socket.
#[derive(Clone, Debug)]
pub(crate) enum Socket {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// How one event is told from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "which of these are used depends on the contenders")]
pub(crate) enum Framing {
    /// The event as it is, and a line feed.
    Lines,
    /// An RFC 5424 header before it, and a line feed after it.
    Rfc5424Lines,
    /// The same with its length before it instead (RFC 6587, 3.4.1).
    Rfc5424Counted,
}

/// Everyone who can be measured, in the order of the report.
pub(crate) fn all() -> [&'static dyn Contender; 7] {
    [
        &agent::Agent,
        &naive::Naive,
        &rsyslog::Rsyslog,
        &syslog_ng::SyslogNg,
        &otelcol::Otelcol,
        &vector::Vector,
        &fluent_bit::FluentBit,
    ]
}

/// The contender called `name`.
pub(crate) fn find(name: &str) -> Option<&'static dyn Contender> {
    all().into_iter().find(|contender| contender.name() == name)
}
