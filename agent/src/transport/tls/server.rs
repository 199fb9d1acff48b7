//! TLS for who connects to us: a certificate with its chain, and its private key.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::{TlsError, certificates_in, problem};

/// Settings made usable, for a server of HTTP/1.1.
pub struct TlsServer {
    config: Arc<ServerConfig>,
}

impl TlsServer {
    /// Reads the files, in PEM.
    ///
    /// # Errors
    /// When one cannot be read or holds nothing usable, or when they do not belong together.
    pub fn new(cert_file: &Path, key_file: &Path) -> Result<TlsServer, TlsError> {
        let chain = certificates_in(cert_file)?;
        let key = PrivateKeyDer::from_pem_file(key_file)
            .map_err(|error| problem(error, key_file.display(), "put a private key in PEM there"))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| problem(error, "the TLS library", "report this as a bug"))?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| {
            let place = format!("{} and {}", cert_file.display(), key_file.display());
            problem(error, place, "use the private key that belongs to the certificate")
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsServer { config: Arc::new(config) })
    }

    /// What the TLS library takes.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_belongs_to_another_certificate_is_refused_with_both_names() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let (cert, key) =
                (directory.path().join(format!("{name}.pem")), directory.path().join(format!("{name}.key")));
            std::fs::write(&cert, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            (cert, key)
        };
        let ((cert, key), (_, other)) = (write("a"), write("b"));
        assert!(TlsServer::new(&cert, &key).is_ok());
        let refused = TlsServer::new(&cert, &other).err().unwrap();
        assert!(refused.place.contains("a.pem") && refused.place.contains("b.key"), "{refused:?}");
        assert!(TlsServer::new(&key, &key).is_err() && TlsServer::new(&cert, &cert).is_err());
    }
}
