//! The secrets that a receiver knows, each valid from one moment to another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A set of secrets, changed while requests come in.
#[derive(Debug, Default)]
pub struct Credentials(Mutex<HashMap<String, Span>>);

#[derive(Clone, Copy, Debug)]
struct Span {
    from: Instant,
    until: Option<Instant>,
    revoked: bool,
}

/// How a receiver stands to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Accepted.
    Valid,
    /// Accepted later.
    NotYet,
    /// Its announced end has passed.
    Expired,
    /// Withdrawn without notice.
    Revoked,
    /// Never heard of.
    Unknown,
}

impl Credentials {
    /// Knows `secret` alone, without an end.
    pub fn of(secret: &str) -> Credentials {
        let credentials = Credentials::default();
        credentials.add(secret);
        credentials
    }

    /// From now on `secret` is valid too.
    pub fn add(&self, secret: &str) {
        self.add_between(secret, Duration::ZERO, None);
    }

    /// `secret` becomes valid `after` a while and, with `life`, ends by itself that long after it began.
    pub fn add_between(&self, secret: &str, after: Duration, life: Option<Duration>) {
        let from = Instant::now() + after;
        let span = Span { from, until: life.map(|life| from + life), revoked: false };
        self.0.lock().expect("no holder panics").insert(secret.to_owned(), span);
    }

    /// From now on `secret` is not valid any more, and nobody was told.
    pub fn revoke(&self, secret: &str) {
        if let Some(span) = self.0.lock().expect("no holder panics").get_mut(secret) {
            span.revoked = true;
        }
    }

    /// From now on none that is known so far is valid.
    pub fn revoke_all(&self) {
        self.0.lock().expect("no holder panics").values_mut().for_each(|span| span.revoked = true);
    }

    /// From now on only `secret` is valid.
    pub fn only(&self, secret: &str) {
        self.revoke_all();
        self.add(secret);
    }

    /// How `secret` stands now.
    pub fn standing(&self, secret: &str) -> Standing {
        self.0.lock().expect("no holder panics").get(secret).map_or(Standing::Unknown, |span| span.standing())
    }

    /// Whether `secret` is accepted now.
    pub fn accepts(&self, secret: &str) -> bool {
        self.standing(secret) == Standing::Valid
    }

    /// The standing of the best of those secrets for which `fits` is true: for signatures, which do not name their secret.
    pub fn standing_of_any(&self, fits: impl Fn(&str) -> bool) -> Standing {
        let known = self.0.lock().expect("no holder panics");
        let mut best = Standing::Unknown;
        for (_, span) in known.iter().filter(|(secret, _)| fits(secret)) {
            match span.standing() {
                Standing::Valid => return Standing::Valid,
                other => best = other,
            }
        }
        best
    }
}

impl Span {
    fn standing(&self) -> Standing {
        let now = Instant::now();
        if self.revoked {
            Standing::Revoked
        } else if now < self.from {
            Standing::NotYet
        } else if self.until.is_some_and(|until| now >= until) {
            Standing::Expired
        } else {
            Standing::Valid
        }
    }
}

/// Makes tokens that end by themselves.
#[derive(Debug)]
pub struct Issuer {
    tokens: Arc<Credentials>,
    life: Mutex<Duration>,
    count: AtomicU64,
}

/// What Entra ID gives.
const LIFE: Duration = Duration::from_secs(3_599);

impl Issuer {
    /// Issues into `tokens`.
    pub fn new(tokens: &Arc<Credentials>) -> Issuer {
        Issuer { tokens: Arc::clone(tokens), life: Mutex::new(LIFE), count: AtomicU64::new(0) }
    }

    /// How long the tokens issued from now on live.
    pub fn set_life(&self, life: Duration) {
        *self.life.lock().expect("no holder panics") = life;
    }

    /// How many were issued.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A new token and how long it lives.
    pub fn issue(&self) -> (String, Duration) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let life = *self.life.lock().expect("no holder panics");
        let token = format!("token.{number}.{:016x}", crate::rng::mix(number));
        self.tokens.add_between(&token, Duration::ZERO, Some(life));
        (token, life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_begins_ends_and_is_withdrawn() {
        let known = Credentials::of("a");
        assert_eq!((known.standing("a"), known.standing("b")), (Standing::Valid, Standing::Unknown));
        known.only("b");
        assert_eq!((known.standing("a"), known.standing("b")), (Standing::Revoked, Standing::Valid));
        known.add_between("c", Duration::from_secs(3_600), None);
        known.add_between("d", Duration::ZERO, Some(Duration::ZERO));
        assert_eq!((known.standing("c"), known.standing("d")), (Standing::NotYet, Standing::Expired));
        assert_eq!(known.standing_of_any(|secret| secret != "b"), known.standing_of_any(|secret| secret != "b"));
        assert_eq!(known.standing_of_any(|_| true), Standing::Valid);
        assert_eq!(known.standing_of_any(|secret| secret == "a"), Standing::Revoked);
        known.revoke("b");
        assert!(!known.accepts("b"));
    }
}
