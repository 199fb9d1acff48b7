//! Receivers that no one here wrote, installed by the scripts in `tests/receivers`.
//!
//! What is installed lies in the build's own folder, and nothing is installed twice. A machine that lacks what it takes
//! (Go, Java, a Debian package) says so: its tests are then skipped by name, see [`crate::skip`].

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The exit code of an `install` script on a machine that cannot have the receiver (`EX_UNAVAILABLE` of `sysexits.h`).
const UNAVAILABLE: i32 = 69;

/// The script `name` of the receiver in `tests/receivers/RECEIVER`.
pub fn script(receiver: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("receivers").join(receiver).join(name)
}

/// Installs the receiver, unless that was done before.
///
/// # Errors
/// The reason why this machine cannot have it, for [`crate::skip::skip`].
///
/// # Panics
/// When its script fails for another reason than the machine's.
pub fn install(receiver: &str) -> Result<(), String> {
    let run = Command::new(script(receiver, "install")).stdin(Stdio::null()).output();
    let run = run.unwrap_or_else(|error| panic!("the script that installs {receiver} cannot be started: {error}"));
    let said = String::from_utf8_lossy(&run.stderr);
    match run.status.code() {
        Some(0) => Ok(()),
        Some(UNAVAILABLE) => Err(said.lines().last().unwrap_or("its script does not say why").to_owned()),
        _ => panic!("{receiver} could not be installed ({}):\n{said}", run.status),
    }
}
