//! TLS for outgoing connections, and in `server.rs` for those to us. Only this file and the one under it know rustls.
//!
//! TLS 1.2 or later, ring's algorithms named here and not taken from a process-wide default, the server's certificate
//! always verified: by the authorities trusted, by its fingerprint, or by both. What goes wrong is said in words an
//! administrator can act on.

mod fault;
mod pinned;
mod server;
mod witness;

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, OtherError, ProtocolVersion, RootCertStore};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

pub use self::fault::TlsFault;
use self::pinned::Pinned;
pub use self::server::TlsServer;
pub use self::witness::Witness;
use self::witness::{Witnessed, WitnessedIdentity};
use crate::config::{TlsSettings, TlsVersion};
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
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(settings, &provider)?;
        Ok(TlsClient {
            config: Arc::new(config(settings, provider, verifier)?),
            server_name: settings.server_name.clone(),
        })
    }

    /// The same, and what the other side shows and asks for in handshakes is kept, also where they fail.
    ///
    /// # Errors
    /// As [`TlsClient::new`].
    pub fn witnessed(settings: &TlsSettings) -> Result<(TlsClient, Arc<Witness>), TlsError> {
        let (provider, witness) = (Arc::new(ring::default_provider()), Arc::new(Witness::default()));
        let verifier = Witnessed { inner: verifier(settings, &provider)?, witness: Arc::clone(&witness) };
        let mut config = config(settings, provider, Arc::new(verifier))?;
        let inner = Arc::clone(&config.client_auth_cert_resolver);
        config.client_auth_cert_resolver = Arc::new(WitnessedIdentity { inner, witness: Arc::clone(&witness) });
        Ok((TlsClient { config: Arc::new(config), server_name: settings.server_name.clone() }, witness))
    }
}

/// What is set, with `verifier` to say whether a server is the right one.
fn config(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, TlsError> {
    let versions = match settings.min_version {
        TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| problem(error, "the TLS library", "report this as a bug"))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = &settings.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates_in(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| problem(error, key.display(), "put a private key in PEM there"))?;
    builder.with_client_auth_cert(chain, secret).map_err(|error| {
        let place = format!("{} and {}", certificate.display(), key.display());
        problem(error, place, "use the private key that belongs to the certificate")
    })
}

/// Who says whether a server is the right one: authorities, fingerprints, or both.
fn verifier(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let own = match (&settings.ca, &settings.ca_file) {
        (Some(given), _) => Some((given.certificates().to_vec(), "tls.ca".to_owned())),
        (None, Some(path)) => Some((certificates_in(path)?, path.display().to_string())),
        (None, None) => None,
    };
    let authorities = match own {
        Some((trusted, place)) => Some(by_authorities(roots_of(trusted, &place)?, provider, &place)?),
        None if settings.fingerprints.is_empty() => {
            Some(by_authorities(system_roots()?, provider, &"the system's certificate store")?)
        }
        None => None,
    };
    match authorities {
        Some(authorities) if settings.fingerprints.is_empty() => Ok(authorities),
        authorities => {
            let algorithms = provider.signature_verification_algorithms;
            Ok(Arc::new(Pinned { fingerprints: settings.fingerprints.clone(), authorities, algorithms }))
        }
    }
}

fn by_authorities(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
    place: &dyn std::fmt::Display,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| problem(error, place, "put certificates of authorities in PEM there"))
}

fn roots_of(trusted: Vec<CertificateDer<'static>>, place: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots
            .add(certificate)
            .map_err(|error| problem(error, place, "put certificates of authorities in PEM there"))?;
    }
    Ok(roots)
}

/// Whether a certificate can be that of an authority to trust.
pub(crate) fn can_be_trusted(certificate: &CertificateDer<'_>) -> bool {
    RootCertStore::empty().add(certificate.clone()).is_ok()
}

fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates(CertificateDer::pem_file_iter(path).and_then(Iterator::collect), &path.display())
}

/// What was read at a place, if there is anything.
fn certificates(
    found: Result<Vec<CertificateDer<'static>>, pem::Error>,
    place: &dyn std::fmt::Display,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let advice = "put certificates in PEM there";
    let found = found.map_err(|error| problem(error, place, advice))?;
    if found.is_empty() {
        return Err(problem("there is no certificate", place, advice));
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
        let error = TransportError::new(Stage::Tls, FailureKind::Untrusted, what);
        TransportError { tls: Some(TlsFault::NameImpossible), ..error }
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

/// The version that was agreed on.
pub(super) fn version(stream: &TlsStream) -> Option<&'static str> {
    match stream.get_ref().1.protocol_version()? {
        ProtocolVersion::TLSv1_2 => Some("TLS 1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLS 1.3"),
        _ => None,
    }
}

/// What an I/O error means when TLS is behind it. In TLS 1.3 a server refuses our certificate only after the
/// handshake, so this is asked about later errors too.
pub(super) fn in_plain_words(host: &str, error: &io::Error, stage: Stage) -> TransportError {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        if error.kind() == io::ErrorKind::UnexpectedEof && stage == Stage::Tls {
            let what =
                format!("{host} closed the connection during the TLS handshake; does it speak TLS on this port?");
            let error = TransportError::new(stage, FailureKind::Closed, what);
            return TransportError { tls: Some(TlsFault::Closed), ..error };
        }
        let tls = (kind_of(error) == FailureKind::Closed && stage == Stage::Tls).then_some(TlsFault::Closed);
        return TransportError {
            tls,
            ..TransportError::new(stage, kind_of(error), format!("TLS with {host} failed: {error}"))
        };
    };
    let (kind, what) = match cause {
        Error::InvalidCertificate(why) => (FailureKind::Untrusted, about_certificate(host, why)),
        Error::AlertReceived(alert) => (FailureKind::Untrusted, about_alert(host, *alert)),
        Error::NoCertificatesPresented => {
            (FailureKind::Untrusted, format!("{host} showed no certificate; configure one there"))
        }
        Error::PeerIncompatible(why) => {
            let what = format!(
                "{host} and this agent have no TLS version or cipher in common ({why:?}); allow TLS 1.2 or later there, and what tls.min_version asks for"
            );
            (FailureKind::Untrusted, what)
        }
        Error::InvalidMessage(_) => (
            FailureKind::Untrusted,
            format!("{host} does not speak TLS on this port; check the port or use the plain transport"),
        ),
        other => (FailureKind::Protocol, format!("TLS with {host} failed: {other}")),
    };
    TransportError { tls: Some(TlsFault::of(cause)), ..TransportError::new(stage, kind, what) }
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
            format!(
                "the certificate of {host} is from an authority that is not trusted here; name its CA certificate in tls.ca_file"
            )
        }
        CertificateError::BadSignature => {
            format!(
                "the certificate of {host} is not signed with the key of the authority it names; bring tls.ca_file up to date"
            )
        }
        CertificateError::NotValidForName => {
            format!("the certificate of {host} is for another name; connect by that name, or set tls.server_name to it")
        }
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "the certificate of {host} is for {}; connect by that name, or set tls.server_name to it",
            if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") }
        ),
        CertificateError::Other(OtherError(why)) => format!("the certificate of {host} {why}"),
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
            format!(
                "{host} does not accept this agent's certificate ({alert:?}); have it signed by an authority trusted there"
            )
        }
        AlertDescription::CertificateExpired => {
            format!("{host} says that this agent's certificate has expired; renew tls.cert_file")
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            format!(
                "{host} refuses the TLS handshake ({alert:?}); allow TLS 1.2 or later there, and what tls.min_version asks for, or show a client certificate"
            )
        }
        AlertDescription::UnrecognisedName => {
            format!("{host} does not know that name; set tls.server_name to the name it expects")
        }
        other => format!("{host} refuses TLS: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Authorities, Fingerprint};
    use crate::runtime::tests::on_each_side;
    use crate::transport::testbed::{Authority, endpoint, read_all, serve_once, serve_tls_once};
    use crate::transport::{Endpoint, connect};
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use rustls::SupportedProtocolVersion;
    use std::io::{Read, Write};

    /// What connecting to a server that shows a certificate for `name`, valid until `last_year`, comes to.
    fn outcome_with(name: &'static str, last_year: i32, is_trusted: bool) -> Vec<Option<TransportError>> {
        on_each_side(move |runtime| async move {
            let (authority, stranger) = (Authority::new(), Authority::named("Stranger"));
            let signer = if is_trusted { &authority } else { &stranger };
            let config = signer.server(&signer.issue(name, last_year), false, &TLS13);
            let (address, server) = serve_tls_once(config, |mut stream| {
                // Fails when the client turns the certificate down.
                let _ = stream.read(&mut [0; 1]);
            });
            let outcome = connect(&runtime, &authority.endpoint(address)).await;
            let error = outcome.as_ref().err().cloned();
            if let Ok(connection) = &outcome {
                assert_eq!(connection.peer_certificates().len(), 1);
            }
            drop(outcome);
            server.join().unwrap();
            error
        })
    }

    fn assert_untrusted(errors: Vec<Option<TransportError>>, word: &str) {
        for error in errors {
            let error = error.expect("the certificate was accepted");
            assert!(error.is_misconfiguration() && error.stage == Stage::Tls, "{error:?}");
            assert!(error.what.contains(word), "{error}");
        }
    }

    #[test]
    fn a_good_certificate_is_accepted() {
        assert!(outcome_with("localhost", 2999, true).iter().all(Option::is_none));
    }

    #[test]
    fn an_expired_certificate_is_named_so() {
        assert_untrusted(outcome_with("localhost", 2021, true), "has expired");
    }

    #[test]
    fn a_certificate_for_another_name_is_named_so() {
        assert_untrusted(outcome_with("elsewhere.example", 2999, true), "elsewhere.example");
    }

    #[test]
    fn a_certificate_of_an_unknown_authority_is_named_so() {
        assert_untrusted(outcome_with("localhost", 2999, false), "not trusted here");
    }

    #[test]
    fn bytes_go_both_ways_in_both_versions() {
        fn check(version: &'static SupportedProtocolVersion) {
            on_each_side(move |runtime| async move {
                let authority = Authority::new();
                let config = authority.server(&authority.issue("localhost", 2999), false, version);
                let (address, server) = serve_tls_once(config, |mut stream| {
                    let mut asked = [0; 4];
                    stream.read_exact(&mut asked).unwrap();
                    stream.write_all(&vec![b'x'; 300_000]).unwrap();
                    stream.conn.send_close_notify();
                    stream.flush().unwrap();
                    asked
                });
                let mut connection = connect(&runtime, &authority.endpoint(address)).await.unwrap();
                connection.write_all(b"ping").await.unwrap();
                connection.flush().await.unwrap();
                let mut answer = Vec::new();
                connection.read_to_end(&mut answer).await.unwrap();
                assert_eq!(answer, vec![b'x'; 300_000]);
                assert_eq!(&server.join().unwrap(), b"ping");
            });
        }
        check(&TLS12);
        check(&TLS13);
    }

    #[test]
    fn an_authority_that_has_changed_its_key_is_named_so() {
        on_each_side(|runtime| async move {
            let (authority, renewed) = (Authority::new(), Authority::new());
            let config = renewed.server(&renewed.issue("localhost", 2999), false, &TLS13);
            let (address, server) = serve_tls_once(config, |mut stream| drop(stream.read(&mut [0; 1])));
            let error = connect(&runtime, &authority.endpoint(address)).await.err().unwrap();
            server.join().unwrap();
            assert!(error.is_misconfiguration() && error.what.contains("up to date"), "{error}");
        });
    }

    #[test]
    fn a_client_certificate_is_shown_and_its_lack_is_named() {
        fn check(version: &'static SupportedProtocolVersion) {
            on_each_side(move |runtime| async move {
                for has_certificate in [true, false] {
                    let authority = Authority::new();
                    let config = authority.server(&authority.issue("localhost", 2999), true, version);
                    let (address, server) = serve_tls_once(config, |mut stream| {
                        let is_welcome = stream.write_all(b"welcome").is_ok();
                        // Closing at once could turn the alert into a reset.
                        let _ = read_all(&mut stream.sock);
                        is_welcome
                    });
                    let own = authority.issue("agent", 2999);
                    let settings = authority.settings(has_certificate.then_some(&own));
                    let tls = Some(Arc::new(TlsClient::new(&settings).unwrap()));
                    let outcome = connect(&runtime, &Endpoint { tls, ..endpoint(address) }).await;
                    // In TLS 1.3 the client is done before the server has looked at its certificate.
                    let outcome = match outcome {
                        Ok(mut connection) => connection
                            .read_exact(&mut [0; 7])
                            .await
                            .map_err(|error| in_plain_words("localhost", &error, Stage::Reply)),
                        Err(error) => Err(error),
                    };
                    assert_eq!(server.join().unwrap(), has_certificate);
                    match outcome {
                        Ok(()) => assert!(has_certificate),
                        Err(error) => {
                            assert!(!has_certificate && error.is_misconfiguration(), "{error:?}");
                            assert!(error.what.contains("client certificate"), "{error}");
                        }
                    }
                }
            });
        }
        check(&TLS12);
        check(&TLS13);
    }

    /// What connecting with `settings` to a server of `authority` comes to.
    fn outcome_of(
        settings: impl Fn(&Authority, &[u8]) -> TlsSettings + Copy + Send + 'static,
        version: &'static SupportedProtocolVersion,
    ) -> Vec<Option<TransportError>> {
        on_each_side(move |runtime| async move {
            let authority = Authority::new();
            // Nothing but its fingerprint speaks for it: another name, and long expired.
            let identity = authority.issue("elsewhere.example", 2021);
            let (address, server) = serve_tls_once(authority.server(&identity, false, version), |mut stream| {
                drop(stream.read(&mut [0; 1]));
            });
            let tls = Some(Arc::new(TlsClient::new(&settings(&authority, &identity.der())).unwrap()));
            let outcome = connect(&runtime, &Endpoint { tls, ..endpoint(address) }).await;
            let error = outcome.err();
            server.join().unwrap();
            error
        })
    }

    fn sha256(der: &[u8]) -> Fingerprint {
        let digest = ::ring::digest::digest(&::ring::digest::SHA256, der);
        Fingerprint::Sha256(digest.as_ref().try_into().unwrap())
    }

    fn pinned(fingerprint: Fingerprint) -> TlsSettings {
        TlsSettings { fingerprints: vec![Fingerprint::Sha256([0; 32]), fingerprint], ..TlsSettings::default() }
    }

    #[test]
    fn a_pinned_certificate_is_accepted_by_its_fingerprint_alone() {
        for version in [&TLS12, &TLS13] {
            let sha1 = |_: &Authority, der: &[u8]| {
                let digest = ::ring::digest::digest(&::ring::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
                pinned(Fingerprint::Sha1(digest.as_ref().try_into().unwrap()))
            };
            assert!(outcome_of(sha1, version).iter().all(Option::is_none));
            let found = outcome_of(|_, der| pinned(sha256(der)), version);
            assert!(found.iter().all(Option::is_none), "{found:?}");
        }
    }

    #[test]
    fn a_certificate_with_another_fingerprint_is_named_with_its_own() {
        let errors = outcome_of(|_, _| pinned(Fingerprint::Sha256([1; 32])), &TLS13);
        assert_untrusted(errors.clone(), "is not one of tls.fingerprints: it is sha-256:");
        assert!(errors.iter().flatten().all(|error| error.what.contains("put that there")));
    }

    #[test]
    fn with_a_ca_file_the_fingerprint_and_the_authority_must_agree() {
        let both = |authority: &Authority, der: &[u8]| TlsSettings {
            fingerprints: vec![sha256(der)],
            ..authority.settings(None)
        };
        assert_untrusted(outcome_of(both, &TLS13), "has expired");
    }

    #[test]
    fn an_authority_is_trusted_as_text_as_it_is_in_a_file() {
        let as_text = |authority: &Authority, _: &[u8]| {
            let settings = authority.settings(None);
            let pem = std::fs::read_to_string(settings.ca_file.unwrap()).unwrap();
            let ca = Authorities::parse(&pem.replace('\n', "\r\n")).unwrap();
            TlsSettings { ca: Some(ca), ca_file: None, ..TlsSettings::default() }
        };
        assert_untrusted(outcome_of(as_text, &TLS13), "has expired");
    }

    #[test]
    fn a_server_that_shows_a_pinned_certificate_without_its_key_is_refused() {
        on_each_side(|runtime| async move {
            let (authority, thief) = (Authority::new(), Authority::new());
            let (identity, other) = (authority.issue("localhost", 2999), thief.issue("localhost", 2999));
            let config = authority.server_with_stolen(&identity, &other);
            let (address, server) = serve_tls_once(config, |mut stream| drop(stream.read(&mut [0; 1])));
            let tls = Some(Arc::new(TlsClient::new(&pinned(sha256(&identity.der()))).unwrap()));
            let error = connect(&runtime, &Endpoint { tls, ..endpoint(address) }).await.err().unwrap();
            server.join().unwrap();
            assert!(error.is_misconfiguration() && error.stage == Stage::Tls, "{error:?}");
        });
    }

    #[test]
    fn an_older_version_than_the_one_set_is_not_spoken() {
        let at_least_13 =
            |_: &Authority, der: &[u8]| TlsSettings { min_version: TlsVersion::Tls13, ..pinned(sha256(der)) };
        assert_untrusted(outcome_of(at_least_13, &TLS12), "tls.min_version");
        assert!(outcome_of(at_least_13, &TLS13).iter().all(Option::is_none));
    }

    #[test]
    fn connectors_7_4_these_alerts_are_misconfigurations_and_say_what_to_do() {
        for (alert, words) in [
            (AlertDescription::CertificateRequired, "set tls.cert_file"),
            (AlertDescription::BadCertificate, "does not accept this agent's certificate"),
            (AlertDescription::UnknownCA, "signed by an authority trusted there"),
            (AlertDescription::HandshakeFailure, "show a client certificate"),
        ] {
            // In TLS 1.3 they come after the handshake.
            for stage in [Stage::Tls, Stage::Write, Stage::Reply] {
                let error = io::Error::new(io::ErrorKind::InvalidData, Error::AlertReceived(alert));
                let error = in_plain_words("siem", &error, stage);
                assert!(error.is_misconfiguration() && error.what.contains(words), "{error:?}");
            }
        }
    }

    #[test]
    fn a_server_without_tls_is_named_so() {
        on_each_side(|runtime| async move {
            let authority = Authority::new();
            let (address, server) = serve_once(|mut socket| {
                socket.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").unwrap();
                let _ = socket.read(&mut [0; 4096]);
            });
            let error = connect(&runtime, &authority.endpoint(address)).await.err().unwrap();
            server.join().unwrap();
            assert!(error.what.contains("does not speak TLS"), "{error}");
        });
    }

    #[test]
    fn unusable_settings_say_what_where_and_what_to_do() {
        let files = tempfile::tempdir().unwrap();
        let empty = files.path().join("empty.pem");
        std::fs::write(&empty, "no certificate\n").unwrap();
        for path in [empty, files.path().join("missing.pem")] {
            let settings = TlsSettings { ca_file: Some(path.clone()), ..TlsSettings::default() };
            let error = TlsClient::new(&settings).err().unwrap();
            assert_eq!(error.place, path.display().to_string());
            assert!(!error.what.is_empty() && error.advice.contains("PEM"));
        }
        let (one, other) = (Authority::new(), Authority::new());
        let certificate = one.settings(Some(&one.issue("agent", 2999))).identity.unwrap().0;
        let key = other.settings(Some(&other.issue("agent", 2999))).identity.unwrap().1;
        let settings = TlsSettings { identity: Some((certificate, key)), ..one.settings(None) };
        let error = TlsClient::new(&settings).err().unwrap();
        assert!(error.advice.contains("belongs to the certificate"), "{error:?}");
    }
}
