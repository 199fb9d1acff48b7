//! What each shape, and redaction, adds to an event.

use super::{FLOOD, agent, at_most, expected};
use crate::scenario::{Bound, Metric, Row, Scenario, Setup, Shape, Tenants, Wire};

const CANONICAL_TAKES_MORE: &str = "the canonical shape takes more than the 1.0 µs that this goal builds on; the goal beside it says what the shape itself may add";

pub(super) const SHAPES: Scenario = Scenario {
    name: "shapes",
    question: "What does it cost to send events in the words of a schema, or without what a destination may not have?",
    method: "As in `elastic`. Redaction masks one value and hashes another. Numbers are not checked where a schema parts them.",
    wire: Wire::ELASTIC,
    tenants: Tenants::ZIPF,
    cases: &[&[
        agent("canonical", Setup::PLAIN, FLOOD),
        agent("ecs", Setup::shaped(Shape::Ecs), FLOOD),
        agent("ocsf", Setup::shaped(Shape::Ocsf), FLOOD),
        agent("redacted", Setup::REDACTED, FLOOD),
    ]],
    estimates: &[
        expected(
            "ecs",
            Metric::CpuPerEvent,
            1.8,
            "what `elastic` takes, and 30 members at 15 ns each; 300 bytes more on the wire",
        ),
        expected(
            "redacted",
            Metric::CpuPerEvent,
            1.4,
            "what `elastic` takes, one HMAC-SHA256 at 0.15 µs, two more slices",
        ),
    ],
    goals: &[
        at_most(Row::Shapes, "ecs", Metric::CpuPerEvent, Bound::Value(2.0)).because(CANONICAL_TAKES_MORE),
        at_most(Row::Shapes, "ecs", Metric::CpuPerEvent, Bound::Plus(1.0, "canonical")),
        at_most(Row::Shapes, "ocsf", Metric::CpuPerEvent, Bound::Value(2.5)).because(CANONICAL_TAKES_MORE),
        at_most(Row::Shapes, "ocsf", Metric::CpuPerEvent, Bound::Plus(1.5, "canonical")),
        at_most(Row::Shapes, "redacted", Metric::CpuPerEvent, Bound::Plus(0.2, "canonical")),
    ],
    rounds: 3,
};

pub(super) const SHAPES_SYSLOG: Scenario = Scenario {
    name: "shapes-syslog",
    question: "The same in the shapes that go by syslog.",
    method: "As in `syslog`. Numbers are not checked where a schema parts them.",
    wire: Wire::SYSLOG,
    tenants: Tenants::ZIPF,
    cases: &[&[
        agent("canonical", Setup::PLAIN, FLOOD),
        agent("cef", Setup::shaped(Shape::Cef), FLOOD),
        agent("leef", Setup::shaped(Shape::Leef), FLOOD),
        agent("asim", Setup::shaped(Shape::Asim), FLOOD),
    ]],
    estimates: &[expected(
        "cef",
        Metric::CpuPerEvent,
        1.8,
        "what `syslog` takes, 20 keys at 10 ns each, and 800 bytes looked through one by one",
    )],
    goals: &[
        at_most(Row::Shapes, "cef", Metric::CpuPerEvent, Bound::Value(2.0)).because(CANONICAL_TAKES_MORE),
        at_most(Row::Shapes, "cef", Metric::CpuPerEvent, Bound::Plus(1.0, "canonical")),
        at_most(Row::Shapes, "asim", Metric::CpuPerEvent, Bound::Value(2.5)).because(CANONICAL_TAKES_MORE),
        at_most(Row::Shapes, "asim", Metric::CpuPerEvent, Bound::Plus(1.5, "canonical")),
    ],
    rounds: 3,
};
