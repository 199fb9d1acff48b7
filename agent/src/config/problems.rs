//! What is wrong with a configuration, said so that it can be put right without reading anything else.
//!
//! Problems are collected, never thrown: whoever reads a setting reports here and goes on with the next one.
//! A problem names the key and never shows the value of a key that holds a secret. Of other keys it shows no value that is
//! longer than [`SHOWN_MAX`]: that may be a secret which was pasted into the wrong place.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

/// One thing to put right (or, as a warning, to think about) in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the agent refuses to start with it.
    pub weight: Weight,
    /// What was found, in plain words, without a full stop.
    pub what: String,
    /// Where it stands.
    pub place: Place,
    /// What to do about it: what is allowed, with a suggestion where one is near.
    pub advice: String,
    /// What it is about, for those who answer by it.
    pub about: About,
}

/// What a [`Problem`] is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum About {
    /// What is written.
    #[default]
    Setting,
    /// A secret's file is not there.
    SecretMissing,
    /// It can't be read.
    SecretUnreadable,
    /// The environment variable with a secret is not set, or the credential was not passed.
    SecretNotPassed,
    /// There is nothing in it.
    SecretEmpty,
    /// What is in it can't be a secret.
    SecretMalformed,
    /// A file with certificates or a key can't be used.
    Certificates,
}

/// Whether a [`Problem`] keeps the agent from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The configuration can't be used.
    Error,
    /// It can be used, and somebody should know.
    Warning,
}

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named on the command line or found beside it.
    pub file: PathBuf,
    /// The line, from 1; `None` when the problem is the file itself.
    pub line: Option<usize>,
    /// The key with the tables it is in, like `buffer.window` or `destination "splunk" batch.linger`; empty for the file itself.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{} in ", self.key)?;
        }
        write!(f, "{}", self.file.display())?;
        match self.line {
            Some(line) => write!(f, ", line {line}"),
            None => Ok(()),
        }
    }
}

impl Place {
    /// A file as a whole.
    pub(crate) fn file(path: &Path) -> Place {
        Place { file: path.to_owned(), line: None, key: String::new() }
    }
}

/// Where problems are gathered while a configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Notes what makes the configuration unusable.
    pub(crate) fn error(&self, place: Place, what: impl Into<String>, advice: impl Into<String>) {
        self.error_about(About::Setting, place, what, advice);
    }

    /// The same, where it is about more than what is written.
    pub(crate) fn error_about(&self, about: About, place: Place, what: impl Into<String>, advice: impl Into<String>) {
        self.note(Problem { weight: Weight::Error, what: what.into(), place, advice: advice.into(), about });
    }

    /// Notes what somebody should know.
    pub(crate) fn warn(&self, place: Place, what: impl Into<String>, advice: impl Into<String>) {
        let (what, advice) = (what.into(), advice.into());
        self.note(Problem { weight: Weight::Warning, what, place, advice, about: About::Setting });
    }

    /// Everything noted, in the order of files and lines.
    pub(crate) fn into_vec(self) -> Vec<Problem> {
        let mut all = self.0.into_inner();
        all.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
        all
    }

    /// Notes what was found elsewhere.
    pub(crate) fn note(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }
}

/// A value as a problem shows it: in quotes on one line, or where it is too long only how long it is.
pub(crate) fn shown(text: &str) -> String {
    match text.chars().count() {
        ..=SHOWN_MAX => format!("{text:?}"),
        more => format!("a text of {more} characters"),
    }
}

/// What somebody else says of a value, without what it quotes at length.
pub(crate) fn briefly(words: &str) -> String {
    let quoted_by = |words: &str, quote: char| -> String {
        let parts: Vec<&str> = words.split(quote).collect();
        let is_inside = |at: usize| at % 2 == 1 && at + 1 < parts.len();
        let brief = parts.iter().enumerate().map(|(at, part)| match part.chars().count() {
            more if is_inside(at) && more > SHOWN_MAX => "…",
            _ => part,
        });
        brief.collect::<Vec<_>>().join(&quote.to_string())
    };
    quoted_by(&quoted_by(words, '`'), '"')
}

/// The one of `known` that `found` was most likely meant to be, if any is near enough.
pub(crate) fn nearest<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let found = plain(found);
    let allowed = found.len().div_ceil(3).min(SLIPS_MAX);
    let distance = |candidate: &str| {
        let candidate = plain(candidate);
        let is_part = found.len() >= PART_MIN && candidate.windows(found.len()).any(|part| part == found);
        if is_part { 1 } else { slips(&found, &candidate) }
    };
    known
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` and `c`: a list as people write it.
pub(crate) fn listed<'k>(names: impl IntoIterator<Item = &'k str>, last: &str) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
    }
}

/// Names are compared without case and with one kind of separator: `Max-Events` is `max_events`.
fn plain(name: &str) -> Vec<char> {
    let same = |c: char| {
        if c == '-' || c == ' ' { '_' } else { c.to_ascii_lowercase() }
    };
    name.chars().take(NAME_COMPARED_MAX).map(same).collect()
}

/// How many slips of the fingers lie between two names: a letter missed, added, replaced, or two swapped.
fn slips(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// The longest value shown, in characters: keys and tokens are longer, and what people mistype is shorter.
const SHOWN_MAX: usize = 24;
/// A suggestion further away than this would only confuse.
const SLIPS_MAX: usize = 3;
/// A name of this many letters that is part of another was probably meant to be that one.
const PART_MIN: usize = 4;
/// Longer names are compared by their start only: no key is nearly this long.
const NAME_COMPARED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_finds_the_key_that_was_meant() {
        let known = ["window", "max_size", "segment_size", "on_full"];
        for (found, meant) in [
            ("widnow", Some("window")),
            ("max-size", Some("max_size")),
            ("MaxSize", Some("max_size")),
            ("segmentsize", Some("segment_size")),
            ("onfull", Some("on_full")),
            ("colour", None),
            ("size", Some("max_size")),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(found, known), meant, "{found}");
        }
    }

    #[test]
    fn what_may_be_a_secret_in_the_wrong_place_is_not_quoted() {
        assert_eq!(shown("5 parsecs\n"), "\"5 parsecs\\n\"");
        assert_eq!(shown(&"ä".repeat(24)), format!("\"{}\"", "ä".repeat(24)));
        assert_eq!(shown(&"x".repeat(25)), "a text of 25 characters");
        let guid = "11111111-2222-3333-4444-555555555555";
        assert_eq!(
            briefly(&format!("`{guid}` is not a stream: `Custom-`, or \"{guid}\"")),
            "`…` is not a stream: `Custom-`, or \"…\""
        );
        for whole in
            ["", "it isn't `short", "the field \"a\" has \"b\"; a key is not empty, and neither part may have `,`"]
        {
            assert_eq!(briefly(whole), whole);
        }
    }

    #[test]
    fn lists_read_like_a_sentence() {
        assert_eq!(listed([], "or"), "");
        assert_eq!(listed(["a"], "or"), "`a`");
        assert_eq!(listed(["a", "b", "c"], "and"), "`a`, `b` and `c`");
    }
}
