//! Memory of another process.
//!
//! | figure | what it holds | from |
//! |---|---|---|
//! | anonymous | heap, stacks, buffers: what belongs to no file; its peak counts | `RssAnon`, every 20 ms |
//! | own pages | resident pages of files that are mapped privately: the program and its libraries | `smaps` |
//! | mapped log | resident pages of files that are shared: whatever anybody's buffer maps; page cache that the kernel takes back when it needs it | `smaps` |

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Looks at a process's anonymous memory again and again.
pub(crate) struct Watch {
    is_over: Arc<AtomicBool>,
    samples: JoinHandle<Vec<u64>>,
}

/// What was seen of a process's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) anonymous_peak: u64,
    /// From the median of the first quarter of the time to that of the last one.
    pub(crate) growth: i64,
    pub(crate) own_pages: u64,
    pub(crate) mapped_log: u64,
}

impl Watch {
    pub(crate) fn start(pid: u32) -> Watch {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let samples = thread::spawn(move || {
            let mut samples = Vec::new();
            while !told.load(Ordering::Relaxed) {
                samples.extend(anonymous(pid));
                thread::sleep(LOOK_EVERY);
            }
            samples
        });
        Watch { is_over, samples }
    }

    /// Ends the watch and looks at the mappings of `pid`, which must still be there.
    pub(crate) fn end(self, pid: u32) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        let samples = self.samples.join().unwrap_or_default();
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default();
        let (own_pages, mapped_log) = file_pages(&smaps);
        let anonymous_peak = samples.iter().copied().max().unwrap_or(0);
        Seen { anonymous_peak, growth: growth(&samples), own_pages, mapped_log }
    }
}

/// Its anonymous memory now, in bytes.
pub(crate) fn anonymous(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    kibibytes(&status, "RssAnon:")
}

fn growth(samples: &[u64]) -> i64 {
    let quarter = samples.len() / 4;
    let middle = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or(0) as i64
    };
    middle(&samples[samples.len() - quarter..]) - middle(&samples[..quarter])
}

/// Resident file pages: of files that are mapped privately, and of those that are shared with the page cache. Private pages that were written to are anonymous
/// and counted there.
fn file_pages(smaps: &str) -> (u64, u64) {
    let (mut own, mut others) = (0, 0);
    let (mut is_file, mut is_shared) = (false, false);
    for line in smaps.lines() {
        let mut columns = line.split_ascii_whitespace();
        let first = columns.next().unwrap_or_default();
        if first.contains('-') && !first.ends_with(':') {
            is_shared = columns.next().is_some_and(|permissions| permissions.ends_with('s'));
            is_file = line.contains('/');
        }
        if !is_file {
            continue;
        }
        let of = if is_shared { &mut others } else { &mut own };
        *of += kibibytes(line, "Rss:").unwrap_or(0);
        *of = of.saturating_sub(kibibytes(line, "Anonymous:").unwrap_or(0));
    }
    (own, others)
}

/// The value of the line that begins with `name`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

const LOOK_EVERY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_program_are_told_from_those_of_anybodys_log() {
        let smaps = "\
55d0-55d1 r-xp 00000000 08:01 7 /opt/scaidrive siem
Rss:                 100 kB
Anonymous:            20 kB
7f00-7f01 r--s 00000000 08:01 8 /x/queue
Rss:                4000 kB
Anonymous:             0 kB
7f02-7f03 rw-p 00000000 00:00 0 [heap]
Rss:                 500 kB
Anonymous:           500 kB
";
        assert_eq!(file_pages(smaps), (80 * 1024, 4000 * 1024));
    }

    #[test]
    fn growth_is_between_the_first_and_the_last_quarter() {
        let samples: Vec<u64> = (0..100).map(|nth| if nth < 50 { 10 } else { 30 }).collect();
        assert_eq!(growth(&samples), 20);
        assert_eq!(growth(&[5]), 0);
    }

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        let watch = Watch::start(pid);
        thread::sleep(Duration::from_millis(60));
        let seen = watch.end(pid);
        assert!(seen.anonymous_peak > 0 && seen.own_pages > 0, "{seen:?}");
    }
}
