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
//! | [`naive_loop`] | the floor |
//! | [`machine`] | which processors, which kernel, what a sync takes |

mod contender;
mod load;
mod machine;
mod measure;
mod naive_loop;
mod receiver;
mod runner;
mod scenario;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use scenario::table;

#[derive(Parser)]
#[command(name = "scaidrive-bench", about = "What the agent costs, and what others cost")]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Runs the scenarios named, or all, and prints a line a figure.
    Run { names: Vec<String> },
    /// Lists the scenarios.
    List,
    /// The floor, as a program of its own.
    #[command(hide = true)]
    NaiveLoop { listen: PathBuf, to: String, log: PathBuf },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Action::NaiveLoop { listen, to, log } => match naive_loop::run(&listen, &to, &log) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("error: {error}"));
                ExitCode::FAILURE
            }
        },
        Action::List => {
            table::ALL.iter().for_each(|scenario| say(&format!("{:<24} {}", scenario.name, scenario.question)));
            ExitCode::SUCCESS
        }
        Action::Run { names } => run(&names),
    }
}

fn run(names: &[String]) -> ExitCode {
    if std::env::var_os(scaidrive_tests::agent_process::BINARY).is_none() {
        match build() {
            // SAFETY: no other thread runs yet.
            Ok(path) => unsafe { std::env::set_var(scaidrive_tests::agent_process::BINARY, path) },
            Err(problem) => {
                say(&format!(
                    "error: the agent does not build: {problem}\nwhere: cargo build --release -p scaidrive-siem\ndo:    mend the build first"
                ));
                return ExitCode::FAILURE;
            }
        }
    }
    let _ = machine::pin(2);
    let work = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-work");
    std::fs::create_dir_all(&work).expect("the target folder can be written");
    let lab = runner::Lab { work, is_quick: false };
    let versions = runner::versions();
    for scenario in
        table::ALL.iter().filter(|scenario| names.is_empty() || names.iter().any(|name| name == scenario.name))
    {
        runner::run(scenario, &lab, &versions);
    }
    ExitCode::SUCCESS
}

/// Writes a line of the report.
#[allow(clippy::print_stdout)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Builds the release agent and says where it is.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--quiet", "-p", "scaidrive-siem"];
    let status = Command::new(cargo).args(arguments).status().map_err(|problem| problem.to_string())?;
    if !status.success() {
        return Err(status.to_string());
    }
    let this = std::env::current_exe().map_err(|problem| problem.to_string())?;
    Ok(this.with_file_name("scaidrive-siem"))
}
