//! The test of a destination, tested: every fault of the list is planted on loopback, and what is said of it is compared
//! with what the list says has to be said. The list and the score are printed.

mod chains;
mod deceit;
mod faults;
mod plant;
mod real;
mod stand;
mod well;

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_siem::config::Surroundings;
use scaidrive_siem::probe::{Report, Stage, StageState, Unusable, cause, unsaved};

use crate::deceit::probe_deceived;
use crate::faults::{FAULTS, Fault};
use crate::plant::{Planted, SECRET};

/// What came of one fault.
struct Outcome {
    report: Report,
    took: Duration,
}

pub(crate) fn here() -> Surroundings {
    Surroundings { host_name: "test-node".to_owned(), cpus: 1, credentials: None, lookup: |_| None }
}

/// Plants a fault and runs the test that an administrator would run.
fn meet(fault: &Fault) -> Outcome {
    let planted = Planted::new(fault);
    let begun = Instant::now();
    let nowhere = planted.file().with_file_name("agent.toml");
    let question = unsaved(planted.toml.clone(), &planted.file(), None, &nowhere, "the test", &here());
    let report = match question {
        Ok(question) => probe_deceived(question, planted.deceit.clone()),
        Err(Unusable::Destination(report)) => *report,
        Err(other) => panic!("{}: {other:?}\n{}", fault.what, planted.toml),
    };
    Outcome { report, took: begun.elapsed() }
}

/// All of them, a few at a time, in the order of the list.
fn meet_all() -> Vec<Outcome> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(fault) = FAULTS.get(at) else { return };
                    let outcome = meet(fault);
                    outcomes.lock().unwrap().insert(at, outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    (0..FAULTS.len()).map(|at| outcomes.remove(&at).expect("every fault was met")).collect()
}

#[test]
fn every_fault_of_the_list_is_named_with_stage_cause_and_remedy_in_time() {
    let outcomes = meet_all();
    let (mut wrong, mut quick, mut named) = (Vec::new(), 0, 0);
    let mut list = vec![format!("{:<68} {:<15} {:<32} {:>7}", "FAULT", "STAGE", "CODE", "TIME")];
    for (fault, Outcome { report, took }) in FAULTS.iter().zip(&outcomes) {
        let what = format!("{:?}: {}", fault.to, fault.what);
        quick += usize::from(*took < QUICK);
        let said = report.failure.as_ref();
        let found = said.map_or(("", ""), |failure| (failure.stage.name(), failure.code));
        let is_right = found == (fault.stage, fault.code)
            && said.is_some_and(|failure| !failure.cause.is_empty() && !failure.remedy.is_empty());
        named += usize::from(is_right);
        let mark = if is_right { "" } else { "  WRONG" };
        list.push(format!("{what:<68} {:<15} {:<32} {:>5} ms{mark}", found.0, found.1, took.as_millis()));
        if !is_right {
            wrong.push(format!("{what}: {:?}, {:?} was to be said\n{report:#?}", found, (fault.stage, fault.code)));
        }
        if *took >= SLOWEST {
            wrong.push(format!("{what}: it took {took:?}"));
        }
    }
    let codes: HashSet<&str> = FAULTS.iter().map(|fault| fault.code).collect();
    let slowest = outcomes.iter().map(|outcome| outcome.took).max().unwrap_or_default();
    list.push(format!(
        "\n{named} of {} named as the list says, with {} different codes; {quick} in under {} s, the slowest in {} s\n",
        FAULTS.len(),
        codes.len(),
        QUICK.as_secs(),
        slowest.as_secs_f32().ceil()
    ));
    // Straight to the descriptor: the list is there to be read, whatever becomes of the test.
    std::io::stderr().write_all(list.join("\n").as_bytes()).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(quick * 60 >= FAULTS.len() * 55, "only {quick} in under {QUICK:?}");
}

#[test]
fn the_list_is_long_and_its_codes_are_many_and_say_something() {
    let codes: HashSet<&str> = FAULTS.iter().map(|fault| fault.code).collect();
    assert!(FAULTS.len() >= 60 && codes.len() >= 40, "{} faults, {} codes", FAULTS.len(), codes.len());
    let known: HashSet<&str> = cause::all().iter().map(|cause| cause.code).collect();
    for fault in FAULTS {
        assert!(known.contains(fault.code), "{} is the code of no cause", fault.code);
        assert!(!fault.code.contains("connection_failed"));
    }
}

#[test]
fn a_report_never_holds_a_secret_nor_calls_a_stage_well_that_was_not_reached() {
    for fault in FAULTS.iter().filter(|fault| fault.stage != "settings").step_by(4) {
        let Outcome { report, .. } = meet(fault);
        let json = serde_json::to_string(&report).unwrap();
        assert!(!json.contains(SECRET), "{json}");
        let failed = report.stages.iter().position(|stage| stage.state == StageState::Failed).unwrap();
        assert!(report.stages[failed + 1..].iter().all(|stage| stage.state == StageState::Skipped), "{report:#?}");
        assert_eq!(report.stages[failed].stage.name(), fault.stage, "{}", fault.what);
    }
}

#[test]
fn what_an_answer_does_not_show_is_not_called_well() {
    for (code, expected) in [
        ("index_refused", StageState::Ok),
        ("role_missing", StageState::Ok),
        ("index_write_right_missing", StageState::Ok),
        ("mapping_strict", StageState::Ok),
        ("forbidden", StageState::Skipped),
        ("throttled", StageState::Skipped),
        ("server_failed", StageState::Skipped),
    ] {
        let fault = FAULTS.iter().find(|fault| fault.code == code).unwrap();
        let Outcome { report, .. } = meet(fault);
        let shown = report.stages.iter().find(|known| known.stage == Stage::Authentication).unwrap();
        assert_eq!(shown.state, expected, "{code}: {report:#?}");
    }
}

/// A test that an administrator waits for without looking away.
const QUICK: Duration = Duration::from_secs(3);
/// Nobody waits longer.
const SLOWEST: Duration = Duration::from_secs(15);
/// Faults that are met side by side: most of the time is waiting.
const AT_A_TIME: usize = 6;
