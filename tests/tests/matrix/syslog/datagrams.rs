//! UDP: delivered means sent, so what was sent is held against what the receiver's side saw of it.

use std::thread;
use std::time::Duration;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::syslog::DatagramSink;

use super::Fault;
use super::source::{SHORTENABLE, Source, USUAL_SIZE, until};

/// One run.
pub(super) struct Datagrams {
    source: Source,
    sink: DatagramSink,
}

const NOBODY_LISTENS: Duration = Duration::from_secs(1);

impl Datagrams {
    pub(super) fn start() -> Datagrams {
        let sink = DatagramSink::start();
        let destination = Destination::syslog("", "udp", sink.address()).with("host", "\"127.0.0.1\"");
        Datagrams { source: Source::start(destination), sink }
    }

    /// One fault and its share of the events; says what it cost.
    pub(super) fn phase(&mut self, fault: Fault, share: u64) -> Result<String, String> {
        let (lost, again) = (self.lost(), self.came_again());
        let words = match fault {
            Fault::Blocked => self.block(share)?,
            Fault::Restart => self.restart(share)?,
            Fault::Oversize => self.oversize(share)?,
            other => return Err(format!("there is no {other:?} over UDP")),
        };
        self.settle()?;
        self.source.compare(&self.sink.arrivals(), &self.sink.errors())?;
        let (lost, again) = (self.lost() - lost, self.came_again() - again);
        Ok(format!("{words}{lost} lost in the receiver's full buffer, {again} came again"))
    }

    /// The receiver reads nothing, so its kernel drops what it has no room for. Nobody can tell the sender.
    fn block(&mut self, share: u64) -> Result<String, String> {
        self.sink.set_stalled(true);
        let sent = self.source.write(share, USUAL_SIZE).and_then(|()| self.wait_counted());
        self.sink.set_stalled(false);
        sent?;
        let dropped = self.sink.dropped();
        if dropped == 0 {
            return Err("the fault did not come: nothing was dropped".to_owned());
        }
        // Nothing has come again so far, so this is exact.
        let sent = self.source.expected() as u64;
        until("each datagram counted as sent was read or dropped", || {
            self.sink.generated() + self.sink.dropped() == sent
        })
        .map_err(|error| format!("{error}: {} read, {dropped} dropped, {sent} sent", self.sink.generated()))?;
        Ok(format!("{share} sent and counted as that; "))
    }

    fn restart(&mut self, share: u64) -> Result<String, String> {
        self.source.write(share / 2, USUAL_SIZE)?;
        self.settle()?;
        let before = self.source.delivered();
        self.sink.go_down();
        let held = self.source.write(share - share / 2, USUAL_SIZE).and_then(|()| {
            until("the agent notices", || self.source.has_noticed())?;
            thread::sleep(NOBODY_LISTENS);
            if self.source.delivered() == before {
                Ok(())
            } else {
                Err("sent to nobody counts as delivered".to_owned())
            }
        });
        self.sink.come_up();
        held?;
        Ok("what nobody listened to waited; ".to_owned())
    }

    fn oversize(&mut self, share: u64) -> Result<String, String> {
        self.source.write(share, USUAL_SIZE)?;
        self.settle()?;
        // The receiver has nothing else to read now, so none of these is dropped.
        self.source.write_long()?;
        self.source.wait_dead_letter("bytes; at most")?;
        until("the long events come shortened", || self.sink.shortened() == SHORTENABLE as usize)?;
        Ok(format!("{SHORTENABLE} came without their payload, one that is too long even so is a dead letter; "))
    }

    fn wait_counted(&self) -> Result<(), String> {
        let expected = self.source.expected() as u64;
        until("each event counts as delivered once", || self.source.delivered() == Some(expected))
            .map_err(|error| format!("{error}: {:?} of {expected}", self.source.delivered()))
    }

    /// Waits until everything is sent and nothing is under way: no more is claimed than was read or dropped, and no more
    /// is missing than was dropped.
    fn settle(&self) -> Result<(), String> {
        self.wait_counted()?;
        let sent = self.source.expected() as u64;
        until("what counts as sent was read or dropped", || {
            let dropped = self.sink.dropped();
            self.sink.generated() + dropped >= sent && self.lost() <= dropped
        })
    }

    /// Events that never came.
    fn lost(&self) -> u64 {
        (self.source.expected() - self.sink.distinct()) as u64
    }

    /// Datagrams with an event that had come before.
    fn came_again(&self) -> u64 {
        self.sink.generated() - self.sink.distinct() as u64
    }
}
