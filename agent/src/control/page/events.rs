//! The live tail, and the changes that somebody made.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::asked::Query;
use super::show;
use super::view::events::{self, WISHES};
use super::view::frame::Frame;
use crate::control::changes::Wish;
use crate::control::http::changes::{PAGE, changes_of, place};
use crate::control::http::{Panel, Problem, Shared, only_get};

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/events", only_get(get(tail))).route("/changes", only_get(get(changes)))
}

async fn tail(frame: Frame, query: Query) -> Response {
    let wished = |(name, _)| Some((name, query.field(name).filter(|value| !value.is_empty())?));
    show(&events::tail(&frame, &WISHES.into_iter().filter_map(wished).collect()))
}

async fn changes(State(panel): Shared, frame: Frame, query: Query) -> Result<Response, Problem> {
    let filled = |name| query.field(name).filter(|value| !value.is_empty());
    let of = filled("of");
    let before = filled("before").map(|text| place(&text)).transpose()?;
    let is_first = before.is_none();
    let wish = Wish { of: of.clone(), before, limit: PAGE };
    let changes = changes_of(panel, frame.person.clone(), wish).await?;
    Ok(show(&events::changes(&frame, &changes, of.as_deref(), is_first)))
}
