//! The agent under demonstration: this program's own `run` in a process of its own, in a folder that goes away with
//! the demo. Being a real process it can be killed for real.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_codecs::http::{Progress, ReplyReader};
use serde_json::Value;

use crate::sys;

/// A folder of the demo's own, removed when dropped unless it is to be kept.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Where the agent shows its page, before and after it is killed.
    page: SocketAddr,
    is_kept: bool,
}

impl Folder {
    /// Makes it, closed to others. `chance` keeps two demos apart.
    pub(super) fn new(chance: u64) -> io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("siem-demo-{:08x}", chance as u32));
        // Free now, and whoever takes it in the next moment is told of by the agent's start.
        let page = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder { path, page, is_kept: false })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the agent shows its page.
    pub(super) fn page(&self) -> SocketAddr {
        self.page
    }

    /// What opens the page; the agent makes it at its first start.
    pub(super) fn admin_token(&self) -> PathBuf {
        self.path.join("state/admin-token")
    }

    /// Leaves it for somebody to look at.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Where the agent takes events.
    pub(super) fn socket(&self) -> PathBuf {
        self.path.join("ingest.sock")
    }

    /// What the agent says of itself.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    fn admin_socket(&self) -> PathBuf {
        self.path.join("admin.sock")
    }

    fn config(&self) -> PathBuf {
        self.path.join("agent.toml")
    }

    /// Writes the configuration of an agent that delivers to `url`, and the token in a file of its own.
    pub(super) fn configure(&self, url: &str, token: &str) -> io::Result<()> {
        let token_file = self.path.join("token");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&token_file)?.write_all(token.as_bytes())?;
        fs::write(self.config(), configuration(&self.path, self.page, url))?;
        fs::set_permissions(self.config(), Permissions::from_mode(0o600))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            // What can't be removed is left to the system's own cleaning of temporary files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn configuration(folder: &Path, page: SocketAddr, url: &str) -> String {
    let path = |name: &str| toml::Value::String(folder.join(name).display().to_string()).to_string();
    format!(
        r#"[agent]
node = "demo-node"
state_dir = {state}
shards = 2
[ingest]
unix = {{ path = {ingest}, mode = "0600" }}
[buffer]
max_size = "512MiB"
segment_size = "8MiB"
min_free = {{ percent = 1, size = "64MiB" }}
[admin]
listen = "{page}"
socket = {admin}
[[destination]]
name = "receiver"
type = "splunk_hec"
url = "{url}"
token = {{ file = {token} }}
tenants = ["*"]
compression = "none"
"#,
        state = path("state"),
        ingest = path("ingest.sock"),
        admin = path("admin.sock"),
        token = path("token"),
    )
}

/// The running process; killed when dropped.
pub(super) struct Agent {
    child: Child,
}

impl Agent {
    /// Starts it. Must be called on a thread that lives as long as the demo: the agent dies with that thread.
    pub(super) fn start(folder: &Folder) -> io::Result<Agent> {
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("run").arg("--config").arg(folder.config());
        // A Ctrl-C on the terminal is for the demo, which then ends in its own order.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        sys::die_with_parent(&mut command);
        Ok(Agent { child: command.spawn()? })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// SIGKILL: no last words, no last write.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// SIGTERM, and how long it took to end; killed when it takes longer than it may.
    pub(super) fn stop(&mut self) -> io::Result<Option<Duration>> {
        let asked = Instant::now();
        sys::ask_to_stop(self.child.id())?;
        while asked.elapsed() < STOP_MAX {
            if self.ended()?.is_some() {
                return Ok(Some(asked.elapsed()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.kill()?;
        Ok(None)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may be gone already, which is all that is wanted.
        let _ = self.kill();
    }
}

/// What the agent says about its destination on its admin socket, in a few words; nothing when it does not answer.
pub(super) fn destination_state(folder: &Folder) -> Option<String> {
    let mut stream = UnixStream::connect(folder.admin_socket()).ok()?;
    stream.set_read_timeout(Some(STATUS_MAX)).ok()?;
    stream.set_write_timeout(Some(STATUS_MAX)).ok()?;
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut reader = ReplyReader::new(1 << 20);
    let mut bytes = [0; 16 << 10];
    let reply = loop {
        match stream.read(&mut bytes).ok()? {
            0 => break reader.closed().ok()?,
            count => match reader.push(&bytes[..count]).ok()? {
                Progress::More => {}
                Progress::Done { message, .. } => break message,
            },
        }
    };
    state_in(&serde_json::from_slice(&reply.body).ok()?)
}

fn state_in(status: &Value) -> Option<String> {
    let destination = status.get("destinations")?.get(0)?;
    let (state, cause) = (destination.get("state")?.as_str()?, destination.get("cause")?.as_str()?);
    let state = state.replace('_', " ");
    Some(if cause.is_empty() { state } else { format!("{state}: {cause}") })
}

/// The last lines of the agent's own log, for a demo that can't go on.
pub(super) fn last_words(folder: &Folder) -> String {
    let mut text = String::new();
    // Without a log there are no last words.
    let _ = File::open(folder.log()).and_then(|mut file| file.read_to_string(&mut text));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join(" / ")
}

/// An agent promises to stop within 5 s.
const STOP_MAX: Duration = Duration::from_secs(10);
const STATUS_MAX: Duration = Duration::from_millis(200);
const LAST_WORDS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Surroundings};

    #[test]
    fn the_demo_s_configuration_can_be_used_without_a_warning_and_leaves_nothing_behind() {
        let folder = Folder::new(crate::runtime::clock::entropy()).unwrap();
        folder.configure("http://127.0.0.1:9", "secret").unwrap();
        let (config, warnings) = Config::load(&folder.config(), &Surroundings::here()).unwrap();
        assert_eq!(config.destinations.len(), 1);
        assert!(warnings.is_empty(), "{warnings:?}");
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn the_state_of_the_destination_is_read_where_there_is_one() {
        let status =
            serde_json::json!({"destinations": [{"name": "receiver", "state": "circuit_open", "cause": "refused"}]});
        assert_eq!(state_in(&status).as_deref(), Some("circuit open: refused"));
        assert_eq!(state_in(&serde_json::json!({"destinations": []})), None);
    }
}
