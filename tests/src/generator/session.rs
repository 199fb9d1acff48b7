//! One connection to the ingest socket, spoken by hand: lines out, acknowledgements in.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// A connection whose acknowledgements are read in the background.
pub struct Session {
    stream: UnixStream,
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

/// A line that the agent refused.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Refusal {
    /// Number of the line on its connection, from 1.
    pub line: u64,
    /// Why, in the agent's words.
    pub reason: String,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    acked: u64,
    acked_at: Option<Instant>,
    refused: Vec<Refusal>,
    waits: Vec<String>,
    error: Option<String>,
    replies: u64,
    closed: bool,
    broken: Option<String>,
}

/// What the agent writes back; anything else on the line is allowed and ignored.
#[derive(Deserialize)]
struct AckLine {
    acked: u64,
    #[serde(default)]
    refused: Vec<Refusal>,
    waiting: Option<String>,
    error: Option<String>,
}

impl Session {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(path: &Path) -> io::Result<Session> {
        let stream = UnixStream::connect(path)?;
        let replies = stream.try_clone()?;
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let reader = thread::spawn(move || read_replies(replies, &state));
        Ok(Session { stream, shared, reader: Some(reader) })
    }

    /// Writes all of `bytes`; waits while the agent does not read.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Writes what the agent takes within `patience` and returns how many bytes that was.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_some(&mut self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(patience))?;
        match self.stream.write(bytes) {
            Ok(written) => Ok(written),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Says that nothing more will be written; acknowledgements still come.
    pub fn finish_writing(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// How many lines are settled, and when the last news of that came.
    pub fn acked(&self) -> (u64, Option<Instant>) {
        let state = self.state();
        (state.acked, state.acked_at)
    }

    /// How many reply lines came.
    pub fn replies(&self) -> u64 {
        self.state().replies
    }

    /// The refusals so far, in the order in which they came.
    pub fn refused(&self) -> Vec<Refusal> {
        self.state().refused.clone()
    }

    /// Takes the refusals so far away.
    pub fn take_refused(&self) -> Vec<Refusal> {
        std::mem::take(&mut self.state().refused)
    }

    /// What the agent said about letting us wait, so far.
    pub fn waits(&self) -> Vec<String> {
        self.state().waits.clone()
    }

    /// What the agent said before it closed the connection, if it did.
    pub fn error(&self) -> Option<String> {
        self.state().error.clone()
    }

    /// True when the agent has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until at least `lines` lines are settled; false when the connection closed or `within` passed first.
    ///
    /// # Panics
    /// When the agent wrote something that is not an acknowledgement.
    pub fn wait_acked(&self, lines: u64, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        loop {
            if let Some(broken) = &state.broken {
                panic!("the agent broke the acknowledgement protocol: {broken}");
            }
            if state.acked >= lines {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, left).expect("no reader panics with the lock").0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no reader panics with the lock")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn read_replies(stream: UnixStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        // Only a whole line counts: what a killed agent left half written says nothing.
        let whole = matches!(reader.read_line(&mut line), Ok(length) if length > 0) && line.ends_with('\n');
        let mut state = shared.state.lock().expect("no user panics with the lock");
        if whole {
            state.take(&line);
        } else {
            state.closed = true;
        }
        shared.changed.notify_all();
        if !whole {
            return;
        }
    }
}

impl State {
    fn take(&mut self, line: &str) {
        self.replies += 1;
        match serde_json::from_str::<AckLine>(line) {
            Ok(ack) if ack.acked < self.acked => self.broken = Some(format!("{line:?} after {}", self.acked)),
            Ok(ack) => {
                if ack.acked > self.acked {
                    self.acked = ack.acked;
                    self.acked_at = Some(Instant::now());
                }
                self.refused.extend(ack.refused);
                self.waits.extend(ack.waiting);
                self.error = ack.error.or(self.error.take());
            }
            Err(error) => self.broken = Some(format!("{line:?}: {error}")),
        }
    }
}
