//! The agent's own events, page by page; who asks for what is not there yet may wait for it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::time::{Instant, timeout_at};

use super::{Panel, Problem, Shared, number, off_the_thread, only_get, query};
use crate::chronicle::Cursor;
use crate::config::span_of;
use crate::control::access::{Person, Standing};
use crate::control::agent_events::{AgentEvents, page};

/// Their route.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/v1/agent-events", only_get(get(read)))
}

/// The agent's own events, oldest first; who asks for what is not there yet may wait for it.
#[utoipa::path(
    get,
    path = "/v1/agent-events",
    operation_id = "agentEvents",
    tag = "events",
    params(
        ("after" = Option<String>, Query, description = "What `next` of the answer before said; without it from the oldest on"),
        ("limit" = Option<u64>, Query, description = "Events at most: 100 if not given, 1 to 1,000 whatever is given"),
        ("wait" = Option<String>, Query, description = "How long to wait for the next event, like `30s`; 60 s at most, and 1 s where as many wait already as may")
    ),
    responses((status = 200, description = "A page of them", body = AgentEvents))
)]
async fn read(State(panel): Shared, person: Person, standing: Standing, request: Request) -> Result<Response, Problem> {
    let text = request.uri().query().unwrap_or_default();
    let limit = number(text, "limit")?.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX) as usize;
    let pairs = query(text);
    let value = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let after = value("after").map(cursor).transpose()?;
    let wait = value("wait").map(wait).transpose()?.unwrap_or(Duration::ZERO);
    let seat = panel.desk.waiters.take(&person);
    let deadline = Instant::now() + patience(wait, seat.is_ok(), standing.ends_in());
    let mut changes = panel.view.chronicle.changes();
    loop {
        changes.mark_unchanged();
        // Who waited may have lost the right to what came meanwhile.
        standing.check()?;
        let (chronicle, reach) = (panel.view.chronicle.clone(), person.reach.clone());
        let page = off_the_thread(move || page(&chronicle, after, limit, &reach).map_err(|e| Problem::internal(&e)));
        let page = page.await?;
        let is_told = !page.events.is_empty() || page.lost || page.has_more;
        if is_told || timeout_at(deadline, changes.changed()).await.is_err() {
            return Ok(([(CACHE_CONTROL, "no-store")], Json(page)).into_response());
        }
    }
}

/// How long somebody is kept waiting who wishes to wait for `wait`. Beyond so many who wait, others are answered soon and
/// not at once: they ask again at once. Whom a proxy names comes back with another proof, and so before theirs ends.
fn patience(wait: Duration, has_seat: bool, proof_ends_in: Option<Duration>) -> Duration {
    let most = if has_seat { WAIT_MAX } else { STANDING_MAX };
    let proven = proof_ends_in.map_or(WAIT_MAX, |left| left.saturating_sub(PROOF_MARGIN));
    wait.min(most).min(proven)
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("after is \"{text}\", which is no place in the agent's own events"),
        )
        .advise("send back what an answer had as `next`, or leave it out to begin with the oldest")
    })
}

fn wait(text: &str) -> Result<Duration, Problem> {
    let span = span_of(text).map(|span| Duration::from_millis(span.0));
    span.ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, format!("wait is \"{text}\", which is no span of time"))
            .advise("write it like 30s")
    })
}

/// Events of a page, unless asked for otherwise.
const PAGE_DEFAULT: u64 = 100;
/// Events of a page at most.
const PAGE_MAX: u64 = 1_000;
/// Nobody is kept waiting for longer; an idle connection is closed after 90 s.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Nobody without a seat is.
const STANDING_MAX: Duration = Duration::from_secs(1);
/// So long before a proof ends the answer is on its way.
const PROOF_MARGIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_has_no_seat_is_not_answered_at_once_but_soon() {
        assert_eq!(patience(seconds(30), true, None), seconds(30));
        assert_eq!(patience(seconds(600), true, None), WAIT_MAX);
        assert_eq!(patience(seconds(30), false, None), STANDING_MAX);
        assert_eq!(patience(Duration::ZERO, false, None), Duration::ZERO, "who does not wait does not");
    }

    #[test]
    fn who_waits_is_answered_before_their_proof_ends() {
        assert_eq!(patience(seconds(30), true, Some(seconds(10))), seconds(9));
        assert_eq!(patience(seconds(30), true, Some(seconds(90))), seconds(30));
        assert_eq!(patience(seconds(30), true, Some(Duration::ZERO)), Duration::ZERO);
    }
}
