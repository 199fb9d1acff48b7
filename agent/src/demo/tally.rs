//! What the demo counts, and the verdict: plain numbers, no threads and no clock.
//!
//! Events are numbered twice. The generator gives each a number of its own, which stands in its `event_id`; the agent
//! gives each its number `n` in a stream. The first shows that what was acknowledged arrived; the second shows it to
//! somebody who has nothing but the SIEM.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;

/// A set of numbers, kept as ranges, so that an hour without gaps costs one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Start to end, disjoint and not touching.
    ranges: BTreeMap<u64, u64>,
    len: u64,
}

impl Numbers {
    /// Adds a number; false when it was there.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let before = self.ranges.range(..=number).next_back().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| number < end) {
            return false;
        }
        let start = before.filter(|(_, end)| *end == number).map_or(number, |(start, _)| start);
        let end = self.ranges.remove(&(number + 1)).unwrap_or(number + 1);
        self.ranges.insert(start, end);
        self.len += 1;
        true
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// From the smallest to behind the largest; empty when there is none.
    pub(super) fn span(&self) -> Range<u64> {
        let first = self.ranges.first_key_value().map_or(0, |(start, _)| *start);
        let last = self.ranges.last_key_value().map_or(0, |(_, end)| *end);
        first..last
    }

    /// What lies between the smallest and the largest and is not there.
    pub(super) fn holes(&self) -> Vec<Range<u64>> {
        let ends = self.ranges.values();
        let starts = self.ranges.keys().skip(1);
        ends.zip(starts).map(|(end, start)| *end..*start).collect()
    }

    /// Those of `self` that are not in `other`, as ranges.
    pub(super) fn without(&self, other: &Numbers) -> Vec<Range<u64>> {
        let mut left = Vec::new();
        for (start, end) in &self.ranges {
            let mut at = *start;
            let before = other.ranges.range(..*start).next_back();
            for (gone_start, gone_end) in before.into_iter().chain(other.ranges.range(*start..*end)) {
                if *gone_end > at {
                    if *gone_start > at {
                        left.push(at..*gone_start);
                    }
                    at = *gone_end;
                }
            }
            if at < *end {
                left.push(at..*end);
            }
        }
        left
    }
}

/// What arrived at the receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Numbers of the generator's events.
    pub(super) events: Numbers,
    /// Numbers in each stream, the agent's own events among them.
    pub(super) streams: BTreeMap<String, Numbers>,
    /// Arrivals whose stream and number had come before: the agent delivered again what its cursor did not know yet.
    pub(super) delivered_again: u64,
    /// Arrivals of an event under a further number: the generator wrote again what was not acknowledged.
    pub(super) written_again: u64,
    /// Events of the agent's own.
    pub(super) own: u64,
    /// Events that the agent said it gave up, in its overflow notices.
    pub(super) given_up: u64,
    /// Milliseconds from the writing to the arrival, of the latest few.
    latest: Vec<u32>,
}

/// One object of a request body, as far as the demo looks at it.
#[derive(Debug, Deserialize)]
pub(super) struct Arrival {
    event: ArrivedEvent,
    #[serde(default)]
    fields: Fields,
}

#[derive(Debug, Deserialize)]
struct ArrivedEvent {
    event_id: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    payload: serde_json::Value,
}

#[derive(Debug, Default, Deserialize)]
struct Fields {
    siem_stream: Option<String>,
    siem_n: Option<u64>,
}

impl Tally {
    /// Counts one arrival, `at_ms` after the demo started.
    pub(super) fn count(&mut self, arrival: Arrival, at_ms: u64) {
        let Arrival { event, fields } = arrival;
        let is_new_number = match (fields.siem_stream, fields.siem_n) {
            (Some(stream), Some(n)) => self.streams.entry(stream).or_default().insert(n),
            _ => true,
        };
        if !is_new_number {
            self.delivered_again += 1;
            return;
        }
        match number_in(&event.event_id) {
            None => {
                self.own += 1;
                if event.action == "siem.buffer_overflow" {
                    self.given_up += event.payload["dropped_count"].as_u64().unwrap_or(0);
                }
            }
            Some(number) if self.events.insert(number) => {
                if self.latest.len() == LATEST_MAX {
                    self.latest.clear();
                }
                let sent = event.payload["sent_ms"].as_u64().unwrap_or(at_ms);
                self.latest.push(u32::try_from(at_ms.saturating_sub(sent)).unwrap_or(u32::MAX));
            }
            Some(_) => self.written_again += 1,
        }
    }

    /// Half of what arrived since the last call took at most so many milliseconds.
    pub(super) fn take_median_ms(&mut self) -> Option<u32> {
        let mut latest = std::mem::take(&mut self.latest);
        let middle = latest.len() / 2;
        (!latest.is_empty()).then(|| *latest.select_nth_unstable(middle).1)
    }
}

/// The end of the demo in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Events the agent acknowledged.
    pub(super) acknowledged: u64,
    /// Events written and never acknowledged: they are still the generator's.
    pub(super) unacknowledged: u64,
    /// Acknowledged and not arrived, by the generator's numbers.
    pub(super) missing: Vec<Range<u64>>,
    /// Each stream with what its numbers say.
    pub(super) streams: Vec<StreamVerdict>,
}

/// What the numbers of one stream say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamVerdict {
    pub(super) stream: String,
    /// From the smallest number to behind the largest.
    pub(super) span: Range<u64>,
    pub(super) distinct: u64,
    /// Numbers that did not arrive, the missing start of the stream among them.
    pub(super) missing: Vec<Range<u64>>,
}

impl Verdict {
    /// Judges. `acknowledged` are the generator's numbers.
    pub(super) fn new(acknowledged: &Numbers, unacknowledged: u64, tally: &Tally) -> Verdict {
        let stream = |(name, numbers): (&String, &Numbers)| {
            let span = numbers.span();
            // The demo saw the agent's whole life, so its streams begin at 1.
            let start = (span.start > 1).then_some(1..span.start);
            let missing = start.into_iter().chain(numbers.holes()).collect();
            StreamVerdict { stream: name.clone(), span, distinct: numbers.len(), missing }
        };
        Verdict {
            acknowledged: acknowledged.len(),
            unacknowledged,
            missing: acknowledged.without(&tally.events),
            streams: tally.streams.iter().map(stream).collect(),
        }
    }

    /// How many acknowledged events did not arrive.
    pub(super) fn missing_events(&self) -> u64 {
        total(&self.missing)
    }

    /// How many numbers of all streams did not arrive.
    pub(super) fn missing_numbers(&self) -> u64 {
        self.streams.iter().map(|stream| total(&stream.missing)).sum()
    }

    /// Whether everything that was acknowledged arrived and no stream has a hole.
    pub(super) fn is_complete(&self) -> bool {
        self.missing_events() == 0 && self.missing_numbers() == 0 && self.unacknowledged == 0 && self.acknowledged > 0
    }
}

/// How many numbers the ranges hold.
pub(super) fn total(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// The first few ranges as people write them, both ends included: `3, 7-9 and 2 more`.
pub(super) fn listed(ranges: &[Range<u64>]) -> String {
    let shown = |range: &Range<u64>| match range.end - range.start {
        1 => range.start.to_string(),
        _ => format!("{}-{}", range.start, range.end - 1),
    };
    let text = ranges.iter().take(LISTED_MAX).map(shown).collect::<Vec<_>>().join(", ");
    match ranges.len().saturating_sub(LISTED_MAX) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// The `event_id` of the generator's event with this number.
pub(super) fn event_id(number: u64) -> String {
    format!("{ID_PREFIX}{number:08}")
}

fn number_in(event_id: &str) -> Option<u64> {
    event_id.strip_prefix(ID_PREFIX)?.parse().ok()
}

const ID_PREFIX: &str = "demo-";
/// Latencies kept until they are asked for.
const LATEST_MAX: usize = 20_000;
/// Ranges that a line shows.
const LISTED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(all: impl IntoIterator<Item = u64>) -> Numbers {
        let mut numbers = Numbers::default();
        all.into_iter().for_each(|number| {
            numbers.insert(number);
        });
        numbers
    }

    fn arrival(event_id: &str, stream: &str, n: u64) -> Arrival {
        let text =
            format!(r#"{{"event":{{"event_id":"{event_id}"}},"fields":{{"siem_stream":"{stream}","siem_n":{n}}}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn numbers_agree_with_a_plain_set_in_any_order() {
        let mut seed = 7_u64;
        for _ in 0..200 {
            let (mut ours, mut plain) = (Numbers::default(), std::collections::BTreeSet::new());
            let mut other = Numbers::default();
            for _ in 0..60 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let number = 1 + (seed >> 33) % 50;
                assert_eq!(ours.insert(number), plain.insert(number));
                if seed >> 63 == 1 {
                    other.insert(1 + (seed >> 40) % 50);
                }
            }
            assert_eq!(ours.len(), plain.len() as u64);
            let (first, last) = (*plain.first().unwrap(), *plain.last().unwrap());
            assert_eq!(ours.span(), first..last + 1);
            let holes: Vec<u64> = ours.holes().into_iter().flatten().collect();
            assert_eq!(holes, (first..last).filter(|number| !plain.contains(number)).collect::<Vec<_>>());
            let left: Vec<u64> = ours.without(&other).into_iter().flatten().collect();
            let is_in = |number: &u64| other.ranges.iter().any(|(start, end)| (start..end).contains(&number));
            assert_eq!(left, plain.iter().copied().filter(|number| !is_in(number)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_arrives_twice_is_told_apart_by_who_sent_it_again() {
        let mut tally = Tally::default();
        tally.count(arrival(&event_id(1), "s", 1), 0);
        tally.count(arrival(&event_id(1), "s", 1), 0);
        tally.count(arrival(&event_id(1), "s", 2), 0);
        tally.count(arrival("ep_9", "s", 3), 0);
        assert_eq!((tally.delivered_again, tally.written_again, tally.own), (1, 1, 1));
        let verdict = Verdict::new(&numbers([1]), 0, &tally);
        assert!(verdict.is_complete(), "{verdict:?}");
        assert_eq!(verdict.streams[0].distinct, 3);
    }

    #[test]
    fn a_verdict_names_what_is_missing_by_both_numbers() {
        let mut tally = Tally::default();
        for (number, n) in [(1, 2), (2, 3), (5, 6)] {
            tally.count(arrival(&event_id(number), "s", n), 0);
        }
        let verdict = Verdict::new(&numbers(1..=6), 0, &tally);
        assert!(!verdict.is_complete());
        assert_eq!((verdict.missing_events(), listed(&verdict.missing)), (3, "3-4, 6".to_owned()));
        assert_eq!((verdict.missing_numbers(), listed(&verdict.streams[0].missing)), (3, "1, 4-5".to_owned()));
    }

    #[test]
    fn a_hole_in_a_stream_or_an_event_without_ack_is_enough_to_fail() {
        let mut tally = Tally::default();
        tally.count(arrival(&event_id(1), "s", 1), 0);
        assert!(Verdict::new(&numbers([1]), 0, &tally).is_complete());
        assert!(!Verdict::new(&numbers([1]), 1, &tally).is_complete());
        assert!(!Verdict::new(&numbers([]), 0, &Tally::default()).is_complete(), "nothing done proves nothing");
        tally.count(arrival("own", "s", 3), 0);
        assert!(!Verdict::new(&numbers([1]), 0, &tally).is_complete());
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let ranges: Vec<Range<u64>> = (0..12).map(|at| at * 10..at * 10 + 1).collect();
        assert_eq!(listed(&ranges), "0, 10, 20, 30, 40, 50, 60, 70 and 4 more");
    }

    #[test]
    fn the_median_is_of_what_came_since_it_was_last_asked() {
        let mut tally = Tally::default();
        assert_eq!(tally.take_median_ms(), None);
        for number in 1..=3 {
            tally.count(arrival(&event_id(number), "s", number), 10);
        }
        assert_eq!((tally.take_median_ms(), tally.take_median_ms()), (Some(0), None));
    }
}
