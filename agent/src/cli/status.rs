//! `status`: how the running agent and its destinations are, for people or as the JSON that the agent gives.

use std::path::Path;

use super::args::StatusArgs;
use super::client::{Client, Sockets};
use super::words::{count, moment, size, span, table};
use super::{Exit, Failure, Output};
use crate::config::Surroundings;
use crate::control::status::{DestinationStatus, LagTrend, ReplayStatus, ShardStatus, StallStatus, Status};
use crate::runtime::STALL_TOLD;

/// Asks the agent and shows what it says.
pub(super) fn run(
    path: &Path,
    args: &StatusArgs,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let Some(sockets) = Sockets::find(path, surroundings, output) else { return Ok(Exit::Config) };
    let client = Client::new(&sockets.admin, path);
    if args.json {
        output.json(&client.get::<serde_json::Value>("/v1/status")?);
        return Ok(Exit::Ok);
    }
    let status: Status = client.get("/v1/status")?;
    let now_ms = crate::runtime::clock::wall_ms();
    lines(&status, now_ms).iter().for_each(|line| output.data(line));
    Ok(Exit::Ok)
}

fn lines(status: &Status, now_ms: i64) -> Vec<String> {
    let (agent, intake, log) = (&status.agent, &status.intake, &status.log);
    let mut lines = vec![
        format!(
            "agent    {} ({}), version {}, process {}, up {}",
            agent.node,
            agent.id,
            agent.version,
            agent.pid,
            span(agent.uptime_ms)
        ),
        format!("runtime  {}: {}; shards: {}", status.runtime.backend, status.runtime.why, status.shards.len()),
    ];
    let refused: u64 = intake.refused.values().sum();
    let taking = if intake.is_ready { "takes events".to_owned() } else { "takes NO events".to_owned() };
    lines.push(format!(
        "intake   {taking}; {} accepted ({}), {refused} refused, {} given back; {:.1} events/s; connections: {}",
        count(intake.accepted),
        size(intake.accepted_bytes),
        intake.failed,
        intake.events_per_second,
        intake.connections
    ));
    lines.extend(intake.obstacles.iter().map(|why| format!("         {why}")));
    lines.push(format!(
        "log      {} events in {} of {}; the oldest {} of a window of {}; durability {}",
        count(log.events),
        size(log.bytes),
        size(log.max_bytes),
        span(log.oldest_age_ms),
        span(log.window_ms),
        log.durability
    ));
    let stalled = status.shards.iter().filter(|shard| shard.stalled_ms > 0);
    lines.extend(
        stalled.map(|shard| format!("         shard {} has not moved for {}", shard.shard, span(shard.stalled_ms))),
    );
    lines.extend(status.shards.iter().flat_map(long_stalls));
    lines.extend(agent.needs_restart.iter().chain(&agent.needs_reload).map(|waits| format!("note     {waits}")));
    lines.extend(status.misconfigured.iter().map(|error| {
        let name = error.destination.as_deref().unwrap_or_default();
        format!("note     the destination {name} of the API can't be used: {}; {}", error.what, error.advice)
    }));
    lines.push(String::new());
    if status.destinations.is_empty() {
        lines.push("no destinations are configured".to_owned());
        return lines;
    }
    lines.extend(destinations(&status.destinations, now_ms));
    lines
}

fn destinations(destinations: &[DestinationStatus], now_ms: i64) -> Vec<String> {
    let head = ["DESTINATION", "TYPE", "STATE", "SINCE", "LAG", "WAITING", "DELIVERED", "REFUSED", "LOST", "BOOKS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for destination in destinations {
        let books = &destination.books;
        let balance = match books.difference {
            0 => "balance".to_owned(),
            difference => format!("OUT BY {difference}"),
        };
        rows.push(vec![
            destination.name.clone(),
            destination.kind.clone(),
            destination.state.clone(),
            destination.since_ms.map_or_else(String::new, |since| span(now_ms.saturating_sub(since).max(0) as u64)),
            span(destination.lag_ms),
            count(books.in_hand.saturating_add(destination.unread)),
            count(books.delivered),
            count(books.dead_lettered),
            count(books.overflowed.saturating_add(books.abandoned)),
            balance,
        ]);
    }
    let mut lines = table(&rows);
    for destination in destinations.iter().filter(|destination| needs_words(destination)) {
        lines.push(String::new());
        lines.extend(trouble(destination));
    }
    let quiet = |destination: &&DestinationStatus| !needs_words(destination) && is_silent(destination, now_ms);
    for destination in destinations.iter().filter(quiet) {
        lines.push(String::new());
        lines.push(format!("{}: SILENT: {}", destination.name, last_word(destination, now_ms)));
    }
    for destination in destinations.iter().filter(|destination| !destination.redacted.is_empty()) {
        lines.push(String::new());
        lines.push(format!("{}: goes out with {}", destination.name, destination.redacted.join(", ")));
    }
    let replayed =
        destinations.iter().filter_map(|destination| Some((&destination.name, destination.replay.as_ref()?)));
    for (name, replay) in replayed {
        lines.push(String::new());
        lines.push(format!("{name}: sent again {}", progress(replay)));
    }
    lines
}

/// What a replay sends, and how far it has come.
pub(crate) fn progress(replay: &ReplayStatus) -> String {
    let cause = replay.cause.as_ref().map_or_else(String::new, |cause| format!(", because {cause}"));
    let mut parts = vec![format!("{} accepted", count(replay.delivered))];
    for (number, words) in [
        (replay.dead_lettered, "refused"),
        (replay.overflowed, "passed over"),
        (replay.in_hand, "in hand"),
        (replay.unread, "records to be read yet"),
    ] {
        if number > 0 {
            parts.push(format!("{} {words}", count(number)));
        }
    }
    format!("{}: {}{cause}; {}", span_sent(replay), replay.state, parts.join(", "))
}

/// What a replay sends.
pub(super) fn span_sent(replay: &ReplayStatus) -> String {
    match replay.from_ms {
        Some(from_ms) => format!("what was accepted since {}", moment(from_ms)),
        None => "all that the log held".to_owned(),
    }
}

/// Whether a destination needs more than its line in the table.
pub(super) fn needs_words(destination: &DestinationStatus) -> bool {
    destination.state != "active" || destination.trend != LagTrend::Level
}

/// How much of the window a destination has used, and where that leads.
pub(super) fn room(destination: &DestinationStatus) -> String {
    let (used, whole) = (span(destination.window_used_ms), span(destination.window_ms));
    let used = match (used.split_once(' '), whole.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => number,
        _ => &used,
    };
    let room = format!("{used} of {whole} used");
    let at_this_rate = match (destination.full_in_ms, destination.level_in_ms) {
        _ if destination.headroom_ms == 0 => "FULL: the oldest events are given up".to_owned(),
        (Some(full_in), _) if full_in <= SOON_MS => {
            format!("SOON FULL, in {} at this rate: then the oldest events are given up", span(full_in))
        }
        (Some(full_in), _) => format!("full in {} at this rate", span(full_in)),
        (None, Some(level_in)) => format!("draining, level in {}", span(level_in)),
        (None, None) if destination.trend == LagTrend::Unknown => return room,
        (None, None) => "not filling".to_owned(),
    };
    format!("{room}; {at_this_rate}")
}

/// What is wrong with a destination, since when, and what happens next.
pub(super) fn trouble(destination: &DestinationStatus) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", destination.name, destination.cause)];
    if let Some(failure) = destination.last_failure.as_ref().filter(|failure| failure.what != destination.cause) {
        lines.push(format!("  last failure {}: {}", moment(failure.at_ms), failure.what));
    }
    match destination.last_success_ms {
        Some(at_ms) => lines.push(format!("  last success {}", moment(at_ms))),
        None => lines.push("  nothing has been accepted since the agent started".to_owned()),
    }
    lines.push(format!("  room: {}", room(destination)));
    lines.push(format!("  next: {}", destination.next));
    lines.extend(destination.remedy.as_ref().map(|remedy| format!("  do:   {remedy}")));
    lines
}

/// When a destination was last heard of: it accepts a statement each hour at least, so silence is noticed.
pub(super) fn last_word(destination: &DestinationStatus, now_ms: i64) -> String {
    let ago = |at_ms: i64| span(now_ms.saturating_sub(at_ms).max(0) as u64);
    let Some(success) = destination.last_success_ms else {
        return "nothing has been accepted since the agent started".to_owned();
    };
    let statement = destination.last_statement_ms.map_or_else(
        || "no statement of its numbers since the agent started".to_owned(),
        |at_ms| format!("a statement of its numbers {} ago", ago(at_ms)),
    );
    format!("accepted something {} ago, {statement}", ago(success))
}

/// Whether a destination has accepted nothing for longer than the agent leaves one alone.
fn is_silent(destination: &DestinationStatus, now_ms: i64) -> bool {
    destination.last_success_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) > SILENT_AFTER_MS)
}

/// The tasks that have held a shard's loop for long enough to be noticed.
fn long_stalls(shard: &ShardStatus) -> impl Iterator<Item = String> {
    let long = |stall: &&StallStatus| u128::from(stall.longest_ms) >= STALL_TOLD.as_millis();
    shard.stalls.iter().filter(long).map(|stall| {
        let longest = span(stall.longest_ms);
        format!("         shard {}: {} has held the loop for {longest}, while all else waited", shard.shard, stall.task)
    })
}

/// Statements go out hourly where there is nothing else to say; a few minutes may pass until one is accepted.
const SILENT_AFTER_MS: i64 = 70 * 60_000;
/// What is full before this is worth a warning, in milliseconds: somebody should look now.
const SOON_MS: u64 = 10 * 60_000;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli) fn sample(state: &str) -> Status {
        serde_json::from_value(serde_json::json!({
            "agent": {"id": "3b1b", "node": "n1", "version": "0.1.0", "pid": 7, "uptime_ms": 61_000, "config": "a.toml",
                "needs_restart": "takes effect with the next start of the agent: agent.node from a to b"},
            "runtime": {"backend": "epoll", "why": "io_uring is refused here"},
            "intake": {"is_ready": false, "obstacles": ["shard 0: the disk is full"], "connections": 2, "accepted": 12345,
                "accepted_bytes": 2048, "refused": {"syntax": 3}, "failed": 0, "events_per_second": 4.25},
            "log": {"events": 5, "bytes": 4194304, "max_bytes": 67108864, "oldest_age_ms": 3000, "window_ms": 1800000,
                "durability": "fsync"},
            "shards": [{"shard": 0, "is_active": true, "stalled_ms": 0, "first_seq": 1, "durable_end": 5, "next_seq": 5,
                "segments": 1, "unreadable": 0}],
            "destinations": [{"name": "splunk", "type": "splunk_hec", "state": state, "cause": "cannot connect: refused",
                "next": "it is tried again by itself", "remedy": "`scaidrive-siem destination test splunk` says more",
                "since_ms": 1_000, "lag_ms": 720_000, "window_ms": 1_800_000, "window_used_ms": 720_000,
                "headroom_ms": 1_080_000, "trend": "level", "full_in_ms": null, "level_in_ms": null, "unread": 1,
                "books": {"judged": 4, "filtered": 0, "selected": 4, "delivered": 1, "dead_lettered": 0, "overflowed": 0,
                    "in_hand": 3, "abandoned": 0, "difference": 0},
                "requests": {"accepted": 1, "refused": 0, "failed": 3, "under_way": 0}, "delivered_bytes": 9,
                "last_success_ms": 0, "last_failure": null,
                "latency": {"count": 1, "p50_ms": 3, "p99_ms": 3, "max_ms": 3}, "dead_letters": null,
                "streams": ["s"]}],
        }))
        .unwrap()
    }

    pub(in crate::cli) fn replay() -> ReplayStatus {
        serde_json::from_value(serde_json::json!({
            "from_ms": 6_000, "begun_ms": 7_000, "state": "running", "cause": null, "delivered": 1_200, "dead_lettered": 0,
            "overflowed": 0, "in_hand": 3, "unread": 40,
        }))
        .unwrap()
    }

    #[test]
    fn a_replay_shows_how_far_it_has_come_and_why_it_stopped() {
        let mut status = sample("active");
        status.destinations[0].replay = Some(replay());
        let text = lines(&status, 0).join("\n");
        let since = "sent again what was accepted since 1970-01-01T00:00:06.000Z: ";
        let shown = format!("\n\nsplunk: {since}running; 1,200 accepted, 3 in hand, 40 records to be read yet");
        assert!(text.ends_with(&shown), "{text}");
        let cause = Some("records 3 to 4 of the log are damaged".to_owned());
        let over =
            ReplayStatus { state: "stopped".to_owned(), cause, overflowed: 2, in_hand: 0, unread: 0, ..replay() };
        let words = "stopped, because records 3 to 4 of the log are damaged; 1,200 accepted, 2 passed over";
        assert!(progress(&over).ends_with(words), "{}", progress(&over));
    }

    #[test]
    fn people_see_what_runs_what_waits_and_what_happens_next() {
        let mut status = sample("circuit_open");
        status.destinations[0].trend = LagTrend::Filling;
        status.destinations[0].full_in_ms = Some(41 * 60_000);
        let text = lines(&status, 13_000).join("\n");
        assert_eq!(
            text,
            "agent    n1 (3b1b), version 0.1.0, process 7, up 61 s\n\
             runtime  epoll: io_uring is refused here; shards: 1\n\
             intake   takes NO events; 12,345 accepted (2.0 KiB), 3 refused, 0 given back; 4.2 events/s; connections: 2\n\
             \x20        shard 0: the disk is full\n\
             log      5 events in 4.0 MiB of 64.0 MiB; the oldest 3.0 s of a window of 30 m; durability fsync\n\
             note     takes effect with the next start of the agent: agent.node from a to b\n\
             \n\
             DESTINATION  TYPE        STATE         SINCE   LAG  WAITING  DELIVERED  REFUSED  LOST  BOOKS\n\
             splunk       splunk_hec  circuit_open   12 s  12 m        4          1        0     0  balance\n\
             \n\
             splunk: cannot connect: refused\n\
             \x20 last success 1970-01-01T00:00:00.000Z\n\
             \x20 room: 12 of 30 m used; full in 41 m at this rate\n\
             \x20 next: it is tried again by itself\n\
             \x20 do:   `scaidrive-siem destination test splunk` says more"
        );
    }

    #[test]
    fn the_room_says_where_it_leads_and_warns_when_it_will_soon_be_full() {
        let mut destination = sample("active").destinations.remove(0);
        let mut said = |trend, full_in_ms, level_in_ms| {
            (destination.trend, destination.full_in_ms, destination.level_in_ms) = (trend, full_in_ms, level_in_ms);
            room(&destination)
        };
        assert_eq!(said(LagTrend::Filling, Some(41 * 60_000), None), "12 of 30 m used; full in 41 m at this rate");
        assert_eq!(
            said(LagTrend::Filling, Some(4 * 60_000), None),
            "12 of 30 m used; SOON FULL, in 4 m at this rate: then the oldest events are given up"
        );
        assert_eq!(said(LagTrend::Draining, None, Some(90_000)), "12 of 30 m used; draining, level in 90 s");
        assert_eq!(said(LagTrend::Steady, None, None), "12 of 30 m used; not filling");
        assert_eq!(said(LagTrend::Unknown, None, None), "12 of 30 m used");
        (destination.window_used_ms, destination.headroom_ms) = (1_800_000, 0);
        assert_eq!(room(&destination), "30 of 30 m used; FULL: the oldest events are given up");
        (destination.window_used_ms, destination.headroom_ms) = (3_000, 1_797_000);
        assert_eq!(room(&destination), "3.0 s of 30 m used");
    }

    #[test]
    fn a_destination_that_accepts_events_and_lags_more_and_more_needs_words() {
        let mut status = sample("active");
        status.destinations[0].trend = LagTrend::Filling;
        status.destinations[0].full_in_ms = Some(60_000);
        assert!(lines(&status, 0).join("\n").contains("  room: 12 of 30 m used; SOON FULL, in 60 s"));
    }

    #[test]
    fn a_task_that_held_the_loop_is_named_when_people_could_have_noticed() {
        let mut status = sample("active");
        let stall = |task: &str, longest_ms| StallStatus { task: task.to_owned(), count: 3, sum_ms: 1_700, longest_ms };
        status.shards[0].stalls = vec![stall("turn", 249), stall("delivery", 1_250)];
        let text = lines(&status, 0).join("\n");
        assert!(text.contains("shard 0: delivery has held the loop for 1.2 s"), "{text}");
        assert!(!text.contains("turn has held"), "{text}");
    }

    #[test]
    fn a_healthy_destination_needs_one_line_and_wrong_books_stand_out() {
        let mut status = sample("active");
        assert!(!lines(&status, 0).join("\n").contains("next:"));
        status.destinations[0].books.difference = 2;
        assert!(lines(&status, 0).join("\n").contains("OUT BY 2"));
    }

    #[test]
    fn a_destination_that_accepts_nothing_for_longer_than_an_hour_is_called_silent() {
        let mut status = sample("active");
        status.destinations[0].last_statement_ms = Some(-600_000);
        let shown = |status: &Status, minutes: i64| lines(status, minutes * 60_000).join("\n");
        assert!(!shown(&status, 70).contains("SILENT"));
        let said = "splunk: SILENT: accepted something 71 m ago, a statement of its numbers 81 m ago";
        assert!(shown(&status, 71).ends_with(said), "{}", shown(&status, 71));
        status.destinations[0].last_success_ms = None;
        assert!(!shown(&status, 71).contains("SILENT"), "it never said anything");
        assert_eq!(last_word(&status.destinations[0], 0), "nothing has been accepted since the agent started");
    }
}
