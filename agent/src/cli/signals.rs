//! Signals that end a command in order, where it has a terminal or a child to set right first.

use std::io;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

/// Calls `act` for each Ctrl-C, SIGTERM and closed terminal, until it returns false. The thread ends with the process.
pub(crate) fn on_end(mut act: impl FnMut() -> bool + Send + 'static) {
    let listen = async move {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if !act() {
                return Ok::<_, io::Error>(());
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // Where signals can't be heard they end the process.
    if let Ok(runtime) = runtime {
        drop(thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(listen)));
    }
}
