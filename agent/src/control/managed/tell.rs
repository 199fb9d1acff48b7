//! What is answered about a change, and why one is refused.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Refusal;
use crate::config::{Origin, Problem as Found};
use crate::control::http::Problem;

/// What came of a change, or would come of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// Names of destinations that are new.
    pub created: Vec<String>,
    /// Names of those that are otherwise now.
    pub changed: Vec<String>,
    /// Names of those that are gone.
    pub deleted: Vec<String>,
    /// What somebody should know about them.
    pub warnings: Vec<Error>,
    /// The tag of what was changed.
    #[serde(skip)]
    pub tag: Option<String>,
}

/// One thing that is wrong with what was sent, or worth knowing about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Error {
    /// Which destination, where that is known.
    pub destination: Option<String>,
    /// The key with the tables it is in: `batch.linger`.
    pub key: String,
    /// What was found.
    pub what: String,
    /// What to do about it.
    #[serde(rename = "do")]
    pub advice: String,
}

impl Error {
    /// A problem of the parser without the file that it read.
    pub(in crate::control) fn of(found: &Found) -> Error {
        let (destination, key) = split(&found.place.key);
        Error { destination, key, what: found.what.clone(), advice: found.advice.clone() }
    }
}

/// How a destination is configured, for those who may change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Editable {
    /// Where it is configured.
    pub origin: OriginTold,
    /// What to send back, changed, to change it; `null` for one of the operator's files.
    #[serde(default)]
    pub settings_json: Option<Value>,
    /// The keys of its secrets, which are never shown.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Why it can't be used, if it can't.
    #[serde(default)]
    pub problems: Vec<Error>,
}

/// Where a destination is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OriginTold {
    /// In a file of the operator, which is changed there alone.
    File {
        /// The file; `null` for those who see some tenants only.
        path: Option<String>,
    },
    /// Here.
    Managed,
}

impl OriginTold {
    /// `shows_paths` is whether somebody may know what files the machine has.
    pub(in crate::control) fn of(origin: Option<&Origin>, shows_paths: bool) -> OriginTold {
        match origin {
            Some(Origin::File(path)) => OriginTold::File { path: shows_paths.then(|| path.display().to_string()) },
            Some(Origin::Managed(_)) | None => OriginTold::Managed,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::Unknown(unknown) => Problem::from(unknown),
            Refusal::Operators(Some(path)) => {
                let detail = format!("it belongs to the file {}", path.display());
                Problem::new(StatusCode::CONFLICT, detail)
                    .advise("change it in that file, and reload the configuration")
            }
            Refusal::Operators(None) => {
                let detail = "it belongs to a file of the agent's machine".to_owned();
                Problem::new(StatusCode::CONFLICT, detail).advise("ask whoever administers that machine to change it")
            }
            Refusal::Scoped => {
                let detail = "the whole set is for those who administer all tenants".to_owned();
                Problem::new(StatusCode::FORBIDDEN, detail)
                    .advise("make, change and delete your destinations one by one")
            }
            Refusal::Invalid(found) => Problem::unusable(&found),
        }
    }
}

/// The destination and the key in the place of a problem: `destination "NAME" KEY`, or `destination number N KEY`.
fn split(place: &str) -> (Option<String>, String) {
    let Some(rest) = place.strip_prefix("destination ") else { return (None, place.to_owned()) };
    if let Some(quoted) = rest.strip_prefix('"')
        && let Some((name, key)) = quoted.split_once("\" ")
    {
        return (Some(name.to_owned()).filter(|name| !name.is_empty()), key.to_owned());
    }
    let key = rest.strip_prefix("number ").and_then(|rest| rest.split_once(' ')).map_or(rest, |(_, key)| key);
    (None, key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_problem_is_a_destination_and_a_key() {
        for (place, destination, key) in [
            ("destination \"a\" batch.linger", Some("a"), "batch.linger"),
            ("destination \"a\" secret_headers number 1 value", Some("a"), "secret_headers number 1 value"),
            ("destination number 2 name", None, "name"),
            ("destination \"\" name", None, "name"),
            ("destination", None, "destination"),
            ("", None, ""),
        ] {
            assert_eq!(split(place), (destination.map(str::to_owned), key.to_owned()), "{place}");
        }
    }
}
