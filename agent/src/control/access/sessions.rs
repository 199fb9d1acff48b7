//! Sessions of the page: a cookie in place of a token. Pure: time and chance come from outside.
//!
//! They live in memory alone, so a restart ends them all. A cookie is 32 random bytes in base64url, of which only the
//! SHA-256 is kept. A session ends when nobody used it for [`IDLE_MAX`], [`LIFE_MAX`] after its login, by logout, or
//! with its token; a cookie that outlives its session is worth nothing. What a page asks by itself while nobody touches it
//! is no use of it. A token has [`OF_ONE_MAX`] at most, and all have [`SESSIONS_MAX`]; of those the one that was idle the
//! longest gives way, so that nobody's logins end the session of another.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::tokens::{Digest, TOKENS_MAX};
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
        self.make_room(OF_ONE_MAX, |open| open.token == token);
        self.make_room(SESSIONS_MAX, |_| true);
        let [cookie, csrf] = chance.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        self.open.insert(Digest::of(&cookie), Open { token, csrf, begun: now, seen: now });
        cookie
    }

    /// Ends the session that was idle the longest of those that `counts` names, where there are `max`.
    fn make_room(&mut self, max: usize, counts: impl Fn(&Open) -> bool) {
        let counted = || self.open.iter().filter(|(_, open)| counts(open));
        if counted().count() < max {
            return;
        }
        if let Some(cookie) = counted().min_by_key(|(_, open)| open.seen).map(|(cookie, _)| *cookie) {
            self.open.remove(&cookie);
        }
    }

    /// The session of a cookie, which is thereby used.
    pub(super) fn find(&mut self, cookie: &str, now: Millis) -> Option<Found> {
        let found = self.look(Digest::of(cookie), now)?;
        if let Some(open) = self.open.get_mut(&found.cookie) {
            open.seen = now;
        }
        Some(found)
    }

    /// The session of a cookie of which this is kept; nobody uses it.
    pub(super) fn look(&mut self, cookie: Digest, now: Millis) -> Option<Found> {
        let open = self.open.get(&cookie)?;
        if open.is_over(now) {
            self.open.remove(&cookie);
            return None;
        }
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

/// Sessions of one token at most.
const OF_ONE_MAX: usize = 16;
/// Sessions at most: of all the tokens that there may be.
const SESSIONS_MAX: usize = OF_ONE_MAX * TOKENS_MAX;
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
    fn a_session_that_a_page_alone_looks_at_is_not_used() {
        let mut sessions = Sessions::default();
        let cookie = sessions.begin(Digest::of("a"), Millis::ZERO, &chance(1));
        let just_before = Millis(IDLE_MAX.0 - 1);
        assert!(sessions.look(Digest::of(&cookie), just_before).is_some());
        assert_eq!(sessions.look(Digest::of(&cookie), IDLE_MAX), None);
        assert_eq!(sessions.find(&cookie, just_before), None, "what has ended does not begin again");
    }

    #[test]
    fn of_one_tokens_sessions_the_idlest_gives_way_and_nobody_elses() {
        let mut sessions = Sessions::default();
        let other = sessions.begin(Digest::of("b"), Millis::ZERO, &chance(9_999));
        let all: Vec<String> =
            (0..OF_ONE_MAX).map(|at| sessions.begin(Digest::of("a"), Millis(at as u64), &chance(at))).collect();
        let now = Millis(OF_ONE_MAX as u64);
        assert!(sessions.find(&all[0], now).is_some());
        sessions.begin(Digest::of("a"), now, &chance(OF_ONE_MAX));
        assert!(sessions.look(Digest::of(&all[0]), now).is_some(), "it was used since");
        assert_eq!(sessions.look(Digest::of(&all[1]), now), None);
        assert!(sessions.look(Digest::of(&other), now).is_some());
        assert_eq!(sessions.open.len(), OF_ONE_MAX + 1);
    }

    #[test]
    fn however_many_tokens_come_and_go_the_sessions_have_an_end() {
        let mut sessions = Sessions::default();
        for at in 0..SESSIONS_MAX + 10 {
            sessions.begin(Digest::of(&at.to_string()), Millis::ZERO, &chance(at));
        }
        assert_eq!(sessions.open.len(), SESSIONS_MAX);
    }
}
