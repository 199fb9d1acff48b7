//! Helper threads for work that blocks: name look-ups, files, compression of the past.
//!
//! A panic in a job is its answer, never a hang: the answer is also given when a job is dropped unrun. Threads start
//! when there is work, at most [`THREADS_MAX`] for each kind, and leave after ten idle seconds, so an idle shard has
//! none. Look-ups have threads of their own, because a name server that does not answer holds a thread for half a minute.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::runtime::{Panicked, Pending};

/// The helper threads of one shard.
pub(super) struct Helpers {
    files: Pool,
    names: Pool,
}

impl Helpers {
    pub(super) fn new(shard: &str) -> Helpers {
        Helpers { files: Pool::new(format!("{shard}-help")), names: Pool::new(format!("{shard}-dns")) }
    }

    pub(super) fn offload(&self, job: Box<dyn FnOnce() + Send>) -> Pending<Result<(), Panicked>> {
        let answer = self.files.run(job);
        Box::pin(async move { answer.wait().await })
    }

    /// An address is answered here; only a name costs a helper thread.
    pub(super) fn resolve(&self, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
        if let Some(address) = literal(host) {
            return Box::pin(async move { Ok(vec![SocketAddr::new(address, port)]) });
        }
        let answer = Answer::new();
        let asked = answer.clone();
        let host = host.to_owned();
        let job = move || {
            if asked.is_wanted() {
                let found = look_up(&host, port);
                asked.give(found);
            }
        };
        let done = self.names.run(Box::new(job));
        Box::pin(async move {
            done.wait().await.map_err(io::Error::other)?;
            answer.wait().await
        })
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(found)
}

struct Pool {
    name: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Job {
    work: Box<dyn FnOnce() + Send>,
    answer: Answer<Result<(), Panicked>>,
}

impl Job {
    fn run(self) {
        let outcome = panic::catch_unwind(AssertUnwindSafe(self.work));
        self.answer.give(outcome.map_err(|payload| Panicked::caught("the helper job", &*payload)));
    }
}

impl Pool {
    fn new(name: String) -> Pool {
        Pool { name, shared: Arc::new(Shared::default()) }
    }

    fn run(&self, work: Box<dyn FnOnce() + Send>) -> Answer<Result<(), Panicked>> {
        let answer = Answer::new();
        let mut state = self.shared.lock();
        if state.waiting.len() >= WAITING_MAX {
            answer.give(Err(Panicked::new("not started: too many jobs wait for a helper thread")));
            return answer;
        }
        if state.idle <= state.waiting.len() && state.threads < THREADS_MAX {
            match self.spawn_thread() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    answer.give(Err(Panicked::new(format!("cannot start a helper thread: {error}"))));
                    return answer;
                }
                // The threads that exist will take it, only later.
                Err(_) => {}
            }
        }
        state.waiting.push_back(Job { work, answer: answer.clone() });
        drop(state);
        self.shared.work.notify_one();
        answer
    }

    fn spawn_thread(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name(self.name.clone()).spawn(move || shared.work_until_idle()).map(drop)
    }
}

impl Drop for Pool {
    /// The threads finish what was handed over, then leave. Nobody waits for them: one may be stuck in a look-up.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock, so what it guards is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_until_idle(&self) {
        while let Some(job) = self.next() {
            job.run();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (back, waited) = self.work.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if waited.timed_out() && state.waiting.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

/// A value that is given once, on any thread, and waited for on another.
struct Answer<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Answer(Arc::clone(&self.0))
    }
}

impl<T> Answer<T> {
    fn new() -> Answer<T> {
        Answer(Arc::new(Mutex::new((None, None))))
    }

    fn give(&self, value: T) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.0 = Some(value);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether someone still holds the other end.
    fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    async fn wait(&self) -> T {
        poll_fn(|context| {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    slot.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Threads of one kind a shard may have.
const THREADS_MAX: usize = 4;

/// Jobs that may wait; each is waited for by a task, so this is far above what a shard has.
const WAITING_MAX: usize = 8192;

/// A thread without work leaves after this.
const IDLE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use std::sync::mpsc;

    #[test]
    fn lesson_52_a_panic_in_a_blocking_job_is_an_error_and_the_thread_lives_on() {
        let helpers = Helpers::new("t");
        let error = block_on(helpers.offload(Box::new(|| panic!("boom")))).unwrap_err();
        assert!(error.message.contains("boom"), "{error}");
        for _ in 0..20 {
            block_on(helpers.offload(Box::new(|| ()))).unwrap();
        }
    }

    #[test]
    fn threads_are_bounded_and_all_jobs_run() {
        let helpers = Helpers::new("t");
        let (tell, told) = mpsc::channel();
        let answers: Vec<_> = (0..200)
            .map(|n| {
                let tell = tell.clone();
                helpers.offload(Box::new(move || tell.send(n).unwrap()))
            })
            .collect();
        assert!(helpers.files.shared.lock().threads <= THREADS_MAX);
        for answer in answers {
            block_on(answer).unwrap();
        }
        let mut seen: Vec<i32> = told.try_iter().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn a_job_whose_answer_nobody_wants_still_runs() {
        let helpers = Helpers::new("t");
        let (tell, told) = mpsc::channel();
        drop(helpers.offload(Box::new(move || tell.send(7).unwrap())));
        drop(helpers);
        assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok(7));
    }

    #[test]
    fn addresses_need_no_look_up_and_names_are_found() {
        let helpers = Helpers::new("t");
        assert_eq!(block_on(helpers.resolve("[::1]", 5)).unwrap(), ["[::1]:5".parse().unwrap()]);
        assert_eq!(block_on(helpers.resolve("10.1.2.3", 5)).unwrap(), ["10.1.2.3:5".parse().unwrap()]);
        assert_eq!(helpers.names.shared.lock().threads, 0);
        let found = block_on(helpers.resolve("localhost", 9)).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 9));
        assert!(block_on(helpers.resolve("no such name.invalid", 9)).is_err());
    }
}
