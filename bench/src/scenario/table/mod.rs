//! The scenarios, one after the other as in the report.
//!
//! Every program but ours has the same loads; floods are shorter for rivals, which need their time for fewer events, and
//! figures are for each event. The agent's warm-up is long enough to use up its log's budget, as an agent's first half
//! hour does, so that segments are reused in the measurement.

mod cost;
mod crowds;
mod latency;
mod outages;
mod pages;
mod shapes;

use cost::{COST, COST_TLS_GZIP, COUNTS, ELASTIC, EPOLL, IDLE, SINGLE_WRITES, SYSLOG, TWO_SHARDS};
use crowds::{LOUD_TENANT, TEN_DESTINATIONS, THOUSAND_DESTINATIONS};
use latency::{HAMMERED_DISK, LATENCY, LATENCY_100K, LATENCY_OS};
use outages::{BACKLOG, CATCH_UP, DEAD_AND_HEALTHY, MANY_DOWN};
use pages::{HISTORY_MEMORY, PAGE_OPEN, PAGE_QUICK, STATUS_AGE};
use shapes::{SHAPES, SHAPES_SYSLOG};

use super::case::{Flood, Paced};
use super::{Bound, Case, Durability, Estimate, Goal, Load, Metric, Row, Scenario, Sense, Setup};

/// All of them, in the order of the report.
pub(crate) const ALL: &[Scenario] = &[
    COST,
    COST_TLS_GZIP,
    ELASTIC,
    SYSLOG,
    SINGLE_WRITES,
    LATENCY,
    LATENCY_OS,
    LATENCY_100K,
    HAMMERED_DISK,
    EPOLL,
    TWO_SHARDS,
    CATCH_UP,
    DEAD_AND_HEALTHY,
    MANY_DOWN,
    LOUD_TENANT,
    THOUSAND_DESTINATIONS,
    TEN_DESTINATIONS,
    IDLE,
    COUNTS,
    BACKLOG,
    SHAPES,
    SHAPES_SYSLOG,
    PAGE_OPEN,
    PAGE_QUICK,
    STATUS_AGE,
    HISTORY_MEMORY,
];

pub(crate) const FLOOD: Load = Load::Flood(Flood { warm_up: 500_000, events: 400_000, per_write: 256, producers: 1 });
const AT_1K: Load = paced(1_000, 8);

const fn paced(rate: u32, seconds: u32) -> Load {
    Load::Paced(Paced { rate, seconds, loudest: 0, is_hammered: false })
}

/// The agent with `durability = "fsync"`.
const fn agent(label: &'static str, setup: Setup, load: Load) -> Case {
    Case { label, contender: "agent", durability: Durability::Synced, setup, load }
}

/// The floor.
pub(crate) const fn naive(load: Load) -> Case {
    fast("naive loop", Setup::PLAIN, load)
}

/// Every rival as fast as it goes.
const fn rivals(load: Load) -> [Case; 5] {
    [
        fast("rsyslog", Setup::PLAIN, load),
        fast("syslog-ng", Setup::PLAIN, load),
        fast("otelcol", Setup::PLAIN, load),
        fast("vector", Setup::PLAIN, load),
        fast("fluent-bit", Setup::PLAIN, load),
    ]
}

/// A rival, or the floor, as fast as it goes.
const fn fast(contender: &'static str, setup: Setup, load: Load) -> Case {
    Case { label: contender, contender, durability: Durability::Fast, setup, load }
}

/// A rival with the syncs that come nearest to the agent's.
const fn synced(label: &'static str, contender: &'static str, setup: Setup, load: Load) -> Case {
    Case { label, contender, durability: Durability::Synced, setup, load }
}

const fn at_most(row: Row, of: &'static str, metric: Metric, bound: Bound) -> Goal {
    Goal { row: Some(row), of, metric, sense: Sense::AtMost, bound, cores: 1, because: None }
}

const fn at_least(row: Row, of: &'static str, metric: Metric, bound: Bound) -> Goal {
    Goal { row: Some(row), of, metric, sense: Sense::AtLeast, bound, cores: 1, because: None }
}

const fn expected(of: &'static str, metric: Metric, value: f64, because: &'static str) -> Estimate {
    Estimate { of, metric, value, because }
}

/// No event may be lost in a comparison.
const NOTHING_LOST: Goal = Goal { row: None, ..at_most(Row::CpuPerEvent, "agent", Metric::Lost, Bound::Value(0.0)) };

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_of_the_table_has_a_scenario_with_a_goal() {
        for row in Row::ALL {
            let answers = |scenario: &Scenario| scenario.goals.iter().any(|goal| goal.row == Some(row));
            assert!(ALL.iter().any(answers), "nothing answers: {}", row.words());
        }
    }

    #[test]
    fn every_scenario_has_an_estimate_and_a_goal_of_cases_that_it_has() {
        for scenario in ALL {
            let labels: Vec<&str> = scenario.cases().map(|case| case.label).collect();
            assert!(!scenario.estimates.is_empty() && !scenario.goals.is_empty(), "{}", scenario.name);
            for of in
                scenario.estimates.iter().map(|estimate| estimate.of).chain(scenario.goals.iter().map(|goal| goal.of))
            {
                assert!(labels.contains(&of), "{}: there is no case {of}", scenario.name);
            }
            for goal in scenario.goals {
                if let Bound::Times(_, other) = goal.bound {
                    assert!(labels.contains(&other), "{}: there is no case {other}", scenario.name);
                }
            }
        }
    }

    #[test]
    fn names_and_labels_are_not_used_twice() {
        let names: HashSet<&str> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        for scenario in ALL {
            let labels: HashSet<&str> = scenario.cases().map(|case| case.label).collect();
            assert_eq!(labels.len(), scenario.cases().count(), "{}", scenario.name);
        }
    }

    #[test]
    fn every_rival_in_the_main_comparison_runs_as_fast_as_it_goes_and_synced() {
        for rival in ["rsyslog", "syslog-ng", "otelcol"] {
            for durability in [Durability::Fast, Durability::Synced] {
                let is_there = |case: &'static Case| case.contender == rival && case.durability == durability;
                assert!([COST, COST_TLS_GZIP, ELASTIC, SYSLOG].iter().all(|scenario| scenario.cases().any(is_there)));
            }
        }
    }

    #[test]
    fn a_scenario_gets_as_many_processors_as_its_goals_ask_for_where_the_machine_has_them() {
        assert_eq!([1, 2, 3, 4, 64].map(|there| TWO_SHARDS.cores(there)), [1, 2, 2, 4, 4]);
        assert_eq!([1, 2, 64].map(|there| COST.cores(there)), [1, 2, 2]);
    }

    #[test]
    fn the_questions_of_before_are_still_asked_by_their_names() {
        for name in ["cost", "latency", "idle"] {
            assert!(ALL.iter().any(|scenario| scenario.name == name), "{name}");
        }
    }
}
