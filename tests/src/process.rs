//! What the kernel knows of a process, and signals to it.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// `USER_HZ`, fixed at 100 on every architecture that Linux shows to programs.
const TICKS_PER_SECOND: u64 = 100;

/// Sends the signal `name` (`TERM`, `HUP`, `STOP`, `CONT`) to the process `pid`, which the caller has started.
///
/// # Panics
/// When there is no such process.
#[track_caller]
pub fn signal(pid: u32, name: &str) {
    // The shell's own `kill` saves these tests from calling the system themselves.
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to process {pid}");
}

/// Processor time that `pid` has used so far, in user and kernel mode, ended threads included; in steps of 10 ms.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name may contain anything, so fields count from behind its closing parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1_000 / TICKS_PER_SECOND))
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Everything that is resident, mapped files too.
    pub resident: u64,
    /// What belongs to no file: heap, stacks, buffers.
    pub anonymous: u64,
}

/// Memory that `pid` uses now.
pub fn memory(pid: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let bytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(Memory { resident: bytes("Rss:")?, anonymous: bytes("Anonymous:")? })
}

/// True when this process may do what only root may (mount, for example).
pub fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective =
        status.lines().find_map(|line| line.strip_prefix("Uid:")).and_then(|ids| ids.split_ascii_whitespace().nth(1));
    effective == Some("0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_memory() {
        let pid = std::process::id();
        assert!(cpu_time(pid).is_some());
        let memory = memory(pid).unwrap();
        assert!(memory.anonymous > 0 && memory.resident >= memory.anonymous);
        assert_eq!(cpu_time(u32::MAX), None);
    }
}
