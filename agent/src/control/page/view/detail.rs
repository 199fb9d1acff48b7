//! One destination: how it is, where its events are, what went wrong, what it was told, what can be done.

use maud::{Markup, html};

use super::chart;
use super::form::kind_title;
use super::frame::{Frame, Place};
use super::parts::{badge, fact, facts, headroom, replay, waiting};
use super::words::{count, many, rate, size, span, ticked, time, time_or, time_told};
use crate::control::episodes::{Episode, Episodes, NumberRange};
use crate::control::history::{DestinationHistory, StateChange};
use crate::control::proof::{Proof, StreamProof};
use crate::control::status::{BooksStatus, DestinationStatus, RequestsStatus};

/// What there is to know of a destination.
#[derive(Clone, Debug)]
pub(in crate::control::page) struct Whole {
    /// How it is.
    pub(in crate::control::page) status: DestinationStatus,
    /// Every key with its value; where a secret is kept in place of the secret.
    pub(in crate::control::page) settings: Vec<(String, String)>,
    /// Where it is configured, in words.
    pub(in crate::control::page) origin: String,
    /// Whether it is changed here.
    pub(in crate::control::page) is_managed: bool,
    /// How long the log holds an event.
    pub(in crate::control::page) window_ms: u64,
    /// The last hour, and the last changes of its state.
    pub(in crate::control::page) history: DestinationHistory,
    /// When events were passed over; `None` where that can't be read.
    pub(in crate::control::page) episodes: Option<Episodes>,
    /// What proves that nothing is missing there.
    pub(in crate::control::page) proof: Proof,
    /// What finds an event there, and where that is to be asked.
    pub(in crate::control::page) query: (String, String),
    /// What has to be set up there: JSON where something is needed, and what to say about it.
    pub(in crate::control::page) setup: (Option<String>, Vec<String>),
    /// The kinds of starter content that fit what it is sent.
    pub(in crate::control::page) content: &'static [&'static str],
}

/// The page.
pub(in crate::control::page) fn page(frame: &Frame, whole: &Whole) -> Markup {
    let name = &whole.status.name;
    let middle = html! {
        div #state data-live aria-live="polite" { (state(&whole.status)) }
        @if frame.may_change() { (actions(frame, whole)) }
        section aria-labelledby="rate" {
            h2 #rate { "Last hour" }
            div #rate-live data-live { (chart::hour(&whole.history)) }
        }
        div.columns {
            section aria-labelledby="buffer" {
                h2 #buffer { "Buffer" }
                div #buffer-live data-live { (buffer(whole)) }
            }
            section aria-labelledby="books" {
                h2 #books { "Books" }
                div #books-live data-live { (books(&whole.status.books)) (requests(&whole.status.requests)) }
            }
            section aria-labelledby="states" {
                h2 #states { "Changes of state" }
                div #states-live data-live { (states(&whole.history.states)) }
            }
            section aria-labelledby="overflow" {
                h2 #overflow { "Events passed over" }
                div #overflow-live data-live { (overflow(frame, &whole.status.name, whole.episodes.as_ref())) }
            }
            section aria-labelledby="refused" {
                h2 #refused { "Dead letters" }
                div #refused-live data-live { (dead_letters(frame, &whole.status)) }
            }
        }
        section aria-labelledby="proof" {
            h2 #proof { "Proof that nothing is missing" }
            (how_to_prove(&whole.proof))
            div #proof-live data-live { (streams(&whole.proof.streams)) }
        }
        section aria-labelledby="search" {
            h2 #search { "Find its events there" }
            (search(whole))
        }
        section aria-labelledby="settings" {
            h2 #settings { "Settings" }
            (settings(frame, whole))
        }
    };
    frame.page(Place::Destinations, name, &middle)
}

fn state(status: &DestinationStatus) -> Markup {
    html! {
        p.lead {
            (badge(&status.state)) " " (status.cause)
            @if let Some(since) = status.since_ms { ", since " (time(since)) }
            "."
        }
        @if status.state != "active" {
            div.advice {
                p { "What happens next: " (status.next) "." }
                @if let Some(advice) = advice(&status.state) { p { "What to do: " (advice) "." } }
            }
        }
        @if let Some(last) = &status.replay { p { "Sent again. " (replay(last)) "." } }
        @if !status.redacted.is_empty() { p { "Goes out with " (status.redacted.join(", ")) "." } }
    }
}

/// What somebody who looks at the page can do about a state; on a terminal that is told as commands.
fn advice(state: &str) -> Option<&'static str> {
    Some(match state {
        "active" | "draining" => return None,
        "active_with_errors" => "look at its dead letters: each has the reply, and can be edited and sent again",
        "paused" => "Resume lets it go on",
        "throttled" => "if it lasts, have it take more there, or send less with a filter",
        "retrying" => "wait a little; if it lasts, Test finds out where it fails",
        "auth_hold" => "give it a valid secret, or the present one its rights there; Test says which",
        _ => "Test finds out where it fails, and what to do",
    })
}

fn actions(frame: &Frame, whole: &Whole) -> Markup {
    let status = &whole.status;
    let path = |action: &str| format!("/destinations/{}/{action}", status.name);
    html! {
        div.actions role="group" aria-label="Actions" {
            (frame.button(&path("test"), "Test"))
            @if status.pause.is_some() { (frame.button(&path("resume"), "Resume")) }
            @else { (frame.button(&path("pause"), "Pause")) }
            @if status.drain.is_none() { a.button href=(frame.link(&path("drain"))) { "Drain …" } }
            a.button href=(frame.link(&path("replay"))) { "Send again …" }
            @if whole.is_managed {
                a.button href=(frame.link(&path("edit"))) { "Change …" }
                a.button.danger href=(frame.link(&path("delete"))) { "Delete …" }
            }
        }
    }
}

fn buffer(whole: &Whole) -> Markup {
    let status = &whole.status;
    let (events, bytes) = waiting(status);
    let waits = html! { (many(events, "event", "events")) @if let Some(bytes) = bytes { ", about " (size(bytes)) } };
    let latency = &status.latency;
    let took = html! {
        @if latency.count == 0 { "nothing was accepted yet" }
        @else {
            "half within " (span(latency.p50_ms)) ", 99 of 100 within " (span(latency.p99_ms)) ", the longest "
            (span(latency.max_ms)) " (" (many(latency.count, "event", "events")) ")"
        }
    };
    let error = html! { @match &status.last_failure {
        Some(failure) => { (time(failure.at_ms)) ": " (failure.what) },
        None => { "none" },
    } };
    facts(&[
        ("Type", fact(kind_title(&status.kind))),
        ("Window", headroom(status, whole.window_ms)),
        ("Waiting", waits),
        (
            "Oldest waiting event",
            fact(if events == 0 { "none".to_owned() } else { format!("{} old", span(status.lag_ms)) }),
        ),
        ("Rate over 60 s", fact(rate(status.events_per_second))),
        ("Latency", took),
        ("Last success", time_or(status.last_success_ms, "none yet")),
        ("Last error", error),
    ])
}

/// The books with their sum, so that anybody can check it.
fn books(books: &BooksStatus) -> Markup {
    let lines = [
        ("accepted there", books.delivered),
        ("refused there and kept as dead letters", books.dead_lettered),
        ("given up, because the log could not hold them longer", books.overflowed),
        ("written off", books.abandoned),
        ("waiting or under way", books.in_hand),
    ];
    html! {
        table.books {
            caption { "Where the events are that it was to get" }
            thead { tr { th scope="col" { "What" } th.number scope="col" { "Events" } } }
            tbody {
                tr { th scope="row" { "looked at, in its tenants" } td.number { (count(books.judged)) } }
                tr { th scope="row" { "not wanted by its filter" } td.number { (count(books.filtered)) } }
                tr.sum { th scope="row" { "wanted" } td.number { (count(books.selected)) } }
                @for (what, events) in lines { tr.part { th scope="row" { (what) } td.number { (count(events)) } } }
            }
        }
        p {
            @if books.difference == 0 { span.badge.good { "balances" } " Wanted is the sum of the lines below it." }
            @else {
                span.badge.bad { "out by " (count(books.difference)) }
                " Wanted is not the sum of the lines below it: report this as a fault of the agent."
            }
        }
    }
}

fn requests(requests: &RequestsStatus) -> Markup {
    html! {
        p {
            "Requests: " (count(requests.accepted)) " accepted, " (count(requests.refused)) " refused, "
            (count(requests.failed)) " without a useful answer, " (count(requests.under_way)) " under way"
            @if requests.slow_downs > 0 { "; " (many(requests.slow_downs, "answer", "answers")) " asked for fewer" }
            "."
        }
    }
}

fn states(states: &[StateChange]) -> Markup {
    html! {
        @if states.is_empty() { p { "None within the last hour." } }
        @else { table {
            caption { "The newest first" }
            thead { tr { th scope="col" { "When" } th scope="col" { "State" } th scope="col" { "Why" } } }
            tbody { @for change in states.iter().rev().take(LISTED_MAX) { tr {
                td { (time(change.at_ms)) }
                td { (badge(&change.to)) " after " (change.from.replace('_', " ")) }
                td { (change.cause) }
            } } }
        } }
    }
}

/// "None" is said only where the books have none: what the agent has said of them may be gone, or be for others.
fn overflow(frame: &Frame, name: &str, episodes: Option<&Episodes>) -> Markup {
    let Some(told) = episodes else { return html! { p { "The agent's own events can't be read at the moment." } } };
    let is_none = told.episodes.is_empty() && told.untold == 0 && !told.is_overflowing;
    let hidden = told.episodes.len().saturating_sub(LISTED_MAX) as u64;
    let path = frame.link(&format!("/v1/destinations/{name}/episodes"));
    html! {
        @if is_none { p { "None, of the streams it has now: the log has held every event for long enough." } }
        @if told.is_overflowing { p { span.badge.bad { "overflows now" } " Events are given up because the log can't hold them longer." } }
        @if told.untold > 0 { p {
            (many(told.untold, "event", "events")) @if !told.episodes.is_empty() { " more" }
            @if told.untold == 1 { " was" } @else { " were" }
            " passed over; when is no longer kept, or is not shown to you, or will be told within a minute."
        } }
        @if told.notices_waiting > 0 { p {
            (many(told.notices_waiting, "notice", "notices")) " of what it did not get " @if told.notices_waiting == 1 { "waits" } @else { "wait" }
            " until it accepts "  @if told.notices_waiting == 1 { "it" } @else { "them" } "."
        } }
        @if !told.episodes.is_empty() { table {
            caption { "Episodes, the newest first; the events named are gone, and so stated in the audit trail" }
            thead { tr {
                th scope="col" { "Begun" } th.number scope="col" { "Events" } th.number scope="col" { "Size" }
                th scope="col" { "From and to" } th scope="col" { "Which" }
            } }
            tbody { @for episode in newest_first(&told.episodes) { (episode_row(episode)) } }
        } }
        @if hidden > 0 { p { (count(hidden)) " more, and all of every one, in " a href=(path) { (path) } "." } }
    }
}

fn newest_first(episodes: &[Episode]) -> Vec<&Episode> {
    let mut sorted: Vec<&Episode> = episodes.iter().collect();
    sorted.sort_by_key(|episode| std::cmp::Reverse(episode.begun_ms));
    sorted.truncate(LISTED_MAX);
    sorted
}

fn episode_row(episode: &Episode) -> Markup {
    html! { tr {
        th scope="row" { (time(episode.begun_ms)) @if episode.is_running { " " span.badge.warn { "running" } } }
        td.number { (many(episode.dropped_count, "event", "events")) }
        td.number { (size(episode.dropped_bytes)) }
        td { (time_told(&episode.first_timestamp)) " to " (time_told(&episode.last_timestamp)) }
        td { details { summary { "Which" } (which(episode)) } }
    } }
}

/// The numbers, the ends and the tenants of what was passed over.
fn which(episode: &Episode) -> Markup {
    let number = |range: &NumberRange| match range {
        NumberRange { from_n, to_n } if from_n == to_n => count(*from_n),
        NumberRange { from_n, to_n } => format!("{} to {}", count(*from_n), count(*to_n)),
    };
    let tenants: Vec<String> =
        episode.tenants.iter().map(|tenant| format!("{} {}", tenant.tenant_id, count(tenant.dropped))).collect();
    html! {
        p { "Numbers " (some_of(&episode.ranges.iter().map(number).collect::<Vec<_>>()))
            @if episode.is_inexact { ", which is not exact: there are more ranges than are kept" }
            ", of the stream " code { (episode.stream) } "."
        }
        @if !episode.first_event_id.is_empty() { p {
            "First event " code { (episode.first_event_id) } ", last " code { (episode.last_event_id) } "."
        } }
        @if !tenants.is_empty() { p { "By tenant: " (some_of(&tenants)) "." } }
        @if episode.other_tenants_dropped > 0 { p { "Of other tenants: " (count(episode.other_tenants_dropped)) "." } }
    }
}

/// The first of a list, and how many more there are.
fn some_of(items: &[String]) -> String {
    let named = items.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn dead_letters(frame: &Frame, status: &DestinationStatus) -> Markup {
    html! { p {
        @match &status.dead_letters {
            None => { "The store is busy at the moment." },
            Some(store) if store.events == 0 => { "None: it has taken every event so far, or they were sent again since." },
            Some(store) => {
                a href=(frame.link(&format!("/deadletters/{}", status.name))) { (many(store.events, "dead letter", "dead letters")) }
                ", " (size(store.bytes)) " of " (size(store.max_bytes)) "."
            },
        }
    } }
}

/// What somebody does to show an auditor that nothing is missing, step by step.
fn how_to_prove(proof: &Proof) -> Markup {
    html! {
        p {
            "Every event that it is to get has a number in its stream. Numbers begin at 1 and leave none out, so whoever counts "
            "them at the destination sees whether one is missing, without having to trust this agent:"
        }
        ol {
            li {
                "Ask there, for the time in question: " (proof.ask) "."
                pre tabindex="0" { code { (proof.query) } }
                @if let Some(note) = &proof.note { p { small { (ticked(note)) } } }
            }
            li {
                "Each stream of that time has a row: the first and the last number found, and how many are missing between them. "
                "With 0 missing, everything from the first to the last is there."
            }
            li {
                "Where some are missing, search there for " code { "siem.buffer_overflow" } " and " code { "siem.events_refused" }
                " as the action: these events name each number that it did not get, and why. What they name and what was found "
                "must make up all."
            }
            li {
                "To see that nothing is missing at the end either, search for " code { "siem.stream_statement" }
                ": such an event comes at most five minutes after a number is settled. It says " code { "from" } " and "
                code { "end" } " (not included), and the numbers found in between and those " code { "explained" }
                " must be " code { "end - from" } "; a number that was named as missing and arrived after all counts once. Its "
                code { "previous_stream" } " is the stream before this one, which ends "
                "when the filter or the tenants change."
            }
            li { "Compare with what the agent knows, below: the last number found must be at least the one that is vouched for." }
        }
    }
}

/// What is known here of the numbers.
fn streams(streams: &[StreamProof]) -> Markup {
    let missing: u64 = streams.iter().map(|stream| stream.missing).sum();
    let cell = |label: &str, n: Option<u64>| {
        html! { td.number role="cell" data-label=(label) { @match n { Some(n) => { (count(n)) }, None => { "none yet" } } } }
    };
    html! {
        @if streams.is_empty() { p { "The shards have not said yet which streams there are." } }
        @else {
            p {
                @if missing == 0 { span.badge.good { "nothing missing" } " It has every number that is neither waiting nor under way." }
                @else {
                    span.badge.warn { (many(missing, "number", "numbers")) " missing" }
                    " It was told which, or will be: they are dead letters, or were passed over. A dead letter that was sent again "
                    "has arrived after all."
                }
            }
            table.cards role="table" {
                caption { "The numbers of its streams, at this moment" }
                thead role="rowgroup" { tr role="row" {
                    th scope="col" role="columnheader" { "Stream" }
                    @for head in ["First", "Last", "Waiting", "Missing", "Vouched for up to"] {
                        th.number scope="col" role="columnheader" { (head) }
                    }
                    th scope="col" role="columnheader" { "Last statement accepted" }
                } }
                tbody role="rowgroup" { @for stream in streams { tr role="row" {
                    th scope="row" role="rowheader" { code { (stream.stream) } }
                    (cell("First", stream.first_n))
                    (cell("Last", stream.last_n))
                    (cell("Waiting", Some(stream.in_hand)))
                    (cell("Missing", Some(stream.missing)))
                    (cell("Vouched for up to", stream.stated_to_n))
                    td role="cell" data-label="Last statement" { (time_or(stream.last_statement_ms, "none since the agent started")) }
                } } }
            }
        }
    }
}

fn search(whole: &Whole) -> Markup {
    let (query, ask) = &whole.query;
    let (template, hints) = &whole.setup;
    html! {
        p { "One event, with its " code { "event_id" } " in place of " code { (EVENT_ID) } ":" }
        pre tabindex="0" { code { (query) } }
        p { "Ask: " (ask) "." }
        @for kind in whole.content { p { "Starter queries: " code { "scaidrive-siem content export " (kind) } } }
        @if template.is_some() || !hints.is_empty() {
            details {
                summary { "What has to be set up there" }
                ul { @for hint in hints { li { (hint.trim()) } } }
                @if let Some(template) = template { pre tabindex="0" { code { (template) } } }
            }
        }
    }
}

fn settings(frame: &Frame, whole: &Whole) -> Markup {
    let name: String = form_urlencoded::byte_serialize(whole.status.name.as_bytes()).collect();
    html! {
        p {
            (ticked(&whole.origin)) " "
            a href=(frame.link(&format!("/changes?of={name}"))) { "Who changed it" }
        }
        p { small { "Every key with its value, those left at their defaults too; of a secret, where it is kept." } }
        dl.facts { @for (key, value) in &whole.settings { div { dt { code { (key) } } dd { (listed(value)) } } } }
    }
}

/// A value; a list as its items.
fn listed(value: &str) -> String {
    serde_json::from_str::<Vec<String>>(value).map_or_else(|_| value.to_owned(), |items| items.join(", "))
}

/// Since when, as a form has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control::page) struct Since {
    /// The choice: a span, `all`, or `from` for a moment.
    pub(in crate::control::page) back: String,
    /// The moment.
    pub(in crate::control::page) from: String,
}

impl Default for Since {
    fn default() -> Since {
        Since { back: "1h".to_owned(), from: String::new() }
    }
}

/// From when on a destination is to be sent events again.
pub(in crate::control::page) fn ask_replay(
    frame: &Frame,
    status: &DestinationStatus,
    since: &Since,
    problem: Option<&Markup>,
) -> Markup {
    let name = &status.name;
    // What comes back is in UTC; the script puts it into the reader's zone.
    let from = since.from.trim().trim_end_matches(['z', 'Z']);
    let id = (!from.is_empty()).then_some("utc");
    let inside = html! {
        fieldset {
            legend { "What was accepted since" }
            @for (value, words) in BACK {
                label.choice { input type="radio" name="back" value=(value) checked[*value == since.back]; " " (words) }
            }
            label.choice { input type="radio" name="back" value="from" checked[since.back == "from"]; " this moment" noscript { ", in UTC" } }
            input id=[id] type="datetime-local" step="1" name="from" value=(from) autocomplete="off" aria-label="The moment";
        }
        (frame.last_line(&html! { button.first type="submit" { "Send again" } }, &format!("/destinations/{name}")))
    };
    frame.page(Place::Destinations, &format!("Send events to {name} again"), &html! {
        @if let Some(problem) = problem { (problem) }
        p {
            "Events that the log still holds are sent again under the numbers they have, behind the live ones. Whoever counts "
            "by these numbers counts none twice; a search that does not will find them twice."
        }
        (frame.form(&format!("/destinations/{name}/replay"), &inside))
    })
}

/// Asks whether a destination is to have what is there and no more.
pub(in crate::control::page) fn ask_drain(frame: &Frame, status: &DestinationStatus) -> Markup {
    let path = format!("/destinations/{}", status.name);
    let (events, bytes) = waiting(status);
    let inside = html! {
        button type="submit" { "Drain " (status.name) }
        " " a href=(frame.link(&path)) { "Leave it" }
    };
    frame.page(
        Place::Elsewhere,
        &format!("Drain {}?", status.name),
        &html! {
            p {
                "It is sent what is in the log now: " (many(events, "event", "events"))
                @if let Some(bytes) = bytes { ", about " (size(bytes)) }
                ". Then it stands as if it were paused, also over restarts. What comes later waits in the log, for as long as its "
                "window is, until the destination is resumed: nothing is lost by moving it elsewhere meanwhile."
            }
            (frame.form(&format!("{path}/drain"), &inside))
        },
    )
}

/// Asks whether a destination is really to be deleted.
pub(in crate::control::page) fn ask_delete(frame: &Frame, name: &str, tag: &str) -> Markup {
    let path = format!("/destinations/{name}");
    let inside = html! {
        input type="hidden" name="_tag" value=(tag);
        (frame.last_line(&html! { button.danger type="submit" { "Delete " (name) } }, &path))
    };
    frame.page(
        Place::Destinations,
        &format!("Delete {name}?"),
        &html! {
            p {
                "This can't be undone: what waits for it is never sent, its numbers end, and its settings and secrets are gone. "
                "A statement in the audit trail closes its streams."
            }
            (frame.form(&format!("{path}/delete"), &inside))
        },
    )
}

/// How far back a replay may reach without naming a moment.
const BACK: &[(&str, &str)] = &[
    ("10m", "10 minutes ago"),
    ("1h", "an hour ago"),
    ("1d", "a day ago"),
    ("all", "ever, as far as the log reaches"),
];
/// Changes of state and episodes that are listed.
const LISTED_MAX: usize = 20;
/// Ranges and tenants of an episode that are named.
const NAMED_MAX: usize = 10;
/// What stands for an event's id in a query.
pub(in crate::control::page) const EVENT_ID: &str = "EVENT_ID";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::access::Role;
    use crate::control::episodes::TenantDrop;
    use crate::control::page::view::tests::{assert_strict, frame, status};
    use crate::control::status::{DeadLettersStatus, DrainStatus, FailureStatus};

    fn whole() -> Whole {
        Whole {
            status: status("splunk", "active"),
            settings: vec![("url".to_owned(), "https://siem.example".to_owned())],
            origin: "Configured in a file.".to_owned(),
            is_managed: false,
            window_ms: 1_800_000,
            history: chart::tests::hour_of(0),
            episodes: None,
            proof: Proof::default(),
            query: ("event_id=EVENT_ID".to_owned(), "Splunk".to_owned()),
            setup: (None, Vec::new()),
            content: &["elastic", "opensearch"],
        }
    }

    fn text(role: Role, whole: &Whole) -> String {
        let page = page(&frame(role), whole);
        assert_strict(&page);
        page.into_string()
    }

    #[test]
    fn starter_content_is_named_where_it_fits() {
        let shown = text(Role::Viewer, &whole());
        for kind in ["elastic", "opensearch"] {
            assert!(shown.contains(&format!("<code>scaidrive-siem content export {kind}</code>")), "{shown}");
        }
        let other = Whole { content: &[], ..whole() };
        assert!(!text(Role::Viewer, &other).contains("content export"));
    }

    #[test]
    fn who_may_look_only_sees_no_buttons() {
        let shown = text(Role::Viewer, &whole());
        assert!(!shown.contains("<form") && !shown.contains("<button"), "{shown}");
        let shown = text(Role::Admin, &whole());
        assert!(shown.contains("/destinations/splunk/pause") && !shown.contains("/destinations/splunk/resume"));
    }

    #[test]
    fn what_is_made_here_is_changed_and_deleted_here_and_deleting_is_asked_about() {
        let links = ["/destinations/splunk/edit", "/destinations/splunk/delete"];
        let shown = text(Role::Admin, &whole());
        assert!(links.iter().all(|link| !shown.contains(link)), "{shown}");
        let managed = Whole { is_managed: true, ..whole() };
        let shown = text(Role::Admin, &managed);
        assert!(links.iter().all(|link| shown.contains(link)), "{shown}");
        assert!(links.iter().all(|link| !text(Role::Viewer, &managed).contains(link)));
        let asked = ask_delete(&frame(Role::Admin), "splunk", "\"7\"").into_string();
        assert!(asked.contains("can't be undone") && asked.contains("action=\"/destinations/splunk/delete\""));
        assert!(asked.contains("name=\"_tag\" value=\"&quot;7&quot;\""), "only what was asked about is deleted");
    }

    #[test]
    fn what_is_not_active_says_what_happens_next_and_what_can_be_done_here() {
        assert!(!text(Role::Admin, &whole()).contains("What happens next"));
        let down = Whole { status: status("splunk", "circuit_open"), ..whole() };
        let shown = text(Role::Admin, &down);
        assert!(
            shown.contains("What happens next: nothing is to be done.") && shown.contains("Test finds out"),
            "{shown}"
        );
        for state in ["active_with_errors", "paused", "throttled", "retrying", "auth_hold", "misconfigured"] {
            assert!(advice(state).is_some_and(|advice| !advice.contains("scaidrive-siem")), "{state}");
        }
    }

    #[test]
    fn a_list_of_settings_is_told_as_its_items() {
        assert_eq!(listed("[\"file.*\", \"user.*\"]"), "file.*, user.*");
        assert_eq!(["500", "[x", "a, b"].map(listed), ["500", "[x", "a, b"]);
    }

    #[test]
    fn what_is_paused_can_be_resumed() {
        let mut whole = whole();
        whole.status.pause = Some(crate::node::Pause { who: "uid 0".to_owned(), since_ms: 0, drain: None });
        let shown = text(Role::Admin, &whole);
        assert!(shown.contains("/destinations/splunk/resume") && !shown.contains("/destinations/splunk/pause"));
    }

    #[test]
    fn draining_is_asked_about_with_what_it_sends_and_once_is_enough() {
        let mut whole = whole();
        assert!(text(Role::Admin, &whole).contains("href=\"/destinations/splunk/drain\""));
        assert!(!text(Role::Viewer, &whole).contains("/drain"));
        (whole.status.books.in_hand, whole.status.unread) = (2, 1_000);
        let asked = ask_drain(&frame(Role::Admin), &whole.status);
        assert_strict(&asked);
        let asked = asked.into_string();
        assert!(asked.contains("1,002 events") && asked.contains("action=\"/destinations/splunk/drain\""), "{asked}");
        whole.status.drain = Some(DrainStatus { in_hand: 2, unread: 1_000, bytes: None, is_over: false });
        assert!(!text(Role::Admin, &whole).contains("/drain"));
    }

    #[test]
    fn books_show_their_sum_and_say_when_it_is_out() {
        let mut whole = whole();
        (whole.status.books.judged, whole.status.books.selected) = (1_500, 1_234);
        let shown = text(Role::Admin, &whole);
        assert!(shown.contains(">1,234</td>") && shown.contains("balances"), "{shown}");
        whole.status.books.difference = 2;
        assert!(text(Role::Admin, &whole).contains("out by 2"));
    }

    #[test]
    fn what_others_worded_is_escaped() {
        let mut whole = whole();
        whole.status.cause = "<b>cause".to_owned();
        whole.status.last_failure = Some(FailureStatus { at_ms: 0, what: "<script>x".to_owned() });
        whole.settings = vec![("host".to_owned(), "<img>".to_owned())];
        whole.setup = (Some("{\"a\":\"<i>\"}".to_owned()), vec!["<u>".to_owned()]);
        let shown = text(Role::Admin, &whole);
        for raw in ["<b>", "<script>x", "<img>", "<i>", "<u>"] {
            assert!(!shown.contains(raw), "{raw} in {shown}");
        }
    }

    #[test]
    fn dead_letters_are_led_to_where_there_are_any() {
        let mut whole = whole();
        whole.status.dead_letters = Some(DeadLettersStatus { events: 0, bytes: 0, max_bytes: 1 << 20 });
        assert!(text(Role::Viewer, &whole).contains("None: it has taken every event"));
        whole.status.dead_letters = Some(DeadLettersStatus { events: 1, bytes: 1_024, max_bytes: 1 << 20 });
        let shown = text(Role::Viewer, &whole);
        assert!(shown.contains("href=\"/deadletters/splunk\">1 dead letter</a>, 1.0 KiB of 1.0 MiB."), "{shown}");
    }

    #[test]
    fn a_replay_is_asked_for_with_a_moment_or_a_span() {
        let page = ask_replay(&frame(Role::Admin), &status("splunk", "active"), &Since::default(), None);
        assert_strict(&page);
        let shown = page.into_string();
        assert!(shown.contains("action=\"/destinations/splunk/replay\"") && shown.contains("name=\"from\""), "{shown}");
        assert!(shown.contains("value=\"1h\" checked"), "{shown}");
        assert!(
            shown.contains("type=\"datetime-local\"") && shown.contains("<noscript>, in UTC</noscript>"),
            "{shown}"
        );
        let since = Since { back: "from".to_owned(), from: "<noon".to_owned() };
        let shown = ask_replay(&frame(Role::Admin), &status("splunk", "active"), &since, None).into_string();
        assert!(shown.contains("value=\"from\" checked") && shown.contains("value=\"&lt;noon\""), "{shown}");
        assert!(!shown.contains("value=\"1h\" checked"), "{shown}");
        let since = Since { from: "2026-11-26T09:40:00.000Z".to_owned(), ..since };
        let shown = ask_replay(&frame(Role::Admin), &status("splunk", "active"), &since, None).into_string();
        assert!(shown.contains("id=\"utc\"") && shown.contains("value=\"2026-11-26T09:40:00.000\""), "{shown}");
    }

    fn episode(begun_ms: i64) -> Episode {
        Episode {
            episode: "e".to_owned(),
            stream: "s<1>".to_owned(),
            shard: 0,
            is_running: false,
            begun_ms,
            told_ms: begun_ms,
            notices: 1,
            dropped_count: 5,
            dropped_bytes: 50,
            ranges: vec![NumberRange { from_n: 3, to_n: 6 }, NumberRange { from_n: 9, to_n: 9 }],
            is_inexact: false,
            first_timestamp: "1970-01-01T00:00:01Z".to_owned(),
            last_timestamp: "1970-01-01T00:00:02Z".to_owned(),
            first_event_id: "evt_first".to_owned(),
            last_event_id: "<i>last".to_owned(),
            tenants: vec![TenantDrop { tenant_id: "acme".to_owned(), dropped: 4 }],
            other_tenants_dropped: 1,
        }
    }

    fn passed_over(overflowed: u64, untold: u64, is_overflowing: bool, episodes: Vec<Episode>) -> String {
        let destination = "splunk".to_owned();
        let told = Episodes { destination, is_overflowing, overflowed, untold, notices_waiting: 0, episodes };
        let page = overflow(&frame(Role::Viewer), "splunk", Some(&told));
        assert_strict(&page);
        page.into_string()
    }

    #[test]
    fn none_is_said_only_where_the_books_have_none() {
        assert!(passed_over(0, 0, false, Vec::new()).contains("None, of the streams it has now"));
        let gone = passed_over(50_000, 50_000, false, Vec::new());
        assert!(
            gone.contains("50,000 events were passed over; when is no longer kept, or is not shown to you"),
            "{gone}"
        );
        let begins = passed_over(0, 0, true, Vec::new());
        let some = passed_over(6, 1, false, vec![episode(1_000)]);
        assert!(begins.contains("overflows now") && some.contains("1 event more was passed over"), "{some}");
        assert!([gone, begins, some].iter().all(|shown| !shown.contains("None")));
    }

    #[test]
    fn an_episode_says_which_numbers_events_and_tenants_and_how_many_more_there_are() {
        let shown = passed_over(5, 0, false, vec![episode(1_000)]);
        for part in
            ["Numbers 3 to 6, 9,", "s&lt;1&gt;", "evt_first", "&lt;i&gt;last", "acme 4.", "Of other tenants: 1."]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("more, and all"));
        let many = passed_over(500, 0, false, (0..100).map(episode).collect());
        assert!(
            many.contains("80 more, and all of every one, in") && many.contains("/v1/destinations/splunk/episodes")
        );
        let wide = Episode {
            ranges: (0..100).map(|n| NumberRange { from_n: n * 1_000_000, to_n: n * 1_000_000 + 5 }).collect(),
            tenants: (0..100)
                .map(|n| TenantDrop { tenant_id: format!("{n}-{}", "x".repeat(60)), dropped: 1 })
                .collect(),
            ..episode(0)
        };
        let widest = passed_over(500, 0, false, vec![wide; 100]);
        assert!(widest.contains("and 90 more") && widest.len() < 60_000, "{} bytes", widest.len());
    }

    #[test]
    fn the_proof_says_what_to_ask_step_by_step_and_which_numbers_there_are() {
        let stream = StreamProof {
            stream: "<s>".to_owned(),
            first_n: Some(1),
            last_n: Some(1_234),
            in_hand: 4,
            stated_to_n: Some(1_200),
            last_statement_ms: Some(1_500),
            ..StreamProof::default()
        };
        let (query, ask) = ("index=* | stats <x>".to_owned(), "Splunk".to_owned());
        let mut proof = Proof { streams: vec![stream], query, ask, note: Some("See `n`.".to_owned()) };
        let shown = |proof: &Proof| text(Role::Viewer, &Whole { proof: proof.clone(), ..whole() });
        let page = shown(&proof);
        for part in [
            "Proof that nothing is missing",
            "index=* | stats &lt;x&gt;",
            "See <code>n</code>.",
            "siem.stream_statement",
            "&lt;s&gt;",
            ">1,234</td>",
            ">1,200</td>",
            "1970-01-01 00:00:01 UTC",
            "nothing missing",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        proof.streams[0].missing = 3;
        assert!(shown(&proof).contains("3 numbers missing") && !shown(&proof).contains("nothing missing</span>"));
        proof.streams.clear();
        assert!(shown(&proof).contains("have not said yet which streams"));
    }

    #[test]
    fn the_first_view_of_a_destination_with_a_full_hour_is_small() {
        let history = chart::tests::hour_of(360);
        let streams = vec![StreamProof { stream: "s".repeat(60), ..StreamProof::default() }; 4];
        let proof = Proof { streams, query: "q".repeat(1_000), ..Proof::default() };
        let episodes = Episodes {
            destination: "splunk".to_owned(),
            is_overflowing: true,
            overflowed: 500,
            untold: 1,
            notices_waiting: 1,
            episodes: (0..100).map(episode).collect(),
        };
        let shown = text(Role::Admin, &Whole { history, proof, episodes: Some(episodes), ..whole() });
        assert_eq!(shown.matches("<svg").count(), 4);
        assert!(shown.len() < 150_000, "{} bytes", shown.len());
    }
}
