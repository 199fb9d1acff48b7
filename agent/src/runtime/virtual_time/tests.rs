use std::net::{Ipv4Addr, SocketAddrV4};

use futures_lite::future::{self, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::runtime::{TaskName, offload_value};

const SERVER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 514));

/// Keeps what tasks report, in order.
type Log<T> = Rc<RefCell<Vec<T>>>;

fn echo(mut stream: Box<dyn Stream>) -> Task {
    Box::pin(async move {
        let mut block = [0; 4096];
        while let Ok(got @ 1..) = stream.read(&mut block).await {
            if stream.write_all(&block[..got]).await.is_err() {
                return;
            }
        }
    })
}

/// A busy world: sleeping tasks, echoing connections, offloaded work. Returns its trace and what it logged.
fn busy_run(seed: u64) -> (u64, Vec<(u64, usize)>) {
    let world = World::new(seed);
    world.network().serve(SERVER, echo);
    let log: Log<(u64, usize)> = Rc::default();
    for node in 0..5 {
        let runtime = world.runtime(&format!("node-{node}"));
        let log = Rc::clone(&log);
        runtime.clone().spawn(
            TaskName::Turn,
            Box::pin(async move {
                let mut stream = runtime.connect(SERVER).await.unwrap();
                for round in 0..20 {
                    runtime.sleep(Millis(runtime.entropy() % 50)).await;
                    stream.write_all(&vec![node as u8; 1000]).await.unwrap();
                    let mut back = vec![0; 1000];
                    stream.read_exact(&mut back).await.unwrap();
                    assert!(back.iter().all(|byte| *byte == node as u8));
                    offload_value(&runtime, move || round).await.unwrap();
                    log.borrow_mut().push((runtime.now().0, node));
                }
            }),
        );
    }
    world.run_until(Millis::from_secs(60));
    (world.trace(), log.take())
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let (trace, log) = busy_run(7);
    assert_eq!(log.len(), 100);
    assert_eq!((trace, log), busy_run(7));
    assert_ne!(trace, busy_run(8).0);
}

#[test]
fn the_order_of_ready_tasks_comes_from_the_seed() {
    let order = |seed| {
        let world = World::new(seed);
        let log: Log<usize> = Rc::default();
        for task in 0..8 {
            let log = Rc::clone(&log);
            world.spawn(Box::pin(async move { log.borrow_mut().push(task) }));
        }
        world.run_until(Millis::ZERO);
        log.take()
    };
    let orders: std::collections::BTreeSet<_> = (0..20).map(order).collect();
    assert!(orders.len() > 10, "{orders:?}");
}

#[test]
fn timers_fire_in_order_and_time_stands_still_between() {
    let world = World::new(1);
    let runtime = world.runtime("a");
    let log: Log<u64> = Rc::default();
    for wait in [300, 0, 20, 100] {
        let (log, runtime) = (Rc::clone(&log), Rc::clone(&runtime));
        world.spawn(Box::pin(async move {
            runtime.sleep(Millis(wait)).await;
            assert_eq!(runtime.now(), Millis(wait));
            log.borrow_mut().push(wait);
        }));
    }
    world.run_until(Millis(299));
    assert_eq!(*log.borrow(), [0, 20, 100]);
    assert_eq!(world.now(), Millis(299));
    world.run_until(Millis(300));
    assert_eq!(*log.borrow(), [0, 20, 100, 300]);
}

#[test]
fn a_dropped_sleep_leaves_no_timer() {
    let world = World::new(1);
    let runtime = world.runtime("a");
    world.spawn(Box::pin(async move {
        for _ in 0..1000 {
            future::or(runtime.sleep(Millis::from_secs(60)), yield_now()).await;
        }
    }));
    world.run_until(Millis(1));
    assert_eq!((world.task_count(), world.timer_count()), (0, 0));
}

#[test]
fn a_run_stops_when_its_condition_ends_it() {
    let world = World::new(1);
    let runtime = world.runtime("a");
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    world.spawn(Box::pin(async move {
        loop {
            runtime.sleep(Millis(10)).await;
            counted.set(counted.get() + 1);
        }
    }));
    assert!(world.run_while(Millis::from_secs(100), || count.get() < 5));
    assert_eq!(world.now(), Millis(50));
    assert!(!world.run_while(Millis(70), || true));
    assert_eq!(count.get(), 7);
}

#[test]
#[should_panic(expected = "the books do not balance")]
fn a_panic_in_a_task_fails_the_run() {
    let world = World::new(1);
    world.spawn(Box::pin(async { panic!("the books do not balance") }));
    world.run_until(Millis(1));
}

#[test]
fn bytes_arrive_whole_and_in_order_through_a_small_buffer() {
    for seed in 0..50 {
        let world = World::new(seed);
        world.network().set_weather(Weather { latency: (Millis(1), Millis(40)), buffer: 700, short: 50 });
        let (mut near, mut far) = world.network().pair();
        let sent: Vec<u8> = (0..20_000_u32).map(|n| (n * 7 / 3) as u8).collect();
        let expected = sent.clone();
        world.spawn(Box::pin(async move {
            near.write_all(&sent).await.unwrap();
            near.close().await.unwrap();
            assert_eq!(near.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }));
        let got: Log<u8> = Rc::default();
        let into = Rc::clone(&got);
        world.spawn(Box::pin(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            into.replace(all);
        }));
        world.run_until(Millis::from_secs(600));
        assert!(*got.borrow() == expected, "seed {seed}");
        assert_eq!(world.task_count(), 0, "seed {seed}");
    }
}

#[test]
fn a_cut_is_seen_by_both_ends() {
    let world = World::new(3);
    let seen: Log<io::ErrorKind> = Rc::default();
    let server_seen = Rc::clone(&seen);
    world.network().serve(SERVER, move |mut stream| {
        let seen = Rc::clone(&server_seen);
        Box::pin(async move {
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            seen.borrow_mut().push(error.kind());
        })
    });
    let (runtime, client_seen) = (world.runtime("a"), Rc::clone(&seen));
    world.spawn(Box::pin(async move {
        let mut stream = runtime.connect(SERVER).await.unwrap();
        let reading = stream.read(&mut [0; 8]).await.unwrap_err().kind();
        let writing = stream.write(b"x").await.unwrap_err().kind();
        client_seen.borrow_mut().extend([reading, writing]);
    }));
    world.run_until(Millis(100));
    assert_eq!(world.network().connection_count(SERVER), 1);
    assert_eq!(world.network().cut(SERVER), 1);
    world.run_until(Millis(200));
    assert_eq!(*seen.borrow(), [io::ErrorKind::ConnectionReset; 3]);
    assert_eq!(world.network().connection_count(SERVER), 0);
}

#[test]
fn lesson_38_what_is_written_after_the_peer_closed_is_taken_once_and_then_reset() {
    let world = World::new(4);
    let (mut near, far) = world.network().pair();
    drop(far);
    let (runtime, done) = (world.runtime("a"), Rc::new(Cell::new(false)));
    let ended = Rc::clone(&done);
    world.spawn(Box::pin(async move {
        assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0, "the FIN");
        near.write_all(b"lost without an error").await.unwrap();
        runtime.sleep(Millis(50)).await;
        assert_eq!(near.write(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        ended.set(true);
    }));
    world.run_until(Millis(100));
    assert!(done.get());
}

#[test]
fn faults_refuse_stay_silent_swallow_and_mend() {
    let world = World::new(5);
    let network = world.network();
    network.serve(SERVER, echo);
    let runtime = world.runtime("a");
    let connected: Log<Result<(), io::ErrorKind>> = Rc::default();
    let attempt = |fault| {
        network.set_fault(SERVER, fault);
        let (runtime, outcomes) = (Rc::clone(&runtime), Rc::clone(&connected));
        world.spawn(Box::pin(async move {
            let outcome = runtime.connect(SERVER).await.map(drop).map_err(|error| error.kind());
            outcomes.borrow_mut().push(outcome);
        }));
        world.run_until(world.now().plus(Millis(100)));
        connected.take()
    };
    assert_eq!(attempt(Fault::Refused), [Err(io::ErrorKind::ConnectionRefused)]);
    assert_eq!(attempt(Fault::Silent), []);
    assert_eq!(attempt(Fault::None), [Ok(())]);
    assert_eq!(attempt(Fault::Swallows), [Ok(())]);
    network.stop_serving(SERVER);
    assert_eq!(attempt(Fault::None), [Err(io::ErrorKind::ConnectionRefused)]);
}

#[test]
fn a_silent_peer_blocks_writes_until_it_is_back() {
    let world = World::new(6);
    let network = world.network();
    network.serve(SERVER, echo);
    let (runtime, echoed) = (world.runtime("a"), Rc::new(Cell::new(false)));
    let done = Rc::clone(&echoed);
    world.spawn(Box::pin(async move {
        let stream = runtime.connect(SERVER).await.unwrap();
        runtime.sleep(Millis(50)).await;
        let (mut from, mut to) = futures_lite::io::split(stream);
        let sent = vec![9; 300_000];
        let mut back = vec![0; 300_000];
        let (wrote, read) = future::zip(to.write_all(&sent), from.read_exact(&mut back)).await;
        wrote.unwrap();
        read.unwrap();
        done.set(back == sent);
    }));
    world.run_until(Millis(40));
    network.set_fault(SERVER, Fault::Silent);
    world.run_until(Millis::from_secs(600));
    assert!(!echoed.get());
    network.set_fault(SERVER, Fault::None);
    world.run_until(Millis::from_secs(1200));
    assert!(echoed.get());
}

#[test]
fn a_swallowing_path_takes_everything_and_delivers_nothing() {
    let world = World::new(6);
    let network = world.network();
    network.serve(SERVER, echo);
    network.set_fault(SERVER, Fault::Swallows);
    let (runtime, wrote) = (world.runtime("a"), Rc::new(Cell::new(false)));
    let done = Rc::clone(&wrote);
    world.spawn(Box::pin(async move {
        let mut stream = runtime.connect(SERVER).await.unwrap();
        stream.write_all(&vec![1; 1_000_000]).await.unwrap();
        done.set(true);
        stream.read(&mut [0; 1]).await.unwrap();
        panic!("something came back");
    }));
    world.run_until(Millis::from_secs(60));
    assert!(wrote.get());
}

#[test]
fn a_killed_node_drops_its_tasks_and_its_peers_notice() {
    let world = World::new(9);
    let (mut near, mut far) = world.network().pair();
    let runtime = world.runtime("a");
    let late = Rc::clone(&runtime);
    runtime.spawn(
        TaskName::Turn,
        Box::pin(async move {
            near.read(&mut [0; 1]).await.unwrap();
            unreachable!("killed before anything came");
        }),
    );
    let ran = Arc::new(AtomicBool::new(false));
    let job_ran = Arc::clone(&ran);
    drop(runtime.offload(Box::new(move || job_ran.store(true, Ordering::Relaxed))));
    let noticed = Rc::new(Cell::new(false));
    let sees = Rc::clone(&noticed);
    world.spawn(Box::pin(async move {
        assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0);
        sees.set(true);
    }));
    world.kill("a");
    late.spawn(TaskName::Turn, Box::pin(async { panic!("a dead node runs nothing") }));
    world.run_until(Millis(100));
    assert!(noticed.get() && !ran.load(Ordering::Relaxed));
    assert_eq!(world.task_count(), 0);

    let reborn = Rc::new(Cell::new(false));
    let lives = Rc::clone(&reborn);
    world.runtime("a").spawn(TaskName::Turn, Box::pin(async move { lives.set(true) }));
    world.run_until(Millis(101));
    assert!(reborn.get());
}

#[test]
fn offloaded_work_takes_time_and_its_panic_is_an_error() {
    let world = World::new(2);
    let runtime = world.runtime("a");
    let done = Rc::new(Cell::new(false));
    let ended = Rc::clone(&done);
    world.spawn(Box::pin(async move {
        assert_eq!(offload_value(&runtime, || 42).await.unwrap(), 42);
        let error = runtime.offload(Box::new(|| panic!("boom"))).await.unwrap_err();
        assert!(error.message.contains("boom"));
        ended.set(true);
    }));
    world.run_until(Millis(100));
    assert!(done.get());
}

#[test]
fn names_are_what_the_network_says() {
    let world = World::new(2);
    world.network().set_name("siem.example.com", &[IpAddrs::ONE, IpAddrs::TWO]);
    let runtime = world.runtime("a");
    let done = Rc::new(Cell::new(false));
    let ended = Rc::clone(&done);
    world.spawn(Box::pin(async move {
        let found = runtime.resolve("siem.example.com", 6514).await.unwrap();
        assert_eq!(found, [SocketAddr::new(IpAddrs::ONE, 6514), SocketAddr::new(IpAddrs::TWO, 6514)]);
        assert!(runtime.resolve("elsewhere.example.com", 6514).await.is_err());
        assert_eq!(runtime.resolve("192.0.2.7", 514).await.unwrap(), [SERVER]);
        ended.set(true);
    }));
    world.run_until(Millis(100));
    assert!(done.get());
}

struct IpAddrs;

impl IpAddrs {
    const ONE: std::net::IpAddr = std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const TWO: std::net::IpAddr = std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
}

#[test]
fn a_dropped_world_lets_go_of_everything() {
    struct Flag(Rc<Cell<bool>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = Rc::new(Cell::new(false));
    let world = World::new(1);
    let (flag, runtime) = (Flag(Rc::clone(&dropped)), world.runtime("a"));
    runtime.clone().spawn(
        TaskName::Turn,
        Box::pin(async move {
            let _held = (flag, Rc::clone(&runtime));
            runtime.sleep(Millis::from_secs(1_000_000)).await;
        }),
    );
    world.run_until(Millis(1));
    let sim = Rc::downgrade(&world.sim);
    drop(world);
    assert!(dropped.get());
    assert!(sim.upgrade().is_none(), "the world is still held");
}

#[test]
fn the_wall_clock_steps_and_nothing_else_does() {
    let world = World::new(1);
    let runtime = world.runtime("a");
    let before = runtime.wall_ms();
    world.run_until(Millis(1500));
    assert_eq!(runtime.wall_ms() - before, 1500);
    world.step_wall_clock(-3_600_000);
    assert_eq!(runtime.wall_ms() - before, 1500 - 3_600_000);
    assert_eq!(runtime.now(), Millis(1500));
}
