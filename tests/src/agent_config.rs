//! The agent's configuration as a test sees it: a few knobs, written as `agent.toml`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::certificates::Identity;
use crate::ports::free_port;

/// Which runtime the agents of this test run use: `io_uring`, `epoll` or `auto` (default).
pub const RUNTIME: &str = "SCAIDRIVE_RUNTIME";

/// The whole configuration of one agent.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// `agent.shards`.
    pub shards: u32,
    /// `agent.runtime`.
    pub runtime: String,
    /// `agent.state_dir`.
    pub state_dir: PathBuf,
    /// `ingest.unix.path`.
    pub socket: PathBuf,
    /// `ingest.http.listen`; off when `None`.
    pub http: Option<SocketAddr>,
    /// `admin.listen`.
    pub admin: SocketAddr,
    /// `admin.socket`.
    pub admin_socket: PathBuf,
    /// Lines of `[buffer]`.
    pub buffer: Vec<(String, String)>,
    /// Further lines of `[ingest]`.
    pub ingest: Vec<(String, String)>,
    /// Further lines of `[admin]`.
    pub admin_lines: Vec<(String, String)>,
    /// `[[destination]]`s, in order.
    pub destinations: Vec<Destination>,
}

/// One destination.
#[derive(Clone, Debug)]
pub struct Destination {
    /// `name`.
    pub name: String,
    /// Its other lines, as they are written: key and TOML value.
    pub lines: Vec<(String, String)>,
}

impl AgentConfig {
    /// An agent with everything in `dir`, one shard, small segments and no destination.
    pub fn new(dir: &Path) -> AgentConfig {
        let mut config = AgentConfig {
            shards: 1,
            runtime: std::env::var(RUNTIME).unwrap_or_else(|_| "auto".to_owned()),
            state_dir: dir.join("state"),
            socket: dir.join("ingest.sock"),
            http: None,
            admin: loopback(),
            admin_socket: dir.join("admin.sock"),
            buffer: Vec::new(),
            ingest: Vec::new(),
            admin_lines: Vec::new(),
            destinations: Vec::new(),
        };
        config.set_buffer("max_size", "\"512MiB\"").set_buffer("segment_size", "\"8MiB\"");
        // A twentieth of a large disk is more than these tests need.
        config.set_buffer("min_free", "{ percent = 0 }");
        config
    }

    /// Sets one line of `[buffer]`; `value` is TOML.
    pub fn set_buffer(&mut self, key: &str, value: &str) -> &mut AgentConfig {
        set(&mut self.buffer, key, value);
        self
    }

    /// Sets one line of `[ingest]`; `value` is TOML.
    pub fn set_ingest(&mut self, key: &str, value: &str) -> &mut AgentConfig {
        set(&mut self.ingest, key, value);
        self
    }

    /// Sets one line of `[admin]`; `value` is TOML.
    pub fn set_admin(&mut self, key: &str, value: &str) -> &mut AgentConfig {
        set(&mut self.admin_lines, key, value);
        self
    }

    /// Opens the HTTP ingest on a free port and returns where.
    pub fn open_http(&mut self) -> SocketAddr {
        *self.http.get_or_insert_with(loopback)
    }

    /// Adds a destination.
    pub fn add(&mut self, destination: Destination) -> &mut AgentConfig {
        self.destinations.push(destination);
        self
    }

    /// The destination called `name`, to be changed.
    ///
    /// # Panics
    /// When there is none.
    pub fn destination(&mut self, name: &str) -> &mut Destination {
        self.destinations.iter_mut().find(|destination| destination.name == name).expect("the test added it")
    }

    /// The file's text.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        line("[agent]\nnode = \"test-node\"".to_owned());
        line(format!("state_dir = {}", quoted(&self.state_dir.display().to_string())));
        line(format!("shards = {}\nruntime = {}", self.shards, quoted(&self.runtime)));
        line(format!("[ingest]\nunix = {{ path = {}, mode = \"0600\" }}", quoted(&self.socket.display().to_string())));
        if let Some(http) = self.http {
            line(format!("http = {{ listen = \"{http}\" }}"));
        }
        for (key, value) in &self.ingest {
            line(format!("{key} = {value}"));
        }
        line("[buffer]".to_owned());
        for (key, value) in &self.buffer {
            line(format!("{key} = {value}"));
        }
        line(format!(
            "[admin]\nlisten = \"{}\"\nsocket = {}",
            self.admin,
            quoted(&self.admin_socket.display().to_string())
        ));
        for (key, value) in &self.admin_lines {
            line(format!("{key} = {value}"));
        }
        for destination in &self.destinations {
            line(format!("[[destination]]\nname = {}", quoted(&destination.name)));
            for (key, value) in &destination.lines {
                line(format!("{key} = {value}"));
            }
        }
        text
    }
}

impl Destination {
    /// A Splunk HEC destination at `url`, with its token in `token_file`; uncompressed, retrying, all tenants.
    pub fn hec(name: &str, url: &str, token_file: &Path) -> Destination {
        let mut destination = Destination { name: name.to_owned(), lines: Vec::new() };
        destination
            .set("type", "\"splunk_hec\"")
            .set("url", &quoted(url))
            .set("token", &format!("{{ file = {} }}", quoted(&token_file.display().to_string())))
            .set("tenants", "[\"*\"]")
            .set("compression", "\"none\"");
        destination
    }

    /// A syslog destination over `transport` (`tcp`, `tls`, `udp`, `relp` or `relp_tls`).
    pub fn syslog(name: &str, transport: &str, address: SocketAddr) -> Destination {
        let mut destination = Destination { name: name.to_owned(), lines: Vec::new() };
        destination
            .set("type", "\"syslog\"")
            .set("transport", &quoted(transport))
            .set("host", "\"localhost\"")
            .set("port", &address.port().to_string())
            .set("tenants", "[\"*\"]");
        destination
    }

    /// Sets one line; `value` is TOML.
    pub fn set(&mut self, key: &str, value: &str) -> &mut Destination {
        set(&mut self.lines, key, value);
        self
    }

    /// The same, for building in one expression.
    pub fn with(mut self, key: &str, value: &str) -> Destination {
        self.set(key, value);
        self
    }

    /// Trusts the authority in `ca_file`.
    pub fn trusting(self, ca_file: &Path) -> Destination {
        let value = format!("{{ ca_file = {} }}", quoted_path(ca_file));
        self.with("tls", &value)
    }

    /// Trusts the authority in `ca_file`, and shows the certificate of `client`.
    pub fn trusting_as(self, ca_file: &Path, client: &Identity) -> Destination {
        let (ca, certificate) = (quoted_path(ca_file), quoted_path(&client.certificate_file));
        let key = quoted_path(&client.key_file);
        self.with("tls", &format!("{{ ca_file = {ca}, cert_file = {certificate}, key_file = {key} }}"))
    }
}

/// `text` as a TOML basic string.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A TOML array of strings.
pub fn quoted_list(items: &[&str]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

fn set(lines: &mut Vec<(String, String)>, key: &str, value: &str) {
    match lines.iter_mut().find(|(name, _)| name == key) {
        Some(line) => line.1 = value.to_owned(),
        None => lines.push((key.to_owned(), value.to_owned())),
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}
