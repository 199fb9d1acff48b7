//! A certificate authority for one test, and server certificates from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority whose certificate lies in a file, for `tls.ca_file`.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    ca_file: PathBuf,
}

/// A server's certificate and key, as files (for rsyslog) and as a rustls configuration (for our own servers).
pub struct Identity {
    /// The certificate, PEM.
    pub certificate_file: PathBuf,
    /// The private key, PEM (PKCS #8).
    pub key_file: PathBuf,
    /// The same for a rustls server without client authentication.
    pub server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes a new authority and writes its certificate to `dir/ca.pem`.
    pub fn new(dir: &Path) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be generated");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority can sign itself");
        let ca_file = dir.join("ca.pem");
        fs::write(&ca_file, issuer.pem()).expect("the test's folder can be written");
        Authority { issuer, ca_file }
    }

    /// The authority's certificate, PEM.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// A server certificate for the host `names` (DNS names or IP addresses), stored in `dir/STEM.pem` and `.key`.
    pub fn issue(&self, dir: &Path, stem: &str, names: &[&str]) -> Identity {
        self.issue_for(ExtendedKeyUsagePurpose::ServerAuth, dir, stem, names)
    }

    /// A certificate for a client called `stem`, stored in `dir/STEM.pem` and `.key`.
    pub fn issue_client(&self, dir: &Path, stem: &str) -> Identity {
        self.issue_for(ExtendedKeyUsagePurpose::ClientAuth, dir, stem, &[])
    }

    fn issue_for(&self, purpose: ExtendedKeyUsagePurpose, dir: &Path, stem: &str, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the names are valid");
        params.distinguished_name.push(DnType::CommonName, stem);
        params.extended_key_usages = vec![purpose];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key can be generated");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority can sign");

        let certificate_file = dir.join(format!("{stem}.pem"));
        let key_file = dir.join(format!("{stem}.key"));
        fs::write(&certificate_file, certificate.pem()).expect("the test's folder can be written");
        fs::write(&key_file, key.serialize_pem()).expect("the test's folder can be written");

        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .expect("the key belongs to the certificate");
        Identity { certificate_file, key_file, server: Arc::new(server) }
    }
}
