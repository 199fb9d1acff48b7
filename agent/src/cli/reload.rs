//! `reload`: has the running agent read its configuration again, and says what came of it.

use std::path::Path;

use serde_json::json;

use super::args::ReloadArgs;
use super::client::{Client, Sockets};
use super::{Exit, Failure, Output};
use crate::config::Surroundings;
use crate::control::reload::Reloaded;

/// Asks for it and shows what the agent says.
pub(super) fn run(
    path: &Path,
    args: &ReloadArgs,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let Some(sockets) = Sockets::find(path, surroundings, output) else { return Ok(Exit::Config) };
    let reloaded: Reloaded = Client::new(&sockets.admin, path).try_post("/v1/reload", &[])?;
    if args.json {
        output.json(&json!(reloaded));
    } else {
        let (data, talk) = said(&reloaded);
        data.iter().for_each(|line| output.data(line));
        talk.iter().for_each(|line| output.talk(line));
    }
    Ok(if reloaded.is_done { Exit::Ok } else { Exit::Config })
}

/// What came of it, and what to know about it.
fn said(reloaded: &Reloaded) -> (Vec<String>, Vec<String>) {
    let Reloaded { is_done, changes, needs_restart, problems } = reloaded;
    if !is_done {
        let mut talk = vec!["the configuration can't be used, and the one in force stays:".to_owned()];
        talk.extend(problems.iter().map(|problem| format!("  {problem}")));
        talk.push("`scaidrive-siem check` says more, before the next try too".to_owned());
        return (Vec::new(), talk);
    }
    let data = match changes.as_slice() {
        [] => vec!["nothing has changed; the configuration is in force".to_owned()],
        changes => changes.to_vec(),
    };
    (data, needs_restart.iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_what_changed_what_waits_and_why_it_was_not_done() {
        let mut reloaded = Reloaded {
            is_done: true,
            changes: vec!["buffer.window from 30m to 10m".to_owned()],
            needs_restart: Some("agent.node takes effect with the next start".to_owned()),
            problems: Vec::new(),
        };
        let (data, talk) = said(&reloaded);
        assert_eq!((&data, talk.len()), (&reloaded.changes, 1));
        (reloaded.changes, reloaded.needs_restart) = (Vec::new(), None);
        assert_eq!(
            said(&reloaded),
            (vec!["nothing has changed; the configuration is in force".to_owned()], Vec::new())
        );
        (reloaded.is_done, reloaded.problems) = (false, vec!["`bufer` is not known".to_owned()]);
        let (data, talk) = said(&reloaded);
        assert!(data.is_empty() && talk.len() == 3, "{talk:?}");
        assert!(talk[0].contains("the one in force stays") && talk[1] == "  `bufer` is not known", "{talk:?}");
    }
}
