//! The conservation of events: what was acknowledged at one end against what arrived at the other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use serde_json::Value;

use crate::arrival::{Arrivals, own_field};
use crate::generator::{Key, Ledger};

/// Everything that the comparison found.
#[derive(Debug, Default)]
pub struct Report {
    /// Acknowledged and not arrived.
    pub missing: Vec<Key>,
    /// Arrived and never written by the producers.
    pub strangers: Vec<Key>,
    /// Arrived though the agent had refused them.
    pub refused_but_here: Vec<Key>,
    /// Arrived again, beyond the times they were written.
    pub duplicates: Vec<Duplicate>,
    /// Arrived for the first time after a later event of the same tenant.
    pub disorder: Vec<Disorder>,
    /// What is known of each stream, by its name.
    pub streams: BTreeMap<String, StreamReport>,
}

/// One event that came again.
#[derive(Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Which one.
    pub key: Key,
    /// Place of its first arrival.
    pub first: usize,
    /// Place of this arrival.
    pub again: usize,
    /// It carried the same number of the same stream.
    pub same_number: bool,
}

/// Two events of one tenant in the wrong order.
#[derive(Debug, PartialEq, Eq)]
pub struct Disorder {
    /// The later event, which came first.
    pub later: Key,
    /// The earlier one, which came after it.
    pub earlier: Key,
}

/// One stream's numbers.
#[derive(Debug, Default)]
pub struct StreamReport {
    /// The smallest number that arrived.
    pub min: u64,
    /// The largest number that arrived.
    pub max: u64,
    /// Different numbers that arrived, in order.
    pub numbers: Vec<u64>,
    /// Numbers that arrived with two different events.
    pub reused: Vec<u64>,
    /// Numbers that notices name, unless they name more than was lost. They are explained, even where they arrive after all:
    /// dead letters that are sent again, a replay.
    pub named: Vec<Range<u64>>,
}

/// A statement by the agent about a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Place in the order of arrival.
    pub place: usize,
    /// Which stream.
    pub stream: String,
    /// The numbers stated.
    pub range: Range<u64>,
    /// How many of them notices explain.
    pub explained: u64,
    /// The last one of its stream.
    pub is_final: bool,
}

/// A notice about events that a destination does not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Place in the order of arrival.
    pub place: usize,
    /// Which stream.
    pub stream: String,
    /// How many events.
    pub count: u64,
    /// Their numbers.
    pub ranges: Vec<Range<u64>>,
    /// The ranges cover more than is missing.
    pub is_merged: bool,
    /// Count per tenant.
    pub tenants: BTreeMap<String, u64>,
    /// Events of tenants not named.
    pub other_tenants: u64,
}

/// Compares what the producers know with what a receiver has.
pub fn compare(ledger: &Ledger, arrivals: &Arrivals) -> Report {
    let mut report = Report::default();
    let written: HashSet<Key> = ledger.acked.iter().chain(&ledger.unacked).copied().collect();
    let refused: HashSet<Key> = ledger.refused.iter().map(|(key, _)| *key).collect();
    let mut seen: HashMap<Key, Seen> = HashMap::with_capacity(written.len());
    let mut newest: HashMap<(u32, u32), Key> = HashMap::new();

    for (place, arrival) in arrivals.list.iter().enumerate() {
        let Some(key) = arrival.key else { continue };
        let number = arrival.stream.zip(arrival.n);
        match seen.get_mut(&key) {
            Some(seen) => {
                let same_number = seen.numbers.contains(&number);
                // Written twice means two events with the same id, and so two numbers, are right.
                let is_second_write = !same_number && (seen.numbers.len() as u32) < ledger.sends(key);
                if is_second_write {
                    seen.numbers.push(number);
                } else {
                    report.duplicates.push(Duplicate { key, first: seen.first, again: place, same_number });
                }
            }
            None => {
                seen.insert(key, Seen { first: place, numbers: vec![number] });
                if refused.contains(&key) {
                    report.refused_but_here.push(key);
                } else if !written.contains(&key) {
                    report.strangers.push(key);
                }
                let newest = newest.entry((key.run, key.tenant)).or_insert(key);
                if newest.count > key.count {
                    report.disorder.push(Disorder { later: *newest, earlier: key });
                } else {
                    *newest = key;
                }
            }
        }
    }
    report.missing = ledger.acked.iter().filter(|key| !seen.contains_key(key)).copied().collect();
    report.streams = streams(arrivals);
    report
}

struct Seen {
    first: usize,
    numbers: Vec<Option<(u32, u64)>>,
}

impl Report {
    /// # Panics
    /// When an acknowledged event is missing, something foreign arrived, or a number was given twice.
    #[track_caller]
    pub fn assert_nothing_lost(&self) {
        assert!(
            self.missing.is_empty(),
            "{} acknowledged events are missing, the first: {:?}",
            self.missing.len(),
            first(&self.missing)
        );
        assert!(
            self.strangers.is_empty(),
            "{} events arrived that nobody wrote: {:?}",
            self.strangers.len(),
            first(&self.strangers)
        );
        assert!(self.refused_but_here.is_empty(), "refused events arrived: {:?}", first(&self.refused_but_here));
        for (name, stream) in &self.streams {
            assert!(stream.reused.is_empty(), "stream {name} gave numbers twice: {:?}", first(&stream.reused));
        }
    }

    /// # Panics
    /// As [`Report::assert_nothing_lost`], and when an event came twice or a stream has a hole.
    #[track_caller]
    pub fn assert_exactly_once(&self) {
        self.assert_nothing_lost();
        assert!(
            self.duplicates.is_empty(),
            "{} events came twice, the first: {:?}",
            self.duplicates.len(),
            first(&self.duplicates)
        );
        self.assert_contiguous();
    }

    /// # Panics
    /// When two events of a tenant came in the wrong order.
    #[track_caller]
    pub fn assert_ordered(&self) {
        assert!(
            self.disorder.is_empty(),
            "{} events out of order, the first: {:?}",
            self.disorder.len(),
            first(&self.disorder)
        );
    }

    /// # Panics
    /// When a stream has a hole or does not begin at 1.
    #[track_caller]
    pub fn assert_contiguous(&self) {
        for (name, stream) in &self.streams {
            assert_eq!(stream.min, 1, "stream {name} begins at {}", stream.min);
            assert!(stream.holes().is_empty(), "stream {name} has holes: {:?}", first(&stream.holes()));
        }
    }
}

impl StreamReport {
    /// Ranges of numbers between the smallest and the largest that did not arrive.
    pub fn holes(&self) -> Vec<Range<u64>> {
        self.numbers.windows(2).filter(|pair| pair[1] > pair[0] + 1).map(|pair| pair[0] + 1..pair[1]).collect()
    }

    /// How many different numbers of `range` arrived that no notice names.
    pub fn distinct_in(&self, range: &Range<u64>) -> u64 {
        let is_named = |n: &u64| self.named.iter().any(|named| named.contains(n));
        let below = |end: u64| self.numbers.partition_point(|n| *n < end);
        let here = self.numbers.get(below(range.start)..below(range.end)).unwrap_or_default();
        here.iter().filter(|n| !is_named(n)).count() as u64
    }
}

fn streams(arrivals: &Arrivals) -> BTreeMap<String, StreamReport> {
    let mut numbers: Vec<(u32, u64, Option<Key>, usize)> = Vec::with_capacity(arrivals.list.len());
    for (place, arrival) in arrivals.list.iter().enumerate() {
        if let (Some(stream), Some(n)) = (arrival.stream, arrival.n) {
            numbers.push((stream, n, arrival.key, place));
        }
    }
    numbers.sort_unstable_by_key(|(stream, n, _, place)| (*stream, *n, *place));
    let mut reports: BTreeMap<String, StreamReport> = BTreeMap::new();
    for group in numbers.chunk_by(|a, b| a.0 == b.0) {
        let mut report = StreamReport { min: group[0].1, max: group[group.len() - 1].1, ..StreamReport::default() };
        for same in group.chunk_by(|a, b| a.1 == b.1) {
            report.numbers.push(same[0].1);
            let raw = |place: usize| arrivals.list[place].raw.as_deref();
            // The agent's own events have no key; there the bytes decide.
            let differs = |other: &(u32, u64, Option<Key>, usize)| {
                other.2 != same[0].2 || (other.2.is_none() && raw(other.3) != raw(same[0].3))
            };
            if same.iter().any(differs) {
                report.reused.push(same[0].1);
            }
        }
        reports.insert(arrivals.streams[group[0].0 as usize].clone(), report);
    }
    let notices = overflow_notices(arrivals).into_iter().chain(refusal_notices(arrivals));
    for notice in notices.filter(|notice| !notice.is_merged) {
        if let Some(report) = reports.get_mut(&notice.stream) {
            report.named.extend(notice.ranges);
        }
    }
    reports
}

/// The statements that arrived, in order.
pub fn statements(arrivals: &Arrivals) -> Vec<Statement> {
    let read = |(place, event): (usize, Value)| Statement {
        place,
        stream: text(&event, "stream"),
        range: number(&event, "from")..number(&event, "end"),
        explained: number(&event, "explained"),
        is_final: own_field(&event, "final") == true,
    };
    arrivals.own("siem.stream_statement").into_iter().map(read).collect()
}

/// The notices about overflow that arrived, in order.
pub fn overflow_notices(arrivals: &Arrivals) -> Vec<Notice> {
    arrivals
        .own("siem.buffer_overflow")
        .into_iter()
        .map(|(place, event)| read_notice(place, &event, "dropped_count"))
        .collect()
}

/// The notices about events that the destination itself refused, in order.
pub fn refusal_notices(arrivals: &Arrivals) -> Vec<Notice> {
    arrivals
        .own("siem.events_refused")
        .into_iter()
        .map(|(place, event)| read_notice(place, &event, "refused_count"))
        .collect()
}

/// Checks each stated range by itself: `end - from` is `explained` and the different numbers that no notice names.
///
/// # Panics
/// At a statement that is not true, and when a stream's statements leave a gap between them.
#[track_caller]
pub fn assert_statements_hold(report: &Report, statements: &[Statement]) {
    let mut stated_to: HashMap<&str, u64> = HashMap::new();
    for statement in statements {
        let distinct = report.streams.get(&statement.stream).map_or(0, |stream| stream.distinct_in(&statement.range));
        let length = statement.range.end - statement.range.start;
        assert_eq!(
            length,
            distinct + statement.explained,
            "this statement is not true: {statement:?} with {distinct} different numbers here"
        );
        let end = stated_to.entry(&statement.stream).or_insert(1);
        assert!(statement.range.start <= *end, "nothing was stated from {end} to {statement:?}");
        *end = (*end).max(statement.range.end);
    }
}

/// Checks that the notices of one stream name exactly the missing numbers, and exactly the missing events of each tenant.
/// `first_missing_place` is where in the order of arrival the gap shows.
///
/// # Panics
/// At the first difference.
#[track_caller]
pub fn assert_notices_explain(report: &Report, notices: &[Notice], stream: &str) {
    let notices: Vec<&Notice> = notices.iter().filter(|notice| notice.stream == stream).collect();
    let named: Vec<u64> = {
        let mut numbers: Vec<u64> = notices.iter().flat_map(|notice| notice.ranges.iter().cloned().flatten()).collect();
        numbers.sort_unstable();
        numbers
    };
    assert!(named.windows(2).all(|pair| pair[0] < pair[1]), "notices name a number twice");
    assert_eq!(
        named.len() as u64,
        notices.iter().map(|notice| notice.count).sum::<u64>(),
        "the counts are not the ranges' lengths"
    );
    let arrived = report.streams.get(stream).map(|stream| stream.numbers.as_slice()).unwrap_or_default();
    let highest = named.last().copied().unwrap_or(0).max(arrived.last().copied().unwrap_or(0));
    let missing: Vec<u64> = (1..=highest).filter(|n| arrived.binary_search(n).is_err()).collect();
    assert!(
        missing == named,
        "missing and named numbers differ; missing: {:?}, named: {:?}",
        ranges(&missing),
        ranges(&named)
    );

    let mut by_tenant: BTreeMap<String, u64> = BTreeMap::new();
    for key in &report.missing {
        *by_tenant.entry(key.tenant_id()).or_insert(0) += 1;
    }
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for notice in &notices {
        for (tenant, count) in &notice.tenants {
            *told.entry(tenant.clone()).or_insert(0) += count;
        }
        let sum: u64 = notice.tenants.values().sum::<u64>() + notice.other_tenants;
        assert_eq!(sum, notice.count, "a notice's tenants do not add up: {notice:?}");
    }
    // The agent's own events count to a tenant of theirs, which no producer knows.
    told.retain(|tenant, _| tenant.starts_with(crate::generator::TENANT_PREFIX));
    if notices.iter().all(|notice| notice.other_tenants == 0) {
        assert_eq!(told, by_tenant, "what the notices say each tenant lost is not what is missing of it");
    }
}

fn read_notice(place: usize, event: &Value, count: &str) -> Notice {
    let list = |name: &str| own_field(event, name).as_array().cloned().unwrap_or_default();
    let range = |range: &Value| number(range, "from_n")..number(range, "to_n") + 1;
    let tenant = |tenant: &Value| (text(tenant, "tenant_id"), number(tenant, "dropped"));
    Notice {
        place,
        stream: text(event, "stream"),
        count: number(event, count),
        ranges: list("ranges").iter().map(range).collect(),
        is_merged: own_field(event, "merged") == true,
        tenants: list("tenants").iter().map(tenant).collect(),
        other_tenants: number(event, "other_tenants_dropped"),
    }
}

fn number(event: &Value, name: &str) -> u64 {
    own_field(event, name).as_u64().unwrap_or_else(|| panic!("no number {name:?} in {event}"))
}

fn text(event: &Value, name: &str) -> String {
    own_field(event, name).as_str().unwrap_or_else(|| panic!("no text {name:?} in {event}")).to_owned()
}

/// A few of many, for a message.
fn first<T>(items: &[T]) -> &[T] {
    &items[..items.len().min(5)]
}

fn ranges(numbers: &[u64]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for n in numbers {
        match ranges.last_mut() {
            Some(range) if range.end == *n => range.end += 1,
            _ => ranges.push(*n..*n + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::arrival::Arrival;

    const fn key(tenant: u32, count: u32) -> Key {
        Key { run: 1, tenant, count }
    }

    fn arrived(events: &[(Key, u64)]) -> Arrivals {
        let mut arrivals = Arrivals::default();
        for (key, n) in events {
            let stream = Some(arrivals.stream("s"));
            arrivals.list.push(Arrival {
                at: Instant::now(),
                request: 1,
                key: Some(*key),
                stream,
                n: Some(*n),
                raw: None,
            });
        }
        arrivals
    }

    fn ledger(keys: &[Key]) -> Ledger {
        Ledger { acked: keys.to_vec(), ..Ledger::default() }
    }

    fn notice(range: Range<u64>, tenants: &[(Key, u64)]) -> Notice {
        let count = range.end - range.start;
        let tenants = tenants.iter().map(|(key, count)| (key.tenant_id(), *count)).collect();
        Notice {
            place: 0,
            stream: "s".to_owned(),
            count,
            ranges: Vec::from([range]),
            is_merged: false,
            tenants,
            other_tenants: 0,
        }
    }

    #[test]
    fn a_clean_run_is_clean() {
        let keys = [key(1, 0), key(2, 0), key(1, 1)];
        let report = compare(&ledger(&keys), &arrived(&[(keys[0], 1), (keys[1], 2), (keys[2], 3)]));
        report.assert_exactly_once();
        report.assert_ordered();
    }

    #[test]
    fn what_is_missing_foreign_repeated_or_out_of_order_is_found() {
        let written = [key(1, 0), key(1, 1), key(1, 2)];
        let report = compare(
            &ledger(&written),
            &arrived(&[(key(1, 2), 2), (key(1, 0), 1), (key(1, 0), 1), (key(9, 9), 5), (key(1, 0), 6)]),
        );
        assert_eq!(report.missing, [key(1, 1)]);
        assert_eq!(report.strangers, [key(9, 9)]);
        assert_eq!(report.duplicates.len(), 2);
        assert!(report.duplicates[0].same_number && !report.duplicates[1].same_number);
        assert_eq!(report.disorder, [Disorder { later: key(1, 2), earlier: key(1, 0) }]);
        assert_eq!(report.streams["s"].holes(), vec![Range { start: 3, end: 5 }]);
    }

    #[test]
    fn one_number_with_two_events_is_found() {
        let report = compare(&ledger(&[key(1, 0), key(1, 1)]), &arrived(&[(key(1, 0), 1), (key(1, 1), 1)]));
        assert_eq!(report.streams["s"].reused, [1]);
    }

    #[test]
    fn an_event_written_twice_may_have_two_numbers() {
        let mut ledger = ledger(&[key(1, 0)]);
        ledger.resent.insert(key(1, 0), 2);
        let report = compare(&ledger, &arrived(&[(key(1, 0), 1), (key(1, 0), 2)]));
        report.assert_exactly_once();
        let report = compare(&ledger, &arrived(&[(key(1, 0), 1), (key(1, 0), 2), (key(1, 0), 3)]));
        assert_eq!(report.duplicates.len(), 1);
    }

    #[test]
    fn a_true_notice_and_statement_pass() {
        let keys = [key(1, 0), key(1, 1), key(2, 0), key(1, 2)];
        let report = compare(&ledger(&keys), &arrived(&[(keys[0], 1), (keys[3], 4)]));
        assert_notices_explain(&report, &[notice(2..4, &[(keys[1], 1), (keys[2], 1)])], "s");
        let stated =
            |range, explained| Statement { place: 0, stream: "s".to_owned(), range, explained, is_final: false };
        assert_statements_hold(&report, &[stated(1..3, 1), stated(3..5, 1)]);
    }

    #[test]
    #[should_panic(expected = "missing and named numbers differ")]
    fn a_notice_that_names_too_little_is_found() {
        let keys = [key(1, 0), key(1, 1), key(1, 2), key(1, 3)];
        let report = compare(&ledger(&keys), &arrived(&[(keys[0], 1), (keys[3], 4)]));
        assert_notices_explain(&report, &[notice(2..3, &[(keys[1], 1)])], "s");
    }

    #[test]
    #[should_panic(expected = "each tenant lost")]
    fn a_notice_with_the_wrong_tenant_is_found() {
        let keys = [key(1, 0), key(2, 0), key(1, 1)];
        let report = compare(&ledger(&keys), &arrived(&[(keys[0], 1), (keys[2], 3)]));
        assert_notices_explain(&report, &[notice(2..3, &[(keys[0], 1)])], "s");
    }

    #[test]
    #[should_panic(expected = "not true")]
    fn a_false_statement_is_found() {
        let report = compare(&ledger(&[key(1, 0)]), &arrived(&[(key(1, 0), 1)]));
        let statement = Statement { place: 0, stream: "s".to_owned(), range: 1..3, explained: 0, is_final: false };
        assert_statements_hold(&report, &[statement]);
    }

    #[test]
    #[should_panic(expected = "nothing was stated")]
    fn a_gap_between_statements_is_found() {
        let report = compare(&ledger(&[key(1, 0), key(1, 1)]), &arrived(&[(key(1, 0), 1), (key(1, 1), 2)]));
        let statement = Statement { place: 0, stream: "s".to_owned(), range: 2..3, explained: 0, is_final: false };
        assert_statements_hold(&report, &[statement]);
    }
}
