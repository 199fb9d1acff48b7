//! `tail`: events as the running agent makes them durable, until nobody wants to see any more.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::args::TailArgs;
use super::client::{Client, Sockets, path_segment};
use super::output::one_line;
use super::words::count;
use super::{Exit, Failure, Output};
use crate::config::Surroundings;

/// Shows events; an agent that goes away is waited for, unless `--once`.
pub(super) fn run(
    path: &Path,
    args: &TailArgs,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let Some(sockets) = Sockets::find(path, surroundings, output) else { return Ok(Exit::Config) };
    let client = Client::new(&sockets.admin, path);
    let request = request(args);
    let mut was_there = false;
    let mut is_missed = false;
    loop {
        let mut message = Message::default();
        let watched = client.watch(&request, &mut |line| {
            if is_missed {
                output.talk("the agent is there again");
                is_missed = false;
            }
            if let Some(message) = message.line(line) {
                show(&message, args.json, output);
            }
            !output.is_broken()
        });
        match watched {
            Ok(()) if args.once || output.is_broken() => return Ok(Exit::Ok),
            Ok(()) => was_there = true,
            Err(failure) if !was_there => return Err(failure),
            Err(_) => {}
        }
        if !is_missed {
            output.talk("the agent went away; waits for it to come back");
            is_missed = true;
        }
        thread::sleep(AGAIN);
    }
}

fn request(args: &TailArgs) -> String {
    let lists = [
        ("category", &args.category),
        ("severity", &args.severity),
        ("action", &args.action),
        ("tenant", &args.tenant),
        ("user", &args.user),
    ];
    let pairs = lists
        .into_iter()
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}={}", path_segment(value))));
    let query = pairs.collect::<Vec<_>>().join("&");
    if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") }
}

/// A server-sent event (WHATWG HTML, section 9.2), as far as the agent sends them: each field on one line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    event: String,
    data: String,
}

impl Message {
    /// Takes a line; gives the message that ends with it.
    fn line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let message = std::mem::take(self);
            return (!message.event.is_empty()).then_some(message);
        }
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        match name {
            "event" => self.event = value.to_owned(),
            "data" => self.data = value.to_owned(),
            // Its id, or a heartbeat.
            _ => {}
        }
        None
    }
}

fn show(message: &Message, is_json: bool, output: &mut Output<'_>) {
    match message.event.as_str() {
        "event" if is_json => output.data(&message.data),
        "event" => match serde_json::from_str::<Line<'_>>(&message.data) {
            Ok(line) => output.data(&line.in_words()),
            Err(_) => output.data(&one_line(&message.data)),
        },
        kind => output.talk(&left_out(kind, message.data.parse().ok())),
    }
}

fn left_out(kind: &str, events: Option<u64>) -> String {
    let events = events.map_or_else(|| "some".to_owned(), count);
    match kind {
        "skipped" => format!("… {events} more of these were not shown"),
        _ => format!("… {events} events came too fast to be looked at"),
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
}

/// What of an event is on a line.
#[derive(Deserialize)]
struct Columns {
    timestamp: String,
    severity: String,
    category: String,
    action: String,
    tenant_id: String,
    user_id: Option<String>,
    user_email: Option<String>,
    service_account: Option<String>,
    resource_path: Option<String>,
    resource_id: Option<String>,
}

impl Line<'_> {
    fn in_words(&self) -> String {
        let Ok(columns) = serde_json::from_str::<Columns>(self.event.get()) else { return one_line(self.event.get()) };
        let Columns { timestamp, severity, category, action, tenant_id, .. } = &columns;
        let mut line = format!("{timestamp}  {severity:<8}  {category}  {action}  {tenant_id}");
        let who = columns.user_email.or(columns.user_id).or(columns.service_account);
        let what = columns.resource_path.or(columns.resource_id);
        for more in [who, what].into_iter().flatten() {
            line.push_str("  ");
            line.push_str(&more);
        }
        one_line(&line)
    }
}

const PATH: &str = "/v1/tail";
/// How long until an agent that went away is looked for again.
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Colour;

    #[test]
    fn what_is_asked_for_is_written_as_a_query() {
        let mut args = TailArgs::default();
        assert_eq!(request(&args), "/v1/tail");
        args.category = vec!["A".to_owned(), "B".to_owned()];
        args.user = vec!["a&b@x.org".to_owned()];
        assert_eq!(request(&args), "/v1/tail?category=A&category=B&user=a%26b%40x.org");
    }

    fn shown(stream: &str, is_json: bool) -> (String, String) {
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut data, &mut talk, Colour::default());
        let mut message = Message::default();
        for line in stream.lines() {
            if let Some(message) = message.line(line) {
                show(&message, is_json, &mut output);
            }
        }
        drop(output);
        (String::from_utf8(data).unwrap(), String::from_utf8(talk).unwrap())
    }

    const STREAM: &str = concat!(
        ": \n\n",
        "event: event\nid: 00:7\n",
        r#"data: {"log":"00","seq":7,"received":"2026-05-12T14:23:02Z","event":{"timestamp":"2026-05-12T14:23:01Z","#,
        r#""severity":"info","category":"C","action":"file.read","tenant_id":"t","user_id":"al\u001b[31mice","#,
        r#""resource_path":"/a: b"}}"#,
        "\n\nevent: skipped\ndata: 1200\n\nevent: unread\ndata: 7\n\n",
    );

    #[test]
    fn an_event_is_a_line_that_no_event_can_paint_and_what_is_left_out_is_said_beside() {
        let (data, talk) = shown(STREAM, false);
        assert_eq!(data, "2026-05-12T14:23:01Z  info      C  file.read  t  al\u{fffd}[31mice  /a: b\n");
        assert_eq!(talk, "… 1,200 more of these were not shown\n… 7 events came too fast to be looked at\n");
        let (data, _) = shown(STREAM, true);
        assert!(data.starts_with("{\"log\":\"00\",\"seq\":7,") && data.contains("al\\u001b"), "{data}");
    }
}
