//! Which events a destination gets, read by itself: for trying it before it is saved.

use std::path::PathBuf;

use scaidrive_codecs::{Filter, Redaction, Scope};
use serde_json::Value;

use super::destination::Destination;
use super::files::{Source, tree};
use super::keys::SELECTION;
use super::parse_destination::{filter, redacted, redaction, scope};
use super::problems::{Place, Problem, Problems};
use super::walk::Section;

/// Which events a destination gets, and what of them it does not.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Whose events, as written.
    pub tenants: Vec<String>,
    /// The same, compiled.
    pub scope: Scope,
    /// Which of them.
    pub filter: Filter,
    /// What is hidden of those.
    pub redaction: Redaction,
}

impl Selection {
    /// That of a destination.
    pub fn of(destination: &Destination) -> Selection {
        Selection {
            tenants: destination.tenants.clone(),
            scope: destination.scope.clone(),
            filter: destination.filter.clone(),
            redaction: destination.redact.redaction.clone(),
        }
    }

    /// From an object with the keys `tenants`, `filter` and `redact` of a destination, each as in a file. Values that are to
    /// be hashed are hashed with a key of no secrecy: nobody may have a file read by asking for a preview.
    ///
    /// # Errors
    /// What a file with these keys would be refused for.
    pub fn read(written: &Value) -> Result<Selection, Vec<Problem>> {
        let problems = Problems::default();
        let whole = Place { file: PathBuf::from(REQUEST), line: None, key: String::new() };
        let text = match toml::to_string(written) {
            Ok(text) if written.is_object() => text,
            _ => {
                let what = "what is to be tried is no object of settings, or has a null in it";
                problems.error(
                    whole,
                    what,
                    "send tenants, filter and redact as in a file, and leave out what is not set",
                );
                return Err(problems.into_vec());
            }
        };
        let source = Source::new(PathBuf::from(REQUEST), text);
        let selection = tree(&source, &problems)
            .and_then(|tree| selection(&Section::root(&source, tree.get_ref(), SELECTION, &problems)));
        match (selection, problems.into_vec()) {
            (Some(selection), found) if found.is_empty() => Ok(selection),
            (_, found) => Err(found),
        }
    }
}

fn selection(section: &Section<'_>) -> Option<Selection> {
    let scope = scope(section);
    let filter = filter(&section.table("filter"));
    let hidden = section.table("redact");
    if hidden.has("key") {
        let advice = "take it out; values are hashed with a key made up for the preview";
        hidden.problems().error(hidden.place("key"), "`key` is not read for a preview", advice);
    }
    let redaction = redacted(&hidden)
        .and_then(|(spec, places)| redaction(&hidden, &spec, (!spec.hash.is_empty()).then_some(PREVIEW_KEY), &places));
    let ((tenants, scope), (_, filter)) = (scope?, filter?);
    Some(Selection { tenants, scope, filter, redaction: redaction? })
}

/// What problems name as their file.
const REQUEST: &str = "the request";
/// Stands in for the secret one.
const PREVIEW_KEY: &[u8] = b"the key of a preview hides nothing";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(written: &Value) -> Vec<(String, String)> {
        let found = Selection::read(written).unwrap_err();
        found.into_iter().map(|problem| (problem.place.key, problem.what)).collect()
    }

    #[test]
    fn what_is_tried_is_read_as_a_file_would_be() {
        let written = json!({
            "tenants": ["acme"], "filter": {"categories": ["SECURITY"], "excluded_paths": ["/tmp/**"]},
            "redact": {"mask": ["ip"], "hash": ["user_id"]},
        });
        let selection = Selection::read(&written).unwrap();
        assert_eq!((selection.tenants, selection.scope.only_tenant()), (vec!["acme".to_owned()], Some("acme")));
        assert!(!selection.redaction.is_empty());
        let everything = Selection::read(&json!({})).unwrap();
        assert!(everything.scope.includes("anybody") && everything.redaction.is_empty());
    }

    #[test]
    fn what_is_wrong_with_it_is_told_all_at_once_in_the_words_of_the_file() {
        let written = json!({"tenants": ["a*"], "filter": {"severities": ["loud"], "excluded_pats": []}});
        let found = problems(&written);
        assert!(found.iter().any(|(key, _)| key == "tenants"), "{found:?}");
        assert!(
            found.iter().any(|(key, what)| key == "filter.severities" && what.contains("`loud` is not a severity"))
        );
        assert!(found.iter().any(|(_, what)| what == "`excluded_pats` is not a key that is known here"), "{found:?}");
    }

    #[test]
    fn no_preview_reads_a_file_and_nothing_but_settings_is_taken() {
        let secret = json!({"redact": {"hash": ["ip"], "key": {"file": "/etc/shadow"}}});
        assert_eq!(problems(&secret), [("redact.key".to_owned(), "`key` is not read for a preview".to_owned())]);
        for wrong in [json!([]), json!("x"), json!({"tenants": null})] {
            assert_eq!(problems(&wrong).len(), 1, "{wrong}");
        }
    }
}
