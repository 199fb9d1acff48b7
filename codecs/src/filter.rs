//! Which events of its tenants a destination wants.
//!
//! An event is selected when its category, action and severity are each wanted and neither its user nor its path is
//! excluded. Values are compared without JSON escapes, so escapes cannot smuggle an event past a filter.
//!
//! | list | an entry is | compared with | empty list |
//! |------|-------------|---------------|------------|
//! | categories | a name, `*` inside it allowed | `category` | all |
//! | actions | a name, `*` inside it allowed: `file.*` | `action` | all |
//! | severities | a severity or its synonym | `severity`; an unknown one always passes | all |
//! | excluded users | a name, `*` inside it allowed: `svc_*` | `user_id`, `service_account`, and `user_email` in any ASCII case | none |
//! | excluded paths | a glob: `*` and `?` stop at `/`, `**` does not, `[…]` and `{a,b}` work | the whole `resource_path` | none |
//!
//! An event without a user is not excluded by its user, one without a path not by its path. Paths are compared as they
//! stand: case matters, and `/tmp/**` is everything below `/tmp` but not `/tmp` itself.

use std::cmp::Ordering;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::event::{Event, Field};
use crate::hash::Hasher;
use crate::severity::Severity;
use crate::wildcard::{Wildcard, is_wildcard};

/// A filter as it stands in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterSpec {
    /// Categories wanted; empty or `*` for all.
    pub categories: Vec<String>,
    /// Actions wanted; empty or `*` for all.
    pub actions: Vec<String>,
    /// Severities wanted; empty or `*` for all.
    pub severities: Vec<String>,
    /// Users and service accounts not wanted.
    pub excluded_users: Vec<String>,
    /// Paths not wanted.
    pub excluded_paths: Vec<String>,
}

/// A compiled filter. Judging an event allocates nothing after the first few.
///
/// Give each thread its own clone: clones share no scratch space.
#[derive(Clone, Debug)]
pub struct Filter {
    categories: Names,
    actions: Names,
    /// One bit for each severity.
    severities: u8,
    excluded_users: Names,
    excluded_emails: Names,
    excluded_paths: Paths,
    fingerprint: u64,
}

/// What of a filter keeps an event from being selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftOut {
    /// Its severity is not among those wanted.
    Severity,
    /// Its category is not.
    Category,
    /// Its action is not.
    Action,
    /// Its user is excluded.
    User,
    /// Its path is excluded.
    Path,
}

impl LeftOut {
    /// The list of the configuration that does it.
    pub fn list(self) -> &'static str {
        match self {
            LeftOut::Severity => "severities",
            LeftOut::Category => "categories",
            LeftOut::Action => "actions",
            LeftOut::User => "excluded_users",
            LeftOut::Path => "excluded_paths",
        }
    }
}

/// Buffers for unescaping, used again from event to event.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub(crate) text: String,
    /// For a second text beside the first.
    pub(crate) other_text: String,
    lower: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) edits: crate::redact::Edits,
    pub(crate) message: crate::body::Body,
}

/// One entry of a filter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{list}: {problem}")]
pub struct FilterError {
    /// The list's name in the configuration, `excluded_paths` for example.
    pub list: &'static str,
    /// The entry as found, empty when the list as a whole is wrong.
    pub found: String,
    /// What is wrong, in plain words.
    pub problem: String,
}

impl FilterSpec {
    fn lists(&self) -> [(&'static str, &Vec<String>); 5] {
        [
            ("categories", &self.categories),
            ("actions", &self.actions),
            ("severities", &self.severities),
            ("excluded_users", &self.excluded_users),
            ("excluded_paths", &self.excluded_paths),
        ]
    }
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// Every entry that cannot be used, not only the first.
    pub fn compile(spec: &FilterSpec) -> Result<Filter, Vec<FilterError>> {
        let mut problems = Vec::new();
        for (list, entries) in spec.lists() {
            check_sizes(list, entries, &mut problems);
        }
        let severities = severities(&spec.severities, &mut problems);
        let excluded_paths = paths(&spec.excluded_paths, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let lower: Vec<String> = spec.excluded_users.iter().map(|name| name.to_ascii_lowercase()).collect();
        Ok(Filter {
            categories: Names::wanted(&spec.categories),
            actions: Names::wanted(&spec.actions),
            severities,
            excluded_users: Names::of(&spec.excluded_users),
            excluded_emails: Names::of(&lower),
            excluded_paths,
            fingerprint: fingerprint(spec, severities),
        })
    }

    /// Whether the destination wants this event.
    pub fn selects(&self, event: &Event<'_>, scratch: &mut Scratch) -> bool {
        self.leaves_out(event, scratch).is_none()
    }

    /// What keeps this event from being selected: the first of several reasons. `None` when it is selected.
    #[inline]
    pub fn leaves_out(&self, event: &Event<'_>, scratch: &mut Scratch) -> Option<LeftOut> {
        if self.severities & severity_bit(event.severity()) == 0 {
            Some(LeftOut::Severity)
        } else if !self.wants(&self.categories, event, Field::Category, scratch) {
            Some(LeftOut::Category)
        } else if !self.wants(&self.actions, event, Field::Action, scratch) {
            Some(LeftOut::Action)
        } else if self.excludes_user(event, scratch) {
            Some(LeftOut::User)
        } else if self.excludes_path(event, scratch) {
            Some(LeftOut::Path)
        } else {
            None
        }
    }

    /// A hash of what the filter means and of how this version reads it ([`FILTER_CODE_VERSION`]): equal for filters
    /// that differ only in order or repetition.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn wants(&self, names: &Names, event: &Event<'_>, field: Field, scratch: &mut Scratch) -> bool {
        names.is_all || event.meaning(field, &mut scratch.text).is_some_and(|value| names.contains(value))
    }

    fn excludes_user(&self, event: &Event<'_>, scratch: &mut Scratch) -> bool {
        if self.excluded_users.is_empty() {
            return false;
        }
        let mut is_named =
            |field| event.meaning(field, &mut scratch.text).is_some_and(|name| self.excluded_users.contains(name));
        is_named(Field::UserId)
            || is_named(Field::ServiceAccount)
            || event
                .meaning(Field::UserEmail, &mut scratch.text)
                .is_some_and(|email| self.excluded_emails.contains(in_lower_case(email, &mut scratch.lower)))
    }

    fn excludes_path(&self, event: &Event<'_>, scratch: &mut Scratch) -> bool {
        !self.excluded_paths.is_empty()
            && event
                .meaning(Field::ResourcePath, &mut scratch.text)
                .is_some_and(|path| self.excluded_paths.contains(path))
    }
}

/// A list of names: exact ones by length and then by their bytes, as most names differ in length already; the others one
/// by one.
#[derive(Clone, Debug, Default)]
struct Names {
    is_all: bool,
    exact: Vec<String>,
    wildcards: Vec<Wildcard>,
}

impl Names {
    fn wanted(entries: &[String]) -> Names {
        Names { is_all: is_all(entries), ..Names::of(entries) }
    }

    fn of(entries: &[String]) -> Names {
        let (wildcards, mut exact): (Vec<String>, Vec<String>) =
            entries.iter().cloned().partition(|name| is_wildcard(name));
        exact.sort_unstable_by(|one, other| by_length(one.as_bytes(), other.as_bytes()));
        Names { is_all: false, exact, wildcards: wildcards.iter().map(|pattern| Wildcard::new(pattern)).collect() }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    fn contains(&self, name: &[u8]) -> bool {
        self.exact.binary_search_by(|exact| by_length(exact.as_bytes(), name)).is_ok()
            || self.wildcards.iter().any(|wildcard| wildcard.matches(name))
    }
}

/// A list of paths. Most are all that lies below a directory, which takes no pattern language.
#[derive(Clone, Debug, Default)]
struct Paths {
    /// Directories, each with a `/` at its end, at most [`BELOW_MAX`].
    below: Vec<String>,
    globs: Option<GlobSet>,
}

impl Paths {
    fn is_empty(&self) -> bool {
        self.below.is_empty() && self.globs.is_none()
    }

    fn contains(&self, path: &[u8]) -> bool {
        let is_match = |globs: &GlobSet| std::str::from_utf8(path).is_ok_and(|path| globs.is_match(path));
        self.below.iter().any(|directory| path.starts_with(directory.as_bytes()))
            || self.globs.as_ref().is_some_and(is_match)
    }
}

/// Directories that are compared one by one.
const BELOW_MAX: usize = 16;

/// The directory, with its `/`, if a pattern is just everything below one.
fn directory(pattern: &str) -> Option<&str> {
    let directory = pattern.strip_suffix("**")?;
    (directory.ends_with('/') && !directory.contains(['*', '?', '[', ']', '{', '}', '\\'])).then_some(directory)
}

fn by_length(one: &[u8], other: &[u8]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// ASCII letters only, as nothing else in an address has a case that servers agree on.
fn in_lower_case<'s>(text: &[u8], lower: &'s mut Vec<u8>) -> &'s [u8] {
    lower.clear();
    lower.extend_from_slice(text);
    lower.make_ascii_lowercase();
    lower
}

fn is_all(entries: &[String]) -> bool {
    entries.is_empty() || entries.iter().any(|entry| entry == "*")
}

fn check_sizes(list: &'static str, entries: &[String], problems: &mut Vec<FilterError>) {
    if entries.len() > ENTRIES_MAX {
        let problem = format!("{} entries; at most {ENTRIES_MAX} are allowed", entries.len());
        problems.push(FilterError { list, found: String::new(), problem });
    }
    for entry in entries {
        let problem = match entry.len() {
            0 => "an entry is empty".to_owned(),
            1..=ENTRY_BYTES_MAX => continue,
            bytes => format!("an entry has {bytes} bytes; at most {ENTRY_BYTES_MAX} are allowed"),
        };
        problems.push(FilterError { list, found: entry.clone(), problem });
    }
}

fn severities(entries: &[String], problems: &mut Vec<FilterError>) -> u8 {
    if is_all(entries) {
        return u8::MAX;
    }
    let mut wanted = severity_bit(Severity::Unknown);
    for entry in entries {
        let severity = Severity::from_text(entry);
        if severity == Severity::Unknown {
            let problem = format!(
                "`{entry}` is not a severity; known are debug, info, notice (low), warning (medium), error (high), critical"
            );
            problems.push(FilterError { list: "severities", found: entry.clone(), problem });
        }
        wanted |= severity_bit(severity);
    }
    wanted
}

fn severity_bit(severity: Severity) -> u8 {
    1 << severity.code()
}

fn paths(entries: &[String], problems: &mut Vec<FilterError>) -> Paths {
    let mut set = GlobSetBuilder::new();
    let mut below = Vec::new();
    for entry in entries {
        // Many are looked up faster together than one by one.
        if let Some(directory) = directory(entry).filter(|_| below.len() < BELOW_MAX) {
            below.push(directory.to_owned());
            continue;
        }
        match GlobBuilder::new(entry).literal_separator(true).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => {
                let problem = format!("`{entry}` is not a path pattern: {}", error.kind());
                problems.push(FilterError { list: "excluded_paths", found: entry.clone(), problem });
            }
        }
    }
    match set.build() {
        Ok(set) => Paths { below, globs: (!set.is_empty()).then_some(set) },
        Err(error) => {
            let problem = format!("the patterns are too large together: {}", error.kind());
            problems.push(FilterError { list: "excluded_paths", found: String::new(), problem });
            Paths::default()
        }
    }
}

fn fingerprint(spec: &FilterSpec, severities: u8) -> u64 {
    let mut hasher = Hasher::new();
    hasher.write(&FILTER_CODE_VERSION.to_le_bytes());
    hasher.write(&[severities]);
    let wanted = [("categories", &spec.categories), ("actions", &spec.actions)];
    for (list, entries) in wanted {
        let entries = if is_all(entries) { &[][..] } else { entries };
        hasher.write_list(list, entries);
    }
    hasher.write_list("excluded_users", &spec.excluded_users);
    hasher.write_list("excluded_paths", &spec.excluded_paths);
    hasher.finish()
}

/// Goes up when the same specification would select other events than before: streams then start a new epoch.
pub const FILTER_CODE_VERSION: u32 = 1;
/// Entries in one list.
pub const ENTRIES_MAX: usize = 1000;
/// Bytes in one entry.
pub const ENTRY_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_directory_excludes_what_its_pattern_matches(pattern in "/?([a,!. é-]{0,3}/){0,3}\\*\\*", path in "/?([a,!. é\n-]{0,3}/?){0,4}") {
            let glob = GlobBuilder::new(&pattern).literal_separator(true).build().unwrap().compile_matcher();
            if let Some(directory) = directory(&pattern) {
                prop_assert_eq!(path.starts_with(directory), glob.is_match(&path));
            }
        }
    }

    #[test]
    fn the_list_that_leaves_an_event_out_is_named() {
        let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let raw = br#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"C","action":"a","severity":"info","user_id":"u","resource_path":"/tmp/x"}"#;
        let index = crate::index::index(raw).unwrap();
        let event = Event::new(raw, &index);
        let left_out = |spec: FilterSpec| {
            let filter = Filter::compile(&spec).unwrap();
            filter.leaves_out(&event, &mut Scratch::default()).map(LeftOut::list)
        };
        let none = FilterSpec::default();
        assert_eq!(left_out(none.clone()), None);
        assert_eq!(left_out(FilterSpec { severities: list(&["error"]), ..none.clone() }), Some("severities"));
        assert_eq!(left_out(FilterSpec { categories: list(&["D"]), ..none.clone() }), Some("categories"));
        assert_eq!(left_out(FilterSpec { actions: list(&["b*"]), ..none.clone() }), Some("actions"));
        assert_eq!(left_out(FilterSpec { excluded_users: list(&["u"]), ..none.clone() }), Some("excluded_users"));
        assert_eq!(left_out(FilterSpec { excluded_paths: list(&["/tmp/**"]), ..none }), Some("excluded_paths"));
    }

    #[test]
    fn only_a_plain_directory_is_one() {
        assert_eq!(directory("/tmp/**"), Some("/tmp/"));
        assert_eq!(directory("/**"), Some("/"));
        for pattern in
            ["/tmp", "/tmp/", "/tmp/*", "/tmp**", "**", "/t*p/**", "/[t]mp/**", "/{a,b}/**", "/t\\mp/**", "/**/**"]
        {
            assert_eq!(directory(pattern), None, "{pattern}");
        }
    }
}
