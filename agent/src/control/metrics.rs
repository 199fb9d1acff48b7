//! `/metrics`: every number the agent has, in Prometheus' words. No user data in labels; gauges are never negative.

mod exposition;
mod memory;

use hdrhistogram::Histogram;

use self::exposition::{Exposition, Kind};
use self::memory::Memory;
use crate::control::headroom::{Headroom, Room};
use crate::control::picture::{DestinationPicture, Detail, Picture, ShardPicture};
use crate::control::states::STATES;
use crate::control::status;
use crate::control::watch::Rate;
use crate::ingest::IngestStats;
use crate::node::View;
use crate::runtime::STALL_BOUNDS;
use crate::stream::books::Books;
use crate::time::Millis;

/// The text of a scrape. `rate` is that of the intake.
pub(super) fn render(view: &View, rate: Rate, now: Millis) -> String {
    let picture = Picture::take(view, now, Detail::Full);
    let config = view.config();
    let mut out = Exposition::default();
    about(&mut out, view, now);
    memory(&mut out, Memory::here(&config.agent.state_dir));
    let stats: Vec<&IngestStats> = view.intake.stats().collect();
    intake(&mut out, &stats, &picture);
    log(&mut out, &picture, view, config.buffer.window);
    shards(&mut out, &picture.shards);
    destinations(&mut out, &picture.destinations);
    headroom(&mut out, &picture.destinations, &status::room(view, &picture, rate));
    dead_letters(&mut out, view);
    out.into_text()
}

fn about(out: &mut Exposition, view: &View, now: Millis) {
    let mut family = out.family("build_info", Kind::Gauge, "The running version; always 1.");
    family.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let help = "What the shards run on and why; always 1.";
    let backend = view.choice.backend.to_string();
    let labels = [("backend", backend.as_str()), ("why", view.choice.why.as_str())];
    out.family("runtime_info", Kind::Gauge, help).sample(&labels, 1);
    out.single("uptime_seconds", Kind::Gauge, "How long the agent has run.", seconds(now));
}

fn memory(out: &mut Exposition, memory: Memory) {
    let help = "Resident memory that belongs to no file: what the agent itself needs.";
    out.single("process_resident_anonymous_bytes", Kind::Gauge, help, memory.anonymous);
    let help = "Resident pages of files, which the system can take back: the program and the log.";
    out.single("process_resident_file_bytes", Kind::Gauge, help, memory.of_files);
    let help = "Address space over files of the log.";
    out.single("log_mapped_bytes", Kind::Gauge, help, memory.log_mapped);
}

fn intake(out: &mut Exposition, stats: &[&IngestStats], picture: &Picture) {
    let sum = |of: fn(&IngestStats) -> u64| stats.iter().map(|stats| of(stats)).sum::<u64>();
    let counters: [(&str, &str, u64); 9] = [
        ("ingest_lines_total", "Lines and array elements read from producers.", sum(|stats| stats.lines.get())),
        ("ingest_blank_total", "Lines with nothing in them.", sum(|stats| stats.blank.get())),
        ("ingest_events_total", "Events that were accepted and are durable.", sum(|stats| stats.accepted.get())),
        ("ingest_bytes_total", "Bytes of accepted events.", sum(|stats| stats.accepted_bytes.get())),
        ("ingest_failed_total", "Events given back to their producers.", sum(|stats| stats.failed.get())),
        (
            "ingest_abandoned_total",
            "Events of connections that ended before the events' fate was known.",
            sum(|stats| stats.abandoned.get()),
        ),
        (
            "ingest_unknown_severity_total",
            "Accepted events with a severity that is none of ours.",
            sum(|stats| stats.unknown_severity.get()),
        ),
        ("ingest_turned_away_total", "Connections turned away.", sum(|stats| stats.turned_away.get())),
        ("ingest_http_requests_total", "HTTP requests answered.", sum(|stats| stats.requests.get())),
    ];
    for (name, help, value) in counters {
        out.single(name, Kind::Counter, help, value);
    }
    let mut refused = out.family("ingest_refused_total", Kind::Counter, "Lines refused, by reason.");
    for reason in crate::ingest::stats::REFUSAL_CODES {
        let count =
            |stats: &&IngestStats| stats.refused().filter(|(code, _)| *code == reason).map(|(_, n)| n).sum::<u64>();
        refused.sample(&[("reason", reason)], stats.iter().map(count).sum::<u64>());
    }
    let help = "Connections of producers on the socket.";
    out.single("ingest_connections", Kind::Gauge, help, sum(|stats| stats.open_connections()));
    let help = "Lines that were read and are not settled yet.";
    out.single("ingest_in_hand_events", Kind::Gauge, help, sum(|stats| stats.in_hand()));
    let help = "1 when events can be taken, else 0; /readyz says why not.";
    out.single("ingest_ready", Kind::Gauge, help, u8::from(picture.obstacles().is_empty()));
}

fn log(out: &mut Exposition, picture: &Picture, view: &View, window: Millis) {
    let sum = |of: fn(&ShardPicture) -> u64| picture.shards.iter().map(of).sum::<u64>();
    let help = "Events appended to the log, the agent's own included.";
    out.single("log_appended_events_total", Kind::Counter, help, sum(|shard| shard.appended_events));
    out.single("log_appended_bytes_total", Kind::Counter, "Their bytes.", sum(|shard| shard.appended_bytes));
    let help = "Records whose index could not be read.";
    out.single("log_unreadable_total", Kind::Counter, help, sum(|shard| shard.unreadable));
    out.single("log_events", Kind::Gauge, "Records that the log holds.", picture.log_events());
    out.single("log_bytes", Kind::Gauge, "Bytes of the log's segment files.", picture.log_bytes());
    out.single("log_segments", Kind::Gauge, "Segment files of all logs, spares included.", view.budget.used());
    out.single("log_segments_max", Kind::Gauge, "Segment files that the budget allows.", view.budget.max());
    let help = "Age of the oldest record held.";
    out.single("log_oldest_age_seconds", Kind::Gauge, help, seconds(picture.oldest_age()));
    out.single("log_window_seconds", Kind::Gauge, "How long events stay while there is room.", seconds(window));
    let help = "Appended records that are not durable yet.";
    out.single("log_unsynced_events", Kind::Gauge, help, sum(|shard| shard.next_seq.saturating_sub(shard.durable_end)));
}

fn shards(out: &mut Exposition, shards: &[ShardPicture]) {
    let numbers: Vec<String> = shards.iter().map(|shard| shard.number.to_string()).collect();
    let mut turns = out.family("loop_turns_total", Kind::Counter, "Turns of each shard's loop.");
    for (number, shard) in numbers.iter().zip(shards) {
        turns.sample(&[("shard", number)], shard.turns);
    }
    let help = "For how long a shard's loop has not turned, beyond the time it may sleep.";
    let mut overdue = out.family("loop_overdue_seconds", Kind::Gauge, help);
    for (number, shard) in numbers.iter().zip(shards) {
        overdue.sample(&[("shard", number)], seconds(shard.stalled));
    }
    let help = "Times that one task held a shard's loop for 0.5 ms or more, while all others waited.";
    let mut stalls = out.family("loop_stall_seconds", Kind::Histogram, help);
    for (number, shard) in numbers.iter().zip(shards) {
        for (task, held) in shard.stalls.each() {
            let [shard, task] = [("shard", number.as_str()), ("task", task.text())];
            for (bound, count) in STALL_BOUNDS.iter().zip(held.cumulative()) {
                stalls.with_suffix("_bucket", &[shard, task, ("le", &bound.as_secs_f64().to_string())], count);
            }
            stalls.with_suffix("_bucket", &[shard, task, ("le", "+Inf")], held.count());
            stalls.with_suffix("_sum", &[shard, task], held.sum.as_secs_f64());
            stalls.with_suffix("_count", &[shard, task], held.count());
        }
    }
}

fn destinations(out: &mut Exposition, destinations: &[DestinationPicture]) {
    let counts: [(&str, Kind, &str, Count); 12] = [
        ("destination_judged_total", Kind::Counter, "Events in its scope that its filter has seen.", |d| {
            d.books.judged
        }),
        ("destination_filtered_total", Kind::Counter, "Events its filter left out.", |d| d.books.filtered),
        ("destination_selected_total", Kind::Counter, "Events numbered for it.", |d| d.books.selected),
        ("destination_delivered_total", Kind::Counter, "Events it accepted.", |d| d.books.delivered),
        ("destination_delivered_bytes_total", Kind::Counter, "Bytes of events it accepted.", |d| d.delivered_bytes),
        ("destination_deadlettered_total", Kind::Counter, "Events it refused, which are kept.", |d| {
            d.books.dead_lettered
        }),
        ("destination_overflowed_total", Kind::Counter, "Events given up before it took them.", |d| d.books.overflowed),
        ("destination_in_hand_events", Kind::Gauge, "Events that wait for it or are under way.", |d| d.books.in_hand),
        ("destination_unread_events", Kind::Gauge, "Records its reader has not come to.", |d| d.unread),
        ("destination_slow_downs_total", Kind::Counter, "Answers that asked for less.", |d| d.slow_downs),
        ("destination_notes_total", Kind::Counter, "Answers with something people should know.", |d| d.notes),
        ("destination_requests_under_way", Kind::Gauge, "Requests without an answer yet.", |d| d.under_way),
    ];
    for (name, kind, help, of) in counts {
        let mut family = out.family(name, kind, help);
        for destination in destinations {
            family.sample(&labels(destination), of(destination));
        }
    }
    let mut requests = out.family("destination_requests_total", Kind::Counter, "Requests by how they ended.");
    for destination in destinations {
        for (outcome, count) in [
            ("accepted", destination.accepted_requests),
            ("refused", destination.refused_requests),
            ("failed", destination.failed_requests),
        ] {
            let [name, kind] = labels(destination);
            requests.sample(&[name, kind, ("outcome", outcome)], count);
        }
    }
    let mut lag = out.family("destination_lag_seconds", Kind::Gauge, "Age of the oldest event that is not settled.");
    for destination in destinations {
        lag.sample(&labels(destination), seconds(destination.lag));
    }
    replays(out, destinations);
    let mut state = out.family("destination_state", Kind::Gauge, "1 for the state it is in, 0 for all others.");
    for destination in destinations {
        for known in STATES.iter().map(|state| state.name) {
            let [name, kind] = labels(destination);
            state.sample(&[name, kind, ("state", known)], u8::from(known == destination.state));
        }
    }
    let moments: [(&str, &str, Moment); 2] = [
        ("destination_last_success_timestamp_seconds", "When it last accepted something, as a Unix time.", |d| {
            d.last_success_ms
        }),
        (
            "destination_last_statement_timestamp_seconds",
            "When it last accepted a statement about its numbers, due each hour, as a Unix time.",
            |d| d.last_statement_ms,
        ),
    ];
    for (name, help, of) in moments {
        let mut family = out.family(name, Kind::Gauge, help);
        for destination in destinations {
            if let Some(at_ms) = of(destination) {
                family.sample(&labels(destination), at_ms.max(0) as f64 / 1000.0);
            }
        }
    }
    let help = "From accepted here to accepted there.";
    let mut latency = out.family("destination_latency_seconds", Kind::Histogram, help);
    for destination in destinations {
        let [name, kind] = labels(destination);
        let Some(histogram) = &destination.latency_ms else { continue };
        for (bound, count) in buckets(histogram) {
            latency.with_suffix("_bucket", &[name, kind, ("le", &bound)], count);
        }
        let sum: f64 =
            histogram.iter_recorded().map(|step| step.value_iterated_to() as f64 * step.count_at_value() as f64).sum();
        latency.with_suffix("_sum", &labels(destination), sum / 1000.0);
        latency.with_suffix("_count", &labels(destination), histogram.len());
    }
    let help = "By how many events the books do not balance; must be 0.";
    let mut books = out.family("books_difference", Kind::Gauge, help);
    for destination in destinations {
        books.sample(&labels(destination), destination.difference);
    }
    if destinations.is_empty() {
        books.sample(&[], Books::default().difference());
    }
}

fn headroom(out: &mut Exposition, destinations: &[DestinationPicture], room: &Room) {
    let help = "How long the log can still hold the oldest event that is not settled, if none is delivered.";
    let mut left = out.family("destination_headroom_seconds", Kind::Gauge, help);
    for destination in destinations {
        left.sample(&labels(destination), seconds(Headroom::of(destination.lag, None, room).left));
    }
}

fn replays(out: &mut Exposition, destinations: &[DestinationPicture]) {
    let replayed: Count = |d| d.replay.as_ref().map_or(0, |replay| replay.books.delivered);
    let unread: Count = |d| d.replay.as_ref().map_or(0, |replay| replay.unread);
    let running: Count = |d| d.replay.as_ref().map_or(0, |replay| u64::from(!replay.is_over));
    let help = "Events it accepted again in its last replay; the next one begins at 0.";
    for (name, kind, help, of) in [
        ("destination_replayed_total", Kind::Counter, help, replayed),
        ("destination_replay_unread_events", Kind::Gauge, "Records that its replay has not come to.", unread),
        ("destination_replay_running", Kind::Gauge, "1 while it is sent again what it got before.", running),
    ] {
        let mut family = out.family(name, kind, help);
        for destination in destinations {
            family.sample(&labels(destination), of(destination));
        }
    }
}

fn dead_letters(out: &mut Exposition, view: &View) {
    let config = view.config();
    let mut rows = Vec::new();
    for destination in &config.destinations {
        // A store that waits for the disk is left out of this scrape.
        let store = view.stores.find(destination.id);
        if let Some(store) = store.as_ref().and_then(|store| store.try_lock().ok()) {
            rows.push((destination, store.len(), store.bytes()));
        }
    }
    let mut events = out.family("deadletter_events", Kind::Gauge, "Refused events that are kept.");
    for (destination, count, _) in &rows {
        events.sample(&[("destination", &destination.name), ("type", destination.kind.name())], count);
    }
    let mut bytes = out.family("deadletter_bytes", Kind::Gauge, "Bytes of the store of refused events.");
    for (destination, _, size) in &rows {
        bytes.sample(&[("destination", &destination.name), ("type", destination.kind.name())], size);
    }
}

/// A count of a destination.
type Count = fn(&DestinationPicture) -> u64;
/// A moment of a destination, ms since 1970.
type Moment = fn(&DestinationPicture) -> Option<i64>;

fn labels(destination: &DestinationPicture) -> [(&str, &str); 2] {
    [("destination", &destination.name), ("type", destination.kind)]
}

/// Each bound in seconds, and how many took no longer.
fn buckets(histogram: &Histogram<u32>) -> Vec<(String, u64)> {
    let mut buckets: Vec<(String, u64)> = BOUNDS_MS
        .iter()
        .map(|bound| ((*bound as f64 / 1000.0).to_string(), histogram.count_between(0, *bound)))
        .collect();
    buckets.push(("+Inf".to_owned(), histogram.len()));
    buckets
}

fn seconds(span: Millis) -> f64 {
    span.0 as f64 / 1000.0
}

/// From a local disk's sync to a long outage.
const BOUNDS_MS: [u64; 14] = [5, 10, 20, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000, 300_000, 1_800_000];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::exposition::tests::{Read, Sample, parse};
    use super::*;
    use crate::runtime::TaskName;
    use crate::shard::{ReplayReport, ShardReport};

    const ROOM: Room = Room {
        window: Millis::from_secs(1_800),
        max_bytes: 1 << 30,
        log_bytes: 0,
        oldest_age: Millis::ZERO,
        bytes_per_second: 0.0,
    };

    fn scraped(picture: &Picture) -> HashMap<String, Read> {
        let mut out = Exposition::default();
        let stats = IngestStats::default();
        stats.refuse("syntax");
        memory(&mut out, Memory { anonymous: 1, of_files: 2, log_mapped: 3 });
        intake(&mut out, &[&stats, &IngestStats::default()], picture);
        shards(&mut out, &picture.shards);
        destinations(&mut out, &picture.destinations);
        headroom(&mut out, &picture.destinations, &ROOM);
        parse(&out.into_text())
    }

    fn value(read: &HashMap<String, Read>, family: &str, label: &str) -> f64 {
        let samples = &read[&format!("scaidrive_siem_{family}")].samples;
        let found =
            samples.iter().find(|(_, labels, _)| label.is_empty() || labels.iter().any(|(_, value)| value == label));
        found.unwrap_or_else(|| panic!("no {label} in {family}: {samples:?}")).2
    }

    fn picture() -> Picture {
        let mut picture = Picture::default();
        let now = Millis::from_secs(100);
        picture.add(
            0,
            true,
            &ShardReport { turns: 7, at: Millis::from_secs(90), ..ShardReport::default() },
            now,
            Detail::Full,
        );
        // Falsified on purpose: the durable end beyond the next number.
        picture.add(
            1,
            true,
            &ShardReport { turns: 1, at: now, first_seq: 9, durable_end: 9, ..ShardReport::default() },
            now,
            Detail::Full,
        );
        let mut destination = crate::control::tests::destination("a\"b", "retrying", None);
        let latency = destination.latency_ms.insert(crate::delivery::outlet::Tally::default().latency_ms);
        latency.record_n(7, 3).unwrap();
        latency.record(700).unwrap();
        destination.difference = 2;
        destination.lag = Millis::from_secs(600);
        destination.last_statement_ms = Some(7_500);
        let books = Books { delivered: 6, ..Books::default() };
        destination.replay = Some(ReplayReport { books, unread: 4, ..ReplayReport::default() });
        picture.destinations.push(destination);
        picture
    }

    #[test]
    fn every_family_follows_the_conventions_of_names_and_has_help_and_type() {
        for (name, family) in scraped(&picture()) {
            assert!(name.starts_with("scaidrive_siem_"), "{name}");
            assert!(family.help.ends_with('.') && family.help.len() > 10, "{name}: {}", family.help);
            assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
            assert!(!["_ms", "_millis", "_kb", "_mb"].iter().any(|unit| name.ends_with(unit)), "{name}");
            assert!(["counter", "gauge", "histogram"].contains(&family.kind.as_str()), "{name}");
        }
    }

    #[test]
    fn lesson_17_no_gauge_is_ever_negative_even_when_the_reports_contradict_each_other() {
        let picture = picture();
        assert_eq!(picture.log_events(), 0);
        for (name, family) in scraped(&picture) {
            for (_, labels, value) in family.samples {
                assert!((0.0..1e15).contains(&value), "{name} {labels:?} {value}");
            }
        }
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_everything() {
        let read = scraped(&picture());
        assert_eq!(value(&read, "destination_latency_seconds", "0.005"), 0.0);
        assert_eq!(value(&read, "destination_latency_seconds", "0.01"), 3.0);
        assert_eq!(value(&read, "destination_latency_seconds", "1"), 4.0);
        assert_eq!(value(&read, "destination_latency_seconds", "+Inf"), 4.0);
        let samples = &read["scaidrive_siem_destination_latency_seconds"].samples;
        let sum = samples.iter().find(|(name, ..)| name.ends_with("_sum")).unwrap().2;
        assert!((0.70..0.75).contains(&sum), "{sum}");
    }

    #[test]
    fn each_task_that_held_a_loop_is_a_histogram_of_its_own() {
        let mut picture = picture();
        picture.shards[1].stalls.add(TaskName::Ingest, Duration::from_millis(300));
        picture.shards[1].stalls.add(TaskName::Ingest, Duration::from_millis(2));
        let read = scraped(&picture);
        let samples = &read["scaidrive_siem_loop_stall_seconds"].samples;
        let of = |suffix: &str, shard: &str, task: &str| -> Vec<f64> {
            let is = |label: &(String, String), key: &str, value: &str| label.0 == key && label.1 == value;
            let has = |sample: &&Sample, key: &str, value: &str| sample.1.iter().any(|label| is(label, key, value));
            let found = samples.iter().filter(|sample| sample.0.ends_with(suffix));
            found.filter(|sample| has(sample, "shard", shard) && has(sample, "task", task)).map(|(.., n)| *n).collect()
        };
        assert_eq!(of("_bucket", "1", "ingest"), [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(of("_sum", "1", "ingest"), [0.302]);
        assert_eq!(of("_count", "1", "ingest"), [2.0]);
        assert_eq!(of("_bucket", "0", "ingest"), [0.0; 6]);
        assert_eq!(of("_count", "1", "turn"), [0.0]);
    }

    #[test]
    fn states_stalls_refusals_replays_and_books_show() {
        let read = scraped(&picture());
        assert_eq!(value(&read, "destination_replayed_total", "a\"b"), 6.0);
        assert_eq!(value(&read, "destination_replay_unread_events", "a\"b"), 4.0);
        assert_eq!(value(&read, "destination_replay_running", "a\"b"), 1.0);
        assert_eq!(value(&read, "destination_headroom_seconds", "a\"b"), 1_200.0);
        assert_eq!(value(&read, "destination_last_statement_timestamp_seconds", "a\"b"), 7.5);
        assert_eq!(value(&read, "destination_state", "retrying"), 1.0);
        assert_eq!(value(&read, "destination_state", "active"), 0.0);
        assert_eq!(value(&read, "loop_overdue_seconds", "0"), 8.5);
        assert_eq!(value(&read, "loop_overdue_seconds", "1"), 0.0);
        assert_eq!(value(&read, "ingest_refused_total", "syntax"), 1.0);
        assert_eq!(value(&read, "books_difference", "a\"b"), 2.0);
        assert_eq!(value(&scraped(&Picture::default()), "books_difference", ""), 0.0);
    }
}
