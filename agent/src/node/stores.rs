//! What is kept of every destination over reloads: its dead letters, opened once, and what it may still get today.
//!
//! Always true: a file of dead letters is open once, however often its destination comes and goes. What is planned is held by
//! the plan that the shards work by, and by the places on them; here it is only known. So it is closed when the last shard
//! has said its last words to a destination that is gone, and is still the same one where that destination is back by then.
//!
//! A file with dead letters in it outlives its destination: the agent has acknowledged these events, and nobody else has them.
//! Under the same id they are there again, with their streams and numbers. An empty file goes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::StartError;
use crate::config::{Config, Destination, DestinationId, RateLimit};
use crate::credentials::Credentials;
use crate::deadletter::DeadLetters;
use crate::delivery::allowance::Allowance;
use crate::shard::{Plan, Planned};
use crate::time::Millis;

/// See the module.
#[derive(Clone, Default)]
pub struct Stores {
    open: Known<DeadLetters>,
    allowances: Known<Allowance>,
    /// Held by who opens or removes files, so that who only looks has not to wait for the disk.
    changing: Arc<Mutex<()>>,
}

/// What is there as long as somebody uses it.
type Known<T> = Arc<Mutex<HashMap<DestinationId, Weak<Mutex<T>>>>>;

impl Stores {
    /// What shards need to work by a configuration, with stores in `state_dir`. Blocks on the disk.
    pub(super) fn plan(
        &self,
        config: &Config,
        state_dir: &Path,
        chance: &mut dyn FnMut() -> u64,
    ) -> Result<Plan, StartError> {
        let _turn = lock(&self.changing);
        let directory = state_dir.join(DEAD_LETTERS);
        let mut destinations = Vec::new();
        for destination in &config.destinations {
            let dead_letters = self.store(&directory, destination, chance())?;
            let credentials = Credentials::new(destination, |name| std::env::var(name).ok());
            let allowance = destination.rate_limit.map(|limit| self.allowance(destination.id, limit));
            let destination = Arc::clone(destination);
            destinations.push(Planned { destination, dead_letters, credentials, allowance });
        }
        Ok(Plan { destinations, window: config.buffer.window, on_full: config.buffer.on_full })
    }

    /// The store of a destination, if it is open.
    pub fn find(&self, id: DestinationId) -> Option<Arc<Mutex<DeadLetters>>> {
        lock(&self.open).get(&id)?.upgrade()
    }

    /// Whether there are destinations that nobody uses any more and [`Stores::sweep`] would forget.
    pub fn has_unused(&self) -> bool {
        lock(&self.open).values().any(is_unused) || lock(&self.allowances).values().any(is_unused)
    }

    /// Forgets destinations that are gone, and removes their files where there is nothing in them. Blocks on the disk.
    pub fn sweep(&self, state_dir: &Path) {
        let _turn = lock(&self.changing);
        lock(&self.allowances).retain(|_, allowance| !is_unused(allowance));
        let gone: Vec<DestinationId> =
            lock(&self.open).extract_if(|_, store| is_unused(store)).map(|(id, _)| id).collect();
        for id in gone {
            if let Err(problem) = DeadLetters::remove_if_empty(&state_dir.join(DEAD_LETTERS), &id.bytes()) {
                tracing::warn!("the empty store of a destination that is gone can't be removed: {problem}");
            }
        }
    }

    /// The same as before, unless the limit has changed.
    fn allowance(&self, id: DestinationId, limit: RateLimit) -> Arc<Mutex<Allowance>> {
        let mut known = lock(&self.allowances);
        let same = known.get(&id).and_then(Weak::upgrade).filter(|held| lock(held).is_of(limit));
        same.unwrap_or_else(|| {
            let fresh = Arc::new(Mutex::new(Allowance::new(limit, Millis::ZERO)));
            known.insert(id, Arc::downgrade(&fresh));
            fresh
        })
    }

    fn store(
        &self,
        directory: &Path,
        destination: &Destination,
        salt: u64,
    ) -> Result<Arc<Mutex<DeadLetters>>, StartError> {
        if let Some(store) = self.find(destination.id) {
            return Ok(store);
        }
        let (store, opened) = DeadLetters::open(directory, &destination.id.bytes(), DEAD_LETTERS_MAX, salt)?;
        if let Some(aside) = opened.damaged {
            tracing::error!(destination = %destination.name, "its dead letters were damaged; the file is kept as {}", aside.display());
        }
        let store = Arc::new(Mutex::new(store));
        lock(&self.open).insert(destination.id, Arc::downgrade(&store));
        Ok(store)
    }
}

fn is_unused<T>(known: &Weak<Mutex<T>>) -> bool {
    known.strong_count() == 0
}

/// A panic elsewhere can't have left half of what is in these: entries come and go as a whole.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the stores are, in the state directory.
pub(crate) const DEAD_LETTERS: &str = "deadletters";
/// What the store of one destination's dead letters may take on the disk.
const DEAD_LETTERS_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Surroundings;
    use crate::deadletter::{Key, Letter};

    fn config(directory: &Path, names: &[&str]) -> Config {
        let one = |name: &&str| {
            format!(
                "[[destination]]\nname = \"{name}\"\ntype = \"syslog\"\nhost = \"siem.example\"\nrate_limit = {{ bytes_per_day = \"1GiB\" }}\n"
            )
        };
        let path = directory.join("agent.toml");
        fs::write(&path, names.iter().map(one).collect::<String>()).unwrap();
        let here = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None };
        Config::load(&path, &here).unwrap().0
    }

    fn letter() -> Letter {
        Letter {
            id: 0,
            key: Key { epoch: [7; 16], n: 1 },
            shard: 0,
            raw: b"{}".to_vec(),
            reply: String::new(),
            reason: String::new(),
            wall_ms: 0,
            attempts: 1,
            edited_ms: None,
        }
    }

    /// Files below `directory` that this process has open.
    fn open_files(directory: &Path) -> usize {
        let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
        links.filter(|link| fs::read_link(link.path()).is_ok_and(|target| target.starts_with(directory))).count()
    }

    #[test]
    fn what_is_gone_is_closed_when_nobody_uses_it_and_only_what_holds_letters_stays_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let stores = Stores::default();
        let plan = |names: &[&str]| stores.plan(&config(directory.path(), names), directory.path(), &mut || 7).unwrap();
        let files = || fs::read_dir(directory.path().join(DEAD_LETTERS)).unwrap().count();
        let all = plan(&["a", "b", "c"]);
        lock(&all.destinations[1].dead_letters).put(&[letter()]).unwrap();
        let of_b = all.destinations[1].clone();
        let left = plan(&["a"]);
        assert_eq!((open_files(directory.path()), stores.has_unused()), (3, false), "a shard may use them yet");
        drop(all);
        stores.sweep(directory.path());
        assert_eq!((open_files(directory.path()), files()), (2, 2), "c is gone, b has something to say");

        let back = plan(&["a", "b"]);
        assert!(Arc::ptr_eq(&back.destinations[1].dead_letters, &of_b.dead_letters), "no file is open twice");
        assert!(Arc::ptr_eq(back.destinations[1].allowance.as_ref().unwrap(), of_b.allowance.as_ref().unwrap()));
        drop((back, of_b));
        assert!(stores.has_unused());
        stores.sweep(directory.path());
        assert_eq!((open_files(directory.path()), files(), stores.has_unused()), (1, 2, false), "its letter is kept");
        assert_eq!(lock(&plan(&["b"]).destinations[0].dead_letters).len(), 1, "and there again");
        assert!(stores.find(left.destinations[0].destination.id).is_some());
    }

    #[test]
    fn what_a_destination_may_still_get_is_kept_over_reloads_unless_the_limit_changes() {
        let limit = RateLimit { events: None, bytes: None, bytes_per_day: Some(1_000), warn_at_percent: 80 };
        let stores = Stores::default();
        let id = DestinationId::from_text("d");
        let first = stores.allowance(id, limit);
        assert!(Arc::ptr_eq(&first, &stores.allowance(id, limit)));
        let other = RateLimit { bytes_per_day: Some(2_000), ..limit };
        assert!(!Arc::ptr_eq(&first, &stores.allowance(id, other)));
    }
}
