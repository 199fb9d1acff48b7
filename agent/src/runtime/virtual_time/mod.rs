//! The third side: virtual time, a seeded scheduler and a simulated network, so that a whole agent runs in a test.
//!
//! Always true: everything happens on one thread; time stands still while any task is ready and then jumps to the next
//! timer; which ready task runs next, every delay and every short read come from the seed. So the same seed and the
//! same calls give the same run, which [`World::trace`] shows. A task that panics takes `run_…` with it, so that a test
//! fails where the fault is.

mod network;
#[cfg(test)]
mod tests;

pub use network::{Fault, Network, Weather};

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::runtime::{Backend, Panicked, Pending, Runtime, Stalls, Stream, Task, TaskName};
use crate::time::Millis;
use network::Wires;

/// A world with its own time, tasks and network. What runs in it ends when it is dropped.
pub struct World {
    sim: Rc<Sim>,
}

impl World {
    /// A world at time zero in which nothing happens yet.
    pub fn new(seed: u64) -> World {
        let sim = Sim {
            now: Cell::new(Millis::ZERO),
            wall_offset_ms: Cell::new(WALL_AT_START_MS),
            order: Dice::new(seed, 1),
            chance: Dice::new(seed, 2),
            entropy: Dice::new(seed, 3),
            tasks: RefCell::default(),
            timers: RefCell::default(),
            lives: RefCell::default(),
            ready: Arc::default(),
            numbers: Cell::new(0),
            trace: Cell::new(seed),
            wires: RefCell::new(Wires::default()),
        };
        World { sim: Rc::new(sim) }
    }

    /// A runtime on the node called `node`. Several shards of a node are several runtimes of the same name.
    pub fn runtime(&self, node: &str) -> Rc<dyn Runtime> {
        let life = Rc::clone(self.sim.lives.borrow_mut().entry(node.to_owned()).or_default());
        Rc::new(Virtual { sim: Rc::clone(&self.sim), life })
    }

    /// The network, to serve on it and to break it; may be kept by tasks of this world.
    pub fn network(&self) -> Network {
        Network::of(&self.sim)
    }

    /// Time since the world began.
    pub fn now(&self) -> Millis {
        self.sim.now.get()
    }

    /// Runs a task that belongs to no node, such as a producer or a receiver.
    pub fn spawn(&self, task: Task) {
        self.sim.spawn(Rc::default(), task);
    }

    /// Runs everything up to and including `moment`, and leaves the clock there.
    pub fn run_until(&self, moment: Millis) {
        self.run_while(moment, || true);
    }

    /// Runs until `goes_on` is false, asked before each step of any task, or until nothing is left to do by `limit`.
    ///
    /// Returns whether `goes_on` ended the run; otherwise the clock stands at `limit`.
    pub fn run_while(&self, limit: Millis, mut goes_on: impl FnMut() -> bool) -> bool {
        let mut steps_at_once = 0_u64;
        loop {
            if !goes_on() {
                return true;
            }
            if self.sim.step() {
                steps_at_once += 1;
                assert!(
                    steps_at_once < STEPS_AT_ONCE_MAX,
                    "time stands still at {}: tasks wake each other",
                    self.now()
                );
                continue;
            }
            if !self.sim.advance(limit) {
                self.sim.now.set(limit.max(self.now()));
                return false;
            }
            steps_at_once = 0;
        }
    }

    /// Ends a node as `kill -9` does: its tasks are dropped where they stand and its sockets closed; work it offloaded
    /// and has not begun never runs. Runtimes made for that name from now on are a new life of it.
    pub fn kill(&self, node: &str) {
        let Some(life) = self.sim.lives.borrow_mut().remove(node) else {
            return;
        };
        life.ended.set(true);
        self.sim.drop_tasks(|owner| Rc::ptr_eq(owner, &life));
    }

    /// Sets the wall clock of all nodes forward or back; nothing else may notice.
    pub fn step_wall_clock(&self, by_ms: i64) {
        self.sim.wall_offset_ms.set(self.sim.wall_offset_ms.get().saturating_add(by_ms));
    }

    /// A number below `bound` from the seed, for the test's own choices; 0 when `bound` is 0.
    pub fn roll(&self, bound: u64) -> u64 {
        self.sim.chance.below(bound)
    }

    /// Stands for all that has happened: which task ran when. Equal for equal seeds and calls.
    pub fn trace(&self) -> u64 {
        self.sim.trace.get()
    }

    /// Tasks that have not ended.
    pub fn task_count(&self) -> usize {
        self.sim.tasks.borrow().len()
    }

    /// Timers that have not fired, those of the network included.
    pub fn timer_count(&self) -> usize {
        self.sim.timers.borrow().len()
    }
}

impl Drop for World {
    /// Tasks hold the world they run in; this lets go of both.
    fn drop(&mut self) {
        for life in self.sim.lives.take().values() {
            life.ended.set(true);
        }
        self.sim.drop_tasks(|_| true);
        self.sim.wires.take();
        drop(self.sim.timers.take());
    }
}

/// What a world is made of. Shared by its runtimes, sleeps and sockets.
struct Sim {
    now: Cell<Millis>,
    wall_offset_ms: Cell<i64>,
    order: Dice,
    chance: Dice,
    entropy: Dice,
    tasks: RefCell<BTreeMap<u64, Slot>>,
    timers: RefCell<BTreeMap<(Millis, u64), Action>>,
    lives: RefCell<BTreeMap<String, Rc<Life>>>,
    ready: Arc<Ready>,
    numbers: Cell<u64>,
    trace: Cell<u64>,
    wires: RefCell<Wires>,
}

/// One life of a node, from its first runtime to its kill.
#[derive(Default)]
struct Life {
    ended: Cell<bool>,
}

struct Slot {
    /// Taken out while it runs.
    task: Option<Task>,
    owner: Rc<Life>,
    waker: Arc<TaskWaker>,
}

/// Something that happens by itself at its moment.
type Event = Box<dyn FnOnce(&Rc<Sim>)>;

/// What happens when a timer fires.
enum Action {
    Wake(Waker),
    Run(Event),
}

/// The ids of tasks that can go on. Behind a lock because wakers may be used from other threads.
#[derive(Default)]
struct Ready(Mutex<Vec<u64>>);

struct TaskWaker {
    id: u64,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }
}

impl Sim {
    fn number(&self) -> u64 {
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        number
    }

    fn spawn(&self, owner: Rc<Life>, task: Task) {
        if owner.ended.get() {
            return;
        }
        let id = self.number();
        let waker = Arc::new(TaskWaker { id, is_queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        let slot = Slot { task: Some(task), owner, waker: Arc::clone(&waker) };
        self.tasks.borrow_mut().insert(id, slot);
        waker.wake();
    }

    /// Lets one ready task go on. False when none is ready.
    fn step(&self) -> bool {
        let Some(id) = self.pick() else { return false };
        let Some((mut task, waker)) = self.take(id) else {
            return true;
        };
        self.note(id);
        // Woken from here on it is queued again, even by itself.
        waker.is_queued.store(false, Ordering::Release);
        let outcome = task.as_mut().poll(&mut Context::from_waker(&Waker::from(waker)));
        if outcome.is_pending()
            && let Some(slot) = self.tasks.borrow_mut().get_mut(&id)
        {
            slot.task = Some(task);
            return true;
        }
        // Ended, or killed by what it did; dropped here, where nothing is borrowed.
        let slot = self.tasks.borrow_mut().remove(&id);
        drop((task, slot));
        true
    }

    fn pick(&self) -> Option<u64> {
        let mut ready = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_empty() {
            return None;
        }
        let chosen = self.order.below(ready.len() as u64) as usize;
        Some(ready.swap_remove(chosen))
    }

    fn take(&self, id: u64) -> Option<(Task, Arc<TaskWaker>)> {
        let mut tasks = self.tasks.borrow_mut();
        let slot = tasks.get_mut(&id)?;
        Some((slot.task.take()?, Arc::clone(&slot.waker)))
    }

    fn note(&self, id: u64) {
        let mixed = self.trace.get() ^ id ^ self.now.get().0.rotate_left(32);
        self.trace.set(mix(mixed));
    }

    /// Moves the clock to the next timer and fires it. False when there is none up to `limit`.
    fn advance(self: &Rc<Self>, limit: Millis) -> bool {
        let first = self.timers.borrow().first_key_value().map(|(key, _)| *key);
        let Some((moment, number)) = first.filter(|(moment, _)| *moment <= limit) else {
            return false;
        };
        let action = self.timers.borrow_mut().remove(&(moment, number));
        self.now.set(moment.max(self.now.get()));
        match action {
            Some(Action::Wake(waker)) => waker.wake(),
            Some(Action::Run(run)) => run(self),
            None => {}
        }
        true
    }

    fn at(&self, moment: Millis, action: Action) -> (Millis, u64) {
        let key = (moment, self.number());
        self.timers.borrow_mut().insert(key, action);
        key
    }

    fn sleep(self: &Rc<Self>, wait: Millis) -> Sleep {
        Sleep { sim: Rc::clone(self), until: self.now.get().plus(wait), timer: None }
    }

    fn drop_tasks(&self, is_meant: impl Fn(&Rc<Life>) -> bool) {
        loop {
            // One at a time and outside the borrow: dropping a task may spawn, wake and close.
            let found = self.tasks.borrow().iter().find(|(_, slot)| is_meant(&slot.owner)).map(|(id, _)| *id);
            let Some(id) = found else { return };
            let slot = self.tasks.borrow_mut().remove(&id);
            drop(slot);
        }
    }
}

/// A node's view of the world.
struct Virtual {
    sim: Rc<Sim>,
    life: Rc<Life>,
}

impl Runtime for Virtual {
    fn backend(&self) -> Backend {
        Backend::Virtual
    }

    fn now(&self) -> Millis {
        self.sim.now.get()
    }

    fn wall_ms(&self) -> i64 {
        self.sim.wall_offset_ms.get().saturating_add_unsigned(self.sim.now.get().0)
    }

    fn entropy(&self) -> u64 {
        self.sim.entropy.next()
    }

    fn spawn(&self, _name: TaskName, task: Task) {
        self.sim.spawn(Rc::clone(&self.life), task);
    }

    /// Time stands still while a task is polled.
    fn stalls(&self) -> Stalls {
        Stalls::default()
    }

    fn sleep(&self, wait: Millis) -> Pending<()> {
        Box::pin(self.sim.sleep(wait))
    }

    fn resolve(&self, host: &str, port: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
        network::resolve(&self.sim, host, port)
    }

    fn connect(&self, address: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>> {
        network::connect(&self.sim, address)
    }

    fn adopt_unix(&self, _socket: OwnedFd) -> io::Result<Box<dyn Stream>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a simulated node has no real sockets; use Network::pair"))
    }

    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> Pending<Result<(), Panicked>> {
        let answer: Rc<RefCell<Answer>> = Rc::default();
        let (given, life) = (Rc::clone(&answer), Rc::clone(&self.life));
        let run = move |_: &Rc<Sim>| {
            if life.ended.get() {
                return;
            }
            let outcome = panic::catch_unwind(AssertUnwindSafe(job));
            let outcome = outcome.map_err(|payload| Panicked::caught("the helper job", &*payload));
            let waiter = {
                let mut answer = given.borrow_mut();
                answer.outcome = Some(outcome);
                answer.waiter.take()
            };
            if let Some(waiter) = waiter {
                waiter.wake();
            }
        };
        let delay = Millis(self.sim.chance.below(OFFLOAD_MAX_MS));
        self.sim.at(self.sim.now.get().plus(delay), Action::Run(Box::new(run)));
        Box::pin(poll_fn(move |cx| {
            let mut answer = answer.borrow_mut();
            match answer.outcome.take() {
                Some(outcome) => Poll::Ready(outcome),
                None => {
                    answer.waiter = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }
}

/// What a helper job left behind.
#[derive(Default)]
struct Answer {
    outcome: Option<Result<(), Panicked>>,
    waiter: Option<Waker>,
}

/// Resolves at a moment; takes its timer along when dropped.
struct Sleep {
    sim: Rc<Sim>,
    until: Millis,
    timer: Option<(Millis, u64)>,
}

impl Sleep {
    fn forget_timer(&mut self) {
        if let Some(key) = self.timer.take() {
            self.sim.timers.borrow_mut().remove(&key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Polled for another reason, or by another task: the newest waker counts.
        self.forget_timer();
        if self.until <= self.sim.now.get() {
            return Poll::Ready(());
        }
        let key = self.sim.at(self.until, Action::Wake(cx.waker().clone()));
        self.timer = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget_timer();
    }
}

/// A seeded sequence of numbers (SplitMix64).
struct Dice(Cell<u64>);

impl Dice {
    fn new(seed: u64, purpose: u64) -> Dice {
        Dice(Cell::new(mix(seed ^ mix(purpose))))
    }

    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        mix(state)
    }

    fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// True `percent` times in a hundred.
    fn happens(&self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The wall clock when a world begins: 2026-05-12T14:23:01Z.
const WALL_AT_START_MS: i64 = 1_778_595_781_000;

/// Offloaded work takes less than this.
const OFFLOAD_MAX_MS: u64 = 20;

/// More steps without time passing are a livelock.
const STEPS_AT_ONCE_MAX: u64 = 2_000_000;
