//! Medians and spread over rounds.

use serde::Serialize;

/// What several rounds measured of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// How many rounds.
    pub(crate) rounds: usize,
}

/// The median of `values` with their spread; of an even number of them, the mean of the two in the middle. `None` when
/// there are none.
pub(crate) fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median =
        if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] };
    Some(Summary { median, min, max, rounds: sorted.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_not_moved_by_one_bad_round_and_the_spread_shows_it() {
        let summary = summary(&[1.0, 1.2, 9.0]).unwrap();
        assert_eq!(summary, Summary { median: 1.2, min: 1.0, max: 9.0, rounds: 3 });
    }

    #[test]
    fn of_two_rounds_it_is_the_mean_and_of_none_there_is_none() {
        assert_eq!(summary(&[4.0, 2.0]).unwrap().median, 3.0);
        assert_eq!(summary(&[]), None);
    }
}
