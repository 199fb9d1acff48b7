//! The syslog half: each transport under each fault that can happen to it.
//!
//! One agent and one run for each destination. Its events are divided among the faults: a fault is planted, its share is
//! written, the fault must come, and everything of the share must arrive. Then it is judged what that cost:
//!
//! | transport | promise |
//! |-----------|---------|
//! | udp | each event is sent once and counted as delivered once; what its receiver lost of that is lost |
//! | tcp, tls | nothing that the receiver had not taken in is lost; what comes again has the same number |
//! | relp, relp_tls | the same, and each connection that breaks costs no more than a window of messages that come again |
//!
//! For all of them: log order, no number given twice, no hole but for dead letters, no more counted as delivered than was
//! taken in (or sent, over UDP), and books that balance.

mod connections;
mod datagrams;
mod source;

use std::thread;

use scaidrive_tests::matrix::{Cell, Found};
use scaidrive_tests::syslog::Framing;

use connections::Connections;
use datagrams::Datagrams;

/// A destination.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    /// As the configuration has it.
    transport: &'static str,
    /// How messages are told apart; datagrams need nothing.
    framing: Option<Framing>,
}

const ROWS: [Row; 6] = [
    Row { name: "syslog udp", transport: "udp", framing: None },
    Row { name: "syslog tcp, octet counting", transport: "tcp", framing: Some(Framing::OctetCounting) },
    Row { name: "syslog tcp, line feed", transport: "tcp", framing: Some(Framing::LineFeed) },
    Row { name: "syslog tls", transport: "tls", framing: Some(Framing::OctetCounting) },
    Row { name: "syslog relp", transport: "relp", framing: Some(Framing::Relp) },
    Row { name: "syslog relp_tls", transport: "relp_tls", framing: Some(Framing::Relp) },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The receiver closes its direction, and reads nothing of what still comes.
    Fin,
    /// The receiver resets the connection when it has a part of a frame.
    Reset,
    /// The receiver reads nothing for longer than a write may be blocked.
    Blocked,
    /// The receiver goes away and comes back.
    Restart,
    /// The receiver breaks TLS off.
    Alert,
    /// The receiver answers one message with 500, whenever it comes.
    Refused,
    /// The receiver ends the session in RELP's own way.
    ServerClose,
    /// Events longer than a message may be.
    Oversize,
}

const FAULTS: [(Fault, &str); 8] = [
    (Fault::Fin, "FIN"),
    (Fault::Reset, "RST in mid-frame"),
    (Fault::Blocked, "blocked write"),
    (Fault::Restart, "restart"),
    (Fault::Alert, "TLS alert"),
    (Fault::Refused, "RELP 500"),
    (Fault::ServerClose, "serverclose"),
    (Fault::Oversize, "oversize"),
];

/// Runs every row with `events` events, all at the same time: most of it is waiting.
pub(crate) fn cells(events: u64) -> Vec<Cell> {
    thread::scope(|scope| {
        let runs: Vec<_> = ROWS.iter().map(|row| (row, scope.spawn(|| row.run(events)))).collect();
        runs.into_iter().flat_map(|(row, run)| run.join().unwrap_or_else(|_| row.panicked())).collect()
    })
}

impl Row {
    fn run(&self, events: u64) -> Vec<Cell> {
        let applicable = FAULTS.iter().filter(|(fault, _)| self.cannot(*fault).is_none()).count();
        let share = events / applicable as u64;
        match self.framing {
            None => {
                let mut run = Datagrams::start();
                self.cells(|fault| run.phase(fault, share))
            }
            Some(framing) => {
                let mut run = Connections::start(self.transport, framing);
                self.cells(|fault| run.phase(fault, share))
            }
        }
    }

    /// A cell for each fault; those that can happen are found by `phase`.
    fn cells(&self, mut phase: impl FnMut(Fault) -> Result<String, String>) -> Vec<Cell> {
        let mut find = |fault| match self.cannot(fault) {
            Some(why) => Found::DoesNotApply(why),
            None => phase(fault).map_or_else(Found::Broken, Found::Held),
        };
        let cell = |(fault, name): &(Fault, &'static str)| Cell {
            destination: self.name.to_owned(),
            fault: name,
            found: find(*fault),
        };
        FAULTS.iter().map(cell).collect()
    }

    fn panicked(&self) -> Vec<Cell> {
        self.cells(|_| Err("the run ended in a panic; its words are above".to_owned()))
    }

    /// Why a fault cannot happen here.
    fn cannot(&self, fault: Fault) -> Option<&'static str> {
        let is_relp = self.framing == Some(Framing::Relp);
        match fault {
            Fault::Fin | Fault::Reset if self.framing.is_none() => Some("datagrams have no connection that could end"),
            Fault::Alert if !self.transport.ends_with("tls") => Some("there is no TLS"),
            Fault::Refused if !is_relp => Some("nothing is ever answered"),
            Fault::ServerClose if !is_relp => Some("there is no session that could be closed"),
            _ => None,
        }
    }
}
