//! Another writer at the same disk: blocks of 1 MiB, a sync after each eighth, round and round in one file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Such a writer, until it is dropped.
pub(super) struct Hammer {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hammer {
    /// Starts one with a file in `dir`.
    pub(super) fn start(dir: &Path) -> Hammer {
        let is_over = Arc::new(AtomicBool::new(false));
        let (told, path) = (Arc::clone(&is_over), dir.join("hammer"));
        let thread = thread::spawn(move || {
            let Ok(file) = File::create(path) else { return };
            let block = vec![0x5a; BLOCK];
            for nth in (0..FILE / BLOCK as u64).cycle() {
                let is_written = file.write_all_at(&block, nth * BLOCK as u64).is_ok();
                if told.load(Ordering::Relaxed) || !is_written || (nth % 8 == 7 && file.sync_data().is_err()) {
                    return;
                }
            }
        });
        Hammer { is_over, thread: Some(thread) }
    }
}

impl Drop for Hammer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const BLOCK: usize = 1 << 20;
const FILE: u64 = 256 << 20;
