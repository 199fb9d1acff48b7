//! One agent for each state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The right to use a state directory; given up on drop, and by the system when the process ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// Why a directory cannot be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error("{} is held by another agent (process {pid})", path.display())]
    Held {
        /// The directory.
        path: PathBuf,
        /// The other process; 0 if it did not say.
        pid: u32,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DirectoryLock {
    /// Takes the lock of the directory `path`, which must exist.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it.
    pub fn take(path: &Path) -> Result<DirectoryLock, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may be about to write its number; then none is shown.
                let _ = (&file).take(20).read_to_string(&mut text);
                return Err(LockError::Held { path: path.to_owned(), pid: text.trim().parse().unwrap_or(0) });
            }
        }
        let pid = format!("{}\n", std::process::id());
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        // For people who find the directory locked; the lock itself does not need it.
        file.write_all(pid.as_bytes()).map_err(failed)?;
        Ok(DirectoryLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(dir.path()).unwrap();
        match DirectoryLock::take(dir.path()) {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, std::process::id()),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(DirectoryLock::take(dir.path()).is_ok());
    }
}
