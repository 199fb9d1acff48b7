//! System calls of a process and all its threads, counted by the kernel's tracepoint through `perf stat`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_tests::process::signal;

/// A count that is under way.
pub(crate) struct Counting {
    perf: Child,
    output: PathBuf,
}

impl Counting {
    /// Begins to count what `pid` calls, with a file in `dir`.
    ///
    /// # Errors
    /// Why that is not possible here.
    pub(crate) fn start(pid: u32, dir: &Path) -> Result<Counting, String> {
        let output = dir.join("perf.txt");
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", EVENT, "-o"]).arg(&output).arg("-p").arg(pid.to_string());
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut perf = spawned.map_err(|error| format!("`perf` cannot be started: {error}"))?;
        // perf says nothing when it has begun; it has opened its counters long before this.
        thread::sleep(Duration::from_millis(300));
        match perf.try_wait() {
            Ok(None) => Ok(Counting { perf, output }),
            _ => Err(format!("`perf stat -e {EVENT}` is not allowed here")),
        }
    }

    /// Ends the count.
    pub(crate) fn end(mut self) -> Option<u64> {
        signal(self.perf.id(), "INT");
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.perf.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.perf.kill();
        let _ = self.perf.wait();
        parse(&fs::read_to_string(&self.output).ok()?)
    }
}

fn parse(text: &str) -> Option<u64> {
    text.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

const EVENT: &str = "raw_syscalls:sys_enter";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read() {
        assert_eq!(parse("# started on …\n\n1234,,raw_syscalls:sys_enter,1000,100.00,,\n"), Some(1_234));
        assert_eq!(parse("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
    }
}
