//! From a table that names a place to a [`Secret`] that was read.

use super::Surroundings;
use super::keys::SECRET_ADVICE;
use super::problems::About;
use super::secret::{Secret, SecretSource};
use super::walk::Section;

/// A secret from the place that a table names, read.
pub(crate) fn secret(section: &Section<'_>, name: &str, surroundings: &Surroundings) -> Option<Secret> {
    let problems = section.problems();
    if section.written_text(name).is_some() {
        let what = format!("`{name}` stands in the configuration itself, where it would be copied and shown");
        problems.error(section.place(name), what, SECRET_ADVICE);
        return None;
    }
    if !section.has(name) {
        problems.error(section.place(name), format!("`{name}` is missing"), SECRET_ADVICE);
        return None;
    }
    let inner = section.table(name);
    let file = inner.optional("file", Section::path)?.map(SecretSource::File);
    let env = inner.optional("env", Section::text)?.map(SecretSource::Env);
    let credential = match inner.optional("credential", Section::text)? {
        Some(name) => Some(credential(&inner, name, surroundings)?),
        None => None,
    };
    let mut sources = [file, env, credential].into_iter().flatten();
    let (Some(source), None) = (sources.next(), sources.next()) else {
        // A table of another shape was reported when it was opened.
        if section.is_table(name) {
            problems.error(section.place(name), format!("`{name}` names no place, or more than one"), SECRET_ADVICE);
        }
        return None;
    };
    let place = section.place(name);
    match &source {
        SecretSource::Env(variable) => {
            let what =
                format!("`{name}` comes from the environment variable {variable}, which other processes may see");
            problems.warn(place.clone(), what, "prefer { file = \"/path\" } or { credential = \"name\" }");
        }
        _ if source.is_open_to_all() => {
            let what = format!("every user of this machine can read the secret's {source}");
            problems.warn(place.clone(), what, "take their permission away: chmod 0640, or 0600");
        }
        _ => {}
    }
    let read = match source.path().and_then(|path| section.given(path)) {
        Some(value) => Secret::given(source.clone(), value),
        None => Secret::read(source.clone(), surroundings.lookup),
    };
    match read {
        Ok(secret) if secret.fits_a_header() => Some(secret),
        Ok(_) => {
            let what = format!("`{name}` holds spaces or characters outside ASCII, which no token has");
            problems.error_about(About::SecretMalformed, place, what, format!("check the {source}"));
            None
        }
        Err(error) => {
            problems.error_about(error.about(), place, with_cause(&error), format!("check the {source}"));
            None
        }
    }
}

fn credential(section: &Section<'_>, name: String, surroundings: &Surroundings) -> Option<SecretSource> {
    let Some(directory) = &surroundings.credentials else {
        let what = format!("the credential {name} was not passed: $CREDENTIALS_DIRECTORY is not set");
        let advice = format!("add LoadCredential={name}:/path to the unit, or write {{ file = \"/path\" }}");
        section.problems().error_about(About::SecretNotPassed, section.place("credential"), what, advice);
        return None;
    };
    Some(SecretSource::Credential { path: directory.join(&name), name })
}

/// An error with its cause, for people.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
