//! Cargo, started by what cargo itself started.

use std::path::Path;
use std::process::Command;

/// Cargo in the workspace, as a person would start it there.
///
/// What `cargo run` and `cargo test` tell the programs that they start (`CARGO_PKG_…`, `CARGO_MANIFEST_…`) is not passed on:
/// build scripts watch it (that of `ring` does), so a build would make anew what is there already, and the next build by
/// hand would do so again.
pub fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let is_of_the_caller = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_the_caller) {
            command.env_remove(name);
        }
    }
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace"));
    command
}
