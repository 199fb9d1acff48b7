//! Numbers by a Zipf law: the k-th of `count`, from 1, comes in proportion to `1 / k^exponent`.

use scaidrive_tests::rng::Rng;

use crate::scenario::Tenants;

/// A source of such numbers, from 0.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    /// Up to and with the k-th: the share of 2^53 that falls to it.
    ends: Vec<u64>,
}

impl Zipf {
    pub(crate) fn new(tenants: Tenants) -> Zipf {
        let weights = (1..=tenants.count.max(1)).map(|rank| f64::from(rank).powf(-tenants.exponent));
        let sums: Vec<f64> = weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let all = sums.last().copied().unwrap_or(1.0);
        Zipf { ends: sums.into_iter().map(|sum| (sum / all * WHOLE as f64) as u64).collect() }
    }

    /// The next number.
    pub(crate) fn next(&self, rng: &mut Rng) -> u32 {
        let point = rng.below(WHOLE);
        let rank = self.ends.partition_point(|end| *end <= point).min(self.ends.len() - 1);
        rank as u32
    }
}

/// Doubles hold each whole number up to this.
const WHOLE: u64 = 1 << 53;

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(tenants: Tenants, draws: u32) -> Vec<u32> {
        let (zipf, mut rng) = (Zipf::new(tenants), Rng::new(5));
        let mut counts = vec![0; tenants.count as usize];
        for _ in 0..draws {
            counts[zipf.next(&mut rng) as usize] += 1;
        }
        counts
    }

    #[test]
    fn the_second_comes_half_as_often_as_the_first_and_the_tenth_a_tenth() {
        let counts = counts(Tenants { count: 100, exponent: 1.0 }, 400_000);
        let ratio = |rank: usize| f64::from(counts[rank - 1]) / f64::from(counts[0]);
        assert!((ratio(2) - 0.5).abs() < 0.02, "{}", ratio(2));
        assert!((ratio(10) - 0.1).abs() < 0.01, "{}", ratio(10));
        assert!(counts.iter().all(|count| *count > 0));
    }

    #[test]
    fn with_an_exponent_of_nothing_all_come_equally_often() {
        let counts = counts(Tenants::even(10), 100_000);
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 500), "{counts:?}");
    }

    #[test]
    fn one_tenant_is_always_the_first() {
        assert_eq!(counts(Tenants::even(1), 10), [10]);
    }
}
