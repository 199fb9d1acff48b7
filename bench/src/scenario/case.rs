//! Who runs how, under which load.

use scaidrive_codecs::Shape;

/// One of the things that a scenario compares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Its name in figures, goals and plots; the only one in its scenario.
    pub(crate) label: &'static str,
    /// Which program, by the name of its [`crate::contender::Contender`].
    pub(crate) contender: &'static str,
    pub(crate) durability: Durability,
    pub(crate) setup: Setup,
    pub(crate) load: Load,
}

/// How much a contender does before it counts an event as taken. Every rival runs twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A disk buffer without syncs, tuned for speed. The agent's `durability = "os"`.
    Fast,
    /// The syncs that come nearest to the agent's `durability = "fsync"`.
    Synced,
}

impl Durability {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Durability::Fast => "fast",
            Durability::Synced => "synced",
        }
    }
}

/// What kind of receiver is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Splunk's HTTP event collector.
    Hec,
    /// The bulk interface of Elasticsearch.
    Elastic,
    /// RFC 5424 over TCP, octet-counted or one message a line.
    Syslog,
}

/// How events travel to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) kind: Kind,
    pub(crate) tls: bool,
    pub(crate) gzip: bool,
}

impl Wire {
    pub(crate) const HEC: Wire = Wire { kind: Kind::Hec, tls: false, gzip: false };
    pub(crate) const HEC_TLS_GZIP: Wire = Wire { kind: Kind::Hec, tls: true, gzip: true };
    pub(crate) const ELASTIC: Wire = Wire { kind: Kind::Elastic, tls: false, gzip: false };
    pub(crate) const SYSLOG: Wire = Wire { kind: Kind::Syslog, tls: false, gzip: false };

    /// Such as `HEC over TLS with gzip`.
    pub(crate) fn words(self) -> String {
        let kind = match self.kind {
            Kind::Hec => "HEC",
            Kind::Elastic => "Elastic bulk",
            Kind::Syslog => "syslog TCP",
        };
        let tls = if self.tls { " over TLS" } else { "" };
        let gzip = if self.gzip { " with gzip" } else { "" };
        format!("{kind}{tls}{gzip}")
    }
}

/// The agent's runtime; others have none to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Auto,
    IoUring,
    Epoll,
}

/// How a contender is set up for a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) destinations: Destinations,
    pub(crate) runtime: Runtime,
    pub(crate) shards: u32,
    /// What the disk buffer may hold, in MiB.
    pub(crate) buffer_mib: u64,
    /// Whose words events go out in; others than the agent have none to choose.
    pub(crate) shape: Shape,
    /// Whether two values of each event are hidden: one masked, one hashed.
    pub(crate) is_redacted: bool,
}

impl Setup {
    /// One destination, one shard, and a buffer small enough to be used up by the warm-up.
    pub(crate) const PLAIN: Setup = Setup {
        destinations: Destinations::One,
        runtime: Runtime::Auto,
        shards: 1,
        buffer_mib: 256,
        shape: Shape::Canonical,
        is_redacted: false,
    };

    /// The same with two values of each event hidden.
    pub(crate) const REDACTED: Setup = Setup { is_redacted: true, ..Setup::PLAIN };

    /// The same in another shape.
    pub(crate) const fn shaped(shape: Shape) -> Setup {
        Setup { shape, ..Setup::PLAIN }
    }

    /// The same with other destinations.
    pub(crate) const fn to(destinations: Destinations) -> Setup {
        Setup { destinations, ..Setup::PLAIN }
    }

    /// The same on one runtime.
    pub(crate) const fn on(runtime: Runtime) -> Setup {
        Setup { runtime, ..Setup::PLAIN }
    }

    /// The same with another buffer.
    pub(crate) const fn holding(buffer_mib: u64) -> Setup {
        Setup { buffer_mib, ..Setup::PLAIN }
    }
}

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destinations {
    /// One, up, for everything.
    One,
    /// Several, all up, each for everything.
    Copies(u32),
    /// One that is up, and others that are not: half refuse connections, half take them and never answer.
    OneAndDown(u32),
    /// One for each tenant, all at the same receiver.
    ForEachTenant,
    /// One for all tenants but the loudest, which has one of its own that is down.
    LoudestApart,
    /// One for each tenant; of eight, six are up, one refuses connections, one refuses half of all events.
    Varied,
}

/// What is written and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// As fast as the contender takes it.
    Flood(Flood),
    /// The same, with system calls and allocations counted instead of time, which counting would spoil.
    Counted(Flood),
    /// At a fixed rate, with the time at which each event should have been written.
    Paced(Paced),
    /// A few events, then nothing.
    Idle { seconds: u32 },
    /// Written while the destination is down, then delivered from a cold cache. `live` events a second go to a second
    /// destination all the while, where the contender can tell one from another.
    CatchUp { events: u64, live: u32 },
    /// A log full of undelivered events is opened.
    Backlog { events: u64 },
    /// The log alone, with another writer at the same disk.
    Append { rate: u32, seconds: u32 },
    /// Floods in pairs, one of each while pages are open and one while none is.
    Visited(Visited),
    /// A page that is asked for again and again while events come in.
    View(View),
    /// Single events, and when the agent says that they were delivered.
    StatusAge { events: u32 },
    /// An hour of the control plane's clock while events come in, for what it keeps of an hour.
    Hour,
}

/// What a rival's batches are set up for. What is measured decides, not who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The least processor time and the most events a second.
    Throughput,
    /// No event waits for company.
    Latency,
}

/// As fast as it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flood {
    /// Events before the measurement; arrived before it begins.
    pub(crate) warm_up: u64,
    pub(crate) events: u64,
    pub(crate) per_write: u32,
    pub(crate) producers: u32,
}

/// Floods while pages are open and while none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visited {
    /// Events before the first flood; arrived before it begins.
    pub(crate) warm_up: u64,
    /// Events of one flood, 256 a write.
    pub(crate) events: u64,
    pub(crate) pairs: u32,
    /// Each by a visitor of its own.
    pub(crate) pages: &'static [OpenPage],
}

/// A page that somebody has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenPage {
    /// One that fetches itself again and again.
    Live(&'static str),
    /// The live tail of all events.
    Tail,
}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) path: &'static str,
    /// Whether it is its middle alone, as an open page asks for it.
    pub(crate) is_live: bool,
    /// How often it is asked for.
    pub(crate) times: u32,
}

/// At a fixed rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paced {
    /// Events a second.
    pub(crate) rate: u32,
    pub(crate) seconds: u32,
    /// Events a second that the loudest tenant writes beside, from a producer of its own.
    pub(crate) loudest: u32,
    /// Whether another program writes to the same disk and syncs all the while.
    pub(crate) is_hammered: bool,
}

/// What a quick run leaves of a load: enough to see whether something is far off, not enough to publish.
const QUICK: u64 = 8;

impl Load {
    /// The same in little time.
    pub(crate) fn quick(self) -> Load {
        match self {
            Load::Flood(flood) => Load::Flood(flood.quick()),
            Load::Counted(flood) => Load::Counted(flood.quick()),
            Load::Paced(paced) => Load::Paced(Paced { seconds: paced.seconds.min(2), ..paced }),
            Load::Idle { seconds } => Load::Idle { seconds: seconds.min(4) },
            Load::CatchUp { events, live } => Load::CatchUp { events: events / 2 / QUICK, live },
            Load::Backlog { events } => Load::Backlog { events: events / 4 / QUICK },
            Load::Append { rate, seconds } => Load::Append { rate, seconds: seconds.min(3) },
            Load::Visited(visited) => Load::Visited(visited.quick()),
            Load::View(view) => Load::View(View { times: view.times / QUICK as u32, ..view }),
            Load::StatusAge { events } => Load::StatusAge { events: events.min(4) },
            Load::Hour => Load::Hour,
        }
    }

    /// What it asks of batches.
    pub(crate) const fn aim(self) -> Aim {
        match self {
            Load::Paced(_) => Aim::Latency,
            _ => Aim::Throughput,
        }
    }

    /// How much of what, in words.
    pub(crate) fn words(self) -> String {
        match self {
            Load::Flood(flood) => flood.words(),
            Load::Counted(flood) => format!("{}, counted", flood.words()),
            Load::Paced(paced) => {
                let loud = if paced.loudest > 0 {
                    format!(", the loudest tenant {} beside", paced.loudest)
                } else {
                    String::new()
                };
                let hammered = if paced.is_hammered { ", another writer at the disk" } else { "" };
                format!("{} events/s for {} s{loud}{hammered}", paced.rate, paced.seconds)
            }
            Load::Idle { seconds } => format!("nothing for {seconds} s after a few events"),
            Load::CatchUp { events, live: 0 } => format!("{events} events written during an outage"),
            Load::CatchUp { events, live } => {
                format!("{events} events written during an outage, {live} events/s to another destination")
            }
            Load::Backlog { events } => format!("{events} undelivered events in the log"),
            Load::Append { rate, seconds } => format!("{rate} appends/s for {seconds} s, another writer at the disk"),
            Load::Visited(visited) => visited.words(),
            Load::View(View { path, is_live, times }) => {
                let part = if is_live { "the middle of " } else { "" };
                format!("{part}`{path}` {times} times, {VIEWED_RATE} events/s meanwhile")
            }
            Load::StatusAge { events } => format!("{events} single events"),
            Load::Hour => "an hour of the control plane's clock, events to every destination".to_owned(),
        }
    }
}

impl Visited {
    fn quick(self) -> Visited {
        Visited { warm_up: self.warm_up / QUICK, events: self.events / QUICK, pairs: 2, ..self }
    }

    fn words(self) -> String {
        let Visited { warm_up, events, pairs, pages } = self;
        let pages: Vec<&str> = pages.iter().map(OpenPage::words).collect();
        format!("{pairs} pairs of {events} events after {warm_up} to warm up; open in one of each: {}", pages.join(" "))
    }
}

impl OpenPage {
    fn words(&self) -> &'static str {
        match self {
            OpenPage::Live(path) => path,
            OpenPage::Tail => "/events",
        }
    }
}

impl Flood {
    fn quick(self) -> Flood {
        Flood { warm_up: self.warm_up / QUICK, events: self.events / QUICK, ..self }
    }

    fn words(self) -> String {
        format!(
            "{} events after {} to warm up, {} per write, {} producers",
            self.events, self.warm_up, self.per_write, self.producers
        )
    }
}

/// Events a second that come in while a page is asked for.
pub(crate) const VIEWED_RATE: u32 = 1_000;
