//! A machine that is told what is not so: a resolver that fails, a router that refuses, a clock that is off. Everything else
//! is as it is.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc;

use scaidrive_siem::probe::{Question, Report, probe};
use scaidrive_siem::runtime::{self, Backend, Panicked, Pending, Runtime, Stalls, Stream, Task, TaskName};
use scaidrive_siem::time::Millis;

use crate::plant::{Deceit, Lookup};

/// Runs a test on a machine that is told so.
pub(crate) fn probe_deceived(question: Question, deceit: Deceit) -> Report {
    let (give, take) = mpsc::sync_channel(1);
    let thread = runtime::start(Backend::Epoll, "probe".to_owned(), move |inner| {
        Box::pin(async move {
            let deceived: Rc<dyn Runtime> = Rc::new(Deceived { inner, deceit });
            give.send(probe(&deceived, &question).await).expect("somebody waits for it");
        })
    });
    thread.expect("a thread can be started").join().expect("a test does not panic");
    take.recv().expect("the report was sent")
}

struct Deceived {
    inner: Rc<dyn Runtime>,
    deceit: Deceit,
}

impl Runtime for Deceived {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    fn now(&self) -> Millis {
        self.inner.now()
    }

    fn wall_ms(&self) -> i64 {
        self.inner.wall_ms() + self.deceit.clock_ms
    }

    fn entropy(&self) -> u64 {
        self.inner.entropy()
    }

    fn spawn(&self, name: TaskName, task: Task) {
        self.inner.spawn(name, task);
    }

    fn stalls(&self) -> Stalls {
        self.inner.stalls()
    }

    fn sleep(&self, wait: Millis) -> Pending<()> {
        self.inner.sleep(wait)
    }

    /// What glibc says, as the standard library hands it on.
    fn resolve(&self, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
        let said = match self.deceit.name {
            Some((name, lookup)) if name == host => match lookup {
                Lookup::Unknown => "Name or service not known",
                Lookup::NoAddress => "No address associated with hostname",
                Lookup::Failing => "Temporary failure in name resolution",
                Lookup::Silent => return Box::pin(std::future::pending()),
            },
            _ => return self.inner.resolve(host, port),
        };
        Box::pin(async move { Err(io::Error::other(format!("failed to lookup address information: {said}"))) })
    }

    fn connect(&self, address: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>> {
        match self.deceit.connect {
            Some(kind) => Box::pin(async move { Err(kind.into()) }),
            None => self.inner.connect(address),
        }
    }

    fn adopt_unix(&self, socket: OwnedFd) -> io::Result<Box<dyn Stream>> {
        self.inner.adopt_unix(socket)
    }

    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> Pending<Result<(), Panicked>> {
        self.inner.offload(job)
    }
}
