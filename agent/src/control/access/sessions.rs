//! Sessions of the page: a cookie in place of a token. Pure: time and chance come from outside.
//!
//! They live in memory alone, so a restart ends them all. A cookie is 32 random bytes in base64url, of which only the
//! SHA-256 is kept. A session ends when nobody used it for [`IDLE_MAX`], [`LIFE_MAX`] after its login, by logout, or
//! with its token; a cookie that outlives its session is worth nothing. There are [`SESSIONS_MAX`] at most; the one
//! that was idle the longest gives way.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::tokens::Digest;
use crate::time::Millis;

/// All that are open.
#[derive(Default)]
pub(super) struct Sessions {
    open: HashMap<Digest, Open>,
}

/// One session.
struct Open {
    token: Digest,
    csrf: String,
    begun: Millis,
    seen: Millis,
}

/// What a cookie stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// What is kept of the cookie.
    pub(super) cookie: Digest,
    /// The token that the session began with.
    pub(super) token: Digest,
    /// What a request that changes something must show beside the cookie.
    pub(super) csrf: String,
}

impl Sessions {
    /// Begins a session of whoever has shown `token`. Returns the cookie's value.
    pub(super) fn begin(&mut self, token: Digest, now: Millis, chance: &[[u8; 32]; 2]) -> String {
        self.open.retain(|_, open| !open.is_over(now));
        if self.open.len() >= SESSIONS_MAX {
            let idlest = self.open.iter().min_by_key(|(_, open)| open.seen).map(|(cookie, _)| *cookie);
            if let Some(cookie) = idlest {
                self.open.remove(&cookie);
            }
        }
        let [cookie, csrf] = chance.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        self.open.insert(Digest::of(&cookie), Open { token, csrf, begun: now, seen: now });
        cookie
    }

    /// The session of a cookie, which is thereby used.
    pub(super) fn find(&mut self, cookie: &str, now: Millis) -> Option<Found> {
        self.find_kept(Digest::of(cookie), now)
    }

    /// The same by what is kept of the cookie.
    pub(super) fn find_kept(&mut self, cookie: Digest, now: Millis) -> Option<Found> {
        let open = self.open.get_mut(&cookie)?;
        if open.is_over(now) {
            self.open.remove(&cookie);
            return None;
        }
        open.seen = now;
        Some(Found { cookie, token: open.token, csrf: open.csrf.clone() })
    }

    /// Ends the session of a cookie, if there is one.
    pub(super) fn end(&mut self, cookie: &str) {
        self.open.remove(&Digest::of(cookie));
    }
}

impl Open {
    fn is_over(&self, now: Millis) -> bool {
        now.since(self.seen) >= IDLE_MAX || now.since(self.begun) >= LIFE_MAX
    }
}

/// Sessions at most.
const SESSIONS_MAX: usize = 1_000;
/// How long a session may lie unused.
const IDLE_MAX: Millis = Millis::from_secs(30 * 60);
/// How long it may last at all.
const LIFE_MAX: Millis = Millis::from_secs(12 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn chance(number: usize) -> [[u8; 32]; 2] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        [bytes, [7; 32]]
    }

    #[test]
    fn a_session_lasts_while_it_is_used_but_not_for_ever() {
        let (mut sessions, token) = (Sessions::default(), Digest::of("a"));
        let cookie = sessions.begin(token, Millis::ZERO, &chance(1));
        assert_eq!(cookie.len(), 43);
        let mut now = Millis::ZERO;
        while now.plus(Millis(IDLE_MAX.0 - 1)) < LIFE_MAX {
            now = now.plus(Millis(IDLE_MAX.0 - 1));
            assert_eq!(sessions.find(&cookie, now).map(|found| found.token), Some(token), "{now}");
        }
        assert_eq!(sessions.find(&cookie, LIFE_MAX), None);
        let cookie = sessions.begin(token, LIFE_MAX, &chance(2));
        assert_eq!(sessions.find(&cookie, LIFE_MAX.plus(IDLE_MAX)), None);
        assert_eq!(sessions.find(&cookie, LIFE_MAX), None, "what has ended does not begin again");
    }

    #[test]
    fn a_cookie_is_worth_nothing_after_the_logout() {
        let mut sessions = Sessions::default();
        let cookie = sessions.begin(Digest::of("a"), Millis::ZERO, &chance(1));
        let other = sessions.begin(Digest::of("a"), Millis::ZERO, &chance(2));
        sessions.end(&cookie);
        assert_eq!(sessions.find(&cookie, Millis::ZERO), None);
        assert!(sessions.find(&other, Millis::ZERO).is_some());
        assert_eq!(sessions.find("", Millis::ZERO), None);
    }

    #[test]
    fn the_session_that_was_idle_the_longest_gives_way_to_one_too_many() {
        let mut sessions = Sessions::default();
        let all: Vec<String> =
            (0..SESSIONS_MAX).map(|at| sessions.begin(Digest::of("a"), Millis(at as u64), &chance(at))).collect();
        let now = Millis(SESSIONS_MAX as u64);
        assert!(sessions.find(&all[0], now).is_some());
        sessions.begin(Digest::of("a"), now, &chance(SESSIONS_MAX));
        assert!(sessions.find(&all[0], now).is_some(), "it was used since");
        assert_eq!(sessions.find(&all[1], now), None);
        assert_eq!(sessions.open.len(), SESSIONS_MAX);
    }
}
