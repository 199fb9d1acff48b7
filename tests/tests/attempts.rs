//! Attempts with a destination's own fields: to reach what is not in the internet, to write into a request what does not
//! belong there, and to have a page run what an event holds. Each must fail, beside the one that must not.

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::browser::Browser;
use scaidrive_tests::generator::Session;
use scaidrive_tests::hec::{Fault, Hec, TOKEN, reply};
use scaidrive_tests::http::{HttpReply, request_once};
use scaidrive_tests::scenario::PATIENCE;
use scaidrive_tests::told_name::{NAME, ToldName};
use scaidrive_tests::wait::{wait_for, wait_until};
use serde_json::{Value, json};

const ACME: &str = "acme";
const SCRIPT: &str = "<script>alert(1)</script>";
const SCRIPT_AS_TEXT: &str = "&lt;script&gt;alert(1)&lt;/script&gt;";

/// Asks over the network with a token.
#[track_caller]
fn ask(agent: &Agent, token: &str, method: &str, path: &str, body: &Value) -> HttpReply {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("If-Match", "*")];
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    request_once(agent.config.admin, method, path, &headers, &body).expect("the agent answers")
}

#[track_caller]
fn done(reply: &HttpReply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

/// The secrets of two admins: of one who administers all tenants, and of one who administers [`ACME`] alone.
#[track_caller]
fn admins(agent: &Agent) -> (String, String) {
    let path = agent.config.state_dir.join("admin-token");
    let first = std::fs::read_to_string(path).expect("the first start makes a token").trim().to_owned();
    let wish = json!({"name": "acme-admin", "role": "admin", "tenants": [ACME]});
    let made = done(&ask(agent, &first, "POST", "/v1/tokens", &wish), 201);
    (first, made["secret"].as_str().expect("a new token's secret is told").to_owned())
}

fn hec(name: &str, url: &str) -> Value {
    json!({"name": name, "type": "splunk_hec", "url": url, "token": {"value": TOKEN}, "tenants": [ACME]})
}

#[test]
fn whoever_administers_one_tenant_reaches_nothing_beside_the_internet_and_nobody_the_metadata_or_the_agent_itself() {
    let receiver = Hec::plain();
    let mut agent = Agent::new();
    agent.start();
    let (first, acme) = admins(&agent);
    let port = receiver.address().port();
    let not_public = [
        receiver.url(),
        format!("http://localhost:{port}"),
        format!("http://0.0.0.0:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://[64:ff9b::7f00:1]:{port}"),
        "https://10.1.2.3".to_owned(),
        "https://172.16.0.1".to_owned(),
        "https://192.168.7.7".to_owned(),
        "https://169.254.7.7".to_owned(),
        "https://[fe80::1]".to_owned(),
        "https://[fd12:3456::1]".to_owned(),
    ];
    let for_nobody = [
        "http://169.254.169.254".to_owned(),
        "http://[::ffff:169.254.169.254]".to_owned(),
        "http://[fd00:ec2::254]".to_owned(),
        "http://metadata.google.internal".to_owned(),
        format!("http://{}", agent.config.admin),
        format!("http://localhost:{}", agent.config.admin.port()),
    ];
    for url in not_public.iter().chain(&for_nobody) {
        for path in ["/v1/destinations", "/v1/destinations/check", "/v1/destinations/test"] {
            let said = done(&ask(&agent, &acme, "POST", path, &hec("near", url)), 422);
            assert_eq!(said["errors"][0]["key"], "url", "{path} {url}: {said}");
        }
    }
    for url in &for_nobody {
        let said = done(&ask(&agent, &first, "POST", "/v1/destinations", &hec("near", url)), 422);
        assert_eq!(said["errors"][0]["key"], "url", "{url}: {said}");
    }
    assert_eq!(receiver.connection_count(), 0, "nothing was connected to");
    done(&ask(&agent, &first, "POST", "/v1/destinations", &hec("near", &receiver.url())), 201);
    assert_eq!(done(&ask(&agent, &first, "POST", "/v1/destinations/near/test", &Value::Null), 200)["ok"], true);
}

#[test]
fn a_name_that_leads_elsewhere_since_it_was_saved_leads_nobody_further() {
    let receiver = Hec::plain();
    let mut agent = Agent::new();
    let name = ToldName::install(&mut agent).expect("a C compiler is there");
    agent.start();
    let (first, acme) = admins(&agent);
    let url = format!("http://{NAME}:{}", receiver.address().port());
    done(&ask(&agent, &acme, "POST", "/v1/destinations", &hec("theirs", &url)), 201);
    name.leads_to("127.0.0.1");
    let tested = done(&ask(&agent, &acme, "POST", "/v1/destinations/theirs/test", &Value::Null), 200);
    assert_eq!((&tested["ok"], tested["failure"]["stage"].is_string()), (&json!(false), true), "{tested}");
    assert!(tested.to_string().contains("not in the internet"), "{tested}");
    let unsaved = done(&ask(&agent, &acme, "POST", "/v1/destinations/test", &hec("unsaved", &url)), 200);
    assert_eq!(unsaved["ok"], false, "{unsaved}");
    // There is something to deliver: that these were tested.
    let said = wait_for("the destination says why it stands", PATIENCE, || {
        let told = done(&ask(&agent, &acme, "GET", "/v1/destinations/theirs", &Value::Null), 200).to_string();
        told.contains("not in the internet").then_some(told)
    });
    assert!(!said.contains(TOKEN));
    assert_eq!(receiver.connection_count(), 0, "nothing was connected to");

    // Whoever administers all tenants may mean a machine beside this one, but not where clouds tell their secrets.
    done(&ask(&agent, &first, "POST", "/v1/destinations", &hec("ours", &url)), 201);
    wait_until("theirs alone is held back", PATIENCE, || receiver.connection_count() > 0);
    name.leads_to("169.254.169.254");
    let tested = done(&ask(&agent, &first, "POST", "/v1/destinations/ours/test", &Value::Null), 200);
    assert!(tested["ok"] == false && tested.to_string().contains("told their secrets"), "{tested}");
}

#[test]
fn no_field_of_a_destination_writes_a_line_of_its_own_into_a_request() {
    let receiver = Hec::plain();
    let mut agent = Agent::new();
    agent.start();
    let (first, _) = admins(&agent);
    let url = receiver.url();
    let line = "x\r\nX-Evil: 1";
    let attempts = [
        ("url", json!({"url": format!("{url}/\r\nX-Evil: 1")})),
        ("token", json!({"token": {"value": line}})),
        ("index", json!({"index": line})),
        ("source", json!({"source": line})),
        ("sourcetype", json!({"sourcetype": line})),
        ("host", json!({"host": line})),
        ("name", json!({"name": line})),
        ("headers", json!({"headers": {"X-A": line}})),
        ("headers", json!({"headers": {line: "1"}})),
        ("headers", json!({"headers": {"X-A": "a\0b"}})),
        ("secret_headers", json!({"secret_headers": {"X-A": {"value": line}}})),
    ];
    for (field, more) in attempts {
        for kind in ["splunk_hec", "https"] {
            let mut settings = json!({"name": "a", "type": kind, "url": url});
            if kind == "splunk_hec" {
                settings["token"] = json!({"value": TOKEN});
            }
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            for path in ["/v1/destinations", "/v1/destinations/test"] {
                let said = done(&ask(&agent, &first, "POST", path, &settings), 422);
                let is_named = said["errors"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|it| it["key"].as_str().is_some_and(|key| key.starts_with(field)));
                assert!(is_named, "{kind} {field}: {said}");
            }
        }
    }
    assert_eq!(receiver.connection_count(), 0, "nothing was sent");
}

#[test]
fn what_an_event_holds_stays_text_wherever_it_is_shown() {
    let receiver = Hec::plain();
    receiver.add_fault(None, |_| true, Fault::Answer(reply(400, 6, SCRIPT)));
    let agent = Agent::with_hec(&receiver);
    let line = json!({
        "event_id": format!("evt-{SCRIPT}"), "timestamp": "2026-05-12T14:23:01.453Z", "tenant_id": format!("t{SCRIPT}"),
        "category": "FILE", "action": format!("file.{SCRIPT}"), "severity": "info", "user_email": format!("{SCRIPT}@example.com"),
        "resource_path": format!("/{SCRIPT}"), "ip": SCRIPT, "payload": {SCRIPT: SCRIPT}, SCRIPT: SCRIPT,
    });
    let mut session = Session::connect(&agent.config.socket).expect("the agent listens");
    session.send(format!("{line}\n").as_bytes()).expect("the agent reads");
    assert!(session.wait_acked(1, PATIENCE) && session.refused().is_empty(), "{:?}", session.refused());
    let browser = Browser::at(&agent.config.admin_socket);
    wait_until("the event was refused by its destination", PATIENCE, || {
        browser.open("/destinations/hec").contains(SCRIPT_AS_TEXT)
    });
    let url = receiver.url();
    let fields = [("name", "p"), ("url", url.as_str()), ("token", TOKEN), ("_do", "preview")];
    let preview = browser.send("/new/splunk_hec", &fields).text();
    for page in ["/", "/destinations/hec", "/events", "/deadletters", "/deadletters/hec", "/changes", "/health"] {
        assert!(!browser.open(page).contains(SCRIPT), "{page}");
    }
    assert!(preview.contains(SCRIPT_AS_TEXT) && !preview.contains(SCRIPT), "{preview}");
}
