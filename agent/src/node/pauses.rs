//! Which destinations an operator has paused; kept over reloads and restarts.
//!
//! One small file, `paused.json` in the state directory, mode 0600, replaced as a whole by each change. One that can't
//! be read is kept aside, and nothing is paused then: that is said, and a pause is wished again more easily than a gap
//! is filled. A destination that is no longer configured is forgotten.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::identity::write_durably;
use crate::config::DestinationId;

/// The destinations that an operator has paused.
#[derive(Debug)]
pub struct Pauses {
    state_dir: PathBuf,
    paused: Mutex<Paused>,
    /// Held by a change while it waits for the disk, so that nobody who looks has to.
    changing: Mutex<()>,
}

/// That somebody has paused a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    /// Who wished it.
    pub who: String,
    /// Since when, ms since 1970.
    pub since_ms: i64,
}

type Paused = Arc<BTreeMap<DestinationId, Pause>>;

/// The file's content. Ids are written as people see them in `check`.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    paused: BTreeMap<String, Pause>,
}

impl Pauses {
    /// Reads what was paused of the destinations that are still `configured`. Blocks on the disk.
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
        paused.retain(|id, _| configured.contains(id));
        Pauses { state_dir: state_dir.to_owned(), paused: Mutex::new(Arc::new(paused)), changing: Mutex::new(()) }
    }

    /// Who has paused this destination and since when, if somebody has.
    pub fn of(&self, id: DestinationId) -> Option<Pause> {
        self.lock().get(&id).cloned()
    }

    /// All of them.
    pub fn ids(&self) -> Vec<DestinationId> {
        self.lock().keys().copied().collect()
    }

    /// Pauses a destination, or with `None` lets it go on; what is so already stays as it is. Returns how it was.
    ///
    /// When it changes anything, the change is durable before `tell` is called, and those of several callers are told in
    /// their order. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses; nothing is changed then.
    pub fn change(&self, id: DestinationId, to: Option<Pause>, tell: impl FnOnce()) -> io::Result<Option<Pause>> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paused = BTreeMap::clone(&self.lock());
        let before = paused.get(&id).cloned();
        if before.is_some() == to.is_some() {
            return Ok(before);
        }
        match to {
            Some(pause) => paused.insert(id, pause),
            None => paused.remove(&id),
        };
        self.write(&paused)?;
        *self.lock() = Arc::new(paused);
        tell();
        Ok(before)
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
        Some(Pause { who: who.to_owned(), since_ms: 7 })
    }

    #[test]
    fn a_pause_outlives_the_agent_and_ends_when_somebody_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (DestinationId::from_text("a"), DestinationId::from_text("b"));
        let open = || Pauses::open(directory.path(), &[a, b]);
        let pauses = open();
        let mut told = 0;
        assert_eq!(pauses.change(a, pause("uid 0"), || told += 1).unwrap(), None);
        assert_eq!(pauses.change(b, pause("uid 5"), || told += 1).unwrap(), None);
        assert_eq!(pauses.change(a, pause("uid 9"), || told += 1).unwrap(), pause("uid 0"), "the first one stays");
        assert_eq!(told, 2, "what changes nothing is not told");
        assert_eq!((open().of(a), open().ids().len()), (pause("uid 0"), 2));
        assert_eq!(open().change(a, None, || told += 1).unwrap(), pause("uid 0"));
        assert_eq!((open().of(a), open().ids()), (None, vec![b]));
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Pauses::open(directory.path(), &[a]).ids().is_empty(), "what is not configured is forgotten");
    }

    #[test]
    fn lesson_01_a_damaged_file_pauses_nothing_and_is_kept_aside() {
        let a = DestinationId::from_text("a");
        for text in ["{ torn", r#"{"format":2,"paused":{}}"#, r#"{"format":1,"paused":{"x":{"who":"","since_ms":0}}}"#]
        {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(FILE), text).unwrap();
            let pauses = Pauses::open(directory.path(), &[a]);
            assert_eq!(pauses.ids(), []);
            assert_eq!(fs::read_to_string(directory.path().join("paused.json.damaged")).unwrap(), text);
            pauses.change(a, pause("uid 0"), || {}).unwrap();
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
        assert!(pauses.change(a, pause("uid 0"), || panic!("told before it is durable")).is_err());
        assert_eq!(pauses.of(a), None);
    }
}
