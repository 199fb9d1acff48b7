//! `deadletter`: the events that destinations refused for good. To look at them the running agent is asked or, without
//! one, its files; what changes them (`deadletter/change.rs`) needs the agent, because it becomes an audit event.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::args::{DeadletterCommand, DeadletterListArgs, DeadletterShowArgs};
use super::client::{Client, Sockets, path_segment};
use super::words::{count, moment, size, table};
use super::{Exit, Failure, Output, chain};
use crate::config::{Config, Destination, Surroundings};
use crate::control::destinations::find;
use crate::control::letters::{
    self, LetterLine, LetterPage, LetterWhole, StoreLine, StreamPrefix, agent_id_of, store_line,
};
use crate::deadletter::gone::{self, Gone};
use crate::deadletter::{DeadLetters, Look};

mod change;

/// Lists or shows them, or has the agent change them.
pub(super) fn run(
    path: &Path,
    command: &DeadletterCommand,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let look = |output: &mut Output<'_>, answer: &dyn Fn(&Source, &mut Output<'_>) -> Result<Exit, Failure>| {
        let Some(config) = super::configuration(path, surroundings, output) else { return Ok(Exit::Config) };
        answer(&Source::find(config, output)?, output)
    };
    let ask = |output: &mut Output<'_>, answer: &dyn Fn(&Client, &mut Output<'_>) -> Result<Exit, Failure>| {
        let Some(sockets) = Sockets::find(path, surroundings, output) else { return Ok(Exit::Config) };
        answer(&Client::new(&sockets.admin, path), output)
    };
    match command {
        DeadletterCommand::List(args) => look(output, &|source, output| list(source, args, output)),
        DeadletterCommand::Show(args) => look(output, &|source, output| show(source, args, output)),
        DeadletterCommand::Edit(args) => ask(output, &|client, output| change::edit(client, args, output)),
        DeadletterCommand::Replay(args) => ask(output, &|client, output| change::resend(client, &args.chosen, output)),
        DeadletterCommand::Drop(args) => ask(output, &|client, output| change::drop_chosen(client, args, output)),
    }
}

fn list(source: &Source, args: &DeadletterListArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let destinations: Vec<Arc<Destination>> = match &args.destination {
        Some(name) => vec![source.destination(name)?],
        None => source.config().destinations.clone(),
    };
    let mut newest: VecDeque<LetterLine> = VecDeque::new();
    let mut total = 0;
    for destination in &destinations {
        let mut after = 0;
        loop {
            let page = source.page(destination, after)?;
            total += page.letters.len() as u64;
            newest.extend(page.letters);
            // Bounded by one page more than was asked for, however many there are.
            newest.make_contiguous().sort_by_key(|letter| letter.refused_at_ms);
            newest.drain(..newest.len().saturating_sub(args.limit));
            match page.next_after {
                Some(next) if next > after => after = next,
                _ => break,
            }
        }
    }
    let gone = if args.destination.is_none() { source.gone()? } else { Vec::new() };
    if args.json {
        output.json(&json!({ "letters": newest, "total": total, "gone": gone }));
        return Ok(Exit::Ok);
    }
    if total == 0 {
        output.talk("there are no dead letters");
        gone.iter().for_each(|store| output.talk(&left_behind(store)));
        return Ok(Exit::Ok);
    }
    let head = ["REFUSED", "DESTINATION", "STREAM", "N", "BYTES", "EDITED", "REASON"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(newest.iter().map(|letter| {
        let (at, destination, stream) =
            (moment(letter.refused_at_ms), letter.destination.clone(), letter.stream.clone());
        let edited = if letter.edited_ms.is_some() { "yes" } else { "no" }.to_owned();
        vec![at, destination, stream, letter.n.to_string(), letter.bytes.to_string(), edited, one_line(&letter.reason)]
    }));
    table(&rows).iter().for_each(|line| output.data(line));
    let left_out = total.saturating_sub(newest.len() as u64);
    if left_out > 0 {
        output.talk(&format!("{} older ones are not shown; --limit takes more", count(left_out)));
    }
    for store in source.stores(&destinations)? {
        let (events, bytes, max) = (count(store.events), size(store.bytes), size(store.max_bytes));
        output.talk(&format!("{}: {events} kept, {bytes} of {max}", store.destination));
    }
    gone.iter().for_each(|store| output.talk(&left_behind(store)));
    Ok(Exit::Ok)
}

/// What a destination that is gone has left.
fn left_behind(store: &StoreLine) -> String {
    let since = store.gone_since_ms.map(moment).unwrap_or_default();
    format!(
        "{}, gone since {since}: {} kept, {}; made again with the same id, it has them again",
        store.destination,
        count(store.events),
        size(store.bytes)
    )
}

fn show(source: &Source, args: &DeadletterShowArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let destination = source.destination(&args.destination)?;
    let letter = source.whole(&destination, &args.stream, args.n)?;
    if args.json {
        output.json_as_kept(&letter);
        return Ok(Exit::Ok);
    }
    let line = &letter.line;
    for (name, value) in [
        ("destination", line.destination.clone()),
        ("stream", line.stream.clone()),
        ("n", line.n.to_string()),
        ("refused", format!("{}, sent {} times", moment(line.refused_at_ms), line.attempts)),
        ("reason", one_line(&line.reason)),
        ("reply", one_line(&letter.reply)),
        ("edited", line.edited_ms.map_or_else(|| "no".to_owned(), moment)),
    ] {
        output.talk(&format!("{name:<12} {value}"));
    }
    output.data(letter.event.get());
    Ok(Exit::Ok)
}

/// Where the letters are read.
enum Source {
    /// From the agent that runs.
    Agent { client: Client, config: Config },
    /// From its files.
    Files { config: Config, agent_id: String },
}

impl Source {
    /// The agent if it answers, else the files.
    fn find(config: Config, output: &mut Output<'_>) -> Result<Source, Failure> {
        let client = Client::new(&config.admin.socket, &config.file);
        match client.get::<Vec<StoreLine>>("/v1/deadletters") {
            Ok(_) => Ok(Source::Agent { client, config }),
            Err(failure) if failure.exit == Exit::Unavailable => {
                let state_dir = &config.agent.state_dir;
                output.talk(&format!("no agent answers; reading the files in {}", state_dir.display()));
                let agent_id = agent_id_of(state_dir);
                Ok(Source::Files { config, agent_id })
            }
            Err(failure) => Err(failure),
        }
    }

    fn config(&self) -> &Config {
        match self {
            Source::Agent { config, .. } | Source::Files { config, .. } => config,
        }
    }

    fn destination(&self, name: &str) -> Result<Arc<Destination>, Failure> {
        let config = self.config();
        find(config, name).map_err(|unknown| Failure {
            exit: Exit::Usage,
            what: unknown.what,
            place: config.file.display().to_string(),
            advice: unknown.advice,
        })
    }

    fn page(&self, destination: &Destination, after: u64) -> Result<LetterPage, Failure> {
        match self {
            Source::Agent { client, .. } => {
                let name = path_segment(&destination.name);
                client.get(&format!("/v1/deadletters/{name}?after={after}&limit={PAGE}"))
            }
            Source::Files { config, agent_id } => {
                let none = LetterPage { letters: Vec::new(), next_after: None, events: 0, newest: 0 };
                let Some(look) = open(config, destination)? else { return Ok(none) };
                let prefix = StreamPrefix::new(agent_id, destination);
                prefix.page(look.store(), after, PAGE).map_err(|problem| unreadable(&problem, config))
            }
        }
    }

    fn whole(&self, destination: &Destination, stream: &str, n: u64) -> Result<LetterWhole, Failure> {
        match self {
            Source::Agent { client, .. } => {
                let (name, stream) = (path_segment(&destination.name), path_segment(stream));
                client.get(&format!("/v1/deadletters/{name}/{stream}/{n}"))
            }
            Source::Files { config, agent_id } => {
                let look = open(config, destination)?;
                let find = |store: &DeadLetters| StreamPrefix::new(agent_id, destination).whole(store, stream, n);
                let found = look.map_or(Ok(None), |look| find(look.store()));
                found.map_err(|problem| unreadable(&problem, config))?.ok_or_else(|| Failure {
                    exit: Exit::Usage,
                    what: format!("\"{}\" has no dead letter for event {n} of stream {stream}", destination.name),
                    place: "the command line".to_owned(),
                    advice: "`scaidrive-siem deadletter list` shows what there is".to_owned(),
                })
            }
        }
    }

    fn stores(&self, wanted: &[Arc<Destination>]) -> Result<Vec<StoreLine>, Failure> {
        let mut stores: Vec<StoreLine> = match self {
            Source::Agent { client, .. } => client.get("/v1/deadletters")?,
            Source::Files { config, .. } => {
                let mut stores = Vec::new();
                for destination in wanted {
                    stores.extend(open(config, destination)?.map(|look| store_line(destination, look.store())));
                }
                stores
            }
        };
        let is_wanted = |store: &StoreLine| wanted.iter().any(|known| known.name == store.destination);
        stores.retain(|store| store.events > 0 && store.gone_since_ms.is_none() && is_wanted(store));
        Ok(stores)
    }

    /// The stores of destinations that are gone.
    fn gone(&self) -> Result<Vec<StoreLine>, Failure> {
        match self {
            Source::Agent { client, .. } => {
                let mut stores: Vec<StoreLine> = client.get("/v1/deadletters")?;
                stores.retain(|store| store.gone_since_ms.is_some());
                Ok(stores)
            }
            Source::Files { config, .. } => {
                let noted = gone::all(&folder(config)).map_err(|problem| unreadable(&problem, config))?;
                let is_gone = |gone: &Gone| config.destinations.iter().all(|known| known.id.bytes() != gone.id);
                Ok(noted.into_iter().filter(is_gone).map(letters::gone::line).collect())
            }
        }
    }
}

fn open(config: &Config, destination: &Destination) -> Result<Option<Look>, Failure> {
    DeadLetters::look(&folder(config), &destination.id.bytes()).map_err(|problem| unreadable(&problem, config))
}

fn folder(config: &Config) -> PathBuf {
    config.agent.state_dir.join("deadletters")
}

fn unreadable(problem: &dyn std::error::Error, config: &Config) -> Failure {
    let what = chain(problem);
    let exit = if what.contains("Permission denied") { Exit::Permission } else { Exit::Io };
    Failure {
        exit,
        what,
        place: format!("agent.state_dir in {}", config.file.display()),
        advice: "run this as root or as the agent's user; an agent that starts sets a damaged file aside".to_owned(),
    }
}

/// What a destination answered may hold anything; a terminal gets no control characters from it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Letters asked for at once.
const PAGE: usize = 500;
