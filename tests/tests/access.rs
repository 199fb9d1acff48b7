//! Whoever asks over the network shows who they are and gets no further than they may: each test is an attempt that
//! must fail, beside the one that must not.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use scaidrive_tests::agent_config::{Destination, quoted};
use scaidrive_tests::agent_process::{Agent, READY_WITHIN};
use scaidrive_tests::certificates::{Authority, Identity};
use scaidrive_tests::http::{HttpReply, read_reply, request_once};
use scaidrive_tests::ports::free_port;
use scaidrive_tests::tls;
use scaidrive_tests::wait::{wait_for, wait_until};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

const SOON: Duration = Duration::from_secs(20);
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

#[test]
fn who_may_see_all_tenants_of_a_destination_reads_what_is_said_of_it_and_who_may_see_one_does_not() {
    let mut agent = Agent::new();
    let url = format!("http://127.0.0.1:{}", free_port());
    let both = Destination::hec("both", &url, &agent.token_file()).with("tenants", "[\"tnt_acme\", \"tnt_globex\"]");
    agent.config.add(both);
    agent.start();
    let all = create(&agent, &["all-of-both", "--role", "admin", "--tenant", "tnt_acme", "--tenant", "tnt_globex"]);
    let one = create(&agent, &["one-of-both", "--tenant", "tnt_acme"]);
    assert_eq!(with(&agent, &all, "POST", "/v1/destinations/both/pause", b"").status, 200);
    let read = |token: &str| json_of(&with(&agent, token, "GET", "/v1/agent-events?limit=1000", b""))["events"].clone();
    let is_of_both = |told: &Value| told["event"]["payload"]["target"] == "both";
    let told =
        wait_for("the pause is read", SOON, || read(&all).as_array()?.iter().find(|told| is_of_both(told)).cloned());
    assert_eq!(told["event"]["of_tenants"], json!(["tnt_acme", "tnt_globex"]), "{told}");
    assert_eq!(told["event"]["payload"]["what"], "destination.pause", "{told}");
    let others = read(&one);
    assert!(!others.to_string().contains("\"both\""), "{others}");
}

/// An agent with two destinations that nobody answers for: one for a tenant alone, one for all.
fn two_tenants() -> Agent {
    let mut agent = Agent::new();
    for (name, tenants) in [("acme", "[\"tnt_acme\"]"), ("everybody", "[\"*\"]")] {
        let url = format!("http://127.0.0.1:{}", free_port());
        let destination = Destination::hec(name, &url, &agent.token_file()).with("tenants", tenants);
        agent.config.add(destination);
    }
    agent
}

#[track_caller]
fn ask(agent: &Agent, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpReply {
    request_once(agent.config.admin, method, path, headers, body).expect("the agent answers")
}

/// Asks with a token.
#[track_caller]
fn with(agent: &Agent, token: &str, method: &str, path: &str, body: &[u8]) -> HttpReply {
    ask(agent, method, path, &[("Authorization", &format!("Bearer {token}"))], body)
}

#[track_caller]
fn json_of(reply: &HttpReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|problem| panic!("{problem}: {}", reply.text()))
}

/// The token that the first start has made.
#[track_caller]
fn first_token(agent: &Agent) -> String {
    let path = agent.config.state_dir.join("admin-token");
    std::fs::read_to_string(path).expect("the first start makes a token").trim().to_owned()
}

/// Makes a token by the command line, and returns its secret.
#[track_caller]
fn create(agent: &Agent, arguments: &[&str]) -> String {
    let output = agent.command(&[&["token", "create"], arguments].concat());
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {talk}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Logs in, and returns the cookie as a browser sends it.
#[track_caller]
fn log_in(agent: &Agent, token: &str) -> String {
    let reply = ask(agent, "POST", "/login", &[FORM], format!("token={token}").as_bytes());
    assert_eq!(reply.status, 303, "{}", reply.text());
    let cookie = reply.header("set-cookie").expect("a login answers with a cookie").to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    cookie.split(';').next().expect("there is a first part").to_owned()
}

/// The CSRF token of a session.
#[track_caller]
fn csrf_of(agent: &Agent, cookie: &str) -> String {
    let reply = ask(agent, "GET", "/v1/session", &[("Cookie", cookie)], b"");
    json_of(&reply)["csrf"].as_str().expect("a session has a CSRF token").to_owned()
}

/// A live tail, for whoever the header names, that has begun. No read of it takes longer than [`SOON`].
#[track_caller]
fn watch(agent: &Agent, header: &str) -> BufReader<TcpStream> {
    let address = agent.config.admin;
    let mut stream = TcpStream::connect(address).expect("the agent listens");
    stream.set_read_timeout(Some(SOON)).expect("a socket has a timeout");
    write!(stream, "GET /v1/tail HTTP/1.1\r\nHost: {address}\r\n{header}\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut tail = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with(": watching") {
        line.clear();
        assert!(tail.read_line(&mut line).is_ok_and(|read| read > 0), "{header}");
    }
    tail
}

/// Whether a live tail ends soon. A heartbeat is something to read, so one read after another might go on for ever.
fn has_ended(tail: &mut BufReader<TcpStream>) -> bool {
    let deadline = Instant::now() + SOON;
    let mut some = [0; 1 << 10];
    while Instant::now() < deadline {
        match tail.read(&mut some) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

#[test]
fn a_token_lets_in_whom_it_names_and_no_further_than_role_and_tenants() {
    let mut agent = two_tenants();
    agent.start();
    let everything = [
        ("GET", "/"),
        ("GET", "/v1/status"),
        ("GET", "/v1/destinations"),
        ("GET", "/v1/destinations/acme"),
        ("POST", "/v1/destinations/acme/pause"),
        ("POST", "/v1/destinations/acme/drain"),
        ("GET", "/v1/deadletters"),
        ("POST", "/v1/reload"),
        ("GET", "/v1/tokens"),
        ("POST", "/v1/tokens"),
        ("DELETE", "/v1/tokens/first-admin"),
        ("GET", "/v1/nothing"),
    ];
    for (method, path) in everything {
        let reply = ask(&agent, method, path, &[], b"");
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")), "{method} {path}");
        assert_eq!(with(&agent, "sds_wrong", method, path, b"").status, 401, "{method} {path}");
    }
    let first = first_token(&agent);
    assert!(!agent.said().contains(&first), "the log says where the token is, not what it is");
    assert_eq!(with(&agent, &first, "GET", "/v1/status", b"").status, 200);
    assert_eq!(ask(&agent, "GET", "/v1/status", &[("Authorization", &format!("Basic {first}"))], b"").status, 401);

    let viewer = create(&agent, &["viewer"]);
    assert_eq!(with(&agent, &viewer, "GET", "/v1/destinations", b"").status, 200);
    for (method, path) in everything.into_iter().filter(|(method, path)| *method != "GET" || *path == "/v1/tokens") {
        assert_eq!(with(&agent, &viewer, method, path, b"").status, 403, "{method} {path}");
    }

    let acme = create(&agent, &["acme", "--role", "admin", "--tenant", "tnt_acme"]);
    let seen = json_of(&with(&agent, &acme, "GET", "/v1/destinations", b""));
    assert_eq!(seen.as_array().map(Vec::len), Some(1), "{seen}");
    assert_eq!(seen[0]["name"], "acme");
    for (method, path) in [
        ("GET", "/v1/destinations/everybody"),
        ("POST", "/v1/destinations/everybody/pause"),
        ("POST", "/v1/destinations/everybody/drain"),
        ("POST", "/v1/destinations/everybody/replay"),
        ("GET", "/v1/deadletters/everybody"),
        ("POST", "/v1/deadletters/everybody/drop"),
    ] {
        let other = path.replace("everybody", "no-such-one");
        let (hidden, missing) = (with(&agent, &acme, method, path, b""), with(&agent, &acme, method, &other, b""));
        assert_eq!(hidden.status, 404, "{method} {path}");
        let text = hidden.text().replace("everybody", "no-such-one");
        assert_eq!(text, missing.text(), "what may not be seen is answered like what is not there");
    }
    for (method, path) in [("GET", "/v1/status"), ("GET", "/v1/tokens"), ("POST", "/v1/reload"), ("POST", "/v1/tokens")]
    {
        assert_eq!(with(&agent, &acme, method, path, b"").status, 403, "{method} {path}");
    }
    let paused = json_of(&with(&agent, &acme, "POST", "/v1/destinations/acme/pause", b""));
    assert_eq!(paused["after"]["who"], "token acme", "{paused}");
    let tested = br#"{"is_saved": true, "ok": true, "stage": null, "code": null, "event_id": null}"#;
    for destination in ["acme", "everybody"] {
        let path = format!("/v1/destinations/{destination}/tested");
        assert_eq!(with(&agent, &first, "POST", &path, tested).status, 200);
    }
    assert_eq!(with(&agent, &first, "POST", "/v1/destinations/everybody/replay", b"").status, 200);
    let told = |token: &str| {
        let page = with(&agent, token, "GET", "/v1/agent-events?limit=1000", b"");
        let events = json_of(&page)["events"].as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["event"].to_string()).collect::<Vec<_>>()
    };
    wait_until("the agent has told of everybody's destination", SOON, || {
        let all = told(&first);
        let of = |what: &str| all.iter().any(|event| event.contains(what) && event.contains("everybody"));
        of("siem.destination_state") && of("destination.test") && of("destination.replay")
    });
    let of_acme = told(&acme);
    for what in ["destination.pause", "destination.test"] {
        assert!(of_acme.iter().any(|event| event.contains(what)), "{what} is filed under its tenant: {of_acme:?}");
    }
    assert!(of_acme.iter().all(|event| !event.contains("everybody")), "another's is told: {of_acme:?}");
}

#[test]
fn a_token_that_is_revoked_or_has_expired_is_worth_nothing_and_no_secret_is_kept_or_told() {
    let mut agent = Agent::new();
    agent.start();
    let first = first_token(&agent);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right") + Duration::from_secs(3);
    let wish = json!({"name": "brief", "role": "viewer", "expires_ms": at.as_millis() as u64});
    let made = json_of(&with(&agent, &first, "POST", "/v1/tokens", wish.to_string().as_bytes()));
    let brief = made["secret"].as_str().expect("a new token's secret is told").to_owned();
    let revoked = create(&agent, &["revoked", "--role", "admin"]);
    assert_eq!(with(&agent, &revoked, "GET", "/v1/status", b"").status, 200);
    assert_eq!(with(&agent, &first, "DELETE", "/v1/tokens/revoked", b"").status, 200);
    assert_eq!(with(&agent, &revoked, "GET", "/v1/status", b"").status, 401);
    assert_eq!(with(&agent, &first, "DELETE", "/v1/tokens/revoked", b"").status, 404);
    wait_until("the token has expired", SOON, || with(&agent, &brief, "GET", "/v1/status", b"").status == 401);

    agent.restart();
    assert_eq!(with(&agent, &first, "GET", "/v1/status", b"").status, 200, "tokens outlive the agent");
    for gone in [&brief, &revoked] {
        assert_eq!(with(&agent, gone, "GET", "/v1/status", b"").status, 401);
    }
    let listed = agent.command(&["token", "list", "--json"]);
    let exported = agent.command(&["log", "export"]);
    let trail = String::from_utf8_lossy(&exported.stdout).into_owned();
    for (what, who) in
        [("token.create", "token first-admin"), ("token.create", "uid "), ("token.revoke", "token first-admin")]
    {
        let is_told = trail.lines().any(|line| line.contains(what) && line.contains(who));
        assert!(is_told, "{what} by {who} is in the trail: {trail}");
    }
    for secret in [&first, &brief, &revoked] {
        let kept: Vec<_> =
            agent.state_files(|name| name != "admin-token").into_iter().filter(|path| holds(path, secret)).collect();
        assert!(kept.is_empty(), "a secret lies in {kept:?}");
        let said = [agent.said(), trail.clone(), String::from_utf8_lossy(&listed.stdout).into_owned()];
        assert!(said.iter().all(|text| !text.contains(secret.as_str())), "a secret is told");
    }
}

fn holds(path: &Path, secret: &str) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

#[test]
fn what_a_foreign_page_could_have_sent_is_refused() {
    let mut agent = two_tenants();
    agent.start();
    let token = format!("Bearer {}", first_token(&agent));
    let own = format!("http://{}", agent.config.admin);
    let status = |method: &str, path: &str, sent: &[(&str, &str)]| {
        let headers = [&[("Authorization", token.as_str())], sent].concat();
        ask(&agent, method, path, &headers, b"").status
    };
    for host in ["evil.example", "evil.example:8911", "127.0.0.1.evil.example", "10.0.0.1"] {
        assert_eq!(status("GET", "/v1/status", &[("Host", host)]), 403, "{host}");
        assert_eq!(status("GET", "/metrics", &[("Host", host)]), 403, "{host}");
        assert_eq!(status("GET", "/login", &[("Host", host)]), 403, "{host}");
    }
    let pause = "/v1/destinations/acme/pause";
    for origin in ["null", "http://evil.example", "http://localhost:1", "https://127.0.0.1"] {
        assert_eq!(status("POST", pause, &[("Origin", origin)]), 403, "{origin}");
        assert_eq!(status("GET", "/v1/status", &[("Origin", origin)]), 403, "{origin}");
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(status("POST", pause, &[("Sec-Fetch-Site", site)]), 403, "{site}");
        assert_eq!(status("POST", "/login", &[("Sec-Fetch-Site", site)]), 403, "{site}");
    }
    assert_eq!(status("POST", pause, &[("Authorization", "Bearer x")]), 401, "two tokens are none");
    assert_eq!(status("POST", pause, &[("Origin", &own), ("Sec-Fetch-Site", "same-origin")]), 200);
}

#[test]
fn a_session_changes_nothing_without_its_csrf_token_and_ends_for_good() {
    let mut agent = two_tenants();
    agent.start();
    let token = create(&agent, &["alice", "--role", "admin"]);
    let viewer = create(&agent, &["bob"]);
    let pause = "/v1/destinations/acme/pause";
    let cookie = log_in(&agent, &token);
    let sent = |cookie: &str, method: &str, path: &str, more: &[(&str, &str)], body: &str| {
        ask(&agent, method, path, &[&[("Cookie", cookie)], more].concat(), body.as_bytes())
    };
    assert_eq!(sent(&cookie, "GET", "/v1/status", &[], "").status, 200);
    let csrf = csrf_of(&agent, &cookie);
    let other = csrf_of(&agent, &log_in(&agent, &token));
    for (more, body) in [
        (&[][..], ""),
        (&[("X-CSRF-Token", other.as_str())][..], ""),
        (&[("X-CSRF-Token", "")][..], ""),
        (&[FORM][..], format!("_csrf={other}").as_str()),
        (&[("Content-Type", "text/plain")][..], format!("_csrf={csrf}").as_str()),
    ] {
        for path in [pause, "/logout", "/v1/reload"] {
            assert_eq!(sent(&cookie, "POST", path, more, body).status, 403, "{path} {more:?}");
        }
    }
    let paused = sent(&cookie, "POST", pause, &[("X-CSRF-Token", &csrf)], "");
    assert_eq!(json_of(&paused)["after"]["who"], "token alice", "{}", paused.text());
    let bob = log_in(&agent, &viewer);
    let refused = sent(&bob, "POST", pause, &[("X-CSRF-Token", &csrf_of(&agent, &bob))], "");
    assert_eq!(refused.status, 403, "a viewer's session changes nothing at all");

    let nothing = sent(&cookie, "GET", "/nothing", &[("Accept", "text/html")], "");
    assert_eq!((nothing.status, nothing.header("content-type")), (404, Some("text/html; charset=utf-8")));
    let out = sent(&cookie, "POST", "/logout", &[FORM], &format!("_csrf={csrf}"));
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert!(out.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(sent(&cookie, "GET", "/v1/status", &[], "").status, 401, "a replayed cookie");
    for method in ["GET", "POST"] {
        let page = sent(&cookie, method, "/", &[("Accept", "text/html")], "");
        assert_eq!((page.status, page.header("location")), (303, Some("/login")), "{method}");
    }

    let again = log_in(&agent, &token);
    let mut tails = [format!("Cookie: {again}"), format!("Authorization: Bearer {token}"), format!("Cookie: {bob}")]
        .map(|header| {
            let tail = watch(&agent, &header);
            (header, tail)
        });
    assert!(agent.command(&["token", "revoke", "alice"]).status.success());
    assert_eq!(sent(&again, "GET", "/v1/status", &[], "").status, 401, "a session ends with its token");
    let out = sent(&bob, "POST", "/logout", &[("X-CSRF-Token", &csrf_of(&agent, &bob))], "");
    assert_eq!(out.status, 303);
    for (header, tail) in &mut tails {
        assert!(has_ended(tail), "a live tail ends with its token or session: {header}");
    }
    assert_eq!(sent("siem_session=; siem_session=x", "GET", "/v1/status", &[], "").status, 401);
}

/// The hidden fields of a page, as its form sends them; their values need no coding.
fn hidden_fields(page: &str) -> String {
    let value = |tag: &str, name: &str| tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next().map(str::to_owned);
    let pair = |tag: &str| Some(format!("{}={}", value(tag, "name")?, value(tag, "value")?));
    page.split('<').filter(|tag| tag.contains("type=\"hidden\"")).filter_map(pair).collect::<Vec<_>>().join("&")
}

#[test]
fn what_was_written_when_a_session_ended_comes_back_after_the_login_but_no_secret_and_nothing_is_done() {
    let mut agent = two_tenants();
    agent.start();
    let token = create(&agent, &["alice", "--role", "admin"]);
    let html = ("Accept", "text/html");
    let send = |cookie: &str, path: &str, more: &[(&str, &str)], body: &str| {
        ask(&agent, "POST", path, &[&[("Cookie", cookie), FORM, html], more].concat(), body.as_bytes())
    };
    let cookie = log_in(&agent, &token);
    let csrf = csrf_of(&agent, &cookie);
    assert_eq!(send(&cookie, "/logout", &[], &format!("_csrf={csrf}")).status, 303);
    let written = format!("_csrf={csrf}&name=made&url=https://siem.example:8088&token=hush&_do=save");
    let form = "/new/splunk_hec";

    // Another site learns nothing by it, programs are told plainly, and what nobody has written is not asked for again.
    let foreign = send(&cookie, form, &[("Sec-Fetch-Site", "cross-site")], &written);
    assert!(foreign.status == 403 && !foreign.text().contains("made"), "{}", foreign.text());
    let program = ask(&agent, "POST", form, &[("Cookie", &cookie), FORM], written.as_bytes());
    assert!(program.status == 401 && !program.text().contains("made"), "{}", program.text());
    let pause = send(&cookie, "/destinations/acme/pause", &[], &format!("_csrf={csrf}"));
    assert_eq!((pause.status, pause.header("location")), (303, Some("/login")));
    let long = send(&cookie, form, &[], &format!("{written}&tenants={}", "x".repeat(200 << 10)));
    assert!(long.status == 401 && long.text().contains("too long"), "{}", long.text());

    let door = send(&cookie, form, &[], &written);
    assert!(door.status == 401 && door.header("location").is_none(), "{}", door.text());
    assert!(door.text().contains("Your session is over") && !door.text().contains("hush"), "{}", door.text());
    let carried = hidden_fields(&door.text());
    let wrong = send("", "/login", &[], &format!("token=sds_wrong&{carried}"));
    assert_eq!((wrong.status, hidden_fields(&wrong.text())), (401, carried.clone()), "nor is it lost by a slip");
    let inside = send("", "/login", &[], &format!("token={token}&{carried}"));
    assert_eq!(inside.status, 200, "{}", inside.text());
    assert!(inside.text().contains("action=\"/new/splunk_hec\"") && !inside.text().contains("hush"));
    let cookie = inside.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();

    let back = format!("{}&_do=again", hidden_fields(&inside.text()));
    let page = send(&cookie, form, &[], &back);
    assert_eq!(page.status, 200, "{}", page.text());
    for part in ["value=\"made\"", "value=\"https://siem.example:8088\"", "Secrets are not kept"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    // Whoever has logged in elsewhere meanwhile: a form of another session does nothing, and leads back as well.
    let stale = send(&cookie, form, &[], &written);
    assert!(stale.status == 403 && stale.text().contains("Back to the form"), "{}", stale.text());
    assert!(!stale.text().contains("hush"));
    let carried = hidden_fields(&stale.text());
    assert_eq!(send(&cookie, form, &[], &carried).status, 400, "what does not say that it is to be saved is not");
    let meant = send(&cookie, form, &[], &format!("{carried}&_do=save"));
    assert_eq!(meant.status, 422, "this time it is meant: no token");
    assert_eq!(with(&agent, &token, "GET", "/v1/destinations/made", b"").status, 404, "nothing was made on the way");
}

#[test]
fn guessing_is_slowed_down_and_every_answer_is_safe_in_a_browser() {
    let mut agent = Agent::new();
    agent.start();
    let first = first_token(&agent);
    let form = ask(&agent, "GET", "/login", &[], b"");
    assert_eq!((form.status, form.text().contains("action=\"/login\"")), (200, true));
    for path in ["/login", "/metrics", "/livez", "/v1/status", "/nothing"] {
        let reply = ask(&agent, "GET", path, &[], b"");
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(reply.header("server"), None, "{path}");
    }
    let tries = |token: &str| ask(&agent, "POST", "/login", &[FORM], format!("token={token}").as_bytes());
    for _ in 0..5 {
        let reply = tries("<script>");
        assert_eq!(reply.status, 401);
        assert!(reply.header("set-cookie").is_none() && !reply.text().contains("<script>"), "{}", reply.text());
    }
    let slowed = tries("sds_wrong");
    assert_eq!(slowed.status, 429);
    let wait: u64 = slowed.header("retry-after").and_then(|wait| wait.parse().ok()).expect("it says how long");
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(with(&agent, &first, "GET", "/v1/status", b"").status, 200, "tokens are not held up by others' logins");
    log_in(&agent, &first);
    assert_eq!(tries("sds_wrong").status, 429, "and who is right does not help who is wrong");
}

#[test]
fn no_way_of_writing_a_path_leads_round_the_door() {
    let mut agent = two_tenants();
    agent.start();
    for path in [
        "//v1/status",
        "/v1//status",
        "/v1/status/",
        "/v1/./status",
        "/v1/../v1/status",
        "/livez/../v1/status",
        "/login/../v1/status",
        "/metrics/..%2fv1/status",
        "/%76%31/status",
        "/v1%2fstatus",
        "/v1/%2e%2e/v1/status",
        "/v1/status%00",
        "/V1/status",
        "/v1;x/status",
        "/v1/status?x=/livez",
        "/login?next=//evil.example",
        "/siem/v1/status",
        "/v1/destinations/..%2f..%2fstate%2fadmin-token",
        "/admin-token",
        "*",
    ] {
        let reply = ask(&agent, "GET", path, &[], b"");
        let (is_login, text) = (path.starts_with("/login?"), reply.text());
        let expected = if is_login { [200, 200] } else { [401, 400] };
        assert!(expected.contains(&reply.status), "{path}: {} {text}", reply.status);
        assert!(is_login || !text.contains("\"destinations\":"), "{path}: {text}");
    }
    let raw = |line: &str| {
        let mut stream = TcpStream::connect(agent.config.admin).expect("the agent listens");
        write!(stream, "{line}\r\nHost: {}\r\nConnection: close\r\n\r\n", agent.config.admin).expect("it reads");
        read_reply(&mut BufReader::new(stream)).map_or(0, |reply| reply.status)
    };
    assert_eq!(raw(&format!("GET http://{}/v1/status HTTP/1.1", agent.config.admin)), 401);
    assert_eq!(raw("GET http://evil.example/livez HTTP/1.1"), 403);
    let first = first_token(&agent);
    for name in ["..", "%2e%2e", "..%2f..%2ftokens.json", "acme%2fpause", "acme%00", "%ff", "acme%0d%0ax"] {
        let reply = with(&agent, &first, "GET", &format!("/v1/destinations/{name}"), b"");
        assert!(matches!(reply.status, 400 | 404), "{name}: {} {}", reply.status, reply.text());
    }
    assert_eq!(with(&agent, &first, "GET", "/v1/destinations/%61cme", b"").status, 200);
}

#[test]
fn what_is_too_large_or_makes_no_sense_is_refused_and_costs_nothing() {
    let mut agent = Agent::new();
    agent.start();
    let first = first_token(&agent);
    let large = vec![b'x'; 160 << 10];
    let status = |body: &[u8]| with(&agent, &first, "POST", "/v1/tokens", body).status;
    assert_eq!(status(&large), 413);
    for malformed in ["", "{", "[]", "null", "{\"name\":\"a\"}", "{\"name\":\"a\",\"role\":\"root\"}", "\u{0}"] {
        assert_eq!(status(malformed.as_bytes()), 400, "{malformed}");
    }
    assert_eq!(status(br#"{"name":"a","role":"admin","name":"b"}"#), 400);
    assert_eq!(status(br#"{"name":"../a","role":"admin"}"#), 422);
    assert_eq!(status(br#"{"name":"a","role":"admin","tenants":[]}"#), 422);
    assert_eq!(status(br#"{"name":"first-admin","role":"admin"}"#), 409);
    assert_eq!(ask(&agent, "POST", "/login", &[FORM], &large).status, 413);
    assert_eq!(ask(&agent, "POST", "/login", &[], b"token=x").status, 415);
    assert_eq!(ask(&agent, "PUT", "/login", &[FORM], b"").status, 405);
    let long = "x".repeat(1 << 20);
    let refused = request_once(agent.config.admin, "GET", "/livez", &[("X-Long", &long)], b"");
    assert!(refused.map_or(true, |reply| reply.status == 431), "a head without end is not read to it");
    assert_eq!(with(&agent, &first, "GET", "/v1/status", b"").status, 200);
}

/// Connects from another address of this machine than everybody else does.
fn connect_from(source: &str, to: SocketAddr) -> TcpStream {
    let source: SocketAddr = source.parse().expect("it is an address");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    socket.bind(&source.into()).expect("all of 127/8 is this machine");
    socket.connect(&to.into()).expect("the agent listens");
    socket.into()
}

#[test]
fn whoever_asks_half_a_question_on_every_connection_shuts_out_nobody_else_and_is_hung_up_on() {
    let mut agent = Agent::new();
    agent.start();
    let address = agent.config.admin;
    let half: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(address).expect("the agent listens");
            // Beyond its share it is hung up on at once.
            let _ = stream.write_all(b"GET /livez HTTP/1.1\r\n");
            stream
        })
        .collect();
    let mut other = connect_from("127.0.0.2:0", address);
    other.set_read_timeout(Some(SOON)).expect("a socket has a timeout");
    write!(other, "GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("it reads");
    assert_eq!(read_reply(&mut BufReader::new(other)).expect("it is answered").status, 200);
    for mut stream in half {
        stream.set_read_timeout(Some(SOON)).expect("a socket has a timeout");
        let ended = stream.read(&mut [0; 1 << 10]);
        let is_waiting = ended.as_ref().is_err_and(|problem| problem.kind() == ErrorKind::WouldBlock);
        assert!(!is_waiting, "half a head is not waited for");
    }
    assert_eq!(ask(&agent, "GET", "/livez", &[], b"").status, 200, "and there is room again");
}

const JWT_KEY: &str = "a-key-for-tests-that-is-long-enough-for-hs256";

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_secs()
}

fn jwt_with(header: &Value, claims: &Value, key: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn claims(role: &str, tenants: &[&str]) -> Value {
    json!({"sub": "u-7", "name": "Alice", "role": role, "tenants": tenants, "exp": now_s() + 60, "aud": "scaidrive-siem"})
}

/// Asks as the proxy does, for whoever `token` names.
#[track_caller]
fn shown(agent: &Agent, method: &str, path: &str, token: &str, more: &[(&str, &str)]) -> HttpReply {
    ask(agent, method, path, &[&[("Host", "drive.example.com"), ("X-ScaiDrive-Identity", token)], more].concat(), b"")
}

#[test]
fn a_proxy_says_who_asks_and_only_with_its_key() {
    let mut agent = two_tenants();
    agent.config.set_admin("hosts", "[\"drive.example.com\"]").set_admin("base_path", "\"/siem\"");
    agent.config.set_admin("frame_ancestors", "[\"https://drive.example.com\"]");
    agent.start();
    let hs256 = json!({"alg": "HS256"});
    let good = jwt_with(&hs256, &claims("admin", &["*"]), JWT_KEY);
    assert_eq!(
        shown(&agent, "GET", "/siem/v1/session", &good, &[]).status,
        401,
        "without a key the header means nothing"
    );

    let key = agent.put_secret("jwt-key", JWT_KEY);
    agent.config.set_admin("proxy", &format!("{{ jwt_key = {key} }}"));
    agent.reload();
    let session = wait_for("the key is in force", SOON, || {
        let reply = shown(&agent, "GET", "/siem/v1/session", &good, &[]);
        (reply.status == 200).then_some(reply)
    });
    let policy = session.header("content-security-policy").unwrap_or_default().to_owned();
    assert!(policy.ends_with("frame-ancestors https://drive.example.com"), "{policy}");
    let session = json_of(&session);
    assert_eq!((&session["who"], &session["role"]), (&json!("Alice (u-7)"), &json!("admin")));

    let expired = json!({"sub": "u", "role": "admin", "tenants": ["*"], "exp": now_s() - 60, "aud": "scaidrive-siem"});
    let mut other = claims("admin", &["*"]);
    other["aud"] = json!("another");
    let unsigned = jwt_with(&json!({"alg": "none"}), &claims("admin", &["*"]), JWT_KEY);
    let (unsigned, _) = unsigned.rsplit_once('.').expect("it has three parts");
    for (what, token) in [
        ("no signature", format!("{unsigned}.")),
        ("another algorithm", jwt_with(&json!({"alg": "HS512"}), &claims("admin", &["*"]), JWT_KEY)),
        ("another key", jwt_with(&hs256, &claims("admin", &["*"]), &JWT_KEY.replace('a', "b"))),
        ("expired", jwt_with(&hs256, &expired, JWT_KEY)),
        ("another audience", jwt_with(&hs256, &other, JWT_KEY)),
        ("no token", "x".to_owned()),
    ] {
        assert_eq!(shown(&agent, "GET", "/siem/v1/session", &token, &[]).status, 401, "{what}");
    }

    let pause = "/siem/v1/destinations/acme/pause";
    assert_eq!(shown(&agent, "POST", pause, &good, &[]).status, 403, "a page shows its CSRF token");
    let csrf = session["csrf"].as_str().expect("a page has a CSRF token");
    let from_page = [("X-CSRF-Token", csrf), ("Origin", "https://drive.example.com")];
    let paused = json_of(&shown(&agent, "POST", pause, &good, &from_page));
    assert_eq!(paused["after"]["who"], "Alice (u-7)", "{paused}");
    let viewer = jwt_with(&hs256, &claims("viewer", &["tnt_acme"]), JWT_KEY);
    assert_eq!(shown(&agent, "POST", pause, &viewer, &from_page).status, 403);
    assert_eq!(shown(&agent, "GET", "/siem/v1/destinations/acme", &viewer, &[]).status, 200);
    assert_eq!(shown(&agent, "GET", "/siem/v1/destinations/everybody", &viewer, &[]).status, 404);
    assert_eq!(ask(&agent, "GET", "/v1/status", &[], b"").status, 404, "all lies below the base path");
    for path in ["/siem/", "/siem/nothing", "/siem//v1/status", "/siem/v1/../v1/status"] {
        assert_eq!(ask(&agent, "GET", path, &[], b"").status, 401, "{path}");
    }
    let made = json!({"name": "made", "type": "syslog", "host": "siem.example"}).to_string();
    let headers = [&from_page[..], &[("Host", "drive.example.com"), ("X-ScaiDrive-Identity", &good)]].concat();
    let made = ask(&agent, "POST", "/siem/v1/destinations", &headers, made.as_bytes());
    let location = made.header("location").unwrap_or_else(|| panic!("{}", made.text()));
    assert_eq!(shown(&agent, "GET", location, &good, &[]).status, 200, "{location} is where it is");
    for (path, to) in [("/siem", "/siem/"), ("/siem/", "/siem/login")] {
        let reply = ask(&agent, "GET", path, &[("Accept", "text/html")], b"");
        assert_eq!((reply.status, reply.header("location")), (303, Some(to)));
    }
    assert_eq!(ask(&agent, "GET", "/livez", &[], b"").status, 200, "but what machines watch");
}

#[test]
fn what_tells_of_all_tenants_is_told_to_nobody_of_some_below_the_base_path_or_beside_it() {
    let mut agent = two_tenants();
    let key = agent.put_secret("jwt-key", JWT_KEY);
    agent.config.set_admin("hosts", "[\"drive.example.com\"]").set_admin("base_path", "\"/siem\"");
    agent.config.set_admin("proxy", &format!("{{ jwt_key = {key} }}")).set_admin("metrics_need_token", "false");
    agent.start();
    let hs256 = json!({"alg": "HS256"});
    let signed = |tenants: &[&str]| jwt_with(&hs256, &claims("viewer", tenants), JWT_KEY);
    let (first, bound) = (first_token(&agent), create(&agent, &["acme", "--tenant", "tnt_acme"]));
    for path in ["/status", "/metrics"] {
        for (base, to_nobody) in [("/siem", 401), ("", 200)] {
            let path = format!("{base}{path}");
            let proxied = |token: &str| shown(&agent, "GET", &path, token, &[]).status;
            assert_eq!(ask(&agent, "GET", &path, &[], b"").status, to_nobody, "{path}");
            assert_eq!(proxied(&signed(&["tnt_acme"])), 403, "{path} through the proxy");
            assert_eq!(proxied("x"), 401, "{path} with a header that nobody has signed");
            assert_eq!(with(&agent, &bound, "GET", &path, b"").status, 403, "{path} with a token of a tenant");
            assert_eq!(with(&agent, "sds_wrong", "GET", &path, b"").status, 401, "{path} with a token of nobody");
            assert_eq!(proxied(&signed(&["*"])), 200, "{path} for all tenants");
            assert_eq!(with(&agent, &first, "GET", &path, b"").status, 200, "{path} with a token for all tenants");
        }
    }
}

/// Asks over TLS; the answer's status, its head's text and its body.
fn over_tls(address: SocketAddr, ca_file: &Path, request: &str) -> std::io::Result<HttpReply> {
    let mut stream = tls::connect(address, ca_file, None)?;
    stream.write_all(request.as_bytes())?;
    read_reply(&mut BufReader::new(stream))
}

/// Puts a certificate where the agent reads it.
fn install(agent: &Agent, identity: &Identity) {
    for (from, name) in [(&identity.certificate_file, "server.pem"), (&identity.key_file, "server.key")] {
        let fresh = agent.dir().join("fresh");
        std::fs::copy(from, &fresh)
            .and_then(|_| std::fs::rename(&fresh, agent.dir().join(name)))
            .expect("there is room");
    }
}

#[test]
fn over_tls_the_certificate_is_shown_and_renewed_and_plain_http_is_told_so() {
    let mut agent = Agent::new();
    let dir = agent.dir().to_owned();
    let authorities = ["one", "two"].map(|name| {
        let folder = dir.join(name);
        std::fs::create_dir(&folder).expect("there is room");
        Authority::new(&folder)
    });
    let issue = |at: usize| authorities[at].issue(&dir, &format!("identity-{at}"), &["localhost"]);
    install(&agent, &issue(0));
    let path = |name: &str| quoted(&dir.join(name).display().to_string());
    agent
        .config
        .set_admin("tls", &format!("{{ cert_file = {}, key_file = {} }}", path("server.pem"), path("server.key")));
    agent.config.set_admin("metrics_need_token", "true");
    agent.spawn();
    let address = agent.config.admin;
    let get = |at: usize, path: &str, more: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        over_tls(address, authorities[at].ca_file(), &request)
    };
    wait_until("the agent is ready over TLS", READY_WITHIN, || {
        get(0, "/readyz", "").is_ok_and(|reply| reply.status == 200)
    });
    let token = first_token(&agent);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for path in ["/metrics", "/status", "/v1/status"] {
        assert_eq!(get(0, path, "").expect("it answers").status, 401, "{path}");
        assert_eq!(get(0, path, &bearer).expect("it answers").status, 200, "{path}");
    }
    let login = format!("token={token}");
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}: {}\r\nContent-Length: {}\r\n\r\n{login}",
        FORM.0,
        FORM.1,
        login.len()
    );
    let reply = over_tls(address, authorities[0].ca_file(), &request).expect("it answers");
    assert!(reply.header("set-cookie").is_some_and(|cookie| cookie.ends_with("; Secure")), "{reply:?}");

    let plain = ask(&agent, "GET", "/readyz", &[], b"");
    assert_eq!((plain.status, plain.text().contains("https://")), (400, true), "{}", plain.text());
    assert!(get(1, "/readyz", "").is_err(), "the other authority has issued nothing yet");
    install(&agent, &issue(1));
    wait_until("the new certificate is shown", SOON, || get(1, "/readyz", "").is_ok());
}
