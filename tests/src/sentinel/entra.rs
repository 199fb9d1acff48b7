//! A stand-in for Entra ID's token endpoint: client credentials with a secret, a certificate or a federated token.

use std::sync::{Arc, Mutex};

use super::RESOURCE;
use super::assertion::{Certificate, check_signed, is_signed_with_certificate};
use crate::receiver::{
    Coding, Credentials, Head, Issuer, Notes, Receiver, Reply, Request, Route, Rule, Rules, Settings, Standing,
    form_fields,
};

/// The directory.
pub const TENANT: &str = "00000000-0000-0000-0000-00000000aaaa";
/// The application.
pub const CLIENT: &str = "00000000-0000-0000-0000-00000000bbbb";
/// Its first secret.
pub const SECRET: &str = "s3cret~with&odd=characters+%";

/// A token endpoint on loopback.
pub type Entra = Receiver<TokenService>;

/// The rules of the token endpoint.
#[derive(Debug)]
pub struct TokenService {
    issuer: Issuer,
    secrets: Credentials,
    federated: Credentials,
    certificates: Mutex<Vec<Certificate>>,
    used_ids: Mutex<Vec<String>>,
}

const FLOW: &str = "Microsoft identity platform: OAuth 2.0 client credentials flow";

/// How a token is asked for.
pub const TARGET: Rule = Rule::new("POST /{tenant}/oauth2/v2.0/token", FLOW);
/// As a form.
pub const CONTENT_TYPE: Rule = Rule::new("Content-Type: application/x-www-form-urlencoded", FLOW);
/// Which grant.
pub const GRANT_TYPE: Rule = Rule::new("grant_type=client_credentials", FLOW);
/// For what.
pub const SCOPE: Rule = Rule::new("scope is the resource with /.default", FLOW);
/// With what, and with one thing only.
pub const CREDENTIAL: Rule =
    Rule::new("either client_secret or client_assertion with client_assertion_type jwt-bearer", FLOW);
/// A correct assertion.
pub const ASSERTION: Rule = Rule::new(
    "an assertion signed with a registered certificate: aud the endpoint, iss and sub the client, short exp, new jti",
    "Microsoft identity platform: application authentication certificate credentials",
);

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Entra {
    /// Starts an endpoint that knows [`CLIENT`] and [`SECRET`] and issues into `tokens`.
    pub fn start(tokens: &Arc<Credentials>, settings: Settings) -> Entra {
        let rules = TokenService {
            issuer: Issuer::new(tokens),
            secrets: Credentials::of(SECRET),
            federated: Credentials::default(),
            certificates: Mutex::default(),
            used_ids: Mutex::default(),
        };
        Receiver::open(rules, settings)
    }
}

impl TokenService {
    /// Who makes the tokens.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The client's secrets.
    pub fn secrets(&self) -> &Credentials {
        &self.secrets
    }

    /// The federated tokens that are accepted as assertions, byte for byte.
    pub fn federated(&self) -> &Credentials {
        &self.federated
    }

    /// Registers a certificate (DER) for the client.
    ///
    /// # Panics
    /// When it is none.
    pub fn register(&self, der: &[u8]) {
        self.certificates.lock().expect("no holder panics").push(Certificate::new(der));
    }

    fn check_credential(&self, form: &Form, notes: &mut Notes) -> Result<(), Reply> {
        match (form.get("client_secret"), form.get("client_assertion")) {
            (Some(secret), None) => match self.secrets.standing(secret) {
                Standing::Valid => Ok(()),
                Standing::Expired => {
                    Err(refusal(401, "invalid_client", 7_000_222, "The provided client secret keys are expired."))
                }
                _ => Err(refusal(401, "invalid_client", 7_000_215, "Invalid client secret provided.")),
            },
            (None, Some(assertion)) if form.get("client_assertion_type") == Some(ASSERTION_TYPE) => {
                self.check_assertion(assertion, notes)
            }
            _ => {
                notes.breach(CREDENTIAL, "none, both, or another type");
                Err(refusal(401, "invalid_client", 7_000_218, "The request body must contain a credential."))
            }
        }
    }

    fn check_assertion(&self, assertion: &str, notes: &mut Notes) -> Result<(), Reply> {
        if !is_signed_with_certificate(assertion) {
            return match self.federated.accepts(assertion) {
                true => Ok(()),
                false => Err(refusal(401, "invalid_client", 700_211, "No matching federated identity record found.")),
            };
        }
        let certificates = self.certificates.lock().expect("no holder panics");
        let audience = format!("/{TENANT}/oauth2/v2.0/token");
        let checked = check_signed(assertion, &certificates, CLIENT, &audience).and_then(|id| {
            let mut used = self.used_ids.lock().expect("no holder panics");
            match used.contains(&id) {
                true => Err(format!("the jti {id} again")),
                false => {
                    used.push(id);
                    Ok(())
                }
            }
        });
        checked.map_err(|why| {
            notes.breach(ASSERTION, why);
            refusal(401, "invalid_client", 700_027, "Client assertion failed signature validation.")
        })
    }
}

impl Rules for TokenService {
    fn name(&self) -> &'static str {
        "Entra ID"
    }

    fn main_route(&self) -> Route {
        Route::Query
    }

    fn codings(&self) -> &'static [Coding] {
        &[]
    }

    fn answer(&self, status: u16) -> Reply {
        match status {
            401 => refusal(401, "invalid_client", 7_000_215, "Invalid client secret provided."),
            429 => refusal(429, "temporarily_unavailable", 90_055, "Too many requests."),
            500.. => refusal(status, "temporarily_unavailable", 90_033, "A transient error has occurred."),
            _ => refusal(status, "invalid_request", 900_144, "The request is not valid."),
        }
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        let tenant = head.path.strip_prefix('/').and_then(|path| path.strip_suffix("/oauth2/v2.0/token"));
        match tenant {
            Some(tenant) if head.method == "POST" && !tenant.contains('/') => {
                if tenant != TENANT {
                    return Err(refusal(400, "invalid_request", 90_002, "Tenant not found."));
                }
            }
            _ => {
                notes.breach(TARGET, format!("{} {}", head.method, head.path));
                return Err(self.answer(404));
            }
        }
        if head.media_type().as_deref() != Some("application/x-www-form-urlencoded") {
            notes.breach(CONTENT_TYPE, format!("{:?}", head.header("content-type")));
            return Err(self.answer(400));
        }
        Ok(Route::Query)
    }

    fn query(&self, request: &Request, notes: &mut Notes) -> Reply {
        let form = Form(form_fields(&request.body));
        if form.get("grant_type") != Some("client_credentials") {
            notes.breach(GRANT_TYPE, format!("{:?}", form.get("grant_type")));
            return refusal(400, "unsupported_grant_type", 70_003, "The grant type is not supported.");
        }
        if form.get("scope") != Some(format!("{RESOURCE}/.default").as_str()) {
            notes.breach(SCOPE, format!("{:?}", form.get("scope")));
            return refusal(400, "invalid_scope", 70_011, "The provided value for scope is not valid.");
        }
        if form.get("client_id") != Some(CLIENT) {
            return refusal(400, "unauthorized_client", 700_016, "Application not found in the directory.");
        }
        if let Err(reply) = self.check_credential(&form, notes) {
            return reply;
        }
        let (token, life) = self.issuer.issue();
        let seconds = life.as_secs();
        let body = serde_json::json!({ "token_type": "Bearer", "expires_in": seconds, "access_token": token });
        Reply::json(200, body.to_string())
    }
}

struct Form(Vec<(String, String)>);

impl Form {
    /// The field `name`, unless it is there twice.
    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        let first = found.next()?;
        found.next().is_none().then_some(first.1.as_str())
    }
}

fn refusal(status: u16, error: &str, number: u32, text: &str) -> Reply {
    let body = serde_json::json!({
        "error": error,
        "error_description": format!("AADSTS{number}: {text}"),
        "error_codes": [number],
    });
    Reply::json(status, body.to_string())
}
