//! RELP, the server's side of one session, written from librelp's specification: strict about frames, numbers and order.

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// It opens the session.
    Open,
    /// A message.
    Syslog(&'a [u8]),
    /// It closes the session.
    Close,
}

/// One session.
pub(super) struct Session {
    /// The number of the next command.
    next: u32,
    is_open: bool,
}

/// A frame from the client: `TXNR SP COMMAND SP DATALEN [SP DATA] LF`.
struct Frame<'a> {
    txnr: u32,
    command: &'a [u8],
    data: &'a [u8],
    length: usize,
}

/// The answer to `open`, as librelp gives it.
pub(super) const WELCOME: &str = "200 OK\nrelp_version=0\nrelp_software=stand-in\ncommands=syslog";
/// Says that the server ends the session; no answer is allowed.
pub(super) const SERVER_CLOSE: &[u8] = b"0 serverclose 0\n";
/// Messages that may be unanswered, as librelp's own clients have it.
pub const RELP_WINDOW: usize = 128;
const TXNR_MAX: u32 = 999_999_999;
const COMMAND_MAX: usize = 32;
const NUMBER_MAX: usize = 9;
/// librelp's own limit; it ends the session when more comes.
const DATA_MAX: usize = 128 * 1024;

impl Session {
    pub(super) fn new() -> Session {
        Session { next: 1, is_open: false }
    }

    /// Takes the command at the front of `bytes`: its number, what it says, and its length. `None` while it is not whole.
    ///
    /// # Errors
    /// What librelp would end the session for.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(u32, Command<'a>, usize)>, String> {
        let Some(frame) = split(bytes)? else { return Ok(None) };
        if frame.txnr != self.next {
            return Err(format!("RELP: number {} came where {} was due", frame.txnr, self.next));
        }
        self.next = if self.next == TXNR_MAX { 1 } else { self.next + 1 };
        let command = match (frame.command, self.is_open) {
            (b"open", false) => {
                check_offers(frame.data)?;
                self.is_open = true;
                Command::Open
            }
            (b"syslog", true) => Command::Syslog(frame.data),
            (b"close", true) => {
                self.is_open = false;
                Command::Close
            }
            (other, _) => return Err(format!("RELP: {:?} is out of place", String::from_utf8_lossy(other))),
        };
        Ok(Some((frame.txnr, command, frame.length)))
    }
}

/// Appends the answer `data` to command number `txnr`.
pub(super) fn answer(txnr: u32, data: &str, out: &mut Vec<u8>) {
    let space = if data.is_empty() { "" } else { " " };
    out.extend_from_slice(format!("{txnr} rsp {}{space}{data}\n", data.len()).as_bytes());
}

fn check_offers(data: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(data);
    let has = |offer: &str| text.lines().any(|line| line == offer);
    if has("relp_version=0") && has("commands=syslog") { Ok(()) } else { Err(format!("RELP: the offers are {text:?}")) }
}

fn split(bytes: &[u8]) -> Result<Option<Frame<'_>>, String> {
    let Some((txnr, after)) = word(bytes, b" ", NUMBER_MAX)? else { return Ok(None) };
    let Some((command, after)) = word(after, b" ", COMMAND_MAX)? else { return Ok(None) };
    let Some((length, after)) = word(after, b" \n", NUMBER_MAX)? else { return Ok(None) };
    let length = usize::try_from(number(length)?).expect("nine digits fit");
    if length > DATA_MAX {
        return Err(format!("RELP: {length} bytes of data"));
    }
    // Without data the line feed stands right behind the length.
    let start = usize::from(length > 0);
    let Some(&end) = after.get(start + length) else { return Ok(None) };
    if end != b'\n' || (length > 0 && after[0] != b' ') {
        return Err("RELP: a frame does not end where it says".to_owned());
    }
    Ok(Some(Frame {
        txnr: number(txnr)?,
        command,
        data: &after[start..start + length],
        length: bytes.len() - after.len() + start + length + 1,
    }))
}

/// A word of at most `longest` bytes and what begins with its end; a space is no part of either where nothing else ends it.
fn word<'a>(bytes: &'a [u8], ends: &[u8], longest: usize) -> Result<Option<(&'a [u8], &'a [u8])>, String> {
    let Some(length) = bytes.iter().position(|byte| ends.contains(byte)) else {
        return if bytes.len() > longest { Err(no_frame(bytes)) } else { Ok(None) };
    };
    if length == 0 || length > longest {
        return Err(no_frame(bytes));
    }
    let after = length + usize::from(ends == b" ");
    Ok(Some((&bytes[..length], &bytes[after..])))
}

fn number(digits: &[u8]) -> Result<u32, String> {
    let text = String::from_utf8_lossy(digits);
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.parse().ok()).flatten().ok_or_else(|| format!("RELP: {text:?} is no number"))
}

fn no_frame(bytes: &[u8]) -> String {
    format!("RELP: no frame: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &[u8] = b"1 open 30 relp_version=0\ncommands=syslog\n";

    #[test]
    fn a_session_is_read_in_any_split() {
        let mut bytes = OPEN.to_vec();
        bytes.extend_from_slice(b"2 syslog 3 a\nb\n3 close 0\n");
        let (mut session, mut at, mut said) = (Session::new(), 0, Vec::new());
        for end in 0..=bytes.len() {
            while let Some((txnr, command, length)) = session.take(&bytes[at..end]).unwrap() {
                said.push((txnr, command, end));
                at += length;
            }
        }
        let ends = [OPEN.len(), OPEN.len() + 15, bytes.len()];
        let expected =
            [(1, Command::Open, ends[0]), (2, Command::Syslog(b"a\nb"), ends[1]), (3, Command::Close, ends[2])];
        assert_eq!(said, expected);
    }

    #[test]
    fn each_breach_of_the_protocol_is_found() {
        let after_open: &[&[u8]] = &[
            b"3 syslog 1 a\n",
            b"2 open 0\n",
            b"2 syslog 1 ab\n",
            b"2 syslog 999999 a",
            b"x syslog 1 a\n",
            b" 2",
            b"2 rsp 0\n",
        ];
        for bytes in after_open {
            let mut session = Session::new();
            session.take(OPEN).unwrap().unwrap();
            assert!(session.take(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        assert!(Session::new().take(b"1 syslog 1 a\n").is_err(), "a message before open");
        assert!(Session::new().take(b"1 open 15 commands=syslog\n").is_err(), "an open without a version");
    }

    #[test]
    fn an_answer_without_data_has_no_space_before_its_end() {
        let mut out = Vec::new();
        answer(2, "200 OK", &mut out);
        answer(3, "", &mut out);
        assert_eq!(out, b"2 rsp 6 200 OK\n3 rsp 0\n");
    }
}
