use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::Key;
use scaidrive_tests::hec::Hec;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write_one};
use scaidrive_tests::wait::wait_until;

use super::{Visit, first_token};

/// The promise: nothing that a page shows is older.
const STATUS_AGE_MAX: Duration = Duration::from_secs(2);
const PAIRS: u32 = 14;
/// The second event of a pair is delivered right after a shard has told of the first.
const WITHIN_A_PAIR: Duration = Duration::from_millis(60);
/// No multiple of anything that ticks here, so that pairs come at any moment between two looks.
const BETWEEN_PAIRS: Duration = Duration::from_millis(1_037);

/// Notes when the page has drawn another count of delivered events.
const WATCH: &str = "
    window.drawn = [];
    let known = 0;
    const look = () => {
        const row = [...document.querySelectorAll('#books-live tr')]
            .find(row => row.firstElementChild.textContent === 'accepted there');
        const count = Number(row.lastElementChild.textContent.replace(/\\D/g, ''));
        if (count === known) return;
        known = count;
        requestAnimationFrame(() => window.drawn.push([count, Date.now()]));
    };
    look();
    new MutationObserver(look).observe(document.querySelector('#books-live'), {childList: true, subtree: true});";

#[test]
fn what_was_delivered_is_on_the_page_within_two_seconds_for_whoever_just_looks() {
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.add_hec("hec", &hec).set("filter", ONLY_GENERATED);
    agent.start();
    let Some(visit) = Visit::begin(&agent, "age") else { return };
    visit.log_in(&first_token(&agent));
    visit.visit("/destinations/hec");
    visit.run(WATCH);
    let event = |count| write_one(&agent, Key { run: 1, tenant: 0, count });
    for pair in 0..PAIRS {
        event(2 * pair);
        thread::sleep(WITHIN_A_PAIR);
        event(2 * pair + 1);
        thread::sleep(BETWEEN_PAIRS);
    }
    let last = "return (window.drawn.at(-1) ?? [0])[0]";
    wait_until("the page shows them all", PATIENCE, || visit.run(last) == 2 * PAIRS);

    // When it drew each count, by the clock that the receiver's moments are told by.
    let drawn = visit.run("return window.drawn");
    let drawn: Vec<(u64, u64)> = serde_json::from_value(drawn).expect("pairs of a count and a moment");
    let since_1970 = |at: Instant| (SystemTime::now() - at.elapsed()).duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut delivered: Vec<Instant> =
        hec.arrivals().list.iter().filter(|arrival| arrival.key.is_some()).map(|arrival| arrival.at).collect();
    delivered.sort_unstable();
    assert_eq!(delivered.len(), 2 * PAIRS as usize, "each arrives once");
    let ages: Vec<Duration> = (1..)
        .zip(&delivered)
        .map(|(count, at)| {
            let drawn = drawn.iter().find(|(drawn, _)| *drawn >= count).expect("it has drawn them all").1;
            Duration::from_millis(drawn).saturating_sub(since_1970(*at))
        })
        .collect();
    let oldest = ages.iter().max().copied().unwrap_or_default();
    assert!(oldest < STATUS_AGE_MAX, "it took {ages:?}");
}
