//! Something that lets us in for a while (a token, temporary keys): when to use it, when to fetch the next one.
//!
//! All shards ask the same cache, and at most one of them fetches at a time. A new one is fetched before the old one
//! ends: when 5 minutes or a tenth of its life are left, whichever is less, and a little earlier by chance, so that
//! agents do not march in step. While that fails the old one is used until it ends.

use crate::time::{Entropy, Millis};
use crate::transport::TransportError;

/// See the module.
#[derive(Debug)]
pub struct Cache<T> {
    held: Option<Held<T>>,
    /// Which fetch brought what is held; 0 before the first.
    generation: u64,
    is_fetching: bool,
    /// Secrets changed since this fetch began, so what it brings is outdated already.
    is_overtaken: bool,
    not_before: Millis,
    failures: u32,
    last_failure: Option<Trouble>,
}

#[derive(Debug)]
struct Held<T> {
    value: T,
    renew_from: Millis,
    until: Millis,
}

/// Why something that lets us in can't be had. Never holds any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of trouble.
    pub kind: TroubleKind,
    /// In plain words.
    pub why: String,
    /// No sooner than this, if whoever was asked named a time.
    pub after: Option<Millis>,
    /// What lies behind it, for those who explain it rather than show it.
    pub cause: TroubleCause,
}

/// What lies behind a [`Trouble`], as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TroubleCause {
    /// No more than the words say.
    #[default]
    Unknown,
    /// Whoever lets us in elsewhere was not reached, or did not answer.
    Transport(TransportError),
    /// It answered.
    Answer {
        /// With this status.
        status: u16,
        /// The error's name (RFC 6749, section 5.2), if it is such an answer.
        error: Option<String>,
        /// Microsoft's numbers of errors, if there are any.
        codes: Vec<u64>,
    },
}

/// Kinds of trouble that call for different answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// Nobody answers there.
    Unreachable,
    /// It answers that it can't now.
    Busy,
    /// It knows us, or thinks it does, and says no.
    Refused,
    /// It can't work as it is set up.
    Misconfigured,
}

/// What somebody who wants to be let in is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease<T> {
    /// Use this. The number goes to [`Cache::refused`] if it turns out to be worthless.
    Use(T, u64),
    /// Fetch a new one and report with [`Cache::fetched`] or [`Cache::failed`].
    Fetch,
    /// Somebody else fetches.
    Wait,
    /// The last fetch failed, and it is too early for the next.
    Failed(Trouble),
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Cache {
            held: None,
            generation: 0,
            is_fetching: false,
            is_overtaken: false,
            not_before: Millis::ZERO,
            failures: 0,
            last_failure: None,
        }
    }
}

impl<T: Clone> Cache<T> {
    /// What to do at `now`.
    pub fn lease(&mut self, now: Millis) -> Lease<T> {
        let held = self.held.as_ref().filter(|held| now < held.until);
        let may_fetch = !self.is_fetching && now >= self.not_before;
        match (held, &self.last_failure) {
            (Some(held), _) if now < held.renew_from || !may_fetch => Lease::Use(held.value.clone(), self.generation),
            _ if may_fetch => {
                self.is_fetching = true;
                self.is_overtaken = false;
                Lease::Fetch
            }
            (_, Some(failure)) if !self.is_fetching => Lease::Failed(failure.clone()),
            _ => Lease::Wait,
        }
    }

    /// What is held now, if it has not ended.
    pub fn held(&self, now: Millis) -> Option<(T, u64)> {
        let held = self.held.as_ref().filter(|held| now < held.until)?;
        Some((held.value.clone(), self.generation))
    }

    /// A fetch brought `value`, which is good for `life`.
    pub fn fetched(&mut self, value: T, life: Millis, now: Millis, entropy: &mut dyn Entropy) {
        let spare = RENEW_BEFORE.0.min(life.0 / 10);
        let jitter = entropy.next_u64() % (spare / 2 + 1);
        let planned = now.plus(Millis(life.0.saturating_sub(spare + jitter)));
        let renew_from = if self.is_overtaken { now } else { planned };
        self.held = Some(Held { value, renew_from, until: now.plus(life) });
        self.generation += 1;
        self.is_fetching = false;
        self.failures = 0;
        self.not_before = Millis::ZERO;
        self.last_failure = None;
    }

    /// A fetch failed. The next one may be tried after a while that grows.
    pub fn failed(&mut self, trouble: Trouble, now: Millis) {
        self.is_fetching = false;
        let wait = FAILED_WAIT.0 << self.failures.min(FAILED_DOUBLINGS);
        self.failures += 1;
        let asked_for = trouble.after.unwrap_or(Millis::ZERO).min(AFTER_MAX);
        self.not_before = now.plus(Millis(wait).max(asked_for));
        self.last_failure = Some(trouble);
    }

    /// Whoever fetched went away without a word.
    pub fn abandoned(&mut self) {
        self.is_fetching = false;
    }

    /// What is held was got with something that has changed: a new one is fetched at the next use, and the old one is
    /// used only where that fails.
    pub fn outdated(&mut self, now: Millis) {
        if let Some(held) = &mut self.held {
            held.renew_from = now;
        }
        self.is_overtaken = self.is_fetching;
        self.not_before = Millis::ZERO;
    }

    /// The destination refused what fetch number `generation` brought; a newer one stays.
    pub fn refused(&mut self, generation: u64) {
        if generation == self.generation {
            self.held = None;
        }
    }
}

/// A new one is fetched when the old one has so much left.
const RENEW_BEFORE: Millis = Millis::from_secs(300);
/// After a failed fetch nobody tries again for this long, twice as long after the next, and so on.
const FAILED_WAIT: Millis = Millis::from_secs(1);
const FAILED_DOUBLINGS: u32 = 5;
/// Nobody is waited for longer, whatever time was named.
const AFTER_MAX: Millis = Millis::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u64);
    impl Entropy for Always {
        fn next_u64(&mut self) -> u64 {
            self.0
        }
    }

    const HOUR: Millis = Millis::from_secs(3600);

    fn trouble() -> Trouble {
        Trouble { kind: TroubleKind::Busy, why: "HTTP 503".into(), after: None, cause: TroubleCause::Unknown }
    }

    fn filled(now: Millis) -> Cache<&'static str> {
        let mut cache = Cache::default();
        assert_eq!(cache.lease(now), Lease::Fetch);
        cache.fetched("first", HOUR, now, &mut Always(0));
        cache
    }

    #[test]
    fn one_fetches_and_the_others_wait() {
        let mut cache = Cache::<&str>::default();
        assert_eq!(cache.lease(Millis(5)), Lease::Fetch);
        assert_eq!(cache.lease(Millis(5)), Lease::Wait);
        cache.fetched("a", HOUR, Millis(6), &mut Always(0));
        assert_eq!(cache.lease(Millis(7)), Lease::Use("a", 1));
        assert_eq!(cache.lease(Millis(8)), Lease::Use("a", 1));
    }

    #[test]
    fn a_new_one_is_fetched_five_minutes_or_a_tenth_of_its_life_before_the_old_one_ends() {
        for (life, spare) in [(HOUR, 300_000), (Millis::from_secs(60), 6_000)] {
            for chance in [0, u64::MAX] {
                let mut cache = Cache::default();
                assert_eq!(cache.lease(Millis(0)), Lease::Fetch);
                cache.fetched("first", life, Millis(0), &mut Always(chance));
                let at_latest = life.0 - spare;
                let at_earliest = at_latest - spare / 2;
                assert_eq!(cache.lease(Millis(at_earliest - 1)), Lease::Use("first", 1));
                assert_eq!(cache.lease(Millis(at_latest)), Lease::Fetch);
                assert_eq!(cache.lease(Millis(at_latest)), Lease::Use("first", 1), "the others go on meanwhile");
            }
        }
    }

    #[test]
    fn the_old_one_is_used_while_fetching_fails_until_it_ends() {
        let mut cache = filled(Millis(0));
        let late = Millis(HOUR.0 - 200_000);
        assert_eq!(cache.lease(late), Lease::Fetch);
        cache.failed(trouble(), late);
        assert_eq!(cache.lease(late), Lease::Use("first", 1));
        assert_eq!(cache.lease(late.plus(FAILED_WAIT)), Lease::Fetch, "it is tried again meanwhile");
        cache.failed(trouble(), HOUR);
        assert_eq!(cache.lease(HOUR), Lease::Failed(trouble()));
        assert_eq!(cache.lease(HOUR.plus(Millis(2_000))), Lease::Fetch);
    }

    #[test]
    fn a_time_that_was_named_is_waited_for_within_reason() {
        for (named, waited) in [(90_000, 90_000), (86_400_000, 600_000)] {
            let mut cache = Cache::<&str>::default();
            assert_eq!(cache.lease(Millis(0)), Lease::Fetch);
            let named = Trouble { after: Some(Millis(named)), ..trouble() };
            cache.failed(named.clone(), Millis(0));
            assert_eq!(cache.lease(Millis(waited - 1)), Lease::Failed(named));
            assert_eq!(cache.lease(Millis(waited)), Lease::Fetch);
        }
    }

    #[test]
    fn one_that_was_refused_is_not_used_again_and_a_newer_one_is_kept() {
        let mut cache = filled(Millis(0));
        cache.refused(1);
        assert_eq!(cache.lease(Millis(1)), Lease::Fetch);
        cache.fetched("second", HOUR, Millis(2), &mut Always(0));
        cache.refused(1);
        assert_eq!(cache.lease(Millis(3)), Lease::Use("second", 2), "it was the one before that was refused");
    }

    #[test]
    fn one_that_was_got_with_old_secrets_is_replaced_at_the_next_use() {
        let mut cache = filled(Millis(0));
        cache.outdated(Millis(5));
        assert_eq!(cache.lease(Millis(5)), Lease::Fetch);
        cache.failed(trouble(), Millis(6));
        assert_eq!(cache.lease(Millis(6)), Lease::Use("first", 1));
    }

    #[test]
    fn one_whose_fetch_began_with_old_secrets_is_replaced_at_the_next_use() {
        let mut cache = Cache::default();
        assert_eq!(cache.lease(Millis(0)), Lease::Fetch);
        cache.outdated(Millis(5));
        cache.fetched("old", HOUR, Millis(6), &mut Always(0));
        assert_eq!(cache.lease(Millis(7)), Lease::Fetch);
        cache.fetched("new", HOUR, Millis(8), &mut Always(0));
        assert_eq!(cache.lease(Millis(9)), Lease::Use("new", 2));
    }

    #[test]
    fn whoever_goes_away_while_fetching_leaves_the_way_free() {
        let mut cache = Cache::<&str>::default();
        assert_eq!(cache.lease(Millis(0)), Lease::Fetch);
        cache.abandoned();
        assert_eq!(cache.lease(Millis(0)), Lease::Fetch);
    }
}
