//! What must never be shown: tokens and passwords, and where they come from.
//!
//! A secret stands in a file, in an environment variable or in a systemd credential, never in the configuration
//! itself. It remembers its source, so that it can be read again when a destination refuses it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::problems::About;

/// Secrets that were given over the API, by the paths of the files they go into.
pub(crate) type Given = BTreeMap<PathBuf, Zeroizing<String>>;

/// A secret and where it came from. `Debug` and `Display` print `***`; its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    source: SecretSource,
    value: Zeroizing<String>,
}

impl Secret {
    /// Reads a secret from its source: the text without its trailing line break. Blocks on the disk.
    ///
    /// # Errors
    /// [`SecretError`] when the source can't be read or holds nothing that can be sent as a secret.
    pub fn read(source: SecretSource, lookup: fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
        let text = match &source {
            SecretSource::File(path) => read_file(path)?,
            SecretSource::Credential { path, .. } => read_file(path)?,
            SecretSource::Env(name) => {
                Zeroizing::new(lookup(name).ok_or_else(|| SecretError::NoVariable(name.clone()))?)
            }
        };
        Secret::given(source, &text)
    }

    /// A secret that is known although it is not in its place yet.
    ///
    /// # Errors
    /// [`SecretError`] when it can't be sent as a secret.
    pub(crate) fn given(source: SecretSource, text: &str) -> Result<Secret, SecretError> {
        let value = Zeroizing::new(usable(text)?.to_owned());
        Ok(Secret { source, value })
    }

    /// Reads it again from where it came from, as after a rotation. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Secret::read`]; the old value stays with `self`.
    pub fn read_again(&self) -> Result<Secret, SecretError> {
        Secret::read(self.source.clone(), |name| std::env::var(name).ok())
    }

    /// The secret itself, for the bytes that go to the destination and for nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.value
    }

    /// Whether it can stand in an HTTP header as it is: printable ASCII without spaces.
    #[must_use]
    pub fn fits_a_header(&self) -> bool {
        self.value.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Where it came from, which may be shown.
    #[must_use]
    pub fn source(&self) -> &SecretSource {
        &self.source
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that holds nothing else.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// A systemd credential (`LoadCredential=`), with the path it has under `$CREDENTIALS_DIRECTORY`.
    Credential {
        /// Name of the credential.
        name: String,
        /// Where systemd has put it.
        path: PathBuf,
    },
}

impl SecretSource {
    /// The file it is in, if it is in one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            SecretSource::File(path) | SecretSource::Credential { path, .. } => Some(path),
            SecretSource::Env(_) => None,
        }
    }

    /// Whether every user of this machine may read the file; `false` where that can't be told.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        match self {
            SecretSource::File(path) => fs::metadata(path).is_ok_and(|facts| facts.mode() & 0o004 != 0),
            SecretSource::Env(_) | SecretSource::Credential { .. } => false,
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::File(path) => write!(f, "file {}", path.display()),
            SecretSource::Env(name) => write!(f, "environment variable {name}"),
            SecretSource::Credential { name, .. } => write!(f, "credential {name}"),
        }
    }
}

/// Why a secret can't be had. Never holds any of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file is missing or may not be read.
    #[error("the secret's file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The environment variable is not set (or not UTF-8).
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    /// Nothing in it but, perhaps, a line break.
    #[error("the secret is empty")]
    Empty,
    /// A tab, a line break or the like in the middle: it would break out of a header.
    #[error("the secret holds control characters or more than one line")]
    ControlCharacters,
    /// More than a secret ever needs.
    #[error("the secret is longer than {SECRET_MAX} bytes")]
    TooLong,
    /// Not text at all.
    #[error("the secret is not UTF-8 text")]
    NotText,
}

impl SecretError {
    /// What a problem with it is about.
    pub(super) fn about(&self) -> About {
        match self {
            SecretError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => About::SecretMissing,
            SecretError::Read { .. } => About::SecretUnreadable,
            SecretError::NoVariable(_) => About::SecretNotPassed,
            SecretError::Empty => About::SecretEmpty,
            SecretError::ControlCharacters | SecretError::TooLong | SecretError::NotText => About::SecretMalformed,
        }
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let failed = |source| SecretError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    // Of its full size from the beginning, so that growing leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_MAX + 4));
    file.take(SECRET_MAX as u64 + 3).read_to_end(&mut bytes).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn usable(text: &str) -> Result<&str, SecretError> {
    let value = text.strip_suffix('\n').unwrap_or(text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.trim().is_empty() {
        return Err(SecretError::Empty);
    }
    if value.len() > SECRET_MAX {
        return Err(SecretError::TooLong);
    }
    if value.chars().any(char::is_control) {
        return Err(SecretError::ControlCharacters);
    }
    Ok(value)
}

/// Longest secret, in bytes: four times a usual JSON Web Token.
pub const SECRET_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("from-the-environment".to_owned()),
            "EMPTY" => Some(" \n".to_owned()),
            "TWO_LINES" => Some("a\nb".to_owned()),
            "LONG" => Some("x".repeat(SECRET_MAX + 1)),
            _ => None,
        }
    }

    fn from_env(name: &str) -> Result<Secret, SecretError> {
        Secret::read(SecretSource::Env(name.to_owned()), lookup)
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = from_env("TOKEN").unwrap();
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(secret.reveal(), "from-the-environment");
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused() {
        assert!(matches!(from_env("EMPTY"), Err(SecretError::Empty)));
        assert!(matches!(from_env("TWO_LINES"), Err(SecretError::ControlCharacters)));
        assert!(matches!(from_env("LONG"), Err(SecretError::TooLong)));
        assert!(matches!(from_env("MISSING"), Err(SecretError::NoVariable(_))));
    }

    #[test]
    fn a_rotated_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "first\n").unwrap();
        let secret = Secret::read(SecretSource::File(path.clone()), lookup).unwrap();
        assert_eq!(secret.reveal(), "first");
        fs::write(&path, "second\r\n").unwrap();
        let again = secret.read_again().unwrap();
        assert_eq!(again.reveal(), "second");
        assert_ne!(secret, again);
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(secret.read_again(), Err(SecretError::NotText)));
        fs::remove_file(&path).unwrap();
        assert!(matches!(secret.read_again(), Err(SecretError::Read { .. })));
    }

    #[test]
    fn an_endless_file_is_not_read_to_its_end() {
        let source = SecretSource::File(PathBuf::from("/dev/zero"));
        assert!(matches!(Secret::read(source, lookup), Err(SecretError::TooLong)));
    }
}
