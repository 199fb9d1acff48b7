//! `destination`: how each destination is, and what an operator wishes of it. All but `test` and `template` ask the running
//! agent.

use std::path::Path;

use scaidrive_codecs::time::parse_rfc3339;
use serde_json::json;

use super::args::{
    DestinationCommand, DestinationListArgs, DestinationNameArgs, DestinationPreviewArgs, DestinationReplayArgs,
    DestinationShowArgs,
};
use super::client::{Client, Sockets, path_segment};
use super::output::one_line;
use super::status::{last_word, needs_words, progress, room, span_sent, trouble};
use super::words::{count, moment, size, span, table};
use super::{Exit, Failure, Output, probe, template};
use crate::config::{Surroundings, span_of};
use crate::control::destinations::{DestinationWhole, Paused, ReplayWish, Replayed};
use crate::control::managed::tell::OriginTold;
use crate::control::preview::{LeftOutBy, Preview};
use crate::control::proof::{Proof, StreamProof};
use crate::control::status::{DestinationStatus, DrainStatus};
use crate::node::Pause;
use crate::runtime::clock;
use crate::time::Millis;

/// Lists, shows, pauses, drains, resumes, replays or tests them, or prints a template.
pub(super) fn run(
    path: &Path,
    command: &DestinationCommand,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let ask = |output: &mut Output<'_>, answer: &dyn Fn(&Client, &mut Output<'_>) -> Result<Exit, Failure>| {
        let Some(sockets) = Sockets::find(path, surroundings, output) else { return Ok(Exit::Config) };
        answer(&Client::new(&sockets.admin, path), output)
    };
    match command {
        DestinationCommand::List(args) => ask(output, &|client, output| list(client, args, output)),
        DestinationCommand::Show(args) => ask(output, &|client, output| show(client, args, output)),
        DestinationCommand::Preview(args) => ask(output, &|client, output| preview(client, args, output)),
        DestinationCommand::Pause(args) => ask(output, &|client, output| rest(client, args, "pause", output)),
        DestinationCommand::Drain(args) => ask(output, &|client, output| rest(client, args, "drain", output)),
        DestinationCommand::Resume(args) => ask(output, &|client, output| rest(client, args, "resume", output)),
        DestinationCommand::Replay(args) => ask(output, &|client, output| replay(client, args, output)),
        DestinationCommand::Test(args) => probe::run(path, args, surroundings, output),
        DestinationCommand::Template(args) => template::run(path, args, surroundings, output),
    }
}

fn list(client: &Client, args: &DestinationListArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let path = "/v1/destinations";
    if args.json {
        output.json(&client.get(path)?);
        return Ok(Exit::Ok);
    }
    let destinations: Vec<DestinationStatus> = client.get(path)?;
    if destinations.is_empty() {
        output.talk("no destinations are configured");
        return Ok(Exit::Ok);
    }
    rows(&destinations, clock::wall_ms()).iter().for_each(|line| output.data(line));
    Ok(Exit::Ok)
}

fn rows(destinations: &[DestinationStatus], now_ms: i64) -> Vec<String> {
    let head = ["DESTINATION", "TYPE", "STATE", "SINCE", "LAG", "UNREAD", "RATE", "LAST SUCCESS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let ago = |at_ms: i64| span(now_ms.saturating_sub(at_ms).max(0) as u64);
    rows.extend(destinations.iter().map(|destination| {
        vec![
            destination.name.clone(),
            destination.kind.clone(),
            destination.state.clone(),
            destination.since_ms.map(ago).unwrap_or_default(),
            span(destination.lag_ms),
            count(destination.unread),
            format!("{:.1}/s", destination.events_per_second),
            destination.last_success_ms.map_or_else(|| "none yet".to_owned(), |at_ms| format!("{} ago", ago(at_ms))),
        ]
    }));
    table(&rows)
}

fn show(client: &Client, args: &DestinationShowArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let path = format!("/v1/destinations/{}", path_segment(&args.destination));
    if args.json {
        output.json(&client.get(&path)?);
        return Ok(Exit::Ok);
    }
    let whole: DestinationWhole = client.get(&path)?;
    lines(&whole, clock::wall_ms()).iter().for_each(|line| output.data(line));
    Ok(Exit::Ok)
}

fn preview(client: &Client, args: &DestinationPreviewArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let request = serde_json::json!({ "destination": args.destination }).to_string();
    if args.json {
        output.json(&client.post("/v1/preview", request.as_bytes())?);
        return Ok(Exit::Ok);
    }
    let preview: Preview = client.post("/v1/preview", request.as_bytes())?;
    preview_lines(&preview).iter().for_each(|line| output.data(line));
    Ok(Exit::Ok)
}

/// The sentence, and what it is made of.
fn preview_lines(preview: &Preview) -> Vec<String> {
    let mut lines = vec![preview.summary.clone()];
    lines.extend(preview.cut.clone());
    for (head, shares) in [("CATEGORY", &preview.categories), ("SEVERITY", &preview.severities)] {
        let mut rows = vec![[head, "EVENTS", "SENT"].map(str::to_owned).to_vec()];
        rows.extend(shares.iter().map(|share| {
            let name = share.name.clone().unwrap_or_else(|| "others".to_owned());
            vec![name, count(share.judged), count(share.selected)]
        }));
        lines.extend((rows.len() > 1).then(|| table(&rows)).into_iter().flatten());
    }
    let by = |left: &LeftOutBy| format!("left out by {}: {}", left.list, count(left.events));
    lines.extend(preview.left_out_by.iter().map(by));
    lines
}

/// State, numbers, streams and settings of one destination.
fn lines(whole: &DestinationWhole, now_ms: i64) -> Vec<String> {
    let DestinationWhole { settings, status, editable, proof } = whole;
    let since = status.since_ms.map(|since| format!(" for {}", span(now_ms.saturating_sub(since).max(0) as u64)));
    let mut lines = vec![format!("state     {}{}: {}", status.state, since.unwrap_or_default(), status.cause)];
    if needs_words(status) {
        lines.extend(trouble(status).into_iter().skip(1).map(|line| format!("        {line}")));
    } else {
        lines.push(format!("          room: {}", room(status)));
    }
    lines.push(format!("heard     {}", last_word(status, now_ms)));
    let (books, requests, latency) = (&status.books, &status.requests, &status.latency);
    lines.push(format!(
        "lag       {}; {} records not read yet; {:.1} events/s accepted over the last minute",
        span(status.lag_ms),
        count(status.unread),
        status.events_per_second
    ));
    lines.push(format!(
        "books     {} judged = {} filtered + {} selected",
        count(books.judged),
        count(books.filtered),
        count(books.selected)
    ));
    lines.push(format!(
        "          {} selected = {} delivered + {} dead letters + {} passed over + {} in hand + {} written off",
        count(books.selected),
        count(books.delivered),
        count(books.dead_lettered),
        count(books.overflowed),
        count(books.in_hand),
        count(books.abandoned)
    ));
    if books.difference != 0 {
        lines.push(format!("          OUT BY {}", count(books.difference)));
    }
    lines.push(format!(
        "requests  {} accepted, {} refused, {} without an answer, {} under way; {} of events",
        count(requests.accepted),
        count(requests.refused),
        count(requests.failed),
        requests.under_way,
        size(status.delivered_bytes)
    ));
    lines.push(format!(
        "latency   half within {}, 99 of 100 within {}, the longest {}",
        span(latency.p50_ms),
        span(latency.p99_ms),
        span(latency.max_ms)
    ));
    lines.extend(status.dead_letters.map(|store| {
        format!("letters   {} kept, {} of {}", count(store.events), size(store.bytes), size(store.max_bytes))
    }));
    lines.extend(status.drain.as_ref().map(|drain| format!("drain     {}", left(drain))));
    lines.extend(status.replay.as_ref().map(|replay| format!("replay    {}", progress(replay))));
    for (at, stream) in proof.streams.iter().enumerate() {
        lines.push(format!("{}{}", if at == 0 { "streams   " } else { "          " }, stream.stream));
        lines.push(format!("            {}", numbers(stream, now_ms)));
    }
    lines.push(match &editable.origin {
        OriginTold::File { path } => format!("from      {}", path.as_deref().unwrap_or("the operator's files")),
        OriginTold::Managed => "from      the API, which changes it".to_owned(),
    });
    lines.push(String::new());
    let set = settings.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
    lines.extend(set.map(|(key, value)| format!("{key:<24} {}", one_line(value)).trim_end().to_owned()));
    lines.extend(asked(proof));
    lines
}

/// What is known here of a stream's numbers.
fn numbers(stream: &StreamProof, now_ms: i64) -> String {
    let Some(last) = stream.last_n else { return "no number yet".to_owned() };
    let vouched = match stream.stated_to_n {
        None => "no statement accepted yet".to_owned(),
        Some(n) => format!("vouched for up to {}", count(n)),
    };
    let ago = |at_ms: i64| format!(", last {} ago", span(now_ms.saturating_sub(at_ms).max(0) as u64));
    format!(
        "numbers {} to {}: {} missing there ({} dead letters, {} passed over), {} in hand; {vouched}{}",
        stream.first_n.unwrap_or(1),
        count(last),
        count(stream.missing),
        count(stream.dead_lettered),
        count(stream.overflowed),
        count(stream.in_hand),
        stream.last_statement_ms.map(ago).unwrap_or_default()
    )
}

/// What to ask at the destination to see that nothing is missing.
fn asked(proof: &Proof) -> Vec<String> {
    if proof.query.is_empty() {
        return Vec::new();
    }
    let mut lines =
        vec![String::new(), format!("whether a number is missing is asked so ({}):", proof.ask), String::new()];
    lines.extend(proof.query.lines().map(str::to_owned));
    lines.extend(proof.note.iter().flat_map(|note| [String::new(), note.clone()]));
    lines
}

fn rest(client: &Client, args: &DestinationNameArgs, wish: &str, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let path = format!("/v1/destinations/{}/{wish}", path_segment(&args.destination));
    let paused: Paused = client.post(&path, &[])?;
    if args.json {
        output.json(&json!(paused));
        return Ok(Exit::Ok);
    }
    let (data, talk) = said(&paused);
    output.data(&data);
    talk.iter().for_each(|line| output.talk(line));
    Ok(Exit::Ok)
}

/// What is left to drain.
fn left(drain: &DrainStatus) -> String {
    if drain.is_over {
        return "it has everything, and what came later waits".to_owned();
    }
    let about = drain.bytes.map(|bytes| format!(", about {}", size(bytes))).unwrap_or_default();
    format!("{} in hand and {} records to be read are left{about}", count(drain.in_hand), count(drain.unread))
}

/// What came of a pause, of draining or of a resumption, and what to know about it.
fn said(paused: &Paused) -> (String, Option<String>) {
    let name = &paused.destination;
    let Some(pause) = &paused.after else {
        let before = paused.before.as_ref();
        return match before {
            Some(Pause { who, since_ms, drain }) => {
                let done = if drain.is_some() { "had it drained" } else { "had paused it" };
                (format!("{name} goes on; {who} {done} at {}", moment(*since_ms)), None)
            }
            None => (format!("{name} was not paused"), None),
        };
    };
    let whose = if pause.drain.is_some() { "later events wait" } else { "its events wait" };
    let waits = if paused.holds_producers {
        format!(
            "{whose} in the log; when that is full, producers have to wait too (required, and buffer.on_full is block)"
        )
    } else {
        format!(
            "{whose} in the log for {} (buffer.window) while there is room; then the oldest are passed over, and announced",
            span(paused.window_ms)
        )
    };
    let until = format!("until `scaidrive-siem destination resume {name}`");
    let data = match (paused.is_changed, &pause.drain) {
        (true, None) => format!("{name} is paused, also over restarts, {until}"),
        (true, Some(_)) => {
            format!("{name} drains: it is sent what is in the log now, and then it stands, also over restarts, {until}")
        }
        (false, drain) => {
            let what = match drain.as_ref().map(|drain| drain.ended_ms) {
                None => "is paused already",
                Some(None) => "drains already",
                Some(Some(_)) => "has drained already",
            };
            format!("{name} {what}: by {}, at {}", pause.who, moment(pause.since_ms))
        }
    };
    (data, Some(waits))
}

fn replay(client: &Client, args: &DestinationReplayArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let from_ms = args.from.as_deref().map(|text| from(text, clock::wall_ms())).transpose()?;
    let wish = json!(ReplayWish { from_ms }).to_string();
    let path = format!("/v1/destinations/{}/replay", path_segment(&args.destination));
    let replayed: Replayed = client.post(&path, wish.as_bytes())?;
    if args.json {
        output.json(&json!(replayed));
        return Ok(Exit::Ok);
    }
    let (data, talk) = again(&replayed);
    output.data(&data);
    talk.iter().for_each(|line| output.talk(line));
    Ok(Exit::Ok)
}

/// A moment, or how long ago it was, in ms since 1970.
pub(crate) fn from(text: &str, now_ms: i64) -> Result<i64, Failure> {
    let ago = |span: Millis| now_ms.saturating_sub_unsigned(span.0);
    span_of(text).map(ago).or_else(|| parse_rfc3339(text.as_bytes())).ok_or_else(|| Failure {
        exit: Exit::Usage,
        what: format!("--from is \"{text}\", which is neither a time nor a span of time"),
        place: "the command line".to_owned(),
        advice: "write it like 2026-03-14T09:26:53Z, or like 90s, 10m or 2h for so long ago".to_owned(),
    })
}

/// What comes of a replay, and what to know about it.
fn again(replayed: &Replayed) -> (String, Vec<String>) {
    let Replayed { destination: name, oldest_ms, replay, pause } = replayed;
    if replay.has_nothing() {
        return (
            format!("{name} has settled nothing yet of {}, so nothing is sent again", span_sent(replay)),
            Vec::new(),
        );
    }
    let mut talk = Vec::new();
    if let (Some(from_ms), Some(oldest_ms)) = (replay.from_ms, *oldest_ms)
        && from_ms < oldest_ms
    {
        talk.push(format!("the log holds nothing older than {}, so that is where it begins", moment(oldest_ms)));
    }
    let waits = |pause: &Pause| {
        format!("{} has paused it: the replay waits until `scaidrive-siem destination resume {name}`", pause.who)
    };
    talk.extend(pause.as_ref().map(waits));
    talk.extend(TO_KNOW.map(str::to_owned));
    talk.push(format!("`scaidrive-siem destination show {name}` shows how far it has come"));
    (format!("{name} is sent again {}", progress(replay)), talk)
}

/// What to know about every replay.
const TO_KNOW: [&str; 3] = [
    "new events are delivered meanwhile as ever",
    "each event goes under the stream and number it had: it fills a gap, and where there is none the number tells it is a repeat",
    "what lies before the stream's present epoch, as after a change of filter, goes in an epoch of its own",
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cli::status::tests::{replay, sample};
    use crate::control::managed::tell::Editable;
    use crate::control::status::ReplayStatus;
    use crate::node::Drain;

    #[test]
    fn the_list_has_a_line_for_each_destination() {
        let mut destinations = sample("active").destinations;
        destinations.extend(sample("circuit_open").destinations);
        destinations[0].name = "elastic-prod".to_owned();
        destinations[0].events_per_second = 12.34;
        destinations[1].last_success_ms = None;
        assert_eq!(
            rows(&destinations, 13_000),
            [
                "DESTINATION   TYPE        STATE         SINCE   LAG  UNREAD    RATE  LAST SUCCESS",
                "elastic-prod  splunk_hec  active         12 s  12 m       1  12.3/s  13 s ago",
                "splunk        splunk_hec  circuit_open   12 s  12 m       1   0.0/s  none yet",
            ]
        );
    }

    #[test]
    fn one_destination_is_shown_with_state_numbers_streams_and_settings() {
        let settings = json!({"name": "splunk", "token": "file /etc/x\n", "proxy.url": null});
        let Value::Object(settings) = settings else { panic!("an object") };
        let status = sample("circuit_open").destinations.remove(0);
        let origin = OriginTold::File { path: Some("/etc/a.toml".to_owned()) };
        let editable = Editable { origin, settings_json: None, secrets: Vec::new(), problems: Vec::new() };
        let stream = StreamProof {
            stream: "s".to_owned(),
            first_n: Some(1),
            last_n: Some(4),
            in_hand: 3,
            stated_to_n: Some(1),
            last_statement_ms: Some(1_000),
            ..StreamProof::default()
        };
        let (query, ask) = ("index=* siem_n=*\n| stats".to_owned(), "Splunk".to_owned());
        let proof = Proof { streams: vec![stream], query, ask, note: Some("A note.".to_owned()) };
        let text = lines(&DestinationWhole { settings, status, editable, proof }, 13_000).join("\n");
        assert_eq!(
            text,
            "state     circuit_open for 12 s: cannot connect: refused\n\
             \x20         last success 1970-01-01T00:00:00.000Z\n\
             \x20         room: 12 of 30 m used; not filling\n\
             \x20         next: it is tried again by itself\n\
             \x20         do:   `scaidrive-siem destination test splunk` says more\n\
             heard     accepted something 13 s ago, no statement of its numbers since the agent started\n\
             lag       12 m; 1 records not read yet; 0.0 events/s accepted over the last minute\n\
             books     4 judged = 0 filtered + 4 selected\n\
             \x20         4 selected = 1 delivered + 0 dead letters + 0 passed over + 3 in hand + 0 written off\n\
             requests  1 accepted, 0 refused, 3 without an answer, 0 under way; 9 B of events\n\
             latency   half within 3 ms, 99 of 100 within 3 ms, the longest 3 ms\n\
             streams   s\n\
             \x20           numbers 1 to 4: 0 missing there (0 dead letters, 0 passed over), 3 in hand; vouched for up to 1, last 12 s ago\n\
             from      /etc/a.toml\n\
             \n\
             name                     splunk\n\
             token                    file /etc/x\u{fffd}\n\
             \n\
             whether a number is missing is asked so (Splunk):\n\
             \n\
             index=* siem_n=*\n\
             | stats\n\
             \n\
             A note."
        );
    }

    #[test]
    fn a_pause_says_what_happens_to_the_events_and_who_made_it() {
        let pause = Some(Pause { who: "uid 0".to_owned(), since_ms: 0, drain: None });
        let paused = |is_changed, before: &Option<Pause>, after: &Option<Pause>| {
            let (before, after) = (before.clone(), after.clone());
            let (destination, window_ms, holds_producers) = ("a".to_owned(), 1_800_000, false);
            Paused { destination, is_changed, before, after, window_ms, holds_producers }
        };
        let holding = Paused { holds_producers: true, ..paused(true, &None, &pause) };
        assert!(said(&holding).1.unwrap().contains("producers have to wait too"));
        let paused =
            |is_changed, before: &Option<Pause>, after: &Option<Pause>| said(&paused(is_changed, before, after));
        let (data, talk) = paused(true, &None, &pause);
        assert!(data.starts_with("a is paused, also over restarts, until `scaidrive-siem destination resume a`"));
        assert!(talk.unwrap().contains("wait in the log for 30 m (buffer.window)"));
        assert_eq!(paused(false, &pause, &pause).0, "a is paused already: by uid 0, at 1970-01-01T00:00:00.000Z");
        assert_eq!(paused(true, &pause, &None).0, "a goes on; uid 0 had paused it at 1970-01-01T00:00:00.000Z");
        assert_eq!(paused(false, &None, &None).0, "a was not paused");

        let drains = |ended_ms| {
            let drain = Some(Drain { points: vec![1], ended_ms });
            Some(Pause { who: "uid 0".to_owned(), since_ms: 0, drain })
        };
        let (data, talk) = paused(true, &None, &drains(None));
        assert!(data.starts_with("a drains: it is sent what is in the log now, and then it stands"), "{data}");
        assert!(talk.unwrap().starts_with("later events wait in the log for 30 m"));
        assert!(paused(false, &drains(None), &drains(None)).0.starts_with("a drains already: by uid 0"));
        assert!(paused(false, &drains(Some(1)), &drains(Some(1))).0.starts_with("a has drained already: by uid 0"));
        assert!(paused(true, &drains(Some(1)), &None).0.starts_with("a goes on; uid 0 had it drained at 1970"));
    }

    #[test]
    fn what_is_left_to_drain_is_told_with_its_size_where_that_is_known() {
        let drain = DrainStatus { in_hand: 7, unread: 1_200, bytes: Some(2_048), is_over: false };
        assert_eq!(left(&drain), "7 in hand and 1,200 records to be read are left, about 2.0 KiB");
        assert_eq!(left(&DrainStatus { bytes: None, ..drain }), "7 in hand and 1,200 records to be read are left");
        assert_eq!(left(&DrainStatus { is_over: true, ..drain }), "it has everything, and what came later waits");
    }

    #[test]
    fn a_replay_begins_at_a_time_or_so_long_ago() {
        assert_eq!(from("10m", 1_000_000), Ok(400_000));
        assert_eq!(from("1970-01-01T00:00:01Z", 0), Ok(1_000));
        for text in ["", "10", "monday", "-10m", "10 minutes"] {
            let failure = from(text, 0).unwrap_err();
            assert_eq!((failure.exit, failure.place.as_str()), (Exit::Usage, "the command line"), "{text}");
        }
    }

    #[test]
    fn a_replay_says_from_when_it_is_to_be_had_whom_it_waits_for_and_how_to_watch_it() {
        let replayed = |from_ms, pause| {
            let replay = ReplayStatus { from_ms, ..replay() };
            again(&Replayed { destination: "a".to_owned(), oldest_ms: Some(5_000), replay, pause })
        };
        let (data, talk) = replayed(Some(6_000), None);
        assert!(
            data.starts_with("a is sent again what was accepted since 1970-01-01T00:00:06.000Z: running; "),
            "{data}"
        );
        assert_eq!(talk.len(), TO_KNOW.len() + 1);
        assert_eq!(talk[TO_KNOW.len()], "`scaidrive-siem destination show a` shows how far it has come");
        let (_, talk) = replayed(Some(4_000), Some(Pause { who: "uid 0".to_owned(), since_ms: 0, drain: None }));
        assert_eq!(talk[0], "the log holds nothing older than 1970-01-01T00:00:05.000Z, so that is where it begins");
        assert!(talk[1].starts_with("uid 0 has paused it: the replay waits until "), "{talk:?}");
        assert!(replayed(None, None).0.starts_with("a is sent again all that the log held: running; "));
        let replay = ReplayStatus { state: "over".to_owned(), delivered: 0, in_hand: 0, unread: 0, ..replay() };
        let (data, talk) = again(&Replayed { destination: "a".to_owned(), oldest_ms: None, replay, pause: None });
        let nothing =
            "a has settled nothing yet of what was accepted since 1970-01-01T00:00:06.000Z, so nothing is sent again";
        assert_eq!((data.as_str(), talk.len()), (nothing, 0));
    }
}
