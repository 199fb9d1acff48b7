//! `destination test`: one marked event goes the way of every event, and each stage says how it went.
//!
//! It works on the file alone, with the agent running or not, and for a destination that is in no configuration yet. An agent
//! that runs is told, so that the test is in the audit trail. Ends with 0 when all went well, with 1 when something failed,
//! with 78 when the settings can't be used.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::args::DestinationTestArgs;
use super::client::{Client, path_segment};
use super::words::span;
use super::{Exit, Failure, Output};
use crate::config::{Config, Surroundings};
use crate::control::destinations::Tested;
use crate::probe::{Report, Stage, StageReport, StageState, Unusable, probe_here, saved, unsaved};

/// Tests the destination that `args` names.
pub(super) fn run(
    path: &Path,
    args: &DestinationTestArgs,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let (name, who) = (args.destination.as_deref(), format!("uid {}", crate::sys::effective_uid()));
    let question = match &args.file {
        None => saved(path, name.unwrap_or_default(), &who, surroundings),
        Some(file) => unsaved(text_of(file)?, file, name, path, &who, surroundings),
    };
    let place = args.file.as_deref().unwrap_or(path);
    let report = match question {
        Ok(question) => probe_here(question).map_err(|problem| Failure {
            exit: Exit::Internal,
            what: format!("the test could not be run: {problem}"),
            place: "this machine".to_owned(),
            advice: "see that the process may have threads and descriptors".to_owned(),
        })?,
        Err(Unusable::Destination(report)) => *report,
        Err(Unusable::Unknown(known)) => return Err(unknown(name, &known, place)),
        Err(Unusable::Configuration(problems)) => {
            output.problems(&problems);
            output.talk(&super::check::verdict(place, &problems));
            return Ok(Exit::Config);
        }
    };
    if args.json {
        output.json(&serde_json::json!(report));
    } else {
        lines(&report).iter().for_each(|line| output.data(line));
    }
    tell(path, args, &report, surroundings);
    Ok(match &report.failure {
        None => Exit::Ok,
        Some(failure) if failure.stage == Stage::Settings => Exit::Config,
        Some(_) => Exit::CheckFailed,
    })
}

/// What a file of destinations holds; `-` is standard input.
fn text_of(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().lock().take(FILE_MAX).read_to_string(&mut text).map(drop),
        _ => fs::File::open(file).and_then(|file| file.take(FILE_MAX).read_to_string(&mut text)).map(drop),
    };
    read.map(|()| text).map_err(|problem| Failure {
        exit: Exit::Io,
        what: format!("{} cannot be read: {problem}", file.display()),
        place: "the command line".to_owned(),
        advice: "name a file with a [[destination]], or - for standard input".to_owned(),
    })
}

fn unknown(name: Option<&str>, known: &[String], place: &Path) -> Failure {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let (what, advice) = match name {
        Some(name) => (
            format!("there is no destination \"{name}\""),
            match crate::config::nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None if names.is_empty() => "configure one first; there are none".to_owned(),
                None => format!("name one of {}", names.join(", ")),
            },
        ),
        None if names.is_empty() => {
            ("there is no destination in it".to_owned(), "write a [[destination]] table".to_owned())
        }
        None => ("there are several destinations in it".to_owned(), format!("name one of {}", names.join(", "))),
    };
    Failure { exit: Exit::Usage, what, place: place.display().to_string(), advice }
}

/// Tells the agent that the configuration at `path` belongs to, if one runs: a test is an event of the audit trail. Where
/// none runs there is no trail to write to, and the test is no worse for it.
fn tell(path: &Path, args: &DestinationTestArgs, report: &Report, surroundings: &Surroundings) {
    let (Some(config), _) = Config::load_what_is_usable(path, surroundings) else { return };
    let tested = Tested {
        is_saved: args.file.is_none(),
        ok: report.ok,
        stage: report.failure.as_ref().map(|failure| failure.stage.name().to_owned()),
        code: report.failure.as_ref().map(|failure| failure.code.to_owned()),
        event_id: report.event.as_ref().map(|event| event.event_id.clone()),
    };
    let path = format!("/v1/destinations/{}/tested", path_segment(&report.destination));
    let client = Client::new(&config.admin.socket, &config.file);
    let _: Result<Tested, Failure> = client.post(&path, serde_json::json!(tested).to_string().as_bytes());
}

/// The report as people read it.
fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![heading(report), String::new()];
    let reached = report.failure.as_ref().map_or(Stage::Found, |failure| failure.stage);
    lines.extend(report.stages.iter().filter(|known| known.stage <= reached).map(stage_line));
    if let Some(failure) = &report.failure {
        let cause = format!("{} ({})", failure.cause, failure.code);
        lines.extend([String::new(), entry("cause", &cause), entry("do", &failure.remedy)]);
        lines.extend(failure.said.as_ref().map(|said| entry("said", said)));
    }
    for warning in &report.warnings {
        let what = format!("{} ({})", warning.what, warning.code);
        lines.extend([String::new(), entry("warning", &what), entry("do", &warning.remedy)]);
    }
    if let Some(event) = &report.event {
        let doubt = if report.ok { "" } else { "; it may have arrived" };
        let what = format!("{}, action {}, tenant {}{doubt}", event.event_id, event.action, event.tenant_id);
        let place = format!("in {}", event.ask);
        lines.extend([String::new(), entry("event", &what), entry("find", &event.query), entry("", &place)]);
    }
    lines
}

fn entry(word: &str, text: &str) -> String {
    format!("{word:<7} {}", one_line(text))
}

fn heading(report: &Report) -> String {
    let Report { destination, kind, address, took_ms, .. } = report;
    let outcome = match &report.failure {
        None => "works".to_owned(),
        Some(failure) => format!("fails at {}", failure.stage.name()),
    };
    let what = if kind.is_empty() { String::new() } else { format!(" ({kind}, {address})") };
    let name = if destination.is_empty() { "the destination" } else { destination };
    format!("{name}{what} {outcome}, after {}", took(*took_ms))
}

fn stage_line(known: &StageReport) -> String {
    let state = match known.state {
        StageState::Ok => "ok",
        StageState::Failed => "failed",
        StageState::Skipped => "-",
    };
    let took = known.took_ms.map(took).unwrap_or_default();
    let note = known.note.as_deref().unwrap_or_default();
    format!("  {:<15} {state:<7} {took:>7}  {}", known.stage.name(), one_line(note)).trim_end().to_owned()
}

/// A span that was measured: also nothing has a unit.
fn took(ms: u64) -> String {
    if ms == 0 { "0 ms".to_owned() } else { span(ms) }
}

/// Words from outside may hold anything; a terminal gets no control characters from us.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Longest file, in bytes.
const FILE_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Failure as Found, TestEvent, Warning};

    fn report(failure: Option<Found>) -> Report {
        let stage = |stage, state, took_ms, note: Option<&str>| StageReport {
            stage,
            state,
            took_ms,
            note: note.map(str::to_owned),
        };
        Report {
            destination: "splunk".into(),
            kind: "splunk_hec".into(),
            address: "https://splunk.example:8088".into(),
            ok: failure.is_none(),
            stages: vec![
                stage(Stage::Settings, StageState::Ok, Some(1), None),
                stage(Stage::Resolve, StageState::Ok, Some(12), Some("192.0.2.7")),
                stage(Stage::Proxy, StageState::Skipped, None, Some("none on the way")),
                stage(
                    Stage::Tls,
                    if failure.is_some() { StageState::Failed } else { StageState::Ok },
                    Some(1_250),
                    None,
                ),
                stage(Stage::Accepted, StageState::Skipped, None, None),
            ],
            failure,
            warnings: vec![Warning { code: "clock_differs", what: "the clock is off".into(), remedy: "set it".into() }],
            event: None,
            took_ms: 1_263,
        }
    }

    #[test]
    fn a_failure_is_a_line_for_each_stage_that_was_reached_and_then_cause_and_remedy() {
        let failure = Found {
            stage: Stage::Tls,
            code: "certificate_expired",
            cause: "the certificate of splunk.example has expired".into(),
            remedy: "renew it there".into(),
            said: Some("a\u{1b}[2Jb".into()),
        };
        assert_eq!(
            lines(&report(Some(failure))).join("\n"),
            "splunk (splunk_hec, https://splunk.example:8088) fails at tls, after 1.2 s\n\n\
             \u{20} settings        ok         1 ms\n\
             \u{20} resolve         ok        12 ms  192.0.2.7\n\
             \u{20} proxy           -                none on the way\n\
             \u{20} tls             failed    1.2 s\n\n\
             cause   the certificate of splunk.example has expired (certificate_expired)\n\
             do      renew it there\n\
             said    a\u{fffd}[2Jb\n\n\
             warning the clock is off (clock_differs)\n\
             do      set it"
        );
    }

    #[test]
    fn a_success_says_how_to_find_the_event() {
        let event = TestEvent {
            event_id: "evt_test_1".into(),
            action: "siem.test",
            tenant_id: "acme".into(),
            timestamp: "2026-05-12T14:23:01.000Z".into(),
            query: "event_id=\"evt_test_1\"".into(),
            ask: "Splunk".into(),
        };
        let text = lines(&Report { event: Some(event), ..report(None) }).join("\n");
        assert!(text.starts_with("splunk (splunk_hec, https://splunk.example:8088) works, after 1.2 s\n"), "{text}");
        assert!(text.ends_with(
            "event   evt_test_1, action siem.test, tenant acme\nfind    event_id=\"evt_test_1\"\n        in Splunk"
        ));
    }
}
