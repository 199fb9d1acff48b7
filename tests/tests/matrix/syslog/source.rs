//! The near end of a run: the agent, what was written to it, and what it says of that.

use std::collections::HashSet;
use std::time::Duration;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::arrival::Arrivals;
use scaidrive_tests::generator::{Key, Ledger, Producer, Workload, event_line};
use scaidrive_tests::oracle::{Report, compare};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE};
use scaidrive_tests::wait::try_wait_for;

/// The one destination's name.
const NAME: &str = "siem";
/// A size at which events have a payload and everything else that they can have.
pub(super) const USUAL_SIZE: usize = 600;
pub(super) const TENANTS: u32 = 20;
/// Of the order of tenants.
pub(super) const SEED: u64 = 1;
/// No workload writes for it.
const LONG_TENANT: u32 = 90_000;
/// Events that are too long only because of their payload.
pub(super) const SHORTENABLE: u32 = 10;
/// Longer than any message here may be.
const TOO_LONG: usize = 100_000;

/// An agent with one destination.
pub(super) struct Source {
    agent: Agent,
    /// What must arrive.
    pub(super) written: Ledger,
    /// Producers so far.
    runs: u32,
    dead_letters: u64,
    /// Numbers that are missing for another reason: a broken promise, which has been told.
    told_holes: u64,
}

impl Source {
    pub(super) fn start(destination: Destination) -> Source {
        let agent = Agent::with([Destination { name: NAME.to_owned(), ..destination }.with("filter", ONLY_GENERATED)]);
        Source { agent, written: Ledger::default(), runs: 0, dead_letters: 0, told_holes: 0 }
    }

    /// How many events must arrive in all.
    pub(super) fn expected(&self) -> usize {
        self.written.acked.len()
    }

    /// The run that the next workload is.
    pub(super) fn next_run(&self) -> u32 {
        self.runs + 1
    }

    /// Writes so many events of about `size` bytes.
    pub(super) fn write(&mut self, events: u64, size: usize) -> Result<(), String> {
        let producer = self.begin(events, size, Duration::ZERO);
        self.finish(producer, events)
    }

    /// Begins to write, with a pause after each 64 events.
    pub(super) fn begin(&mut self, events: u64, size: usize, pause: Duration) -> Producer {
        self.runs += 1;
        let workload = Workload { size, pause, seed: SEED, ..Workload::new(self.runs, TENANTS, events) };
        Producer::start(&self.agent.config.socket, workload)
    }

    pub(super) fn finish(&mut self, producer: Producer, events: u64) -> Result<(), String> {
        let ledger = producer.finish(PATIENCE);
        let acked = ledger.acked.len() as u64;
        self.written.merge(ledger);
        if acked == events { Ok(()) } else { Err(format!("the agent acknowledged {acked} of {events} events")) }
    }

    /// Writes one event that is too long whatever is left out of it, and [`SHORTENABLE`] that are so only with their payload.
    pub(super) fn write_long(&mut self) -> Result<(), String> {
        self.runs += 1;
        let run = self.runs;
        let key = |count| Key { run, tenant: LONG_TENANT, count };
        let mut session = self.agent.session();
        let mut send = |mut line: Vec<u8>| {
            line.push(b'\n');
            session.send(&line).map_err(|error| format!("the agent takes no line: {error}"))
        };
        // The hopeless one comes first, so that its number leaves a hole.
        send(hopeless_event(key(0)))?;
        for count in 1..=SHORTENABLE {
            send(event_line(key(count), TOO_LONG))?;
            self.written.acked.push(key(count));
        }
        let is_acked = session.wait_acked(u64::from(SHORTENABLE) + 1, PATIENCE);
        if is_acked && session.refused().is_empty() { Ok(()) } else { Err("long events are not taken".to_owned()) }
    }

    /// From now on `key` must not arrive.
    pub(super) fn give_up(&mut self, key: Key) {
        self.written.acked.retain(|written| *written != key);
    }

    /// Waits until one more event is a dead letter, kept with `words`.
    pub(super) fn wait_dead_letter(&mut self, words: &str) -> Result<(), String> {
        self.dead_letters += 1;
        let wanted = self.dead_letters as f64;
        until("the dead letter is counted", || self.counter("destination_deadlettered_total") == Some(wanted))?;
        let shown = self.agent.command(&["deadletter", "list", "--json"]).stdout;
        let shown = String::from_utf8_lossy(&shown);
        if shown.contains(words) { Ok(()) } else { Err(format!("no dead letter says {words:?}: {shown}")) }
    }

    /// Whether the agent shows that the destination is away.
    pub(super) fn has_noticed(&self) -> bool {
        ["retrying", "circuit_open"].contains(&self.agent.state_of(NAME).as_str())
    }

    /// What the agent counts as delivered.
    pub(super) fn delivered(&self) -> Option<u64> {
        self.counter("destination_delivered_total").map(|count| count as u64)
    }

    /// Compares what must be there with what is, and looks at the books. What is missing is for the caller to judge.
    pub(super) fn compare(&self, arrivals: &Arrivals, errors: &[String]) -> Result<Report, String> {
        if let Some(error) = errors.first() {
            return Err(format!("the agent broke RFC 5424 or its framing: {error}"));
        }
        let report = compare(&self.written, arrivals);
        let reused = report.streams.values().map(|stream| stream.reused.len()).sum::<usize>();
        let renumbered = report.duplicates.iter().filter(|duplicate| !duplicate.same_number).count();
        for (count, what) in [
            (report.strangers.len(), "events arrived that should not"),
            (report.disorder.len(), "events are out of order"),
            (reused, "numbers were given to two events"),
            (renumbered, "events came again with another number"),
        ] {
            if count > 0 {
                return Err(format!("{count} {what}"));
            }
        }
        match self.agent.try_metrics().ok().and_then(|metrics| metrics.sum("scaidrive_siem_books_difference", &[])) {
            Some(0.0) => Ok(report),
            difference => Err(format!("the books do not balance: {difference:?}")),
        }
    }

    /// Says when the stream has holes that no dead letter explains.
    pub(super) fn check_holes(&self, report: &Report) -> Result<(), String> {
        let (holes, dead_letters) = (holes(report), self.dead_letters);
        let starts_at_one = report.streams.values().all(|stream| stream.min == 1);
        if starts_at_one && report.streams.len() == 1 && holes <= dead_letters + self.told_holes {
            return Ok(());
        }
        Err(format!("{} streams, {holes} numbers are missing, {dead_letters} dead letters", report.streams.len()))
    }

    /// After a broken promise: what is missing now may come or not. Returns how many events have come again so far.
    pub(super) fn forgive(&mut self, arrivals: &Arrivals) -> usize {
        let report = compare(&self.written, arrivals);
        self.told_holes = holes(&report).saturating_sub(self.dead_letters);
        let missing: HashSet<Key> = report.missing.into_iter().collect();
        self.written.acked.retain(|key| !missing.contains(key));
        self.written.unacked.extend(missing);
        report.duplicates.len()
    }

    fn counter(&self, name: &str) -> Option<f64> {
        let metrics = self.agent.try_metrics().ok()?;
        metrics.sum(&format!("scaidrive_siem_{name}"), &[("destination", NAME)])
    }
}

/// How many numbers are missing between those that are here.
fn holes(report: &Report) -> u64 {
    report.streams.values().flat_map(|stream| stream.holes()).map(|hole| hole.end - hole.start).sum()
}

/// An event that is too long because of a field that nothing may be cut from.
fn hopeless_event(key: Key) -> Vec<u8> {
    let usual = String::from_utf8(event_line(key, USUAL_SIZE)).expect("events are JSON");
    usual.replacen("\"user_id\":\"", &format!("\"user_id\":\"{}", "x".repeat(TOO_LONG)), 1).into_bytes()
}

/// Waits until `is_so`, or says `what` did not happen.
pub(super) fn until(what: &str, is_so: impl Fn() -> bool) -> Result<(), String> {
    let waited = try_wait_for(PATIENCE, || is_so().then_some(()));
    waited.ok_or_else(|| format!("not within {} s: {what}", PATIENCE.as_secs()))
}
