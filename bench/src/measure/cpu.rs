//! Processor time of another process.

use std::io;
use std::time::Duration;

/// What process `pid` has used so far: user and system time of all its threads, ended ones too.
///
/// # Errors
/// When there is no such process.
pub(crate) fn used(pid: u32) -> io::Result<Duration> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the pointer is to a local of the right type, and the call keeps nothing.
    let failed = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as above.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_time() {
        let pid = std::process::id();
        let before = used(pid).unwrap();
        let sum = (0..2_000_000_u64).map(std::hint::black_box).sum::<u64>();
        assert!(sum > 0 && used(pid).unwrap() > before);
        assert!(used(0x7fff_fff0).is_err());
    }
}
