//! Settings that are to be tested: those of a configuration, or a text that is in no configuration yet. What keeps them from
//! being used is the first stage of a test like any other.

use std::path::Path;

use super::Question;
use super::cause::{self, Cause};
use super::report::{Failure, Finding, Names, Report, StageReport, StageState};
use super::stage::Stage;
use crate::config::{About, Config, Problem, Surroundings, Weight};

/// Why there is nothing to test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The configuration says too little to find a destination in it.
    Configuration(Vec<Problem>),
    /// It has no destination of this name; these it has.
    Unknown(Vec<String>),
    /// The destination's own settings can't be used, which is what the test found.
    Destination(Box<Report>),
}

/// The destination called `name` in the configuration at `path`. What is wrong with others is left alone. Blocks on the disk.
///
/// # Errors
/// See [`Unusable`].
pub fn saved(path: &Path, name: &str, who: &str, surroundings: &Surroundings) -> Result<Question, Unusable> {
    let (config, problems) = Config::load_what_is_usable(path, surroundings);
    pick(config, problems, Some(name), who, surroundings)
}

/// The only destination in `text`, or the one called `name`, where `text` is what a file of destinations holds. Paths in it
/// start at the directory of `path`. Node and tenant are those of the configuration `beside`, if it can be read. Blocks on the
/// disk.
///
/// # Errors
/// See [`Unusable`].
pub fn unsaved(
    text: String,
    path: &Path,
    name: Option<&str>,
    beside: &Path,
    who: &str,
    surroundings: &Surroundings,
) -> Result<Question, Unusable> {
    let (config, problems) = Config::unsaved(text, path, surroundings);
    let mut question = pick(config, problems, name, who, surroundings)?;
    if let (Some(config), _) = Config::load_what_is_usable(beside, surroundings) {
        question.node = config.agent.node;
        question.tenant = config.agent.tenant;
    }
    Ok(question)
}

fn pick(
    config: Option<Config>,
    problems: Vec<Problem>,
    name: Option<&str>,
    who: &str,
    surroundings: &Surroundings,
) -> Result<Question, Unusable> {
    let destinations = config.as_ref().map(|config| config.destinations.as_slice()).unwrap_or_default();
    let found = match name {
        Some(name) => destinations.iter().find(|known| known.name == name),
        None if destinations.len() > 1 => {
            return Err(Unusable::Unknown(destinations.iter().map(|known| known.name.clone()).collect()));
        }
        None => destinations.first(),
    };
    let name = name.or(found.map(|destination| destination.name.as_str()));
    let errors = || problems.iter().filter(|problem| problem.weight == Weight::Error);
    if let Some(problem) = errors().find(|problem| is_about(problem, name)) {
        return Err(Unusable::Destination(Box::new(of_problem(problem, name))));
    }
    match (&config, found) {
        (Some(config), Some(destination)) => Ok(Question {
            destination: destination.clone(),
            node: config.agent.node.clone(),
            tenant: config.agent.tenant.clone(),
            who: who.to_owned(),
            lookup: surroundings.lookup,
        }),
        (Some(_), None) if errors().next().is_none() => {
            Err(Unusable::Unknown(destinations.iter().map(|known| known.name.clone()).collect()))
        }
        _ => Err(Unusable::Configuration(problems)),
    }
}

/// Whether a problem stands in the destination's own table.
fn is_about(problem: &Problem, name: Option<&str>) -> bool {
    match name {
        Some(name) => problem.place.key.starts_with(&format!("destination {name:?}")),
        None => problem.place.key.starts_with("destination "),
    }
}

/// A test that came no further than the settings.
fn of_problem(problem: &Problem, name: Option<&str>) -> Report {
    let key = problem.place.key.rsplit(' ').next().unwrap_or_default().to_owned();
    let finding = Finding::of(cause_of(problem.about)).saying(format!("{}, at {}", problem.what, problem.place));
    let mut failure = Failure::new(finding, &Names { secret: key, ..Names::default() });
    if problem.about == About::Setting {
        // Whoever found it knows best what to do about it.
        failure.cause.clone_from(&problem.what);
        failure.remedy.clone_from(&problem.advice);
    }
    let stages = Stage::ALL.map(|stage| {
        let state = if stage == Stage::Settings { StageState::Failed } else { StageState::Skipped };
        StageReport { stage, state, took_ms: None, note: None }
    });
    Report {
        destination: name.or_else(|| named_in(&problem.place.key)).unwrap_or_default().to_owned(),
        kind: String::new(),
        address: String::new(),
        ok: false,
        stages: stages.into(),
        failure: Some(failure),
        warnings: Vec::new(),
        event: None,
        took_ms: 0,
    }
}

/// The destination's name in the place of a problem: `destination "NAME" …`.
fn named_in(key: &str) -> Option<&str> {
    key.strip_prefix("destination \"")?.split('"').next()
}

fn cause_of(about: About) -> &'static Cause {
    match about {
        About::Setting => &cause::SETTINGS_UNUSABLE,
        About::SecretMissing => &cause::SECRET_MISSING,
        About::SecretUnreadable => &cause::SECRET_UNREADABLE,
        About::SecretNotPassed => &cause::SECRET_VARIABLE_UNSET,
        About::SecretEmpty => &cause::SECRET_EMPTY,
        About::SecretMalformed => &cause::SECRET_MALFORMED,
        About::Certificates => &cause::CERTIFICATE_FILE_UNUSABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: &str = "[[destination]]\nname = \"good\"\ntype = \"https\"\nurl = \"https://siem.example\"\n\
                          [[destination]]\nname = \"bad\"\ntype = \"splunk_hec\"\nurl = \"https://siem.example\"\n\
                          token = { file = \"nowhere\" }\n";

    fn here() -> Surroundings {
        Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None }
    }

    #[test]
    fn a_destination_that_is_well_is_found_whatever_is_wrong_with_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        std::fs::write(&path, format!("[agent]\nnode = \"n7\"\n{BROKEN}")).unwrap();
        let question = saved(&path, "good", "me", &here()).unwrap();
        assert_eq!((question.destination.name.as_str(), question.node.as_str()), ("good", "n7"));
        let Unusable::Destination(report) = saved(&path, "bad", "me", &here()).unwrap_err() else { panic!() };
        let failure = report.failure.unwrap();
        assert_eq!((failure.stage, failure.code), (Stage::Settings, "secret_missing"));
        assert!(failure.cause.contains("token") && failure.said.unwrap().contains("nowhere"), "{}", failure.cause);
        let Unusable::Configuration(problems) = saved(&path, "gone", "me", &here()).unwrap_err() else { panic!() };
        assert!(!problems.is_empty());
    }

    #[test]
    fn an_unsaved_text_needs_no_configuration_and_a_name_only_where_it_holds_several() {
        let nowhere = Path::new("/nonexistent/agent.toml");
        let test = |text: &str, name| unsaved(text.to_owned(), Path::new("new.toml"), name, nowhere, "me", &here());
        let one = "[[destination]]\nname = \"new\"\ntype = \"syslog\"\nhost = \"siem.example\"\n";
        assert_eq!(test(one, None).unwrap().destination.name, "new");
        let two = format!("{one}[[destination]]\nname = \"other\"\ntype = \"syslog\"\nhost = \"siem.example\"\n");
        assert_eq!(test(&two, Some("other")).unwrap().destination.name, "other");
        assert_eq!(test(&two, None).unwrap_err(), Unusable::Unknown(vec!["new".into(), "other".into()]));
        let mistyped = one.replace("host", "hots");
        let Unusable::Destination(report) = test(&mistyped, None).unwrap_err() else { panic!() };
        let failure = report.failure.clone().unwrap();
        assert_eq!((failure.code, report.destination.as_str()), ("settings_unusable", "new"));
        assert!(failure.cause.contains("host") && failure.remedy.contains("host"), "{failure:?}");
    }
}
