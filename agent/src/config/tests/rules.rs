//! Each rule, by what breaks it and what is then said.

use scaidrive_codecs::syslog::Header;

use super::*;

/// Reads `text` and expects exactly one error, with this key and line, and these words in what and advice.
fn refused(text: &str, key: &str, line: usize, what: &str, advice: &str) {
    let problems = read(text).expect_err(text);
    let errors: Vec<&Problem> = problems.iter().filter(|problem| problem.weight == Weight::Error).collect();
    let [error] = errors.as_slice() else { panic!("{text}: {problems:#?}") };
    assert_eq!((error.place.key.as_str(), error.place.line), (key, Some(line)), "{text}: {error:#?}");
    assert!(error.what.contains(what), "{text}: {}", error.what);
    assert!(error.advice.contains(advice), "{text}: {}", error.advice);
}

/// Reads `text` and expects it to be usable with a warning that has these words.
fn warned(text: &str, key: &str, what: &str) {
    let (_, warnings) = read(text).expect(text);
    let found = warnings.iter().any(|warning| warning.place.key == key && warning.what.contains(what));
    assert!(found, "{text}: {warnings:#?}");
}

#[test]
fn each_shape_is_checked_where_it_stands() {
    refused("[agent]\n\nnode = \"a b\"", "agent.node", 3, "\"a b\", which is not allowed", "letters, digits");
    refused("[agent]\nnode = 7", "agent.node", 2, "is a whole number", "letters");
    refused("[agent]\ntenant = \"\"", "agent.tenant", 2, "\"\"", "1 to 256 bytes");
    refused("[agent]\nshards = 0", "agent.shards", 2, "is 0, which is not allowed", "from 1 to 64");
    refused("[agent]\nshards = \"many\"", "agent.shards", 2, "\"many\"", "\"auto\" or a whole number");
    refused("[agent]\nshards = 1.5", "agent.shards", 2, "a number with a fraction", "whole number");
    refused("[agent]\nruntime = \"iouring\"", "agent.runtime", 2, "\"iouring\"", "did you mean \"io_uring\"?");
    refused("[agent]\nruntime = \"tokio\"", "agent.runtime", 2, "not a choice", "\"auto\", \"io_uring\", \"epoll\"");
    refused("[buffer]\nwindow = \"30 min\"", "buffer.window", 2, "not a span of time", "from \"1s\" to \"30d\"");
    refused("[buffer]\nwindow = \"90d\"", "buffer.window", 2, "out of bounds", "\"30d\"");
    refused("[buffer]\nwindow = 30", "buffer.window", 2, "a whole number", "in quotes");
    refused("[buffer]\nmax_size = \"8GB\"", "buffer.max_size", 2, "not a size", "GiB");
    refused(
        "[buffer]\nsegment_size = \"2GiB\"",
        "buffer.segment_size",
        2,
        "out of bounds",
        "from \"1MiB\" to \"1GiB\"",
    );
    refused("[buffer]\nsegment_size = \"1048577B\"", "buffer.segment_size", 2, "not a multiple of 4KiB", "");
    refused("[ingest]\nunix = { mode = \"660\" }", "ingest.unix.mode", 2, "not a file mode", "\"0660\"");
    refused(
        "[ingest]\nunix = { allow_uids = [1, -1] }",
        "ingest.unix.allow_uids",
        2,
        "-1, which is not allowed",
        "[1001, 1002]",
    );
    refused("[ingest]\nunix = 1", "ingest.unix", 2, "is a whole number", "braces");
    refused("[admin]\nlisten = \"localhost:1\"", "admin.listen", 2, "not an address", "127.0.0.1");
    refused("[log]\nlevel = \"warning\"", "log.level", 2, "\"warning\"", "did you mean \"warn\"?");
    refused("[log]\nformat = true", "log.format", 2, "true or false", "\"text\", \"json\"");
}

#[test]
fn unknown_keys_are_refused_with_a_guess() {
    refused("[bufer]\n", "bufer", 1, "not a key", "did you mean `buffer`?");
    refused("[buffer]\nmax-size = \"8GiB\"", "buffer.max-size", 2, "`max-size`", "did you mean `max_size`?");
    refused("window = \"30m\"", "window", 1, "`window`", "did you mean `ingest.window` or `buffer.window`?");
    refused("[admin]\ncolour = 1", "admin.colour", 2, "`colour`", "the keys here are ");
    refused(&format!("{SYSLOG}linger = \"1s\""), "destination \"syslog\" linger", 6, "`linger`", "`batch.linger`");
    refused(&format!("{SYSLOG}token = {{ env = \"A\" }}"), "destination \"syslog\" token", 6, "`token`", "");
}

#[test]
fn what_other_versions_know_is_refused_by_name() {
    let text = format!("{SYSLOG}transport = \"sctp\"");
    refused(&text, "destination \"syslog\" transport", 6, "not a choice", "\"udp\", \"relp\", \"relp_tls\"");
    let text = "[[destination]]\nname = \"a\"\ntype = \"sysloog\"";
    refused(text, "destination \"a\" type", 3, "\"sysloog\"", "did you mean \"syslog\"?");
}

#[test]
fn a_type_takes_only_the_shapes_that_its_receivers_read() {
    refused(&format!("{ELASTIC}shape = \"cef\""), "destination \"elastic\" shape", 7, "not a choice", "\"ecs\"");
    refused(&format!("{DATADOG}shape = \"ecs\""), "destination \"datadog\" shape", 6, "not a choice", "\"canonical\"");
    refused(&format!("{SPLUNK}shape = \"leef\""), "destination \"splunk\" shape", 7, "not a choice", "\"cef\"");
    refused(&format!("{SYSLOG}msg = \"cef\""), "destination \"syslog\" msg", 6, "is a shape", "shape = \"cef\"");
    let both = format!("{SYSLOG}shape = \"cef\"\nmsg = \"json\"");
    refused(&both, "destination \"syslog\" msg", 7, "stands alone", "");
    refused(
        &format!("{HTTPS}shape = \"template\""),
        "destination \"https\" shape",
        6,
        "there is none",
        "template_file",
    );
    let both = format!("{HTTPS}shape = \"ecs\"\ntemplate = \"{{}}\"");
    refused(&both, "destination \"https\" shape", 6, "there is a template", "");
    let retired = "[[destination]]\nname = \"s\"\ntype = \"sentinel\"\napi = \"data_collector\"\nshape = \"asim\"\n\
        workspace_id = \"11111111-2222-3333-4444-555555555555\"\nworkspace_key = { env = \"WORKSPACE_KEY\" }\n";
    refused(retired, "destination \"s\" shape", 5, "no meaning", "");
    let (config, _) = read(&format!("{SENTINEL}shape = \"asim\"")).unwrap();
    let stream = config.destinations[0].settings().into_iter().find(|(key, _)| *key == "stream").unwrap();
    assert_eq!(stream.1.as_deref(), Some("Custom-ScaiDriveAsim"));
}

#[test]
fn what_cannot_be_redacted_is_refused_where_it_is_written() {
    let redact = |table: &str| format!("{SPLUNK}redact = {{ {table} }}");
    let place = |list: &str| format!("destination \"splunk\" redact.{list}");
    refused(&redact("drop = [\"event_id\"]"), &place("drop"), 7, "can't be redacted", "");
    refused(&redact("mask = [\"payload\"]"), &place("mask"), 7, "only be dropped", "");
    refused(&redact("drop = [\"ip\"], mask = [\"ip\"]"), &place("mask"), 7, "named twice", "");
    refused(&redact("hash = [\"user_email\"]"), &place("key"), 7, "no key", "16 random bytes");
    refused(&redact("hash = [\"ip\"], key = { env = \"OTHER_TOKEN\" }"), &place("key"), 7, "has 8 bytes", "");
    refused(&redact("drop = [\"ip\"], key = { env = \"TOKEN\" }"), &place("key"), 7, "nothing is hashed", "");
    assert!(read(&redact("drop = [\"payload.a.b\", \"payload.c\", \"device.owner\"], mask = [\"ip\"]")).is_ok());
}

#[test]
fn what_is_missing_is_named_at_the_table_it_is_missing_from() {
    refused(
        "\n[[destination]]\ntype = \"syslog\"\nhost = \"h\"",
        "destination number 1 name",
        2,
        "is missing",
        "letters",
    );
    refused("[[destination]]\nname = \"a\"", "destination \"a\" type", 1, "`type` is missing", "\"splunk_hec\"");
    let text = SPLUNK.replace("token = { env = \"TOKEN\" }", "");
    refused(&text, "destination \"splunk\" token", 2, "`token` is missing", "{ file = \"/path\" }");
    refused("[ingest]\nhttp = {}", "ingest.http.listen", 2, "`listen` is missing", "127.0.0.1");
}

#[test]
fn an_index_rule_of_splunk_speaks_of_tenants_and_filters_as_a_destination_does() {
    let rules = r#"indexes = [
    { index = "acme", tenants = ["tnt_acme"] },
    { index = "security", filter = { categories = ["SECURITY"], severities = ["critical"] } },
]"#;
    let (config, _) = read(&format!("{SPLUNK}index = \"main\"\n{rules}")).unwrap();
    let Kind::SplunkHec(hec) = &config.destinations[0].kind else { panic!("{config:?}") };
    let names: Vec<&str> = hec.indexes.iter().map(|rule| rule.index.as_str()).collect();
    assert_eq!((hec.index.as_deref(), names), (Some("main"), vec!["acme", "security"]));
    assert_eq!(
        (hec.indexes[0].tenants.as_slice(), hec.indexes[1].tenants.as_slice()),
        (&["tnt_acme".to_owned()][..], &["*".to_owned()][..])
    );
    assert_eq!(hec.indexes[1].filter.severities, ["critical"]);
    let shown = config.destinations[0].settings().into_iter().find(|(key, _)| *key == "indexes").unwrap().1.unwrap();
    let words = r#"acme for tenants ["tnt_acme"]; security for tenants ["*"], categories ["SECURITY"], severities ["critical"]"#;
    assert_eq!(shown, words);

    let wrong = |rule: &str, key: &str, what: &str, advice: &str| {
        refused(
            &format!("{SPLUNK}indexes = [{rule}]"),
            &format!("destination \"splunk\" indexes number 1 {key}"),
            7,
            what,
            advice,
        );
    };
    wrong("{ tenants = [\"a\"] }", "index", "`index` is missing", "add it");
    wrong("{ index = \"no spaces\" }", "index", "is not allowed", "letters");
    wrong("{ index = \"a\", tenants = [\"tnt_*\"] }", "tenants", "not a tenant id", "in full");
    wrong("{ index = \"a\", filter = { severities = [\"fatal\"] } }", "filter.severities", "not a severity", "correct");
    wrong("{ index = \"a\", categories = [\"C\"] }", "categories", "not a key", "`filter.categories`");
    let many = vec!["{ index = \"a\" }"; 1_001].join(", ");
    let text = format!("{SPLUNK}indexes = [{many}]");
    refused(&text, "destination \"splunk\" indexes", 7, "has 1001 rules", "at most 1000");
}

#[test]
fn lesson_18_a_small_disk_is_enough_and_lesson_19_one_budget_is_checked_against_all_shards() {
    let small = "[agent]\nshards = 1\n[buffer]\nmax_size = \"4MiB\"\nsegment_size = \"1MiB\"\n";
    assert_eq!(read(small).unwrap().0.buffer.max_size, 4 << 20);
    let text = "[agent]\nshards = 8\n[buffer]\nmax_size = \"1GiB\"\n";
    let what = "`max_size` of 1GiB holds 16 segments of 64MiB, and 8 shards need 32: 4 each";
    let advice =
        "set max_size to at least \"2GiB\", or segment_size to at most \"32MiB\", or agent.shards to at most 4";
    refused(text, "buffer.max_size", 4, what, advice);
    for way in [
        "[agent]\nshards = 8\n[buffer]\nmax_size = \"2GiB\"\n",
        "[agent]\nshards = 8\n[buffer]\nmax_size = \"1GiB\"\nsegment_size = \"32MiB\"\n",
        "[agent]\nshards = 4\n[buffer]\nmax_size = \"1GiB\"\n",
    ] {
        assert!(read(way).is_ok(), "the advice does not help: {way}");
    }
}

#[test]
fn lesson_07_durability_has_three_names_and_the_weak_ones_say_so() {
    let durability = |text: &str| read(&format!("[buffer]\n{text}")).unwrap().0.buffer.durability;
    assert_eq!(durability("durability = \"fsync\""), Durability::Fsync);
    assert_eq!(durability("durability = \"interval\""), Durability::Interval(Millis(200)));
    assert_eq!(durability("durability = \"interval\"\nsync_every = \"1s\""), Durability::Interval(Millis(1000)));
    assert_eq!(durability("durability = \"os\""), Durability::Os);
    warned("[buffer]\ndurability = \"os\"", "buffer.durability", "a power cut loses acknowledged events");
    warned("[buffer]\ndurability = \"interval\"", "buffer.durability", "loses up to 200 ms of acknowledged events");
    refused("[buffer]\nsync_every = \"1s\"", "buffer.sync_every", 2, "durability is not \"interval\"", "take it out");
}

#[test]
fn an_event_fits_into_a_segment_and_into_the_window() {
    let text = "[buffer]\nsegment_size = \"1MiB\"\n[ingest]\nmax_event_size = \"512KiB\"";
    refused(text, "ingest.max_event_size", 4, "more than a quarter of a segment of 1MiB", "at most \"256KiB\"");
    let text = "[ingest]\nwindow = { max_size = \"128KiB\" }";
    refused(text, "ingest.window.max_size", 2, "less than one event of 256KiB", "at least \"256KiB\"");
}

#[test]
fn nobody_outside_gets_in_without_a_token() {
    let text = "[ingest]\nhttp = { listen = \"0.0.0.0:8910\" }";
    refused(text, "ingest.http.listen", 2, "others can reach", "token = { file");
    refused("[ingest]\nhttp = { listen = \"[::]:8910\" }", "ingest.http.listen", 2, "others can reach", "127.0.0.1");
    refused("[admin]\nlisten = \"192.0.2.1:8911\"", "admin.listen", 2, "others can reach", "127.0.0.1");
    assert!(read("[ingest]\nhttp = { listen = \"127.0.0.1:8910\" }").unwrap().0.ingest.http.is_some());
    assert!(read("[ingest]\nhttp = { listen = \"[::ffff:127.0.0.1]:8910\" }").is_ok());
    let text = "[ingest]\nhttp = { listen = \"127.0.0.1:8910\", hosts = [\"http://siem\"] }";
    refused(text, "ingest.http.hosts", 2, "\"http://siem\", which is not a host name", "without a scheme");
    let text = "[ingest]\nhttp = { listen = \"0.0.0.0:8910\", token = { env = \"TOKEN\" } }";
    warned(text, "ingest.http.listen", "unencrypted");
}

#[test]
fn the_page_is_shown_to_others_over_tls_alone() {
    let refused_key = |line: &str, key: &str, what: &str, advice: &str| {
        refused(&format!("[admin]\n{line}"), &format!("admin.{key}"), 2, what, advice);
    };
    refused_key("tls = { cert_file = \"/no/cert\" }", "tls.key_file", "is missing", "both the certificate");
    refused_key("tls = {}", "tls.cert_file", "is missing", "both the certificate");
    let problems = read("[admin]\ntls = { cert_file = \"/no/cert\", key_file = \"/no/key\" }").unwrap_err();
    let is_error = |problem: &&Problem| problem.weight == Weight::Error;
    let keys: Vec<&str> = problems.iter().filter(is_error).map(|problem| problem.place.key.as_str()).collect();
    assert_eq!(keys, ["admin.tls.cert_file", "admin.tls.key_file"], "each is looked at");
    refused_key("hosts = [\"https://siem\"]", "hosts", "not a host name", "without a scheme");
    for path in ["siem", "/", "/siem/", "/a//b", "/..", "/a/./b", "/{x}", "/a b", "/%2e"] {
        refused_key(&format!("base_path = \"{path}\""), "base_path", "not a path", "like \"/siem\"");
    }
    refused_key("base_path = \"/livez/x\"", "base_path", "machines ask for", "");
    assert_eq!(read("[admin]\nbase_path = \"/a-1/b.2\"").unwrap().0.admin.base_path, "/a-1/b.2");
    for source in ["*;", "https://a b", "'none'", "a,b", "\\\"a"] {
        refused_key(&format!("frame_ancestors = [\"{source}\"]"), "frame_ancestors", "not the origin", "'self'");
    }
    let (config, _) = read("[admin]\nframe_ancestors = [\"'self'\", \"https://*.example.com:8443\"]").unwrap();
    assert_eq!(config.admin.frame_ancestors.len(), 2);
    assert!(!config.admin.metrics_need_token);
}

#[test]
fn with_a_certificate_the_page_may_be_shown_to_others_who_then_show_a_token_for_everything() {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["siem.example.com".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.display(), key.display());
    let text = format!(
        "[admin]\nlisten = \"0.0.0.0:8911\"\ntls = {{ cert_file = \"{cert}\", key_file = \"{key}\" }}\n{SYSLOG}"
    );
    warned(&text, "admin.hosts", "by its address alone");
    assert!(read(&text).unwrap().0.admin.metrics_need_token);
    let text = text.replace("tls =", "hosts = [\"Siem.example.com\"]\nmetrics_need_token = false\ntls =");
    let (config, warnings) = read(&text).unwrap();
    assert!(!warnings.iter().any(|warning| warning.place.key == "admin.hosts"), "{warnings:#?}");
    assert_eq!((config.admin.hosts[0].as_str(), config.admin.metrics_need_token), ("siem.example.com", false));
    assert!(config.admin.tls.is_some());
}

#[test]
fn a_proxy_that_says_who_asks_needs_one_key_that_is_long_enough() {
    let refused_key = |line: &str, key: &str, what: &str, advice: &str| {
        refused(&format!("[admin]\nproxy = {{ {line} }}"), &format!("admin.proxy{key}"), 2, what, advice);
    };
    refused_key("", ".jwt_key", "exactly one", "name the key");
    refused_key("jwt_key = { env = \"OTHER_TOKEN\" }", ".jwt_key", "8 bytes, and HS256 needs 32", "openssl rand");
    refused_key("jwt_key = \"x\"", ".jwt_key", "stands in the configuration itself", "file");
    refused_key("public_key_file = \"/no/key\"", ".public_key_file", "/no/key cannot be read", "BEGIN PUBLIC KEY");
    let (config, _) = read("[admin]\nproxy = { jwt_key = { env = \"JWT_KEY\" } }").unwrap();
    assert!(config.admin.metrics_need_token, "what a proxy leads to is not for everybody");
    let proxy = config.admin.proxy.unwrap();
    assert_eq!((proxy.header.as_str(), proxy.audience.as_str()), ("x-scaidrive-identity", "scaidrive-siem"));
    assert!(!format!("{proxy:?}").contains("long-enough"));
    assert_eq!((proxy.max_life, proxy.from.len()), (Millis::from_secs(120), 0));
    for from in ["proxy.example.com", "10.0.0.0/8", "10.0.0.7:80"] {
        refused_key(
            &format!("jwt_key = {{ env = \"JWT_KEY\" }}, from = [\"{from}\"]"),
            ".from",
            "not an IP address",
            "without a port",
        );
    }
}

#[test]
fn a_public_key_says_itself_which_algorithm_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.pem");
    let kind = |algorithm: &'static rcgen::SignatureAlgorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        std::fs::write(&file, key.public_key_pem()).unwrap();
        let text = format!("[admin]\nproxy = {{ public_key_file = \"{}\" }}", file.display());
        read(&text).map(|(config, _)| config.admin.proxy.unwrap().key)
    };
    assert!(matches!(kind(&rcgen::PKCS_ED25519), Ok(ProxyKey::Ed25519 { key, .. }) if key.len() == 32));
    assert!(matches!(kind(&rcgen::PKCS_ECDSA_P256_SHA256), Ok(ProxyKey::P256 { key, .. }) if key.len() == 65));
    assert!(kind(&rcgen::PKCS_ECDSA_P384_SHA384).is_err());
}

#[test]
fn addresses_and_paths_are_not_shared() {
    let text = "[ingest]\nhttp = { listen = \"127.0.0.1:8911\" }";
    refused(&format!("{text}\n[admin]\nlisten = \"127.0.0.1:8911\""), "admin.listen", 4, "ingest.http", "another port");
    let text = "[admin]\nsocket = \"/run/scaidrive-siem/ingest.sock\"";
    refused(text, "admin.socket", 2, "ingest.unix", "another path");
    let long = format!("[admin]\nsocket = \"/{}\"", "x".repeat(107));
    refused(&long, "admin.socket", 2, "108 bytes", "at most 107 bytes");
    let text = "[ingest]\nunix = { enabled = false }";
    refused(text, "ingest.unix", 2, "neither a socket nor HTTP", "http = ");
    let text = "[ingest]\nunix = { enabled = false }\nhttp = { listen = \"127.0.0.1:1\" }";
    assert_eq!(read(text).unwrap().0.ingest.unix, None);
}

#[test]
fn names_and_ids_are_unique_across_files() {
    let others = [("a.toml", SYSLOG), ("b.toml", SYSLOG)];
    let problems = read_all("", &others).unwrap_err();
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert!(problem.place.file.ends_with("destinations.d/b.toml") && problem.place.line == Some(3), "{problem:?}");
    let what = "there is another destination named \"syslog\" in /etc/scaidrive-siem/destinations.d/a.toml, line 3";
    assert_eq!(problem.what, what);
    let twin = SYSLOG.replace("\"syslog\"\ntype", "\"other\"\nid = \"syslog\"\ntype");
    refused(&format!("{SYSLOG}{twin}"), "destination \"other\" id", 9, "the same id", "cursors");
}

#[test]
fn a_secret_is_named_by_exactly_one_place_and_must_be_one() {
    let with = |token: &str| SPLUNK.replace("{ env = \"TOKEN\" }", token);
    let key = "destination \"splunk\" token";
    refused(&with("\"abc\""), key, 6, "stands in the configuration itself", "mode 0600");
    refused(&with("{}"), key, 6, "names no place", "file");
    refused(&with("{ env = \"TOKEN\", file = \"/x\" }"), key, 6, "more than one", "");
    refused(&with("{ env = \"NOPE\" }"), key, 6, "NOPE is not set", "check the environment variable NOPE");
    refused(&with("{ env = \"NOT_A_TOKEN\" }"), key, 6, "spaces", "NOT_A_TOKEN");
    refused(&with("{ file = \"/nope\" }"), key, 6, "/nope cannot be read: No such file", "check the file /nope");
    let text = with("{ credential = \"splunk\" }");
    refused(&text, "destination \"splunk\" token.credential", 6, "$CREDENTIALS_DIRECTORY", "LoadCredential=splunk");
    warned(SPLUNK, key, "environment variable TOKEN");
}

#[test]
fn encryption_is_missed_where_it_is_missing() {
    let plain = SPLUNK.replace("https://", "http://");
    warned(&plain, "destination \"splunk\" url", "unencrypted to splunk.example.com");
    warned(&format!("{SYSLOG}transport = \"tcp\""), "destination \"syslog\" transport", "unencrypted");
    let local = plain.replace("splunk.example.com", "127.0.0.1");
    assert!(read(&local).unwrap().1.iter().all(|warning| !warning.what.contains("unencrypted")));
    let text = format!("{plain}tls = {{ server_name = \"s\" }}");
    refused(&text, "destination \"splunk\" tls", 7, "not encrypted", "write https:// in url");
    let text = format!("{SYSLOG}transport = \"tcp\"\ntls = {{}}");
    refused(&text, "destination \"syslog\" tls", 7, "not encrypted", "transport = \"tls\"");
}

#[test]
fn addresses_of_destinations_are_checked() {
    let with = |url: &str| SPLUNK.replace("https://splunk.example.com:8088", url);
    let key = "destination \"splunk\" url";
    refused(&with("splunk:8088"), key, 5, "\"splunk:8088\", which has no scheme", "https://siem.example.com:8088");
    refused(&with("https://u:p@host"), key, 5, "an address which carries a user or a password", "");
    refused(&SYSLOG.replace("syslog.example.com", "a/b"), "destination \"syslog\" host", 5, "not a host name", "");
    refused(&format!("{SYSLOG}port = 70000"), "destination \"syslog\" port", 6, "is 70000, which", "from 1 to 65535");
    let (config, _) = read(&format!("{SYSLOG}transport = \"tcp\"")).unwrap();
    assert_eq!(config.destinations[0].kind.address(), "tcp://syslog.example.com:514");
}

#[test]
fn filters_and_scopes_are_compiled_at_load() {
    let text = format!("{SYSLOG}filter = {{ excluded_paths = [\"/ok/**\",\n\"/[\"] }}");
    refused(&text, "destination \"syslog\" filter.excluded_paths", 7, "`excluded_paths`", "");
    let text = format!("{SYSLOG}filter = {{ severities = [\"loud\"] }}");
    refused(&text, "destination \"syslog\" filter.severities", 6, "loud", "");
    let text = format!("{SYSLOG}filter = {{ actions = [7] }}");
    refused(&text, "destination \"syslog\" filter.actions", 6, "holds a whole number", "list of texts");
    let text = format!("{SYSLOG}filter = {{ actions = [\"\"] }}");
    refused(&text, "destination \"syslog\" filter.actions", 6, "holds \"\"", "1 to 4096 bytes");
    refused(&format!("{SYSLOG}tenants = []"), "destination \"syslog\" tenants", 6, "no tenant", "[\"*\"]");
    refused(&format!("{SYSLOG}tenants = [\"a*\"]"), "destination \"syslog\" tenants", 6, "not a tenant id", "in full");
    refused(&format!("{SYSLOG}tenants = \"*\""), "destination \"syslog\" tenants", 6, "is a text", "list");
}

#[test]
fn order_allows_one_request_at_a_time() {
    let (config, _) = read(&format!("{SPLUNK}ordered = true")).unwrap();
    assert_eq!(config.destinations[0].in_flight_max, 1);
    let text = format!("{SPLUNK}ordered = true\nin_flight = 2");
    refused(&text, "destination \"splunk\" in_flight", 8, "one request at a time", "ordered = false");
    refused(
        &format!("{SYSLOG}ordered = false"),
        "destination \"syslog\" ordered",
        6,
        "always in order",
        "take the line",
    );
    refused(&format!("{SYSLOG}in_flight = 2"), "destination \"syslog\" in_flight", 6, "not a key", "");
}

#[test]
fn each_syslog_transport_has_its_own_port_length_and_patience() {
    for (transport, port, max_len, request) in [
        ("tcp", 514, 8192, 60),
        ("tls", 6514, 8192, 60),
        ("udp", 514, 1400, 60),
        ("relp", 20514, 8192, 90),
        ("relp_tls", 20514, 8192, 90),
    ] {
        let (config, _) = read(&format!("{SYSLOG}transport = \"{transport}\"")).unwrap();
        let destination = &config.destinations[0];
        let Kind::Syslog(syslog) = &destination.kind else { panic!("{transport}") };
        assert_eq!(
            (syslog.transport.name(), syslog.port, syslog.max_len, destination.timeouts.request),
            (transport, port, max_len, Millis::from_secs(request))
        );
    }
    let text = format!("{SYSLOG}transport = \"relp\"\ntimeouts = {{ request = \"7s\" }}");
    assert_eq!(read(&text).unwrap().0.destinations[0].timeouts.request, Millis::from_secs(7));
}

#[test]
fn a_message_is_no_longer_than_its_transport_carries() {
    let place = "destination \"syslog\" max_len";
    for (transport, most, over) in
        [("udp", "65507B", "64KiB"), ("relp", "128KiB", "131073B"), ("relp_tls", "128KiB", "1MiB")]
    {
        let text = |len: &str| format!("{SYSLOG}transport = \"{transport}\"\nmax_len = \"{len}\"");
        assert!(read(&text(most)).is_ok() && read(&text("480B")).is_ok(), "{transport}");
        refused(&text(over), place, 7, "carries no more than", &format!("at most \"{most}\""));
        refused(&text("479B"), place, 7, "out of bounds", "from \"480B\"");
    }
}

#[test]
fn what_a_transport_has_of_its_own_is_not_set() {
    for transport in ["udp", "relp", "relp_tls"] {
        let text = format!("{SYSLOG}transport = \"{transport}\"\nframing = \"line_feed\"");
        refused(&text, "destination \"syslog\" framing", 7, "has a framing of its own", "take it out");
    }
    let text = format!("{SYSLOG}transport = \"udp\"\ntls = {{ server_name = \"x\" }}");
    refused(&text, "destination \"syslog\" tls", 7, "not encrypted", "transport = \"tls\"");
    let text = format!("{SYSLOG}transport = \"relp\"\ntls = {{ server_name = \"x\" }}");
    refused(&text, "destination \"syslog\" tls", 7, "not encrypted", "transport = \"relp_tls\"");
    warned(&format!("{SYSLOG}transport = \"relp\""), "destination \"syslog\" transport", "unencrypted");
}

#[test]
fn the_header_of_rfc_3164_has_its_rules() {
    let old = format!("{SYSLOG}header = \"rfc3164\"");
    let header = |text: &str| match &read(text).unwrap().0.destinations[0].kind {
        Kind::Syslog(syslog) => syslog.header,
        other => panic!("{other:?}"),
    };
    assert_eq!(header(SYSLOG), Header::Rfc5424);
    assert_eq!(header(&old), Header::Rfc3164 { utc_offset: 0 });
    assert_eq!(header(&format!("{old}\nutc_offset = \"-05:30\"")), Header::Rfc3164 { utc_offset: -330 });
    let place = "destination \"syslog\" utc_offset";
    refused(&format!("{old}\nutc_offset = \"CEST\""), place, 7, "not an offset", "\"+02:00\"");
    refused(&format!("{SYSLOG}utc_offset = \"+02:00\""), place, 6, "a time in UTC", "header = \"rfc3164\"");
    refused(&format!("{old}\nbom = true"), "destination \"syslog\" bom", 7, "no byte order mark", "rfc5424");
    refused(&format!("{old}\napp_name = \"_._\""), "destination \"syslog\" app_name", 7, "TAG", "a letter or a digit");
}

#[test]
fn fingerprints_are_read_and_sha_1_is_warned_of() {
    let text = |fingerprint: &str| format!("{SYSLOG}tls = {{ fingerprints = [\"{fingerprint}\"] }}");
    let place = "destination \"syslog\" tls.fingerprints";
    let sha256 = format!("sha-256{}", ":aB".repeat(32));
    let (config, warnings) = read(&text(&sha256)).unwrap();
    assert_eq!(config.destinations[0].tls.fingerprints, [Fingerprint::Sha256([0xab; 32])]);
    assert!(warnings.is_empty(), "{warnings:?}");
    warned(&text(&format!("sha-1{}", ":AB".repeat(20))), place, "SHA-1");
    refused(&text("sha-256:AB"), place, 6, "not a fingerprint", "32 pairs");
    let text = format!("{SYSLOG}tls = {{ min_version = \"1.1\" }}");
    refused(&text, "destination \"syslog\" tls.min_version", 6, "not a choice", "\"1.3\"");
}

#[test]
fn required_and_block_belong_together() {
    let what = "waits for destinations with required = true";
    warned(&format!("[buffer]\non_full = \"block\"\n{SYSLOG}"), "buffer.on_full", what);
    warned(&format!("{SYSLOG}required = true"), "buffer.on_full", "`syslog` is marked as required");
    let (_, warnings) = read(&format!("[buffer]\non_full = \"block\"\n{SYSLOG}required = true")).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn broken_toml_is_reported_by_line_and_other_files_are_still_read() {
    let problems = read_all("[agent]\nnode = \n[agent]\n", &[("a.toml", "[[destination]]\nname = 7\n")]).unwrap_err();
    let seen: Vec<(Option<usize>, bool)> =
        problems.iter().map(|problem| (problem.place.line, problem.what.contains("not TOML"))).collect();
    assert!(seen.contains(&(Some(2), true)) && seen.contains(&(Some(3), true)), "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.place.key == "destination number 1 name"), "{problems:#?}");
}

#[test]
fn a_file_of_destinations_holds_destinations_only() {
    let problems = read_all("", &[("a.toml", "[buffer]\nwindow = \"1m\"\n")]).unwrap_err();
    let error = problems.iter().find(|problem| problem.weight == Weight::Error).unwrap();
    assert_eq!((error.place.key.as_str(), error.place.line), ("buffer", Some(1)));
    assert!(read("destination = 1").is_err() && read("destination = [1]").is_err());
}

#[test]
fn a_destination_is_let_in_in_one_way() {
    let text = format!("{ELASTIC}user = \"a\"\npassword = {{ env = \"TOKEN\" }}");
    refused(&text, "destination \"elastic\" user", 7, "stands beside api_key", "take one of them out");
    let text = ELASTIC.replace("api_key", "password");
    refused(&text, "destination \"elastic\" password", 6, "set without `user`", "add user");
    let text = format!("{}user = \"a:b\"\npassword = {{ env = \"TOKEN\" }}", without(ELASTIC, "api_key"));
    refused(&text, "destination \"elastic\" user", 6, "has a colon", "");
    let text = format!("{}aws = {{ region = \"r\", access_key_id = \"A\" }}", without(ELASTIC, "api_key"));
    refused(&text, "destination \"elastic\" aws.access_key_id", 6, "without `secret_access_key`", "add");
    let text = format!("{SUMO}token = {{ env = \"TOKEN\" }}");
    refused(&text, "destination \"sumo\" secret_url", 5, "stands beside url or token", "");
    refused(&without(SUMO, "secret_url"), "destination \"sumo\" secret_url", 2, "is missing", "whole address");
    let text = format!("{HTTPS}signing_secret_next = {{ env = \"TOKEN\" }}");
    refused(&text, "destination \"https\" signing_secret_next", 6, "without `signing_secret`", "");
}

#[test]
fn a_proxy_speaks_http_and_knows_both_user_and_password_or_neither() {
    let key = |key: &str| format!("destination \"splunk\" proxy.{key}");
    let text = format!("{SPLUNK}proxy = {{ url = \"https://proxy:3128\" }}");
    refused(&text, &key("url"), 7, "not the address of an HTTP proxy", "http://proxy");
    let text = format!("{SPLUNK}proxy = {{ url = \"http://proxy:3128\", user = \"u\" }}");
    refused(&text, &key("user"), 7, "without `password`", "add password");
    let text = format!("{SYSLOG}proxy = {{ url = \"http://proxy:3128\" }}");
    refused(&text, "destination \"syslog\" proxy", 6, "not a key", "");
}

#[test]
fn sentinel_wants_to_know_who_asks_and_warns_of_what_is_retired() {
    let nobody = without(SENTINEL, "client_secret");
    refused(&nobody, "destination \"sentinel\" client_secret", 2, "nothing says who asks", "managed_identity");
    let text = SENTINEL.replace("dcr-", "");
    refused(&text, "destination \"sentinel\" rule", 6, "immutable id", "JSON view");
    let text = format!("{SENTINEL}workspace_id = \"x\"");
    refused(
        &text,
        "destination \"sentinel\" workspace_id",
        10,
        "no meaning with api = \"logs_ingestion\"",
        "take it out",
    );
    let text = format!("{SENTINEL}managed_identity = \"system\"");
    refused(&text, "destination \"sentinel\" client_secret", 9, "stands beside managed_identity", "");
    let collector = "[[destination]]\nname = \"old\"\ntype = \"sentinel\"\napi = \"data_collector\"\nworkspace_id = \"11111111-2222-3333-4444-555555555555\"\nworkspace_key = { env = \"WORKSPACE_KEY\" }\n";
    warned(collector, "destination \"old\" api", "is retired");
    let (config, _) = read(collector).unwrap();
    let address = "https://11111111-2222-3333-4444-555555555555.ods.opinsights.azure.com";
    assert_eq!(config.destinations[0].kind.address(), address);
    assert_eq!(config.destinations[0].compression, Compression::None, "it documents none");
    let text = format!("{collector}compression = \"gzip\"");
    refused(&text, "destination \"old\" compression", 7, "no meaning with api", "take it out");
    assert!(read(&format!("{collector}compression = \"none\"")).is_ok());
    let text = collector.replace("WORKSPACE_KEY", "TOKEN");
    refused(&text, "destination \"old\" workspace_key", 6, "not Base64", "primary or secondary");
}

#[test]
fn the_machines_own_identity_needs_no_client_id() {
    let bare =
        ["client_secret", "client_id", "tenant_id"].iter().fold(SENTINEL.to_owned(), |text, key| without(&text, key));
    let text = format!("{bare}managed_identity = \"system\"");
    assert!(read(&text).is_ok(), "{:#?}", read(&text));
    let text = format!("{bare}managed_identity = \"user\"");
    refused(&text, "destination \"sentinel\" client_id", 2, "is missing", "add client_id");
}

#[test]
fn secrets_are_sent_encrypted_to_those_who_issue_tokens() {
    let oauth = |url: &str| {
        format!("{HTTPS}oauth = {{ token_url = \"{url}\", client_id = \"a\", client_secret = {{ env = \"TOKEN\" }} }}")
    };
    let key = "destination \"https\" oauth.token_url";
    refused(&oauth("http://issuer.example.com/t"), key, 6, "not encrypted", "https://");
    assert!(read(&oauth("http://127.0.0.1:9/t")).is_ok());
    let text = format!("{SENTINEL}authority = \"http://login.example.com\"");
    refused(&text, "destination \"sentinel\" authority", 10, "not encrypted", "https://");
}

#[test]
fn a_secret_header_is_none_that_each_request_has() {
    for name in ["Host", "content-length", "Transfer-Encoding"] {
        let text = format!("{HTTPS}secret_headers = [{{ name = \"{name}\", value = {{ env = \"TOKEN\" }} }}]");
        let problems = read(&text).unwrap_err();
        assert!(problems.iter().any(|problem| problem.what.contains(name)), "{name}: {problems:#?}");
    }
}

#[test]
fn what_a_kind_knows_better_is_refused_in_its_words() {
    refused(
        &format!("{DATADOG}site = \"datadoghq.org\""),
        "destination \"datadog\" site",
        6,
        "\"datadoghq.org\"",
        "datadoghq.com",
    );
    refused(&format!("{DATADOG}tags = [\"Env\"]"), "destination \"datadog\" tags", 6, "Env", "env:prod");
    refused(&format!("{ELASTIC}target = \"Logs\""), "destination \"elastic\" target", 7, "lower case", "data stream");
    let text = format!("{}urls = [\"https://a/x\", \"https://b/y\"]", without(ELASTIC, "url"));
    refused(&text, "destination \"elastic\" urls", 6, "different paths", "destination of its own");
    refused(
        &format!("{HTTPS}headers = [\"Authorization: x\"]"),
        "destination \"https\" headers",
        6,
        "can't be set here",
        "",
    );
    refused(
        &format!("{HTTPS}headers = [\"no colon\"]"),
        "destination \"https\" headers",
        6,
        "has no colon",
        "Name: value",
    );
    refused(&format!("{HTTPS}success = [404]"), "destination \"https\" success", 6, "404", "");
    refused(
        &format!("{HTTPS}success = [1000]"),
        "destination \"https\" success",
        6,
        "1000, which is not allowed",
        "statuses from 100",
    );
    refused(&format!("{HTTPS}wrap_key = \"x\""), "destination \"https\" wrap_key", 6, "body is not \"wrapped\"", "");
    refused(&format!("{SUMO}fields = [\"env\"]"), "destination \"sumo\" fields", 6, "has no `=`", "name=value");
    let (config, _) = read(&format!("{HTTPS}body = \"single\"")).unwrap();
    assert_eq!(config.destinations[0].batch.max_events, 1, "one event a request is what the form says");
}

#[test]
fn advice_is_about_the_mistake_that_was_made() {
    let https = |text: &str, key: &str, line: usize, what: &str, advice: &str| {
        refused(&format!("{HTTPS}{text}"), &format!("destination \"https\" {key}"), line, what, advice);
    };
    https("template = \"1\"\ntemplate_file = \"x\"", "template_file", 7, "beside template", "take one of them out");
    https("rate_limit = { warn_at = 50 }", "rate_limit.warn_at", 6, "without `bytes_per_day`", "add bytes_per_day");
    https("headers = [\"Authorization: x\"]", "headers", 6, "set `bearer_token`", "");
    let text = HTTPS.replace("/events", "/events?key=1");
    refused(&text, "destination \"https\" url", 5, "has a query", "as query = ");
    let text = SPLUNK.replace("8088", "8088/?key=1");
    refused(&text, "destination \"splunk\" url", 5, "has a query", "write it like");
}

#[test]
fn a_header_is_set_once() {
    let header = |name: &str| format!("{{ name = \"{name}\", value = {{ env = \"TOKEN\" }} }}");
    let key = "destination \"https\" secret_headers number 2 name";
    let text = format!("{HTTPS}secret_headers = [{}, {}]", header("X-Key"), header("x-key"));
    refused(&text, key, 6, "another credential sets", "take one of them out");
    let key = key.replace('2', "1");
    let text = format!("{HTTPS}bearer_token = {{ env = \"TOKEN\" }}\nsecret_headers = [{}]", header("authorization"));
    refused(&text, &key, 7, "another credential sets", "take one of them out");
    let text = format!("{HTTPS}headers = [\"X-Site: a\"]\nsecret_headers = [{}]", header("x-site"));
    refused(&text, &key, 7, "`headers` sets that header", "take one of them out");
    for (name, instead) in [("content-type", "`content_type` sets it"), ("X-ScaiDrive-Signature", "signing secret")] {
        refused(&format!("{HTTPS}secret_headers = [{}]", header(name)), &key, 6, "can't be set here", instead);
    }
    let text = format!("{HTTPS}secret_headers = [{}, {}]", header("X-Key"), header("Authorization"));
    assert!(read(&text).is_ok());
}

#[test]
fn a_rule_for_an_index_that_no_event_gets_to_is_pointed_out() {
    let rules = |rules: &str| format!("{SPLUNK}indexes = [{rules}]");
    let words = "number 1 takes them all";
    warned(&rules("{ index = \"a\" }, { index = \"b\" }"), "destination \"splunk\" indexes number 2 index", words);
    for fine in [
        "{ index = \"a\", tenants = [\"t\"] }, { index = \"b\" }",
        "{ index = \"a\", filter = { severities = [\"critical\"] } }, { index = \"b\" }",
    ] {
        let (_, warnings) = read(&rules(fine)).unwrap();
        assert!(warnings.iter().all(|warning| !warning.what.contains("as far as this rule")), "{warnings:#?}");
    }
}

#[test]
fn no_secret_of_any_kind_is_ever_shown() {
    let (config, _) = read(&one_of_each()).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    for destination in &config.destinations {
        assert!(!format!("{:?} {}", destination.settings(), destination.kind.address()).contains(SECRET));
    }
}

/// The lines of `text` but for one key's.
fn without(text: &str, key: &str) -> String {
    text.lines().filter(|line| !line.starts_with(&format!("{key} ="))).map(|line| format!("{line}\n")).collect()
}
