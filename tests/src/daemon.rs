//! A server program of somebody else's: started in the foreground, with its words in a file, ended by its own process id.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process;
use crate::wait::wait_until;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One such program, running or not. It is killed when this goes.
pub struct Daemon {
    name: &'static str,
    /// Its standard output and errors, of all its starts.
    log: PathBuf,
    child: Option<Child>,
    patience: Duration,
}

impl Daemon {
    /// A program that is not started yet, called `name` in messages. What it prints goes to the file `log`.
    /// `patience` is how long it may take to start and to end, on a busy machine.
    pub fn new(name: &'static str, log: PathBuf, patience: Duration) -> Daemon {
        Daemon { name, log, child: None, patience }
    }

    /// Starts it with `command` and waits until `is_ready`.
    ///
    /// # Panics
    /// When it runs already, when it ends instead, and when it is not ready in time; the text holds what it said.
    #[track_caller]
    pub fn start(&mut self, command: &mut Command, mut is_ready: impl FnMut() -> bool) {
        assert!(self.child.is_none(), "the test started {} twice", self.name);
        let output = OpenOptions::new().create(true).append(true).open(&self.log);
        let output = output.expect("the test's folder can be written");
        let errors = output.try_clone().expect("a descriptor can be copied");
        let spawned = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = self.child.insert(spawned.unwrap_or_else(|error| panic!("{} cannot start: {error}", self.name)));
        let deadline = Instant::now() + self.patience;
        while !is_ready() {
            let ended = child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "{} ended at its start; it said:\n{}", self.name, said(&self.log));
            assert!(Instant::now() < deadline, "{} is not ready in time; it said:\n{}", self.name, said(&self.log));
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends it in order (SIGTERM) and waits for that. Does nothing when it is not running.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::signal(child.id(), "TERM");
            wait_until(&format!("{} ends", self.name), self.patience, || {
                child.try_wait().is_ok_and(|status| status.is_some())
            });
        }
    }

    /// Kills it hard (SIGKILL); what it had in memory is gone. Does nothing when it is not running.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Everything it has printed so far.
    pub fn said(&self) -> String {
        said(&self.log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn said(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}
