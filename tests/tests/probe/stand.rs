//! Whoever stands at the other end: one thread for each connection, and one way of answering.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How it answers.
#[derive(Clone, Debug)]
pub(crate) enum Answers {
    /// With these bytes, when something has come; then it closes, or stays.
    Bytes { bytes: Vec<u8>, holds: bool },
    /// With these bytes before anything has come; then it stays.
    Greets(&'static [u8]),
    /// It closes at once.
    Closes,
    /// Not at all.
    Silent,
    /// Over HTTP, with the time it has.
    Dated { status: u16, body: &'static str },
    /// As Elasticsearch: it accepts every document and finds none.
    LosesDocuments,
    /// As a syslog receiver that knows line feeds only.
    LineFeedsOnly,
    /// As a RELP server that takes no message.
    RelpRefuses,
}

impl Answers {
    pub(crate) fn bytes(bytes: &[u8], holds: bool) -> Answers {
        Answers::Bytes { bytes: bytes.to_vec(), holds }
    }

    /// One HTTP reply to each connection.
    pub(crate) fn http(status: u16, headers: &[(&str, &str)], body: &str) -> Answers {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head =
            format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
        Answers::bytes(format!("{head}{body}").as_bytes(), false)
    }
}

/// It, listening on a port of loopback until it is dropped.
pub(crate) struct Stand {
    address: SocketAddr,
    doors: Arc<Doors>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Doors {
    is_closing: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// A connection, plain or not.
trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

impl Stand {
    pub(crate) fn open(tls: Option<Arc<ServerConfig>>, answers: Answers) -> Stand {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let doors = Arc::new(Doors::default());
        let shared = Arc::clone(&doors);
        let acceptor = thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if shared.is_closing.load(Ordering::SeqCst) {
                    return;
                }
                let (tls, answers) = (tls.clone(), answers.clone());
                if let Ok(copy) = socket.try_clone() {
                    shared.open.lock().expect("no holder panics").push(copy);
                }
                // How a connection ends is the client's business to tell.
                thread::spawn(move || drop(serve(socket, tls, &answers)));
            }
        });
        Stand { address, doors, acceptor: Some(acceptor) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.doors.is_closing.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for socket in self.doors.open.lock().expect("no holder panics").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn serve(socket: TcpStream, tls: Option<Arc<ServerConfig>>, answers: &Answers) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let Some(config) = tls else {
        let mut wire = socket.try_clone()?;
        answer(&mut wire, &socket, answers)?;
        return linger(&socket);
    };
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut wire = StreamOwned::new(session, socket.try_clone()?);
    let answered = answer(&mut wire, &socket, answers);
    if answered.is_ok() {
        wire.conn.send_close_notify();
        let _ = wire.flush();
    }
    linger(&socket)
}

/// Says that no more comes, and reads what still does: closing at once would turn what was said into a reset.
fn linger(socket: &TcpStream) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    socket.set_read_timeout(Some(LINGER))?;
    let mut socket = socket;
    let mut block = [0; 4096];
    while matches!(socket.read(&mut block), Ok(1..)) {}
    Ok(())
}

fn answer(wire: &mut dyn Wire, socket: &TcpStream, answers: &Answers) -> io::Result<()> {
    match answers {
        Answers::Bytes { bytes, holds } => {
            hear(wire, socket)?;
            wire.write_all(bytes)?;
            wire.flush()?;
            if *holds { hold(wire) } else { Ok(()) }
        }
        Answers::Greets(bytes) => {
            wire.write_all(bytes)?;
            wire.flush()?;
            hold(wire)
        }
        Answers::Closes => socket.shutdown(Shutdown::Both),
        Answers::Silent => hold(wire),
        Answers::Dated { status, body } => {
            let now = jiff::Timestamp::try_from(SystemTime::now()).map_err(io::Error::other)?;
            let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let Answers::Bytes { bytes, .. } = Answers::http(*status, &[("Date", &date)], body) else { return Ok(()) };
            hear(wire, socket)?;
            wire.write_all(&bytes)
        }
        Answers::LosesDocuments => {
            let asked = String::from_utf8_lossy(&hear(wire, socket)?).into_owned();
            let body = match asked.split_whitespace().nth(1).unwrap_or_default() {
                path if path.contains("/_bulk") => "{\"errors\":false,\"items\":[{\"create\":{\"status\":201}}]}",
                path if path.ends_with("/_refresh") => "{\"_shards\":{\"total\":1,\"successful\":1,\"failed\":0}}",
                _ => "{\"hits\":{\"total\":{\"value\":0},\"hits\":[]}}",
            };
            let Answers::Bytes { bytes, .. } = Answers::http(200, &[], body) else { return Ok(()) };
            wire.write_all(&bytes)
        }
        Answers::LineFeedsOnly => match hear(wire, socket)?.first() {
            Some(b'<') => hold(wire),
            _ => socket.shutdown(Shutdown::Both),
        },
        Answers::RelpRefuses => loop {
            let asked = String::from_utf8_lossy(&hear(wire, socket)?).into_owned();
            let mut words = asked.split(' ');
            let (number, command) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let data = match command {
                "open" => "200 OK\nrelp_version=0\nrelp_software=stand\ncommands=syslog",
                "syslog" => "500 no room for that",
                _ => return Ok(()),
            };
            wire.write_all(format!("{number} rsp {} {data}\n", data.len()).as_bytes())?;
        },
    }
}

/// What comes, until nothing more does.
fn hear(wire: &mut dyn Wire, socket: &TcpStream) -> io::Result<Vec<u8>> {
    let (mut heard, mut block) = (Vec::new(), vec![0; 64 << 10]);
    socket.set_read_timeout(Some(PATIENCE))?;
    loop {
        match wire.read(&mut block) {
            Ok(0) if heard.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(0) => return Ok(heard),
            Ok(size) => heard.extend_from_slice(&block[..size]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return if heard.is_empty() { Err(error) } else { Ok(heard) };
            }
            Err(error) => return Err(error),
        }
        socket.set_read_timeout(Some(QUIET))?;
    }
}

/// Reads until the other side closes, and says nothing.
fn hold(wire: &mut dyn Wire) -> io::Result<()> {
    let mut block = [0; 4096];
    while wire.read(&mut block)? > 0 {}
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(20);
/// What follows within this belongs to what came before.
const QUIET: Duration = Duration::from_millis(40);
const LINGER: Duration = Duration::from_secs(1);
