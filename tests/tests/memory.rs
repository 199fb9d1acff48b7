//! What somebody has told the agent in confidence is nowhere in its memory when the connection is closed and nothing uses it.

use std::time::{Duration, Instant};

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::Workload;
use scaidrive_tests::hec::{Hec, TOKEN};
use scaidrive_tests::http::{HttpReply, request_on_socket, request_once};
use scaidrive_tests::memory::{Found, find_in_memory};
use scaidrive_tests::scenario::{PATIENCE, write};
use scaidrive_tests::skip::skip;
use serde_json::{Value, json};

/// Secrets that stand nowhere but in what this test sends.
const MISTYPED: &str = "planted-3a91-typed-into-the-login";
const REFUSED: &str = "planted-7c02-of-a-destination-that-is-refused";
const TRIED: &str = "planted-b1d8-of-a-destination-that-is-tested";
const SHOWN: &str = "planted-e460-of-a-destination-made-on-the-page";
const CHANGED: &str = "planted-95fe-put-in-place-of-another";

/// How long a connection that was closed may take to be noticed.
const SOON: Duration = Duration::from_secs(5);
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Asks on the address, on a connection of its own.
#[track_caller]
fn ask(agent: &Agent, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> HttpReply {
    request_once(agent.config.admin, method, path, headers, body.as_bytes()).expect("the agent answers")
}

#[track_caller]
fn done(reply: &HttpReply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

/// A text of JSON in which this secret needs unpacking.
fn escaped(value: &Value, secret: &str) -> String {
    value.to_string().replace(secret, &secret.replace('-', "\\u002d"))
}

/// What of `secrets` is found in the agent's memory, once it has had the time to let go of it: requests end, and of a
/// destination the shards.
fn left(agent: &Agent, secrets: &[&str], within: Duration) -> Vec<Found> {
    let deadline = Instant::now() + within;
    loop {
        let found = find_in_memory(agent.pid(), secrets).expect("this process may read the memory of its child");
        if found.is_empty() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_was_told_in_confidence_is_gone_from_memory_when_nothing_uses_it() {
    let receiver = Hec::plain();
    let mut agent = Agent::new();
    agent.start();
    if let Err(problem) = find_in_memory(agent.pid(), &[]) {
        return skip("what_was_told_in_confidence_is_gone_from_memory", &problem.to_string());
    }
    let url = receiver.url();
    let path = agent.config.state_dir.join("admin-token");
    let first = std::fs::read_to_string(path).expect("the first start makes a token").trim().to_owned();

    // Tokens: made over the API, made by the command line, and used.
    let bearer = format!("Bearer {first}");
    let as_first = ("Authorization", bearer.as_str());
    let made = done(&ask(&agent, "POST", "/v1/tokens", &[as_first], r#"{"name": "second", "role": "admin"}"#), 201);
    let second = made["secret"].as_str().expect("it is told once").to_owned();
    let output = agent.command(&["token", "create", "third", "--role", "admin"]);
    let third = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(third.starts_with("sds_"), "{output:?}");
    assert_eq!(ask(&agent, "GET", "/v1/tokens", &[("Authorization", &format!("Bearer {third}"))], "").status, 200);

    // The login, which fails and then does not.
    assert_eq!(ask(&agent, "POST", "/login", &[FORM], &format!("token={MISTYPED}")).status, 401);
    let in_now = ask(&agent, "POST", "/login", &[FORM], &format!("token={second}"));
    let cookie = in_now.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned();
    let session = cookie.split_once('=').expect("it has a value").1.to_owned();
    let csrf = done(&ask(&agent, "GET", "/v1/session", &[("Cookie", &cookie)], ""), 200)["csrf"].clone();
    let csrf = csrf.as_str().expect("a session has one");

    // Destinations: refused, tested, and made, over the API and on the page.
    let hec = |name: &str, secret: &str| {
        let value = json!({"name": name, "type": "splunk_hec", "url": url, "token": {"value": secret}});
        escaped(&value, secret)
    };
    let post = |path: &str, body: &str| ask(&agent, "POST", path, &[as_first], body);
    let refused = done(&post("/v1/destinations", &hec("no name", REFUSED)), 422);
    assert!(refused.to_string().contains("no name"), "{refused}");
    assert_eq!(done(&post("/v1/destinations/test", &hec("tried", TRIED)), 200)["ok"], false);
    done(&post("/v1/destinations", &hec("api", TOKEN)), 201);
    let form = |secret: &str, of: &str| {
        format!("_csrf={csrf}&name=page&url={url}&token={secret}{of}").replace("http://", "http%3A%2F%2F")
    };
    let on_the_page = |body: &str| ask(&agent, "POST", "/new/splunk_hec", &[FORM, ("Cookie", &cookie)], body);
    assert_eq!(on_the_page(&form(REFUSED, "&batch.linger=never&_do=save")).status, 422);
    assert_eq!(on_the_page(&form(TRIED, "&_do=test")).status, 200);
    // Before other requests need the same memory.
    let told = [MISTYPED, REFUSED, TRIED, &first, &second, &third, &session];
    assert_eq!(left(&agent, &told, SOON), [], "right behind the requests");
    assert_eq!(on_the_page(&form(SHOWN, "&_do=save")).status, 303);

    // They are used, one is changed, and all go.
    let ledger = write(&agent, Workload::new(1, 5, 50));
    receiver.wait_distinct(ledger.acked.len(), PATIENCE);
    agent.wait_state("page", "auth_hold", PATIENCE);
    let in_use = find_in_memory(agent.pid(), &[TOKEN, SHOWN]).expect("this process may read the memory of its child");
    for secret in [TOKEN, SHOWN] {
        assert!(in_use.iter().any(|found| found.what == secret), "what is in use is found, so what is there is");
    }
    let put = |path: &str, body: &str| ask(&agent, "PUT", path, &[as_first, ("If-Match", "*")], body);
    done(&put("/v1/destinations/api", &hec("api", CHANGED)), 200);
    agent.wait_state("api", "auth_hold", PATIENCE);
    assert_eq!(left(&agent, &[&told[..], &[TOKEN]].concat(), PATIENCE), [], "with the others in use");
    for name in ["api", "page"] {
        let path = format!("/v1/destinations/{name}");
        let gone = request_on_socket(&agent.config.admin_socket, "DELETE", &path, &[("If-Match", "*")], b"");
        done(&gone.expect("the agent answers"), 200);
    }
    assert_eq!(left(&agent, &[&told[..], &[TOKEN, CHANGED, SHOWN]].concat(), PATIENCE), []);
}
