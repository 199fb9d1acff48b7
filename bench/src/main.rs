//! What the agent costs, and what others cost: scenarios as data, run side by side, with a report.
//!
//! | room | what it does |
//! |---|---|
//! | [`scenario`] | says what is measured, what was expected, what has to be reached |
//! | [`contender`] | configures and starts the programs that are measured |
//! | [`load`] | makes events and writes them |
//! | [`receiver`] | takes what is delivered, counts, checks and times it |
//! | [`measure`] | reads processor time, memory, disk, system calls, allocations |
//! | [`runner`] | brings these together: rounds, A B A B, medians and spread |
//! | [`report`] | the page, the plots, the JSON |
//! | [`naive_loop`] | the floor |
//! | [`machine`] | which processors, which kernel, what a sync takes |

mod contender;
mod load;
mod machine;
mod measure;
mod naive_loop;
mod receiver;
mod report;
mod runner;
mod scenario;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use scaidrive_tests::agent_process::BINARY;

use machine::Machine;
use report::Report;
use runner::Lab;
use scenario::{Scenario, table};

#[derive(Parser)]
#[command(name = "scaidrive-bench", about = "What the agent costs, and what others cost")]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Runs scenarios and writes the report.
    Report {
        #[command(flatten)]
        which: Which,
        /// Scenarios to run, all when none is named.
        #[arg(long, num_args = 1.., value_name = "NAME")]
        only: Vec<String>,
        /// The folder to write to.
        #[arg(long, default_value = "target/bench-report", value_name = "DIR")]
        out: PathBuf,
    },
    /// Runs the scenarios named, or all, and prints a line a run.
    Run {
        #[command(flatten)]
        which: Which,
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Lists the scenarios, and which contenders are here.
    List,
    /// The floor, as a program of its own.
    #[command(hide = true)]
    NaiveLoop { listen: PathBuf, to: String, log: PathBuf },
}

#[derive(Args)]
struct Which {
    /// One round of an eighth of the load, in some two minutes: to see whether something is far off.
    #[arg(long)]
    quick: bool,
    /// Where contenders keep their files: the disk that is measured.
    #[arg(long, default_value = "target/bench-work", value_name = "DIR")]
    work: PathBuf,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Action::NaiveLoop { listen, to, log } => naive_loop::run(&listen, &to, &log).map_err(Problem::from),
        Action::List => {
            list();
            Ok(())
        }
        Action::Run { which, names } => measure_all(&which, &names, |_| Ok(())),
        Action::Report { which, only, out } => write_report(&which, &only, &out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            say(&format!("error: {}\nwhere: {}\ndo:    {}", problem.what, problem.place, problem.advice));
            ExitCode::FAILURE
        }
    }
}

/// What people read when something can't be done.
struct Problem {
    what: String,
    place: String,
    advice: &'static str,
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Problem {
        Problem {
            what: error.to_string(),
            place: "the harness's own files".to_owned(),
            advice: "see to room and permissions",
        }
    }
}

fn write_report(which: &Which, only: &[String], out: &Path) -> Result<(), Problem> {
    measure_all(which, only, |report| {
        report.write(out).map_err(|error| Problem {
            what: format!("the report can't be written: {error}"),
            place: out.display().to_string(),
            advice: "name another folder with --out",
        })
    })?;
    say(&format!("the report is in {}", out.join("index.html").display()));
    Ok(())
}

/// Runs the scenarios of these names, and hands over after each what there is to report so far.
fn measure_all(
    which: &Which,
    names: &[String],
    mut after_each: impl FnMut(&Report) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let scenarios = named(names)?;
    provide_agent()?;
    let (began, clock) = (jiff::Timestamp::now(), Instant::now());
    machine::raise_open_files()?;
    let cores = machine::processors()?;
    let lab = Lab::open(&which.work, which.quick)?;
    let mut report = Report {
        machine: Machine::look(&lab.work, cores.clone())?,
        versions: runner::versions(),
        measured: Vec::new(),
        to_come: scenarios.iter().map(|scenario| scenario.name).collect(),
        is_quick: which.quick,
        began: began.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        seconds: 0,
    };
    for scenario in scenarios {
        let cores = &cores[..scenario.cores(cores.len())];
        machine::pin(cores)?;
        report.measured.push(runner::run(scenario, &lab, &report.versions, cores.to_vec()));
        report.to_come.remove(0);
        report.seconds = clock.elapsed().as_secs();
        after_each(&report)?;
    }
    Ok(())
}

/// The scenarios of these names; all when there are none.
fn named(names: &[String]) -> Result<Vec<&'static Scenario>, Problem> {
    let is_unknown = |name: &&String| !table::ALL.iter().any(|scenario| scenario.name == name.as_str());
    if let Some(unknown) = names.iter().find(is_unknown) {
        return Err(Problem {
            what: format!("there is no scenario `{unknown}`"),
            place: "the command line".to_owned(),
            advice: "see `list` for the names",
        });
    }
    let is_meant = |scenario: &&Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name);
    Ok(table::ALL.iter().filter(is_meant).collect())
}

fn list() {
    for scenario in table::ALL {
        say(&format!("{:<22} {}", scenario.name, scenario.question));
    }
    for contender in contender::all() {
        // The agent is built when it is needed.
        if contender.name() != "agent" {
            say(&format!("{:<22} {}", contender.name(), contender.version().unwrap_or_else(|reason| reason)));
        }
    }
}

/// Builds the release agent, unless the environment names one, and names it for everyone.
fn provide_agent() -> Result<(), Problem> {
    if std::env::var_os(BINARY).is_some() {
        return Ok(());
    }
    let path = build().map_err(|what| Problem {
        what: format!("the agent does not build: {what}"),
        place: "cargo build --release -p scaidrive-siem".to_owned(),
        advice: "mend the build first",
    })?;
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var(BINARY, path) };
    Ok(())
}

fn build() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|problem| problem.to_string())?;
    let target = this.ancestors().nth(2).ok_or("this program lies in no target folder")?;
    let mut command = scaidrive_tests::cargo::command();
    command.args(["build", "--release", "--quiet", "-p", "scaidrive-siem", "--target-dir"]).arg(target);
    let status = command.status().map_err(|problem| problem.to_string())?;
    if !status.success() {
        return Err(status.to_string());
    }
    Ok(target.join("release").join("scaidrive-siem"))
}

/// Writes a line for whoever runs this.
#[allow(clippy::print_stdout)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
