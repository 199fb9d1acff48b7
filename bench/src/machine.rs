//! The machine: which processors are used, and what it is like.

use std::io;

/// Binds this process, and so every contender it starts, to the first `count` processors that it may use. Sender,
/// contender and receiver share them, as they do on a small machine. Returns which.
///
/// # Errors
/// When the kernel does not allow it.
pub(crate) fn pin(count: usize) -> io::Result<Vec<usize>> {
    // SAFETY: a set of processors is plain bits, for which zeros are valid.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a local of the size that is given.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &mut allowed) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `allowed` is a valid set and the numbers are below its size.
    let is_allowed = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &allowed) };
    let chosen: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(is_allowed).take(count).collect();
    // SAFETY: as above.
    let mut wanted: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in &chosen {
        // SAFETY: as above.
        unsafe { libc::CPU_SET(*cpu, &mut wanted) };
    }
    // SAFETY: as above.
    if unsafe { libc::sched_setaffinity(0, size_of_val(&wanted), &wanted) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(chosen)
}
