//! What a destination costs that was down, or is.

use super::{AT_1K, NOTHING_LOST, agent, at_least, at_most, expected, fast, paced};
use crate::scenario::{Bound, Case, Destinations, Durability, Load, Metric, Row, Scenario, Setup, Tenants, Wire};

const AT_10K: Load = paced(10_000, 8);
const OUTAGE: Load = Load::CatchUp { events: 6_000_000, live: 1_000 };
const OUTAGE_OF_OTHERS: Load = Load::CatchUp { events: 200_000, live: 0 };

/// A contender with its destination alone, and with one beside it that is down.
const fn alone_and_one_down(contender: &'static str, durability: Durability, labels: [&'static str; 2]) -> [Case; 2] {
    let alone = Case { label: labels[0], contender, durability, setup: Setup::PLAIN, load: AT_1K };
    [alone, Case { label: labels[1], setup: Setup::to(Destinations::OneAndDown(1)), ..alone }]
}

pub(super) const CATCH_UP: Scenario = Scenario {
    name: "catch-up",
    question: "How fast does a destination that was down get what it missed, and who notices?",
    method: "Events are written at full speed while the destination refuses connections; the page cache is dropped (as root); then it comes back. Its rate counts from its first event to its last. Meanwhile a second destination of the agent gets 1,000 events a second, timed before and during.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[
        agent("agent", Setup::holding(8_192), OUTAGE),
        fast("rsyslog", Setup::holding(2_048), OUTAGE_OF_OTHERS),
        fast("syslog-ng", Setup::holding(2_048), OUTAGE_OF_OTHERS),
        fast("otelcol", Setup::holding(2_048), OUTAGE_OF_OTHERS),
    ]],
    estimates: &[expected(
        "agent",
        Metric::EventsPerSecond,
        600_000.0,
        "reading, checking, encoding and sending an event is 0.9 µs of one shard; the disk gives 1 to 2 GB/s read ahead",
    )],
    goals: &[
        at_least(Row::CatchUp, "agent", Metric::EventsPerSecond, Bound::Value(500_000.0)),
        at_most(Row::CatchUp, "agent", Metric::LiveP99During, Bound::TimesOwn(1.05, Metric::LiveP99Before)).because(
            "catching up takes what is left of two processors, and the live destination's producer and receiver wait for theirs",
        ),
        at_most(Row::Memory, "agent", Metric::Memory, Bound::Value(64.0)),
        at_most(Row::Memory, "agent", Metric::MemoryGrowth, Bound::Value(4.0)),
        NOTHING_LOST,
    ],
    rounds: 1,
};

pub(super) const DEAD_AND_HEALTHY: Scenario = Scenario {
    name: "dead-and-healthy",
    question: "Does a destination that is down cost the healthy one anything?",
    method: "At 1,000 events a second, once with the healthy destination alone and once with one beside it that is down. Latency is the healthy one's.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[
        &alone_and_one_down("agent", Durability::Synced, ["agent, alone", "agent, one down"]),
        &alone_and_one_down("rsyslog", Durability::Fast, ["rsyslog, alone", "rsyslog, one down"]),
        &alone_and_one_down("syslog-ng", Durability::Fast, ["syslog-ng, alone", "syslog-ng, one down"]),
        &alone_and_one_down("otelcol", Durability::Fast, ["otelcol, alone", "otelcol, one down"]),
    ],
    estimates: &[expected(
        "agent, one down",
        Metric::LatencyP50,
        3.0,
        "as alone: a dead destination is one attempt in some seconds",
    )],
    goals: &[
        at_most(Row::DeadAndHealthy, "agent, one down", Metric::LatencyP99, Bound::Times(1.05, "agent, alone")),
        at_most(Row::DeadAndHealthy, "agent, one down", Metric::Lost, Bound::Value(0.0)),
    ],
    rounds: 3,
};

pub(super) const MANY_DOWN: Scenario = Scenario {
    name: "many-down",
    question: "And 49 of them?",
    method: "Half of the 49 refuse connections, half take them and never answer. 10,000 events a second, each for all 50.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[
        agent("alone", Setup::PLAIN, AT_10K),
        agent("49 down", Setup::to(Destinations::OneAndDown(49)), AT_10K),
    ]],
    estimates: &[expected(
        "49 down",
        Metric::LatencyP99,
        6.0,
        "as alone: 49 filters an event are 49 × 20 ns, a per cent of a processor",
    )],
    goals: &[
        at_most(Row::ManyDown, "49 down", Metric::LatencyP99, Bound::Times(1.05, "alone")),
        at_most(Row::ManyDown, "49 down", Metric::Lost, Bound::Value(0.0)),
        at_most(Row::ManyDown, "49 down", Metric::MemoryGrowth, Bound::Value(4.0)),
        at_most(Row::Memory, "49 down", Metric::Memory, Bound::Value(64.0)),
    ],
    rounds: 3,
};

pub(super) const BACKLOG: Scenario = Scenario {
    name: "backlog-start",
    question: "How soon does an agent take events that starts with half an hour of undelivered ones?",
    method: "10 GB are written while the destination is down; the agent is stopped, the page cache dropped (as root), and the time taken from its start until it is ready. Then the destination comes back and gets them: what does not arrive did not survive.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("agent", Setup::holding(16_384), Load::Backlog { events: 14_000_000 })]],
    estimates: &[expected(
        "agent",
        Metric::Ready,
        250.0,
        "160 footers to read, and at most two unsealed segments to walk, 64 MiB each at 1 GB/s",
    )],
    goals: &[at_most(Row::Backlog, "agent", Metric::Ready, Bound::Value(1_000.0)), NOTHING_LOST],
    rounds: 1,
};
