//! Who may send over HTTP: our own host name only, no web pages, and the right token.

use std::fmt;
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use axum::http::uri::{Authority, Uri};

use crate::ingest::http::problem::Problem;

/// The bearer token that producers must show. Clones share it, so it can be read again while the agent runs.
#[derive(Clone)]
pub struct Token {
    secret: Arc<RwLock<Vec<u8>>>,
}

impl Token {
    /// The token; an empty one matches nothing.
    pub fn new(secret: &str) -> Token {
        Token { secret: Arc::new(RwLock::new(secret.as_bytes().to_vec())) }
    }

    /// From now on it is this one.
    pub fn set(&self, secret: &str) {
        *self.secret.write().unwrap_or_else(PoisonError::into_inner) = secret.as_bytes().to_vec();
    }

    /// Whether `given` is the token. How long it takes does not tell how much of it is right.
    fn matches(&self, given: &[u8]) -> bool {
        let secret = self.secret.read().unwrap_or_else(PoisonError::into_inner);
        !secret.is_empty() && is_same(given, &secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether both are the same. How long it takes does not tell where they differ, only whether their lengths do.
pub(crate) fn is_same(left: &[u8], right: &[u8]) -> bool {
    let difference = left.iter().zip(right).fold(0, |sum, (left, right)| black_box(sum | (left ^ right)));
    left.len() == right.len() && difference == 0
}

/// Refuses requests that a web page could have made a browser send: a foreign `Host` (DNS rebinding), any `Origin`.
pub(crate) fn check_source(
    uri: &Uri,
    headers: &HeaderMap,
    listen: SocketAddr,
    names: &[String],
) -> Result<(), Problem> {
    if headers.contains_key(ORIGIN) {
        return Err(Problem::forbidden("requests of web pages (with an Origin header) are not taken"));
    }
    check_host(uri, headers, listen, names)
}

/// Refuses requests whose `Host` does not name this agent, or names two.
pub(crate) fn check_host(uri: &Uri, headers: &HeaderMap, listen: SocketAddr, names: &[String]) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).and_then(|host| host.parse().ok());
    let is_ours = |authority: &Authority| is_own_host(authority.host(), listen.ip(), names);
    match (host, hosts.next()) {
        (Some(host), None) if is_ours(&host) && uri.authority().is_none_or(is_ours) => Ok(()),
        _ => Err(Problem::forbidden("the Host header does not name this agent; use localhost or its address")),
    }
}

/// Refuses requests without the token, if there is one.
pub(super) fn check_token(headers: &HeaderMap, token: Option<&Token>) -> Result<(), Problem> {
    let Some(token) = token else { return Ok(()) };
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.split_at_checked(SCHEME.len()));
    match given {
        Some((scheme, given)) if scheme.eq_ignore_ascii_case(SCHEME) && token.matches(given.trim_ascii()) => Ok(()),
        _ => Err(Problem::unauthorized()),
    }
}

/// `localhost`, the address listened on (any of ours when listening on all), or a name from the configuration. A name
/// that merely resolves to us is what DNS rebinding uses.
fn is_own_host(host: &str, listen: IpAddr, names: &[String]) -> bool {
    if names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return true;
    }
    if host.eq_ignore_ascii_case("localhost") {
        return listen.is_loopback() || listen.is_unspecified();
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let Ok(address) = bare.parse::<IpAddr>() else { return false };
    address == listen || listen.is_unspecified() || (address.is_loopback() && listen.is_loopback())
}

const SCHEME: &[u8] = b"bearer ";

#[cfg(test)]
mod tests {
    use super::*;

    fn source(host: &str, listen: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        check_source(&Uri::from_static("/v1/events"), &headers, listen.parse().unwrap(), &["siem.pod".to_owned()])
            .is_ok()
    }

    #[test]
    fn only_our_own_host_is_served() {
        let here = "127.0.0.1:8910";
        for ours in ["localhost", "LOCALHOST:8910", "127.0.0.1:8910", "127.0.0.1", "[::1]:8910", "siem.pod:80"] {
            assert!(source(ours, here), "{ours}");
        }
        for foreign in ["evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", ""] {
            assert!(!source(foreign, here), "{foreign}");
        }
        assert!(source("10.0.0.1:8910", "0.0.0.0:8910"));
        assert!(!source("evil.example", "0.0.0.0:8910"));
    }

    #[test]
    fn two_hosts_no_host_an_origin_or_a_foreign_target_are_refused() {
        let listen: SocketAddr = "127.0.0.1:8910".parse().unwrap();
        let path = Uri::from_static("/v1/events");
        let mut headers = HeaderMap::new();
        assert!(check_source(&path, &headers, listen, &[]).is_err());
        headers.append(HOST, "localhost".parse().unwrap());
        assert!(check_source(&path, &headers, listen, &[]).is_ok());
        assert!(check_source(&Uri::from_static("http://evil.example/v1/events"), &headers, listen, &[]).is_err());
        headers.append(ORIGIN, "http://localhost".parse().unwrap());
        assert!(check_source(&path, &headers, listen, &[]).is_err());
        headers.remove(ORIGIN);
        headers.append(HOST, "localhost".parse().unwrap());
        assert!(check_source(&path, &headers, listen, &[]).is_err());
    }

    #[test]
    fn the_token_must_match_and_can_be_changed() {
        let token = Token::new("s3cret");
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            check_token(&headers, Some(&token)).is_ok()
        };
        assert!(with("Bearer s3cret") && with("bearer s3cret"));
        assert!(!with("Bearer s3cre") && !with("Bearer s3cretx") && !with("s3cret") && !with("Bearer ") && !with("B"));
        token.set("next");
        assert!(with("Bearer next") && !with("Bearer s3cret"));
        token.set("");
        assert!(!with("Bearer "));
        assert!(check_token(&HeaderMap::new(), Some(&token)).is_err());
        assert!(check_token(&HeaderMap::new(), None).is_ok());
        assert_eq!(format!("{token:?}"), "***");
    }
}
