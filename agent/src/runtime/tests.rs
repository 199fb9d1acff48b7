//! What both real sides must do, asked of each in turn.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use futures_lite::future::{self, poll_fn};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::sys;

/// Both sides; where io_uring is refused its turn is skipped and the reason printed.
fn sides() -> Vec<Backend> {
    let mut sides = vec![Backend::Epoll];
    match choose(RuntimeSetting::IoUring) {
        Ok(choice) => sides.push(choice.backend),
        #[expect(clippy::print_stderr, reason = "a skipped side must not be silent")]
        Err(error) => eprintln!("skipped on io_uring: {error}"),
    }
    sides
}

/// Runs `test` on a shard of each side and hands back what it returns.
pub(crate) fn on_each_side<T, F>(test: impl Fn(Rc<dyn Runtime>) -> F + Copy + Send + 'static) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    sides()
        .into_iter()
        .map(|side| {
            let (tell, told) = mpsc::channel();
            let shard = start(side, format!("t-{side}"), move |runtime| {
                assert_eq!(runtime.backend(), side);
                Box::pin(async move { tell.send(test(runtime).await).unwrap() })
            })
            .unwrap();
            shard.join().unwrap();
            told.try_recv().unwrap()
        })
        .collect()
}

#[test]
fn tasks_run_beside_each_other_and_end_with_the_shard() {
    struct Flag(Arc<Mutex<bool>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = true;
        }
    }
    for dropped in on_each_side(|runtime| async move {
        let dropped = Arc::new(Mutex::new(false));
        let (flag, kept) = (Flag(Arc::clone(&dropped)), Rc::clone(&runtime));
        runtime.spawn(
            TaskName::Turn,
            Box::pin(async move {
                // Never ends, and holds the runtime it runs on.
                let _held = (flag, kept);
                future::pending::<()>().await;
            }),
        );
        let counted = Rc::new(Cell::new(0));
        for _ in 0..1000 {
            let counted = Rc::clone(&counted);
            runtime.spawn(TaskName::Turn, Box::pin(async move { counted.set(counted.get() + 1) }));
        }
        while counted.get() < 1000 {
            runtime.sleep(Millis(1)).await;
        }
        dropped
    }) {
        assert!(*dropped.lock().unwrap(), "the endless task outlived its shard");
    }
}

#[test]
fn sleeps_wake_in_order_and_may_be_dropped() {
    for order in on_each_side(|runtime| async move {
        for _ in 0..10_000 {
            let never = runtime.sleep(Millis(u64::MAX));
            let once = async { future::yield_now().await };
            future::or(never, once).await;
        }
        let order = Rc::new(RefCell::new(Vec::new()));
        for wait in [120, 20, 70] {
            let (order, runtime_here) = (Rc::clone(&order), Rc::clone(&runtime));
            runtime.spawn(
                TaskName::Turn,
                Box::pin(async move {
                    runtime_here.sleep(Millis(wait)).await;
                    order.borrow_mut().push(wait);
                }),
            );
        }
        let before = runtime.now();
        runtime.sleep(Millis(300)).await;
        assert!(runtime.now().since(before) >= Millis(300));
        order.take()
    }) {
        assert_eq!(order, [20, 70, 120]);
    }
}

#[test]
fn large_transfers_go_both_ways_at_once() {
    const SIZE: usize = 8 << 20;
    on_each_side(|runtime| async move {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let echo = thread::spawn(move || echo_all(listener.accept().unwrap().0));
        let stream = runtime.connect(address).await.unwrap();
        assert!(stream.raw_fd().is_some());
        let (mut from, mut to) = futures_lite::io::split(stream);
        let sent: Vec<u8> = (0..SIZE).map(|n| (n / 251) as u8).collect();
        let write = async {
            to.write_all(&sent).await.unwrap();
            to.close().await.unwrap();
        };
        let mut got = Vec::new();
        let ((), read) = future::zip(write, from.read_to_end(&mut got)).await;
        assert_eq!(read.unwrap(), SIZE);
        assert!(got == sent, "the bytes changed on the way");
        echo.join().unwrap();
    });
}

fn echo_all(mut socket: TcpStream) {
    let mut block = vec![0; 1 << 16];
    loop {
        match socket.read(&mut block).unwrap() {
            0 => return,
            got => socket.write_all(&block[..got]).unwrap(),
        }
    }
}

#[test]
fn an_accepted_unix_socket_is_served_on_the_shard() {
    on_each_side(|runtime| async move {
        let (producer, accepted) = UnixStream::pair().unwrap();
        let producer = thread::spawn(move || {
            let mut producer = producer;
            producer.write_all(&vec![7; 1 << 20]).unwrap();
            producer.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            producer.read_to_string(&mut answer).unwrap();
            answer
        });
        let mut stream = runtime.adopt_unix(OwnedFd::from(accepted)).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, vec![7; 1 << 20]);
        stream.write_all(b"{\"acked\":1}").await.unwrap();
        drop(stream);
        let answer = offload_value(&runtime, move || producer.join().unwrap()).await.unwrap();
        assert_eq!(answer, "{\"acked\":1}");
    });
}

#[test]
fn a_dropped_stream_is_closed_for_its_peer() {
    on_each_side(|runtime| async move {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = runtime.connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        drop(stream);
        let seen = offload_value(&runtime, move || peer.read(&mut [0; 1])).await.unwrap();
        assert_eq!(seen.unwrap(), 0);
    });
}

#[test]
fn a_refused_connection_says_so_and_a_hanging_one_can_be_dropped() {
    on_each_side(|runtime| async move {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = runtime.connect(free).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

        // With its queue of one full, a listener leaves further connections hanging.
        let (_listener, address) = listener_with_a_queue_of_one();
        let mut kept = Vec::new();
        loop {
            let attempt = async { runtime.connect(address).await.ok() };
            let give_up = async {
                runtime.sleep(Millis(200)).await;
                None
            };
            match future::or(attempt, give_up).await {
                Some(stream) => kept.push(stream),
                None => break,
            }
            assert!(kept.len() < 100, "the queue does not fill");
        }
    });
}

fn listener_with_a_queue_of_one() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    sys::set_backlog(listener.as_raw_fd(), 1).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_waker_works_from_another_thread() {
    on_each_side(|runtime| async move {
        for _ in 0..200 {
            let slot: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
            let other = Arc::clone(&slot);
            let waker_thread = thread::spawn(move || {
                loop {
                    let mut slot = other.lock().unwrap();
                    if let Some(waker) = slot.1.take() {
                        slot.0 = true;
                        drop(slot);
                        waker.wake();
                        return;
                    }
                    drop(slot);
                    thread::yield_now();
                }
            });
            poll_fn(|cx| {
                let mut slot = slot.lock().unwrap();
                if slot.0 {
                    return Poll::Ready(());
                }
                slot.1 = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
            waker_thread.join().unwrap();
        }
        assert!(runtime.now() < Millis::from_secs(60));
    });
}

#[test]
fn wakers_that_outlive_their_shard_do_no_harm() {
    for waker in on_each_side(|runtime| async move {
        let slot = Rc::new(RefCell::new(None));
        let inside = Rc::clone(&slot);
        runtime.spawn(
            TaskName::Turn,
            Box::pin(poll_fn(move |cx| {
                *inside.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })),
        );
        runtime.sleep(Millis(5)).await;
        slot.take().unwrap()
    }) {
        waker.wake_by_ref();
        let second = waker.clone();
        drop(waker);
        second.wake();
    }
}

#[test]
fn lesson_52_a_panic_in_offloaded_work_is_an_error_and_the_shard_goes_on() {
    on_each_side(|runtime| async move {
        let error = runtime.offload(Box::new(|| panic!("disk on fire"))).await.unwrap_err();
        assert!(error.message.contains("disk on fire"));
        assert_eq!(offload_value(&runtime, || 41 + 1).await.unwrap(), 42);
        assert!(offload_value(&runtime, || panic!("again")).await.map(|(): ()| ()).is_err());
    });
}

#[test]
fn a_panic_in_a_task_is_reported_by_the_shard() {
    for side in sides() {
        let spawned = start(side, "t-panic".into(), |runtime| {
            runtime.spawn(TaskName::Turn, Box::pin(async { panic!("the books do not balance") }));
            Box::pin(future::pending())
        });
        let error = spawned.unwrap().join().unwrap_err();
        assert!(error.message.contains("the books do not balance"), "{error}");

        let main = start(side, "t-panic".into(), |_| Box::pin(async { panic!("main fell over") }));
        let error = main.unwrap().join().unwrap_err();
        assert!(error.message.contains("main fell over"), "{error}");
    }
}

#[test]
fn a_task_that_blocks_is_reported_under_its_name() {
    const BLOCKED: Duration = Duration::from_millis(50);
    for (before, after) in on_each_side(|runtime| async move {
        runtime.sleep(Millis(1)).await;
        let before = runtime.stalls();
        let sleeper = Rc::clone(&runtime);
        runtime.spawn(
            TaskName::Delivery,
            Box::pin(async move {
                // Not in its first poll, so that it comes from the reactor.
                sleeper.sleep(Millis(5)).await;
                thread::sleep(BLOCKED);
            }),
        );
        runtime.sleep(Millis(100)).await;
        (before, runtime.stalls())
    }) {
        let longest = |stalls: &Stalls, wanted| stalls.each().find(|(name, _)| *name == wanted).unwrap().1.longest;
        assert!(longest(&before, TaskName::Delivery) < BLOCKED, "{before:?}");
        assert!(longest(&after, TaskName::Delivery) >= BLOCKED, "{after:?}");
        assert_eq!(after.longest().unwrap().0, TaskName::Delivery, "{after:?}");
    }
}

#[test]
fn a_shards_own_work_that_blocks_is_reported_as_its_turn() {
    const BLOCKED: Duration = Duration::from_millis(50);
    for stalls in on_each_side(|runtime| async move {
        thread::sleep(BLOCKED);
        future::yield_now().await;
        runtime.stalls()
    }) {
        let (name, longest) = stalls.longest().unwrap();
        assert!(name == TaskName::Turn && longest >= BLOCKED, "{stalls:?}");
    }
}

/// The system may take the thread away from a quick poll too; from one of many rounds it does not.
#[test]
fn a_loop_that_waits_or_is_quick_has_nothing_to_report() {
    for quiet in on_each_side(|runtime| async move {
        let mut quiet = 0;
        // So that the first round, too, comes after a time of waiting.
        runtime.sleep(Millis(10)).await;
        for _ in 0..50 {
            let before = runtime.stalls();
            runtime.spawn(TaskName::Ingest, Box::pin(async { future::yield_now().await }));
            runtime.sleep(Millis(10)).await;
            quiet += u32::from(runtime.stalls() == before);
        }
        quiet
    }) {
        assert!(quiet > 0, "each round of waiting counts as a stall");
    }
}

#[test]
fn names_are_resolved() {
    on_each_side(|runtime| async move {
        let found = runtime.resolve("localhost", 80).await.unwrap();
        assert!(!found.is_empty());
        assert_eq!(runtime.resolve("192.0.2.1", 80).await.unwrap(), ["192.0.2.1:80".parse().unwrap()]);
    });
}

#[test]
fn several_shards_run_at_once() {
    for side in sides() {
        let shards: Vec<ShardThread> = (0..4)
            .map(|n| {
                start(side, format!("t-{n}"), |runtime| {
                    Box::pin(async move {
                        for _ in 0..50 {
                            runtime.sleep(Millis(2)).await;
                        }
                    })
                })
                .unwrap()
            })
            .collect();
        for shard in shards {
            shard.join().unwrap();
        }
    }
}

#[test]
fn shards_that_have_ended_leave_no_descriptors_and_no_threads() {
    alone("shards_that_have_ended_leave_no_descriptors_and_no_threads", || {
        let count = |what: &str| {
            let entries = fs::read_dir(format!("/proc/self/{what}")).unwrap();
            // glommio 0.9 never closes the eventfd of an executor; a process has a handful of those.
            let is_eventfd = |path| fs::read_link(path).is_ok_and(|link| link.to_string_lossy().contains("eventfd"));
            entries.filter(|entry| !is_eventfd(entry.as_ref().unwrap().path())).count()
        };
        let round = || {
            on_each_side(|runtime| async move {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let stream = runtime.connect(listener.local_addr().unwrap()).await.unwrap();
                let sleeper = Rc::clone(&runtime);
                runtime.spawn(
                    TaskName::Turn,
                    Box::pin(async move {
                        let _kept = stream;
                        sleeper.sleep(Millis::from_secs(3600)).await;
                    }),
                );
                offload_value(&runtime, || ()).await.unwrap();
            });
        };
        round();
        let settle = || thread::sleep(Duration::from_millis(500));
        settle();
        let before = (count("fd"), count("task"));
        (0..10).for_each(|_| round());
        settle();
        assert_eq!((count("fd"), count("task")), before);
    });
}

/// Runs `check` in a process of its own, because other tests of this one work and open things at the same time.
fn alone(test: &str, check: impl FnOnce()) {
    if std::env::var_os(IS_CHILD).is_some() {
        return check();
    }
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let run = child.args(["--exact", &name, "--test-threads=1"]).env(IS_CHILD, "1").output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
}

const IS_CHILD: &str = "SCAIDRIVE_TEST_IS_CHILD";

#[test]
fn a_busy_shard_still_hears_its_timers_and_sockets() {
    for took in on_each_side(|runtime| async move {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let echo = thread::spawn(move || echo_all(listener.accept().unwrap().0));
        let mut stream = runtime.connect(address).await.unwrap();
        runtime.spawn(
            TaskName::Turn,
            Box::pin(async {
                loop {
                    future::yield_now().await;
                }
            }),
        );
        let started = runtime.now();
        for _ in 0..100 {
            runtime.sleep(Millis(1)).await;
            stream.write_all(b"ping").await.unwrap();
            stream.read_exact(&mut [0; 4]).await.unwrap();
        }
        drop(stream);
        echo.join().unwrap();
        runtime.now().since(started)
    }) {
        assert!(took < Millis::from_secs(60), "100 round trips took {took}");
    }
}

/// An idle shard neither spins nor polls, and its reactor's helper threads don't either. What its few turns cost is a figure
/// of `bench/`, because it depends on the machine.
#[test]
fn an_idle_shard_sleeps() {
    alone("an_idle_shard_sleeps", || {
        for (side, idle) in sides().into_iter().zip(on_each_side(while_idle)) {
            assert!(idle.on_cpu < Duration::from_millis(300), "{side}: {idle:?} in {IDLE}: something spins");
            assert!(idle.naps < 60, "{side}: {idle:?} in {IDLE}: something polls");
        }
    });
}

const IDLE: Millis = Millis(3_000);

/// What the threads of this process do while its shard waits for bytes and for a timer far away.
async fn while_idle(runtime: Rc<dyn Runtime>) -> Activity {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = runtime.connect(listener.local_addr().unwrap()).await.unwrap();
    let far = Rc::clone(&runtime);
    runtime.spawn(TaskName::Turn, Box::pin(async move { far.sleep(Millis::from_secs(3600)).await }));
    runtime.spawn(
        TaskName::Turn,
        Box::pin(async move {
            let _ = stream.read(&mut [0; 1]).await;
        }),
    );
    runtime.sleep(Millis(50)).await;
    let before = Activity::so_far();
    runtime.sleep(IDLE).await;
    let after = Activity::so_far();
    Activity { on_cpu: after.on_cpu - before.on_cpu, naps: after.naps - before.naps }
}

/// The scheduler's own account of all threads of this process.
#[derive(Debug)]
struct Activity {
    on_cpu: Duration,
    /// How often a thread has gone to sleep.
    naps: u64,
}

impl Activity {
    fn so_far() -> Activity {
        let mut so_far = Activity { on_cpu: Duration::ZERO, naps: 0 };
        for thread in fs::read_dir("/proc/self/task").unwrap() {
            let thread = thread.unwrap().path();
            let account = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
            so_far.on_cpu += Duration::from_nanos(account.split(' ').next().unwrap().parse().unwrap_or(0));
            let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
            let naps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            so_far.naps += naps.map_or(0, |naps| naps.trim().parse::<u64>().unwrap());
        }
        so_far
    }
}
