//! The live tail, and the changes that somebody made.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::asked::Query;
use super::show;
use super::view::events::{self, Change, WISHES};
use super::view::frame::Frame;
use crate::control::agent_events::is_shown;
use crate::control::http::{Panel, Problem, Shared, off_the_thread, only_get};

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/events", only_get(get(tail))).route("/changes", only_get(get(changes)))
}

async fn tail(frame: Frame, query: Query) -> Response {
    let wished = |(name, _)| Some((name, query.field(name).filter(|value| !value.is_empty())?));
    show(&events::tail(&frame, &WISHES.into_iter().filter_map(wished).collect()))
}

async fn changes(State(panel): Shared, frame: Frame, query: Query) -> Result<Response, Problem> {
    let reach = frame.person.reach.clone();
    let of = query.field("of");
    let wanted = of.clone();
    let changes = off_the_thread(move || {
        let mut newest = VecDeque::new();
        let mut after = None;
        loop {
            let is_wanted = |line: &[u8]| is_change(line) && is_shown(line, &reach);
            let page =
                panel.view.chronicle.page(after, PAGE, is_wanted).map_err(|problem| Problem::internal(&problem))?;
            after = Some(page.next);
            let changes = page.events.iter().filter_map(|kept| serde_json::from_slice::<Change>(&kept.line).ok());
            newest.extend(changes.filter(|change| wanted.as_ref().is_none_or(|of| change.is_of(of))));
            newest.drain(..newest.len().saturating_sub(SHOWN_MAX));
            if !page.has_more {
                return Ok(Vec::from(newest));
            }
        }
    });
    let mut changes = changes.await?;
    changes.reverse();
    Ok(show(&events::changes(&frame, &changes, of.as_deref())))
}

/// A quick look; what looks like one and is none does not read as a [`Change`].
fn is_change(line: &[u8]) -> bool {
    memchr::memmem::find(line, b"\"siem.config_changed\"").is_some()
}

/// Events that are read at a time.
const PAGE: usize = 1_000;
/// Changes that are shown.
const SHOWN_MAX: usize = 200;
