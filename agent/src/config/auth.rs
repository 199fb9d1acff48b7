//! How a destination lets us in, as it is configured. What is made of it is in [`crate::credentials`].

use std::path::PathBuf;

use scaidrive_codecs::oauth::{ClientAuth, Cloud, Identity};

use super::{HttpUrl, Secret};

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
    /// User and password (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// An address that is secret itself, whole.
    SecretUrl(Secret),
    /// A token of an OAuth 2.0 server (RFC 6749, section 4.4).
    OAuth(OAuth),
    /// A token of Entra ID for Azure Monitor.
    Entra(Entra),
    /// A signature with the key of a Log Analytics workspace.
    SharedKey {
        /// The workspace's id.
        workspace: String,
        /// One of its two keys.
        key: Secret,
    },
    /// A signature of the body with each of these: two while a secret is being replaced.
    Signature(Vec<Secret>),
    /// A signature with AWS keys (Signature Version 4).
    Aws(Aws),
}

/// A client of an OAuth 2.0 server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth {
    /// Where tokens are asked for.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// What shows it.
    pub client_secret: Secret,
    /// How it is shown.
    pub client_auth: ClientAuth,
    /// What for, if that is to be said.
    pub scope: Option<String>,
    /// For whom, where the server wants to know.
    pub audience: Option<String>,
}

/// An identity of Entra ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entra {
    /// Which cloud.
    pub cloud: Cloud,
    /// Where tokens are asked for, if not where this cloud has them.
    pub authority: Option<HttpUrl>,
    /// Who asks.
    pub identity: EntraIdentity,
}

/// Who asks Entra ID for a token, and how that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntraIdentity {
    /// An application with a secret.
    Secret {
        /// Its tenant.
        tenant: String,
        /// Its id.
        client_id: String,
        /// Its secret.
        secret: Secret,
    },
    /// An application with a certificate.
    Certificate {
        /// Its tenant.
        tenant: String,
        /// Its id.
        client_id: String,
        /// The certificate, in PEM.
        certificate: PathBuf,
        /// Its private key, in PEM.
        key: PathBuf,
    },
    /// An application that trusts another issuer's tokens.
    Workload {
        /// Its tenant.
        tenant: String,
        /// Its id.
        client_id: String,
        /// Where the other issuer's token is, rotated by others.
        token_file: PathBuf,
    },
    /// The machine itself.
    Managed(Identity),
}

/// What AWS requests are signed for, and with which keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aws {
    /// The region.
    pub region: String,
    /// The service: `es` for domains, `aoss` for Serverless.
    pub service: String,
    /// The keys.
    pub source: AwsSource,
}

/// Where AWS keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsSource {
    /// They are named in the configuration.
    Keys {
        /// The part that may be seen.
        access_key_id: String,
        /// The part that signs.
        secret_access_key: Secret,
        /// Temporary keys have one.
        session_token: Option<Secret>,
    },
    /// From where this process runs: environment, web identity, container, machine.
    Surroundings,
}

impl Auth {
    /// A header with a secret in it.
    pub(super) fn header(key: &'static str, name: &str, prefix: &'static str, secret: Secret) -> Auth {
        Auth::Header { key, name: name.to_owned(), prefix, secret }
    }

    /// The header that is ours to set, where it is one.
    pub(super) fn header_name(&self) -> Option<&str> {
        match self {
            Auth::Header { name, .. } => Some(name),
            Auth::Basic { .. } | Auth::OAuth(_) => Some("Authorization"),
            _ => None,
        }
    }

    /// Whether it shows the same with every request, until the secret changes.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Auth::Header { .. } | Auth::Basic { .. } | Auth::SecretUrl(_))
    }

    /// Every secret with the key that names it.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, &Secret)> {
        match self {
            Auth::Header { key, secret, .. } => vec![(key, secret)],
            Auth::Basic { password, .. } => vec![("password", password)],
            Auth::SecretUrl(url) => vec![("secret_url", url)],
            Auth::OAuth(oauth) => vec![("oauth.client_secret", &oauth.client_secret)],
            Auth::Entra(Entra { identity: EntraIdentity::Secret { secret, .. }, .. }) => {
                vec![("client_secret", secret)]
            }
            Auth::Entra(_) => Vec::new(),
            Auth::SharedKey { key, .. } => vec![("workspace_key", key)],
            Auth::Signature(secrets) => ["signing_secret", "signing_secret_next"].into_iter().zip(secrets).collect(),
            Auth::Aws(Aws { source: AwsSource::Keys { secret_access_key, session_token, .. }, .. }) => {
                let token = session_token.iter().map(|token| ("aws.session_token", token));
                std::iter::once(("aws.secret_access_key", secret_access_key)).chain(token).collect()
            }
            Auth::Aws(_) => Vec::new(),
        }
    }

    /// The same, to be read again.
    pub(crate) fn secrets_mut(&mut self) -> Vec<&mut Secret> {
        match self {
            Auth::Header { secret, .. } => vec![secret],
            Auth::Basic { password, .. } => vec![password],
            Auth::SecretUrl(url) => vec![url],
            Auth::OAuth(oauth) => vec![&mut oauth.client_secret],
            Auth::Entra(Entra { identity: EntraIdentity::Secret { secret, .. }, .. }) => vec![secret],
            Auth::Entra(_) => Vec::new(),
            Auth::SharedKey { key, .. } => vec![key],
            Auth::Signature(secrets) => secrets.iter_mut().collect(),
            Auth::Aws(Aws { source: AwsSource::Keys { secret_access_key, session_token, .. }, .. }) => {
                std::iter::once(secret_access_key).chain(session_token).collect()
            }
            Auth::Aws(_) => Vec::new(),
        }
    }
}

impl Entra {
    /// Where an application of `tenant` asks for tokens.
    #[must_use]
    pub fn token_url(&self, tenant: &str) -> String {
        match &self.authority {
            None => self.cloud.token_url(tenant),
            Some(authority) => format!("{authority}/{tenant}/oauth2/v2.0/token"),
        }
    }
}
