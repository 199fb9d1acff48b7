//! A file system of a few hundred megabytes, to be filled.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::is_root;

/// A size-limited file system (tmpfs), gone when dropped.
pub struct SmallDisk {
    // Unmounted before the folder itself is removed.
    mount: Mounted,
    _dir: TempDir,
}

struct Mounted(PathBuf);

const CHUNK: usize = 1 << 20;
const BALLAST: &str = "ballast";

impl SmallDisk {
    /// Mounts a file system of `mebibytes`.
    ///
    /// # Errors
    /// Why that is not possible here.
    pub fn mount(mebibytes: u64) -> Result<SmallDisk, String> {
        if !is_root() {
            return Err("mounting a size-limited file system needs root".to_owned());
        }
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let place = dir.path().join("disk");
        fs::create_dir(&place).map_err(|error| error.to_string())?;
        let run = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "none"])
            .arg(&place)
            .output();
        match run {
            Err(error) => Err(format!("cannot run mount: {error}")),
            Ok(run) if !run.status.success() => {
                Err(format!("cannot mount tmpfs: {}", String::from_utf8_lossy(&run.stderr).trim()))
            }
            Ok(_) => Ok(SmallDisk { mount: Mounted(place), _dir: dir }),
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount.0
    }

    /// Writes a file until nothing more fits, except for `leave` bytes.
    pub fn fill(&self, leave: u64) {
        let path = self.path().join(BALLAST);
        let mut file =
            File::options().create(true).append(true).open(&path).expect("even a full disk has room for a name");
        let zeros = vec![0; CHUNK];
        while file.write_all(&zeros).is_ok() {}
        // The last, partial chunk byte by page.
        while file.write_all(&zeros[..4096]).is_ok() {}
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        file.set_len(length.saturating_sub(leave)).expect("a file can always be cut");
    }

    /// Makes the room free again that [`SmallDisk::fill`] took.
    pub fn make_room(&self) {
        let _ = fs::remove_file(self.path().join(BALLAST));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a process that still has a file open there must not leave the mount behind.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::skip;

    #[test]
    fn a_small_disk_fills_and_empties() {
        let disk = match SmallDisk::mount(8) {
            Ok(disk) => disk,
            Err(reason) => return skip("a_small_disk_fills_and_empties", &reason),
        };
        let place = disk.path().to_owned();
        disk.fill(0);
        assert!(fs::write(place.join("x"), vec![1; 64 * 1024]).is_err());
        disk.make_room();
        // The file system gives pages back a moment after the file that had them is gone.
        crate::wait::wait_until("there is room", std::time::Duration::from_secs(10), || {
            fs::write(place.join("x"), vec![1; 64 * 1024]).is_ok()
        });
        drop(disk);
        assert!(!place.exists());
    }
}
