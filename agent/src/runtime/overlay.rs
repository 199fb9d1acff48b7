//! A runtime that lies over another one: all is as it is there, but for what the upper one has words of its own for.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::{Backend, Panicked, Pending, Runtime, Stalls, Stream, Task, TaskName};
use crate::time::Millis;

/// What may differ in a runtime that lies over another one. Whoever has this is a [`Runtime`].
pub trait Overlay {
    /// What it lies over.
    fn under(&self) -> &dyn Runtime;

    /// See [`Runtime::wall_ms`].
    fn wall_ms(&self) -> i64 {
        self.under().wall_ms()
    }

    /// See [`Runtime::resolve`].
    fn resolve(&self, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
        self.under().resolve(host, port)
    }

    /// See [`Runtime::connect`].
    fn connect(&self, address: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>> {
        self.under().connect(address)
    }
}

impl<O: Overlay> Runtime for O {
    fn backend(&self) -> Backend {
        self.under().backend()
    }

    fn now(&self) -> Millis {
        self.under().now()
    }

    fn wall_ms(&self) -> i64 {
        Overlay::wall_ms(self)
    }

    fn entropy(&self) -> u64 {
        self.under().entropy()
    }

    fn spawn(&self, name: TaskName, task: Task) {
        self.under().spawn(name, task);
    }

    fn stalls(&self) -> Stalls {
        self.under().stalls()
    }

    fn sleep(&self, wait: Millis) -> Pending<()> {
        self.under().sleep(wait)
    }

    fn resolve(&self, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
        Overlay::resolve(self, host, port)
    }

    fn connect(&self, address: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>> {
        Overlay::connect(self, address)
    }

    fn adopt_unix(&self, socket: OwnedFd) -> io::Result<Box<dyn Stream>> {
        self.under().adopt_unix(socket)
    }

    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> Pending<Result<(), Panicked>> {
        self.under().offload(job)
    }
}
