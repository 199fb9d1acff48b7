//! Tokens for Azure Monitor: of an application of Entra ID, or of the identity of the machine this runs on.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use scaidrive_codecs::oauth::{self, ARC_KEY_BYTES_MAX, ARC_URL, Token};

use super::ask::Whereabouts;
use super::cache::Trouble;
use super::oauth::{ask_for, send, understand};
use super::{Credentials, misconfigured};
use crate::config::{Entra, EntraIdentity};
use crate::runtime::{Runtime, offload_value};
use crate::time::Millis;

/// Fetches a token.
pub(super) async fn fetch(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    entra: &Entra,
) -> Result<(Token, Millis), Trouble> {
    let scope = entra.cloud.monitor_scope();
    let request = match &entra.identity {
        EntraIdentity::Secret { tenant, client_id, secret } => {
            oauth::client_secret(&entra.token_url(tenant), client_id, secret.reveal(), &scope)
        }
        EntraIdentity::Certificate { tenant, client_id, certificate, key } => {
            let url = entra.token_url(tenant);
            let assertion = assertion(runtime, &url, client_id, certificate, key).await?;
            oauth::client_assertion(&url, client_id, &assertion, &scope)
        }
        EntraIdentity::Workload { tenant, client_id, token_file } => {
            // It is rotated by whoever issues it, so it is read for each request.
            let assertion = read_text(runtime, token_file.clone(), ASSERTION_MAX).await?;
            oauth::client_assertion(&entra.token_url(tenant), client_id, &assertion, &scope)
        }
        EntraIdentity::Managed(identity) => return managed(credentials, runtime, entra, identity).await,
    };
    send(credentials, runtime, &request, Whereabouts::Public).await
}

/// The identity of the machine, from wherever this machine has it.
async fn managed(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    entra: &Entra,
    identity: &oauth::Identity,
) -> Result<(Token, Millis), Trouble> {
    let resource = entra.cloud.monitor();
    let variable = |name: &str| (credentials.lookup)(name).filter(|value| !value.is_empty());
    match (variable("IDENTITY_ENDPOINT"), variable("IDENTITY_HEADER"), variable("IMDS_ENDPOINT")) {
        (Some(endpoint), Some(header), _) => {
            let request = oauth::app_service(&endpoint, &header, resource, identity);
            send(credentials, runtime, &request, Whereabouts::Near).await
        }
        (Some(endpoint), None, Some(_)) => arc(credentials, runtime, &endpoint, resource).await,
        _ if is_arc_machine(runtime).await => arc(credentials, runtime, ARC_URL, resource).await,
        _ => send(credentials, runtime, &oauth::imds(resource, identity), Whereabouts::Near).await,
    }
}

/// Azure Arc: the agent on this machine names a file that only those who may have the token can read.
async fn arc(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    endpoint: &str,
    resource: &str,
) -> Result<(Token, Millis), Trouble> {
    let challenge = ask_for(credentials, runtime, &oauth::arc(endpoint, resource, None), Whereabouts::Near).await?;
    let Some(path) = oauth::arc_challenge(&challenge) else { return understand(&challenge, runtime.wall_ms()) };
    let key = read_text(runtime, PathBuf::from(path), ARC_KEY_BYTES_MAX).await?;
    send(credentials, runtime, &oauth::arc(endpoint, resource, Some(&key)), Whereabouts::Near).await
}

async fn is_arc_machine(runtime: &Rc<dyn Runtime>) -> bool {
    offload_value(runtime, || Path::new(ARC_AGENT).exists()).await.unwrap_or(false)
}

/// A JWT signed with the certificate's key. Both are read each time, because both are replaced now and then.
async fn assertion(
    runtime: &Rc<dyn Runtime>,
    url: &str,
    client_id: &str,
    certificate: &Path,
    key: &Path,
) -> Result<String, Trouble> {
    let (url, client_id) = (url.to_owned(), client_id.to_owned());
    let (certificate, key) = (certificate.to_owned(), key.to_owned());
    let jti = format!("{:016x}{:016x}", runtime.entropy(), runtime.entropy());
    let wall_ms = runtime.wall_ms();
    let sign = move || {
        let no_certificate = |_| format!("{} holds no certificate in PEM", certificate.display());
        let chosen = CertificateDer::from_pem_file(&certificate).map_err(no_certificate)?;
        let to_sign = oauth::assertion_to_sign(&url, &client_id, &chosen, &jti, wall_ms);
        let signature = sign_with(&key, to_sign.as_bytes())?;
        Ok(oauth::signed_assertion(&to_sign, &signature))
    };
    match offload_value(runtime, sign).await {
        Ok(Ok(assertion)) => Ok(assertion),
        Ok(Err(why)) => Err(misconfigured(why)),
        Err(panicked) => Err(misconfigured(panicked.to_string())),
    }
}

/// Signs with the RSA key in a PEM file. What is wrong with the key is said without any of it.
fn sign_with(path: &Path, text: &[u8]) -> Result<Vec<u8>, String> {
    let key = PrivateKeyDer::from_pem_file(path)
        .map_err(|_| format!("{} cannot be read, or holds no private key in PEM", path.display()))?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(format!("{} holds no RSA key, which Entra ID wants", path.display())),
    };
    let pair =
        pair.map_err(|_| format!("{} holds no RSA key of 2048 bits or more, which Entra ID wants", path.display()))?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text, &mut signature)
        .map_err(|_| String::from("signing failed"))?;
    Ok(signature)
}

/// The text of a small file.
pub(super) async fn read_text(runtime: &Rc<dyn Runtime>, path: PathBuf, limit: u64) -> Result<String, Trouble> {
    let read = move || {
        let why = |problem: &dyn std::fmt::Display| format!("{} cannot be read: {problem}", path.display());
        let file = File::open(&path).map_err(|error| why(&error))?;
        let mut text = String::new();
        file.take(limit + 1).read_to_string(&mut text).map_err(|error| why(&error))?;
        if text.len() as u64 > limit {
            return Err(why(&"it is too long"));
        }
        Ok(text.trim().to_owned())
    };
    match offload_value(runtime, read).await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(why)) => Err(misconfigured(why)),
        Err(panicked) => Err(misconfigured(panicked.to_string())),
    }
}

/// Where the Azure Arc agent is installed on Linux.
const ARC_AGENT: &str = "/opt/azcmagent/bin/himds";
/// A JWT is a few KiB.
const ASSERTION_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

    #[test]
    fn what_a_key_that_does_not_fit_is_told_shows_none_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        assert!(sign_with(&path, b"x").unwrap_err().contains("cannot be read"));
        let elliptic = rcgen::KeyPair::generate().unwrap().serialize_pem();
        std::fs::write(&path, &elliptic).unwrap();
        let refused = sign_with(&path, b"x").unwrap_err();
        assert!(refused.contains("RSA"), "{refused}");
        assert!(!refused.contains(elliptic.lines().nth(1).unwrap()));
    }

    #[test]
    fn what_is_signed_can_be_verified_with_the_public_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        std::fs::write(&path, include_str!("testdata/rsa.pem")).unwrap();
        let signature = sign_with(&path, b"header.claims").unwrap();
        let PrivateKeyDer::Pkcs8(key) = PrivateKeyDer::from_pem_file(&path).unwrap() else { panic!("not PKCS#8") };
        let public = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap().public().as_ref().to_vec();
        let verifier = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public);
        assert!(verifier.verify(b"header.claims", &signature).is_ok());
        assert!(verifier.verify(b"header.other", &signature).is_err());
    }
}
