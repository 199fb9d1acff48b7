//! Every state a destination can be in: what happens next by itself, and what somebody should do.
//!
//! Why it is in its state is another matter ([`crate::delivery::cause`]), and since when as well (`watch.rs`).

/// One state.
#[derive(Debug)]
pub(super) struct State {
    pub(super) name: &'static str,
    /// What happens next by itself.
    next: &'static str,
    /// What to do; [`NAME`] stands for the destination's. None where there is nothing to do.
    remedy: Option<&'static str>,
}

/// All states, the best first: what is said of a destination is the worst that any shard says.
pub(super) static STATES: [State; 9] = [
    state("active", "events go out as they come", None),
    state(
        "active_with_errors",
        "delivery goes on; what it refuses for good is kept",
        Some(
            "`scaidrive-siem deadletter list` shows what it refused, with its replies; letters can be edited and sent again",
        ),
    ),
    state(
        "paused",
        "events wait here until it is resumed or the window is over",
        Some("`scaidrive-siem destination resume NAME` lets it go on"),
    ),
    state(
        "draining",
        "what is in hand is sent; then a change takes effect, or it stands until it is resumed, as somebody wished",
        None,
    ),
    state(
        "throttled",
        "it gets less until it takes more, and no sooner than it said",
        Some("if it lasts, let it take more, there or by `rate_limit` here, or send less with a filter"),
    ),
    state(
        "retrying",
        "the same request is tried again by itself, with growing pauses",
        Some("wait a little; if it lasts, `scaidrive-siem destination test NAME` finds out where it fails"),
    ),
    state(
        "circuit_open",
        "one request tries it from time to time; the first that succeeds lets all go",
        Some("`scaidrive-siem destination test NAME` finds out where it fails and what to do"),
    ),
    state(
        "auth_hold",
        "nothing is dropped; the secret is read again before each try",
        Some(
            "put a valid secret in its place, or give the present one its rights; `scaidrive-siem destination test NAME` says which",
        ),
    ),
    state(
        "misconfigured",
        "nothing is dropped; one event tries it from time to time",
        Some(
            "`scaidrive-siem destination test NAME` finds out what is wrong; correct the settings and reload (SIGHUP)",
        ),
    ),
];

const fn state(name: &'static str, next: &'static str, remedy: Option<&'static str>) -> State {
    State { name, next, remedy }
}

/// How bad a state is. One that is not known counts as the worst.
pub(crate) fn badness(state: &str) -> usize {
    STATES.iter().position(|known| known.name == state).unwrap_or(STATES.len())
}

/// What happens next by itself, and what to do about it.
pub(super) fn outlook(state: &str, destination: &str) -> (&'static str, Option<String>) {
    let Some(known) = STATES.iter().find(|known| known.name == state) else {
        return ("this version does not know that state", None);
    };
    (known.next, known.remedy.map(|remedy| remedy.replacen(NAME, destination, 1)))
}

/// What stands for the destination's name in a remedy.
const NAME: &str = "NAME";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_says_what_happens_next_and_all_but_healthy_and_passing_ones_what_to_do() {
        for state in &STATES {
            let (next, remedy) = outlook(state.name, "splunk-prod");
            assert!(next.len() > 20, "{}: {next}", state.name);
            assert_eq!(remedy.is_none(), ["active", "draining"].contains(&state.name), "{}", state.name);
            assert!(!remedy.unwrap_or_default().contains(NAME), "{}", state.name);
        }
    }

    #[test]
    fn design_7_these_are_the_states() {
        let mut names: Vec<&str> = STATES.iter().map(|state| state.name).collect();
        names.sort_unstable();
        let expected = [
            "active",
            "active_with_errors",
            "auth_hold",
            "circuit_open",
            "draining",
            "misconfigured",
            "paused",
            "retrying",
            "throttled",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_remedy_names_the_destination() {
        let (_, remedy) = outlook("circuit_open", "splunk-prod");
        assert!(remedy.unwrap().contains("`scaidrive-siem destination test splunk-prod`"));
    }

    #[test]
    fn a_state_that_is_not_known_counts_as_the_worst() {
        assert!(badness("active") < badness("retrying") && badness("retrying") < badness("auth_hold"));
        assert!(badness("misconfigured") < badness("a state from the future"));
    }
}
