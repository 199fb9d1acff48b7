//! What a shard runs on: tasks, time, sockets and helper threads, behind one trait with three sides.
//!
//! | side | made of | used |
//! |---|---|---|
//! | io_uring | glommio's reactor | where the kernel allows it |
//! | epoll | async-io's reactor | everywhere else |
//! | virtual | virtual time and a simulated network | seeded tests |
//!
//! `overlay.rs` puts something before one of them, to look on or to lie.
//!
//! Always true: a runtime belongs to one thread and its tasks never leave it; wakers may be used from any thread; a
//! task that panics ends its shard and is reported by [`ShardThread::join`]; when the shard ends all its tasks have
//! been dropped on its own thread. Nothing outside this folder knows which side runs.

pub(crate) mod clock;
mod epoll;
mod helpers;
mod overlay;
mod probe;
mod stalls;
mod tasks;
mod uring;
#[cfg(any(test, feature = "sim"))]
pub mod virtual_time;

#[cfg(test)]
pub(crate) mod tests;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};

pub use crate::runtime::overlay::Overlay;
pub use crate::runtime::probe::{Choice, ChooseError, choose};
pub use crate::runtime::stalls::{Held, STALL_BOUNDS, STALL_TOLD, Stalls, TaskName};
use crate::time::Millis;

/// A future that lives on one shard's thread.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The answer to something asked of the runtime. Dropping it cancels the wait.
pub type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

/// What a shard runs on. One for each shard thread, handed round as `Rc<dyn Runtime>`.
pub trait Runtime {
    /// Which side this is.
    fn backend(&self) -> Backend;

    /// Time since the process started; the same on all shards.
    fn now(&self) -> Millis;

    /// Milliseconds since 1970, for people to read. May step either way.
    fn wall_ms(&self) -> i64;

    /// 64 random bits, fit for identifiers.
    fn entropy(&self) -> u64;

    /// Runs `task` beside the others; `name` says who held the loop when a poll of it takes long. It is dropped when the
    /// shard ends; a panic in it ends the shard.
    fn spawn(&self, name: TaskName, task: Task);

    /// Which tasks have held the loop, and for how long; the shard's main task is [`TaskName::Turn`].
    fn stalls(&self) -> Stalls;

    /// Resolves after `wait`. May be dropped at any time; nothing of it stays behind.
    fn sleep(&self, wait: Millis) -> Pending<()>;

    /// The addresses of `host`, which may be a name or an address (IPv6 with or without brackets). Never an empty list.
    fn resolve(&self, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>>;

    /// A TCP connection with `TCP_NODELAY` and keepalive set. It has no timeout of its own: drop it to give up.
    fn connect(&self, address: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>>;

    /// Takes over a connected Unix stream socket, accepted on another thread.
    ///
    /// # Errors
    /// When the descriptor is no socket that the reactor can watch.
    fn adopt_unix(&self, socket: OwnedFd) -> io::Result<Box<dyn Stream>>;

    /// Runs blocking work on a helper thread. A panic in it is the error; the shard goes on.
    ///
    /// Dropping the answer does not stop a job that was handed over.
    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> Pending<Result<(), Panicked>>;
}

/// A connected byte stream. Closing it ends our direction only, as `shutdown(SHUT_WR)` does; dropping it ends both.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// The socket, for options and gathered writes; none in the simulation.
    fn raw_fd(&self) -> Option<RawFd>;
}

/// The sides of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// glommio on io_uring.
    IoUring,
    /// async-io on epoll.
    Epoll,
    /// Virtual time, in tests.
    Virtual,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::IoUring => "io_uring",
            Backend::Epoll => "epoll",
            Backend::Virtual => "virtual",
        })
    }
}

/// The setting `agent.runtime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuntimeSetting {
    /// io_uring where it works, else epoll.
    #[default]
    Auto,
    /// io_uring, or the agent does not start.
    IoUring,
    /// epoll.
    Epoll,
}

/// Work that panicked, or could not be started; the text says which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Panicked {
    /// What the panic said.
    pub message: String,
}

impl Panicked {
    fn new(message: impl Into<String>) -> Panicked {
        Panicked { message: message.into() }
    }

    /// The text of what `catch_unwind` caught in `what`.
    fn caught(what: &str, payload: &(dyn Any + Send)) -> Panicked {
        let said = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("without a message");
        Panicked::new(format!("{what} panicked: {said}"))
    }
}

/// Runs `job` on a helper thread and returns its value.
///
/// # Errors
/// `Panicked` when the job panicked or no helper thread could take it.
pub async fn offload_value<T: Send + 'static>(
    runtime: &Rc<dyn Runtime>,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    let (give, take) = mpsc::sync_channel(1);
    let job = move || {
        // The receiver is gone only when nobody waits for the value any more.
        let _ = give.send(job());
    };
    runtime.offload(Box::new(job)).await?;
    take.try_recv().map_err(|_| Panicked::new("the helper job ended without a value"))
}

/// A running shard thread.
pub struct ShardThread {
    thread: thread::JoinHandle<Result<(), Panicked>>,
}

impl ShardThread {
    /// Waits until the shard has ended and all its tasks are dropped.
    ///
    /// # Errors
    /// `Panicked` when its main task or any task it spawned panicked.
    pub fn join(self) -> Result<(), Panicked> {
        self.thread.join().unwrap_or_else(|payload| Err(Panicked::caught("the shard's thread", &*payload)))
    }

    /// Whether the shard has ended, well or not.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Runs what `main` makes on a new thread called `name` until it ends or a task of the shard panics.
///
/// # Errors
/// When the thread or its reactor cannot be made. [`choose`] has shown that one can be; a machine short of memory or
/// descriptors may still refuse the next.
pub fn start(
    backend: Backend,
    name: String,
    main: impl FnOnce(Rc<dyn Runtime>) -> Task + Send + 'static,
) -> io::Result<ShardThread> {
    let run = match backend {
        Backend::IoUring => uring::run,
        Backend::Epoll => epoll::run,
        Backend::Virtual => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "virtual shards are made by their world"));
        }
    };
    let (ready, started) = mpsc::sync_channel(1);
    let helpers = name.clone();
    let main: Main = Box::new(main);
    let thread = thread::Builder::new().name(name).spawn(move || {
        panic::catch_unwind(AssertUnwindSafe(|| run(&helpers, ready, main)))
            .unwrap_or_else(|payload| Err(Panicked::caught("the shard", &*payload)))
    })?;
    match started.recv_timeout(START_MAX) {
        Ok(Ok(())) => Ok(ShardThread { thread }),
        Ok(Err(refused)) => Err(refused),
        Err(RecvTimeoutError::Timeout) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the shard's thread did not get ready in time"))
        }
        Err(RecvTimeoutError::Disconnected) => {
            let why = ShardThread { thread }.join().err().map_or_else(String::new, |panicked| panicked.message);
            Err(io::Error::other(why))
        }
    }
}

type Main = Box<dyn FnOnce(Rc<dyn Runtime>) -> Task + Send>;

/// Says once whether the reactor could be made.
type Ready = SyncSender<io::Result<()>>;

/// A shard that is not ready by then will never be.
const START_MAX: Duration = Duration::from_secs(10);

/// A silent connection is probed after this.
const KEEPALIVE_IDLE: Millis = Millis::from_secs(60);

/// No wait is longer: about ten years, which every timer can hold.
const SLEEP_MAX: Millis = Millis::from_secs(315_360_000);
