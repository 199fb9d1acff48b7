//! `emit`: events to the running agent, from a file, from standard input or from options, until they are durable.
//!
//! One thread writes lines while this one reads what the agent says, so neither waits for the other. What the agent does
//! not acknowledge is said to be the caller's still.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::args::{EmitArgs, EmitEvent};
use super::client::unreachable_socket;
use super::words::{count, moment};
use super::{Exit, Failure, Output, chain};
use crate::config::Surroundings;
use crate::runtime::clock;

/// Sends the events and waits for the acknowledgements.
pub(super) fn run(
    path: &Path,
    args: &EmitArgs,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let event = made_event(&args.event)?;
    let (socket, place) = match &args.socket {
        Some(socket) => (socket.clone(), "--socket on the command line".to_owned()),
        None => {
            let Some(config) = super::configuration(path, surroundings, output) else { return Ok(Exit::Config) };
            let place = format!("ingest.unix.path in {}", path.display());
            (config.ingest.unix.map(|unix| unix.path).ok_or_else(|| no_socket(path))?, place)
        }
    };
    let input: Box<dyn Read + Send> = match event {
        Some(line) => Box::new(io::Cursor::new(line)),
        None if args.file == Path::new("-") => Box::new(io::stdin()),
        None => Box::new(File::open(&args.file).map_err(|problem| unreadable(&args.file, &problem))?),
    };
    let stream = UnixStream::connect(&socket)
        .map_err(|problem| unreachable_socket(&problem, &socket, &place, "no agent takes events"))?;
    let told = exchange(stream, input, args, output)?;
    report(&told, args.json, output);
    told.into_exit(&socket, &args.file)
}

/// What became of the events.
#[derive(Debug, Default, Serialize)]
struct Told {
    /// Lines written, blank ones too.
    lines: u64,
    /// The first so many of them are settled.
    acked: u64,
    /// Events that are durable; known once every line is settled.
    durable: Option<u64>,
    /// Of those: refused.
    refused: u64,
    /// Refused lines by number; the agent names a bounded number of them.
    refusals: Vec<Refusal>,
    /// Why the agent ended the connection, if it did.
    error: Option<String>,
    #[serde(skip)]
    unread: Option<io::Error>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Refusal {
    line: u64,
    code: String,
    reason: String,
}

/// A line of the agent's.
#[derive(Debug, Deserialize)]
struct Said {
    acked: u64,
    #[serde(default)]
    refused: Vec<Refusal>,
    #[serde(default)]
    refused_more: u64,
    waiting: Option<String>,
    error: Option<String>,
}

/// What the writing side did.
#[derive(Debug, Default)]
struct Written {
    lines: u64,
    /// Lines with nothing in them.
    blank: u64,
    unread: Option<io::Error>,
}

fn exchange(
    stream: UnixStream,
    input: Box<dyn Read + Send>,
    args: &EmitArgs,
    output: &mut Output<'_>,
) -> Result<Told, Failure> {
    let internal = |problem: io::Error| Failure {
        exit: Exit::Internal,
        what: format!("cannot send: {problem}"),
        place: "this process".to_owned(),
        advice: "raise its limits on threads and open files".to_owned(),
    };
    let sending = stream.try_clone().map_err(internal)?;
    let writer = thread::Builder::new().name("emit".to_owned()).spawn(move || write_all(sending, input));
    let writer = writer.map_err(internal)?;
    let mut told = listen(stream, args.json, output);
    if told.error.is_some() && !writer.is_finished() {
        // The input may never end (a terminal); nobody takes what would still come from it.
        told.lines = told.lines.max(told.acked);
        return Ok(told);
    }
    let written = writer.join().unwrap_or_default();
    told.lines = written.lines;
    let is_settled = told.acked >= told.lines && told.error.is_none();
    told.durable = is_settled.then(|| told.lines.saturating_sub(told.refused).saturating_sub(written.blank));
    told.unread = written.unread;
    Ok(told)
}

/// Writes every line of `input`, then says that there is no more.
fn write_all(mut stream: UnixStream, input: impl Read) -> Written {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut written = Written::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(problem) => {
                written.unread = Some(problem);
                break;
            }
        }
        // A last line without its end would count as cut off.
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        if stream.write_all(&line).is_err() {
            break;
        }
        written.lines += 1;
        if line.trim_ascii().is_empty() {
            written.blank += 1;
        }
    }
    // The agent may be gone, which the reading side notices.
    let _ = stream.shutdown(Shutdown::Write);
    written
}

/// Reads what the agent says until it has said everything.
fn listen(stream: UnixStream, is_quiet: bool, output: &mut Output<'_>) -> Told {
    let mut told = Told::default();
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        let Ok(said) = serde_json::from_str::<Said>(&line) else { continue };
        told.acked = told.acked.max(said.acked);
        told.refused += said.refused.len() as u64 + said.refused_more;
        if !is_quiet {
            said.refused.iter().for_each(|refusal| output.talk(&format!("line {}: {}", refusal.line, refusal.reason)));
            if said.refused_more > 0 {
                output.talk(&format!("and {} more lines were refused", count(said.refused_more)));
            }
            if let Some(why) = &said.waiting {
                output.talk(&format!("the agent has no room and waits: {why}"));
            }
        }
        let room = REFUSALS_MAX.saturating_sub(told.refusals.len());
        told.refusals.extend(said.refused.into_iter().take(room));
        told.error = said.error.or(told.error);
    }
    told
}

fn report(told: &Told, is_json: bool, output: &mut Output<'_>) {
    if is_json {
        output.json(&json!(told));
        return;
    }
    let refused = if told.refused > 0 { format!(", {} refused", count(told.refused)) } else { String::new() };
    match told.durable {
        Some(durable) => output.data(&format!("{} acknowledged as durable{refused}", count(durable))),
        None => output.data(&format!("the first {} lines are settled{refused}", count(told.acked))),
    }
}

impl Told {
    fn into_exit(self, socket: &Path, file: &Path) -> Result<Exit, Failure> {
        if let Some(problem) = &self.unread {
            return Err(unreadable(file, problem));
        }
        if let Some(error) = &self.error {
            return Err(Failure {
                exit: Exit::Unavailable,
                what: format!("the agent ended the connection: {error}"),
                place: format!("{} after line {}", socket.display(), self.acked),
                advice: "put right what it says and send the lines after that again".to_owned(),
            });
        }
        if self.acked < self.lines {
            return Err(Failure {
                exit: Exit::Unavailable,
                what: format!("only {} of {} lines are settled; the connection ended", self.acked, self.lines),
                place: socket.display().to_string(),
                advice: "see whether the agent runs (`scaidrive-siem status`) and send the other lines again".to_owned(),
            });
        }
        Ok(if self.refused > 0 { Exit::CheckFailed } else { Exit::Ok })
    }
}

/// The line that the options ask for; `None` when they ask for none.
fn made_event(options: &EmitEvent) -> Result<Option<Vec<u8>>, Failure> {
    let Some(action) = &options.action else { return Ok(None) };
    let mut event = Map::new();
    let mut set = |key: &str, value: Option<&String>| {
        if let Some(value) = value {
            event.insert(key.to_owned(), Value::from(value.as_str()));
        }
    };
    let id = format!("cli_{:016x}{:016x}", clock::entropy(), clock::entropy());
    let severity = options.severity.clone().unwrap_or_else(|| "info".to_owned());
    set("event_id", Some(&id));
    set("timestamp", Some(&moment(clock::wall_ms())));
    set("tenant_id", options.tenant.as_ref());
    set("category", options.category.as_ref());
    set("action", Some(action));
    set("severity", Some(&severity));
    set("user_id", options.user.as_ref());
    set("user_email", options.user_email.as_ref());
    set("resource_path", options.resource_path.as_ref());
    set("resource_id", options.resource_id.as_ref());
    set("ip", options.ip.as_ref());
    set("session_id", options.session.as_ref());
    if let Some(text) = &options.payload {
        let bad = |why: String| Failure {
            exit: Exit::Usage,
            what: format!("--payload is not a JSON object: {why}"),
            place: "the command line".to_owned(),
            advice: "write it in single quotes, like --payload '{\"count\":3}'".to_owned(),
        };
        match serde_json::from_str(text) {
            Ok(Value::Object(payload)) => event.insert("payload".to_owned(), payload.into()),
            Ok(_) => return Err(bad("it is another kind of value".to_owned())),
            Err(problem) => return Err(bad(problem.to_string())),
        };
    }
    let mut line = Value::from(event).to_string().into_bytes();
    line.push(b'\n');
    Ok(Some(line))
}

fn unreadable(file: &Path, problem: &io::Error) -> Failure {
    let denied = problem.kind() == io::ErrorKind::PermissionDenied;
    Failure {
        exit: if denied { Exit::Permission } else { Exit::Io },
        what: format!("cannot read the events: {}", chain(problem)),
        place: if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() },
        advice: "name a file with one JSON object a line, or `-` for standard input".to_owned(),
    }
}

fn no_socket(path: &Path) -> Failure {
    Failure {
        exit: Exit::Config,
        what: "the agent has no ingest socket".to_owned(),
        place: format!("ingest.unix in {}", path.display()),
        advice: "add one, or send the events over HTTP".to_owned(),
    }
}

/// Bytes read from the input at once.
const BUFFER: usize = 64 << 10;
/// Refusals kept for the JSON answer.
const REFUSALS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn options() -> EmitEvent {
        EmitEvent {
            action: Some("file.download".to_owned()),
            category: Some("DATA_ACCESS".to_owned()),
            tenant: Some("tnt_1".to_owned()),
            user: Some("alice".to_owned()),
            payload: Some("{\"n\":1}".to_owned()),
            ..EmitEvent::default()
        }
    }

    #[test]
    fn an_event_from_options_is_one_that_intake_accepts() {
        let mut line = made_event(&options()).unwrap().unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        scaidrive_codecs::index(&line).unwrap();
        let event: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&event["severity"], &event["payload"]["n"]), (&json!("info"), &json!(1)));
        assert_ne!(made_event(&options()).unwrap(), made_event(&options()).unwrap(), "each has an id of its own");
        assert_eq!(made_event(&EmitEvent::default()).unwrap(), None);
    }

    #[test]
    fn a_payload_that_is_no_object_is_a_usage_error() {
        for payload in ["3", "{", "[]"] {
            let failure = made_event(&EmitEvent { payload: Some(payload.to_owned()), ..options() }).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
        }
    }

    /// What `emit` makes of an agent that answers `lines` once it has read everything.
    fn emitted(input: &'static str, lines: &'static str) -> (Told, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ingest");
        let listener = UnixListener::bind(&path).unwrap();
        let agent = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = String::new();
            stream.read_to_string(&mut got).unwrap();
            stream.write_all(lines.as_bytes()).unwrap();
            got
        });
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut data, &mut talk, super::super::Colour::default());
        let args = EmitArgs { file: PathBuf::from("-"), socket: None, json: false, event: EmitEvent::default() };
        let input = Box::new(io::Cursor::new(input.as_bytes()));
        let told = exchange(UnixStream::connect(&path).unwrap(), input, &args, &mut output).unwrap();
        assert!(agent.join().unwrap().ends_with('\n'));
        (told, String::from_utf8(talk).unwrap())
    }

    #[test]
    fn what_was_refused_is_told_with_its_line_and_the_rest_is_durable() {
        let answer = "{\"acked\":1}\n{\"acked\":4,\"refused\":[{\"line\":3,\"code\":\"syntax\",\"reason\":\"no\"}]}\n";
        let (told, talk) = emitted("{}\n\nx\n{}", answer);
        assert_eq!((told.lines, told.acked, told.durable, told.refused), (4, 4, Some(2), 1));
        assert_eq!(talk, "line 3: no\n");
        assert_eq!(told.into_exit(Path::new("/s"), Path::new("-")), Ok(Exit::CheckFailed));
    }

    #[test]
    fn what_is_not_acknowledged_is_said_to_be_the_callers() {
        let (told, _) = emitted("{}\n{}\n", "{\"acked\":1}\n");
        let failure = told.into_exit(Path::new("/s"), Path::new("-")).unwrap_err();
        assert_eq!((failure.exit, failure.what.contains("only 1 of 2")), (Exit::Unavailable, true));
        let (told, _) = emitted("{}\n", "{\"acked\":0,\"error\":\"the disk is full\"}\n");
        assert!(told.into_exit(Path::new("/s"), Path::new("-")).unwrap_err().what.contains("the disk is full"));
    }
}
