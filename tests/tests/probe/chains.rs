//! Certificates with something wrong with them, and servers that show them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::plant::{Certificate, path};
use crate::stand::Answers;

/// An authority that the destination trusts, and what can be made with it.
pub(crate) struct Chains {
    root: Root,
    pub(crate) ca_file: PathBuf,
}

struct Root {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate with what it is shown with.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

const ROOT: &str = "Trusted root";

impl Root {
    fn new(name: &str) -> Root {
        let (params, key) = (authority(name), KeyPair::generate().expect("a key can be made"));
        let certificate = params.self_signed(&key).expect("an authority can sign itself").der().clone();
        Root { issuer: Issuer::new(params, key), certificate }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A server's certificate for `name` from the first day of one year to that of another.
fn leaf(name: &str, from: i32, until: i32) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("the name is valid");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

fn signed(params: &CertificateParams, by: &Issuer<'static, KeyPair>) -> Shown {
    let key = KeyPair::generate().expect("a key can be made");
    let chain = vec![params.signed_by(&key, by).expect("the authority can sign").der().clone()];
    Shown { chain, key }
}

impl Chains {
    /// A new authority, whose certificate is in `dir`.
    pub(crate) fn new(dir: &Path) -> Chains {
        let root = Root::new(ROOT);
        let ca_file = dir.join("ca.pem");
        let pem = pem(&root.certificate);
        fs::write(&ca_file, pem).expect("the test's folder can be written");
        Chains { root, ca_file }
    }

    /// A server with `trouble`, and what it does when hands are shaken.
    pub(crate) fn server(&self, trouble: Certificate) -> (Arc<ServerConfig>, Answers) {
        let answers = match trouble {
            Certificate::GoodAndSilent => Answers::Silent,
            _ => Answers::http(200, &[], ""),
        };
        let versions: &[&SupportedProtocolVersion] = match trouble {
            Certificate::Tls12Only | Certificate::DemandsClient12 => &[&TLS12],
            _ => &[&TLS13, &TLS12],
        };
        let stranger = Root::new("Stranger");
        let demands = match trouble {
            Certificate::DemandsClient | Certificate::DemandsClient12 | Certificate::ClientExpired => {
                Some(&self.root.certificate)
            }
            Certificate::RefusesClient => Some(&stranger.certificate),
            _ => None,
        };
        (Arc::new(config(self.shown(trouble), versions, demands)), answers)
    }

    fn shown(&self, trouble: Certificate) -> Shown {
        let by_root = |params: CertificateParams| signed(&params, &self.root.issuer);
        match trouble {
            Certificate::Expired => by_root(leaf("localhost", 2020, 2021)),
            Certificate::NotYet => by_root(leaf("localhost", 2990, 2999)),
            Certificate::OtherName => by_root(leaf("elsewhere.example", 2020, 2999)),
            Certificate::ForClients => {
                let mut params = leaf("localhost", 2020, 2999);
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                by_root(params)
            }
            Certificate::UnknownAuthority => {
                let stranger = Root::new("Unknown root");
                let mut shown = signed(&leaf("localhost", 2020, 2999), &stranger.issuer);
                shown.chain.push(stranger.certificate);
                shown
            }
            Certificate::SelfSigned => {
                let key = KeyPair::generate().expect("a key can be made");
                let own = leaf("localhost", 2020, 2999).self_signed(&key).expect("a key can sign itself");
                Shown { chain: vec![own.der().clone()], key }
            }
            Certificate::NoIntermediate => {
                let between = authority("Intermediate");
                let key = KeyPair::generate().expect("a key can be made");
                between.signed_by(&key, &self.root.issuer).expect("the root can sign");
                signed(&leaf("localhost", 2020, 2999), &Issuer::new(between, key))
            }
            Certificate::RenewedAuthority => signed(&leaf("localhost", 2020, 2999), &Root::new(ROOT).issuer),
            _ => by_root(leaf("localhost", 2020, 2999)),
        }
    }

    /// A good server whose certificate ends in so many days.
    pub(crate) fn ending_in(&self, days: i64) -> Arc<ServerConfig> {
        let mut params = leaf("localhost", 2020, 2999);
        // From a day that is surely before, in steps that the calendar does by itself.
        params.not_after = std::time::SystemTime::now().into();
        params.not_after += std::time::Duration::from_secs(days.unsigned_abs() * 86_400 + 3_600);
        Arc::new(config(signed(&params, &self.root.issuer), &[&TLS13, &TLS12], None))
    }

    /// What the destination shows, where it has to show something.
    pub(crate) fn client_lines(&self, trouble: Certificate, dir: &Path) -> Vec<String> {
        let until = match trouble {
            Certificate::RefusesClient => 2999,
            Certificate::ClientExpired => 2021,
            _ => return Vec::new(),
        };
        let shown = signed(&leaf("client", 2020, until), &self.root.issuer);
        let (certificate, key) = (dir.join("client.pem"), dir.join("client.key"));
        fs::write(&certificate, pem(&shown.chain[0])).expect("the test's folder can be written");
        fs::write(&key, shown.key.serialize_pem()).expect("the test's folder can be written");
        vec![format!("tls.cert_file = {}", path(&certificate)), format!("tls.key_file = {}", path(&key))]
    }
}

fn config(
    shown: Shown,
    versions: &[&'static SupportedProtocolVersion],
    demands: Option<&CertificateDer<'static>>,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("the provider knows TLS 1.2 and 1.3");
    let builder = match demands {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone()).expect("an authority can be trusted");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("there is an authority"))
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(shown.key.serialize_der()));
    builder.with_single_cert(shown.chain, key).expect("the key belongs to the certificate")
}

/// A certificate as a file has it (RFC 7468).
fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
