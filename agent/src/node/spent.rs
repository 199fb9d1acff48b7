//! What destinations that may get so much a day have got; kept over restarts, and over a day on which one goes and comes back.
//!
//! One small file, `spent.json` in the state directory, mode 0600, replaced as a whole: once a second while something is
//! sent, like the cursors, and when the agent stops. After a crash a destination may so get once more what it got in the
//! last seconds. One that can't be read is said, and counts as nothing spent.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::identity::write_durably;
use crate::config::DestinationId;
use crate::delivery::allowance::Spent;

/// What each destination has got, as far as it is kept.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    kept: BTreeMap<DestinationId, Spent>,
    /// The disk has refused it, which is said once.
    is_refused: bool,
}

/// The file's content. Ids are written as people see them in `check`.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    spent: BTreeMap<String, Spent>,
}

impl Ledger {
    /// Reads what was spent. Blocks on the disk.
    pub(super) fn open(state_dir: &Path) -> Ledger {
        let path = state_dir.join(FILE);
        let kept = read(&path).unwrap_or_else(|why| {
            tracing::warn!("{} can't be read, so each limit for the day begins anew: {why}", path.display());
            BTreeMap::new()
        });
        Ledger { kept, is_refused: false }
    }

    /// What a destination has got.
    pub(super) fn of(&self, id: DestinationId) -> Option<Spent> {
        self.kept.get(&id).copied()
    }

    /// Whether this is kept already.
    pub(super) fn holds(&self, spent: &[(DestinationId, Spent)]) -> bool {
        spent.iter().all(|(id, spent)| self.kept.get(id) == Some(spent))
    }

    /// Keeps what destinations have got, beside what others got lately by the wall clock. Blocks on the disk; one that refuses
    /// is told of.
    pub(super) fn keep(&mut self, state_dir: &Path, spent: &[(DestinationId, Spent)], wall_ms: i64) {
        let mut after = self.kept.clone();
        after.extend(spent.iter().copied());
        // Of days that are over nobody asks any more, nor of those of a clock that was far ahead. One day is left over for clocks
        // that are set. What is told stays whatever its day: else it would never be kept, and be written again and again.
        let today = wall_ms.div_euclid(DAY_MS);
        let is_told = |id: &DestinationId| spent.iter().any(|(told, _)| told == id);
        after.retain(|id, spent| spent.day.abs_diff(today) <= 1 || is_told(id));
        match write(state_dir, &after) {
            Ok(()) => *self = Ledger { kept: after, is_refused: false },
            Err(problem) => {
                if !self.is_refused {
                    tracing::error!("what destinations got today can't be kept, and a restart forgets it: {problem}");
                }
                self.is_refused = true;
            }
        }
    }
}

fn write(state_dir: &Path, spent: &BTreeMap<DestinationId, Spent>) -> io::Result<()> {
    let spent = spent.iter().map(|(id, spent)| (id.to_string(), *spent)).collect();
    write_durably(state_dir, &state_dir.join(FILE), &serde_json::to_vec_pretty(&Stored { format: FORMAT, spent })?)
}

/// What the file says, or in words why it says nothing.
fn read(path: &Path) -> Result<BTreeMap<DestinationId, Spent>, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(problem) => return Err(problem.to_string()),
    };
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|problem| problem.to_string())?;
    if stored.format != FORMAT {
        return Err(format!("its format is {}, and this version knows {FORMAT}", stored.format));
    }
    let with_id = |(text, spent): (String, Spent)| {
        let id = u128::from_str_radix(&text, 16).map_err(|_| format!("`{text}` is no destination's id"))?;
        Ok((DestinationId::from_bytes(id.to_be_bytes()), spent))
    };
    stored.spent.into_iter().map(with_id).collect()
}

const FILE: &str = "spent.json";
const FORMAT: u32 = 1;
const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DestinationId {
        DestinationId::from_text(text)
    }

    #[test]
    fn what_is_kept_is_known_after_a_restart_and_days_that_are_over_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(directory.path());
        let first = [(id("a"), Spent { day: 20_000, bytes: 7 }), (id("b"), Spent { day: 20_000, bytes: 8 })];
        assert!(!ledger.holds(&first) && ledger.holds(&[]));
        ledger.keep(directory.path(), &first, 20_000 * DAY_MS);
        assert!(ledger.holds(&first));
        ledger.keep(directory.path(), &[(id("a"), Spent { day: 20_001, bytes: 1 })], 20_001 * DAY_MS);
        let mut again = Ledger::open(directory.path());
        assert_eq!(again.of(id("a")), Some(Spent { day: 20_001, bytes: 1 }));
        assert_eq!(again.of(id("b")), Some(Spent { day: 20_000, bytes: 8 }), "it may be yesterday's yet");
        again.keep(directory.path(), &[(id("a"), Spent { day: 20_002, bytes: 2 })], 20_002 * DAY_MS);
        assert_eq!(Ledger::open(directory.path()).of(id("b")), None);
    }

    #[test]
    fn what_is_told_is_kept_whatever_its_day_and_a_clock_that_was_ahead_takes_nothing_away() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(directory.path());
        let told = [(id("paused"), Spent { day: 20_000, bytes: 7 }), (id("sends"), Spent { day: 20_002, bytes: 8 })];
        ledger.keep(directory.path(), &told, 20_002 * DAY_MS);
        assert!(ledger.holds(&told), "or it would be written each second");
        ledger.keep(directory.path(), &[(id("ahead"), Spent { day: 20_900, bytes: 1 })], 20_900 * DAY_MS);
        ledger.keep(directory.path(), &told, 20_002 * DAY_MS);
        assert!(ledger.holds(&told));
        assert_eq!(Ledger::open(directory.path()).of(id("ahead")), None);
    }

    #[test]
    fn what_can_not_be_read_or_written_keeps_nobody_from_starting_and_from_going_on() {
        let directory = tempfile::tempdir().unwrap();
        let spent = [(id("a"), Spent { day: 1, bytes: 7 })];
        fs::write(directory.path().join(FILE), "{").unwrap();
        let mut ledger = Ledger::open(directory.path());
        assert_eq!(ledger.of(id("a")), None);
        ledger.keep(&directory.path().join("nowhere"), &spent, DAY_MS);
        assert!(!ledger.holds(&spent), "it is tried again");
        ledger.keep(directory.path(), &spent, DAY_MS);
        assert_eq!(Ledger::open(directory.path()).of(id("a")), Some(spent[0].1));
    }
}
