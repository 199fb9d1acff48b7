//! The receiver and its token endpoints against a plain client.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::imds::{APP_SERVICE_HEADER, Host};
use super::*;
use crate::certificates::Client;
use crate::http::{HttpReply, connect, post_once};
use crate::oracle;
use crate::receiver::{Fault, RetryAfter};

const ROW: &str = r#"{"TimeGenerated":"2026-05-12T14:23:01Z","EventId":"gen-00000001-00002-00000003","AppTenantId":"tnt-00002","Payload":{},"SiemNode":"a","SiemStream":"s","SiemN":1}"#;

fn target() -> String {
    format!("/dataCollectionRules/{RULE_ID}/streams/{STREAM}?api-version=2023-01-01")
}

fn send_to(sentinel: &Sentinel, target: &str, token: &str, body: &str) -> HttpReply {
    let authorization = format!("Bearer {token}");
    let headers = [("User-Agent", "t"), ("Authorization", &authorization), ("Content-Type", "application/json")];
    post_once(sentinel.address(), target, &headers, body.as_bytes()).unwrap()
}

fn with_token() -> Sentinel {
    Sentinel::start(&Arc::new(Credentials::of("T")), Settings::default())
}

fn first_rule<R: Rules>(receiver: &Receiver<R>) -> Option<Rule> {
    receiver.violations().first().map(|violation| violation.rule)
}

#[test]
fn records_are_taken_and_the_agents_own_are_read_by_the_oracle() {
    let sentinel = with_token();
    let own = r#"{"TimeGenerated":"2026-05-12T14:23:01Z","EventId":"own","AppTenantId":"_agent","Action":"siem.stream_statement","Payload":{"stream":"s","from":1,"end":2,"explained":0,"final":false}}"#;
    assert_eq!(send_to(&sentinel, &target(), "T", "[]").status, 204);
    assert_eq!(send_to(&sentinel, &target(), "T", &format!("[{ROW},{own}]")).status, 204);
    sentinel.assert_no_violations();
    let arrivals = sentinel.arrivals();
    assert_eq!((arrivals.list[0].n, arrivals.streams[0].as_str()), (Some(1), "s"));
    assert_eq!(oracle::statements(&arrivals)[0].range, 1..2);
}

#[test]
fn each_broken_rule_is_named() {
    let broken = |target: &str, token: &str, body: &str| {
        let sentinel = with_token();
        (send_to(&sentinel, target, token, body).status, first_rule(&sentinel))
    };
    let with = |name: &str, value: &str| format!("[{}]", ROW.replacen('{', &format!("{{\"{name}\":{value},"), 1));
    let rows = format!("[{ROW}]");
    assert_eq!(broken("/elsewhere", "T", &rows), (404, Some(TARGET)));
    assert_eq!(broken(target().split('?').next().unwrap(), "T", &rows), (400, Some(API_VERSION)));
    assert_eq!(broken(&target(), "never issued", &rows), (401, Some(TOKEN)));
    assert_eq!(broken(&target(), "T", ROW), (400, Some(ARRAY)));
    assert_eq!(broken(&target(), "T", "[1]"), (400, Some(JSON)));
    assert_eq!(broken(&target(), "T", &with("Type", "1")), (204, Some(RESERVED)));
    assert_eq!(broken(&target(), "T", &with("1st", "1")), (204, Some(COLUMN_NAME)));
    assert_eq!(broken(&target(), "T", &with("Other", "1")), (204, Some(DECLARED)));
    assert_eq!(broken(&target(), "T", &with("Action", "1")), (204, Some(COLUMN_TYPE)));
    assert_eq!(
        broken(&target(), "T", &rows.replace("\"TimeGenerated\":\"2026-05-12T14:23:01Z\",", "")),
        (204, Some(TIME_GENERATED))
    );
    let long = format!("\"{}\"", "x".repeat(FIELD_MAX + 1));
    assert_eq!(broken(&target(), "T", &with("Action", &long)), (204, Some(FIELD_SIZE)));
    let large = format!("[{}]", vec![ROW; BODY_MAX / ROW.len() + 1].join(","));
    assert_eq!(broken(&target(), "T", &large), (413, Some(BODY_SIZE)));
    assert_eq!(broken(&target(), "T", &rows), (204, None));

    let sentinel = with_token();
    let headers = [
        ("User-Agent", "t"),
        ("Authorization", "Bearer T"),
        ("Content-Encoding", "gzip"),
        ("Content-Type", "application/json"),
    ];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(large.as_bytes()).unwrap();
    let reply = post_once(sentinel.address(), &target(), &headers, &gzip.finish().unwrap()).unwrap();
    assert!(reply.text().contains("ContentLengthLimitExceeded"));
    let headers = [("User-Agent", "t"), ("Authorization", "Bearer T"), ("Content-Type", "text/plain")];
    assert_eq!(post_once(sentinel.address(), &target(), &headers, rows.as_bytes()).unwrap().status, 400);
    let headers = [("User-Agent", "t"), ("Authorization", "Basic T")];
    assert_eq!(post_once(sentinel.address(), &target(), &headers, rows.as_bytes()).unwrap().status, 401);
    let rules: Vec<Rule> = sentinel.violations().into_iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [BODY_SIZE, CONTENT_TYPE, AUTHORIZATION]);
}

#[test]
fn the_role_and_the_fate_of_a_token_decide() {
    let tokens = Arc::new(Credentials::of("T"));
    let sentinel = Sentinel::start(&tokens, Settings::default());
    let status = |token: &str| send_to(&sentinel, &target(), token, &format!("[{ROW}]")).status;
    sentinel.rules().grant_role(false);
    assert_eq!(status("T"), 403);
    sentinel.rules().grant_role(true);
    sentinel.rules().declare("Other", ColumnType::Real);
    assert_eq!(
        send_to(&sentinel, &target(), "T", &format!("[{}]", ROW.replacen('{', "{\"Other\":1.5,", 1))).status,
        204
    );
    tokens.only("U");
    assert_eq!((status("T"), status("U")), (401, 204));
    sentinel.set_fault_times(1, Fault::poison("00000003"));
    assert_eq!((status("U"), status("U")), (400, 204));
    sentinel.assert_no_violations();
    tokens.add_between("V", Duration::ZERO, Some(Duration::ZERO));
    assert_eq!((status("V"), first_rule(&sentinel)), (401, Some(TOKEN)));
    assert_eq!(sentinel.count(), 3);
}

fn ask_entra(entra: &Entra, form: &str) -> (u16, Value) {
    let headers = [("User-Agent", "t"), ("Content-Type", "application/x-www-form-urlencoded")];
    let path = format!("/{}/oauth2/v2.0/token", entra::TENANT);
    let reply = post_once(entra.address(), &path, &headers, form.as_bytes()).unwrap();
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

const SCOPE: &str = "scope=https%3A%2F%2Fmonitor.azure.com%2F.default";

fn form(credential: &str) -> String {
    format!("grant_type=client_credentials&client_id={}&{SCOPE}&{credential}", entra::CLIENT)
}

#[test]
fn entra_gives_tokens_that_end_for_a_secret() {
    let tokens = Arc::new(Credentials::default());
    let entra = Entra::start(&tokens, Settings::default());
    entra.rules().issuer().set_life(Duration::from_millis(300));
    let good = form("client_secret=s3cret%7Ewith%26odd%3Dcharacters%2B%25");
    let (status, reply) = ask_entra(&entra, &good);
    assert_eq!((status, &reply["token_type"], reply["expires_in"].is_u64()), (200, &Value::from("Bearer"), true));
    let token = reply["access_token"].as_str().unwrap();
    assert!(tokens.accepts(token));
    crate::wait::wait_until("it ends", Duration::from_secs(5), || tokens.standing(token) == Standing::Expired);
    entra.set_fault_times(1, Fault::Status { status: 429, retry_after: Some(RetryAfter::Seconds(1)) });
    assert_eq!(ask_entra(&entra, &good).0, 429);
    let (status, reply) = ask_entra(&entra, &form("client_secret=wrong"));
    assert_eq!((status, &reply["error_codes"][0]), (401, &Value::from(7_000_215)));
    entra.assert_no_violations();
    assert_eq!(entra.rules().issuer().count(), 1);

    let broken = |body: &str| {
        let entra = Entra::start(&tokens, Settings::default());
        (ask_entra(&entra, body).0, first_rule(&entra))
    };
    assert_eq!(broken(&good.replace("grant_type=", "x=")), (400, Some(entra::GRANT_TYPE)));
    assert_eq!(broken(&good.replace("%2F.default", "")), (400, Some(entra::SCOPE)));
    assert_eq!(broken(&form("")), (401, Some(entra::CREDENTIAL)));
    let entra = Entra::start(&tokens, Settings::default());
    let path = format!("/{}/oauth2/v2.0/token", entra::TENANT);
    assert_eq!(post_once(entra.address(), &path, &[("User-Agent", "t")], b"").unwrap().status, 400);
    assert_eq!(post_once(entra.address(), "/x/oauth2/v2.0/token", &[("User-Agent", "t")], b"").unwrap().status, 400);
    assert_eq!(post_once(entra.address(), "/x", &[("User-Agent", "t")], b"").unwrap().status, 404);
    let rules: Vec<Rule> = entra.violations().into_iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [entra::CONTENT_TYPE, entra::TARGET]);
}

/// An assertion as RFC 7523 wants it.
fn assertion(client: &Client, id: &str, life: u64, change: impl Fn(&mut Value)) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let thumbprint = ring::digest::digest(&ring::digest::SHA256, &client.certificate);
    let header = serde_json::json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint) });
    let audience = format!("https://login.example/{}/oauth2/v2.0/token", entra::TENANT);
    let mut claims = serde_json::json!({
        "aud": audience, "iss": entra::CLIENT, "sub": entra::CLIENT, "jti": id, "nbf": now, "exp": now + life,
    });
    change(&mut claims);
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let key = ring::signature::RsaKeyPair::from_pkcs8(&client.key).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    let chance = ring::rand::SystemRandom::new();
    key.sign(&ring::signature::RSA_PSS_SHA256, &chance, message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn entra_takes_signed_assertions_once_and_federated_ones_while_they_are_current() {
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(dir.path());
    let entra = Entra::start(&Arc::new(Credentials::default()), Settings::default());
    let with = |assertion: &str| {
        let kind = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        ask_entra(&entra, &form(&format!("{kind}&client_assertion={assertion}"))).0
    };
    let good = assertion(&client, "1", 300, |_| {});
    entra.rules().register(&client.certificate);
    assert_eq!(with(&good), 200);
    entra.rules().federated().add("from.outside.1");
    assert_eq!(with("from.outside.1"), 200);
    entra.rules().federated().only("from.outside.2");
    assert_eq!((with("from.outside.1"), with("from.outside.2")), (401, 200));
    entra.assert_no_violations();
    assert_eq!(with(&good), 401, "the same jti again");
    assert_eq!(with(&assertion(&client, "2", 100_000, |_| {})), 401, "it lives too long");
    assert_eq!(with(&assertion(&client, "3", 300, |claims| claims["aud"] = "x".into())), 401);
    assert_eq!(with(&assertion(&client, "4", 300, |claims| claims["sub"] = "x".into())), 401);
    let unsigned = assertion(&client, "5", 300, |_| {}).rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    assert_eq!(with(&unsigned), 401);
    assert!(entra.violations().iter().all(|violation| violation.rule == entra::ASSERTION));
    assert_eq!(entra.violations().len(), 5);
}

fn fetch(imds: &Imds, path: &str, headers: &[(&str, &str)]) -> HttpReply {
    let mut head = format!("GET {path} HTTP/1.1\r\nHost: h\r\nUser-Agent: t\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = connect(imds.address()).unwrap();
    stream.get_mut().write_all(format!("{head}\r\n").as_bytes()).unwrap();
    crate::http::read_reply(&mut stream).unwrap()
}

const RESOURCE_QUERY: &str = "resource=https%3A%2F%2Fmonitor.azure.com";

#[test]
fn a_machine_gives_tokens_with_numbers_as_strings() {
    let tokens = Arc::new(Credentials::default());
    let imds = Imds::start(Host::Machine, &tokens, Settings::default());
    let path = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&{RESOURCE_QUERY}");
    let metadata = ("Metadata", "true");
    let reply: Value = serde_json::from_slice(&fetch(&imds, &path, &[metadata]).body).unwrap();
    assert!(reply["expires_in"].is_string() && tokens.accepts(reply["access_token"].as_str().unwrap()));
    let own = format!("{path}&client_id={}", imds::IDENTITY);
    assert_eq!(fetch(&imds, &own, &[metadata]).status, 200);
    assert_eq!(fetch(&imds, &format!("{path}&client_id=other"), &[metadata]).status, 400);
    imds.set_fault_times(1, Fault::Status { status: 410, retry_after: None });
    assert_eq!((fetch(&imds, &path, &[metadata]).status, fetch(&imds, &path, &[metadata]).status), (410, 200));
    imds.assert_no_violations();

    assert!(fetch(&imds, &path, &[("Metadata", "True")]).text().contains("bad_request_102"));
    assert_eq!(fetch(&imds, &path, &[metadata, ("Via", "1.1 proxy")]).status, 400);
    assert_eq!(fetch(&imds, &path.replace("2018", "2017"), &[metadata]).status, 400);
    assert_eq!(fetch(&imds, &format!("{path}%2F.default"), &[metadata]).status, 400);
    let rules: Vec<Rule> = imds.violations().into_iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [imds::METADATA, imds::NO_PROXY, imds::TARGET, imds::RESOURCE_NAMED]);
}

#[test]
fn app_service_wants_its_header() {
    let imds = Imds::start(Host::AppService, &Arc::new(Credentials::default()), Settings::default());
    let path = format!("/msi/token?api-version=2019-08-01&{RESOURCE_QUERY}");
    let reply: Value =
        serde_json::from_slice(&fetch(&imds, &path, &[("X-IDENTITY-HEADER", APP_SERVICE_HEADER)]).body).unwrap();
    assert!(reply["expires_on"].is_string() && reply.get("expires_in").is_none());
    imds.assert_no_violations();
    assert_eq!(fetch(&imds, &path, &[]).status, 403);
    assert_eq!(fetch(&imds, &path.replace("08", "07"), &[]).status, 400);
    let rules: Vec<Rule> = imds.violations().into_iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [imds::APP_HEADER, imds::APP_TARGET]);
}

#[test]
fn arc_challenges_with_a_file_that_is_good_once() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::Arc(dir.path().to_owned());
    let imds = Imds::start(host, &Arc::new(Credentials::default()), Settings::default());
    let path = format!("/metadata/identity/oauth2/token?api-version=2019-11-01&{RESOURCE_QUERY}");
    let metadata = ("Metadata", "true");
    let challenge = fetch(&imds, &path, &[metadata]);
    let file = challenge.header("www-authenticate").unwrap().strip_prefix("Basic realm=").unwrap().to_owned();
    let key = format!("Basic {}", std::fs::read_to_string(file).unwrap());
    assert_eq!((challenge.status, fetch(&imds, &path, &[metadata, ("Authorization", &key)]).status), (401, 200));
    imds.assert_no_violations();
    assert_eq!(fetch(&imds, &path, &[metadata, ("Authorization", &key)]).status, 401);
    assert_eq!(fetch(&imds, &path.replace("11", "12"), &[metadata]).status, 400);
    let rules: Vec<Rule> = imds.violations().into_iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [imds::ARC_KEY, imds::ARC_TARGET]);
}
