//! Which task of the agent held a shard's loop, from the histograms that it keeps of itself (`loop_stall_seconds`).
//!
//! A stall is counted from half a millisecond on, and its time is the wall's: a thread that the system did not let run
//! counts as held. A histogram knows the bound of a stall's bucket and not the stall, so what is said here is rounded up.

use std::collections::BTreeSet;

use scaidrive_tests::metrics::{Metrics, Sample};

/// The stalls of an agent since its start, all shards together.
#[derive(Debug, PartialEq)]
pub(super) struct Stalls {
    /// No stall of any task was longer; 0 where there was none.
    pub(super) longest_ms: f64,
    /// The same for each task, in words.
    pub(super) words: String,
}

/// What a scrape says of stalls; `None` when it says nothing.
pub(super) fn read(metrics: &Metrics) -> Option<Stalls> {
    let tasks: BTreeSet<&str> = metrics.select(COUNT, &[]).map(|sample| label(sample, "task")).collect();
    let held: Vec<Held<'_>> = tasks.into_iter().filter_map(|task| Held::read(metrics, task)).collect();
    let longest_ms = held.iter().map(|held| held.longest_ms).reduce(f64::max)?;
    let words: Vec<String> = held.iter().map(Held::words).collect();
    Some(Stalls { longest_ms, words: format!("who held a loop for more than 2 ms: {}", words.join("; ")) })
}

/// How one task held loops.
struct Held<'a> {
    task: &'a str,
    /// How often for more than [`PROMISED`].
    long: f64,
    longest_ms: f64,
}

impl<'a> Held<'a> {
    fn read(metrics: &Metrics, task: &'a str) -> Option<Held<'a>> {
        let count = |le: &str| metrics.sum(BUCKET, &[("task", task), ("le", le)]);
        let all = count("+Inf")?;
        let task_label = [("task", task)];
        let bounds = metrics.select(BUCKET, &task_label).map(|sample| label(sample, "le"));
        let holding =
            bounds.filter(|le| *le != "+Inf" && count(le) == Some(all)).filter_map(|le| le.parse::<f64>().ok());
        // Beyond the last bound the sum of all is the only bound there is.
        let longest = match all {
            0.0 => 0.0,
            _ => holding.reduce(f64::min).or_else(|| metrics.sum(SUM, &[("task", task)]))?,
        };
        Some(Held { task, long: all - count(PROMISED)?, longest_ms: longest * 1e3 })
    }

    fn words(&self) -> String {
        match self.long {
            0.0 => format!("`{}` never", self.task),
            long => format!("`{}` {long} times, at most {} ms", self.task, self.longest_ms),
        }
    }
}

fn label<'a>(sample: &'a Sample, wanted: &str) -> &'a str {
    sample.labels.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str())
}

const BUCKET: &str = "scaidrive_siem_loop_stall_seconds_bucket";
const COUNT: &str = "scaidrive_siem_loop_stall_seconds_count";
const SUM: &str = "scaidrive_siem_loop_stall_seconds_sum";
/// The bound, in seconds, that a loop may be held for.
const PROMISED: &str = "0.002";

#[cfg(test)]
mod tests {
    use super::*;

    /// A task's histogram: stalls up to 2 ms, up to 10 ms, and longer ones.
    fn histogram(task: &str, [short, longer, beyond]: [u64; 3]) -> String {
        let bucket = |le: &str, count: u64| format!("{BUCKET}{{shard=\"0\",task=\"{task}\",le=\"{le}\"}} {count}\n");
        let all = short + longer + beyond;
        let labels = format!("{{shard=\"0\",task=\"{task}\"}}");
        [bucket("0.01", short + longer), bucket("0.002", short), bucket("+Inf", all)].concat()
            + &format!("{SUM}{labels} 0.75\n{COUNT}{labels} {all}\n")
    }

    #[test]
    fn the_task_that_held_the_loop_is_named_with_the_first_bound_that_holds_all_its_stalls() {
        let scraped = histogram("ingest", [3, 2, 0]) + &histogram("turn", [0, 0, 0]) + &histogram("upkeep", [4, 0, 0]);
        let stalls = read(&Metrics::parse(&scraped)).unwrap();
        assert_eq!(stalls.longest_ms, 10.0);
        assert!(stalls.words.ends_with("`ingest` 2 times, at most 10 ms; `turn` never; `upkeep` never"), "{stalls:?}");
    }

    #[test]
    fn beyond_all_bounds_a_stall_is_at_most_the_sum_of_all() {
        assert_eq!(read(&Metrics::parse(&histogram("turn", [0, 1, 1]))).unwrap().longest_ms, 750.0);
    }

    #[test]
    fn a_loop_that_nobody_held_has_no_stall_and_an_agent_that_says_nothing_is_not_taken_for_one() {
        assert_eq!(read(&Metrics::parse(&histogram("turn", [0, 0, 0]))).unwrap().longest_ms, 0.0);
        assert_eq!(read(&Metrics::parse("")), None);
    }
}
