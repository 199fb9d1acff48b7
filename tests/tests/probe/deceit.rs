//! A machine that is told what is not so: a resolver that fails, a router that refuses, a clock that is off. Everything else
//! is as it is.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;

use scaidrive_siem::probe::{Question, Report, probe};
use scaidrive_siem::runtime::{self, Backend, Overlay, Pending, Runtime, Stream};

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

impl Overlay for Deceived {
    fn under(&self) -> &dyn Runtime {
        &*self.inner
    }

    fn wall_ms(&self) -> i64 {
        self.inner.wall_ms() + self.deceit.clock_ms
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
}
