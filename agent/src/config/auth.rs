//! How a destination lets us in, as it is configured.

use super::Secret;

/// One way of being let in. A destination may want several at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A header with a secret in it.
    Header {
        /// The key that names the secret.
        key: &'static str,
        /// The header's name.
        name: String,
        /// What stands before the secret, such as `Bearer `.
        prefix: &'static str,
        /// The secret.
        secret: Secret,
    },
}

impl Auth {
    /// A header with a secret in it.
    pub(super) fn header(key: &'static str, name: &str, prefix: &'static str, secret: Secret) -> Auth {
        Auth::Header { key, name: name.to_owned(), prefix, secret }
    }

    /// Every secret with the key that names it.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, &Secret)> {
        match self {
            Auth::Header { key, secret, .. } => vec![(key, secret)],
        }
    }
}
