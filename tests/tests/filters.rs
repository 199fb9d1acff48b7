//! Filters and scope against a naive model that looks at the parsed event, checked at the receiver.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use scaidrive_tests::agent_config::quoted_list;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::{Key, Session};
use scaidrive_tests::hec::{Hec, Keep, Settings};
use scaidrive_tests::rng::{Rng, count_from_env, seed};
use scaidrive_tests::scenario::PATIENCE;
use scaidrive_tests::wait::wait_until;

/// Filters at work at the same time; each sees every event.
const FILTERS: usize = 10;

const CATEGORIES: &[&str] = &["FILE_ACCESS", "AUTHENTICATION", "SHARING", "SECURITY", "file_access", "Ünïcode"];
const ACTIONS: &[&str] = &["file.download", "file.upload", "file.upload.part", "user.login", "link.created", "file"];
const SEVERITIES: &[&str] =
    &["debug", "info", "notice", "low", "warning", "medium", "error", "high", "critical", "weird"];
const USERS: &[&str] = &["usr_1", "usr_2", "svc_backup", "alice@example.com", "bob@example.com", "\"quoted\""];
const PATHS: &[&str] =
    &["/tmp/x", "/tmp/a/b.txt", "/home/tmp/x", "/data/report.pdf", "/data/q1/report.pdf", "/täglich/x"];
const GLOBS: &[&str] = &["/tmp/**", "/data/*.pdf", "/home/**", "/täglich/*"];

/// One destination's filter, as the model understands it. `None` selects everything.
#[derive(Debug)]
struct Model {
    tenants: Option<Vec<String>>,
    categories: Option<Vec<&'static str>>,
    actions: Option<Vec<&'static str>>,
    severities: Option<Vec<&'static str>>,
    excluded_users: Vec<&'static str>,
    excluded_paths: Vec<&'static str>,
}

impl Model {
    fn random(rng: &mut Rng) -> Model {
        Model {
            tenants: rng
                .one_in(2)
                .then(|| (0..5).filter(|_| rng.one_in(2)).map(|t| format!("tnt-{t:05}")).collect::<Vec<_>>())
                .filter(|list| !list.is_empty()),
            categories: some_of(rng, CATEGORIES),
            actions: some_of(rng, ACTIONS),
            severities: some_of(rng, &SEVERITIES[..9]),
            excluded_users: some_of(rng, USERS).unwrap_or_default(),
            excluded_paths: some_of(rng, GLOBS).unwrap_or_default(),
        }
    }

    fn selects(&self, event: &Value) -> bool {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let listed = |list: &Option<Vec<&str>>, name: &str| list.as_ref().is_none_or(|list| list.contains(&text(name)));
        let severity = text("severity");
        let severity_passes = severity == "weird"
            || self
                .severities
                .as_ref()
                .is_none_or(|list| list.iter().any(|wanted| canonical(wanted) == canonical(severity)));
        let names = ["user_id", "user_email", "service_account"];
        let is_excluded_user = self.excluded_users.iter().any(|user| names.iter().any(|name| event[*name] == **user));
        let is_excluded_path = event["resource_path"]
            .as_str()
            .is_some_and(|path| self.excluded_paths.iter().any(|glob| glob_matches(glob, path)));
        self.tenants.as_ref().is_none_or(|tenants| tenants.iter().any(|tenant| tenant == text("tenant_id")))
            && listed(&self.categories, "category")
            && listed(&self.actions, "action")
            && severity_passes
            && !is_excluded_user
            && !is_excluded_path
    }

    fn filter_toml(&self) -> String {
        let list = |list: &Option<Vec<&'static str>>| quoted_list(list.as_deref().unwrap_or(&["*"]));
        format!(
            "{{ categories = {}, actions = {}, severities = {}, excluded_users = {}, excluded_paths = {} }}",
            list(&self.categories),
            list(&self.actions),
            list(&self.severities),
            quoted_list(&self.excluded_users),
            quoted_list(&self.excluded_paths),
        )
    }

    fn tenants_toml(&self) -> String {
        let tenants: Vec<&str> =
            self.tenants.as_ref().map_or(vec!["*"], |list| list.iter().map(String::as_str).collect());
        quoted_list(&tenants)
    }
}

fn some_of(rng: &mut Rng, all: &[&'static str]) -> Option<Vec<&'static str>> {
    let some: Vec<&'static str> = all.iter().copied().filter(|_| rng.one_in(2)).collect();
    (rng.one_in(2) && !some.is_empty()).then_some(some)
}

fn canonical(severity: &str) -> &str {
    match severity {
        "low" => "notice",
        "medium" => "warning",
        "high" => "error",
        other => other,
    }
}

/// `**` is anything, `*` anything but a slash.
fn glob_matches(glob: &str, path: &str) -> bool {
    match glob.split_once('*') {
        None => glob == path,
        Some((before, after)) => {
            let Some(rest) = path.strip_prefix(before) else { return false };
            if after.starts_with('*') {
                return true;
            }
            let end = rest.find('/').unwrap_or(rest.len());
            (0..=end).filter(|at| rest.is_char_boundary(*at)).any(|at| glob_matches(after, &rest[at..]))
        }
    }
}

fn random_event(rng: &mut Rng, count: u32) -> String {
    let key = Key { run: 1, tenant: rng.below(5) as u32, count };
    let mut event = json!({
        "event_id": key.event_id(),
        "timestamp": "2026-05-12T14:23:01.453Z",
        "tenant_id": key.tenant_id(),
        "category": rng.pick(CATEGORIES),
        "action": rng.pick(ACTIONS),
        "severity": rng.pick(SEVERITIES),
        "payload": {"marker": format!("<{count}>")},
    });
    for name in ["user_id", "user_email", "service_account"] {
        if rng.one_in(3) {
            event[name] = json!(rng.pick(USERS));
        }
    }
    if rng.one_in(2) {
        event["resource_path"] = json!(rng.pick(PATHS));
    }
    let mut line = event.to_string();
    if rng.one_in(4) {
        // The same values, written in another way.
        line = line
            .replace("/tmp", "\\/tmp")
            .replace("usr_1", "\\u0075sr_1")
            .replace("FILE", "F\\u0049LE")
            .replace('ä', "\\u00e4");
    }
    line
}

#[test]
fn what_filters_and_scope_exclude_never_reaches_the_wire() {
    let seed = seed(20_261_122);
    let pairs = count_from_env("SCAIDRIVE_FILTER_PAIRS", 100_000);
    let mut rng = Rng::new(seed);
    let models: Vec<Model> = (0..FILTERS).map(|_| Model::random(&mut rng)).collect();
    let receivers: Vec<Hec> =
        (0..FILTERS).map(|_| Hec::start(Settings { keep: Keep::Bodies, ..Settings::default() })).collect();
    let mut agent = Agent::new();
    for (index, (model, hec)) in models.iter().zip(&receivers).enumerate() {
        let destination = agent.add_hec(&format!("hec-{index}"), hec);
        destination.set("filter", &model.filter_toml()).set("tenants", &model.tenants_toml());
    }
    agent.start();

    let lines: Vec<String> = (0..pairs as u32 / FILTERS as u32).map(|count| random_event(&mut rng, count)).collect();
    write_lines(&mut agent.session(), &lines);
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (index, (model, hec)) in models.iter().zip(&receivers).enumerate() {
        let expected: BTreeSet<u32> =
            (0..events.len() as u32).filter(|count| model.selects(&events[*count as usize])).collect();
        hec.wait_distinct(expected.len(), PATIENCE);
        let arrived: BTreeSet<u32> =
            hec.arrivals().list.iter().filter_map(|arrival| arrival.key).map(|key| key.count).collect();
        let wrong: Vec<&u32> = arrived.symmetric_difference(&expected).take(3).collect();
        assert!(
            wrong.is_empty(),
            "SCAIDRIVE_SEED={seed}: destination {index}, {model:?}, differs at {:?}",
            wrong.iter().map(|count| &lines[**count as usize]).collect::<Vec<_>>()
        );
    }
    // Late arrivals would be wrong ones; then not one byte of an excluded event, in any request.
    wait_until("every destination has read everything", PATIENCE, || {
        agent.metric("destination_unread_events", &[]) == 0.0
    });
    for (model, hec) in models.iter().zip(&receivers) {
        hec.assert_no_violations();
        for body in hec.bodies() {
            for marker in markers(&body) {
                assert!(
                    model.selects(&events[marker]),
                    "SCAIDRIVE_SEED={seed}: an excluded event's bytes on the wire: {}",
                    lines[marker]
                );
            }
        }
    }
}

fn write_lines(session: &mut Session, lines: &[String]) {
    for chunk in lines.chunks(500) {
        session.send((chunk.join("\n") + "\n").as_bytes()).unwrap();
    }
    assert!(session.wait_acked(lines.len() as u64, PATIENCE));
    assert_eq!(session.refused(), []);
}

/// The numbers between `<` and `>` in a body: one in each event.
fn markers(body: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(body);
    text.split('<').skip(1).filter_map(|rest| rest.split_once('>')?.0.parse().ok()).collect()
}

#[test]
fn the_model_knows_globs() {
    assert!(glob_matches("/tmp/**", "/tmp/a/b"));
    assert!(glob_matches("/data/*.pdf", "/data/report.pdf"));
    assert!(!glob_matches("/data/*.pdf", "/data/q1/report.pdf"));
    assert!(!glob_matches("/home/**", "/tmp/home/x"));
}
