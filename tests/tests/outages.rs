//! Receivers that are down, slow, lying or refusing.

use std::thread;
use std::time::{Duration, Instant};

use scaidrive_tests::agent_config::{Destination, quoted_list};
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Key, Ledger, Producer, Workload, event_line};
use scaidrive_tests::hec::{Fault, Hec, Predicate};
use scaidrive_tests::oracle::{assert_notices_explain, compare, overflow_notices};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, ordered, settle, settle_within, write, write_one};
use scaidrive_tests::syslog::{Framing, Sink};
use scaidrive_tests::wait::{holds_for, wait_until};

const EVENTS: u64 = 5_000;

fn throttled(run: u32, events: u64) -> Workload {
    Workload { pause: Duration::from_millis(5), ..Workload::new(run, 20, events) }
}

#[test]
fn a_receiver_that_is_down_in_the_middle_misses_nothing() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    ordered(&mut agent, "hec", &hec);
    agent.start();
    let producer = Producer::start(&agent.config.socket, throttled(1, EVENTS));
    wait_until("the flow has begun", PATIENCE, || hec.generated() > 500);
    hec.go_down();
    // Acknowledgements go on while nothing can be delivered.
    let before = producer.acked();
    wait_until("events are still taken", PATIENCE, || producer.acked() > before + 1_000);
    hec.come_up();
    let ledger = producer.finish(PATIENCE);
    let report = settle(&ledger, &hec);
    report.assert_contiguous();
    report.assert_ordered();
    agent.assert_books_balance();
}

#[test]
fn every_kind_of_failure_one_after_the_other_loses_nothing() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED).set("timeouts", "{ request = \"2s\" }");
    agent.start();
    let producer = Producer::start(&agent.config.socket, throttled(1, EVENTS));
    let faults = [
        Fault::internal_error(),
        Fault::busy(Some(1)),
        Fault::at_capacity(None),
        Fault::CloseAfterBody { takes: true },
        Fault::CloseAfterBody { takes: false },
        Fault::CutReply { takes: true },
        Fault::CutReply { takes: false },
        Fault::SlowReply(Duration::from_millis(300)),
        Fault::Hang,
    ];
    for fault in faults {
        let before = hec.request_count();
        hec.set_fault_times(2, fault);
        wait_until("a request met the fault", PATIENCE, || hec.request_count() > before || producer.is_done());
    }
    hec.go_down();
    thread::sleep(Duration::from_millis(300));
    hec.come_up();
    let ledger = producer.finish(PATIENCE);
    settle_within(&ledger, &hec, PATIENCE * 2).assert_contiguous();
    agent.assert_books_balance();
}

#[test]
fn a_receiver_that_refuses_everything_costs_no_dead_letter() {
    let hec = Hec::plain();
    hec.set_fault(Fault::bad_request());
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let ledger = write(&agent, Workload::new(1, 20, 2_000));
    agent.wait_state("hec", "misconfigured", PATIENCE);
    let requests = hec.request_count();
    holds_for("it only probes now", Duration::from_secs(2), || hec.request_count() < requests + 10);
    assert_eq!(agent.metric("destination_deadlettered_total", &[("destination", "hec")]), 0.0);
    hec.set_fault(Fault::None);
    settle_within(&ledger, &hec, PATIENCE * 6).assert_exactly_once();
    agent.wait_state("hec", "active", PATIENCE);
    agent.assert_books_balance();
}

/// Lets exactly 500 events gather behind one slow request, so that they travel as one batch.
fn batch_of_500(agent: &Agent, hec: &Hec) -> Vec<Key> {
    hec.set_fault_times(1, Fault::SlowReply(Duration::from_secs(3)));
    write_one(agent, Key { run: 9, tenant: 0, count: 0 });
    wait_until("the slow request is under way", PATIENCE, || hec.request_count() == 1);
    write(agent, Workload::new(1, 1, 500)).acked
}

#[test]
fn one_poison_event_in_a_batch_of_500_costs_one_dead_letter_and_at_most_ten_extra_requests() {
    for (poison, names_event) in [(0_u32, false), (250, false), (499, false), (123, true)] {
        let hec = Hec::plain();
        let mut agent = Agent::new();
        agent.add_hec("hec", &hec).set("ordered", "true").set("filter", ONLY_GENERATED);
        agent.start();
        let bad = Key { run: 1, tenant: 0, count: poison };
        let keys = batch_of_500(&agent, &hec);
        hec.set_fault(Fault::RefuseEvents {
            when: scaidrive_tests::hec::Predicate::contains(&bad.event_id()),
            names_event,
            keeps_prefix: false,
        });
        hec.wait_distinct(500, PATIENCE);
        wait_until("the dead letter is stored", PATIENCE, || {
            agent.metric("destination_deadlettered_total", &[]) == 1.0
        });
        let arrived: Vec<Key> = hec.arrivals().list.iter().filter_map(|arrival| arrival.key).collect();
        assert!(keys.iter().all(|key| *key == bad || arrived.contains(key)), "poison {poison}: the others arrive");
        assert!(!arrived.contains(&bad));
        let requests: Vec<_> = hec.requests().into_iter().filter(|request| request.generated > 0).collect();
        assert_eq!(requests[1].generated, 500, "the test wants one batch: {requests:#?}");
        let extra = requests.len() - 2;
        assert!(extra <= 10, "poison {poison}: {extra} extra requests");
        hec.assert_no_violations();
        agent.assert_books_balance();
    }
}

#[test]
fn a_refused_event_is_announced_and_its_number_is_in_the_notice() {
    let hec = Hec::plain();
    let bad = Key { run: 1, tenant: 0, count: 7 };
    hec.set_fault(Fault::poison(&bad.event_id()));
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let mut ledger = write(&agent, Workload::new(1, 1, 100));
    hec.wait_distinct(99, PATIENCE);
    wait_until("the notice", PATIENCE * 2, || !scaidrive_tests::oracle::refusal_notices(&hec.arrivals()).is_empty());
    let arrivals = hec.arrivals();
    let report = compare(&ledger, &arrivals);
    assert_eq!(report.missing, [bad]);
    let notices = scaidrive_tests::oracle::refusal_notices(&arrivals);
    assert_notices_explain(&report, &notices, &arrivals.streams[0]);
    ledger.acked.retain(|key| *key != bad);
    compare(&ledger, &arrivals).assert_nothing_lost();
}

#[test]
fn an_outage_longer_than_the_window_is_announced_first_and_exactly() {
    let mut broken = Hec::plain();
    let healthy = Hec::plain();
    let mut agent = Agent::new();
    agent.config.set_buffer("window", "\"10s\"");
    agent.config.set_buffer("segment_size", "\"1MiB\"");
    agent.add_hec("broken", &broken).set("ordered", "true");
    agent.add_hec("healthy", &healthy).set("ordered", "true");
    agent.start();
    let before = write(&agent, Workload::new(1, 20, 500));
    broken.wait_distinct(before.acked.len(), PATIENCE);

    broken.go_down();
    let start = Instant::now();
    let flow = Workload { pause: Duration::from_millis(50), ..Workload::new(2, 20, 1_000_000) };
    let producer = Producer::start(&agent.config.socket, flow);
    thread::sleep(Duration::from_secs(30).saturating_sub(start.elapsed()));
    let arrived_before = broken.count();
    broken.come_up();
    wait_until("events flow to it again", PATIENCE * 2, || broken.count() > arrived_before);
    producer.stop();
    let mut ledger = producer.finish(PATIENCE);
    ledger.merge(before);

    healthy.wait_distinct(ledger.acked.len(), PATIENCE * 2);
    let report = compare(&ledger, &healthy.arrivals());
    report.assert_exactly_once();
    assert_eq!(
        overflow_notices(&healthy.arrivals())
            .iter()
            .filter(|notice| notice.stream == broken.arrivals().streams[0])
            .count(),
        overflow_notices(&healthy.arrivals()).len(),
        "the healthy one hears only about the broken one"
    );

    let newest = *ledger.acked.iter().filter(|key| key.run == 2).max_by_key(|key| key.count).unwrap();
    wait_until("the newest event arrives", PATIENCE * 2, || {
        broken.arrivals().list.iter().any(|arrival| arrival.key == Some(newest))
    });
    // The notices of the episode go on for a minute after the last loss.
    let named = |hec: &Hec| overflow_notices(&hec.arrivals()).iter().map(|notice| notice.count).sum::<u64>();
    wait_until("all that is missing is named", PATIENCE * 3, || {
        let missing = compare(&ledger, &broken.arrivals()).missing.len() as u64;
        named(&broken) >= missing
    });
    let arrivals = broken.arrivals();
    let report = compare(&ledger, &arrivals);
    assert!(!report.missing.is_empty(), "20 s of events cannot have fit into a window of 10 s");
    let notices = overflow_notices(&arrivals);
    assert_notices_explain(&report, &notices, &arrivals.streams[0]);
    assert_eq!(notices[0].place, arrived_before, "the first thing it gets is the notice");
    broken.assert_no_violations();
    agent.assert_books_balance();
    let overflowed = agent.metric("destination_overflowed_total", &[("destination", "broken")]);
    assert_eq!(overflowed, named(&broken) as f64, "the metric and the notices tell the same loss");
}

const QUIET_TENANTS: u32 = 4;
const QUIET_EVENTS: u32 = 200;
const QUIET_EVERY: Duration = Duration::from_millis(50);
const LOUDER: u32 = 100;

/// Runs the load of the quiet tenants, each with a receiver of its own, the last of which is slow. With `is_loud` tenant 0
/// writes a hundred times as much for a receiver that is dead. Returns how long the quiet tenants' events took, sorted.
fn times_of_the_quiet(is_loud: bool) -> Vec<Duration> {
    let mut dead = Hec::plain();
    dead.go_down();
    let quiet: Vec<Hec> = (0..QUIET_TENANTS).map(|_| Hec::plain()).collect();
    quiet[quiet.len() - 1].set_fault(Fault::SlowReply(Duration::from_millis(300)));
    let tenant_of = |tenant: u32| Key { run: 0, tenant, count: 0 }.tenant_id();
    let mut agent = Agent::new();
    // One log for all, and less than the loud tenant writes.
    agent.config.set_buffer("segment_size", "\"1MiB\"").set_buffer("max_size", "\"8MiB\"");
    for (tenant, hec) in (0..).zip(std::iter::once(&dead).chain(&quiet)) {
        let tenants = quoted_list(&[&tenant_of(tenant)]);
        agent.add_hec(&tenant_of(tenant), hec).set("tenants", &tenants).set("filter", ONLY_GENERATED);
    }
    agent.start();

    let flow = Workload { pause: Duration::from_millis(25), ..Workload::new(1, 1, u64::from(LOUDER * QUIET_EVENTS)) };
    let loud = is_loud.then(|| Producer::start(&agent.config.socket, flow));
    let mut session = agent.session();
    let (begun, mut sent) = (Instant::now(), Vec::new());
    for count in 0..QUIET_EVENTS {
        thread::sleep((QUIET_EVERY * count).saturating_sub(begun.elapsed()));
        sent.push(Instant::now());
        for tenant in 1..=QUIET_TENANTS {
            session.send(&event_line(Key { run: 2, tenant, count }, 600)).unwrap();
            session.send(b"\n").unwrap();
        }
    }
    assert!(session.wait_acked(u64::from(QUIET_TENANTS * QUIET_EVENTS), PATIENCE));
    if let Some(loud) = loud {
        assert_eq!(loud.finish(PATIENCE).acked.len() as u32, LOUDER * QUIET_EVENTS);
    }

    let mut times = Vec::new();
    let overflowed = |tenant| agent.metric("destination_overflowed_total", &[("destination", &tenant_of(tenant))]);
    for (tenant, hec) in (1..).zip(&quiet) {
        let acked = (0..QUIET_EVENTS).map(|count| Key { run: 2, tenant, count }).collect();
        settle(&Ledger { acked, ..Ledger::default() }, hec).assert_exactly_once();
        assert_eq!(overflowed(tenant), 0.0, "{} lost events", tenant_of(tenant));
        let arrivals = hec.arrivals().list;
        times.extend(arrivals.iter().filter_map(|arrival| Some(arrival.at - sent[arrival.key?.count as usize])));
    }
    assert_eq!(overflowed(0) > 0.0, is_loud, "the loud tenant alone pays for its dead receiver");
    agent.assert_books_balance();
    times.sort_unstable();
    times
}

#[test]
fn lesson_37_a_loud_tenant_with_a_dead_destination_costs_the_others_nothing() {
    const EACH_WITHIN: Duration = Duration::from_secs(5);
    const WORSE_BY: Duration = Duration::from_secs(1);
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    let (without, beside) = (times_of_the_quiet(false), times_of_the_quiet(true));
    let words = format!("99 of 100 within {:?} without the loud one and {:?} beside it", p99(&without), p99(&beside));
    assert!(p99(&beside) <= p99(&without) + WORSE_BY, "{words}");
    assert!(beside.iter().all(|time| *time < EACH_WITHIN), "{words}; the slowest in {:?}", beside.last());
}

#[test]
fn with_on_full_block_producers_wait_and_nothing_is_lost() {
    let mut hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.set_buffer("on_full", "\"block\"");
    agent.config.set_buffer("segment_size", "\"1MiB\"").set_buffer("max_size", "\"8MiB\"");
    agent.add_hec("hec", &hec).set("required", "true").set("ordered", "true").set("filter", ONLY_GENERATED);
    agent.start();
    hec.go_down();
    let producer = Producer::start(&agent.config.socket, Workload::new(1, 20, 30_000));
    // 30,000 events of 600 bytes are more than twice the budget.
    let mut last = (0, Instant::now());
    wait_until("the producer is held back", PATIENCE, || {
        if producer.acked() != last.0 {
            last = (producer.acked(), Instant::now());
        }
        last.0 > 0 && last.1.elapsed() > Duration::from_secs(2)
    });
    assert!(!producer.is_done());
    hec.come_up();
    let ledger = producer.finish(PATIENCE * 2);
    assert_eq!(ledger.acked.len(), 30_000);
    let report = settle(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
    assert!(!ledger.waits.is_empty(), "a producer that waits is told why");
}

#[test]
fn what_a_syslog_peer_took_and_never_read_is_sent_again() {
    let sink = Sink::start(Framing::OctetCounting, None, false);
    let agent = Agent::with([Destination::syslog("sink", "tcp", sink.address()).with("filter", ONLY_GENERATED)]);
    let first = write(&agent, Workload::new(1, 20, 100));
    sink.wait_distinct(first.acked.len(), PATIENCE);
    sink.set_stalled(true);
    let mut ledger = write(&agent, Workload::new(2, 20, 100));
    // The peer's kernel has acknowledged all of it; its program dies without having read it.
    thread::sleep(Duration::from_secs(1));
    sink.hang_up();
    sink.set_stalled(false);
    ledger.merge(first);
    sink.wait_distinct(ledger.acked.len(), PATIENCE);
    let report = compare(&ledger, &sink.arrivals());
    report.assert_nothing_lost();
    report.assert_contiguous();
    sink.assert_no_errors();
}

#[test]
fn a_notice_that_is_refused_holds_up_no_event() {
    let hec = Hec::plain();
    let poison = Key { run: 1, tenant: 0, count: 3 };
    let id = poison.event_id();
    // A filter on the way that knows one word: the notice quotes the reply, which quotes the event.
    let is_bad = move |event: &[u8]| {
        let text = String::from_utf8_lossy(event);
        text.contains(&id) || text.contains("siem.events_refused")
    };
    hec.set_fault(Fault::RefuseEvents { when: Predicate::new(is_bad), names_event: false, keeps_prefix: false });
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    write(&agent, Workload::new(1, 1, 10));
    hec.wait_distinct(9, PATIENCE);
    wait_until("the notice is refused", PATIENCE, || {
        let labels = [("destination", "hec"), ("state", "active_with_errors")];
        agent.metrics().sum("scaidrive_siem_destination_state", &labels) == Some(1.0)
    });
    for run in 2..5 {
        write(&agent, Workload::new(run, 1, 10));
        hec.wait_distinct(9 + 10 * (run as usize - 1), Duration::from_secs(10));
    }
    agent.assert_books_balance();
}
