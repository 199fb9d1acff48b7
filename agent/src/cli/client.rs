//! Asking a running agent over its admin socket: plain blocking HTTP/1.1, one connection for each question.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scaidrive_codecs::http::{Progress, Reply, ReplyReader, write_head};
use serde::de::DeserializeOwned;

use super::{Exit, Failure, chain};
use crate::config::Config;

/// The way to the agent that a configuration describes.
pub(super) struct Client {
    socket: PathBuf,
    /// Where the socket's path stands, for messages.
    place: String,
}

impl Client {
    /// To the agent of `config`.
    pub(super) fn new(config: &Config) -> Client {
        let place = format!("admin.socket in {}", config.file.display());
        Client { socket: config.admin.socket.clone(), place }
    }

    /// Asks for `path` and reads the JSON that comes back.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] when no agent answers; what the agent says when it can't do it.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let reply = self.ask("GET", path).map_err(|problem| self.no_answer(&problem))?;
        if reply.status != 200 {
            return Err(self.refused(&reply));
        }
        serde_json::from_slice(&reply.body).map_err(|problem| Failure {
            exit: Exit::Unavailable,
            what: format!("what the agent answers can't be understood: {problem}"),
            place: self.socket.display().to_string(),
            advice: "use the command of the version that runs; `--version` says which this is".to_owned(),
        })
    }

    fn ask(&self, method: &str, path: &str) -> io::Result<Reply> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        let mut head = Vec::new();
        write_head(&mut head, method, path, "localhost", [("Connection", "close")], 0).map_err(io::Error::other)?;
        stream.write_all(&head)?;
        let mut reader = ReplyReader::new(REPLY_MAX);
        let mut bytes = vec![0; 64 << 10];
        loop {
            let count = stream.read(&mut bytes)?;
            if count == 0 {
                return reader.closed().map_err(io::Error::other);
            }
            match reader.push(&bytes[..count]).map_err(io::Error::other)? {
                Progress::More => {}
                Progress::Done { message, .. } if message.is_cut => return Err(io::Error::other("the answer is too long")),
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
        let exit = if reply.status == 404 { Exit::Usage } else { Exit::Unavailable };
        Failure {
            exit,
            what: format!("the agent refuses ({}): {detail}", reply.status),
            place: self.socket.display().to_string(),
            advice: "`scaidrive-siem status` and `scaidrive-siem deadletter list` show what there is".to_owned(),
        }
    }
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

/// How long the agent may take; its disk may be slow.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Longest answer, in bytes: a page of dead letters, or the status with thousands of destinations.
const REPLY_MAX: usize = 64 << 20;
const START: &str = "start the agent, or name the configuration of the one that runs with --config";

#[cfg(test)]
mod tests {
    use super::*;

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
