//! A stand-in for an authorization server: the client credentials grant of OAuth 2.0 (RFC 6749 section 4.4).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::receiver::{
    Coding, Credentials, Head, Issuer, Notes, Receiver, Reply, Request, Route, Rule, Rules, Settings, form_fields,
};

/// The client.
pub const CLIENT_ID: &str = "scaidrive siem";
/// Its first secret.
pub const CLIENT_SECRET: &str = "p@ss:w%rd&=";

/// A token endpoint on loopback, at `/token`.
pub type OAuth = Receiver<OAuthServer>;

/// The rules of the token endpoint.
#[derive(Debug)]
pub struct OAuthServer {
    issuer: Issuer,
    secrets: Credentials,
    scope: Option<String>,
    audience: Option<String>,
}

/// How a token is asked for.
pub const TARGET: Rule = Rule::new("POST /token", "RFC 6749 section 3.2");
/// As a form.
pub const CONTENT_TYPE: Rule = Rule::new("Content-Type: application/x-www-form-urlencoded", "RFC 6749 section 4.4.2");
/// Which grant.
pub const GRANT_TYPE: Rule =
    Rule::new("grant_type=client_credentials, each parameter once", "RFC 6749 sections 3.2 and 4.4.2");
/// One way to prove it.
pub const CLIENT: Rule = Rule::new("client id and secret by Basic or in the body, not both", "RFC 6749 section 2.3");

impl OAuth {
    /// Starts an endpoint that issues into `tokens`; scope and audience must be as given here, where they are.
    pub fn start(tokens: &Arc<Credentials>, scope: Option<&str>, audience: Option<&str>, settings: Settings) -> OAuth {
        let rules = OAuthServer {
            issuer: Issuer::new(tokens),
            secrets: Credentials::of(CLIENT_SECRET),
            scope: scope.map(str::to_owned),
            audience: audience.map(str::to_owned),
        };
        Receiver::open(rules, settings)
    }
}

impl OAuthServer {
    /// Who makes the tokens.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The client's secrets.
    pub fn secrets(&self) -> &Credentials {
        &self.secrets
    }
}

/// Id and secret from `Authorization: Basic`, each form-encoded before they were joined (RFC 6749 section 2.3.1).
fn basic(head: &Head) -> Option<(String, String)> {
    let text = STANDARD.decode(head.header("authorization")?.strip_prefix("Basic ")?).ok()?;
    let colon = text.iter().position(|byte| *byte == b':')?;
    let decode = |part: &[u8]| form_fields(&[b"x=", part].concat()).pop().map(|(_, value)| value);
    Some((decode(&text[..colon])?, decode(&text[colon + 1..])?))
}

fn refusal(status: u16, error: &str) -> Reply {
    Reply::json(status, format!("{{\"error\":\"{error}\"}}"))
}

impl Rules for OAuthServer {
    fn name(&self) -> &'static str {
        "OAuth 2.0"
    }

    fn main_route(&self) -> Route {
        Route::Query
    }

    fn codings(&self) -> &'static [Coding] {
        &[]
    }

    fn answer(&self, status: u16) -> Reply {
        refusal(status, if status == 401 { "invalid_client" } else { "invalid_request" })
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        if head.method != "POST" || head.path != "/token" {
            notes.breach(TARGET, format!("{} {}", head.method, head.path));
            return Err(self.answer(404));
        }
        if head.media_type().as_deref() != Some("application/x-www-form-urlencoded") {
            notes.breach(CONTENT_TYPE, format!("{:?}", head.header("content-type")));
            return Err(self.answer(400));
        }
        Ok(Route::Query)
    }

    fn query(&self, request: &Request, notes: &mut Notes) -> Reply {
        let form = form_fields(&request.body);
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let is_repeated = (1..form.len()).any(|end| form[..end].iter().any(|(key, _)| *key == form[end].0));
        if field("grant_type").as_deref() != Some("client_credentials") || is_repeated {
            notes.breach(GRANT_TYPE, String::from_utf8_lossy(&request.body));
            return refusal(400, "unsupported_grant_type");
        }
        let in_body = field("client_id").zip(field("client_secret"));
        let (id, secret) = match (basic(&request.head), in_body) {
            (Some(client), None) | (None, Some(client)) => client,
            (Some(_), Some(_)) | (None, None) => {
                notes.breach(CLIENT, "none or both");
                return refusal(400, "invalid_request");
            }
        };
        if id != CLIENT_ID || !self.secrets.accepts(&secret) {
            return refusal(401, "invalid_client");
        }
        if field("scope") != self.scope || field("audience") != self.audience {
            return refusal(400, "invalid_scope");
        }
        let (token, life) = self.issuer.issue();
        let body = serde_json::json!({ "access_token": token, "token_type": "Bearer", "expires_in": life.as_secs() });
        Reply::json(200, body.to_string()).with("Cache-Control", "no-store")
    }
}
