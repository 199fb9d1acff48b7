//! What a configuration may be, and how it is refused.

mod coverage;
mod files;
mod rules;

use std::path::{Path, PathBuf};

use super::files::Source;
use super::parse::{assemble, finish};
use super::problems::Problems;
use super::*;

/// What reading a configuration answers with.
pub(super) type Loaded = Result<(Config, Vec<Problem>), Vec<Problem>>;

/// A machine with eight processors and two secrets in its environment.
pub(super) fn surroundings() -> Surroundings {
    Surroundings {
        host_name: "host 7".to_owned(),
        cpus: 8,
        credentials: None,
        lookup: |name| match name {
            "TOKEN" => Some(SECRET.to_owned()),
            "SOURCE_URL" => Some(format!("https://collectors.example.com/receiver/v1/http/{SECRET}")),
            "OTHER_SOURCE_URL" => Some("https://collectors.example.com/receiver/v1/http/other".to_owned()),
            "WORKSPACE_KEY" => Some("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
            "OTHER_WORKSPACE_KEY" => Some("c2VjcmV0".to_owned()),
            "OTHER_TOKEN" => Some("9f0c7a5e".to_owned()),
            "JWT_KEY" => Some("a key that is long enough for HS256".replace(' ', "-")),
            "OTHER_JWT_KEY" => Some("another key that is long enough for HS256".replace(' ', "-")),
            "NOT_A_TOKEN" => Some("two words".to_owned()),
            _ => None,
        },
    }
}

/// Reads `text` as an `agent.toml` with nothing beside it.
pub(super) fn read(text: &str) -> Loaded {
    read_all(text, &[])
}

/// Reads `text` as an `agent.toml` with files beside it, by name and text.
pub(super) fn read_all(text: &str, others: &[(&str, &str)]) -> Loaded {
    let directory = Path::new("/etc/scaidrive-siem");
    let source = |name: &str, text: &str| Source::new(directory.join(name), text.to_owned());
    let others: Vec<Source> =
        others.iter().map(|(name, text)| source(&format!("destinations.d/{name}"), text)).collect();
    let problems = Problems::default();
    let config = assemble(&source("agent.toml", text), &others, &[], &surroundings(), &problems);
    finish(config, problems.into_vec())
}

/// A destination of each type that is as short as it can be.
pub(super) const SPLUNK: &str = r#"
[[destination]]
name = "splunk"
type = "splunk_hec"
url = "https://splunk.example.com:8088"
token = { env = "TOKEN" }
"#;
pub(super) const SYSLOG: &str = r#"
[[destination]]
name = "syslog"
type = "syslog"
host = "syslog.example.com"
"#;

pub(super) const SENTINEL: &str = r#"
[[destination]]
name = "sentinel"
type = "sentinel"
url = "https://scaidrive-abcd.westeurope-1.ingest.monitor.azure.com"
rule = "dcr-0123456789abcdef0123456789abcdef"
tenant_id = "contoso.example.com"
client_id = "11111111-2222-3333-4444-555555555555"
client_secret = { env = "TOKEN" }
"#;
pub(super) const ELASTIC: &str = r#"
[[destination]]
name = "elastic"
type = "elastic"
url = "https://elastic.example.com:9200"
api_key = { env = "TOKEN" }
"#;
pub(super) const DATADOG: &str = r#"
[[destination]]
name = "datadog"
type = "datadog"
api_key = { env = "TOKEN" }
"#;
pub(super) const SUMO: &str = r#"
[[destination]]
name = "sumo"
type = "sumo_logic"
secret_url = { env = "SOURCE_URL" }
"#;
pub(super) const HTTPS: &str = r#"
[[destination]]
name = "https"
type = "https"
url = "https://siem.example.com/events"
"#;

/// One of each kind, in the order of the table.
pub(super) fn one_of_each() -> String {
    [SPLUNK, SENTINEL, ELASTIC, DATADOG, SUMO, HTTPS, SYSLOG].concat()
}

/// The content of the secret `TOKEN`, which must never be seen anywhere.
pub(super) const SECRET: &str = "b1946ac9-2492-4d23-9b5c-00dd7b4b8f2a";

#[test]
fn an_empty_file_is_a_whole_configuration() {
    let (config, warnings) = read("").unwrap();
    assert_eq!(
        config.agent,
        Agent {
            node: "host-7".to_owned(),
            state_dir: PathBuf::from("/var/lib/scaidrive-siem"),
            shards: 4,
            runtime: RuntimeSetting::Auto,
            tenant: "_agent".to_owned(),
            allow_targets: Vec::new(),
        }
    );
    let unix = UnixIngest {
        path: PathBuf::from("/run/scaidrive-siem/ingest.sock"),
        mode: 0o660,
        group: None,
        allow_uids: Vec::new(),
    };
    assert_eq!(
        config.ingest,
        Ingest { unix: Some(unix), http: None, max_event_size: 256 << 10, window_bytes: 4 << 20, window_lines: 8192 }
    );
    assert_eq!(
        config.buffer,
        Buffer {
            window: Millis(30 * 60 * 1000),
            max_size: 8 << 30,
            segment_size: 64 << 20,
            durability: Durability::Fsync,
            on_full: OnFull::DropOldest,
            min_free_percent: 5,
            min_free_bytes: 256 << 20,
        }
    );
    assert_eq!(config.admin.listen, "127.0.0.1:8911".parse().unwrap());
    assert_eq!(config.log, LogSettings { format: LogFormat::Text, level: LogLevel::Info });
    assert_eq!((warnings.len(), config.destinations.len()), (1, 0));
    assert!(warnings[0].what.starts_with("no destination is configured"));
}

#[test]
fn destinations_have_the_defaults_that_are_documented() {
    let (config, warnings) = read(&format!("{SPLUNK}{SYSLOG}")).unwrap();
    let [splunk, syslog] = config.destinations.as_slice() else { panic!("{:?}", config.destinations) };
    let Kind::SplunkHec(hec) = &splunk.kind else { panic!("{:?}", splunk.kind) };
    assert_eq!(
        (hec.source.as_str(), hec.sourcetype.as_str(), &hec.index),
        ("scaidrive:audit", "scaidrive:audit", &None)
    );
    assert_eq!((hec.host.as_str(), hec.ack), ("host-7", HecAck::Auto));
    assert_eq!(
        splunk.secrets().iter().map(|(key, secret)| (*key, secret.reveal())).collect::<Vec<_>>(),
        [("token", SECRET)]
    );
    assert_eq!(splunk.batch, BatchSettings { max_events: 500, max_size: 512 << 10, linger: Millis(1000) });
    assert_eq!((splunk.compression, splunk.ordered, splunk.in_flight_max), (Compression::Gzip, false, 4));
    assert_eq!(splunk.id, DestinationId::from_text("splunk"));
    assert!(splunk.scope.includes("tnt_1") && splunk.scope.exact().is_none());
    let Kind::Syslog(settings) = &syslog.kind else { panic!("{:?}", syslog.kind) };
    assert_eq!((settings.transport, settings.port, settings.facility), (SyslogTransport::Tls, 6514, 16));
    assert_eq!((settings.max_len, settings.bom, settings.app_name.as_str()), (8192, false, "scaidrive"));
    assert_eq!((syslog.compression, syslog.ordered, syslog.in_flight_max), (Compression::None, true, 1));
    assert_eq!(warnings.len(), 1, "only the environment variable: {warnings:?}");
}

#[test]
fn a_pasted_endpoint_is_taken_for_its_address() {
    for (url, path) in [
        ("https://s.example.com:8088/services/collector/event", ""),
        ("https://s.example.com:8088/services/collector/event/1.0/", ""),
        ("https://s.example.com:8088/hec/services/collector", "/hec"),
        ("https://s.example.com:8088/elsewhere", "/elsewhere"),
    ] {
        let text = SPLUNK.replace("https://splunk.example.com:8088", url);
        let (config, _) = read(&text).unwrap();
        let Kind::SplunkHec(hec) = &config.destinations[0].kind else { panic!("{url}") };
        assert_eq!(hec.url.path, path, "{url}");
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let good = read(&format!("[ingest]\nhttp = {{ listen = \"0.0.0.0:1\", token = {{ env = \"TOKEN\" }} }}\n{SPLUNK}"));
    let (config, warnings) = good.unwrap();
    let settings: Vec<_> = config.destinations.iter().map(|one| one.settings()).collect();
    let all = format!("{config:?} {warnings:?} {:?} {settings:?}", config.settings());
    assert!(!all.contains(SECRET) && all.contains("***"));
    // As keys and tokens are, with what no key of a destination takes at its end.
    let long = |end: &str| format!("{SECRET}-0123456789-0123456789{end}");
    for bad in [
        format!("token = \"{SECRET}\""),
        format!("token = [\"{SECRET}\"]"),
        format!("token = {{ file = \"/nope\", enw = \"{SECRET}\" }}"),
        format!("token = {{ env = \"TOKEN\" }}\nurl = \"https://user:{SECRET}@host\""),
        format!("token = {{ env = \"TOKEN\" }}\nurl = \"https://host?token={SECRET}\""),
        format!("token = \"{SECRET}"),
        format!("token = {{ credential = \"{SECRET}+/\" }}"),
        format!("token = {{ env = \"{SECRET}\\n\" }}"),
        format!("token = {{ env = \"TOKEN\" }}\nurl = \"{}\"", long("/")),
        format!("token = {{ env = \"TOKEN\" }}\nurl = \"http://a..b/{SECRET}\""),
        format!("token = {{ env = \"TOKEN\" }}\nindex = \"{}\"", long("\\t")),
        format!("token = {{ env = \"TOKEN\" }}\nack = \"{}\"", long("")),
        format!("token = {{ env = \"TOKEN\" }}\nbatch = {{ linger = \"{}\" }}", long("")),
        format!("token = {{ env = \"TOKEN\" }}\ntls = {{ fingerprints = [\"{}\"] }}", long("")),
        format!("token = {{ env = \"TOKEN\" }}\nredact = {{ drop = [\"{}\"] }}", long("/")),
        format!("token = {{ env = \"TOKEN\" }}\ntenants = [\"{}\"]", long("*")),
        format!(
            "token = {{ env = \"TOKEN\" }}\nproxy = {{ url = \"http://proxy:1\", user = \"{}\" }}",
            long(&"x".repeat(300))
        ),
        format!("tokn = \"{SECRET}\""),
    ] {
        let text = format!("[[destination]]\nname = \"a\"\ntype = \"splunk_hec\"\n{bad}\n");
        let problems = read(&text).unwrap_err();
        assert!(!format!("{problems:?}").contains(SECRET), "{bad}: {problems:?}");
    }
}

#[test]
fn lesson_35_a_reload_touches_what_changed_and_nothing_else() {
    let many: String = (0..1000).map(|n| SYSLOG.replace("\"syslog\"\ntype", &format!("\"s{n}\"\ntype"))).collect();
    let (old, _) = read(&format!("{SPLUNK}{many}")).unwrap();
    let (new, _) = read(&format!(
        "[buffer]\nwindow = \"10m\"\nsegment_size = \"32MiB\"\n{}{SYSLOG}",
        many.replacen("syslog.example.com", "other.example.com", 1)
    ))
    .unwrap();
    let changes = Config::differences(&old, &new);
    let names = |all: &[Arc<Destination>]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&changes.added), ["syslog"]);
    assert_eq!(names(&changes.removed), ["splunk"]);
    assert_eq!(changes.unchanged.len(), 999);
    let kept = &changes.unchanged[0];
    assert!(old.destinations.iter().any(|before| Arc::ptr_eq(before, kept)), "an unchanged destination stays itself");
    let [changed] = changes.changed.as_slice() else { panic!("{:?}", changes.changed) };
    assert_eq!(changed.new.name, "s0");
    assert_eq!(changed.settings[0].to_string(), "host from syslog.example.com to other.example.com");
    assert_eq!(changes.live.iter().map(|one| one.key).collect::<Vec<_>>(), ["buffer.window"]);
    assert_eq!(
        changes.restart_in_words().unwrap(),
        "takes effect with the next start of the agent: buffer.segment_size from 64MiB to 32MiB"
    );
    assert!(Config::differences(&new, &new).is_empty());
}

#[test]
fn a_new_name_under_the_old_id_is_the_same_destination() {
    let (old, _) = read(SYSLOG).unwrap();
    let (new, _) = read(&SYSLOG.replace("name = \"syslog\"", "name = \"siem\"\nid = \"syslog\"")).unwrap();
    let changes = Config::differences(&old, &new);
    assert!(changes.added.is_empty() && changes.removed.is_empty());
    assert_eq!(changes.changed[0].settings[0].to_string(), "name from syslog to siem");
    assert_eq!(changes.changed[0].settings.len(), 1);
}

#[test]
fn lesson_41_another_segment_size_waits_for_a_restart_and_the_budget_does_not() {
    let (old, _) = read("").unwrap();
    let (new, _) = read("[buffer]\nsegment_size = \"16MiB\"\nmax_size = \"16GiB\"\n").unwrap();
    let changes = Config::differences(&old, &new);
    assert_eq!(changes.live[0].to_string(), "buffer.max_size from 8GiB to 16GiB");
    assert_eq!(changes.restart[0].to_string(), "buffer.segment_size from 64MiB to 16MiB");
}

#[test]
fn lesson_35_ten_thousand_destinations_are_read_and_compared_in_seconds() {
    let begun = std::time::Instant::now();
    let many: String = (0..10_000).map(|n| SYSLOG.replace("\"syslog\"\ntype", &format!("\"s{n}\"\ntype"))).collect();
    let (old, _) = read(&many).unwrap();
    let (new, _) = read(&many.replacen("syslog.example.com", "other.example.com", 1)).unwrap();
    let changes = Config::differences(&old, &new);
    assert_eq!((changes.unchanged.len(), changes.changed.len()), (9_999, 1));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    assert!(read(&format!("{many}{SYSLOG}")).unwrap_err()[0].what.contains("destination number 10001"));
}
