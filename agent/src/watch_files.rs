//! Files that are read again when they change: secrets, certificates, tokens that others rotate.
//!
//! A file counts as changed when it was replaced (another inode, also behind a symbolic link, as Kubernetes swaps
//! them), rewritten (time or size), or came or went. Looking blocks on the disk, so shards have helpers do it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Some files, and what they looked like when they were read.
#[derive(Clone, Debug, Default)]
pub struct WatchedFiles {
    files: Vec<(PathBuf, Option<Look>)>,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Times can be set back by whoever copies a file; this one can't.
    changed: (i64, i64),
}

impl WatchedFiles {
    /// These files as they are now. Look before reading them: a change in between is then seen the next time.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> WatchedFiles {
        let files = paths.into_iter().map(|path| (look(&path), path)).map(|(look, path)| (path, look)).collect();
        WatchedFiles { files }
    }

    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Looks again. Whether any of them changed since the last look.
    pub fn have_changed(&mut self) -> bool {
        let mut have_changed = false;
        for (path, before) in &mut self.files {
            let now = look(path);
            have_changed |= *before != now;
            *before = now;
        }
        have_changed
    }
}

fn look(path: &Path) -> Option<Look> {
    let facts = fs::metadata(path).ok()?;
    Some(Look {
        device: facts.dev(),
        inode: facts.ino(),
        size: facts.size(),
        modified: (facts.mtime(), facts.mtime_nsec()),
        changed: (facts.ctime(), facts.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn lesson_33_a_file_that_was_rewritten_replaced_or_swapped_behind_a_link_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a"), "one").unwrap();
        fs::write(at("target-1"), "x").unwrap();
        fs::write(at("target-2"), "x").unwrap();
        symlink(at("target-1"), at("link")).unwrap();
        let mut watched = WatchedFiles::new([at("a"), at("link"), at("later")]);
        assert!(!watched.have_changed());

        fs::write(at("a"), "two!").unwrap();
        assert!(watched.have_changed());
        assert!(!watched.have_changed());

        fs::write(at("new"), "two!").unwrap();
        fs::rename(at("new"), at("a")).unwrap();
        assert!(watched.have_changed(), "another file of the same size in its place");

        symlink(at("target-2"), at("link-2")).unwrap();
        fs::rename(at("link-2"), at("link")).unwrap();
        assert!(watched.have_changed());

        fs::write(at("later"), "").unwrap();
        assert!(watched.have_changed());
        fs::remove_file(at("later")).unwrap();
        assert!(watched.have_changed());
        assert!(!watched.have_changed());
    }

    #[test]
    fn nothing_to_look_at_never_changes() {
        assert!(WatchedFiles::default().is_empty());
        assert!(!WatchedFiles::default().have_changed());
    }
}
