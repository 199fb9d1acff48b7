use super::*;
use crate::control::picture::Detail;
use crate::delivery::outlet::Tally;
use crate::shard::ShardReport;

/// A picture of one shard and one destination after so many seconds, with `delivered` events accepted.
fn picture(seconds: u64, delivered: u64) -> Picture {
    let mut picture = Picture::default();
    let report = ShardReport {
        turns: 1,
        appended_events: seconds * 5,
        appended_bytes: seconds * 500,
        log_bytes: 1 << 20,
        oldest_age: Millis::from_secs(seconds),
        ..ShardReport::default()
    };
    picture.add(0, true, &report, Millis::ZERO, Detail::Rough);
    let mut destination = crate::control::tests::destination("splunk", "active", None);
    destination.books.delivered = delivered;
    destination.delivered_bytes = delivered * 100;
    destination.lag = Millis(40);
    destination.unread = 3;
    destination.books.in_hand = 4;
    picture.destinations.push(destination);
    picture
}

fn look(history: &mut History, picture: Picture, seconds: u64) {
    history.look(picture, Millis::from_secs(seconds), seconds as i64 * 1000);
}

fn history_of(seconds: u64) -> History {
    let mut history = History::default();
    (0..=seconds).for_each(|second| look(&mut history, picture(second, second * 8), second));
    history
}

#[test]
fn there_is_a_sample_each_ten_seconds_for_an_hour() {
    let short = history_of(25).destination("splunk");
    assert_eq!(short.at_ms, [10_000, 20_000]);
    let history = history_of(2 * 3600);
    let (agent, splunk) = (history.agent(), history.destination("splunk"));
    assert_eq!((agent.at_ms.len(), agent.at_ms[0], agent.at_ms[359]), (360, 3_610_000, 7_200_000));
    assert_eq!(splunk.at_ms, agent.at_ms);
    assert_eq!(history.destinations["splunk"].samples.capacity(), SAMPLES_MAX, "no room is wasted");
}

#[test]
fn rates_are_those_of_the_span_and_the_rest_is_as_it_was_then() {
    let history = history_of(20);
    let splunk = history.destination("splunk");
    assert_eq!(splunk.delivered_events_per_second, [8.0, 8.0]);
    assert_eq!(splunk.delivered_bytes_per_second, [800.0, 800.0]);
    assert_eq!((splunk.lag_ms, splunk.backlog_events), (vec![40, 40], vec![7, 7]));
    let agent = history.agent();
    assert_eq!((agent.intake_events_per_second, agent.intake_bytes_per_second), (vec![5.0, 5.0], vec![500.0, 500.0]));
    assert_eq!((agent.log_bytes, agent.oldest_age_ms), (vec![1 << 20, 1 << 20], vec![10_000, 20_000]));
}

#[test]
fn a_look_that_comes_late_makes_its_span_longer_and_the_rate_no_higher() {
    let mut history = History::default();
    [0, 10, 25].into_iter().for_each(|second| look(&mut history, picture(second, second * 8), second));
    assert_eq!(history.destination("splunk").delivered_events_per_second, [8.0, 8.0]);
}

#[test]
fn latencies_are_those_of_the_span_and_not_of_all_that_was_before() {
    let mut history = History::default();
    let mut latency = Tally::default().latency_ms;
    let mut spans = Vec::new();
    for (second, each) in [(0, Some(900)), (10, Some(20)), (20, None), (30, Some(5_000))] {
        each.into_iter().for_each(|ms| latency.record_n(ms, 100).unwrap());
        let mut shown = picture(second, 0);
        shown.destinations[0].add_latency(&latency, Detail::Rough);
        look(&mut history, shown, second);
        let splunk = history.destination("splunk");
        spans = splunk.latency_p50_ms.into_iter().zip(splunk.latency_p99_ms).collect();
    }
    let [(Some(p50), Some(p99)), (None, None), (Some(slow), Some(_))] = spans[..] else { panic!("{spans:?}") };
    assert!((20..=22).contains(&p50) && (20..=22).contains(&p99), "{p50} {p99}");
    assert!((5_000..=5_400).contains(&slow), "{slow}");
}

#[test]
fn a_destination_whose_counting_begins_anew_has_no_negative_rate_and_the_latencies_it_has() {
    let mut history = History::default();
    let mut latency = Tally::default().latency_ms;
    latency.record_n(3_000, 50).unwrap();
    let mut before = picture(0, 1_000);
    before.destinations[0].add_latency(&latency, Detail::Rough);
    look(&mut history, before, 0);
    let mut fresh = Tally::default().latency_ms;
    fresh.record_n(7, 5).unwrap();
    let mut after = picture(10, 5);
    after.destinations[0].add_latency(&fresh, Detail::Rough);
    look(&mut history, after, 10);
    let splunk = history.destination("splunk");
    assert_eq!((splunk.delivered_events_per_second, splunk.latency_p50_ms), (vec![0.0], vec![Some(7)]));
}

#[test]
fn a_destination_that_came_later_has_the_last_of_the_moments() {
    let mut history = History::default();
    for second in 0..=40 {
        let mut shown = picture(second, 0);
        shown.destinations.retain(|_| second >= 15);
        look(&mut history, shown, second);
    }
    assert_eq!(history.destination("splunk").at_ms, [30_000, 40_000]);
    assert_eq!(history.agent().at_ms, [10_000, 20_000, 30_000, 40_000]);
}

#[test]
fn nothing_is_noted_before_all_shards_have_spoken() {
    let mut history = History::default();
    let mut shown = picture(0, 1_000_000);
    shown.add(1, true, &ShardReport::default(), Millis::ZERO, Detail::Rough);
    look(&mut history, shown, 0);
    assert!(history.destinations.is_empty() && history.is_due(Millis::ZERO));
}

fn changed(state: &'static str, said: &str) -> Picture {
    let mut shown = picture(0, 0);
    shown.destinations[0] = crate::control::tests::destination("splunk", state, Some(said));
    shown
}

#[test]
fn changes_of_state_are_kept_with_their_cause() {
    let mut history = History::default();
    for (second, state) in [(0, "active"), (1, "retrying"), (2, "retrying"), (3, "circuit_open"), (4, "active")] {
        look(&mut history, changed(state, "no route"), second);
    }
    let states = history.destination("splunk").states;
    let seen: Vec<_> = states.iter().map(|change| (change.at_ms, change.from.as_str(), change.to.as_str())).collect();
    let expected =
        [(1_000, "active", "retrying"), (3_000, "retrying", "circuit_open"), (4_000, "circuit_open", "active")];
    assert_eq!(seen, expected);
    assert_eq!((states[0].code.as_str(), states[0].cause.as_str()), ("unreachable", "no route"));
}

#[test]
fn one_that_flaps_keeps_the_last_changes_and_their_words_once() {
    let mut history = History::default();
    for second in 0..200 {
        look(&mut history, changed(if second % 2 == 0 { "active" } else { "throttled" }, &"é".repeat(200)), second);
    }
    let past = &history.destinations["splunk"];
    assert_eq!((past.changes.len(), past.changes[0].at_ms), (CHANGES_MAX, 150_000));
    let words: Vec<_> = past.changes.iter().map(|change| change.said.as_ref().unwrap()).collect();
    assert!(words.iter().all(|said| Arc::ptr_eq(said, words[0]) && said.len() == SAID_MAX));
}

#[test]
fn of_too_many_destinations_none_is_kept_and_of_one_that_is_gone_nothing_is_left() {
    let mut history = History::default();
    let named = |name: usize| crate::control::tests::destination(&format!("d{name}"), "active", None);
    let mut many = picture(0, 0);
    many.destinations = (0..DESTINATIONS_MAX + 5).map(named).collect();
    look(&mut history, many, 0);
    assert_eq!(history.destinations.len(), DESTINATIONS_MAX);
    assert!(history.destinations.contains_key("d0") && !history.destinations.contains_key("d2003"));
    assert_eq!(history.destination("d2003").at_ms, [0_i64; 0]);
    look(&mut history, picture(1, 0), 1);
    assert!(history.destinations.is_empty());
    look(&mut history, picture(2, 0), 2);
    assert_eq!(history.destinations.keys().collect::<Vec<_>>(), ["splunk"], "there is room again");
}
