//! A server that is known by the fingerprint of its certificate (RFC 5425, section 4.2.2).

use std::fmt;
use std::sync::Arc;

use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::config::Fingerprint;

/// Accepts a server whose own certificate has one of the fingerprints and that proves to have its key.
///
/// Names, dates and issuers are looked at only where there are `authorities`; both then have to agree.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) fingerprints: Vec<Fingerprint>,
    pub(super) authorities: Option<Arc<WebPkiServerVerifier>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// None of the fingerprints is that of the certificate.
#[derive(Debug)]
struct OtherCertificate {
    shown: Fingerprint,
}

impl fmt::Display for OtherCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is not one of tls.fingerprints: it is {}; put that there if it is the right one", self.shown)
    }
}

impl std::error::Error for OtherCertificate {}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.fingerprints.iter().any(|fingerprint| is_of(fingerprint, end_entity)) {
            let other = OtherCertificate { shown: sha256(end_entity) };
            return Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(other)))));
        }
        match &self.authorities {
            Some(authorities) => {
                authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_of(fingerprint: &Fingerprint, certificate: &[u8]) -> bool {
    match fingerprint {
        Fingerprint::Sha1(expected) => {
            digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate).as_ref() == expected
        }
        Fingerprint::Sha256(_) => *fingerprint == sha256(certificate),
    }
}

fn sha256(certificate: &[u8]) -> Fingerprint {
    let mut found = [0; 32];
    found.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    Fingerprint::Sha256(found)
}
