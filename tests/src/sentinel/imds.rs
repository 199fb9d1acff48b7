//! Stand-ins for the endpoints that give a managed identity its tokens: a virtual machine's instance metadata service,
//! App Service, and an Azure Arc agent. The latter two are written from SDK sources and were never compared with the real ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use super::RESOURCE;
use crate::receiver::{
    Coding, Credentials, Head, Issuer, Notes, Receiver, Reply, Request, Route, Rule, Rules, Settings,
};
use crate::rng::mix;

/// The client id of the identity that is assigned.
pub const IDENTITY: &str = "00000000-0000-0000-0000-00000000cccc";
/// App Service's `IDENTITY_HEADER`.
pub const APP_SERVICE_HEADER: &str = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a";

/// A metadata endpoint on loopback.
pub type Imds = Receiver<ManagedIdentity>;

/// Where the agent believes to run.
#[derive(Clone, Debug)]
pub enum Host {
    /// On a virtual machine.
    Machine,
    /// In App Service, Functions or Container Apps.
    AppService,
    /// On a machine connected by Azure Arc, which leaves its challenges in this folder.
    Arc(PathBuf),
}

/// The rules of the endpoint.
#[derive(Debug)]
pub struct ManagedIdentity {
    host: Host,
    issuer: Issuer,
    challenge: Mutex<Option<String>>,
    challenges: AtomicU64,
}

const VM: &str = "Microsoft, How to use managed identities on an Azure VM to acquire an access token";
const APP: &str = "Microsoft, App Service managed identity: REST endpoint reference";
const ARC: &str = "Microsoft, Authenticate against Azure resources with Azure Arc-enabled servers";

/// The path and version on a machine.
pub const TARGET: Rule = Rule::new("GET /metadata/identity/oauth2/token with api-version=2018-02-01", VM);
/// Guards against forged requests.
pub const METADATA: Rule = Rule::new("the header Metadata: true, in lower case", VM);
/// Link-local only.
pub const NO_PROXY: Rule = Rule::new("no proxy between the client and the endpoint", VM);
/// The resource, not a scope.
pub const RESOURCE_NAMED: Rule = Rule::new("resource is the resource without /.default, and no scope", VM);
/// The version in App Service.
pub const APP_TARGET: Rule = Rule::new("GET with api-version=2019-08-01", APP);
/// Its own guard.
pub const APP_HEADER: Rule = Rule::new("X-IDENTITY-HEADER with the value of IDENTITY_HEADER", APP);
/// The version of Arc.
pub const ARC_TARGET: Rule = Rule::new("GET /metadata/identity/oauth2/token with api-version=2019-11-01", ARC);
/// The answer to a challenge.
pub const ARC_KEY: Rule =
    Rule::new("Authorization: Basic <content of the file that the challenge names>, each used once", ARC);

const MACHINE_PATH: &str = "/metadata/identity/oauth2/token";
const INVALID: &str = "invalid_request";

impl Imds {
    /// Starts an endpoint as on `host` that issues into `tokens`.
    pub fn start(host: Host, tokens: &Arc<Credentials>, settings: Settings) -> Imds {
        let rules = ManagedIdentity {
            host,
            issuer: Issuer::new(tokens),
            challenge: Mutex::default(),
            challenges: AtomicU64::new(0),
        };
        Receiver::open(rules, settings)
    }
}

impl ManagedIdentity {
    /// Who makes the tokens.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    fn check_guard(&self, head: &Head, notes: &mut Notes) -> Result<(), Reply> {
        match &self.host {
            Host::Machine => check_metadata(head, notes),
            Host::AppService if head.header("x-identity-header") == Some(APP_SERVICE_HEADER) => Ok(()),
            Host::AppService => {
                notes.breach(APP_HEADER, format!("{:?}", head.header("x-identity-header").map(str::len)));
                Err(refusal(403, INVALID, "The identity header is wrong."))
            }
            Host::Arc(folder) => {
                check_metadata(head, notes)?;
                self.check_challenge(folder, head, notes)
            }
        }
    }

    fn check_challenge(&self, folder: &Path, head: &Head, notes: &mut Notes) -> Result<(), Reply> {
        let expected = self.challenge.lock().expect("no holder panics").take();
        match head.header("authorization") {
            None => {
                let number = self.challenges.fetch_add(1, Ordering::Relaxed) + 1;
                let key = format!("{:016x}{:016x}", mix(number), mix(number ^ u64::MAX));
                let file = folder.join(format!("{number}.key"));
                fs::write(&file, &key).expect("the test's folder can be written");
                *self.challenge.lock().expect("no holder panics") = Some(key);
                let challenge = format!("Basic realm={}", file.display());
                Err(refusal(401, "unauthorized_client", "Missing Basic authorization.")
                    .with("WWW-Authenticate", &challenge))
            }
            Some(given) if expected.as_ref().is_some_and(|key| given == format!("Basic {key}")) => Ok(()),
            Some(_) => {
                notes.breach(ARC_KEY, "another value");
                Err(refusal(401, "unauthorized_client", "The key is wrong."))
            }
        }
    }
}

impl Rules for ManagedIdentity {
    fn name(&self) -> &'static str {
        "managed identity"
    }

    fn main_route(&self) -> Route {
        Route::Query
    }

    fn codings(&self) -> &'static [Coding] {
        &[]
    }

    fn answer(&self, status: u16) -> Reply {
        match status {
            410 => refusal(410, "gone", "The endpoint is updating."),
            429 => refusal(429, "too_many_requests", "Throttled."),
            _ => refusal(status, INVALID, "The request failed."),
        }
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        let (rule, version, path) = match self.host {
            Host::Machine => (TARGET, "2018-02-01", Some(MACHINE_PATH)),
            Host::AppService => (APP_TARGET, "2019-08-01", None),
            Host::Arc(_) => (ARC_TARGET, "2019-11-01", Some(MACHINE_PATH)),
        };
        let is_there = path.is_none_or(|path| path == head.path);
        if head.method != "GET" || !is_there || head.parameter("api-version").as_deref() != Some(version) {
            notes.breach(rule, format!("{} {}?{}", head.method, head.path, head.query));
            return Err(self.answer(400));
        }
        for name in ["x-forwarded-for", "via"] {
            if let Some(found) = head.header(name) {
                notes.breach(NO_PROXY, format!("{name}: {found}"));
                return Err(self.answer(400));
            }
        }
        self.check_guard(head, notes)?;
        if head.parameter("resource").as_deref() != Some(RESOURCE) || head.parameter("scope").is_some() {
            notes.breach(RESOURCE_NAMED, &head.query);
            return Err(refusal(400, "invalid_resource", "The resource is unknown."));
        }
        if head.parameter("client_id").is_some_and(|identity| identity != IDENTITY) {
            return Err(refusal(400, INVALID, "Identity not found"));
        }
        Ok(Route::Query)
    }

    fn query(&self, _: &Request, _: &mut Notes) -> Reply {
        self.token()
    }
}

impl ManagedIdentity {
    /// Numbers are strings here, unlike at Entra ID.
    fn token(&self) -> Reply {
        let (token, life) = self.issuer.issue();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
        let ends = (now + life.as_secs()).to_string();
        let mut body = serde_json::json!({
            "access_token": token,
            "client_id": IDENTITY,
            "expires_on": ends,
            "not_before": now.to_string(),
            "resource": RESOURCE,
            "token_type": "Bearer",
        });
        if !matches!(self.host, Host::AppService) {
            body["expires_in"] = life.as_secs().to_string().into();
        }
        Reply::json(200, body.to_string())
    }
}

fn check_metadata(head: &Head, notes: &mut Notes) -> Result<(), Reply> {
    if head.header("metadata") == Some("true") {
        return Ok(());
    }
    notes.breach(METADATA, format!("{:?}", head.header("metadata")));
    Err(refusal(400, "bad_request_102", "Required metadata header not specified"))
}

fn refusal(status: u16, error: &str, text: &str) -> Reply {
    Reply::json(status, serde_json::json!({ "error": error, "error_description": text }).to_string())
}
