//! Which requests a foreign web page could have made a browser send. Pure.
//!
//! `Host` must name this agent (else a name that was made to resolve to it would do: DNS rebinding). An `Origin` must be
//! the agent's own, and what changes something must not come from another site, as far as the browser says
//! (Fetch Metadata). Programs send none of these and are known by their token.

use std::net::SocketAddr;

use axum::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Uri};

use crate::control::http::Problem;
use crate::ingest::http::guard::check_host;

/// The address as others see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    /// What is listened on.
    pub(super) listen: SocketAddr,
    /// Whether it is reached over TLS alone.
    pub(super) is_tls: bool,
    /// Host names it answers to as well.
    pub(super) hosts: &'a [String],
}

/// See the module.
///
/// # Errors
/// 403, which says what is foreign.
pub(super) fn check(method: &Method, uri: &Uri, headers: &HeaderMap, names: Names<'_>) -> Result<(), Problem> {
    let refuse = |what: &str, advice: &str| Err(Problem::new(StatusCode::FORBIDDEN, what.to_owned()).advise(advice));
    if check_host(uri, headers, names.listen, names.hosts).is_err() {
        let advice = "use localhost or the agent's address, or add the name to admin.hosts in agent.toml";
        return refuse("the Host header does not name this agent", advice);
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    let is_own = |origin: &axum::http::HeaderValue| origin.to_str().is_ok_and(|origin| is_own(origin, headers, names));
    let is_ours = match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => is_own(origin),
        _ => false,
    };
    if !is_ours {
        let advice = "open the agent's own page; programs send no Origin header";
        return refuse("requests of other web pages (by their Origin header) are not taken", advice);
    }
    let site = headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes());
    if !method.is_safe() && site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return refuse("another site may not change anything here", "do it on the agent's own page");
    }
    Ok(())
}

/// Whether an origin is the one that the request goes to, or stands without a port for a configured name: a proxy may
/// put another `Host` in its place.
fn is_own(origin: &str, headers: &HeaderMap, names: Names<'_>) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let Ok(authority) = rest.parse::<Authority>() else { return false };
    let may_be = scheme.eq_ignore_ascii_case("https") || (scheme.eq_ignore_ascii_case("http") && !names.is_tls);
    let host = headers.get(HOST).map(|host| host.as_bytes()).unwrap_or_default();
    let is_named =
        authority.port().is_none() && names.hosts.iter().any(|name| name.eq_ignore_ascii_case(authority.host()));
    may_be && (rest.as_bytes().eq_ignore_ascii_case(host) || is_named)
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(method: Method, is_tls: bool, sent: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        let hosts = ["siem.example.com".to_owned()];
        let names = Names { listen: "127.0.0.1:8911".parse().unwrap(), is_tls, hosts: &hosts };
        check(&method, &Uri::from_static("/v1/status"), &headers, names).is_ok()
    }

    #[test]
    fn only_requests_for_this_agent_are_taken() {
        for host in ["localhost:8911", "127.0.0.1:8911", "[::1]:8911", "siem.example.com", "SIEM.example.com:443"] {
            assert!(is_taken(Method::GET, false, &[("host", host)]), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1:8911", ""] {
            assert!(!is_taken(Method::GET, false, &[("host", host)]), "{host}");
        }
        assert!(!is_taken(Method::GET, false, &[]));
    }

    #[test]
    fn only_our_own_pages_may_ask() {
        let from = |origin: &str| is_taken(Method::POST, false, &[("host", "localhost:8911"), ("origin", origin)]);
        for own in ["http://localhost:8911", "https://localhost:8911", "https://siem.example.com"] {
            assert!(from(own), "{own}");
        }
        let foreign = [
            "null",
            "",
            "http://localhost",
            "http://localhost:3000",
            "http://evil.example",
            "http://localhost:8911.evil.example",
            "https://siem.example.com:8443",
            "file://localhost:8911",
            "http://user@localhost:8911",
        ];
        for foreign in foreign {
            assert!(!from(foreign), "{foreign}");
        }
        let twice = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://localhost")];
        assert!(!is_taken(Method::POST, false, &twice) && is_taken(Method::POST, false, &twice[..2]));
        assert!(!is_taken(Method::POST, true, &twice[..2]), "a page without TLS is not ours where we have TLS");
    }

    #[test]
    fn another_site_may_link_here_but_change_nothing() {
        let sent = |method, site| is_taken(method, false, &[("host", "localhost"), ("sec-fetch-site", site)]);
        assert!(sent(Method::GET, "cross-site") && sent(Method::POST, "same-origin") && sent(Method::POST, "none"));
        for site in ["cross-site", "same-site", "anything"] {
            assert!(!sent(Method::POST, site) && !sent(Method::DELETE, site), "{site}");
        }
    }
}
