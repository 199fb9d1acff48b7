//! The machine: which processors are used, and what it is like.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::measure::statistics::summary;

/// What figures depend on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    /// The processors that may be used; each scenario says which of them it was run on.
    pub(crate) cores: Vec<usize>,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// The file system that is measured, as the kernel mounts it.
    pub(crate) file_system: String,
    /// The median of 4 KiB written over in a file whose blocks are there, and synced with `fdatasync`, in milliseconds.
    pub(crate) disk_sync_ms: f64,
    /// The runnable threads of the last minute, before the first run: anything above nothing is somebody else's work.
    pub(crate) load_before: String,
}

impl Machine {
    /// Looks at the machine, with a file in `work` to time syncs.
    ///
    /// # Errors
    /// When there is no disk to write to.
    pub(crate) fn look(work: &Path, cores: Vec<usize>) -> io::Result<Machine> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory = field(&read("/proc/meminfo"), "MemTotal:")
            .and_then(|text| text.split_ascii_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()));
        Ok(Machine {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores,
            memory_gib: memory.unwrap_or(0.0) / f64::from(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(&read("/proc/mounts"), &work.canonicalize()?),
            disk_sync_ms: time_syncs(work)?,
            load_before: read("/proc/loadavg").split_ascii_whitespace().next().unwrap_or_default().to_owned(),
        })
    }
}

/// What stands behind `name` and a colon on the first line that begins with it.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([':', ' ', '\t']).trim().to_owned())
}

/// The type and options of the mount that holds `path`: the one with the longest name that is a prefix.
fn file_system(mounts: &str, path: &Path) -> String {
    let columns = mounts.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let holding = columns.filter(|columns| columns.len() > 3 && path.starts_with(columns[1]));
    holding
        .max_by_key(|columns| columns[1].len())
        .map_or_else(|| "unknown".to_owned(), |columns| format!("{} ({})", columns[2], columns[3]))
}

fn time_syncs(work: &Path) -> io::Result<f64> {
    let path = work.join("sync-probe");
    let mut file = File::create(&path)?;
    // A file that grows has its length to sync as well, which the segments of a log that is reused have not.
    file.write_all(&vec![0; SYNCS * BLOCK])?;
    file.sync_all()?;
    file.rewind()?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&[0x5a; BLOCK])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(path)?;
    Ok(summary(&times).map_or(0.0, |times| times.median))
}

/// The processors that this process may use.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn processors() -> io::Result<Vec<usize>> {
    // SAFETY: a set of processors is plain bits, for which zeros are valid.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a local of the size that is given.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &mut allowed) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `allowed` is a valid set and the numbers are below its size.
    let is_allowed = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &allowed) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(is_allowed).collect())
}

/// Binds this thread, and so every thread and contender that it starts from now on, to these processors. Sender, contender
/// and receiver share them, as they do on a small machine.
///
/// # Errors
/// When the kernel does not allow it.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    // SAFETY: a set of processors is plain bits, for which zeros are valid.
    let mut wanted: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in cores {
        // SAFETY: `wanted` is a valid set and the numbers are those of `processors`, below its size.
        unsafe { libc::CPU_SET(*cpu, &mut wanted) };
    }
    // SAFETY: the pointer is to a local of the size that is given.
    if unsafe { libc::sched_setaffinity(0, size_of_val(&wanted), &wanted) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets this process and its contenders have as many files open as the machine allows: a thousand destinations need more
/// than the usual thousand.
///
/// # Errors
/// When the kernel does not allow it.
pub(crate) fn raise_open_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local of the right type.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above, and nothing is kept.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

const SYNCS: usize = 100;
const BLOCK: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_nearest_to_a_folder_is_named() {
        let mounts = "/dev/vda / ext4 rw,relatime 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), "tmpfs (rw)");
        assert_eq!(file_system(mounts, Path::new("/srv/x")), "ext4 (rw,relatime)");
    }

    #[test]
    fn a_thread_is_bound_to_fewer_processors_and_to_more_again() {
        // In a thread of its own: the other tests keep theirs.
        let bound = std::thread::spawn(|| {
            let all = processors().unwrap();
            pin(&all[..1]).unwrap();
            let one = processors().unwrap();
            pin(&all).unwrap();
            (one, all, processors().unwrap())
        });
        let (one, all, again) = bound.join().unwrap();
        assert_eq!((one, &again), (all[..1].to_vec(), &all));
    }

    #[test]
    fn the_machine_tells_what_figures_depend_on() {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::look(dir.path(), vec![0]).unwrap();
        assert!(machine.disk_sync_ms > 0.0 && !machine.kernel.is_empty() && machine.memory_gib > 0.0);
    }
}
