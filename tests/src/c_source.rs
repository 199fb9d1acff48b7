//! The small C programs of tests and benchmarks, compiled where they are needed.
//!
//! They are in C because each is a handful of system calls that Rust could only make with `unsafe` code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `source` with the system's C compiler into `dir/name`.
///
/// # Errors
/// When there is no compiler, or it refuses the source; the text says which.
pub fn compile(source: &str, dir: &Path, name: &str, flags: &[&str], libraries: &[&str]) -> Result<PathBuf, String> {
    let (input, output) = (dir.join(name).with_extension("c"), dir.join(name));
    fs::write(&input, source).map_err(|error| format!("cannot write {}: {error}", input.display()))?;
    let run = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .arg("-o")
        .arg(&output)
        .arg(&input)
        .args(libraries)
        .output();
    match run {
        Err(error) => Err(format!("there is no C compiler `cc` ({error})")),
        Ok(run) if !run.status.success() => {
            Err(format!("cc refuses {name}.c: {}", String::from_utf8_lossy(&run.stderr)))
        }
        Ok(_) => Ok(output),
    }
}
