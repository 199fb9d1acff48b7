//! A machine that refuses io_uring, as container runtimes' default profiles do.

use std::path::{Path, PathBuf};

use crate::c_source::compile;

/// Compiles the launcher `refuse-io-uring PROGRAM ARGUMENTS…` into `dir`. Everything started by it gets `EPERM` from
/// `io_uring_setup`, `io_uring_enter` and `io_uring_register`.
///
/// # Errors
/// Why it cannot be built here.
pub fn build_launcher(dir: &Path) -> Result<PathBuf, String> {
    compile(include_str!("refuse_io_uring.c"), dir, "refuse-io-uring", &[], &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::skip;

    #[test]
    fn the_launcher_starts_a_program_under_the_filter() {
        let dir = tempfile::tempdir().unwrap();
        let launcher = match build_launcher(dir.path()) {
            Ok(launcher) => launcher,
            Err(reason) => return skip("the_launcher_starts_a_program_under_the_filter", &reason),
        };
        let output =
            std::process::Command::new(launcher).args(["grep", "Seccomp:", "/proc/self/status"]).output().unwrap();
        // 2 is SECCOMP_MODE_FILTER.
        assert_eq!(String::from_utf8_lossy(&output.stdout).split_ascii_whitespace().last(), Some("2"), "{output:?}");
    }
}
