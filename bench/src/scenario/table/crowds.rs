//! Many tenants and many destinations at one agent.

use super::{AT_1K, FLOOD, agent, at_most, expected};
use crate::scenario::case::{Flood, Paced};
use crate::scenario::{Bound, Destinations, Load, Metric, Row, Scenario, Setup, Tenants, Wire};

pub(super) const LOUD_TENANT: Scenario = Scenario {
    name: "loud-tenant",
    question: "Does one loud tenant whose own destination is dead hold back the others?",
    method: "20 tenants write 1,000 events a second together; the loudest one writes 5,000 beside, 100 times what each of the others does, from a producer of its own. Latency and waiting are the others'.",
    wire: Wire::HEC,
    tenants: Tenants::even(20),
    cases: &[&[
        agent("quiet", Setup::to(Destinations::LoudestApart), AT_1K),
        agent(
            "one loud",
            Setup::to(Destinations::LoudestApart),
            Load::Paced(Paced { rate: 1_000, seconds: 8, loudest: 5_000, is_hammered: false }),
        ),
    ]],
    estimates: &[expected(
        "one loud",
        Metric::LatencyP99,
        5.0,
        "the others' groups share syncs with the loud one's, which are larger",
    )],
    goals: &[
        at_most(Row::LoudTenant, "one loud", Metric::LatencyP99, Bound::Times(1.05, "quiet")).because(
            "a sync has more to write, and producers, receivers and the agent share two processors; the quiet run alone wavers by more than 5 %",
        ),
        at_most(Row::LoudTenant, "one loud", Metric::HeldBackP99, Bound::Value(1.0)),
        at_most(Row::LoudTenant, "one loud", Metric::Lost, Bound::Value(0.0)),
    ],
    rounds: 3,
};

const SHORT_FLOOD: Load = Load::Flood(Flood { warm_up: 500_000, events: 200_000, per_write: 256, producers: 1 });

pub(super) const THOUSAND_DESTINATIONS: Scenario = Scenario {
    name: "thousand-destinations",
    question: "What do 1,000 destinations cost, each scoped to one tenant?",
    method: "1,000 tenants write equally much, to one destination for all and to one for each, over one log. Memory is counted for each destination beside the first.",
    wire: Wire::HEC,
    tenants: Tenants::even(1_000),
    cases: &[&[
        agent("one for all", Setup::PLAIN, FLOOD),
        agent("one for each tenant", Setup::to(Destinations::ForEachTenant), FLOOD),
    ]],
    estimates: &[expected(
        "one for each tenant",
        Metric::CpuPerEvent,
        3.0,
        "batches are a hundred times smaller, so requests and replies weigh: 10 µs a request, some 10 events each",
    )],
    goals: &[
        at_most(
            Row::ThousandDestinations,
            "one for each tenant",
            Metric::CpuPerEvent,
            Bound::Times(1.5, "one for all"),
        )
        .because("a batch holds a few events instead of hundreds, and each has a request, a reply and a verdict"),
        at_most(Row::ThousandDestinations, "one for each tenant", Metric::MemoryPerDestination, Bound::Value(20.0))
            .because("all have requests under way at once: a head, a reply and places in the log for each, beside its connection and its distribution of latencies, kept and published"),
    ],
    rounds: 2,
};

pub(super) const TEN_DESTINATIONS: Scenario = Scenario {
    name: "ten-destinations",
    question: "What does it cost to send each event to ten destinations?",
    method: "Ten receivers of their own; an event counts as arrived when all have it.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("one", Setup::PLAIN, FLOOD), agent("ten", Setup::to(Destinations::Copies(10)), SHORT_FLOOD)]],
    estimates: &[expected(
        "ten",
        Metric::CpuPerEvent,
        6.0,
        "intake once, 0.9 µs; judging, encoding and sending ten times, 0.5 µs each",
    )],
    goals: &[at_most(Row::TenDestinations, "ten", Metric::CpuPerEvent, Bound::Times(4.0, "one"))],
    rounds: 2,
};
