//! Every key is read, shown, described and told apart; and no text makes the parser panic.

use proptest::prelude::*;

use super::super::keys::{DESTINATION, DESTINATION_TYPES, Default, Key, ROOT, Shape};
use super::*;

/// For each key outside the destinations: a value that is not its default, and what else must be set with it.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("agent.node", "\"other\""),
    ("agent.state_dir", "\"/other\""),
    ("agent.shards", "2"),
    ("agent.runtime", "\"epoll\""),
    ("agent.tenant", "\"tnt_0\""),
    ("ingest.unix.enabled", "false"),
    ("ingest.unix.path", "\"/other.sock\""),
    ("ingest.unix.mode", "\"0600\""),
    ("ingest.unix.group", "\"wheel\""),
    ("ingest.unix.allow_uids", "[7]"),
    ("ingest.http.listen", "\"127.0.0.1:2\""),
    ("ingest.http.token", "{ env = \"OTHER_TOKEN\" }"),
    ("ingest.http.hosts", "[\"siem.example.com\"]"),
    ("ingest.max_event_size", "\"128KiB\""),
    ("ingest.window.max_size", "\"8MiB\""),
    ("ingest.window.max_lines", "7"),
    ("buffer.window", "\"7m\""),
    ("buffer.max_size", "\"7GiB\""),
    ("buffer.segment_size", "\"7MiB\""),
    ("buffer.durability", "\"interval\""),
    ("buffer.sync_every", "\"7ms\""),
    ("buffer.on_full", "\"block\""),
    ("buffer.min_free.percent", "7"),
    ("buffer.min_free.size", "\"7MiB\""),
    ("admin.listen", "\"127.0.0.1:7\""),
    ("admin.socket", "\"/admin.sock\""),
    ("log.format", "\"json\""),
    ("log.level", "\"debug\""),
];

/// The same for the keys of destinations; both types have the common ones.
const OTHER_COMMON_VALUES: &[(&str, &str)] = &[
    ("name", "\"other\""),
    ("type", ""),
    ("id", "\"other\""),
    ("tenants", "[\"tnt_1\"]"),
    ("filter.categories", "[\"SECURITY\"]"),
    ("filter.actions", "[\"file.*\"]"),
    ("filter.severities", "[\"critical\"]"),
    ("filter.excluded_users", "[\"svc\"]"),
    ("filter.excluded_paths", "[\"/tmp/**\"]"),
    ("batch.max_events", "7"),
    ("batch.max_size", "\"7KiB\""),
    ("batch.linger", "\"7ms\""),
    ("ordered", "true"),
    ("required", "true"),
    ("timeouts.connect", "\"7s\""),
    ("timeouts.request", "\"7s\""),
    ("tls.ca_file", ""),
    ("tls.server_name", "\"other\""),
    ("tls.cert_file", ""),
    ("tls.key_file", ""),
    ("tls.fingerprints", "[\"sha-1:00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\"]"),
    ("tls.min_version", "\"1.3\""),
];
const OTHER_SPLUNK_VALUES: &[(&str, &str)] = &[
    ("url", "\"https://other.example.com\""),
    ("token", "{ env = \"OTHER_TOKEN\" }"),
    ("ack", "\"off\""),
    ("host", "\"other\""),
    ("source", "\"other\""),
    ("sourcetype", "\"other\""),
    ("index", "\"other\""),
    ("compression", "\"none\""),
    ("in_flight", "7"),
];
const OTHER_SYSLOG_VALUES: &[(&str, &str)] = &[
    ("transport", "\"tcp\""),
    ("host", "\"other.example.com\""),
    ("port", "7"),
    ("framing", "\"line_feed\""),
    ("header", "\"rfc3164\""),
    ("utc_offset", "\"+01:00\""),
    ("facility", "\"audit\""),
    ("msg", "\"structured\""),
    ("hostname", "\"other\""),
    ("app_name", "\"other\""),
    ("max_len", "\"7KiB\""),
    ("bom", "true"),
];

/// The paths of all keys in a table that are not tables themselves.
fn leaves(keys: &[Key], prefix: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for key in keys {
        match key.shape {
            Shape::Table(inner) => paths.extend(leaves(inner, &format!("{prefix}{}.", key.name))),
            Shape::Destinations => {}
            _ => paths.push(format!("{prefix}{}", key.name)),
        }
    }
    paths
}

fn listed_paths(values: &[(&str, &str)]) -> Vec<String> {
    values.iter().map(|(path, _)| (*path).to_owned()).collect()
}

#[test]
fn every_key_outside_the_destinations_is_read_and_shows_in_what_changed() {
    assert_eq!(listed_paths(OTHER_VALUES), leaves(ROOT, ""), "the list above names each key of the table once");
    for (path, value) in OTHER_VALUES {
        // Some keys have a meaning only beside another one, which both sides then have.
        let (beside, after_beside) = match *path {
            "ingest.unix.enabled" | "ingest.http.listen" | "ingest.http.token" | "ingest.http.hosts" => {
                ("ingest.http.listen = \"127.0.0.1:1\"\ningest.http.token = { env = \"TOKEN\" }\n", "")
            }
            "buffer.sync_every" => ("buffer.durability = \"interval\"\n", ""),
            _ => ("", ""),
        };
        let kept: String =
            beside.lines().filter(|line| !line.starts_with(path)).map(|line| format!("{line}\n")).collect();
        let (old, _) = read(beside).unwrap();
        let (new, _) = read(&format!("{kept}{path} = {value}\n{after_beside}")).expect(path);
        let changes = Config::differences(&old, &new);
        let keys: Vec<&str> = changes.live.iter().chain(&changes.restart).map(|change| change.key).collect();
        assert!(keys.contains(path), "{path} changed nothing: {keys:?}");
        let expected = match *path {
            "ingest.unix.enabled" => 4,
            "buffer.durability" => 2,
            _ => 1,
        };
        assert_eq!(keys.len(), expected, "{path} changed more than itself: {keys:?}");
    }
}

#[test]
fn every_key_of_a_destination_is_read_and_shows_in_what_changed() {
    assert_eq!(listed_paths(OTHER_COMMON_VALUES), leaves(DESTINATION, ""));
    let own = [(SPLUNK, OTHER_SPLUNK_VALUES), (SYSLOG, OTHER_SYSLOG_VALUES)];
    for ((base, values), (_, keys)) in own.iter().zip(DESTINATION_TYPES) {
        assert_eq!(listed_paths(values), leaves(keys, ""));
        let (old, _) = read(base).unwrap();
        for (path, value) in OTHER_COMMON_VALUES.iter().chain(*values).filter(|(_, value)| !value.is_empty()) {
            let kept: String = base
                .lines()
                .filter(|line| !line.starts_with(&format!("{path} =")))
                .map(|line| format!("{line}\n"))
                .collect();
            // This one has a meaning only beside another one.
            let beside = if *path == "utc_offset" { "header = \"rfc3164\"\n" } else { "" };
            let (old, _) =
                if beside.is_empty() { (old.clone(), Vec::new()) } else { read(&format!("{base}{beside}")).unwrap() };
            let (new, _) = read(&format!("{kept}{beside}{path} = {value}\n")).expect(path);
            let changed = old.destinations[0].settings() != new.destinations[0].settings();
            let already_so = base.contains("\"syslog\"") && *path == "ordered";
            assert!(changed || already_so, "{path} changed nothing");
        }
    }
}

#[test]
fn what_may_be_shown_has_every_key_of_the_tables_and_no_other() {
    let sorted = |mut paths: Vec<String>| {
        paths.sort();
        paths
    };
    let names =
        |settings: Vec<(&'static str, Option<String>)>| settings.into_iter().map(|(key, _)| key.to_owned()).collect();
    let (config, _) = read(&format!("{SPLUNK}{SYSLOG}")).unwrap();
    assert_eq!(sorted(names(config.settings())), sorted(leaves(ROOT, "")));
    for (destination, (_, own)) in config.destinations.iter().zip(DESTINATION_TYPES) {
        let known = [leaves(DESTINATION, ""), leaves(own, "")].concat();
        assert_eq!(sorted(names(destination.settings())), sorted(known));
    }
}

#[test]
fn every_default_is_allowed_and_every_key_is_described() {
    fn check(keys: &[Key]) {
        for key in keys {
            assert!(key.about.ends_with('.') && key.about.len() > 10, "{}: {}", key.name, key.about);
            match (key.shape, key.default) {
                (Shape::Table(inner), Default::Absent) => check(inner),
                (Shape::Choice { now, later }, default) => {
                    assert!(now.iter().all(|word| !later.contains(word)), "{}", key.name);
                    assert!(
                        matches!(default, Default::Required)
                            || matches!(default, Default::Text(text) if now.contains(&text))
                    );
                }
                (Shape::Count { min, max }, Default::Count(number)) => {
                    assert!((min..=max).contains(&number), "{}", key.name)
                }
                _ => {}
            }
        }
    }
    check(ROOT);
    check(DESTINATION);
    DESTINATION_TYPES.iter().for_each(|(_, keys)| check(keys));
    // Every other default is read by the same code as what is written: loading an empty file tries them all.
    assert!(read(&format!("{SPLUNK}{SYSLOG}")).is_ok());
}

#[test]
fn the_schema_has_every_key_that_the_parser_knows() {
    let schema = json_schema();
    let find = |schema: &serde_json::Value, path: &str| {
        let mut at = schema.clone();
        for name in path.split('.') {
            at = at["properties"][name].take();
        }
        at
    };
    for path in leaves(ROOT, "") {
        assert!(find(&schema, &path)["description"].is_string(), "{path}");
    }
    let kinds = &schema["properties"]["destination"]["items"]["oneOf"];
    for (position, (kind, own)) in DESTINATION_TYPES.iter().enumerate() {
        let one = &kinds[position];
        assert_eq!(one["properties"]["type"]["const"], *kind);
        assert_eq!(one["additionalProperties"], false);
        for path in [leaves(DESTINATION, ""), leaves(own, "")].concat().iter().filter(|path| *path != "type") {
            assert!(find(one, path)["description"].is_string(), "{kind}: {path}");
        }
    }
    assert_eq!(kinds[0]["required"], serde_json::json!(["name", "type", "url", "token"]));
    assert_eq!(schema["properties"]["buffer"]["properties"]["window"]["default"], "30m");
}

/// Lines that look like a configuration, right and wrong.
fn some_lines() -> impl Strategy<Value = String> {
    let keys: Vec<String> = OTHER_VALUES
        .iter()
        .chain(OTHER_COMMON_VALUES)
        .chain(OTHER_SPLUNK_VALUES)
        .chain(OTHER_SYSLOG_VALUES)
        .map(|(path, _)| (*path).to_owned())
        .chain(["[[destination]]", "[agent]", "[ingest.http]", "[[buffer]]", "nonsense"].map(str::to_owned))
        .collect();
    let values: Vec<String> = OTHER_VALUES
        .iter()
        .chain(OTHER_SPLUNK_VALUES)
        .chain(OTHER_SYSLOG_VALUES)
        .map(|(_, value)| (*value).to_owned())
        .chain(
            [
                "",
                "[]",
                "[[1], {}]",
                "{}",
                "-1",
                "1e400",
                "1979-05-27",
                "\"splunk_hec\"",
                "\"syslog\"",
                "0xffffffffffffffffff",
            ]
            .map(str::to_owned),
        )
        .collect();
    let value = prop_oneof![4 => prop::sample::select(values), 1 => "\"\\PC{0,12}\""];
    let line = (prop::sample::select(keys), value)
        .prop_map(|(key, value)| if key.starts_with('[') { key } else { format!("{key} = {value}") });
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic_and_every_refusal_points_at_a_line(
        text in prop_oneof![some_lines(), "\\PC{0,200}", "[\\[\\]{}=\"',.#\n a-z0-9]{0,200}"],
        beside in prop_oneof![Just(String::new()), some_lines()],
    ) {
        let lines = text.split('\n').count().max(beside.split('\n').count());
        match read_all(&text, &[("a.toml", &beside)]) {
            Ok((config, warnings)) => {
                prop_assert!(warnings.iter().all(|warning| warning.weight == Weight::Warning));
                prop_assert!(Config::differences(&config, &config).is_empty());
            }
            Err(problems) => {
                prop_assert!(problems.iter().any(|problem| problem.weight == Weight::Error), "{problems:?}");
                for problem in &problems {
                    prop_assert!(problem.place.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?}");
                    prop_assert!(!problem.what.contains("not described in this version"), "{problem:?}");
                    prop_assert!(!problem.advice.is_empty(), "{problem:?}");
                }
            }
        }
    }
}
