//! Steps that many tests share.

use std::time::Duration;

use crate::agent_config::Destination;
use crate::agent_process::Agent;
use crate::generator::{Key, Ledger, Producer, Workload, event_line};
use crate::hec::Hec;
use crate::oracle::{Report, compare};
use crate::wait::wait_until;

/// Long enough for anything a test waits for on a busy machine; only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A filter that selects the generated events and none of the agent's own.
pub const ONLY_GENERATED: &str = "{ actions = [\"file.*\", \"user.*\", \"link.*\", \"role.*\", \"malware.*\"] }";

/// Writes a workload to the agent's socket and waits for every acknowledgement.
///
/// # Panics
/// When not everything is acknowledged within [`PATIENCE`].
#[track_caller]
pub fn write(agent: &Agent, workload: Workload) -> Ledger {
    let events = workload.events;
    let ledger = Producer::start(&agent.config.socket, workload).finish(PATIENCE);
    assert_eq!(
        ledger.acked.len() as u64,
        events,
        "not everything was acknowledged; refused: {:?}",
        ledger.refused.first()
    );
    ledger
}

/// Writes one event to the agent's socket and waits for its acknowledgement.
#[track_caller]
pub fn write_one(agent: &Agent, key: Key) {
    let mut session = agent.session();
    let mut line = event_line(key, 600);
    line.push(b'\n');
    session.send(&line).expect("the agent takes a line");
    assert!(session.wait_acked(1, PATIENCE), "the event was not acknowledged");
    assert_eq!(session.refused(), []);
}

/// Waits until every acknowledged event is at `hec` and compares.
///
/// # Panics
/// When that is not so within `within`.
#[track_caller]
pub fn settle_within(ledger: &Ledger, hec: &Hec, within: Duration) -> Report {
    hec.wait_distinct(ledger.acked.len(), within);
    let report = compare(ledger, &hec.arrivals());
    report.assert_nothing_lost();
    hec.assert_no_violations();
    report
}

/// [`settle_within`] [`PATIENCE`].
#[track_caller]
pub fn settle(ledger: &Ledger, hec: &Hec) -> Report {
    settle_within(ledger, hec, PATIENCE)
}

/// Waits until the agent's metrics show that a destination has nothing in hand and nothing unread.
#[track_caller]
pub fn wait_idle(agent: &Agent, destination: &str) {
    wait_until(&format!("{destination} has read everything"), PATIENCE, || {
        let metrics = agent.metrics();
        metrics.sum("scaidrive_siem_destination_unread_events", &[("destination", destination)]) == Some(0.0)
    });
}

/// A HEC destination that gets only generated events, in order.
pub fn ordered(agent: &mut Agent, name: &str, hec: &Hec) {
    let destination: &mut Destination = agent.add_hec(name, hec);
    destination.set("ordered", "true").set("filter", ONLY_GENERATED);
}
