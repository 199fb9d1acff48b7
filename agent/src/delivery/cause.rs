//! Why a destination is as it is: in words of ours, and in what was said.
//!
//! What a destination says can repeat what it was sent, so it stays with those who look after this destination: in
//! `status`, in the agent's own log, with its dead letters. Events about it go to other destinations too, and hold the
//! [`Reason`] alone, into which no word from outside can come.

use super::gate::Hold;

/// A reason, and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// In words of ours.
    pub reason: Reason,
    /// In those of the destination, of something on the way to it, or of whoever wished it.
    pub said: Option<String>,
}

/// Why a destination is in its state, one of few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// All is well.
    Accepts,
    /// All is well, and soon its limit for a day will not be.
    NearLimit,
    /// Some events, and not for good yet.
    RefusesSome,
    /// Notices and statements.
    RefusesAnnouncements,
    /// An operator's wish.
    Paused,
    /// An operator's wish: what came before it goes, and no more.
    Draining,
    /// An operator's wish, and it is fulfilled.
    Drained,
    /// The place ends, to be replaced or for good.
    Ending,
    /// A limit that its settings name.
    LimitUsedUp,
    /// [`Hold::Throttled`]
    AsksForLess,
    /// [`Hold::Unreachable`]
    Unreachable,
    /// [`Hold::Trouble`]
    InTrouble,
    /// [`Hold::Credentials`]
    CredentialsRefused,
    /// [`Hold::Misconfigured`]
    Misconfigured,
    /// No shard could make anything of its settings.
    NotSetUp,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Reason; 15] = [
        Reason::Accepts,
        Reason::NearLimit,
        Reason::RefusesSome,
        Reason::RefusesAnnouncements,
        Reason::Paused,
        Reason::Draining,
        Reason::Drained,
        Reason::Ending,
        Reason::LimitUsedUp,
        Reason::AsksForLess,
        Reason::Unreachable,
        Reason::InTrouble,
        Reason::CredentialsRefused,
        Reason::Misconfigured,
        Reason::NotSetUp,
    ];

    /// For rules and searches; stays as it is.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// For people.
    pub fn words(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Reason::Accepts => ("accepts", "it accepts events"),
            Reason::NearLimit => ("near_limit", "it accepts events; most of what it may get in a day is used"),
            Reason::RefusesSome => ("refuses_some", "it refuses some events"),
            Reason::RefusesAnnouncements => ("refuses_announcements", "it refuses what the agent tells it"),
            Reason::Paused => ("paused", "an operator has paused it"),
            Reason::Draining => ("draining", "an operator drains it: what was in the log then is sent, and no more"),
            Reason::Drained => ("drained", "it has all that was in the log when an operator wished it drained"),
            Reason::Ending => ("ending", "its settings change, or the agent stops"),
            Reason::LimitUsedUp => ("limit_used_up", "the limit that its settings name is used up"),
            Reason::AsksForLess => ("asks_for_less", "it asks for fewer requests, or can't take all of one"),
            Reason::Unreachable => ("unreachable", "nothing answers"),
            Reason::InTrouble => ("in_trouble", "it answers that it can't take events now"),
            Reason::CredentialsRefused => ("credentials_refused", "it refuses the credentials"),
            Reason::Misconfigured => {
                ("misconfigured", "something is set wrong, here or there: as it is nothing can be sent")
            }
            Reason::NotSetUp => ("not_set_up", "it could not be set up; the agent's own log says why"),
        }
    }

    /// With what was said.
    pub fn saying(self, said: impl Into<String>) -> Cause {
        Cause { reason: self, said: Some(said.into()) }
    }
}

impl Cause {
    /// For those who look after this destination: what was said where anything was.
    pub fn in_words(&self) -> &str {
        self.said.as_deref().unwrap_or(self.reason.words())
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Cause {
        Cause { reason, said: None }
    }
}

impl From<Hold> for Reason {
    fn from(hold: Hold) -> Reason {
        match hold {
            Hold::Unreachable => Reason::Unreachable,
            Hold::Trouble => Reason::InTrouble,
            Hold::Throttled => Reason::AsksForLess,
            Hold::Credentials => Reason::CredentialsRefused,
            Hold::Misconfigured => Reason::Misconfigured,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own_and_words() {
        let codes: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.code().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", reason.code());
            assert!(reason.words().len() > 10, "{reason:?}");
        }
    }

    #[test]
    fn people_read_what_was_said_and_else_our_words() {
        assert_eq!(Reason::Unreachable.saying("no route").in_words(), "no route");
        assert_eq!(Cause::from(Reason::Unreachable).in_words(), "nothing answers");
    }
}
