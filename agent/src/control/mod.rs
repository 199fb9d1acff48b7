//! The control plane: one ordinary thread with a small tokio runtime. It watches signals and the shards, and answers
//! questions; nothing an event passes through.
//!
//! | file | what it holds |
//! |---|---|
//! | `http/`, `socket.rs` | what is answered and done, on the address and on the admin socket |
//! | `access/` | who asks, and what they may |
//! | `page/` | the same for people, in a browser |
//! | `picture.rs` | all shards together at one moment |
//! | `status.rs`, `metrics.rs` | that, in JSON and in Prometheus' words; `metrics/` has their syntax and what `/proc` says |
//! | `destinations.rs`, `letters.rs` | one destination and its dead letters, and what an operator does to them |
//! | `managed/` | destinations that are made, changed and deleted over the API |
//! | `untold/` | what is told of a change although a crash cut it off |
//! | `episodes.rs`, `agent_events.rs`, `changes.rs` | what a destination has missed; what the agent says of itself; who changed what |
//! | `proof.rs` | what proves that a destination misses nothing |
//! | `preview/`, `tail/` | the events of the log, looked at from outside |
//! | `watch.rs`, `minute.rs` | what changed since the last look and is worth saying; rates |
//! | `states.rs` | what each state of a destination leads to, and what to do |
//! | `history/` | the last hour, for charts, and the last changes of state |
//! | `headroom.rs` | how much of the window a destination has used, and when it is full |
//! | `reload.rs` | what a reload changed |
//! | `systemd.rs` | the service manager |
//!
//! It owns the [`Node`]; handlers see it through a [`crate::node::View`], ask things of it with [`crate::node::Hands`], and
//! ask for a reload by an order.

pub(crate) mod access;
pub mod agent_events;
pub mod changes;
pub mod destinations;
pub mod episodes;
mod headroom;
pub mod history;
mod http;
pub mod letters;
pub mod managed;
mod metrics;
mod minute;
mod page;
mod picture;
pub mod preview;
pub mod proof;
pub mod reload;
mod socket;
mod states;
pub mod status;
mod systemd;
mod tail;
mod untold;
mod watch;
mod whole;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_codecs::own::{AgentStopped, DestinationState, OwnEvent};
use scaidrive_wal::Seq;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::access::{Access, Seats, TlsDoor};
use self::history::History;
use self::http::{Desk, Order, Panel, Part};
use self::managed::Managed;
use self::picture::{Detail, Picture};
use self::reload::Reloaded;
use self::socket::{AdminSocket, Caller};
pub(crate) use self::states::badness;
use self::systemd::Manager;
use self::untold::Untold;
use self::watch::{News, Watch};
use crate::cli::{Exit, Failure, chain};
use crate::config::{Config, Misconfigured, Problem, Surroundings};
use crate::delivery::cause::Cause;
use crate::heap;
use crate::ingest::unix::{Socket, SocketError, UnixSettings};
use crate::journal::Journal;
use crate::node::{Node, View, log_directory};
use crate::runtime::clock;
use crate::time::Millis;
use crate::transport::TlsError;

/// Runs the control plane until the agent is told to stop, and stops it.
///
/// # Errors
/// When it can't begin: an address or socket that is taken. The agent is stopped in good order then too.
pub fn serve(node: Node, journal: Journal, path: &Path, surroundings: &Surroundings) -> Result<Exit, Failure> {
    // Both sides of a stop count against one deadline, so nothing here may block for long.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("control")
        .on_thread_start(heap::wipe_here)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(problem) => {
            let _ = stop(node, "it could not start its control plane");
            return Err(no_control(&problem, path));
        }
    };
    let access = match Access::open(&node.view().config()) {
        Ok(access) => access,
        Err(problem) => {
            let _ = stop(node, "the system has no random numbers");
            return Err(no_control(&problem, path));
        }
    };
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let panel = Arc::new(Panel {
        view: node.view().clone(),
        hands: node.hands().clone(),
        access,
        watch: Mutex::new(Watch::default()),
        history: Mutex::new(History::default()),
        needs_restart: Mutex::new(None),
        needs_reload: Mutex::new(None),
        replays: tokio::sync::Mutex::default(),
        desk: Desk::new(node.view()),
        managed: Managed::new(surroundings.clone()),
        untold: Untold::new(&node.view().state_dir),
        orders,
    });
    let mut control = Control {
        node,
        journal,
        path: path.to_owned(),
        surroundings: surroundings.clone(),
        panel,
        manager: Manager::here(),
        upkeep: None,
        leftovers_due: Arc::new(AtomicU64::new(0)),
    };
    let ended = runtime.block_on(control.run(ordered));
    control.manager.stopping();
    release(runtime);
    let cause = match &ended {
        Ok(End::Told(signal)) => (*signal).to_owned(),
        Ok(End::ShardFailed(why)) => why.clone(),
        Err(failure) => failure.what.clone(),
    };
    let stopped = stop(control.node, &cause);
    match ended? {
        End::ShardFailed(_) => Ok(Exit::Internal),
        End::Told(_) => Ok(stopped),
    }
}

/// Why the control plane ended.
enum End {
    /// A signal said so.
    Told(&'static str),
    /// A shard's thread ended by itself.
    ShardFailed(String),
}

struct Control {
    node: Node,
    journal: Journal,
    path: PathBuf,
    surroundings: Surroundings,
    panel: Arc<Panel>,
    manager: Manager,
    /// Does what a look at the shards leads to and the disk may keep waiting.
    upkeep: Option<tokio::task::JoinHandle<()>>,
    /// From when on, ms since the process started, the dead letters of destinations that are gone are to be looked for: some
    /// may not be noted, or there may be more than there is room for. `NOT_DUE` where there is no cause.
    leftovers_due: Arc<AtomicU64>,
}

impl Control {
    async fn run(&mut self, mut ordered: mpsc::Receiver<Order>) -> Result<End, Failure> {
        let refused = |problem: io::Error| no_control(&problem, &self.path);
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(refused)?;
        // Before anybody can make another change.
        let untold = self.panel.untold.found();
        self.open().await?;
        untold.into_iter().for_each(|happened| happened.tell_late(&self.panel.hands));
        let config = self.panel.view.config();
        let (node, runtime) = (&config.agent.node, &self.panel.view.choice);
        tracing::info!(
            "{node} takes events: agent {}, shards: {} on {} ({}), destinations: {}",
            self.panel.view.agent_id,
            self.panel.view.active_shards,
            runtime.backend,
            runtime.why,
            config.destinations.len(),
        );
        self.manager.ready("takes events");
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(End::Told("signal SIGTERM")),
                _ = interrupt.recv() => return Ok(End::Told("signal SIGINT")),
                _ = hangup.recv() => {
                    self.reload("signal SIGHUP", "file", Part::Everything).await;
                }
                Some(order) = ordered.recv() => {
                    let reloaded = self.reload(&order.person.who, order.person.via.name(), order.part).await;
                    // Who asked may be gone.
                    let _ = order.reply.send(reloaded);
                }
                _ = tick.tick() => {
                    if let Some(why) = self.node.failed_shard() {
                        tracing::error!("{why}; the agent ends, what was acknowledged is on the disk");
                        return Ok(End::ShardFailed(why));
                    }
                    self.look();
                }
            }
        }
    }

    /// Begins to listen on the address and on the socket.
    async fn open(&self) -> Result<(), Failure> {
        let config = self.panel.view.config();
        let address = config.admin.listen;
        let listener = TcpListener::bind(address).await.map_err(|problem| Failure {
            exit: Exit::Unavailable,
            what: format!("cannot listen on {address}: {problem}"),
            place: format!("admin.listen in {}", self.path.display()),
            advice: "name an address of this machine and a port that no other program listens on".to_owned(),
        })?;
        let settings =
            UnixSettings { path: config.admin.socket.clone(), mode: SOCKET_MODE, gid: None, allow_uids: Vec::new() };
        let socket = Socket::bind(&settings).await.map_err(|problem| self.no_socket(&problem))?;
        let tls = config.admin.tls.clone().map(TlsDoor::new).transpose().map_err(no_tls)?;
        tokio::spawn(access::serve(Seats::new(listener), tls, http::for_address(Arc::clone(&self.panel))));
        let router = http::for_socket(Arc::clone(&self.panel)).into_make_service_with_connect_info::<Caller>();
        tokio::spawn(async move { axum::serve(AdminSocket::new(socket), router).await });
        Ok(())
    }

    fn no_socket(&self, problem: &SocketError) -> Failure {
        let advice = match problem {
            SocketError::Busy { .. } => "stop the other program, or name another path",
            SocketError::NotASocket { .. } => "name another path, or move the file away",
            _ => "make sure that the folder exists and belongs to the agent's user",
        };
        Failure {
            exit: Exit::Unavailable,
            what: chain(problem),
            place: format!("admin.socket in {}", self.path.display()),
            advice: advice.to_owned(),
        }
    }

    /// One look at the shards.
    fn look(&mut self) {
        let now = clock::now();
        let detail = if self.panel.history().is_due(now) { Detail::Rough } else { Detail::Plain };
        let picture = Picture::take(&self.panel.view, now, detail);
        let wall_ms = clock::wall_ms();
        let news = self.panel.watch().look(&picture, now, wall_ms);
        for news in news {
            self.say(news);
        }
        if picture.stuck().is_empty() {
            self.manager.alive(now);
        }
        self.keep_up(&picture, now, wall_ms);
        self.panel.history().look(picture, now, wall_ms);
        self.journal.settle();
    }

    /// Keeps over a restart that destinations have drained, so that nothing is said to them then, and what they got today, and
    /// forgets those that are gone. One thing at a time: what a slow disk holds up is looked at again.
    fn keep_up(&mut self, picture: &Picture, now: Millis, wall_ms: i64) {
        if self.upkeep.as_ref().is_some_and(|upkeep| !upkeep.is_finished()) {
            return;
        }
        let view = self.panel.view.clone();
        let config = view.config();
        let mut drained = Vec::new();
        for destination in &picture.destinations {
            let Some(points) = destination.has_just_drained() else { continue };
            let known = config.destinations.iter().find(|known| known.name == destination.name);
            drained.extend(known.map(|known| (Arc::clone(known), points.to_vec())));
        }
        let has_spent = view.stores.has_spent();
        // As long as nobody knows which destinations of the API there are, none is taken for gone.
        let is_known = config.are_managed_known;
        let has_unused = is_known && view.stores.has_unused();
        let has_leftovers = has_unused || (is_known && self.leftovers_due.load(Ordering::Relaxed) <= now.0);
        if drained.is_empty() && !has_spent && !has_leftovers {
            return;
        }
        if has_leftovers {
            self.leftovers_due.store(NOT_DUE, Ordering::Relaxed);
        }
        let (hands, untold, due) =
            (self.node.hands().clone(), self.panel.untold.clone(), Arc::clone(&self.leftovers_due));
        self.upkeep = Some(tokio::task::spawn_blocking(move || {
            for (destination, points) in drained {
                if let Err(problem) = hands.has_drained(destination.id, &points, wall_ms) {
                    tracing::error!(destination = %destination.name, "that it has drained can't be kept: {problem}");
                }
            }
            if has_spent {
                view.stores.keep_spent(&view.state_dir);
            }
            if has_unused {
                let unusable: Vec<_> = config.misconfigured.iter().map(Misconfigured::id).collect();
                view.stores.sweep(&view.state_dir, &unusable, wall_ms);
            }
            if has_leftovers {
                view.stores.note_others(&view.state_dir, &config, wall_ms);
                if !letters::gone::make_room(&view, &hands, &untold) {
                    let again = now.plus(LEFTOVERS_AGAIN).0;
                    // A reload may have set an earlier one meanwhile.
                    let _ = due.compare_exchange(NOT_DUE, again, Ordering::Relaxed, Ordering::Relaxed);
                }
            }
        }));
    }

    /// What somebody has edited by hand takes effect with a reload, which is told, and not with somebody else's change.
    fn note_edited(&self, edited: &[String]) {
        let words = (!edited.is_empty())
            .then(|| format!("edited by hand, which takes effect with `scaidrive-siem reload`: {}", edited.join(", ")));
        let mut needs_reload = self.panel.needs_reload.lock().unwrap_or_else(PoisonError::into_inner);
        if *needs_reload != words
            && let Some(words) = &words
        {
            tracing::warn!("destinations of the API were {words}");
        }
        *needs_reload = words;
    }

    fn say(&self, news: News) {
        match news {
            News::State { destination, from, to, cause } => {
                if badness(to) <= badness("active") {
                    tracing::info!(destination, "{to} again (was {from}): {}", cause.in_words());
                } else {
                    tracing::warn!(destination, "{to} (was {from}): {}", cause.in_words());
                }
                self.node.hands().tell(state_event(destination, from, to, &cause));
            }
            News::Stalled { shard, lasting } => {
                tracing::warn!(shard, "the shard's loop has not turned for {lasting}; its disk may be stuck");
            }
            News::Resumed { shard, after } => {
                tracing::info!(shard, "the shard's loop turns again after {after}");
            }
        }
    }

    /// Reads the configuration or a part of it again: whole or not at all.
    async fn reload(&mut self, who: &str, via: &str, part: Part) -> Reloaded {
        self.manager.reloading();
        let reloaded = self.try_reload(who, via, part).await;
        if reloaded.is_done {
            for change in &reloaded.changes {
                tracing::info!("{change}");
            }
            if reloaded.changes.is_empty() && reloaded.needs_restart.is_none() {
                tracing::info!("the configuration was read again and says the same");
            }
            if let Some(waits) = &reloaded.needs_restart {
                tracing::warn!("{waits}");
            }
        } else {
            for problem in &reloaded.problems {
                tracing::error!("{problem}");
            }
            tracing::error!("the configuration was not taken over; the one in force stays as it is");
        }
        self.manager.ready(if reloaded.is_done {
            "takes events"
        } else {
            "takes events; the new configuration is refused"
        });
        reloaded
    }

    async fn try_reload(&mut self, who: &str, via: &str, part: Part) -> Reloaded {
        let (path, surroundings) = (self.path.clone(), self.surroundings.clone());
        let (running, is_all) = (self.panel.view.config(), matches!(part, Part::Everything));
        // Files may lie on a disk that does not answer; health checks go on meanwhile.
        let loaded = tokio::task::spawn_blocking(move || load(&path, &surroundings, &running, &part)).await;
        let Loaded { config, edited, .. } = match loaded {
            Ok(Ok(loaded)) => {
                loaded.warnings.iter().for_each(|warning| tracing::warn!("{}", reload::one_line(warning)));
                loaded
            }
            Ok(Err(problems)) => return Reloaded::refused(problems.iter().map(reload::one_line).collect()),
            Err(_) => return Reloaded::refused(vec!["reading the configuration failed".to_owned()]),
        };
        let level = config.log.level;
        let view = self.panel.view.clone();
        let prepared = match tokio::task::spawn_blocking(move || view.prepare(config, &mut clock::entropy)).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(problem)) => return Reloaded::refused(vec![chain(&problem)]),
            Err(_) => return Reloaded::refused(vec!["opening what the configuration needs failed".to_owned()]),
        };
        let changes = self.node.reload(prepared);
        // What could not be used before has no store open that would tell of its end.
        self.leftovers_due.store(0, Ordering::Relaxed);
        let (hands, gone) = (self.node.hands().clone(), changes.removed.clone());
        // Whoever makes one of them anew right after this finds it as a new one.
        let _ = tokio::task::spawn_blocking(move || hands.forget_pauses(&gone)).await;
        self.journal.set_level(level);
        self.note_edited(&edited);
        let reloaded = Reloaded::done(&changes);
        let mut needs_restart = self.panel.needs_restart.lock().unwrap_or_else(PoisonError::into_inner);
        if reloaded.needs_restart.is_some() {
            needs_restart.clone_from(&reloaded.needs_restart);
        }
        drop(needs_restart);
        // Who changes destinations over the API tells of it in the words of that change.
        if is_all && !changes.is_empty() {
            self.node.hands().tell(reload::event(&changes, who, via, &self.path.display().to_string()));
        }
        reloaded
    }
}

/// A change of state as an event. It goes to all who hear of the agent, so it says why in the agent's own words only.
fn state_event(destination: String, from: &str, to: &str, cause: &Cause) -> OwnEvent {
    OwnEvent::DestinationState(DestinationState {
        destination,
        from: from.to_owned(),
        to: to.to_owned(),
        code: cause.reason.code().to_owned(),
        cause: cause.reason.words().to_owned(),
    })
}

/// Where each shard's log is, and the first record in it that is not durable, for those who read it from outside; `None`
/// where the shard has not said so yet.
fn watched_logs(view: &View) -> Vec<(PathBuf, Option<Seq>)> {
    let ends = view.published.iter().map(|shard| shard.with(|report| report.durable_end));
    ends.enumerate().map(|(number, end)| (log_directory(&view.state_dir, number), Seq::new(end))).collect()
}

/// A configuration that was read.
struct Loaded {
    config: Config,
    warnings: Vec<Problem>,
    /// Destinations whose files say something else than is in force, and will be until a reload.
    edited: Vec<String>,
}

/// Reads a part of the configuration, where `running` is in force. Blocks on the disk.
fn load(path: &Path, surroundings: &Surroundings, running: &Config, part: &Part) -> Result<Loaded, Vec<Problem>> {
    let mut edited = Vec::new();
    let (mut config, warnings) = match part {
        Part::Everything => Config::load_again(path, surroundings, running)?,
        Part::Managed { written } => {
            let files = crate::config::managed::files(&running.agent.state_dir)?;
            let (mut config, _) = running.with_managed(&files, surroundings);
            let refused = config.misconfigured.iter().filter(|known| written.contains(&known.key));
            let problems: Vec<Problem> = refused.flat_map(|known| known.problems.clone()).collect();
            if !problems.is_empty() {
                return Err(problems);
            }
            edited = config.keep_all_but(written, running);
            (config, Vec::new())
        }
    };
    config.keep_running(running);
    Ok(Loaded { config, warnings, edited })
}

/// Ends what the runtime does without waiting for it; the admin socket's file goes with its listener.
fn release(runtime: Runtime) {
    runtime.shutdown_timeout(RELEASE_MAX);
}

/// Stops the agent, but does not wait for ever: what does not end keeps nobody from restarting.
fn stop(node: Node, cause: &str) -> Exit {
    let started = Instant::now();
    let agent_id = node.view().agent_id.clone();
    node.hands().tell(OwnEvent::AgentStopped(AgentStopped { agent_id, cause: cause.to_owned() }));
    tracing::info!("stops: {cause}");
    let stopping = thread::Builder::new().name("stop".to_owned()).spawn(move || node.stop());
    let Ok(stopping) = stopping else { return Exit::Internal };
    while !stopping.is_finished() {
        if started.elapsed() > STOP_MAX {
            tracing::error!(
                "not everything has ended after {}; what was acknowledged is on the disk",
                Millis(STOP_MAX.as_millis() as u64)
            );
            return Exit::Internal;
        }
        thread::sleep(Duration::from_millis(5));
    }
    if stopping.join().is_err() {
        return Exit::Internal;
    }
    tracing::info!("stopped after {}", Millis(started.elapsed().as_millis() as u64));
    Exit::Ok
}

fn no_control(problem: &io::Error, path: &Path) -> Failure {
    Failure {
        exit: Exit::Internal,
        what: format!("cannot start the control plane: {problem}"),
        place: path.display().to_string(),
        advice: "see that the process may start threads and open more files".to_owned(),
    }
}

fn no_tls(problem: TlsError) -> Failure {
    Failure { exit: Exit::Config, what: problem.what, place: problem.place, advice: problem.advice }
}

/// How often the shards are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);
/// See [`Control::leftovers_due`].
const NOT_DUE: u64 = u64::MAX;
/// How long what the disk refused of making room waits to be tried again.
const LEFTOVERS_AGAIN: Millis = Millis::from_secs(60);
/// Threads for what waits for the disk: previews and dead letters may hold eight each for their whole time.
const BLOCKING_THREADS: usize = 18;
/// Orders that wait for the node's owner.
const ORDERS_MAX: usize = 8;
/// The admin socket is for root and the agent's user.
const SOCKET_MODE: u32 = 0o600;
/// How long what blocks in a file may hold up a stop.
const RELEASE_MAX: Duration = Duration::from_millis(200);
/// The promise is five seconds for all of it.
const STOP_MAX: Duration = Duration::from_millis(4_500);

#[cfg(test)]
mod tests {
    use scaidrive_codecs::own::Envelope;

    use super::picture::DestinationPicture;
    use super::*;
    use crate::config::Destination;
    use crate::delivery::cause::Reason;
    use crate::stream::books::Books;

    #[test]
    fn a_reload_that_names_another_state_directory_keeps_to_the_one_that_the_agent_runs_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        let name = |state_dir: &str| {
            let state_dir = directory.path().join(state_dir);
            std::fs::write(&path, format!("[agent]\nstate_dir = {:?}\n", state_dir.display().to_string())).unwrap();
        };
        let made = crate::config::managed::folder(&directory.path().join("one"));
        std::fs::create_dir_all(&made).unwrap();
        let text = "[[destination]]\nname = \"a\"\ntype = \"syslog\"\nhost = \"siem.example\"\n";
        std::fs::write(made.join("a.toml"), text).unwrap();
        let here = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None };
        name("one");
        let running = Config::load(&path, &here).unwrap().0;
        name("two");
        let loaded = load(&path, &here, &running, &Part::Everything).unwrap();
        let changes = Config::differences(&running, &loaded.config);
        assert_eq!((changes.unchanged.len(), changes.removed.len()), (1, 0), "what was made over the API is there");
        assert!(changes.restart_in_words().unwrap().contains("agent.state_dir from "));
    }

    /// A configured destination that speaks HEC.
    pub(super) fn hec(name: &str) -> Arc<Destination> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        let text = format!(
            "[[destination]]\nname = \"{name}\"\ntype = \"splunk_hec\"\nurl = \"https://siem.example\"\n\
             token = {{ env = \"TOKEN\" }}\n"
        );
        std::fs::write(&path, text).unwrap();
        let lookup = |name: &str| (name == "TOKEN").then(|| "hush".to_owned());
        let surroundings = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup };
        Arc::clone(&Config::load(&path, &surroundings).unwrap().0.destinations[0])
    }

    #[test]
    fn what_a_destination_says_goes_to_no_other_destination() {
        let cause = Reason::CredentialsRefused.saying("HTTP 403: no token of alice@example.com");
        let event = state_event("splunk".to_owned(), "active", "auth_hold", &cause);
        let envelope = Envelope { event_id: "e", timestamp_ms: 0, tenant_id: "_agent", node: "n" };
        let text = String::from_utf8(event.to_json(&envelope)).unwrap();
        assert!(text.contains(r#""code":"credentials_refused","cause":"it refuses the credentials""#), "{text}");
        assert!(!text.contains("alice") && !text.contains("403"), "{text}");
    }

    /// A destination in the given state, with nothing counted.
    pub(super) fn destination(name: &str, state: &'static str, said: Option<&str>) -> DestinationPicture {
        DestinationPicture {
            name: name.to_owned(),
            kind: "splunk_hec",
            state,
            cause: Cause { reason: Reason::Unreachable, said: said.map(str::to_owned) },
            pause: None,
            streams: Vec::new(),
            books: Books::default(),
            difference: 0,
            unread: 0,
            lag: Millis::ZERO,
            accepted_requests: 0,
            refused_requests: 0,
            failed_requests: 0,
            slow_downs: 0,
            notes: 0,
            delivered_bytes: 0,
            under_way: 0,
            last_success_ms: None,
            last_statement_ms: None,
            last_failure: None,
            replay: None,
            drains: Vec::new(),
            drain: None,
            latency_ms: None,
        }
    }
}
