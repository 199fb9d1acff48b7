//! Tokens: what somebody shows who is neither root nor the agent's user. Pure: time and chance come from outside.
//!
//! A token is `sds_` and 32 random bytes in base64url. Only the SHA-256 of its text is kept, and what it may: with 256
//! bits of entropy there is nothing to guess, so a slow hash would cost each request much and an attacker nothing more.
//! Names are unique, a secret never comes twice, and there are [`TOKENS_MAX`] at most.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::person::{Person, Reach, Role, Via};
use crate::control::whole;
use crate::ingest::http::guard::is_same;

/// All tokens, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    list: Vec<Token>,
}

/// What is kept instead of a secret: its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; digest::SHA256_OUTPUT_LEN]);

/// One token as it is kept.
#[derive(Clone, Debug)]
struct Token {
    line: TokenLine,
    digest: Digest,
}

/// A token as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenLine {
    /// What people call it; unique.
    pub(crate) name: String,
    /// What whoever shows it may.
    pub(crate) role: Role,
    /// The tenants whose destinations and events it is for; `null` is everybody's.
    pub(crate) tenants: Option<BTreeSet<String>>,
    /// When it was made, ms since 1970.
    pub(crate) created_ms: i64,
    /// By whom.
    pub(crate) created_by: String,
    /// From when on it is worth nothing, ms since 1970.
    pub(crate) expires_ms: Option<i64>,
    /// When it was last shown, ms since 1970, to the minute; nobody remembers over a restart.
    #[serde(default)]
    pub(crate) last_used_ms: Option<i64>,
}

/// A token that somebody wishes for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenWish {
    /// As [`TokenLine::name`]: 1 to 64 letters, digits, `.`, `_` and `-`, with a letter, a digit or `_` first.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]*$", example = "alice")]
    pub(crate) name: String,
    /// As [`TokenLine::role`].
    pub(crate) role: Role,
    /// As [`TokenLine::tenants`].
    #[serde(default)]
    #[schema(min_items = 1)]
    pub(crate) tenants: Option<BTreeSet<String>>,
    /// As [`TokenLine::expires_ms`].
    #[serde(default, deserialize_with = "whole::optional")]
    pub(crate) expires_ms: Option<i64>,
}

/// A new token: the only time that its secret is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenMade {
    /// What is shown as `Authorization: Bearer …`, or typed into the login page.
    pub(crate) secret: String,
    /// What it is.
    pub(crate) token: TokenLine,
}

/// Debug output goes to logs, and a secret doesn't.
impl fmt::Debug for TokenMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMade").field("secret", &"***").field("token", &self.token).finish()
    }
}

/// Why a token is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::control) enum Refused {
    #[error("{0:?} is no name for a token")]
    Name(String),
    #[error("there is a token named \"{0}\"")]
    Taken(String),
    #[error(
        "a token for no tenant, or for one without a name, or for more than {TENANTS_MAX}, lets nobody see anything"
    )]
    Tenants,
    #[error("the token would have expired before it is made")]
    Expired,
    #[error("there are {TOKENS_MAX} tokens, and no more are kept")]
    Full,
}

impl Digest {
    /// Of a secret.
    pub(super) fn of(secret: &str) -> Digest {
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        Digest(bytes)
    }
}

impl Tokens {
    /// Makes a token out of 32 random bytes, as `who` wishes.
    pub(super) fn add(
        &mut self,
        wish: TokenWish,
        who: &str,
        now_ms: i64,
        chance: &[u8; 32],
    ) -> Result<TokenMade, Refused> {
        let TokenWish { name, role, tenants, expires_ms } = wish;
        if !is_name(&name) {
            return Err(Refused::Name(name));
        }
        if self.list.iter().any(|token| token.line.name == name) {
            return Err(Refused::Taken(name));
        }
        let is_tenant =
            |tenant: &String| (1..=TENANT_MAX).contains(&tenant.len()) && !tenant.contains(char::is_control);
        let is_scope = |tenants: &BTreeSet<String>| {
            (1..=TENANTS_MAX).contains(&tenants.len())
                && tenants.iter().all(|tenant| is_tenant(tenant) && tenant != "*")
        };
        if tenants.as_ref().is_some_and(|tenants| !is_scope(tenants)) {
            return Err(Refused::Tenants);
        }
        if expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
            return Err(Refused::Expired);
        }
        if self.list.len() >= TOKENS_MAX {
            return Err(Refused::Full);
        }
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(chance));
        let created_by = who.to_owned();
        let line = TokenLine { name, role, tenants, created_ms: now_ms, created_by, expires_ms, last_used_ms: None };
        self.list.push(Token { line: line.clone(), digest: Digest::of(&secret) });
        Ok(TokenMade { secret, token: line })
    }

    /// Takes a token away. From now on it is worth nothing.
    pub(super) fn remove(&mut self, name: &str) -> Option<TokenLine> {
        let at = self.list.iter().position(|token| token.line.name == name)?;
        Some(self.list.remove(at).line)
    }

    /// Who shows this secret, and what is kept of it. Every token is looked at, so the time tells nothing.
    pub(super) fn of_secret(&mut self, secret: &str, now_ms: i64) -> Option<(Digest, Person)> {
        let digest = Digest::of(secret);
        let mut found = None;
        for (at, token) in self.list.iter().enumerate() {
            if is_same(&token.digest.0, &digest.0) {
                found = Some(at);
            }
        }
        let token = &mut self.list[found?];
        token.use_at(now_ms, Via::Api).map(|person| (digest, person))
    }

    /// Who began a session with the token that is kept as `digest`; `None` when it is revoked or has expired.
    pub(super) fn of_session(&mut self, digest: Digest, now_ms: i64) -> Option<Person> {
        self.list.iter_mut().find(|token| token.digest == digest)?.use_at(now_ms, Via::Page)
    }

    /// All of them, as they may be shown.
    pub(super) fn lines(&self) -> impl Iterator<Item = &TokenLine> {
        self.list.iter().map(|token| &token.line)
    }
}

impl Token {
    fn use_at(&mut self, now_ms: i64, via: Via) -> Option<Person> {
        let line = &mut self.line;
        if line.is_expired(now_ms) {
            return None;
        }
        line.last_used_ms = Some(now_ms - now_ms.rem_euclid(USED_EVERY_MS));
        let reach = line.tenants.clone().map_or(Reach::All, Reach::Tenants);
        Some(Person { who: format!("token {}", line.name), via, role: line.role, reach })
    }
}

impl TokenLine {
    /// Whether it is worth nothing any more.
    pub(crate) fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
    }
}

/// What can stand in a path, a log line and an audit event as it is.
fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && name.len() <= NAME_MAX && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    tokens: Vec<StoredToken>,
}

#[derive(Serialize, Deserialize)]
struct StoredToken {
    sha256: String,
    name: String,
    role: Role,
    tenants: Option<BTreeSet<String>>,
    created_ms: i64,
    created_by: String,
    expires_ms: Option<i64>,
}

impl Tokens {
    /// As they are written to the disk.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let stored = |token: &Token| {
            let TokenLine { name, role, tenants, created_ms, created_by, expires_ms, last_used_ms: _ } =
                token.line.clone();
            let sha256 = URL_SAFE_NO_PAD.encode(token.digest.0);
            StoredToken { sha256, name, role, tenants, created_ms, created_by, expires_ms }
        };
        serde_json::to_vec_pretty(&Stored { format: FORMAT, tokens: self.list.iter().map(stored).collect() })
    }

    /// What [`Tokens::to_bytes`] wrote, or in words why it is not that.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Tokens, String> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|problem| problem.to_string())?;
        if stored.format != FORMAT {
            return Err(format!("its format is {}, and this version knows {FORMAT}", stored.format));
        }
        if stored.tokens.len() > TOKENS_MAX {
            return Err(format!("it holds more than {TOKENS_MAX} tokens"));
        }
        let token = |stored: StoredToken| {
            let StoredToken { sha256, name, role, tenants, created_ms, created_by, expires_ms } = stored;
            let bytes = URL_SAFE_NO_PAD.decode(&sha256).ok().and_then(|bytes| bytes.try_into().ok());
            let digest = Digest(bytes.ok_or_else(|| format!("the hash of token {name:?} is none"))?);
            let line = TokenLine { name, role, tenants, created_ms, created_by, expires_ms, last_used_ms: None };
            Ok(Token { line, digest })
        };
        stored.tokens.into_iter().map(token).collect::<Result<_, String>>().map(|list| Tokens { list })
    }
}

/// What tells a token from other secrets, for people and for scanners of leaked ones.
const PREFIX: &str = "sds_";
const FORMAT: u32 = 1;
/// Tokens at most; each is looked at for each request.
pub(super) const TOKENS_MAX: usize = 256;
/// Bytes of a token's name at most.
const NAME_MAX: usize = 64;
/// Tenants of one token at most, and bytes of a tenant's id.
const TENANTS_MAX: usize = 256;
const TENANT_MAX: usize = 256;
/// How exactly it is known when a token was used.
const USED_EVERY_MS: i64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str) -> TokenWish {
        TokenWish { name: name.to_owned(), role: Role::Viewer, tenants: None, expires_ms: None }
    }

    fn add(tokens: &mut Tokens, wish: TokenWish, chance: u8) -> Result<TokenMade, Refused> {
        tokens.add(wish, "uid 0", 1_000, &[chance; 32])
    }

    #[test]
    fn a_secret_is_known_until_its_token_expires_or_is_revoked() {
        let mut tokens = Tokens::default();
        let made = add(&mut tokens, TokenWish { expires_ms: Some(90_000), ..wish("ci") }, 1).unwrap();
        assert!(made.secret.starts_with("sds_") && made.secret.len() == 47, "{}", made.secret);
        let (digest, person) = tokens.of_secret(&made.secret, 89_999).unwrap();
        let expected = Person { who: "token ci".to_owned(), via: Via::Api, role: Role::Viewer, reach: Reach::All };
        assert_eq!(person, expected);
        assert_eq!(tokens.lines().next().unwrap().last_used_ms, Some(60_000), "to the minute");
        assert_eq!(tokens.of_session(digest, 89_999), Some(Person { via: Via::Page, ..expected }));
        assert_eq!((tokens.of_secret(&made.secret, 90_000), tokens.of_session(digest, 90_000)), (None, None));
        for wrong in ["", "sds_", &made.secret[..46], &format!("{}=", made.secret), &made.secret.to_uppercase()] {
            assert_eq!(tokens.of_secret(wrong, 2_000), None, "{wrong}");
        }
        assert_eq!(tokens.remove("ci").map(|line| line.name), Some("ci".to_owned()));
        assert_eq!((tokens.of_secret(&made.secret, 2_000), tokens.remove("ci")), (None, None));
    }

    #[test]
    fn a_token_of_the_same_name_does_not_wake_the_sessions_of_the_one_that_was_revoked() {
        let mut tokens = Tokens::default();
        let made = add(&mut tokens, wish("ci"), 1).unwrap();
        let (digest, _) = tokens.of_secret(&made.secret, 2_000).unwrap();
        tokens.remove("ci");
        add(&mut tokens, wish("ci"), 2).unwrap();
        assert_eq!(tokens.of_session(digest, 2_000), None);
    }

    #[test]
    fn what_cannot_be_a_token_is_refused() {
        let mut tokens = Tokens::default();
        for name in ["", "-x", "../x", "a b", "a/b", "é", "a\n", &"x".repeat(65)] {
            assert_eq!(add(&mut tokens, wish(name), 1), Err(Refused::Name(name.to_owned())));
        }
        let of = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        for tenants in [of(&[]), of(&[""]), of(&["*"]), of(&["a", "b\n"]), of(&[&"x".repeat(257)])] {
            assert_eq!(add(&mut tokens, TokenWish { tenants, ..wish("a") }, 1), Err(Refused::Tenants));
        }
        assert_eq!(add(&mut tokens, TokenWish { expires_ms: Some(1_000), ..wish("a") }, 1), Err(Refused::Expired));
        for number in 0..TOKENS_MAX {
            add(&mut tokens, wish(&format!("t{number}")), number as u8).unwrap();
        }
        assert_eq!(add(&mut tokens, wish("t7"), 1), Err(Refused::Taken("t7".to_owned())));
        assert_eq!(add(&mut tokens, wish("one-more"), 1), Err(Refused::Full));
    }

    #[test]
    fn what_is_written_is_read_again_and_holds_no_secret() {
        let mut tokens = Tokens::default();
        let tenants = Some(BTreeSet::from(["acme".to_owned()]));
        let made = add(&mut tokens, TokenWish { tenants, ..wish("acme") }, 1).unwrap();
        let bytes = tokens.to_bytes().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(!text.contains(&made.secret) && !text.contains(&made.secret[4..]), "{text}");
        let mut again = Tokens::from_bytes(&bytes).unwrap();
        assert_eq!(again.lines().collect::<Vec<_>>(), [&made.token]);
        let (_, person) = again.of_secret(&made.secret, 2_000).unwrap();
        assert_eq!(person.reach, Reach::Tenants(BTreeSet::from(["acme".to_owned()])));
        for text in ["{ torn", r#"{"format":2,"tokens":[]}"#, &text.replace("\"sha256\": \"", "\"sha256\": \"x")] {
            assert!(Tokens::from_bytes(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_words_for_roles_are_those_of_the_api() {
        let line: TokenWish = serde_json::from_str(r#"{"name":"a","role":"admin"}"#).unwrap();
        assert_eq!((line.role, line.tenants, line.expires_ms), (Role::Admin, None, None));
        assert!(serde_json::from_str::<TokenWish>(r#"{"name":"a","role":"root"}"#).is_err());
        assert!(serde_json::from_str::<TokenWish>(r#"{"name":"a","role":"admin","tenant":"x"}"#).is_err());
    }
}
