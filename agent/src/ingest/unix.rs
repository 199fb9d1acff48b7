//! The Unix socket that producers connect to.
//!
//! The socket is made under a second name and moved into place once its mode is right, so nobody connects before, and a
//! socket file that a dead agent left is replaced in one step. A file that somebody listens on, or that is no socket, is
//! never touched.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ingest::Intake;
use crate::ingest::connection::{Peer, serve};
use crate::runtime::TaskName;
use crate::shard::door::{Doors, LocalDoor, ShardId};

/// Most producers connected to the socket at once. More are told so and closed.
pub const CONNECTIONS_MAX: usize = 1024;

/// The socket's settings.
#[derive(Clone, Debug)]
pub struct UnixSettings {
    /// Where it is.
    pub path: PathBuf,
    /// Its permission bits, such as `0o660`.
    pub mode: u32,
    /// Its group, by number; the agent's own when `None`.
    pub gid: Option<u32>,
    /// Users who may connect; with none given, everyone the mode lets in.
    pub allow_uids: Vec<u32>,
}

/// Why the socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Somebody listens there.
    #[error("another program listens on {}", path.display())]
    Busy {
        /// The socket.
        path: PathBuf,
    },
    /// There is a file of another kind.
    #[error("{} is not a socket; it is left alone", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// A step failed.
    #[error("cannot {step} the socket {}", path.display())]
    Io {
        /// Which step: "look at", "make", "set the mode of", "set the group of", "put in place".
        step: &'static str,
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The listening socket. Its file is removed on drop, if it is still ours.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file we made.
    identity: (u64, u64),
}

impl Socket {
    /// Makes the socket. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`SocketError`]; nothing is left behind.
    pub async fn bind(settings: &UnixSettings) -> Result<Socket, SocketError> {
        let path = &settings.path;
        make_way(path).await?;
        let mut name = path.as_os_str().to_owned();
        name.push("~");
        let new = PathBuf::from(name);
        // What an agent left that ended between making the socket and moving it.
        if is_socket(&new).unwrap_or(false) {
            let _ = fs::remove_file(&new);
        }
        let made = Socket::make(settings, &new);
        if made.is_err() && is_socket(&new).unwrap_or(false) {
            let _ = fs::remove_file(&new);
        }
        made.map_err(|(step, source)| SocketError::Io { step, path: path.clone(), source })
    }

    /// The next connection.
    ///
    /// # Errors
    /// When there is none to be had now: out of descriptors, most likely.
    pub async fn next(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    fn make(settings: &UnixSettings, new: &Path) -> Result<Socket, (&'static str, io::Error)> {
        let at = |step| move |source| (step, source);
        let listener = UnixListener::bind(new).map_err(at("make"))?;
        if let Some(gid) = settings.gid {
            std::os::unix::fs::chown(new, None, Some(gid)).map_err(at("set the group of"))?;
        }
        fs::set_permissions(new, Permissions::from_mode(settings.mode)).map_err(at("set the mode of"))?;
        let identity = identity(new).map_err(at("look at"))?;
        fs::rename(new, &settings.path).map_err(at("put in place"))?;
        Ok(Socket { listener, path: settings.path.clone(), identity })
    }

    /// Accepts producers and gives them to the shards in turn, for ever. `seats` holds a permit for each connection.
    pub async fn accept(&self, doors: &Doors, intake: &Arc<Intake>, allow_uids: &[u32], seats: &Arc<Semaphore>) {
        let mut next = 0;
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely; one will be free later.
                    tracing::warn!(%error, "cannot accept a producer on the socket");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            match admit(&stream, allow_uids, seats) {
                Ok((peer, seat)) => {
                    hand_over(doors, ShardId(next), stream, peer, seat, intake.clone());
                    next = (next + 1) % doors.shards() as u16;
                }
                Err(why) => {
                    intake.server.turned_away.add(1);
                    tracing::warn!(reason = %why, "a producer was turned away from the socket");
                    // Best effort: a fresh socket has room for one line.
                    let _ = stream.try_write(format!("{{\"acked\":0,\"error\":\"{why}\"}}\n").as_bytes());
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Who it is, if they may come in. The refusal is plain text without quotes.
fn admit(
    stream: &UnixStream,
    allow_uids: &[u32],
    seats: &Arc<Semaphore>,
) -> Result<(Peer, OwnedSemaphorePermit), String> {
    let credentials = stream.peer_cred().map_err(|_| "the kernel does not say who you are".to_owned())?;
    let peer = Peer { uid: credentials.uid(), pid: credentials.pid() };
    if !allow_uids.is_empty() && !allow_uids.contains(&peer.uid) {
        return Err(format!("uid {} is not in ingest.unix.allow_uids", peer.uid));
    }
    match seats.clone().try_acquire_owned() {
        Ok(seat) => Ok((peer, seat)),
        Err(_) => Err(format!("{CONNECTIONS_MAX} producers are connected already")),
    }
}

fn hand_over(
    doors: &Doors,
    to: ShardId,
    stream: UnixStream,
    peer: Peer,
    seat: OwnedSemaphorePermit,
    intake: Arc<Intake>,
) {
    let socket = match stream.into_std() {
        Ok(stream) => OwnedFd::from(stream),
        Err(error) => {
            tracing::warn!(%error, "a producer's socket cannot be handed to a shard");
            return;
        }
    };
    let job = move |door: &LocalDoor| {
        let stream = match door.runtime().adopt_unix(socket) {
            Ok(stream) => stream,
            Err(error) => {
                // The producer sees a closed connection and comes again.
                tracing::warn!(%error, "a shard cannot serve a producer's socket");
                return;
            }
        };
        let door = door.clone();
        let runtime = door.runtime().clone();
        runtime.spawn(
            TaskName::Ingest,
            Box::pin(async move {
                serve(door, stream, peer, intake).await;
                drop(seat);
            }),
        );
    };
    doors.hand_over(to, Box::new(job));
}

/// Makes sure that nothing stands at `path` but perhaps a socket nobody listens on.
async fn make_way(path: &Path) -> Result<(), SocketError> {
    match is_socket(path) {
        Ok(true) => {}
        Ok(false) => return Err(SocketError::NotASocket { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(SocketError::Io { step: "look at", path: path.to_owned(), source }),
    }
    match tokio::time::timeout(CONNECT_MAX, UnixStream::connect(path)).await {
        Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(()),
        Ok(Err(source)) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(SocketError::Io { step: "look at", path: path.to_owned(), source })
        }
        // Connected, or too busy to answer: it lives.
        _ => Err(SocketError::Busy { path: path.to_owned() }),
    }
}

fn is_socket(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.file_type().is_socket())
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// How long to wait before accepting again after an error.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Who does not answer within this time listens all the same.
const CONNECT_MAX: Duration = Duration::from_secs(1);
