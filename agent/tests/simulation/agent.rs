//! The agent under test: real shards and logs on simulated disks, with the log's helper threads as tasks that call
//! their single steps.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use scaidrive_siem::chronicle::Chronicle;
use scaidrive_siem::config::{Config, Destination, OnFull, Surroundings};
use scaidrive_siem::credentials::Credentials;
use scaidrive_siem::deadletter::{DeadLetters, Letter};
use scaidrive_siem::delivery::allowance::Allowance;
use scaidrive_siem::ingest::{Intake, Settings, Window};
use scaidrive_siem::runtime::virtual_time::World;
use scaidrive_siem::runtime::{Runtime, TaskName};
use scaidrive_siem::shard::door::{Doors, Inbox, ShardId};
use scaidrive_siem::shard::{Command, Holdings, Identity, Mailbox, Parts, Plan, Planned, Published, Shard};
use scaidrive_siem::time::Millis;
use scaidrive_wal::sim::SimDisk;
use scaidrive_wal::{Budget, ByteCount, Keeper, Log, Options, Syncer, WallTime};

use crate::chance::Dice;
use crate::sample::Spec;

/// How the agent is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    pub shards: usize,
    pub window: Millis,
    pub segments: u64,
    pub dead_letter_bytes: u64,
    /// The longest a sync takes, in milliseconds.
    pub sync_ms: u64,
}

/// The agent's machine: what survives its process.
pub struct Machine {
    pub setup: Setup,
    pub disks: Vec<SimDisk>,
    directory: tempfile::TempDir,
    dice: Dice,
    stores: RefCell<Vec<(String, Arc<Mutex<DeadLetters>>)>>,
    destinations: RefCell<Vec<(Spec, Arc<Destination>)>>,
    life: RefCell<Option<Rc<Life>>>,
    /// Steps that the log's helpers took, which say nothing about the agent's own diligence.
    pub helper_steps: Rc<Cell<u64>>,
}

/// One run of the agent's process.
pub struct Life {
    pub runtime: Rc<dyn Runtime>,
    pub shards: Vec<Rc<Shard>>,
    pub mailboxes: Vec<Arc<Mailbox>>,
    pub published: Vec<Arc<Published>>,
    pub intake: Arc<Intake>,
    /// Shards that ended in good order.
    pub ended: Rc<Cell<usize>>,
}

pub const NODE: &str = "agent";

impl Machine {
    pub fn new(setup: Setup, seed: u64, dice: &Dice) -> Rc<Machine> {
        let disks = (0..setup.shards as u64).map(|shard| SimDisk::new(seed ^ (shard << 40))).collect();
        Rc::new(Machine {
            setup,
            disks,
            directory: tempfile::tempdir().unwrap(),
            dice: dice.clone(),
            stores: RefCell::default(),
            destinations: RefCell::default(),
            life: RefCell::default(),
            helper_steps: Rc::default(),
        })
    }

    pub fn life(&self) -> Option<Rc<Life>> {
        self.life.borrow().clone()
    }

    /// Starts the agent's process.
    pub fn start(&self, world: &World, specs: &[Spec]) {
        let runtime = world.runtime(NODE);
        let plan = self.plan(specs);
        let budget = Budget::new(self.setup.segments);
        let count = self.setup.shards;
        let holdings = Arc::new(Holdings::new(budget.clone(), count));
        let mailboxes: Vec<Arc<Mailbox>> = (0..count).map(|_| Arc::default()).collect();
        let doors = Doors::new(mailboxes.iter().map(|mailbox| Arc::clone(mailbox) as Arc<dyn Inbox>).collect());
        let published: Vec<Arc<Published>> = (0..count).map(|_| Arc::default()).collect();
        let ended = Rc::new(Cell::new(0));
        let mut shards = Vec::new();
        for (number, disk) in self.disks.iter().enumerate() {
            let options = Options {
                shard: number as u32,
                segment_size: SEGMENT,
                window_ms: self.setup.window.0,
                min_free: ByteCount::new(0),
                min_free_percent: 0,
                populate_ahead: 1 << 16,
                read_ahead: 1 << 14,
                ..Options::default()
            };
            let wall = WallTime::from_ms(runtime.wall_ms());
            let mut chance = || self.dice.next();
            let opened = Log::open(Arc::new(disk.clone()), options, budget.clone(), wall, &mut chance);
            let (mut log, opened) = opened.expect("a log opens whatever its files hold");
            let (syncer, keeper) = log.helpers();
            self.help(&runtime, syncer, keeper);
            let identity = Identity { node: "node-7".into(), agent_id: "agent".into(), tenant: "_agent".into() };
            let parts = Parts {
                id: ShardId(number as u16),
                identity,
                log,
                opened,
                mailbox: Arc::clone(&mailboxes[number]),
                doors: doors.clone(),
                plan: Arc::clone(&plan),
                published: Arc::clone(&published[number]),
                holdings: Arc::clone(&holdings),
                chronicle: Chronicle::default(),
                must_begin_anew: false,
            };
            let shard = Shard::new(Rc::clone(&runtime), parts);
            let (runs, ended) = (Rc::clone(&shard), Rc::clone(&ended));
            runtime.spawn(
                TaskName::Turn,
                Box::pin(async move {
                    runs.run().await;
                    ended.set(ended.get() + 1);
                }),
            );
            shards.push(shard);
        }
        let settings = Settings {
            unix: None,
            http: None,
            max_event_size: 12 << 10,
            window: Window { bytes: 64 << 10, lines: 200 },
            quarantine: self.directory.path().join("quarantine"),
        };
        let intake = Intake::new(&settings, count);
        let life = Life { runtime, shards, mailboxes, published, intake, ended };
        *self.life.borrow_mut() = Some(Rc::new(life));
    }

    /// Ends the process where it stands.
    pub fn kill(&self, world: &World) {
        // What the process held goes with it, before anything can be stored through it.
        self.disks.iter().for_each(SimDisk::kill);
        let life = self.life.take();
        world.kill(NODE);
        drop(life);
    }

    /// The power fails under it.
    pub fn cut_power(&self, world: &World) {
        self.disks.iter().for_each(SimDisk::power_cut);
        let life = self.life.take();
        world.kill(NODE);
        drop(life);
    }

    /// Gives the running agent another configuration.
    pub fn reload(&self, specs: &[Spec]) {
        let plan = self.plan(specs);
        let Some(life) = self.life() else { return };
        self.command(&life, || Command::Replan(Arc::clone(&plan)));
    }

    /// Asks the same of every shard.
    pub fn command(&self, life: &Life, command: impl Fn() -> Command) {
        life.mailboxes.iter().for_each(|mailbox| mailbox.command(command()));
    }

    /// The dead letters of a destination.
    pub fn letters(&self, name: &str) -> Vec<Letter> {
        let stores = self.stores.borrow();
        let Some((_, store)) = stores.iter().find(|(known, _)| known == name) else { return Vec::new() };
        let page = store.lock().unwrap().page(0, 100_000).unwrap();
        page.letters
    }

    fn plan(&self, specs: &[Spec]) -> Arc<Plan> {
        let config = self.config(specs);
        let mut known = self.destinations.borrow_mut();
        let mut destinations = Vec::new();
        for (spec, fresh) in specs.iter().zip(config.destinations) {
            let same = known.iter().find(|(other, _)| format!("{other:?}") == format!("{spec:?}"));
            let destination = same.map_or(fresh, |(_, destination)| Arc::clone(destination));
            known.retain(|(other, _)| other.name != spec.name);
            known.push((spec.clone(), Arc::clone(&destination)));
            let dead_letters = self.store(&destination);
            let credentials = Credentials::new(&destination, |_| None);
            let allow = |limit| Arc::new(Mutex::new(Allowance::new(limit, Millis::ZERO)));
            let allowance = destination.rate_limit.map(allow);
            destinations.push(Planned { destination, dead_letters, credentials, allowance });
        }
        Arc::new(Plan { destinations, window: self.setup.window, on_full: OnFull::DropOldest })
    }

    fn config(&self, specs: &[Spec]) -> Config {
        let file = self.directory.path().join("agent.toml");
        let text: String = specs.iter().map(Spec::toml).collect();
        std::fs::write(&file, text).unwrap();
        let surroundings = Surroundings {
            host_name: "node-7".to_owned(),
            cpus: 1,
            credentials: None,
            lookup: |_| Some("8e6ba6dc".to_owned()),
        };
        let loaded = Config::load(&file, &surroundings);
        loaded.unwrap_or_else(|problems| panic!("{problems:?}")).0
    }

    fn store(&self, destination: &Destination) -> Arc<Mutex<DeadLetters>> {
        let mut stores = self.stores.borrow_mut();
        if let Some((_, store)) = stores.iter().find(|(name, _)| *name == destination.name) {
            return Arc::clone(store);
        }
        let directory: &Path = &self.directory.path().join("deadletters");
        let opened = DeadLetters::open(directory, &destination.id.bytes(), self.setup.dead_letter_bytes, 7);
        let store = Arc::new(Mutex::new(opened.unwrap().0));
        stores.push((destination.name.clone(), Arc::clone(&store)));
        store
    }

    /// The log's two helper threads, as tasks that call their single steps.
    fn help(&self, runtime: &Rc<dyn Runtime>, syncer: Syncer, mut keeper: Keeper) {
        let (time, dice, steps) = (Rc::clone(runtime), self.dice.clone(), Rc::clone(&self.helper_steps));
        let sync_ms = self.setup.sync_ms;
        runtime.spawn(
            TaskName::Upkeep,
            Box::pin(async move {
                let mut idle = 0;
                loop {
                    steps.set(steps.get() + 1);
                    let Some(job) = syncer.begin() else {
                        idle += 1;
                        time.sleep(nap(&dice, idle)).await;
                        continue;
                    };
                    idle = 0;
                    time.sleep(Millis(dice.within(0, sync_ms))).await;
                    let result = job.execute();
                    time.sleep(Millis(dice.within(0, 3))).await;
                    let pause = if result.is_err() { Millis(1_000) } else { Millis(0) };
                    syncer.finish(job, result);
                    time.sleep(pause).await;
                }
            }),
        );
        let (time, dice, steps) = (Rc::clone(runtime), self.dice.clone(), Rc::clone(&self.helper_steps));
        runtime.spawn(
            TaskName::Upkeep,
            Box::pin(async move {
                let (mut retry_at, mut idle) = (Millis::ZERO, 0);
                loop {
                    steps.set(steps.get() + 1);
                    if time.now() >= retry_at {
                        keeper.retry();
                        retry_at = time.now().plus(Millis(1_000));
                    }
                    if keeper.step() {
                        idle = 0;
                        time.sleep(Millis(dice.within(0, 4))).await;
                    } else {
                        idle += 1;
                        time.sleep(nap(&dice, idle)).await;
                    }
                }
            }),
        );
    }
}

/// How long a helper that was not needed `idle` times looks away. The real ones are woken; here a longer look away saves
/// steps in a world where nothing happens.
fn nap(dice: &Dice, idle: u64) -> Millis {
    Millis(dice.within(1, 12 + idle.min(500)))
}

/// Small, so that there are many.
const SEGMENT: u32 = 64 << 10;
