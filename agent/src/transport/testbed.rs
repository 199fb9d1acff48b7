//! Servers and certificates for the tests of this folder.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use crate::config::TlsSettings;
use crate::time::Millis;
use crate::transport::{Endpoint, TlsClient};

/// A TLS connection as the test server sees it.
pub(super) type ServerStream = StreamOwned<ServerConnection, TcpStream>;

/// Accepts one connection on a thread of its own and hands it to `serve`.
pub(super) fn serve_once<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(listener.accept().unwrap().0));
    (address, server)
}

/// Like [`serve_once`], through TLS. The handshake happens at the first read or write.
pub(super) fn serve_tls_once<T: Send + 'static>(
    config: ServerConfig,
    serve: impl FnOnce(ServerStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    serve_once(move |socket| serve(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket)))
}

/// A plain endpoint with generous limits.
pub(super) fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        host: address.ip().to_string(),
        port: address.port(),
        tls: None,
        proxy: None,
        targets: Arc::default(),
        connect_timeout: Millis::from_secs(10),
        request_timeout: Millis::from_secs(10),
    }
}

/// Reads until the other side closes.
pub(super) fn read_all(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).map(|_| all)
}

/// A certificate authority with a place for its files.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    files: TempDir,
}

/// A certificate and its key, in PEM.
pub(super) struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    /// The certificate in DER.
    pub(super) fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap().to_vec()
    }
}

impl Authority {
    pub(super) fn new() -> Authority {
        Authority::named("Test authority")
    }

    pub(super) fn named(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let files = TempDir::new().unwrap();
        std::fs::write(files.path().join("ca.pem"), certificate.pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), certificate: certificate.der().clone(), files }
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    /// A certificate for `name`, valid until the end of `last_year`.
    pub(super) fn issue(&self, name: &str, last_year: i32) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 12, 31);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Trusts this authority, and shows `identity` if there is one.
    pub(super) fn settings(&self, identity: Option<&Identity>) -> TlsSettings {
        let identity = identity.map(|identity| {
            let (certificate, key) = (self.files.path().join("own.pem"), self.files.path().join("own.key"));
            std::fs::write(&certificate, &identity.certificate).unwrap();
            std::fs::write(&key, &identity.key).unwrap();
            (certificate, key)
        });
        TlsSettings {
            ca_file: Some(self.ca_file()),
            server_name: Some("localhost".into()),
            identity,
            ..TlsSettings::default()
        }
    }

    pub(super) fn endpoint(&self, address: SocketAddr) -> Endpoint {
        let client = TlsClient::new(&self.settings(None)).unwrap();
        Endpoint { tls: Some(Arc::new(client)), ..endpoint(address) }
    }

    /// A server that shows `identity` and, if asked to, demands a certificate of this authority.
    pub(super) fn server(
        &self,
        identity: &Identity,
        demands_certificate: bool,
        version: &'static SupportedProtocolVersion,
    ) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]).unwrap();
        let builder = if demands_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        builder.with_single_cert(chain, key).unwrap()
    }
    /// A server that shows the certificate of `identity` and signs with the key of `other`.
    pub(super) fn server_with_stolen(&self, identity: &Identity, other: &Identity) -> ServerConfig {
        let provider = ring::default_provider();
        let key = PrivateKeyDer::from_pem_slice(other.key.as_bytes()).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let shown = rustls::sign::CertifiedKey::new(chain, key);
        ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)))
    }
}
