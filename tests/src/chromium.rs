//! A real browser without a window: Debian's Chromium, driven through its chromedriver (W3C, "WebDriver").
//!
//! WebDriver is JSON over HTTP, which is here already. Crates that speak it bring an async runtime and fifty others
//! (fantoccini), or one that `deny.toml` bans (thirtyfour: reqwest).
//!
//! Each browser has a profile of its own, in a folder that goes away with it, and resolves no name: it reaches loopback
//! alone. `tests/browser/install` installs what is needed; a machine without it is told so, see [`crate::skip`].

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http;
use crate::ports::free_port;
use crate::wait::{try_wait_for, wait_until};

/// Names a folder for screenshots; without it none are kept.
pub const SCREENS: &str = "SCAIDRIVE_SCREENS";
/// Names the folder of axe-core, where it is not `browser` below cargo's target directory.
pub const PLACE: &str = "SCAIDRIVE_BROWSER_DIR";
/// The key that leads to the next element (WebDriver, section 17.4.2).
pub const TAB: char = '\u{e004}';
/// The key that presses a button, follows a link or sends a form.
pub const ENTER: char = '\u{e007}';
/// The name of an element's reference (WebDriver, section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// What a person waits for something to show on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const START_WITHIN: Duration = Duration::from_secs(30);
/// How long it looks for an element before it says that there is none, in ms.
const FIND_WITHIN_MS: u64 = 10_000;
const WIDTH: u32 = 1_200;
const HEIGHT: u32 = 800;

/// A browser with one open tab.
#[derive(Debug)]
pub struct Chromium {
    driver: Driver,
    /// What all paths begin with.
    session: String,
    _profile: TempDir,
}

/// The program that drives it.
#[derive(Debug)]
struct Driver {
    child: Child,
    address: SocketAddr,
}

/// What the reader's system asks pages for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Dark ink on light ground.
    Light,
    /// The other way round.
    Dark,
}

impl Chromium {
    /// Starts a browser in which pages run their scripts.
    ///
    /// # Errors
    /// The reason why this machine can't, for [`crate::skip::skip`].
    ///
    /// # Panics
    /// When what is installed does not start.
    pub fn start() -> Result<Chromium, String> {
        Chromium::start_with(true)
    }

    /// Starts one in which they do not.
    ///
    /// # Errors
    /// The reason why this machine can't, for [`crate::skip::skip`].
    ///
    /// # Panics
    /// When what is installed does not start.
    pub fn start_without_scripts() -> Result<Chromium, String> {
        Chromium::start_with(false)
    }

    fn start_with(has_scripts: bool) -> Result<Chromium, String> {
        for program in ["chromium", "chromedriver"] {
            let is_there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
            if !is_there {
                return Err(format!("there is no {program} (as root, tests/browser/install installs it)"));
            }
        }
        let driver = Driver::start();
        let profile = tempfile::Builder::new().prefix("siem-browser-").tempdir().expect("there is room for a profile");
        let asked = driver.ask("POST", "/session", &capabilities(profile.path(), has_scripts));
        let id = asked["sessionId"].as_str().expect("a session has an id");
        let browser = Chromium { driver, session: format!("/session/{id}"), _profile: profile };
        browser.ask("POST", "/timeouts", &json!({"implicit": FIND_WITHIN_MS, "pageLoad": 30_000, "script": 30_000}));
        browser.devtools("Emulation.setLocaleOverride", &json!({"locale": "en-GB"}));
        browser.look(Scheme::Light, WIDTH);
        Ok(browser)
    }

    /// Opens a page and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// Where it is.
    #[track_caller]
    pub fn url(&self) -> String {
        self.ask("GET", "/url", &Value::Null).as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on the first element that the CSS selector finds.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.click_on(&self.find("css selector", selector));
    }

    /// Clicks on the link, button or summary that says just these words.
    #[track_caller]
    pub fn click_words(&self, words: &str) {
        self.click_on(&self.find("xpath", &saying(words)));
    }

    /// Writes into a field in place of what is there.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.find("css selector", selector);
        self.ask("POST", &format!("/element/{element}/clear"), &json!({}));
        self.ask("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses keys one after another, as a keyboard does: they go to what has the focus. See [`TAB`] and [`ENTER`].
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let strokes = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|stroke| json!({"type": stroke, "value": key.to_string()})));
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>()});
        self.ask("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    /// What a reader sees of the first element that the CSS selector finds.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let element = self.find("css selector", selector);
        self.ask("GET", &format!("/element/{element}/text"), &Value::Null).as_str().unwrap_or_default().to_owned()
    }

    /// How many elements the CSS selector finds at this moment.
    #[track_caller]
    pub fn count(&self, selector: &str) -> usize {
        self.ask("POST", "/timeouts", &json!({"implicit": 0}));
        let found = self.ask("POST", "/elements", &json!({"using": "css selector", "value": selector}));
        self.ask("POST", "/timeouts", &json!({"implicit": FIND_WITHIN_MS}));
        found.as_array().map_or(0, Vec::len)
    }

    /// Waits until the page says all of these, without touching it.
    #[track_caller]
    pub fn wait_words(&self, words: &[&str]) {
        let mut text = String::new();
        let found = try_wait_for(PATIENCE, || {
            // A page that goes away while it is read is read again.
            let body = self.try_ask("POST", "/element", &json!({"using": "css selector", "value": "body"})).ok()?;
            let path = format!("/element/{}/text", body[ELEMENT].as_str()?);
            text = self.try_ask("GET", &path, &Value::Null).ok()?.as_str()?.to_owned();
            words.iter().all(|word| text.contains(word)).then_some(())
        });
        assert!(found.is_some(), "{} does not say {words:?} but:\n{text}", self.url());
    }

    /// What a script returns. It is ours, so the page's content security policy does not count for it.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a script hands to the last of its `arguments`, a function, later.
    #[track_caller]
    pub fn run_later(&self, script: &str) -> Value {
        self.ask("POST", "/execute/async", &json!({"script": script, "args": []}))
    }

    /// What the console has been told since it was asked last, its level before each; without the browser's advice to
    /// those who make pages.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        let entries = self.ask("POST", "/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let line = |entry: &Value| format!("{}: {}", entry["level"], entry["message"]);
        entries.iter().filter(|entry| entry["level"] != "DEBUG").map(line).collect()
    }

    /// The reader's system asks for this scheme, and the window has this width.
    #[track_caller]
    pub fn look(&self, scheme: Scheme, width: u32) {
        let value = if scheme == Scheme::Light { "light" } else { "dark" };
        // Nothing moves, so that what is looked at has the colours that it keeps.
        let features = json!([
            {"name": "prefers-color-scheme", "value": value},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
        let metrics = json!({"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// The reader is in this time zone (IANA), from the next page on.
    #[track_caller]
    pub fn be_in_zone(&self, zone: &str) {
        self.devtools("Emulation.setTimezoneOverride", &json!({ "timezoneId": zone }));
    }

    /// Keeps a picture of the whole page as `NAME.png`, where a folder is named for them.
    #[track_caller]
    pub fn keep_screen(&self, name: &str) {
        let Some(folder) = std::env::var_os(SCREENS) else { return };
        let taken = self.devtools("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true}));
        let picture = STANDARD.decode(taken["data"].as_str().unwrap_or_default()).expect("a picture is base64");
        fs::create_dir_all(&folder).expect("the folder for screenshots can be made");
        fs::write(Path::new(&folder).join(format!("{name}.png")), picture).expect("there is room for screenshots");
    }

    /// What axe-core finds on the page: its rules that are broken seriously or critically, each with the elements.
    ///
    /// # Panics
    /// When axe-core is not there, see [`axe`].
    #[track_caller]
    pub fn violations(&self, axe: &str) -> Vec<String> {
        self.run(&format!("if (!window.axe) {{ {axe} }}"));
        let found = self.run_later(
            "const done = arguments[arguments.length - 1];
             axe.run(document, {resultTypes: ['violations']}).then(
                 found => done(found.violations.filter(one => ['serious', 'critical'].includes(one.impact))
                     .map(one => `${one.id} (${one.help}): ${one.nodes.map(node => node.html).join(' | ')}`)),
                 problem => done([String(problem)]));",
        );
        let found = found.as_array().cloned().unwrap_or_default();
        found.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
    }

    #[track_caller]
    fn find(&self, using: &str, value: &str) -> String {
        let found = self.try_ask("POST", "/element", &json!({ "using": using, "value": value }));
        let found = found.unwrap_or_else(|problem| panic!("{} has no {value}: {problem}", self.url()));
        found[ELEMENT].as_str().expect("an element has a reference").to_owned()
    }

    #[track_caller]
    fn click_on(&self, element: &str) {
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
    }

    #[track_caller]
    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.driver.ask(method, &format!("{}{path}", self.session), body)
    }

    fn try_ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.driver.try_ask(method, &format!("{}{path}", self.session), body)
    }

    /// What a failed test leaves for whoever reads of it.
    fn last_words(&self) {
        let Ok(url) = self.try_ask("GET", "/url", &Value::Null) else { return };
        let body = self.try_ask("POST", "/element", &json!({"using": "css selector", "value": "body"}));
        let element = body.ok().and_then(|body| body[ELEMENT].as_str().map(str::to_owned)).unwrap_or_default();
        let text = self.try_ask("GET", &format!("/element/{element}/text"), &Value::Null).unwrap_or_default();
        let line = format!("the browser is at {url} and shows:\n{}\n", text.as_str().unwrap_or_default());
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.last_words();
        }
        let _ = self.try_ask("DELETE", "", &Value::Null);
    }
}

impl Driver {
    #[track_caller]
    fn start() -> Driver {
        let port = free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("chromedriver can be started");
        let driver = Driver { child, address };
        wait_until("chromedriver answers", START_WITHIN, || driver.try_ask("GET", "/status", &Value::Null).is_ok());
        driver
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_ask(method, path, body).unwrap_or_else(|problem| panic!("{method} {path}: {problem}"))
    }

    /// The `value` of the answer (WebDriver, section 6.3).
    fn try_ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let kind = ("Content-Type", "application/json; charset=utf-8");
        let reply = http::request_once(self.address, method, path, &[kind], body.as_bytes());
        let reply = reply.map_err(|problem| problem.to_string())?;
        let mut answer: Value = serde_json::from_slice(&reply.body).map_err(|problem| problem.to_string())?;
        match reply.status {
            200 => Ok(answer["value"].take()),
            _ => Err(format!("{}: {}", answer["value"]["error"], answer["value"]["message"])),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// axe-core's script.
///
/// # Errors
/// The reason why it is not here, for [`crate::skip::skip`].
pub fn axe() -> Result<String, String> {
    let place = std::env::var_os(PLACE).map_or_else(in_target, PathBuf::from);
    let path = place.join("node_modules/axe-core/axe.min.js");
    fs::read_to_string(path).map_err(|_| "there is no axe-core (tests/browser/install fetches it)".to_owned())
}

/// `browser` below cargo's target directory.
fn in_target() -> PathBuf {
    // …/target/debug/deps/this_test-0123456789abcdef
    let this = std::env::current_exe().expect("a process knows its own file");
    this.ancestors().nth(3).expect("a test lies three folders below the target directory").join("browser")
}

/// What a new session is asked for (WebDriver, section 7; chromedriver, "Capabilities & ChromeOptions").
fn capabilities(profile: &Path, has_scripts: bool) -> Value {
    let mut arguments = vec![
        "--headless=new".to_owned(),
        format!("--user-data-dir={}", profile.display()),
        // The sandbox refuses to work for root, which tests often are; nothing but our own page is shown.
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-gpu".to_owned(),
        "--hide-scrollbars".to_owned(),
        "--no-first-run".to_owned(),
        "--lang=en-GB".to_owned(),
        format!("--window-size={WIDTH},{HEIGHT}"),
    ];
    arguments.extend(
        [
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-sync",
            "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        ]
        .map(str::to_owned),
    );
    // 2 is "block" (Chromium, ContentSetting).
    let preferences = match has_scripts {
        true => json!({}),
        false => json!({"profile.managed_default_content_settings.javascript": 2}),
    };
    json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": {"args": arguments, "prefs": preferences},
        "goog:loggingPrefs": {"browser": "ALL"},
    }}})
}

/// An XPath for what can be clicked and says just these words.
fn saying(words: &str) -> String {
    format!("//*[self::a or self::button or self::summary][normalize-space()=\"{words}\"]")
}
