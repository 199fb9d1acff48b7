//! The io_uring side: glommio's reactor. The only file that knows glommio.
//!
//! Facts about glommio 0.9 that shape this file: a refused ring panics in its thread, so the executor is made here and
//! its error told to whoever starts the shard; its blocking pool hangs on a panic, so ours is used; registered memory
//! is locked and costs three times what is asked for, so little is asked for (sockets use none of it); the eventfd of
//! an ended executor is never closed, so shards are not to be started and ended all day.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};
use glommio::net::{TcpStream, UnixStream};
use glommio::timer::Timer;
use glommio::{LocalExecutor, LocalExecutorBuilder};

use crate::runtime::clock;
use crate::runtime::helpers::Helpers;
use crate::runtime::tasks::{self, Tasks};
use crate::runtime::{
    Backend, KEEPALIVE_IDLE, Main, Panicked, Pending, Ready, Runtime, SLEEP_MAX, Stalls, Stream, Task, TaskName,
};
use crate::sys;
use crate::time::Millis;

/// Locked memory below which glommio refuses to start.
pub(super) const MEMLOCK_MIN: u64 = 512 * 1024;

/// Runs a shard on this thread until it ends.
pub(super) fn run(name: &str, ready: Ready, main: Main) -> Result<(), Panicked> {
    let executor = match make() {
        Ok(executor) => executor,
        Err(refused) => {
            // Whoever started us waits for this one word, and then forgets the thread.
            let _ = ready.send(Err(refused));
            return Ok(());
        }
    };
    let _ = ready.send(Ok(()));
    let (list, tasks) = Tasks::new();
    let runtime: Rc<dyn Runtime> = Rc::new(Uring { tasks: tasks.clone(), helpers: Helpers::new(name) });
    executor.run(tasks::drive(list, tasks, move || main(runtime)))
}

/// Makes an executor and does one real operation of each kind on it: a timer and bytes through a socket.
pub(super) fn try_out() -> io::Result<()> {
    make()?.run(async {
        Timer::new(std::time::Duration::from_millis(1)).await;
        let (mut near, mut far) = UnixStream::pair()?;
        let mut got = [0; 4];
        let read = futures_lite::io::AsyncReadExt::read_exact(&mut far, &mut got);
        let write = async {
            // Late, so that the reader has to wait in the ring.
            Timer::new(std::time::Duration::from_millis(1)).await;
            futures_lite::io::AsyncWriteExt::write_all(&mut near, b"ping").await
        };
        futures_lite::future::try_zip(read, write).await.map(drop)
    })
}

/// Asks the kernel for a ring before glommio does: where it is refused, glommio panics and stays broken for the whole
/// process.
fn make() -> io::Result<LocalExecutor> {
    drop(sys::open_io_uring()?);
    LocalExecutorBuilder::default().io_memory(IO_MEMORY).ring_depth(RING_DEPTH).make().map_err(io::Error::from)
}

struct Uring {
    tasks: Tasks,
    helpers: Helpers,
}

impl Runtime for Uring {
    fn backend(&self) -> Backend {
        Backend::IoUring
    }

    fn now(&self) -> Millis {
        clock::now()
    }

    fn wall_ms(&self) -> i64 {
        clock::wall_ms()
    }

    fn entropy(&self) -> u64 {
        clock::entropy()
    }

    fn spawn(&self, name: TaskName, task: Task) {
        self.tasks.spawn(name, task);
    }

    fn stalls(&self) -> Stalls {
        self.tasks.stalls()
    }

    fn sleep(&self, wait: Millis) -> Pending<()> {
        let timer = Timer::new(wait.min(SLEEP_MAX).duration());
        Box::pin(async move {
            timer.await;
        })
    }

    fn resolve(&self, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
        self.helpers.resolve(host, port)
    }

    fn connect(&self, address: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let socket = TcpStream::connect(address).await.map_err(io::Error::from)?;
            sys::set_nodelay(socket.as_raw_fd())?;
            sys::set_keepalive(socket.as_raw_fd(), KEEPALIVE_IDLE)?;
            let descriptor = socket.as_raw_fd();
            Ok(Box::new(Socket { socket, descriptor }) as Box<dyn Stream>)
        })
    }

    fn adopt_unix(&self, socket: OwnedFd) -> io::Result<Box<dyn Stream>> {
        let descriptor = socket.as_raw_fd();
        sys::set_close_on_exec(descriptor)?;
        let socket: UnixStream = sys::wrap(socket);
        Ok(Box::new(Socket { socket, descriptor }))
    }

    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> Pending<Result<(), Panicked>> {
        self.helpers.offload(job)
    }
}

/// A glommio stream beside its descriptor, which its Unix kind does not show.
struct Socket<S> {
    socket: S,
    descriptor: RawFd,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Socket<S> {
    fn raw_fd(&self) -> Option<RawFd> {
        Some(self.descriptor)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    /// glommio's streams have no vectored write; TLS would send its records one by one.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match sys::send_slices(self.descriptor, bufs) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
                self.poll_write(cx, first)
            }
            sent => Poll::Ready(sent),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.socket).poll_close(cx) {
            // After a reset there is nothing left to end.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

/// Memory glommio registers for file buffers, which this agent does not use; the least it takes.
const IO_MEMORY: usize = 64 * 1024;

/// Operations that may wait in each of the three rings.
const RING_DEPTH: usize = 128;
