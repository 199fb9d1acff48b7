//! Runs cases: receivers, contender, warm-up, load, figures.
//!
//! A scenario's cases take turns, A B A B, so that a slow minute of the machine meets them all; every other round begins at
//! the other end. Each run starts its contender anew, in an empty folder on the disk that is measured. A run that fails is
//! reported as such and has no figures.
//!
//! | module | load |
//! |---|---|
//! | [`flood`] | as fast as it goes: times, or counts of system calls and allocations |
//! | [`paced`] | a fixed rate: latency |
//! | [`idle`] | nothing |
//! | [`catch_up`] | an outage and its end |
//! | [`backlog`] | a start with a full log |
//! | [`append`] | the log alone |
//! | [`visited`] | floods while pages are open and while none is |
//! | [`view`] | one page, again and again |
//! | [`status_age`] | when the status says what has happened |
//! | [`hour`] | an hour of the control plane's clock |
//! | [`stalls`] | what the agent says of who held its loops |
//! | [`stage`] | what all of them stand on |

mod append;
mod backlog;
mod catch_up;
mod flood;
mod hammer;
mod hour;
mod idle;
mod paced;
mod stage;
mod stalls;
mod status_age;
mod view;
mod visited;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use tempfile::TempDir;

use crate::contender;
use crate::measure::latency::histogram;
use crate::measure::statistics::{Summary, summary};
use crate::say;
use crate::scenario::{Case, Destinations, Load, Metric, Scenario};
use stage::Stage;

/// Where and how much is run.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    /// A folder on the disk that is measured.
    pub(crate) work: PathBuf,
    /// One round, less of everything, and rivals in the first scenario only.
    pub(crate) is_quick: bool,
}

impl Lab {
    /// A lab in the folder `work`, which is made if need be. What a run that was cut short has left there is removed.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub(crate) fn open(work: &Path, is_quick: bool) -> io::Result<Lab> {
        fs::create_dir_all(work)?;
        for entry in fs::read_dir(work)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(RUN_PREFIX) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        // Contenders are told paths, and run elsewhere than here.
        Ok(Lab { work: work.canonicalize()?, is_quick })
    }

    /// A fresh folder for one run, removed with what is returned.
    fn folder(&self) -> Result<TempDir, String> {
        let made = tempfile::Builder::new().prefix(RUN_PREFIX).tempdir_in(&self.work);
        made.map_err(|error| format!("cannot make a folder in {}: {error}", self.work.display()))
    }
}

/// How the folders of single runs begin.
const RUN_PREFIX: &str = "bench-run-";

/// What one run of a case gave.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) figures: Vec<(Metric, f64)>,
    pub(crate) latency: Option<Histogram<u64>>,
    /// The configuration, as it was used.
    pub(crate) files: Vec<(String, String)>,
    /// The command line of the contender.
    pub(crate) command: String,
    /// What could not be measured here, and why.
    pub(crate) remarks: Vec<String>,
    /// What there is to say about the figures of this run.
    pub(crate) notes: Vec<String>,
}

/// Why a run has no figures.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoFigures {
    /// The contender does not do this job at all; no further round is tried.
    Cannot(String),
    /// Something went wrong.
    Failed(String),
}

impl From<String> for NoFigures {
    fn from(problem: String) -> NoFigures {
        NoFigures::Failed(problem)
    }
}

/// What all rounds of one case gave.
pub(crate) struct CaseResult {
    pub(crate) case: Case,
    pub(crate) load: Load,
    /// Why it was not run, if it was not.
    pub(crate) skipped: Option<String>,
    /// What went wrong in single runs.
    pub(crate) problems: Vec<String>,
    /// What single runs say about their figures.
    pub(crate) notes: Vec<String>,
    pub(crate) samples: BTreeMap<Metric, Vec<f64>>,
    /// Of all rounds together.
    pub(crate) latency: Histogram<u64>,
    pub(crate) files: Vec<(String, String)>,
    pub(crate) command: String,
}

impl CaseResult {
    fn new(case: &Case, lab: &Lab) -> CaseResult {
        CaseResult {
            case: *case,
            load: if lab.is_quick { case.load.quick() } else { case.load },
            skipped: None,
            problems: Vec::new(),
            notes: Vec::new(),
            samples: BTreeMap::new(),
            latency: histogram(),
            files: Vec::new(),
            command: String::new(),
        }
    }

    pub(crate) fn summary(&self, metric: Metric) -> Option<Summary> {
        summary(self.samples.get(&metric)?)
    }

    fn take(&mut self, taken: Taken) {
        for (metric, value) in taken.figures {
            self.samples.entry(metric).or_default().push(value);
        }
        if let Some(latency) = taken.latency {
            // Both have the same bounds and grow, so nothing is out of range.
            let _ = self.latency.add(&latency);
        }
        (self.files, self.command) = (taken.files, taken.command);
        self.notes.extend(taken.notes);
        for remark in taken.remarks {
            if !self.problems.contains(&remark) {
                self.problems.push(remark);
            }
        }
    }
}

/// What a scenario gave.
pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    /// The processors that sender, contender and receiver shared.
    pub(crate) cores: Vec<usize>,
    pub(crate) cases: Vec<CaseResult>,
}

/// Runs all rounds of all cases of a scenario on `cores`, to which this thread is bound, and prints a line for each run.
pub(crate) fn run(scenario: &Scenario, lab: &Lab, versions: &Versions, cores: Vec<usize>) -> Measured {
    let mut cases: Vec<CaseResult> = scenario.cases().map(|case| CaseResult::new(case, lab)).collect();
    for result in &mut cases {
        result.skipped = reason_to_skip(scenario, &result.case, lab, versions);
        if let Some(reason) = &result.skipped {
            say(&format!("{}: {}: skipped: {reason}", scenario.name, result.case.label));
        }
    }
    let rounds = if lab.is_quick { 1 } else { scenario.rounds };
    for round in 0..rounds {
        let mut order: Vec<&mut CaseResult> = cases.iter_mut().filter(|result| result.skipped.is_none()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for result in order {
            run_once(scenario, result, lab);
        }
    }
    spread_memory_over_destinations(scenario, &mut cases);
    Measured { scenario: *scenario, cores, cases }
}

fn run_once(scenario: &Scenario, result: &mut CaseResult, lab: &Lab) {
    let (name, label) = (scenario.name, result.case.label);
    match take(scenario, &result.case, result.load, lab) {
        Ok(taken) => {
            let shown: Vec<String> = taken
                .figures
                .iter()
                .map(|(metric, value)| format!("{} {}", metric.title(), metric.show(*value)))
                .collect();
            say(&format!("{name}: {label}: {}", shown.join(", ")));
            result.take(taken);
        }
        Err(NoFigures::Cannot(reason)) => {
            say(&format!("{name}: {label}: skipped: {reason}"));
            result.skipped = Some(reason);
        }
        Err(NoFigures::Failed(problem)) => {
            say(&format!("{name}: {label}: failed: {problem}"));
            result.problems.push(problem);
        }
    }
}

fn take(scenario: &Scenario, case: &Case, load: Load, lab: &Lab) -> Result<Taken, NoFigures> {
    match load {
        Load::Flood(flood) => Ok(flood::run(&mut Stage::set(scenario, case, lab)?, flood)?),
        Load::Counted(flood) => flood::count(scenario, case, lab, flood),
        Load::Paced(paced) => Ok(paced::run(&mut Stage::set(scenario, case, lab)?, paced)?),
        Load::Idle { seconds } => Ok(idle::run(&mut Stage::set(scenario, case, lab)?, seconds)?),
        Load::CatchUp { events, live } => catch_up::run(scenario, case, lab, events, live),
        Load::Backlog { events } => backlog::run(scenario, case, lab, events),
        Load::Append { rate, seconds } => Ok(append::run(lab, rate, seconds)?),
        Load::Visited(visited) => Ok(visited::run(&mut Stage::set(scenario, case, lab)?, visited)?),
        Load::View(view) => Ok(view::run(&mut Stage::set(scenario, case, lab)?, view)?),
        Load::StatusAge { events } => Ok(status_age::run(&mut Stage::set(scenario, case, lab)?, events)?),
        Load::Hour => hour::run(scenario, case, lab),
    }
}

/// Which contenders are here: the name, and the version or why it is not.
pub(crate) type Versions = BTreeMap<&'static str, Result<String, String>>;

/// Asks every contender for its version.
pub(crate) fn versions() -> Versions {
    contender::all().into_iter().map(|contender| (contender.name(), contender.version())).collect()
}

fn reason_to_skip(scenario: &Scenario, case: &Case, lab: &Lab, versions: &Versions) -> Option<String> {
    let is_ours = is_ours(case);
    match versions.get(case.contender) {
        None => return Some(format!("nobody has taught this harness to run {}", case.contender)),
        Some(Err(reason)) => return Some(reason.clone()),
        Some(Ok(_)) => {}
    }
    let is_left_out = lab.is_quick && !is_ours && scenario.name != crate::scenario::table::ALL[0].name;
    is_left_out.then(|| "a quick run compares with others in the first scenario only".to_owned())
}

/// Whether a case is this project's agent or its floor, and so no rival.
pub(crate) fn is_ours(case: &Case) -> bool {
    matches!(case.contender, "agent" | "naive loop")
}

/// With a destination for each tenant: the memory beyond that of the case before, for each destination beyond its one.
fn spread_memory_over_destinations(scenario: &Scenario, cases: &mut [CaseResult]) {
    let Some(many) = cases.iter().position(|result| result.case.setup.destinations == Destinations::ForEachTenant)
    else {
        return;
    };
    for (of, spread) in
        [(Metric::Memory, Metric::MemoryPerDestination), (Metric::HourGrowth, Metric::HourGrowthPerDestination)]
    {
        let median = |at: usize| cases.get(at)?.summary(of).map(|memory| memory.median);
        let (Some(with_one), Some(with_many)) = (many.checked_sub(1).and_then(median), median(many)) else { continue };
        let kib = (with_many - with_one) * 1024.0 / f64::from(scenario.tenants.count.max(2) - 1);
        cases[many].samples.insert(spread, vec![kib]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Wire, table};

    #[test]
    fn what_a_run_that_was_cut_short_left_behind_is_removed_and_nothing_else() {
        let work = tempfile::tempdir().unwrap();
        for folder in ["bench-run-x", "mine"] {
            fs::create_dir(work.path().join(folder)).unwrap();
        }
        let lab = Lab::open(work.path(), true).unwrap();
        assert!(!work.path().join("bench-run-x").exists() && work.path().join("mine").exists());
        let folder = lab.folder().unwrap();
        assert!(folder.path().starts_with(&lab.work));
    }

    #[test]
    fn what_a_contender_cannot_do_is_skipped_once_with_its_reason_and_has_not_failed() {
        const FLOOR: &[Case] = &[table::naive(table::FLOOD)];
        let scenario = Scenario { wire: Wire::SYSLOG, cases: &[FLOOR], rounds: 3, ..table::ALL[0] };
        let work = tempfile::tempdir().unwrap();
        let lab = Lab::open(work.path(), false).unwrap();
        let versions = Versions::from([("naive loop", Ok("1".to_owned()))]);
        let measured = run(&scenario, &lab, &versions, vec![0]);
        let result = &measured.cases[0];
        assert!(result.skipped.as_ref().unwrap().contains("plain HTTP"), "{:?}", result.skipped);
        assert!(result.problems.is_empty() && result.samples.is_empty(), "{:?}", result.problems);
    }

    #[test]
    fn what_went_wrong_in_a_run_is_a_failure_and_no_reason_to_skip() {
        assert_eq!(NoFigures::from("x".to_owned()), NoFigures::Failed("x".to_owned()));
    }
}
