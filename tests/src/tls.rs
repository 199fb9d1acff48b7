//! A plain TLS client for loopback, with or without a certificate of its own.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::certificates::Identity;

/// A connection made by [`connect`].
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

const REPLY_WITHIN: Duration = Duration::from_secs(20);

/// Connects to `address`, whose certificate must be for `localhost` and come from the authority in `ca_file`. The handshake
/// is done when this returns; a server of TLS 1.3 that refuses the client's certificate says so only after that.
///
/// # Errors
/// When there is no connection, or one side refuses the other during the handshake.
///
/// # Panics
/// When a file is not what it should be.
pub fn connect(address: SocketAddr, ca_file: &Path, client: Option<&Identity>) -> io::Result<TlsStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(ca_file)).expect("an authority's certificate can be trusted");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_file(&identity.key_file).expect("the key was written as PEM");
            let chain = vec![certificate(&identity.certificate_file)];
            builder.with_client_auth_cert(chain, key).expect("the key belongs to the certificate")
        }
    };
    let name = ServerName::try_from("localhost").expect("this is a name");
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(REPLY_WITHIN))?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(session, socket))
}

fn certificate(file: &Path) -> CertificateDer<'static> {
    let pem = fs::read(file).expect("the certificate was written");
    CertificateDer::from_pem_slice(&pem).expect("the certificate was written as PEM")
}
