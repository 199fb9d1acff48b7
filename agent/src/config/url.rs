//! Where an HTTP destination is.

use std::fmt;
use std::net::IpAddr;

/// An `http` or `https` address, taken apart. Has no user, password, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// Host name in lower case, or an IP address without brackets.
    pub host: String,
    /// Port; the scheme's own when none is written.
    pub port: u16,
    /// Path without a trailing slash; empty for the root.
    pub path: String,
}

impl HttpUrl {
    /// Reads `https://host[:port][/path]`.
    ///
    /// # Errors
    /// Why it is not such an address, to follow the words "which".
    pub fn parse(text: &str) -> Result<HttpUrl, &'static str> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err("has a scheme other than https and http"),
            None => return Err("has no scheme"),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("carries a user or a password");
        }
        if path.contains(['?', '#']) {
            return Err("has a query or a fragment");
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a path with characters that must be percent-encoded");
        }
        let (host, port) = split_port(authority)?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(HttpUrl { tls, host: parse_host(host)?, port, path: path.trim_end_matches('/').to_owned() })
    }

    /// What goes into the `Host` header: the port is left out where the scheme says it, an IPv6 address is in brackets.
    #[must_use]
    pub fn host_header(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { bracketed(&self.host) } else { format!("{}:{}", bracketed(&self.host), self.port) }
    }

    /// Whether the bytes never leave this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.path)
    }
}

/// Whether a host name or address is this machine's own by definition (RFC 6761, section 6.3; RFC 1122; RFC 4291).
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// A host name (letters, digits, `-`, `_` and `.`) in lower case, or an IP address.
pub(crate) fn parse_host(text: &str) -> Result<String, &'static str> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // What ends in a number would be taken for an IPv4 address by some and for a name by others.
    let numeric_end = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if name.len() > HOST_MAX || !name.split('.').all(label) || numeric_end {
        return Err("has no valid host name");
    }
    Ok(text.to_ascii_lowercase())
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("has an IPv6 address without its closing bracket")?;
        if !host.contains(':') {
            return Err("has no valid host name");
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(parse_port(port)?))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("has no valid host name"),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err("has an IPv6 address without brackets"),
        Some((host, port)) => Ok((host, Some(parse_port(port)?))),
        None => Ok((authority, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.filter(|port| *port != 0).ok_or("has a port that is not a number from 1 to 65535")
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Longest host name (RFC 1035, section 2.3.4, as text).
const HOST_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = HttpUrl::parse("https://Splunk.Example.com:8088/prefix/").unwrap();
        assert_eq!(
            (url.tls, url.host.as_str(), url.port, url.path.as_str()),
            (true, "splunk.example.com", 8088, "/prefix")
        );
        assert_eq!(url.host_header(), "splunk.example.com:8088");
        assert_eq!(url.to_string(), "https://splunk.example.com:8088/prefix");
        let url = HttpUrl::parse("http://[::1]").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.host_header().as_str()), ("::1", 80, "[::1]"));
        assert!(url.is_loopback());
        assert!(HttpUrl::parse("http://127.3.2.1:8088").unwrap().is_loopback());
        assert!(HttpUrl::parse("http://localhost").unwrap().is_loopback());
        assert!(!HttpUrl::parse("http://localhost.example.com").unwrap().is_loopback());
    }

    #[test]
    fn what_is_no_plain_web_address_is_refused_with_a_reason() {
        for (text, why) in [
            ("splunk.example.com", "scheme"),
            ("ftp://splunk.example.com", "scheme"),
            ("HTTPS://splunk.example.com", "scheme"),
            ("https://", "host"),
            ("https://a b", "host"),
            ("https://a..b", "host"),
            ("https://1.2.3", "host"),
            ("https://999.1.1.1", "host"),
            ("https://[1.2.3.4]", "host"),
            ("https://host:0", "port"),
            ("https://host:65536", "port"),
            ("https://host:+80", "port"),
            ("https://host:", "port"),
            ("https://::1", "brackets"),
            ("https://[::1", "bracket"),
            ("https://[::1]x", "host"),
            ("https://user:secret@host", "password"),
            ("https://host/?token=1", "query"),
            ("https://host/a b", "percent"),
            ("https://host/\r\nx: y", "percent"),
        ] {
            let refused = HttpUrl::parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
