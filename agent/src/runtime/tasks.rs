//! The task list both real sides share.
//!
//! glommio's own wakers count references in 16 bits and keep a task's state without atomics; here they wake one task
//! only, the one that runs this list, and what the shard hands to other threads are the wakers of async-executor.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use async_executor::LocalExecutor;
use futures_lite::future::{self, FutureExt};

use crate::runtime::stalls::{LoopWatch, Stalls, TaskName};
use crate::runtime::{Panicked, Task};

/// The tasks of one shard. The list itself is owned by [`drive`], so that the tasks end when it does although they
/// hold the runtime.
#[derive(Clone)]
pub(super) struct Tasks {
    list: Weak<LocalExecutor<'static>>,
    first_panic: Rc<RefCell<FirstPanic>>,
    watch: LoopWatch,
}

#[derive(Default)]
struct FirstPanic {
    caught: Option<Panicked>,
    waiter: Option<Waker>,
}

impl Tasks {
    pub(super) fn new() -> (Rc<LocalExecutor<'static>>, Tasks) {
        let list = Rc::new(LocalExecutor::new());
        let tasks = Tasks { list: Rc::downgrade(&list), first_panic: Rc::default(), watch: LoopWatch::new() };
        (list, tasks)
    }

    /// Adds a task; after the shard's end it is dropped.
    pub(super) fn spawn(&self, name: TaskName, task: Task) {
        let Some(list) = self.list.upgrade() else {
            return;
        };
        let (first_panic, watch) = (Rc::clone(&self.first_panic), self.watch.clone());
        let watched = async move {
            if let Err(payload) = watch.timed(name, AssertUnwindSafe(task).catch_unwind()).await {
                first_panic.borrow_mut().note(Panicked::caught("a task of the shard", &*payload));
            }
        };
        list.spawn(watched).detach();
    }

    /// Who held the loop, and for how long.
    pub(super) fn stalls(&self) -> Stalls {
        self.watch.stalls()
    }

    /// Resolves when a task has panicked.
    async fn panicked(&self) -> Panicked {
        poll_fn(|context| {
            let mut first = self.first_panic.borrow_mut();
            match first.caught.take() {
                Some(panicked) => Poll::Ready(panicked),
                None => {
                    first.waiter = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl FirstPanic {
    fn note(&mut self, panicked: Panicked) {
        self.caught.get_or_insert(panicked);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

/// Runs the list until `main` ends or a task panics. All tasks have been dropped when it returns.
///
/// # Errors
/// The first panic.
pub(super) async fn drive(
    list: Rc<LocalExecutor<'static>>,
    tasks: Tasks,
    main: impl FnOnce() -> Task,
) -> Result<(), Panicked> {
    let main = async {
        AssertUnwindSafe(async { main().await })
            .catch_unwind()
            .await
            .map_err(|payload| Panicked::caught("the shard's main task", &*payload))
    };
    let main = tasks.watch.timed(TaskName::Turn, main);
    let watch = async { Err(tasks.panicked().await) };
    tasks.watch.over(list.run(future::or(watch, main))).await
}
