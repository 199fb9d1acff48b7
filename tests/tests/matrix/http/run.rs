//! One row's run: an agent with one destination that meets one fault after the other.
//!
//! The first events of a share are written while the stand-in holds its requests back, so that what follows goes out in
//! full batches; a few more are written last, because it is later traffic that proves an event to be at fault.

use std::time::Instant;

use serde::Deserialize;

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Key, Ledger, Sequence, Workload, event_line};
use scaidrive_tests::hec::ACK_PATH;
use scaidrive_tests::oracle::{Report, assert_statements_hold, compare, statements};
use scaidrive_tests::receiver::Fault;
use scaidrive_tests::rng::Rng;
use scaidrive_tests::scenario::{PATIENCE, write};
use scaidrive_tests::wait::try_wait_for;

use super::columns::{Column, LONG_BYTES};
use super::rows::{NAME, Row, SECRET_FILE, StandIn};
use super::seen::Seen;

/// See the module.
pub(super) struct Run {
    agent: Agent,
    stand_in: StandIn,
    row: &'static Row,
    rng: Rng,
    /// Events that are still to be written, and in how many shares.
    left: u64,
    shares_left: u64,
    /// The run numbers of generated events that are used up.
    runs: u32,
    /// Everything acknowledged that the receiver takes.
    ledger: Ledger,
    /// What it does not take, in order.
    refused: Vec<Key>,
    /// The dead letters of those.
    letters: Vec<Letter>,
}

/// The events that meet one fault.
pub(super) struct Share {
    /// Run number and count of the events written first, then, and last.
    parts: [(u32, u64); 3],
    /// One of them, anywhere among the first two parts.
    pub(super) poison: Key,
    /// The long one beside them, where there is one.
    pub(super) long: Key,
}

/// Where the stand-in's records stand when a share begins.
struct Mark {
    requests: u64,
    issuer_requests: usize,
    arrivals: usize,
    distinct: usize,
    violations: usize,
    begun: Instant,
}

/// One dead letter as the command line shows it.
#[derive(Clone, Debug, Deserialize)]
struct Letter {
    stream: String,
    n: u64,
    reason: String,
}

const TENANTS: u32 = 50;
/// Written while the stand-in holds back: a few full batches, in less time than a request may take.
const HELD: u64 = 800;
/// Written last.
const LAST: u64 = 20;

impl Share {
    /// The next share: `events` in all, run numbers from `run` on.
    fn new(events: u64, run: u32, rng: &mut Rng) -> Share {
        let last = LAST.min(events / 4);
        let first = HELD.min(events / 2);
        let rest = events - first - last;
        let parts = [(run, first), (run + 1, rest), (run + 2, last)];
        let place = rng.below(first + rest);
        let (run_of_poison, before) = if place < first { (run, place) } else { (run + 1, place - first) };
        let mut sequence = Sequence::new(run_of_poison, TENANTS, workload(run_of_poison, 0).seed);
        let poison = (0..=before).map(|_| sequence.next_key()).last().expect("at least one was asked for");
        Share { parts, poison, long: Key { run: run + 3, tenant: TENANTS, count: 0 } }
    }
}

impl Run {
    /// Starts an agent that will get `events` events in `shares` shares.
    pub(super) fn start(row: &'static Row, events: u64, shares: u64, rng: Rng) -> Run {
        let mut agent = Agent::new();
        agent.config.set_ingest("max_event_size", "\"2MiB\"");
        let stand_in = (row.start)(&mut agent);
        agent.start();
        let (ledger, refused, letters) = (Ledger::default(), Vec::new(), Vec::new());
        Run { agent, stand_in, row, rng, left: events, shares_left: shares, runs: 0, ledger, refused, letters }
    }

    /// Brings one share of events through one fault. What it cost, or the first promise that was broken.
    pub(super) fn meet(&mut self, column: &Column) -> Result<String, String> {
        let events = self.left / self.shares_left;
        (self.left, self.shares_left) = (self.left - events, self.shares_left - 1);
        let share = Share::new(events - u64::from(column.has_long_event), self.runs + 1, &mut self.rng);
        self.runs += 4;
        let refused = (column.refuses)(self.row, &share);
        let mark = self.mark();
        let mut ledger = Ledger::default();
        let exposed = self.expose(column, &share, &mut ledger);
        ledger.acked.retain(|key| refused.is_none_or(|(bad, _)| *key != bad));
        self.refused.extend(refused.map(|(bad, _)| bad));
        self.settle(mark.distinct + ledger.acked.len());
        let (report, seen) = self.see(&mark, &ledger);
        self.ledger.merge(ledger);
        // Looked at in any case, so that the next share's are told apart.
        let letters = self.check_letters(refused);
        exposed?;
        check_report(&report, (column.repeats)(self.row))?;
        letters?;
        self.check_rules(&mark)?;
        (column.judge)(self.row, &share, &seen)
    }

    /// Waits until so many different events have arrived and the others are dead letters, then ends the fault. What is
    /// missing all the same shows when it is compared.
    fn settle(&self, expected: usize) {
        let receiver = &self.stand_in.receiver;
        soon(|| receiver.generated() >= expected && receiver.distinct() >= expected);
        soon(|| self.agent.metric("destination_deadlettered_total", &[]) >= self.refused.len() as f64);
        receiver.set_fault(Fault::None);
        soon(|| receiver.at_once() == 0);
    }

    /// What has to be true in the end: books that balance, and a last statement that holds.
    pub(super) fn close(&mut self) -> Result<String, String> {
        let metric = |name: &str| self.agent.metric(name, &[]);
        let in_all = (self.ledger.acked.len() + self.refused.len()) as f64;
        let settled = || metric("destination_delivered_total") + metric("destination_deadlettered_total");
        if !soon(|| settled() == in_all && metric("destination_in_hand_events") == 0.0) {
            return Err(format!("{} of {in_all} events are settled", settled()));
        }
        self.agent.assert_books_balance();
        // Another filter closes the stream, and a closed stream is stated to its end.
        self.agent.config.destination(NAME).set("filter", "{ actions = [\"nothing.at_all\"] }");
        self.agent.reload();
        let receiver = &self.stand_in.receiver;
        if !soon(|| statements(&receiver.arrivals()).iter().any(|statement| statement.is_final)) {
            return Err("the stream was closed without a last statement".to_owned());
        }
        let arrivals = receiver.arrivals();
        let report = compare(&self.ledger, &arrivals);
        report.assert_nothing_lost();
        let stated = statements(&arrivals);
        assert_statements_hold(&report, &stated);
        self.check_holes(&report)?;
        let (events, letters) = (self.ledger.acked.len(), self.letters.len());
        Ok(format!("they balance: arrived {events}, dead letters {letters}, true statements {}", stated.len()))
    }

    fn mark(&self) -> Mark {
        let StandIn { receiver, issuer, .. } = &self.stand_in;
        Mark {
            requests: receiver.request_count(),
            issuer_requests: issuer.as_ref().map_or(0, |issuer| issuer.requests().len()),
            arrivals: receiver.count(),
            distinct: receiver.distinct(),
            violations: self.violations().len(),
            begun: Instant::now(),
        }
    }

    /// Writes a share while the fault is there.
    fn expose(&self, column: &Column, share: &Share, ledger: &mut Ledger) -> Result<(), String> {
        let StandIn { receiver, expire, .. } = &self.stand_in;
        let plan = (column.plan)(self.row, share);
        let is_armed = plan.is_some();
        if let Some(plan) = plan {
            plan.arm(receiver);
        }
        if column.ends_credential {
            expire();
        }
        let [first, rest, last] = share.parts;
        receiver.hold(true);
        ledger.merge(self.write(first));
        if column.has_long_event {
            self.write_long(share.long, ledger);
        }
        receiver.hold(false);
        ledger.merge(self.write(rest));
        let is_met = !is_armed || soon(|| receiver.met() > 0);
        let renewed = if column.ends_credential { self.renew() } else { Ok(()) };
        ledger.merge(self.write(last));
        if is_met { renewed } else { Err("no request met the fault".to_owned()) }
    }

    /// Replaces the secret that is not valid any more when the agent has said so.
    fn renew(&self) -> Result<(), String> {
        let is_held = soon(|| self.agent.state_of(NAME) == "auth_hold");
        let state = self.agent.state_of(NAME);
        self.agent.put_secret(SECRET_FILE, &self.stand_in.renewed);
        if is_held { Ok(()) } else { Err(format!("the state is {state}, not auth_hold")) }
    }

    fn write(&self, (run, events): (u32, u64)) -> Ledger {
        write(&self.agent, workload(run, events))
    }

    fn write_long(&self, key: Key, ledger: &mut Ledger) {
        let mut line = event_line(key, LONG_BYTES);
        line.push(b'\n');
        let mut session = self.agent.session();
        session.send(&line).expect("the agent takes a line");
        assert!(session.wait_acked(1, PATIENCE), "the long event was not acknowledged");
        assert_eq!(session.refused(), []);
        ledger.acked.push(key);
    }

    /// What came of a share since `mark`.
    fn see(&self, mark: &Mark, ledger: &Ledger) -> (Report, Seen) {
        let StandIn { receiver, issuer, .. } = &self.stand_in;
        let mut arrivals = receiver.arrivals();
        arrivals.list.drain(..mark.arrivals);
        let mut requests = receiver.requests();
        requests.retain(|request| request.number > mark.requests);
        requests.sort_by_key(|request| request.number);
        let report = compare(ledger, &arrivals);
        // Questions about acknowledgements have a rhythm of their own.
        let sent = requests.iter().filter(|request| request.path != ACK_PATH);
        let mut statuses: Vec<u16> = sent.map(|request| request.status).collect();
        if let Some(issuer) = issuer {
            statuses.extend(issuer.requests().iter().skip(mark.issuer_requests).map(|request| request.status));
        }
        let refused_credentials = statuses.iter().filter(|status| matches!(status, 401 | 403)).count();
        let duplicates = report.duplicates.len();
        (report, Seen { requests, arrivals, duplicates, refused_credentials, took: mark.begun.elapsed() })
    }

    /// There is one more dead letter for a refused event, with the event in it and the receiver's words.
    fn check_letters(&mut self, refused: Option<(Key, &'static str)>) -> Result<(), String> {
        let known = self.letters.len();
        self.letters = self.list_letters();
        let new = &self.letters[known.min(self.letters.len())..];
        let (bad, words) = match (refused, new) {
            (None, []) => return Ok(()),
            (Some(refused), [_]) => refused,
            _ => return Err(format!("{} dead letters: {new:?}", new.len())),
        };
        let letter = &new[0];
        let shown = self.command(&["deadletter", "show", NAME, &letter.stream, &letter.n.to_string(), "--json"]);
        if !shown.contains(&bad.event_id()) {
            return Err(format!("the dead letter is not {}: {letter:?}", bad.event_id()));
        }
        if !letter.reason.contains(words) {
            return Err(format!("the dead letter does not give the receiver's reason, {words:?}: {letter:?}"));
        }
        Ok(())
    }

    fn list_letters(&self) -> Vec<Letter> {
        #[derive(Deserialize)]
        struct List {
            letters: Vec<Letter>,
        }
        let text = self.command(&["deadletter", "list", "--json"]);
        serde_json::from_str::<List>(&text).expect("the list is JSON").letters
    }

    fn command(&self, arguments: &[&str]) -> String {
        let output = self.agent.command(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn violations(&self) -> Vec<String> {
        let broken = self.stand_in.all().flat_map(|receiver| receiver.violations());
        broken.map(|violation| format!("{violation:?}")).collect()
    }

    fn check_rules(&self, mark: &Mark) -> Result<(), String> {
        match self.violations().get(mark.violations..) {
            Some([first, ..]) => Err(format!("the receiver's rules are broken: {first}")),
            _ => Ok(()),
        }
    }

    /// The numbers that did not arrive are those of the dead letters.
    fn check_holes(&self, report: &Report) -> Result<(), String> {
        for (name, stream) in &report.streams {
            let holes: Vec<u64> = stream.holes().into_iter().flatten().collect();
            let mut refused: Vec<u64> =
                self.letters.iter().filter(|letter| letter.stream == *name).map(|letter| letter.n).collect();
            refused.sort_unstable();
            if holes != refused {
                return Err(format!("stream {name} has holes {holes:?}, and dead letters {refused:?}"));
            }
        }
        Ok(())
    }
}

/// Everything arrived, nothing else did, and nothing twice that may not.
fn check_report(report: &Report, repeats: bool) -> Result<(), String> {
    if !report.missing.is_empty() {
        return Err(format!("{} events are missing, the first: {:?}", report.missing.len(), report.missing[0]));
    }
    if let Some(stranger) = report.strangers.first() {
        return Err(format!("{stranger:?} arrived and should not have"));
    }
    match report.duplicates.iter().find(|duplicate| !repeats || !duplicate.same_number) {
        Some(wrong) => Err(format!("{} events came twice, one of them: {wrong:?}", report.duplicates.len())),
        None => Ok(()),
    }
}

fn workload(run: u32, events: u64) -> Workload {
    Workload::new(run, TENANTS, events)
}

/// Waits until something is so; whether it was in the end.
fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    try_wait_for(PATIENCE, || is_so().then_some(())).is_some()
}
