//! Reading the configuration again: whole or not at all, and what is said about it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use scaidrive_codecs::own::{ConfigChanged, OwnEvent};

use crate::config::{ChangedSetting, Changes, Destination, Problem};

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// Whether the new configuration is in force.
    pub is_done: bool,
    /// What changed, in words, one entry each.
    pub changes: Vec<String>,
    /// What takes effect with the next start only.
    pub needs_restart: Option<String>,
    /// Why it was not done: each problem in words with its place.
    pub problems: Vec<String>,
}

impl Reloaded {
    /// It is in force.
    pub(super) fn done(changes: &Changes) -> Reloaded {
        Reloaded {
            is_done: true,
            changes: in_words(changes),
            needs_restart: changes.restart_in_words(),
            problems: Vec::new(),
        }
    }

    /// The old one stays.
    pub(super) fn refused(problems: Vec<String>) -> Reloaded {
        Reloaded { is_done: false, changes: Vec::new(), needs_restart: None, problems }
    }
}

/// A problem of the file in one line.
pub(super) fn one_line(problem: &Problem) -> String {
    format!("{} ({}); {}", problem.what, problem.place, problem.advice)
}

/// The audit event of a reload that changed something. Holds no secrets: settings name where those are kept.
pub(super) fn event(changes: &Changes, who: &str, via: &str, target: &str) -> OwnEvent {
    let (mut before, mut after) = (Map::new(), Map::new());
    let mut note = |prefix: &str, change: &ChangedSetting| {
        let key = format!("{prefix}{}", change.key);
        before.insert(key.clone(), json!(change.before));
        after.insert(key, json!(change.after));
    };
    changes.live.iter().chain(&changes.restart).for_each(|change| note("", change));
    for changed in &changes.changed {
        let prefix = format!("destination \"{}\" ", changed.new.name);
        changed.settings.iter().for_each(|change| note(&prefix, change));
    }
    let whole = |destination: &Destination| -> Value {
        destination
            .settings()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect::<Map<_, _>>()
            .into()
    };
    let name = |destination: &Destination| format!("destination \"{}\"", destination.name);
    for added in &changes.added {
        before.insert(name(added), Value::Null);
        after.insert(name(added), whole(added));
    }
    for removed in &changes.removed {
        before.insert(name(removed), whole(removed));
        after.insert(name(removed), Value::Null);
    }
    OwnEvent::ConfigChanged(ConfigChanged {
        who: who.to_owned(),
        via: via.to_owned(),
        what: "config.reload".to_owned(),
        target: target.to_owned(),
        before: before.into(),
        after: after.into(),
    })
}

fn in_words(changes: &Changes) -> Vec<String> {
    let mut words: Vec<String> = changes.live.iter().map(ToString::to_string).collect();
    let named = |verb: &str, destination: &Destination| format!("destination \"{}\" {verb}", destination.name);
    words.extend(changes.added.iter().map(|added| named("added", added)));
    words.extend(changes.removed.iter().map(|removed| named("removed", removed)));
    for changed in &changes.changed {
        let settings: Vec<String> = changed.settings.iter().map(ToString::to_string).collect();
        words.push(format!("destination \"{}\" changed: {}", changed.new.name, settings.join("; ")));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Surroundings};

    fn config(directory: &std::path::Path, text: &str) -> Config {
        let path = directory.join("agent.toml");
        std::fs::write(directory.join("token"), "hush").unwrap();
        std::fs::write(&path, text).unwrap();
        let surroundings =
            Surroundings { host_name: "node-7".to_owned(), cpus: 2, credentials: None, lookup: |_| None };
        Config::load(&path, &surroundings).unwrap().0
    }

    #[test]
    fn a_reload_says_what_changed_and_what_waits_and_shows_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let hec = |name: &str, more: &str| {
            format!(
                "[[destination]]\nname = \"{name}\"\ntype = \"splunk_hec\"\nurl = \"https://{name}.example\"\n\
                 token = {{ file = \"token\" }}\n{more}\n"
            )
        };
        let old = config(directory.path(), &format!("{}{}", hec("a", ""), hec("b", "")));
        let text = format!(
            "[agent]\nnode = \"x\"\n[buffer]\nwindow = \"10m\"\n{}{}",
            hec("a", "ordered = true"),
            hec("c", "")
        );
        let new = config(directory.path(), &text);
        let changes = Config::differences(&old, &new);
        let reloaded = Reloaded::done(&changes);
        assert!(reloaded.is_done);
        let words = reloaded.changes.join("\n");
        for part in [
            "buffer.window from 30m to 10m",
            "\"c\" added",
            "\"b\" removed",
            "\"a\" changed: ",
            "ordered from false to true",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert!(reloaded.needs_restart.unwrap().contains("agent.node from node-7 to x"));
        let OwnEvent::ConfigChanged(event) = event(&changes, "signal SIGHUP", "file", "agent.toml") else { panic!() };
        assert_eq!(event.before["buffer.window"], "30m");
        assert_eq!(event.after["destination \"b\""], Value::Null);
        assert_eq!(event.after["destination \"a\" ordered"], "true");
        assert!(!format!("{event:?}").contains("hush"));
    }
}
