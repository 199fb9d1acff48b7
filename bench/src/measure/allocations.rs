//! Calls of `malloc`, `calloc`, `realloc` and the aligned ones in a process, counted by a library that is loaded before all
//! others. A program that brings its own allocator (Go's, or a static binary) can't be counted so.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use scaidrive_tests::c_source::compile;

/// A counter for one process.
pub(crate) struct Counter {
    library: PathBuf,
    file: PathBuf,
}

impl Counter {
    /// Compiles the library in `dir`.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub(crate) fn new(dir: &Path) -> Result<Counter, String> {
        let library = compile(include_str!("allocations.c"), dir, "allocations.so", &["-shared", "-fPIC"], &[])?;
        let file = dir.join("allocations");
        fs::write(&file, [0; 16]).map_err(|error| error.to_string())?;
        Ok(Counter { library, file })
    }

    /// What to put into the process's environment.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        vec![("LD_PRELOAD".into(), self.library.clone().into()), ("ALLOCATIONS_FILE".into(), self.file.clone().into())]
    }

    /// Calls so far; `None` while no process has loaded the library.
    pub(crate) fn count(&self) -> Option<u64> {
        let file = File::open(&self.file).ok()?;
        let mut words = [0; 16];
        file.read_exact_at(&mut words, 0).ok()?;
        let word = |at: usize| words[at..at + 8].try_into().map(u64::from_ne_bytes);
        (word(0).ok()? == LOADED).then_some(word(8).ok()?)
    }
}

/// What the library writes first; the same number stands in its source.
const LOADED: u64 = 0x5ca1_d41e;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use scaidrive_tests::skip::skip;

    use super::*;

    #[test]
    fn a_process_that_allocates_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let counter = match Counter::new(dir.path()) {
            Ok(counter) => counter,
            Err(reason) => return skip("a_process_that_allocates_is_counted", &reason),
        };
        assert_eq!(counter.count(), None);
        let run = Command::new("sh").args(["-c", "true"]).envs(counter.environment()).status().unwrap();
        assert!(run.success() && counter.count().unwrap() > 0);
    }
}
