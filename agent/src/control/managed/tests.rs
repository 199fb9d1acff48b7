//! Wishes against a model, and what is there after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use scaidrive_wal::Seq;
use serde_json::json;

use super::*;
use crate::config::DestinationId;
use crate::config::managed::{folder, secrets_folder};
use crate::control::access::{Reach, Role, Via};
use crate::delivery::outlet::Flow;
use crate::node::{DrainError, FlowWish, Hands, Pauses};
use crate::shard::door::ShardId;
use crate::shard::{Command, Mail, Mailbox};

/// An agent's files, the configuration that it works by, and what it lets through.
struct World {
    directory: tempfile::TempDir,
    config: Config,
    hands: Hands,
    pauses: Arc<Pauses>,
    shard: Arc<Shard>,
}

/// Does what a shard does with an operator's wishes.
#[derive(Default)]
struct Shard {
    mailbox: Arc<Mailbox>,
    flows: std::sync::Mutex<BTreeMap<DestinationId, Flow>>,
    /// The record that is appended next.
    next: std::sync::atomic::AtomicU64,
}

impl Shard {
    fn turn(&self) {
        let mut mail = Mail::default();
        self.mailbox.take(&mut mail);
        for command in mail.commands {
            match command {
                Command::Flow { destination, flow } => drop(self.flows.lock().unwrap().insert(destination, flow)),
                Command::Drain { destination, answer } => {
                    let point = Seq::from_raw(self.next.load(Ordering::Relaxed));
                    self.flows.lock().unwrap().insert(destination, Flow::Until(point));
                    answer.send((ShardId(0), point)).unwrap();
                }
                _ => {}
            }
        }
    }

    /// Turns while `work` waits for it, and once after.
    fn turns_during<T>(&self, work: impl FnOnce() -> T) -> T {
        let is_done = AtomicBool::new(false);
        let done = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Acquire) {
                    self.turn();
                    std::thread::sleep(std::time::Duration::from_micros(50));
                }
            });
            let done = work();
            is_done.store(true, Ordering::Release);
            done
        });
        self.turn();
        done
    }
}

/// Of somebody, at some time, kept without a note.
fn flow_wish(destination: DestinationId, is_there: &dyn Fn() -> Result<(), DrainError>) -> FlowWish<'_> {
    FlowWish { destination, who: "uid 0", now_ms: 7, is_there, keep: &|_, write| write() }
}

fn open(config: &Config) -> (Hands, Arc<Pauses>, Arc<Shard>) {
    let known: Vec<DestinationId> = config.destinations.iter().map(|known| known.id).collect();
    let pauses = Arc::new(Pauses::open(&config.agent.state_dir, &known));
    let shard = Arc::new(Shard::default());
    (Hands::new(vec![Arc::clone(&shard.mailbox)], Arc::clone(&pauses)), pauses, shard)
}

fn here() -> Surroundings {
    Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None }
}

fn person(reach: Reach) -> Person {
    Person { who: "uid 0".to_owned(), via: Via::Cli, role: Role::Admin, reach }
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "[agent]\nstate_dir = {:?}\n[[destination]]\nname = \"operators\"\ntype = \"syslog\"\nhost = \"siem.example\"\n",
            directory.path().join("state").display().to_string()
        );
        fs::create_dir(directory.path().join("state")).unwrap();
        fs::write(directory.path().join("agent.toml"), text).unwrap();
        let config = load(&directory.path().join("agent.toml"));
        let (hands, pauses, shard) = open(&config);
        World { directory, config, hands, pauses, shard }
    }

    fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// What [`carry_out`] does but for the running agent.
    fn wish(&mut self, wish: &Wish) -> Result<Plan, Refusal> {
        self.wish_as(&person(Reach::All), wish)
    }

    fn wish_as(&mut self, person: &Person, wish: &Wish) -> Result<Plan, Refusal> {
        let plan = plan(&self.config, &files(self), person, wish, &here())?;
        let store = Store::new(&self.state_dir());
        store.commit(&plan.changes, &plan.given).unwrap();
        let (after, _) = self.config.with_managed(&files(self), &here());
        self.hands.forget_pauses(&Config::differences(&self.config, &after).removed);
        self.config = after;
        store.sweep(&self.config);
        Ok(plan)
    }

    fn restart(&mut self) {
        self.config = load(&self.directory.path().join("agent.toml"));
        let next = self.shard.next.load(Ordering::Relaxed);
        (self.hands, self.pauses, self.shard) = open(&self.config);
        self.shard.next.store(next, Ordering::Relaxed);
    }

    /// Whether there is a destination to wish this of. A record is appended before.
    fn rest(&mut self, name: &str, wish: RestWish) -> bool {
        self.shard.next.fetch_add(1, Ordering::Relaxed);
        let Some(id) = self.config.destinations.iter().find(|known| known.name == name).map(|known| known.id) else {
            return false;
        };
        let (hands, flow) = (&self.hands, flow_wish(id, &|| Ok(())));
        self.shard.turns_during(|| match wish {
            RestWish::Pause => drop(hands.pause(&flow).unwrap()),
            RestWish::Drain => drop(hands.drain(&flow).unwrap()),
            RestWish::Resume => drop(hands.resume(&flow).unwrap()),
            RestWish::IsDrained => {
                let drain = self.pauses.of(id).and_then(|pause| pause.drain);
                hands.has_drained(id, &drain.map(|drain| drain.points).unwrap_or_default(), 8).unwrap();
            }
        });
        true
    }

    /// What the shard lets through to each destination of the API, and what is kept says the same.
    fn flows(&self) -> BTreeMap<String, Flow> {
        self.shard.turn();
        let flows = self.shard.flows.lock().unwrap();
        let managed = self.config.destinations.iter().filter(|known| self.config.is_managed(known.id));
        let flow = |known: &Arc<crate::config::Destination>| {
            let flow = flows.get(&known.id).copied().unwrap_or_default();
            assert_eq!(self.pauses.of(known.id).is_some(), flow != Flow::Free, "{}", known.name);
            (known.name.clone(), flow)
        };
        managed.map(flow).collect()
    }

    /// Address and secret of each destination of the API.
    fn there(&self) -> BTreeMap<String, (String, Option<String>)> {
        let managed = self.config.destinations.iter().filter(|known| self.config.is_managed(known.id));
        let facts = |known: &std::sync::Arc<crate::config::Destination>| {
            let secret = known.secrets().first().map(|(_, secret)| secret.reveal().to_owned());
            (known.name.clone(), (known.kind.address(), secret))
        };
        managed.map(facts).collect()
    }

    fn secret_files(&self) -> usize {
        fs::read_dir(secrets_folder(&self.state_dir())).map_or(0, Iterator::count)
    }
}

fn files(world: &World) -> Vec<ManagedFile> {
    managed::files(&world.state_dir()).unwrap()
}

fn load(path: &std::path::Path) -> Config {
    Config::load(path, &here()).unwrap().0
}

/// What one destination is to be.
#[derive(Clone, Debug)]
struct Body {
    name: usize,
    port: u16,
    secret: Option<u8>,
    fault: Option<Fault>,
}

/// What can be wrong with it.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Address,
    Key,
    BareSecret,
    EmptySecret,
}

#[derive(Clone, Debug)]
enum Step {
    Create(Body),
    Change(usize, Body),
    Delete(usize),
    Set(Vec<Body>),
    Rest(usize, RestWish),
    Restart,
}

/// What is wished of the sending to a destination, or has come of it.
#[derive(Clone, Copy, Debug)]
enum RestWish {
    Pause,
    Drain,
    Resume,
    IsDrained,
}

const NAMES: [&str; 5] = ["a", "b", "a.b", "siem-1", "operators"];

impl Body {
    fn json(&self) -> Value {
        let mut value = json!({
            "name": NAMES[self.name], "type": "https", "url": format!("https://siem.example:{}", self.port),
        });
        if let Some(secret) = self.secret {
            value["bearer_token"] = json!({"value": format!("secret-{secret}")});
        }
        match self.fault {
            None => {}
            Some(Fault::Address) => value["url"] = json!("nowhere"),
            Some(Fault::Key) => value["colour"] = json!("red"),
            Some(Fault::BareSecret) => value["bearer_token"] = json!("secret-0"),
            Some(Fault::EmptySecret) => value["bearer_token"] = json!({"value": " "}),
        }
        value
    }
}

/// A destination as it should be.
#[derive(Clone, Debug)]
struct Known {
    key: String,
    port: u16,
    secret: Option<u8>,
    flow: Flow,
}

impl Known {
    /// What a wish makes of it, when `next` is appended next.
    fn rested(&self, wish: RestWish, next: u64) -> Known {
        let flow = match (wish, self.flow) {
            (RestWish::Resume, _) => Flow::Free,
            (RestWish::Pause, Flow::Free | Flow::Until(_)) => Flow::Paused,
            (RestWish::Drain, Flow::Free | Flow::Paused) => Flow::Until(Seq::from_raw(next)),
            (RestWish::IsDrained, Flow::Until(point)) => Flow::Drained(point),
            (_, stays) => stays,
        };
        Known { flow, ..self.clone() }
    }
}

/// What should be there, by name.
#[derive(Clone, Debug, Default)]
struct Model(BTreeMap<String, Known>);

impl Model {
    /// What a step makes of it, `None` where the step is to be refused.
    fn after(&self, step: &Step, next: u64) -> Option<Model> {
        match step {
            Step::Restart => Some(self.clone()),
            Step::Rest(name, wish) => {
                let mut after = self.clone();
                let known = after.0.get_mut(NAMES[*name])?;
                *known = known.rested(*wish, next);
                Some(after)
            }
            Step::Delete(name) => {
                let mut after = self.clone();
                after.0.remove(NAMES[*name]).map(|_| after)
            }
            Step::Create(body) => {
                let is_taken =
                    self.0.iter().any(|(name, known)| name == NAMES[body.name] || known.key == NAMES[body.name]);
                (!is_taken).then(|| self.with(body, None)).flatten()
            }
            Step::Change(name, body) => {
                let old = self.0.get(NAMES[*name])?;
                let mut without = self.clone();
                without.0.remove(NAMES[*name]);
                let is_free = !without.0.contains_key(NAMES[body.name]);
                is_free.then(|| without.with(body, Some(old))).flatten()
            }
            Step::Set(bodies) => {
                let (mut after, mut keys) = (Model::default(), BTreeSet::new());
                for body in bodies {
                    let by_key = self.0.values().find(|known| known.key == NAMES[body.name]);
                    let old = by_key.or(self.0.get(NAMES[body.name]));
                    after = after.with(body, old)?;
                    if !keys.insert(after.0[NAMES[body.name]].key.clone()) {
                        return None;
                    }
                }
                Some(after)
            }
        }
    }

    fn with(&self, body: &Body, old: Option<&Known>) -> Option<Model> {
        if body.fault.is_some() || NAMES[body.name] == "operators" {
            return None;
        }
        let mut after = self.clone();
        let key = old.map_or_else(|| NAMES[body.name].to_owned(), |old| old.key.clone());
        let secret = body.secret.or(old.and_then(|old| old.secret));
        let flow = old.map(|old| old.flow).unwrap_or_default();
        after.0.insert(NAMES[body.name].to_owned(), Known { key, port: body.port, secret, flow });
        Some(after)
    }

    fn flows(&self) -> BTreeMap<String, Flow> {
        self.0.iter().map(|(name, known)| (name.clone(), known.flow)).collect()
    }

    fn there(&self) -> BTreeMap<String, (String, Option<String>)> {
        let facts = |known: &Known| {
            let secret = known.secret.map(|secret| format!("secret-{secret}"));
            (format!("https://siem.example:{}", known.port), secret)
        };
        self.0.iter().map(|(name, known)| (name.clone(), facts(known))).collect()
    }
}

fn rest_wish() -> impl Strategy<Value = RestWish> {
    prop_oneof![Just(RestWish::Pause), Just(RestWish::Drain), Just(RestWish::Resume), Just(RestWish::IsDrained)]
}

fn body() -> impl Strategy<Value = Body> {
    let fault = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Fault::Address)),
        1 => Just(Some(Fault::Key)),
        1 => Just(Some(Fault::BareSecret)),
        1 => Just(Some(Fault::EmptySecret)),
    ];
    (0..NAMES.len(), 8000u16..8004, prop::option::of(0u8..3), fault).prop_map(|(name, port, secret, fault)| Body {
        name,
        port,
        secret,
        fault,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => body().prop_map(Step::Create),
        4 => (0..NAMES.len(), body()).prop_map(|(name, body)| Step::Change(name, body)),
        2 => (0..NAMES.len()).prop_map(Step::Delete),
        2 => prop::collection::vec(body(), 0..4).prop_map(Step::Set),
        // The operator's own is no part of the model.
        4 => (0..NAMES.len() - 1, rest_wish()).prop_map(|(name, wish)| Step::Rest(name, wish)),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_wished_the_state_is_the_models_also_after_a_restart(steps in prop::collection::vec(step(), 1..24)) {
        let (mut world, mut model) = (World::new(), Model::default());
        for step in &steps {
            let wish = match step {
                Step::Create(body) => Some(Wish::Create(body.json())),
                Step::Change(name, body) => Some(Wish::Change(NAMES[*name].to_owned(), body.json())),
                Step::Delete(name) => Some(Wish::Delete(NAMES[*name].to_owned())),
                Step::Set(bodies) => Some(Wish::Set(bodies.iter().map(Body::json).collect())),
                Step::Restart | Step::Rest(..) => None,
            };
            let after = model.after(step, world.shard.next.load(Ordering::Relaxed) + 1);
            match wish {
                Some(wish) => {
                    let is_done = world.wish(&wish).is_ok();
                    prop_assert_eq!(is_done, after.is_some(), "{:?} with {:?}", step, model);
                }
                None => match step {
                    Step::Rest(name, wish) => prop_assert_eq!(world.rest(NAMES[*name], *wish), after.is_some()),
                    _ => world.restart(),
                },
            }
            model = after.unwrap_or(model);
            prop_assert_eq!(world.there(), model.there(), "after {:?}", step);
            prop_assert_eq!(world.flows(), model.flows(), "after {:?}", step);
        }
        world.restart();
        prop_assert_eq!(world.there(), model.there());
        prop_assert_eq!(world.flows(), model.flows());
        prop_assert!(world.config.misconfigured.is_empty());
        let secrets = model.0.values().filter(|known| known.secret.is_some()).count();
        prop_assert_eq!(world.secret_files(), secrets, "no secret outlives its destination");
    }
}

fn https(name: &str) -> Value {
    json!({"name": name, "type": "https", "url": "https://siem.example"})
}

fn problems(refused: Result<Plan, Refusal>) -> String {
    match refused {
        Err(Refusal::Invalid(found)) => found
            .iter()
            .map(|problem| format!("{} at {}; {}\n", problem.what, problem.place.key, problem.advice))
            .collect(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[test]
fn what_is_refused_has_the_words_of_the_file_parser_and_marks_the_key() {
    let mut world = World::new();
    let mut bad = https("a");
    bad["batch"] = json!({"lingre": "1s", "max_events": 0});
    let said = problems(world.wish(&Wish::Create(bad)));
    assert!(said.contains("`lingre` is not a key that is known here at destination \"a\" batch.lingre"), "{said}");
    assert!(said.contains("`max_events` is 0, which is not allowed at destination \"a\" batch.max_events"), "{said}");
    assert!(said.contains("did you mean `linger`?"), "{said}");
    assert!(files(&world).is_empty());
}

#[test]
fn a_damaged_file_keeps_nobody_from_starting_and_is_put_right_by_a_change() {
    let mut world = World::new();
    world.wish(&Wish::Set(vec![https("a"), https("b"), https("c")])).unwrap();
    let path = |name: &str| folder(&world.state_dir()).join(format!("{name}.toml"));
    fs::write(path("a"), "{ torn").unwrap();
    fs::write(path("b"), [0xff, 0xfe]).unwrap();
    let running = world.config.clone();
    world.restart();
    assert_eq!(world.there().keys().collect::<Vec<_>>(), ["c"]);
    let named: Vec<&str> = world.config.misconfigured.iter().map(|known| known.key.as_str()).collect();
    assert_eq!(named, ["a", "b"]);
    let mut kept = world.config.clone();
    kept.keep_running(&running);
    assert_eq!(kept.destinations.len(), 4, "a reload goes on with what runs");
    let mut kept = Config { are_managed_known: false, ..world.config.clone() };
    kept.keep_running(&running);
    assert_eq!(kept.destinations.len(), 4, "also where the folder can't be read");
    world.wish(&Wish::Change("a".to_owned(), https("a"))).unwrap();
    world.wish(&Wish::Delete("b".to_owned())).unwrap();
    world.restart();
    assert_eq!(world.there().keys().collect::<Vec<_>>(), ["a", "c"]);
    assert!(world.config.misconfigured.is_empty());
}

#[test]
fn the_operators_destination_counts_where_both_have_the_same_name() {
    let mut world = World::new();
    world.wish(&Wish::Create(https("late"))).unwrap();
    let main = world.directory.path().join("agent.toml");
    let text = fs::read_to_string(&main).unwrap().replace("\"operators\"", "\"late\"");
    fs::write(&main, text).unwrap();
    world.restart();
    assert!(world.there().is_empty() && world.config.destinations[0].name == "late");
    assert_eq!(world.config.misconfigured[0].key, "late");
    let refused = world.wish(&Wish::Change("operators".to_owned(), https("operators")));
    assert!(matches!(refused, Err(Refusal::Unknown(_))));
}

#[test]
fn the_same_set_again_changes_nothing() {
    let mut world = World::new();
    let mut with_secret = https("a");
    with_secret["bearer_token"] = json!({"value": "hush"});
    let set = Wish::Set(vec![with_secret, https("b")]);
    assert_eq!(world.wish(&set).unwrap().changes.len(), 2);
    let before = world.config.destinations.clone();
    assert!(world.wish(&set).unwrap().changes.is_empty());
    let changes = Config::differences(&Config { destinations: before, ..world.config.clone() }, &world.config);
    assert!(changes.is_empty());
}

#[test]
fn what_runs_on_although_its_file_was_edited_or_moved_away_keeps_its_secrets() {
    let mut world = World::new();
    let with_secret = |name: &str| {
        let mut value = https(name);
        value["bearer_token"] = json!({"value": "hush"});
        value
    };
    world.wish(&Wish::Set(["edited", "moved", "other"].map(with_secret).into())).unwrap();
    let running = world.config.clone();
    let path = |name: &str| folder(&world.state_dir()).join(format!("{name}.toml"));
    let text = fs::read_to_string(path("edited")).unwrap();
    let edited = "[[destination]]\nname = \"edited\"\ntype = \"https\"\nurl = \"https://other.example\"\n";
    fs::write(path("edited"), edited).unwrap();
    fs::rename(path("moved"), world.directory.path().join("moved.toml")).unwrap();

    let store = Store::new(&world.state_dir());
    store.commit(&[("other".to_owned(), None)].into(), &crate::config::Given::new()).unwrap();
    let (mut after, _) = running.with_managed(&files(&world), &here());
    assert_eq!(after.keep_all_but(&["other".to_owned()], &running), ["edited", "moved"]);
    store.sweep(&after);
    assert_eq!(world.secret_files(), 2, "of the one that is gone, the secret is gone");
    fs::rename(world.directory.path().join("moved.toml"), path("moved")).unwrap();
    fs::write(path("edited"), text).unwrap();
    world.restart();
    assert_eq!(world.there().values().filter(|(_, secret)| secret.as_deref() == Some("hush")).count(), 2);
}

#[tokio::test]
async fn a_change_is_on_its_way_until_it_is_in_force() {
    let managed = Managed::new(here());
    assert!(!managed.is_changing());
    let turn = managed.turn.lock().await;
    assert!(managed.is_changing());
    drop(turn);
    assert!(!managed.is_changing());
}

#[test]
fn what_can_not_be_noted_is_not_written() {
    let world = World::new();
    let person = person(Reach::All);
    let plan = plan(&world.config, &[], &person, &Wish::Create(https("a")), &here()).unwrap();
    let change = change(&person, &plan, &world.config);
    let (store, state_dir) = (Store::new(&world.state_dir()), world.state_dir());
    let untold = Untold::new(&state_dir);
    // A file stands where the notes' folder should.
    fs::write(state_dir.join("untold"), "").unwrap();
    assert!(written(&store, &plan, &untold, change.clone()).is_err());
    assert!(files(&world).is_empty());
    fs::remove_file(state_dir.join("untold")).unwrap();
    let _ = written(&store, &plan, &untold, change).unwrap();
    assert_eq!((files(&world).len(), untold.found().len()), (1, 1));
}

#[test]
fn a_set_without_it_ends_what_runs_under_another_name_than_the_file_that_somebody_removed() {
    let mut world = World::new();
    world.wish(&Wish::Create(https("a"))).unwrap();
    world.wish(&Wish::Change("a".to_owned(), https("renamed"))).unwrap();
    fs::remove_file(folder(&world.state_dir()).join("a.toml")).unwrap();
    let plan = world.wish(&Wish::Set(Vec::new())).unwrap();
    assert_eq!(plan.changes, [("a".to_owned(), None)].into());
    assert!(world.there().is_empty());
}

#[test]
fn what_is_gone_by_the_time_is_neither_paused_nor_drained_nor_resumed() {
    let world = World::new();
    let id = DestinationId::from_text("a");
    let gone = flow_wish(id, &|| Err(DrainError::Gone));
    world.shard.turns_during(|| {
        for refused in [world.hands.pause(&gone), world.hands.drain(&gone), world.hands.resume(&gone)] {
            assert!(matches!(refused, Err(DrainError::Gone)));
        }
    });
    assert_eq!(world.pauses.of(id), None);
    assert_eq!(world.shard.flows.lock().unwrap().get(&id), Some(&Flow::Free), "what the drain has begun is undone");
}

#[test]
fn nobody_sends_where_they_may_not() {
    let mut world = World::new();
    let at = |name: &str, url: &str| {
        let mut value = https(name);
        value["url"] = json!(url);
        value["tenants"] = json!(["acme"]);
        Wish::Create(value)
    };
    let acme = person(Reach::Tenants(["acme".to_owned()].into()));
    for url in [
        "http://127.0.0.1:8088",
        "https://localhost:8088",
        "https://10.1.2.3",
        "https://169.254.1.1",
        "https://[fe80::1]",
        "https://[::ffff:192.168.0.1]",
        "http://169.254.169.254",
        "http://127.0.0.1:8911",
        "https://[fd00:ec2::254]",
    ] {
        let said = problems(world.wish_as(&acme, &at("a", url)));
        assert!(said.contains("destination \"a\" url") && said.contains("not in the internet"), "{url}: {said}");
    }
    for url in ["http://169.254.169.254", "https://[fd00:ec2::254]", "http://127.0.0.1:8911", "http://localhost:8911"] {
        let said = problems(world.wish(&at("a", url)));
        assert!(said.contains("may not be connected to"), "{url}: {said}");
    }
    world.wish(&at("near", "http://127.0.0.1:8088")).unwrap();
    world.wish(&at("private", "https://10.1.2.3")).unwrap();
    world.wish_as(&acme, &at("public", "https://8.8.8.8")).unwrap();
    let public = world.config.destinations.iter().find(|known| known.name == "public").unwrap();
    assert!(public.targets.public_only, "also when its name will lead elsewhere");
    let machines = json!({"name": "m", "type": "sentinel", "url": "https://x.ingest.monitor.azure.com", "tenants": ["acme"],
        "rule": "dcr-0123456789abcdef0123456789abcdef", "managed_identity": "system"});
    let said = problems(world.wish_as(&acme, &Wish::Create(machines.clone())));
    assert!(said.contains("identity of the agent's machine"), "{said}");
    world.wish(&Wish::Create(machines)).unwrap();
}

#[test]
fn a_scoped_person_makes_and_sees_what_goes_to_their_tenants_alone() {
    let mut world = World::new();
    let acme = person(Reach::Tenants(["acme".to_owned()].into()));
    let said = problems(world.wish_as(&acme, &Wish::Create(https("all"))));
    assert!(said.contains("tenants"), "{said}");
    let mut own = https("own");
    own["tenants"] = json!(["acme"]);
    world.wish_as(&acme, &Wish::Create(own.clone())).unwrap();
    world.wish(&Wish::Create(https("theirs"))).unwrap();
    let unknown = |refused| matches!(refused, Err(Refusal::Unknown(_)));
    assert!(unknown(world.wish_as(&acme, &Wish::Delete("theirs".to_owned()))));
    assert!(unknown(world.wish_as(&acme, &Wish::Change("operators".to_owned(), own.clone()))));
    assert!(matches!(world.wish_as(&acme, &Wish::Set(vec![own])), Err(Refusal::Scoped)));
    world.wish_as(&acme, &Wish::Delete("own".to_owned())).unwrap();
    assert!(matches!(world.wish(&Wish::Delete("operators".to_owned())), Err(Refusal::Operators(_))));
}

#[test]
fn which_file_the_operator_has_is_for_those_who_administer_all_tenants() {
    let path = PathBuf::from("/etc/scaidrive-siem/agent.toml");
    let told = |known| crate::control::http::Problem::from(Refusal::Operators(known));
    assert!(told(Some(path)).detail.contains("agent.toml"));
    let scoped = told(None);
    assert_eq!((scoped.status.as_u16(), scoped.detail.contains('/')), (409, false), "{}", scoped.detail);

    let mut world = World::new();
    let is_told = |refused| match refused {
        Err(Refusal::Operators(path)) => path.is_some(),
        _ => panic!("it is the operator's"),
    };
    assert!(is_told(world.wish(&Wish::Delete("operators".to_owned()))));
    let file = world.directory.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}tenants = [\"acme\"]\n")).unwrap();
    world.restart();
    let acme = person(Reach::Tenants(["acme".to_owned()].into()));
    assert!(!is_told(world.wish_as(&acme, &Wish::Delete("operators".to_owned()))));
}

#[test]
fn where_clouds_tell_their_secrets_is_refused_by_name_too_wherever_it_is_named() {
    let mut world = World::new();
    let mut refused = |more: Value| {
        let mut value = https("a");
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        problems(world.wish(&Wish::Create(value)))
    };
    let behind = json!({"url": "http://proxy.example:3128"});
    for (key, more) in [
        ("url", json!({"url": "https://metadata.google.internal/x", "proxy": behind})),
        ("url", json!({"url": "https://METADATA.google.internal./x", "proxy": behind})),
        ("proxy.url", json!({"proxy": {"url": "http://instance-data:3128"}})),
        (
            "oauth.token_url",
            json!({"proxy": behind, "oauth": {"token_url": "https://metadata.google.internal/t", "client_id": "c",
                                              "client_secret": {"value": "hush"}}}),
        ),
    ] {
        let said = refused(more);
        assert!(said.contains(key) && said.contains("169.254.169.254"), "{key}: {said}");
    }
}
