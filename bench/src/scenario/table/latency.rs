//! How long an event takes, and what a disk or a scheduler adds that others keep busy.

use super::{AT_1K, NOTHING_LOST, agent, at_most, expected, fast, paced, rivals, synced};
use crate::scenario::case::Paced;
use crate::scenario::{Bound, Load, Metric, Row, Scenario, Setup, Tenants, Wire};

const AT_100K: Load = paced(100_000, 6);

pub(super) const LATENCY: Scenario = Scenario {
    name: "latency",
    question: "How long does an event take from when it should be written until it arrives, at 1,000 events a second?",
    method: "One producer at a fixed rate; times begin at the intended moment, so waiting to be read counts.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[
        agent("agent", Setup::PLAIN, AT_1K),
        // rsyslog with syncs takes some 110 events a second (`bench/others/README.md`): it holds no such rate.
        synced("syslog-ng, synced", "syslog-ng", Setup::PLAIN, AT_1K),
        synced("otelcol, synced", "otelcol", Setup::PLAIN, AT_1K),
        synced("fluent-bit, synced", "fluent-bit", Setup::PLAIN, AT_1K),
    ]],
    estimates: &[expected(
        "agent",
        Metric::LatencyP50,
        3.0,
        "half a sync to wait for the one under way, one sync of 1 to 2 ms, three wake-ups of 0.1 ms",
    )],
    goals: &[
        at_most(Row::Latency, "agent", Metric::LatencyP50, Bound::DiskSyncTimes(2.0)).because(
            "beside the sync an event waits for the wake-ups of producer, shard and receiver, as `latency-os` has them, and of the syncer",
        ),
        at_most(Row::Latency, "agent", Metric::LatencyP99, Bound::DiskSyncPlus(10.0)),
        NOTHING_LOST,
    ],
    rounds: 3,
};

pub(super) const LATENCY_OS: Scenario = Scenario {
    name: "latency-os",
    question: "How long does it take without a sync, with `durability = \"os\"`?",
    method: "As in `latency`; everyone as fast as it goes.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[fast("agent", Setup::PLAIN, AT_1K)], &rivals(AT_1K)],
    estimates: &[expected(
        "agent",
        Metric::LatencyP50,
        0.2,
        "three wake-ups on a virtual machine, 30 to 60 µs each, and two copies",
    )],
    goals: &[
        at_most(Row::LatencyUnsynced, "agent", Metric::LatencyP50, Bound::Value(0.15)).because(THREE_WAKE_UPS),
        at_most(Row::LatencyUnsynced, "agent", Metric::LatencyP99, Bound::Value(0.4)).because(THREE_WAKE_UPS),
        NOTHING_LOST,
    ],
    rounds: 3,
};

const THREE_WAKE_UPS: &str = "three wake-ups on a virtual machine";

pub(super) const LATENCY_100K: Scenario = Scenario {
    name: "latency-100k",
    question: "How long does it take at 100,000 events a second, synced?",
    method: "As in `latency`; the producer writes what is due together.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("agent", Setup::PLAIN, AT_100K)]],
    estimates: &[expected(
        "agent",
        Metric::LatencyP99,
        15.0,
        "groups of a few milliseconds' events, each waiting for two syncs at most",
    )],
    goals: &[at_most(Row::LatencyAtHighRate, "agent", Metric::LatencyP99, Bound::Value(50.0)), NOTHING_LOST],
    rounds: 3,
};

const STALLS_OF_THE_SCHEDULER: &str = "two processors are shared by seven busy threads: the stalls are times in which the scheduler ran somebody else (in 6 s of `perf sched` the shard was blocked on the disk twice, for under 0.05 ms)";

pub(super) const HAMMERED_DISK: Scenario = Scenario {
    name: "hammered-disk",
    question: "Does a writer who hammers the disk hold up the log or a shard's loop?",
    method: "Another thread writes 1 MiB blocks to the same disk and syncs each eighth. `append` times each append to the log alone, with its syncer and keeper at work; `agent` is the whole agent at 10,000 events a second.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[
        agent("append", Setup::PLAIN, Load::Append { rate: 50_000, seconds: 8 }),
        agent("agent", Setup::PLAIN, Load::Paced(Paced { rate: 10_000, seconds: 8, loudest: 0, is_hammered: true })),
    ]],
    estimates: &[expected(
        "append",
        Metric::AppendP9999,
        60.0,
        "0.3 µs of work; the worst are preemptions by the other threads on two processors",
    )],
    goals: &[
        at_most(Row::HammeredDisk, "append", Metric::AppendP9999, Bound::Value(150.0)),
        at_most(Row::HammeredDisk, "agent", Metric::LoopStall, Bound::Value(2.0)).because(STALLS_OF_THE_SCHEDULER),
        NOTHING_LOST,
    ],
    rounds: 1,
};
