//! Which task of the agent held its shard's loop for longer than promised, from what the agent says of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent_process::Agent;
use crate::metrics::{Metrics, Sample};
use crate::scenario::PATIENCE;
use crate::wait::wait_until;

/// No task holds a loop for longer than this, under load and in a debug build too. One of the bounds of the metric.
pub const PROMISED: Duration = Duration::from_secs(1);

/// Fails with the name of each task that held a shard's loop for longer than [`PROMISED`] since the agent started.
///
/// # Panics
/// Then, and when the agent tells nothing of a task's stalls.
#[track_caller]
pub fn assert_none(agent: &Agent) {
    // What shards publish is a fraction of a second old.
    let before = turns(agent);
    wait_until("each shard publishes again", PATIENCE, || {
        turns(agent).iter().zip(&before).all(|(now, then)| now > then)
    });
    let metrics = agent.metrics();
    let found = beyond(&metrics, PROMISED);
    assert!(found.is_empty(), "a shard's loop was held for longer than {PROMISED:?}: {}", found.join("; "));
}

/// How often each shard has turned.
fn turns(agent: &Agent) -> Vec<f64> {
    agent.metrics().select("scaidrive_siem_loop_turns_total", &[]).map(|sample| sample.value).collect()
}

/// Each task that held a loop for longer than `bound`, with its shard and how often, in words.
///
/// # Panics
/// When the scrape has no stalls at all or no bucket of that bound.
#[track_caller]
fn beyond(metrics: &Metrics, bound: Duration) -> Vec<String> {
    let bound = bound.as_secs_f64().to_string();
    let (within, all) = (counts(metrics, &bound), counts(metrics, "+Inf"));
    assert!(!all.is_empty(), "the agent tells nothing of stalls");
    assert!(all.keys().eq(within.keys()), "there is no bucket of {bound} s for each task: {within:?}");
    all.iter()
        .filter_map(|(task, count)| Some((task, count - within.get(task)?)))
        .filter(|(_, longer)| *longer > 0.0)
        .map(|((shard, task), longer)| format!("`{task}` of shard {shard}, {longer} times"))
        .collect()
}

/// How many stalls of each task took no longer than `bound`.
fn counts<'a>(metrics: &'a Metrics, bound: &str) -> BTreeMap<(&'a str, &'a str), f64> {
    let buckets = metrics.samples().iter().filter(|sample| sample.name == BUCKET && label(sample, "le") == bound);
    buckets.map(|sample| ((label(sample, "shard"), label(sample, "task")), sample.value)).collect()
}

fn label<'a>(sample: &'a Sample, wanted: &str) -> &'a str {
    sample.labels.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str())
}

const BUCKET: &str = "scaidrive_siem_loop_stall_seconds_bucket";

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(longer: u64) -> Metrics {
        let bucket =
            |task: &str, le: &str, count: u64| format!("{BUCKET}{{shard=\"1\",task=\"{task}\",le=\"{le}\"}} {count}\n");
        let lines = [bucket("turn", "1", 7), bucket("turn", "+Inf", 7), bucket("ingest", "1", 2)];
        Metrics::parse(&(lines.concat() + &bucket("ingest", "+Inf", 2 + longer)))
    }

    #[test]
    fn a_task_that_held_the_loop_for_too_long_is_named() {
        assert_eq!(beyond(&scrape(0), PROMISED), Vec::<String>::new());
        assert_eq!(beyond(&scrape(3), PROMISED), ["`ingest` of shard 1, 3 times"]);
    }

    #[test]
    #[should_panic(expected = "the agent tells nothing of stalls")]
    fn an_agent_that_tells_nothing_is_not_taken_for_a_quick_one() {
        beyond(&Metrics::parse("up 1\n"), PROMISED);
    }
}
