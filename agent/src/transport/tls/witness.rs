//! Who was there when hands were shaken: what the server showed, and whether it asked who we are, also where the handshake
//! came to nothing.
//!
//! A witness changes nothing: what it watches decides as if nobody looked on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// What was seen of the latest handshake.
#[derive(Debug, Default)]
pub struct Witness {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    chain: Vec<Vec<u8>>,
    was_asked: bool,
}

impl Witness {
    /// The certificates that the server showed, its own first, in DER; none before it showed any.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.seen().chain.clone()
    }

    /// Whether the server asked for a certificate of ours.
    pub fn was_asked(&self) -> bool {
        self.seen().was_asked
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // No code that can panic runs under this lock, so what it guards is whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A judge of servers with a witness beside it.
#[derive(Debug)]
pub(super) struct Witnessed {
    pub(super) inner: Arc<dyn ServerCertVerifier>,
    pub(super) witness: Arc<Witness>,
}

impl ServerCertVerifier for Witnessed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.witness.seen().chain = [end_entity].into_iter().chain(intermediates).map(|shown| shown.to_vec()).collect();
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// What chooses our certificate, with a witness beside it.
#[derive(Debug)]
pub(super) struct WitnessedIdentity {
    pub(super) inner: Arc<dyn ResolvesClientCert>,
    pub(super) witness: Arc<Witness>,
}

impl ResolvesClientCert for WitnessedIdentity {
    fn resolve(&self, root_hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.witness.seen().was_asked = true;
        self.inner.resolve(root_hints, schemes)
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}
