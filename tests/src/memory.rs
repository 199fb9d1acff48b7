//! What is in the memory of a process: what a core dump would hold, and whoever may trace it could read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use memchr::memmem;

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub what: String,
    /// In which mapping, as `/proc/PID/maps` names it.
    pub mapping: String,
    /// Its surroundings, for whoever has to find out what they are.
    pub around: String,
}

/// Looks for each of `texts` in all that the process `pid` may write: its heap, its stacks, the files that it maps. What it can
/// only read is its program.
///
/// # Errors
/// When the system shows this process no other's memory.
pub fn find_in_memory(pid: u32, texts: &[&str]) -> io::Result<Vec<Found>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let Some((start, end)) = writable(line) else { continue };
        let bytes = read(&memory, start, end);
        for text in texts {
            let at = memmem::find_iter(&bytes, text.as_bytes());
            found.extend(at.map(|at| {
                let around = &bytes[at.saturating_sub(AROUND)..bytes.len().min(at + text.len() + AROUND)];
                Found { what: (*text).to_owned(), mapping: line.to_owned(), around: around.escape_ascii().to_string() }
            }));
        }
    }
    Ok(found)
}

/// The addresses of a mapping that can be read and written.
fn writable(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    fields.next()?.starts_with("rw").then_some((address(start)?, address(end)?))
}

/// What is there; zeros where nothing can be read, such as behind the end of a mapped file.
fn read(memory: &File, start: u64, end: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(end - start).unwrap_or_default()];
    if memory.read_exact_at(&mut bytes, start).is_err() {
        for (page, address) in bytes.chunks_mut(PAGE).zip((start..).step_by(PAGE)) {
            if memory.read_exact_at(page, address).is_err() {
                page.fill(0);
            }
        }
    }
    bytes
}

/// Bytes shown on either side.
const AROUND: usize = 48;
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_holds_is_found_in_it() {
        let held: Vec<String> = ["here-", "5f0c"].iter().map(|part| format!("{part}{part}")).collect();
        let text = held.concat();
        let found = find_in_memory(std::process::id(), &[&text, "nowhere but here"]).unwrap();
        assert!(found.iter().any(|found| found.what == text), "{found:?}");
        assert!(writable("7ffd0000-7ffd1000 r--p 00000000 00:00 0 [vvar]").is_none());
        assert!(writable("7ffd0000-7ffd1000 ---p 00000000 00:00 0").is_none());
        assert_eq!(writable("1000-2000 rw-p 00000000 00:00 0 [heap]"), Some((0x1000, 0x2000)));
    }
}
