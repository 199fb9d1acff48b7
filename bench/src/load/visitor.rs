//! People at the page *Compliance → SIEM*, as a browser asks for them.
//!
//! A visitor has logged in with the agent's first token and sends the session's cookie from then on. A page that stays open
//! is fetched once with its style, script and icon, and then does what `page.js` does: it fetches its own address every two
//! seconds on the same connection, with the header that asks for what is in its middle. The live tail is a page and a
//! connection on which events come until it is closed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use scaidrive_tests::http::{self, HttpReply};

use crate::scenario::case::OpenPage;

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    address: SocketAddr,
    cookie: String,
}

/// What a browser says it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A page or what belongs to it.
    Whole,
    /// What is in the middle of a page, as the script asks for it.
    Middle,
    /// A page or what belongs to it, not compressed.
    Plain,
}

/// A visitor's connection, which stays open from reply to reply.
pub(crate) struct Line {
    reader: BufReader<Counted>,
    head: String,
}

/// A stream with a count of what was read.
struct Counted {
    stream: TcpStream,
    bytes: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl Visitor {
    /// Logs in at the agent on `address` whose state directory is `state`.
    ///
    /// # Errors
    /// When there is no token, or it is not taken.
    pub(crate) fn log_in(address: SocketAddr, state: &Path) -> Result<Visitor, String> {
        let token = std::fs::read_to_string(state.join("admin-token"));
        let token = token.map_err(|error| format!("there is no token to log in with: {error}"))?;
        let form = format!("token={}", token.trim());
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let reply = http::post_once(address, "/login", &headers, form.as_bytes());
        let reply = reply.map_err(|error| format!("nobody answers a login: {error}"))?;
        let cookie = reply.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        match cookie {
            Some(cookie) if reply.status == 303 => Ok(Visitor { address, cookie: cookie.to_owned() }),
            _ => Err(format!("a login was answered with {}", reply.status)),
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub(crate) fn connect(&self) -> io::Result<Line> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_WITHIN))?;
        let head = format!("Host: {}\r\nCookie: {}\r\nUser-Agent: {BROWSER}\r\n", self.address, self.cookie);
        Ok(Line { reader: BufReader::new(Counted { stream, bytes: 0 }), head })
    }

    /// Fetches a page with everything that belongs to it, as one who was never here. Returns how many bytes came, heads
    /// included.
    ///
    /// # Errors
    /// When something of it is not there.
    pub(crate) fn first_view(&self, path: &str, wanted: Wanted) -> Result<u64, String> {
        let mut line = self.connect().map_err(|error| error.to_string())?;
        let page = line.fetch(path, wanted)?;
        for part in parts(&page.text()) {
            line.fetch(&part, wanted)?;
        }
        Ok(line.bytes())
    }
}

/// The paths of style, script and icon, as a page names them.
fn parts(page: &str) -> Vec<String> {
    let names = page.split(['"', '\'']).filter(|piece| piece.starts_with("/assets/"));
    names.map(str::to_owned).collect()
}

impl Line {
    /// Fetches `path`.
    ///
    /// # Errors
    /// When it is not answered, or not with what was asked for.
    pub(crate) fn fetch(&mut self, path: &str, wanted: Wanted) -> Result<HttpReply, String> {
        self.ask(path, wanted).map_err(|error| format!("{path} is not answered: {error}"))?;
        let reply = http::read_reply(&mut self.reader).map_err(|error| format!("{path} is not answered: {error}"))?;
        if reply.status == 200 { Ok(reply) } else { Err(format!("{path} is answered with {}", reply.status)) }
    }

    /// Bytes that have come so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.reader.get_ref().bytes
    }

    fn ask(&mut self, path: &str, wanted: Wanted) -> io::Result<()> {
        let wishes = match wanted {
            Wanted::Whole => "Accept: text/html,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n",
            Wanted::Middle => "Accept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nX-Fragment: 1\r\n",
            Wanted::Plain => "Accept: text/html,*/*;q=0.8\r\nAccept-Encoding: identity\r\n",
        };
        let request = format!("GET {path} HTTP/1.1\r\n{}{wishes}\r\n", self.head);
        self.reader.get_mut().stream.write_all(request.as_bytes())
    }
}

/// Pages that stay open until they are closed.
pub(crate) struct Open {
    is_over: Arc<AtomicBool>,
    people: Vec<JoinHandle<Result<(), String>>>,
}

impl Open {
    /// Opens `pages`, each by a visitor of its own, and returns when all are shown and live. They are fetched again at
    /// moments that are spread evenly.
    ///
    /// # Errors
    /// When they are not shown in time.
    pub(crate) fn all(visitor: &Visitor, pages: &[OpenPage]) -> Result<Open, String> {
        let (is_over, shown) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let between = FETCHED_EVERY / pages.len().max(1) as u32;
        let one = |(nth, page): (u32, &OpenPage)| {
            let (visitor, page) = (visitor.clone(), *page);
            let (told, shown) = (Arc::clone(&is_over), Arc::clone(&shown));
            thread::spawn(move || match page {
                OpenPage::Live(path) => stay(&visitor, path, between * nth, &told, &shown),
                OpenPage::Tail => watch(&visitor, &told, &shown),
            })
        };
        let open = Open { people: (0..).zip(pages).map(one).collect(), is_over: Arc::clone(&is_over) };
        let deadline = Instant::now() + REPLY_WITHIN;
        while shown.load(Ordering::Acquire) < pages.len() {
            if Instant::now() > deadline || open.people.iter().any(JoinHandle::is_finished) {
                return Err(open.close().err().unwrap_or_else(|| "pages are not shown in time".to_owned()));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(open)
    }

    /// Closes them.
    ///
    /// # Errors
    /// What one of them was not answered with.
    pub(crate) fn close(self) -> Result<(), String> {
        self.is_over.store(true, Ordering::Release);
        let people = self.people.into_iter();
        // Everybody has left when this returns.
        let said: Vec<_> = people.map(|one| one.join().expect("a visitor does not panic")).collect();
        said.into_iter().collect()
    }
}

/// A page that fetches itself, first after `until_first` and then every [`FETCHED_EVERY`].
fn stay(
    visitor: &Visitor,
    path: &str,
    until_first: Duration,
    is_over: &AtomicBool,
    shown: &AtomicUsize,
) -> Result<(), String> {
    visitor.first_view(path, Wanted::Whole)?;
    let mut line = visitor.connect().map_err(|error| error.to_string())?;
    line.fetch(path, Wanted::Middle)?;
    shown.fetch_add(1, Ordering::Release);
    let mut next = Instant::now() + until_first;
    while !is_over.load(Ordering::Acquire) {
        if Instant::now() < next {
            thread::sleep(LOOK_EVERY);
            continue;
        }
        line.fetch(path, Wanted::Middle)?;
        next += FETCHED_EVERY;
    }
    Ok(())
}

/// The live tail.
fn watch(visitor: &Visitor, is_over: &AtomicBool, shown: &AtomicUsize) -> Result<(), String> {
    visitor.first_view("/events", Wanted::Whole)?;
    let mut line = visitor.connect().map_err(|error| error.to_string())?;
    line.ask("/v1/tail", Wanted::Whole).map_err(|error| error.to_string())?;
    let mut first = String::new();
    line.reader.read_line(&mut first).map_err(|error| error.to_string())?;
    if !first.starts_with("HTTP/1.1 200") {
        return Err(format!("the live tail is answered with {first}"));
    }
    shown.fetch_add(1, Ordering::Release);
    let stream = line.reader.get_mut();
    stream.stream.set_read_timeout(Some(LOOK_EVERY)).map_err(|error| error.to_string())?;
    let mut buffer = vec![0; 1 << 16];
    while !is_over.load(Ordering::Acquire) {
        match stream.read(&mut buffer) {
            Ok(0) => return Err("the live tail has ended".to_owned()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(format!("the live tail broke off: {error}")),
        }
    }
    Ok(())
}

/// As in `page.js`.
const FETCHED_EVERY: Duration = Duration::from_millis(900);
const REPLY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_page_is_found_in_it() {
        let page =
            r#"<link rel="icon" href="/assets/icon.1.svg"><script src="/assets/page.2.js" defer></script><a href="/">"#;
        assert_eq!(parts(page), ["/assets/icon.1.svg", "/assets/page.2.js"]);
    }
}
