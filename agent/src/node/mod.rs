//! The agent as a whole: logs opened, shards on their threads, intake open; reloaded, watched and stopped.
//!
//! A node owns the threads and nothing else; what goes on in them is the business of [`crate::shard`] and
//! [`crate::ingest`]. The control plane sees it through a [`View`] and asks things of it with [`Hands`].

mod hands;
pub mod identity;
mod pauses;
mod settings;
mod spent;
mod stores;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use scaidrive_codecs::own::{AgentStarted, FormatSetAside, IdentityChanged, OwnEvent};
use scaidrive_wal::{self as wal, Budget, DirectoryLock, Log, MappedDisk, Opened, WallTime};

use crate::chronicle::Chronicle;
use crate::config::{Changes, Config, DestinationId, Durability, Misconfigured};
use crate::ingest::{self, IngestThread, Intake, Token};
use crate::runtime::clock::wall_ms;
use crate::runtime::{self, Choice, ShardThread};
use crate::shard::door::{Doors, Inbox, ShardId};
use crate::shard::{Command, Holdings, Identity, Mailbox, Parts, Plan, Published, Shard};
use crate::time::Millis;

use self::identity::AgentId;

pub use self::hands::{DrainError, FlowWish, Hands};
pub(crate) use self::identity::write_durably;
pub use self::pauses::{Drain, Pause, Pauses, Rested};
pub(crate) use self::stores::DEAD_LETTERS;
pub use self::stores::Stores;

/// A running agent.
pub struct Node {
    view: View,
    hands: Hands,
    shards: Vec<ShardThread>,
    helpers: Vec<thread::JoinHandle<()>>,
    /// Writes the chronicle.
    chronicler: Option<thread::JoinHandle<()>>,
    ingest: Option<IngestThread>,
    /// What producers show over HTTP.
    token: Option<Token>,
    _lock: DirectoryLock,
}

/// What the control plane sees of a node.
#[derive(Clone)]
pub struct View {
    /// The configuration in force.
    pub config: Arc<Mutex<Arc<Config>>>,
    /// Where logs and stores are; a configuration may name another one that waits for a restart.
    pub state_dir: PathBuf,
    /// The agent's id.
    pub agent_id: String,
    /// What the shards run on, and why.
    pub choice: Choice,
    /// What each shard publishes, in their order; those that only drain an old log come last.
    pub published: Arc<[Arc<Published>]>,
    /// Shards that take events.
    pub active_shards: usize,
    /// What intake counts.
    pub intake: Arc<Intake>,
    /// The budget of the logs.
    pub budget: Budget,
    /// The stores of what destinations refused.
    pub stores: Stores,
    /// What operators have paused.
    pub pauses: Arc<Pauses>,
    /// What the agent has said of itself.
    pub chronicle: Chronicle,
}

/// A configuration with all that it needs open.
pub struct Prepared {
    config: Arc<Config>,
    plan: Arc<Plan>,
    changes: Changes,
}

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The state directory.
    #[error("cannot use the state directory {}", path.display())]
    StateDir {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another agent has it.
    #[error("cannot lock the state directory")]
    Locked(#[from] wal::LockError),
    /// A log.
    #[error("cannot open the log of shard {shard}")]
    Log {
        /// Which.
        shard: usize,
        /// Why.
        source: wal::OpenError,
    },
    /// The runtime.
    #[error(transparent)]
    Runtime(#[from] runtime::ChooseError),
    /// A thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The group of the ingest socket.
    #[error("cannot give the ingest socket its group")]
    Group(#[source] io::Error),
    /// Intake.
    #[error(transparent)]
    Ingest(#[from] ingest::StartError),
    /// A store of dead letters.
    #[error(transparent)]
    DeadLetters(#[from] crate::deadletter::OpenError),
}

impl Node {
    /// Starts an agent. When this returns, events are taken.
    ///
    /// # Errors
    /// See [`StartError`]: what concerns this machine. Damaged files are never a reason.
    pub fn start(config: Config, chance: &mut dyn FnMut() -> u64) -> Result<Node, StartError> {
        let config = Arc::new(config);
        let state_dir = &config.agent.state_dir;
        let choice = runtime::choose(config.agent.runtime)?;
        let refused = |source| StartError::StateDir { path: state_dir.clone(), source };
        std::fs::create_dir_all(state_dir).map_err(refused)?;
        let lock = DirectoryLock::take(state_dir)?;
        let agent_id = identity::establish(state_dir, &identity::machine_id(), chance()).map_err(refused)?;

        // A full disk keeps nobody from starting.
        let (chronicle, aside) = Chronicle::open(state_dir, chance()).unwrap_or_else(|problem| {
            tracing::error!("the agent's own events can't be kept for an audit trail until the next start: {problem}");
            (Chronicle::default(), None)
        });
        if let Some(aside) = aside {
            tracing::error!("the agent's own events were damaged; the file is kept as {}", aside.display());
        }
        let chronicler = start_chronicler(&chronicle).map_err(StartError::Thread)?;

        let stores = Stores::open(state_dir);
        let plan = Arc::new(stores.plan(&config, state_dir, chance)?);
        let shard_count = config.agent.shards;
        let log_count = shard_count.max(last_log(state_dir).map_err(refused)?);
        let budget = Budget::new(config.buffer.segments());
        let holdings = Arc::new(Holdings::new(budget.clone(), log_count));
        let mailboxes: Vec<Arc<Mailbox>> = (0..log_count).map(|_| Arc::new(Mailbox::default())).collect();
        let inboxes = mailboxes[..shard_count].iter().map(|mailbox| Arc::clone(mailbox) as Arc<dyn Inbox>).collect();
        let doors = Doors::new(inboxes);
        let published: Arc<[Arc<Published>]> = (0..log_count).map(|_| Arc::new(Published::default())).collect();
        let misconfigured = config.misconfigured.iter().map(Misconfigured::id);
        let configured = config.destinations.iter().map(|destination| destination.id);
        let mut ids: Vec<DestinationId> = configured.chain(misconfigured).collect();
        if !config.are_managed_known {
            // Nobody knows which of the API's are gone.
            ids.extend(Pauses::kept(state_dir).unwrap_or_default().into_keys());
        }
        let pauses = Arc::new(Pauses::open(state_dir, &ids));
        stores.note_others(state_dir, &config, wall_ms());
        let hands = Hands::new(mailboxes.clone(), Arc::clone(&pauses));

        let mut shards = Vec::new();
        let mut helpers = Vec::new();
        for (number, mailbox) in mailboxes.iter().enumerate() {
            let (mut log, opened) = open_log(&config, number, budget.clone(), chance)?;
            helpers.extend(start_helpers(&mut log, number).map_err(StartError::Thread)?);
            // Without a sync before each acknowledgement the log may have forgotten events that were delivered already.
            let may_have_forgotten = !opened.was_clean && config.buffer.durability != Durability::Fsync;
            let news = news(&config, &agent_id, &choice, number, &opened);
            let parts = Parts {
                id: ShardId(number as u16),
                identity: Identity {
                    node: config.agent.node.clone(),
                    agent_id: agent_id.text.clone(),
                    tenant: config.agent.tenant.clone(),
                },
                log,
                opened,
                mailbox: Arc::clone(mailbox),
                doors: doors.clone(),
                plan: Arc::clone(&plan),
                published: Arc::clone(&published[number]),
                holdings: Arc::clone(&holdings),
                chronicle: chronicle.clone(),
                must_begin_anew: agent_id.replaces.is_some() || may_have_forgotten,
            };
            let name = format!("shard-{number}");
            let main = move |runtime| -> runtime::Task {
                Box::pin(async move {
                    let shard = Shard::new(runtime, parts);
                    news.into_iter().for_each(|event| shard.tell(event));
                    shard.run().await;
                })
            };
            shards.push(runtime::start(choice.backend, name, main).map_err(StartError::Thread)?);
        }
        let settings = config.ingest.settings(state_dir).map_err(StartError::Group)?;
        let token = settings.http.as_ref().and_then(|http| http.token.clone());
        let intake = Intake::new(&settings, shard_count);
        let ingest = ingest::start(&settings, doors, Arc::clone(&intake))?;
        let view = View {
            state_dir: config.agent.state_dir.clone(),
            config: Arc::new(Mutex::new(config)),
            agent_id: agent_id.text,
            choice,
            published,
            active_shards: shard_count,
            intake,
            budget,
            stores,
            pauses,
            chronicle,
        };
        let (ingest, chronicler) = (Some(ingest), Some(chronicler));
        Ok(Node { view, hands, shards, helpers, chronicler, ingest, token, _lock: lock })
    }

    /// What the control plane sees.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What may be asked of it from any thread.
    pub fn hands(&self) -> &Hands {
        &self.hands
    }

    /// Works by a prepared configuration from now on. Destinations that did not change keep their connections.
    pub fn reload(&self, prepared: Prepared) -> Changes {
        let Prepared { config, plan, mut changes } = prepared;
        self.view.budget.resize(config.buffer.segments());
        self.hands.command(|| Command::Replan(Arc::clone(&plan)));
        let secret = config.ingest.http.as_ref().and_then(|http| http.token.as_ref());
        if let (Some(token), Some(secret)) = (&self.token, secret) {
            token.set(secret.reveal());
            changes.live.extend(changes.restart.extract_if(.., |change| change.key == "ingest.http.token"));
        }
        *self.view.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        changes
    }

    /// A shard that ended by itself, with what it said: the agent can't go on then.
    pub fn failed_shard(&mut self) -> Option<String> {
        let at = self.shards.iter().position(ShardThread::is_finished)?;
        let ended = self.shards.remove(at).join();
        Some(ended.err().map_or_else(|| format!("shard {at} ended"), |panicked| format!("shard {at}: {panicked}")))
    }

    /// Stops intake, lets requests end, writes the cursors, syncs. Takes less than five seconds.
    pub fn stop(mut self) {
        if let Some(ingest) = self.ingest.take()
            && ingest.stop().is_err()
        {
            tracing::error!("the ingest thread panicked");
        }
        // They would go with the shards, and what these send last counts.
        let allowances = self.view.stores.allowances();
        self.hands.command(|| Command::Stop { grace: STOP_GRACE });
        for shard in self.shards.drain(..) {
            if let Err(panicked) = shard.join() {
                tracing::error!("{panicked}");
            }
        }
        self.view.stores.keep_spent(&self.view.state_dir);
        drop(allowances);
        let deadline = std::time::Instant::now() + HELPERS_MAX;
        // The shards have said their last words.
        self.view.chronicle.close();
        for helper in self.helpers.drain(..).chain(self.chronicler.take()) {
            while !helper.is_finished() && std::time::Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

impl View {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens what another configuration needs, so that [`Node::reload`] waits for nothing. Blocks on the disk.
    ///
    /// # Errors
    /// When a new destination's store can't be opened.
    pub fn prepare(&self, mut config: Config, chance: &mut dyn FnMut() -> u64) -> Result<Prepared, StartError> {
        let changes = Config::differences(&self.config(), &config);
        // Another one waits for the next start, and everything that is kept stays in this one until then.
        config.agent.state_dir.clone_from(&self.state_dir);
        for destination in &mut config.destinations {
            // The same value, not only an equal one, is what tells a shard that nothing changed.
            if let Some(same) = changes.unchanged.iter().find(|same| same.id == destination.id) {
                *destination = Arc::clone(same);
            }
        }
        let plan = Arc::new(self.stores.plan(&config, &self.state_dir, chance)?);
        Ok(Prepared { config: Arc::new(config), plan, changes })
    }
}

fn open_log(
    config: &Config,
    number: usize,
    budget: Budget,
    chance: &mut dyn FnMut() -> u64,
) -> Result<(Log, Opened), StartError> {
    let refused = |source| StartError::Log { shard: number, source };
    let directory = log_directory(&config.agent.state_dir, number);
    let options = config.buffer.options(number);
    let disk = MappedDisk::open(&directory).map_err(refused)?;
    let wall = WallTime::from_ms(wall_ms());
    Log::open(Arc::new(disk), options, budget, wall, chance).map_err(refused)
}

/// Where a shard's log is.
pub fn log_directory(state_dir: &Path, number: usize) -> PathBuf {
    state_dir.join("log").join(format!("{number:02}"))
}

/// The directory of every log below `state_dir`, in the order of their shards. Blocks on the disk.
///
/// # Errors
/// When the state directory can't be read; that it has no logs is none.
pub fn log_directories(state_dir: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::metadata(state_dir)?;
    let count = last_log(state_dir)?;
    Ok((0..count).map(|number| log_directory(state_dir, number)).filter(|path| path.is_dir()).collect())
}

/// How many logs there are, those of shards of an earlier configuration included.
fn last_log(state_dir: &Path) -> io::Result<usize> {
    let mut count = 0;
    let entries = match std::fs::read_dir(state_dir.join("log")) {
        Ok(entries) => entries,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(problem) => return Err(problem),
    };
    for entry in entries {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<usize>().ok());
        count = count.max(number.map_or(0, |number| number + 1)).min(LOGS_MAX);
    }
    Ok(count)
}

fn start_helpers(log: &mut Log, number: usize) -> io::Result<[thread::JoinHandle<()>; 2]> {
    let (syncer, keeper) = log.helpers();
    let named = |what: &str| thread::Builder::new().name(format!("{what}-{number}")).stack_size(HELPER_STACK);
    Ok([named("sync").spawn(move || syncer.run())?, named("keep").spawn(move || keeper.run())?])
}

fn start_chronicler(chronicle: &Chronicle) -> io::Result<thread::JoinHandle<()>> {
    let chronicle = chronicle.clone();
    let named = thread::Builder::new().name("chronicle".to_owned()).stack_size(HELPER_STACK);
    named.spawn(move || chronicle.write())
}

/// What a shard tells about its start.
fn news(config: &Config, agent: &AgentId, choice: &Choice, number: usize, opened: &Opened) -> Vec<OwnEvent> {
    let mut news = Vec::new();
    for file in &opened.set_aside {
        news.push(OwnEvent::FormatSetAside(FormatSetAside {
            file: file.clone(),
            moved_to: format!("newer/{file}"),
            found_format: wal::FORMAT_VERSION + 1,
            known_format: wal::FORMAT_VERSION,
            bytes: 0,
        }));
    }
    if number > 0 {
        return news;
    }
    if let Some(replaced) = &agent.replaces {
        news.push(OwnEvent::IdentityChanged(IdentityChanged {
            previous_agent_id: replaced.previous.clone(),
            agent_id: agent.text.clone(),
            cause: replaced.cause.clone(),
        }));
    }
    news.push(OwnEvent::AgentStarted(AgentStarted {
        agent_id: agent.text.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        runtime: choice.backend.to_string(),
        shards: config.agent.shards as u16,
        durability: config.buffer.durability.name().to_owned(),
        clean: Some(opened.was_clean),
        recovered_events: opened.next.get() - opened.first.get(),
    }));
    news
}

/// Old shards' logs that are adopted at most.
const LOGS_MAX: usize = 64;
/// How long requests under way may take when the agent stops.
const STOP_GRACE: Millis = Millis(1_500);
/// How long the logs' helpers may take after that.
const HELPERS_MAX: Duration = Duration::from_millis(500);
/// The helpers do little; what they need of the stack is bounded by a buffer of theirs.
const HELPER_STACK: usize = 256 << 10;
