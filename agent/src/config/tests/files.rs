//! Configurations as files on a disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn refusal(path: &Path) -> String {
    let problems = Config::load(path, &surroundings()).unwrap_err();
    problems.iter().map(|problem| format!("{} at {}\n", problem.what, problem.place)).collect()
}

#[test]
fn files_beside_the_main_one_are_read_in_the_order_of_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let main = write(directory.path(), "agent.toml", SYSLOG);
    for (file, name) in [("20-b.toml", "second"), ("10-a.toml", "first"), (".hidden.toml", "no"), ("c.toml.bak", "no")]
    {
        let text = SYSLOG.replace("\"syslog\"\ntype", &format!("\"{name}\"\ntype"));
        write(directory.path(), &format!("destinations.d/{file}"), text);
    }
    let (config, _) = Config::load(&main, &surroundings()).unwrap();
    let names: Vec<&str> = config.destinations.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["syslog", "first", "second"]);
}

#[test]
fn the_example_of_the_documentation_loads_as_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = rcgen::generate_simple_self_signed(vec!["splunk.example.com".to_owned()]).unwrap();
    write(directory.path(), "corp.pem", certificate.cert.pem());
    write(directory.path(), "secrets/splunk", format!("{SECRET}\n"));
    fs::set_permissions(directory.path().join("secrets/splunk"), fs::Permissions::from_mode(0o640)).unwrap();
    let main = write(
        directory.path(),
        "agent.toml",
        r#"
[agent]
node = "node-7"
state_dir = "/var/lib/scaidrive-siem"
shards = "auto"
runtime = "auto"

[ingest]
unix = { path = "/run/scaidrive-siem/ingest.sock", mode = "0660", allow_uids = [] }
http = { listen = "127.0.0.1:8910" }
max_event_size = "256KiB"

[buffer]
window = "30m"
max_size = "8GiB"
segment_size = "64MiB"
durability = "fsync"
on_full = "drop_oldest"

[admin]
listen = "127.0.0.1:8911"
socket = "/run/scaidrive-siem/admin.sock"

[[destination]]
name = "splunk-prod"
type = "splunk_hec"
url = "https://splunk.example.com:8088"
token = { file = "secrets/splunk" }
ack = "auto"
tenants = ["*"]
filter = { categories = ["SECURITY", "AUTHENTICATION"], actions = ["*"], severities = ["warning", "critical"], excluded_users = ["svc_backup"], excluded_paths = ["/tmp/**"] }
batch = { max_events = 500, max_size = "512KiB", linger = "1s" }
compression = "gzip"
ordered = false
tls = { ca_file = "corp.pem" }
"#,
    );
    let (config, warnings) = Config::load(&main, &surroundings()).unwrap();
    assert!(warnings.is_empty(), "{warnings:#?}");
    let [splunk] = config.destinations.as_slice() else { panic!("{config:?}") };
    assert_eq!(splunk.secrets()[0].1.reveal(), SECRET);
    assert_eq!(splunk.tls.ca_file.as_deref(), Some(directory.path().join("corp.pem").as_path()));
    assert_eq!(splunk.filter_spec.categories, ["SECURITY", "AUTHENTICATION"]);
    assert_eq!(splunk.filter_spec.excluded_paths, ["/tmp/**"]);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let directory = tempfile::tempdir().unwrap();
    assert!(refusal(&directory.path().join("agent.toml")).contains("No such file"));
    assert!(refusal(directory.path()).contains("cannot be read"));
    let main = write(directory.path(), "agent.toml", b"[agent]\nnode = \"a\"\n# \xff\n");
    assert!(refusal(&main).contains("not UTF-8") && refusal(&main).contains("line 3"));
    let main = write(directory.path(), "agent.toml", " ".repeat((1 << 20) + 1));
    assert!(refusal(&main).contains("too long"));
}

#[test]
fn a_secret_that_everyone_can_read_is_warned_about() {
    let directory = tempfile::tempdir().unwrap();
    let secret = write(directory.path(), "token", SECRET);
    let main = write(directory.path(), "agent.toml", SPLUNK.replace("{ env = \"TOKEN\" }", "{ file = \"token\" }"));
    for (mode, warnings_expected) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let (_, warnings) = Config::load(&main, &surroundings()).unwrap();
        assert_eq!(warnings.len(), warnings_expected, "{mode:o}: {warnings:?}");
    }
}

#[test]
fn a_credential_comes_from_the_directory_that_systemd_names() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "credentials/splunk", SECRET);
    let text = SPLUNK.replace("{ env = \"TOKEN\" }", "{ credential = \"splunk\" }");
    let main = write(directory.path(), "agent.toml", text);
    let here = Surroundings { credentials: Some(directory.path().join("credentials")), ..surroundings() };
    let (config, warnings) = Config::load(&main, &here).unwrap();
    assert_eq!(config.destinations[0].secrets()[0].1.reveal(), SECRET);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_rotated_secret_is_a_change_that_shows_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let secret = write(directory.path(), "token", "first-token");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let main = write(directory.path(), "agent.toml", SPLUNK.replace("{ env = \"TOKEN\" }", "{ file = \"token\" }"));
    let (old, _) = Config::load(&main, &surroundings()).unwrap();
    fs::write(&secret, "second-token").unwrap();
    let (new, _) = Config::load(&main, &surroundings()).unwrap();
    let changes = Config::differences(&old, &new);
    let said = changes.changed[0].settings[0].to_string();
    assert!(said.starts_with("token from file ") && said.ends_with("with another content"), "{said}");
    assert!(!said.contains("first-token") && !said.contains("second-token"));
}

#[test]
fn certificates_are_looked_at_when_the_configuration_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["agent".to_owned()]).unwrap();
    write(directory.path(), "cert.pem", made.cert.pem());
    write(directory.path(), "key.pem", made.signing_key.serialize_pem());
    write(directory.path(), "empty.pem", "nothing here\n");
    let load = |tls: &str| {
        let main = write(directory.path(), "agent.toml", format!("{SYSLOG}tls = {{ {tls} }}\n"));
        Config::load(&main, &surroundings()).map_err(|problems| problems[0].what.clone())
    };
    let pem = made.cert.pem().replace('\n', "\\r\\n");
    let (config, _) = load(&format!("ca = \"{pem}\"")).unwrap();
    let shown = config.destinations[0].settings().into_iter().find(|(key, _)| *key == "tls.ca").unwrap().1.unwrap();
    assert!(shown.starts_with("1 certificate, sha-256:") && shown.len() < 128, "a digest in place of it all: {shown}");
    let (other, _) = load("").unwrap();
    let changes = Config::differences(&other, &config);
    assert_eq!((changes.changed[0].settings[0].key, &changes.changed[0].settings[0].after), ("tls.ca", &Some(shown)));
    let (config, _) = load("cert_file = \"cert.pem\", key_file = \"key.pem\"").unwrap();
    assert!(config.destinations[0].tls.identity.is_some());
    for (tls, said) in [
        ("ca_file = \"empty.pem\"", "holds no certificate in PEM"),
        ("ca_file = \"nope.pem\"", "cannot be read"),
        ("ca = \"corp\"", "holds no certificate in PEM"),
        ("ca = \"-----BEGIN PRIVATE KEY-----\"", "holds a private key"),
        ("ca = \"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\"", "number 1 in it is cut"),
        ("ca = \"corp\", ca_file = \"cert.pem\"", "is set beside `ca_file`"),
        ("cert_file = \"cert.pem\"", "`cert_file` is set without `key_file`"),
        ("key_file = \"key.pem\"", "`key_file` is set without `cert_file`"),
        ("cert_file = \"cert.pem\", key_file = \"cert.pem\"", "holds no private key in PEM"),
    ] {
        let refused = load(tls).unwrap_err();
        assert!(refused.contains(said), "{tls}: {refused}");
    }
}
