//! The floor: the least that a program has to do with an event.
//!
//! It reads from a Unix socket, parses each line with `serde_json` into a struct that borrows the known fields, checksums
//! it, copies it into a mapping, and sends what one read brought as the body of one request, head and body with one
//! `writev`, to the same receiver over the same kind of TCP socket as the agent's. Replies are read when they are there
//! and never waited for. One thread, no durability, no acknowledgements, no filters, no numbers, no retries.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use memmap2::MmapMut;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A string of the input; copied only where an escape stands in it. `serde` borrows a `Cow` only when the field is one
/// itself, not inside an `Option`, hence the type.
#[derive(Deserialize)]
#[serde(transparent)]
#[allow(dead_code, reason = "only tests look into it")]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields that the agent knows. They are parsed and not looked at.
#[derive(Deserialize)]
#[expect(dead_code, reason = "parsed, and not looked at")]
struct Event<'a> {
    #[serde(borrow)]
    event_id: Text<'a>,
    #[serde(borrow)]
    timestamp: Text<'a>,
    #[serde(borrow)]
    tenant_id: Text<'a>,
    #[serde(borrow)]
    category: Text<'a>,
    #[serde(borrow)]
    action: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    user_id: Option<Text<'a>>,
    #[serde(borrow)]
    user_email: Option<Text<'a>>,
    #[serde(borrow)]
    service_account: Option<Text<'a>>,
    #[serde(borrow)]
    resource_id: Option<Text<'a>>,
    #[serde(borrow)]
    resource_path: Option<Text<'a>>,
    #[serde(borrow)]
    ip: Option<Text<'a>>,
    #[serde(borrow)]
    user_agent: Option<Text<'a>>,
    #[serde(borrow)]
    session_id: Option<Text<'a>>,
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

/// Reads what replies there are, with one call that does not wait.
fn read_replies(out: &TcpStream) -> io::Result<()> {
    let mut replies = [0_u8; 1 << 14];
    // SAFETY: the pointer and the length are those of a local array, which the call only writes to.
    let read = unsafe { libc::recv(out.as_raw_fd(), replies.as_mut_ptr().cast(), replies.len(), libc::MSG_DONTWAIT) };
    match read {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        1.. => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.kind() == ErrorKind::WouldBlock => Ok(()),
            error => Err(error),
        },
    }
}

/// Bytes of the mapping, written round and round.
const MAPPING: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_escape_is_borrowed_in_optional_fields_too() {
        let line = r#"{"event_id":"e","timestamp":"t","tenant_id":"n","category":"c","action":"a","severity":"s",
            "user_id":"ü","resource_path":"a\nb","payload":{"x":[1]}}"#;
        let event: Event<'_> = serde_json::from_str(line).unwrap();
        let is_borrowed = |text: &Text<'_>| matches!(text.0, Cow::Borrowed(_));
        assert!(is_borrowed(&event.event_id) && event.user_id.as_ref().is_some_and(is_borrowed));
        assert!(event.resource_path.is_some_and(|path| path.0 == "a\nb"));
        assert_eq!(event.payload.unwrap().get(), r#"{"x":[1]}"#);
    }
}
