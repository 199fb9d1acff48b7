//! How many may ask at once for what takes its time.
//!
//! There are seats for those who administer the agent, for others who see all tenants, and for those who are bound to
//! some, and none of the three can take another's. Of theirs one person has a share, and those who are bound to the same
//! tenants have one together, however many they are.
//!
//! So one tenant keeps nobody else out; many together can: when as many tenants as there is room for sit at the same time,
//! the next one is told to try again, and only the other two kinds of people are still seated. Who is bound to several
//! tenants counts for that very set, and leaves each of the tenants its own share.

use std::collections::BTreeSet;
use std::mem::discriminant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::{Instant, sleep};

use super::Problem;
use crate::control::access::{Person, Reach, Role};
use crate::control::tail::Tail;
use crate::node::View;

/// See the module.
pub(in crate::control) struct Desk {
    /// Previews that may be made.
    pub(super) previews: Seats,
    /// Those who may look at dead letters, or change them.
    pub(super) letters: Seats,
    /// Those who may look for changes.
    pub(super) changes: Seats,
    /// Tests of destinations that may run.
    pub(super) tests: Seats,
    /// Those who may wait for the agent's next event.
    pub(super) waiters: Seats,
    /// Those who may watch events.
    pub(super) viewers: Seats,
    /// The events that they watch.
    pub(super) tail: Tail,
}

impl Desk {
    pub(in crate::control) fn new(view: &View) -> Desk {
        Desk {
            previews: Seats::new("previews", PREVIEWS),
            letters: Seats::new("requests about dead letters", LETTERS),
            changes: Seats::new("requests for changes", CHANGES),
            tests: Seats::new("tests", TESTS),
            waiters: Seats::new("waiting requests", WAITERS),
            viewers: Seats::new("live tails", VIEWERS),
            tail: Tail::new(view.clone()),
        }
    }
}

/// Seats for one thing.
pub(super) struct Seats {
    what: &'static str,
    bounds: Bounds,
    taken: Arc<Mutex<Vec<Holder>>>,
}

/// How many seats there are.
#[derive(Clone, Copy)]
struct Bounds {
    operators: Room,
    insiders: Room,
    tenants: Room,
}

/// Seats for some people.
#[derive(Clone, Copy)]
struct Room {
    all: usize,
    /// For one of them.
    each: usize,
}

/// Who has a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    /// Somebody who administers the agent.
    Operator(String),
    /// Somebody else who sees all tenants.
    Insider(String),
    /// One of those who see these tenants.
    Of(BTreeSet<String>),
}

/// A seat; whoever drops it gives it back.
pub(super) struct Seat {
    taken: Arc<Mutex<Vec<Holder>>>,
    holder: Holder,
}

impl Seats {
    fn new(what: &'static str, bounds: Bounds) -> Seats {
        Seats { what, bounds, taken: Arc::default() }
    }

    /// A seat for this person.
    ///
    /// # Errors
    /// 429 when there is none for them.
    pub(super) fn take(&self, person: &Person) -> Result<Seat, Problem> {
        let holder = Holder::of(person);
        let room = self.bounds.room(&holder);
        let mut taken = lock(&self.taken);
        if taken.iter().filter(|other| **other == holder).count() >= room.each {
            return Err(self.share_is_taken(&holder, room.each));
        }
        if taken.iter().filter(|other| discriminant(*other) == discriminant(&holder)).count() >= room.all {
            let detail = format!("all {} {} that there may be at once are in use", room.all, self.what);
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).advise("try again in some seconds"));
        }
        taken.push(holder.clone());
        Ok(Seat { taken: Arc::clone(&self.taken), holder })
    }

    /// The same where they are given back soon: waits until there is one, [`WAIT_MAX`] at most.
    ///
    /// # Errors
    /// 429 when there is none by then.
    pub(super) async fn wait(&self, person: &Person) -> Result<Seat, Problem> {
        self.wait_for(person, WAIT_MAX).await
    }

    async fn wait_for(&self, person: &Person, max: Duration) -> Result<Seat, Problem> {
        let deadline = Instant::now() + max;
        loop {
            match self.take(person) {
                Err(_) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                taken => return taken,
            }
        }
    }

    fn share_is_taken(&self, holder: &Holder, each: usize) -> Problem {
        let (who, they) = match holder {
            Holder::Operator(_) | Holder::Insider(_) => ("you", "you"),
            Holder::Of(_) => ("those who see your tenants", "they"),
        };
        let detail = format!("{who} have as many {} as {they} may have at once: {each}", self.what);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).advise("end one of those, or try again when it has ended")
    }
}

impl Bounds {
    fn room(&self, holder: &Holder) -> Room {
        match holder {
            Holder::Operator(_) => self.operators,
            Holder::Insider(_) => self.insiders,
            Holder::Of(_) => self.tenants,
        }
    }
}

impl Holder {
    fn of(person: &Person) -> Holder {
        match (&person.reach, person.role) {
            (Reach::Tenants(tenants), _) => Holder::Of(tenants.clone()),
            (Reach::All, Role::Admin) => Holder::Operator(person.who.clone()),
            (Reach::All, Role::Viewer) => Holder::Insider(person.who.clone()),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(at) = taken.iter().position(|holder| *holder == self.holder) {
            taken.swap_remove(at);
        }
    }
}

// Nothing panics while it is held.
fn lock(taken: &Mutex<Vec<Holder>>) -> MutexGuard<'_, Vec<Holder>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each of them holds a thread for the disk, for two seconds at most.
const PREVIEWS: Bounds = Bounds {
    operators: Room { all: 2, each: 2 },
    insiders: Room { all: 2, each: 1 },
    tenants: Room { all: 4, each: 1 },
};
/// Each of them holds a thread for the disk, as long as a file of 64 MiB takes at most.
const LETTERS: Bounds = Bounds {
    operators: Room { all: 2, each: 2 },
    insiders: Room { all: 2, each: 1 },
    tenants: Room { all: 4, each: 1 },
};
/// Each of them holds a thread for the disk and keeps the chronicle from others, as long as two files of 2 MiB take at most.
const CHANGES: Bounds = Bounds {
    operators: Room { all: 2, each: 2 },
    insiders: Room { all: 2, each: 1 },
    tenants: Room { all: 4, each: 1 },
};
/// Each of them holds a thread and a connection to a destination, for some seconds. Who only looks tests nothing.
const TESTS: Bounds = Bounds {
    operators: Room { all: 4, each: 2 },
    insiders: Room { all: 0, each: 0 },
    tenants: Room { all: 4, each: 1 },
};
/// Each of them holds a connection, of which they and those who watch leave some to others.
const WAITERS: Bounds = Bounds {
    operators: Room { all: 16, each: 8 },
    insiders: Room { all: 8, each: 4 },
    tenants: Room { all: 32, each: 4 },
};
/// Each of them holds a connection, and half a megabyte of events at most that wait for it.
const VIEWERS: Bounds = Bounds {
    operators: Room { all: 8, each: 4 },
    insiders: Room { all: 8, each: 2 },
    tenants: Room { all: 32, each: 2 },
};

/// How long a seat is waited for.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often is looked whether there is one.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::access::Via;

    fn person(who: &str, role: Role, tenants: Option<&[&str]>) -> Person {
        let tenants = tenants.map(|tenants| tenants.iter().map(|name| (*name).to_owned()).collect());
        let reach = tenants.map_or(Reach::All, Reach::Tenants);
        Person { who: who.to_owned(), via: Via::Api, role, reach }
    }

    fn seats() -> Seats {
        Seats::new("live tails", VIEWERS)
    }

    #[test]
    fn one_tenants_people_have_a_share_together_and_keep_nobody_else_out() {
        let seats = seats();
        let of = |who: &str, tenant: &str| person(who, Role::Admin, Some(&[tenant]));
        let held: Vec<_> = (0..99).filter_map(|at| seats.take(&of(&format!("person {at}"), "acme")).ok()).collect();
        assert_eq!(held.len(), VIEWERS.tenants.each);
        let refused = seats.take(&of("one more", "acme")).err().unwrap();
        assert!(refused.detail.contains("those who see your tenants have"), "{}", refused.detail);
        assert_eq!((refused.status, refused.advice.is_some()), (StatusCode::TOO_MANY_REQUESTS, true));
        assert!(seats.take(&of("other", "globex")).is_ok());
        assert!(seats.take(&person("watcher", Role::Viewer, None)).is_ok());
        drop(held);
        assert!(seats.take(&of("one more", "acme")).is_ok(), "who goes makes room");
    }

    #[test]
    fn operators_and_insiders_have_seats_that_nobody_else_can_take() {
        let seats = seats();
        let tenants: Vec<String> = (0..99).map(|at| format!("tenant {at}")).collect();
        let all = tenants.iter().flat_map(|tenant| {
            let of = person("a", Role::Viewer, Some(&[tenant]));
            [seats.take(&of), seats.take(&of)]
        });
        let held: Vec<_> = all.filter_map(Result::ok).collect();
        assert_eq!(held.len(), VIEWERS.tenants.all);
        let refused = seats.take(&person("a", Role::Viewer, Some(&["late"]))).err().unwrap();
        assert!(refused.detail.starts_with("all 32 live tails"), "{}", refused.detail);
        assert!(seats.take(&person("watcher", Role::Viewer, None)).is_ok());
        let insiders = tenants.iter().map(|who| seats.take(&person(who, Role::Viewer, None)));
        let insiders: Vec<_> = insiders.filter_map(Result::ok).collect();
        assert_eq!(insiders.len(), VIEWERS.insiders.all);
        let of_one: Vec<_> = (0..99).filter_map(|_| seats.take(&person("one", Role::Admin, None)).ok()).collect();
        assert_eq!(of_one.len(), VIEWERS.operators.each);
        assert!(seats.take(&person("another", Role::Admin, None)).is_ok(), "nor does one operator keep out another");
    }

    #[tokio::test]
    async fn a_seat_that_is_given_back_soon_is_waited_for_and_one_that_is_not_is_given_up() {
        let (seats, of) = (Seats::new("seats", LETTERS), person("a", Role::Viewer, Some(&["acme"])));
        let held = seats.take(&of).ok().unwrap();
        let given_up = seats.wait_for(&of, LOOK_EVERY).await.err().unwrap();
        assert_eq!(given_up.status, StatusCode::TOO_MANY_REQUESTS);
        tokio::spawn(async move {
            sleep(2 * LOOK_EVERY).await;
            drop(held);
        });
        assert!(seats.wait(&of).await.is_ok());
    }

    #[test]
    fn a_few_tenants_keep_nobody_else_out_whatever_they_ask_for() {
        for bounds in [PREVIEWS, LETTERS, CHANGES, TESTS, WAITERS, VIEWERS] {
            let seats = Seats::new("seats", bounds);
            let of = |at: usize| person("a", Role::Viewer, Some(&[&format!("tenant {at}")]));
            let held: Vec<_> = (0..3).flat_map(|at| (0..99).map(move |_| at)).map(|at| seats.take(&of(at))).collect();
            assert_eq!(held.iter().filter(|seat| seat.is_ok()).count(), 3 * bounds.tenants.each);
            assert!(seats.take(&of(3)).is_ok());
        }
    }
}
