//! A client assertion: a JWT (RFC 7519, RFC 7523) signed with the key of a registered certificate.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use serde_json::Value;

/// A registered certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    thumbprints: [(&'static str, String); 2],
}

/// Longest life of an assertion that we take, in seconds. Microsoft recommends 5 to 10 minutes.
const LIFE_MAX: u64 = 600;

impl Certificate {
    /// Reads a certificate, DER.
    ///
    /// # Panics
    /// When it is none.
    pub fn new(der: &[u8]) -> Certificate {
        let der = CertificateDer::from(der.to_vec());
        webpki::EndEntityCert::try_from(&der).expect("the test registers a certificate");
        let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest(algorithm, &der));
        let thumbprints = [("x5t", thumbprint(&SHA1_FOR_LEGACY_USE_ONLY)), ("x5t#S256", thumbprint(&SHA256))];
        Certificate { der, thumbprints }
    }

    fn is_named(&self, header: &Value) -> bool {
        self.thumbprints.iter().any(|(name, value)| header[name] == value.as_str())
    }

    fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<(), String> {
        let algorithm: &dyn SignatureVerificationAlgorithm = match algorithm {
            "RS256" => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
            "PS256" => webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
            other => return Err(format!("alg {other}")),
        };
        let certificate = webpki::EndEntityCert::try_from(&self.der).map_err(|error| error.to_string())?;
        certificate.verify_signature(algorithm, message, signature).map_err(|error| error.to_string())
    }
}

/// Whether the token's header names a certificate; others come from a federated issuer.
pub(super) fn is_signed_with_certificate(token: &str) -> bool {
    let header = token.split('.').next().and_then(decode);
    header.is_some_and(|header| header.get("x5t").is_some() || header.get("x5t#S256").is_some())
}

/// Checks an assertion and returns its `jti`. `audience` is the end of the endpoint's URL.
pub(super) fn check_signed(
    token: &str,
    certificates: &[Certificate],
    client: &str,
    audience: &str,
) -> Result<String, String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return Err("not three parts".to_owned()) };
    let message = &token[..header.len() + 1 + claims.len()];
    let header = decode(header).ok_or("a header that is no JSON")?;
    let claims = decode(claims).ok_or("claims that are no JSON")?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|error| error.to_string())?;
    let certificate =
        certificates.iter().find(|certificate| certificate.is_named(&header)).ok_or("an unknown thumbprint")?;
    certificate.verify(header["alg"].as_str().unwrap_or_default(), message.as_bytes(), &signature)?;

    let audience_is_right = claims["aud"].as_str().is_some_and(|found| found.ends_with(audience));
    if !audience_is_right || claims["iss"] != client || claims["sub"] != client {
        return Err(format!("aud, iss or sub in {claims}"));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
    let expires = claims["exp"].as_u64().unwrap_or(0);
    if expires <= now || expires > now + LIFE_MAX || claims["nbf"].as_u64().is_some_and(|from| from > now + 1) {
        return Err(format!("exp {} or nbf {} at {now}", claims["exp"], claims["nbf"]));
    }
    claims["jti"].as_str().filter(|id| !id.is_empty()).map(str::to_owned).ok_or_else(|| "no jti".to_owned())
}

fn decode(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
