//! What this process has in memory, told apart by what it costs: its own pages, and pages of the log that the system
//! can take back at any time.

use std::fs;
use std::path::Path;

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Resident pages that belong to no file.
    pub(super) anonymous: u64,
    /// Resident pages of files: the program itself and the log.
    pub(super) of_files: u64,
    /// Address space over files of the log.
    pub(super) log_mapped: u64,
}

impl Memory {
    /// This process's, with a log below `state_dir`; zeros where the system does not say.
    pub(super) fn here(state_dir: &Path) -> Memory {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let state_dir = fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        Memory::read(&read("status"), &read("maps"), &state_dir.join("log"))
    }

    fn read(status: &str, maps: &str, log: &Path) -> Memory {
        Memory {
            anonymous: kib(status, "RssAnon:"),
            of_files: kib(status, "RssFile:") + kib(status, "RssShmem:"),
            log_mapped: maps.lines().filter_map(|line| mapped(line, log)).sum(),
        }
    }
}

fn kib(status: &str, key: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB"));
    value.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The length of a mapping (`proc_pid_maps(5)`) if it is of a file in `directory`.
fn mapped(line: &str, directory: &Path) -> Option<u64> {
    let path = &line[line.find('/')?..];
    if !Path::new(path).starts_with(directory) {
        return None;
    }
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    u64::from_str_radix(end, 16).ok()?.checked_sub(u64::from_str_radix(start, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pages_and_the_mapped_log_are_told_apart() {
        let status = "Name:\tx\nRssAnon:\t     120 kB\nRssFile:\t      8 kB\nRssShmem:\t       4 kB\n";
        let maps = "7f0000000000-7f0000400000 rw-s 00000000 fe:01 12 /state/log/00/00000000000000000001.seg\n\
                    7f0000400000-7f0000401000 r-xp 00000000 fe:01 13 /usr/bin/scaidrive-siem\n\
                    7f0000500000-7f0000501000 rw-p 00000000 00:00 0 [heap]\n\
                    7f0000600000-7f0000700000 rw-s 00000000 fe:01 12 /state/log/01/spare-1.seg (deleted)\n";
        let memory = Memory::read(status, maps, Path::new("/state/log"));
        assert_eq!(memory, Memory { anonymous: 120 << 10, of_files: 12 << 10, log_mapped: (4 << 20) + (1 << 20) });
    }

    #[test]
    fn this_process_has_memory() {
        let memory = Memory::here(Path::new("/nowhere"));
        assert!(memory.anonymous > 0 && memory.of_files > 0);
        assert_eq!(memory.log_mapped, 0);
    }
}
