//! What the agent costs: one question a scenario, each with its method and a figure expected before measuring.
//!
//! `cargo run --release -p scaidrive-bench -- [cost|latency|idle]…` runs the scenarios named, or all of them, against
//! the release build of the agent, and prints a line a figure. Nothing is asserted here: figures depend on the machine,
//! so each is printed beside a naive program measured in the same run, or beside its promise.

mod cost;
mod idle;
mod latency;
mod naive;
mod sink;
mod workload;

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let unknown = names.iter().find(|name| !SCENARIOS.iter().any(|(known, _)| known == name));
    if let Some(unknown) = unknown {
        say(&format!(
            "error: there is no scenario `{unknown}`\nwhere: the command line\ndo:    name one of cost, latency, idle, or none for all"
        ));
        return ExitCode::from(64);
    }
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
    for (name, run) in SCENARIOS {
        if names.is_empty() || names.iter().any(|asked| asked == name) {
            run();
        }
    }
    ExitCode::SUCCESS
}

/// Writes a line of the report.
#[allow(clippy::print_stdout)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Builds the release agent and says where it is.
fn build() -> Result<std::path::PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--quiet", "-p", "scaidrive-siem"];
    let status = Command::new(cargo).args(arguments).status().map_err(|problem| problem.to_string())?;
    if !status.success() {
        return Err(status.to_string());
    }
    let this = std::env::current_exe().map_err(|problem| problem.to_string())?;
    Ok(this.with_file_name("scaidrive-siem"))
}

const SCENARIOS: [(&str, fn()); 3] = [("cost", cost::run), ("latency", latency::run), ("idle", idle::run)];
