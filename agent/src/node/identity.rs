//! Which agent this is, and whether it is still on the machine it began on.
//!
//! The state directory holds a random agent id and the machine's id. Another machine id means that the directory was
//! copied: the agent takes a new id, and no stream goes on with its numbers.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The agent's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentId {
    /// 12 hex digits; part of every stream's name.
    pub text: String,
    /// What it was before, when the directory came from another machine or its identity could not be read.
    pub replaces: Option<Replaced>,
}

/// An identity that could not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The former id; empty if it could not be read.
    pub previous: String,
    /// In plain words.
    pub cause: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    agent_id: String,
    machine_id: String,
}

/// Reads the identity in `state_dir`, or makes one from `chance`. Blocks on the disk.
///
/// # Errors
/// When the directory can't be written.
pub fn establish(state_dir: &Path, machine_id: &str, chance: u64) -> io::Result<AgentId> {
    let path = state_dir.join(FILE);
    let fresh = format!("{:012x}", chance >> 16);
    let replaces = match fs::read(&path) {
        Ok(bytes) => match serde_json::from_slice::<Stored>(&bytes) {
            Ok(stored) if stored.machine_id == machine_id => {
                return Ok(AgentId { text: stored.agent_id, replaces: None });
            }
            Ok(stored) => Some(Replaced {
                previous: stored.agent_id,
                cause: String::from("the state directory comes from another machine"),
            }),
            Err(problem) => {
                Some(Replaced { previous: String::new(), cause: format!("its file is damaged: {problem}") })
            }
        },
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => None,
        Err(problem) => return Err(problem),
    };
    let stored = Stored { agent_id: fresh.clone(), machine_id: machine_id.to_owned() };
    write_durably(state_dir, &path, &serde_json::to_vec_pretty(&stored)?)?;
    Ok(AgentId { text: fresh, replaces })
}

/// The agent id that `state_dir` holds, if it holds one. Changes nothing; blocks on the disk.
pub fn known(state_dir: &Path) -> Option<String> {
    let stored: Stored = serde_json::from_slice(&fs::read(state_dir.join(FILE)).ok()?).ok()?;
    Some(stored.agent_id)
}

/// The machine's id (machine-id(5)), or an empty text where there is none.
pub fn machine_id() -> String {
    let read = fs::read_to_string("/etc/machine-id").or_else(|_| fs::read_to_string("/var/lib/dbus/machine-id"));
    read.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Replaces the file at `path` as a whole, mode 0600. When this returns, content and name are durable. What could not be
/// written does not stay beside it: it may hold a secret.
pub(crate) fn write_durably(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if let Err(problem) = written {
        let _ = fs::remove_file(&beside);
        return Err(problem);
    }
    fs::File::open(directory)?.sync_all()
}

const FILE: &str = "identity.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_keeps_its_id_on_its_machine_and_takes_a_new_one_on_another() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let first = establish(directory.path(), "machine-a", 0x1111_2222_3333_4444)?;
        assert_eq!(first, AgentId { text: "111122223333".into(), replaces: None });
        assert_eq!(establish(directory.path(), "machine-a", 5)?, first);
        let moved = establish(directory.path(), "machine-b", 0x5555_6666_7777_8888)?;
        assert_eq!(moved.text, "555566667777");
        assert_eq!(moved.replaces.map(|replaced| replaced.previous), Some("111122223333".into()));
        Ok(())
    }

    #[test]
    fn what_could_not_be_written_does_not_lie_beside_its_place() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("secret");
        fs::create_dir(&path)?;
        assert!(write_durably(directory.path(), &path, b"hush").is_err(), "a folder has its name");
        assert!(!directory.path().join("secret.new").exists());
        Ok(())
    }

    #[test]
    fn lesson_01_a_damaged_identity_never_keeps_the_agent_from_starting() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join(FILE), b"{ torn")?;
        let id = establish(directory.path(), "machine-a", 0x1111_2222_3333_4444)?;
        assert!(id.replaces.is_some_and(|replaced| replaced.cause.contains("damaged")));
        Ok(())
    }
}
