//! `index.html`: one calm page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Report, command, metrics, plots};
use crate::measure::statistics::Summary;
use crate::runner::{CaseResult, Measured};
use crate::scenario::goal::Outcome;
use crate::scenario::{Goal, Metric, Row};

/// The page's text.
pub(super) fn render(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "What the agent costs, and what others cost" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { (head(report)) }
                nav { (contents(report)) }
                main {
                    (summary(report))
                    @for measured in &report.measured { (scenario(report, measured)) }
                    (method())
                    (machine(report))
                }
            }
        }
    };
    page.into_string()
}

fn head(report: &Report) -> Markup {
    html! {
        h1 { "What the agent costs, and what others cost" }
        p {
            "Measured from " (report.began) " on, in " (minutes(report.seconds)) ", on processors of "
            (report.machine.processor) " that sender, contender and receiver share: two, or what a scenario says. One "
            code { "fdatasync" } " of this disk takes " (Metric::LatencyP50.show(report.machine.disk_sync_ms)) "."
        }
        @if !report.to_come.is_empty() {
            p.note { "This page is not whole: it was written while these were still to come: " (report.to_come.join(", ")) "." }
        }
        @if report.is_quick {
            p.note {
                "A quick run: one round of an eighth of the load, rivals in the first scenario only. Good for seeing whether "
                "something is far off; not for quoting."
            }
        }
        @if busy(&report.machine.load_before) {
            p.note {
                "The machine was busy with other work when this began (load " (report.machine.load_before)
                "): throughput and latency suffered for everyone, processor time an event less so."
            }
        }
    }
}

/// Text with `code` between backticks.
fn prose(text: &str) -> Markup {
    html! {
        @for (nth, piece) in text.split('`').enumerate() {
            @if nth % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

fn busy(load: &str) -> bool {
    load.parse::<f64>().is_ok_and(|load| load > 0.5)
}

fn minutes(seconds: u64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

fn contents(report: &Report) -> Markup {
    html! {
        h2 { "Contents" }
        ol {
            li { a href="#goals" { "Goals: what holds and what does not" } }
            @for measured in &report.measured {
                li { a href={ "#" (measured.scenario.name) } { (prose(measured.scenario.question)) } }
            }
            li { a href="#method" { "How this was measured, and what is unfair about it" } }
            li { a href="#machine" { "Machine and versions" } }
        }
    }
}

/// The table, with what became of each goal.
fn summary(report: &Report) -> Markup {
    html! {
        section #goals {
            h2 { "Goals: what holds and what does not" }
            p { "Goals were set before anything was measured, estimates before this harness first ran their scenario; that of `cost` by people who knew an earlier figure (1.9 µs, and 0.9 µs for a smaller naive loop). A median is held against each goal." }
            div.wide { table {
                thead { tr { th { "what" } th { "goal" } th.number { "measured" } th.number { "bound" } th { "" } } }
                @for row in Row::ALL { tbody { (row_of_goals(report, row)) } }
            } }
        }
    }
}

fn row_of_goals(report: &Report, row: Row) -> Markup {
    let goals: Vec<(&Measured, &Goal)> = report
        .measured
        .iter()
        .flat_map(|measured| measured.scenario.goals.iter().map(move |goal| (measured, goal)))
        .filter(|(_, goal)| goal.row == Some(row))
        .collect();
    html! {
        @if goals.is_empty() {
            tr { td { (row.words()) } td.unknown colspan="4" { "not part of this run" } }
        }
        @for (nth, (measured, goal)) in goals.iter().enumerate() {
            tr {
                @if nth == 0 { td rowspan=(goals.len()) { (row.words()) } }
                td { a href={ "#" (measured.scenario.name) } { (goal) } }
                (verdict(report, measured, goal))
            }
        }
    }
}

/// Three cells: measured, bound, and the word.
fn verdict(report: &Report, measured: &Measured, goal: &Goal) -> Markup {
    let shown = |value: f64| goal.metric.show(value);
    let (value, bound, word, class) = match report.judge(measured, goal) {
        Outcome::Met { measured, bound } => (shown(measured), shown(bound), "met", "met"),
        Outcome::Missed { measured, bound } => (shown(measured), shown(bound), "missed", "missed"),
        Outcome::Unknown => (String::from("–"), String::from("–"), "not measured", "unknown"),
        Outcome::NotHere => (String::from("–"), String::from("–"), "not asked for on this machine", "unknown"),
    };
    let reason = goal.because.filter(|_| class == "missed");
    html! {
        td.number { (value) }
        td.number { (bound) }
        td class=(class) { (word) @if let Some(reason) = reason { ": " (prose(reason)) } }
    }
}

fn scenario(report: &Report, measured: &Measured) -> Markup {
    let scenario = &measured.scenario;
    html! {
        section id=(scenario.name) {
            h2 { (prose(scenario.question)) }
            p { (prose(scenario.method)) " Path: local socket, log on disk, " (scenario.wire.words()) ". Processors " (list(&measured.cores)) "." }
            (figures(measured))
            @for plot in plots::of(measured, report) {
                figure { figcaption { (plot.title) } (PreEscaped(plot.svg)) }
            }
            h3 { "Goals" }
            div.wide { table {
                thead { tr { th { "goal" } th.number { "measured" } th.number { "bound" } th { "" } } }
                tbody { @for goal in scenario.goals { tr { td { (goal) } (verdict(report, measured, goal)) } } }
            } }
            h3 { "Estimated before measuring" }
            ul { @for it in scenario.estimates { li {
                (it.of) ", " (it.metric.title()) ": " (it.metric.show(it.value)) " (" (prose(it.because)) ")."
                @if let Some(median) = median(measured, it.of, it.metric) {
                    " Measured: " (it.metric.show(median)) @if it.value > 0.0 { ", " (format!("{:.1}", median / it.value)) " times that" } "."
                }
            } } }
            (notes(measured))
            (remarks(measured))
            details {
                summary { "Commands and configurations" }
                p { "Again: " code { (command(scenario.name)) } }
                @for result in measured.cases.iter().filter(|result| !result.command.is_empty()) { (configuration(result)) }
            }
        }
    }
}

/// Cases down, metrics across: medians, and below them how far rounds lay apart.
fn figures(measured: &Measured) -> Markup {
    let metrics = metrics(&measured.cases);
    html! {
        div.wide { table.figures {
            thead { tr { th { "case" } @for metric in &metrics { th.number { (metric.title()) } } } }
            tbody {
                @for result in &measured.cases {
                    tr {
                        td { (result.case.label) }
                        @if let Some(reason) = &result.skipped {
                            td.skipped colspan=(metrics.len().max(1)) { "skipped: " (reason) }
                        } @else if result.samples.is_empty() {
                            td.missed colspan=(metrics.len().max(1)) { "failed" }
                        } @else {
                            @for metric in &metrics { td.number { (cell(*metric, result.summary(*metric))) } }
                        }
                    }
                }
            }
        } }
    }
}

fn cell(metric: Metric, summary: Option<Summary>) -> Markup {
    html! {
        @match summary {
            None => { "–" },
            Some(summary) => {
                (metric.show(summary.median))
                @if summary.rounds > 1 {
                    span.spread {
                        (crate::scenario::goal::number(summary.min)) " … " (crate::scenario::goal::number(summary.max))
                    }
                }
            }
        }
    }
}

fn median(measured: &Measured, label: &str, metric: Metric) -> Option<f64> {
    let result = measured.cases.iter().find(|result| result.case.label == label)?;
    Some(result.summary(metric)?.median)
}

/// What runs say beside their figures, in their order.
fn notes(measured: &Measured) -> Markup {
    let has_notes = measured.cases.iter().any(|result| !result.notes.is_empty());
    html! {
        @if has_notes {
            h3 { "Beside the figures" }
            ul { @for result in &measured.cases { @for (nth, note) in (1..).zip(&result.notes) {
                li { (result.case.label) ", run " (nth) ": " (prose(note)) }
            } } }
        }
    }
}

/// Numbers, set apart by commas.
fn list(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

fn remarks(measured: &Measured) -> Markup {
    let said: Vec<(&str, &String)> = measured
        .cases
        .iter()
        .flat_map(|result| result.problems.iter().map(|problem| (result.case.label, problem)))
        .collect();
    html! {
        @if !said.is_empty() {
            h3 { "What went wrong or could not be measured" }
            ul { @for (label, problem) in said { li { (label) ": " (problem) } } }
        }
    }
}

fn configuration(result: &CaseResult) -> Markup {
    html! {
        h4 { (result.case.label) }
        p { (result.load.words()) ". Started as " code { (result.command) } }
        @for (name, text) in &result.files { p { (name) } pre { (text) } }
    }
}

fn method() -> Markup {
    html! {
        section #method {
            h2 { "How this was measured, and what is unfair about it" }
            ul { @for line in METHOD { li { (prose(line)) } } }
            h3 { "Unfair to others" }
            ul { @for line in UNFAIR_TO_OTHERS { li { (prose(line)) } } }
            h3 { "Unfair to the agent" }
            ul { @for line in UNFAIR_TO_THE_AGENT { li { (prose(line)) } } }
        }
    }
}

fn machine(report: &Report) -> Markup {
    let machine = &report.machine;
    let facts = [
        ("processor", machine.processor.clone()),
        ("processors", format!("{} ({}); each scenario says which it used", machine.cores.len(), list(&machine.cores))),
        ("memory", format!("{:.1} GiB", machine.memory_gib)),
        ("kernel", machine.kernel.clone()),
        ("file system", machine.file_system.clone()),
        ("one fdatasync of 4 KiB, median", Metric::LatencyP50.show(machine.disk_sync_ms)),
        ("load before", machine.load_before.clone()),
    ];
    html! {
        section #machine {
            h2 { "Machine and versions" }
            div.wide { table { tbody {
                @for (what, value) in facts { tr { td { (what) } td { (value) } } }
                @for (name, version) in &report.versions {
                    tr { td { (name) } td { @match version {
                        Ok(version) => { (version) },
                        Err(reason) => { span.skipped { (reason) } },
                    } } }
                }
            } } }
            p { "Every figure with its rounds: " code { "figures.json" } ". Latency distributions: " code { "latency/*.hgrm" } "." }
        }
    }
}

const METHOD: &[&str] = &[
    "Every contender is a process of its own. Its processor time is user and system time of all its threads, helpers and ended ones too, read from its own clock in nanoseconds. Generator and receivers are threads of the harness and charged to nobody; work that kernel threads do later (writing back pages, for one) is charged to nobody either.",
    "Cases take turns, A B A B, every other round from the other end; each run starts its contender anew in an empty folder on the same disk. Figures are medians; the small numbers below are the least and the most of all rounds. Where there are none it was run once: a difference of a few per cent is then within the noise.",
    "Events are about 600 bytes of JSON with letters from beyond ASCII, escapes and payloads of varying size, of tenants by a Zipf law, the same for everyone. They are made before the run; each carries a mark, a number of its own, that is stamped in while it is written.",
    "Receivers search what arrives for marks and answer at once. Every event of every contender is so counted once: losses and repeats show. The agent's stream numbers are checked in the warm-up of each run, whole from 1, and not during the measurement.",
    "Throughput counts from the first write to the last arrival. A contender that takes events quickly into its buffer and delivers them slowly is as fast as it delivers.",
    "Latency begins when an event should have been written by the fixed rate and ends when the read that brought its mark returned, so a contender that holds its producer back pays for all that waited (no coordinated omission).",
    "Memory is anonymous memory at its highest (every 20 ms) and the program's own resident pages at the end. The mapped log is page cache and stands beside it.",
    "System calls are counted by the kernel's tracepoint, allocations by a library loaded before libc, both in runs of their own, because counting costs time.",
    "How long a task held a shard's loop is the agent's own figure, `loop_stall_seconds`: wall time, so a thread that the system did not let run counts as held; counted from half a millisecond on; known to the bound of its bucket, so rounded up.",
    "What was sent per event are the bytes of request bodies and messages as they came to the receiver: compressed where the wire is, before encryption, without HTTP heads.",
    "Rivals run twice: as fast as they go with a disk buffer, and with the syncs that come nearest to the agent's. Their configurations are those of `bench/others`, where each knob that was tried is listed with what it brought.",
];
const UNFAIR_TO_OTHERS: &[&str] = &[
    "The people who wrote the agent wrote the harness, and have tuned the agent in it for longer than any rival.",
    "The events are the agent's own format, and the local socket with acknowledgements is its own protocol.",
    "Rivals do more in other people's installations: they parse, route and transform anything; what they do here is the least of it.",
    "Rivals are what this machine's registries have: rsyslog 8.2302 (February 2023) and syslog-ng 3.38 (2022) are Debian 12's, the collector is 0.128 (June 2025). Later releases may be faster.",
    "rsyslog's disk-assisted queue in memory takes 3.8 µs an event, and is not compared: not a byte reached the disk. Nor are other buffers that use the disk only when memory is full.",
    "Rivals' warm-ups do not fill their buffers, as the agent's does: at their rates that would take several times as long as the measurement. What a buffer costs that has been used up once is not seen.",
    "Rivals' floods are shorter, because they take longer; what they do once at the start weighs a little more an event.",
];
const UNFAIR_TO_THE_AGENT: &[&str] = &[
    "The agent validates every event, numbers it, tells its producer when it is durable, and syncs before that; the fast rivals pass bytes on and sync nothing.",
    "The agent runs one shard, so one of its threads carries most; rivals may use both processors.",
    "The naive loop keeps no promise at all and writes back no page within the run.",
    "Receivers answer at once from the same machine; over a real network a request's fixed cost weighs less for everyone.",
];
const STYLE: &str = include_str!("page.css");
