//! The configuration: `agent.toml`, the `destinations.d/*.toml` beside it, and the destinations that the agent was given over
//! its API.
//!
//! A [`Config`] that exists is usable: every value is within its bounds, every secret was read, every filter compiles.
//! What is wrong is reported all at once, each [`Problem`] with its file, line and key, what was found and what to do.
//! The keys stand in one table (`keys.rs`), from which the parser, the defaults and the JSON Schema come.
//!
//! | file | what it holds |
//! |---|---|
//! | `keys.rs` | every key: name, shape, bounds, default, meaning |
//! | `files.rs` | the files on the disk, and which line a byte is in |
//! | `walk.rs` | reading keys off the TOML tree, with the place of each |
//! | `parse.rs`, `parse_admin.rs`, `parse_destination.rs`, `parse_secret.rs` | the rules that no single key can know |
//! | `managed.rs`, `json.rs` | destinations of the API: on the disk, and as JSON |
//! | `kind/` | the kinds of destination, a file for each |
//! | `destination.rs`, `admin.rs`, `auth.rs`, `authorities.rs`, `url.rs`, `secret.rs`, `fingerprint.rs`, `text.rs` | the types that settings become |
//! | `settings.rs` | a configuration as a list of keys and values: what changed, what may be shown |
//! | `selection.rs` | which events a destination gets, read by itself |
//! | `schema.rs` | the JSON Schema |

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::time::Millis;
use crate::transport::Allowed;

mod admin;
mod auth;
mod authorities;
mod destination;
mod files;
mod fingerprint;
mod json;
mod keys;
mod kind;
pub(crate) mod managed;
mod parse;
mod parse_admin;
mod parse_destination;
mod parse_secret;
mod problems;
mod schema;
mod secret;
mod selection;
mod settings;
mod text;
mod url;
mod walk;

pub use admin::{Admin, ProxyKey, ServerTls, TrustedProxy};
pub use auth::{Auth, Aws, AwsSource, Entra, EntraIdentity, OAuth};
pub use authorities::Authorities;
pub(crate) use authorities::holds_private_key;
pub use destination::{
    BatchSettings, Compression, Destination, DestinationId, ProxySettings, RateLimit, RedactSettings, Timeouts,
    TlsSettings, TlsVersion,
};
pub use fingerprint::Fingerprint;
pub(crate) use json::{Kept, SecretPlaces, Trust, Written, editable, secret_files_of, table_of, whole, written};
pub(crate) use keys::{
    ADMIN, AGENT, Alphabet, BUFFER, DESTINATION, Default as KeyDefault, INGEST_UNIX, Key, LOG, ROOT, SECRET, Shape,
};
pub use kind::{
    Datadog, Elastic, HecAck, Https, Kind, Sentinel, SentinelApi, SplunkHec, SumoLogic, Syslog, SyslogTransport,
};
pub(crate) use kind::{KINDS, keys_of};
pub use managed::{Misconfigured, Origin};
pub(crate) use parse_secret::with_cause;
pub(crate) use problems::nearest;
pub use problems::{About, Place, Problem, Weight};
pub use schema::json_schema;
pub(crate) use secret::Given;
pub use secret::{SECRET_MAX, Secret, SecretError, SecretSource};
pub use selection::Selection;
pub use settings::{ChangedDestination, ChangedSetting, Changes};
pub(crate) use text::span as span_of;
pub use url::HttpUrl;

pub use crate::runtime::RuntimeSetting;

/// Everything the agent was told, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The agent itself.
    pub agent: Agent,
    /// How events come in.
    pub ingest: Ingest,
    /// The log.
    pub buffer: Buffer,
    /// How the agent is asked and controlled.
    pub admin: Admin,
    /// What the agent says about itself.
    pub log: LogSettings,
    /// Where events go, in the order of files and lines, those of the API last. Names and ids are unique.
    pub destinations: Vec<Arc<Destination>>,
    /// Where each of them is configured.
    pub origins: HashMap<DestinationId, Origin>,
    /// Destinations of the API that can't be used as they lie on the disk.
    pub misconfigured: Vec<Misconfigured>,
    /// Whether the folder of the API's destinations could be read.
    pub are_managed_known: bool,
}

impl Config {
    /// Reads `agent.toml` at `path`, every `*.toml` in `destinations.d` beside it, in the order of their names, and the
    /// destinations of the API. Blocks on the disk.
    ///
    /// Answers with the configuration and what somebody should know about it.
    ///
    /// # Errors
    /// All problems and warnings together, in the order of files and lines; at least one is an error.
    pub fn load(path: &Path, surroundings: &Surroundings) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        parse::load(path, surroundings)
    }

    /// The same, whatever can be used of it: destinations that have no problem of their own are there although others have.
    /// Nothing may run by such a configuration; it is for looking at parts of it.
    pub fn load_what_is_usable(path: &Path, surroundings: &Surroundings) -> (Option<Config>, Vec<Problem>) {
        parse::load_what_is_usable(path, surroundings)
    }

    /// As [`Config::load`] for an agent that runs: the destinations of the API are those of the state directory that it runs with, also
    /// where the files name another one by now. That waits for the next start.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn load_again(
        path: &Path,
        surroundings: &Surroundings,
        running: &Config,
    ) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        parse::load_again(path, surroundings, running)
    }

    /// What can be used of a file of destinations that belongs to no configuration yet, as if it lay beside one that says
    /// nothing else. `path` is where relative paths in `text` start, and what problems are told with.
    pub fn unsaved(text: String, path: &Path, surroundings: &Surroundings) -> (Option<Config>, Vec<Problem>) {
        parse::unsaved(text, path, surroundings)
    }

    /// The same with other destinations of the API: those of `files`.
    pub(crate) fn with_managed(
        &self,
        files: &[managed::ManagedFile],
        surroundings: &Surroundings,
    ) -> (Config, Vec<Problem>) {
        let mut config = Config { misconfigured: Vec::new(), are_managed_known: true, ..self.clone() };
        config.destinations.retain(|destination| !self.is_managed(destination.id));
        config.origins.retain(|_, origin| !matches!(origin, Origin::Managed(_)));
        let problems = problems::Problems::default();
        managed::add(&mut config, files, surroundings, &problems);
        (config, problems.into_vec())
    }

    /// Keeps the destinations of the API as they run by `running`, but for those in files of these keys, which were written
    /// just now. Returns the names of those whose files say something else: somebody has edited them by hand.
    pub(crate) fn keep_all_but(&mut self, written: &[String], running: &Config) -> Vec<String> {
        let written: HashSet<DestinationId> = written.iter().map(|key| DestinationId::from_text(key)).collect();
        let stays = |config: &Config, id: DestinationId| config.is_managed(id) && !written.contains(&id);
        let found: Vec<Arc<Destination>> =
            self.destinations.iter().filter(|known| stays(self, known.id)).cloned().collect();
        let run: Vec<&Arc<Destination>> =
            running.destinations.iter().filter(|known| stays(running, known.id)).collect();
        let unusable: HashSet<DestinationId> = self.misconfigured.iter().map(Misconfigured::id).collect();
        let mut edited = Vec::new();
        for known in &found {
            let same = run.iter().find(|other| other.id == known.id);
            if same.is_none_or(|same| same.settings() != known.settings()) {
                edited.push(known.name.clone());
            }
            self.destinations.retain(|other| other.id != known.id);
            self.origins.remove(&known.id);
        }
        for known in run {
            if !unusable.contains(&known.id) && !found.iter().any(|other| other.id == known.id) {
                edited.push(known.name.clone());
            }
            self.destinations.push(Arc::clone(known));
            self.origins.extend(running.origins.get(&known.id).map(|origin| (known.id, origin.clone())));
        }
        edited
    }

    /// Keeps destinations of the API that run by `running` and whose files can't be used any more: their files are damaged,
    /// and nobody has wished them away.
    pub(crate) fn keep_running(&mut self, running: &Config) {
        let unusable: HashSet<DestinationId> = self.misconfigured.iter().map(Misconfigured::id).collect();
        for known in running.destinations.iter().filter(|known| running.is_managed(known.id)) {
            let is_lost = !self.are_managed_known || unusable.contains(&known.id);
            let is_free = || self.destinations.iter().all(|other| other.id != known.id && other.name != known.name);
            if is_lost && is_free() {
                self.destinations.push(Arc::clone(known));
                self.origins.extend(running.origins.get(&known.id).map(|origin| (known.id, origin.clone())));
            }
        }
    }

    /// Whether a destination was made over the API.
    #[must_use]
    pub fn is_managed(&self, id: DestinationId) -> bool {
        self.managed_key(id).is_some()
    }

    /// What the file of a destination is named after that was made over the API.
    pub(crate) fn managed_key(&self, id: DestinationId) -> Option<&str> {
        match self.origins.get(&id) {
            Some(Origin::Managed(key)) => Some(key),
            Some(Origin::File(_)) | None => None,
        }
    }
}

/// What a configuration takes from the machine it is read on.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The label of a node that has none: the host name.
    pub host_name: String,
    /// How many processors this process may use.
    pub cpus: usize,
    /// `$CREDENTIALS_DIRECTORY`, where systemd puts credentials.
    pub credentials: Option<PathBuf>,
    /// Looks an environment variable up.
    pub lookup: fn(&str) -> Option<String>,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn here() -> Surroundings {
        let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Surroundings {
            host_name: host_name.trim().to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            lookup: |name| std::env::var(name).ok(),
        }
    }
}

/// The agent itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Label of this node: 1 to 255 of letters, digits, `.`, `_`, `-` and `:`.
    pub node: String,
    /// Where the log, the cursors and the dead letters are.
    pub state_dir: PathBuf,
    /// Threads that share the work; `auto` is resolved.
    pub shards: usize,
    /// What drives them.
    pub runtime: RuntimeSetting,
    /// Tenant of the agent's own events where a destination serves more than one.
    pub tenant: String,
    /// Addresses that destinations may connect to although nobody else lets them.
    pub allow_targets: Vec<Allowed>,
}

/// How events come in. At least one way is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// The local socket.
    pub unix: Option<UnixIngest>,
    /// The HTTP listener.
    pub http: Option<HttpIngest>,
    /// Longest event, in bytes; a quarter of a segment at most.
    pub max_event_size: usize,
    /// Bytes of one connection that may be waiting to become durable; at least `max_event_size`.
    pub window_bytes: usize,
    /// Lines of one connection that may be waiting to become durable.
    pub window_lines: usize,
}

/// The local socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixIngest {
    /// Where it is; fits into a socket address.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// Group by name; the agent's own when `None`.
    pub group: Option<String>,
    /// Users who may connect; everyone the permission bits let in when empty.
    pub allow_uids: Vec<u32>,
}

/// The HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpIngest {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What producers show as a bearer token; always there when `listen` is not loopback.
    pub token: Option<Secret>,
    /// Host names by which producers may call it, beside `localhost` and addresses; in lower case.
    pub hosts: Vec<String>,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// How long events stay while there is room.
    pub window: Millis,
    /// Budget of all shards together, in bytes; at least [`SEGMENTS_PER_SHARD_MIN`] segments a shard.
    pub max_size: u64,
    /// Size of one segment, in bytes; a multiple of 4 KiB from 1 MiB to 1 GiB.
    pub segment_size: u64,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// What gives way when the log is full.
    pub on_full: OnFull,
    /// No segment is made below this share of the disk.
    pub min_free_percent: u8,
    /// Nor below this many bytes.
    pub min_free_bytes: u64,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The event was synced to the disk.
    Fsync,
    /// It was handed to the system, and is synced within this span.
    Interval(Millis),
    /// It was handed to the system.
    Os,
}

/// What gives way when the log is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// The oldest events; the gap is announced.
    DropOldest,
    /// The producers, who wait for the destinations marked as required.
    Block,
}

/// What the agent says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// The least important lines that are written.
    pub level: LogLevel,
}

/// How a line of the agent's own log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people and journald.
    Text,
    /// One JSON object a line.
    Json,
}

/// How important a line of the agent's own log is, most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Something failed and somebody must act.
    Error,
    /// Something is wrong and the agent copes.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// Fewer segments a shard than these, and the log could not turn over.
pub const SEGMENTS_PER_SHARD_MIN: u64 = 4;

#[cfg(test)]
mod tests;
