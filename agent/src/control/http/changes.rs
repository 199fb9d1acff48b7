//! Who changed what, page by page, the newest first.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::{Panel, Problem, Shared, number, off_the_thread, only_get, query};
use crate::chronicle::Cursor;
use crate::control::access::Person;
use crate::control::changes::{Changes, Wish, page};

/// Their route.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/v1/changes", only_get(get(list)))
}

/// Who changed what, the newest first.
#[utoipa::path(
    get,
    path = "/v1/changes",
    operation_id = "listChanges",
    tag = "events",
    params(
        ("of" = Option<String>, Query, description = "Changes of this alone: a destination's name, whatever stands as `target` in a change"),
        ("before" = Option<String>, Query, description = "What `next` of the page before said; without it from the newest on"),
        ("limit" = Option<u64>, Query, description = "Changes at most: 50 if not given, 1 to 200 whatever is given; fewer where they are long")
    ),
    responses((status = 200, description = "A page of them", body = Changes))
)]
async fn list(State(panel): Shared, person: Person, request: Request) -> Result<Response, Problem> {
    let text = request.uri().query().unwrap_or_default();
    let limit = number(text, "limit")?.unwrap_or(PAGE as u64).clamp(1, PAGE_MAX) as usize;
    let pairs = query(text);
    let value = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let before = value("before").map(|text| place(&text)).transpose()?;
    let of = value("of");
    if of.as_deref() == Some("") {
        let detail = "of is empty, and nothing is called so".to_owned();
        return Err(
            Problem::new(StatusCode::BAD_REQUEST, detail).advise("name a destination, or leave `of` out for all")
        );
    }
    let changes = changes_of(panel, person, Wish { of, before, limit }).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(changes)).into_response())
}

/// A page of the changes that `person` may see.
pub(in crate::control) async fn changes_of(panel: Arc<Panel>, person: Person, wish: Wish) -> Result<Changes, Problem> {
    let seat = panel.desk.changes.wait(&person).await?;
    off_the_thread(move || {
        let read = page(&panel.view.chronicle, &wish, &person.reach).map_err(|problem| Problem::internal(&problem));
        // Held by the work and not by the request, which may be given up before.
        drop(seat);
        read
    })
    .await
}

/// A place among the changes, as `next` names it.
pub(in crate::control) fn place(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, format!("before is \"{text}\", which is no place among the changes"))
            .advise("send back what an answer had as `next`, or leave it out to begin with the newest")
    })
}

/// Changes of a page, unless asked for otherwise.
pub(in crate::control) const PAGE: usize = 50;
/// Changes of a page at most.
const PAGE_MAX: u64 = 200;
