//! `run`: the agent, until it is told to stop.

use std::path::Path;

use scaidrive_wal::LockError;

use super::{Exit, Failure, Output, chain, check};
use crate::config::{Config, Surroundings};
use crate::control;
use crate::journal;
use crate::node::{Node, StartError};
use crate::runtime::clock;

/// Runs the agent until SIGTERM or SIGINT.
pub(super) fn run(path: &Path, surroundings: &Surroundings, output: &mut Output<'_>) -> Result<Exit, Failure> {
    // Before any thread: a page of the log that can't be read must find the handler.
    scaidrive_wal::install_sigbus_handler();
    let config = match Config::load(path, surroundings) {
        Ok((config, warnings)) => {
            output.problems(&warnings);
            config
        }
        Err(problems) => {
            output.problems(&problems);
            output.talk(&check::verdict(path, &problems));
            return Ok(Exit::Config);
        }
    };
    let journal = journal::start(config.log, || (clock::now(), clock::wall_ms())).map_err(|problem| Failure {
        exit: Exit::Internal,
        what: problem.to_string(),
        place: path.display().to_string(),
        advice: String::from("start the agent in a process of its own"),
    })?;
    let node = Node::start(config, &mut clock::entropy).map_err(|problem| failure(&problem, path))?;
    let exit = control::serve(node, journal.clone(), path, surroundings);
    journal.settle();
    exit
}

fn failure(problem: &StartError, path: &Path) -> Failure {
    let (exit, setting, advice) = match problem {
        StartError::Locked(LockError::Held { .. }) => (
            Exit::Unavailable,
            "agent.state_dir",
            "stop the other agent, or give this one a state directory of its own",
        ),
        StartError::Ingest(problem) => (Exit::Unavailable, problem.setting(), problem.remedy()),
        StartError::Group(_) => (Exit::Config, "ingest.unix.group", "name an existing group"),
        StartError::Runtime(_) => (Exit::Unavailable, "agent.runtime", "set it to \"auto\" or \"epoll\""),
        StartError::Thread(_) => (Exit::Unavailable, "agent.shards", "raise the limits on threads and locked memory"),
        _ => (
            Exit::Io,
            "agent.state_dir",
            "see that the agent's user may write there and that the disk works and has room",
        ),
    };
    let what = chain(problem);
    let denied = exit == Exit::Io && what.contains("Permission denied");
    let exit = if denied { Exit::Permission } else { exit };
    Failure { exit, what, place: format!("{setting} in {}", path.display()), advice: advice.to_owned() }
}
