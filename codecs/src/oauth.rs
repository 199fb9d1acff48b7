//! Token requests and what their replies say: Microsoft Entra ID, managed identities, and OAuth 2.0 client credentials.
//!
//! Everything here is a value: whoever has a network sends a [`TokenRequest`] and shows the reply to [`token_reply`]. No
//! secret is ever in `Debug` output: [`TokenRequest`] shows where it goes, [`Token`] nothing.
//!
//! | identity | request |
//! |----------|---------|
//! | an application with a client secret | [`client_secret`] |
//! | an application with a certificate | [`assertion_to_sign`], [`signed_assertion`], [`client_assertion`] |
//! | workload identity federation | [`client_assertion`] with the JWT from the token file, read again for each request |
//! | managed identity of a virtual machine | [`imds`] |
//! | managed identity in App Service, Functions, Container Apps | [`app_service`] |
//! | managed identity through Azure Arc | [`arc`], [`arc_challenge`], then [`arc`] with the key |
//! | any OAuth 2.0 server | [`client_credentials`] |
//!
//! Sources: RFC 6749 (sections 2.3.1, 4.4, 5), RFC 7523, RFC 7515; Microsoft's "OAuth 2.0 client credentials flow",
//! "Microsoft identity platform application authentication certificate credentials", "How to use managed identities for
//! Azure resources on an Azure VM to acquire an access token", "How to use managed identities for App Service". What is
//! done for App Service and Arc follows Microsoft's own client libraries and has not met the real services.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest;
use serde_json::{Value, json};

use crate::http::Reply;
use crate::verdict::shown;

/// The endpoint of a virtual machine's own identity. Link-local, never through a proxy.
pub const IMDS_URL: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// Where the Azure Arc agent answers unless `IDENTITY_ENDPOINT` says otherwise.
pub const ARC_URL: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
/// The only directory an Arc challenge may name on Linux.
pub const ARC_KEY_DIR: &str = "/var/opt/azcmagent/tokens/";
/// An Arc key file longer than this is not one.
pub const ARC_KEY_BYTES_MAX: u64 = 4096;
/// The `alg` of an assertion: RSASSA-PSS with SHA-256, the salt as long as the hash (RFC 7518, section 3.5).
pub const ASSERTION_ALGORITHM: &str = "PS256";
/// How long an assertion is good for.
const ASSERTION_LIFE_SECONDS: i64 = 600;
/// The life of a token whose reply does not tell: short, so that at worst it is asked for too often.
const LIFE_DEFAULT_MS: i64 = 10 * 60_000;
/// No life is believed beyond this.
const LIFE_MAX_MS: i64 = 30 * 24 * 3_600_000;
/// No longer token fits into a request head.
const TOKEN_BYTES_MAX: usize = 48 << 10;

/// Which of Microsoft's clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// The public one.
    Public,
    /// US Government.
    UsGov,
    /// China, run by 21Vianet.
    China,
}

impl Cloud {
    /// The host of Entra ID.
    pub fn authority(self) -> &'static str {
        match self {
            Cloud::Public => "login.microsoftonline.com",
            Cloud::UsGov => "login.microsoftonline.us",
            Cloud::China => "login.chinacloudapi.cn",
        }
    }

    /// The resource of Azure Monitor, for managed identities.
    pub fn monitor(self) -> &'static str {
        match self {
            Cloud::Public => "https://monitor.azure.com",
            Cloud::UsGov => "https://monitor.azure.us",
            Cloud::China => "https://monitor.azure.cn",
        }
    }

    /// The scope of Azure Monitor, for applications.
    pub fn monitor_scope(self) -> String {
        format!("{}/.default", self.monitor())
    }

    /// The host of a workspace's Data Collector API.
    pub fn data_collector_host(self, workspace: &str) -> String {
        let suffix = match self {
            Cloud::Public => "com",
            Cloud::UsGov => "us",
            Cloud::China => "cn",
        };
        format!("{workspace}.ods.opinsights.azure.{suffix}")
    }

    /// Where an application of `tenant` (its id or a domain) asks for tokens.
    pub fn token_url(self, tenant: &str) -> String {
        let mut url = format!("https://{}/", self.authority());
        write_encoded(tenant, &mut url);
        url.push_str("/oauth2/v2.0/token");
        url
    }
}

/// A request for a token. `Debug` shows the method, the URL without its query, and the names of the headers.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The whole URL.
    pub url: String,
    /// Headers; without `Host`, `User-Agent` and the body's length. A value may be a secret.
    pub headers: Vec<(&'static str, String)>,
    /// The body, empty for `GET`. It may hold a secret.
    pub body: String,
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let place = self.url.split('?').next().unwrap_or_default();
        write!(f, "{} {place} with {names:?} and a body of {} bytes", self.method, self.body.len())
    }
}

/// An access token. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The text for `Authorization: Bearer …`; it can stand in a header.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a reply to a [`TokenRequest`] means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenOutcome {
    /// Here it is.
    Token {
        /// It.
        token: Token,
        /// When it ends, in epoch milliseconds by the clock that `now_ms` came from.
        expires_at_ms: i64,
    },
    /// The identity or the settings are wrong: hold, read the secret again, probe slowly.
    Refused {
        /// In plain words.
        why: String,
    },
    /// Ask again later.
    Retry {
        /// No sooner than this, if the server named a time.
        after_ms: Option<u64>,
        /// In plain words.
        why: String,
    },
}

/// An application of Entra ID with a client secret.
pub fn client_secret(token_url: &str, client_id: &str, secret: &str, scope: &str) -> TokenRequest {
    form(token_url, &[GRANT, ("client_id", client_id), ("client_secret", secret), ("scope", scope)])
}

/// An application of Entra ID with a signed JWT: its own, made with a certificate, or another issuer's that is registered
/// as a federated credential (RFC 7523, section 2.2).
pub fn client_assertion(token_url: &str, client_id: &str, assertion: &str, scope: &str) -> TokenRequest {
    let fields = [
        GRANT,
        ("client_id", client_id),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion.trim()),
        ("scope", scope),
    ];
    form(token_url, &fields)
}

/// What a certificate's key signs with [`ASSERTION_ALGORITHM`]: header and claims of a JWT, encoded (RFC 7515, section
/// 5.1). `certificate` is its DER encoding, whose SHA-256 is the header's `x5t#S256`; `jti` must be new each time.
pub fn assertion_to_sign(token_url: &str, client_id: &str, certificate: &[u8], jti: &str, now_ms: i64) -> String {
    let thumbprint = digest::digest(&digest::SHA256, certificate);
    let header =
        json!({"alg": ASSERTION_ALGORITHM, "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint.as_ref())});
    let now = now_ms.div_euclid(1000);
    let claims = json!({
        "aud": token_url, "iss": client_id, "sub": client_id, "jti": jti,
        "iat": now, "nbf": now, "exp": now + ASSERTION_LIFE_SECONDS
    });
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// The JWT of what [`assertion_to_sign`] gave and its signature.
pub fn signed_assertion(to_sign: &str, signature: &[u8]) -> String {
    format!("{to_sign}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// How an OAuth 2.0 server wants to be shown who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the `Authorization` header, which every server must take.
    Basic,
    /// In the form, which some servers want instead.
    Form,
}

/// OAuth 2.0 client credentials (RFC 6749, section 4.4). `audience` is no part of the standard, but some servers want it.
pub fn client_credentials(
    token_url: &str,
    client_id: &str,
    secret: &str,
    auth: ClientAuth,
    scope: Option<&str>,
    audience: Option<&str>,
) -> TokenRequest {
    let mut fields = vec![GRANT];
    if auth == ClientAuth::Form {
        fields.extend([("client_id", client_id), ("client_secret", secret)]);
    }
    fields.extend(scope.map(|scope| ("scope", scope)));
    fields.extend(audience.map(|audience| ("audience", audience)));
    let mut request = form(token_url, &fields);
    if auth == ClientAuth::Basic {
        // Both halves are encoded as in a form before they are joined (section 2.3.1).
        let mut pair = String::new();
        write_encoded(client_id, &mut pair);
        pair.push(':');
        write_encoded(secret, &mut pair);
        request.headers.push(("Authorization", format!("Basic {}", STANDARD.encode(pair))));
    }
    request
}

/// Which of a machine's identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The machine's own, or its only one.
    System,
    /// The user-assigned one with this client id.
    ClientId(String),
    /// The user-assigned one with this object id.
    ObjectId(String),
    /// The user-assigned one with this Azure resource id.
    ResourceId(String),
}

/// The managed identity of a virtual machine. `resource` has no `/.default`.
pub fn imds(resource: &str, identity: &Identity) -> TokenRequest {
    let keys = ["client_id", "object_id", "msi_res_id"];
    get(identity_url(IMDS_URL, "2018-02-01", resource, identity, keys), vec![("Metadata", String::from("true"))])
}

/// A managed identity in App Service and what is built on it. `endpoint` and `header` are the environment's
/// `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`.
pub fn app_service(endpoint: &str, header: &str, resource: &str, identity: &Identity) -> TokenRequest {
    let keys = ["client_id", "principal_id", "mi_res_id"];
    let url = identity_url(endpoint, "2019-08-01", resource, identity, keys);
    get(url, vec![("X-IDENTITY-HEADER", header.to_owned())])
}

/// A managed identity through Azure Arc: first without `key`, which is answered by a challenge, then with the content of
/// the file that [`arc_challenge`] names. Arc machines have only the one identity.
pub fn arc(endpoint: &str, resource: &str, key: Option<&str>) -> TokenRequest {
    let mut headers = vec![("Metadata", String::from("true"))];
    headers.extend(key.map(|key| ("Authorization", format!("Basic {}", key.trim()))));
    get(identity_url(endpoint, "2019-11-01", resource, &Identity::System, [""; 3]), headers)
}

/// The key file that an Arc endpoint's 401 names: `WWW-Authenticate: Basic realm=<file>`.
///
/// Only a `.key` file directly in [`ARC_KEY_DIR`] is believed, so that whoever listens on that port can't have any other
/// file read and sent to it. Whoever reads it keeps to [`ARC_KEY_BYTES_MAX`].
pub fn arc_challenge(reply: &Reply) -> Option<String> {
    let challenge = reply.header("www-authenticate").filter(|_| reply.status == 401)?.trim();
    let (scheme, parameters) = challenge.split_once(' ')?;
    let realm = parameters.trim().strip_prefix("realm=").filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let path = realm.trim_matches('"');
    let name = path.strip_prefix(ARC_KEY_DIR)?.strip_suffix(".key")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_name)).then(|| path.to_owned())
}

/// What a reply to a token request means. `now_ms` is the wall clock, from which the token's end is counted.
///
/// No text of a successful reply and no secret gets into the words. The words of an error are the server's, but what to
/// do never depends on them.
pub fn token_reply(reply: &Reply, now_ms: i64) -> TokenOutcome {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match reply.status {
        200..300 => granted(reply.status, &body, now_ms),
        // A machine's endpoint answers 404 and 410 while it is updated, the latter for up to 70 seconds.
        404 | 408 | 410 | 425 | 429 | 500.. => {
            TokenOutcome::Retry { after_ms: reply.retry_after(now_ms), why: error_words(reply, &body) }
        }
        _ => TokenOutcome::Refused { why: error_words(reply, &body) },
    }
}

/// What the reply that refuses a token calls the error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenError {
    /// Its name, such as `invalid_client` (RFC 6749, section 5.2); none where this is no such reply.
    pub error: Option<String>,
    /// Microsoft's numbers for it.
    pub codes: Vec<u64>,
}

/// The error that a reply to a token request names.
pub fn token_error(reply: &Reply) -> TokenError {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let codes = body["error_codes"].as_array().map_or(&[][..], Vec::as_slice);
    TokenError { error: body["error"].as_str().map(shown), codes: codes.iter().filter_map(Value::as_u64).collect() }
}

fn granted(status: u16, body: &Value, now_ms: i64) -> TokenOutcome {
    let refused = |why: &str| TokenOutcome::Refused { why: format!("HTTP {status}: {why}") };
    let Some(text) = body["access_token"].as_str() else {
        return refused("the reply has no `access_token`, so this is not a token endpoint");
    };
    let is_bearer = body["token_type"].as_str().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !is_bearer {
        return refused("the token is not a bearer token");
    }
    let fits = (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return refused("the token cannot stand in a header");
    }
    TokenOutcome::Token { token: Token(text.to_owned()), expires_at_ms: expires_at(body, now_ms) }
}

/// By `expires_in` (seconds from now), else by `expires_on` (epoch seconds), both numbers or strings of digits.
fn expires_at(body: &Value, now_ms: i64) -> i64 {
    let by_life = seconds(&body["expires_in"]).map(|life| life.saturating_mul(1000));
    let by_end = || seconds(&body["expires_on"]).map(|end| end.saturating_mul(1000).saturating_sub(now_ms));
    now_ms.saturating_add(by_life.or_else(by_end).unwrap_or(LIFE_DEFAULT_MS).clamp(0, LIFE_MAX_MS))
}

fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::String(digits) => digits.trim().parse().ok(),
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64)),
        _ => None,
    }
}

fn error_words(reply: &Reply, body: &Value) -> String {
    let Some(error) = body["error"].as_str() else {
        return format!("HTTP {}: {}", reply.status, shown(&String::from_utf8_lossy(&reply.body)));
    };
    let mut words = format!("HTTP {}, {}", reply.status, shown(error));
    if let Some(description) = body["error_description"].as_str() {
        words.push_str(": ");
        words.push_str(&shown(description));
    }
    let codes = body["error_codes"].as_array().map_or(&[][..], Vec::as_slice);
    let hint = codes.iter().filter_map(Value::as_u64).find_map(hint_of).or_else(|| hint_of_word(error));
    if let Some(hint) = hint {
        words.push_str(&format!(" ({hint})"));
    }
    words
}

/// Microsoft's "Microsoft Entra authentication and authorization error codes".
fn hint_of(code: u64) -> Option<&'static str> {
    match code {
        7_000_215 => Some("the client secret is wrong; its value is needed, not its id"),
        7_000_222 => Some("the client secret has expired"),
        700_016 => Some("this tenant has no application with this client id"),
        90_002 => Some("there is no such tenant in this cloud"),
        70_011 => Some("the scope is wrong; each cloud has its own"),
        700_211..=700_213 => Some("issuer, subject or audience differ from those of the federated credential"),
        _ => None,
    }
}

/// The words of a machine's own endpoint.
fn hint_of_word(error: &str) -> Option<&'static str> {
    match error {
        "invalid_resource" => Some("the resource is not known in this cloud"),
        "bad_request_102" => Some("the header `Metadata: true` did not arrive; is there a proxy in between?"),
        "unauthorized" | "unknown_source" => Some("no identity is assigned to this machine"),
        _ => None,
    }
}

fn identity_url(endpoint: &str, version: &str, resource: &str, identity: &Identity, keys: [&str; 3]) -> String {
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    let mut url = format!("{endpoint}{separator}api-version={version}&resource=");
    write_encoded(resource, &mut url);
    let chosen = match identity {
        Identity::System => None,
        Identity::ClientId(id) => Some((keys[0], id)),
        Identity::ObjectId(id) => Some((keys[1], id)),
        Identity::ResourceId(id) => Some((keys[2], id)),
    };
    if let Some((key, id)) = chosen {
        url.push_str(&format!("&{key}="));
        write_encoded(id, &mut url);
    }
    url
}

fn get(url: String, headers: Vec<(&'static str, String)>) -> TokenRequest {
    TokenRequest { method: "GET", url, headers, body: String::new() }
}

fn form(url: &str, fields: &[(&str, &str)]) -> TokenRequest {
    let mut body = String::new();
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(name);
        body.push('=');
        write_encoded(value, &mut body);
    }
    let headers = vec![
        ("Content-Type", String::from("application/x-www-form-urlencoded")),
        ("Accept", String::from("application/json")),
    ];
    TokenRequest { method: "POST", url: url.to_owned(), headers, body }
}

/// Percent-encodes everything but the unreserved characters (RFC 3986, section 2.3): right in a path, in a query and in a
/// form.
fn write_encoded(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
