//! The floor: the least that a program has to do with an event.
//!
//! It reads from a Unix socket, parses each line with `serde_json` into a struct that borrows the known fields, checksums
//! it, copies it into a mapping, and sends what one read brought as the body of one request, head and body with one
//! `writev`, to the same receiver over the same kind of TCP socket as the agent's. Replies are read when they are there
//! and never waited for. One thread, no durability, no acknowledgements, no filters, no numbers, no retries.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use memmap2::MmapMut;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields that the agent knows, borrowed where no escape stands in the way.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Event<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    tenant_id: Cow<'a, str>,
    #[serde(borrow)]
    category: Cow<'a, str>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    severity: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user_email: Option<Cow<'a, str>>,
    #[serde(borrow)]
    service_account: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource_path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user_agent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Serves one producer after the other on the socket `listen`, until it is killed.
///
/// # Errors
/// When a socket or the mapping can't be had, or the receiver goes away.
pub(crate) fn run(listen: &Path, to: &str, log: &Path) -> io::Result<()> {
    let file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(log)?;
    file.set_len(MAPPING as u64)?;
    // SAFETY: the file was made by this process for itself; nobody else writes to it or makes it shorter.
    let mut mapping = unsafe { MmapMut::map_mut(&file) }?;
    let listener = UnixListener::bind(listen)?;
    let mut out = TcpStream::connect(to)?;
    out.set_nodelay(true)?;
    let mut at = 0;
    for producer in listener.incoming() {
        pass_on(producer?, &mut out, &mut mapping, &mut at)?;
    }
    Ok(())
}

fn pass_on(mut input: UnixStream, out: &mut TcpStream, mapping: &mut [u8], at: &mut usize) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 18];
    let (mut held, mut sum) = (0, 0_u32);
    loop {
        let read = input.read(&mut buffer[held..])?;
        if read == 0 {
            std::hint::black_box(sum);
            return Ok(());
        }
        held += read;
        // What one read brings stays together in the mapping, so that one slice of it is the body.
        if *at + held > mapping.len() {
            *at = 0;
        }
        let (begin, mut start) = (*at, 0);
        for end in memchr::memchr_iter(b'\n', &buffer[..held]) {
            let line = &buffer[start..end];
            let event: Event<'_> = serde_json::from_slice(line)?;
            std::hint::black_box(&event);
            sum ^= crc32fast::hash(line);
            let line = &buffer[start..=end];
            mapping[*at..*at + line.len()].copy_from_slice(line);
            *at += line.len();
            start = end + 1;
        }
        if start > 0 {
            send(out, &mapping[begin..*at])?;
        }
        buffer.copy_within(start..held, 0);
        held -= start;
    }
}

fn send(out: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    let written = out.write_vectored(&[IoSlice::new(head.as_bytes()), IoSlice::new(body)])?;
    match written.checked_sub(head.len()) {
        Some(of_body) => out.write_all(&body[of_body..])?,
        None => {
            out.write_all(&head.as_bytes()[written..])?;
            out.write_all(body)?;
        }
    }
    read_replies(out)
}

/// Reads what replies there are.
fn read_replies(out: &mut TcpStream) -> io::Result<()> {
    out.set_nonblocking(true)?;
    let read = out.read(&mut [0; 1 << 14]);
    out.set_nonblocking(false)?;
    match read {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Bytes of the mapping, written round and round.
const MAPPING: usize = 64 << 20;
