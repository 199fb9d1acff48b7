//! Transports with a connection: TCP, TLS and RELP.

use std::time::Duration;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::certificates::Authority;
use scaidrive_tests::generator::Sequence;
use scaidrive_tests::syslog::{Framing, RELP_WINDOW, Sink, SinkFault};
use tempfile::TempDir;

use super::Fault;
use super::source::{SEED, SHORTENABLE, Source, TENANTS, USUAL_SIZE, until};

/// One run.
pub(super) struct Connections {
    source: Source,
    sink: Sink,
    is_relp: bool,
    /// Events that had come again before this phase.
    came_again: usize,
    /// Events that count as delivered and are not here, after a broken promise.
    overclaimed: u64,
    /// The certificates.
    _dir: TempDir,
}

/// More bytes than the kernels of both sides hold of a connection that nobody reads.
const HEAVY_EVENTS: u64 = 140;
const HEAVY_SIZE: usize = 60_000;
/// Events that are taken before nothing more is read.
const TAKEN_FIRST: u64 = 10;
const REFUSAL: &str = "this one is not for us";
/// So that a receiver that goes away does so in the middle.
const PAUSE: Duration = Duration::from_millis(5);

impl Connections {
    pub(super) fn start(transport: &str, framing: Framing) -> Connections {
        let dir = tempfile::tempdir().expect("there is room for the test's files");
        let authority = Authority::new(dir.path());
        let is_tls = transport.ends_with("tls");
        let identity = is_tls.then(|| authority.issue(dir.path(), "sink", &["localhost"]));
        let sink = Sink::start(framing, identity.map(|identity| identity.server), false);

        let mut destination = Destination::syslog("", transport, sink.address())
            .with("max_len", "\"64KiB\"")
            // RELP sends one batch at a time: this one is longer than both kernels hold.
            .with("batch", "{ max_events = 1000, max_size = \"8MiB\" }")
            .with("timeouts", "{ request = \"3s\" }");
        if is_tls {
            destination = destination.trusting(authority.ca_file());
        }
        if framing == Framing::LineFeed {
            destination.set("framing", "\"line_feed\"");
        }
        let is_relp = framing == Framing::Relp;
        Connections { source: Source::start(destination), sink, is_relp, came_again: 0, overclaimed: 0, _dir: dir }
    }

    /// One fault and its share of the events; says what it cost. A promise that is broken in one is not held against the
    /// next.
    pub(super) fn phase(&mut self, fault: Fault, share: u64) -> Result<String, String> {
        let found = self.meet(fault, share);
        if found.is_err() {
            self.came_again = self.source.forgive(&self.sink.arrivals());
            self.overclaimed = self.source.delivered().unwrap_or(0).saturating_sub(self.sink.distinct() as u64);
        }
        found
    }

    fn meet(&mut self, fault: Fault, share: u64) -> Result<String, String> {
        let words = match fault {
            Fault::Fin => self.fail_midway(SinkFault::Fin, share)?,
            Fault::Reset => self.fail_midway(SinkFault::Reset, share)?,
            Fault::Alert => self.fail_midway(SinkFault::TlsAlert, share)?,
            Fault::ServerClose => self.fail_midway(SinkFault::ServerClose, share)?,
            Fault::Blocked => self.block(share)?,
            Fault::Restart => self.restart(share)?,
            Fault::Refused => self.refuse_one(share)?,
            Fault::Oversize => self.oversize(share)?,
        };
        self.wait_arrived()?;
        Ok(words + &self.judge()?)
    }

    fn fail_midway(&mut self, fault: SinkFault, share: u64) -> Result<String, String> {
        self.sink.fail_after(share / 2, fault);
        self.source.write(share, USUAL_SIZE)?;
        until("the fault comes", || self.sink.has_failed())?;
        Ok(String::new())
    }

    fn block(&mut self, share: u64) -> Result<String, String> {
        let given_up = self.stall_in_mid_write(share).and_then(|()| {
            until("nothing is read any more", || self.sink.has_failed())?;
            let connections = self.sink.connection_count();
            until("the agent gives the connection up", || self.sink.connection_count() > connections)
        });
        self.sink.set_stalled(false);
        given_up.map(|()| String::new())
    }

    /// While nothing is read events gather, so that more of them travel together than both kernels hold.
    fn stall_in_mid_write(&mut self, share: u64) -> Result<(), String> {
        self.sink.set_stalled(true);
        self.source.write(HEAVY_EVENTS, HEAVY_SIZE)?;
        self.sink.fail_after(TAKEN_FIRST, SinkFault::Stall);
        self.sink.set_stalled(false);
        self.source.write(share.saturating_sub(HEAVY_EVENTS), USUAL_SIZE)
    }

    fn restart(&mut self, share: u64) -> Result<String, String> {
        let begun = self.source.expected() + share as usize / 4;
        let producer = self.source.begin(share, USUAL_SIZE, PAUSE);
        let is_flowing = until("a quarter arrives", || self.sink.distinct() >= begun);
        self.sink.go_down();
        self.source.finish(producer, share)?;
        let is_noticed = until("the agent notices", || self.source.has_noticed());
        self.sink.come_up();
        is_flowing.and(is_noticed).map(|()| String::new())
    }

    fn refuse_one(&mut self, share: u64) -> Result<String, String> {
        let mut keys = Sequence::new(self.source.next_run(), TENANTS, SEED);
        let refused = (0..=share / 2).map(|_| keys.next_key()).last().expect("the range is not empty");
        self.sink.refuse(&refused.event_id(), REFUSAL);
        self.source.write(share, USUAL_SIZE)?;
        self.source.give_up(refused);
        self.source.wait_dead_letter(&format!("500 {REFUSAL}"))?;
        Ok("one dead letter with the receiver's words; ".to_owned())
    }

    fn oversize(&mut self, share: u64) -> Result<String, String> {
        self.source.write(share, USUAL_SIZE)?;
        self.source.write_long()?;
        self.source.wait_dead_letter("bytes; at most")?;
        self.wait_arrived()?;
        let shortened = self.sink.shortened();
        if shortened != SHORTENABLE as usize {
            return Err(format!("{shortened} of {SHORTENABLE} long events came shortened"));
        }
        Ok(format!("{shortened} came without their payload, one that is too long even so is a dead letter; "))
    }

    fn wait_arrived(&self) -> Result<(), String> {
        let expected = self.source.expected();
        until("everything arrives", || self.sink.distinct() >= expected)
            .map_err(|error| format!("{error}; {} of {expected} events are here", self.sink.distinct()))
    }

    fn judge(&mut self) -> Result<String, String> {
        let report = self.source.compare(&self.sink.arrivals(), &self.sink.errors())?;
        if !report.missing.is_empty() {
            return Err(format!("{} events are missing, the first: {:?}", report.missing.len(), report.missing[0]));
        }
        self.source.check_holes(&report)?;
        let ever_again = report.duplicates.len();
        if self.is_relp {
            self.judge_answers(ever_again)?;
        }
        let (delivered, here) = (self.source.delivered().unwrap_or(0), self.sink.distinct() as u64);
        if delivered > here + self.overclaimed {
            return Err(format!("{delivered} events count as delivered, and {here} are here"));
        }
        let again = ever_again - self.came_again;
        self.came_again = ever_again;
        Ok(match again {
            0 => "nothing came again".to_owned(),
            1 => "1 event came again".to_owned(),
            _ => format!("{again} events came again"),
        })
    }

    /// What is answered counts as delivered and does not come again.
    fn judge_answers(&self, ever_again: usize) -> Result<(), String> {
        let expected = self.source.expected() as u64;
        until("everything counts as delivered", || self.source.delivered() >= Some(expected))?;
        let broken = self.sink.connection_count() - 1;
        if ever_again as u64 > broken * RELP_WINDOW as u64 {
            return Err(format!("{ever_again} events came again through {broken} broken connections"));
        }
        Ok(())
    }
}
