//! The last hour: of the agent, and of each destination.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::{Panel, Path, Problem, Shared, only_get};
use crate::control::access::{Insider, Person};
use crate::control::destinations::find_for;
use crate::control::history::{AgentHistory, DestinationHistory};

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new()
        .route("/v1/history", only_get(get(agent)))
        .route("/v1/destinations/{destination}/history", only_get(get(destination)))
}

/// The agent's last hour, for those who may see every tenant.
#[utoipa::path(
    get,
    path = "/v1/history",
    operation_id = "agentHistory",
    tag = "agent",
    responses((status = 200, description = "A sample each few seconds", body = AgentHistory))
)]
async fn agent(State(panel): Shared, _: Insider) -> Response {
    let history = panel.history().agent();
    ([(CACHE_CONTROL, "no-store")], Json(history)).into_response()
}

/// A destination's last hour and its last changes of state.
#[utoipa::path(
    get,
    path = "/v1/destinations/{destination}/history",
    operation_id = "destinationHistory",
    tag = "destinations",
    params(("destination" = String, Path, description = "Its name")),
    responses((status = 200, description = "A sample each few seconds", body = DestinationHistory))
)]
async fn destination(State(panel): Shared, person: Person, Path(name): Path<String>) -> Result<Response, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    let history = panel.history().destination(&destination.name);
    Ok(([(CACHE_CONTROL, "no-store")], Json(history)).into_response())
}
