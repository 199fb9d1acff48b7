//! What the page costs: the data plane, the reader's patience, and memory.

use super::{agent, at_most, expected};
use crate::scenario::case::{OpenPage, View, Visited};
use crate::scenario::{Bound, Case, Destinations, Goal, Load, Metric, Row, Scenario, Setup, Tenants, Wire};

/// What ten people look at: four at the list in different orders, three at a destination, one at the agent, two at the tail.
const TEN_PAGES: &[OpenPage] = &[
    OpenPage::Live("/"),
    OpenPage::Live("/?sort=name"),
    OpenPage::Live("/?sort=lag"),
    OpenPage::Live("/?sort=rate"),
    OpenPage::Live("/destinations/bench-0"),
    OpenPage::Live("/destinations/bench-0"),
    OpenPage::Live("/destinations/bench-0"),
    OpenPage::Live("/health"),
    OpenPage::Tail,
    OpenPage::Tail,
];

const PAIRS: Load = Load::Visited(Visited { warm_up: 500_000, events: 1_000_000, pairs: 12, pages: TEN_PAGES });

pub(super) const PAGE_OPEN: Scenario = Scenario {
    name: "page-open",
    question: "What do ten people who have the page open cost the data plane?",
    method: "As in `cost`, but one agent and floods in pairs, A B B A: in one of each pair ten pages are open, fetched as a browser does, each by somebody who has logged in and then every 900 ms; two of them are the live tail. The goal is about the data plane, which is the threads of shards, syncers and keepers by their names: it is what an event waits for. Pages are answered by a thread of their own at a cost that depends on the time that they are open and not on events, and so is the live tail, which gives up what it can't read in its share of the time; both stand in the whole agent's rise and in the processor's share beside.",
    wire: Wire::HEC,
    tenants: Tenants::even(200),
    cases: &[&[
        agent("one destination", Setup::PLAIN, PAIRS),
        agent("200 destinations", Setup::to(Destinations::ForEachTenant), PAIRS),
    ]],
    estimates: &[
        expected(
            "one destination",
            Metric::DataPlaneRise,
            1.0,
            "no look at a shard but a copy of its last report under a lock that it takes each 200 ms; what is left is a colder cache",
        ),
        expected(
            "200 destinations",
            Metric::PagesShare,
            25.0,
            "8 pages each 2 s at 3 ms are 1 %; the tail reads for 60 ms of each 310, which is 20 %",
        ),
    ],
    goals: &[
        at_most(Row::PageOpen, "one destination", Metric::DataPlaneRise, Bound::Value(2.0)),
        at_most(Row::PageOpen, "200 destinations", Metric::DataPlaneRise, Bound::Value(2.0)),
        at_most(Row::PageOpen, "200 destinations", Metric::Lost, Bound::Value(0.0)),
    ],
    rounds: 1,
};

/// A page as people come to it.
const fn page(label: &'static str, path: &'static str) -> Case {
    agent(label, Setup::to(Destinations::Varied), Load::View(View { path, is_live: false, times: 300 }))
}

/// The same as a page that is open asks for it.
const fn live(label: &'static str, path: &'static str) -> Case {
    agent(label, Setup::to(Destinations::Varied), Load::View(View { path, is_live: true, times: 300 }))
}

const fn within_20_ms(of: &'static str) -> Goal {
    at_most(Row::PageQuick, of, Metric::PageP99, Bound::Value(20.0))
}

const fn within_200_kb(of: &'static str) -> Goal {
    at_most(Row::PageQuick, of, Metric::FirstView, Bound::Value(200.0))
}

pub(super) const PAGE_QUICK: Scenario = Scenario {
    name: "page-quick",
    question: "How quick is each page at 200 destinations, and how large?",
    method: "Of eight destinations six are up, one refuses connections, one refuses half of all events, so that there are causes, errors and dead letters to show; 200 changes were made. Each page is asked for 300 times, 10 ms apart, on one connection that stays open, while 1,000 events/s come in. Times are from the request's first byte to the reply's last over loopback, so the server's own are less. A first view is the page with its style, script and icon, as by a browser that was never here.",
    wire: Wire::HEC,
    tenants: Tenants::even(200),
    cases: &[&[
        page("list", "/"),
        live("list, live", "/"),
        page("destination", "/destinations/bench-7"),
        live("destination, live", "/destinations/bench-7"),
        page("new", "/new/splunk_hec"),
        page("events", "/events"),
        page("dead letters", "/deadletters"),
        page("letters of one", "/deadletters/bench-7"),
        page("changes", "/changes"),
        page("health", "/health"),
        live("health, live", "/health"),
    ]],
    estimates: &[
        expected(
            "list",
            Metric::PageP99,
            4.0,
            "200 pictures at 5 µs, 50 rows of 1.5 KB at 10 µs each, and what the threads wait for one another",
        ),
        expected(
            "destination",
            Metric::PageP99,
            4.0,
            "one picture, a chart of 360 points, and up to 4 MiB of the agent's own events looked through",
        ),
        expected(
            "list",
            Metric::FirstView,
            110.0,
            "50 rows of 1.5 KB with the causes of the worst first, style and script 12 KB; nothing is compressed",
        ),
    ],
    goals: &[
        within_20_ms("list"),
        within_20_ms("list, live"),
        within_20_ms("destination"),
        within_20_ms("destination, live"),
        within_20_ms("new"),
        within_20_ms("events"),
        within_20_ms("dead letters"),
        within_20_ms("letters of one"),
        within_20_ms("changes"),
        within_20_ms("health"),
        within_20_ms("health, live"),
        within_200_kb("list"),
        within_200_kb("destination"),
        within_200_kb("new"),
        within_200_kb("events"),
        within_200_kb("dead letters"),
        within_200_kb("letters of one"),
        within_200_kb("changes"),
        within_200_kb("health"),
    ],
    rounds: 1,
};

pub(super) const STATUS_AGE: Scenario = Scenario {
    name: "status-age",
    question: "How old is the status at 200 destinations at its worst?",
    method: "Single events, each to another destination of an agent that has nothing else to do: from when the receiver has one until the status counts it as delivered. A page that is open shows what it fetched last, so it is older by up to the time between two fetches.",
    wire: Wire::HEC,
    tenants: Tenants::even(200),
    cases: &[&[agent("agent", Setup::to(Destinations::ForEachTenant), Load::StatusAge { events: 30 })]],
    estimates: &[expected(
        "agent",
        Metric::StatusAge,
        1_000.0,
        "a shard speaks at the end of a turn, at most each 200 ms; one that has nothing to do turns once a second",
    )],
    goals: &[at_most(Row::StatusAge, "agent", Metric::StatusAge, Bound::Value(2_000.0))],
    rounds: 1,
};

pub(super) const HISTORY_MEMORY: Scenario = Scenario {
    name: "history-memory",
    question: "What memory does the last hour's history hold at 1,000 destinations?",
    method: "It is what the charts of a destination's page and `/v1/…/history` are drawn from. It can't be switched off, so anonymous memory after an hour is held against that before; the hour is one of the control plane's thread alone, whose clock runs 120 times as fast. 1,000 events/s go to all destinations meanwhile. What grows with one destination is taken off. The goal is what the module says of itself.",
    wire: Wire::HEC,
    tenants: Tenants::even(1_000),
    cases: &[&[
        agent("one destination", Setup::PLAIN, Load::Hour),
        agent("1,000 destinations", Setup::to(Destinations::ForEachTenant), Load::Hour),
    ]],
    estimates: &[expected(
        "1,000 destinations",
        Metric::HourGrowthPerDestination,
        5.5,
        "360 samples of 12 bytes, and a distribution of latencies to one digit, 1 KiB",
    )],
    goals: &[at_most(Row::HistoryMemory, "1,000 destinations", Metric::HourGrowthPerDestination, Bound::Value(9.0))],
    rounds: 1,
};
