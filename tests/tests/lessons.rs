//! What users of other agents suffer from, by the row of the list it stands in. Rows that need no process are tested beside the code.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::{Agent, STOPPED_WITHIN};
use scaidrive_tests::certificates::Authority;
use scaidrive_tests::generator::{Key, Ledger, Producer, Workload, event_line};
use scaidrive_tests::hec::{Fault, Hec, Predicate, Settings};
use scaidrive_tests::oracle::{compare, overflow_notices};
use scaidrive_tests::rng::Rng;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, settle, settle_within, write, write_one};
use scaidrive_tests::wait::{holds_for, wait_until};

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

/// An agent that owes `events` to a receiver that is down, stopped.
fn stopped_with_backlog(hec: &mut Hec, events: u64) -> (Agent, Ledger) {
    let mut agent = Agent::new();
    agent.config.set_buffer("segment_size", "\"1MiB\"");
    agent.add_hec("hec", hec).set("filter", ONLY_GENERATED);
    hec.go_down();
    agent.start();
    let ledger = write(&agent, Workload::new(1, 20, events));
    agent.stop();
    (agent, ledger)
}

#[test]
fn lesson_01_a_damaged_segment_does_not_keep_it_from_starting_and_is_announced() {
    let mut hec = Hec::plain();
    let (mut agent, ledger) = stopped_with_backlog(&mut hec, 5_000);
    let segments = agent.segments();
    overwrite(&segments[0], 100_000, &[0x55; 5_000]);
    agent.config.destination("hec").lines.retain(|(key, _)| key != "filter");
    agent.start();
    hec.come_up();
    let fresh = write(&agent, Workload::new(2, 20, 500));
    wait_until("new events arrive", PATIENCE, || compare(&fresh, &hec.arrivals()).missing.is_empty());
    wait_until("the damage is announced", PATIENCE, || !hec.arrivals().own("siem.log_damaged").is_empty());
    let missing = compare(&ledger, &hec.arrivals()).missing.len();
    // 5,000 bytes are fewer than ten records, and touch at most two more.
    assert!((1..=12).contains(&missing), "{missing} events are gone");
}

#[test]
fn lesson_02_whatever_is_done_to_its_files_it_starts_and_goes_on() {
    type Vandalism = (&'static str, fn(&Agent));
    let vandalisms: &[Vandalism] = &[
        ("an empty segment", |agent| fs::write(&agent.segments()[0], "").unwrap()),
        ("a segment cut inside its header", |agent| set_len(&agent.segments()[0], 17)),
        ("a segment cut inside a record", |agent| set_len(&agent.segments()[0], 70_001)),
        ("a segment of noise", |agent| {
            let mut rng = Rng::new(1);
            let noise: Vec<u8> = (0..1 << 20).map(|_| rng.next_u64() as u8).collect();
            fs::write(&agent.segments()[0], noise).unwrap();
        }),
        ("no segments at all", |agent| agent.segments().iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("a folder in a segment's place", |agent| {
            let path = agent.segments()[0].clone();
            fs::remove_file(&path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("no cursors", |agent| agent.cursors().iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("cursors of noise", |agent| agent.cursors().iter().for_each(|path| fs::write(path, [0xA5; 20_000]).unwrap())),
        ("empty cursors", |agent| agent.cursors().iter().for_each(|path| fs::write(path, "").unwrap())),
        ("every file cut in half", |agent| {
            for path in agent.state_files(|name| !name.contains("lock")) {
                let length = fs::metadata(&path).unwrap().len();
                set_len(&path, length / 2);
            }
        }),
    ];
    for (what, vandalise) in vandalisms {
        thread::scope(|scope| {
            // A panic names its thread, and so what was done.
            let name = thread::Builder::new().name(format!("after {what}"));
            name.spawn_scoped(scope, || starts_and_goes_on(vandalise)).unwrap();
        });
    }
}

fn starts_and_goes_on(vandalise: &dyn Fn(&Agent)) {
    let mut hec = Hec::plain();
    let (mut agent, _) = stopped_with_backlog(&mut hec, 3_000);
    vandalise(&agent);
    hec.come_up();
    agent.start();
    let fresh = write(&agent, Workload::new(2, 20, 300));
    wait_until("new events arrive", PATIENCE, || compare(&fresh, &hec.arrivals()).missing.is_empty());
    hec.assert_no_violations();
    agent.restart();
}

fn set_len(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn lesson_03_after_damage_it_reads_on_and_still_stops_in_time() {
    let mut hec = Hec::plain();
    let (mut agent, _) = stopped_with_backlog(&mut hec, 5_000);
    for segment in agent.segments() {
        for at in [5_000, 50_000, 500_000] {
            overwrite(&segment, at, &[0xFF; 64]);
        }
    }
    agent.start();
    hec.come_up();
    wait_until("it gets past the damage", PATIENCE, || agent.metric("destination_unread_events", &[]) == 0.0);
    assert!(agent.stop() < STOPPED_WITHIN);
}

#[test]
fn lesson_04_the_log_can_be_inspected_verified_and_exported() {
    let mut hec = Hec::plain();
    let (mut agent, ledger) = stopped_with_backlog(&mut hec, 2_000);
    for is_running in [false, true] {
        if is_running {
            agent.start();
        }
        assert!(agent.command(&["log", "inspect"]).status.success());
        assert!(agent.command(&["log", "verify"]).status.success());
        let export = agent.command(&["log", "export"]);
        let keys = exported_keys(&export.stdout);
        assert!(ledger.acked.iter().all(|key| keys.contains_key(key)), "running: {is_running}");
    }
    agent.stop();
    overwrite(&agent.segments()[0], 100_000, &[0x55; 500]);
    let verify = agent.command(&["log", "verify"]);
    assert_eq!(verify.status.code(), Some(1), "damage is a failed check");
}

fn exported_keys(jsonl: &[u8]) -> BTreeMap<Key, usize> {
    let mut keys = BTreeMap::new();
    for line in jsonl.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let value: serde_json::Value = serde_json::from_slice(line).expect("the export is JSON lines");
        // The event stands in the line as it is, or under a key of its own.
        let id = value["event_id"].as_str().or_else(|| value["event"]["event_id"].as_str());
        if let Some(key) = id.and_then(Key::parse) {
            *keys.entry(key).or_insert(0) += 1;
        }
    }
    keys
}

#[test]
fn lesson_08_its_memory_at_the_start_does_not_depend_on_the_backlog() {
    let mut hec = Hec::plain();
    let (mut agent, small) = stopped_with_backlog(&mut hec, 100);
    agent.start();
    let with_little = agent.memory().anonymous;
    let large = write(&agent, Workload::new(2, 20, 60_000));
    agent.stop();
    let start = Instant::now();
    agent.start();
    assert!(start.elapsed() < Duration::from_secs(5), "started in {:?}", start.elapsed());
    let with_much = agent.memory().anonymous;
    let backlog = 600 * large.acked.len() as u64;
    assert!(
        with_much < with_little + backlog / 4,
        "{with_little} bytes with little, {with_much} with {backlog} bytes to deliver"
    );
    hec.come_up();
    let mut ledger = small;
    ledger.merge(large);
    settle(&ledger, &hec);
}

#[test]
fn lesson_09_its_memory_stays_flat_through_an_outage() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 20_000));
    hec.wait_distinct(20_000, PATIENCE);
    let before = agent.memory().anonymous;
    hec.go_down();
    ledger.merge(write(&agent, Workload::new(2, 20, 60_000)));
    let after = agent.memory().anonymous;
    let backlog = 600 * 60_000;
    assert!(after < before + backlog / 4, "{before} bytes before, {after} with {backlog} bytes to deliver");
    hec.come_up();
    settle(&ledger, &hec);
}

#[test]
fn lesson_10_a_storm_of_429_raises_neither_memory_nor_concurrency() {
    let hec = Hec::plain();
    hec.set_fault(Fault::at_capacity(Some(1)));
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED).set("in_flight", "4");
    agent.start();
    let ledger = write(&agent, Workload::new(1, 20, 20_000));
    let before = agent.memory().anonymous;
    let requests = hec.request_count();
    thread::sleep(Duration::from_secs(5));
    assert!(agent.memory().anonymous < before + 600 * 20_000 / 4);
    assert!(hec.request_count() - requests <= 4 * 6, "Retry-After is honoured");
    assert!(hec.most_at_once() <= 4);
    hec.set_fault(Fault::None);
    settle(&ledger, &hec).assert_exactly_once();
}

/// Destinations of which some are sick; the others must not notice.
fn healthy_ones_do_not_notice(sick: &[Option<Fault>]) {
    let receivers: Vec<Hec> = sick.iter().map(|_| Hec::plain()).collect();
    let mut agent = Agent::new();
    for (index, hec) in receivers.iter().enumerate() {
        agent.add_hec(&format!("hec-{index}"), hec).set("filter", ONLY_GENERATED);
    }
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 500));
    receivers.iter().for_each(|hec| hec.wait_distinct(500, PATIENCE));
    for (hec, fault) in receivers.iter().zip(sick) {
        hec.set_fault(fault.clone().unwrap_or_default());
    }
    for run in 2..5 {
        ledger.merge(write(&agent, Workload::new(run, 20, 500)));
        for (hec, fault) in receivers.iter().zip(sick) {
            if fault.is_none() {
                hec.wait_distinct(ledger.acked.len(), Duration::from_secs(10));
            }
        }
    }
    for hec in &receivers {
        hec.set_fault(Fault::None);
    }
    for (index, hec) in receivers.iter().enumerate() {
        let name = format!("hec-{index}");
        // One that is mended in the middle of refusing everything may have had some events condemned.
        wait_until("each event has arrived or is a dead letter", PATIENCE * 4, || {
            let dead = agent.metric("destination_deadlettered_total", &[("destination", &name)]);
            hec.distinct() + dead as usize == ledger.acked.len()
        });
        hec.assert_no_violations();
    }
    agent.assert_books_balance();
}

#[test]
fn lesson_11_one_dead_destination_stops_no_other() {
    healthy_ones_do_not_notice(&[Some(Fault::Hang), None]);
}

#[test]
fn lesson_12_any_subset_of_destinations_may_die() {
    for subset in 1..7_u32 {
        let mut receivers: Vec<Hec> = (0..3).map(|_| Hec::plain()).collect();
        let mut agent = Agent::new();
        for (index, hec) in receivers.iter().enumerate() {
            agent.add_hec(&format!("hec-{index}"), hec).set("filter", ONLY_GENERATED);
        }
        agent.start();
        let is_dead = |index: usize| subset & (1 << index) != 0;
        (0..3).filter(|index| is_dead(*index)).for_each(|index| receivers[index].go_down());
        let ledger = write(&agent, Workload::new(1, 20, 1_000));
        for index in (0..3).filter(|index| !is_dead(*index)) {
            receivers[index].wait_distinct(1_000, Duration::from_secs(10));
        }
        receivers.iter_mut().for_each(Hec::come_up);
        for hec in &receivers {
            settle(&ledger, hec);
        }
    }
}

#[test]
fn lesson_13_after_an_outage_with_thousands_of_batches_waiting_it_goes_on() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED).set("batch", "{ max_events = 1 }");
    agent.start();
    hec.go_down();
    let ledger = write(&agent, Workload::new(1, 20, 3_000));
    thread::sleep(Duration::from_secs(3));
    hec.come_up();
    settle_within(&ledger, &hec, PATIENCE * 2).assert_exactly_once();
}

#[test]
fn lesson_14_a_sick_destination_of_any_kind_holds_up_no_other() {
    healthy_ones_do_not_notice(&[
        Some(Fault::bad_request()),
        Some(Fault::busy(Some(30))),
        Some(Fault::CloseAfterBody { takes: false }),
        Some(Fault::Answer(scaidrive_tests::hec::reply(403, 4, "Invalid token"))),
        None,
    ]);
}

#[test]
fn lesson_15_the_oldest_gives_way_and_lesson_46_the_loss_is_a_security_event() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.set_buffer("segment_size", "\"1MiB\"").set_buffer("max_size", "\"8MiB\"");
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED).set("ordered", "true");
    hec.go_down();
    agent.start();
    // More than twice the budget; the agent goes on taking events.
    let ledger = write(&agent, Workload::new(1, 20, 30_000));
    hec.come_up();
    let newest = *ledger.acked.last().unwrap();
    wait_until("the newest event arrives", PATIENCE, || {
        hec.arrivals().list.iter().any(|arrival| arrival.key == Some(newest))
    });
    wait_until("lesson 16: every lost event is counted", PATIENCE * 2, || {
        let lost = compare(&ledger, &hec.arrivals()).missing.len() as u64;
        overflow_notices(&hec.arrivals()).iter().map(|notice| notice.count).sum::<u64>() == lost
    });
    let arrivals = hec.arrivals();
    let report = compare(&ledger, &arrivals);
    assert!(!report.missing.is_empty());
    report.assert_ordered();
    let (place, notice) = &arrivals.own("siem.buffer_overflow")[0];
    assert_eq!(*place, 0, "the notice comes first");
    assert_eq!(notice["category"], "SECURITY");
    scaidrive_tests::oracle::assert_notices_explain(&report, &overflow_notices(&arrivals), &arrivals.streams[0]);
    // What is published is a moment old.
    wait_until("lesson 16: metric and truth agree", PATIENCE, || {
        let overflowed = agent.metric("destination_overflowed_total", &[("destination", "hec")]);
        overflowed == report.missing.len() as f64
    });
}

#[test]
fn lesson_17_no_gauge_is_ever_negative_or_absurd() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.set_buffer("segment_size", "\"1MiB\"").set_buffer("max_size", "\"8MiB\"");
    agent.add_hec("hec", &hec);
    agent.start();
    let flow = Workload { pause: Duration::from_millis(2), ..Workload::new(1, 20, 30_000) };
    let producer = Producer::start(&agent.config.socket, flow);
    let mut step = 0;
    while !producer.is_done() {
        step += 1;
        match step % 20 {
            5 => hec.go_down(),
            15 => hec.come_up(),
            _ => {}
        }
        for sample in agent.metrics().samples() {
            assert!(sample.value >= 0.0 && sample.value < 1e15, "{sample:?}");
        }
        agent.assert_books_balance();
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn lesson_18_another_destination_costs_a_cursor_not_a_buffer() {
    let used = |destinations: usize| {
        let hec = Hec::plain();
        let mut agent = Agent::new();
        for index in 0..destinations {
            agent.add_hec(&format!("hec-{index}"), &hec).set("filter", ONLY_GENERATED);
        }
        agent.start();
        write(&agent, Workload::new(1, 20, 1_000));
        wait_until("all of it is delivered", PATIENCE, || hec.generated() == 1_000 * destinations);
        agent.stop();
        agent.segments().iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>()
    };
    assert_eq!(used(1), used(20));
}

#[test]
fn lesson_19_the_budget_holds_for_the_whole_agent() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.shards = 2;
    agent.config.set_buffer("segment_size", "\"1MiB\"").set_buffer("max_size", "\"16MiB\"");
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    hec.go_down();
    agent.start();
    let producer = Producer::start(&agent.config.socket, Workload::new(1, 20, 60_000));
    while !producer.is_done() {
        let bytes: u64 =
            agent.segments().iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum();
        // A spare for each shard is on its way while the oldest gives way.
        assert!(bytes <= 18 << 20, "{bytes} bytes of segments with a budget of 16 MiB");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn lesson_26_and_30_a_poison_event_becomes_a_dead_letter_and_is_not_tried_again() {
    let hec = Hec::plain();
    let bad = Key { run: 1, tenant: 0, count: 50 };
    hec.set_fault(Fault::RefuseEvents {
        when: Predicate::contains(&bad.event_id()),
        names_event: false,
        keeps_prefix: true,
    });
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    write(&agent, Workload::new(1, 1, 200));
    wait_until("it is a dead letter", PATIENCE, || agent.metric("destination_deadlettered_total", &[]) == 1.0);
    hec.wait_distinct(199, PATIENCE);
    let refused = || hec.requests().iter().filter(|request| request.status == 400).count();
    let before = refused();
    agent.restart();
    write(&agent, Workload::new(2, 1, 200));
    hec.wait_distinct(399, PATIENCE);
    holds_for("it is not sent again", Duration::from_secs(1), || refused() == before);

    // Row 29: what was refused, why, and the original bytes can be seen.
    let list = agent.command(&["deadletter", "list", "--json"]);
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(
        list.status.success() && text.contains("Invalid data format"),
        "{text} {}",
        String::from_utf8_lossy(&list.stderr)
    );
    let stream = hec.arrivals().streams[0].clone();
    let arrived = compare(&Ledger::default(), &hec.arrivals());
    let n = (1..).find(|n| arrived.streams[&stream].numbers.binary_search(n).is_err()).unwrap();
    let show = agent.command(&["deadletter", "show", "hec", &stream, &n.to_string(), "--json"]);
    let text = String::from_utf8_lossy(&show.stdout).into_owned();
    assert!(text.contains(&bad.event_id()), "{text} {}", String::from_utf8_lossy(&show.stderr));
}

#[test]
fn lesson_31_a_body_is_never_longer_than_its_limit() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED).set("batch", "{ max_size = \"16KiB\" }");
    agent.start();
    let mut session = agent.session();
    let mut lines = 0;
    for count in 0..2_000_u32 {
        // Sizes that end on every side of the limit, with characters of several bytes.
        let mut line = event_line(Key { run: 1, tenant: 1, count }, 600 + (count as usize * 37) % 3_000);
        let text =
            String::from_utf8(std::mem::take(&mut line)).unwrap().replace("filler\":\"", "filler\":\"äöü€\\u20ac");
        session.send(text.as_bytes()).unwrap();
        session.send(b"\n").unwrap();
        lines += 1;
    }
    assert!(session.wait_acked(lines, PATIENCE));
    hec.wait_distinct(lines as usize, PATIENCE);
    let longest = hec.requests().iter().map(|request| request.body_bytes).max().unwrap();
    assert!(longest <= 16 * 1024, "{longest}");
    // An event longer than the limit travels alone.
    session.send(&event_line(Key { run: 2, tenant: 1, count: 0 }, 100_000)).unwrap();
    session.send(b"\n").unwrap();
    hec.wait_distinct(lines as usize + 1, PATIENCE);
    let alone = hec.requests().into_iter().find(|request| request.body_bytes > 16 * 1024).unwrap();
    assert_eq!(alone.events, 1);
}

#[test]
fn lesson_32_a_changed_token_holds_events_back_and_loses_none() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 500));
    hec.wait_distinct(500, PATIENCE);
    hec.set_token("the-new-one");
    ledger.merge(write(&agent, Workload::new(2, 20, 500)));
    agent.wait_state("hec", "auth_hold", PATIENCE);
    let requests = hec.request_count();
    holds_for("it knocks, it does not hammer", Duration::from_secs(2), || hec.request_count() <= requests + 4);
    agent.set_token("the-new-one");
    settle_within(&ledger, &hec, PATIENCE * 2).assert_exactly_once();
    agent.wait_state("hec", "active", PATIENCE);
    assert_eq!(agent.metric("destination_deadlettered_total", &[]), 0.0);
    for secret in [scaidrive_tests::hec::TOKEN, "the-new-one"] {
        assert!(!agent.said().contains(secret), "a secret in the agent's own log");
    }
}

#[test]
fn lesson_33_and_34_an_authority_replaced_on_disk_is_trusted_without_a_reload_and_kept_when_its_file_breaks() {
    let dir = tempfile::tempdir().unwrap();
    let authority = |name: &str| {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        Authority::new(&folder)
    };
    let (old, new) = (authority("old"), authority("new"));
    let trusted = dir.path().join("trusted.pem");
    let replace_by = |pem: &[u8]| {
        fs::write(trusted.with_extension("next"), pem).unwrap();
        fs::rename(trusted.with_extension("next"), &trusted).unwrap();
    };
    replace_by(&fs::read(old.ca_file()).unwrap());
    let identity = new.issue(dir.path(), "hec", &["localhost"]);
    let mut hec = Hec::start(Settings { tls: Some(identity.server), ..Settings::default() });
    let mut agent = Agent::new();
    let destination = Destination::hec("hec", &hec.url(), &agent.token_file()).trusting(&trusted);
    agent.config.add(destination.with("filter", ONLY_GENERATED));
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 500));
    agent.wait_state("hec", "misconfigured", PATIENCE);
    assert_eq!(hec.count(), 0, "the old authority did not issue this certificate");
    replace_by(&fs::read(new.ca_file()).unwrap());
    settle_within(&ledger, &hec, PATIENCE * 2).assert_exactly_once();
    // A renewal that went wrong: the next connection still trusts what was good.
    replace_by(b"no certificate");
    hec.go_down();
    ledger.merge(write(&agent, Workload::new(2, 20, 500)));
    wait_until("the broken file is read", PATIENCE, || agent.said().contains("what was read before stays in use"));
    hec.come_up();
    settle_within(&ledger, &hec, PATIENCE * 2).assert_contiguous();
    agent.assert_books_balance();
}

#[test]
fn lesson_41_segment_sizes_may_change_and_the_log_can_be_exported() {
    let mut hec = Hec::plain();
    let (mut agent, mut ledger) = stopped_with_backlog(&mut hec, 3_000);
    for (run, size) in [(2, "4MiB"), (3, "2MiB"), (4, "1MiB")] {
        agent.config.set_buffer("segment_size", &format!("\"{size}\""));
        agent.start();
        ledger.merge(write(&agent, Workload::new(run, 20, 1_000)));
        agent.stop();
    }
    let keys = exported_keys(&agent.command(&["log", "export"]).stdout);
    assert!(ledger.acked.iter().all(|key| keys.contains_key(key)));
    hec.come_up();
    agent.start();
    settle(&ledger, &hec).assert_exactly_once();
}

#[test]
fn lesson_42_a_lost_cursor_loses_no_event() {
    for ruin in [|path: &Path| fs::remove_file(path).unwrap(), |path: &Path| set_len(path, 10)] {
        let mut hec = Hec::plain();
        let (mut agent, ledger) = stopped_with_backlog(&mut hec, 3_000);
        assert!(!agent.cursors().is_empty(), "the test knows where cursors lie");
        agent.cursors().iter().for_each(|path| ruin(path));
        agent.start();
        hec.come_up();
        settle(&ledger, &hec).assert_contiguous();
    }
}

#[test]
fn lesson_43_after_torn_writes_it_starts_without_a_panic() {
    let mut rng = Rng::new(43);
    for _ in 0..5 {
        let mut hec = Hec::plain();
        let (mut agent, _) = stopped_with_backlog(&mut hec, 2_000);
        agent.start();
        write(&agent, Workload::new(2, 20, 500));
        agent.kill();
        // Pages of the newest segment that a power cut would have left as they were before.
        let newest = agent.segments().pop().unwrap();
        let pages = fs::metadata(&newest).unwrap().len() / 4096;
        for _ in 0..3 {
            overwrite(&newest, rng.below(pages.max(1)) * 4096, &[0; 4096]);
        }
        agent.start();
        hec.come_up();
        let fresh = write(&agent, Workload::new(3, 20, 300));
        wait_until("new events arrive", PATIENCE, || compare(&fresh, &hec.arrivals()).missing.is_empty());
        assert!(!agent.said().contains("panicked"));
    }
}

#[test]
fn lesson_45_it_never_says_that_events_are_lost_when_they_are_not() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("timeouts", "{ request = \"1s\" }");
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 20, 500));
    for (run, fault) in [(2, Fault::internal_error()), (3, Fault::Hang), (4, Fault::CutReply { takes: true })] {
        hec.set_fault_times(2, fault);
        ledger.merge(write(&agent, Workload::new(run, 20, 500)));
    }
    hec.go_down();
    ledger.merge(write(&agent, Workload::new(5, 20, 500)));
    agent.restart();
    hec.come_up();
    settle_within(&ledger, &hec, PATIENCE * 2);
    assert!(overflow_notices(&hec.arrivals()).is_empty());
    for word in ["dropped", "dropping", "discard", "lost "] {
        assert!(
            !agent.said().to_lowercase().contains(word),
            "nothing was lost, yet it says {word:?}:\n{}",
            agent.said()
        );
    }
}

#[test]
fn lesson_47_told_to_stop_during_retries_it_stops_and_the_rest_is_on_disk() {
    let hec = Hec::plain();
    hec.set_fault(Fault::Hang);
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let ledger = write(&agent, Workload::new(1, 20, 3_000));
    wait_until("a request hangs", PATIENCE, || hec.request_count() > 0);
    assert!(agent.stop() < STOPPED_WITHIN);
    hec.set_fault(Fault::None);
    agent.start();
    settle(&ledger, &hec).assert_exactly_once();
}

#[test]
fn lesson_50_after_an_orderly_restart_nothing_comes_twice() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let mut ledger = Ledger::default();
    for run in 1..=4 {
        ledger.merge(write(&agent, Workload::new(run, 20, 500)));
        hec.wait_distinct(ledger.acked.len(), PATIENCE);
        agent.restart();
    }
    write_one(&agent, Key { run: 9, tenant: 0, count: 0 });
    hec.wait_distinct(ledger.acked.len() + 1, PATIENCE);
    ledger.acked.push(Key { run: 9, tenant: 0, count: 0 });
    settle(&ledger, &hec).assert_exactly_once();
}
