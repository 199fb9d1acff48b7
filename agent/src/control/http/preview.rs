//! Trying a filter on the events in the log.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;

use super::{Panel, Problem, Shared, body, off_the_thread, only_post};
use crate::config::Selection;
use crate::control::access::Person;
use crate::control::destinations::find_for;
use crate::control::preview::{self, Preview};
use crate::runtime::clock;

/// Its route.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/v1/preview", only_post(post(try_out)))
}

/// What is to be tried: the saved filter of a destination, or what is written here.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tried {
    /// What this destination has.
    Saved(Saved),
    /// `tenants`, `filter` and `redact` as in a file.
    Written(Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    destination: String,
}

/// Tries a filter on the events in the log. It changes nothing, so whoever may look may try.
#[utoipa::path(
    post,
    path = "/v1/preview",
    operation_id = "preview",
    tag = "events",
    request_body(
        content = Object,
        description = "`tenants`, `filter` and `redact` as in a file, or `destination` for what that one has"
    ),
    responses((status = 200, description = "What it would have sent of the events in the log", body = Preview))
)]
async fn try_out(State(panel): Shared, person: Person, request: Request) -> Result<Response, Problem> {
    let bytes = body(request, SELECTION_MAX).await?;
    let selection = selection(&panel, &person, &bytes)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(preview_of(panel, &person, selection).await?)).into_response())
}

/// What a selection would have sent of the events in the log that somebody may see.
///
/// # Errors
/// When as many as may are made already, or the log can't be read.
pub(in crate::control) async fn preview_of(
    panel: Arc<Panel>,
    person: &Person,
    selection: Selection,
) -> Result<Preview, Problem> {
    let reach = person.reach.clone();
    let seat = panel.desk.previews.take(person)?;
    off_the_thread(move || {
        let preview = preview::of(&panel.view, &selection, &reach, clock::wall_ms());
        // Held by the work and not by the request, which may be given up before.
        drop(seat);
        preview.map_err(|problem| Problem::internal(&problem))
    })
    .await
}

fn selection(panel: &Panel, person: &Person, bytes: &[u8]) -> Result<Selection, Problem> {
    let tried: Tried = serde_json::from_slice(bytes).map_err(|problem| {
        Problem::new(StatusCode::BAD_REQUEST, format!("the request is not JSON: {problem}"))
            .advise("send {\"tenants\": […], \"filter\": {…}}, or {\"destination\": name}")
    })?;
    match tried {
        Tried::Saved(saved) => Ok(Selection::of(&*find_for(person, &panel.view.config(), &saved.destination)?)),
        Tried::Written(written) => Selection::read(&written).map_err(|problems| Problem::unusable(&problems)),
    }
}

/// Bytes of a selection at most: five lists of a thousand entries each.
const SELECTION_MAX: usize = 8 << 20;
