//! The thread that accepts: producers on the Unix socket, which it hands to the shards, and HTTP, which it serves itself.
//!
//! It runs a small tokio runtime of its own. Everything is bound before [`start`] returns, so that what is wrong with an
//! address is known at start. When asked to stop it accepts nothing more, removes the socket file, and ends when all
//! connections have ended, within [`STOP_MAX`] and a little.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::ingest::connection::STOP_MAX;
use crate::ingest::http::{self, HttpSettings};
use crate::ingest::unix::{CONNECTIONS_MAX, Socket, SocketError, UnixSettings};
use crate::ingest::{Intake, Settings};
use crate::shard::door::Doors;

/// Why intake cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The Unix socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The HTTP address.
    #[error("cannot listen for HTTP on {address}")]
    Http {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// HTTP is reachable from elsewhere and nothing protects it.
    #[error("HTTP ingest on {address} can be reached from other machines and needs a token")]
    NeedsToken {
        /// Where.
        address: SocketAddr,
    },
    /// The thread.
    #[error("cannot start the ingest thread")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// The setting to look at.
    pub fn setting(&self) -> &'static str {
        match self {
            StartError::Socket(_) => "ingest.unix",
            StartError::Http { .. } => "ingest.http.listen",
            StartError::NeedsToken { .. } => "ingest.http.token",
            StartError::Thread { .. } => "ingest",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            StartError::Socket(SocketError::Busy { .. }) => "stop the other program, or name another path",
            StartError::Socket(SocketError::NotASocket { .. }) => "name another path, or move the file away",
            StartError::Socket(SocketError::Io { .. }) => {
                "make sure that the folder exists and belongs to the agent's user, and that the path has at most 106 bytes"
            }
            StartError::Http { .. } => "name an address of this machine and a port that no other program listens on",
            StartError::NeedsToken { .. } => "set a token, or listen on 127.0.0.1",
            StartError::Thread { .. } => "raise the limits on threads and open files",
        }
    }
}

/// The running thread. Dropping it does not stop it.
#[derive(Debug)]
pub struct IngestThread {
    intake: Arc<Intake>,
    http: Option<SocketAddr>,
    thread: thread::JoinHandle<()>,
}

/// Binds what is configured and begins to accept.
///
/// # Errors
/// [`StartError`]; nothing runs and nothing is left behind.
pub fn start(settings: &Settings, doors: Doors, intake: Arc<Intake>) -> Result<IngestThread, StartError> {
    if let Some(http) = &settings.http
        && !http.listen.ip().is_loopback()
        && http.token.is_none()
    {
        return Err(StartError::NeedsToken { address: http.listen });
    }
    let server = Server { unix: settings.unix.clone(), http: settings.http.clone(), doors, intake: intake.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|source| StartError::Thread { source })?;
    let (ready, is_ready) = sync_channel(1);
    let thread = thread::Builder::new()
        .name("ingest".to_owned())
        .spawn(move || {
            runtime.block_on(server.run(ready));
            // What blocks in the quarantine file does not hold the agent back.
            runtime.shutdown_timeout(GRACE);
        })
        .map_err(|source| StartError::Thread { source })?;
    match is_ready.recv() {
        Ok(bound) => Ok(IngestThread { intake, http: bound?, thread }),
        Err(_) => Err(StartError::Thread { source: io::Error::other("it ended before it was ready") }),
    }
}

impl IngestThread {
    /// What all of intake shares: the counts, and the word to stop.
    pub fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    /// Where HTTP listens.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Stops taking events in and waits until every connection has ended, or its time is up.
    ///
    /// # Errors
    /// When the thread panicked.
    pub fn stop(self) -> thread::Result<()> {
        self.intake.stop.request();
        self.thread.join()
    }
}

struct Server {
    unix: Option<UnixSettings>,
    http: Option<HttpSettings>,
    doors: Doors,
    intake: Arc<Intake>,
}

type Ready = SyncSender<Result<Option<SocketAddr>, StartError>>;

impl Server {
    async fn run(self, ready: Ready) {
        let (socket, listener) = match self.bind().await {
            Ok(bound) => bound,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let _ = ready.send(Ok(address));
        let stop = self.intake.stop.clone();
        let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let accepting = async {
            if let (Some(socket), Some(unix)) = (socket, &self.unix) {
                tokio::select! {
                    () = socket.accept(&self.doors, &self.intake, &unix.allow_uids, &seats) => {}
                    () = stop.wait() => {}
                }
            }
        };
        let serving = async {
            if let (Some(listener), Some(http)) = (listener, &self.http) {
                http::serve(listener, http, self.doors.clone(), self.intake.clone()).await;
            }
        };
        tokio::join!(accepting, serving, stop.wait());
        // Each connection gives its seat back when it ends.
        let all = seats.acquire_many(CONNECTIONS_MAX as u32);
        let _ = tokio::time::timeout(STOP_MAX.duration() + GRACE, all).await;
    }

    async fn bind(&self) -> Result<(Option<Socket>, Option<TcpListener>), StartError> {
        let listener = match &self.http {
            Some(http) => Some(listen(http.listen).await?),
            None => None,
        };
        let socket = match &self.unix {
            Some(unix) => Some(Socket::bind(unix).await?),
            None => None,
        };
        Ok((socket, listener))
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Http { address, source })
}

/// Threads for the quarantine file.
const BLOCKING_THREADS: usize = 2;

/// How much longer than their own deadline connections may take to end.
const GRACE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
