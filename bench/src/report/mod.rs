//! The report: a page, its plots, the figures as JSON, and a distribution for each latency.
//!
//! | file | what |
//! |---|---|
//! | `index.html` | everything, in one file without any resource from elsewhere |
//! | `figures.json` | every figure with its rounds, goals, estimates, versions, machine |
//! | `plots/SCENARIO-METRIC.svg` | the plots of the page |
//! | `latency/SCENARIO-CASE.hgrm` | percentile distributions for HdrHistogram's plotter |

mod json;
mod page;
mod plots;

use std::fs;
use std::io;
use std::path::Path;

use crate::machine::Machine;
use crate::measure::latency::hgrm;
use crate::runner::{CaseResult, Measured, Versions, is_ours};
use crate::scenario::goal::{Figures, Outcome};
use crate::scenario::{Goal, Metric, Sense};

/// All that there is to report.
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    pub(crate) measured: Vec<Measured>,
    /// The scenarios that were asked for and not run yet; what was measured is written after each.
    pub(crate) to_come: Vec<&'static str>,
    pub(crate) is_quick: bool,
    /// When it was begun (RFC 3339), and how long it took in seconds.
    pub(crate) began: String,
    pub(crate) seconds: u64,
}

impl Report {
    /// Writes it into the folder `out`.
    ///
    /// # Errors
    /// When the folder can't be written, or a plot can't be drawn.
    pub(crate) fn write(&self, out: &Path) -> io::Result<()> {
        for folder in ["plots", "latency"] {
            fs::create_dir_all(out.join(folder))?;
        }
        for measured in &self.measured {
            for plot in plots::of(measured, self) {
                fs::write(out.join("plots").join(format!("{}.svg", plot.stem)), &plot.svg)?;
            }
            for result in measured.cases.iter().filter(|result| !result.latency.is_empty()) {
                let stem = stem(&[measured.scenario.name, result.case.label]);
                fs::write(out.join("latency").join(format!("{stem}.hgrm")), hgrm(&result.latency))?;
            }
        }
        replace(&out.join("figures.json"), &json::render(self))?;
        replace(&out.join("index.html"), &page::render(self))
    }

    /// What became of a goal.
    fn judge(&self, measured: &Measured, goal: &Goal) -> Outcome {
        goal.judge(&InRun { measured, machine: &self.machine })
    }
}

/// Writes a file beside its place and moves it there, so that whoever is stopped meanwhile leaves the old one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text)?;
    fs::rename(fresh, path)
}

/// A scenario's figures, for judging goals.
struct InRun<'a> {
    measured: &'a Measured,
    machine: &'a Machine,
}

impl Figures for InRun<'_> {
    fn median(&self, case: &str, metric: Metric) -> Option<f64> {
        let result = self.measured.cases.iter().find(|result| result.case.label == case)?;
        Some(result.summary(metric)?.median)
    }

    fn best_rival(&self, metric: Metric, sense: Sense) -> Option<f64> {
        let rivals = self.measured.cases.iter().filter(|result| !is_ours(&result.case));
        let medians = rivals.filter_map(|result| result.summary(metric)).map(|summary| summary.median);
        match sense {
            Sense::AtMost => medians.min_by(f64::total_cmp),
            Sense::AtLeast => medians.max_by(f64::total_cmp),
        }
    }

    fn disk_sync_ms(&self) -> f64 {
        self.machine.disk_sync_ms
    }

    fn cores(&self) -> usize {
        self.measured.cores.len()
    }
}

/// The metrics that any case of a scenario has, in the order of their declaration.
fn metrics(cases: &[CaseResult]) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = cases.iter().flat_map(|result| result.samples.keys().copied()).collect();
    metrics.sort();
    metrics.dedup();
    metrics
}

/// A file's name from words.
fn stem(words: &[&str]) -> String {
    let joined = words.join("-").to_lowercase();
    let pieces: Vec<&str> =
        joined.split(|c: char| !c.is_ascii_alphanumeric()).filter(|piece| !piece.is_empty()).collect();
    pieces.join("-")
}

/// The command that runs one scenario again.
fn command(name: &str) -> String {
    format!("cargo run --release -p scaidrive-bench -- report --only {name}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::measure::latency::{histogram, record};
    use crate::scenario::table;

    /// A report with made-up figures for every case of every scenario.
    fn report() -> Report {
        let machine = Machine {
            processor: "a <fast> one".to_owned(),
            cores: vec![0, 1],
            memory_gib: 8.0,
            kernel: "6.18".to_owned(),
            file_system: "ext4 (rw)".to_owned(),
            disk_sync_ms: 1.5,
            load_before: "0.00".to_owned(),
        };
        let measured =
            table::ALL.iter().map(|it| Measured { scenario: *it, cores: vec![0, 1], cases: cases(it) }).collect();
        let versions =
            Versions::from([("agent", Ok("agent 1".to_owned())), ("rsyslog", Err("not installed".to_owned()))]);
        let began = "2026-05-12T00:00:00Z".to_owned();
        Report { machine, versions, measured, to_come: Vec::new(), is_quick: true, began, seconds: 61 }
    }

    fn cases(scenario: &crate::scenario::Scenario) -> Vec<CaseResult> {
        let wanted: Vec<Metric> = scenario.goals.iter().map(|goal| goal.metric).collect();
        scenario
            .cases()
            .enumerate()
            .map(|(nth, case)| {
                let mut latency = histogram();
                (1..2_000).for_each(|us| record(&mut latency, Duration::from_micros(us)));
                let is_absent = case.contender == "vector";
                let figures: BTreeMap<Metric, Vec<f64>> =
                    wanted.iter().map(|metric| (*metric, vec![2.0 + nth as f64, 3.0 + nth as f64, 40.0])).collect();
                CaseResult {
                    case: *case,
                    load: case.load,
                    skipped: is_absent.then(|| "not <installed>".to_owned()),
                    problems: Vec::new(),
                    notes: vec!["`ingest` 2 times".to_owned()],
                    samples: if is_absent { BTreeMap::new() } else { figures },
                    latency,
                    files: vec![("agent.toml".to_owned(), "shards = 1 # <&>".to_owned())],
                    command: "agent run".to_owned(),
                }
            })
            .collect()
    }

    #[test]
    fn the_page_has_every_scenario_its_goals_and_configurations_and_nothing_from_elsewhere() {
        let page = page::render(&report());
        for scenario in table::ALL {
            assert!(page.contains(&format!("id=\"{}\"", scenario.name)), "{}", scenario.name);
            assert!(page.contains(&format!("href=\"#{}\"", scenario.name)), "{}", scenario.name);
            for case in scenario.cases() {
                assert!(page.contains(case.label), "{}", case.label);
            }
        }
        assert!(page.contains("<svg") && page.contains("missed") && page.contains("shards = 1 # &lt;&amp;&gt;"));
        assert!(page.contains("a &lt;fast&gt; one") && page.contains("not &lt;installed&gt;"));
        for elsewhere in ["src=", "<link", "@import", "url(", "<script"] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn the_json_has_every_figure_and_what_became_of_each_goal() {
        let json: serde_json::Value = serde_json::from_str(&json::render(&report())).unwrap();
        let scenarios = json["scenarios"].as_array().unwrap();
        assert_eq!(scenarios.len(), table::ALL.len());
        let cost = &scenarios[0];
        assert_eq!(cost["name"], "cost");
        assert_eq!(cost["cases"][0]["figures"][0]["median"], 3.0);
        assert_eq!(cost["goals"][0]["outcome"], "missed");
        assert_eq!(json["machine"]["disk_sync_ms"], 1.5);
    }

    #[test]
    fn a_page_that_is_not_whole_says_what_it_lacks_and_a_whole_one_does_not() {
        let mut report = report();
        let whole = page::render(&report);
        assert!(!whole.contains("not whole"));
        report.measured.truncate(1);
        report.to_come = vec!["idle", "counts"];
        let page = page::render(&report);
        assert!(page.contains("not whole") && page.contains("idle, counts"));
        let json: serde_json::Value = serde_json::from_str(&json::render(&report)).unwrap();
        assert_eq!(json["to_come"][1], "counts");
    }

    #[test]
    fn why_a_goal_is_missed_is_said_of_a_miss_and_of_nothing_else() {
        let mut report = report();
        let reason = "three wake-ups on a virtual machine";
        assert!(page::render(&report).contains(&format!("missed: {reason}")));
        for result in report.measured.iter_mut().flat_map(|measured| &mut measured.cases) {
            result.samples.values_mut().for_each(|samples| samples.fill(0.0));
        }
        assert!(!page::render(&report).contains(&format!("missed: {reason}")));
    }

    #[test]
    fn a_scenario_says_on_which_processors_it_ran() {
        let mut report = report();
        report.measured[0].cores = vec![4, 5, 6, 7];
        assert!(page::render(&report).contains("Processors 4, 5, 6, 7."));
    }

    #[test]
    fn everything_is_written_with_a_distribution_for_each_latency() {
        let dir = tempfile::tempdir().unwrap();
        report().write(dir.path()).unwrap();
        assert!(dir.path().join("index.html").exists() && dir.path().join("figures.json").exists());
        assert!(dir.path().join("latency/latency-agent.hgrm").exists());
        assert!(dir.path().join("plots/cost-cpu-per-event.svg").exists());
    }
}
