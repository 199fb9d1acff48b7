//! What the service manager is told (`sd_notify(3)`): datagrams to `$NOTIFY_SOCKET`. Without one, nothing.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::time::Millis;

/// The service manager, if there is one that listens.
#[derive(Debug, Default)]
pub(super) struct Manager {
    socket: Option<UnixDatagram>,
    /// How often it wants a sign of life.
    watchdog: Option<Millis>,
    next_sign: Millis,
}

impl Manager {
    /// The one that this process's environment names.
    pub(super) fn here() -> Manager {
        let lookup = |name: &str| std::env::var(name).ok();
        let usec = lookup("WATCHDOG_USEC").and_then(|text| text.parse::<u64>().ok());
        let is_for_us = lookup("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        Manager {
            socket: lookup("NOTIFY_SOCKET").and_then(|name| connect(&name)),
            watchdog: usec.filter(|usec| is_for_us && *usec > 0).map(|usec| Millis((usec / 1000).max(2))),
            next_sign: Millis::ZERO,
        }
    }

    /// Events are taken.
    pub(super) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is read again; `now` is the monotonic clock in microseconds, which it asks for.
    pub(super) fn reloading(&self) {
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()));
    }

    /// The agent stops.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// A sign of life, twice as often as asked for.
    pub(super) fn alive(&mut self, now: Millis) {
        if let Some(every) = self.watchdog
            && now >= self.next_sign
        {
            self.next_sign = now.plus(Millis(every.0 / 2));
            self.say("WATCHDOG=1");
        }
    }

    fn say(&self, words: &str) {
        if let Some(socket) = &self.socket {
            // A manager that does not listen is no reason not to run.
            let _ = socket.send(words.as_bytes());
        }
    }
}

/// A name that begins with `@` is in the abstract namespace (`unix(7)`).
fn connect(name: &str) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name).ok()?,
        None => SocketAddr::from_pathname(name).ok()?,
    };
    socket.connect_addr(&address).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

/// `CLOCK_MONOTONIC`, which is the time since boot without suspend.
fn monotonic_usec() -> u64 {
    crate::sys::monotonic_usec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_of_the_start_and_gets_signs_of_life_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager_side = UnixDatagram::bind(&path).unwrap();
        manager_side.set_nonblocking(true).unwrap();
        let mut manager = Manager {
            socket: connect(path.to_str().unwrap()),
            watchdog: Some(Millis::from_secs(30)),
            next_sign: Millis::ZERO,
        };
        let heard = || {
            let mut bytes = [0; 200];
            manager_side.recv(&mut bytes).ok().map(|len| String::from_utf8_lossy(&bytes[..len]).into_owned())
        };
        manager.ready("takes events");
        assert_eq!(heard().as_deref(), Some("READY=1\nSTATUS=takes events"));
        manager.reloading();
        let said = heard().unwrap();
        let usec = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(usec.parse::<u64>().unwrap() > 0);
        for second in 0..60 {
            manager.alive(Millis::from_secs(second));
        }
        let signs = std::iter::from_fn(heard).collect::<Vec<_>>();
        assert_eq!(signs, ["WATCHDOG=1"; 4]);
        manager.stopping();
        assert_eq!(heard().as_deref(), Some("STOPPING=1"));
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let mut manager = Manager::default();
        manager.ready("x");
        manager.alive(Millis::from_secs(9));
        assert!(connect("/no/such/socket").is_none());
    }
}
