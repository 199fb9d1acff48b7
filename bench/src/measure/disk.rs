//! Bytes that a process wrote to files.

use std::fs;

/// Bytes that `pid` made dirty so far, as the kernel charges them: written to files, or first touched in a mapping since
/// the page was last clean. Bytes that were dropped again before they reached the disk are taken off.
pub(crate) fn written(pid: u32) -> Option<u64> {
    parse(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
}

fn parse(text: &str) -> Option<u64> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(value("write_bytes:")?.saturating_sub(value("cancelled_write_bytes:").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cancelled_was_not_written() {
        let text = "rchar: 1\nwchar: 2\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n";
        assert_eq!(parse(text), Some(4_096));
        assert_eq!(parse("rchar: 1\n"), None);
    }
}
