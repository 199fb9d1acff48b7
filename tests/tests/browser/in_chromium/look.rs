use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::chromium::{Scheme, axe};
use scaidrive_tests::generator::{Key, Workload, event_line};
use scaidrive_tests::hec::{Hec, TOKEN};
use scaidrive_tests::http::over_socket;
use scaidrive_tests::ports::free_port;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::skip::skip;
use scaidrive_tests::wait::wait_until;
use serde_json::json;

use super::{Visit, create_token, first_token, refusing};

/// How pages are looked at: by whom, and in how wide a window.
const LOOKS: [(&str, Scheme, u32); 3] =
    [("light", Scheme::Light, 1_200), ("dark", Scheme::Dark, 1_200), ("narrow", Scheme::Light, 390)];
const REFUSED: u32 = 3;
const EVENTS: u32 = 40;

/// An agent with something of everything: a destination that works, one that refuses some events, one that nobody answers
/// for, one that is paused.
fn full_agent(good: &Hec, picky: &Hec) -> Agent {
    let mut agent = Agent::new();
    agent.config.set_buffer("window", "\"30m\"");
    agent.add_hec("splunk-prod", good).set("filter", ONLY_GENERATED);
    agent.add_hec("acme-splunk", picky).set("filter", ONLY_GENERATED);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let down = Destination::hec("backup-site", &nobody, &agent.token_file()).with("filter", ONLY_GENERATED);
    agent.config.add(down);
    agent.add_hec("old-splunk", good).set("filter", ONLY_GENERATED);
    agent.start();
    let made = json!({"name": "made-here", "type": "splunk_hec", "url": good.url(), "token": {"value": TOKEN}});
    let made = over_socket(&agent.config.admin_socket, "POST", "/v1/destinations", made.to_string().as_bytes());
    assert_eq!(made.map(|reply| reply.status).ok(), Some(201));
    assert!(agent.command(&["destination", "pause", "old-splunk"]).status.success());
    let mut session = agent.session();
    for count in 0..EVENTS {
        let mut line = String::from_utf8(event_line(Key { run: 1, tenant: 0, count }, 600)).unwrap();
        if count < REFUSED {
            line = line.replace("\"payload\":{", "\"payload\":{\"bad\":true,");
        }
        session.send(format!("{line}\n").as_bytes()).unwrap();
    }
    assert!(session.wait_acked(EVENTS.into(), PATIENCE));
    write(&agent, Workload::new(2, 5, 400));
    good.wait_distinct(440, PATIENCE);
    let letters = || agent.metric("destination_deadlettered_total", &[("destination", "acme-splunk")]);
    wait_until("some events are refused", PATIENCE, || letters() == f64::from(REFUSED));
    agent
}

/// Looks at what is open now in every way, and says what is wrong with it.
fn faults(visit: &Visit, axe: &str, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (look, scheme, width) in LOOKS {
        visit.look(scheme, width);
        let tell = |fault: String| format!("{page}, {look}: {fault}");
        let wide = visit.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
        if wide != 0 {
            found.push(tell(format!("{wide} pixels are outside the window")));
        }
        found.extend(visit.violations(axe).into_iter().map(tell));
        // That a page is not there is meant, and what it says; that something it needs is not there would name that.
        let is_meant = |line: &String| line.contains(&format!("{} - Failed to load resource", visit.url()));
        found.extend(visit.console().into_iter().filter(|line| !is_meant(line)).map(tell));
        visit.keep_screen(&format!("{page}-{look}"));
    }
    visit.look(Scheme::Light, 1_200);
    found
}

/// The addresses of a page and of all that it needs that are not the agent's.
fn foreign(visit: &Visit) -> Vec<String> {
    let script = "return performance.getEntriesByType('resource').map(one => one.name)
                      .filter(name => !name.startsWith(location.origin))";
    let names = visit.run(script);
    names.as_array().into_iter().flatten().map(ToString::to_string).collect()
}

#[test]
fn every_page_is_for_everybody_in_light_and_dark_on_a_phone_and_without_a_word_in_the_console() {
    let (good, picky) = (Hec::plain(), refusing("\"bad\":true"));
    let axe = match axe() {
        Ok(axe) => axe,
        Err(reason) => return skip("look", &reason),
    };
    let agent = full_agent(&good, &picky);
    let Some(visit) = Visit::begin(&agent, "look") else { return };
    visit.visit("/login");
    let mut found = faults(&visit, &axe, "login");
    visit.log_in("sds_wrong");
    found.extend(faults(&visit, &axe, "login-refused"));
    visit.log_in(&first_token(&agent));
    for (page, path) in [
        ("list", "/"),
        ("list-empty-search", "/?find=nothing"),
        ("detail", "/destinations/splunk-prod"),
        ("detail-down", "/destinations/backup-site"),
        ("detail-paused", "/destinations/old-splunk"),
        ("replay", "/destinations/splunk-prod/replay"),
        ("deadletters", "/deadletters"),
        ("deadletters-of-one", "/deadletters/acme-splunk"),
        ("health", "/health"),
        ("new", "/new"),
        ("new-splunk", "/new/splunk_hec"),
        ("new-syslog", "/new/syslog"),
        ("change", "/destinations/made-here/edit"),
        ("delete", "/destinations/made-here/delete"),
        ("events", "/events"),
        ("changes", "/changes"),
        ("not-there", "/destinations/nowhere"),
    ] {
        visit.visit(path);
        found.extend(faults(&visit, &axe, page));
        found.extend(foreign(&visit));
    }
    for (page, path, words) in [
        ("test-well", "/destinations/splunk-prod", "Test"),
        ("test-fails", "/destinations/backup-site", "Test"),
        ("drop", "/deadletters/acme-splunk", "Drop all 3 …"),
    ] {
        visit.visit(path);
        visit.click_words(words);
        visit.wait_words(&[if page == "drop" { "can't be undone" } else { "Test of" }]);
        found.extend(faults(&visit, &axe, page));
    }
    visit.visit("/deadletters/acme-splunk");
    visit.click("tbody a");
    visit.click_words("Edit it");
    found.extend(faults(&visit, &axe, "deadletter"));
    visit.log_in(&create_token(&agent, &["auditor"]));
    found.extend(faults(&visit, &axe, "list-of-a-viewer"));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_fresh_agent_says_what_to_do() {
    let axe = match axe() {
        Ok(axe) => axe,
        Err(reason) => return skip("fresh", &reason),
    };
    let mut agent = Agent::new();
    agent.start();
    let Some(visit) = Visit::begin(&agent, "fresh") else { return };
    visit.log_in(&first_token(&agent));
    let mut found = faults(&visit, &axe, "list-fresh");
    visit.visit("/deadletters");
    visit.wait_words(&["There are none"]);
    found.extend(faults(&visit, &axe, "deadletters-fresh"));
    assert!(found.is_empty(), "{}", found.join("\n"));
}
