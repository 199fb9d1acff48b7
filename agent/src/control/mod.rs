//! The control plane: one ordinary thread with a small tokio runtime. It watches signals and the shards, and answers
//! questions; nothing an event passes through.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Exit, Failure};
use crate::config::Surroundings;
use crate::node::Node;

/// Runs the control plane until the agent is told to stop, and stops it.
pub fn serve(node: Node, path: &Path, _surroundings: &Surroundings) -> Result<Exit, Failure> {
    let refused = |problem: std::io::Error| Failure {
        exit: Exit::Internal,
        what: format!("cannot start the control plane: {problem}"),
        place: path.display().to_string(),
        advice: String::from("see that the process may open more files"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok::<_, std::io::Error>(())
    }).map_err(refused)?;
    node.stop();
    Ok(Exit::Ok)
}
