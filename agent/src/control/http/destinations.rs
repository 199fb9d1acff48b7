//! Destinations: how they are, and what an operator wishes of them.

use std::io;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::{Panel, Problem, Shared, off_the_thread, only_get, only_post};
use crate::control::destinations::{DestinationWhole, Paused, event, find, pause_value, settings};
use crate::control::socket::Caller;
use crate::control::status;
use crate::node::Pause;
use crate::runtime::clock;

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new()
        .route("/v1/destinations", only_get(get(list)))
        .route("/v1/destinations/{destination}", only_get(get(show)))
        .route("/v1/destinations/{destination}/pause", only_post(post(pause)))
        .route("/v1/destinations/{destination}/resume", only_post(post(resume)))
}

async fn list(State(panel): Shared) -> Response {
    let destinations = status::destinations(&panel.view, &panel.watch(), clock::now());
    ([(CACHE_CONTROL, "no-store")], Json(destinations)).into_response()
}

async fn show(State(panel): Shared, Path(name): Path<String>) -> Result<Response, Problem> {
    let destination = find(&panel.view.config(), &name)?;
    let all = status::destinations(&panel.view, &panel.watch(), clock::now());
    let Some(status) = all.into_iter().find(|status| status.name == name) else {
        let detail = format!("the shards have not said yet how \"{name}\" is");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).advise("ask again in a moment"));
    };
    let whole = DestinationWhole { settings: settings(&destination), status };
    Ok(([(CACHE_CONTROL, "no-store")], Json(whole)).into_response())
}

async fn pause(
    State(panel): Shared,
    Path(name): Path<String>,
    ConnectInfo(caller): ConnectInfo<Caller>,
) -> Result<Response, Problem> {
    rest(panel, name, caller, true).await
}

async fn resume(
    State(panel): Shared,
    Path(name): Path<String>,
    ConnectInfo(caller): ConnectInfo<Caller>,
) -> Result<Response, Problem> {
    rest(panel, name, caller, false).await
}

async fn rest(panel: Arc<Panel>, name: String, caller: Caller, rests: bool) -> Result<Response, Problem> {
    let config = panel.view.config();
    let destination = find(&config, &name)?;
    let who = caller.to_string();
    off_the_thread(move || {
        let wish = rests.then(|| Pause { who: who.clone(), since_ms: clock::wall_ms() });
        let before = panel.hands.pause(destination.id, wish.clone()).map_err(|problem| not_kept(&problem))?;
        let is_changed = before.is_some() != rests;
        let after = if is_changed { wish } else { before.clone() };
        if is_changed {
            let what = if rests { "destination.pause" } else { "destination.resume" };
            tracing::info!(destination = %name, "{}, as {who} wishes", if rests { "paused" } else { "no longer paused" });
            let values = (pause_value(before.as_ref()), pause_value(after.as_ref()));
            panel.hands.tell(event(&who, what, &destination, values.0, values.1));
        }
        let window_ms = config.buffer.window.0;
        Ok(Json(Paused { destination: name, is_changed, before, after, window_ms }).into_response())
    })
    .await
}

fn not_kept(problem: &io::Error) -> Problem {
    let detail = format!("it stays as it was, because what is wished can't be kept over a restart: {problem}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        .advise("see that the agent may write to agent.state_dir and that the disk works and has room")
}
