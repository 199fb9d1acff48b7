//! AWS Signature Version 4: proves who asks and covers the request ("AWS Signature Version 4 for API requests" in the
//! AWS Identity and Access Management User Guide).
//!
//! Signed are the method, the path, the query, the headers given and the digest of the body as it is sent. Path and
//! query must go out exactly as [`canonical_target`] writes them: a comma that is escaped here and not there is a
//! signature that does not match.
//!
//! Written here rather than taken from the `aws-sigv4` crate, which brings some twenty more (a second HTTP type
//! library, a second time library, a second set of hash functions) for these hundred lines.

use std::fmt;

use ring::{digest, hmac};
use scaidrive_codecs::time::write_rfc3339;

/// Keys of an AWS identity. `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct AwsKeys {
    /// The part that may be seen.
    pub(super) access_key_id: String,
    /// The part that signs.
    pub(super) secret_access_key: String,
    /// Temporary keys have one.
    pub(super) session_token: Option<String>,
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'r> {
    /// The method.
    pub(super) method: &'r str,
    /// Path and query, from [`canonical_target`].
    pub(super) target: &'r str,
    /// Headers to cover, `Host` among them.
    pub(super) headers: &'r [(&'r str, &'r str)],
    /// The SHA-256 digest of the body as sent, in hexadecimal.
    pub(super) body_digest: &'r str,
}

/// Where a signature is good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'s> {
    /// The region, such as `eu-central-1`.
    pub(super) region: &'s str,
    /// The service, such as `es` or `aoss`.
    pub(super) service: &'s str,
}

/// The headers that sign `request` at `wall_ms`: the date, the session token if there is one, the authorization.
pub(super) fn sign(keys: &AwsKeys, scope: Scope<'_>, request: &Request<'_>, wall_ms: i64) -> Vec<(String, String)> {
    let moment = basic_time(wall_ms);
    let mut added = vec![("X-Amz-Date".to_owned(), moment.clone())];
    if let Some(token) = &keys.session_token {
        added.push(("X-Amz-Security-Token".to_owned(), token.clone()));
    }
    let given = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), trimmed(value)));
    let own = added.iter().map(|(name, value)| (name.to_ascii_lowercase(), trimmed(value)));
    let mut covered: Vec<(String, String)> = given.chain(own).collect();
    covered.sort();
    let names: Vec<&str> = covered.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = covered.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let mut parameters: Vec<&str> = query.split('&').filter(|one| !one.is_empty()).collect();
    parameters.sort_unstable();
    // Services other than S3 escape the path once more, and with it what is escaped already.
    let path = escaped(path, true);
    let canonical =
        format!("{}\n{path}\n{}\n{lines}\n{names}\n{}", request.method, parameters.join("&"), request.body_digest);
    let date = &moment[..8];
    let Scope { region, service } = scope;
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let to_sign = format!(
        "{ALGORITHM}\n{moment}\n{scope}\n{}",
        hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    );
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", keys.secret_access_key).as_bytes());
    for part in [date, region, service, "aws4_request"] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
    let credential = format!("{}/{scope}", keys.access_key_id);
    let authorization = format!("{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}");
    added.push(("Authorization".to_owned(), authorization));
    added
}

/// Path and query with every character escaped that a signature wants escaped (RFC 3986, section 2.3), in the order
/// they were written. What is escaped already stays so.
pub(super) fn canonical_target(target: &str) -> String {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut out = escaped_once(path, b"/");
    if let Some(query) = query {
        let parameters = query.split('&').map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            format!("{}={}", escaped_once(name, b""), escaped_once(value, b""))
        });
        out.push('?');
        out.push_str(&parameters.collect::<Vec<_>>().join("&"));
    }
    out
}

/// The SHA-256 digest of pieces, in hexadecimal.
pub(super) fn digest_of(visit: &dyn Fn(&mut dyn FnMut(&[u8]))) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    visit(&mut |piece| context.update(piece));
    hex(context.finish().as_ref())
}

fn escaped_once(text: &str, kept: &[u8]) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().enumerate() {
        let is_escape =
            *byte == b'%' && bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if is_escape || kept.contains(byte) || is_unreserved(*byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn escaped(text: &str, keeps_slashes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_unreserved(byte) || (keeps_slashes && byte == b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// A header value without spaces round it, and single ones inside.
fn trimmed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// `20260512T142301Z`.
fn basic_time(wall_ms: i64) -> String {
    let mut text = Vec::new();
    write_rfc3339(wall_ms, &mut text);
    let text = String::from_utf8_lossy(&text);
    let seconds = text.split('.').next().unwrap_or_default();
    let plain: String = seconds.chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
    format!("{plain}Z")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

#[cfg(test)]
mod tests {
    use super::*;

    /// The identity, scope and moment of AWS's published test suite ("aws-sig-v4-test-suite").
    const SCOPE: Scope<'static> = Scope { region: "us-east-1", service: "service" };
    const MOMENT: i64 = 1_440_938_160_000;

    fn keys() -> AwsKeys {
        AwsKeys {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        }
    }

    fn signature(keys: &AwsKeys, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
        let body_digest = digest_of(&|visit| visit(body.as_bytes()));
        let mut all = vec![("Host", "example.amazonaws.com")];
        all.extend(headers);
        let target = canonical_target(target);
        let request = Request { method, target: &target, headers: &all, body_digest: &body_digest };
        let (name, value) = sign(keys, SCOPE, &request, MOMENT).pop().unwrap();
        assert_eq!(name, "Authorization");
        value.split_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn requests_of_the_published_test_suite_get_its_signatures() {
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        for (case, method, target, headers, body, expected) in [
            (
                "get-vanilla",
                "GET",
                "/",
                &[][..],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "post-vanilla",
                "POST",
                "/",
                &[][..],
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "/?Param2=value2&Param1=value1",
                &[][..],
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "post-x-www-form-urlencoded",
                "POST",
                "/",
                &form[..],
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            assert_eq!(signature(&keys(), method, target, headers, body), expected, "{case}");
        }
    }

    #[test]
    fn the_authorization_names_what_it_covers() {
        let keys = AwsKeys { session_token: Some("temporary".into()), ..keys() };
        let request = Request {
            method: "POST",
            target: "/_bulk",
            headers: &[("Host", "h"), ("B", " two  words ")],
            body_digest: "00",
        };
        let headers = sign(&keys, SCOPE, &request, MOMENT);
        assert_eq!(headers[0], ("X-Amz-Date".into(), "20150830T123600Z".into()));
        assert_eq!(headers[1], ("X-Amz-Security-Token".into(), "temporary".into()));
        let start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=b;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(headers[2].1.starts_with(start), "{}", headers[2].1);
        let same = Request { headers: &[("Host", "h"), ("b", "two words")], ..request };
        assert_eq!(sign(&keys, SCOPE, &same, MOMENT), headers);
    }

    #[test]
    fn what_a_signature_wants_escaped_is_escaped_once_in_the_target() {
        assert_eq!(
            canonical_target("/logs-a.b/_bulk?filter_path=items.*.status,errors&pretty"),
            "/logs-a.b/_bulk?filter_path=items.%2A.status%2Cerrors&pretty="
        );
        assert_eq!(canonical_target("/a%20b/c?x=%2C"), "/a%20b/c?x=%2C");
    }

    #[test]
    fn keys_are_never_printed() {
        assert_eq!(format!("{:?}", keys()), "***");
    }
}
