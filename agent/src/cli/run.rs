//! `run`: the agent, until it is told to stop.

use std::path::Path;

use super::{Exit, Failure, Output, chain};
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
            warnings.iter().for_each(|problem| output.problem(problem));
            config
        }
        Err(problems) => {
            problems.iter().for_each(|problem| output.problem(problem));
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
    let (exit, advice) = match problem {
        StartError::Locked(_) => {
            (Exit::Unavailable, "stop the other agent, or give this one a state directory of its own")
        }
        StartError::Ingest(_) => (Exit::Unavailable, "stop what listens there, or change [ingest]"),
        StartError::Group(_) => (Exit::Config, "name an existing group in ingest.unix.group"),
        StartError::Runtime(_) => (Exit::Unavailable, "set agent.runtime to \"auto\" or \"epoll\""),
        _ => (Exit::Io, "see that the agent's user may write to agent.state_dir and that the disk works"),
    };
    Failure { exit, what: chain(problem), place: path.display().to_string(), advice: advice.to_owned() }
}
