//! The connection task on a stand-in shard, a stand-in socket and a clock that the test turns.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use futures_io::AsyncWrite;
use proptest::prelude::*;
use scaidrive_codecs::tenant_hash;
use serde_json::{Value, json};

use super::*;
use crate::ingest::double::{TestInbox, TestShelf};
use crate::ingest::ledger::Window;
use crate::ingest::lines::READ_SIZE;
use crate::ingest::{IngestStats, Settings};
use crate::runtime::{Backend, Panicked, Runtime, Stalls, Task, TaskName};
use crate::shard::door::Doors;

/// Time that the test moves; helper jobs run at once.
#[derive(Default)]
struct TestRuntime {
    now: Rc<Cell<u64>>,
    spawned: RefCell<Vec<Task>>,
}

impl Runtime for TestRuntime {
    fn backend(&self) -> Backend {
        Backend::Virtual
    }
    fn now(&self) -> Millis {
        Millis(self.now.get())
    }
    fn wall_ms(&self) -> i64 {
        1_778_595_781_453
    }
    fn entropy(&self) -> u64 {
        4
    }
    fn spawn(&self, _: TaskName, task: Task) {
        self.spawned.borrow_mut().push(task);
    }
    fn stalls(&self) -> Stalls {
        Stalls::default()
    }
    fn sleep(&self, wait: Millis) -> Pending<()> {
        let (now, until) = (self.now.clone(), self.now.get() + wait.0);
        Box::pin(std::future::poll_fn(move |_| if now.get() >= until { Poll::Ready(()) } else { Poll::Pending }))
    }
    fn resolve(&self, _: &str, _: u16) -> Pending<io::Result<Vec<SocketAddr>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
    fn connect(&self, _: SocketAddr) -> Pending<io::Result<Box<dyn Stream>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
    fn adopt_unix(&self, _: OwnedFd) -> io::Result<Box<dyn Stream>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> Pending<Result<(), Panicked>> {
        job();
        Box::pin(async { Ok(()) })
    }
}

/// Both directions of a socket, seen from the producer's side.
#[derive(Clone, Default)]
struct Wire {
    inside: Rc<RefCell<WireInside>>,
}

#[derive(Default)]
struct WireInside {
    sent: VecDeque<u8>,
    has_ended: bool,
    /// Nobody reads acks any more.
    is_broken: bool,
    acks: Vec<u8>,
    /// Bytes of acks that the socket still takes.
    ack_room: Option<usize>,
}

impl Wire {
    fn send(&self, bytes: impl AsRef<[u8]>) {
        self.inside.borrow_mut().sent.extend(bytes.as_ref());
    }
    fn end(&self) {
        self.inside.borrow_mut().has_ended = true;
    }
    fn unread(&self) -> usize {
        self.inside.borrow().sent.len()
    }
    /// The acks since the last look.
    fn acks(&self) -> Vec<Value> {
        let acks = std::mem::take(&mut self.inside.borrow_mut().acks);
        let text = String::from_utf8(acks).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut inside = self.inside.borrow_mut();
        let count = into.len().min(inside.sent.len());
        if count == 0 && !inside.has_ended {
            return Poll::Pending;
        }
        for (to, from) in into.iter_mut().zip(inside.sent.drain(..count)) {
            *to = from;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inside = self.inside.borrow_mut();
        if inside.is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(inside.ack_room.unwrap_or(usize::MAX));
        if count == 0 {
            return Poll::Pending;
        }
        inside.ack_room = inside.ack_room.map(|room| room - count);
        inside.acks.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Wire {
    fn raw_fd(&self) -> Option<RawFd> {
        None
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One connection to shard 0 of two.
struct Scene {
    runtime: Rc<TestRuntime>,
    shelf: TestShelf,
    other: Arc<TestInbox>,
    doors: Doors,
    intake: Arc<Intake>,
    wire: Wire,
    task: Task,
    flag: Arc<Flag>,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new(shelf: TestShelf, window: Window) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            unix: None,
            http: None,
            max_event_size: 2048,
            window,
            quarantine: dir.path().join("quarantine.jsonl"),
        };
        let intake = Intake::new(&settings, 2);
        let (inboxes, doors) = TestInbox::doors(2);
        let runtime = Rc::new(TestRuntime::default());
        let door = shelf.door(&doors, 0, &(runtime.clone() as Rc<dyn Runtime>));
        let wire = Wire::default();
        let peer = Peer { uid: 1000, pid: Some(7) };
        let task = Box::pin(serve(door, Box::new(wire.clone()), peer, intake.clone()));
        let other = inboxes[1].clone();
        Scene { runtime, shelf, other, doors, intake, wire, task, flag: Arc::default(), _dir: dir }
    }

    /// One turn. Whether the connection is over.
    fn turn(&mut self) -> bool {
        self.flag.0.store(false, Ordering::SeqCst);
        let waker = self.flag.clone().into();
        self.task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }

    /// Turns until the connection has nothing to do. Whether it is over.
    fn run(&mut self) -> bool {
        loop {
            if self.turn() {
                return true;
            }
            let tasks = std::mem::take(&mut *self.runtime.spawned.borrow_mut());
            tasks.into_iter().for_each(futures_lite::future::block_on);
            if !self.flag.0.load(Ordering::SeqCst) {
                return false;
            }
        }
    }

    /// A line for the shard with this number.
    fn line(&self, shard: u16, id: u64) -> String {
        let tenant = (0..).map(|n| format!("t{n}")).find(|tenant| self.doors.owner(tenant_hash(tenant)).0 == shard);
        event(&tenant.unwrap(), id)
    }

    fn stats(&self) -> &IngestStats {
        &self.intake.shards[0]
    }

    fn assert_balanced(&self) {
        let stats = self.stats();
        let ended = stats.blank.get()
            + stats.refused_total()
            + stats.accepted.get()
            + stats.failed.get()
            + stats.abandoned.get();
        assert_eq!(stats.lines.get(), ended);
        assert_eq!((stats.in_hand(), stats.open_connections()), (0, 0));
    }
}

fn event(tenant: &str, id: u64) -> String {
    format!(
        "{{\"event_id\":\"e{id}\",\"timestamp\":\"2026-05-12T14:23:01Z\",\"tenant_id\":\"{tenant}\",\
         \"category\":\"FILE\",\"action\":\"file.read\",\"severity\":\"info\"}}\n"
    )
}

#[test]
fn lesson_07_an_event_is_acknowledged_when_it_is_durable_and_not_before() {
    let mut scene = Scene::new(TestShelf::default(), Window::default());
    scene.wire.send(scene.line(0, 1));
    scene.run();
    assert_eq!(scene.shelf.events(), [scene.line(0, 1).trim_end().as_bytes()]);
    assert!(scene.wire.acks().is_empty());
    scene.shelf.sync();
    assert!(scene.flag.0.load(Ordering::SeqCst), "the connection is woken");
    scene.run();
    assert_eq!(scene.wire.acks(), [json!({"acked":1})]);
    assert_eq!(scene.stats().accepted.get(), 1);
}

#[test]
fn events_of_two_shards_are_acknowledged_in_the_order_of_their_lines() {
    let mut scene = Scene::new(TestShelf::default(), Window::default());
    let lines: String = [(0, 1), (1, 2), (0, 3), (1, 4)].into_iter().map(|(shard, id)| scene.line(shard, id)).collect();
    scene.wire.send(lines);
    scene.run();
    let batch = scene.other.next_batch().unwrap();
    assert!(scene.other.next_batch().is_none(), "one batch a slice");
    assert_eq!((batch.events.len(), scene.shelf.open_groups()), (2, 1));
    (batch.done)(Outcome::Durable);
    scene.run();
    assert!(scene.wire.acks().is_empty());
    scene.shelf.sync();
    scene.run();
    assert_eq!(scene.wire.acks(), [json!({"acked":4})]);
}

#[test]
fn refused_lines_are_named_counted_kept_and_do_not_hold_up_others() {
    let mut scene = Scene::new(TestShelf::synced(), Window::default());
    scene.wire.send("not json\n\n");
    scene.wire.send(scene.line(0, 1));
    scene.wire.send(vec![b'x'; 5000]);
    scene.wire.send("\n");
    scene.run();
    let acks = scene.wire.acks();
    assert_eq!(acks.last().unwrap()["acked"], 4);
    let refused: Vec<&Value> = acks.iter().filter_map(|ack| ack["refused"].as_array()).flatten().collect();
    let told: Vec<_> =
        refused.iter().map(|refused| (refused["line"].as_u64().unwrap(), refused["code"].as_str().unwrap())).collect();
    assert_eq!(told, [(1, "not_an_object"), (4, "too_long")]);
    assert_eq!(refused[1]["reason"], "the event has 5000 bytes; ingest.max_event_size allows 2048");
    assert_eq!(scene.intake.quarantine.counts().kept, 2);
    assert_eq!((scene.stats().blank.get(), scene.stats().accepted.get(), scene.stats().refused_total()), (1, 1, 2));
}

#[test]
fn a_carriage_return_between_tokens_becomes_a_space() {
    let mut scene = Scene::new(TestShelf::synced(), Window::default());
    let line = scene.line(0, 1);
    scene.wire.send(line.replacen(',', ",\r", 1));
    scene.run();
    assert_eq!(scene.shelf.events(), [line.trim_end().replacen(',', ", ", 1).as_bytes()]);
}

#[test]
fn a_full_disk_holds_the_producer_back_says_why_and_loses_nothing() {
    let mut scene = Scene::new(TestShelf::synced(), Window::default());
    scene.shelf.set_room(Some(3));
    let lines: Vec<String> = (0..10).map(|id| scene.line(0, id)).collect();
    scene.wire.send(lines.concat());
    assert!(!scene.run());
    let acks = scene.wire.acks();
    assert_eq!(acks.last().unwrap()["acked"], 3);
    assert!(acks.iter().any(|ack| ack["waiting"] == "the test's disk is full"));
    scene.shelf.set_room(None);
    scene.run();
    assert_eq!(scene.wire.acks().last().unwrap(), &json!({"acked":10}));
    let expected: Vec<_> = lines.iter().map(|line| line.trim_end().as_bytes().to_vec()).collect();
    assert_eq!(scene.shelf.events(), expected);
}

#[test]
fn a_wait_without_a_reason_worth_telling_is_not_told() {
    let mut scene = Scene::new(TestShelf::synced(), Window::default());
    scene.shelf.be_silent();
    scene.shelf.set_room(Some(0));
    scene.wire.send(scene.line(0, 1));
    assert!(!scene.run());
    assert!(scene.wire.acks().is_empty());
    scene.shelf.set_room(None);
    scene.run();
    assert_eq!(scene.wire.acks(), [json!({"acked":1})]);
}

#[test]
fn lesson_45_a_group_that_was_not_kept_is_never_acknowledged() {
    let mut scene = Scene::new(TestShelf::default(), Window::default());
    scene.wire.send(scene.line(0, 1));
    scene.run();
    scene.wire.send(scene.line(0, 2));
    scene.run();
    scene.shelf.end_oldest(Outcome::Durable);
    scene.shelf.end_oldest(Outcome::Failed { why: "the sync failed".to_owned() });
    assert!(scene.run());
    assert_eq!(scene.wire.acks(), [json!({"acked":1,"error":"the sync failed"})]);
    scene.assert_balanced();
    assert_eq!((scene.stats().accepted.get(), scene.stats().failed.get()), (1, 1));
}

#[test]
fn lesson_52_a_shard_that_dies_with_a_group_fails_the_connection_instead_of_hanging_it() {
    let mut scene = Scene::new(TestShelf::default(), Window::default());
    scene.wire.send(scene.line(1, 1));
    scene.run();
    drop(scene.other.next_batch().unwrap());
    assert!(scene.run());
    assert_eq!(scene.wire.acks(), [json!({"acked":0,"error":"the shard has ended"})]);
}

#[test]
fn after_its_last_line_a_producer_gets_its_last_acks_and_a_cut_line_is_refused() {
    let mut scene = Scene::new(TestShelf::default(), Window::default());
    let whole = scene.line(0, 2);
    scene.wire.send(scene.line(0, 1));
    scene.wire.send(whole.trim_end());
    scene.wire.end();
    assert!(!scene.run());
    scene.shelf.sync();
    assert!(scene.run());
    let acks = scene.wire.acks();
    assert_eq!(acks.last().unwrap()["acked"], 2);
    assert_eq!(acks[0]["refused"][0]["code"], "cut_off");
    assert_eq!(scene.shelf.events().len(), 1);
    scene.assert_balanced();
}

#[test]
fn lesson_47_stopping_tells_what_is_durable_and_ends_in_time_whatever_the_disk_does() {
    for disk_answers in [true, false] {
        let mut scene = Scene::new(TestShelf::default(), Window::default());
        scene.wire.send(scene.line(0, 1));
        scene.run();
        scene.intake.stop.request();
        assert!(scene.flag.0.load(Ordering::SeqCst), "the connection hears it");
        scene.wire.send(scene.line(0, 2));
        assert!(!scene.run());
        if disk_answers {
            scene.shelf.sync();
        } else {
            scene.runtime.now.set(STOP_MAX.0);
        }
        assert!(scene.run());
        assert_eq!(scene.shelf.events().len(), 1, "nothing was read after the word");
        assert_eq!(scene.wire.acks(), if disk_answers { vec![json!({"acked":1})] } else { vec![] });
        scene.assert_balanced();
    }
}

#[test]
fn stopping_shortens_the_wait_of_a_connection_that_is_finishing() {
    let mut scene = Scene::new(TestShelf::default(), Window::default());
    scene.wire.send(scene.line(0, 1));
    scene.wire.end();
    assert!(!scene.run());
    scene.intake.stop.request();
    assert!(!scene.run());
    scene.runtime.now.set(STOP_MAX.0);
    assert!(scene.run());
    scene.assert_balanced();
}

#[test]
fn a_producer_that_never_reads_its_acks_is_not_blocked() {
    let mut scene = Scene::new(TestShelf::synced(), Window { bytes: 4000, lines: 20 });
    scene.wire.inside.borrow_mut().ack_room = Some(5);
    for id in 0..1000 {
        scene.wire.send(scene.line(0, id));
        scene.run();
    }
    assert_eq!((scene.wire.unread(), scene.shelf.events().len()), (0, 1000));
    scene.wire.inside.borrow_mut().ack_room = None;
    scene.run();
    assert_eq!(scene.wire.acks(), [json!({"acked":1}), json!({"acked":1000})]);
}

#[test]
fn lesson_09_reading_stops_at_the_window_and_goes_on_when_it_opens() {
    let mut scene = Scene::new(TestShelf::default(), Window { bytes: 1 << 20, lines: 20 });
    let lines: String = (0..2000).map(|id| scene.line(0, id)).collect();
    scene.wire.send(&lines);
    assert!(!scene.run());
    assert_eq!(scene.shelf.events().len(), 20);
    assert!(scene.wire.unread() >= lines.len() - READ_SIZE);
    let mut acked = 0;
    while acked < 2000 {
        scene.shelf.sync();
        scene.run();
        acked = scene.wire.acks().last().unwrap()["acked"].as_u64().unwrap();
        assert!(scene.shelf.events().len() as u64 <= acked + 20);
    }
}

#[test]
fn lesson_37_a_chatty_connection_takes_one_slice_a_turn() {
    let mut scene = Scene::new(TestShelf::synced(), Window::default());
    scene.wire.send("\n".repeat(10 * SLICE_LINES));
    scene.turn();
    assert_eq!(scene.stats().lines.get(), SLICE_LINES as u64);
    assert!(scene.flag.0.load(Ordering::SeqCst), "it asks for another turn");
    scene.run();
    assert_eq!(scene.stats().lines.get(), 10 * SLICE_LINES as u64);
}

#[test]
fn a_producer_that_is_gone_still_has_its_events_counted() {
    let mut scene = Scene::new(TestShelf::default(), Window::default());
    scene.wire.send("garbage\n");
    scene.wire.send(scene.line(0, 1));
    scene.wire.inside.borrow_mut().is_broken = true;
    assert!(!scene.run());
    scene.shelf.sync();
    assert!(scene.run());
    scene.assert_balanced();
    assert_eq!(scene.stats().accepted.get(), 1);
}

#[test]
fn an_unknown_severity_is_accepted_and_counted() {
    let mut scene = Scene::new(TestShelf::synced(), Window::default());
    scene.wire.send(scene.line(0, 1).replace("\"info\"", "\"purple\""));
    scene.run();
    assert_eq!((scene.stats().accepted.get(), scene.stats().unknown_severity.get()), (1, 1));
}

#[derive(Clone, Debug)]
enum Step {
    Send(u16),
    SendBad,
    SendHalf,
    Run,
    SettleHere,
    SettleThere,
    Full(bool),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// Whatever happens: acks never go back, never pass what is settled, and each line ends in one count.
    #[test]
    fn lesson_17_the_counts_balance_after_any_session(
        steps in proptest::collection::vec(prop_oneof![
            4 => (0_u16..2).prop_map(Step::Send),
            1 => Just(Step::SendBad),
            1 => Just(Step::SendHalf),
            4 => Just(Step::Run),
            2 => Just(Step::SettleHere),
            2 => Just(Step::SettleThere),
            1 => any::<bool>().prop_map(Step::Full),
        ], 0..80),
        fails: bool,
    ) {
        let mut scene = Scene::new(TestShelf::default(), Window { bytes: 2000, lines: 10 });
        let mut over = false;
        let mut acked = 0;
        for (id, step) in steps.into_iter().enumerate() {
            match step {
                Step::Send(shard) => scene.wire.send(scene.line(shard, id as u64)),
                Step::SendBad => scene.wire.send("bad\n\n"),
                Step::SendHalf => scene.wire.send(" "),
                Step::Run => over = over || scene.run(),
                Step::SettleHere if scene.shelf.open_groups() > 0 => scene.shelf.end_oldest(Outcome::Durable),
                Step::SettleHere => {}
                Step::SettleThere => {
                    if let Some(batch) = scene.other.next_batch() {
                        let failed = Outcome::Failed { why: "no".to_owned() };
                        (batch.done)(if fails { failed } else { Outcome::Durable });
                    }
                }
                Step::Full(full) => scene.shelf.set_room(full.then_some(0)),
            }
            for ack in scene.wire.acks() {
                let now = ack["acked"].as_u64().unwrap();
                prop_assert!(now >= acked);
                acked = now;
                let stats = scene.stats();
                prop_assert!(acked <= stats.blank.get() + stats.refused_total() + stats.accepted.get());
            }
        }
        scene.shelf.set_room(None);
        scene.wire.end();
        while !over {
            scene.shelf.sync();
            while let Some(batch) = scene.other.next_batch() {
                (batch.done)(Outcome::Durable);
            }
            over = scene.run();
        }
        scene.assert_balanced();
    }
}
