//! Destinations that were made over the API: `<state_dir>/destinations/*.toml`, one in each file, written by the agent alone.
//!
//! The format is that of `destinations.d`, and the rules are the same. A file is named after the `id` of its destination (its
//! name where none is written), so what a cursor belongs to is known although the file can't be read. Secrets lie in files of
//! their own, `<state_dir>/secrets/<id>.<key>.<number>`, which the destination's file refers to.
//!
//! Always true: nothing in these files keeps the agent from starting. One that can't be used is a [`Misconfigured`], told as
//! a warning, and the others are used; where the operator's files have the same name or id, theirs counts.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::destination::{Destination, DestinationId, bounds};
use super::files::{Source, read_source, toml_files, tree};
use super::keys::DESTINATION_FILE;
use super::parse::{DESTINATIONS_MAX, destinations_of};
use super::parse_destination;
use super::problems::{Place, Problem, Problems, Weight};
use super::secret::Given;
use super::walk::Section;
use super::{Config, Surroundings};

/// Where a destination is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file of the operator, which the agent only reads.
    File(PathBuf),
    /// Over the API, in a file of the agent that is named after this.
    Managed(String),
}

/// A destination of the API that can't be used as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misconfigured {
    /// What its file is named after: its name, or the one it had when it was made.
    pub key: String,
    /// What is wrong with it, as warnings.
    pub problems: Vec<Problem>,
}

impl Misconfigured {
    /// What its cursors and streams are kept under.
    #[must_use]
    pub fn id(&self) -> DestinationId {
        DestinationId::from_text(&self.key)
    }
}

/// A file of the API's destinations: what it is named after, and what is in it.
#[derive(Clone)]
pub(crate) struct ManagedFile {
    /// The `id` of its destination, or its name.
    pub(crate) key: String,
    pub(crate) path: PathBuf,
    /// What can't be read has no source, and problems.
    pub(crate) source: Option<Source>,
    problems: Vec<Problem>,
}

impl ManagedFile {
    /// One that is not on the disk yet, with the secrets that came with it.
    pub(crate) fn made(state_dir: &Path, key: &str, text: &str, given: &Given) -> ManagedFile {
        let path = folder(state_dir).join(format!("{key}.toml"));
        let mut source = Source::new(path.clone(), text.to_owned());
        source.given.clone_from(given);
        ManagedFile { key: key.to_owned(), path, source: Some(source), problems: Vec::new() }
    }

    /// What is in it; nothing where it can't be read.
    pub(crate) fn text(&self) -> &str {
        self.source.as_ref().map_or("", |source| source.text.as_str())
    }

    fn read(path: PathBuf) -> ManagedFile {
        let key = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let problems = Problems::default();
        let source = read_source(&path, &problems);
        ManagedFile { key, path, source, problems: problems.into_vec() }
    }
}

/// Where the API's destinations are.
pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("destinations")
}

/// Where their secrets are.
pub(crate) fn secrets_folder(state_dir: &Path) -> PathBuf {
    state_dir.join("secrets")
}

/// Reads the files below `state_dir`. Blocks on the disk.
///
/// # Errors
/// What keeps the folder from being read: then nobody knows which destinations there are.
pub(crate) fn files(state_dir: &Path) -> Result<Vec<ManagedFile>, Vec<Problem>> {
    let problems = Problems::default();
    let paths = toml_files(&folder(state_dir), &problems);
    let problems = problems.into_vec();
    if problems.is_empty() { Ok(paths.into_iter().map(ManagedFile::read).collect()) } else { Err(problems) }
}

/// Adds the destinations of `files` to those of a configuration.
pub(crate) fn add(config: &mut Config, files: &[ManagedFile], surroundings: &Surroundings, problems: &Problems) {
    let mut taken = Taken::by(config);
    let bounds = bounds(Some(&config.admin), Some(&config.ingest), config.agent.allow_targets.clone());
    for file in files {
        match destination(file, &taken, &config.agent.node, surroundings, problems) {
            Ok(destination) => {
                taken.note(&destination);
                config.origins.insert(destination.id, Origin::Managed(file.key.clone()));
                config.destinations.push(Arc::new(destination.within(&bounds)));
            }
            Err(found) => {
                let found: Vec<Problem> = found.into_iter().map(as_warning).collect();
                found.iter().for_each(|problem| problems.note(problem.clone()));
                config.misconfigured.push(Misconfigured { key: file.key.clone(), problems: found });
            }
        }
    }
}

/// Names and ids that are given away.
#[derive(Default)]
struct Taken {
    names: HashSet<String>,
    ids: HashSet<DestinationId>,
}

impl Taken {
    fn by(config: &Config) -> Taken {
        let mut taken = Taken::default();
        config.destinations.iter().for_each(|destination| taken.note(destination));
        taken
    }

    fn note(&mut self, destination: &Destination) {
        self.names.insert(destination.name.clone());
        self.ids.insert(destination.id);
    }
}

/// The destination in a file, or all that is wrong with it.
fn destination(
    file: &ManagedFile,
    taken: &Taken,
    node: &str,
    surroundings: &Surroundings,
    problems: &Problems,
) -> Result<Destination, Vec<Problem>> {
    let Some(source) = &file.source else { return Err(file.problems.clone()) };
    let own = Problems::default();
    let destination = the_only_one(file, source, taken, node, surroundings, &own);
    let found = own.into_vec();
    match destination {
        Some(destination) if found.iter().all(|problem| problem.weight == Weight::Warning) => {
            found.into_iter().for_each(|problem| problems.note(problem));
            Ok(destination)
        }
        _ => Err(found),
    }
}

fn the_only_one(
    file: &ManagedFile,
    source: &Source,
    taken: &Taken,
    node: &str,
    surroundings: &Surroundings,
    problems: &Problems,
) -> Option<Destination> {
    let tree = tree(source, problems)?;
    let sections = destinations_of(&Section::root(source, tree.get_ref(), DESTINATION_FILE, problems));
    let [section] = sections.as_slice() else {
        let what = format!("there are {} destinations in the file, not one", sections.len());
        problems.error(Place::file(&source.path), what, "make them over the API, which writes a file for each");
        return None;
    };
    let (named, identified) = (section.place("name"), section.place("id"));
    let destination = parse_destination::destination(section.clone(), node, surroundings)?;
    if destination.id != DestinationId::from_text(&file.key) {
        let what = format!("the destination has another id than its file is named after, {:?}", file.key);
        problems.error(identified, what, "write the file's name as its id");
        return None;
    }
    if taken.names.contains(&destination.name) {
        let what = format!("there is another destination named {:?}", destination.name);
        problems.error(named, what, "give one of them another name");
        return None;
    }
    if taken.ids.contains(&destination.id) {
        let what = format!("{:?} has the same id as another destination", destination.name);
        problems.error(identified, what, "give one of them another id: cursors are kept under it");
        return None;
    }
    if taken.names.len() >= DESTINATIONS_MAX {
        let what = format!("this is destination number {}", DESTINATIONS_MAX + 1);
        problems.error(named, what, format!("configure at most {DESTINATIONS_MAX}"));
        return None;
    }
    Some(destination)
}

pub(super) fn as_warning(problem: Problem) -> Problem {
    Problem { weight: Weight::Warning, ..problem }
}
