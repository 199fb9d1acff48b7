//! What is kept of every destination over reloads: its dead letters, opened once, and what it may still get today.
//!
//! Always true: a file of dead letters is open once, however often its destination comes and goes. What is planned is held by
//! the plan that the shards work by, and by the places on them; here it is only known. So it is closed when the last shard
//! has said its last words to a destination that is gone, and is still the same one where that destination is back by then.
//!
//! A file with dead letters in it outlives its destination: see [`gone`]. An empty file goes.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::StartError;
use super::spent::Ledger;
use crate::config::{Config, Destination, DestinationId, Misconfigured, RateLimit};
use crate::credentials::Credentials;
use crate::deadletter::DeadLetters;
use crate::deadletter::gone::{self, GONE_MAX_BYTES, Gone};
use crate::delivery::allowance::{Allowance, Spent};
use crate::runtime::clock::wall_ms;
use crate::shard::{Plan, Planned};
use crate::time::Millis;

/// See the module.
#[derive(Clone, Default)]
pub struct Stores {
    open: Known<DeadLetters>,
    /// What those are called that are open.
    names: Arc<Mutex<HashMap<DestinationId, String>>>,
    allowances: Known<Allowance>,
    /// What was spent of them, also by destinations that are gone.
    spent: Arc<Mutex<Ledger>>,
    /// Held by who opens or removes files, so that who only looks has not to wait for the disk.
    changing: Arc<Mutex<()>>,
}

/// What is there as long as somebody uses it.
type Known<T> = Arc<Mutex<HashMap<DestinationId, Weak<Mutex<T>>>>>;

impl Stores {
    /// What is kept in `state_dir` of every destination. Blocks on the disk.
    pub(super) fn open(state_dir: &Path) -> Stores {
        Stores { spent: Arc::new(Mutex::new(Ledger::open(state_dir))), ..Stores::default() }
    }

    /// What shards need to work by a configuration, with stores in `state_dir`. Blocks on the disk.
    pub(super) fn plan(
        &self,
        config: &Config,
        state_dir: &Path,
        chance: &mut dyn FnMut() -> u64,
    ) -> Result<Plan, StartError> {
        let _turn = lock(&self.changing);
        let directory = state_dir.join(DEAD_LETTERS);
        let mut stores = Vec::new();
        for destination in &config.destinations {
            stores.push(self.store(&directory, destination, chance())?);
        }
        // From here on nothing fails: a new allowance takes the place of the one in use, which a plan that is refused must not.
        let mut destinations = Vec::new();
        for (destination, dead_letters) in config.destinations.iter().zip(stores) {
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

    /// Forgets destinations that are gone, removes their files where there is nothing in them, and notes the others; those that
    /// are only `unusable` keep theirs. Blocks on the disk.
    pub fn sweep(&self, state_dir: &Path, unusable: &[DestinationId], now_ms: i64) {
        let _turn = lock(&self.changing);
        lock(&self.allowances).retain(|_, allowance| !is_unused(allowance));
        let gone: Vec<DestinationId> =
            lock(&self.open).extract_if(|_, store| is_unused(store)).map(|(id, _)| id).collect();
        for id in gone {
            let name = lock(&self.names).remove(&id);
            if unusable.contains(&id) {
                continue;
            }
            if let Err(problem) = gone::note(&state_dir.join(DEAD_LETTERS), id.bytes(), name, now_ms) {
                tracing::warn!("the dead letters of a destination that is gone can't be noted or removed: {problem}");
            }
        }
    }

    /// Notes the files of destinations that `config` does not know and nobody has open: they went while no agent ran, or when
    /// they could not be used. Those that it knows are not gone. Blocks on the disk.
    pub fn note_others(&self, state_dir: &Path, config: &Config, now_ms: i64) {
        let Some(known) = known(config) else { return };
        let _turn = lock(&self.changing);
        // What is open came after this configuration, or is for the sweep to note.
        let is_known = |id: &[u8; 16]| {
            let id = DestinationId::from_bytes(*id);
            known.contains(&id) || self.has_open(id)
        };
        if let Err(problem) = gone::note_others(&state_dir.join(DEAD_LETTERS), is_known, now_ms) {
            tracing::warn!("the dead letters of destinations that are gone can't be noted: {problem}");
        }
    }

    /// The dead letters of destinations that are gone, what went first at the front. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk can't be read.
    pub fn gone(&self, state_dir: &Path) -> io::Result<Vec<Gone>> {
        gone::all(&state_dir.join(DEAD_LETTERS))
    }

    /// Those of them for which there is no room any more, without any that `config` knows, whatever was noted. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// When the disk can't be read.
    pub fn beyond_bound(&self, state_dir: &Path, config: &Config) -> io::Result<Vec<Gone>> {
        let Some(known) = known(config) else { return Ok(Vec::new()) };
        let mut noted = self.gone(state_dir)?;
        noted.retain(|gone| !known.contains(&DestinationId::from_bytes(gone.id)));
        Ok(gone::beyond(&noted, GONE_MAX_BYTES).to_vec())
    }

    /// Drops the letters of a destination that is gone: `keep` is called with what does that, so others can do what belongs
    /// before it and after it. `None`, and nothing is done, where it is back or `config` knows it. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses, or `keep` does.
    pub fn drop_gone<T>(
        &self,
        state_dir: &Path,
        config: &Config,
        gone: &Gone,
        keep: impl FnOnce(&dyn Fn() -> io::Result<()>) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let _turn = lock(&self.changing);
        let id = DestinationId::from_bytes(gone.id);
        if self.has_open(id) || known(config).is_none_or(|known| known.contains(&id)) {
            return Ok(None);
        }
        keep(&|| gone::drop_letters(&state_dir.join(DEAD_LETTERS), &gone.id)).map(Some)
    }

    /// Whether the store of a destination is open, or was and the sweep has not seen yet that nobody uses it.
    fn has_open(&self, id: DestinationId) -> bool {
        lock(&self.open).contains_key(&id)
    }

    /// Whether destinations have got something today that is not kept yet.
    pub fn has_spent(&self) -> bool {
        let spent = self.spent();
        !lock(&self.spent).holds(&spent)
    }

    /// Keeps what destinations have got today. Blocks on the disk.
    pub fn keep_spent(&self, state_dir: &Path) {
        // Held before it is looked, so that who looked earlier does not write over what is newer.
        let mut ledger = lock(&self.spent);
        let spent = self.spent();
        ledger.keep(state_dir, &spent, wall_ms());
    }

    /// What each destination may get, as long as somebody uses it. Who holds this keeps it from going with the shards.
    pub(super) fn allowances(&self) -> Vec<(DestinationId, Arc<Mutex<Allowance>>)> {
        lock(&self.allowances).iter().filter_map(|(id, held)| Some((*id, held.upgrade()?))).collect()
    }

    /// What destinations have got whose days have a limit.
    fn spent(&self) -> Vec<(DestinationId, Spent)> {
        let of = |(id, held): (DestinationId, Arc<Mutex<Allowance>>)| {
            let held = lock(&held);
            Some((id, held.spent().filter(|_| held.limits_the_day())?))
        };
        self.allowances().into_iter().filter_map(of).collect()
    }

    /// The same as before, unless the limit has changed; what was spent today counts on in any case.
    fn allowance(&self, id: DestinationId, limit: RateLimit) -> Arc<Mutex<Allowance>> {
        // In the order of `keep_spent`.
        let ledger = lock(&self.spent);
        let mut known = lock(&self.allowances);
        let before = known.get(&id).and_then(Weak::upgrade);
        if let Some(same) = before.as_ref().filter(|held| lock(held).is_of(limit)) {
            return Arc::clone(same);
        }
        let spent = before.and_then(|held| lock(&held).spent()).or_else(|| ledger.of(id));
        let mut fresh = Allowance::new(limit, Millis::ZERO);
        spent.into_iter().for_each(|spent| fresh.go_on_from(spent));
        let fresh = Arc::new(Mutex::new(fresh));
        known.insert(id, Arc::downgrade(&fresh));
        fresh
    }

    fn store(
        &self,
        directory: &Path,
        destination: &Destination,
        salt: u64,
    ) -> Result<Arc<Mutex<DeadLetters>>, StartError> {
        lock(&self.names).insert(destination.id, destination.name.clone());
        if let Some(store) = self.find(destination.id) {
            return Ok(store);
        }
        let (store, opened) = DeadLetters::open(directory, &destination.id.bytes(), DEAD_LETTERS_MAX, salt)?;
        if let Some(aside) = opened.damaged {
            tracing::error!(destination = %destination.name, "its dead letters were damaged; the file is kept as {}", aside.display());
        }
        if let Err(problem) = gone::is_back(directory, &destination.id.bytes()) {
            tracing::warn!(destination = %destination.name, "that it was gone can't be forgotten: {problem}");
        }
        let store = Arc::new(Mutex::new(store));
        lock(&self.open).insert(destination.id, Arc::downgrade(&store));
        Ok(store)
    }
}

/// The destinations of a configuration, also those that can't be used; `None` where nobody can tell which there are: then
/// none may be taken for gone.
fn known(config: &Config) -> Option<HashSet<DestinationId>> {
    let configured = config.destinations.iter().map(|destination| destination.id);
    let unusable = config.misconfigured.iter().map(Misconfigured::id);
    config.are_managed_known.then(|| configured.chain(unusable).collect())
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
        stores.sweep(directory.path(), &[], 1);
        assert_eq!((open_files(directory.path()), files()), (2, 2), "c is gone, b has something to say");

        let back = plan(&["a", "b"]);
        assert!(Arc::ptr_eq(&back.destinations[1].dead_letters, &of_b.dead_letters), "no file is open twice");
        assert!(Arc::ptr_eq(back.destinations[1].allowance.as_ref().unwrap(), of_b.allowance.as_ref().unwrap()));
        drop((back, of_b));
        assert!(stores.has_unused());
        stores.sweep(directory.path(), &[], 2);
        assert_eq!((open_files(directory.path()), files(), stores.has_unused()), (1, 3, false), "its letter is kept");
        let gone = stores.gone(directory.path()).unwrap().remove(0);
        assert_eq!((gone.name.as_str(), gone.since_ms, gone.events), ("b", 2, 1), "and noted");
        let with = |names: &[&str]| config(directory.path(), names);
        let drop_by = |config: &Config| stores.drop_gone(directory.path(), config, &gone, |drop| drop()).unwrap();
        let back = plan(&["b"]);
        assert_eq!(lock(&back.destinations[0].dead_letters).len(), 1, "and there again");
        assert_eq!((stores.gone(directory.path()).unwrap(), files()), (Vec::new(), 2));
        assert_eq!((drop_by(&with(&["a"])), files()), (None, 2), "who is back keeps theirs");
        drop(back);
        stores.sweep(directory.path(), &[DestinationId::from_bytes(gone.id)], 3);
        assert_eq!(files(), 2, "nor is it gone as long as it only can't be used");
        drop(plan(&["b"]));
        stores.sweep(directory.path(), &[], 4);
        assert_eq!(files(), 3);
        assert_eq!(drop_by(&with(&["a", "b"])), None, "nor who is configured");
        assert_eq!(drop_by(&Config { are_managed_known: false, ..with(&["a"]) }), None, "nor who may be");
        assert_eq!(files(), 3);
        assert_eq!((drop_by(&with(&["a"])), files()), (Some(()), 1));
        assert!(stores.find(left.destinations[0].destination.id).is_some());
    }

    #[test]
    fn as_long_as_nobody_knows_which_destinations_there_are_none_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let id = |name: &str| DestinationId::from_text(name).bytes();
        fs::create_dir(at.join(DEAD_LETTERS)).unwrap();
        for name in ["left", "unusable"] {
            let path = at.join(DEAD_LETTERS).join(format!("{}.dl", DestinationId::from_text(name)));
            fs::File::create(path).unwrap().set_len(GONE_MAX_BYTES + 1).unwrap();
        }
        let stores = Stores::default();
        let ids = |gone: Vec<Gone>| gone.into_iter().map(|gone| gone.id).collect::<Vec<_>>();
        let noted = || ids(stores.gone(at).unwrap());
        let beyond = |config: &Config| ids(stores.beyond_bound(at, config).unwrap());
        let mut config = Config { are_managed_known: false, ..config(at, &["a"]) };
        config.misconfigured.push(Misconfigured { key: "unusable".to_owned(), problems: Vec::new() });
        stores.note_others(at, &config, 1);
        assert_eq!(noted(), Vec::<[u8; 16]>::new());

        // An agent that did not know it may have noted it.
        gone::note(&at.join(DEAD_LETTERS), id("unusable"), None, 1).unwrap();
        stores.note_others(at, &config, 2);
        assert_eq!((noted(), beyond(&config)), (vec![id("unusable")], Vec::new()));
        config.are_managed_known = true;
        stores.note_others(at, &config, 3);
        assert_eq!(noted(), [id("left")], "one that can't be used is not gone");
        config.misconfigured.clear();
        stores.note_others(at, &config, 4);
        assert_eq!(noted(), [id("left"), id("unusable")], "until it is deleted");
        assert_eq!(beyond(&config), [id("left"), id("unusable")]);
        config.misconfigured.push(Misconfigured { key: "left".to_owned(), problems: Vec::new() });
        assert_eq!(beyond(&config), [id("unusable")], "whatever is noted");
    }

    #[test]
    fn what_a_destination_may_still_get_is_kept_over_reloads_unless_the_limit_changes() {
        let limit = RateLimit { events: None, bytes: None, bytes_per_day: Some(1_000), warn_at_percent: 80 };
        let stores = Stores::default();
        let id = DestinationId::from_text("d");
        let first = stores.allowance(id, limit);
        assert!(Arc::ptr_eq(&first, &stores.allowance(id, limit)));
        lock(&first).spend(1, 700, Millis::ZERO, 0);
        let other = RateLimit { bytes_per_day: Some(2_000), ..limit };
        let second = stores.allowance(id, other);
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(lock(&second).spent(), lock(&first).spent(), "what it got today it got");
    }

    #[test]
    fn a_plan_that_is_refused_leaves_what_destinations_may_get_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let stores = Stores::default();
        let running = stores.plan(&config(directory.path(), &["a"]), directory.path(), &mut || 7).unwrap();
        let used = running.destinations[0].allowance.clone().unwrap();
        let mut changed = config(directory.path(), &["a", "b"]);
        Arc::make_mut(&mut changed.destinations[0]).rate_limit =
            Some(RateLimit { events: Some(9), bytes: None, bytes_per_day: Some(1), warn_at_percent: 80 });
        // No file can be opened where a folder is.
        let of_b: String = changed.destinations[1].id.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        fs::create_dir_all(directory.path().join(DEAD_LETTERS).join(format!("{of_b}.dl"))).unwrap();
        assert!(stores.plan(&changed, directory.path(), &mut || 7).is_err());
        assert!(Arc::ptr_eq(&stores.allowances()[0].1, &used));
    }

    #[test]
    fn what_a_destination_got_today_counts_after_a_restart() {
        let limit = RateLimit { events: None, bytes: None, bytes_per_day: Some(1_000), warn_at_percent: 80 };
        let directory = tempfile::tempdir().unwrap();
        let (id, other) = (DestinationId::from_text("d"), DestinationId::from_text("e"));
        let stores = Stores::open(directory.path());
        let allowance = stores.allowance(id, limit);
        let without = stores.allowance(other, RateLimit { events: Some(1), bytes_per_day: None, ..limit });
        lock(&without).spend(1, 7, Millis::ZERO, 0);
        assert!(!stores.has_spent(), "nobody counts the days of the other");
        lock(&allowance).spend(1, 1_000, Millis::ZERO, 0);
        assert!(stores.has_spent());
        stores.keep_spent(directory.path());
        assert!(!stores.has_spent());
        let again = Stores::open(directory.path());
        let allowance = again.allowance(id, limit);
        assert!(lock(&allowance).halt(Millis::ZERO, 1).is_some());
        drop(allowance);
        again.sweep(directory.path(), &[], 0);
        assert!(
            lock(&again.allowance(id, limit)).halt(Millis::ZERO, 1).is_some(),
            "nor does who comes back begin anew"
        );
    }
}
