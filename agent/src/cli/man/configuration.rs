//! `scaidrive-siem(5)`: every key of the configuration, from the table that the parser reads by.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::{begun, entry, pages_named};
use crate::cli::CONFIG_DEFAULT;
use crate::config::{DESTINATION, KINDS, Key, KeyDefault, ROOT, SECRET, Shape};

/// The page.
pub(super) fn page() -> String {
    let mut roff = begun("5", "the configuration of the agent that ships ScaiDrive audit events to SIEMs");
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([italic(CONFIG_DEFAULT)]);
    roff.control("br", []);
    roff.text([italic("/etc/scaidrive-siem/destinations.d/*.toml")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(ABOUT)]);
    for table in ROOT {
        let Shape::Table(keys) = table.shape else { continue };
        roff.control("SH", [format!("[{}]", table.name).to_uppercase().as_str()]);
        roff.text([roman(table.about)]);
        each(&mut roff, table.name, keys, Changes::Named);
    }
    roff.control("SH", ["[[DESTINATION]]"]);
    roff.text([roman(DESTINATIONS)]);
    each(&mut roff, "", DESTINATION, Changes::ByReload);
    for kind in KINDS {
        roff.control("SS", [format!("type {}", kind.name).as_str()]);
        each(&mut roff, "", kind.keys, Changes::ByReload);
    }
    roff.control("SH", ["SECRETS"]);
    roff.text([roman(SECRETS)]);
    each(&mut roff, "", SECRET, Changes::ByReload);
    roff.control("SH", ["SEE ALSO"]);
    roff.text(pages_named(&[("scaidrive-siem", 1), ("scaidrive-siem-check", 1), ("scaidrive-siem", 8)]));
    roff.render()
}

/// When a change takes effect.
#[derive(Clone, Copy)]
enum Changes {
    /// Said of each key.
    Named,
    /// With a reload, all of them.
    ByReload,
}

/// Each key below `path`, and those of the tables among them.
fn each(roff: &mut Roff, path: &str, keys: &[Key], changes: Changes) {
    for key in keys {
        let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        match key.shape {
            Shape::Table(keys) => each(roff, &path, keys, changes),
            Shape::Tables(keys) => {
                entry(roff, vec![bold(path.as_str())], &about(key, changes));
                each(roff, &format!("{path}[]"), keys, changes);
            }
            _ => entry(roff, heading(&path, key), &about(key, changes)),
        }
    }
}

/// `buffer.window = "30m"`.
fn heading(path: &str, key: &Key) -> Vec<Inline> {
    let value = match key.default {
        KeyDefault::Required => " (must be set)".to_owned(),
        KeyDefault::Absent => String::new(),
        KeyDefault::Text(text) => format!(" = \"{text}\""),
        KeyDefault::Count(number) => format!(" = {number}"),
        KeyDefault::Flag(flag) => format!(" = {flag}"),
        KeyDefault::Texts(texts) => format!(" = {texts:?}"),
    };
    vec![bold(path), roman(value)]
}

fn about(key: &Key, changes: Changes) -> String {
    let allowed = match key.shape {
        Shape::Secret => "write where it is kept, see SECRETS".to_owned(),
        shape => shape.allowed(),
    };
    let mut about = format!("{} {}.", key.about, sentence(&allowed));
    match changes {
        Changes::ByReload => {}
        Changes::Named if key.restart => about.push_str(" A change takes effect with the next start."),
        Changes::Named => about.push_str(" A change takes effect with a reload."),
    }
    about
}

/// With a capital at its beginning.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

const ABOUT: &str = "The agent reads agent.toml and, in the order of their names, the files *.toml in destinations.d beside \
it, which hold destinations alone. The syntax is TOML. What is shown behind a key is what is taken when it is absent. \
`scaidrive-siem check` says what a configuration means, or everything that is wrong with it: unknown keys are errors too. \
`scaidrive-siem schema` prints the same table as a JSON Schema, for editors. SIGHUP has the agent read the configuration \
again, whole or not at all.";

const DESTINATIONS: &str = "A place that events go to; there may be any number of them. A reload adds, changes and removes \
them; those that are as they were keep their connections. These keys are common to all types:";

const SECRETS: &str = "A secret is never written into the configuration itself, but the place where it is kept: a table with \
one of these keys. It is read again when its file changes.";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(keys: &[Key], found: &mut Vec<String>) {
        for key in keys {
            match key.shape {
                Shape::Table(keys) => names(keys, found),
                Shape::Tables(keys) => {
                    found.push(key.name.to_owned());
                    names(keys, found);
                }
                Shape::Destinations => {}
                _ => found.push(key.name.to_owned()),
            }
        }
    }

    #[test]
    fn every_key_is_on_the_page_with_what_it_takes() {
        let page = page();
        let mut found = Vec::new();
        let tables = [ROOT, DESTINATION, SECRET].into_iter().chain(KINDS.iter().map(|kind| kind.keys));
        tables.for_each(|keys| names(keys, &mut found));
        assert!(found.len() > 100, "{}", found.len());
        let entries = page.matches("\n.TP\n").count();
        assert_eq!(entries, found.len(), "an entry for each key");
        for name in found {
            let is_there = page.lines().any(|line| line.starts_with("\\fB") && line.contains(&name));
            assert!(is_there, "{name}");
        }
    }

    #[test]
    fn a_key_says_its_default_what_it_takes_and_when_a_change_takes_effect() {
        let page = page().replace("\\-", "-");
        let window = "\\fBbuffer.window\\fR = \"30m\"\nHow long an event stays, delivered or not, while there is room. Write a \
                      whole number and ms, s, m, h or d in quotes, from \"1s\" to \"30d\". A change takes effect with a reload.\n";
        assert!(page.contains(window), "{page}");
        assert!(page.contains("\\fBname\\fR (must be set)\n"));
        assert!(page.contains("\\fBtenants\\fR = [\"*\"]\n"));
    }
}
