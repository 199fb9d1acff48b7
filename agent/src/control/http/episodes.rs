//! Overflow episodes of a destination.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::{Panel, Path, Problem, Shared, off_the_thread, only_get};
use crate::control::access::Person;
use crate::control::destinations::find_for;
use crate::control::episodes::{self, Episodes};

/// Their route.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/v1/destinations/{destination}/episodes", only_get(get(list)))
}

/// When a destination has missed events, how many and which.
#[utoipa::path(
    get,
    path = "/v1/destinations/{destination}/episodes",
    operation_id = "listEpisodes",
    tag = "destinations",
    params(
        ("destination" = String, Path, description = "Its name")
    ),
    responses((status = 200, description = "The newest first", body = Episodes))
)]
async fn list(State(panel): Shared, person: Person, Path(name): Path<String>) -> Result<Response, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    off_the_thread(move || {
        let told = episodes::of(&panel.view, &destination.name, &person.reach)
            .map_err(|problem| Problem::internal(&problem))?;
        Ok(([(CACHE_CONTROL, "no-store")], Json(told)).into_response())
    })
    .await
}
