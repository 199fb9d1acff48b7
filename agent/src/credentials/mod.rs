//! How a destination lets us in: what each request shows, fetched and renewed where it does not last.
//!
//! | file | what it does |
//! |---|---|
//! | `cache.rs` | when a token is used, renewed, waited for; pure |
//! | `entra.rs` | tokens for Azure: applications, workload identities, managed identities |
//! | `oauth.rs` | tokens of any OAuth 2.0 server |
//! | `aws.rs`, `sigv4.rs` | where AWS keys come from, and signing with them |
//! | `ask.rs` | one request to whoever issues tokens or keys |
//!
//! Always true: one [`Credentials`] for each destination, shared by all shards, so that a token is fetched once; files
//! are looked at on helper threads only; what can't be read again leaves what was read before in use, with a warning;
//! no secret is ever in `Debug` output, in an error or in the log.

mod ask;
mod aws;
pub mod cache;
mod entra;
mod oauth;
mod sigv4;

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_lite::future::or;
use scaidrive_codecs::oauth::Token;
use scaidrive_codecs::signature::{SIGNATURE_HEADER, SigningKey, shared_key, webhook_signature};
use scaidrive_codecs::time::write_http_date;

use self::cache::{Cache, Lease, Trouble, TroubleCause, TroubleKind};
use self::sigv4::{AwsKeys, canonical_target, digest_of};
use crate::config::{Auth, Destination, HttpUrl, ProxySettings, Secret};
use crate::heap::Wiped;
use crate::runtime::{Runtime, offload_value};
use crate::shard::Chance;
use crate::time::Millis;
use crate::transport::{Proxy, Targets, TlsClient};
use crate::watch_files::WatchedFiles;

/// See the module.
pub struct Credentials {
    destination: String,
    lookup: Box<dyn Fn(&str) -> Option<String> + Send + Sync>,
    state: Mutex<State>,
    tokens: Wiped<Mutex<Cache<Token>>>,
    aws_keys: Wiped<Mutex<Cache<AwsKeys>>>,
    /// TLS towards those who issue tokens: they are public services, so the system's authorities vouch for them.
    issuer_tls: Mutex<Option<Arc<TlsClient>>>,
    /// Where those who issue tokens may be.
    targets: Arc<Targets>,
}

#[derive(Debug)]
struct State {
    /// As configured, with the secrets as they were last read.
    auth: Vec<Auth>,
    /// The proxy on the way, with its password as it was last read.
    proxy: Option<ProxySettings>,
    files: WatchedFiles,
    /// How often the secrets have changed.
    changes: u64,
    next_look: Millis,
    /// The destination refused what it was shown: read everything again, changed or not.
    must_read: bool,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials for {}", self.destination)
    }
}

/// A request that is about to be sent, for those who sign it.
pub struct Signable<'r> {
    /// The method.
    pub method: &'r str,
    /// The `Host` header.
    pub host: &'r str,
    /// Path and query.
    pub target: &'r str,
    /// Headers that the format sets.
    pub headers: &'r [(String, String)],
    /// Bytes of the body as it is sent.
    pub length: usize,
    /// Visits the body before compression.
    pub plain: &'r dyn Fn(&mut dyn FnMut(&[u8])),
    /// Visits the body as it is sent.
    pub sent: &'r dyn Fn(&mut dyn FnMut(&[u8])),
}

/// What a request shows to be let in. Holds secrets, so it has no `Debug`.
#[derive(Default)]
pub struct Shown {
    /// Headers to add.
    pub headers: Vec<(String, String)>,
    /// The request target, where the credentials change it: it is secret itself, or signed in a certain spelling.
    pub target: Option<String>,
    /// Which token it was.
    generation: Option<u64>,
    /// What must not be repeated anywhere.
    secrets: Vec<String>,
}

impl Credentials {
    /// What `destination` wants to be shown. `lookup` looks an environment variable up.
    pub fn new(
        destination: &Destination,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Arc<Credentials> {
        let auth = destination.auth.clone();
        let proxy = destination.proxy.clone();
        let secrets = destination.secrets().into_iter();
        let files = WatchedFiles::new(secrets.filter_map(|(_, secret)| secret.source().path().map(Into::into)));
        Arc::new(Credentials {
            destination: destination.name.clone(),
            lookup: Box::new(lookup),
            state: Mutex::new(State { auth, proxy, files, changes: 0, next_look: Millis::ZERO, must_read: false }),
            tokens: Wiped::default(),
            aws_keys: Wiped::default(),
            issuer_tls: Mutex::new(None),
            targets: Arc::clone(&destination.targets),
        })
    }

    /// A number that stays the same as long as every request shows the same; `None` where each shows something of its own.
    pub async fn lasting(self: &Arc<Self>, runtime: &Rc<dyn Runtime>) -> Option<u64> {
        self.keep_fresh(runtime).await;
        let state = self.state();
        state.auth.iter().all(Auth::is_lasting).then_some(state.changes)
    }

    /// What `request` shows. Waits for a token where one is needed.
    ///
    /// # Errors
    /// Why there is nothing to show.
    pub async fn show(self: &Arc<Self>, runtime: &Rc<dyn Runtime>, request: &Signable<'_>) -> Result<Shown, Trouble> {
        self.keep_fresh(runtime).await;
        let auth = self.state().auth.clone();
        let mut shown = Shown::default();
        for way in &auth {
            match way {
                Auth::Header { name, prefix, secret, .. } => {
                    shown.add(name, format!("{prefix}{}", secret.reveal()));
                    shown.secrets.push(secret.reveal().to_owned());
                }
                Auth::Basic { user, password } => {
                    let pair = STANDARD.encode(format!("{user}:{}", password.reveal()));
                    shown.add("Authorization", format!("Basic {pair}"));
                    shown.secrets.extend([pair, password.reveal().to_owned()]);
                }
                Auth::SecretUrl(secret) => {
                    let url = HttpUrl::parse(secret.reveal())
                        .map_err(|why| misconfigured(format!("the secret URL {why}")))?;
                    // What a source's address ends in is its code, and enough to use it.
                    let code = url.path.rsplit('/').next().unwrap_or_default().to_owned();
                    shown.secrets.extend([secret.reveal().to_owned(), url.path.clone(), code]);
                    shown.target = Some(url.path);
                }
                Auth::OAuth(_) | Auth::Entra(_) => {
                    let (token, generation) = self.token(runtime, way).await?;
                    shown.generation = Some(generation);
                    shown.add("Authorization", format!("Bearer {}", token.secret()));
                    shown.secrets.push(token.secret().to_owned());
                }
                Auth::SharedKey { workspace, key } => {
                    let key =
                        SigningKey::from_base64(key.reveal()).map_err(|problem| misconfigured(problem.to_string()))?;
                    let date = http_date(runtime.wall_ms());
                    shown.add("Authorization", shared_key(workspace, &key, request.length, &date));
                    shown.add("x-ms-date", date);
                }
                Auth::Signature(secrets) => shown.add(SIGNATURE_HEADER, signature(secrets, runtime.wall_ms(), request)),
                Auth::Aws(aws) => {
                    let (keys, generation) = self.aws_keys(runtime, aws).await?;
                    shown.generation = generation;
                    shown.secrets.extend(keys.session_token.clone());
                    let target = canonical_target(request.target);
                    let digest = digest_of(request.sent);
                    let mut headers = vec![("Host", request.host), ("X-Amz-Content-Sha256", digest.as_str())];
                    headers.extend(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                    let scope = sigv4::Scope { region: &aws.region, service: &aws.service };
                    let signed = sigv4::Request {
                        method: request.method,
                        target: &target,
                        headers: &headers,
                        body_digest: &digest,
                    };
                    shown.headers.extend(sigv4::sign(&keys, scope, &signed, runtime.wall_ms()));
                    shown.add("X-Amz-Content-Sha256", digest.clone());
                    shown.target = Some(target);
                }
            }
        }
        Ok(shown)
    }

    /// The destination refused what it was shown. Returns whether the same request may be sent again at once: it showed
    /// a token, and the next one shows another.
    pub fn refused(&self, shown: &Shown) -> bool {
        self.state().must_read = true;
        match shown.generation {
            Some(generation) => {
                lock(&self.tokens).refused(generation);
                lock(&self.aws_keys).refused(generation);
                true
            }
            None => false,
        }
    }

    /// The proxy on the way to `host`, if there is one.
    pub fn proxy_to(&self, host: &str) -> Option<Arc<Proxy>> {
        let state = self.state();
        let proxy = state.proxy.as_ref().filter(|proxy| proxy.leads_to(host))?;
        let login = proxy.login.as_ref().map(|(user, password)| format!("{user}:{}", password.reveal()));
        Some(Arc::new(Proxy {
            host: proxy.url.host.clone(),
            port: proxy.url.port,
            authorization: login.map(|pair| format!("Basic {}", STANDARD.encode(pair))),
        }))
    }

    /// Everything secret is read again at the next use, changed or not.
    pub fn read_again(&self) {
        self.state().must_read = true;
    }

    /// Has the files that secrets are in looked at, every few seconds, and read again when they changed.
    async fn keep_fresh(self: &Arc<Self>, runtime: &Rc<dyn Runtime>) {
        {
            let mut state = self.state();
            let now = runtime.now();
            if !state.must_read && (state.files.is_empty() || now < state.next_look) {
                return;
            }
            state.next_look = now.plus(LOOK_EVERY);
        }
        let (this, now) = (Arc::clone(self), runtime.now());
        if let Err(panicked) = offload_value(runtime, move || this.look_again(now)).await {
            tracing::error!(destination = %self.destination, "{panicked}");
        }
    }

    /// Reads again what changed. Blocks on the disk.
    fn look_again(&self, now: Millis) {
        // The lock is not held while reading: a disk that hangs must not stop the other shards.
        let (mut files, mut auth, mut proxy, must_read) = {
            let state = self.state();
            (state.files.clone(), state.auth.clone(), state.proxy.clone(), state.must_read)
        };
        if !files.have_changed() && !must_read {
            return;
        }
        let passwords = proxy.iter_mut().flat_map(|proxy| &mut proxy.login).map(|(_, password)| password);
        for way in &mut auth {
            let before = way.clone();
            way.secrets_mut().into_iter().for_each(|secret| self.renew(secret, Some(&before)));
        }
        passwords.for_each(|secret| self.renew(secret, None));
        let mut state = self.state();
        state.files = files;
        state.must_read = false;
        state.proxy = proxy;
        if state.auth != auth {
            tracing::info!(destination = %self.destination, "its secrets changed and were read again");
            state.auth = auth;
            state.changes += 1;
            drop(state);
            // What was fetched with the old ones may not be what the new ones give.
            lock(&self.tokens).outdated(now);
        }
    }

    /// Reads a secret again; what would not have been taken at the start does not replace what was.
    fn renew(&self, secret: &mut Secret, way: Option<&Auth>) {
        let fresh = secret.read_again().map_err(|problem| crate::config::with_cause(&problem));
        match fresh.and_then(|fresh| replacement(fresh, secret, way)) {
            Ok(fresh) => *secret = fresh,
            Err(why) => tracing::warn!(destination = %self.destination, "{why}; what was read before stays in use"),
        }
    }

    async fn token(self: &Arc<Self>, runtime: &Rc<dyn Runtime>, way: &Auth) -> Result<(Token, u64), Trouble> {
        let fetch = || async {
            match way {
                Auth::Entra(entra) => entra::fetch(self, runtime, entra).await,
                Auth::OAuth(oauth) => oauth::fetch(self, runtime, oauth).await,
                _ => Err(misconfigured(String::from("no token belongs to this"))),
            }
        };
        leased(runtime, &self.tokens, fetch).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// `fresh`, if it may take the place of `before`: the checks of the first reading, and a secret address stays on its
/// host, because the connection goes where the configuration said.
fn replacement(fresh: Secret, before: &Secret, way: Option<&Auth>) -> Result<Secret, String> {
    let place = fresh.source();
    if !fresh.fits_a_header() {
        return Err(format!("the {place} holds spaces or characters outside ASCII, which no token has"));
    }
    match way {
        Some(Auth::SecretUrl(_)) => {
            let is_at = |url: HttpUrl| (url.tls, url.host, url.port);
            let now =
                HttpUrl::parse(fresh.reveal()).map_err(|why| format!("the {place} holds an address which {why}"))?;
            if HttpUrl::parse(before.reveal()).ok().map(is_at) != Some(is_at(now)) {
                return Err(format!("the {place} holds an address on another host, which needs a reload"));
            }
        }
        Some(Auth::SharedKey { .. }) => {
            SigningKey::from_base64(fresh.reveal()).map_err(|problem| format!("the {place}: {problem}"))?;
        }
        _ => {}
    }
    Ok(fresh)
}

/// What a cache holds, fetched by `fetch` when it is this caller's turn.
async fn leased<T: Clone, F: Future<Output = Result<(T, Millis), Trouble>>>(
    runtime: &Rc<dyn Runtime>,
    cache: &Mutex<Cache<T>>,
    fetch: impl Fn() -> F,
) -> Result<(T, u64), Trouble> {
    let deadline = runtime.now().plus(WAIT_MAX);
    loop {
        let lease = lock(cache).lease(runtime.now());
        match lease {
            Lease::Use(value, generation) => return Ok((value, generation)),
            Lease::Failed(trouble) => return Err(trouble),
            Lease::Wait if runtime.now() >= deadline => {
                let why = String::from("another shard has been waiting for a token too long");
                return Err(Trouble { kind: TroubleKind::Busy, why, after: None, cause: TroubleCause::Unknown });
            }
            Lease::Wait => runtime.sleep(WAIT_STEP).await,
            Lease::Fetch => {
                let mut turn = Turn { cache, is_over: false };
                // While what is held is good nothing waits long for the next.
                let is_renewal = lock(cache).held(runtime.now()).is_some();
                let fetched = if is_renewal { or(fetch(), renewal_hangs(runtime)).await } else { fetch().await };
                let now = runtime.now();
                let mut cache = lock(cache);
                // From here on the turn may be somebody else's.
                turn.is_over = true;
                let held = match fetched {
                    Ok((value, life)) => {
                        cache.fetched(value, life, now, &mut Chance(&**runtime));
                        cache.held(now)
                    }
                    Err(trouble) => {
                        cache.failed(trouble.clone(), now);
                        Some(cache.held(now).ok_or(trouble)?)
                    }
                };
                let ended = || misconfigured(String::from("what was fetched has ended already; is the clock right?"));
                return held.ok_or_else(ended);
            }
        }
    }
}

/// The failure of a renewal that takes too long.
async fn renewal_hangs<T>(runtime: &Rc<dyn Runtime>) -> Result<T, Trouble> {
    runtime.sleep(RENEWAL_MAX).await;
    let why = String::from("whoever renews what lets us in does not answer in time");
    Err(Trouble { kind: TroubleKind::Busy, why, after: None, cause: TroubleCause::Unknown })
}

/// Somebody's turn to fetch; whoever goes away in the middle of it leaves the way free.
struct Turn<'c, T: Clone> {
    cache: &'c Mutex<Cache<T>>,
    /// The cache knows how it ended.
    is_over: bool,
}

impl<T: Clone> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if !self.is_over {
            lock(self.cache).abandoned();
        }
    }
}

impl Shown {
    fn add(&mut self, name: &str, value: String) {
        self.headers.push((name.to_owned(), value));
    }

    /// Replaces what is secret of this in a text from outside. A text that was cut may end within a secret, so a
    /// beginning of one at its end goes too.
    pub fn hide_in(&self, text: &mut String) {
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), HIDDEN);
            }
            let whole = text.trim_end_matches('…');
            let begun = secret.char_indices().map(|(at, _)| &secret[..at]).filter(|part| part.len() >= HIDDEN_MIN);
            if let Some(part) = begun.rev().find(|part| whole.ends_with(part)) {
                let keep = whole.len() - part.len();
                text.replace_range(keep.., HIDDEN);
            }
        }
    }
}

fn signature(secrets: &[crate::config::Secret], wall_ms: i64, request: &Signable<'_>) -> String {
    let keys: Vec<SigningKey> = secrets.iter().map(|secret| SigningKey::from_text(secret.reveal())).collect();
    let mut plain = Vec::new();
    (request.plain)(&mut |piece| plain.extend_from_slice(piece));
    webhook_signature(&keys, u64::try_from(wall_ms / 1000).unwrap_or(0), [plain.as_slice()])
}

fn http_date(wall_ms: i64) -> String {
    let mut text = Vec::new();
    write_http_date(wall_ms, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn misconfigured(why: String) -> Trouble {
    Trouble { kind: TroubleKind::Misconfigured, why, after: None, cause: TroubleCause::Unknown }
}

/// No code that can panic runs under these locks, so what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands where something secret was.
const HIDDEN: &str = "***";
/// Fewer bytes of a secret than this at the end of a text are chance.
const HIDDEN_MIN: usize = 6;
/// How often files are looked at.
const LOOK_EVERY: Millis = Millis::from_secs(5);
/// How long requests wait for a renewal while they could go without; what is held is used then.
const RENEWAL_MAX: Millis = Millis::from_secs(3);
/// How long one shard waits for another to fetch, and how often it looks.
const WAIT_MAX: Millis = Millis::from_secs(60);
const WAIT_STEP: Millis = Millis(50);

#[cfg(test)]
mod tests;
