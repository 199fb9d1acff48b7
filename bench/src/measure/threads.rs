//! Processor time of some threads of another process.

use std::fs;
use std::io;
use std::time::Duration;

/// What those threads of process `pid` have used so far whose names `is_meant` takes. Threads that have ended are not there
/// any more, so this is for threads that live as long as their process.
///
/// # Errors
/// When there is no such process, or its kernel does not count (`/proc/PID/task/TID/schedstat`).
pub(crate) fn used(pid: u32, is_meant: impl Fn(&str) -> bool) -> io::Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        // One that ends meanwhile has no files any more.
        let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
        if !is_meant(name.trim_end()) {
            continue;
        }
        match fs::read_to_string(task.join("schedstat")) {
            Ok(line) => sum += parse(&line).ok_or_else(|| io::Error::other("a schedstat that can't be read"))?,
            Err(_) if !task.exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

/// The first number: nanoseconds on a processor.
fn parse(line: &str) -> Option<Duration> {
    Some(Duration::from_nanos(line.split_ascii_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn the_time_of_a_thread_is_told_by_its_name() {
        let (done, is_done) = mpsc::channel();
        let (end, is_end) = mpsc::channel::<()>();
        let busy = move || {
            let sum = (0..20_000_000_u64).map(std::hint::black_box).sum::<u64>();
            done.send(sum).unwrap();
            let _ = is_end.recv();
        };
        let thread = thread::Builder::new().name("busy-7".to_owned()).spawn(busy).unwrap();
        assert!(is_done.recv().unwrap() > 0);
        let pid = std::process::id();
        assert!(used(pid, |name| name == "busy-7").unwrap() > Duration::ZERO);
        assert_eq!(used(pid, |name| name == "nobody").unwrap(), Duration::ZERO);
        drop(end);
        thread.join().unwrap();
        assert!(used(0x7fff_fff0, |_| true).is_err());
    }

    #[test]
    fn a_line_is_read() {
        assert_eq!(parse("1210036669 72463 1\n"), Some(Duration::from_nanos(1_210_036_669)));
        assert_eq!(parse(""), None);
    }
}
