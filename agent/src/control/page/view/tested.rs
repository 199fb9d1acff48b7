//! What a test found, stage by stage.

use maud::{Markup, html};

use super::frame::{Frame, Place};
use super::words::{span, ticked};
use crate::probe::{Report, Stage, StageReport, StageState};

/// The page of a destination that is in use; one that is managed is changed here.
pub(in crate::control::page) fn page(frame: &Frame, report: &Report, is_managed: bool) -> Markup {
    let back = format!("/destinations/{}", report.destination);
    frame.page(
        Place::Destinations,
        &format!("Test of {}", report.destination),
        &html! {
            (told(report))
            div.actions role="group" aria-label="Actions" {
                (frame.button(&format!("{back}/test"), "Test again"))
                @if is_managed && !report.ok { a.button href=(frame.link(&format!("{back}/edit"))) { "Change …" } }
                a.button href=(frame.link(&back)) { "Back to " (report.destination) }
            }
        },
    )
}

/// The same, beside something else.
pub(in crate::control::page) fn told(report: &Report) -> Markup {
    let failed_at = report.stages.iter().position(|stage| stage.state == StageState::Failed);
    html! {
        p.lead role="status" {
            @if report.ok { span.badge.good { "works" } " The test event was sent to " (report.address) " in " (span(report.took_ms)) "." }
            @else { span.badge.bad { "fails" } " The test of " (report.address) " ended after " (span(report.took_ms)) "." }
        }
        @if let Some(failure) = &report.failure {
            div.problem role="alert" {
                p { "At the stage " strong { (failure.stage.name()) } ": " (failure.cause) "." }
                p { "What to do: " (ticked(&failure.remedy)) "." }
                @if let Some(said) = &failure.said { p { "It said: " q { (said) } } }
            }
        }
        table.cards.stages role="table" {
            caption { "The way of the test event" }
            thead role="rowgroup" { tr role="row" {
                @for head in ["Stage", "Result", "Took", "Note"] { th scope="col" role="columnheader" { (head) } }
            } }
            tbody role="rowgroup" { @for (at, stage) in report.stages.iter().enumerate() { (row(stage, failed_at.is_some_and(|failed| failed < at))) } }
        }
        @for warning in &report.warnings { p.warning { (warning.what) ". " (ticked(&warning.remedy)) "." } }
        @if let Some(event) = &report.event {
            h2 { "Find the test event" }
            p { "It is marked " code { "action = " (event.action) } " and has the id " code { (event.event_id) } "." }
            pre tabindex="0" { code { (event.query) } }
            p { "Ask: " (event.ask) "." }
        }
    }
}

/// A stage; what comes behind the one that failed was not reached.
fn row(stage: &StageReport, is_behind: bool) -> Markup {
    let (class, word) = match stage.state {
        StageState::Ok => ("good", "ok"),
        StageState::Failed => ("bad", "failed"),
        StageState::Skipped if is_behind => ("calm", "not reached"),
        StageState::Skipped => ("calm", "left out"),
    };
    html! {
        tr role="row" {
            th scope="row" role="rowheader" { @if stage.stage == Stage::Tls { "TLS" } @else { (stage.stage.name()) } }
            td role="cell" data-label="Result" { span class={ "badge " (class) } { (word) } }
            td role="cell" data-label="Took" { @match stage.took_ms {
                Some(0) => { "under 1 ms" }, Some(took) => { (span(took)) }, None => {},
            } }
            td role="cell" data-label="Note" { (stage.note.as_deref().unwrap_or_default()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::access::Role;
    use crate::control::page::view::tests::{assert_strict, frame};
    use crate::probe::Failure;

    #[test]
    fn a_failing_test_names_the_stage_the_cause_and_what_to_do() {
        let stage = |stage, state| StageReport { stage, state, took_ms: Some(12), note: Some("<i>".to_owned()) };
        let report = Report {
            destination: "splunk".to_owned(),
            kind: "splunk_hec".to_owned(),
            address: "https://siem.example".to_owned(),
            ok: false,
            stages: vec![stage(Stage::Resolve, StageState::Ok), stage(Stage::Connect, StageState::Failed)],
            failure: Some(Failure {
                stage: Stage::Connect,
                code: "refused",
                cause: "nobody listens there".to_owned(),
                remedy: "start it".to_owned(),
                said: Some("<script>".to_owned()),
            }),
            warnings: Vec::new(),
            event: None,
            took_ms: 30,
        };
        let page = page(&frame(Role::Admin), &report, true);
        assert_strict(&page);
        let text = page.into_string();
        assert!(text.contains("At the stage <strong>connect</strong>: nobody listens there."), "{text}");
        assert!(text.contains("What to do: start it.") && text.contains("&lt;script&gt;") && text.contains("12 ms"));
        assert!(text.contains("/destinations/splunk/edit"), "what fails can be changed from here");
    }
}
