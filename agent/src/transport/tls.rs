//! TLS for outgoing connections. The only file that knows rustls.
//!
//! TLS 1.2 or later, ring's algorithms named here and not taken from a process-wide default, the server's certificate
//! always verified. What goes wrong is said in words an administrator can act on.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use rustls::crypto::ring;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::config::TlsSettings;
use crate::runtime::Stream;
use crate::transport::{FailureKind, Stage, TransportError, kind_of};

/// TLS over a runtime's stream.
pub(super) type TlsStream = futures_rustls::client::TlsStream<Box<dyn Stream>>;

/// Settings made usable: whom to trust, what to show, which name to ask for. Shared by all connections of a
/// destination, so that sessions are resumed.
pub struct TlsClient {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
}

/// TLS settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct TlsError {
    /// What is wrong.
    pub what: String,
    /// The setting or the file.
    pub place: String,
    /// What to do.
    pub advice: String,
}

impl TlsClient {
    /// Reads the files that the settings name, or the system's trusted authorities.
    ///
    /// # Errors
    /// When a file cannot be read or holds nothing usable, or when nobody would be trusted.
    pub fn new(settings: &TlsSettings) -> Result<TlsClient, TlsError> {
        let roots = match &settings.ca_file {
            Some(path) => roots_in(path)?,
            None => system_roots()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| problem(error, "the TLS library", "report this as a bug"))?
            .with_root_certificates(roots);
        let config = match &settings.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates_in(certificate)?;
                let secret = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| problem(error, key.display(), "put a private key in PEM there"))?;
                builder.with_client_auth_cert(chain, secret).map_err(|error| {
                    let place = format!("{} and {}", certificate.display(), key.display());
                    problem(error, place, "use the private key that belongs to the certificate")
                })?
            }
        };
        Ok(TlsClient { config: Arc::new(config), server_name: settings.server_name.clone() })
    }
}

fn roots_in(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(path)? {
        roots
            .add(certificate)
            .map_err(|error| problem(error, path.display(), "put certificates of authorities in PEM there"))?;
    }
    Ok(roots)
}

fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let advice = "put certificates in PEM there";
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<CertificateDer<'static>> = found.map_err(|error| problem(error, path.display(), advice))?;
    if found.is_empty() {
        return Err(problem("there is no certificate in the file", path.display(), advice));
    }
    Ok(found)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Among the hundred or so that systems ship there may be one that is malformed; the others still count.
    let (added, _) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        let why = loaded.errors.first().map_or_else(|| "none were found".to_owned(), ToString::to_string);
        let what = format!("this system has no trusted certificate authorities: {why}");
        return Err(problem(what, "the system's certificate store", "install ca-certificates, or set tls.ca_file"));
    }
    Ok(roots)
}

fn problem(what: impl ToString, place: impl ToString, advice: &str) -> TlsError {
    TlsError { what: what.to_string(), place: place.to_string(), advice: advice.to_owned() }
}

/// Agrees on TLS with `host` over `stream`.
pub(super) async fn shake_hands(
    client: &TlsClient,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<TlsStream, TransportError> {
    let host = client.server_name.as_deref().unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| {
        let what = format!("`{host}` is not a name that a certificate can have; set tls.server_name");
        TransportError::new(Stage::Tls, FailureKind::Untrusted, what)
    })?;
    let connector = TlsConnector::from(Arc::clone(&client.config));
    connector.connect(name, stream).await.map_err(|error| in_plain_words(host, &error, Stage::Tls))
}

/// The stream that carries the TLS.
pub(super) fn carrier(stream: &TlsStream) -> &dyn Stream {
    stream.get_ref().0.as_ref()
}

/// The certificates the server showed, its own first, in DER.
pub(super) fn peer_certificates(stream: &TlsStream) -> Vec<Vec<u8>> {
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    shown.iter().map(|certificate| certificate.to_vec()).collect()
}

/// What an I/O error means when TLS is behind it. In TLS 1.3 a server refuses our certificate only after the
/// handshake, so this is asked about later errors too.
pub(super) fn in_plain_words(host: &str, error: &io::Error, stage: Stage) -> TransportError {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        if error.kind() == io::ErrorKind::UnexpectedEof && stage == Stage::Tls {
            let what = format!("{host} closed the connection during the TLS handshake; does it speak TLS on this port?");
            return TransportError::new(stage, FailureKind::Closed, what);
        }
        return TransportError::new(stage, kind_of(error), format!("TLS with {host} failed: {error}"));
    };
    let (kind, what) = match cause {
        Error::InvalidCertificate(why) => (FailureKind::Untrusted, about_certificate(host, why)),
        Error::AlertReceived(alert) => (FailureKind::Untrusted, about_alert(host, *alert)),
        Error::NoCertificatesPresented => {
            (FailureKind::Untrusted, format!("{host} showed no certificate; configure one there"))
        }
        Error::PeerIncompatible(why) => {
            let what = format!("{host} and this agent have no TLS version or cipher in common ({why:?}); allow TLS 1.2 or later there");
            (FailureKind::Untrusted, what)
        }
        Error::InvalidMessage(_) => {
            (FailureKind::Untrusted, format!("{host} does not speak TLS on this port; check the port or use the plain transport"))
        }
        other => (FailureKind::Protocol, format!("TLS with {host} failed: {other}")),
    };
    TransportError::new(stage, kind, what)
}

fn about_certificate(host: &str, why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate of {host} has expired; renew it there (or check this machine's clock)")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {host} is not valid yet; compare the clocks of both machines")
        }
        CertificateError::UnknownIssuer => {
            format!("the certificate of {host} is from an authority that is not trusted here; name its CA certificate in tls.ca_file")
        }
        CertificateError::NotValidForName => {
            format!("the certificate of {host} is for another name; connect by that name, or set tls.server_name to it")
        }
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "the certificate of {host} is for {}; connect by that name, or set tls.server_name to it",
            if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") }
        ),
        CertificateError::Revoked => format!("the certificate of {host} has been revoked; replace it there"),
        other => format!("the certificate of {host} cannot be accepted: {other}"),
    }
}

fn about_alert(host: &str, alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            format!("{host} demands a client certificate; set tls.cert_file and tls.key_file")
        }
        AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            format!("{host} does not accept this agent's certificate ({alert:?}); have it signed by an authority trusted there")
        }
        AlertDescription::CertificateExpired => {
            format!("{host} says that this agent's certificate has expired; renew tls.cert_file")
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            format!("{host} refuses the TLS handshake ({alert:?}); allow TLS 1.2 or later there, or show a client certificate")
        }
        AlertDescription::UnrecognisedName => {
            format!("{host} does not know that name; set tls.server_name to the name it expects")
        }
        other => format!("{host} refuses TLS: {other:?}"),
    }
}
