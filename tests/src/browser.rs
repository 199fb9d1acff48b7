//! A browser without scripts, for the agent's page: it follows links, sends forms as they are, and keeps no cookies. It
//! comes over the admin socket, where whoever may connect is known.

use std::io::{self, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::http::{HttpReply, read_reply};

/// See the module.
#[derive(Debug)]
pub struct Browser {
    socket: PathBuf,
}

/// Longer than a test of a destination takes.
const REPLY_WITHIN: Duration = Duration::from_secs(60);

impl Browser {
    /// At the agent that listens on this socket.
    pub fn at(socket: &Path) -> Browser {
        Browser { socket: socket.to_owned() }
    }

    /// The page at `path`.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    pub fn open(&self, path: &str) -> String {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.text()
    }

    /// What is answered to a GET of `path`.
    #[track_caller]
    pub fn get(&self, path: &str) -> HttpReply {
        self.ask("GET", path, &[], b"").expect("the agent answers")
    }

    /// What is answered to a script that asks for the middle of `path` alone.
    #[track_caller]
    pub fn get_fragment(&self, path: &str) -> HttpReply {
        self.ask("GET", path, &[("X-Fragment", "1")], b"").expect("the agent answers")
    }

    /// Sends a form with these fields, and returns the answer without following it.
    #[track_caller]
    pub fn send(&self, path: &str, fields: &[(&str, &str)]) -> HttpReply {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", coded(name), coded(value))).collect();
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        self.ask("POST", path, &[kind], pairs.join("&").as_bytes()).expect("the agent answers")
    }

    /// Sends a form, and opens the page that the answer leads to.
    ///
    /// # Panics
    /// When it leads nowhere.
    #[track_caller]
    pub fn send_and_follow(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let reply = self.send(path, fields);
        assert_eq!(reply.status, 303, "{path}: {}", reply.text());
        self.open(reply.header("location").expect("a redirect says where to"))
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<HttpReply> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(REPLY_WITHIN))?;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: text/html\r\n");
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        read_reply(&mut BufReader::new(stream))
    }
}

/// As forms are written (WHATWG URL, section 5.2).
fn coded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte);
    let one = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_forms_write_them() {
        assert_eq!(coded("a b&c=ü\n"), "a+b%26c%3D%C3%BC%0A");
    }
}
