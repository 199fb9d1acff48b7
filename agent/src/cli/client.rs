//! Asking a running agent over its admin socket: plain blocking HTTP/1.1, one connection for each question.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scaidrive_codecs::http::{Progress, Reply, ReplyReader, write_head};
use serde::de::DeserializeOwned;

use super::{Exit, Failure, Output, chain};
use crate::config::{About, Config, Place, Problem, Surroundings, Weight};

/// Where the agent listens, as far as its configuration says.
pub(super) struct Sockets {
    /// For the command line.
    pub(super) admin: PathBuf,
    /// For events; `None` when there is none.
    pub(super) ingest: Option<PathBuf>,
}

impl Sockets {
    /// From the configuration at `path`. A file with mistakes in it, or with secrets that this user may not read, still
    /// says where the sockets are: the agent may be running by what it said before. `None` when it says nothing at all,
    /// which is then told.
    pub(super) fn find(path: &Path, surroundings: &Surroundings, output: &mut Output<'_>) -> Option<Sockets> {
        let problems = match Config::load(path, surroundings) {
            Ok((config, _)) => {
                let ingest = config.ingest.unix.map(|unix| unix.path);
                return Some(Sockets { admin: config.admin.socket, ingest });
            }
            Err(problems) => problems,
        };
        let text = std::fs::read_to_string(path).ok();
        let Some(table) = text.and_then(|text| text.parse::<toml::Table>().ok()) else {
            output.problems(&problems);
            output.talk(&super::check::verdict(path, &problems));
            return None;
        };
        output.problem(&Problem {
            weight: Weight::Warning,
            what: "the configuration can't be used as it is; only the sockets' paths are taken from it".to_owned(),
            place: Place { file: path.to_owned(), line: None, key: String::new() },
            advice: "`scaidrive-siem check` says what is wrong with it".to_owned(),
            about: About::Setting,
        });
        output.talk("");
        Some(Sockets::in_table(&table, path.parent().unwrap_or(Path::new(""))))
    }

    fn in_table(table: &toml::Table, directory: &Path) -> Sockets {
        let absolute = |value: Option<&toml::Value>, default: &str| {
            directory.join(value.and_then(toml::Value::as_str).unwrap_or(default))
        };
        let unix = table.get("ingest").and_then(|ingest| ingest.get("unix"));
        let is_off = unix.and_then(|unix| unix.get("enabled")).and_then(toml::Value::as_bool) == Some(false);
        let ingest = absolute(unix.and_then(|unix| unix.get("path")), INGEST_DEFAULT);
        Sockets {
            admin: absolute(table.get("admin").and_then(|admin| admin.get("socket")), ADMIN_DEFAULT),
            ingest: (!is_off).then_some(ingest),
        }
    }
}

/// The way to the agent that a configuration describes.
pub(super) struct Client {
    socket: PathBuf,
    /// Where the socket's path stands, for messages.
    place: String,
}

impl Client {
    /// To the agent that listens on `socket`, as the configuration `file` says.
    pub(super) fn new(socket: &Path, file: &Path) -> Client {
        Client { socket: socket.to_owned(), place: format!("admin.socket in {}", file.display()) }
    }

    /// Asks for `path` and reads the JSON that comes back.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] when no agent answers; what the agent says when it can't do it.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.exchange("GET", path, &[], DONE)
    }

    /// Asks for something to be done, and reads the JSON that comes back.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, Failure> {
        self.exchange("POST", path, body, DONE)
    }

    /// The same where the agent says in the same form that it did it, or why it could not (409).
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn try_post<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, Failure> {
        self.exchange("POST", path, body, DONE_OR_NOT)
    }

    /// Puts something in the place of what is at `path`, and reads the JSON that comes back.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn put<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, Failure> {
        self.exchange("PUT", path, body, DONE)
    }

    /// Takes away what is at `path`, and reads the JSON that comes back.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.exchange("DELETE", path, &[], DONE)
    }

    /// Asks for `path`, whose answer has no end, and hands over each line of it until `on_line` wants no more or the agent
    /// goes away.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn watch(&self, path: &str, on_line: &mut dyn FnMut(&str) -> bool) -> Result<(), Failure> {
        let mut stream = self.begin_watch(path).map_err(|problem| self.no_answer(&problem))?;
        let head = read_head(&mut stream).map_err(|problem| self.no_answer(&problem))?;
        if head.split(|byte| *byte == b' ').nth(1).is_none_or(|status| status != b"200") {
            let mut whole = head;
            let _ = stream.take(REPLY_MAX as u64).read_to_end(&mut whole);
            let mut reader = ReplyReader::new(REPLY_MAX);
            let reply = match reader.push(&whole) {
                Ok(Progress::Done { message, .. }) => Ok(message),
                Ok(Progress::More) => reader.closed().map_err(io::Error::other),
                Err(problem) => Err(io::Error::other(problem)),
            };
            return Err(reply.map_or_else(|problem| self.no_answer(&problem), |reply| self.refused(&reply)));
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            match stream.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
                Ok(count) if count > 0 && line.ends_with(b"\n") => {
                    let text = String::from_utf8_lossy(&line);
                    if !on_line(text.trim_end_matches(['\r', '\n'])) {
                        return Ok(());
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn begin_watch(&self, path: &str) -> io::Result<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        // A body in answer to HTTP/1.0 comes as it is, and ends with the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
        Ok(BufReader::new(stream))
    }

    fn exchange<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        understood: &[u16],
    ) -> Result<T, Failure> {
        let reply = self.ask(method, path, body).map_err(|problem| self.no_answer(&problem))?;
        if !understood.contains(&reply.status) {
            return Err(self.refused(&reply));
        }
        serde_json::from_slice(&reply.body).map_err(|problem| Failure {
            exit: Exit::Unavailable,
            what: format!("what the agent answers can't be understood: {problem}"),
            place: self.socket.display().to_string(),
            advice: "use the command of the version that runs; `--version` says which this is".to_owned(),
        })
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Reply> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        let mut request = Vec::new();
        write_head(&mut request, method, path, "localhost", [("Connection", "close")], body.len() as u64)
            .map_err(io::Error::other)?;
        request.extend_from_slice(body);
        stream.write_all(&request)?;
        let mut reader = ReplyReader::new(REPLY_MAX);
        let mut bytes = vec![0; 64 << 10];
        loop {
            let count = stream.read(&mut bytes)?;
            if count == 0 {
                return reader.closed().map_err(io::Error::other);
            }
            match reader.push(&bytes[..count]).map_err(io::Error::other)? {
                Progress::More => {}
                Progress::Done { message, .. } if message.is_cut => {
                    return Err(io::Error::other("the answer is too long"));
                }
                Progress::Done { message, .. } => return Ok(message),
            }
        }
    }

    fn no_answer(&self, problem: &io::Error) -> Failure {
        unreachable_socket(problem, &self.socket, &self.place, "no agent answers")
    }

    fn refused(&self, reply: &Reply) -> Failure {
        let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("the agent says no more than that");
        let exit = match reply.status {
            400 | 404 => Exit::Usage,
            // It was understood, and what was handed over is not good enough, or not now.
            409 | 413 | 422 | 507 => Exit::CheckFailed,
            _ => Exit::Unavailable,
        };
        Failure {
            exit,
            what: format!("the agent refuses ({}): {detail}", reply.status),
            place: self.socket.display().to_string(),
            advice: problem["do"].as_str().unwrap_or(SEE_STATUS).to_owned(),
        }
    }
}

/// The head of an answer, with the empty line.
fn read_head(stream: &mut BufReader<UnixStream>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let taken = stream.by_ref().take(HEAD_MAX).read_until(b'\n', &mut head)?;
        if taken == 0 || head.len() as u64 > HEAD_MAX {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// Why nobody can be reached at `socket`, in words; `nobody` says who is missing.
pub(super) fn unreachable_socket(problem: &io::Error, socket: &Path, place: &str, nobody: &str) -> Failure {
    let (exit, why, advice) = match problem.kind() {
        io::ErrorKind::NotFound => (Exit::Unavailable, "there is no such socket".to_owned(), START),
        io::ErrorKind::ConnectionRefused => (Exit::Unavailable, "nobody listens".to_owned(), START),
        io::ErrorKind::PermissionDenied => {
            (Exit::Permission, "this user may not".to_owned(), "run this as root or as the agent's user")
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            let why = format!("it said nothing for {} s", ANSWER_MAX.as_secs());
            (Exit::Unavailable, why, "look at the agent's own log, and at the disk it writes to")
        }
        _ => (Exit::Unavailable, chain(problem), START),
    };
    Failure {
        exit,
        what: format!("{nobody} on {}: {why}", socket.display()),
        place: place.to_owned(),
        advice: advice.to_owned(),
    }
}

/// `text` as one segment of a request path.
pub(super) fn path_segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// The statuses of what was done.
const DONE: &[u16] = &[200, 201];
/// And of what could not be.
const DONE_OR_NOT: &[u16] = &[200, 201, 409];
/// How long the agent may take; its disk may be slow.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long an answer without an end may be silent; the agent lets itself be heard every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// Longest head of an answer, in bytes.
const HEAD_MAX: u64 = 16 << 10;
/// Longest line of an answer without an end: an event, and a little more.
const LINE_MAX: u64 = 17 << 20;
/// Longest answer, in bytes: a page of dead letters, or the status with thousands of destinations.
const REPLY_MAX: usize = 64 << 20;
/// What the configuration means where it says nothing; a test holds both against it.
const ADMIN_DEFAULT: &str = "/run/scaidrive-siem/admin.sock";
const INGEST_DEFAULT: &str = "/run/scaidrive-siem/ingest.sock";
const SEE_STATUS: &str = "`scaidrive-siem status` and `scaidrive-siem deadletter list` show what there is";
const START: &str = "start the agent, or name the configuration of the one that runs with --config";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_mistakes_says_where_the_sockets_are_and_the_defaults_are_the_configurations() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        let surroundings = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None };
        let found = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let (mut data, mut talk) = (Vec::new(), Vec::new());
            let mut output = Output::new(&mut data, &mut talk, super::super::Colour::default());
            let sockets = Sockets::find(&path, &surroundings, &mut output);
            sockets.map(|sockets| (sockets.admin, sockets.ingest, talk.is_empty()))
        };
        let (admin, ingest) = (PathBuf::from(ADMIN_DEFAULT), Some(PathBuf::from(INGEST_DEFAULT)));
        assert_eq!(found(""), Some((admin.clone(), ingest.clone(), true)));
        assert_eq!(found("x = 1"), Some((admin, ingest, false)));
        let text = "x = 1\n[admin]\nsocket = \"/a\"\n[ingest]\nunix = { enabled = false }\n";
        assert_eq!(found(text), Some((PathBuf::from("/a"), None, false)));
        assert_eq!(found("[[["), None);
    }

    #[test]
    fn anything_can_be_a_path_segment() {
        assert_eq!(path_segment("splunk-prod.1_x"), "splunk-prod.1_x");
        assert_eq!(path_segment("a b/?é\r\n"), "a%20b%2F%3F%C3%A9%0D%0A");
    }

    #[test]
    fn who_cannot_be_reached_is_said_in_plain_words() {
        let at = |kind: io::ErrorKind| unreachable_socket(&kind.into(), Path::new("/x"), "here", "no agent answers");
        assert_eq!(at(io::ErrorKind::NotFound).what, "no agent answers on /x: there is no such socket");
        assert_eq!(at(io::ErrorKind::ConnectionRefused).exit, Exit::Unavailable);
        assert_eq!(at(io::ErrorKind::PermissionDenied).exit, Exit::Permission);
        assert!(at(io::ErrorKind::WouldBlock).what.contains("said nothing for 10 s"));
    }
}
