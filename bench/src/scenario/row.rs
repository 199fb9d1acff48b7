//! The table of figures to reach, a variant a row.

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Row {
    CpuPerEvent,
    TlsGzip,
    ElasticAndSyslog,
    OneEventPerWrite,
    AgainstRivals,
    Latency,
    LatencyUnsynced,
    LatencyAtHighRate,
    HammeredDisk,
    Epoll,
    TwoShards,
    CatchUp,
    ManyDown,
    LoudTenant,
    ThousandDestinations,
    TenDestinations,
    Memory,
    AllocationsAndSyscalls,
    Backlog,
    /// Not in the table but among the paths to be compared: one dead and one healthy destination.
    DeadAndHealthy,
    /// The same for shapes and redaction.
    Shapes,
    /// What the page may cost, and how quick it is.
    PageOpen,
    PageQuick,
    StatusAge,
    /// No goal but what its module says of itself.
    HistoryMemory,
}

impl Row {
    /// All rows, in the table's order.
    pub(crate) const ALL: [Row; 25] = [
        Row::CpuPerEvent,
        Row::TlsGzip,
        Row::ElasticAndSyslog,
        Row::OneEventPerWrite,
        Row::AgainstRivals,
        Row::Latency,
        Row::LatencyUnsynced,
        Row::LatencyAtHighRate,
        Row::HammeredDisk,
        Row::Epoll,
        Row::TwoShards,
        Row::CatchUp,
        Row::ManyDown,
        Row::LoudTenant,
        Row::ThousandDestinations,
        Row::TenDestinations,
        Row::Memory,
        Row::AllocationsAndSyscalls,
        Row::Backlog,
        Row::DeadAndHealthy,
        Row::Shapes,
        Row::PageOpen,
        Row::PageQuick,
        Row::StatusAge,
        Row::HistoryMemory,
    ];

    /// The row's first column.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Row::CpuPerEvent => "CPU per event, Unix socket to synced log to HEC, uncompressed, 600 B",
            Row::TlsGzip => "the same over TLS with gzip",
            Row::ElasticAndSyslog => "Elastic bulk; syslog TCP",
            Row::OneEventPerWrite => "one event per write, 8 producers, acks read",
            Row::AgainstRivals => "against rsyslog, syslog-ng, OpenTelemetry Collector on the same path",
            Row::Latency => "latency from accepted to arrived, 1,000 events/s, synced",
            Row::LatencyUnsynced => "the same with durability = \"os\"",
            Row::LatencyAtHighRate => "the same, synced, at 100,000 events/s",
            Row::HammeredDisk => "append, while another writer hammers the disk",
            Row::Epoll => "epoll runtime against io_uring",
            Row::TwoShards => "two shards on two cores",
            Row::CatchUp => "catch-up after an outage that left 6 million events",
            Row::ManyDown => "50 destinations, 49 of them down",
            Row::LoudTenant => "one tenant at 100 times the others' rate, its own destination dead",
            Row::ThousandDestinations => "1,000 destinations, each scoped to one tenant",
            Row::TenDestinations => "one event to 10 destinations",
            Row::Memory => "memory: idle, at full load, through an outage",
            Row::AllocationsAndSyscalls => "allocations and system calls after warm-up",
            Row::Backlog => "start with a 30-minute backlog",
            Row::DeadAndHealthy => "one dead and one healthy destination",
            Row::Shapes => "ECS, CEF; OCSF, ASIM; two values of each event redacted",
            Row::PageOpen => "ten pages open: the data plane's processor time an event",
            Row::PageQuick => "each page at 200 destinations; its first view",
            Row::StatusAge => "age of the status at 200 destinations",
            Row::HistoryMemory => "what the last hour's history holds at 1,000 destinations",
        }
    }
}
