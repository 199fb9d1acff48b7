//! What an event costs, with each way to a destination, and what the agent costs that has nothing to do.

use super::{FLOOD, NOTHING_LOST, agent, at_least, at_most, expected, fast, naive, rivals, synced};
use crate::scenario::case::Flood;
use crate::scenario::{Bound, Case, Goal, Load, Metric, Row, Runtime, Scenario, Setup, Tenants, Wire};

const WORK_OF_AN_EVENT: &str = "an event costs some 8,900 instructions between the socket and a request's body, 3,400 of them to validate and index it (`benches/micro.rs`), and a quarter of the time is the kernel's, for copies and for writing pages back; the naive loop alone takes as much as the goal where this was measured";
const MORE_THAN_THE_FLOOR: &str = "the floor keeps nothing, syncs nothing, takes any JSON that fits its struct, and neither filters, numbers nor looks at replies";
const AN_EIGHTH_OF_A_TUNED_RIVAL: &str = "the best rival, tuned as in `bench/others`, takes four to seven times the naive loop on this path: an eighth of that is less than the floor";
const GZIP: &str =
    "compressing takes 16,800 instructions an event at the fastest level of zlib-rs, more than all the rest together";
const ONE_PER_WRITE: Load = Load::Flood(Flood { warm_up: 500_000, events: 400_000, per_write: 1, producers: 8 });
const COUNTED: Load = Load::Counted(Flood { warm_up: 500_000, events: 200_000, per_write: 256, producers: 1 });
const COUNTED_OF_OTHERS: Load = Load::Counted(Flood { warm_up: 20_000, events: 40_000, per_write: 256, producers: 1 });

const FLOOD_OF_OTHERS: Load = Load::Flood(Flood { warm_up: 30_000, events: 120_000, per_write: 256, producers: 1 });
/// Fluent Bit may sync for every few events, so these take their time.
const FLOOD_OF_SYNCED: Load = Load::Flood(Flood { warm_up: 2_000, events: 20_000, per_write: 256, producers: 1 });
/// rsyslog syncs for each event by itself, and twice.
const FLOOD_OF_SYNCS: Load = Load::Flood(Flood { warm_up: 200, events: 2_000, per_write: 256, producers: 1 });

const RSYSLOG: Case = fast("rsyslog", Setup::PLAIN, FLOOD_OF_OTHERS);
const RSYSLOG_SYNCED: Case = synced("rsyslog, synced", "rsyslog", Setup::PLAIN, FLOOD_OF_SYNCS);
const SYSLOG_NG: Case = fast("syslog-ng", Setup::PLAIN, FLOOD_OF_OTHERS);
const SYSLOG_NG_SYNCED: Case = synced("syslog-ng, synced", "syslog-ng", Setup::PLAIN, FLOOD_OF_OTHERS);
const OTELCOL: Case = fast("otelcol", Setup::PLAIN, FLOOD_OF_OTHERS);
const OTELCOL_SYNCED: Case = synced("otelcol, synced", "otelcol", Setup::PLAIN, FLOOD_OF_OTHERS);
const VECTOR: Case = fast("vector", Setup::PLAIN, FLOOD_OF_OTHERS);
const FLUENT_BIT: Case = fast("fluent-bit", Setup::PLAIN, FLOOD_OF_OTHERS);
const FLUENT_BIT_SYNCED: Case = synced("fluent-bit, synced", "fluent-bit", Setup::PLAIN, FLOOD_OF_SYNCED);

/// The rivals on one path, each as fast as it goes and synced.
const RIVALS: &[Case] = &[
    RSYSLOG,
    RSYSLOG_SYNCED,
    SYSLOG_NG,
    SYSLOG_NG_SYNCED,
    OTELCOL,
    OTELCOL_SYNCED,
    VECTOR,
    FLUENT_BIT,
    FLUENT_BIT_SYNCED,
];

pub(super) const COST: Scenario = Scenario {
    name: "cost",
    question: "What does an event cost from the socket over the synced log to HEC, and how many can there be?",
    method: "One producer writes 256 events a call, as fast as they are read. The naive loop is the floor.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("agent", Setup::PLAIN, FLOOD), naive(FLOOD)], RIVALS],
    estimates: &[
        expected(
            "agent",
            Metric::CpuPerEvent,
            1.5,
            "parse 0.4 µs, two checksums 0.15, copies into and out of the kernel 0.3, encode and judge 0.2, writing back the log's pages 0.4",
        ),
        expected(
            "naive loop",
            Metric::CpuPerEvent,
            0.9,
            "parse 0.45 µs, checksum 0.05, copy 0.05, read and write 0.3: no pages are written back within the run",
        ),
    ],
    goals: &[
        at_most(Row::CpuPerEvent, "agent", Metric::CpuPerEvent, Bound::Value(1.0)).because(WORK_OF_AN_EVENT),
        at_most(Row::CpuPerEvent, "agent", Metric::CpuPerEvent, Bound::Times(1.4, "naive loop"))
            .because(MORE_THAN_THE_FLOOR),
        at_most(Row::AgainstRivals, "agent", Metric::CpuPerEvent, Bound::Times(1.0 / 15.0, "rsyslog"))
            .because("tuned as in `bench/others` it takes half of the 20 µs that the goal was set by"),
        at_most(Row::AgainstRivals, "agent", Metric::CpuPerEvent, Bound::Times(1.0 / 25.0, "syslog-ng")).because(
            "tuned as in `bench/others` it takes a sixth of the 32 µs that the goal was set by; 1/25 of that is less than the kernel's copies of an event",
        ),
        at_most(Row::AgainstRivals, "agent", Metric::CpuPerEvent, Bound::Times(1.0 / 15.0, "otelcol"))
            .because("tuned as in `bench/others` it takes some five times the naive loop; 1/15 of that is less than the kernel's copies of an event"),
        at_least(Row::AgainstRivals, "agent", Metric::EventsPerSecond, Bound::TimesBestRival(8.0)).because(
            "at that rate producer and receiver alone, which are the same for all, would take more than two processors",
        ),
        at_least(Row::AgainstRivals, "agent", Metric::EventsPerSecond, Bound::Times(0.5, "naive loop"))
            .because("sender and receiver share two processors, so the rate follows the processor time of the row above"),
        at_most(Row::Memory, "agent", Metric::Memory, Bound::Value(64.0)),
        NOTHING_LOST,
    ],
    rounds: 3,
};

pub(super) const COST_TLS_GZIP: Scenario = Scenario {
    name: "tls-gzip",
    question: "What does it cost to compress and encrypt them as well?",
    method: "As in `cost`. Bodies are kept by the receiver and inflated when the run is over; everyone's events are counted so. How well each compresses is what was sent for an event here, against the same figure in `cost`.",
    wire: Wire::HEC_TLS_GZIP,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("agent", Setup::PLAIN, FLOOD)], RIVALS],
    estimates: &[expected(
        "agent",
        Metric::CpuPerEvent,
        4.0,
        "what `cost` takes, and 850 bytes through zlib-rs at its fastest level, some 350 MB/s; TLS on what is left is 0.1 µs",
    )],
    goals: &[at_most(Row::TlsGzip, "agent", Metric::CpuPerEvent, Bound::Value(2.2)).because(GZIP), NOTHING_LOST],
    rounds: 3,
};

pub(super) const ELASTIC: Scenario = Scenario {
    name: "elastic",
    question: "What does an event cost on the way to Elasticsearch's bulk interface?",
    method: "As in `cost`. The receiver answers item by item, and briefly where the client asks for it (`filter_path`).",
    wire: Wire::ELASTIC,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("agent", Setup::PLAIN, FLOOD)], RIVALS],
    estimates: &[expected(
        "agent",
        Metric::CpuPerEvent,
        1.7,
        "what `cost` takes, and 0.1 to 0.2 µs for the answer to each item",
    )],
    goals: &[
        at_most(Row::ElasticAndSyslog, "agent", Metric::CpuPerEvent, Bound::Value(1.2)).because(WORK_OF_AN_EVENT),
        at_most(Row::ElasticAndSyslog, "agent", Metric::CpuPerEvent, Bound::TimesBestRival(1.0 / 8.0))
            .because(AN_EIGHTH_OF_A_TUNED_RIVAL),
        NOTHING_LOST,
    ],
    rounds: 3,
};

pub(super) const SYSLOG: Scenario = Scenario {
    name: "syslog",
    question: "What does an event cost on the way to a syslog receiver over TCP?",
    method: "As in `cost`. Nobody answers, so a contender may take what it wrote as delivered; events are counted at the receiver.",
    wire: Wire::SYSLOG,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("agent", Setup::PLAIN, FLOOD)], RIVALS],
    estimates: &[expected(
        "agent",
        Metric::CpuPerEvent,
        1.5,
        "what `cost` takes: a header instead of fields, and no replies",
    )],
    goals: &[
        at_most(Row::ElasticAndSyslog, "agent", Metric::CpuPerEvent, Bound::Value(1.2)).because(WORK_OF_AN_EVENT),
        at_most(Row::ElasticAndSyslog, "agent", Metric::CpuPerEvent, Bound::TimesBestRival(1.0 / 8.0))
            .because(AN_EIGHTH_OF_A_TUNED_RIVAL),
        NOTHING_LOST,
    ],
    rounds: 3,
};

pub(super) const SINGLE_WRITES: Scenario = Scenario {
    name: "single-writes",
    question: "What does an event cost when producers write one at a time?",
    method: "Eight producers, one event for each `write`, acknowledgements read by all.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("agent", Setup::PLAIN, ONE_PER_WRITE)]],
    estimates: &[expected(
        "agent",
        Metric::CpuPerEvent,
        2.5,
        "what `cost` takes; reads bring fewer events each, and eight connections are told of their acknowledgements",
    )],
    goals: &[
        at_most(Row::OneEventPerWrite, "agent", Metric::CpuPerEvent, Bound::Value(2.5)).because(WORK_OF_AN_EVENT),
        NOTHING_LOST,
    ],
    rounds: 3,
};

pub(super) const EPOLL: Scenario = Scenario {
    name: "epoll",
    question: "What does the portable runtime lose against io_uring?",
    method: "As in `cost`, the agent against itself.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[
        agent("agent on io_uring", Setup::on(Runtime::IoUring), FLOOD),
        agent("agent on epoll", Setup::on(Runtime::Epoll), FLOOD),
    ]],
    estimates: &[expected(
        "agent on epoll",
        Metric::CpuPerEvent,
        1.6,
        "at full load one wait brings many events, whichever call it is",
    )],
    goals: &[at_least(Row::Epoll, "agent on epoll", Metric::EventsPerSecond, Bound::Times(0.85, "agent on io_uring"))],
    rounds: 3,
};

const TWO_PRODUCERS: Load = Load::Flood(Flood { warm_up: 500_000, events: 400_000, per_write: 256, producers: 2 });

pub(super) const TWO_SHARDS: Scenario = Scenario {
    name: "two-shards",
    question: "What does it cost to share the work between two shards?",
    method: "As in `cost`, with two producers, so that each shard has one. It runs on four processors where the machine has them: on two, sender and receiver take their part, so throughput is asked for only on four.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[
        agent("one shard", Setup::PLAIN, TWO_PRODUCERS),
        agent("two shards", Setup { shards: 2, ..Setup::PLAIN }, TWO_PRODUCERS),
    ]],
    estimates: &[expected(
        "two shards",
        Metric::CpuPerEvent,
        1.7,
        "half of the events cross from one shard to the other as a batch: one more copy for those",
    )],
    goals: &[
        at_most(Row::TwoShards, "two shards", Metric::CpuPerEvent, Bound::Times(1.1, "one shard")).because(
            "half of all events come in on the other shard than their tenant's and are copied once more; groups and batches are half as large, so syncs and requests are twice as many",
        ),
        Goal {
            cores: 4,
            ..at_least(Row::TwoShards, "two shards", Metric::EventsPerSecond, Bound::Times(1.8, "one shard"))
        },
    ],
    rounds: 3,
};

pub(super) const IDLE: Scenario = Scenario {
    name: "idle",
    question: "What does it cost to have nothing to do?",
    method: "A few events, two seconds to settle, then nothing.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("agent", Setup::PLAIN, Load::Idle { seconds: 15 })], &rivals(Load::Idle { seconds: 5 })],
    estimates: &[
        expected(
            "agent",
            Metric::CpuShare,
            0.05,
            "one turn a second, 20 µs each, and a cursor that has nothing to write",
        ),
        expected("agent", Metric::Memory, 12.0, "4 MiB of heap and stacks, 8 MiB of the program's pages"),
    ],
    goals: &[
        at_most(Row::Memory, "agent", Metric::CpuShare, Bound::Value(0.2)),
        at_most(Row::Memory, "agent", Metric::Memory, Bound::Value(16.0)),
    ],
    rounds: 1,
};

pub(super) const COUNTS: Scenario = Scenario {
    name: "counts",
    question: "How many allocations and system calls does an event take after warm-up?",
    method: "As in `cost`, in runs of their own, because counting costs time. Allocations are counted by a library loaded before libc, so a Go program's are not; system calls by the kernel.",
    wire: Wire::HEC,
    tenants: Tenants::ZIPF,
    cases: &[&[agent("agent", Setup::PLAIN, COUNTED), naive(COUNTED)], &rivals(COUNTED_OF_OTHERS)],
    estimates: &[
        expected(
            "agent",
            Metric::Syscalls,
            60.0,
            "a read for each 100 events, a write for each 100, and the syncer's and the ring's own",
        ),
        expected("agent", Metric::Allocations, 0.05, "none for an event, some for each request of 500"),
    ],
    goals: &[
        // Nothing for an event: what is left of a request's share rounds to nothing at two digits.
        at_most(Row::AllocationsAndSyscalls, "agent", Metric::Allocations, Bound::Value(0.005)).because(
            "what is left is a request's and a wake-up's, not an event's; half of it glommio's timers and sources",
        ),
        at_most(Row::AllocationsAndSyscalls, "agent", Metric::Syscalls, Bound::Value(40.0)),
    ],
    rounds: 1,
};
