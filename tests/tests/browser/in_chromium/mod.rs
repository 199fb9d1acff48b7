//! What all of these tests share: a browser at an agent's page, and the door.

mod age;
mod changes;
mod keyboard;
mod letters;
mod life;
mod login;
mod look;
mod plain;
mod preview;
mod tail;
mod trouble;
mod zone;

use std::ops::Deref;

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::chromium::Chromium;
use scaidrive_tests::hec::{Fault, Hec, Predicate};
use scaidrive_tests::scenario::PATIENCE;
use scaidrive_tests::skip::skip;
use scaidrive_tests::wait::wait_until;

/// A browser at the page of one agent.
struct Visit {
    browser: Chromium,
    /// The address of the page, without a path.
    home: String,
}

impl Visit {
    /// Nobody is logged in yet. `None` where there is no browser; the test is then skipped.
    fn begin(agent: &Agent, test: &str) -> Option<Visit> {
        Visit::of(agent, Chromium::start(), test)
    }

    /// The same without scripts.
    fn begin_without_scripts(agent: &Agent, test: &str) -> Option<Visit> {
        Visit::of(agent, Chromium::start_without_scripts(), test)
    }

    fn of(agent: &Agent, browser: Result<Chromium, String>, test: &str) -> Option<Visit> {
        let browser = browser.map_err(|reason| skip(test, &reason)).ok()?;
        Some(Visit { browser, home: format!("http://{}", agent.config.admin) })
    }

    /// Opens the page at `path`.
    #[track_caller]
    fn visit(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.home));
    }

    /// Shows a token at the door.
    #[track_caller]
    fn log_in(&self, token: &str) {
        self.visit("/login");
        self.log_in_here(token);
    }

    /// The same where the door stood in the way already.
    #[track_caller]
    fn log_in_here(&self, token: &str) {
        self.browser.fill("#token", token);
        self.browser.click_words("Log in");
    }

    /// Where it is, without the agent's address.
    #[track_caller]
    fn path(&self) -> String {
        let url = self.browser.url();
        url.strip_prefix(&self.home).unwrap_or(&url).to_owned()
    }
}

impl Deref for Visit {
    type Target = Chromium;

    fn deref(&self) -> &Chromium {
        &self.browser
    }
}

/// The token that the first start has made.
#[track_caller]
fn first_token(agent: &Agent) -> String {
    let path = agent.config.state_dir.join("admin-token");
    std::fs::read_to_string(path).expect("the first start makes a token").trim().to_owned()
}

/// Makes a token by the command line, and returns its secret.
#[track_caller]
fn create_token(agent: &Agent, arguments: &[&str]) -> String {
    let output = agent.command(&[&["token", "create"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits until a change is kept: it is told a moment after it was made, once it is on the disk, and the page is not drawn anew.
#[track_caller]
fn wait_change(agent: &Agent, what: &str, of: &str) {
    wait_until(&format!("{what} of {of} is kept"), PATIENCE, || {
        let (_, page) = agent.ask(&format!("/v1/changes?of={of}"));
        let changes = page["changes"].as_array().cloned().unwrap_or_default();
        changes.iter().any(|change| change["event"]["payload"]["what"] == what)
    });
}

/// A receiver that refuses for good whatever holds this text.
fn refusing(text: &'static str) -> Hec {
    let hec = Hec::plain();
    let is_bad = move |event: &[u8]| String::from_utf8_lossy(event).contains(text);
    hec.set_fault(Fault::RefuseEvents { when: Predicate::new(is_bad), names_event: false, keeps_prefix: false });
    hec
}
