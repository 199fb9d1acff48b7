//! Which destinations an operator has paused or drains; kept over reloads and restarts.
//!
//! One small file, `paused.json` in the state directory, mode 0600, replaced as a whole by each change. One that can't
//! be read is kept aside, and nothing is paused then: that is said, and a pause is wished again more easily than a gap
//! is filled. A destination that is no longer configured is forgotten, in the file as well: whoever makes one under its name
//! later makes another one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scaidrive_wal::Seq;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::identity::write_durably;
use crate::config::DestinationId;
use crate::delivery::outlet::Flow;

/// The destinations that an operator has paused or drains.
#[derive(Debug)]
pub struct Pauses {
    state_dir: PathBuf,
    paused: Mutex<Paused>,
    /// Held by a change while it waits for the disk, so that nobody who looks has to.
    changing: Mutex<()>,
}

/// That somebody has paused a destination, at once or when it has drained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    /// Who wished it.
    pub who: String,
    /// Since when, ms since 1970.
    pub since_ms: i64,
    /// What it is to have before; absent where it was paused at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
}

/// That a destination is to have what was in the logs, and no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drain {
    /// By shard, the first record that is to wait.
    pub points: Vec<u64>,
    /// Since when it has everything before them, ms since 1970.
    #[serde(default)]
    pub ended_ms: Option<i64>,
}

/// How a destination's pause was before a wish, and how it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rested {
    /// How it was.
    pub before: Option<Pause>,
    /// How it is.
    pub after: Option<Pause>,
}

impl Pause {
    /// Whether nothing is sent: at once, or because it has drained.
    pub fn is_at_rest(&self) -> bool {
        self.drain.as_ref().is_none_or(|drain| drain.ended_ms.is_some())
    }

    /// What it lets through on the shard of this number. One that was not there when the points were taken has nothing
    /// before them.
    pub(super) fn flow(&self, shard: usize) -> Flow {
        let Some(drain) = &self.drain else { return Flow::Paused };
        let point = drain.point(shard);
        if drain.ended_ms.is_some() { Flow::Drained(point) } else { Flow::Until(point) }
    }
}

impl Drain {
    /// The first record that is to wait on the shard of this number.
    pub fn point(&self, shard: usize) -> Seq {
        self.points.get(shard).map_or(Seq::FIRST, |point| Seq::from_raw(*point))
    }
}

impl Rested {
    /// Whether the wish has changed anything.
    pub fn is_changed(&self) -> bool {
        self.before != self.after
    }
}

type Paused = Arc<BTreeMap<DestinationId, Pause>>;

/// The file's content. Ids are written as people see them in `check`.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    paused: BTreeMap<String, Pause>,
}

impl Pauses {
    /// Reads what was paused of the destinations that are still `configured`, and forgets the others. Blocks on the disk.
    pub fn open(state_dir: &Path, configured: &[DestinationId]) -> Pauses {
        let path = state_dir.join(FILE);
        let mut paused = read(&path).unwrap_or_else(|why| {
            let aside = path.with_extension("json.damaged");
            let kept = match fs::rename(&path, &aside) {
                Ok(()) => format!("it is kept as {}", aside.display()),
                Err(problem) => format!("it can't be kept aside: {problem}"),
            };
            tracing::warn!("{} can't be read, so no destination is paused: {why}; {kept}", path.display());
            BTreeMap::new()
        });
        let gone = paused.extract_if(.., |id, _| !configured.contains(id)).count();
        let pauses =
            Pauses { state_dir: state_dir.to_owned(), paused: Mutex::new(Arc::new(paused)), changing: Mutex::new(()) };
        if gone > 0
            && let Err(problem) = pauses.write(&pauses.all())
        {
            tracing::error!("that destinations which are gone were paused can't be forgotten: {problem}");
        }
        pauses
    }

    /// What is paused as the file says, if it can be read. Changes nothing; blocks on the disk.
    pub fn kept(state_dir: &Path) -> Option<BTreeMap<DestinationId, Pause>> {
        read(&state_dir.join(FILE)).ok()
    }

    /// Who has paused or drains this destination and since when, if somebody has.
    pub fn of(&self, id: DestinationId) -> Option<Pause> {
        self.lock().get(&id).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Arc<BTreeMap<DestinationId, Pause>> {
        Arc::clone(&self.lock())
    }

    /// Makes of a destination's pause what `wish` says; `None` lets it go on.
    ///
    /// When that changes anything, `keep` is called with how it was and will be, and with what writes it: so others can do
    /// what belongs before that and after it. The change is durable before `tell` is called, and those of several callers
    /// are told in their order. Blocks on the disk, and on what `wish` waits for.
    ///
    /// # Errors
    /// When the disk refuses, or `wish` or `keep` does: nothing is changed then, and `tell` hears what stays in force.
    pub fn change<E: From<io::Error>>(
        &self,
        id: DestinationId,
        wish: impl FnOnce(Option<&Pause>) -> Result<Option<Pause>, E>,
        keep: impl FnOnce(&Rested, &dyn Fn() -> io::Result<()>) -> io::Result<()>,
        tell: impl FnOnce(Option<&Pause>),
    ) -> Result<Rested, E> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.of(id);
        let rested = wish(before.as_ref()).and_then(|after| {
            let rested = Rested { before: before.clone(), after };
            if rested.is_changed() {
                keep(&rested, &|| self.put(id, rested.after.clone()))?;
            }
            Ok(rested)
        });
        match &rested {
            Ok(rested) if !rested.is_changed() => {}
            Ok(rested) => tell(rested.after.as_ref()),
            Err(_) => tell(before.as_ref()),
        }
        rested
    }

    fn put(&self, id: DestinationId, pause: Option<Pause>) -> io::Result<()> {
        let mut paused = BTreeMap::clone(&self.lock());
        match pause {
            Some(pause) => paused.insert(id, pause),
            None => paused.remove(&id),
        };
        self.write(&paused)?;
        *self.lock() = Arc::new(paused);
        Ok(())
    }

    fn write(&self, paused: &BTreeMap<DestinationId, Pause>) -> io::Result<()> {
        let paused = paused.iter().map(|(id, pause)| (id.to_string(), pause.clone())).collect();
        let text = serde_json::to_vec_pretty(&Stored { format: FORMAT, paused })?;
        write_durably(&self.state_dir, &self.state_dir.join(FILE), &text)
    }

    fn lock(&self) -> MutexGuard<'_, Paused> {
        // What is inside is replaced as a whole, so a panic elsewhere can't have left half of it.
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the file says, or in words why it says nothing.
fn read(path: &Path) -> Result<BTreeMap<DestinationId, Pause>, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(problem) => return Err(problem.to_string()),
    };
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|problem| problem.to_string())?;
    if stored.format != FORMAT {
        return Err(format!("its format is {}, and this version knows {FORMAT}", stored.format));
    }
    let with_id = |(text, pause): (String, Pause)| {
        let id = u128::from_str_radix(&text, 16).map_err(|_| format!("`{text}` is no destination's id"))?;
        Ok((DestinationId::from_bytes(id.to_be_bytes()), pause))
    };
    stored.paused.into_iter().map(with_id).collect()
}

const FILE: &str = "paused.json";
const FORMAT: u32 = 1;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pause(who: &str) -> Option<Pause> {
        Some(Pause { who: who.to_owned(), since_ms: 7, drain: None })
    }

    fn change(pauses: &Pauses, id: DestinationId, to: Option<Pause>, tell: impl FnOnce()) -> io::Result<Option<Pause>> {
        pauses.change(id, |_| Ok(to), |_, write| write(), |_| tell()).map(|rested: Rested| rested.before)
    }

    #[test]
    fn a_pause_outlives_the_agent_and_ends_when_somebody_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (DestinationId::from_text("a"), DestinationId::from_text("b"));
        let open = || Pauses::open(directory.path(), &[a, b]);
        let pauses = open();
        let mut told = 0;
        assert_eq!(change(&pauses, a, pause("uid 0"), || told += 1).unwrap(), None);
        assert_eq!(change(&pauses, b, pause("uid 5"), || told += 1).unwrap(), None);
        assert_eq!(change(&pauses, a, pause("uid 0"), || told += 1).unwrap(), pause("uid 0"));
        assert_eq!(told, 2, "what changes nothing is not told");
        assert_eq!((open().of(a), open().all().len()), (pause("uid 0"), 2));
        assert_eq!(change(&open(), a, None, || told += 1).unwrap(), pause("uid 0"));
        assert_eq!((open().of(a), open().of(b), open().all().len()), (None, pause("uid 5"), 1));
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Pauses::open(directory.path(), &[a]).all().is_empty(), "what is not configured is forgotten");
        assert!(open().all().is_empty(), "also when it is configured anew");
    }

    #[test]
    fn a_drain_is_kept_with_its_points_and_lets_through_what_stood_before_them() {
        let directory = tempfile::tempdir().unwrap();
        let a = DestinationId::from_text("a");
        let drain = Drain { points: vec![9, 1], ended_ms: None };
        let drains = Pause { drain: Some(drain), ..pause("uid 0").unwrap() };
        change(&Pauses::open(directory.path(), &[a]), a, Some(drains.clone()), || {}).unwrap();
        let kept = Pauses::open(directory.path(), &[a]).of(a).unwrap();
        assert_eq!(kept, drains);
        let until = |seq| Flow::Until(Seq::from_raw(seq));
        assert_eq!(
            [kept.flow(0), kept.flow(1), kept.flow(2)],
            [until(9), until(1), until(1)],
            "a new shard has nothing"
        );
        assert!(!kept.is_at_rest());
        let ended = Pause { drain: Some(Drain { points: vec![9, 1], ended_ms: Some(8) }), ..kept };
        assert_eq!((ended.flow(0), ended.is_at_rest()), (Flow::Drained(Seq::from_raw(9)), true));
    }

    #[test]
    fn lesson_01_a_damaged_file_pauses_nothing_and_is_kept_aside() {
        let a = DestinationId::from_text("a");
        for text in ["{ torn", r#"{"format":2,"paused":{}}"#, r#"{"format":1,"paused":{"x":{"who":"","since_ms":0}}}"#]
        {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(FILE), text).unwrap();
            let pauses = Pauses::open(directory.path(), &[a]);
            assert!(pauses.all().is_empty());
            assert_eq!(fs::read_to_string(directory.path().join("paused.json.damaged")).unwrap(), text);
            change(&pauses, a, pause("uid 0"), || {}).unwrap();
            assert_eq!(Pauses::open(directory.path(), &[a]).of(a), pause("uid 0"));
        }
    }

    #[test]
    fn what_the_disk_refuses_is_not_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let a = DestinationId::from_text("a");
        let pauses = Pauses::open(directory.path(), &[a]);
        // A folder has the name that the new file needs.
        fs::create_dir(directory.path().join("paused.new")).unwrap();
        let mut told = Vec::new();
        let wish = |_: Option<&Pause>| Ok::<_, io::Error>(pause("uid 0"));
        let outcome = pauses.change(a, wish, |_, write| write(), |now| told.push(now.cloned()));
        assert!(outcome.is_err());
        assert_eq!((pauses.of(a), told), (None, vec![None]), "what stays in force is told");
        fs::remove_dir(directory.path().join("paused.new")).unwrap();
        let refuses = |_: &Rested, _: &dyn Fn() -> io::Result<()>| Err(io::Error::other("it can't be noted"));
        assert!(pauses.change(a, wish, refuses, |_| {}).is_err());
        assert_eq!((pauses.of(a), Pauses::open(directory.path(), &[a]).of(a)), (None, None), "nor is it written");
    }
}
