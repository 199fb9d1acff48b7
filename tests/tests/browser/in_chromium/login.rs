use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::hec::{Hec, TOKEN};
use scaidrive_tests::ports::free_port;

use super::{Visit, create_token, first_token, wait_change};

/// An agent with two destinations that nobody answers for: one for a tenant alone, one for all.
fn two_tenants() -> Agent {
    let mut agent = Agent::new();
    for (name, tenants) in [("acme", "[\"tnt_acme\"]"), ("everybody", "[\"*\"]")] {
        let url = format!("http://127.0.0.1:{}", free_port());
        agent.config.add(Destination::hec(name, &url, &agent.token_file()).with("tenants", tenants));
    }
    agent.start();
    agent
}

#[test]
fn the_first_token_opens_the_page_a_wrong_one_is_told_so_and_who_leaves_is_out() {
    let agent = two_tenants();
    let Some(visit) = Visit::begin(&agent, "login") else { return };
    visit.visit("/destinations/acme?x=y");
    assert!(visit.path().starts_with("/login?"), "who is not known is led to the door");
    visit.log_in_here("sds_wrong");
    visit.wait_words(&["This token is unknown, revoked or has expired."]);
    visit.log_in_here(&first_token(&agent));
    visit.wait_words(&["Send again …"]);
    assert_eq!(visit.path(), "/destinations/acme?x=y", "and then to where they were going");
    visit.click_words("Log out");
    for elsewhere in ["//evil.example/", "https://evil.example/", "/%5Cevil.example/", "%09//evil.example"] {
        visit.visit(&format!("/login?next={elsewhere}"));
        visit.log_in_here(&first_token(&agent));
        visit.wait_words(&["2 destinations"]);
        assert_eq!(visit.path(), "/", "{elsewhere} is not ours");
    }
    visit.wait_words(&["2 destinations", "acme", "everybody", "Health"]);
    assert!(visit.run("return document.cookie") == "", "no script reads the session");
    visit.click_words("acme");
    visit.wait_words(&["Pause", "Send again …"]);
    visit.click_words("Log out");
    assert_eq!(visit.path(), "/login");
    visit.visit("/");
    assert_eq!(visit.path(), "/login", "the session is over");
}

/// Fills in a new destination whose session then ends, because the agent starts anew.
fn write_and_lose_the_session(visit: &Visit, agent: &mut Agent, hec: &Hec) {
    visit.visit("/login");
    visit.log_in_here(&first_token(agent));
    visit.visit("/new/splunk_hec");
    for (field, text) in [("name", "splunk-prod"), ("url", &hec.url()), ("token", TOKEN), ("filter.actions", "file.*")]
    {
        visit.fill(&format!("[name='{field}']"), text);
    }
    agent.restart();
}

/// Goes back to the form, where everything stands but the secret, and saves it.
fn go_back_and_save(visit: &Visit) {
    visit.click_words("Back to the form");
    visit.wait_words(&["What you had written stands here again", "Secrets are not kept"]);
    let value = |field: &str| visit.run(&format!("return document.querySelector(`[name='{field}']`).value"));
    assert_eq!(
        (value("name"), value("filter.actions"), value("token")),
        ("splunk-prod".into(), "file.*".into(), "".into())
    );
    visit.fill("[name='token']", TOKEN);
    visit.click_words("Save");
    visit.wait_words(&["It is made and in force", "splunk-prod"]);
}

#[test]
fn what_was_typed_when_the_session_ended_is_there_again_after_the_login_with_scripts_or_without() {
    for has_scripts in [true, false] {
        let hec = Hec::plain();
        let mut agent = Agent::new();
        agent.start();
        let begun = if has_scripts { Visit::begin } else { Visit::begin_without_scripts };
        let Some(visit) = begun(&agent, "session that ends") else { return };
        write_and_lose_the_session(&visit, &mut agent, &hec);
        visit.click_words("Save");
        visit.wait_words(&["Your session is over, and nothing was saved."]);
        assert_eq!(visit.path(), "/new/splunk_hec", "nothing of it is in an address");
        visit.log_in_here(&first_token(&agent));
        visit.wait_words(&["You are logged in."]);
        go_back_and_save(&visit);
    }
}

#[test]
fn what_was_typed_in_a_session_that_another_tab_has_replaced_is_not_lost() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.start();
    let Some(visit) = Visit::begin(&agent, "session in another tab") else { return };
    write_and_lose_the_session(&visit, &mut agent, &hec);
    visit.click_words("Test");
    visit.wait_words(&["Not done: the session is over."]);
    let log_in = format!(
        "const done = arguments[arguments.length - 1];
         fetch('/login', {{method: 'POST', body: new URLSearchParams({{token: '{}'}})}}).then(reply => done(reply.ok))",
        first_token(&agent)
    );
    assert_eq!(visit.run_later(&log_in), true);
    visit.click_words("Save");
    visit.wait_words(&["This form was opened in a session that is over, and nothing was saved."]);
    go_back_and_save(&visit);
}

#[test]
fn a_viewer_sees_everything_and_finds_nothing_to_press() {
    let agent = two_tenants();
    let Some(visit) = Visit::begin(&agent, "viewer") else { return };
    visit.log_in(&create_token(&agent, &["auditor"]));
    visit.wait_words(&["2 destinations", "may look, not change"]);
    for path in ["/", "/destinations/acme", "/deadletters", "/deadletters/acme", "/health"] {
        visit.visit(path);
        assert_eq!(visit.count("main form[method=post], main form:not([role=search]) button"), 0, "{path}");
    }
}

#[test]
fn who_is_bound_to_a_tenant_sees_its_destinations_and_no_trace_of_others() {
    let agent = two_tenants();
    let Some(visit) = Visit::begin(&agent, "tenant") else { return };
    visit.log_in(&create_token(&agent, &["acme", "--role", "admin", "--tenant", "tnt_acme"]));
    visit.wait_words(&["1 destination", "acme"]);
    assert!(!visit.text("body").contains("everybody") && !visit.text("header").contains("Health"));
    for path in ["/destinations/everybody", "/deadletters/everybody"] {
        visit.visit(path);
        visit.wait_words(&["no destination"]);
    }
    visit.visit("/destinations/acme");
    visit.click_words("Pause");
    visit.wait_words(&["token acme has paused it"]);
    wait_change(&agent, "destination.pause", "acme");
    visit.visit("/changes?of=acme");
    visit.wait_words(&["the changes of your tenants alone (tnt_acme)", "destination.pause"]);
}
