//! Every key is read, shown, described and told apart; and no text makes the parser panic.

use proptest::prelude::*;

use super::super::keys::{DESTINATION, Default, Key, ROOT, Shape};
use super::super::kind::{KINDS, NAMES};
use super::*;

/// For each key outside the destinations: a value that is not its default, and what else must be set with it.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("agent.node", "\"other\""),
    ("agent.state_dir", "\"/other\""),
    ("agent.shards", "2"),
    ("agent.runtime", "\"epoll\""),
    ("agent.tenant", "\"tnt_0\""),
    ("agent.allow_targets", "[\"169.254.169.254\"]"),
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
    ("admin.tls.cert_file", ""),
    ("admin.tls.key_file", ""),
    ("admin.hosts", "[\"siem.example.com\"]"),
    ("admin.base_path", "\"/siem\""),
    ("admin.frame_ancestors", "[\"https://drive.example.com\"]"),
    ("admin.metrics_need_token", "true"),
    ("admin.proxy.jwt_key", "{ env = \"OTHER_JWT_KEY\" }"),
    ("admin.proxy.public_key_file", ""),
    ("admin.proxy.header", "\"X-Other\""),
    ("admin.proxy.issuer", "\"other\""),
    ("admin.proxy.audience", "\"other\""),
    ("admin.proxy.max_life", "\"7m\""),
    ("admin.proxy.from", "[\"10.0.0.7\"]"),
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
    ("ordered", "true"),
    ("required", "true"),
    ("targets", "\"public\""),
    ("timeouts.connect", "\"7s\""),
    ("timeouts.request", "\"7s\""),
    ("tls.ca_file", ""),
    ("tls.ca", ""),
    ("tls.server_name", "\"other\""),
    ("tls.cert_file", ""),
    ("tls.key_file", ""),
    ("tls.fingerprints", "[\"sha-1:00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\"]"),
    ("tls.min_version", "\"1.3\""),
    ("rate_limit.events", "7"),
    ("rate_limit.bytes", "\"7KiB\""),
    ("rate_limit.bytes_per_day", "\"7MiB\""),
    ("rate_limit.warn_at", "7"),
    ("redact.drop", "[\"user_agent\"]"),
    ("redact.mask", "[\"ip\"]"),
    ("redact.hash", "[\"user_email\"]"),
    ("redact.key", "{ env = \"TOKEN\" }"),
];
const OTHER_SPLUNK_VALUES: &[(&str, &str)] = &[
    ("url", "\"https://other.example.com\""),
    ("token", "{ env = \"OTHER_TOKEN\" }"),
    ("ack", "\"off\""),
    ("host", "\"other\""),
    ("source", "\"other\""),
    ("sourcetype", "\"other\""),
    ("index", "\"other\""),
    ("indexes", "[{ index = \"other\", filter = { categories = [\"SECURITY\"] } }]"),
    ("shape", "\"cef\""),
    ("cim_fields", "true"),
    ("compression", "\"none\""),
    ("in_flight", "7"),
    ("proxy.url", "\"http://proxy.example.com:3128\""),
    ("proxy.user", "\"other\""),
    ("proxy.password", "{ env = \"OTHER_TOKEN\" }"),
    ("proxy.no_proxy", "[\"a.example.com\"]"),
    ("batch.max_events", "7"),
    ("batch.max_size", "\"7KiB\""),
    ("batch.linger", "\"7ms\""),
];
const OTHER_SENTINEL_VALUES: &[(&str, &str)] = &[
    ("api", "\"data_collector\""),
    ("cloud", "\"china\""),
    ("url", "\"https://other.example.com\""),
    ("rule", "\"dcr-00000000000000000000000000000000\""),
    ("stream", "\"Custom-Other\""),
    ("tenant_id", "\"other\""),
    ("client_id", "\"other\""),
    ("client_secret", "{ env = \"OTHER_TOKEN\" }"),
    ("client_certificate.cert_file", "\"/cert.pem\""),
    ("client_certificate.key_file", "\"/key.pem\""),
    ("federated_token_file", "\"/token\""),
    ("managed_identity", "\"system\""),
    ("authority", "\"https://login.example.com\""),
    ("workspace_id", "\"00000000-2222-3333-4444-555555555555\""),
    ("workspace_key", "{ env = \"OTHER_WORKSPACE_KEY\" }"),
    ("log_type", "\"Other\""),
    ("resource_id", "\"/subscriptions/other\""),
    ("shape", "\"asim\""),
    ("compression", "\"none\""),
    ("in_flight", "7"),
    ("proxy.url", "\"http://proxy.example.com:3128\""),
    ("proxy.user", "\"other\""),
    ("proxy.password", "{ env = \"OTHER_TOKEN\" }"),
    ("proxy.no_proxy", "[\"a.example.com\"]"),
    ("batch.max_events", "7"),
    ("batch.max_size", "\"7KiB\""),
    ("batch.linger", "\"7ms\""),
];
const OTHER_ELASTIC_VALUES: &[(&str, &str)] = &[
    ("urls", "[\"https://a.example.com\", \"https://b.example.com\"]"),
    ("url", "\"https://other.example.com\""),
    ("target", "\"other\""),
    ("op", "\"index\""),
    ("document_id", "\"event_id\""),
    ("api_key", "{ env = \"OTHER_TOKEN\" }"),
    ("user", "\"other\""),
    ("password", "{ env = \"OTHER_TOKEN\" }"),
    ("bearer_token", "{ env = \"OTHER_TOKEN\" }"),
    ("aws.region", "\"eu-central-1\""),
    ("aws.service", "\"aoss\""),
    ("aws.access_key_id", "\"AKID\""),
    ("aws.secret_access_key", "{ env = \"OTHER_TOKEN\" }"),
    ("aws.session_token", "{ env = \"OTHER_TOKEN\" }"),
    ("shape", "\"ecs\""),
    ("compression", "\"none\""),
    ("in_flight", "7"),
    ("proxy.url", "\"http://proxy.example.com:3128\""),
    ("proxy.user", "\"other\""),
    ("proxy.password", "{ env = \"OTHER_TOKEN\" }"),
    ("proxy.no_proxy", "[\"a.example.com\"]"),
    ("batch.max_events", "7"),
    ("batch.max_size", "\"7KiB\""),
    ("batch.linger", "\"7ms\""),
];
const OTHER_DATADOG_VALUES: &[(&str, &str)] = &[
    ("site", "\"datadoghq.eu\""),
    ("url", "\"https://other.example.com\""),
    ("api_key", "{ env = \"OTHER_TOKEN\" }"),
    ("source", "\"other\""),
    ("service", "\"other\""),
    ("hostname", "\"other\""),
    ("tags", "[\"env:prod\"]"),
    ("shape", ""),
    ("compression", "\"zstd\""),
    ("in_flight", "7"),
    ("proxy.url", "\"http://proxy.example.com:3128\""),
    ("proxy.user", "\"other\""),
    ("proxy.password", "{ env = \"OTHER_TOKEN\" }"),
    ("proxy.no_proxy", "[\"a.example.com\"]"),
    ("batch.max_events", "7"),
    ("batch.max_size", "\"7KiB\""),
    ("batch.linger", "\"7ms\""),
];
const OTHER_SUMO_VALUES: &[(&str, &str)] = &[
    ("secret_url", "{ env = \"OTHER_SOURCE_URL\" }"),
    ("url", "\"https://other.example.com/receiver/v1/http\""),
    ("token", "{ env = \"OTHER_TOKEN\" }"),
    ("source_name", "\"other\""),
    ("source_host", "\"other\""),
    ("source_category", "\"other\""),
    ("fields", "[\"env=prod\"]"),
    ("shape", "\"leef\""),
    ("compression", "\"none\""),
    ("in_flight", "7"),
    ("proxy.url", "\"http://proxy.example.com:3128\""),
    ("proxy.user", "\"other\""),
    ("proxy.password", "{ env = \"OTHER_TOKEN\" }"),
    ("proxy.no_proxy", "[\"a.example.com\"]"),
    ("batch.max_events", "7"),
    ("batch.max_size", "\"7KiB\""),
    ("batch.linger", "\"7ms\""),
];
const OTHER_HTTPS_VALUES: &[(&str, &str)] = &[
    ("url", "\"https://other.example.com\""),
    ("query", "\"a=b\""),
    ("method", "\"put\""),
    ("body", "\"ndjson\""),
    ("wrap_key", "\"other\""),
    ("template", "\"{}\""),
    ("template_file", ""),
    ("content_type", "\"application/vnd.other+json\""),
    ("headers", "[\"X-Site: vienna\"]"),
    ("secret_headers", "[{ name = \"X-Key\", value = { env = \"TOKEN\" } }]"),
    ("success", "[202]"),
    ("conflict_is_success", "true"),
    ("idempotency", "false"),
    ("bearer_token", "{ env = \"OTHER_TOKEN\" }"),
    ("user", "\"other\""),
    ("password", "{ env = \"OTHER_TOKEN\" }"),
    ("oauth.token_url", "\"https://other.example.com\""),
    ("oauth.client_id", "\"other\""),
    ("oauth.client_secret", "{ env = \"OTHER_TOKEN\" }"),
    ("oauth.client_auth", "\"form\""),
    ("oauth.scope", "\"other\""),
    ("oauth.audience", "\"other\""),
    ("signing_secret", "{ env = \"OTHER_TOKEN\" }"),
    ("signing_secret_next", "{ env = \"OTHER_TOKEN\" }"),
    ("shape", "\"ocsf\""),
    ("compression", "\"zstd\""),
    ("in_flight", "7"),
    ("proxy.url", "\"http://proxy.example.com:3128\""),
    ("proxy.user", "\"other\""),
    ("proxy.password", "{ env = \"OTHER_TOKEN\" }"),
    ("proxy.no_proxy", "[\"a.example.com\"]"),
    ("batch.max_events", "7"),
    ("batch.max_size", "\"7KiB\""),
    ("batch.linger", "\"7ms\""),
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
    ("shape", "\"cef\""),
    ("hostname", "\"other\""),
    ("app_name", "\"other\""),
    ("max_len", "\"7KiB\""),
    ("bom", "true"),
    ("batch.max_events", "7"),
    ("batch.max_size", "\"7KiB\""),
    ("batch.linger", "\"7ms\""),
];

/// Keys of a kind's shortest table that can't stand beside this one, and lines that must.
fn beside(kind: &str, path: &str) -> (&'static [&'static str], &'static str) {
    const COLLECTOR: &str = "api = \"data_collector\"\nworkspace_id = \"11111111-2222-3333-4444-555555555555\"\nworkspace_key = { env = \"WORKSPACE_KEY\" }\n";
    const INGESTION: &[&str] = &["rule", "tenant_id", "client_id", "client_secret"];
    const OAUTH: &str = "oauth.token_url = \"https://a.example.com\"\noauth.client_id = \"a\"\noauth.client_secret = { env = \"TOKEN\" }\n";
    const AWS: &str =
        "aws.region = \"eu-west-1\"\naws.access_key_id = \"A\"\naws.secret_access_key = { env = \"TOKEN\" }\n";
    const PROXY: &str = "proxy.url = \"http://a:1\"\nproxy.user = \"a\"\nproxy.password = { env = \"TOKEN\" }\n";
    match (kind, path) {
        (_, path) if path.starts_with("proxy.") => (&[], PROXY),
        (_, "redact.hash") => (&[], "redact.key = { env = \"TOKEN\" }\n"),
        (_, "redact.key") => (&[], "redact.hash = [\"user_email\"]\n"),
        (_, "rate_limit.warn_at") => (&[], "rate_limit.bytes_per_day = \"7MiB\"\n"),
        ("syslog", "utc_offset") => (&[], "header = \"rfc3164\"\n"),
        ("sentinel", "api" | "workspace_id" | "workspace_key" | "log_type" | "resource_id") => (INGESTION, COLLECTOR),
        ("sentinel", "client_certificate.cert_file") => (&["client_secret"], "client_certificate.key_file = \"/k\"\n"),
        ("sentinel", "client_certificate.key_file") => (&["client_secret"], "client_certificate.cert_file = \"/c\"\n"),
        ("sentinel", "federated_token_file" | "managed_identity") => (&["client_secret"], ""),
        ("elastic", "urls") => (&["url"], ""),
        ("elastic", "user") => (&["api_key"], "password = { env = \"TOKEN\" }\n"),
        ("elastic", "password") => (&["api_key"], "user = \"a\"\n"),
        ("elastic", "bearer_token") => (&["api_key"], ""),
        ("elastic", path) if path.starts_with("aws.") => (&["api_key"], AWS),
        ("sumo_logic", "url") => (&["secret_url"], "token = { env = \"TOKEN\" }\n"),
        ("sumo_logic", "token") => (&["secret_url"], "url = \"https://a.example.com/http\"\n"),
        ("https", "wrap_key") => (&[], "body = \"wrapped\"\n"),
        ("https", "user") => (&[], "password = { env = \"TOKEN\" }\n"),
        ("https", "password") => (&[], "user = \"a\"\n"),
        ("https", "signing_secret_next") => (&[], "signing_secret = { env = \"TOKEN\" }\n"),
        ("https", path) if path.starts_with("oauth.") => (&[], OAUTH),
        _ => (&[], ""),
    }
}

/// The lines of `text` whose keys are none of these.
fn without(text: &str, keys: &[&str]) -> String {
    let is_kept = |line: &&str| !keys.iter().any(|key| line.starts_with(&format!("{key} =")));
    text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect()
}

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
    // Files are looked at when they are read; those of [admin] have tests of their own.
    for (path, value) in OTHER_VALUES.iter().filter(|(_, value)| !value.is_empty()) {
        // Some keys have a meaning only beside another one, which both sides then have.
        let (beside, after_beside) = match *path {
            "ingest.unix.enabled" | "ingest.http.listen" | "ingest.http.token" | "ingest.http.hosts" => {
                ("ingest.http.listen = \"127.0.0.1:1\"\ningest.http.token = { env = \"TOKEN\" }\n", "")
            }
            path if path.starts_with("admin.proxy.") => ("admin.proxy.jwt_key = { env = \"JWT_KEY\" }\n", ""),
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
    let own = [
        (SPLUNK, OTHER_SPLUNK_VALUES),
        (SENTINEL, OTHER_SENTINEL_VALUES),
        (ELASTIC, OTHER_ELASTIC_VALUES),
        (DATADOG, OTHER_DATADOG_VALUES),
        (SUMO, OTHER_SUMO_VALUES),
        (HTTPS, OTHER_HTTPS_VALUES),
        (SYSLOG, OTHER_SYSLOG_VALUES),
    ];
    for ((base, values), row) in own.iter().zip(KINDS) {
        assert_eq!(listed_paths(values), leaves(row.keys, ""), "{}", row.name);
        let (old, _) = read(base).expect(base);
        for (path, value) in OTHER_COMMON_VALUES.iter().chain(*values).filter(|(_, value)| !value.is_empty()) {
            let (out, lines) = beside(row.name, path);
            let kept = without(&without(base, out), &[path]);
            let lines = without(lines, &[path]);
            let (new, _) = read(&format!("{kept}{lines}{path} = {value}\n")).expect(path);
            let changed = old.destinations[0].settings() != new.destinations[0].settings();
            let already_so = base.contains("\"syslog\"") && *path == "ordered";
            assert!(changed || already_so, "{}: {path} changed nothing", row.name);
            let shown = new.destinations[0].settings().into_iter().find(|(key, _)| key == path);
            let is_shown = shown.as_ref().is_some_and(|(_, value)| value.is_some());
            assert!(is_shown, "{}: {path} is not shown: {shown:?}", row.name);
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
    let (config, _) = read(&one_of_each()).unwrap();
    assert_eq!(config.destinations.len(), KINDS.len());
    assert_eq!(sorted(names(config.settings())), sorted(leaves(ROOT, "")));
    for (destination, row) in config.destinations.iter().zip(KINDS) {
        let known = [leaves(DESTINATION, ""), leaves(row.keys, "")].concat();
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
    KINDS.iter().for_each(|row| check(row.keys));
    assert!(KINDS.iter().map(|row| row.name).eq(NAMES.iter().copied()));
    // Every other default is read by the same code as what is written: loading an empty file tries them all.
    assert!(read(&one_of_each()).is_ok());
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
    for (position, row) in KINDS.iter().enumerate() {
        let (kind, own) = (row.name, row.keys);
        let one = &kinds[position];
        assert_eq!(one["properties"]["type"]["const"], kind);
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
        .chain(OTHER_SENTINEL_VALUES)
        .chain(OTHER_ELASTIC_VALUES)
        .chain(OTHER_HTTPS_VALUES)
        .chain(OTHER_SYSLOG_VALUES)
        .map(|(path, _)| (*path).to_owned())
        .chain(["[[destination]]", "[agent]", "[ingest.http]", "[[buffer]]", "nonsense"].map(str::to_owned))
        .collect();
    let values: Vec<String> = OTHER_VALUES
        .iter()
        .chain(OTHER_SPLUNK_VALUES)
        .chain(OTHER_SENTINEL_VALUES)
        .chain(OTHER_ELASTIC_VALUES)
        .chain(OTHER_HTTPS_VALUES)
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
                "\"sentinel\"",
                "\"elastic\"",
                "\"datadog\"",
                "\"sumo_logic\"",
                "\"https\"",
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
