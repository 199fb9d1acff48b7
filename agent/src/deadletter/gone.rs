//! Dead letters of destinations that are gone.
//!
//! They are events that the agent has acknowledged and nobody else has, so they outlive their destination: under the same id
//! they are there again. Beside each such file lies a note, `<destination id>.gone`, so that nobody has to read the letters
//! to say what there is. All of them together are bounded ([`GONE_MAX_BYTES`]): of those beyond, what went first goes first.
//!
//! A note is written when a destination is found gone, and goes when it is back or its letters are dropped. One that can't
//! be read is written anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file::remove_if_there;
use super::{DeadLetters, file_name};
use crate::node::write_durably;

/// The dead letters of one destination that is gone, as its note has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The destination's id; it is the note's name.
    #[serde(skip)]
    pub id: [u8; 16],
    /// What people called it; its id where nobody knows any more.
    pub name: String,
    /// When it was found to be gone, ms since 1970.
    pub since_ms: i64,
    /// Letters; 0 where they can't be read.
    pub events: u64,
    /// What the file takes, in bytes.
    pub bytes: u64,
}

/// Notes that a destination is gone whose store nobody has open, and removes the store where it holds no letter.
///
/// # Errors
/// When the disk refuses. A file that can't be read, or that another version wrote, is kept and noted.
pub fn note(directory: &Path, id: [u8; 16], name: Option<String>, since_ms: i64) -> io::Result<()> {
    let path = directory.join(file_name(&id));
    let bytes = match fs::metadata(&path) {
        Ok(facts) => facts.len(),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(problem) => return Err(problem),
    };
    let store = DeadLetters::look_at(&path).ok();
    if store.as_ref().is_some_and(DeadLetters::is_empty) {
        return remove_if_there(&path);
    }
    let events = store.map_or(0, |store| store.len() as u64);
    let name = name.unwrap_or_else(|| hex(&id));
    let gone = Gone { id, name, since_ms, events, bytes };
    write_durably(directory, &note_path(directory, &id), &serde_json::to_vec(&gone)?)
}

/// Notes the stores in `directory` of destinations that are not known and that nobody has noted; those that are known are not
/// gone.
///
/// # Errors
/// When the disk refuses.
pub fn note_others(directory: &Path, is_known: impl Fn(&[u8; 16]) -> bool, now_ms: i64) -> io::Result<()> {
    let noted = all(directory)?;
    noted.iter().filter(|gone| is_known(&gone.id)).try_for_each(|gone| is_back(directory, &gone.id))?;
    let others =
        ids(directory, "dl")?.into_iter().filter(|id| !is_known(id) && noted.iter().all(|gone| gone.id != *id));
    others.into_iter().try_for_each(|id| note(directory, id, None, now_ms))
}

/// Forgets that a destination was gone.
///
/// # Errors
/// When the disk refuses.
pub fn is_back(directory: &Path, id: &[u8; 16]) -> io::Result<()> {
    remove_if_there(&note_path(directory, id))
}

/// Those that are noted in `directory`, what went first at the front.
///
/// # Errors
/// When the directory can't be read; that there is none is no error.
pub fn all(directory: &Path) -> io::Result<Vec<Gone>> {
    let read = |id: [u8; 16]| {
        let bytes = fs::read(note_path(directory, &id)).ok()?;
        let gone: Gone = serde_json::from_slice(&bytes).ok()?;
        Some(Gone { id, ..gone })
    };
    let mut noted: Vec<Gone> = ids(directory, "gone")?.into_iter().filter_map(read).collect();
    noted.sort_by_key(|gone| (gone.since_ms, gone.id));
    Ok(noted)
}

/// As many from the front as have to go for the rest to take `max_bytes` at most.
pub fn beyond(noted: &[Gone], max_bytes: u64) -> &[Gone] {
    let mut left: u64 = noted.iter().map(|gone| gone.bytes).sum();
    let mut count = 0;
    while left > max_bytes && count < noted.len() {
        left -= noted[count].bytes;
        count += 1;
    }
    &noted[..count]
}

/// Drops the letters of a destination that is gone, with what was set aside of them, for good. Durable on return.
///
/// # Errors
/// When the disk refuses; what is left is noted still.
pub fn drop_letters(directory: &Path, id: &[u8; 16]) -> io::Result<()> {
    let name = file_name(id);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|found| found.starts_with(&name)) {
            remove_if_there(&entry.path())?;
        }
    }
    remove_if_there(&note_path(directory, id))?;
    fs::File::open(directory)?.sync_all()
}

/// The ids of the destinations that have a file of this kind.
fn ids(directory: &Path, kind: &str) -> io::Result<Vec<[u8; 16]>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(problem) => return Err(problem),
    };
    let id = |name: &str| {
        let (id, found) = name.split_once('.')?;
        let is_id = found == kind && id.len() == 32;
        is_id.then(|| u128::from_str_radix(id, 16).ok().map(u128::to_be_bytes))?
    };
    Ok(entries.flatten().filter_map(|entry| id(entry.file_name().to_str()?)).collect())
}

fn note_path(directory: &Path, id: &[u8; 16]) -> PathBuf {
    directory.join(format!("{}.gone", hex(id)))
}

fn hex(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

/// What the dead letters of all destinations that are gone may take together, in bytes: as much as those of four.
pub const GONE_MAX_BYTES: u64 = 4 * super::MAX_BYTES_DEFAULT;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadletter::tests::letter;

    fn id(number: u8) -> [u8; 16] {
        [number; 16]
    }

    /// A store with so many letters, closed again.
    fn store(directory: &Path, number: u8, letters: u64) {
        let (mut store, _) = DeadLetters::open(directory, &id(number), super::super::MAX_BYTES_DEFAULT, 1).unwrap();
        store.put(&(0..letters).map(letter).collect::<Vec<_>>()).unwrap();
    }

    fn named(directory: &Path) -> Vec<(String, u64)> {
        all(directory).unwrap().into_iter().map(|gone| (gone.name, gone.events)).collect()
    }

    #[test]
    fn what_a_destination_leaves_is_noted_and_an_empty_store_is_not_left() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        assert_eq!(all(&at.join("nowhere")).unwrap(), []);
        (1..=4).for_each(|number| store(at, number, 4 - u64::from(number)));
        note(at, id(2), Some("two".to_owned()), 20).unwrap();
        note(at, id(1), Some("one".to_owned()), 30).unwrap();
        note(at, id(4), Some("empty".to_owned()), 10).unwrap();
        note(at, id(9), Some("never was".to_owned()), 10).unwrap();
        assert_eq!(named(at), [("two".to_owned(), 2), ("one".to_owned(), 3)], "what went first is first");
        assert!(!at.join(file_name(&id(4))).exists());
        note_others(at, |known| *known == id(2), 40).unwrap();
        assert_eq!(named(at), [("one".to_owned(), 3), (hex(&id(3)), 1)], "nobody knows what that was called");
        drop_letters(at, &id(1)).unwrap();
        assert_eq!(named(at), [(hex(&id(3)), 1)]);
        assert_eq!((at.join(file_name(&id(1))).exists(), at.join(file_name(&id(2))).exists()), (false, true));
    }

    #[test]
    fn what_can_not_be_read_is_kept_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file_name(&id(7)));
        fs::write(&path, [1; 5_000]).unwrap();
        note(directory.path(), id(7), None, 1).unwrap();
        let noted = all(directory.path()).unwrap();
        assert_eq!((noted[0].events, noted[0].bytes, path.exists()), (0, 5_000, true));
        fs::write(note_path(directory.path(), &id(7)), "{").unwrap();
        assert_eq!(all(directory.path()).unwrap(), []);
        note_others(directory.path(), |_| false, 1).unwrap();
        assert_eq!(all(directory.path()).unwrap(), noted);
    }

    #[test]
    fn of_those_beyond_the_bound_what_went_first_goes_first() {
        let gone = |bytes| Gone { id: id(1), name: String::new(), since_ms: 0, events: 1, bytes };
        let noted = [gone(30), gone(40), gone(50)];
        assert_eq!(beyond(&noted, 120), []);
        assert_eq!(beyond(&noted, 119), &noted[..1]);
        assert_eq!(beyond(&noted, 90), &noted[..1]);
        assert_eq!(beyond(&noted, 89), &noted[..2]);
        assert_eq!(beyond(&noted, 0), noted);
        assert_eq!(beyond(&[], 0), []);
    }
}
