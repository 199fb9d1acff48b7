//! The portable side: async-io's reactor. The only file that knows async-io.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use async_io::{Async, Timer};
use futures_io::{AsyncRead, AsyncWrite, IoSlice};

use crate::runtime::clock;
use crate::runtime::helpers::Helpers;
use crate::runtime::tasks::{self, Tasks};
use crate::runtime::{
    Backend, KEEPALIVE_IDLE, Main, Panicked, Pending, Ready, Runtime, SLEEP_MAX, Stalls, Stream, Task, TaskName,
};
use crate::sys;
use crate::time::Millis;

/// Runs a shard on this thread until it ends.
pub(super) fn run(name: &str, ready: Ready, main: Main) -> Result<(), Panicked> {
    let (list, tasks) = Tasks::new();
    let runtime: Rc<dyn Runtime> = Rc::new(Epoll { tasks: tasks.clone(), helpers: Helpers::new(name) });
    // Whoever started us waits for this one word.
    let _ = ready.send(Ok(()));
    async_io::block_on(tasks::drive(list, tasks, move || main(runtime)))
}

struct Epoll {
    tasks: Tasks,
    helpers: Helpers,
}

impl Runtime for Epoll {
    fn backend(&self) -> Backend {
        Backend::Epoll
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
        let timer = Timer::after(wait.min(SLEEP_MAX).duration());
        Box::pin(async move {
            timer.await;
        })
    }

    fn resolve(&self, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
        self.helpers.resolve(host, port)
    }

    fn connect(&self, address: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let socket = Async::<TcpStream>::connect(address).await?;
            sys::set_nodelay(socket.as_raw_fd())?;
            sys::set_keepalive(socket.as_raw_fd(), KEEPALIVE_IDLE)?;
            Ok(Box::new(Tcp(socket)) as Box<dyn Stream>)
        })
    }

    fn adopt_unix(&self, socket: OwnedFd) -> io::Result<Box<dyn Stream>> {
        sys::set_close_on_exec(socket.as_raw_fd())?;
        Ok(Box::new(Unix(Async::new(UnixStream::from(socket))?)))
    }

    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> Pending<Result<(), Panicked>> {
        self.helpers.offload(job)
    }
}

struct Tcp(Async<TcpStream>);

struct Unix(Async<UnixStream>);

impl Stream for Tcp {
    fn raw_fd(&self) -> Option<RawFd> {
        Some(self.0.as_raw_fd())
    }
}

impl Stream for Unix {
    fn raw_fd(&self) -> Option<RawFd> {
        Some(self.0.as_raw_fd())
    }
}

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(already_closed_is_fine(self.0.get_ref().shutdown(Shutdown::Write)))
    }
}

impl AsyncRead for Unix {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Unix {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(already_closed_is_fine(self.0.get_ref().shutdown(Shutdown::Write)))
    }
}

/// async-io's own `poll_close` only flushes, so the shutdown is made here; after a reset there is nothing left to end.
fn already_closed_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        other => other,
    }
}
