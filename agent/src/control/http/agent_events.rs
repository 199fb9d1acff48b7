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
        ("wait" = Option<String>, Query, description = "How long to wait for the next event, like `30s`; 60 s at most")
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
    let deadline = Instant::now() + wait;
    let seat = panel.desk.waiters.take(&person);
    let mut changes = panel.view.chronicle.changes();
    loop {
        changes.mark_unchanged();
        // Who waited may have lost the right to what came meanwhile.
        standing.check()?;
        let (chronicle, reach) = (panel.view.chronicle.clone(), person.reach.clone());
        let page = off_the_thread(move || page(&chronicle, after, limit, &reach).map_err(|e| Problem::internal(&e)));
        let page = page.await?;
        let is_told = !page.events.is_empty() || page.lost || page.has_more;
        // Beyond so many who wait, others are answered at once: they ask again.
        if is_told || seat.is_err() || timeout_at(deadline, changes.changed()).await.is_err() {
            return Ok(([(CACHE_CONTROL, "no-store")], Json(page)).into_response());
        }
    }
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
    let span = span_of(text).map(|span| Duration::from_millis(span.0).min(WAIT_MAX));
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
