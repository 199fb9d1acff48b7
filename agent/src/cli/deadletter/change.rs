//! `deadletter edit`, `replay` and `drop`: what changes dead letters, by way of the running agent.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;

use scaidrive_codecs::index::EVENT_BYTES_MAX;
use serde_json::json;

use crate::cli::args::{DeadletterChosenArgs, DeadletterDropArgs, DeadletterEditArgs};
use crate::cli::client::{Client, path_segment};
use crate::cli::words::count;
use crate::cli::{Exit, Failure, Output};
use crate::control::letters::change::{Chosen, Dropped, LetterName, Resent};
use crate::control::letters::{LetterLine, LetterPage};
use crate::node::Pause;

/// Puts another event in the place of one that was refused.
pub(super) fn edit(client: &Client, args: &DeadletterEditArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let event = read(&args.file)?;
    let (name, stream) = (path_segment(&args.destination), path_segment(&args.stream));
    let line: LetterLine = client.put(&format!("/v1/deadletters/{name}/{stream}/{}", args.n), &event)?;
    if args.json {
        output.json(&json!(line));
        return Ok(Exit::Ok);
    }
    output.data(&format!(
        "event {} of stream {} has {} bytes now, and its number as before",
        line.n,
        line.stream,
        count(line.bytes)
    ));
    Ok(Exit::Ok)
}

/// The whole file, as far as an event may be long.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failure = |exit, what| Failure {
        exit,
        what,
        place: path.display().to_string(),
        advice: "name a file with one event, or - for standard input".to_owned(),
    };
    let unreadable = |problem: io::Error| failure(Exit::Io, format!("cannot read the event: {problem}"));
    let input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(path).map_err(unreadable)?),
    };
    let mut event = Vec::new();
    input.take(EVENT_BYTES_MAX as u64 + 1).read_to_end(&mut event).map_err(unreadable)?;
    if event.len() > EVENT_BYTES_MAX {
        return Err(failure(Exit::CheckFailed, format!("an event has at most {EVENT_BYTES_MAX} bytes")));
    }
    Ok(event)
}

/// Sends letters again.
pub(super) fn resend(client: &Client, args: &DeadletterChosenArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let (chosen, _) = choose(client, args)?;
    let path = format!("/v1/deadletters/{}/replay", path_segment(&args.destination));
    let resent: Resent = client.post(&path, &body(&chosen)?)?;
    if args.json {
        output.json(&json!(resent));
        return Ok(Exit::Ok);
    }
    if resent.letters == 0 {
        output.talk(&format!("{} has no dead letters", resent.destination));
        return Ok(Exit::Ok);
    }
    let (data, talk) = said(&resent);
    output.data(&data);
    talk.iter().for_each(|line| output.talk(line));
    Ok(Exit::Ok)
}

/// What comes of letters that are sent again.
fn said(resent: &Resent) -> (String, Vec<String>) {
    let name = &resent.destination;
    let go =
        if resent.letters == 1 { "goes again, under its own number" } else { "go again, each under its own number" };
    let data = format!("{} that {name} refused {go}", events(resent.letters));
    let mut talk = vec![format!(
        "what it takes leaves the store, what it refuses again stays with the newest reply: `scaidrive-siem deadletter list \
         {name}` shows what is left"
    )];
    let waits = |pause: &Pause| {
        format!("{} has paused it: they wait until `scaidrive-siem destination resume {name}`", pause.who)
    };
    talk.extend(resent.pause.as_ref().map(waits));
    (data, talk)
}

/// Gives letters up for good, if whoever is asked agrees.
pub(super) fn drop_chosen(
    client: &Client,
    args: &DeadletterDropArgs,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let (chosen, letters) = choose(client, &args.chosen)?;
    let name = &args.chosen.destination;
    if letters == 0 && args.chosen.json {
        output.json(&json!(Dropped { destination: name.clone(), letters }));
        return Ok(Exit::Ok);
    }
    if letters == 0 {
        output.talk(&format!("{name} has no dead letters"));
        return Ok(Exit::Ok);
    }
    if !args.yes && !agreed(&loss(letters, name), output)? {
        output.talk("nothing was dropped");
        return Ok(Exit::CheckFailed);
    }
    let path = format!("/v1/deadletters/{}/drop", path_segment(name));
    let dropped: Dropped = client.post(&path, &body(&chosen)?)?;
    if args.chosen.json {
        output.json(&json!(dropped));
        return Ok(Exit::Ok);
    }
    output.data(&format!("{} of {name} dropped for good", events(dropped.letters)));
    Ok(Exit::Ok)
}

/// Which letters are meant, and how many they are. Asks the agent, so a wrong name is found before anything is done.
fn choose(client: &Client, args: &DeadletterChosenArgs) -> Result<(Chosen, u64), Failure> {
    let page: LetterPage = client.get(&format!("/v1/deadletters/{}?limit=1", path_segment(&args.destination)))?;
    let Some(stream) = &args.stream else { return Ok((Chosen::UpTo(page.newest), page.events)) };
    let mut numbers = args.n.clone();
    numbers.sort_unstable();
    numbers.dedup();
    let letters: Vec<LetterName> = numbers.into_iter().map(|n| LetterName { stream: stream.clone(), n }).collect();
    let count = letters.len() as u64;
    Ok((Chosen::Letters(letters), count))
}

fn body(chosen: &Chosen) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(chosen).map_err(|problem| Failure {
        exit: Exit::Internal,
        what: format!("cannot say which letters are meant: {problem}"),
        place: "this process".to_owned(),
        advice: "name fewer of them".to_owned(),
    })
}

/// What is lost with letters that are dropped.
fn loss(letters: u64, name: &str) -> String {
    format!(
        "{} that {name} refused will be lost for good: no other copy is kept for it, and it will never get them. The \
         notice siem.events_refused goes on explaining why their numbers are missing.",
        events(letters)
    )
}

fn events(letters: u64) -> String {
    if letters == 1 { "1 event".to_owned() } else { format!("{} events", count(letters)) }
}

/// Whether the person at the terminal agrees. Where there is none, nobody can.
fn agreed(what: &str, output: &mut Output<'_>) -> Result<bool, Failure> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Err(Failure {
            exit: Exit::Usage,
            what: format!("nobody can be asked: {what}"),
            place: "standard input, which is no terminal".to_owned(),
            advice: "add --yes if that is what you want".to_owned(),
        });
    }
    output.talk(what);
    output.talk("Type yes to go on:");
    says_yes(&mut input.lock())
}

fn says_yes(input: &mut impl BufRead) -> Result<bool, Failure> {
    let mut line = String::new();
    let read = input.take(ANSWER_MAX).read_line(&mut line);
    read.map_err(|problem| Failure {
        exit: Exit::Io,
        what: format!("cannot read the answer: {problem}"),
        place: "standard input".to_owned(),
        advice: "add --yes to not be asked".to_owned(),
    })?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

/// Bytes of an answer that are read.
const ANSWER_MAX: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_yes_is_an_agreement() {
        for (typed, agrees) in
            [("yes\n", true), (" YES", true), ("y\n", false), ("\n", false), ("", false), ("yess", false)]
        {
            assert_eq!(says_yes(&mut typed.as_bytes()), Ok(agrees), "{typed:?}");
        }
    }

    #[test]
    fn letters_that_are_sent_again_are_counted_and_those_of_a_paused_destination_wait() {
        let resent = |letters, pause| Resent { destination: "a".to_owned(), letters, pause };
        let (data, talk) = said(&resent(3, None));
        assert_eq!(data, "3 events that a refused go again, each under its own number");
        assert!(talk[0].ends_with("`scaidrive-siem deadletter list a` shows what is left") && talk.len() == 1);
        let (_, talk) = said(&resent(1, Some(Pause { who: "uid 0".to_owned(), since_ms: 0, drain: None })));
        assert_eq!(talk[1], "uid 0 has paused it: they wait until `scaidrive-siem destination resume a`");
    }

    #[test]
    fn what_is_lost_is_said_with_its_number() {
        assert!(loss(1, "splunk").starts_with("1 event that splunk refused will be lost for good"));
        assert!(loss(1_234, "splunk").starts_with("1,234 events that splunk refused"));
    }

    #[test]
    fn an_event_is_read_from_a_file_and_one_without_end_is_not_read_to_it() {
        assert_eq!(read(Path::new("/no/such")).unwrap_err().exit, Exit::Io);
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().exit, Exit::CheckFailed);
        assert_eq!(read(Path::new("/dev/null")), Ok(Vec::new()));
    }
}
