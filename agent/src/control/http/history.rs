//! The last hour: of the agent, and of each destination.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::{Panel, Problem, Shared, only_get};
use crate::control::access::{Insider, Person};
use crate::control::destinations::find_for;

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new()
        .route("/v1/history", only_get(get(agent)))
        .route("/v1/destinations/{destination}/history", only_get(get(destination)))
}

/// What comes in comes from everybody's tenants.
async fn agent(State(panel): Shared, _: Insider) -> Response {
    let history = panel.history().agent();
    ([(CACHE_CONTROL, "no-store")], Json(history)).into_response()
}

async fn destination(State(panel): Shared, person: Person, Path(name): Path<String>) -> Result<Response, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    let history = panel.history().destination(&destination.name);
    Ok(([(CACHE_CONTROL, "no-store")], Json(history)).into_response())
}
