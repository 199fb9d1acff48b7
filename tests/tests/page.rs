//! The page, as a browser without scripts sees it: forms do their job, and what others worded stays text.

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::browser::Browser;
use scaidrive_tests::certificates::Authority;
use scaidrive_tests::generator::{Key, Workload, event_line};
use scaidrive_tests::hec::{Fault, Hec, Predicate, Settings, reply};
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::wait::{wait_for, wait_until};

const SCRIPT: &str = "<script>alert(1)</script>";
const SCRIPT_AS_TEXT: &str = "&lt;script&gt;alert(1)&lt;/script&gt;";
const EVENTS: u32 = 40;

/// A started agent with one destination, and a browser at it.
fn agent_and_browser(hec: &Hec) -> (Agent, Browser) {
    let mut agent = Agent::new();
    agent.add_hec("hec", hec).set("filter", ONLY_GENERATED);
    agent.start();
    let browser = Browser::at(&agent.config.admin_socket);
    (agent, browser)
}

/// Waits until the page at `path` holds all of `words`, and returns it.
#[track_caller]
fn wait_page(browser: &Browser, path: &str, words: &[&str]) -> String {
    wait_for(&format!("{path} says {words:?}"), PATIENCE, || {
        let page = browser.open(path);
        words.iter().all(|word| page.contains(word)).then_some(page)
    })
}

#[test]
fn without_a_destination_the_page_says_what_to_do() {
    let mut agent = Agent::new();
    agent.start();
    let page = Browser::at(&agent.config.admin_socket).open("/");
    assert!(page.contains("events are taken in, kept for the window, and sent nowhere"), "{page}");
}

#[test]
fn a_destination_is_watched_paused_resumed_tested_and_sent_events_again_through_plain_forms() {
    let hec = Hec::plain();
    let (agent, browser) = agent_and_browser(&hec);
    write(&agent, Workload::new(1, 5, 300));
    hec.wait_distinct(300, PATIENCE);
    wait_page(&browser, "/", &["1 destination, none needs attention", ">hec</a>", "badge good\">active<"]);
    let page = wait_page(&browser, "/destinations/hec", &["<td class=\"number\">300</td>", "balances", "half within"]);
    for part in [
        "| stats min(siem_n) AS first",
        "nothing missing",
        "index=&quot;*&quot;",
        "EVENT_ID",
        "<code>tenants</code>",
        "/destinations/hec/pause",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains(scaidrive_tests::hec::TOKEN), "a secret is never shown");
    // The API and the command line prove it by the same numbers and the same question.
    let (_, whole) = agent.ask("/v1/destinations/hec");
    let streams = whole["proof"]["streams"].as_array().expect("there are streams");
    let last: u64 = streams.iter().filter_map(|stream| stream["last_n"].as_u64()).sum();
    assert_eq!(last, 300, "{whole}");
    assert!(streams.iter().all(|stream| stream["missing"] == 0), "{whole}");
    let shown = agent.command(&["destination", "show", "hec"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let query = whole["proof"]["query"].as_str().expect("there is a query");
    assert!(shown.contains(query) && shown.contains(": 0 missing there"), "{shown}");

    let page = browser.send_and_follow("/destinations/hec/pause", &[]);
    assert!(
        page.contains("Paused: nothing is sent until it is resumed") && page.contains("uid 0 has paused it"),
        "{page}"
    );
    assert!(page.contains("/destinations/hec/resume") && !page.contains("/destinations/hec/pause"));
    assert_eq!(agent.state_of("hec"), "paused");
    let page = browser.send_and_follow("/destinations/hec/pause", &[]);
    assert!(page.contains("It was so already"));
    let page = browser.send_and_follow("/destinations/hec/replay", &[("back", "all")]);
    assert!(page.contains("The replay waits: the destination is paused"), "{page}");
    assert!(browser.send_and_follow("/destinations/hec/resume", &[]).contains("Resumed"));
    wait_page(&browser, "/destinations/hec", &["Sent again.", "over; 300 accepted"]);
    agent.wait_state("hec", "active", PATIENCE);

    let tested = browser.send("/destinations/hec/test", &[]);
    assert_eq!(tested.status, 200);
    let tested = tested.text();
    assert!(tested.contains("badge good\">works<") && tested.contains("evt_test_"), "{tested}");

    for (back, from, words) in [
        ("from", "yesterday", "is no moment"),
        ("from", "2999-01-01T00:00:00Z", "has not come yet"),
        ("1h", "2026-11-26T09:40:00Z", "a moment is written"),
    ] {
        let again = browser.send("/destinations/hec/replay", &[("back", back), ("from", from)]);
        assert_eq!(again.status, 400);
        assert!(again.text().contains(words) && again.text().contains("<fieldset>"), "{}", again.text());
    }
    assert!(browser.open("/destinations/hec/replay").contains("Send events to hec again"));
    let page = browser.send_and_follow("/destinations/hec/replay", &[("back", "from"), ("from", "2026-01-01T00:00")]);
    assert!(page.contains("The replay has begun with the oldest event that the log still holds"), "{page}");
    wait_page(&browser, "/destinations/hec", &["Sent again.", "over; 300 accepted"]);
    agent.assert_books_balance();
}

#[test]
fn dead_letters_are_read_edited_sent_again_and_after_a_question_dropped_and_stay_text_whatever_they_hold() {
    let hec = Hec::plain();
    let is_hostile = |event: &[u8]| String::from_utf8_lossy(event).contains("</pre>");
    hec.set_fault(Fault::RefuseEvents { when: Predicate::new(is_hostile), names_event: false, keeps_prefix: false });
    let (agent, browser) = agent_and_browser(&hec);
    assert!(browser.open("/deadletters").contains("There are none"));
    let mut session = agent.session();
    // Among others that are taken: a destination that refuses everything has wrong settings rather than dead letters.
    for count in 0..EVENTS {
        let mut line = String::from_utf8(event_line(Key { run: 1, tenant: 0, count }, 600)).unwrap();
        if count < 3 {
            line = line.replace("\"payload\":{", &format!("\"payload\":{{\"x\":\"</pre>{SCRIPT}\","));
        }
        session.send(format!("{line}\n").as_bytes()).unwrap();
    }
    assert!(session.wait_acked(EVENTS.into(), PATIENCE));
    wait_page(&browser, "/deadletters", &["/deadletters/hec", "<td class=\"number\">3</td>"]);
    let store = wait_page(&browser, "/deadletters/hec", &["3 dead letters"]);
    let letters: Vec<&str> = values(&store, "name=\"letter\" value=\"");
    assert_eq!(letters.len(), 3, "{store}");
    let path = |letter: &str| format!("/deadletters/hec/{}", letter.replace(':', "/"));

    let page = browser.open(&path(letters[0]));
    assert!(page.contains(&format!("&lt;/pre&gt;{SCRIPT_AS_TEXT}")) && !page.contains(SCRIPT), "{page}");

    // An event that is none stays in the form; one that is takes the other's place and is accepted.
    let refused = browser.send(&path(letters[0]), &[("event", "{\"mine\":")]);
    assert_eq!(refused.status, 422);
    let text = refused.text();
    assert!(text.contains("it is no event") && text.contains("{&quot;mine&quot;:</textarea>"), "{text}");
    let first = Key { run: 1, tenant: 0, count: 0 };
    let mended = String::from_utf8(event_line(first, 600)).unwrap();
    assert!(browser.send_and_follow(&path(letters[0]), &[("event", &mended)]).contains("The edited event is kept"));
    let page = browser.send_and_follow("/deadletters/hec/replay", &[("letter", letters[0])]);
    assert!(page.contains("They are sent again"));
    wait_page(&browser, "/deadletters/hec", &["2 dead letters"]);
    assert!(browser.send_and_follow("/deadletters/hec/replay", &[]).contains("No dead letter was chosen"));

    // Dropping is asked about first.
    let asked = browser.send("/deadletters/hec/drop", &[("letter", letters[1]), ("letter", letters[2])]).text();
    assert!(asked.contains("Drop 2 dead letters for good"), "{asked}");
    assert!(browser.open("/deadletters/hec").contains("2 dead letters"), "nothing is gone yet");
    let sure = [("letter", letters[1]), ("letter", letters[2]), ("sure", "yes")];
    assert!(browser.send_and_follow("/deadletters/hec/drop", &sure).contains("They are gone for good"));
    wait_page(&browser, "/deadletters", &["There are none"]);
    assert_eq!(browser.get(&path(letters[1])).status, 404);
}

#[test]
fn what_a_receiver_says_and_what_an_address_holds_is_text_and_what_is_not_there_is_a_page() {
    let hec = Hec::plain();
    hec.set_fault(Fault::Answer(reply(403, 4, SCRIPT)));
    let (agent, browser) = agent_and_browser(&hec);
    write(&agent, Workload::new(1, 1, 5));
    wait_until("it is refused", PATIENCE, || agent.state_of("hec") != "active");
    for path in ["/", "/destinations/hec"] {
        let page = wait_page(&browser, path, &[SCRIPT_AS_TEXT]);
        assert!(!page.contains(SCRIPT), "{page}");
    }
    assert!(browser.open("/").contains("<strong>1 needs attention</strong>"));
    let tested = browser.send("/destinations/hec/test", &[]).text();
    assert!(
        tested.contains("badge bad\">fails<") && tested.contains("What to do:") && !tested.contains(SCRIPT),
        "{tested}"
    );

    let coded = "%3Cscript%3Ealert(1)%3C/script%3E";
    let found = browser.open(&format!("/?find=%3Cscript%3Ealert(1)&done={coded}&sort={coded}&page=-1"));
    assert!(found.contains("&lt;script&gt;alert(1)") && !found.contains(SCRIPT), "{found}");
    let unknown = browser.get("/destinations/hex");
    assert_eq!((unknown.status, unknown.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert!(unknown.text().contains("did you mean &quot;hec&quot;?"), "{}", unknown.text());
    for path in
        ["/destinations/..%2f..%2fetc", "/destinations/%3Cscript%3E", "/deadletters/hec/x/7", "/deadletters/hec/x/y"]
    {
        let reply = browser.get(path);
        assert!((400..500).contains(&reply.status) && !reply.text().contains("<script>"), "{path}: {}", reply.text());
    }
    assert_eq!(browser.get("/destinations/hec/pause").status, 405, "what changes something is no link");
}

#[test]
fn health_is_shown_assets_may_be_kept_for_ever_and_a_script_gets_the_middle_alone() {
    let hec = Hec::plain();
    let (agent, browser) = agent_and_browser(&hec);
    let page = wait_page(&browser, "/health", &["badge good\">ready<", "runs"]);
    assert!(page.contains(&format!("<dd>{}</dd>", agent.pid())), "{page}");
    for attribute in ["href=\"/assets/", "src=\"/assets/"] {
        let file = values(&page, attribute)[0];
        let asset = browser.get(&format!("/assets/{file}"));
        assert_eq!(asset.status, 200, "{file}");
        assert!(asset.header("cache-control").is_some_and(|control| control.contains("immutable")), "{file}");
    }
    assert_eq!(browser.get("/assets/page.00000000.css").status, 404);
    let fragment = browser.get_fragment("/").text();
    assert!(!fragment.contains("<html") && fragment.contains("id=\"destinations\" data-live"), "{fragment}");
    for path in ["/", "/destinations/hec", "/deadletters", "/health"] {
        let reply = browser.get(path);
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        let page = reply.text();
        assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick="), "{path}");
    }
}

/// What stands between `before` and the next quote, each time.
fn values<'p>(page: &'p str, before: &str) -> Vec<&'p str> {
    page.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn a_destination_is_made_tested_changed_and_deleted_through_plain_forms_and_its_secret_is_never_shown() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.start();
    let browser = Browser::at(&agent.config.admin_socket);
    assert!(browser.open("/").contains("href=\"/new\"") && browser.open("/new").contains("href=\"/new/splunk_hec\""));
    assert!(browser.open("/new/splunk_hec").contains("name=\"token\""));
    let token = scaidrive_tests::hec::TOKEN;
    let url = hec.url();
    let filled = |name: &'static str, linger: &'static str, wish: &'static str| {
        let filter = ("filter.actions", "file.*\r\nuser.*\r\nlink.*\r\nrole.*\r\nmalware.*");
        let fields = [("name", name), ("url", url.as_str()), ("token", token), ("batch.linger", linger), ("_do", wish)];
        fields.into_iter().chain([filter]).collect::<Vec<_>>()
    };

    // What is wrong is said at its field, in the parser's words, and nothing is made.
    let refused = browser.send("/new/splunk_hec", &filled("made here", "soon", "save"));
    assert_eq!(refused.status, 422);
    let text = refused.text();
    for part in
        ["href=\"#f-name\"", "href=\"#f-batch.linger\"", "value=\"soon\"", "from &quot;0ms&quot; to &quot;1m&quot;"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(token), "a secret that came in does not go out");
    assert!(browser.open("/").contains("No destination is configured"));

    let tested = browser.send("/new/splunk_hec", &filled("made", "1s", "test"));
    assert_eq!(tested.status, 200, "{}", tested.text());
    assert!(tested.text().contains("badge good\">works<") && tested.text().contains("Nothing is saved yet"));
    assert!(browser.open("/").contains("No destination is configured"), "a test saves nothing");

    let page = browser.send_and_follow("/new/splunk_hec", &filled("made", "1s", "save"));
    assert!(page.contains("It is made and in force") && page.contains("Made and changed here."), "{page}");
    write(&agent, Workload::new(1, 5, 100));
    hec.wait_distinct(100, PATIENCE);

    // A secret that is left empty stays.
    let form = browser.open("/destinations/made/edit");
    assert!(form.contains("kept as it is") && !form.contains(token) && form.contains("file.*\nuser.*"), "{form}");
    let tag = values(&form, "name=\"_tag\" value=\"")[0].replace("&quot;", "\"");
    let change = [("name", "made"), ("url", &url), ("batch.linger", "3s"), ("_tag", &tag), ("_do", "save")];
    let page = browser.send_and_follow("/destinations/made/edit", &change);
    assert!(page.contains("The change is in force") && page.contains("<dd>3s</dd>"), "{page}");
    write(&agent, Workload::new(2, 5, 100));
    hec.wait_distinct(200, PATIENCE);
    let again = browser.send("/destinations/made/edit", &change);
    assert_eq!(again.status, 412, "somebody has changed it since: {}", again.text());
    assert!(again.text().contains("somebody else has changed it since"));
    // Whoever has read that can save all the same.
    let tag = values(&again.text(), "name=\"_tag\" value=\"")[0].replace("&quot;", "\"");
    let change = [("name", "made"), ("url", &url), ("batch.linger", "2s"), ("_tag", &tag), ("_do", "save")];
    let page = browser.send_and_follow("/destinations/made/edit", &change);
    assert!(page.contains("The change is in force") && page.contains("<dd>2s</dd>"), "{page}");

    // A secret that was written beside a mistake is not forgotten without a word.
    let form = browser.open("/destinations/made/edit");
    let tag = values(&form, "name=\"_tag\" value=\"")[0].replace("&quot;", "\"");
    let written = |token: &'static str, linger: &'static str, again: &'static str| {
        let fields =
            [("name", "made"), ("url", url.as_str()), ("token", token), ("batch.linger", linger), ("_again", again)];
        let fields = [&fields[..], &[("_tag", tag.as_str()), ("_do", "save")]].concat();
        browser.send("/destinations/made/edit", &fields)
    };
    let refused = written("hush-hush", "soon", "");
    assert_eq!(refused.status, 422);
    let again = refused.text();
    assert!(again.contains("Write it again: what you wrote was not saved.") && !again.contains("hush-hush"), "{again}");
    assert_eq!(values(&again, "name=\"_again\" value=\""), ["token"]);
    let refused = written("", "1s", "token");
    assert_eq!(refused.status, 422);
    assert!(
        refused.text().contains("press Save once more") && !refused.text().contains("_again"),
        "{}",
        refused.text()
    );
    assert!(!browser.open("/destinations/made").contains("<dd>1s</dd>"), "nothing was saved");
    assert_eq!(written("", "1s", "").status, 303, "whoever means it may");

    let asked = browser.open("/destinations/made/delete");
    let newest = values(&asked, "name=\"_tag\" value=\"")[0].replace("&quot;", "\"");
    assert!(asked.contains("can't be undone") && newest != tag);
    for other in [&[][..], &[("_tag", tag.as_str())][..]] {
        let refused = browser.send("/destinations/made/delete", other);
        assert_eq!(refused.status, 412, "only what was asked about is deleted: {}", refused.text());
        assert!(refused.text().contains("it is still there"));
    }
    assert!(browser.send_and_follow("/destinations/made/delete", &[("_tag", &newest)]).contains("It is deleted"));
    assert_eq!(browser.get("/destinations/made").status, 404);
}

#[test]
fn changes_are_shown_page_by_page_as_the_api_tells_them() {
    const MADE: usize = 60;
    let hec = Hec::plain();
    let (agent, browser) = agent_and_browser(&hec);
    for at in 0..MADE {
        let wish = if at % 2 == 0 { "pause" } else { "resume" };
        assert_eq!(browser.send(&format!("/destinations/hec/{wish}"), &[]).status, 303);
    }
    let rows = |page: &str| page.matches("rowheader").count();
    wait_until("all of them are kept", PATIENCE, || {
        agent.ask("/v1/changes?of=hec&limit=200").1["changes"].as_array().map(Vec::len) == Some(MADE)
    });
    let first = browser.open("/changes?of=hec");
    assert_eq!(rows(&first), 50, "{first}");
    assert!(!first.contains("Newest changes"));
    let older = values(&first, "<a href=\"/changes?").last().map(|link| link.replace("&amp;", "&")).unwrap();
    let second = browser.open(&format!("/changes?{older}"));
    assert_eq!(rows(&second), MADE - 50, "{second}");
    assert!(second.contains("Newest changes") && !second.contains(">Older changes</a>"), "{second}");

    // The same by the API, each once and the newest first.
    let (mut seen, mut before) = (Vec::new(), String::new());
    loop {
        let (status, page) = agent.ask(&format!("/v1/changes?of=hec&limit=25{before}"));
        assert_eq!((status, &page["only_tenants"]), (200, &serde_json::Value::Null), "{page}");
        seen.extend(page["changes"].as_array().unwrap().iter().map(|one| one["event"]["payload"]["what"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        before = format!("&before={next}");
    }
    let expected = (0..MADE).rev().map(|at| if at % 2 == 0 { "destination.pause" } else { "destination.resume" });
    assert_eq!(seen, expected.collect::<Vec<_>>());
    assert_eq!(agent.ask("/v1/changes?before=x").0, 400);
    assert_eq!(agent.ask("/v1/changes?of=").0, 400);
    assert_eq!(browser.get("/changes?before=x").status, 400);
    assert!(browser.open("/changes?of=nobody").contains("No change of nobody is kept."));
}

#[test]
fn what_belongs_to_a_file_is_not_changed_in_the_page() {
    let hec = Hec::plain();
    let (_agent, browser) = agent_and_browser(&hec);
    let page = wait_page(&browser, "/destinations/hec", &["agent.toml"]);
    assert!(!page.contains("/destinations/hec/edit") && !page.contains("/destinations/hec/delete"), "{page}");
    for path in ["/destinations/hec/edit", "/destinations/hec/delete"] {
        let reply = browser.get(path);
        assert_eq!(reply.status, 409);
        assert!(reply.text().contains("belongs to a file of the operator"), "{}", reply.text());
    }
    assert_eq!(browser.get("/new/fax").status, 404);
}

#[test]
fn an_authority_of_ones_own_is_given_as_text_and_then_what_it_vouches_for_is_trusted() {
    let mut agent = Agent::new();
    let authority = Authority::new(agent.dir());
    let identity = authority.issue(agent.dir(), "server", &["localhost"]);
    let hec = Hec::start(Settings { tls: Some(identity.server), ..Settings::default() });
    agent.start();
    let browser = Browser::at(&agent.config.admin_socket);
    let pem = std::fs::read_to_string(authority.ca_file()).unwrap().replace('\n', "\r\n");
    let url = hec.url();
    let filled = |ca: &'static str, wish: &'static str| {
        let ca = if ca.is_empty() { pem.clone() } else { ca.to_owned() };
        [("name", "own"), ("url", &url), ("token", scaidrive_tests::hec::TOKEN), ("_do", wish)]
            .map(|(name, value)| (name, value.to_owned()))
            .into_iter()
            .chain([("tls.ca", ca)])
            .collect::<Vec<_>>()
    };
    let send = |fields: Vec<(&str, String)>| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.send("/new/splunk_hec", &fields)
    };
    let refused = send(filled("corp", "save"));
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("href=\"#f-tls.ca\""), "{}", refused.text());
    let tested = send(filled("", "test")).text();
    assert!(tested.contains("badge good\">works<"), "{tested}");
    assert_eq!(send(filled("", "save")).status, 303);
    let ledger = write(&agent, Workload::new(1, 5, 100));
    hec.wait_distinct(ledger.acked.len(), PATIENCE);
    let form = browser.open("/destinations/own/edit");
    assert!(form.contains("-----BEGIN CERTIFICATE-----\n"), "{form}");
}
