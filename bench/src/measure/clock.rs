//! A faster clock for a process's main thread, by a library that is loaded before all others: an hour of it passes in half a
//! minute. All other threads keep the machine's time, and so does the time of day.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use scaidrive_tests::c_source::compile;

/// Such a clock for one process.
pub(crate) struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// Compiles the library in `dir`. The clock keeps the machine's time at first.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub(crate) fn new(dir: &Path) -> Result<Clock, String> {
        let library = compile(include_str!("clock.c"), dir, "clock.so", &["-shared", "-fPIC"], &[])?;
        let file = dir.join("clock");
        fs::write(&file, 0_u64.to_ne_bytes()).map_err(|error| error.to_string())?;
        Ok(Clock { library, file })
    }

    /// What to put into the process's environment.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        vec![("LD_PRELOAD".into(), self.library.clone().into()), ("CLOCK_FILE".into(), self.file.clone().into())]
    }

    /// From now on it runs so many times as fast as the machine's. It is told once.
    ///
    /// # Errors
    /// When its file is gone.
    pub(crate) fn hasten(&self, times: u64) -> io::Result<()> {
        fs::OpenOptions::new().write(true).open(&self.file)?.write_all_at(&times.to_ne_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use scaidrive_tests::skip::skip;

    use super::*;

    /// What the test below runs under the faster clock: itself, with this variable.
    const INSIDE: &str = "SCAIDRIVE_BENCH_FAST_CLOCK";

    #[test]
    fn only_the_main_threads_clock_is_faster() {
        // Tests run in threads that are not the main one.
        if std::env::var_os(INSIDE).is_some() {
            let began = Instant::now();
            std::thread::sleep(Duration::from_millis(20));
            assert!(began.elapsed() < Duration::from_secs(10));
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let clock = match Clock::new(dir.path()) {
            Ok(clock) => clock,
            Err(reason) => return skip("only_the_main_threads_clock_is_faster", &reason),
        };
        clock.hasten(1_000).unwrap();
        let name = "measure::clock::tests::only_the_main_threads_clock_is_faster";
        let mut inside = Command::new(std::env::current_exe().unwrap());
        inside.args(["--exact", name]).env(INSIDE, "1").envs(clock.environment());
        assert!(inside.output().unwrap().status.success());
        // A shell-less program that asks its main thread's monotonic clock twice.
        let source = "#include <time.h>\n#include <unistd.h>\nint main(void) { struct timespec a, b; \
            clock_gettime(CLOCK_MONOTONIC, &a); usleep(20000); clock_gettime(CLOCK_MONOTONIC, &b); \
            return b.tv_sec - a.tv_sec >= 15 ? 0 : 1; }\n";
        let program = compile(source, dir.path(), "twice", &[], &[]).unwrap();
        assert!(Command::new(program).envs(clock.environment()).status().unwrap().success());
    }
}
