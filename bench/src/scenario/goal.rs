//! Metrics, estimates and goals, and how measured figures are held against a goal.

use std::fmt;

use serde::Serialize;

use super::Row;

/// What a figure measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Processor time of the contender for each event, in microseconds.
    CpuPerEvent,
    /// Different events that arrived, a second.
    EventsPerSecond,
    /// Times from intended to arrived, in milliseconds.
    LatencyP50,
    LatencyP99,
    LatencyP999,
    LatencyMax,
    /// How late producers could write, 99 % of events, in milliseconds.
    HeldBackP99,
    /// Latency of a second destination before and while the first one catches up, in milliseconds.
    LiveP99Before,
    LiveP99During,
    /// Share of one processor, in per cent.
    CpuShare,
    /// Anonymous memory at its highest and the program's own pages, in MiB.
    Memory,
    /// Memory that grew from the load's first second to its last, in MiB.
    MemoryGrowth,
    /// Memory for each destination beside the first, in KiB.
    MemoryPerDestination,
    /// What is mapped of the log, in MiB.
    MappedLog,
    /// Bytes written to the disk for each event.
    DiskPerEvent,
    /// Bytes of request bodies and messages for each event as the receiver got them: compressed where the wire is, before
    /// encryption, without HTTP heads.
    BodyPerEvent,
    /// System calls for each 1,000 events.
    Syscalls,
    /// Calls of `malloc` and its kin for each event.
    Allocations,
    /// From the start of the process until it takes events, in milliseconds.
    Ready,
    /// The longest that a task held a shard's loop, in milliseconds, as far as the agent's own histogram tells.
    LoopStall,
    /// Events written before a restart that arrived after it.
    FoundAgain,
    /// One append to the log, 99.99 % of them, in microseconds.
    AppendP9999,
    /// Processor time of the shards and their helpers alone for each event, in microseconds: while no page is open and while
    /// some are.
    DataPlaneAlone,
    DataPlaneVisited,
    /// How much more the data plane, and the whole agent, take while pages are open: the median of pairs, in per cent.
    DataPlaneRise,
    AgentRise,
    /// Share of one processor that everything but the data plane takes while pages are open, in per cent.
    PagesShare,
    /// From asking for a page until its last byte is here, in milliseconds.
    PageP50,
    PageP99,
    /// Bytes that come for a first view: page, style, script and icon with their heads, in KB of 1,000 bytes; as a browser
    /// asks for them, and asked for without compression.
    FirstView,
    FirstViewPlain,
    /// Bytes of the page alone, without its head, in KB of 1,000 bytes.
    PageSize,
    /// From the arrival of an event until the agent's status counts it, at its longest, in milliseconds.
    StatusAge,
    /// Memory that grew in an hour of the control plane's clock, in MiB; for each destination beside the first, in KiB.
    HourGrowth,
    HourGrowthPerDestination,
    /// Events that never arrived.
    Lost,
    /// Events that arrived again.
    Repeated,
}

impl Metric {
    /// What stands over a column.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Metric::CpuPerEvent => "CPU per event",
            Metric::EventsPerSecond => "events/s",
            Metric::LatencyP50 => "latency p50",
            Metric::LatencyP99 => "latency p99",
            Metric::LatencyP999 => "latency p99.9",
            Metric::LatencyMax => "latency max",
            Metric::HeldBackP99 => "producers held back p99",
            Metric::LiveP99Before => "live p99 before",
            Metric::LiveP99During => "live p99 during",
            Metric::CpuShare => "CPU",
            Metric::Memory => "memory",
            Metric::MemoryGrowth => "memory growth",
            Metric::MemoryPerDestination => "memory per destination",
            Metric::MappedLog => "mapped log",
            Metric::DiskPerEvent => "written to disk per event",
            Metric::BodyPerEvent => "sent per event",
            Metric::Syscalls => "system calls per 1,000 events",
            Metric::Allocations => "allocations per event",
            Metric::Ready => "ready after",
            Metric::LoopStall => "longest loop stall",
            Metric::FoundAgain => "events there after the start",
            Metric::AppendP9999 => "append p99.99",
            Metric::DataPlaneAlone => "data plane per event, no page open",
            Metric::DataPlaneVisited => "data plane per event, pages open",
            Metric::DataPlaneRise => "data plane's rise",
            Metric::AgentRise => "whole agent's rise",
            Metric::PagesShare => "CPU beside the data plane",
            Metric::PageP50 => "answered p50",
            Metric::PageP99 => "answered p99",
            Metric::FirstView => "first view",
            Metric::FirstViewPlain => "first view, uncompressed",
            Metric::PageSize => "page alone",
            Metric::StatusAge => "status age max",
            Metric::HourGrowth => "growth in an hour",
            Metric::HourGrowthPerDestination => "growth in an hour per destination",
            Metric::Lost => "lost events",
            Metric::Repeated => "repeated events",
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Metric::CpuPerEvent | Metric::AppendP9999 | Metric::DataPlaneAlone | Metric::DataPlaneVisited => "µs",
            Metric::EventsPerSecond
            | Metric::Syscalls
            | Metric::Allocations
            | Metric::FoundAgain
            | Metric::Lost
            | Metric::Repeated => "",
            Metric::LatencyP50
            | Metric::LatencyP99
            | Metric::LatencyP999
            | Metric::LatencyMax
            | Metric::HeldBackP99
            | Metric::LiveP99Before
            | Metric::LiveP99During
            | Metric::Ready
            | Metric::LoopStall
            | Metric::PageP50
            | Metric::PageP99
            | Metric::StatusAge => "ms",
            Metric::CpuShare | Metric::DataPlaneRise | Metric::AgentRise | Metric::PagesShare => "%",
            Metric::Memory | Metric::MemoryGrowth | Metric::MappedLog | Metric::HourGrowth => "MiB",
            Metric::MemoryPerDestination | Metric::HourGrowthPerDestination => "KiB",
            Metric::FirstView | Metric::FirstViewPlain | Metric::PageSize => "KB",
            Metric::DiskPerEvent | Metric::BodyPerEvent => "B",
        }
    }

    /// A value as people read it, with its unit.
    pub(crate) fn show(self, value: f64) -> String {
        let number = number(value);
        match self.unit() {
            "" => number,
            unit => format!("{number} {unit}"),
        }
    }
}

/// Three digits that matter, thousands set apart.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1_000.0 {
        return thousands(value.round() as i64);
    }
    let digits = match size {
        100.0.. => 0,
        10.0.. => 1,
        0.0999.. => 2,
        0.01.. => 3,
        _ if value == 0.0 => 0,
        _ => 4,
    };
    format!("{value:.digits$}")
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = if value < 0 { String::from("-") } else { String::new() };
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What was expected before measuring, and from what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    /// The case's label.
    pub(crate) of: &'static str,
    pub(crate) metric: Metric,
    pub(crate) value: f64,
    pub(crate) because: &'static str,
}

/// What has to be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// The row of the table that asks for it; `None` for what goes without saying.
    pub(crate) row: Option<Row>,
    /// The case's label.
    pub(crate) of: &'static str,
    pub(crate) metric: Metric,
    pub(crate) sense: Sense,
    pub(crate) bound: Bound,
    /// Asked for only where the machine has at least this many processors.
    pub(crate) cores: usize,
    /// Why it is missed where it is missed, as far as that is known; said of a miss only.
    pub(crate) because: Option<&'static str>,
}

/// Which side of the bound is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sense {
    AtMost,
    AtLeast,
}

/// What a figure is held against. Cases are named by their labels and measured in the same run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// A promise.
    Value(f64),
    /// So many times another case's figure.
    Times(f64, &'static str),
    /// So much more than another case's figure.
    Plus(f64, &'static str),
    /// So many times another figure of the same case.
    TimesOwn(f64, Metric),
    /// So many times the best figure among other programs that did the same job.
    TimesBestRival(f64),
    /// So many times one `fdatasync` of this disk, in milliseconds.
    DiskSyncTimes(f64),
    /// So many milliseconds more than one `fdatasync` of this disk.
    DiskSyncPlus(f64),
}

/// What goals are looked up in: figures of one run.
pub(crate) trait Figures {
    /// The median of a case's metric.
    fn median(&self, case: &str, metric: Metric) -> Option<f64>;
    /// The best median among rivals.
    fn best_rival(&self, metric: Metric, sense: Sense) -> Option<f64>;
    /// One `fdatasync` of this disk, in milliseconds.
    fn disk_sync_ms(&self) -> f64;
    /// Processors that the contenders run on.
    fn cores(&self) -> usize;
}

/// What became of a goal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    Met {
        measured: f64,
        bound: f64,
    },
    Missed {
        measured: f64,
        bound: f64,
    },
    /// This run has no figure for it.
    Unknown,
    /// Not asked for on a machine of this size.
    NotHere,
}

impl Goal {
    /// The same, with a word about why it is missed.
    pub(crate) const fn because(self, reason: &'static str) -> Goal {
        Goal { because: Some(reason), ..self }
    }

    pub(crate) fn judge(&self, figures: &impl Figures) -> Outcome {
        if figures.cores() < self.cores {
            return Outcome::NotHere;
        }
        let bound = match self.bound {
            Bound::Value(value) => Some(value),
            Bound::Times(factor, case) => figures.median(case, self.metric).map(|of| of * factor),
            Bound::Plus(more, case) => figures.median(case, self.metric).map(|of| of + more),
            Bound::TimesOwn(factor, metric) => figures.median(self.of, metric).map(|of| of * factor),
            Bound::TimesBestRival(factor) => figures.best_rival(self.metric, self.sense).map(|best| best * factor),
            Bound::DiskSyncTimes(factor) => Some(figures.disk_sync_ms() * factor),
            Bound::DiskSyncPlus(ms) => Some(figures.disk_sync_ms() + ms),
        };
        let (Some(measured), Some(bound)) = (figures.median(self.of, self.metric), bound) else {
            return Outcome::Unknown;
        };
        let is_met = match self.sense {
            Sense::AtMost => measured <= bound,
            Sense::AtLeast => measured >= bound,
        };
        if is_met { Outcome::Met { measured, bound } } else { Outcome::Missed { measured, bound } }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sense = match self.sense {
            Sense::AtMost => "at most",
            Sense::AtLeast => "at least",
        };
        write!(f, "{}: {} {sense} ", self.of, self.metric.title())?;
        match self.bound {
            Bound::Value(value) => write!(f, "{}", self.metric.show(value)),
            Bound::Times(factor, case) => write!(f, "{} × {case}", factor_text(factor)),
            Bound::Plus(more, case) => write!(f, "{case} and {}", self.metric.show(more)),
            Bound::TimesOwn(factor, metric) => write!(f, "{} × its {}", factor_text(factor), metric.title()),
            Bound::TimesBestRival(factor) => write!(f, "{} × the best rival", factor_text(factor)),
            Bound::DiskSyncTimes(factor) => write!(f, "{} × one fdatasync", factor_text(factor)),
            Bound::DiskSyncPlus(ms) => write!(f, "one fdatasync and {ms} ms"),
        }
    }
}

/// `1/8` for what the issue calls an eighth.
fn factor_text(factor: f64) -> String {
    let inverse = 1.0 / factor;
    let is_fraction = factor < 0.5 && (inverse - inverse.round()).abs() < 1e-9;
    if is_fraction { format!("1/{inverse:.0}") } else { factor.to_string() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Figures by hand.
    pub(crate) struct Known {
        pub(crate) figures: Vec<(&'static str, Metric, f64)>,
        pub(crate) rival: Option<f64>,
    }

    impl Figures for Known {
        fn median(&self, case: &str, metric: Metric) -> Option<f64> {
            let found = self.figures.iter().find(|(label, of, _)| *label == case && *of == metric);
            found.map(|(_, _, value)| *value)
        }
        fn best_rival(&self, _metric: Metric, _sense: Sense) -> Option<f64> {
            self.rival
        }
        fn disk_sync_ms(&self) -> f64 {
            2.0
        }
        fn cores(&self) -> usize {
            2
        }
    }

    fn goal(sense: Sense, bound: Bound) -> Goal {
        Goal { row: None, of: "agent", metric: Metric::CpuPerEvent, sense, bound, cores: 1, because: None }
    }

    #[test]
    fn a_figure_is_held_against_each_kind_of_bound() {
        let figures = vec![("agent", Metric::CpuPerEvent, 3.0), ("naive loop", Metric::CpuPerEvent, 2.0)];
        let known = Known { figures, rival: Some(40.0) };
        let judged = |sense, bound| goal(sense, bound).judge(&known);
        let measured = 3.0;
        assert_eq!(judged(Sense::AtMost, Bound::Value(3.0)), Outcome::Met { measured, bound: 3.0 });
        assert_eq!(judged(Sense::AtMost, Bound::Times(1.4, "naive loop")), Outcome::Missed { measured, bound: 2.8 });
        assert_eq!(judged(Sense::AtMost, Bound::Plus(1.0, "naive loop")), Outcome::Met { measured, bound: 3.0 });
        assert_eq!(judged(Sense::AtMost, Bound::TimesBestRival(0.125)), Outcome::Met { measured, bound: 5.0 });
        assert_eq!(judged(Sense::AtLeast, Bound::DiskSyncTimes(2.0)), Outcome::Missed { measured, bound: 4.0 });
        assert_eq!(judged(Sense::AtMost, Bound::DiskSyncPlus(10.0)), Outcome::Met { measured, bound: 12.0 });
    }

    #[test]
    fn without_a_figure_nothing_is_claimed() {
        let known = Known { figures: vec![("agent", Metric::CpuPerEvent, 3.0)], rival: None };
        assert_eq!(goal(Sense::AtMost, Bound::TimesBestRival(0.125)).judge(&known), Outcome::Unknown);
        assert_eq!(goal(Sense::AtMost, Bound::Times(1.0, "nobody")).judge(&known), Outcome::Unknown);
        let large = Goal { cores: 4, ..goal(Sense::AtMost, Bound::Value(9.0)) };
        assert_eq!(large.judge(&known), Outcome::NotHere);
    }

    #[test]
    fn goals_read_like_the_table() {
        let text = goal(Sense::AtMost, Bound::TimesBestRival(0.125)).to_string();
        assert_eq!(text, "agent: CPU per event at most 1/8 × the best rival");
        assert_eq!(goal(Sense::AtMost, Bound::Value(1.0)).to_string(), "agent: CPU per event at most 1.00 µs");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [0.0, 0.05, 0.123_4, 1.234, 12.34, 123.4, 1_234.5, 1_234_567.0].map(number);
        assert_eq!(shown, ["0", "0.050", "0.12", "1.23", "12.3", "123", "1,235", "1,234,567"]);
    }
}
