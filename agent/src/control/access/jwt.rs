//! Who asks, as a trusted proxy says in a signed JSON Web Token (RFC 7515, RFC 7519). Pure: time comes from outside.
//!
//! The configured key fixes the one algorithm that is taken; what the token's own header says can only disagree. `sub`,
//! `role`, `tenants`, `exp` and `aud` must be there: `"tenants": ["*"]` is everybody's, and none is nobody's. `exp` lies
//! at most [`LIFE_MAX_S`] ahead, so that a stolen token is soon worth nothing. Clocks may differ by [`LEEWAY_S`].
//!
//! This is no crate because the usual one, `jsonwebtoken`, brings a second implementation of every algorithm: aws-lc, or
//! a set of crates with an RSA that has an open advisory (RUSTSEC-2023-0071). Its last version on ring has one itself
//! (GHSA-h395-gr6q-cpjc). Three parts, two JSON objects and one call of ring are all that is needed of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::person::{Person, Reach, Role, Via};
use crate::config::{ProxyKey, TrustedProxy};

/// Why a token says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwtError {
    #[error("it is no JSON Web Token with a signature")]
    Malformed,
    #[error("its algorithm is not the one of the configured key")]
    Algorithm,
    #[error("its signature is not by the configured key")]
    Signature,
    #[error("its claims are not `sub`, `role`, `tenants`, `exp` and `aud` as they must be")]
    Claims,
    #[error("it has expired, is not valid yet, or is valid for too long")]
    Time,
    #[error("it was made by somebody else, or for somebody else (`iss`, `aud`)")]
    Parties,
}

/// Who shows `token` through `proxy`, at `now_s` seconds since 1970.
pub(super) fn person(token: &str, proxy: &TrustedProxy, now_s: i64) -> Result<Person, JwtError> {
    let mut parts = token.rsplitn(2, '.');
    let (Some(signature), Some(signed)) = (parts.next(), parts.next()) else { return Err(JwtError::Malformed) };
    let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
    let header: Header = json_in(header).ok_or(JwtError::Malformed)?;
    // An extension that must be understood is not (RFC 7515, section 4.1.11).
    if header.crit.is_some() {
        return Err(JwtError::Malformed);
    }
    if header.alg != algorithm(&proxy.key) {
        return Err(JwtError::Algorithm);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtError::Malformed)?;
    verify(&proxy.key, signed.as_bytes(), &signature)?;
    // Nothing of the claims is looked at before.
    let claims: Claims = json_in(claims).ok_or(JwtError::Claims)?;
    claims.check(proxy, now_s as f64)?;
    claims.person()
}

/// When a token that was taken is taken no longer, in milliseconds since 1970.
pub(super) fn end_ms(token: &str) -> Option<i64> {
    let claims: Claims = json_in(token.split('.').nth(1)?)?;
    Some(((claims.exp + LEEWAY_S) * 1_000.0) as i64)
}

/// The name of the algorithm (RFC 7518, section 3.1; RFC 8037, section 3.1).
fn algorithm(key: &ProxyKey) -> &'static str {
    match key {
        ProxyKey::Shared(_) => "HS256",
        ProxyKey::Ed25519 { .. } => "EdDSA",
        ProxyKey::P256 { .. } => "ES256",
    }
}

fn verify(key: &ProxyKey, signed: &[u8], given: &[u8]) -> Result<(), JwtError> {
    let verified = match key {
        ProxyKey::Shared(secret) => {
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()), signed, given)
        }
        ProxyKey::Ed25519 { key, .. } => {
            signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(signed, given)
        }
        ProxyKey::P256 { key, .. } => {
            signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key).verify(signed, given)
        }
    };
    verified.map_err(|_| JwtError::Signature)
}

fn json_in<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    crit: Option<IgnoredAny>,
}

/// A member that comes twice is an error, as everywhere here.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    name: Option<String>,
    role: Role,
    tenants: Vec<String>,
    exp: f64,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Audience,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    fn check(&self, proxy: &TrustedProxy, now_s: f64) -> Result<(), JwtError> {
        let is_for_us = match &self.aud {
            Audience::One(audience) => *audience == proxy.audience,
            Audience::Many(audiences) => audiences.contains(&proxy.audience),
        };
        if !is_for_us || (proxy.issuer.is_some() && self.iss != proxy.issuer) {
            return Err(JwtError::Parties);
        }
        let life_max_s = proxy.max_life.0 as f64 / 1_000.0;
        let has_begun = self.nbf.is_none_or(|nbf| nbf <= now_s + LEEWAY_S);
        let lasts = self.exp > now_s - LEEWAY_S && self.exp <= now_s + life_max_s + LEEWAY_S;
        if has_begun && lasts { Ok(()) } else { Err(JwtError::Time) }
    }

    fn person(self) -> Result<Person, JwtError> {
        let is_text = |text: &String| (1..=TEXT_MAX).contains(&text.len()) && !text.contains(char::is_control);
        if !is_text(&self.sub) || !self.tenants.iter().all(is_text) || self.tenants.len() > TENANTS_MAX {
            return Err(JwtError::Claims);
        }
        let who = match self.name.filter(is_text) {
            Some(name) if name != self.sub => format!("{name} ({})", self.sub),
            _ => self.sub,
        };
        let reach = match self.tenants.as_slice() {
            [all] if all == "*" => Reach::All,
            _ => Reach::Tenants(self.tenants.into_iter().collect()),
        };
        Ok(Person { who, via: Via::Page, role: self.role, reach })
    }
}

/// How far clocks may differ, in seconds.
const LEEWAY_S: f64 = 30.0;
/// Bytes of a name or an id at most.
const TEXT_MAX: usize = 256;
/// Tenants of one person at most.
const TENANTS_MAX: usize = 1_000;

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Secret, SecretSource};
    use crate::time::Millis;

    const KEY: &str = "a-key-that-is-long-enough-for-hs256";
    const NOW: i64 = 1_800_000_000;

    fn shared() -> TrustedProxy {
        let secret = Secret::read(SecretSource::Env("K".to_owned()), |_| Some(KEY.to_owned())).unwrap();
        by(ProxyKey::Shared(secret))
    }

    fn by(key: ProxyKey) -> TrustedProxy {
        let (header, audience) = ("x-scaidrive-identity".to_owned(), "scaidrive-siem".to_owned());
        let (issuer, max_life) = (Some("scaidrive".to_owned()), Millis::from_secs(120));
        TrustedProxy { key, header, issuer, audience, max_life, from: Vec::new() }
    }

    fn claims() -> Value {
        json!({
            "sub": "u1", "name": "Alice", "role": "admin", "tenants": ["*"], "exp": NOW + 60,
            "iss": "scaidrive", "aud": "scaidrive-siem",
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[key] = value;
        claims
    }

    fn unsigned(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(header), part(claims))
    }

    fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let text = unsigned(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(sign(text.as_bytes()));
        format!("{text}.{signature}")
    }

    fn hs256(text: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), text).as_ref().to_vec()
    }

    fn said(claims: &Value) -> Result<Person, JwtError> {
        person(&signed(&json!({"alg": "HS256", "typ": "JWT"}), claims, hs256), &shared(), NOW)
    }

    #[test]
    fn who_the_proxy_names_is_the_who_of_every_change() {
        let person = said(&claims()).unwrap();
        let expected = Person { who: "Alice (u1)".to_owned(), via: Via::Page, role: Role::Admin, reach: Reach::All };
        assert_eq!(person, expected);
        let person = said(&with("tenants", json!(["acme", "*"]))).unwrap();
        assert_eq!(person.reach, Reach::Tenants(["acme", "*"].map(str::to_owned).into()), "a list is a list");
        let nobody = said(&with("tenants", json!([]))).unwrap();
        assert!(!nobody.reach.covers(&["acme".to_owned()]) && !nobody.reach.covers(&["*".to_owned()]));
        assert_eq!(said(&with("name", Value::Null)).unwrap().who, "u1");
        assert_eq!(said(&with("aud", json!(["x", "scaidrive-siem"]))).map(|person| person.role), Ok(Role::Admin));
    }

    #[test]
    fn no_claim_may_be_missing_of_another_type_or_for_another_party() {
        for key in ["sub", "role", "tenants", "exp", "aud"] {
            assert_eq!(said(&with(key, Value::Null)), Err(JwtError::Claims), "{key}");
        }
        for (key, value, error) in [
            ("sub", json!(""), JwtError::Claims),
            ("sub", json!("a\nb"), JwtError::Claims),
            ("role", json!("root"), JwtError::Claims),
            ("tenants", json!("*"), JwtError::Claims),
            ("exp", json!("9999999999"), JwtError::Claims),
            ("nbf", json!("0"), JwtError::Claims),
            ("exp", json!(NOW - 30), JwtError::Time),
            ("exp", json!(NOW + 151), JwtError::Time),
            ("nbf", json!(NOW + 31), JwtError::Time),
            ("aud", json!("another"), JwtError::Parties),
            ("aud", json!(["another"]), JwtError::Parties),
            ("iss", json!("another"), JwtError::Parties),
            ("iss", Value::Null, JwtError::Parties),
        ] {
            assert_eq!(said(&with(key, value.clone())), Err(error), "{key}: {value}");
        }
        assert!(said(&with("exp", json!(NOW - 29))).is_ok() && said(&with("exp", json!(NOW + 150))).is_ok());
        assert!(said(&with("nbf", json!(NOW + 30))).is_ok());
    }

    #[test]
    fn a_token_is_taken_until_its_end_and_no_longer() {
        let (header, proxy) = (json!({"alg": "HS256"}), shared());
        let token = signed(&header, &claims(), hs256);
        let end_ms = end_ms(&token).unwrap();
        assert_eq!(end_ms, (NOW + 90) * 1_000);
        assert!(person(&token, &proxy, (end_ms - 1).div_euclid(1_000)).is_ok());
        assert_eq!(person(&token, &proxy, end_ms.div_euclid(1_000)), Err(JwtError::Time));
        assert_eq!(super::end_ms("x"), None);
    }

    #[test]
    fn a_token_does_not_choose_its_algorithm() {
        let proxy = shared();
        for alg in ["none", "None", "hs256", "HS512", "EdDSA", "RS256", ""] {
            let token = signed(&json!({ "alg": alg }), &claims(), hs256);
            assert_eq!(person(&token, &proxy, NOW), Err(JwtError::Algorithm), "{alg}");
        }
        let none = format!("{}.", unsigned(&json!({"alg": "none"}), &claims()));
        assert_eq!(person(&none, &proxy, NOW), Err(JwtError::Algorithm));
        let critical = signed(&json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &claims(), hs256);
        assert_eq!(person(&critical, &proxy, NOW), Err(JwtError::Malformed));
        // The public key taken for a shared one.
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = pair.public_key().as_ref().to_vec();
        let mac = |text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text).as_ref().to_vec();
        let public = by(ProxyKey::Ed25519 { file: PathBuf::new(), key: key.clone() });
        let token = signed(&json!({"alg": "HS256"}), &claims(), mac);
        assert_eq!(person(&token, &public, NOW), Err(JwtError::Algorithm));
        let token = signed(&json!({"alg": "EdDSA"}), &claims(), mac);
        assert_eq!(person(&token, &public, NOW), Err(JwtError::Signature));
    }

    #[test]
    fn public_keys_verify_what_their_private_halves_signed() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public = by(ProxyKey::Ed25519 { file: PathBuf::new(), key: pair.public_key().as_ref().to_vec() });
        let token = signed(&json!({"alg": "EdDSA"}), &claims(), |text| pair.sign(text).as_ref().to_vec());
        assert!(person(&token, &public, NOW).is_ok());

        let chance = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &chance).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &chance).unwrap();
        let public = by(ProxyKey::P256 { file: PathBuf::new(), key: pair.public_key().as_ref().to_vec() });
        let sign = |text: &[u8]| pair.sign(&chance, text).unwrap().as_ref().to_vec();
        assert!(person(&signed(&json!({"alg": "ES256"}), &claims(), sign), &public, NOW).is_ok());
        let other = signed(&json!({"alg": "ES256"}), &claims(), |_| sign(b"something else"));
        assert_eq!(person(&other, &public, NOW), Err(JwtError::Signature));
    }

    #[test]
    fn what_comes_twice_is_not_taken_once() {
        let text = claims().to_string().replace("\"role\":", "\"role\":\"viewer\",\"role\":");
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(text));
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hs256(signed.as_bytes())));
        assert_eq!(person(&token, &shared(), NOW), Err(JwtError::Claims));
    }

    proptest! {
        #[test]
        fn any_text_and_any_change_of_a_token_is_refused(text in "\\PC{0,60}", at in 0_usize..300, to in "[A-Za-z0-9_.=-]") {
            prop_assert!(person(&text, &shared(), NOW).is_err());
            let token = signed(&json!({"alg": "HS256"}), &claims(), hs256);
            let at = at % token.len();
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            prop_assert!(changed == token || person(&changed, &shared(), NOW).is_err(), "{changed}");
        }
    }
}
