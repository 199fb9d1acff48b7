//! The scenarios.

use super::case::Flood;
use super::{Bound, Case, Durability, Estimate, Goal, Load, Metric, Row, Scenario, Sense, Setup, Tenants, Wire};

/// All of them, in the order of the report.
pub(crate) const ALL: &[Scenario] = &[COST];

const FLOOD: Load = Load::Flood(Flood { warm_up: 500_000, events: 400_000, per_write: 256, producers: 1 });

const fn agent(label: &'static str, setup: Setup, load: Load) -> Case {
    Case { label, contender: "agent", durability: Durability::Synced, setup, load }
}

const fn at_most(of: &'static str, metric: Metric, bound: Bound) -> Goal {
    Goal { of, metric, sense: Sense::AtMost, bound, cores: 1 }
}

const COST: Scenario = Scenario {
    name: "cost",
    question: "What does an event cost from the socket over the synced log to HEC?",
    method: "One producer writes as fast as it is read. The naive loop is the floor.",
    rows: &[Row::CpuPerEvent],
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[
        agent("agent", Setup::PLAIN, FLOOD),
        Case {
            label: "naive loop",
            contender: "naive loop",
            durability: Durability::Fast,
            setup: Setup::PLAIN,
            load: FLOOD,
        },
    ],
    estimates: &[Estimate {
        of: "agent",
        metric: Metric::CpuPerEvent,
        value: 1.5,
        because: "parse 0.4, two checksums 0.15, copies into and out of the kernel 0.3, encode and judge 0.2, writing back the log's pages 0.4",
    }],
    goals: &[
        at_most("agent", Metric::CpuPerEvent, Bound::Value(1.0)),
        at_most("agent", Metric::CpuPerEvent, Bound::Times(1.4, "naive loop")),
    ],
    rounds: 3,
};
