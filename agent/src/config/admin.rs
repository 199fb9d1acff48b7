//! How the agent is asked and controlled: what `[admin]` becomes.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::secret::Secret;
use crate::time::Millis;

/// How the agent is asked and controlled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where the page, the API, the metrics and the health checks are; loopback, or there is `tls`.
    pub listen: SocketAddr,
    /// The socket of the command line; fits into a socket address.
    pub socket: PathBuf,
    /// What the address shows; plain HTTP without it.
    pub tls: Option<ServerTls>,
    /// Host names it answers to, beside `localhost` and addresses; in lower case.
    pub hosts: Vec<String>,
    /// What everything on the address lies below: nothing, or `/` and segments of letters, digits, `.`, `_` and `-`.
    pub base_path: String,
    /// Who may show the page in a frame, as a source list of a content security policy; nobody when empty.
    pub frame_ancestors: Vec<String>,
    /// Whether the metrics and the status ask for a token also of those who show none.
    pub metrics_need_token: bool,
    /// A proxy that says who asks.
    pub proxy: Option<TrustedProxy>,
}

/// A server's certificate and its private key, in PEM; both could be read when the configuration was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate with its chain.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// A proxy that says in a signed header who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxy {
    /// What its signatures are checked with, and thereby the only algorithm that is taken.
    pub key: ProxyKey,
    /// The header's name, in lower case.
    pub header: String,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be or contain.
    pub audience: String,
    /// How far ahead `exp` may lie: whoever gets hold of a header can show it for as long.
    pub max_life: Millis,
    /// The addresses that the header is taken from; any when empty.
    pub from: Vec<IpAddr>,
}

/// A key that fixes the algorithm (RFC 8725, section 3.1): a token can't choose another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyKey {
    /// HS256: the proxy has the same secret, of at least [`SHARED_KEY_MIN`] bytes.
    Shared(Secret),
    /// EdDSA: a public key of Ed25519.
    Ed25519 {
        /// Where it came from.
        file: PathBuf,
        /// The point, 32 bytes.
        key: Vec<u8>,
    },
    /// ES256: a public key on the curve P-256.
    P256 {
        /// Where it came from.
        file: PathBuf,
        /// The point, uncompressed, 65 bytes.
        key: Vec<u8>,
    },
}

impl ProxyKey {
    /// The secret, where it is one.
    pub(super) fn secret(&self) -> Option<&Secret> {
        match self {
            ProxyKey::Shared(secret) => Some(secret),
            ProxyKey::Ed25519 { .. } | ProxyKey::P256 { .. } => None,
        }
    }

    /// The file of the public key, where it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            ProxyKey::Shared(_) => None,
            ProxyKey::Ed25519 { file, .. } | ProxyKey::P256 { file, .. } => Some(file),
        }
    }
}

/// A key for HMAC has at least as many bytes as the hash (RFC 7518, section 3.2).
pub(super) const SHARED_KEY_MIN: usize = 32;
