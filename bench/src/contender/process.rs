//! A contender's process: started in the foreground, its words in a file, ended by its own id, and never left behind.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_tests::process::signal;

/// One process. It is killed when this goes.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    /// The command line that started it.
    pub(crate) command: String,
}

impl Process {
    /// Starts `command`, with what it prints in `dir/said.txt`, and waits until `is_ready`.
    ///
    /// # Errors
    /// When it can't start, ends instead, or is not ready in time; the text holds the end of what it said.
    pub(crate) fn start(
        dir: &Path,
        command: &mut Command,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<Process, String> {
        let log = dir.join("said.txt");
        let output = OpenOptions::new().create(true).append(true).open(&log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let shown = shown(command);
        die_with_this_thread(command);
        let spawned = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = spawned.map_err(|error| format!("`{shown}` cannot be started: {error}"))?;
        let mut process = Process { child, log, command: shown };
        let deadline = Instant::now() + READY_WITHIN;
        while !is_ready() {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(format!("`{}` ended at its start ({status}): {}", process.command, process.said()));
            }
            if Instant::now() > deadline {
                return Err(format!("`{}` is not ready in time: {}", process.command, process.said()));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in order (SIGTERM), or hard when that takes too long. Says whether it ended by itself.
    pub(crate) fn stop(mut self) -> bool {
        signal(self.pid(), "TERM");
        let deadline = Instant::now() + STOPPED_WITHIN;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            thread::sleep(LOOK_EVERY);
        }
        false
    }

    /// Why it is no longer there; `None` while it is.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("`{}` ended ({status}): {}", self.command, self.said()))
    }

    /// The last lines of what it printed.
    pub(crate) fn said(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the kernel kill the process when the thread that starts it ends, however that happens: a harness that is killed
/// runs nothing at its end.
fn die_with_this_thread(command: &mut Command) {
    let parent = std::process::id();
    let ask = move || {
        // SAFETY: the call takes two numbers and nothing else.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // A parent that is gone by now sends no signal any more.
        if parent_id() != parent { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec it makes two system calls; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(ask) };
}

/// The command as it would be typed.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LAST_WORDS: usize = 20;

#[cfg(test)]
mod tests {
    use scaidrive_tests::wait::wait_until;

    use super::*;

    #[test]
    fn a_process_dies_with_the_harness_though_nobody_stops_it() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().to_owned();
        // A thread that ends without dropping anything stands for a harness that is killed: the kernel sees no difference.
        let starter = thread::spawn(move || {
            let process = Process::start(&here, Command::new("sleep").arg("600"), || true).unwrap();
            assert!(Path::new(&format!("/proc/{}", process.pid())).exists());
            std::mem::ManuallyDrop::new(process)
        });
        let mut left = starter.join().unwrap();
        wait_until("the process is gone", Duration::from_secs(10), || left.ended().is_some());
    }
}
