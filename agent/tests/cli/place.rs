//! An agent of its own for a test: a folder with a configuration, the built binary, and what it says.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use scaidrive_siem::config::DestinationId;
use scaidrive_siem::deadletter::{DeadLetters, Key, Letter};
use serde_json::Value;
use tempfile::TempDir;

/// A configuration in a folder of its own, whose only destination refuses connections.
pub(crate) struct Place {
    directory: TempDir,
    pub(crate) admin: u16,
}

/// An agent at work there.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Place {
        let place = Place { directory: tempfile::tempdir().unwrap(), admin: free_port() };
        fs::write(place.path("token"), "hush\n").unwrap();
        fs::set_permissions(place.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
        place.configure("");
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes the configuration, with `more` at its end.
    pub(crate) fn configure(&self, more: &str) {
        let (state, ingest, socket) = (self.text("state"), self.text("ingest.sock"), self.text("admin.sock"));
        let admin = self.admin;
        // Nobody listens on the discard port.
        let config = format!(
            "[agent]\nnode = \"n1\"\nstate_dir = \"{state}\"\nshards = 1\nruntime = \"epoll\"\n\
             [ingest]\nunix = {{ path = \"{ingest}\" }}\n\
             [buffer]\nmax_size = \"16MiB\"\nsegment_size = \"1MiB\"\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\nsocket = \"{socket}\"\n\
             [[destination]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nurl = \"http://127.0.0.1:9\"\n\
             token = {{ file = \"token\" }}\n{more}\n"
        );
        fs::write(self.path("agent.toml"), config).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scaidrive-siem"));
        command.args(args).arg("--config").arg(self.path("agent.toml")).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Output {
        let mut child =
            self.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn start(&self) -> Running {
        let log = self.path("log.txt");
        let stderr = fs::File::create(&log).unwrap();
        let child = self.command(&["run"]).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        let mut running = Running { child, log };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.get("/readyz").is_some_and(|reply| reply.starts_with("HTTP/1.1 200")) {
            assert!(running.child.try_wait().unwrap().is_none(), "it ended: {}", running.said());
            assert!(Instant::now() < deadline, "not ready: {}", running.said());
            sleep(Duration::from_millis(20));
        }
        running
    }

    /// Puts letters into the store of the only destination, without an agent; returns the destination's id.
    pub(crate) fn bury(&self, letters: &[Letter]) -> String {
        let id = DestinationId::from_text("splunk");
        let (mut store, _) = DeadLetters::open(&self.path("state/deadletters"), &id.bytes(), 1 << 20, 7).unwrap();
        store.put(letters).unwrap();
        id.to_string()
    }

    /// The whole reply of the admin address.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    pub(crate) fn request(&self, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        Some(reply)
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&data(&self.run(&["status", "--json"]))).unwrap()
    }
}

impl Running {
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: a bare system has no program of that name.
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(status.success());
    }

    /// Waits until its log holds `words`.
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &str) {
        let deadline = Instant::now() + Duration::from_secs(15);
        while !self.said().contains(words) {
            assert!(Instant::now() < deadline, "it never said {words:?}: {}", self.said());
            sleep(Duration::from_millis(20));
        }
    }

    /// Stops it in order; returns its exit code and how long it took.
    pub(crate) fn stop(mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        self.signal("TERM");
        let code = self.child.wait().unwrap().code();
        (code, started.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn data(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn talk(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The command failed with `code`, said nothing as data, and ended its talk with the three lines of a mistake.
#[track_caller]
pub(crate) fn assert_mistake(output: &Output, code: i32, what: &str, place: &str) {
    let talk = talk(output);
    assert_eq!((output.status.code(), data(output).as_str()), (Some(code), ""), "{talk}");
    let lines: Vec<&str> = talk.lines().collect();
    let [.., error, found_place, advice] = lines.as_slice() else { panic!("not three lines: {talk}") };
    assert!(error.starts_with("error: ") && error.contains(what), "{talk}");
    assert!(found_place.starts_with("where: ") && found_place.contains(place), "{talk}");
    assert!(advice.starts_with("do:    ") && advice.len() > 15, "{talk}");
    assert!(talk.ends_with('\n'), "the last line ends: {talk:?}");
}

/// A dead letter with the n-th [`event`].
pub(crate) fn letter(n: u64, reason: &str) -> Letter {
    Letter {
        id: 0,
        key: Key { epoch: [0xab; 16], n },
        shard: 0,
        raw: event(n as u32, "t1").into_bytes(),
        reply: "HTTP 400: Invalid data format\u{1b}[2J".to_owned(),
        reason: reason.to_owned(),
        wall_ms: 1_000 * n as i64,
        attempts: 2,
        edited_ms: None,
    }
}

/// An event that intake takes.
pub(crate) fn event(id: u32, tenant: &str) -> String {
    format!(
        "{{\"event_id\":\"e{id}\",\"timestamp\":\"2026-03-14T09:26:53Z\",\"tenant_id\":\"{tenant}\",\
         \"category\":\"DATA_ACCESS\",\"action\":\"file.download\",\"severity\":\"info\"}}"
    )
}
