//! Counting what a destination does not get: ranges of numbers, and the tenants they belonged to. Both bounded.

use std::cmp::Reverse;
use std::ops::Range;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

/// Ranges kept for one notice; beyond that the nearest two become one.
pub const RANGES_MAX: usize = 100;
/// Tenants named in one notice; the rest is a sum.
pub const TENANTS_NAMED_MAX: usize = 100;

/// Numbers of one stream as sorted ranges that neither touch nor overlap, at most [`RANGES_MAX`] of them.
///
/// In JSON: `[{"from_n":3,"to_n":7}]`, both ends included, as people read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberRanges {
    ranges: Vec<Range<u64>>,
    is_merged: bool,
}

/// How many events each tenant lost: the [`TENANTS_NAMED_MAX`] with most loss, and the rest as a sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TenantLosses {
    /// Tenant and count, most loss first, then by name.
    pub tenants: Vec<TenantLoss>,
    /// The events of all other tenants.
    pub other_tenants_dropped: u64,
}

/// What one tenant lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantLoss {
    /// The tenant's id.
    pub tenant_id: String,
    /// How many of its events.
    pub dropped: u64,
}

impl NumberRanges {
    /// No numbers.
    pub fn new() -> NumberRanges {
        NumberRanges::default()
    }

    /// Adds the numbers of a half-open range. Numbers usually come in rising order, which is the quick way; any other
    /// is right too.
    pub fn push(&mut self, numbers: Range<u64>) {
        if numbers.is_empty() {
            return;
        }
        // Every range from `first` up to `last` touches the new one and is swallowed by it.
        let first = self.ranges.partition_point(|range| range.end < numbers.start);
        let last = first + self.ranges[first..].partition_point(|range| range.start <= numbers.end);
        let touched = &self.ranges[first..last];
        let start = touched.first().map_or(numbers.start, |range| range.start.min(numbers.start));
        let end = touched.last().map_or(numbers.end, |range| range.end.max(numbers.end));
        self.ranges.splice(first..last, std::iter::once(start..end));
        if self.ranges.len() > RANGES_MAX {
            self.merge_nearest();
        }
    }

    /// The ranges, half-open, rising.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// Whether ranges were put together with the numbers between them, so that they cover more than was added.
    pub fn is_merged(&self) -> bool {
        self.is_merged
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn merge_nearest(&mut self) {
        let gap = |nth: &usize| self.ranges[nth + 1].start - self.ranges[*nth].end;
        if let Some(nth) = (0..self.ranges.len() - 1).min_by_key(gap) {
            self.ranges[nth].end = self.ranges[nth + 1].end;
            self.ranges.remove(nth + 1);
            self.is_merged = true;
        }
    }
}

impl Serialize for NumberRanges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.ranges.len()))?;
        for range in &self.ranges {
            list.serialize_element(&Inclusive { from_n: range.start, to_n: range.end - 1 })?;
        }
        list.end()
    }
}

/// A range as people read it: both ends belong to it.
#[derive(Serialize)]
struct Inclusive {
    from_n: u64,
    to_n: u64,
}

impl TenantLosses {
    /// Picks the tenants with most loss out of any number of counts.
    pub fn most<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> TenantLosses {
        let mut all: Vec<(&str, u64)> = counts.into_iter().filter(|(_, dropped)| *dropped > 0).collect();
        all.sort_unstable_by_key(|(tenant, dropped)| (Reverse(*dropped), *tenant));
        let named = all.iter().take(TENANTS_NAMED_MAX);
        TenantLosses {
            tenants: named
                .map(|(tenant, dropped)| TenantLoss { tenant_id: (*tenant).to_owned(), dropped: *dropped })
                .collect(),
            other_tenants_dropped: all.iter().skip(TENANTS_NAMED_MAX).map(|(_, dropped)| dropped).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lesson_16_rising_numbers_make_ranges_without_a_counter() {
        let mut numbers = NumberRanges::new();
        for n in [3, 4, 5, 9, 10] {
            numbers.push(n..n + 1);
        }
        assert_eq!(numbers.ranges(), [3..6, 9..11]);
        assert_eq!(serde_json::to_string(&numbers).unwrap(), r#"[{"from_n":3,"to_n":5},{"from_n":9,"to_n":10}]"#);
    }

    #[test]
    fn beyond_the_bound_the_nearest_ranges_become_one_and_it_is_said() {
        let mut numbers = NumberRanges::new();
        for nth in 0..RANGES_MAX as u64 {
            numbers.push(nth * 10..nth * 10 + 1);
        }
        assert!(!numbers.is_merged());
        numbers.push(503..504);
        assert_eq!(numbers.ranges().len(), RANGES_MAX);
        assert!(numbers.is_merged());
        assert!(numbers.ranges().contains(&(500..504)));
    }

    #[test]
    fn the_tenants_with_most_loss_are_named_and_the_rest_is_a_sum() {
        let names: Vec<String> = (0..150).map(|nth| format!("t{nth:03}")).collect();
        let losses = TenantLosses::most(names.iter().zip(0..).map(|(name, nth)| (name.as_str(), nth)));
        assert_eq!(losses.tenants.len(), TENANTS_NAMED_MAX);
        assert_eq!((losses.tenants[0].tenant_id.as_str(), losses.tenants[0].dropped), ("t149", 149));
        let named: u64 = losses.tenants.iter().map(|loss| loss.dropped).sum();
        assert_eq!(named + losses.other_tenants_dropped, (0..150).sum::<u64>());
    }

    proptest! {
        #[test]
        fn ranges_hold_exactly_what_was_pushed(pushed in prop::collection::vec((1u64..60, 0u64..6), 0..30)) {
            let mut numbers = NumberRanges::new();
            let mut naive = std::collections::BTreeSet::new();
            for (start, length) in pushed {
                numbers.push(start..start + length);
                naive.extend(start..start + length);
            }
            let held: Vec<u64> = numbers.ranges().iter().flat_map(|range| range.clone()).collect();
            prop_assert_eq!(held, naive.into_iter().collect::<Vec<_>>());
            prop_assert!(numbers.ranges().windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert!(!numbers.is_merged());
        }

        #[test]
        fn merged_ranges_cover_everything_pushed(pushed in prop::collection::vec(1u64..5000, 0..400)) {
            let mut numbers = NumberRanges::new();
            for n in &pushed {
                numbers.push(*n..n + 1);
            }
            prop_assert!(numbers.ranges().len() <= RANGES_MAX);
            prop_assert!(pushed.iter().all(|n| numbers.ranges().iter().any(|range| range.contains(n))));
        }
    }
}
