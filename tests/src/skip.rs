//! Tests that need what this machine may not have.
//!
//! A skipped test is not a passed one, so it never is silent: the name and the reason are printed and, where the
//! environment variable [`LIST`] names a file, written there, one line each. Under [`STRICT`] (set by `.ci/run`, which
//! installs what is needed) the test fails instead.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;

/// Names a file that collects the lines `skipped: NAME: reason`.
pub const LIST: &str = "SCAIDRIVE_SKIPS";
/// Set to `1` where nothing may be missing: a skip is then a failure.
pub const STRICT: &str = "CI_STRICT";

/// Reports that the test `name` cannot run here because of `reason`. The caller returns right after.
///
/// # Panics
/// Under [`STRICT`].
#[track_caller]
pub fn skip(name: &str, reason: &str) {
    assert!(env::var(STRICT).as_deref() != Ok("1"), "{name} may not be skipped here, but: {reason}");
    let line = format!("skipped: {name}: {reason}\n");
    // Straight to the descriptor: the harness captures what the print macros write.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = env::var_os(LIST) {
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("the file named by SCAIDRIVE_SKIPS can be written");
    }
}
