//! The real binary as a child process, with its files in a folder of its own.
//!
//! Which binary: the one named by the environment variable [`BINARY`], else one built here with the features that users get.
//! `cargo test` itself unites the features of all crates it builds, and so would give the binary the simulation too.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::agent_config::{AgentConfig, Destination, quoted};
use crate::cargo;
use crate::generator::Session;
use crate::hec::{Hec, TOKEN};
use crate::http;
use crate::metrics::Metrics;
use crate::process::{self, Memory};
use crate::wait::{try_wait_for, wait_until};

/// Names the binary under test.
pub const BINARY: &str = "SCAIDRIVE_SIEM_BIN";

/// How many lines of its log a failing test shows.
const LAST_WORDS: usize = 150;

/// How long an agent may take until it takes events, on a busy machine.
pub const READY_WITHIN: Duration = Duration::from_secs(20);
/// The promise: an agent that is told to stop has stopped.
pub const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// An agent, running or not.
pub struct Agent {
    /// Its configuration; written at each start and by [`Agent::reload`].
    pub config: AgentConfig,
    dir: TempDir,
    child: Option<Child>,
    starts: u32,
    /// Put before the binary on the command line.
    wrapper: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Agent {
    /// An agent that is configured but not started.
    pub fn new() -> Agent {
        let dir = tempfile::Builder::new().prefix("siem-test-").tempdir().expect("there is room for the test's files");
        write_secret(&dir.path().join("token"), TOKEN);
        let config = AgentConfig::new(dir.path());
        Agent { config, dir, child: None, starts: 0, wrapper: Vec::new(), environment: Vec::new() }
    }

    /// A started agent with `destinations`.
    pub fn with(destinations: impl IntoIterator<Item = Destination>) -> Agent {
        let mut agent = Agent::new();
        agent.config.destinations.extend(destinations);
        agent.start();
        agent
    }

    /// A started agent with one HEC destination, called `hec`.
    pub fn with_hec(hec: &Hec) -> Agent {
        let mut agent = Agent::new();
        agent.add_hec("hec", hec);
        agent.start();
        agent
    }

    /// Adds a HEC destination to the configuration and returns it.
    pub fn add_hec(&mut self, name: &str, hec: &Hec) -> &mut Destination {
        let destination = Destination::hec(name, &hec.url(), &self.token_file());
        self.config.destinations.push(destination);
        self.config.destinations.last_mut().expect("one was pushed just now")
    }

    /// The folder of this agent's files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The file that holds the HEC token.
    pub fn token_file(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    /// Replaces the token in the file.
    pub fn set_token(&self, token: &str) {
        self.put_secret("token", token);
    }

    /// Puts a secret into the file `name` of this agent's folder, new or in place of another one. Returns the value that
    /// names it in the configuration.
    pub fn put_secret(&self, name: &str, secret: &str) -> String {
        let path = self.dir.path().join(name);
        write_secret(&path, secret);
        format!("{{ file = {} }}", quoted(&path.display().to_string()))
    }

    /// Starts the agent under another program: `wrapper` stands before the binary on the command line.
    pub fn set_wrapper(&mut self, wrapper: impl IntoIterator<Item = impl Into<OsString>>) {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
    }

    /// Sets an environment variable for the next starts.
    pub fn set_env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// Starts the agent and waits until it takes events.
    ///
    /// # Panics
    /// When it ends or is not ready within [`READY_WITHIN`]; the text holds what it said.
    #[track_caller]
    pub fn start(&mut self) {
        self.spawn();
        let deadline = Instant::now() + READY_WITHIN;
        while !self.is_ready() {
            if let Some(status) = self.exited() {
                panic!("the agent ended at its start ({status}); it said:\n{}", self.said());
            }
            assert!(
                Instant::now() < deadline,
                "the agent is not ready after {READY_WITHIN:?}; it said:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the agent without waiting for anything.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the test started the agent twice");
        self.write_config();
        self.starts += 1;
        let log = File::create(self.log_path(self.starts)).expect("there is room for the test's files");
        let errors = log.try_clone().expect("a descriptor can be copied");
        let mut arguments = self.wrapper.clone();
        arguments.push(binary().into());
        let mut command = Command::new(&arguments[0]);
        command.args(&arguments[1..]).arg("run").arg("--config").arg(self.config_path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        self.child = Some(command.spawn().expect("the agent's binary can be started"));
    }

    /// True when it takes events.
    pub fn is_ready(&self) -> bool {
        let answers = http::get(self.config.admin, "/readyz").is_ok_and(|reply| reply.status == 200);
        answers && Session::connect(&self.config.socket).is_ok()
    }

    /// True while its process is there.
    pub fn is_running(&mut self) -> bool {
        self.child.is_some() && self.exited().is_none()
    }

    /// The agent's process id.
    ///
    /// # Panics
    /// When it was not started.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the test started the agent").id()
    }

    /// Kills it hard (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Tells it to stop (SIGTERM) and waits until it has. Returns how long it took.
    ///
    /// # Panics
    /// When that takes longer than [`STOPPED_WITHIN`] or it does not end well.
    #[track_caller]
    pub fn stop(&mut self) -> Duration {
        let start = Instant::now();
        process::signal(self.pid(), "TERM");
        let status = try_wait_for(STOPPED_WITHIN, || self.exited());
        let Some(status) = status else {
            let said = self.said();
            self.kill();
            panic!("the agent has not stopped after {STOPPED_WITHIN:?}; it said:\n{said}");
        };
        assert!(
            status.success(),
            "the agent ended with {status} (signal {:?}); it said:\n{}",
            status.signal(),
            self.said()
        );
        self.child = None;
        start.elapsed()
    }

    /// Stops it in order and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Writes the configuration as it is now and tells the agent to read it (SIGHUP). The effect comes a moment later.
    pub fn reload(&self) {
        self.write_config();
        process::signal(self.pid(), "HUP");
    }

    /// Runs another of the binary's commands with this agent's configuration.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.write_config();
        let mut command = Command::new(binary());
        command.args(arguments).arg("--config").arg(self.config_path()).stdin(Stdio::null());
        command.output().expect("the agent's binary can be started")
    }

    /// A new connection to the ingest socket.
    #[track_caller]
    pub fn session(&self) -> Session {
        Session::connect(&self.config.socket).expect("the agent listens on its socket")
    }

    /// What the admin socket answers to a question: its status and, where it is JSON, its body.
    #[track_caller]
    pub fn ask(&self, path: &str) -> (u16, Value) {
        let reply = http::get_from_socket(&self.config.admin_socket, path).expect("the agent answers on its socket");
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    /// Scrapes `/metrics`.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn try_metrics(&self) -> io::Result<Metrics> {
        http::get(self.config.admin, "/metrics").map(|reply| Metrics::parse(&reply.text()))
    }

    /// Scrapes `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        self.try_metrics().expect("the agent answers a scrape")
    }

    /// The sum of the metric `scaidrive_siem_NAME` over all labels that match; 0 when there is none.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().sum(&format!("scaidrive_siem_{name}"), labels).unwrap_or(0.0)
    }

    /// The state of a destination: the `state` label of the `destination_state` sample that reads 1.
    #[track_caller]
    pub fn state_of(&self, destination: &str) -> String {
        let metrics = self.metrics();
        let labels = [("destination", destination)];
        let current = metrics.select("scaidrive_siem_destination_state", &labels).find(|sample| sample.value == 1.0);
        let state = current.and_then(|sample| sample.labels.iter().find(|(name, _)| name == "state"));
        state.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// Waits until a destination is in `state`.
    #[track_caller]
    pub fn wait_state(&self, destination: &str, state: &str, within: Duration) {
        wait_until(&format!("{destination} is {state}"), within, || self.state_of(destination) == state);
    }

    /// # Panics
    /// When the agent's books do not balance.
    #[track_caller]
    pub fn assert_books_balance(&self) {
        let metrics = self.metrics();
        let difference = metrics.sum("scaidrive_siem_books_difference", &[]);
        assert_eq!(difference, Some(0.0), "the agent's books do not balance: {metrics:#?}");
    }

    /// Memory of the agent's process.
    #[track_caller]
    pub fn memory(&self) -> Memory {
        process::memory(self.pid()).expect("the agent runs")
    }

    /// Processor time that the agent's process has used.
    #[track_caller]
    pub fn cpu_time(&self) -> Duration {
        process::cpu_time(self.pid()).expect("the agent runs")
    }

    /// Every segment file of the log, in the order of their names.
    pub fn segments(&self) -> Vec<PathBuf> {
        self.state_files(|name| name.ends_with(".seg"))
    }

    /// Every cursor file.
    pub fn cursors(&self) -> Vec<PathBuf> {
        self.state_files(|name| name.contains("cursor"))
    }

    /// Every file below the state directory whose name fits.
    pub fn state_files(&self, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.config.state_dir.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    Ok(_) if fits(&entry.file_name().to_string_lossy()) => found.push(path),
                    _ => {}
                }
            }
        }
        found.sort();
        found
    }

    /// What the agent has logged since its last start.
    pub fn said(&self) -> String {
        fs::read_to_string(self.log_path(self.starts)).unwrap_or_default()
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    fn write_config(&self) {
        // As an editor does it: a reader sees the old file or the new one.
        let path = self.config_path();
        let fresh = path.with_extension("new");
        fs::write(&fresh, self.config.to_toml())
            .and_then(|()| fs::rename(fresh, path))
            .expect("there is room for the test's files");
    }

    fn config_path(&self) -> PathBuf {
        self.dir.path().join("agent.toml")
    }

    fn log_path(&self, start: u32) -> PathBuf {
        self.dir.path().join(format!("agent-{start}.log"))
    }
}

impl Default for Agent {
    fn default() -> Agent {
        Agent::new()
    }
}

impl Agent {
    /// How its destinations are, as it tells an operator; nothing when it does not run.
    fn last_status(&self) -> String {
        if !self.config_path().exists() {
            return String::new();
        }
        let mut command = Command::new(binary());
        command.args(["status", "--json", "--config"]).arg(self.config_path()).stdin(Stdio::null());
        command.output().map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let status = std::thread::panicking().then(|| self.last_status());
        self.kill();
        if let Some(status) = status {
            // Straight to the descriptor, so that it stands beside the panic's own text.
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            let text = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n");
            let _ = io::Write::write_all(
                &mut io::stderr(),
                format!("the agent's last words:\n{text}\n{status}\n").as_bytes(),
            );
        } else {
            for start in 1..=self.starts {
                let said = fs::read_to_string(self.log_path(start)).unwrap_or_default();
                assert!(!said.contains("panicked at"), "the test passed, but the agent panicked; it said:\n{said}");
            }
        }
    }
}

/// As an operator does it: the new file is complete before it takes the old one's place.
fn write_secret(path: &Path, secret: &str) {
    let fresh = path.with_extension("new");
    let written = fs::write(&fresh, secret)
        .and_then(|()| fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)))
        .and_then(|()| fs::rename(&fresh, path));
    written.expect("there is room for the test's files");
}

/// The binary under test.
///
/// # Panics
/// When it has to be built and that fails.
pub fn binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = std::env::var_os(BINARY) {
        return path.into();
    }
    BUILT.get_or_init(build).clone()
}

fn build() -> PathBuf {
    // …/target/debug/deps/this_test-0123456789abcdef
    let this = std::env::current_exe().expect("a process knows its own file");
    let target = this.ancestors().nth(3).expect("a test lies three folders below the target directory");
    let built = cargo::command()
        .args(["build", "--quiet", "--package", "scaidrive-siem", "--bin", "scaidrive-siem", "--target-dir"])
        .arg(target)
        .stdin(Stdio::null())
        .output()
        .expect("cargo can be started");
    assert!(built.status.success(), "the agent does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    target.join("debug").join("scaidrive-siem")
}
