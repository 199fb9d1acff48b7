//! A disk whose sync takes as long as the test wants, or fails once.
//!
//! A library loaded before all others takes the place of `fdatasync`, `fsync` and `msync` in the agent's process. It looks at files
//! in the test's folder: while `hold` exists a sync waits before it is made (and `waiting` exists); when `fail` exists one sync removes it
//! and returns `EIO` without having synced.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agent_process::Agent;
use crate::c_source::compile;
use crate::wait::wait_until;

/// The handle on the agent's syncs.
pub struct SlowSync {
    dir: PathBuf,
}

const FAILED_WITHIN: Duration = Duration::from_secs(20);

impl SlowSync {
    /// Puts the library into `agent`, which is not started yet. Only files whose path contains `only` are touched
    /// (`".seg"` for the log's segments, empty for all).
    ///
    /// # Errors
    /// Why that is not possible here.
    pub fn install(agent: &mut Agent, only: &str) -> Result<SlowSync, String> {
        let dir = agent.dir().join("slow-sync");
        fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        let library = compile(include_str!("slow_sync.c"), &dir, "slow_sync.so", &["-shared", "-fPIC"], &["-ldl"])?;
        agent.set_env("LD_PRELOAD", library);
        agent.set_env("SLOW_SYNC_DIR", dir.clone());
        agent.set_env("SLOW_SYNC_ONLY", only);
        Ok(SlowSync { dir })
    }

    /// From now on each sync waits until [`SlowSync::release`].
    pub fn hold(&self) {
        fs::write(self.dir.join("hold"), "").expect("the test's folder can be written");
    }

    /// Waits until a sync waits.
    #[track_caller]
    pub fn wait_held(&self, within: Duration) {
        wait_until("a sync is held up", within, || self.dir.join("waiting").exists());
    }

    /// Lets the waiting syncs be made, and all later ones.
    pub fn release(&self) {
        let _ = fs::remove_file(self.dir.join("hold"));
    }

    /// The next sync fails with `EIO`. Returns once it has.
    #[track_caller]
    pub fn fail_once(&self, mut provoke: impl FnMut()) {
        let order = self.dir.join("fail");
        fs::write(&order, "").expect("the test's folder can be written");
        provoke();
        wait_until("a sync has failed", FAILED_WITHIN, || !order.exists());
    }

    /// The file in which the library counts the syncs it has made, one byte each.
    pub fn made(&self) -> u64 {
        made(&self.dir)
    }
}

fn made(dir: &Path) -> u64 {
    fs::metadata(dir.join("made")).map_or(0, |metadata| metadata.len())
}

impl Drop for SlowSync {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use super::*;
    use crate::skip::skip;

    #[test]
    fn a_sync_is_held_fails_once_and_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let library =
            match compile(include_str!("slow_sync.c"), dir.path(), "slow_sync.so", &["-shared", "-fPIC"], &["-ldl"]) {
                Ok(library) => library,
                Err(reason) => return skip("a_sync_is_held_fails_once_and_is_made", &reason),
            };
        let sync = || {
            let file = dir.path().join("x.seg");
            let mut command = Command::new("dd");
            command
                .args(["if=/dev/zero", "bs=1", "count=1", "conv=fdatasync", "status=none"])
                .arg(format!("of={}", file.display()));
            command.env("LD_PRELOAD", &library).env("SLOW_SYNC_DIR", dir.path()).env("SLOW_SYNC_ONLY", ".seg");
            command.output().unwrap().status.success()
        };
        assert!(sync());
        assert!(made(dir.path()) >= 1);
        fs::write(dir.path().join("fail"), "").unwrap();
        assert!(!sync());
        let before = made(dir.path());
        thread::scope(|scope| {
            // Inside, so that a failure here lets the held program go.
            let slow = SlowSync { dir: dir.path().to_owned() };
            slow.hold();
            let waiting = scope.spawn(sync);
            slow.wait_held(Duration::from_secs(10));
            assert_eq!(slow.made(), before);
            slow.release();
            assert!(waiting.join().unwrap());
            assert!(slow.made() > before);
        });
    }
}
