use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::Workload;
use scaidrive_tests::hec::Hec;
use scaidrive_tests::scenario::{PATIENCE, write};

use super::{Visit, first_token};

/// A zone that is never near UTC, and has no summer time.
const ZONE: &str = "Asia/Tokyo";
/// What stands beside "Last success": the text, its title, and the moment in the reader's zone as the browser says it.
const LAST_SUCCESS: &str = "
    const time = [...document.querySelectorAll('dt')].find(term => term.textContent === 'Last success')
        .nextElementSibling.querySelector('time');
    const format = new Intl.DateTimeFormat(undefined, {dateStyle: 'medium', timeStyle: 'medium', timeZone: 'Asia/Tokyo'});
    return [time.textContent, time.title, format.format(new Date(time.dateTime)), time.dateTime]";

#[test]
fn moments_are_told_in_the_readers_zone_and_in_utc_where_one_points() {
    let hec = Hec::plain();
    let agent = Agent::with_hec(&hec);
    let Some(visit) = Visit::begin(&agent, "zone") else { return };
    visit.be_in_zone(ZONE);
    let ledger = write(&agent, Workload::new(1, 1, 10));
    hec.wait_distinct(ledger.acked.len(), PATIENCE);
    visit.log_in(&first_token(&agent));
    visit.visit("/destinations/hec");
    visit.wait_words(&["active", "half within"]);
    let told = visit.run(LAST_SUCCESS);
    let [text, title, expected, moment] = [0, 1, 2, 3].map(|at| told[at].as_str().unwrap_or_default().to_owned());
    assert_eq!(text, expected, "{told}");
    assert_eq!(title, format!("{} UTC", moment.split('.').next().unwrap_or_default().replace('T', " ")), "{told}");
    assert_ne!(text.split(':').next(), title.split(':').next(), "the hour is another one: {told}");
}

#[test]
fn a_moment_is_filled_in_in_the_readers_zone_and_meant_so() {
    let hec = Hec::plain();
    let agent = Agent::with_hec(&hec);
    let Some(visit) = Visit::begin(&agent, "a moment") else { return };
    visit.be_in_zone(ZONE);
    let ledger = write(&agent, Workload::new(1, 1, 10));
    hec.wait_distinct(ledger.acked.len(), PATIENCE);
    visit.log_in(&first_token(&agent));
    visit.visit("/destinations/hec/replay");
    // Noon in Tokyo is three in the morning.
    visit.run("document.querySelector('[name=from]').value = '2026-01-02T12:00'");
    visit.click("[name=back][value=from]");
    visit.click_words("Send again");
    visit.wait_words(&["The replay has begun with the oldest event"]);
    let replay = agent.ask("/v1/destinations/hec").1["status"]["replay"].clone();
    assert_eq!(replay["from_ms"], 1_767_322_800_000_i64, "{replay}");
}
