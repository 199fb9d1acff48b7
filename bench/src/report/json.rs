//! `figures.json`.

use serde::Serialize;

use super::{Report, command};
use crate::machine::Machine;
use crate::measure::statistics::Summary;
use crate::runner::{CaseResult, Measured};
use crate::scenario::goal::Outcome;
use crate::scenario::{Goal, Metric};

#[derive(Serialize)]
struct Whole<'a> {
    began: &'a str,
    seconds: u64,
    is_quick: bool,
    to_come: &'a [&'static str],
    machine: &'a Machine,
    versions: Vec<Version<'a>>,
    scenarios: Vec<Scenario<'a>>,
}

#[derive(Serialize)]
struct Version<'a> {
    name: &'a str,
    /// Either this…
    version: Option<&'a str>,
    /// …or why it is not here.
    missing: Option<&'a str>,
}

#[derive(Serialize)]
struct Scenario<'a> {
    name: &'a str,
    question: &'a str,
    path: String,
    processors: &'a [usize],
    command: String,
    cases: Vec<Case<'a>>,
    estimates: Vec<Estimate<'a>>,
    goals: Vec<Judged>,
}

#[derive(Serialize)]
struct Case<'a> {
    label: &'a str,
    contender: &'a str,
    durability: &'a str,
    load: String,
    command: &'a str,
    skipped: Option<&'a str>,
    problems: &'a [String],
    notes: &'a [String],
    figures: Vec<Figure<'a>>,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct Figure<'a> {
    metric: Metric,
    unit: &'a str,
    #[serde(flatten)]
    summary: Summary,
    samples: &'a [f64],
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Estimate<'a> {
    of: &'a str,
    metric: Metric,
    value: f64,
    because: &'a str,
}

#[derive(Serialize)]
struct Judged {
    goal: String,
    metric: Metric,
    outcome: &'static str,
    measured: Option<f64>,
    bound: Option<f64>,
    /// Why it is missed, where it is and that is known.
    because: Option<&'static str>,
}

/// The text of the file.
pub(super) fn render(report: &Report) -> String {
    let whole = Whole {
        began: &report.began,
        seconds: report.seconds,
        is_quick: report.is_quick,
        to_come: &report.to_come,
        machine: &report.machine,
        versions: report
            .versions
            .iter()
            .map(|(name, version)| Version {
                name,
                version: version.as_deref().ok(),
                missing: version.as_ref().err().map(String::as_str),
            })
            .collect(),
        scenarios: report.measured.iter().map(|measured| scenario(report, measured)).collect(),
    };
    serde_json::to_string_pretty(&whole).expect("names and numbers are JSON")
}

fn scenario<'a>(report: &Report, measured: &'a Measured) -> Scenario<'a> {
    let scenario = &measured.scenario;
    Scenario {
        name: scenario.name,
        question: scenario.question,
        path: scenario.wire.words(),
        processors: &measured.cores,
        command: command(scenario.name),
        cases: measured.cases.iter().map(case).collect(),
        estimates: scenario
            .estimates
            .iter()
            .map(|it| Estimate { of: it.of, metric: it.metric, value: it.value, because: it.because })
            .collect(),
        goals: scenario.goals.iter().map(|goal| judged(goal, report.judge(measured, goal))).collect(),
    }
}

fn case(result: &CaseResult) -> Case<'_> {
    let figures = result.samples.iter().filter_map(|(metric, samples)| {
        Some(Figure { metric: *metric, unit: metric.unit(), summary: result.summary(*metric)?, samples })
    });
    Case {
        label: result.case.label,
        contender: result.case.contender,
        durability: result.case.durability.word(),
        load: result.load.words(),
        command: &result.command,
        skipped: result.skipped.as_deref(),
        problems: &result.problems,
        notes: &result.notes,
        figures: figures.collect(),
        files: result.files.iter().map(|(name, text)| File { name, text }).collect(),
    }
}

fn judged(goal: &Goal, outcome: Outcome) -> Judged {
    let (word, measured, bound) = match outcome {
        Outcome::Met { measured, bound } => ("met", Some(measured), Some(bound)),
        Outcome::Missed { measured, bound } => ("missed", Some(measured), Some(bound)),
        Outcome::Unknown => ("not measured", None, None),
        Outcome::NotHere => ("not asked for on this machine", None, None),
    };
    let because = goal.because.filter(|_| matches!(outcome, Outcome::Missed { .. }));
    Judged { goal: goal.to_string(), metric: goal.metric, outcome: word, measured, bound, because }
}
