//! What operators ask for at an awkward moment, each on a machine of its own.

use std::rc::Rc;
use std::sync::mpsc;

use scaidrive_siem::config::DestinationId;
use scaidrive_siem::delivery::outlet::Flow;
use scaidrive_siem::runtime::virtual_time::World;
use scaidrive_siem::shard::door::ShardId;
use scaidrive_siem::shard::{Command, Place};
use scaidrive_siem::time::Millis;
use scaidrive_wal::{Disk, Seq};

use crate::agent::{Life, Machine, Setup};
use crate::chance::Dice;
use crate::oracle;
use crate::producer::{self, Habit, Produced};
use crate::receiver::{Mode, Siem};
use crate::sample::{Spec, Wants};

/// An agent with one shard and one destination, which takes everything.
struct Scene {
    world: World,
    dice: Dice,
    machine: Rc<Machine>,
    siem: Rc<Siem>,
    spec: Spec,
    produced: Rc<Produced>,
}

impl Scene {
    fn new(setup: Setup, spec: impl Fn(Spec) -> Spec) -> Scene {
        let (world, dice) = (World::new(7), Dice::new(7));
        let plain = Spec {
            name: "hec-0".into(),
            port: 9000,
            is_syslog: false,
            is_ordered: false,
            is_gzip: false,
            in_flight: 2,
            max_events: 20,
            bytes_per_day: None,
            tenants: Vec::new(),
            wants: Wants::All,
        };
        let spec = spec(plain);
        let siem = Siem::new(&spec, &world, &dice);
        let machine = Machine::new(setup, 7, &dice);
        machine.start(&world, std::slice::from_ref(&spec));
        Scene { world, dice, machine, siem, spec, produced: Rc::default() }
    }

    fn produce(&self, number: u64, events: u64, pause_ms: u64) {
        self.produce_some(number, Habit { events, pause_ms, poison_percent: 0 });
    }

    fn produce_some(&self, number: u64, habit: Habit) {
        producer::start(&self.world, &self.machine, &self.produced, number, habit, &self.dice);
    }

    fn life(&self) -> Rc<Life> {
        self.machine.life().unwrap()
    }

    fn live(&self) -> Rc<Place> {
        self.life().shards[0].places().into_iter().find(|place| !place.is_replay()).unwrap()
    }

    fn replays(&self) -> usize {
        self.life().shards[0].places().iter().filter(|place| place.is_replay()).count()
    }

    fn command(&self, command: impl Fn(DestinationId) -> Command) {
        self.machine.command(&self.life(), || command(DestinationId::from_text(&self.spec.name)));
    }

    fn pause(&self, is_paused: bool) {
        let flow = if is_paused { Flow::Paused } else { Flow::Free };
        self.command(|destination| Command::Flow { destination, flow });
    }

    /// Hears where its shard's part ends.
    fn drain(&self) -> mpsc::Receiver<(ShardId, Seq)> {
        let (answer, answers) = mpsc::channel();
        self.command(|destination| Command::Drain { destination, answer: answer.clone() });
        answers
    }

    /// The wish is written down.
    fn drain_until(&self, point: Seq) {
        self.command(|destination| Command::Flow { destination, flow: Flow::Until(point) });
    }

    fn has_drained(&self) -> bool {
        let report = self.life().published[0].report();
        // Before its first turn a shard has said nothing.
        report.destinations.first().is_some_and(|first| first.drain.is_some_and(|drain| drain.is_over))
    }

    /// How many events of this producer have arrived.
    fn arrived(&self, producer: u64) -> usize {
        let prefix = format!("e-{producer}-");
        self.siem.held.borrow().ids.keys().filter(|id| id.starts_with(&prefix)).count()
    }

    fn replay_all(&self) {
        self.command(|destination| Command::Replay { destination, from_wall_ms: i64::MIN });
    }

    /// A few events are refused for good.
    fn bury_some(&self) {
        self.produce_some(1, Habit { events: 100, pause_ms: 20, poison_percent: 5 });
        self.until("everything is settled", Millis(60_000), |scene| {
            let books = scene.live().outlet.borrow().books();
            scene.produced.finished.get() == 1 && books.selected >= 100 && books.in_hand == 0
        });
        assert!(!self.attempts().is_empty());
    }

    /// How often each dead letter was sent.
    fn attempts(&self) -> Vec<u32> {
        self.machine.letters(&self.spec.name).iter().map(|letter| letter.attempts).collect()
    }

    fn resend_all(&self) {
        let letters: Vec<_> = self.machine.letters(&self.spec.name).iter().map(|letter| letter.key).collect();
        self.command(|destination| Command::Resend { destination, letters: letters.clone() });
        self.rest(500);
    }

    /// Another filter, and so another epoch.
    fn change_filter(&mut self) {
        self.spec.wants = Wants::NotUser("svc_backup");
        self.siem.expect(&self.spec);
        self.machine.reload(std::slice::from_ref(&self.spec));
    }

    /// Lets time pass.
    fn rest(&self, ms: u64) {
        self.world.run_until(self.world.now().plus(Millis(ms)));
    }

    /// Runs until `is_so`, with the books checked at every step.
    #[track_caller]
    fn until(&self, what: &str, patience: Millis, mut is_so: impl FnMut(&Scene) -> bool) {
        let deadline = self.world.now().plus(patience);
        let mut has_come = false;
        self.world.run_while(deadline, || {
            oracle::check_books(&self.life()).unwrap();
            has_come = is_so(self);
            !has_come
        });
        assert!(has_come, "{what}: not within {patience}");
    }
}

fn setup(window: u64, segments: u64) -> Setup {
    Setup { shards: 1, window: Millis(window), segments, dead_letter_bytes: 1 << 20, sync_ms: 20 }
}

#[test]
fn a_replay_with_an_epoch_of_its_own_goes_on_past_events_that_have_grown_too_old() {
    let mut scene = Scene::new(setup(8_000, 64), |spec| spec);
    scene.produce(1, 200, 20);
    scene.until("everything is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 1);
    scene.change_filter();
    scene.until("the first events are too old, and the log still holds them", Millis(20_000), |scene| {
        scene.world.now() >= Millis(8_500)
    });
    let before = scene.siem.held.borrow().streams.len();
    scene.replay_all();
    scene.until("the replay runs", Millis(2_000), |scene| scene.replays() > 0);
    scene.until("the replay ends", Millis(10_000), |scene| scene.replays() == 0);
    assert!(scene.siem.held.borrow().streams.len() > before, "what was young enough came under an epoch of its own");
}

#[test]
fn a_destination_that_is_paused_while_a_notice_waits_to_be_sent_does_not_keep_the_log() {
    let scene = Scene::new(setup(8_000, 8), |spec| spec);
    scene.siem.mode.set(Mode::Busy);
    scene.produce(1, 3_000, 20);
    scene.until("events are given up", Millis(30_000), |scene| scene.live().outlet.borrow().books().overflowed > 0);
    scene.siem.mode.set(Mode::Obliging);
    scene.until("a notice is made", Millis(40_000), |scene| !scene.live().outlet.borrow().may_give_up());
    scene.pause(true);
    scene.until("everything is acknowledged", Millis(120_000), |scene| scene.produced.finished.get() == 1);
}

#[test]
fn a_destination_that_has_used_up_its_day_does_not_keep_the_log() {
    let scene = Scene::new(setup(8_000, 8), |spec| Spec { bytes_per_day: Some("1MiB"), ..spec });
    scene.produce(1, 6_000, 10);
    scene.until("everything is acknowledged", Millis(120_000), |scene| scene.produced.finished.get() == 1);
}

#[test]
fn nothing_is_said_to_a_paused_destination_not_even_that_a_replay_is_over() {
    let mut scene = Scene::new(setup(60_000, 64), |spec| spec);
    scene.produce(1, 100, 20);
    scene.until("everything is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 1);
    scene.rest(1_000);
    let from_wall_ms = scene.life().runtime.wall_ms();
    scene.rest(1_000);
    scene.change_filter();
    scene.rest(5_000);
    scene.pause(true);
    scene.rest(1_000);
    let told = scene.siem.held.borrow().told.len();
    // Before the new epoch there is something to read, and nothing to send.
    scene.command(|destination| Command::Replay { destination, from_wall_ms });
    scene.until("the replay runs", Millis(2_000), |scene| scene.replays() > 0);
    scene.rest(20_000);
    assert_eq!(scene.siem.held.borrow().told.len(), told);
    scene.pause(false);
    scene.until("the replay ends", Millis(5_000), |scene| scene.replays() == 0);
    scene.rest(1_000);
    assert_eq!(scene.siem.held.borrow().told.len(), told + 1, "its epoch's last statement");
}

#[test]
fn a_destination_that_drains_gets_what_stood_in_the_log_is_told_so_and_stands_while_later_events_wait() {
    for is_syslog in [false, true] {
        let scene = Scene::new(setup(600_000, 64), |spec| Spec { is_syslog, ..spec });
        scene.siem.mode.set(Mode::Busy);
        scene.produce(1, 100, 20);
        scene.until("everything is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 1);
        scene.drain();
        scene.produce(2, 100, 20);
        scene.until("what comes later is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 2);
        assert!(is_syslog || !scene.has_drained());
        scene.siem.mode.set(Mode::Obliging);
        // Nothing answers for syslog: that the connection ends in good order shows that all was read.
        scene.until("it has drained", Millis(60_000), Scene::has_drained);
        let told = scene.siem.held.borrow().told.len();
        assert!(told > 0, "its numbers were stated");
        let delivered = |scene: &Scene| scene.live().outlet.borrow().books().delivered;
        let before = delivered(&scene);
        // The wish is heard once more when it is written down, which may be later than it is fulfilled.
        scene.drain_until(scene.life().published[0].report().destinations[0].drain.unwrap().until);
        scene.rest(20_000);
        assert_eq!((scene.arrived(1), scene.arrived(2)), (100, 0));
        assert_eq!((delivered(&scene), scene.siem.held.borrow().told.len()), (before, told));
        scene.pause(false);
        scene.until("the rest is delivered", Millis(400_000), |scene| delivered(scene) >= before + 100);
    }
}

#[test]
fn a_destination_that_drains_while_it_is_sent_something_again_gets_the_rest_of_that_first() {
    let scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.produce(1, 400, 20);
    scene.until("everything is acknowledged", Millis(20_000), |scene| scene.produced.finished.get() == 1);
    scene.rest(5_000);
    scene.replay_all();
    scene.drain();
    scene.until("the replay runs", Millis(2_000), |scene| scene.replays() == 1);
    scene.until("it has drained", Millis(30_000), Scene::has_drained);
    assert_eq!(scene.replays(), 0);
}

#[test]
fn a_paused_destination_that_is_to_be_drained_gets_nothing_before_the_wish_is_written_down() {
    let scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.pause(true);
    scene.produce(1, 100, 20);
    scene.until("everything is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 1);
    let answers = scene.drain();
    scene.produce(2, 100, 20);
    scene.rest(10_000);
    let (_, point) = answers.try_recv().unwrap();
    assert!(scene.siem.held.borrow().ids.is_empty());
    // The disk refuses the wish.
    scene.pause(true);
    scene.rest(2_000);
    assert!(scene.siem.held.borrow().ids.is_empty());
    let later = scene.drain();
    scene.rest(2_000);
    assert!(later.try_recv().unwrap().1 > point);
    scene.drain_until(point);
    scene.until("it has drained", Millis(60_000), Scene::has_drained);
    assert_eq!(scene.arrived(1), 100);
}

#[test]
fn a_drain_whose_point_the_log_has_lost_ends_where_the_log_did() {
    let scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.siem.mode.set(Mode::Busy);
    scene.produce(1, 100, 20);
    scene.until("everything is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 1);
    scene.machine.kill(&scene.world);
    scene.siem.mode.set(Mode::Obliging);
    scene.machine.start(&scene.world, std::slice::from_ref(&scene.spec));
    let point = scene.life().shards[0].log().borrow().next_seq().max(Seq::from_raw(1_000_000));
    scene.drain_until(point);
    scene.produce(2, 100, 20);
    scene.until("it has drained", Millis(60_000), Scene::has_drained);
    let until = scene.life().published[0].report().destinations[0].drain.unwrap().until;
    assert_eq!(until, point, "it is told by its wish");
    // That it has drained can't be written down, so the wish is heard again.
    scene.drain_until(point);
    scene.until("what comes later is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 2);
    scene.rest(5_000);
    assert_eq!((scene.arrived(1), scene.arrived(2)), (100, 0));
    scene.pause(false);
    scene.until("the rest is delivered", Millis(60_000), |scene| scene.arrived(2) == 100);
}

#[test]
fn a_destination_that_drains_ends_although_later_events_are_given_up_and_answers_take_long() {
    let scene = Scene::new(setup(8_000, 64), |spec| spec);
    scene.siem.mode.set(Mode::Busy);
    scene.produce(1, 100, 20);
    scene.until("everything is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 1);
    scene.drain();
    scene.produce(2, 12_000, 20);
    let overflowed = |scene: &Scene| scene.live().outlet.borrow().books().overflowed;
    scene.until("later events are given up", Millis(30_000), |scene| overflowed(scene) > 200);
    scene.siem.mode.set(Mode::Slow(Millis(1_500)));
    scene.until("it has drained", Millis(60_000), Scene::has_drained);
    let so_far = overflowed(&scene);
    scene.rest(2_000);
    assert!(overflowed(&scene) > so_far, "it goes on");
    assert_eq!(scene.arrived(2), 0);
}

#[test]
fn a_destination_drains_only_when_dead_letters_that_were_wished_before_have_been_tried() {
    let scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.bury_some();
    // Everything is said, so that nothing else takes time.
    scene.drain();
    scene.until("it has drained", Millis(60_000), Scene::has_drained);
    scene.pause(false);
    scene.until("it goes on", Millis(2_000), |scene| !scene.has_drained());
    let letters: Vec<_> = scene.machine.letters(&scene.spec.name).iter().map(|letter| letter.key).collect();
    scene.command(|destination| Command::Resend { destination, letters: letters.clone() });
    scene.drain();
    scene.until("it has drained again", Millis(60_000), Scene::has_drained);
    assert!(scene.attempts().iter().all(|attempts| *attempts == 2), "{:?}", scene.attempts());
}

/// One that drains is removed while the last statement before its point is under way. Returns what is left of it.
fn removed_while_it_drains(scene: &Scene) -> Rc<Place> {
    scene.produce(1, 100, 20);
    let delivered = |scene: &Scene| scene.live().outlet.borrow().books().delivered;
    scene.until("everything is delivered", Millis(10_000), |scene| delivered(scene) >= 100);
    // The answer comes before the request is given up after 3 s, and not just when it is looked whether the place may end.
    scene.siem.mode.set(Mode::Slow(Millis(2_513)));
    scene.drain();
    scene.rest(1_000);
    let removed = scene.live();
    assert!(removed.outlet.borrow().is_busy(), "the statement is under way");
    scene.machine.reload(&[]);
    scene.pause(false);
    removed
}

/// The turn is over in which its shard hears that a place has come to its point.
fn hears_of_its_point(scene: &Scene, removed: &Place) {
    scene.until("it has come to its point", Millis(5_000), |_| removed.outlet.borrow().has_drained().is_some());
    scene.rest(1);
    assert!(removed.outlet.borrow().has_drained().is_some(), "its shard has looked at it before it ended");
}

#[test]
fn a_destination_that_was_removed_while_it_drained_gets_everything_when_it_is_there_again() {
    for is_back_before in [false, true] {
        let scene = Scene::new(setup(600_000, 64), |spec| spec);
        let back = |scene: &Scene| scene.machine.reload(std::slice::from_ref(&scene.spec));
        let removed = removed_while_it_drains(&scene);
        if is_back_before {
            back(&scene);
        }
        hears_of_its_point(&scene, &removed);
        scene.siem.mode.set(Mode::Obliging);
        if !is_back_before {
            back(&scene);
        }
        scene.produce(2, 100, 20);
        scene.until("what comes later arrives", Millis(60_000), |scene| scene.arrived(2) == 100);
    }
}

#[test]
fn a_destination_that_is_there_again_and_drains_to_the_same_point_has_to_get_there_itself() {
    let scene = Scene::new(setup(600_000, 64), |spec| spec);
    let removed = removed_while_it_drains(&scene);
    scene.machine.reload(std::slice::from_ref(&scene.spec));
    let answers = scene.drain();
    hears_of_its_point(&scene, &removed);
    let (_, point) = answers.try_recv().unwrap();
    assert_eq!(removed.outlet.borrow().has_drained(), Some(point), "nothing came to the log meanwhile");
    let delivered = |scene: &Scene| scene.live().outlet.borrow().books().delivered;
    assert!(delivered(&scene) < 100 && !scene.has_drained());
    scene.until("it has drained", Millis(60_000), Scene::has_drained);
    assert_eq!(delivered(&scene), 100);
}

#[test]
fn a_replay_with_an_epoch_of_its_own_ends_once() {
    let mut scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.produce(1, 100, 20);
    scene.until("everything is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 1);
    scene.rest(1_000);
    scene.change_filter();
    scene.rest(5_000);
    let told = scene.siem.held.borrow().told.len();
    scene.replay_all();
    scene.until("the replay runs", Millis(2_000), |scene| scene.replays() > 0);
    scene.until("the replay ends", Millis(5_000), |scene| scene.replays() == 0);
    scene.rest(20_000);
    assert_eq!(scene.siem.held.borrow().told.len(), told + 1, "one last statement");
    let replay = scene.life().published[0].report().destinations[0].replay.clone().unwrap();
    assert!(replay.is_over && replay.books.difference() == 0);
    let stated = scene.siem.held.borrow().streams.values().map(|numbers| numbers.len() as u64).min();
    assert_eq!(Some(replay.books.delivered), stated, "counted once: what came under its epoch");
}

#[test]
fn a_dead_letter_that_waits_to_be_sent_again_goes_once_however_often_it_is_wished() {
    let scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.bury_some();
    scene.pause(true);
    (0..5).for_each(|_| scene.resend_all());
    scene.pause(false);
    scene.rest(5_000);
    assert!(scene.attempts().iter().all(|attempts| *attempts == 2), "{:?}", scene.attempts());
    scene.resend_all();
    scene.rest(5_000);
    assert!(scene.attempts().iter().all(|attempts| *attempts == 3), "when it was tried, it may be wished again");
}

#[test]
fn a_destination_that_is_removed_while_it_rests_gets_its_last_statement_and_no_dead_letter() {
    let scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.bury_some();
    scene.rest(5_000);
    scene.pause(true);
    scene.resend_all();
    let told = scene.siem.held.borrow().told.len();
    scene.machine.reload(&[]);
    scene.rest(60_000);
    assert!(scene.siem.held.borrow().told.len() > told);
    assert!(scene.attempts().iter().all(|attempts| *attempts == 1), "{:?}", scene.attempts());
}

#[test]
fn a_replay_with_an_epoch_of_its_own_goes_on_behind_damage() {
    let mut scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.produce(1, 400, 20);
    scene.until("everything is acknowledged", Millis(20_000), |scene| scene.produced.finished.get() == 1);
    scene.rest(5_000);
    scene.machine.kill(&scene.world);
    // Segments are called by their first record.
    let disk = &scene.machine.disks[0];
    let names = disk.list().unwrap().into_iter().map(|file| file.name);
    let oldest = names.filter(|name| name.ends_with(".seg")).min().unwrap();
    disk.damage(&oldest, 20_000, 0x10);
    scene.machine.start(&scene.world, std::slice::from_ref(&scene.spec));
    scene.rest(1_000);
    scene.change_filter();
    scene.rest(5_000);
    scene.replay_all();
    scene.rest(20_000);
    let replay = scene.life().published[0].report().destinations[0].replay.clone().unwrap();
    assert_eq!((replay.is_over, replay.stopped), (true, None));
    let selected = scene.produced.acked.borrow().values().filter(|event| scene.spec.selects(event)).count() as u64;
    // What is damaged is a record, or a few.
    assert!(replay.books.delivered < selected && replay.books.delivered + 10 > selected, "{:?}", replay.books);
}

#[test]
fn dead_letters_that_wait_to_be_sent_again_go_over_to_changed_settings() {
    let mut scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.bury_some();
    scene.pause(true);
    scene.resend_all();
    scene.change_filter();
    scene.rest(5_000);
    assert!(scene.attempts().iter().all(|attempts| *attempts == 1), "it is paused: {:?}", scene.attempts());
    scene.pause(false);
    scene.rest(5_000);
    assert!(scene.attempts().iter().all(|attempts| *attempts == 2), "{:?}", scene.attempts());
}

#[test]
fn a_replay_that_ends_with_its_settings_keeps_neither_the_log_nor_the_next_replay() {
    let mut scene = Scene::new(setup(8_000, 8), |spec| spec);
    scene.produce(1, 3_000, 20);
    scene.rest(4_000);
    scene.pause(true);
    scene.replay_all();
    scene.until("the replay runs", Millis(2_000), |scene| scene.replays() == 1);
    scene.change_filter();
    scene.until("the replay has ended", Millis(2_000), |scene| scene.replays() == 0);
    scene.until("everything is acknowledged", Millis(120_000), |scene| scene.produced.finished.get() == 1);
    scene.pause(false);
    scene.rest(5_000);
    scene.replay_all();
    let replay = |scene: &Scene| scene.life().published[0].report().destinations[0].replay.clone();
    scene.until("another is over", Millis(30_000), |scene| replay(scene).is_some_and(|replay| replay.is_over));
}

#[test]
fn a_replay_of_a_paused_destination_keeps_no_producer_waiting() {
    let scene = Scene::new(setup(600_000, 8), |spec| spec);
    scene.produce(1, 3_000, 20);
    scene.rest(4_000);
    scene.pause(true);
    scene.replay_all();
    scene.until("the replay runs", Millis(2_000), |scene| scene.replays() == 1);
    scene.until("everything is acknowledged", Millis(120_000), |scene| scene.produced.finished.get() == 1);
    scene.pause(false);
    scene.until("the replay ends", Millis(30_000), |scene| scene.replays() == 0);
}

#[test]
fn an_accepted_statement_is_published_with_its_time_and_events_are_none() {
    let scene = Scene::new(setup(600_000, 64), |spec| spec);
    scene.produce(1, 100, 20);
    scene.until("everything is acknowledged", Millis(10_000), |scene| scene.produced.finished.get() == 1);
    scene.rest(1_000);
    let told = || {
        let report = scene.life().published[0].report();
        (report.destinations[0].last_success_ms, report.destinations[0].last_statement_ms)
    };
    let (before, none) = told();
    assert!(before.is_some() && none.is_none(), "{:?}", told());
    scene.rest(6 * 60_000);
    let (success, statement) = told();
    assert!(statement > before && success >= statement, "{:?}", told());
}

#[test]
fn what_was_settled_is_told_within_a_moment_though_nothing_rings_after_it() {
    let scene = Scene::new(setup(600_000, 64), |spec| spec);
    // Each event finds a shard that has told nothing for a while, and is settled soon after the snapshot that it brings.
    scene.produce(1, 60, 800);
    let mut untold_since = None;
    scene.until("everything is acknowledged", Millis(60_000), |scene| {
        let settled = scene.live().outlet.borrow().books().delivered;
        let told = scene.life().published[0].report().destinations.first().map_or(0, |first| first.books.delivered);
        let now = scene.world.now();
        let since = *untold_since.get_or_insert(now);
        assert!(now.since(since) <= Millis(250), "{told} of {settled} were told for {}", now.since(since));
        if told == settled {
            untold_since = None;
        }
        scene.produced.finished.get() == 1
    });
}
