//! Each kind of HTTP destination against its stand-in: what is acknowledged arrives once, as the documented limits want
//! it, also through refused credentials, busy replies and restarts of the receiver.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scaidrive_tests::agent_config::{Destination, quoted};
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::data_collector::{DataCollector, KEY, WORKSPACE};
use scaidrive_tests::datadog::{API_KEY, Datadog};
use scaidrive_tests::elastic::{AUTHORIZATION_VALUE, Elastic, Target};
use scaidrive_tests::generator::{Key, Ledger, Workload, event_line};
use scaidrive_tests::hec::Hec;
use scaidrive_tests::https::oauth::{CLIENT_ID, CLIENT_SECRET};
use scaidrive_tests::https::{Contract, Https, OAuth, Proof, Shape};
use scaidrive_tests::oracle::{Report, compare};
use scaidrive_tests::receiver::{Credentials, Fault, Predicate, Receiver, Rules, Settings};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write, write_one};
use scaidrive_tests::sentinel::entra::{CLIENT, SECRET, TENANT};
use scaidrive_tests::sentinel::{ColumnType, Entra, RULE_ID, Sentinel};
use scaidrive_tests::sumo::Sumo;
use scaidrive_tests::wait::wait_until;

const EVENTS: u64 = 2_000;

/// A destination of this type that gets the generated events.
fn destination(kind: &str) -> Destination {
    let destination = Destination { name: kind.to_owned(), lines: Vec::new() };
    destination.with("type", &quoted(kind)).with("filter", ONLY_GENERATED)
}

/// A secret in a file of the agent's directory, as the configuration names it.
fn secret(agent: &Agent, name: &str, text: &str) -> String {
    std::fs::write(agent.dir().join(name), text).unwrap();
    in_file(&agent.dir().join(name))
}

fn in_file(path: &Path) -> String {
    format!("{{ file = {} }}", quoted(&path.display().to_string()))
}

/// Starts the agent and writes events to it.
fn run(agent: &mut Agent) -> Ledger {
    agent.start();
    write(agent, Workload::new(1, 50, EVENTS))
}

/// Waits until every acknowledged event is there, and compares.
#[track_caller]
fn settle<R: Rules>(ledger: &Ledger, receiver: &Receiver<R>) -> Report {
    receiver.wait_distinct(ledger.acked.len(), PATIENCE);
    let report = compare(ledger, &receiver.arrivals());
    report.assert_nothing_lost();
    receiver.assert_no_violations();
    report
}

#[test]
fn lesson_27_events_arrive_in_elastic_once_although_items_are_refused_for_now_and_a_reply_is_lost() {
    let elastic = Elastic::start(Target::DataStream, Settings::default());
    let mut agent = Agent::new();
    let key = secret(&agent, "api_key", AUTHORIZATION_VALUE.strip_prefix("ApiKey ").unwrap());
    agent.config.add(destination("elastic").with("url", &quoted(&elastic.url())).with("api_key", &key));
    let some = Predicate::new(|event| event.len() % 3 == 0);
    elastic.set_fault_times(2, Fault::RefuseItems { when: some, status: 429 });
    let ledger = run(&mut agent);
    settle(&ledger, &elastic).assert_exactly_once();
    elastic.set_fault_times(1, Fault::CloseAfterBody { takes: true });
    let more = write(&agent, Workload::new(2, 50, EVENTS));
    elastic.wait_distinct(ledger.acked.len() + more.acked.len(), PATIENCE);
    assert_eq!(
        elastic.rules().document_count(),
        ledger.acked.len() + more.acked.len(),
        "what came twice is there once"
    );
    agent.assert_books_balance();
}

#[test]
fn elastic_goes_to_the_server_that_answers_when_the_other_is_down() {
    let elastic = Elastic::start(Target::DataStream, Settings::default());
    let mut dead = Elastic::start(Target::DataStream, Settings::default());
    dead.go_down();
    let mut agent = Agent::new();
    let key = secret(&agent, "api_key", AUTHORIZATION_VALUE.strip_prefix("ApiKey ").unwrap());
    let urls = format!("[{}, {}]", quoted(&dead.url()), quoted(&elastic.url()));
    agent.config.add(destination("elastic").with("urls", &urls).with("api_key", &key));
    let ledger = run(&mut agent);
    settle(&ledger, &elastic).assert_exactly_once();
}

#[test]
fn events_arrive_in_datadog_compressed_with_each_coding() {
    for coding in ["gzip", "zstd", "none"] {
        let datadog = Datadog::start(Settings::default());
        let mut agent = Agent::new();
        let key = secret(&agent, "api_key", API_KEY);
        agent.config.add(
            destination("datadog")
                .with("url", &quoted(&datadog.url()))
                .with("api_key", &key)
                .with("compression", &quoted(coding)),
        );
        let ledger = run(&mut agent);
        settle(&ledger, &datadog).assert_exactly_once();
    }
}

#[test]
fn lesson_32_a_datadog_key_that_is_rotated_in_its_file_is_found_and_nothing_is_lost() {
    let datadog = Datadog::start(Settings::default());
    let mut agent = Agent::new();
    let key = secret(&agent, "api_key", "ffffffffffffffffffffffffffffffff");
    agent.config.add(destination("datadog").with("url", &quoted(&datadog.url())).with("api_key", &key));
    let ledger = run(&mut agent);
    wait_until("the agent holds for credentials", PATIENCE, || {
        let labels = [("destination", "datadog"), ("state", "auth_hold")];
        agent.metrics().sum("scaidrive_siem_destination_state", &labels) == Some(1.0)
    });
    secret(&agent, "api_key", API_KEY);
    datadog.wait_distinct(ledger.acked.len(), PATIENCE);
    compare(&ledger, &datadog.arrivals()).assert_exactly_once();
    agent.assert_books_balance();
}

#[test]
fn events_arrive_at_a_sumo_logic_source_whose_address_is_the_secret() {
    let sumo = Sumo::start(Settings::default());
    let mut agent = Agent::new();
    let url = secret(&agent, "source_url", &sumo.source_url());
    agent.config.add(destination("sumo_logic").with("secret_url", &url));
    let ledger = run(&mut agent);
    settle(&ledger, &sumo).assert_exactly_once();
    let shown = agent.command(&["check", "--json"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(!shown.contains(scaidrive_tests::sumo::CODE), "{shown}");
}

#[test]
fn events_arrive_in_sentinel_with_tokens_that_are_fetched_once_and_again_when_they_are_refused() {
    let tokens = Arc::new(Credentials::default());
    let sentinel = Sentinel::start(&tokens, Settings::default());
    // What the shipped data collection rule declares beside the stand-in's own columns.
    for (name, column) in
        [("EventTime", ColumnType::Datetime), ("Extra", ColumnType::Dynamic), ("Truncated", ColumnType::Boolean)]
    {
        sentinel.rules().declare(name, column);
    }
    let entra = Entra::start(&tokens, Settings::default());
    let mut agent = Agent::new();
    let client_secret = secret(&agent, "client_secret", SECRET);
    agent.config.shards = 2;
    agent.config.add(
        destination("sentinel")
            .with("url", &quoted(&sentinel.url()))
            .with("rule", &quoted(RULE_ID))
            .with("tenant_id", &quoted(TENANT))
            .with("client_id", &quoted(CLIENT))
            .with("client_secret", &client_secret)
            .with("authority", &quoted(&entra.url())),
    );
    let ledger = run(&mut agent);
    settle(&ledger, &sentinel).assert_exactly_once();
    assert_eq!(entra.rules().issuer().count(), 1, "two shards, one token");
    tokens.revoke_all();
    let more = write(&agent, Workload::new(2, 50, EVENTS));
    sentinel.wait_distinct(ledger.acked.len() + more.acked.len(), PATIENCE);
    assert!((2..=3).contains(&entra.rules().issuer().count()), "{}", entra.rules().issuer().count());
    entra.assert_no_violations();
    let before = entra.rules().issuer().count();
    sentinel.set_fault_times(1, Fault::Status { status: 403, retry_after: None });
    let last = write(&agent, Workload::new(3, 50, EVENTS));
    sentinel.wait_distinct(ledger.acked.len() + more.acked.len() + last.acked.len(), PATIENCE);
    assert!(entra.rules().issuer().count() > before, "403 may mean a token that has ended");
}

#[test]
fn events_arrive_at_the_retired_data_collector_too() {
    let workspace = DataCollector::start(Settings::default());
    let mut agent = Agent::new();
    let key = secret(&agent, "workspace_key", KEY);
    agent.config.add(
        destination("sentinel")
            .with("api", "\"data_collector\"")
            .with("url", &quoted(&workspace.url()))
            .with("workspace_id", &quoted(WORKSPACE))
            .with("workspace_key", &key),
    );
    let ledger = run(&mut agent);
    settle(&ledger, &workspace).assert_exactly_once();
}

#[test]
fn events_arrive_at_any_receiver_in_each_form_with_each_proof() {
    let tokens = Arc::new(Credentials::default());
    let of = |secret: &str| Arc::new(Credentials::of(secret));
    let oauth = OAuth::start(&tokens, Some("events"), None, Settings::default());
    let cases = [
        ("array", Shape::Array, Proof::None),
        ("ndjson", Shape::Lines, Proof::Bearer(of("bearer-token"))),
        ("wrapped", Shape::Wrapped("events".to_owned()), Proof::Basic(of("user:password"))),
        ("array", Shape::Array, Proof::Header("x-key", of("header-secret"))),
        ("ndjson", Shape::Lines, Proof::Signature(of("signing-secret"))),
        ("array", Shape::Array, Proof::Bearer(Arc::clone(&tokens))),
    ];
    for (position, (body, shape, proof)) in cases.into_iter().enumerate() {
        let contract = Contract::new(shape, proof);
        let receiver = Https::start(contract, Settings::default());
        let mut agent = Agent::new();
        let mut to = destination("https").with("url", &quoted(&format!("{}/events", receiver.url())));
        to.set("body", &quoted(body));
        let file = |name: &str, text: &str| secret(&agent, name, text);
        match position {
            0 => {}
            1 => drop(to.set("bearer_token", &file("bearer", "bearer-token"))),
            2 => drop(to.set("user", "\"user\"").set("password", &file("password", "password"))),
            3 => {
                let value = file("header", "header-secret");
                to.set("secret_headers", &format!("[{{ name = \"X-Key\", value = {value} }}]"));
            }
            4 => drop(to.set("signing_secret", &file("signing", "signing-secret"))),
            _ => {
                let client_secret = file("client", CLIENT_SECRET);
                let token_url = quoted(&format!("{}/token", oauth.url()));
                let client_id = quoted(CLIENT_ID);
                to.set(
                    "oauth",
                    &format!(
                        "{{ token_url = {token_url}, client_id = {client_id}, client_secret = {client_secret}, scope = \"events\" }}"
                    ),
                );
            }
        }
        agent.config.add(to);
        receiver.set_fault_times(1, Fault::Status { status: 503, retry_after: None });
        let ledger = run(&mut agent);
        settle(&ledger, &receiver).assert_exactly_once();
        agent.assert_books_balance();
    }
}

#[test]
fn a_redirect_is_a_wrong_setting_and_nothing_follows_it() {
    let elsewhere = Https::start(Contract::new(Shape::Array, Proof::None), Settings::default());
    let receiver = Https::start(Contract::new(Shape::Array, Proof::None), Settings::default());
    let reply = scaidrive_tests::receiver::Reply::empty(307).with("Location", &elsewhere.url());
    receiver.set_fault(Fault::Answer(reply));
    let mut agent = Agent::new();
    agent.config.add(destination("https").with("url", &quoted(&format!("{}/events", receiver.url()))));
    let ledger = run(&mut agent);
    wait_until("the agent says that it is misconfigured", PATIENCE, || {
        let labels = [("destination", "https"), ("state", "misconfigured")];
        agent.metrics().sum("scaidrive_siem_destination_state", &labels) == Some(1.0)
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((receiver.count(), elsewhere.request_count()), (0, 0));
    assert!(!ledger.acked.is_empty());
}

#[test]
fn a_rate_limit_holds_events_back_and_says_so() {
    let receiver = Https::start(Contract::new(Shape::Array, Proof::None), Settings::default());
    let mut agent = Agent::new();
    agent.config.add(
        destination("https")
            .with("url", &quoted(&format!("{}/events", receiver.url())))
            .with("batch", "{ max_events = 100 }")
            .with("rate_limit", "{ events = 400 }"),
    );
    agent.start();
    let begun = Instant::now();
    let ledger = write(&agent, Workload::new(1, 50, EVENTS));
    wait_until("the agent says that it holds back", PATIENCE, || {
        let labels = [("destination", "https"), ("state", "throttled")];
        agent.metrics().sum("scaidrive_siem_destination_state", &labels) == Some(1.0)
    });
    settle(&ledger, &receiver).assert_exactly_once();
    // A second's worth may go at once, and one request of 100 more than is left.
    let least = Duration::from_millis((EVENTS - 400 - 100) * 1000 / 400);
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
}

#[test]
fn lesson_23_a_token_limited_to_one_index_costs_dead_letters_only_for_events_of_another() {
    let is_security = |key: &Key| {
        let event: serde_json::Value = serde_json::from_slice(&event_line(*key, 600)).unwrap();
        event["category"] == "SECURITY"
    };
    let hec = Hec::plain();
    hec.rules().allow_indexes(&["main"]);
    let mut agent = Agent::new();
    agent
        .add_hec("hec", &hec)
        .set("index", "\"main\"")
        .set("indexes", "[{ index = \"security\", filter = { categories = [\"SECURITY\"] } }]")
        .set("filter", ONLY_GENERATED);
    let mut ledger = run(&mut agent);
    let (for_security, for_main): (Vec<Key>, Vec<Key>) = ledger.acked.iter().partition(|key| is_security(key));
    hec.wait_distinct(for_main.len(), PATIENCE);
    ledger.acked = for_main;
    // What is accepted after a refusal is the evidence that the fault is not the receiver's.
    let mut later = (0..).map(|count| Key { run: 2, tenant: 0, count }).filter(|key| !is_security(key));
    wait_until("the events for the other index are dead letters", PATIENCE, || {
        let key = later.next().unwrap();
        write_one(&agent, key);
        ledger.acked.push(key);
        hec.wait_distinct(ledger.acked.len(), PATIENCE);
        agent.metric("destination_deadlettered_total", &[]) == for_security.len() as f64
    });
    ledger.unacked = for_security;
    let arrivals = hec.arrivals();
    let report = compare(&ledger, &arrivals);
    report.assert_nothing_lost();
    assert!(report.duplicates.is_empty(), "{:?}", report.duplicates);
    assert!(!arrivals.list.iter().filter_map(|arrival| arrival.key).any(|key| is_security(&key)));
    let refused = hec.requests().iter().filter(|request| request.status == 400).count();
    assert!(refused * 5 < ledger.unacked.len(), "{refused} refused requests: events are looked for one by one");
    let list = agent.command(&["deadletter", "list", "--json"]);
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(text.contains("Incorrect index"), "{text}");
    hec.assert_no_violations();
    agent.assert_books_balance();
}

#[test]
fn lesson_22_what_splunk_accepts_is_delivered_only_when_it_is_acknowledged() {
    let hec = Hec::plain();
    hec.rules().use_acks(true);
    hec.rules().demand_cookie();
    hec.rules().hold_acks(true);
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("ack", "\"on\"").set("filter", ONLY_GENERATED);
    let ledger = run(&mut agent);
    hec.wait_distinct(ledger.acked.len(), PATIENCE);
    let delivered =
        |agent: &Agent| agent.metrics().sum("scaidrive_siem_destination_delivered_total", &[("destination", "hec")]);
    assert_eq!(delivered(&agent), Some(0.0), "nothing is acknowledged yet");
    hec.rules().hold_acks(false);
    wait_until("everything is acknowledged", PATIENCE, || delivered(&agent) == Some(EVENTS as f64));
    let report = compare(&ledger, &hec.arrivals());
    report.assert_exactly_once();
    hec.assert_no_violations();
    agent.assert_books_balance();
}

#[test]
fn lesson_21_what_a_lost_session_leaves_unacknowledged_is_sent_again() {
    let hec = Hec::plain();
    hec.rules().use_acks(true);
    hec.rules().demand_cookie();
    hec.rules().hold_acks(true);
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    let ledger = run(&mut agent);
    hec.wait_distinct(ledger.acked.len(), PATIENCE);
    // The indexer is another one now, and its numbers begin at 0 again.
    hec.rules().expire_sessions();
    hec.rules().hold_acks(false);
    let more = write(&agent, Workload::new(2, 50, EVENTS));
    let all = (ledger.acked.len() + more.acked.len()) as f64;
    wait_until("everything is acknowledged", PATIENCE, || {
        let labels = [("destination", "hec")];
        agent.metrics().sum("scaidrive_siem_destination_delivered_total", &labels) == Some(all)
    });
    agent.assert_books_balance();
}

#[test]
fn a_token_without_acknowledgement_serves_auto_and_is_a_wrong_setting_for_on() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("auto", &hec).set("ack", "\"auto\"").set("filter", ONLY_GENERATED);
    let demanded = Hec::plain();
    agent.add_hec("on", &demanded).set("ack", "\"on\"").set("filter", ONLY_GENERATED);
    let ledger = run(&mut agent);
    hec.wait_distinct(ledger.acked.len(), PATIENCE);
    wait_until("the agent says that one is misconfigured", PATIENCE, || {
        let labels = [("destination", "on"), ("state", "misconfigured")];
        agent.metrics().sum("scaidrive_siem_destination_state", &labels) == Some(1.0)
    });
    assert_eq!(demanded.generated(), 0, "no event goes to a token that can't say what became of it");
}
