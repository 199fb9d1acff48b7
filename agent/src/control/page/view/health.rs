//! The agent itself: whether it takes events, what it runs on, its log, what it refused, what held its loops.

use maud::{Markup, html};

use super::frame::{Frame, Place};
use super::parts::{fact, facts};
use super::words::{count, many, rate, size, span, ticked};
use crate::control::managed::tell::Error;
use crate::control::status::{IntakeStatus, LogStatus, ShardStatus, Status};

/// The page.
pub(in crate::control::page) fn page(frame: &Frame, status: &Status) -> Markup {
    let agent = &status.agent;
    let middle = html! {
        div #ready data-live aria-live="polite" { (ready(&status.intake)) }
        div #unusable data-live { (unusable(&status.misconfigured)) }
        @for waits in agent.needs_restart.iter().chain(&agent.needs_reload) { p.warning { (waits) } }
        section aria-labelledby="agent" {
            h2 #agent { "Agent" }
            div #agent-live data-live { (facts(&[
                ("Node", fact(&agent.node)),
                ("ID", fact(&agent.id)),
                ("Version", fact(&agent.version)),
                ("Process", html! { (agent.pid) }),
                ("Runs for", fact(span(agent.uptime_ms))),
                ("Configuration", fact(&agent.config)),
                ("Runtime", html! { (status.runtime.backend) " (" (status.runtime.why) ")" }),
            ])) }
        }
        section aria-labelledby="intake" { h2 #intake { "Intake" } div #intake-live data-live { (intake(&status.intake)) } }
        section aria-labelledby="log" { h2 #log { "Log" } div #log-live data-live { (log(&status.log)) } }
        section aria-labelledby="shards" {
            h2 #shards { "Shards" }
            // What has the focus is never replaced.
            div.wide tabindex="0" role="region" aria-label="Shards" {
                div #shards-live data-live { (shards(&status.shards)) }
            }
        }
    };
    frame.page(Place::Health, "Health", &middle)
}

fn ready(intake: &IntakeStatus) -> Markup {
    html! {
        p.lead {
            @if intake.is_ready { span.badge.good { "ready" } " Events are taken." }
            @else { span.badge.bad { "not ready" } " Events can't be taken: " (intake.obstacles.join("; ")) "." }
        }
    }
}

fn unusable(problems: &[Error]) -> Markup {
    html! {
        @for found in problems {
            p.warning {
                "Destination " (found.destination.as_deref().unwrap_or_default()) " can't be used: "
                @if !found.key.is_empty() { (found.key) ": " }
                (found.what) ". " (ticked(&found.advice)) "."
            }
        }
    }
}

fn intake(intake: &IntakeStatus) -> Markup {
    html! {
        (facts(&[
            ("Producers connected", fact(count(intake.connections))),
            ("Accepted and durable", html! { (many(intake.accepted, "event", "events")) ", " (size(intake.accepted_bytes)) }),
            ("Rate over 60 s", fact(rate(intake.events_per_second))),
            ("Given back to producers", fact(many(intake.failed, "event", "events"))),
        ]))
        @if intake.refused.is_empty() { p { "No line was refused." } }
        @else { table {
            caption { "Lines refused, which their producers were told" }
            thead { tr { th scope="col" { "Reason" } th.number scope="col" { "Lines" } } }
            tbody { @for (reason, lines) in &intake.refused { tr { th scope="row" { (reason) } td.number { (count(*lines)) } } } }
        } }
    }
}

fn log(log: &LogStatus) -> Markup {
    facts(&[
        ("Holds", fact(many(log.events, "event", "events"))),
        (
            "Takes",
            html! {
                meter min="0" max=(log.max_bytes.max(1)) value=(log.bytes.min(log.max_bytes)) aria-label="part of the budget taken" {}
                " " (size(log.bytes)) " of " (size(log.max_bytes))
            },
        ),
        ("Oldest event", fact(format!("{} old", span(log.oldest_age_ms)))),
        ("Keeps events for", fact(span(log.window_ms))),
        (
            "An acknowledgement means",
            fact(match log.durability.as_str() {
                "fsync" => "synced to the disk",
                "interval" => "handed to the system, synced soon after",
                _ => "handed to the system",
            }),
        ),
    ])
}

fn shards(shards: &[ShardStatus]) -> Markup {
    html! {
        table {
            caption { "Threads that share the work, each with a log of its own" }
            thead { tr {
                th scope="col" { "Shard" } th scope="col" { "State" } th.number scope="col" { "Segments" }
                th.number scope="col" { "Numbers held" } th.number scope="col" { "Unreadable" } th scope="col" { "Held up by" }
            } }
            tbody { @for shard in shards { (row(shard)) } }
        }
    }
}

fn row(shard: &ShardStatus) -> Markup {
    html! {
        tr {
            th scope="row" { (shard.shard) }
            td {
                @if shard.stalled_ms > 0 { span.badge.bad { "stands still" } " for " (span(shard.stalled_ms)) }
                @else if shard.is_active { span.badge.good { "runs" } }
                @else { span.badge.calm { "drains an old log" } }
            }
            td.number { (count(shard.segments)) }
            td.number { (count(shard.first_seq)) " to " (count(shard.next_seq)) }
            td.number { (many(shard.unreadable, "record", "records")) }
            td {
                @if shard.stalls.is_empty() { "nothing" }
                @for stall in &shard.stalls {
                    span.line { (stall.task) ": " (many(stall.count, "time", "times")) ", " (span(stall.sum_ms)) " together, at most " (span(stall.longest_ms)) }
                }
            }
        }
    }
}

#[cfg(test)]
pub(in crate::control::page) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::control::access::Role;
    use crate::control::page::view::tests::{assert_strict, frame};
    use crate::control::status::{AgentStatus, RuntimeStatus, StallStatus};

    fn status() -> Status {
        Status {
            agent: AgentStatus {
                id: "a1".to_owned(),
                node: "n".to_owned(),
                version: "0.1.0".to_owned(),
                pid: 7,
                uptime_ms: 61_000,
                config: "/etc/<b>".to_owned(),
                needs_restart: Some("admin.listen waits".to_owned()),
                needs_reload: None,
            },
            runtime: RuntimeStatus { backend: "epoll".to_owned(), why: "as set".to_owned() },
            intake: IntakeStatus {
                is_ready: false,
                obstacles: vec!["the disk is full".to_owned()],
                connections: 1,
                accepted: 1_000,
                accepted_bytes: 1 << 20,
                refused: BTreeMap::from([("too_long".to_owned(), 3)]),
                failed: 0,
                events_per_second: 5.0,
            },
            log: LogStatus {
                events: 1,
                bytes: 1 << 20,
                max_bytes: 1 << 30,
                oldest_age_ms: 5_000,
                window_ms: 1_800_000,
                durability: "fsync".to_owned(),
            },
            shards: vec![ShardStatus {
                shard: 0,
                is_active: true,
                stalled_ms: 0,
                stalls: vec![StallStatus { task: "turn".to_owned(), count: 1, sum_ms: 2, longest_ms: 2 }],
                first_seq: 1,
                durable_end: 1_001,
                next_seq: 1_001,
                segments: 1,
                unreadable: 0,
            }],
            destinations: Vec::new(),
            misconfigured: vec![Error {
                destination: Some("late".to_owned()),
                key: "url".to_owned(),
                what: "it is <no> address".to_owned(),
                advice: "write another".to_owned(),
            }],
        }
    }

    #[test]
    fn the_agent_says_why_it_takes_no_events_and_what_it_refused() {
        let page = page(&frame(Role::Viewer), &status());
        assert_strict(&page);
        let text = page.into_string();
        for words in [
            "not ready",
            "the disk is full",
            "too_long",
            "admin.listen waits",
            "Destination late can't be used: url: it is &lt;no&gt; address. write another.",
            "turn: 1 time, 2 ms together",
            "/etc/&lt;b&gt;",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
