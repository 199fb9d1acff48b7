//! RELP, the client's side of one session: syslog messages with an answer to each (librelp, `doc/relp.md`).
//!
//! `TXNR SP COMMAND SP DATALEN [SP DATA] LF`. A session is told what arrived and answers with what that means; bytes to
//! be sent are appended to a buffer. It does no I/O and knows no time: when an answer is overdue the caller decides.
//!
//! Always true:
//! - numbers start at 1 with `open`, rise by one with each command, and after [`TXNR_MAX`] start at 1 again;
//! - at most [`WINDOW`] messages are unanswered;
//! - each message is answered once, whatever the order of the answers; messages count from 0 in each session;
//! - nothing is sent before the server has accepted `open`, nor after `close`.
//!
//! | from the server | means |
//! |-----------------|-------|
//! | `rsp` 200 to `open` that offers `syslog` | [`News::Opened`] |
//! | `rsp` else to `open`, or no such offer | [`News::OpenRefused`]: settings are wrong, here or there |
//! | `rsp` 200 to a message | [`News::Accepted`] |
//! | `rsp` else to a message | [`News::Refused`] |
//! | `rsp` to `close`, often empty | [`News::Closed`] |
//! | `serverclose` | [`News::ServerClosed`]; no answer is allowed |
//! | another hint (number 0) | nothing |
//! | anything else | [`RelpError`]: close the connection at once |

use std::collections::VecDeque;
use std::ops::Range;

use crate::json::write_number;
use crate::verdict::shown;

/// One session, from `open` to the end of its connection.
#[derive(Clone, Debug)]
pub struct RelpSession {
    stage: Stage,
    /// The number of the next command.
    next_txnr: u32,
    /// Messages that wait for their answers, by their commands' numbers, oldest first.
    unanswered: VecDeque<Waiting>,
    /// Messages begun so far.
    messages: u64,
    /// The beginning of a frame whose rest has not arrived.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    txnr: u32,
    message: u64,
    is_answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Opening { txnr: u32 },
    Open,
    Closing { txnr: u32 },
    Over,
}

/// What the server has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The session is open.
    Opened,
    /// The server will have no session with us; the text says why.
    OpenRefused {
        /// In plain words.
        why: String,
    },
    /// It has taken these messages.
    Accepted {
        /// Counted from 0 in this session.
        messages: Range<u64>,
    },
    /// It does not take this message.
    Refused {
        /// Counted from 0 in this session.
        message: u64,
        /// In its own words, shortened.
        why: String,
    },
    /// It has answered our `close`.
    Closed,
    /// It ends the session. What is unanswered goes again in another one.
    ServerClosed,
}

/// The server's bytes are no RELP, or answer what was not asked. The session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelpError {
    /// A frame is malformed.
    #[error("the answer is not a RELP frame: {what}")]
    Frame {
        /// Which part is not what it should be.
        what: &'static str,
    },
    /// A frame says that it is longer than any answer.
    #[error("the answer would have {bytes} bytes; at most {REPLY_MAX} are taken")]
    TooLong {
        /// What it says.
        bytes: u32,
    },
    /// A server sends answers and hints only.
    #[error("the server sent a command that is no answer")]
    Command,
    /// An answer to nothing, or a second one.
    #[error("the server answered number {txnr}, which is not waiting for an answer")]
    Unasked {
        /// As it came.
        txnr: u32,
    },
    /// An answer begins with its code.
    #[error("the answer to number {txnr} has no code")]
    NoCode {
        /// As it came.
        txnr: u32,
    },
}

impl Default for RelpSession {
    fn default() -> RelpSession {
        RelpSession::new()
    }
}

impl RelpSession {
    /// A session of which nothing has been sent.
    pub fn new() -> RelpSession {
        RelpSession::starting_at(1)
    }

    /// A session whose first command has this number, 1 to [`TXNR_MAX`]: for tests of what comes after the last one.
    /// Servers want 1.
    #[doc(hidden)]
    pub fn starting_at(txnr: u32) -> RelpSession {
        RelpSession {
            stage: Stage::New,
            next_txnr: txnr,
            unanswered: VecDeque::new(),
            messages: 0,
            partial: Vec::new(),
        }
    }

    /// Appends `open`, which must come first. It offers version 0: librelp's client refuses a server with a higher one,
    /// and every server takes it.
    ///
    /// # Panics
    /// When it was opened before.
    pub fn open(&mut self, out: &mut Vec<u8>) {
        assert_eq!(self.stage, Stage::New, "a session is opened once");
        self.stage = Stage::Opening { txnr: self.begin("open", out) };
        write_number(OFFERS.len() as u64, out);
        out.push(b' ');
        out.extend_from_slice(OFFERS.as_bytes());
        out.push(b'\n');
    }

    /// How many messages may be sent now.
    pub fn room(&self) -> usize {
        if self.stage == Stage::Open { WINDOW - self.unanswered.len() } else { 0 }
    }

    /// Whether the server has accepted `open` and nobody has closed.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Messages sent that have no answer yet.
    pub fn unanswered(&self) -> usize {
        self.unanswered.iter().filter(|waiting| !waiting.is_answered).count()
    }

    /// Appends the beginning of a message's frame: number and command, each with a space behind it. What has to follow
    /// is the message with octet counting (its length, a space, the message), at most [`DATA_MAX`] bytes of it, and a line feed: so a
    /// message that lies in the log is never copied. Returns the message's number, from 0.
    ///
    /// # Panics
    /// Without [`RelpSession::room`].
    pub fn begin_message(&mut self, out: &mut Vec<u8>) -> u64 {
        assert!(self.room() > 0, "the caller has asked for room");
        let message = self.messages;
        self.messages += 1;
        let txnr = self.begin("syslog", out);
        self.unanswered.push_back(Waiting { txnr, message, is_answered: false });
        message
    }

    /// Appends `close`, unless the session is not open. What is unanswered is still answered first.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.stage == Stage::Open {
            self.stage = Stage::Closing { txnr: self.begin("close", out) };
            out.extend_from_slice(b"0\n");
        }
    }

    /// Takes what arrived, in any division, and appends what it means to `news`.
    ///
    /// # Errors
    /// See [`RelpError`]; what was said before stands in `news`. The session is then over.
    pub fn receive(&mut self, bytes: &[u8], news: &mut Vec<News>) -> Result<(), RelpError> {
        let mut partial = std::mem::take(&mut self.partial);
        let mut rest = if partial.is_empty() {
            bytes
        } else {
            partial.extend_from_slice(bytes);
            &partial[..]
        };
        while self.stage != Stage::Over {
            match split_frame(rest).and_then(|split| {
                let Some((frame, after)) = split else { return Ok(None) };
                self.on_frame(&frame, news).map(|()| Some(after))
            }) {
                Ok(Some(after)) => rest = after,
                Ok(None) => {
                    self.partial = rest.to_vec();
                    break;
                }
                Err(error) => {
                    self.stage = Stage::Over;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes number and command; returns the number.
    fn begin(&mut self, command: &str, out: &mut Vec<u8>) -> u32 {
        let txnr = self.next_txnr;
        self.next_txnr = if txnr >= TXNR_MAX { 1 } else { txnr + 1 };
        write_number(u64::from(txnr), out);
        out.push(b' ');
        out.extend_from_slice(command.as_bytes());
        out.push(b' ');
        txnr
    }

    fn on_frame(&mut self, frame: &Frame<'_>, news: &mut Vec<News>) -> Result<(), RelpError> {
        let txnr = frame.txnr;
        match (txnr, frame.command) {
            (0, b"serverclose") => {
                self.stage = Stage::Over;
                news.push(News::ServerClosed);
                Ok(())
            }
            (0, _) => Ok(()),
            (_, b"rsp") => self.on_answer(txnr, frame.data, news),
            _ => Err(RelpError::Command),
        }
    }

    fn on_answer(&mut self, txnr: u32, data: &[u8], news: &mut Vec<News>) -> Result<(), RelpError> {
        match self.stage {
            Stage::Opening { txnr: opening } if opening == txnr => {
                let answer = Answer::of(data).ok_or(RelpError::NoCode { txnr })?;
                match answer.refusal_of_open() {
                    None => {
                        self.stage = Stage::Open;
                        news.push(News::Opened);
                    }
                    Some(why) => {
                        self.stage = Stage::Over;
                        news.push(News::OpenRefused { why });
                    }
                }
                Ok(())
            }
            // librelp answers it with nothing at all.
            Stage::Closing { txnr: closing } if closing == txnr => {
                self.stage = Stage::Over;
                news.push(News::Closed);
                Ok(())
            }
            _ => self.on_verdict(txnr, data, news),
        }
    }

    fn on_verdict(&mut self, txnr: u32, data: &[u8], news: &mut Vec<News>) -> Result<(), RelpError> {
        // Answers come in order, so the first one looked at is nearly always the right one.
        let asked = self.unanswered.iter_mut().find(|waiting| waiting.txnr == txnr && !waiting.is_answered);
        let waiting = asked.ok_or(RelpError::Unasked { txnr })?;
        let answer = Answer::of(data).ok_or(RelpError::NoCode { txnr })?;
        waiting.is_answered = true;
        let message = waiting.message;
        while self.unanswered.front().is_some_and(|waiting| waiting.is_answered) {
            self.unanswered.pop_front();
        }
        match news.last_mut() {
            _ if answer.code != CODE_OK => news.push(News::Refused { message, why: answer.words() }),
            Some(News::Accepted { messages }) if messages.end == message => messages.end += 1,
            _ => news.push(News::Accepted { messages: message..message + 1 }),
        }
        Ok(())
    }
}

/// One frame from the server.
struct Frame<'a> {
    txnr: u32,
    command: &'a [u8],
    data: &'a [u8],
}

/// Takes one frame off the front of `input`; `None` while it is not complete. What is wrong is said as soon as it is
/// there.
fn split_frame(input: &[u8]) -> Result<Option<(Frame<'_>, &[u8])>, RelpError> {
    let Some((txnr, input)) = split_number(input, b" ", "its number")? else { return Ok(None) };
    let Some((command, input)) = split_command(input)? else { return Ok(None) };
    let Some((len, input)) = split_number(input, b" \n", "the length of its data")? else { return Ok(None) };
    if len > REPLY_MAX {
        return Err(RelpError::TooLong { bytes: len });
    }
    // Without data the length is followed by the trailer at once; the separator has not been taken.
    let (data, input) = match input.split_first() {
        Some((b'\n', _)) if len == 0 => (&[][..], input),
        Some((b' ', after)) => match after.split_at_checked(len as usize) {
            Some(parts) => parts,
            None => return Ok(None),
        },
        _ => return Err(RelpError::Frame { what: "the length of its data" }),
    };
    match input.split_first() {
        Some((b'\n', after)) => Ok(Some((Frame { txnr, command, data }, after))),
        Some(_) => Err(RelpError::Frame { what: "it does not end with a line feed" }),
        None => Ok(None),
    }
}

/// One to nine digits and one of `ends`. A space is taken where nothing else may follow.
fn split_number<'a>(input: &'a [u8], ends: &[u8], what: &'static str) -> Result<Option<(u32, &'a [u8])>, RelpError> {
    let digits = input.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    match input.get(digits) {
        None if digits <= DIGITS_MAX => Ok(None),
        Some(end) if (1..=DIGITS_MAX).contains(&digits) && ends.contains(end) => {
            let number = input[..digits].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
            let after = if ends == b" " { digits + 1 } else { digits };
            Ok(Some((number, &input[after..])))
        }
        _ => Err(RelpError::Frame { what }),
    }
}

fn split_command(input: &[u8]) -> Result<Option<(&[u8], &[u8])>, RelpError> {
    let letters = input.iter().take(COMMAND_MAX + 1).take_while(|byte| byte.is_ascii_alphabetic()).count();
    match input.get(letters) {
        None if letters <= COMMAND_MAX => Ok(None),
        Some(b' ') if (1..=COMMAND_MAX).contains(&letters) => Ok(Some((&input[..letters], &input[letters + 1..]))),
        _ => Err(RelpError::Frame { what: "its command" }),
    }
}

/// What an answer says: `CODE SP text [LF data]`.
struct Answer<'a> {
    code: u32,
    text: &'a [u8],
    data: &'a [u8],
}

impl Answer<'_> {
    /// `None` without a code of one to three digits.
    fn of(data: &[u8]) -> Option<Answer<'_>> {
        let digits = data.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (code, rest) = data.split_at(digits);
        if !(1..=CODE_DIGITS_MAX).contains(&digits) || !matches!(rest.first(), None | Some(b' ' | b'\n')) {
            return None;
        }
        let code = code.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        Some(Answer { code, text: &rest[..end], data: rest.get(end + 1..).unwrap_or_default() })
    }

    fn words(&self) -> String {
        shown(format!("{} {}", self.code, String::from_utf8_lossy(self.text).trim()).trim())
    }

    /// Why `open` was in vain, if it was.
    fn refusal_of_open(&self) -> Option<String> {
        if self.code != CODE_OK {
            return Some(format!("the server refuses the session: {}", self.words()));
        }
        let offer = |name: &str| {
            let lines = self.data.split(|byte| *byte == b'\n');
            let named = |line: &[u8]| {
                String::from_utf8_lossy(line).trim().strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
            };
            lines.filter_map(named).next()
        };
        match offer("relp_version") {
            None => return Some(String::from("the server does not say which version of RELP it speaks")),
            Some(version) if !VERSIONS.contains(&version.trim()) => {
                return Some(format!("the server speaks version {} of RELP; 0 and 1 are known here", shown(&version)));
            }
            Some(_) => {}
        }
        let has_syslog =
            offer("commands").is_some_and(|list| list.split(',').any(|command| command.trim() == "syslog"));
        (!has_syslog).then(|| String::from("the server takes no syslog messages: `syslog` is not among its commands"))
    }
}

/// What we offer with `open`.
const OFFERS: &str = "relp_version=0\nrelp_software=scaidrive-siem\ncommands=syslog\n";
/// Versions taken from a server.
const VERSIONS: [&str; 2] = ["0", "1"];
/// The largest number of a command; after it comes 1.
pub const TXNR_MAX: u32 = 999_999_999;
/// Messages that may be unanswered: what librelp keeps.
pub const WINDOW: usize = 128;
/// The longest message, in bytes. A server ends the session over a longer one (rsyslog's `maxDataSize`).
pub const DATA_MAX: usize = 128 * 1024;
/// Data of an answer that is taken, in bytes; real ones have a few dozen.
pub const REPLY_MAX: u32 = 128 * 1024;
const CODE_OK: u32 = 200;
const CODE_DIGITS_MAX: usize = 3;
const DIGITS_MAX: usize = 9;
const COMMAND_MAX: usize = 32;
